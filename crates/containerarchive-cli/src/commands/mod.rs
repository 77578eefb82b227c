//! One file per verb: options in, the library's verb, a report out.

mod completions;
pub(crate) mod forget;
mod info;
mod ingest;
mod init;
mod key;
mod man;
mod parity;
mod pin;
pub(crate) mod prune;
pub(crate) mod reindex;
pub(crate) mod repair;
mod restore;
mod retention;
pub(crate) mod sessions;
mod show;
mod snapshots;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod unlock;
pub(crate) mod verify;

use std::collections::BTreeMap;

use containerarchive::{Filter, Selector, SnapshotId, Snapshots};
use serde::Serialize;

use crate::args::{Cli, Command, FilterArgs, KeyValue};
use crate::client::Client;
use crate::context::Context;
use crate::documents::Document;
use crate::failure::{Failure, Outcome};
use crate::rpc;
use crate::ui::Terminal;

/// Does what the user asked for.
///
/// # Errors
/// It could not be done.
pub(crate) fn run(cli: Cli, terminal: &Terminal) -> Outcome {
    // Some verbs speak of the program and need no repository.
    let context = || Context::new(&cli.global, cli.typed, terminal);
    match &cli.command {
        // Not where only the environment says so: that speaks of all verbs, and shells read these scripts.
        Command::Completions(_) | Command::Man(_) | Command::Engine if cli.typed.json => Err(no_document()),
        Command::Init(arguments) => init::run(&context()?, arguments),
        Command::Ingest(arguments) => ingest::run(&context()?, arguments),
        Command::Restore(arguments) => restore::run(&context()?, arguments),
        Command::Snapshots(arguments) => snapshots::run(&context()?, arguments),
        Command::Show(arguments) => show::run(&context()?, arguments),
        Command::Status(arguments) => status::run(&context()?, arguments),
        Command::Stats => stats::run(&context()?),
        Command::Verify(arguments) => verify::run(&context()?, arguments),
        Command::Repair(arguments) => repair::run(&context()?, arguments),
        Command::Prune(arguments) => prune::run(&context()?, arguments),
        Command::Forget(arguments) => forget::run(&context()?, arguments),
        Command::Pin(arguments) => pin::run(&context()?, arguments, true),
        Command::Unpin(arguments) => pin::run(&context()?, arguments, false),
        Command::Parity(command) => parity::run(&context()?, command),
        Command::Reindex => reindex::run(&context()?),
        Command::Unlock(arguments) => unlock::run(&context()?, arguments),
        Command::Key(command) => key::run(&context()?, command),
        Command::Info => info::run(&context()?),
        Command::Engine => rpc::run(Client::new(&cli.global)?, terminal),
        Command::Completions(arguments) => completions::run(arguments, terminal),
        Command::Man(arguments) => man::run(arguments, terminal),
    }
}

fn no_document() -> Failure {
    Failure::usage("this verb prints text or speaks a protocol, and there is no JSON document of that")
        .advise("leave out --json")
}

/// Prints what was found, as a document or for people, and then fails if that is a failure.
fn tell<T: Serialize>(
    terminal: &Terminal,
    schema: &'static str,
    content: impl FnOnce() -> T,
    text: impl FnOnce() -> String,
    failure: Option<Failure>,
) -> Outcome {
    if terminal.is_json() {
        terminal.document(&Document::new(schema, content(), terminal.problems()))?;
    } else {
        terminal.print(&text())?;
    }
    failure.map_or(Ok(()), Err)
}

fn tags(pairs: &[KeyValue]) -> Outcome<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for KeyValue { key, value } in pairs {
        if tags.insert(key.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("the tag '{key}' is given twice")));
        }
    }
    Ok(tags)
}

/// The ids of the snapshots that are meant, each once, in the order given.
pub(crate) fn ids(found: &Snapshots, selectors: &[Selector], filter: &Filter) -> Outcome<Vec<SnapshotId>> {
    let mut ids = Vec::new();
    for selector in selectors {
        let id = found.find_id(selector, filter)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn filter(arguments: &FilterArgs) -> Outcome<Filter> {
    Ok(Filter { tags: tags(&arguments.tag)?, series: arguments.series.clone(), ..Filter::default() })
}
