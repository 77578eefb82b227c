//! Repairs of real repositories: what is lost is told and exits 14; SIGKILL at random moments changes nothing of where a
//! repair ends. With CONTAINERARCHIVE_TEST_LONG 200 kills.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::strikes::{Dice, is_long};
use super::support::{Lab, copy};

/// Exit codes of a repair that mended everything, and of one that could not.
const MENDED: i32 = 13;
const LOST: i32 = 14;

/// A repository with groups of 4 packs and 2 shards, and its content.
fn lab(is_encrypted: bool, content: &[u8]) -> Lab {
    let mut lab = Lab::empty();
    let mut init =
        vec!["init", "--parity", "4+2", "--pack-size", "128KiB", "--chunk-size", "1KiB,4KiB,16KiB"];
    if !is_encrypted {
        lab.unset("CONTAINERARCHIVE_PASSPHRASE");
        init.push("--no-encryption");
    }
    lab.run(init).succeeded();
    let file = lab.file("content", content);
    lab.run(["ingest", "--item", &format!("content={file}")]).succeeded();
    lab
}

fn files_below(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
}

/// All files but those that bear the random names of sessions and segments.
fn lasting(lab: &Lab) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in ["packs", "keys", "snapshots", "replicas", "quarantine", "records"] {
        files_below(&lab.repository().join(folder), &mut found);
    }
    found.retain(|path, _| path.extension().is_none_or(|extension| extension != "void"));
    found
}

fn packs(lab: &Lab) -> Vec<PathBuf> {
    let is_pack = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pack");
    lasting(lab).into_keys().filter(is_pack).collect()
}

#[test]
fn a_repair_that_cannot_mend_all_names_snapshot_item_and_bytes_and_exits_14() {
    let content = Dice::thrown("lost packs").noise(400_000);
    for is_encrypted in [false, true] {
        let lab = lab(is_encrypted, &content);
        let snapshot = lab.snapshots()[0]["id"].as_str().unwrap().to_owned();
        packs(&lab).iter().for_each(|pack| std::fs::remove_file(pack).unwrap());
        let ended = lab.run(["repair", "--json"]);
        assert_eq!(ended.code, LOST, "{}", ended.stderr);
        let document = ended.json();
        assert_eq!(document["ok"], false);
        let lost = document["lost"].as_array().unwrap();
        assert!(lost.iter().all(|lost| lost["snapshot"] == snapshot && lost["item"] == "content"));
        assert!(
            lost.iter().all(|lost| lost["error"].is_string() && lost["text"].is_null()),
            "as verify has it"
        );
        assert_eq!((&lost[0]["from"], &lost[lost.len() - 1]["to"]), (&0.into(), &content.len().into()));
        lab.run(["repair"]).failed(LOST, "cannot be restored");
        lab.run(["repair", "--no-key"]).failed(LOST, "could not be mended");
    }
}

/// Damages as much as parity and replicas can mend.
fn damage(lab: &Lab) {
    // The large ones are the data packs, which are in one group.
    let mut packs: Vec<_> =
        packs(lab).into_iter().map(|pack| (std::fs::read(&pack).unwrap(), pack)).collect();
    packs.retain(|(bytes, _)| bytes.len() > 100_000);
    for (number, (mut bytes, pack)) in packs.into_iter().enumerate().take(3) {
        match number {
            0 => bytes[100] ^= 1,
            1 => bytes[40_000..41_000].fill(0),
            _ => bytes[33_000..34_000].fill(0),
        }
        std::fs::write(pack, bytes).unwrap();
    }
    for manifest in lab.objects("snapshots") {
        std::fs::remove_file(manifest).unwrap();
    }
    for segment in lab.objects("index") {
        let mut bytes = std::fs::read(&segment).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(segment, bytes).unwrap();
    }
}

/// Kills a repair after some time, or some time after it set something aside. Returns whether it had not ended.
fn kill(lab: &Lab, dice: &mut Dice, full: Duration) -> bool {
    let begun = Instant::now();
    let mut child = lab.command(["repair"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    if dice.one_in(2) {
        while lab.objects("quarantine").is_empty() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(dice.duration(Duration::from_millis(20)));
    } else {
        std::thread::sleep(dice.duration(full).saturating_sub(begun.elapsed()));
    }
    // Fails if it has ended.
    let _ = child.kill();
    child.wait().unwrap().code().is_none()
}

#[test]
fn a_repair_that_is_killed_and_run_again_ends_as_one_that_was_not() {
    let mut dice = Dice::thrown("killed repairs");
    let (mut hit, mut unfinished) = (0, 0);
    for is_encrypted in [false, true] {
        let content = dice.noise(400_000);
        let lab = lab(is_encrypted, &content);
        let expected = lasting(&lab);
        damage(&lab);
        let damaged = lab.path("damaged");
        copy(&lab.repository(), &damaged);
        let begun = Instant::now();
        assert_eq!(lab.run(["repair"]).code, MENDED);
        let full = begun.elapsed();
        assert!(lasting(&lab) == expected);
        for number in 0..if is_long() { 100 } else { 6 } {
            std::fs::remove_dir_all(lab.repository()).unwrap();
            copy(&damaged, &lab.repository());
            hit += usize::from(kill(&lab, &mut dice, full));
            let what = format!("encrypted: {is_encrypted}, kill {number}");
            let restored = lab.run(["restore", "latest", "--item", "content", "--to", "-"]).succeeded();
            assert!(restored.stdout == content, "{what}");
            let code = lab.run(["repair"]).code;
            assert!(code == MENDED || code == 0, "{what}: {code}");
            unfinished += usize::from(code == MENDED);
            assert!(lasting(&lab) == expected, "{what}");
            lab.run(["repair"]).succeeded();
        }
    }
    println!("{hit} kills hit, {unfinished} of them before everything was mended");
    assert!(unfinished > 0);
}
