//! What people see: progress, colours, prompts, and the end of it all by Ctrl-C.

use std::io::{Read, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::pty::{OnTerminal, Pipes, columns, has_colour, pieces};
use super::support::{Ended, Lab, PASSPHRASE, noise};

/// More than all buffers on the way hold, several times.
pub(crate) const CONTENT_BYTES: usize = 40_000_000;
const STDIN: Pipes = Pipes { stdin: true, stdout: false };
const STDOUT: Pipes = Pipes { stdin: false, stdout: true };

/// With a terminal's environment and nothing of the caller's that changes what is shown.
fn command(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = lab.command(arguments);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    command
}

fn on_terminal(lab: &Lab, arguments: &[&str]) -> OnTerminal {
    OnTerminal::start(command(lab, arguments), 100, Pipes::default())
}

/// With one snapshot of one item.
pub(crate) fn lab_with(name: &str) -> Lab {
    let lab = Lab::plain();
    lab.pipe(&noise(CONTENT_BYTES), ["ingest", "--name", name, "-"]).succeeded();
    lab
}

/// A restore whose content goes to a pipe that the test reads as it likes.
fn begin_restore(lab: &Lab, width: u16, arguments: &[&str]) -> (OnTerminal, ChildStdout) {
    let arguments = [&["restore", "latest", "--to", "-"], arguments].concat();
    let mut restore = OnTerminal::start(command(lab, &arguments), width, STDOUT);
    let output = restore.stdout();
    (restore, output)
}

fn read(output: &mut ChildStdout, bytes: usize) {
    output.read_exact(&mut vec![0; bytes]).unwrap();
}

fn read_to_end(mut output: ChildStdout) -> usize {
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    rest.len()
}

/// An ingest from a pipe that has delivered something and is still open.
fn begin_ingest(lab: &Lab, arguments: &[&str]) -> (OnTerminal, std::process::ChildStdin) {
    let arguments = [&["ingest", "--name", "dumps/app.sql", "-"], arguments].concat();
    let mut ingest = OnTerminal::start(command(lab, &arguments), 100, STDIN);
    let mut input = ingest.stdin();
    input.write_all(&noise(10_000_000)).unwrap();
    (ingest, input)
}

/// Only a defect makes a test wait for long.
fn eventually<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let found = (0..6_000).find_map(|_| {
        let found = look();
        if found.is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        found
    });
    found.unwrap_or_else(|| panic!("no {what} came"))
}

