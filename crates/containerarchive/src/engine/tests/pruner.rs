//! Rules W1 to W5 against a pruner that obeys its own rules (P1 to P8) and acts between any two calls of a writer.
//!
//! The pruner here is the smallest honest one: it retires every pack that no visible snapshot needs and no open session
//! wrote, fences every session that is still there, looks again, copies out, and deletes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::support::{Lab, START, noise};
use crate::base::{ChunkId, Kind, NoPins, PackId, RecordId, SessionId, SilentMonitor};
use crate::engine::{Filter, snapshots};
use crate::error::Error;
use crate::format::names;
use crate::format::prefix::Class;
use crate::format::signed::{Fact, Retire, Stop, StopKind};
use crate::repo::{
    DomainKeys, OpenPack, PackReader, PackView, RecipeReader, RepoError, Repository, StoredPacks,
    load_manifests,
};
use crate::store::{Durability, MemoryStore, ObservedStore, Store};

/// What a pruner does, in this order; each step once. A writer may do anything between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// P3 and P5: mark, and put the retire record.
    Retire,
    /// P6, S4: list sessions, and put a fence for each.
    Fence,
    /// S4: see which of them have no manifest.
    Look,
    /// S4: put voids for these.
    Void,
    /// S4: delete the locks.
    Unlock,
    /// P7: look again, copy out.
    LookAgain,
    /// P8: delete packs and the record.
    Sweep,
}

const STEPS: [Step; 7] =
    [Step::Retire, Step::Fence, Step::Look, Step::Void, Step::Unlock, Step::LookAgain, Step::Sweep];

struct Pruner {
    lab: Lab,
    retired: BTreeSet<PackId>,
    marked: BTreeSet<SessionId>,
    fenced: Vec<SessionId>,
    uncommitted: Vec<SessionId>,
    record: RecordId,
}

impl Pruner {
    fn new(lab: Lab) -> Self {
        Self {
            lab,
            retired: BTreeSet::new(),
            marked: BTreeSet::new(),
            fenced: Vec::new(),
            uncommitted: Vec::new(),
            record: RecordId([0xaa; 16]),
        }
    }

    fn act(&mut self, step: Step) {
        let repository = self.lab.open().unwrap();
        match step {
            Step::Retire => self.retire(&repository),
            Step::Fence => {
                self.fenced = sessions(&repository);
                put_stops(&repository, StopKind::Fence, &self.fenced);
            }
            Step::Look => {
                let is_uncommitted =
                    |id: &SessionId| repository.store.head(&names::manifest(*id)).unwrap().is_none();
                self.uncommitted = self.fenced.iter().copied().filter(is_uncommitted).collect();
            }
            Step::Void => put_stops(&repository, StopKind::Void, &self.uncommitted),
            Step::Unlock => {
                for id in &self.fenced {
                    let _ = repository.store.delete(&names::session(*id));
                }
            }
            Step::LookAgain => self.look_again(&repository),
            Step::Sweep => self.sweep(&repository),
        }
    }

    fn retire(&mut self, repository: &Repository) {
        let packs = all_packs(repository);
        let open: BTreeSet<SessionId> = sessions(repository).into_iter().collect();
        let found = load_manifests(repository, &SilentMonitor).unwrap();
        self.marked = found.snapshots.iter().map(|loaded| loaded.manifest.id).collect();
        let needed = needed_chunks(repository, None);
        let mut kept: BTreeSet<ChunkId> = BTreeSet::new();
        for (id, view) in &packs {
            let is_needed = view
                .table
                .records()
                .iter()
                .any(|record| needed.contains(&record.id) && !kept.contains(&record.id));
            if is_needed {
                kept.extend(view.table.records().iter().map(|record| record.id));
            } else if !open.contains(&view.header.prefix.session) {
                self.retired.insert(*id);
            }
        }
        let record = Retire { created: START, packs: self.retired.iter().copied().collect() };
        let (name, bytes) =
            record.seal_record(repository.config.repository, self.record, repository.keys.signer()).unwrap();
        repository.store.put(&name, &bytes, Durability::Durable).unwrap();
    }

