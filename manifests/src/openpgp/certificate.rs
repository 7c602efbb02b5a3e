//! A certificate: which of its keys may sign, and when.
//!
//! Its statements are used only after their signatures were verified. The newest valid self-signature determines the
//! purpose and expiry of a key. A revocation by its owner is valid with any hash.

use jiff::{SignedDuration, Timestamp};
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData, UserId};
use pgp::types::{KeyDetails, KeyVersion, Tag, VerifyingKey};

use super::error::Unusable;
use super::packets::{self, Flaw};

/// The public keys of one owner, as they were read.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) primary: PublicKey,
    /// Signatures on the primary key itself.
    pub(super) direct: Vec<Signature>,
    pub(super) users: Vec<(UserId, Vec<Signature>)>,
    pub(super) subkeys: Vec<(PublicSubkey, Vec<Signature>)>,
}

/// A key of a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'a> {
    Primary(&'a PublicKey),
    Sub(&'a PublicSubkey, &'a [Signature]),
}

impl Key<'_> {
    pub(super) fn fingerprint(&self) -> String {
        packets::show(&match self {
            Self::Primary(key) => key.fingerprint(),
            Self::Sub(key, _) => key.fingerprint(),
        })
    }

    /// Whether this key made this signature over these bytes.
    pub(super) fn made(&self, signature: &Signature, document: &[u8]) -> bool {
        match self {
            Self::Primary(key) => signature.verify(*key, document).is_ok(),
            Self::Sub(key, _) => signature.verify(*key, document).is_ok(),
        }
    }

    fn created(&self) -> Timestamp {
        packets::time(match self {
            Self::Primary(key) => key.created_at().as_secs(),
            Self::Sub(key, _) => key.created_at().as_secs(),
        })
    }
}

impl Certificate {
    pub(super) fn new(primary: PublicKey) -> Self {
        Self { primary, direct: Vec::new(), users: Vec::new(), subkeys: Vec::new() }
    }

    pub(super) fn fingerprint(&self) -> String {
        packets::show(&self.primary.fingerprint())
    }

    /// Adds the contents of another copy of the same certificate, which may contain a revocation that this one lacks.
    pub(super) fn merge(&mut self, other: Self) {
        self.direct.extend(other.direct);
        for (id, signatures) in other.users {
            match self.users.iter_mut().find(|(known, _)| *known == id) {
                Some((_, known)) => known.extend(signatures),
                None => self.users.push((id, signatures)),
            }
        }
        for (key, signatures) in other.subkeys {
            match self.subkeys.iter_mut().find(|(known, _)| known.fingerprint() == key.fingerprint()) {
                Some((_, known)) => known.extend(signatures),
                None => self.subkeys.push((key, signatures)),
            }
        }
    }

