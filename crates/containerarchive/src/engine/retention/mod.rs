//! Which snapshots rules keep. Here is what reads the repository; what decides (`judge.rs`) is pure.

mod judge;
mod rules;
mod verdict;
mod zone;

#[cfg(test)]
mod oracle;

use std::collections::BTreeMap;

use self::judge::{Candidate, judge};
pub use self::rules::{GroupBy, Period, RetentionRules};
pub use self::verdict::{Dating, KeepReason, RemoveReason, Verdict};
pub use self::zone::{UnknownZone, Zone};
use crate::base::{Monitor, Pins, Problem, SessionId, Timestamp};
use crate::error::Error;
use crate::host::listed;
use crate::repo::{Damage, LoadedManifest, Repository, load_manifests};

/// What rules say of one snapshot.
#[derive(Debug, Clone)]
pub struct JudgedSnapshot {
    /// The snapshot.
    pub snapshot: LoadedManifest,
    /// How the time that it stands for fits when the store got it.
    pub dating: Dating,
    /// Whether it stays, and why.
    pub verdict: Verdict,
}

/// What rules say of all snapshots. Nothing is done yet.
#[derive(Debug)]
pub struct RetentionPlan {
    /// Every snapshot that can be read, oldest first.
    pub snapshots: Vec<JudgedSnapshot>,
    /// Snapshots that are damaged or missing, and why. Those among them that can be read are kept.
    pub damaged: BTreeMap<SessionId, Damage>,
}

impl RetentionPlan {
    /// Snapshots that go, oldest first.
    pub fn removed(&self) -> impl Iterator<Item = &JudgedSnapshot> {
        self.snapshots.iter().filter(|judged| matches!(judged.verdict, Verdict::Remove(_)))
    }

    /// Snapshots that stay, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = &JudgedSnapshot> {
        self.snapshots.iter().filter(|judged| matches!(judged.verdict, Verdict::Keep(_)))
    }

    /// Ids of the snapshots dated so, oldest first.
    #[must_use]
    pub fn dated(&self, dating: Dating) -> Vec<SessionId> {
        let dated = self.snapshots.iter().filter(|judged| judged.dating == dating);
        dated.map(|judged| judged.snapshot.manifest.id).collect()
    }
}

/// Judges all snapshots by rules, and remembers that they were seen. Changes nothing.
///
/// `now` is the store's time where it can be had, for example that of an object that was just written, else this
/// computer's. A clock that is behind only makes more snapshots stay; one that is ahead changes nothing: ages count from
/// the newest snapshot of a group.
///
/// Costs a read for each manifest and memory for all of them. Snapshots whose time does not fit when the store got them
/// are told to the monitor.
///
/// # Errors
/// The holder is no admin, or the store failed.
pub fn plan_retention(
    repository: &Repository,
    rules: &RetentionRules,
    now: Timestamp,
    pins: &dyn Pins,
    monitor: &dyn Monitor,
) -> Result<RetentionPlan, Error> {
    // Before the snapshots: what is pinned or forgotten later than that is looked at once more by who removes.
    let pinned = repository.pinned()?;
    let forgotten = repository.forgotten(monitor)?;
    let found = load_manifests(repository, monitor)?;
    let seen: Vec<_> = found
        .snapshots
        .iter()
        .map(|loaded| (loaded.domain, loaded.manifest.id, loaded.manifest.committed_at))
        .collect();
    repository.remember(pins, &seen, monitor);
    let candidates: Vec<Candidate<'_>> = found
        .snapshots
        .iter()
        .map(|loaded| {
            let id = loaded.manifest.id;
            Candidate {
                id,
                domain: loaded.domain,
                series: &loaded.manifest.series,
                tags: &loaded.manifest.tags,
                time: loaded.manifest.created_at,
                dating: Dating::of(loaded.manifest.created_at, loaded.stored_at, now),
                is_pinned: pinned.contains(&id),
                is_damaged: found.damaged.contains_key(&id),
                is_forgotten: forgotten.contains(&id),
            }
        })
        .collect();
    let verdicts = judge(rules, now, &candidates);
    let datings: Vec<Dating> = candidates.iter().map(|candidate| candidate.dating).collect();
    let judged = found.snapshots.into_iter().zip(datings).zip(verdicts);
    let snapshots =
        judged.map(|((snapshot, dating), verdict)| JudgedSnapshot { snapshot, dating, verdict }).collect();
    let plan = RetentionPlan { snapshots, damaged: found.damaged };
    if !rules.is_empty() {
        tell_dated(&plan, monitor);
    }
    Ok(plan)
}

fn tell_dated(plan: &RetentionPlan, monitor: &dyn Monitor) {
    for (dating, text) in [
        (
            Dating::FromTheFuture,
            "stand for a time after the one at which the storage got them: they are kept until they are forgotten by name, and count for no rule",
        ),
        (
            Dating::BackDated,
            "stand for a time before the one at which the storage got them (--time, a wrong clock, a copied repository): rules thin them, and none of them takes the place of another snapshot",
        ),
    ] {
        let ids: Vec<String> = plan.dated(dating).iter().map(SessionId::to_hex).collect();
        if !ids.is_empty() {
            let text =
                format!("{} of {} snapshots {text}: {}", ids.len(), plan.snapshots.len(), listed(&ids));
            monitor.problem(&Problem::Warning { text });
        }
    }
}
