//! Prefixes, seals and pages.

use containerarchive::crypto::{SealKey, Suite};
use containerarchive::format::pages::{PIECE_LEN, seal_blob, seal_pages};
use containerarchive::format::prefix::{Class, ObjectKind};

use crate::case::{Cases, Verdict};
use crate::lab::{BLOB_KEY, Side};

pub(crate) fn cases(cases: &mut Cases) {
    prefixes(cases);
    blobs(cases);
}

fn prefixes(cases: &mut Cases) {
    let side = Side::encrypted();
    let rule = "R-PREFIX-1";
    let good = side.prefix(ObjectKind::Pack, Class::Data).encode().to_vec();
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        bad
    };
    cases.accept(rule, "class-1.prefix", good.clone());
    cases.accept(rule, "class-2.prefix", with(14, &[2]));
    cases.reject_as(rule, "version-2.prefix", with(8, &[2]), Verdict::Version);
    for (case, bytes) in [
        ("line-ends-changed", with(4, b"\n\n")),
        ("version-0", with(8, &[0])),
        ("kind-of-segment", with(10, &[3])),
        ("suite-0", with(12, &[0])),
        ("class-0", with(14, &[0])),
        ("class-3", with(14, &[3])),
        ("offset-15", with(15, &[1])),
        ("other-repository", with(16, &[1])),
        ("cut-short", good[..95].to_vec()),
    ] {
        cases.reject(rule, &format!("{case}.prefix"), bytes);
    }
    let rule = "R-PREFIX-2";
    let mut prefix = Side::plain().prefix(ObjectKind::Pack, Class::Data);
    cases.accept(rule, "plain-main-domain.prefix", prefix.encode().to_vec());
    cases.accept(rule, "other-domain.prefix", with(32, &[1]));
    prefix.domain.0[15] = 1;
    cases.reject(rule, "plain-other-domain.prefix", prefix.encode().to_vec());
}

fn blobs(cases: &mut Cases) {
    let key = |suite| SealKey::new(suite, BLOB_KEY.into()).unwrap();
    let blob = |suite, content: &[u8]| {
        let mut stored = Vec::new();
        seal_blob(&key(suite), content, &mut stored).unwrap();
        stored
    };
    // A blob that states this length, of these bytes.
    let stating = |len: u64, content: &[u8]| {
        let mut stored = Vec::new();
        seal_pages(&key(Suite::X25519), &[&len.to_le_bytes(), content], &mut stored).unwrap();
        stored
    };
    let one = blob(Suite::X25519, b"content");
    let full = blob(Suite::X25519, &[7; PIECE_LEN - 8]);
    let two = blob(Suite::X25519, &[7; PIECE_LEN - 7]);
    cases.accept("R-SEAL-2", "one-page.blob", one.clone());
    cases.accept("R-SEAL-2", "plain-one-page.blob", blob(Suite::Plain, b"content"));
    let flip = |bytes: &[u8], at: usize| {
        let mut bad = bytes.to_vec();
        bad[at] ^= 1;
        bad
    };
    cases.reject("R-SEAL-2", "text.blob", flip(&one, 9));
    cases.reject("R-SEAL-2", "tag.blob", flip(&one, 4095));
    cases.reject("R-SEAL-2", "plain-text.blob", flip(&blob(Suite::Plain, b"content"), 9));
    cases.reject("R-SEAL-2", "pages-swapped.blob", [&two[4096..], &two[..4096]].concat());
    cases.reject("R-SEAL-2", "last-page-missing.blob", two[..4096].to_vec());
    cases.reject("R-SEAL-2", "last-page-twice.blob", [&one[..], &one[..]].concat());
    let rule = "R-PAGES-1";
    cases.accept(rule, "empty-content.blob", blob(Suite::X25519, b""));
    cases.accept(rule, "two-pages.blob", two.clone());
    cases.reject(rule, "no-page.blob", Vec::new());
    cases.reject(rule, "byte-missing.blob", one[..4095].to_vec());
    cases.reject(rule, "byte-behind.blob", [one.clone(), vec![0]].concat());
    let rule = "R-PAGES-2";
    cases.accept(rule, "page-exactly-full.blob", full);
    cases.accept(rule, "byte-on-second-page.blob", two);
    cases.reject(rule, "length-above-pages.blob", stating(PIECE_LEN as u64 - 7, &[7; PIECE_LEN - 8]));
    cases.reject(rule, "length-of-2-64.blob", stating(u64::MAX, b"content"));
    cases.reject(rule, "page-too-many.blob", stating(7, &[0; PIECE_LEN - 7]));
    cases.reject(rule, "no-zeros-behind.blob", stating(6, b"content"));
}
