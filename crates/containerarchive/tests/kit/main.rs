//! The kit: one tiny file per case and rule of `docs/FORMAT.md`, in `testdata/kit/`.
//!
//! The cases are made here from fixed keys. The files on disk must be the same, byte for byte, and the library must say to
//! each file what its name says. `cargo xtask kit` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking, as tests do")]

mod case;
mod config;
mod lab;
mod manifest;
mod node;
mod pack;
mod read;
mod sealed;
mod segment;
mod several;
mod shard;
mod signed;
mod slot;
mod text;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use case::{Cases, Verdict};
use read::Reader;

/// Files of the kit that are no cases.
const TEXTS: [&str; 2] = ["README.md", "UNCASED.md"];
/// Most readings of one damaged file, spread over its length; all of them for small ones.
const MOST_PROBES: usize = 600;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/kit")
}

fn all() -> Cases {
    let mut cases = Cases::default();
    text::cases(&mut cases);
    config::cases(&mut cases);
    slot::cases(&mut cases);
    sealed::cases(&mut cases);
    pack::cases(&mut cases);
    segment::cases(&mut cases);
    node::cases(&mut cases);
    manifest::cases(&mut cases);
    signed::cases(&mut cases);
    shard::cases(&mut cases);
    cases
}

/// Paths of all files below a folder, relative to it, with slashes.
fn files_below(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files_below(&entry.path(), &format!("{path}/"), found);
        } else if !TEXTS.contains(&path.as_str()) {
            found.insert(path);
        }
    }
}

fn write(cases: &Cases) {
    let folder = folder();
    for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    for (path, (bytes, _)) in &cases.files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn the_files_are_those_that_are_made_here_and_the_library_says_what_their_names_say() {
    let cases = all();
    if std::env::var_os("CONTAINERARCHIVE_KIT_WRITE").is_some() {
        write(&cases);
    }
    let mut found = BTreeSet::new();
    files_below(&folder(), "", &mut found);
    let expected: BTreeSet<String> = cases.files.keys().cloned().collect();
    assert_eq!(found, expected, "`cargo xtask kit` writes the kit anew");
    let reader = Reader::new();
    let mut wrong = Vec::new();
    for (path, (made, expected)) in &cases.files {
        let bytes = fs::read(folder().join(path)).unwrap();
        assert!(bytes == *made, "{path} differs; `cargo xtask kit` writes the kit anew");
        let said = reader.read(path, &bytes).map_or_else(|verdict| verdict, |_| Verdict::Accepted);
        if said != *expected {
            wrong.push(format!("{path}: {said:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_with_cases_has_an_accepted_and_a_refused_one() {
    let cases = all();
    let rule = |path: &String| path.split('/').nth(1).unwrap().to_owned();
    let with = |word: &str| -> BTreeSet<String> {
        cases.files.keys().filter(|path| path.contains(&format!("/{word}-"))).map(rule).collect()
    };
    assert_eq!(with("accept"), with("reject"));
}

/// Offsets to probe in a file of this length.
fn probes(len: usize) -> impl Iterator<Item = usize> {
    let step = len.div_ceil(MOST_PROBES).max(1);
    // Heads and ends are small and hold the most.
    let edge = 200.min(len);
    (0..edge).chain((edge..len).step_by(step)).chain(len - edge..len)
}

#[test]
fn no_truncation_and_no_flip_panics_or_is_read_as_something_else() {
    let reader = Reader::new();
    for (path, (bytes, verdict)) in &all().files {
        // A prefix and a node have no checksum of their own: the objects that hold them have.
        let is_bare = path.ends_with(".prefix") || path.ends_with(".node");
        if *verdict != Verdict::Accepted {
            continue;
        }
        let whole = reader.read(path, bytes);
        let is_good = |damaged: &[u8]| {
            let said = reader.read(path, damaged);
            said.is_err() || said == whole || is_bare
        };
        let is_named = path.matches('/').count() > 2;
        let is_text = bytes.starts_with(b"{");
        for at in probes(bytes.len()) {
            let short = &bytes[..at];
            assert!(is_good(short), "{path} cut to {at} bytes");
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(is_good(&flipped), "{path} flipped at {at}");
            if is_text || is_named {
                assert!(
                    reader.read(path, short).is_err() && reader.read(path, &flipped).is_err(),
                    "{path} at {at}"
                );
            }
        }
    }
}
