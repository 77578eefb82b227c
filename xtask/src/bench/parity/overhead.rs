//! The space that parity takes, from the lengths of files.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::front::Front;
use crate::bench::files;
use crate::bench::tool::{REPOSITORY, Tool};

/// Full groups that one ingest must have made.
const FULL_GROUPS: usize = 10;
/// What parity may take beside m/k of the packs: zeros behind packs that are shorter than the longest one of their group,
/// and checksums.
const ALLOWANCE: f64 = 0.005;
/// The default pack size, at which a pack is finished.
const PACK_BYTES: u64 = 16 << 20;
/// Packs are a little longer than the size at which they are finished; the last group is not full.
const NOISE_BYTES_PER_PACK: u64 = PACK_BYTES + PACK_BYTES / 16;
const PIECE_BYTES: usize = 256 << 10;

/// A parity level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) members: u8,
    pub(super) shards: u8,
}

/// What is measured: a level with small groups, where zeros behind packs weigh more, and the default.
pub(super) const LEVELS: [Level; 2] = [Level { members: 8, shards: 1 }, Level { members: 40, shards: 2 }];

impl Level {
    pub(super) fn name(self) -> String {
        format!("{}+{}", self.members, self.shards)
    }

    /// The most that parity may take, as a share of the packs.
    pub(super) fn limit(self) -> f64 {
        f64::from(self.shards) / f64::from(self.members) + ALLOWANCE
    }

    /// Bytes of noise that fill enough groups.
    pub(super) fn noise_bytes(self) -> u64 {
        FULL_GROUPS as u64 * u64::from(self.members) * NOISE_BYTES_PER_PACK
    }
}

/// What one ingest left, in bytes of whole files.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Overhead {
    pub(super) level: Level,
    /// Groups with as many packs as the level allows.
    pub(super) full_groups: usize,
    /// Packs of these groups.
    pub(super) packs: usize,
    pub(super) pack_bytes: u64,
    /// Shards of these groups.
    pub(super) shard_bytes: u64,
    /// All packs and all shards, also of groups that the end of the ingest left with fewer packs.
    pub(super) all_pack_bytes: u64,
    pub(super) all_shard_bytes: u64,
}

impl Overhead {
    /// Parity of full groups as a share of their packs.
    pub(super) fn share(&self) -> f64 {
        self.shard_bytes as f64 / self.pack_bytes as f64
    }

    /// All parity as a share of all packs.
    pub(super) fn share_of_all(&self) -> f64 {
        self.all_shard_bytes as f64 / self.all_pack_bytes as f64
    }

    /// What is wrong with it, if anything.
    pub(super) fn failure(&self) -> Option<String> {
        let (level, share, limit) = (self.level.name(), 100.0 * self.share(), 100.0 * self.level.limit());
        if self.full_groups < FULL_GROUPS {
            return Some(format!("{level}: only {} groups are full, of {FULL_GROUPS}", self.full_groups));
        }
        // Written so that a share that is no number fails.
        let is_within = share <= limit;
        (!is_within).then(|| format!("{level}: parity takes {share:.3} %, which is above {limit:.3} %"))
    }

    /// Looks through the files of a repository.
    ///
    /// # Errors
    /// A file cannot be read, a pack of a full group is not there, or a full group lacks a shard.
    pub(super) fn of(repository: &Path, level: Level) -> Result<Self, String> {
        let (mut packs, mut shards) = (HashMap::new(), Vec::new());
        let cannot = |path: &Path, error: io::Error| format!("cannot read {}: {error}", path.display());
        let folder = repository.join("packs");
        files::walk(&folder, &mut |path, bytes| {
            let extension = path.extension().unwrap_or_default();
            if extension == "pack" {
                packs.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), bytes);
            } else if extension == "par" {
                shards.push((path.to_owned(), bytes));
            }
        })
        .map_err(|error| cannot(&folder, error))?;
        let mut groups: BTreeMap<Vec<u8>, (Front, Vec<u64>)> = BTreeMap::new();
        for (path, bytes) in &shards {
            let front = Front::read(path).map_err(|error| cannot(path, error))?;
            groups.entry(front.group.clone()).or_insert((front, Vec::new())).1.push(*bytes);
        }
        let mut overhead = Self {
            level,
            full_groups: 0,
            packs: 0,
            pack_bytes: 0,
            shard_bytes: 0,
            all_pack_bytes: packs.values().sum(),
            all_shard_bytes: shards.iter().map(|(_, bytes)| bytes).sum(),
        };
        for (front, shards) in groups.into_values() {
            if front.packs.len() != usize::from(level.members) {
                continue;
            }
            if front.shards != level.shards || shards.len() != usize::from(level.shards) {
                return Err(format!("{}: a group has {} shards", level.name(), shards.len()));
            }
            overhead.full_groups += 1;
            overhead.packs += front.packs.len();
            overhead.shard_bytes += shards.iter().sum::<u64>();
            for pack in &front.packs {
                overhead.pack_bytes +=
                    packs.get(pack).ok_or_else(|| format!("{}: the pack {pack} is missing", level.name()))?;
            }
        }
        Ok(overhead)
    }
}

