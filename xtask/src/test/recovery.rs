//! The independent recovery program reads what the release binary wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Context, Outcome, StageResult, succeed};

pub(super) fn run(context: &Context) -> StageResult {
    let script = context.root.join("recovery/test.py");
    if !script.exists() {
        return Ok(Outcome::Skipped("there is no recovery/test.py yet".to_owned()));
    }
    let binary = context.release_binary()?;
    if !works("python3", &["-c", "import venv, ensurepip"]) {
        return Ok(Outcome::Skipped("python3 with its venv module is not installed".to_owned()));
    }
    let python = environment(&context.target.join("recovery-venv"))?;
    install(&python, &context.root.join("recovery/requirements.txt"))?;
    let mut command = Command::new(python);
    command.current_dir(&context.root).arg("recovery/test.py").arg("--binary").arg(binary);
    succeed(command.args(["--golden", "testdata/golden"]))
}

/// The Python of a virtual environment, which is made anew if it does not run.
fn environment(folder: &Path) -> Result<PathBuf, String> {
    let python = folder.join("bin/python");
    if !works(&python, &["-m", "pip", "--version"]) {
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    }
    Ok(python)
}

/// Installs the requirements unless these very ones are installed.
fn install(python: &Path, requirements: &Path) -> Result<(), String> {
    let Ok(wanted) = fs::read(requirements) else {
        return Ok(());
    };
    let stamp = python.with_file_name("installed-requirements.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
    succeed(&mut command)?;
    fs::write(&stamp, wanted).map_err(|error| format!("cannot write {}: {error}", stamp.display()))
}

fn works(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
