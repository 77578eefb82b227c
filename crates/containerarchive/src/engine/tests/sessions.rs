//! Writers and readers beside each other, interrupted ones, and media that cannot be written.

use std::sync::Arc;

use super::support::{ADMIN, Lab, item, noise, sql};
use crate::base::monitor::RecordingMonitor;
use crate::base::{NoPins, SilentMonitor};
use crate::engine::{IngestOptions, UnlockOptions, ingest, unlock};
use crate::error::ErrorCode;
use crate::format::names;
use crate::repo::{Maintenance, RepoError, Repository, Session, list_sessions};
use crate::store::{
    Capabilities, LocalStore, MemoryStore, ObservedStore, Store, StoreError, StoreErrorKind, StoreOperation,
};

#[test]
fn two_concurrent_ingests_of_one_stream_both_restore() {
    for encrypted in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::new(Arc::new(LocalStore::new(folder.path().join("r"))), encrypted, 1);
        lab.create().unwrap();
        let content = sql(1, 2_000_000);
        let ids: Vec<String> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| lab.ingest(&[("a", &content)]).unwrap().manifest.id.to_string()))
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let repository = lab.open().unwrap();
        for id in ids {
            assert_eq!(lab.restore_from(&repository, &id, &SilentMonitor).unwrap()["a"], content);
        }
    }
}

#[test]
fn a_read_only_repository_restores_with_a_warning() {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
    lab.create().unwrap();
    let content = noise(1, 10_000);
    lab.ingest(&[("a", &content)]).unwrap();
    store.set_read_only(true);
    let monitor = RecordingMonitor::default();
    let repository = lab.open_with(ADMIN, &NoPins, &monitor).unwrap();
    assert_eq!(lab.restore_from(&repository, "latest", &monitor).unwrap()["a"], content);
    let problems = monitor.problems();
    assert!(problems.len() == 1 && problems[0].text().contains("could not register"), "{problems:?}");
}

#[test]
fn a_session_leaves_no_lock_whether_it_succeeds_or_fails() {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
    lab.create().unwrap();
    let locks = || store.names().iter().filter(|name| name.as_str().starts_with("locks/")).count();
    lab.ingest(&[("a", &noise(1, 100_000))]).unwrap();
    lab.restore_latest().unwrap();
    assert_eq!(locks(), 0);
    struct Broken(usize);
    impl std::io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::Error::other("the source broke"));
            }
            let len = buffer.len().min(self.0);
            buffer[..len].copy_from_slice(&noise(self.0 as u64, len));
            self.0 -= len;
            Ok(len)
        }
    }
    let repository = lab.open().unwrap();
    let snapshots_before = lab.store.head(&names::config()).unwrap();
    assert!(snapshots_before.is_some());
    let failed =
        ingest(&repository, vec![item("a", Broken(300_000))], &IngestOptions::default(), &SilentMonitor);
    let error = failed.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Source);
    assert!(error.to_string().contains("'a'") && error.to_string().contains("the source broke"), "{error}");
    assert_eq!(locks(), 0);
    let manifests = store.names().iter().filter(|name| name.as_str().starts_with("snapshots/")).count();
    assert_eq!(manifests, 1);
}

