//! Hostile bytes on the sockets and on the standard input: what the readers make of them is compared with short
//! references, over any split of reads. With CONTAINERARCHIVE_TEST_LONG for a minute each; the seed is printed, and
//! CONTAINERARCHIVE_TEST_SEED gives it.

use std::io::{self, IoSliceMut, Read};
use std::time::{Duration, Instant};

use super::frames::{FrameReader, FrameWriter, MAX_FRAME_BYTES};
use super::lines::{Line, LineSplitter};
use super::params::{IngestMultiParams, InitParams, ListSnapshotsParams, PruneParams, RestoreParams, parse};
use super::wire::{MAX_ID_BYTES, Request, id_at_the_beginning};

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn begin(what: &str) -> Self {
        let given = std::env::var("CONTAINERARCHIVE_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or(6);
        println!("{what}: CONTAINERARCHIVE_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn bytes(&mut self, max: usize) -> Vec<u8> {
        let length = self.below(max + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Flips, inserts, removes, repeats, cuts.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                _ if bytes.is_empty() => *bytes = self.bytes(8),
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0xff, b'"', b'\n'][self.below(6)],
                2 => bytes.insert(at, self.next() as u8),
                3 => drop(bytes.drain(at..(at + 1 + self.below(8)).min(bytes.len()))),
                4 => bytes.extend_from_within(at..),
                _ => bytes.truncate(at),
            }
        }
    }
}

/// Calls it with so many cases, or for a minute.
fn repeat(what: &str, cases: usize, mut case: impl FnMut(&mut Random)) {
    let mut random = Random::begin(what);
    let is_long = std::env::var_os("CONTAINERARCHIVE_TEST_LONG").is_some();
    let since = Instant::now();
    let mut done = 0;
    while done < cases || (is_long && since.elapsed() < Duration::from_secs(60)) {
        case(&mut random);
        done += 1;
    }
    println!("{what}: {done} cases");
}

/// Gives few bytes at once, and refuses to be asked for more than a reader needs.
struct Portions<'a> {
    rest: &'a [u8],
    random: &'a mut Random,
}

impl Read for Portions<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(buffer.len() <= MAX_FRAME_BYTES as usize);
        let count = buffer.len().min(1 + self.random.below(40));
        self.rest.read(&mut buffer[..count])
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut left = 1 + self.random.below(40);
        let mut count = 0;
        for buffer in buffers {
            let wanted = buffer.len().min(left);
            let came = self.rest.read(&mut buffer[..wanted])?;
            (count, left) = (count + came, left - came);
        }
        Ok(count)
    }
}

/// The content that bytes are frames of, if they are that and whole: the table of `frames`, word for word.
fn framed_content(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        match u32::from_le_bytes(*head) {
            0 => {
                let (count, _) = rest.split_first_chunk::<8>()?;
                return (u64::from_le_bytes(*count) == content.len() as u64).then_some(content);
            }
            length if length > MAX_FRAME_BYTES => return None,
            length => {
                let (frame, rest) = rest.split_at_checked(length as usize)?;
                content.extend_from_slice(frame);
                bytes = rest;
            }
        }
    }
}

fn some_frames(random: &mut Random) -> Vec<u8> {
    let mut writer = FrameWriter::new(Vec::new());
    for _ in 0..random.below(5) {
        let content = random.bytes(60);
        io::Write::write_all(&mut writer, &content).unwrap();
    }
    match random.below(4) {
        0 => writer.give_up("no more").unwrap(),
        1 => {}
        _ => writer.end().unwrap(),
    }
    writer.into_inner()
}

#[test]
fn hostile_frames_are_an_error_or_what_they_say() {
    let mut whole = 0;
    repeat("frames", 50_000, |random| {
        let mut bytes = if random.below(8) == 0 { random.bytes(200) } else { some_frames(random) };
        random.mutate(&mut bytes);
        let mut buffer = vec![0; 1 + random.below(90)];
        let mut reader = FrameReader::new(Portions { rest: &bytes, random });
        let mut content = Vec::new();
        let read = loop {
            match reader.read(&mut buffer) {
                Ok(0) => break Some(content),
                Ok(count) => content.extend_from_slice(&buffer[..count]),
                Err(_) => break None,
            }
            assert!(content.len() <= bytes.len());
        };
        whole += usize::from(read.is_some());
        assert_eq!(read, framed_content(&bytes), "{bytes:02x?}");
    });
    assert!(whole > 1000, "{whole} were whole: the cases say little");
}

const LINES: &[&str] = &[
    r#"{"id":"r1","method":"init","params":{"path":"/x","passphrase":"p","chunkSize":[1,2,3],"packSize":1}}"#,
    r#"{"id":"r2","method":"ingestMulti","params":{"streams":[{"streamId":"a","name":"b","size":5}],"tags":{"k":"v"}}}"#,
    r#"{"id":"r3","method":"prune","params":{"keepLast":1,"keepDays":7,"keepWithin":"30d","dryRun":true}}"#,
    r#"{"id":"r4","method":"restore","params":{"id":"latest","streamId":"0123456789abcdef","item":"a.sql"}}"#,
    r#"{"id":"r5","method":"listSnapshots","params":{"after":"2024-01-01T00:00:00Z","tags":{"a":"\ud83d\uddc4"}}}"#,
    r#"{"id":"r6","method":"shutdown"}"#,
];

/// What the engine does with a line before it is told to anybody; true if it is a request.
fn is_request(line: &[u8]) -> bool {
    let Ok(request) = serde_json::from_slice::<Request<'_>>(line) else { return false };
    let params = request.params.map_or("{}", |params| params.get());
    // That none of these panics is what matters here, and that a refusal can be told.
    let refusals = [
        parse::<InitParams>(params).err(),
        parse::<IngestMultiParams>(params).err(),
        parse::<PruneParams>(params).err(),
        parse::<RestoreParams>(params).err(),
        parse::<ListSnapshotsParams>(params).err(),
    ];
    assert!(refusals.iter().flatten().all(|refusal| !refusal.message().is_empty()));
    true
}

#[test]
fn hostile_lines_are_cut_as_they_stand_and_read_or_refused() {
    let mut requests = 0;
    repeat("lines", 20_000, |random| {
        let max = 1 + random.below(400);
        let mut bytes = Vec::new();
        for _ in 0..random.below(5) {
            let mut line = LINES[random.below(LINES.len())].as_bytes().to_vec();
            if random.below(4) == 0 {
                line = random.bytes(500);
            }
            random.mutate(&mut line);
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
        }
        random.mutate(&mut bytes);
        let mut splitter = LineSplitter::new(max);
        let (mut lines, mut rest) = (Vec::new(), &bytes[..]);
        while !rest.is_empty() {
            let (portion, others) = rest.split_at(1 + random.below(rest.len()));
            lines.extend(splitter.push(portion));
            rest = others;
        }
        let mut expected: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        expected.pop();
        assert_eq!(lines.len(), expected.len());
        for (line, expected) in lines.iter().zip(expected) {
            match line {
                Line::Whole(line) => {
                    assert!(line.len() <= max && line.as_slice() == expected);
                    requests += usize::from(is_request(line));
                }
                Line::TooLong(head) => {
                    assert!(expected.len() > max && expected.starts_with(head));
                    assert!(id_at_the_beginning(head).is_none_or(|id| id.len() <= MAX_ID_BYTES));
                }
            }
        }
    });
    assert!(requests > 1000, "{requests} were requests: the cases say little");
}
