//! Getting a version's files here: partial, verified, pending, installed.

use std::path::{Path, PathBuf};

use sysext_manifests::digest::Hasher;
use sysext_manifests::trust::{Claim, Verified, VerifyError};

use crate::acquire::{self, AcquireError, Progress};
use crate::host::store::{Operation, StoreError};
use crate::host::{Host, transport};
use crate::plan::{NewFile, Origin};
use crate::targets::names;
use sysext_manifests::hint::Hint;

/// The permission bits of a new file, unless its definition says otherwise.
const MODE: u32 = 0o644;

/// Why a file did not get here.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Its bytes did not come.
    #[error("{transfer}: {source}")]
    Acquire {
        /// The transfer.
        transfer: String,
        /// Why.
        source: Box<AcquireError>,
    },
    /// What came is not what was claimed.
    #[error("{transfer}: {source}")]
    Verify {
        /// The transfer.
        transfer: String,
        /// What differs.
        source: VerifyError,
    },
    /// A file could not be read, moved or removed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Hint for InstallError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Acquire { source, .. } => source.hint(),
            Self::Verify { .. } | Self::Store(_) => None,
        }
    }
}

/// A file that is here, with the reason to believe it.
pub type Installed = Verified<PathBuf>;

/// Gets all files of a version whole and verified under their pending names.
pub fn acquire(
    host: &Host,
    files: &[NewFile],
    progress: &mut dyn FnMut(&str, Progress<'_>),
) -> Result<Vec<Installed>, InstallError> {
    files.iter().map(|file| fetch(host, file, progress)).collect()
}

/// Installs downloaded files in the order of the transfers.
pub fn install(
    host: &Host,
    files: &[NewFile],
    pending: Vec<Installed>,
) -> Result<Vec<Installed>, InstallError> {
    let mut installed = Vec::new();
    for (file, pending) in files.iter().zip(pending) {
        let target = &file.source.target;
        let from = pending.get().clone();
        host.store.rename(&from, target)?;
        installed.push(pending.moved(target.clone()));
    }
    Ok(installed)
}

fn fetch(
    host: &Host,
    file: &NewFile,
    progress: &mut dyn FnMut(&str, Progress<'_>),
) -> Result<Verified<PathBuf>, InstallError> {
    let target = &file.source.target;
    let (partial, pending) = (names::partial(target), names::pending(target));
    if let Some(directory) = target.parent() {
        host.store.make_directory(directory)?;
    }
    if let Some(left) = file.reuse.as_ref().filter(|left| **left != partial) {
        // What another run left under the pending name is looked at again like any other bytes.
        host.store.rename(left, &partial)?;
    }
    let claim = match &file.source.origin {
        Origin::Claimed(claim) => claim.clone(),
        Origin::File(path) => claim_of(host, path)?,
    };
    let unverified = acquire::download(
        &*host.transport,
        &*host.clock,
        &*host.store,
        claim.get(),
        &partial,
        &host.patience,
        &mut |step| progress(&claim.get().name, step),
    )
    .map_err(|source| InstallError::Acquire { transfer: file.transfer.clone(), source: Box::new(source) })?;
    let verified = unverified
        .verify(&claim)
        .map_err(|source| InstallError::Verify { transfer: file.transfer.clone(), source })?;
    let mode = file.source.mode.unwrap_or(MODE);
    host.store.set_mode(&partial, mode)?;
    host.store.rename(&partial, &pending)?;
    Ok(verified.moved(pending))
}

/// Reads a file of this node to know which bytes it has, so that a copy can be held against them.
fn claim_of(host: &Host, path: &Path) -> Result<Verified<Claim>, InstallError> {
    let mut file = host.store.open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match file.read(&mut buffer).map_err(StoreError::at(path, Operation::Read))? {
            0 => break,
            length => {
                hasher.update(&buffer[..length]);
                size += length as u64;
            }
        }
    }
    Ok(Verified::local(Claim {
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        urls: vec![transport::file_url(path)],
        sha256: hasher.finish(),
        size: Some(size),
    }))
}
