//! SHA-256 (FIPS 180-4) of many messages, two at a time.
//!
//! One message alone keeps a core's SHA unit waiting: each of its rounds needs the result of the one before. Two
//! messages whose rounds alternate take little more time than one, and no operation of this program spends more on
//! anything else. The library that does all other cryptography has no such function; tests compare with it.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi64x,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
    _mm_storeu_si128,
};

/// Bytes of a block.
const BLOCK: usize = 64;
/// What the end of a message has at least behind its bytes: one bit, and its length.
const PADDING: usize = 9;

/// Chaining value, the words of FIPS 180-4 section 5.3.3 in their order.
pub(super) type State = [u32; 8];

/// FIPS 180-4 section 5.3.3.
pub(super) const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// FIPS 180-4 section 4.2.2.
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// The proof that this processor can.
#[derive(Clone, Copy)]
pub(super) struct Lanes(());

impl Lanes {
    /// `None` where single messages have to do.
    pub(super) fn detect() -> Option<Self> {
        let can = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("ssse3");
        can.then_some(Self(()))
    }

    /// The chaining values after one block each.
    pub(super) fn begin(self, blocks: [&[u8; BLOCK]; 2]) -> [State; 2] {
        self.compress([INITIAL; 2], blocks.map(|block| block.as_slice()))
    }

    /// The hash of each message: of what `begin` has in it, `begun_bytes` in whole blocks, then `prefix`, which is
    /// shorter than a block, then the message.
    pub(super) fn hash_each<'a>(
        self,
        (begin, begun_bytes): (State, usize),
        prefix: &[u8],
        messages: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Vec<[u8; 32]> {
        let mut hashes = vec![[0; 32]; messages.len()];
        let mut lanes = messages
            .enumerate()
            .map(|(number, message)| Lane::new(number, begin, begun_bytes, prefix, message));
        let (mut left, mut right) = (lanes.next(), lanes.next());
        while let Some(one) = &mut left {
            let blocks = match &right {
                Some(other) => one.blocks().min(other.blocks()),
                None => one.blocks(),
            };
            // Alone, it is its own twin.
            let other = right.as_ref().unwrap_or(one);
            let states = self.compress([one.state, other.state], [one.next(blocks), other.next(blocks)]);
            one.advance(states[0], blocks);
            if let Some(other) = &mut right {
                other.advance(states[1], blocks);
            }
            for lane in [&mut left, &mut right] {
                if let Some(ended) = lane.take_if(|lane| lane.blocks() == 0) {
                    hashes[ended.number] = bytes_of(&ended.state);
                    *lane = lanes.next();
                }
            }
            if left.is_none() {
                left = right.take();
            }
        }
        hashes
    }

    fn compress(self, states: [State; 2], blocks: [&[u8]; 2]) -> [State; 2] {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: `self` exists only where `detect` found every feature that the function is compiled for.
        unsafe {
            compress_two(states, blocks)
        }
    }
}

fn bytes_of(state: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (part, word) in bytes.chunks_exact_mut(4).zip(state) {
        // FIPS 180-4 is big-endian.
        part.copy_from_slice(&word.swap_bytes().to_le_bytes());
    }
    bytes
}

/// One message on its way: what is before the first whole block of it, its whole blocks, and its padded end.
struct Lane<'a> {
    number: usize,
    state: State,
    head: [u8; BLOCK],
    body: &'a [u8],
    tail: [u8; 2 * BLOCK],
    /// Bytes of head, body and tail.
    lens: [usize; 3],
    /// Which of them is being read, and from where.
    part: usize,
    at: usize,
}

