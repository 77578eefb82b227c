//! What the program `primitives` of `benches/` found for a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Rates in bytes per second on one core, of plain bytes where bytes are compressed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Primitives {
    /// Stored bytes for one plain byte, before anything is found twice.
    pub(crate) ratio: f64,
    pub(crate) memcpy: f64,
    pub(crate) cut: f64,
    pub(crate) sha256: f64,
    pub(crate) hmac_sha256: f64,
    pub(crate) compress: f64,
    pub(crate) decompress: f64,
    pub(crate) seal: f64,
    pub(crate) open: f64,
    pub(crate) blake3: f64,
    /// Seconds that a passphrase takes, on all cores.
    pub(crate) key_s: f64,
    /// Parity 40+2 of blocks of 32 KiB, which the caches hold.
    pub(crate) parity_row: f64,
    /// The same of 16 MiB, which they do not.
    pub(crate) parity_pack: f64,
    /// Both with the crate `reed-solomon-simd`.
    pub(crate) other_parity_row: f64,
    pub(crate) other_parity_pack: f64,
    /// From the page cache.
    pub(crate) read: f64,
    /// To the page cache.
    pub(crate) write: f64,
    /// To the disk, fsync included.
    pub(crate) disk: f64,
}

impl Primitives {
    /// Runs the program on a file; it writes below `folder`.
    pub(crate) fn measure(program: &Path, file: &Path, folder: &Path) -> Result<Self, String> {
        let output = Command::new(program).arg("--dir").arg(folder).arg(file).output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned());
        }
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// The better of two measurements, number by number: what disturbed one of them does not count.
    pub(crate) fn best_of(&self, other: &Self) -> Self {
        Self {
            // Of the same bytes, so it is the same.
            ratio: self.ratio,
            memcpy: self.memcpy.max(other.memcpy),
            cut: self.cut.max(other.cut),
            sha256: self.sha256.max(other.sha256),
            hmac_sha256: self.hmac_sha256.max(other.hmac_sha256),
            compress: self.compress.max(other.compress),
            decompress: self.decompress.max(other.decompress),
            seal: self.seal.max(other.seal),
            open: self.open.max(other.open),
            blake3: self.blake3.max(other.blake3),
            key_s: self.key_s.min(other.key_s),
            parity_row: self.parity_row.max(other.parity_row),
            parity_pack: self.parity_pack.max(other.parity_pack),
            other_parity_row: self.other_parity_row.max(other.other_parity_row),
            other_parity_pack: self.other_parity_pack.max(other.other_parity_pack),
            read: self.read.max(other.read),
            write: self.write.max(other.write),
            disk: self.disk.max(other.disk),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let pair = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse::<f64>().ok()?))
        };
        let found: BTreeMap<String, f64> = text.lines().filter_map(pair).collect();
        let get = |name: &str| {
            let value = found.get(name).copied().filter(|value| value.is_finite() && *value > 0.0);
            value.ok_or_else(|| format!("the primitives lack `{name}`"))
        };
        Ok(Self {
            ratio: get("stored_bytes")? / get("sample_bytes")?,
            memcpy: get("memcpy")?,
            cut: get("cut")?,
            sha256: get("sha256")?,
            hmac_sha256: get("hmac_sha256")?,
            compress: get("compress")?,
            decompress: get("decompress")?,
            seal: get("seal")?,
            open: get("open")?,
            blake3: get("blake3")?,
            key_s: get("key_seconds")?,
            parity_row: get("parity_32k")?,
            parity_pack: get("parity_16m")?,
            other_parity_row: get("reed_solomon_simd_32k")?,
            other_parity_pack: get("reed_solomon_simd_16m")?,
            read: get("read")?,
            write: get("write")?,
            disk: get("disk")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "sample_bytes 1000\nstored_bytes 250\nmemcpy 9e9\ncut 2e9\nsha256 2e9\nhmac_sha256 1.5e9\n\
                        compress 5e8\ndecompress 1e9\nseal 8e9\nopen 7e9\nblake3 3e9\nkey_seconds 0.1\nparity_32k 2e10\n\
                        parity_16m 9e9\nreed_solomon_simd_32k 5e9\nreed_solomon_simd_16m 3e9\nread 6e9\n\
                        write 2e9\ndisk 3e8\n";

    #[test]
    fn lines_become_numbers() {
        let primitives = Primitives::parse(TEXT).unwrap();
        assert!((primitives.ratio - 0.25).abs() < 1e-9);
        assert!((primitives.disk - 3e8).abs() < 1.0);
    }

    #[test]
    fn the_better_of_two_is_the_faster_number_by_number() {
        let one = Primitives::parse(TEXT).unwrap();
        let other = Primitives { cut: 3e9, read: 1e9, key_s: 0.05, ..one.clone() };
        assert_eq!(one.best_of(&other), Primitives { read: one.read, ..other.clone() });
        assert_eq!(one.best_of(&other), other.best_of(&one));
    }

    #[test]
    fn a_missing_or_impossible_number_is_named() {
        assert!(Primitives::parse(&TEXT.replace("open", "close")).unwrap_err().contains("`open`"));
        assert!(Primitives::parse(&TEXT.replace("read 6e9", "read 0")).unwrap_err().contains("`read`"));
        assert!(Primitives::parse(&TEXT.replace("read 6e9", "read NaN")).unwrap_err().contains("`read`"));
    }
}
