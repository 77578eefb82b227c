//! The files of a group's shards: rows in memory, and what stands around them.

use crate::base::ShardId;
use crate::crypto::{BLOCK_LEN, BlockSum, blake3_256, block_sum};
use crate::format::shard::{Group, RowSums};
use crate::parity::{add_block, xor_block};

/// Most memory for the rows of shards, in bytes, single longer shards apart.
pub(super) const MAX_ROW_BYTES: usize = 64 << 20;

/// The rows of some shards of a group in the making: sums over the members so far.
pub(super) struct ShardRows {
    /// Their numbers.
    numbers: Vec<u8>,
    /// The rows of each, behind room for what stands before them in the file.
    files: Vec<Vec<u8>>,
    /// That room.
    room: usize,
    /// Bytes of all rows.
    len: usize,
}

impl ShardRows {
    /// Rows of zeros, for these shards. With as much `room` as front and records will take, no row is moved later on.
    pub(super) fn new(numbers: Vec<u8>, room: usize) -> Self {
        let files = numbers.iter().map(|_| vec![0; room]).collect();
        Self { numbers, files, room, len: 0 }
    }

    /// Zeros again.
    pub(super) fn clear(&mut self) {
        for file in &mut self.files {
            file.truncate(self.room);
        }
        self.len = 0;
    }

    /// Bytes in memory if there were so many rows.
    pub(super) fn bytes_with(&self, rows: u32) -> usize {
        self.files.len() * (rows as usize * BLOCK_LEN).max(self.len)
    }

    /// Makes room for so many bytes of rows.
    fn reach(&mut self, len: usize) {
        if len > self.len {
            self.len = len;
            for file in &mut self.files {
                file.resize(self.room + len, 0);
            }
        }
    }

    /// Adds bytes of the member in a column, from the start of a row on.
    pub(super) fn add(&mut self, column: u8, row: u32, bytes: &[u8]) {
        let start = row as usize * BLOCK_LEN;
        self.reach(start + bytes.len());
        let offset = self.room + start;
        let mut accumulators: Vec<&mut [u8]> =
            self.files.iter_mut().map(|file| &mut file[offset..]).collect();
        add_block(column, bytes, &self.numbers, &mut accumulators);
    }

    /// Adds rows of the same shard of another group; `which` counts the shards at hand.
    pub(super) fn merge(&mut self, which: usize, row: u32, rows: &[u8]) {
        let start = row as usize * BLOCK_LEN;
        self.reach(start + rows.len());
        let offset = self.room + start;
        xor_block(rows, &mut self.files[which][offset..]);
    }

    /// The checksums of the rows of each shard.
    pub(super) fn sums(&self) -> Vec<Vec<BlockSum>> {
        let sums_of = |file: &Vec<u8>| {
            let rows = file[self.room..].chunks(BLOCK_LEN).enumerate();
            rows.map(|(row, block)| block_sum(row as u32, block)).collect()
        };
        self.files.iter().map(sums_of).collect()
    }

    /// Puts front and records around the rows of one shard.
    pub(super) fn finish(&mut self, which: usize, group: &Group, records: &[u8]) -> (ShardId, &[u8]) {
        let number = self.numbers[which];
        let front = group.encode_front(number);
        let before = front.len() + records.len();
        let file = &mut self.files[which];
        file.truncate(self.room + self.len);
        let start = match self.room.checked_sub(before) {
            Some(start) => start,
            None => {
                file.splice(0..0, std::iter::repeat_n(0, before - self.room));
                0
            }
        };
        file[start..start + front.len()].copy_from_slice(&front);
        file[start + front.len()..start + before].copy_from_slice(records);
        file.extend_from_slice(records);
        file.extend_from_slice(&front);
        file.extend_from_slice(&group.encode_trailer());
        let file = &file[start..];
        debug_assert_eq!(file.len() as u64, group.layout().file_len());
        (ShardId(blake3_256(file)), file)
    }
}

/// The records of all rows, from the checksums of each member's blocks and of each shard's rows.
pub(super) fn encode_records(group: &Group, members: &[Vec<BlockSum>], shards: &[Vec<BlockSum>]) -> Vec<u8> {
    let mut records = Vec::new();
    for row in 0..group.rows {
        let of_member = |(number, sums): (usize, &Vec<BlockSum>)| {
            let (block, _) = group.members[number].block_in(row)?;
            sums.get(block as usize).copied()
        };
        let sums = RowSums {
            members: members.iter().enumerate().map(of_member).collect(),
            shards: shards.iter().map(|sums| sums.get(row as usize).copied().unwrap_or_default()).collect(),
        };
        group.encode_record(row, &sums, &mut records);
    }
    records
}
