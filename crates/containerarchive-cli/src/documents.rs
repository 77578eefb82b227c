//! The JSON documents. Their member names are a promise; a change of meaning is a new schema number.

use std::collections::BTreeMap;

use containerarchive::format::slot::SlotKdf;
use containerarchive::{Capability, Item, Manifest, Problem, Repository, SlotView};
use serde::Serialize;

use crate::failure::Failure;

/// A document: its schema, members of its own, and what was not quite right.
#[derive(Serialize)]
pub(crate) struct Document<T> {
    schema: &'static str,
    #[serde(flatten)]
    content: T,
    problems: Vec<ProblemDocument>,
}

impl<T: Serialize> Document<T> {
    pub(crate) fn new(schema: &'static str, content: T, problems: Vec<ProblemDocument>) -> Self {
        Self { schema, content, problems }
    }
}

/// Something that did not end the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Problem"))]
pub(crate) struct ProblemDocument {
    /// `mended`, `damaged` or `warning`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    text: String,
}

impl From<&Problem> for ProblemDocument {
    fn from(problem: &Problem) -> Self {
        let (kind, object, text) = match problem {
            Problem::Mended { object, text } => ("mended", Some(object.clone()), text),
            Problem::Damaged { object, text } => ("damaged", Some(object.clone()), text),
            Problem::Warning { text } => ("warning", None, text),
        };
        Self { kind, object, text: text.clone() }
    }
}

/// An error, on the standard error.
#[derive(Serialize)]
pub(crate) struct ErrorDocument<'a> {
    schema: &'static str,
    error: ErrorContent<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ProblemDocument>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorContent<'a> {
    code: &'static str,
    message: &'a str,
    advice: &'a str,
    exit_code: u8,
    retryable: bool,
}

impl<'a> ErrorDocument<'a> {
    pub(crate) fn new(failure: &'a Failure, problems: Vec<ProblemDocument>) -> Self {
        let error = ErrorContent {
            code: failure.code().as_str(),
            message: failure.message(),
            advice: failure.advice(),
            exit_code: failure.exit_code(),
            retryable: failure.is_retryable(),
        };
        Self { schema: "containerarchive/error/1", error, problems }
    }
}

/// A snapshot.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Snapshot"))]
pub(crate) struct SnapshotDocument<'a> {
    id: String,
    version: u32,
    created_at: String,
    series: &'a str,
    tags: &'a BTreeMap<String, String>,
    original_size: u64,
    stored_size: u64,
    chunk_count: u64,
    new_chunks: u64,
    reused_chunks: u64,
    items: Vec<ItemDocument<'a>>,
    host: &'a str,
    user: &'a str,
    duration_ms: u64,
    /// No rule and no `forget` removes it.
    pinned: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Item"))]
pub(crate) struct ItemDocument<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    item_type: &'a str,
    size: u64,
    /// Of a captured command.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'a serde_json::Value>,
}

impl<'a> ItemDocument<'a> {
    fn new(item: &'a Item) -> Self {
        Self { name: &item.name, item_type: &item.item_type, size: item.size, evidence: None }
    }

    /// With how its command went, if it is the output of one.
    pub(crate) fn with_evidence(item: &'a Item) -> Self {
        Self { evidence: item.evidence.as_ref(), ..Self::new(item) }
    }
}

impl<'a> SnapshotDocument<'a> {
    /// Of one that may be pinned.
    pub(crate) fn pinned(self, pinned: bool) -> Self {
        Self { pinned, ..self }
    }

    /// Of one snapshot; listings leave evidence out, which may be kilobytes for each item.
    pub(crate) fn with_evidence(manifest: &'a Manifest) -> Self {
        Self {
            items: manifest.items.iter().map(ItemDocument::with_evidence).collect(),
            ..Self::from(manifest)
        }
    }
}

impl<'a> From<&'a Manifest> for SnapshotDocument<'a> {
    fn from(manifest: &'a Manifest) -> Self {
        Self {
            id: manifest.id.to_hex(),
            version: manifest.version,
            created_at: manifest.created_at.to_string(),
            series: &manifest.series,
            tags: &manifest.tags,
            original_size: manifest.original_size,
            stored_size: manifest.stored_size,
            chunk_count: manifest.chunk_count,
            new_chunks: manifest.new_chunks,
            reused_chunks: manifest.reused_chunks,
            items: manifest.items.iter().map(ItemDocument::new).collect(),
            host: &manifest.host,
            user: &manifest.user,
            duration_ms: manifest.duration_ms,
            pinned: false,
        }
    }
}

/// A repository.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "RepositoryInfo"))]
pub(crate) struct RepositoryDocument {
    pub(crate) repository: String,
    pub(crate) location: String,
    pub(crate) encrypted: bool,
    pub(crate) capability: &'static str,
    pub(crate) key: Option<String>,
    pub(crate) chunk_size: [usize; 3],
    pub(crate) compression: String,
    pub(crate) pack_size: u64,
    pub(crate) parity: String,
    pub(crate) created_at: String,
}

impl From<&Repository> for RepositoryDocument {
    fn from(repository: &Repository) -> Self {
        let chunking = &repository.config.chunking;
        Self {
            repository: repository.config.repository.to_hex(),
            location: repository.store.location(),
            encrypted: repository.is_encrypted(),
            capability: capability(repository.keys.capability()),
            key: repository.slot.map(|slot| slot.to_hex()),
            chunk_size: [chunking.min(), chunking.average(), chunking.max()],
            compression: repository.settings.compression.to_string(),
            pack_size: repository.settings.pack_size_bytes,
            parity: repository.settings.parity.to_string(),
            created_at: repository.config.created.to_string(),
        }
    }
}

/// The word for a capability.
pub(crate) fn capability(capability: Capability) -> &'static str {
    match capability {
        Capability::Admin => "admin",
        Capability::Write => "write",
    }
}

/// A key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyDocument<'a> {
    id: String,
    capability: &'static str,
    /// Like all text of a key, for admins only.
    label: Option<&'a str>,
    domain: Option<String>,
    domain_name: Option<&'a str>,
    created_at: String,
    kdf: KdfDocument,
    /// Whether this command was given it.
    used: bool,
}

#[derive(Serialize)]
#[serde(tag = "algorithm", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum KdfDocument {
    Argon2id {
        #[serde(rename = "memoryKiB")]
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
    KeyFile,
}

impl<'a> KeyDocument<'a> {
    pub(crate) fn new(view: &'a SlotView, repository: &Repository) -> Self {
        let text = view.text.as_ref();
        let kdf = match view.kdf {
            SlotKdf::KeyFile => KdfDocument::KeyFile,
            SlotKdf::Argon2id(params) => KdfDocument::Argon2id {
                memory_kib: params.memory_kib(),
                passes: params.passes(),
                lanes: params.lanes(),
            },
        };
        Self {
            id: view.id.to_hex(),
            capability: capability(view.capability),
            label: text.map(|text| text.label.as_str()),
            domain: text.map(|text| text.domain.to_hex()),
            domain_name: text.and_then(|text| text.domain_name.as_deref()),
            created_at: view.created.to_string(),
            kdf,
            used: repository.slot == Some(view.id),
        }
    }
}
