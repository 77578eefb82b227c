//! Manifests and sessions.

use containerarchive::crypto::ObjectSecrets;
use containerarchive::format::pages::seal_blob;
use containerarchive::format::prefix::{Class, ObjectKind};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::case::{Cases, Verdict};
use crate::lab::{SALT, SESSION, Side, TIME, hex};
use crate::text::object;

/// What a manifest seals.
pub(crate) fn inner() -> Value {
    json!({
        "version": 1, "id": SESSION, "createdAt": TIME, "committedAt": TIME, "series": "a", "tags": {"k": "v"},
        "originalSize": 12, "storedSize": 4400, "chunkCount": 2, "newChunks": 2, "reusedChunks": 0,
        "items": [item("a")], "host": "host", "user": "user", "durationMs": 5,
        "previous": [{"id": "00".repeat(16), "blake3": "11".repeat(32)}],
    })
}

fn item(name: &str) -> Value {
    json!({"name": name, "type": "stream", "size": 12, "content": "recipe", "root": "22".repeat(32), "evidence": null})
}

fn envelope(side: &Side, text: &str, kind: &str, name: &str, secrets: &ObjectSecrets) -> Value {
    let mut pages = Vec::new();
    seal_blob(&secrets.key, text.as_bytes(), &mut pages).unwrap();
    json!({
        "kind": kind, "repository": side.repository, "name": name, "suite": side.suite.number(),
        "domain": "00".repeat(16), "salt": hex(&SALT), "commitment": hex(&secrets.commitment.0),
        "pages": BASE64.encode(&pages),
    })
}

/// A manifest that seals this text.
pub(crate) fn seal_text(side: &Side, text: &str) -> Vec<u8> {
    seal_with(side, text, |_| ())
}

fn seal_with(side: &Side, text: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (secrets, enc) = side.new_object(&side.prefix(ObjectKind::Manifest, Class::None));
    let mut body = envelope(side, text, "manifest", &format!("snapshots/{SESSION}.json"), &secrets);
    body["enc"] = json!(hex(&enc));
    body["committed"] = json!(TIME);
    change(&mut body);
    object(&body.to_string(), None)
}

/// A manifest with something inside changed.
fn with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut inner = inner();
    change(&mut inner);
    seal_text(&Side::encrypted(), &inner.to_string())
}

fn session(side: &Side, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    session_of(side, &json!({}), change)
}

/// A session with more members inside.
fn session_of(side: &Side, members: &Value, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut inner = json!({"operation": "ingest", "host": "host", "user": "user", "pid": 7, "started": TIME});
    inner.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let secrets = side.domain().session_secrets(&side.prefix(ObjectKind::Session, Class::None)).unwrap();
    let mut body = envelope(side, &inner.to_string(), "session", &format!("locks/{SESSION}.json"), &secrets);
    change(&mut body);
    object(&body.to_string(), None)
}

pub(crate) fn cases(cases: &mut Cases) {
    envelopes(cases);
    let rule = "R-MANIFEST-1";
    cases.accept(rule, "version-1.manifest", with(|_| ()));
    cases.reject_as(rule, "version-2.manifest", with(|inner| inner["version"] = json!(2)), Verdict::Version);
    cases.reject(rule, "other-id.manifest", with(|inner| inner["id"] = json!("00".repeat(16))));
    let time = "2026-11-22T18:44:18.124Z";
    cases.reject(rule, "other-time-of-commit.manifest", with(|inner| inner["committedAt"] = json!(time)));
    item_names(cases);
    let rule = "R-MANIFEST-5";
    let longest = "x".repeat(4096);
    let longer = format!("{longest}x");
    cases.accept(rule, "longest-series.manifest", with(|inner| inner["series"] = json!(longest)));
    cases.accept(rule, "empty-texts.manifest", with(|inner| inner["tags"] = json!({"": ""})));
    cases.reject(rule, "series-too-long.manifest", with(|inner| inner["series"] = json!(longer)));
    cases.reject(rule, "tag-key-control.manifest", with(|inner| inner["tags"] = json!({"a\u{7f}": ""})));
    cases.reject(rule, "tag-value-control.manifest", with(|inner| inner["tags"] = json!({"a": "\u{9f}"})));
    cases.reject(rule, "type-control.manifest", with(|inner| inner["items"][0]["type"] = json!("\n")));
    cases.reject(rule, "host-control.manifest", with(|inner| inner["host"] = json!("a\u{1b}[m")));
    cases.reject(rule, "user-control.manifest", with(|inner| inner["user"] = json!("\0")));
}

