//! `ingest --command`, and what items are checked for at their end.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::support::{Ended, Lab, noise};

/// A repository, and as many threads as there are commands to run at once.
fn lab() -> Lab {
    let mut lab = Lab::plain();
    lab.set("CONTAINERARCHIVE_THREADS", "4");
    lab
}

#[track_caller]
fn check_nothing_was_made(lab: &Lab) {
    assert!(lab.snapshots().is_empty());
    assert_eq!(lab.objects("locks").len(), 0);
}

fn shown(lab: &Lab) -> Value {
    lab.run(["show", "latest", "--json"]).succeeded().json()["snapshot"].clone()
}

/// What commands have written to this file: a number on each line.
fn numbers(path: &Path, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') && text.lines().count() == count {
            return text.lines().map(str::to_owned).collect();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{count} numbers were expected: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Gone, or a zombie whose new parent has not looked yet.
#[track_caller]
fn check_ended(process: &str) {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn commands_and_files_are_one_snapshot_with_evidence() {
    let lab = lab();
    lab.file("file", "content");
    let made = lab.run([
        "ingest",
        "file",
        "--command",
        "app.sql=seq 1000000 | sed s/1/2/",
        "--command",
        "db/warned=echo 'A=1'; echo careful >&2",
    ]);
    let stderr = made.succeeded().stderr;
    assert!(stderr.contains("'db/warned' succeeded") && stderr.contains("careful"), "{stderr}");
    lab.run(["restore", "latest", "--to", "out"]).succeeded();
    let expected: String =
        (1..=1_000_000).map(|number| format!("{}\n", number.to_string().replacen('1', "2", 1))).collect();
    assert!(std::fs::read_to_string(lab.path("out/app.sql")).unwrap() == expected);
    assert_eq!(std::fs::read(lab.path("out/db/warned")).unwrap(), b"A=1\n");
    let snapshot = shown(&lab);
    let items = snapshot["items"].as_array().unwrap();
    assert!(items[0].get("evidence").is_none());
    let evidence = &items[1]["evidence"];
    assert_eq!(
        evidence["argv"],
        serde_json::json!(["bash", "-o", "pipefail", "-c", "seq 1000000 | sed s/1/2/"])
    );
    assert_eq!((&evidence["exitCode"], &evidence["bytes"]), (&0.into(), &items[1]["size"]));
    assert!(evidence["durationMs"].is_u64());
    assert_eq!(
        (&items[2]["evidence"]["stderrTail"], &items[2]["evidence"]["stderrBytes"]),
        (&"careful".into(), &8.into())
    );
    assert!(lab.snapshots()[0]["items"][1].get("evidence").is_none());
    let text = lab.run(["show", "latest"]).succeeded();
    assert!(text.text().contains("output of: seq 1000000 | sed s/1/2/"), "{}", text.text());
    assert!(text.text().contains("| careful"), "{}", text.text());
    let quiet = lab
        .run([
            "ingest",
            "--quiet",
            "--series",
            "app.sql,db/warned,file",
            "--command",
            "a=echo x; echo careful >&2",
        ])
        .succeeded();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_command_that_fails_in_any_way_leaves_no_snapshot() {
    for threads in ["1", "4"] {
        let mut lab = lab();
        lab.set("CONTAINERARCHIVE_THREADS", threads);
        lab.file("file", "content");
        for (command, told) in [
            ("echo out; echo broken >&2; exit 3", "exit code 3; it said: broken"),
            ("echo out; kill -9 $$", "killed by signal 9, SIGKILL"),
            ("no-such-command", "exit code 127 (command not found); it said: bash"),
            ("false | cat", "exit code 1"),
            ("cat file | false", "exit code 1"),
            ("./file", "exit code 126"),
        ] {
            let item = format!("app.sql={command}");
            let ended = lab.run(["ingest", "file", "--command", &item, "--command", "b=echo b"]);
            ended.failed(1, "item 'app.sql'").failed(1, told);
        }
        check_nothing_was_made(&lab);
    }
}

#[test]
fn a_missing_bash_is_told() {
    let mut lab = lab();
    lab.set("PATH", "/nowhere");
    lab.run(["ingest", "--command", "a=true"]).failed(1, "install bash");
    check_nothing_was_made(&lab);
}

#[test]
fn what_a_failing_command_wrote_is_used_by_the_next_ingest() {
    let lab = Lab::plain();
    lab.file("content", noise(40_000_000));
    lab.run(["ingest", "--command", "a=cat content; exit 1"]).failed(1, "exit code 1");
    check_nothing_was_made(&lab);
    lab.run(["ingest", "--command", "a=cat content"]).succeeded();
    let snapshot = shown(&lab);
    let [new, reused] = ["newChunks", "reusedChunks"].map(|member| snapshot[member].as_u64().unwrap());
    assert!(reused > new, "{reused} reused, {new} new");
    assert!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout == noise(40_000_000));
}

#[test]
fn commands_run_at_the_same_time() {
    let lab = lab();
    // Each waits for the other.
    let waits = |mine: &str, other: &str| {
        format!("{mine}=touch {mine}; until [ -e {other} ]; do sleep 0.01; done; echo {mine}")
    };
    lab.run(["ingest", "--command", &waits("a", "b"), "--command", &waits("b", "a")]).succeeded();
}

#[test]
fn one_thread_runs_one_command_after_the_other() {
    let lab = Lab::plain();
    let mut arguments = vec!["ingest".to_owned()];
    for number in 0..10 {
        arguments
            .extend(["--command".to_owned(), format!("{number}=seq {number}00000; echo {number} >> order")]);
    }
    lab.run(arguments).succeeded();
    assert_eq!(std::fs::read_to_string(lab.path("order")).unwrap(), "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
}

#[test]
fn secrets_are_neither_stored_nor_told_nor_given_to_commands() {
    let mut lab = Lab::encrypted();
    lab.set("CONTAINERARCHIVE_NEW_PASSPHRASE", "another-horse");
    let commands = [
        "a=PGPASSWORD=geheim true; echo geheim >&2",
        "b=echo 'postgres://me:geheim@host/app' >&2",
        "c=echo --password 'geheim geheim' -- >&2",
        "d=: <<< geheim",
        "env.txt=env",
    ];
    let arguments = commands.iter().flat_map(|command| ["--command", command]);
    let made = lab.run(["ingest"].into_iter().chain(arguments)).succeeded();
    assert!(!made.stderr.contains("geheim"), "{}", made.stderr);
    for arguments in [&["show", "latest", "--json"][..], &["show", "latest"]] {
        let shown = lab.run(arguments).succeeded();
        assert!(shown.text().contains("***") && !shown.text().contains("geheim"), "{}", shown.text());
    }
    let environment = lab.run(["restore", "latest", "--item", "env.txt", "--to", "-"]).succeeded();
    assert!(environment.text().contains("PATH="));
    assert!(!environment.text().contains("horse"), "{}", environment.text());
    lab.set("CONTAINERARCHIVE_COMMAND", "env.txt=env; exit 1");
    let failed = lab.run(["ingest", "--command", "a=DB_TOKEN=geheim bash -c 'echo no geheim >&2; exit 1'"]);
    let failed = failed.failed(1, "it said: no ***");
    assert!(!failed.stderr.contains("geheim"), "{}", failed.stderr);
}

#[test]
fn a_key_that_is_named_by_a_variable_is_not_named_to_commands() {
    let mut lab = Lab::empty();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    lab.set("CONTAINERARCHIVE_KEY_FILE", "secret.key");
    lab.set("CONTAINERARCHIVE_COMMAND", "env.txt=env");
    lab.run(["ingest", "--init"]).succeeded();
    let environment = lab.run(["restore", "latest", "--to", "-"]).succeeded();
    assert!(!environment.text().contains("secret.key"), "{}", environment.text());
    assert!(!environment.text().contains("CONTAINERARCHIVE_COMMAND"), "{}", environment.text());
}

#[test]
fn an_interrupt_ends_commands_and_all_that_they_started() {
    for signal in [Signal::INT, Signal::TERM] {
        let lab = lab();
        // One that waits for its parts, and one that writes for ever.
        let sleeps = "a=(sleep 600 & echo $! >> numbers; wait) & echo $$ >> numbers; wait";
        let writes = "b=echo $$ >> numbers; yes";
        let child = lab.spawn(["ingest", "--command", sleeps, "--command", writes]);
        let processes = numbers(&lab.path("numbers"), 3);
        kill_process(Pid::from_child(&child), signal).unwrap();
        Ended::from(child.wait_with_output().unwrap()).failed(130, "interrupted");
        for process in processes {
            check_ended(&process);
        }
        check_nothing_was_made(&lab);
    }
}

#[test]
fn a_failing_item_ends_the_commands_of_the_others() {
    let lab = lab();
    let fails = "a=until [ -s numbers ]; do sleep 0.01; done; exit 3";
    let sleeps = "b=echo $$ >> numbers; sleep 600";
    lab.run(["ingest", "--command", fails, "--command", sleeps]).failed(1, "item 'a'");
    check_ended(&numbers(&lab.path("numbers"), 1)[0]);
    check_nothing_was_made(&lab);
}

#[test]
fn a_command_that_closed_its_output_is_waited_for() {
    let lab = lab();
    lab.run(["ingest", "--command", "a=echo x; exec >&-; sleep 0.3; exit 5"]).failed(1, "exit code 5");
    lab.run(["ingest", "--command", "a=echo x; exec >&-; sleep 0.3; touch done"]).succeeded();
    assert!(lab.path("done").exists());
}

#[test]
fn items_that_are_too_small_leave_no_snapshot() {
    for threads in ["1", "4"] {
        let mut lab = lab();
        lab.set("CONTAINERARCHIVE_THREADS", threads);
        lab.file("a", [b'x'; 1023]);
        let command = ["ingest", "--min-size", "1KiB", "--command", "b=head -c 1024 /dev/zero"];
        lab.run(command).succeeded();
        let told = "item 'a' has 1023 bytes, and at least 1024 were asked for";
        lab.run(command.iter().chain(&["a"])).failed(1, told);
        lab.set("CONTAINERARCHIVE_MIN_SIZE", "1024");
        lab.run(["ingest", "a"]).failed(1, told);
        // What the command itself says explains more.
        lab.run(["ingest", "--command", "b=exit 7"]).failed(1, "exit code 7");
        assert_eq!(lab.snapshots().len(), 1);
        lab.run(["ingest", "--min-size", "much", "a"]).failed(2, "is not a size");
    }
}

#[test]
fn items_without_the_expected_tail_leave_no_snapshot() {
    for threads in ["1", "4"] {
        let mut lab = lab();
        lab.set("CONTAINERARCHIVE_THREADS", threads);
        let dump = "seq 300000; echo '-- PostgreSQL database dump complete --'; echo";
        lab.file("a", "-- PostgreSQL database dump complete");
        lab.set("CONTAINERARCHIVE_EXPECT_TAIL", "database dump complete");
        lab.run(["ingest", "a", "--command", &format!("b={dump}")]).succeeded();
        let told = "the last 4 KiB of item 'b' do not contain 'database dump complete'";
        lab.run(["ingest", "a", "--command", &format!("b=({dump}) | sed '$d' | sed '$d'")]).failed(1, told);
        lab.run(["ingest", "a", "--command", &format!("b={dump}; seq 300000")]).failed(1, told);
        assert_eq!(lab.snapshots().len(), 1);
        lab.run(["ingest", "a", "--expect-tail", "-- PostgreSQL"]).succeeded();
        lab.run(["ingest", "a", "--expect-tail", ""]).failed(2, "0 bytes");
        lab.run(["ingest", "a", "--expect-tail", &"x".repeat(4097)]).failed(2, "4097 bytes");
    }
}

#[test]
fn an_item_of_less_than_half_of_its_last_size_is_warned_of() {
    let lab = lab();
    let ingest = |size: &str, more: &[&str]| {
        let item = format!("a=head -c {size} /dev/zero");
        let arguments = [&["ingest", "--json", "--command", &item], more].concat();
        lab.run(arguments).succeeded().json()["problems"].to_string()
    };
    assert_eq!(ingest("1000", &[]), "[]");
    assert_eq!(ingest("500", &[]), "[]");
    let warned = ingest("249", &[]);
    assert!(warned.contains("item 'a' has 249 bytes, less than half of the 500"), "{warned}");
    assert_eq!(ingest("249", &[]), "[]");
    // Of another series, and of a time before all others.
    assert!(!ingest("10", &["--series", "other"]).contains("half"));
    assert_eq!(ingest("10", &["--time", "2020-01-01"]), "[]");
}

#[test]
fn a_write_key_cannot_compare_sizes_and_ingests_all_the_same() {
    let lab = Lab::encrypted();
    lab.run(["key", "add", "--capability", "write", "--new-key-file", "w.key"]).succeeded();
    for size in ["1000", "1"] {
        let item = format!("a=head -c {size} /dev/zero");
        let made = lab.run(["ingest", "--key-file", "w.key", "--json", "--command", &item]).succeeded();
        assert_eq!(made.json()["problems"], serde_json::json!([]));
    }
}

#[test]
fn hostile_messages_stay_escaped_and_bounded() {
    let lab = lab();
    let hostile = r"echo out; head -c 100000000 /dev/zero >&2; printf '\n\033[2J\033]0;x\007 \xff\xfe \xe2\x80\xae\n' >&2";
    let item = format!("a={hostile}");
    let made = lab.run(["ingest", "--command", &item]).succeeded();
    let shown_text = lab.run(["show", "latest"]).succeeded();
    let failed = lab.run(["ingest", "--command", &format!("{item}; exit 1")]).failed(1, "exit code 1");
    for text in [&made.stderr, shown_text.text(), &failed.stderr] {
        assert!(text.contains("\\u{1b}[2J") && text.contains('\u{fffd}'), "{text}");
        assert!(
            !text.chars().any(|sign| sign != '\n' && (sign.is_control() || sign == '\u{202e}')),
            "{text:?}"
        );
        assert!(text.len() < 10_000);
    }
    let evidence = &shown(&lab)["items"][0]["evidence"];
    assert!(evidence["stderrBytes"].as_u64().unwrap() > 100_000_000);
    assert!(evidence["stderrTail"].as_str().unwrap().len() < 100);
}

#[test]
fn a_source_that_fails_while_it_is_read_is_named() {
    for threads in ["1", "4"] {
        let mut lab = lab();
        lab.set("CONTAINERARCHIVE_THREADS", threads);
        lab.file("a", "content");
        // The memory at address 0 opens and cannot be read: EIO.
        let ended = lab.run(["ingest", "a", "--item", "x=/proc/self/mem"]);
        ended.failed(1, "item 'x': /proc/self/mem: Input/output error");
        check_nothing_was_made(&lab);
    }
}

#[test]
fn a_command_needs_a_name() {
    let lab = lab();
    lab.run(["ingest", "--command", "pg_dump app"]).failed(2, "NAME=COMMAND");
    lab.run(["ingest", "--command", "../a=true"]).failed(2, "cannot be an item's name");
    lab.run(["ingest", "--command", "a=true", "--command", "a=touch ran"])
        .failed(2, "two items are named 'a'");
    assert!(!lab.path("ran").exists());
}
