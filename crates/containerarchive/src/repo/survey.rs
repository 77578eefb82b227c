//! All that the index and the packs' tables say, read once from end to end, in bounded memory: for counting.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::keyring::DomainKeys;
use super::segment_reader::SegmentReader;
use super::{PackView, RepoError, Repository};
use crate::base::{ChunkHash, Kind, Monitor, PackId, Problem, SegmentId};
use crate::format::pack::{HEADER_LEN, PackHeader};
use crate::format::prefix::{ObjectKind, PREFIX_LEN, Prefix};
use crate::format::segment::{Key, SegmentPack, key_of};
use crate::format::{FormatError, names};
use crate::store::StoreErrorKind;

/// Entry pages that all segments together have in memory: 16 MiB, or one page for each segment.
const PAGES_IN_MEMORY: usize = 4096;
/// Most entry pages read at once from one segment.
const MAX_READ_AHEAD_PAGES: usize = 256;
/// Entries between two looks at whether the user wants to stop.
const ENTRIES_PER_LOOK: u64 = 1 << 16;
/// Of a pack that is not asked about.
const NO_PACK: u32 = u32::MAX;

/// What [`survey_index`] found.
#[derive(Debug, Default)]
pub struct IndexSurvey {
    /// Index segments that could be opened.
    pub segments: u64,
    /// Their entries: one for each chunk and pack.
    pub entries: u64,
    /// Memory that a session takes for them: fences and filters.
    pub memory_bytes: u64,
    /// Packs that no segment names.
    pub unnamed_packs: u64,
    /// Of the packs that were asked about, in their order: whether a segment names them.
    pub is_named: Vec<bool>,
    /// Packs that segments name and that were not asked about.
    pub missing: BTreeSet<PackId>,
    /// Keys of chunks that stand in several packs, in order.
    repeated: Vec<Key>,
    /// Whether all of those keys are known.
    pub is_exact: bool,
}

impl IndexSurvey {
    /// Whether a chunk may stand in several packs. No if [`Self::is_exact`] and it stands in one.
    #[must_use]
    pub fn may_repeat(&self, hash: &ChunkHash) -> bool {
        self.repeated.binary_search(&key_of(hash)).is_ok()
    }
}

/// Entries in order of their keys, each with its pack's place in the caller's list.
struct Run {
    /// Where more of them come from.
    segment: Option<SegmentReader>,
    next_page: u32,
    /// Of the packs that the segment names.
    places: Vec<u32>,
    /// In reverse order.
    entries: Vec<(Key, u32)>,
}

/// Reads all index segments of all domains and finds the chunks that stand in several of these packs, which are in
/// order. Linear in the number of entries; in memory are a page of each segment, four bytes for each pack that a segment
/// names, and at most twice `max_keys` keys. Beyond that, and where a segment is damaged or a pack that no segment names
/// could not be read, the survey is not exact.
///
/// # Errors
/// The store failed. A damaged segment is reported and left out; so is, unreported, a pack without a readable table that
/// no segment names. Stops early if the monitor says so.
pub fn survey_index(
    repository: &Repository,
    packs: &[PackId],
    max_keys: usize,
    monitor: &dyn Monitor,
) -> Result<IndexSurvey, RepoError> {
    debug_assert!(packs.is_sorted());
    let mut survey = IndexSurvey { is_exact: true, ..IndexSurvey::default() };
    survey.is_named = vec![false; packs.len()];
    let mut runs = Vec::new();
    let mut ids = Vec::new();
    let store = &*repository.store;
    store.list(names::INDEX, &mut |entry| ids.extend(names::id_of::<SegmentId>(&entry.name, "seg")))?;
    for id in ids {
        match open_run(repository, id, packs, &mut survey) {
            Ok(run) => runs.extend(run),
            // Others replaced it since it was listed.
            Err(error) if error.is_gone() => survey.is_exact = false,
            Err(error) if error.is_useless() => report(id, &error, &mut survey, monitor),
            Err(error) => return Err(error),
        }
    }
    runs.push(unnamed_run(repository, packs, max_keys, &mut survey, monitor)?);
    merge(repository, runs, max_keys, &mut survey, monitor)?;
    Ok(survey)
}

