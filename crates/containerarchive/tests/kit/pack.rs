//! Packs, their records and chunks, and pack indexes.

use containerarchive::base::Kind;
use containerarchive::base::PackId;
use containerarchive::crypto::SealKey;
use containerarchive::format::idx;
use containerarchive::format::pack::{PackHeader, tail_len};
use containerarchive::format::pages::seal_blob;
use containerarchive::format::prefix::{Class, ObjectKind};

use crate::case::Cases;
use crate::lab::{Side, hex};

/// A chunk with a record in which everything can be wrong.
#[derive(Clone)]
pub(crate) struct Chunk {
    pub(crate) hash: [u8; 32],
    stored_len: u32,
    plain_len: u32,
    kind: u8,
    codec: u8,
    zeros: u16,
    dictionary: u32,
    text: Vec<u8>,
}

impl Chunk {
    pub(crate) fn new(side: &Side, kind: Kind, plain: &[u8]) -> Self {
        Self {
            hash: side.domain().hasher.hash(kind, plain).0,
            stored_len: plain.len() as u32 + 16,
            plain_len: plain.len() as u32,
            kind: kind as u8,
            codec: 0,
            zeros: 0,
            dictionary: u32::MAX,
            text: plain.to_vec(),
        }
    }

    fn data(side: &Side, plain: &[u8]) -> Self {
        Self::new(side, Kind::Data, plain)
    }

    fn padding(side: &Side, len: usize) -> Self {
        Self { hash: [0; 32], kind: 0, ..Self::data(side, &vec![0; len]) }
    }

    /// The same chunk stored as this text.
    fn stored_as(self, codec: u8, text: Vec<u8>) -> Self {
        Self { codec, stored_len: text.len() as u32 + 16, text, ..self }
    }

    fn record(&self) -> Vec<u8> {
        [
            self.hash.as_slice(),
            &self.stored_len.to_le_bytes(),
            &self.plain_len.to_le_bytes(),
            &[self.kind, self.codec],
            &self.zeros.to_le_bytes(),
            &self.dictionary.to_le_bytes(),
        ]
        .concat()
    }
}

/// A pack in the making.
pub(crate) struct Draft<'a> {
    side: &'a Side,
    class: Class,
    chunks: Vec<Chunk>,
    enc: Option<[u8; 32]>,
    is_commitment_wrong: bool,
    is_table_commitment_wrong: bool,
    /// Between the chunks and the table.
    gap: usize,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(side: &'a Side, class: Class, chunks: Vec<Chunk>) -> Self {
        Self {
            side,
            class,
            chunks,
            enc: None,
            is_commitment_wrong: false,
            is_table_commitment_wrong: false,
            gap: 0,
        }
    }

    fn header(&self) -> (PackHeader, SealKey) {
        let prefix = self.side.prefix(ObjectKind::Pack, self.class);
        let (secrets, enc) = self.side.new_object(&prefix);
        let mut commitment = secrets.commitment.0;
        commitment[0] ^= u8::from(self.is_commitment_wrong);
        (PackHeader { prefix, enc: self.enc.unwrap_or(enc), commitment }, secrets.key)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (header, key) = self.header();
        let mut bytes = header.encode().to_vec();
        let mut table = Vec::new();
        for (slot, chunk) in (0u32..).zip(&self.chunks) {
            let mut nonce = [0; 12];
            nonce[..4].copy_from_slice(&slot.to_le_bytes());
            nonce[4..].copy_from_slice(&chunk.hash[..8]);
            let mut text = chunk.text.clone();
            let tag = key.seal(nonce, &chunk.record(), &mut text).unwrap();
            bytes.extend([text.as_slice(), &tag].concat());
            table.extend(chunk.record());
        }
        bytes.extend(vec![0; self.gap]);
        let start = bytes.len();
        let secrets = self.side.domain().table_secrets(&header).unwrap();
        let mut commitment = secrets.commitment.0;
        commitment[0] ^= u8::from(self.is_table_commitment_wrong);
        bytes.extend(commitment);
        seal_blob(&secrets.key, &table, &mut bytes).unwrap();
        let table_len = (bytes.len() - start) as u32;
        bytes.extend(table_len.to_le_bytes());
        bytes.extend(b"CTBL");
        bytes
    }
}

