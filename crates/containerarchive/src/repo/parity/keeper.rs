//! The open groups of a writer: each pack that it stored takes the next column, and its bytes are added to the shards from
//! memory, so that no pack is read again (DESIGN: W3, parity is durable before a segment names a pack).

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::encode::{new_group, protect_packs, write_shards};
use super::groups::Groups;
use super::shards::{MAX_ROW_BYTES, ShardRows};
use crate::base::random::random_array;
use crate::base::{DomainId, GroupId, PackId, SessionId, ShardId};
use crate::crypto::{BLOCK_LEN, BlockSum};
use crate::format::parity_level::Parity;
use crate::format::prefix::Class;
use crate::format::shard::{Member, front_len, record_len};
use crate::parity::MAX_COLUMNS;
use crate::repo::{RepoError, Repository};

/// Packs that are added to the shards together. The shards of a group fit into no cache: added one by one, each pack
/// would take them from memory and back, which was measured to take twice as long as four at once.
const PACKS_AT_ONCE: usize = 4;
/// Bytes of a piece of all shards and of the pack that is added to them, which a core's second-level cache holds.
const STEP_BYTES: usize = 512 << 10;

/// Builds the parity of what one session writes. Data and structure go to groups of their own: their packs differ in
/// length, and a shard is as long as the longest member.
pub struct ParityKeeper<'a> {
    repository: &'a Repository,
    domain: DomainId,
    session: SessionId,
    /// What the rows of an open group may take in memory.
    max_row_bytes: usize,
    /// On which the shards of a group are written.
    threads: usize,
    data: GroupPlace,
    structure: GroupPlace,
    protected: Mutex<Vec<PackId>>,
    shards: Mutex<Vec<(ShardId, Vec<PackId>)>>,
}

#[derive(Default)]
struct GroupPlace {
    open: Mutex<OpenGroup>,
    /// The rows of the group before, to be used again. Held while that one's shards are written: until then further packs
    /// are only kept.
    spare: Mutex<Option<ShardRows>>,
}

/// Members whose shards are not written yet.
#[derive(Default)]
struct OpenGroup {
    /// With the checksums of their blocks.
    members: Vec<(Member, Vec<BlockSum>)>,
    next_column: Option<u8>,
    rows: Rows,
    /// Members that are not in the rows yet, with their columns.
    kept: Vec<(u8, Vec<u8>)>,
}

/// The rows of all shards of an open group.
#[derive(Default)]
enum Rows {
    #[default]
    Empty,
    /// Sums over the members, but for those that are kept.
    Summed(ShardRows),
    /// They would take too much memory: the members are read again when the group closes.
    Derived,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> ParityKeeper<'a> {
    /// A keeper for the packs of a session. The rows of an open group are summed up in memory, and up to three packs wait
    /// there to be added; if that `is_frugal`, or the rows would take more than 64 MiB, its packs are read again when it
    /// closes instead.
    #[must_use]
    pub fn new(
        repository: &'a Repository,
        domain: DomainId,
        session: SessionId,
        is_frugal: bool,
        threads: usize,
    ) -> Self {
        Self {
            repository,
            domain,
            session,
            max_row_bytes: if is_frugal { 0 } else { MAX_ROW_BYTES },
            threads,
            data: GroupPlace::default(),
            structure: GroupPlace::default(),
            protected: Mutex::default(),
            shards: Mutex::default(),
        }
    }

    fn place(&self, class: Class) -> &GroupPlace {
        if class == Class::Data { &self.data } else { &self.structure }
    }

    /// Makes a pack that is durable a member of its group, which is closed when it is full. `sums`: the checksums of its
    /// blocks. Returns buffers that are free again: other packs' than this one's, several, or none. May be called from
    /// several threads.
    ///
    /// # Errors
    /// The store or the randomness failed; the pack is not protected then.
    pub fn add(
        &self,
        pack: PackId,
        class: Class,
        bytes: Vec<u8>,
        sums: Vec<BlockSum>,
    ) -> Result<Vec<Vec<u8>>, RepoError> {
        let Parity::Groups { members: most, shards } = self.repository.settings.parity else {
            lock(&self.protected).push(pack);
            return Ok(vec![bytes]);
        };
        let place = self.place(class);
        let mut open = lock(&place.open);
        let column = match open.next_column {
            Some(column) => column,
            None => self.first_column(class, most)?,
        };
        open.next_column = Some(((usize::from(column) + 1) % MAX_COLUMNS) as u8);
        open.members.push((Member { pack, len: bytes.len() as u64, first_row: 0, column }, sums));
        let row_bytes = bytes.len().div_ceil(BLOCK_LEN) * BLOCK_LEN * usize::from(shards);
        open.kept.push((column, bytes));
        if row_bytes > self.max_row_bytes {
            // Once they do not fit, they never do again: a group only grows.
            open.rows = Rows::Derived;
        }
        let mut free = Vec::new();
        if open.kept.len() >= PACKS_AT_ONCE || matches!(open.rows, Rows::Derived) {
            free = open.add_kept(&place.spare, (most, shards), self.repository.settings.pack_size_bytes);
        }
        if open.members.len() >= usize::from(most) {
            free.extend(self.close_group(class, open, (most, shards))?);
        }
        Ok(free)
    }

