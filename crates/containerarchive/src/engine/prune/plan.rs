//! P3: reads what there is, in an order in which nothing that somebody needs can be overlooked, and decides what goes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::PruneOptions;
use super::census::{Census, Usage};
use super::mark::Marker;
use crate::base::{DomainId, Monitor, PackId, Planted, Problem, Progress, RecordId, SessionId, is_planted};
use crate::error::Error;
use crate::format::names;
use crate::format::pack::{HEADER_LEN, PackHeader};
use crate::format::prefix::{Class, Prefix};
use crate::host::{counted, listed};
use crate::repo::{
    Damage, IndexSurvey, LoadedManifest, RepoError, Repository, SessionState, list_packs, list_sessions,
    load_manifests, survey_index,
};

/// Chunks in several packs of which the same copy is kept each time; of more than these more than one may stay.
const MAX_REPEATED: usize = 1 << 20;
/// A pack is small below this part of the size that packs should have.
const SMALL_PART: u64 = 4;
/// Small packs of one kind that are left alone.
const MAX_SMALL_PACKS: usize = 8;

/// How much a run may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Whatever is worth it.
    All,
    /// The store is full: only packs without any needed chunk go. Nothing is copied, but what stays of parity groups gets
    /// new shards as long as there is room.
    Shards,
    /// The store is full: only packs go without any needed chunk, and whose parity group nothing of value stays in.
    Nothing,
}

/// What was decided.
pub(super) struct Plan {
    /// The retire records at that time, with their packs.
    pub(super) records: BTreeMap<RecordId, Vec<PackId>>,
    /// The snapshots whose chunks were marked.
    pub(super) marked: HashSet<SessionId>,
    pub(super) census: Census,
    /// Packs that go, those of unfinished records included.
    pub(super) leaving: BTreeSet<PackId>,
    /// Those of them whose needed chunks are copied before, by domain, in the order of the streams.
    pub(super) copied: BTreeMap<DomainId, Vec<PackId>>,
    /// Packs that segments or records name and that are gone.
    pub(super) missing: BTreeSet<PackId>,
    /// Write domains of which a snapshot cannot be read whole: their packs stay. Who can write to one domain only must not
    /// be able to hold up the space of others.
    pub(super) blocked: BTreeSet<DomainId>,
}

impl Plan {
    /// Packs whose needed chunks are copied.
    pub(super) fn copied_packs(&self) -> impl Iterator<Item = &PackId> {
        self.copied.values().flatten()
    }

    /// Bytes of these packs.
    pub(super) fn bytes_of(&self, packs: &BTreeSet<PackId>) -> u64 {
        packs.iter().filter_map(|pack| self.census.usage_of(pack)).map(|usage| usage.len).sum()
    }

    /// Bytes of the packs that go, less what of them is copied.
    pub(super) fn freed_bytes(&self) -> u64 {
        let usage = |pack: &PackId| self.census.usage_of(pack);
        let lens = self.bytes_of(&self.leaving);
        let leaves = |pack: &&PackId| self.leaving.contains(pack);
        let live: u64 = self.copied_packs().filter(leaves).filter_map(usage).map(|usage| usage.live).sum();
        lens.saturating_sub(live)
    }

    /// Lets packs stay after all.
    pub(super) fn keep(&mut self, packs: &BTreeSet<PackId>) {
        self.leaving.retain(|pack| !packs.contains(pack));
        self.copied.values_mut().for_each(|copied| copied.retain(|pack| !packs.contains(pack)));
    }
}

/// Who asks: the own session, which is in nobody's way, and what else is as good as gone.
pub(super) struct View<'a> {
    /// The maintenance session; none for a dry run.
    pub(super) own: Option<SessionId>,
    /// Snapshots that a dry run would have forgotten.
    pub(super) forgotten: &'a HashSet<SessionId>,
    pub(super) means: Means,
}

