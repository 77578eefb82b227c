//! Commands whose standard output is an item: a dump that failed must never look like a backup.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};

use super::redact::Redaction;
use super::tail::{Tail, last_lines, within_json};
use crate::format::evidence::Evidence;

const SHELL: &str = "bash";
/// So that a failing stage of a pipe fails the command.
const SHELL_FLAGS: [&str; 3] = ["-o", "pipefail", "-c"];
/// How long a wait lasts before it is asked again whether anybody wants the output.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often it is looked whether a process has ended.
const STEP: Duration = Duration::from_millis(5);
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// How long what a command left behind may hold its output open without a word.
const LINGER: Duration = Duration::from_secs(60);
/// How long messages are still read after the end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Longest text of a command in an error.
const SHOWN_CHARS: usize = 200;
/// Longest text of a command in its evidence.
const KEPT_CHARS: usize = 4096;

/// Bytes that the last messages take in the evidence as a JSON string. Enough for 4 KiB of ordinary text.
const MAX_TAIL_JSON_BYTES: usize = 8 << 10;

/// Asked while a wait lasts.
pub type Cancelled = Box<dyn Fn() -> bool + Send>;

/// A command failed, or what it wrote cannot be taken as whole.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No process.
    #[error("cannot start {SHELL}, which runs commands: {source}; install {SHELL}, or mend PATH")]
    Start {
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("the command '{command}' {ending}; {said}")]
    Failed {
        /// The command, without secrets.
        command: String,
        /// How it ended.
        ending: String,
        /// What it said at last, without secrets.
        said: String,
    },
    /// It was stopped for want of a terminal.
    #[error(
        "the command '{command}' wants to use the terminal, for a password perhaps, and has none; give it what it asks for by a file or a variable; {said}"
    )]
    WantsTerminal {
        /// The command, without secrets.
        command: String,
        /// What it said at last, without secrets.
        said: String,
    },
    /// A process that it left behind holds its output open.
    #[error(
        "the command '{command}' has ended, and a process that it left in the background holds its output open, and wrote nothing for {seconds} s; redirect the output of such a process, or let the command wait for it"
    )]
    Lingers {
        /// The command, without secrets.
        command: String,
        /// How long it was waited for.
        seconds: u64,
    },
}

impl From<CommandError> for io::Error {
    fn from(error: CommandError) -> Self {
        Self::other(error)
    }
}

/// A command of `bash -o pipefail -c`, started when it is first read from. Its standard input is empty. It has a process
/// group of its own: what is dropped before it succeeded is ended with all that it started, by
/// SIGTERM, and by SIGKILL 3 s later. If this process itself is killed, its commands end at their next write.
pub struct CapturedCommand {
    command: OsString,
    removed_variables: &'static [&'static str],
    cancelled: Cancelled,
    redaction: Redaction,
    linger: Duration,
    running: Option<Running>,
}

struct Running {
    child: Child,
    group: Option<Pid>,
    stdout: ChildStdout,
    /// `None` when all its writers have closed it.
    stderr: Option<ChildStderr>,
    tail: Tail,
    bytes: u64,
    begun: Instant,
    /// Since when it has ended, and nothing was read any more.
    silent_since: Option<Instant>,
    has_succeeded: bool,
}

/// How a process ended.
#[derive(Clone, Copy)]
enum Ending {
    /// It did not: it is stopped, and would be for ever.
    WantsTerminal,
    Exited(i32),
    Killed(i32),
}

