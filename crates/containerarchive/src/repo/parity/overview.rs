//! How well packs are protected, judged by which files are there.

use std::collections::HashMap;

use super::groups::{Groups, StoredGroup};
use crate::base::{GroupId, PackId};
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::format::shard::Member;
use crate::repo::{RepoError, Repository};

/// One group, judged by which files exist and how long they are; what is in them is for `verify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub id: GroupId,
    /// Packs in it.
    pub members: u32,
    /// Those of them that are missing or have another length.
    pub missing_members: u32,
    /// Shards that it should have.
    pub shards: u32,
    /// Shards that are missing, cut short or unreadable.
    pub missing_shards: u32,
    /// Bytes of its packs.
    pub protected_bytes: u64,
    /// Bytes of its shards.
    pub parity_bytes: u64,
}

impl GroupStatus {
    /// How many more packs may be lost; below 0 something is lost already.
    #[must_use]
    pub fn margin(&self) -> i64 {
        i64::from(self.shards) - i64::from(self.missing_shards) - i64::from(self.missing_members)
    }
}

/// How well a repository is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParityOverview {
    /// What new packs get.
    pub level: Parity,
    /// All groups, the worst protected first.
    pub groups: Vec<GroupStatus>,
    /// Packs that are in no group, and their bytes.
    pub unprotected_packs: u64,
    /// Their bytes.
    pub unprotected_bytes: u64,
    /// Packs that are in a group, each counted once.
    pub protected_packs: u64,
    /// Their bytes.
    pub protected_bytes: u64,
    /// Bytes of all shards.
    pub parity_bytes: u64,
    /// Shards that say nothing of a group any more.
    pub unreadable_shards: u64,
}

impl ParityOverview {
    /// The smallest margin of all groups; `None` without groups.
    #[must_use]
    pub fn margin(&self) -> Option<i64> {
        self.groups.iter().map(GroupStatus::margin).min()
    }
}

impl Repository {
    /// Looks at all groups. Reads some kilobytes of each shard, and no pack.
    ///
    /// # Errors
    /// The store failed.
    pub fn parity_overview(&self) -> Result<ParityOverview, RepoError> {
        let groups = Groups::load(self.parity_store())?;
        let (mut packs, mut shards) = (HashMap::new(), HashMap::new());
        let store = &*self.store;
        store
            .list(names::PACKS, &mut |entry| {
                packs.extend(names::pack_id_of(&entry.name, "pack").map(|id| (id, entry.len)));
            })
            .and_then(|()| {
                store.list(names::PARITY, &mut |entry| {
                    shards.insert(entry.name.to_string(), entry.len);
                })
            })?;
        let is_protected = |pack: &PackId| groups.of_pack(pack).next().is_some();
        let mut report = ParityOverview {
            level: self.settings.parity,
            groups: groups.all().iter().map(|stored| judge(stored, &packs, &shards)).collect(),
            unprotected_packs: 0,
            unprotected_bytes: 0,
            protected_packs: 0,
            protected_bytes: 0,
            parity_bytes: shards.values().sum(),
            unreadable_shards: groups.unreadable.len() as u64,
        };
        for (pack, bytes) in &packs {
            let (count, sum) = if is_protected(pack) {
                (&mut report.protected_packs, &mut report.protected_bytes)
            } else {
                (&mut report.unprotected_packs, &mut report.unprotected_bytes)
            };
            *count += 1;
            *sum += bytes;
        }
        report.groups.sort_by_key(|group| (group.margin(), group.id));
        Ok(report)
    }
}

fn judge(stored: &StoredGroup, packs: &HashMap<PackId, u64>, shards: &HashMap<String, u64>) -> GroupStatus {
    let group = &stored.group;
    let is_whole = |member: &&Member| packs.get(&member.pack) == Some(&member.len);
    let file_len = stored.layout().file_len();
    let len_of = |id| shards.get(names::shard(id).as_str()).copied();
    let good = stored.present().filter(|(_, id)| len_of(*id) == Some(file_len)).count() as u32;
    GroupStatus {
        id: group.id,
        members: group.members.len() as u32,
        missing_members: (group.members.len() - group.members.iter().filter(is_whole).count()) as u32,
        shards: group.shards.into(),
        missing_shards: u32::from(group.shards) - good,
        protected_bytes: group.members.iter().map(|member| member.len).sum(),
        parity_bytes: stored.present().filter_map(|(_, id)| len_of(id)).sum(),
    }
}
