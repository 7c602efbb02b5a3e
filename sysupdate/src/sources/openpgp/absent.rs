//! The types of a build without OpenPGP: a signed list has no values, and fetching one is an error.

use sysext_manifests::checksums::Checksums;
use sysext_manifests::hint::Hint;
use sysext_manifests::trust::{Claim, Verified};

use crate::host::Host;
use crate::host::transport::without_password;
use crate::paths::Paths;

/// No keys.
#[derive(Debug, Default)]
pub struct Keys;

/// Cannot exist.
#[derive(Debug)]
pub enum SignedList {}

/// A manifest must be signed, and this build cannot check signatures.
#[derive(Debug, thiserror::Error)]
#[error("{url} must have an OpenPGP signature, but this build of sysupdate cannot check signatures")]
pub struct SignatureFailure {
    url: String,
}

impl Hint for SignatureFailure {
    fn hint(&self) -> Option<String> {
        Some(
            "set Repository= to use a signed catalog, or Verify=no to accept the manifest unsigned"
                .to_owned(),
        )
    }
}

impl Keys {
    /// Always fails.
    pub fn fetch(
        &mut self,
        _host: &Host,
        _paths: &Paths,
        url: &str,
        _limit: u64,
    ) -> Result<(SignedList, Vec<String>), SignatureFailure> {
        Err(SignatureFailure { url: without_password(url) })
    }
}

impl SignedList {
    /// The list.
    pub fn checksums(&self) -> &Checksums {
        match *self {}
    }

    /// A claim about a file of the list.
    pub fn claim(&self, _claim: Claim) -> Option<Verified<Claim>> {
        match *self {}
    }
}
