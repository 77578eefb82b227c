//! The report: what was measured, as Markdown.

use std::fmt::Write as _;

use super::machine::Machine;
use super::markdown::{Table, grouped, percent, seconds};
use super::primitives::Primitives;
use super::profile::Groups;
use super::roofline::{FORMULAS, Roofline, Term};
use super::samples::{Series, Step};
use super::tool::OWN;

/// All of it.
pub(crate) struct Report {
    /// The command without the files' folders.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    /// What each tool calls its version.
    pub(crate) versions: Vec<String>,
    pub(crate) runs: usize,
    /// What was asked for and not measured, with the reason.
    pub(crate) missing: Vec<String>,
    pub(crate) works: Vec<WorkReport>,
}

/// One file, or two versions of one.
pub(crate) struct WorkReport {
    pub(crate) name: String,
    /// The later version; else the same file comes again.
    pub(crate) next_name: Option<String>,
    pub(crate) plain_bytes: u64,
    pub(crate) second_bytes: u64,
    pub(crate) primitives: Primitives,
    /// Shares of new chunks at the first and at the second ingest.
    pub(crate) new_shares: [f64; 2],
    pub(crate) series: Vec<Series>,
    pub(crate) profile: Option<Vec<(Step, Groups)>>,
}

const READING: &str = "\
Whole processes, from the start to the exit code, one after the other: reading a passphrase and opening the repository is \
part of every step. Content comes from a file as standard input and goes to a file as standard output. Sources are in the \
page cache, and so is what was just stored; before every step all that is still to be written goes to the disk, so that \
nobody pays for another one's bytes. Restored files are compared with the source, byte by byte. The tools take turns \
step by step; numbers are medians over the runs.

Disks of rented machines and neighbours make times differ by tens of percent from one hour to the next. Quote ratios \
from one run, never times from two. MB/s are 10^6 plain bytes in a second of wall time; of \
`verify full`, stored bytes. That is `verify --level full`, which opens and hashes every chunk; of restic and rustic it is \
`check --read-data`, of borg `check --verify-data`, and bupstash has none. What the engine has stored includes parity \
(40+2), which the peers do not have. Peak memory is that of a tool's \
largest process; it cannot be seen below a few MiB. Stored bytes are the lengths of all files of the repository, added \
bytes what the step made of them. All tools encrypt, with their default settings but for borg's compression (zstd,3).";

impl Report {
    /// The whole document.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text =
            String::from("# Benchmarks\n\nWritten by `cargo xtask bench`; changes by hand are lost.\n\n");
        let _ = write!(text, "## How to read this\n\n{READING}\n\n{}", self.machine_section());
        for work in &self.works {
            let _ = write!(text, "\n{}", work.to_markdown(self.machine.cores, self.runs));
        }
        let _ = write!(text, "\n## The roofline\n\n{FORMULAS}\n\n{ROOFLINE_LIMITS}\n");
        let _ = write!(text, "\n## Once more\n\n```sh\n{}\n```\n\n{REPRODUCING}\n", self.command);
        text
    }

    fn machine_section(&self) -> String {
        let mut table = Table::new(2, &["", ""]);
        let own = [("tools", self.versions.join(" · ")), ("runs", self.runs.to_string())];
        for (name, value) in self.machine.rows().into_iter().chain(own) {
            table.row([name.to_owned(), value]);
        }
        let mut text = format!("## Machine and tools\n\n{table}");
        if !self.missing.is_empty() {
            let _ = write!(text, "\nNot measured:\n\n");
            for missing in &self.missing {
                let _ = writeln!(text, "- {missing}");
            }
        }
        text
    }
}

const ROOFLINE_LIMITS: &str = "\
Rates are those of the first file on one core: processor time of one thread, but wall time for the disk and the \
passphrase. They are measured five times before the runs and five times after them (three where the disk is written), \
and the best one counts. Where two cores are threads of one, as on most rented machines, both together are less than \
twice as fast, and the roofline is higher than any program can reach.";

const DISTURBED: &str = "\
the process used less of the processor than its primitives alone were measured to need. Something else ran while they \
were measured, so these shares of the roofline are too high: **measure again on an idle machine**.";

const REPRODUCING: &str = "\
`--peers` measures restic, rustic, borg and bupstash where they are on the `PATH`. The disk needs room for every tool's \
repository and one restored file at a time, and for 1 GiB that measures it. A run that is interrupted leaves its folder \
below `--work`. Do nothing else on the machine meanwhile. What parity costs is measured apart: \
[BENCHMARKS-PARITY.md](BENCHMARKS-PARITY.md).";

