//! Keys: where they come from, adding and removing them, and what a write key cannot do.

use std::os::unix::fs::PermissionsExt;

use super::support::{KDF, Lab};

#[test]
fn every_source_of_a_key_opens() {
    let mut lab = Lab::encrypted();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    lab.run(["info"]).failed(12, "no terminal to ask on");
    for content in ["correct horse", "correct horse\n", "correct horse\r\n"] {
        let file = lab.file("passphrase", content);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let ended = lab.run(["info", "--passphrase-file", &file]).succeeded();
        assert_eq!(ended.stderr, "");
    }
    std::fs::set_permissions(lab.path("passphrase"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = lab.run(["info", "--passphrase-file", "passphrase"]).succeeded();
    assert!(ended.stderr.contains("can be read by every user"), "{}", ended.stderr);
    let document = lab.run(["info", "--json", "--passphrase-file", "passphrase"]).succeeded().json();
    assert_eq!(document["problems"][0]["kind"], "warning");
    lab.run(["info", "--passphrase-command", "echo correct horse"]).succeeded();
    lab.run(["info", "--passphrase-command", "exit 3"]).failed(12, "exit status: 3");
    lab.run(["info", "--passphrase-command", "true"]).failed(12, "empty");
    lab.run(["info", "--passphrase-file", "nowhere"]).failed(12, "nowhere");
    lab.set("CONTAINERARCHIVE_PASSPHRASE_FILE", "passphrase");
    lab.run(["info"]).succeeded();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE_FILE");
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "");
    lab.run(["info"]).failed(12, "empty");
}

#[test]
fn two_sources_are_a_usage_error_and_an_option_goes_before_the_environment() {
    let mut lab = Lab::encrypted();
    let file = lab.file("passphrase", "correct horse");
    lab.run(["info", "--passphrase-file", &file, "--key-file", "k"]).failed(2, "give only one of");
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "wrong");
    lab.run(["info"]).failed(12, "wrong passphrase");
    lab.run(["info", "--passphrase-file", &file]).succeeded();
    lab.run(["--passphrase-file", &file, "info"]).succeeded();
    lab.set("CONTAINERARCHIVE_PASSPHRASE_FILE", "passphrase");
    lab.run(["info"]).failed(2, "give only one of");
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    lab.run(["key", "add", "--capability", "admin", "--new-key-file", "spare"]).succeeded();
    lab.run(["info", "--key-file", "spare"]).succeeded();
    lab.run(["--key-file", "spare", "info"]).succeeded();
    lab.run(["--key-file", "spare", "info", "--passphrase-file", &file]).failed(2, "give only one of");
}

#[test]
fn the_passphrase_command_does_not_see_passphrases() {
    let mut lab = Lab::encrypted();
    lab.set("CONTAINERARCHIVE_NEW_PASSPHRASE", "new");
    let command = "env | grep -q PASSPHRASE= && echo seen || echo correct horse";
    lab.run(["info", "--passphrase-command", command]).succeeded();
}

#[test]
fn a_wrong_passphrase_and_a_damaged_slot_are_told_apart() {
    let mut lab = Lab::encrypted();
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "wrong");
    let wrong = lab.run(["info", "--json"]).failed(12, "wrong passphrase").json_error();
    assert_eq!(wrong["error"]["code"], "E_KEY");
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "correct horse");
    for folder in ["keys", "replicas/keys"] {
        for slot in lab.objects(folder) {
            let mut bytes = std::fs::read(&slot).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::set_permissions(&slot, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::fs::write(&slot, bytes).unwrap();
        }
    }
    let damaged = lab.run(["info", "--json"]).failed(14, "is damaged").json_error();
    assert_eq!(damaged["error"]["code"], "E_DAMAGED");
}

#[test]
fn a_key_file_is_made_by_init_for_its_owner_only_and_never_replaced() {
    let mut lab = Lab::empty();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    let ended = lab.run(["init", "--key-file", "key"]).succeeded();
    assert!(ended.stderr.contains("KEEP A COPY"), "{}", ended.stderr);
    let mode = std::fs::metadata(lab.path("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    lab.file("a", "content");
    lab.run(["ingest", "a", "--key-file", "key"]).succeeded();
    lab.run(["info", "--key-file", "other"]).failed(12, "cannot read the key file");
    assert!(!lab.path("other").exists());
    // The same key file may open a second repository; it is used, not replaced.
    let before = std::fs::read(lab.path("key")).unwrap();
    lab.run(["init", "--key-file", "key", "--repo", "second"]).succeeded();
    assert_eq!(std::fs::read(lab.path("key")).unwrap(), before);
    lab.file("no-key", "hello");
    lab.run(["init", "--key-file", "no-key", "--repo", "third"]).failed(12, "no key file");
}

#[test]
fn a_write_key_adds_snapshots_and_an_admin_restores_them() {
    let mut lab = Lab::encrypted();
    lab.file("a", "from the writer");
    let added = ["key", "add", "--capability", "write", "--label", "w", "--new-key-file", "writer", "--json"];
    let added = lab.run(added).succeeded().json();
    assert!(added["added"].is_string());
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    let writer = ["--key-file", "writer"];
    lab.run([&["ingest", "a"], &writer[..]].concat()).succeeded();
    for refused in [
        &["restore", "latest", "--to", "-"][..],
        &["snapshots"],
        &["show", "latest"],
        &["key", "add", "--capability", "admin", "--new-key-file", "more"],
        &["key", "passwd", "--new-key-file", "more"],
        &["key", "remove", added["added"].as_str().unwrap()],
    ] {
        lab.run([refused, &writer].concat()).failed(12, "needs an admin key");
    }
    assert!(!lab.path("more").exists());
    let info = lab.run([&["info", "--json"], &writer[..]].concat()).succeeded().json();
    assert_eq!(info["capability"], "write");
    // A writer sees no labels.
    let keys = lab.run([&["key", "list", "--json"], &writer[..]].concat()).succeeded().json();
    assert!(keys["keys"][0]["label"].is_null());
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "correct horse");
    assert_eq!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout, b"from the writer");
    let keys = lab.run(["key", "list", "--json"]).succeeded().json();
    assert_eq!(keys["schema"], "containerarchive/keys/1");
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert_eq!(keys["keys"][1]["label"], "w");
    assert_eq!(keys["keys"][1]["kdf"]["algorithm"], "key-file");
}

