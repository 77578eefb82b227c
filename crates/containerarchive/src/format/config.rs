//! `config.json` (`docs/FORMAT.md` section 6).

use serde::{Deserialize, Serialize};

use super::error::ensure;
use super::text::{Common, TextObject, encode};
use super::{FormatError, names};
use crate::base::limits::MAX_SMALL_JSON_BYTES;
use crate::base::{RepositoryId, Timestamp};
use crate::chunk::ChunkParams;
use crate::crypto::{Signer, Suite, Verifier};

/// What never changes in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The repository's id.
    pub repository: RepositoryId,
    /// Counts the configs of this repository.
    pub serial: u64,
    /// When the repository was made.
    pub created: Timestamp,
    /// How it seals.
    pub suite: Suite,
    /// How content is cut.
    pub chunking: ChunkParams,
    /// Its store may show stale reads and listings.
    pub is_weak_store: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    version: u64,
    serial: u64,
    created: Timestamp,
    requires: Vec<String>,
    suite: u64,
    chunk_hash: String,
    #[serde(deserialize_with = "super::strict::object")]
    chunking: Chunking,
    weak_store: bool,
}

#[derive(Serialize, Deserialize)]
struct Chunking {
    algorithm: String,
    min: usize,
    average: usize,
    max: usize,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

#[derive(Deserialize)]
struct RequiresOnly {
    requires: Vec<String>,
}

const KIND: &str = "config";
const ALGORITHM: &str = "fastcdc-nc2";

fn chunk_hash(suite: Suite) -> &'static str {
    match suite {
        Suite::Plain => "sha-256",
        Suite::X25519 => "hmac-sha-256",
    }
}

impl Config {
    /// The bytes of `config.json`; signed if the repository is encrypted.
    ///
    /// # Errors
    /// The members cannot be written as JSON.
    pub fn encode(&self, signer: Option<&Signer>) -> Result<Vec<u8>, FormatError> {
        let body = Body {
            version: 1,
            serial: self.serial,
            created: self.created,
            requires: Vec::new(),
            suite: self.suite.number().into(),
            chunk_hash: chunk_hash(self.suite).to_owned(),
            chunking: Chunking {
                algorithm: ALGORITHM.to_owned(),
                min: self.chunking.min(),
                average: self.chunking.average(),
                max: self.chunking.max(),
            },
            weak_store: self.is_weak_store,
        };
        encode(&Common::new(KIND, self.repository, &names::config()), &body, signer)
    }
}

/// A config whose signature is not yet verified: good for finding the key slots, and for nothing else.
#[derive(Debug)]
pub struct UnverifiedConfig<'a> {
    object: TextObject<'a>,
    config: Config,
}

impl<'a> UnverifiedConfig<'a> {
    /// Reads a config.
    ///
    /// # Errors
    /// It is damaged, or this version cannot read the repository.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let object = TextObject::parse(bytes, MAX_SMALL_JSON_BYTES)?;
        // A later version may have other members, so the version is looked at alone and first.
        let VersionOnly { version } = object.members()?;
        if version != 1 {
            return Err(FormatError::Version { version });
        }
        let common: Common = object.members()?;
        let RequiresOnly { requires } = object.members()?;
        if let Some(name) = requires.first() {
            return Err(FormatError::Feature { name: name.chars().take(100).collect() });
        }
        let body: Body = object.body(&Common::new(KIND, common.repository, &names::config()))?;
        ensure(body.serial >= 1, "R-CONFIG-2", "its serial is 0")?;
        let suite = u16::try_from(body.suite)
            .ok()
            .and_then(Suite::from_number)
            .filter(|suite| chunk_hash(*suite) == body.chunk_hash)
            .ok_or_else(|| FormatError::broken("R-CONFIG-4", "its suite or its chunk hash is not known"))?;
        ensure(body.chunking.algorithm == ALGORITHM, "R-CONFIG-5", "its chunking algorithm is not known")?;
        let chunking = &body.chunking;
        let chunking = ChunkParams::new(chunking.min, chunking.average, chunking.max)
            .map_err(|error| FormatError::broken("R-CONFIG-5", error.to_string()))?;
        let config = Config {
            repository: common.repository,
            serial: body.serial,
            created: body.created,
            suite,
            chunking,
            is_weak_store: body.weak_store,
        };
        Ok(Self { object, config })
    }

    /// Its suite, not yet to be trusted.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.config.suite
    }

    /// Its repository id, not yet to be trusted.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.config.repository
    }

    /// The config, once its signature is right; a plain one has none.
    ///
    /// # Errors
    /// The signature is wrong.
    pub fn verify(self, verifier: Option<&Verifier>) -> Result<Config, FormatError> {
        self.object.check_signature(verifier)?;
        Ok(self.config)
    }
}
