//! What verifications read so far, as their records tell: so that many small ones cover everything.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::objects::{delete_replicated, put_replicated};
use super::retired::each_record;
use super::{RepoError, Repository};
use crate::base::random::random_array;
use crate::base::{Monitor, Problem, RecordId, Timestamp};
use crate::format::names;
use crate::format::signed::{self, Fact, Verified, VerifiedLevel};

/// Places of the id space that a range of the whole has.
const ALL: u128 = 1 << 64;
/// A share of everything is given in parts of this.
const WHOLE_PPM: u32 = 1_000_000;

/// When which packs and shards were read last.
#[derive(Debug, Default)]
pub struct Coverage {
    records: Vec<(RecordId, Verified)>,
}

/// Where an id is in the space that ranges are of: its first 8 bytes.
#[must_use]
pub fn place_of(id: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&id[..8]);
    signed::place_of(first)
}

impl Coverage {
    /// Reads all records of verifications. A damaged one is reported and left out: what it covered is read again.
    ///
    /// # Errors
    /// The store failed.
    pub fn load(repository: &Repository, monitor: &dyn Monitor) -> Result<Self, RepoError> {
        let mut records = Vec::new();
        each_record::<Verified>(repository, monitor, |id, record| {
            match record {
                Ok(record) => records.push((id, record)),
                Err(error) => {
                    let object = names::record(Verified::KIND, id).to_string();
                    monitor.problem(&Problem::Damaged { object, text: format!("{error}; it is left out") });
                }
            }
            Ok(())
        })?;
        Ok(Self::new(records))
    }

    /// The coverage of these records.
    fn new(mut records: Vec<(RecordId, Verified)>) -> Self {
        // Of a range that went over the end of the space, the part at its beginning comes last.
        records.sort_by_key(|(id, record)| (record.created, std::cmp::Reverse(*record.range.start()), *id));
        Self { records }
    }

    /// When a pack or shard of this id was read last, at this level or a deeper one.
    #[must_use]
    pub fn last(&self, id: &[u8; 32], level: VerifiedLevel) -> Option<Timestamp> {
        let place = place_of(id);
        let covers = |record: &&Verified| record.level >= level && record.range.contains(&place);
        self.records.iter().map(|(_, record)| record).rfind(covers).map(|record| record.created)
    }

    /// The time since which everything was read at least once. `None`: something never was.
    #[must_use]
    pub fn oldest(&self, level: VerifiedLevel) -> Option<Timestamp> {
        self.parts(level, Timestamp(i64::MAX)).values().copied().min().flatten()
    }

    /// Errors of the worst of the runs that read last what they read; `None`: there was no run.
    #[must_use]
    pub fn damaged(&self, level: VerifiedLevel) -> Option<u64> {
        let records = self.records.iter().map(|(_, record)| record);
        let deep: Vec<&Verified> = records.filter(|record| record.level >= level).collect();
        let counts = |(at, record): &(usize, &&Verified)| {
            !is_covered(&record.range, deep[at + 1..].iter().map(|newer| &newer.range))
        };
        deep.iter().enumerate().filter(counts).map(|(_, record)| record.damaged).max()
    }

    /// The beginnings of the parts of the id space, each with when it was read last before `now`.
    fn parts(&self, level: VerifiedLevel, now: Timestamp) -> BTreeMap<u64, Option<Timestamp>> {
        let mut parts = BTreeMap::from([(0, None)]);
        for (_, record) in &self.records {
            // One from the future would hide what it names for as long.
            if record.level < level || record.created > now {
                continue;
            }
            let (from, to) = (*record.range.start(), *record.range.end());
            if let Some(behind) = to.checked_add(1) {
                let value = parts.range(..=behind).next_back().and_then(|(_, value)| *value);
                parts.entry(behind).or_insert(value);
            }
            let inside: Vec<u64> = parts.range(from..=to).map(|(start, _)| *start).collect();
            for start in inside {
                parts.remove(&start);
            }
            parts.insert(from, Some(record.created));
        }
        parts
    }