impl WorkReport {
    fn to_markdown(&self, cores: usize, runs: usize) -> String {
        let (title, second) = match &self.next_name {
            Some(next) => {
                (format!("{}, then {next}", self.name), format!("then {} bytes", grouped(self.second_bytes)))
            }
            None => (format!("{}, twice", self.name), "then the same again".to_owned()),
        };
        let mut text =
            format!("## {title}\n\n{} bytes, {second}; median of {runs}.\n\n", grouped(self.plain_bytes));
        let _ = writeln!(text, "{}", self.steps(cores));
        if let Some(series) = self.find(OWN.name, Step::Verify) {
            let shards = grouped(series.stored().shards);
            let _ = writeln!(text, "Of the last bytes that {} stored, {shards} are parity.\n", OWN.name);
        }
        let _ = write!(text, "### Least times\n\n{}\n", self.least_times(cores));
        let disturbed = self.disturbed(cores);
        if !disturbed.is_empty() {
            let _ = writeln!(text, "{}: {DISTURBED}\n", disturbed.join(", "));
        }
        let _ = write!(text, "Seconds on one core, by primitive:\n\n{}\n", self.terms(cores));
        let _ = write!(text, "### Primitives\n\n{}", self.primitives());
        if let Some(profile) = &self.profile {
            let _ = write!(text, "\n### Where the processor's time goes\n\n{}", profiled(profile));
        }
        text
    }

    fn find(&self, tool: &str, step: Step) -> Option<&Series> {
        self.series.iter().find(|series| series.tool == tool && series.step == step)
    }

    /// Bytes that the speed of a step is told by: plain ones, but stored ones of verifying.
    fn bytes_of(&self, series: &Series) -> u64 {
        match series.step {
            Step::First => self.plain_bytes,
            Step::Second | Step::Restore => self.second_bytes,
            Step::Verify => series.stored().all,
        }
    }

    /// How many times as fast as the fastest peer the engine is.
    fn lead(&self, step: Step) -> Option<f64> {
        let peers = self.series.iter().filter(|series| series.step == step && series.tool != OWN.name);
        let fastest = peers.map(Series::wall_s).min_by(f64::total_cmp)?;
        Some(fastest / self.find(OWN.name, step)?.wall_s())
    }

    fn roofline(&self, step: Step, cores: usize) -> Option<Roofline> {
        let rates = &self.primitives;
        let series = self.find(OWN.name, step)?;
        let [first_share, second_share] = self.new_shares;
        let (plain, second) = (self.plain_bytes as f64, self.second_bytes as f64);
        Some(match step {
            Step::First => Roofline::of_ingest(rates, cores, self.plain_bytes, first_share, series.added()),
            Step::Second => {
                Roofline::of_ingest(rates, cores, self.second_bytes, second_share, series.added())
            }
            Step::Restore => {
                let packs = self.find(OWN.name, Step::First)?.added().packs as f64;
                let stored = second * packs / (plain * first_share);
                Roofline::of_restore(rates, cores, self.second_bytes, stored)
            }
            Step::Verify => {
                let new = plain * first_share + second * second_share;
                Roofline::of_verify(rates, cores, new, series.stored())
            }
        })
    }

    fn steps(&self, cores: usize) -> Table {
        let heads = [
            "step",
            "tool",
            "MB/s",
            "wall s",
            "least–most",
            "CPU s",
            "peak MiB",
            "stored bytes",
            "added bytes",
            "times the fastest peer",
            "of the roofline",
        ];
        let mut table = Table::new(2, &heads);
        for step in Step::ALL {
            for series in self.series.iter().filter(|series| series.step == step) {
                let (least, most) = series.wall_range_s();
                let is_own = series.tool == OWN.name;
                let lead = self.lead(step).filter(|_| is_own);
                let roofline = self.roofline(step, cores).filter(|_| is_own);
                table.row([
                    step.name().to_owned(),
                    series.tool.to_owned(),
                    format!("{:.0}", self.bytes_of(series) as f64 / 1e6 / series.wall_s()),
                    seconds(series.wall_s()),
                    format!("{}–{}", seconds(least), seconds(most)),
                    seconds(series.median(|sample| sample.usage.cpu_s)),
                    format!(
                        "{:.0}",
                        series.median(|sample| sample.usage.peak_bytes as f64) / f64::from(1 << 20)
                    ),
                    grouped(series.stored().all),
                    grouped(series.added().all),
                    lead.map_or_else(String::new, |lead| format!("{lead:.2}")),
                    roofline.map_or_else(String::new, |roofline| percent(roofline.share(series.wall_s()))),
                ]);
            }
        }
        table
    }

