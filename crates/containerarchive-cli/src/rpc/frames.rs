//! Frames of the data plane. The end of a socket says nothing: a sender that was killed looks like one that is done. So
//! content comes in frames, and only an explicit end, with the count of what came before, makes it whole.
//!
//! | bytes | content of a frame, integers little-endian |
//! |---|---|
//! | 4 | length L |
//! | L | content, if L is 1 to [`MAX_FRAME_BYTES`] |
//! | 8 | if L is 0, the end: u64 bytes of content in all |
//! | 4 + R | if L is `0xFFFFFFFF`, given up: u32 length R up to [`MAX_REASON_BYTES`], the reason as UTF-8 |

use std::io::{self, IoSlice, IoSliceMut, Read, Write};

/// Most content in one frame.
pub(super) const MAX_FRAME_BYTES: u32 = 16 << 20;
/// Longest reason.
const MAX_REASON_BYTES: u32 = 64 << 10;
const GIVEN_UP: u32 = u32::MAX;
const HEAD_BYTES: usize = 4;

/// Content out of frames. Its end is an end only if the sender said so and the count is right.
pub(super) struct FrameReader<R> {
    source: R,
    /// Of the frame that was begun.
    left_bytes: usize,
    /// What came of the next frame's head, and how many bytes of it.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    read_bytes: u64,
    is_ended: bool,
}

impl<R: Read> FrameReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, left_bytes: 0, head: [0; HEAD_BYTES], head_bytes: 0, read_bytes: 0, is_ended: false }
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.exactly(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn exactly(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.source.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.cut_off(),
            _ => error,
        })
    }

    fn cut_off(&self) -> io::Error {
        let text = format!("the sender went away after {} bytes, without an end", self.read_bytes);
        io::Error::other(text)
    }

    /// Begins the next frame with content; false at the end.
    fn begin(&mut self) -> io::Result<bool> {
        let (mut head, begun) = (self.head, std::mem::take(&mut self.head_bytes));
        self.exactly(&mut head[begun..])?;
        match u32::from_le_bytes(head) {
            0 => self.check_end().map(|()| false),
            GIVEN_UP => Err(self.reason()),
            length if length > MAX_FRAME_BYTES => Err(io::Error::other(format!(
                "the sender announced a frame of {length} bytes, and {MAX_FRAME_BYTES} are the limit"
            ))),
            length => {
                self.left_bytes = length as usize;
                Ok(true)
            }
        }
    }

    fn check_end(&mut self) -> io::Result<()> {
        let mut bytes = [0; 8];
        self.exactly(&mut bytes)?;
        let announced = u64::from_le_bytes(bytes);
        if announced != self.read_bytes {
            let text = format!("{} bytes came, and the sender sent {announced}", self.read_bytes);
            return Err(io::Error::other(text));
        }
        self.is_ended = true;
        Ok(())
    }

    fn reason(&mut self) -> io::Error {
        let mut read = || -> io::Result<Vec<u8>> {
            let length = self.number()?.min(MAX_REASON_BYTES);
            let mut bytes = vec![0; length as usize];
            self.exactly(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => io::Error::other(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => error,
        }
    }
}

impl<R: Read> Read for FrameReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.is_ended || (self.left_bytes == 0 && !self.begin()?) {
            return Ok(0);
        }
        let wanted = buffer.len().min(self.left_bytes);
        let content = &mut buffer[..wanted];
        let came = if wanted == self.left_bytes {
            // With the next head, which would take a call of its own. Nothing is read ahead of that: content goes to
            // where it is wanted, and is not copied.
            self.source.read_vectored(&mut [IoSliceMut::new(content), IoSliceMut::new(&mut self.head)])?
        } else {
            self.source.read(content)?
        };
        if came == 0 {
            return Err(self.cut_off());
        }
        let count = came.min(wanted);
        self.head_bytes = came - count;
        self.read_bytes += count as u64;
        self.left_bytes -= count;
        Ok(count)
    }
}

