//! `verify`: what is damaged, whom it hurts, whether it can be mended.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use containerarchive::{
    ErrorCode, Hurt, VerifyError, VerifyLevel, VerifyOptions, VerifyReport, verify, verify_without_key,
};
use serde::Serialize;

use crate::args::{VerifyArgs, VerifyLevelArg};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::{Printable, count, size};

/// Errors, and lost ranges, that people are told one by one.
const NAMED_ERRORS: usize = 50;
/// Items of a snapshot that an error names.
const NAMED_ITEMS: usize = 5;
/// Snapshots that an error names.
const NAMED_SNAPSHOTS: usize = 5;
/// Digits of an id that are shown.
const SHORT_ID_DIGITS: usize = 8;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "VerifyResult"))]
pub(crate) struct Content<'a> {
    /// Nothing is damaged or missing.
    ok: bool,
    /// `quick`, `standard` or `full`.
    level: &'static str,
    errors: Vec<ErrorContent<'a>>,
    lost: Vec<LostContent<'a>>,
    stats: StatsContent,
    skipped: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "VerifyError"))]
pub(crate) struct ErrorContent<'a> {
    object: &'a str,
    pack: Option<String>,
    /// The first chunk that a snapshot lacks because of it.
    chunk: Option<String>,
    /// The first snapshot that is hurt, if one is; `snapshots` has all.
    snapshot: Option<String>,
    snapshots: Vec<HurtContent<'a>>,
    error: &'a str,
    repairable: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "VerifyHurt"))]
struct HurtContent<'a> {
    id: String,
    /// Null: all of the snapshot.
    item: Option<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "VerifyLost"))]
struct LostContent<'a> {
    snapshot: String,
    item: &'a str,
    from: u64,
    to: u64,
    error: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "VerifyStats"))]
struct StatsContent {
    packs_checked: u64,
    shards_checked: u64,
    chunks_checked: u64,
    snapshots_checked: u64,
    bytes: u64,
}

pub(super) fn run(context: &Context<'_>, arguments: &VerifyArgs) -> Outcome {
    let terminal = context.terminal;
    let options = VerifyOptions {
        level: match arguments.level {
            VerifyLevelArg::Quick => VerifyLevel::Quick,
            VerifyLevelArg::Standard => VerifyLevel::Standard,
            VerifyLevelArg::Full => VerifyLevel::Full,
        },
        sample_ppm: arguments.sample.map(|share| share.ppm),
        max_age_ms: arguments.max_age.map(|age| age.ms),
        threads: context.threads,
        pins: &context.pins,
    };
    let report = if arguments.no_key {
        let locked = context.read()?;
        terminal.begin("verify", None);
        verify_without_key(&locked, &options, terminal)?
    } else {
        let repository = context.open()?;
        terminal.begin("verify", None);
        verify(&repository, &options, terminal)?
    };
    terminal.complete_progress();
    let schema = "containerarchive/verify/1";
    super::tell(terminal, schema, || content(&report), || text(&report), failure(&report))
}

fn failure(report: &VerifyReport) -> Option<Failure> {
    let errors = count(report.errors.len() as u64, "error");
    let lost = report.errors.iter().filter(|error| !error.is_repairable).count();
    match lost {
        0 if report.is_clean() => None,
        0 => Some(Failure::new(ErrorCode::Mendable, format!("{errors}; all of it can be mended"))),
        lost => {
            let text = format!("{errors}; of these, {lost} cannot be mended");
            Some(Failure::new(ErrorCode::Damaged, text).advise(
                "keep the storage as it is and copy it before you try anything else; 'containerarchive repair' mends \
                 the rest, and ingesting the same content again brings back chunks that it still has",
            ))
        }
    }
}

fn level_word(level: VerifyLevel) -> &'static str {
    match level {
        VerifyLevel::Quick => "quick",
        VerifyLevel::Standard => "standard",
        VerifyLevel::Full => "full",
    }
}

/// One error, as the document has it.
pub(crate) fn error_content(error: &VerifyError) -> ErrorContent<'_> {
    let hurts = error.hurts.iter();
    ErrorContent {
        object: &error.object,
        pack: error.pack.map(|pack| pack.to_hex()),
        chunk: error.chunk.map(|chunk| chunk.hash.to_hex()),
        snapshot: error.hurts.first().map(|(id, _)| id.to_hex()),
        snapshots: hurts.map(|(id, item)| HurtContent { id: id.to_hex(), item: item.as_deref() }).collect(),
        error: &error.text,
        repairable: error.is_repairable,
    }
}

