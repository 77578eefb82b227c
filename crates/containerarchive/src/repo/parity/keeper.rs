//! The open groups of a writer: each pack that it stores takes the next column, and its bytes are added to the shards
//! while it is hashed, so that no pack is read again (DESIGN: W3, parity is durable before a segment names a pack).

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::encode::{new_group, protect_packs, write_shards};
use super::groups::Groups;
use super::shards::{MAX_ROW_BYTES, ShardRows};
use crate::base::random::random_array;
use crate::base::{DomainId, GroupId, PackId, SessionId, ShardId};
use crate::crypto::{BLOCK_LEN, BlockHasher, BlockSum, hash_blocks};
use crate::format::parity_level::Parity;
use crate::format::prefix::Class;
use crate::format::shard::{Member, front_len, record_len};
use crate::parity::MAX_COLUMNS;
use crate::repo::{RepoError, Repository};

/// Blocks of a pack that are hashed and added to the shards by turns: with as many of two shards they fit the
/// second-level cache, so that a pack is read from memory once. A pass of its own for the shards took half again as long.
const BLOCKS_PER_STEP: usize = 4;

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
    group: Mutex<OpenGroup>,
    /// A pack that was on its way came in or was given up.
    settled: Condvar,
}

/// Members whose shards are not written yet.
#[derive(Default)]
struct OpenGroup {
    /// With the checksums of their blocks.
    members: Vec<(Member, Vec<BlockSum>)>,
    /// Packs on their way: their bytes are in the rows, but they are not durable yet.
    entering: usize,
    next_column: Option<u8>,
    rows: Rows,
}

/// The rows of all shards of an open group.
#[derive(Default)]
enum Rows {
    #[default]
    Empty,
    /// Sums over all members and those on their way.
    Summed(ShardRows),
    /// Not kept: the members are read again when the group closes. They would take too much memory, or hold a pack that
    /// was given up.
    Derived,
}

/// A pack on its way into a group. The group is not closed before it is settled; dropped, it is given up.
#[must_use]
pub struct Entry<'k, 'a> {
    keeper: &'k ParityKeeper<'a>,
    class: Class,
    len: u64,
    sums: Vec<BlockSum>,
    /// `None` without parity, and once it is settled.
    column: Option<u8>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GroupPlace {
    /// The group once `is_ready` says so, which depends on packs that come in or are given up.
    fn when(&self, is_ready: impl Fn(&OpenGroup) -> bool) -> MutexGuard<'_, OpenGroup> {
        let wait = self.settled.wait_while(lock(&self.group), |open| !is_ready(open));
        wait.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> ParityKeeper<'a> {
    /// A keeper for the packs of a session. The rows of an open group are summed up in memory while packs are hashed; if
    /// that `is_frugal`, or they would take more than 64 MiB, its packs are read again when it closes instead.
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

    /// Hashes a pack that will now be made durable, and adds its bytes to the shards of its group. May be called from
    /// several threads; waits while the group is full of packs on their way, so every entry must be settled or dropped
    /// without waiting for another one.
    ///
    /// # Errors
    /// The store or the randomness failed.
    pub fn enter(&self, class: Class, bytes: &[u8]) -> Result<([u8; 32], Entry<'_, 'a>), RepoError> {
        let len = bytes.len() as u64;
        let entry = |sums, column| Entry { keeper: self, class, len, sums, column };
        let Parity::Groups { members: most, shards } = self.repository.settings.parity else {
            let (hash, sums) = hash_blocks(bytes);
            return Ok((hash, entry(sums, None)));
        };
        let is_not_full = |open: &OpenGroup| open.members.len() + open.entering < usize::from(most);
        let mut open = self.place(class).when(is_not_full);
        let column = match open.next_column {
            Some(column) => column,
            None => self.first_column(class, most)?,
        };
        open.next_column = Some(((usize::from(column) + 1) % MAX_COLUMNS) as u8);
        let pack_size_bytes = self.repository.settings.pack_size_bytes;
        let summed = open.take_rows(bytes.len(), (most, shards), pack_size_bytes, self.max_row_bytes);
        let hashed = summed.map(|mut rows| {
            let mut hasher = BlockHasher::default();
            for (step, blocks) in bytes.chunks(BLOCKS_PER_STEP * BLOCK_LEN).enumerate() {
                hasher.update(blocks);
                rows.add(column, (step * BLOCKS_PER_STEP) as u32, blocks);
            }
            open.rows = Rows::Summed(rows);
            hasher.finish()
        });
        open.entering += 1;
        drop(open);
        // From here on it leaves the group again if it is dropped.
        let mut entry = entry(Vec::new(), Some(column));
        let (hash, sums) = hashed.unwrap_or_else(|| hash_blocks(bytes));
        entry.sums = sums;
        Ok((hash, entry))
    }

    /// Other columns than those of small groups, so that they can be merged; random ones, since others may be making a
    /// group right now.
    fn first_column(&self, class: Class, most: u8) -> Result<u8, RepoError> {
        let random = u16::from_le_bytes(random_array(&*self.repository.environment.random)?);
        let groups = Groups::load_newest(self.repository.parity_store())?;
        Ok(groups.free_column(class, self.domain, most.into(), random))
    }

    /// Writes the shards of all open groups, once the packs on their way have come in.
    ///
    /// # Errors
    /// The store failed.
    pub fn close(&self) -> Result<(), RepoError> {
        let Parity::Groups { shards, .. } = self.repository.settings.parity else { return Ok(()) };
        for class in [Class::Data, Class::Structure] {
            let mut open = self.place(class).when(|open| open.entering == 0);
            self.close_group(class, &mut open, shards)?;
        }
        Ok(())
    }

    fn close_group(&self, class: Class, open: &mut OpenGroup, shards: u8) -> Result<(), RepoError> {
        if open.members.is_empty() {
            return Ok(());
        }
        // Whole, so that it is never closed again: after a failure sums and rows are used up. Its packs have no parity then,
        // come into no segment, and are adopted by the next ingest.
        let OpenGroup { mut members, rows, .. } = std::mem::take(open);
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
                open.rows = Rows::Summed(rows);
                written
            }
            Rows::Empty | Rows::Derived => protect_packs(site, id, origin, shards, members)?,
        };
        lock(&self.shards).extend(written.into_iter().map(|shard| (shard, packs.clone())));
        lock(&self.protected).extend(packs);
        Ok(())
    }

    /// Packs that became protected since this was asked last. Without parity: all that were settled.
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

