//! Recipe nodes, and recipes of several.

use containerarchive::base::{ChunkHash, Kind};
use containerarchive::format::node::{Entries, InnerEntry, LeafEntry, Node};
use containerarchive::format::prefix::Class;

use crate::case::Cases;
use crate::lab::Side;
use crate::pack::{Chunk, Draft};

fn leaf(lengths: &[u32]) -> Vec<u8> {
    let entries = lengths.iter().map(|len| LeafEntry { hash: ChunkHash([1; 32]), len: *len }).collect();
    Node { level: 0, entries: Entries::Leaf(entries) }.encode()
}

fn inner(level: u8, below: &[([u8; 32], u64, u64)]) -> Vec<u8> {
    let entry =
        |(hash, chunks, bytes): &_| InnerEntry { hash: ChunkHash(*hash), chunks: *chunks, bytes: *bytes };
    Node { level, entries: Entries::Inner(below.iter().map(entry).collect()) }.encode()
}

pub(crate) fn cases(cases: &mut Cases) {
    let rule = "R-NODE-1";
    let good = leaf(&[5, 7]);
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        bad
    };
    let hash = [2; 32];
    cases.accept(rule, "leaf.node", good.clone());
    cases.accept(rule, "inner-of-level-48.node", inner(48, &[(hash, 3, 15)]));
    cases.reject(rule, "version-2.node", with(0, 2));
    cases.reject(rule, "level-49.node", inner(49, &[(hash, 3, 15)]));
    cases.reject(rule, "zeros.node", with(2, 1));
    cases.reject(rule, "entry-less.node", with(4, 1));
    cases.reject(rule, "entry-more.node", with(4, 3));
    cases.reject(rule, "byte-behind.node", [good.clone(), vec![0]].concat());
    cases.reject(rule, "leaf-entries-in-inner.node", with(1, 1));
    cases.reject(rule, "head-cut-short.node", good[..7].to_vec());
    let rule = "R-NODE-2";
    cases.accept(rule, "empty-leaf.node", leaf(&[]));
    cases.accept(rule, "longest-chunk.node", leaf(&[16 << 20]));
    cases.accept(rule, "largest-sums.node", inner(1, &[(hash, 1, u64::MAX - 1), (hash, u64::MAX - 1, 1)]));
    cases.reject(rule, "chunk-of-0.node", leaf(&[5, 0]));
    cases.reject(rule, "chunk-above-16-mib.node", leaf(&[(16 << 20) + 1]));
    cases.reject(rule, "empty-inner.node", inner(1, &[]));
    cases.reject(rule, "nothing-below.node", inner(1, &[(hash, 0, 15)]));
    cases.reject(rule, "bytes-overflow.node", inner(1, &[(hash, 1, u64::MAX), (hash, 1, 1)]));
    cases.reject(rule, "number-overflows.node", inner(1, &[(hash, u64::MAX, 1), (hash, 1, 1)]));
    recipes(cases);
}

fn recipes(cases: &mut Cases) {
    let rule = "R-NODE-3";
    let side = Side::encrypted();
    let node = |bytes: &[u8]| Chunk::new(&side, Kind::Recipe, bytes);
    let pack = |chunks| Draft::new(&side, Class::Structure, chunks).bytes();
    let (first, second) = (node(&leaf(&[5, 7])), node(&leaf(&[9])));
    let tree = |level, sums: [(u64, u64); 2]| {
        let [a, b] = sums;
        let root = inner(level, &[(first.hash, a.0, a.1), (second.hash, b.0, b.1)]);
        pack(vec![first.clone(), second.clone(), node(&root)])
    };
    cases.accept(rule, "two-levels.recipe", tree(1, [(2, 12), (1, 9)]));
    cases.reject(rule, "level-2-above-leaves.recipe", tree(2, [(2, 12), (1, 9)]));
    cases.reject(rule, "other-number.recipe", tree(1, [(2, 12), (2, 9)]));
    cases.reject(rule, "other-bytes.recipe", tree(1, [(2, 13), (1, 9)]));
    let empty = node(&leaf(&[]));
    let root = node(&inner(1, &[(empty.hash, 1, 0)]));
    cases.reject(rule, "empty-leaf-below-root.recipe", pack(vec![empty, root]));
}