#[test]
fn packs_of_a_killed_session_are_adopted_and_not_stored_again() {
    let local = Capabilities { is_local: true, is_weak: false };
    let store = Arc::new(MemoryStore::new().with_capabilities(local));
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
    lab.create().unwrap();
    let content = noise(1, 1_000_000);
    // A whole ingest, of which a kill left only the session and the packs.
    lab.ingest(&[("a", &content)]).unwrap();
    let repository = lab.open().unwrap();
    let mut dead = Vec::new();
    for name in store.names() {
        if name.as_str().starts_with("packs/") && name.as_str().ends_with(".pack") {
            let mut header = [0; 160];
            store.get_range(&name, 0, &mut header).unwrap();
            dead.push(crate::base::SessionId(header[48..64].try_into().unwrap()));
        }
        if ["index/", "snapshots/", "replicas/snapshots/"]
            .iter()
            .any(|start| name.as_str().starts_with(start))
        {
            store.remove(&name);
        }
    }
    dead.dedup();
    let again = lab.ingest(&[("a", &content)]).unwrap().manifest;
    assert!(again.new_chunks > 0, "without a dead session's lock nothing is adopted");
    for name in store.names() {
        if ["index/", "snapshots/", "replicas/snapshots/"]
            .iter()
            .any(|start| name.as_str().starts_with(start))
        {
            store.remove(&name);
        }
    }
    let domain = repository.keys.domain(crate::base::DomainId::MAIN).unwrap().unwrap();
    drop(Session::register_as(dead[0], &repository, &domain, "ingest", &[]).unwrap());
    // What a disk cannot read any more is stored again.
    let failing = Arc::new(ObservedStore::new(Arc::new(store.fork())));
    failing.set_before(|call| match call.operation {
        StoreOperation::Get if call.name.ends_with(".pack") => {
            Err(StoreError::new(StoreErrorKind::Failed, call.operation, &call.name, "unreadable sector"))
        }
        _ => Ok(()),
    });
    let stored = lab.on(Arc::<ObservedStore>::clone(&failing)).ingest(&[("a", &content)]).unwrap().manifest;
    assert_eq!((stored.new_chunks, stored.reused_chunks), (again.new_chunks, 0));
    let adopted = lab.ingest(&[("a", &content)]).unwrap().manifest;
    assert_eq!((adopted.new_chunks, adopted.stored_size), (0, 0));
    assert_eq!(lab.restore_latest().unwrap()["a"], content);
}

/// Forks a store when half of a stream has been read: what a kill at that moment leaves.
struct ForkAtHalf<'a> {
    content: &'a [u8],
    read: usize,
    store: &'a MemoryStore,
    forked: &'a std::sync::Mutex<Option<MemoryStore>>,
}

impl std::io::Read for ForkAtHalf<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut forked = self.forked.lock().unwrap();
        if forked.is_none() && self.read >= self.content.len() / 2 {
            *forked = Some(self.store.fork());
        }
        let count = buffer.len().min(100_000).min(self.content.len() - self.read);
        buffer[..count].copy_from_slice(&self.content[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

#[test]
fn what_a_killed_ingest_published_on_the_way_is_used_without_reading_its_packs() {
    let local = Capabilities { is_local: true, is_weak: false };
    let store = Arc::new(MemoryStore::new().with_capabilities(local));
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
    lab.pack_size_bytes = 64 << 10;
    lab.create().unwrap();
    let content = noise(1, 14_000_000);
    let forked = std::sync::Mutex::new(None);
    let source = ForkAtHalf { content: &content, read: 0, store: &store, forked: &forked };
    let repository = lab.open().unwrap();
    let whole = ingest(&repository, vec![item("a", source)], &IngestOptions::default(), &SilentMonitor)
        .unwrap()
        .manifest;
    let killed = Arc::new(forked.into_inner().unwrap().unwrap());
    let count = |start: &str, end: &str| {
        let names = killed.names();
        names.iter().filter(|name| name.as_str().starts_with(start) && name.as_str().ends_with(end)).count()
    };
    let packs = count("packs/", ".pack");
    assert!(packs > 60, "{packs} packs");
    let stored_before: u64 = killed
        .names()
        .iter()
        .filter(|name| name.as_str().ends_with(".pack"))
        .map(|name| killed.head(name).unwrap().unwrap())
        .sum();
    assert_eq!(count("snapshots/", ""), 0);
    assert!(count("index/", ".seg") >= 1);
    let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&killed)));
    let again = lab.on(Arc::<ObservedStore>::clone(&observed)).ingest(&[("a", &content)]).unwrap().manifest;
    let calls = observed.calls();
    let gets = calls.iter().filter(|call| call.operation == StoreOperation::Get);
    let read = gets.filter(|call| call.name.contains(".pack")).count();
    assert!(read < 40, "{read} of {packs} packs were read whole");
    // The packs of the second run do not begin where those of the first one did.
    let most = whole.stored_size - stored_before + 2 * lab.pack_size_bytes;
    assert!(again.stored_size < most, "{} bytes stored, {most} are new", again.stored_size);
}

