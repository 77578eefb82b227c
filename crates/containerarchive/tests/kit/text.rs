//! Text objects, and the JSON inside of sealed ones.

use containerarchive::crypto::Signer;
use serde_json::{Value, json};

use crate::case::Cases;
use crate::lab::{SESSION, Side, TIME, hex};
use crate::{config, manifest, slot};

/// A text object with this body; signed if there is a signer.
pub(crate) fn object(body: &str, signer: Option<&Signer>) -> Vec<u8> {
    let line = format!("{body}\n");
    match signer {
        None => lines(body, "unsigned"),
        Some(signer) => lines(body, &format!("ed25519 {}", hex(&signer.sign(line.as_bytes())))),
    }
}

/// A text object with this second line and the right third one.
pub(crate) fn lines(body: &str, second: &str) -> Vec<u8> {
    let digested = format!("{body}\n{second}\n");
    let digest = blake3::hash(digested.as_bytes()).to_hex();
    format!("{digested}blake3 {digest}\n").into_bytes()
}

pub(crate) fn fence(side: &Side) -> Value {
    let name = format!("locks/{SESSION}.fence");
    json!({"kind": "fence", "repository": side.repository, "name": name, "session": SESSION, "created": TIME})
}

fn signed(side: &Side, body: &Value) -> Vec<u8> {
    object(&body.to_string(), side.signer())
}

/// The body with this in front of its members.
fn with(body: &Value, members: &str) -> String {
    body.to_string().replacen('{', &format!("{{{members},"), 1)
}

pub(crate) fn cases(cases: &mut Cases) {
    let side = Side::encrypted();
    form(&side, cases);
    digest(&side, cases);
    signature(&side, cases);
    common(&side, cases);
    members(&side, cases);
    strict_json(&side, cases);
}

fn form(side: &Side, cases: &mut Cases) {
    let rule = "R-TEXT-1";
    let good = signed(side, &fence(side));
    let body = fence(side).to_string();
    let text = String::from_utf8(good.clone()).unwrap();
    cases.accept(rule, "three-lines.fence", good.clone());
    let longest = |len: usize| {
        let least = signed(side, &json!({"filling": "", "version": 0})).len();
        let config = config::base(side);
        let least = signed(side, &merged(&config, json!({"filling": ""}))).len().max(least);
        signed(side, &merged(&config, json!({"filling": "x".repeat(len - least)})))
    };
    cases.accept(rule, "64-kib.config", longest(64 << 10));
    cases.reject(rule, "64-kib-and-a-byte.config", longest((64 << 10) + 1));
    cases.reject(rule, "no-last-line-end.fence", good[..good.len() - 1].to_vec());
    cases.reject(rule, "fourth-line.fence", [good.as_slice(), b"\n"].concat());
    cases.reject(rule, "carriage-returns.fence", object(&format!("{body}\r"), side.signer()));
    cases.reject(rule, "blank-before-body.fence", object(&format!(" {body}"), side.signer()));
    let upper = text.lines().nth(1).unwrap().replace("ed25519 ", "").to_uppercase();
    cases.reject(rule, "signature-in-capitals.fence", lines(&body, &format!("ed25519 {upper}")));
    cases.reject(rule, "other-word-for-unsigned.fence", lines(&body, "none"));
    let digest = text.lines().nth(2).unwrap();
    cases.reject(
        rule,
        "digest-in-capitals.fence",
        text.replace(&digest[7..], &digest[7..].to_uppercase()).into(),
    );
    cases.reject(rule, "empty.fence", Vec::new());
}

fn merged(body: &Value, more: Value) -> Value {
    let mut merged = body.clone();
    for (name, value) in more.as_object().unwrap() {
        merged[name] = value.clone();
    }
    merged
}