impl<'a> Lane<'a> {
    fn new(number: usize, state: State, begun_bytes: usize, prefix: &[u8], message: &'a [u8]) -> Self {
        let mut head = [0; BLOCK];
        let mut tail = [0; 2 * BLOCK];
        let total = begun_bytes + prefix.len() + message.len();
        let filled = (BLOCK - prefix.len()) % BLOCK;
        let (head_len, body, rest) = if prefix.is_empty() || message.len() < filled {
            let whole = if prefix.is_empty() { message.len() - message.len() % BLOCK } else { 0 };
            let (body, rest) = message.split_at(whole);
            tail[..prefix.len()].copy_from_slice(prefix);
            tail[prefix.len()..prefix.len() + rest.len()].copy_from_slice(rest);
            (0, body, prefix.len() + rest.len())
        } else {
            let (first, others) = message.split_at(filled);
            head[..prefix.len()].copy_from_slice(prefix);
            head[prefix.len()..].copy_from_slice(first);
            let (body, rest) = others.split_at(others.len() - others.len() % BLOCK);
            tail[..rest.len()].copy_from_slice(rest);
            (BLOCK, body, rest.len())
        };
        let tail_len = (rest + PADDING).next_multiple_of(BLOCK);
        tail[rest] = 0x80;
        let bits = (total as u64 * 8).swap_bytes();
        tail[tail_len - 8..tail_len].copy_from_slice(&bits.to_le_bytes());
        let mut lane =
            Self { number, state, head, body, tail, lens: [head_len, body.len(), tail_len], part: 0, at: 0 };
        lane.skip_what_is_empty();
        lane
    }

    /// Blocks that are side by side from here on; 0 at the end.
    fn blocks(&self) -> usize {
        self.lens.get(self.part).map_or(0, |len| (len - self.at) / BLOCK)
    }

    fn next(&self, blocks: usize) -> &[u8] {
        let part = match self.part {
            0 => &self.head[..],
            1 => self.body,
            _ => &self.tail[..],
        };
        &part[self.at..self.at + blocks * BLOCK]
    }

    fn advance(&mut self, state: State, blocks: usize) {
        self.state = state;
        self.at += blocks * BLOCK;
        self.skip_what_is_empty();
    }

    fn skip_what_is_empty(&mut self) {
        while self.lens.get(self.part) == Some(&self.at) {
            self.part += 1;
            self.at = 0;
        }
    }
}

/// Chaining value in the order that the instructions want: words A B E F, and C D G H, from the highest down.
#[derive(Clone, Copy)]
struct Packed(__m128i, __m128i);

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress_two(states: [State; 2], blocks: [&[u8]; 2]) -> [State; 2] {
    let [mut left, mut right] = states.map(|state| pack(&state));
    let (left_blocks, _) = blocks[0].as_chunks::<BLOCK>();
    let (right_blocks, _) = blocks[1].as_chunks::<BLOCK>();
    for (left_block, right_block) in left_blocks.iter().zip(right_blocks) {
        let (left_before, right_before) = (left, right);
        let (mut left_words, mut right_words) = (load(left_block), load(right_block));
        for (step, constants) in K.as_chunks::<4>().0.iter().enumerate() {
            let constants = load_words(constants);
            left = four_rounds(left, _mm_add_epi32(left_words[0], constants));
            right = four_rounds(right, _mm_add_epi32(right_words[0], constants));
            // The last sixteen words are used, and none comes after them.
            left_words = schedule(left_words, step < 12);
            right_words = schedule(right_words, step < 12);
        }
        left = Packed(_mm_add_epi32(left.0, left_before.0), _mm_add_epi32(left.1, left_before.1));
        right = Packed(_mm_add_epi32(right.0, right_before.0), _mm_add_epi32(right.1, right_before.1));
    }
    [unpack(left), unpack(right)]
}

/// FIPS 180-4 section 6.2.2, step 3, four times; `words` have their constants added.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn four_rounds(state: Packed, words: __m128i) -> Packed {
    let cdgh = _mm_sha256rnds2_epu32(state.1, state.0, words);
    let abef = _mm_sha256rnds2_epu32(state.0, cdgh, _mm_shuffle_epi32(words, 0x0e));
    Packed(abef, cdgh)
}

