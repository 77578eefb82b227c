//! P4 to P8: what stays is made safe without what goes, then all learn that it goes, and when nobody can refer to it any
//! more it is deleted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::copy::Copier;
use super::drain::{StoreTime, drain};
use super::mark::Marker;
use super::plan::{Means, Plan, block};
use super::ripe::{Ripeness, set_aside};
use super::{Pending, PruneOptions, PruneReport};
use crate::base::random::random_array;
use crate::base::{
    DomainId, Monitor, PackId, Planted, Problem, Progress, RecordId, SessionId, ShardId, SilentMonitor,
    is_planted,
};
use crate::error::Error;
use crate::format::names;
use crate::host::counted;
use crate::repo::{
    Groups, IndexSurvey, RepoError, Repository, SessionView, Thinned, compact_segments, delete_shards,
    is_too_late, list_sessions, load_manifests, loses_protection, require_open, thin_group,
};

/// A plan at work.
pub(super) struct Apply<'a> {
    pub(super) repository: &'a Repository,
    pub(super) session: SessionId,
    pub(super) options: &'a PruneOptions<'a>,
    pub(super) time: StoreTime,
    pub(super) means: Means,
    pub(super) monitor: &'a dyn Monitor,
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// All that was to go is gone.
    Done,
    /// Somebody retired packs meanwhile: plan again.
    Again,
    /// Somebody is still at work who may refer to what goes: the next run goes on.
    Pending,
}

