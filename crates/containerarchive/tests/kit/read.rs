//! Reading a case with the library, as its extension says.

use std::sync::Arc;

use containerarchive::base::{ObjectName, PackId, ShardId, SilentMonitor, Timestamp};
use containerarchive::crypto::{
    KeyFile, Passphrase, RootKey, SealKey, Suite, slot_secrets_from_key_file, slot_secrets_from_passphrase,
};
use containerarchive::format::config::{Config, UnverifiedConfig};
use containerarchive::format::idx::PackIndex;
use containerarchive::format::manifest::SealedManifest;
use containerarchive::format::node::Node;
use containerarchive::format::pack::{TRAILER_LEN, open_table};
use containerarchive::format::pages::{open_blob, open_pages};
use containerarchive::format::prefix::{ObjectKind, PREFIX_LEN, Prefix};
use containerarchive::format::segment::{HEADER_LEN, pages_in_file};
use containerarchive::format::segment_whole::WholeSegment;
use containerarchive::format::session::SealedSession;
use containerarchive::format::shard::{Group, parse_trailer};
use containerarchive::format::signed::{Fact, Forget, Pin, Retire, Settings, StopKind, Verified};
use containerarchive::format::slot::{Slot, SlotKdf, SlotPayload};
use containerarchive::format::{FormatError, names};
use containerarchive::repo::{PackReader, RecipeReader};
use containerarchive::store::Durability;
use containerarchive::{
    ChunkParams, Credential, Environment, Locked, MemoryStore, NoPins, OpenOptions, RepoError, Repository,
    Store,
};

use crate::case::Verdict;
use crate::lab::{BLOB_KEY, KEY_FILE, PASSPHRASE, RECORD, ROOT, SESSION, SLOT, Side};
use crate::slot;

/// What was read, in a form that two readings can be compared by.
pub(crate) type Reading = Result<String, Verdict>;

fn broken(rule: &'static str, what: &str) -> FormatError {
    FormatError::broken(rule, what)
}

fn verdict(error: &FormatError) -> Verdict {
    match error {
        FormatError::Broken { rule, .. } => Verdict::Rule((*rule).to_owned()),
        FormatError::Version { .. } => Verdict::Version,
        FormatError::Feature { .. } => Verdict::Feature,
        other => panic!("{other}"),
    }
}

fn repo_verdict(error: &RepoError) -> Verdict {
    match error {
        RepoError::Damaged { source, .. }
        | RepoError::Unusable { source, .. }
        | RepoError::Recipe(source) => verdict(source),
        other => panic!("{other}"),
    }
}

/// Reads cases; packs are read from repositories in memory, by the functions that a restore uses.
pub(crate) struct Reader {
    encrypted: (Side, Repository),
    plain: (Side, Repository),
}

impl Reader {
    pub(crate) fn new() -> Self {
        let open = |side: Side| {
            let repository = repository_in_memory(&side);
            (side, repository)
        };
        Self { encrypted: open(Side::encrypted()), plain: open(Side::plain()) }
    }

    /// Reads a case. `path` is its path below the kit.
    pub(crate) fn read(&self, path: &str, bytes: &[u8]) -> Reading {
        let is_plain = Side::of(path).suite == Suite::Plain;
        let (side, repository) = if is_plain { &self.plain } else { &self.encrypted };
        let extension = path.rsplit('.').next().unwrap();
        if path.matches('/').count() > 2 {
            return named(side, path, bytes).map_err(|error| verdict(&error));
        }
        if extension == "pack" || extension == "recipe" {
            return pack(repository, bytes, extension == "recipe").map_err(|error| repo_verdict(&error));
        }
        if extension == "keyfile" {
            let key_file = KeyFile::parse(bytes).map_err(|_| Verdict::Rule("R-KEYFILE-1".to_owned()))?;
            return Ok(key_file.to_text().to_string());
        }
        single(side, extension, bytes).map_err(|error| verdict(&error))
    }
}

