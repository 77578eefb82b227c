//! What a repair has to do with: everything is read once, and what is wrong is kept.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::base::{DomainId, Monitor, PackId, SegmentId, SessionId, ShardId};
use crate::engine::scan::{
    BadPacks, Checked, Depth, FileId, Site, SmallId, SmallObject, Standing, State, check_files,
    forgotten_snapshots, list_files, retired_packs, scan_small,
};
use crate::error::Error;
use crate::format::names;
use crate::format::pack::{HEADER_LEN, PackHeader};
use crate::format::prefix::{Class, Prefix};
use crate::format::shard::Member;
use crate::repo::{Groups, RepoError, Repository, SegmentList, StoredGroup};

/// A pack that is whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct WholePack {
    pub(super) len: u64,
    pub(super) class: Class,
    pub(super) domain: DomainId,
    pub(super) session: SessionId,
}

/// The state of a repository.
pub(super) struct Found {
    /// Small objects that are not intact, or mean nothing any more.
    pub(super) small: Vec<SmallObject>,
    /// Sessions that a fence ended, and of which neither a snapshot is there nor what says that there never was one.
    pub(super) unvoided: Vec<SessionId>,
    pub(super) groups: Groups,
    pub(super) whole: BTreeMap<PackId, WholePack>,
    /// Packs that are damaged, and what is wrong.
    pub(super) damaged: BTreeMap<PackId, String>,
    /// Packs that a group or an index segment names, and that are not there.
    pub(super) missing: BTreeSet<PackId>,
    /// Of the damaged packs: which chunks cannot be read.
    pub(super) bad: BadPacks,
    /// Shards that are not what their names say.
    pub(super) shards: BTreeMap<ShardId, String>,
    pub(super) segments: BTreeMap<SegmentId, String>,
    /// Packs whose index file is missing or damaged.
    pub(super) idx: BTreeMap<PackId, String>,
    /// Masked packs, as far as the keys tell whether a record is true.
    pub(super) retired: HashSet<PackId>,
    /// Packs that were rebuilt, or would be.
    pub(super) rebuilt: HashSet<PackId>,
}

impl Found {
    /// Reads everything.
    pub(super) fn read(site: &Site<'_>, threads: usize, monitor: &dyn Monitor) -> Result<Self, Error> {
        let mut small = scan_small(site, monitor)?;
        let retired = retired_packs(site, &small)?;
        let unvoided = unvoided(site, &small)?;
        small.retain(|object| !is_fine(object));
        let files = list_files(site)?;
        let groups = Groups::load(site.parity)?;
        let mut found = Self {
            small,
            unvoided,
            groups,
            whole: BTreeMap::new(),
            damaged: BTreeMap::new(),
            missing: BTreeSet::new(),
            bad: BadPacks::default(),
            shards: BTreeMap::new(),
            segments: BTreeMap::new(),
            idx: BTreeMap::new(),
            retired,
            rebuilt: HashSet::new(),
        };
        let listed: Vec<(FileId, u64)> = (files.packs.iter().map(|(id, len)| (FileId::Pack(*id), *len)))
            .chain(files.shards.iter().map(|(id, len)| (FileId::Shard(*id), *len)))
            .chain(files.segments.iter().map(|(id, len)| (FileId::Segment(*id), *len)))
            .collect();
        check_files(site, &listed, (Depth::Tables, threads), monitor, &mut |checked| {
            found.note(checked);
            Ok(())
        })?;
        let is_there = |pack: &PackId| files.packs.contains_key(pack) || found.retired.contains(pack);
        let members = found.groups.all().iter().flat_map(|stored| &stored.group.members);
        let unlisted: BTreeSet<PackId> =
            members.map(|member| member.pack).filter(|pack| !is_there(pack)).collect();
        for pack in unlisted {
            // A pack that came after the listing is durable before its group names it.
            if site.parity.store.head(&names::pack(pack)).map_err(RepoError::from)?.is_none() {
                found.missing.insert(pack);
            }
        }
        Ok(found)
    }

