//! CRC-32 and CRC-32C: the same division with two polynomials.

/// CRC-32 as in Ethernet and zip: seeded with all ones and inverted at the end.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table(0xedb8_8320);
    !remainder(&TABLE, bytes)
}

/// CRC-32C (Castagnoli) as the kernel computes it for a superblock of erofs: seeded with all ones,
/// and not inverted at the end.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table(0x82f6_3b78);
    remainder(&TABLE, bytes)
}

fn remainder(table: &[u32; 256], bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        table[usize::from(low ^ byte)] ^ (crc >> 8)
    })
}

/// The remainder of each byte, for a polynomial with reversed bits.
const fn table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0u32;
    while byte < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn the_check_value_of_crc32c() {
        // The well-known check value 0xe3069283 is inverted at the end; ours is not.
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), u32::MAX);
    }
}
