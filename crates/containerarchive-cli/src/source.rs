//! The files, streams and commands that go in. All files are opened before anything is written.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use containerarchive::{CapturedCommand, ErrorCode, IngestItem};
use rustix::fs::OFlags;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::args::{IngestArgs, NamedCommand};
use crate::credentials::SECRET_VARIABLES;
use crate::failure::{Failure, Outcome};
use crate::interrupt;

const STANDARD_INPUT: &str = "-";
/// Name of an item that nobody named.
const UNNAMED: &str = "data";

/// An open file or stream.
struct Source {
    file: File,
    path: PathBuf,
    /// Bytes read, and those that a regular file had when it was opened.
    read_bytes: u64,
    first_bytes: u64,
    /// A read may wait for another process.
    may_wait: bool,
    /// Nobody wants the content any more.
    ended: Arc<AtomicBool>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if interrupt::is_interrupted() || self.ended.load(Ordering::Relaxed) {
                return Err(io::Error::other("interrupted"));
            }
            if self.may_wait && !interrupt::wait_for(&self.file)? {
                continue;
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(&error)),
                Ok(0) => return self.check_length().map(|()| 0),
                Ok(count) => {
                    self.read_bytes += count as u64;
                    return Ok(count);
                }
            }
        }
    }
}

impl Source {
    fn failed(&self, why: &dyn std::fmt::Display) -> io::Error {
        io::Error::other(format!("{}: {why}", self.path.display()))
    }

    /// A file that was cut off while it was read is neither what it was nor what it is.
    fn check_length(&self) -> io::Result<()> {
        // Asked again: files of /sys always say that they have more than they give.
        if self.read_bytes < self.first_bytes && self.file.metadata()?.len() < self.first_bytes {
            let (read, first) = (self.read_bytes, self.first_bytes);
            return Err(
                self.failed(&format!("it was cut off while it was read: {read} bytes came of {first}"))
            );
        }
        Ok(())
    }
}

/// Opens everything that is to be stored. Reads end once `ended` is set.
///
/// # Errors
/// One of them cannot be opened, or the request makes no sense.
pub(crate) fn open_all(arguments: &IngestArgs, ended: &Arc<AtomicBool>) -> Outcome<Vec<IngestItem<'static>>> {
    raise_file_limit();
    if arguments.name.is_some() && arguments.paths.is_empty() {
        return Err(Failure::usage("--name names the item of a PATH, and there is none")
            .advise("leave it out (and CONTAINERARCHIVE_NAME): what is stored by --command NAME=COMMAND has its name there"));
    }
    if arguments.name.is_some() && arguments.paths.len() != 1 {
        return Err(Failure::usage("--name names one item, and there are several paths")
            .advise("use --item NAME=FILE for each"));
    }
    let paths = arguments.paths.iter().map(|path| (arguments.name.clone(), path.as_path()));
    let items = arguments.item.iter().map(|item| (Some(item.name.clone()), item.file.as_path()));
    let wanted: Vec<_> = paths.chain(items).collect();
    if wanted.iter().filter(|(_, path)| *path == Path::new(STANDARD_INPUT)).count() > 1 {
        return Err(Failure::usage("the standard input can be only one item"));
    }
    let item_type = arguments.item_type.as_deref();
    let files = wanted.into_iter().map(|(name, path)| open(name, path, item_type, ended));
    let commands = arguments.command.iter().map(|named| Ok(command(named, item_type, ended)));
    files.chain(commands).collect()
}

/// Not started yet: a command that runs while a file turns out to be missing has run for nothing.
pub(crate) fn command(
    named: &NamedCommand,
    item_type: Option<&str>,
    ended: &Arc<AtomicBool>,
) -> IngestItem<'static> {
    let ended = Arc::clone(ended);
    let is_unwanted = Box::new(move || interrupt::is_interrupted() || ended.load(Ordering::Relaxed));
    let source = CapturedCommand::new(named.command.clone(), &SECRET_VARIABLES, is_unwanted);
    IngestItem {
        name: named.name.clone(),
        item_type: item_type.unwrap_or("stream").to_owned(),
        source: Box::new(source),
        size_hint: None,
    }
}

