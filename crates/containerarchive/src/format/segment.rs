//! Index segments (`docs/FORMAT.md` section 10): which packs have which chunks, as pages that can be read one by one.

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter as _, FilterRef};

use super::FormatError;
use super::error::ensure;
use super::pages::{PAGE_LEN, PIECE_LEN};
use super::prefix::{Class, PREFIX_LEN};
use crate::base::codec::Reader;
use crate::base::limits::{MAX_SEGMENT_BYTES, MAX_SEGMENT_PACKS};
use crate::base::{ChunkHash, PackId};

/// Bytes before the first page.
pub const HEADER_LEN: usize = PREFIX_LEN + 32;
const _: () = assert!(HEADER_LEN == 128);
pub(super) const ENTRY_LEN: usize = 8 + 4 + 4;
pub(super) const PACK_LEN: usize = 32 + 8 + 4 + 1 + 3;
pub(super) const FENCE_LEN: usize = 8;
const FILTER_HEAD_LEN: usize = 8 + 4 + 4 + 4 + 4;
/// Entries in a page.
pub const ENTRIES_PER_PAGE: usize = PIECE_LEN / ENTRY_LEN;
/// Packs in a page.
pub const PACKS_PER_PAGE: usize = PIECE_LEN / PACK_LEN;
/// Fences in a page.
pub const FENCES_PER_PAGE: usize = PIECE_LEN / FENCE_LEN;
const _: () = assert!(ENTRIES_PER_PAGE == 255 && PACKS_PER_PAGE == 85 && FENCES_PER_PAGE == 510);
/// Entries for one filter: it stays in a core's cache.
pub const ENTRIES_PER_FILTER: usize = 1 << 18;

/// The first bytes of a chunk's hash, by which a segment is sorted.
pub type Key = [u8; 8];

/// The key of a hash.
#[must_use]
pub fn key_of(hash: &ChunkHash) -> Key {
    let mut key = [0; 8];
    key.copy_from_slice(&hash.as_bytes()[..8]);
    key
}

/// One chunk in one pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Of the chunk's hash.
    pub key: Key,
    /// Which of the segment's packs.
    pub pack: u32,
    /// Which of the pack's records.
    pub slot: u32,
}

/// A pack that a segment names. Ordered by id, which no two packs share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentPack {
    /// The pack.
    pub id: PackId,
    /// Its length in bytes.
    pub len: u64,
    /// How many records it has.
    pub records: u32,
    /// What its chunks are.
    pub class: Class,
}

/// Where the sections of a segment are, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of entries.
    pub entries: u64,
    /// Number of packs.
    pub packs: u32,
    /// First page of the packs; the entries are before, from page 1 on.
    pub packs_start: u32,
    /// First page of the fences.
    pub fences_start: u32,
    /// First page of the filters.
    pub filters_start: u32,
    /// Number of all pages.
    pub pages: u32,
}

/// Content of all pages of a segment, ready to be sealed.
///
/// # Errors
/// There are too many packs or entries for a segment.
pub fn encode(packs: &[SegmentPack], entries: &[Entry]) -> Result<Vec<u8>, FormatError> {
    const RULE: &str = "R-SEGMENT-1";
    debug_assert!(packs.is_sorted() && entries.is_sorted());
    ensure(packs.len() <= MAX_SEGMENT_PACKS as usize, RULE, "it has too many packs")?;
    let mut content = vec![0; PIECE_LEN];
    let mut starts = [1, 0, 0, 0, 0];
    let mut end_section = |content: &mut Vec<u8>, section: usize| {
        content.resize(content.len().next_multiple_of(PIECE_LEN), 0);
        let pages = u32::try_from(content.len() / PIECE_LEN);
        starts[section] = pages.map_err(|_| FormatError::broken(RULE, "it has too many entries"))?;
        Ok::<(), FormatError>(())
    };
    for entry in entries {
        content.extend_from_slice(&entry.key);
        content.extend_from_slice(&entry.pack.to_le_bytes());
        content.extend_from_slice(&entry.slot.to_le_bytes());
    }
    end_section(&mut content, 1)?;
    for pack in packs {
        content.extend_from_slice(pack.id.as_bytes());
        content.extend_from_slice(&pack.len.to_le_bytes());
        content.extend_from_slice(&pack.records.to_le_bytes());
        content.extend_from_slice(&[pack.class as u8, 0, 0, 0]);
    }
    end_section(&mut content, 2)?;
    for page in entries.chunks(ENTRIES_PER_PAGE) {
        content.extend_from_slice(&page[0].key);
    }
    end_section(&mut content, 3)?;
    for range in entries.chunks(ENTRIES_PER_FILTER) {
        encode_filter(range, &mut content);
    }
    end_section(&mut content, 4)?;
    let [entries_start, packs_start, fences_start, filters_start, pages] = starts;
    content[..8].copy_from_slice(&(entries.len() as u64).to_le_bytes());
    let fields = [packs.len() as u32, entries_start, packs_start, fences_start, filters_start, pages];
    for (index, field) in fields.into_iter().enumerate() {
        content[8 + 4 * index..12 + 4 * index].copy_from_slice(&field.to_le_bytes());
    }
    let len = (HEADER_LEN + content.len() / PIECE_LEN * PAGE_LEN) as u64;
    ensure(len <= MAX_SEGMENT_BYTES, RULE, "it has too many entries")?;
    Ok(content)
}

