//! `cargo xtask bench`: the engine's speed, beside its peers and beside what the machine can do.

mod confine;
mod files;
mod machine;
mod markdown;
mod options;
pub(crate) mod parity;
mod primitives;
mod process;
mod profile;
pub(crate) mod prune;
mod report;
mod roofline;
mod round;
mod samples;
mod tool;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) use options::Options;

use crate::cargo::cargo;
use crate::test::target_folder;
use machine::Machine;
use options::Work;
use primitives::Primitives;
use report::{Report, WorkReport};
use round::Event;
use samples::{Series, Step};
use tool::{OWN, PEERS, Tool};

/// Measures, prints the report and writes it. Fails if a tool failed or restored other bytes than it was given; the
/// report is written all the same, and says so.
pub(crate) fn main(root: &Path, options: &Options) -> ExitCode {
    finish(run(root, options))
}

/// Tells what failed.
fn finish(done: Result<Vec<String>, String>) -> ExitCode {
    match done {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            failures.iter().for_each(|failure| eprintln!("FAILED: {failure}"));
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The tools, and what is wrong with them.
struct Bench {
    programs: PathBuf,
    tools: Vec<Tool>,
    missing: Vec<String>,
    failures: Vec<String>,
}

fn run(root: &Path, options: &Options) -> Result<Vec<String>, String> {
    let target = target_folder(root);
    build(root)?;
    let parent = work_folder(root, options.folder.as_deref())?;
    let programs = target.join("release");
    let own = Tool::new(&OWN, programs.join(OWN.name));
    let mut bench = Bench { programs, tools: vec![own], missing: Vec::new(), failures: Vec::new() };
    bench.find_peers(options.has_peers);
    let versions = bench.versions(root, &parent)?;
    let machine = Machine::this(&parent);
    let works =
        options.works.iter().map(|work| bench.measure(work, options, &parent)).collect::<Result<_, _>>()?;
    let missing = [bench.missing, bench.failures.clone()].concat();
    let report =
        Report { command: command_of(options), machine, versions, runs: options.runs, missing, works };
    let text = report.to_markdown();
    println!("\n{text}");
    let out = options.out.clone().unwrap_or_else(|| root.join("docs").join("BENCHMARKS.md"));
    std::fs::write(&out, text).map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    Ok(bench.failures)
}

/// Where repositories are made: `wanted`, or a folder beside what is built.
fn work_folder(root: &Path, wanted: Option<&Path>) -> Result<PathBuf, String> {
    let parent = wanted.map_or_else(|| target_folder(root).join("bench"), Path::to_owned);
    std::fs::create_dir_all(&parent).map_err(|error| format!("cannot make {}: {error}", parent.display()))?;
    // Tools run in folders of their own, from which a relative one would mean another.
    parent.canonicalize().map_err(|error| format!("cannot use {}: {error}", parent.display()))
}

fn build(root: &Path) -> Result<(), String> {
    let mut command = cargo(root);
    command.args([
        "build",
        "--release",
        "--locked",
        "-p",
        "containerarchive-cli",
        "-p",
        "containerarchive-benches",
    ]);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the release build failed: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

impl Bench {
    fn find_peers(&mut self, are_wanted: bool) {
        if !are_wanted {
            self.missing.push("peers: not asked for (`--peers`)".to_owned());
            return;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        for commands in PEERS {
            match Tool::find(commands, &path) {
                Some(tool) => self.tools.push(tool),
                None => self.missing.push(format!("{}: not on the `PATH`", commands.name)),
            }
        }
    }

    fn versions(&self, root: &Path, folder: &Path) -> Result<Vec<String>, String> {
        let mut versions = Vec::new();
        for tool in &self.tools {
            let version = tool.version(folder)?;
            let is_own = tool.commands.name == OWN.name;
            versions.push(if is_own { format!("{version} ({})", machine::commit(root)) } else { version });
        }
        Ok(versions)
    }

    fn measure(&mut self, work: &Work, options: &Options, parent: &Path) -> Result<WorkReport, String> {
        let cannot = |path: &Path, error: std::io::Error| format!("cannot use {}: {error}", path.display());
        let work = &Work {
            file: work.file.canonicalize().map_err(|error| cannot(&work.file, error))?,
            next: work
                .next
                .as_ref()
                .map(|next| next.canonicalize().map_err(|error| cannot(next, error)))
                .transpose()?,
        };
        let bytes = |path: &Path| files::warm(path).map_err(|error| cannot(path, error));
        let (plain_bytes, second_bytes) = (bytes(&work.file)?, bytes(work.second())?);
        let primitives = || {
            println!("{}: primitives", name(&work.file));
            Primitives::measure(&self.programs.join("primitives"), &work.file, parent)
        };
        let before = primitives()?;
        let (mut series, mut new_shares, mut failed) = (Vec::new(), [0.0; 2], Vec::new());
        for run in 0..options.runs {
            let folder = tempfile::tempdir_in(parent).map_err(|error| cannot(parent, error))?;
            let failures = &mut self.failures;
            round::run(&self.tools, run, work, folder.path(), round::settle, &mut |tool, step, event| {
                match event {
                    Event::Measured(sample) => {
                        let (tool, wall_s) = (tool.commands.name, sample.usage.wall_s);
                        println!("run {} {:14} {tool:17} {wall_s:8.2} s", run + 1, step.name());
                        samples::record(&mut series, tool, step, sample);
                    }
                    Event::NewShare(share) => new_shares[usize::from(step == Step::Second)] = share,
                    Event::Failed(why) => {
                        failed.push(tool.commands.name);
                        failures.push(format!(
                            "{}, {} of {}: {why}",
                            tool.commands.name,
                            step.name(),
                            name(&work.file)
                        ));
                    }
                }
            })?;
            folder.close().map_err(|error| cannot(parent, error))?;
        }
        // Whoever did not do all of the work right has no times.
        series.retain(|series: &Series| !failed.contains(&series.tool));
        let primitives = before.best_of(&primitives()?);
        let profile = if options.is_profiled { self.profile(work, parent)? } else { None };
        let next_name = work.next.as_deref().map(name);
        let name = name(&work.file);
        Ok(WorkReport { name, next_name, plain_bytes, second_bytes, primitives, new_shares, series, profile })
    }

    fn profile(
        &mut self,
        work: &Work,
        parent: &Path,
    ) -> Result<Option<Vec<(Step, profile::Groups)>>, String> {
        if !profile::is_there() {
            println!("profile: SKIPPED, perf is not installed");
            self.missing.push("profile: perf is not installed".to_owned());
            return Ok(None);
        }
        println!("{}: profile", name(&work.file));
        let folder = tempfile::tempdir_in(parent)
            .map_err(|error| format!("cannot use {}: {error}", parent.display()))?;
        let own = Tool::new(&OWN, self.programs.join(OWN.name));
        match profile::run(&own, work, folder.path()) {
            Ok(groups) => Ok(Some(groups)),
            Err(why) => {
                self.failures.push(format!("profile of {}: {why}", name(&work.file)));
                Ok(None)
            }
        }
    }
}

/// The name alone: folders belong to one machine.
fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// What to type for the same again.
fn command_of(options: &Options) -> String {
    let mut words = vec!["cargo xtask bench".to_owned()];
    words.extend(options.has_peers.then(|| "--peers".to_owned()));
    words.extend(options.is_profiled.then(|| "--profile".to_owned()));
    words.push(format!("--runs {}", options.runs));
    for work in &options.works {
        let next = work.next.as_ref().map_or_else(String::new, |next| format!(",{}", name(next)));
        words.push(format!("{}{next}", name(&work.file)));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_repeat_names_no_folders() {
        let options =
            Options::parse(&["--peers", "/data/a.sql,/data/b.sql", "--work", "/disk", "x/c.bin"]).unwrap();
        assert_eq!(command_of(&options), "cargo xtask bench --peers --runs 3 a.sql,b.sql c.bin");
    }
}
