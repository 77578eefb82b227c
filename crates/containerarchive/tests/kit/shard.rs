//! Parity shards: their fronts, ends and records, and one whole.

use containerarchive::base::{DomainId, GroupId, PackId};
use containerarchive::crypto::{BLOCK_LEN, BlockSum};
use containerarchive::format::names;
use containerarchive::format::prefix::Class;
use containerarchive::format::shard::{Group, Member, RowSums};
use containerarchive::repo::protect_packs;
use containerarchive::store::Durability;

use crate::case::Cases;
use crate::lab::{SALT, SESSION, Side};
use crate::read::repository_in_memory;

/// The row that the cases of records are about: the first member has no block in it.
pub(crate) const ROW: u32 = 1;
const DIGEST_LEN: usize = 32;

/// Three packs of one, two and one blocks, the last one from the second row on; two shards.
pub(crate) fn base(side: &Side) -> Group {
    let block = BLOCK_LEN as u64;
    let member = |id, len, first_row, column| Member { pack: PackId([id; 32]), len, first_row, column };
    Group {
        id: GroupId(SALT),
        class: Class::Data,
        domain: DomainId::MAIN,
        session: SESSION,
        suite: side.suite,
        repository: side.repository,
        shards: 2,
        rows: 2,
        members: vec![member(3, block, 0, 0), member(1, block + 1, 0, 100), member(2, 9000, 1, 239)],
    }
}

/// A front with some bytes written over, and its digest made anew.
fn front_with(front: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut front = front.to_vec();
    front[at..at + bytes.len()].copy_from_slice(bytes);
    let body = front.len() - DIGEST_LEN;
    let digest = blake3::hash(&front[..body]);
    front[body..].copy_from_slice(digest.as_bytes());
    front
}

pub(crate) fn cases(cases: &mut Cases) {
    let side = Side::encrypted();
    prefixes(&side, cases);
    fronts(&side, cases);
    limits(&side, cases);
    order(&side, cases);
    records(&side, cases);
    whole(&side, cases);
}

fn prefixes(side: &Side, cases: &mut Cases) {
    let good = base(side).encode_front(0);
    let rule = "R-PREFIX-1";
    cases.accept(rule, "shard-of-class-1.front", good.clone());
    cases.accept(rule, "shard-of-class-2.front", front_with(&good, 14, &[2]));
    for (case, at, bytes) in [
        ("shard-of-class-0", 14, [0]),
        ("shard-of-class-3", 14, [3]),
        ("shard-kind-of-pack", 10, [1]),
        ("shard-of-other-repository", 16, [1]),
    ] {
        cases.reject(rule, &format!("{case}.front"), front_with(&good, at, &bytes));
    }
    let plain = base(&Side::plain()).encode_front(0);
    cases.accept("R-PREFIX-2", "plain-shard.front", plain.clone());
    cases.reject("R-PREFIX-2", "plain-shard-of-other-domain.front", front_with(&plain, 32, &[1]));
}

fn fronts(side: &Side, cases: &mut Cases) {
    let rule = "R-SHARD-1";
    let group = base(side);
    let good = group.encode_front(1);
    cases.accept(rule, "three-members.front", good.clone());
    cases.accept(rule, "plain-three-members.front", base(&Side::plain()).encode_front(0));
    let count = |count: u8| {
        let member = |at| Member { pack: PackId([at; 32]), len: 1, first_row: 0, column: at };
        Group { members: (0..count).map(member).collect(), rows: 1, ..group.clone() }
    };
    cases.accept(rule, "200-members.front", count(200).encode_front(0));
    cases.reject(rule, "201-members.front", count(201).encode_front(0));
    cases.reject(rule, "no-member.front", count(0).encode_front(0));
    cases.reject(rule, "cut-short.front", good[..good.len() - 1].to_vec());
    cases.reject(rule, "only-prefix.front", good[..96].to_vec());
    let mut damaged = good.clone();
    damaged[112] ^= 1;
    cases.reject(rule, "member-damaged.front", damaged);
    let mut damaged = good;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    cases.reject(rule, "digest-damaged.front", damaged);
    let end = |len: u32, magic: &[u8; 4]| [len.to_le_bytes().as_slice(), magic].concat();
    cases.accept(rule, "three-members.end", group.encode_trailer().to_vec());
    cases.accept(rule, "200-members.end", end(144 + 48 * 200, b"PRTY"));
    cases.reject(rule, "no-member.end", end(144, b"PRTY"));
    cases.reject(rule, "201-members.end", end(144 + 48 * 201, b"PRTY"));
    cases.reject(rule, "no-multiple.end", end(144 + 49, b"PRTY"));
    cases.reject(rule, "other-magic.end", end(144 + 48, b"CTBL"));
}

