//! Whatever happens to a repository within the limits of its parity and replicas, repair brings it back; and it says
//! what it could not.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::support::{Lab, noise, sql};
use crate::base::{NoPins, ObjectName, SessionId, SilentMonitor};
use crate::engine::{
    RepairKind, RepairOptions, RepairReport, VerifyLevel, VerifyOptions, repair, repair_without_key, verify,
};
use crate::error::Error;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::repo::{Locked, RepoError, end_session};
use crate::store::{MemoryStore, ObservedStore, Store, StoreError, StoreErrorKind, StoreOperation};

const APPLY: RepairOptions = RepairOptions { dry_run: false, threads: 1 };
const PLAN: RepairOptions = RepairOptions { dry_run: true, threads: 1 };

/// Two snapshots, a write key, a settings record: at least one object of each kind.
struct Subject {
    lab: Lab,
    store: Arc<MemoryStore>,
    snapshots: Vec<(String, BTreeMap<String, Vec<u8>>)>,
}

fn subject(encrypted: bool) -> Subject {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, 21);
    lab.parity = Parity::Groups { members: 4, shards: 2 };
    lab.create().unwrap();
    if encrypted {
        lab.add_writer([8; 32], Some("web"));
    }
    let (a, b) = (sql(1, 300_000), noise(2, 200_000));
    let mut snapshots = Vec::new();
    for items in [vec![("a.sql", a.as_slice()), ("b", &b)], vec![("a.sql", &a[..200_000])]] {
        let id = lab.ingest(&items).unwrap().manifest.id.to_string();
        let content = items.into_iter().map(|(name, content)| (name.to_owned(), content.to_vec())).collect();
        snapshots.push((id, content));
    }
    Subject { lab, store, snapshots }
}

impl Subject {
    /// All of them but the reserve: nobody needs what is in it.
    fn objects(&self) -> Vec<ObjectName> {
        self.store.names().into_iter().filter(|name| *name != names::reserve()).collect()
    }

    fn fork(&self) -> (Lab, Arc<MemoryStore>) {
        let copy = Arc::new(self.store.fork());
        (self.lab.on(Arc::<MemoryStore>::clone(&copy)), copy)
    }

    fn assert_restores(&self, lab: &Lab, what: &str) {
        let repository = lab.open().unwrap();
        for (id, expected) in &self.snapshots {
            let items = lab.restore_from(&repository, id, &SilentMonitor);
            assert!(items.unwrap() == *expected, "{what}");
        }
    }
}

fn run(lab: &Lab, options: RepairOptions) -> Result<RepairReport, Error> {
    repair(&lab.open()?, &options, &SilentMonitor)
}

fn run_without_key(lab: &Lab, options: RepairOptions) -> Result<RepairReport, Error> {
    let locked = Locked::read(Arc::clone(&lab.store), lab.environment.clone(), &SilentMonitor)?;
    repair_without_key(&locked, &options, &SilentMonitor)
}

fn bytes_of(store: &MemoryStore) -> BTreeMap<ObjectName, Vec<u8>> {
    store.names().into_iter().map(|name| (name.clone(), store.get(&name, u64::MAX).unwrap())).collect()
}

/// Its process was killed between the replica and the end of its session; whoever ends that puts a fence, and no void.
#[test]
fn an_acknowledged_snapshot_whose_session_was_ended_later_survives_the_loss_of_its_manifest() {
    let subject = subject(true);
    let (lab, store) = subject.fork();
    let repository = lab.open().unwrap();
    let id: SessionId = subject.snapshots[0].0.parse().unwrap();
    end_session(&repository, id).unwrap();
    assert!(store.head(&names::fence(id)).unwrap().is_some());
    assert!(store.remove(&names::manifest(id)));
    subject.assert_restores(&lab, "from the replica");
    let report = run(&lab, APPLY).unwrap();
    assert_eq!((report.count(RepairKind::Original), report.is_lossy()), (1, false), "{report:?}");
    assert!(store.head(&names::manifest(id)).unwrap().is_some());
    subject.assert_restores(&lab, "after the repair");
    assert!(run(&lab, APPLY).unwrap().steps.is_empty());
}

