//! The damage matrix: what is done to an object × which object × what is tried next. Whatever happens, the outcome is
//! the right bytes, the right bytes and a report, or an error that says damage; with parity, `repair` brings all back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::scenes::bytes_of;
use super::support::{ADMIN, Lab, noise};
use crate::base::monitor::RecordingMonitor;
use crate::base::{DomainId, NoPins, ObjectName, PackId, RecordId, SessionId};
use crate::chunk::ChunkParams;
use crate::crypto::KeyFile;
use crate::engine::{
    Filter, RepairKind, RepairOptions, RepairStep, VerifyLevel, VerifyOptions, reindex, repair, set_parity,
    snapshots, verify,
};
use crate::error::{Error, ErrorCode};
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::format::slot::Capability;
use crate::repo::{NewCredential, Session, add_slot, end_session, remove_slot};
use crate::store::{Durability, MemoryStore, Store};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    Config,
    Slot,
    PackHeader,
    PackBody,
    PackTable,
    Idx,
    Segment,
    Manifest,
    Void,
    Shard,
    Settings,
    Retire,
    Pin,
    Replica,
    Session,
}

const OBJECTS: [Object; 15] = [
    Object::Config,
    Object::Slot,
    Object::PackHeader,
    Object::PackBody,
    Object::PackTable,
    Object::Idx,
    Object::Segment,
    Object::Manifest,
    Object::Void,
    Object::Shard,
    Object::Settings,
    Object::Retire,
    Object::Pin,
    Object::Replica,
    Object::Session,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Flip,
    Truncate,
    Extend,
    ZeroSector,
    Delete,
    Swap,
    Replay,
}

const ACTIONS: [Action; 7] = [
    Action::Flip,
    Action::Truncate,
    Action::Extend,
    Action::ZeroSector,
    Action::Delete,
    Action::Swap,
    Action::Replay,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    List,
    Restore,
    Ingest,
    Verify,
    Repair,
}

const NEXT: [Next; 5] = [Next::List, Next::Restore, Next::Ingest, Next::Verify, Next::Repair];

/// Cells that do not exist, and why.
const NOT_POSSIBLE: [(Object, Action, &str); 14] = [
    (Object::Config, Action::Swap, "there is one config"),
    (Object::Config, Action::Replay, "it never changes; a newer serial is tested with pins in rollback.rs"),
    (Object::PackHeader, Action::Replay, "a pack is named by its bytes: there is no earlier version"),
    (Object::PackBody, Action::Replay, "a pack is named by its bytes: there is no earlier version"),
    (Object::PackTable, Action::Replay, "a pack is named by its bytes: there is no earlier version"),
    (Object::PackBody, Action::Swap, "whole files are swapped: the cell of the header"),
    (Object::PackTable, Action::Swap, "whole files are swapped: the cell of the header"),
    (Object::Idx, Action::Replay, "it follows from its pack: there is no earlier version"),
    (
        Object::Manifest,
        Action::Replay,
        "a manifest is written once; forgotten ones are tested in rollback.rs",
    ),
    (Object::Void, Action::Replay, "a void is written once and stays"),
    (Object::Retire, Action::Replay, "a retire record is written once"),
    (Object::Retire, Action::Swap, "there is one retire record"),
    (Object::Pin, Action::Replay, "a pin record is written once"),
    (Object::Pin, Action::Swap, "there is one pin record"),
];

/// Cells that a repair cannot tell from a healthy repository, and why nothing is lost by that, or nobody can know.
const UNNOTICED: [(Object, Action, &str); 3] = [
    (
        Object::Settings,
        Action::Replay,
        "the newest settings, gone with their replica, were never there for whoever did not see them",
    ),
    (Object::Shard, Action::Replay, "an old group protects the packs that it names as well as ever"),
    (Object::Segment, Action::Replay, "an entry is a hint, and what the old ones say of packs is still true"),
];

/// Cells that a repair mends and a verification does not tell, and why.
const UNTOLD: [(Object, Action, &str); 1] = [(
    Object::Void,
    Action::Delete,
    "its session has neither lock nor manifest: there is nothing that it voids, unless a manifest comes late",
)];

