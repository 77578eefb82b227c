//! One pack, shard or segment, read from its first byte to its last, once.

use std::collections::{BTreeSet, HashMap};

use super::{Site, State};
use crate::base::limits::MAX_IDX_BYTES;
use crate::base::{DomainId, Kind, Monitor, ObjectName, PackId, SegmentId, ShardId};
use crate::crypto::{BLOCK_LEN, BlockHasher, BlockSum};
use crate::error::Error;
use crate::format::idx::PackIndex;
use crate::format::names;
use crate::format::pack::{HEADER_LEN, PackHeader, TRAILER_LEN};
use crate::repo::{DomainKeys, PackReader, PackView, RepoError, Repository, packs_of_segment};
use crate::store::StoreErrorKind;

/// Bytes that are read and hashed at once, and whose chunks are opened while they are in the cache.
const PIECE: usize = 32 * BLOCK_LEN;
/// Plain bytes of chunks that are opened at once, single larger ones apart.
const PLAIN_BYTES: u64 = 2 << 20;

/// A file that is named by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FileId {
    /// A pack, with its pack index.
    Pack(PackId),
    /// A parity shard.
    Shard(ShardId),
    /// An index segment.
    Segment(SegmentId),
}

impl FileId {
    /// Its name.
    pub(crate) fn name(self) -> ObjectName {
        match self {
            Self::Pack(id) => names::pack(id),
            Self::Shard(id) => names::shard(id),
            Self::Segment(id) => names::segment(id),
        }
    }

    /// The BLAKE3 that it is named by.
    pub(crate) fn hash(&self) -> &[u8; 32] {
        match self {
            Self::Pack(id) => id.as_bytes(),
            Self::Shard(id) => id.as_bytes(),
            Self::Segment(id) => id.as_bytes(),
        }
    }
}

/// How deep files are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// Checksums, and with a key headers and tables. The chunks of a pack whose checksum is wrong are opened.
    Tables,
    /// Every chunk is opened.
    Chunks,
}

/// Which chunks of a pack cannot be had from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadSlots {
    /// All.
    All,
    /// These; maybe none.
    Some(BTreeSet<u32>),
}

/// What is known of a file.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    /// Which.
    pub(crate) id: FileId,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// How it is.
    pub(crate) state: State,
    /// Whether its bytes have its name. What is damaged all the same was written so, and no parity mends that.
    pub(crate) is_whole: bool,
    /// Of a pack.
    pub(crate) bad: BadSlots,
    /// Chunks that were opened.
    pub(crate) chunks: u64,
    /// Checksums of its blocks, if it is not whole.
    pub(crate) sums: Vec<BlockSum>,
    /// Of a pack: as far as it can be read.
    pub(crate) header: Option<PackHeader>,
    /// Of a pack on a local store: its pack index.
    pub(crate) idx: Option<State>,
}

/// What a worker keeps from one file to the next.
#[derive(Default)]
pub(super) struct Worker {
    readers: HashMap<DomainId, PackReader>,
    stored: Vec<u8>,
    plain: Vec<u8>,
}

/// Reads a file. Memory: a mebibyte and what one chunk takes.
pub(super) fn check_file(
    site: &Site<'_>,
    worker: &mut Worker,
    id: FileId,
    depth: Depth,
    monitor: &dyn Monitor,
) -> Result<Checked, Error> {
    let mut checked = Checked {
        id,
        len: 0,
        state: State::Missing,
        is_whole: false,
        bad: BadSlots::All,
        chunks: 0,
        sums: Vec::new(),
        header: None,
        idx: None,
    };
    let Some(len) = site.parity.store.head(&id.name()).map_err(RepoError::from)? else {
        return Ok(checked);
    };
    checked.len = len;
    match id {
        FileId::Pack(pack) => check_pack(site, worker, pack, depth, monitor, &mut checked)?,
        FileId::Shard(_) => {
            read_through(site, worker, &mut checked, None, monitor)?;
        }
        FileId::Segment(segment) => {
            read_through(site, worker, &mut checked, None, monitor)?;
            if checked.is_whole
                && let Some(repository) = site.opened
            {
                match packs_of_segment(repository, segment) {
                    Err(error) if error.is_useless() => checked.state = State::Damaged(error.to_string()),
                    Err(error) => return Err(error.into()),
                    Ok(None) => checked.state = State::Missing,
                    Ok(Some(_)) => {}
                }
            }
        }
    }
    Ok(checked)
}

