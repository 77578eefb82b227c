//! Streams in, one snapshot out.

mod commit;
mod source;
mod sources;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use self::commit::Commit;
pub use self::source::Source;
use self::source::{Checks, TAIL_BYTES};
use self::sources::Sources;
use self::write::{ItemPlan, Write};
use super::pipeline::{Counters, PACK_THREADS, Pool, Writer};
use crate::base::limits::{MAX_ITEMS, MAX_JSON_BYTES, MAX_TAGS, MAX_TEXT_BYTES};
use crate::base::{Monitor, NoPins, Pins, Problem, SessionId, Timestamp};
use crate::chunk::Chunker;
use crate::compress::Compressor;
use crate::error::Error;
use crate::format::manifest::{Item, Manifest, check_item_name, clashing_name, is_good_text};
use crate::repo::{Index, ParityKeeper, RepoError, Repository, Session, adopt_packs, merge_small_groups};

/// With more items than these, packs and parity take less memory, and a little more time.
const MANY_ITEMS: usize = 16;
/// Longest series that is made from item names.
const MAX_DEFAULT_SERIES_BYTES: usize = 1024;

/// Bytes of JSON that all items of a manifest may take: sealed and in base64, they are four thirds of it.
const MAX_DESCRIPTION_BYTES: usize = MAX_JSON_BYTES / 2;

/// One stream to store.
pub struct IngestItem<'a> {
    /// A relative path, unique in the snapshot.
    pub name: String,
    /// The user's word for what it is.
    pub item_type: String,
    /// The content; read to its end.
    pub source: Box<dyn Source + 'a>,
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
    /// Least size of each item: an item that is smaller is taken for a failed one.
    pub min_size_bytes: u64,
    /// What the last 4 KiB of each item must contain, as the last line of a dump.
    pub expected_tail: Option<Vec<u8>>,
    /// Worker threads; 1 runs everything in the caller.
    pub threads: usize,
    /// The client's notes.
    pub pins: &'a dyn Pins,
    /// Set as soon as nobody wants the sources' content any more, as after an error. An ingest returns only when all
    /// reads have, so a source that may wait for long looks at this.
    pub ended: Arc<AtomicBool>,
}

impl Default for IngestOptions<'_> {
    fn default() -> Self {
        Self {
            tags: BTreeMap::new(),
            series: None,
            time: None,
            min_size_bytes: 0,
            expected_tail: None,
            threads: 1,
            pins: &NoPins,
            ended: Arc::default(),
        }
    }
}

/// A snapshot that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestReport {
    /// Its description.
    pub manifest: Manifest,
}

/// Stores the items as one snapshot. Up to 64 of them are read concurrently (fewer with large chunks); with one thread,
/// one after the other in the caller.
///
/// Memory: four batches of 2 MiB for each thread (of several items: smaller ones, each more than the largest chunk), one
/// for each item that is read, what is compressed of them, and up to five packs.
///
/// # Errors
/// A source failed or is not as was asked for, or the repository failed; there is then no snapshot, and what was stored is used again or pruned.
pub fn ingest<'a>(
    repository: &'a Repository,
    items: Vec<IngestItem<'a>>,
    options: &IngestOptions<'_>,
    monitor: &'a dyn Monitor,
) -> Result<IngestReport, Error> {
    check(&items, options)?;
    if !repository.environment.clock.now().is_storable() {
        return Err(Error::Text {
            what: "this computer's clock",
            why: "it is not from 1970 to 9999".to_owned(),
        });
    }
    let begun = Instant::now();
    let domain_id = repository.keys.own_domain();
    let domain = repository.keys.domain(domain_id).map_err(RepoError::from)?;
    let domain = domain.ok_or(RepoError::NeedsAdmin { what: "writing to another domain" })?;
    let series = options.series.clone().unwrap_or_else(|| default_series(&items));
    let gear = domain.gear_table().map_err(RepoError::from)?;
    let chunker = Chunker::new(repository.config.chunking, gear);
    let (session, index) = Session::register_writer(repository, Arc::clone(&domain), "ingest", monitor)?;
    let done = std::thread::scope(|scope| {
        let pool = Pool::new(scope, options.threads, Compressor::new);
        let packs = Pool::new(scope, if options.threads <= 1 { 1 } else { PACK_THREADS }, || ());
        let checks = Checks {
            min_size_bytes: options.min_size_bytes,
            expected_tail: options.expected_tail.as_deref().map(Arc::from),
        };
        let started = Sources::start(scope, &chunker, items, &checks, options.threads);
        let (sources, items) = match started {
            Ok(started) => started,
            Err(error) => {
                // Readers that began may wait for a source that is silent.
                options.ended.store(true, Ordering::Relaxed);
                let _ = session.end(repository);
                return Err(error);
            }
        };
        let write = Write { repository, domain: &domain, monitor, pool };
        let commit = Commit { repository, domain: &domain, time: options.time, monitor, begun };
        let done = run(&write, &commit, (session, index), packs, sources, items, |items, counters| {
            describe(repository, options, items, series, counters)
        });
        options.ended.store(true, Ordering::Relaxed);
        done
    });
    let report = done?;
    // The snapshot is there; this only saves space.
    if let Err(error) = merge_small_groups(repository, domain_id) {
        let text = format!("small parity groups could not be merged: {error}");
        monitor.problem(&Problem::Warning { text });
    }
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
    check_description(items)?;
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
    if let Some(tail) = &options.expected_tail
        && !(1..=TAIL_BYTES).contains(&tail.len())
    {
        let why = format!("it has {} bytes, and 1 to {TAIL_BYTES} can be looked for", tail.len());
        return Err(Error::Text { what: "the expected tail", why });
    }
    if options.tags.keys().any(String::is_empty) {
        return Err(Error::Text { what: "a tag", why: "its key is empty".to_owned() });
    }
    if options.time.is_some_and(|time| !time.is_storable()) {
        return Err(Error::Text { what: "the time", why: "it is not from 1970 to 9999".to_owned() });
    }
    Ok(())
}

