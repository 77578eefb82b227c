//! `cargo xtask sim`: many seeds of the simulation in `crates/containerarchive/src/engine/tests/sim/`, in release.

use std::path::Path;
use std::process::ExitCode;

use crate::cargo::{cargo, run};

/// What `cargo xtask sim` was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    first_seed: u64,
    seeds: u64,
    /// A bug to plant.
    plant: Option<String>,
}

impl Options {
    /// Reads the arguments after `sim`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self { first_seed: 0, seeds: 1000, plant: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            let number = |text: &&str| text.parse().map_err(|_| format!("`{text}` is no number"));
            match *argument {
                "--seeds" => options.seeds = number(value()?)?,
                "--seed" => {
                    options.first_seed = number(value()?)?;
                    options.seeds = 1;
                }
                "--from" => options.first_seed = number(value()?)?,
                "--plant" => options.plant = Some((*value()?).to_owned()),
                other => return Err(format!("`sim` has no option `{other}`")),
            }
        }
        Ok(options)
    }
}

/// Runs the seeds until one fails; with a planted bug, until one finds it, and fails if none does.
pub(crate) fn main(root: &Path, options: &Options) -> ExitCode {
    let Options { first_seed, seeds, plant } = options;
    let plan = plant.iter().fold(format!("{first_seed} {seeds}"), |plan, bug| format!("{plan} {bug}"));
    let mut command = cargo(root);
    command.env("CONTAINERARCHIVE_SIM", plan).env("RUST_BACKTRACE", "0");
    command.args(["test", "--release", "--package", "containerarchive", "--lib", "--"]);
    command.args(["--ignored", "--exact", "--nocapture", "engine::tests::sim::many"]);
    run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_replayed_and_unknown_options_are_refused() {
        let options = Options::parse(&["--seed", "7", "--plant", "void-ignored"]);
        let plant = Some("void-ignored".to_owned());
        assert_eq!(options, Ok(Options { first_seed: 7, seeds: 1, plant }));
        for wrong in [&["--seeds", "x"][..], &["--seed"], &["--fast"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
