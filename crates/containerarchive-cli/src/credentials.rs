//! Where keys come from: exactly one of a file, a command, the environment, a key file, or a person at a terminal.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use containerarchive::base::limits::MAX_PASSPHRASE_BYTES;
use containerarchive::{Argon2Params, Credential, ErrorCode, KeyFile, NewCredential, Passphrase};
use zeroize::Zeroizing;

use crate::args::{GlobalArgs, NewKeyArgs, Typed};
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::key_file;
use crate::ui::{Printable, Terminal, read_hidden};

const PASSPHRASE: &str = "CONTAINERARCHIVE_PASSPHRASE";
const NEW_PASSPHRASE: &str = "CONTAINERARCHIVE_NEW_PASSPHRASE";

/// Variables that hold a secret, or say where one is. No command whose output is stored gets them: what it prints of its
/// environment would be in the backup.
pub(crate) const SECRET_VARIABLES: [&str; 8] = [
    PASSPHRASE,
    NEW_PASSPHRASE,
    "CONTAINERARCHIVE_PASSPHRASE_FILE",
    "CONTAINERARCHIVE_PASSPHRASE_COMMAND",
    "CONTAINERARCHIVE_KEY_FILE",
    "CONTAINERARCHIVE_NEW_PASSPHRASE_FILE",
    "CONTAINERARCHIVE_NEW_KEY_FILE",
    // May have a password in it.
    "CONTAINERARCHIVE_COMMAND",
];

/// Where a key comes from. Nothing is read yet, except from the environment.
pub(crate) enum KeySource {
    /// To be asked for, if it turns out to be needed.
    Ask,
    Environment(&'static str, OsString),
    PassphraseFile(PathBuf),
    PassphraseCommand(OsString),
    KeyFile(PathBuf),
}

/// A key in memory.
pub(crate) enum Secret {
    Passphrase(Passphrase),
    KeyFile(KeyFile),
}

/// What to do about a key file that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingKeyFile {
    Make,
    Fail,
}

impl Secret {
    pub(crate) fn credential(&self) -> Credential<'_> {
        match self {
            Self::Passphrase(passphrase) => Credential::Passphrase(passphrase),
            Self::KeyFile(key_file) => Credential::KeyFile(key_file),
        }
    }

    pub(crate) fn new_credential(&self, kdf: Argon2Params) -> NewCredential<'_> {
        match self {
            Self::Passphrase(passphrase) => NewCredential::Passphrase(passphrase, kdf),
            Self::KeyFile(key_file) => NewCredential::KeyFile(key_file),
        }
    }
}

/// The one source of several.
fn only(sources: Vec<KeySource>, names: &str) -> Outcome<KeySource> {
    let mut sources = sources.into_iter();
    match (sources.next(), sources.next()) {
        (None, _) => Ok(KeySource::Ask),
        (Some(source), None) => Ok(source),
        (Some(_), Some(_)) => Err(Failure::usage(format!("give only one of {names}"))
            .advise("environment variables count where no option on the command line names a key")),
    }
}

impl KeySource {
    /// The key of the repository.
    ///
    /// # Errors
    /// Several are given.
    pub(crate) fn of_repository(options: &GlobalArgs, typed: Typed) -> Outcome<Self> {
        let mut sources = Vec::new();
        sources.extend(options.passphrase_file.clone().map(Self::PassphraseFile));
        sources.extend(options.passphrase_command.clone().map(Self::PassphraseCommand));
        sources.extend(options.key_file.clone().map(Self::KeyFile));
        if !typed.key {
            sources.extend(std::env::var_os(PASSPHRASE).map(|text| Self::Environment(PASSPHRASE, text)));
        }
        only(sources, "--passphrase-file, --passphrase-command, --key-file and CONTAINERARCHIVE_PASSPHRASE")
    }

    /// A key to add.
    ///
    /// # Errors
    /// Several are given.
    pub(crate) fn of_new_key(options: &NewKeyArgs) -> Outcome<Self> {
        let mut sources = Vec::new();
        sources.extend(options.new_passphrase_file.clone().map(Self::PassphraseFile));
        sources.extend(options.new_key_file.clone().map(Self::KeyFile));
        sources.extend(std::env::var_os(NEW_PASSPHRASE).map(|text| Self::Environment(NEW_PASSPHRASE, text)));
        only(sources, "--new-passphrase-file, --new-key-file and CONTAINERARCHIVE_NEW_PASSPHRASE")
    }

    pub(crate) fn is_given(&self) -> bool {
        !matches!(self, Self::Ask)
    }

    /// Whether the key is at hand without a question: not if a command prints it, which may ask in turn, and not if it
    /// comes through a pipe or from a terminal.
    pub(crate) fn is_unasked(&self) -> bool {
        match self {
            Self::Ask | Self::PassphraseCommand(_) => false,
            Self::Environment(..) => true,
            Self::PassphraseFile(path) | Self::KeyFile(path) => path.is_file(),
        }
    }

    /// The key for opening what is there.
    ///
    /// # Errors
    /// It cannot be read, or there is nobody to ask.
    pub(crate) fn load(&self, location: &str, terminal: &Terminal) -> Outcome<Secret> {
        match self {
            Self::Ask => {
                ask(&format!("Passphrase of {}: ", Printable(location)), terminal).map(Secret::Passphrase)
            }
            given => given.read(MissingKeyFile::Fail, terminal),
        }
    }