/// Two chunks of data: the pack that the cases of pack indexes are about.
pub(crate) fn base(side: &Side) -> Vec<u8> {
    Draft::new(side, Class::Data, two(side)).bytes()
}

fn two(side: &Side) -> Vec<Chunk> {
    vec![Chunk::data(side, b"first chunk"), Chunk::data(side, b"the second chunk")]
}

/// One Zstandard frame of `len` times `byte`: single segment, blocks of 128 KiB at most that repeat the byte.
fn zstd_of(byte: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((len as u32).to_le_bytes());
    blocks(byte, len, &mut frame);
    frame
}

fn blocks(byte: u8, len: usize, frame: &mut Vec<u8>) {
    let mut left = len;
    while left > 0 {
        let size = left.min(128 << 10);
        left -= size;
        let header = u32::from(left == 0) | 1 << 1 | (size as u32) << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(byte);
    }
}

/// The gzip member of 100 times `a`.
fn gzip_of_100_a() -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 0x4b, 0x4c, 0xa4, 0x3d, 0, 0];
    member.extend(0xaf70_7a64_u32.to_le_bytes());
    member.extend(100_u32.to_le_bytes());
    member
}

pub(crate) fn cases(cases: &mut Cases) {
    let side = Side::encrypted();
    packs(&side, cases);
    seals(&side, cases);
    records(&side, cases);
    lengths(&side, cases);
    order(&side, cases);
    chunks(&side, cases);
    texts(&side, cases);
    indexes(&side, cases);
}

fn packs(side: &Side, cases: &mut Cases) {
    let pack = |class, chunks| Draft::new(side, class, chunks).bytes();
    let good = base(side);
    let recipe = Chunk::new(side, Kind::Recipe, &[1, 0, 0, 0, 0, 0, 0, 0]);
    cases.accept("R-PACK-1", "one-record.pack", pack(Class::Data, vec![Chunk::data(side, b"x")]));
    cases.reject("R-PACK-1", "no-record.pack", pack(Class::Data, Vec::new()));
    cases.accept("R-PACK-2", "data-and-padding.pack", {
        pack(Class::Data, [two(side), vec![Chunk::padding(side, 9)]].concat())
    });
    cases.accept("R-PACK-2", "recipe-and-padding.pack", {
        pack(Class::Structure, vec![recipe.clone(), Chunk::padding(side, 0)])
    });
    cases.reject("R-PACK-2", "data-in-class-2.pack", pack(Class::Structure, two(side)));
    cases.reject("R-PACK-2", "recipe-in-class-1.pack", pack(Class::Data, vec![recipe]));
    let rule = "R-PACK-3";
    cases.accept(rule, "two-chunks.pack", good.clone());
    let plain = Side::plain();
    cases.accept(rule, "plain-two-chunks.pack", base(&plain));
    cases.reject(
        rule,
        "gap-before-table.pack",
        Draft { gap: 16, ..Draft::new(side, Class::Data, two(side)) }.bytes(),
    );
    cases.reject(rule, "plain-gap-before-table.pack", {
        Draft { gap: 1, ..Draft::new(&plain, Class::Data, two(&plain)) }.bytes()
    });
    let mut long = Chunk::data(side, b"x");
    (long.stored_len, long.plain_len) = (1017, 1001);
    cases.reject(rule, "chunk-behind-table-start.pack", pack(Class::Data, vec![long]));
    let rule = "R-PACK-4";
    let end = good.len();
    cases.accept(rule, "right-end.pack", good.clone());
    for (case, offset, bytes) in [
        ("other-magic", end - 4, b"CTBM".to_vec()),
        ("table-without-pages", end - 8, 32_u32.to_le_bytes().to_vec()),
        ("table-no-multiple", end - 8, 4096_u32.to_le_bytes().to_vec()),
        ("table-longer-than-pack", end - 8, (32 + 2 * 4096_u32).to_le_bytes().to_vec()),
    ] {
        let mut bad = good.clone();
        bad[offset..offset + bytes.len()].copy_from_slice(&bytes);
        cases.reject(rule, &format!("{case}.pack"), bad);
    }
    let id = PackId(*blake3::hash(&good).as_bytes());
    let other = PackId([0xab; 32]);
    let at = |id: PackId| format!("packs/data/{}/{id}.pack", &id.to_hex()[..2]);
    cases.accept("R-NAME-1", &format!("pack/{}", at(id)), good.clone());
    cases.reject("R-NAME-1", &format!("other-name/{}", at(other)), good);
}

