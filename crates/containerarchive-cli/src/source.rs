//! The files and streams that go in. All are opened before anything is written.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use containerarchive::{ErrorCode, IngestItem};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::args::IngestArgs;
use crate::failure::{Failure, Outcome};
use crate::interrupt;

const STANDARD_INPUT: &str = "-";
/// Name of an item that nobody named.
const UNNAMED: &str = "data";

/// An open file or stream.
struct Source {
    file: File,
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
            if self.may_wait && !is_ready(&self.file)? {
                continue;
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

/// Waits a little, so that a signal is noticed although nothing arrives.
fn is_ready(file: &File) -> io::Result<bool> {
    let patience = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    match rustix::event::poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&patience)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens everything that is to be stored. Reads end once `ended` is set.
///
/// # Errors
/// One of them cannot be opened, or the request makes no sense.
pub(crate) fn open_all(arguments: &IngestArgs, ended: &Arc<AtomicBool>) -> Outcome<Vec<IngestItem<'static>>> {
    raise_file_limit();
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
    wanted.into_iter().map(|(name, path)| open(name, path, arguments.item_type.as_deref(), ended)).collect()
}

/// All sources are open at once; many systems allow few files where nobody asks for more.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What cannot be raised is told when a file cannot be opened.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn open(
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
    let source = Source { file, may_wait: !is_regular, ended: Arc::clone(ended) };
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
}
