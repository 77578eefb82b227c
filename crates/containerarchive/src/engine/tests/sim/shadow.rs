//! What must be true, whatever happens: a model of what was acknowledged, held against the bare store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::chunks::{Packs, chunks_of};
use crate::base::{ChunkId, NoPins, ObjectName, PackId, SegmentId, SessionId, SilentMonitor};
use crate::crypto::blake3_256;
use crate::engine::tests::support::Lab;
use crate::engine::{VerifyLevel, VerifyOptions, verify};
use crate::format::names;
use crate::format::prefix::PREFIX_LEN;
use crate::repo::{Groups, Repository, load_manifests, packs_of_segment};
use crate::store::{MemoryStore, Store};

/// Content by the name of the item that has it.
type Contents = BTreeMap<String, Arc<Vec<u8>>>;

pub(super) struct Shadow {
    store: Arc<MemoryStore>,
    lab: Lab,
    repository: Repository,
    contents: Contents,
    /// Snapshots that were acknowledged and that nobody began to forget, with the chunks that they need.
    kept: BTreeMap<SessionId, BTreeSet<ChunkId>>,
    forgotten: BTreeSet<SessionId>,
    packs: Packs,
    ever: BTreeSet<PackId>,
    /// Each random beginning of a key, and the object that has it.
    salts: HashMap<[u8; 32], ObjectName>,
    /// Two maintenance sessions may be at work at once.
    pub(super) is_doubled: bool,
    pub(super) acknowledged: u64,
}

type Checked = Result<(), String>;

fn told<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

impl Shadow {
    /// `lab`: of the bare store.
    pub(super) fn new(store: Arc<MemoryStore>, lab: &Lab) -> Self {
        let repository = lab.open().unwrap();
        Self {
            store,
            lab: lab.clone(),
            repository,
            contents: Contents::new(),
            kept: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            packs: Packs::default(),
            ever: BTreeSet::new(),
            salts: HashMap::new(),
            is_doubled: false,
            acknowledged: 0,
        }
    }

    pub(super) fn will_store(&mut self, name: String, content: Arc<Vec<u8>>) {
        self.contents.insert(name, content);
    }

    pub(super) fn content(&self, name: &str) -> Option<&Arc<Vec<u8>>> {
        self.contents.get(name)
    }

    pub(super) fn is_kept(&self, id: &SessionId) -> bool {
        self.kept.contains_key(id)
    }

    /// From now on a snapshot may vanish.
    pub(super) fn will_forget(&mut self, id: SessionId) {
        self.kept.remove(&id);
        self.forgotten.insert(id);
    }

    pub(super) fn on_put(&mut self, name: &ObjectName, bytes: &[u8]) -> Checked {
        if let Some(id) = names::pack_id_of(name, "pack") {
            let view = self.repository.view_pack_of_any_domain(id);
            self.packs.add(Arc::new(view.map_err(told)?));
            self.ever.insert(id);
        }
        let is_segment = names::id_of::<SegmentId>(name, "seg");
        if let Some(id) = is_segment {
            for pack in packs_of_segment(&self.repository, id).map_err(told)?.unwrap_or_default() {
                if !self.ever.contains(&pack.id) {
                    return Err(format!("{name} names pack {} before it is there", pack.id));
                }
            }
        }
        if is_segment.is_some() || name.as_str().ends_with(".pack") {
            let salt: [u8; 32] = bytes[PREFIX_LEN - 32..PREFIX_LEN].try_into().unwrap();
            // In quarantine and after a repair the same object may stand again.
            let id = |name: &ObjectName| {
                name.as_str().split(['/', '.']).find(|part| part.len() == 64).map(str::to_owned)
            };
            let other = self.salts.insert(salt, name.clone()).filter(|other| id(other) != id(name));
            if let Some(other) = other {
                return Err(format!("{name} and {other} have one salt: their keys and nonces repeat"));
            }
        }
        Ok(())
    }

    pub(super) fn on_delete(&mut self, name: &ObjectName) -> Checked {
        let Some(id) = names::pack_id_of(name, "pack") else { return Ok(()) };
        let Some(view) = self.packs.views.get(&id).cloned() else { return Ok(()) };
        self.packs.remove(id);
        let gone: Vec<ChunkId> =
            chunks_of(&view).into_iter().filter(|chunk| self.packs.homes(chunk).is_empty()).collect();
        for (snapshot, needed) in &self.kept {
            if let Some(chunk) = gone.iter().find(|chunk| needed.contains(chunk)) {
                return Err(format!("pack {id} was deleted, and snapshot {snapshot} needs its {chunk}"));
            }
        }
        Ok(())
    }

    /// A snapshot was acknowledged.
    pub(super) fn acknowledge(&mut self, id: SessionId) -> Checked {
        let found = load_manifests(&self.repository, &SilentMonitor).map_err(told)?;
        let Some(loaded) = found.snapshots.iter().find(|loaded| loaded.manifest.id == id) else {
            return if self.forgotten.contains(&id) {
                Ok(())
            } else {
                Err(format!("snapshot {id} was acknowledged and is not visible"))
            };
        };
        self.acknowledged += 1;
        let needed = self.packs.needed(&self.repository, &loaded.manifest).map_err(told)?;
        if let Some(chunk) = needed.iter().find(|chunk| self.packs.homes(chunk).is_empty()) {
            return Err(format!("snapshot {id} was acknowledged, and no pack has its {chunk}"));
        }
        if !self.forgotten.contains(&id) {
            self.kept.insert(id, needed);
        }
        Ok(())
    }

