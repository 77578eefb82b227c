//! Index segments.

use containerarchive::base::PackId;
use containerarchive::format::pages::{PIECE_LEN, seal_pages};
use containerarchive::format::prefix::{Class, ObjectKind};
use containerarchive::format::segment::{Entry, SegmentPack, encode};

use crate::case::Cases;
use crate::lab::Side;

/// Content of a segment of two packs and this many entries.
fn content(entries: u32) -> Vec<u8> {
    let packs = [1u8, 2].map(|id| SegmentPack {
        id: PackId([id; 32]),
        len: 5000,
        records: entries.max(3),
        class: Class::Data,
    });
    let entries: Vec<Entry> = (0..entries)
        .map(|i| Entry { key: (u64::from(i) << 8 | 1).swap_bytes().to_le_bytes(), pack: i % 2, slot: i })
        .collect();
    encode(&packs, &entries).unwrap()
}

fn seal(side: &Side, content: &[u8], flip: u8) -> Vec<u8> {
    let prefix = side.prefix(ObjectKind::Segment, Class::None);
    let secrets = side.domain().segment_secrets(&prefix).unwrap();
    let mut bytes = prefix.encode().to_vec();
    bytes.extend(secrets.commitment.0);
    bytes[96] ^= flip;
    seal_pages(&secrets.key, &[content], &mut bytes).unwrap();
    bytes
}

pub(crate) fn cases(cases: &mut Cases) {
    let side = Side::encrypted();
    let good = content(3);
    let made = |content: &[u8]| seal(&side, content, 0);
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        made(&bad)
    };
    // Pages: head, entries, packs, fences, filters.
    let [entries, fences, filters] = [1, 3, 4].map(|page| page * PIECE_LEN);
    let rule = "R-SEGMENT-1";
    cases.accept(rule, "three-entries.segment", made(&good));
    cases.accept(rule, "no-entries.segment", made(&content(0)));
    cases.accept(rule, "plain.segment", seal(&Side::plain(), &content(0), 0));
    // Two packs and no entries are two pages only.
    let bare = content(0);
    let bare_with = |at: usize, bytes: &[u8]| {
        let mut bad = bare.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        made(&bad)
    };
    cases.reject(rule, "more-entries-than-pages.segment", bare_with(0, &[1]));
    cases.reject(rule, "more-packs-than-pages.segment", bare_with(8, &[86]));
    cases.reject(rule, "entries-from-page-0.segment", bare_with(12, &[0]));
    cases.reject(rule, "packs-from-page-2.segment", bare_with(16, &[2]));
    cases.reject(rule, "fences-from-page-3.segment", bare_with(20, &[3]));
    cases.reject(rule, "filters-from-page-3.segment", bare_with(24, &[3]));
    cases.reject(rule, "page-number.segment", bare_with(28, &[3]));
    cases.reject(rule, "rest-of-head.segment", bare_with(32, &[1]));
    cases.reject(rule, "page-too-many.segment", made(&[bare.clone(), vec![0; PIECE_LEN]].concat()));
    cases.reject(rule, "filling-of-packs.segment", bare_with(2 * PIECE_LEN - 1, &[1]));
    let rule = "R-SEGMENT-2";
    cases.accept(rule, "two-entry-pages.segment", made(&content(256)));
    let mut swapped = good.clone();
    swapped[entries + 16..entries + 48].rotate_left(16);
    cases.reject(rule, "entries-swapped.segment", made(&swapped));
    cases.reject(rule, "ordinal-2-of-2.segment", with(entries + 40, &[2]));
    cases.reject(rule, "slot-3-of-3.segment", with(entries + 44, &[3]));
    let packs = PIECE_LEN;
    let mut swapped = bare.clone();
    swapped[packs..packs + 96].rotate_left(48);
    cases.reject(rule, "packs-swapped.segment", made(&swapped));
    cases.reject(rule, "pack-twice.segment", bare_with(packs + 48, &[1; 32]));
    cases.reject(rule, "pack-of-class-0.segment", bare_with(packs + 44, &[0]));
    cases.reject(rule, "pack-zeros.segment", bare_with(packs + 45, &[1]));
    let rule = "R-SEGMENT-3";
    cases.accept(rule, "fence-is-entry.segment", made(&good));
    cases.reject(rule, "fence-below-entry.segment", with(fences, &[0; 8]));
    cases.reject(rule, "fence-above-entry.segment", with(fences + 7, &[2]));
    let rule = "R-SEGMENT-4";
    let field = |at: usize| u32::from_le_bytes(good[filters + at..filters + at + 4].try_into().unwrap());
    let (length, count_length, count) = (field(8), field(12), field(16));
    cases.accept(rule, "filter.segment", made(&good));
    cases.accept(rule, "no-filter.segment", {
        let mut none = good.clone();
        none[filters..filters + PIECE_LEN].fill(0);
        made(&none)
    });
    let numbers = |numbers: [u32; 3]| with(filters + 8, &numbers.map(u32::to_le_bytes).concat());
    cases.reject(rule, "length-no-power-of-two.segment", numbers([3, 3, 9]));
    cases.reject(rule, "count-length-no-multiple.segment", numbers([length, count_length + 1, count + 1]));
    cases.reject(rule, "count-length-0.segment", numbers([length, 0, 2 * length]));
    cases.reject(rule, "other-count.segment", numbers([length, count_length, count + 8]));
    cases.reject(rule, "length-without-count.segment", numbers([length, 0, 0]));
    cases.reject("R-SEAL-1", "commitment.segment", seal(&side, &bare, 1));
    cases.reject("R-PAGES-1", "byte-missing.segment", {
        let file = made(&bare);
        file[..file.len() - 1].to_vec()
    });
}