fn percentage(screen: &str) -> Option<u64> {
    let (before, _) = screen.split_once(" %")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[test]
fn percentages_grow_and_the_bar_is_gone_at_the_end() {
    let lab = lab_with("dumps/app.sql");
    let (restore, mut output) = begin_restore(&lab, 100, &[]);
    let mut shown = Vec::new();
    // What was written last is told a little later.
    for least in [10, 30, 50] {
        read(&mut output, CONTENT_BYTES / 5);
        let is_there = |screen: &str| percentage(screen).is_some_and(|percentage| percentage >= least);
        let screen = restore.wait_until("percentage", is_there);
        let line = screen.lines().next().unwrap().to_owned();
        assert!(line.starts_with("restore  [=") && line.contains(">"), "{line}");
        assert!(line.contains(" of 38.1 MiB") && line.contains("/s"), "{line}");
        assert!(line.ends_with("dumps/app.sql"), "{line}");
        assert_eq!(screen.lines().count(), 1, "{screen}");
        shown.push(percentage(&line).unwrap());
    }
    assert!(shown.is_sorted() && shown[0] < shown[2] && shown[2] <= 99, "{shown:?}");
    assert_eq!(read_to_end(output), CONTENT_BYTES - 3 * (CONTENT_BYTES / 5));
    restore.finish().ended(0).assert_tidy();
}

#[test]
fn a_stream_of_unknown_length_has_no_percentage() {
    let lab = Lab::plain();
    let (ingest, input) = begin_ingest(&lab, &[]);
    let screen = ingest.wait_for("MiB/s");
    assert!(screen.starts_with("ingest  ") && screen.contains("dumps/app.sql"), "{screen}");
    assert!(!screen.contains('%') && !screen.contains("left"), "{screen}");
    drop(input);
    let seen = ingest.finish().ended(0);
    seen.assert_tidy();
    assert!(seen.lines.iter().any(|line| line.starts_with("snapshot ")), "{:?}", seen.lines);
}

#[test]
fn nothing_is_drawn_when_quiet_or_on_a_terminal_that_understands_only_text() {
    let lab = Lab::plain();
    let (ingest, mut input) = begin_ingest(&lab, &["--quiet"]);
    // Longer than any line waits for.
    std::thread::sleep(Duration::from_secs(1));
    input.write_all(b"x").unwrap();
    assert_eq!(ingest.sent(), "");
    drop(input);
    let seen = ingest.finish().ended(0);
    assert!(seen.lines[0].starts_with("snapshot ") && !seen.text.contains('\x1b'), "{}", seen.text);

    for kind in ["dumb", ""] {
        let mut command = command(&lab, &["ingest", "-"]);
        command.env("TERM", kind);
        let mut ingest = OnTerminal::start(command, 100, STDIN);
        let mut input = ingest.stdin();
        input.write_all(&noise(6_000_000)).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        drop(input);
        let seen = ingest.finish().ended(0);
        assert!(!seen.text.contains('\x1b') && seen.text.contains("snapshot "), "{}", seen.text);
    }
}

#[test]
fn a_pipe_gets_no_escape_sequence_and_no_progress_of_what_is_quick() {
    let lab = Lab::encrypted();
    lab.file("a", noise(5_000_000));
    let run = |arguments: &[&str]| Ended::from(command(&lab, arguments).output().unwrap());
    assert_eq!(run(&["ingest", "a"]).succeeded().stderr, "");
    for arguments in [
        &["snapshots"][..],
        &["show", "latest"],
        &["restore", "latest", "--to", "out"],
        &["restore", "latest", "--to", "out"],
        &["show", "latest~7"],
        &["frobnicate"],
        &["--help"],
    ] {
        let ended = run(arguments);
        let text = String::from_utf8(ended.stdout).unwrap() + &ended.stderr;
        assert!(!text.is_empty() && !text.contains(['\x1b', '\r']), "{arguments:?}: {text:?}");
    }
}

#[test]
fn a_log_gets_a_line_every_thirty_seconds() {
    if std::env::var_os("CONTAINERARCHIVE_TEST_LONG").is_none() {
        println!("SKIPPED: takes more than a minute; set CONTAINERARCHIVE_TEST_LONG");
        return;
    }
    let lab = Lab::plain();
    let mut child = lab.spawn(["ingest", "--name", "slow", "-"]);
    let mut input = child.stdin.take().unwrap();
    for _ in 0..65 {
        input.write_all(&noise(100_000)).unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
    drop(input);
    let ended = Ended::from(child.wait_with_output().unwrap()).succeeded();
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("ingest: ") && line.contains("/s")), "{lines:?}");
    assert!(lines[2].starts_with("ingest: 6.2 MiB in 1 min "), "{lines:?}");
}

#[test]
fn lines_for_scripts_end_with_all_bytes_of_all_items() {
    let mut lab = Lab::plain();
    let mut arguments = vec!["ingest", "--progress", "json"];
    lab.set("CONTAINERARCHIVE_THREADS", "2");
    for name in ["a", "b", "c"] {
        lab.file(name, noise(9_000_000));
        arguments.push(name);
    }
    let ended = Ended::from(command(&lab, &arguments).output().unwrap()).succeeded();
    let lines: Vec<serde_json::Value> =
        ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(line["bytes"].as_u64().unwrap() <= 27_000_000, "{line}");
    }
    let last = lines.last().unwrap();
    assert_eq!((&last["bytes"], &last["percentage"]), (&27_000_000.into(), &100.into()));
}

