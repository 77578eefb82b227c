//! What a repository holds, and what deduplication and compression save.
//!
//! A chunk counts once, however many packs have it, if it stands in a pack that exists and that no retire record names.
//! Whether a snapshot still refers to it is not asked: that would take a walk through every recipe. So content of
//! interrupted ingests, and of removed snapshots until their packs are swept, counts as well.

use std::collections::{BTreeSet, HashSet};

use crate::base::{ChunkId, Kind, Monitor, ObjectName, PackId, Problem, Progress};
use crate::error::Error;
use crate::format::names::{self, id_of, pack_id_of};
use crate::format::prefix::Class;
use crate::repo::{
    IndexSurvey, LoadedManifest, PackView, RepoError, Repository, Retired, load_manifests, survey_index,
};

/// Repeated chunks that are told apart exactly: they take up to about 100 MB.
const MAX_REPEATED: usize = 1 << 20;

/// How to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatsOptions {
    /// Chunks that may stand in several packs, or in packs without an index segment, before the count becomes an upper
    /// bound: the memory that counting takes.
    pub max_repeated: usize,
}

impl Default for StatsOptions {
    fn default() -> Self {
        Self { max_repeated: MAX_REPEATED }
    }
}

/// Distinct chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChunkTotals {
    /// How many.
    pub chunks: u64,
    /// Bytes before compression.
    pub plain_bytes: u64,
    /// Bytes in packs, with the 16 bytes of each chunk's tag.
    pub stored_bytes: u64,
}

impl ChunkTotals {
    fn add(&mut self, plain_len: u32, stored_len: u32) {
        self.chunks += 1;
        self.plain_bytes += u64::from(plain_len);
        self.stored_bytes += u64::from(stored_len);
    }
}

/// Packs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackTotals {
    /// How many.
    pub packs: u64,
    /// Length of their files.
    pub bytes: u64,
}

impl PackTotals {
    fn add(&mut self, bytes: u64) {
        self.packs += 1;
        self.bytes += bytes;
    }
}

/// The index: of its segments, as far as they can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexTotals {
    /// Segments.
    pub segments: u64,
    /// Entries: one for each chunk and pack.
    pub entries: u64,
    /// Length of the files of all segments.
    pub disk_bytes: u64,
    /// Memory that an ingest takes for it, besides caches of fixed size.
    pub memory_bytes: u64,
}

/// Kinds of objects, told apart by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectClass {
    /// `config.json`
    Config,
    /// Key slots.
    Keys,
    /// Packs.
    Packs,
    /// Pack indexes, `.idx`.
    PackIndexes,
    /// Parity shards.
    Parity,
    /// Index segments.
    Segments,
    /// Manifests and voids.
    Snapshots,
    /// Sessions and fences.
    Sessions,
    /// Records.
    Records,
    /// Replicas of small objects.
    Replicas,
    /// What a repair put aside.
    Quarantine,
    /// Space for a prune on a full disk.
    Reserve,
    /// Anything else that lies in the repository's folder.
    Other,
}

impl ObjectClass {
    /// All classes.
    pub const ALL: [Self; 13] = [
        Self::Config,
        Self::Keys,
        Self::Packs,
        Self::PackIndexes,
        Self::Parity,
        Self::Segments,
        Self::Snapshots,
        Self::Sessions,
        Self::Records,
        Self::Replicas,
        Self::Quarantine,
        Self::Reserve,
        Self::Other,
    ];

    fn of(name: &ObjectName) -> Self {
        let text = name.as_str();
        match text.split('/').next().unwrap_or_default() {
            names::CONFIG => Self::Config,
            names::KEYS => Self::Keys,
            "packs" if pack_id_of(name, "pack").is_some() => Self::Packs,
            "packs" if pack_id_of(name, "idx").is_some() => Self::PackIndexes,
            "packs" if text.ends_with(".par") => Self::Parity,
            names::INDEX if id_of::<crate::base::SegmentId>(name, "seg").is_some() => Self::Segments,
            names::SNAPSHOTS => Self::Snapshots,
            names::LOCKS => Self::Sessions,
            names::RECORDS => Self::Records,
            names::REPLICAS => Self::Replicas,
            "quarantine" => Self::Quarantine,
            names::RESERVE => Self::Reserve,
            _ => Self::Other,
        }
    }
}

