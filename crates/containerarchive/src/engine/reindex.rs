//! The index once more, from the packs' own tables.

use crate::base::{DomainId, Monitor, Problem, Progress};
use crate::error::Error;
use crate::repo::{Maintenance, PackIndexer, RepoError, Repository, SegmentList, list_packs};

/// What became of the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReindexReport {
    /// Packs that the new segments name.
    pub packs: u64,
    /// Their chunks.
    pub chunks: u64,
    /// New segments.
    pub segments: u64,
    /// Segments that they replace.
    pub replaced_segments: u64,
    /// Packs that are not named, since their tables cannot be read.
    pub unreadable_packs: u64,
    /// Packs that are not named, since they belong to a session that is still open, or to another domain than the key's.
    pub left_out_packs: u64,
}

/// Writes new index segments that name all packs, from their index files where those are intact, else from the packs, and
/// then deletes the segments that were there before. Packs of open sessions are left to these.
///
/// Memory: the entries of one segment, 2^20 chunks.
///
/// # Errors
/// Another maintenance session runs, the holder is no admin, or the store failed; what was there before then stays.
pub fn reindex(repository: &Repository, monitor: &dyn Monitor) -> Result<ReindexReport, Error> {
    repository.keys.require_admin("rebuilding the index")?;
    let own = repository.keys.domain(DomainId::MAIN).map_err(RepoError::from)?;
    let own = own.ok_or(RepoError::NeedsAdmin { what: "rebuilding the index" })?;
    let maintenance = Maintenance::begin(repository, &own, "reindex")?;
    let done = rebuild(repository, &maintenance, monitor);
    let ended = maintenance.end(repository);
    let report = done?;
    ended?;
    Ok(report)
}

fn rebuild(
    repository: &Repository,
    maintenance: &Maintenance,
    monitor: &dyn Monitor,
) -> Result<ReindexReport, Error> {
    let mut report = ReindexReport::default();
    let old = SegmentList::load(repository, monitor)?;
    let open = maintenance.other_sessions(repository)?;
    let packs = list_packs(repository)?;
    let total = packs.len() as u64;
    let mut indexer = PackIndexer::new(repository, maintenance.session());
    for (number, id) in packs.into_iter().enumerate() {
        if monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        monitor.progress(&Progress {
            subject: "packs".to_owned(),
            done_bytes: number as u64,
            total_bytes: Some(total),
        });
        let view = match repository.view_any_pack(id) {
            Ok(view) => view,
            Err(error) if error.is_useless() => {
                report.unreadable_packs += 1;
                let object = crate::format::names::pack(id).to_string();
                let text = format!("{error}; the new index does not name it: run 'repair'");
                monitor.problem(&Problem::Damaged { object, text });
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if open.contains(&view.header.prefix.session) && !old.names(&id) {
            report.left_out_packs += 1;
            continue;
        }
        // What no segment names may not have been made durable by who wrote it.
        if !old.names(&id) && repository.settle_pack(id)?.is_none() {
            report.unreadable_packs += 1;
            continue;
        }
        report.packs += 1;
        report.chunks += view.table.records().len() as u64;
        indexer.add(&view)?;
    }
    report.segments = indexer.finish()?;
    for id in old.ids() {
        repository.delete_segment(*id)?;
        report.replaced_segments += 1;
    }
    Ok(report)
}
