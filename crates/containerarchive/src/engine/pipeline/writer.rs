//! Where chunks end: known ones are referred to, new ones go into packs, packs into the store, and segments name them.
//! One thread owns a writer; packs are sealed and written by threads of their own, which mostly wait for the disk.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Pool, Ticket};
use crate::base::{ChunkHash, ChunkId, Kind, Monitor, PackId, Planted, SessionId, is_planted};
use crate::compress::{Codec, Compressor, ItemCompression};
use crate::format::names;
use crate::format::pack::Record;
use crate::format::prefix::Class;
use crate::repo::{DomainKeys, Index, OpenPack, ParityKeeper, RepoError, Repository, StoredPacks};
use crate::store::StoreErrorKind;

/// Packs that are sealed and written at once: while one waits for the disk to have it, another one is sealed, a third one
/// is on its way, and a fourth one fills. With two at once an ingest of noise was measured to take 5 % longer.
pub(crate) const PACK_THREADS: usize = 3;

/// Most bytes that are reserved for a pack before it grows to them. A buffer that doubles instead is copied on its way,
/// and leaves holes in the heap.
const MAX_RESERVED_BYTES: usize = 64 << 20;

/// Chunks of packs that wait for their parity: a bound on memory, for packs of very small chunks.
const MAX_WAITING_CHUNKS: usize = 1 << 20;

/// What a writer counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// References to data chunks that this writer stored.
    pub(crate) new_chunks: u64,
    /// References to data chunks that were there.
    pub(crate) reused_chunks: u64,
    /// Bytes of the packs that were written.
    pub(crate) stored_bytes: u64,
}

/// A pack that was written.
struct Written {
    id: PackId,
    len: u64,
    class: Class,
    records: Vec<Record>,
}

/// The state of one session's writing.
pub(crate) struct Writer<'env> {
    repository: &'env Repository,
    domain: Arc<DomainKeys>,
    session: SessionId,
    index: Index,
    monitor: &'env dyn Monitor,
    /// Chunks that this session found new and that no segment names yet, wherever on their way they are.
    fresh: HashSet<ChunkId>,
    /// Those of them that are in protected packs: the next segment names them.
    durable: Vec<ChunkId>,
    keeper: Arc<ParityKeeper<'env>>,
    /// Packs that were written, whose parity may not be.
    waiting: HashMap<PackId, Written>,
    /// Packs whose parity is durable, and adopted ones, which wait for nothing.
    protected: HashSet<PackId>,
    /// Their chunks.
    waiting_chunks: usize,
    data: OpenPack,
    structure: OpenPack,
    packs: Pool<'env, ()>,
    /// Packs that may be in flight when one more is finished.
    most_in_flight: usize,
    in_flight: VecDeque<Ticket<Result<Written, RepoError>>>,
    stored: StoredPacks,
    used: BTreeSet<PackId>,
    /// Buffers of packs that were written, and whose parity does not need them any more.
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    node_compression: ItemCompression,
    compressor: Compressor,
    text: Vec<u8>,
    pub(crate) counters: Counters,
}