    fn note(&mut self, checked: Checked) {
        self.bad.note(&checked);
        match (checked.id, checked.state) {
            (FileId::Pack(id), state) => {
                match checked.idx {
                    Some(State::Damaged(why)) => drop(self.idx.insert(id, why)),
                    Some(State::Missing) => drop(self.idx.insert(id, "missing".to_owned())),
                    Some(State::Intact) | None => {}
                }
                match state {
                    State::Damaged(why) => {
                        self.damaged.insert(id, why);
                    }
                    // Deleted since it was listed.
                    State::Missing => {}
                    State::Intact => {
                        if let Some(header) = checked.header {
                            let prefix = header.prefix;
                            let (len, class) = (checked.len, prefix.class);
                            let (domain, session) = (prefix.domain, prefix.session);
                            self.whole.insert(id, WholePack { len, class, domain, session });
                        }
                    }
                }
            }
            (FileId::Shard(id), State::Damaged(why)) => {
                self.shards.insert(id, why);
            }
            (FileId::Segment(id), State::Damaged(why)) => {
                self.segments.insert(id, why);
            }
            _ => {}
        }
    }

    /// Notes that a pack is whole again.
    pub(super) fn mended(&mut self, site: &Site<'_>, pack: PackId, bytes: &[u8]) {
        self.damaged.remove(&pack);
        self.missing.remove(&pack);
        self.bad.forget(&pack);
        self.rebuilt.insert(pack);
        let header = bytes.first_chunk::<HEADER_LEN>();
        let header =
            header.map(|header| PackHeader::parse(header, site.parity.suite, site.parity.repository));
        if let Some(Ok(PackHeader { prefix, .. })) = header {
            let Prefix { class, domain, session, .. } = prefix;
            self.whole.insert(pack, WholePack { len: bytes.len() as u64, class, domain, session });
        }
        if site.parity.store.capabilities().is_local {
            self.idx.entry(pack).or_insert_with(|| "of a pack that is new".to_owned());
        }
    }

    /// Whether all packs of a group are, and as long as the group says: whoever forges shards says anything.
    pub(super) fn has_whole_members(&self, stored: &StoredGroup) -> bool {
        let is_whole =
            |member: &Member| self.whole.get(&member.pack).is_some_and(|pack| pack.len == member.len);
        stored.group.members.iter().all(is_whole)
    }

    /// Whether nothing is wrong.
    pub(super) fn is_clean(&self) -> bool {
        let files = self.damaged.len() + self.missing.len() + self.shards.len() + self.segments.len();
        let groups = self.groups.unreadable.len()
            + self.groups.all().iter().filter(|stored| stored.missing().next().is_some()).count();
        self.small.is_empty() && files == 0 && groups == 0
    }

    /// Whole packs that no intact segment names and whose session has ended.
    pub(super) fn unnamed(
        &self,
        repository: &Repository,
        open: &HashSet<SessionId>,
        monitor: &dyn Monitor,
    ) -> Result<Vec<PackId>, RepoError> {
        let segments = SegmentList::load(repository, monitor)?;
        let is_unnamed =
            |(id, pack): &(&PackId, &WholePack)| !segments.names(id) && !open.contains(&pack.session);
        Ok(self.whole.iter().filter(is_unnamed).map(|(id, _)| *id).collect())
    }
}

/// A fence is followed by a void unless there is a snapshot (S4). A forgotten one was there and cannot come back.
fn unvoided(site: &Site<'_>, small: &[SmallObject]) -> Result<Vec<SessionId>, Error> {
    let forgotten = forgotten_snapshots(site, small)?;
    let is_known = |session: SessionId| {
        let ids = [SmallId::Void(session), SmallId::Manifest(session), SmallId::Session(session)];
        small.iter().any(|object| ids.contains(&object.id)) || forgotten.contains(&session)
    };
    let fenced = small.iter().filter_map(|object| match object.id {
        SmallId::Fence(session) if object.is_intact() => Some(session),
        _ => None,
    });
    Ok(fenced.filter(|session| !is_known(*session)).collect())
}

/// Sessions are looked at by whoever ends the dead ones.
fn is_fine(object: &SmallObject) -> bool {
    matches!(object.id, SmallId::Session(_)) || (object.is_intact() && object.standing != Standing::LeftOver)
}
