//! The folder that items are restored to. Nothing leaves it: every folder is opened by its own name below the one
//! before, without following links, and a file gets its name only when it is whole.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};

use super::HostError;

/// A folder to restore to.
pub struct TargetFolder {
    folder: OwnedFd,
    path: PathBuf,
    overwrite: bool,
}

/// A file being restored, under a temporary name. Removed when it is dropped before [`TargetFile::finish`].
pub struct TargetFile {
    folder: OwnedFd,
    file: File,
    temporary: String,
    name: String,
    path: PathBuf,
    overwrite: bool,
    is_finished: bool,
}

/// What stands where a file is to be restored.
enum Place {
    Free,
    /// Something that could be replaced.
    Taken,
    /// At this path, something that is never replaced.
    Blocked(PathBuf),
}

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn failed(action: &'static str, path: &Path) -> impl Fn(rustix::io::Errno) -> HostError {
    let path = path.display().to_string();
    move |errno| HostError::Io { action, path: path.clone(), source: errno.into() }
}

impl TargetFolder {
    /// Opens the folder, and makes it if it is not there. The path itself may have links: it is the user's own.
    ///
    /// # Errors
    /// The folder cannot be made or opened.
    pub fn open(path: &Path, overwrite: bool) -> Result<Self, HostError> {
        std::fs::create_dir_all(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                HostError::NoFolder { path: path.display().to_string() }
            }
            _ => HostError::Io { action: "make the folder", path: path.display().to_string(), source },
        })?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(failed("open the folder", path))?;
        Ok(Self { folder, path: path.to_owned(), overwrite })
    }

    /// Looks at the places of all files before the first of them is written, and changes nothing. The names are checked
    /// item names. Costs a look at each folder on the way.
    ///
    /// # Errors
    /// All that exist and would have to be replaced, or all that are in the way and cannot be; or a place cannot be
    /// looked at.
    pub fn check<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<(), HostError> {
        let mut taken = Vec::new();
        let mut in_the_way = BTreeSet::new();
        for name in names {
            match self.look(name)? {
                Place::Free => {}
                Place::Taken if self.overwrite => {}
                Place::Taken => taken.push(self.path.join(name).display().to_string()),
                // Several items may have it in their way.
                Place::Blocked(path) => drop(in_the_way.insert(path.display().to_string())),
            }
        }
        if !in_the_way.is_empty() {
            let folder = self.path.display().to_string();
            return Err(HostError::InTheWay { folder, paths: in_the_way.into_iter().collect() });
        }
        if taken.is_empty() { Ok(()) } else { Err(HostError::Exists { paths: taken }) }
    }

    fn look(&self, name: &str) -> Result<Place, HostError> {
        use rustix::io::Errno;
        let mut path = self.path.clone();
        let mut folder: Option<OwnedFd> = None;
        let (parents, file_name) = name.rsplit_once('/').unwrap_or(("", name));
        for component in parents.split('/').filter(|component| !component.is_empty()) {
            path.push(component);
            let below = folder.as_ref().unwrap_or(&self.folder);
            folder = match rustix::fs::openat(below, component, FOLDER, Mode::empty()) {
                Ok(folder) => Some(folder),
                Err(Errno::NOENT) => return Ok(Place::Free),
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Place::Blocked(path)),
                Err(errno) => return Err(failed("open the folder", &path)(errno)),
            };
        }
        path.push(file_name);
        let below = folder.as_ref().unwrap_or(&self.folder);
        match rustix::fs::statat(below, file_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                Ok(Place::Blocked(path))
            }
            Ok(_) => Ok(Place::Taken),
            Err(Errno::NOENT) => Ok(Place::Free),
            Err(errno) => Err(failed("look at", &path)(errno)),
        }
    }

    /// Begins a file. `name` is a checked item name: relative, without `..`.
    ///
    /// # Errors
    /// There is something in its place, or a folder on the way is a link or cannot be made.
    pub fn create(&self, name: &str) -> Result<TargetFile, HostError> {
        let mut path = self.path.clone();
        let mut folder = self.folder.try_clone().map_err(|source| HostError::Io {
            action: "open the folder",
            path: path.display().to_string(),
            source,
        })?;
        let (parents, file_name) = name.rsplit_once('/').unwrap_or(("", name));
        for component in parents.split('/').filter(|component| !component.is_empty()) {
            path.push(component);
            match rustix::fs::mkdirat(&folder, component, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(failed("make the folder", &path)(errno)),
            }
            folder = rustix::fs::openat(&folder, component, FOLDER, Mode::empty())
                .map_err(failed("open the folder (links are not followed)", &path))?;
        }
        path.push(file_name);
        // Found out now and not after hours of writing; decided when the file gets its name.
        let is_taken = rustix::fs::statat(&folder, file_name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        if is_taken && !self.overwrite {
            return Err(HostError::Exists { paths: vec![path.display().to_string()] });
        }
        let (file, temporary) = create_temporary(&folder, &path)?;
        Ok(TargetFile {
            folder,
            file,
            temporary,
            name: file_name.to_owned(),
            path,
            overwrite: self.overwrite,
            is_finished: false,
        })
    }
}

