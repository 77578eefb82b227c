//! The operating system's file systems.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::disk::{Disk, DiskFile, Entry, EntryKind, Metadata};
use crate::base::Timestamp;

/// How a file system says that it cannot rename without replacement.
const NO_SUCH_RENAME: [Errno; 4] = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP];

#[derive(Debug, Clone, Copy)]
pub(super) struct OsDisk;

impl Disk for OsDisk {
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(OsFile { file, opened_bytes: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // Without NONBLOCK, opening a named pipe that somebody left in place of an object would wait forever.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        let metadata = file.metadata()?;
        match kind(metadata.file_type()) {
            EntryKind::File => Ok(Box::new(OsFile { file, opened_bytes: metadata.len() })),
            EntryKind::Folder => Err(io::ErrorKind::IsADirectory.into()),
            EntryKind::Other => Err(io::Error::other("not a regular file")),
        }
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // NFS and some FUSE file systems know no such rename, but link never replaces either.
            Err(error) if NO_SUCH_RENAME.contains(&error) => link_and_unlink(from, to),
            result => Ok(result?),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let flags = OFlags::DIRECTORY;
        let folder = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        match folder.sync_all() {
            // File systems that cannot sync folders say so in this way (PostgreSQL's fsync_fname does the same).
            Err(error) if [Errno::INVAL, Errno::BADF].contains(&errno(&error)) => Ok(()),
            result => result,
        }
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        Ok(metadata(&fs::symlink_metadata(path)?))
    }

    fn read_folder(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            match entry.metadata() {
                Ok(found) => entries.push(Entry { name, metadata: metadata(&found) }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }
}

fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    // The object is there; a second name that stays behind in `tmp/` does no harm.
    let _ = fs::remove_file(from);
    Ok(())
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn kind(file_type: fs::FileType) -> EntryKind {
    if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Folder
    } else {
        EntryKind::Other
    }
}

fn metadata(found: &fs::Metadata) -> Metadata {
    let modified = found.modified().map_or(Timestamp(0), timestamp);
    Metadata { kind: kind(found.file_type()), len: found.len(), modified }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let milliseconds =
        |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp(milliseconds(after)),
        Err(before) => Timestamp(-milliseconds(before.duration())),
    }
}

struct OsFile {
    file: File,
    opened_bytes: u64,
}

impl DiskFile for OsFile {
    fn opened_bytes(&self) -> u64 {
        self.opened_bytes
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn try_lock(&self) -> io::Result<bool> {
        is_taken(self.file.try_lock())
    }

    fn is_locked_elsewhere(&self) -> io::Result<bool> {
        // Shared, so that two processes that look at the same time do not take each other for the holder.
        let is_free = is_taken(self.file.try_lock_shared())?;
        if is_free {
            self.file.unlock()?;
        }
        Ok(!is_free)
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

fn is_taken(result: Result<(), TryLockError>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fallback_of_rename_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "new").unwrap();
        link_and_unlink(&from, &to).unwrap();
        assert!(!from.exists());
        fs::write(&from, "newer").unwrap();
        assert_eq!(link_and_unlink(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"new");
    }
}
