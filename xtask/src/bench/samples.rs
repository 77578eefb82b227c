//! What was measured, step by step, and the middle of it.

use super::process::Usage;

/// What each tool does, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A file into an empty repository.
    First,
    /// A later version of it, or the same file again.
    Second,
    /// What came second, into a file.
    Restore,
}

impl Step {
    /// In order.
    pub(crate) const ALL: [Self; 3] = [Self::First, Self::Second, Self::Restore];

    /// In a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first ingest",
            Self::Second => "second ingest",
            Self::Restore => "restore",
        }
    }
}

/// One step of one tool in one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) usage: Usage,
    /// All files of the repository after it.
    pub(crate) stored_bytes: u64,
    /// How much more that is than before.
    pub(crate) added_bytes: u64,
}

/// Samples of one step of one tool, one for each run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) tool: &'static str,
    pub(crate) step: Step,
    pub(crate) samples: Vec<Sample>,
}

impl Series {
    /// The middle one of a number.
    pub(crate) fn median(&self, number: impl Fn(&Sample) -> f64) -> f64 {
        let mut numbers: Vec<f64> = self.samples.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        match numbers.len() {
            0 => f64::NAN,
            count if count % 2 == 1 => numbers[count / 2],
            count => f64::midpoint(numbers[count / 2 - 1], numbers[count / 2]),
        }
    }

    /// Median of the wall time, in seconds.
    pub(crate) fn wall_s(&self) -> f64 {
        self.median(|sample| sample.usage.wall_s)
    }

    /// Median of the bytes added, rounded.
    pub(crate) fn added_bytes(&self) -> u64 {
        self.median(|sample| sample.added_bytes as f64).round() as u64
    }

    /// Shortest and longest wall time, in seconds.
    pub(crate) fn wall_range_s(&self) -> (f64, f64) {
        let times = || self.samples.iter().map(|sample| sample.usage.wall_s);
        (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max))
    }
}

/// Adds a sample to its series, which is begun if there is none.
pub(crate) fn record(all: &mut Vec<Series>, tool: &'static str, step: Step, sample: Sample) {
    match all.iter_mut().find(|series| series.tool == tool && series.step == step) {
        Some(series) => series.samples.push(sample),
        None => all.push(Series { tool, step, samples: vec![sample] }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(wall_s: f64) -> Sample {
        let usage = Usage { wall_s, cpu_s: 2.0 * wall_s, peak_bytes: 100 << 20 };
        Sample { usage, stored_bytes: 250_000_000, added_bytes: 240_000_000 }
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        let mut all = Vec::new();
        for wall_s in [9.0, 1.0, 2.0] {
            record(&mut all, "borg", Step::First, sample(wall_s));
        }
        record(&mut all, "borg", Step::Restore, sample(7.0));
        assert_eq!(all.len(), 2);
        assert!((all[0].wall_s() - 2.0).abs() < 1e-9);
        assert_eq!(all[0].wall_range_s(), (1.0, 9.0));
        record(&mut all, "borg", Step::First, sample(3.0));
        assert!((all[0].wall_s() - 2.5).abs() < 1e-9);
    }
}
