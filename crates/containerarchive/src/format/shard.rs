//! Parity shards (`docs/FORMAT.md` section 17).
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | F = 144 + 48 n | front |
//! | F | R · 16 (n + m + 1) | one record of checksums for each row |
//! | … | B | the rows: whole ones of 32,768 bytes, the last as long as the longest block in it |
//! | … | R · 16 (n + m + 1) | the records again |
//! | … | F | the front again |
//! | end − 8 | 4 | length of the front |
//! | end − 4 | 4 | `PRTY` |
//!
//! Front:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 96 | prefix; its salt is the group's id |
//! | 96 | 1 | i, the number of this shard |
//! | 97 | 1 | m, the number of shards |
//! | 98 | 2 | n, the number of members |
//! | 100 | 4 | R, the number of rows |
//! | 104 | 8 | zeros |
//! | 112 | 48 n | members, in order of their columns |
//! | F − 32 | 32 | BLAKE3 of the front before |
//!
//! Everything but i is the same in all shards of a group, so that any shard tells what is needed to compute the others,
//! bit for bit. No key is needed for any of it, and none protects it: what a shard says is a hint, and a pack counts as
//! mended only when its bytes have its name.

use super::FormatError;
use super::error::ensure;
use super::prefix::{Class, ObjectKind, PREFIX_LEN, Prefix};
use crate::base::codec::Reader;
use crate::base::limits::{MAX_GROUP_MEMBERS, MAX_GROUP_ROWS};
use crate::base::{DomainId, GroupId, PackId, RepositoryId, SessionId};
use crate::crypto::{BLOCK_LEN, BlockSum, Suite, blake3_256};
use crate::parity::{MAX_COLUMNS, MAX_SHARDS};

const HEAD_LEN: usize = PREFIX_LEN + 1 + 1 + 2 + 4 + 8;
const _: () = assert!(HEAD_LEN == 112);
const MEMBER_LEN: usize = 32 + 8 + 4 + 2 + 2;
const _: () = assert!(MEMBER_LEN == 48);
const DIGEST_LEN: usize = 32;
const TRAILER_MAGIC: [u8; 4] = *b"PRTY";
/// Bytes behind the second front.
pub const TRAILER_LEN: usize = 4 + TRAILER_MAGIC.len();
/// Longest front.
pub const MAX_FRONT_LEN: usize = front_len(MAX_GROUP_MEMBERS);

const RULE: &str = "R-SHARD-1";
const LIMITS: &str = "R-SHARD-2";
const ORDER: &str = "R-SHARD-3";
const RECORDS: &str = "R-SHARD-4";

/// Bytes of the front of a shard of so many members.
#[must_use]
pub const fn front_len(members: usize) -> usize {
    HEAD_LEN + MEMBER_LEN * members + DIGEST_LEN
}

/// Bytes of the checksums of one row.
#[must_use]
pub const fn record_len(members: usize, shards: usize) -> usize {
    BlockSum::LEN * (members + shards + 1)
}

/// A pack in a parity group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The pack.
    pub pack: PackId,
    /// Its length in bytes, at least 1.
    pub len: u64,
    /// The row of its first block.
    pub first_row: u32,
    /// Its column of the code; no two members have the same.
    pub column: u8,
}

impl Member {
    /// Blocks of the pack.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        // No member that was read is so long that this is not exact.
        u32::try_from(self.len.div_ceil(BLOCK_LEN as u64)).unwrap_or(u32::MAX)
    }

    /// The end of the pack in its column, in bytes from the first row on.
    fn reach(&self) -> u64 {
        (u64::from(self.first_row) * BLOCK_LEN as u64).saturating_add(self.len)
    }

    /// The member's block in a row: its number in the pack and its length, if it has one there.
    #[must_use]
    pub fn block_in(&self, row: u32) -> Option<(u32, usize)> {
        let block = row.checked_sub(self.first_row).filter(|block| *block < self.blocks())?;
        let offset = u64::from(block) * BLOCK_LEN as u64;
        Some((block, (self.len - offset).min(BLOCK_LEN as u64) as usize))
    }
}

/// What all shards of a group say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// What its members' chunks are.
    pub class: Class,
    /// The domain of its members.
    pub domain: DomainId,
    /// The session that wrote it.
    pub session: SessionId,
    /// How it is sealed, as everything in the repository; the shards themselves are not.
    pub suite: Suite,
    /// The repository.
    pub repository: RepositoryId,
    /// How many shards it has.
    pub shards: u8,
    /// Its rows.
    pub rows: u32,
    /// Its packs, in order of their columns.
    pub members: Vec<Member>,
}

