//! `stats`: what is stored, and what that saves.

use containerarchive::{
    ChunkTotals, ErrorCode, ObjectClass, ObjectTotals, PackTotals, StatsOptions, StatsReport, stats,
};
use serde::Serialize;

use crate::context::Context;
use crate::documents::Document;
use crate::failure::{Failure, Outcome};
use crate::ui::{Table, count, size};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatsResult"))]
pub(crate) struct Content {
    snapshots: u64,
    damaged_snapshots: u64,
    series: u64,
    items: u64,
    logical_bytes: u64,
    unique_bytes: u64,
    stored_bytes: u64,
    /// `logicalBytes / uniqueBytes`; null without content, like the other two.
    dedup_ratio: Option<f64>,
    /// `uniqueBytes` by the bytes of the same chunks in packs.
    compression_ratio: Option<f64>,
    /// `logicalBytes / storedBytes`.
    total_ratio: Option<f64>,
    /// Whether no chunk was counted twice.
    exact: bool,
    chunks: Chunks,
    packs: Packs,
    index: Index,
    objects: Vec<Objects>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatsChunks"))]
struct Chunks {
    data: ChunkContent,
    structure: ChunkContent,
    repeated: ChunkContent,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatsChunk"))]
struct ChunkContent {
    chunks: u64,
    plain_bytes: u64,
    stored_bytes: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatsPacks"))]
struct Packs {
    data: PackContent,
    structure: PackContent,
    retired: PackContent,
    unreadable: PackContent,
    /// Of these, such that no index segment names.
    unnamed: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatsPack"))]
struct PackContent {
    packs: u64,
    bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatsIndex"))]
struct Index {
    segments: u64,
    entries: u64,
    disk_bytes: u64,
    memory_bytes: u64,
    disk_bytes_per_chunk: Option<f64>,
    memory_bytes_per_chunk: Option<f64>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "StatsObjects"))]
struct Objects {
    kind: &'static str,
    objects: u64,
    bytes: u64,
}

impl From<ChunkTotals> for ChunkContent {
    fn from(totals: ChunkTotals) -> Self {
        let ChunkTotals { chunks, plain_bytes, stored_bytes } = totals;
        Self { chunks, plain_bytes, stored_bytes }
    }
}

impl From<PackTotals> for PackContent {
    fn from(totals: PackTotals) -> Self {
        Self { packs: totals.packs, bytes: totals.bytes }
    }
}

impl From<&ObjectTotals> for Objects {
    fn from(totals: &ObjectTotals) -> Self {
        Self { kind: word(totals.class), objects: totals.objects, bytes: totals.bytes }
    }
}

fn word(class: ObjectClass) -> &'static str {
    match class {
        ObjectClass::Config => "config",
        ObjectClass::Keys => "keys",
        ObjectClass::Packs => "packs",
        ObjectClass::PackIndexes => "packIndexes",
        ObjectClass::Parity => "parity",
        ObjectClass::Segments => "segments",
        ObjectClass::Snapshots => "snapshots",
        ObjectClass::Sessions => "sessions",
        ObjectClass::Records => "records",
        ObjectClass::Replicas => "replicas",
        ObjectClass::Quarantine => "quarantine",
        ObjectClass::Reserve => "reserve",
        ObjectClass::Other => "other",
    }
}

/// For people.
fn heading(class: ObjectClass) -> &'static str {
    match class {
        ObjectClass::PackIndexes => "pack indexes",
        ObjectClass::Parity => "parity shards",
        ObjectClass::Segments => "index segments",
        ObjectClass::Other => "anything else",
        _ => word(class),
    }
}

fn per_entry(bytes: u64, report: &StatsReport) -> Option<f64> {
    (report.index.entries > 0).then(|| bytes as f64 / report.index.entries as f64)
}

impl From<&StatsReport> for Content {
    fn from(report: &StatsReport) -> Self {
        let index = report.index;
        Self {
            snapshots: report.snapshots,
            damaged_snapshots: report.damaged_snapshots,
            series: report.series,
            items: report.items,
            logical_bytes: report.logical_bytes,
            unique_bytes: report.data.plain_bytes,
            stored_bytes: report.stored_bytes,
            dedup_ratio: report.dedup_ratio(),
            compression_ratio: report.compression_ratio(),
            total_ratio: report.total_ratio(),
            exact: report.is_exact,
            chunks: Chunks {
                data: report.data.into(),
                structure: report.structure.into(),
                repeated: report.repeated.into(),
            },
            packs: Packs {
                data: report.data_packs.into(),
                structure: report.structure_packs.into(),
                retired: report.retired_packs.into(),
                unreadable: report.unreadable_packs.into(),
                unnamed: report.unnamed_packs,
            },
            index: Index {
                segments: index.segments,
                entries: index.entries,
                disk_bytes: index.disk_bytes,
                memory_bytes: index.memory_bytes,
                disk_bytes_per_chunk: per_entry(index.disk_bytes, report),
                memory_bytes_per_chunk: per_entry(index.memory_bytes, report),
            },
            objects: report.objects.iter().map(Objects::from).collect(),
        }
    }
}

pub(super) fn run(context: &Context<'_>) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    terminal.begin("stats", None);
    let report = stats(&repository, &StatsOptions::default(), terminal)?;
    if terminal.is_json() {
        let content = Content::from(&report);
        terminal.document(&Document::new("containerarchive/stats/1", content, terminal.problems()))?;
    } else {
        terminal.print(&text(&report))?;
    }
    let damaged = report.damaged_snapshots + report.unreadable_packs.packs;
    if damaged == 0 {
        return Ok(());
    }
    let snapshots = count(report.damaged_snapshots, "snapshot");
    let packs = count(report.unreadable_packs.packs, "pack");
    Err(Failure::new(
        ErrorCode::Damaged,
        format!("{snapshots} and {packs} damaged or missing; what can be read was counted"),
    ))
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}×"))
}