fn seals(side: &Side, cases: &mut Cases) {
    let plain = Side::plain();
    let draft = |side| Draft::new(side, Class::Data, two(side));
    let good = base(side);
    let rule = "R-SEAL-1";
    cases.accept(rule, "right-commitments.pack", good.clone());
    cases.reject(rule, "commitment.pack", Draft { is_commitment_wrong: true, ..draft(side) }.bytes());
    cases.reject(rule, "plain-commitment.pack", Draft { is_commitment_wrong: true, ..draft(&plain) }.bytes());
    cases.reject(
        rule,
        "table-commitment.pack",
        Draft { is_table_commitment_wrong: true, ..draft(side) }.bytes(),
    );
    cases.reject(rule, "enc-of-small-order.pack", Draft { enc: Some([0; 32]), ..draft(side) }.bytes());
    let rule = "R-SEAL-2";
    cases.accept(rule, "right-tags.pack", good.clone());
    let flip = |bytes: &[u8], at: usize| {
        let mut bad = bytes.to_vec();
        bad[at] ^= 1;
        bad
    };
    cases.reject(rule, "chunk-text.pack", flip(&good, 160));
    cases.reject(rule, "chunk-tag.pack", flip(&good, 160 + 11));
    cases.reject(rule, "table.pack", flip(&good, good.len() - 9));
    cases.reject(rule, "plain-chunk-text.pack", flip(&base(&plain), 160));
    cases.reject(rule, "chunks-swapped.pack", {
        // Two chunks of one length whose bytes stand at each other's place.
        let pair = vec![Chunk::data(side, b"one"), Chunk::data(side, b"two")];
        let mut bad = Draft::new(side, Class::Data, pair).bytes();
        bad[160..160 + 38].rotate_left(19);
        bad
    });
    let rule = "R-PREFIX-2";
    cases.accept(rule, "plain-without-enc.pack", base(&plain));
    cases.reject(rule, "plain-with-enc.pack", Draft { enc: Some([9; 32]), ..draft(&plain) }.bytes());
}

fn records(side: &Side, cases: &mut Cases) {
    let rule = "R-RECORD-1";
    let pack = |chunk| Draft::new(side, Class::Data, vec![chunk]).bytes();
    let good = Chunk::data(side, b"x");
    cases.accept(rule, "data-none.pack", pack(good.clone()));
    cases.reject(rule, "kind-3.pack", pack(Chunk { kind: 3, ..good.clone() }));
    cases.reject(rule, "kind-4.pack", pack(Chunk { kind: 4, ..good.clone() }));
    cases.reject(rule, "codec-3.pack", pack(Chunk { codec: 3, ..good.clone() }));
    cases.reject(rule, "zeros.pack", pack(Chunk { zeros: 1, ..good.clone() }));
    cases.reject(rule, "dictionary-0.pack", pack(Chunk { dictionary: 0, ..good }));
}

