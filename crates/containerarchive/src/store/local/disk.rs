//! The file-system primitives that [`super::LocalStore`] is built from, so that a simulated disk can stand in.

use std::io;
use std::path::Path;

use crate::base::Timestamp;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Folder,
    /// A symbolic link, device, pipe or socket: never an object.
    Other,
}

/// What is known of a path without following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) kind: EntryKind,
    pub(super) len: u64,
    pub(super) modified: Timestamp,
}

/// One entry of a folder. Names that are not UTF-8 are never ours and are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) metadata: Metadata,
}

/// A file system. Paths are absolute.
pub(super) trait Disk: Send + Sync {
    /// Creates a file that must not exist, readable and writable by this user only.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a regular file for reading. Links are refused; a folder is [`io::ErrorKind::IsADirectory`].
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file its final name; [`io::ErrorKind::AlreadyExists`] if anything has that name, which stays.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes one folder, accessible by this user only.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder survive a power loss.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Looks at a path without following a link at its end.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// The entries of a folder; those that vanish meanwhile are left out.
    fn read_folder(&self, path: &Path) -> io::Result<Vec<Entry>>;
}

/// An open file.
pub(super) trait DiskFile: Send + Sync {
    /// Length in bytes when it was opened.
    fn opened_bytes(&self) -> u64;

    /// Appends all of `bytes`.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the content survive a power loss.
    fn sync(&self) -> io::Result<()>;

    /// Reads at most `buffer.len()` bytes; 0 is the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Takes the operating system's lock for itself alone; false if another open file has it.
    fn try_lock(&self) -> io::Result<bool>;

    /// Whether another open file has the lock for itself alone.
    fn is_locked_elsewhere(&self) -> io::Result<bool>;

    /// Gives the lock back.
    fn unlock(&self) -> io::Result<()>;
}