    /// After something happened to the store behind everybody's back.
    pub(super) fn look_again(&mut self) -> Checked {
        let mut gone = Vec::new();
        for id in self.packs.views.keys() {
            let bytes = self.store.get(&names::pack(*id), u64::MAX);
            if !bytes.is_ok_and(|bytes| blake3_256(&bytes) == id.0) {
                gone.push(*id);
            }
        }
        gone.into_iter().for_each(|id| self.packs.remove(id));
        for (snapshot, needed) in &self.kept {
            if let Some(chunk) = needed.iter().find(|chunk| self.packs.homes(chunk).is_empty()) {
                return Err(format!("snapshot {snapshot} lost its {chunk}"));
            }
        }
        Ok(())
    }

    /// Everything at once: each visible snapshot of an ended session restores byte for byte, and those that were
    /// acknowledged are visible; each of their packs could be rebuilt.
    pub(super) fn check_all(&self) -> Checked {
        let lab = self.lab.on(Arc::new(self.store.fork()));
        let repository = lab.open().map_err(told)?;
        let found = load_manifests(&repository, &SilentMonitor).map_err(told)?;
        let visible: BTreeSet<SessionId> = found.snapshots.iter().map(|loaded| loaded.manifest.id).collect();
        if let Some(id) = self.kept.keys().find(|id| !visible.contains(id)) {
            return Err(format!("acknowledged snapshot {id} is not visible"));
        }
        if let Some((id, damage)) = found.damaged.iter().find(|(id, _)| self.kept.contains_key(id)) {
            return Err(format!("snapshot {id}: {}", damage.text));
        }
        for loaded in &found.snapshots {
            let id = loaded.manifest.id;
            let is_open = repository.store.head(&names::session(id)).map_err(told)?.is_some();
            if self.forgotten.contains(&id) || (is_open && !self.is_kept(&id)) {
                continue;
            }
            let items = lab.restore_from(&repository, &id.to_hex(), &SilentMonitor);
            for (name, content) in items.map_err(|error| format!("snapshot {id}: {error}"))? {
                if self.content(&name).is_none_or(|expected| **expected != content) {
                    return Err(format!("snapshot {id} restores other bytes"));
                }
            }
        }
        if self.is_doubled { Ok(()) } else { self.check_parity(&repository) }
    }

    /// Every pack that a kept snapshot needs could be lost.
    pub(super) fn check_parity(&self, repository: &Repository) -> Checked {
        let groups = Groups::load(repository.parity_store()).map_err(told)?;
        let needed: BTreeSet<PackId> =
            self.kept.values().flatten().flat_map(|chunk| self.packs.homes(chunk)).copied().collect();
        for pack in needed {
            let is_safe = groups.of_pack(&pack).any(|stored| {
                let is_gone = |id: &PackId| *id == pack || !self.packs.views.contains_key(id);
                let gone = stored.group.members.iter().filter(|member| is_gone(&member.pack)).count();
                gone <= stored.present().count()
            });
            let others_have_it = || {
                let only_here = |chunk: &ChunkId| self.packs.homes(chunk) == [pack];
                !self.kept.values().flatten().any(only_here)
            };
            if !is_safe && !others_have_it() {
                return Err(format!("parity protects pack {pack} no more, and snapshots need it"));
            }
        }
        Ok(())
    }

    /// At rest, after maintenance: nothing is damaged, nothing is left over.
    pub(super) fn check_rest(&self) -> Checked {
        self.check_all()?;
        let lab = self.lab.on(Arc::new(self.store.fork()));
        let repository = lab.open().map_err(told)?;
        self.check_parity(&repository)?;
        let options = VerifyOptions {
            level: VerifyLevel::Full,
            sample_ppm: None,
            max_age_ms: None,
            threads: 1,
            pins: &NoPins,
        };
        let report = verify(&repository, &options, &SilentMonitor).map_err(told)?;
        if let Some(error) = report.errors.first() {
            return Err(format!("at rest: {error:?}"));
        }
        let found = load_manifests(&repository, &SilentMonitor).map_err(told)?;
        let mut needed = BTreeSet::new();
        for loaded in &found.snapshots {
            needed.extend(self.packs.needed(&self.repository, &loaded.manifest).map_err(told)?);
        }
        let is_of_use =
            |pack: &PackId| chunks_of(&self.packs.views[pack]).iter().any(|chunk| needed.contains(chunk));
        if let Some(pack) = self.packs.views.keys().find(|pack| !is_of_use(pack)) {
            return Err(format!("pack {pack} is of no use, and was not reclaimed"));
        }
        let names = self.store.names();
        let is_left = |name: &&ObjectName| {
            name.as_str().starts_with("records/retire/")
                || (name.as_str().starts_with("locks/") && name.as_str().ends_with(".json"))
        };
        names.iter().find(is_left).map_or(Ok(()), |name| Err(format!("{name} is left over")))
    }
}