/// Reads records, packs, sessions and snapshots, in this order, marks what is needed, and decides what goes.
///
/// # Errors
/// A snapshot is unreadable or missing, or a chunk is lost: that is for repair; the store failed, or the user wants to
/// stop.
pub(super) fn plan(
    repository: &Repository,
    options: &PruneOptions<'_>,
    view: &View<'_>,
    monitor: &dyn Monitor,
) -> Result<Plan, Error> {
    let mut records = repository.retire_records(monitor)?;
    let mut packs = Vec::new();
    let note = &mut |entry: crate::store::ListEntry| {
        packs.extend(names::pack_id_of(&entry.name, "pack").map(|id| (id, entry.len)));
    };
    repository.store.list(names::PACKS, note).map_err(RepoError::from)?;
    packs.sort_unstable();
    packs.dedup();
    if is_planted(Planted::Unretired) {
        for (id, _) in std::mem::take(&mut records) {
            repository.delete_retire_record(id)?;
        }
    }
    let open = open_sessions(repository, view, monitor)?;
    let mut blocked = BTreeSet::new();
    let snapshots = snapshots(repository, view, &mut blocked, monitor)?;
    let mut census = Census::new(packs);
    let survey = survey_index(repository, census.ids(), MAX_REPEATED, monitor)?;
    let masked: HashSet<PackId> = records.values().flatten().copied().collect();
    let mut missing = missing(repository, &survey, options)?;
    missing.extend(masked.iter().filter(|pack| !census.has(pack)));
    mark(repository, &snapshots, &survey, (&mut census, &mut blocked), monitor)?;
    let marked = snapshots.iter().map(|loaded| loaded.manifest.id).collect();
    let (leaving, copied) = (BTreeSet::new(), BTreeMap::new());
    let mut plan = Plan { records, marked, census, leaving, copied, missing, blocked };
    let mut decision = Decision { repository, open: &open, means: view.means, monitor, plan: &mut plan };
    decision.masked(&masked)?;
    decision.unmasked(&masked, &survey.is_named, options.max_unused)?;
    for packs in plan.copied.values_mut() {
        let census = &plan.census;
        packs.sort_by_key(|pack| census.usage_of(pack).map(|usage| usage.order));
    }
    Ok(plan)
}

/// Sessions whose packs are theirs. A dry run takes for ended what a real one ends first.
fn open_sessions(
    repository: &Repository,
    view: &View<'_>,
    monitor: &dyn Monitor,
) -> Result<HashSet<SessionId>, Error> {
    let is_over = |state| match state {
        SessionState::Ended => true,
        SessionState::Dead => view.own.is_none(),
        SessionState::Live | SessionState::Unknown => false,
    };
    let sessions = list_sessions(repository, monitor)?.into_iter().filter(|session| !is_over(session.state));
    Ok(sessions.map(|session| session.id).filter(|id| Some(*id) != view.own).collect())
}

/// All snapshots that stay.
fn snapshots(
    repository: &Repository,
    view: &View<'_>,
    blocked: &mut BTreeSet<DomainId>,
    monitor: &dyn Monitor,
) -> Result<Vec<LoadedManifest>, Error> {
    let found = load_manifests(repository, monitor)?;
    refuse(&found.damaged, view.forgotten)?;
    for (id, damage) in found.damaged.iter().filter(|(id, _)| !view.forgotten.contains(id)) {
        if let Some(domain) = damage.domain {
            block(blocked, domain, &format!("snapshot {id}: {}", damage.text), monitor);
        }
    }
    let mut snapshots = found.snapshots;
    snapshots.retain(|loaded| !view.forgotten.contains(&loaded.manifest.id));
    Ok(snapshots)
}

/// An error if any snapshot of the main domain, or of one that is not known, is damaged or missing: nobody knows what it
/// needs.
pub(super) fn refuse(
    damaged: &BTreeMap<SessionId, Damage>,
    forgotten: &HashSet<SessionId>,
) -> Result<(), Error> {
    let is_foreign = |domain: &Option<DomainId>| domain.is_some_and(|domain| domain != DomainId::MAIN);
    let damaged: Vec<String> = damaged
        .iter()
        .filter(|(id, damage)| !forgotten.contains(id) && !is_foreign(&damage.domain))
        .map(|(id, damage)| format!("{id}: {}", damage.text))
        .collect();
    if damaged.is_empty() {
        return Ok(());
    }
    let why = format!("{} cannot be read: {}", counted(damaged.len(), "snapshot"), listed(&damaged));
    Err(Error::RepairFirst { why })
}