#[test]
fn repair_of_a_healthy_repository_changes_no_byte() {
    for encrypted in [false, true] {
        let subject = subject(encrypted);
        let before = bytes_of(&subject.store);
        for options in [PLAN, APPLY] {
            for report in [run(&subject.lab, options), run_without_key(&subject.lab, options)] {
                let report = report.unwrap();
                assert!(report.steps.is_empty() && !report.found_damage(), "{report:?}");
                assert!(bytes_of(&subject.store) == before);
            }
        }
    }
}

type Damage = (&'static str, fn(&MemoryStore, &ObjectName));

const DAMAGES: [Damage; 5] = [
    ("deleted", |store, name| assert!(store.remove(name))),
    ("bit flipped in the middle", |store, name| {
        assert!(store.corrupt(name, |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 4;
        }));
    }),
    ("cut", |store, name| assert!(store.corrupt(name, |bytes| bytes.truncate(bytes.len() / 3)))),
    ("extended", |store, name| assert!(store.corrupt(name, |bytes| bytes.extend_from_slice(&[7; 700])))),
    ("start zeroed", |store, name| {
        assert!(store.corrupt(name, |bytes| {
            let len = bytes.len().min(512);
            bytes[..len].fill(0);
        }));
    }),
];

#[test]
fn any_single_object_deleted_or_damaged_comes_back() {
    for encrypted in [false, true] {
        let subject = subject(encrypted);
        for name in subject.objects() {
            for (what, damage) in DAMAGES {
                let what = format!("{name} {what}, encrypted: {encrypted}");
                let (lab, store) = subject.fork();
                damage(&store, &name);
                let damaged = bytes_of(&store);
                let plan = run(&lab, PLAN).unwrap();
                assert!(bytes_of(&store) == damaged, "{what}: a plan changed something");
                let report = run(&lab, APPLY).unwrap();
                assert!(!report.is_lossy(), "{what}: {report:?}");
                // A segment or pack index that is deleted is a cache that is built again.
                assert!(!report.steps.is_empty(), "{what}");
                assert_eq!(plan.steps.is_empty(), report.steps.is_empty(), "{what}");
                let again = run(&lab, APPLY).unwrap();
                assert!(again.steps.is_empty() && again.quarantined == 0, "{what}: {again:?}");
                subject.assert_restores(&lab, &what);
                let options = VerifyOptions {
                    level: VerifyLevel::Full,
                    sample_ppm: None,
                    max_age_ms: None,
                    threads: 1,
                    pins: &NoPins,
                };
                let verified = verify(&lab.open().unwrap(), &options, &SilentMonitor).unwrap();
                assert!(verified.is_clean(), "{what}: {:?}", verified.errors);
                if !name.as_str().starts_with("index/") {
                    assert!(bytes_of(&store).get(&name) == bytes_of(&subject.store).get(&name), "{what}");
                }
            }
        }
    }
}

#[test]
fn without_a_key_packs_shards_and_replicas_come_back() {
    let subject = subject(true);
    for name in subject.objects() {
        let is_index = name.as_str().starts_with("index/");
        for (what, damage) in DAMAGES {
            let what = format!("{name} {what}");
            let (lab, store) = subject.fork();
            damage(&store, &name);
            let report = run_without_key(&lab, APPLY).unwrap();
            assert!(!report.is_lossy(), "{what}: {report:?}");
            assert_eq!(report.steps.is_empty(), is_index, "{what}: {report:?}");
            if !is_index {
                assert!(bytes_of(&store) == bytes_of(&subject.store), "{what}");
            }
        }
    }
}

