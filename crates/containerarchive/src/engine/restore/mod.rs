//! A snapshot's items out, each byte checked before it is written.

mod mending;

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use self::mending::Elsewhere;
use super::pipeline::{Pool, Ticket};
use crate::base::{ChunkHash, ChunkId, Kind, Monitor, PackId, Problem, Progress};
use crate::error::Error;
use crate::format::manifest::{Item, Manifest};
use crate::format::node::LeafEntry;
use crate::format::{FormatError, names};
use crate::host::TargetFolder;
use crate::repo::{
    ChunkPlace, DomainKeys, Index, LoadedManifest, MendedPack, PackReader, PackView, RecipeReader, RepoError,
    Repository, Session,
};

/// Stored bytes that one read brings at most, single larger chunks apart.
const READ_BYTES: u64 = 1 << 20;
/// Plain bytes of a run, single larger chunks apart. They are hashed and written while they are in the cache; with
/// twice as many a restore took 4 % longer.
const PLAIN_BYTES: u64 = 2 << 20;
/// Ranges are rounded to this, so that their ends tell less of where chunks begin.
const RANGE_STEP: u64 = 64 << 10;

/// Runs that each worker may be ahead of what is written.
const WINDOW: usize = 2;

/// Where items are restored to.
pub enum RestoreTarget<'a> {
    /// Each item is a file below a folder.
    Folder {
        /// The folder; made if it is not there.
        path: &'a Path,
        /// Replace files that are there.
        overwrite: bool,
    },
    /// One item's bytes.
    Stream(&'a mut dyn Write),
}

/// How to restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions<'a> {
    /// Only this item.
    pub item: Option<&'a str>,
    /// Worker threads; 1 runs everything in the caller.
    pub threads: usize,
    /// Write packs back that had to be mended.
    pub heal: bool,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// Name and bytes of each item.
    pub items: Vec<(String, u64)>,
    /// Chunks whose first copy was damaged and that came from another one, or from parity.
    pub mended_chunks: u64,
    /// Packs of which something was computed from parity.
    pub mended_packs: Vec<MendedPack>,
    /// Those of them that were written back.
    pub healed_packs: Vec<PackId>,
}

/// Restores a snapshot, or one item of it.
///
/// # Errors
/// Something is damaged and has no other copy: the error names the object, the item and the byte. What was written to
/// a folder before stays, each file whole, and the error names those items; a stream has only right bytes before its
/// end. What is in the way of any item in a folder is told before the first one is written.
pub fn restore(
    repository: &Repository,
    snapshot: &LoadedManifest,
    target: RestoreTarget<'_>,
    options: &RestoreOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<RestoreReport, Error> {
    repository.keys.require_admin("restoring")?;
    let manifest = &snapshot.manifest;
    let items = select(manifest, options, matches!(target, RestoreTarget::Stream(_)))?;
    let domain = repository.keys.domain(snapshot.domain).map_err(RepoError::from)?;
    let domain = domain.ok_or(RepoError::NeedsAdmin { what: "restoring" })?;
    let (session, index) =
        Session::register_reader(repository, Arc::clone(&domain), "restore", &[manifest.id], monitor)?;
    let done = std::thread::scope(|scope| {
        let worker_domain = Arc::clone(&domain);
        let pool = Pool::new(scope, options.threads, move || Opener::new(Arc::clone(&worker_domain)));
        let opener = Opener::new(Arc::clone(&domain));
        let mut run = Restore {
            repository,
            manifest,
            index,
            opener,
            pool,
            monitor,
            spare: Vec::new(),
            mended_chunks: 0,
            elsewhere: BTreeMap::new(),
            planning_error: None,
        };
        let items = run.items(&items, target);
        // Also an error later on does not make it less worth knowing.
        let (mended_packs, healed_packs) = run.report_mended(options.heal);
        Ok(RestoreReport { items: items?, mended_chunks: run.mended_chunks, mended_packs, healed_packs })
    });
    if let Some(session) = session
        && let Err(error) = session.end(repository)
    {
        monitor.problem(&Problem::Warning { text: format!("the session's lock stays: {error}") });
    }
    done
}

/// An error after some of `count` items were written.
fn partly(source: Error, done: &[(String, u64)], count: usize) -> Error {
    if done.is_empty() {
        return source;
    }
    let restored = done.iter().map(|(name, _)| name.clone()).collect();
    Error::RestoredPartly { source: Box::new(source), restored, count }
}

fn select<'m>(
    manifest: &'m Manifest,
    options: &RestoreOptions<'_>,
    is_stream: bool,
) -> Result<Vec<&'m Item>, Error> {
    let names = || manifest.items.iter().map(|item| item.name.clone()).collect();
    let snapshot = manifest.id.to_string();
    match options.item {
        Some(name) => match manifest.items.iter().find(|item| item.name == name) {
            Some(item) => Ok(vec![item]),
            None => Err(Error::NoItem { snapshot, item: name.to_owned(), items: names() }),
        },
        None if is_stream && manifest.items.len() > 1 => {
            Err(Error::SeveralItems { snapshot, items: names() })
        }
        None => Ok(manifest.items.iter().collect()),
    }
}

