//! `init`, `ingest` and `restore` in every form.

use std::io::Read;

use super::support::{Lab, noise};

#[test]
fn files_come_back_below_a_folder_and_one_by_one() {
    let lab = Lab::encrypted();
    let content = noise(3_000_000);
    lab.file("a.sql", &content);
    let b = lab.file("b.txt", "text");
    let ended = lab.run(["ingest", "./a.sql", &b]).succeeded();
    assert!(ended.text().starts_with("snapshot "), "{}", ended.text());
    lab.run(["restore", "latest", "--to", "out"]).succeeded();
    assert!(std::fs::read(lab.path("out/a.sql")).unwrap() == content);
    assert_eq!(std::fs::read(lab.path("out").join(&b[1..])).unwrap(), b"text");
    let ended = lab.run(["restore", "latest", "--item", "a.sql", "--to", "-"]).succeeded();
    assert!(ended.stdout == content);
    // Nothing but the content was new the second time.
    let second = lab.run(["ingest", "--json", "a.sql", &b]).succeeded().json();
    assert_eq!(second["snapshot"]["newChunks"], 0);
}

#[test]
fn a_stream_is_named_or_data() {
    let lab = Lab::plain();
    lab.pipe(b"dump", ["ingest", "--name", "app.sql", "--type", "postgres", "-"]).succeeded();
    lab.pipe(b"unnamed", ["ingest", "-"]).succeeded();
    let snapshots = lab.snapshots();
    assert_eq!(snapshots[0]["items"][0]["name"], "app.sql");
    assert_eq!(snapshots[0]["items"][0]["type"], "postgres");
    assert_eq!(snapshots[1]["items"][0]["name"], "data");
    assert_eq!(snapshots[1]["items"][0]["type"], "stream");
    let ended = lab.run(["restore", "latest", "--item", "app.sql", "--to", "-"]).succeeded();
    assert_eq!(ended.stdout, b"dump");
    let ended = lab.run(["restore", "latest~1", "--to", "-"]).succeeded();
    assert_eq!(ended.stdout, b"dump");
}

#[test]
fn several_named_items_and_paths_make_one_snapshot() {
    let lab = Lab::plain();
    let a = lab.file("a", "content of a");
    lab.file("c", "content of c");
    let item = format!("dir/a.sql={a}");
    let arguments = ["ingest", "--item", &item, "--item", "b.tar=-", "c", "--tag", "k=v", "--tag", "x=y=z"];
    let ended = lab.pipe(b"content of b", arguments).succeeded();
    assert_eq!(ended.text().lines().count(), 2);
    let snapshot = &lab.snapshots()[0];
    let names: Vec<&str> =
        snapshot["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["c", "dir/a.sql", "b.tar"]);
    assert_eq!(snapshot["tags"], serde_json::json!({"k": "v", "x": "y=z"}));
    lab.run(["restore", "latest", "--to", "out"]).succeeded();
    assert_eq!(std::fs::read(lab.path("out/dir/a.sql")).unwrap(), b"content of a");
    assert_eq!(std::fs::read(lab.path("out/b.tar")).unwrap(), b"content of b");
    lab.run(["restore", "latest", "--to", "-"]).failed(2, "c, dir/a.sql, b.tar");
}

#[test]
fn process_substitution_and_fifos_are_streams() {
    let lab = Lab::plain();
    let fifo = lab.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let late = fifo.clone();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        std::fs::write(late, noise(500_000)).unwrap();
    });
    lab.run(["ingest", "--item", "late=fifo"]).succeeded();
    writer.join().unwrap();
    assert!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout == noise(500_000));
    lab.pipe(b"by number", ["ingest", "--item", "number=/dev/fd/0"]).succeeded();
    assert_eq!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout, b"by number");
}

#[test]
fn series_and_time_are_kept_and_filter() {
    let lab = Lab::plain();
    for (content, series, time) in
        [("1", "daily", "2026-01-01"), ("2", "daily", "2026-02-01T00:00:00Z"), ("3", "weekly", "2026-03-01")]
    {
        lab.pipe(content.as_bytes(), ["ingest", "--series", series, "--time", time, "-"]).succeeded();
    }
    let restored = |arguments: &[&str]| {
        let all = [&["restore"], arguments, &["--to", "-"]].concat();
        lab.run(all).succeeded().text().to_owned()
    };
    assert_eq!(restored(&["latest"]), "3");
    assert_eq!(restored(&["latest", "--series", "daily"]), "2");
    assert_eq!(restored(&["latest~1", "--series", "daily"]), "1");
    let id = lab.snapshots()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(restored(&[&id[..12]]), "1");
    lab.run(["restore", "latest~2", "--series", "daily", "--to", "-"]).failed(1, "only 2 match");
}