#[test]
fn a_second_maintenance_session_gives_way_and_names_the_first() {
    let subject = subject(true);
    let repository = subject.lab.open().unwrap();
    let keys = repository.keys.domain(crate::base::DomainId::MAIN).unwrap().unwrap();
    let first = crate::repo::Maintenance::begin(&repository, &keys, "prune").unwrap();
    let error = run(&subject.lab, APPLY).unwrap_err();
    assert!(matches!(&error, Error::Repo(RepoError::Held { holder }) if holder.contains("prune")), "{error}");
    first.end(&repository).unwrap();
    run(&subject.lab, APPLY).unwrap();
}

#[test]
fn more_losses_than_shards_are_reported_by_item_and_bytes_and_hurt_nothing_else() {
    for encrypted in [false, true] {
        let subject = subject(encrypted);
        let (lab, store) = subject.fork();
        let repository = lab.open().unwrap();
        let groups = crate::repo::Groups::load(repository.parity_store()).unwrap();
        let stored = groups.all().iter().find(|stored| stored.group.members.len() >= 3).unwrap();
        for member in &stored.group.members[..3] {
            assert!(store.remove(&names::pack(member.pack)));
        }
        let report = run(&lab, APPLY).unwrap();
        assert!(report.is_lossy() && !report.lost.is_empty());
        for lost in &report.lost {
            let (_, items) =
                subject.snapshots.iter().find(|(id, _)| *id == lost.snapshot.to_string()).unwrap();
            let size = items[&lost.item].len() as u64;
            assert!(lost.from < lost.to && lost.to <= size, "{lost:?}");
        }
        assert_eq!(report.count(RepairKind::Pack), 0);
        // What was not lost restores, and is protected again.
        let again = run(&lab, APPLY).unwrap();
        assert_eq!(again.lost, report.lost);
        assert!(again.steps.is_empty(), "{again:?}");
    }
}

#[test]
fn what_could_not_be_read_for_a_moment_is_never_away() {
    let Subject { lab, store, .. } = subject(false);
    end_session(&lab.open().unwrap(), SessionId([5; 16])).unwrap();
    let mut chosen = store.names();
    chosen.retain(|name| [".pack", ".fence", ".void"].iter().any(|end| name.as_str().ends_with(end)));
    assert!(chosen.len() > 4);
    for object in chosen {
        let before = store.names();
        let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&store)));
        let (name, failed) = (object.clone(), std::sync::atomic::AtomicBool::new(false));
        observed.set_before(move |call| {
            assert!(call.operation != StoreOperation::Delete || call.name != name.as_str());
            let is_first = matches!(call.operation, StoreOperation::Get | StoreOperation::GetRange)
                && call.name == name.as_str()
                && !failed.swap(true, std::sync::atomic::Ordering::Relaxed);
            let error = || StoreError::new(StoreErrorKind::Failed, call.operation, &call.name, "a test");
            if is_first { Err(error()) } else { Ok(()) }
        });
        let lab = lab.on(Arc::<ObservedStore>::clone(&observed));
        repair(&lab.open().unwrap(), &APPLY, &SilentMonitor).unwrap();
        assert_eq!(store.names(), before, "{object}");
    }
}

#[test]
fn a_snapshot_that_is_forgotten_while_a_repair_looks_at_it_is_no_error() {
    for encrypted in [false, true] {
        let Subject { lab, store, .. } = subject(encrypted);
        let id = lab.ingest(&[("a", b"forgotten")]).unwrap().manifest.id;
        let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&store)));
        let (original, base) = (names::manifest(id), Arc::clone(&store));
        observed.set_before(move |call| {
            // The original was read; its replica goes first.
            if call.operation == StoreOperation::Get && call.name == names::replica(&original).as_str() {
                base.remove(&names::replica(&original));
                base.remove(&original);
            }
            Ok(())
        });
        let repaired = lab.on(observed);
        let report = repair(&repaired.open().unwrap(), &APPLY, &SilentMonitor).unwrap();
        assert!(report.unrepaired.is_empty(), "{:?}", report.unrepaired);
        assert!(store.names().iter().all(|name| !name.as_str().contains(&id.to_string())));
    }
}
