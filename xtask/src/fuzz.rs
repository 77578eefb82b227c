//! `cargo xtask fuzz`: the targets of `fuzz/`, led by coverage (libFuzzer), on a stable compiler.

use std::path::Path;
use std::process::ExitCode;

use crate::cargo::{cargo, run};

const TARGETS: [&str; 2] = ["frames", "lines"];

/// What cargo-fuzz passes for coverage, without a sanitizer, which needs a nightly compiler.
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// What `cargo xtask fuzz` was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    targets: Vec<&'static str>,
    seconds: u64,
    seed: u64,
}

impl Options {
    /// Reads the arguments after `fuzz`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self { targets: Vec::new(), seconds: 60, seed: 6 };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let text = arguments.next().ok_or_else(|| format!("{argument} wants a value"))?;
                text.parse::<u64>().map_err(|_| format!("`{text}` is no number"))
            };
            match *argument {
                "--seconds" => options.seconds = number()?,
                "--seed" => options.seed = number()?,
                name => match TARGETS.into_iter().find(|target| *target == name) {
                    Some(target) => options.targets.push(target),
                    None => return Err(format!("`fuzz` has no target `{name}`; there are {TARGETS:?}")),
                },
            }
        }
        if options.targets.is_empty() {
            options.targets = TARGETS.into();
        }
        Ok(options)
    }
}

/// Runs the targets one after the other until one fails; libFuzzer then leaves the bytes in `target/fuzz`.
pub(crate) fn main(root: &Path, options: &Options) -> ExitCode {
    let folder = root.join("target/fuzz");
    for target in &options.targets {
        // A program of this computer, but with a target named, so that build scripts get no flags.
        let mut command = cargo(&root.join("fuzz"));
        command.env("RUSTFLAGS", FLAGS.join(" "));
        command.args(["run", "--locked", "--release", "--target", "host-tuple", "--target-dir"]).arg(&folder);
        command.args(["--bin", target, "--", &format!("-max_total_time={}", options.seconds)]);
        command.arg(format!("-seed={}", options.seed));
        command.arg(format!("-artifact_prefix={}/{target}-", folder.display()));
        let done = run(&mut command);
        if done != ExitCode::SUCCESS {
            return done;
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_targets_are_run_unless_one_is_named_and_unknown_ones_are_refused() {
        let options = Options::parse(&["frames", "--seconds", "5"]);
        assert_eq!(options, Ok(Options { targets: vec!["frames"], seconds: 5, seed: 6 }));
        assert_eq!(Options::parse(&[]).unwrap().targets, TARGETS);
        for wrong in [&["--seconds", "x"][..], &["--seed"], &["pages"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
