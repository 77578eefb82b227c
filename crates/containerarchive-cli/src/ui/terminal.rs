//! The two output streams of a command, and the [`Monitor`] that the library reports to.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use containerarchive::{ErrorCode, Monitor, Problem, Progress};
use serde::Serialize;

use super::Printable;
use super::progress::Tracker;
use crate::args::{GlobalArgs, ProgressMode};
use crate::documents::{ErrorDocument, ProblemDocument};
use crate::failure::{Failure, Outcome};
use crate::interrupt;

/// Ten redraws a second.
const REDRAW: Duration = Duration::from_millis(100);
const JSON_INTERVAL: Duration = Duration::from_secs(1);
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

/// How progress is shown, decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Line,
    Plain,
    Json,
    Nothing,
}

/// Where a command's words go.
pub(crate) struct Terminal {
    is_json: bool,
    is_quiet: bool,
    show: Show,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tracker: Option<Tracker>,
    is_line_drawn: bool,
    problems: Vec<ProblemDocument>,
}

impl Terminal {
    pub(crate) fn new(options: &GlobalArgs) -> Self {
        let show = match options.progress {
            _ if options.quiet => Show::Nothing,
            ProgressMode::Auto if std::io::stderr().is_terminal() => Show::Line,
            // Scripts that want one document get no lines that they did not ask for.
            ProgressMode::Auto if options.json => Show::Nothing,
            ProgressMode::Auto | ProgressMode::Plain => Show::Plain,
            ProgressMode::Json => Show::Json,
            ProgressMode::None => Show::Nothing,
        };
        Self { is_json: options.json, is_quiet: options.quiet, show, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Progress from here on is that of one operation.
    pub(crate) fn begin(&self, operation: &'static str, total_bytes: Option<u64>) {
        self.state().tracker = Some(Tracker::new(operation, total_bytes));
    }

    /// Removes the progress line.
    pub(crate) fn finish_progress(&self) {
        let mut state = self.state();
        state.tracker = None;
        clear_line(&mut state);
    }

    /// The result, for people; text of a repository must have been escaped.
    pub(crate) fn print(&self, text: &str) -> Outcome {
        self.finish_progress();
        write_out(text.as_bytes())
    }

    /// The result, for scripts: the one document on the standard output.
    pub(crate) fn document(&self, document: &impl Serialize) -> Outcome {
        self.finish_progress();
        let mut line = serde_json::to_vec(document).map_err(no_json)?;
        line.push(b'\n');
        write_out(&line)
    }

    /// The result where the standard output is taken by content.
    pub(crate) fn document_beside_content(&self, document: &impl Serialize) -> Outcome {
        let line = serde_json::to_string(document).map_err(no_json)?;
        self.finish_progress();
        write_error(&line);
        Ok(())
    }

    /// Good to know; left out with `--quiet` and `--json`.
    pub(crate) fn notice(&self, text: &str) {
        if !self.is_quiet && !self.is_json {
            self.tell(&Printable(text).to_string());
        }
    }

    /// Must be known. Goes into the document with `--json`.
    pub(crate) fn warn(&self, text: &str) {
        self.problem(&Problem::Warning { text: text.to_owned() });
    }

    /// What was reported so far, for documents.
    pub(crate) fn problems(&self) -> Vec<ProblemDocument> {
        self.state().problems.clone()
    }

    fn tell(&self, line: &str) {
        let mut state = self.state();
        clear_line(&mut state);
        write_error(line);
    }
}

impl Monitor for Terminal {
    fn progress(&self, progress: &Progress) {
        let mut state = self.state();
        let Some(tracker) = &mut state.tracker else { return };
        tracker.update(progress);
        match self.show {
            Show::Line if tracker.is_due(REDRAW, false) => {
                let text = tracker.text();
                state.is_line_drawn = true;
                let mut stderr = std::io::stderr().lock();
                let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
            }
            Show::Plain if tracker.is_due(PLAIN_INTERVAL, true) => write_error(&tracker.text()),
            Show::Json if tracker.is_due(JSON_INTERVAL, false) => {
                if let Ok(line) = serde_json::to_string(&tracker.line()) {
                    write_error(&line);
                }
            }
            _ => {}
        }
    }

    fn problem(&self, problem: &Problem) {
        if !self.is_json {
            let word = match problem {
                Problem::Mended { .. } => "mended",
                Problem::Damaged { .. } => "damaged",
                Problem::Warning { .. } => "warning",
            };
            self.tell(&format!("{word}: {}", Printable(&problem.text())));
        }
        self.state().problems.push(ProblemDocument::from(problem));
    }

    fn is_cancelled(&self) -> bool {
        interrupt::is_interrupted()
    }
}

fn no_json(error: serde_json::Error) -> Failure {
    Failure::new(ErrorCode::Failed, format!("cannot write the result as JSON: {error}"))
}

fn clear_line(state: &mut State) {
    if std::mem::take(&mut state.is_line_drawn) {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "\r\x1b[K").and_then(|()| stderr.flush());
    }
}

fn write_out(bytes: &[u8]) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
}

/// There is nobody to tell if the standard error fails.
fn write_error(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Says on the standard error what happened, why, and what to do.
pub(crate) fn report_failure(failure: &Failure, is_json: bool, terminal: &Terminal) {
    if is_json {
        // The document says what a pipe that was closed early is, too: a script asked for it.
        print_error_document(failure, terminal.problems());
    } else if !failure.is_silent() {
        write_error(&format!("error: {}", Printable(failure.message())));
        write_error(&format!("  {}", failure.advice()));
    }
}

fn print_error_document(failure: &Failure, problems: Vec<ProblemDocument>) {
    if let Ok(line) = serde_json::to_string(&ErrorDocument::new(failure, problems)) {
        write_error(&line);
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
        write_error(&lines.join("\n"));
    }
    ExitCode::from(2)
}
