//! Fences, voids and records.

use serde_json::{Value, json};

use crate::case::Cases;
use crate::lab::{RECORD, SESSION, Side, TIME};
use crate::text::{fence, object};

fn record(side: &Side, kind: &str, members: Value) -> Vec<u8> {
    let mut body = json!({
        "kind": kind, "repository": side.repository, "name": format!("records/{kind}/{RECORD}.json"), "created": TIME,
    });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    object(&body.to_string(), side.signer())
}

pub(crate) fn cases(cases: &mut Cases) {
    let side = Side::encrypted();
    let rule = "R-SESSION-3";
    let mut fence = fence(&side);
    let mut void = fence.clone();
    void["kind"] = json!("void");
    void["name"] = json!(format!("snapshots/{SESSION}.void"));
    cases.accept(rule, "own-session.fence", object(&fence.to_string(), side.signer()));
    cases.accept(rule, "own-session.void", object(&void.to_string(), side.signer()));
    for stop in [&mut fence, &mut void] {
        stop["session"] = json!("00".repeat(16));
    }
    cases.reject(rule, "other-session.fence", object(&fence.to_string(), side.signer()));
    cases.reject(rule, "other-session.void", object(&void.to_string(), side.signer()));
    cases.accept("R-TEXT-3", "signed.retire", record(&side, "retire", json!({"packs": ["ab".repeat(32)]})));
    cases.accept("R-TEXT-3", "signed.forget", record(&side, "forget", json!({"snapshots": [SESSION]})));
    pin(&side, cases);
    settings(&side, cases);
    verified(&side, cases);
}

fn pin(side: &Side, cases: &mut Cases) {
    let rule = "R-RECORD-FILE-4";
    // A pin's record has the id of its snapshot.
    cases.accept(rule, "own-snapshot.pin", record(side, "pin", json!({"snapshot": RECORD.to_string()})));
    cases.reject(rule, "other-snapshot.pin", record(side, "pin", json!({"snapshot": "00".repeat(16)})));
    let also = "R-TEXT-5";
    cases.reject(
        also,
        "several-snapshots.pin",
        record(side, "pin", json!({"snapshot": [RECORD.to_string()]})),
    );
}

fn verified(side: &Side, cases: &mut Cases) {
    let rule = "R-RECORD-FILE-3";
    let with = |changes: Value| {
        let (from, to) = ("00".repeat(8), "ff".repeat(8));
        let mut members = json!({"level": "standard", "from": from, "to": to, "packs": 7, "damaged": 0});
        members.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        record(side, "verified", members)
    };
    cases.accept(rule, "all.verified", with(json!({})));
    cases.accept(rule, "full.verified", with(json!({"level": "full"})));
    let place = "8000000000000000";
    cases.accept(rule, "one-place.verified", with(json!({"from": place, "to": place})));
    let below = "7fffffffffffffff";
    cases.reject(rule, "ends-before-it-begins.verified", with(json!({"from": place, "to": below})));
    let also = "R-TEXT-5";
    cases.reject(also, "unknown-level.verified", with(json!({"level": "quick"})));
    cases.reject(also, "short-place.verified", with(json!({"from": "00"})));
    cases.reject(also, "place-above-64-bits.verified", with(json!({"to": "ff".repeat(9)})));
}

fn settings(side: &Side, cases: &mut Cases) {
    let rule = "R-RECORD-FILE-2";
    let with = |name: &str, value: Value| {
        let mut members =
            json!({"sequence": 1, "compression": "auto", "packSizeBytes": 16_777_216, "parity": "off"});
        members[name] = value;
        record(side, "settings", members)
    };
    for (case, word) in
        [("none", "none"), ("zstd-22", "zstd:22"), ("zstd-minus-7", "zstd:-7"), ("gzip-9", "gzip:9")]
    {
        cases.accept(rule, &format!("{case}.settings"), with("compression", json!(word)));
    }
    cases.accept(rule, "smallest-pack.settings", with("packSizeBytes", json!(65_536)));
    cases.accept(rule, "largest-pack.settings", with("packSizeBytes", json!(268_435_456)));
    for (case, word) in [
        ("zstd-without-level", "zstd"),
        ("zstd-0", "zstd:0"),
        ("zstd-23", "zstd:23"),
        ("zstd-leading-zero", "zstd:03"),
        ("gzip-10", "gzip:10"),
        ("lz4", "lz4"),
    ] {
        cases.reject(rule, &format!("{case}.settings"), with("compression", json!(word)));
    }
    cases.reject(rule, "pack-too-small.settings", with("packSizeBytes", json!(65_535)));
    cases.reject(rule, "pack-too-large.settings", with("packSizeBytes", json!(268_435_457)));
    for (case, level) in [("smallest", "1+1"), ("usual", "40+2"), ("largest", "200+16")] {
        cases.accept(rule, &format!("{case}-parity.settings"), with("parity", json!(level)));
    }
    for (case, level) in [
        ("empty", ""),
        ("on", "on"),
        ("without-shards", "40"),
        ("of-0-packs", "0+1"),
        ("of-201-packs", "201+1"),
        ("with-0-shards", "40+0"),
        ("with-17-shards", "40+17"),
        ("leading-zero", "040+2"),
        ("leading-zero-of-shards", "40+02"),
        ("sign", "+40+2"),
        ("spaces", "40 + 2"),
        ("three-numbers", "40+2+1"),
    ] {
        cases.reject(rule, &format!("parity-{case}.settings"), with("parity", json!(level)));
    }
}
