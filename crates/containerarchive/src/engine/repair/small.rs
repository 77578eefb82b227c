//! Small objects from their replicas, and replicas from their originals.

use super::{Found, Repair, RepairKind};
use crate::base::ObjectName;
use crate::base::limits::MAX_JSON_BYTES;
use crate::engine::scan::{SmallId, SmallObject, Standing, State};
use crate::error::Error;
use crate::format::names;
use crate::format::signed::StopKind;
use crate::repo::{RepoError, end_session};

impl Repair<'_> {
    pub(super) fn small_objects(&mut self, found: &Found) -> Result<(), Error> {
        for object in &found.small {
            self.check_cancelled()?;
            let name = object.id.name();
            match (object.standing, &object.original, &object.replica) {
                (Standing::LeftOver | Standing::Voided, _, _) => self.left_over(object, &name)?,
                (_, State::Intact, Some(State::Missing | State::Damaged(_))) => {
                    let text = format!("{}; written again from its original", word(object.replica.as_ref()));
                    self.copy(&name, &names::replica(&name))?;
                    self.step(RepairKind::Replica, &names::replica(&name), text);
                }
                (_, original, Some(State::Intact)) => {
                    let text = format!("{}; brought back from its replica", word(Some(original)));
                    self.copy(&names::replica(&name), &name)?;
                    self.step(RepairKind::Original, &name, text);
                }
                (_, original, _) => self.without_copy(object, &name, original)?,
            }
        }
        Ok(())
    }

    fn copy(&self, from: &ObjectName, to: &ObjectName) -> Result<(), Error> {
        let bytes = self.site.parity.store.get(from, MAX_JSON_BYTES as u64).map_err(RepoError::from)?;
        self.replace(to, &bytes)
    }

    /// A manifest that was withdrawn or forgotten is no snapshot, whatever is left of it.
    fn left_over(&mut self, object: &SmallObject, name: &ObjectName) -> Result<(), Error> {
        let replica = names::replica(name);
        let is_there = |state: &State| *state != State::Missing;
        // The original of a voided manifest is prune's.
        if object.standing == Standing::LeftOver && object.replica.as_ref().is_some_and(is_there) {
            self.set_aside(&replica)?;
            self.step(RepairKind::LeftOver, &replica, "its snapshot was withdrawn or forgotten");
        }
        Ok(())
    }

    /// Fences and voids have no replica. They can be signed again where it is certain what they said.
    fn without_copy(
        &mut self,
        object: &SmallObject,
        name: &ObjectName,
        original: &State,
    ) -> Result<(), Error> {
        let State::Damaged(why) = original else {
            if object.replica.is_some() {
                self.unrepaired(name, "it is missing or damaged, and so is its replica");
            }
            return Ok(());
        };
        match (object.id, self.site.opened) {
            (SmallId::Fence(session) | SmallId::Void(session), Some(repository)) => {
                self.set_aside(name)?;
                let is_snapshot =
                    self.site.parity.store.head(&names::manifest(session)).map_err(RepoError::from)?;
                let was_fenced = repository.is_stopped(StopKind::Fence, session, self.monitor)?;
                // A session that was fenced has withdrawn its manifest or will; one without manifest never had a snapshot.
                let is_certain = is_snapshot.is_none() || was_fenced;
                if is_certain && !self.options.dry_run {
                    end_session(repository, session)?;
                }
                let text = if is_certain { "signed again" } else { "its snapshot exists and counts" };
                self.step(RepairKind::Original, name, format!("{why}; set aside; {text}"));
            }
            _ => self.unrepaired(name, format!("{why}; there is no intact copy")),
        }
        Ok(())
    }
}

fn word(state: Option<&State>) -> String {
    match state {
        Some(State::Damaged(why)) => why.clone(),
        _ => "missing".to_owned(),
    }
}
