//! Damaged packs that cannot be rebuilt and that no snapshot needs any more go, and with them what protected them.

use std::collections::HashSet;

use super::{Found, Needed, Repair, RepairKind};
use crate::base::{PackId, SessionId};
use crate::error::Error;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::repo::{Repository, StoredGroup};

impl Repair<'_> {
    /// Sets damaged packs aside if that takes nothing from anybody; all others are told. They are masked, so that only a
    /// session that began before the record may still refer to them.
    pub(super) fn unneeded(
        &mut self,
        repository: &Repository,
        found: &Found,
        (needed, open): (&Needed, &HashSet<SessionId>),
    ) -> Result<(), Error> {
        let is_certain = needed.is_all && open.is_empty();
        for (pack, why) in &found.damaged {
            self.check_cancelled()?;
            let name = names::pack(*pack);
            let is_unneeded = needed.is_all && !needed.packs.contains(pack);
            if is_unneeded && is_certain {
                self.set_aside(&names::idx(*pack))?;
                self.set_aside(&name)?;
                self.step(RepairKind::Unneeded, &name, format!("{why}; no snapshot needs it; set aside"));
            } else if is_unneeded {
                let text = format!(
                    "{why}; no snapshot needs it, but a session is open that may: repair again later"
                );
                self.unrepaired(&name, text);
            } else {
                let text = format!("{why}; its parity group, if it has one, has lost too much to rebuild it");
                self.unrepaired(&name, text);
            }
        }
        if is_certain && repository.settings.parity != Parity::Off {
            self.spent_groups(found, needed)?;
        }
        Ok(())
    }

    /// Sets aside the shards of groups that have lost a pack for good: what is left of their packs is in new groups.
    fn spent_groups(&mut self, found: &Found, needed: &Needed) -> Result<(), Error> {
        let is_gone = |pack: &PackId| !found.whole.contains_key(pack) && !needed.packs.contains(pack);
        // What is masked is put into no new group: as long as a snapshot needs it, the old one is all it has.
        let is_bound = |pack: &PackId| match found.whole.contains_key(pack) {
            true => found.retired.contains(pack) && needed.packs.contains(pack),
            false => !is_gone(pack),
        };
        let is_spent = |stored: &&StoredGroup| {
            let packs = || stored.group.members.iter().map(|member| member.pack);
            packs().any(|pack| is_gone(&pack)) && !packs().any(|pack| is_bound(&pack))
        };
        for stored in found.groups.all().iter().filter(is_spent) {
            for (_, shard) in stored.present().chain(stored.surplus.iter().copied()) {
                let name = names::shard(shard);
                self.set_aside(&name)?;
                let (kind, why) = match found.shards.get(&shard) {
                    Some(why) => (RepairKind::Shard, why.as_str()),
                    None => (RepairKind::LeftOver, "its packs are gone or in other groups"),
                };
                self.step(kind, &name, format!("{why}; set aside"));
            }
        }
        Ok(())
    }
}
