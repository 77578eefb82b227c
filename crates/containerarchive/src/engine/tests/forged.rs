//! Shards are not secret and nothing but their names protects them: whoever may write into the store can forge them. A
//! forged one changes no pack, and no byte that a restore gives.

use std::sync::Arc;

use super::scenes::{Dice, ITEM, Scene, bytes_of, difference, is_long, run_repair};
use super::support::{Lab, noise};
use crate::base::{GroupId, ObjectName, PackId, ShardId};
use crate::crypto::{BLOCK_LEN, BlockSum, blake3_256, block_sum};
use crate::engine::RepairKind;
use crate::error::{Error, ErrorCode};
use crate::format::names;
use crate::format::shard::{Group, Member, RowSums};
use crate::parity::add_block;
use crate::repo::{Groups, RepoError, merge_small_groups, rebuild_pack};
use crate::store::{Durability, MemoryStore, Store};

/// All shards of a group whose members have these bytes, each consistent in itself.
fn forge(group: &Group, members: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let numbers: Vec<u8> = (0..group.shards).collect();
    let mut rows = vec![vec![0; group.rows as usize * BLOCK_LEN]; numbers.len()];
    for (member, bytes) in group.members.iter().zip(members) {
        let start = member.first_row as usize * BLOCK_LEN;
        let mut tails: Vec<&mut [u8]> = rows.iter_mut().map(|rows| &mut rows[start..]).collect();
        add_block(member.column, bytes, &numbers, &mut tails);
    }
    seal(group, members, &rows)
}

/// Puts fronts and matching checksums around any rows.
fn seal(group: &Group, members: &[Vec<u8>], rows: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let block = |bytes: &[u8], number: u32| -> Vec<u8> {
        bytes.chunks(BLOCK_LEN).nth(number as usize).unwrap_or_default().to_vec()
    };
    let mut records = Vec::new();
    for row in 0..group.rows {
        let of_member = |(member, bytes): (&Member, &Vec<u8>)| {
            member.block_in(row).map(|(number, _)| block_sum(number, &block(bytes, number)))
        };
        let sums = RowSums {
            members: group.members.iter().zip(members).map(of_member).collect(),
            shards: rows.iter().map(|rows| block_sum(row, &block(rows, row))).collect::<Vec<BlockSum>>(),
        };
        group.encode_record(row, &sums, &mut records);
    }
    let file = |(number, rows): (usize, &Vec<u8>)| {
        let front = group.encode_front(number as u8);
        [&front, &records, rows, &records, &front, &group.encode_trailer().to_vec()]
            .map(Vec::as_slice)
            .concat()
    };
    rows.iter().enumerate().map(file).collect()
}

fn put(store: &MemoryStore, shards: &[Vec<u8>]) {
    for bytes in shards {
        let name = names::shard(ShardId(blake3_256(bytes)));
        store.put(&name, bytes, Durability::Durable).unwrap();
    }
}

/// The bytes of a group's packs.
fn packs_of(scene: &Scene, group: &Group) -> Vec<Vec<u8>> {
    group.members.iter().map(|member| scene.whole[&names::pack(member.pack)].clone()).collect()
}

fn with_rows(mut group: Group) -> Group {
    group.rows = group.members.iter().map(|member| member.first_row + member.blocks()).max().unwrap();
    group
}