fn encode_filter(range: &[Entry], out: &mut Vec<u8>) {
    // The library wants distinct keys; entries are sorted, so equal ones are neighbours.
    let mut keys: Vec<u64> = range.iter().map(|entry| u64::from_le_bytes(entry.key)).collect();
    keys.dedup();
    match BinaryFuse8::try_from(keys) {
        Ok(filter) => {
            out.extend_from_slice(&filter.descriptor.seed.to_le_bytes());
            out.extend_from_slice(&filter.descriptor.segment_length.to_le_bytes());
            out.extend_from_slice(&filter.descriptor.segment_count_length.to_le_bytes());
            out.extend_from_slice(&(filter.fingerprints.len() as u32).to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&filter.fingerprints);
        }
        // Very unlikely, and harmless: without a filter every key may be there.
        Err(_) => out.extend_from_slice(&[0; FILTER_HEAD_LEN]),
    }
    out.resize(out.len().next_multiple_of(8), 0);
}

impl Head {
    /// Reads the head from the content of page 0. `pages` is the number of pages that the file has.
    ///
    /// # Errors
    /// R-SEGMENT-1.
    pub fn parse(content: &[u8], pages: u64) -> Result<Self, FormatError> {
        const RULE: &str = "R-SEGMENT-1";
        let short = FormatError::short(RULE);
        let mut reader = Reader::new(content);
        let entries = reader.u64().map_err(&short)?;
        let packs = reader.u32().map_err(&short)?;
        let entries_start = reader.u32().map_err(&short)?;
        let head = Self {
            entries,
            packs,
            packs_start: reader.u32().map_err(&short)?,
            fences_start: reader.u32().map_err(&short)?,
            filters_start: reader.u32().map_err(&short)?,
            pages: reader.u32().map_err(&short)?,
        };
        let rest = reader.take(reader.left()).map_err(&short)?;
        ensure(rest.iter().all(|byte| *byte == 0), RULE, "a reserved byte of its head is not zero")?;
        let entry_pages = entries.div_ceil(ENTRIES_PER_PAGE as u64);
        let fits = entries_start == 1
            && packs <= MAX_SEGMENT_PACKS
            && u64::from(head.pages) == pages
            && u64::from(head.packs_start) == 1 + entry_pages
            && u64::from(head.fences_start)
                == u64::from(head.packs_start) + u64::from(packs).div_ceil(PACKS_PER_PAGE as u64)
            && u64::from(head.filters_start)
                == u64::from(head.fences_start) + entry_pages.div_ceil(FENCES_PER_PAGE as u64)
            && head.filters_start <= head.pages
            && (entries == 0) == (head.filters_start == head.pages);
        ensure(fits, RULE, "its head does not fit its pages")?;
        Ok(head)
    }

    /// Pages that hold entries.
    #[must_use]
    pub fn entry_pages(&self) -> u32 {
        self.packs_start - 1
    }

    /// How many of a section's elements are in its page number `page` (from 0), of `per_page` at most.
    fn elements(total: u64, page: u32, per_page: usize) -> usize {
        let before = u64::from(page) * per_page as u64;
        usize::try_from(total.saturating_sub(before)).unwrap_or(usize::MAX).min(per_page)
    }

    /// Reads entry page `page` (from 0), given its content.
    ///
    /// # Errors
    /// R-SEGMENT-2, as far as one page shows it.
    pub fn parse_entries(&self, page: u32, content: &[u8]) -> Result<Vec<Entry>, FormatError> {
        const RULE: &str = "R-SEGMENT-2";
        let short = FormatError::short(RULE);
        let mut reader = Reader::new(content);
        let mut entries = Vec::with_capacity(ENTRIES_PER_PAGE);
        for _ in 0..Self::elements(self.entries, page, ENTRIES_PER_PAGE) {
            let key = reader.array().map_err(&short)?;
            let pack = reader.u32().map_err(&short)?;
            entries.push(Entry { key, pack, slot: reader.u32().map_err(&short)? });
        }
        ensure(entries.is_sorted(), RULE, "its entries are not in order")?;
        ensure(
            entries.iter().all(|entry| entry.pack < self.packs),
            RULE,
            "an entry names a pack that it does not list",
        )?;
        Ok(entries)
    }