/// Moves on by four words of the message schedule, FIPS 180-4 section 6.2.2, step 1.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn schedule([a, b, c, d]: [__m128i; 4], is_needed: bool) -> [__m128i; 4] {
    if !is_needed {
        return [b, c, d, d];
    }
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
    [b, c, d, _mm_sha256msg2_epu32(sum, d)]
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn pack(state: &State) -> Packed {
    let (first, second) = (
        load_words(&[state[0], state[1], state[2], state[3]]),
        load_words(&[state[4], state[5], state[6], state[7]]),
    );
    let (cdab, efgh) = (_mm_shuffle_epi32(first, 0xb1), _mm_shuffle_epi32(second, 0x1b));
    Packed(_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0))
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn unpack(state: Packed) -> State {
    let (feba, dchg) = (_mm_shuffle_epi32(state.0, 0x1b), _mm_shuffle_epi32(state.1, 0xb1));
    let halves = [_mm_blend_epi16(feba, dchg, 0xf0), _mm_alignr_epi8(dchg, feba, 8)];
    let mut words = [[0u32; 4]; 2];
    for (half, words) in halves.into_iter().zip(&mut words) {
        #[expect(unsafe_code, reason = "a store by pointer")]
        // SAFETY: the target is 16 bytes, writable, and may have any alignment.
        unsafe {
            _mm_storeu_si128(words.as_mut_ptr().cast(), half);
        }
    }
    let [[a, b, c, d], [e, f, g, h]] = words;
    [a, b, c, d, e, f, g, h]
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn load_words(words: &[u32; 4]) -> __m128i {
    #[expect(unsafe_code, reason = "a load by pointer")]
    // SAFETY: the source is 16 readable bytes, and may have any alignment.
    unsafe {
        _mm_loadu_si128(words.as_ptr().cast())
    }
}

/// A block's sixteen words, which are big-endian.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn load(block: &[u8; BLOCK]) -> [__m128i; 4] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let quarter = |number: usize| {
        let bytes: &[u8; 16] = &block.as_chunks::<16>().0[number];
        #[expect(unsafe_code, reason = "a load by pointer")]
        // SAFETY: the source is 16 readable bytes, and may have any alignment.
        let words = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        _mm_shuffle_epi8(words, swap)
    };
    [quarter(0), quarter(1), quarter(2), quarter(3)]
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;
    use proptest::prelude::*;

    use super::*;

    fn sha256(bytes: &[u8]) -> [u8; 32] {
        digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap()
    }

    fn assert_equal(prefix: &[u8], messages: &[Vec<u8>]) {
        let Some(lanes) = Lanes::detect() else {
            println!("SKIPPED: this processor has no SHA instructions");
            return;
        };
        let slices = messages.iter().map(Vec::as_slice);
        let hashes = lanes.hash_each((INITIAL, 0), prefix, slices);
        for (message, hash) in messages.iter().zip(hashes) {
            assert_eq!(hash, sha256(&[prefix, message].concat()), "{} bytes", message.len());
        }
    }

    #[test]
    fn every_length_around_the_blocks_agrees_with_the_library() {
        let messages: Vec<Vec<u8>> = (0..300).map(|len| (0..len).map(|byte| byte as u8).collect()).collect();
        assert_equal(b"", &messages);
        assert_equal(b"k", &messages);
        assert_equal(&[9; 63], &messages);
        for message in messages {
            assert_equal(b"k", &[message]);
        }
        assert_equal(b"", &[]);
    }

    #[test]
    fn a_state_that_was_begun_goes_on() {
        let Some(lanes) = Lanes::detect() else { return };
        let blocks = [[1; BLOCK], [2; BLOCK]];
        let begun = lanes.begin([&blocks[0], &blocks[1]]);
        for (state, block) in begun.into_iter().zip(blocks) {
            let hashes = lanes.hash_each((state, BLOCK), b"x", [b"message".as_slice()].into_iter());
            assert_eq!(hashes, [sha256(&[&block[..], b"xmessage"].concat())]);
        }
    }

    proptest! {
        #[test]
        fn messages_of_all_lengths_together_agree_with_the_library(
            prefix in prop::collection::vec(any::<u8>(), 0..64),
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..8),
        ) {
            assert_equal(&prefix, &messages);
        }
    }
}
