//! The promise of parity: p lost packs come back while p shards remain, and scattered damage while no row has more bad
//! blocks than there are shards; what is more is told to the byte. With CONTAINERARCHIVE_TEST_LONG all of it by `repair`.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::scenes::{Dice, ITEM, Scene, bytes_of, difference, is_long, run_repair};
use super::support::Lab;
use crate::base::{ChunkId, DomainId, Kind, NoPins, ObjectName, PackId, SilentMonitor};
use crate::chunk::{Batch, ChunkReader, Chunker};
use crate::crypto::BLOCK_LEN;
use crate::engine::{
    Filter, LostRange, RestoreOptions, RestoreTarget, Selector, repair_without_key, restore, snapshots,
};
use crate::error::ErrorCode;
use crate::format::names;
use crate::repo::{Groups, Locked, rebuild_pack, restore_shards};
use crate::store::{Durability, MemoryStore, Store};

/// All subsets of `count` out of 0..`of`, as bits.
fn patterns(of: usize, count: usize) -> impl Iterator<Item = u32> {
    (0_u32..1 << of).filter(move |bits| bits.count_ones() as usize == count)
}

/// `count` of `files`, at random.
fn draw(dice: &mut Dice, files: &[ObjectName], count: usize) -> Vec<ObjectName> {
    let mut files = files.to_vec();
    dice.shuffle(&mut files);
    files.truncate(count);
    files
}

/// Rebuilds what was erased without looking at anything else of the repository.
fn rebuild_directly(lab: &Lab, store: &MemoryStore, packs: &[PackId], what: &str) {
    let repository = lab.open().unwrap();
    let groups = Groups::load(repository.parity_store()).unwrap();
    for pack in packs.iter().filter(|pack| store.head(&names::pack(**pack)).unwrap().is_none()) {
        let stored = groups.of_pack(pack).next().expect(what);
        let rebuilt = rebuild_pack(repository.parity_store(), stored, *pack).unwrap().unwrap();
        assert!(rebuilt.is_whole, "{what}");
        store.put(&names::pack(*pack), &rebuilt.bytes, Durability::Durable).unwrap();
    }
    for stored in groups.all() {
        let missing: Vec<u8> = stored.missing().collect();
        if !missing.is_empty() {
            restore_shards(repository.parity_store(), stored, &missing).unwrap();
        }
    }
}

/// Erases files of the group, brings them back, and compares every byte of the repository.
fn check_erasure(scene: &Scene, erased: &[ObjectName], by_verb: bool) {
    let (lab, store) = scene.fork();
    let what = format!("{} of {} erased: {erased:?}", erased.len(), scene.files().len());
    for name in erased {
        assert!(store.remove(name));
    }
    let shards: Vec<ObjectName> = scene.stored.present().map(|(_, id)| names::shard(id)).collect();
    // Then nobody knows of the group any more; its packs are there, and `repair` makes a new one.
    let is_forgotten = shards.iter().all(|shard| erased.contains(shard));
    if by_verb {
        let report = run_repair(&lab).unwrap();
        assert!(!report.is_lossy(), "{what}: {report:?}");
        assert_eq!(report.steps.is_empty(), erased.is_empty(), "{what}");
    } else if !is_forgotten {
        rebuild_directly(&lab, &store, &scene.packs(), &what);
    }
    let mut expected = scene.whole.clone();
    let mut found = bytes_of(&store);
    if is_forgotten {
        let is_pack = |name: &ObjectName| !name.as_str().starts_with(names::PARITY);
        expected.retain(|name, _| is_pack(name));
        found.retain(|name, _| is_pack(name));
        if by_verb {
            let groups = Groups::load(lab.open().unwrap().parity_store()).unwrap();
            for pack in scene.packs() {
                assert!(groups.of_pack(&pack).any(|stored| stored.missing().next().is_none()), "{what}");
            }
        }
    }
    assert_eq!(difference(&expected, &found), None, "{what}");
}

