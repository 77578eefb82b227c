//! Reading and writing: from and to the page cache on one core, and to the disk itself.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::best::{Clock, Rounds, best_seconds};
use crate::primitives::{PIECE_BYTES, Results};

/// As much is written, or as much as the file is long when that is less.
const MOST_BYTES: u64 = 1 << 30;

/// Measures `read`, `write` and `disk`. What is written is `content`, again and again: sealed bytes, which no
/// disk can compress. Needs up to 1 GiB below `dir` for a while.
pub(crate) fn measure(
    file: &Path,
    dir: &Path,
    content: &[u8],
    rounds: Rounds,
    results: &mut Results,
) -> Result<(), Box<dyn Error>> {
    let file = File::open(file)?;
    let bytes = file.metadata()?.len().min(MOST_BYTES);
    // Reads the file into the page cache.
    read(&file, bytes)?;
    let seconds =
        best_seconds(Clock::Thread, rounds.processor, || Ok::<_, io::Error>(()), |()| read(&file, bytes))?;
    results.add("read", bytes as f64 / seconds);
    let folder = tempfile::tempdir_in(dir)?;
    let target = folder.path().join("written");
    let create = || {
        // A new file each time: its pages are taken again, as they are for every new pack.
        if target.exists() {
            fs::remove_file(&target)?;
        }
        File::create_new(&target)
    };
    let seconds = best_seconds(Clock::Thread, rounds.disk, create, |target| write(target, content, bytes))?;
    results.add("write", bytes as f64 / seconds);
    let seconds = best_seconds(Clock::Wall, rounds.disk, create, |target| {
        write(target, content, bytes)?;
        target.sync_all()
    })?;
    results.add("disk", bytes as f64 / seconds);
    folder.close()?;
    Ok(())
}

fn read(file: &File, bytes: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < bytes {
        let count = file.read_at(&mut piece, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += count as u64;
    }
    Ok(())
}

fn write(target: &mut File, content: &[u8], bytes: u64) -> io::Result<()> {
    let mut left = bytes as usize;
    for piece in content.chunks(PIECE_BYTES).cycle() {
        let count = piece.len().min(left);
        target.write_all(&piece[..count])?;
        left -= count;
        if left == 0 {
            break;
        }
    }
    Ok(())
}
