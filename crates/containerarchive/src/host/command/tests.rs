//! Commands of bash, run for real.

use super::*;

fn command(text: &str) -> CapturedCommand {
    CapturedCommand::new(text.into(), &["HOME"], Box::new(|| false))
}

fn run(text: &str) -> io::Result<(Vec<u8>, Evidence)> {
    let mut command = command(text);
    let mut output = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        match command.read_output(&mut buffer)? {
            0 => return Ok((output, command.finish_output()?)),
            count => output.extend(&buffer[..count]),
        }
    }
}

fn is_gone(id: u32) -> bool {
    !std::path::Path::new(&format!("/proc/{id}")).exists()
}

#[test]
fn output_and_evidence_of_a_command_that_succeeds() {
    let (output, evidence) = run("echo out; echo err >&2; echo \"home:$HOME\"").unwrap();
    assert_eq!(output, b"out\nhome:\n");
    assert_eq!((evidence.exit_code, evidence.bytes, evidence.stderr_bytes), (0, 10, 4));
    assert_eq!(evidence.stderr_tail, "err");
    assert_eq!(evidence.argv[..4], ["bash", "-o", "pipefail", "-c"]);
}

#[test]
fn any_failing_part_fails_the_command_and_its_last_lines_are_told() {
    for (text, told) in [
        ("echo out; echo broken >&2; exit 3", "exit code 3; it said: broken"),
        ("(echo out; exit 4) | cat", "exit code 4; it said nothing"),
        ("no-such-command-at-all", "command not found"),
        ("kill -9 $$", "killed by signal 9, SIGKILL"),
        ("(kill -9 $BASHPID) | cat", "exit code 137 (as after signal 9, SIGKILL"),
        ("yes | head -n 1", "a later part of a pipe did not read all of it"),
        ("exec >&-; sleep 0.1; exit 5", "exit code 5"),
        // What the system does to a group in the background that reads from the terminal.
        ("echo ask >&2; kill -TTIN $$", "wants to use the terminal"),
        ("exec >&-; kill -TTIN $$", "wants to use the terminal"),
    ] {
        let error = run(text).unwrap_err().to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn a_command_fails_although_its_background_holds_the_output_open() {
    let error = run("sleep 600 & exit 3").unwrap_err().to_string();
    assert!(error.contains("exit code 3"), "{error}");
}

#[test]
fn a_silent_background_does_not_hold_an_ingest_up_for_ever() {
    let mut command = command("sleep 600 & echo out");
    command.linger = Duration::from_millis(1);
    assert_eq!(command.read_output(&mut [0; 10]).unwrap(), 4);
    let error = command.read_output(&mut [0; 10]).unwrap_err().to_string();
    assert!(error.contains("in the background"), "{error}");
}

#[test]
fn a_background_that_holds_the_messages_open_is_left_alone() {
    let (output, evidence) = run("sleep 2 >&- & echo out; echo err >&2").unwrap();
    assert_eq!((output.as_slice(), evidence.stderr_tail.as_str()), (&b"out\n"[..], "err"));
}

#[test]
fn messages_without_end_neither_stop_a_command_nor_fill_the_memory() {
    let (output, evidence) = run("head -c 10000000 /dev/zero >&2; echo out").unwrap();
    assert_eq!((output.as_slice(), evidence.stderr_bytes), (&b"out\n"[..], 10_000_000));
}

#[test]
fn a_command_that_is_given_up_is_ended_with_all_its_parts() {
    let mut command = command("sleep 600 & sleep 601 & echo $! ; wait");
    let mut buffer = [0; 20];
    let count = command.read_output(&mut buffer).unwrap();
    let part: u32 = std::str::from_utf8(&buffer[..count]).unwrap().trim().parse().unwrap();
    let id = command.running.as_ref().unwrap().child.id();
    drop(command);
    assert!(is_gone(id));
    // Its reaper may take a moment, but it runs no more.
    let state = std::fs::read_to_string(format!("/proc/{part}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn what_ignores_a_polite_request_is_killed() {
    let mut command = command("trap '' TERM; echo out; sleep 600");
    assert_eq!(command.read_output(&mut [0; 10]).unwrap(), 4);
    let id = command.running.as_ref().unwrap().child.id();
    drop(command);
    assert!(is_gone(id));
}

#[test]
fn waits_end_when_nobody_wants_the_output() {
    let mut cancelled = CapturedCommand::new("sleep 600".into(), &[], Box::new(|| true));
    assert!(cancelled.read_output(&mut [0; 10]).is_err());
    let mut silent = CapturedCommand::new("exec >&-; sleep 600".into(), &[], Box::new(|| true));
    silent.running = Some(silent.start().unwrap());
    assert!(silent.finish_output().is_err());
}

#[test]
fn evidence_takes_no_more_than_was_announced_before_the_command_ran() {
    for text in [
        "true",
        "echo err >&2",
        "for i in {1..1500}; do echo '\"\\' >&2; done",
        // Six bytes each as JSON.
        "head -c 20000 /dev/zero >&2",
        "echo first >&2; for i in {1..400}; do printf 'x\\1\\2\\3\\n' >&2; done; echo last >&2",
        "head -c 4096 /dev/zero | tr '\\0' '\\377' >&2",
        // A secret that is shorter than what stands in its place.
        "PASSWORD=abcd; for i in {1..900}; do echo abcd >&2; done",
    ] {
        let announced = command(text).max_evidence_bytes();
        let (_, evidence) = run(text).unwrap();
        let taken = serde_json::to_string(&evidence).unwrap().len();
        assert!(taken <= announced, "{text}: {taken} of {announced}");
        assert!(!text.ends_with("echo last >&2") || evidence.stderr_tail.ends_with("\nlast"), "{evidence:?}");
    }
}
