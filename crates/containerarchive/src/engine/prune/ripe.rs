//! P8 on stores whose reads and listings may be stale: what a plan may delete is what was retired long enough ago.

use std::collections::{BTreeMap, BTreeSet};

use super::drain::StoreTime;
use super::plan::Plan;
use crate::base::{PackId, Planted, RecordId, is_planted};
use crate::error::Error;
use crate::repo::{RecordAge, Repository, record_ages};

/// What waits, and what does not.
#[derive(Debug, Default)]
pub(super) struct Ripeness {
    /// Packs of the plan that must stay for now.
    pub(super) waiting: BTreeSet<PackId>,
    /// Those of them that no record names which still counts.
    pub(super) unnamed: BTreeSet<PackId>,
    /// Records that may be deleted.
    pub(super) spent: BTreeSet<RecordId>,
}

/// Takes out of a plan what may not be deleted yet. The plan was made after the session began, and so ages are taken from
/// there.
///
/// # Errors
/// The store failed.
pub(super) fn set_aside(
    repository: &Repository,
    time: StoreTime,
    plan: &mut Plan,
) -> Result<Ripeness, Error> {
    let ages = record_ages(repository, time.seen)?;
    let mut named: BTreeMap<PackId, bool> = BTreeMap::new();
    for (id, packs) in &plan.records {
        let age = ages.get(id).copied().unwrap_or(RecordAge::Young);
        if matches!(age, RecordAge::Young | RecordAge::Ripe) {
            packs.iter().for_each(|pack| *named.entry(*pack).or_default() |= age == RecordAge::Ripe);
        }
    }
    let is_hasty = is_planted(Planted::SweptUnripe);
    let is_ripe = |pack: &PackId| is_hasty || named.get(pack) == Some(&true);
    let (ripe, waiting): (BTreeSet<PackId>, BTreeSet<PackId>) =
        std::mem::take(&mut plan.leaving).into_iter().partition(is_ripe);
    let unnamed = waiting.iter().filter(|pack| !named.contains_key(pack)).copied().collect();
    plan.leaving = ripe;
    let spent = ages.into_iter().filter(|(_, age)| *age == RecordAge::Spent).map(|(id, _)| id).collect();
    Ok(Ripeness { waiting, unnamed, spent })
}