impl<'env> Writer<'env> {
    /// A writer for a registered session.
    pub(crate) fn new(
        repository: &'env Repository,
        domain: Arc<DomainKeys>,
        session: SessionId,
        index: Index,
        (keeper, adopted): (ParityKeeper<'env>, StoredPacks),
        packs: Pool<'env, ()>,
        monitor: &'env dyn Monitor,
    ) -> Self {
        Self {
            repository,
            domain,
            session,
            index,
            monitor,
            fresh: HashSet::new(),
            durable: Vec::new(),
            keeper: Arc::new(keeper),
            waiting: HashMap::new(),
            protected: HashSet::new(),
            waiting_chunks: 0,
            data: OpenPack::new(Class::Data, new_buffer(repository)),
            structure: OpenPack::new(Class::Structure, Vec::new()),
            most_in_flight: packs.width().saturating_sub(1),
            packs,
            in_flight: VecDeque::new(),
            stored: adopted,
            used: BTreeSet::new(),
            spare: Arc::default(),
            node_compression: ItemCompression::new(repository.settings.compression),
            compressor: Compressor::new(),
            text: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Writes one pack at a time from now on: a pack less in memory.
    pub(crate) fn write_one_at_a_time(&mut self) {
        self.most_in_flight = 0;
    }

    /// Whether a chunk must be stored. If so the caller stores it with [`Writer::store`], in any order.
    pub(crate) fn is_new(&mut self, id: ChunkId) -> Result<bool, RepoError> {
        if self.fresh.contains(&id) {
            return Ok(false);
        }
        if let Some(place) = self.index.find_for_writer(self.repository, &id, self.monitor)? {
            self.used.insert(place.view.id);
            return Ok(false);
        }
        self.fresh.insert(id);
        Ok(true)
    }

    /// Stores a chunk for which [`Writer::is_new`] said so.
    pub(crate) fn store(
        &mut self,
        id: ChunkId,
        codec: Codec,
        text: &[u8],
        plain_len: u32,
    ) -> Result<(), RepoError> {
        let pack = if id.kind == Kind::Data { &mut self.data } else { &mut self.structure };
        pack.push(id, codec, text, plain_len);
        if pack.is_full(self.repository.settings.pack_size_bytes) {
            self.end_pack(if id.kind == Kind::Data { Class::Data } else { Class::Structure })?;
        }
        Ok(())
    }

    /// Stores a chunk although it is there, in a pack that will go; once, until a segment names it.
    pub(crate) fn store_again(
        &mut self,
        id: ChunkId,
        codec: Codec,
        text: &[u8],
        plain_len: u32,
    ) -> Result<(), RepoError> {
        if self.fresh.insert(id) { self.store(id, codec, text, plain_len) } else { Ok(()) }
    }

    /// Stores a recipe node, unless it is there, and returns its hash.
    pub(crate) fn store_node(&mut self, node: &[u8]) -> Result<ChunkHash, RepoError> {
        let id = ChunkId { kind: Kind::Recipe, hash: self.domain.hasher.hash(Kind::Recipe, node) };
        if self.is_new(id)? {
            let mut text = std::mem::take(&mut self.text);
            text.clear();
            let codec = self.node_compression.compress(&mut self.compressor, node, &mut text);
            let stored = if codec == Codec::None { node } else { &text };
            self.store(id, codec, stored, node.len() as u32)?;
            self.text = text;
        }
        Ok(id.hash)
    }

    /// Makes everything durable and names it in a segment (W3).
    pub(crate) fn flush(&mut self) -> Result<(), RepoError> {
        self.end_pack(Class::Data)?;
        self.end_pack(Class::Structure)?;
        self.wait_for_packs(0)?;
        self.protect()?;
        self.publish()
    }

    /// Makes the parity of all packs durable that are.
    fn protect(&mut self) -> Result<(), RepoError> {
        self.keeper.close()?;
        self.note_protected();
        debug_assert!(!self.in_flight.is_empty() || self.waiting.is_empty());
        Ok(())
    }

    fn note_protected(&mut self) {
        self.protected.extend(self.keeper.take_protected());
        let (waiting, stored, durable) = (&mut self.waiting, &mut self.stored, &mut self.durable);
        let mut chunks = 0;
        // A group may be closed by one thread before the other one's pack comes in here: that is looked at later.
        self.protected.retain(|id| {
            let Some(written) = waiting.remove(id) else { return true };
            chunks += written.records.len();
            stored.add(written.id, written.len, written.class, &written.records);
            durable.extend(written.records.iter().map(|record| record.id));
            false
        });
        self.waiting_chunks -= chunks;
    }

    /// Names what is protected in a segment: first of all what was adopted. It is a checkpoint, and this session, too,
    /// finds the chunks there from now on.
    pub(crate) fn publish(&mut self) -> Result<(), RepoError> {
        let published = self.stored.publish(self.repository, &self.domain, self.session)?;
        if let Some(id) = published {
            self.index.add_segment(self.repository, id, self.monitor)?;
        }
        for id in self.durable.drain(..) {
            self.fresh.remove(&id);
        }
        Ok(())
    }

    fn end_pack(&mut self, class: Class) -> Result<(), RepoError> {
        let is_empty = if class == Class::Data { self.data.is_empty() } else { self.structure.is_empty() };
        if is_empty {
            return Ok(());
        }
        // Waiting comes first: it gives a buffer back, and so there is never one more than needed.
        self.wait_for_packs(self.most_in_flight)?;
        let open = if class == Class::Data { &mut self.data } else { &mut self.structure };
        let buffer = lock(&self.spare).pop().unwrap_or_else(|| new_buffer(self.repository));
        let pack = std::mem::replace(open, OpenPack::new(class, buffer));
        let (repository, domain, session) = (self.repository, Arc::clone(&self.domain), self.session);
        let (keeper, spare) = (Arc::clone(&self.keeper), Arc::clone(&self.spare));
        let put = move |(): &mut ()| seal_and_put(repository, &domain, session, (&keeper, &spare), pack);
        self.in_flight.push_back(self.packs.submit(put));
        Ok(())
    }

    /// Waits until at most `left` packs are being written.
    fn wait_for_packs(&mut self, left: usize) -> Result<(), RepoError> {
        while self.in_flight.len() > left {
            let Some(ticket) = self.in_flight.pop_front() else { break };
            let written = ticket.redeem().unwrap_or(Err(RepoError::Worker))?;
            self.counters.stored_bytes += written.len;
            self.used.insert(written.id);
            self.waiting_chunks += written.records.len();
            self.waiting.insert(written.id, written);
        }
        self.note_protected();
        if self.waiting_chunks >= MAX_WAITING_CHUNKS {
            self.protect()?;
        }
        if self.stored.wants_segment() {
            self.publish()?;
        }
        Ok(())
    }

    /// All packs that what was written refers to.
    pub(crate) fn used_packs(&self) -> &BTreeSet<PackId> {
        &self.used
    }

    /// After an error: keeps what the next ingest can use again, or, on a full store, removes what nobody else knows of.
    pub(crate) fn abandon(mut self, is_full: bool) {
        // Packs still in flight are waited for, so that none appears after its removal.
        while let Some(ticket) = self.in_flight.pop_front() {
            if let Some(Ok(written)) = ticket.redeem() {
                self.waiting_chunks += written.records.len();
                self.waiting.insert(written.id, written);
            }
        }
        let is_kept = !is_full && self.keeper.close().is_ok();
        self.note_protected();
        if is_kept && self.stored.publish(self.repository, &self.domain, self.session).is_ok() {
            return;
        }
        let packs: BTreeSet<PackId> = self.waiting.keys().copied().chain(self.stored.private()).collect();
        // What cannot be deleted now is found by prune.
        for id in self.keeper.shards_of_only(&packs) {
            let _ = self.repository.store.delete(&names::shard(id));
        }
        for id in packs {
            for name in [names::idx(id), names::pack(id)] {
                let _ = self.repository.store.delete(&name);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With room for a pack and what its last chunk and its table take beyond its size; the system gives memory for it only
/// as it fills.
fn new_buffer(repository: &Repository) -> Vec<u8> {
    let pack = usize::try_from(repository.settings.pack_size_bytes).unwrap_or(MAX_RESERVED_BYTES);
    let chunk = repository.config.chunking.max();
    Vec::with_capacity((pack + 2 * chunk).min(MAX_RESERVED_BYTES))
}

fn seal_and_put(
    repository: &Repository,
    domain: &DomainKeys,
    session: SessionId,
    (keeper, spare): (&ParityKeeper<'_>, &Mutex<Vec<Vec<u8>>>),
    pack: OpenPack,
) -> Result<Written, RepoError> {
    let sealed = repository.seal_pack(pack, domain, session)?;
    if is_planted(Planted::SegmentEarly) {
        let mut early = StoredPacks::default();
        early.add(sealed.id, sealed.bytes.len() as u64, sealed.class, &sealed.records);
        early.publish(repository, domain, session)?;
    }
    let len = match repository.put_pack(&sealed) {
        Err(RepoError::Store(error)) if error.kind == StoreErrorKind::Full => {
            // Its rest may be there; nobody knows the name but us.
            let _ = repository.store.delete(&names::pack(sealed.id));
            return Err(error.into());
        }
        other => other?,
    };
    let added = keeper.add(sealed.id, sealed.class, sealed.bytes, sealed.sums);
    let buffers = added.inspect_err(|error| {
        if matches!(error, RepoError::Store(error) if error.kind == StoreErrorKind::Full) {
            let _ = repository.store.delete(&names::pack(sealed.id));
        }
    })?;
    lock(spare).extend(buffers);
    Ok(Written { id: sealed.id, len, class: sealed.class, records: sealed.records })
}
