//! Rebuilding a pack from the other packs of its group and its shards, row by row.

use super::accounts::accounts;
use super::groups::{Groups, StoredGroup};
use super::{ParityStore, if_readable};
use crate::base::{ObjectName, PackId, ShardId};
use crate::crypto::{BLOCK_LEN, blake3_256, block_sum};
use crate::format::names;
use crate::format::shard::{Member, RowSums};
use crate::parity::{Decoder, add_block};
use crate::repo::RepoError;

/// Rows that are rebuilt at once: long reads, and some megabytes of memory.
const ROWS_AT_ONCE: usize = 16;

/// What became of a pack.
pub struct Rebuilt {
    /// Its bytes: as they should be if `is_whole`; else some blocks are wrong, and what is read from them must be
    /// authenticated as what is read from a store is.
    pub bytes: Vec<u8>,
    /// Whether the bytes have the pack's name.
    pub is_whole: bool,
    /// Blocks that were computed from others.
    pub mended_blocks: u32,
    /// Blocks that are missing or damaged, and could not be computed.
    pub lost_blocks: Vec<u32>,
}

/// Rebuilds a member of a group. Reads the member, and of the others only the rows in which the member is damaged; more
/// than once only where shards contradict each other. Memory: the pack, twice at most, and some megabytes; never more
/// than the files at hand have.
///
/// # Errors
/// The store failed. Damage of any number of blocks is no error: see [`Rebuilt`].
pub fn rebuild_pack(
    site: ParityStore<'_>,
    stored: &StoredGroup,
    pack: PackId,
) -> Result<Option<Rebuilt>, RepoError> {
    let members = &stored.group.members;
    let Some(place) = members.iter().position(|member| member.pack == pack) else { return Ok(None) };
    let member = &members[place];
    let shards: Vec<ShardId> = stored.present().map(|(_, id)| id).collect();
    let len = len_at_hand(site, stored, member)?;
    let mut best = rebuild_by(site, stored, (place, len), &shards)?;
    if best.is_whole || stored.claims().nth(1).is_none() {
        return Ok(Some(best));
    }
    let blocks = len.div_ceil(BLOCK_LEN) as u32;
    let accounts = accounts(site, stored, member.first_row..member.first_row + blocks)?;
    // A single one is what was asked already.
    for shards in accounts.iter().filter(|_| accounts.len() > 1) {
        let rebuilt = rebuild_by(site, stored, (place, len), shards)?;
        if rebuilt.is_whole {
            return Ok(Some(rebuilt));
        }
        // What is lost anyway, is lost by the account that the pack itself agrees with most.
        let doubt = |it: &Rebuilt| (it.mended_blocks as usize + it.lost_blocks.len(), it.lost_blocks.len());
        if doubt(&rebuilt) < doubt(&best) {
            best = rebuilt;
        }
    }
    Ok(Some(best))
}

/// How much of a member, in bytes, can come from any file: from the pack itself, or from the rows of a shard. What a
/// front says of its length anybody can have written, up to the largest pack that there may be.
fn len_at_hand(site: ParityStore<'_>, stored: &StoredGroup, member: &Member) -> Result<usize, RepoError> {
    let name = names::pack(member.pack);
    let own = match site.store.head(&name)? {
        Some(len) => Some(len),
        None => site.store.head(&names::quarantined(&name))?,
    };
    let mut len = own.unwrap_or(0);
    let start = stored.layout().row(member.first_row);
    for (_, id) in stored.candidates() {
        let rows = site.store.head(&names::shard(id))?.map_or(0, |end| end.saturating_sub(start));
        len = len.max(rows);
    }
    Ok(len.next_multiple_of(BLOCK_LEN as u64).min(member.len) as usize)
}