fn check_pack(
    site: &Site<'_>,
    worker: &mut Worker,
    pack: PackId,
    depth: Depth,
    monitor: &dyn Monitor,
    checked: &mut Checked,
) -> Result<(), Error> {
    let mut table_error = None;
    let mut own = None;
    if let Some(repository) = site.opened {
        match repository.view_pack_of_any_domain(pack) {
            Ok(view) => {
                let keys = repository.keys.domain(view.header.prefix.domain).map_err(RepoError::from)?;
                own = keys.map(|keys| (view, keys));
            }
            Err(error) if error.is_useless() => table_error = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let opener = |(view, keys): &(PackView, std::sync::Arc<DomainKeys>), worker: &mut Worker| {
        let reader = worker.readers.remove(&keys.id).unwrap_or_else(|| PackReader::new(keys.clone()));
        (view.header.prefix.domain, reader)
    };
    let mut failed = BTreeSet::new();
    let wants_chunks = depth == Depth::Chunks;
    if let (Some(repository), Some(own)) = (site.opened, &own) {
        let (domain, reader) = opener(own, worker);
        let mut chunks =
            Chunks { repository, view: &own.0, reader, next: 0, failed: BTreeSet::new(), why: None };
        let is_read = read_through(site, worker, checked, wants_chunks.then_some(&mut chunks), monitor)?;
        if !checked.is_whole && (!wants_chunks || !is_read) && checked.state != State::Missing {
            chunks.each_alone(worker, monitor)?;
        }
        if wants_chunks || !checked.is_whole {
            let records = own.0.table.records().iter();
            checked.chunks = records.filter(|record| record.id.kind != Kind::Padding).count() as u64;
        }
        if let (Some(why), State::Intact) = (chunks.why, &checked.state) {
            checked.state = State::Damaged(why);
        }
        failed = chunks.failed;
        worker.readers.insert(domain, chunks.reader);
    } else {
        read_through(site, worker, checked, None, monitor)?;
    }
    if let (Some(error), State::Intact) = (&table_error, &checked.state) {
        checked.state = State::Damaged(error.to_string());
    }
    checked.bad = match (checked.state == State::Intact, own.is_some()) {
        (true, _) => BadSlots::Some(BTreeSet::new()),
        (false, true) if checked.state != State::Missing => BadSlots::Some(failed),
        (false, _) => BadSlots::All,
    };
    let mut header = [0; HEADER_LEN];
    checked.header = site
        .parity
        .store
        .get_range(&names::pack(pack), 0, &mut header)
        .ok()
        .and_then(|()| PackHeader::parse(&header, site.parity.suite, site.parity.repository).ok());
    if site.parity.store.capabilities().is_local {
        checked.idx = Some(check_idx(site, pack, checked)?);
    }
    Ok(())
}

/// Reads a file in pieces, compares its BLAKE3, and gives the pieces to `chunks`. False if not all could be read.
fn read_through(
    site: &Site<'_>,
    worker: &mut Worker,
    checked: &mut Checked,
    mut chunks: Option<&mut Chunks<'_>>,
    monitor: &dyn Monitor,
) -> Result<bool, Error> {
    let name = checked.id.name();
    let mut hasher = BlockHasher::default();
    let (mut offset, mut kept) = (0, 0);
    while offset < checked.len {
        if monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let piece = (checked.len - offset).min(PIECE as u64) as usize;
        if worker.stored.len() < kept + piece {
            worker.stored.resize(kept + piece, 0);
        }
        match site.parity.store.get_range(&name, offset, &mut worker.stored[kept..kept + piece]) {
            Ok(()) => {}
            Err(error) if error.kind == StoreErrorKind::NotFound => {
                checked.state = State::Missing;
                return Ok(false);
            }
            Err(error) => {
                let error = RepoError::from(error);
                if !error.is_damage() {
                    return Err(error.into());
                }
                checked.state = State::Damaged(error.to_string());
                return Ok(false);
            }
        }
        hasher.update(&worker.stored[kept..kept + piece]);
        offset += piece as u64;
        if let Some(chunks) = &mut chunks {
            kept = chunks.open_complete(worker, kept + piece, offset)?;
        }
    }
    let (hash, sums) = hasher.finish();
    checked.is_whole = hash == *checked.id.hash();
    checked.state = if checked.is_whole {
        State::Intact
    } else {
        checked.sums = sums;
        State::Damaged("its name is not the BLAKE3 of its bytes (R-NAME-1)".to_owned())
    };
    Ok(true)
}

fn check_idx(site: &Site<'_>, pack: PackId, checked: &Checked) -> Result<State, Error> {
    let name = names::idx(pack);
    let bytes = match site.parity.store.get(&name, MAX_IDX_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(State::Missing),
        Err(error) if error.kind == StoreErrorKind::TooLarge => {
            return Ok(State::Damaged("it is too long".to_owned()));
        }
        Err(error) => {
            let error = RepoError::from(error);
            return if error.is_damage() { Ok(State::Damaged(error.to_string())) } else { Err(error.into()) };
        }
    };
    let index = match PackIndex::parse(&bytes, pack, site.parity.suite, site.parity.repository) {
        Ok(index) => index,
        Err(error) => return Ok(State::Damaged(error.to_string())),
    };
    if !checked.is_whole {
        return Ok(State::Intact);
    }
    let mut table = vec![0; index.table.len()];
    let agrees = index.pack_len == checked.len
        && checked.header.as_ref() == Some(&index.header)
        && checked.len.checked_sub((table.len() + TRAILER_LEN) as u64).is_some_and(|offset| {
            site.parity.store.get_range(&names::pack(pack), offset, &mut table).is_ok()
        })
        && table == index.table;
    if agrees {
        return Ok(State::Intact);
    }
    Ok(State::Damaged("it says something else than its pack".to_owned()))
}

/// The chunks of a pack, opened while the pack is read.
struct Chunks<'a> {
    repository: &'a Repository,
    view: &'a PackView,
    reader: PackReader,
    /// Slot of the first chunk that was not yet looked at.
    next: u32,
    failed: BTreeSet<u32>,
    /// What was wrong with the first one that failed.
    why: Option<String>,
}

impl Chunks<'_> {
    /// Opens the chunks that are complete in the first `filled` bytes of the buffer, which end at `offset` of the pack.
    /// Moves the rest to the buffer's beginning and returns its length.
    fn open_complete(&mut self, worker: &mut Worker, filled: usize, offset: u64) -> Result<usize, Error> {
        let base = offset - filled as u64;
        let mut rest = offset;
        loop {
            let records = self.view.table.records();
            let Some((_, start)) = self.view.table.get(self.next) else { break };
            rest = start;
            let (mut end, mut plain_bytes, mut count) = (start, 0, 0);
            for record in &records[self.next as usize..] {
                let next_end = end + u64::from(record.stored_len);
                plain_bytes += u64::from(record.plain_len);
                let is_full = count > 0 && plain_bytes > PLAIN_BYTES;
                if next_end > offset || is_full || record.id.kind == Kind::Padding {
                    break;
                }
                (end, count) = (next_end, count + 1);
            }
            if count == 0 {
                let is_padding = records[self.next as usize].id.kind == Kind::Padding;
                if is_padding {
                    self.next += 1;
                    continue;
                }
                break;
            }
            // A buffer that begins behind the chunk's start cannot be: what was not complete was kept.
            let stored = &mut worker.stored[(start - base) as usize..(end - base) as usize];
            self.open_run(count, stored, &mut worker.plain)?;
            rest = end;
        }
        let is_done = self.next as usize >= self.view.table.records().len();
        let kept = if is_done { 0 } else { offset.saturating_sub(rest.max(base)) as usize };
        worker.stored.copy_within(filled - kept..filled, 0);
        Ok(kept)
    }

    fn open_run(&mut self, count: usize, stored: &mut [u8], plain: &mut Vec<u8>) -> Result<(), Error> {
        let first = self.next;
        let records = &self.view.table.records()[first as usize..first as usize + count];
        self.next += count as u32;
        plain.clear();
        let chunks = records.iter().enumerate().map(|(at, record)| (first + at as u32, record));
        let (good, error) = self.reader.open_run(self.view, records[0].id.kind, chunks, stored, plain);
        let Some(error) = error else { return Ok(()) };
        self.fail(first + good as u32, error)?;
        // The bytes of those behind it may be used up.
        for slot in first + good as u32 + 1..self.next {
            self.open_alone(slot, plain)?;
        }
        Ok(())
    }

    /// Opens all chunks, each read alone.
    fn each_alone(&mut self, worker: &mut Worker, monitor: &dyn Monitor) -> Result<(), Error> {
        self.failed.clear();
        for slot in 0..self.view.table.records().len() as u32 {
            if monitor.is_cancelled() {
                return Err(Error::Cancelled);
            }
            self.open_alone(slot, &mut worker.plain)?;
        }
        Ok(())
    }

    fn open_alone(&mut self, slot: u32, plain: &mut Vec<u8>) -> Result<(), Error> {
        let Some((record, offset)) = self.view.table.get(slot) else { return Ok(()) };
        if record.id.kind == Kind::Padding {
            return Ok(());
        }
        let mut stored = vec![0; record.stored_len as usize];
        plain.clear();
        let read = self.repository.read_pack(self.view.id, offset, &mut stored);
        match read.and_then(|()| self.reader.open(self.view, slot, &record, &mut stored, plain)) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(slot, error),
        }
    }

    fn fail(&mut self, slot: u32, error: RepoError) -> Result<(), Error> {
        if !error.is_useless() {
            return Err(error.into());
        }
        self.failed.insert(slot);
        self.why.get_or_insert_with(|| error.to_string());
        Ok(())
    }
}
