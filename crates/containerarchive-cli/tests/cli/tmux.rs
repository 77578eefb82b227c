//! The progress line in a terminal that breaks lines anew when its width changes, as people's do.

use std::io::Read;
use std::process::Command;
use std::time::Duration;

use super::support::{Ended, Lab};
use super::terminal::{CONTENT_BYTES, lab_with};

/// A terminal of its own, in the lab.
struct Tmux<'l>(&'l Lab);

impl Tmux<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(self.0.path("tmux.socket")).args(["-f", "/dev/null"]).args(arguments);
        for (name, value) in &self.0.environment {
            tmux.env(name, value);
        }
        tmux.env_remove("TMUX").env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        Ended::from(self.command(arguments).output().unwrap()).succeeded().text().to_owned()
    }

    fn wait_until(&self, what: &str, is_reached: impl Fn(&str) -> bool) -> String {
        for _ in 0..600 {
            let screen = self.run(&["capture-pane", "-p"]).trim_end().to_owned();
            if is_reached(&screen) {
                return screen;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no {what} on the screen:\n{}", self.run(&["capture-pane", "-p"]));
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

#[test]
fn a_terminal_that_breaks_lines_anew_keeps_nothing_of_the_old_ones() {
    if Command::new("tmux").arg("-V").output().is_err() {
        println!("SKIPPED: there is no tmux");
        return;
    }
    let lab = lab_with("dumps/app.sql");
    let fifo = lab.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let tmux = Tmux(&lab);
    let program = env!("CARGO_BIN_EXE_containerarchive");
    let line = format!("echo before; {program} restore latest --to - > {}; cat", fifo.display());
    tmux.run(&["new-session", "-d", "-x", "100", "-y", "20", "sh", "-c", &line]);
    let mut output = std::fs::File::open(&fifo).unwrap();
    output.read_exact(&mut vec![0; CONTENT_BYTES / 3]).unwrap();
    tmux.wait_until("bar", |screen| screen.contains("MiB/s"));
    for (width, has_rate) in [("60", true), ("20", false), ("100", true)] {
        tmux.run(&["resize-window", "-x", width]);
        let is_redrawn = |screen: &str| {
            screen.ends_with("dumps/app.sql") == (width == "100") && screen.contains("/s") == has_rate
        };
        let screen = tmux.wait_until("new line", is_redrawn);
        // Some versions move a line into the history when they break lines anew.
        let lines: Vec<&str> = screen.lines().filter(|line| *line != "before").collect();
        assert!(lines.len() == 1 && lines[0].starts_with("restore  "), "{width}:\n{screen}");
    }
    output.read_to_end(&mut Vec::new()).unwrap();
    let screen = tmux.wait_until("end", |screen| !screen.contains("restore  "));
    let rest: Vec<&str> = screen.lines().filter(|line| *line != "before").collect();
    assert!(rest.iter().all(|line| line.starts_with("restore: 38.1 MiB in ")), "{screen}");
}
