//! `parity`: how well packs are protected.

use containerarchive::{GroupStatus, Parity, ParityOverview, set_parity};
use serde::Serialize;

use crate::args::{ParityCommand, ParitySetArgs};
use crate::context::Context;
use crate::documents::Document;
use crate::failure::Outcome;
use crate::ui::{Table, count, size};

/// Groups that the text lists: those that lost something come first.
const LISTED_GROUPS: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    level: String,
    /// How many more packs may be lost in the worst group; null without groups.
    margin: Option<i64>,
    protected_packs: u64,
    protected_bytes: u64,
    unprotected_packs: u64,
    unprotected_bytes: u64,
    parity_bytes: u64,
    unreadable_shards: u64,
    groups: Vec<GroupContent>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupContent {
    id: String,
    margin: i64,
    members: u32,
    missing_members: u32,
    shards: u32,
    missing_shards: u32,
    protected_bytes: u64,
    parity_bytes: u64,
}

#[derive(Serialize)]
struct SetContent {
    before: String,
    level: String,
}

pub(super) fn run(context: &Context<'_>, command: &ParityCommand) -> Outcome {
    match command {
        ParityCommand::Status => status(context),
        ParityCommand::Set(arguments) => set(context, arguments),
    }
}

fn status(context: &Context<'_>) -> Outcome {
    let repository = context.open()?;
    let terminal = context.terminal;
    let report = repository.parity_overview()?;
    if terminal.is_json() {
        let document = Document::new("containerarchive/parity/1", content(&report), terminal.problems());
        return terminal.document(&document);
    }
    terminal.print(&text(&report))
}

fn content(report: &ParityOverview) -> Content {
    let group = |group: &GroupStatus| GroupContent {
        id: group.id.to_hex(),
        margin: group.margin(),
        members: group.members,
        missing_members: group.missing_members,
        shards: group.shards,
        missing_shards: group.missing_shards,
        protected_bytes: group.protected_bytes,
        parity_bytes: group.parity_bytes,
    };
    Content {
        level: report.level.to_string(),
        margin: report.margin(),
        protected_packs: report.protected_packs,
        protected_bytes: report.protected_bytes,
        unprotected_packs: report.unprotected_packs,
        unprotected_bytes: report.unprotected_bytes,
        parity_bytes: report.parity_bytes,
        unreadable_shards: report.unreadable_shards,
        groups: report.groups.iter().map(group).collect(),
    }
}

fn text(report: &ParityOverview) -> String {
    let mut text = match report.level {
        Parity::Off => "new packs      get no parity\n".to_owned(),
        Parity::Groups { members, shards } => {
            format!("new packs      {members}+{shards}: any {shards} of up to {members} may be lost\n")
        }
    };
    let share = report.parity_bytes as f64 * 100.0 / report.protected_bytes.max(1) as f64;
    text.push_str(&format!(
        "protected      {}, {} in {}\nparity         {} ({share:.1} %)\n",
        count(report.protected_packs, "pack"),
        size(report.protected_bytes),
        count(report.groups.len() as u64, "group"),
        size(report.parity_bytes),
    ));
    if report.unprotected_packs > 0 {
        text.push_str(&format!(
            "unprotected    {}, {}: 'containerarchive repair' protects them unless parity is off\n",
            count(report.unprotected_packs, "pack"),
            size(report.unprotected_bytes)
        ));
    }
    if let Some(margin) = report.margin() {
        text.push_str(&match margin {
            0.. => {
                let more = count(margin.unsigned_abs(), "more pack");
                format!("margin         {more} of the worst group may be lost\n")
            }
            _ => format!("margin         {margin}: more packs of a group are missing than can be rebuilt\n"),
        });
    }
    if report.unreadable_shards > 0 {
        text.push_str(&format!("unreadable     {}\n", count(report.unreadable_shards, "shard")));
    }
    text.push_str("judged by which files are there; 'containerarchive verify' reads them\n");
    let listed = report.groups.iter().take(LISTED_GROUPS);
    let mut table = Table::new(
        &["GROUP", "PACKS", "MISSING", "SHARDS", "MISSING", "MARGIN", "SIZE"],
        &[1, 2, 3, 4, 5, 6],
    );
    for group in listed {
        table.row([
            group.id.to_hex()[..16].to_owned(),
            group.members.to_string(),
            group.missing_members.to_string(),
            group.shards.to_string(),
            group.missing_shards.to_string(),
            group.margin().to_string(),
            size(group.protected_bytes),
        ]);
    }
    if !report.groups.is_empty() {
        text.push_str(&format!("\n{table}"));
    }
    if report.groups.len() > LISTED_GROUPS {
        text.push_str(&format!("and {} more, no worse\n", report.groups.len() - LISTED_GROUPS));
    }
    text
}

fn set(context: &Context<'_>, arguments: &ParitySetArgs) -> Outcome {
    let mut repository = context.open()?;
    let terminal = context.terminal;
    let before = repository.settings.parity;
    if before != arguments.level {
        set_parity(&mut repository, arguments.level)?;
    }
    if terminal.is_json() {
        let content = SetContent { before: before.to_string(), level: arguments.level.to_string() };
        return terminal.document(&Document::new(
            "containerarchive/parity-set/1",
            content,
            terminal.problems(),
        ));
    }
    terminal.print(&format!(
        "parity of new packs: {} (before: {before}); groups that are there stay as they are\n",
        arguments.level
    ))
}
