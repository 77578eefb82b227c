//! `status`: what monitoring goes by.

use serde_json::{Value, json};

use super::pty::{OnTerminal, Pipes, columns};
use super::support::Lab;

#[test]
fn no_snapshot_is_as_bad_as_an_old_one() {
    let lab = Lab::encrypted();
    let ended = lab.run(["status", "--json"]).failed(1, "E_STALE");
    assert_eq!((&ended.json()["ok"], &ended.json()["series"]), (&json!(false), &json!([])));
    lab.run(["status"]).failed(1, "there are no snapshots");
    lab.pipe(b"x", ["ingest", "--series", "daily", "-"]).succeeded();
    lab.run(["status", "--series", "weekly"]).failed(1, "no snapshot of this series");
    lab.run(["status", "--series", "daily", "--max-age", "26h"]).succeeded();
}

#[test]
fn a_stale_series_is_named_with_its_age_and_the_document_is_whole() {
    let lab = Lab::encrypted();
    lab.pipe(b"x", ["ingest", "--series", "daily", "--tag", "host=a", "-"]).succeeded();
    lab.pipe(b"y", ["ingest", "--series", "weekly", "--time", "2026-01-01", "-"]).succeeded();
    // Without an age, none is too old.
    let text = lab.run(["status"]).succeeded();
    assert!(text.text().contains("daily") && text.text().contains("weekly"), "{}", text.text());
    let ended =
        lab.run(["status", "--max-age", "26h"]).failed(1, "1 of 2 series is older than 26 h: 'weekly' is");
    assert!(ended.text().contains("STALE"), "{}", ended.text());
    let ended = lab.run(["status", "--max-age", "26h", "--json"]).failed(1, "E_STALE");
    let document = ended.json();
    assert_eq!(document["schema"], "containerarchive/status/1");
    assert_eq!((&document["ok"], &document["maxAgeMs"]), (&json!(false), &json!(93_600_000)));
    let states: Vec<&Value> =
        document["series"].as_array().unwrap().iter().map(|series| &series["state"]).collect();
    assert_eq!(states, ["fresh", "stale"]);
    let newest = &document["series"][1]["newest"];
    assert_eq!(newest["createdAt"], "2026-01-01T00:00:00.000Z");
    assert!(document["series"][1]["ageMs"].as_u64().unwrap() > 93_600_000);
    // Filters leave what they name.
    lab.run(["status", "--max-age", "26h", "--series", "daily"]).succeeded();
    lab.run(["status", "--max-age", "26h", "--tag", "host=a"]).succeeded();
    // What is not known yet is not made up.
    assert_eq!((&document["parityMargin"], &document["verifiedAt"]), (&json!(2), &Value::Null));
    lab.run(["verify"]).succeeded();
    let verified = lab.run(["status", "--json"]).succeeded().json()["verifiedAt"].clone();
    assert!(verified.is_string(), "{verified}");
}

/// It did read everything, and is not to be taken for one that found nothing.
#[test]
fn a_verification_that_found_damage_is_told_with_its_errors_until_a_later_one_finds_none() {
    let lab = Lab::encrypted();
    lab.run(["parity", "set", "20+1"]).succeeded();
    lab.pipe(&[7; 100_000], ["ingest", "-"]).succeeded();
    let status = || lab.run(["status", "--json"]).succeeded().json()["verifiedErrors"].clone();
    assert_eq!(status(), Value::Null);
    let is_pack = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "pack");
    let files = |folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pack = lab.objects("packs/data").into_iter().flat_map(files).find(is_pack).unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    lab.run(["verify"]).failed(13, "1 error");
    assert_eq!(status(), json!(1));
    let text = lab.run(["status"]).succeeded();
    assert!(text.text().contains("1 error found then"), "{}", text.text());
    assert!(text.text().contains("1 more pack of the worst group may be lost"), "{}", text.text());
    lab.run(["repair"]).failed(13, "1 damaged object mended");
    lab.run(["verify"]).succeeded();
    assert_eq!(status(), json!(0));
    assert!(!lab.run(["status"]).succeeded().text().contains("found then"));
}

#[test]
fn a_missing_manifest_is_damage_whatever_the_ages() {
    let lab = Lab::encrypted();
    for _ in 0..2 {
        lab.pipe(b"x", ["ingest", "-"]).succeeded();
    }
    let first = lab.snapshots()[0]["id"].as_str().unwrap().to_owned();
    for folder in ["snapshots", "replicas/snapshots"] {
        std::fs::remove_file(lab.repository().join(folder).join(format!("{first}.json"))).unwrap();
    }
    let ended = lab.run(["status", "--max-age", "26h", "--json"]).failed(14, "E_DAMAGED");
    assert_eq!(ended.json()["damaged"][0]["id"], *first);
    assert_eq!(ended.json()["ok"], false);
}

#[test]
fn live_and_dead_sessions_are_told_apart() {
    let lab = Lab::encrypted();
    lab.pipe(b"x", ["ingest", "-"]).succeeded();
    let mut child = lab.spawn(["ingest", "--name", "y", "-"]);
    let locks = || lab.objects("locks");
    while locks().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let session = &lab.run(["status", "--json"]).succeeded().json()["sessions"][0];
    assert_eq!((&session["state"], &session["operation"]), (&json!("live"), &json!("ingest")));
    assert_eq!(session["pid"], child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    let session = &lab.run(["status", "--json"]).succeeded().json()["sessions"][0];
    assert_eq!((&session["state"], &session["pid"]), (&json!("dead"), &json!(child.id())));
    let text = lab.run(["status"]).succeeded();
    assert!(text.text().contains("dead sessions were interrupted"), "{}", text.text());
}

#[test]
fn what_other_clients_wrote_is_escaped() {
    let lab = Lab::plain();
    lab.pipe(b"x", ["ingest", "--series", "\u{202e}s", "--time", "2026-01-01", "-"]).succeeded();
    let ended = lab.run(["status", "--max-age", "1h"]).failed(1, "\\u{202e}s");
    assert!(!format!("{}{}", ended.text(), ended.stderr).contains('\u{202e}'));
}

#[test]
fn long_names_are_cut_to_the_terminal_and_nowhere_else() {
    let lab = Lab::plain();
    let long = "long/".repeat(60) + "end.sql";
    for name in [&long, "short"] {
        lab.pipe(b"x", ["ingest", "--name", name, "-"]).succeeded();
    }
    for (number, arguments) in
        [&["status"][..], &["snapshots"], &["show", "latest~1"], &["restore", "latest~1", "--to", "out"]]
            .into_iter()
            .enumerate()
    {
        let mut command = lab.command(arguments);
        command.env("TERM", "xterm");
        let seen = OnTerminal::start(command, 100, Pipes::default()).finish().ended(0);
        let lines: Vec<&str> = seen.text.lines().filter(|line| line.contains("long/")).collect();
        // 'show' has the series before its table.
        let line = lines.last().unwrap();
        assert!(columns(line) <= 100 && line.contains('…'), "{arguments:?}: {}", seen.text);
        if number == 0 {
            let text = lab.run(arguments).succeeded();
            assert!(text.text().contains(&long), "{}", text.text());
            assert!(lab.run(["status", "--json"]).succeeded().text().contains(&long));
        }
    }
}
