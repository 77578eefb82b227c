//! Key slots and key files.

use argon2::{Algorithm, Argon2, Params, Version};
use containerarchive::base::SlotId;
use containerarchive::crypto::{KeyFile, RootKey, SealKey, Suite, kdf};
use serde_json::{Value, json};

use crate::case::Cases;
use crate::lab::{KEY_FILE, PASSPHRASE, ROOT, SALT, SLOT, Side, TIME, hex};
use crate::text::object;

/// A slot in the making.
pub(crate) struct Draft<'a> {
    side: &'a Side,
    id: SlotId,
    capability: &'static str,
    /// `None`: a key file.
    argon2: Option<[u32; 3]>,
    payload: Vec<u8>,
    pub(crate) text: String,
}

const LEAST: [u32; 3] = [19_456, 1, 1];

impl<'a> Draft<'a> {
    /// An admin's slot that a key file opens.
    pub(crate) fn key_file(side: &'a Side) -> Self {
        let text = json!({"label": "kit", "domain": "00".repeat(16), "domainName": null}).to_string();
        Self { side, id: SLOT, capability: "admin", argon2: None, payload: ROOT.to_vec(), text }
    }

    fn passphrase(side: &'a Side, argon2: [u32; 3]) -> Self {
        Self { argon2: Some(argon2), ..Self::key_file(side) }
    }

    fn write(side: &'a Side, suite: u16) -> Self {
        let keys = side.keys.write_keys(containerarchive::base::DomainId([0xd0; 16])).unwrap();
        let payload = [
            keys.domain.as_bytes().as_slice(),
            keys.secret.expose(),
            &suite.to_le_bytes(),
            &keys.public.0,
            &keys.verifier.0,
        ]
        .concat();
        Self { capability: "write", payload, ..Self::key_file(side) }
    }

    /// Key and commitment.
    fn derive(&self) -> [u8; 64] {
        let mut output = [0; 64];
        match self.argon2 {
            None => kdf(&KEY_FILE, &self.side.repository, "key-file", &SALT, &mut output).unwrap(),
            // What costs hours need not be derived to be refused.
            Some([memory, passes, _]) if u64::from(memory) * u64::from(passes) > 1 << 23 => {}
            Some([memory, passes, lanes]) => {
                let params = Params::new(memory, passes, lanes, Some(64)).unwrap();
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon2.hash_password_into(PASSPHRASE.as_bytes(), &SALT, &mut output).unwrap();
            }
        }
        output
    }

    pub(crate) fn body(&self) -> Value {
        let derived = self.derive();
        let (key, commitment) = derived.split_at(32);
        let key: [u8; 32] = key.try_into().unwrap();
        let capability = if self.capability == "write" { 2 } else { 1 };
        let numbers = self.argon2.unwrap_or_default().map(u32::to_le_bytes).concat();
        let aad = [
            b"containerarchive/1 slot\0".as_slice(),
            self.side.repository.as_bytes(),
            self.id.as_bytes(),
            &[capability, if self.argon2.is_some() { 1 } else { 2 }],
            &numbers,
            &SALT,
        ]
        .concat();
        let sealed = seal(&SealKey::new(Suite::X25519, key.into()).unwrap(), &aad, &self.payload);
        let mut text = self.text.clone().into_bytes();
        text.resize(text.len().next_multiple_of(256), b' ');
        let text_key = RootKey::new(ROOT).slot_text_key(&self.side.repository, self.id).unwrap();
        let kdf = match self.argon2 {
            None => json!({"algorithm": "key-file"}),
            Some([memory, passes, lanes]) => {
                json!({"algorithm": "argon2id", "memoryKiB": memory, "passes": passes, "lanes": lanes})
            }
        };
        json!({
            "kind": "key", "repository": self.side.repository, "name": format!("keys/{}.json", self.id),
            "capability": self.capability, "created": TIME, "kdf": kdf, "salt": hex(&SALT),
            "commitment": hex(commitment), "sealed": hex(&sealed), "text": hex(&seal(&text_key, b"", &text)),
        })
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        object(&self.body().to_string(), None)
    }

    fn bytes_with(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut body = self.body();
        change(&mut body);
        object(&body.to_string(), None)
    }
}

fn seal(key: &SealKey, aad: &[u8], text: &[u8]) -> Vec<u8> {
    let mut sealed = text.to_vec();
    let tag = key.seal([0; 12], aad, &mut sealed).unwrap();
    sealed.extend(tag);
    sealed
}

/// Hexadecimal with its last digit changed.
fn flipped(text: &Value) -> Value {
    let mut text = text.as_str().unwrap().to_owned();
    let last = if text.pop() == Some('0') { '1' } else { '0' };
    text.push(last);
    json!(text)
}

