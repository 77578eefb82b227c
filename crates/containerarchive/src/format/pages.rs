//! Pages and sealed blobs (`docs/FORMAT.md` section 3.2).

use super::FormatError;
use super::error::ensure;
use crate::crypto::{CryptoError, Nonce, SealKey, TAG_LEN};

/// Bytes of a stored page.
pub const PAGE_LEN: usize = 4096;
/// Bytes of content in a page.
pub const PIECE_LEN: usize = PAGE_LEN - TAG_LEN;

fn nonce(page: u32, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&page.to_le_bytes());
    nonce[4..8].copy_from_slice(&u32::from(is_last).to_le_bytes());
    nonce
}

fn too_long() -> CryptoError {
    CryptoError("sealing more than 2^32 pages")
}

/// How many pages content of this length takes.
#[must_use]
pub fn page_count(content_len: u64) -> u64 {
    content_len.div_ceil(PIECE_LEN as u64).max(1)
}

/// Appends the pages of `content`, given in parts that follow each other.
///
/// # Errors
/// There are more than 2^32 pages.
pub fn seal_pages(key: &SealKey, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), CryptoError> {
    let content_len: usize = parts.iter().map(|part| part.len()).sum();
    let count = page_count(content_len as u64);
    let last = u32::try_from(count - 1).map_err(|_| too_long())?;
    out.reserve(usize::try_from(count).map_err(|_| too_long())? * PAGE_LEN);
    let mut bytes = parts.iter().copied().filter(|part| !part.is_empty());
    let mut part: &[u8] = bytes.next().unwrap_or_default();
    for page in 0..=last {
        let start = out.len();
        while out.len() < start + PIECE_LEN {
            if part.is_empty() {
                let Some(next) = bytes.next() else { break };
                part = next;
            }
            let taken = part.len().min(start + PIECE_LEN - out.len());
            out.extend_from_slice(&part[..taken]);
            part = &part[taken..];
        }
        out.resize(start + PIECE_LEN, 0);
        let tag = key.seal(nonce(page, page == last), b"", &mut out[start..])?;
        out.extend_from_slice(&tag);
    }
    Ok(())
}

/// Opens one page in place and returns its piece.
///
/// # Errors
/// The page is damaged, or not the one with this number.
pub fn open_page<'a>(
    key: &SealKey,
    page: u32,
    is_last: bool,
    stored: &'a mut [u8],
) -> Result<&'a mut [u8], FormatError> {
    ensure(stored.len() == PAGE_LEN, "R-PAGES-1", "a page is cut short")?;
    key.open(nonce(page, is_last), b"", stored)
        .map_err(|error| FormatError::broken("R-SEAL-2", format!("page {page}: {error}")))
}

/// Opens pages that are all there, in place, and returns their content with its filling zeros.
///
/// # Errors
/// A page is damaged, missing or misplaced.
pub fn open_pages(key: &SealKey, mut stored: Vec<u8>) -> Result<Vec<u8>, FormatError> {
    let whole = !stored.is_empty() && stored.len().is_multiple_of(PAGE_LEN);
    ensure(whole, "R-PAGES-1", "its pages are not a whole number of 4,096 bytes")?;
    let count = stored.len() / PAGE_LEN;
    let last = u32::try_from(count - 1).map_err(|_| too_long())?;
    for page in 0..=last {
        let start = page as usize * PAGE_LEN;
        open_page(key, page, page == last, &mut stored[start..start + PAGE_LEN])?;
        // The pieces move together; the content stays in one buffer.
        stored.copy_within(start..start + PIECE_LEN, page as usize * PIECE_LEN);
    }
    stored.truncate(count * PIECE_LEN);
    Ok(stored)
}

/// Appends the sealed blob of `content`.
///
/// # Errors
/// As [`seal_pages`].
pub fn seal_blob(key: &SealKey, content: &[u8], out: &mut Vec<u8>) -> Result<(), CryptoError> {
    seal_pages(key, &[&(content.len() as u64).to_le_bytes(), content], out)
}

/// Stored length of a sealed blob.
#[must_use]
pub fn blob_len(content_len: usize) -> usize {
    page_count(8 + content_len as u64) as usize * PAGE_LEN
}

/// Opens a sealed blob and returns its content.
///
/// # Errors
/// A page is damaged, or the length does not fit.
pub fn open_blob(key: &SealKey, stored: Vec<u8>) -> Result<Vec<u8>, FormatError> {
    const RULE: &str = "R-PAGES-2";
    let stored_len = stored.len();
    let mut content = open_pages(key, stored)?;
    let mut length = [0; 8];
    length.copy_from_slice(&content[..8]);
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    let fits = length <= content.len() - 8 && blob_len(length) == stored_len;
    ensure(fits, RULE, "its length does not fit its pages")?;
    let filling = &content[8 + length..];
    ensure(filling.iter().all(|byte| *byte == 0), RULE, "the bytes behind its content are not zero")?;
    content.truncate(8 + length);
    content.drain(..8);
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Suite;

    fn key() -> SealKey {
        SealKey::new(Suite::X25519, [9; 32].into()).unwrap()
    }

    #[test]
    fn blobs_of_all_sizes_around_a_page_round_trip() {
        for len in [0, 1, PIECE_LEN - 9, PIECE_LEN - 8, PIECE_LEN - 7, PIECE_LEN, 3 * PIECE_LEN, 10_000] {
            let content: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut stored = Vec::new();
            seal_blob(&key(), &content, &mut stored).unwrap();
            assert_eq!(stored.len(), blob_len(len));
            assert_eq!(open_blob(&key(), stored).unwrap(), content);
        }
    }

    #[test]
    fn pages_cannot_be_swapped_dropped_or_repeated() {
        let mut stored = Vec::new();
        seal_blob(&key(), &[1; 3 * PIECE_LEN], &mut stored).unwrap();
        assert_eq!(stored.len(), 4 * PAGE_LEN);
        let mut swapped = stored.clone();
        swapped[..2 * PAGE_LEN].rotate_left(PAGE_LEN);
        let dropped = stored[..3 * PAGE_LEN].to_vec();
        let repeated = [&stored[..], &stored[3 * PAGE_LEN..]].concat();
        for bad in [swapped, dropped, repeated, Vec::new(), stored[1..].to_vec()] {
            assert!(open_blob(&key(), bad).is_err());
        }
    }
}
