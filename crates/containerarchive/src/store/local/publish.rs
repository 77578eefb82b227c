//! The one way in which a file gets its name: written under `tmp/`, fsynced, renamed without replacement, and the
//! folder fsynced. So a name that can be seen stands for a whole object, and a put that returned survives.

use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;

use super::disk::{Disk, DiskFile, EntryKind};
use super::folders::{self, Folders};
use crate::base::random::random_array;
use crate::base::{ObjectName, SystemRandomness};

/// What a publication promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// Nothing is fsynced.
    Whole,
    /// The object survives a power loss.
    Durable,
    /// Durable, and locked from before it can be seen until the returned file is closed.
    Held,
}

/// Publishes an object, and returns its file.
///
/// `AlreadyExists` of a durable publication says that what is there was made durable, too: the process that put it
/// may have died before its own fsync.
pub(super) fn publish(
    disk: &dyn Disk,
    folders: &Folders,
    name: &ObjectName,
    bytes: &[u8],
    promise: Promise,
) -> io::Result<Box<dyn DiskFile>> {
    let target = folders.root().join(name.as_str());
    if disk.metadata(&target).is_ok() {
        return Err(existing(disk, folders, name, promise));
    }
    let tmp_name = HEXLOWER.encode(&random_array::<16>(&SystemRandomness).map_err(io::Error::other)?);
    let tmp = folders.path(folders::TMP).join(tmp_name);
    let file = create_tmp(disk, folders, &tmp).map_err(hide_already_exists)?;
    let published = fill(file, bytes, promise)
        .map_err(hide_already_exists)
        .and_then(|file| rename(disk, folders, &tmp, name, promise).map(|()| file));
    match published {
        Ok(file) => {
            if promise != Promise::Whole {
                disk.sync_folder(&folders.path(folders::parent(name.as_str())))?;
            }
            Ok(file)
        }
        Err(error) => {
            // The error that is reported is the first one; a leftover disturbs nobody.
            let _ = disk.remove(&tmp);
            match error.kind() {
                io::ErrorKind::AlreadyExists => Err(existing(disk, folders, name, promise)),
                _ => Err(error),
            }
        }
    }
}

fn create_tmp(disk: &dyn Disk, folders: &Folders, tmp: &Path) -> io::Result<Box<dyn DiskFile>> {
    match disk.create_file(tmp) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            folders.make(folders::TMP)?;
            disk.create_file(tmp)
        }
        result => result,
    }
}

fn fill(mut file: Box<dyn DiskFile>, bytes: &[u8], promise: Promise) -> io::Result<Box<dyn DiskFile>> {
    file.write_all(bytes)?;
    if promise == Promise::Held && !file.try_lock()? {
        return Err(io::Error::other("somebody else locked the file while it was written"));
    }
    if promise != Promise::Whole {
        // Never tried again: after a failure the kernel may have dropped the data and call the next fsync a success.
        file.sync()?;
    }
    Ok(file)
}

fn rename(
    disk: &dyn Disk,
    folders: &Folders,
    tmp: &Path,
    name: &ObjectName,
    promise: Promise,
) -> io::Result<()> {
    let target = folders.root().join(name.as_str());
    let folder = folders::parent(name.as_str());
    let settle = || {
        if promise == Promise::Whole { Ok(()) } else { folders.settle(folder) }
    };
    settle().map_err(hide_already_exists)?;
    match disk.rename_new(tmp, &target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            folders.make(folder).and_then(|()| settle()).map_err(hide_already_exists)?;
            disk.rename_new(tmp, &target)
        }
        result => result,
    }
}

/// The error for a name that is taken, once what has it is as durable as promised.
fn existing(disk: &dyn Disk, folders: &Folders, name: &ObjectName, promise: Promise) -> io::Error {
    let taken = io::ErrorKind::AlreadyExists.into();
    if promise == Promise::Whole {
        return taken;
    }
    let target = folders.root().join(name.as_str());
    let folder = folders::parent(name.as_str());
    let settled = disk.metadata(&target).and_then(|metadata| {
        if metadata.kind == EntryKind::File {
            disk.open(&target)?.sync()?;
        }
        folders.settle(folder)?;
        disk.sync_folder(&folders.path(folder))
    });
    settled.err().map_or(taken, hide_already_exists)
}

/// Only the rename may tell a caller that the object exists.
fn hide_already_exists(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::other(error),
        _ => error,
    }
}