struct Subject {
    lab: Lab,
    store: Arc<MemoryStore>,
    snapshots: Vec<(SessionId, Vec<u8>)>,
    /// Objects that were there once and are not any more.
    past: BTreeMap<ObjectName, Vec<u8>>,
    /// Every object as it should be.
    whole: BTreeMap<ObjectName, Vec<u8>>,
}

const ITEM: &str = "a";

const FULL: VerifyOptions<'_> =
    VerifyOptions { level: VerifyLevel::Full, sample_ppm: None, max_age_ms: None, threads: 1, pins: &NoPins };

/// A repository with two objects of each kind where there can be two, after a life in which each kind that is ever
/// deleted was.
fn subject(encrypted: bool, parity: Parity) -> Subject {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(store.clone(), encrypted, 50);
    lab.chunking = ChunkParams::new(2048, 8192, 16384).unwrap();
    lab.parity = parity;
    lab.create().unwrap();
    let mut repository = lab.open().unwrap();
    let mut past = BTreeMap::new();
    if encrypted {
        lab.add_writer([9; 32], None);
        let (key, monitor) = (KeyFile::new([8; 32]), RecordingMonitor::default());
        let credential = NewCredential::KeyFile(&key);
        let slot = add_slot(&repository, &credential, Capability::Write, "old", None, &monitor).unwrap();
        past = bytes_of(&store);
        remove_slot(&repository, slot, &monitor).unwrap();
    }
    let mut snapshots = Vec::new();
    for number in 0..2 {
        let content = noise(60 + number, 150_000);
        snapshots.push((lab.ingest(&[(ITEM, &content)]).unwrap().manifest.id, content));
        past.extend(bytes_of(&store));
    }
    set_parity(&mut repository, parity).unwrap();
    set_parity(&mut repository, parity).unwrap();
    repository.retire_packs(RecordId([4; 16]), vec![PackId([5; 32])]).unwrap();
    repository.pin(snapshots[0].0, &RecordingMonitor::default()).unwrap();
    let keys = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    for number in 0..4 {
        let session = Session::register(&repository, &keys, "ingest").unwrap();
        past.extend(bytes_of(&store));
        if number < 2 {
            end_session(&repository, session.id).unwrap();
        }
        drop(session);
    }
    // The sessions that stay have no process any more, but for an index that is made anew that is all one.
    let store = Arc::new(store.fork());
    let lab = lab.on(store.clone());
    let silent = RecordingMonitor::default();
    reindex(&lab.open().unwrap(), &silent).unwrap();
    let more = noise(63, 90_000);
    snapshots.push((lab.ingest(&[(ITEM, &more)]).unwrap().manifest.id, more));
    let whole = bytes_of(&store);
    past.retain(|name, _| !whole.contains_key(name));
    Subject { lab, store, snapshots, past, whole }
}

impl Subject {
    /// The objects of a kind, in order.
    fn all(&self, object: Object, from: &BTreeMap<ObjectName, Vec<u8>>) -> Vec<ObjectName> {
        let is_one = |name: &&ObjectName| {
            let text = name.as_str();
            let (folder, kind) = (|start: &str| text.starts_with(start), |end: &str| text.ends_with(end));
            match object {
                Object::Config => text == names::CONFIG,
                Object::Slot => folder("keys/"),
                Object::PackHeader | Object::PackBody | Object::PackTable => kind(".pack"),
                Object::Idx => kind(".idx"),
                Object::Segment => folder("index/"),
                Object::Manifest => folder("snapshots/") && kind(".json"),
                Object::Void => kind(".void"),
                Object::Shard => kind(".par"),
                Object::Settings => folder("records/settings/"),
                Object::Retire => folder("records/retire/"),
                Object::Pin => folder("records/pin/"),
                Object::Replica => folder("replicas/"),
                Object::Session => folder("locks/") && kind(".json"),
            }
        };
        from.keys().filter(is_one).cloned().collect()
    }

