//! Recipe nodes (`docs/FORMAT.md` section 11).
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | node version |
//! | 1 | 1 | level |
//! | 2 | 2 | zeros |
//! | 4 | 4 | number of entries |
//! | 8 | … | entries |

use super::FormatError;
use super::error::ensure;
use crate::base::ChunkHash;
use crate::base::codec::Reader;
use crate::base::limits::{MAX_CHUNK_BYTES, MAX_NODE_BYTES, MAX_NODE_LEVEL};

const VERSION: u8 = 1;
const HEAD_LEN: usize = 1 + 1 + 2 + 4;
const _: () = assert!(HEAD_LEN == 8);
/// Bytes of a leaf's entry.
pub const LEAF_ENTRY_LEN: usize = 32 + 4;
/// Bytes of an inner node's entry.
pub const INNER_ENTRY_LEN: usize = 32 + 8 + 8;
/// One entry in about 1,024 ends a node: a change rewrites one node of about 36 KiB on each level.
const CUT_MASK: u16 = 0x3ff;
/// With at least two entries to a node each level is at most half as long as the one below, whatever the hashes are.
const MIN_ENTRIES: usize = 2;

/// A data chunk in a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafEntry {
    /// Hash of the data chunk.
    pub hash: ChunkHash,
    /// Bytes of its plaintext.
    pub len: u32,
}

/// A child of an inner node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InnerEntry {
    /// Hash of the recipe chunk.
    pub hash: ChunkHash,
    /// Leaf entries below.
    pub chunks: u64,
    /// Bytes of content below.
    pub bytes: u64,
}

/// Entries of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entries {
    /// Data chunks.
    Leaf(Vec<LeafEntry>),
    /// Nodes of the level below.
    Inner(Vec<InnerEntry>),
}

/// A node of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// 0 for a leaf.
    pub level: u8,
    /// In the order of the content.
    pub entries: Entries,
}

/// What a node sums up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Leaf entries.
    pub chunks: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Whether a node of `entries` entries, the last of which has this hash, ends here.
#[must_use]
pub fn ends_node(entries: usize, entry_len: usize, last_hash: &ChunkHash) -> bool {
    let bits = u16::from_le_bytes([last_hash.as_bytes()[30], last_hash.as_bytes()[31]]);
    let is_full = HEAD_LEN + (entries + 1) * entry_len > MAX_NODE_BYTES;
    is_full || (entries >= MIN_ENTRIES && bits & CUT_MASK == 0)
}

