//! For which computers there is a package with the program, and what such a package says of itself.

use serde_json::{Value, json};

/// One kind of computer, as Node names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Platform {
    /// `process.platform`.
    os: &'static str,
    /// `process.arch`.
    cpu: &'static str,
    /// As rustc names it.
    pub(super) target: &'static str,
    /// Whether its package is made with every release. The main package names no other: package managers would look
    /// for what was never published.
    is_built: bool,
}

/// The others are prepared: `cargo xtask npm` makes each of them on a computer of its kind. When a release does that,
/// `is_built` becomes true.
const PLATFORMS: &[Platform] = &[
    Platform { os: "linux", cpu: "x64", target: "x86_64-unknown-linux-gnu", is_built: true },
    Platform { os: "linux", cpu: "arm64", target: "aarch64-unknown-linux-gnu", is_built: false },
    Platform { os: "darwin", cpu: "x64", target: "x86_64-apple-darwin", is_built: false },
    Platform { os: "darwin", cpu: "arm64", target: "aarch64-apple-darwin", is_built: false },
];

/// Those that the main package names as optional dependencies.
pub(super) fn built() -> impl Iterator<Item = &'static Platform> {
    PLATFORMS.iter().filter(|platform| platform.is_built)
}

/// That of this computer.
pub(super) fn this() -> Result<&'static Platform, String> {
    let (os, cpu) = (std::env::consts::OS, std::env::consts::ARCH);
    let is_it = |platform: &&Platform| {
        (platform.os == os || (platform.os == "darwin" && os == "macos"))
            && (platform.target.split('-').next() == Some(cpu))
    };
    PLATFORMS.iter().find(is_it).ok_or_else(|| format!("{os} on {cpu} is not in xtask/src/npm/platform.rs"))
}

impl Platform {
    /// The name that `node/src/binary.ts` and `@push.rocks/smartrust` look for.
    pub(super) fn package(&self) -> String {
        format!("containerarchive-{}-{}", self.os, self.cpu)
    }

    /// Whether its programs have all that they need in them, the C library included.
    pub(super) fn is_static(&self) -> bool {
        self.os == "linux"
    }

    /// The package.json of its package. It has no `exports`: the program and package.json itself are resolved by path.
    pub(super) fn manifest(&self, version: &str, program: &[u8]) -> Value {
        let mut manifest = json!({
            "name": self.package(),
            "version": version,
            "description": format!("The program of the package containerarchive, for {} on {}", self.os, self.cpu),
            "license": "MIT",
            "os": [self.os],
            "cpu": [self.cpu],
            // Nothing can be executed inside of an archive.
            "preferUnplugged": true,
            "files": ["containerarchive", "THIRD-PARTY-LICENSES"],
        });
        if wants_loader(program) {
            manifest["libc"] = json!(["glibc"]);
        }
        manifest
    }

    /// The README of its package.
    pub(super) fn readme(&self) -> String {
        let library = if self.is_static() {
            "\nIt needs no library of the system. The GNU C Library that it contains is licensed under the LGPL, 2.1 or later.\n"
        } else {
            ""
        };
        format!(
            "# {}\n\nThe program of the package `containerarchive`, for {} on {}. Install that one, which brings this one \
             along.\n{library}",
            self.package(),
            self.os,
            self.cpu
        )
    }
}

/// Whether an ELF file of 64 bit names a program that loads its libraries (a header of type `PT_INTERP`; ELF
/// specification, "Program Header"). One that does was linked with glibc, which every target of the table has.
fn wants_loader(program: &[u8]) -> bool {
    const PT_INTERP: &[u8] = &3_u32.to_le_bytes();
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = program.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let header = || Some((number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?));
    let Some((table, size, count)) = header().filter(|_| program.starts_with(b"\x7fELF\x02\x01")) else {
        return false;
    };
    (0..count).any(|entry| {
        program.get(table.saturating_add(entry * size)..).is_some_and(|at| at.starts_with(PT_INTERP))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_computer_has_a_row_and_a_program_with_a_loader_is_for_glibc_only() {
        let this = this().unwrap();
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let manifest = this.manifest("1.2.3", &own);
        assert_eq!(manifest["libc"], json!(["glibc"]));
        assert_eq!(manifest["os"], json!([this.os]));
        assert_eq!(manifest["version"], "1.2.3");
    }

    #[test]
    fn a_static_program_and_what_is_none_fit_every_libc() {
        let mut program = vec![0; 64 + 56];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (program[0x20], program[0x36], program[0x38]) = (64, 56, 1);
        // PT_LOAD
        program[64] = 1;
        assert!(!wants_loader(&program));
        program[64] = 3;
        assert!(wants_loader(&program));
        for length in 0..program.len() {
            wants_loader(&program[..length]);
        }
        (program[0x27], program[0x38]) = (0xff, 0xff);
        assert!(!wants_loader(&program));
        assert!(!wants_loader(b"#!/bin/sh\n"));
    }
}
