//! Long recipes in little memory.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::unix::fs::FileExt;

use super::support::noise;
use crate::base::ChunkHash;
use crate::crypto::blake3_256;
use crate::format::FormatError;
use crate::format::node::LeafEntry;
use crate::repo::{RecipeBuilder, RecipeReader};

/// The n-th chunk of a synthetic stream of 256 KiB chunks.
fn entry(number: u64, salt: u64) -> LeafEntry {
    let hash = ChunkHash(blake3_256(&[number.to_le_bytes(), salt.to_le_bytes()].concat()));
    LeafEntry { hash, len: 200_000 + (hash.0[0] as u32) * 400 }
}

/// Nodes in a file, found by hash: memory grows by 60 bytes for a node of about 36 KiB.
struct Nodes {
    file: std::fs::File,
    places: RefCell<HashMap<ChunkHash, (u64, usize)>>,
    end: Cell<u64>,
}

impl Nodes {
    fn new() -> Self {
        Self { file: tempfile::tempfile().unwrap(), places: RefCell::default(), end: Cell::new(0) }
    }

    fn stored(&self) -> usize {
        self.places.borrow().len()
    }

    fn store(&self, node: &[u8]) -> Result<ChunkHash, FormatError> {
        let hash = ChunkHash(blake3_256(node));
        if !self.places.borrow().contains_key(&hash) {
            self.places.borrow_mut().insert(hash, (self.end.get(), node.len()));
            self.file.write_all_at(node, self.end.get()).unwrap();
            self.end.set(self.end.get() + node.len() as u64);
        }
        Ok(hash)
    }

    fn fetch(&self, hash: ChunkHash) -> Result<Vec<u8>, FormatError> {
        let (offset, len) = self.places.borrow()[&hash];
        let mut node = vec![0; len];
        self.file.read_exact_at(&mut node, offset).unwrap();
        Ok(node)
    }

    fn build(&self, entries: impl Iterator<Item = LeafEntry>) -> ChunkHash {
        let mut builder = RecipeBuilder::default();
        for entry in entries {
            builder.push(entry, &mut |node: &[u8]| self.store(node)).unwrap();
        }
        builder.finish(&mut |node: &[u8]| self.store(node)).unwrap().0
    }
}

/// Ten million entries stand for 2.5 TB; the nodes (the only thing that grows) are what a repository would store.
#[test]
fn ten_million_entries_are_built_and_read_at_random_offsets_and_one_change_rewrites_one_path() {
    const ENTRIES: u64 = 10_000_000;
    let nodes = Nodes::new();
    let root = nodes.build((0..ENTRIES).map(|number| entry(number, 0)));
    let total: u64 = (0..ENTRIES).map(|number| u64::from(entry(number, 0).len)).sum();
    let before = nodes.stored();
    assert!(before < ENTRIES as usize / 900, "{before} nodes");

    let changed = 7_654_321;
    nodes.build((0..ENTRIES).map(|number| entry(number, u64::from(number == changed))));
    // Three levels; a cut that appears or vanishes with the changed entry splits or joins a node on its level.
    let rewritten = nodes.stored() - before;
    assert!((3..=6).contains(&rewritten), "{rewritten} nodes for one entry");

    let mut fetched = 0;
    let mut fetch = |hash: ChunkHash| {
        fetched += 1;
        nodes.fetch(hash)
    };
    let mut reader = RecipeReader::open(root, &mut fetch).unwrap();
    assert_eq!((reader.sums().chunks, reader.sums().bytes), (ENTRIES, total));
    // Where each sampled chunk starts, by plain addition.
    let mut starts = Vec::new();
    let mut start = 0;
    for number in 0..ENTRIES {
        let next = start + u64::from(entry(number, 0).len);
        if number % 99_991 == 0 {
            starts.push((number, start));
        }
        start = next;
    }
    let random = noise(1, 8 * starts.len());
    for ((number, start), random) in starts.iter().zip(random.chunks(8)) {
        let within = u64::from_le_bytes(random.try_into().unwrap()) % u64::from(entry(*number, 0).len);
        assert_eq!(reader.seek(start + within, &mut fetch).unwrap(), *start);
        assert_eq!(reader.next(&mut fetch).unwrap(), Some(entry(*number, 0)));
        assert_eq!(
            reader.next(&mut fetch).unwrap(),
            Some(entry(*number + 1, 0)).filter(|_| *number + 1 < ENTRIES)
        );
    }
    assert_eq!(reader.seek(total, &mut fetch).unwrap(), total);
    assert_eq!(reader.next(&mut fetch).unwrap(), None);
    assert!(fetched < starts.len() * 6, "{fetched} nodes fetched for {} seeks", starts.len());
}

#[test]
fn recipes_of_one_repeated_chunk_end_at_one_root_whatever_its_hash() {
    for tail in [[0u8, 0], [1, 0], [0, 4]] {
        let mut hash = [7; 32];
        hash[30..].copy_from_slice(&tail);
        let repeated = LeafEntry { hash: ChunkHash(hash), len: 1000 };
        for count in [0usize, 1, 2, 3, 1000, 70_000] {
            let nodes = Nodes::new();
            let root = nodes.build(std::iter::repeat_n(repeated, count));
            let mut reader = RecipeReader::open(root, &mut |hash| nodes.fetch(hash)).unwrap();
            assert_eq!(reader.sums().chunks, count as u64);
            let mut read = 0;
            while let Some(entry) = reader.next(&mut |hash| nodes.fetch(hash)).unwrap() {
                assert_eq!(entry, repeated);
                read += 1;
            }
            assert_eq!(read, count);
        }
    }
}
