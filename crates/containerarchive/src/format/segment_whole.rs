//! A whole index segment, for who needs all of it and wants all rules of section 10 checked.

use super::FormatError;
use super::error::ensure;
use super::pages::PIECE_LEN;
use super::segment::{ENTRY_LEN, Entry, FENCE_LEN, Filter, Head, PACK_LEN, SegmentPack, check_fence};

/// All that a segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeSegment {
    /// The packs, by id.
    pub packs: Vec<SegmentPack>,
    /// The entries, by key, pack and slot.
    pub entries: Vec<Entry>,
}

impl WholeSegment {
    /// Reads the joined content of all pages, as [`super::pages::open_pages`] returns it.
    ///
    /// # Errors
    /// A rule of section 10 is broken.
    pub fn parse(content: &[u8]) -> Result<Self, FormatError> {
        const ORDER: &str = "R-SEGMENT-2";
        let (pieces, _) = content.as_chunks::<PIECE_LEN>();
        let head = pieces.first().ok_or_else(|| FormatError::broken("R-SEGMENT-1", "it has no pages"))?;
        let head = Head::parse(head, pieces.len() as u64)?;
        let section = |start: u32, end: u32| pieces[start as usize..end as usize].iter().zip(0u32..);
        let mut packs: Vec<SegmentPack> = Vec::new();
        for (piece, page) in section(head.packs_start, head.fences_start) {
            let on_page = head.parse_packs(page, piece)?;
            check_filling(piece, on_page.len() * PACK_LEN)?;
            packs.extend(on_page);
        }
        let sorted = packs.windows(2).all(|pair| pair[0].id < pair[1].id);
        ensure(sorted, ORDER, "its packs are not in order")?;
        let mut fences = Vec::new();
        for (piece, page) in section(head.fences_start, head.filters_start) {
            let on_page = head.parse_fences(page, piece)?;
            check_filling(piece, on_page.len() * FENCE_LEN)?;
            fences.extend(on_page);
        }
        let mut entries: Vec<Entry> = Vec::new();
        for (piece, page) in section(1, head.packs_start) {
            let on_page = head.parse_entries(page, piece)?;
            check_filling(piece, on_page.len() * ENTRY_LEN)?;
            check_fence(fences.get(page as usize), &on_page)?;
            entries.extend(on_page);
        }
        ensure(entries.is_sorted(), ORDER, "its entries are not in order")?;
        let has_slot =
            |entry: &Entry| packs.get(entry.pack as usize).is_some_and(|pack| entry.slot < pack.records);
        ensure(entries.iter().all(has_slot), ORDER, "an entry names a slot that its pack lacks")?;
        Filter::parse_all(&head, &content[head.filters_start as usize * PIECE_LEN..])?;
        Ok(Self { packs, entries })
    }
}

fn check_filling(piece: &[u8], used: usize) -> Result<(), FormatError> {
    let is_zero = piece[used..].iter().all(|byte| *byte == 0);
    ensure(is_zero, "R-SEGMENT-1", "a page is not filled up with zeros")
}
