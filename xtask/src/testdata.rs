//! `cargo xtask kit`, `golden`, `errors` and `schema`: files that tests compare with, written by the tests themselves.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs an integration test of the library with the variable that makes it write its files.
pub(crate) fn write(root: &Path, test: &str, variable: &str) -> ExitCode {
    let arguments = ["--package", "containerarchive", "--all-features", "--test", test];
    run(root, variable, &arguments, &format!("testdata/{test}"))
}

/// Runs the test that compares the documents with the error catalogue.
pub(crate) fn write_errors(root: &Path) -> ExitCode {
    let arguments =
        ["--package", "containerarchive-cli", "--bin", "containerarchive", "catalogue::documents"];
    run(root, "CONTAINERARCHIVE_ERRORS_WRITE", &arguments, "docs/ERRORS.md and the exit codes of README.md")
}

/// Runs the test that compares the schema of the engine's protocol with its types.
pub(crate) fn write_schema(root: &Path) -> ExitCode {
    let arguments = ["--package", "containerarchive-cli", "--bin", "containerarchive", "rpc::schema"];
    run(root, "CONTAINERARCHIVE_SCHEMA_WRITE", &arguments, "docs/rpc.schema.json")
}

fn run(root: &Path, variable: &str, arguments: &[&str], what: &str) -> ExitCode {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).env(variable, "1").arg("test").args(arguments);
    match command.status() {
        Ok(status) if status.success() => {
            println!("wrote {what}");
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