/// All sources are open at once; many systems allow few files where nobody asks for more.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What cannot be raised is told when a file cannot be opened.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Opens a file; what it is is found out then.
///
/// # Errors
/// It cannot be opened, or its path cannot be a name.
pub(crate) fn open(
    name: Option<String>,
    path: &Path,
    item_type: Option<&str>,
    ended: &Arc<AtomicBool>,
) -> Outcome<IngestItem<'static>> {
    let is_standard_input = path == Path::new(STANDARD_INPUT);
    let name = match name {
        Some(name) => name,
        None if is_standard_input => UNNAMED.to_owned(),
        None => name_of(path)?,
    };
    let (file, metadata) = if is_standard_input { open_standard_input() } else { open_file(path) }?;
    let is_regular = metadata.is_file();
    let item_type = item_type.unwrap_or(if is_regular { "file" } else { "stream" }).to_owned();
    // Files of /proc say that they are empty.
    let size_hint = Some(metadata.len()).filter(|len| is_regular && *len > 0);
    let source = Source {
        file,
        path: if is_standard_input { "the standard input".into() } else { path.to_owned() },
        read_bytes: 0,
        first_bytes: if is_regular && !is_standard_input { metadata.len() } else { 0 },
        may_wait: !is_regular,
        ended: Arc::clone(ended),
    };
    Ok(IngestItem { name, item_type, source: Box::new(source), size_hint })
}

/// A path without its leading `/` and without `.` components.
fn name_of(path: &Path) -> Outcome<String> {
    let refuse = |why: &str| {
        let text = format!("{} cannot be an item's name: {why}", path.display());
        Failure::usage(text).advise("name it with --item NAME=FILE")
    };
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().ok_or_else(|| refuse("it is not UTF-8"))?),
            Component::ParentDir => return Err(refuse("it has a '..' component")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if parts.is_empty() {
        return Err(no_directories(path));
    }
    Ok(parts.join("/"))
}

fn no_directories(path: &Path) -> Failure {
    Failure::usage(format!("{} is a directory, and directories are not supported yet", path.display()))
        .advise("store an archive of it: tar c DIR | containerarchive ingest --name DIR.tar -")
}

fn open_standard_input() -> Outcome<(File, Metadata)> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage("the standard input is a terminal").advise(
            "pipe something into it, for example: pg_dump app | containerarchive ingest --name app.sql -",
        ));
    }
    let open = || -> io::Result<_> {
        let file = File::from(rustix::io::dup(rustix::stdio::stdin())?);
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    open().map_err(|error| failed(Path::new("the standard input"), &error))
}

fn open_file(path: &Path) -> Outcome<(File, Metadata)> {
    // A FIFO whose writer is late must not hold up the opening of the others; reads wait for it.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let open = || -> io::Result<_> {
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    match open() {
        Ok((_, metadata)) if metadata.is_dir() => Err(no_directories(path)),
        Ok(opened) => Ok(opened),
        Err(error) => Err(failed(path, &error)),
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(ErrorCode::Source, format!("cannot open {}: {error}; nothing was written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_relative_names() {
        for (path, name) in [
            ("/etc/hosts", "etc/hosts"),
            ("./a/./b//c", "a/b/c"),
            ("a.sql", "a.sql"),
            ("././x", "x"),
            ("a/", "a"),
        ] {
            assert_eq!(name_of(Path::new(path)).unwrap(), name);
        }
        for path in ["../a", "a/../b", "/", "."] {
            assert_eq!(name_of(Path::new(path)).unwrap_err().code(), ErrorCode::Usage, "{path}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_while_it_is_read_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for left in [0, 150] {
            std::fs::write(&path, [b'x'; 200]).unwrap();
            let mut item = open(None, &path, None, &Arc::default()).unwrap();
            let mut buffer = [0; 100];
            assert_eq!(item.source.read_content(&mut buffer).unwrap(), 100);
            File::options().write(true).open(&path).unwrap().set_len(left).unwrap();
            let rest = std::iter::repeat_with(|| item.source.read_content(&mut buffer)).take(3);
            let error = rest.filter_map(Result::err).next().unwrap().to_string();
            assert!(error.contains("log: it was cut off"), "{error}");
        }
    }
}