fn lengths(side: &Side, cases: &mut Cases) {
    let rule = "R-RECORD-2";
    let pack = |chunk| Draft::new(side, Class::Data, vec![chunk]).bytes();
    let nodes = |chunk| Draft::new(side, Class::Structure, vec![chunk]).bytes();
    let zeros = |kind, len: usize| Chunk::new(side, kind, &vec![0; len]).stored_as(1, zstd_of(0, len));
    let (mib, most) = (1 << 20, 16 << 20);
    cases.accept(rule, "one-byte.pack", pack(Chunk::data(side, b"x")));
    cases.accept(rule, "recipe-of-1-mib.pack", nodes(zeros(Kind::Recipe, mib)));
    cases.accept(rule, "data-above-1-mib.pack", pack(zeros(Kind::Data, mib + 1)));
    cases.accept(
        rule,
        "shorter-by-a-byte.pack",
        pack(Chunk::data(side, &[b'a'; 14]).stored_as(1, zstd_of(b'a', 14))),
    );
    cases.reject(rule, "empty-data.pack", pack(Chunk::data(side, b"")));
    cases.reject(rule, "data-above-16-mib.pack", pack(zeros(Kind::Data, most + 1)));
    cases.reject(rule, "recipe-above-1-mib.pack", nodes(zeros(Kind::Recipe, mib + 1)));
    cases.reject(rule, "compressed-not-shorter.pack", {
        pack(Chunk::data(side, &[b'a'; 13]).stored_as(1, zstd_of(b'a', 13)))
    });
    cases.reject(
        rule,
        "codec-none-other-length.pack",
        pack(Chunk { plain_len: 2, ..Chunk::data(side, b"x") }),
    );
    cases.reject(rule, "compressed-to-nothing.pack", pack(Chunk::data(side, b"aa").stored_as(1, Vec::new())));
    cases.reject(rule, "shorter-than-tag.pack", pack(Chunk { stored_len: 15, ..Chunk::data(side, b"x") }));
}

fn order(side: &Side, cases: &mut Cases) {
    let rule = "R-RECORD-3";
    let pack = |chunks| Draft::new(side, Class::Data, chunks).bytes();
    let chunk = Chunk::data(side, b"x");
    let padding = Chunk::padding(side, 100);
    cases.accept(rule, "padding-last.pack", pack(vec![chunk.clone(), padding.clone()]));
    cases.reject(rule, "chunk-twice.pack", pack(vec![chunk.clone(), chunk.clone()]));
    cases.reject(rule, "padding-first.pack", pack(vec![padding.clone(), chunk.clone()]));
    cases.reject(rule, "padding-twice.pack", pack(vec![chunk.clone(), padding.clone(), padding.clone()]));
    cases.reject(rule, "padding-only.pack", pack(vec![padding.clone()]));
    let hashed = Chunk { hash: [1; 32], ..padding.clone() };
    cases.reject(rule, "padding-with-hash.pack", pack(vec![chunk.clone(), hashed]));
    cases.reject(rule, "padding-compressed.pack", pack(vec![chunk, padding.stored_as(1, zstd_of(0, 100))]));
}

fn chunks(side: &Side, cases: &mut Cases) {
    let rule = "R-CHUNK-1";
    let plain = Side::plain();
    let pack = |side, chunk| Draft::new(side, Class::Data, vec![chunk]).bytes();
    let good = Chunk::data(side, b"content");
    cases.accept(rule, "right-hash.pack", pack(side, good.clone()));
    cases.accept(rule, "plain-right-hash.pack", pack(&plain, Chunk::data(&plain, b"content")));
    cases.reject(rule, "hash-of-other-content.pack", {
        pack(side, Chunk { hash: Chunk::data(side, b"Content").hash, ..good.clone() })
    });
    cases.reject(rule, "hash-of-other-kind.pack", {
        pack(side, Chunk { hash: Chunk::new(side, Kind::Recipe, b"content").hash, ..good.clone() })
    });
    cases.reject(rule, "sha-256-in-encrypted.pack", {
        pack(side, Chunk { hash: Chunk::data(&plain, b"content").hash, ..good })
    });
    cases.reject(rule, "plain-hash-of-other-content.pack", {
        let other = Chunk::data(&plain, b"Content").hash;
        pack(&plain, Chunk { hash: other, ..Chunk::data(&plain, b"content") })
    });
}

