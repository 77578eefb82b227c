//! Padmé (Nikitin et al. 2019, *Reducing Metadata Leakage from Encrypted Files and Communication with PURBs*):
//! lengths leak O(log log L) bits, for at most 12 % more bytes.

/// The padded length, at least `len`.
#[must_use]
pub fn padme(len: u64) -> u64 {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let significant = exponent.checked_ilog2().map_or(1, |log| log + 1);
    let mask = (1u64 << exponent.saturating_sub(significant)) - 1;
    len.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_never_shrinks_is_idempotent_and_costs_at_most_twelve_percent() {
        for len in (0..100_000).chain([(16 << 20) - 1, 16 << 20, (1 << 30) + 1]) {
            let padded = padme(len);
            assert!(padded >= len && padme(padded) == padded);
            assert!((padded - len) * 100 <= len * 12, "{len} -> {padded}");
        }
        assert_eq!(padme(9), 10);
        assert_eq!(padme(1000), 1024);
    }
}
