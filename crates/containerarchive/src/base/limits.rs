//! Bounds on everything that is read from a repository, a key file or a user, each with its reason.
//! They are checked before memory is taken.

/// Largest plaintext of a chunk: one decompression buffer.
pub const MAX_CHUNK_BYTES: usize = 16 << 20;
/// Largest pack: one AES-256-GCM key seals at most this much (well below NIST SP 800-38D's 64 GiB).
pub const MAX_PACK_BYTES: u64 = 1 << 30;
/// Most chunks in a pack: the nonce space of a key that we allow ourselves.
pub const MAX_PACK_CHUNKS: usize = 1 << 20;
/// Largest chunk table: a commitment and the pages of [`MAX_PACK_CHUNKS`] records of 48 bytes.
pub const MAX_TABLE_BYTES: usize = 32 + 12_337 * 4096;
/// Largest pack index: a table and what stands around it.
pub const MAX_IDX_BYTES: usize = MAX_TABLE_BYTES + 4096;
/// Largest node of a recipe.
pub const MAX_NODE_BYTES: usize = 1 << 20;
/// Deepest recipe: with two entries in each inner node, 2^48 entries.
pub const MAX_NODE_LEVEL: u8 = 48;
/// Longest item name in bytes.
pub const MAX_NAME_BYTES: usize = 4096;
/// Most components in an item name.
pub const MAX_NAME_DEPTH: usize = 4096;
/// Most items in a snapshot: their manifest still fits its limit.
pub const MAX_ITEMS: usize = 100_000;
/// Longest tag key or value, series, item type, host or user in bytes.
pub const MAX_TEXT_BYTES: usize = 4096;
/// Most tags of a snapshot.
pub const MAX_TAGS: usize = 1024;
/// Largest manifest and any other JSON object.
pub const MAX_JSON_BYTES: usize = 64 << 20;
/// Largest config, key slot, session, fence, void: a page or two of JSON.
pub const MAX_SMALL_JSON_BYTES: usize = 64 << 10;
/// Largest index segment: 2^28 entries of 16 bytes with their filters.
pub const MAX_SEGMENT_BYTES: u64 = 6 << 30;
/// Most packs named by a segment.
pub const MAX_SEGMENT_PACKS: u32 = 1 << 26;
/// Argon2id memory of a slot.
pub const MAX_ARGON2_MEMORY_KIB: u32 = 2 << 20;
/// Least Argon2id memory of a slot: the OWASP minimum; less is no protection.
pub const MIN_ARGON2_MEMORY_KIB: u32 = 19 << 10;
/// Most Argon2id passes of a slot.
pub const MAX_ARGON2_PASSES: u32 = 16;
/// Most Argon2id lanes of a slot.
pub const MAX_ARGON2_LANES: u32 = 16;
/// Memory times passes of one slot, in KiB: about ten seconds on a slow core.
pub const MAX_ARGON2_COST_KIB: u64 = 8 << 20;
/// Memory times passes over all slots that one opening tries, in KiB.
pub const MAX_ARGON2_TOTAL_COST_KIB: u64 = 32 << 20;
/// Most key slots of a repository.
pub const MAX_SLOTS: usize = 32;
/// Longest slot label or domain name in bytes.
pub const MAX_LABEL_BYTES: usize = 256;
/// Longest passphrase in bytes.
pub const MAX_PASSPHRASE_BYTES: usize = 1024;
/// Most packs in a parity group: what one row's repair reads, and the columns of the code that leave room for its shards.
pub const MAX_GROUP_MEMBERS: usize = 200;
/// Most rows of a parity group: those of the largest pack.
pub const MAX_GROUP_ROWS: u32 = 32_768;
