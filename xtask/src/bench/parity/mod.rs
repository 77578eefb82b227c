//! `cargo xtask bench parity`: what parity costs, in time of an ingest and in space.

mod front;
mod options;
mod overhead;
mod report;

use std::path::Path;
use std::process::ExitCode;

pub(crate) use options::Options;

use self::overhead::{LEVELS, Overhead};
use self::report::Report;
use super::confine::MemoryGroup;
use super::files::{self, Sizes};
use super::machine::{self, Machine};
use super::samples::{self, Sample, Series, Step};
use super::tool::{OWN, REPOSITORY, Tool};
use super::{build, finish, name, process, round, work_folder};
use crate::test::target_folder;

/// Without parity, and with the default.
const OFF: &str = "off";
const ON: &str = "40+2";

/// Measures, prints the report and writes it. Fails if the engine did, or if parity takes more space than promised; then
/// the report is written all the same.
pub(crate) fn main(root: &Path, options: &Options) -> ExitCode {
    finish(run(root, options))
}

fn run(root: &Path, options: &Options) -> Result<Vec<String>, String> {
    build(root)?;
    let folder = work_folder(root, options.folder.as_deref())?;
    let own = Tool::new(&OWN, target_folder(root).join("release").join(OWN.name));
    let version = format!("{} ({})", own.version(&folder)?, machine::commit(root));
    let machine = Machine::this(&folder);
    let cannot = |error: std::io::Error| format!("cannot use {}: {error}", options.noise.display());
    let noise = options.noise.canonicalize().map_err(cannot)?;
    let noise_bytes = files::warm(&noise).map_err(cannot)?;
    let mut series = Vec::new();
    {
        let group = options.memory_limit_bytes.map(MemoryGroup::new).transpose()?;
        for at in 0..options.rounds {
            for level in turns(at) {
                let sample = in_new_folder(&folder, |folder| {
                    ingest(&own, level, &noise, group.as_ref(), folder, round::settle)
                })?;
                println!("round {} {level:5} {:8.2} s", at + 1, sample.usage.wall_s);
                samples::record(&mut series, level, Step::First, sample);
            }
        }
    }
    let mut overheads = Vec::new();
    for level in LEVELS {
        println!("{}: {} bytes of noise", level.name(), level.noise_bytes());
        overheads.push(in_new_folder(&folder, |folder| overhead::measure(&own, level, folder))?);
    }
    let report = Report {
        command: command_of(options),
        machine,
        version,
        noise_name: name(&noise),
        noise_bytes,
        rounds: options.rounds,
        memory_limit_bytes: options.memory_limit_bytes,
        series,
        overheads,
    };
    let text = report.to_markdown();
    println!("\n{text}");
    let out = options.out.clone().unwrap_or_else(|| root.join("docs").join("BENCHMARKS-PARITY.md"));
    std::fs::write(&out, text).map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    Ok(report.overheads.iter().filter_map(Overhead::failure).collect())
}

/// Who comes first changes from round to round.
fn turns(round: usize) -> [&'static str; 2] {
    if round.is_multiple_of(2) { [OFF, ON] } else { [ON, OFF] }
}

/// Does something in a new folder, which is removed again.
fn in_new_folder<T>(parent: &Path, work: impl FnOnce(&Path) -> Result<T, String>) -> Result<T, String> {
    let cannot = |error: std::io::Error| format!("cannot use {}: {error}", parent.display());
    let folder = tempfile::tempdir_in(parent).map_err(cannot)?;
    let result = work(folder.path())?;
    folder.close().map_err(cannot)?;
    Ok(result)
}

/// One ingest into a new repository, which must have parity exactly if it should.
fn ingest(
    tool: &Tool,
    level: &str,
    noise: &Path,
    group: Option<&MemoryGroup>,
    folder: &Path,
    settle: fn(),
) -> Result<Sample, String> {
    let log = folder.join("stderr");
    let sizes = || {
        Sizes::of(&folder.join(REPOSITORY)).map_err(|error| format!("cannot look at the repository: {error}"))
    };
    let mut init = tool.command(folder, &["--quiet", "init", "--parity", level], "");
    process::run(&mut init, None, None, &log)?;
    let before = sizes()?;
    files::warm(noise).map_err(|error| format!("cannot read {}: {error}", noise.display()))?;
    let mut command = tool.ingest(folder, "");
    if let Some(group) = group {
        command = group.command(&command);
    }
    settle();
    let usage = process::run(&mut command, Some(noise), None, &log)?;
    let stored = sizes()?;
    if (stored.shards > 0) != (level != OFF) {
        return Err(format!("with parity {level}, shards have {} bytes", stored.shards));
    }
    Ok(Sample { usage, stored, added: stored.since(before) })
}

/// The samples of a level.
fn of_level<'a>(series: &'a [Series], level: &str) -> Option<&'a Series> {
    series.iter().find(|series| series.tool == level)
}

/// What to type for the same again.
fn command_of(options: &Options) -> String {
    let limit = options.memory_limit_bytes.map(|bytes| format!(" --memory-limit {bytes}"));
    let limit = limit.unwrap_or_default();
    format!("cargo xtask bench parity --rounds {}{limit} {}", options.rounds, name(&options.noise))
}

#[cfg(test)]
mod tests {
    use super::super::tool::Commands;
    use super::*;

    #[test]
    fn levels_take_turns_at_being_first() {
        assert_eq!((0..3).flat_map(turns).collect::<Vec<_>>(), [OFF, ON, ON, OFF, OFF, ON]);
    }

    #[test]
    fn the_command_to_repeat_names_no_folders() {
        let options = Options::parse(&["--work", "/disk", "--memory-limit", "5", "/data/n.bin"]).unwrap();
        assert_eq!(command_of(&options), "cargo xtask bench parity --rounds 7 --memory-limit 5 n.bin");
    }

    #[test]
    fn an_ingest_that_wrote_parity_against_its_level_is_no_sample() {
        let folder = tempfile::tempdir().unwrap();
        let (noise, program) = (folder.path().join("noise"), folder.path().join("program"));
        std::fs::write(&noise, "noise").unwrap();
        // An engine that makes one pack and always one shard.
        let script = "#!/bin/sh\nif [ \"$2\" = init ]; then mkdir repo\nelse cat > repo/a.pack; echo x > repo/a.par\nfi\n";
        std::fs::write(&program, script).unwrap();
        static SHELL: Commands = Commands { ingest: &[], variables: &[], ..OWN };
        let mut permissions = std::fs::metadata(&program).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o700);
        std::fs::set_permissions(&program, permissions).unwrap();
        let tool = Tool::new(&SHELL, program);
        let ingest =
            |level| in_new_folder(folder.path(), |folder| ingest(&tool, level, &noise, None, folder, || ()));
        let sample = ingest(ON).unwrap();
        assert_eq!((sample.stored.packs, sample.added.shards), (5, 2));
        assert!(ingest(OFF).unwrap_err().contains("with parity off"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
