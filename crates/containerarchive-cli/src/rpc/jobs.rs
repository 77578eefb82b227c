//! The requests that are being worked on: how far they are, and how they are told to stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use containerarchive::{ErrorCode, Monitor, Problem, Progress};

use super::output::Output;
use super::wire::{ProblemEvent, ProgressEvent};
use crate::failure::{Failure, Outcome};
use crate::interrupt;

/// Requests at the same time: each is a thread.
const MAX_JOBS: usize = 1024;
/// Problems that are told of one request; the first ones say most.
const MAX_PROBLEMS: u32 = 1000;
/// Series of which the last size is kept.
const MAX_SERIES: usize = 10_000;
/// How often progress is told that goes on.
const MOVING: Duration = Duration::from_millis(500);
/// How often it is told that nothing moved: clients take longer silence for a hang.
const STANDING: Duration = Duration::from_secs(3);
/// How long a wait lasts before it is asked again whether it still makes sense.
const PATIENCE: Duration = Duration::from_millis(100);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request.
pub(super) struct Job {
    pub(super) id: String,
    operation: &'static str,
    cancelled: AtomicBool,
    /// Nobody wants the content of sources any more.
    pub(super) ended: Arc<AtomicBool>,
    output: Output,
    state: Mutex<State>,
}

struct State {
    progress: Progress,
    /// Bytes of all, where the library does not know.
    expected_bytes: Option<u64>,
    /// When it was told, and how many bytes were done then.
    told: (Instant, u64),
    problems: u32,
}

impl Job {
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.ended.store(true, Ordering::Relaxed);
    }

    /// How many bytes there will be.
    pub(super) fn expect_bytes(&self, bytes: Option<u64>) {
        locked(&self.state).expected_bytes = bytes;
    }

    fn tell(&self, state: &mut State) {
        let now = Instant::now();
        let (since, bytes_then) = state.told;
        let bytes = state.progress.done_bytes.saturating_sub(bytes_then) as f64;
        let rate = bytes / now.duration_since(since).as_secs_f64().max(1e-3);
        state.told = (now, state.progress.done_bytes);
        let mut progress = state.progress.clone();
        progress.total_bytes = progress.total_bytes.or(state.expected_bytes);
        let event = ProgressEvent::new(&self.id, self.operation, progress, rate);
        self.output.event(&format!("{}:progress", self.operation), &event);
        self.output.part(&self.id, &event);
    }

    fn tick(&self) {
        let mut state = locked(&self.state);
        let (since, bytes_then) = state.told;
        let pause = if state.progress.done_bytes > bytes_then { MOVING } else { STANDING };
        if since.elapsed() >= pause {
            self.tell(&mut state);
        }
    }

    /// The operation was successful.
    pub(super) fn complete(&self, bytes: u64) {
        let message = locked(&self.state).progress.subject.clone();
        let event = ProgressEvent {
            request_id: &self.id,
            operation: self.operation,
            percentage: Some(100.0),
            message,
            bytes,
            total_bytes: Some(bytes),
            rate: 0.0,
        };
        self.output.event(&format!("{}:progress", self.operation), &event);
        self.output.part(&self.id, &event);
    }
}

impl Monitor for Job {
    fn progress(&self, progress: &Progress) {
        locked(&self.state).progress.clone_from(progress);
    }

    fn problem(&self, problem: &Problem) {
        let mut state = locked(&self.state);
        state.problems += 1;
        if state.problems <= MAX_PROBLEMS {
            self.output.event("problem", &ProblemEvent::new(&self.id, problem));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || interrupt::is_interrupted()
    }
}

/// All requests.
#[derive(Default)]
pub(super) struct Jobs {
    running: Mutex<BTreeMap<String, Arc<Job>>>,
}

impl Jobs {
    /// Notes a request.
    ///
    /// # Errors
    /// There are too many, or one has this id.
    pub(super) fn begin(&self, id: &str, operation: &'static str, output: &Output) -> Outcome<Arc<Job>> {
        let mut running = locked(&self.running);
        if running.contains_key(id) {
            return Err(Failure::usage("a request with this id is being worked on"));
        }
        if running.len() >= MAX_JOBS {
            return Err(Failure::new(ErrorCode::Held, format!("{MAX_JOBS} requests are being worked on")));
        }
        let state = State {
            progress: Progress::default(),
            expected_bytes: None,
            told: (Instant::now(), 0),
            problems: 0,
        };
        let job = Arc::new(Job {
            id: id.to_owned(),
            operation,
            cancelled: AtomicBool::new(false),
            ended: Arc::default(),
            output: output.clone(),
            state: Mutex::new(state),
        });
        running.insert(id.to_owned(), Arc::clone(&job));
        Ok(job)
    }

    pub(super) fn end(&self, id: &str) {
        locked(&self.running).remove(id);
    }

    /// Whether there was one to be told to stop.
    pub(super) fn cancel(&self, id: &str) -> bool {
        locked(&self.running).get(id).map(|job| job.cancel()).is_some()
    }

    /// Tells all but one to stop.
    pub(super) fn cancel_others(&self, id: Option<&str>) {
        for job in self.all().iter().filter(|job| Some(job.id.as_str()) != id) {
            job.cancel();
        }
    }

    pub(super) fn count(&self) -> usize {
        locked(&self.running).len()
    }

    /// Reports what is due.
    pub(super) fn tick(&self) {
        for job in self.all() {
            job.tick();
        }
    }

    fn all(&self) -> Vec<Arc<Job>> {
        locked(&self.running).values().cloned().collect()
    }
}

/// How large snapshots were: what the progress of the next one of the same series is compared with.
#[derive(Default)]
pub(super) struct LastSizes(Mutex<BTreeMap<String, u64>>);

impl LastSizes {
    pub(super) fn get(&self, series: &str) -> Option<u64> {
        locked(&self.0).get(series).copied()
    }

    pub(super) fn note(&self, series: String, bytes: u64) {
        let mut sizes = locked(&self.0);
        if sizes.len() >= MAX_SERIES {
            sizes.clear();
        }
        sizes.insert(series, bytes);
    }
}

/// How many may do the same kind of work at once; the others wait, and so do those who feed them.
pub(super) struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One of them, until it is dropped.
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// The request was told to stop.
    pub(super) fn take(&self, job: &Job) -> Outcome<Slot<'_>> {
        let mut free = locked(&self.free);
        while *free == 0 {
            if job.is_cancelled() {
                return Err(Failure::new(ErrorCode::Cancelled, "interrupted"));
            }
            let waited = self.freed.wait_timeout(free, PATIENCE);
            free = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Ok(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *locked(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}
