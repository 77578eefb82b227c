//! Completions, by the shells themselves where they are installed.

use std::path::Path;
use std::process::Command;

use super::support::Lab;

/// Completes the last of these words in bash, as a user who presses Tab there.
fn complete(lab: &Lab, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source \"$1\"; COMP_WORDS=({}); COMP_CWORD={}; COMP_TYPE=9\n\
         _clap_complete_containerarchive containerarchive \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1
    );
    let registration = lab.run(["completions", "bash"]).succeeded();
    let path = lab.file("completions.bash", &registration.stdout);
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-c", &script, "bash", &path]).current_dir(lab.path(""));
    for (name, value) in lab.command([] as [&str; 0]).get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    let output = bash.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "a completion is silent");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

#[test]
fn bash_completes_verbs_snapshots_items_series_and_keys() {
    let lab = Lab::encrypted();
    lab.pipe(b"x", ["ingest", "--name", "a.sql", "-"]).succeeded();
    lab.pipe(b"y", ["ingest", "--name", "b.tar", "--series", "weekly", "-"]).succeeded();
    let ids: Vec<String> =
        lab.snapshots().iter().rev().map(|snapshot| snapshot["id"].as_str().unwrap().to_owned()).collect();
    let short: Vec<&str> = ids.iter().map(|id| &id[..8]).collect();
    let program = "containerarchive";
    assert_eq!(complete(&lab, &[program, "sna"]), ["snapshots"]);
    assert_eq!(complete(&lab, &[program, "show", ""]), ["latest", short[0], short[1]]);
    assert_eq!(complete(&lab, &[program, "show", &ids[1][..7]]), [short[1]]);
    assert_eq!(complete(&lab, &[program, "show", &ids[1][..20]]), [&ids[1][..20]]);
    assert_eq!(complete(&lab, &[program, "restore", "latest", "--item", ""]), ["b.tar"]);
    assert_eq!(complete(&lab, &[program, "restore", &ids[1], "--item", ""]), ["a.sql"]);
    assert_eq!(complete(&lab, &[program, "snapshots", "--series", ""]), ["a.sql", "weekly"]);
    let key = lab.run(["key", "list", "--json"]).succeeded().json()["keys"][0]["id"].clone();
    assert_eq!(complete(&lab, &[program, "key", "remove", ""]), [key.as_str().unwrap()]);
    assert!(complete(&lab, &[program, "show", "--"]).contains(&"--key-file".to_owned()));
    // What is typed goes before the environment.
    assert_eq!(complete(&lab, &[program, "--repo", "elsewhere", "show", ""]), ["latest"]);
}

#[test]
fn without_a_key_at_hand_only_latest_is_offered_and_nobody_is_asked() {
    let mut lab = Lab::encrypted();
    lab.pipe(b"x", ["ingest", "-"]).succeeded();
    let words = ["containerarchive", "show", ""];
    lab.set("CONTAINERARCHIVE_PASSPHRASE", "wrong");
    assert_eq!(complete(&lab, &words), ["latest"]);
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    assert_eq!(complete(&lab, &words), ["latest"]);
    // Such a command may open a window that asks.
    lab.set("CONTAINERARCHIVE_PASSPHRASE_COMMAND", "touch ran; echo 'correct horse'");
    assert_eq!(complete(&lab, &words), ["latest"]);
    assert!(!lab.path("ran").exists());
    lab.unset("CONTAINERARCHIVE_PASSPHRASE_COMMAND");
    // Nor is a passphrase read from a terminal or pipe.
    lab.set("CONTAINERARCHIVE_PASSPHRASE_FILE", "/dev/stdin");
    assert_eq!(complete(&lab, &words), ["latest"]);
    let file = lab.file("passphrase", "correct horse");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    lab.set("CONTAINERARCHIVE_PASSPHRASE_FILE", file);
    assert_eq!(complete(&lab, &words).len(), 2, "a warning about the file's mode is not printed either");
}

#[test]
fn a_completion_leaves_no_trace_and_offers_nothing_that_a_shell_would_run() {
    let lab = Lab::plain();
    lab.pipe(b"x", ["ingest", "--item", "good=-", "--series", "s"]).succeeded();
    let file = lab.file("f", "x");
    let hostile = format!("$(touch ran)={file}");
    lab.run(["ingest", "--item", &hostile, "--item", &format!("fine={file}"), "--series", "`touch ran`"])
        .succeeded();
    std::fs::remove_dir_all(lab.path("state")).unwrap();
    assert_eq!(complete(&lab, &["containerarchive", "restore", "latest", "--item", ""]), ["fine"]);
    assert_eq!(complete(&lab, &["containerarchive", "snapshots", "--series", ""]), ["s"]);
    assert!(!lab.path("ran").exists());
    assert!(!lab.path("state").exists(), "the client's notes are not written");
    assert!(lab.objects("locks").is_empty());
}

#[test]
fn scripts_of_other_shells_are_scripts_of_those_shells() {
    let lab = Lab::empty();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = lab.run(["completions", shell]).succeeded();
        assert!(script.text().contains("CONTAINERARCHIVE_COMPLETE"), "{shell}");
        let path = lab.file(&format!("script.{shell}"), &script.stdout);
        if !is_there(shell) {
            println!("SKIPPED: {shell} is not installed, so its script was not checked");
            continue;
        }
        let output = Command::new(shell).args([check, &path]).output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
    lab.run(["completions", "tcsh"]).failed(2, "zsh");
}

#[test]
fn the_script_calls_this_very_program() {
    let lab = Lab::empty();
    let script = lab.run(["completions", "bash"]).succeeded();
    let program = env!("CARGO_BIN_EXE_containerarchive");
    assert!(Path::new(program).is_absolute() && script.text().contains(program), "{}", script.text());
}