#[test]
fn every_erasure_of_up_to_m_files_of_small_groups_comes_back_bit_for_bit() {
    let (mut direct, mut by_verb, mut dice) = (0, 0, Dice::new(1));
    for members in 1..=8 {
        for shards in 1..=3 {
            let scene = Scene::new(false, (members, shards), 64, 100 + u64::from(members));
            let files = scene.files();
            for count in 1..=usize::from(shards) {
                for bits in patterns(files.len(), count) {
                    let is_erased = |at: &usize| bits & (1 << at) != 0;
                    let erased: Vec<_> =
                        (0..files.len()).filter(is_erased).map(|at| files[at].clone()).collect();
                    check_erasure(&scene, &erased, false);
                    direct += 1;
                    if is_long() || dice.one_in(8) {
                        check_erasure(&scene, &erased, true);
                        by_verb += 1;
                    }
                }
            }
        }
    }
    println!("{direct} patterns, {by_verb} of them by repair as well");
}

#[test]
fn random_erasures_of_up_to_m_files_of_large_groups_come_back_bit_for_bit() {
    let (direct, by_verb) = if is_long() { (1000, 1000) } else { (60, 10) };
    for (number, (members, shards)) in [(20, 1), (40, 2), (80, 4)].into_iter().enumerate() {
        let scene = Scene::new(number == 1, (members, shards), 64, 200 + u64::from(members));
        let files = scene.files();
        let mut dice = Dice::new(number as u64);
        for round in 0..direct.max(by_verb) {
            let count = 1 + dice.below(shards.into());
            let erased = draw(&mut dice, &files, count);
            if round < direct {
                check_erasure(&scene, &erased, false);
            }
            if round < by_verb {
                check_erasure(&scene, &erased, true);
            }
        }
    }
}

/// Where in the item the chunks of packs are, found by cutting it again; neighbours joined.
fn ranges_of(scene: &Scene, lost: &HashSet<PackId>) -> Vec<Range<u64>> {
    let repository = scene.lab.open().unwrap();
    let keys = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let mut chunks: HashSet<ChunkId> = HashSet::new();
    for pack in lost {
        let view = repository.view_pack(*pack, &keys).unwrap();
        chunks.extend(view.table.records().iter().map(|record| record.id));
    }
    let chunker = Chunker::new(repository.config.chunking, keys.gear_table().unwrap());
    let mut reader = ChunkReader::new(&chunker, scene.content.as_slice(), 1 << 20);
    let (mut batch, mut at, mut ranges) = (Batch::new(), 0, Vec::new());
    while reader.next_batch(&mut batch).unwrap() {
        for chunk in batch.chunks() {
            let end = at + chunk.len() as u64;
            let id = ChunkId { kind: Kind::Data, hash: keys.hasher.hash(Kind::Data, chunk) };
            if chunks.contains(&id) {
                ranges.push(at..end);
            }
            at = end;
        }
    }
    joined(ranges)
}

fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Restores until the first lost byte; returns what came out.
fn restore_until_lost(lab: &Lab) -> (Vec<u8>, ErrorCode) {
    let repository = lab.open().unwrap();
    let found = snapshots(&repository, &NoPins, &SilentMonitor).unwrap();
    let snapshot = found.find(&Selector::Latest(0), &Filter::default()).unwrap();
    let options = RestoreOptions { item: Some(ITEM), threads: 1, heal: false };
    let mut out = Vec::new();
    let done = restore(&repository, snapshot, RestoreTarget::Stream(&mut out), &options, &SilentMonitor);
    (out, done.unwrap_err().code())
}

