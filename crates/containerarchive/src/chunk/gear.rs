//! The table of the gear hash.

use md5::{Digest, Md5};
use zeroize::Zeroize;

/// 256 numbers, one for each byte value. Secret in an encrypted repository, so it can be neither cloned nor
/// printed, and is wiped when dropped.
pub struct GearTable(Box<[u64; 256]>);

impl GearTable {
    /// Length of the byte form.
    pub const BYTES: usize = 256 * 8;

    /// The published constant table.
    ///
    /// The number of byte value v is the first eight bytes, big-endian, of the MD5 digest of 64 bytes of value
    /// v. This is the table of the FastCDC authors' C code (destor, `fascdc_chunking.c`) and of the `fastcdc`
    /// crate.
    #[must_use]
    pub fn published() -> Self {
        let mut table = Box::new([0; 256]);
        for (value, entry) in (0u8..=255).zip(table.iter_mut()) {
            let digest: [u8; 16] = Md5::digest([value; 64]).into();
            let [a, b, c, d, e, f, g, h, ..] = digest;
            *entry = u64::from_le_bytes([h, g, f, e, d, c, b, a]);
        }
        Self(table)
    }

    /// A table of its own: 256 little-endian numbers, which should be uniformly random.
    ///
    /// The caller wipes `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut table = Box::new([0; 256]);
        let (entries, _) = bytes.as_chunks::<8>();
        for (entry, number) in table.iter_mut().zip(entries) {
            *entry = u64::from_le_bytes(*number);
        }
        Self(table)
    }

    pub(super) fn entries(&self) -> &[u64; 256] {
        &self.0
    }
}

impl Drop for GearTable {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_table_is_that_of_the_fastcdc_crate() {
        let (theirs, _) = fastcdc::v2020::get_gear_with_seed(0);
        assert_eq!(GearTable::published().entries().as_slice(), &*theirs);
    }

    #[test]
    fn byte_form_is_little_endian_in_order_of_the_byte_values() {
        let bytes: Vec<u8> = GearTable::published().entries().iter().flat_map(|n| n.to_le_bytes()).collect();
        let table = GearTable::from_bytes(bytes.as_slice().try_into().unwrap());
        assert_eq!(table.entries(), GearTable::published().entries());
    }
}
