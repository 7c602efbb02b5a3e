//! What can go wrong with keys, certificates and signatures.

use super::RSA_BITS;
use super::der::DerError;

/// Why a private key cannot be used. What the key holds is in none of these.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No block of PEM is one.
    #[error("there is no private key in PEM form")]
    Missing,
    /// It needs a passphrase.
    #[error("the private key is encrypted, which is not supported")]
    Encrypted,
    /// The block is damaged.
    #[error("the {label} is damaged: it is not base64")]
    Base64 {
        /// What it is said to be.
        label: String,
    },
    /// It is not what it is said to be.
    #[error("the private key is damaged")]
    Der(#[from] DerError),
    /// Another algorithm.
    #[error("private keys of the kind {kind} are not supported, only RSA and ECDSA with P-256 or P-384")]
    Unsupported {
        /// The object identifier.
        kind: String,
    },
    /// Too short or too long.
    #[error("an RSA key of {bits} bits is not supported, only {} to {}", RSA_BITS.start(), RSA_BITS.end())]
    Size {
        /// Its size.
        bits: usize,
    },
    /// Its numbers do not belong together.
    #[error("the numbers of the private key do not belong together")]
    Invalid,
}

impl From<pkcs8::der::Error> for KeyError {
    fn from(error: pkcs8::der::Error) -> Self {
        Self::Der(error.into())
    }
}

impl KeyError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Encrypted => {
                Some("decrypt it into a file that only you can read: openssl pkey -in KEY -out PLAIN".into())
            }
            Self::Missing => Some("a PEM file has a line -----BEGIN PRIVATE KEY-----".into()),
            Self::Unsupported { .. } | Self::Size { .. } => {
                Some("make one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out KEY".into())
            }
            _ => None,
        }
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Neither PEM nor DER.
    #[error("there is no certificate in PEM or DER form")]
    Missing,
    /// The block is damaged.
    #[error("the certificate is damaged: it is not base64")]
    Base64,
    /// It is not what it is said to be.
    #[error("the certificate is damaged")]
    Der(#[from] DerError),
    /// Another algorithm.
    #[error(
        "certificates with a key of the kind {kind} are not supported, only RSA and ECDSA with P-256 or P-384"
    )]
    Unsupported {
        /// The object identifier.
        kind: String,
    },
    /// Too short or too long.
    #[error("an RSA key of {bits} bits is not supported, only {} to {}", RSA_BITS.start(), RSA_BITS.end())]
    Size {
        /// Its size.
        bits: usize,
    },
    /// The key is none.
    #[error("the public key in the certificate is not valid")]
    Key,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// They are not of one pair.
    #[error("the certificate is not that of the private key")]
    Mismatch,
    /// The key refused.
    #[error("the private key cannot sign: {reason}")]
    Key {
        /// Why not.
        reason: String,
    },
}

impl SignError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mismatch => Some(
                "make one: openssl req -x509 -new -key KEY -subj /CN=NAME -days 3650 -out CERTIFICATE".into(),
            ),
            Self::Key { .. } => None,
        }
    }
}

/// Why a signature is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is no PKCS#7 signature.
    #[error("the PKCS#7 signature is damaged")]
    Der(#[from] DerError),
    /// It is one that systemd and the kernel would not take either, or that nobody makes.
    #[error("the PKCS#7 signature has {what}, which is not supported")]
    Unsupported {
        /// What it has.
        what: String,
    },
    /// The certificate of whoever signed is not among those that are trusted.
    #[error("the signature is by none of the certificates that are trusted, of which there {}", told(*.certificates))]
    Unknown {
        /// How many they are.
        certificates: usize,
    },
    /// It is not by that key, or not of that root hash.
    #[error("the signature is not of this root hash by this key")]
    Wrong,
}

fn told(certificates: usize) -> String {
    if certificates == 1 { "is 1".to_owned() } else { format!("are {certificates}") }
}

impl VerifyError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unsupported { .. } => {
                Some("sign with: openssl smime -sign -nocerts -noattr -binary -outform der".into())
            }
            Self::Unknown { .. } => Some("was the image signed by someone else, or the key replaced?".into()),
            _ => None,
        }
    }
}
