//! A pruner for the simulation: small, and honest to the rules P1 to P8 unless a bug is planted.

use std::collections::{BTreeMap, BTreeSet};

use super::chunks::{Packs, chunks_of, domain};
use super::dice::Dice;
use crate::base::random::random_array;
use crate::base::{ChunkId, GroupId, Kind, PackId, RecordId, SegmentId, SessionId, SilentMonitor};
use crate::compress::Codec;
use crate::error::Error;
use crate::format::manifest::Manifest;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::format::prefix::Class;
use crate::format::shard::Member;
use crate::format::signed::{Fact, Forget, Retire};
use crate::parity::MAX_COLUMNS;
use crate::repo::{
    Groups, Maintenance, OpenPack, ParityKeeper, RepoError, Repository, SessionState, StoredPacks,
    end_dead_sessions, end_session, list_packs, list_sessions, load_manifests, packs_of_segment,
    protect_packs,
};
use crate::store::{Durability, ListEntry, Store, StoreError, StoreErrorKind};

/// A rule that a pruner breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PrunerBug {
    /// Sessions are listed before the retire record is durable (P6).
    LocksListedEarly,
    /// Packs are deleted without waiting for anybody (P6).
    SweptBeforeDrain,
    /// Snapshots that came meanwhile are not looked at (P7).
    NoSecondLook,
    /// A pack that is retired is taken back, although somebody may be about to delete it (S2).
    Unretired,
    /// Shards of retired packs go before those that survive have new ones (P4, P8).
    ParityRemovedEarly,
}

/// What a pruner asks of the world that it runs in.
pub(super) trait Surroundings {
    /// Which of the visible snapshots to forget; whoever answers knows that they may vanish from now on.
    fn choose(&mut self, visible: &[SessionId]) -> Vec<SessionId>;
    /// Waits for so long.
    fn sleep(&mut self, ms: i64);
}

/// How a run of a pruner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pruned {
    Done,
    /// Another maintenance session runs.
    GaveWay,
    /// Somebody did not end in time, or retired something else: the next run goes on.
    Pending,
}

/// The engine's prune takes the place of [`SmallPruner`] by this.
pub(super) trait Prune: Sync {
    fn prune(&self, repository: &Repository, around: &mut dyn Surroundings) -> Result<Pruned, Error>;
}

pub(super) struct SmallPruner {
    pub(super) bug: Option<PrunerBug>,
}

const POLL_MS: i64 = 60_000;
const POLLS: usize = 10;
/// Of stores without locks.
const PATIENCE_MS: i64 = 3_600_000;

impl Prune for SmallPruner {
    fn prune(&self, repository: &Repository, around: &mut dyn Surroundings) -> Result<Pruned, Error> {
        let maintenance = match Maintenance::begin(repository, &*domain(repository)?, "prune") {
            Err(RepoError::Held { .. }) => return Ok(Pruned::GaveWay),
            other => other?,
        };
        let run = Run { repository, session: maintenance.session(), bug: self.bug };
        let done = run.all(around);
        let ended = maintenance.end(repository);
        let done = done?;
        ended?;
        Ok(done)
    }
}

struct Run<'a> {
    repository: &'a Repository,
    session: SessionId,
    bug: Option<PrunerBug>,
}

/// What was decided at P3.
struct Plan {
    records: BTreeMap<RecordId, Vec<PackId>>,
    packs: Packs,
    marked: BTreeSet<SessionId>,
    /// Packs that stay because snapshots need them.
    kept: BTreeSet<PackId>,
    retired: BTreeSet<PackId>,
    /// Live chunks that only retired packs have.
    rescue: BTreeSet<ChunkId>,
}

