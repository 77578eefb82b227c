//! Retention of whole repositories: what a hostile writer cannot make go, and what an honest import keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::support::{ADMIN, Lab, START, item};
use crate::base::monitor::RecordingMonitor;
use crate::base::testing::ManualClock;
use crate::base::{NoPins, SessionId, SilentMonitor, Timestamp};
use crate::engine::{
    Dating, GroupBy, IngestOptions, KeepReason, RemoveReason, RetentionPlan, RetentionRules, Verdict, ingest,
    plan_retention,
};
use crate::error::ErrorCode;
use crate::format::manifest::Manifest;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::format::prefix::{Class, ObjectKind};
use crate::format::signed::{Fact, Forget};
use crate::repo::{Environment, Repository, forget_snapshots};
use crate::store::{Durability, MemoryStore, Store};

const HONEST: [u8; 32] = [8; 32];
const HOSTILE: [u8; 32] = [9; 32];
const DAY_MS: i64 = 86_400_000;

/// A repository whose store has a clock of its own, which no client can set.
struct Lives {
    lab: Lab,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
}

impl Lives {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let store = Arc::new(MemoryStore::new().with_clock(Arc::<ManualClock>::clone(&clock)));
        let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 1);
        lab.parity = Parity::Off;
        lab.environment = Environment { clock: Arc::<ManualClock>::clone(&clock), ..lab.environment };
        lab.create().unwrap();
        Self { lab, store, clock }
    }

    fn open(&self, key: [u8; 32]) -> Repository {
        self.lab.open_with(key, &NoPins, &SilentMonitor).unwrap()
    }

    fn now(&self) -> Timestamp {
        use crate::base::Clock;
        self.clock.now()
    }

    fn ingest(&self, key: [u8; 32], series: &str, time: Option<Timestamp>) -> SessionId {
        let options = IngestOptions { series: Some(series.to_owned()), time, ..IngestOptions::default() };
        let items = vec![item("a", &b"content"[..])];
        ingest(&self.open(key), items, &options, &SilentMonitor).unwrap().manifest.id
    }

    /// What a client that was taken over can post: any times, any series, without ingesting anything.
    fn post(&self, writer: &Repository, like: &Manifest, number: u64, series: &str, time: Timestamp) {
        let keys = writer.keys.domain(writer.keys.own_domain()).unwrap().unwrap();
        let mut id = [0xee; 16];
        id[8..].copy_from_slice(&number.to_le_bytes());
        let id = SessionId(id);
        let manifest = Manifest {
            id,
            series: series.to_owned(),
            created_at: time,
            // The time of commit is the client's word, too.
            committed_at: time,
            ..like.clone()
        };
        let prefix = writer.new_prefix(ObjectKind::Manifest, Class::None, keys.id, id).unwrap();
        let (secrets, enc) = keys.new_object(&prefix, &*writer.environment.random).unwrap();
        let bytes = manifest.seal(&prefix, &secrets, enc).unwrap();
        for name in [names::manifest(id), names::replica(&names::manifest(id))] {
            self.store.put(&name, &bytes, Durability::Durable).unwrap();
        }
    }

    fn plan(&self, rules: &RetentionRules) -> RetentionPlan {
        plan_retention(&self.open(ADMIN), rules, self.now(), &NoPins, &SilentMonitor).unwrap()
    }
}

fn verdicts(plan: &RetentionPlan) -> BTreeMap<SessionId, Verdict> {
    plan.snapshots.iter().map(|judged| (judged.snapshot.manifest.id, judged.verdict.clone())).collect()
}

fn rules_of_operators() -> Vec<RetentionRules> {
    let usual = RetentionRules { last: 3, daily: 7, weekly: 4, monthly: 6, ..RetentionRules::default() };
    vec![
        usual.clone(),
        RetentionRules { daily: 14, ..RetentionRules::default() },
        RetentionRules { last: 1, ..RetentionRules::default() },
        RetentionRules { within_ms: 10 * DAY_MS as u64, ..RetentionRules::default() },
        RetentionRules { group_by: GroupBy::Nothing, ..usual.clone() },
        RetentionRules { group_by: GroupBy::Tag("k".into()), hourly: 24, yearly: 2, ..usual },
    ]
}

