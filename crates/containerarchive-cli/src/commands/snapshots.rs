//! `snapshots`: what there is.

use containerarchive::{ErrorCode, Filter, Manifest, SnapshotId, snapshots};
use serde::Serialize;

use crate::args::SnapshotsArgs;
use crate::context::Context;
use crate::documents::{Document, SnapshotDocument};
use crate::failure::{Failure, Outcome};
use crate::ui::{Printable, Table, beginning, count, output_width, size, time};

/// Fewest digits of an id that are shown.
const SHORT_ID_DIGITS: usize = 8;
/// Columns of a series that are shown.
const SERIES_COLUMNS: usize = 40;

#[derive(Serialize)]
struct Content<'a> {
    snapshots: Vec<SnapshotDocument<'a>>,
}

pub(super) fn run(context: &Context<'_>, arguments: &SnapshotsArgs) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let filter =
        Filter { after: arguments.after, before: arguments.before, ..super::filter(&arguments.filter)? };
    let found = snapshots(&repository, &context.pins, terminal)?;
    let manifests: Vec<&Manifest> = found.matching(&filter).map(|loaded| &loaded.manifest).collect();
    if terminal.is_json() {
        let mut content = Content { snapshots: Vec::with_capacity(manifests.len()) };
        for manifest in manifests {
            content.snapshots.push(SnapshotDocument::from(manifest).pinned(found.is_pinned(manifest.id)));
        }
        let document = Document::new("containerarchive/snapshots/1", content, terminal.problems());
        terminal.document(&document)?;
    } else {
        // Unique among all, and not only among those that the filter leaves.
        let everything = Filter::default();
        let all = found.matching(&everything).map(|loaded| loaded.manifest.id.to_hex());
        let digits = digits_needed(all.chain(found.damaged().keys().map(|id| id.to_hex())).collect());
        terminal.print(&text(&manifests, digits, |id| found.is_pinned(id)))?;
    }
    if found.damaged().is_empty() {
        return Ok(());
    }
    let damaged = count(found.damaged().len() as u64, "snapshot");
    Err(Failure::new(
        ErrorCode::Damaged,
        format!("{damaged} damaged, missing or replaced; the others are listed"),
    ))
}

/// Digits that tell all ids apart.
fn digits_needed(mut ids: Vec<String>) -> usize {
    ids.sort_unstable();
    let common = |pair: &[String]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    ids.windows(2).map(|pair| common(pair) + 1).max().unwrap_or(0).max(SHORT_ID_DIGITS)
}

fn text(manifests: &[&Manifest], digits: usize, is_pinned: impl Fn(SnapshotId) -> bool) -> String {
    if manifests.is_empty() {
        return "no snapshots\n".to_owned();
    }
    let mut table = Table::new(&["ID", "TIME", "SERIES", "ITEMS", "SIZE", "STORED", ""], &[3, 4, 5]);
    for manifest in manifests {
        let mut id = manifest.id.to_hex();
        id.truncate(digits);
        table.row([
            id,
            time(manifest.created_at),
            beginning(&Printable(&manifest.series).to_string(), SERIES_COLUMNS),
            manifest.items.len().to_string(),
            size(manifest.original_size),
            size(manifest.stored_size),
            if is_pinned(manifest.id) { "pinned" } else { "" }.to_owned(),
        ]);
    }
    let table = table.fit(&[2], output_width());
    format!("{table}{}\n", count(manifests.len() as u64, "snapshot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_have_eight_digits_or_as_many_as_tell_them_apart() {
        let ids = |ids: &[&str]| digits_needed(ids.iter().map(|&id| id.to_owned()).collect());
        assert_eq!(ids(&[]), 8);
        assert_eq!(ids(&["0123456789", "1123456789"]), 8);
        assert_eq!(ids(&["0123456799", "1", "0123456789"]), 9);
    }
}