fn report(id: SegmentId, error: &RepoError, survey: &mut IndexSurvey, monitor: &dyn Monitor) {
    survey.is_exact = false;
    let object = names::segment(id).to_string();
    let text =
        format!("{error}; it is a cache, and nothing depends on it: the packs' own tables were counted");
    monitor.problem(&Problem::Mended { object, text });
}

/// The packs that a segment of any domain names, after it was opened as for a look-up. `None`: it is gone, or there are
/// no keys for its domain.
///
/// # Errors
/// The segment is damaged, or the store failed.
pub fn packs_of_segment(
    repository: &Repository,
    id: SegmentId,
) -> Result<Option<Vec<SegmentPack>>, RepoError> {
    let read = || -> Result<_, RepoError> {
        let Some(segment) = open_any_segment(repository, id)? else { return Ok(None) };
        let mut packs = Vec::new();
        segment.each_pack(repository, |pack| packs.push(pack))?;
        Ok(Some(packs))
    };
    match read() {
        Err(error) if error.is_gone() => Ok(None),
        result => result,
    }
}

/// Opens a segment of any domain. `None`: it is gone since it was listed, or there are no keys for it.
fn open_any_segment(repository: &Repository, id: SegmentId) -> Result<Option<SegmentReader>, RepoError> {
    Ok(open_segment(repository, id)?.map(|(_, segment)| segment))
}

/// As [`open_any_segment`], with the keys of its domain.
pub(super) fn open_segment(
    repository: &Repository,
    id: SegmentId,
) -> Result<Option<(Arc<DomainKeys>, SegmentReader)>, RepoError> {
    let name = names::segment(id);
    let mut prefix = [0; PREFIX_LEN];
    match repository.store.get_range(&name, 0, &mut prefix) {
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
        result => result?,
    }
    let config = &repository.config;
    let prefix = Prefix::parse(&prefix, ObjectKind::Segment, config.suite, config.repository)
        .map_err(|source| RepoError::format(&name, source))?;
    let Some(keys) = repository.keys.domain(prefix.domain)? else { return Ok(None) };
    Ok(SegmentReader::open(repository, id, &keys)?.map(|segment| (keys, segment)))
}

fn open_run(
    repository: &Repository,
    id: SegmentId,
    packs: &[PackId],
    survey: &mut IndexSurvey,
) -> Result<Option<Run>, RepoError> {
    let Some(segment) = open_any_segment(repository, id)? else { return Ok(None) };
    let mut places = Vec::new();
    segment.each_pack(repository, |pack| {
        let place = packs.binary_search(&pack.id).ok();
        match place {
            Some(place) => survey.is_named[place] = true,
            None => {
                survey.missing.insert(pack.id);
            }
        }
        places.push(place.and_then(|place| u32::try_from(place).ok()).unwrap_or(NO_PACK));
    })?;
    survey.segments += 1;
    survey.entries += segment.entry_count();
    survey.memory_bytes += segment.memory_bytes();
    let segment = Some(segment.for_reading_through());
    Ok(Some(Run { segment, next_page: 0, places, entries: Vec::new() }))
}

/// The chunks of packs that no segment names: what an interrupted session left, or everything if the index is gone.
fn unnamed_run(
    repository: &Repository,
    packs: &[PackId],
    max_keys: usize,
    survey: &mut IndexSurvey,
    monitor: &dyn Monitor,
) -> Result<Run, RepoError> {
    let mut entries = Vec::new();
    for (place, id) in packs.iter().enumerate() {
        if survey.is_named[place] {
            continue;
        }
        survey.unnamed_packs += 1;
        if monitor.is_cancelled() || entries.len() >= max_keys {
            survey.is_exact = false;
            continue;
        }
        let view = match repository.view_any_pack(*id) {
            Ok(view) => view,
            // Who counts tables reads this one again, reports it, and counts none of its chunks, so that none repeats.
            // Only after a read that failed may that second look find a table, which then was not compared.
            Err(error) if error.is_useless() => {
                survey.is_exact &= !matches!(error, RepoError::Store(_));
                continue;
            }
            Err(error) => return Err(error),
        };
        let chunks = view.table.records().iter().filter(|record| record.id.kind != Kind::Padding);
        entries.extend(chunks.map(|record| (key_of(&record.id.hash), place as u32)));
    }
    entries.sort_unstable_by_key(|entry| Reverse(*entry));
    Ok(Run { segment: None, next_page: 0, places: Vec::new(), entries })
}