pub(crate) fn content(report: &VerifyReport) -> Content<'_> {
    let lost = report.lost.iter().map(|lost| LostContent {
        snapshot: lost.snapshot.to_hex(),
        item: &lost.item,
        from: lost.from,
        to: lost.to,
        error: &lost.text,
    });
    let stats = &report.stats;
    Content {
        ok: report.is_clean(),
        level: level_word(report.level),
        errors: report.errors.iter().map(error_content).collect(),
        lost: lost.collect(),
        stats: StatsContent {
            packs_checked: stats.packs_checked,
            shards_checked: stats.shards_checked,
            chunks_checked: stats.chunks_checked,
            snapshots_checked: stats.snapshots_checked,
            bytes: stats.bytes,
        },
        skipped: &report.skipped,
    }
}

fn text(report: &VerifyReport) -> String {
    let mut text = String::new();
    for error in report.errors.iter().take(NAMED_ERRORS) {
        let _ = writeln!(text, "{}\n  {}", Printable(&error.object), Printable(&error.text));
        if !error.hurts.is_empty() {
            let _ = writeln!(text, "  hurts {}", hurts(error.hurts.iter()));
        }
        let can = if error.is_repairable {
            "can be mended by 'containerarchive repair'"
        } else {
            "CANNOT BE MENDED"
        };
        let _ = writeln!(text, "  {can}");
    }
    more(&mut text, report.errors.len());
    if !report.lost.is_empty() {
        text.push_str(match report.is_repairable() {
            true => "\nThese bytes are damaged; a restore and a repair mend them:\n",
            false => "\nThese bytes are damaged or lost:\n",
        });
    }
    for lost in report.lost.iter().take(NAMED_ERRORS) {
        let id = &lost.snapshot.to_hex()[..SHORT_ID_DIGITS];
        let _ = writeln!(text, "  {id} {}: {} to {}", Printable(&lost.item), lost.from, lost.to);
    }
    more(&mut text, report.lost.len());
    if !text.is_empty() {
        text.push('\n');
    }
    let stats = &report.stats;
    let _ = writeln!(
        text,
        "level {}: {}, {}, {}, {} checked, {} read",
        level_word(report.level),
        count(stats.snapshots_checked, "snapshot"),
        count(stats.packs_checked, "pack"),
        count(stats.shards_checked, "shard"),
        count(stats.chunks_checked, "chunk"),
        size(stats.bytes)
    );
    for skipped in &report.skipped {
        let _ = writeln!(text, "skipped: {}", Printable(skipped));
    }
    if report.is_clean() {
        text.push_str("no damage found\n");
    }
    text
}

fn more(text: &mut String, all: usize) {
    if all > NAMED_ERRORS {
        let _ = writeln!(text, "  and {} more (--json lists them all)", all - NAMED_ERRORS);
    }
}

/// `1a2b3c4d (a.sql, b), 5e6f7a8b`
fn hurts<'a>(hurts: impl Iterator<Item = &'a Hurt>) -> String {
    let mut items: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, item) in hurts {
        let named = items.entry(id.to_hex()[..SHORT_ID_DIGITS].to_owned()).or_default();
        named.extend(item.as_ref().map(|item| Printable(item).to_string()));
    }
    let one = |(id, mut items): (&String, Vec<String>)| {
        let rest = items.len().saturating_sub(NAMED_ITEMS);
        items.truncate(NAMED_ITEMS);
        if rest > 0 {
            items.push(format!("and {rest} more"));
        }
        if items.is_empty() { id.clone() } else { format!("{id} ({})", items.join(", ")) }
    };
    let mut told: Vec<String> =
        items.iter().take(NAMED_SNAPSHOTS).map(|(id, items)| one((id, items.clone()))).collect();
    let rest = items.len().saturating_sub(NAMED_SNAPSHOTS);
    if rest > 0 {
        told.push(format!("and {} more", count(rest as u64, "snapshot")));
    }
    told.join(", ")
}
