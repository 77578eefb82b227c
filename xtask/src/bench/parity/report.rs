//! What parity costs, as Markdown.

use std::fmt::Write as _;

use super::overhead::Overhead;
use super::{OFF, ON, of_level};
use crate::bench::machine::Machine;
use crate::bench::markdown::{Table, grouped, seconds};
use crate::bench::samples::{Sample, Series};

/// All of it.
pub(super) struct Report {
    /// The command without the file's folder.
    pub(super) command: String,
    pub(super) machine: Machine,
    pub(super) version: String,
    pub(super) noise_name: String,
    pub(super) noise_bytes: u64,
    pub(super) rounds: usize,
    pub(super) memory_limit_bytes: Option<u64>,
    /// One for each level.
    pub(super) series: Vec<Series>,
    pub(super) overheads: Vec<Overhead>,
}

const TIME: &str = "\
Whole processes, from the start to the exit code: one ingest of the same noise into a new encrypted repository with \
default settings, with and without parity. Noise is the worst case: all of it is stored, so that parity has most to do \
beside the least of other work. The file is in the page cache, and before each ingest all that is still to be written goes \
to the disk. Both levels run in every round, and who comes first changes from round to round, so that what drifts on the \
machine meets both alike.

Writing to files takes pages of memory. On a rented machine the host may have taken back those that nobody used for long; \
the first touch of each then costs many times as much, and times jump by factors from one ingest to the next. \
`--memory-limit` puts the measured processes into a memory cgroup of their own, in which the same few pages are used \
again and again.";

const SPACE: &str = "\
One ingest of seeded noise with the default pack size, long enough for at least ten full groups of packs; then the lengths \
of all files below `packs` are added up, for groups that have as many packs as the level allows. The limit is m/k and \
0.5 % of the packs. What is above m/k are the zeros behind packs that are shorter than the longest one of their group, and \
the checksums: 16 bytes for each 32 KiB of pack, twice in each shard, 0.1 % for each of the m. 8+1 is measured because \
zeros weigh more in small groups, 40+2 because it is the default. The last group of an ingest is not full, and its shards \
are as long as ever: the last column has all packs and all shards, and comes nearer to m/k the longer the ingest is.";

const REPRODUCING: &str = "\
NOISE_FILE is any file without structure, for example 2 GiB of `/dev/urandom`; of a short one, \
most packs stand in the group that the end leaves unfilled, and parity costs more. The disk needs 8 GB for a while. The right \
to make a memory cgroup is that of root. A run that is interrupted leaves its folder below `--work`, and its cgroup \
`containerarchive-bench-…`. Do nothing else on the machine meanwhile.";

impl Report {
    /// The whole document.
    pub(super) fn to_markdown(&self) -> String {
        let mut text = String::from(
            "# What parity costs\n\nWritten by `cargo xtask bench parity`; changes by hand are lost.\n\n",
        );
        let mut table = Table::new(2, &["", ""]);
        for (name, value) in self.machine.rows() {
            table.row([name.to_owned(), value]);
        }
        table.row(["engine".to_owned(), self.version.clone()]);
        let limit =
            self.memory_limit_bytes.map_or("none".to_owned(), |bytes| format!("{} bytes", grouped(bytes)));
        table.row(["memory limit of an ingest".to_owned(), limit]);
        let _ = write!(text, "{table}\n## Time\n\n{TIME}\n\n");
        let bytes = grouped(self.noise_bytes);
        let _ =
            write!(text, "{}, {bytes} bytes; {} rounds.\n\n{}\n", self.noise_name, self.rounds, self.times());
        let _ = write!(text, "{}\n## Space\n\n{SPACE}\n\n{}\n", self.ratios(), self.space());
        let _ = write!(text, "## Once more\n\n```sh\n{}\n```\n\n{REPRODUCING}\n", self.command);
        text
    }

    fn times(&self) -> Table {
        let heads =
            ["parity", "wall s, median", "least–most", "CPU s, median", "least–most", "MB/s", "stored bytes"];
        let mut table = Table::new(1, &heads);
        for level in [OFF, ON] {
            let Some(series) = of_level(&self.series, level) else { continue };
            let range = |(least, most)| format!("{}–{}", seconds(least), seconds(most));
            table.row([
                level.to_owned(),
                seconds(series.wall_s()),
                range(series.wall_range_s()),
                seconds(series.median(cpu_s)),
                range(series.range(cpu_s)),
                format!("{:.0}", self.noise_bytes as f64 / 1e6 / series.wall_s()),
                grouped(series.stored().all),
            ]);
        }
        table
    }

