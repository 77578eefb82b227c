//! Power loss at every write, rename and fsync of init and ingest, on the simulated disk.

use std::sync::Arc;

use super::support::{Lab, noise};
use crate::base::SilentMonitor;
use crate::chunk::ChunkParams;
use crate::engine::{Filter, snapshots};
use crate::store::LocalStore;
use crate::store::local::{CrashMode, SimDisk};

const MODES: [CrashMode; 4] = [
    CrashMode::ProcessDies,
    CrashMode::DropAllUnsynced,
    CrashMode::KeepRandomSubset { seed: 1 },
    CrashMode::KeepRandomSubset { seed: 2 },
];

fn lab(disk: &SimDisk) -> Lab {
    let mut lab = Lab::new(Arc::new(LocalStore::with_disk("/backup/repository", disk.clone())), true, 6);
    lab.chunking = ChunkParams::new(256, 1024, 4096).unwrap();
    lab
}

fn contents() -> [Vec<u8>; 2] {
    let first = noise(1, 100_000);
    let second = [&first[..60_000], &noise(2, 70_000)].concat();
    [first, second]
}

/// Runs init and two ingests until the power goes; returns what was acknowledged.
fn run(disk: &SimDisk, contents: &[Vec<u8>; 2]) -> (bool, usize) {
    let lab = lab(disk);
    if lab.create().is_err() {
        return (false, 0);
    }
    for (done, content) in contents.iter().enumerate() {
        if lab.ingest(&[("a", content)]).is_err() {
            return (true, done);
        }
    }
    (true, contents.len())
}

fn check(disk: &SimDisk, contents: &[Vec<u8>; 2], (created, acknowledged): (bool, usize), what: &str) {
    let lab = lab(disk);
    if lab.open().is_err() {
        assert!(!created, "{what}: an acknowledged repository is gone: {:?}", lab.open().err());
        lab.create().unwrap_or_else(|error| panic!("{what}: init again: {error}"));
    }
    let repository = lab.open().unwrap();
    let found = snapshots(&repository, &crate::base::NoPins, &SilentMonitor).unwrap();
    assert!(found.damaged().is_empty(), "{what}: {:?}", found.damaged());
    let ids: Vec<String> =
        found.matching(&Filter::default()).map(|loaded| loaded.manifest.id.to_string()).collect();
    assert!(ids.len() >= acknowledged, "{what}: {} of {acknowledged} snapshots", ids.len());
    for (id, content) in ids.iter().zip(contents) {
        let restored = lab.restore_from(&repository, id, &SilentMonitor);
        assert!(restored.unwrap_or_else(|error| panic!("{what}: {error}"))["a"] == *content, "{what}");
    }
    let next =
        lab.ingest(&[("a", &contents[1])]).unwrap_or_else(|error| panic!("{what}: next ingest: {error}"));
    let id = next.manifest.id.to_string();
    assert!(lab.restore_from(&repository, &id, &SilentMonitor).unwrap()["a"] == contents[1], "{what}");
}

#[test]
fn power_loss_at_any_step_keeps_what_was_acknowledged() {
    let contents = contents();
    let disk = SimDisk::new(1);
    assert_eq!(run(&disk, &contents), (true, 2));
    let steps = disk.steps();
    println!("{steps} steps, {} ways to lose power at each", MODES.len());
    for step in 0..=steps {
        for mode in MODES {
            let disk = SimDisk::new(1);
            disk.crash_at(step);
            let acknowledged = run(&disk, &contents);
            check(&disk.after_crash(mode), &contents, acknowledged, &format!("step {step}, {mode:?}"));
        }
    }
}

#[test]
fn an_error_of_the_disk_at_any_step_keeps_what_was_acknowledged() {
    use std::io::ErrorKind;
    let contents = contents();
    let disk = SimDisk::new(1);
    run(&disk, &contents);
    let steps = disk.steps();
    for step in 0..=steps {
        for kind in
            [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::Interrupted]
        {
            for persistent in [false, true] {
                let disk = SimDisk::new(1);
                disk.fail_nth(step, kind, persistent);
                let acknowledged = run(&disk, &contents);
                disk.stop_failing();
                let what = format!("{kind:?} at step {step}, persistent: {persistent}");
                check(&disk, &contents, acknowledged, &what);
            }
        }
    }
}
