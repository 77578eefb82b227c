//! The end of an ingest (W5): the manifest, and again under a new session if an admin's maintenance took this one for dead.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::IngestReport;
use crate::base::{Monitor, PackId, Problem, SessionId, SilentMonitor, Timestamp};
use crate::engine::options::is_future;
use crate::error::Error;
use crate::format::manifest::Manifest;
use crate::format::slot::Capability;
use crate::repo::{
    Committed, DomainKeys, LoadedManifest, RepoError, Repository, Session, load_manifests, newest_of_domain,
};

/// How often a fenced commit is tried under a new session.
const COMMIT_TRIES: usize = 3;

/// A name with a `0` for each run of digits, to compare by what is left.
fn without_digits(name: &str) -> String {
    let mut left = String::with_capacity(name.len());
    for sign in name.chars() {
        if !sign.is_ascii_digit() {
            left.push(sign);
        } else if !left.ends_with('0') {
            left.push('0');
        }
    }
    left
}

/// What a commit needs.
pub(super) struct Commit<'a> {
    pub(super) repository: &'a Repository,
    pub(super) domain: &'a Arc<DomainKeys>,
    pub(super) time: Option<Timestamp>,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) begun: Instant,
}

impl Commit<'_> {
    /// Commits, and ends the session.
    pub(super) fn run(
        &self,
        session: Session,
        used_packs: &BTreeSet<PackId>,
        mut manifest: Manifest,
    ) -> Result<IngestReport, Error> {
        self.warn_of(&manifest);
        let mut session = session;
        for _ in 0..COMMIT_TRIES {
            manifest.id = session.id;
            match self.try_commit(&session, &mut manifest) {
                Ok(Committed::Acknowledged) => {
                    // The snapshot exists; a lock that cannot be deleted is cleared by whoever finds it dead.
                    if let Err(error) = session.end(self.repository) {
                        let text = format!("the session's lock stays: {error}");
                        self.monitor.problem(&Problem::Warning { text });
                    }
                    return Ok(IngestReport { manifest });
                }
                Ok(Committed::Fenced) => {
                    let fenced = session.id;
                    let _ = session.end(self.repository);
                    session = self.register_again(fenced, used_packs)?;
                }
                Err(error) => {
                    let _ = session.end(self.repository);
                    return Err(error);
                }
            }
        }
        let id = session.id;
        let _ = session.end(self.repository);
        let why = format!("it was fenced {COMMIT_TRIES} times; ingest again");
        Err(RepoError::Fenced { session: id, why }.into())
    }

    fn try_commit(&self, session: &Session, manifest: &mut Manifest) -> Result<Committed, Error> {
        let now = self.repository.environment.clock.now();
        let previous = newest_of_domain(self.repository, self.domain.id)?;
        manifest.previous = previous.into_iter().map(|(link, _)| link).collect();
        manifest.committed_at = now;
        manifest.created_at = self.time.unwrap_or(now);
        manifest.duration_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(session.commit(self.repository, self.domain, manifest)?)
    }

    /// W1 again, and W2 for every pack that the snapshot refers to.
    fn register_again(&self, fenced: SessionId, used_packs: &BTreeSet<PackId>) -> Result<Session, Error> {
        let domain = Arc::clone(self.domain);
        let (session, mut index) = Session::register_writer(self.repository, domain, "ingest", self.monitor)?;
        for pack in used_packs {
            let why = if index.is_retired(pack) {
                format!("pack {pack} was retired meanwhile")
            } else {
                match index.view(self.repository, *pack) {
                    Ok(Some(_)) => continue,
                    Ok(None) => format!("pack {pack} is gone"),
                    Err(error) => error.to_string(),
                }
            };
            let _ = session.end(self.repository);
            return Err(RepoError::Fenced { session: fenced, why: format!("{why}; ingest again") }.into());
        }
        Ok(session)
    }

    fn warn(&self, text: String) {
        self.monitor.problem(&Problem::Warning { text });
    }

    /// Says what is storable and probably not meant.
    fn warn_of(&self, manifest: &Manifest) {
        for item in manifest.items.iter().filter(|item| item.size == 0) {
            self.warn(format!("item '{}' is empty", item.name));
        }
        if let Some(time) = self.time.filter(|time| is_future(*time, self.repository.environment.clock.now()))
        {
            self.warn(format!(
                "the snapshot stands for {time}, which lies in the future: until then it passes for 'latest', before all snapshots that are made meanwhile"
            ));
        }
        // A write key reads no manifests, so that what is compared with earlier snapshots is left out.
        if self.repository.keys.capability() != Capability::Admin {
            return;
        }
        // Only for hints: what is damaged is told by those who read snapshots.
        let Ok(found) = load_manifests(self.repository, &SilentMonitor) else { return };
        let own: Vec<_> =
            found.snapshots.iter().rev().filter(|loaded| loaded.domain == self.domain.id).collect();
        self.warn_of_dated_series(&manifest.series, &own);
        let time = self.time.unwrap_or(manifest.created_at);
        let is_earlier = |loaded: &&&LoadedManifest| {
            loaded.manifest.series == manifest.series && loaded.manifest.created_at <= time
        };
        let earlier: Vec<_> = own.iter().filter(is_earlier).copied().collect();
        self.warn_of_shrunk(manifest, &earlier);
    }

    /// Dated names make a new series each day, which retention then never thins. Any other new name is what it is.
    /// `own`: the snapshots of the domain, newest first.
    fn warn_of_dated_series(&self, series: &str, own: &[&LoadedManifest]) {
        let mut others = own.iter().map(|loaded| loaded.manifest.series.as_str());
        if others.clone().any(|other| other == series) {
            return;
        }
        let pattern = without_digits(series);
        if let Some(other) = others.find(|other| without_digits(other) == pattern) {
            self.warn(format!(
                "this is the first snapshot of the series '{series}', and '{other}' differs from it in digits only: if they are a date or a counter, give a name without them by --series, so that retention compares the snapshots"
            ));
        }
    }

    /// A dump that is suddenly small is often one of which only a part was made. `earlier`: newest first.
    fn warn_of_shrunk(&self, manifest: &Manifest, earlier: &[&LoadedManifest]) {
        let mut last: HashMap<&str, (u64, SessionId)> = HashMap::new();
        for loaded in earlier {
            for item in &loaded.manifest.items {
                last.entry(&item.name).or_insert((item.size, loaded.manifest.id));
            }
        }
        for item in manifest.items.iter().filter(|item| item.size > 0) {
            if let Some((size, id)) = last.get(item.name.as_str())
                && item.size < size.div_ceil(2)
            {
                self.warn(format!(
                    "item '{}' has {} bytes, less than half of the {size} that it had in snapshot {id}",
                    item.name, item.size
                ));
            }
        }
    }
}
