//! What storage sees of an encrypted repository, and what a write key can and cannot do.

use std::sync::Arc;

use super::support::{Lab, item, noise, sql};
use crate::base::{ChunkId, DomainId, Kind, NoPins, SilentMonitor};
use crate::compress::{Codec, Compression};
use crate::crypto::blake3_256;
use crate::engine::{
    Filter, IngestOptions, RestoreOptions, RestoreTarget, Selector, ingest, restore, snapshots,
};
use crate::error::{Error, ErrorCode};
use crate::format::prefix::Class;
use crate::format::slot::Capability;
use crate::repo::{OpenPack, RepoError, StoredPacks, add_slot, remove_slot};
use crate::store::{MemoryStore, Store};

const WRITER: [u8; 32] = [8; 32];

fn all_bytes(store: &MemoryStore) -> Vec<(String, Vec<u8>)> {
    let read = |name: &crate::base::ObjectName| (name.to_string(), store.get(name, u64::MAX).unwrap());
    store.names().iter().map(read).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn no_plaintext_name_tag_length_or_unkeyed_hash_is_visible() {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
    lab.compression = Compression::None;
    lab.create().unwrap();
    lab.add_writer(WRITER, Some("secretdomain"));
    let content = sql(1, 50_000);
    let repository = lab.open().unwrap();
    let mut options = IngestOptions { series: Some("secretseries".into()), ..IngestOptions::default() };
    options.tags.insert("secretkey".into(), "secretvalue".into());
    let mut secret_item = item("secretname.sql", content.as_slice());
    secret_item.item_type = "secrettype".into();
    ingest(&repository, vec![secret_item], &options, &SilentMonitor).unwrap();

    let gear = crate::chunk::GearTable::published();
    let published = crate::chunk::reference::chunk_lengths(&lab.chunking, &gear, &content);
    let mut needles: Vec<(String, Vec<u8>)> = [
        "secretname",
        "secretkey",
        "secretvalue",
        "secretseries",
        "secrettype",
        "secretdomain",
        "writer",
        "INSERT",
        "ingest",
    ]
    .map(|text| (text.to_owned(), text.as_bytes().to_vec()))
    .into();
    let keys = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let chunker = crate::chunk::Chunker::new(lab.chunking, keys.gear_table().unwrap());
    let mut rest = content.as_slice();
    let mut lengths = Vec::new();
    while let Some(len) = chunker.cut(rest, true).filter(|len| *len > 0) {
        let (chunk, after) = rest.split_at(len);
        rest = after;
        lengths.push(len);
        for (what, hash) in [
            (
                "SHA-256 of a chunk",
                aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, chunk).as_ref().to_vec(),
            ),
            ("BLAKE3 of a chunk", blake3_256(chunk).to_vec()),
            ("keyed hash of a chunk", keys.hasher.hash(Kind::Data, chunk).0.to_vec()),
            ("two lengths in a row", Vec::new()),
        ] {
            if !hash.is_empty() {
                needles.push((what.to_owned(), hash[..8].to_vec()));
                needles.push((
                    format!("{what} in hex"),
                    data_encoding::HEXLOWER.encode(&hash[..8]).into_bytes(),
                ));
            }
        }
        let record = [len as u32 + 16, len as u32].map(u32::to_le_bytes).concat();
        needles.push(("stored and plain length of a chunk".to_owned(), record));
        if rest.is_empty() {
            break;
        }
    }
    assert_ne!(lengths, published, "cut points must depend on the secret");
    for (object, bytes) in all_bytes(&store) {
        let decoded = decoded_pages(&bytes);
        for (what, needle) in &needles {
            assert!(!contains(&bytes, needle), "{object} shows {what}");
            assert!(!contains(&decoded, needle), "{object} shows {what} in base64");
        }
    }
}

/// All base64 and hexadecimal strings of a JSON object, decoded.
fn decoded_pages(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    for part in bytes.split(|byte| *byte == b'"') {
        decoded.extend(data_encoding::BASE64.decode(part).unwrap_or_default());
        decoded.extend(data_encoding::HEXLOWER.decode(part).unwrap_or_default());
    }
    decoded
}

