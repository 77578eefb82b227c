//! Whether backups are recent: what counts as age, and what must not pass for fresh.

use std::sync::Arc;

use super::support::{ADMIN, Lab, START, item};
use crate::base::testing::ManualClock;
use crate::base::{DomainId, NoPins, SessionId, SilentMonitor, Timestamp};
use crate::engine::{Filter, Freshness, IngestOptions, StatusOptions, StatusReport, ingest, status};
use crate::error::ErrorCode;
use crate::format::names;
use crate::repo::{Environment, Repository, Session, SessionState};
use crate::store::{Capabilities, MemoryStore, Store};

const WRITER: [u8; 32] = [8; 32];
const HOUR_MS: i64 = 3_600_000;

/// A repository of which several clients with clocks of their own take turns.
struct Clients {
    lab: Lab,
    store: Arc<MemoryStore>,
}

impl Clients {
    fn new() -> Self {
        let local = Capabilities { is_local: true, is_weak: false };
        let store = Arc::new(MemoryStore::new().with_capabilities(local));
        let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
        lab.create().unwrap();
        Self { lab, store }
    }

    /// Opened by a client whose clock shows the start and so many hours.
    fn at(&self, hours: i64, key: [u8; 32]) -> Repository {
        let clock = Arc::new(ManualClock::new(Timestamp(START.0 + hours * HOUR_MS)));
        let environment = Environment { clock, ..self.lab.environment.clone() };
        let lab = Lab { environment, ..self.lab.clone() };
        lab.open_with(key, &NoPins, &SilentMonitor).unwrap()
    }

    fn ingest(&self, repository: &Repository, series: &str, time_hours: Option<i64>) -> SessionId {
        let options = IngestOptions {
            series: Some(series.to_owned()),
            time: time_hours.map(|hours| Timestamp(START.0 + hours * HOUR_MS)),
            ..IngestOptions::default()
        };
        let items = vec![item("a", &b"content"[..])];
        ingest(repository, items, &options, &SilentMonitor).unwrap().manifest.id
    }

    fn status(&self, hours: i64, max_age_hours: u64) -> StatusReport {
        let filter = Filter::default();
        let options = StatusOptions {
            filter: &filter,
            max_age_ms: Some(max_age_hours * HOUR_MS as u64),
            pins: &NoPins,
        };
        status(&self.at(hours, ADMIN), &options, &SilentMonitor).unwrap()
    }

    fn judge(&self, hours: i64, max_age_hours: u64) -> Vec<(String, Freshness)> {
        let report = self.status(hours, max_age_hours);
        report.series.iter().map(|series| (series.series.clone(), series.freshness)).collect()
    }
}

#[test]
fn each_series_is_as_old_as_its_newest_snapshot() {
    let clients = Clients::new();
    assert!(clients.judge(0, 26).is_empty());
    clients.ingest(&clients.at(0, ADMIN), "daily", None);
    clients.ingest(&clients.at(30, ADMIN), "daily", None);
    clients.ingest(&clients.at(30, ADMIN), "weekly", None);
    let fresh = |name: &str| (name.to_owned(), Freshness::Fresh);
    let stale = |name: &str| (name.to_owned(), Freshness::Stale);
    assert_eq!(clients.judge(31, 26), [fresh("daily"), fresh("weekly")]);
    clients.ingest(&clients.at(54, ADMIN), "daily", None);
    assert_eq!(clients.judge(60, 26), [fresh("daily"), stale("weekly")]);
    let report = clients.status(60, 26);
    assert_eq!((report.series[0].snapshots, report.series[0].age_ms / HOUR_MS as u64), (3, 5));
    assert_eq!(report.stale().map(|series| series.series.as_str()).collect::<Vec<_>>(), ["weekly"]);
}

#[test]
fn a_dump_of_last_year_that_is_stored_today_makes_nothing_look_fresh() {
    let clients = Clients::new();
    clients.ingest(&clients.at(0, ADMIN), "s", None);
    clients.ingest(&clients.at(100, ADMIN), "s", Some(-8760));
    assert_eq!(clients.judge(100, 26), [("s".to_owned(), Freshness::Stale)]);
    assert_eq!(clients.status(100, 26).series[0].age_ms / HOUR_MS as u64, 99);
}