    /// Does it to one object; which one goes by the number. False if there is no such cell.
    fn damage(&self, store: &MemoryStore, object: Object, action: Action, number: usize) -> bool {
        let all = self.all(object, &self.whole);
        let Some(name) = all.get(number % all.len().max(1)) else { return false };
        let len = self.whole[name].len();
        let at = match object {
            Object::PackHeader => 40,
            Object::PackBody => 1000 + 997 * number,
            Object::PackTable => len - 60,
            _ => len / 2,
        };
        let corrupt =
            |change: &mut dyn FnMut(&mut Vec<u8>)| assert!(store.corrupt(name, |bytes| change(bytes)));
        match action {
            Action::Flip => corrupt(&mut |bytes| bytes[at] ^= 1 << (number % 8)),
            Action::Truncate => corrupt(&mut |bytes| bytes.truncate(at)),
            Action::Extend => corrupt(&mut |bytes| bytes.extend([0xab; 300])),
            Action::ZeroSector => corrupt(&mut |bytes| {
                // Padding is zeros already.
                let end = bytes.len().min(at + 512);
                let mut sectors = bytes[..end].chunks_mut(512).rev();
                sectors.find(|sector| sector.iter().any(|byte| *byte != 0)).unwrap().fill(0);
            }),
            Action::Delete => assert!(store.remove(name)),
            Action::Swap => {
                let Some(other) = all.iter().find(|other| *other != name) else { return false };
                assert!(store.corrupt(name, |bytes| bytes.clone_from(&self.whole[other])));
                assert!(store.corrupt(other, |bytes| bytes.clone_from(&self.whole[name])));
            }
            Action::Replay => return self.replay(store, object, name),
        }
        true
    }

    fn replay(&self, store: &MemoryStore, object: Object, name: &ObjectName) -> bool {
        match object {
            Object::Settings => {
                store.remove(&names::replica(name));
                return store.remove(name);
            }
            // The bytes of another time under its name.
            Object::Replica => {
                let settings: Vec<_> =
                    self.whole.iter().filter(|(name, _)| name.as_str().contains("/settings/")).collect();
                let (_, other) = settings.into_iter().find(|(_, bytes)| **bytes != self.whole[name]).unwrap();
                return store.corrupt(name, |bytes| bytes.clone_from(other));
            }
            _ => {}
        }
        let gone = self.all(object, &self.past);
        gone.iter().for_each(|name| store.put(name, &self.past[name], Durability::Durable).unwrap());
        !gone.is_empty()
    }

    fn lab_of(&self, store: &MemoryStore) -> Lab {
        self.lab.on(Arc::new(store.fork()))
    }

