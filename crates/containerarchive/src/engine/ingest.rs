//! Streams in, one snapshot out.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use super::pipeline::{Pool, Ticket, Writer};
use crate::base::limits::{MAX_ITEMS, MAX_TAGS, MAX_TEXT_BYTES};
use crate::base::{
    ChunkHash, ChunkId, Kind, Monitor, NoPins, Pins, Problem, Progress, SessionId, SilentMonitor, Timestamp,
};
use crate::chunk::{Batch, ChunkReader, Chunker};
use crate::compress::{Codec, Compressor, ItemCompression};
use crate::error::Error;
use crate::format::manifest::{Content, Item, Manifest, check_item_name, clashing_name, is_good_text};
use crate::format::node::{LeafEntry, Sums};
use crate::format::slot::Capability;
use crate::repo::{
    Committed, DomainKeys, Index, RecipeBuilder, RepoError, Repository, Session, adopt_packs, load_manifests,
    newest_of_domain,
};
use crate::store::StoreErrorKind;

/// How often a fenced commit is tried under a new session.
const COMMIT_TRIES: usize = 3;
/// Longest series that is made from item names.
const MAX_DEFAULT_SERIES_BYTES: usize = 1024;

/// One stream to store.
pub struct IngestItem<'a> {
    /// A relative path, unique in the snapshot.
    pub name: String,
    /// The user's word for what it is.
    pub item_type: String,
    /// The content; read to its end.
    pub source: Box<dyn Read + Send + 'a>,
    /// Its length in bytes where known, for progress.
    pub size_hint: Option<u64>,
}

/// How to ingest.
pub struct IngestOptions<'a> {
    /// Tags of the snapshot.
    pub tags: BTreeMap<String, String>,
    /// The series; `None`: the item names.
    pub series: Option<String>,
    /// The time that the snapshot stands for; `None`: now.
    pub time: Option<Timestamp>,
    /// Worker threads; 1 runs everything in the caller.
    pub threads: usize,
    /// The client's notes.
    pub pins: &'a dyn Pins,
}

impl Default for IngestOptions<'_> {
    fn default() -> Self {
        Self { tags: BTreeMap::new(), series: None, time: None, threads: 1, pins: &NoPins }
    }
}

/// A snapshot that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestReport {
    /// Its description.
    pub manifest: Manifest,
}

