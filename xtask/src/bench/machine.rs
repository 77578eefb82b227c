//! What it was measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The machine, in words for a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory: String,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    /// Load averages of 1, 5 and 15 minutes before the first measurement: what others did.
    pub(crate) load: String,
}

impl Machine {
    /// This machine, with the file system of `folder`. What the system does not tell is `unknown`.
    pub(crate) fn this(folder: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory_kib = field(&read("/proc/meminfo"), "MemTotal").and_then(|text| {
            let number = text.split_whitespace().next()?;
            number.parse::<f64>().ok()
        });
        let load: Vec<_> = read("/proc/loadavg").split_whitespace().take(3).map(str::to_owned).collect();
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            processor: known(field(&read("/proc/cpuinfo"), "model name")),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: known(memory_kib.map(|kib| format!("{:.1} GiB", kib / (1 << 20) as f64))),
            kernel: known(Some(read("/proc/sys/kernel/osrelease").trim().to_owned())),
            file_system: known(
                folder
                    .canonicalize()
                    .ok()
                    .and_then(|folder| file_system(&read("/proc/self/mountinfo"), &folder)),
            ),
            load: known(Some(load.join(" "))),
        }
    }

    /// Names and values, for a table.
    pub(crate) fn rows(&self) -> [(&'static str, String); 6] {
        [
            ("date", self.date.clone()),
            ("processor", format!("{}, {} cores", self.processor, self.cores)),
            ("memory", self.memory.clone()),
            ("kernel", self.kernel.clone()),
            ("file system", self.file_system.clone()),
            ("load average before", self.load.clone()),
        ]
    }
}

/// The commit that is measured, and whether the tree has changes beside it.
pub(crate) fn commit(root: &Path) -> String {
    let ask = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = ask(&["rev-parse", "--short", "HEAD"]) else { return "commit unknown".to_owned() };
    let is_clean = ask(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
    format!("commit {commit}{}", if is_clean { "" } else { " with changes" })
}

fn known(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// The type of the file system that a folder lies on: of its longest mount point (proc(5), mountinfo).
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let point = place.split(' ').nth(4)?.replace("\\040", " ");
        let kind = kind.split(' ').next()?.to_owned();
        folder.starts_with(&point).then_some((point.len(), kind))
    };
    // The last one of equal length lies above the others.
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_longest_mount_point() {
        let mounts = "22 1 8:1 / / rw shared:1 - ext4 /dev/a rw\n\
                      30 22 8:2 / /data rw - xfs /dev/b rw\n\
                      31 22 8:3 / /data/deep\\040er rw - btrfs /dev/c rw\n";
        assert_eq!(file_system(mounts, Path::new("/home")), Some("ext4".to_owned()));
        assert_eq!(file_system(mounts, Path::new("/data/x")), Some("xfs".to_owned()));
        assert_eq!(file_system(mounts, Path::new("/data/deep er/x")), Some("btrfs".to_owned()));
        assert_eq!(file_system(mounts, Path::new("/database")), Some("ext4".to_owned()));
        assert_eq!(file_system("", Path::new("/")), None);
    }

    #[test]
    fn fields_are_found_by_their_name() {
        let text = "model : 1\nmodel name\t: A Processor\nmodel name\t: Another\n";
        assert_eq!(field(text, "model name"), Some("A Processor".to_owned()));
        assert_eq!(field(text, "cores"), None);
    }
}
