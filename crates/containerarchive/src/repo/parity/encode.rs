//! The shards of a group, from sums that are in memory or from its packs.

use super::groups::StoredGroup;
use super::shards::{MAX_ROW_BYTES, ShardRows, encode_records};
use super::{ParityStore, if_readable};
use crate::base::{DomainId, GroupId, SessionId, ShardId};
use crate::crypto::{BLOCK_LEN, BlockHasher, BlockSum};
use crate::format::prefix::Class;
use crate::format::shard::{Group, Member};
use crate::format::{FormatError, names};
use crate::repo::RepoError;
use crate::store::{Durability, StoreErrorKind};

/// Bytes of a pack that are read at once.
const READ_LEN: usize = 32 * BLOCK_LEN;

/// Class, domain and session of a new group.
pub(super) type Origin = (Class, DomainId, SessionId);

/// A new group of these members, whose columns are distinct.
pub(super) fn new_group(
    site: ParityStore<'_>,
    id: GroupId,
    (class, domain, session): Origin,
    shards: u8,
    mut members: Vec<Member>,
) -> Group {
    members.sort_unstable_by_key(|member| member.column);
    let rows = members.iter().map(|member| member.first_row + member.blocks()).max().unwrap_or(0);
    let ParityStore { suite, repository, .. } = site;
    Group { id, class, domain, session, suite, repository, shards, rows, members }
}

/// Writes the shards of a group whose rows are all in memory, on so many threads. Returns their ids.
///
/// # Errors
/// The store failed. What was written before is removed again.
pub(super) fn write_shards(
    site: ParityStore<'_>,
    group: &Group,
    sums: &[Vec<BlockSum>],
    rows: &mut ShardRows,
    threads: usize,
) -> Result<Vec<ShardId>, RepoError> {
    let records = encode_records(group, sums, &rows.sums(threads));
    let written =
        rows.finish((group, &records), |_| true, threads, |id, file| put_shard(site, id, file).map(|()| id));
    if written.iter().any(Result::is_err) {
        for id in written.iter().flatten() {
            // A group that is not whole is of little use, and its place is needed.
            let _ = site.store.delete(&names::shard(*id));
        }
    }
    written.into_iter().collect()
}

fn put_shard(site: ParityStore<'_>, id: ShardId, file: &[u8]) -> Result<(), RepoError> {
    match site.store.put(&names::shard(id), file, Durability::Durable) {
        Err(error) if error.kind == StoreErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            if error.kind == StoreErrorKind::Full {
                // Its rest may be there; nobody knows the name but us.
                let _ = site.store.delete(&names::shard(id));
            }
            Err(error.into())
        }
        Ok(()) => Ok(()),
    }
}

/// Protects packs that are in the store by a new group; reads each of them. Returns the ids of the shards.
///
/// # Errors
/// A pack is missing or damaged, or the store failed.
pub fn protect_packs(
    site: ParityStore<'_>,
    id: GroupId,
    origin: Origin,
    shards: u8,
    members: Vec<Member>,
) -> Result<Vec<ShardId>, RepoError> {
    let group = new_group(site, id, origin, shards, members);
    let all: Vec<u8> = (0..shards).collect();
    encode(site, &group, &all)
}

/// Computes shards of a group again, from its packs, which must all be whole, and writes them. They come out as they
/// were, bit for bit. Returns their ids.
///
/// # Errors
/// A pack is missing or damaged, or the store failed.
pub fn restore_shards(
    site: ParityStore<'_>,
    stored: &StoredGroup,
    numbers: &[u8],
) -> Result<Vec<ShardId>, RepoError> {
    encode(site, &stored.group, numbers)
}

/// Reads the packs, as often as the shards do not fit into memory together, and writes the wanted shards.
fn encode(site: ParityStore<'_>, group: &Group, wanted: &[u8]) -> Result<Vec<ShardId>, RepoError> {
    let at_once = (MAX_ROW_BYTES / (group.rows.max(1) as usize * BLOCK_LEN)).max(1);
    let all: Vec<u8> = (0..group.shards).collect();
    let mut member_sums = Vec::new();
    let mut shard_sums = Vec::new();
    // Each shard has the checksums of all, so all must be known before the first one is written.
    let mut kept = None;
    for numbers in all.chunks(at_once) {
        let mut rows = ShardRows::new(numbers.to_vec(), 0);
        member_sums = add_members(site, group, &mut rows)?;
        shard_sums.extend(rows.sums(1));
        kept = (numbers.len() == all.len()).then_some(rows);
    }
    let records = encode_records(group, &member_sums, &shard_sums);
    let mut written = Vec::with_capacity(wanted.len());
    for numbers in all.chunks(at_once) {
        if !numbers.iter().any(|number| wanted.contains(number)) {
            continue;
        }
        let mut rows = match kept.take() {
            Some(rows) => rows,
            None => {
                let mut rows = ShardRows::new(numbers.to_vec(), 0);
                add_members(site, group, &mut rows)?;
                rows
            }
        };
        let put = |id, file: &[u8]| put_shard(site, id, file).map(|()| id);
        let put_now = rows.finish((group, &records), |number| wanted.contains(&number), 1, put);
        written.extend(put_now.into_iter().collect::<Result<Vec<_>, _>>()?);
    }
    Ok(written)
}

/// Adds all members of a group, each compared with its name. Returns the checksums of their blocks.
pub(super) fn add_members(
    site: ParityStore<'_>,
    group: &Group,
    rows: &mut ShardRows,
) -> Result<Vec<Vec<BlockSum>>, RepoError> {
    let mut sums = Vec::with_capacity(group.members.len());
    let mut buffer = vec![0; READ_LEN];
    for member in &group.members {
        let name = names::pack(member.pack);
        let mut hasher = BlockHasher::default();
        let mut offset = 0_u64;
        while offset < member.len {
            let piece = &mut buffer[..(member.len - offset).min(READ_LEN as u64) as usize];
            if if_readable(site.store.get_range(&name, offset, piece))?.is_none() {
                return Err(RepoError::Missing { object: name.to_string() });
            }
            hasher.update(piece);
            rows.add(&[(member.column, piece)], member.first_row + (offset / BLOCK_LEN as u64) as u32);
            offset += piece.len() as u64;
        }
        let (hash, blocks) = hasher.finish();
        if hash != member.pack.0 {
            let source = FormatError::broken("R-NAME-1", "its name is not the BLAKE3 of its bytes");
            return Err(RepoError::format(&name, source));
        }
        sums.push(blocks);
    }
    Ok(sums)
}
