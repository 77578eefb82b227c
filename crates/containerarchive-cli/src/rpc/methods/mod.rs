//! The methods. Each reads its parameters, calls one verb of the library, and gives the result as the command line's
//! documents have it.

pub(super) mod ingest;
pub(super) mod listing;
pub(super) mod maintenance;
mod repository;
pub(super) mod restore;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use containerarchive::{ErrorCode, Filter, Repository, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::Engine;
use super::jobs::Job;
use super::params::{NoParams, parse};
use crate::args::values;
use crate::failure::{Failure, Outcome};

/// Does what a request asks for.
pub(super) type Call = fn(&Engine<'_>, &Job, &str) -> Outcome<Value>;

/// The methods, what their progress is called, and what does them. `cancel` and `shutdown` come before all of these.
pub(super) const METHODS: &[(&str, &str, Call)] = &[
    ("init", "init", repository::init),
    ("open", "open", repository::open),
    ("info", "info", repository::info),
    ("close", "close", repository::close),
    ("streamOpen", "streamOpen", stream_open),
    ("ingest", "ingest", ingest::ingest),
    ("ingestMulti", "ingest", ingest::ingest_multi),
    ("ingestPath", "ingest", ingest::ingest_path),
    ("ingestCommand", "ingest", ingest::ingest_command),
    ("restore", "restore", restore::restore),
    ("restoreToPath", "restore", restore::restore_to_path),
    ("listSnapshots", "list", listing::list_snapshots),
    ("getSnapshot", "list", listing::get_snapshot),
    ("listItems", "list", listing::list_items),
    ("verify", "verify", maintenance::verify),
    ("prune", "prune", maintenance::prune),
    ("forget", "forget", maintenance::forget),
    ("repair", "repair", maintenance::repair),
    ("reindex", "reindex", maintenance::reindex),
    ("unlock", "unlock", maintenance::unlock),
    ("stats", "stats", maintenance::stats),
    ("status", "status", maintenance::status),
];

/// `streamOpen`: a socket that an operation may be given.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct StreamOpenResult {
    stream_id: String,
    /// Of the Unix socket to connect to, once.
    path: String,
}

fn stream_open(engine: &Engine<'_>, _job: &Job, params: &str) -> Outcome<Value> {
    parse::<NoParams>(params)?;
    let (stream_id, path) = engine.streams.open()?;
    to_value(&StreamOpenResult { stream_id, path: path.display().to_string() })
}

impl Engine<'_> {
    /// The open repository.
    fn repository(&self) -> Outcome<Arc<Repository>> {
        let open = self.repository.lock().unwrap_or_else(PoisonError::into_inner);
        open.clone()
            .ok_or_else(|| Failure::usage("no repository is open").advise("call 'open' or 'init' first"))
    }

    fn set_repository(&self, repository: Option<Repository>) {
        *self.repository.lock().unwrap_or_else(PoisonError::into_inner) = repository.map(Arc::new);
    }
}

fn to_value(result: &impl Serialize) -> Outcome<Value> {
    serde_json::to_value(result)
        .map_err(|error| Failure::new(ErrorCode::Failed, format!("cannot write the result as JSON: {error}")))
}

/// A text with a form of its own.
fn read<T>(text: &str, what: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Outcome<T> {
    parse(text).map_err(|why| Failure::usage(format!("{what}: {why}")))
}

fn read_if<T>(
    text: Option<&String>,
    what: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Outcome<Option<T>> {
    text.map(|text| read(text, what, parse)).transpose()
}

fn time(text: Option<&String>, what: &str) -> Outcome<Option<Timestamp>> {
    read_if(text, what, values::parse_time)
}

fn filter(tags: Option<BTreeMap<String, String>>, series: Option<String>) -> Filter {
    Filter { tags: tags.unwrap_or_default(), series, ..Filter::default() }
}

/// Nothing to tell but that it is done.
fn nothing() -> Value {
    json!({})
}
