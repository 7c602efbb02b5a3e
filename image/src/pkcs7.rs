//! Signatures of a root hash, in the form that systemd and the kernel verify before they use an image:
//! PKCS#7, detached, without signed attributes, over the 64 hexadecimal digits of the root hash.
//!
//! [`Signer`] creates them from a private key and its certificate. With an RSA key they equal those of
//! `openssl smime -sign -nocerts -noattr -binary -outform der`. ECDSA signatures of openssl are randomised;
//! ours are deterministic (RFC 6979), so that the same image has the same signature. [`Signature`] reads and
//! verifies them.
//!
//! A signature is verified against given certificates. As in systemd and the kernel, their dates, purposes
//! and issuers do not matter: a certificate in `verity.d` means that its key is trusted.
//!
//! ```text
//! ContentInfo     SEQUENCE { signedData, [0] SignedData }
//! SignedData      SEQUENCE { 1, SET { digest algorithm }, SEQUENCE { data },
//!                            [0] certificates (optional), SET { SignerInfo } }
//! SignerInfo      SEQUENCE { 1, SEQUENCE { issuer, serial number }, digest algorithm,
//!                            signature algorithm, OCTET STRING signature }
//! ```
//!
//! ```
//! use sysext_image::pkcs7::{Certificate, PrivateKey, Signature, Signer};
//! use sysext_image::verity::RootHash;
//!
//! # let key = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/test-only-p256.key"));
//! # let certificate = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/test-only-p256.crt"));
//! // The content of the files of a key and its certificate
//! let certificate = Certificate::parse(certificate)?;
//! let signer = Signer::new(PrivateKey::from_pem(key)?, certificate.clone())?;
//! let root_hash = RootHash([7; 32]);
//! let signature = signer.sign(&root_hash)?; // the bytes of NAME.roothash.p7s
//!
//! Signature::parse(&signature)?.verify(&root_hash, &[certificate])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod certificate;
mod der;
mod error;
mod key;
mod oid;
mod pem;
mod signature;
mod signer;
#[cfg(test)]
mod tests;

pub use certificate::Certificate;
pub use der::DerError;
pub use error::{CertificateError, KeyError, SignError, VerifyError};
pub use key::PrivateKey;
pub use signature::Signature;
pub use signer::Signer;

/// Allowed sizes of RSA keys in bits. Shorter ones can be broken, longer ones take seconds.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
