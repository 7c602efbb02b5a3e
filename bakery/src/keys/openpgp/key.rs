//! A secret key in the format of `gpg --export-secret-keys`.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pgp::composed::{ArmorOptions, Deserializable as _, DetachedSignature, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, KeyVersion, SigningKey};
use sysext_manifests::openpgp::{Keyring, OpenPgpError, Unusable};

use super::{OpenPgpKeyError, Signatures};
use crate::keys::{self, Password};

/// The longest key file, in bytes: RSA-4096 with two subkeys and a hundred signatures has about 60,000.
const KEY_MAX: u64 = 1 << 20;

/// A key that signs manifests.
pub(crate) struct OpenPgpKey {
    path: PathBuf,
    key: SignedSecretKey,
    password: pgp::types::Password,
    has_password: bool,
    /// The public half, as a node would read it.
    keyring: Keyring,
}

impl fmt::Debug for OpenPgpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenPgpKey({})", self.fingerprint())
    }
}

/// Why one of the subkeys did not sign.
enum Failure {
    /// It is locked, cannot sign, or is missing: the library does not distinguish.
    Unable { encrypted: bool },
    /// Nodes would reject its signature.
    Refused(OpenPgpError),
}

impl OpenPgpKey {
    /// Reads a secret key, binary or armoured.
    pub(crate) fn read(path: &Path, password: Option<&Password>) -> Result<Self, OpenPgpKeyError> {
        let bytes = keys::read_secret_bytes(path, KEY_MAX).map_err(OpenPgpKeyError::File)?;
        let unreadable = |reason: String| OpenPgpKeyError::Unreadable { path: path.to_owned(), reason };
        // The library's message is not printed: it may contain the secret.
        let (key, _) = SignedSecretKey::from_reader_single(bytes.as_slice())
            .map_err(|_| unreadable("it is damaged or not an OpenPGP key".to_owned()))?;
        if key.primary_key.version() != KeyVersion::V4 {
            return Err(unreadable(
                "stock systemd-sysupdate runs gpg, which reads only version 4 keys".to_owned(),
            ));
        }
        let public = key.to_public_key().to_bytes().map_err(|error| unreadable(error.to_string()))?;
        let (keyring, _) = Keyring::parse(&public).map_err(|error| unreadable(error.to_string()))?;
        let has_password = password.is_some();
        let password = pgp::types::Password::from(password.map_or("", Password::text));
        Ok(Self { path: path.to_owned(), key, password, has_password, keyring })
    }

    /// The fingerprint of the certificate.
    pub(crate) fn fingerprint(&self) -> String {
        self.keyring.fingerprints().concat()
    }

    /// Signs with the newest subkey whose signature nodes accept now.
    pub(crate) fn sign(&self, document: &[u8], now: Timestamp) -> Result<Signatures, OpenPgpKeyError> {
        let mut subkeys: Vec<_> = self.key.secret_subkeys.iter().map(|subkey| &subkey.key).collect();
        subkeys.sort_by_key(|key| std::cmp::Reverse(key.created_at().as_secs()));
        let mut failures = Vec::new();
        for key in subkeys {
            let encrypted = key.secret_params().is_encrypted();
            match self.sign_with(key, encrypted, document, now) {
                Ok(signatures) => return Ok(signatures),
                Err(failure) => failures.push(failure),
            }
        }
        let primary = &self.key.primary_key;
        match self.sign_with(primary, primary.secret_params().is_encrypted(), document, now) {
            Ok(signatures) => Ok(signatures),
            Err(failure) => {
                failures.push(failure);
                Err(self.explain(failures))
            }
        }
    }

    /// The failure that is the easiest to fix.
    fn explain(&self, failures: Vec<Failure>) -> OpenPgpKeyError {
        let path = self.path.clone();
        let mut locked = false;
        for failure in failures {
            match failure {
                Failure::Refused(OpenPgpError::Key { reason: Unusable::NotForSigning, .. }) => {}
                Failure::Refused(error) => {
                    return OpenPgpKeyError::Refused { path, reason: error.to_string() };
                }
                Failure::Unable { encrypted } => locked |= encrypted,
            }
        }
        match locked {
            true => OpenPgpKeyError::Locked { path, given: self.has_password },
            false => OpenPgpKeyError::NotForSigning { path },
        }
    }

    fn sign_with(
        &self,
        key: &impl SigningKey,
        encrypted: bool,
        document: &[u8],
        now: Timestamp,
    ) -> Result<Signatures, Failure> {
        let unable = |_| Failure::Unable { encrypted };
        let seconds = u32::try_from(now.as_second()).map_err(|_| Failure::Unable { encrypted: false })?;
        let mut config = SignatureConfig::v4(SignatureType::Binary, key.algorithm(), HashAlgorithm::Sha512);
        let made = SubpacketData::SignatureCreationTime(pgp::types::Timestamp::from_secs(seconds));
        let issuer = SubpacketData::IssuerFingerprint(key.fingerprint());
        let identifier = SubpacketData::IssuerKeyId(key.legacy_key_id());
        config.hashed_subpackets =
            vec![Subpacket::regular(made).map_err(unable)?, Subpacket::regular(issuer).map_err(unable)?];
        config.unhashed_subpackets = vec![Subpacket::regular(identifier).map_err(unable)?];
        let signature = DetachedSignature::new(config.sign(key, &self.password, document).map_err(unable)?);
        let binary = signature.to_bytes().map_err(unable)?;
        let armored = signature.to_armored_bytes(ArmorOptions::default()).map_err(unable)?;
        for form in [&binary, &armored] {
            self.keyring.verify(document, form, now).map_err(Failure::Refused)?;
        }
        Ok(Signatures { armored, binary })
    }
}
