//! The least that an operation can take on this machine, from its necessary primitives.

use super::files::Sizes;
use super::primitives::Primitives;

/// One in so many new data chunks is opened again after sealing (the library's `repo/pack_writer.rs`).
const CHECKED_SHARE: f64 = 1.0 / 16.0;

/// The formulas, as they stand in the report.
pub(crate) const FORMULAS: &str = "\
B = plain bytes of the file; N = those in chunks that were new, B × new chunks ÷ all chunks; A = bytes added to the \
repository, P = those of them that are packs, without parity shards and index; each divided by the rate of its primitive \
on one core:

- ingest: read B + cut B + HMAC-SHA-256 B + compress N + seal P + parity P (the rate of blocks of 16 MiB) + BLAKE3 A + \
write A to the page cache; and, as one new chunk in 16 is opened again after sealing, (open P + decompress N + \
HMAC-SHA-256 N) ÷ 16
- restore: read S + open S + decompress B + HMAC-SHA-256 B + write B to the page cache, where S = B × P ÷ N of the \
first ingest: the packs' bytes that hold these plain bytes
- verify full: read V + BLAKE3 V + open W + decompress M + HMAC-SHA-256 M, where W = bytes of all packs, V = those of \
packs, parity shards and index segments, M = the N of both ingests together: each file is read once, each chunk opened \
once, and nothing is written

The sum divided by the number of cores, and the time that a passphrase takes (Argon2id, once for each command, on all \
cores), are the processor's least time. An ingest is acknowledged when A is on the disk; when A ÷ the disk's speed with \
fsync is longer than the processor's time, that is the least time. A restore goes to a file in the page cache and waits \
for no disk, for every tool; what is verified is in the page cache. The share of the roofline is the least time ÷ the time that it took.";

/// Bytes that pass one primitive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Term {
    pub(crate) name: &'static str,
    bytes: f64,
    rate: f64,
}

impl Term {
    /// Seconds on one core.
    pub(crate) fn seconds(&self) -> f64 {
        self.bytes / self.rate
    }
}

/// What bounds one operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Roofline {
    pub(crate) terms: Vec<Term>,
    key_s: f64,
    cores: usize,
    /// Seconds that the disk takes.
    pub(crate) disk_s: f64,
}

impl Roofline {
    /// Of an ingest of `plain_bytes`, of which a share from 0 to 1 was new, and of what it added.
    pub(crate) fn of_ingest(
        rates: &Primitives,
        cores: usize,
        plain_bytes: u64,
        new_share: f64,
        added: Sizes,
    ) -> Self {
        let (plain, added, packs) = (plain_bytes as f64, added.all as f64, added.packs as f64);
        let new = plain * new_share;
        let term = |name, bytes, rate| Term { name, bytes, rate };
        let terms = vec![
            term("read", plain, rates.read),
            term("cut", plain, rates.cut),
            term("chunk id", plain, rates.hmac_sha256),
            term("compress", new, rates.compress),
            term("seal", packs, rates.seal),
            term("parity", packs, rates.parity_pack),
            term("BLAKE3", added, rates.blake3),
            term("write", added, rates.write),
            term("open again", packs * CHECKED_SHARE, rates.open),
            term("decompress again", new * CHECKED_SHARE, rates.decompress),
            term("chunk id again", new * CHECKED_SHARE, rates.hmac_sha256),
        ];
        Self { terms, key_s: rates.key_s, cores, disk_s: added / rates.disk }
    }

    /// Of a restore of `plain_bytes` that are stored in `stored_bytes`.
    pub(crate) fn of_restore(rates: &Primitives, cores: usize, plain_bytes: u64, stored_bytes: f64) -> Self {
        let plain = plain_bytes as f64;
        let term = |name, bytes, rate| Term { name, bytes, rate };
        let terms = vec![
            term("read", stored_bytes, rates.read),
            term("open", stored_bytes, rates.open),
            term("decompress", plain, rates.decompress),
            term("chunk id", plain, rates.hmac_sha256),
            term("write", plain, rates.write),
        ];
        Self { terms, key_s: rates.key_s, cores, disk_s: 0.0 }
    }

