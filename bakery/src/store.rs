//! The store: a directory with the layout of the published repository, plus the records of all images. Files in it
//! are replaced atomically.
//!
//! ```text
//! STORE/catalog/catalog.json             the last finished release
//! STORE/catalog/catalog.pending.json     a release that lacks signatures
//! STORE/catalog/openpgp.json             digests of the OpenPGP signatures that `bakery sign` added; not published
//! STORE/catalog/published.json           every image that was ever published; not published
//! STORE/catalog/dropped.json             images that were dropped on purpose; not published
//! STORE/NAME/NAME-VERSION-ARCH.raw       an image
//! STORE/NAME/NAME-VERSION-ARCH.json      its record; not published
//! STORE/NAME/{SHA256SUMS,NAME.transfer,NAME.conf}
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sysext_manifests::digest::{Hasher, Sha256};

use crate::failure::Hint;

pub(crate) mod dropped;
mod layout;
pub(crate) mod openpgp;
mod pending;
pub(crate) mod record;

pub(crate) use layout::Store;
pub(crate) use pending::{Pending, abandon};

/// The size of one read, in bytes: large enough for the disk, small enough for the cache.
const CHUNK: usize = 1 << 18;

/// A file that does not contain the expected JSON.
#[derive(Debug, thiserror::Error)]
#[error("{path}:{line}:{column}: {message}", path = .path.display())]
pub(crate) struct JsonError {
    path: PathBuf,
    line: usize,
    column: usize,
    message: String,
}

impl JsonError {
    pub(crate) fn new(path: &Path, error: &serde_json::Error) -> Self {
        // An error at a line break has column 0.
        let (line, column) = (error.line(), error.column().max(1));
        Self { path: path.to_owned(), line, column, message: without_position(error) }
    }
}

/// The message of a JSON error without the position, which is printed in front with the file.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

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

impl Hint for FileError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { .. } => Some("wait until the other bakery has finished, then try again".to_owned()),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free some space and retry; no partial file was left".to_owned())
            }
            Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

/// The names in a directory, sorted; none if it does not exist. This program writes no names that are not UTF-8.
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

/// The bytes of a file, or nothing if it does not exist.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Read { path: path.to_owned(), source }),
    }
}

/// Removes a file if it exists.
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

/// Writes a file atomically.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<Change, FileError> {
    if read_if_present(path)?.as_deref() == Some(bytes) {
        return Ok(Change::Same);
    }
    let mut pending = Pending::create(path)?;
    pending.write(bytes)?;
    pending.commit()?;
    Ok(Change::Written)
}

/// Returns the digest and the length of a file.
pub(crate) fn digest(path: &Path) -> Result<(Sha256, u64), FileError> {
    stream(path, |_| Ok(()))
}

/// Reads a file and passes on each piece; returns its digest and its length.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_errors_start_with_the_position() {
        let error = serde_json::from_str::<u8>("\n{").unwrap_err();
        let error = JsonError::new(Path::new("store/x.json"), &error).to_string();
        assert!(error.starts_with("store/x.json:2:") && !error.contains("line"), "{error}");
    }
}
