//! Packs (`docs/FORMAT.md` section 8): prefix, encapsulated key, commitment, sealed chunks, chunk table, trailer.
//!
//! A record of the chunk table:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 32 | hash |
//! | 32 | 4 | stored length |
//! | 36 | 4 | plaintext length |
//! | 40 | 1 | kind |
//! | 41 | 1 | codec |
//! | 42 | 2 | zeros |
//! | 44 | 4 | dictionary: none |

use std::collections::HashSet;

use super::FormatError;
use super::error::ensure;
use super::pages::{PAGE_LEN, blob_len, open_blob, seal_blob};
use super::prefix::{Class, ObjectKind, PREFIX_LEN, Prefix};
use crate::base::codec::Reader;
use crate::base::limits::{
    MAX_CHUNK_BYTES, MAX_NODE_BYTES, MAX_PACK_BYTES, MAX_PACK_CHUNKS, MAX_TABLE_BYTES,
};
use crate::base::{ChunkHash, ChunkId, Kind, RepositoryId};
use crate::compress::Codec;
use crate::crypto::{Nonce, ObjectSecrets, SealKey, Suite, TAG_LEN};

/// Bytes before the first chunk.
pub const HEADER_LEN: usize = PREFIX_LEN + 32 + 32;
const _: () = assert!(HEADER_LEN == 160);
/// Bytes of a record.
pub const RECORD_LEN: usize = 32 + 4 + 4 + 1 + 1 + 2 + 4;
const _: () = assert!(RECORD_LEN == 48);
/// Bytes behind the chunk table.
pub const TRAILER_LEN: usize = 4 + 4;
const TRAILER_MAGIC: [u8; 4] = *b"CTBL";
const NO_DICTIONARY: u32 = u32::MAX;

/// A pack's first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackHeader {
    /// Where the pack belongs.
    pub prefix: Prefix,
    /// HPKE's encapsulated key; zeros in a plain repository.
    pub enc: [u8; 32],
    /// To compare with that of the pack's key.
    pub commitment: [u8; 32],
}

impl PackHeader {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..PREFIX_LEN].copy_from_slice(&self.prefix.encode());
        bytes[PREFIX_LEN..PREFIX_LEN + 32].copy_from_slice(&self.enc);
        bytes[PREFIX_LEN + 32..].copy_from_slice(&self.commitment);
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// It is not a pack of this repository.
    pub fn parse(bytes: &[u8], suite: Suite, repository: RepositoryId) -> Result<Self, FormatError> {
        let prefix = Prefix::parse(bytes, ObjectKind::Pack, suite, repository)?;
        let short = FormatError::short("R-PACK-4");
        let mut reader = Reader::new(&bytes[PREFIX_LEN..]);
        let enc = reader.array().map_err(&short)?;
        let commitment = reader.array().map_err(&short)?;
        ensure(
            suite != Suite::Plain || enc == [0; 32],
            "R-PREFIX-2",
            "it has an encapsulated key in a plain repository",
        )?;
        Ok(Self { prefix, enc, commitment })
    }
}

/// One chunk of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Kind and hash; the hash of padding is zeros.
    pub id: ChunkId,
    /// Bytes of text and tag.
    pub stored_len: u32,
    /// Bytes of plaintext.
    pub plain_len: u32,
    /// How the text was made from the plaintext.
    pub codec: Codec,
}

impl Record {
    /// A record for a text of this length.
    #[must_use]
    pub fn new(id: ChunkId, codec: Codec, text_len: u32, plain_len: u32) -> Self {
        Self { id, stored_len: text_len + TAG_LEN as u32, plain_len, codec }
    }

    /// Padding of this many bytes.
    #[must_use]
    pub fn padding(len: u32) -> Self {
        Self::new(ChunkId { kind: Kind::Padding, hash: ChunkHash([0; 32]) }, Codec::None, len, len)
    }

