//! Small groups become large ones: each new shard is the sum of theirs, so that no pack is read.

use std::collections::{BTreeMap, BTreeSet};

use super::encode::{new_group, write_shards};
use super::groups::{Groups, StoredGroup};
use super::shards::{MAX_ROW_BYTES, ShardRows};
use super::{ParityStore, if_readable};
use crate::base::random::random_array;
use crate::base::{DomainId, GroupId, SessionId};
use crate::crypto::{BLOCK_LEN, BlockSum, block_sum};
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::format::prefix::Class;
use crate::format::shard::{Member, RowSums};
use crate::repo::objects::delete_if_there;
use crate::repo::{Maintenance, RepoError, Repository};

/// Small groups of one kind that are left alone as long as their shards take little.
const MAX_SMALL_GROUPS: usize = 16;
/// Shards of small groups may take this part of their packs before they are merged.
const MAX_SMALL_SHARE: u64 = 10;
/// Rows of a shard that are read at once.
const ROWS_AT_ONCE: usize = 32;

/// What can be merged has the same kind, domain and number of shards.
type Like = (Class, DomainId, u8);

/// Merges small groups, if there are many of them, or their shards take more than a tenth of what they protect; those of
/// which a pack is gone are left to prune and repair. Asks for each pack whether it is there, and reads none.
/// Returns how many groups became one. Does nothing while another maintenance session runs.
///
/// # Errors
/// The store failed. Old shards are deleted only when those in their place are durable.
pub fn merge_small_groups(repository: &Repository, domain: DomainId) -> Result<usize, RepoError> {
    let Parity::Groups { members: most, .. } = repository.settings.parity else { return Ok(0) };
    let site = repository.parity_store();
    // A first look without registering: mostly there is nothing to do.
    if plan(&Groups::load_newest(site)?, domain, most.into()).is_empty() {
        return Ok(0);
    }
    let Some(keys) = repository.keys.domain(domain)? else { return Ok(0) };
    let maintenance = match Maintenance::begin(repository, &keys, "merge parity") {
        Ok(maintenance) => maintenance,
        Err(RepoError::Held { .. }) => return Ok(0),
        Err(error) => return Err(error),
    };
    let groups = Groups::load_newest(site)?;
    let merged = merge_all(repository, &groups, domain, most.into(), maintenance.session());
    maintenance.end(repository)?;
    merged
}

/// As [`merge_small_groups`], for all groups of all domains, in a maintenance session that runs already.
///
/// # Errors
/// As there.
pub fn merge_all_small_groups(repository: &Repository, session: SessionId) -> Result<usize, RepoError> {
    let Parity::Groups { members: most, .. } = repository.settings.parity else { return Ok(0) };
    let groups = Groups::load(repository.parity_store())?;
    let domains: BTreeSet<DomainId> = groups.all().iter().map(|stored| stored.group.domain).collect();
    let mut merged = 0;
    for domain in domains {
        merged += merge_all(repository, &groups, domain, most.into(), session)?;
    }
    Ok(merged)
}

fn merge_all(
    repository: &Repository,
    groups: &Groups,
    domain: DomainId,
    most: usize,
    session: SessionId,
) -> Result<usize, RepoError> {
    let mut merged = 0;
    for bin in plan(groups, domain, most) {
        let mut whole = Vec::with_capacity(bin.len());
        for stored in bin {
            if has_all_packs(repository, stored)? {
                whole.push(stored);
            }
        }
        if whole.len() > 1 && merge_bin(repository, &whole, session)? {
            merged += whole.len();
        }
    }
    Ok(merged)
}

