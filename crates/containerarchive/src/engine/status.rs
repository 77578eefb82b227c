//! Whether backups are recent, and who is at work: for the eye and for monitoring.

use std::collections::BTreeMap;

use super::options::{Filter, is_future};
use crate::base::{DomainId, Monitor, Pins, SessionId, Timestamp};
use crate::error::Error;
use crate::format::signed::VerifiedLevel;
use crate::repo::{
    Coverage, Damage, LoadedManifest, ParityOverview, Repository, SessionState, SessionView, list_sessions,
    load_manifests,
};

/// What to look at.
#[derive(Clone, Copy)]
pub struct StatusOptions<'a> {
    /// Only these snapshots.
    pub filter: &'a Filter,
    /// Age from which on a series is stale; `None`: whatever there is will do.
    pub max_age_ms: Option<u64>,
    /// The client's notes.
    pub pins: &'a dyn Pins,
}

/// How a series stands against the age that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Its newest snapshot is young enough, or no age was asked for.
    Fresh,
    /// Its newest snapshot is too old.
    Stale,
    /// All of its snapshots claim to come from the future, so their age is not known, whether one was asked for or not.
    /// Counts as stale.
    FromTheFuture,
}

/// The newest snapshot of a series of one domain: who may write to another domain cannot make this one look fresh.
///
/// A snapshot is as old as the older of its two times: that which it stands for (`--time`) and that at which it was
/// committed. So a dump of last year that is stored today makes nothing look fresh, and neither does a time in the
/// future. Snapshots of which even the older time lies in the future are passed over, unless there are no others: then
/// the age of the series is not known.
#[derive(Debug, Clone)]
pub struct SeriesStatus {
    /// The series.
    pub series: String,
    /// Its domain.
    pub domain: DomainId,
    /// The series' newest snapshot.
    pub newest: LoadedManifest,
    /// How many snapshots the series has.
    pub snapshots: u64,
    /// From the older of the newest snapshot's times until now; 0 for one from the future.
    pub age_ms: u64,
    /// Against the age that was asked for.
    pub freshness: Freshness,
    /// Snapshots of the series one of whose times lies in the future.
    pub future_snapshots: u64,
}

/// How a repository does.
#[derive(Debug, Clone)]
pub struct StatusReport {
    /// When this was found out, by this computer's clock.
    pub now: Timestamp,
    /// By name, then by domain.
    pub series: Vec<SeriesStatus>,
    /// Snapshots that are damaged or missing, and why.
    pub damaged: BTreeMap<SessionId, Damage>,
    /// Sessions, oldest first.
    pub sessions: Vec<SessionView>,
    /// How well packs are protected.
    pub parity: ParityOverview,
    /// Since when every pack was read and compared with its checksums; `None` if some never were.
    pub verified_at: Option<Timestamp>,
    /// Errors that the worst of those verifications found. `None`: there was no verification.
    pub verified_errors: Option<u64>,
}

impl StatusReport {
    /// The series whose newest snapshot is too old, or of unknown age.
    pub fn stale(&self) -> impl Iterator<Item = &SeriesStatus> {
        self.series.iter().filter(|series| series.freshness != Freshness::Fresh)
    }

    /// The sessions in this state.
    pub fn sessions_in(&self, state: SessionState) -> impl Iterator<Item = &SessionView> {
        self.sessions.iter().filter(move |session| session.state == state)
    }
}

/// Reads all snapshots and sessions, and remembers which snapshots were seen. Costs a read for each manifest.
///
/// # Errors
/// The key cannot read, or the store failed. Damage and age are no errors here: they stand in the report.
pub fn status(
    repository: &Repository,
    options: &StatusOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<StatusReport, Error> {
    let found = load_manifests(repository, monitor)?;
    let seen: Vec<_> = found
        .snapshots
        .iter()
        .map(|loaded| (loaded.domain, loaded.manifest.id, loaded.manifest.committed_at))
        .collect();
    repository.remember(options.pins, &seen, monitor);
    let sessions = list_sessions(repository, monitor)?;
    let now = repository.environment.clock.now();
    let mut members: BTreeMap<(String, DomainId), Vec<LoadedManifest>> = BTreeMap::new();
    for loaded in found.snapshots.into_iter().filter(|loaded| options.filter.matches(loaded)) {
        members.entry((loaded.manifest.series.clone(), loaded.domain)).or_default().push(loaded);
    }
    let judge = |((series, domain), members)| judge(series, domain, members, now, options.max_age_ms);
    let series = members.into_iter().filter_map(judge).collect();
    let parity = repository.parity_overview()?;
    let coverage = Coverage::load(repository, monitor)?;
    let verified_at = coverage.oldest(VerifiedLevel::Standard);
    let verified_errors = coverage.damaged(VerifiedLevel::Standard);
    Ok(StatusReport { now, series, damaged: found.damaged, sessions, parity, verified_at, verified_errors })
}

/// The time that a snapshot's age counts from.
fn time_of(loaded: &LoadedManifest) -> Timestamp {
    loaded.manifest.created_at.min(loaded.manifest.committed_at)
}

/// `None` without snapshots.
fn judge(
    series: String,
    domain: DomainId,
    members: Vec<LoadedManifest>,
    now: Timestamp,
    max_age_ms: Option<u64>,
) -> Option<SeriesStatus> {
    let snapshots = members.len() as u64;
    let has_future_time = |loaded: &&LoadedManifest| {
        is_future(loaded.manifest.created_at, now) || is_future(loaded.manifest.committed_at, now)
    };
    let future_snapshots = members.iter().filter(has_future_time).count() as u64;
    let newest = members
        .into_iter()
        .max_by_key(|loaded| (!is_future(time_of(loaded), now), time_of(loaded), loaded.manifest.id))?;
    let age_ms = u64::try_from(now.0.saturating_sub(time_of(&newest).0)).unwrap_or(0);
    let freshness = match max_age_ms {
        _ if is_future(time_of(&newest), now) => Freshness::FromTheFuture,
        None => Freshness::Fresh,
        Some(max_age_ms) if age_ms > max_age_ms => Freshness::Stale,
        Some(_) => Freshness::Fresh,
    };
    Some(SeriesStatus { series, domain, newest, snapshots, age_ms, freshness, future_snapshots })
}
