//! `cargo xtask test`: everything the project tests, in stages.

mod first_hour;
mod literal;
mod node;
mod recipes;
mod recovery;
mod servers;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::cargo::cargo;
use crate::tidy;

/// What `cargo xtask test` was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Also the tests that take minutes.
    is_long: bool,
    /// One stage instead of all.
    only: Option<&'static str>,
}

impl Options {
    /// Reads the arguments after `test`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--long" => options.is_long = true,
                "--only" => {
                    let name = arguments.next().ok_or("--only wants the name of a stage")?;
                    let stage = STAGES.iter().find(|(stage, _)| stage == name);
                    options.only = Some(stage.ok_or_else(|| format!("there is no stage `{name}`"))?.0);
                }
                other => return Err(format!("`test` has no option `{other}`")),
            }
        }
        Ok(options)
    }
}

/// What the stages work on.
struct Context {
    root: PathBuf,
    /// Where cargo builds.
    target: PathBuf,
    is_long: bool,
}

/// How a stage ended, unless it failed.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// Not run, and why.
    Skipped(String),
}

/// A stage tells in words why it failed.
type StageResult = Result<Outcome, String>;
type Stage = fn(&Context) -> StageResult;

/// In the order in which they run: what fails fastest comes first.
const STAGES: &[(&str, Stage)] = &[
    ("fmt", fmt),
    ("tidy", tidy),
    ("clippy", clippy),
    ("test", test),
    ("release", release),
    ("node", node::run),
    ("recovery", recovery::run),
    ("first-hour", first_hour::run),
    ("recipes", recipes::run),
];

/// Runs the stages until one fails.
pub(crate) fn main(root: &Path, options: &Options) -> ExitCode {
    let context = Context { root: root.to_path_buf(), target: target_folder(root), is_long: options.is_long };
    let begin = Instant::now();
    let mut skipped = Vec::new();
    for (name, stage) in STAGES.iter().filter(|(name, _)| options.only.is_none_or(|only| only == *name)) {
        println!("== {name}");
        let stage_begin = Instant::now();
        let result = stage(&context);
        let seconds = stage_begin.elapsed().as_secs_f64();
        match result {
            Ok(Outcome::Passed) => println!("== {name}: passed in {seconds:.1} s"),
            Ok(Outcome::Skipped(reason)) => {
                println!("== {name}: SKIPPED, {reason}");
                skipped.push(*name);
            }
            Err(reason) => {
                println!("== {name}: FAILED in {seconds:.1} s, {reason}");
                println!("FAILED at {name} after {:.1} s", begin.elapsed().as_secs_f64());
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    if skipped.is_empty() {
        println!("passed in {seconds:.1} s");
    } else {
        println!("passed in {seconds:.1} s, SKIPPED {}", skipped.join(" "));
    }
    ExitCode::SUCCESS
}

/// Cargo's target folder, absolute, because the stages run in the root and this process may not.
pub(crate) fn target_folder(root: &Path) -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty());
    folder.map_or_else(
        || root.join("target"),
        |folder| std::path::absolute(&folder).unwrap_or_else(|_| folder.into()),
    )
}

fn fmt(context: &Context) -> StageResult {
    if let Some(reason) = lacks(context, "fmt") {
        return Ok(Outcome::Skipped(reason));
    }
    succeed(context.cargo().args(["fmt", "--all", "--check"]))
}

fn tidy(context: &Context) -> StageResult {
    let findings = tidy::run(&context.root);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { Ok(Outcome::Passed) } else { Err(format!("{} to mend", findings.len())) }
}

fn clippy(context: &Context) -> StageResult {
    if let Some(reason) = lacks(context, "clippy") {
        return Ok(Outcome::Skipped(reason));
    }
    let arguments = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    succeed(context.cargo().args(arguments))
}

fn test(context: &Context) -> StageResult {
    let mut command = context.cargo();
    if context.is_long {
        command.env("CONTAINERARCHIVE_TEST_LONG", "1");
    }
    succeed(command.args(["test", "--workspace", "--all-features"]))
}

fn release(context: &Context) -> StageResult {
    succeed(context.cargo().args(["build", "--release", "-p", "containerarchive-cli"]))
}

impl Context {
    /// Cargo in the root, building where this process was built.
    fn cargo(&self) -> Command {
        let mut command = cargo(&self.root);
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

impl Context {
    /// The program that the stage `release` built.
    fn release_binary(&self) -> Result<PathBuf, String> {
        let binary = self.target.join("release/containerarchive");
        if binary.exists() {
            return Ok(binary);
        }
        Err(format!("{} is missing: cargo xtask test --only release", binary.display()))
    }
}

/// Why a cargo subcommand cannot be run, if it cannot.
fn lacks(context: &Context, subcommand: &str) -> Option<String> {
    let answer = context.cargo().args([subcommand, "--version"]).output();
    let is_there = answer.is_ok_and(|answer| answer.status.success());
    let component = if subcommand == "fmt" { "rustfmt" } else { subcommand };
    (!is_there).then(|| format!("cargo {subcommand} is not installed: rustup component add {component}"))
}

/// Runs a command whose output goes to the terminal.
fn succeed(command: &mut Command) -> StageResult {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(Outcome::Passed),
        Ok(status) => Err(format!("{status}")),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_named() {
        assert_eq!(Options::parse(&[]), Ok(Options::default()));
        assert_eq!(
            Options::parse(&["--long", "--only", "tidy"]),
            Ok(Options { is_long: true, only: Some("tidy") })
        );
        assert!(Options::parse(&["--only"]).is_err());
        assert_eq!(Options::parse(&["--only", "lint"]), Err("there is no stage `lint`".to_owned()));
        assert_eq!(Options::parse(&["--fast"]), Err("`test` has no option `--fast`".to_owned()));
    }

    #[test]
    fn usage_lists_every_stage() {
        let names: Vec<&str> = STAGES.iter().map(|(name, _)| *name).collect();
        assert!(crate::USAGE.contains(&names.join(" ")));
    }
}
