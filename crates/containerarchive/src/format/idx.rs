//! Pack indexes (`docs/FORMAT.md` section 9).
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 96 | prefix, salt zeros |
//! | 96 | 32 | pack id |
//! | 128 | 8 | length of the pack |
//! | 136 | 160 | the pack's header |
//! | 296 | … | the pack's bytes from the table on |
//! | end − 32 | 32 | BLAKE3 of everything before |

use super::FormatError;
use super::error::ensure;
use super::pack::{HEADER_LEN, PackHeader, TRAILER_LEN, parse_trailer};
use super::prefix::{ObjectKind, PREFIX_LEN, Prefix};
use crate::base::codec::Reader;
use crate::base::{PackId, RepositoryId};
use crate::crypto::{Suite, blake3_256};

const FIXED_LEN: usize = PREFIX_LEN + 32 + 8 + HEADER_LEN;
const _: () = assert!(FIXED_LEN == 296);
const DIGEST_LEN: usize = 32;

/// A pack index whose digest is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackIndex<'a> {
    /// Length of the pack in bytes.
    pub pack_len: u64,
    /// The pack's header.
    pub header: PackHeader,
    /// The pack's table with its commitment, to be opened like that of the pack.
    pub table: &'a [u8],
}

/// The bytes of a pack's index. `pack` is the whole pack, `tail_len` what [`super::pack::tail_len`] says.
#[must_use]
pub fn encode(id: PackId, header: &PackHeader, pack: &[u8], tail_len: usize) -> Vec<u8> {
    let prefix = Prefix { kind: ObjectKind::PackIndex, salt: [0; 32], ..header.prefix.clone() };
    let tail = &pack[pack.len() - tail_len..];
    let mut bytes = Vec::with_capacity(FIXED_LEN + tail.len() + DIGEST_LEN);
    bytes.extend_from_slice(&prefix.encode());
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&(pack.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&pack[..HEADER_LEN]);
    bytes.extend_from_slice(tail);
    let digest = blake3_256(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

impl<'a> PackIndex<'a> {
    /// Reads a pack index.
    ///
    /// # Errors
    /// It is damaged, or another pack's.
    pub fn parse(
        bytes: &'a [u8],
        id: PackId,
        suite: Suite,
        repository: RepositoryId,
    ) -> Result<Self, FormatError> {
        const RULE: &str = "R-IDX-1";
        const PARTS: &str = "R-IDX-2";
        let (body, digest) = bytes
            .split_last_chunk::<DIGEST_LEN>()
            .filter(|(body, _)| body.len() > FIXED_LEN + TRAILER_LEN)
            .ok_or_else(|| FormatError::broken(RULE, "it is cut short"))?;
        ensure(blake3_256(body) == *digest, RULE, "its BLAKE3 is wrong: it is damaged")?;
        let prefix = Prefix::parse(body, ObjectKind::PackIndex, suite, repository)?;
        ensure(prefix.salt == [0; 32], PARTS, "its salt is not zeros")?;
        let short = FormatError::short(RULE);
        let mut reader = Reader::new(&body[PREFIX_LEN..]);
        let stated = PackId(reader.array().map_err(&short)?);
        ensure(stated == id, RULE, "it is the index of another pack")?;
        let pack_len = reader.u64().map_err(&short)?;
        let header = PackHeader::parse(reader.take(HEADER_LEN).map_err(&short)?, suite, repository)?;
        let same = header.prefix.class == prefix.class
            && header.prefix.domain == prefix.domain
            && header.prefix.session == prefix.session;
        ensure(same, PARTS, "its prefix and the pack's differ")?;
        let tail = reader.take(reader.left()).map_err(&short)?;
        let (table, trailer) =
            tail.split_last_chunk().ok_or_else(|| FormatError::broken(RULE, "it is cut short"))?;
        ensure(parse_trailer(*trailer, pack_len)? == table.len(), PARTS, "its table has another length")?;
        Ok(Self { pack_len, header, table })
    }
}
