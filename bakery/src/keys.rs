//! Keys: minisign key pairs as files, and signing with them.
//!
//! A secret comes from a file that only its owner can read, or from the environment; never from an argument, and it is
//! never printed.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use serde::Serialize;
use sysext_manifests::envelope::{Envelope, Role, Signature};

use crate::failure::Hint;
use crate::store::FileError;

mod generate;
pub(crate) mod openpgp;
mod public;
pub(crate) mod roots;

pub(crate) use generate::{Request, check_url, expiry, generate, generate_single, node_configuration};
pub(crate) use public::read_public;

/// The environment variable that may hold the keys' password.
pub(crate) const PASSWORD_VARIABLE: &str = "BAKERY_PASSWORD";

/// The longest key or password file, in bytes; a key has about 300.
const SECRET_MAX: u64 = 16 << 10;

/// Permission bits that give others access to a file.
const OTHERS: u32 = 0o077;

#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error(transparent)]
    File(FileError),
    #[error("{path} does not exist", path = .path.display())]
    Missing { path: PathBuf },
    #[error("{path} contains a secret, but others can read it (mode {mode:04o})", path = .path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the password in {origin} is {defect}")]
    Password { origin: String, defect: &'static str },
    #[error("{path} is encrypted, but no password was given", path = .path.display())]
    NeedsPassword { path: PathBuf },
    #[error("cannot use {path} as a minisign secret key", path = .path.display())]
    Unusable { path: PathBuf, source: minisign::PError },
    #[error("{path} contains a public key, which cannot sign", path = .path.display())]
    NotSecret { path: PathBuf },
    #[error("{path} does not contain a minisign public key", path = .path.display())]
    Public { path: PathBuf },
    #[error("cannot generate a key")]
    Generate(#[source] minisign::PError),
    #[error("{path} already exists; keys are never overwritten", path = .path.display())]
    Exists { path: PathBuf },
    #[error("invalid --url {url:?}: expected http://, https:// or file://, without ? and #")]
    Url { url: String },
    #[error("{days} days from {now} is out of range")]
    Expiry { days: u32, now: Timestamp },
    #[error("cannot write the repository file for nodes")]
    Repository(#[source] sysext_manifests::repository::RepositoryError),
    #[error("cannot pack the document to be signed")]
    Pack(#[source] io::Error),
    #[error("cannot sign with {key}")]
    Sign { key: String, source: minisign::PError },
}

impl Hint for KeyError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Exposed { path, .. } => {
                format!("run chmod 600 {0}; if others may have read it, generate new keys", path.display())
            }
            Self::NeedsPassword { .. } => {
                format!("pass --password-file FILE, or set {PASSWORD_VARIABLE} in the environment")
            }
            Self::Unusable { .. } => "the password may be wrong, or the file may be damaged".to_owned(),
            Self::Missing { .. } => {
                "generate new keys with `bakery keygen`; replace a lost catalog key with `bakery key` and `bakery root rotate`"
                    .to_owned()
            }
            Self::Exists { .. } => "choose another directory".to_owned(),
            Self::NotSecret { path } => {
                format!("pass the secret key, for example {}", path.with_extension("key").display())
            }
            Self::Public { .. } => "pass a .pub file, or its line that starts with RW".to_owned(),
            Self::Password { .. } => "put the password into the file's first line".to_owned(),
            _ => return None,
        })
    }
}

/// A password. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Password {
    /// The first line of a file that only its owner may read.
    pub(crate) fn from_file(path: &Path) -> Result<Self, KeyError> {
        let text = read_secret(path)?;
        Self::checked(text.lines().next().unwrap_or_default(), path.display().to_string())
    }

    /// The value of [`PASSWORD_VARIABLE`], if it is set.
    pub(crate) fn from_environment() -> Result<Option<Self>, KeyError> {
        match std::env::var(PASSWORD_VARIABLE) {
            Ok(text) => Self::checked(&text, PASSWORD_VARIABLE.to_owned()).map(Some),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(KeyError::Password { origin: PASSWORD_VARIABLE.to_owned(), defect: "not UTF-8" })
            }
        }
    }

    /// The text that was typed on a terminal.
    pub(crate) fn typed(text: &str) -> Result<Self, KeyError> {
        Self::checked(text, "the password".to_owned())
    }

    /// The password itself, to unlock a key.
    #[cfg(feature = "openpgp")]
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn checked(text: &str, origin: String) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Password { origin, defect: "empty" });
        }
        Ok(Self(text.to_owned()))
    }
}