fn text(report: &StatsReport) -> String {
    let bound = if report.is_exact { "" } else { "at most " };
    let mut text = format!(
        "snapshots      {} in {} series, {}\n\
         content        {} in all snapshots together\n\
         unique         {bound}{} of it, each chunk once\n\
         stored         {} in all files\n\
         deduplication  {}\ncompression    {}\ntotal          {}\n\n",
        report.snapshots,
        report.series,
        count(report.items, "item"),
        size(report.logical_bytes),
        size(report.data.plain_bytes),
        size(report.stored_bytes),
        times(report.dedup_ratio()),
        times(report.compression_ratio()),
        times(report.total_ratio()),
    );
    let mut chunks = Table::new(&["CHUNKS", "COUNT", "PLAIN", "STORED", "PACKS", "SIZE"], &[1, 2, 3, 4, 5]);
    let mut row = |name: &str, totals: ChunkTotals, packs: Option<PackTotals>| {
        chunks.row([
            name.to_owned(),
            totals.chunks.to_string(),
            size(totals.plain_bytes),
            size(totals.stored_bytes),
            packs.map_or_else(String::new, |packs| packs.packs.to_string()),
            packs.map_or_else(String::new, |packs| size(packs.bytes)),
        ]);
    };
    row("data", report.data, Some(report.data_packs));
    row("structure", report.structure, Some(report.structure_packs));
    row("further copies", report.repeated, None);
    text.push_str(&chunks.to_string());
    let mut objects = Table::new(&["OBJECTS", "COUNT", "SIZE"], &[1, 2]);
    for totals in report.objects.iter().filter(|totals| totals.objects > 0) {
        objects.row([heading(totals.class).to_owned(), totals.objects.to_string(), size(totals.bytes)]);
    }
    text.push_str(&format!("\n{objects}"));
    text.push_str(&index_text(report));
    for (packs, what) in [
        (report.retired_packs, "retired, to be deleted by the next prune; their chunks are not counted"),
        (report.unreadable_packs, "damaged; their chunks are not counted"),
    ] {
        if packs.packs > 0 {
            text.push_str(&format!("{}, {}: {what}\n", count(packs.packs, "pack"), size(packs.bytes)));
        }
    }
    if report.unnamed_packs > 0 {
        let packs = count(report.unnamed_packs, "pack");
        text.push_str(&format!("{packs} in no index segment, as an interrupted ingest leaves them\n"));
    }
    text
}

fn index_text(report: &StatsReport) -> String {
    let index = report.index;
    let each = |bytes: u64| {
        per_entry(bytes, report).map_or_else(String::new, |each| format!(" ({each:.1} B for each)"))
    };
    format!(
        "\nindex          {} of chunks in {}; {} on disk{}, {} in memory while it is used{}\n",
        if index.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", index.entries) },
        count(index.segments, "segment"),
        size(index.disk_bytes),
        each(index.disk_bytes),
        size(index.memory_bytes),
        each(index.memory_bytes),
    )
}
