//! L4: the verbs. Each has the shape `verb(&repository, &options, &monitor) -> Result<Report>`.

mod ingest;
mod options;
mod parity;
mod pipeline;
mod prune;
mod reindex;
mod repair;
mod restore;
mod retention;
mod scan;
mod snapshots;
mod stats;
mod status;
mod unlock;
mod verify;

pub use ingest::{IngestItem, IngestOptions, IngestReport, Source, ingest};
pub use options::Filter;
pub use parity::set_parity;
pub use prune::{Pending, PruneOptions, PruneReport, prune};
pub use reindex::{ReindexReport, reindex};
pub use repair::{
    RepairKind, RepairOptions, RepairReport, RepairStep, Unrepaired, repair, repair_without_key,
};
pub use restore::{RestoreOptions, RestoreReport, RestoreTarget, restore};
pub use retention::{
    Dating, GroupBy, JudgedSnapshot, KeepReason, Period, RemoveReason, RetentionPlan, RetentionRules,
    UnknownZone, Verdict, Zone, plan_retention,
};
pub use scan::LostRange;
pub use snapshots::{Selector, Snapshots, snapshots};
pub use stats::{
    ChunkTotals, IndexTotals, ObjectClass, ObjectTotals, PackTotals, StatsOptions, StatsReport, stats,
};
pub use status::{Freshness, SeriesStatus, StatusOptions, StatusReport, status};
pub use unlock::{UnlockOptions, UnlockReport, unlock};
pub use verify::{
    Hurt, VerifyError, VerifyLevel, VerifyOptions, VerifyReport, VerifyStats, verify, verify_without_key,
};

#[cfg(test)]
mod tests;