    /// Other columns than those of small groups, so that they can be merged; random ones, since others may be making a
    /// group right now.
    fn first_column(&self, class: Class, most: u8) -> Result<u8, RepoError> {
        let random = u16::from_le_bytes(random_array(&*self.repository.environment.random)?);
        let groups = Groups::load_newest(self.repository.parity_store())?;
        Ok(groups.free_column(class, self.domain, most.into(), random))
    }

    /// Writes the shards of all open groups.
    ///
    /// # Errors
    /// The store failed.
    pub fn close(&self) -> Result<(), RepoError> {
        let Parity::Groups { members, shards } = self.repository.settings.parity else { return Ok(()) };
        let close = |class| {
            let open = lock(&self.place(class).open);
            self.close_group(class, open, (members, shards)).map(drop)
        };
        if self.threads <= 1 {
            close(Class::Data)?;
            return close(Class::Structure);
        }
        // Both wait for the disk most of the time.
        std::thread::scope(|scope| {
            let structure = scope.spawn(|| close(Class::Structure));
            let data = close(Class::Data);
            data.and(structure.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    fn close_group(
        &self,
        class: Class,
        mut open: MutexGuard<'_, OpenGroup>,
        (most, shards): (u8, u8),
    ) -> Result<Vec<Vec<u8>>, RepoError> {
        if open.members.is_empty() {
            return Ok(Vec::new());
        }
        let place = self.place(class);
        let free = open.add_kept(&place.spare, (most, shards), self.repository.settings.pack_size_bytes);
        // Whole, so that it is never closed again: after a failure sums and rows are used up. Its packs have no parity then,
        // come into no segment, and are adopted by the next ingest.
        let OpenGroup { mut members, rows, .. } = std::mem::take(&mut *open);
        let mut spare = lock(&place.spare);
        drop(open);
        members.sort_unstable_by_key(|(member, _)| member.column);
        let (members, sums): (Vec<Member>, Vec<_>) = members.into_iter().unzip();
        let packs: Vec<PackId> = members.iter().map(|member| member.pack).collect();
        let site = self.repository.parity_store();
        let id = GroupId(random_array(&*self.repository.environment.random)?);
        let origin = (class, self.domain, self.session);
        let written = match rows {
            Rows::Summed(mut rows) => {
                let group = new_group(site, id, origin, shards, members);
                let written = write_shards(site, &group, &sums, &mut rows, self.threads)?;
                rows.clear();
                *spare = Some(rows);
                written
            }
            Rows::Empty | Rows::Derived => protect_packs(site, id, origin, shards, members)?,
        };
        lock(&self.shards).extend(written.into_iter().map(|shard| (shard, packs.clone())));
        lock(&self.protected).extend(packs);
        Ok(free)
    }

    /// Packs that became protected since this was asked last. Without parity: all that were added.
    pub fn take_protected(&self) -> Vec<PackId> {
        std::mem::take(&mut *lock(&self.protected))
    }

    /// Shards that protect nothing but these packs.
    pub fn shards_of_only(&self, packs: &BTreeSet<PackId>) -> Vec<ShardId> {
        let shards = lock(&self.shards);
        let of_only =
            |(_, members): &&(ShardId, Vec<PackId>)| members.iter().all(|pack| packs.contains(pack));
        shards.iter().filter(of_only).map(|(shard, _)| *shard).collect()
    }
}

impl OpenGroup {
    fn take_kept(&mut self) -> Vec<Vec<u8>> {
        self.kept.drain(..).map(|(_, bytes)| bytes).collect()
    }

    /// Adds the packs that are kept to the rows, piece by piece: a piece of the rows is in a cache until all packs were
    /// added to it. Returns their buffers.
    fn add_kept(
        &mut self,
        spare: &Mutex<Option<ShardRows>>,
        (most, shards): (u8, u8),
        pack_size_bytes: u64,
    ) -> Vec<Vec<u8>> {
        if matches!(self.rows, Rows::Derived) || self.kept.is_empty() {
            return self.take_kept();
        }
        let new_rows = || {
            // Packs end up to a chunk behind their size; a little more does no harm.
            let expected_rows = (pack_size_bytes as usize).div_ceil(BLOCK_LEN) + 64;
            let room = front_len(most.into()) + expected_rows * record_len(most.into(), shards.into());
            ShardRows::new((0..shards).collect(), room)
        };
        let mut rows = match std::mem::take(&mut self.rows) {
            Rows::Summed(rows) => rows,
            Rows::Empty | Rows::Derived => lock(spare).take().unwrap_or_else(new_rows),
        };
        let longest = self.kept.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
        rows.reach(longest);
        let step = (STEP_BYTES / BLOCK_LEN / (usize::from(shards) + 1)).max(1) * BLOCK_LEN;
        for start in (0..longest).step_by(step) {
            let pieces: Vec<(u8, &[u8])> = self
                .kept
                .iter()
                .map(|(column, bytes)| {
                    (*column, &bytes[start.min(bytes.len())..bytes.len().min(start + step)])
                })
                .collect();
            rows.add(&pieces, (start / BLOCK_LEN) as u32);
        }
        self.rows = Rows::Summed(rows);
        self.take_kept()
    }
}