    /// Reads pack page `page` (from 0), given its content.
    ///
    /// # Errors
    /// R-SEGMENT-2, as far as one page shows it.
    pub fn parse_packs(&self, page: u32, content: &[u8]) -> Result<Vec<SegmentPack>, FormatError> {
        const RULE: &str = "R-SEGMENT-2";
        let short = FormatError::short(RULE);
        let mut reader = Reader::new(content);
        let mut packs: Vec<SegmentPack> = Vec::with_capacity(PACKS_PER_PAGE);
        for _ in 0..Self::elements(self.packs.into(), page, PACKS_PER_PAGE) {
            let id = PackId(reader.array().map_err(&short)?);
            let len = reader.u64().map_err(&short)?;
            let records = reader.u32().map_err(&short)?;
            let class = Class::from_byte(reader.u8().map_err(&short)?).filter(|class| *class != Class::None);
            let class = class.ok_or_else(|| FormatError::broken(RULE, "a pack's class is not known"))?;
            ensure(reader.take(3).map_err(&short)? == [0; 3], RULE, "a reserved byte is not zero")?;
            ensure(packs.last().is_none_or(|before| before.id < id), RULE, "its packs are not in order")?;
            packs.push(SegmentPack { id, len, records, class });
        }
        Ok(packs)
    }

    /// Reads fence page `page` (from 0), given its content.
    ///
    /// # Errors
    /// R-SEGMENT-3, as far as one page shows it.
    pub fn parse_fences(&self, page: u32, content: &[u8]) -> Result<Vec<Key>, FormatError> {
        const RULE: &str = "R-SEGMENT-3";
        let count = Self::elements(self.entry_pages().into(), page, FENCES_PER_PAGE);
        let (keys, _) = content.as_chunks::<FENCE_LEN>();
        let keys = keys.get(..count).ok_or_else(|| FormatError::broken(RULE, "its fences are cut short"))?;
        ensure(keys.is_sorted(), RULE, "its fences are not in order")?;
        Ok(keys.to_vec())
    }

    /// How many filters there are.
    #[must_use]
    pub fn filters(&self) -> usize {
        usize::try_from(self.entries).unwrap_or(usize::MAX).div_ceil(ENTRIES_PER_FILTER)
    }
}

/// Says of a range of entries that a key is certainly not there, or may be.
#[derive(Debug, Clone)]
pub struct Filter {
    descriptor: [u8; BinaryFuse8::DESCRIPTOR_LEN],
    /// Empty: there is no filter.
    fingerprints: Box<[u8]>,
}

impl Filter {
    /// Reads all filters of a segment from the joined content of their pages.
    ///
    /// # Errors
    /// R-SEGMENT-4.
    pub fn parse_all(head: &Head, content: &[u8]) -> Result<Vec<Self>, FormatError> {
        const RULE: &str = "R-SEGMENT-4";
        let short = FormatError::short(RULE);
        let mut reader = Reader::new(content);
        let mut filters = Vec::new();
        for _ in 0..head.filters() {
            let seed = reader.u64().map_err(&short)?;
            let length = reader.u32().map_err(&short)?;
            let count_length = reader.u32().map_err(&short)?;
            let count = reader.u32().map_err(&short)?;
            ensure(reader.u32().map_err(&short)? == 0, RULE, "a reserved field is not zero")?;
            let fits = if count == 0 {
                length == 0 && count_length == 0
            } else {
                let total = length.checked_mul(2).and_then(|twice| twice.checked_add(count_length));
                length.is_power_of_two()
                    && count_length > 0
                    && count_length.is_multiple_of(length)
                    && total == Some(count)
            };
            ensure(fits, RULE, "a filter's lengths do not fit each other")?;
            let fingerprints = reader.take(count as usize).map_err(&short)?.into();
            let filling =
                reader.take((count as usize).next_multiple_of(8) - count as usize).map_err(&short)?;
            ensure(filling.iter().all(|byte| *byte == 0), RULE, "a filling byte is not zero")?;
            let mut descriptor = [0; BinaryFuse8::DESCRIPTOR_LEN];
            descriptor[..8].copy_from_slice(&seed.to_le_bytes());
            descriptor[8..12].copy_from_slice(&length.to_le_bytes());
            descriptor[12..16].copy_from_slice(&length.saturating_sub(1).to_le_bytes());
            descriptor[16..].copy_from_slice(&count_length.to_le_bytes());
            filters.push(Self { descriptor, fingerprints });
        }
        let filling = reader.take(reader.left()).map_err(&short)?;
        let fills_up = filling.len() < PIECE_LEN && filling.iter().all(|byte| *byte == 0);
        ensure(fills_up, RULE, "there is something behind the last filter")?;
        Ok(filters)
    }

