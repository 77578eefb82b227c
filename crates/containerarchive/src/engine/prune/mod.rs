//! Snapshots that rules remove, and the space of packs that no snapshot needs (DESIGN section 11, rules P1 to P8).
//!
//! Backups go on meanwhile, and any step may be repeated by any other prune, however this one ends. Packs are first named
//! in a record, which masks them for every session that begins later; they are deleted when all sessions that began
//! earlier have ended, and after another look at the snapshots that those have made.

mod apply;
mod census;
mod copy;
mod drain;
mod mark;
mod plan;
mod report;
mod ripe;

use std::collections::HashSet;

pub use self::report::{Pending, PruneReport};

use self::apply::{Apply, Round};
use self::drain::{StoreTime, is_dead, store_time};
use self::plan::{Means, Plan, View, plan};
use super::retention::{RetentionRules, plan_retention};
use crate::base::{Monitor, NoPins, Pins, Problem, SessionId};
use crate::error::Error;
use crate::repo::{
    Maintenance, RepoError, Repository, end_dead_sessions, end_session, forget_without_reserve,
    list_sessions, merge_all_small_groups, remove_spent_fences, snapshots_in_use,
};

/// Times that a plan is made again because somebody else retired packs meanwhile.
const MAX_PLANS: usize = 5;
/// Another maintenance session is waited for, in milliseconds: an ingest that merges parity is done soon.
const MAINTENANCE_WAIT_MS: (u64, u64) = (100, 5_000);

/// What to prune, and how long to wait.
pub struct PruneOptions<'a> {
    /// Which snapshots stay; none goes without rules.
    pub rules: RetentionRules,
    /// Change nothing, and say what would be done.
    pub dry_run: bool,
    /// Packs are rewritten until at most this part of the bytes that stay is unused: 0.05 for five percent.
    pub max_unused: f64,
    /// How long to wait for sessions that may refer to what goes; `None`: until they end.
    pub drain_ms: Option<u64>,
    /// Where a store has no locks: a session whose object is older than this counts as dead.
    pub patience_ms: u64,
    /// Believe a listing that lacks packs which are there.
    pub accept_loss: bool,
    /// Threads for sealing and writing what is copied; 1 does that in the caller.
    pub threads: usize,
    /// The client's notes.
    pub pins: &'a dyn Pins,
}

impl Default for PruneOptions<'_> {
    /// No rules; 5 % may stay unused; ten minutes for others to end, an hour for sessions on stores without locks.
    fn default() -> Self {
        Self {
            rules: RetentionRules::default(),
            dry_run: false,
            max_unused: 0.05,
            drain_ms: Some(600_000),
            patience_ms: 3_600_000,
            accept_loss: false,
            threads: 1,
            pins: &NoPins,
        }
    }
}

