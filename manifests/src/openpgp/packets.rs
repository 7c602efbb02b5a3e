//! The packets of certificates and signatures, and the properties of a signature.

use jiff::Timestamp;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SubpacketData};
use pgp::types::Fingerprint;

/// Reads packets until the end, or until the start of the next one is unknown.
pub(super) fn read(bytes: &[u8]) -> impl Iterator<Item = Result<Packet, String>> + '_ {
    PacketParser::new(bytes).map(|packet| packet.map_err(|error| first_line(&error.to_string())))
}

/// Shortens an error of the library, which may contain a dump of the packet.
fn first_line(text: &str) -> String {
    const LONG: usize = 120;
    text.lines().next().unwrap_or_default().chars().take(LONG).collect()
}

/// A fingerprint in the form that people compare.
pub(super) fn show(fingerprint: &Fingerprint) -> String {
    fingerprint.to_string().to_uppercase()
}

/// The time of a signature or key.
pub(super) fn time(seconds: u32) -> Timestamp {
    Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(i64::from(seconds))
}

/// Why a signature is invalid regardless of its maker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Unreadable,
    WeakHash(String),
    Critical(u8),
    Undated,
}

/// When a signature was made, or why it is invalid.
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
    // An unknown critical subpacket may restrict the signature.
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

/// When a signature expires, if it does.
pub(super) fn end(signature: &Signature, made: Timestamp) -> Option<Timestamp> {
    let life = signature.signature_expiration_time().filter(|life| life.as_secs() != 0)?;
    Some(made + jiff::SignedDuration::from_secs(i64::from(life.as_secs())))
}
