//! One index segment: fences and filters in memory, entry and pack pages read when they are needed.

use super::keyring::DomainKeys;
use super::{RepoError, Repository};
use crate::base::{ObjectName, SegmentId};
use crate::crypto::SealKey;
use crate::format::pages::{PAGE_LEN, PIECE_LEN, open_page};
use crate::format::prefix::{ObjectKind, PREFIX_LEN, Prefix};
use crate::format::segment::{
    ENTRIES_PER_FILTER, ENTRIES_PER_PAGE, Entry, Filter, HEADER_LEN, Head, Key, PACKS_PER_PAGE, SegmentPack,
    check_fence, pages_in_file,
};
use crate::format::{FormatError, names};

/// Pages read at once while a segment is opened.
const READ_AHEAD_PAGES: u32 = 256;

/// A segment that was opened.
pub(super) struct SegmentReader {
    pub(super) id: SegmentId,
    name: ObjectName,
    key: SealKey,
    head: Head,
    fences: Vec<Key>,
    filters: Vec<Filter>,
}

/// Where a segment's pages come from: a cache in front of the store.
pub(super) trait Pages {
    /// The content of a page, or what `read` gives.
    fn page(
        &mut self,
        segment: SegmentId,
        page: u32,
        read: &dyn Fn() -> Result<Vec<u8>, RepoError>,
    ) -> Result<std::sync::Arc<Vec<u8>>, RepoError>;
}

impl SegmentReader {
    /// Opens a segment. `None` if it is another domain's.
    pub(super) fn open(
        repository: &Repository,
        id: SegmentId,
        domain: &DomainKeys,
    ) -> Result<Option<Self>, RepoError> {
        let name = names::segment(id);
        let damaged = |source| RepoError::format(&name, source);
        let len =
            repository.store.head(&name)?.ok_or_else(|| RepoError::Missing { object: name.to_string() })?;
        let pages = pages_in_file(len).map_err(damaged)?;
        let mut header = [0; HEADER_LEN];
        repository.store.get_range(&name, 0, &mut header)?;
        let (prefix, commitment) = header.split_at(PREFIX_LEN);
        let config = &repository.config;
        let prefix =
            Prefix::parse(prefix, ObjectKind::Segment, config.suite, config.repository).map_err(damaged)?;
        if prefix.domain != domain.id {
            return Ok(None);
        }
        let secrets = domain.segment_secrets(&prefix)?;
        let matches = commitment.first_chunk().is_some_and(|stored| secrets.commitment.matches(stored));
        if !matches {
            return Err(damaged(FormatError::broken("R-SEAL-1", "its commitment is wrong")));
        }
        let empty = Head {
            entries: 0,
            packs: 0,
            packs_start: 1,
            fences_start: 1,
            filters_start: 1,
            pages: pages as u32,
        };
        let mut reader = Self {
            id,
            name: name.clone(),
            key: secrets.key,
            head: empty,
            fences: Vec::new(),
            filters: Vec::new(),
        };
        reader.head = Head::parse(&reader.read_pages(repository, 0, 1)?, pages).map_err(damaged)?;
        reader.load(repository)?;
        Ok(Some(reader))
    }

    fn load(&mut self, repository: &Repository) -> Result<(), RepoError> {
        let head = self.head;
        let content = self.read_pages(repository, head.fences_start, head.filters_start)?;
        for (page, content) in content.chunks(PIECE_LEN).enumerate() {
            let fences = head.parse_fences(page as u32, content);
            self.fences.extend(fences.map_err(|source| RepoError::format(&self.name, source))?);
        }
        if !self.fences.is_sorted() {
            return Err(RepoError::format(
                &self.name,
                FormatError::broken("R-SEGMENT-3", "its fences are not in order"),
            ));
        }
        let content = self.read_pages(repository, head.filters_start, head.pages)?;
        self.filters =
            Filter::parse_all(&head, &content).map_err(|source| RepoError::format(&self.name, source))?;
        Ok(())
    }

    /// The joined content of pages `start..end`.
    fn read_pages(&self, repository: &Repository, start: u32, end: u32) -> Result<Vec<u8>, RepoError> {
        let mut content = Vec::with_capacity((end - start) as usize * PIECE_LEN);
        let mut page = start;
        while page < end {
            let count = (end - page).min(READ_AHEAD_PAGES);
            let mut stored = vec![0; count as usize * PAGE_LEN];
            let offset = HEADER_LEN as u64 + u64::from(page) * PAGE_LEN as u64;
            repository.store.get_range(&self.name, offset, &mut stored)?;
            for stored in stored.chunks_mut(PAGE_LEN) {
                let piece = open_page(&self.key, page, page + 1 == self.head.pages, stored);
                content.extend_from_slice(piece.map_err(|source| RepoError::format(&self.name, source))?);
                page += 1;
            }
        }
        Ok(content)
    }

