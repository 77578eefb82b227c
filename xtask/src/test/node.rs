//! The npm package: its types against the schema, its sources against the compiler, its tests against the release build.

use std::process::Command;

use super::{Context, Outcome, StageResult, succeed};

/// What is run in `node/`, in order.
const STEPS: &[&[&str]] =
    &[&["ci", "--no-audit", "--no-fund"], &["run", "check"], &["run", "build"], &["run", "test"]];

pub(super) fn run(context: &Context) -> StageResult {
    let binary = context.release_binary()?;
    if Command::new("npm").arg("--version").output().is_err() {
        return Ok(Outcome::Skipped("npm is not installed".to_owned()));
    }
    for step in STEPS {
        let mut npm = Command::new("npm");
        npm.current_dir(context.root.join("node")).args(*step).env("CONTAINERARCHIVE_BINARY", &binary);
        if context.is_long {
            npm.env("CONTAINERARCHIVE_TEST_LONG", "1");
        }
        succeed(&mut npm).map_err(|reason| format!("npm {}: {reason}", step.join(" ")))?;
    }
    Ok(Outcome::Passed)
}