    /// What to read next: a share of everything, given in millionths, behind what was read last.
    #[must_use]
    pub fn next(&self, level: VerifiedLevel, share_ppm: u32) -> Vec<RangeInclusive<u64>> {
        let last = self.records.iter().rfind(|(_, record)| record.level >= level);
        let start = last.map_or(0, |(_, record)| record.range.end().wrapping_add(1));
        range_from(start, share_ppm)
    }

    /// What nobody has read since a time, at most a share of everything, longest ago first.
    #[must_use]
    pub fn older_than(
        &self,
        level: VerifiedLevel,
        since: Timestamp,
        now: Timestamp,
        share_ppm: u32,
    ) -> Vec<RangeInclusive<u64>> {
        let parts = self.parts(level, now);
        let ends = parts.keys().skip(1).map(|start| start - 1).chain([u64::MAX]);
        let mut old: Vec<(Option<Timestamp>, u64, u64)> = parts
            .iter()
            .zip(ends)
            .filter(|((_, read), _)| read.is_none_or(|read| read < since))
            .map(|((start, read), end)| (*read, *start, end))
            .collect();
        old.sort_unstable();
        let mut left = width(share_ppm);
        let mut ranges = Vec::new();
        for (_, start, end) in old {
            let len = u128::from(end - start) + 1;
            if left == 0 {
                break;
            }
            ranges.push(start..=start + (len.min(left) - 1) as u64);
            left -= len.min(left);
        }
        ranges.sort_by_key(|range| *range.start());
        ranges.dedup_by(|next, range| {
            let is_next = range.end().checked_add(1) == Some(*next.start());
            if is_next {
                *range = *range.start()..=*next.end();
            }
            is_next
        });
        ranges
    }

    /// Remembers a verification: writes a record for each range, each with its replica, then deletes the records that
    /// tell nothing any more.
    ///
    /// # Errors
    /// The holder is no admin, or the store failed.
    pub fn remember(mut self, repository: &Repository, done: Vec<Verified>) -> Result<(), RepoError> {
        repository.keys.require_admin("remembering a verification")?;
        for record in done {
            let id = RecordId(random_array(&*repository.environment.random)?);
            let sealed = record.seal_record(repository.config.repository, id, repository.keys.signer());
            let (name, bytes) =
                sealed.map_err(|source| RepoError::format(&names::record(Verified::KIND, id), source))?;
            put_replicated(&*repository.store, &name, &bytes)?;
            self.records.push((id, record));
        }
        let this = Self::new(self.records);
        for (at, (id, record)) in this.records.iter().enumerate() {
            let newer = this.records[at + 1..].iter().map(|(_, record)| record);
            let newer = newer.filter(|newer| newer.level >= record.level).map(|newer| &newer.range);
            if is_covered(&record.range, newer) {
                delete_replicated(&*repository.store, &names::record(Verified::KIND, *id))?;
            }
        }
        Ok(())
    }
}

/// Whether other ranges together cover all of one.
fn is_covered<'a>(
    covered: &RangeInclusive<u64>,
    ranges: impl Iterator<Item = &'a RangeInclusive<u64>>,
) -> bool {
    let mut ranges: Vec<&RangeInclusive<u64>> = ranges.collect();
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut start = *covered.start();
    for range in ranges {
        if *range.start() > start {
            return false;
        }
        if *range.end() >= *covered.end() {
            return true;
        }
        start = start.max(range.end() + 1);
    }
    false
}

fn width(share_ppm: u32) -> u128 {
    (ALL * u128::from(share_ppm.min(WHOLE_PPM))).div_ceil(u128::from(WHOLE_PPM))
}