/// Forty days of backups of three honest series, then a thousand snapshots of junk by a writer of a domain of its own.
#[test]
fn a_thousand_junk_snapshots_of_a_write_only_client_make_no_good_one_go() {
    let lives = Lives::new();
    lives.lab.add_writer(HONEST, None);
    lives.lab.add_writer(HOSTILE, None);
    let mut own_of_hostile = BTreeSet::new();
    for day in 0..40 {
        lives.ingest(ADMIN, "db", None);
        lives.ingest(HONEST, "web", None);
        if day % 4 == 0 {
            // Before it was taken over, it backed itself up.
            own_of_hostile.insert(lives.ingest(HOSTILE, "own", None));
        }
        lives.clock.advance_ms(DAY_MS);
    }
    let before: Vec<_> = rules_of_operators().iter().map(|rules| verdicts(&lives.plan(rules))).collect();
    let writer = lives.open(HOSTILE);
    let like = lives.plan(&RetentionRules::default()).snapshots[0].snapshot.manifest.clone();
    let today = lives.now();
    for number in 0..1000 {
        let series = ["db", "web", "own", "junk"][number as usize % 4];
        // At the end of each day of the past, over the days to come, and far off.
        let days = (number / 8) as i64;
        let time = match number % 8 / 4 {
            0 => START.0 + days % 38 * DAY_MS + DAY_MS - 1,
            _ if number % 16 < 8 => today.0 + days * DAY_MS + DAY_MS,
            _ => today.0 + 365 * DAY_MS * (1 + days % 50),
        };
        // What it posts as of today is a backup like any other of its own series: the next test.
        assert!((time - today.0).abs() >= DAY_MS);
        lives.post(&writer, &like, number, series, Timestamp(time));
    }
    // Also a year later, when the time of some of the junk has come.
    for years in 0..2 {
        lives.clock.advance_ms(years * 365 * DAY_MS);
        for (rules, before) in rules_of_operators().iter().zip(&before) {
            let plan = lives.plan(rules);
            assert_eq!(plan.snapshots.len(), 90 + 1000);
            let after = verdicts(&plan);
            for (id, verdict) in before {
                assert_eq!(after[id], *verdict, "{id} by {rules:?}, {years} years later");
            }
            assert!(own_of_hostile.iter().any(|id| matches!(after[id], Verdict::Keep(_))));
            assert!(
                plan.dated(Dating::FromTheFuture).len() > 300 && plan.dated(Dating::BackDated).len() > 300
            );
        }
    }
    let monitor = RecordingMonitor::default();
    let rules = &rules_of_operators()[0];
    plan_retention(&lives.open(ADMIN), rules, lives.now(), &NoPins, &monitor).unwrap();
    let told: Vec<String> = monitor.problems().iter().map(|problem| format!("{problem:?}")).collect();
    assert!(told.iter().any(|text| text.contains("after the one at which the storage got them")), "{told:?}");
    assert!(
        told.iter().any(|text| text.contains("before the one at which the storage got them")),
        "{told:?}"
    );
}

#[test]
fn junk_of_the_same_hour_takes_no_place_in_another_domain() {
    let lives = Lives::new();
    lives.lab.add_writer(HOSTILE, None);
    let good = lives.ingest(ADMIN, "db", None);
    for _ in 0..20 {
        lives.ingest(HOSTILE, "db", None);
    }
    for group_by in [GroupBy::Series, GroupBy::Nothing, GroupBy::Tag("k".into())] {
        let plan = lives.plan(&RetentionRules { last: 1, group_by, ..RetentionRules::default() });
        assert_eq!(verdicts(&plan)[&good], Verdict::Keep(vec![KeepReason::Last { number: 1, of: 1 }]));
        assert_eq!(plan.removed().count(), 19);
    }
}

#[test]
fn an_import_of_old_backups_is_thinned_by_the_times_that_they_stand_for_and_displaces_nothing() {
    let lives = Lives::new();
    let now = lives.ingest(ADMIN, "db", None);
    let mut newest_of_days = Vec::new();
    for day in 1..=10 {
        for hour in [1, 13, 22] {
            let time = Timestamp(START.0 - day * DAY_MS + hour * 3_600_000);
            let id = lives.ingest(ADMIN, "db", Some(time));
            if hour == 22 {
                newest_of_days.push(id);
            }
        }
    }
    let plan = lives.plan(&RetentionRules { daily: 5, ..RetentionRules::default() });
    let kept: BTreeSet<SessionId> = plan.kept().map(|judged| judged.snapshot.manifest.id).collect();
    // Today, and the newest of each of the four days before.
    assert_eq!(kept, newest_of_days[..4].iter().copied().chain([now]).collect());
    assert_eq!(plan.dated(Dating::BackDated).len(), 30);
    assert_eq!(plan.snapshots[0].verdict, Verdict::Remove(RemoveReason::NoRule), "oldest first");
}

