//! One process, from its start to its end: wall time, processor time, peak memory.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use wait4::Wait4;

/// So much of what a failed process said is shown, in bytes.
const SAID_BYTES: usize = 2000;

/// What one process took. Processor time includes children that it waited for; peak memory is that of the largest
/// process among them, as the kernel counts it (`ru_maxrss`).
///
/// The kernel counts from the fork on, so that no peak is below that of this process: a few MiB, which is why
/// nothing here reads whole files.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) peak_bytes: u64,
}

/// Runs the command to its end, standard input from `input`, standard output into the new file `output`, standard
/// error into `log`.
///
/// # Errors
/// It cannot be started, or fails; with the end of what it said.
pub(crate) fn run(
    command: &mut Command,
    input: Option<&Path>,
    output: Option<&Path>,
    log: &Path,
) -> Result<Usage, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let cannot = |error: std::io::Error| format!("cannot run {program}: {error}");
    command.stdin(match input {
        Some(path) => Stdio::from(File::open(path).map_err(cannot)?),
        None => Stdio::null(),
    });
    command.stdout(match output {
        Some(path) => Stdio::from(File::create(path).map_err(cannot)?),
        None => Stdio::null(),
    });
    command.stderr(File::create(log).map_err(cannot)?);
    let begin = Instant::now();
    let child = command.spawn().map_err(cannot)?;
    let end = child.wait4().map_err(cannot)?;
    let wall_s = begin.elapsed().as_secs_f64();
    if !end.status.success() {
        let said = std::fs::read(log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(SAID_BYTES)..]).into_owned();
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        return Err(format!("{program} {}: {}\n{}", arguments.join(" "), end.status, said.trim_end()));
    }
    let cpu_s = (end.rusage.utime + end.rusage.stime).as_secs_f64();
    Ok(Usage { wall_s, cpu_s, peak_bytes: end.rusage.maxrss })
}

/// A program that runs another command, whose program and arguments follow its own: in the same folder, with the same
/// variables.
pub(crate) fn behind(mut wrapper: Command, command: &Command) -> Command {
    wrapper.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapper.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapper.env(name, value),
            None => wrapper.env_remove(name),
        };
    }
    wrapper
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_took_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output, log) =
            (folder.path().join("in"), folder.path().join("out"), folder.path().join("log"));
        std::fs::write(&input, vec![b'x'; 3_000_000]).unwrap();
        let usage = run(&mut Command::new("sort"), Some(&input), Some(&output), &log).unwrap();
        assert!(usage.wall_s > 0.0 && usage.cpu_s > 0.0, "{usage:?}");
        assert!(usage.peak_bytes > 3_000_000, "{usage:?}");
        assert_eq!(std::fs::metadata(&output).unwrap().len(), 3_000_001);
    }

    #[test]
    fn a_process_that_fails_is_an_error_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("cat");
        command.arg("no-such-file").current_dir(folder.path());
        let problem = run(&mut command, None, None, &folder.path().join("log")).unwrap_err();
        assert!(problem.contains("cat no-such-file") && problem.contains("exit status: 1"), "{problem}");
        assert!(problem.lines().count() > 1, "{problem}");
    }
}
