//! Hostile bytes on the standard input of an engine, in portions of any size: the lines are those that a split at line
//! ends gives, and long ones are told apart.

#![no_main]

#[path = "../../crates/containerarchive-cli/src/rpc/lines.rs"]
mod lines;

use libfuzzer_sys::fuzz_target;
use lines::{Line, LineSplitter};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (most, at_once, bytes) = input;
    let most = usize::from(most).min(lines::MAX_LINE_BYTES);
    let mut splitter = LineSplitter::new(most);
    let found: Vec<Line> =
        bytes.chunks(usize::from(at_once) + 1).flat_map(|portion| splitter.push(portion)).collect();
    let mut expected: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // Behind the last end: a line that goes on.
    expected.pop();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        match found {
            Line::Whole(line) => assert!(expected.len() <= most && line[..] == *expected),
            Line::TooLong(head) => assert!(expected.len() > most && expected.starts_with(head)),
        }
    }
});