/// What a worker keeps from one run to the next.
struct Opener {
    reader: PackReader,
    /// A pack's bytes; never shorter than before, so that it is not zeroed each time.
    stored: Vec<u8>,
}

impl Opener {
    fn new(domain: Arc<DomainKeys>) -> Self {
        Self { reader: PackReader::new(domain), stored: Vec::new() }
    }
}

/// Chunks that stand side by side in one pack and follow each other in the item.
struct Run {
    view: Arc<PackView>,
    places: Vec<ChunkPlace>,
    start: u64,
    end: u64,
    plain_bytes: u64,
    kind: Kind,
}

/// What a job brings: the plaintext of the first chunks, and what was wrong with the next one.
struct Opened {
    plain: Vec<u8>,
    good: usize,
    error: Option<RepoError>,
    run: Run,
}

struct Restore<'env> {
    repository: &'env Repository,
    manifest: &'env Manifest,
    index: Index,
    opener: Opener,
    pool: Pool<'env, Opener>,
    monitor: &'env dyn Monitor,
    /// Buffers of plaintext that was written.
    spare: Vec<Vec<u8>>,
    mended_chunks: u64,
    /// Packs of which chunks were read from others instead.
    elsewhere: BTreeMap<PackId, Elsewhere>,
    /// Met while a run was at hand.
    planning_error: Option<RepoError>,
}

impl<'env> Restore<'env> {
    fn items(&mut self, items: &[&Item], target: RestoreTarget<'_>) -> Result<Vec<(String, u64)>, Error> {
        let mut done = Vec::with_capacity(items.len());
        match target {
            RestoreTarget::Stream(out) => {
                for item in items {
                    self.item(item, out)?;
                    done.push((item.name.clone(), item.size));
                }
                let flushed = out.flush();
                flushed.map_err(|source| Error::Output { item: items[0].name.clone(), source })?;
            }
            RestoreTarget::Folder { path, overwrite } => {
                let folder = TargetFolder::open(path, overwrite)?;
                folder.check(items.iter().map(|item| item.name.as_str()))?;
                for item in items {
                    let restored = self.file(item, &folder);
                    restored.map_err(|source| partly(source, &done, items.len()))?;
                    done.push((item.name.clone(), item.size));
                }
            }
        }
        Ok(done)
    }

    fn file(&mut self, item: &Item, folder: &TargetFolder) -> Result<(), Error> {
        let mut file = folder.create(&item.name)?;
        self.item(item, &mut file)?;
        Ok(file.finish()?)
    }

