//! GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11D), of which x is a generator. All tables are made by
//! the compiler.

/// Powers of x, twice around, so that the sum of two logarithms needs no reduction.
const EXP: [u8; 510] = powers();
/// Exponents of x; that of 0 is not used.
const LOG: [u8; 256] = logarithms();

/// For each factor its products with 0..=15, then those with 0x00, 0x10, ..= 0xF0: what byte shuffles look up.
pub(super) static NIBBLES: [[u8; 32]; 256] = nibble_products();

/// For each factor the 8×8 bit matrix of the multiplication by it, as `GF2P8AFFINEQB` wants it: byte 7 - i is the
/// mask of those bits of the operand whose sum is bit i of the product.
#[cfg(target_arch = "x86_64")]
pub(super) static MATRICES: [u64; 256] = bit_matrices();

const fn powers() -> [u8; 510] {
    let mut table = [0; 510];
    let mut power: u8 = 1;
    let mut exponent = 0;
    while exponent < table.len() {
        table[exponent] = power;
        power = (power << 1) ^ if power & 0x80 == 0 { 0 } else { 0x1D };
        exponent += 1;
    }
    table
}

const fn logarithms() -> [u8; 256] {
    let mut table = [0; 256];
    let mut exponent: u8 = 0;
    while exponent < 255 {
        table[EXP[exponent as usize] as usize] = exponent;
        exponent += 1;
    }
    table
}

/// The product.
pub(super) const fn multiply(left: u8, right: u8) -> u8 {
    if left == 0 || right == 0 {
        return 0;
    }
    EXP[LOG[left as usize] as usize + LOG[right as usize] as usize]
}

/// What gives 1 when multiplied by `number`; 0 has none, and stays 0.
pub(super) const fn inverse(number: u8) -> u8 {
    if number == 0 {
        return 0;
    }
    EXP[255 - LOG[number as usize] as usize]
}

const fn nibble_products() -> [[u8; 32]; 256] {
    let mut tables = [[0; 32]; 256];
    let mut factor = 0;
    while factor < 256 {
        let mut nibble = 0;
        while nibble < 16 {
            tables[factor][nibble] = multiply(factor as u8, nibble as u8);
            tables[factor][16 + nibble] = multiply(factor as u8, (nibble << 4) as u8);
            nibble += 1;
        }
        factor += 1;
    }
    tables
}

#[cfg(target_arch = "x86_64")]
const fn bit_matrices() -> [u64; 256] {
    let mut matrices = [0; 256];
    let mut factor = 0;
    while factor < 256 {
        let mut operand_bit = 0;
        while operand_bit < 8 {
            let product = multiply(factor as u8, 1 << operand_bit);
            let mut bit = 0;
            while bit < 8 {
                let is_set = (product >> bit & 1) as u64;
                matrices[factor] |= is_set << (8 * (7 - bit) + operand_bit);
                bit += 1;
            }
            operand_bit += 1;
        }
        factor += 1;
    }
    matrices
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    #[test]
    fn products_and_inverses_are_those_of_the_reference() {
        for left in 0..=255 {
            for right in 0..=255 {
                assert_eq!(multiply(left, right), reference::multiply(left, right), "{left} {right}");
                let nibbles = &NIBBLES[usize::from(left)];
                let product = nibbles[usize::from(right & 15)] ^ nibbles[16 + usize::from(right >> 4)];
                assert_eq!(product, reference::multiply(left, right), "{left} {right}");
            }
            assert_eq!(inverse(left), reference::inverse(left));
        }
    }
}