    fn cached(
        &self,
        repository: &Repository,
        pages: &mut dyn Pages,
        page: u32,
    ) -> Result<std::sync::Arc<Vec<u8>>, RepoError> {
        pages.page(self.id, page, &|| self.read_pages(repository, page, page + 1))
    }

    /// Whether any entry of an entry page may have the key, by the filters.
    fn page_may_contain(&self, page: usize, key: &Key) -> bool {
        let first = page * ENTRIES_PER_PAGE / ENTRIES_PER_FILTER;
        let last = ((page + 1) * ENTRIES_PER_PAGE - 1) / ENTRIES_PER_FILTER;
        (first..=last).any(|filter| self.filters.get(filter).is_some_and(|filter| filter.may_contain(key)))
    }

    /// Appends the packs and slots that have a chunk with this key.
    pub(super) fn find(
        &self,
        repository: &Repository,
        pages: &mut dyn Pages,
        key: &Key,
        found: &mut Vec<(SegmentPack, u32)>,
    ) -> Result<(), RepoError> {
        // Entries with one key can begin at the end of the page before the first fence that equals it.
        let start = self.fences.partition_point(|fence| fence < key).saturating_sub(1);
        let end = self.fences.partition_point(|fence| fence <= key);
        for page in start..end {
            if !self.page_may_contain(page, key) {
                continue;
            }
            let content = self.cached(repository, pages, 1 + page as u32)?;
            let entries = self.head.parse_entries(page as u32, &content);
            let entries = entries.map_err(|source| RepoError::format(&self.name, source))?;
            check_fence(self.fences.get(page), &entries)
                .map_err(|source| RepoError::format(&self.name, source))?;
            let from = entries.partition_point(|entry| entry.key < *key);
            for entry in entries[from..].iter().take_while(|entry| entry.key == *key) {
                found.push((self.pack(repository, pages, entry)?, entry.slot));
            }
        }
        Ok(())
    }

    fn pack(
        &self,
        repository: &Repository,
        pages: &mut dyn Pages,
        entry: &Entry,
    ) -> Result<SegmentPack, RepoError> {
        let page = entry.pack / PACKS_PER_PAGE as u32;
        let content = self.cached(repository, pages, self.head.packs_start + page)?;
        let packs = self.head.parse_packs(page, &content);
        let packs = packs.map_err(|source| RepoError::format(&self.name, source))?;
        let pack = packs.get(entry.pack as usize % PACKS_PER_PAGE).copied();
        pack.filter(|pack| entry.slot < pack.records).ok_or_else(|| {
            RepoError::format(
                &self.name,
                FormatError::broken("R-SEGMENT-2", "an entry names a slot that its pack lacks"),
            )
        })
    }

    /// How many entries it has.
    pub(super) fn entry_count(&self) -> u64 {
        self.head.entries
    }

    /// Pages that hold entries.
    pub(super) fn entry_pages(&self) -> u32 {
        self.head.entry_pages()
    }

    /// Bytes of the fences and filters, which are in memory as long as the segment is open.
    pub(super) fn memory_bytes(&self) -> u64 {
        let filters: usize = self.filters.iter().map(Filter::memory_bytes).sum();
        (filters + size_of_val(self.fences.as_slice())) as u64
    }

    /// The segment without what only a look-up needs.
    pub(super) fn for_reading_through(self) -> Self {
        Self { fences: Vec::new(), filters: Vec::new(), ..self }
    }

    /// The entries of some of the entry pages (from 0).
    pub(super) fn read_entries(
        &self,
        repository: &Repository,
        pages: std::ops::Range<u32>,
    ) -> Result<Vec<Entry>, RepoError> {
        let content = self.read_pages(repository, 1 + pages.start, 1 + pages.end)?;
        let mut entries = Vec::new();
        for (page, content) in pages.zip(content.chunks(PIECE_LEN)) {
            let read = self.head.parse_entries(page, content);
            entries.extend(read.map_err(|source| RepoError::format(&self.name, source))?);
        }
        Ok(entries)
    }

    /// Calls `each` for every pack that the segment names.
    pub(super) fn each_pack(
        &self,
        repository: &Repository,
        mut each: impl FnMut(SegmentPack),
    ) -> Result<(), RepoError> {
        for page in self.head.packs_start..self.head.fences_start {
            let content = self.read_pages(repository, page, page + 1)?;
            let packs = self.head.parse_packs(page - self.head.packs_start, &content);
            packs.map_err(|source| RepoError::format(&self.name, source))?.into_iter().for_each(&mut each);
        }
        Ok(())
    }
}