fn limits(side: &Side, cases: &mut Cases) {
    let rule = "R-SHARD-2";
    let group = base(side);
    let good = group.encode_front(0);
    let with = |at: usize, bytes: &[u8]| front_with(&good, at, bytes);
    let one = |len, first_row, rows| {
        let members = vec![Member { len, first_row, ..group.members[0] }];
        Group { members, rows, ..group.clone() }.encode_front(0)
    };
    let (block, most) = (BLOCK_LEN as u64, 32_768);
    cases.accept(rule, "shard-15-of-16.front", with(96, &[15, 16]));
    cases.accept(rule, "one-byte.front", one(1, 0, 1));
    cases.accept(rule, "1-gib.front", one(1 << 30, 0, most));
    cases.accept(rule, "last-row.front", one(block, most - 1, most));
    for (case, bytes) in [
        ("no-shards", with(96, &[0, 0])),
        ("17-shards", with(96, &[0, 17])),
        ("shard-2-of-2", with(96, &[2, 2])),
        ("zeros", with(104, &[1])),
        ("zeros-end", with(111, &[1])),
        ("zeros-of-member", with(112 + 47, &[1])),
        ("empty-pack", one(0, 0, 0)),
        ("empty-pack-from-row-1", one(0, 1, 1)),
        ("above-1-gib", one((1 << 30) + 1, 0, most + 1)),
        ("length-of-64-bits", one(u64::MAX, 0, 0)),
        ("blocks-above-32-bits", one((1 << 47) + 1, 0, 1)),
        ("behind-last-row", one(block + 1, most - 1, most + 1)),
        ("first-row-of-32-bits", one(1, u32::MAX, 0)),
        ("row-missing", with(100, &[1])),
        ("row-too-many", with(100, &[3])),
    ] {
        cases.reject(rule, &format!("{case}.front"), bytes);
    }
}

fn order(side: &Side, cases: &mut Cases) {
    let rule = "R-SHARD-3";
    let good = base(side);
    cases.accept(rule, "columns-0-100-239.front", good.encode_front(0));
    let with = |change: fn(&mut Vec<Member>)| {
        let mut group = good.clone();
        change(&mut group.members);
        group.encode_front(0)
    };
    cases.reject(rule, "columns-not-in-order.front", with(|members| members.swap(0, 1)));
    cases.reject(rule, "column-twice.front", with(|members| members[0].column = 100));
    cases.reject(rule, "column-240.front", with(|members| members[2].column = 240));
    cases.reject(rule, "pack-twice.front", with(|members| members[2].pack = members[0].pack));
}

fn records(side: &Side, cases: &mut Cases) {
    let rule = "R-SHARD-4";
    let group = base(side);
    let sums = RowSums {
        members: vec![None, Some(BlockSum([0xb1; 16])), Some(BlockSum([0xb2; 16]))],
        shards: vec![BlockSum([0xa0; 16]), BlockSum([0xa1; 16])],
    };
    let record = |group: &Group, row: u32, sums: &RowSums| {
        let mut bytes = Vec::new();
        group.encode_record(row, sums, &mut bytes);
        bytes
    };
    let good = record(&group, ROW, &sums);
    cases.accept(rule, "second-row.record", good.clone());
    cases.accept(rule, "plain-second-row.record", good.clone());
    cases.reject(rule, "other-row.record", record(&group, 0, &sums));
    let other = Group { id: GroupId([0x5b; 32]), ..group.clone() };
    cases.reject(rule, "other-group.record", record(&other, ROW, &sums));
    cases.reject(rule, "cut-short.record", good[..good.len() - 1].to_vec());
    cases.reject(rule, "checksum-too-many.record", [good.as_slice(), &[0; 16]].concat());
    let mut damaged = good;
    damaged[16] ^= 1;
    cases.reject(rule, "checksum-damaged.record", damaged);
    let mut of_none = sums;
    of_none.members[0] = Some(BlockSum([1; 16]));
    cases.reject(rule, "checksum-of-no-block.record", record(&group, ROW, &of_none));
}

/// The shard of a group of one pack: that of the cases of pack indexes.
fn whole(side: &Side, cases: &mut Cases) {
    let repository = repository_in_memory(side);
    let bytes = crate::pack::base(side);
    let pack = PackId(*blake3::hash(&bytes).as_bytes());
    repository.store.put(&names::pack(pack), &bytes, Durability::Durable).unwrap();
    let packs = vec![Member { pack, len: bytes.len() as u64, first_row: 0, column: 17 }];
    let place = (Class::Data, DomainId::MAIN, SESSION);
    let written = protect_packs(repository.parity_store(), GroupId(SALT), place, 1, packs).unwrap();
    let name = names::shard(written[0]);
    let shard = repository.store.get(&name, 1 << 20).unwrap();
    cases.accept("R-NAME-1", &format!("shard/{name}"), shard.clone());
    cases.reject("R-NAME-1", &format!("other-name-of-shard/packs/parity/{}.par", PackId([0xab; 32])), shard);
}
