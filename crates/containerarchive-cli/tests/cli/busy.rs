//! Many processes on one repository, stopped and killed at random: ingests, restores, and a prune in a loop. With
//! CONTAINERARCHIVE_TEST_LONG for two minutes.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Child, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::strikes::{Dice, is_long};
use super::support::Lab;

const WRITERS: usize = 8;
const READERS: usize = 2;
/// Snapshots of a series that rules keep.
const KEPT: usize = 3;

/// What one writer tried to store, in order: the content, and the snapshot if that was acknowledged.
type Attempts = Vec<(Vec<u8>, Option<String>)>;

struct Yard {
    lab: Lab,
    is_over: AtomicBool,
    attempts: Vec<Mutex<Attempts>>,
    /// What all contents share.
    common: Vec<u8>,
    kills: AtomicUsize,
    stops: AtomicUsize,
}

fn series(writer: usize) -> String {
    format!("w{writer}")
}

impl Yard {
    /// Lets a process run, be stopped for a while, or be killed. `None`: it was killed.
    fn run(&self, mut child: Child, input: Option<Vec<u8>>, dice: &mut Dice) -> Option<Output> {
        let pid = Pid::from_child(&child);
        let mut stdin = child.stdin.take();
        let feeder = std::thread::spawn(move || {
            if let (Some(pipe), Some(bytes)) = (&mut stdin, input) {
                // One that is killed does not read to the end.
                let _ = pipe.write_all(&bytes);
            }
        });
        let fate = dice.below(5);
        let moment = dice.duration(Duration::from_millis(400));
        let pause = dice.duration(Duration::from_millis(2500));
        let (sender, ended) = std::sync::mpsc::channel();
        let fiend = std::thread::spawn(move || {
            if fate > 1 || ended.recv_timeout(moment).is_ok() {
                return;
            }
            // The process is not waited for before this thread has ended, so that the id is its own.
            let _ = kill_process(pid, if fate == 0 { Signal::KILL } else { Signal::STOP });
            if fate == 1 {
                let _ = ended.recv_timeout(pause);
                let _ = kill_process(pid, Signal::CONT);
            }
        });
        let mut stdout = Vec::new();
        let mut stderr = Vec::new();
        std::thread::scope(|scope| {
            let (out, err) = (child.stdout.take(), child.stderr.take());
            scope.spawn(|| std::io::Read::read_to_end(&mut err.unwrap(), &mut stderr).unwrap());
            std::io::Read::read_to_end(&mut out.unwrap(), &mut stdout).unwrap();
        });
        let _ = sender.send(());
        fiend.join().unwrap();
        let status = child.wait().unwrap();
        feeder.join().unwrap();
        self.stops.fetch_add(usize::from(fate == 1), Ordering::Relaxed);
        if status.code().is_none() {
            self.kills.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Output { status, stdout, stderr })
    }

