//! Installing the files of a version: partial, verified, pending, installed.

use std::path::{Path, PathBuf};

use sysext_manifests::digest::{Hasher, Sha256};
use sysext_manifests::hint::Hint;
use sysext_manifests::trust::{Claim, Verified, VerifyError};

use crate::acquire::{AcquireError, Fetcher, Progress};
use crate::host::store::{Operation, StoreError};
use crate::host::{Host, transport};
use crate::paths::Paths;
use crate::plan::{NewFile, Origin};
use crate::state::InstalledFile;
use crate::targets::Location;

/// The permission bits of a new file, unless its definition says otherwise.
const MODE: u32 = 0o644;

/// Why a file could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The download failed.
    #[error("{transfer}: {source}")]
    Acquire {
        /// The transfer.
        transfer: String,
        /// Why.
        source: Box<AcquireError>,
    },
    /// The file is not the one that was announced.
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

/// A complete and verified file under its pending name.
#[derive(Debug)]
pub struct Pending {
    transfer: String,
    target: Location,
    sha256: Sha256,
    file: Verified<PathBuf>,
}

impl Pending {
    /// What is recorded about the file.
    pub fn installed_file(&self, paths: &Paths) -> InstalledFile {
        InstalledFile {
            transfer: self.transfer.clone(),
            path: paths.as_seen_inside(self.target.path()),
            sha256: self.sha256,
            evidence: self.file.evidence().clone(),
        }
    }
}

/// Downloads and verifies all files of a version. They get their pending names.
pub fn download(
    host: &Host,
    files: &[NewFile],
    progress: &mut dyn FnMut(&str, Progress<'_>),
) -> Result<Vec<Pending>, InstallError> {
    files.iter().map(|file| fetch(host, file, progress)).collect()
}

/// Installs downloaded files in the order of the transfers.
pub fn install(host: &Host, pending: &[Pending]) -> Result<(), InstallError> {
    for Pending { target, file, .. } in pending {
        Location::File(file.get().clone()).rename(host, target)?;
    }
    Ok(())
}

fn fetch(
    host: &Host,
    file: &NewFile,
    progress: &mut dyn FnMut(&str, Progress<'_>),
) -> Result<Pending, InstallError> {
    let target = &file.source.target;
    let (partial, pending) = (target.partial(), target.pending());
    target.prepare(host)?;
    if let Some(left) = file.reuse.as_ref().filter(|left| **left != partial) {
        // The pending file of another run is verified again like any other bytes.
        left.rename(host, &partial)?;
    }
    let claim = match &file.source.origin {
        Origin::Claimed(claim) => claim.clone(),
        Origin::File(path) => claim_of(host, path)?,
    };
    let downloaded = Fetcher::of(host).download(&*host.store, claim.get(), partial.path(), &mut |step| {
        progress(&claim.get().name, step);
    });
    let unverified = downloaded.map_err(|source| InstallError::Acquire {
        transfer: file.transfer.clone(),
        source: Box::new(source),
    })?;
    let verified = unverified
        .verify(&claim)
        .map_err(|source| InstallError::Verify { transfer: file.transfer.clone(), source })?;
    let mode = file.source.mode.unwrap_or(MODE);
    host.store.set_mode(partial.path(), mode)?;
    partial.rename(host, &pending)?;
    Ok(Pending {
        transfer: file.transfer.clone(),
        target: target.clone(),
        sha256: claim.get().sha256,
        file: verified.moved(pending.path().to_owned()),
    })
}

/// Reads a file of this node for its digest, so that the copy can be verified.
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
