//! Seeded randomness and a clock that a test sets, for tests and simulators.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use super::random::RandomnessError;
use super::{Clock, Randomness, Timestamp};

/// Bytes that follow from a seed: BLAKE3's output stream. Never for real keys.
pub struct SeededRandomness(Mutex<blake3::OutputReader>);

impl SeededRandomness {
    /// A generator for this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof()))
    }
}

impl Randomness for SeededRandomness {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomnessError> {
        self.0.lock().map_err(|_| RandomnessError)?.fill(buffer);
        Ok(())
    }
}

/// A clock that stands until it is moved, and goes a millisecond on at each look, so that times differ.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows this time.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn sleep_ms(&self, ms: u64) {
        self.advance_ms(ms as i64);
    }
}