pub(crate) fn repository_in_memory(side: &Side) -> Repository {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let config = Config {
        repository: side.repository,
        serial: 1,
        created: Timestamp(0),
        suite: side.suite,
        chunking: ChunkParams::default(),
        is_weak_store: false,
    };
    let config = config.encode(side.signer()).unwrap();
    store.put(&names::config(), &config, Durability::Durable).unwrap();
    let is_encrypted = side.suite == Suite::X25519;
    if is_encrypted {
        let bytes = slot::Draft::key_file(side).bytes();
        store.put(&names::slot(SLOT), &bytes, Durability::Durable).unwrap();
    }
    let key_file = KeyFile::new(KEY_FILE);
    let credential = if is_encrypted { Credential::KeyFile(&key_file) } else { Credential::None };
    let environment = Environment::system("host".to_owned(), "user".to_owned());
    let options = OpenOptions { pins: &NoPins, accept_rollback: false };
    Locked::read(store, environment, &SilentMonitor)
        .unwrap()
        .open(credential, &options, &SilentMonitor)
        .unwrap()
}

/// A case that stands at its name in a repository.
fn named(side: &Side, path: &str, bytes: &[u8]) -> Result<String, FormatError> {
    let name: Vec<&str> = path.split('/').skip(3).skip_while(|part| *part == "replicas").collect();
    let name = ObjectName::parse(&name.join("/")).unwrap();
    if let Some(id) = names::pack_id_of(&name, "pack") {
        names::check_content_name(&id.0, bytes)?;
        return Ok(String::new());
    }
    if let Some(id) = names::id_of::<ShardId>(&name, "par") {
        names::check_content_name(&id.0, bytes)?;
        return Ok(format!("{:?}", Group::parse_front(bytes, side.suite, side.repository)?));
    }
    let slot = Slot::parse(bytes, side.repository, names::id_of(&name, "json").unwrap())?;
    Ok(format!("{slot:?}"))
}

fn single(side: &Side, extension: &str, bytes: &[u8]) -> Result<String, FormatError> {
    let (suite, repository) = (side.suite, side.repository);
    let verifier = side.keys.verifier();
    let verifier = verifier.as_ref();
    let stop = |kind: StopKind| kind.open(repository, SESSION, bytes, verifier);
    Ok(match extension {
        "config" => format!("{:?}", UnverifiedConfig::parse(bytes)?.verify(verifier)?),
        "slot" => slot(side, bytes)?,
        "prefix" => format!("{:?}", Prefix::parse(bytes, ObjectKind::Pack, suite, repository)?),
        "blob" => format!("{:?}", open_blob(&SealKey::new(suite, BLOB_KEY.into())?, bytes.to_vec())?),
        "idx" => idx(side, bytes)?,
        "segment" => segment(side, bytes)?,
        "front" => format!("{:?}", Group::parse_front(bytes, suite, repository)?),
        "end" => {
            let end = bytes.try_into().map_err(|_| broken("R-SHARD-1", "its end has another length"))?;
            format!("{:?}", parse_trailer(end)?)
        }
        "record" => format!("{:?}", crate::shard::base(side).parse_record(crate::shard::ROW, bytes)?),
        "node" => format!("{:?}", Node::parse(bytes)?),
        "manifest" => manifest(side, bytes)?,
        "session" => {
            let sealed = SealedSession::parse(bytes, suite, repository, SESSION)?;
            let secrets = side.domain().session_secrets(&sealed.prefix)?;
            format!("{:?}", sealed.open(&secrets)?)
        }
        "fence" => format!("{:?}", stop(StopKind::Fence)?),
        "void" => format!("{:?}", stop(StopKind::Void)?),
        "retire" => format!("{:?}", Retire::open_record(repository, RECORD, bytes, verifier)?),
        "forget" => format!("{:?}", Forget::open_record(repository, RECORD, bytes, verifier)?),
        "pin" => format!("{:?}", Pin::open_record(repository, RECORD, bytes, verifier)?),
        "settings" => format!("{:?}", Settings::open_record(repository, RECORD, bytes, verifier)?),
        "verified" => format!("{:?}", Verified::open_record(repository, RECORD, bytes, verifier)?),
        other => panic!("no reader for .{other}"),
    })
}

fn slot(side: &Side, bytes: &[u8]) -> Result<String, FormatError> {
    let slot = Slot::parse(bytes, side.repository, SLOT)?;
    let secrets = match slot.kdf {
        SlotKdf::KeyFile => {
            slot_secrets_from_key_file(&KeyFile::new(KEY_FILE), &slot.salt, &side.repository)?
        }
        SlotKdf::Argon2id(params) => {
            let passphrase = Passphrase::new(PASSPHRASE.as_bytes().to_vec()).unwrap();
            slot_secrets_from_passphrase(&passphrase, &slot.salt, params)?
        }
    };
    let payload = slot.open(&secrets)?.ok_or_else(|| broken("R-SLOT-2", "it is another key's"))?;
    let payload = match payload {
        SlotPayload::Admin(root) => format!("{:?}", root.expose()),
        SlotPayload::Write(keys) => {
            format!("{:?} {:?} {:?} {:?}", keys.domain, keys.secret.expose(), keys.public, keys.verifier)
        }
    };
    Ok(format!("{payload} {:?}", slot.open_text(&RootKey::new(ROOT))?))
}