    /// The keys that a signature names as its maker.
    pub(super) fn claimed_by<'a>(&'a self, signature: &Signature) -> Vec<Key<'a>> {
        let (names, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
        let claimed = |key: &dyn KeyDetails| {
            names.iter().any(|name| **name == key.fingerprint())
                || (names.is_empty() && ids.iter().any(|id| **id == key.legacy_key_id()))
        };
        let primary = claimed(&self.primary).then_some(Key::Primary(&self.primary));
        let subkeys = self.subkeys.iter().filter(|(key, _)| claimed(key));
        primary.into_iter().chain(subkeys.map(|(key, signatures)| Key::Sub(key, signatures))).collect()
    }

    /// Checks that a key could make a signature at that time and is valid now.
    pub(super) fn check(&self, key: Key<'_>, made: Timestamp, now: Timestamp) -> Result<(), Unusable> {
        let capable = self.check_primary(now)?;
        if made < key.created() {
            return Err(Unusable::Younger { made, created: key.created() });
        }
        match key {
            Key::Primary(_) => capable,
            Key::Sub(key, signatures) => self.check_subkey(key, signatures, now),
        }
    }

    /// The outer result is about the certificate, the inner about signing with the primary key itself.
    fn check_primary(&self, now: Timestamp) -> Result<Result<(), Unusable>, Unusable> {
        let primary = &self.primary;
        if !matches!(primary.version(), KeyVersion::V4 | KeyVersion::V6) {
            return Err(Unusable::Obsolete);
        }
        let revocations = self.direct.iter().filter(|s| s.typ() == Some(SignatureType::KeyRevocation));
        revoked(revocations.filter(|signature| signature.verify_key(primary).is_ok()))?;

        let direct = self.direct.iter().filter(|s| s.typ() == Some(SignatureType::Key));
        let mut own: Vec<&Signature> = direct.filter(|s| s.verify_key(primary).is_ok()).collect();
        for (id, signatures) in &self.users {
            let valid = |s: &&Signature| s.verify_certification(primary, Tag::UserId, id).is_ok();
            let revocation = |s: &&Signature| s.typ() == Some(SignatureType::CertRevocation);
            if signatures.iter().filter(revocation).any(|signature| valid(&signature)) {
                continue;
            }
            own.extend(signatures.iter().filter(|s| s.is_certification()).filter(valid));
        }
        let newest = newest(own.into_iter(), now)?;
        lives(primary, newest, now)?;
        // Old keys have no purposes: one that can sign may sign.
        let capable = purposes(newest).is_none_or(|signs| signs);
        Ok(if capable { Ok(()) } else { Err(Unusable::NotForSigning) })
    }

    fn check_subkey(
        &self,
        key: &PublicSubkey,
        signatures: &[Signature],
        now: Timestamp,
    ) -> Result<(), Unusable> {
        let of = |kind: SignatureType| {
            let kind = signatures.iter().filter(move |signature| signature.typ() == Some(kind));
            kind.filter(|signature| signature.verify_subkey_binding(&self.primary, key).is_ok())
        };
        revoked(of(SignatureType::SubkeyRevocation))?;
        let binding = newest(of(SignatureType::SubkeyBinding), now)?;
        lives(key, binding, now)?;
        if purposes(binding) != Some(true) {
            return Err(Unusable::NotForSigning);
        }
        let agreed = binding
            .embedded_signature()
            .filter(|back| back.verify_primary_key_binding(key, &self.primary).is_ok())
            .ok_or(Unusable::NoBackSignature)?;
        newest(std::iter::once(agreed), now).map(|_| ()).map_err(|reason| match reason {
            Unusable::NotBound => Unusable::NoBackSignature,
            other => other,
        })
    }
}

/// Fails if there is any revocation; these are verified already.
fn revoked<'a>(mut revocations: impl Iterator<Item = &'a Signature>) -> Result<(), Unusable> {
    match revocations.next() {
        None => Ok(()),
        Some(first) => {
            Err(Unusable::Revoked { at: first.created().map(|created| packets::time(created.as_secs())) })
        }
    }
}

/// The newest of some verified self-signatures that has not expired.
fn newest<'a>(
    signatures: impl Iterator<Item = &'a Signature>,
    now: Timestamp,
) -> Result<&'a Signature, Unusable> {
    let mut newest: Option<(Timestamp, &Signature)> = None;
    let mut reason = Unusable::NotBound;
    for signature in signatures {
        match packets::inspect(signature) {
            Ok(made) if packets::end(signature, made).is_some_and(|end| end <= now) => {}
            Ok(made) if newest.is_none_or(|(known, _)| known <= made) => newest = Some((made, signature)),
            Err(Flaw::WeakHash(hash)) => reason = Unusable::WeaklyBound { hash },
            Ok(_) | Err(_) => {}
        }
    }
    newest.map(|(_, signature)| signature).ok_or(reason)
}

/// Checks that a key has not expired, according to its self-signature.
fn lives(key: &impl VerifyingKey, binding: &Signature, now: Timestamp) -> Result<(), Unusable> {
    let Some(life) = binding.key_expiration_time().filter(|life| life.as_secs() != 0) else {
        return Ok(());
    };
    let created = packets::time(key.created_at().as_secs());
    let at = created + SignedDuration::from_secs(i64::from(life.as_secs()));
    if at <= now { Err(Unusable::Expired { at, now }) } else { Ok(()) }
}

/// Whether a self-signature says that a key signs documents; `None` if it names no purposes.
fn purposes(binding: &Signature) -> Option<bool> {
    binding.config()?.hashed_subpackets().find_map(|subpacket| match &subpacket.data {
        SubpacketData::KeyFlags(flags) => Some(flags.sign()),
        _ => None,
    })
}
