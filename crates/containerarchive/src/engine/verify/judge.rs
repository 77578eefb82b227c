//! What was found, told object by object: whom it hurts, and whether it can be mended.

use std::collections::{BTreeSet, HashMap};

use super::run::Run;
use super::{Hurt, VerifyError};
use crate::base::{ObjectName, PackId};
use crate::crypto::{BLOCK_LEN, BlockSum};
use crate::engine::scan::{Checked, FileId, Hole, SmallId, SmallObject, Standing, State};
use crate::error::Error;
use crate::format::names::{self, RecordKind};
use crate::repo::{Groups, rebuild_pack};

/// Runs of damaged blocks that are named.
const NAMED_RUNS: usize = 8;

impl VerifyError {
    /// An error that hurts nobody yet.
    pub(super) fn new(object: &ObjectName, text: impl Into<String>, is_repairable: bool) -> Self {
        Self {
            object: object.to_string(),
            pack: None,
            chunk: None,
            hurts: BTreeSet::new(),
            text: text.into(),
            is_repairable,
        }
    }

    fn hurting(mut self, holes: &[Hole]) -> Self {
        self.chunk = holes.first().map(|hole| hole.chunk);
        self.hurts.extend(holes.iter().map(hurt));
        self
    }
}

fn hurt(hole: &Hole) -> Hurt {
    (hole.snapshot, Some(hole.item.clone()))
}

