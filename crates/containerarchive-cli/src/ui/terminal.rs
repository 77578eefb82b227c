//! The two output streams of a command, and the [`Monitor`] that the library reports to.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use containerarchive::{ErrorCode, Monitor, Problem, Progress};
use serde::Serialize;

use super::display::{Display, Show};
use super::screen::{self, Label};
use super::{Printable, json};
use crate::args::{GlobalArgs, ProgressMode};
use crate::documents::{ErrorDocument, ProblemDocument};
use crate::failure::{Failure, Outcome};
use crate::interrupt;

/// Where a command's words go.
pub(crate) struct Terminal {
    is_json: bool,
    is_quiet: bool,
    display: Display,
    problems: Mutex<Vec<ProblemDocument>>,
}

impl Terminal {
    pub(crate) fn new(options: &GlobalArgs) -> Self {
        let show = match options.progress {
            _ if options.quiet => Show::Nothing,
            ProgressMode::Auto if screen::is_capable() => Show::Line,
            // Scripts that want one document get no lines that they did not ask for.
            ProgressMode::Auto if options.json => Show::Nothing,
            ProgressMode::Auto | ProgressMode::Plain => Show::Plain,
            ProgressMode::Json => Show::Json,
            ProgressMode::None => Show::Nothing,
        };
        Self {
            is_json: options.json,
            is_quiet: options.quiet,
            display: Display::new(show),
            problems: Mutex::default(),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Progress from here on is that of one operation.
    pub(crate) fn begin(&self, operation: &'static str, total_bytes: Option<u64>) {
        self.display.begin(operation, total_bytes);
    }

    /// The operation was successful: its progress ends with what it came to.
    pub(crate) fn complete_progress(&self) {
        self.display.complete(self.is_json);
    }

    /// The operation is over: its progress line disappears.
    pub(crate) fn finish_progress(&self) {
        self.display.end();
    }

    /// The result, for people; text of a repository must have been escaped.
    pub(crate) fn print(&self, text: &str) -> Outcome {
        self.complete_progress();
        write_out(text.as_bytes())
    }

    /// The result, for scripts: the one document on the standard output.
    pub(crate) fn document(&self, document: &impl Serialize) -> Outcome {
        self.complete_progress();
        let line = json::line(document).map_err(no_json)?;
        write_out((line + "\n").as_bytes())
    }

    /// The result where the standard output is taken by content.
    pub(crate) fn document_beside_content(&self, document: &impl Serialize) -> Outcome {
        let line = json::line(document).map_err(no_json)?;
        self.complete_progress();
        self.display.tell(&line);
        Ok(())
    }

    /// Good to know; left out with `--quiet` and `--json`.
    pub(crate) fn notice(&self, text: &str) {
        if !self.is_quiet && !self.is_json {
            self.display.tell(&Printable(text).to_string());
        }
    }

    /// Must be known. Goes into the document with `--json`.
    pub(crate) fn warn(&self, text: &str) {
        self.problem(&Problem::Warning { text: text.to_owned() });
    }

    /// What was reported so far, for documents.
    pub(crate) fn problems(&self) -> Vec<ProblemDocument> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Monitor for Terminal {
    fn progress(&self, progress: &Progress) {
        self.display.update(progress);
    }

    fn problem(&self, problem: &Problem) {
        if !self.is_json {
            let label = match problem {
                Problem::Mended { .. } => Label::Mended,
                Problem::Damaged { .. } => Label::Damaged,
                Problem::Warning { .. } => Label::Warning,
            };
            let label = label.text(screen::is_colourful());
            self.display.tell(&format!("{label} {}", Printable(&problem.text())));
        }
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(ProblemDocument::from(problem));
    }

    fn is_cancelled(&self) -> bool {
        interrupt::is_interrupted()
    }
}

fn no_json(error: serde_json::Error) -> Failure {
    Failure::new(ErrorCode::Failed, format!("cannot write the result as JSON: {error}"))
}

fn write_out(bytes: &[u8]) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
}

/// Says on the standard error what happened, why, and what to do.
pub(crate) fn report_failure(failure: &Failure, is_json: bool, terminal: &Terminal) {
    if is_json {
        // The document says what a pipe that was closed early is, too: a script asked for it.
        print_error_document(failure, terminal.problems());
    } else if !failure.is_silent() {
        // A terminal has shown what was typed to interrupt.
        let is_typed = failure.code() == ErrorCode::Cancelled && screen::is_capable();
        let before = if is_typed { screen::CLEAR_LINE } else { "" };
        let label = Label::Error.text(screen::is_colourful());
        screen::write(&format!("{before}{label} {}\n  {}\n", Printable(failure.message()), failure.advice()));
    }
}

fn print_error_document(failure: &Failure, problems: Vec<ProblemDocument>) {
    if let Ok(line) = json::line(&ErrorDocument::new(failure, problems)) {
        screen::write(&(line + "\n"));
    }
}

/// Help, the version, and arguments that make no sense.
pub(crate) fn usage_error(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let text = error.render().to_string();
    if std::env::args_os().any(|argument| argument == "--json") {
        // The advice of the document says where help is.
        let message = text.split("\n\nFor more information").next().unwrap_or_default();
        let message = message.trim().trim_start_matches("error: ");
        print_error_document(&Failure::usage(message), Vec::new());
    } else {
        // An argument may be a hostile file name from a wildcard.
        let lines: Vec<String> = text.trim_end().lines().map(|line| Printable(line).to_string()).collect();
        let text = lines.join("\n");
        let label = Label::Error.text(screen::is_colourful());
        let text = text.strip_prefix("error:").map_or_else(|| text.clone(), |rest| format!("{label}{rest}"));
        screen::write(&(text + "\n"));
    }
    ExitCode::from(2)
}