    fn ratios(&self) -> Table {
        let heads = [&format!("{ON} ÷ {OFF}"), "wall time", "processor time"];
        let mut table = Table::new(1, &heads);
        let (Some(on), Some(off)) = (of_level(&self.series, ON), of_level(&self.series, OFF)) else {
            return table;
        };
        let mut row = |name: &str, of: fn(&Series, Number) -> f64| {
            let ratio = |number: Number| format!("{:.3}", of(on, number) / of(off, number));
            table.row([name.to_owned(), ratio(wall_s), ratio(cpu_s)]);
        };
        row("medians", |series, number| series.median(number));
        row("least", |series, number| series.range(number).0);
        table
    }

    fn space(&self) -> Table {
        let heads = [
            "parity",
            "full groups",
            "their packs",
            "bytes of packs",
            "bytes of shards",
            "share",
            "limit",
            "within",
            "share of all",
        ];
        let mut table = Table::new(1, &heads);
        for overhead in &self.overheads {
            let percent = |share: f64| format!("{:.3} %", 100.0 * share);
            table.row([
                overhead.level.name(),
                overhead.full_groups.to_string(),
                overhead.packs.to_string(),
                grouped(overhead.pack_bytes),
                grouped(overhead.shard_bytes),
                percent(overhead.share()),
                percent(overhead.level.limit()),
                if overhead.failure().is_none() { "yes" } else { "**no**" }.to_owned(),
                percent(overhead.share_of_all()),
            ]);
        }
        table
    }
}

/// What is compared.
type Number = fn(&Sample) -> f64;

fn wall_s(sample: &Sample) -> f64 {
    sample.usage.wall_s
}

fn cpu_s(sample: &Sample) -> f64 {
    sample.usage.cpu_s
}

#[cfg(test)]
mod tests {
    use super::super::overhead::LEVELS;
    use super::*;
    use crate::bench::samples::{Step, record, tests::sample};

    fn report(shard_bytes: u64) -> Report {
        let mut series = Vec::new();
        for (level, walls) in [(OFF, [3.0, 2.0, 9.0]), (ON, [3.3, 2.2, 3.9])] {
            walls.into_iter().for_each(|wall| record(&mut series, level, Step::First, sample(wall)));
        }
        let text = |text: &str| text.to_owned();
        let machine = Machine {
            date: text("2030-01-01"),
            processor: text("A Processor"),
            cores: 2,
            memory: text("8.0 GiB"),
            kernel: text("6.1"),
            file_system: text("ext4"),
            load: text("0.00 0.01 0.02"),
        };
        let overhead = Overhead {
            level: LEVELS[1],
            full_groups: 10,
            packs: 400,
            pack_bytes: 1_000_000,
            shard_bytes,
            all_pack_bytes: 1_100_000,
            all_shard_bytes: 66_000,
        };
        Report {
            command: text("cargo xtask bench parity n.bin"),
            machine,
            version: text("containerarchive 1"),
            noise_name: text("n.bin"),
            noise_bytes: 600_000_000,
            rounds: 3,
            memory_limit_bytes: Some(800_000_000),
            series,
            overheads: vec![overhead],
        }
    }

    #[test]
    fn levels_are_compared_by_their_medians_and_by_their_least() {
        let text = report(53_000).to_markdown();
        assert!(
            text.contains("| off | 3.00 | 2.00–9.00 | 6.00 | 4.00–18.00 | 200 | 250,000,000 |\n"),
            "{text}"
        );
        assert!(text.contains("| medians | 1.100 | 1.100 |\n| least | 1.100 | 1.100 |\n"), "{text}");
        assert!(text.contains("| memory limit of an ingest | 800,000,000 bytes |\n"), "{text}");
    }

    #[test]
    fn space_stands_beside_its_limit() {
        let row = "| 40+2 | 10 | 400 | 1,000,000 | 53,000 | 5.300 % | 5.500 % | yes | 6.000 % |\n";
        assert!(report(53_000).to_markdown().contains(row));
        assert!(report(56_000).to_markdown().contains("| 5.600 % | 5.500 % | **no** |"));
    }

    #[test]
    fn the_document_has_no_blanks_at_line_ends() {
        let text = report(53_000).to_markdown();
        assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{text}");
    }
}