#[test]
fn a_living_sessions_packs_are_not_adopted() {
    let local = Capabilities { is_local: true, is_weak: false };
    let store = Arc::new(MemoryStore::new().with_capabilities(local));
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
    lab.create().unwrap();
    let repository = lab.open().unwrap();
    let domain = repository.keys.domain(crate::base::DomainId::MAIN).unwrap().unwrap();
    let living = Session::register(&repository, &domain, "ingest").unwrap();
    assert_eq!(store.is_held(&names::session(living.id)).unwrap(), Some(true));
    let content = noise(1, 50_000);
    lab.ingest(&[("a", &content)]).unwrap();
    living.end(&repository).unwrap();
    assert_eq!(lab.restore_latest().unwrap()["a"], content);
}

#[test]
fn a_second_ingest_reads_each_packs_table_at_most_once_and_no_chunk() {
    let store = Arc::new(ObservedStore::new(Arc::new(MemoryStore::new())));
    let mut lab = Lab::new(Arc::<ObservedStore>::clone(&store), true, 1);
    lab.pack_size_bytes = 256 << 10;
    lab.create().unwrap();
    let content = noise(1, 2_000_000);
    lab.ingest(&[("a", &content)]).unwrap();
    store.clear_calls();
    lab.ingest(&[("a", &content)]).unwrap();
    let packs: std::collections::BTreeSet<String> = store
        .calls()
        .iter()
        .filter(|call| call.name.contains(".pack"))
        .map(|call| call.name.clone())
        .collect();
    let ranges = store
        .calls()
        .iter()
        .filter(|call| call.operation == StoreOperation::GetRange && call.name.contains(".pack"))
        .count();
    assert!(ranges <= 3 * packs.len(), "{ranges} reads of {} packs", packs.len());
    assert!(
        store
            .calls()
            .iter()
            .all(|call| call.operation != StoreOperation::Put || !call.name.contains(".pack"))
    );
}

#[test]
fn items_are_read_concurrently() {
    /// Gives its content only after somebody has read the other one.
    struct Waits<'a> {
        content: &'a [u8],
        tell: std::sync::mpsc::Sender<()>,
        wait: Option<std::sync::mpsc::Receiver<()>>,
    }
    impl std::io::Read for Waits<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let _ = self.tell.send(());
            if let Some(wait) = self.wait.take() {
                wait.recv().map_err(std::io::Error::other)?;
            }
            self.content.read(buffer)
        }
    }
    let mut lab = Lab::new(Arc::new(MemoryStore::new()), true, 1);
    lab.threads = 2;
    lab.create().unwrap();
    let repository = lab.open().unwrap();
    let contents = [noise(1, 300_000), noise(2, 300_000), sql(3, 300_000)];
    let (senders, receivers): (Vec<_>, Vec<_>) = contents.iter().map(|_| std::sync::mpsc::channel()).unzip();
    // Each tells the one before it and waits for the one behind it; the last one waits for nobody.
    let mut receivers = receivers.into_iter().map(Some).collect::<Vec<_>>();
    receivers[2] = None;
    let mut items = Vec::new();
    for (number, wait) in receivers.into_iter().enumerate() {
        let tell = senders[number.saturating_sub(1)].clone();
        items.push(item(&format!("item-{number}"), Waits { content: &contents[number], tell, wait }));
    }
    let options = IngestOptions { threads: 2, ..IngestOptions::default() };
    ingest(&repository, items, &options, &SilentMonitor).unwrap();
    let restored = lab.restore_latest().unwrap();
    for (number, content) in contents.iter().enumerate() {
        assert!(restored[&format!("item-{number}")] == *content, "item {number}");
    }
}

