//! `prune`, as operators run it.

use std::time::Duration;

use super::strikes::{Dice, Moment, is_long, strike_any};
use super::support::Lab;

/// Small packs and chunks, so that a short input is many of them.
const SHAPE: [&str; 4] = ["--pack-size", "64KiB", "--chunk-size", "1KiB,4KiB,16KiB"];

fn lab(is_encrypted: bool) -> Lab {
    let mut lab = Lab::empty();
    let mut init = [&["init"], &SHAPE[..]].concat();
    if !is_encrypted {
        lab.unset("CONTAINERARCHIVE_PASSPHRASE");
        init.push("--no-encryption");
    }
    lab.run(init).succeeded();
    lab
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    Dice::of(seed).noise(len)
}

fn ingest(lab: &Lab, seed: u64, len: usize) {
    lab.pipe(&noise(seed, len), ["ingest", "--name", "a", "-"]).succeeded();
}

fn pack_bytes(lab: &Lab) -> u64 {
    let folders = lab.objects("packs/data").into_iter();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn rules_remove_snapshots_and_free_their_space_as_the_dry_run_told() {
    for is_encrypted in [false, true] {
        let lab = lab(is_encrypted);
        (0..4).for_each(|seed| ingest(&lab, seed, 200_000));
        let all = lab.ids();
        let before = pack_bytes(&lab);
        let rules = ["prune", "--keep-last", "2"];
        let dry = lab.run([&rules[..], &["--dry-run"]].concat()).succeeded();
        assert!(
            dry.text().contains("no rule keeps it") && dry.text().contains("last 1 of 2"),
            "{}",
            dry.text()
        );
        assert!(dry.text().contains("delete  pack ") && dry.text().ends_with("nothing was changed\n"));
        let planned = lab.run([&rules[..], &["--dry-run", "--json"]].concat()).succeeded().json();
        assert_eq!((lab.ids(), pack_bytes(&lab)), (all.clone(), before));
        let done = lab.run([&rules[..], &["--json"]].concat()).succeeded().json();
        assert_eq!(done["schema"], "containerarchive/prune/1");
        assert_eq!((&planned["dryRun"], &done["dryRun"]), (&true.into(), &false.into()));
        for field in ["removedSnapshots", "removedPacks", "rewrittenPacks", "freedBytes", "packs", "pending"]
        {
            assert_eq!(planned[field], done[field], "{field}");
        }
        assert_eq!(done["removedSnapshots"], 2);
        assert!(done["freedBytes"].as_u64().unwrap() > 400_000);
        assert_eq!(lab.ids(), all[2..]);
        assert!(pack_bytes(&lab) < before - 390_000);
        assert!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout == noise(3, 200_000));
        lab.run(["verify", "--level", "full"]).succeeded();
        let again = lab.run(rules).succeeded();
        assert!(again.text().ends_with("0 packs deleted: 0 B freed\n"), "{}", again.text());
    }
}

#[test]
fn without_rules_no_snapshot_goes() {
    let lab = lab(true);
    (0..3).for_each(|seed| ingest(&lab, seed, 30_000));
    let all = lab.ids();
    lab.run(["forget", "latest"]).succeeded();
    let done = lab.run(["prune"]).succeeded();
    assert!(done.text().contains("deleted") && !done.text().contains("keep"), "{}", done.text());
    assert_eq!(lab.ids(), all[..2]);
}

#[test]
fn a_session_that_does_not_end_is_named_and_the_next_run_goes_on() {
    let lab = lab(true);
    ingest(&lab, 0, 100_000);
    let mut writer = lab.spawn(["ingest", "--name", "b", "-"]);
    while lab.objects("locks").is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    lab.run(["forget", "latest"]).succeeded();
    let pending = lab.run(["prune", "--drain", "1s"]).succeeded();
    let text = pending.text();
    assert!(text.contains("pending on 1 session") && text.contains("'ingest' by "), "{text}");
    assert!(text.contains("the next prune goes on"), "{text}");
    let document = lab.run(["prune", "--drain", "1s", "--json"]).succeeded().json();
    assert!(document["pending"]["bytes"].as_u64().unwrap() > 100_000, "{document}");
    assert_eq!((&document["freedBytes"], &document["removedPacks"]), (&0.into(), &0.into()));
    // One that waits ends when the writer does.
    let waiting = lab.spawn(["prune", "--wait", "--json"]);
    std::thread::sleep(Duration::from_millis(300));
    drop(writer.stdin.take());
    assert!(writer.wait_with_output().unwrap().status.success());
    let done: serde_json::Value =
        serde_json::from_slice(&waiting.wait_with_output().unwrap().stdout).unwrap();
    assert!(done["pending"].is_null() && done["freedBytes"].as_u64().unwrap() > 100_000, "{done}");
    lab.run(["verify", "--level", "full"]).succeeded();
}