#[test]
fn colours_are_for_terminals_and_for_people_who_want_them() {
    let lab = Lab::empty();
    let see = |set: &[(&str, &str)], arguments: &[&str]| {
        let mut command = command(&lab, arguments);
        command.envs(set.iter().copied());
        OnTerminal::start(command, 100, Pipes::default()).finish()
    };
    for set in [&[][..], &[("NO_COLOR", "")]] {
        let seen = see(set, &["snapshots"]).ended(10);
        assert!(seen.text.starts_with("\x1b[1;31merror:\x1b[0m there is no repository"), "{:?}", seen.text);
    }
    for set in [("NO_COLOR", "1"), ("NO_COLOR", "false"), ("TERM", "dumb")] {
        let seen = see(&[set], &["snapshots"]).ended(10);
        assert!(seen.lines[0].starts_with("error: there is no repository"), "{:?}", seen.lines);
        for arguments in [&["snapshots"][..], &["frobnicate"], &["--help"]] {
            for set in [&[set][..], &[set, ("CI", "true")]] {
                assert!(!has_colour(&see(set, arguments).text), "{set:?} {arguments:?}");
            }
        }
    }
    // The bar needs no colour.
    let lab = Lab::plain();
    let (ingest, input) = begin_ingest(&lab, &[]);
    ingest.wait_for("MiB/s");
    drop(input);
    assert!(!has_colour(&ingest.finish().ended(0).text));
}

#[test]
fn warnings_stand_above_the_bar_and_do_not_tear_it() {
    let lab = Lab::plain();
    lab.pipe(b"x", ["ingest", "--series", "app-1", "-"]).succeeded();
    let (ingest, input) = begin_ingest(&lab, &["--series", "app-2"]);
    ingest.wait_for("MiB/s");
    drop(input);
    // That only the digits of a series are new is told at the end, while the bar is there.
    let seen = ingest.finish().ended(0);
    seen.assert_tidy();
    assert!(seen.text.contains("\r\x1b[K\x1b[1;33mwarning:\x1b[0m this is the first"), "{:?}", seen.text);
    assert!(seen.lines.iter().any(|line| line.starts_with("warning: this is the first")), "{:?}", seen.lines);
}

#[test]
fn no_line_is_wider_than_the_terminal_however_narrow_it_becomes() {
    let name = format!("{}/漢字漢字漢字{}.sql", "long".repeat(50), "e\u{301}".repeat(9));
    let lab = lab_with(&name);
    for width in [1, 2, 7, 20, 60, 300] {
        let (restore, mut output) = begin_restore(&lab, width, &[]);
        read(&mut output, CONTENT_BYTES / 2);
        restore.wait_until("line", |screen| !screen.is_empty() || width <= 2);
        read_to_end(output);
        let seen = restore.finish().ended(0);
        for piece in pieces(&seen.text) {
            let is_drawn = !piece.contains(" in ");
            assert!(!is_drawn || columns(&piece) < usize::from(width), "{width}: {piece}");
        }
    }
    let (restore, mut output) = begin_restore(&lab, 90, &[]);
    read(&mut output, CONTENT_BYTES / 3);
    restore.wait_for("MiB/s");
    restore.resize(20);
    let narrow = restore.wait_until("narrow line", |screen| screen.ends_with(" %"));
    assert_eq!(narrow.lines().count(), 1, "{narrow}");
    let before = restore.sent().len();
    read(&mut output, CONTENT_BYTES / 3);
    restore.wait_until("progress", |screen| percentage(screen) > percentage(&narrow));
    for piece in pieces(&restore.sent()[before..]) {
        assert!(columns(&piece) < 20, "{piece}");
    }
    restore.resize(90);
    let wide = restore.wait_for("MiB/s");
    assert_eq!(wide.lines().count(), 1, "{wide}");
    read_to_end(output);
    restore.finish().ended(0);
}

/// Signs that hide or reorder what stands around them.
const HOSTILE: &str = "\u{202e}lqs\u{200b}\u{2066}\u{e0041}\u{ad}漢字";

fn is_hostile(sign: char) -> bool {
    !sign.is_ascii_graphic() && HOSTILE.contains(sign) && !"漢字".contains(sign)
}