#[test]
fn a_snapshot_of_a_clock_that_is_ahead_is_kept_and_takes_no_place_even_when_its_time_has_come() {
    let lives = Lives::new();
    let good = lives.ingest(ADMIN, "db", None);
    let ahead = lives.ingest(ADMIN, "db", Some(Timestamp(START.0 + 3 * DAY_MS)));
    let rules = RetentionRules { last: 1, daily: 1, ..RetentionRules::default() };
    for _ in 0..2 {
        let verdicts = verdicts(&lives.plan(&rules));
        assert_eq!(verdicts[&ahead], Verdict::Keep(vec![KeepReason::FromTheFuture]));
        assert_eq!(verdicts[&good].to_string(), "last 1 of 1, daily 1 of 1");
        lives.clock.advance_ms(30 * DAY_MS);
    }
}

#[test]
fn a_manifest_that_a_repair_wrote_anew_is_as_old_as_its_other_copy() {
    let lives = Lives::new();
    let id = lives.ingest(ADMIN, "db", None);
    lives.clock.advance_ms(DAY_MS);
    let bytes = lives.store.get(&names::manifest(id), u64::MAX).unwrap();
    assert!(lives.store.remove(&names::manifest(id)));
    lives.store.put(&names::manifest(id), &bytes, Durability::Durable).unwrap();
    let plan = lives.plan(&RetentionRules { last: 1, ..RetentionRules::default() });
    assert_eq!(plan.snapshots[0].dating, Dating::InTime);
}

#[test]
fn pins_keep_and_without_rules_no_snapshot_goes() {
    let lives = Lives::new();
    let ids: Vec<SessionId> = (0..3).map(|_| lives.ingest(ADMIN, "db", None)).collect();
    let plan = lives.plan(&RetentionRules::default());
    assert!(plan.kept().all(|judged| judged.verdict.to_string() == "no rules are given"));
    assert_eq!(plan.removed().count(), 0);
    lives.open(ADMIN).pin(ids[0], &SilentMonitor).unwrap();
    let plan = lives.plan(&RetentionRules { last: 1, ..RetentionRules::default() });
    let said: Vec<String> = plan.snapshots.iter().map(|judged| judged.verdict.to_string()).collect();
    assert_eq!(said, ["pinned", "no rule keeps it", "last 1 of 1"]);
    // And what the plan says can be done.
    let removed: Vec<SessionId> = plan.removed().map(|judged| judged.snapshot.manifest.id).collect();
    assert_eq!(forget_snapshots(&lives.open(ADMIN), &removed, &SilentMonitor).unwrap().forgotten, [ids[1]]);
    assert_eq!(lives.plan(&RetentionRules::default()).snapshots.len(), 2);
}

#[test]
fn a_rule_for_tags_alone_leaves_the_newest_of_a_series_without_them() {
    let lives = Lives::new();
    lives.ingest(ADMIN, "db", None);
    lives.ingest(ADMIN, "db", None);
    let tags = BTreeSet::from([("keep".to_owned(), "yes".to_owned())]);
    let plan = lives.plan(&RetentionRules { tags, ..RetentionRules::default() });
    let said: Vec<String> = plan.snapshots.iter().map(|judged| judged.verdict.to_string()).collect();
    assert_eq!(said, ["no rule keeps it", "newest of its group"]);
}

#[test]
fn a_forget_that_was_interrupted_is_finished_and_its_snapshot_keeps_no_place() {
    let lives = Lives::new();
    let ids: Vec<SessionId> = (0..3).map(|_| lives.ingest(ADMIN, "db", None)).collect();
    let repository = lives.open(ADMIN);
    let forget = Forget { created: START, snapshots: vec![ids[2]] };
    let id = crate::base::RecordId([1; 16]);
    let (name, bytes) =
        forget.seal_record(repository.config.repository, id, repository.keys.signer()).unwrap();
    lives.store.put(&name, &bytes, Durability::Durable).unwrap();
    let plan = lives.plan(&RetentionRules { last: 1, ..RetentionRules::default() });
    let said: Vec<String> = plan.snapshots.iter().map(|judged| judged.verdict.to_string()).collect();
    assert_eq!(said, ["no rule keeps it", "last 1 of 1", "forgetting it was interrupted"]);
    let error = repository.pin(ids[2], &SilentMonitor).unwrap_err();
    assert!(error.to_string().contains("being forgotten"), "{error}");
}

#[test]
fn planning_needs_an_admin() {
    let lives = Lives::new();
    lives.lab.add_writer(HOSTILE, None);
    let rules = RetentionRules::default();
    let error = plan_retention(&lives.open(HOSTILE), &rules, START, &NoPins, &SilentMonitor).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Capability);
}
