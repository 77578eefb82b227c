//! Groups that lose members get new shards for those that stay, before the members go (DESIGN section 12, "Thin").

use super::encode::{add_members, new_group, protect_packs, write_shards};
use super::groups::{Groups, StoredGroup};
use super::merge::{add_shards, member_sums, read_records};
use super::shards::{MAX_ROW_BYTES, ShardRows};
use super::{ParityStore, if_readable};
use crate::base::random::random_array;
use crate::base::{GroupId, PackId, SessionId, ShardId};
use crate::format::names;
use crate::format::shard::{Group, Member};
use crate::repo::objects::delete_if_there;
use crate::repo::{RepoError, Repository};

/// What [`thin_group`] did for a group that is about to lose members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thinned {
    /// What stays is protected without this group: its shards may go once the members that leave are gone.
    Spent,
    /// A pack that stays is damaged, and the members that were to leave are needed to rebuild it: why.
    Needed(String),
}

/// Protects the members of a group that stay without those that leave, by new shards. Members that another one of the
/// `groups` protects, which loses none, need nothing. The shards are computed from the old ones less what leaves, or from
/// the packs that stay, whichever reads less; damage in what the first way reads leads to the second.
///
/// # Errors
/// The store failed.
pub fn thin_group(
    repository: &Repository,
    session: SessionId,
    groups: &Groups,
    stored: &StoredGroup,
    stays: &dyn Fn(&PackId) -> bool,
) -> Result<Thinned, RepoError> {
    let site = repository.parity_store();
    let staying: Vec<Member> = left_alone(groups, stored, stays).copied().collect();
    if staying.is_empty() {
        return Ok(Thinned::Spent);
    }
    let (leaving, kept): (Vec<Member>, Vec<Member>) =
        stored.group.members.iter().copied().partition(|member| !staying.contains(member));
    let bytes = |members: &[Member]| members.iter().map(|member| member.len).sum::<u64>();
    let shards_bytes = stored.layout().file_len() * u64::from(stored.group.shards);
    let is_cheaper = bytes(&leaving) + shards_bytes < bytes(&kept);
    if is_cheaper && subtract(repository, session, stored, &leaving, &kept)? {
        return Ok(Thinned::Spent);
    }
    let group = &stored.group;
    let id = GroupId(random_array(&*repository.environment.random)?);
    match protect_packs(site, id, (group.class, group.domain, session), group.shards, kept) {
        Ok(_) => Ok(Thinned::Spent),
        Err(error) if error.is_damage() => Ok(Thinned::Needed(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Whether [`thin_group`] has to write new shards.
#[must_use]
pub fn loses_protection(groups: &Groups, stored: &StoredGroup, stays: &dyn Fn(&PackId) -> bool) -> bool {
    left_alone(groups, stored, stays).next().is_some()
}

/// The members that stay and that no other group protects which loses none.
fn left_alone<'a>(
    groups: &'a Groups,
    stored: &'a StoredGroup,
    stays: &'a dyn Fn(&PackId) -> bool,
) -> impl Iterator<Item = &'a Member> {
    let is_whole = |other: &StoredGroup| {
        other.missing().next().is_none() && other.group.members.iter().all(|member| stays(&member.pack))
    };
    let is_left_alone =
        move |member: &&Member| stays(&member.pack) && !groups.of_pack(&member.pack).any(is_whole);
    stored.group.members.iter().filter(is_left_alone)
}

/// The old shards less the members that leave. False, and nothing was written, if any of what it reads is damaged or
/// would not fit into memory.
fn subtract(
    repository: &Repository,
    session: SessionId,
    stored: &StoredGroup,
    leaving: &[Member],
    staying: &[Member],
) -> Result<bool, RepoError> {
    let site = repository.parity_store();
    let old = &stored.group;
    let mut rows = ShardRows::new((0..old.shards).collect(), 0);
    if stored.missing().next().is_some() || rows.bytes_with(old.rows) > MAX_ROW_BYTES {
        return Ok(false);
    }
    let Some(records) = read_records(site, stored)? else { return Ok(false) };
    if !add_shards(site, stored, &records, &mut rows)? {
        return Ok(false);
    }
    // Addition and subtraction are the same in this field.
    let gone = Group { members: leaving.to_vec(), ..old.clone() };
    match add_members(site, &gone, &mut rows) {
        Err(error) if error.is_damage() => return Ok(false),
        other => other.map(drop)?,
    }
    let of_staying = old.members.iter().zip(member_sums(&records));
    let sums: Vec<_> =
        of_staying.filter(|(member, _)| staying.contains(member)).map(|(_, sums)| sums).collect();
    let id = GroupId(random_array(&*repository.environment.random)?);
    let group = new_group(site, id, (old.class, old.domain, session), old.shards, staying.to_vec());
    rows.truncate(group.layout().rows_len(0, group.rows));
    write_shards(site, &group, &sums, &mut rows, 1)?;
    Ok(true)
}

/// Deletes shards; those that are gone are fine.
///
/// # Errors
/// The store failed.
pub fn delete_shards(site: ParityStore<'_>, shards: &[ShardId]) -> Result<u64, RepoError> {
    let mut bytes = 0;
    for id in shards {
        let name = names::shard(*id);
        bytes += if_readable(site.store.head(&name))?.flatten().unwrap_or(0);
        delete_if_there(site.store, &name)?;
    }
    Ok(bytes)
}
