//! `pin` and `unpin`: which snapshots must stay.

use containerarchive::snapshots;
use serde::Serialize;

use crate::args::PinArgs;
use crate::context::Context;
use crate::documents::Document;
use crate::failure::Outcome;

#[derive(Serialize)]
struct Content {
    snapshots: Vec<Pinned>,
}

#[derive(Serialize)]
struct Pinned {
    id: String,
    pinned: bool,
    /// It was not so before.
    changed: bool,
}

pub(super) fn run(context: &Context<'_>, arguments: &PinArgs, pinned: bool) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let found = snapshots(&repository, &context.pins, terminal)?;
    let mut content = Content { snapshots: Vec::new() };
    for id in super::ids(&found, &arguments.snapshot, &super::filter(&arguments.filter)?)? {
        let changed = if pinned { repository.pin(id, terminal)? } else { repository.unpin(id)? };
        content.snapshots.push(Pinned { id: id.to_hex(), pinned, changed });
    }
    if terminal.is_json() {
        return terminal.document(&Document::new("containerarchive/pin/1", content, terminal.problems()));
    }
    terminal.print(&content.snapshots.iter().map(text).collect::<String>())
}

fn text(snapshot: &Pinned) -> String {
    let what = match (snapshot.pinned, snapshot.changed) {
        (true, true) => "pinned",
        (true, false) => "was pinned already",
        (false, true) => "no longer pinned",
        (false, false) => "was not pinned",
    };
    format!("snapshot {} {what}\n", snapshot.id)
}
