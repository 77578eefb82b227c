//! `completions`: the script that makes a shell ask this program.

use std::path::PathBuf;

use clap_complete::env::Shells;
use containerarchive::ErrorCode;

use crate::args::CompletionsArgs;
use crate::completion;
use crate::failure::{Failure, Outcome};
use crate::ui::Terminal;

const NAME: &str = "containerarchive";

pub(super) fn run(arguments: &CompletionsArgs, terminal: &Terminal) -> Outcome {
    let failed = |why: String| Failure::new(ErrorCode::Failed, format!("cannot make the script: {why}"));
    let shell = arguments.shell.name();
    let shells = Shells::builtins();
    let writer = shells.completer(shell).ok_or_else(|| failed(format!("{shell} is not known")))?;
    let mut script = Vec::new();
    writer
        .write_registration(completion::VARIABLE, NAME, NAME, &program(), &mut script)
        .map_err(|error| failed(error.to_string()))?;
    let script = String::from_utf8(script).map_err(|error| failed(error.to_string()))?;
    terminal.print(&script)
}

/// How this program was called: the plain name, found by the search path also after an upgrade, or an absolute path.
fn program() -> String {
    let called = std::env::args_os().next().map_or_else(|| NAME.into(), PathBuf::from);
    let is_path = called.components().count() > 1;
    let called = if is_path { std::path::absolute(&called).unwrap_or(called) } else { called };
    called.to_string_lossy().into_owned()
}
