//! Reading packs: table first, then chunks. Nothing leaves here that did not pass its tag and its hash.

use std::ops::Deref;
use std::sync::Arc;

use super::keyring::DomainKeys;
use super::{RepoError, Repository};
use crate::base::limits::MAX_IDX_BYTES;
use crate::base::{ChunkHash, ChunkId, DomainId, Kind, PackId};
use crate::compress::Decompressor;
use crate::crypto::ObjectSecrets;
use crate::format::idx::PackIndex;
use crate::format::pack::{
    ChunkTable, HEADER_LEN, PackHeader, Record, TRAILER_LEN, open_chunk, open_table, parse_trailer,
};
use crate::format::{FormatError, names};
use crate::store::StoreErrorKind;

/// A pack whose table was read.
pub struct PackView {
    /// The pack.
    pub id: PackId,
    /// Its length in bytes, as its table implies.
    pub len: u64,
    /// Its header.
    pub header: PackHeader,
    /// Its chunks.
    pub table: ChunkTable,
}

/// Opens chunks of packs of one domain; one per thread.
pub struct PackReader {
    domain: Arc<DomainKeys>,
    decompressor: Decompressor,
    /// Deriving a pack's key costs tens of microseconds and chunks of a pack come together.
    secrets: Option<(PackId, ObjectSecrets)>,
}

/// A missing object and one that is cut short are damage of the repository, not trouble of the store.
fn sort_error(error: crate::store::StoreError) -> RepoError {
    match error.kind {
        StoreErrorKind::NotFound => RepoError::Missing { object: error.name },
        StoreErrorKind::OutOfRange => {
            let source = FormatError::broken("R-PACK-4", "it is cut short");
            RepoError::Damaged { object: error.name, source }
        }
        _ => error.into(),
    }
}

impl Repository {
    /// Fills `buffer` from `offset` of a pack.
    ///
    /// # Errors
    /// The pack is missing or cut short, or the store failed.
    pub fn read_pack(&self, id: PackId, offset: u64, buffer: &mut [u8]) -> Result<(), RepoError> {
        self.store.get_range(&names::pack(id), offset, buffer).map_err(sort_error)
    }

    /// Reads a pack's table from the pack itself: it exists, and is as long as its table says.
    ///
    /// # Errors
    /// The pack is missing, damaged, or of another domain.
    pub fn view_pack(&self, id: PackId, domain: &DomainKeys) -> Result<PackView, RepoError> {
        let name = names::pack(id);
        let damaged = |source| RepoError::format(&name, source);
        let len = self.store.head(&name)?.ok_or_else(|| RepoError::Missing { object: name.to_string() })?;
        let mut header = [0; HEADER_LEN];
        self.read_pack(id, 0, &mut header)?;
        let header =
            PackHeader::parse(&header, self.config.suite, self.config.repository).map_err(damaged)?;
        let mut trailer = [0; TRAILER_LEN];
        let tail = len.saturating_sub(TRAILER_LEN as u64);
        self.read_pack(id, tail, &mut trailer)?;
        let table_len = parse_trailer(trailer, len).map_err(damaged)?;
        let table_offset = tail - table_len as u64;
        let mut table = vec![0; table_len];
        self.read_pack(id, table_offset, &mut table)?;
        self.open_view(id, len, header, &table, domain).map_err(damaged)
    }

    /// Reads a pack's table from the pack's bytes.
    ///
    /// # Errors
    /// The pack is damaged, or of another domain.
    pub fn view_bytes(&self, id: PackId, bytes: &[u8], domain: &DomainKeys) -> Result<PackView, RepoError> {
        let damaged = |source| RepoError::format(&names::pack(id), source);
        let short = || damaged(FormatError::broken("R-PACK-4", "it is cut short"));
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or_else(short)?;
        let header = PackHeader::parse(header, self.config.suite, self.config.repository).map_err(damaged)?;
        let (rest, trailer) = bytes.split_last_chunk::<TRAILER_LEN>().ok_or_else(short)?;
        let table_len = parse_trailer(*trailer, bytes.len() as u64).map_err(damaged)?;
        let table =
            rest.len().checked_sub(table_len).and_then(|start| rest.get(start..)).ok_or_else(short)?;
        self.open_view(id, bytes.len() as u64, header, table, domain).map_err(damaged)
    }

