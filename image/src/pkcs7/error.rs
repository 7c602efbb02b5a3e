//! Errors of keys, certificates and signatures.

use super::RSA_BITS;
use super::der::DerError;

/// Why a private key cannot be used. What the key holds is in none of these.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum KeyError {
    #[error("no PEM private key found")]
    Missing,
    #[error("the private key is encrypted, which is not supported")]
    Encrypted,
    #[error("the {label} is damaged: invalid base64")]
    Base64 { label: String },
    #[error("the private key is damaged")]
    Der(#[from] DerError),
    #[error("private keys of type {kind} are not supported, only RSA and ECDSA with P-256 or P-384")]
    Unsupported { kind: String },
    #[error("an RSA key of {bits} bits is not supported, only {} to {}", RSA_BITS.start(), RSA_BITS.end())]
    Size { bits: usize },
    #[error("the private key is inconsistent")]
    Invalid,
}

impl From<pkcs8::der::Error> for KeyError {
    fn from(error: pkcs8::der::Error) -> Self {
        Self::Der(error.into())
    }
}

impl KeyError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Encrypted => {
                Some("decrypt it into a file that only you can read: openssl pkey -in KEY -out PLAIN".into())
            }
            Self::Missing => Some("a PEM file contains a line -----BEGIN PRIVATE KEY-----".into()),
            Self::Unsupported { .. } | Self::Size { .. } => Some(
                "generate one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out KEY".into(),
            ),
            _ => None,
        }
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum CertificateError {
    #[error("no PEM or DER certificate found")]
    Missing,
    #[error("the certificate is damaged: invalid base64")]
    Base64,
    #[error("the certificate is damaged")]
    Der(#[from] DerError),
    #[error(
        "certificates with a key of type {kind} are not supported, only RSA and ECDSA with P-256 or P-384"
    )]
    Unsupported { kind: String },
    #[error("an RSA key of {bits} bits is not supported, only {} to {}", RSA_BITS.start(), RSA_BITS.end())]
    Size { bits: usize },
    #[error("the public key in the certificate is invalid")]
    Key,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum SignError {
    #[error("the certificate does not belong to the private key")]
    Mismatch,
    #[error("the private key cannot sign: {reason}")]
    Key { reason: String },
}

impl SignError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mismatch => Some(
                "generate one: openssl req -x509 -new -key KEY -subj /CN=NAME -days 3650 -out CERTIFICATE"
                    .into(),
            ),
            Self::Key { .. } => None,
        }
    }
}

/// Why a signature is not accepted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum VerifyError {
    #[error("the PKCS#7 signature is damaged")]
    Der(#[from] DerError),
    #[error("the PKCS#7 signature has {what}, which is not supported")]
    Unsupported { what: String },
    #[error("the signature was not made with {}", trusted(*.certificates))]
    Unknown { certificates: usize },
    #[error("the signature does not match the root hash")]
    Wrong,
}

fn trusted(certificates: usize) -> String {
    match certificates {
        0 => "a trusted certificate: there are none".to_owned(),
        1 => "the trusted certificate".to_owned(),
        _ => format!("any of the {certificates} trusted certificates"),
    }
}

impl VerifyError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unsupported { .. } => {
                Some("sign with: openssl smime -sign -nocerts -noattr -binary -outform der".into())
            }
            Self::Unknown { .. } => {
                Some("the image may have been signed by someone else, or the key was replaced".into())
            }
            _ => None,
        }
    }
}
