//! A folder on a file system of this host.

mod disk;
mod folders;
mod os_disk;
#[cfg(test)]
mod power_tests;
mod publish;
#[cfg(any(test, feature = "testing"))]
mod sim_disk;
#[cfg(any(test, feature = "testing"))]
mod sim_tree;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "testing"))]
pub use sim_disk::SimDisk;
#[cfg(any(test, feature = "testing"))]
pub use sim_tree::CrashMode;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{Disk, DiskFile, EntryKind};
use folders::Folders;
use os_disk::OsDisk;
use publish::{Promise, publish};

use super::{Capabilities, Durability, Held, ListEntry, Store, StoreError, StoreErrorKind, StoreOperation};
use crate::base::ObjectName;

/// Keeps each object as a file of the same relative path, with mode 0600 in folders of mode 0700.
///
/// Where a durable put fails with [`StoreErrorKind::AlreadyExists`], the object that is there was made durable, so
/// putting an object again is also the way to adopt one that a dead process left.
/// Links are never followed at an object's place, and a listing that meets one fails.
/// A root that is missing is an error of every call, and never an empty store: its disk may not be mounted.
pub struct LocalStore {
    disk: Arc<dyn Disk>,
    folders: Folders,
}

impl fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalStore").field("root", &self.folders.root()).finish_non_exhaustive()
    }
}

impl LocalStore {
    /// The store in this folder, which need not exist yet. Makes nothing; links on the way are resolved now, so that
    /// one folder has one location whatever it is called.
    #[must_use]
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self::on(Arc::new(OsDisk), &canonical(root.as_ref()))
    }

    /// The store in this folder of a simulated disk.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with_disk(root: impl AsRef<Path>, disk: SimDisk) -> Self {
        Self::on(Arc::new(disk), root.as_ref())
    }

    fn on(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self { folders: Folders::new(Arc::clone(&disk), root.to_owned()), disk }
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.folders.root().join(name.as_str())
    }

    /// The length of an object, without following links.
    fn find(&self, name: &ObjectName) -> io::Result<Option<u64>> {
        match self.disk.metadata(&self.path(name)) {
            Ok(found) => match found.kind {
                EntryKind::File => Ok(Some(found.len)),
                EntryKind::Folder => Ok(None),
                EntryKind::Other => Err(not_a_file()),
            },
            Err(error) if is_missing(&error) => self.require_root().map(|()| None),
            Err(error) => Err(error),
        }
    }

    fn require_root(&self) -> io::Result<()> {
        self.disk.metadata(self.folders.root()).map(drop)
    }

    fn remove(&self, name: &ObjectName) -> io::Result<()> {
        self.disk.remove(&self.path(name))?;
        self.disk.sync_folder(&self.folders.path(folders::parent(name.as_str())))
    }

    fn list_folder(&self, folder: &str, each: &mut dyn FnMut(ListEntry)) -> Result<Vec<String>, StoreError> {
        let fail = |name: &str, error| StoreError::from_io(StoreOperation::List, name, error);
        let entries = match self.disk.read_folder(&self.folders.path(folder)) {
            Err(error) if is_missing(&error) => {
                return self.require_root().map(|()| Vec::new()).map_err(|error| fail(folder, error));
            }
            result => result.map_err(|error| fail(folder, error))?,
        };
        let mut inner = Vec::new();
        for entry in entries {
            let path = folders::join(folder, &entry.name);
            let Some(name) = ObjectName::parse(&path) else {
                continue;
            };
            match entry.metadata.kind {
                EntryKind::Folder if path == folders::TMP => {}
                EntryKind::Folder => inner.push(path),
                EntryKind::File => {
                    each(ListEntry { name, len: entry.metadata.len, modified: entry.metadata.modified });
                }
                // No folder has a dot in its name: what is in an object's place is found out by who asks for it.
                EntryKind::Other if entry.name.contains('.') => {}
                // A whole folder may hide behind a link; a listing without it would pass for complete.
                EntryKind::Other => return Err(fail(&path, not_a_file())),
            }
        }
        Ok(inner)
    }
}