/// A key that can sign.
pub(crate) struct SigningKey {
    secret: SecretKey,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl SigningKey {
    /// Reads a secret key, with the password if it is encrypted.
    pub(crate) fn read(path: &Path, password: Option<&Password>) -> Result<Self, KeyError> {
        let text = match read_secret(path) {
            // Everybody may read a public key
            Err(KeyError::Exposed { .. }) if is_public(path) => {
                return Err(KeyError::NotSecret { path: path.to_owned() });
            }
            text => text?,
        };
        Self::decode(&text, password, path).map_err(|error| match error {
            KeyError::Unusable { .. } | KeyError::NeedsPassword { .. } if is_public(path) => {
                KeyError::NotSecret { path: path.to_owned() }
            }
            other => other,
        })
    }

    fn decode(text: &str, password: Option<&Password>, path: &Path) -> Result<Self, KeyError> {
        let unusable = |source| KeyError::Unusable { path: path.to_owned(), source };
        let boxed = || SecretKeyBox::from_string(text).map_err(unusable);
        let secret = match (boxed()?.into_unencrypted_secret_key(), password) {
            (Ok(secret), _) => secret,
            // Without a password, minisign would prompt for one.
            (Err(_), Some(Password(password))) => {
                boxed()?.into_secret_key(Some(password.clone())).map_err(unusable)?
            }
            (Err(error), None) if matches!(error.kind(), minisign::ErrorKind::Io) => {
                return Err(KeyError::NeedsPassword { path: path.to_owned() });
            }
            (Err(error), None) => return Err(unusable(error)),
        };
        let public = PublicKey::from_secret_key(&secret).map_err(unusable)?;
        Ok(Self { secret, public })
    }

    /// The public key in minisign's base64 form.
    pub(crate) fn public(&self) -> String {
        self.public.to_base64()
    }

    /// Packs a document and signs it; `what` becomes the trusted comment.
    pub(crate) fn seal<T: Serialize>(&self, document: &T, what: &str) -> Result<Envelope, KeyError> {
        let packed = Envelope::pack(document).map_err(KeyError::Pack)?;
        let signature = self.sign(&packed, what)?;
        Ok(Envelope::seal(&packed, vec![signature]))
    }

    /// Signs packed bytes; `what` becomes the trusted comment.
    pub(crate) fn sign(&self, packed: &[u8], what: &str) -> Result<Signature, KeyError> {
        let comment = Some("signature made by bakery");
        let minisig = minisign::sign(Some(&self.public), &self.secret, packed, Some(what), comment)
            .map_err(|source| KeyError::Sign { key: self.public(), source })?;
        Ok(Signature { key: self.public(), minisig: minisig.into_string() })
    }
}

fn is_public(path: &Path) -> bool {
    path.to_str().is_some_and(|path| read_public(path).is_ok())
}

/// Reads a small text that only its owner can read.
fn read_secret(path: &Path) -> Result<String, KeyError> {
    let invalid = |_| {
        KeyError::File(FileError::Read { path: path.to_owned(), source: io::ErrorKind::InvalidData.into() })
    };
    String::from_utf8(read_secret_bytes(path, SECRET_MAX)?).map_err(invalid)
}

/// Reads a file of at most `limit` bytes that only its owner can read.
pub(crate) fn read_secret_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, KeyError> {
    let read = |source| KeyError::File(FileError::Read { path: path.to_owned(), source });
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
        _ => read(source),
    })?;
    let mode = file.metadata().map_err(read)?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > limit {
        return Err(read(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
