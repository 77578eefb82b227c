//! The index: damaged segments are set aside, and packs that no segment names are named in new ones.

use std::collections::HashSet;

use super::{Found, Repair, RepairKind};
use crate::base::{PackId, SessionId};
use crate::error::Error;
use crate::format::names;
use crate::repo::{PackIndexer, Repository};

impl Repair<'_> {
    pub(super) fn index(
        &mut self,
        repository: &Repository,
        found: &Found,
        open: &HashSet<SessionId>,
    ) -> Result<(), Error> {
        for (id, why) in &found.segments {
            let name = names::segment(*id);
            self.set_aside(&name)?;
            self.step(RepairKind::Index, &name, format!("{why}; set aside"));
        }
        let mut indexer = PackIndexer::new(repository, self.session);
        let mut named: Vec<PackId> = Vec::new();
        for id in found.unnamed(repository, open, self.monitor)? {
            self.check_cancelled()?;
            let view = match repository.view_any_pack(id) {
                Ok(view) => view,
                Err(error) if error.is_useless() => {
                    self.unrepaired(&names::pack(id), error.to_string());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            // Its writer may have died before its own fsync.
            if !self.options.dry_run && repository.settle_pack(id)?.is_none() {
                continue;
            }
            named.push(id);
            if !self.options.dry_run {
                indexer.add(&view)?;
            }
        }
        indexer.finish()?;
        for id in named {
            self.step(RepairKind::Index, &names::pack(id), "no index segment named it; one does now");
        }
        Ok(())
    }
}
