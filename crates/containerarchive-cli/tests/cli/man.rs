//! Manual pages.

use std::collections::BTreeSet;
use std::process::Command;

use super::support::Lab;

#[test]
fn every_verb_has_a_page_with_exit_codes_and_variables() {
    let lab = Lab::empty();
    lab.run(["man", "--to", "pages"]).succeeded();
    let names: BTreeSet<String> = std::fs::read_dir(lab.path("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let help = lab.run(["--help"]).succeeded();
    let commands = help.text().split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let verbs = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for verb in verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help") {
        assert!(names.contains(&format!("containerarchive-{verb}.1")), "{verb} of {names:?}");
    }
    assert!(names.contains("containerarchive.1") && names.contains("containerarchive-key-add.1"));
    for name in &names {
        let page = std::fs::read_to_string(lab.path("pages").join(name)).unwrap();
        for section in
            [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH \"EXIT STATUS\"", ".SH ENVIRONMENT"]
        {
            assert!(page.contains(section), "{section} in {name}");
        }
    }
    let main = lab.run(["man"]).succeeded();
    assert_eq!(main.stdout, std::fs::read(lab.path("pages/containerarchive.1")).unwrap());
    for words in [
        ".SH FILES",
        ".SH EXAMPLES",
        "CONTAINERARCHIVE_PASSPHRASE_COMMAND",
        "E_STALE",
        "CONTAINERARCHIVE_MAX_AGE",
    ] {
        assert!(main.text().contains(words), "{words}");
    }
    let page = std::fs::read_to_string(lab.path("pages/containerarchive-ingest.1")).unwrap();
    assert!(page.contains(".SH EXAMPLES") && page.contains("CONTAINERARCHIVE_SERIES"));
}

#[test]
fn formatters_find_nothing_wrong() {
    let lab = Lab::empty();
    lab.run(["man", "--to", "pages"]).succeeded();
    let pages: Vec<_> =
        std::fs::read_dir(lab.path("pages")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // A page without a date is one that is the same every day.
    for (program, arguments) in
        [("groff", &["-man", "-Tutf8", "-ww", "-z"][..]), ("mandoc", &["-Tlint", "-Werror"])]
    {
        if Command::new(program).arg("--version").output().is_err() {
            println!("SKIPPED: {program} is not installed, so pages were not checked by it");
            continue;
        }
        for page in &pages {
            let output = Command::new(program).args(arguments).arg(page).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && told.is_empty(), "{program} {}: {told}", page.display());
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let lab = Lab::empty();
    lab.file("file", "");
    lab.run(["man", "--to", "file/pages"]).failed(1, "cannot write manual pages");
}

#[test]
fn the_folder_of_a_restore_gets_no_manual_pages() {
    let mut lab = Lab::empty();
    lab.set("CONTAINERARCHIVE_TO", "restored");
    assert!(lab.run(["man"]).succeeded().text().contains(".SH NAME"));
    assert!(!lab.path("restored").exists());
}

#[test]
fn json_of_what_is_no_document_is_refused_where_it_is_typed() {
    let mut lab = Lab::empty();
    for arguments in
        [&["man", "--json"][..], &["--json", "man", "--to", "pages"], &["completions", "bash", "--json"]]
    {
        let ended = lab.run(arguments).failed(2, "there is no JSON document");
        assert_eq!(ended.json_error()["error"]["code"], "E_USAGE");
        assert_eq!(ended.stdout, b"");
    }
    assert!(!lab.path("pages").exists());
    // The environment speaks of all verbs, and this is in the startup files of shells.
    lab.set("CONTAINERARCHIVE_JSON", "1");
    assert!(lab.run(["completions", "bash"]).succeeded().text().contains("complete"));
}
