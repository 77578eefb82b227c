//! A deduplicating, encrypting backup engine for streams and files.
//!
//! ```no_run
//! use std::sync::Arc;
//! use containerarchive::{CreateOptions, Environment, IngestItem, IngestOptions, LocalStore, Locked, NoPins,
//!     OpenOptions, Credential, SilentMonitor, Store, create, ingest};
//!
//! # fn main() -> Result<(), containerarchive::Error> {
//! let store: Arc<dyn Store> = Arc::new(LocalStore::new("backups"));
//! let environment = Environment::system("host".into(), "user".into());
//! create(&store, &environment, &CreateOptions::default(), &NoPins, &SilentMonitor)?;
//! let options = OpenOptions { pins: &NoPins, accept_rollback: false };
//! let repository = Locked::read(store, environment, &SilentMonitor)?.open(Credential::None, &options, &SilentMonitor)?;
//! let item = IngestItem { name: "dump.sql".into(), item_type: "stream".into(), source: Box::new(std::io::stdin()), size_hint: None };
//! let report = ingest(&repository, vec![item], &IngestOptions::default(), &SilentMonitor)?;
//! println!("{}", report.manifest.id);
//! # Ok(())
//! # }
//! ```

pub mod base;
pub mod chunk;
pub mod compress;
pub mod crypto;
pub mod engine;
mod error;
pub mod format;
pub mod host;
pub mod parity;
pub mod repo;
pub mod store;

pub use base::{Monitor, NoPins, Pins, Problem, Progress, SessionId as SnapshotId, SilentMonitor, Timestamp};
pub use chunk::ChunkParams;
pub use compress::Compression;
pub use crypto::{Argon2Params, KeyFile, Passphrase};
pub use engine::{
    ChunkTotals, Dating, Filter, Freshness, GroupBy, Hurt, IndexTotals, IngestItem, IngestOptions,
    IngestReport, JudgedSnapshot, KeepReason, LostRange, ObjectClass, ObjectTotals, PackTotals, Pending,
    Period, PruneOptions, PruneReport, ReindexReport, RemoveReason, RepairKind, RepairOptions, RepairReport,
    RepairStep, RestoreOptions, RestoreReport, RestoreTarget, RetentionPlan, RetentionRules, Selector,
    SeriesStatus, Snapshots, Source, StatsOptions, StatsReport, StatusOptions, StatusReport, UnknownZone,
    UnlockOptions, UnlockReport, Unrepaired, Verdict, VerifyError, VerifyLevel, VerifyOptions, VerifyReport,
    VerifyStats, Zone, ingest, plan_retention, prune, reindex, repair, repair_without_key, restore,
    set_parity, snapshots, stats, status, unlock, verify, verify_without_key,
};
pub use error::{Error, ErrorCode};
pub use format::evidence::Evidence;
pub use format::manifest::{Item, Manifest};
pub use format::parity_level::Parity;
pub use format::slot::Capability;
pub use host::{CapturedCommand, FilePins};
pub use repo::{
    CreateOptions, Credential, Environment, Forgotten, GroupStatus, InUse, LoadedManifest, Locked,
    MendedPack, NewCredential, OpenOptions, ParityOverview, RepoError, Repository, SessionState, SessionView,
    SlotView, add_slot, create, forget_snapshots, list_slots, remove_slot,
};
pub use store::{LocalStore, MemoryStore, Store};
