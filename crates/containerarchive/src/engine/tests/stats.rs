//! Counting: every chunk once, every byte of every file, and what cannot be counted is told.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::support::{Lab, noise, sql};
use crate::base::monitor::RecordingMonitor;
use crate::base::{NoPins, ObjectName, Problem, SilentMonitor};
use crate::chunk::{GearTable, reference};
use crate::engine::{ObjectClass, StatsOptions, StatsReport, stats};
use crate::error::ErrorCode;
use crate::store::{
    Durability, MemoryStore, ObservedStore, Store, StoreError, StoreErrorKind, StoreOperation,
};

const WRITER: [u8; 32] = [8; 32];

fn lab(encrypted: bool) -> (Arc<MemoryStore>, Lab) {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, 1);
    lab.create().unwrap();
    (store, lab)
}

fn count(lab: &Lab) -> StatsReport {
    stats(&lab.open().unwrap(), &StatsOptions::default(), &SilentMonitor).unwrap()
}

fn names_below(store: &MemoryStore, folder: &str) -> Vec<ObjectName> {
    store.names().into_iter().filter(|name| name.as_str().starts_with(folder)).collect()
}

/// Takes the objects of a folder away, to be put back later.
fn take(store: &MemoryStore, folder: &str) -> Vec<(ObjectName, Vec<u8>)> {
    let taken = names_below(store, folder).into_iter().map(|name| {
        let bytes = store.get(&name, u64::MAX).unwrap();
        store.remove(&name);
        (name, bytes)
    });
    taken.collect()
}

#[test]
fn chunks_count_once_snapshots_in_full_and_files_with_all_their_bytes() {
    for encrypted in [false, true] {
        let (store, lab) = lab(encrypted);
        let empty = count(&lab);
        assert_eq!((empty.snapshots, empty.logical_bytes, empty.data.chunks), (0, 0, 0));
        assert_eq!((empty.dedup_ratio(), empty.compression_ratio()), (None, None));
        let (first, second) = (noise(1, 200_000), sql(2, 300_000));
        lab.ingest(&[("a", &first), ("b", &second)]).unwrap();
        lab.ingest(&[("a", &first), ("b", &second)]).unwrap();
        lab.ingest(&[("c", &first)]).unwrap();
        let report = count(&lab);
        assert_eq!((report.snapshots, report.series, report.items), (3, 2, 5));
        assert_eq!(report.logical_bytes, 1_200_000);
        assert!(report.is_exact && report.unnamed_packs == 0);
        assert_eq!(report.data.plain_bytes, 500_000, "both contents once");
        if !encrypted {
            let gear = GearTable::published();
            let mut chunks = HashSet::new();
            for content in [&first, &second] {
                let mut rest = content.as_slice();
                for len in reference::chunk_lengths(&lab.chunking, &gear, content) {
                    let (chunk, after) = rest.split_at(len);
                    chunks.insert(chunk);
                    rest = after;
                }
            }
            assert_eq!(report.data.chunks, chunks.len() as u64);
        }
        assert!(report.structure.chunks > 0 && report.repeated.chunks == 0);
        assert_eq!(report.index.entries, report.data.chunks + report.structure.chunks);
        assert!(report.index.segments > 0 && report.index.memory_bytes > report.index.entries);
        let length = |name: &ObjectName| store.head(name).unwrap().unwrap();
        let all: u64 = store.names().iter().map(length).sum();
        assert_eq!(report.stored_bytes, all);
        assert_eq!(
            report.objects.iter().map(|totals| totals.objects).sum::<u64>(),
            store.names().len() as u64
        );
        let packs: u64 = names_below(&store, "packs/data").iter().map(length).sum();
        let of = |class| *report.objects.iter().find(|totals| totals.class == class).unwrap();
        assert_eq!(of(ObjectClass::Packs).bytes + of(ObjectClass::PackIndexes).bytes, packs);
        assert_eq!(of(ObjectClass::Packs).objects, report.data_packs.packs + report.structure_packs.packs);
        assert_eq!(of(ObjectClass::Other).objects, 0);
        assert_eq!(of(ObjectClass::Segments).bytes, report.index.disk_bytes);
        assert!(report.dedup_ratio().unwrap() > 2.3 && report.dedup_ratio().unwrap() < 2.5);
    }
}

