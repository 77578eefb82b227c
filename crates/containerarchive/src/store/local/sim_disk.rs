//! A disk in memory that loses power, tears writes and fails calls, reproducibly.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile, Entry, EntryKind, Metadata};
use super::sim_tree::{CrashMode, FileData, FolderData, Inode, InodeId, Random, Tree};
use crate::base::Timestamp;

/// A simulated disk with an empty root folder. Clones are the same disk.
///
/// Every call that changes something is one step, a write is two or more; steps are counted from zero.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    tree: Tree,
    random: Random,
    trace: Vec<&'static str>,
    power_ends_at: Option<u64>,
    is_off: bool,
    failure: Option<Failure>,
    next_handle: u64,
    clock_ms: i64,
}

#[derive(Clone, Copy)]
struct Failure {
    step: u64,
    kind: io::ErrorKind,
    is_persistent: bool,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("steps", &self.steps()).finish_non_exhaustive()
    }
}

impl SimDisk {
    /// An empty disk; the seed chooses where writes are split.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_tree(Tree::new(), Random(seed))
    }

    fn with_tree(tree: Tree, random: Random) -> Self {
        let state = State {
            tree,
            random,
            trace: Vec::new(),
            power_ends_at: None,
            is_off: false,
            failure: None,
            next_handle: 0,
            clock_ms: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// How many steps were tried so far, failed ones included.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state().trace.len() as u64
    }

    /// The kind of every step so far: `create`, `write`, `lock`, `sync`, `rename`, `remove`, `make folder`,
    /// `sync folder`.
    #[must_use]
    pub fn trace(&self) -> Vec<&'static str> {
        self.state().trace.clone()
    }

    /// Cuts the power before this step: it and every later call, reads included, fail.
    pub fn crash_at(&self, step: u64) {
        self.state().power_ends_at = Some(step);
    }

    /// A new disk with what the crash of this one leaves, be it now or at [`Self::crash_at`].
    #[must_use]
    pub fn after_crash(&self, mode: CrashMode) -> Self {
        let state = self.state();
        Self::with_tree(state.tree.after_crash(mode), state.random.clone())
    }

    /// Fails this step with this kind, and all later steps if `persistent`. A failing step does nothing, except that
    /// a failing fsync of a file loses what it should have kept, and calls to come do not learn of it.
    pub fn fail_nth(&self, step: u64, kind: io::ErrorKind, persistent: bool) {
        self.state().failure = Some(Failure { step, kind, is_persistent: persistent });
    }

    /// Ends the effect of [`Self::fail_nth`].
    pub fn stop_failing(&self) {
        self.state().failure = None;
    }

    /// Every file that can be seen, by absolute path.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().tree.files()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_inode(&self, state: &mut State, inode: InodeId, opened_bytes: u64) -> Box<dyn DiskFile> {
        state.next_handle += 1;
        Box::new(SimFile { disk: self.clone(), inode, handle: state.next_handle, opened_bytes })
    }
}

impl State {
    fn step(&mut self, what: &'static str) -> io::Result<()> {
        let step = self.trace.len() as u64;
        if self.power_ends_at.is_some_and(|end| step >= end) {
            self.is_off = true;
        }
        self.require_power()?;
        self.trace.push(what);
        self.clock_ms += 1;
        match self.failure {
            Some(failure) if step == failure.step || (failure.is_persistent && step > failure.step) => {
                Err(failure.kind.into())
            }
            _ => Ok(()),
        }
    }

    fn require_power(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn metadata(&self, id: InodeId) -> io::Result<Metadata> {
        Ok(match self.tree.inode(id)? {
            Inode::File(file) => {
                let modified = Timestamp(file.modified_ms);
                Metadata { kind: EntryKind::File, len: file.bytes.len() as u64, modified }
            }
            Inode::Folder(_) => Metadata { kind: EntryKind::Folder, len: 0, modified: Timestamp(0) },
        })
    }
}

impl Disk for SimDisk {
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.step("create")?;
        let (parent, name) = state.tree.find_free(path)?;
        let modified_ms = state.clock_ms;
        let inode = state.tree.add(Inode::File(FileData::new(modified_ms)));
        state.tree.folder_mut(parent)?.change(name, Some(inode));
        Ok(self.open_inode(&mut state, inode, 0))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.require_power()?;
        let inode = state.tree.find(path)?;
        let opened_bytes = state.tree.file(inode)?.bytes.len() as u64;
        Ok(self.open_inode(&mut state, inode, opened_bytes))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("rename")?;
        let inode = state.tree.find(from)?;
        let (from_parent, from_name) = state.tree.find_parent(from)?;
        let (to_parent, to_name) = state.tree.find_free(to)?;
        // Two changes: without an fsync of both folders, one may arrive without the other.
        state.tree.folder_mut(to_parent)?.change(to_name, Some(inode));
        state.tree.folder_mut(from_parent)?.change(from_name, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("remove")?;
        let inode = state.tree.find(path)?;
        state.tree.file(inode)?;
        let (parent, name) = state.tree.find_parent(path)?;
        state.tree.folder_mut(parent)?.change(name, None);
        Ok(())
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("make folder")?;
        let (parent, name) = state.tree.find_free(path)?;
        let inode = state.tree.add(Inode::Folder(FolderData::default()));
        state.tree.folder_mut(parent)?.change(name, Some(inode));
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("sync folder")?;
        let inode = state.tree.find(path)?;
        state.tree.folder_mut(inode)?.sync();
        Ok(())
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let state = self.state();
        state.require_power()?;
        state.metadata(state.tree.find(path)?)
    }

    fn read_folder(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        state.require_power()?;
        let entries = &state.tree.folder(state.tree.find(path)?)?.entries;
        let entry = |(name, id): (&String, &InodeId)| {
            Ok(Entry { name: name.clone(), metadata: state.metadata(*id)? })
        };
        entries.iter().map(entry).collect()
    }
}

struct SimFile {
    disk: SimDisk,
    inode: InodeId,
    handle: u64,
    opened_bytes: u64,
}

impl DiskFile for SimFile {
    fn opened_bytes(&self) -> u64 {
        self.opened_bytes
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        // In two pieces, so that a crash or a failure between them tears the write.
        let middle = (state.random.next() % (bytes.len() as u64 + 1)) as usize;
        let (head, tail) = bytes.split_at(middle);
        for piece in [head, tail] {
            state.step("write")?;
            let modified_ms = state.clock_ms;
            let file = state.tree.file_mut(self.inode)?;
            file.append(piece);
            file.modified_ms = modified_ms;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let result = state.step("sync");
        let file = state.tree.file_mut(self.inode)?;
        match result {
            Ok(()) => file.sync(),
            Err(_) => file.fail_sync(),
        }
        result
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        state.require_power()?;
        let bytes = &state.tree.file(self.inode)?.bytes;
        let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.disk.state();
        state.step("lock")?;
        let file = state.tree.file_mut(self.inode)?;
        let holder = *file.locked_by.get_or_insert(self.handle);
        Ok(holder == self.handle)
    }

    fn is_locked_elsewhere(&self) -> io::Result<bool> {
        let state = self.disk.state();
        state.require_power()?;
        Ok(state.tree.file(self.inode)?.locked_by.is_some_and(|holder| holder != self.handle))
    }

    fn unlock(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let file = state.tree.file_mut(self.inode)?;
        if file.locked_by == Some(self.handle) {
            file.locked_by = None;
        }
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let _ = self.unlock();
    }
}
