//! The npm package: its types against the schema, its sources against the compiler, its tests against the release build,
//! and what is packed of it.

use std::path::Path;
use std::process::Command;

use super::{Context, Outcome, StageResult, succeed};
use crate::npm;

/// What is run in `node/`, in order, before the packages are packed.
const STEPS: &[&[&str]] = &[&["ci", "--no-audit", "--no-fund"], &["run", "check"], &["run", "build"]];

pub(super) fn run(context: &Context) -> StageResult {
    let binary = context.release_binary()?;
    if Command::new("npm").arg("--version").output().is_err() {
        return Ok(Outcome::Skipped("npm is not installed".to_owned()));
    }
    let packages = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    for step in STEPS {
        run_step(context, step, &binary, packages.path())?;
    }
    // The program of the release is tested already, and is what the packages have but for its linking.
    let packed = if context.is_long { npm::build(&context.root, &context.target)? } else { binary.clone() };
    npm::pack(&context.root, &packed, packages.path())?;
    run_step(context, &["run", "test"], &binary, packages.path())
}

fn run_step(context: &Context, step: &[&str], binary: &Path, packages: &Path) -> StageResult {
    let mut npm = Command::new("npm");
    npm.current_dir(context.root.join("node")).args(step);
    npm.env("CONTAINERARCHIVE_BINARY", binary).env("CONTAINERARCHIVE_TEST_PACKAGES", packages);
    if context.is_long {
        npm.env("CONTAINERARCHIVE_TEST_LONG", "1");
    }
    succeed(&mut npm).map_err(|reason| format!("npm {}: {reason}", step.join(" ")))
}
