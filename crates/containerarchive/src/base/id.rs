//! One newtype per identifier. All print as lower-case hexadecimal.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

/// A text was not the hexadecimal form of an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an identifier of {digits} lower-case hexadecimal digits")]
pub struct ParseIdError {
    /// What was given.
    pub text: String,
    /// How many digits are expected.
    pub digits: usize,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Lower-case hexadecimal.
            #[must_use]
            pub fn to_hex(&self) -> String {
                HEXLOWER.encode(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.to_hex())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; $len];
                let right_length = text.len() == 2 * $len;
                if right_length && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok() {
                    return Ok(Self(bytes));
                }
                let text = text.chars().take(80).collect();
                Err(ParseIdError { text, digits: 2 * $len })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(
    /// Identifies a repository; 16 random bytes, made at init.
    RepositoryId, 16
);
id_type!(
    /// Identifies one operation, and the snapshot that it commits; 16 random bytes, never reused.
    SessionId, 16
);
id_type!(
    /// Identifies a dedup and trust domain; zeros are the main domain.
    DomainId, 16
);
id_type!(
    /// Identifies a key slot.
    SlotId, 16
);
id_type!(
    /// Identifies a record.
    RecordId, 16
);
id_type!(
    /// Names a pack: BLAKE3 of the whole file.
    PackId, 32
);
id_type!(
    /// Names an index segment: BLAKE3 of the whole file.
    SegmentId, 32
);
id_type!(
    /// Names a parity shard: BLAKE3 of the whole file.
    ShardId, 32
);
id_type!(
    /// Identifies a parity group: 32 random bytes, which stand in the headers of its shards.
    GroupId, 32
);
id_type!(
    /// Hash of a chunk's plaintext, by the repository's chunk hash.
    ChunkHash, 32
);

impl DomainId {
    /// The domain of admins and of every repository without encryption.
    pub const MAIN: Self = Self([0; 16]);
}

/// What a chunk is. Part of its identity, so that content can never pose as structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Fills a pack up; is never referenced.
    Padding = 0,
    /// A piece of content.
    Data = 1,
    /// A node of a recipe.
    Recipe = 2,
    /// A node of a directory.
    Tree = 3,
}

impl Kind {
    /// The kind with this number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Padding),
            1 => Some(Self::Data),
            2 => Some(Self::Recipe),
            3 => Some(Self::Tree),
            _ => None,
        }
    }
}

/// Identity of a chunk: always the pair of kind and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// What the chunk is.
    pub kind: Kind,
    /// Hash of its plaintext.
    pub hash: ChunkHash,
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Padding => "padding",
            Kind::Data => "data",
            Kind::Recipe => "recipe",
            Kind::Tree => "tree",
        };
        write!(f, "{kind} chunk {}", self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_as_lower_case_hex_only() {
        let id = SessionId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("AB".repeat(16).parse::<SessionId>().is_err());
        assert!("ab".repeat(15).parse::<SessionId>().is_err());
        assert!("zz".repeat(16).parse::<SessionId>().is_err());
    }
}