/// Content into frames, one for each write.
pub(super) struct FrameWriter<W> {
    target: W,
    written_bytes: u64,
    checksum: crc32fast::Hasher,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn new(target: W) -> Self {
        Self { target, written_bytes: 0, checksum: crc32fast::Hasher::new() }
    }

    /// Content bytes until now, and their CRC-32.
    pub(super) fn sum(&self) -> (u64, u32) {
        (self.written_bytes, self.checksum.clone().finalize())
    }

    #[cfg(test)]
    pub(super) fn into_inner(self) -> W {
        self.target
    }

    /// All content was written.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let mut end = [0; 12];
        end[4..].copy_from_slice(&self.written_bytes.to_le_bytes());
        self.target.write_all(&end)
    }

    /// There will be no end.
    pub(super) fn give_up(&mut self, reason: &str) -> io::Result<()> {
        let reason = &reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON_BYTES as usize)];
        let length = u32::try_from(reason.len()).unwrap_or(MAX_REASON_BYTES);
        let head = [GIVEN_UP.to_le_bytes(), length.to_le_bytes()].concat();
        self.target.write_all(&[&head, reason].concat())
    }
}

impl<W: Write> Write for FrameWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let content = &buffer[..buffer.len().min(MAX_FRAME_BYTES as usize)];
        if content.is_empty() {
            return Ok(0);
        }
        let head = u32::try_from(content.len()).unwrap_or(MAX_FRAME_BYTES).to_le_bytes();
        let mut parts = [IoSlice::new(&head), IoSlice::new(content)];
        let mut parts = &mut parts[..];
        while !parts.is_empty() {
            match self.target.write_vectored(parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut parts, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.checksum.update(content);
        self.written_bytes += content.len() as u64;
        Ok(content.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(content: &[u8], portion: usize) -> Vec<u8> {
        let mut writer = FrameWriter::new(Vec::new());
        for portion in content.chunks(portion) {
            writer.write_all(portion).unwrap();
        }
        writer.end().unwrap();
        writer.target
    }

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

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        FrameReader::new(bytes).read_to_end(&mut content).map(|_| content)
    }

    proptest! {
        #[test]
        fn content_comes_out_of_frames_as_it_went_in(content: Vec<u8>, portion in 1_usize..50) {
            prop_assert_eq!(read(&framed(&content, portion)).unwrap(), content);
        }

        #[test]
        fn content_is_the_same_however_frames_arrive_and_however_it_is_asked_for(
            content: Vec<u8>, portion in 1_usize..50, at_once in 1_usize..60, asked in 1_usize..60,
        ) {
            let bytes = framed(&content, portion);
            let mut reader = FrameReader::new(Portions(&bytes, at_once));
            let (mut came, mut buffer) = (Vec::new(), vec![0; asked]);
            loop {
                match reader.read(&mut buffer).unwrap() {
                    0 => break,
                    count => came.extend_from_slice(&buffer[..count]),
                }
            }
            prop_assert_eq!(came, content);
        }

        #[test]
        fn content_that_is_cut_off_anywhere_is_an_error(content: Vec<u8>, portion in 1_usize..50, at: prop::sample::Index) {
            let bytes = framed(&content, portion);
            prop_assert!(read(&bytes[..at.index(bytes.len())]).is_err());
        }

        #[test]
        fn hostile_frames_end_and_never_yield_more_than_came(bytes: Vec<u8>) {
            if let Ok(content) = read(&bytes) {
                prop_assert!(content.len() < bytes.len());
            }
        }
    }

    #[test]
    fn a_wrong_count_and_a_huge_frame_are_errors() {
        let good = framed(b"content", 3);
        for at in good.len() - 8..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(read(&bad).is_err(), "byte {at}");
        }
        let error = read(&(MAX_FRAME_BYTES + 1).to_le_bytes()).unwrap_err();
        assert!(error.to_string().contains("are the limit"), "{error}");
    }

    #[test]
    fn who_gives_up_says_why() {
        let mut writer = FrameWriter::new(Vec::new());
        writer.write_all(b"half").unwrap();
        writer.give_up("pg_dump exited with 1").unwrap();
        assert_eq!(read(&writer.target).unwrap_err().to_string(), "pg_dump exited with 1");
    }
}