impl Entry<'_, '_> {
    /// The pack is durable under this name: it is a member now. Closes its group when that is full.
    ///
    /// # Errors
    /// The store failed; the pack is not protected then.
    pub fn settle(mut self, pack: PackId) -> Result<(), RepoError> {
        let keeper = self.keeper;
        let (Parity::Groups { members: most, shards }, Some(column)) =
            (keeper.repository.settings.parity, self.column.take())
        else {
            lock(&keeper.protected).push(pack);
            return Ok(());
        };
        let place = keeper.place(self.class);
        let mut open = lock(&place.group);
        let member = Member { pack, len: self.len, first_row: 0, column };
        open.members.push((member, std::mem::take(&mut self.sums)));
        open.entering -= 1;
        let is_full = open.members.len() >= usize::from(most);
        let closed = if is_full { keeper.close_group(self.class, &mut open, shards) } else { Ok(()) };
        place.settled.notify_all();
        closed
    }
}

impl Drop for Entry<'_, '_> {
    fn drop(&mut self) {
        if self.column.is_some() {
            let place = self.keeper.place(self.class);
            let mut open = lock(&place.group);
            open.entering -= 1;
            open.rows = Rows::Derived;
            if open.entering == 0 && open.members.is_empty() {
                *open = OpenGroup::default();
            }
            place.settled.notify_all();
        }
    }
}

impl OpenGroup {
    /// Takes the rows out that a pack of this length is to be added to, unless they are not kept. Until they are back it is
    /// as if they were not.
    fn take_rows(
        &mut self,
        len: usize,
        (most, shards): (u8, u8),
        pack_size_bytes: u64,
        max_row_bytes: usize,
    ) -> Option<ShardRows> {
        let do_fit = len.div_ceil(BLOCK_LEN) * BLOCK_LEN * usize::from(shards) <= max_row_bytes;
        // Once they do not fit, they never do again: a group only grows.
        let mut rows = match std::mem::replace(&mut self.rows, Rows::Derived) {
            Rows::Summed(rows) if do_fit => rows,
            Rows::Empty if do_fit => {
                // Packs end up to a chunk behind their size; a little more does no harm.
                let expected_rows = (pack_size_bytes as usize).div_ceil(BLOCK_LEN) + 64;
                let room = front_len(most.into()) + expected_rows * record_len(most.into(), shards.into());
                ShardRows::new((0..shards).collect(), room)
            }
            _ => return None,
        };
        rows.reach(len);
        Some(rows)
    }
}
