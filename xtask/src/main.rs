//! Project tasks: `cargo xtask test | tidy | bench | bench parity | bench prune | sim | fuzz | npm | kit | golden | errors |
//! schema`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks through its output"
)]

mod bench;
mod cargo;
mod fuzz;
mod npm;
mod sim;
mod test;
mod testdata;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <task>

  test [--long] [--only STAGE]   run everything the project tests, stop at the first failure
                                 --long   also the tests that take minutes
                                 --only   one of: fmt tidy clippy test release node recovery first-hour recipes
  tidy                           check the walls between rooms, forbidden calls, sizes, manifests, texts
  bench [--peers] [--profile] [--runs N] [--work DIR] [--out FILE] FILE[,NEXT]…
                                 measure the release build: ingest FILE, then NEXT (a later version; else FILE again),
                                 restore, verify, and what the machine could do at best; write docs/BENCHMARKS.md
                                 --peers     also restic, rustic, borg, bupstash, those that are on the PATH
                                 --profile   where the processor's time goes, if perf is installed
                                 --runs      how often; medians are shown [default: 3]
                                 --work      where repositories are made and removed [default: target/bench]
                                 --out       write the report there
  bench parity [--rounds N] [--memory-limit BYTES] [--work DIR] [--out FILE] NOISE_FILE
                                 measure what parity costs: time of an ingest of NOISE_FILE with and without it, and the
                                 space that it takes of 7 GB of noise; write docs/BENCHMARKS-PARITY.md
                                 --rounds        how often; medians are shown [default: 7]
                                 --memory-limit  measured processes go into a memory cgroup of their own
                                 --work, --out   as above
  bench prune [--work DIR] [--out FILE]
                                 measure time and memory of prunes of up to 10^7 chunks and 1,000 snapshots, which takes
                                 10 GB and some minutes; write docs/BENCHMARKS-PRUNE.md
  sim [--seeds N] [--from S] [--seed S] [--plant BUG]
                                 simulate many actors on one store, in release; see docs/SIMULATION.md
                                 --seeds     how many [default: 1000]
                                 --from      the first one
                                 --seed      this one alone
                                 --plant     break a rule, and fail unless that is noticed
  fuzz [frames] [lines] [--seconds N] [--seed S]
                                 throw bytes, led by coverage, at the readers of the engine's sockets and standard input;
                                 needs a C++ compiler
                                 --seconds   for each [default: 60]
                                 --seed      of the first bytes [default: 6]
  npm [--out DIR] [--binary FILE]
                                 pack the npm packages: `containerarchive`, and the program for this computer
                                 --out       where the tarballs go [default: target/npm]
                                 --binary    a program that was built; else it is built, on Linux without any need of
                                             the system's libraries
  kit                            write testdata/kit/ anew from crates/containerarchive/tests/kit/
  golden                         write testdata/golden/v1/ anew: gives up the proof that this version reads what an
                                 earlier one wrote, so only while the format may still change
  errors                         write docs/ERRORS.md and the README's exit codes anew from the error catalogue
  schema                         write docs/rpc.schema.json anew from the types of the engine's protocol";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["tidy"] => tidy::main(&root()),
        ["kit"] => testdata::write(&root(), "kit", "CONTAINERARCHIVE_KIT_WRITE"),
        ["golden"] => testdata::write(&root(), "golden", "CONTAINERARCHIVE_GOLDEN_WRITE"),
        ["errors"] => testdata::write_errors(&root()),
        ["schema"] => testdata::write_schema(&root()),
        ["bench", "parity", options @ ..] => match bench::parity::Options::parse(options) {
            Ok(options) => bench::parity::main(&root(), &options),
            Err(problem) => usage(&problem),
        },
        ["bench", "prune", options @ ..] => match bench::prune::Options::parse(options) {
            Ok(options) => bench::prune::main(&root(), &options),
            Err(problem) => usage(&problem),
        },
        ["bench", options @ ..] => match bench::Options::parse(options) {
            Ok(options) => bench::main(&root(), &options),
            Err(problem) => usage(&problem),
        },
        ["sim", options @ ..] => match sim::Options::parse(options) {
            Ok(options) => sim::main(&root(), &options),
            Err(problem) => usage(&problem),
        },
        ["fuzz", options @ ..] => match fuzz::Options::parse(options) {
            Ok(options) => fuzz::main(&root(), &options),
            Err(problem) => usage(&problem),
        },
        ["npm", options @ ..] => match npm::Options::parse(options) {
            Ok(options) => npm::main(&root(), &options),
            Err(problem) => usage(&problem),
        },
        ["test", options @ ..] => match test::Options::parse(options) {
            Ok(options) => test::main(&root(), &options),
            Err(problem) => usage(&problem),
        },
        [] => usage("which task?"),
        [task, ..] => usage(&format!("cannot do `{}`", [&[*task], &arguments[1..]].concat().join(" "))),
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("{problem}\n\n{USAGE}");
    ExitCode::from(2)
}

/// The repository root: the parent of this package's folder.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}
