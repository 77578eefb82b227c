//! Mending what can be mended: from replicas, from parity, from the packs themselves.
//!
//! Everything is read first; each change then writes a new object or puts right bytes in the place of wrong ones, and can
//! be repeated by the next run, however this one ends. What was replaced stays in quarantine until a second reading of the
//! repository finds nothing damaged.

mod found;
mod index;
mod packs;
mod report;
mod small;
mod unneeded;

use std::collections::{BTreeSet, HashSet};

pub use self::report::{RepairKind, RepairReport, RepairStep, Unrepaired};

use self::found::Found;
use super::scan::{Hole, Site, Walk};
use crate::base::random::random_array;
use crate::base::{DomainId, Monitor, ObjectName, PackId, Randomness, RecordId, SessionId};
use crate::error::Error;
use crate::format::names;
use crate::repo::{
    Locked, Maintenance, RepoError, Repository, end_dead_sessions, load_manifests, replace, set_aside,
};

/// How to repair.
#[derive(Debug, Clone, Copy)]
pub struct RepairOptions {
    /// Change nothing, and say what would be done.
    pub dry_run: bool,
    /// Worker threads for reading; 1 reads in the caller.
    pub threads: usize,
}

/// A repair under way.
struct Repair<'a> {
    site: Site<'a>,
    random: &'a dyn Randomness,
    options: RepairOptions,
    monitor: &'a dyn Monitor,
    /// The maintenance session; one of its own for a repair without key.
    session: SessionId,
    report: RepairReport,
}

/// What snapshots need.
struct Needed {
    packs: HashSet<PackId>,
    /// Whether no other pack can be needed: every snapshot could be walked to its last chunk.
    is_all: bool,
}

/// Repairs a repository, with everything that the key of an admin can do. On a repository without damage it changes nothing.
///
/// Cost: reads every object once, twice if something was wrong. Memory: a pack and some megabytes for each thread.
///
/// # Errors
/// Another maintenance session runs, the holder is no admin, the store failed, or the user wants to stop; what was mended
/// until then stays mended, and the next run goes on. That something cannot be mended stands in the report.
pub fn repair(
    repository: &Repository,
    options: &RepairOptions,
    monitor: &dyn Monitor,
) -> Result<RepairReport, Error> {
    repository.keys.require_admin("repairing")?;
    let own = repository.keys.domain(DomainId::MAIN).map_err(RepoError::from)?;
    let own = own.ok_or(RepoError::NeedsAdmin { what: "repairing" })?;
    let maintenance = Maintenance::begin(repository, &own, "repair")?;
    let done = with_key(repository, &maintenance, *options, monitor);
    let ended = maintenance.end(repository);
    let report = done?;
    ended?;
    Ok(report)
}

fn with_key(
    repository: &Repository,
    maintenance: &Maintenance,
    options: RepairOptions,
    monitor: &dyn Monitor,
) -> Result<RepairReport, Error> {
    let mut repair = Repair {
        site: Site::of(repository),
        random: &*repository.environment.random,
        options,
        monitor,
        session: maintenance.session(),
        report: RepairReport { is_dry_run: options.dry_run, ..RepairReport::default() },
    };
    let found = repair.run()?;
    // After the replicas: a dead session whose manifest is lost has a snapshot all the same.
    repair.end_sessions(repository, maintenance)?;
    repair.voids(repository, &found)?;
    repair.retire(repository, &found)?;
    // In this order: who is not open now reads the record first (W1), and who is no longer open has its snapshot listed.
    let open = maintenance.other_sessions(repository)?;
    repair.protect(repository, &found, &open)?;
    repair.index(repository, &found, &open)?;
    let needed = repair.tell_what_is_lost(repository, &found)?;
    repair.unneeded(repository, &found, (&needed, &open))?;
    repair.finish()
}

/// Repairs what can be told to be right without any key: packs and shards by their names, small objects by their own
/// checksums. What needs keys is skipped, and the report says what.
///
/// # Errors
/// The store failed, or the user wants to stop.
pub fn repair_without_key(
    locked: &Locked,
    options: &RepairOptions,
    monitor: &dyn Monitor,
) -> Result<RepairReport, Error> {
    let random = locked.randomness();
    let mut repair = Repair {
        site: Site { parity: locked.parity_store(), opened: None },
        random,
        options: *options,
        monitor,
        session: SessionId(random_array(random).map_err(RepoError::from)?),
        report: RepairReport { is_dry_run: options.dry_run, ..RepairReport::default() },
    };
    repair.report.skipped = vec![
        "without a key: signatures, the index, dead sessions, packs without parity, and which snapshots are hurt"
            .to_owned(),
    ];
    let found = repair.run()?;
    for pack in found.damaged.keys().chain(&found.missing) {
        let object = names::pack(*pack).to_string();
        let text = match found.damaged.get(pack) {
            Some(why) => format!("{why}; its parity group has lost too much to rebuild it"),
            None => "missing; its parity group has lost too much to rebuild it".to_owned(),
        };
        repair.report.unrepaired.push(Unrepaired { object, text });
    }
    repair.finish()
}

