//! The first 96 bytes of binary objects, and of the key derivation of sealed JSON objects.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 2 | format version |
//! | 10 | 2 | object kind |
//! | 12 | 2 | suite |
//! | 14 | 1 | class |
//! | 15 | 1 | zero |
//! | 16 | 16 | repository id |
//! | 32 | 16 | domain id |
//! | 48 | 16 | session id |
//! | 64 | 32 | salt |

use super::FormatError;
use super::error::ensure;
use crate::base::codec::Reader;
use crate::base::{DomainId, RepositoryId, SessionId};
use crate::crypto::Suite;

/// Starts like a PNG does, so that a transfer that changes line ends or strips the eighth bit shows at once.
const MAGIC: [u8; 8] = *b"\x89CAR\r\n\x1a\n";
const VERSION: u16 = 1;
const RULE: &str = "R-PREFIX-1";

/// Bytes of a prefix.
pub const PREFIX_LEN: usize = 8 + 2 + 2 + 2 + 1 + 1 + 16 + 16 + 16 + 32;
const _: () = assert!(PREFIX_LEN == 96);

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum ObjectKind {
    /// A pack.
    Pack = 1,
    /// A pack index.
    PackIndex = 2,
    /// An index segment.
    Segment = 3,
    /// A parity shard.
    Shard = 4,
    /// A session.
    Session = 5,
    /// A manifest.
    Manifest = 6,
}

/// What a pack's chunks are, or those of the packs that a parity shard protects; 0 in all other objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Not a pack.
    None = 0,
    /// Data chunks.
    Data = 1,
    /// Recipe and tree chunks.
    Structure = 2,
}

impl Class {
    /// The class with this number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::None),
            1 => Some(Self::Data),
            2 => Some(Self::Structure),
            _ => None,
        }
    }
}

/// The fields of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// What the object is.
    pub kind: ObjectKind,
    /// How it is sealed.
    pub suite: Suite,
    /// Of a pack and its index.
    pub class: Class,
    /// Where it belongs.
    pub repository: RepositoryId,
    /// Whose keys seal it.
    pub domain: DomainId,
    /// Which session wrote it.
    pub session: SessionId,
    /// Fresh random bytes.
    pub salt: [u8; 32],
}

impl Prefix {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; PREFIX_LEN] {
        let mut bytes = [0; PREFIX_LEN];
        let fields: [&[u8]; 9] = [
            &MAGIC,
            &VERSION.to_le_bytes(),
            &(self.kind as u16).to_le_bytes(),
            &self.suite.number().to_le_bytes(),
            &[self.class as u8, 0],
            self.repository.as_bytes(),
            self.domain.as_bytes(),
            self.session.as_bytes(),
            &self.salt,
        ];
        let mut offset = 0;
        for field in fields {
            bytes[offset..offset + field.len()].copy_from_slice(field);
            offset += field.len();
        }
        debug_assert_eq!(offset, PREFIX_LEN);
        bytes
    }

    /// Reads and checks a prefix (R-PREFIX-1, R-PREFIX-2).
    ///
    /// # Errors
    /// It is not one of this kind, in this repository.
    pub fn parse(
        bytes: &[u8],
        kind: ObjectKind,
        suite: Suite,
        repository: RepositoryId,
    ) -> Result<Self, FormatError> {
        let short = FormatError::short(RULE);
        let mut reader = Reader::new(bytes);
        ensure(
            reader.array().map_err(&short)? == MAGIC,
            RULE,
            "it does not start like an object of a repository",
        )?;
        let version = reader.u16().map_err(&short)?;
        if version > VERSION {
            return Err(FormatError::Version { version: version.into() });
        }
        ensure(version == VERSION, RULE, "its format version is 0")?;
        ensure(reader.u16().map_err(&short)? == kind as u16, RULE, "it is an object of another kind")?;
        ensure(reader.u16().map_err(&short)? == suite.number(), RULE, "it is sealed by another suite")?;
        let class = Class::from_byte(reader.u8().map_err(&short)?);
        let is_pack = matches!(kind, ObjectKind::Pack | ObjectKind::PackIndex | ObjectKind::Shard);
        let class = class.filter(|class| is_pack != (*class == Class::None));
        let class = class.ok_or_else(|| FormatError::broken(RULE, "its class is wrong"))?;
        ensure(reader.u8().map_err(&short)? == 0, RULE, "a reserved byte is not zero")?;
        let stated = RepositoryId(reader.array().map_err(&short)?);
        ensure(stated == repository, RULE, "it belongs to another repository")?;
        let domain = DomainId(reader.array().map_err(&short)?);
        ensure(
            suite != Suite::Plain || domain == DomainId::MAIN,
            "R-PREFIX-2",
            "its domain is not the main one",
        )?;
        let session = SessionId(reader.array().map_err(&short)?);
        let salt = reader.array().map_err(&short)?;
        Ok(Self { kind, suite, class, repository, domain, session, salt })
    }
}
