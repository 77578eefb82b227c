//! `prune`: snapshots that the rules do not keep, and the space of what no snapshot needs.

use containerarchive::base::PackId;
use containerarchive::{PruneOptions, PruneReport, prune};
use serde::Serialize;

use super::retention::{self, VerdictDocument};
use crate::args::PruneArgs;
use crate::context::Context;
use crate::failure::Outcome;
use crate::ui::{Printable, count, size};

/// Packs that the text names at most; the document names all.
const LISTED: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "PruneResult"))]
pub(crate) struct Content<'a> {
    dry_run: bool,
    removed_snapshots: u64,
    removed_packs: u64,
    rewritten_packs: u64,
    /// Bytes of packs that are gone, less those of what was stored again; parity apart.
    freed_bytes: u64,
    /// What is left to the next run.
    pending: Option<PendingContent<'a>>,
    snapshots: Vec<VerdictDocument<'a>>,
    /// Snapshots that stay for now because somebody reads them.
    in_use: Vec<InUseContent<'a>>,
    packs: PacksContent,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "PrunePending"))]
struct PendingContent<'a> {
    bytes: u64,
    sessions: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "PruneInUse"))]
struct InUseContent<'a> {
    id: String,
    holder: &'a str,
}

/// Packs that go, or would.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "PrunePacks"))]
struct PacksContent {
    remove: Vec<String>,
    /// Those among them whose needed chunks are stored again.
    rewrite: Vec<String>,
}

pub(super) fn run(context: &Context<'_>, arguments: &PruneArgs) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let options = PruneOptions {
        rules: arguments.retention.rules(),
        dry_run: arguments.dry_run,
        max_unused: f64::from(arguments.max_unused.ppm) / 1e6,
        drain_ms: (!arguments.wait).then_some(arguments.drain.ms),
        patience_ms: arguments.patience.ms,
        accept_loss: arguments.accept_loss,
        threads: context.threads,
        pins: &context.pins,
    };
    let report = prune(&repository, &options, terminal)?;
    terminal.complete_progress();
    let has_rules = !options.rules.is_empty();
    super::tell(terminal, "containerarchive/prune/1", || content(&report), || text(&report, has_rules), None)
}

pub(crate) fn content(report: &PruneReport) -> Content<'_> {
    let ids = |packs: &[PackId]| packs.iter().map(PackId::to_hex).collect();
    let in_use = report.in_use.iter();
    Content {
        dry_run: report.is_dry_run,
        removed_snapshots: report.removed_snapshots.len() as u64,
        removed_packs: report.removed_packs,
        rewritten_packs: report.rewritten.len() as u64,
        freed_bytes: report.freed_bytes,
        pending: report
            .pending
            .as_ref()
            .map(|pending| PendingContent { bytes: pending.bytes, sessions: &pending.holders }),
        snapshots: report.retention.snapshots.iter().map(VerdictDocument::from).collect(),
        in_use: in_use.map(|it| InUseContent { id: it.snapshot.to_hex(), holder: &it.holder }).collect(),
        packs: PacksContent { remove: ids(&report.leaving), rewrite: ids(&report.rewritten) },
    }
}

fn text(report: &PruneReport, has_rules: bool) -> String {
    let mut text = String::new();
    if has_rules {
        text.push_str(&retention::text(&report.retention));
    }
    for it in &report.in_use {
        text.push_str(&format!("{} stays for now: {} reads it\n", it.snapshot, Printable(&it.holder)));
    }
    if report.is_dry_run {
        for pack in report.leaving.iter().take(LISTED) {
            let is_rewritten = report.rewritten.contains(pack);
            let what = if is_rewritten { "rewrite" } else { "delete " };
            text.push_str(&format!("{what} pack {pack}\n"));
        }
        if report.leaving.len() > LISTED {
            let more = report.leaving.len() - LISTED;
            text.push_str(&format!("and {} more: --json names all\n", count(more as u64, "pack")));
        }
    }
    let packs = count(report.leaving.len() as u64, "pack");
    let rewritten = match report.rewritten.len() {
        0 => String::new(),
        number => format!(", {number} of them after what is still needed of them was stored again"),
    };
    match (&report.pending, report.is_dry_run) {
        (Some(pending), _) => {
            let sessions = count(pending.holders.len() as u64, "session");
            text.push_str(&format!(
                "{} pending on {sessions}, which may refer to {packs} that are to go:\n",
                size(pending.bytes)
            ));
            for holder in &pending.holders {
                text.push_str(&format!("  {}\n", Printable(holder)));
            }
            text.push_str("nothing new refers to these packs any more; the next prune goes on\n");
        }
        (None, true) => text.push_str(&format!(
            "{packs} would be deleted{rewritten}: {} freed; nothing was changed\n",
            size(report.freed_bytes)
        )),
        (None, false) => {
            text.push_str(&format!("{packs} deleted{rewritten}: {} freed\n", size(report.freed_bytes)));
        }
    }
    text
}