impl Node {
    /// The plaintext of the node's chunk.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (count, entry_len) = match &self.entries {
            Entries::Leaf(entries) => (entries.len(), LEAF_ENTRY_LEN),
            Entries::Inner(entries) => (entries.len(), INNER_ENTRY_LEN),
        };
        let mut bytes = Vec::with_capacity(HEAD_LEN + count * entry_len);
        bytes.extend_from_slice(&[VERSION, self.level, 0, 0]);
        bytes.extend_from_slice(&(count as u32).to_le_bytes());
        match &self.entries {
            Entries::Leaf(entries) => {
                for entry in entries {
                    bytes.extend_from_slice(entry.hash.as_bytes());
                    bytes.extend_from_slice(&entry.len.to_le_bytes());
                }
            }
            Entries::Inner(entries) => {
                for entry in entries {
                    bytes.extend_from_slice(entry.hash.as_bytes());
                    bytes.extend_from_slice(&entry.chunks.to_le_bytes());
                    bytes.extend_from_slice(&entry.bytes.to_le_bytes());
                }
            }
        }
        bytes
    }

    /// Reads a node (R-NODE-1, and what of R-NODE-2 a node shows alone).
    ///
    /// # Errors
    /// A rule is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        const FORM: &str = "R-NODE-1";
        const ENTRIES: &str = "R-NODE-2";
        ensure(bytes.len() <= MAX_NODE_BYTES, FORM, "a node is longer than 1 MiB")?;
        let short = FormatError::short(FORM);
        let mut reader = Reader::new(bytes);
        ensure(reader.u8().map_err(&short)? == VERSION, FORM, "a node's version is not known")?;
        let level = reader.u8().map_err(&short)?;
        ensure(level <= MAX_NODE_LEVEL, FORM, "a node's level is above 48")?;
        ensure(reader.u16().map_err(&short)? == 0, FORM, "a reserved field of a node is not zero")?;
        let count = reader.u32().map_err(&short)? as usize;
        let rest = reader.take(reader.left()).map_err(&short)?;
        let entry_len = if level == 0 { LEAF_ENTRY_LEN } else { INNER_ENTRY_LEN };
        ensure(
            count.checked_mul(entry_len) == Some(rest.len()),
            FORM,
            "a node's length does not fit its entries",
        )?;
        let node = Self { level, entries: parse_entries(level, count, rest)? };
        match &node.entries {
            Entries::Leaf(entries) => {
                let good = entries.iter().all(|entry| (1..=MAX_CHUNK_BYTES).contains(&(entry.len as usize)));
                ensure(good, ENTRIES, "a chunk's length in a leaf is 0 or above 16 MiB")?;
            }
            Entries::Inner(entries) => {
                let good = !entries.is_empty() && entries.iter().all(|entry| entry.chunks > 0);
                ensure(good, ENTRIES, "an inner node has no entries, or one with nothing below")?;
            }
        }
        node.sums()?;
        Ok(node)
    }

    /// Chunks and bytes below this node.
    ///
    /// # Errors
    /// They overflow 64 bits.
    pub fn sums(&self) -> Result<Sums, FormatError> {
        let overflow = || FormatError::broken("R-NODE-2", "a node's sums are above 64 bits");
        match &self.entries {
            Entries::Leaf(entries) => Ok(Sums {
                chunks: entries.len() as u64,
                bytes: entries.iter().map(|entry| u64::from(entry.len)).sum(),
            }),
            Entries::Inner(entries) => entries.iter().try_fold(Sums::default(), |sums, entry| {
                let chunks = sums.chunks.checked_add(entry.chunks).ok_or_else(overflow)?;
                let bytes = sums.bytes.checked_add(entry.bytes).ok_or_else(overflow)?;
                Ok(Sums { chunks, bytes })
            }),
        }
    }
}

fn parse_entries(level: u8, count: usize, bytes: &[u8]) -> Result<Entries, FormatError> {
    let short = FormatError::short("R-NODE-1");
    let mut reader = Reader::new(bytes);
    if level == 0 {
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let hash = ChunkHash(reader.array().map_err(&short)?);
            entries.push(LeafEntry { hash, len: reader.u32().map_err(&short)? });
        }
        return Ok(Entries::Leaf(entries));
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let hash = ChunkHash(reader.array().map_err(&short)?);
        let chunks = reader.u64().map_err(&short)?;
        entries.push(InnerEntry { hash, chunks, bytes: reader.u64().map_err(&short)? });
    }
    Ok(Entries::Inner(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_round_trip_and_every_truncation_is_refused() {
        let leaf = Node {
            level: 0,
            entries: Entries::Leaf(vec![LeafEntry { hash: ChunkHash([1; 32]), len: 5 }; 3]),
        };
        let inner = Node {
            level: 7,
            entries: Entries::Inner(vec![InnerEntry { hash: ChunkHash([2; 32]), chunks: 3, bytes: 15 }; 2]),
        };
        for node in [leaf, inner] {
            let bytes = node.encode();
            assert_eq!(Node::parse(&bytes).unwrap(), node);
            for len in 0..bytes.len() {
                assert!(Node::parse(&bytes[..len]).is_err());
            }
        }
    }

    #[test]
    fn sums_above_sixty_four_bits_are_refused() {
        let entry = InnerEntry { hash: ChunkHash([2; 32]), chunks: 1, bytes: u64::MAX };
        let node = Node { level: 1, entries: Entries::Inner(vec![entry; 2]) };
        assert!(Node::parse(&node.encode()).is_err());
    }
}
