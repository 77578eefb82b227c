//! The sockets of the data plane: one for each stream, in a folder that only the owner can enter.

use std::collections::HashMap;
use std::fs::{File, Permissions, TryLockError};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use containerarchive::ErrorCode;
use containerarchive::base::SystemRandomness;
use containerarchive::base::random::random_array;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

use crate::failure::{Failure, Outcome};

/// Streams that may be open and not used yet: each is a file descriptor.
const MAX_WAITING_STREAMS: usize = 1024;
/// How long a stream waits for its operation at least; those of requests that were refused wait for nobody.
const WAITING_PATIENCE: Duration = Duration::from_secs(60);
/// How long a wait lasts before it is asked again whether anybody wants the content.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Beginning of the names of the folders.
const FOLDER_PREFIX: &str = "containerarchive-";
/// In each folder: locked as long as the process lives that made it. Locks, unlike process ids, are right across
/// containers that share the place.
const LOCK_NAME: &str = "engine.lock";
/// Longest path of a socket that every system takes, in bytes.
const MAX_PATH_BYTES: usize = 103;

/// The streams that were opened and that no operation has taken yet.
pub(super) struct Streams {
    folder: TempDir,
    /// Keeps others from removing the folder.
    _lock: File,
    waiting: Mutex<HashMap<String, Waiting>>,
}

/// A stream of which the other end may not have come yet.
pub(super) struct Waiting {
    listener: UnixListener,
    path: PathBuf,
    since: Instant,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Nobody else can come; what is left is removed with the folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Streams {
    /// Makes the folder, in `$XDG_RUNTIME_DIR` where there is one.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn create() -> Outcome<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir());
        let bases = runtime.into_iter().chain([std::env::temp_dir(), PathBuf::from("/tmp")]);
        let mut why = io::Error::from(io::ErrorKind::NotFound);
        for base in bases {
            match create_folder(&base) {
                Ok((folder, lock)) => {
                    remove_left_folders(&base);
                    return Ok(Self { folder, _lock: lock, waiting: Mutex::default() });
                }
                Err(error) => why = error,
            }
        }
        Err(Failure::new(ErrorCode::Failed, format!("cannot make a folder for sockets: {why}"))
            .advise("name one with a short path in TMPDIR"))
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new stream: its id, and the path of the socket on which the other end is awaited.
    ///
    /// # Errors
    /// There are too many, or the system refuses.
    pub(super) fn open(&self) -> Outcome<(String, PathBuf)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MAX_WAITING_STREAMS {
            waiting.retain(|_, stream| stream.since.elapsed() < WAITING_PATIENCE);
        }
        if waiting.len() >= MAX_WAITING_STREAMS {
            return Err(Failure::new(
                ErrorCode::Held,
                format!("{MAX_WAITING_STREAMS} streams are open and not used"),
            ));
        }
        let failed = |why: &dyn std::fmt::Display| {
            Failure::new(ErrorCode::Failed, format!("cannot open a stream: {why}"))
        };
        let random: [u8; 8] = random_array(&SystemRandomness).map_err(|error| failed(&error))?;
        let id = data_encoding::HEXLOWER.encode(&random);
        let path = self.folder.path().join(&id);
        let listen = || -> io::Result<UnixListener> {
            let listener = UnixListener::bind(&path)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listener = listen().map_err(|error| failed(&error))?;
        waiting.insert(id.clone(), Waiting { listener, path: path.clone(), since: Instant::now() });
        Ok((id, path))
    }

    /// The stream is used now, and cannot be used again.
    ///
    /// # Errors
    /// There is no such stream.
    pub(super) fn take(&self, id: &str) -> Outcome<Waiting> {
        let taken = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        taken.ok_or_else(|| Failure::usage("there is no open stream with this id, or it was used already"))
    }
}

fn create_folder(base: &Path) -> io::Result<(TempDir, File)> {
    let folder = tempfile::Builder::new()
        .prefix(FOLDER_PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(base)?;
    // A stream's id has 16 digits.
    if folder.path().as_os_str().len() + 17 > MAX_PATH_BYTES {
        return Err(io::Error::other("its path is too long for sockets"));
    }
    let lock = File::create_new(folder.path().join(LOCK_NAME))?;
    lock.lock()?;
    Ok((folder, lock))
}

/// Removes the folders of processes that were killed together with their clients: nobody else does. Whatever cannot be
/// looked at is not ours and stays.
fn remove_left_folders(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER_PREFIX)) {
            remove_if_left(&entry.path());
        }
    }
}

