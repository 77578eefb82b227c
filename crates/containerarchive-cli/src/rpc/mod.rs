//! The engine process: serves the requests of one client, which started it, until that is gone. `docs/RPC.md` describes
//! the protocol, `docs/rpc.schema.json` the types.

mod frames;
#[cfg(test)]
mod hostile;
mod jobs;
mod lines;
mod methods;
mod output;
mod params;
#[cfg(test)]
mod schema;
mod socket;
mod wire;

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use containerarchive::{Error, ErrorCode, Monitor, Repository};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::jobs::{Job, Jobs, LastSizes, Slots};
use self::lines::{Line, LineSplitter, MAX_LINE_BYTES};
use self::output::Output;
use self::params::{CancelParams, parse};
use self::socket::Streams;
use self::wire::{MAX_ID_BYTES, PROTOCOL, ProtocolErrorEvent, Ready, Request, id_at_the_beginning};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::ui::Terminal;

/// Ingests at the same time: each takes up to about 100 MB.
const WRITERS: usize = 4;
/// Restores at the same time.
const READERS: usize = 16;
/// From the request to stop until the process ends, whatever still goes on. Clients wait 5 s.
const STOP_PATIENCE: Duration = Duration::from_millis(4500);
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Added to the niceness of the process: where there is one processor less than work, the client, who feeds streams and
/// has other work as well, comes first. Without it the sockets ran empty while our threads had all processors.
const NICENESS: i32 = 5;
/// How often it is looked who has progress to tell.
const TICK: Duration = Duration::from_millis(100);

/// What all requests share.
struct Engine<'t> {
    client: Client,
    terminal: &'t Terminal,
    output: Output,
    streams: Streams,
    jobs: Jobs,
    writers: Slots,
    readers: Slots,
    last_sizes: LastSizes,
    repository: Mutex<Option<Arc<Repository>>>,
    is_stopping: AtomicBool,
}

/// Why the engine stops.
enum Stop {
    /// A request, which is answered when all others have ended.
    Asked(String),
    /// The client is gone, or a signal came.
    Gone,
}

