//! Manifests (`docs/FORMAT.md` section 12).

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::error::ensure;
use super::hex::{Base64, Hex};
use super::pages::{open_blob, seal_blob};
use super::prefix::{Class, ObjectKind, Prefix};
use super::text::{Common, TextObject, encode, from_json};
use super::{FormatError, names};
use crate::base::limits::{MAX_ITEMS, MAX_JSON_BYTES, MAX_NAME_BYTES, MAX_NAME_DEPTH, MAX_TEXT_BYTES};
use crate::base::{ChunkHash, DomainId, RepositoryId, SessionId, Timestamp};
use crate::crypto::{ObjectSecrets, Suite};

const KIND: &str = "manifest";
/// How many earlier manifests a manifest names.
pub const CHAIN_LEN: usize = 8;

/// A snapshot's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this description: 1.
    pub version: u32,
    /// The snapshot's id: that of the session that made it.
    pub id: SessionId,
    /// The time that the snapshot stands for.
    pub created_at: Timestamp,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// The snapshots that retention compares.
    pub series: String,
    /// The user's tags.
    pub tags: BTreeMap<String, String>,
    /// Bytes of content.
    pub original_size: u64,
    /// Bytes of the packs that this snapshot added.
    pub stored_size: u64,
    /// References to data chunks.
    pub chunk_count: u64,
    /// Of these, to chunks that this snapshot added.
    pub new_chunks: u64,
    /// Of these, to chunks that were there.
    pub reused_chunks: u64,
    /// What is in the snapshot.
    #[serde(deserialize_with = "super::strict::objects")]
    pub items: Vec<Item>,
    /// Where it was made.
    pub host: String,
    /// By whom.
    pub user: String,
    /// How long it took.
    pub duration_ms: u64,
    /// The newest manifests of the domain when it was committed.
    #[serde(deserialize_with = "super::strict::objects")]
    pub previous: Vec<Previous>,
}

/// One named stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// A relative path.
    pub name: String,
    /// The user's word for what it is.
    #[serde(rename = "type")]
    pub item_type: String,
    /// Bytes of content.
    pub size: u64,
    /// Kind of the root chunk.
    #[serde(deserialize_with = "super::strict::word")]
    pub content: Content,
    /// Hash of the root chunk.
    pub root: ChunkHash,
    /// Kept free for captured commands.
    #[serde(default)]
    pub evidence: Option<serde_json::Value>,
}

/// What an item's root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// The root of a recipe.
    Recipe,
}

/// A link of the chain of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The snapshot.
    pub id: SessionId,
    /// BLAKE3 of its manifest's stored bytes.
    pub blake3: Hex<32>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    suite: u16,
    domain: DomainId,
    committed: Timestamp,
    salt: Hex<32>,
    enc: Hex<32>,
    commitment: Hex<32>,
    pages: Base64,
}

/// Why an item name cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemNameError {
    /// Its length or its number of components.
    #[error("it is empty, longer than {MAX_NAME_BYTES} bytes or deeper than {MAX_NAME_DEPTH} folders")]
    Length,
    /// It could leave the folder that it is restored to.
    #[error("it has an empty, '.' or '..' component, or starts or ends with '/'")]
    Component,
    /// It could confuse a terminal.
    #[error("it has a control character")]
    Control,
}

/// Checks one item name (R-MANIFEST-2).
///
/// # Errors
/// The first rule that it breaks.
pub fn check_item_name(name: &str) -> Result<(), ItemNameError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.split('/').count() > MAX_NAME_DEPTH {
        return Err(ItemNameError::Length);
    }
    if name.split('/').any(|component| matches!(component, "" | "." | "..")) {
        return Err(ItemNameError::Component);
    }
    if name.chars().any(char::is_control) {
        return Err(ItemNameError::Control);
    }
    Ok(())
}

/// Whether a text that users give can stand in a manifest: at most 4,096 bytes, no control characters (R-MANIFEST-5).
#[must_use]
pub fn is_good_text(text: &str) -> bool {
    text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control)
}

/// The first name that is there twice, or is a folder of another one.
#[must_use]
pub fn clashing_name<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let mut seen = HashSet::new();
    for name in names.clone() {
        if !seen.insert(name) {
            return Some(name);
        }
    }
    let mut names = names;
    names.find(|name| name.match_indices('/').any(|(end, _)| seen.contains(&name[..end])))
}

impl Manifest {
    /// The bytes of the manifest's object.
    ///
    /// # Errors
    /// The members cannot be written, or a primitive failed.
    pub fn seal(
        &self,
        prefix: &Prefix,
        secrets: &ObjectSecrets,
        enc: [u8; 32],
    ) -> Result<Vec<u8>, FormatError> {
        debug_assert!(prefix.kind == ObjectKind::Manifest && prefix.session == self.id);
        let json =
            serde_json::to_vec(self).map_err(|error| FormatError::broken("R-TEXT-5", error.to_string()))?;
        let mut pages = Vec::new();
        seal_blob(&secrets.key, &json, &mut pages)?;
        let envelope = Envelope {
            suite: prefix.suite.number(),
            domain: prefix.domain,
            committed: self.committed_at,
            salt: Hex(prefix.salt),
            enc: Hex(enc),
            commitment: Hex(secrets.commitment.0),
            pages: Base64(pages),
        };
        encode(&Common::new(KIND, prefix.repository, &names::manifest(self.id)), &envelope, None)
    }

