//! Packs from parity, parity from packs.

use std::collections::{BTreeMap, HashSet};

use super::{Found, Repair, RepairKind};
use crate::base::random::random_array;
use crate::base::{DomainId, GroupId, PackId, SessionId};
use crate::error::Error;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::format::prefix::Class;
use crate::format::shard::Member;
use crate::parity::MAX_COLUMNS;
use crate::repo::{
    RepoError, Repository, StoredGroup, protect_packs, rebuild_pack, restore_shards, rewrite_pack_index,
};

impl Repair<'_> {
    /// Rebuilds damaged and missing packs, as long as one more can be: each that is back helps the others of its group.
    pub(super) fn rebuild_packs(&mut self, found: &mut Found) -> Result<(), Error> {
        loop {
            let wanted: Vec<PackId> = found.damaged.keys().chain(&found.missing).copied().collect();
            let mut is_progress = false;
            for pack in wanted {
                self.check_cancelled()?;
                is_progress |= self.rebuild_one(found, pack)?;
            }
            if !is_progress {
                return Ok(());
            }
        }
    }

    fn rebuild_one(&mut self, found: &mut Found, pack: PackId) -> Result<bool, Error> {
        let groups: Vec<&StoredGroup> = found.groups.of_pack(&pack).collect();
        for stored in groups {
            let Some(rebuilt) = rebuild_pack(self.site.parity, stored, pack)? else { continue };
            if !rebuilt.is_whole {
                continue;
            }
            let name = names::pack(pack);
            self.replace(&name, &rebuilt.bytes)?;
            let was = found.damaged.get(&pack).map_or("missing", String::as_str);
            let text = format!("{was}; rebuilt: {} of its blocks came from parity", rebuilt.mended_blocks);
            self.step(RepairKind::Pack, &name, text);
            found.mended(&self.site, pack, &rebuilt.bytes);
            return Ok(true);
        }
        Ok(false)
    }

    /// Computes missing and damaged shards of groups whose packs are all whole.
    pub(super) fn restore_shards(&mut self, found: &Found) -> Result<(), Error> {
        for (id, why) in &found.groups.unreadable {
            self.set_aside(&names::shard(*id))?;
            self.step(RepairKind::Shard, &names::shard(*id), format!("{why}; set aside"));
        }
        let mut wanted = Vec::new();
        for stored in found.groups.all().iter().filter(|stored| found.has_whole_members(stored)) {
            let mut numbers: Vec<u8> = stored.missing().collect();
            // Of several that claim one number, the packs tell which is right: it is computed as all are.
            let is_doubtful = |number, id| {
                found.shards.contains_key(&id) || stored.surplus.iter().any(|(other, _)| *other == number)
            };
            for (number, id) in stored.claims().filter(|(number, id)| is_doubtful(*number, *id)) {
                numbers.push(number);
                // All of them before any is written: one may have the name that belongs to another.
                self.set_aside(&names::shard(id))?;
            }
            numbers.sort_unstable();
            numbers.dedup();
            if !numbers.is_empty() {
                wanted.push((stored, numbers));
            }
        }
        for (stored, numbers) in wanted {
            self.check_cancelled()?;
            if self.options.dry_run {
                let text = format!("{} of its shards would be computed again", numbers.len());
                self.report_group(stored, &text);
                continue;
            }
            for id in restore_shards(self.site.parity, stored, &numbers)? {
                let is_there = stored.claims().any(|(_, other)| other == id);
                let text = match found.shards.get(&id) {
                    Some(why) => why.as_str(),
                    None if is_there => "another shard claimed its place",
                    None => "missing",
                };
                self.step(
                    RepairKind::Shard,
                    &names::shard(id),
                    format!("{text}; computed again from its packs"),
                );
            }
        }
        Ok(())
    }

    fn report_group(&mut self, stored: &StoredGroup, text: &str) {
        let object = format!("parity group {}", stored.group.id);
        self.report.steps.push(super::RepairStep { kind: RepairKind::Shard, object, text: text.to_owned() });
    }

    /// Writes index files of packs again that are missing or damaged.
    pub(super) fn pack_indexes(&mut self, found: &Found) -> Result<(), Error> {
        for (pack, why) in found.idx.iter().filter(|(pack, _)| found.whole.contains_key(pack)) {
            self.check_cancelled()?;
            let name = names::idx(*pack);
            if !self.options.dry_run {
                rewrite_pack_index(self.site.parity, *pack)?;
            }
            // That of a rebuilt pack belongs to it, like its bytes.
            if !found.rebuilt.contains(pack) {
                self.step(RepairKind::PackIndex, &name, format!("{why}; written again from its pack"));
            }
        }
        Ok(())
    }

    /// Puts whole packs into new groups that are in none which protects them. Packs of open sessions are left to these.
    pub(super) fn protect(
        &mut self,
        repository: &Repository,
        found: &Found,
        open: &HashSet<SessionId>,
    ) -> Result<(), Error> {
        let Parity::Groups { members, shards } = repository.settings.parity else { return Ok(()) };
        let mut unprotected: BTreeMap<(Class, DomainId), Vec<(u64, PackId)>> = BTreeMap::new();
        for (id, pack) in &found.whole {
            let is_protected = found.groups.of_pack(id).any(|stored| found.has_whole_members(stored));
            if !is_protected && !open.contains(&pack.session) && !found.retired.contains(id) {
                unprotected.entry((pack.class, pack.domain)).or_default().push((pack.len, *id));
            }
        }
        for ((class, domain), mut packs) in unprotected {
            // Like lengths together: a shard is as long as the longest pack.
            packs.sort_unstable();
            for packs in packs.chunks(members.into()) {
                self.check_cancelled()?;
                self.protect_group(repository, (class, domain), shards, packs)?;
            }
        }
        Ok(())
    }

    fn protect_group(
        &mut self,
        repository: &Repository,
        (class, domain): (Class, DomainId),
        shards: u8,
        packs: &[(u64, PackId)],
    ) -> Result<(), Error> {
        if !self.options.dry_run {
            let random = &*repository.environment.random;
            let id = GroupId(random_array(random).map_err(RepoError::from)?);
            let start = u16::from_le_bytes(random_array(random).map_err(RepoError::from)?) as usize;
            let pack = |(number, (len, pack)): (usize, &(u64, PackId))| Member {
                pack: *pack,
                len: *len,
                first_row: 0,
                column: ((start + number) % MAX_COLUMNS) as u8,
            };
            let packs = packs.iter().enumerate().map(pack).collect();
            protect_packs(self.site.parity, id, (class, domain, self.session), shards, packs)?;
        }
        for (_, pack) in packs {
            self.step(RepairKind::Protect, &names::pack(*pack), "it was in no parity group");
        }
        Ok(())
    }
}