pub(crate) fn cases(cases: &mut Cases) {
    let side = Side::encrypted();
    let rule = "R-SLOT-1";
    cases.accept(rule, "least.slot", Draft::passphrase(&side, LEAST).bytes());
    cases.accept(rule, "16-passes-16-lanes.slot", Draft::passphrase(&side, [19_456, 16, 16]).bytes());
    for (case, numbers) in [
        ("memory-19455", [19_455, 1, 1]),
        ("memory-above-2-gib", [2_097_153, 1, 1]),
        ("passes-17", [19_456, 17, 1]),
        ("lanes-17", [19_456, 1, 17]),
        ("product", [2_097_152, 5, 1]),
    ] {
        // Only the numbers are wrong; memory of gigabytes is not taken to make a case.
        let mut draft = Draft::passphrase(&side, numbers);
        if numbers[0] > 1 << 20 {
            draft.argon2 = Some(LEAST);
        }
        let bytes = draft.bytes_with(|body| {
            body["kdf"]["memoryKiB"] = json!(numbers[0]);
            body["kdf"]["passes"] = json!(numbers[1]);
        });
        cases.reject(rule, &format!("{case}.slot"), bytes);
    }
    let huge =
        Draft::passphrase(&side, LEAST).bytes_with(|body| body["kdf"]["lanes"] = json!((1_u64 << 32) + 1));
    cases.reject(rule, "lanes-above-32-bits.slot", huge);
    let rule = "R-SLOT-2";
    let draft = Draft::key_file(&side);
    cases.accept(rule, "key-file.slot", draft.bytes());
    cases.accept(rule, "passphrase.slot", Draft::passphrase(&side, LEAST).bytes());
    let mut write_slot = Draft::write(&side, 1);
    cases.accept(rule, "write.slot", write_slot.bytes());
    cases.reject(
        rule,
        "commitment-changed.slot",
        draft.bytes_with(|body| body["commitment"] = flipped(&body["commitment"])),
    );
    cases.reject(
        rule,
        "tag-changed.slot",
        draft.bytes_with(|body| body["sealed"] = flipped(&body["sealed"])),
    );
    cases.reject(
        rule,
        "capability-raised.slot",
        write_slot.bytes_with(|body| body["capability"] = json!("admin")),
    );
    let rule = "R-SLOT-3";
    cases.accept(rule, "admin.slot", draft.bytes());
    cases.accept(rule, "write.slot", write_slot.bytes());
    cases.reject(rule, "suite-0.slot", Draft::write(&side, 0).bytes());
    write_slot.payload.push(0);
    cases.reject(rule, "write-longer.slot", write_slot.bytes());
    let mut draft = Draft::key_file(&side);
    draft.payload.pop();
    cases.reject(rule, "admin-shorter.slot", draft.bytes());
    let rule = "R-SLOT-5";
    let draft = Draft::key_file(&side);
    cases.accept(rule, "known.slot", draft.bytes());
    cases.reject(rule, "capability.slot", draft.bytes_with(|body| body["capability"] = json!("read")));
    cases.reject(
        rule,
        "algorithm.slot",
        draft.bytes_with(|body| body["kdf"] = json!({"algorithm": "scrypt", "n": 1})),
    );
    cases.reject(
        "R-SEAL-2",
        "slot-text.slot",
        draft.bytes_with(|body| body["text"] = flipped(&body["text"])),
    );
    names(&side, cases);
    key_files(cases);
}

fn names(side: &Side, cases: &mut Cases) {
    let rule = "R-NAME-2";
    let bytes = Draft::key_file(side).bytes();
    cases.accept(rule, &format!("slot/keys/{SLOT}.json"), bytes.clone());
    cases.accept(rule, &format!("replica/replicas/keys/{SLOT}.json"), bytes.clone());
    let other = SlotId([0x52; 16]);
    let verdict = crate::case::Verdict::Rule("R-TEXT-4".to_owned());
    cases.reject_as(rule, &format!("other-name/keys/{other}.json"), bytes.clone(), verdict.clone());
    cases.reject_as(rule, &format!("other-replica/replicas/keys/{other}.json"), bytes, verdict);
}

fn key_files(cases: &mut Cases) {
    let rule = "R-KEYFILE-1";
    let text = KeyFile::new(KEY_FILE).to_text().to_string();
    let line = text.trim_end().to_owned();
    cases.accept(rule, "line-feed.keyfile", text.clone().into());
    cases.accept(rule, "no-line-end.keyfile", line.clone().into());
    cases.accept(rule, "carriage-return.keyfile", format!("{line}\r\n").into());
    cases.reject(rule, "key-changed.keyfile", text.replacen("4b", "4c", 1).into());
    cases.reject(rule, "checksum-changed.keyfile", {
        let last = if line.ends_with('0') { '1' } else { '0' };
        format!("{}{last}\n", &line[..line.len() - 1]).into()
    });
    cases.reject(rule, "capitals.keyfile", text.replace("4b", "4B").into());
    cases.reject(rule, "two-line-ends.keyfile", format!("{text}\n").into());
    cases.reject(rule, "blank-before.keyfile", format!(" {text}").into());
    cases.reject(rule, "version-2.keyfile", {
        let head = line.replace("key-1", "key-2");
        let head = head.rsplit_once(' ').unwrap().0;
        format!("{head} {}\n", &blake3::hash(head.as_bytes()).to_hex()[..16]).into()
    });
}