/// Leaves all packs of a write domain alone.
pub(super) fn block(blocked: &mut BTreeSet<DomainId>, domain: DomainId, why: &str, monitor: &dyn Monitor) {
    if blocked.insert(domain) {
        let text = format!(
            "nothing of write domain {domain} is deleted: {why}; run 'repair', or forget what it cannot mend"
        );
        monitor.problem(&Problem::Warning { text });
    }
}

/// Packs that segments name and that are gone. Whether anybody needs them, marking tells; a segment of a session that was
/// taken for dead may name them late. But a listing that lacks, once more, what a look at the pack itself finds is not
/// believed: it may lack snapshots as well.
fn missing(
    repository: &Repository,
    survey: &IndexSurvey,
    options: &PruneOptions<'_>,
) -> Result<BTreeSet<PackId>, Error> {
    let (mut missing, mut unlisted) = (BTreeSet::new(), BTreeSet::new());
    for pack in &survey.missing {
        match repository.store.head(&names::pack(*pack)).map_err(RepoError::from)? {
            None => missing.insert(*pack),
            Some(_) => unlisted.insert(*pack),
        };
    }
    if !unlisted.is_empty() && !options.accept_loss {
        // Most likely they came after the listing.
        let listed_again = list_packs(repository)?;
        unlisted.retain(|pack| !listed_again.contains(pack));
        for pack in &unlisted {
            if repository.store.head(&names::pack(*pack)).map_err(RepoError::from)?.is_some() {
                let why = format!(
                    "the storage's listing lacks pack {pack}, which is there, so that it may lack snapshots as well; if you know better, --accept-loss believes it"
                );
                return Err(Error::RepairFirst { why });
            }
        }
    }
    Ok(missing)
}

fn mark(
    repository: &Repository,
    snapshots: &[LoadedManifest],
    survey: &IndexSurvey,
    (census, blocked): (&mut Census, &mut BTreeSet<DomainId>),
    monitor: &dyn Monitor,
) -> Result<(), Error> {
    let domains: BTreeSet<DomainId> = snapshots.iter().map(|loaded| loaded.domain).collect();
    let mut done = 0;
    for domain in domains {
        let keys = repository.keys.domain(domain).map_err(RepoError::from)?;
        let keys = keys.ok_or(RepoError::NeedsAdmin { what: "pruning" })?;
        let mut marker = Marker::new(repository, keys, survey, census, monitor)?;
        for loaded in snapshots.iter().filter(|loaded| loaded.domain == domain) {
            match marker.snapshot(loaded) {
                Err(Error::RepairFirst { why }) if domain != DomainId::MAIN => {
                    block(blocked, domain, &why, monitor);
                    break;
                }
                other => other?,
            }
            done += 1;
            monitor.progress(&Progress {
                subject: "snapshots".to_owned(),
                done_bytes: done,
                total_bytes: Some(snapshots.len() as u64),
            });
        }
    }
    Ok(())
}

/// Deciding, pack by pack.
struct Decision<'a> {
    repository: &'a Repository,
    open: &'a HashSet<SessionId>,
    means: Means,
    monitor: &'a dyn Monitor,
    plan: &'a mut Plan,
}

