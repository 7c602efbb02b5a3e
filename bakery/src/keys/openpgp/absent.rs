//! What stands in for a key where the program is built without OpenPGP: nothing, and an honest error.

use std::path::Path;

use jiff::Timestamp;

use super::{OpenPgpKeyError, Signatures};
use crate::keys::Password;

/// There is none.
#[derive(Debug)]
pub(crate) enum OpenPgpKey {}

impl OpenPgpKey {
    /// Fails.
    pub(crate) fn read(path: &Path, _password: Option<&Password>) -> Result<Self, OpenPgpKeyError> {
        Err(OpenPgpKeyError::Absent { path: path.to_owned() })
    }

    /// Cannot be asked.
    pub(crate) fn fingerprint(&self) -> String {
        match *self {}
    }

    /// Cannot be asked.
    pub(crate) fn sign(&self, _document: &[u8], _now: Timestamp) -> Result<Signatures, OpenPgpKeyError> {
        match *self {}
    }
}
