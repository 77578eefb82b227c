//! Sessions (`docs/FORMAT.md` section 13).

use serde::{Deserialize, Serialize};

use super::error::ensure;
use super::hex::{Base64, Hex};
use super::pages::{open_blob, seal_blob};
use super::prefix::{Class, ObjectKind, Prefix};
use super::text::{Common, TextObject, encode, from_json};
use super::{FormatError, names};
use crate::base::limits::MAX_SMALL_JSON_BYTES;
use crate::base::{DomainId, RepositoryId, SessionId, Timestamp};
use crate::crypto::{ObjectSecrets, Suite};

const KIND: &str = "session";

/// Who runs a session, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// The verb.
    pub operation: String,
    /// The host's name.
    pub host: String,
    /// The user's name.
    pub user: String,
    /// The process.
    pub pid: u32,
    /// When it began.
    pub started: Timestamp,
    /// The snapshots that it reads, if only some: they are not forgotten before it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SessionId>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    suite: u16,
    domain: DomainId,
    salt: Hex<32>,
    commitment: Hex<32>,
    pages: Base64,
}

impl SessionInfo {
    /// The bytes of the session's object.
    ///
    /// # Errors
    /// A primitive failed.
    pub fn seal(&self, prefix: &Prefix, secrets: &ObjectSecrets) -> Result<Vec<u8>, FormatError> {
        debug_assert!(prefix.kind == ObjectKind::Session);
        let json =
            serde_json::to_vec(self).map_err(|error| FormatError::broken("R-TEXT-5", error.to_string()))?;
        let mut pages = Vec::new();
        seal_blob(&secrets.key, &json, &mut pages)?;
        let envelope = Envelope {
            suite: prefix.suite.number(),
            domain: prefix.domain,
            salt: Hex(prefix.salt),
            commitment: Hex(secrets.commitment.0),
            pages: Base64(pages),
        };
        encode(&Common::new(KIND, prefix.repository, &names::session(prefix.session)), &envelope, None)
    }
}

/// A session whose digest is right, not yet opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSession {
    /// For the derivation of its key.
    pub prefix: Prefix,
    commitment: [u8; 32],
    pages: Vec<u8>,
}

impl SealedSession {
    /// Reads the envelope.
    ///
    /// # Errors
    /// It is damaged, or another session's.
    pub fn parse(
        bytes: &[u8],
        suite: Suite,
        repository: RepositoryId,
        id: SessionId,
    ) -> Result<Self, FormatError> {
        let object = TextObject::parse(bytes, MAX_SMALL_JSON_BYTES)?;
        object.check_signature(None)?;
        let envelope: Envelope = object.body(&Common::new(KIND, repository, &names::session(id)))?;
        ensure(envelope.suite == suite.number(), "R-PREFIX-1", "it is sealed by another suite")?;
        let in_main = envelope.domain == DomainId::MAIN;
        ensure(suite != Suite::Plain || in_main, "R-PREFIX-2", "its domain is not the main one")?;
        let prefix = Prefix {
            kind: ObjectKind::Session,
            suite,
            class: Class::None,
            repository,
            domain: envelope.domain,
            session: id,
            salt: envelope.salt.0,
        };
        Ok(Self { prefix, commitment: envelope.commitment.0, pages: envelope.pages.0 })
    }

    /// Opens the session.
    ///
    /// # Errors
    /// It is damaged.
    pub fn open(self, secrets: &ObjectSecrets) -> Result<SessionInfo, FormatError> {
        ensure(secrets.commitment.matches(&self.commitment), "R-SEAL-1", "its commitment is wrong")?;
        from_json(&open_blob(&secrets.key, self.pages)?, "R-TEXT-5")
    }
}
