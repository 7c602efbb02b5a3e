//! The type of a key in a build without OpenPGP: it has no values, and reading one is an error.

use std::path::Path;

use jiff::Timestamp;

use super::{OpenPgpKeyError, Signatures};
use crate::keys::Password;

/// Cannot exist.
#[derive(Debug)]
pub(crate) enum OpenPgpKey {}

impl OpenPgpKey {
    /// Always fails.
    pub(crate) fn read(path: &Path, _password: Option<&Password>) -> Result<Self, OpenPgpKeyError> {
        Err(OpenPgpKeyError::Absent { path: path.to_owned() })
    }

    pub(crate) fn fingerprint(&self) -> String {
        match *self {}
    }

    pub(crate) fn sign(&self, _document: &[u8], _now: Timestamp) -> Result<Signatures, OpenPgpKeyError> {
        match *self {}
    }
}
