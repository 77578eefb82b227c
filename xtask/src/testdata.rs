//! `cargo xtask kit`, `golden`, `errors` and `schema`: files that tests compare with, written by the tests themselves.

use std::path::Path;
use std::process::ExitCode;

use crate::cargo::{cargo, run};

/// Runs an integration test of the library with the variable that makes it write its files.
pub(crate) fn write(root: &Path, test: &str, variable: &str) -> ExitCode {
    let arguments = ["--package", "containerarchive", "--all-features", "--test", test];
    write_by_test(root, variable, &arguments, &format!("testdata/{test}"))
}

/// Runs the test that compares the documents with the error catalogue.
pub(crate) fn write_errors(root: &Path) -> ExitCode {
    let arguments =
        ["--package", "containerarchive-cli", "--bin", "containerarchive", "catalogue::documents"];
    write_by_test(
        root,
        "CONTAINERARCHIVE_ERRORS_WRITE",
        &arguments,
        "docs/ERRORS.md and the exit codes of README.md",
    )
}

/// Runs the test that compares the schema of the engine's protocol with its types.
pub(crate) fn write_schema(root: &Path) -> ExitCode {
    let arguments = ["--package", "containerarchive-cli", "--bin", "containerarchive", "rpc::schema"];
    write_by_test(root, "CONTAINERARCHIVE_SCHEMA_WRITE", &arguments, "docs/rpc.schema.json")
}

fn write_by_test(root: &Path, variable: &str, arguments: &[&str], what: &str) -> ExitCode {
    let done = run(cargo(root).env(variable, "1").arg("test").args(arguments));
    if done == ExitCode::SUCCESS {
        println!("wrote {what}");
    }
    done
}