#[test]
fn a_second_key_opens_until_it_is_removed_and_the_last_admin_stays() {
    let mut lab = Lab::encrypted();
    lab.set("CONTAINERARCHIVE_NEW_PASSPHRASE", "second");
    let added =
        lab.run(["key", "add", "--capability", "admin", "--label", "two", "--json"]).succeeded().json();
    let id = added["added"].as_str().unwrap().to_owned();
    lab.run(["key", "add", "--capability", "write"]).failed(2, "is in use already");
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "second");
    lab.run(["info"]).succeeded();
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "correct horse");
    lab.run(["key", "remove", "zz"]).failed(1, "no key's id begins with");
    lab.run(["key", "remove", ""]).failed(1, "begin with ''");
    let ended = lab.run(["key", "remove", &id[..10]]).succeeded();
    assert!(ended.stderr.contains("revokes nothing"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
    let keys = lab.run(["key", "list", "--json"]).succeeded().json();
    let last = keys["keys"][0]["id"].as_str().unwrap();
    lab.run(["key", "remove", last]).failed(2, "last one with the admin capability");
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "second");
    lab.run(["info"]).failed(12, "wrong passphrase");
}

#[test]
fn passwd_replaces_the_key_that_was_given_and_keeps_its_label() {
    let mut lab = Lab::encrypted();
    lab.file("a", "content");
    lab.run(["ingest", "a"]).succeeded();
    lab.file("new", "battery staple\n");
    let ended = lab.run(["key", "passwd", "--new-passphrase-file", "new", "--kdf", KDF]).succeeded();
    assert!(ended.text().contains("replaced by"), "{}", ended.text());
    lab.run(["info"]).failed(12, "wrong passphrase");
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "battery staple");
    assert_eq!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout, b"content");
    let keys = lab.run(["key", "list", "--json"]).succeeded().json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0]["label"], "first");
    lab.run(["key", "passwd", "--new-passphrase-file", "new"]).failed(2, "is in use already");
}

#[test]
fn writers_of_one_domain_share_it_by_name() {
    let lab = Lab::encrypted();
    for file in ["w1", "w2"] {
        let arguments = [
            "key",
            "add",
            "--capability",
            "write",
            "--domain",
            "web",
            "--label",
            file,
            "--new-key-file",
            file,
        ];
        lab.run(arguments).succeeded();
    }
    let keys = lab.run(["key", "list", "--json"]).succeeded().json();
    assert_eq!(keys["keys"][1]["domainName"], "web");
    assert_eq!(keys["keys"][1]["domain"], keys["keys"][2]["domain"]);
    lab.run(["key", "add", "--capability", "admin", "--domain", "x", "--new-key-file", "k"])
        .failed(2, "--domain");
}

#[test]
fn a_plain_repository_has_no_keys() {
    let lab = Lab::plain();
    assert!(lab.run(["key", "list"]).succeeded().text().contains("not encrypted"));
    lab.run(["key", "add", "--capability", "admin", "--new-key-file", "k"]).failed(2, "not encrypted");
    assert!(!lab.path("k").exists());
}

#[test]
fn removing_the_key_in_use_is_done_and_told() {
    for json in [false, true] {
        let lab = Lab::encrypted();
        lab.run(["key", "add", "--capability", "admin", "--new-key-file", "spare"]).succeeded();
        let used = lab.run(["info", "--json"]).succeeded().json()["key"].as_str().unwrap().to_owned();
        let more = if json { &["--json"][..] } else { &[] };
        let ended = lab.run([&["key", "remove", &used], more].concat()).succeeded();
        let told = "is the one that this command was given";
        if json {
            assert!(ended.json()["problems"][0]["text"].as_str().unwrap().contains(told), "{}", ended.text());
        } else {
            assert!(ended.stderr.contains("warning:") && ended.stderr.contains(told), "{}", ended.stderr);
        }
        lab.run(["info"]).failed(12, "wrong passphrase");
        let spare = ["info", "--key-file", "spare", "--json"];
        let last = lab.run(spare).succeeded().json()["key"].as_str().unwrap().to_owned();
        // What is refused is not told as done.
        let ended = lab.run(["key", "remove", &last, "--key-file", "spare"]).failed(2, "last one");
        assert!(!ended.stderr.contains(told), "{}", ended.stderr);
    }
}
