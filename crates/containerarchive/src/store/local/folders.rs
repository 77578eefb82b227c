//! Folders of a repository: made when they are missing, and known to survive a power loss before an object in
//! them is acknowledged.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, EntryKind};
use crate::base::ObjectName;

/// Where unfinished objects are written.
pub(super) const TMP: &str = "tmp";

pub(super) struct Folders {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Folders whose entries in their parents this handle made durable. One that merely exists may be the work of
    /// a process that died before its fsync, so existence alone proves nothing.
    settled: Mutex<HashSet<String>>,
}

impl Folders {
    pub(super) fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Self { disk, root, settled: Mutex::default() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the root and these folders, durably. See [`crate::store::Store::create`].
    pub(super) fn create(&self, folders: &[&str]) -> io::Result<()> {
        if let Some(bad) = folders.iter().find(|folder| ObjectName::parse(folder).is_none()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("'{bad}' is no folder name")));
        }
        let mut made_roots = Vec::new();
        make_with_parents(self.disk.as_ref(), &self.root, &mut made_roots)?;
        self.refuse_strangers(folders)?;

        // In order, a parent stands before its children.
        let wanted: BTreeSet<&str> = folders.iter().copied().chain([TMP]).flat_map(prefixes).collect();
        for folder in &wanted {
            ignore_existing(self.disk.make_folder(&self.root.join(folder)))?;
        }
        // One fsync for each parent, however many children it has.
        let parents: BTreeSet<&str> = wanted.iter().map(|folder| parent(folder)).collect();
        for parent in parents {
            self.disk.sync_folder(&self.path(parent))?;
        }
        self.settle_root(&made_roots)?;
        self.settled().extend(wanted.into_iter().map(str::to_owned));
        Ok(())
    }

    /// Makes a folder and those above it, up to the root, which must be there. Not durable yet.
    pub(super) fn make(&self, folder: &str) -> io::Result<()> {
        for prefix in prefixes(folder) {
            match self.disk.make_folder(&self.root.join(prefix)) {
                Ok(()) => {
                    self.settled().remove(prefix);
                }
                result => ignore_existing(result)?,
            }
        }
        Ok(())
    }

    /// Makes a folder if it is missing, and makes sure that it survives a power loss.
    pub(super) fn settle(&self, folder: &str) -> io::Result<()> {
        if folder.is_empty() || self.settled().contains(folder) {
            return Ok(());
        }
        self.make(folder)?;
        for prefix in prefixes(folder) {
            if self.settled().contains(prefix) {
                continue;
            }
            // Read before the fsync: what is seen now is durable after it, so siblings need no fsync of their own.
            let parent = parent(prefix);
            let entries = self.disk.read_folder(&self.path(parent))?;
            self.disk.sync_folder(&self.path(parent))?;
            let siblings = entries.into_iter().filter(|entry| entry.metadata.kind == EntryKind::Folder);
            let mut settled = self.settled();
            settled.extend(siblings.map(|entry| join(parent, &entry.name)));
            settled.insert(prefix.to_owned());
        }
        Ok(())
    }

    /// The place of a folder; `""` is the root itself.
    pub(super) fn path(&self, folder: &str) -> PathBuf {
        if folder.is_empty() { self.root.clone() } else { self.root.join(folder) }
    }

    fn refuse_strangers(&self, folders: &[&str]) -> io::Result<()> {
        let expected: HashSet<&str> = folders.iter().filter_map(|folder| folder.split('/').next()).collect();
        let entries = self.disk.read_folder(&self.root).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => io::Error::new(io::ErrorKind::AlreadyExists, error),
            _ => error,
        })?;
        for entry in entries {
            let is_expected = entry.name == TMP || expected.contains(entry.name.as_str());
            if !is_expected || entry.metadata.kind == EntryKind::File {
                let text = format!("'{}' is already there", entry.name);
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
        }
        Ok(())
    }

    /// Makes the root and what was made above it durable.
    fn settle_root(&self, made: &[PathBuf]) -> io::Result<()> {
        for child in self.root.ancestors() {
            let Some(parent) = child.parent() else { break };
            match self.disk.sync_folder(parent) {
                // Folders above that were there before us may be closed to this user; they are their owner's matter.
                Err(error) if is_not_ours(&error) && !made.iter().any(|path| path == child) => {}
                result => result?,
            }
        }
        Ok(())
    }

    fn settled(&self) -> MutexGuard<'_, HashSet<String>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder that a name lies in; `""` at the top level.
pub(super) fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// A name in a folder.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// `a`, `a/b`, `a/b/c` for `a/b/c`.
fn prefixes(folder: &str) -> impl Iterator<Item = &str> {
    let ends = folder.match_indices('/').map(|(end, _)| end);
    let all = (!folder.is_empty()).then_some(folder.len());
    ends.chain(all).map(|end| &folder[..end])
}

fn make_with_parents(disk: &dyn Disk, path: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut result = disk.make_folder(path);
    if let (Err(error), Some(parent)) = (&result, path.parent())
        && error.kind() == io::ErrorKind::NotFound
    {
        make_with_parents(disk, parent, made)?;
        result = disk.make_folder(path);
    }
    if result.is_ok() {
        made.push(path.to_owned());
    }
    ignore_existing(result)
}

fn ignore_existing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn is_not_ours(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_run_from_the_top_down() {
        assert_eq!(prefixes("packs/data/ab").collect::<Vec<_>>(), ["packs", "packs/data", "packs/data/ab"]);
        assert_eq!(prefixes("").count(), 0);
        assert_eq!((parent("a/b/c"), parent("a")), ("a/b", ""));
    }
}
