//! A question on the terminal whose answer nobody sees.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rustix::io::retry_on_intr;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::interrupt;

/// The terminal, without its echo. Dropping it switches the echo on again and ends the line.
struct Hidden {
    terminal: File,
    before: Termios,
}

impl Hidden {
    fn begin() -> io::Result<Self> {
        // Not the standard input, which may be the data.
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let hidden = Self { terminal, before };
        hidden.hide()?;
        Ok(hidden)
    }

    /// What was typed before the question was seen, and echoed, is no answer.
    fn hide(&self) -> io::Result<()> {
        let mut modes = self.before.clone();
        modes.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        modes.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        Ok(retry_on_intr(|| tcsetattr(&self.terminal, OptionalActions::Flush, &modes))?)
    }

    /// A shell that let the process go on after it was stopped may have switched the echo on.
    fn keep_hidden(&self) -> io::Result<()> {
        if tcgetattr(&self.terminal)?.local_modes.contains(LocalModes::ECHO) { self.hide() } else { Ok(()) }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Half an answer must not become the shell's next command.
        let _ = retry_on_intr(|| tcsetattr(&self.terminal, OptionalActions::Flush, &self.before));
        let _ = self.terminal.write_all(b"\n");
    }
}

/// Asks on the controlling terminal and reads a line of at most `max_bytes`, its end included, without echo, into
/// memory that is never moved and wiped on drop.
///
/// # Errors
/// There is no terminal, the answer is too long, or a signal came ([`io::ErrorKind::Interrupted`]).
pub(crate) fn read_hidden(prompt: &str, max_bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut hidden = Hidden::begin()?;
    hidden.terminal.write_all(prompt.as_bytes())?;
    let mut answer = Zeroizing::new(vec![0; max_bytes]);
    let mut filled = 0;
    loop {
        if interrupt::is_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        hidden.keep_hidden()?;
        if !interrupt::wait_for(&hidden.terminal)? {
            continue;
        }
        filled += match hidden.terminal.read(&mut answer[filled..]) {
            Ok(0) if filled == max_bytes => {
                return Err(io::Error::other(format!("it is longer than {max_bytes} bytes")));
            }
            // The end of the input, typed.
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        if answer[..filled].ends_with(b"\n") {
            break;
        }
    }
    answer.truncate(filled);
    Ok(answer)
}
