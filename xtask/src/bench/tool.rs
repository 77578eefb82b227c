//! The tools that are measured, as data: their commands for the same work, encrypted, with their own defaults.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where each tool keeps its repository, below its own folder.
pub(crate) const REPOSITORY: &str = "repo";
/// Stands for the snapshot's name, `first` or `second`, in arguments.
const SNAPSHOT: &str = "{snapshot}";
const PASSPHRASE: &str = "correct horse battery staple";

/// Variables of the caller that would change what a tool does.
const FOREIGN: &[&str] = &["CONTAINERARCHIVE_", "RESTIC_", "RUSTIC_", "BORG_", "BUPSTASH_", "XDG_"];

/// The commands of one tool. Content comes from standard input and goes to standard output.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) name: &'static str,
    /// Variables that name a place below the tool's own folder.
    pub(crate) places: &'static [(&'static str, &'static str)],
    /// Other variables.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    pub(crate) version: &'static [&'static str],
    /// Makes an empty repository. Not timed.
    pub(crate) prepare: &'static [&'static [&'static str]],
    pub(crate) ingest: &'static [&'static str],
    pub(crate) restore: &'static [&'static str],
    /// Reads, opens and checks all that is stored. Empty: the tool cannot.
    pub(crate) verify: &'static [&'static str],
}

/// The engine's own command line.
pub(crate) const OWN: Commands = Commands {
    name: "containerarchive",
    places: &[("CONTAINERARCHIVE_REPO", REPOSITORY), ("CONTAINERARCHIVE_STATE_DIR", "state"), ("HOME", "")],
    variables: &[("CONTAINERARCHIVE_PASSPHRASE", PASSPHRASE)],
    version: &["--version"],
    prepare: &[&["--quiet", "init"]],
    ingest: &["--quiet", "ingest", "--name", "stream", "-"],
    restore: &["--quiet", "restore", "latest", "--item", "stream", "--to", "-"],
    verify: &["--quiet", "verify", "--level", "full"],
};

/// Tells what the newest snapshot of the engine's repository has, as a JSON document.
pub(crate) const OWN_SHOW: &[&str] = &["--json", "show", "latest"];

/// Measured beside the engine where they are installed.
pub(crate) const PEERS: &[Commands] = &[
    Commands {
        name: "restic",
        places: &[("RESTIC_REPOSITORY", REPOSITORY), ("RESTIC_CACHE_DIR", "cache"), ("HOME", "")],
        variables: &[("RESTIC_PASSWORD", PASSPHRASE)],
        version: &["version"],
        prepare: &[&["-q", "init"]],
        ingest: &["-q", "backup", "--stdin", "--stdin-filename", "stream"],
        restore: &["-q", "dump", "latest", "stream"],
        verify: &["-q", "check", "--read-data"],
    },
    Commands {
        name: "rustic",
        places: &[("RUSTIC_REPOSITORY", REPOSITORY), ("RUSTIC_CACHE_DIR", "cache"), ("HOME", "")],
        variables: &[
            ("RUSTIC_PASSWORD", PASSPHRASE),
            ("RUSTIC_NO_PROGRESS", "true"),
            ("RUSTIC_LOG_LEVEL", "error"),
        ],
        version: &["--version"],
        prepare: &[&["init"]],
        // Without --force it takes a stream of the same name for unchanged and does not read it.
        ingest: &["backup", "--force", "--stdin-filename", "stream", "-"],
        restore: &["dump", "latest:stream"],
        verify: &["check", "--read-data"],
    },
    Commands {
        name: "borg",
        places: &[("BORG_REPO", REPOSITORY), ("BORG_BASE_DIR", "base"), ("HOME", "")],
        variables: &[("BORG_PASSPHRASE", PASSPHRASE)],
        version: &["--version"],
        prepare: &[&["init", "-e", "repokey-blake2"]],
        // Its default is lz4; the others compress with zstd.
        ingest: &["create", "-C", "zstd,3", "--stdin-name", "stream", "::{snapshot}", "-"],
        restore: &["extract", "--stdout", "::{snapshot}"],
        verify: &["check", "--verify-data"],
    },
    Commands {
        name: "bupstash",
        places: &[
            ("BUPSTASH_REPOSITORY", REPOSITORY),
            ("BUPSTASH_KEY", "key"),
            ("BUPSTASH_SEND_LOG", "send-log"),
            ("BUPSTASH_QUERY_CACHE", "query-cache"),
            ("XDG_CACHE_HOME", ""),
            ("HOME", ""),
        ],
        variables: &[],
        version: &["--version"],
        prepare: &[&["new-key", "-o", "key"], &["init"]],
        ingest: &["put", "-q", "name={snapshot}", "-"],
        restore: &["get", "-q", "name={snapshot}"],
        verify: &[],
    },
];

