//! Whether a repository is whole: what is damaged or missing, whom that hurts, and whether it can be mended.
//!
//! Nothing of the repository is changed, and no writer waits. What is in flux while writers and a prune run is looked at a
//! second time before it is called damaged, and counts only if a snapshot needs it.

mod judge;
mod protection;
mod run;
mod sample;

use std::collections::BTreeSet;

use self::run::Run;
use self::sample::Selection;
use super::scan::{LostRange, Site};
use crate::base::{ChunkId, Monitor, PackId, Pins, Problem, SessionId};
use crate::error::Error;
use crate::repo::{Locked, RepoError, Repository, Session};

/// How deep to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifyLevel {
    /// Small objects are read, and everything else is there, has its length, and is referred to rightly.
    Quick,
    /// Every file is read and compared with its checksum, chunk tables are opened, recipes walked.
    #[default]
    Standard,
    /// Every chunk is opened, decompressed and hashed as well.
    Full,
}

/// How to verify.
#[derive(Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// How deep.
    pub level: VerifyLevel,
    /// Read the content of this share of the packs and shards, in millionths: those whose turn it is. Everything else is
    /// always looked at. `None`: all.
    pub sample_ppm: Option<u32>,
    /// Read only packs and shards that were not read at this level for so long.
    pub max_age_ms: Option<u64>,
    /// Threads that read and check.
    pub threads: usize,
    /// The client's notes.
    pub pins: &'a dyn Pins,
}

/// A snapshot that is hurt, and which of its items; `None`: all of it.
pub type Hurt = (SessionId, Option<String>);

/// Something that is damaged or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyError {
    /// Name of the object, or what it would be called.
    pub object: String,
    /// The pack that is meant.
    pub pack: Option<PackId>,
    /// The first chunk that a snapshot lacks because of it.
    pub chunk: Option<ChunkId>,
    /// What cannot be restored as long as this is so. Empty also where that is not known, without a key.
    pub hurts: BTreeSet<Hurt>,
    /// What is wrong.
    pub text: String,
    /// Whether a repair can mend it, from a replica, from parity or by making it anew.
    pub is_repairable: bool,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyStats {
    /// Packs that were read from the first byte to the last.
    pub packs_checked: u64,
    /// Shards likewise.
    pub shards_checked: u64,
    /// Chunks that were opened and compared with their hashes.
    pub chunks_checked: u64,
    /// Snapshots whose recipes were walked; of a quick run, whose manifest and roots were looked at.
    pub snapshots_checked: u64,
    /// Bytes of packs, shards and index segments that were read and compared with their checksums.
    pub bytes: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// How deep it was looked.
    pub level: VerifyLevel,
    /// What is wrong.
    pub errors: Vec<VerifyError>,
    /// What of which items cannot be restored as things stand.
    pub lost: Vec<LostRange>,
    /// What was not looked at, and why.
    pub skipped: Vec<String>,
    /// What was.
    pub stats: VerifyStats,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether a repair can mend all that is wrong.
    #[must_use]
    pub fn is_repairable(&self) -> bool {
        self.errors.iter().all(|error| error.is_repairable)
    }
}

/// Forwards everything but problems: what verify meets on its way stands in its report.
struct Quiet<'a>(&'a dyn Monitor);

impl Monitor for Quiet<'_> {
    fn progress(&self, progress: &crate::base::Progress) {
        self.0.progress(progress);
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// Verifies a repository, as deep as asked and as far as the key allows. Reads all packs and shards once, a mebibyte at a
/// time; memory: 32 bytes for each pack, 56 for each node of a recipe. A completed run of an admin, unless it is a quick
/// one, is remembered by a record.
///
/// # Errors
/// The store failed, or the user wants to stop. Damage is no error: see [`VerifyReport`].
pub fn verify(
    repository: &Repository,
    options: &VerifyOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<VerifyReport, Error> {
    let quiet = Quiet(monitor);
    let own = repository.keys.domain(repository.keys.own_domain()).map_err(RepoError::from)?;
    let own = own.ok_or(RepoError::NeedsAdmin { what: "verifying" })?;
    let session = Session::try_register(repository, &own, "verify", &[], monitor)?;
    let done = (|| {
        let site = Site::of(repository);
        let selection = if site.opened.is_some() {
            Selection::of_records(repository, options, &quiet)?
        } else {
            Selection::at_random(&repository.environment, options)?
        };
        let mut run = Run::new(site, options, &selection, &quiet);
        let report = run.all()?;
        if site.opened.is_some() {
            run.remember_snapshots(repository, options.pins, monitor);
            remember(repository, selection, &report, monitor)?;
        }
        Ok(report)
    })();
    if let Some(session) = session
        && let Err(error) = session.end(repository)
    {
        monitor.problem(&Problem::Warning { text: format!("the session's lock stays: {error}") });
    }
    done
}

fn remember(
    repository: &Repository,
    selection: Selection,
    report: &VerifyReport,
    monitor: &dyn Monitor,
) -> Result<(), Error> {
    match selection.remember(repository, report.stats.packs_checked, report.errors.len() as u64) {
        Ok(()) => Ok(()),
        // What was found out must not be lost because it cannot be remembered.
        Err(RepoError::Store(error)) => {
            let text = format!("this verification is not remembered: {error}");
            monitor.problem(&Problem::Warning { text });
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Verifies what can be verified without any key: the checksums of all files. Not whether what they hold can be opened, and
/// not whom damage hurts.
///
/// # Errors
/// As [`verify`].
pub fn verify_without_key(
    locked: &Locked,
    options: &VerifyOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<VerifyReport, Error> {
    let quiet = Quiet(monitor);
    let site = Site { parity: locked.parity_store(), opened: None };
    let selection = Selection::at_random(locked.environment(), options)?;
    Run::new(site, options, &selection, &quiet).all()
}
