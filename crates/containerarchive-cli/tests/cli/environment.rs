//! Options by environment, help, progress.

use super::support::{Lab, noise};

#[test]
fn options_are_read_from_the_environment() {
    let mut lab = Lab::plain();
    lab.set("CONTAINERARCHIVE_JSON", "1");
    lab.set("CONTAINERARCHIVE_TAG", "from=environment");
    lab.set("CONTAINERARCHIVE_SERIES", "nightly");
    let document = lab.pipe(b"x", ["ingest", "-"]).succeeded().json();
    assert_eq!(document["schema"], "containerarchive/ingest/1");
    assert_eq!(document["snapshot"]["tags"]["from"], "environment");
    assert_eq!(document["snapshot"]["series"], "nightly");
    lab.set("CONTAINERARCHIVE_JSON", "0");
    assert!(lab.run(["info"]).succeeded().text().starts_with("repository"));
    lab.set("CONTAINERARCHIVE_REPO", "nowhere");
    lab.run(["info"]).failed(10, "nowhere");
}

#[test]
fn the_state_folder_follows_the_xdg_rules() {
    let mut lab = Lab::empty();
    lab.unset("CONTAINERARCHIVE_STATE_DIR");
    let state = lab.path("xdg").display().to_string();
    lab.set("XDG_STATE_HOME", state);
    lab.run(["init"]).succeeded();
    assert_eq!(std::fs::read_dir(lab.path("xdg/containerarchive")).unwrap().count(), 1);
}

#[test]
fn help_names_verbs_keys_and_exit_codes_and_hides_values() {
    let lab = Lab::empty();
    let help = lab.run(["--help"]).succeeded();
    for word in [
        "init",
        "ingest",
        "restore",
        "snapshots",
        "show",
        "key",
        "info",
        "CONTAINERARCHIVE_PASSPHRASE",
        "130",
    ] {
        assert!(help.text().contains(word), "{word}");
    }
    assert!(!help.text().contains(lab.repository().to_str().unwrap()));
    assert!(lab.run(["--version"]).succeeded().text().starts_with("containerarchive "));
}

#[test]
fn short_help_tells_the_verbs_own_options_and_long_help_all_of_them_with_their_variables() {
    let lab = Lab::empty();
    let short = lab.run(["ingest", "-h"]).succeeded();
    let long = lab.run(["ingest", "--help"]).succeeded();
    for option in ["--series", "--repo", "--json", "Examples:"] {
        assert!(short.text().contains(option) && long.text().contains(option), "{option}");
    }
    for option in ["--passphrase-file <", "--threads <", "CONTAINERARCHIVE_SERIES"] {
        assert!(!short.text().contains(option) && long.text().contains(option), "{option}");
    }
    assert!(short.text().contains("--help"));
    assert_eq!(lab.run(["help", "ingest"]).succeeded().text(), long.text());
}

#[test]
fn progress_is_json_lines_when_asked_for_and_nothing_when_quiet() {
    let lab = Lab::plain();
    lab.file("a", noise(9_000_000));
    let ended = lab.run(["ingest", "a", "--progress", "json"]).succeeded();
    let first: serde_json::Value = serde_json::from_str(ended.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(first["schema"], "containerarchive/progress/1");
    assert_eq!(first["operation"], "ingest");
    assert_eq!(first["totalBytes"], 9_000_000);
    assert!(first["percentage"].as_u64().unwrap() <= 99);
    assert_eq!(lab.run(["ingest", "a", "--quiet"]).succeeded().stderr, "");
    assert_eq!(lab.run(["ingest", "a"]).succeeded().stderr, "");
}

#[test]
fn an_empty_variable_of_an_option_counts_as_not_set() {
    let mut lab = Lab::plain();
    let names = [
        "SERIES",
        "TAG",
        "TIME",
        "JSON",
        "QUIET",
        "PROGRESS",
        "THREADS",
        "COMMAND",
        "NAME",
        "TYPE",
        "MIN_SIZE",
        "EXPECT_TAIL",
        "INIT",
        "NO_ENCRYPTION",
        "COMPRESSION",
        "PACK_SIZE",
        "CHUNK_SIZE",
        "KDF",
        "PASSPHRASE_FILE",
        "PASSPHRASE_COMMAND",
        "KEY_FILE",
        "AFTER",
        "BEFORE",
        "MAX_AGE",
    ];
    for name in names {
        lab.set(format!("CONTAINERARCHIVE_{name}").leak(), "");
    }
    lab.file("a", "content");
    lab.run(["ingest", "a"]).succeeded();
    assert_eq!(lab.snapshots()[0]["series"], "a");
    for arguments in [&["status"][..], &["snapshots"], &["restore", "latest", "--to", "-"]] {
        lab.run(arguments).succeeded();
    }
    // Help speaks of all variables, and mistakes of those that are none.
    assert!(lab.run(["ingest", "--help"]).succeeded().text().contains("CONTAINERARCHIVE_SERIES"));
    lab.run(["ingest", "--frobnicate"]).failed(2, "--frobnicate");
    lab.set("CONTAINERARCHIVE_STATE_DIR", "");
    lab.set("XDG_STATE_HOME", lab.path("xdg").display().to_string());
    lab.run(["info"]).succeeded();
    assert!(lab.path("xdg/containerarchive").exists());
    lab.set("CONTAINERARCHIVE_REPO", "");
    lab.run(["info"]).failed(2, "which repository?");
}
