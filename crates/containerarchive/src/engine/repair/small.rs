//! Small objects from their replicas, and replicas from their originals.

use super::{Found, Repair, RepairKind};
use crate::base::ObjectName;
use crate::base::limits::MAX_JSON_BYTES;
use crate::engine::scan::{SmallId, SmallObject, Standing, State};
use crate::error::Error;
use crate::format::names;
use crate::repo::{RepoError, Repository, end_session};
use crate::store::StoreErrorKind;

impl Repair<'_> {
    pub(super) fn small_objects(&mut self, found: &Found) -> Result<(), Error> {
        // Fences and voids last: what they say depends on which manifests are there, and replicas bring these back.
        let is_stop = |object: &&SmallObject| matches!(object.id, SmallId::Fence(_) | SmallId::Void(_));
        let others = found.small.iter().filter(|object| !is_stop(object));
        for object in others.chain(found.small.iter().filter(is_stop)) {
            self.check_cancelled()?;
            let name = object.id.name();
            match (object.standing, &object.original, &object.replica) {
                (Standing::LeftOver | Standing::Voided, _, _) => self.left_over(object, &name)?,
                (_, State::Intact, Some(State::Missing | State::Damaged(_))) => {
                    let text = format!("{}; written again from its original", word(object.replica.as_ref()));
                    if self.copy(&name, &names::replica(&name))? {
                        self.unless_withdrawn(&name)?;
                        self.step(RepairKind::Replica, &names::replica(&name), text);
                    }
                }
                (_, original, Some(State::Intact)) => {
                    let text = format!("{}; brought back from its replica", word(Some(original)));
                    if self.copy(&names::replica(&name), &name)? {
                        self.step(RepairKind::Original, &name, text);
                    }
                }
                (_, original, _) => self.without_copy(object, &name, original)?,
            }
        }
        Ok(())
    }

    /// Signs voids again that are gone: whatever was late to arrive would become a snapshot (S1).
    pub(super) fn voids(&mut self, repository: &Repository, found: &Found) -> Result<(), Error> {
        for session in &found.unvoided {
            self.check_cancelled()?;
            if !self.options.dry_run {
                end_session(repository, *session)?;
            }
            let text = "it was missing: its session was ended and made no snapshot; signed again";
            self.step(RepairKind::Void, &names::void(*session), text);
        }
        Ok(())
    }

    /// False, and nothing was done, if what was there when it was looked for is gone: somebody deletes it, as who forgets a
    /// snapshot.
    fn copy(&self, from: &ObjectName, to: &ObjectName) -> Result<bool, Error> {
        match self.site.parity.store.get(from, MAX_JSON_BYTES as u64) {
            Ok(bytes) => self.replace(to, &bytes).map(|()| true),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(false),
            Err(error) => Err(RepoError::from(error).into()),
        }
    }

    /// Whoever withdraws a manifest deletes it and then its replica; one that was written meanwhile must not stay.
    fn unless_withdrawn(&self, name: &ObjectName) -> Result<(), Error> {
        let store = self.site.parity.store;
        if !self.options.dry_run && store.head(name).map_err(RepoError::from)?.is_none() {
            self.set_aside(&names::replica(name))?;
        }
        Ok(())
    }

    /// A manifest that was voided or forgotten is no snapshot, whatever is left of it.
    fn left_over(&mut self, object: &SmallObject, name: &ObjectName) -> Result<(), Error> {
        let replica = names::replica(name);
        let is_there = |state: &State| *state != State::Missing;
        // The original of a voided manifest is prune's.
        if object.standing == Standing::LeftOver && object.replica.as_ref().is_some_and(is_there) {
            self.set_aside(&replica)?;
            self.step(RepairKind::LeftOver, &replica, "its snapshot was voided or forgotten");
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
                // A session without manifest never had a snapshot. One with a manifest may have been ended after it made
                // it: what is damaged hides no snapshot.
                let is_certain = is_snapshot.is_none();
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