fn digest(side: &Side, cases: &mut Cases) {
    let rule = "R-TEXT-2";
    let good = signed(side, &fence(side));
    cases.accept(rule, "right-digest.fence", good.clone());
    let mut bad = good.clone();
    let last = bad.len() - 2;
    bad[last] = if bad[last] == b'0' { b'1' } else { b'0' };
    cases.reject(rule, "digest-changed.fence", bad);
    let text = String::from_utf8(good).unwrap();
    cases.reject(rule, "body-changed.fence", text.replace("18.123Z", "18.124Z").into());
    let digested = text.find("\nblake3 ").unwrap() + 1;
    let first_line = text.find('\n').unwrap() + 1;
    let other = blake3::hash(&text.as_bytes()[..first_line]).to_hex();
    cases.reject(
        rule,
        "digest-of-first-line-only.fence",
        format!("{}blake3 {other}\n", &text[..digested]).into(),
    );
}

fn signature(side: &Side, cases: &mut Cases) {
    let rule = "R-TEXT-3";
    let body = fence(side).to_string();
    let plain = Side::plain();
    let plain_body = fence(&plain).to_string();
    cases.accept(rule, "signed.fence", object(&body, side.signer()));
    cases.accept(rule, "plain-unsigned.fence", object(&plain_body, None));
    cases.reject(rule, "unsigned.fence", object(&body, None));
    cases.reject(rule, "plain-signed.fence", object(&plain_body, side.signer()));
    let config = config::base(side).to_string();
    cases.accept(rule, "signed.config", object(&config, side.signer()));
    cases.reject(rule, "unsigned.config", object(&config, None));
    let signer = side.signer().unwrap();
    let mut signature = signer.sign(format!("{body}\n").as_bytes());
    cases.reject(rule, "signature-without-line-end.fence", {
        lines(&body, &format!("ed25519 {}", hex(&signer.sign(body.as_bytes()))))
    });
    add_group_order(&mut signature[32..]);
    cases.reject(
        rule,
        "signature-above-group-order.fence",
        lines(&body, &format!("ed25519 {}", hex(&signature))),
    );
    let slot = slot::Draft::key_file(side).body().to_string();
    cases.accept(rule, "unsigned.slot", object(&slot, None));
    cases.reject(rule, "signed.slot", object(&slot, side.signer()));
}

/// Adds the order of the group, 2^252 + 27742317777372353535851937790883648493, to a scalar.
fn add_group_order(scalar: &mut [u8]) {
    let mut order = [0; 32];
    order[..16].copy_from_slice(&27_742_317_777_372_353_535_851_937_790_883_648_493_u128.to_le_bytes());
    order[31] = 0x10;
    let mut carry = 0;
    for (byte, more) in scalar.iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
}

fn common(side: &Side, cases: &mut Cases) {
    let rule = "R-TEXT-4";
    cases.accept(rule, "all-right.fence", signed(side, &fence(side)));
    for (case, change) in [
        ("other-kind", json!({"kind": "void"})),
        ("other-repository", json!({"repository": "01".repeat(16)})),
        ("other-name", json!({"name": format!("locks/{}.fence", "00".repeat(16))})),
        ("name-of-replica", json!({"name": format!("replicas/locks/{SESSION}.fence")})),
    ] {
        cases.reject(rule, &format!("{case}.fence"), signed(side, &merged(&fence(side), change)));
    }
}

