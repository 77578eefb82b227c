//! A command on a pseudo-terminal, and what a person would see of it.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, ChildStdin, ChildStdout, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking as pty;
use unicode_width::UnicodeWidthChar;

/// Only a defect makes a test wait so long.
const DEADLINE: Duration = Duration::from_secs(60);
const ROWS: u16 = 24;

/// Which streams are not the terminal.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
}

/// A command that runs on a terminal. It is ended when it is dropped.
pub(crate) struct OnTerminal {
    child: Child,
    master: Option<Arc<pty::Pty>>,
    shown: Arc<Mutex<Shown>>,
    reader: Option<JoinHandle<()>>,
}

struct Shown {
    bytes: Vec<u8>,
    screen: vt100::Parser,
}

/// How a command on a terminal ended.
pub(crate) struct Seen {
    pub(crate) code: Option<i32>,
    /// Everything that the terminal was sent.
    pub(crate) text: String,
    /// What is to be seen at the end.
    pub(crate) lines: Vec<String>,
    /// Row and column.
    pub(crate) cursor: (u16, u16),
}

fn nonzero(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

impl OnTerminal {
    pub(crate) fn start(command: Command, columns: u16, pipes: Pipes) -> Self {
        let (master, slave) = pty::open().unwrap();
        master.resize(Size::new(ROWS, columns)).unwrap();
        let mut command = pty::Command::from(command);
        if pipes.stdin {
            command = command.stdin(std::process::Stdio::piped());
        }
        if pipes.stdout {
            command = command.stdout(std::process::Stdio::piped());
        }
        let child = command.spawn(slave).unwrap();
        let screen = vt100::Parser::new(nonzero(ROWS), nonzero(columns), 1000);
        let shown = Arc::new(Mutex::new(Shown { bytes: Vec::new(), screen }));
        let master = Arc::new(master);
        let reader = std::thread::spawn({
            let (master, shown) = (Arc::downgrade(&master), Arc::clone(&shown));
            move || {
                let mut buffer = vec![0; 1 << 16];
                while let Some(master) = master.upgrade() {
                    let ready = rustix::event::poll(
                        &mut [rustix::event::PollFd::new(&*master, rustix::event::PollFlags::IN)],
                        Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 }),
                    );
                    if ready == Ok(0) {
                        continue;
                    }
                    // An error is how the end of a terminal without programs is told.
                    let Ok(count @ 1..) = (&*master).read(&mut buffer) else { return };
                    let mut shown = shown.lock().unwrap();
                    shown.bytes.extend_from_slice(&buffer[..count]);
                    shown.screen.process(&buffer[..count]);
                }
            }
        });
        Self { child, master: Some(master), shown, reader: Some(reader) }
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    fn master(&self) -> &pty::Pty {
        self.master.as_ref().unwrap()
    }

    pub(crate) fn type_in(&self, text: &str) {
        self.master().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, columns: u16) {
        self.shown.lock().unwrap().screen.screen_mut().set_size(nonzero(ROWS), nonzero(columns));
        self.master().resize(Size::new(ROWS, columns)).unwrap();
    }

    pub(crate) fn echoes(&self) -> bool {
        let modes = rustix::termios::tcgetattr(self.master()).unwrap().local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    }

    /// The terminal's window is closed.
    pub(crate) fn close(&mut self) {
        self.master = None;
        self.reader.take().unwrap().join().unwrap();
    }

    pub(crate) fn screen(&self) -> String {
        self.shown.lock().unwrap().screen.screen().contents()
    }

    /// Everything that the terminal was sent so far.
    pub(crate) fn sent(&self) -> String {
        String::from_utf8(self.shown.lock().unwrap().bytes.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_reached: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if is_reached(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < DEADLINE, "no {what} on the screen:\n{screen}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits for the end of the command.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Seen {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(begun.elapsed() < DEADLINE, "it does not end:\n{}", self.screen()),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let shown = self.shown.lock().unwrap();
        let text = String::from_utf8(shown.bytes.clone()).unwrap();
        assert!(!text.contains("panicked"), "{text}");
        let screen = shown.screen.screen();
        let lines = screen.contents().lines().map(ToOwned::to_owned).collect();
        Seen { code: status.code(), text, lines, cursor: screen.cursor_position() }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Seen {
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.text);
        self
    }

    /// Nothing is left of a line that was drawn, and the next prompt begins a line.
    #[track_caller]
    pub(crate) fn assert_tidy(&self) {
        assert_eq!(self.cursor.1, 0, "{:?}", self.lines);
        for line in &self.lines {
            assert!(!line.starts_with("ingest  ") && !line.starts_with("restore  "), "{:?}", self.lines);
        }
    }
}

/// What was drawn without a line's end in between, without escape sequences.
pub(crate) fn pieces(sent: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut signs = sent.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\r' | '\n' => pieces.push(String::new()),
            // All that is sent begins with `ESC [` and ends with a letter.
            '\x1b' => drop(signs.find(char::is_ascii_alphabetic)),
            _ => pieces.last_mut().unwrap().push(sign),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|sign| sign.width().unwrap_or(1)).sum()
}

/// Whether colours or weights are set in a text.
pub(crate) fn has_colour(sent: &str) -> bool {
    sent.split("\x1b[").skip(1).any(|rest| {
        rest.trim_start_matches(|sign: char| sign.is_ascii_digit() || sign == ';').starts_with('m')
    })
}