    /// Of verifying all that is `stored`, which holds `plain_bytes` of different content.
    pub(crate) fn of_verify(rates: &Primitives, cores: usize, plain_bytes: f64, stored: Sizes) -> Self {
        let read = (stored.packs + stored.shards + stored.segments) as f64;
        let term = |name, bytes, rate| Term { name, bytes, rate };
        let terms = vec![
            term("read", read, rates.read),
            term("BLAKE3", read, rates.blake3),
            term("open", stored.packs as f64, rates.open),
            term("decompress", plain_bytes, rates.decompress),
            term("chunk id", plain_bytes, rates.hmac_sha256),
        ];
        Self { terms, key_s: rates.key_s, cores, disk_s: 0.0 }
    }

    /// Seconds on one core, without the passphrase.
    pub(crate) fn core_s(&self) -> f64 {
        self.terms.iter().map(Term::seconds).sum()
    }

    /// Seconds that all cores together take, the passphrase included.
    pub(crate) fn processor_s(&self) -> f64 {
        self.key_s + self.core_s() / self.cores as f64
    }

    /// The least time, in seconds.
    pub(crate) fn least_s(&self) -> f64 {
        self.processor_s().max(self.disk_s)
    }

    /// How much of the possible speed a time is: 1 for all of it.
    pub(crate) fn share(&self, wall_s: f64) -> f64 {
        self.least_s() / wall_s
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Round numbers.
    pub(crate) fn rates() -> Primitives {
        Primitives {
            ratio: 0.25,
            memcpy: 10e9,
            cut: 2e9,
            sha256: 2e9,
            hmac_sha256: 2e9,
            compress: 0.5e9,
            decompress: 1e9,
            seal: 10e9,
            open: 10e9,
            blake3: 5e9,
            key_s: 0.1,
            parity_row: 20e9,
            parity_pack: 10e9,
            other_parity_row: 5e9,
            other_parity_pack: 2.5e9,
            read: 5e9,
            write: 2.5e9,
            disk: 0.5e9,
        }
    }

    fn is_near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    /// 200 MB, of which 10 MB are parity shards.
    const ADDED: Sizes = Sizes { all: 200_000_000, packs: 190_000_000, shards: 10_000_000, segments: 0 };

    #[test]
    fn a_first_ingest_needs_the_sum_of_its_primitives_over_all_cores() {
        let roofline = Roofline::of_ingest(&rates(), 2, 1_000_000_000, 1.0, ADDED);
        let once = 0.2 + 0.5 + 0.5 + 2.0 + 0.019 + 0.019 + 0.04 + 0.08;
        let again = (0.019 + 1.0 + 0.5) / 16.0;
        assert!(is_near(roofline.core_s(), once + again), "{}", roofline.core_s());
        assert!(is_near(roofline.processor_s(), 0.1 + (once + again) / 2.0));
        assert!(is_near(roofline.disk_s, 0.4));
        assert!(is_near(roofline.share(2.0 * roofline.processor_s()), 0.5));
    }

    #[test]
    fn what_is_known_is_read_cut_and_hashed_only() {
        let roofline = Roofline::of_ingest(&rates(), 2, 1_000_000_000, 0.0, Sizes::default());
        assert!(is_near(roofline.core_s(), 1.2));
        assert!(is_near(roofline.disk_s, 0.0));
    }

    #[test]
    fn a_slow_disk_is_the_roof() {
        let slow = Primitives { disk: 0.05e9, ..rates() };
        let roofline = Roofline::of_ingest(&slow, 2, 1_000_000_000, 1.0, ADDED);
        assert!(is_near(roofline.least_s(), 4.0));
        assert!(is_near(roofline.share(5.0), 0.8));
    }

    #[test]
    fn verifying_reads_and_hashes_all_files_and_opens_the_packs_once() {
        let stored = Sizes { all: 252_000_000, packs: 200_000_000, shards: 40_000_000, segments: 10_000_000 };
        let roofline = Roofline::of_verify(&rates(), 2, 1_000_000_000.0, stored);
        assert!(is_near(roofline.core_s(), 0.05 + 0.05 + 0.02 + 1.0 + 0.5), "{}", roofline.core_s());
        assert!(is_near(roofline.least_s(), 0.1 + roofline.core_s() / 2.0));
    }

    #[test]
    fn a_restore_waits_for_no_disk() {
        let roofline = Roofline::of_restore(&rates(), 2, 1_000_000_000, 250_000_000.0);
        assert!(is_near(roofline.core_s(), 0.05 + 0.025 + 1.0 + 0.5 + 0.4));
        assert!(is_near(roofline.least_s(), 0.1 + roofline.core_s() / 2.0));
    }
}