fn texts(side: &Side, cases: &mut Cases) {
    let rule = "R-CHUNK-3";
    let pack = |codec, text| {
        let chunk = Chunk::data(side, &[b'a'; 100]).stored_as(codec, text);
        Draft::new(side, Class::Data, vec![chunk]).bytes()
    };
    let (zstd, gzip) = (zstd_of(b'a', 100), gzip_of_100_a());
    let windowed = |descriptor: u8, window: u8| {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, descriptor, window];
        if descriptor & 3 == 1 {
            frame.push(7);
        }
        blocks(b'a', 100, &mut frame);
        frame
    };
    cases.accept(rule, "zstd.pack", pack(1, zstd.clone()));
    cases.accept(rule, "zstd-window-of-2-24.pack", pack(1, windowed(0, 14 << 3)));
    cases.accept(rule, "gzip.pack", pack(2, gzip.clone()));
    for (case, text) in [
        ("zstd-one-byte-more", zstd_of(b'a', 101)),
        ("zstd-one-byte-less", zstd_of(b'a', 99)),
        ("zstd-byte-behind", [zstd.clone(), vec![0]].concat()),
        ("zstd-two-frames", [zstd_of(b'a', 60), zstd_of(b'a', 40)].concat()),
        ("zstd-skippable-frame-behind", [zstd.clone(), vec![0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat()),
        ("zstd-cut-short", zstd[..zstd.len() - 1].to_vec()),
        ("zstd-window-above-2-24", windowed(0, (14 << 3) + 1)),
        ("zstd-dictionary", windowed(1, 14 << 3)),
        ("zstd-wrong-checksum", [windowed(4, 14 << 3), vec![0; 4]].concat()),
        ("gzip-with-codec-zstd", gzip.clone()),
    ] {
        cases.reject(rule, &format!("{case}.pack"), pack(1, text));
    }
    let change = |at: usize, byte: u8| {
        let mut bad = gzip.clone();
        bad[at] = byte;
        bad
    };
    for (case, text) in [
        ("gzip-time", change(4, 1)),
        ("gzip-system", change(9, 3)),
        ("gzip-crc", change(gzip.len() - 8, 0)),
        ("gzip-length", change(gzip.len() - 4, 101)),
        ("gzip-byte-behind", [gzip.clone(), vec![0]].concat()),
    ] {
        cases.reject(rule, &format!("{case}.pack"), pack(2, text));
    }
}

fn indexes(side: &Side, cases: &mut Cases) {
    let pack = base(side);
    let id = PackId(*blake3::hash(&pack).as_bytes());
    let header = Draft::new(side, Class::Data, two(side)).header().0;
    let good = idx::encode(id, &header, &pack, tail_len(2));
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        let body = bad.len() - 32;
        let digest = blake3::hash(&bad[..body]);
        bad[body..].copy_from_slice(digest.as_bytes());
        bad
    };
    assert_eq!(hex(&with(0, &good[..1])), hex(&good));
    let rule = "R-IDX-1";
    cases.accept(rule, "right.idx", good.clone());
    cases.reject(rule, "other-pack.idx", with(96, &[0xab; 32]));
    let mut damaged = good.clone();
    damaged[300] ^= 1;
    cases.reject(rule, "damaged.idx", damaged);
    cases.reject(rule, "only-fixed-part.idx", good[..296 + 32].to_vec());
    let rule = "R-IDX-2";
    cases.accept(rule, "right.idx", good.clone());
    cases.reject(rule, "salt.idx", with(64, &[1]));
    cases.reject(rule, "other-class.idx", with(14, &[2]));
    cases.reject(rule, "other-domain.idx", with(32, &[1]));
    cases.reject(rule, "other-session.idx", with(48, &[1]));
    let longer = (pack.len() as u64 + 1).to_le_bytes();
    cases.reject("R-PACK-3", "other-pack-length.idx", with(128, &longer));
    cases.reject("R-PREFIX-1", "kind-of-pack.idx", with(10, &[1]));
}
