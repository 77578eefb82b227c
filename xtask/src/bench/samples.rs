//! What was measured, step by step, and the middle of it.

use super::files::Sizes;
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
    /// All that is stored is read, opened and compared with its hashes.
    Verify,
}

impl Step {
    /// In order.
    pub(crate) const ALL: [Self; 4] = [Self::First, Self::Second, Self::Restore, Self::Verify];

    /// In a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first ingest",
            Self::Second => "second ingest",
            Self::Restore => "restore",
            Self::Verify => "verify full",
        }
    }
}

/// One step of one tool in one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) usage: Usage,
    /// The repository after it.
    pub(crate) stored: Sizes,
    /// How much more that is than before.
    pub(crate) added: Sizes,
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

    /// Median of a number of bytes, rounded.
    pub(crate) fn bytes(&self, number: impl Fn(&Sample) -> u64) -> u64 {
        self.median(|sample| number(sample) as f64).round() as u64
    }

    /// Medians of what was added.
    pub(crate) fn added(&self) -> Sizes {
        self.sizes(|sample| sample.added)
    }

    /// Medians of what the repository had.
    pub(crate) fn stored(&self) -> Sizes {
        self.sizes(|sample| sample.stored)
    }

    fn sizes(&self, of: impl Fn(&Sample) -> Sizes) -> Sizes {
        Sizes {
            all: self.bytes(|sample| of(sample).all),
            packs: self.bytes(|sample| of(sample).packs),
            shards: self.bytes(|sample| of(sample).shards),
            segments: self.bytes(|sample| of(sample).segments),
        }
    }

    /// The least and the largest of a number.
    pub(crate) fn range(&self, number: impl Fn(&Sample) -> f64) -> (f64, f64) {
        let numbers = || self.samples.iter().map(&number);
        (numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max))
    }

    /// Shortest and longest wall time, in seconds.
    pub(crate) fn wall_range_s(&self) -> (f64, f64) {
        self.range(|sample| sample.usage.wall_s)
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
        let stored = Sizes { all: 250_000_000, packs: 230_000_000, shards: 10_000_000, segments: 5_000_000 };
        let added = Sizes { all: 240_000_000, packs: 225_000_000, shards: 10_000_000, segments: 4_000_000 };
        Sample { usage, stored, added }
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