#[test]
fn a_source_that_panics_never_becomes_a_snapshot() {
    struct Panics(usize);
    impl std::io::Read for Panics {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            assert!(self.0 > 0, "planted");
            self.0 -= 1;
            buffer.fill(7);
            Ok(buffer.len())
        }
    }
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
    lab.create().unwrap();
    let repository = lab.open().unwrap();
    let options = IngestOptions { threads: 2, ..IngestOptions::default() };
    let items = vec![item("short", [1u8; 10].as_slice()), item("panics", Panics(3))];
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ingest(&repository, items, &options, &SilentMonitor).map(|_| ())
    }));
    assert!(!matches!(panicked, Ok(Ok(()))));
    assert!(store.names().iter().all(|name| !name.as_str().starts_with("snapshots/")));
}

#[test]
fn more_items_than_are_read_at_once_all_come_back() {
    let mut lab = Lab::new(Arc::new(MemoryStore::new()), true, 1);
    lab.threads = 3;
    lab.create().unwrap();
    let contents: Vec<(String, Vec<u8>)> =
        (0..200u64).map(|number| (format!("item-{number}"), noise(number, number as usize * 37))).collect();
    let items: Vec<(&str, &[u8])> =
        contents.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    lab.ingest(&items).unwrap();
    let restored = lab.restore_latest().unwrap();
    assert!(contents.iter().all(|(name, content)| restored[name] == *content));
}

/// Checkpoints fall between chunks that repeat each other; under test they come every 300 chunks.
#[test]
fn checkpoints_forget_no_chunk_that_is_not_stored_yet() {
    for threads in [1, 4] {
        let mut lab = Lab::new(Arc::new(MemoryStore::new()), true, 1);
        lab.threads = threads;
        lab.chunking = crate::chunk::ChunkParams::new(64, 256, 1024).unwrap();
        lab.pack_size_bytes = 256 << 10;
        lab.create().unwrap();
        let piece = noise(1, 3_000_000);
        let content = [piece.as_slice(), &piece, &noise(2, 3_000_000), &piece, &noise(2, 3_000_000)].concat();
        let report = lab.ingest(&[("a", &content), ("b", &content)]).unwrap().manifest;
        // 6 MB in chunks of some 300 bytes, each with a tag and a record (64 bytes) and its place in a recipe (36).
        assert!(report.stored_size < 9_000_000, "{} bytes stored for 6 MB", report.stored_size);
        assert!(lab.restore_latest().unwrap().values().all(|restored| *restored == content));
    }
}

#[test]
fn a_host_name_with_control_characters_makes_no_snapshot_that_cannot_be_read() {
    let mut lab = Lab::new(Arc::new(MemoryStore::new()), true, 1);
    lab.environment.host = "a\tb\u{9b}".to_owned() + &"x".repeat(10_000);
    lab.environment.user = "\u{1b}[2J".to_owned();
    lab.create().unwrap();
    let report = lab.ingest(&[("a", b"content")]).unwrap().manifest;
    assert!(report.host.starts_with("a?b?x") && report.user == "?[2J");
    assert_eq!(lab.restore_latest().unwrap()["a"], b"content");
}