/// Objects of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectTotals {
    /// Which.
    pub class: ObjectClass,
    /// How many.
    pub objects: u64,
    /// Length of their files.
    pub bytes: u64,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsReport {
    /// Snapshots that can be read.
    pub snapshots: u64,
    /// Snapshots that are damaged or missing; they count nowhere else.
    pub damaged_snapshots: u64,
    /// Different series among them; the same name in another domain is another series.
    pub series: u64,
    /// Items in all snapshots.
    pub items: u64,
    /// Bytes of content of all snapshots together, as if each were stored alone.
    pub logical_bytes: u64,
    /// Distinct chunks of content.
    pub data: ChunkTotals,
    /// Distinct nodes of recipes.
    pub structure: ChunkTotals,
    /// Further copies of those chunks in other packs.
    pub repeated: ChunkTotals,
    /// Whether no chunk was counted twice. Otherwise `data` and `structure` are upper bounds.
    pub is_exact: bool,
    /// Packs of content.
    pub data_packs: PackTotals,
    /// Packs of recipes.
    pub structure_packs: PackTotals,
    /// Packs that are to be deleted; their chunks are not counted.
    pub retired_packs: PackTotals,
    /// Packs whose table cannot be read; their chunks are not counted.
    pub unreadable_packs: PackTotals,
    /// Packs that no index segment names, as an interrupted ingest leaves them.
    pub unnamed_packs: u64,
    /// The index.
    pub index: IndexTotals,
    /// All objects, each class once, also where there are none.
    pub objects: Vec<ObjectTotals>,
    /// Length of all files of the repository.
    pub stored_bytes: u64,
}

fn ratio(above: u64, below: u64) -> Option<f64> {
    (below > 0).then(|| above as f64 / below as f64)
}

impl StatsReport {
    /// How many times less content there is when every chunk counts once. `None` without any.
    #[must_use]
    pub fn dedup_ratio(&self) -> Option<f64> {
        ratio(self.logical_bytes, self.data.plain_bytes)
    }

    /// How many times smaller the content's chunks became by compression.
    #[must_use]
    pub fn compression_ratio(&self) -> Option<f64> {
        ratio(self.data.plain_bytes, self.data.stored_bytes)
    }

    /// How many times less is stored, all files counted, than all snapshots have.
    #[must_use]
    pub fn total_ratio(&self) -> Option<f64> {
        ratio(self.logical_bytes, self.stored_bytes)
    }
}

/// Counts. Reads every manifest, index segment and chunk table once (tables of packs without segment twice), and no
/// content: linear in the number of chunks. In memory are all manifests, about 80 bytes for each pack and four more for
/// each segment that names it, the fences and filters of all segments, 16 MiB of their pages, and what [`StatsOptions`]
/// allows. Registers no session: a pack that a prune deletes meanwhile is not counted.
///
/// # Errors
/// The key cannot read, or the store failed. Damage is reported, and listed in the report.
pub fn stats(
    repository: &Repository,
    options: &StatsOptions,
    monitor: &dyn Monitor,
) -> Result<StatsReport, Error> {
    repository.keys.require_admin("counting what is stored")?;
    let found = load_manifests(repository, monitor)?;
    let Listing { packs, objects } = list_objects(repository)?;
    let retired = Retired::read_for_reader(repository, monitor)?;
    let (counted, retired): (Vec<_>, Vec<_>) = packs.into_iter().partition(|(id, _)| !retired.masks(id));
    let ids: Vec<PackId> = counted.iter().map(|(id, _)| *id).collect();
    let survey = survey_index(repository, &ids, options.max_repeated, monitor)?;
    let segments = objects.iter().filter(|totals| totals.class == ObjectClass::Segments);
    let manifests = || found.snapshots.iter().map(|loaded: &LoadedManifest| &loaded.manifest);
    let series: BTreeSet<_> =
        found.snapshots.iter().map(|loaded| (loaded.domain, &loaded.manifest.series)).collect();
    let mut report = StatsReport {
        snapshots: found.snapshots.len() as u64,
        damaged_snapshots: found.damaged.len() as u64,
        series: series.len() as u64,
        items: manifests().map(|manifest| manifest.items.len() as u64).sum(),
        logical_bytes: manifests().map(|manifest| manifest.original_size).sum(),
        data: ChunkTotals::default(),
        structure: ChunkTotals::default(),
        repeated: ChunkTotals::default(),
        is_exact: survey.is_exact,
        data_packs: PackTotals::default(),
        structure_packs: PackTotals::default(),
        retired_packs: PackTotals::default(),
        unreadable_packs: PackTotals::default(),
        unnamed_packs: survey.unnamed_packs,
        index: IndexTotals {
            segments: survey.segments,
            entries: survey.entries,
            disk_bytes: segments.map(|totals| totals.bytes).sum(),
            memory_bytes: survey.memory_bytes,
        },
        stored_bytes: objects.iter().map(|totals| totals.bytes).sum(),
        objects,
    };
    retired.iter().for_each(|(_, len)| report.retired_packs.add(*len));
    count_packs(repository, &counted, &survey, &mut report, monitor)?;
    Ok(report)
}