/// Shards that lie, by what they say.
fn forgeries(scene: &Scene) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let group = &scene.stored.group;
    let right = packs_of(scene, group);
    let wrong: Vec<Vec<u8>> =
        (0..).zip(&right).map(|(seed, bytes)| noise(9000 + seed, bytes.len())).collect();
    let random_rows: Vec<Vec<u8>> = (0..group.shards)
        .map(|number| noise(9100 + u64::from(number), group.rows as usize * BLOCK_LEN))
        .collect();
    let other_id = || Group { id: GroupId([0x11; 32]), ..group.clone() };
    let resized = |by: i64, id: GroupId| {
        let members = group.members.iter().map(|member| {
            let len = (member.len as i64 + by) as u64;
            Member { len, ..*member }
        });
        with_rows(Group { id, members: members.collect(), ..group.clone() })
    };
    let fitted = |group: &Group| {
        let fit = |(member, bytes): (&Member, &Vec<u8>)| {
            let mut bytes = bytes.clone();
            bytes.resize(member.len as usize, 0x5a);
            bytes
        };
        group.members.iter().zip(&right).map(fit).collect::<Vec<_>>()
    };
    let (longer, shorter) = (resized(100_000, group.id), resized(-40_000, GroupId([0x12; 32])));
    let mut shifted = other_id();
    shifted.members.iter_mut().for_each(|member| member.first_row = 3);
    let shifted = with_rows(shifted);
    let stranger = Member { pack: PackId([0x77; 32]), ..group.members[0] };
    let mut members = group.members.clone();
    members[0] = stranger;
    let absent = Group { members, ..group.clone() };
    let alone = with_rows(Group { members: vec![group.members[0]], ..group.clone() });
    vec![
        ("the same group with random rows", seal(group, &right, &random_rows)),
        ("the same group, of wrong packs", forge(group, &wrong)),
        ("another group of the same packs, of wrong ones", forge(&other_id(), &wrong)),
        ("another group of the same packs, with random rows", seal(&other_id(), &right, &random_rows)),
        ("the same id with longer members", forge(&longer, &fitted(&longer))),
        ("another id with shorter members", forge(&shorter, &fitted(&shorter))),
        ("members that start elsewhere", forge(&shifted, &right)),
        ("the same id with a pack that nobody has", forge(&absent, &wrong)),
        ("the same id with one pack only", forge(&alone, &wrong[..1])),
    ]
}

type Damage = fn(&Scene, &MemoryStore);

const DAMAGES: [(&str, Damage); 4] = [
    ("none", |_, _| {}),
    ("a flipped bit in two packs", |scene, store| {
        for pack in &scene.packs()[..2] {
            assert!(store.corrupt(&names::pack(*pack), |bytes| bytes[BLOCK_LEN + 100] ^= 1));
        }
    }),
    ("two packs deleted", |scene, store| {
        scene.packs()[..2].iter().for_each(|pack| assert!(store.remove(&names::pack(*pack))));
    }),
    ("a flipped bit in every pack", |scene, store| {
        for (row, pack) in scene.packs().iter().enumerate() {
            assert!(store.corrupt(&names::pack(*pack), |bytes| bytes[row / 2 * BLOCK_LEN + 100] ^= 1));
        }
    }),
];

/// The right bytes, or an error that says damage.
fn restore_or_refuse(scene: &Scene, lab: &Lab, what: &str) -> bool {
    match lab.restore_latest() {
        Ok(items) => {
            assert!(items[ITEM] == scene.content, "{what}: wrong bytes");
            true
        }
        Err(error) => {
            assert!(matches!(error.code(), ErrorCode::Damaged | ErrorCode::Mendable), "{what}: {error}");
            false
        }
    }
}

/// Packs are as they should be, or as they were.
fn assert_no_pack_is_wrong(scene: &Scene, before: &MemoryStore, after: &MemoryStore, what: &str) {
    let before = bytes_of(before);
    for (name, bytes) in bytes_of(after).iter().filter(|(name, _)| name.as_str().ends_with(".pack")) {
        let (right, was) = (scene.whole.get(name), before.get(name));
        assert!(right == Some(bytes) || was == Some(bytes), "{what}: {name} was changed");
        assert!(was != right || right == Some(bytes), "{what}: {name} was healthy");
    }
    let is_gone =
        |name: &&ObjectName| name.as_str().ends_with(".pack") && after.head(name).unwrap().is_none();
    assert_eq!(before.keys().find(is_gone), None, "{what}");
}

#[test]
fn forged_shards_change_no_pack_and_no_restored_byte() {
    for encrypted in [true, false] {
        let scene = Scene::new(encrypted, (4, 2), 96, 700);
        for (forgery, shards) in forgeries(&scene) {
            for (damage, apply) in DAMAGES {
                for has_real in [true, false] {
                    let what =
                        format!("{forgery}; {damage}; real shards: {has_real}, encrypted: {encrypted}");
                    let (lab, store) = scene.fork();
                    if !has_real {
                        let real: Vec<_> = scene.stored.present().collect();
                        real.into_iter().for_each(|(_, id)| assert!(store.remove(&names::shard(id))));
                    }
                    put(&store, &shards);
                    apply(&scene, &store);
                    let before = store.fork();
                    let is_restored = restore_or_refuse(&scene, &lab, &what);
                    assert!(is_restored || damage != "none", "{what}");
                    let report = run_repair(&lab).unwrap();
                    assert_no_pack_is_wrong(&scene, &before, &store, &what);
                    let is_whole = restore_or_refuse(&scene, &lab, &what);
                    assert!(is_whole || !report.lost.is_empty(), "{what}: {report:?}");
                    // Neither do shards stand in their way that pass for the real ones, number by number.
                    if has_real {
                        assert!(is_restored && is_whole, "{what}: {report:?}");
                        let real: Vec<_> = scene.stored.present().map(|(_, id)| names::shard(id)).collect();
                        let missing = real.iter().find(|name| store.head(name).unwrap().is_none());
                        assert_eq!(missing, None, "{what}");
                    }
                }
            }
        }
    }
}

