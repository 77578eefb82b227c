//! `cargo xtask kit` and `cargo xtask golden`: files that tests compare with, written by the tests themselves.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs an integration test of the library with the variable that makes it write its files.
pub(crate) fn write(root: &Path, test: &str, variable: &str) -> ExitCode {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).env(variable, "1");
    command.args(["test", "--package", "containerarchive", "--all-features", "--test", test]);
    match command.status() {
        Ok(status) if status.success() => {
            println!("wrote testdata/{test}");
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot run cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