impl CapturedCommand {
    /// A command that will run without these environment variables. Waits end with an error once `cancelled` says so.
    #[must_use]
    pub fn new(command: OsString, removed_variables: &'static [&'static str], cancelled: Cancelled) -> Self {
        let redaction = Redaction::new(&command.to_string_lossy());
        Self { command, removed_variables, cancelled, redaction, linger: LINGER, running: None }
    }

    fn start(&self) -> Result<Running, CommandError> {
        let failed = |source| CommandError::Start { source };
        let mut shell = Command::new(SHELL);
        shell.args(SHELL_FLAGS).arg(&self.command);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        for name in self.removed_variables {
            shell.env_remove(name);
        }
        let mut child = shell.spawn().map_err(failed)?;
        let (Some(stdout), stderr) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed(io::Error::other("it has no output")));
        };
        Ok(Running {
            group: i32::try_from(child.id()).ok().and_then(Pid::from_raw),
            child,
            stdout,
            stderr,
            tail: Tail::default(),
            bytes: 0,
            begun: Instant::now(),
            silent_since: None,
            has_succeeded: false,
        })
    }

    fn check_wanted(&self) -> io::Result<()> {
        if (self.cancelled)() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }

    /// Reads of the standard output; 0 at its end, which is when every process that has it open has closed it.
    ///
    /// # Errors
    /// The command cannot be started, or it has failed although its output is still open, or a process that it left in
    /// the background has held its output open for 60 s without writing.
    pub(crate) fn read_output(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        let result = self.read_from(&mut running, buffer);
        self.running = Some(running);
        result
    }

    fn read_from(&self, running: &mut Running, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.check_wanted()?;
            if running.wait_for_output(PATIENCE)? {
                let count = running.stdout.read(buffer)?;
                running.bytes += count as u64;
                running.silent_since = None;
                return Ok(count);
            }
            match running.ending()? {
                None => {}
                Some(Ending::Exited(0)) => {
                    let silent_since = *running.silent_since.get_or_insert_with(Instant::now);
                    if silent_since.elapsed() > self.linger {
                        let (command, seconds) = (self.shown(SHOWN_CHARS), self.linger.as_secs());
                        return Err(CommandError::Lingers { command, seconds }.into());
                    }
                }
                Some(ending) => return Err(self.failed(running, ending).into()),
            }
        }
    }

    /// To be called at the end of the output: waits for the command's end, and gives what is kept of it.
    ///
    /// # Errors
    /// The command failed or was killed; the error has its last lines.
    pub(crate) fn finish_output(&mut self) -> io::Result<Evidence> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        // A command may close its output and go on.
        let ending = loop {
            running.read_messages(STEP)?;
            match running.ending()? {
                None => self.check_wanted()?,
                Some(ending) => break ending,
            }
        };
        // A process in the background may hold it open for ever.
        let ended = Instant::now();
        while running.stderr.is_some() && ended.elapsed() < LAST_WORDS && running.read_messages(STEP)? {}
        let Ending::Exited(0) = ending else { return Err(self.failed(&mut running, ending).into()) };
        running.has_succeeded = true;
        let stderr_tail = self.redaction.redact(&running.tail.text());
        Ok(Evidence {
            argv: self.argv(),
            exit_code: 0,
            bytes: running.bytes,
            duration_ms: u64::try_from(running.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            stderr_bytes: running.tail.total_bytes(),
            stderr_tail: within_json(&stderr_tail, MAX_TAIL_JSON_BYTES).to_owned(),
        })
    }

    /// As the evidence has it.
    fn argv(&self) -> Vec<String> {
        let words = std::iter::once(SHELL).chain(SHELL_FLAGS).map(str::to_owned);
        words.chain([self.shown(KEPT_CHARS)]).collect()
    }

    /// Bytes that the evidence will take at most as JSON: what is not known yet at its largest.
    pub(crate) fn max_evidence_bytes(&self) -> usize {
        let evidence = Evidence {
            argv: self.argv(),
            exit_code: i32::MIN,
            bytes: u64::MAX,
            duration_ms: u64::MAX,
            stderr_bytes: u64::MAX,
            stderr_tail: String::new(),
        };
        // It has nothing that cannot be written.
        serde_json::to_vec(&evidence).map_or(0, |json| json.len()) + MAX_TAIL_JSON_BYTES
    }

    fn failed(&self, running: &mut Running, ending: Ending) -> CommandError {
        // Its last words may have come after its end was noticed. That they cannot be read hides nothing else.
        while running.read_messages(Duration::ZERO).unwrap_or(false) {}
        let command = self.shown(SHOWN_CHARS);
        let last_lines = last_lines(&self.redaction.redact(&running.tail.text()));
        let said = if last_lines.is_empty() {
            "it said nothing".to_owned()
        } else {
            format!("it said: {last_lines}")
        };
        let ending = match ending {
            Ending::WantsTerminal => return CommandError::WantsTerminal { command, said },
            Ending::Exited(code) => format!("ended with exit code {code}{}", meaning(code)),
            Ending::Killed(signal) => format!("was killed by signal {signal}{}", signal_name(signal)),
        };
        CommandError::Failed { command, ending, said }
    }

    fn shown(&self, max_chars: usize) -> String {
        let mut shown: String = self.redaction.shown.chars().take(max_chars).collect();
        if shown.len() < self.redaction.shown.len() {
            shown.push('…');
        }
        shown
    }
}