/// Of two shards, one is lost, and a forged one took its place or came beside the other.
#[test]
fn a_forged_shard_does_not_speak_for_the_real_ones_that_are_left() {
    for encrypted in [true, false] {
        let scene = Scene::new(encrypted, (4, 2), 96, 704);
        let group = &scene.stored.group;
        let wrong: Vec<Vec<u8>> =
            group.members.iter().map(|member| noise(9200, member.len as usize)).collect();
        let forged = forge(group, &wrong);
        for lost in 0..2 {
            for forged in [&forged[..1], &forged[1..], &forged] {
                let what = format!("shard {lost} lost, {} forged, encrypted: {encrypted}", forged.len());
                let (lab, store) = scene.fork();
                assert!(store.remove(&names::shard(scene.stored.shards[lost].unwrap())), "{what}");
                put(&store, forged);
                assert!(store.corrupt(&names::pack(scene.packs()[2]), |bytes| bytes[BLOCK_LEN + 9] ^= 1));
                assert!(restore_or_refuse(&scene, &lab, &what), "{what}");
                let report = run_repair(&lab).unwrap();
                assert!(!report.is_lossy() && report.count(RepairKind::Pack) == 1, "{what}: {report:?}");
                let whole = bytes_of(&store);
                let packs = scene.packs().into_iter().map(names::pack);
                packs.for_each(|pack| assert!(whole[&pack] == scene.whole[&pack], "{what}: {pack}"));
            }
        }
    }
}

#[test]
fn of_shards_that_claim_one_place_a_repair_leaves_the_right_one() {
    let scene = Scene::new(true, (4, 2), 96, 705);
    let (lab, store) = scene.fork();
    let group = &scene.stored.group;
    for seed in 0..3 {
        let wrong: Vec<Vec<u8>> =
            group.members.iter().map(|member| noise(9300 + seed, member.len as usize)).collect();
        put(&store, &forge(group, &wrong));
    }
    let report = run_repair(&lab).unwrap();
    assert!(report.found_damage() && !report.is_lossy(), "{report:?}");
    assert_eq!(difference(&scene.whole, &bytes_of(&store)), None);
    assert_eq!(difference(&bytes_of(&store), &scene.whole), None);
    assert!(run_repair(&lab).unwrap().steps.is_empty());
}

#[test]
fn a_length_that_a_front_claims_takes_no_memory_beyond_what_the_files_have() {
    let scene = Scene::new(true, (4, 2), 64, 706);
    let (lab, store) = scene.fork();
    let member = Member { len: crate::base::limits::MAX_PACK_BYTES, ..scene.stored.group.members[0] };
    let group =
        with_rows(Group { id: GroupId([0; 32]), members: vec![member], ..scene.stored.group.clone() });
    let front = group.encode_front(0);
    put(&store, &[[front.as_slice(), &front, &group.encode_trailer()].concat()]);
    let repository = lab.open().unwrap();
    let groups = Groups::load(repository.parity_store()).unwrap();
    let stored = groups.of_pack(&member.pack).find(|stored| stored.group.id == group.id).unwrap();
    let rebuilt = rebuild_pack(repository.parity_store(), stored, member.pack).unwrap().unwrap();
    let at_hand = scene.whole[&names::pack(member.pack)].len().next_multiple_of(BLOCK_LEN);
    assert_eq!((rebuilt.bytes.len(), rebuilt.is_whole), (at_hand, false));
    assert_eq!(rebuilt.lost_blocks.len(), member.blocks() as usize);
}

