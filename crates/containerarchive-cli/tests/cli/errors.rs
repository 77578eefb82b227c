//! What goes wrong, with which exit code, and that nothing is left behind.

use std::process::Stdio;

use super::support::{Ended, Lab, copy};

#[test]
fn a_missing_source_is_named_before_anything_is_written() {
    let lab = Lab::empty();
    lab.file("a", "content");
    let ended = lab.run(["ingest", "--init", "a", "missing.sql", "--json"]).failed(1, "missing.sql");
    assert_eq!(ended.json_error()["error"]["code"], "E_SOURCE");
    assert!(!lab.repository().exists());
    lab.run(["init"]).succeeded();
    lab.run(["ingest", "a", "--item", "b=missing.sql"]).failed(1, "missing.sql");
    assert!(lab.snapshots().is_empty());
}

#[test]
fn requests_that_make_no_sense_are_usage_errors() {
    let lab = Lab::plain();
    lab.file("a", "content");
    std::fs::create_dir(lab.path("dir")).unwrap();
    for (arguments, text) in [
        (&["ingest"][..], "PATH"),
        (&["ingest", "../a"], "'..'"),
        (&["ingest", "dir"], "directories are not supported yet"),
        (&["ingest", "/"], "directories are not supported yet"),
        (&["ingest", "--name", "n", "a", "a"], "--name"),
        (&["ingest", "a", "./a"], "two items are named 'a'"),
        (&["ingest", "-", "--item", "x=-"], "only one item"),
        (&["ingest", "--item", "x"], "NAME=FILE"),
        (&["ingest", "--item", "../x=a"], "cannot be an item's name"),
        (&["ingest", "a", "--tag", "k"], "KEY=VALUE"),
        (&["ingest", "a", "--tag", "k=1", "--tag", "k=2"], "given twice"),
        (&["ingest", "a", "--time", "yesterday"], "RFC 3339"),
        (&["restore", "newest", "--to", "x"], "latest"),
        (&["restore", "latest"], "--to"),
        (&["init", "--pack-size", "1KiB"], "64 KiB to 256 MiB"),
        (&["init", "--kdf", "1GiB,9,1"], "outside of the limits"),
        (&["init", "--chunk-size", "1,2,3"], "chunk"),
        (&["snapshots", "--threads", "0"], "threads"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let ended = lab.run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.to_lowercase().contains(&text.to_lowercase()),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, b"");
    }
    let told = lab.run(["ingest"]);
    assert!(told.stderr.contains("Usage: containerarchive ingest [OPTIONS] [PATH]..."), "{}", told.stderr);
    let usage = lab.run(["ingest", "--json"]).json_error();
    assert!(
        !usage["error"]["message"].as_str().unwrap().contains("For more"),
        "the advice says where help is"
    );
    assert_eq!(usage["error"]["code"], "E_USAGE");
    assert_eq!(usage["error"]["exitCode"], 2);
    assert!(lab.snapshots().is_empty());
}

#[test]
fn errors_say_what_happened_and_what_to_do() {
    let lab = Lab::empty();
    let ended = lab.run(["snapshots"]).failed(10, "there is no repository at");
    assert!(ended.stderr.contains("containerarchive init"), "{}", ended.stderr);
    let document = lab.run(["snapshots", "--json"]).json_error();
    assert_eq!(document["schema"], "containerarchive/error/1");
    assert_eq!(document["error"]["code"], "E_NO_REPOSITORY");
    assert_eq!(document["error"]["exitCode"], 10);
    assert_eq!(document["error"]["retryable"], false);
    assert!(document["error"]["advice"].as_str().unwrap().contains("init"));
    let lab = Lab::plain();
    lab.run(["restore", "latest", "--to", "x"]).failed(1, "no snapshots yet");
    lab.pipe(b"x", ["ingest", "-"]).succeeded();
    lab.run(["restore", "latest", "--item", "y", "--to", "x"]).failed(1, "none of the 1 snapshots");
}

