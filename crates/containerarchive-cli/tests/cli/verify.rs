//! `verify`: exit codes, documents, and what people read.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::support::{Lab, noise};

/// All files of the repository with this extension.
fn files(lab: &Lab, extension: &str) -> Vec<PathBuf> {
    let mut folders = vec![lab.repository()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn flip(path: &PathBuf) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_healthy_repository_ends_with_0_at_each_level_and_the_document_is_whole() {
    for lab in [Lab::encrypted(), Lab::plain()] {
        lab.pipe(&noise(3_000_000), ["ingest", "-"]).succeeded();
        for level in ["quick", "standard", "full"] {
            let text = lab.run(["verify", "--level", level]).succeeded();
            assert!(text.text().contains("no damage found"), "{}", text.text());
            let document = lab.run(["verify", "--level", level, "--json"]).succeeded().json();
            assert_eq!(document["schema"], "containerarchive/verify/1");
            assert_eq!((&document["ok"], &document["level"]), (&json!(true), &json!(level)));
            assert_eq!((&document["errors"], &document["lost"]), (&json!([]), &json!([])));
            assert_eq!(document["stats"]["snapshotsChecked"], 1);
            assert_eq!(document["stats"]["chunksChecked"].as_u64().unwrap() > 0, level == "full");
            assert_eq!(document["problems"], json!([]));
        }
    }
}

#[test]
fn a_flipped_byte_of_each_pack_and_shard_is_found_without_a_passphrase() {
    let mut lab = Lab::encrypted();
    lab.pipe(&noise(2_000_000), ["ingest", "-"]).succeeded();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    lab.run(["verify", "--no-key"]).succeeded();
    let files = [files(&lab, "pack"), files(&lab, "par")].concat();
    assert_eq!(files.len(), 6, "a pack of data and one of structure, with two shards each");
    for file in files {
        flip(&file);
        let ended = lab.run(["verify", "--level", "standard", "--no-key", "--json"]);
        let document = ended.failed(13, "E_MENDABLE").json();
        let errors = document["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let object = errors[0]["object"].as_str().unwrap();
        assert!(file.ends_with(object), "{object}");
        assert_eq!(errors[0]["repairable"], true);
        assert!(document["skipped"].as_array().unwrap()[0].as_str().unwrap().contains("only checksums"));
        flip(&file);
    }
    // A key is asked for by everything else.
    lab.run(["verify"]).failed(12, "passphrase");
}

#[test]
fn what_parity_can_mend_ends_with_13_and_what_it_cannot_with_14() {
    let lab = Lab::encrypted();
    let content = noise(2_000_000);
    lab.pipe(&content, ["ingest", "--name", "a.sql", "-"]).succeeded();
    let id = lab.snapshots()[0]["id"].as_str().unwrap().to_owned();
    let largest = |files: Vec<PathBuf>| files.into_iter().max_by_key(|file| file.metadata().unwrap().len());
    let pack = largest(files(&lab, "pack")).unwrap();
    flip(&pack);
    let ended = lab.run(["verify"]).failed(13, "repair");
    assert!(ended.text().contains("can be mended") && ended.text().contains("a.sql"), "{}", ended.text());
    for shard in files(&lab, "par") {
        std::fs::remove_file(shard).unwrap();
    }
    let ended = lab.run(["verify"]).failed(14, "cannot be mended");
    assert!(ended.text().contains(&format!("hurts {} (a.sql)", &id[..8])), "{}", ended.text());
    let document = lab.run(["verify", "--json"]).failed(14, "E_DAMAGED").json();
    assert_eq!(document["ok"], false);
    let hurt = |error: &&Value| error["snapshots"] == json!([{"id": id, "item": "a.sql"}]);
    let errors = document["errors"].as_array().unwrap();
    let error = errors.iter().find(hurt).unwrap();
    assert_eq!((&error["repairable"], error["chunk"].is_string()), (&json!(false), true));
    assert_eq!(error["snapshot"], id);
    let lost = &document["lost"][0];
    assert_eq!(lost["item"], "a.sql");
    // Exactly these bytes: a restore gives everything before them.
    let from = lost["from"].as_u64().unwrap() as usize;
    let ended = lab.run(["restore", "latest", "--to", "-"]).failed(14, "cannot be restored");
    assert!(ended.stdout == content[..from], "{} bytes, {from} were told", ended.stdout.len());
}

#[test]
fn samples_are_remembered_and_shares_that_make_no_sense_are_refused() {
    let lab = Lab::encrypted();
    lab.pipe(&noise(100_000), ["ingest", "-"]).succeeded();
    let checked = |arguments: &[&str]| {
        let document = lab.run([&["verify", "--json"], arguments].concat()).succeeded().json();
        document["stats"]["packsChecked"].as_u64().unwrap()
    };
    let read: u64 = (0..4).map(|_| checked(&["--sample", "25%"])).sum();
    assert_eq!(read, 2, "each pack once");
    assert_eq!(checked(&["--max-age", "30d"]), 0);
    assert_eq!(checked(&["--max-age", "30d", "--level", "full"]), 2);
    for bad in ["5", "0%", "200%"] {
        lab.run(["verify", "--sample", bad]).failed(2, "share");
    }
}

#[test]
fn a_write_key_verifies_checksums_and_says_what_it_left_out() {
    let lab = Lab::encrypted();
    lab.pipe(&noise(100_000), ["ingest", "-"]).succeeded();
    lab.run(["key", "add", "--capability", "write", "--new-key-file", "w.key"]).succeeded();
    let document = lab.run(["verify", "--key-file", "w.key", "--json"]).succeeded().json();
    assert_eq!(document["stats"]["packsChecked"], 2);
    assert_ne!(document["skipped"], json!([]));
}