#[test]
fn hostile_texts_of_a_repository_command_no_terminal() {
    let mut lab = Lab::encrypted();
    lab.set("USER", HOSTILE);
    let mut input = noise(8_000_000);
    let tag = format!("{HOSTILE}={HOSTILE}");
    let long = format!("{HOSTILE}{}", "x".repeat(3_000));
    lab.pipe(&input, ["ingest", "--name", HOSTILE, "--tag", &tag, "--series", HOSTILE, "-"]).succeeded();
    lab.pipe(b"x", ["ingest", "--name", &long, "--type", HOSTILE, "-"]).succeeded();
    lab.set("CONTAINERARCHIVE_NEW_PASSPHRASE", "other");
    let label = ["key", "add", "--capability", "write", "--label", HOSTILE, "--domain", HOSTILE];
    lab.run(label).succeeded();
    lab.unset("CONTAINERARCHIVE_NEW_PASSPHRASE");
    for arguments in [
        &["snapshots"][..],
        &["show", "latest"],
        &["show", "latest~1"],
        &["key", "list"],
        &["restore", "latest", "--to", "out"],
        &["restore", "latest", "--to", "out"],
        &["restore", "latest~1", "--item", "x", "--to", "out"],
        &["restore", "latest", "--item", HOSTILE, "--to", HOSTILE],
        &["show", "latest", "--json"],
        &["key", "list", "--json"],
        &["restore", "latest", "--item", "x", "--to", "out", "--json"],
        &["snapshots", "--repo", "\u{1b}[2J\u{9b}2J"],
        &["ingest", "\u{1b}]0;title\u{7}"],
        &["\u{1b}[2J"],
    ] {
        let seen = on_terminal(&lab, arguments).finish();
        let plain: String = pieces(&seen.text).concat();
        assert!(!plain.is_empty(), "{arguments:?}");
        assert!(
            !plain.contains(|sign: char| sign.is_control() || is_hostile(sign)),
            "{arguments:?}: {plain}"
        );
        for sequence in seen.text.split('\x1b').skip(1) {
            let known = ["[K", "[J", "[?7l", "[?7h", "[0m", "[1;31m", "[1;33m"];
            assert!(known.iter().any(|known| sequence.starts_with(known)), "{arguments:?}: {sequence:?}");
        }
    }
    // The bar.
    let mut ingest = OnTerminal::start(command(&lab, &["ingest", "--name", HOSTILE, "-"]), 100, STDIN);
    let mut pipe = ingest.stdin();
    input.extend(noise(1_000_000));
    pipe.write_all(&input).unwrap();
    let screen = ingest.wait_for("MiB/s");
    assert!(screen.contains("漢字") && !screen.contains(is_hostile), "{screen}");
    drop(pipe);
    assert!(!ingest.finish().ended(0).text.contains(is_hostile));
}

#[test]
fn ctrl_c_ends_an_ingest_and_leaves_a_clean_line() {
    let lab = Lab::plain();
    let (ingest, input) = begin_ingest(&lab, &[]);
    ingest.wait_for("MiB/s");
    ingest.type_in("\x03");
    let seen = ingest.finish().ended(130);
    drop(input);
    seen.assert_tidy();
    assert_eq!(seen.lines[0], "error: interrupted");
    assert!(lab.objects("locks").is_empty() && lab.snapshots().is_empty());
}

#[test]
fn what_does_not_end_at_once_is_explained_and_ended_by_a_second_ctrl_c() {
    let lab = lab_with("data");
    // Nobody reads the content, so the restore is stuck in a write.
    let (restore, output) = begin_restore(&lab, 100, &[]);
    restore.wait_for("restore  [");
    restore.type_in("\x03");
    restore.wait_for("interrupt once more to end at once");
    restore.type_in("\x03");
    let seen = restore.finish().ended(130);
    drop(output);
    assert!(!seen.lines.iter().any(|line| line.starts_with("restore  ")), "{:?}", seen.lines);
}

#[test]
fn a_terminal_that_closes_ends_an_ingest_cleanly() {
    let lab = Lab::plain();
    let (mut ingest, input) = begin_ingest(&lab, &[]);
    ingest.wait_for("MiB/s");
    ingest.close();
    ingest.finish().ended(130);
    drop(input);
    assert!(lab.objects("locks").is_empty() && lab.snapshots().is_empty());
}