#[test]
fn more_than_m_losses_are_told_by_snapshot_item_and_bytes_exactly() {
    let mut dice = Dice::new(7);
    for (encrypted, level) in [(false, (4, 1)), (true, (6, 2)), (false, (8, 3)), (true, (20, 1))] {
        let scene = Scene::new(encrypted, level, 64, 300 + u64::from(level.0));
        let snapshot = scene.whole.keys().find(|name| name.as_str().starts_with(names::SNAPSHOTS)).unwrap();
        let snapshot = snapshot.file_name().trim_end_matches(".json");
        for round in 0..if is_long() { 60 } else { 8 } {
            let what = format!("{level:?}, encrypted: {encrypted}, round {round}");
            let (lab, store) = scene.fork();
            let mut erased = draw(&mut dice, &scene.files(), usize::from(level.1) + 1);
            // With every shard and a pack gone, as well as with no shard.
            if round == 0 {
                let shards = scene.stored.present().map(|(_, id)| names::shard(id));
                erased = shards.chain([names::pack(scene.packs()[0])]).collect();
            }
            erased.iter().for_each(|name| assert!(store.remove(name)));
            let lost: HashSet<PackId> =
                scene.packs().into_iter().filter(|pack| erased.contains(&names::pack(*pack))).collect();
            let expected = ranges_of(&scene, &lost);
            let report = run_repair(&lab).unwrap();
            assert!(report.is_lossy(), "{what}");
            for LostRange { snapshot: of, item, .. } in &report.lost {
                assert!(of.to_string() == snapshot && item == ITEM, "{what}");
            }
            let told = joined(report.lost.iter().map(|lost| lost.from..lost.to).collect());
            assert_eq!(told, expected, "{what}");
            let (out, code) = restore_until_lost(&lab);
            assert!(out == scene.content[..expected[0].start as usize], "{what}");
            assert_eq!(code, ErrorCode::Damaged, "{what}");
            let again = run_repair(&lab).unwrap();
            assert!(again.steps.is_empty(), "{what}: {again:?}");
            assert_eq!(again.lost, report.lost, "{what}");
            let locked = Locked::read(lab.store.clone(), lab.environment.clone(), &SilentMonitor).unwrap();
            let options = crate::engine::RepairOptions { dry_run: false, threads: 1 };
            let keyless = repair_without_key(&locked, &options, &SilentMonitor).unwrap();
            // Without shards nothing that can be read without a key names the pack.
            let is_forgotten = scene.stored.present().all(|(_, id)| erased.contains(&names::shard(id)));
            assert_eq!(keyless.is_lossy(), !is_forgotten, "{what}");
            // The packs are put back, say from a second copy: everything is whole again.
            for name in &erased {
                if store.head(name).unwrap().is_none() {
                    store.put(name, &scene.whole[name], Durability::Durable).unwrap();
                }
            }
            run_repair(&lab).unwrap();
            assert!(lab.restore_latest().unwrap()[ITEM] == scene.content, "{what}");
        }
    }
}

/// How many more blocks of each row may be bad.
struct Budget(Vec<usize>);

impl Budget {
    /// Takes one from each of these rows, or nothing.
    fn take(&mut self, rows: Range<usize>) -> bool {
        let is_left = self.0[rows.clone()].iter().all(|left| *left > 0);
        if is_left {
            self.0[rows].iter_mut().for_each(|left| *left -= 1);
        }
        is_left
    }
}

/// Damages some bytes of one block, in one of several ways, and does change them.
fn spoil(dice: &mut Dice, block: &mut [u8]) {
    let before = block.to_vec();
    let at = dice.below(block.len());
    match dice.below(3) {
        0 => block[at] ^= 1 << dice.below(8),
        1 => {
            let start = at - at % 512;
            let end = (start + 512).min(block.len());
            block[start..end].fill(0);
        }
        _ => block[at..].iter_mut().for_each(|byte| *byte = byte.wrapping_add(77)),
    }
    if *block == *before {
        block[at] ^= 0x80;
    }
}

/// Damages a pack or a shard within the budget of rows; `start` is where its rows begin, `rows` how many it has.
/// Returns whether it did.
fn strike(dice: &mut Dice, bytes: &mut Vec<u8>, (start, rows): (usize, usize), budget: &mut Budget) -> bool {
    if dice.one_in(4) {
        let cut = start + (rows - 1 - dice.below(rows.min(2))) * BLOCK_LEN + dice.below(100);
        let first = (cut - start) / BLOCK_LEN;
        if cut < bytes.len() && budget.take(first..rows) {
            bytes.truncate(cut);
            return true;
        }
    }
    let mut order: Vec<usize> = (0..rows).collect();
    dice.shuffle(&mut order);
    let Some(row) = order.into_iter().find(|row| budget.take(*row..row + 1)) else { return false };
    let from = start + row * BLOCK_LEN;
    let to = (from + BLOCK_LEN).min(bytes.len());
    spoil(dice, &mut bytes[from..to]);
    true
}

