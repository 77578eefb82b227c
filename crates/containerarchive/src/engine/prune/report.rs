//! What a prune did, or would do.

use super::plan::Plan;
use crate::base::{PackId, SessionId};
use crate::engine::retention::RetentionPlan;
use crate::repo::InUse;

/// What waits for others to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Bytes that are freed once they have.
    pub bytes: u64,
    /// Who, for people.
    pub holders: Vec<String>,
}

/// What a prune did; of a dry run, what it would do.
#[derive(Debug)]
pub struct PruneReport {
    /// Whether nothing was changed.
    pub is_dry_run: bool,
    /// What the rules say of each snapshot.
    pub retention: RetentionPlan,
    /// Snapshots that are gone, by id.
    pub removed_snapshots: Vec<SessionId>,
    /// Snapshots that would have gone, but somebody reads them: for the next run.
    pub in_use: Vec<InUse>,
    /// Packs that go, in order of their ids; rewritten ones included.
    pub leaving: Vec<PackId>,
    /// Those of them whose needed chunks are stored again.
    pub rewritten: Vec<PackId>,
    /// Packs that were deleted.
    pub removed_packs: u64,
    /// Bytes of the packs that go, less the bytes of what is stored again; parity apart.
    pub freed_bytes: u64,
    /// Bytes of shards that were deleted because their packs were; new ones may have taken their place.
    pub deleted_parity_bytes: u64,
    /// Bytes of packs that are retired and stay some days longer, since this storage may show what is old.
    pub delayed_bytes: u64,
    /// What is left to the next run because somebody is still at work; nothing of it was deleted.
    pub pending: Option<Pending>,
}

impl PruneReport {
    pub(super) fn new(retention: RetentionPlan, is_dry_run: bool) -> Self {
        Self {
            is_dry_run,
            retention,
            removed_snapshots: Vec::new(),
            in_use: Vec::new(),
            leaving: Vec::new(),
            rewritten: Vec::new(),
            removed_packs: 0,
            freed_bytes: 0,
            deleted_parity_bytes: 0,
            delayed_bytes: 0,
            pending: None,
        }
    }

    /// Takes over what was decided.
    pub(super) fn note_plan(&mut self, plan: &Plan) {
        self.leaving = plan.leaving.iter().copied().collect();
        self.rewritten = plan.copied_packs().copied().collect();
        self.freed_bytes = plan.freed_bytes();
    }

    /// Joins what an earlier round of the same run did.
    pub(super) fn add_earlier(&mut self, (leaving, freed_bytes): (Vec<PackId>, u64)) {
        self.leaving.extend(leaving);
        self.leaving.sort_unstable();
        self.leaving.dedup();
        self.freed_bytes += freed_bytes;
    }
}
