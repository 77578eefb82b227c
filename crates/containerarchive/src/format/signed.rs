//! Fences, voids and records: small facts that admins sign (`docs/FORMAT.md` section 13).

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::FormatError;
use super::error::ensure;
use super::hex::Hex;
use super::names::{self, RecordKind};
use super::parity_level::Parity;
use super::text::{Common, TextObject, encode};
use crate::base::limits::{MAX_JSON_BYTES, MAX_SMALL_JSON_BYTES};
use crate::base::{ObjectName, PackId, RecordId, RepositoryId, SessionId, Timestamp};
use crate::compress::Compression;
use crate::crypto::{Signer, Verifier};

/// Stops a dead session: of a fence or a void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The session that it stops.
    pub session: SessionId,
    /// When.
    pub created: Timestamp,
}

/// Names packs for deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retire {
    /// When.
    pub created: Timestamp,
    /// The packs.
    pub packs: Vec<PackId>,
}

/// Names snapshots that were removed on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// When.
    pub created: Timestamp,
    /// The snapshots.
    pub snapshots: Vec<SessionId>,
}

/// Keeps a snapshot from being removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// When.
    pub created: Timestamp,
    /// The snapshot, whose id is the record's.
    pub snapshot: SessionId,
}

/// What may change in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When.
    pub created: Timestamp,
    /// The highest one is in force.
    pub sequence: u64,
    /// How new chunks are compressed.
    pub compression: Compression,
    /// When a pack is finished.
    pub pack_size_bytes: u64,
    /// Protection of new packs.
    pub parity: Parity,
}

/// How deep a verification read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifiedLevel {
    /// The checksums of whole files.
    Standard,
    /// Every chunk.
    Full,
}

/// Says that packs and shards were read and checked: those whose ids begin with 8 bytes in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// When that began.
    pub created: Timestamp,
    /// How deep.
    pub level: VerifiedLevel,
    /// The range, both ends included.
    pub range: std::ops::RangeInclusive<u64>,
    /// Packs that were read.
    pub packs: u64,
    /// Errors that were found.
    pub damaged: u64,
}

/// Where an id that begins with these bytes is in the order of all ids.
#[must_use]
#[expect(clippy::big_endian_bytes, reason = "ids are compared as bytes, and so are the ends of a range")]
pub fn place_of(first: [u8; 8]) -> u64 {
    u64::from_be_bytes(first)
}

#[expect(clippy::big_endian_bytes, reason = "as above")]
fn bytes_of(place: u64) -> [u8; 8] {
    place.to_be_bytes()
}

/// [`Verified`] as it stands in a record.
#[derive(Serialize, Deserialize)]
pub struct StoredVerified {
    created: Timestamp,
    #[serde(deserialize_with = "super::strict::word")]
    level: VerifiedLevel,
    from: Hex<8>,
    to: Hex<8>,
    packs: u64,
    damaged: u64,
}

/// Settings as they stand in a record.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredSettings {
    created: Timestamp,
    sequence: u64,
    compression: String,
    pack_size_bytes: u64,
    parity: String,
}

/// Smallest pack size that can be set.
pub const MIN_PACK_SIZE: u64 = 64 << 10;
/// Largest pack size that can be set; a pack may become a chunk longer.
pub const MAX_PACK_SIZE: u64 = 256 << 20;

/// What an object of this room is called and what it says it is.
struct Place {
    kind: &'static str,
    name: ObjectName,
    max_bytes: usize,
}

fn seal<T: Serialize>(
    place: &Place,
    repository: RepositoryId,
    fact: &T,
    signer: Option<&Signer>,
) -> Result<Vec<u8>, FormatError> {
    encode(&Common::new(place.kind, repository, &place.name), fact, signer)
}

fn open<T: DeserializeOwned>(
    place: &Place,
    repository: RepositoryId,
    bytes: &[u8],
    verifier: Option<&Verifier>,
) -> Result<T, FormatError> {
    let object = TextObject::parse(bytes, place.max_bytes)?;
    object.check_signature(verifier)?;
    object.body(&Common::new(place.kind, repository, &place.name))
}

/// Which of the two objects that stop a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// The session must not commit any more.
    Fence,
    /// The session will never be a snapshot.
    Void,
}

impl StopKind {
    fn place(self, session: SessionId) -> Place {
        let (kind, name) = match self {
            Self::Fence => ("fence", names::fence(session)),
            Self::Void => ("void", names::void(session)),
        };
        Place { kind, name, max_bytes: MAX_SMALL_JSON_BYTES }
    }

    /// Name and bytes of the object that stops a session.
    ///
    /// # Errors
    /// The members cannot be written as JSON.
    pub fn seal(
        self,
        repository: RepositoryId,
        stop: &Stop,
        signer: Option<&Signer>,
    ) -> Result<(ObjectName, Vec<u8>), FormatError> {
        let place = self.place(stop.session);
        let bytes = seal(&place, repository, stop, signer)?;
        Ok((place.name, bytes))
    }

    /// Reads the object that stops a session.
    ///
    /// # Errors
    /// It is damaged, not signed, or another session's (R-SESSION-3).
    pub fn open(
        self,
        repository: RepositoryId,
        session: SessionId,
        bytes: &[u8],
        verifier: Option<&Verifier>,
    ) -> Result<Stop, FormatError> {
        let stop: Stop = open(&self.place(session), repository, bytes, verifier)?;
        ensure(stop.session == session, "R-SESSION-3", "it stops another session")?;
        Ok(stop)
    }
}

