//! The best of several rounds: what the machine can do when nothing else disturbs it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What counts as time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Time of the processor that this thread had: what others do on the same cores counts less.
    Thread,
    /// Time that passes, for work of several threads or of the disk.
    Wall,
}

impl Clock {
    /// Runs the work and returns how long it took.
    fn time<E>(self, work: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
        match self {
            Self::Wall => {
                let begin = Instant::now();
                work().map(|()| begin.elapsed())
            }
            Self::Thread => {
                let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
                let begin = now();
                work().map(|()| now().saturating_sub(begin))
            }
        }
    }
}

/// How often something is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    /// Of work that needs the processor only.
    pub(crate) processor: usize,
    /// Of work that goes to the disk, which takes far longer.
    pub(crate) disk: usize,
}

impl Rounds {
    /// Best of five, on the disk best of three.
    pub(crate) const FULL: Self = Self { processor: 5, disk: 3 };
    /// To see that it works.
    #[cfg(test)]
    pub(crate) const ONE: Self = Self { processor: 1, disk: 1 };
}

/// The shortest time of `rounds`, in seconds. Only `work` is timed; it gets what `prepare` made for this round.
pub(crate) fn best_seconds<S, E>(
    clock: Clock,
    rounds: usize,
    mut prepare: impl FnMut() -> Result<S, E>,
    mut work: impl FnMut(&mut S) -> Result<(), E>,
) -> Result<f64, E> {
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let mut state = prepare()?;
        best = best.min(clock.time(|| work(&mut state))?.as_secs_f64());
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_takes_no_time_of_the_processor() {
        let sleep = |(): &mut ()| {
            std::thread::sleep(Duration::from_millis(20));
            Ok::<_, ()>(())
        };
        assert!(best_seconds(Clock::Wall, 1, || Ok(()), sleep).unwrap() >= 0.02);
        assert!(best_seconds(Clock::Thread, 1, || Ok(()), sleep).unwrap() < 0.02);
    }
}
