//! Files as the measurements need them. Nothing here takes more memory than two buffers: see
//! [`super::process::Usage`].

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const PIECE_BYTES: usize = 256 << 10;

/// Reads a file, so that it is in the page cache; returns its length in bytes.
pub(crate) fn warm(path: &Path) -> io::Result<u64> {
    let (mut file, mut piece, mut bytes) = (File::open(path)?, vec![0; PIECE_BYTES], 0);
    loop {
        match fill(&mut file, &mut piece)? {
            0 => return Ok(bytes),
            count => bytes += count as u64,
        }
    }
}

/// Whether two files have the same bytes.
pub(crate) fn are_equal(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let (left_count, right_count) = (fill(&mut one, &mut left)?, fill(&mut other, &mut right)?);
        if left[..left_count] != right[..right_count] {
            return Ok(false);
        }
        if left_count == 0 {
            return Ok(true);
        }
    }
}

/// Lengths of the files of a repository, in bytes. Those of one kind are told by the extension, which is the engine's own:
/// of a peer's repository only `all` says something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) all: u64,
    pub(crate) packs: u64,
    pub(crate) shards: u64,
    pub(crate) segments: u64,
}

impl Sizes {
    /// Of all files below a folder.
    ///
    /// # Errors
    /// A folder or a file in it cannot be looked at.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let mut sizes = Self::default();
        walk(folder, &mut |path, bytes| {
            sizes.all += bytes;
            match path.extension().and_then(OsStr::to_str) {
                Some("pack") => sizes.packs += bytes,
                Some("par") => sizes.shards += bytes,
                Some("seg") => sizes.segments += bytes,
                _ => {}
            }
        })?;
        Ok(sizes)
    }

    /// How much more that is than before; nothing where it is less.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            all: self.all.saturating_sub(before.all),
            packs: self.packs.saturating_sub(before.packs),
            shards: self.shards.saturating_sub(before.shards),
            segments: self.segments.saturating_sub(before.segments),
        }
    }
}

/// Calls `each` with the path and the length of every file below a folder.
///
/// # Errors
/// A folder or a file in it cannot be looked at.
pub(crate) fn walk(folder: &Path, each: &mut impl FnMut(&Path, u64)) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            walk(&entry.path(), each)?;
        } else {
            each(&entry.path(), metadata.len());
        }
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_in_one_byte_or_in_length_are_not_equal() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let content = vec![7; PIECE_BYTES + 10];
        std::fs::write(path("a"), &content).unwrap();
        std::fs::write(path("same"), &content).unwrap();
        std::fs::write(path("shorter"), &content[1..]).unwrap();
        std::fs::write(path("empty"), b"").unwrap();
        let mut changed = content;
        *changed.last_mut().unwrap() = 8;
        std::fs::write(path("changed"), &changed).unwrap();
        assert!(are_equal(&path("a"), &path("same")).unwrap());
        for other in ["shorter", "empty", "changed"] {
            assert!(!are_equal(&path("a"), &path(other)).unwrap(), "{other}");
        }
        assert_eq!(warm(&path("a")).unwrap(), PIECE_BYTES as u64 + 10);
    }

    #[test]
    fn bytes_of_all_folders_are_added_up_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        for (name, bytes) in [("inner/a.pack", 10), ("inner/a.idx", 1), ("b.par", 5), ("c.seg", 3)] {
            std::fs::write(folder.path().join(name), vec![0; bytes]).unwrap();
        }
        let sizes = Sizes::of(folder.path()).unwrap();
        assert_eq!(sizes, Sizes { all: 19, packs: 10, shards: 5, segments: 3 });
        let before = Sizes { all: 15, packs: 11, shards: 0, segments: 1 };
        assert_eq!(sizes.since(before), Sizes { all: 4, packs: 0, shards: 5, segments: 2 });
    }
}
