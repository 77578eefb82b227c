//! Which packs and shards a run reads.

use std::ops::RangeInclusive;

use super::{VerifyLevel, VerifyOptions};
use crate::base::random::random_array;
use crate::base::{Monitor, Timestamp};
use crate::error::Error;
use crate::format::signed::{Verified, VerifiedLevel};
use crate::repo::{Coverage, Environment, RepoError, Repository, place_of, range_from};

/// All of the packs and shards, in millionths.
const ALL_PPM: u32 = 1_000_000;

/// Ranges of ids, and what is to be remembered of them.
pub(super) struct Selection {
    level: Option<VerifiedLevel>,
    coverage: Coverage,
    /// When the run began: what it reads later is at least as young.
    begun: Timestamp,
    ranges: Vec<RangeInclusive<u64>>,
    /// What is left out, for people.
    pub(super) skipped: Option<String>,
}

fn level_of(level: VerifyLevel) -> Option<VerifiedLevel> {
    match level {
        VerifyLevel::Quick => None,
        VerifyLevel::Standard => Some(VerifiedLevel::Standard),
        VerifyLevel::Full => Some(VerifiedLevel::Full),
    }
}

impl Selection {
    /// What is due, by the records of earlier runs.
    pub(super) fn of_records(
        repository: &Repository,
        options: &VerifyOptions<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Self, Error> {
        let coverage = Coverage::load(repository, monitor)?;
        let begun = repository.environment.clock.now();
        let share_ppm = options.sample_ppm.unwrap_or(ALL_PPM);
        let level = level_of(options.level);
        let ranges = match (level, options.max_age_ms) {
            (None, _) => Vec::new(),
            (Some(level), Some(max_age_ms)) => {
                let max_age_ms = i64::try_from(max_age_ms).unwrap_or(i64::MAX);
                let since = Timestamp(begun.0.saturating_sub(max_age_ms));
                coverage.older_than(level, since, begun, share_ppm)
            }
            (Some(level), None) => coverage.next(level, share_ppm),
        };
        Ok(Self::new(level, coverage, begun, ranges))
    }

    /// A share from anywhere, where no records can be kept.
    pub(super) fn at_random(environment: &Environment, options: &VerifyOptions<'_>) -> Result<Self, Error> {
        let start = u64::from_le_bytes(random_array(&*environment.random).map_err(RepoError::from)?);
        let ranges = range_from(start, options.sample_ppm.unwrap_or(ALL_PPM));
        let level = level_of(options.level);
        let mut this = Self::new(level, Coverage::default(), environment.clock.now(), ranges);
        if options.sample_ppm.is_some() {
            this.skipped = Some(
                "the sample was taken at random: which packs were read before is not known without an admin key"
                    .to_owned(),
            );
        }
        if options.max_age_ms.is_some() {
            this.skipped = Some(
                "when packs were read before is not known without an admin key: no age was looked at"
                    .to_owned(),
            );
        }
        Ok(this)
    }

    fn new(
        level: Option<VerifiedLevel>,
        coverage: Coverage,
        begun: Timestamp,
        ranges: Vec<RangeInclusive<u64>>,
    ) -> Self {
        Self { level, coverage, begun, ranges, skipped: None }
    }

    /// Whether it is the turn of a pack or shard.
    pub(super) fn has(&self, id: &[u8; 32]) -> bool {
        let place = place_of(id);
        self.ranges.iter().any(|range| range.contains(&place))
    }

    /// Writes down that all of it was read.
    pub(super) fn remember(self, repository: &Repository, packs: u64, damaged: u64) -> Result<(), RepoError> {
        let Some(level) = self.level.filter(|_| !self.ranges.is_empty()) else { return Ok(()) };
        let created = self.begun;
        let record = |range| Verified { created, level, range, packs, damaged };
        self.coverage.remember(repository, self.ranges.into_iter().map(record).collect())
    }
}
