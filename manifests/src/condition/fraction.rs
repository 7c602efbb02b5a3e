//! Which machines belong to a share of all. Each has a number that depends on its machine ID and a tag, so that another
//! tag selects other machines.

use sha2::{Digest as _, Sha256};

/// The block size of SHA-256 in bytes: HMAC pads its key to it.
const BLOCK: usize = 64;

/// All machines, in parts of ten thousand.
const ALL: u64 = 10_000;

/// A share of all machines, in parts of ten thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u64);

/// Reads `10%`, `2.5%`, `2.55%`, `25‰` or `255‱`.
pub(super) fn parse(text: &str) -> Option<Share> {
    let (number, scale, digits) = if let Some(number) = text.strip_suffix('%') {
        (number, 100, 2)
    } else if let Some(number) = text.strip_suffix('‰') {
        (number, 10, 1)
    } else {
        (text.strip_suffix('‱')?, 1, 0)
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if (1..=digits).contains(&fraction.len()) => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<digits$}").parse().ok().or((digits == 0).then_some(0))?;
    let parts = whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(fraction)?;
    (parts <= ALL).then_some(Share(parts))
}

impl Share {
    /// The answer, if it is the same for all machines.
    pub(super) fn certain(self) -> Option<bool> {
        match self.0 {
            0 => Some(false),
            ALL => Some(true),
            _ => None,
        }
    }

    /// Whether a machine belongs to the share. systemd's rule: the first four bytes, little end first, of
    /// HMAC-SHA-256 over `systemd-fraction-TAG` with the machine id as key, below the share of 2^32 - 1.
    pub(super) fn has(self, machine_id: &[u8; 16], tag: &str) -> bool {
        let digest = hmac(machine_id, format!("systemd-fraction-{tag}").as_bytes());
        let number = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
        let end = (self.0 * u64::from(u32::MAX) + ALL / 2) / ALL;
        u64::from(number) < end
    }
}

/// HMAC-SHA-256 (RFC 2104) with a key that is no longer than a block.
fn hmac(key: &[u8; 16], message: &[u8]) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = [with; BLOCK];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_parts_of_ten_thousand() {
        let table = [
            ("10%", Some(1000)),
            ("0%", Some(0)),
            ("100%", Some(10_000)),
            ("2.5%", Some(250)),
            ("2.55%", Some(255)),
            ("25‰", Some(250)),
            ("2.5‰", Some(25)),
            ("3‱", Some(3)),
            ("", None),
            ("%", None),
            ("10", None),
            ("101%", None),
            ("-1%", None),
            ("2.555%", None),
            ("1.%", None),
            (".5%", None),
            ("3.5‱", None),
            ("99999999999999999999%", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected.map(Share), "{text}");
        }
    }

    #[test]
    fn computes_the_hmac_of_the_standard() {
        // What `openssl dgst -sha256 -mac HMAC -macopt hexkey:000102030405060708090a0b0c0d0e0f` says of it
        let key: [u8; 16] = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let hex: String = hmac(&key, b"systemd-fraction-").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "8e4184117d7a83f1d19d0980ef535de687ef055fa3549236e955e7fb0d3abc77");
    }

    #[test]
    fn a_larger_share_includes_a_smaller_one() {
        let ids =
            (0..10_000u128).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let (mut tenth, mut both_tags) = (0, 0);
        for id in ids {
            let id = id.to_be_bytes();
            let small = Share(1000).has(&id, "");
            assert!(!small || Share(1001).has(&id, ""));
            tenth += u32::from(small);
            both_tags += u32::from(small && Share(1000).has(&id, "wave"));
        }
        assert!((900..1100).contains(&tenth), "{tenth}");
        assert!((60..140).contains(&both_tags), "tags pick independently: {both_tags}");
    }
}