#[test]
fn a_key_for_a_repository_that_says_it_is_plain_is_refused() {
    let mut lab = Lab::encrypted();
    let plain = Lab::plain();
    let mut lab_elsewhere = Lab::empty();
    copy(&plain.repository(), &lab_elsewhere.repository());
    // A client that saw neither.
    lab_elsewhere.run(["info"]).failed(12, "its config may have been swapped");
    lab_elsewhere.unset("CONTAINERARCHIVE_PASSPHRASE");
    lab_elsewhere.run(["info"]).succeeded();
    // A client that knows the encrypted one.
    std::fs::remove_dir_all(lab.repository()).unwrap();
    copy(&plain.repository(), &lab.repository());
    lab.run(["info"]).failed(12, "its config may have been swapped");
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    lab.run(["info"]).failed(14, "is not as this client saw it last");
    plain.run(["init", "--repo", "x", "--no-encryption", "--key-file", "k"]).failed(2, "--no-encryption");
}

#[test]
fn a_repository_that_went_back_in_time_is_refused_until_it_is_accepted() {
    let lab = Lab::encrypted();
    lab.pipe(b"1", ["ingest", "-"]).succeeded();
    copy(&lab.repository(), &lab.path("old"));
    lab.pipe(b"2", ["ingest", "-"]).succeeded();
    std::fs::remove_dir_all(lab.repository()).unwrap();
    std::fs::rename(lab.path("old"), lab.repository()).unwrap();
    let ended = lab.run(["snapshots", "--json"]).failed(14, "is gone");
    assert_eq!(ended.json_error()["error"]["code"], "E_ROLLBACK");
    lab.run(["snapshots"]).failed(14, "--accept-rollback");
    lab.run(["snapshots", "--accept-rollback"]).succeeded();
    lab.run(["snapshots"]).succeeded();
}

#[test]
fn a_standard_output_that_is_full_is_an_error() {
    let lab = Lab::plain();
    lab.pipe(b"x", ["ingest", "-"]).succeeded();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = lab.command(["snapshots"]);
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(15));
}

#[test]
fn a_state_folder_that_cannot_be_made_stops_init_before_it_begins() {
    let lab = Lab::empty();
    lab.file("file", "");
    lab.run(["init", "--state-dir", "file/state"]).failed(1, "--state-dir");
    assert!(!lab.repository().exists());
}

#[test]
fn options_of_a_new_repository_are_never_ignored() {
    let lab = Lab::encrypted();
    lab.pipe(b"x", ["ingest", "--compression", "none", "-"]).failed(2, "without --init");
    let told = lab.pipe(b"x", ["ingest", "--init", "--compression", "none", "-"]).succeeded();
    assert!(told.stderr.contains("change nothing in it"), "{}", told.stderr);
}

#[test]
fn a_snapshot_that_was_made_is_told_although_the_report_cannot_be_written() {
    let lab = Lab::plain();
    let file = lab.file("a", "content");
    for arguments in [vec!["ingest", &file], vec!["ingest", "--json", &file]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended =
            Ended::from(lab.command(&arguments).stdout(full).stderr(Stdio::piped()).output().unwrap());
        let id = lab.snapshots().pop().unwrap()["id"].as_str().unwrap().to_owned();
        ended.failed(1, &format!("snapshot {id} was made"));
    }
}

#[test]
fn more_files_than_the_soft_limit_of_open_files_go_in() {
    let lab = Lab::plain();
    std::fs::create_dir(lab.path("many")).unwrap();
    for number in 0..300 {
        std::fs::write(lab.path(&format!("many/{number}")), number.to_string()).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_containerarchive");
    let mut shell = lab.command([] as [&str; 0]);
    let environment = shell.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)));
    let environment: Vec<_> = environment.collect();
    shell = std::process::Command::new("bash");
    shell.args(["-c", &format!("ulimit -Sn 64; exec {program} ingest many/*")]).current_dir(lab.path(""));
    for (name, value) in environment {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Ended::from(shell.output().unwrap()).succeeded();
    assert_eq!(lab.snapshots()[0]["items"].as_array().unwrap().len(), 300);
}