    /// Reads the table of a pack of any domain from the pack's bytes, which need not be in the store.
    ///
    /// # Errors
    /// The pack is damaged, or of a domain that there are no keys for.
    pub fn view_pack_bytes(&self, id: PackId, pack: &[u8]) -> Result<PackView, RepoError> {
        let damaged = |source| RepoError::format(&names::pack(id), source);
        let header = PackHeader::parse(pack, self.config.suite, self.config.repository).map_err(damaged)?;
        let keys = self.keys.domain(header.prefix.domain)?;
        let no_key = || damaged(FormatError::broken("R-CHUNK-2", "there is no key for its domain"));
        self.view_bytes(id, pack, &*keys.ok_or_else(no_key)?)
    }

    /// Reads a pack's table from its index file, if there is an intact one.
    #[must_use]
    pub fn view_index(&self, id: PackId, domain: &DomainKeys) -> Option<PackView> {
        self.view_index_with(id, |_| Some(domain))
    }

    /// As [`Self::view_index`], with the keys that are had for the pack's domain.
    pub(super) fn view_index_with<K: Deref<Target = DomainKeys>>(
        &self,
        id: PackId,
        keys_of: impl FnOnce(DomainId) -> Option<K>,
    ) -> Option<PackView> {
        let bytes = self.store.get(&names::idx(id), MAX_IDX_BYTES as u64).ok()?;
        let index = PackIndex::parse(&bytes, id, self.config.suite, self.config.repository).ok()?;
        let keys = keys_of(index.header.prefix.domain)?;
        self.open_view(id, index.pack_len, index.header, index.table, &keys).ok()
    }

    fn open_view(
        &self,
        id: PackId,
        len: u64,
        header: PackHeader,
        table: &[u8],
        domain: &DomainKeys,
    ) -> Result<PackView, FormatError> {
        if header.prefix.domain != domain.id {
            return Err(FormatError::broken("R-CHUNK-2", "it belongs to another domain"));
        }
        let table_offset = len - (table.len() + TRAILER_LEN) as u64;
        let table = open_table(&domain.table_secrets(&header)?, table, header.prefix.class, table_offset)?;
        Ok(PackView { id, len, header, table })
    }
}

impl PackReader {
    /// A reader for one domain.
    #[must_use]
    pub fn new(domain: Arc<DomainKeys>) -> Self {
        Self { domain, decompressor: Decompressor::new(), secrets: None }
    }

    /// The secrets of a pack, after its commitment was compared.
    fn secrets(&mut self, view: &PackView) -> Result<&ObjectSecrets, RepoError> {
        let name = names::pack(view.id);
        let is_cached = self.secrets.as_ref().is_some_and(|(id, _)| *id == view.id);
        if !is_cached {
            let made = self.domain.stored_object(&view.header.prefix, &view.header.enc);
            let made = made.map_err(|error| {
                let text = format!("its encapsulated key is no point: {error}");
                RepoError::format(&name, FormatError::broken("R-SEAL-1", text))
            })?;
            let made = made.ok_or(RepoError::NeedsAdmin { what: "reading what was stored" })?;
            if !made.commitment.matches(&view.header.commitment) {
                return Err(RepoError::format(
                    &name,
                    FormatError::broken("R-SEAL-1", "its commitment is wrong"),
                ));
            }
            self.secrets = Some((view.id, made));
        }
        match &self.secrets {
            Some((_, secrets)) => Ok(secrets),
            None => Err(RepoError::NeedsAdmin { what: "reading what was stored" }),
        }
    }

