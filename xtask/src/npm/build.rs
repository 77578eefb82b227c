//! The program, built as the npm packages have it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::{platform, run};
use crate::cargo::cargo;

/// Builds the program for this computer; gives its path.
///
/// On Linux it is linked with all that it needs, so that one package is for every distribution, with glibc of any age or
/// with musl. It is glibc that is in it, because that is what all tests and measurements ran with, and musl's allocator
/// is slow with threads. What a static glibc cannot do well is to look up users and hosts by the system's plug-ins: of
/// these the program only looks for a home folder, and only where `HOME` is not set.
pub(crate) fn build(root: &Path, target_folder: &Path) -> Result<PathBuf, String> {
    let platform = platform::this()?;
    let mut flags: Vec<OsString> = Vec::new();
    if platform.is_static() {
        flags.extend(["-C".into(), "target-feature=+crt-static".into()]);
        // Else it looks for the function at run time, which a static program cannot, and then reads /dev/urandom.
        flags.extend(["--cfg".into(), "getrandom_backend=\"linux_getrandom\"".into()]);
    }
    for (folder, name) in machine_folders(root) {
        let mut mapping = OsString::from("--remap-path-prefix=");
        mapping.push(folder);
        mapping.push(format!("={name}"));
        flags.push(mapping);
    }
    let mut command = cargo(root);
    command.env("CARGO_TARGET_DIR", target_folder);
    // Between flags, as cargo wants them.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join(&OsString::from("\x1f")));
    // With a named target, the flags are not those of build scripts and macros, which cannot be static.
    command.args(["build", "--profile", "dist", "-p", "containerarchive-cli", "--target", platform.target]);
    run(&mut command)?;
    Ok(target_folder.join(platform.target).join("dist/containerarchive"))
}

/// Folders of this computer that the messages of panics would name, and what they are called instead.
fn machine_folders(root: &Path) -> Vec<(PathBuf, &'static str)> {
    let home = std::env::home_dir().unwrap_or_default();
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    // One folder for each registry, named after it.
    let registries = fs::read_dir(cargo.join("registry/src")).into_iter().flatten().flatten();
    let mut folders = vec![(root.to_path_buf(), ".")];
    folders.extend(registries.map(|registry| (registry.path(), "crates")));
    folders
}