    /// The bytes, which are also the chunk's associated data.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        bytes[..32].copy_from_slice(self.id.hash.as_bytes());
        bytes[32..36].copy_from_slice(&self.stored_len.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.plain_len.to_le_bytes());
        bytes[40] = self.id.kind as u8;
        bytes[41] = self.codec as u8;
        bytes[44..].copy_from_slice(&NO_DICTIONARY.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; RECORD_LEN], class: Class) -> Result<Self, FormatError> {
        const FORM: &str = "R-RECORD-1";
        const LENGTHS: &str = "R-RECORD-2";
        let short = FormatError::short(FORM);
        let mut reader = Reader::new(bytes);
        let hash = ChunkHash(reader.array().map_err(&short)?);
        let stored_len = reader.u32().map_err(&short)?;
        let plain_len = reader.u32().map_err(&short)?;
        let kind = Kind::from_byte(reader.u8().map_err(&short)?);
        // Trees are kept free: a repository with them needs a feature.
        let kind = kind.filter(|kind| *kind != Kind::Tree);
        let kind = kind.ok_or_else(|| FormatError::broken(FORM, "a chunk's kind is not known"))?;
        let codec = Codec::from_byte(reader.u8().map_err(&short)?);
        let codec = codec.ok_or_else(|| FormatError::broken(FORM, "a chunk's codec is not known"))?;
        ensure(reader.u16().map_err(&short)? == 0, FORM, "a reserved field is not zero")?;
        ensure(reader.u32().map_err(&short)? == NO_DICTIONARY, FORM, "a chunk wants a dictionary")?;
        let belongs = match kind {
            Kind::Padding => true,
            Kind::Data => class == Class::Data,
            Kind::Recipe | Kind::Tree => class == Class::Structure,
        };
        ensure(belongs, "R-PACK-2", "a chunk's kind does not belong into a pack of this class")?;
        let is_padding = kind == Kind::Padding;
        let max_bytes = if kind == Kind::Recipe { MAX_NODE_BYTES } else { MAX_CHUNK_BYTES };
        ensure(
            plain_len as usize <= max_bytes,
            LENGTHS,
            "a chunk is longer than 16 MiB, or a node than 1 MiB",
        )?;
        ensure(plain_len > 0 || is_padding, LENGTHS, "a chunk is empty")?;
        let text_len = stored_len.checked_sub(TAG_LEN as u32);
        let fits = match codec {
            Codec::None => text_len == Some(plain_len),
            Codec::Zstd | Codec::Gzip => text_len.is_some_and(|len| (1..plain_len).contains(&len)),
        };
        ensure(fits, LENGTHS, "a chunk's lengths do not fit each other")?;
        let padding_is_good = !is_padding || (hash == ChunkHash([0; 32]) && codec == Codec::None);
        ensure(padding_is_good, "R-RECORD-3", "padding has a hash or a codec")?;
        Ok(Self { id: ChunkId { kind, hash }, stored_len, plain_len, codec })
    }
}

/// A pack's list of its chunks, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkTable {
    records: Vec<Record>,
    /// Where each chunk starts in the pack.
    offsets: Vec<u32>,
}

impl ChunkTable {
    /// Reads the content of a table.
    ///
    /// # Errors
    /// A rule of section 8 is broken. `table_offset` is where the table starts in the pack.
    pub fn parse(content: &[u8], class: Class, table_offset: u64) -> Result<Self, FormatError> {
        let (chunks, rest) = content.as_chunks::<RECORD_LEN>();
        let count_is_good = rest.is_empty() && (1..=MAX_PACK_CHUNKS).contains(&chunks.len());
        ensure(count_is_good, "R-PACK-1", "its table has no records, too many, or a piece of one")?;
        let mut records = Vec::with_capacity(chunks.len());
        let mut offsets = Vec::with_capacity(chunks.len());
        let mut seen = HashSet::with_capacity(chunks.len());
        let mut offset = HEADER_LEN as u64;
        let mut is_padded = false;
        for bytes in chunks {
            let record = Record::parse(bytes, class)?;
            let is_padding = record.id.kind == Kind::Padding;
            ensure(!is_padded, "R-RECORD-3", "there is something behind its padding")?;
            ensure(is_padding || seen.insert(record.id), "R-RECORD-3", "a chunk is there twice")?;
            is_padded = is_padding;
            let start =
                u32::try_from(offset).map_err(|_| FormatError::broken("R-PACK-1", "it is too long"))?;
            offsets.push(start);
            offset += u64::from(record.stored_len);
            records.push(record);
        }
        ensure(!seen.is_empty(), "R-RECORD-3", "it has nothing but padding")?;
        ensure(offset == table_offset, "R-PACK-3", "its chunks do not fill the space before the table")?;
        Ok(Self { records, offsets })
    }