impl Apply<'_> {
    /// P4 to P8.
    ///
    /// # Errors
    /// As [`super::prune`].
    pub(super) fn run(&self, plan: &mut Plan, report: &mut PruneReport) -> Result<Round, Error> {
        let early = is_planted(Planted::LocksListedEarly).then(|| self.sessions()).transpose()?;
        let is_weak = self.repository.config.is_weak_store;
        let ripeness = is_weak.then(|| set_aside(self.repository, self.time, plan)).transpose()?;
        // P4. Parity first: what cannot go for its sake need not be copied.
        let spent = self.thin(plan)?;
        report.note_plan(plan);
        self.copier().copy(&plan.copied, &plan.census)?;
        let mut records: Vec<RecordId> = plan.records.keys().copied().collect();
        // P5
        let retired = self.retired_now(plan, ripeness.as_ref());
        // Retiring what another one keeps by now would only make work.
        self.require_open()?;
        if !retired.is_empty() {
            let own = random_array(&*self.repository.environment.random).map_err(RepoError::from)?;
            self.repository.retire_packs(RecordId(own), retired)?;
            records.push(RecordId(own));
        }
        // A prune that ran since P3 may have deleted copies on which the plan relies, its record included. From now on all
        // that begin find what is retired.
        self.require_open()?;
        if let Some(ripeness) = &ripeness {
            report.delayed_bytes = plan.bytes_of(&ripeness.waiting);
        }
        if !plan.leaving.is_empty() {
            if !self.repository.retire_record_ids()?.iter().all(|id| records.contains(id)) {
                return Ok(Round::Again);
            }
            // P6
            let sessions = early.map_or_else(|| self.sessions(), Ok)?;
            let waiting = drain(self.repository, sessions, self.options, self.time, self.monitor)?;
            if !waiting.is_empty() && !is_planted(Planted::SweptBeforeDrain) {
                let holders = waiting.iter().map(SessionView::holder).collect();
                report.freed_bytes = 0;
                report.pending = Some(Pending { bytes: plan.freed_bytes(), holders });
                return Ok(Round::Pending);
            }
            // P7
            if !is_planted(Planted::NoSecondLook) {
                self.look_again(plan)?;
            }
        }
        if let Some(ripeness) = ripeness {
            records.retain(|id| ripeness.spent.contains(id));
        }
        self.sweep(plan, &spent, &records, report)?;
        Ok(Round::Done)
    }

    /// An error if this session was ended by force. On weak stores, which may show the past, packs go days after they were
    /// retired instead.
    fn require_open(&self) -> Result<(), Error> {
        if !self.repository.config.is_weak_store {
            require_open(self.repository, self.session)?;
        }
        Ok(())
    }

    /// The packs that a new record must name; what records name already is masked already.
    fn retired_now(&self, plan: &Plan, ripeness: Option<&Ripeness>) -> Vec<PackId> {
        if let Some(ripeness) = ripeness {
            return ripeness.unnamed.iter().copied().collect();
        }
        let masked: HashSet<PackId> = plan.records.values().flatten().copied().collect();
        let is_new = plan.leaving.iter().any(|pack| !masked.contains(pack));
        if is_new { plan.leaving.iter().copied().collect() } else { Vec::new() }
    }

    fn copier(&self) -> Copier<'_> {
        Copier {
            repository: self.repository,
            session: self.session,
            threads: self.options.threads,
            monitor: self.monitor,
        }
    }

    /// New shards for packs that stay in groups which lose others. Returns the shards that may go once the packs have.
    /// Packs stay for now if what would be left of their group is damaged: they are needed to mend it.
    fn thin(&self, plan: &mut Plan) -> Result<Vec<ShardId>, Error> {
        let groups = Groups::load(self.repository.parity_store())?;
        self.note_missing_members(&groups, plan)?;
        let mut spent = Vec::new();
        for stored in groups.all() {
            self.check_cancelled()?;
            let goes = |pack: &PackId| plan.leaving.contains(pack) || plan.missing.contains(pack);
            let members = || stored.group.members.iter().map(|member| member.pack);
            if !members().any(|pack| goes(&pack)) {
                continue;
            }
            let stays = |pack: &PackId| !goes(pack);
            let is_full = || Thinned::Needed("the storage is full".to_owned());
            // New shards would take the space that the retire record needs.
            let thinned = if self.means == Means::Nothing && loses_protection(&groups, stored, &stays) {
                is_full()
            } else {
                match thin_group(self.repository, self.session, &groups, stored, &stays) {
                    Err(error) if self.bears(&error) => is_full(),
                    other => other?,
                }
            };
            match thinned {
                Thinned::Spent => spent.extend(stored.claims().map(|(_, shard)| shard)),
                Thinned::Needed(why) => {
                    let kept: BTreeSet<PackId> =
                        members().filter(|pack| plan.leaving.contains(pack)).collect();
                    let text = format!(
                        "{} of parity group {} cannot go yet: {why}",
                        counted(kept.len(), "pack"),
                        stored.group.id
                    );
                    self.monitor.problem(&Problem::Warning { text });
                    plan.keep(&kept);
                }
            }
        }
        if is_planted(Planted::ParityRemovedEarly) {
            delete_shards(self.repository.parity_store(), &spent)?;
        }
        Ok(spent)
    }

    /// A writer may have put a dead session's pack into its own group and segment while an earlier prune was about to delete
    /// it. No record and no segment names such a pack any more.
    fn note_missing_members(&self, groups: &Groups, plan: &mut Plan) -> Result<(), Error> {
        for member in groups.all().iter().flat_map(|stored| &stored.group.members) {
            let is_known = plan.census.has(&member.pack) || plan.missing.contains(&member.pack);
            let name = names::pack(member.pack);
            // One that came after the listing is there.
            if !is_known && self.repository.store.head(&name).map_err(RepoError::from)?.is_none() {
                plan.missing.insert(member.pack);
            }
        }
        Ok(())
    }

    /// Whether a full store is what this round is for.
    fn bears(&self, error: &RepoError) -> bool {
        error.is_full() && self.means != Means::All
    }

    /// P7: snapshots that came meanwhile may refer to what goes; they are the last that can.
    fn look_again(&self, plan: &mut Plan) -> Result<(), Error> {
        let found = load_manifests(self.repository, self.monitor)?;
        let mut fresh = found.snapshots;
        fresh.retain(|loaded| !plan.marked.contains(&loaded.manifest.id));
        if fresh.is_empty() {
            return Ok(());
        }
        plan.census.clear();
        let survey = IndexSurvey::default();
        let domains: BTreeSet<DomainId> = fresh.iter().map(|loaded| loaded.domain).collect();
        for domain in domains {
            let keys = self.repository.keys.domain(domain).map_err(RepoError::from)?;
            let keys = keys.ok_or(RepoError::NeedsAdmin { what: "pruning" })?;
            let mut marker = Marker::new(self.repository, keys, &survey, &mut plan.census, self.monitor)?;
            for loaded in fresh.iter().filter(|loaded| loaded.domain == domain) {
                match marker.snapshot(loaded) {
                    Err(Error::RepairFirst { why }) if domain != DomainId::MAIN => {
                        block(&mut plan.blocked, domain, &why, self.monitor);
                        break;
                    }
                    other => other?,
                }
            }
        }
        self.keep_blocked(plan)?;
        let mut rescued: BTreeMap<DomainId, Vec<PackId>> = BTreeMap::new();
        let is_needed = |pack: &&PackId| plan.census.usage_of(pack).is_some_and(|usage| usage.live > 0);
        for pack in plan.leaving.iter().filter(is_needed) {
            let domain = self.repository.view_any_pack(*pack)?.header.prefix.domain;
            rescued.entry(domain).or_default().push(*pack);
        }
        self.copier().copy(&rescued, &plan.census)?;
        Ok(())
    }

    /// Packs of write domains that turned out to be unreadable stay, retired as they are.
    fn keep_blocked(&self, plan: &mut Plan) -> Result<(), Error> {
        let mut kept = BTreeSet::new();
        if plan.blocked.is_empty() {
            return Ok(());
        }
        for pack in &plan.leaving {
            match self.repository.view_any_pack(*pack) {
                Ok(view) if !plan.blocked.contains(&view.header.prefix.domain) => {}
                Err(error) if !error.is_useless() => return Err(error.into()),
                _ => drop(kept.insert(*pack)),
            }
        }
        plan.keep(&kept);
        Ok(())
    }

    /// P8. In this order, so that whoever is interrupted leaves a record that says what may be missing.
    fn sweep(
        &self,
        plan: &Plan,
        spent: &[ShardId],
        records: &[RecordId],
        report: &mut PruneReport,
    ) -> Result<(), Error> {
        let repository = self.repository;
        let is_gone = |pack: &PackId| plan.leaving.contains(pack) || plan.missing.contains(pack);
        let superseded = match compact_segments(repository, self.session, &is_gone, self.monitor) {
            Err(error) if self.bears(&error) => Vec::new(),
            other => other?,
        };
        let mut left = BTreeSet::new();
        for (number, pack) in plan.leaving.iter().enumerate() {
            self.check_cancelled()?;
            if is_too_late(repository, self.time.at) {
                let text = "this prune has run for days: the next one deletes the rest".to_owned();
                self.monitor.problem(&Problem::Warning { text });
                return Ok(());
            }
            self.monitor.progress(&Progress {
                subject: "packs to delete".to_owned(),
                done_bytes: number as u64,
                total_bytes: Some(plan.leaving.len() as u64),
            });
            repository.remove_pack(*pack)?;
            if repository.store.head(&names::pack(*pack)).map_err(RepoError::from)?.is_some() {
                left.insert(*pack);
            } else {
                report.removed_packs += 1;
            }
        }
        report.deleted_parity_bytes += delete_shards(repository.parity_store(), spent)?;
        for id in &superseded {
            repository.delete_segment(*id)?;
        }
        // After a round for a full store segments may still name what is gone, and the record explains that.
        if self.means == Means::All && left.is_empty() {
            let stays = |pack: &PackId| plan.census.has(pack) && !plan.leaving.contains(pack);
            for id in records {
                let is_unfinished = plan.records.get(id).is_some_and(|packs| packs.iter().any(stays));
                if !is_unfinished {
                    repository.delete_retire_record(*id)?;
                }
            }
        }
        Ok(())
    }

    /// All sessions but the own one.
    fn sessions(&self) -> Result<Vec<SessionView>, Error> {
        let mut sessions = list_sessions(self.repository, &SilentMonitor)?;
        sessions.retain(|session| session.id != self.session);
        Ok(sessions)
    }

    fn check_cancelled(&self) -> Result<(), Error> {
        if self.monitor.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
