//! The arguments of `cargo xtask bench parity`.

use std::path::PathBuf;

/// What `cargo xtask bench parity` was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// What is ingested to compare times: content that cannot be compressed and repeats nothing.
    pub(crate) noise: PathBuf,
    /// Where repositories are made and removed again.
    pub(crate) folder: Option<PathBuf>,
    /// Where the Markdown goes.
    pub(crate) out: Option<PathBuf>,
    pub(crate) rounds: usize,
    /// Memory that measured processes may have, their part of the page cache included.
    pub(crate) memory_limit_bytes: Option<u64>,
}

impl Options {
    /// Reads the arguments after `bench parity`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let (mut noise, mut folder, mut out, mut rounds, mut memory_limit_bytes) =
            (None, None, None, 7, None);
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            match *argument {
                "--work" => folder = Some(value()?.into()),
                "--out" => out = Some(value()?.into()),
                "--rounds" => rounds = number(value()?)? as usize,
                "--memory-limit" => memory_limit_bytes = Some(number(value()?)?),
                option if option.starts_with("--") => {
                    return Err(format!("`bench parity` has no option `{option}`"));
                }
                _ if noise.is_some() => return Err("bench parity wants one NOISE_FILE".to_owned()),
                file => noise = Some(file.into()),
            }
        }
        let noise = noise.ok_or("bench parity wants a NOISE_FILE")?;
        Ok(Self { noise, folder, out, rounds, memory_limit_bytes })
    }
}

fn number(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{text}` is no number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_named() {
        let options = Options::parse(&["--rounds", "3", "a", "--memory-limit", "800000000"]).unwrap();
        let expected = Options {
            noise: "a".into(),
            folder: None,
            out: None,
            rounds: 3,
            memory_limit_bytes: Some(800_000_000),
        };
        assert_eq!(options, expected);
        assert_eq!(Options::parse(&["a"]).unwrap().rounds, 7);
        for bad in
            [&[][..], &["a", "b"], &["--rounds", "0", "a"], &["--memory-limit", "1G", "a"], &["--x", "a"]]
        {
            assert!(Options::parse(bad).is_err(), "{bad:?}");
        }
    }
}
