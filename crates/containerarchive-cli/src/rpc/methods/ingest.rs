//! `ingest`, `ingestMulti`, `ingestPath`, `ingestCommand`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use containerarchive::{IngestItem, IngestOptions, Monitor, Problem, Progress};
use serde::Serialize;
use serde_json::Value;

use super::{time, to_value};
use crate::args::NamedCommand;
use crate::documents::SnapshotDocument;
use crate::failure::{Failure, Outcome};
use crate::rpc::Engine;
use crate::rpc::frames::FrameReader;
use crate::rpc::jobs::Job;
use crate::rpc::params::{
    IngestCommandParams, IngestMultiParams, IngestParams, IngestPathParams, StreamItem, parse,
};
use crate::rpc::socket::DataSocket;
use crate::source;

/// Name of an item that nobody named.
const UNNAMED: &str = "data";
/// Type of an item of which nothing is known.
const STREAM: &str = "stream";

/// `ingest:complete`: the snapshot was acknowledged.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::rpc) struct CompleteEvent<'a> {
    request_id: &'a str,
    snapshot_id: String,
    original_size: u64,
    stored_size: u64,
    chunk_count: u64,
    new_chunks: u64,
    reused_chunks: u64,
}

/// What is said of a snapshot, whatever it is made of.
struct About {
    tags: Option<BTreeMap<String, String>>,
    series: Option<String>,
    time: Option<String>,
    min_size: Option<u64>,
    expect_tail: Option<String>,
}

/// The items are read at once, and each tells its own progress: that of the operation is their sum.
struct Together<'a> {
    job: &'a Job,
    done_bytes: Mutex<BTreeMap<String, u64>>,
}

impl Monitor for Together<'_> {
    fn progress(&self, progress: &Progress) {
        let mut items = self.done_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        items.insert(progress.subject.clone(), progress.done_bytes);
        let done_bytes = items.values().sum();
        self.job.progress(&Progress { done_bytes, total_bytes: None, subject: progress.subject.clone() });
    }

    fn problem(&self, problem: &Problem) {
        self.job.problem(problem);
    }

    fn is_cancelled(&self) -> bool {
        self.job.is_cancelled()
    }
}

/// Takes it out of parameters, which all have it.
macro_rules! about {
    ($params:ident) => {
        About {
            tags: $params.tags,
            series: $params.series,
            time: $params.time,
            min_size: $params.min_size,
            expect_tail: $params.expect_tail,
        }
    };
}

pub(super) fn ingest(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: IngestParams = parse(params)?;
    let stream_id = params.stream_id;
    let mut items = params.items.unwrap_or_default().into_iter();
    let stream = match (items.next(), items.next()) {
        (None, _) => StreamItem { stream_id, name: None, r#type: None, size: None },
        (Some(item), None) => {
            StreamItem { stream_id, name: Some(item.name), r#type: item.r#type, size: item.size }
        }
        (Some(_), Some(_)) => {
            return Err(Failure::usage("one stream is one item, and there are several items")
                .advise("use 'ingestMulti', with a stream for each"));
        }
    };
    let items = vec![stream_item(engine, job, stream)?];
    store(engine, job, items, about!(params))
}

pub(super) fn ingest_multi(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: IngestMultiParams = parse(params)?;
    let items: Outcome<Vec<_>> =
        params.streams.into_iter().map(|stream| stream_item(engine, job, stream)).collect();
    store(engine, job, items?, about!(params))
}

pub(super) fn ingest_path(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: IngestPathParams = parse(params)?;
    source::raise_file_limit();
    let open = |item: crate::rpc::params::PathItem| {
        if !item.path.is_absolute() {
            return Err(Failure::usage(format!("the path {} is not absolute", item.path.display()))
                .advise("the engine's working folder need not be the client's: give whole paths"));
        }
        source::open(item.name, &item.path, item.r#type.as_deref(), &job.ended)
    };
    let items: Outcome<Vec<_>> = params.items.into_iter().map(open).collect();
    store(engine, job, items?, about!(params))
}

pub(super) fn ingest_command(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: IngestCommandParams = parse(params)?;
    let items = params.items.into_iter().map(|item| {
        let named = NamedCommand { name: item.name, command: item.command.into() };
        source::command(&named, item.r#type.as_deref(), &job.ended)
    });
    store(engine, job, items.collect(), about!(params))
}

fn stream_item(engine: &Engine<'_>, job: &Job, stream: StreamItem) -> Outcome<IngestItem<'static>> {
    let waiting = engine.streams.take(&stream.stream_id)?;
    let ended = Arc::clone(&job.ended);
    let is_unwanted = Box::new(move || ended.load(Ordering::Relaxed) || crate::interrupt::is_interrupted());
    Ok(IngestItem {
        name: stream.name.unwrap_or_else(|| UNNAMED.to_owned()),
        item_type: stream.r#type.unwrap_or_else(|| STREAM.to_owned()),
        source: Box::new(FrameReader::new(DataSocket::new(waiting, is_unwanted))),
        size_hint: stream.size,
    })
}

fn store(engine: &Engine<'_>, job: &Job, items: Vec<IngestItem<'static>>, about: About) -> Outcome<Value> {
    let repository = engine.repository()?;
    let _slot = engine.writers.take(job)?;
    let size: Option<u64> = items.iter().map(|item| item.size_hint).sum();
    let series = about.series.clone();
    let key =
        series.unwrap_or_else(|| items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>().join(","));
    job.expect_bytes(size.or_else(|| engine.last_sizes.get(&key)));
    let options = IngestOptions {
        tags: about.tags.unwrap_or_default(),
        series: about.series,
        time: time(about.time.as_ref(), "time")?,
        min_size_bytes: about.min_size.unwrap_or(0),
        expected_tail: about.expect_tail.map(String::into_bytes),
        threads: engine.client.threads,
        pins: &engine.client.pins,
        ended: Arc::clone(&job.ended),
    };
    let monitor = Together { job, done_bytes: Mutex::default() };
    let manifest = containerarchive::ingest(&repository, items, &options, &monitor)?.manifest;
    engine.last_sizes.note(key, manifest.original_size);
    job.complete(manifest.original_size);
    let complete = CompleteEvent {
        request_id: &job.id,
        snapshot_id: manifest.id.to_hex(),
        original_size: manifest.original_size,
        stored_size: manifest.stored_size,
        chunk_count: manifest.chunk_count,
        new_chunks: manifest.new_chunks,
        reused_chunks: manifest.reused_chunks,
    };
    engine.output.event("ingest:complete", &complete);
    to_value(&SnapshotDocument::with_evidence(&manifest))
}
