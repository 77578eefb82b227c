//! A memory cgroup for measured processes (Linux: `Documentation/admin-guide/cgroup-v1/memory.rst`, `cgroup-v2.rst`).
//!
//! Pages of the page cache count for the group that first touched them. A group with little memory gives back its own pages
//! and takes the same ones again, which the machine has at hand; without one, each written file takes pages that nobody has
//! used for long, and where a host took those back, the first touch of each costs many times as much.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process;

const MEMBERSHIP: &str = "/proc/self/cgroup";
/// Where the memory controller of version 1 is mounted.
const VERSION_1: &str = "/sys/fs/cgroup/memory";
/// Where version 2 is mounted.
const VERSION_2: &str = "/sys/fs/cgroup";

/// Enters the group whose list of processes is the first argument, then becomes the program that follows: its process id
/// stays, and with it what is known of it when it has ended.
const ENTER: &str = "echo $$ > \"$0\" && exec \"$@\"";

/// A group of our own. Removed when it is dropped, by when its processes must have ended.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// Makes a group that may have so many bytes of memory, the page cache included.
    ///
    /// # Errors
    /// There is no memory controller, or no right to make a group.
    pub(crate) fn new(limit_bytes: u64) -> Result<Self, String> {
        let membership = fs::read_to_string(MEMBERSHIP)
            .map_err(|error| format!("cannot limit memory: cannot read {MEMBERSHIP}: {error}"))?;
        let (parent, limit) =
            place(&membership).ok_or("cannot limit memory: this system has no control groups for it")?;
        Self::below(&parent, limit, limit_bytes)
    }

    fn below(parent: &Path, limit: &str, limit_bytes: u64) -> Result<Self, String> {
        let folder = parent.join(format!("containerarchive-bench-{}", std::process::id()));
        let cannot =
            |error: io::Error| format!("cannot limit memory by the group {}: {error}", folder.display());
        fs::create_dir(&folder).map_err(cannot)?;
        // Removes the folder if the limit is refused.
        let group = Self { folder: folder.clone() };
        fs::write(folder.join(limit), limit_bytes.to_string()).map_err(cannot)?;
        Ok(group)
    }

    /// The same command, inside.
    pub(crate) fn command(&self, command: &Command) -> Command {
        let mut enter = Command::new("/bin/sh");
        enter.args(["-c", ENTER]).arg(self.folder.join("cgroup.procs"));
        process::behind(enter, command)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("the memory group {} stays: {error}", self.folder.display());
        }
    }
}

/// Where a group can be made, and the file of its limit, from the groups that this process is in.
///
/// In version 1 that is below our own group, whose limits stay in force. In version 2 a group with processes of its own
/// can have none below it that are limited, unless it is the first of all; so ours stands beside our own.
fn place(membership: &str) -> Option<(PathBuf, &'static str)> {
    let groups = || {
        membership.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            Some((controllers, Path::new(path.trim_start_matches('/'))))
        })
    };
    let version_1 = groups().find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    if let Some((_, path)) = version_1 {
        return Some((Path::new(VERSION_1).join(path), "memory.limit_in_bytes"));
    }
    let (_, path) = groups().find(|(controllers, _)| controllers.is_empty())?;
    let beside = path.parent().unwrap_or(path);
    Some((Path::new(VERSION_2).join(beside), "memory.max"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_made_where_the_memory_controller_is() {
        let version_1 = "9:name=systemd:/\n4:cpu,memory:/jobs/7\n0::/\n";
        assert_eq!(place(version_1), Some(("/sys/fs/cgroup/memory/jobs/7".into(), "memory.limit_in_bytes")));
        let version_2 = "0::/user.slice/session-1.scope\n";
        assert_eq!(place(version_2), Some(("/sys/fs/cgroup/user.slice".into(), "memory.max")));
        assert_eq!(place("0::/\n"), Some(("/sys/fs/cgroup/".into(), "memory.max")));
        assert_eq!(place("1:cpu:/\n"), None);
        assert_eq!(place(""), None);
    }

    #[test]
    fn a_process_enters_before_the_program_begins_and_keeps_its_place_and_variables() {
        let folder = tempfile::tempdir().unwrap();
        let group = MemoryGroup::below(folder.path(), "limit", 800).unwrap();
        assert_eq!(fs::read_to_string(group.folder.join("limit")).unwrap(), "800");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $$ $KEPT $GONE; pwd", "sh"]).current_dir(folder.path());
        command.env("KEPT", "kept").env_remove("GONE");
        let output = group.command(&command).output().unwrap();
        let procs = fs::read_to_string(group.folder.join("cgroup.procs")).unwrap();
        let path = folder.path().canonicalize().unwrap();
        let expected = format!("{} kept\n{}\n", procs.trim(), path.display());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        // Where the kernel keeps groups, their files go with the folder.
        for file in ["limit", "cgroup.procs"] {
            fs::remove_file(group.folder.join(file)).unwrap();
        }
        drop(group);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_group_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(MemoryGroup::below(&folder.path().join("none"), "limit", 1).is_err());
        assert!(MemoryGroup::below(folder.path(), "none/limit", 1).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
