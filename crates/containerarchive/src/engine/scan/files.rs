//! All files that are named by their content, read in parallel.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::file::{BadSlots, Checked, Depth, FileId, Worker, check_file};
use super::{Site, State};
use crate::base::{Monitor, PackId, Progress, SegmentId, ShardId};
use crate::engine::pipeline::{Pool, Ticket};
use crate::error::Error;
use crate::format::names::{self, id_of, pack_id_of};
use crate::repo::RepoError;

/// Files that each worker may be ahead of what was told.
const WINDOW: usize = 2;

/// What a listing shows, with lengths in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileList {
    /// Packs.
    pub(crate) packs: BTreeMap<PackId, u64>,
    /// Parity shards.
    pub(crate) shards: BTreeMap<ShardId, u64>,
    /// Index segments.
    pub(crate) segments: BTreeMap<SegmentId, u64>,
}

/// Lists packs, shards and segments.
///
/// # Errors
/// The store failed.
pub(crate) fn list_files(site: &Site<'_>) -> Result<FileList, Error> {
    let mut files = FileList::default();
    let store = site.parity.store;
    let listed = store
        .list(names::INDEX, &mut |entry| {
            files.segments.extend(id_of::<SegmentId>(&entry.name, "seg").map(|id| (id, entry.len)));
        })
        .and_then(|()| {
            store.list(names::PARITY, &mut |entry| {
                files.shards.extend(id_of::<ShardId>(&entry.name, "par").map(|id| (id, entry.len)));
            })
        })
        .and_then(|()| {
            store.list(names::PACKS, &mut |entry| {
                files.packs.extend(pack_id_of(&entry.name, "pack").map(|id| (id, entry.len)));
            })
        });
    listed.map_err(RepoError::from)?;
    Ok(files)
}

/// Reads files, on several threads, the longest first, so that none is busy with one long after the others are done; calls
/// `each` in that order. Memory: some mebibytes for each thread.
///
/// # Errors
/// The store failed, or the user wants to stop. Damage is no error: it is told.
pub(crate) fn check_files(
    site: &Site<'_>,
    files: &[(FileId, u64)],
    (depth, threads): (Depth, usize),
    monitor: &dyn Monitor,
    each: &mut dyn FnMut(Checked) -> Result<(), Error>,
) -> Result<(), Error> {
    let total_bytes = Some(files.iter().map(|(_, len)| len).sum());
    let mut progress = Progress { subject: "packs".to_owned(), done_bytes: 0, total_bytes };
    std::thread::scope(|scope| {
        let pool = Pool::new(scope, threads, Worker::default);
        let window = WINDOW * pool.width();
        let mut reading: VecDeque<(u64, Ticket<Result<Checked, Error>>)> = VecDeque::new();
        let mut files: Vec<&(FileId, u64)> = files.iter().collect();
        files.sort_by_key(|(_, len)| std::cmp::Reverse(*len));
        let mut files = files.into_iter();
        loop {
            if monitor.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let next = files.next();
            reading.extend(next.map(|(id, len)| {
                let (site, id) = (*site, *id);
                (*len, pool.submit(move |worker| check_file(&site, worker, id, depth, monitor)))
            }));
            if reading.len() <= window && next.is_some() {
                continue;
            }
            let Some((len, ticket)) = reading.pop_front() else { return Ok(()) };
            each(ticket.redeem().ok_or(Error::Worker)??)?;
            progress.done_bytes += len;
            monitor.progress(&progress);
        }
    })
}

/// Packs, and chunks of packs, that are known to be of no use.
#[derive(Debug, Default)]
pub(crate) struct BadPacks(HashMap<PackId, BadSlots>);

impl BadPacks {
    /// Notes what was found out about a file, if it is a pack that is not intact.
    pub(crate) fn note(&mut self, checked: &Checked) {
        if let FileId::Pack(pack) = checked.id
            && checked.state != State::Intact
        {
            self.0.insert(pack, checked.bad.clone());
        }
    }

    /// Forgets a pack: it can be read again.
    pub(crate) fn forget(&mut self, pack: &PackId) {
        self.0.remove(pack);
    }

    /// Whether a chunk of a pack is of no use.
    pub(crate) fn has(&self, pack: &PackId, slot: u32) -> bool {
        match self.0.get(pack) {
            None => false,
            Some(BadSlots::All) => true,
            Some(BadSlots::Some(slots)) => slots.contains(&slot),
        }
    }
}
