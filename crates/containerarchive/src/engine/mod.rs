//! L4: the verbs. Each has the shape `verb(&repository, &options, &monitor) -> Result<Report>`.

mod ingest;
mod pipeline;
mod restore;
mod snapshots;

pub use ingest::{IngestItem, IngestOptions, IngestReport, Source, ingest};
pub use restore::{RestoreOptions, RestoreReport, RestoreTarget, restore};
pub use snapshots::{Filter, Selector, Snapshots, snapshots};

#[cfg(test)]
mod tests;