    fn look_again(&self, repository: &Repository) {
        let needed = needed_chunks(repository, Some(&self.marked));
        let packs = all_packs(repository);
        let unmasked: BTreeSet<ChunkId> = packs
            .iter()
            .filter(|(id, _)| !self.retired.contains(id))
            .flat_map(|(_, view)| view.table.records().iter().map(|record| record.id))
            .collect();
        let rescue: BTreeSet<ChunkId> = needed.difference(&unmasked).copied().collect();
        copy_out(repository, &packs, &rescue);
    }

    fn sweep(&self, repository: &Repository) {
        for id in &self.retired {
            let _ = repository.store.delete(&names::idx(*id));
            let _ = repository.store.delete(&names::pack(*id));
        }
        repository.store.delete(&names::record(Retire::KIND, self.record)).unwrap();
    }
}

fn domain(repository: &Repository) -> Arc<DomainKeys> {
    repository.keys.domain(repository.keys.own_domain()).unwrap().unwrap()
}

fn all_packs(repository: &Repository) -> BTreeMap<PackId, PackView> {
    let keys = domain(repository);
    let mut ids = Vec::new();
    repository
        .store
        .list(names::PACKS, &mut |entry| ids.extend(names::pack_id_of(&entry.name, "pack")))
        .unwrap();
    ids.into_iter().map(|id| (id, repository.view_pack(id, &keys).unwrap())).collect()
}

fn sessions(repository: &Repository) -> Vec<SessionId> {
    let mut ids = Vec::new();
    repository
        .store
        .list(names::LOCKS, &mut |entry| ids.extend(names::id_of::<SessionId>(&entry.name, "json")))
        .unwrap();
    ids
}

/// All chunks that visible snapshots need, but those of `except`.
fn needed_chunks(repository: &Repository, except: Option<&BTreeSet<SessionId>>) -> BTreeSet<ChunkId> {
    let packs = all_packs(repository);
    let mut needed = BTreeSet::new();
    for loaded in load_manifests(repository, &SilentMonitor).unwrap().snapshots {
        if except.is_some_and(|except| except.contains(&loaded.manifest.id)) {
            continue;
        }
        for item in &loaded.manifest.items {
            let mut fetch = |hash| {
                let id = ChunkId { kind: Kind::Recipe, hash };
                needed.insert(id);
                read_chunk(repository, &packs, id)
            };
            let mut recipe = RecipeReader::open(item.root, &mut fetch).unwrap();
            let mut data = Vec::new();
            while let Some(entry) = recipe.next(&mut fetch).unwrap() {
                data.push(ChunkId { kind: Kind::Data, hash: entry.hash });
            }
            needed.extend(data);
        }
    }
    needed
}

fn read_chunk(
    repository: &Repository,
    packs: &BTreeMap<PackId, PackView>,
    id: ChunkId,
) -> Result<Vec<u8>, RepoError> {
    for view in packs.values() {
        for (slot, record) in view.table.records().iter().enumerate() {
            if record.id == id {
                let (record, offset) = (*record, view.table.get(slot as u32).unwrap().1);
                let mut stored = vec![0; record.stored_len as usize];
                repository.store.get_range(&names::pack(view.id), offset, &mut stored)?;
                let mut plain = Vec::new();
                let mut reader = PackReader::new(domain(repository));
                let chunk = [(slot as u32, &record)].into_iter();
                let (_, error) = reader.open_run(view, id.kind, chunk, &mut stored, &mut plain);
                return error.map_or(Ok(plain), Err);
            }
        }
    }
    Err(RepoError::LostChunk { chunk: id, why: "the pruner does not find it".to_owned() })
}