#[test]
fn a_chunk_in_several_packs_counts_once_with_and_without_index_segments() {
    for segments_return in [true, false] {
        let (store, lab) = lab(true);
        let content = noise(1, 200_000);
        lab.ingest(&[("a", &content)]).unwrap();
        let once = count(&lab);
        // Without the segments, the second ingest does not know of the first one's packs.
        let segments = take(&store, "index/");
        let manifests = take(&store, "snapshots/");
        let replicas = take(&store, "replicas/snapshots/");
        lab.ingest(&[("a", &content)]).unwrap();
        let back =
            manifests.into_iter().chain(replicas).chain(segments.into_iter().filter(|_| segments_return));
        for (name, bytes) in back {
            store.put(&name, &bytes, Durability::Durable).unwrap();
        }
        let twice = count(&lab);
        assert!(twice.is_exact);
        assert_eq!(twice.unnamed_packs > 0, !segments_return);
        assert_eq!((twice.data, twice.structure), (once.data, once.structure));
        assert_eq!(twice.repeated.chunks, once.data.chunks + once.structure.chunks);
        assert_eq!(twice.logical_bytes, 400_000);
        assert!(twice.total_ratio().unwrap() < 1.0);
        let short = StatsOptions { max_repeated: 3 };
        let bound = stats(&lab.open().unwrap(), &short, &SilentMonitor).unwrap();
        assert!(!bound.is_exact && bound.data.chunks > once.data.chunks, "{:?}", bound.data);
    }
}

#[test]
fn what_cannot_be_read_is_told_and_not_counted() {
    let (store, lab) = lab(false);
    lab.ingest(&[("a", &noise(1, 300_000))]).unwrap();
    let whole = count(&lab);
    let pack =
        names_below(&store, "packs/data").into_iter().find(|name| name.as_str().ends_with(".pack")).unwrap();
    let mut bytes = store.get(&pack, u64::MAX).unwrap();
    bytes.pop();
    store.remove(&pack);
    store.put(&pack, &bytes, Durability::Durable).unwrap();
    let segment = names_below(&store, "index/").pop().unwrap();
    store.remove(&segment);
    store.put(&segment, b"no segment", Durability::Durable).unwrap();
    let monitor = RecordingMonitor::default();
    let report = stats(&lab.open().unwrap(), &StatsOptions::default(), &monitor).unwrap();
    assert_eq!(report.unreadable_packs.packs, 1);
    assert!(report.data.chunks < whole.data.chunks && report.data.chunks > 0);
    assert!(!report.is_exact);
    let named = |wanted: &ObjectName| {
        let is_it = |problem: &Problem| problem.text().contains(wanted.as_str());
        monitor.problems().iter().any(is_it)
    };
    assert!(named(&pack) && named(&segment), "{:?}", monitor.problems());
}

#[test]
fn a_pack_without_segment_that_fails_to_be_read_is_no_pack_without_chunks() {
    let (store, lab) = lab(false);
    lab.ingest(&[("a", &noise(1, 300_000))]).unwrap();
    take(&store, "index/");
    let is_data = |name: &ObjectName| name.as_str().starts_with("packs/data/");
    let packs: Vec<_> = take(&store, "packs/")
        .into_iter()
        .filter(|(name, _)| name.as_str().ends_with(".pack"))
        .inspect(|(name, bytes)| store.put(name, bytes, Durability::Durable).unwrap())
        .collect();
    let pack = packs.into_iter().map(|(name, _)| name).find(is_data).unwrap();
    let whole = count(&lab);
    assert!(whole.is_exact && whole.unnamed_packs > 1);
    // The first read of the pack is that of the survey; a second one would succeed.
    let failing_once = |kind| {
        let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&store)));
        let has_failed = AtomicBool::new(false);
        let pack = pack.clone();
        observed.set_before(move |call| {
            if call.operation == StoreOperation::GetRange
                && call.name == pack.as_str()
                && !has_failed.swap(true, Ordering::Relaxed)
            {
                return Err(StoreError::new(kind, call.operation, &call.name, "injected"));
            }
            Ok(())
        });
        stats(&lab.on(observed).open().unwrap(), &StatsOptions::default(), &SilentMonitor)
    };
    assert_eq!(failing_once(StoreErrorKind::Network).unwrap_err().code(), ErrorCode::Network);
    let report = failing_once(StoreErrorKind::Failed).unwrap();
    assert_eq!((report.is_exact, report.data), (false, whole.data), "a bad sector that was read in the end");
    assert!(store.corrupt(&pack, |bytes| bytes.truncate(bytes.len() - 1)));
    let report = count(&lab);
    assert_eq!((report.is_exact, report.unreadable_packs.packs), (true, 1), "nothing of it is counted");
}

#[test]
fn only_admins_count() {
    let (_, lab) = lab(true);
    lab.add_writer(WRITER, None);
    let repository = lab.open_with(WRITER, &NoPins, &SilentMonitor).unwrap();
    let error = stats(&repository, &StatsOptions::default(), &SilentMonitor).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Capability);
}

#[test]
fn chunks_of_every_domain_are_counted() {
    let (_, lab) = lab(true);
    lab.add_writer(WRITER, None);
    let content = noise(1, 100_000);
    lab.ingest(&[("a", &content)]).unwrap();
    let writer = lab.open_with(WRITER, &NoPins, &SilentMonitor).unwrap();
    lab.ingest_into(&writer, &[("a", &content)]).unwrap();
    let report = count(&lab);
    assert_eq!((report.snapshots, report.series), (2, 2));
    // The same content has other ids there.
    assert_eq!((report.data.plain_bytes, report.repeated.chunks), (200_000, 0));
}