/// What lies in the store.
struct Listing {
    /// In order of their ids, with their lengths.
    packs: Vec<(PackId, u64)>,
    objects: Vec<ObjectTotals>,
}

fn list_objects(repository: &Repository) -> Result<Listing, RepoError> {
    let mut packs = Vec::new();
    let mut objects = ObjectClass::ALL.map(|class| ObjectTotals { class, objects: 0, bytes: 0 });
    repository.store.list("", &mut |entry| {
        packs.extend(pack_id_of(&entry.name, "pack").map(|id| (id, entry.len)));
        let class = ObjectClass::of(&entry.name);
        for totals in objects.iter_mut().filter(|totals| totals.class == class) {
            totals.objects += 1;
            totals.bytes += entry.len;
        }
    })?;
    packs.sort_unstable();
    Ok(Listing { packs, objects: objects.into() })
}

fn count_packs(
    repository: &Repository,
    packs: &[(PackId, u64)],
    survey: &IndexSurvey,
    report: &mut StatsReport,
    monitor: &dyn Monitor,
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let mut progress = Progress {
        subject: "chunk tables".to_owned(),
        done_bytes: 0,
        total_bytes: Some(packs.iter().map(|(_, len)| len).sum()),
    };
    for (id, len) in packs {
        if monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match view(repository, *id, *len) {
            Ok(view) => count_pack(&view, survey, &mut seen, report),
            // Deleted since it was listed.
            Err(RepoError::Missing { .. }) => {}
            Err(error) if error.is_useless() => {
                report.unreadable_packs.add(*len);
                let text = format!("{error}; its chunks are not counted");
                monitor.problem(&Problem::Damaged { object: names::pack(*id).to_string(), text });
            }
            Err(error) => return Err(error.into()),
        }
        progress.done_bytes += len;
        monitor.progress(&progress);
    }
    Ok(())
}

/// A pack's table. One whose index file speaks of another length is looked at itself.
fn view(repository: &Repository, id: PackId, len: u64) -> Result<PackView, RepoError> {
    let view = repository.view_any_pack(id)?;
    if view.len == len {
        return Ok(view);
    }
    let domain = view.header.prefix.domain;
    match repository.keys.domain(domain)? {
        Some(keys) => repository.view_pack(id, &keys),
        None => Ok(view),
    }
}

fn count_pack(view: &PackView, survey: &IndexSurvey, seen: &mut HashSet<ChunkId>, report: &mut StatsReport) {
    match view.header.prefix.class {
        Class::Structure => report.structure_packs.add(view.len),
        Class::Data | Class::None => report.data_packs.add(view.len),
    }
    for record in view.table.records() {
        let is_repeated = survey.may_repeat(&record.id.hash) && !seen.insert(record.id);
        let totals = match record.id.kind {
            Kind::Padding => continue,
            _ if is_repeated => &mut report.repeated,
            Kind::Data => &mut report.data,
            Kind::Recipe | Kind::Tree => &mut report.structure,
        };
        totals.add(record.plain_len, record.stored_len);
    }
}