/// P7: chunks that became live are stored again, before anything is deleted.
fn copy_out(repository: &Repository, packs: &BTreeMap<PackId, PackView>, rescue: &BTreeSet<ChunkId>) {
    let keys = domain(repository);
    let session = SessionId([0xbb; 16]);
    let mut stored = StoredPacks::default();
    for class in [Class::Data, Class::Structure] {
        let mut pack = OpenPack::new(class, Vec::new());
        for id in rescue.iter().filter(|id| (id.kind == Kind::Data) == (class == Class::Data)) {
            let plain = read_chunk(repository, packs, *id).unwrap();
            pack.push(*id, crate::compress::Codec::None, &plain, plain.len() as u32);
        }
        if !pack.is_empty() {
            let sealed = repository.seal_pack(pack, &keys, session).unwrap();
            let len = repository.put_pack(&sealed).unwrap();
            stored.add(sealed.id, len, sealed.class, &sealed.records);
        }
    }
    stored.publish(repository, &keys, session).unwrap();
}

fn put_stops(repository: &Repository, kind: StopKind, sessions: &[SessionId]) {
    for session in sessions {
        let stop = Stop { session: *session, created: START };
        let (name, bytes) = kind.seal(repository.config.repository, &stop, repository.keys.signer()).unwrap();
        repository.store.put(&name, &bytes, Durability::Durable).unwrap();
    }
}

struct Scene {
    base: MemoryStore,
    lab: Lab,
    kept: Vec<u8>,
    content: Vec<u8>,
}

/// One snapshot that stays, and packs of one that was forgotten, which the next ingest would like to use.
fn scene(encrypted: bool) -> Scene {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, 8);
    lab.create().unwrap();
    let (kept, content) = (noise(1, 30_000), noise(2, 40_000));
    lab.ingest(&[("kept", &kept)]).unwrap();
    let forgotten = lab.ingest(&[("a", &content)]).unwrap().manifest.id;
    let repository = lab.open().unwrap();
    let forget = crate::format::signed::Forget { created: START, snapshots: vec![forgotten] };
    let (name, bytes) = forget
        .seal_record(repository.config.repository, RecordId([1; 16]), repository.keys.signer())
        .unwrap();
    store.put(&name, &bytes, Durability::Durable).unwrap();
    store.remove(&names::replica(&names::manifest(forgotten)));
    store.remove(&names::manifest(forgotten));
    Scene { base: store.fork(), lab, kept, content }
}

/// One ingest, with the pruner's steps before the given calls. Returns whether it was acknowledged, and its calls.
fn run(scene: &Scene, script: &[(usize, Step)], what: &str) -> (bool, usize) {
    let inner: Arc<dyn Store> = Arc::new(scene.base.fork());
    let observed = Arc::new(ObservedStore::new(Arc::clone(&inner)));
    let pruner = Mutex::new(Pruner::new(scene.lab.on(Arc::clone(&inner))));
    let todo = Mutex::new(script.to_vec());
    observed.set_before(move |call| {
        let mut todo = todo.lock().unwrap();
        while todo.first().is_some_and(|(index, _)| *index <= call.index) {
            let (_, step) = todo.remove(0);
            pruner.lock().unwrap().act(step);
        }
        Ok(())
    });
    let lab = scene.lab.on(Arc::<ObservedStore>::clone(&observed));
    let result = lab.ingest(&[("a", &scene.content)]);
    let calls = observed.calls().len();
    observed.clear_hooks();
    if let Err(error) = &result {
        assert!(matches!(error, Error::Repo(RepoError::Fenced { .. })), "{what}: {error}");
    }
    check(scene, inner, result.as_ref().ok().map(|report| report.manifest.id), what);
    (result.is_ok(), calls)
}