#[test]
fn a_reader_that_leaves_ends_a_restore_in_silence_and_one_of_progress_ends_nothing() {
    let lab = lab_with("data");
    let (restore, mut output) = begin_restore(&lab, 100, &[]);
    read(&mut output, CONTENT_BYTES / 3);
    restore.wait_for("MiB/s");
    drop(output);
    let seen = restore.finish().ended(1);
    seen.assert_tidy();
    assert!(seen.lines.is_empty(), "{:?}", seen.lines);
    let mut child = lab.spawn(["ingest", "--progress", "json", "-"]);
    drop(child.stderr.take());
    child.stdin.take().unwrap().write_all(&noise(6_000_000)).unwrap();
    Ended::from(child.wait_with_output().unwrap()).succeeded();
    assert_eq!(lab.snapshots().len(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn signals_that_are_to_be_ignored_are_ignored() {
    let lab = Lab::plain();
    let mut shell = command(&lab, &[]);
    let environment: Vec<_> =
        shell.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    let program = env!("CARGO_BIN_EXE_containerarchive");
    shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP INT; exec \"$0\" ingest -", program]).current_dir(lab.path(""));
    for (name, value) in environment {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut child =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&noise(100_000)).unwrap();
    eventually("session", || lab.objects("locks").pop());
    for signal in [Signal::HUP, Signal::INT, Signal::HUP] {
        kill_process(Pid::from_child(&child), signal).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(input);
    Ended::from(child.wait_with_output().unwrap()).succeeded();
    assert_eq!(lab.snapshots().len(), 1);
}

#[test]
fn a_passphrase_is_not_echoed() {
    let mut lab = Lab::encrypted();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    let info = on_terminal(&lab, &["info"]);
    info.wait_for("Passphrase of ");
    assert!(!info.echoes());
    info.type_in(&format!("{PASSPHRASE}\n"));
    let seen = info.finish().ended(0);
    assert!(!seen.text.contains(PASSPHRASE), "{}", seen.text);
    assert!(seen.lines[1].starts_with("repository "), "{:?}", seen.lines);
    let info = on_terminal(&lab, &["info"]);
    info.wait_for("Passphrase of ");
    info.type_in("wrong\n");
    info.finish().ended(12);
    let info = on_terminal(&lab, &["info"]);
    info.wait_for("Passphrase of ");
    info.type_in(&"x".repeat(2_000));
    info.type_in("\n");
    assert!(info.finish().ended(12).text.contains("longer than"));
}

#[test]
fn a_passphrase_that_is_interrupted_gives_the_echo_back() {
    let mut lab = Lab::encrypted();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    let mut shell = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_containerarchive");
    shell.args(["-c", "trap : INT; \"$0\" info; echo \"ended with $?\"; stty -a", program]);
    for (name, value) in &lab.environment {
        shell.env(name, value);
    }
    let shell = OnTerminal::start(shell, 100, Pipes::default());
    shell.wait_for("Passphrase of ");
    assert!(!shell.echoes());
    shell.type_in("half a pass\x03");
    let seen = shell.finish().ended(0);
    assert!(seen.lines.iter().any(|line| line == "ended with 130"), "{:?}", seen.lines);
    assert!(seen.lines.iter().any(|line| line == "error: interrupted"), "{:?}", seen.lines);
    let modes: Vec<&str> = seen.lines.iter().flat_map(|line| line.split(' ')).collect();
    assert!(modes.contains(&"echo") && !modes.contains(&"-echo"), "{:?}", seen.lines);
    assert!(!seen.text.contains("half"), "{}", seen.text);

    let info = on_terminal(&lab, &["info"]);
    info.wait_for("Passphrase of ");
    kill_process(Pid::from_child(info.child()), Signal::TERM).unwrap();
    info.finish().ended(130);
}

#[test]
fn a_passphrase_command_ends_with_the_command_that_waits_for_it() {
    let mut lab = Lab::encrypted();
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    let begun = lab.path("begun").display().to_string();
    for wait in ["exec sleep 1000", "exec >&-; exec sleep 1000"] {
        let wait = format!("echo $$ > '{begun}'; {wait}");
        let child = lab.spawn(["info", "--passphrase-command", &wait]);
        let pid = eventually("passphrase command", || {
            let text = std::fs::read_to_string(&begun).ok()?;
            text.strip_suffix('\n').map(|pid| pid.parse().unwrap())
        });
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        Ended::from(child.wait_with_output().unwrap()).failed(130, "interrupted");
        let pid = Pid::from_raw(pid).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_err(), "the passphrase command goes on");
        std::fs::remove_file(&begun).unwrap();
    }
}
