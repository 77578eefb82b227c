//! `snapshots`, `show` and `info`: what people and scripts read.

use serde_json::json;

use super::support::Lab;

#[test]
fn the_document_of_snapshots_has_all_fields_oldest_first() {
    let lab = Lab::encrypted();
    for time in ["2026-02-01", "2026-01-01"] {
        lab.pipe(b"content", ["ingest", "-", "--time", time, "--tag", "k=v", "--series", "s"]).succeeded();
    }
    let document = lab.run(["snapshots", "--json"]).succeeded().json();
    assert_eq!(document["schema"], "containerarchive/snapshots/1");
    assert_eq!(document["problems"], json!([]));
    let first = &document["snapshots"][0];
    assert_eq!(first["createdAt"], "2026-01-01T00:00:00.000Z");
    assert_eq!(first["version"], 1);
    assert_eq!(first["series"], "s");
    assert_eq!(first["tags"], json!({"k": "v"}));
    assert_eq!(first["originalSize"], 7);
    assert_eq!(first["storedSize"], 0);
    assert_eq!(
        (&first["chunkCount"], &first["newChunks"], &first["reusedChunks"]),
        (&json!(1), &json!(0), &json!(1))
    );
    assert_eq!(first["items"], json!([{"name": "data", "type": "stream", "size": 7}]));
    for name in ["id", "host", "user"] {
        assert!(first[name].is_string(), "{name}");
    }
    assert!(first["durationMs"].is_u64());
    let shown = lab.run(["show", "latest", "--json"]).succeeded().json();
    assert_eq!(shown["schema"], "containerarchive/snapshot/1");
    assert_eq!(shown["snapshot"], document["snapshots"][1]);
}

#[test]
fn filters_leave_what_they_name() {
    let lab = Lab::plain();
    for (tag, time) in [("k=1", "2026-01-01"), ("k=2", "2026-02-01"), ("k=1", "2026-03-01")] {
        lab.pipe(b"x", ["ingest", "-", "--tag", tag, "--time", time]).succeeded();
    }
    let count = |arguments: &[&str]| {
        let document = lab.run([&["snapshots", "--json"], arguments].concat()).succeeded().json();
        document["snapshots"].as_array().unwrap().len()
    };
    assert_eq!(count(&["--tag", "k=1"]), 2);
    assert_eq!(count(&["--after", "2026-02-01", "--before", "2026-03-01"]), 1);
    assert_eq!(count(&["--tag", "k=1", "--tag", "j=1"]), 0);
    assert_eq!(count(&["--series", "data"]), 3);
    let text = lab.run(["snapshots", "--tag", "k=3"]).succeeded();
    assert_eq!(text.text(), "no snapshots\n");
}

#[test]
fn names_that_deceive_a_terminal_are_escaped_for_people_and_kept_for_scripts() {
    let lab = Lab::plain();
    let name = "a\u{202e}b\u{2028}.sql";
    lab.pipe(b"x", ["ingest", "--name", name, "--tag", "k=\u{202e}v", "--series", "\u{2028}s", "-"])
        .succeeded();
    for arguments in [vec!["snapshots"], vec!["show", "latest"], vec!["restore", "latest", "--to", "out"]] {
        let ended = lab.run(&arguments).succeeded();
        let shown = format!("{}{}", ended.text(), ended.stderr);
        assert!(!shown.contains(['\u{202e}', '\u{2028}', '\u{1b}', '\u{9b}']), "{shown}");
        assert!(shown.contains("\\u{"), "{shown}");
    }
    assert_eq!(lab.snapshots()[0]["items"][0]["name"], name);
    // In messages, too.
    let ended = lab.run(["restore", "latest", "--to", "out"]).failed(1, "a\\u{202e}b");
    assert!(!ended.stderr.contains('\u{202e}'));
    let ended = lab.run(["restore", "\u{1b}[2J", "--to", "out"]);
    assert_eq!(ended.code, 2);
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    lab.pipe(b"x", ["ingest", "--name", "a\u{1b}b", "-"]).failed(2, "control character");
    lab.pipe(b"x", ["ingest", "--tag", "k=\u{1b}[31m", "-"]).failed(2, "control character");
    lab.pipe(b"x", ["ingest", "--series", "\u{9b}2J", "-"]).failed(2, "control character");
}

#[test]
fn info_tells_a_plain_repository_from_an_encrypted_one() {
    let plain = Lab::plain().run(["info"]).succeeded();
    assert!(plain.text().contains("resists accident, not malice"), "{}", plain.text());
    let encrypted = Lab::encrypted().run(["info"]).succeeded();
    assert!(encrypted.text().contains("admin"), "{}", encrypted.text());
}

#[test]
fn damaged_and_missing_snapshots_are_told_after_the_others() {
    let lab = Lab::plain();
    for content in ["1", "2", "3"] {
        lab.pipe(content.as_bytes(), ["ingest", "-"]).succeeded();
    }
    let snapshots = lab.snapshots();
    let id = |number: usize| snapshots[number]["id"].as_str().unwrap().to_owned();
    let remove = |id: &str| {
        for folder in ["snapshots", "replicas/snapshots"] {
            std::fs::remove_file(lab.repository().join(folder).join(format!("{id}.json"))).unwrap();
        }
    };
    remove(&id(1));
    let ended = lab.run(["snapshots", "--json"]).failed(14, "E_DAMAGED");
    let document = ended.json();
    assert_eq!(document["snapshots"].as_array().unwrap().len(), 2);
    assert_eq!(document["problems"][0]["kind"], "damaged");
    assert!(document["problems"][0]["object"].as_str().unwrap().contains(&id(1)));
    lab.run(["snapshots"]).failed(14, &id(1));
    // Which one is the newest is not certain any more; one that is named is.
    lab.run(["restore", "latest", "--to", "-"]).failed(14, "cannot tell which");
    assert_eq!(lab.run(["restore", &id(2), "--to", "-"]).succeeded().stdout, b"3");
}