    fn item(&mut self, item: &Item, out: &mut dyn Write) -> Result<(), Error> {
        let mut written = 0;
        let lost = |manifest: &Manifest, offset, source| Error::LostContent {
            snapshot: manifest.id.to_string(),
            item: item.name.clone(),
            offset,
            source: Box::new(source),
        };
        let mut progress =
            Progress { subject: item.name.clone(), done_bytes: 0, total_bytes: Some(item.size) };
        let mut recipe = self.open_recipe(item).map_err(|source| lost(self.manifest, 0, source))?;
        let window = WINDOW * self.pool.width();
        let mut reading: VecDeque<Ticket<Opened>> = VecDeque::new();
        let mut pending: Option<ChunkPlace> = None;
        // An error in the recipe is told after what stands before it was written.
        let mut planned: Result<bool, RepoError> = Ok(true);
        loop {
            if self.monitor.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if matches!(planned, Ok(true)) {
                planned = self.plan(&mut recipe, &mut pending).map(|run| {
                    let is_more = run.is_some();
                    reading.extend(run.map(|run| self.read(run)));
                    is_more
                });
            }
            if reading.len() > window || !matches!(planned, Ok(true)) {
                let Some(ticket) = reading.pop_front() else { break };
                let opened = ticket.redeem().ok_or(Error::Worker)?;
                let write = |bytes: &[u8], out: &mut dyn Write| {
                    out.write_all(bytes).map_err(|source| Error::Output { item: item.name.clone(), source })
                };
                write(&opened.plain, out)?;
                written += opened.plain.len() as u64;
                if let Some(error) = opened.error {
                    // The rest of the run one by one, each from wherever it can be had.
                    let mut error = Some(error);
                    for place in &opened.run.places[opened.good..] {
                        let plain = self
                            .mend(place, error.take())
                            .map_err(|source| lost(self.manifest, written, source))?;
                        write(&plain, out)?;
                        written += plain.len() as u64;
                    }
                }
                self.spare.push(opened.plain);
                progress.done_bytes = written;
                self.monitor.progress(&progress);
            }
        }
        planned.map_err(|source| lost(self.manifest, written, source))?;
        if written != item.size {
            let text = format!("it has {written} bytes, and its snapshot says {}", item.size);
            let source = FormatError::broken("R-MANIFEST-3", text);
            return Err(lost(
                self.manifest,
                written,
                RepoError::format(&names::manifest(self.manifest.id), source),
            ));
        }
        Ok(())
    }

    fn open_recipe(&mut self, item: &Item) -> Result<RecipeReader, RepoError> {
        let recipe = RecipeReader::open(item.root, &mut |hash| self.fetch_node(hash))?;
        if recipe.sums().bytes != item.size {
            let source = FormatError::broken(
                "R-MANIFEST-3",
                "its recipe has another number of bytes than its snapshot says",
            );
            return Err(RepoError::format(&names::manifest(self.manifest.id), source));
        }
        Ok(recipe)
    }

    fn fetch_node(&mut self, hash: ChunkHash) -> Result<Vec<u8>, RepoError> {
        let id = ChunkId { kind: Kind::Recipe, hash };
        let place = self.index.find_for_reader(self.repository, &id, self.monitor)?;
        match self.read_one(&place) {
            Ok(plain) => Ok(plain),
            Err(error) => self.mend(&place, Some(error)),
        }
    }