/// A tool that is there.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) commands: &'static Commands,
    program: PathBuf,
}

impl Tool {
    /// A tool whose program lies there.
    pub(crate) fn new(commands: &'static Commands, program: PathBuf) -> Self {
        Self { commands, program }
    }

    /// Looks for the program in the folders of a `PATH`.
    pub(crate) fn find(commands: &'static Commands, path: &OsStr) -> Option<Self> {
        let mut programs = std::env::split_paths(path).map(|folder| folder.join(commands.name));
        // Relative folders of the path would mean others in the tool's own folder.
        let program = programs.find(|program| program.is_file() && program.is_absolute())?;
        Some(Self { commands, program })
    }

    /// What it calls its version: the first line of its answer.
    pub(crate) fn version(&self, folder: &Path) -> Result<String, String> {
        let output = self.command(folder, self.commands.version, "").output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", self.commands.name))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().next().filter(|_| output.status.success());
        line.map(str::to_owned).ok_or_else(|| format!("{} does not tell its version", self.commands.name))
    }

    /// The commands that make its repository.
    pub(crate) fn prepare(&self, folder: &Path) -> Vec<Command> {
        self.commands.prepare.iter().map(|arguments| self.command(folder, arguments, "")).collect()
    }

    /// Stores its standard input.
    pub(crate) fn ingest(&self, folder: &Path, snapshot: &str) -> Command {
        self.command(folder, self.commands.ingest, snapshot)
    }

    /// Writes the snapshot to its standard output.
    pub(crate) fn restore(&self, folder: &Path, snapshot: &str) -> Command {
        self.command(folder, self.commands.restore, snapshot)
    }

    /// Checks all that is stored; `None` if the tool cannot.
    pub(crate) fn verify(&self, folder: &Path) -> Option<Command> {
        let arguments = self.commands.verify;
        (!arguments.is_empty()).then(|| self.command(folder, arguments, ""))
    }

    /// The program in its own folder, with nothing of the caller's settings.
    pub(crate) fn command(&self, folder: &Path, arguments: &[&str], snapshot: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder);
        for (name, _) in std::env::vars_os() {
            if FOREIGN.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.args(arguments.iter().map(|argument| argument.replace(SNAPSHOT, snapshot)));
        command.envs(self.commands.places.iter().map(|(name, place)| (name, folder.join(place))));
        command.envs(self.commands.variables.iter().copied());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_the_snapshot_and_places_are_the_tools_own() {
        let borg = Tool::new(&PEERS[2], "/usr/bin/borg".into());
        let command = borg.restore(Path::new("/bench/borg"), "second");
        let arguments: Vec<_> = command.get_args().collect();
        assert_eq!(arguments, ["extract", "--stdout", "::second"]);
        let repository =
            command.get_envs().find(|(name, _)| *name == "BORG_REPO").and_then(|(_, value)| value);
        assert_eq!(repository, Some(OsStr::new("/bench/borg/repo")));
        assert_eq!(command.get_current_dir(), Some(Path::new("/bench/borg")));
    }

    #[test]
    fn every_tool_keeps_its_repository_where_it_is_measured() {
        for commands in PEERS.iter().chain([&OWN]) {
            assert!(commands.places.iter().any(|(_, place)| *place == REPOSITORY), "{}", commands.name);
        }
    }

    #[test]
    fn a_tool_is_found_on_the_path_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Tool::find(&PEERS[0], folder.path().as_os_str()).is_none());
        std::fs::write(folder.path().join("restic"), "").unwrap();
        assert!(Tool::find(&PEERS[0], folder.path().as_os_str()).is_some());
    }
}