/// Ingests seeded noise into a new repository below `folder` and looks at what is there then.
///
/// # Errors
/// The engine failed, or what it left is not as it should be.
pub(super) fn measure(tool: &Tool, level: Level, folder: &Path) -> Result<Overhead, String> {
    let mut init = tool.command(folder, &["--quiet", "init", "--parity", &level.name()], "");
    feed(&mut init, 0)?;
    feed(&mut tool.ingest(folder, ""), level.noise_bytes())?;
    Overhead::of(&folder.join(REPOSITORY), level)
}

/// Runs a command with so many bytes of noise as its standard input.
fn feed(command: &mut Command, bytes: u64) -> Result<(), String> {
    let program = PathBuf::from(command.get_program());
    let cannot = |error: io::Error| format!("cannot run {}: {error}", program.display());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(cannot)?;
    // Closed at the end, which is the end of the stream.
    let written = child.stdin.take().map_or(Ok(()), |mut input| write_noise(&mut input, bytes));
    let status = child.wait().map_err(cannot)?;
    // A process that failed closed its input, and said why.
    if !status.success() {
        return Err(format!("{}: {status}", program.display()));
    }
    written.map_err(cannot)
}

/// Writes the first bytes of a stream that is always the same: BLAKE3's extendable output of a seed.
fn write_noise(to: &mut impl Write, bytes: u64) -> io::Result<()> {
    let mut noise = blake3::Hasher::new().update(b"parity overhead").finalize_xof();
    let (mut piece, mut left) = (vec![0; PIECE_BYTES], bytes);
    while left > 0 {
        let count = left.min(PIECE_BYTES as u64) as usize;
        noise.fill(&mut piece[..count]);
        to.write_all(&piece[..count])?;
        left -= count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::front::tests::front;
    use super::*;

    const LEVEL: Level = Level { members: 2, shards: 2 };

    /// A repository with packs of 1000 bytes and shards of these lengths.
    fn repository(shards: &[(u8, &[u8], usize)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let packs = folder.path().join("packs");
        for (at, (group, members, bytes)) in shards.iter().enumerate() {
            let mut shard = front(*group, 2, members);
            shard.resize(*bytes, 0);
            std::fs::create_dir_all(packs.join("parity")).unwrap();
            std::fs::write(packs.join("parity").join(format!("{at}.par")), shard).unwrap();
            for pack in *members {
                let name = format!("{pack:02x}");
                std::fs::create_dir_all(packs.join("data").join(&name)).unwrap();
                let path = packs.join("data").join(&name).join(name.repeat(32));
                std::fs::write(path.with_extension("pack"), [0; 1000]).unwrap();
                std::fs::write(path.with_extension("idx"), [0; 77]).unwrap();
            }
        }
        folder
    }

    #[test]
    fn full_groups_are_counted_apart_from_all() {
        let folder = repository(&[(1, &[1, 2], 1001), (1, &[1, 2], 1002), (2, &[3], 900), (2, &[3], 900)]);
        let overhead = Overhead::of(folder.path(), LEVEL).unwrap();
        let expected = Overhead {
            level: LEVEL,
            full_groups: 1,
            packs: 2,
            pack_bytes: 2000,
            shard_bytes: 2003,
            all_pack_bytes: 3000,
            all_shard_bytes: 3803,
        };
        assert_eq!(overhead, expected);
        assert!(overhead.failure().unwrap().contains("only 1 groups are full"));
    }

    #[test]
    fn a_full_group_without_all_its_files_is_an_error() {
        assert!(Overhead::of(repository(&[(1, &[1, 2], 1000)]).path(), LEVEL).is_err());
        let folder = repository(&[(1, &[1, 2], 1000), (1, &[1, 2], 1000)]);
        std::fs::remove_file(
            folder.path().join("packs/data/02").join("02".repeat(32)).with_extension("pack"),
        )
        .unwrap();
        assert!(Overhead::of(folder.path(), LEVEL).unwrap_err().contains("is missing"));
    }

    #[test]
    fn more_than_the_limit_fails() {
        let overhead = |shard_bytes| Overhead {
            level: Level { members: 40, shards: 2 },
            full_groups: 10,
            packs: 400,
            pack_bytes: 100_000,
            shard_bytes,
            all_pack_bytes: 100_000,
            all_shard_bytes: shard_bytes,
        };
        assert_eq!(overhead(5499).failure(), None);
        assert!(overhead(5501).failure().unwrap().contains("5.501 %, which is above 5.500 %"));
    }

    #[test]
    fn noise_is_the_same_each_time_and_as_long_as_asked() {
        let noise = |bytes| {
            let mut noise = Vec::new();
            write_noise(&mut noise, bytes).unwrap();
            noise
        };
        let long = noise(PIECE_BYTES as u64 + 5);
        assert_eq!(long.len(), PIECE_BYTES + 5);
        assert_eq!(noise(1000), long[..1000]);
        assert_eq!(noise(0), b"");
    }
}