/// Refuses before anything is stored what could not be committed: a manifest has a limit, too.
fn check_description(items: &[IngestItem<'_>]) -> Result<(), Error> {
    let words = |item: &IngestItem<'_>| 2 * (item.name.len() + item.item_type.len()) + 256;
    let words: usize = items.iter().map(words).sum();
    let evidence: usize = items.iter().map(|item| item.source.max_evidence_bytes()).sum();
    if words + evidence <= MAX_DESCRIPTION_BYTES {
        return Ok(());
    }
    let why = format!(
        "its description could take {} KiB ({} for names and types, {} for commands and their messages), and has room for {}; make several snapshots of fewer items",
        (words + evidence) >> 10,
        words >> 10,
        evidence >> 10,
        MAX_DESCRIPTION_BYTES >> 10,
    );
    Err(Error::Text { what: "a snapshot of these items", why })
}

/// A name that the system gave, as a manifest can hold it.
fn storable(name: &str) -> String {
    let mut name: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    name.truncate(name.floor_char_boundary(MAX_TEXT_BYTES));
    name
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

/// Adopts, writes, commits; ends the session whatever happens.
fn run<'env>(
    write: &Write<'env>,
    commit: &Commit<'_>,
    (session, index): (Session, Index),
    packs: Pool<'env, ()>,
    sources: Sources<'_>,
    items: Vec<ItemPlan>,
    describe: impl FnOnce(Vec<Item>, Counters) -> Manifest,
) -> Result<IngestReport, Error> {
    let repository = write.repository;
    // The readers of many items have most of the memory.
    let is_frugal = items.len() > MANY_ITEMS;
    let threads = write.pool.width();
    let keeper = ParityKeeper::new(repository, write.domain.id, session.id, is_frugal, threads);
    let adopted = match adopt_packs(repository, write.domain, &index, session.id, &keeper, write.monitor) {
        Ok(adopted) => adopted,
        Err(error) => {
            let _ = session.end(repository);
            return Err(error.into());
        }
    };
    let domain = Arc::clone(write.domain);
    let mut writer =
        Writer::new(repository, domain, session.id, index, (keeper, adopted), packs, write.monitor);
    if is_frugal {
        writer.write_one_at_a_time();
    }
    match write.all(&mut writer, sources, items) {
        Ok(items) => commit.run(session, writer.used_packs(), describe(items, writer.counters)),
        Err(error) => {
            writer.abandon(error.is_full());
            let _ = session.end(repository);
            Err(error)
        }
    }
}

/// The manifest, but for what is only known at its commit.
fn describe(
    repository: &Repository,
    options: &IngestOptions<'_>,
    items: Vec<Item>,
    series: String,
    counters: Counters,
) -> Manifest {
    let now = repository.environment.clock.now();
    Manifest {
        version: 1,
        id: SessionId([0; 16]),
        created_at: now,
        committed_at: now,
        series,
        tags: options.tags.clone(),
        original_size: items.iter().map(|item| item.size).sum(),
        stored_size: counters.stored_bytes,
        chunk_count: counters.new_chunks + counters.reused_chunks,
        new_chunks: counters.new_chunks,
        reused_chunks: counters.reused_chunks,
        items,
        host: storable(&repository.environment.host),
        user: storable(&repository.environment.user),
        duration_ms: 0,
        previous: Vec::new(),
    }
}