/// The path without links, as far as it exists.
fn canonical(root: &Path) -> PathBuf {
    // Fails for an empty path only, and then every call says that there is no such folder.
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    for existing in absolute.ancestors() {
        if let (Ok(canonical), Ok(rest)) = (existing.canonicalize(), absolute.strip_prefix(existing)) {
            return if rest.as_os_str().is_empty() { canonical } else { canonical.join(rest) };
        }
    }
    absolute
}

impl Store for LocalStore {
    fn location(&self) -> String {
        self.folders.root().display().to_string()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { is_local: true, is_weak: false }
    }

    fn create(&self, folders: &[&str]) -> Result<(), StoreError> {
        let create = || self.folders.create(folders);
        create().map_err(|error| StoreError::from_io(StoreOperation::Create, self.location(), error))
    }

    fn put(&self, name: &ObjectName, bytes: &[u8], durability: Durability) -> Result<(), StoreError> {
        let promise = match durability {
            Durability::Durable => Promise::Durable,
            Durability::Cache => Promise::Whole,
        };
        publish(self.disk.as_ref(), &self.folders, name, bytes, promise)
            .map(drop)
            .map_err(|error| StoreError::from_io(StoreOperation::Put, name, error))
    }

    fn put_held(&self, name: &ObjectName, bytes: &[u8]) -> Result<Box<dyn Held>, StoreError> {
        match publish(self.disk.as_ref(), &self.folders, name, bytes, Promise::Held) {
            Ok(file) => Ok(Box::new(LocalHeld { file })),
            Err(error) => Err(StoreError::from_io(StoreOperation::Lock, name, error)),
        }
    }

    fn is_held(&self, name: &ObjectName) -> Result<Option<bool>, StoreError> {
        let ask = || self.disk.open(&self.path(name))?.is_locked_elsewhere();
        ask().map(Some).map_err(|error| StoreError::from_io(StoreOperation::Lock, name, error))
    }

    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Vec<u8>, StoreError> {
        let fail = |error| StoreError::from_io(StoreOperation::Get, name, error);
        let file = self.disk.open(&self.path(name)).map_err(fail)?;
        if file.opened_bytes() > max_bytes {
            let text = format!("{} bytes are more than the limit of {max_bytes}", file.opened_bytes());
            return Err(StoreError::new(StoreErrorKind::TooLarge, StoreOperation::Get, name, &text));
        }
        read_whole(file.as_ref()).map_err(fail)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let read = |buffer: &mut [u8]| {
            let file = self.disk.open(&self.path(name))?;
            let end = offset.checked_add(buffer.len() as u64);
            if end.is_none_or(|end| end > file.opened_bytes()) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match read_full(file.as_ref(), offset, buffer)? {
                count if count == buffer.len() => Ok(()),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        };
        read(buffer).map_err(|error| StoreError::from_io(StoreOperation::GetRange, name, error))
    }

    fn head(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.find(name).map_err(|error| StoreError::from_io(StoreOperation::Head, name, error))
    }

    fn list(&self, folder: &str, each: &mut dyn FnMut(ListEntry)) -> Result<(), StoreError> {
        if !folder.is_empty() && ObjectName::parse(folder).is_none() {
            return Ok(());
        }
        let mut pending = vec![folder.to_owned()];
        while let Some(folder) = pending.pop() {
            pending.extend(self.list_folder(&folder, each)?);
        }
        Ok(())
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.remove(name).map_err(|error| StoreError::from_io(StoreOperation::Delete, name, error))
    }
}

struct LocalHeld {
    file: Box<dyn DiskFile>,
}

impl Held for LocalHeld {}

impl Drop for LocalHeld {
    fn drop(&mut self) {
        // Closing is not enough while a child that was just forked still has a copy of the descriptor.
        let _ = self.file.unlock();
    }
}

fn read_whole(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.opened_bytes()).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(io::Error::other)?;
    bytes.resize(len, 0);
    let count = read_full(file, 0, &mut bytes)?;
    let past_the_end = file.read_at(file.opened_bytes(), &mut [0])?;
    if count < len || past_the_end > 0 {
        return Err(io::Error::other("the file changed its length while it was read"));
    }
    Ok(bytes)
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &dyn DiskFile, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(offset + done as u64, &mut buffer[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn not_a_file() -> io::Error {
    io::Error::other("a link or device stands here, not a regular file")
}
