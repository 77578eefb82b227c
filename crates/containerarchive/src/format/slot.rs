//! Key slots (`docs/FORMAT.md` section 7).

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::error::ensure;
use super::hex::{Hex, HexBytes};
use super::text::{Common, TextObject, encode, from_json};
use super::{FormatError, names};
use crate::base::limits::MAX_SMALL_JSON_BYTES;
use crate::base::{DomainId, RepositoryId, SlotId, Timestamp};
use crate::crypto::{Argon2Params, DomainPublicKey, DomainSecret, RootKey, SlotSecrets, Suite, Verifier};

const KIND: &str = "key";
const NONCE: [u8; 12] = [0; 12];
/// The text is filled up to a multiple of this, so that its length says little.
const TEXT_STEP: usize = 256;
const WRITE_PAYLOAD_LEN: usize = 16 + 32 + 2 + 32 + 32;

/// What a slot allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Everything.
    Admin,
    /// Adding snapshots to one domain.
    Write,
}

/// How the slot's key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKdf {
    /// From a passphrase.
    Argon2id(Argon2Params),
    /// From a key file.
    KeyFile,
}

/// What a slot gives to whoever opens it.
pub enum SlotPayload {
    /// The root.
    Admin(RootKey),
    /// What a writer of one domain needs.
    Write(WriteKeys),
}

/// Payload of a write slot.
pub struct WriteKeys {
    /// The domain.
    pub domain: DomainId,
    /// Its secret.
    pub secret: DomainSecret,
    /// Its HPKE public key.
    pub public: DomainPublicKey,
    /// Verifies what admins signed.
    pub verifier: Verifier,
}

/// What only admins can read of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotText {
    /// The user's label, may be empty.
    pub label: String,
    /// The slot's domain.
    pub domain: DomainId,
    /// The domain's name, if it has one.
    #[serde(deserialize_with = "super::strict::nullable")]
    pub domain_name: Option<String>,
}

/// A key slot whose digest is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its id.
    pub id: SlotId,
    /// What it allows.
    pub capability: Capability,
    /// When it was made.
    pub created: Timestamp,
    /// How its key is made.
    pub kdf: SlotKdf,
    /// Salt of the KDF.
    pub salt: [u8; 32],
    repository: RepositoryId,
    commitment: [u8; 32],
    sealed: Vec<u8>,
    text: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(deserialize_with = "super::strict::word")]
    capability: Capability,
    created: Timestamp,
    #[serde(deserialize_with = "super::strict::object")]
    kdf: Kdf,
    salt: Hex<32>,
    commitment: Hex<32>,
    sealed: HexBytes,
    text: HexBytes,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Kdf {
    Argon2id {
        #[serde(rename = "memoryKiB")]
        memory_kib: u64,
        passes: u64,
        lanes: u64,
    },
    KeyFile,
}

/// What decides how the other members are read.
#[derive(Deserialize)]
struct Sort {
    capability: String,
    #[serde(deserialize_with = "super::strict::object")]
    kdf: AlgorithmOnly,
}

#[derive(Deserialize)]
struct AlgorithmOnly {
    algorithm: String,
}

impl Sort {
    /// Whether this version knows such slots (R-SLOT-5).
    fn check(&self) -> Result<(), FormatError> {
        const RULE: &str = "R-SLOT-5";
        let known = matches!(self.capability.as_str(), "admin" | "write");
        ensure(known, RULE, "its capability is not known")?;
        let known = matches!(self.kdf.algorithm.as_str(), "argon2id" | "key-file");
        ensure(known, RULE, "its key derivation is not known")
    }
}

/// Numbers beyond 32 bits are outside of the limits as well.
fn argon2_params(memory_kib: u64, passes: u64, lanes: u64) -> Result<Argon2Params, FormatError> {
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Argon2Params::new(narrow(memory_kib), narrow(passes), narrow(lanes))
        .map_err(|error| FormatError::broken("R-SLOT-1", error.to_string()))
}