/// A pack that is gone, as what a killed prune has deleted, is a loss that the packs of other groups would have to share.
fn has_all_packs(repository: &Repository, stored: &StoredGroup) -> Result<bool, RepoError> {
    for member in &stored.group.members {
        if repository.store.head(&names::pack(member.pack))?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Which groups become one.
fn plan(groups: &Groups, domain: DomainId, most: usize) -> Vec<Vec<&StoredGroup>> {
    let mut small: BTreeMap<Like, Vec<&StoredGroup>> = BTreeMap::new();
    for stored in groups.all() {
        let group = &stored.group;
        let is_alone = group.members.iter().all(|member| groups.of_pack(&member.pack).count() == 1);
        if group.domain == domain
            && group.members.len() < most
            && stored.missing().next().is_none()
            && is_alone
        {
            small.entry((group.class, group.domain, group.shards)).or_default().push(stored);
        }
    }
    let mut bins = Vec::new();
    for mut groups in small.into_values() {
        let protected: u64 =
            groups.iter().flat_map(|stored| &stored.group.members).map(|member| member.len).sum();
        let shards: u64 =
            groups.iter().map(|stored| stored.layout().file_len() * u64::from(stored.group.shards)).sum();
        if groups.len() <= MAX_SMALL_GROUPS && shards <= protected / MAX_SMALL_SHARE {
            continue;
        }
        // Like lengths together: a shard is as long as the longest member.
        groups.sort_by_key(|stored| (std::cmp::Reverse(stored.group.rows), stored.group.id));
        bins.extend(first_fit(groups, most).into_iter().filter(|bin| bin.len() > 1));
    }
    bins
}

fn first_fit(groups: Vec<&StoredGroup>, most: usize) -> Vec<Vec<&StoredGroup>> {
    let mut bins: Vec<(Vec<&StoredGroup>, Vec<u8>)> = Vec::new();
    for stored in groups {
        let columns: Vec<u8> = stored.group.members.iter().map(|member| member.column).collect();
        let fits = |bin: &&mut (Vec<&StoredGroup>, Vec<u8>)| {
            bin.1.len() + columns.len() <= most && !columns.iter().any(|column| bin.1.contains(column))
        };
        match bins.iter_mut().find(fits) {
            Some((bin, taken)) => {
                bin.push(stored);
                taken.extend(columns);
            }
            None => bins.push((vec![stored], columns)),
        }
    }
    bins.into_iter().map(|(bin, _)| bin).collect()
}

/// Merges groups of disjoint columns. False, and nothing is changed, if a shard is damaged: that is for repair.
fn merge_bin(repository: &Repository, bin: &[&StoredGroup], session: SessionId) -> Result<bool, RepoError> {
    let site = repository.parity_store();
    let first = &bin[0].group;
    let mut members: Vec<(Member, Vec<BlockSum>)> = Vec::new();
    let mut records: Vec<Vec<RowSums>> = Vec::new();
    for stored in bin {
        let Some(rows) = read_records(site, stored)? else { return Ok(false) };
        members.extend(stored.group.members.iter().copied().zip(member_sums(&rows)));
        records.push(rows);
    }
    members.sort_unstable_by_key(|(member, _)| member.column);
    let (members, sums): (Vec<Member>, Vec<Vec<BlockSum>>) = members.into_iter().unzip();
    let id = GroupId(random_array(&*repository.environment.random)?);
    let group = new_group(site, id, (first.class, first.domain, session), first.shards, members);
    let mut sum = ShardRows::new((0..group.shards).collect(), 0);
    if sum.bytes_with(group.rows) > MAX_ROW_BYTES {
        return Ok(false);
    }
    for (stored, records) in bin.iter().zip(&records) {
        if !add_shards(site, stored, records, &mut sum)? {
            return Ok(false);
        }
    }
    write_shards(site, &group, &sums, &mut sum, 1)?;
    for (_, id) in bin.iter().flat_map(|stored| stored.present()) {
        delete_if_there(site.store, &names::shard(id))?;
    }
    Ok(true)
}

/// The checksums of all rows of a group. `None` if some are lost.
pub(super) fn read_records(
    site: ParityStore<'_>,
    stored: &StoredGroup,
) -> Result<Option<Vec<RowSums>>, RepoError> {
    (0..stored.group.rows).map(|row| stored.row_sums(site, row)).collect()
}

/// The checksums of the blocks of each member.
pub(super) fn member_sums(records: &[RowSums]) -> Vec<Vec<BlockSum>> {
    let members = records.first().map_or(0, |record| record.members.len());
    (0..members).map(|place| records.iter().filter_map(|record| record.members[place]).collect()).collect()
}

/// Adds the rows of all shards of a group, each compared with its checksum. False if one is damaged.
pub(super) fn add_shards(
    site: ParityStore<'_>,
    stored: &StoredGroup,
    records: &[RowSums],
    sum: &mut ShardRows,
) -> Result<bool, RepoError> {
    let rows = stored.group.rows;
    let mut buffer = vec![0; ROWS_AT_ONCE * BLOCK_LEN];
    for (number, id) in stored.present() {
        for first in (0..rows).step_by(ROWS_AT_ONCE) {
            let count = (rows - first).min(ROWS_AT_ONCE as u32);
            let bytes = &mut buffer[..stored.layout().rows_len(first, count)];
            let offset = stored.layout().row(first);
            if if_readable(site.store.get_range(&names::shard(id), offset, bytes))?.is_none() {
                return Ok(false);
            }
            for (row, block) in (first..).zip(bytes.chunks(BLOCK_LEN)) {
                let sum = records.get(row as usize).and_then(|sums| sums.shards.get(usize::from(number)));
                if sum != Some(&block_sum(row, block)) {
                    return Ok(false);
                }
            }
            sum.merge(number.into(), first, bytes);
        }
    }
    Ok(true)
}
