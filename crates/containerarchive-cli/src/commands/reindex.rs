//! `reindex`: the index once more, from the packs' own tables.

use containerarchive::{ReindexReport, reindex};
use serde::Serialize;

use crate::context::Context;
use crate::documents::Document;
use crate::failure::Outcome;
use crate::ui::count;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "ReindexResult"))]
pub(crate) struct Content {
    packs: u64,
    chunks: u64,
    segments: u64,
    replaced_segments: u64,
    unreadable_packs: u64,
    left_out_packs: u64,
}

pub(super) fn run(context: &Context<'_>) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let report = reindex(&repository, terminal)?;
    terminal.complete_progress();
    if terminal.is_json() {
        let document = Document::new("containerarchive/reindex/1", content(&report), terminal.problems());
        return terminal.document(&document);
    }
    terminal.print(&text(&report))
}

pub(crate) fn content(report: &ReindexReport) -> Content {
    Content {
        packs: report.packs,
        chunks: report.chunks,
        segments: report.segments,
        replaced_segments: report.replaced_segments,
        unreadable_packs: report.unreadable_packs,
        left_out_packs: report.left_out_packs,
    }
}

fn text(report: &ReindexReport) -> String {
    let mut text = format!(
        "{} in {} indexed by {}, which replace {}\n",
        count(report.chunks, "chunk"),
        count(report.packs, "pack"),
        count(report.segments, "segment"),
        report.replaced_segments
    );
    if report.left_out_packs > 0 {
        text.push_str(&format!("{} of open sessions left to these\n", count(report.left_out_packs, "pack")));
    }
    if report.unreadable_packs > 0 {
        text.push_str(&format!(
            "{} could not be read: run 'containerarchive repair'\n",
            count(report.unreadable_packs, "pack")
        ));
    }
    text
}
