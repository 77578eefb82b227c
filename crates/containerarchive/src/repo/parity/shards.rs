//! The files of a group's shards: rows in memory, and what stands around them.

use crate::base::ShardId;
use crate::crypto::{BLOCK_LEN, BlockSum, blake3_256, block_sum};
use crate::format::shard::{Group, RowSums};
use crate::parity::{add_blocks, xor_block};

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

    /// Forgets rows behind the first so many bytes, which are zeros.
    pub(super) fn truncate(&mut self, len: usize) {
        debug_assert!(
            self.files.iter().all(|file| file[self.room + len.min(self.len)..].iter().all(|byte| *byte == 0))
        );
        self.len = self.len.min(len);
        for file in &mut self.files {
            file.truncate(self.room + len);
        }
    }

    /// Bytes in memory if there were so many rows.
    pub(super) fn bytes_with(&self, rows: u32) -> usize {
        self.files.len() * (rows as usize * BLOCK_LEN).max(self.len)
    }

    /// Makes room for so many bytes of rows.
    pub(super) fn reach(&mut self, len: usize) {
        if len > self.len {
            self.len = len;
            for file in &mut self.files {
                file.resize(self.room + len, 0);
            }
        }
    }

    /// Adds bytes of members, each with its column, from the start of a row on.
    pub(super) fn add(&mut self, members: &[(u8, &[u8])], row: u32) {
        let start = row as usize * BLOCK_LEN;
        self.reach(start + members.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0));
        let offset = self.room + start;
        let mut accumulators: Vec<&mut [u8]> =
            self.files.iter_mut().map(|file| &mut file[offset..]).collect();
        add_blocks(members, &self.numbers, &mut accumulators);
    }

    /// Adds rows of the same shard of another group; `which` counts the shards at hand.
    pub(super) fn merge(&mut self, which: usize, row: u32, rows: &[u8]) {
        let start = row as usize * BLOCK_LEN;
        self.reach(start + rows.len());
        let offset = self.room + start;
        xor_block(rows, &mut self.files[which][offset..]);
    }

    /// The checksums of the rows of each shard.
    pub(super) fn sums(&self, threads: usize) -> Vec<Vec<BlockSum>> {
        let sums_of = |file: &Vec<u8>| {
            let rows = file[self.room..].chunks(BLOCK_LEN).enumerate();
            rows.map(|(row, block)| block_sum(row as u32, block)).collect()
        };
        on_threads(threads, self.files.iter().collect(), sums_of)
    }

    /// Puts front and records around the rows of those shards that are wanted, and gives each whole file away.
    pub(super) fn finish<T: Send>(
        &mut self,
        (group, records): (&Group, &[u8]),
        is_wanted: impl Fn(u8) -> bool,
        threads: usize,
        give: impl Fn(ShardId, &[u8]) -> T + Sync,
    ) -> Vec<T> {
        let (room, len) = (self.room, self.len);
        let shards = self.numbers.iter().copied().zip(&mut self.files);
        let wanted = shards.filter(|(number, _)| is_wanted(*number)).collect();
        on_threads(threads, wanted, |(number, file): (u8, &mut Vec<u8>)| {
            file.truncate(room + len);
            let file = enclose(file, room, &group.encode_front(number), records, &group.encode_trailer());
            debug_assert_eq!(file.len() as u64, group.layout().file_len());
            give(ShardId(blake3_256(file)), file)
        })
    }
}

/// Puts front and records before and behind the rows, which stand behind some room.
fn enclose<'a>(file: &'a mut Vec<u8>, room: usize, front: &[u8], records: &[u8], trailer: &[u8]) -> &'a [u8] {
    let before = front.len() + records.len();
    let start = match room.checked_sub(before) {
        Some(start) => start,
        None => {
            file.splice(0..0, std::iter::repeat_n(0, before - room));
            0
        }
    };
    file[start..start + front.len()].copy_from_slice(front);
    file[start + front.len()..start + before].copy_from_slice(records);
    file.extend_from_slice(records);
    file.extend_from_slice(front);
    file.extend_from_slice(trailer);
    &file[start..]
}

/// Does the same for each, in the caller or on so many threads; the results are in order.
fn on_threads<I: Send, T: Send>(threads: usize, items: Vec<I>, each: impl Fn(I) -> T + Sync) -> Vec<T> {
    if threads <= 1 || items.len() <= 1 {
        return items.into_iter().map(each).collect();
    }
    let per_thread = items.len().div_ceil(threads);
    let mut items = items.into_iter().peekable();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        while items.peek().is_some() {
            let part: Vec<I> = items.by_ref().take(per_thread).collect();
            let each = &each;
            running.push(scope.spawn(move || part.into_iter().map(each).collect::<Vec<T>>()));
        }
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<T>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().flat_map(join).collect()
    })
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
