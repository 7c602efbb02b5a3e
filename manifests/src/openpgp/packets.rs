//! Packets, as far as certificates and signatures are made of them, and what a signature says of itself.

use jiff::Timestamp;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SubpacketData};
use pgp::types::Fingerprint;

/// Reads packets until the end, or until nobody can tell where the next one starts.
pub(super) fn read(bytes: &[u8]) -> impl Iterator<Item = Result<Packet, String>> + '_ {
    PacketParser::new(bytes).map(|packet| packet.map_err(|error| first_line(&error.to_string())))
}

/// The library's errors may carry a dump of what they are about.
fn first_line(text: &str) -> String {
    const LONG: usize = 120;
    text.lines().next().unwrap_or_default().chars().take(LONG).collect()
}

/// A fingerprint as people compare it.
pub(super) fn show(fingerprint: &Fingerprint) -> String {
    fingerprint.to_string().to_uppercase()
}

/// The time of a signature or key.
pub(super) fn time(seconds: u32) -> Timestamp {
    Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(i64::from(seconds))
}

/// What in a signature makes it worthless whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Unreadable,
    WeakHash(String),
    Critical(u8),
    Undated,
}

/// When a signature was made, unless something makes it worthless.
pub(super) fn inspect(signature: &Signature) -> Result<Timestamp, Flaw> {
    let config = signature.config().ok_or(Flaw::Unreadable)?;
    match config.hash_alg {
        HashAlgorithm::Sha224
        | HashAlgorithm::Sha256
        | HashAlgorithm::Sha384
        | HashAlgorithm::Sha512
        | HashAlgorithm::Sha3_256
        | HashAlgorithm::Sha3_512 => {}
        weak => return Err(Flaw::WeakHash(weak.to_string())),
    }
    // What must be understood and is not may limit what the signature means
    let critical = config.hashed_subpackets().filter(|subpacket| subpacket.is_critical);
    for subpacket in critical {
        match subpacket.data {
            SubpacketData::Other(number, _) | SubpacketData::Experimental(number, _) => {
                return Err(Flaw::Critical(number));
            }
            SubpacketData::Notation(_) => return Err(Flaw::Critical(20)),
            _ => {}
        }
    }
    signature.created().map(|created| time(created.as_secs())).ok_or(Flaw::Undated)
}

/// When a signature ends, if it does.
pub(super) fn end(signature: &Signature, made: Timestamp) -> Option<Timestamp> {
    let life = signature.signature_expiration_time().filter(|life| life.as_secs() != 0)?;
    Some(made + jiff::SignedDuration::from_secs(i64::from(life.as_secs())))
}
