//! Key files: read with a check of who else may read them, written once, durably, for the owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use containerarchive::base::SystemRandomness;
use containerarchive::base::random::random_array;
use containerarchive::{ErrorCode, KeyFile};

use crate::credentials::read_secret;
use crate::failure::{Failure, Outcome};
use crate::ui::Terminal;

/// Reads a key file.
///
/// # Errors
/// It cannot be read, or is none.
pub(crate) fn read(path: &Path, terminal: &Terminal) -> Outcome<KeyFile> {
    let file = File::open(path).map_err(|error| failed("read", path, &error))?;
    warn_of_readers(&file, path, terminal);
    let bytes = read_secret(file, KeyFile::MAX_BYTES).map_err(|error| failed("read", path, &error))?;
    KeyFile::parse(&bytes).map_err(|error| {
        Failure::new(ErrorCode::Key, format!("cannot use the key file {}: {error}", path.display()))
    })
}

/// Makes a key file. Nothing is replaced, and the file is durable before it is used.
///
/// # Errors
/// There is something at this place, or the disk failed.
pub(crate) fn create(path: &Path) -> Outcome<KeyFile> {
    let key = random_array(&SystemRandomness)
        .map_err(|error| Failure::new(ErrorCode::Failed, format!("cannot make a key: {error}")))?;
    let key_file = KeyFile::new(key);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed("make", path, &error))?;
    let written =
        file.write_all(key_file.to_text().as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
        });
    if let Err(error) = written {
        // Nothing was locked with it yet.
        let _ = std::fs::remove_file(path);
        return Err(failed("write", path, &error));
    }
    Ok(key_file)
}

/// Whether there is something at the place of a key file.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Says so if others may read a file with a secret.
pub(crate) fn warn_of_readers(file: &File, path: &Path, terminal: &Terminal) {
    if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o004 != 0) {
        terminal
            .warn(&format!("{} can be read by every user of this computer: chmod 600 it", path.display()));
    }
}

fn failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::AlreadyExists => ErrorCode::Exists,
        io::ErrorKind::StorageFull => ErrorCode::Full,
        _ => ErrorCode::Key,
    };
    Failure::new(code, format!("cannot {action} the key file {}: {error}", path.display()))
}
