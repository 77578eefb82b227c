//! How far an operation is, over all its items, and when to say so again.

use std::time::{Duration, Instant};

use containerarchive::Progress;
use serde::Serialize;

use super::{Printable, size};

/// Characters of an item's name in a progress line, so that the line fits a narrow terminal.
const SUBJECT_CHARS: usize = 28;

/// Bytes over all items, and when they were shown last.
pub(super) struct Tracker {
    operation: &'static str,
    begun: Instant,
    shown: Option<Instant>,
    total_bytes: Option<u64>,
    /// Bytes of the items before this one.
    before_bytes: u64,
    subject: String,
    subject_bytes: u64,
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
    /// Bytes a second.
    rate: u64,
}

impl Tracker {
    pub(super) fn new(operation: &'static str, total_bytes: Option<u64>) -> Self {
        Self {
            operation,
            begun: Instant::now(),
            shown: None,
            total_bytes,
            before_bytes: 0,
            subject: String::new(),
            subject_bytes: 0,
        }
    }

    pub(super) fn update(&mut self, progress: &Progress) {
        if self.subject != progress.subject {
            self.before_bytes += self.subject_bytes;
            self.subject.clone_from(&progress.subject);
        }
        self.subject_bytes = progress.done_bytes;
    }

    /// Whether it is time to show progress again; what takes no longer than `interval` is not shown if `is_patient`.
    pub(super) fn is_due(&mut self, interval: Duration, is_patient: bool) -> bool {
        let is_due = match self.shown {
            Some(shown) => shown.elapsed() >= interval,
            None => !is_patient || self.begun.elapsed() >= interval,
        };
        if is_due {
            self.shown = Some(Instant::now());
        }
        is_due
    }

    fn bytes(&self) -> u64 {
        self.before_bytes + self.subject_bytes
    }

    fn rate(&self) -> u64 {
        (self.bytes() as f64 / self.begun.elapsed().as_secs_f64().max(0.001)) as u64
    }

    fn percentage(&self) -> Option<u64> {
        let total = self.total_bytes.filter(|total| *total > 0)?;
        Some((u128::from(self.bytes()) * 100 / u128::from(total)).min(99) as u64)
    }

    pub(super) fn line(&self) -> Line<'_> {
        Line {
            schema: "containerarchive/progress/1",
            operation: self.operation,
            percentage: self.percentage(),
            message: &self.subject,
            bytes: self.bytes(),
            total_bytes: self.total_bytes,
            rate: self.rate(),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}", self.operation, size(self.bytes()));
        if let (Some(total), Some(percentage)) = (self.total_bytes, self.percentage()) {
            text.push_str(&format!(" of {} ({percentage} %)", size(total)));
        }
        text.push_str(&format!(", {}/s", size(self.rate())));
        if let Some(total) = self.total_bytes
            && self.rate() > 0
        {
            let left = total.saturating_sub(self.bytes()) / self.rate();
            text.push_str(&format!(", {} left", super::duration(left.saturating_mul(1000))));
        }
        let subject = Printable(&self.subject).to_string();
        let skipped = subject.chars().count().saturating_sub(SUBJECT_CHARS);
        let mark = if skipped > 0 { "…" } else { "" };
        let end: String = subject.chars().skip(skipped).collect();
        format!("{text}  {mark}{end}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_add_up_over_items_and_the_end_is_not_announced_early() {
        let mut tracker = Tracker::new("ingest", Some(100));
        for (subject, done_bytes) in [("a", 30), ("a", 40), ("b", 60)] {
            tracker.update(&Progress { subject: subject.into(), done_bytes, total_bytes: None });
        }
        assert_eq!(tracker.bytes(), 100);
        assert_eq!(tracker.percentage(), Some(99));
        assert!(tracker.text().starts_with("ingest: 100 B of 100 B (99 %)"));
    }
}
