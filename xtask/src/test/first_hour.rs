//! The README's first hour, and the section on damage after it, done literally on what is as good as an empty machine.

use std::fs;

use super::literal::{Block, Reader, blocks, expect, read};
use super::{Context, Outcome, StageResult};

const SECTIONS: [&str; 2] = ["The first hour", "When storage rots"];
/// The build is the one step that is not repeated: the program was built by the stage before.
const BUILD: &str = "cargo build --release -p containerarchive-cli";

/// Commands, and what they must print.
const EXPECTED: &[(&str, &str)] = &[
    (BUILD, ""),
    ("containerarchive init", "repository "),
    ("containerarchive snapshots\n", "numbers.sql"),
    ("containerarchive show latest", "numbers.sql"),
    ("snapshots --tag kind=dump --json", "\"schema\":\"containerarchive/snapshots/1\""),
    ("--command numbers.sql='seq 1000000'", "1 item"),
    ("restore latest~1 --to restored", "numbers.sql"),
    ("| tail -n 1", "1000000"),
    ("wrong horse", "wrong passphrase"),
    ("wrong horse", "exit code 12"),
    ("key list", "spare"),
    ("--key-file spare.key restore", "the spare key opens it"),
    ("--key-file web-1.key info", "write"),
    ("containerarchive verify\n", "no damage found"),
    ("containerarchive status --max-age 26h", "numbers.sql"),
    ("containerarchive stats", "unique"),
    ("containerarchive man --to manual", "manual"),
    ("containerarchive verify || echo", "exit code 13"),
    ("containerarchive verify || echo", "numbers.sql"),
    ("--to - | cmp - restored/numbers.sql\n", "what was restored is right"),
    ("containerarchive repair --dry-run", "would mend: packs/data/"),
    ("containerarchive repair --no-key", "mended: packs/data/"),
    ("containerarchive repair --no-key", "nothing is damaged"),
    ("containerarchive verify --level full", "no damage found"),
    ("containerarchive parity status", "40+2"),
];

pub(super) fn run(context: &Context) -> StageResult {
    let binary = context.release_binary()?;
    let readme = read(&context.root, "README.md")?;
    let of_section = |section| blocks("README.md", &readme, Some(section), "sh");
    let blocks: Vec<Block> = SECTIONS.into_iter().flat_map(of_section).collect();
    let mut reader = Reader::new("first-hour")?;
    let built = reader.folder.join("target/release");
    fs::create_dir_all(&built)
        .and_then(|()| std::os::unix::fs::symlink(binary, built.join("containerarchive")))
        .map_err(|error| format!("cannot link the program: {error}"))?;
    reader.prelude = format!("cargo() {{ test \"cargo $*\" = '{BUILD}'; }}\n");
    let outputs = reader.run(&blocks)?;
    expect(&blocks, &outputs, EXPECTED)?;
    let numbers: String =
        (1..=1_000_000).map(|number| format!("{number}\n").replacen('7', "seven", 1)).collect();
    let restored = fs::read_to_string(reader.folder.join("restored/numbers.sql"));
    match restored {
        Ok(restored) if restored == numbers => Ok(Outcome::Passed),
        Ok(restored) => Err(format!("restored {} bytes that are not what went in", restored.len())),
        Err(error) => Err(format!("nothing was restored: {error}")),
    }
}