fn manifest(side: &Side, bytes: &[u8]) -> Result<String, FormatError> {
    let sealed = SealedManifest::parse(bytes, side.suite, side.repository, SESSION)?;
    let domain = side.keys.domain(sealed.prefix.domain)?.unwrap();
    let secrets = domain.stored_object(&sealed.prefix, &sealed.enc);
    let secrets = secrets.map_err(|_| broken("R-SEAL-1", "its encapsulated key is no point"))?.unwrap();
    Ok(format!("{:?}", sealed.open(&secrets)?))
}

fn idx(side: &Side, bytes: &[u8]) -> Result<String, FormatError> {
    let id = PackId(*blake3::hash(&crate::pack::base(side)).as_bytes());
    let index = PackIndex::parse(bytes, id, side.suite, side.repository)?;
    let secrets = side.domain().table_secrets(&index.header)?;
    let offset = index.pack_len - (index.table.len() + TRAILER_LEN) as u64;
    Ok(format!("{:?}", open_table(&secrets, index.table, index.header.prefix.class, offset)?))
}

fn segment(side: &Side, bytes: &[u8]) -> Result<String, FormatError> {
    pages_in_file(bytes.len() as u64)?;
    let prefix = Prefix::parse(bytes, ObjectKind::Segment, side.suite, side.repository)?;
    let secrets = side.domain().segment_secrets(&prefix)?;
    let (header, pages) = bytes.split_at(HEADER_LEN);
    let matches = header[PREFIX_LEN..].first_chunk().is_some_and(|stored| secrets.commitment.matches(stored));
    if !matches {
        return Err(broken("R-SEAL-1", "its commitment is wrong"));
    }
    Ok(format!("{:?}", WholeSegment::parse(&open_pages(&secrets.key, pages.to_vec())?)?))
}

/// All chunks of a pack; and of a recipe, that its last chunk is the root of, all entries.
fn pack(repository: &Repository, bytes: &[u8], is_recipe: bool) -> Result<String, RepoError> {
    let id = PackId(*blake3::hash(bytes).as_bytes());
    let name = names::pack(id);
    repository.store.put(&name, bytes, Durability::Durable)?;
    let read = chunks(repository, id, bytes);
    repository.store.delete(&name)?;
    let chunks = read?;
    if !is_recipe {
        return Ok(format!("{chunks:?}"));
    }
    let mut fetch = |hash| -> Result<Vec<u8>, RepoError> {
        let found = chunks.iter().find(|(chunk, _)| chunk.hash == hash);
        Ok(found.unwrap().1.clone())
    };
    let mut recipe = RecipeReader::open(chunks.last().unwrap().0.hash, &mut fetch)?;
    let mut entries = Vec::new();
    while let Some(entry) = recipe.next(&mut fetch)? {
        entries.push(entry);
    }
    Ok(format!("{entries:?}"))
}

type Chunk = (containerarchive::base::ChunkId, Vec<u8>);

fn chunks(repository: &Repository, id: PackId, bytes: &[u8]) -> Result<Vec<Chunk>, RepoError> {
    let domain = repository.keys.domain(containerarchive::base::DomainId::MAIN)?.unwrap();
    let view = repository.view_pack(id, &domain)?;
    let mut reader = PackReader::new(domain);
    let mut chunks = Vec::new();
    for slot in 0..view.table.records().len() as u32 {
        let (record, offset) = view.table.get(slot).unwrap();
        if record.id.kind == containerarchive::base::Kind::Padding {
            continue;
        }
        let mut stored = bytes[offset as usize..offset as usize + record.stored_len as usize].to_vec();
        let mut plain = Vec::new();
        let run = [(slot, &record)].into_iter();
        match reader.open_run(&view, record.id.kind, run, &mut stored, &mut plain) {
            (_, Some(error)) => return Err(error),
            (_, None) => chunks.push((record.id, plain)),
        }
    }
    Ok(chunks)
}
