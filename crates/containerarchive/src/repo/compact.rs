//! Index segments that name packs which are gone, and many small ones, become few that name what is there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::keyring::DomainKeys;
use super::publish::{ENTRIES_PER_SEGMENT, put_segment};
use super::segment_reader::SegmentReader;
use super::survey::open_segment;
use super::{RepoError, Repository};
use crate::base::{DomainId, Monitor, PackId, SegmentId, SessionId};
use crate::format::names;
use crate::format::segment::{Entry, SegmentPack};

/// Segments of a domain that are left alone, however small they are.
const MAX_SMALL_SEGMENTS: usize = 8;
/// A segment is small if it has less than this part of the entries that one should have at most.
const SMALL_PART: usize = 8;
/// Entry pages read at once.
const PAGES_AT_ONCE: u32 = 256;

/// A segment that others take the place of.
struct Old {
    id: SegmentId,
    entries: u64,
}

/// Publishes segments that take the place of those which name a pack that is gone, and of small ones where there are
/// many. Returns the old ones, to be deleted once nothing needs them. What a segment says of other packs is kept, pair by
/// pair. Damaged segments are left to repair.
///
/// Reads the packs that each segment names, and the entries of those that are replaced. Memory: the entries of one segment,
/// 2^20 of 16 bytes each, and what is sealed of them.
///
/// # Errors
/// The store failed; nothing is superseded then.
pub fn compact_segments(
    repository: &Repository,
    session: SessionId,
    is_gone: &dyn Fn(&PackId) -> bool,
    monitor: &dyn Monitor,
) -> Result<Vec<SegmentId>, RepoError> {
    let mut ids = Vec::new();
    let store = &*repository.store;
    store.list(names::INDEX, &mut |entry| ids.extend(names::id_of::<SegmentId>(&entry.name, "seg")))?;
    ids.sort_unstable();
    let mut stale: BTreeMap<DomainId, Vec<Old>> = BTreeMap::new();
    let mut small: BTreeMap<DomainId, Vec<Old>> = BTreeMap::new();
    for id in ids {
        if monitor.is_cancelled() {
            return Ok(Vec::new());
        }
        let Some((keys, segment)) = open(repository, id)? else { continue };
        let mut is_stale = false;
        match segment.each_pack(repository, |pack| is_stale |= is_gone(&pack.id)) {
            Err(error) if error.is_useless() => continue,
            other => other?,
        }
        let old = Old { id, entries: segment.entry_count() };
        if is_stale {
            stale.entry(keys.id).or_default().push(old);
        } else if old.entries < (ENTRIES_PER_SEGMENT / SMALL_PART) as u64 {
            small.entry(keys.id).or_default().push(old);
        }
    }
    for (domain, segments) in small {
        if segments.len() > MAX_SMALL_SEGMENTS {
            stale.entry(domain).or_default().extend(segments);
        }
    }
    let mut superseded = Vec::new();
    for mut segments in stale.into_values() {
        segments.sort_by_key(|old| (old.entries, old.id));
        for batch in batches(&segments) {
            replace(repository, session, batch, is_gone)?;
        }
        superseded.extend(segments.iter().map(|old| old.id));
    }
    Ok(superseded)
}

/// One that is damaged, or gone since it was listed, is none.
fn open(
    repository: &Repository,
    id: SegmentId,
) -> Result<Option<(Arc<DomainKeys>, SegmentReader)>, RepoError> {
    match open_segment(repository, id) {
        Err(error) if error.is_useless() || error.is_gone() => Ok(None),
        Err(error) => Err(error),
        Ok(opened) => Ok(opened.map(|(keys, segment)| (keys, segment.for_reading_through()))),
    }
}

/// As many in a row as one segment should have entries; at least one.
fn batches(segments: &[Old]) -> Vec<&[Old]> {
    let mut batches = Vec::new();
    let mut rest = segments;
    while !rest.is_empty() {
        let mut entries = 0;
        let fits = |old: &&Old| {
            entries += old.entries;
            entries <= ENTRIES_PER_SEGMENT as u64
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, others) = rest.split_at(count);
        batches.push(batch);
        rest = others;
    }
    batches
}

/// Publishes what old segments say of packs that are not gone. A pack that several name is taken from the first.
fn replace(
    repository: &Repository,
    session: SessionId,
    old: &[Old],
    is_gone: &dyn Fn(&PackId) -> bool,
) -> Result<(), RepoError> {
    let mut packs: HashMap<PackId, (SegmentPack, u32)> = HashMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut domain = None;
    for old in old {
        let Some((keys, segment)) = open_segment(repository, old.id)? else { continue };
        let segment = segment.for_reading_through();
        // The new ordinal of each of its packs, if this segment is the one that its entries are taken from.
        let mut ordinals: Vec<Option<u32>> = Vec::new();
        segment.each_pack(repository, |pack| {
            let is_new = !is_gone(&pack.id) && !packs.contains_key(&pack.id);
            let ordinal = packs.len() as u32;
            if is_new {
                packs.insert(pack.id, (pack, ordinal));
            }
            ordinals.push(is_new.then_some(ordinal));
        })?;
        let pages = segment.entry_pages();
        for first in (0..pages).step_by(PAGES_AT_ONCE as usize) {
            let end = first.saturating_add(PAGES_AT_ONCE).min(pages);
            for entry in segment.read_entries(repository, first..end)? {
                let ordinal = ordinals.get(entry.pack as usize).copied().flatten();
                entries.extend(ordinal.map(|pack| Entry { pack, ..entry }));
            }
        }
        domain = Some(keys);
    }
    let Some(domain) = domain.filter(|_| !packs.is_empty()) else { return Ok(()) };
    let mut packs: Vec<(SegmentPack, u32)> = packs.into_values().collect();
    packs.sort_unstable();
    let mut places = vec![0; packs.len()];
    for (place, (_, ordinal)) in packs.iter().enumerate() {
        places[*ordinal as usize] = place as u32;
    }
    entries.iter_mut().for_each(|entry| entry.pack = places[entry.pack as usize]);
    entries.sort_unstable();
    let packs: Vec<SegmentPack> = packs.into_iter().map(|(pack, _)| pack).collect();
    put_segment(repository, &domain, session, &packs, &entries)?;
    Ok(())
}
