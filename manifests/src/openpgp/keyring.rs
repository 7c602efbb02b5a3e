//! A keyring: the certificates whose signatures are trusted.

use jiff::Timestamp;
use pgp::packet::{Packet, Signature, SignatureType};

use super::Signer;
use super::armor::{self, Kind};
use super::certificate::{Certificate, Key};
use super::error::{KeyringNote, OpenPgpError};
use super::packets::{self, Flaw};

/// How many signatures of one document are checked: each costs a public key operation or more.
const SIGNATURES_MAX: usize = 16;

/// The certificates that may sign. Each may sign everything, as in systemd.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    certificates: Vec<Certificate>,
}

impl Keyring {
    /// Reads certificates: binary or armoured, any number in a row, or a GnuPG key box.
    ///
    /// Invalid parts are ignored and reported, as long as there is a valid certificate: the keyring of a distribution may
    /// contain keys with unsupported algorithms.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<KeyringNote>), OpenPgpError> {
        let keyring = |reason| OpenPgpError::Keyring { reason };
        let mut ring = Self::default();
        let mut notes = Vec::new();
        for stretch in armor::stretches(bytes, Kind::Certificates).map_err(keyring)? {
            for certificate in read(&stretch, &mut notes) {
                ring.add(certificate);
            }
        }
        if ring.certificates.is_empty() {
            let reason = notes.pop().map_or_else(|| "it contains no certificate".to_owned(), |n| n.reason);
            return Err(keyring(reason));
        }
        Ok((ring, notes))
    }

    /// Adds the certificates of another keyring. Copies of one certificate are merged: a revocation of either applies.
    pub fn merge(&mut self, other: Self) {
        for certificate in other.certificates {
            self.add(certificate);
        }
    }

    /// Whether there are no certificates.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// The fingerprints of the certificates.
    pub fn fingerprints(&self) -> Vec<String> {
        self.certificates.iter().map(Certificate::fingerprint).collect()
    }

    /// Verifies a detached signature, binary or armoured.
    ///
    /// One valid signature of several is enough, and signatures of unknown keys are ignored. But an invalid signature by
    /// a key of this keyring is an error, since the file must have been altered or damaged.
    pub fn verify(&self, document: &[u8], signature: &[u8], now: Timestamp) -> Result<Signer, OpenPgpError> {
        let (mut signer, mut failure, mut strangers) = (None, None, Vec::new());
        for signature in signatures(signature)? {
            match self.verify_one(document, &signature, now) {
                Ok(found) => signer = signer.or(Some(found)),
                Err(OpenPgpError::UnknownKey { signers }) => strangers.extend(signers),
                Err(error @ OpenPgpError::Mismatch { .. }) => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match (signer, failure) {
            (Some(signer), _) => Ok(signer),
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(OpenPgpError::UnknownKey { signers: strangers }),
        }
    }

    fn verify_one(
        &self,
        document: &[u8],
        signature: &Signature,
        now: Timestamp,
    ) -> Result<Signer, OpenPgpError> {
        let mut failure = None;
        for certificate in &self.certificates {
            for key in certificate.claimed_by(signature) {
                match verify_with(certificate, key, document, signature, now) {
                    Ok(signer) => return Ok(signer),
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        }
        Err(failure.unwrap_or_else(|| OpenPgpError::UnknownKey { signers: claimed(signature) }))
    }

    pub(super) fn add(&mut self, certificate: Certificate) {
        let fingerprint = certificate.fingerprint();
        match self.certificates.iter_mut().find(|known| known.fingerprint() == fingerprint) {
            Some(known) => known.merge(certificate),
            None => self.certificates.push(certificate),
        }
    }
}

/// Checks the signature's own properties, then whether it matches, and then the validity of the key.
fn verify_with(
    certificate: &Certificate,
    key: Key<'_>,
    document: &[u8],
    signature: &Signature,
    now: Timestamp,
) -> Result<Signer, OpenPgpError> {
    let name = || key.fingerprint();
    let unsuitable = |defect: String| OpenPgpError::Unsuitable { key: name(), defect };
    let made = packets::inspect(signature).map_err(|flaw| match flaw {
        Flaw::WeakHash(hash) => OpenPgpError::WeakHash { key: name(), hash },
        Flaw::Critical(number) => unsuitable(format!("has an unknown critical subpacket {number}")),
        Flaw::Undated => unsuitable("has no date".to_owned()),
        Flaw::Unreadable => unsuitable("is of an unknown version".to_owned()),
    })?;
    if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
        return Err(unsuitable("does not cover a document".to_owned()));
    }
    if !key.made(signature, document) {
        return Err(OpenPgpError::Mismatch { key: name() });
    }
    if let Some(expired) = packets::end(signature, made).filter(|end| *end <= now) {
        return Err(OpenPgpError::Expired { key: name(), expired, now });
    }
    certificate.check(key, made, now).map_err(|reason| OpenPgpError::Key {
        key: name(),
        certificate: certificate.fingerprint(),
        reason,
    })?;
    Ok(Signer { certificate: certificate.fingerprint(), key: name(), made })
}

/// The certificates in some packets.
pub(super) fn read(bytes: &[u8], notes: &mut Vec<KeyringNote>) -> Vec<Certificate> {
    /// What a signature belongs to: the packet before it.
    enum Place {
        Nowhere,
        Primary,
        User,
        Subkey,
    }
    let mut certificates: Vec<Certificate> = Vec::new();
    let mut place = Place::Nowhere;
    for packet in packets::read(bytes) {
        let current = certificates.last_mut();
        let reason = match (packet, current) {
            (Ok(Packet::PublicKey(key)), _) => {
                certificates.push(Certificate::new(key));
                place = Place::Primary;
                continue;
            }
            (Ok(Packet::UserId(id)), Some(current)) => {
                current.users.push((id, Vec::new()));
                place = Place::User;
                continue;
            }
            (Ok(Packet::PublicSubkey(key)), Some(current)) => {
                current.subkeys.push((key, Vec::new()));
                place = Place::Subkey;
                continue;
            }
            (Ok(Packet::Signature(signature)), Some(current)) => {
                let signatures = match place {
                    Place::Nowhere => None,
                    Place::Primary => Some(&mut current.direct),
                    Place::User => current.users.last_mut().map(|(_, signatures)| signatures),
                    Place::Subkey => current.subkeys.last_mut().map(|(_, signatures)| signatures),
                };
                signatures.into_iter().for_each(|signatures| signatures.push(signature.clone()));
                continue;
            }
            // Pictures and gpg's own notes are not needed.
            (Ok(Packet::UserAttribute(_)), _) => {
                place = Place::Nowhere;
                continue;
            }
            (Ok(Packet::Trust(_) | Packet::Marker(_) | Packet::Padding(_)), _) => continue,
            (Ok(Packet::SecretKey(_) | Packet::SecretSubkey(_)), _) => "it contains a secret key".to_owned(),
            (Ok(_), _) => "a packet that does not belong in a keyring".to_owned(),
            (Err(reason), _) => reason,
        };
        place = Place::Nowhere;
        let certificate = certificates.last().map(Certificate::fingerprint);
        notes.push(KeyringNote { certificate, reason });
    }
    certificates
}

/// The signatures of a detached signature.
fn signatures(bytes: &[u8]) -> Result<Vec<Signature>, OpenPgpError> {
    let unreadable = |reason| OpenPgpError::Signature { reason };
    let mut signatures = Vec::new();
    for stretch in armor::stretches(bytes, Kind::Signature).map_err(unreadable)? {
        for packet in packets::read(&stretch) {
            match packet.map_err(unreadable)? {
                Packet::Signature(signature) => signatures.push(signature),
                Packet::Marker(_) | Packet::Padding(_) => {}
                _ => return Err(unreadable("it contains other packets".to_owned())),
            }
        }
    }
    match signatures.len() {
        0 => Err(unreadable("it contains no signature".to_owned())),
        found if found > SIGNATURES_MAX => Err(OpenPgpError::TooMany { found, limit: SIGNATURES_MAX }),
        _ => Ok(signatures),
    }
}

/// The keys that a signature names as its maker.
fn claimed(signature: &Signature) -> Vec<String> {
    let names: Vec<_> = signature.issuer_fingerprint().into_iter().map(packets::show).collect();
    if !names.is_empty() {
        return names;
    }
    signature.issuer_key_id().iter().map(|id| id.to_string().to_uppercase()).collect()
}