fn members(side: &Side, cases: &mut Cases) {
    let rule = "R-TEXT-5";
    let fence = fence(side);
    cases.accept(
        rule,
        "unknown-member.fence",
        signed(side, &merged(&fence, json!({"color": {"is": "red"}}))),
    );
    cases.accept(
        rule,
        "leap-day.fence",
        signed(side, &merged(&fence, json!({"created": "2028-02-29T00:00:00.000Z"}))),
    );
    let mut missing = fence.clone();
    missing.as_object_mut().unwrap().remove("created");
    cases.reject(rule, "member-missing.fence", signed(side, &missing));
    for (case, time) in [
        ("no-leap-day", "2026-02-29T00:00:00.000Z"),
        ("leap-second", "2016-12-31T23:59:60.000Z"),
        ("two-fraction-digits", "2026-11-22T18:44:18.12Z"),
        ("offset-for-utc", "2026-11-22T18:44:18.123+00:00"),
        ("small-letters", "2026-11-22t18:44:18.123z"),
        ("before-1970", "1969-12-31T23:59:59.999Z"),
    ] {
        let body = merged(&fence, json!({"created": time}));
        cases.reject(rule, &format!("time-{case}.fence"), signed(side, &body));
    }
    for (case, session) in [
        ("id-in-capitals", json!("5E".repeat(16))),
        ("id-too-short", json!("5e".repeat(15))),
        ("null", Value::Null),
        ("number-for-text", json!(5)),
    ] {
        let body = merged(&fence, json!({"session": session}));
        cases.reject(rule, &format!("{case}.fence"), signed(side, &body));
    }
    let config = config::base(side);
    for (case, change) in [
        ("text-for-number", json!({"serial": "1"})),
        ("number-for-bool", json!({"weakStore": 0})),
        ("array-for-object", json!({"chunking": ["fastcdc-nc2", 65536, 262_144, 1_048_576]})),
    ] {
        cases.reject(rule, &format!("{case}.config"), signed(side, &merged(&config, change)));
    }
    cases.accept(rule, "white-space-and-unknown-members-inside.manifest", {
        let inner = merged(&manifest::inner(), json!({"color": "red"}));
        manifest::seal_text(side, &format!("\n\t{inner} \n"))
    });
    let with_item = |change: Value| {
        let mut inner = manifest::inner();
        inner["items"][0] = merged(&inner["items"][0], change);
        manifest::seal_text(side, &inner.to_string())
    };
    cases.accept(rule, "evidence-of-any-json.manifest", with_item(json!({"evidence": [{"exit": 0}, null]})));
    cases.reject(rule, "object-for-word.manifest", with_item(json!({"content": {"recipe": null}})));
    cases.reject(rule, "other-word.manifest", with_item(json!({"content": "tree"})));
    cases.reject(rule, "tag-is-number.manifest", {
        manifest::seal_text(side, &merged(&manifest::inner(), json!({"tags": {"k": 1}})).to_string())
    });
    let mut draft = slot::Draft::key_file(side);
    draft.text = json!({"label": "", "domain": "00".repeat(16)}).to_string();
    cases.reject(rule, "slot-text-without-domain-name.slot", draft.bytes());
    let mut draft = slot::Draft::key_file(side);
    draft.text = json!({"label": "", "domain": "00".repeat(16), "domainName": "main"}).to_string();
    cases.accept(rule, "slot-text-with-domain-name.slot", draft.bytes());
}

fn strict_json(side: &Side, cases: &mut Cases) {
    let rule = "R-TEXT-6";
    let fence = fence(side);
    let made = |members: &str| object(&with(&fence, members), side.signer());
    let arrays = |count: usize| format!(r#""x":{}{}"#, "[".repeat(count), "]".repeat(count));
    cases.accept(rule, "32-levels.fence", made(&arrays(31)));
    cases.accept(rule, "largest-number.fence", made(r#""x":18446744073709551615"#));
    cases.accept(rule, "same-name-in-two-objects.fence", made(r#""x":{"a":1},"y":{"a":1}"#));
    cases.accept(rule, "surrogate-pair.fence", made(r#""x":"\ud83d\ude00""#));
    for (case, members) in [
        ("33-levels", arrays(32).as_str()),
        ("member-twice", r#""session":"00""#),
        ("unknown-member-twice", r#""x":1,"x":1"#),
        ("unknown-member-twice-inside", r#""x":[{"a":1,"a":1}]"#),
        ("member-twice-after-unescaping", r#""x":1,"\u0078":1"#),
        ("negative", r#""x":-1"#),
        ("fraction", r#""x":1.0"#),
        ("exponent", r#""x":1e3"#),
        ("two-to-the-64", r#""x":18446744073709551616"#),
        ("unpaired-surrogate", r#""x":"\ud83d""#),
    ] {
        cases.reject(rule, &format!("{case}.fence"), made(members));
    }
    cases.reject(rule, "member-twice-inside.manifest", {
        manifest::seal_text(side, &with(&manifest::inner(), r#""x":{"a":1,"a":2}"#))
    });
}