/// What a new slot is made of.
pub struct NewSlot<'a> {
    /// Fresh, never used before.
    pub id: SlotId,
    /// When.
    pub created: Timestamp,
    /// How its key was made.
    pub kdf: SlotKdf,
    /// Fresh.
    pub salt: [u8; 32],
    /// From the passphrase or key file with `kdf` and `salt`.
    pub secrets: &'a SlotSecrets,
    /// Goes inside.
    pub payload: &'a SlotPayload,
    /// Label and domain.
    pub text: &'a SlotText,
}

impl Slot {
    /// Seals a new slot.
    ///
    /// # Errors
    /// A primitive failed.
    pub fn seal(repository: RepositoryId, root: &RootKey, new: &NewSlot<'_>) -> Result<Self, FormatError> {
        let capability = match new.payload {
            SlotPayload::Admin(_) => Capability::Admin,
            SlotPayload::Write(_) => Capability::Write,
        };
        let mut slot = Self {
            id: new.id,
            capability,
            created: new.created,
            kdf: new.kdf,
            salt: new.salt,
            repository,
            commitment: new.secrets.commitment.0,
            sealed: Vec::new(),
            text: Vec::new(),
        };
        let mut payload = encode_payload(new.payload);
        let tag = new.secrets.key.seal(NONCE, &slot.associated_data(), &mut payload)?;
        slot.sealed = [payload.as_slice(), &tag].concat();
        let mut text = serde_json::to_vec(new.text)
            .map_err(|error| FormatError::broken("R-TEXT-5", error.to_string()))?;
        text.resize(text.len().next_multiple_of(TEXT_STEP), b' ');
        let tag = root.slot_text_key(&repository, new.id)?.seal(NONCE, b"", &mut text)?;
        slot.text = [text.as_slice(), &tag].concat();
        Ok(slot)
    }

