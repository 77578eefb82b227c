//! `cargo xtask bench prune`: what prune takes of time and memory as a repository grows.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::files;
use super::machine::{self, Machine};
use super::markdown::{Table, grouped, seconds};
use super::process::{self, Usage};
use super::tool::{OWN, REPOSITORY, Tool};
use super::{build, finish, work_folder};
use crate::test::target_folder;

/// Chunks of the repositories.
const SIZES: [u64; 3] = [100_000, 1_000_000, 10_000_000];
const SNAPSHOTS: u64 = 1000;
/// What `prune` may take of memory for each chunk, beside the constant, in bytes.
const MOST_BYTES_PER_CHUNK: u64 = 2;
/// What it may take however few chunks there are: caches of index pages (8 MiB) and of tables (15 MiB), Argon2 or the program
/// itself, and the entries of one index segment that is written anew, 2^20 of them, sorted, sealed and hashed.
const CONSTANT_BYTES: u64 = 96 << 20;

const TEXT: &str = "\
A plain repository without parity is made of chunks of 64 bytes, 128 of them in each pack, as many as packs of 16 MiB have of \
database dumps. 1,000 snapshots have nine tenths of the chunks in common, as an item of their own, and share the rest among \
themselves. Then two prunes run, as whole processes, one after the other: the first one changes nothing, since all is needed; the \
second one keeps 500 snapshots, forgets the others, and deletes what only they needed. Each marks all chunks, by walking the \
recipes and looking each chunk up in the index. The files are in the page cache, as far as they fit.

What grows with the chunks are 1.2 bytes of filters for each entry of the index, a bit for each chunk, and some 50 bytes for each \
pack: together less than 2 bytes for each chunk. The constant beside that is bounded by 96 MiB: caches of index pages and of \
tables, and the entries of one index segment, 2^20 of them, which is written anew where packs go; the smallest repository \
does not fill them.";

/// What `cargo xtask bench prune` was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where repositories are made and removed again.
    folder: Option<PathBuf>,
    /// Where the Markdown goes.
    out: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after `bench prune`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self { folder: None, out: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            match *argument {
                "--work" => options.folder = Some(value()?.into()),
                "--out" => options.out = Some(value()?.into()),
                other => return Err(format!("`bench prune` has no option `{other}`")),
            }
        }
        Ok(options)
    }
}

/// What was measured at one size.
struct Measured {
    chunks: u64,
    index_bytes: u64,
    /// Nothing was to be done.
    idle: Usage,
    /// Half of the snapshots went.
    busy: Usage,
    removed_packs: u64,
}

/// Measures, prints the report and writes it. Fails if the engine did, or takes more memory than promised; then the report
/// is written all the same.
pub(crate) fn main(root: &Path, options: &Options) -> ExitCode {
    finish(run(root, options))
}

fn run(root: &Path, options: &Options) -> Result<Vec<String>, String> {
    build(root)?;
    let parent = work_folder(root, options.folder.as_deref())?;
    let programs = target_folder(root).join("release");
    let own = Tool::new(&OWN, programs.join(OWN.name));
    let version = format!("{} ({})", own.version(&parent)?, machine::commit(root));
    let machine = Machine::this(&parent);
    let mut all = Vec::new();
    for chunks in SIZES {
        let folder = tempfile::tempdir_in(&parent).map_err(|error| error.to_string())?;
        println!("{chunks} chunks: making the repository");
        let measured = measure(&programs, &own, chunks, folder.path())?;
        println!("{chunks} chunks: {:.2} s, {:.2} s", measured.idle.wall_s, measured.busy.wall_s);
        all.push(measured);
    }
    let text = report(&machine, &version, &all);
    println!("\n{text}");
    let out = options.out.clone().unwrap_or_else(|| root.join("docs").join("BENCHMARKS-PRUNE.md"));
    std::fs::write(&out, text).map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    let too_much = all.iter().filter(|measured| constant(measured) > CONSTANT_BYTES);
    let tell = |measured: &Measured| {
        format!("{} bytes beside 2 for each of {} chunks", constant(measured), measured.chunks)
    };
    Ok(too_much.map(tell).collect())
}

