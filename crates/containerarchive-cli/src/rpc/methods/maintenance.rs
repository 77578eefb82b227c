//! `verify`, `prune`, `forget`, `repair`, `reindex`, `unlock`, `stats`, `status`.

use containerarchive::{
    Filter, GroupBy, PruneOptions, RepairOptions, StatsOptions, StatusOptions, UnlockOptions, VerifyError,
    VerifyLevel, VerifyOptions, forget_snapshots, snapshots,
};
use serde::Serialize;
use serde_json::Value;

use super::{filter, read, read_if, to_value};
use crate::args::{RetentionArgs, values};
use crate::commands;
use crate::failure::Outcome;
use crate::rpc::Engine;
use crate::rpc::jobs::Job;
use crate::rpc::params::{
    ForgetParams, Level, NoParams, PruneParams, RepairParams, StatusParams, UnlockParams, VerifyParams, parse,
};

/// Millionths of unused bytes that a prune leaves, unless it is told.
const MAX_UNUSED: &str = "5%";
/// How long a prune waits, unless it is told.
const DRAIN: &str = "10m";
/// After how long a session counts as dead that gives no sign.
const PATIENCE: &str = "1h";

/// `verify:error`: something that verify found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::rpc) struct VerifyErrorEvent<'a> {
    request_id: &'a str,
    #[serde(flatten)]
    error: commands::verify::ErrorContent<'a>,
}

pub(super) fn verify(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: VerifyParams = parse(params)?;
    let sample = read_if(params.sample.as_ref(), "sample", values::parse_share)?;
    let max_age = read_if(params.max_age.as_ref(), "maxAge", values::parse_age)?;
    let options = VerifyOptions {
        level: match params.level {
            Some(Level::Quick) => VerifyLevel::Quick,
            None | Some(Level::Standard) => VerifyLevel::Standard,
            Some(Level::Full) => VerifyLevel::Full,
        },
        sample_ppm: sample.map(|share| share.ppm),
        max_age_ms: max_age.map(|age| age.ms),
        threads: engine.client.threads,
        pins: &engine.client.pins,
    };
    let report = containerarchive::verify(&*engine.repository()?, &options, job)?;
    let tell = |error: &VerifyError| {
        let error = commands::verify::error_content(error);
        engine.output.event("verify:error", &VerifyErrorEvent { request_id: &job.id, error });
    };
    report.errors.iter().for_each(tell);
    to_value(&commands::verify::content(&report))
}

pub(super) fn prune(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: PruneParams = parse(params)?;
    let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
    let retention = RetentionArgs {
        keep_last: params.keep_last,
        keep_hourly: params.keep_hours,
        keep_daily: params.keep_days,
        keep_weekly: params.keep_weeks,
        keep_monthly: params.keep_months,
        keep_yearly: params.keep_years,
        keep_within: read_if(params.keep_within.as_ref(), "keepWithin", values::parse_age)?,
        keep_tag: values::pairs(params.keep_tags.unwrap_or_default()),
        group_by: read_if(params.group_by.as_ref(), "groupBy", values::parse_group_by)?
            .unwrap_or(GroupBy::Series),
        time_zone: read_if(params.time_zone.as_ref(), "timeZone", values::parse_zone)?,
    };
    let max_unused = read(&or(params.max_unused, MAX_UNUSED), "maxUnused", values::parse_share)?;
    let options = PruneOptions {
        rules: retention.rules(),
        dry_run: params.dry_run.unwrap_or(false),
        max_unused: f64::from(max_unused.ppm) / 1e6,
        drain_ms: Some(read(&or(params.drain, DRAIN), "drain", values::parse_age)?.ms),
        patience_ms: read(PATIENCE, "patience", values::parse_age)?.ms,
        accept_loss: params.accept_loss.unwrap_or(false),
        threads: engine.client.threads,
        pins: &engine.client.pins,
    };
    let report = containerarchive::prune(&*engine.repository()?, &options, job)?;
    to_value(&commands::prune::content(&report))
}

pub(super) fn forget(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: ForgetParams = parse(params)?;
    let repository = engine.repository()?;
    let found = snapshots(&repository, &engine.client.pins, job)?;
    let selectors = params.ids.iter().map(|id| read(id, "ids", values::parse_selector));
    let ids = commands::ids(&found, &selectors.collect::<Outcome<Vec<_>>>()?, &Filter::default())?;
    let done = forget_snapshots(&repository, &ids, job)?;
    to_value(&commands::forget::content(&done, false))
}

pub(super) fn repair(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: RepairParams = parse(params)?;
    let options = RepairOptions { dry_run: params.dry_run.unwrap_or(false), threads: engine.client.threads };
    let report = containerarchive::repair(&*engine.repository()?, &options, job)?;
    to_value(&commands::repair::content(&report))
}

pub(super) fn reindex(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    parse::<NoParams>(params)?;
    to_value(&commands::reindex::content(&containerarchive::reindex(&*engine.repository()?, job)?))
}

pub(super) fn unlock(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: UnlockParams = parse(params)?;
    let options = UnlockOptions { force: params.force.unwrap_or(false) };
    let report = containerarchive::unlock(&*engine.repository()?, options, job)?;
    to_value(&commands::unlock::content(&report))
}

pub(super) fn stats(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    parse::<NoParams>(params)?;
    let report = containerarchive::stats(&*engine.repository()?, &StatsOptions::default(), job)?;
    to_value(&commands::stats::Content::from(&report))
}

pub(super) fn status(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: StatusParams = parse(params)?;
    let max_age_ms = read_if(params.max_age.as_ref(), "maxAge", values::parse_age)?.map(|age| age.ms);
    let filter = filter(params.tags, params.series);
    let options = StatusOptions { filter: &filter, max_age_ms, pins: &engine.client.pins };
    let report = containerarchive::status(&*engine.repository()?, &options, job)?;
    let is_ok = commands::status::failure(&report, max_age_ms, filter == Filter::default()).is_none();
    to_value(&commands::status::content(&report, max_age_ms, is_ok))
}
