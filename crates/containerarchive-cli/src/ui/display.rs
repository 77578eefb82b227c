//! Progress on the standard error. A thread of its own draws it, so that a terminal that was stopped stops no work.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use containerarchive::Progress;

use super::progress::Tracker;
use super::screen::{self, Screen};
use super::{bar, json};
use crate::interrupt;

/// Ten redraws a second.
const REDRAW: Duration = Duration::from_millis(100);
/// What is over sooner gets no line on a terminal, which would only flash.
const PATIENCE: Duration = Duration::from_millis(300);
const JSON_INTERVAL: Duration = Duration::from_secs(1);
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);
/// What takes longer to end is explained to a person who interrupted it.
const STOPPING: Duration = Duration::from_secs(1);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// One line of a terminal.
    Line,
    /// A line of a log now and then.
    Plain,
    Json,
    Nothing,
}

/// Shows how far an operation is.
pub(super) struct Display {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What an interrupted operation was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Goes,
    /// The line is gone since then.
    Cleared(Instant),
    Explained,
}

struct Shared {
    show: Show,
    /// Held for moments only: workers wait for it.
    tracker: Mutex<Option<Tracker>>,
    /// The operation has ended.
    ended: Condvar,
    /// Held while something is written, which a terminal may hold up.
    screen: Mutex<Screen>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Display {
    pub(super) fn new(show: Show) -> Self {
        let shared =
            Shared { show, tracker: Mutex::default(), ended: Condvar::new(), screen: Mutex::default() };
        Self { shared: Arc::new(shared), thread: Mutex::default() }
    }

    /// Progress from here on is that of one operation.
    pub(super) fn begin(&self, operation: &'static str, total_bytes: Option<u64>) {
        self.end();
        if self.shared.show == Show::Nothing {
            return;
        }
        let now = Instant::now();
        *lock(&self.shared.tracker) = Some(Tracker::new(operation, total_bytes, now));
        if self.shared.show == Show::Json {
            self.shared.draw(now);
        }
        let shared = Arc::clone(&self.shared);
        let spawned = std::thread::Builder::new().name("progress".to_owned()).spawn(move || shared.run());
        // Without the thread nothing is shown, which is no reason to fail.
        *lock(&self.thread) = spawned.ok();
    }

    pub(super) fn update(&self, progress: &Progress) {
        if let Some(tracker) = lock(&self.shared.tracker).as_mut() {
            tracker.update(progress, Instant::now());
        }
    }

    /// The operation was cut short: the line disappears.
    pub(super) fn end(&self) -> Option<Tracker> {
        let tracker = lock(&self.shared.tracker).take();
        self.shared.ended.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // A panic in it has been printed.
            let _ = thread.join();
        }
        lock(&self.shared.screen).clear();
        tracker
    }

    /// The operation was successful.
    pub(super) fn complete(&self, is_json: bool) {
        let Some(tracker) = self.end() else { return };
        let now = Instant::now();
        let elapsed = tracker.elapsed(now);
        match self.shared.show {
            Show::Json => self.shared.tell_json(json::line(&tracker.last_line(now))),
            Show::Line if elapsed >= STOPPING && !is_json => self.tell(&tracker.summary(now)),
            Show::Plain if elapsed >= PLAIN_INTERVAL => self.tell(&tracker.summary(now)),
            _ => {}
        }
    }

    /// A line of text that stays. It must have been escaped.
    pub(super) fn tell(&self, text: &str) {
        self.shared.tell(text);
    }
}

impl Shared {
    fn run(&self) {
        let begun = Instant::now();
        let mut shown = None;
        let mut stop = Stop::Goes;
        let mut tracker = lock(&self.tracker);
        loop {
            tracker = self.ended.wait_timeout(tracker, REDRAW).unwrap_or_else(PoisonError::into_inner).0;
            let now = Instant::now();
            let Some(current) = tracker.as_mut() else { return };
            // Rates are told by what was seen before.
            current.sample(now);
            drop(tracker);
            if self.show == Show::Line && interrupt::is_interrupted() {
                stop = self.stop(now, stop);
            } else if now.duration_since(shown.unwrap_or(begun)) >= self.interval(shown.is_none()) {
                self.draw(now);
                shown = Some(now);
            }
            tracker = lock(&self.tracker);
        }
    }

    fn interval(&self, is_first: bool) -> Duration {
        match self.show {
            Show::Line if is_first => PATIENCE,
            Show::Line | Show::Nothing => Duration::ZERO,
            Show::Plain => PLAIN_INTERVAL,
            Show::Json => JSON_INTERVAL,
        }
    }

    fn draw(&self, now: Instant) {
        let mut tracker = lock(&self.tracker);
        let Some(current) = tracker.as_mut() else { return };
        match self.show {
            Show::Line => {
                let width = screen::width();
                let line = bar::line(&current.view(now), width);
                drop(tracker);
                lock(&self.screen).draw(line, width);
            }
            Show::Plain => {
                let text = current.view(now).text();
                drop(tracker);
                self.tell(&text);
            }
            Show::Json => {
                let line = json::line(&current.line(now));
                drop(tracker);
                self.tell_json(line);
            }
            Show::Nothing => {}
        }
    }

    fn tell(&self, text: &str) {
        lock(&self.screen).tell(text);
    }

    /// A line of progress that cannot be written is no reason to end an operation.
    fn tell_json(&self, line: serde_json::Result<String>) {
        if let Ok(line) = line {
            self.tell(&line);
        }
    }

    /// A second signal ends the process without another word, so the line goes now.
    fn stop(&self, now: Instant, stop: Stop) -> Stop {
        match stop {
            Stop::Goes => {
                lock(&self.screen).clear();
                Stop::Cleared(now)
            }
            Stop::Cleared(since) if now.duration_since(since) >= STOPPING => {
                self.tell(
                    "interrupted: what was begun is being ended cleanly; interrupt once more to end at once",
                );
                Stop::Explained
            }
            Stop::Cleared(_) | Stop::Explained => stop,
        }
    }
}
