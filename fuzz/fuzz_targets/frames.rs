//! Hostile bytes on a socket of the data plane, in portions of any size: never more content than came, and an end only
//! if the sender said so and counted right.

#![no_main]
#![expect(dead_code, reason = "the writer of frames is part of the file")]

#[path = "../../crates/containerarchive-cli/src/rpc/frames.rs"]
mod frames;

use std::io::{self, IoSliceMut, Read};

use libfuzzer_sys::fuzz_target;

/// Gives at most so many bytes at once.
struct Portions<'a>(&'a [u8], usize);

impl Read for Portions<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.1);
        self.0.read(&mut buffer[..count])
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut count = 0;
        for buffer in buffers {
            let wanted = buffer.len().min(self.1 - count);
            count += self.0.read(&mut buffer[..wanted])?;
        }
        Ok(count)
    }
}

/// What the frames say, read at once and slowly. `None`: an error.
fn expected(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let (head, rest) = bytes.split_first_chunk()?;
        bytes = rest;
        match u32::from_le_bytes(*head) {
            0 => {
                return (u64::from_le_bytes(*bytes.first_chunk()?) == content.len() as u64).then_some(content);
            }
            length if length > frames::MAX_FRAME_BYTES => return None,
            length => {
                let (frame, rest) = bytes.split_at_checked(length as usize)?;
                content.extend_from_slice(frame);
                bytes = rest;
            }
        }
    }
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (at_once, asked, bytes) = input;
    let mut reader = frames::FrameReader::new(Portions(bytes, usize::from(at_once) + 1));
    let (mut content, mut buffer) = (Vec::new(), vec![0; usize::from(asked) + 1]);
    let is_whole = loop {
        match reader.read(&mut buffer) {
            Ok(0) => break true,
            Ok(count) => content.extend_from_slice(&buffer[..count]),
            Err(_) => break false,
        }
    };
    assert!(content.len() <= bytes.len());
    assert_eq!(is_whole.then_some(content), expected(bytes));
});