    /// Tries what comes next on a copy of the damaged store; panics at wrong bytes.
    fn attempt(
        &self,
        store: &MemoryStore,
        (object, action, next): (Object, Action, Next),
        has_parity: bool,
        what: &str,
    ) -> Result<(), Error> {
        let lab = self.lab_of(store);
        let monitor = RecordingMonitor::default();
        let repository = lab.open_with(ADMIN, &NoPins, &monitor)?;
        match next {
            Next::List => {
                let found = snapshots(&repository, &NoPins, &monitor)?;
                for (id, _) in &self.snapshots {
                    let is_listed = found.matching(&Filter::default()).any(|s| s.manifest.id == *id);
                    assert!(
                        is_listed || found.damaged().contains_key(id),
                        "{what}: {id} is gone without a word"
                    );
                }
            }
            Next::Restore => {
                for (id, content) in &self.snapshots {
                    let items = lab.restore_from(&repository, &id.to_string(), &monitor)?;
                    assert!(items[ITEM] == *content, "{what}: wrong bytes");
                }
            }
            Next::Ingest => {
                let mut content = self.snapshots[0].1.clone();
                content.extend(noise(70, 20_000));
                let id = lab.ingest_into(&repository, &[(ITEM, &content)])?.manifest.id.to_string();
                let items = lab.restore_from(&lab.open()?, &id, &monitor)?;
                assert!(items[ITEM] == content, "{what}: wrong bytes");
            }
            Next::Verify => {
                let report = verify(&repository, &FULL, &monitor)?;
                // Of what nobody needs verify says nothing: caches that agree, dead sessions.
                let is_noticed = !report.is_clean() || !monitor.problems().is_empty();
                let is_known = is_listed(&UNNOTICED, object, action) || is_listed(&UNTOLD, object, action);
                assert!(is_noticed || is_known || object == Object::Session, "{what}: nothing is found");
                assert!(!has_parity || report.is_repairable(), "{what}: {:?}", report.errors);
            }
            Next::Repair => {
                let options = RepairOptions { dry_run: false, threads: 1 };
                let report = repair(&repository, &options, &monitor)?;
                // The dead sessions are ended whatever else is wrong.
                let counts =
                    |step: &RepairStep| step.kind != RepairKind::Session || object == Object::Session;
                let is_noticed =
                    report.steps.iter().any(counts) || report.is_lossy() || !monitor.problems().is_empty();
                assert_eq!(is_noticed, !is_listed(&UNNOTICED, object, action), "{what}: {report:?}");
                if has_parity {
                    assert!(!report.is_lossy(), "{what}: {report:?}");
                    let repository = lab.open()?;
                    for (id, content) in &self.snapshots {
                        let items = lab.restore_from(&repository, &id.to_string(), &monitor);
                        let items = items.unwrap_or_else(|error| panic!("{what}: after the repair: {error}"));
                        assert!(items[ITEM] == *content, "{what}: wrong bytes after the repair");
                    }
                    let again = repair(&repository, &options, &monitor)?;
                    assert!(again.steps.is_empty(), "{what}: repaired again: {again:?}");
                    let report = verify(&repository, &FULL, &monitor)?;
                    assert!(report.is_clean(), "{what}: after the repair: {:?}", report.errors);
                }
            }
        }
        Ok(())
    }
}

fn is_listed(table: &[(Object, Action, &str)], object: Object, action: Action) -> bool {
    table.iter().any(|(o, a, _)| (*o, *a) == (object, action))
}

fn is_damage(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::Damaged | ErrorCode::Mendable | ErrorCode::Rollback)
}

/// All cells of one kind of repository. Returns how many ended well and how many in an error.
fn check(encrypted: bool, has_parity: bool) -> (usize, usize) {
    let parity = if has_parity { Parity::Groups { members: 4, shards: 2 } } else { Parity::Off };
    let subject = subject(encrypted, parity);
    let (mut well, mut refused, mut bad) = (0, 0, Vec::new());
    for object in OBJECTS {
        // Without encryption there are no slots, without parity no shards.
        let is_there = (encrypted || object != Object::Slot) && (has_parity || object != Object::Shard);
        for action in
            ACTIONS.into_iter().filter(|action| is_there && !is_listed(&NOT_POSSIBLE, object, *action))
        {
            let count = subject.all(object, &subject.whole).len();
            assert!(count > 0, "there is no {object:?}");
            for number in 0..count.min(3) {
                let what =
                    format!("{action:?} {object:?} {number}, encrypted: {encrypted}, parity: {has_parity}");
                let store = subject.store.fork();
                assert!(subject.damage(&store, object, action, number), "{what}: there is no such cell");
                for next in NEXT {
                    let what = format!("{what}, then {next:?}");
                    // A panic is a bad cell like any other; all of them are told.
                    let cell = || subject.attempt(&store, (object, action, next), has_parity, &what);
                    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(cell)) {
                        Err(_) => bad.push(what),
                        Ok(Ok(())) => well += 1,
                        Ok(Err(error)) if is_damage(&error) && !has_parity => refused += 1,
                        Ok(Err(error)) => bad.push(format!("{what}: {:?}: {error}", error.code())),
                    }
                }
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    (well, refused)
}

#[test]
fn every_cell_of_the_damage_matrix_ends_in_right_bytes_or_an_error_that_says_damage() {
    assert!(NOT_POSSIBLE.iter().chain(&UNNOTICED).chain(&UNTOLD).all(|(_, _, why)| !why.is_empty()));
    for encrypted in [false, true] {
        for has_parity in [false, true] {
            let (well, refused) = check(encrypted, has_parity);
            println!("encrypted: {encrypted}, parity: {has_parity}: {well} right, {refused} refused");
        }
    }
}
