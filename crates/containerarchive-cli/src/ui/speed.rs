//! How fast bytes go by, smoothed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Apart from each other at least this long.
const SAMPLE: Duration = Duration::from_millis(200);
/// What is told as the rate: long enough to be read, short enough to follow a change.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// What the time that is left is guessed from: it should not jump about.
const GUESS_WINDOW: Duration = Duration::from_secs(30);
/// Less than this says nothing about what comes.
const MIN_GUESS: Duration = Duration::from_secs(1);

/// Samples of a growing number of bytes.
pub(super) struct Speed {
    samples: VecDeque<(Instant, u64)>,
}

impl Speed {
    pub(super) fn new(begun: Instant) -> Self {
        Self { samples: VecDeque::from([(begun, 0)]) }
    }

    /// Notes how many bytes are done.
    pub(super) fn sample(&mut self, now: Instant, bytes: u64) {
        if self.samples.back().is_some_and(|(last, _)| now.duration_since(*last) < SAMPLE) {
            return;
        }
        self.samples.push_back((now, bytes));
        // The newest of the old ones is where the longest window begins.
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) > GUESS_WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Bytes a second over the last seconds.
    pub(super) fn rate(&self, now: Instant, bytes: u64) -> f64 {
        let begin = self.samples.iter().rev().find(|(at, _)| now.duration_since(*at) >= RATE_WINDOW);
        since(begin.or(self.samples.front()), now, bytes)
    }

    /// How long `missing` bytes will take, if it goes on as before.
    pub(super) fn guess(&self, now: Instant, bytes: u64, missing: u64) -> Option<Duration> {
        let begin = self.samples.front();
        if begin.is_none_or(|(at, _)| now.duration_since(*at) < MIN_GUESS) {
            return None;
        }
        let seconds = missing as f64 / since(begin, now, bytes);
        Duration::try_from_secs_f64(seconds).ok()
    }
}

fn since(begin: Option<&(Instant, u64)>, now: Instant, bytes: u64) -> f64 {
    begin.map_or(0.0, |(at, before)| average(bytes.saturating_sub(*before), now.duration_since(*at)))
}

/// Bytes a second. Nothing is so short that it is infinitely fast.
pub(super) fn average(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_a_change_within_seconds_and_the_guess_stays_calm() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut speed = Speed::new(begun);
        let mut bytes = 0;
        for second in 1..=60 {
            bytes += if second <= 28 { 100 } else { 10 };
            speed.sample(at(second), bytes);
            // Too early to count.
            speed.sample(at(second) + SAMPLE / 2, bytes + 1_000_000);
        }
        assert_eq!(speed.rate(at(60), bytes), 10.0);
        assert_eq!(speed.guess(at(60), bytes, 100), Some(Duration::from_secs(10)));
        let mut stopped = Speed::new(begun);
        stopped.sample(at(2), 100);
        assert_eq!(stopped.rate(at(2), 100), 50.0);
        for second in 3..=40 {
            stopped.sample(at(second), 100);
        }
        assert_eq!(stopped.rate(at(40), 100), 0.0);
        assert_eq!(stopped.guess(at(40), 100, 100), None);
    }

    #[test]
    fn nothing_is_guessed_from_the_first_moment() {
        let begun = Instant::now();
        let speed = Speed::new(begun);
        assert_eq!(speed.guess(begun + MIN_GUESS / 2, 100, 100), None);
        assert_eq!(speed.guess(begun + MIN_GUESS, 100, 200), Some(2 * MIN_GUESS));
    }
}
