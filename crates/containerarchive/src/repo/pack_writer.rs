//! Putting chunks together to a pack, sealing it, and looking at what was sealed before it counts.

use super::keyring::DomainKeys;
use super::{RepoError, Repository};
use crate::base::limits::MAX_PACK_CHUNKS;
use crate::base::{ChunkId, Kind, PackId, SessionId};
use crate::compress::{Codec, Decompressor};
use crate::crypto::{BlockSum, ObjectSecrets, TAG_LEN, hash_blocks};
use crate::format::pack::{
    HEADER_LEN, PackHeader, Record, TRAILER_LEN, encode_tail, open_chunk, open_table, parse_trailer,
    seal_chunk, tail_len,
};
use crate::format::padme::padme;
use crate::format::prefix::{Class, ObjectKind, PREFIX_LEN};
use crate::format::{FormatError, idx};

/// One in this many data chunks is opened again after sealing. Opening all would cost 40 to 70 % of an ingest;
/// structure, without which much more is lost, is always opened.
const DATA_CHECK_STEP: usize = 16;

/// A pack that still takes chunks: the file's bytes in the making, texts not yet sealed.
pub struct OpenPack {
    class: Class,
    bytes: Vec<u8>,
    records: Vec<Record>,
}

/// A sealed pack, ready to be written.
pub struct SealedPack {
    /// Its name.
    pub id: PackId,
    /// What its chunks are.
    pub class: Class,
    /// The file.
    pub bytes: Vec<u8>,
    /// The checksums of its blocks, for parity.
    pub sums: Vec<BlockSum>,
    /// Its index file.
    pub idx: Vec<u8>,
    /// Its records, padding included.
    pub records: Vec<Record>,
}

impl OpenPack {
    /// An empty pack; `buffer` is used again.
    #[must_use]
    pub fn new(class: Class, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(HEADER_LEN, 0);
        Self { class, bytes: buffer, records: Vec::new() }
    }

    /// Appends a chunk that is not in the pack yet.
    pub fn push(&mut self, id: ChunkId, codec: Codec, text: &[u8], plain_len: u32) {
        debug_assert!(self.class == if id.kind == Kind::Data { Class::Data } else { Class::Structure });
        self.records.push(Record::new(id, codec, text.len() as u32, plain_len));
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(&[0; TAG_LEN]);
    }

    /// Whether the pack is long enough to be finished.
    #[must_use]
    pub fn is_full(&self, pack_size_bytes: u64) -> bool {
        // One record is left for padding.
        self.stored_bytes() >= pack_size_bytes || self.records.len() + 1 >= MAX_PACK_CHUNKS
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn stored_bytes(&self) -> u64 {
        (self.bytes.len() + tail_len(self.records.len())) as u64
    }

    /// Hides the length of a pack that is shorter than most (Padmé).
    fn pad(&mut self, pack_size_bytes: u64) {
        if self.stored_bytes() >= pack_size_bytes {
            return;
        }
        let least = self.bytes.len() + TAG_LEN + tail_len(self.records.len() + 1);
        let padding = padme(least as u64) as usize - least;
        self.records.push(Record::padding(padding as u32));
        self.bytes.resize(self.bytes.len() + padding + TAG_LEN, 0);
    }
}

impl Repository {
    /// Seals a pack, opens it again, and hashes it. CPU-bound; runs on any thread.
    ///
    /// # Errors
    /// A primitive failed, or what was sealed does not open.
    pub fn seal_pack(
        &self,
        pack: OpenPack,
        domain: &DomainKeys,
        session: SessionId,
    ) -> Result<SealedPack, RepoError> {
        let (sealed, secrets) = seal(self, pack, domain, session)?;
        check(&sealed, &secrets, domain)?;
        Ok(sealed.name())
    }