impl Run<'_> {
    /// Turns all that was found into errors.
    pub(super) fn judge(&mut self) -> Result<(), Error> {
        for object in std::mem::take(&mut self.small) {
            self.judge_small(&object);
            self.small.push(object);
        }
        self.judge_manifests();
        let groups = Groups::load(self.site.parity)?;
        let by_pack = self.holes_by_pack();
        self.judge_packs(&groups, &by_pack)?;
        self.judge_unknown_holes(&groups)?;
        if !self.knows_whom_it_hurts() {
            self.judge_listing(&groups)?;
        }
        self.judge_protection(groups)?;
        self.judge_index()?;
        self.tell_lost();
        Ok(())
    }

    fn judge_small(&mut self, object: &SmallObject) {
        let name = object.id.name();
        if object.is_intact() || object.standing == Standing::Voided {
            return;
        }
        if object.standing == Standing::LeftOver {
            let text = "left over: its snapshot is gone, and a signed object says why; it should be deleted";
            self.error(VerifyError::new(&names::replica(&name), text, true));
            return;
        }
        let has_copy = object.has_intact_copy();
        let can_do_without = match object.id {
            // It only tells what need not be read again.
            SmallId::Record(RecordKind::Verified, _) | SmallId::Session(_) => true,
            // Without a manifest there is nothing that it stops; with one, nobody but an admin knows what it said.
            SmallId::Fence(id) | SmallId::Void(id) => {
                !self.small.iter().any(|other| other.id == SmallId::Manifest(id))
            }
            _ => false,
        };
        let is_repairable = has_copy || can_do_without;
        let replica = object.replica.as_ref().map(|state| (names::replica(&name), state));
        for (copy, state) in [(name.clone(), &object.original)].into_iter().chain(replica) {
            let text = match state {
                State::Intact => continue,
                State::Missing => "it is missing".to_owned(),
                State::Damaged(text) => text.clone(),
            };
            let other = if copy == name { "replica" } else { "original" };
            let text = match (has_copy, can_do_without) {
                (true, _) => format!("{text}; its {other} is intact"),
                (false, true) => format!("{text}; nothing depends on it"),
                (false, false) => format!("{text}; no copy of it is intact"),
            };
            let mut error = VerifyError::new(&copy, text, is_repairable);
            if let (SmallId::Manifest(id), false) = (object.id, has_copy) {
                error.hurts.insert((id, None));
            }
            self.error(error);
        }
    }

    /// Manifests that other manifests saw, and that are gone or were replaced (R-MANIFEST-4).
    fn judge_manifests(&mut self) {
        for (id, damage) in std::mem::take(&mut self.manifests.damaged) {
            let name = names::manifest(id);
            if self.report.errors.iter().any(|error| error.object == name.as_str()) {
                continue;
            }
            let mut error = VerifyError::new(&name, damage.text, false);
            error.hurts.insert((id, None));
            self.error(error);
        }
    }

    fn judge_packs(&mut self, groups: &Groups, by_pack: &HashMap<PackId, Vec<Hole>>) -> Result<(), Error> {
        let mut packs: BTreeSet<PackId> = by_pack.keys().copied().collect();
        packs.extend(self.damaged.iter().filter_map(|(id, checked)| match id {
            FileId::Pack(pack) if checked.state != State::Intact => Some(*pack),
            _ => None,
        }));
        for pack in packs {
            let holes = by_pack.get(&pack).map_or(&[][..], Vec::as_slice);
            let id = FileId::Pack(pack);
            let known = self.damaged.get(&id).filter(|checked| checked.state != State::Intact);
            let checked = match known {
                Some(known) => known.clone(),
                None => self.check_one(id)?,
            };
            // A prune may have deleted it since; what nobody needs is nobody's loss.
            if holes.is_empty() && !self.exists(pack)? {
                continue;
            }
            let text = match &checked.state {
                State::Missing => "it is missing".to_owned(),
                State::Damaged(text) => self.with_blocks(text, groups, pack, &checked)?,
                State::Intact => match holes.first() {
                    Some(hole) => hole.text.clone(),
                    None => continue,
                },
            };
            let hurts_nobody = holes.is_empty() && self.knows_whom_it_hurts();
            let can_rebuild = !checked.is_whole && self.can_rebuild(groups, pack)?;
            let text = match (can_rebuild, hurts_nobody) {
                (true, _) => format!("{text}; parity can rebuild it"),
                (false, true) => format!("{text}; no snapshot needs what is damaged"),
                (false, false) => format!("{text}; parity cannot rebuild it"),
            };
            let mut error = VerifyError::new(&id.name(), text, can_rebuild || hurts_nobody).hurting(holes);
            error.pack = Some(pack);
            self.error(error);
        }
        Ok(())
    }

    /// Which blocks of a pack are damaged, as far as a group tells.
    fn with_blocks(
        &self,
        text: &str,
        groups: &Groups,
        pack: PackId,
        checked: &Checked,
    ) -> Result<String, Error> {
        let Some(stored) = groups.of_pack(&pack).next() else { return Ok(text.to_owned()) };
        let members = &stored.group.members;
        let Some(place) = members.iter().position(|member| member.pack == pack) else {
            return Ok(text.to_owned());
        };
        let member = members[place];
        let mut bad = Vec::new();
        for block in 0..member.blocks() {
            let sums = stored.row_sums(self.site.parity, member.first_row + block)?;
            let wanted: Option<BlockSum> = sums.and_then(|sums| sums.members[place]);
            if wanted.is_some_and(|wanted| checked.sums.get(block as usize) != Some(&wanted)) {
                bad.push(block);
            }
        }
        if bad.is_empty() {
            return Ok(text.to_owned());
        }
        let runs = bad.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
            [one] => one.to_string(),
            _ => format!("{}-{}", run[0], run[run.len() - 1]),
        });
        let mut runs: Vec<String> = runs.collect();
        if runs.len() > NAMED_RUNS {
            runs.truncate(NAMED_RUNS);
            runs.push("…".to_owned());
        }
        let (runs, blocks) = (runs.join(", "), member.blocks());
        Ok(format!("{text}: damaged are blocks {runs} of 0-{} ({} KiB each)", blocks - 1, BLOCK_LEN >> 10))
    }

    /// Chunks of which nobody knows the pack: the index that named it is lost as well. A group may still have the pack.
    fn judge_unknown_holes(&mut self, groups: &Groups) -> Result<(), Error> {
        let holes: Vec<Hole> = self.holes.iter().filter(|hole| hole.packs.is_empty()).cloned().collect();
        if holes.is_empty() {
            return Ok(());
        }
        let mut rebuildable = HashMap::new();
        if let (Some(repository), true) = (self.site.opened, self.knows_whom_it_hurts()) {
            for stored in groups.all() {
                for member in
                    stored.group.members.iter().filter(|it| !self.files.packs.contains_key(&it.pack))
                {
                    let rebuilt = rebuild_pack(self.site.parity, stored, member.pack)?;
                    let rebuilt = rebuilt.filter(|rebuilt| rebuilt.is_whole);
                    let view = rebuilt.and_then(|it| repository.view_pack_bytes(member.pack, &it.bytes).ok());
                    let records = view.iter().flat_map(|view| view.table.records());
                    rebuildable.extend(records.map(|record| (record.id, member.pack)));
                }
            }
        }
        let mut errors: HashMap<String, VerifyError> = HashMap::new();
        for hole in &holes {
            let (object, text, is_repairable) = match rebuildable.get(&hole.chunk) {
                Some(pack) => {
                    let text = "it is missing, and so is the index that names it; parity can rebuild it";
                    (names::pack(*pack).to_string(), text.to_owned(), true)
                }
                None => (hole.chunk.to_string(), hole.text.clone(), self.index_is_incomplete()?),
            };
            let error = errors.entry(object.clone()).or_insert_with(|| VerifyError {
                object,
                pack: rebuildable.get(&hole.chunk).copied(),
                chunk: Some(hole.chunk),
                hurts: BTreeSet::new(),
                text,
                is_repairable,
            });
            error.hurts.insert(hurt(hole));
        }
        let mut errors: Vec<VerifyError> = errors.into_values().collect();
        errors.sort_by(|a, b| a.object.cmp(&b.object));
        errors.into_iter().for_each(|error| self.error(error));
        Ok(())
    }
}
