//! `status`: whether backups are recent, for people, cron and monitoring.

use containerarchive::base::DomainId;
use containerarchive::{
    ErrorCode, Filter, Freshness, SeriesStatus, SessionState, StatusOptions, StatusReport, status,
};
use serde::Serialize;

use super::sessions::{SHORT_ID_DIGITS, SessionContent, session_content, session_table};
use crate::args::StatusArgs;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::{Table, age, count, output_width, size, time};

/// Series that an error names.
const NAMED_SERIES: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatusResult"))]
pub(crate) struct Content<'a> {
    /// Nothing is stale, missing or damaged.
    ok: bool,
    checked_at: String,
    max_age_ms: Option<u64>,
    series: Vec<SeriesContent<'a>>,
    damaged: Vec<DamagedContent<'a>>,
    sessions: Vec<SessionContent<'a>>,
    /// How many more packs of the worst parity group may be lost; null without groups.
    parity_margin: Option<i64>,
    unprotected_packs: u64,
    /// Since when every pack was read and compared with its checksums; null if some never were.
    verified_at: Option<String>,
    /// Errors that the worst of these verifications found; null if there was none.
    verified_errors: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatusSeries"))]
struct SeriesContent<'a> {
    series: &'a str,
    domain: String,
    /// `fresh`, `stale` or `future`.
    state: &'static str,
    age_ms: u64,
    snapshots: u64,
    future_snapshots: u64,
    newest: NewestContent,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatusNewest"))]
struct NewestContent {
    id: String,
    created_at: String,
    committed_at: String,
    original_size: u64,
    stored_size: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatusDamaged"))]
struct DamagedContent<'a> {
    id: String,
    text: &'a str,
}

pub(super) fn run(context: &Context<'_>, arguments: &StatusArgs) -> Outcome {
    let filter = super::filter(&arguments.filter)?;
    let repository = context.open()?;
    let terminal = context.terminal;
    let max_age_ms = arguments.max_age.map(|age| age.ms);
    let options = StatusOptions { filter: &filter, max_age_ms, pins: &context.pins };
    let report = status(&repository, &options, terminal)?;
    let failure = failure(&report, max_age_ms, filter == Filter::default());
    let is_ok = failure.is_none();
    super::tell(
        terminal,
        "containerarchive/status/1",
        || content(&report, max_age_ms, is_ok),
        || text(&report, output_width()),
        failure,
    )
}

/// What is wrong, the worst first.
pub(crate) fn failure(report: &StatusReport, max_age_ms: Option<u64>, is_all: bool) -> Option<Failure> {
    let stale = stale_text(report, max_age_ms, is_all);
    if !report.damaged.is_empty() {
        let snapshots = count(report.damaged.len() as u64, "snapshot");
        let also = stale.map_or_else(String::new, |stale| format!("; also, {stale}"));
        let text = format!("{snapshots} damaged, missing or replaced{also}");
        return Some(Failure::new(ErrorCode::Damaged, text));
    }
    let failure = Failure::new(ErrorCode::Stale, stale?);
    Some(match advice(report, is_all) {
        Some(advice) => failure.advise(advice),
        None => failure,
    })
}

/// Where the backup is not what has to be looked after first.
fn advice(report: &StatusReport, is_all: bool) -> Option<&'static str> {
    if report.series.is_empty() {
        return Some(if is_all {
            "'containerarchive ingest' makes the first one; if there should be some, check --repo, and find out why the backup does not run"
        } else {
            "check --series and --tag: 'containerarchive status' without them lists all series; if they are right, find out why the backup does not run"
        });
    }
    let is_ageless = |series: &SeriesStatus| series.freshness == Freshness::FromTheFuture;
    report.stale().all(is_ageless).then_some(
        "set right the clock that was wrong when they were made, or this computer's if that one is, and make a new snapshot",
    )
}

