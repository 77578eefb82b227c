//! `restore`, `restoreToPath`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use containerarchive::{
    Filter, LoadedManifest, Monitor, Problem, Progress, Repository, RestoreOptions, RestoreReport,
    RestoreTarget, snapshots,
};
use serde::Serialize;
use serde_json::Value;

use super::{read, to_value};
use crate::args::values;
use crate::failure::{Failure, Outcome};
use crate::rpc::Engine;
use crate::rpc::frames::FrameWriter;
use crate::rpc::jobs::Job;
use crate::rpc::params::{RestoreParams, RestoreToPathParams, parse};
use crate::rpc::socket::DataSocket;

/// `restore` and `restoreToPath`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::rpc) struct RestoreResult {
    /// Of the snapshot.
    snapshot_id: String,
    /// Bytes that were written.
    bytes: u64,
    /// CRC-32 of what went into the stream; null of folders.
    crc32: Option<u32>,
    items: Vec<RestoredItem>,
    /// Chunks whose first copy was damaged: what was restored is right, and the repository needs a repair.
    mended: u64,
    mended_packs: Vec<String>,
    healed_packs: Vec<String>,
}

/// An item that was restored.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RestoredItem {
    name: String,
    size: u64,
}

impl RestoreResult {
    fn new(snapshot: &LoadedManifest) -> Self {
        Self {
            snapshot_id: snapshot.manifest.id.to_hex(),
            bytes: 0,
            crc32: None,
            items: Vec::new(),
            mended: 0,
            mended_packs: Vec::new(),
            healed_packs: Vec::new(),
        }
    }

    fn add(&mut self, report: &RestoreReport) {
        for (name, size) in &report.items {
            self.bytes += size;
            self.items.push(RestoredItem { name: name.clone(), size: *size });
        }
        self.mended += report.mended_chunks;
        self.mended_packs.extend(report.mended_packs.iter().map(|mended| mended.pack.to_hex()));
        self.healed_packs.extend(report.healed_packs.iter().map(|pack| pack.to_hex()));
    }
}

/// Of an item that comes after others: their bytes are done already.
struct Behind<'a> {
    job: &'a Job,
    bytes: u64,
}

impl Monitor for Behind<'_> {
    fn progress(&self, progress: &Progress) {
        let done_bytes = self.bytes + progress.done_bytes;
        self.job.progress(&Progress { done_bytes, total_bytes: None, subject: progress.subject.clone() });
    }

    fn problem(&self, problem: &Problem) {
        self.job.problem(problem);
    }

    fn is_cancelled(&self) -> bool {
        self.job.is_cancelled()
    }
}

pub(super) fn restore(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: RestoreParams = parse(params)?;
    let waiting = engine.streams.take(&params.stream_id)?;
    let ended = Arc::clone(&job.ended);
    let is_unwanted = Box::new(move || ended.load(Ordering::Relaxed) || crate::interrupt::is_interrupted());
    let mut writer = FrameWriter::new(DataSocket::new(waiting, is_unwanted));
    let done = restore_stream(engine, job, &params, &mut writer);
    if let Err(failure) = &done {
        // So that whoever reads only the stream learns of it, too; they may be gone.
        let _ = writer.give_up(&format!("{}: {}", failure.code().as_str(), failure.message()));
    }
    to_value(&done?)
}

fn restore_stream(
    engine: &Engine<'_>,
    job: &Job,
    params: &RestoreParams,
    writer: &mut FrameWriter<DataSocket>,
) -> Outcome<RestoreResult> {
    let repository = engine.repository()?;
    let _slot = engine.readers.take(job)?;
    let item = params.item.as_deref();
    let snapshot = find(engine, job, &repository, &params.id, item)?;
    job.expect_bytes(Some(bytes_of(&snapshot, item)));
    let mut result = RestoreResult::new(&snapshot);
    let wanted: Vec<&str> = match item {
        Some(item) => vec![item],
        None => snapshot.manifest.items.iter().map(|item| item.name.as_str()).collect(),
    };
    for item in wanted {
        let options = RestoreOptions { item: Some(item), threads: engine.client.threads, heal: false };
        let monitor = Behind { job, bytes: result.bytes };
        let target = RestoreTarget::Stream(writer);
        result.add(&containerarchive::restore(&repository, &snapshot, target, &options, &monitor)?);
    }
    let lost =
        |error| Failure::from(containerarchive::Error::Output { item: params.id.clone(), source: error });
    writer.end().map_err(lost)?;
    let (bytes, crc32) = writer.sum();
    result.crc32 = Some(crc32);
    job.complete(bytes);
    Ok(result)
}

pub(super) fn restore_to_path(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: RestoreToPathParams = parse(params)?;
    let repository = engine.repository()?;
    let _slot = engine.readers.take(job)?;
    let item = params.item.as_deref();
    let snapshot = find(engine, job, &repository, &params.id, item)?;
    job.expect_bytes(Some(bytes_of(&snapshot, item)));
    let options = RestoreOptions { item, threads: engine.client.threads, heal: params.heal.unwrap_or(false) };
    let target = RestoreTarget::Folder { path: &params.path, overwrite: params.overwrite.unwrap_or(false) };
    let mut result = RestoreResult::new(&snapshot);
    result.add(&containerarchive::restore(&repository, &snapshot, target, &options, job)?);
    job.complete(result.bytes);
    to_value(&result)
}

fn find(
    engine: &Engine<'_>,
    job: &Job,
    repository: &Repository,
    id: &str,
    item: Option<&str>,
) -> Outcome<LoadedManifest> {
    let selector = read(id, "id", values::parse_selector)?;
    let is_latest = matches!(selector, containerarchive::Selector::Latest(_));
    let item = item.filter(|_| is_latest).map(str::to_owned);
    let found = snapshots(repository, &engine.client.pins, job)?;
    Ok(found.find(&selector, &Filter { item, ..Filter::default() })?.clone())
}

fn bytes_of(snapshot: &LoadedManifest, item: Option<&str>) -> u64 {
    let items = snapshot.manifest.items.iter();
    items.filter(|candidate| item.is_none_or(|name| candidate.name == name)).map(|item| item.size).sum()
}
