//! Whether packs are where segments and groups say, whether groups are whole, and whether all that snapshots need is
//! protected and indexed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::run::Run;
use super::{VerifyError, VerifyLevel};
use crate::base::limits::MAX_IDX_BYTES;
use crate::base::{Monitor as _, PackId, SegmentId, SessionId, ShardId};
use crate::engine::scan::{FileId, SmallId, State, list_files, retired_packs};
use crate::error::Error;
use crate::format::idx::PackIndex;
use crate::format::names;
use crate::format::pack::{HEADER_LEN, PackHeader};
use crate::format::parity_level::Parity;
use crate::repo::{Groups, RepoError, StoredGroup, packs_of_segment};
use crate::store::StoreErrorKind;

/// Looks at what seems unprotected or not indexed, before it is believed: groups are merged and segments replaced while
/// they are read.
const LOOKS: usize = 2;

impl Run<'_> {
    pub(super) fn exists(&self, pack: PackId) -> Result<bool, Error> {
        Ok(self.site.parity.store.head(&names::pack(pack)).map_err(RepoError::from)?.is_some())
    }

    /// Whether recipes were walked with what is known of all packs.
    pub(super) fn knows_whom_it_hurts(&self) -> bool {
        self.site.opened.is_some() && self.options.level != VerifyLevel::Quick
    }

    /// Whether a snapshot needs a pack; where recipes were not walked, whether its session made one. What interrupted
    /// sessions leave is neither protected nor indexed, and no damage.
    fn is_needed(&self, pack: &PackId) -> bool {
        if self.knows_whom_it_hurts() {
            return self.used.contains(pack);
        }
        let mut header = [0; HEADER_LEN];
        let site = self.site.parity;
        let header = site
            .store
            .get_range(&names::pack(*pack), 0, &mut header)
            .ok()
            .and_then(|()| PackHeader::parse(&header, site.suite, site.repository).ok());
        header.is_some_and(|header| self.made_a_snapshot(header.prefix.session))
    }

    fn made_a_snapshot(&self, session: SessionId) -> bool {
        self.small.iter().any(|object| object.id == SmallId::Manifest(session))
    }

    /// Whether a group protects anything that counts.
    fn counts(&self, stored: &StoredGroup) -> bool {
        if self.knows_whom_it_hurts() {
            return stored.group.members.iter().any(|member| self.used.contains(&member.pack));
        }
        !self.sessions().any(|session| session == stored.group.session)
    }

    /// Packs that segments and groups name and that are not there, or have another length. For when neither packs nor
    /// recipes tell.
    pub(super) fn judge_listing(&mut self, groups: &Groups) -> Result<(), Error> {
        let mut expected: BTreeMap<PackId, u64> = BTreeMap::new();
        for stored in groups.all().iter().filter(|stored| self.counts(stored)) {
            expected.extend(stored.group.members.iter().map(|member| (member.pack, member.len)));
        }
        if self.options.level == VerifyLevel::Quick {
            self.judge_idx_lengths()?;
            expected.extend(self.named_packs()?);
        }
        let retired = retired_packs(&self.site, &self.small)?;
        let told: HashSet<PackId> = self.report.errors.iter().filter_map(|error| error.pack).collect();
        for (pack, len) in expected {
            if told.contains(&pack) || retired.contains(&pack) {
                continue;
            }
            let text = match self.files.packs.get(&pack) {
                Some(listed) if *listed == len => continue,
                Some(listed) => format!("it has {listed} bytes, and should have {len}"),
                None if self.exists(pack)? => continue,
                None => "it is missing".to_owned(),
            };
            let is_repairable = self.can_rebuild(groups, pack)?;
            let can = if is_repairable { "can" } else { "cannot" };
            let text = format!("{text}; parity {can} rebuild it");
            let mut error = VerifyError::new(&names::pack(pack), text, is_repairable);
            error.pack = Some(pack);
            self.error(error);
        }
        Ok(())
    }

    /// Compares the lengths that pack indexes state with those of their packs.
    fn judge_idx_lengths(&mut self) -> Result<(), Error> {
        let site = self.site.parity;
        if !site.store.capabilities().is_local {
            return Ok(());
        }
        for (pack, len) in self.files.packs.clone() {
            if self.monitor.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let name = names::idx(pack);
            let text = match site.store.get(&name, MAX_IDX_BYTES as u64) {
                Err(error) if error.kind == StoreErrorKind::NotFound => "it is missing".to_owned(),
                Err(error) if error.kind == StoreErrorKind::TooLarge => "it is too long".to_owned(),
                Err(error) => {
                    let error = RepoError::from(error);
                    if !error.is_damage() {
                        return Err(error.into());
                    }
                    error.to_string()
                }
                Ok(bytes) => match PackIndex::parse(&bytes, pack, site.suite, site.repository) {
                    Ok(index) if index.pack_len == len => continue,
                    Ok(index) => format!("it says {} bytes of its pack, which has {len}", index.pack_len),
                    Err(error) => error.to_string(),
                },
            };
            if self.is_needed(&pack) {
                self.idx_error(pack, &text);
            }
        }
        Ok(())
    }

    fn idx_error(&mut self, pack: PackId, text: &str) {
        let text = format!("{text}; it can be made anew from its pack");
        let mut error = VerifyError::new(&names::idx(pack), text, true);
        error.pack = Some(pack);
        self.error(error);
    }

    /// Groups and their shards.
    pub(super) fn judge_protection(&mut self, groups: Groups) -> Result<(), Error> {
        let mut errors = self.protection_errors(&groups)?;
        for _ in 0..LOOKS {
            if errors.is_empty() {
                break;
            }
            errors = self.protection_errors(&Groups::load(self.site.parity)?)?;
        }
        errors.into_iter().for_each(|error| self.error(error));
        Ok(())
    }

    fn protection_errors(&mut self, groups: &Groups) -> Result<Vec<VerifyError>, Error> {
        let mut errors = Vec::new();
        let mut told: BTreeSet<ShardId> = BTreeSet::new();
        for (shard, why) in &groups.unreadable {
            let text = format!("{why}; what it protected gets new parity");
            errors.push(VerifyError::new(&names::shard(*shard), text, true));
            told.insert(*shard);
        }
        for (_, shard) in groups.all().iter().flat_map(|stored| &stored.surplus) {
            let text = "another shard does the same; it should be deleted";
            errors.push(VerifyError::new(&names::shard(*shard), text, true));
            told.insert(*shard);
        }
        for stored in groups.all() {
            if self.is_superseded(groups, stored) || !self.counts(stored) {
                continue;
            }
            let layout_len = stored.layout().file_len();
            let mut broken = Vec::new();
            for (_, shard) in stored.present().filter(|(_, shard)| !told.contains(shard)) {
                let damaged = self.damaged.get(&FileId::Shard(shard)).map(|checked| &checked.state);
                match (damaged, self.files.shards.get(&shard)) {
                    (Some(State::Damaged(text)), _) => {
                        broken.push((names::shard(shard).to_string(), text.clone()));
                    }
                    (_, Some(len)) if *len != layout_len => {
                        let text = format!("it has {len} bytes, and should have {layout_len}");
                        broken.push((names::shard(shard).to_string(), text));
                    }
                    _ => {}
                }
            }
            for number in stored.missing() {
                let object = format!("{}/ (shard {number} of group {})", names::PARITY, stored.group.id);
                broken.push((object, "it is missing".to_owned()));
            }
            if broken.is_empty() {
                continue;
            }
            let is_repairable = self.members_can_be_had(groups, stored)?;
            let what =
                if is_repairable { "it can be computed anew" } else { "packs that it protects are lost" };
            errors.extend(broken.into_iter().map(|(object, text)| VerifyError {
                object,
                text: format!("{text}; {what}"),
                ..VerifyError::new(&names::config(), "", is_repairable)
            }));
        }
        self.unprotected(groups, &mut errors)?;
        Ok(errors)
    }

    /// Whether whole groups protect all members as well: an interrupted merge leaves such.
    fn is_superseded(&self, groups: &Groups, stored: &StoredGroup) -> bool {
        stored.group.members.iter().all(|member| {
            groups.of_pack(&member.pack).any(|other| {
                other.group.id != stored.group.id
                    && other.missing().next().is_none()
                    && other.present().all(|(_, shard)| !self.damaged.contains_key(&FileId::Shard(shard)))
            })
        })
    }

    /// Whether all packs of a group that count are intact or can be rebuilt.
    fn members_can_be_had(&mut self, groups: &Groups, stored: &StoredGroup) -> Result<bool, Error> {
        for member in &stored.group.members {
            let is_damaged = self
                .damaged
                .get(&FileId::Pack(member.pack))
                .is_some_and(|checked| checked.state != State::Intact);
            let is_good = !is_damaged && self.files.packs.contains_key(&member.pack);
            if is_good || (self.knows_whom_it_hurts() && !self.used.contains(&member.pack)) {
                continue;
            }
            if !self.can_rebuild(groups, member.pack)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn unprotected(&self, groups: &Groups, errors: &mut Vec<VerifyError>) -> Result<(), Error> {
        let is_off = match self.site.opened {
            Some(repository) => repository.settings.parity == Parity::Off,
            // Settings cannot be trusted without a key; where there is no group at all, there should be none.
            None => groups.all().is_empty(),
        };
        if is_off {
            return Ok(());
        }
        for pack in self.files.packs.keys() {
            let is_damaged =
                self.damaged.get(&FileId::Pack(*pack)).is_some_and(|checked| checked.state != State::Intact);
            if is_damaged || groups.of_pack(pack).next().is_some() {
                continue;
            }
            if self.is_needed(pack) && self.exists(*pack)? {
                let text = "it is not protected by parity; it can be";
                let mut error = VerifyError::new(&names::pack(*pack), text, true);
                error.pack = Some(*pack);
                errors.push(error);
            }
        }
        Ok(())
    }

    /// Index segments and pack indexes: caches, but slow to do without.
    pub(super) fn judge_index(&mut self) -> Result<(), Error> {
        for (segment, text) in self.damaged_segments()? {
            let text = format!("{text}; it can be made anew from the packs");
            self.error(VerifyError::new(&names::segment(segment), text, true));
        }
        let idx: Vec<(PackId, String)> = self
            .damaged
            .iter()
            .filter_map(|(id, checked)| match (id, &checked.idx) {
                (FileId::Pack(pack), Some(State::Missing)) => Some((*pack, "it is missing".to_owned())),
                (FileId::Pack(pack), Some(State::Damaged(text))) => Some((*pack, text.clone())),
                _ => None,
            })
            .collect();
        for (pack, text) in idx {
            if self.is_needed(&pack) {
                self.idx_error(pack, &text);
            }
        }
        if !self.knows_whom_it_hurts() {
            return Ok(());
        }
        let mut unnamed = self.unnamed()?;
        for _ in 0..LOOKS {
            if unnamed.is_empty() {
                break;
            }
            unnamed = self.unnamed()?;
        }
        for pack in unnamed {
            let text = "no index segment names it, which makes reading slow; it can be indexed";
            let mut error = VerifyError::new(&names::pack(pack), text, true);
            error.pack = Some(pack);
            self.error(error);
        }
        Ok(())
    }

    fn damaged_segments(&self) -> Result<BTreeMap<SegmentId, String>, Error> {
        let mut damaged = BTreeMap::new();
        for (id, checked) in &self.damaged {
            if let (FileId::Segment(segment), State::Damaged(text)) = (id, &checked.state) {
                damaged.insert(*segment, text.clone());
            }
        }
        if let (VerifyLevel::Quick, Some(repository)) = (self.options.level, self.site.opened) {
            for segment in self.files.segments.keys() {
                match packs_of_segment(repository, *segment) {
                    Err(error) if error.is_useless() => drop(damaged.insert(*segment, error.to_string())),
                    Err(error) => return Err(error.into()),
                    Ok(_) => {}
                }
            }
        }
        Ok(damaged)
    }

    /// Packs that snapshots need, that are there, and that no segment names.
    fn unnamed(&self) -> Result<BTreeSet<PackId>, Error> {
        let named = self.named_packs()?;
        let mut unnamed = BTreeSet::new();
        for pack in self.used.iter().filter(|pack| !named.contains_key(pack)) {
            if self.exists(*pack)? {
                unnamed.insert(*pack);
            }
        }
        Ok(unnamed)
    }

    /// What readable segments name now, with lengths.
    fn named_packs(&self) -> Result<HashMap<PackId, u64>, Error> {
        let mut named = HashMap::new();
        let Some(repository) = self.site.opened else { return Ok(named) };
        for segment in list_files(&self.site)?.segments.into_keys() {
            match packs_of_segment(repository, segment) {
                Ok(packs) => named.extend(packs.into_iter().flatten().map(|pack| (pack.id, pack.len))),
                Err(error) if error.is_useless() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(named)
    }

    /// Whether packs are there that no segment names, so that what is not found may be in them.
    pub(super) fn index_is_incomplete(&self) -> Result<bool, Error> {
        if self.knows_whom_it_hurts() {
            // Those packs were read.
            return Ok(false);
        }
        let named = self.named_packs()?;
        Ok(self.files.packs.keys().any(|pack| !named.contains_key(pack)))
    }
}