impl Decision<'_> {
    /// What records retired goes, whoever wrote it; what is needed of it is copied out (S2).
    fn masked(&mut self, masked: &HashSet<PackId>) -> Result<(), Error> {
        let packs: Vec<(PackId, Usage)> =
            self.plan.census.usage().filter(|(pack, _)| masked.contains(pack)).collect();
        for (pack, usage) in packs {
            // One without a readable header goes if nobody can need it.
            let prefix = self.header(pack)?;
            let is_blocked = match &prefix {
                Some(prefix) => self.plan.blocked.contains(&prefix.domain),
                None => !self.plan.blocked.is_empty(),
            };
            if usage.live == 0 && !is_blocked {
                self.plan.leaving.insert(pack);
            } else if let Some(prefix) = prefix.filter(|_| !is_blocked) {
                self.copy(pack, prefix.domain);
            }
        }
        Ok(())
    }

    /// Of the others what nobody needs goes; and so do, with what is needed of them copied, packs that no segment names,
    /// small ones where there are many, and the most wasteful ones until few enough bytes are unused.
    fn unmasked(
        &mut self,
        masked: &HashSet<PackId>,
        is_named: &[bool],
        max_unused: f64,
    ) -> Result<(), Error> {
        let small = self.repository.settings.pack_size_bytes / SMALL_PART;
        let mut small_packs: BTreeMap<(Class, DomainId), Vec<PackId>> = BTreeMap::new();
        let mut unnamed = Vec::new();
        let packs: Vec<(usize, PackId, Usage)> = self
            .plan
            .census
            .usage()
            .enumerate()
            .filter(|(_, (pack, usage))| {
                !masked.contains(pack) && (usage.live == 0 || usage.len < small || usage.unused > 0)
            })
            .map(|(number, (pack, usage))| (number, pack, usage))
            .collect();
        for (number, pack, usage) in &packs {
            self.check_cancelled()?;
            if usage.live == 0 {
                if self.candidate(*pack)?.is_some() {
                    self.plan.leaving.insert(*pack);
                }
            } else if !is_named[*number] {
                unnamed.push(*pack);
            } else if usage.len < small
                && let Some(prefix) = self.candidate(*pack)?
            {
                small_packs.entry((prefix.class, prefix.domain)).or_default().push(*pack);
            }
        }
        let crowds = small_packs.into_values().filter(|packs| packs.len() > MAX_SMALL_PACKS).flatten();
        for pack in crowds.chain(unnamed).collect::<Vec<_>>() {
            if let Some(prefix) = self.candidate(pack)? {
                self.copy(pack, prefix.domain);
            }
        }
        let wasteful = packs.into_iter().map(|(_, pack, usage)| (pack, usage)).collect();
        self.wasteful(wasteful, max_unused)
    }

    fn wasteful(&mut self, mut packs: Vec<(PackId, Usage)>, max_unused: f64) -> Result<(), Error> {
        packs.retain(|(pack, usage)| usage.unused > 0 && usage.live > 0 && !self.plan.leaving.contains(pack));
        let staying = self.plan.census.usage().filter(|(pack, _)| !self.plan.leaving.contains(pack));
        let mut total: u64 = staying.map(|(_, usage)| usage.len).sum();
        let mut unused: u64 = packs.iter().map(|(_, usage)| usage.unused).sum();
        // The largest part first: most is won for what must be copied.
        packs.sort_by(|(_, a), (_, b)| {
            (u128::from(b.unused) * u128::from(a.len)).cmp(&(u128::from(a.unused) * u128::from(b.len)))
        });
        for (pack, usage) in packs {
            if unused as f64 <= total as f64 * max_unused {
                break;
            }
            self.check_cancelled()?;
            if let Some(prefix) = self.candidate(pack)? {
                self.copy(pack, prefix.domain);
                unused -= usage.unused;
                total -= usage.unused;
            }
        }
        Ok(())
    }

    fn copy(&mut self, pack: PackId, domain: DomainId) {
        if self.means == Means::All && self.plan.leaving.insert(pack) {
            self.plan.copied.entry(domain).or_default().push(pack);
        }
    }

    /// What stands in front of a pack that may be retired: one of no open session. One without a readable header is for
    /// repair.
    fn candidate(&self, pack: PackId) -> Result<Option<Prefix>, Error> {
        let prefix = self.header(pack)?;
        Ok(prefix.filter(|prefix| {
            !self.open.contains(&prefix.session) && !self.plan.blocked.contains(&prefix.domain)
        }))
    }

    fn header(&self, pack: PackId) -> Result<Option<Prefix>, Error> {
        let mut header = [0; HEADER_LEN];
        let config = &self.repository.config;
        let name = names::pack(pack);
        let read = self.repository.read_pack(pack, 0, &mut header).and_then(|()| {
            PackHeader::parse(&header, config.suite, config.repository)
                .map_err(|source| RepoError::format(&name, source))
        });
        match read {
            Ok(header) => Ok(Some(header.prefix)),
            // A writer on a full store took its own pack back.
            Err(RepoError::Missing { .. }) => Ok(None),
            Err(error) if error.is_useless() => {
                let text = format!("{error}; it is left to 'repair'");
                self.monitor.problem(&Problem::Damaged { object: name.to_string(), text });
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn check_cancelled(&self) -> Result<(), Error> {
        if self.monitor.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