/// Removes the snapshots that the rules do not keep, and reclaims the space of packs that no snapshot needs. Packs that are
/// needed in part are rewritten if they waste too much.
///
/// Reads all manifests and recipes, the index once from end to end, and what is copied; linear in the number of chunks.
/// Memory: about 1.2 bytes for each chunk in the index, a bit for each chunk that is needed, some 100 bytes for each pack,
/// and a constant. On a full local disk it spends the reserve, and makes it again when it is done; that also happens when
/// the reserve was missing.
///
/// # Errors
/// [`Error::RepairFirst`]: something that is needed is missing or damaged, and nothing was deleted. Another maintenance
/// session runs, the holder is no admin, the store failed, or the user wants to stop; the next run goes on then.
pub fn prune(
    repository: &Repository,
    options: &PruneOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<PruneReport, Error> {
    repository.keys.require_admin("pruning")?;
    if options.dry_run {
        return dry_run(repository, options, monitor);
    }
    let (maintenance, is_full) = begin(repository, monitor)?;
    let run = |is_full| with_session(repository, maintenance.session(), is_full, options, monitor);
    let done = match run(is_full) {
        // Already the first steps write something: fences, and the record of what is forgotten.
        Err(error) if error.is_full() && repository.spend_reserve() => run(true),
        other => other,
    };
    let ended = maintenance.end(repository);
    // Now, because the session's object takes space, too.
    repository.keep_reserve(monitor);
    let report = done?;
    ended?;
    Ok(report)
}

/// Registers. Also says whether that took the reserve, since the store is full.
fn begin(repository: &Repository, monitor: &dyn Monitor) -> Result<(Maintenance, bool), Error> {
    let own = repository.keys.domain(repository.keys.own_domain()).map_err(RepoError::from)?;
    let own = own.ok_or(RepoError::NeedsAdmin { what: "pruning" })?;
    let (step_ms, most_ms) = MAINTENANCE_WAIT_MS;
    let (mut waited_ms, mut is_full) = (0, false);
    loop {
        match Maintenance::begin(repository, &own, "prune") {
            // Looking writes nothing, unlike registering.
            Err(RepoError::Held { .. }) if waited_ms < most_ms && !monitor.is_cancelled() => loop {
                repository.environment.clock.sleep_ms(step_ms);
                waited_ms += step_ms;
                if waited_ms >= most_ms || monitor.is_cancelled() || !Maintenance::is_held(repository)? {
                    break;
                }
            },
            Err(error) if error.is_full() && repository.spend_reserve() => is_full = true,
            begun => return Ok((begun?, is_full)),
        }
    }
}

fn dry_run(
    repository: &Repository,
    options: &PruneOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<PruneReport, Error> {
    let now = repository.environment.clock.now();
    let retention = plan_retention(repository, &options.rules, now, options.pins, monitor)?;
    // Found out before the first snapshot goes.
    plan::refuse(&retention.damaged, &HashSet::new())?;
    let mut report = PruneReport::new(retention, true);
    let readers = snapshots_in_use(repository, monitor)?;
    let removed = report.retention.removed().map(|judged| judged.snapshot.manifest.id);
    let forgotten: HashSet<SessionId> = removed.filter(|id| !readers.contains_key(id)).collect();
    report.removed_snapshots = forgotten.iter().copied().collect();
    report.removed_snapshots.sort_unstable();
    let view = View { own: None, forgotten: &forgotten, means: Means::All };
    let plan = plan(repository, options, &view, monitor)?;
    report.note_plan(&plan);
    report.removed_packs = plan.leaving.len() as u64;
    Ok(report)
}

fn with_session(
    repository: &Repository,
    own: SessionId,
    is_full: bool,
    options: &PruneOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<PruneReport, Error> {
    let time = store_time(repository, own)?;
    // P1
    end_dead(repository, own, options, time, monitor)?;
    // P2
    let retention = plan_retention(repository, &options.rules, time.now(repository), options.pins, monitor)?;
    // Found out before the first snapshot goes.
    plan::refuse(&retention.damaged, &HashSet::new())?;
    let mut report = PruneReport::new(retention, false);
    let removed: Vec<SessionId> =
        report.retention.removed().map(|judged| judged.snapshot.manifest.id).collect();
    if !removed.is_empty() {
        let done = forget_without_reserve(repository, &removed, monitor)?;
        report.removed_snapshots = done.forgotten;
        report.in_use = done.in_use;
    }
    let run = Run { repository, own, options, time, monitor };
    let tried = if is_full { None } else { Some(run.rounds(Means::All, &mut report)) };
    match tried {
        Some(Err(error)) if error.is_full() => {
            repository.spend_reserve();
            run.on_a_full_store(&mut report)?;
        }
        Some(other) => other?,
        None => run.on_a_full_store(&mut report)?,
    }
    remove_spent_fences(repository)?;
    if let Err(error) = merge_all_small_groups(repository, own) {
        let text = format!("small parity groups could not be merged: {error}");
        monitor.problem(&Problem::Warning { text });
    }
    Ok(report)
}

/// P1: nobody waits for the dead.
fn end_dead(
    repository: &Repository,
    own: SessionId,
    options: &PruneOptions<'_>,
    time: StoreTime,
    monitor: &dyn Monitor,
) -> Result<(), Error> {
    end_dead_sessions(repository, monitor)?;
    for session in list_sessions(repository, monitor)? {
        if session.id != own && is_dead(repository, &session, time.now(repository), options.patience_ms) {
            end_session(repository, session.id)?;
        }
    }
    Ok(())
}

/// A prune that is registered.
struct Run<'a> {
    repository: &'a Repository,
    own: SessionId,
    options: &'a PruneOptions<'a>,
    time: StoreTime,
    monitor: &'a dyn Monitor,
}

impl Run<'_> {
    /// Plans and applies, again if somebody else retired packs meanwhile.
    fn rounds(&self, means: Means, report: &mut PruneReport) -> Result<(), Error> {
        for _ in 0..MAX_PLANS {
            let nothing = HashSet::new();
            let view = View { own: Some(self.own), forgotten: &nothing, means };
            let mut plan: Plan = plan(self.repository, self.options, &view, self.monitor)?;
            let apply = Apply {
                repository: self.repository,
                session: self.own,
                options: self.options,
                time: self.time,
                means,
                monitor: self.monitor,
            };
            if apply.run(&mut plan, report)? != Round::Again {
                return Ok(());
            }
        }
        let text = "others keep retiring packs; the next run goes on".to_owned();
        self.monitor.problem(&Problem::Warning { text });
        Ok(())
    }

    /// First what needs no space, so that the reserve, which was spent by now, is enough for the records; only then what
    /// is worth some.
    fn on_a_full_store(&self, report: &mut PruneReport) -> Result<(), Error> {
        self.rounds(Means::Nothing, report)?;
        if report.removed_packs == 0 && report.pending.is_none() {
            self.rounds(Means::Shards, report)?;
        }
        if report.pending.is_some() {
            return Ok(());
        }
        let first = (std::mem::take(&mut report.leaving), std::mem::take(&mut report.freed_bytes));
        let done = match self.rounds(Means::All, report) {
            Err(error) if error.is_full() && report.removed_packs > 0 => {
                let text = format!("{error}; what could go without writing anything is gone");
                self.monitor.problem(&Problem::Warning { text });
                report.leaving.clear();
                report.rewritten.clear();
                report.freed_bytes = 0;
                Ok(())
            }
            other => other,
        };
        report.add_earlier(first);
        done
    }
}