    /// All records, by slot.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The record of a slot and where its chunk starts in the pack.
    #[must_use]
    pub fn get(&self, slot: u32) -> Option<(Record, u64)> {
        let slot = slot as usize;
        Some((*self.records.get(slot)?, u64::from(*self.offsets.get(slot)?)))
    }
}

/// Seals a chunk's text in place; the tag belongs behind it.
///
/// # Errors
/// A primitive failed.
pub fn seal_chunk(
    key: &SealKey,
    slot: u32,
    record: &Record,
    text: &mut [u8],
) -> Result<[u8; TAG_LEN], FormatError> {
    Ok(key.seal(chunk_nonce(slot, record), &record.encode(), text)?)
}

/// Opens a chunk in place and returns its text, which is still compressed.
///
/// # Errors
/// The chunk is damaged.
pub fn open_chunk<'a>(
    key: &SealKey,
    slot: u32,
    record: &Record,
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], FormatError> {
    key.open(chunk_nonce(slot, record), &record.encode(), sealed)
        .map_err(|error| FormatError::broken("R-SEAL-2", format!("chunk {slot}: {error}")))
}

fn chunk_nonce(slot: u32, record: &Record) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&slot.to_le_bytes());
    nonce[4..].copy_from_slice(&record.id.hash.as_bytes()[..8]);
    nonce
}

/// Bytes of a table of this many records, with its commitment and the trailer.
#[must_use]
pub fn tail_len(records: usize) -> usize {
    32 + blob_len(records * RECORD_LEN) + TRAILER_LEN
}

/// Appends commitment, table and trailer.
///
/// # Errors
/// A primitive failed.
pub fn encode_tail(
    secrets: &ObjectSecrets,
    records: &[Record],
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    let mut content = Vec::with_capacity(records.len() * RECORD_LEN);
    for record in records {
        content.extend_from_slice(&record.encode());
    }
    let start = out.len();
    out.extend_from_slice(&secrets.commitment.0);
    seal_blob(&secrets.key, &content, out)?;
    let table_len = u32::try_from(out.len() - start)
        .map_err(|_| FormatError::broken("R-PACK-1", "its table is too long"))?;
    out.extend_from_slice(&table_len.to_le_bytes());
    out.extend_from_slice(&TRAILER_MAGIC);
    Ok(())
}

/// Length of the table with its commitment, from a pack's last [`TRAILER_LEN`] bytes and its length.
///
/// # Errors
/// R-PACK-1, R-PACK-4.
pub fn parse_trailer(trailer: [u8; TRAILER_LEN], pack_len: u64) -> Result<usize, FormatError> {
    const RULE: &str = "R-PACK-4";
    ensure(pack_len <= MAX_PACK_BYTES, "R-PACK-1", "it is longer than 1 GiB")?;
    let (table_len, magic) = trailer.split_at(4);
    ensure(magic == TRAILER_MAGIC, RULE, "it does not end like a pack")?;
    let table_len = Reader::new(table_len).u32().map_err(FormatError::short(RULE))? as usize;
    let pages_len = table_len.checked_sub(32).filter(|len| *len > 0 && len.is_multiple_of(PAGE_LEN));
    ensure(pages_len.is_some(), RULE, "the length of its table is impossible")?;
    ensure(table_len <= MAX_TABLE_BYTES, "R-PACK-1", "its table is longer than that of 2^20 records")?;
    let fits = (HEADER_LEN + table_len + TRAILER_LEN) as u64 <= pack_len;
    ensure(fits, RULE, "its table is longer than the pack")?;
    Ok(table_len)
}

/// Opens a table given with its commitment; `secrets` come from the pack's first [`HEADER_LEN`] bytes.
///
/// # Errors
/// The table is damaged, or breaks a rule of section 8.
pub fn open_table(
    secrets: &ObjectSecrets,
    table: &[u8],
    class: Class,
    table_offset: u64,
) -> Result<ChunkTable, FormatError> {
    let (stored, pages) = table
        .split_first_chunk::<32>()
        .ok_or_else(|| FormatError::broken("R-PACK-4", "its table is cut short"))?;
    ensure(secrets.commitment.matches(stored), "R-SEAL-1", "the commitment of its table is wrong")?;
    let content = open_blob(&secrets.key, pages.to_vec())?;
    ChunkTable::parse(&content, class, table_offset)
}