    /// A key that is to be used from now on. A person types it twice; where there is none, the error says how to give it.
    ///
    /// # Errors
    /// It cannot be read or made, or there is nobody to ask.
    pub(crate) fn load_new(&self, how_to_give: &'static str, terminal: &Terminal) -> Outcome<Secret> {
        if !matches!(self, Self::Ask) {
            return self.read(MissingKeyFile::Make, terminal);
        }
        if !io::stderr().is_terminal() {
            return Err(no_key("new passphrase or key file").advise(how_to_give));
        }
        let first = ask("New passphrase: ", terminal)?;
        let second = ask("Once more: ", terminal)?;
        if first.expose() != second.expose() {
            return Err(Failure::new(ErrorCode::Key, "the two passphrases differ; nothing was changed")
                .advise("repeat the command"));
        }
        Ok(Secret::Passphrase(first))
    }

    fn read(&self, missing: MissingKeyFile, terminal: &Terminal) -> Outcome<Secret> {
        match self {
            Self::Ask => Err(no_key("passphrase or key file")),
            Self::Environment(name, text) => {
                passphrase(Zeroizing::new(text.clone().into_vec()), name).map(Secret::Passphrase)
            }
            Self::PassphraseFile(path) => read_passphrase_file(path, terminal).map(Secret::Passphrase),
            Self::PassphraseCommand(command) => run_command(command).map(Secret::Passphrase),
            Self::KeyFile(path) if missing == MissingKeyFile::Make && !key_file::exists(path) => {
                let made = key_file::create(path)?;
                terminal.warn(&format!(
                    "made the key file {}. KEEP A COPY IN ANOTHER PLACE: without it, everything that only it opens is lost",
                    path.display()
                ));
                Ok(Secret::KeyFile(made))
            }
            Self::KeyFile(path) => key_file::read(path, terminal).map(Secret::KeyFile),
        }
    }
}

fn no_key(what: &str) -> Failure {
    let text = format!("a {what} is needed, none was given, and there is no terminal to ask on");
    Failure::new(ErrorCode::Key, text)
}

fn ask(prompt: &str, terminal: &Terminal) -> Outcome<Passphrase> {
    // The standard input may be the data; the prompt itself goes to the controlling terminal.
    if !io::stderr().is_terminal() {
        return Err(no_key("passphrase or key file"));
    }
    terminal.finish_progress();
    let most = MAX_PASSPHRASE_BYTES + "\n".len();
    let typed = read_hidden(prompt, most).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::new(ErrorCode::Cancelled, "interrupted"),
        _ => Failure::new(ErrorCode::Key, format!("cannot ask for the passphrase: {error}")),
    })?;
    passphrase(typed, "that was typed")
}

/// Drops one newline and checks the length.
fn passphrase(mut bytes: Zeroizing<Vec<u8>>, from: &str) -> Outcome<Passphrase> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Passphrase::new(std::mem::take(&mut *bytes)).ok_or_else(|| {
        let text = format!("the passphrase ({from}) is empty or longer than {MAX_PASSPHRASE_BYTES} bytes");
        Failure::new(ErrorCode::Key, text).advise("choose one of a few random words, for example")
    })
}

/// Reads at most `max_bytes` and a newline, into memory that is never moved and wiped on drop.
pub(crate) fn read_secret(mut source: impl Read, max_bytes: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; max_bytes + "\r\n".len() + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match source.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if filled == bytes.len() {
        return Err(io::Error::other(format!("it is longer than {max_bytes} bytes")));
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn read_passphrase_file(path: &Path, terminal: &Terminal) -> Outcome<Passphrase> {
    let failed = |error: io::Error| {
        Failure::new(ErrorCode::Key, format!("cannot read the passphrase file {}: {error}", path.display()))
            .advise("check the path and its permissions, and that it has one passphrase and nothing else")
    };
    let file = File::open(path).map_err(failed)?;
    key_file::warn_of_readers(&file, path, terminal);
    let bytes = read_secret(file, MAX_PASSPHRASE_BYTES).map_err(failed)?;
    passphrase(bytes, &format!("from {}", path.display()))
}

fn run_command(command: &OsString) -> Outcome<Passphrase> {
    let failed = |text: String| {
        Failure::new(ErrorCode::Key, format!("the passphrase command failed: {text}"))
            .advise("run it in a shell and see what it prints")
    };
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .env_remove(PASSPHRASE)
        .env_remove(NEW_PASSPHRASE)
        // The standard input may be the data.
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let output = child.stdout.take().map(|output| read_secret(Interruptible(output), MAX_PASSPHRASE_BYTES));
    let status = wait_for_end(&mut child).map_err(|error| failed(error.to_string()))?;
    let bytes =
        output.unwrap_or_else(|| Ok(Zeroizing::default())).map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    passphrase(bytes, "from the passphrase command")
}

/// Reads that end when a signal came.
struct Interruptible(ChildStdout);

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !interrupt::is_interrupted() {
            if interrupt::wait_for(&self.0)? {
                return self.0.read(buffer);
            }
        }
        Err(io::Error::other("interrupted"))
    }
}

/// A command that closed its output may go on, but not after a signal.
fn wait_for_end(child: &mut Child) -> io::Result<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupt::is_interrupted() {
            child.kill()?;
            return child.wait();
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_newline_is_dropped() {
        for (given, expected) in
            [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("a\r", "a\r")]
        {
            let passphrase = passphrase(Zeroizing::new(given.into()), "test").unwrap();
            assert_eq!(passphrase.expose(), expected.as_bytes());
        }
        assert!(passphrase(Zeroizing::new(b"\n".to_vec()), "test").is_err());
    }

    #[test]
    fn long_secrets_are_refused_and_not_cut() {
        assert_eq!(read_secret(&b"1234\r\n"[..], 4).unwrap().as_slice(), b"1234\r\n");
        assert!(read_secret(&[b'x'; 10_000][..], 4).is_err());
    }
}