/// No visible snapshot lacks a chunk, what was acknowledged is visible, and the next ingest works.
fn check(scene: &Scene, store: Arc<dyn Store>, acknowledged: Option<SessionId>, what: &str) {
    let lab = scene.lab.on(store);
    let repository = lab.open().unwrap();
    let found = snapshots(&repository, &NoPins, &SilentMonitor).unwrap();
    assert!(found.damaged().is_empty(), "{what}: {:?}", found.damaged());
    let ids: Vec<SessionId> = found.matching(&Filter::default()).map(|loaded| loaded.manifest.id).collect();
    assert!(
        acknowledged.is_none_or(|id| ids.contains(&id)),
        "{what}: an acknowledged snapshot is not visible"
    );
    for id in &ids {
        let items = lab.restore_from(&repository, &id.to_hex(), &SilentMonitor);
        let items = items.unwrap_or_else(|error| panic!("{what}: {error}"));
        let expected = if items.contains_key("kept") { &scene.kept } else { &scene.content };
        assert!(items.values().all(|content| content == expected), "{what}");
    }
    assert_eq!(
        ids.len(),
        1 + usize::from(acknowledged.is_some()),
        "{what}: an unacknowledged snapshot stays"
    );
    lab.ingest(&[("a", &scene.content)]).unwrap_or_else(|error| panic!("{what}: next ingest: {error}"));
    assert!(lab.restore_latest().unwrap()["a"] == scene.content, "{what}: next");
}

/// Calls of the writer, in order, before which the steps are done; behind the last call means never.
fn script(points: &[usize]) -> Vec<(usize, Step)> {
    points.iter().copied().zip(STEPS).collect()
}

/// `count` times a point for each step, in order, from 0 up to `end`.
fn random_points(seed: u64, count: usize, end: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..count as u64).map(move |number| {
        let random = noise(seed.wrapping_mul(1 << 32).wrapping_add(number), STEPS.len() * 8);
        let mut points: Vec<usize> = random
            .chunks(8)
            .map(|bytes| (u64::from_le_bytes(bytes.try_into().unwrap()) % (end as u64 + 1)) as usize)
            .collect();
        points.sort_unstable();
        points
    })
}

/// All ways to do the four steps of S4 at or after `start`, with retiring before and the sweep right behind.
fn points_around_the_commit(start: usize, end: usize) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for fence in start..=end {
        for look in fence..=end {
            for void in look..=end {
                for unlock in void..=end {
                    all.push(vec![(fence * 7 + look) % start, fence, look, void, unlock, unlock, unlock]);
                }
            }
        }
    }
    all
}

#[test]
fn a_pruner_at_any_points_of_an_ingest_takes_no_chunk_from_an_acknowledged_snapshot() {
    let long = std::env::var_os("CONTAINERARCHIVE_TEST_LONG").is_some();
    for (encrypted, seed) in [(false, 1), (true, 2)] {
        let scene = scene(encrypted);
        let (done, calls) = run(&scene, &[], "no pruner");
        assert!(done);
        let commit = calls - if long { 25 } else { 13 };
        let random = random_points(seed, if long { 100_000 } else { 2500 }, calls);
        let (mut acknowledged, mut refused) = (0, 0);
        for points in random.chain(points_around_the_commit(commit, calls)) {
            let script = script(&points);
            let what = format!("seed {seed}, encrypted {encrypted}, {script:?} of {calls}");
            if run(&scene, &script, &what).0 { acknowledged += 1 } else { refused += 1 }
        }
        println!("seed {seed}, {calls} calls: {acknowledged} acknowledged, {refused} refused");
        assert!(acknowledged > 0 && refused > 0);
    }
}

#[test]
fn fences_alone_make_a_writer_commit_under_a_new_session() {
    let scene = scene(true);
    let (_, calls) = run(&scene, &[], "no pruner");
    for fence in 0..calls {
        let stopped: Vec<_> =
            [Step::Fence, Step::Look, Step::Void, Step::Unlock].map(|step| (fence, step)).into();
        // Its packs are all there, so being fenced once never costs the snapshot.
        assert!(run(&scene, &stopped, &format!("fence at {fence}")).0, "fence at {fence}");
    }
}
