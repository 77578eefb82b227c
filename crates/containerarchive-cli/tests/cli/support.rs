//! A place of its own for each test: repository, state, files; nothing of the caller's environment.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Once};

use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

pub(crate) const PASSPHRASE: &str = "correct horse";
/// The cheapest that is allowed: a test waits for it at every command.
pub(crate) const KDF: &str = "19MiB,1,1";

pub(crate) struct Lab {
    folder: tempfile::TempDir,
    /// Of the commands that the test runs.
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Lab {
    /// Without a repository.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let environment = vec![
            ("CONTAINERARCHIVE_REPO", path("repository")),
            ("CONTAINERARCHIVE_STATE_DIR", path("state")),
            ("CONTAINERARCHIVE_THREADS", "1".to_owned()),
            ("CONTAINERARCHIVE_PASSPHRASE", PASSPHRASE.to_owned()),
            ("CONTAINERARCHIVE_KDF", KDF.to_owned()),
        ];
        Self { folder, environment }
    }

    pub(crate) fn encrypted() -> Self {
        let lab = Self::empty();
        lab.run(["init"]).succeeded();
        lab
    }

    pub(crate) fn plain() -> Self {
        let mut lab = Self::empty();
        lab.unset("CONTAINERARCHIVE_PASSPHRASE");
        lab.run(["init", "--no-encryption"]).succeeded();
        lab
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.retain(|(set, _)| *set != name);
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.unset(name);
        self.environment.push((name, value.into()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// A file of the test, as an argument.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    pub(crate) fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let_commands_heed_signals();
        let mut command = Command::new(env!("CARGO_BIN_EXE_containerarchive"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONTAINERARCHIVE_") {
                command.env_remove(name);
            }
        }
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.args(arguments).envs(environment).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
        self.command(arguments).output().unwrap().into()
    }

    pub(crate) fn pipe(&self, input: &[u8], arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
        let mut child = self.spawn(arguments);
        // A command that refuses does not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap().into()
    }

    /// With all streams in the test's hands.
    pub(crate) fn spawn(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Names in a folder of the repository.
    pub(crate) fn objects(&self, folder: &str) -> Vec<PathBuf> {
        match std::fs::read_dir(self.repository().join(folder)) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Ids of all snapshots, oldest first.
    pub(crate) fn ids(&self) -> Vec<String> {
        let id = |snapshot: &Value| snapshot["id"].as_str().map(str::to_owned);
        self.snapshots().iter().filter_map(id).collect()
    }

    /// All snapshots, as the document lists them.
    pub(crate) fn snapshots(&self) -> Vec<Value> {
        let document = self.run(["snapshots", "--json"]).succeeded().json();
        document["snapshots"].as_array().unwrap().clone()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        Self { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// With this exit code, and a message that has this text.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(self.stderr.contains(text), "no '{text}' in: {}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The one document on the standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }

    /// The one document on the standard error.
    #[track_caller]
    pub(crate) fn json_error(&self) -> Value {
        serde_json::from_str(&self.stderr).unwrap()
    }
}

/// Signals that the tests themselves were started with as ignored, as by `nohup` or in the background of a script, would
/// be ignored by all commands, too. One that is caught here, even if nothing comes of it, is none that a command inherits.
fn let_commands_heed_signals() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        for signal in [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| is_ignored(*signal)) {
            signal_hook::flag::register(signal, Arc::default()).unwrap();
        }
    });
}

/// Where that cannot be found out, it is taken for no.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|set| u64::from_str_radix(set.trim(), 16).unwrap() >> (signal - 1) & 1 == 1)
}

/// Bytes that do not compress.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| byte()).collect()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
