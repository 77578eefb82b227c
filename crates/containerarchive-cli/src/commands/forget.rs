//! `forget`: snapshots that shall go, by name.

use containerarchive::{ErrorCode, Forgotten, RepoError, SnapshotId, Snapshots, forget_snapshots, snapshots};
use serde::Serialize;

use crate::args::ForgetArgs;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::{Printable, count, time};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "ForgetResult"))]
pub(crate) struct Content {
    dry_run: bool,
    /// What is gone now, or would be.
    forgotten: Vec<String>,
    /// What stays as it is, because somebody reads it.
    in_use: Vec<InUseContent>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "ForgetInUse"))]
struct InUseContent {
    id: String,
    holder: String,
}

pub(super) fn run(context: &Context<'_>, arguments: &ForgetArgs) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let found = snapshots(&repository, &context.pins, terminal)?;
    let ids = super::ids(&found, &arguments.snapshot, &super::filter(&arguments.filter)?)?;
    let done = if arguments.dry_run {
        refuse_pinned(&found, &ids)?;
        Forgotten { forgotten: ids, in_use: Vec::new() }
    } else {
        forget_snapshots(&repository, &ids, terminal)?
    };
    let failure = (!done.in_use.is_empty()).then(|| {
        let message = match done.in_use.len() {
            1 => "a snapshot is being read, and stays as it is".to_owned(),
            number => format!("{number} snapshots are being read, and stay as they are"),
        };
        Failure::new(ErrorCode::Held, message).advise("forget again when that has ended")
    });
    let text = || text(&found, &done, arguments.dry_run);
    super::tell(terminal, "containerarchive/forget/1", || content(&done, arguments.dry_run), text, failure)
}

fn refuse_pinned(found: &Snapshots, ids: &[SnapshotId]) -> Result<(), RepoError> {
    let snapshots: Vec<SnapshotId> = ids.iter().copied().filter(|id| found.is_pinned(*id)).collect();
    if snapshots.is_empty() { Ok(()) } else { Err(RepoError::Pinned { snapshots }) }
}

pub(crate) fn content(done: &Forgotten, dry_run: bool) -> Content {
    let in_use = done.in_use.iter();
    Content {
        dry_run,
        forgotten: done.forgotten.iter().map(SnapshotId::to_hex).collect(),
        in_use: in_use
            .map(|it| InUseContent { id: it.snapshot.to_hex(), holder: it.holder.clone() })
            .collect(),
    }
}

fn text(found: &Snapshots, done: &Forgotten, is_dry_run: bool) -> String {
    let mut text = String::new();
    for id in &done.forgotten {
        text.push_str(&format!("{id}{}\n", description(found, *id)));
    }
    for it in &done.in_use {
        text.push_str(&format!("{} stays: {} reads it\n", it.snapshot, Printable(&it.holder)));
    }
    let forgotten = count(done.forgotten.len() as u64, "snapshot");
    text.push_str(&if is_dry_run {
        format!("{forgotten} would be forgotten; nothing was changed\n")
    } else {
        format!("{forgotten} forgotten; the space comes back with the next prune\n")
    });
    text
}

fn description(found: &Snapshots, id: SnapshotId) -> String {
    let everything = containerarchive::Filter::default();
    match found.matching(&everything).find(|loaded| loaded.manifest.id == id) {
        Some(loaded) => {
            let series = Printable(&loaded.manifest.series);
            format!("  {}  {series}", time(loaded.manifest.created_at))
        }
        None => match found.damaged().get(&id) {
            Some(damage) => format!("  {}", Printable(&damage.text)),
            None => String::new(),
        },
    }
}
