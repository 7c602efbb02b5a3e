//! The store: a directory laid out like the published repository, with the baker's records beside the
//! images. Which file lies where is decided here, and how files get there whole or not at all.
//!
//! ```text
//! STORE/catalog/catalog.json             what the last finished release offered
//! STORE/catalog/catalog.pending.json     a release that not enough have signed yet
//! STORE/catalog/openpgp.json             which SHA256SUMS `bakery sign` signed for stock tools; stays here
//! STORE/NAME/NAME-VERSION-ARCH.raw       an image
//! STORE/NAME/NAME-VERSION-ARCH.json      its record; stays here
//! STORE/NAME/{SHA256SUMS,NAME.transfer,NAME.conf}
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sysext_manifests::digest::{Hasher, Sha256};

mod layout;
pub(crate) mod openpgp;
mod pending;
pub(crate) mod record;

pub(crate) use layout::Store;
pub(crate) use pending::{Pending, abandon};

/// How much of a file is read at a time, in bytes: enough for the disk, little for the cache.
const CHUNK: usize = 1 << 18;

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot read {path}", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}", path = .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("another process is writing {path}", path = .path.display())]
    Busy { path: PathBuf },
}

impl FileError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { .. } => Some("wait until the other bakery has ended, then try again".to_owned()),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("make room and run the same command again; nothing half-written was left".to_owned())
            }
            Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

/// The names in a directory, sorted; none if it does not exist. What is not UTF-8 was not put there by us.
pub(crate) fn list(directory: &Path) -> Result<Vec<String>, FileError> {
    let read = |source| FileError::Read { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read(error)),
    };
    let names: Vec<OsString> =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>().map_err(read)?;
    let mut names: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// The bytes of a file, or nothing if there is none.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Read { path: path.to_owned(), source }),
    }
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_present(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// What to do when an image would change under a name that was released before: nodes that have the old bytes
/// never download the new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overwrite {
    /// Refuse it.
    #[default]
    Refuse,
    /// Allow it, because no node has the old bytes.
    Allow,
}

/// Whether a file had to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was written.
    Written,
    /// It already had these bytes.
    Same,
}

/// Gives a file these bytes, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<Change, FileError> {
    if read_if_present(path)?.as_deref() == Some(bytes) {
        return Ok(Change::Same);
    }
    let mut pending = Pending::create(path)?;
    pending.write(bytes)?;
    pending.commit()?;
    Ok(Change::Written)
}

/// Reads a file to its end in pieces; returns its digest and its length.
pub(crate) fn digest(path: &Path) -> Result<(Sha256, u64), FileError> {
    stream(path, |_| Ok(()))
}

/// Reads a file to its end and passes on each piece; returns its digest and its length.
pub(crate) fn stream(
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), FileError>,
) -> Result<(Sha256, u64), FileError> {
    let read = |source| FileError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(read)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), length)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                take(&buffer[..count])?;
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read(error)),
        }
    }
}