/// A fact of one of the kinds of records.
pub trait Fact: Sized {
    /// Its kind.
    const KIND: RecordKind;

    /// Its members as they are stored.
    type Stored: Serialize + DeserializeOwned;

    /// What is written.
    fn to_stored(&self) -> Self::Stored;

    /// Checks what the types of the members cannot say.
    ///
    /// # Errors
    /// A value is outside of its limits.
    fn from_stored(stored: Self::Stored) -> Result<Self, FormatError>;

    /// Checks what ties the members to the record's name.
    ///
    /// # Errors
    /// They belong to another record.
    fn check_id(&self, _id: RecordId) -> Result<(), FormatError> {
        Ok(())
    }

    /// Name and bytes of a record.
    ///
    /// # Errors
    /// The members cannot be written as JSON.
    fn seal_record(
        &self,
        repository: RepositoryId,
        id: RecordId,
        signer: Option<&Signer>,
    ) -> Result<(ObjectName, Vec<u8>), FormatError> {
        let place = record_place(Self::KIND, id);
        let bytes = seal(&place, repository, &self.to_stored(), signer)?;
        Ok((place.name, bytes))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// It is damaged, not signed, or another one.
    fn open_record(
        repository: RepositoryId,
        id: RecordId,
        bytes: &[u8],
        verifier: Option<&Verifier>,
    ) -> Result<Self, FormatError> {
        let fact = Self::from_stored(open(&record_place(Self::KIND, id), repository, bytes, verifier)?)?;
        fact.check_id(id)?;
        Ok(fact)
    }
}

fn record_place(kind: RecordKind, id: RecordId) -> Place {
    Place { kind: kind.word(), name: names::record(kind, id), max_bytes: MAX_JSON_BYTES }
}

impl Fact for Retire {
    const KIND: RecordKind = RecordKind::Retire;

    type Stored = Self;

    fn to_stored(&self) -> Self {
        self.clone()
    }

    fn from_stored(stored: Self) -> Result<Self, FormatError> {
        Ok(stored)
    }
}

impl Fact for Forget {
    const KIND: RecordKind = RecordKind::Forget;

    type Stored = Self;

    fn to_stored(&self) -> Self {
        self.clone()
    }

    fn from_stored(stored: Self) -> Result<Self, FormatError> {
        Ok(stored)
    }
}

impl Fact for Pin {
    const KIND: RecordKind = RecordKind::Pin;

    type Stored = Self;

    fn to_stored(&self) -> Self {
        self.clone()
    }

    fn from_stored(stored: Self) -> Result<Self, FormatError> {
        Ok(stored)
    }

    fn check_id(&self, id: RecordId) -> Result<(), FormatError> {
        ensure(names::pin_of(self.snapshot) == id, "R-RECORD-FILE-4", "it pins another snapshot")
    }
}

impl Fact for Settings {
    const KIND: RecordKind = RecordKind::Settings;

    type Stored = StoredSettings;

    fn to_stored(&self) -> StoredSettings {
        StoredSettings {
            created: self.created,
            sequence: self.sequence,
            compression: self.compression.to_string(),
            pack_size_bytes: self.pack_size_bytes,
            parity: self.parity.to_string(),
        }
    }

    fn from_stored(stored: StoredSettings) -> Result<Self, FormatError> {
        const RULE: &str = "R-RECORD-FILE-2";
        let good = (MIN_PACK_SIZE..=MAX_PACK_SIZE).contains(&stored.pack_size_bytes);
        ensure(good, RULE, "its pack size is outside of the limits")?;
        // What users may write shorter is stored in one form only.
        let compression: Option<Compression> = stored.compression.parse().ok();
        let compression = compression.filter(|parsed| parsed.to_string() == stored.compression);
        let compression =
            compression.ok_or_else(|| FormatError::broken(RULE, "its compression is not known"))?;
        let parity: Option<Parity> = stored.parity.parse().ok();
        let parity = parity.filter(|parsed| parsed.to_string() == stored.parity);
        let parity = parity.ok_or_else(|| FormatError::broken(RULE, "its parity is not known"))?;
        Ok(Self {
            created: stored.created,
            sequence: stored.sequence,
            compression,
            pack_size_bytes: stored.pack_size_bytes,
            parity,
        })
    }
}

impl Fact for Verified {
    const KIND: RecordKind = RecordKind::Verified;

    type Stored = StoredVerified;

    fn to_stored(&self) -> StoredVerified {
        StoredVerified {
            created: self.created,
            level: self.level,
            from: Hex(bytes_of(*self.range.start())),
            to: Hex(bytes_of(*self.range.end())),
            packs: self.packs,
            damaged: self.damaged,
        }
    }

    fn from_stored(stored: StoredVerified) -> Result<Self, FormatError> {
        let range = place_of(stored.from.0)..=place_of(stored.to.0);
        ensure(!range.is_empty(), "R-RECORD-FILE-3", "its range ends before it begins")?;
        let StoredVerified { created, level, packs, damaged, .. } = stored;
        Ok(Self { created, level, range, packs, damaged })
    }
}
