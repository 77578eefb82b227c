//! `listSnapshots`, `getSnapshot`, `listItems`: long lists come in pages.

use containerarchive::{Filter, LoadedManifest, Selector, SnapshotId, Snapshots, Timestamp, snapshots};
use serde::Serialize;
use serde_json::Value;

use super::{filter, read, time, to_value};
use crate::args::values;
use crate::documents::{ItemDocument, SnapshotDocument};
use crate::failure::{Failure, Outcome};
use crate::rpc::Engine;
use crate::rpc::jobs::Job;
use crate::rpc::output::{MAX_RESULT_BYTES, fit};
use crate::rpc::params::{GetSnapshotParams, ListItemsParams, ListSnapshotsParams, parse};

/// What one snapshot takes of a page; the rest of its items is for `listItems`.
const MAX_SNAPSHOT_BYTES: usize = 64 << 10;
/// What a page takes before the last snapshot.
const MAX_PAGE_BYTES: usize = MAX_RESULT_BYTES - MAX_SNAPSHOT_BYTES - (64 << 10);

/// `listSnapshots`
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::rpc) struct ListSnapshotsResult {
    /// Oldest first.
    #[cfg_attr(test, schemars(with = "Vec<SnapshotDocument<'static>>"))]
    snapshots: Vec<Value>,
    /// Ids of those that are damaged or missing and cannot be listed; on the first page.
    damaged: Vec<String>,
    /// For the next page; null on the last one.
    cursor: Option<String>,
}

/// `listItems`
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::rpc) struct ListItemsResult<'a> {
    items: Vec<ItemDocument<'a>>,
    /// For the next page; null on the last one.
    cursor: Option<u32>,
}

pub(super) fn list_snapshots(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: ListSnapshotsParams = parse(params)?;
    let filter = Filter {
        after: time(params.after.as_ref(), "after")?,
        before: time(params.before.as_ref(), "before")?,
        ..filter(params.tags, params.series)
    };
    let found = find_all(engine, job)?;
    let mut page = ListSnapshotsResult { snapshots: Vec::new(), damaged: Vec::new(), cursor: None };
    let before = params.cursor.as_deref().map(read_cursor).transpose()?;
    let is_left = |loaded: &&LoadedManifest| before.is_none_or(|before| place(loaded) > before);
    if before.is_none() {
        page.damaged = found.damaged().keys().map(|id| id.to_hex()).collect();
    }
    let mut bytes = 0;
    let mut last = None;
    for loaded in found.matching(&filter).filter(is_left) {
        if bytes > MAX_PAGE_BYTES {
            page.cursor = last.map(write_cursor);
            break;
        }
        let document = SnapshotDocument::from(&loaded.manifest).pinned(found.is_pinned(loaded.manifest.id));
        let document = fit(to_value(&document)?, MAX_SNAPSHOT_BYTES);
        bytes += document.to_string().len();
        last = Some(place(loaded));
        page.snapshots.push(document);
    }
    to_value(&page)
}

/// The place of a snapshot in the list; it stays when the snapshot goes.
fn place(loaded: &LoadedManifest) -> (Timestamp, SnapshotId) {
    (loaded.manifest.created_at, loaded.manifest.id)
}

fn write_cursor((time, id): (Timestamp, SnapshotId)) -> String {
    format!("{}.{}", time.0, id.to_hex())
}

fn read_cursor(text: &str) -> Outcome<(Timestamp, SnapshotId)> {
    let read = || {
        let (time, id) = text.split_once('.')?;
        Some((Timestamp(time.parse().ok()?), id.parse().ok()?))
    };
    let what = "the cursor is none that a page before gave";
    read().ok_or_else(|| Failure::usage(what).advise("list from the beginning"))
}

pub(super) fn get_snapshot(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: GetSnapshotParams = parse(params)?;
    let found = find_all(engine, job)?;
    let loaded = find(&found, &params.id)?;
    let is_pinned = found.is_pinned(loaded.manifest.id);
    to_value(&SnapshotDocument::with_evidence(&loaded.manifest).pinned(is_pinned))
}

pub(super) fn list_items(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: ListItemsParams = parse(params)?;
    let found = find_all(engine, job)?;
    let items = &find(&found, &params.id)?.manifest.items;
    let begin = params.cursor.unwrap_or(0);
    let mut page = ListItemsResult { items: Vec::new(), cursor: None };
    let mut bytes = 0;
    for (number, item) in (begin..).zip(items.iter().skip(begin as usize)) {
        if bytes > MAX_PAGE_BYTES {
            page.cursor = Some(number);
            break;
        }
        let document = ItemDocument::with_evidence(item);
        bytes += to_value(&document)?.to_string().len();
        page.items.push(document);
    }
    to_value(&page)
}

fn find_all(engine: &Engine<'_>, job: &Job) -> Outcome<Snapshots> {
    Ok(snapshots(&*engine.repository()?, &engine.client.pins, job)?)
}

fn find<'a>(found: &'a Snapshots, id: &str) -> Outcome<&'a LoadedManifest> {
    let selector: Selector = read(id, "id", values::parse_selector)?;
    Ok(found.find(&selector, &Filter::default())?)
}