/// Why the backups are not recent; `None` if they are.
fn stale_text(report: &StatusReport, max_age_ms: Option<u64>, is_all: bool) -> Option<String> {
    if report.series.is_empty() {
        let text = if is_all {
            "there are no snapshots"
        } else {
            "there is no snapshot of this series with these tags"
        };
        return Some(text.to_owned());
    }
    let max_age_ms = max_age_ms?;
    let (ageless, old): (Vec<&SeriesStatus>, Vec<_>) =
        report.stale().partition(|series| series.freshness == Freshness::FromTheFuture);
    let all = report.series.len();
    let mut parts = Vec::new();
    if !old.is_empty() {
        let names = named(&old, |series| format!("'{}' is {} old", series.series, age(series.age_ms)));
        let max_age = age(max_age_ms);
        let count = old.len();
        parts
            .push(format!("the newest snapshot of {count} of {all} series is older than {max_age}: {names}"));
    }
    if !ageless.is_empty() {
        let names = named(&ageless, |series| format!("'{}'", series.series));
        let count = ageless.len();
        parts.push(format!(
            "the age of {count} of {all} series is not known, because all snapshots of it are dated in the future: {names}"
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The first few of them.
fn named(series: &[&SeriesStatus], one: impl Fn(&SeriesStatus) -> String) -> String {
    let mut names: Vec<String> = series.iter().take(NAMED_SERIES).map(|series| one(series)).collect();
    if series.len() > NAMED_SERIES {
        names.push(format!("and {} more", series.len() - NAMED_SERIES));
    }
    names.join(", ")
}

fn state_of(series: &SeriesStatus) -> &'static str {
    match series.freshness {
        Freshness::Fresh => "fresh",
        Freshness::Stale => "stale",
        Freshness::FromTheFuture => "future",
    }
}

pub(crate) fn content(report: &StatusReport, max_age_ms: Option<u64>, ok: bool) -> Content<'_> {
    let series = |series| -> SeriesContent<'_> {
        let series: &SeriesStatus = series;
        let manifest = &series.newest.manifest;
        SeriesContent {
            series: &series.series,
            domain: series.domain.to_hex(),
            state: state_of(series),
            age_ms: series.age_ms,
            snapshots: series.snapshots,
            future_snapshots: series.future_snapshots,
            newest: NewestContent {
                id: manifest.id.to_hex(),
                created_at: manifest.created_at.to_string(),
                committed_at: manifest.committed_at.to_string(),
                original_size: manifest.original_size,
                stored_size: manifest.stored_size,
            },
        }
    };
    Content {
        ok,
        checked_at: report.now.to_string(),
        max_age_ms,
        series: report.series.iter().map(series).collect(),
        damaged: report
            .damaged
            .iter()
            .map(|(id, damage)| DamagedContent { id: id.to_hex(), text: &damage.text })
            .collect(),
        sessions: report.sessions.iter().map(session_content).collect(),
        parity_margin: report.parity.margin(),
        unprotected_packs: report.parity.unprotected_packs,
        verified_at: report.verified_at.map(|time| time.to_string()),
        verified_errors: report.verified_errors,
    }
}

/// `width`: columns of the terminal that it is for.
fn text(report: &StatusReport, width: Option<usize>) -> String {
    let mut text = String::new();
    if report.series.is_empty() {
        text.push_str("no snapshots\n");
    } else {
        text.push_str(&series_table(report).fit(&[0], width).to_string());
    }
    text.push_str(&protection(report));
    if !report.sessions.is_empty() {
        text.push_str(&format!("\n{}", session_table(&report.sessions, width)));
    }
    if report.sessions_in(SessionState::Dead).next().is_some() {
        text.push_str(
            "dead sessions were interrupted and made no snapshot; they hold nothing up, and the next ingest uses what \
             they stored\n",
        );
    }
    text
}

/// What can be mended, and when that was last looked at.
fn protection(report: &StatusReport) -> String {
    let parity = &report.parity;
    let mut text = String::new();
    match parity.margin() {
        None if parity.unprotected_packs == 0 => {}
        None => text.push_str("parity     off: damage is noticed and cannot be mended\n"),
        Some(margin @ 0..) => {
            text.push_str(&format!(
                "parity     {} of the worst group may be lost ({}, {})\n",
                count(margin.unsigned_abs(), "more pack"),
                parity.level,
                count(parity.protected_packs + parity.unprotected_packs, "pack")
            ));
        }
        Some(_) => text.push_str(
            "parity     more packs of a group are missing than can be rebuilt: run 'containerarchive verify'\n",
        ),
    }
    if parity.margin().is_some() && parity.unprotected_packs > 0 {
        text.push_str(&format!("           {} without parity\n", count(parity.unprotected_packs, "pack")));
    }
    text.push_str(&match report.verified_at {
        None => "verified   not completely yet: 'containerarchive verify' reads everything\n".to_owned(),
        Some(time) => format!(
            "verified   {} ago\n",
            age(u64::try_from(report.now.0.saturating_sub(time.0)).unwrap_or(0))
        ),
    });
    if let Some(errors @ 1..) = report.verified_errors {
        text.push_str(&format!(
            "           {} found then: 'containerarchive repair', and verify again\n",
            count(errors, "error")
        ));
    }
    text
}

fn series_table(report: &StatusReport) -> Table {
    // Most repositories have one domain; then its column says nothing.
    let has_domains = report.series.iter().any(|series| series.domain != DomainId::MAIN);
    let mut heading = vec!["SERIES", "NEWEST", "TIME", "AGE", "SIZE", "SNAPSHOTS", ""];
    if has_domains {
        heading.insert(1, "DOMAIN");
    }
    let mut table = Table::new(&heading, if has_domains { &[4, 5, 6] } else { &[3, 4, 5] });
    for series in &report.series {
        let manifest = &series.newest.manifest;
        let short = |hex: String| hex[..SHORT_ID_DIGITS].to_owned();
        let mut row = vec![
            series.series.clone(),
            short(manifest.id.to_hex()),
            time(manifest.created_at),
            age_of(series),
            size(manifest.original_size),
            series.snapshots.to_string(),
            remark(series),
        ];
        if has_domains {
            let domain = if series.domain == DomainId::MAIN {
                "main".to_owned()
            } else {
                short(series.domain.to_hex())
            };
            row.insert(1, domain);
        }
        table.row(row);
    }
    table
}

fn age_of(series: &SeriesStatus) -> String {
    match series.freshness {
        Freshness::FromTheFuture => "?".to_owned(),
        Freshness::Fresh | Freshness::Stale => age(series.age_ms),
    }
}

fn remark(series: &SeriesStatus) -> String {
    let mut remarks = Vec::new();
    match series.freshness {
        Freshness::Fresh => {}
        Freshness::Stale => remarks.push("STALE".to_owned()),
        Freshness::FromTheFuture => remarks.push("AGE NOT KNOWN".to_owned()),
    }
    if series.future_snapshots > 0 {
        remarks.push(format!("{} dated in the future", series.future_snapshots));
    }
    remarks.join(", ")
}

#[cfg(test)]
mod tests {
    use containerarchive::{Parity, ParityOverview};
    use std::collections::BTreeMap;

    use containerarchive::base::SessionId;
    use containerarchive::repo::LoadedManifest;
    use containerarchive::{Manifest, Timestamp};

    use super::*;

    fn series(name: &str, freshness: Freshness) -> SeriesStatus {
        let time = Timestamp(4_000_000_000_000);
        let manifest = Manifest {
            version: 1,
            id: SessionId([1; 16]),
            created_at: time,
            committed_at: time,
            series: name.to_owned(),
            tags: BTreeMap::new(),
            original_size: 1,
            stored_size: 1,
            chunk_count: 1,
            new_chunks: 1,
            reused_chunks: 0,
            items: Vec::new(),
            host: String::new(),
            user: String::new(),
            duration_ms: 0,
            previous: Vec::new(),
        };
        SeriesStatus {
            series: name.to_owned(),
            domain: DomainId::MAIN,
            newest: LoadedManifest {
                manifest,
                domain: DomainId::MAIN,
                blake3: [0; 32],
                stored_at: Timestamp(0),
            },
            snapshots: 1,
            age_ms: if freshness == Freshness::Stale { 10_800_000 } else { 0 },
            freshness,
            future_snapshots: u64::from(freshness == Freshness::FromTheFuture),
        }
    }

    fn report(series: impl IntoIterator<Item = SeriesStatus>) -> StatusReport {
        let series = series.into_iter().collect();
        let parity = ParityOverview {
            level: Parity::default(),
            groups: Vec::new(),
            unprotected_packs: 0,
            unprotected_bytes: 0,
            protected_packs: 0,
            protected_bytes: 0,
            parity_bytes: 0,
            unreadable_shards: 0,
        };
        StatusReport {
            now: Timestamp(0),
            series,
            damaged: BTreeMap::new(),
            sessions: Vec::new(),
            parity,
            verified_at: None,
            verified_errors: None,
        }
    }

    #[test]
    fn an_age_that_is_not_known_is_told_as_such_and_not_as_too_old() {
        let ageless = report([series("a", Freshness::FromTheFuture), series("b", Freshness::Fresh)]);
        let failure = failure(&ageless, Some(7_200_000), true).unwrap();
        assert_eq!(
            failure.message(),
            "the age of 1 of 2 series is not known, because all snapshots of it are dated in the future: 'a'"
        );
        assert!(failure.advice().contains("clock"), "{}", failure.advice());
        let shown = text(&ageless, None);
        let line = shown.lines().find(|line| line.starts_with("a ")).unwrap();
        assert!(line.contains(" ?  ") && line.contains("AGE NOT KNOWN, 1 dated in the future"), "{shown}");
        // Nobody asked for an age.
        assert!(super::failure(&ageless, None, true).is_none());
        let both = report([series("a", Freshness::FromTheFuture), series("b", Freshness::Stale)]);
        let failure = super::failure(&both, Some(7_200_000), true).unwrap();
        assert!(
            failure.message().starts_with(
                "the newest snapshot of 1 of 2 series is older than 2 h: 'b' is 3 h old; the age"
            ),
            "{}",
            failure.message()
        );
    }
}
