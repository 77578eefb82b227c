//! What goes over standard input and output: requests, replies, parts of replies, events.

use containerarchive::{Problem, Progress};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::output::{MAX_RESULT_BYTES, Output, fit};
use crate::documents::ProblemDocument;
use crate::failure::Failure;

/// Counts up when a client of before could not work with this engine any more.
pub(super) const PROTOCOL: u32 = 1;
/// Longest id of a request, in bytes.
pub(super) const MAX_ID_BYTES: usize = 128;
/// Longest text of an error, in bytes: some list what there is instead.
const MAX_TEXT_BYTES: usize = 16 << 10;

/// A request, in its line.
#[derive(Deserialize)]
pub(super) struct Request<'a> {
    pub(super) id: String,
    pub(super) method: String,
    /// Not read yet: it may hold a passphrase, and the line is wiped.
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Success<'a> {
    id: &'a str,
    success: bool,
    result: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal<'a> {
    id: &'a str,
    success: bool,
    /// `E_CODE: text`, for clients that know nothing else.
    error: String,
    error_info: ErrorInfo<'a>,
}

/// Why a request failed, or why a line is none.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ErrorInfo<'a> {
    /// One of `docs/ERRORS.md`.
    code: &'static str,
    /// The same request may succeed later without anybody doing anything.
    retryable: bool,
    details: ErrorDetails<'a>,
}

/// More about an error.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ErrorDetails<'a> {
    /// What happened and why.
    message: &'a str,
    /// What to do.
    advice: &'static str,
    /// What the command line would end with.
    exit_code: u8,
}

impl<'a> From<&'a Failure> for ErrorInfo<'a> {
    fn from(failure: &'a Failure) -> Self {
        let message = failure.message();
        Self {
            code: failure.code().as_str(),
            retryable: failure.is_retryable(),
            details: ErrorDetails {
                message: &message[..message.floor_char_boundary(MAX_TEXT_BYTES)],
                advice: failure.advice(),
                exit_code: failure.exit_code(),
            },
        }
    }
}

#[derive(Serialize)]
struct Part<'a, T> {
    id: &'a str,
    stream: bool,
    data: &'a T,
}

#[derive(Serialize)]
struct Event<'a, T> {
    event: &'a str,
    data: &'a T,
}

/// The first event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Ready<'a> {
    /// Of this program.
    pub(super) version: &'a str,
    /// Of the protocol.
    pub(super) protocol: u32,
    pub(super) pid: u32,
    /// The folder of the sockets, to be removed by whoever kills the engine.
    pub(super) socket_folder: String,
}

/// `ingest:progress` and the like.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ProgressEvent<'a> {
    pub(super) request_id: &'a str,
    /// `ingest`, `restore`, `verify`, `prune`, `repair`, `reindex` …
    pub(super) operation: &'a str,
    /// 0 to 100, at most 99 until the end; null where the size is not known.
    pub(super) percentage: Option<f64>,
    /// What is being worked on.
    pub(super) message: String,
    pub(super) bytes: u64,
    pub(super) total_bytes: Option<u64>,
    /// Bytes per second since the last report.
    pub(super) rate: f64,
}

impl<'a> ProgressEvent<'a> {
    /// Of an operation that goes on.
    pub(super) fn new(request_id: &'a str, operation: &'a str, progress: Progress, rate: f64) -> Self {
        let Progress { subject, done_bytes, total_bytes } = progress;
        let share = |total: u64| (100.0 * done_bytes as f64 / total.max(1) as f64).min(99.0);
        let percentage = total_bytes.map(share);
        Self { request_id, operation, percentage, message: subject, bytes: done_bytes, total_bytes, rate }
    }
}

/// `problem`: something that does not end the request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ProblemEvent<'a> {
    pub(super) request_id: &'a str,
    pub(super) problem: ProblemDocument,
}

impl<'a> ProblemEvent<'a> {
    pub(super) fn new(request_id: &'a str, problem: &Problem) -> Self {
        Self { request_id, problem: problem.into() }
    }
}

/// `protocol:error`: a line that is no request, or has no id.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ProtocolErrorEvent<'a> {
    pub(super) error: ErrorInfo<'a>,
}

impl Output {
    /// A request is done.
    pub(super) fn succeed(&self, id: &str, result: Value) {
        self.send(&Success { id, success: true, result: fit(result, MAX_RESULT_BYTES) });
    }

    /// A request failed.
    pub(super) fn refuse(&self, id: &str, failure: &Failure) {
        let error_info = ErrorInfo::from(failure);
        let error = format!("{}: {}", error_info.code, error_info.details.message);
        self.send(&Refusal { id, success: false, error, error_info });
    }

    /// A request goes on.
    pub(super) fn part(&self, id: &str, data: &impl Serialize) {
        self.send(&Part { id, stream: true, data });
    }

    /// Something happened.
    pub(super) fn event(&self, event: &str, data: &impl Serialize) {
        self.send(&Event { event, data });
    }
}

/// The id that a line begins with which is too long to be read: clients write it first.
pub(super) fn id_at_the_beginning(head: &[u8]) -> Option<String> {
    let rest = head.strip_prefix(br#"{"id":""#)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let id = std::str::from_utf8(&rest[..end]).ok()?;
    (!id.contains('\\') && id.len() <= MAX_ID_BYTES).then(|| id.to_owned())
}