fn create_temporary(folder: &OwnedFd, path: &Path) -> Result<(File, String), HostError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for number in 0u32.. {
        let temporary = format!(".containerarchive-{}-{number}.tmp", std::process::id());
        match rustix::fs::openat(folder, &temporary, flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => return Ok((file.into(), temporary)),
            Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(failed("create", path)(errno)),
        }
    }
    Err(failed("create", path)(rustix::io::Errno::EXIST))
}

impl TargetFile {
    fn io(&self, action: &'static str, source: io::Error) -> HostError {
        HostError::Io { action, path: self.path.display().to_string(), source }
    }

    fn exists(&self) -> HostError {
        HostError::Exists { paths: vec![self.path.display().to_string()] }
    }

    /// Makes the content durable and gives the file its name.
    ///
    /// # Errors
    /// The disk failed, or something took the place of the file meanwhile.
    pub fn finish(mut self) -> Result<(), HostError> {
        self.file.sync_all().map_err(|source| self.io("write", source))?;
        let flags = if self.overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let renamed =
            rustix::fs::renameat_with(&self.folder, &self.temporary, &self.folder, &self.name, flags);
        match renamed {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => {
                return Err(self.exists());
            }
            // File systems that cannot rename without replacing can usually link.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
                self.link()?
            }
            Err(errno) => return Err(failed("name", &self.path)(errno)),
        }
        self.is_finished = true;
        rustix::fs::fsync(&self.folder).map_err(failed("write the folder of", &self.path))
    }

    fn link(&self) -> Result<(), HostError> {
        let linked =
            rustix::fs::linkat(&self.folder, &self.temporary, &self.folder, &self.name, AtFlags::empty());
        match linked {
            Ok(()) => rustix::fs::unlinkat(&self.folder, &self.temporary, AtFlags::empty())
                .map_err(failed("name", &self.path)),
            Err(rustix::io::Errno::EXIST) => Err(self.exists()),
            Err(errno) => Err(failed("name", &self.path)(errno)),
        }
    }
}

impl Write for TargetFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for TargetFile {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = rustix::fs::unlinkat(&self.folder, &self.temporary, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_appear_whole_or_not_at_all_and_replace_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = TargetFolder::open(folder.path(), false).unwrap();
        let mut file = target.create("a/b.txt").unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 0);
        let mut file = target.create("a/b.txt").unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read(folder.path().join("a/b.txt")).unwrap(), b"whole");
        assert!(matches!(target.create("a/b.txt"), Err(HostError::Exists { .. })));
        let replacing = TargetFolder::open(folder.path(), true).unwrap();
        let mut file = replacing.create("a/b.txt").unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read(folder.path().join("a/b.txt")).unwrap(), b"new");
    }

    #[test]
    fn all_that_is_taken_or_in_the_way_is_found_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a", "c/d", "e", "f/g"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "old").unwrap();
        }
        let paths = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| folder.path().join(name).display().to_string()).collect()
        };
        let check = |overwrite, names: &[&str]| {
            TargetFolder::open(folder.path(), overwrite).unwrap().check(names.iter().copied())
        };
        match check(false, &["a", "b", "c/d", "c/e", "x/y/z"]) {
            Err(HostError::Exists { paths: taken }) => assert_eq!(taken, paths(&["a", "c/d"])),
            other => panic!("{other:?}"),
        }
        assert!(check(true, &["a", "b", "c/d", "c/e", "x/y/z"]).is_ok());
        std::os::unix::fs::symlink("c", folder.path().join("link")).unwrap();
        for overwrite in [false, true] {
            match check(overwrite, &["a", "link/x", "f", "e/x", "e/y"]) {
                Err(HostError::InTheWay { paths: found, .. }) => {
                    assert_eq!(found, paths(&["e", "f", "link"]));
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(!folder.path().join("x").exists());
    }

    #[test]
    fn links_inside_the_target_are_never_followed() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        let target = TargetFolder::open(folder.path(), true).unwrap();
        assert!(target.create("link/file").is_err());
        std::os::unix::fs::symlink(outside.path().join("x"), folder.path().join("file")).unwrap();
        let mut file = target.create("file").unwrap();
        file.write_all(b"inside").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(std::fs::read(folder.path().join("file")).unwrap(), b"inside");
    }
}
