//! Files as the measurements need them. Nothing here takes more memory than two buffers: see
//! [`super::process::Usage`].

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

/// Bytes of all files below a folder.
pub(crate) fn total_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { total_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
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
    fn bytes_of_all_folders_are_added_up() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        std::fs::write(folder.path().join("inner/a"), [0; 10]).unwrap();
        std::fs::write(folder.path().join("b"), [0; 5]).unwrap();
        assert_eq!(total_bytes(folder.path()).unwrap(), 15);
    }
}
