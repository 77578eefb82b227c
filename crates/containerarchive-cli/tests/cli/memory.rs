//! Bounded memory: a long stream, and many items at once. With CONTAINERARCHIVE_TEST_LONG the stream has 5 GB.

use std::io::{Read, Write};
use std::process::Child;
use std::time::Duration;

use super::support::{Ended, Lab, noise};

const LIMIT_KIB: u64 = 200 << 10;
const PIECE: usize = 1 << 20;

fn is_long() -> bool {
    std::env::var_os("CONTAINERARCHIVE_TEST_LONG").is_some()
}

/// Piece `number` of a stream: by turns noise, text, and zeros, each another one.
fn piece(base: &[u8], number: u64) -> Vec<u8> {
    let mut piece = base.to_vec();
    match number % 4 {
        3 => piece.fill(0),
        1 => piece.iter_mut().for_each(|byte| *byte = b'a' + *byte % 8),
        _ => {}
    }
    for (block, bytes) in piece.chunks_mut(4096).enumerate() {
        bytes[..8].copy_from_slice(&(number << 20 | block as u64).to_le_bytes());
    }
    piece
}

/// The largest resident memory of a process so far, in KiB; `None` when it has ended.
fn peak_kib(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn assert_small(peak: u64, what: &str) {
    println!("{what}: peak of {} MiB resident", peak >> 10);
    assert!(peak < LIMIT_KIB, "{what}: {peak} KiB resident");
    assert!(peak > 1 << 10, "{what}: {peak} KiB is no measurement");
}

#[test]
fn a_long_stream_goes_in_and_comes_back_in_bounded_memory() {
    let pieces: u64 = if is_long() { 5_000 } else { 300 };
    let mut lab = Lab::encrypted();
    lab.set("CONTAINERARCHIVE_THREADS", "2");
    let base = noise(PIECE);
    let mut child = lab.spawn(["ingest", "--name", "long", "-"]);
    let mut input = child.stdin.take().unwrap();
    let mut peak = 0;
    for number in 0..pieces {
        input.write_all(&piece(&base, number)).unwrap();
        if number % 16 == 0 {
            peak = peak_kib(&child).unwrap().max(peak);
        }
    }
    drop(input);
    while let Some(now) = peak_kib(&child) {
        peak = now.max(peak);
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ended::from(child.wait_with_output().unwrap()).succeeded();
    assert_small(peak, "ingest");

    let mut child = lab.spawn(["restore", "latest", "--to", "-"]);
    let mut output = child.stdout.take().unwrap();
    let mut restored = vec![0; PIECE];
    let mut peak = 0;
    for number in 0..pieces {
        output.read_exact(&mut restored).unwrap();
        assert!(restored == piece(&base, number), "piece {number}");
        peak = peak_kib(&child).unwrap_or(0).max(peak);
    }
    assert_eq!(output.read(&mut restored).unwrap(), 0, "more than went in");
    Ended::from(child.wait_with_output().unwrap()).succeeded();
    assert_small(peak, "restore");
}

#[test]
fn fifty_items_at_once_go_in_in_bounded_memory() {
    let pieces: u64 = if is_long() { 64 } else { 6 };
    let mut lab = Lab::encrypted();
    lab.set("CONTAINERARCHIVE_THREADS", "2");
    let base = noise(PIECE);
    let mut arguments = vec!["ingest".to_owned()];
    for item in 0..50 {
        let content: Vec<u8> = (0..pieces).flat_map(|number| piece(&base, item * 1000 + number)).collect();
        let path = lab.file(&format!("item-{item}"), content);
        arguments.extend(["--item".to_owned(), format!("{item}={path}")]);
    }
    let mut child = lab.spawn(&arguments);
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak_kib(&child).unwrap_or(0).max(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ended::from(child.wait_with_output().unwrap()).succeeded();
    assert_small(peak, "50 items");
    lab.run(["restore", "latest", "--to", "out"]).succeeded();
    for item in 0..50 {
        let went_in = std::fs::read(lab.path(&format!("item-{item}"))).unwrap();
        assert!(std::fs::read(lab.path(&format!("out/{item}"))).unwrap() == went_in, "item {item}");
    }
}
