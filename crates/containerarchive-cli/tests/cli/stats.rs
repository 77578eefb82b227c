//! `stats`: what people and scripts are told of what is stored.

use serde_json::{Value, json};

use super::support::{Lab, noise};

#[test]
fn the_document_counts_content_once_and_files_in_full() {
    let lab = Lab::encrypted();
    let empty = lab.run(["stats", "--json"]).succeeded().json();
    assert_eq!(empty["schema"], "containerarchive/stats/1");
    assert_eq!((&empty["logicalBytes"], &empty["dedupRatio"]), (&json!(0), &Value::Null));
    let content = noise(3_000_000);
    for series in ["a", "a", "b"] {
        lab.pipe(&content, ["ingest", "--series", series, "-"]).succeeded();
    }
    let document = lab.run(["stats", "--json"]).succeeded().json();
    assert_eq!(
        (&document["snapshots"], &document["series"], &document["items"]),
        (&json!(3), &json!(2), &json!(3))
    );
    assert_eq!((&document["logicalBytes"], &document["uniqueBytes"]), (&json!(9_000_000), &json!(3_000_000)));
    assert_eq!(document["dedupRatio"], 3.0);
    assert_eq!(document["exact"], true);
    // Every file that is there, and no more.
    let mut folders = vec![lab.repository()];
    let (mut files, mut bytes) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                bytes += entry.metadata().unwrap().len();
            }
        }
    }
    assert_eq!(document["storedBytes"], bytes);
    let objects = document["objects"].as_array().unwrap();
    let sum = |name: &str| objects.iter().map(|class| class[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("objects"), sum("bytes")), (files, bytes));
    for name in ["chunks", "packs", "index", "totalRatio", "compressionRatio", "problems"] {
        assert!(!document[name].is_null(), "{name}");
    }
    let text = lab.run(["stats"]).succeeded();
    for words in ["3 in 2 series", "deduplication  3.00×", "index segments"] {
        assert!(text.text().contains(words), "{words}: {}", text.text());
    }
}

#[test]
fn damage_is_told_after_everything_else_was_counted() {
    let lab = Lab::plain();
    lab.pipe(&noise(1000), ["ingest", "-"]).succeeded();
    let manifest = lab.objects("snapshots").pop().unwrap();
    std::fs::write(&manifest, "nonsense").unwrap();
    std::fs::remove_file(lab.repository().join("replicas/snapshots").join(manifest.file_name().unwrap()))
        .unwrap();
    let ended = lab.run(["stats", "--json"]).failed(14, "E_DAMAGED");
    let document = ended.json();
    assert_eq!((&document["damagedSnapshots"], &document["uniqueBytes"]), (&json!(1), &json!(1000)));
}

#[test]
fn a_write_key_cannot_count() {
    let lab = Lab::encrypted();
    lab.run(["key", "add", "--capability", "write", "--new-key-file", "w.key"]).succeeded();
    for verb in ["stats", "status"] {
        let ended = lab.run([verb, "--key-file", "w.key", "--json"]).failed(12, "E_CAPABILITY");
        assert_eq!(ended.stdout, b"");
        assert_eq!(ended.json_error()["error"]["retryable"], false);
    }
}