/// Rebuilds the first bytes of a member by the checksums that these shards have of it.
fn rebuild_by(
    site: ParityStore<'_>,
    stored: &StoredGroup,
    (place, len): (usize, usize),
    shards: &[ShardId],
) -> Result<Rebuilt, RepoError> {
    let member = &stored.group.members[place];
    let mut bytes = vec![0; len];
    read_member(site, member.pack, 0, &mut bytes)?;
    let at_hand = len.div_ceil(BLOCK_LEN) as u32;
    let (mut bad, mut lost_blocks) = (Vec::new(), Vec::new());
    for block in 0..at_hand {
        let sums = stored.row_sums_of(site, member.first_row + block, shards.iter().copied())?;
        match sums.and_then(|sums| sums.members[place]) {
            Some(sum) if sum == block_sum(block, block_of(&bytes, block)) => {}
            Some(_) => bad.push(block),
            // What it should be is not known, so that reading the others is of no use.
            None => lost_blocks.push(block),
        }
    }
    lost_blocks.extend(at_hand..member.blocks());
    let mut rebuilt = Rebuilt { bytes, is_whole: false, mended_blocks: 0, lost_blocks };
    for run in bad.chunk_by(|a, b| a + 1 == *b).flat_map(|run| run.chunks(ROWS_AT_ONCE)) {
        let (first, rows) = (run[0], run.len());
        let mut job = Rows::read(site, stored, (member.first_row + first, rows), place, shards)?;
        for (at, block) in run.iter().enumerate() {
            let range = range_of(&rebuilt.bytes, *block);
            let own = &mut rebuilt.bytes[range];
            if job.recover(at, place, own) {
                rebuilt.mended_blocks += 1;
            } else {
                rebuilt.lost_blocks.push(*block);
            }
        }
    }
    rebuilt.lost_blocks.sort_unstable();
    rebuilt.is_whole = blake3_256(&rebuilt.bytes) == member.pack.0;
    Ok(rebuilt)
}