#[test]
fn damage_and_wrong_usage_are_refused_with_what_to_do() {
    let lab = lab(true);
    (0..2).for_each(|seed| ingest(&lab, seed, 30_000));
    lab.run(["prune", "--max-unused", "0%"]).failed(2, "--max-unused");
    lab.run(["prune", "--keep-last", "0"]).failed(2, "--keep-last");
    lab.run(["prune", "--drain", "0s"]).failed(2, "--drain");
    let oldest = lab.ids()[0].clone();
    for folder in ["snapshots", "replicas/snapshots"] {
        std::fs::remove_file(lab.repository().join(folder).join(format!("{oldest}.json"))).unwrap();
    }
    let before = pack_bytes(&lab);
    let refused = lab.run(["prune", "--keep-last", "1"]).failed(14, "nothing was deleted");
    assert!(refused.stderr.contains(&oldest) && refused.stderr.contains("repair"), "{}", refused.stderr);
    assert_eq!(pack_bytes(&lab), before);
    // What cannot be had back is accepted by its name.
    lab.run(["forget", &oldest]).succeeded();
    lab.run(["prune"]).succeeded();
    assert!(pack_bytes(&lab) < before);
}

#[test]
fn a_prune_or_repair_that_is_killed_costs_nothing_and_the_next_one_goes_on() {
    let mut dice = Dice::thrown("killed prunes");
    let kills = if is_long() { 300 } else { 24 };
    let lab = lab(dice.one_in(2));
    let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
    let mut full = Duration::from_millis(300);
    let mut done = 0;
    for kill in 0..kills {
        for _ in 0..2 {
            // Pieces of what is there, so that packs are needed in part.
            let len = 20_000 + dice.below(60_000);
            let mut content = dice.noise(len);
            if let Some((_, other)) = kept.last() {
                content.extend(&other[..other.len() / 2]);
            }
            let document = lab.pipe(&content, ["ingest", "--name", "a", "-", "--json"]).succeeded().json();
            kept.push((document["snapshot"]["id"].as_str().unwrap().to_owned(), content));
        }
        let verb: &[&str] =
            if kill % 4 == 3 { &["repair"] } else { &["prune", "--keep-last", "3", "--json"] };
        let moment = match dice.below(3) {
            0 => Moment::Behind("records/retire", dice.duration(full / 2)),
            _ => Moment::After(dice.duration(full)),
        };
        let begun = std::time::Instant::now();
        // What a killed prune left half done, as a group without all its shards, a repair calls damage, and mends.
        let struck = strike_any(&lab, lab.command(verb), None, moment, &[0, 13]);
        if struck.is_done && verb[0] == "prune" {
            full = begun.elapsed();
        }
        done += usize::from(struck.is_done);
        let listed = lab.ids();
        for (id, content) in kept.iter().rev().take(3) {
            assert!(listed.contains(id), "{moment:?}: snapshot {id} is gone");
            assert!(lab.run(["restore", id, "--to", "-"]).succeeded().stdout == *content, "{moment:?}");
        }
    }
    lab.run(["prune", "--keep-last", "3"]).succeeded();
    lab.run(["prune", "--keep-last", "3"]).succeeded();
    let listed = lab.ids();
    let expected: Vec<&String> = kept.iter().rev().take(3).rev().map(|(id, _)| id).collect();
    assert_eq!(listed.iter().collect::<Vec<_>>(), expected);
    lab.run(["verify", "--level", "full"]).succeeded();
    assert!(lab.objects("records/retire").is_empty());
    println!("{done} of {kills} were done before they were killed; a prune takes {full:?}");
}