    /// Opens a chunk, given its stored bytes, which are used up; the plaintext is appended to `plain`.
    ///
    /// # Errors
    /// The chunk is damaged, or these keys cannot read; `plain` is as before then.
    pub fn open(
        &mut self,
        view: &PackView,
        slot: u32,
        record: &Record,
        stored: &mut [u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), RepoError> {
        let chunk = std::iter::once((slot, record));
        let (_, error) = self.open_run(view, record.id.kind, chunk, stored, plain);
        error.map_or(Ok(()), Err)
    }

    /// Opens a chunk as [`Self::open`] does, and gives the text as it was compressed, to be stored again. `plain` is room
    /// for the content.
    ///
    /// # Errors
    /// The chunk is damaged, or these keys cannot read.
    pub fn open_text<'s>(
        &mut self,
        view: &PackView,
        slot: u32,
        record: &Record,
        stored: &'s mut [u8],
        plain: &mut Vec<u8>,
    ) -> Result<&'s [u8], RepoError> {
        plain.clear();
        let text = self.unseal(view, slot, record, stored, plain)?;
        let hash = self.domain.hasher.hash(record.id.kind, plain);
        check_hash(view, slot, record, hash)?;
        Ok(text)
    }

    /// Opens chunks of one kind that stand side by side in a pack: slot and record of each, and their stored bytes,
    /// which are used up. The plaintexts are appended to `plain`. Returns how many chunks are good, and what is wrong
    /// with the next one; nothing of that and of those behind it is in `plain`.
    pub fn open_run<'r>(
        &mut self,
        view: &PackView,
        kind: Kind,
        chunks: impl ExactSizeIterator<Item = (u32, &'r Record)> + Clone,
        mut stored: &mut [u8],
        plain: &mut Vec<u8>,
    ) -> (usize, Option<RepoError>) {
        let mut ends = Vec::with_capacity(chunks.len());
        let start = plain.len();
        let mut error = None;
        for (slot, record) in chunks.clone() {
            let (own, rest) = stored.split_at_mut(record.stored_len as usize);
            stored = rest;
            if let Err(failed) = self.unseal(view, slot, record, own, plain) {
                error = Some(failed);
                break;
            }
            ends.push(plain.len());
        }
        let starts = std::iter::once(start).chain(ends.iter().copied());
        let texts: Vec<&[u8]> = starts.zip(&ends).map(|(start, end)| &plain[start..*end]).collect();
        let hashes = self.domain.hasher.hash_each(kind, texts.into_iter());
        for (good, ((slot, record), hash)) in chunks.zip(hashes).enumerate() {
            if let Err(failed) = check_hash(view, slot, record, hash) {
                plain.truncate(if good == 0 { start } else { ends[good - 1] });
                return (good, Some(failed));
            }
        }
        (ends.len(), error)
    }

    /// Decrypts and decompresses; what is appended to `plain` is not yet known to be the chunk. Returns the compressed text.
    fn unseal<'s>(
        &mut self,
        view: &PackView,
        slot: u32,
        record: &Record,
        stored: &'s mut [u8],
        plain: &mut Vec<u8>,
    ) -> Result<&'s [u8], RepoError> {
        let name = names::pack(view.id);
        let damaged = |source| RepoError::format(&name, source);
        let secrets = self.secrets(view)?;
        let text = open_chunk(&secrets.key, slot, record, stored).map_err(damaged)?;
        self.decompressor
            .decompress(record.codec, text, record.plain_len as usize, plain)
            .map_err(|error| damaged(FormatError::broken("R-CHUNK-3", format!("chunk {slot}: {error}"))))?;
        Ok(text)
    }
}

fn check_hash(view: &PackView, slot: u32, record: &Record, hash: ChunkHash) -> Result<(), RepoError> {
    if hash == record.id.hash {
        return Ok(());
    }
    let text = format!("chunk {slot} is not the content that its id names");
    Err(RepoError::format(&names::pack(view.id), FormatError::broken("R-CHUNK-1", text)))
}

impl PackView {
    /// The record of a slot and where its chunk starts, if it is this chunk.
    #[must_use]
    pub fn record_at(&self, slot: u32, id: &ChunkId) -> Option<(Record, u64)> {
        self.table.get(slot).filter(|(record, _)| record.id == *id)
    }
}
