//! One run: every tool does the same steps in repositories of its own, in turns.

use std::path::{Path, PathBuf};

use super::files::{self, Sizes};
use super::options::Work;
use super::process::{self, Usage};
use super::samples::{Sample, Step};
use super::tool::{OWN_SHOW, REPOSITORY, Tool};

/// A tool, its folder, and how far its repository has grown.
struct Player<'a> {
    tool: &'a Tool,
    folder: PathBuf,
    stored: Sizes,
}

/// What a step found.
pub(crate) enum Event {
    Measured(Sample),
    /// Of the engine's ingests: which share of the chunks was new.
    NewShare(f64),
    /// The tool takes no further part in this run.
    Failed(String),
}

/// Runs all steps once below `folder`, which is left as it is. Steps alternate tool by tool; `first` says which tool
/// begins, so that none is always behind the same one. `settle` comes before every step and is not timed: [`settle`],
/// but for tests, which do not wait for what others write.
///
/// # Errors
/// A file of the work cannot be read, or the folder cannot be used. What tools do wrong comes as an [`Event`].
pub(crate) fn run(
    tools: &[Tool],
    first: usize,
    work: &Work,
    folder: &Path,
    settle: fn(),
    report: &mut impl FnMut(&Tool, Step, Event),
) -> Result<(), String> {
    let mut players = Vec::new();
    for at in 0..tools.len() {
        let tool = &tools[(first + at) % tools.len()];
        let folder = folder.join(tool.commands.name);
        std::fs::create_dir(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        players.push(Player { tool, folder, stored: Sizes::default() });
    }
    players.retain_mut(|player| {
        let done = prepare(player);
        done.map_err(|why| report(player.tool, Step::First, Event::Failed(why))).is_ok()
    });
    for step in Step::ALL {
        let source = if step == Step::First { &work.file } else { work.second() };
        let mut failed = Vec::new();
        for (at, player) in players.iter_mut().enumerate() {
            if step == Step::Verify && player.tool.commands.verify.is_empty() {
                continue;
            }
            files::warm(source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
            settle();
            match measure(player, step, source) {
                Ok((sample, new_share)) => {
                    if let Some(share) = new_share {
                        report(player.tool, step, Event::NewShare(share));
                    }
                    report(player.tool, step, Event::Measured(sample));
                }
                Err(why) => {
                    report(player.tool, step, Event::Failed(why));
                    failed.push(at);
                }
            }
        }
        let mut at = 0;
        players.retain(|_| {
            at += 1;
            !failed.contains(&(at - 1))
        });
    }
    Ok(())
}

fn prepare(player: &mut Player<'_>) -> Result<(), String> {
    for mut command in player.tool.prepare(&player.folder) {
        process::run(&mut command, None, None, &player.log())?;
    }
    player.stored = player.repository()?;
    Ok(())
}

/// The sample, and of the engine's ingests the share of new chunks.
fn measure(player: &mut Player<'_>, step: Step, source: &Path) -> Result<(Sample, Option<f64>), String> {
    let usage = match step {
        Step::First => player.ingest("first", source)?,
        Step::Second => player.ingest("second", source)?,
        Step::Restore => player.restore(source)?,
        Step::Verify => player.verify()?,
    };
    let stored = player.repository()?;
    let added = stored.since(player.stored);
    player.stored = stored;
    let is_own = player.tool.commands.name == super::tool::OWN.name;
    let is_ingest = matches!(step, Step::First | Step::Second);
    let new_share = if is_own && is_ingest { Some(player.new_share()?) } else { None };
    Ok((Sample { usage, stored, added }, new_share))
}

impl Player<'_> {
    fn ingest(&self, snapshot: &str, source: &Path) -> Result<Usage, String> {
        process::run(&mut self.tool.ingest(&self.folder, snapshot), Some(source), None, &self.log())
    }

    fn restore(&self, source: &Path) -> Result<Usage, String> {
        let restored = self.folder.join("restored");
        let usage =
            process::run(&mut self.tool.restore(&self.folder, "second"), None, Some(&restored), &self.log())?;
        let equal = files::are_equal(source, &restored);
        let cannot = |error: std::io::Error| format!("cannot compare {}: {error}", restored.display());
        let is_equal = equal.map_err(cannot)?;
        std::fs::remove_file(&restored).map_err(cannot)?;
        is_equal.then_some(usage).ok_or_else(|| "what it restored is not what was stored".to_owned())
    }

    fn verify(&self) -> Result<Usage, String> {
        let mut command = self.tool.verify(&self.folder).ok_or("it has no command that verifies")?;
        process::run(&mut command, None, None, &self.log())
    }

    fn repository(&self) -> Result<Sizes, String> {
        let folder = self.folder.join(REPOSITORY);
        Sizes::of(&folder).map_err(|error| format!("cannot look through {}: {error}", folder.display()))
    }

    fn new_share(&self) -> Result<f64, String> {
        let output = self.tool.command(&self.folder, OWN_SHOW, "").output();
        let output = output.map_err(|error| format!("cannot ask for the snapshot: {error}"))?;
        new_share(&output.stdout)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("stderr")
    }
}

/// Waits until what earlier steps left to be written is on the disk, so that nobody pays for another one's bytes.
pub(crate) fn settle() {
    rustix::fs::sync();
}

/// New chunks ÷ all chunks of the snapshot in a document `containerarchive/snapshot/1`.
fn new_share(document: &[u8]) -> Result<f64, String> {
    let document: serde_json::Value = serde_json::from_slice(document)
        .map_err(|error| format!("the snapshot's document cannot be read: {error}"))?;
    let number = |name: &str| {
        let number = document.get("snapshot").and_then(|snapshot| snapshot.get(name)?.as_f64());
        number.ok_or_else(|| format!("the snapshot's document has no `{name}`"))
    };
    Ok(number("newChunks")? / number("chunkCount")?.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::super::tool::Commands;
    use super::*;

    #[test]
    fn the_share_of_new_chunks_comes_from_the_document() {
        let share = new_share(br#"{"snapshot":{"newChunks":1,"chunkCount":4}}"#).unwrap();
        assert!((share - 0.25).abs() < 1e-9);
        assert!(new_share(br#"{"snapshot":{"newChunks":0,"chunkCount":0}}"#).unwrap().abs() < 1e-9);
        assert!(new_share(br#"{"snapshot":{"newChunks":0}}"#).is_err());
        assert!(new_share(b"").is_err());
    }

    /// A tool whose repository is a folder with the plain files.
    const PLAIN: Commands = Commands {
        name: "plain",
        places: &[],
        variables: &[],
        version: &["-c", "echo plain 1"],
        prepare: &[&["-c", "mkdir repo"]],
        ingest: &["-c", "cat > repo/{snapshot}"],
        restore: &["-c", "cat repo/{snapshot}"],
        verify: &["-c", "test -s repo/first"],
    };

    /// What the tools did in one run over two versions of a file.
    fn events(
        tools: &[&'static Commands],
        first: usize,
    ) -> Vec<(&'static str, Step, Result<Sample, String>)> {
        let folder = tempfile::tempdir().unwrap();
        let (file, next) = (folder.path().join("file"), folder.path().join("next"));
        std::fs::write(&file, "one").unwrap();
        std::fs::write(&next, "another").unwrap();
        let tools: Vec<Tool> = tools.iter().map(|commands| Tool::new(commands, "/bin/sh".into())).collect();
        let mut events = Vec::new();
        run(
            &tools,
            first,
            &Work { file, next: Some(next) },
            folder.path(),
            || (),
            &mut |tool, step, event| {
                let result = match event {
                    Event::Measured(sample) => Ok(sample),
                    Event::Failed(why) => Err(why),
                    Event::NewShare(_) => return,
                };
                events.push((tool.commands.name, step, result));
            },
        )
        .unwrap();
        events
    }

    #[test]
    fn tools_take_turns_and_every_step_is_measured() {
        static OTHER: Commands = Commands { name: "other", ..PLAIN };
        let events = events(&[&PLAIN, &OTHER], 1);
        let order: Vec<_> = events.iter().map(|(tool, step, _)| (*tool, *step)).collect();
        let expected: Vec<_> =
            Step::ALL.into_iter().flat_map(|step| [("other", step), ("plain", step)]).collect();
        assert_eq!(order, expected);
        let bytes = |at: usize| {
            let sample = events[at].2.as_ref().unwrap();
            (sample.stored.all, sample.added.all)
        };
        assert_eq!((bytes(0), bytes(2), bytes(4), bytes(6)), ((3, 3), (10, 7), (10, 0), (10, 0)));
    }

    #[test]
    fn wrong_bytes_are_a_failure_and_never_a_time() {
        static LIAR: Commands =
            Commands { name: "liar", restore: &["-c", "cat repo/{snapshot}; echo"], ..PLAIN };
        let events = events(&[&LIAR, &PLAIN], 0);
        let restore: Vec<_> = events.iter().filter(|(_, step, _)| *step == Step::Restore).collect();
        assert!(
            matches!(restore[0], ("liar", _, Err(why)) if why.contains("not what was stored")),
            "{restore:?}"
        );
        assert!(matches!(restore[1], ("plain", _, Ok(_))), "{restore:?}");
    }

    #[test]
    fn a_tool_that_fails_is_left_out_of_what_follows() {
        static LAME: Commands = Commands { name: "lame", ingest: &["-c", "echo no >&2; exit 3"], ..PLAIN };
        static ROOTLESS: Commands = Commands { name: "rootless", prepare: &[&["-c", "exit 4"]], ..PLAIN };
        let events = events(&[&LAME, &ROOTLESS, &PLAIN], 0);
        let of = |name: &str| events.iter().filter(|(tool, ..)| *tool == name).collect::<Vec<_>>();
        assert!(
            matches!(&of("lame")[..], [(_, Step::First, Err(why))] if why.ends_with("exit status: 3\nno"))
        );
        assert!(
            matches!(&of("rootless")[..], [(_, Step::First, Err(why))] if why.contains("exit status: 4"))
        );
        assert_eq!(of("plain").len(), 4);
    }

    #[test]
    fn a_tool_that_cannot_verify_does_the_other_steps() {
        static TRUSTING: Commands = Commands { name: "trusting", verify: &[], ..PLAIN };
        let events = events(&[&TRUSTING, &PLAIN], 0);
        let of = |name: &str| events.iter().filter(|(tool, ..)| *tool == name).collect::<Vec<_>>();
        assert!(of("trusting").iter().all(|(_, step, result)| *step != Step::Verify && result.is_ok()));
        assert_eq!((of("trusting").len(), of("plain").len()), (3, 4));
    }
}