fn gone_is_fine(result: Result<(), StoreError>) -> Result<(), RepoError> {
    match result {
        Err(error) if error.kind != StoreErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn there_is_fine(result: Result<(), StoreError>) -> Result<(), RepoError> {
    match result {
        Err(error) if error.kind != StoreErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

impl Run<'_> {
    fn has(&self, bug: PrunerBug) -> bool {
        self.bug == Some(bug)
    }

    fn store(&self) -> &dyn Store {
        &*self.repository.store
    }

    fn all(&self, around: &mut dyn Surroundings) -> Result<Pruned, Error> {
        end_dead_sessions(self.repository, &SilentMonitor)?;
        self.remove_fences()?;
        self.forget(around)?;
        let early = self.sessions()?;
        let Some(plan) = self.plan()? else { return Ok(Pruned::Pending) };
        // P4
        self.copy_out(&plan.packs, &plan.rescue)?;
        if self.has(PrunerBug::ParityRemovedEarly) {
            self.remove_shards(Some(&plan.retired))?;
        }
        match self.renew_parity(&plan) {
            // A writer on a full store took its own pack back.
            Err(Error::Repo(RepoError::Missing { .. })) => return Ok(Pruned::Pending),
            other => other?,
        }
        if plan.retired.is_empty() {
            self.clean(&plan, None)?;
            return Ok(Pruned::Done);
        }
        // P5
        let own = RecordId(random_array(&*self.repository.environment.random).map_err(RepoError::from)?);
        self.put_record(
            own,
            &Retire {
                created: self.repository.environment.clock.now(),
                packs: plan.retired.iter().copied().collect(),
            },
        )?;
        let records = self.records()?;
        if records.keys().any(|id| *id != own && !plan.records.contains_key(id)) {
            return Ok(Pruned::Pending);
        }
        // P6
        let open = if self.has(PrunerBug::LocksListedEarly) { early } else { self.sessions()? };
        if !self.has(PrunerBug::SweptBeforeDrain) && !self.drain(open, around)? {
            return Ok(Pruned::Pending);
        }
        // P7
        if !self.has(PrunerBug::NoSecondLook) {
            self.look_again(&plan)?;
        }
        for id in &plan.retired {
            gone_is_fine(self.store().delete(&names::idx(*id)))?;
            gone_is_fine(self.store().delete(&names::pack(*id)))?;
        }
        self.clean(&plan, Some(own))?;
        Ok(Pruned::Done)
    }

    fn put_record<T: Fact>(&self, id: RecordId, record: &T) -> Result<(), RepoError> {
        let sealed = record.seal_record(self.repository.config.repository, id, self.repository.keys.signer());
        let (name, bytes) =
            sealed.map_err(|source| RepoError::format(&names::record(T::KIND, id), source))?;
        self.store().put(&name, &bytes, Durability::Durable)?;
        there_is_fine(self.store().put(&names::replica(&name), &bytes, Durability::Durable))
    }

    /// A void says all that a fence does once the lock is gone.
    fn remove_fences(&self) -> Result<(), Error> {
        let mut fenced = Vec::new();
        let mut list = |entry: ListEntry| fenced.extend(names::id_of::<SessionId>(&entry.name, "fence"));
        self.store().list(names::LOCKS, &mut list).map_err(RepoError::from)?;
        for id in fenced {
            let is_there = |name| self.store().head(&name).map(|len| len.is_some()).map_err(RepoError::from);
            if is_there(names::void(id))? && !is_there(names::session(id))? {
                gone_is_fine(self.store().delete(&names::fence(id)))?;
            }
        }
        Ok(())
    }

    /// P2
    fn forget(&self, around: &mut dyn Surroundings) -> Result<(), Error> {
        let found = load_manifests(self.repository, &SilentMonitor)?;
        let visible: Vec<SessionId> = found.snapshots.iter().map(|loaded| loaded.manifest.id).collect();
        let snapshots = around.choose(&visible);
        if snapshots.is_empty() {
            return Ok(());
        }
        let id = RecordId(random_array(&*self.repository.environment.random).map_err(RepoError::from)?);
        let created = self.repository.environment.clock.now();
        self.put_record(id, &Forget { created, snapshots: snapshots.clone() })?;
        for id in snapshots {
            let name = names::manifest(id);
            gone_is_fine(self.store().delete(&names::replica(&name)))?;
            gone_is_fine(self.store().delete(&name))?;
        }
        Ok(())
    }

    /// All retire records.
    fn records(&self) -> Result<BTreeMap<RecordId, Vec<PackId>>, RepoError> {
        let mut records = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for folder in [Retire::KIND.folder(), format!("{}/{}", names::REPLICAS, Retire::KIND.folder())] {
            self.store()
                .list(&folder, &mut |entry| ids.extend(names::id_of::<RecordId>(&entry.name, "json")))?;
        }
        let verifier = self.repository.keys.verifier();
        for id in ids {
            let name = names::record(Retire::KIND, id);
            for name in [name.clone(), names::replica(&name)] {
                match self.store().get(&name, u64::MAX) {
                    Err(error) if error.kind == StoreErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                    Ok(bytes) => {
                        let config = &self.repository.config;
                        let record = Retire::open_record(config.repository, id, &bytes, verifier.as_ref());
                        let record = record.map_err(|source| RepoError::format(&name, source))?;
                        records.insert(id, record.packs);
                        break;
                    }
                }
            }
        }
        Ok(records)
    }

    /// All sessions but this one.
    fn sessions(&self) -> Result<Vec<SessionId>, RepoError> {
        let mut ids = Vec::new();
        let folder = names::LOCKS;
        self.store().list(folder, &mut |entry| ids.extend(names::id_of::<SessionId>(&entry.name, "json")))?;
        ids.retain(|id| *id != self.session);
        Ok(ids)
    }

    fn manifests(&self) -> Result<BTreeMap<SessionId, Manifest>, RepoError> {
        let found = load_manifests(self.repository, &SilentMonitor)?;
        if let Some((id, damage)) = found.damaged.iter().next() {
            return Err(RepoError::SealCheck { why: format!("repair snapshot {id} first: {}", damage.text) });
        }
        Ok(found.snapshots.into_iter().map(|loaded| (loaded.manifest.id, loaded.manifest)).collect())
    }

    /// The chunks that snapshots need, each of which must be there.
    fn needed<'m>(
        &self,
        packs: &Packs,
        manifests: impl Iterator<Item = &'m Manifest>,
    ) -> Result<BTreeSet<ChunkId>, RepoError> {
        let mut needed = BTreeSet::new();
        for manifest in manifests {
            needed.extend(packs.needed(self.repository, manifest)?);
        }
        match needed.iter().find(|chunk| packs.homes(chunk).is_empty()) {
            Some(lost) => Err(RepoError::LostChunk { chunk: *lost, why: "repair first".to_owned() }),
            None => Ok(needed),
        }
    }

    /// P3
    fn plan(&self) -> Result<Option<Plan>, Error> {
        let records = self.records()?;
        let mut packs = Packs::load(self.repository)?;
        let candidates: BTreeSet<PackId> = packs.views.keys().copied().collect();
        let open: BTreeSet<SessionId> = list_sessions(self.repository, &SilentMonitor)?
            .into_iter()
            .filter(|session| session.state != SessionState::Ended && session.id != self.session)
            .map(|session| session.id)
            .collect();
        let manifests = self.manifests()?;
        let mut needed = self.needed(&packs, manifests.values());
        if matches!(needed, Err(RepoError::LostChunk { .. })) {
            // Snapshots that were made meanwhile have packs that were not there yet.
            packs = Packs::load(self.repository)?;
            needed = self.needed(&packs, manifests.values());
        }
        let needed = needed?;
        let mut masked: BTreeSet<PackId> = records.values().flatten().copied().collect();
        let mut taken_back = BTreeSet::new();
        if self.has(PrunerBug::Unretired) {
            taken_back = std::mem::take(&mut masked);
            for id in records.keys() {
                let name = names::record(Retire::KIND, *id);
                gone_is_fine(self.store().delete(&names::replica(&name)))?;
                gone_is_fine(self.store().delete(&name))?;
            }
        }
        let mut kept = BTreeSet::new();
        let mut kept_packs = BTreeSet::new();
        let mut retired: BTreeSet<PackId> =
            masked.iter().filter(|id| packs.views.contains_key(id)).copied().collect();
        let mut unmasked: Vec<_> = packs.views.iter().filter(|(id, _)| !masked.contains(id)).collect();
        unmasked.sort_by_key(|(id, _)| !taken_back.contains(id));
        for (id, view) in unmasked {
            let chunks = chunks_of(view);
            if chunks.iter().any(|chunk| needed.contains(chunk) && !kept.contains(chunk)) {
                kept.extend(chunks);
                kept_packs.insert(*id);
            } else if candidates.contains(id) && !open.contains(&view.header.prefix.session) {
                retired.insert(*id);
            }
        }
        let rescue = needed.difference(&kept).copied().collect();
        let marked = manifests.into_keys().collect();
        Ok(Some(Plan { records, packs, marked, kept: kept_packs, retired, rescue }))
    }

    /// Stores chunks again, with parity and a segment.
    fn copy_out(&self, packs: &Packs, rescue: &BTreeSet<ChunkId>) -> Result<(), Error> {
        if rescue.is_empty() {
            return Ok(());
        }
        let repository = self.repository;
        let keys = domain(repository)?;
        let keeper = ParityKeeper::new(repository, keys.id, self.session, false, 1);
        let mut stored = StoredPacks::default();
        for class in [Class::Data, Class::Structure] {
            let mut pack = OpenPack::new(class, Vec::new());
            for id in rescue.iter().filter(|id| (id.kind == Kind::Data) == (class == Class::Data)) {
                let plain = packs.read(repository, *id)?;
                pack.push(*id, Codec::None, &plain, plain.len() as u32);
            }
            if !pack.is_empty() {
                let sealed = repository.seal_pack(pack, &keys, self.session)?;
                let len = repository.put_pack(&sealed)?;
                keeper.add(sealed.id, sealed.class, sealed.bytes, sealed.sums)?;
                stored.add(sealed.id, len, sealed.class, &sealed.records);
            }
        }
        keeper.close()?;
        stored.publish(repository, &keys, self.session)?;
        Ok(())
    }

    /// New groups for packs that stay, and whose groups lose members.
    fn renew_parity(&self, plan: &Plan) -> Result<(), Error> {
        let Parity::Groups { members, shards } = self.repository.settings.parity else { return Ok(()) };
        let site = self.repository.parity_store();
        let groups = Groups::load(site)?;
        let stays = |pack: &PackId| plan.packs.views.contains_key(pack) && !plan.retired.contains(pack);
        let mut orphans: BTreeMap<bool, Vec<PackId>> = BTreeMap::new();
        for (id, view) in plan.packs.views.iter().filter(|(id, _)| stays(id)) {
            let is_whole = |group: &crate::repo::StoredGroup| {
                group.missing().next().is_none()
                    && group.group.members.iter().all(|member| stays(&member.pack))
            };
            // One that a dead session left without parity may be the one that stays.
            let is_due = plan.kept.contains(id) || groups.of_pack(id).next().is_some();
            if is_due && !groups.of_pack(id).any(is_whole) {
                orphans.entry(view.header.prefix.class == Class::Data).or_default().push(*id);
            }
        }
        for (is_data, packs) in orphans {
            let class = if is_data { Class::Data } else { Class::Structure };
            for packs in packs.chunks(members.into()) {
                let random = &*self.repository.environment.random;
                let id = GroupId(random_array(random).map_err(RepoError::from)?);
                let start = u16::from_le_bytes(random_array(random).map_err(RepoError::from)?) as usize;
                let member = |(number, pack): (usize, &PackId)| Member {
                    pack: *pack,
                    len: plan.packs.views[pack].len,
                    first_row: 0,
                    column: ((start + number) % MAX_COLUMNS) as u8,
                };
                let packs = packs.iter().enumerate().map(member).collect();
                let origin = (class, self.repository.keys.own_domain(), self.session);
                protect_packs(site, id, origin, shards, packs)?;
            }
        }
        Ok(())
    }

    /// Removes the shards of groups that have lost a member. Packs are listed
    /// once the groups are known: they are there before their shards.
    fn remove_shards(&self, gone: Option<&BTreeSet<PackId>>) -> Result<(), Error> {
        let groups = Groups::load(self.repository.parity_store())?;
        let there = list_packs(self.repository)?;
        let is_gone = |pack: &PackId| gone.map_or_else(|| !there.contains(pack), |gone| gone.contains(pack));
        let is_hurt = |group: &&crate::repo::StoredGroup| {
            group.group.members.iter().any(|member| is_gone(&member.pack))
        };
        for (_, id) in groups.all().iter().filter(is_hurt).flat_map(|group| group.present()) {
            gone_is_fine(self.store().delete(&names::shard(id)))?;
        }
        Ok(())
    }

    /// P6. False: somebody did not end in time.
    fn drain(&self, mut open: Vec<SessionId>, around: &mut dyn Surroundings) -> Result<bool, Error> {
        let begun = self.repository.environment.clock.now();
        for _ in 0..POLLS {
            let mut left = Vec::new();
            for id in open {
                let lock = names::session(id);
                if self.store().head(&lock).map_err(RepoError::from)?.is_none()
                    || self.store().head(&names::manifest(id)).map_err(RepoError::from)?.is_some()
                {
                    continue;
                }
                match self.store().is_held(&lock) {
                    Ok(Some(false)) => end_session(self.repository, id)?,
                    Ok(None) if self.repository.environment.clock.now().0 - begun.0 > PATIENCE_MS => {
                        end_session(self.repository, id)?;
                    }
                    Err(error) if error.kind == StoreErrorKind::NotFound => {}
                    Err(error) => return Err(RepoError::from(error).into()),
                    Ok(_) => left.push(id),
                }
            }
            open = left;
            if open.is_empty() {
                return Ok(true);
            }
            around.sleep(if self.repository.store.capabilities().is_local { POLL_MS } else { 10 * POLL_MS });
        }
        Ok(false)
    }

    /// P7
    fn look_again(&self, plan: &Plan) -> Result<(), Error> {
        let manifests = self.manifests()?;
        let packs = Packs::load(self.repository)?;
        let mut masked: BTreeSet<PackId> = self.records()?.into_values().flatten().collect();
        masked.extend(&plan.retired);
        let mut rescue = BTreeSet::new();
        for (_, manifest) in manifests.iter().filter(|(id, _)| !plan.marked.contains(id)) {
            for chunk in packs.needed(self.repository, manifest)? {
                if packs.homes(&chunk).iter().all(|home| masked.contains(home)) {
                    rescue.insert(chunk);
                }
            }
        }
        self.copy_out(&packs, &rescue)
    }

    /// P8, once the packs are gone; what an earlier run did not come to as well.
    fn clean(&self, plan: &Plan, own: Option<RecordId>) -> Result<(), Error> {
        self.remove_shards(None)?;
        let there = list_packs(self.repository)?;
        // Some segments stay although nothing that they name does: entries are hints, and may be false.
        let mut dice = Dice::new(own.map_or(0, |own| u64::from(own.0[0])));
        let mut segments = Vec::new();
        let mut list = |entry: ListEntry| segments.extend(names::id_of::<SegmentId>(&entry.name, "seg"));
        self.store().list(names::INDEX, &mut list).map_err(RepoError::from)?;
        for id in segments {
            let Ok(named) = packs_of_segment(self.repository, id) else { continue };
            let is_dead = named.is_some_and(|named| named.iter().all(|pack| !there.contains(&pack.id)));
            if is_dead && dice.one_in(2) {
                gone_is_fine(self.store().delete(&names::segment(id)))?;
            }
        }
        let own = own.map(|own| (own, plan.retired.iter().copied().collect::<Vec<_>>()));
        for (id, packs) in plan.records.clone().into_iter().chain(own) {
            if packs.iter().all(|pack| !there.contains(pack)) {
                let name = names::record(Retire::KIND, id);
                gone_is_fine(self.store().delete(&names::replica(&name)))?;
                gone_is_fine(self.store().delete(&name))?;
            }
        }
        Ok(())
    }
}