    /// False if the key is certainly not there; true in about 1 of 256 other cases too.
    #[must_use]
    pub fn may_contain(&self, key: &Key) -> bool {
        if self.fingerprints.is_empty() {
            return true;
        }
        BinaryFuse8Ref::from_dma(&self.descriptor, &self.fingerprints).contains(&u64::from_le_bytes(*key))
    }

    /// Bytes in memory, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.fingerprints.len()
    }
}

/// Compares a fence with the entry page that it is for.
///
/// # Errors
/// R-SEGMENT-3.
pub fn check_fence(fence: Option<&Key>, entries: &[Entry]) -> Result<(), FormatError> {
    let first = entries.first().map(|entry| &entry.key);
    ensure(fence == first, "R-SEGMENT-3", "a fence is not the first entry of its page")
}

/// Number of pages that a file of this length has.
///
/// # Errors
/// R-PAGES-1.
pub fn pages_in_file(file_len: u64) -> Result<u64, FormatError> {
    let pages = file_len
        .checked_sub(HEADER_LEN as u64)
        .filter(|bytes| *bytes > 0 && bytes.is_multiple_of(PAGE_LEN as u64));
    ensure(file_len <= MAX_SEGMENT_BYTES, "R-SEGMENT-1", "it is longer than 6 GiB")?;
    pages
        .map(|bytes| bytes / PAGE_LEN as u64)
        .ok_or_else(|| FormatError::broken("R-PAGES-1", "its pages are not a whole number of 4,096 bytes"))
}

#[cfg(test)]
mod tests {
    use super::super::pages::page_count;
    use super::*;

    fn sample(count: u64) -> (Vec<SegmentPack>, Vec<Entry>) {
        let packs = (0..90u8)
            .map(|i| SegmentPack { id: PackId([i; 32]), len: 1000, records: 1 << 20, class: Class::Data })
            .collect();
        let mut entries: Vec<Entry> = (0..count)
            .map(|i| {
                let key = crate::crypto::blake3_256(&i.to_le_bytes());
                Entry { key: key[..8].try_into().unwrap(), pack: (i % 90) as u32, slot: i as u32 }
            })
            .collect();
        entries.sort_unstable();
        (packs, entries)
    }

    #[test]
    fn sections_round_trip_and_filters_have_no_false_negatives() {
        for count in [0, 1, 255, 256, 300_000] {
            let (packs, entries) = sample(count);
            let content = encode(&packs, &entries).unwrap();
            let page = |number: u32| &content[number as usize * PIECE_LEN..(number as usize + 1) * PIECE_LEN];
            let head = Head::parse(page(0), page_count(content.len() as u64)).unwrap();
            let mut read = Vec::new();
            for number in 0..head.entry_pages() {
                read.extend(head.parse_entries(number, page(1 + number)).unwrap());
            }
            assert_eq!(read, entries);
            let mut read = Vec::new();
            for number in head.packs_start..head.fences_start {
                read.extend(head.parse_packs(number - head.packs_start, page(number)).unwrap());
            }
            assert_eq!(read, packs);
            let filters =
                Filter::parse_all(&head, &content[head.filters_start as usize * PIECE_LEN..]).unwrap();
            for (range, filter) in entries.chunks(ENTRIES_PER_FILTER).zip(&filters) {
                assert!(range.iter().all(|entry| filter.may_contain(&entry.key)));
            }
            if count == 300_000 {
                let hits =
                    (0..100_000u64).filter(|i| filters[0].may_contain(&(i << 13).to_le_bytes())).count();
                assert!(hits < 1000, "{hits} false positives of 100,000");
                let bytes: usize = filters.iter().map(Filter::memory_bytes).sum();
                assert!((bytes as f64) < 1.2 * count as f64, "{bytes} bytes");
            }
        }
    }

    #[test]
    fn a_hostile_filter_is_refused_before_it_is_asked() {
        let (packs, entries) = sample(10);
        let content = encode(&packs, &entries).unwrap();
        let head = Head::parse(&content[..PIECE_LEN], page_count(content.len() as u64)).unwrap();
        let filters = content[head.filters_start as usize * PIECE_LEN..].to_vec();
        for offset in 8..24 {
            let mut hostile = filters.clone();
            hostile[offset] ^= 0x41;
            assert!(Filter::parse_all(&head, &hostile).is_err(), "offset {offset}");
        }
    }
}
