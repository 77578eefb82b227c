//! Key files: read with a check of who else may read them, written once, durably, for the owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use containerarchive::base::SystemRandomness;
use containerarchive::base::random::random_array;
use containerarchive::{ErrorCode, KeyFile};
use rustix::fs::{CWD, RenameFlags};

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
            .advise("name a file that 'init' or 'key add' has made; a file with a passphrase is given by --passphrase-file or --new-passphrase-file")
    })
}

/// Makes a key file. Nothing is replaced, and the file is durable before it is used. It has its name only when it is
/// whole: half of one, left by a process that was killed, would be in the way of the next try.
///
/// # Errors
/// There is something at this place, or the disk failed.
pub(crate) fn create(path: &Path) -> Outcome<KeyFile> {
    let failed_random = |error| Failure::new(ErrorCode::Failed, format!("cannot make a key: {error}"));
    let key = random_array(&SystemRandomness).map_err(failed_random)?;
    let unique: [u8; 16] = random_array(&SystemRandomness).map_err(failed_random)?;
    let key_file = KeyFile::new(key);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Not a process's number: in containers, that is the same for all.
    let temporary = folder.join(format!(".containerarchive-{}.tmp", data_encoding::HEXLOWER.encode(&unique)));
    let make = || -> io::Result<()> {
        write(&temporary, key_file.to_text().as_bytes())?;
        rename_new(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    let made = make();
    if made.is_err() {
        // Nothing was locked with it.
        let _ = std::fs::remove_file(&temporary);
    }
    made.map_err(|error| failed("make", path, &error)).map(|()| key_file)
}

/// Writes a file for the owner only.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // File systems that cannot rename without replacing can usually link.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
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
    let advice = match action {
        "make" => {
            "the repository was not changed; name a file that can be made, in a folder that is there and that you may write to"
        }
        _ => "check the path and its permissions; if the file is lost, use another key of the repository",
    };
    Failure::new(code, format!("cannot {action} the key file {}: {error}", path.display())).advise(advice)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_key_file_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let is_over = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut seen = 0;
                while !is_over.load(Ordering::Relaxed) {
                    if let Ok(bytes) = std::fs::read(&path) {
                        assert!(KeyFile::parse(&bytes).is_ok(), "{} bytes", bytes.len());
                        seen += 1;
                    }
                }
                seen
            });
            for _ in 0..300 {
                create(&path).unwrap();
                assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
                assert_eq!(create(&path).err().unwrap().code(), ErrorCode::Exists);
                std::fs::remove_file(&path).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
            watch.join().unwrap()
        });
        println!("seen {seen} times");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