/// Whether a pack can be rebuilt from any of its groups. Costs what rebuilding it costs.
///
/// # Errors
/// The store failed.
pub fn can_rebuild(site: ParityStore<'_>, groups: &Groups, pack: PackId) -> Result<bool, RepoError> {
    for stored in groups.of_pack(&pack) {
        if rebuild_pack(site, stored, pack)?.is_some_and(|rebuilt| rebuilt.is_whole) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn range_of(bytes: &[u8], block: u32) -> std::ops::Range<usize> {
    let start = block as usize * BLOCK_LEN;
    start..(start + BLOCK_LEN).min(bytes.len())
}

fn block_of(bytes: &[u8], block: u32) -> &[u8] {
    &bytes[range_of(bytes, block)]
}

/// Some consecutive rows of a group: the shards' sums without the members that are good.
struct Rows<'a> {
    members: &'a [Member],
    first_row: u32,
    /// Of each row, where any copy is intact.
    sums: Vec<Option<RowSums>>,
    /// Of each shard, all rows one behind the other.
    syndromes: Vec<Vec<u8>>,
    /// Of each row: numbers of the shards that are good there.
    good_shards: Vec<Vec<u8>>,
    /// Of each row: columns of the members whose block is bad there.
    bad_columns: Vec<Vec<u8>>,
}

impl<'a> Rows<'a> {
    fn read(
        site: ParityStore<'_>,
        stored: &'a StoredGroup,
        (first_row, count): (u32, usize),
        wanted: usize,
        shards: &[ShardId],
    ) -> Result<Self, RepoError> {
        let group = &stored.group;
        let rows = || first_row..first_row + count as u32;
        let sums = rows().map(|row| stored.row_sums_of(site, row, shards.iter().copied()));
        let sums = sums.collect::<Result<Vec<_>, _>>()?;
        let mut this = Self {
            members: &group.members,
            first_row,
            sums,
            syndromes: vec![vec![0; count * BLOCK_LEN]; group.shards.into()],
            good_shards: vec![Vec::new(); count],
            bad_columns: vec![Vec::new(); count],
        };
        let mut buffer = vec![0; count * BLOCK_LEN];
        let layout = stored.layout();
        let rows_len = layout.rows_len(first_row, count as u32);
        for (number, id) in stored.candidates() {
            this.read_shard(
                site,
                number,
                &names::shard(id),
                (layout.row(first_row), &mut buffer[..rows_len]),
            )?;
        }
        for place in 0..group.members.len() {
            this.read_member(site, place, place == wanted, &mut buffer)?;
        }
        Ok(this)
    }

    /// Takes the rows of a shard that have the right checksum; of several that claim the same number, whichever has.
    fn read_shard(
        &mut self,
        site: ParityStore<'_>,
        number: u8,
        name: &ObjectName,
        (offset, bytes): (u64, &mut [u8]),
    ) -> Result<(), RepoError> {
        if self.good_shards.iter().all(|good| good.contains(&number)) {
            return Ok(());
        }
        read_blocks(site, name, offset, bytes)?;
        for (at, row) in bytes.chunks(BLOCK_LEN).enumerate() {
            let sum = self.sums[at].as_ref().and_then(|sums| sums.shards.get(usize::from(number)));
            let is_right = sum.is_some_and(|sum| *sum == block_sum(self.first_row + at as u32, row));
            if is_right && !self.good_shards[at].contains(&number) {
                let start = at * BLOCK_LEN;
                self.syndromes[usize::from(number)][start..start + row.len()].copy_from_slice(row);
                self.good_shards[at].push(number);
            }
        }
        Ok(())
    }

    /// Subtracts the good blocks of a member from all shards, and notes where it has bad ones.
    fn read_member(
        &mut self,
        site: ParityStore<'_>,
        place: usize,
        is_wanted: bool,
        buffer: &mut [u8],
    ) -> Result<(), RepoError> {
        let member = &self.members[place];
        let blocks: Vec<Option<(u32, usize)>> =
            (0..self.sums.len()).map(|at| member.block_in(self.first_row + at as u32)).collect();
        let own = blocks.iter().flatten();
        let Some((first, _)) = own.clone().next().copied() else { return Ok(()) };
        let len: usize = own.map(|(_, len)| len).sum();
        let bytes = &mut buffer[..len];
        if !is_wanted {
            let offset = u64::from(first) * BLOCK_LEN as u64;
            read_member(site, member.pack, offset, bytes)?;
        }
        let shards: Vec<u8> = (0..self.syndromes.len() as u8).collect();
        let mut start = 0;
        for (at, block) in blocks.iter().enumerate() {
            let Some((number, len)) = *block else { continue };
            let bytes = &buffer[start..start + len];
            start += len;
            let sum = self.sums[at].as_ref().and_then(|sums| sums.members[place]);
            if is_wanted || sum.is_none_or(|sum| sum != block_sum(number, bytes)) {
                self.bad_columns[at].push(member.column);
                continue;
            }
            let row = at * BLOCK_LEN..(at + 1) * BLOCK_LEN;
            let mut syndromes: Vec<&mut [u8]> =
                self.syndromes.iter_mut().map(|syndrome| &mut syndrome[row.clone()]).collect();
            add_block(member.column, bytes, &shards, &mut syndromes);
        }
        Ok(())
    }

    /// Computes the block of a member; false if too much of its row is lost, or the result has another checksum.
    fn recover(&mut self, at: usize, place: usize, out: &mut [u8]) -> bool {
        let (bad, good) = (&self.bad_columns[at], &self.good_shards[at]);
        let member = &self.members[place];
        let Some(which) = bad.iter().position(|column| *column == member.column) else { return false };
        let Some(shards) = good.get(..bad.len()) else { return false };
        let Some(decoder) = Decoder::new(bad, shards) else { return false };
        let row = at * BLOCK_LEN..at * BLOCK_LEN + out.len();
        let syndromes: Vec<&[u8]> =
            shards.iter().map(|shard| &self.syndromes[usize::from(*shard)][row.clone()]).collect();
        let mut block = vec![0; out.len()];
        decoder.recover(which, &syndromes, &mut block);
        let row = self.first_row + at as u32;
        let sum = self.sums[at].as_ref().and_then(|sums| sums.members[place]);
        let is_right = member.block_in(row).is_some_and(|(number, _)| sum == Some(block_sum(number, &block)));
        if is_right {
            out.copy_from_slice(&block);
        }
        is_right
    }
}

/// Reads consecutive blocks of a pack. While one is replaced it may be in quarantine only, and be left there by a process
/// that was killed: its good blocks are as good there.
fn read_member(site: ParityStore<'_>, pack: PackId, offset: u64, bytes: &mut [u8]) -> Result<(), RepoError> {
    let name = names::pack(pack);
    let is_missing = site.store.head(&name)?.is_none();
    let name = if is_missing { names::quarantined(&name) } else { name };
    read_blocks(site, &name, offset, bytes)
}

/// Reads consecutive blocks. A file that is cut short, or has an unreadable sector, has good blocks all the same; what
/// cannot be read is zeros, which no checksum takes for the block unless it is.
fn read_blocks(
    site: ParityStore<'_>,
    name: &ObjectName,
    offset: u64,
    bytes: &mut [u8],
) -> Result<(), RepoError> {
    if if_readable(site.store.get_range(name, offset, bytes))?.is_some() {
        return Ok(());
    }
    for (number, block) in bytes.chunks_mut(BLOCK_LEN).enumerate() {
        let offset = offset + (number * BLOCK_LEN) as u64;
        if if_readable(site.store.get_range(name, offset, block))?.is_none() {
            block.fill(0);
        }
    }
    Ok(())
}
