//! Disks without a free byte: what only reads works, and what makes room does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::strikes::{Dice, Moment, is_long, strike_any};
use super::support::Lab;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    Dice::of(seed).noise(len)
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// A file system of its own, if this machine lets the test mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mounted(at: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={bytes}");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "containerarchive-test"])
            .arg(at)
            .output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    /// Somebody else takes all that is left.
    fn fill(&self) {
        let mut rest = std::fs::File::options().append(true).create(true).open(self.0.join("rest")).unwrap();
        for len in [1 << 20, 4096, 1] {
            while rest.write_all(&vec![1; len]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn on_a_full_disk_nothing_is_lost_and_prune_makes_room() {
    let mut lab = Lab::empty();
    let Some(disk) = SmallDisk::mounted(&lab.path("disk"), 16 << 20) else {
        println!("SKIPPED: this machine does not allow mounting a tmpfs");
        return;
    };
    lab.set("CONTAINERARCHIVE_REPO", disk.0.join("repository").display().to_string());
    // Packs that a published segment names stay for the next ingest: here there are too few for one.
    let shape = ["init", "--pack-size", "512KiB", "--chunk-size", "4KiB,16KiB,64KiB"];
    lab.run(shape).succeeded();
    let kept = noise(1, 1_000_000);
    lab.pipe(&kept, ["ingest", "--name", "kept", "-"]).succeeded();
    lab.pipe(&noise(2, 4_000_000), ["ingest", "--name", "big", "-"]).succeeded();
    let before = files(&disk.0.join("repository"));
    let failed =
        lab.pipe(&noise(3, 9_000_000), ["ingest", "--name", "too-big", "-"]).failed(15, "No space left");
    assert!(failed.stderr.contains("no snapshot"), "{}", failed.stderr);
    assert!(
        files(&disk.0.join("repository")) <= before,
        "{} files instead of {before}",
        files(&disk.0.join("repository"))
    );
    // Somebody else takes what is left but for little.
    let mut rest = vec![0; 16 << 20];
    while std::fs::write(disk.0.join("rest"), &rest).is_err() {
        let left = rest.len().saturating_sub(64 << 10);
        rest.truncate(left);
    }
    let left = rest.len().saturating_sub(128 << 10);
    rest.truncate(left);
    std::fs::write(disk.0.join("rest"), &rest).unwrap();
    assert!(lab.run(["restore", "latest", "--item", "kept", "--to", "-"]).succeeded().stdout == kept);
    let done = lab.run(["prune", "--keep-last", "1", "--group-by", "none", "--json"]);
    let done = done.succeeded().json();
    assert_eq!(done["removedSnapshots"], 1, "{done}");
    std::fs::remove_file(disk.0.join("rest")).unwrap();
    assert!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout == noise(2, 4_000_000));
    lab.run(["verify", "--level", "full"]).succeeded();
}

/// A snapshot of 1 MB, an older one of 6 MB, another one of 1 MB before that, and nothing free besides the reserve.
fn full_lab(is_encrypted: bool) -> Option<(Lab, SmallDisk)> {
    let mut lab = Lab::empty();
    let disk = SmallDisk::mounted(&lab.path("disk"), 24 << 20);
    let Some(disk) = disk else {
        println!("SKIPPED: this machine does not allow mounting a tmpfs");
        return None;
    };
    lab.set("CONTAINERARCHIVE_REPO", disk.0.join("repository").display().to_string());
    let mut init = vec!["init", "--pack-size", "512KiB", "--chunk-size", "4KiB,16KiB,64KiB"];
    if !is_encrypted {
        lab.unset("CONTAINERARCHIVE_PASSPHRASE");
        init.push("--no-encryption");
    }
    lab.run(init).succeeded();
    for (seed, len) in [(1, 1_000_000), (2, 6_000_000), (3, 1_000_000)] {
        lab.pipe(&noise(seed, len), ["ingest", "--name", "a", "-"]).succeeded();
    }
    disk.fill();
    Some((lab, disk))
}

fn reserve_bytes(disk: &SmallDisk) -> u64 {
    std::fs::metadata(disk.0.join("repository/reserve")).map_or(0, |metadata| metadata.len())
}

#[test]
fn without_a_free_byte_reading_works_and_forget_and_prune_make_room() {
    for is_encrypted in [false, true] {
        let Some((lab, disk)) = full_lab(is_encrypted) else { return };
        assert_eq!(reserve_bytes(&disk), 4 << 20);
        let before = files(&disk.0);
        let failed = lab.pipe(&noise(4, 300_000), ["ingest", "--name", "a", "-"]).failed(15, "No space left");
        assert!(failed.stderr.contains("prune"), "{}", failed.stderr);
        assert_eq!(files(&disk.0), before);
        let latest = || lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout == noise(3, 1_000_000);
        assert!(latest());
        lab.run(["snapshots"]).succeeded();
        lab.run(["verify", "--level", "full"]).succeeded();
        lab.run(["verify", "--sample", "50%"]).succeeded();
        assert_eq!(lab.run(["stats", "--json"]).succeeded().json()["snapshots"], 3);
        assert_eq!(reserve_bytes(&disk), 4 << 20, "nobody else spends it");
        disk.fill();
        let oldest = lab.ids()[0].clone();
        lab.run(["forget", &oldest]).succeeded();
        assert!(!lab.ids().contains(&oldest));
        assert!(reserve_bytes(&disk) > 0, "there is room to make it again, if not as long");
        disk.fill();
        let done = lab.run(["prune", "--keep-last", "1", "--json"]).succeeded().json();
        assert_eq!(done["removedSnapshots"], 1, "{done}");
        assert!(done["freedBytes"].as_u64().unwrap() > 6_000_000, "{done}");
        assert_eq!(reserve_bytes(&disk), 4 << 20);
        assert!(latest());
        lab.run(["verify", "--level", "full"]).succeeded();
        lab.pipe(&noise(4, 300_000), ["ingest", "--name", "a", "-"]).succeeded();
        // Without anything to delete the reserve is neither lost nor of help.
        disk.fill();
        lab.run(["prune"]).succeeded();
        assert_eq!(reserve_bytes(&disk), 4 << 20);
        lab.pipe(&noise(5, 300_000), ["ingest", "--name", "a", "-"]).failed(15, "No space left");
    }
}

#[test]
fn a_repository_that_has_no_reserve_gets_one_from_the_next_prune() {
    let Some((lab, disk)) = full_lab(true) else { return };
    std::fs::remove_file(disk.0.join("repository/reserve")).unwrap();
    disk.fill();
    lab.run(["prune", "--keep-last", "1"]).failed(15, "No space left");
    assert_eq!(lab.ids().len(), 3);
    std::fs::remove_file(disk.0.join("rest")).unwrap();
    lab.run(["verify"]).succeeded();
    lab.run(["prune"]).succeeded();
    assert_eq!(reserve_bytes(&disk), 4 << 20);
}

#[test]
fn a_prune_that_is_killed_on_a_full_disk_leaves_room_for_the_next_one() {
    let mut dice = Dice::thrown("killed prunes on full disks");
    let mut full = Duration::from_millis(200);
    for _ in 0..if is_long() { 60 } else { 6 } {
        let Some((lab, disk)) = full_lab(dice.one_in(2)) else { return };
        let moment = match dice.below(3) {
            0 => Moment::Behind("records/retire", dice.duration(full / 2)),
            _ => Moment::After(dice.duration(full)),
        };
        let begun = std::time::Instant::now();
        let struck = strike_any(&lab, lab.command(["prune", "--keep-last", "1"]), None, moment, &[0]);
        if struck.is_done {
            full = begun.elapsed();
        }
        lab.run(["prune", "--keep-last", "1"]).succeeded();
        assert_eq!(lab.ids().len(), 1, "{moment:?}");
        assert_eq!(reserve_bytes(&disk), 4 << 20, "{moment:?}");
        let latest = lab.run(["restore", "latest", "--to", "-"]).succeeded();
        assert!(latest.stdout == noise(3, 1_000_000), "{moment:?}");
        lab.run(["verify", "--level", "full"]).succeeded();
    }
}
