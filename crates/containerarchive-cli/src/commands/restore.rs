//! `restore`: a snapshot's items out.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;

use containerarchive::{
    Manifest, RestoreOptions, RestoreReport, RestoreTarget, Selector, restore, snapshots,
};
use serde::Serialize;

use crate::args::RestoreArgs;
use crate::context::Context;
use crate::documents::Document;
use crate::failure::{Failure, Outcome};
use crate::ui::{Printable, Table, Terminal, count, output_width, size};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    snapshot: String,
    to: String,
    items: Vec<RestoredItem<'a>>,
    /// Chunks whose first copy was damaged.
    mended: u64,
    mended_packs: Vec<String>,
    healed_packs: Vec<String>,
}

#[derive(Serialize)]
struct RestoredItem<'a> {
    name: &'a str,
    size: u64,
}

pub(super) fn run(context: &Context<'_>, arguments: &RestoreArgs) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let found = snapshots(&repository, &context.pins, terminal)?;
    let mut filter = super::filter(&arguments.filter)?;
    if matches!(arguments.snapshot, Selector::Latest(_)) {
        filter.item.clone_from(&arguments.item);
    }
    let snapshot = found.find(&arguments.snapshot, &filter)?;
    let manifest = &snapshot.manifest;
    let options =
        RestoreOptions { item: arguments.item.as_deref(), threads: context.threads, heal: arguments.heal };
    let is_stream = arguments.to == Path::new("-");
    // A line that is drawn again and again would stand in the middle of the content.
    if !is_stream || !io::stdout().is_terminal() {
        terminal.begin("restore", Some(bytes_of(manifest, arguments.item.as_deref())));
    }
    let report = if is_stream {
        // Not through the buffer of lines that the standard library puts before it.
        let output =
            rustix::io::dup(rustix::stdio::stdout()).map_err(|errno| Failure::output(&errno.into()))?;
        let mut output = File::from(output);
        restore(&repository, snapshot, RestoreTarget::Stream(&mut output), &options, terminal)?
    } else {
        let target = RestoreTarget::Folder { path: &arguments.to, overwrite: arguments.overwrite };
        restore(&repository, snapshot, target, &options, terminal)?
    };
    terminal.complete_progress();
    warn_of_mended(terminal, &report);
    if terminal.is_json() {
        let document = Document::new(
            "containerarchive/restore/1",
            content(manifest, &report, &arguments.to),
            terminal.problems(),
        );
        return if is_stream {
            terminal.document_beside_content(&document)
        } else {
            terminal.document(&document)
        };
    }
    if is_stream {
        return Ok(());
    }
    terminal.print(&text(manifest, &report, &arguments.to))
}

/// What was restored is right; the repository is not.
fn warn_of_mended(terminal: &Terminal, report: &RestoreReport) {
    if report.mended_chunks == 0 && report.mended_packs.is_empty() {
        return;
    }
    let chunks = count(report.mended_chunks, "damaged chunk");
    let healed = report.healed_packs.len();
    let next = if healed > 0 && healed == report.mended_packs.len() {
        "the packs were written back".to_owned()
    } else {
        "the repository is still damaged: run 'containerarchive repair'".to_owned()
    };
    terminal
        .warn(&format!("{chunks} came from another copy or from parity; what was restored is right; {next}"));
}

fn bytes_of(manifest: &Manifest, item: Option<&str>) -> u64 {
    let wanted = manifest.items.iter().filter(|candidate| item.is_none_or(|name| candidate.name == name));
    wanted.map(|item| item.size).sum()
}

fn content<'a>(manifest: &Manifest, report: &'a RestoreReport, to: &Path) -> Content<'a> {
    Content {
        snapshot: manifest.id.to_hex(),
        to: to.display().to_string(),
        items: report.items.iter().map(|(name, size)| RestoredItem { name, size: *size }).collect(),
        mended: report.mended_chunks,
        mended_packs: report.mended_packs.iter().map(|mended| mended.pack.to_hex()).collect(),
        healed_packs: report.healed_packs.iter().map(|pack| pack.to_hex()).collect(),
    }
}

fn text(manifest: &Manifest, report: &RestoreReport, to: &Path) -> String {
    let mut table = Table::new(&["ITEM", "SIZE"], &[1]);
    for (name, bytes) in &report.items {
        table.row([name.clone(), size(*bytes)]);
    }
    let table = table.fit(&[0], output_width());
    let to = to.display().to_string();
    format!(
        "{table}{} of snapshot {} restored to {}\n",
        count(report.items.len() as u64, "item"),
        manifest.id,
        Printable(&to)
    )
}
