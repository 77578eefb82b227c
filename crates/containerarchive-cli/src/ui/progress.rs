//! How far an operation is, over all its items, and the words for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use containerarchive::Progress;
use serde::Serialize;

use super::speed::{Speed, average};
use super::{Printable, bar, duration, size};

/// An item that was silent for so long is not being worked on.
const SILENCE: Duration = Duration::from_secs(2);

/// Bytes over all items.
pub(super) struct Tracker {
    operation: &'static str,
    begun: Instant,
    total_bytes: Option<u64>,
    /// By item: several are worked on at once, and what is told of them comes mixed.
    items: HashMap<String, Item>,
    bytes: u64,
    /// The item that is named. It changes when that one is silent, and not with each sign of life of another one.
    subject: String,
    speed: Speed,
}

struct Item {
    bytes: u64,
    seen: Instant,
}

/// Everything that is told of an operation at one moment.
pub(super) struct View {
    pub(super) operation: &'static str,
    pub(super) bytes: u64,
    /// While it is known and not yet exceeded.
    pub(super) total_bytes: Option<u64>,
    /// At most 99 until the end.
    pub(super) percentage: Option<u64>,
    /// Bytes a second, over the last seconds.
    pub(super) rate: u64,
    pub(super) elapsed: Duration,
    pub(super) left: Option<Duration>,
    /// Escaped.
    pub(super) subject: String,
    /// Items besides the subject that are worked on.
    pub(super) others: usize,
}

/// A line of `--progress json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    schema: &'static str,
    operation: &'a str,
    /// At most 99 until the end.
    percentage: Option<u64>,
    message: &'a str,
    bytes: u64,
    total_bytes: Option<u64>,
    /// Bytes a second: over the last seconds, and in the last line over all.
    rate: u64,
    seconds_left: Option<u64>,
}

impl Tracker {
    pub(super) fn new(operation: &'static str, total_bytes: Option<u64>, now: Instant) -> Self {
        Self {
            operation,
            begun: now,
            total_bytes,
            items: HashMap::new(),
            bytes: 0,
            subject: String::new(),
            speed: Speed::new(now),
        }
    }

    pub(super) fn update(&mut self, progress: &Progress, now: Instant) {
        let Progress { subject, done_bytes, .. } = progress;
        let before = match self.items.get_mut(subject) {
            Some(item) => {
                item.seen = now;
                std::mem::replace(&mut item.bytes, *done_bytes)
            }
            None => {
                self.items.insert(subject.clone(), Item { bytes: *done_bytes, seen: now });
                0
            }
        };
        self.bytes = (self.bytes + done_bytes).saturating_sub(before);
        if self.subject != *subject && !self.is_busy(&self.subject, now) {
            self.subject.clone_from(subject);
        }
    }

    fn is_busy(&self, item: &str, now: Instant) -> bool {
        self.items.get(item).is_some_and(|item| now.duration_since(item.seen) < SILENCE)
    }

    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        now.duration_since(self.begun)
    }

    /// Called regularly, also while nothing happens: that is what a falling rate comes from.
    pub(super) fn sample(&mut self, now: Instant) {
        self.speed.sample(now, self.bytes);
    }

    /// What to tell now.
    pub(super) fn view(&self, now: Instant) -> View {
        // A file that grew.
        let total_bytes = self.total_bytes.filter(|total| *total > 0 && self.bytes <= *total);
        let left = total_bytes.and_then(|total| self.speed.guess(now, self.bytes, total - self.bytes));
        let busy = self.items.values().filter(|item| now.duration_since(item.seen) < SILENCE).count();
        View {
            operation: self.operation,
            bytes: self.bytes,
            total_bytes,
            percentage: total_bytes
                .map(|total| (u128::from(self.bytes) * 100 / u128::from(total)).min(99) as u64),
            rate: self.speed.rate(now, self.bytes) as u64,
            elapsed: self.elapsed(now),
            left,
            subject: Printable(&self.subject).to_string(),
            others: busy.saturating_sub(1),
        }
    }

    /// For scripts, while it goes on.
    pub(super) fn line(&self, now: Instant) -> Line<'_> {
        let View { total_bytes, percentage, rate, left, .. } = self.view(now);
        let seconds_left = left.map(|left| left.as_secs());
        Line { total_bytes, percentage, rate, seconds_left, ..self.line_of_all(now) }
    }

    /// For scripts, when all is done.
    pub(super) fn last_line(&self, now: Instant) -> Line<'_> {
        Line { percentage: Some(100), seconds_left: Some(0), ..self.line_of_all(now) }
    }

    fn line_of_all(&self, now: Instant) -> Line<'_> {
        Line {
            schema: "containerarchive/progress/1",
            operation: self.operation,
            percentage: None,
            message: &self.subject,
            bytes: self.bytes,
            total_bytes: self.total_bytes,
            rate: average(self.bytes, self.elapsed(now)) as u64,
            seconds_left: None,
        }
    }

    /// For people, when all is done.
    pub(super) fn summary(&self, now: Instant) -> String {
        let elapsed = self.elapsed(now);
        let time = duration(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        let rate = size(average(self.bytes, elapsed) as u64);
        format!("{}: {} in {time}, {rate}/s", self.operation, size(self.bytes))
    }
}

