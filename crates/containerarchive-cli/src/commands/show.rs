//! `show`: one snapshot.

use containerarchive::{Evidence, Item, Manifest, snapshots};
use serde::Serialize;

use crate::args::ShowArgs;
use crate::context::Context;
use crate::documents::{Document, SnapshotDocument};
use crate::failure::Outcome;
use crate::ui::{Printable, Table, count, duration, output_width, size, time};

#[derive(Serialize)]
struct Content<'a> {
    snapshot: SnapshotDocument<'a>,
}

pub(super) fn run(context: &Context<'_>, arguments: &ShowArgs) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let found = snapshots(&repository, &context.pins, terminal)?;
    let manifest = &found.find(&arguments.snapshot, &super::filter(&arguments.filter)?)?.manifest;
    let is_pinned = found.is_pinned(manifest.id);
    if terminal.is_json() {
        let content = Content { snapshot: SnapshotDocument::with_evidence(manifest).pinned(is_pinned) };
        return terminal.document(&Document::new(
            "containerarchive/snapshot/1",
            content,
            terminal.problems(),
        ));
    }
    terminal.print(&text(manifest, is_pinned))
}

fn text(manifest: &Manifest, is_pinned: bool) -> String {
    let tags: Vec<String> = manifest.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let tags = tags.join(", ");
    let mut table = Table::new(&["ITEM", "TYPE", "SIZE"], &[2]);
    for item in &manifest.items {
        table.row([item.name.clone(), item.item_type.clone(), size(item.size)]);
    }
    let table = table.fit(&[0, 1], output_width());
    format!(
        "snapshot  {}{}\ntime      {} ({})\nseries    {}\ntags      {}\nmade by   {}@{} in {}\n\
         size      {}, {} of it new: {} stored\n\n{table}{}",
        manifest.id,
        if is_pinned { " (pinned)" } else { "" },
        time(manifest.created_at),
        manifest.created_at,
        Printable(&manifest.series),
        if tags.is_empty() { "none".to_owned() } else { Printable(&tags).to_string() },
        Printable(&manifest.user),
        Printable(&manifest.host),
        duration(manifest.duration_ms),
        size(manifest.original_size),
        format_args!("{} of {}", manifest.new_chunks, count(manifest.chunk_count, "chunk")),
        size(manifest.stored_size),
        manifest.items.iter().map(evidence).collect::<String>(),
    )
}

/// How the command went whose output an item is.
fn evidence(item: &Item) -> String {
    let Some(json) = &item.evidence else { return String::new() };
    let name = Printable(&item.name);
    let Some(evidence) = Evidence::from_json(json) else {
        // Of a later version.
        return format!("\nevidence of {name}: {}\n", Printable(&json.to_string()));
    };
    let command = evidence.argv.last().map_or("", String::as_str);
    let mut text = format!(
        "\n{name} is the output of: {}\n  exit code {}, {} in {}, {} on its standard error\n",
        Printable(command),
        evidence.exit_code,
        size(evidence.bytes),
        duration(evidence.duration_ms),
        size(evidence.stderr_bytes),
    );
    for line in evidence.stderr_tail.lines() {
        text.push_str(&format!("  | {}\n", Printable(line)));
    }
    text
}
