//! The open groups of a writer: each pack that it stores takes the next column, and its bytes are added to the shards
//! while they are in memory, so that no pack is read again (DESIGN: W3, parity is durable before a segment names a pack).

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

/// Builds the parity of what one session writes. Data and structure go to groups of their own: their packs differ in
/// length, and a shard is as long as the longest member.
pub struct ParityKeeper<'a> {
    repository: &'a Repository,
    domain: DomainId,
    session: SessionId,
    /// What the rows of an open group may take in memory.
    max_row_bytes: usize,
    data: Mutex<OpenGroup>,
    structure: Mutex<OpenGroup>,
    protected: Mutex<Vec<PackId>>,
    shards: Mutex<Vec<(ShardId, Vec<PackId>)>>,
}

/// Members whose shards are not written yet.
#[derive(Default)]
struct OpenGroup {
    /// With the checksums of their blocks.
    members: Vec<(Member, Vec<BlockSum>)>,
    /// Rows of all shards; `None` before the first member, and when they would take too much memory: then the members are
    /// read again when the group closes.
    rows: Option<ShardRows>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> ParityKeeper<'a> {
    /// A keeper for the packs of a session. The rows of an open group are summed up in memory while packs are written; if
    /// that `is_frugal`, or they would take more than 64 MiB, its packs are read again when it closes instead.
    #[must_use]
    pub fn new(repository: &'a Repository, domain: DomainId, session: SessionId, is_frugal: bool) -> Self {
        Self {
            repository,
            domain,
            session,
            max_row_bytes: if is_frugal { 0 } else { MAX_ROW_BYTES },
            data: Mutex::default(),
            structure: Mutex::default(),
            protected: Mutex::default(),
            shards: Mutex::default(),
        }
    }

    fn open_group(&self, class: Class) -> MutexGuard<'_, OpenGroup> {
        lock(if class == Class::Data { &self.data } else { &self.structure })
    }

    /// Adds a pack that is durable. Closes its group when that is full. May be called from several threads.
    ///
    /// # Errors
    /// The store failed; the pack is not protected then.
    pub fn add(&self, class: Class, id: PackId, bytes: &[u8], sums: Vec<BlockSum>) -> Result<(), RepoError> {
        let Parity::Groups { members: most, shards } = self.repository.settings.parity else {
            lock(&self.protected).push(id);
            return Ok(());
        };
        let mut open = self.open_group(class);
        let column = match open.members.last() {
            Some((last, _)) => (usize::from(last.column) + 1) % MAX_COLUMNS,
            // Other columns than those of small groups, so that they can be merged; random ones, since others may be
            // making a group right now.
            None => {
                let random = u16::from_le_bytes(random_array(&*self.repository.environment.random)?);
                let groups = Groups::load_newest(self.repository.parity_store())?;
                groups.free_column(class, self.domain, most.into(), random).into()
            }
        } as u8;
        let member = Member { pack: id, len: bytes.len() as u64, first_row: 0, column };
        if open.add(member, sums, shards, self.max_row_bytes) {
            let pack_size_bytes = self.repository.settings.pack_size_bytes;
            open.sum_up(&member, bytes, (most, shards), pack_size_bytes);
        }
        if open.members.len() >= usize::from(most) {
            self.close_group(class, &mut open, shards)?;
        }
        Ok(())
    }

    /// Writes the shards of all open groups.
    ///
    /// # Errors
    /// The store failed.
    pub fn close(&self) -> Result<(), RepoError> {
        let Parity::Groups { shards, .. } = self.repository.settings.parity else { return Ok(()) };
        for class in [Class::Data, Class::Structure] {
            self.close_group(class, &mut self.open_group(class), shards)?;
        }
        Ok(())
    }

    fn close_group(&self, class: Class, open: &mut OpenGroup, shards: u8) -> Result<(), RepoError> {
        if open.members.is_empty() {
            return Ok(());
        }
        // Whole, so that it is never closed again: after a failure sums and rows are used up. Its packs have no parity then,
        // come into no segment, and are adopted by the next ingest.
        let OpenGroup { mut members, mut rows } = std::mem::take(open);
        members.sort_unstable_by_key(|(member, _)| member.column);
        let (members, sums): (Vec<Member>, Vec<_>) = members.into_iter().unzip();
        let packs: Vec<PackId> = members.iter().map(|member| member.pack).collect();
        let site = self.repository.parity_store();
        let id = GroupId(random_array(&*self.repository.environment.random)?);
        let origin = (class, self.domain, self.session);
        let written = match &mut rows {
            Some(rows) => write_shards(site, &new_group(site, id, origin, shards, members), &sums, rows)?,
            None => protect_packs(site, id, origin, shards, members)?,
        };
        if let Some(rows) = &mut rows {
            rows.clear();
        }
        open.rows = rows;
        lock(&self.shards).extend(written.into_iter().map(|shard| (shard, packs.clone())));
        lock(&self.protected).extend(packs);
        Ok(())
    }

    /// Packs that became protected since this was asked last. Without parity: all that were added.
    pub fn take_protected(&self) -> Vec<PackId> {
        std::mem::take(&mut *lock(&self.protected))
    }

    /// Shards that protect nothing but these packs.
    pub fn shards_of_only(&self, packs: &std::collections::HashSet<PackId>) -> Vec<ShardId> {
        let shards = lock(&self.shards);
        let of_only =
            |(_, members): &&(ShardId, Vec<PackId>)| members.iter().all(|pack| packs.contains(pack));
        shards.iter().filter(of_only).map(|(shard, _)| *shard).collect()
    }
}

impl OpenGroup {
    /// Adds a member. Whether its bytes shall be added to the rows, too: their sums fit into memory.
    fn add(&mut self, member: Member, sums: Vec<BlockSum>, shards: u8, max_row_bytes: usize) -> bool {
        self.members.push((member, sums));
        // Once they do not fit, they never do again: a group only grows.
        let rows = self.members.iter().map(|(member, _)| member.blocks()).max().unwrap_or(0) as usize;
        let fit = rows * BLOCK_LEN * usize::from(shards) <= max_row_bytes;
        if !fit {
            self.rows = None;
        }
        fit
    }

    fn sum_up(&mut self, member: &Member, bytes: &[u8], (most, shards): (u8, u8), pack_size_bytes: u64) {
        let rows = self.rows.get_or_insert_with(|| {
            // Packs end up to a chunk behind their size; a little more does no harm.
            let expected_rows = (pack_size_bytes as usize).div_ceil(BLOCK_LEN) + 64;
            let room = front_len(most.into()) + expected_rows * record_len(most.into(), shards.into());
            ShardRows::new((0..shards).collect(), room)
        });
        rows.add(member.column, 0, bytes);
    }
}