fn measure(programs: &Path, own: &Tool, chunks: u64, folder: &Path) -> Result<Measured, String> {
    let log = folder.join("stderr");
    let mut make = Command::new(programs.join("synthetic"));
    make.arg(folder.join(REPOSITORY)).args([chunks.to_string(), SNAPSHOTS.to_string()]);
    process::run(&mut make, None, None, &log)?;
    let prune = |arguments: &[&str]| {
        let mut command = own.command(folder, &[&["--json", "prune"], arguments].concat(), "");
        command.env_remove("CONTAINERARCHIVE_PASSPHRASE");
        let output = folder.join("stdout");
        let usage = process::run(&mut command, None, Some(&output), &log)?;
        let text = std::fs::read(&output).map_err(|error| error.to_string())?;
        let document: serde_json::Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        Ok::<_, String>((usage, document["removedPacks"].as_u64().unwrap_or(0)))
    };
    let (idle, _) = prune(&[])?;
    let mut index_bytes = 0;
    let index = folder.join(REPOSITORY).join("index");
    files::walk(&index, &mut |_, len| index_bytes += len).map_err(|error| error.to_string())?;
    let half = (SNAPSHOTS / 2).to_string();
    let (busy, removed_packs) = prune(&["--keep-last", &half])?;
    if removed_packs == 0 {
        return Err("a prune that forgot half of the snapshots deleted no pack".to_owned());
    }
    Ok(Measured { chunks, index_bytes, idle, busy, removed_packs })
}

/// What is left of the peak beside two bytes for each chunk.
fn constant(measured: &Measured) -> u64 {
    let peak = measured.idle.peak_bytes.max(measured.busy.peak_bytes);
    peak.saturating_sub(MOST_BYTES_PER_CHUNK * measured.chunks)
}

fn report(machine: &Machine, version: &str, all: &[Measured]) -> String {
    let mut text = String::from(
        "# What prune takes\n\nWritten by `cargo xtask bench prune`; changes by hand are lost.\n\n",
    );
    let mut table = Table::new(2, &["", ""]);
    for (name, value) in machine.rows() {
        table.row([name.to_owned(), value]);
    }
    table.row(["engine".to_owned(), version.to_owned()]);
    let _ = write!(text, "{table}\n{TEXT}\n\n");
    let heads = [
        "chunks",
        "index bytes",
        "nothing to do, s",
        "µs per chunk",
        "peak memory, MiB",
        "500 of 1,000 go, s",
        "µs per chunk",
        "peak memory, MiB",
        "packs deleted",
    ];
    let mut table = Table::new(0, &heads);
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    for measured in all {
        let per_chunk = |usage: &Usage| format!("{:.2}", usage.wall_s * 1e6 / measured.chunks as f64);
        table.row([
            grouped(measured.chunks),
            grouped(measured.index_bytes),
            seconds(measured.idle.wall_s),
            per_chunk(&measured.idle),
            mib(measured.idle.peak_bytes),
            seconds(measured.busy.wall_s),
            per_chunk(&measured.busy),
            mib(measured.busy.peak_bytes),
            grouped(measured.removed_packs),
        ]);
    }
    let _ = writeln!(text, "{table}");
    for measured in all {
        let constant = constant(measured);
        let is_within = if constant <= CONSTANT_BYTES { "within" } else { "above" };
        let chunks = grouped(measured.chunks);
        let _ = writeln!(
            text,
            "- {chunks} chunks: {} MiB beside 2 bytes for each chunk, {is_within} the limit of {} MiB",
            mib(constant),
            mib(CONSTANT_BYTES)
        );
    }
    text.push_str("\n## Once more\n\n```sh\ncargo xtask bench prune\n```\n\nThe disk needs 6 GB and 200,000 files for a while.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(chunks: u64, peak_bytes: u64) -> Measured {
        let usage = Usage { wall_s: 1.0, cpu_s: 1.0, peak_bytes };
        Measured { chunks, index_bytes: 1, idle: usage, busy: usage, removed_packs: 1 }
    }

    #[test]
    fn two_bytes_for_each_chunk_are_no_part_of_the_constant() {
        assert_eq!(constant(&measured(1_000, 5_000)), 3_000);
        assert_eq!(constant(&measured(10_000, 5_000)), 0);
    }

    #[test]
    fn options_are_read_and_mistakes_named() {
        assert_eq!(Options::parse(&["--work", "w"]).unwrap().folder, Some("w".into()));
        assert!(Options::parse(&["x"]).is_err() && Options::parse(&["--out"]).is_err());
    }
}