impl Repair<'_> {
    /// What needs no key.
    fn run(&mut self) -> Result<Found, Error> {
        let mut found = Found::read(&self.site, self.options.threads, self.monitor)?;
        self.small_objects(&found)?;
        self.rebuild_packs(&mut found)?;
        self.restore_shards(&found)?;
        self.pack_indexes(&found)?;
        Ok(found)
    }

    fn check_cancelled(&self) -> Result<(), Error> {
        if self.monitor.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    fn step(&mut self, kind: RepairKind, object: &ObjectName, text: impl Into<String>) {
        self.report.steps.push(RepairStep { kind, object: object.to_string(), text: text.into() });
    }

    fn unrepaired(&mut self, object: &ObjectName, text: impl Into<String>) {
        self.report.unrepaired.push(Unrepaired { object: object.to_string(), text: text.into() });
    }

    fn replace(&self, name: &ObjectName, bytes: &[u8]) -> Result<(), Error> {
        if !self.options.dry_run {
            replace(self.site.parity.store, name, bytes)?;
        }
        Ok(())
    }

    fn set_aside(&self, name: &ObjectName) -> Result<(), Error> {
        if !self.options.dry_run {
            set_aside(self.site.parity.store, name)?;
        }
        Ok(())
    }

    fn end_sessions(&mut self, repository: &Repository, maintenance: &Maintenance) -> Result<(), Error> {
        let ended = if self.options.dry_run {
            maintenance.dead_sessions(repository)?
        } else {
            end_dead_sessions(repository, self.monitor)?
        };
        for id in ended {
            self.step(RepairKind::Session, &names::session(id), "its process is gone; it can commit no more");
        }
        Ok(())
    }

    /// Walks all snapshots for what the packs that stay damaged had. Returns the packs that snapshots need.
    fn tell_what_is_lost(&mut self, repository: &Repository, found: &Found) -> Result<Needed, Error> {
        let manifests = load_manifests(repository, &crate::base::SilentMonitor)?;
        for (id, damage) in &manifests.damaged {
            self.unrepaired(&names::manifest(*id), damage.text.clone());
        }
        let mut needed = Needed { packs: HashSet::new(), is_all: manifests.damaged.is_empty() };
        let domains: BTreeSet<DomainId> = manifests.snapshots.iter().map(|loaded| loaded.domain).collect();
        for domain in domains {
            let Some(keys) = repository.keys.domain(domain).map_err(RepoError::from)? else {
                needed.is_all = false;
                continue;
            };
            let mut walk = Walk::new(repository, keys, &found.bad, self.monitor)?;
            // In a plan nothing was rebuilt yet, and what will be is no hole.
            let is_lost = |hole: &Hole| !hole.packs.iter().any(|pack| found.rebuilt.contains(pack));
            for loaded in manifests.snapshots.iter().filter(|loaded| loaded.domain == domain) {
                for hole in walk.snapshot(loaded)?.into_iter().filter(is_lost) {
                    // What stands below a node that is lost, nobody knows.
                    needed.is_all = false;
                    self.report.lost.push(hole.into());
                }
            }
            needed.packs.extend(walk.used());
        }
        Ok(needed)
    }

    /// Damaged packs that stay so are masked: what is stored from now on must not refer to them.
    fn retire(&mut self, repository: &Repository, found: &Found) -> Result<(), Error> {
        let packs: Vec<PackId> =
            found.damaged.keys().filter(|pack| !found.retired.contains(pack)).copied().collect();
        if packs.is_empty() {
            return Ok(());
        }
        if !self.options.dry_run {
            let id = RecordId(random_array(self.random).map_err(RepoError::from)?);
            repository.retire_packs(id, packs.clone())?;
        }
        for pack in packs {
            self.step(
                RepairKind::Retire,
                &names::pack(pack),
                "it cannot be rebuilt: new snapshots do not refer to it",
            );
        }
        Ok(())
    }

    /// Empties the quarantine if a second look finds nothing wrong.
    fn finish(mut self) -> Result<RepairReport, Error> {
        let store = self.site.parity.store;
        let mut kept = Vec::new();
        store.list(names::QUARANTINE, &mut |entry| kept.push(entry.name)).map_err(RepoError::from)?;
        if !self.options.dry_run && !kept.is_empty() && !self.report.is_lossy() {
            let again = Found::read(&self.site, self.options.threads, self.monitor)?;
            if again.is_clean() {
                for name in kept.drain(..) {
                    store.delete(&name).map_err(RepoError::from)?;
                }
            }
        }
        self.report.quarantined = kept.len() as u64;
        Ok(self.report)
    }
}
