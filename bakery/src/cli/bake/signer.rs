//! The key and certificate that sign the root hash of dm-verity.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sysext_image::pkcs7::{Certificate, PrivateKey, Signer};

use crate::cli::Result;
use crate::failure::Failure;
use crate::keys;
use crate::store::FileError;

/// The longest key file, in bytes.
const PEM_MAX: u64 = 64 << 10;

/// Reads a private key in PEM form and its certificate.
pub(super) fn signer(key: &Path, certificate: &Path) -> Result<Signer> {
    if is_certificate(key) {
        return Err(Failure::new(format_args!("{} is a certificate, not a private key", key.display()))
            .with_hint("--verity-key takes the private key of the certificate"));
    }
    let bytes = keys::read_secret_bytes(key, PEM_MAX)?;
    // The contents are secret and must not be printed.
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(format_args!("{} is not a key in PEM form", key.display())))?;
    let private = PrivateKey::from_pem(&text).map_err(|error| Failure::of(&error).at(key.display()))?;
    let bytes = std::fs::read(certificate)
        .map_err(|source| FileError::Read { path: certificate.to_owned(), source })?;
    let at = |failure: Failure| failure.at(certificate.display());
    let parsed = Certificate::parse(&bytes).map_err(|error| at(Failure::of(&error)))?;
    Signer::new(private, parsed).map_err(|error| at(Failure::of(&error)))
}

/// Whether a file contains a certificate and no key. Read errors are reported when the key is read.
fn is_certificate(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PEM_MAX).read_to_end(&mut bytes));
    let has_key = String::from_utf8_lossy(&bytes).contains("PRIVATE KEY-----");
    read.is_ok() && !has_key && Certificate::parse(&bytes).is_ok()
}
