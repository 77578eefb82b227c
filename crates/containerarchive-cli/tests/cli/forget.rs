//! `forget`, `pin` and `unpin`.

use std::time::Duration;

use serde_json::json;

use super::support::{Lab, noise};

fn with_snapshots(lab: Lab, contents: &[&str]) -> (Lab, Vec<String>) {
    for content in contents {
        lab.pipe(content.as_bytes(), ["ingest", "--name", "a", "-", "--tag", &format!("n={content}")])
            .succeeded();
    }
    let ids = lab.ids();
    (lab, ids)
}

#[test]
fn named_snapshots_go_and_the_others_restore() {
    for lab in [Lab::plain(), Lab::encrypted()] {
        let (lab, all) = with_snapshots(lab, &["0", "1", "2", "3"]);
        let dry = lab.run(["forget", "--dry-run", "latest~1", &all[0][..12]]).succeeded();
        assert!(dry.text().contains("2 snapshots would be forgotten; nothing was changed"), "{}", dry.text());
        assert_eq!(lab.ids(), all);
        // All are found before the first one goes: `latest~1` is what it was for whoever typed it.
        let done = lab.run(["forget", "latest~1", &all[0][..12], "latest~1"]).succeeded();
        assert!(done.text().contains("2 snapshots forgotten"), "{}", done.text());
        assert_eq!(lab.ids(), [all[1].clone(), all[3].clone()]);
        assert_eq!(lab.run(["restore", &all[1], "--to", "-"]).succeeded().stdout, b"1");
        lab.run(["show", &all[0]]).failed(1, "no id begins so");
        lab.run(["verify", "--level", "full"]).succeeded();
        let document = lab.run(["forget", "latest", "--tag", "n=1", "--json"]).succeeded().json();
        assert_eq!(document["schema"], "containerarchive/forget/1");
        assert_eq!(document["forgotten"], json!([all[1]]));
        assert_eq!((&document["inUse"], &document["dryRun"]), (&json!([]), &json!(false)));
        assert_eq!(lab.ids(), [all[3].clone()]);
    }
}

#[test]
fn what_is_not_there_or_not_one_is_refused_as_by_other_verbs_and_nothing_goes() {
    let (lab, all) = with_snapshots(Lab::plain(), &["0", "1"]);
    lab.run(["forget", "latest", "latest~7"]).failed(1, "only 2 match");
    lab.run(["forget", &all[0], &"0".repeat(32)]).failed(1, "no id begins so");
    lab.run(["forget", "latest", "--series", "b"]).failed(1, "is of the series 'b'");
    lab.run(["forget", "yesterday"]).failed(2, "the beginning of an id");
    lab.run(["forget"]).failed(2, "SNAPSHOT");
    assert_eq!(lab.ids(), all);
    // As many snapshots as it takes for two to begin with the same digit.
    let (lab, all) = with_snapshots(lab, &["x"; 17]);
    let digit = |id: &String| id[..1].to_owned();
    let twice =
        all.iter().find(|id| all.iter().filter(|other| digit(other) == digit(id)).count() > 1).unwrap();
    lab.run(["forget", &digit(twice)]).failed(1, "the beginning of several snapshot ids");
    assert_eq!(lab.ids(), all);
}

#[test]
fn a_pinned_snapshot_is_refused_until_it_is_unpinned() {
    let (lab, all) = with_snapshots(Lab::encrypted(), &["0", "1"]);
    assert_eq!(lab.run(["pin", "latest~1"]).succeeded().text(), format!("snapshot {} pinned\n", all[0]));
    let again = lab.run(["pin", &all[0][..10]]).succeeded();
    assert!(again.text().contains("was pinned already"), "{}", again.text());
    for arguments in [vec!["forget", &all[0], "latest"], vec!["forget", "--dry-run", &all[0]]] {
        let refused = lab.run(&arguments).failed(1, "pinned");
        assert!(refused.stderr.contains(&all[0]) && refused.stderr.contains("unpin"), "{}", refused.stderr);
    }
    let error = lab.run(["forget", &all[0], "--json"]).json_error();
    assert_eq!(error["error"]["code"], "E_PINNED");
    let pinned: Vec<bool> = lab.snapshots().iter().map(|it| it["pinned"].as_bool().unwrap()).collect();
    assert_eq!(pinned, [true, false]);
    let listed = lab.run(["snapshots"]).succeeded();
    assert_eq!(listed.text().matches("pinned").count(), 1, "{}", listed.text());
    assert!(lab.run(["show", &all[0]]).succeeded().text().contains("(pinned)"));
    lab.run(["verify"]).succeeded();
    let document = lab.run(["unpin", &all[0], "latest", "--json"]).succeeded().json();
    let expected = json!([
        {"id": all[0], "pinned": false, "changed": true},
        {"id": all[1], "pinned": false, "changed": false},
    ]);
    assert_eq!((&document["schema"], &document["snapshots"]), (&json!("containerarchive/pin/1"), &expected));
    lab.run(["forget", &all[0]]).succeeded();
    assert_eq!(lab.ids(), all[1..]);
}

#[test]
fn a_write_key_forgets_and_pins_nothing() {
    let (mut lab, all) = with_snapshots(Lab::encrypted(), &["0"]);
    lab.run(["key", "add", "--capability", "write", "--new-key-file", "w.key"]).succeeded();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    for verb in ["forget", "pin", "unpin"] {
        lab.run([verb, &all[0], "--key-file", "w.key"]).failed(12, "admin");
    }
}

#[test]
fn a_lost_snapshot_is_told_until_its_loss_is_accepted_by_its_whole_id() {
    let (lab, all) = with_snapshots(Lab::encrypted(), &["0", "1"]);
    for folder in ["snapshots", "replicas/snapshots"] {
        std::fs::remove_file(lab.repository().join(folder).join(format!("{}.json", all[0]))).unwrap();
    }
    lab.run(["snapshots"]).failed(14, "missing");
    lab.run(["forget", &all[0][..12]]).failed(14, "by its whole id");
    lab.run(["forget", &all[0]]).succeeded();
    assert_eq!(lab.ids(), all[1..]);
    lab.run(["verify"]).succeeded();
    // A client that saw it is told, too.
    lab.run(["status"]).succeeded();
}

#[test]
fn a_snapshot_that_is_being_restored_stays_for_now() {
    let lab = Lab::plain();
    let big = noise(8 << 20);
    lab.file("big", &big);
    lab.run(["ingest", "big"]).succeeded();
    lab.pipe(b"small", ["ingest", "-"]).succeeded();
    let all = lab.ids();
    let mut reader = lab.spawn(["restore", &all[0], "--to", "-"]);
    // Nobody reads its output, so it waits in the middle.
    let begun = std::time::Instant::now();
    while lab.objects("locks").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the restore registers");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = lab.run(["forget", &all[0], &all[1]]).failed(11, "being read");
    assert!(ended.text().contains("'restore' by"), "{}", ended.text());
    assert_eq!(lab.ids(), all[..1]);
    drop(reader.stdin.take());
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout == big, "the restore is not disturbed");
    lab.run(["forget", &all[0]]).succeeded();
    assert!(lab.ids().is_empty());
}
