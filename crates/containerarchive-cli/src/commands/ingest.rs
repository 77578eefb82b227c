//! `ingest`: streams, files and the output of commands in, one snapshot out.

use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use containerarchive::format::manifest::{check_item_name, clashing_name};
use containerarchive::{Evidence, IngestItem, IngestOptions, Manifest, ingest};
use serde::Serialize;

use super::init::notice_of_new;
use crate::args::IngestArgs;
use crate::context::Context;
use crate::documents::{Document, SnapshotDocument};
use crate::failure::{Failure, Outcome};
use crate::source;
use crate::ui::{Terminal, count, duration, size};

/// Label of the key of a repository that is made on the way.
const FIRST_LABEL: &str = "first";
/// Longest message of a command that is shown; 'show' has more.
const MESSAGE_CHARS: usize = 300;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    /// The repository, if this command made it.
    created_repository: Option<String>,
    snapshot: SnapshotDocument<'a>,
}

pub(super) fn run(context: &Context<'_>, arguments: &IngestArgs) -> Outcome {
    if context.is_new_typed && !arguments.init {
        return Err(Failure::usage("options of a new repository were given without --init")
            .advise("they are settled when a repository is made: leave them out, or say --init"));
    }
    let tags = super::tags(&arguments.tag)?;
    let ended = Arc::new(AtomicBool::new(false));
    let items = source::open_all(arguments, &ended)?;
    check_names(&items)?;
    let (repository, is_new) = if arguments.init {
        context.open_or_create(&arguments.new, FIRST_LABEL)?
    } else {
        (context.open()?, false)
    };
    if context.is_new_typed && !is_new {
        context
            .terminal
            .warn("the repository exists already: options of a new repository change nothing in it");
    }
    let terminal = context.terminal;
    let created_repository = is_new.then(|| repository.config.repository.to_hex());
    if let Some(id) = &created_repository {
        terminal.notice(&format!("repository {id} made at {}", repository.store.location()));
        notice_of_new(&repository, terminal);
    }
    let total_bytes = items.iter().map(|item| item.size_hint).sum();
    terminal.begin("ingest", total_bytes);
    let options = IngestOptions {
        tags,
        series: arguments.series.clone(),
        time: arguments.time,
        min_size_bytes: arguments.min_size,
        expected_tail: arguments.expect_tail.clone().map(OsStringExt::into_vec),
        threads: context.threads,
        pins: &context.pins,
        ended,
    };
    let report = ingest(&repository, items, &options, terminal)?;
    let manifest = &report.manifest;
    notice_of_messages(manifest, terminal);
    if terminal.is_json() {
        let content = Content { created_repository, snapshot: SnapshotDocument::with_evidence(manifest) };
        let document = Document::new("containerarchive/ingest/1", content, terminal.problems());
        return terminal.document(&document).map_err(|failure| failure.after(&done(manifest)));
    }
    terminal.print(&text(manifest)).map_err(|failure| failure.after(&done(manifest)))
}

/// What commands that succeeded had to say: warnings, often.
fn notice_of_messages(manifest: &Manifest, terminal: &Terminal) {
    for item in &manifest.items {
        let Some(evidence) = item.evidence.as_ref().and_then(Evidence::from_json) else { continue };
        if let Some(line) = evidence.stderr_tail.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            let line: String = line.chars().take(MESSAGE_CHARS).collect();
            terminal.notice(&format!(
                "the command of item '{}' succeeded, and wrote {} to its standard error; the last line: {line}",
                item.name,
                size(evidence.stderr_bytes),
            ));
        }
    }
}

/// For whoever learns of it only by an error.
fn done(manifest: &Manifest) -> String {
    format!("snapshot {} was made", manifest.id)
}

fn text(manifest: &Manifest) -> String {
    format!(
        "snapshot {}\n  {}, {} in {}; {} stored, {} of {} new\n",
        manifest.id,
        count(manifest.items.len() as u64, "item"),
        size(manifest.original_size),
        duration(manifest.duration_ms),
        size(manifest.stored_size),
        manifest.new_chunks,
        count(manifest.chunk_count, "chunk"),
    )
}

/// The library checks this, too, but then a repository may have been made for nothing.
fn check_names(items: &[IngestItem<'_>]) -> Outcome {
    for item in items {
        check_item_name(&item.name)
            .map_err(|why| Failure::usage(format!("'{}' cannot be an item's name: {why}", item.name)))?;
    }
    match clashing_name(items.iter().map(|item| item.name.as_str())) {
        None => Ok(()),
        Some(name) => {
            Err(Failure::usage(format!("two items are named '{name}', or one is a folder of another"))
                .advise("give them names of their own with --item NAME=FILE"))
        }
    }
}
