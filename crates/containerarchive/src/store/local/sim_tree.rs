//! The files and folders of a [`super::SimDisk`]: what processes see, and what a power loss leaves of it.
//!
//! The rules are the weakest that file systems keep. Content survives only by an fsync of the file, names only by
//! an fsync of their folder; anything else may arrive in any order, content in sectors of 512 bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Component, Path};

const SECTOR_BYTES: usize = 512;

/// What reaches the medium of that which was not fsynced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMode {
    /// The process dies, the machine stays: everything is seen, and still not fsynced.
    ProcessDies,
    /// Power is lost, and with it all that was not fsynced.
    DropAllUnsynced,
    /// Power is lost; each change of a name and each sector survives or not, at random.
    KeepRandomSubset {
        /// Chooses the subset.
        seed: u64,
    },
}

pub(super) type InodeId = u64;
const ROOT: InodeId = 0;

#[derive(Clone)]
pub(super) struct Tree {
    inodes: BTreeMap<InodeId, Inode>,
}

#[derive(Clone)]
pub(super) enum Inode {
    File(FileData),
    Folder(FolderData),
}

#[derive(Clone, Default)]
pub(super) struct FileData {
    pub(super) bytes: Vec<u8>,
    pub(super) modified_ms: i64,
    /// The open file that has the lock for itself alone.
    pub(super) locked_by: Option<u64>,
    durable: Vec<u8>,
    unsynced: Vec<Range<usize>>,
}

#[derive(Clone, Default)]
pub(super) struct FolderData {
    pub(super) entries: BTreeMap<String, InodeId>,
    durable: BTreeMap<String, InodeId>,
    unsynced: Vec<(String, Option<InodeId>)>,
}

impl FileData {
    pub(super) fn new(modified_ms: i64) -> Self {
        Self { modified_ms, ..Self::default() }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.unsynced.push(start..self.bytes.len());
    }

    pub(super) fn sync(&mut self) {
        for range in std::mem::take(&mut self.unsynced) {
            write_at(&mut self.durable, &self.bytes, range);
        }
    }

    /// As Linux does: the pages count as clean afterwards, so that no later fsync writes them.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced.clear();
    }

    fn after_power_loss(&self, random: &mut Option<Random>) -> Self {
        let mut left = self.durable.clone();
        if let Some(random) = random {
            if random.coin() {
                left.resize(self.bytes.len().max(left.len()), 0);
            }
            for range in &self.unsynced {
                let mut start = range.start;
                while start < range.end {
                    let end = ((start / SECTOR_BYTES + 1) * SECTOR_BYTES).min(range.end);
                    if random.coin() {
                        write_at(&mut left, &self.bytes, start..end);
                    }
                    start = end;
                }
            }
        }
        let modified_ms = self.modified_ms;
        Self { bytes: left.clone(), durable: left, modified_ms, ..Self::default() }
    }
}

impl FolderData {
    pub(super) fn change(&mut self, name: String, inode: Option<InodeId>) {
        apply(&mut self.entries, &name, inode);
        self.unsynced.push((name, inode));
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
        self.durable = self.entries.clone();
    }

    fn after_power_loss(&self, random: &mut Option<Random>) -> Self {
        let mut left = self.durable.clone();
        if let Some(random) = random {
            for (name, inode) in &self.unsynced {
                if random.coin() {
                    apply(&mut left, name, *inode);
                }
            }
        }
        Self { entries: left.clone(), durable: left, unsynced: Vec::new() }
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { inodes: BTreeMap::from([(ROOT, Inode::Folder(FolderData::default()))]) }
    }

    pub(super) fn add(&mut self, inode: Inode) -> InodeId {
        let id = self.inodes.len() as InodeId;
        self.inodes.insert(id, inode);
        id
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<InodeId> {
        let mut id = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                let name = name.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
                id = *self.folder(id)?.entries.get(name).ok_or(io::ErrorKind::NotFound)?;
            }
        }
        Ok(id)
    }

    /// The folder that a path lies in and the name there.
    pub(super) fn find_parent(&self, path: &Path) -> io::Result<(InodeId, String)> {
        match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
            (Some(parent), Some(name)) => {
                let parent = self.find(parent)?;
                self.folder(parent)?;
                Ok((parent, name.to_owned()))
            }
            // Only the root has no name.
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    /// Like [`Self::find_parent`], for a name that must be free.
    pub(super) fn find_free(&self, path: &Path) -> io::Result<(InodeId, String)> {
        let (parent, name) = self.find_parent(path)?;
        match self.folder(parent)?.entries.contains_key(&name) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => Ok((parent, name)),
        }
    }

    pub(super) fn inode(&self, id: InodeId) -> io::Result<&Inode> {
        self.inodes.get(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn folder(&self, id: InodeId) -> io::Result<&FolderData> {
        match self.inode(id)? {
            Inode::Folder(folder) => Ok(folder),
            Inode::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn folder_mut(&mut self, id: InodeId) -> io::Result<&mut FolderData> {
        match self.inodes.get_mut(&id) {
            Some(Inode::Folder(folder)) => Ok(folder),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&self, id: InodeId) -> io::Result<&FileData> {
        match self.inode(id)? {
            Inode::File(file) => Ok(file),
            Inode::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn file_mut(&mut self, id: InodeId) -> io::Result<&mut FileData> {
        match self.inodes.get_mut(&id) {
            Some(Inode::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// What the next process finds. Locks are gone with their holders.
    pub(super) fn after_crash(&self, mode: CrashMode) -> Self {
        let mut random = match mode {
            CrashMode::ProcessDies => return self.without_locks(),
            CrashMode::DropAllUnsynced => None,
            CrashMode::KeepRandomSubset { seed } => Some(Random(seed)),
        };
        let left = |(id, inode): (&InodeId, &Inode)| match inode {
            Inode::File(file) => (*id, Inode::File(file.after_power_loss(&mut random))),
            Inode::Folder(folder) => (*id, Inode::Folder(folder.after_power_loss(&mut random))),
        };
        Self { inodes: self.inodes.iter().map(left).collect() }
    }

    /// Every file that can be reached, with its content.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut seen = BTreeSet::from([ROOT]);
        let mut pending = vec![(String::new(), ROOT)];
        while let Some((path, id)) = pending.pop() {
            match self.inodes.get(&id) {
                Some(Inode::File(file)) => {
                    files.insert(path, file.bytes.clone());
                }
                Some(Inode::Folder(folder)) => {
                    let inner = folder.entries.iter().filter(|(_, id)| {
                        let is_file = matches!(self.inodes.get(id), Some(Inode::File(_)));
                        is_file || seen.insert(**id)
                    });
                    pending.extend(inner.map(|(name, id)| (format!("{path}/{name}"), *id)));
                }
                None => {}
            }
        }
        files
    }

    fn without_locks(&self) -> Self {
        let mut left = self.clone();
        for inode in left.inodes.values_mut() {
            if let Inode::File(file) = inode {
                file.locked_by = None;
            }
        }
        left
    }
}

fn apply(entries: &mut BTreeMap<String, InodeId>, name: &str, inode: Option<InodeId>) {
    match inode {
        Some(inode) => entries.insert(name.to_owned(), inode),
        None => entries.remove(name),
    };
}

/// Copies a range of `source` to the same place in `target`, with zeros before it where that is shorter.
fn write_at(target: &mut Vec<u8>, source: &[u8], range: Range<usize>) {
    target.resize(target.len().max(range.end), 0);
    target[range.clone()].copy_from_slice(&source[range]);
}

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and the same everywhere.
#[derive(Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}