    /// Seals a pack as an attacker with a write key would, whatever its chunks are.
    ///
    /// # Errors
    /// A primitive failed.
    #[cfg(test)]
    pub fn seal_pack_unchecked(
        &self,
        pack: OpenPack,
        domain: &DomainKeys,
        session: SessionId,
    ) -> Result<SealedPack, RepoError> {
        let (sealed, _) = seal(self, pack, domain, session)?;
        Ok(sealed.name())
    }
}

/// A sealed pack whose name is not known yet.
struct Unnamed {
    class: Class,
    header: PackHeader,
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl Unnamed {
    fn name(self) -> SealedPack {
        let Self { class, header, bytes, records } = self;
        let (hash, sums) = hash_blocks(&bytes);
        let id = PackId(hash);
        let idx = idx::encode(id, &header, &bytes, tail_len(records.len()));
        SealedPack { id, class, bytes, sums, idx, records }
    }
}

struct PackSecrets {
    chunks: ObjectSecrets,
    table: ObjectSecrets,
}

fn seal(
    repository: &Repository,
    mut pack: OpenPack,
    domain: &DomainKeys,
    session: SessionId,
) -> Result<(Unnamed, PackSecrets), RepoError> {
    if repository.is_encrypted() {
        pack.pad(repository.settings.pack_size_bytes);
    }
    let prefix = repository.new_prefix(ObjectKind::Pack, pack.class, domain.id, session)?;
    let (chunks, enc) = domain.new_object(&prefix, &*repository.environment.random)?;
    let header = PackHeader { prefix, enc, commitment: chunks.commitment.0 };
    let OpenPack { class, mut bytes, records } = pack;
    bytes[..HEADER_LEN].copy_from_slice(&header.encode());
    let mut offset = HEADER_LEN;
    for (slot, record) in records.iter().enumerate() {
        let end = offset + record.stored_len as usize;
        let (text, tag) = bytes[offset..end].split_at_mut(record.stored_len as usize - TAG_LEN);
        let made = seal_chunk(&chunks.key, slot as u32, record, text).map_err(sealing)?;
        tag.copy_from_slice(&made);
        offset = end;
    }
    let table = domain.table_secrets(&header)?;
    encode_tail(&table, &records, &mut bytes).map_err(sealing)?;
    Ok((Unnamed { class, header, bytes, records }, PackSecrets { chunks, table }))
}

fn sealing(error: FormatError) -> RepoError {
    RepoError::SealCheck { why: error.to_string() }
}

/// Opens the pack again from the very bytes that will be written.
fn check(pack: &Unnamed, secrets: &PackSecrets, domain: &DomainKeys) -> Result<(), RepoError> {
    let differs = |why: &str| Err(RepoError::SealCheck { why: why.to_owned() });
    let (bytes, records) = (&pack.bytes, &pack.records);
    let Some((rest, trailer)) = bytes.split_last_chunk::<TRAILER_LEN>() else {
        return differs("it has no end");
    };
    let table_len = parse_trailer(*trailer, bytes.len() as u64).map_err(sealing)?;
    let table_offset = rest.len() - table_len;
    let table = open_table(&secrets.table, &rest[table_offset..], pack.class, table_offset as u64)
        .map_err(sealing)?;
    if table.records() != records {
        return differs("its table has other records");
    }
    // The first one to check comes from the pack's own random bytes, so that over time all slots are looked at.
    let first = usize::from(bytes[PREFIX_LEN - 1]) % DATA_CHECK_STEP.min(records.len());
    let mut decompressor = Decompressor::new();
    let (mut sealed, mut plain) = (Vec::new(), Vec::new());
    for (slot, record) in records.iter().enumerate() {
        let is_looked_at = match record.id.kind {
            Kind::Padding => false,
            Kind::Data => slot % DATA_CHECK_STEP == first,
            Kind::Recipe | Kind::Tree => true,
        };
        let Some((_, offset)) = table.get(slot as u32).filter(|_| is_looked_at) else { continue };
        let start = offset as usize;
        sealed.clear();
        sealed.extend_from_slice(&bytes[start..start + record.stored_len as usize]);
        let text = open_chunk(&secrets.chunks.key, slot as u32, record, &mut sealed).map_err(sealing)?;
        plain.clear();
        let opened = decompressor.decompress(record.codec, text, record.plain_len as usize, &mut plain);
        if let Err(error) = opened {
            return differs(&error.to_string());
        }
        if domain.hasher.hash(record.id.kind, &plain) != record.id.hash {
            return differs("a chunk has another hash than the content that was read");
        }
    }
    Ok(())
}