/// Stores the items as one snapshot. Items are read one after the other.
///
/// Memory: four batches of 4 MiB (or twice the largest chunk) and their compressed forms, and four packs.
///
/// # Errors
/// A source failed, or the repository; there is then no snapshot, and what was stored is used again or pruned.
pub fn ingest(
    repository: &Repository,
    items: Vec<IngestItem<'_>>,
    options: &IngestOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<IngestReport, Error> {
    check(&items, options)?;
    let begun = Instant::now();
    let domain_id = repository.keys.own_domain();
    let domain = repository.keys.domain(domain_id).map_err(RepoError::from)?;
    let domain = domain.ok_or(RepoError::NeedsAdmin { what: "writing to another domain" })?;
    let series = options.series.clone().unwrap_or_else(|| default_series(&items));
    let (session, index) = Session::register_writer(repository, Arc::clone(&domain), "ingest", monitor)?;
    let done = std::thread::scope(|scope| {
        let pool = Pool::new(scope, options.threads, Compressor::new);
        let ingest = Ingest { repository, domain: &domain, options, monitor, pool };
        ingest.run(session, index, items, series, begun)
    });
    let report = done?;
    let seen = [(domain_id, report.manifest.id, report.manifest.committed_at)];
    repository.remember(options.pins, &seen, monitor);
    Ok(report)
}

fn check(items: &[IngestItem<'_>], options: &IngestOptions<'_>) -> Result<(), Error> {
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(Error::ItemCount { count: items.len(), limit: MAX_ITEMS });
    }
    for item in items {
        check_item_name(&item.name)
            .map_err(|source| Error::ItemName { name: item.name.clone(), why: source.to_string() })?;
    }
    if let Some(name) = clashing_name(items.iter().map(|item| item.name.as_str())) {
        let why = "another item has the same name, or is a folder of it".to_owned();
        return Err(Error::ItemName { name: name.to_owned(), why });
    }
    if options.tags.len() > MAX_TAGS {
        return Err(Error::Text {
            what: "the number of tags",
            why: format!("there are more than {MAX_TAGS}"),
        });
    }
    let tags = options.tags.iter().flat_map(|(key, value)| [("a tag", key), ("a tag", value)]);
    let texts = tags.chain(options.series.iter().map(|series| ("the series", series)));
    for (what, text) in texts.chain(items.iter().map(|item| ("an item's type", &item.item_type))) {
        if !is_good_text(text) {
            let why = format!("it has control characters or more than {MAX_TEXT_BYTES} bytes");
            return Err(Error::Text { what, why });
        }
    }
    if options.tags.keys().any(String::is_empty) {
        return Err(Error::Text { what: "a tag", why: "its key is empty".to_owned() });
    }
    if options.time.is_some_and(|time| !time.is_storable()) {
        return Err(Error::Text { what: "the time", why: "it is not from 1970 to 9999".to_owned() });
    }
    Ok(())
}

/// The set of item names.
fn default_series(items: &[IngestItem<'_>]) -> String {
    let mut names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
    names.sort_unstable();
    let mut series = names.join(",");
    if series.len() > MAX_DEFAULT_SERIES_BYTES {
        let digest = data_encoding::HEXLOWER.encode(&crate::crypto::blake3_256(series.as_bytes())[..8]);
        series.truncate(series.floor_char_boundary(MAX_DEFAULT_SERIES_BYTES));
        series = format!("{series}… {digest}");
    }
    series
}

/// A chunk that was compressed.
struct Packed {
    id: ChunkId,
    codec: Codec,
    start: usize,
    end: usize,
    plain_len: u32,
}

/// The new chunks of a batch, compressed, and the batch for its next filling.
struct PackedBatch {
    batch: Batch,
    text: Vec<u8>,
    chunks: Vec<Packed>,
}

struct Ingest<'env, 'call> {
    repository: &'env Repository,
    domain: &'env Arc<DomainKeys>,
    options: &'call IngestOptions<'call>,
    monitor: &'env dyn Monitor,
    pool: Pool<'env, Compressor>,
}

impl<'env> Ingest<'env, '_> {
    fn run(
        &self,
        session: Session,
        index: Index,
        items: Vec<IngestItem<'_>>,
        series: String,
        begun: Instant,
    ) -> Result<IngestReport, Error> {
        let adopted = match adopt_packs(self.repository, self.domain, &index, session.id, self.monitor) {
            Ok(adopted) => adopted,
            Err(error) => {
                let _ = session.end(self.repository);
                return Err(error.into());
            }
        };
        let threads = self.options.threads;
        let domain = Arc::clone(self.domain);
        let mut writer =
            Writer::new(self.repository, domain, session.id, index, adopted, threads, self.monitor);
        match self.write(&mut writer, items) {
            Ok(items) => self.commit(session, &writer, items, series, begun),
            Err(error) => {
                writer.abandon(error.is_full());
                let _ = session.end(self.repository);
                Err(error)
            }
        }
    }

    fn write(&self, writer: &mut Writer<'env>, items: Vec<IngestItem<'_>>) -> Result<Vec<Item>, Error> {
        writer.publish_adopted()?;
        let gear = self.domain.gear_table().map_err(RepoError::from)?;
        let chunker = Chunker::new(self.repository.config.chunking, gear);
        let mut done = Vec::with_capacity(items.len());
        for item in items {
            done.push(self.write_item(writer, &chunker, item)?);
        }
        writer.flush(&self.pool)?;
        Ok(done)
    }

    /// One stream: read and cut here, hash on the pool, look up here in order, compress on the pool, pack here in order.
    fn write_item(
        &self,
        writer: &mut Writer<'env>,
        chunker: &Chunker,
        item: IngestItem<'_>,
    ) -> Result<Item, Error> {
        let window = if self.options.threads <= 1 { 0 } else { 2 };
        let compression = Arc::new(ItemCompression::new(self.repository.settings.compression));
        let mut reader = ChunkReader::new(chunker, item.source);
        let mut recipe = RecipeBuilder::default();
        let mut progress =
            Progress { subject: item.name.clone(), done_bytes: 0, total_bytes: item.size_hint };
        let mut hashing: VecDeque<Ticket<(Batch, Vec<ChunkHash>)>> = VecDeque::new();
        let mut compressing: VecDeque<Ticket<PackedBatch>> = VecDeque::new();
        let mut spare: Vec<Batch> = Vec::new();
        let mut is_ended = false;
        while !is_ended || !hashing.is_empty() || !compressing.is_empty() {
            if self.monitor.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if !is_ended {
                let mut batch = spare.pop().unwrap_or_default();
                let has_content = reader.next_batch(&mut batch);
                is_ended =
                    !has_content.map_err(|source| Error::Source { item: item.name.clone(), source })?;
                if !is_ended {
                    progress.done_bytes += batch.content_bytes() as u64;
                    hashing.push_back(self.hash(batch));
                }
            }
            if (hashing.len() > window || is_ended)
                && let Some(ticket) = hashing.pop_front()
            {
                let (batch, hashes) = ticket.redeem().ok_or(Error::Worker)?;
                let new = self.look_up(writer, &mut recipe, &batch, &hashes)?;
                if new.is_empty() {
                    spare.push(batch);
                } else {
                    compressing.push_back(self.compress(batch, new, &compression));
                }
                self.monitor.progress(&progress);
            }
            // A checkpoint names what was stored; what was looked up and is not yet stored must not be forgotten by it.
            let left = if writer.wants_checkpoint() || (is_ended && hashing.is_empty()) { 0 } else { window };
            while compressing.len() > left {
                let Some(ticket) = compressing.pop_front() else { break };
                let packed = ticket.redeem().ok_or(Error::Worker)?;
                for chunk in &packed.chunks {
                    let text = &packed.text[chunk.start..chunk.end];
                    writer.store(&self.pool, chunk.id, chunk.codec, text, chunk.plain_len)?;
                }
                spare.push(packed.batch);
            }
            if writer.wants_checkpoint() {
                writer.flush(&self.pool)?;
            }
        }
        let (root, Sums { bytes, .. }) =
            recipe.finish(&mut |node: &[u8]| writer.store_node(&self.pool, node))?;
        Ok(Item {
            name: item.name,
            item_type: item.item_type,
            size: bytes,
            content: Content::Recipe,
            root,
            evidence: None,
        })
    }

    fn hash(&self, batch: Batch) -> Ticket<(Batch, Vec<ChunkHash>)> {
        let domain = self.domain;
        self.pool.submit(move |_| {
            let hashes = batch.chunks().map(|chunk| domain.hasher.hash(Kind::Data, chunk)).collect();
            (batch, hashes)
        })
    }

    /// Appends a batch to the recipe and returns which of its chunks are new.
    fn look_up(
        &self,
        writer: &mut Writer<'env>,
        recipe: &mut RecipeBuilder,
        batch: &Batch,
        hashes: &[ChunkHash],
    ) -> Result<Vec<(usize, ChunkId)>, Error> {
        let mut new = Vec::new();
        for (number, (chunk, hash)) in batch.chunks().zip(hashes).enumerate() {
            let id = ChunkId { kind: Kind::Data, hash: *hash };
            if writer.is_new(id)? {
                writer.counters.new_chunks += 1;
                new.push((number, id));
            } else {
                writer.counters.reused_chunks += 1;
            }
            let entry = LeafEntry { hash: *hash, len: chunk.len() as u32 };
            recipe.push(entry, &mut |node: &[u8]| writer.store_node(&self.pool, node))?;
        }
        Ok(new)
    }

    fn compress(
        &self,
        batch: Batch,
        new: Vec<(usize, ChunkId)>,
        compression: &Arc<ItemCompression>,
    ) -> Ticket<PackedBatch> {
        let compression = Arc::clone(compression);
        self.pool.submit(move |compressor| {
            let mut text = Vec::new();
            let mut chunks = Vec::with_capacity(new.len());
            for (number, id) in new {
                let Some(plain) = batch.chunk(number) else { continue };
                let start = text.len();
                let codec = compression.compress(compressor, plain, &mut text);
                chunks.push(Packed { id, codec, start, end: text.len(), plain_len: plain.len() as u32 });
            }
            PackedBatch { batch, text, chunks }
        })
    }

    /// W5, and again under a new session if an admin's maintenance took this one for dead.
    fn commit(
        &self,
        session: Session,
        writer: &Writer<'env>,
        items: Vec<Item>,
        series: String,
        begun: Instant,
    ) -> Result<IngestReport, Error> {
        let mut manifest = self.describe(session.id, writer, items, series);
        let mut session = session;
        for _ in 0..COMMIT_TRIES {
            manifest.id = session.id;
            let committed = self.try_commit(&session, &mut manifest, begun);
            match committed {
                Ok(Committed::Acknowledged) => {
                    // The snapshot exists; a lock that cannot be deleted is cleared by whoever finds it dead.
                    if let Err(error) = session.end(self.repository) {
                        self.monitor.problem(&Problem::Warning {
                            text: format!("the session's lock stays: {error}"),
                        });
                    }
                    return Ok(IngestReport { manifest });
                }
                Ok(Committed::Fenced) => {
                    let fenced = session.id;
                    let _ = session.end(self.repository);
                    session = self.register_again(fenced, writer)?;
                }
                Err(error) => {
                    let _ = session.end(self.repository);
                    return Err(error);
                }
            }
        }
        let id = session.id;
        let _ = session.end(self.repository);
        let why = format!("it was fenced {COMMIT_TRIES} times; ingest again");
        Err(RepoError::Fenced { session: id, why }.into())
    }

    fn try_commit(
        &self,
        session: &Session,
        manifest: &mut Manifest,
        begun: Instant,
    ) -> Result<Committed, Error> {
        let now = self.repository.environment.clock.now();
        manifest.previous =
            newest_of_domain(self.repository, self.domain.id)?.into_iter().map(|(link, _)| link).collect();
        manifest.committed_at = now;
        manifest.created_at = self.options.time.unwrap_or(now);
        manifest.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(session.commit(self.repository, self.domain, manifest)?)
    }

    /// W1 again, and W2 for every pack that the snapshot refers to.
    fn register_again(&self, fenced: SessionId, writer: &Writer<'env>) -> Result<Session, Error> {
        let domain = Arc::clone(self.domain);
        let (session, mut index) = Session::register_writer(self.repository, domain, "ingest", self.monitor)?;
        for pack in writer.used_packs() {
            let why = if index.is_retired(pack) {
                format!("pack {pack} was retired meanwhile")
            } else {
                match index.view(self.repository, *pack) {
                    Ok(Some(_)) => continue,
                    Ok(None) => format!("pack {pack} is gone"),
                    Err(error) => error.to_string(),
                }
            };
            let _ = session.end(self.repository);
            return Err(RepoError::Fenced { session: fenced, why: format!("{why}; ingest again") }.into());
        }
        Ok(session)
    }

    fn describe(&self, id: SessionId, writer: &Writer<'env>, items: Vec<Item>, series: String) -> Manifest {
        self.warn_of_new_series(&series);
        let now = self.repository.environment.clock.now();
        let counters = writer.counters;
        Manifest {
            version: 1,
            id,
            created_at: now,
            committed_at: now,
            series,
            tags: self.options.tags.clone(),
            original_size: items.iter().map(|item| item.size).sum(),
            stored_size: counters.stored_bytes,
            chunk_count: counters.new_chunks + counters.reused_chunks,
            new_chunks: counters.new_chunks,
            reused_chunks: counters.reused_chunks,
            items,
            host: self.repository.environment.host.clone(),
            user: self.repository.environment.user.clone(),
            duration_ms: 0,
            previous: Vec::new(),
        }
    }

    /// Dated names make a new series each day, which retention then never thins: say so at the first one.
    fn warn_of_new_series(&self, series: &str) {
        if self.repository.keys.capability() != Capability::Admin {
            return;
        }
        // Only for a hint: what is damaged is told by those who read snapshots.
        let Ok(found) = load_manifests(self.repository, &SilentMonitor) else { return };
        let is_first = !found.snapshots.is_empty()
            && found.snapshots.iter().all(|loaded| loaded.manifest.series != series);
        if is_first {
            let text = format!(
                "this is the first snapshot of the series '{series}', beside others: if the name holds a date, give a fixed one with --series, so that retention compares them"
            );
            self.monitor.problem(&Problem::Warning { text });
        }
    }
}

impl Error {
    /// Whether the store has no space left.
    fn is_full(&self) -> bool {
        matches!(self, Self::Repo(RepoError::Store(error)) if error.kind == StoreErrorKind::Full)
    }
}