impl Run {
    /// The next entry, from the store if need be.
    fn next(&mut self, repository: &Repository, page_count: u32) -> Result<Option<(Key, u32)>, RepoError> {
        if let Some(entry) = self.entries.pop() {
            return Ok(Some(entry));
        }
        let Some(segment) = &self.segment else { return Ok(None) };
        let end = segment.entry_pages().min(self.next_page.saturating_add(page_count));
        let read = segment.read_entries(repository, self.next_page..end)?;
        self.next_page = end;
        let place = |pack: u32| self.places.get(pack as usize).copied().unwrap_or(NO_PACK);
        self.entries.extend(read.iter().rev().map(|entry| (entry.key, place(entry.pack))));
        Ok(self.entries.pop())
    }

    /// The next entry. A segment that turns out to be damaged, or was replaced meanwhile, ends there.
    fn next_or_report(
        &mut self,
        repository: &Repository,
        page_count: u32,
        survey: &mut IndexSurvey,
        monitor: &dyn Monitor,
    ) -> Result<Option<(Key, u32)>, RepoError> {
        let error = match self.next(repository, page_count) {
            Ok(entry) => return Ok(entry),
            Err(error) => error,
        };
        match self.segment.take() {
            Some(segment) if error.is_gone() || error.is_useless() => {
                report(segment.id, &error, survey, monitor);
                Ok(None)
            }
            _ => Err(error),
        }
    }
}

/// Walks all runs in the order of their keys and notes the keys that stand in different packs.
fn merge(
    repository: &Repository,
    mut runs: Vec<Run>,
    max_keys: usize,
    survey: &mut IndexSurvey,
    monitor: &dyn Monitor,
) -> Result<(), RepoError> {
    let page_count = (PAGES_IN_MEMORY / runs.len().max(1)).clamp(1, MAX_READ_AHEAD_PAGES) as u32;
    let mut heap = BinaryHeap::new();
    for (number, run) in runs.iter_mut().enumerate() {
        let first = run.next_or_report(repository, page_count, survey, monitor)?;
        heap.extend(first.map(|(key, place)| Reverse((key, place, number))));
    }
    // The key at hand, the first pack that has it, and whether it was noted.
    let mut group: Option<(Key, u32, bool)> = None;
    let mut count = 0_u64;
    while let Some(Reverse((key, place, number))) = heap.pop() {
        let next = runs[number].next_or_report(repository, page_count, survey, monitor)?;
        heap.extend(next.map(|(key, place)| Reverse((key, place, number))));
        count += 1;
        if count.is_multiple_of(ENTRIES_PER_LOOK) && monitor.is_cancelled() {
            survey.is_exact = false;
            return Ok(());
        }
        if place == NO_PACK {
            continue;
        }
        match &mut group {
            Some((last, first, is_noted)) if *last == key => {
                if *first != place && !std::mem::replace(is_noted, true) {
                    if survey.repeated.len() < max_keys {
                        survey.repeated.push(key);
                    } else {
                        survey.is_exact = false;
                    }
                }
            }
            _ => group = Some((key, place, false)),
        }
    }
    Ok(())
}

impl Repository {
    /// Reads the table of a pack of any domain: from its index file, else from the pack itself.
    ///
    /// # Errors
    /// The pack is missing, damaged, or of a domain that there are no keys for.
    pub fn view_any_pack(&self, id: PackId) -> Result<PackView, RepoError> {
        self.view_index_with(id, |domain| self.keys.domain(domain).ok()?)
            .map_or_else(|| self.view_pack_of_any_domain(id), Ok)
    }

    /// Reads the table of a pack of any domain from the pack itself.
    ///
    /// # Errors
    /// As [`Self::view_any_pack`].
    pub fn view_pack_of_any_domain(&self, id: PackId) -> Result<PackView, RepoError> {
        let name = names::pack(id);
        let damaged = |source| RepoError::format(&name, source);
        let mut header = [0; HEADER_LEN];
        self.read_pack(id, 0, &mut header)?;
        let header = PackHeader::parse(&header, self.config.suite, self.config.repository);
        let domain = header.map_err(damaged)?.prefix.domain;
        let keys = self.keys.domain(domain)?;
        let keys =
            keys.ok_or_else(|| damaged(FormatError::broken("R-CHUNK-2", "there is no key for its domain")))?;
        self.view_pack(id, &keys)
    }
}