/// Where the parts of a shard are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    front_len: u64,
    record_len: u64,
    rows: u64,
    /// Bytes of all rows: the last one ends where the longest reach of a member does.
    row_bytes: u64,
}

impl Layout {
    /// Bytes of the whole file.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        2 * (self.front_len + self.rows * self.record_len) + self.row_bytes + TRAILER_LEN as u64
    }

    /// Offset of a row.
    #[must_use]
    pub fn row(&self, row: u32) -> u64 {
        self.front_len + self.rows * self.record_len + u64::from(row) * BLOCK_LEN as u64
    }

    /// Bytes of `count` rows from `row` on.
    #[must_use]
    pub fn rows_len(&self, row: u32, count: u32) -> usize {
        let start = u64::from(row) * BLOCK_LEN as u64;
        let end = (start + u64::from(count) * BLOCK_LEN as u64).min(self.row_bytes);
        end.saturating_sub(start) as usize
    }

    /// Offsets of a row's two records.
    #[must_use]
    pub fn records(&self, row: u32) -> [u64; 2] {
        let own = u64::from(row) * self.record_len;
        [self.front_len + own, self.row(0) + self.row_bytes + own]
    }
}

/// The checksums of one row: of each member's block, in the order of the members, and of each shard's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSums {
    /// `None` where a member has no block.
    pub members: Vec<Option<BlockSum>>,
    /// Of the rows of the shards, in their order.
    pub shards: Vec<BlockSum>,
}

