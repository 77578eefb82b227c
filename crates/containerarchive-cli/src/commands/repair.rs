//! `repair`: mends what can be mended, and names what cannot.

use std::collections::BTreeSet;

use containerarchive::{
    ErrorCode, LostRange, RepairKind, RepairOptions, RepairReport, RepairStep, Unrepaired, repair,
    repair_without_key,
};
use serde::Serialize;

use crate::args::RepairArgs;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::{Printable, count};

/// Lines of one kind that the text has at most; the document has all.
const LISTED: usize = 50;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "RepairResult"))]
pub(crate) struct Content<'a> {
    /// Nothing was damaged, or everything was mended.
    ok: bool,
    dry_run: bool,
    index_rebuilt: bool,
    packs_repaired: u64,
    shards_repaired: u64,
    locks_removed: u64,
    steps: Vec<StepContent<'a>>,
    unrepaired: Vec<UnrepairedContent<'a>>,
    lost: Vec<LostContent<'a>>,
    skipped: &'a [String],
    quarantined: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "RepairStep"))]
struct StepContent<'a> {
    kind: &'static str,
    object: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "RepairUnrepaired"))]
struct UnrepairedContent<'a> {
    object: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "RepairLost"))]
struct LostContent<'a> {
    snapshot: String,
    item: &'a str,
    /// The first byte that is lost, and the first one behind those.
    from: u64,
    to: u64,
    error: &'a str,
}

pub(super) fn run(context: &Context<'_>, arguments: &RepairArgs) -> Outcome {
    let terminal = context.terminal;
    let options = RepairOptions { dry_run: arguments.dry_run, threads: context.threads };
    let report = if arguments.no_key {
        let locked = context.read()?;
        terminal.begin("repair", None);
        repair_without_key(&locked, &options, terminal)?
    } else {
        let repository = context.open()?;
        terminal.begin("repair", None);
        repair(&repository, &options, terminal)?
    };
    terminal.complete_progress();
    let schema = "containerarchive/repair/1";
    super::tell(terminal, schema, || content(&report), || text(&report), failure(&report))
}

fn failure(report: &RepairReport) -> Option<Failure> {
    if report.is_lossy() {
        let objects = format!("{} could not be mended", count(report.unrepaired.len() as u64, "object"));
        let ranges = format!("{} of snapshots cannot be restored", count(report.lost.len() as u64, "range"));
        let text = match (report.unrepaired.is_empty(), report.lost.is_empty()) {
            (_, true) => objects,
            (true, false) => ranges,
            (false, false) => format!("{objects}, and {ranges}"),
        };
        return Some(Failure::new(ErrorCode::Damaged, text).advise(
            "restore what is intact; a second copy of the repository may have the packs that are named: put them back and repair again",
        ));
    }
    if !report.found_damage() {
        return None;
    }
    // Of one object there may be several steps.
    let damaged = report.steps.iter().filter(|step| step.kind.is_damage()).map(|step| &step.object);
    let damage = damaged.collect::<BTreeSet<_>>().len() as u64;
    let (text, advice) = if report.is_dry_run {
        (format!("{} can be mended", count(damage, "damaged object")), "run it without --dry-run")
    } else {
        (
            format!("{} mended; everything is whole again", count(damage, "damaged object")),
            "look at the disk and its log: damage seldom comes alone",
        )
    };
    Some(Failure::new(ErrorCode::Mendable, text).advise(advice))
}

pub(crate) fn content(report: &RepairReport) -> Content<'_> {
    Content {
        ok: !report.is_lossy(),
        dry_run: report.is_dry_run,
        index_rebuilt: report.count(RepairKind::Index) > 0,
        packs_repaired: report.count(RepairKind::Pack),
        shards_repaired: report.count(RepairKind::Shard),
        locks_removed: report.count(RepairKind::Session),
        steps: report.steps.iter().map(step_content).collect(),
        unrepaired: report.unrepaired.iter().map(unrepaired_content).collect(),
        lost: report.lost.iter().map(lost_content).collect(),
        skipped: &report.skipped,
        quarantined: report.quarantined,
    }
}

fn step_content(step: &RepairStep) -> StepContent<'_> {
    StepContent { kind: step.kind.word(), object: &step.object, text: &step.text }
}

fn unrepaired_content(unrepaired: &Unrepaired) -> UnrepairedContent<'_> {
    UnrepairedContent { object: &unrepaired.object, text: &unrepaired.text }
}

fn lost_content(lost: &LostRange) -> LostContent<'_> {
    LostContent {
        snapshot: lost.snapshot.to_hex(),
        item: &lost.item,
        from: lost.from,
        to: lost.to,
        error: &lost.text,
    }
}

fn text(report: &RepairReport) -> String {
    let mut text = String::new();
    let head = if report.is_dry_run { "would mend" } else { "mended" };
    let step = |step: &RepairStep| format!("{head}: {}: {}", Printable(&step.object), Printable(&step.text));
    list(&mut text, report.steps.iter().map(step));
    let unrepaired = |unrepaired: &Unrepaired| {
        format!("not mended: {}: {}", Printable(&unrepaired.object), Printable(&unrepaired.text))
    };
    list(&mut text, report.unrepaired.iter().map(unrepaired));
    let lost = |lost: &LostRange| {
        format!(
            "lost: snapshot {}, item '{}', bytes {} to {} ({} bytes): {}",
            lost.snapshot,
            Printable(&lost.item),
            lost.from,
            lost.to,
            lost.to.saturating_sub(lost.from),
            Printable(&lost.text)
        )
    };
    list(&mut text, report.lost.iter().map(lost));
    list(&mut text, report.skipped.iter().map(|skipped| format!("skipped: {skipped}")));
    if report.quarantined > 0 {
        text.push_str(&format!(
            "{} kept in quarantine until a repair finds nothing lost\n",
            count(report.quarantined, "original")
        ));
    }
    if report.steps.is_empty() && !report.is_lossy() {
        text.push_str("nothing is damaged\n");
    }
    text
}

fn list(text: &mut String, mut lines: impl Iterator<Item = String>) {
    for line in lines.by_ref().take(LISTED) {
        text.push_str(&line);
        text.push('\n');
    }
    let more = lines.count();
    if more > 0 {
        text.push_str(&format!("and {}; --json has all\n", count(more as u64, "more such line")));
    }
}