    /// The next run of chunks; `pending` is the chunk that did not fit the run before.
    fn plan(
        &mut self,
        recipe: &mut RecipeReader,
        pending: &mut Option<ChunkPlace>,
    ) -> Result<Option<Run>, RepoError> {
        if let Some(error) = self.planning_error.take() {
            return Err(error);
        }
        let mut run: Option<Run> = None;
        loop {
            let place = match pending.take() {
                Some(place) => place,
                None => match self.next_place(recipe) {
                    Ok(Some(place)) => place,
                    Ok(None) => return Ok(run),
                    // What stands before is read and written first; the next call tells the error.
                    Err(error) if run.is_some() => {
                        self.planning_error = Some(error);
                        return Ok(run);
                    }
                    Err(error) => return Err(error),
                },
            };
            let end = place.offset + u64::from(place.record.stored_len);
            let plain_bytes = u64::from(place.record.plain_len);
            match &mut run {
                None => {
                    let view = Arc::clone(&place.view);
                    let (start, kind) = (place.offset, place.record.id.kind);
                    run = Some(Run { view, start, end, plain_bytes, kind, places: vec![place] });
                }
                Some(run)
                    if Arc::ptr_eq(&run.view, &place.view)
                        && place.offset == run.end
                        && end - run.start <= READ_BYTES
                        && run.plain_bytes + plain_bytes <= PLAIN_BYTES =>
                {
                    run.end = end;
                    run.plain_bytes += plain_bytes;
                    run.places.push(place);
                }
                Some(_) => {
                    *pending = Some(place);
                    return Ok(run);
                }
            }
        }
    }

    fn next_place(&mut self, recipe: &mut RecipeReader) -> Result<Option<ChunkPlace>, RepoError> {
        let entry = recipe.next(&mut |hash| self.fetch_node(hash))?;
        entry.map(|entry| self.find_data(entry)).transpose()
    }

    fn find_data(&mut self, entry: LeafEntry) -> Result<ChunkPlace, RepoError> {
        let id = ChunkId { kind: Kind::Data, hash: entry.hash };
        let place = self.index.find_for_reader(self.repository, &id, self.monitor)?;
        if place.record.plain_len != entry.len {
            let source =
                FormatError::broken("R-NODE-4", format!("{id} has another length than its recipe says"));
            return Err(RepoError::format(&names::pack(place.view.id), source));
        }
        Ok(place)
    }

    fn read(&mut self, run: Run) -> Ticket<Opened> {
        let repository = self.repository;
        let mut plain = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(PLAIN_BYTES as usize));
        plain.clear();
        self.pool.submit(move |opener| open_run(repository, opener, run, plain))
    }

    fn read_one(&mut self, place: &ChunkPlace) -> Result<Vec<u8>, RepoError> {
        let end = place.offset + u64::from(place.record.stored_len);
        let run = Run {
            view: Arc::clone(&place.view),
            places: vec![place.clone()],
            start: place.offset,
            end,
            plain_bytes: 0,
            kind: place.record.id.kind,
        };
        let opened = open_run(self.repository, &mut self.opener, run, Vec::new());
        opened.error.map_or(Ok(opened.plain), Err)
    }
}

fn open_run(repository: &Repository, opener: &mut Opener, run: Run, mut plain: Vec<u8>) -> Opened {
    let (good, error) = match open_places(repository, opener, &run, &mut plain) {
        Ok(opened) => opened,
        Err(error) => (0, Some(error)),
    };
    Opened { plain, good, error, run }
}

/// How many of a run's chunks are good, and what is wrong with the next one.
fn open_places(
    repository: &Repository,
    opener: &mut Opener,
    run: &Run,
    plain: &mut Vec<u8>,
) -> Result<(usize, Option<RepoError>), RepoError> {
    let start = run.start - run.start % RANGE_STEP;
    let end = run.end.next_multiple_of(RANGE_STEP).min(run.view.len);
    let Opener { reader, stored } = opener;
    let len = (end - start) as usize;
    if stored.len() < len {
        stored.resize(len, 0);
    }
    repository.read_pack(run.view.id, start, &mut stored[..len])?;
    plain.reserve(usize::try_from(run.plain_bytes).unwrap_or(0));
    let stored = &mut stored[(run.start - start) as usize..(run.end - start) as usize];
    let chunks = run.places.iter().map(|place| (place.slot, &place.record));
    Ok(reader.open_run(&run.view, run.kind, chunks, stored, plain))
}