    fn least_times(&self, cores: usize) -> Table {
        let all_cores = format!("over {cores} cores, with passphrase");
        let heads = [
            "step",
            "one core s",
            &all_cores,
            "disk s",
            "least s",
            "took s",
            "of the roofline",
            "CPU s used",
        ];
        let mut table = Table::new(1, &heads);
        for step in Step::ALL {
            let (Some(roofline), Some(series)) = (self.roofline(step, cores), self.find(OWN.name, step))
            else {
                continue;
            };
            table.row([
                step.name().to_owned(),
                seconds(roofline.core_s()),
                seconds(roofline.processor_s()),
                seconds(roofline.disk_s),
                seconds(roofline.least_s()),
                seconds(series.wall_s()),
                percent(roofline.share(series.wall_s())),
                seconds(series.median(|sample| sample.usage.cpu_s)),
            ]);
        }
        table
    }

    /// Steps that used less of the processor than their primitives alone, which cannot be.
    fn disturbed(&self, cores: usize) -> Vec<&'static str> {
        let is_disturbed = |step: &Step| {
            let (roofline, series) = (self.roofline(*step, cores), self.find(OWN.name, *step));
            let cpu_s = series.map(|series| series.median(|sample| sample.usage.cpu_s));
            matches!((roofline, cpu_s), (Some(roofline), Some(cpu_s)) if roofline.core_s() > cpu_s)
        };
        Step::ALL.into_iter().filter(is_disturbed).map(Step::name).collect()
    }

    fn terms(&self, cores: usize) -> Table {
        let mut table = Table::new(2, &["step", "seconds by primitive"]);
        for roofline in Step::ALL.map(|step| (step, self.roofline(step, cores))) {
            let (step, Some(roofline)) = roofline else { continue };
            let term = |term: &Term| format!("{} {:.3}", term.name, term.seconds());
            let terms: Vec<String> = roofline.terms.iter().map(term).collect();
            table.row([step.name().to_owned(), terms.join(" · ")]);
        }
        table
    }

    fn primitives(&self) -> String {
        let rates = &self.primitives;
        let mut table = Table::new(1, &["one core, best of ten", "GB/s"]);
        for (name, rate) in [
            ("memcpy, 256 KiB pieces", rates.memcpy),
            ("read from the page cache", rates.read),
            ("write to the page cache, best of six", rates.write),
            ("cut points", rates.cut),
            ("SHA-256 of chunks", rates.sha256),
            ("HMAC-SHA-256 of chunks", rates.hmac_sha256),
            ("compression `auto`, of plain bytes", rates.compress),
            ("decompression, of plain bytes", rates.decompress),
            ("AES-256-GCM, seal", rates.seal),
            ("AES-256-GCM, open", rates.open),
            ("BLAKE3 of packs", rates.blake3),
            ("parity 40+2 of 32 KiB blocks", rates.parity_row),
            ("parity 40+2 of 16 MiB blocks", rates.parity_pack),
            ("the same of 32 KiB, crate `reed-solomon-simd`", rates.other_parity_row),
            ("the same of 16 MiB, crate `reed-solomon-simd`", rates.other_parity_pack),
            ("disk with fsync, best of six", rates.disk),
        ] {
            table.row([name.to_owned(), format!("{:.2}", rate / 1e9)]);
        }
        format!(
            "{table}\nCompressed size {} of the plain size, before anything is found twice. A passphrase takes {} s.\n",
            percent(rates.ratio),
            seconds(rates.key_s)
        )
    }
}

fn profiled(profile: &[(Step, Groups)]) -> Table {
    let mut table = Table::new(2, &["step", "share of samples, self time"]);
    for (step, groups) in profile {
        let group = |(name, share): &(&str, f64)| format!("{name} {share:.1} %");
        table.row([step.name().to_owned(), groups.iter().map(group).collect::<Vec<_>>().join(" · ")]);
    }
    table
}

#[cfg(test)]
mod tests;