/// A folder without a lock file is being made, or is something else.
fn remove_if_left(folder: &Path) {
    let Ok(metadata) = folder.symlink_metadata() else { return };
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return;
    }
    let Ok(lock) = File::open(folder.join(LOCK_NAME)) else { return };
    // Made a moment ago and not locked yet, perhaps.
    let is_young = lock
        .metadata()
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|made| made.elapsed().is_ok_and(|age| age < WAITING_PATIENCE));
    match lock.try_lock() {
        Ok(()) if !is_young => remove_sockets(folder),
        Ok(()) | Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
    }
}

/// Removes what an engine makes and nothing else; with anything else in it, the folder stays.
fn remove_sockets(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_socket()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    let _ = std::fs::remove_file(folder.join(LOCK_NAME));
    let _ = std::fs::remove_dir(folder);
}

/// Asked while a wait lasts.
pub(super) type Unwanted = Box<dyn Fn() -> bool + Send>;

/// A stream of an operation. Waits end when nobody wants the content any more.
pub(super) struct DataSocket {
    stream: Option<UnixStream>,
    waiting: Option<Waiting>,
    is_unwanted: Unwanted,
}

impl DataSocket {
    pub(super) fn new(waiting: Waiting, is_unwanted: Unwanted) -> Self {
        Self { stream: None, waiting: Some(waiting), is_unwanted }
    }

    /// The connection, as soon as the other end is there. Only the first one to come is heard.
    fn connected(&mut self) -> io::Result<&UnixStream> {
        if let Some(waiting) = &self.waiting {
            let stream = loop {
                wait(&waiting.listener, PollFlags::IN, &*self.is_unwanted)?;
                match waiting.listener.accept() {
                    Ok((stream, _)) => break stream,
                    Err(error) if may_repeat(&error) => {}
                    Err(error) => return Err(error),
                }
            };
            stream.set_nonblocking(true)?;
            self.stream = Some(stream);
            self.waiting = None;
        }
        self.stream.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn repeat<T>(
        &mut self,
        flags: PollFlags,
        mut act: impl FnMut(&UnixStream) -> io::Result<T>,
    ) -> io::Result<T> {
        self.connected()?;
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        loop {
            match act(stream) {
                Err(error) if may_repeat(&error) => wait(stream, flags, &*self.is_unwanted)?,
                done => return done,
            }
        }
    }
}

impl Read for DataSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_unwanted)() {
            return Err(unwanted());
        }
        self.repeat(PollFlags::IN, |mut stream| stream.read(buffer))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if (self.is_unwanted)() {
            return Err(unwanted());
        }
        self.repeat(PollFlags::IN, |mut stream| stream.read_vectored(buffers))
    }
}

impl Write for DataSocket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.repeat(PollFlags::OUT, |mut stream| stream.write(buffer))
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.repeat(PollFlags::OUT, |mut stream| stream.write_vectored(buffers))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn may_repeat(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn unwanted() -> io::Error {
    io::Error::other("interrupted")
}

fn wait(socket: &impl AsFd, flags: PollFlags, is_unwanted: &dyn Fn() -> bool) -> io::Result<()> {
    loop {
        if is_unwanted() {
            return Err(unwanted());
        }
        match poll(&mut [PollFd::new(socket, flags)], Some(&PATIENCE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn folders_of_processes_that_are_gone_are_removed_and_no_others() {
        let base = tempfile::tempdir().unwrap();
        let (living, _lock) = create_folder(base.path()).unwrap();
        let (left, lock) = create_folder(base.path()).unwrap();
        let (young, young_lock) = create_folder(base.path()).unwrap();
        let old = SystemTime::now() - 2 * WAITING_PATIENCE;
        File::options().write(true).open(living.path().join(LOCK_NAME)).unwrap().set_modified(old).unwrap();
        lock.set_modified(old).unwrap();
        drop((lock, young_lock));
        let other = base.path().join("containerarchive-of-somebody");
        std::fs::create_dir(&other).unwrap();
        let (filled, lock) = create_folder(base.path()).unwrap();
        lock.set_modified(old).unwrap();
        drop(lock);
        std::fs::write(filled.path().join("of-the-user"), "kept").unwrap();
        UnixListener::bind(left.path().join("0123456789abcdef")).unwrap();
        remove_left_folders(base.path());
        assert!(living.path().exists() && young.path().exists() && other.exists());
        assert!(!left.path().exists());
        assert!(filled.path().join("of-the-user").exists());
    }
}
