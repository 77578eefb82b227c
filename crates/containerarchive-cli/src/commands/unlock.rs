//! `unlock`: ends the sessions of processes that are gone, or all.

use containerarchive::{UnlockOptions, UnlockReport, unlock};
use serde::Serialize;

use super::sessions::{SessionContent, session_content, session_table};
use crate::args::UnlockArgs;
use crate::context::Context;
use crate::failure::Outcome;
use crate::ui::{count, output_width};

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "UnlockResult"))]
pub(crate) struct Content<'a> {
    /// As they stood before.
    ended: Vec<SessionContent<'a>>,
    left: Vec<SessionContent<'a>>,
}

pub(super) fn run(context: &Context<'_>, arguments: &UnlockArgs) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let report = unlock(&repository, UnlockOptions { force: arguments.force }, terminal)?;
    let text = || text(&report, output_width());
    super::tell(terminal, "containerarchive/unlock/1", || content(&report), text, None)
}

pub(crate) fn content(report: &UnlockReport) -> Content<'_> {
    Content {
        ended: report.ended.iter().map(session_content).collect(),
        left: report.left.iter().map(session_content).collect(),
    }
}

/// `width`: columns of the terminal that it is for.
fn text(report: &UnlockReport, width: Option<usize>) -> String {
    let sessions = |sessions: &[_]| count(sessions.len() as u64, "session");
    let mut text = String::new();
    if !report.ended.is_empty() {
        text.push_str(&format!("{} ended:\n", sessions(&report.ended)));
        text.push_str(&session_table(&report.ended, width));
    }
    if report.forced().next().is_some() {
        text.push_str(
            "those that still run go on: ingests commit under a new session, and nothing that was acknowledged is lost; \
             end what hangs by its process\n",
        );
    }
    if !report.left.is_empty() {
        text.push_str(&format!("{} left alone, which may be running:\n", sessions(&report.left)));
        text.push_str(&session_table(&report.left, width));
        text.push_str("what hangs is ended by its process; --force ends sessions that run, too\n");
    }
    if text.is_empty() {
        text.push_str("there are no sessions\n");
    }
    text
}