#[test]
fn a_copied_slot_under_another_name_locks_nobody_out() {
    let lab = Lab::encrypted();
    lab.pipe(b"x", ["ingest", "-"]).succeeded();
    let slot = lab.objects("keys").pop().unwrap();
    let text = std::fs::read_to_string(&slot).unwrap();
    let id = slot.file_stem().unwrap().to_str().unwrap().to_owned();
    for other in ["0".repeat(32), "f".repeat(32)] {
        let body = text.lines().next().unwrap().replace(&id, &other);
        let signed = format!("{body}\nunsigned\n");
        let digest = containerarchive::crypto::blake3_256(signed.as_bytes());
        let copy = format!("{signed}blake3 {}\n", data_encoding::HEXLOWER.encode(&digest));
        std::fs::write(lab.repository().join(format!("keys/{other}.json")), copy).unwrap();
        std::fs::remove_dir_all(lab.path("state")).unwrap();
        lab.run(["snapshots"]).succeeded();
    }
}

#[test]
fn advice_fits_the_error() {
    let mut lab = Lab::encrypted();
    lab.file("a", "content");
    lab.run(["ingest", "a", "--item", "b=a", "--series", "daily"]).succeeded();
    std::fs::create_dir_all(lab.path("taken/a")).unwrap();
    let command = ["ingest", "--name", "n", "--command", "x=echo 1"];
    for (arguments, code, message, advice) in [
        (
            &["key", "add", "--capability", "admin", "--new-key-file", "no/key"][..],
            12,
            "no/key",
            "can be made",
        ),
        (
            &["key", "add", "--capability", "admin", "--new-passphrase-file", "no"],
            12,
            "file no:",
            "check the path",
        ),
        (
            &["key", "add", "--capability", "admin", "--new-key-file", "a"],
            12,
            "no key file",
            "'key add' has made",
        ),
        (&["key", "add", "--capability", "admin"], 12, "a new passphrase", "--new-passphrase-file"),
        (&["key", "remove", &"f".repeat(32)], 2, "no such slot", "'containerarchive key list'"),
        (&command, 2, "there is none", "leave it out"),
        (&["restore", "latest", "--item", "x", "--to", "out"], 1, "has an item 'x'", "show SNAPSHOT"),
        (
            &["restore", "latest", "--series", "x", "--to", "out"],
            1,
            "there are: daily",
            "CONTAINERARCHIVE_SERIES",
        ),
        (
            &["restore", "latest", "--tag", "k=v", "--to", "out"],
            1,
            "has the tag 'k=v'",
            "CONTAINERARCHIVE_TAG",
        ),
        (&["restore", "latest", "--to", "-"], 2, "several items", "--to DIR"),
        (&["restore", "latest", "--to", "a"], 1, "a: it is no folder", "name a folder with --to"),
        (&["restore", "latest", "--to", "a/b"], 1, "a/b: it is no folder", "name a folder with --to"),
        (&["restore", "latest", "--to", "/dev/full"], 1, "it is no folder", "name a folder with --to"),
        (&["restore", "latest", "--to", "/proc/x"], 1, "cannot make the folder", "you may write to"),
        (&["restore", "latest", "--to", "taken", "--overwrite"], 1, "taken/a", "move these away"),
        (&["status", "--series", "x"], 1, "no snapshot of this series", "check --series"),
    ] {
        let ended = lab.run([arguments, &["--json"]].concat()).failed(code, "E_");
        let error = &ended.json_error()["error"];
        assert!(error["message"].as_str().unwrap().contains(message), "{arguments:?}: {error}");
        assert!(error["advice"].as_str().unwrap().contains(advice), "{arguments:?}: {error}");
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = lab.command(["restore", "latest", "--item", "a", "--to", "-"]);
    let ended = Ended::from(command.stdout(full).stderr(Stdio::piped()).output().unwrap());
    let ended = ended.failed(15, "not whole there");
    assert!(!ended.stderr.contains("no snapshot was made"), "{}", ended.stderr);
    let ended = lab.run(["ingest"]).failed(2, "nothing to store");
    assert!(ended.stderr.contains("--command app.sql="), "{}", ended.stderr);
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    lab.run(["info", "--key-file", "no/key"]).failed(12, "check the path");
    lab.run(["init", "--repo", "new", "--key-file", "no/key"]).failed(12, "can be made");
}