/// Serves requests until the standard input ends, a signal comes, or a request asks to stop.
///
/// # Errors
/// The system refuses a folder for sockets, or threads.
pub(crate) fn run(client: Client, terminal: &Terminal) -> Outcome {
    // Before there are threads, which inherit it. A system that refuses costs speed and nothing else.
    let _ = rustix::process::nice(NICENESS);
    let (output, writer) = Output::start()?;
    let engine = Engine {
        client,
        terminal,
        output,
        streams: Streams::create()?,
        jobs: Jobs::default(),
        writers: Slots::new(WRITERS),
        readers: Slots::new(READERS),
        last_sizes: LastSizes::default(),
        repository: Mutex::default(),
        is_stopping: AtomicBool::new(false),
    };
    engine.output.event(
        "ready",
        &Ready {
            version: env!("CARGO_PKG_VERSION"),
            protocol: PROTOCOL,
            pid: std::process::id(),
            socket_folder: engine.streams.folder().display().to_string(),
        },
    );
    thread::scope(|scope| engine.serve(scope))?;
    drop(engine);
    let since = Instant::now();
    while !writer.is_finished() && since.elapsed() < LAST_WORDS {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

impl Engine<'_> {
    fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Outcome {
        let ticker = thread::Builder::new().name("ticker".to_owned()).spawn_scoped(scope, || self.tick());
        let stop = match ticker {
            Ok(_) => self.read(scope),
            Err(error) => Err(error),
        };
        self.stop();
        let failed = |error| Failure::new(ErrorCode::Failed, format!("cannot serve requests: {error}"));
        if let Stop::Asked(id) = stop.map_err(failed)? {
            self.output.succeed(&id, json!({}));
        }
        Ok(())
    }

    /// Tells progress.
    fn tick(&self) {
        while !self.is_stopping.load(Ordering::Relaxed) {
            thread::sleep(TICK);
            self.jobs.tick();
        }
    }

    /// Ends everything that goes on, and the process if something does not end.
    fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.output.end();
        self.jobs.cancel_others(None);
        let since = Instant::now();
        while self.jobs.count() > 0 {
            if since.elapsed() > STOP_PATIENCE {
                // Locks on session files end with the process: the next command sees that they are dead.
                let _ = std::fs::remove_dir_all(self.streams.folder());
                std::process::exit(1);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn read<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> io::Result<Stop> {
        let mut input = File::from(rustix::io::dup(rustix::stdio::stdin())?);
        let mut splitter = LineSplitter::new(MAX_LINE_BYTES);
        let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
        while !interrupt::is_interrupted() && !self.output.is_closed() {
            if !interrupt::wait_for(&input)? {
                continue;
            }
            let count = match input.read(&mut buffer) {
                Ok(0) => return Ok(Stop::Gone),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Stop::Gone),
                Err(error) => return Err(error),
            };
            for line in splitter.push(&buffer[..count]) {
                if let Some(id) = self.answer(scope, &line) {
                    return Ok(Stop::Asked(id));
                }
            }
        }
        Ok(Stop::Gone)
    }

    /// Answers a line, or begins to. Gives the id of the request to stop, if it is that.
    fn answer<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, line: &Line) -> Option<String> {
        let line = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => return None,
            Line::Whole(line) => line,
            Line::TooLong(head) => {
                let text = format!("a line is longer than {MAX_LINE_BYTES} bytes");
                self.refuse(id_at_the_beginning(head).as_deref(), &Failure::usage(text));
                return None;
            }
        };
        let request: Request<'_> = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => {
                // The error says where and what was expected, and not what stands there.
                let text = format!("a line is no request, {{\"id\",\"method\",\"params\"}}: {error}");
                self.refuse(None, &Failure::usage(text));
                return None;
            }
        };
        if request.id.is_empty() || request.id.len() > MAX_ID_BYTES {
            let text = format!("the id of a request has 1 to {MAX_ID_BYTES} bytes");
            self.refuse(None, &Failure::usage(text));
            return None;
        }
        let params = Zeroizing::new(request.params.map_or("{}", |params| params.get()).to_owned());
        match request.method.as_str() {
            "shutdown" => return Some(request.id),
            "cancel" => match parse::<CancelParams>(&params) {
                Ok(params) => {
                    let cancelled = self.jobs.cancel(&params.request_id);
                    self.output.succeed(&request.id, json!({ "cancelled": cancelled }));
                }
                Err(failure) => self.output.refuse(&request.id, &failure),
            },
            method => {
                if let Err(failure) = self.begin(scope, &request.id, method, params) {
                    self.output.refuse(&request.id, &failure);
                }
            }
        }
        None
    }

    fn refuse(&self, id: Option<&str>, failure: &Failure) {
        match id {
            Some(id) => self.output.refuse(id, failure),
            None => self.output.event("protocol:error", &ProtocolErrorEvent { error: failure.into() }),
        }
    }

    /// Starts a thread for the request.
    fn begin<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        id: &str,
        method: &str,
        params: Zeroizing<String>,
    ) -> Outcome {
        let Some((_, operation, call)) = methods::METHODS.iter().find(|(name, ..)| *name == method) else {
            let names: Vec<&str> = methods::METHODS.iter().map(|(name, ..)| *name).collect();
            let method: String = method.chars().take(100).collect();
            let text = format!("there is no method '{method}'; there are: {}", names.join(", "));
            return Err(Failure::usage(text));
        };
        let job = self.jobs.begin(id, operation, &self.output)?;
        let responder = Responder { engine: self, job, is_done: false };
        let run = move || responder.respond(*call, &params);
        // On failure the responder, which is dropped with the closure, has answered.
        let _ = thread::Builder::new().name("request".to_owned()).spawn_scoped(scope, run);
        Ok(())
    }
}

/// Answers one request exactly once, also if its thread panics or cannot be started.
struct Responder<'e, 't> {
    engine: &'e Engine<'t>,
    job: Arc<Job>,
    is_done: bool,
}

impl Responder<'_, '_> {
    fn respond(mut self, call: methods::Call, params: &str) {
        let done = call(self.engine, &self.job, params);
        self.answer(done);
    }

    fn answer(&mut self, done: Outcome<Value>) {
        self.is_done = true;
        let is_cancelled = self.job.is_cancelled();
        // Before the answer: whoever has it may use the id again.
        self.engine.jobs.end(&self.job.id);
        match done {
            Ok(result) => self.engine.output.succeed(&self.job.id, result),
            Err(failure) => {
                self.engine.output.refuse(&self.job.id, &failure.or_interrupted(is_cancelled));
            }
        }
    }
}

impl Drop for Responder<'_, '_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.answer(Err(Error::Worker.into()));
        }
    }
}
