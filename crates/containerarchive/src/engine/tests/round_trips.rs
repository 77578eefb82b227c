//! What goes in comes back, byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::support::{Lab, noise, sql};
use crate::base::{NoPins, SilentMonitor};
use crate::chunk::ChunkParams;
use crate::error::ErrorCode;
use crate::format::parity_level::Parity;
use crate::store::{Durability, LocalStore, MemoryStore, Store};

fn contents() -> Vec<Vec<u8>> {
    let (min, average, max) = (256, 1024, 4096);
    let mut contents = vec![Vec::new(), vec![42]];
    for size in [min, average, max] {
        contents.extend([size - 1, size, size + 1].map(|len| noise(len as u64, len)));
    }
    contents.push(vec![0; 300_000]);
    contents.push(noise(1, 300_000));
    contents.push(sql(2, 300_000));
    contents
}

#[test]
fn every_content_comes_back_plain_and_encrypted_by_every_codec_on_any_number_of_threads() {
    for encrypted in [false, true] {
        for compression in ["auto", "zstd:3", "gzip:6", "none"] {
            for threads in [1, 3] {
                let mut lab = Lab::new(Arc::new(MemoryStore::new()), encrypted, 1);
                lab.compression = compression.parse().unwrap();
                lab.threads = threads;
                lab.create().unwrap();
                for content in contents() {
                    let report = lab.ingest(&[("data", &content)]).unwrap();
                    assert_eq!(report.manifest.original_size, content.len() as u64);
                    let restored = lab.restore_latest().unwrap();
                    assert_eq!(
                        restored["data"],
                        content,
                        "{} bytes, {compression}, {threads}",
                        content.len()
                    );
                }
            }
        }
    }
}

#[test]
fn three_items_come_back_together_and_one_by_one() {
    for encrypted in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::new(Arc::new(LocalStore::new(folder.path().join("repository"))), encrypted, 1);
        lab.create().unwrap();
        let (a, b) = (sql(1, 100_000), noise(2, 50_000));
        let items: [(&str, &[u8]); 3] = [("a.sql", &a), ("dir/b.bin", &b), ("empty", &[])];
        lab.ingest(&items).unwrap();
        let expected: BTreeMap<String, Vec<u8>> =
            items.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
        assert_eq!(lab.restore_latest().unwrap(), expected);
        let target = folder.path().join("target");
        lab.restore_to(&target).unwrap();
        for (name, content) in &expected {
            assert_eq!(&std::fs::read(target.join(name)).unwrap(), content);
        }
    }
}

#[test]
fn a_copy_of_all_objects_is_the_repository_and_has_what_its_writers_stored() {
    let lab = Lab::new(Arc::new(MemoryStore::new()), true, 1);
    lab.create().unwrap();
    lab.add_writer([8; 32], Some("laptop"));
    let writer = lab.open_with([8; 32], &NoPins, &SilentMonitor).unwrap();
    lab.ingest_into(&writer, &[("a", b"content")]).unwrap();
    let copy = MemoryStore::new();
    let mut names = Vec::new();
    lab.store.list("", &mut |entry| names.push(entry.name)).unwrap();
    for name in names {
        copy.put(&name, &lab.store.get(&name, 1 << 20).unwrap(), Durability::Durable).unwrap();
    }
    assert_eq!(lab.on(Arc::new(copy)).restore_latest().unwrap()["a"], b"content");
}

/// At the default chunk sizes: 200 MB of zeros, noise and text.
#[test]
fn two_hundred_megabytes_come_back_and_go_in_again_for_almost_nothing() {
    for (name, content) in
        [("zeros", vec![0; 200_000_000]), ("noise", noise(3, 200_000_000)), ("sql", sql(4, 200_000_000))]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut lab = Lab::new(Arc::new(LocalStore::new(folder.path())), true, 1);
        lab.chunking = ChunkParams::default();
        lab.pack_size_bytes = 16 << 20;
        lab.threads = 2;
        lab.create().unwrap();
        let first = lab.ingest(&[(name, &content)]).unwrap().manifest;
        assert!(first.new_chunks > 0);
        let before = folder_bytes(folder.path());
        let second = lab.ingest(&[(name, &content)]).unwrap().manifest;
        let grown = folder_bytes(folder.path()) - before;
        assert_eq!((second.new_chunks, second.stored_size), (0, 0), "{name}");
        assert!(grown < 20_000, "{name}: {grown} bytes more");
        assert!(lab.restore_latest().unwrap()[name] == content, "{name}");
        let mut changed = content;
        changed.insert(100_000_000, 1);
        let third = lab.ingest(&[(name, &changed)]).unwrap().manifest;
        assert!((1..=3).contains(&third.new_chunks), "{name}: {} new chunks for one byte", third.new_chunks);
    }
}

fn folder_bytes(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => folder_bytes(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

#[test]
fn a_restore_that_stops_midway_names_the_items_that_were_written() {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
    lab.parity = Parity::Off;
    let lost = noise(1, 100_000);
    let items: [(&str, &[u8]); 5] = [("a", b"1"), ("b", b"2"), ("c", &lost), ("d", b"4"), ("e", b"5")];
    lab.create().unwrap();
    lab.ingest(&[("c", &lost)]).unwrap();
    let old = store.names();
    lab.ingest(&items).unwrap();
    for name in old.iter().filter(|name| name.as_str().starts_with("packs/data")) {
        store.corrupt(name, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let error = lab.restore_to(folder.path()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Damaged);
    let text = error.to_string();
    assert!(
        text.contains("item 'c'") && text.contains("2 of 5 items were restored, each whole: a, b"),
        "{text}"
    );
    let mut there: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, ["a", "b"]);
}
