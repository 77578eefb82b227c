//! One verification, from the small objects to the last chunk.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::sample::Selection;
use super::{Quiet, VerifyError, VerifyLevel, VerifyOptions, VerifyReport, VerifyStats};
use crate::base::{DomainId, Monitor, PackId, Pins, SessionId, ShardId};
use crate::engine::scan::{
    BadPacks, Checked, Depth, FileId, FileList, Hole, LostRange, Site, SmallId, SmallObject, Standing, State,
    Walk, check_files, list_files, look_small, scan_small,
};
use crate::error::Error;
use crate::repo::{Groups, LoadedManifest, Manifests, RepoError, Repository, can_rebuild, load_manifests};

/// Looks at what seems lost, before it is believed.
const LOOKS: usize = 2;

/// A verification and what it found so far.
pub(super) struct Run<'a> {
    pub(super) site: Site<'a>,
    pub(super) options: &'a VerifyOptions<'a>,
    pub(super) monitor: &'a Quiet<'a>,
    selection: &'a Selection,
    /// All small objects.
    pub(super) small: Vec<SmallObject>,
    /// What was there when files were listed.
    pub(super) files: FileList,
    /// Files that are not as they should be, and packs whose pack index is not.
    pub(super) damaged: BTreeMap<FileId, Checked>,
    /// Snapshots, as far as there are keys.
    pub(super) manifests: Manifests,
    pub(super) holes: Vec<Hole>,
    /// Packs that snapshots need, as far as there are keys and recipes were walked.
    pub(super) used: HashSet<PackId>,
    /// Whether packs could be rebuilt from these shards: finding out costs what a repair costs.
    rebuildable: HashMap<(PackId, Vec<ShardId>), bool>,
    pub(super) report: VerifyReport,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        site: Site<'a>,
        options: &'a VerifyOptions<'a>,
        selection: &'a Selection,
        monitor: &'a Quiet<'a>,
    ) -> Self {
        let report = VerifyReport {
            level: options.level,
            errors: Vec::new(),
            lost: Vec::new(),
            skipped: Vec::new(),
            stats: VerifyStats::default(),
        };
        Self {
            site,
            options,
            monitor,
            selection,
            small: Vec::new(),
            files: FileList::default(),
            damaged: BTreeMap::new(),
            manifests: Manifests::default(),
            holes: Vec::new(),
            used: HashSet::new(),
            rebuildable: HashMap::new(),
            report,
        }
    }

    pub(super) fn all(&mut self) -> Result<VerifyReport, Error> {
        self.note_skipped();
        self.small = scan_small(&self.site, self.monitor)?;
        self.small_again()?;
        self.files = list_files(&self.site)?;
        if let Some(repository) = self.site.opened {
            self.manifests = load_manifests(repository, self.monitor)?;
            self.report.stats.snapshots_checked = self.manifests.snapshots.len() as u64;
        }
        if self.options.level != VerifyLevel::Quick {
            self.read_files()?;
        }
        if let Some(repository) = self.site.opened {
            self.walk(repository)?;
        }
        self.judge()?;
        Ok(self.report.clone())
    }

    fn note_skipped(&mut self) {
        let skipped = &mut self.report.skipped;
        skipped.extend(self.selection.skipped.clone());
        if self.site.opened.is_none() {
            let text = "without an admin key, only checksums were compared: not signatures, manifests, chunk tables, \
                        index segments, recipes and chunks, nor whom damage hurts";
            skipped.push(text.to_owned());
        }
        if self.options.level == VerifyLevel::Full && self.site.opened.is_none() {
            skipped.push(
                "chunks were not opened: the level is that of 'standard' without an admin key".to_owned(),
            );
        }
    }

    /// Looks a second time at small objects that are not intact: they may just have been written or deleted.
    fn small_again(&mut self) -> Result<(), Error> {
        let sessions: BTreeSet<SessionId> = self.sessions().collect();
        for object in &mut self.small {
            if object.is_intact() || object.standing == Standing::Voided {
                continue;
            }
            *object = look_small(&self.site, object.id)?;
            // A manifest's replica is written after it, while its session goes on.
            if matches!(object.id, SmallId::Manifest(id) if sessions.contains(&id))
                && object.original == State::Intact
                && object.replica == Some(State::Missing)
            {
                object.replica = Some(State::Intact);
            }
        }
        self.small.retain(|object| object.is_there() || object.id == SmallId::Config);
        Ok(())
    }

    /// Sessions whose objects were there, whatever became of them.
    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.small.iter().filter_map(|object| match object.id {
            SmallId::Session(id) => Some(id),
            _ => None,
        })
    }

    fn read_files(&mut self) -> Result<(), Error> {
        let mut files: Vec<(FileId, u64)> = Vec::new();
        files.extend(self.files.segments.iter().map(|(id, len)| (FileId::Segment(*id), *len)));
        files.extend(self.files.shards.iter().map(|(id, len)| (FileId::Shard(*id), *len)));
        files.extend(self.files.packs.iter().map(|(id, len)| (FileId::Pack(*id), *len)));
        let all = files.len();
        files.retain(|(id, _)| matches!(id, FileId::Segment(_)) || self.selection.has(id.hash()));
        if files.len() < all {
            let (left, all) = (all - files.len(), all - self.files.segments.len());
            let text = format!(
                "the content of {left} of {all} packs and shards was not read: it was not their turn"
            );
            self.report.skipped.push(text);
        }
        let depth = if self.options.level == VerifyLevel::Full { Depth::Chunks } else { Depth::Tables };
        let (stats, damaged) = (&mut self.report.stats, &mut self.damaged);
        check_files(&self.site, &files, (depth, self.options.threads), self.monitor, &mut |checked| {
            stats.bytes += checked.len;
            stats.chunks_checked += checked.chunks;
            match checked.id {
                FileId::Pack(_) => stats.packs_checked += 1,
                FileId::Shard(_) => stats.shards_checked += 1,
                FileId::Segment(_) => {}
            }
            let idx_is_good = checked.idx.as_ref().is_none_or(|state| *state == State::Intact);
            if checked.state != State::Intact || !idx_is_good {
                damaged.insert(checked.id, checked);
            }
            Ok(())
        })
    }

    /// Reads one file that was not read yet.
    pub(super) fn check_one(&self, id: FileId) -> Result<Checked, Error> {
        let mut found = None;
        let monitor = Still(self.monitor);
        check_files(&self.site, &[(id, 0)], (Depth::Tables, 1), &monitor, &mut |checked| {
            found = Some(checked);
            Ok(())
        })?;
        found.ok_or(Error::Worker)
    }

    /// Whether a pack can be rebuilt. It is tried once, unless other shards came.
    pub(super) fn can_rebuild(&mut self, groups: &Groups, pack: PackId) -> Result<bool, Error> {
        let shards = groups.of_pack(&pack).flat_map(|stored| stored.claims()).map(|(_, shard)| shard);
        let key = (pack, shards.collect());
        if let Some(can) = self.rebuildable.get(&key) {
            return Ok(*can);
        }
        let can = can_rebuild(self.site.parity, groups, pack)?;
        self.rebuildable.insert(key, can);
        Ok(can)
    }

    fn walk(&mut self, repository: &Repository) -> Result<(), Error> {
        let mut bad = BadPacks::default();
        self.damaged.values().for_each(|checked| bad.note(checked));
        let all: Vec<&LoadedManifest> = self.manifests.snapshots.iter().collect();
        let mut used = HashSet::new();
        let mut holes = self.walk_some(repository, &all, &bad, &mut used)?;
        for _ in 0..LOOKS {
            if holes.is_empty() {
                break;
            }
            // A prune may have moved chunks, or have removed the snapshot.
            let again = load_manifests(repository, self.monitor)?;
            let hurt: HashSet<SessionId> = holes.iter().map(|hole| hole.snapshot).collect();
            let still: Vec<&LoadedManifest> =
                again.snapshots.iter().filter(|loaded| hurt.contains(&loaded.manifest.id)).collect();
            holes = self.walk_some(repository, &still, &bad, &mut used)?;
        }
        (self.holes, self.used) = (holes, used);
        Ok(())
    }

    fn walk_some(
        &self,
        repository: &Repository,
        snapshots: &[&LoadedManifest],
        bad: &BadPacks,
        used: &mut HashSet<PackId>,
    ) -> Result<Vec<Hole>, Error> {
        let mut domains: BTreeMap<DomainId, Vec<&LoadedManifest>> = BTreeMap::new();
        for loaded in snapshots {
            domains.entry(loaded.domain).or_default().push(loaded);
        }
        let mut holes = Vec::new();
        for (domain, snapshots) in domains {
            let Some(keys) = repository.keys.domain(domain).map_err(RepoError::from)? else { continue };
            let mut walk = Walk::new(repository, keys, bad, self.monitor)?;
            for loaded in snapshots {
                if self.monitor.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                holes.extend(match self.options.level {
                    VerifyLevel::Quick => walk.roots(loaded)?,
                    VerifyLevel::Standard | VerifyLevel::Full => walk.snapshot(loaded)?,
                });
            }
            used.extend(walk.used());
        }
        Ok(holes)
    }

    /// Adds an error, and what it hurts.
    pub(super) fn error(&mut self, error: VerifyError) {
        self.report.errors.push(error);
    }

    /// Holes by the packs that should fill them.
    pub(super) fn holes_by_pack(&self) -> HashMap<PackId, Vec<Hole>> {
        let mut by_pack: HashMap<PackId, Vec<Hole>> = HashMap::new();
        for hole in &self.holes {
            for pack in &hole.packs {
                by_pack.entry(*pack).or_default().push(hole.clone());
            }
        }
        by_pack
    }

    pub(super) fn tell_lost(&mut self) {
        self.report.lost = self.holes.iter().cloned().map(LostRange::from).collect();
    }

    pub(super) fn remember_snapshots(&self, repository: &Repository, pins: &dyn Pins, monitor: &dyn Monitor) {
        let snapshots = self.manifests.snapshots.iter();
        let seen: Vec<_> = snapshots
            .map(|loaded| (loaded.domain, loaded.manifest.id, loaded.manifest.committed_at))
            .collect();
        repository.remember(pins, &seen, monitor);
    }
}

/// Tells no progress: of a look aside.
struct Still<'a>(&'a dyn Monitor);

impl Monitor for Still<'_> {
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}