#[test]
fn files_are_replaced_with_overwrite_only() {
    let lab = Lab::plain();
    lab.file("a", "new");
    lab.run(["ingest", "a"]).succeeded();
    std::fs::create_dir(lab.path("out")).unwrap();
    lab.file("out/a", "old");
    lab.run(["restore", "latest", "--to", "out"]).failed(1, "exists already");
    assert_eq!(std::fs::read(lab.path("out/a")).unwrap(), b"old");
    lab.run(["restore", "latest", "--to", "out", "--overwrite"]).succeeded();
    assert_eq!(std::fs::read(lab.path("out/a")).unwrap(), b"new");
}

#[test]
fn a_restore_names_all_that_is_in_its_way_and_then_has_written_nothing() {
    let lab = Lab::plain();
    for name in ["a", "b", "c", "d"] {
        lab.file(name, name);
    }
    lab.run(["ingest", "a", "b", "c", "d", "--item", "e/f=a"]).succeeded();
    std::fs::create_dir(lab.path("out")).unwrap();
    for name in ["out/b", "out/d"] {
        lab.file(name, "old");
    }
    let ended = lab.run(["restore", "latest", "--to", "out"]).failed(1, "2 files exist already");
    assert!(
        ended.stderr.contains("out/b, out/d") && ended.stderr.contains("--overwrite"),
        "{}",
        ended.stderr
    );
    let there = || {
        let mut there: Vec<_> =
            std::fs::read_dir(lab.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        there.sort();
        there
    };
    assert_eq!(there(), ["b", "d"]);
    // Neither does a file in the place of a folder wait for its turn, nor a folder in the place of a file.
    lab.file("out/e", "old");
    std::fs::create_dir(lab.path("out/c")).unwrap();
    let ended =
        lab.run(["restore", "latest", "--to", "out", "--overwrite", "--json"]).failed(1, "in the way");
    assert!(ended.stderr.contains("out/c, out/e"), "{}", ended.stderr);
    assert_eq!(ended.json_error()["error"]["code"], "E_EXISTS");
    assert_eq!(there(), ["b", "c", "d", "e"]);
    assert_eq!(std::fs::read(lab.path("out/b")).unwrap(), b"old");
    // What is not restored is in nobody's way.
    lab.run(["restore", "latest", "--item", "a", "--to", "out"]).succeeded();
}

#[test]
fn a_time_in_the_future_is_told_for_it_becomes_the_latest() {
    let lab = Lab::plain();
    let made = lab.pipe(b"x", ["ingest", "--time", "2999-01-01", "--json", "-"]).succeeded().json();
    assert!(made["problems"][0]["text"].as_str().unwrap().contains("in the future"), "{made}");
    for arguments in [&["ingest", "-"][..], &["ingest", "--time", "2026-01-01", "-"]] {
        let made = lab.pipe(b"x", arguments).succeeded();
        assert_eq!(made.stderr, "");
    }
}

#[test]
fn init_makes_a_repository_as_it_was_asked_to_and_only_in_an_empty_place() {
    let lab = Lab::empty();
    let arguments = [
        "init",
        "--parity",
        "off",
        "--compression",
        "zstd:5",
        "--pack-size",
        "1MiB",
        "--chunk-size",
        "1KiB,4KiB,16KiB",
        "--label",
        "mine",
        "--json",
    ];
    let made = lab.run(arguments).succeeded().json();
    assert_eq!(made["schema"], "containerarchive/init/1");
    assert_eq!(made["encrypted"], true);
    let info = lab.run(["info", "--json"]).succeeded().json();
    assert_eq!(info["schema"], "containerarchive/info/1");
    assert_eq!(info["repository"], made["repository"]);
    assert_eq!(info["chunkSize"], serde_json::json!([1024, 4096, 16384]));
    assert_eq!(info["compression"], "zstd:5");
    assert_eq!(info["packSize"], 1 << 20);
    assert_eq!(info["parity"], "off");
    let keys = lab.run(["key", "list", "--json"]).succeeded().json();
    assert_eq!(keys["keys"][0]["label"], "mine");
    lab.run(["init"]).failed(1, "there is one already");
    std::fs::create_dir(lab.path("other")).unwrap();
    lab.file("other/file", "somebody's");
    lab.run(["init", "--repo", "other"]).failed(1, "other");
    lab.run(["init", "--repo", "new", "--parity", "40+17"]).failed(2, "PACKS+SHARDS");
    assert!(!lab.path("new").exists());
}

#[test]
fn init_says_what_to_do_next_and_how_well_packs_are_protected() {
    let lab = Lab::empty();
    let ended = lab.run(["init"]).succeeded();
    assert!(ended.text().contains("ingest FILE…") && ended.text().contains("snapshots"));
    assert!(ended.stderr.contains("any 2 lost or damaged packs of 40 can be rebuilt"), "{}", ended.stderr);
    let off = lab.run(["init", "--repo", "bare", "--parity", "off"]).succeeded();
    assert!(off.stderr.contains("parity is off"), "{}", off.stderr);
    let quiet = lab.run(["init", "--repo", "other", "--quiet"]).succeeded();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn ingest_makes_the_repository_when_told_to_and_never_in_the_place_of_a_known_one() {
    let lab = Lab::empty();
    lab.file("a", "content");
    lab.run(["ingest", "a"]).failed(10, "there is no repository");
    let made = lab.run(["ingest", "--init", "a", "--json"]).succeeded().json();
    assert!(made["createdRepository"].is_string());
    let again = lab.run(["ingest", "--init", "a", "--json"]).succeeded().json();
    assert!(again["createdRepository"].is_null());
    std::fs::rename(lab.repository(), lab.path("moved")).unwrap();
    lab.run(["ingest", "--init", "a"]).failed(1, "this client knows repository");
    assert!(!lab.repository().exists());
    lab.run(["ingest", "--init", "a", "--accept-rollback"]).succeeded();
    assert_eq!(lab.snapshots().len(), 1);
    std::fs::remove_dir_all(lab.repository()).unwrap();
    let made = lab.run(["init"]).succeeded();
    assert!(made.stderr.contains("this client knew repository"), "{}", made.stderr);
    lab.run(["ingest", "a"]).succeeded();
}

#[test]
fn a_reader_that_stops_early_ends_the_restore_without_a_word() {
    let lab = Lab::plain();
    lab.file("a", noise(4_000_000));
    lab.run(["ingest", "a"]).succeeded();
    let mut child = lab.spawn(["restore", "latest", "--to", "-"]);
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 10]).unwrap();
    drop(output);
    let ended = super::support::Ended::from(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    assert_eq!(lab.objects("locks").len(), 0);
}

#[test]
fn content_alone_is_on_the_standard_output_and_the_document_beside_it() {
    let lab = Lab::plain();
    lab.file("a", "content");
    lab.run(["ingest", "a"]).succeeded();
    let ended = lab.run(["restore", "latest", "--to", "-", "--json"]).succeeded();
    assert_eq!(ended.stdout, b"content");
    assert_eq!(ended.json_error()["schema"], "containerarchive/restore/1");
    let document = lab.run(["restore", "latest", "--to", "out", "--json"]).succeeded().json();
    assert_eq!(document["schema"], "containerarchive/restore/1");
    assert_eq!(document["items"], serde_json::json!([{"name": "a", "size": 7}]));
    assert_eq!(document["mended"], 0);
}

#[test]
fn ingest_makes_a_repository_as_it_was_asked_to() {
    let mut lab = Lab::empty();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    lab.file("a", "content");
    lab.run(["ingest", "--init", "a"]).failed(12, "no terminal to ask on");
    assert!(!lab.repository().exists());
    let options = ["--no-encryption", "--compression", "none", "--chunk-size", "1KiB,2KiB,4KiB"];
    lab.run([&["ingest", "--init", "a"], &options[..]].concat()).succeeded();
    let info = lab.run(["info", "--json"]).succeeded().json();
    assert_eq!((&info["encrypted"], &info["compression"]), (&false.into(), &"none".into()));
    lab.run(["ingest", "--init", "a", "--repo", "sealed", "--key-file", "key"]).succeeded();
    lab.run(["ingest", "--init", "a", "--repo", "sealed", "--key-file", "key"]).succeeded();
    // A key file is made for a new repository only.
    lab.run(["ingest", "--init", "a", "--repo", "sealed", "--key-file", "typo"]).failed(12, "typo");
    assert!(!lab.path("typo").exists());
}

#[test]
fn damaged_content_is_an_error_that_names_the_item_and_the_byte() {
    let lab = Lab::empty();
    lab.run(["init", "--parity", "off"]).succeeded();
    lab.file("a", noise(3_000_000));
    lab.run(["ingest", "a"]).succeeded();
    for folder in lab.objects("packs/data") {
        for pack in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let mut bytes = std::fs::read(&pack).unwrap();
            if bytes.len() > 1_000_000 && pack.extension().is_some_and(|extension| extension == "pack") {
                bytes[1_500_000] ^= 1;
                std::fs::write(&pack, bytes).unwrap();
            }
        }
    }
    let ended = lab.run(["restore", "latest", "--to", "-", "--json"]).failed(14, "item 'a'");
    assert_eq!(ended.json_error()["error"]["code"], "E_DAMAGED");
    assert!(noise(3_000_000).starts_with(&ended.stdout));
    lab.run(["restore", "latest", "--to", "out"]).failed(14, "from byte");
    assert!(!lab.path("out/a").exists());
}