    fn check(&self) -> Result<(), FormatError> {
        const NAMES: &str = "R-MANIFEST-2";
        if self.version != 1 {
            return Err(FormatError::Version { version: self.version.into() });
        }
        ensure(self.previous.len() <= CHAIN_LEN, "R-MANIFEST-4", "it names more than eight earlier ones")?;
        ensure((1..=MAX_ITEMS).contains(&self.items.len()), NAMES, "it has no items, or more than 100,000")?;
        for item in &self.items {
            check_item_name(&item.name)
                .map_err(|error| FormatError::broken(NAMES, format!("an item's name: {error}")))?;
        }
        let texts = [&self.series, &self.host, &self.user].into_iter();
        let texts = texts.chain(self.tags.iter().flat_map(|(key, value)| [key, value]));
        let mut texts = texts.chain(self.items.iter().map(|item| &item.item_type));
        ensure(
            texts.all(|text| is_good_text(text)),
            "R-MANIFEST-5",
            "a text is too long or has control characters",
        )?;
        let clash = clashing_name(self.items.iter().map(|item| item.name.as_str()));
        ensure(clash.is_none(), NAMES, "two items have the same name, or one is a folder of the other")
    }
}

/// A manifest whose digest is right, not yet opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedManifest {
    /// For the derivation of its key; not trusted before it was opened.
    pub prefix: Prefix,
    /// HPKE's encapsulated key.
    pub enc: [u8; 32],
    /// When it was committed; not trusted before it was opened.
    pub committed: Timestamp,
    commitment: [u8; 32],
    pages: Vec<u8>,
}

impl SealedManifest {
    /// Reads the envelope.
    ///
    /// # Errors
    /// It is damaged, or not this snapshot's.
    pub fn parse(
        bytes: &[u8],
        suite: Suite,
        repository: RepositoryId,
        id: SessionId,
    ) -> Result<Self, FormatError> {
        let object = TextObject::parse(bytes, MAX_JSON_BYTES)?;
        object.check_signature(None)?;
        let envelope: Envelope = object.body(&Common::new(KIND, repository, &names::manifest(id)))?;
        ensure(envelope.suite == suite.number(), "R-PREFIX-1", "it is sealed by another suite")?;
        let in_main = envelope.domain == DomainId::MAIN;
        ensure(suite != Suite::Plain || in_main, "R-PREFIX-2", "its domain is not the main one")?;
        let has_enc = envelope.enc.0 != [0; 32];
        ensure(
            suite != Suite::Plain || !has_enc,
            "R-PREFIX-2",
            "it has an encapsulated key in a plain repository",
        )?;
        let prefix = Prefix {
            kind: ObjectKind::Manifest,
            suite,
            class: Class::None,
            repository,
            domain: envelope.domain,
            session: id,
            salt: envelope.salt.0,
        };
        Ok(Self {
            prefix,
            enc: envelope.enc.0,
            committed: envelope.committed,
            commitment: envelope.commitment.0,
            pages: envelope.pages.0,
        })
    }

    /// Opens the manifest.
    ///
    /// # Errors
    /// It is damaged, or breaks a rule of section 12.
    pub fn open(self, secrets: &ObjectSecrets) -> Result<Manifest, FormatError> {
        ensure(secrets.commitment.matches(&self.commitment), "R-SEAL-1", "its commitment is wrong")?;
        let json = open_blob(&secrets.key, self.pages)?;
        let manifest: Manifest = from_json(&json, "R-TEXT-5")?;
        ensure(manifest.id == self.prefix.session, "R-MANIFEST-1", "it describes another snapshot")?;
        ensure(
            manifest.committed_at == self.committed,
            "R-MANIFEST-1",
            "its time of commit is another one inside",
        )?;
        manifest.check()?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_names_cannot_leave_their_folder_or_confuse_a_terminal() {
        for good in ["a", "a/b.sql", "ä ö/…", ".hidden", "..a"] {
            assert_eq!(check_item_name(good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a\0b", "a\u{1b}[2J", "a\u{9b}b", "a\nb"] {
            assert!(check_item_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_item_name(&"a".repeat(4097)).is_err());
    }

    #[test]
    fn names_that_could_not_be_restored_together_clash() {
        assert_eq!(clashing_name(["a", "b", "a/b"].into_iter()), Some("a/b"));
        assert_eq!(clashing_name(["a", "b", "a"].into_iter()), Some("a"));
        assert_eq!(clashing_name(["a/b", "a/c", "ab"].into_iter()), None);
    }
}