#[test]
fn of_many_inits_at_once_exactly_one_makes_a_repository_that_its_key_opens() {
    for round in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let labs: Vec<Lab> = (0..6)
            .map(|seed| {
                Lab::new(Arc::new(LocalStore::new(folder.path().join("r"))), true, round * 100 + seed)
            })
            .collect();
        let made = std::thread::scope(|scope| {
            let runs: Vec<_> = labs.iter().map(|lab| scope.spawn(|| lab.create().is_ok())).collect();
            runs.into_iter().map(|run| run.join().unwrap()).filter(|made| *made).count()
        });
        assert_eq!(made, 1, "round {round}");
        let monitor = RecordingMonitor::default();
        let repository = labs[0].open_with(ADMIN, &NoPins, &monitor).unwrap();
        assert!(monitor.problems().is_empty(), "{:?}", monitor.problems());
        assert_eq!(crate::repo::list_slots(&repository, &SilentMonitor).unwrap().len(), 1);
        labs[1].ingest(&[("a", b"content")]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("r/locks")).unwrap().count(), 0);
    }
}

fn encrypted_lab() -> (Lab, Arc<MemoryStore>, Repository) {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
    lab.create().unwrap();
    let repository = lab.open().unwrap();
    (lab, store, repository)
}

#[test]
fn maintenance_gives_way_to_a_live_session_that_cannot_be_read() {
    let (_, store, repository) = encrypted_lab();
    let domain = repository.keys.domain(crate::base::DomainId::MAIN).unwrap().unwrap();
    let other = Maintenance::begin(&repository, &domain, "repair").unwrap();
    assert!(store.corrupt(&names::session(other.session()), |bytes| bytes.truncate(10)));
    let refused = Maintenance::begin(&repository, &domain, "reindex").map(|_| ()).unwrap_err();
    assert!(matches!(&refused, RepoError::Held { .. }), "{refused}");
    // Whose process is gone is in nobody's way.
    drop(other);
    Maintenance::begin(&repository, &domain, "reindex").unwrap().end(&repository).unwrap();
}

#[test]
fn a_prune_that_waits_for_another_maintenance_session_writes_no_more_than_one_that_does_not() {
    let (lab, store, repository) = encrypted_lab();
    let domain = repository.keys.domain(crate::base::DomainId::MAIN).unwrap().unwrap();
    let other = Maintenance::begin(&repository, &domain, "repair").unwrap();
    let observed = Arc::new(ObservedStore::new(store));
    let waiting = lab.on(Arc::<ObservedStore>::clone(&observed)).open().unwrap();
    let refused = crate::engine::prune(&waiting, &Default::default(), &SilentMonitor).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Held, "{refused}");
    // When it begins, and once more at the end, to tell who holds it.
    let calls = observed.calls();
    let put = calls.iter().filter(|call| call.operation == StoreOperation::Lock && call.len > 0).count();
    assert_eq!((put, observed.count(StoreOperation::Put), observed.count(StoreOperation::Delete)), (2, 0, 2));
    other.end(&repository).unwrap();
    crate::engine::prune(&waiting, &Default::default(), &SilentMonitor).unwrap();
}

#[test]
fn a_session_whose_manifest_may_arrive_late_stays_until_that_is_forbidden() {
    for is_local in [true, false] {
        let store = MemoryStore::new().with_capabilities(Capabilities { is_local, is_weak: false });
        let observed = Arc::new(ObservedStore::new(Arc::new(store)));
        let lab = Lab::new(Arc::<ObservedStore>::clone(&observed), true, 1);
        lab.create().unwrap();
        observed.set_before(|call| {
            let is_manifest = call.operation == StoreOperation::Put && call.name.starts_with("snapshots/");
            let error = || StoreError::new(StoreErrorKind::Network, call.operation, &call.name, "planted");
            if is_manifest { Err(error()) } else { Ok(()) }
        });
        lab.ingest(&[("a", b"content")]).unwrap_err();
        observed.clear_hooks();
        let repository = lab.open().unwrap();
        let left = list_sessions(&repository, &SilentMonitor).unwrap();
        assert_eq!(left.len(), usize::from(!is_local));
        unlock(&repository, UnlockOptions { force: true }, &SilentMonitor).unwrap();
        for session in left {
            assert!(repository.store.head(&names::void(session.id)).unwrap().is_some());
        }
    }
}