impl View {
    /// A line of a log.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}", self.operation, size(self.bytes));
        if let (Some(total), Some(percentage)) = (self.total_bytes, self.percentage) {
            text.push_str(&format!(" of {} ({percentage} %)", size(total)));
        }
        text.push_str(&format!(", {}/s", size(self.rate)));
        if let Some(left) = self.left {
            text.push_str(&format!(", {} left", bar::clock(left)));
        }
        if !self.subject.is_empty() {
            text.push_str(&format!(", {}", self.named(bar::NAME_COLUMNS)));
        }
        text
    }

    /// What is worked on, in at most `limit` columns.
    pub(super) fn named(&self, limit: usize) -> String {
        let others = if self.others > 0 { format!(" +{}", self.others) } else { String::new() };
        let subject = super::printable::ending(&self.subject, limit.saturating_sub(others.len()));
        format!("{subject}{others}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(subject: &str, done_bytes: u64) -> Progress {
        Progress { subject: subject.into(), done_bytes, total_bytes: None }
    }

    #[test]
    fn bytes_add_up_over_items_that_are_read_at_the_same_time() {
        let now = Instant::now();
        let mut tracker = Tracker::new("ingest", Some(100), now);
        for (subject, done_bytes) in [("a", 10), ("b", 20), ("a", 30), ("b", 25), ("a", 40), ("b", 60)] {
            tracker.update(&progress(subject, done_bytes), now);
        }
        let view = tracker.view(now + Duration::from_secs(1));
        assert_eq!((view.bytes, view.percentage, view.rate), (100, Some(99), 100));
        assert_eq!(view.text(), "ingest: 100 B of 100 B (99 %), 100 B/s, 0:00 left, a +1");
        let last = serde_json::to_value(tracker.last_line(now + Duration::from_secs(2))).unwrap();
        assert_eq!((&last["percentage"], &last["rate"]), (&100.into(), &50.into()));
        assert_eq!(tracker.summary(now + Duration::from_secs(2)), "ingest: 100 B in 2.0 s, 50 B/s");
    }

    #[test]
    fn the_named_item_changes_only_when_it_is_silent() {
        let begun = Instant::now();
        let mut tracker = Tracker::new("ingest", None, begun);
        for (milliseconds, subject, named, others) in [
            (0, "a", "a", 0),
            (100, "b", "a", 1),
            (200, "a", "a", 1),
            (2100, "b", "a", 1),
            (2300, "b", "b", 0),
        ] {
            let now = begun + Duration::from_millis(milliseconds);
            tracker.update(&progress(subject, milliseconds), now);
            let view = tracker.view(now);
            assert_eq!((view.subject.as_str(), view.others), (named, others), "{milliseconds}");
        }
    }

    #[test]
    fn a_total_that_was_exceeded_is_not_told() {
        let now = Instant::now();
        let mut tracker = Tracker::new("ingest", Some(100), now);
        tracker.update(&progress("grows", 101), now);
        let view = tracker.view(now + Duration::from_secs(2));
        assert_eq!((view.total_bytes, view.percentage, view.left), (None, None, None));
        assert_eq!(view.text(), "ingest: 101 B, 50 B/s, grows");
    }
}
