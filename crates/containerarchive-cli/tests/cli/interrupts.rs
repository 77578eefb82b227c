//! SIGINT and SIGTERM, and that tests of signals do not depend on who runs them.

use std::io::Write;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{Ended, Lab, noise};

/// An ingest from a pipe that has delivered a little and is still open.
fn begin(lab: &Lab) -> Child {
    let mut child = lab.spawn(["ingest", "--name", "slow", "-"]);
    child.stdin.as_mut().unwrap().write_all(&noise(100_000)).unwrap();
    let begun = Instant::now();
    while lab.objects("locks").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no session was registered");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn an_interrupted_ingest_leaves_no_snapshot_and_no_lock() {
    for signal in [Signal::INT, Signal::TERM] {
        let lab = Lab::plain();
        let mut child = begin(&lab);
        send(&child, signal);
        // The pipe stays open: only the signal ends it.
        let stdin = child.stdin.take();
        let ended = Ended::from(child.wait_with_output().unwrap());
        drop(stdin);
        ended.failed(130, "interrupted");
        assert_eq!(lab.objects("locks").len(), 0);
        assert!(lab.snapshots().is_empty());
    }
}

#[test]
fn a_second_signal_ends_what_the_first_cannot() {
    let lab = Lab::plain();
    lab.pipe(&noise(4_000_000), ["ingest", "-"]).succeeded();
    // Nobody reads the pipe, so the restore is stuck in a write.
    let mut child = lab.spawn(["restore", "latest", "--to", "-"]);
    std::thread::sleep(Duration::from_secs(1));
    send(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().unwrap(), None);
    send(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[cfg(target_os = "linux")]
#[test]
fn tests_of_signals_pass_where_whoever_runs_them_ignores_signals() {
    for test in [
        "terminal::a_terminal_that_closes_ends_an_ingest_cleanly",
        "terminal::ctrl_c_ends_an_ingest_and_leaves_a_clean_line",
    ] {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' HUP INT TERM; exec \"$0\" --exact \"$1\""]);
        let output = shell.arg(std::env::current_exe().unwrap()).arg(test).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
}