impl Group {
    /// Where the parts of its shards are.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout {
            front_len: front_len(self.members.len()) as u64,
            record_len: record_len(self.members.len(), self.shards.into()) as u64,
            rows: self.rows.into(),
            row_bytes: self.members.iter().map(Member::reach).max().unwrap_or(0),
        }
    }

    /// The front of a shard.
    #[must_use]
    pub fn encode_front(&self, shard: u8) -> Vec<u8> {
        let prefix = Prefix {
            kind: ObjectKind::Shard,
            suite: self.suite,
            class: self.class,
            repository: self.repository,
            domain: self.domain,
            session: self.session,
            salt: self.id.0,
        };
        let mut bytes = Vec::with_capacity(front_len(self.members.len()));
        bytes.extend_from_slice(&prefix.encode());
        bytes.extend_from_slice(&[shard, self.shards]);
        bytes.extend_from_slice(&(self.members.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&self.rows.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        for member in &self.members {
            bytes.extend_from_slice(member.pack.as_bytes());
            bytes.extend_from_slice(&member.len.to_le_bytes());
            bytes.extend_from_slice(&member.first_row.to_le_bytes());
            bytes.extend_from_slice(&[member.column, 0, 0, 0]);
        }
        let digest = blake3_256(&bytes);
        bytes.extend_from_slice(&digest);
        bytes
    }

    /// What stands behind the second front.
    #[must_use]
    pub fn encode_trailer(&self) -> [u8; TRAILER_LEN] {
        let mut trailer = [0; TRAILER_LEN];
        let (len, magic) = trailer.split_at_mut(4);
        len.copy_from_slice(&(front_len(self.members.len()) as u32).to_le_bytes());
        magic.copy_from_slice(&TRAILER_MAGIC);
        trailer
    }

    /// Appends the checksums of a row.
    pub fn encode_record(&self, row: u32, sums: &RowSums, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        let members = sums.members.iter().map(|sum| sum.unwrap_or_default());
        for sum in members.chain(sums.shards.iter().copied()) {
            bytes.extend_from_slice(&sum.0);
        }
        let check = self.check_of(row, &bytes[start..]);
        bytes.extend_from_slice(&check);
    }

    /// Reads the checksums of a row.
    ///
    /// # Errors
    /// They are damaged (R-SHARD-4).
    pub fn parse_record(&self, row: u32, bytes: &[u8]) -> Result<RowSums, FormatError> {
        let (n, m) = (self.members.len(), usize::from(self.shards));
        ensure(bytes.len() == record_len(n, m), RECORDS, "a record has another length")?;
        let (sums, check) = bytes.split_at(bytes.len() - BlockSum::LEN);
        ensure(self.check_of(row, sums) == *check, RECORDS, "the checksums of a row are damaged")?;
        let (sums, _) = sums.as_chunks::<{ BlockSum::LEN }>();
        let (of_members, of_shards) = sums.split_at(n);
        let mut members = Vec::with_capacity(n);
        for (member, sum) in self.members.iter().zip(of_members) {
            let sum = BlockSum(*sum);
            let has_block = member.block_in(row).is_some();
            ensure(has_block || sum == BlockSum::default(), RECORDS, "a checksum of no block is not zero")?;
            members.push(has_block.then_some(sum));
        }
        Ok(RowSums { members, shards: of_shards.iter().map(|sum| BlockSum(*sum)).collect() })
    }

    fn check_of(&self, row: u32, sums: &[u8]) -> [u8; BlockSum::LEN] {
        let hash = blake3_256(&[self.id.as_bytes().as_slice(), &row.to_le_bytes(), sums].concat());
        let mut check = [0; BlockSum::LEN];
        check.copy_from_slice(&hash[..BlockSum::LEN]);
        check
    }

    /// Reads a front; `bytes` may go on behind it. Returns the number of the shard and what it says of the group.
    ///
    /// # Errors
    /// It is damaged, or breaks a limit.
    pub fn parse_front(
        bytes: &[u8],
        suite: Suite,
        repository: RepositoryId,
    ) -> Result<(u8, Self), FormatError> {
        let prefix = Prefix::parse(bytes, ObjectKind::Shard, suite, repository)?;
        let short = FormatError::short(RULE);
        let mut reader = Reader::new(&bytes[PREFIX_LEN..]);
        let [number, shards] = reader.array().map_err(&short)?;
        let count = usize::from(reader.u16().map_err(&short)?);
        ensure(
            (1..=MAX_GROUP_MEMBERS).contains(&count),
            RULE,
            "its number of members is outside of the limits",
        )?;
        // Nothing else counts before it is known to be what was written.
        let front = Reader::new(bytes).take(front_len(count)).map_err(&short)?;
        let (body, digest) = front.split_at(front.len() - DIGEST_LEN);
        ensure(blake3_256(body) == *digest, RULE, "its front is damaged")?;
        let rows = reader.u32().map_err(&short)?;
        ensure(reader.u64().map_err(&short)? == 0, LIMITS, "a reserved field is not zero")?;
        ensure(
            (1..=MAX_SHARDS).contains(&usize::from(shards)) && number < shards,
            LIMITS,
            "its number of shards is outside of the limits",
        )?;
        let members = (0..count).map(|_| parse_member(&mut reader)).collect::<Result<_, _>>()?;
        let Prefix { class, domain, session, salt, .. } = prefix;
        let group =
            Self { id: GroupId(salt), class, domain, session, suite, repository, shards, rows, members };
        group.check()?;
        Ok((number, group))
    }

    /// Rows are as many as the longest reach of a member; columns are in order and distinct, packs too.
    fn check(&self) -> Result<(), FormatError> {
        let mut rows = 0;
        let mut packs = std::collections::HashSet::new();
        for (number, member) in self.members.iter().enumerate() {
            let reach = u64::from(member.first_row) + member.len.div_ceil(BLOCK_LEN as u64);
            ensure(
                member.len > 0 && reach <= MAX_GROUP_ROWS.into(),
                LIMITS,
                "a member's length is outside of the limits",
            )?;
            rows = rows.max(reach);
            let is_next = number == 0 || self.members[number - 1].column < member.column;
            ensure(
                is_next && usize::from(member.column) < MAX_COLUMNS,
                ORDER,
                "its columns are not in order",
            )?;
            ensure(packs.insert(member.pack), ORDER, "a pack is a member twice")?;
        }
        ensure(rows == u64::from(self.rows), LIMITS, "its number of rows is not that of its members")
    }
}

fn parse_member(reader: &mut Reader<'_>) -> Result<Member, FormatError> {
    let short = FormatError::short(RULE);
    let pack = PackId(reader.array().map_err(&short)?);
    let len = reader.u64().map_err(&short)?;
    let first_row = reader.u32().map_err(&short)?;
    let [column, zeros @ ..] = reader.array::<4>().map_err(&short)?;
    ensure(zeros == [0; 3], LIMITS, "a reserved field is not zero")?;
    Ok(Member { pack, len, first_row, column })
}

/// The length of the front, from the last bytes of a shard.
///
/// # Errors
/// They are damaged.
pub fn parse_trailer(trailer: [u8; TRAILER_LEN]) -> Result<usize, FormatError> {
    let [a, b, c, d, magic @ ..] = trailer;
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    let fits = (1..=MAX_GROUP_MEMBERS).any(|members| front_len(members) == len);
    ensure(magic == TRAILER_MAGIC && fits, RULE, "its end is damaged")?;
    Ok(len)
}

#[cfg(test)]
mod tests;