    fn write(&self, writer: usize, mut dice: Dice) {
        let name = series(writer);
        while !self.is_over.load(Ordering::Relaxed) {
            let start = dice.below(self.common.len() / 2);
            let mut content = self.common[start..start + self.common.len() / 3].to_vec();
            let len = 1 + dice.below(150_000);
            content.extend(dice.noise(len));
            self.attempts[writer].lock().unwrap().push((content.clone(), None));
            let child = self.lab.spawn(["ingest", "--name", &name, "--series", &name, "-", "--json"]);
            let Some(output) = self.run(child, Some(content), &mut dice) else { continue };
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "an ingest failed: {stderr}");
            let document: Value = serde_json::from_slice(&output.stdout).unwrap();
            let id = document["snapshot"]["id"].as_str().unwrap().to_owned();
            self.attempts[writer].lock().unwrap().last_mut().unwrap().1 = Some(id);
        }
    }

    fn read(&self, mut dice: Dice) {
        while !self.is_over.load(Ordering::Relaxed) {
            let writer = dice.below(WRITERS);
            let newest = {
                let attempts = self.attempts[writer].lock().unwrap();
                let known =
                    attempts.iter().rev().find_map(|(content, id)| Some((content.clone(), id.clone()?)));
                let Some(newest) = known else {
                    drop(attempts);
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                };
                newest
            };
            let (content, id) = newest;
            let Some(output) = self.run(self.lab.spawn(["restore", &id, "--to", "-"]), None, &mut dice)
            else {
                continue;
            };
            let stderr = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => assert!(output.stdout == content, "snapshot {id} was restored with other bytes"),
                // It may have been forgotten, if others of the series came meanwhile.
                _ => assert!(stderr.contains("no snapshot") || stderr.contains("no id begins"), "{stderr}"),
            }
        }
    }

    fn prune(&self, mut dice: Dice) -> usize {
        let mut done = 0;
        let keep = KEPT.to_string();
        let prune = ["prune", "--keep-last", &keep, "--drain", "2s", "--patience", "2s", "--json"];
        while !self.is_over.load(Ordering::Relaxed) {
            let Some(output) = self.run(self.lab.spawn(prune), None, &mut dice) else { continue };
            let stderr = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => {
                    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
                    done += usize::from(document["pending"].is_null());
                }
                code => assert_eq!(code, Some(11), "a prune failed: {stderr}"),
            }
        }
        done
    }

    /// Every acknowledged snapshot that rules keep is there, and whatever is there restores.
    fn check(&self) {
        let mut listed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for snapshot in self.lab.snapshots() {
            let text = |field: &str| snapshot[field].as_str().unwrap().to_owned();
            listed.entry(text("series")).or_default().push(text("id"));
        }
        for writer in 0..WRITERS {
            let attempts = self.attempts[writer].lock().unwrap();
            let there = listed.remove(&series(writer)).unwrap_or_default();
            assert!(there.len() <= KEPT, "{there:?}");
            for id in &there {
                let restored = self.lab.run(["restore", id, "--to", "-"]).succeeded().stdout;
                let known = attempts.iter().find(|(_, known)| known.as_ref() == Some(id));
                match known {
                    Some((content, _)) => assert!(restored == *content, "snapshot {id}"),
                    // The process was killed after its snapshot was there.
                    None => {
                        assert!(attempts.iter().any(|(content, id)| id.is_none() && restored == *content))
                    }
                }
            }
            // Newer ones that nobody was told of count for the rules as well.
            let unknown =
                there.iter().filter(|id| !attempts.iter().any(|(_, it)| it.as_ref() == Some(id))).count();
            let acknowledged: Vec<&String> = attempts.iter().filter_map(|(_, id)| id.as_ref()).collect();
            for id in acknowledged.iter().rev().take(KEPT - unknown) {
                assert!(there.contains(id), "acknowledged snapshot {id} of {} is gone", series(writer));
            }
        }
    }
}

#[test]
fn ingests_restores_and_prunes_that_are_stopped_and_killed_lose_nothing_and_wait_for_nobody() {
    let mut dice = Dice::thrown("a busy repository");
    let duration = Duration::from_secs(if is_long() { 120 } else { 12 });
    for is_encrypted in if is_long() { vec![false, true] } else { vec![dice.one_in(2)] } {
        let mut lab = Lab::empty();
        let mut init = vec!["init", "--pack-size", "64KiB", "--chunk-size", "1KiB,4KiB,16KiB"];
        if !is_encrypted {
            lab.unset("CONTAINERARCHIVE_PASSPHRASE");
            init.push("--no-encryption");
        }
        lab.run(init).succeeded();
        let yard = Yard {
            lab,
            is_over: AtomicBool::new(false),
            attempts: (0..WRITERS).map(|_| Mutex::default()).collect(),
            common: dice.noise(600_000),
            kills: AtomicUsize::new(0),
            stops: AtomicUsize::new(0),
        };
        let pruned = std::thread::scope(|scope| {
            let yard = &yard;
            for writer in 0..WRITERS {
                let dice = dice.child();
                scope.spawn(move || yard.write(writer, dice));
            }
            for _ in 0..READERS {
                let dice = dice.child();
                scope.spawn(move || yard.read(dice));
            }
            let dice = dice.child();
            let pruner = scope.spawn(move || yard.prune(dice));
            let begun = Instant::now();
            while begun.elapsed() < duration {
                std::thread::sleep(Duration::from_millis(100));
            }
            yard.is_over.store(true, Ordering::Relaxed);
            pruner.join().unwrap()
        });
        let keep = KEPT.to_string();
        let last = yard.lab.run(["prune", "--keep-last", &keep, "--json"]).succeeded().json();
        assert!(last["pending"].is_null(), "{last}");
        yard.check();
        yard.lab.run(["verify", "--level", "full"]).succeeded();
        assert!(yard.lab.objects("records/retire").is_empty());
        let acknowledged: usize = yard
            .attempts
            .iter()
            .map(|attempts| attempts.lock().unwrap().iter().filter(|(_, id)| id.is_some()).count())
            .sum();
        let stored: u64 = yard
            .lab
            .objects("packs/data")
            .into_iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        // What all share, and the own part of each snapshot.
        let needed = 600_000 + WRITERS * KEPT * 150_000;
        println!(
            "encrypted {is_encrypted}: {acknowledged} snapshots acknowledged, {pruned} prunes done, {} kills, {} stops, {stored} bytes stored",
            yard.kills.load(Ordering::Relaxed),
            yard.stops.load(Ordering::Relaxed)
        );
        assert!(stored < needed as u64 * 3 / 2, "{stored} bytes for {needed}");
        assert!(acknowledged > 10 && pruned > 0);
    }
}
