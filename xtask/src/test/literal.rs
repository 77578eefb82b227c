//! Runs the shell blocks of a document as they stand there, in order, in one shell, as its reader would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Starts the line that tells one block's output from the next one's.
const MARK: &str = "\u{1e}block ";
/// How much of an output is told when a block fails.
const TOLD_LINES: usize = 30;

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// For messages: file and line of the fence.
    pub(super) place: String,
    pub(super) text: String,
}

/// The blocks of a document whose fence says exactly `info`, all or those of one section.
pub(super) fn blocks(name: &str, document: &str, section: Option<&str>, info: &str) -> Vec<Block> {
    let fence = format!("```{info}");
    let mut found = Vec::new();
    let mut is_in_section = section.is_none();
    let mut open: Option<(bool, Block)> = None;
    for (index, line) in document.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => {
                found.extend(open.take().filter(|(is_wanted, _)| *is_wanted).map(|(_, block)| block));
            }
            Some((_, block)) => {
                block.text += line;
                block.text.push('\n');
            }
            None if line.starts_with("```") => {
                let place = format!("{name}:{}", index + 1);
                open = Some((is_in_section && line == fence, Block { place, text: String::new() }));
            }
            None => {
                if let (Some(section), Some(heading)) = (section, line.strip_prefix("## ")) {
                    is_in_section = heading == section;
                }
            }
        }
    }
    found
}

/// A place where blocks are run.
pub(super) struct Reader {
    /// Removed with all that is in it when this is dropped.
    pub(super) folder: PathBuf,
    environment: Vec<(String, String)>,
    /// Commands before the first block.
    pub(super) prelude: String,
    /// What bash is run by.
    pub(super) wrapper: Vec<String>,
}

impl Reader {
    /// An empty folder with an empty home folder in it, and nothing in the environment but what every login has.
    pub(super) fn new(name: &str) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("containerarchive-{name}-{}", std::process::id()));
        let made = fs::create_dir(&folder).and_then(|()| fs::create_dir(folder.join("home")));
        made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let mut reader =
            Self { folder, environment: Vec::new(), prelude: String::new(), wrapper: Vec::new() };
        reader.set("HOME", reader.folder.join("home").display().to_string());
        reader.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        reader.set("LANG", "C.UTF-8");
        Ok(reader)
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Runs the blocks under `bash -eu -o pipefail` and returns what each one printed.
    pub(super) fn run(&self, blocks: &[Block]) -> Result<Vec<String>, String> {
        let mut script = format!("exec 2>&1\n{}\n", self.prelude);
        for block in blocks {
            script += &format!("printf '\\n%s\\n' '{MARK}{}'\n{}", block.place, block.text);
        }
        let file = self.folder.join("script");
        fs::write(&file, script).map_err(|error| format!("cannot write the script: {error}"))?;
        let mut words = self.wrapper.iter().map(String::as_str).chain(["bash", "-eu", "-o", "pipefail"]);
        let mut command = Command::new(words.next().unwrap_or("bash"));
        command.args(words).arg(&file).current_dir(&self.folder).stdin(Stdio::null());
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.output().map_err(|error| format!("cannot run bash: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (_, printed) = text.split_once(MARK).unwrap_or(("", &text));
        let mut outputs = printed.split(MARK).map(|part| part.split_once('\n').map_or(part, |(_, out)| out));
        if output.status.success() {
            return Ok(outputs.by_ref().map(str::to_owned).collect());
        }
        let last = text.rsplit_once(MARK).map_or(&*text, |(_, last)| last);
        let lines: Vec<&str> = last.lines().collect();
        let told = lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n");
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}: the block at\n{told}\n{stderr}", output.status))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // What stays in the folder for temporary files disturbs nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Checks what was printed: of each pair, some block has the first text, and its output has the second.
pub(super) fn expect(blocks: &[Block], outputs: &[String], pairs: &[(&str, &str)]) -> Result<(), String> {
    for (command, text) in pairs {
        let mut of_command = blocks.iter().zip(outputs).filter(|(block, _)| block.text.contains(command));
        let Some((block, output)) = of_command.next() else {
            return Err(format!("no block has `{command}`"));
        };
        if !output.contains(text) && !of_command.any(|(_, output)| output.contains(text)) {
            return Err(format!("{}: `{command}` did not print `{text}`, but:\n{output}", block.place));
        }
    }
    Ok(())
}

/// The text of a document.
pub(super) fn read(root: &Path, name: &str) -> Result<String, String> {
    fs::read_to_string(root.join(name)).map_err(|error| format!("cannot read {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "\
# Title

```sh
outside
```

## One

```sh
first
# no heading
```

```text
## One
```

```sh run
second
```

## Two

```sh
third
```
";

    fn texts(section: Option<&str>, info: &str) -> Vec<String> {
        blocks("doc.md", DOCUMENT, section, info).into_iter().map(|block| block.text).collect()
    }

    #[test]
    fn blocks_are_found_by_section_and_by_what_their_fence_says() {
        assert_eq!(texts(Some("One"), "sh"), ["first\n# no heading\n"]);
        assert_eq!(texts(None, "sh"), ["outside\n", "first\n# no heading\n", "third\n"]);
        assert_eq!(texts(None, "sh run"), ["second\n"]);
        assert_eq!(blocks("doc.md", DOCUMENT, Some("Two"), "sh")[0].place, "doc.md:24");
    }

    fn block(text: &str) -> Block {
        Block { place: "doc.md:1".to_owned(), text: format!("{text}\n") }
    }

    #[test]
    fn blocks_share_a_shell_and_the_first_failure_is_named() {
        let mut reader = Reader::new("literal-test").unwrap();
        reader.set("GIVEN", "given");
        let outputs = reader.run(&[block("a=one"), block("echo $a $GIVEN"), block("cd; ls -A")]).unwrap();
        assert_eq!(outputs.len(), 3);
        assert_eq!(outputs[1].trim(), "one given");
        assert_eq!(outputs[2].trim(), "");
        let failed = reader.run(&[block("false | true"), block("true")]).unwrap_err();
        assert!(failed.contains("doc.md:1"), "{failed}");
        assert!(reader.run(&[block("echo $undefined")]).is_err());
        let blocks = [block("echo one")];
        let outputs = reader.run(&blocks).unwrap();
        assert_eq!(expect(&blocks, &outputs, &[("echo", "one")]), Ok(()));
        assert!(expect(&blocks, &outputs, &[("echo", "two")]).is_err());
        assert!(expect(&blocks, &outputs, &[("ls", "one")]).is_err());
    }
}