/// A share of the id space from a place on, over its end to its beginning if need be.
#[must_use]
pub fn range_from(start: u64, share_ppm: u32) -> Vec<RangeInclusive<u64>> {
    match width(share_ppm) {
        0 => Vec::new(),
        ALL => vec![0..=u64::MAX],
        width => match start.checked_add((width - 1) as u64) {
            Some(end) => vec![start..=end],
            None => vec![start..=u64::MAX, 0..=start.wrapping_add((width - 1) as u64)],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(created: i64, level: VerifiedLevel, range: RangeInclusive<u64>) -> (RecordId, Verified) {
        let id = RecordId([created as u8; 16]);
        (id, Verified { created: Timestamp(created), level, range, packs: 0, damaged: 0 })
    }

    #[test]
    fn twenty_shares_of_a_twentieth_cover_everything_once_around() {
        let mut records = Vec::new();
        for run in 0..20 {
            let coverage = Coverage::new(records.clone());
            assert_eq!(coverage.oldest(VerifiedLevel::Standard), None);
            for range in coverage.next(VerifiedLevel::Standard, 50_000) {
                records.push(record(run, VerifiedLevel::Standard, range));
            }
        }
        let coverage = Coverage::new(records);
        assert_eq!(coverage.oldest(VerifiedLevel::Standard), Some(Timestamp(0)));
        assert_eq!(coverage.oldest(VerifiedLevel::Full), None);
    }

    #[test]
    fn what_was_read_longest_ago_comes_first_and_no_record_of_the_future_hides_anything() {
        use VerifiedLevel::{Full, Standard};
        let quarter = 1 << 62;
        let coverage = Coverage::new(vec![
            record(10, Full, 0..=quarter - 1),
            record(20, Standard, quarter..=2 * quarter - 1),
            record(90, Standard, 2 * quarter..=3 * quarter - 1),
            record(500, Standard, 3 * quarter..=u64::MAX),
        ]);
        let (since, now) = (Timestamp(50), Timestamp(100));
        let all = coverage.older_than(Standard, since, now, WHOLE_PPM);
        assert_eq!(all, [0..=2 * quarter - 1, 3 * quarter..=u64::MAX]);
        let first = coverage.older_than(Standard, since, now, 250_000);
        assert_eq!(first, [3 * quarter..=u64::MAX], "never read, as far as can be believed");
        let two = coverage.older_than(Standard, since, now, 500_000);
        assert_eq!(two, [0..=quarter - 1, 3 * quarter..=u64::MAX]);
        assert_eq!(coverage.older_than(Full, since, now, WHOLE_PPM), [0..=u64::MAX]);
        assert_eq!(coverage.last(&[0x01; 32], Standard), Some(Timestamp(10)));
        assert_eq!(coverage.last(&[0x50; 32], Full), None);
    }

    #[test]
    fn a_range_is_covered_only_by_others_together_without_a_gap() {
        let covered = |others: &[RangeInclusive<u64>]| is_covered(&(10..=20), others.iter());
        assert!(covered(&[15..=30, 0..=14]));
        assert!(!covered(&[16..=30, 0..=14]));
        assert!(covered(&[0..=u64::MAX]));
    }

    #[test]
    fn errors_count_until_everything_that_their_run_read_was_read_again() {
        use VerifiedLevel::{Full, Standard};
        let damaged = |created, level, range, damaged| {
            let (id, record) = record(created, level, range);
            (id, Verified { damaged, ..record })
        };
        let half = 1 << 63;
        let mut records = vec![damaged(1, Full, 0..=u64::MAX, 3)];
        assert_eq!(Coverage::new(Vec::new()).damaged(Standard), None);
        assert_eq!(Coverage::new(records.clone()).damaged(Standard), Some(3));
        records.push(damaged(2, Standard, 0..=half, 0));
        assert_eq!(Coverage::new(records.clone()).damaged(Standard), Some(3));
        records.push(damaged(3, Standard, half..=u64::MAX, 1));
        assert_eq!(Coverage::new(records.clone()).damaged(Standard), Some(1));
        assert_eq!(Coverage::new(records).damaged(Full), Some(3));
    }

    #[test]
    fn a_share_that_passes_the_end_goes_on_at_the_beginning() {
        let ranges = range_from(u64::MAX - 1, 1);
        assert_eq!(ranges.len(), 2);
        let places: u128 = ranges.iter().map(|range| u128::from(range.end() - range.start()) + 1).sum();
        assert_eq!(places, width(1));
    }
}