#[test]
fn fronts_beyond_the_limits_are_set_aside_and_nothing_else_is_touched() {
    let scene = Scene::new(true, (4, 2), 64, 701);
    let group = &scene.stored.group;
    let member = group.members[0];
    let huge = [
        Group { rows: u32::MAX, ..group.clone() },
        Group { rows: 0, ..group.clone() },
        Group { rows: u32::MAX, members: vec![Member { len: u64::MAX, ..member }], ..group.clone() },
        Group { members: vec![Member { first_row: u32::MAX, ..member }], ..group.clone() },
        Group { members: vec![Member { len: 0, ..member }], ..group.clone() },
        Group { members: vec![Member { column: 255, ..member }], ..group.clone() },
        Group { members: vec![member; 2], ..group.clone() },
        Group { members: vec![member; 60_000], ..group.clone() },
        Group { members: Vec::new(), ..group.clone() },
        Group { shards: 255, ..group.clone() },
        Group { shards: 0, ..group.clone() },
    ];
    let (lab, store) = scene.fork();
    for group in &huge {
        let front = group.encode_front(0);
        put(&store, &[[front.as_slice(), &front, &group.encode_trailer()].concat()]);
    }
    put(&store, &[Vec::new(), vec![0; 7], noise(1, 5000)]);
    let groups = Groups::load(lab.open().unwrap().parity_store()).unwrap();
    assert_eq!(groups.unreadable.len(), huge.len() + 3);
    assert!(restore_or_refuse(&scene, &lab, "huge"));
    assert!(!run_repair(&lab).unwrap().is_lossy());
    assert_eq!(difference(&scene.whole, &bytes_of(&store)), None);
}

#[test]
fn a_group_as_large_as_the_limits_allow_takes_no_time_where_its_shards_have_nothing() {
    let scene = Scene::new(true, (4, 2), 64, 702);
    let (lab, store) = scene.fork();
    // As long as a pack may be; with more members only in the long form, for each is a pack of 1 GiB.
    let len = if is_long() { crate::base::limits::MAX_PACK_BYTES } else { 32 << 20 };
    let members = scene.stored.group.members.iter().map(|member| Member { len, ..*member }).collect();
    let group = with_rows(Group { id: GroupId([0; 32]), members, ..scene.stored.group.clone() });
    let front = group.encode_front(0);
    put(&store, &[[front.as_slice(), &front, &group.encode_trailer()].concat()]);
    for pack in &scene.packs()[..2] {
        assert!(store.corrupt(&names::pack(*pack), |bytes| bytes[100] ^= 1));
    }
    assert!(restore_or_refuse(&scene, &lab, "large"));
    let report = run_repair(&lab).unwrap();
    assert!(!report.is_lossy(), "{report:?}");
}

#[test]
fn merging_with_forged_groups_leaves_real_packs_protected() {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(store.clone(), true, 703);
    lab.parity = crate::format::parity_level::Parity::Groups { members: 40, shards: 2 };
    lab.create().unwrap();
    let contents: Vec<Vec<u8>> = (0..14).map(|number| noise(800 + number, 30_000)).collect();
    for content in &contents {
        lab.ingest(&[(ITEM, content)]).unwrap();
    }
    let repository = lab.open().unwrap();
    let groups = Groups::load(repository.parity_store()).unwrap();
    let mut dice = Dice::new(31);
    for (number, stored) in groups.all().iter().enumerate() {
        let group = &stored.group;
        let wrong: Vec<Vec<u8>> =
            group.members.iter().map(|member| noise(number as u64, member.len as usize)).collect();
        match dice.below(3) {
            0 => put(&store, &forge(group, &wrong)),
            1 => put(&store, &forge(&Group { id: GroupId([number as u8; 32]), ..group.clone() }, &wrong)),
            _ => {}
        }
    }
    merge_small_groups(&repository, crate::base::DomainId::MAIN).unwrap();
    let packs: Vec<ObjectName> =
        store.names().into_iter().filter(|name| name.as_str().ends_with(".pack")).collect();
    let whole = bytes_of(&store);
    for pack in packs {
        let copy = Arc::new(store.fork());
        assert!(copy.remove(&pack));
        let lab = lab.on(copy.clone());
        // Right or refused; and a repair writes only what has its name.
        if let Err(found) = lab.restore_latest() {
            let is_damage =
                matches!(found, Error::Repo(RepoError::Damaged { .. } | RepoError::Missing { .. }));
            assert!(is_damage || found.code() == ErrorCode::Damaged, "{found}");
        }
        run_repair(&lab).unwrap();
        let bytes = bytes_of(&copy);
        assert!(bytes.get(&pack).is_none_or(|bytes| *bytes == whole[&pack]), "{pack}");
    }
}
