//! `primitives [--dir DIR] [--sample-bytes N] FILE`: how fast this machine does what no backup can do without, on the
//! content of a file. `cargo xtask bench` runs it and compares the engine with it.
//!
//! One line for each result on the standard output: its name, a blank, a number. Names and units are listed at
//! [`primitives::Results`].

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks through its output"
)]

mod best;
mod disk;
mod parity;
mod primitives;
mod sample;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use best::Rounds;
use primitives::Results;
use sample::Sample;

const USAGE: &str = "usage: primitives [--dir DIR] [--sample-bytes N] FILE

  --dir DIR          where to write for the disk's speed [default: .]
  --sample-bytes N   at most so much of FILE is taken, in evenly spread parts [default: 268435456]";

/// What the arguments say.
struct Options {
    dir: PathBuf,
    sample_bytes: u64,
    file: PathBuf,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match measure(&options, Rounds::FULL) {
        Ok(results) => {
            print!("{results}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot measure {}: {error}", options.file.display());
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut dir, mut sample_bytes, mut file) = (PathBuf::from("."), 256 << 20, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--dir" => dir = value()?.into(),
            "--sample-bytes" => {
                let text = value()?;
                let number = text.parse().ok().filter(|bytes| *bytes > 0);
                sample_bytes = number.ok_or_else(|| format!("`{text}` is no number of bytes"))?;
            }
            option if option.starts_with("--") => return Err(format!("there is no option `{option}`")),
            _ if file.is_some() => return Err("one FILE at a time".to_owned()),
            _ => file = Some(argument.into()),
        }
    }
    Ok(Options { dir, sample_bytes, file: file.ok_or("which FILE?")? })
}

fn measure(options: &Options, rounds: Rounds) -> Result<Results, Box<dyn Error>> {
    let sample = Sample::read(&options.file, options.sample_bytes)?;
    let mut results = Results::default();
    let sealed = primitives::measure(&sample, rounds, &mut results)?;
    parity::measure(&sealed, rounds.processor, &mut results)?;
    disk::measure(&options.file, &options.dir, &sealed, rounds, &mut results)?;
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the order of the output.
    const NAMES: [&str; 19] = [
        "sample_bytes",
        "stored_bytes",
        "memcpy",
        "cut",
        "sha256",
        "hmac_sha256",
        "compress",
        "decompress",
        "seal",
        "open",
        "blake3",
        "key_seconds",
        "parity_32k",
        "reed_solomon_simd_32k",
        "parity_16m",
        "reed_solomon_simd_16m",
        "read",
        "write",
        "disk",
    ];

    #[test]
    fn every_primitive_is_measured_on_a_tiny_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tiny.sql");
        let text: String =
            (0..40_000).map(|row| format!("INSERT INTO t VALUES ({row}, {});\n", row * 7)).collect();
        std::fs::write(&file, &text).unwrap();
        let options = Options { dir: folder.path().to_owned(), sample_bytes: 600_000, file };
        let results = measure(&options, Rounds::ONE).unwrap();
        for (name, value) in results.iter() {
            assert!(value.is_finite() && value > 0.0, "{name} {value}");
        }
        assert!(results.get("stored_bytes") < results.get("sample_bytes"));
        let names: Vec<&str> = results.iter().map(|(name, _)| name).collect();
        assert_eq!(names, NAMES);
        // What was written for the disk's speed is gone.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn options_are_read_and_mistakes_named() {
        let parse = |arguments: &[&str]| parse(arguments.iter().map(|argument| (*argument).to_owned()));
        let options = parse(&["--sample-bytes", "5", "--dir", "d", "f"]).unwrap();
        assert_eq!((options.sample_bytes, options.dir, options.file), (5, "d".into(), "f".into()));
        for bad in [&[][..], &["--dir"], &["--fast", "f"], &["--sample-bytes", "0", "f"], &["a", "b"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