    /// The bytes of the object.
    ///
    /// # Errors
    /// The members cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        let kdf = match self.kdf {
            SlotKdf::Argon2id(params) => Kdf::Argon2id {
                memory_kib: params.memory_kib().into(),
                passes: params.passes().into(),
                lanes: params.lanes().into(),
            },
            SlotKdf::KeyFile => Kdf::KeyFile,
        };
        let body = Body {
            capability: self.capability,
            created: self.created,
            kdf,
            salt: Hex(self.salt),
            commitment: Hex(self.commitment),
            sealed: HexBytes(self.sealed.clone()),
            text: HexBytes(self.text.clone()),
        };
        encode(&Common::new(KIND, self.repository, &names::slot(self.id)), &body, None)
    }

    /// Reads a slot.
    ///
    /// # Errors
    /// It is damaged, of a sort that this version does not know (R-SLOT-5), or its parameters are outside of the limits
    /// (R-SLOT-1).
    pub fn parse(bytes: &[u8], repository: RepositoryId, id: SlotId) -> Result<Self, FormatError> {
        let object = TextObject::parse(bytes, MAX_SMALL_JSON_BYTES)?;
        object.check_signature(None)?;
        let common = Common::new(KIND, repository, &names::slot(id));
        object.body::<Sort>(&common)?.check()?;
        let body: Body = object.body(&common)?;
        let kdf = match body.kdf {
            Kdf::KeyFile => SlotKdf::KeyFile,
            Kdf::Argon2id { memory_kib, passes, lanes } => {
                SlotKdf::Argon2id(argon2_params(memory_kib, passes, lanes)?)
            }
        };
        Ok(Self {
            id,
            capability: body.capability,
            created: body.created,
            kdf,
            salt: body.salt.0,
            repository,
            commitment: body.commitment.0,
            sealed: body.sealed.0,
            text: body.text.0,
        })
    }

    /// Opens the payload. `None` if the passphrase or key file is not this slot's (R-SLOT-2).
    ///
    /// # Errors
    /// The secrets are right and the slot is damaged.
    pub fn open(&self, secrets: &SlotSecrets) -> Result<Option<SlotPayload>, FormatError> {
        if !secrets.commitment.matches(&self.commitment) {
            return Ok(None);
        }
        let mut sealed = Zeroizing::new(self.sealed.clone());
        let payload = secrets
            .key
            .open(NONCE, &self.associated_data(), &mut sealed)
            .map_err(|error| FormatError::broken("R-SLOT-2", format!("its payload is damaged: {error}")))?;
        let payload = decode_payload(self.capability, payload);
        payload
            .map(Some)
            .ok_or_else(|| FormatError::broken("R-SLOT-3", "its payload has another length or suite"))
    }

    /// Label and domain, for admins.
    ///
    /// # Errors
    /// The text is damaged.
    pub fn open_text(&self, root: &RootKey) -> Result<SlotText, FormatError> {
        let mut text = self.text.clone();
        let key = root.slot_text_key(&self.repository, self.id)?;
        let text = key
            .open(NONCE, b"", &mut text)
            .map_err(|error| FormatError::broken("R-SEAL-2", format!("its text is damaged: {error}")))?;
        from_json(text, "R-TEXT-5")
    }

    fn associated_data(&self) -> Vec<u8> {
        let capability = match self.capability {
            Capability::Admin => 1,
            Capability::Write => 2,
        };
        let (algorithm, memory_kib, passes, lanes) = match self.kdf {
            SlotKdf::Argon2id(params) => (1, params.memory_kib(), params.passes(), params.lanes()),
            SlotKdf::KeyFile => (2, 0, 0, 0),
        };
        [
            b"containerarchive/1 slot\0".as_slice(),
            self.repository.as_bytes(),
            self.id.as_bytes(),
            &[capability, algorithm],
            &memory_kib.to_le_bytes(),
            &passes.to_le_bytes(),
            &lanes.to_le_bytes(),
            &self.salt,
        ]
        .concat()
    }
}

fn encode_payload(payload: &SlotPayload) -> Zeroizing<Vec<u8>> {
    // The exact capacity keeps the secret from being copied by a growing vector.
    let mut bytes = Zeroizing::new(Vec::with_capacity(WRITE_PAYLOAD_LEN));
    match payload {
        SlotPayload::Admin(root) => bytes.extend_from_slice(root.expose()),
        SlotPayload::Write(keys) => {
            bytes.extend_from_slice(keys.domain.as_bytes());
            bytes.extend_from_slice(keys.secret.expose());
            bytes.extend_from_slice(&Suite::X25519.number().to_le_bytes());
            bytes.extend_from_slice(&keys.public.0);
            bytes.extend_from_slice(&keys.verifier.0);
        }
    }
    bytes
}

fn decode_payload(capability: Capability, bytes: &mut [u8]) -> Option<SlotPayload> {
    let payload = match capability {
        Capability::Admin => SlotPayload::Admin(RootKey::new(<[u8; 32]>::try_from(&*bytes).ok()?)),
        Capability::Write => {
            let bytes: &[u8; WRITE_PAYLOAD_LEN] = (&*bytes).try_into().ok()?;
            let (domain, rest) = bytes.split_first_chunk::<16>()?;
            let (secret, rest) = rest.split_first_chunk::<32>()?;
            let (suite, rest) = rest.split_first_chunk::<2>()?;
            let (public, rest) = rest.split_first_chunk::<32>()?;
            if u16::from_le_bytes(*suite) != Suite::X25519.number() {
                return None;
            }
            SlotPayload::Write(WriteKeys {
                domain: DomainId(*domain),
                secret: DomainSecret::new(*secret),
                public: DomainPublicKey(*public),
                verifier: Verifier(rest.try_into().ok()?),
            })
        }
    };
    bytes.zeroize();
    Some(payload)
}
