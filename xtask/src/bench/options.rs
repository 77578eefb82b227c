//! The arguments of `cargo xtask bench`.

use std::path::PathBuf;

/// What is stored: a file, then a later version of it or the same file again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) file: PathBuf,
    pub(crate) next: Option<PathBuf>,
}

impl Work {
    /// The file of the second ingest and of the restore.
    pub(crate) fn second(&self) -> &PathBuf {
        self.next.as_ref().unwrap_or(&self.file)
    }
}

/// What `cargo xtask bench` was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) works: Vec<Work>,
    /// Where repositories are made and removed again.
    pub(crate) folder: Option<PathBuf>,
    /// Where the Markdown goes.
    pub(crate) out: Option<PathBuf>,
    pub(crate) runs: usize,
    pub(crate) has_peers: bool,
    pub(crate) is_profiled: bool,
}

impl Options {
    /// Reads the arguments after `bench`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            works: Vec::new(),
            folder: None,
            out: None,
            runs: 3,
            has_peers: false,
            is_profiled: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            match *argument {
                "--peers" => options.has_peers = true,
                "--profile" => options.is_profiled = true,
                "--work" => options.folder = Some(value()?.into()),
                "--out" => options.out = Some(value()?.into()),
                "--runs" => {
                    let text = value()?;
                    let runs = text.parse().ok().filter(|runs| *runs > 0);
                    options.runs = runs.ok_or_else(|| format!("`{text}` is no number of runs"))?;
                }
                option if option.starts_with("--") => {
                    return Err(format!("`bench` has no option `{option}`"));
                }
                files => options.works.push(work(files)?),
            }
        }
        if options.works.is_empty() {
            return Err("bench wants at least one FILE or FILE,NEXT".to_owned());
        }
        Ok(options)
    }
}

fn work(files: &str) -> Result<Work, String> {
    let (file, next) = files.split_once(',').map_or((files, None), |(file, next)| (file, Some(next)));
    if file.is_empty() || next.is_some_and(|next| next.is_empty() || next.contains(',')) {
        return Err(format!("`{files}` is not FILE or FILE,NEXT; names with commas cannot be given"));
    }
    Ok(Work { file: file.into(), next: next.map(Into::into) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_named() {
        let options = Options::parse(&["--peers", "--runs", "5", "a,b", "--work", "w", "c"]).unwrap();
        let expected = Options {
            works: vec![
                Work { file: "a".into(), next: Some("b".into()) },
                Work { file: "c".into(), next: None },
            ],
            folder: Some("w".into()),
            out: None,
            runs: 5,
            has_peers: true,
            is_profiled: false,
        };
        assert_eq!(options, expected);
        assert_eq!(options.works[0].second(), &PathBuf::from("b"));
        assert_eq!(options.works[1].second(), &PathBuf::from("c"));
        for bad in
            [&[][..], &["--runs", "0", "a"], &["--out"], &["--fast", "a"], &["a,"], &[",b"], &["a,b,c"]]
        {
            assert!(Options::parse(bad).is_err(), "{bad:?}");
        }
    }
}