fn envelopes(cases: &mut Cases) {
    let (side, plain) = (Side::encrypted(), Side::plain());
    let text = inner().to_string();
    cases.accept("R-SEAL-1", "right-commitment.manifest", seal_text(&side, &text));
    cases.accept("R-SEAL-1", "right-commitment.session", session(&side, |_| ()));
    let reader = |snapshots: Value| session_of(&side, &json!({"snapshots": snapshots}), |_| ());
    cases.accept("R-TEXT-5", "reader.session", reader(json!([SESSION])));
    cases.reject("R-TEXT-5", "short-snapshot-id.session", reader(json!(["5e"])));
    cases.reject("R-TEXT-5", "snapshots-null.session", reader(Value::Null));
    let wrong = |body: &mut Value| body["commitment"] = json!("00".repeat(32));
    cases.reject("R-SEAL-1", "commitment.manifest", seal_with(&side, &text, wrong));
    cases.reject("R-SEAL-1", "plain-commitment.manifest", seal_with(&plain, &text, wrong));
    cases.reject("R-SEAL-1", "commitment.session", session(&side, wrong));
    let other_domain = |body: &mut Value| body["domain"] = json!("01".repeat(16));
    cases.reject("R-SEAL-1", "key-of-other-domain.manifest", seal_with(&side, &text, other_domain));
    let zeros = |body: &mut Value| body["enc"] = json!("00".repeat(32));
    cases.reject("R-SEAL-1", "enc-of-small-order.manifest", seal_with(&side, &text, zeros));
    let rule = "R-PREFIX-2";
    cases.accept(rule, "plain.manifest", seal_text(&plain, &text));
    cases.accept(rule, "plain.session", session(&plain, |_| ()));
    cases.reject(rule, "plain-other-domain.manifest", seal_with(&plain, &text, other_domain));
    cases.reject(rule, "plain-other-domain.session", session(&plain, other_domain));
    let enc = |body: &mut Value| body["enc"] = json!("09".repeat(32));
    cases.reject(rule, "plain-with-enc.manifest", seal_with(&plain, &text, enc));
    let suite = |body: &mut Value| body["suite"] = json!(0);
    cases.reject("R-PREFIX-1", "suite-0.manifest", seal_with(&side, &text, suite));
    cases.reject("R-PREFIX-1", "suite-0.session", session(&side, suite));
}

fn item_names(cases: &mut Cases) {
    let rule = "R-MANIFEST-2";
    let named = |names: &[&str]| {
        let items: Vec<Value> = names.iter().map(|name| item(name)).collect();
        with(|inner| inner["items"] = json!(items))
    };
    let longest = "x".repeat(4096);
    let longer = format!("{longest}x");
    cases.accept(rule, "folders-and-letters.manifest", named(&["a/b", "a/c", "ab", "Ünï ☃/…", "..a", "A/b"]));
    cases.accept(rule, "longest-name.manifest", named(&[&longest]));
    for (case, names) in [
        ("no-item", &[][..]),
        ("empty-name", &[""]),
        ("absolute", &["/a"]),
        ("slash-at-end", &["a/"]),
        ("empty-component", &["a//b"]),
        ("dot", &["a/./b"]),
        ("dot-dot", &["a/../b"]),
        ("only-dot-dot", &[".."]),
        ("zero", &["a\0b"]),
        ("delete", &["a\u{7f}"]),
        ("control-above-7f", &["a\u{85}b"]),
        ("too-long", &[&longer]),
        ("twice", &["a", "b", "a"]),
        ("folder-of-another", &["a/b", "a"]),
    ] {
        cases.reject(rule, &format!("{case}.manifest"), named(names));
    }
}