/// What a shell means by an exit code.
fn meaning(code: i32) -> String {
    match code {
        126 => " (a command that cannot be executed)".to_owned(),
        127 => " (command not found)".to_owned(),
        141 => " (as after SIGPIPE: a later part of a pipe did not read all of it)".to_owned(),
        // 64: the last signal that there is.
        129..=192 => format!(" (as after signal {}{})", code - 128, signal_name(code - 128)),
        _ => String::new(),
    }
}

fn signal_name(signal: i32) -> &'static str {
    let names = [
        (Signal::HUP, ", SIGHUP"),
        (Signal::INT, ", SIGINT"),
        (Signal::ABORT, ", SIGABRT"),
        (Signal::KILL, ", SIGKILL: out of memory, perhaps"),
        (Signal::SEGV, ", SIGSEGV"),
        (Signal::PIPE, ", SIGPIPE"),
        (Signal::TERM, ", SIGTERM"),
    ];
    names.iter().find(|(named, _)| named.as_raw() == signal).map_or("", |(_, name)| name)
}

impl Running {
    /// Waits until there is output, or its end; reads messages meanwhile, so that no command is stuck with them.
    fn wait_for_output(&mut self, patience: Duration) -> io::Result<bool> {
        let mut ready = [false; 2];
        {
            let mut files = vec![PollFd::new(&self.stdout, PollFlags::IN)];
            files.extend(self.stderr.iter().map(|stderr| PollFd::new(stderr, PollFlags::IN)));
            poll(&mut files, patience)?;
            for (ready, file) in ready.iter_mut().zip(&files) {
                *ready = !file.revents().is_empty();
            }
        }
        if ready[1] {
            self.read_message()?;
        }
        Ok(ready[0])
    }

    /// Waits for messages and reads one; false if there was none.
    fn read_messages(&mut self, patience: Duration) -> io::Result<bool> {
        let Some(stderr) = &self.stderr else {
            std::thread::sleep(patience);
            return Ok(false);
        };
        let is_ready = poll(&mut [PollFd::new(stderr, PollFlags::IN)], patience)?;
        if is_ready {
            self.read_message()?;
        }
        Ok(is_ready)
    }

    fn read_message(&mut self) -> io::Result<()> {
        let Some(stderr) = &mut self.stderr else { return Ok(()) };
        let mut buffer = [0; 16 << 10];
        match stderr.read(&mut buffer) {
            Ok(0) => self.stderr = None,
            Ok(count) => self.tail.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Does not reap: until that is done, the process's number, which is that of its group, is nobody else's.
    fn ending(&self) -> io::Result<Option<Ending>> {
        let options =
            WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = match waitid(WaitId::Pid(Pid::from_child(&self.child)), options) {
            Ok(Some(status)) => status,
            Ok(None) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let wants_terminal = [Signal::TTIN, Signal::TTOU].map(|signal| Some(signal.as_raw()));
        Ok(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Some(Ending::Exited(code)),
            (None, Some(signal)) => Some(Ending::Killed(signal)),
            // A group in the background that reads from the terminal is stopped by the system.
            (None, None) if wants_terminal.contains(&status.stopping_signal()) => Some(Ending::WantsTerminal),
            (None, None) => None,
        })
    }

    /// Ends the command with all that it started in its group.
    fn end(&mut self) {
        let Some(group) = self.group else { return };
        let signal = |signal| {
            // That it is gone already is what is wanted.
            let _ = kill_process_group(group, signal);
        };
        signal(Signal::TERM);
        // What was stopped takes no signal but this one before it goes on.
        signal(Signal::CONT);
        let begun = Instant::now();
        while begun.elapsed() < GRACE {
            // Once it is reaped, the group is there as long as others are in it.
            let is_reaped = !matches!(self.child.try_wait(), Ok(None));
            if is_reaped && test_kill_process_group(group) == Err(rustix::io::Errno::SRCH) {
                return;
            }
            std::thread::sleep(STEP);
        }
        signal(Signal::KILL);
    }
}

/// True if one of the files is ready.
fn poll(files: &mut [PollFd<'_>], patience: Duration) -> io::Result<bool> {
    let patience = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
    match rustix::event::poll(files, Some(&patience)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_succeeded {
            self.end();
        }
        // Nobody else reaps it. It has ended, or was killed; but for what runs as another user, by sudo, and cannot be:
        // that sees its pipes closed when this is gone.
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < GRACE {
            std::thread::sleep(STEP);
        }
    }
}

#[cfg(test)]
mod tests;
