//! The front of a parity shard, as `docs/FORMAT.md` section 17 has it. Read here by hand, so that the overhead is not
//! counted by the code that makes it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const GROUP_OFFSET: usize = 64;
const GROUP_LEN: usize = 32;
const SHARDS_OFFSET: usize = 97;
const MEMBERS_OFFSET: usize = 98;
const HEAD_LEN: usize = 112;
const MEMBER_LEN: usize = 48;
const PACK_ID_LEN: usize = 32;

/// What a shard says of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) group: Vec<u8>,
    /// Shards that the group has.
    pub(super) shards: u8,
    /// Names of the packs that it protects, in hexadecimal digits.
    pub(super) packs: Vec<String>,
}

impl Front {
    /// Reads the front of a shard.
    ///
    /// # Errors
    /// It cannot be read, or is too short.
    pub(super) fn read(shard: &Path) -> io::Result<Self> {
        let mut file = File::open(shard)?;
        let mut head = [0; HEAD_LEN];
        file.read_exact(&mut head)?;
        let count = u16::from_le_bytes([head[MEMBERS_OFFSET], head[MEMBERS_OFFSET + 1]]);
        let mut members = vec![0; usize::from(count) * MEMBER_LEN];
        file.read_exact(&mut members)?;
        let name = |member: &[u8]| member[..PACK_ID_LEN].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            group: head[GROUP_OFFSET..][..GROUP_LEN].to_vec(),
            shards: head[SHARDS_OFFSET],
            packs: members.chunks_exact(MEMBER_LEN).map(name).collect(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The front of a shard of a group that has so many shards, and whose packs' ids repeat one byte each.
    pub(in crate::bench::parity) fn front(group: u8, shards: u8, packs: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_LEN];
        bytes[GROUP_OFFSET..][..GROUP_LEN].fill(group);
        bytes[SHARDS_OFFSET] = shards;
        bytes[MEMBERS_OFFSET] = packs.len() as u8;
        for pack in packs {
            bytes.extend([*pack; PACK_ID_LEN]);
            bytes.extend([0; MEMBER_LEN - PACK_ID_LEN]);
        }
        bytes
    }

    #[test]
    fn a_front_names_its_group_and_its_packs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        std::fs::write(&path, front(9, 2, &[0xa1, 0x02])).unwrap();
        let expected = Front { group: vec![9; 32], shards: 2, packs: vec!["a1".repeat(32), "02".repeat(32)] };
        assert_eq!(Front::read(&path).unwrap(), expected);
        std::fs::write(&path, &front(9, 2, &[1])[..150]).unwrap();
        assert!(Front::read(&path).is_err());
    }

    #[test]
    fn the_front_of_a_released_repository_names_packs_that_are_there() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden/v1/plain/packs");
        let mut count = 0;
        for entry in std::fs::read_dir(golden.join("parity")).unwrap() {
            let front = Front::read(&entry.unwrap().path()).unwrap();
            assert!(!front.packs.is_empty() && front.shards > 0);
            for pack in &front.packs {
                assert!(
                    golden.join("data").join(&pack[..2]).join(format!("{pack}.pack")).is_file(),
                    "{pack}"
                );
                count += 1;
            }
        }
        assert!(count > 0);
    }
}