/// Random damage in every pack, and as much in shards as the rows still allow.
fn damage_all(scene: &Scene, store: &MemoryStore, dice: &mut Dice) -> usize {
    let group = &scene.stored.group;
    let mut budget = Budget(vec![group.shards.into(); group.rows as usize]);
    let mut members = group.members.clone();
    dice.shuffle(&mut members);
    let mut struck = 0;
    for member in &members {
        let mut is_struck = false;
        assert!(store.corrupt(&names::pack(member.pack), |bytes| {
            is_struck = strike(dice, bytes, (0, member.blocks() as usize), &mut budget);
        }));
        assert!(is_struck, "every pack is damaged");
        struck += 1;
    }
    // One shard keeps a front and its records, so that the checksums are known.
    let keeper = dice.below(group.shards.into());
    let layout = scene.stored.layout();
    let rows = (layout.row(0) as usize, group.rows as usize);
    for (number, id) in scene.stored.present() {
        assert!(store.corrupt(&names::shard(id), |bytes| {
            let behind = layout.row(group.rows) as usize;
            if !dice.one_in(3) {
                struck += usize::from(strike(dice, bytes, rows, &mut budget));
            }
            let (first, end) =
                if usize::from(number) == keeper { (behind, bytes.len()) } else { (0, rows.0) };
            if dice.one_in(2) && end <= bytes.len() && first < end {
                bytes[first + dice.below(end - first)] ^= 2;
            }
        }));
    }
    struck
}

#[test]
fn random_damage_in_every_pack_is_mended_while_no_row_has_more_bad_blocks_than_shards() {
    let mut dice = Dice::new(11);
    for (encrypted, level, pack_kib) in
        [(false, (8, 2), 256), (true, (8, 3), 192), (false, (20, 1), 1024), (true, (5, 1), 256)]
    {
        let scene = Scene::new(encrypted, level, pack_kib, 400 + u64::from(level.0));
        let rounds = if is_long() { 500 } else { 10 };
        for round in 0..rounds {
            let what = format!("{level:?}, encrypted: {encrypted}, round {round}");
            let (lab, store) = scene.fork();
            let struck = damage_all(&scene, &store, &mut dice);
            if round % 4 == 0 {
                assert!(lab.restore_latest().unwrap()[ITEM] == scene.content, "{what}");
            }
            let report = run_repair(&lab).unwrap();
            assert!(!report.is_lossy(), "{what}: {struck} files struck: {report:?}");
            assert_eq!(difference(&scene.whole, &bytes_of(&store)), None, "{what}");
        }
    }
}

#[test]
fn a_shard_that_no_longer_says_what_it_is_still_gives_its_good_rows() {
    let scene = Scene::new(true, (8, 2), 256, 501);
    let (lab, store) = scene.fork();
    let layout = scene.stored.layout();
    let (_, shard) = scene.stored.present().next().unwrap();
    // Cut within its last row, and a flipped bit in its front: both copies of what it says are gone.
    assert!(store.corrupt(&names::shard(shard), |bytes| {
        bytes.truncate(layout.row(scene.stored.group.rows - 1) as usize + 50);
        bytes[100] ^= 1;
    }));
    // Two packs in one row need both shards.
    for pack in &scene.packs()[..2] {
        assert!(store.corrupt(&names::pack(*pack), |bytes| bytes[BLOCK_LEN + 7] ^= 4));
    }
    assert!(lab.restore_latest().unwrap()[ITEM] == scene.content);
    let report = run_repair(&lab).unwrap();
    assert!(!report.is_lossy(), "{report:?}");
    assert_eq!(difference(&scene.whole, &bytes_of(&store)), None);
}

#[test]
fn one_bad_block_too_many_in_a_row_loses_only_what_is_in_such_rows() {
    let scene = Scene::new(false, (8, 2), 256, 500);
    let (lab, store) = scene.fork();
    // Three packs in row 1: lost. One pack in row 2: mended by whoever reads.
    let members = &scene.stored.group.members;
    let hit: Vec<(PackId, usize)> =
        members[..3].iter().map(|member| (member.pack, 1)).chain([(members[0].pack, 2)]).collect();
    for (pack, row) in &hit {
        assert!(store.corrupt(&names::pack(*pack), |bytes| bytes[row * BLOCK_LEN + 9] ^= 1));
    }
    let before: BTreeMap<_, _> =
        bytes_of(&store).into_iter().filter(|(name, _)| name.as_str().ends_with(".pack")).collect();
    let report = run_repair(&lab).unwrap();
    assert!(report.is_lossy());
    let lost: u64 = report.lost.iter().map(|lost| lost.to - lost.from).sum();
    // A flipped bit costs its chunk, in each of the three packs.
    assert!(lost > 0 && lost <= 4 * 16384, "{lost}");
    let found = bytes_of(&store);
    assert!(before.iter().all(|(name, bytes)| found.get(name) == Some(bytes)));
    let mut intact = scene.content.clone();
    for lost in &report.lost {
        intact[lost.from as usize..lost.to as usize].fill(0);
    }
    assert_ne!(intact, scene.content);
}