#[test]
fn series_with_nothing_but_the_future_have_no_age_whether_one_was_asked_for_or_not() {
    let clients = Clients::new();
    clients.ingest(&clients.at(1000, ADMIN), "clock", None);
    let options = StatusOptions { filter: &Filter::default(), max_age_ms: None, pins: &NoPins };
    let report = status(&clients.at(1, ADMIN), &options, &SilentMonitor).unwrap();
    assert_eq!(report.series[0].freshness, Freshness::FromTheFuture);
}

#[test]
fn times_in_the_future_are_told_and_make_nothing_look_fresh_for_ever() {
    let clients = Clients::new();
    // Dated in the future, committed now: as old as its commit.
    clients.ingest(&clients.at(0, ADMIN), "dated", Some(5000));
    // Committed by a client whose clock is a year ahead.
    clients.ingest(&clients.at(8760, ADMIN), "clock", None);
    let stale = |name: &str, freshness| (name.to_owned(), freshness);
    assert_eq!(
        clients.judge(100, 26),
        [stale("clock", Freshness::FromTheFuture), stale("dated", Freshness::Stale)]
    );
    assert!(clients.status(100, 26).series.iter().all(|series| series.future_snapshots == 1));
    // Beside one that can be believed, that one counts.
    let good = clients.ingest(&clients.at(99, ADMIN), "clock", None);
    let report = clients.status(100, 26);
    assert_eq!((report.series[0].freshness, report.series[0].newest.manifest.id), (Freshness::Fresh, good));
}

#[test]
fn a_writer_of_another_domain_cannot_make_a_series_look_fresh() {
    let clients = Clients::new();
    clients.lab.add_writer(WRITER, None);
    clients.ingest(&clients.at(0, ADMIN), "s", None);
    clients.ingest(&clients.at(50, WRITER), "s", None);
    let report = clients.status(51, 26);
    let stale: Vec<DomainId> = report.stale().map(|series| series.domain).collect();
    assert_eq!((report.series.len(), stale), (2, vec![DomainId::MAIN]));
    let options = StatusOptions { filter: &Filter::default(), max_age_ms: None, pins: &NoPins };
    let error = status(&clients.at(51, WRITER), &options, &SilentMonitor).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Capability);
}

#[test]
fn sessions_are_told_apart_by_whether_anybody_holds_their_lock_and_by_their_manifest() {
    let clients = Clients::new();
    let repository = clients.at(0, ADMIN);
    let keys = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let live = Session::register(&repository, &keys, "ingest").unwrap();
    let dead = SessionId([1; 16]);
    drop(Session::register_as(dead, &repository, &keys, "prune", &[]).unwrap());
    let ended = clients.ingest(&repository, "s", None);
    drop(Session::register_as(ended, &repository, &keys, "ingest", &[]).unwrap());
    let unreadable = SessionId([2; 16]);
    clients.store.put(&names::session(unreadable), b"nonsense", crate::store::Durability::Durable).unwrap();
    let report = clients.status(1, 26);
    let of = |id: SessionId| {
        let view = report.sessions.iter().find(|session| session.id == id).unwrap();
        (view.state, view.info.as_ref().map(|info| info.operation.as_str()))
    };
    assert_eq!(of(live.id), (SessionState::Live, Some("ingest")));
    assert_eq!(of(dead), (SessionState::Dead, Some("prune")));
    assert_eq!(of(ended), (SessionState::Ended, Some("ingest")));
    assert_eq!(of(unreadable), (SessionState::Dead, None));
    live.end(&repository).unwrap();
    assert_eq!(clients.status(1, 26).sessions_in(SessionState::Live).count(), 0);
    // Looking needs no session, and no medium that can be written.
    clients.store.set_read_only(true);
    assert_eq!(clients.status(1, 26).sessions.len(), 3);
}