#[test]
fn a_write_key_adds_with_full_dedup_and_can_do_nothing_else() {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 2);
    lab.create().unwrap();
    lab.add_writer(WRITER, None);
    let writer = lab.open_with(WRITER, &NoPins, &SilentMonitor).unwrap();
    assert_eq!(writer.keys.capability(), Capability::Write);
    let content = noise(1, 100_000);
    let first = lab.ingest_into(&writer, &[("a", &content)]).unwrap().manifest;
    let second = lab.ingest_into(&writer, &[("a", &content)]).unwrap().manifest;
    assert!(first.new_chunks > 10);
    assert_eq!((second.new_chunks, second.stored_size), (0, 0));
    assert_eq!(second.previous.len(), 1, "a writer links its manifests without reading them");

    let needs_admin = |error: Error| assert_eq!(error.code(), ErrorCode::Capability, "{error}");
    needs_admin(snapshots(&writer, &NoPins, &SilentMonitor).unwrap_err());
    let admin = lab.open().unwrap();
    let found = snapshots(&admin, &NoPins, &SilentMonitor).unwrap();
    let snapshot = found.find(&Selector::Latest(0), &Filter::default()).unwrap();
    let mut out = Vec::new();
    let options = RestoreOptions { item: None, threads: 1, heal: false };
    needs_admin(
        restore(&writer, snapshot, RestoreTarget::Stream(&mut out), &options, &SilentMonitor).unwrap_err(),
    );
    assert!(out.is_empty());
    let key_file = crate::crypto::KeyFile::new([1; 32]);
    let credential = crate::repo::NewCredential::KeyFile(&key_file);
    let added = add_slot(&writer, &credential, Capability::Admin, "", None, &SilentMonitor);
    needs_admin(added.unwrap_err().into());
    let slot = crate::repo::list_slots(&writer, &SilentMonitor).unwrap()[0].id;
    needs_admin(remove_slot(&writer, slot, &SilentMonitor).unwrap_err().into());
    assert!(writer.keys.signer().is_none() && writer.keys.root().is_none());
    assert!(writer.keys.domain(DomainId::MAIN).unwrap().is_none(), "no keys of another domain");

    assert_eq!(lab.restore_from(&admin, "latest", &SilentMonitor).unwrap()["a"], content);
}

/// A hostile writer stores garbage under the id of another one's chunk, and even copies of it into its own segments.
#[test]
fn garbage_under_another_domains_chunk_id_never_enters_its_snapshots() {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 3);
    lab.create().unwrap();
    lab.add_writer(WRITER, None);
    let content = noise(5, 20_000);
    let admin = lab.open().unwrap();
    let main = admin.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let chunker = crate::chunk::Chunker::new(lab.chunking, main.gear_table().unwrap());
    let first_len = chunker.cut(&content, true).unwrap();
    let victim = ChunkId { kind: Kind::Data, hash: main.hasher.hash(Kind::Data, &content[..first_len]) };

    let hostile = lab.open_with(WRITER, &NoPins, &SilentMonitor).unwrap();
    let domain = hostile.keys.domain(hostile.keys.own_domain()).unwrap().unwrap();
    let session = crate::base::SessionId([1; 16]);
    let garbage = || {
        let mut pack = OpenPack::new(Class::Data, Vec::new());
        pack.push(victim, Codec::None, &vec![0x55; first_len], first_len as u32);
        pack
    };
    // The library refuses to seal what does not have its hash, so the attacker's program leaves that check out.
    let refused = hostile.seal_pack(garbage(), &domain, session);
    assert!(matches!(refused, Err(RepoError::SealCheck { .. })));
    let sealed = hostile.seal_pack_unchecked(garbage(), &domain, session).unwrap();
    let len = hostile.put_pack(&sealed).unwrap();
    let mut stored = StoredPacks::default();
    stored.add(sealed.id, len, sealed.class, &sealed.records);
    stored.publish(&hostile, &domain, session).unwrap();

    let report = lab.ingest_into(&admin, &[("a", &content)]).unwrap().manifest;
    assert_eq!(report.reused_chunks, 0, "the garbage was taken for the chunk");
    assert_eq!(lab.restore_latest().unwrap()["a"], content);
}

/// A writer's manifest that claims to have seen another one in the place of a main snapshot casts no doubt on that.
#[test]
fn a_hostile_writer_cannot_make_other_domains_snapshots_look_damaged() {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 4);
    lab.create().unwrap();
    lab.add_writer(WRITER, None);
    let content = noise(5, 2_000);
    let victim = lab.ingest(&[("a", &content)]).unwrap().manifest;
    let hostile = lab.open_with(WRITER, &NoPins, &SilentMonitor).unwrap();
    let mut manifest = lab.ingest_into(&hostile, &[("junk", b"junk")]).unwrap().manifest;
    manifest.previous = [victim.id, crate::base::SessionId([9; 16])]
        .map(|id| crate::format::manifest::Previous { id, blake3: crate::format::hex::Hex([1; 32]) })
        .into();
    manifest.created_at = crate::base::Timestamp(victim.created_at.0 - 1000);
    let domain = hostile.keys.domain(hostile.keys.own_domain()).unwrap().unwrap();
    let session = crate::repo::Session::register(&hostile, &domain, "ingest").unwrap();
    manifest.id = session.id;
    session.commit(&hostile, &domain, &manifest).unwrap();
    session.end(&hostile).unwrap();

    let admin = lab.open().unwrap();
    let found = snapshots(&admin, &NoPins, &SilentMonitor).unwrap();
    assert!(!found.damaged().contains_key(&victim.id));
    assert_eq!(found.damaged().len(), 1, "the id that nobody has, in the writer's own domain");
    let filter = Filter { item: Some("a".into()), ..Filter::default() };
    assert_eq!(found.find(&Selector::Latest(0), &filter).unwrap().manifest.id, victim.id);
    assert!(found.find(&Selector::Prefix(victim.id.to_hex()), &Filter::default()).is_ok());
}
