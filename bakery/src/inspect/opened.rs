//! An image open for reading: a bare file system or a disk image with one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use sysext_image::Filesystem;
use sysext_image::ddi;
use sysext_image::filesystem::FilesystemError;
use sysext_image::probe::{ImageKind, ProbeError, probe};

use crate::failure::Hint;

/// The bytes of a file system: a file, or a partition of it.
pub(crate) trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// An image that is open for reading.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    /// Length of the file in bytes.
    pub(crate) length: u64,
    /// The file system, not checked yet.
    pub(crate) filesystem: Filesystem<Box<dyn Source>>,
    /// The disk image around the file system, if there is one.
    pub(crate) disk: Option<ddi::Reader<File>>,
}

/// Why an image could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("cannot open {path}", path = .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{path} is not a file", path = .path.display())]
    NotAFile { path: PathBuf },
    #[error("{path}", path = .path.display())]
    Probe { path: PathBuf, source: ProbeError },
    #[error("{path}", path = .path.display())]
    Disk { path: PathBuf, source: ddi::ReadError },
    #[error("{path}", path = .path.display())]
    Filesystem { path: PathBuf, source: FilesystemError },
}

impl Hint for OpenError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Disk { source, .. } => source.hint(),
            Self::Filesystem { source, .. } => source.hint(),
            Self::Open { .. } | Self::NotAFile { .. } | Self::Probe { .. } => None,
        }
    }
}

impl Opened {
    /// Opens the image at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        let found = path.metadata().map_err(failed)?;
        if !found.is_file() {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(failed)?;
        let kind = probe(&mut file).map_err(|source| OpenError::Probe { path: path.to_owned(), source })?;
        let (source, disk): (Box<dyn Source>, _) = match kind {
            ImageKind::Disk => {
                let disk = ddi::Reader::open(file)
                    .map_err(|source| OpenError::Disk { path: path.to_owned(), source })?;
                (Box::new(disk.filesystem()), Some(disk))
            }
            ImageKind::Filesystem(_) | ImageKind::Unknown => (Box::new(file), None),
        };
        let filesystem = Filesystem::open(source)
            .map_err(|source| OpenError::Filesystem { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), length: found.len(), filesystem, disk })
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("path", &self.path).finish_non_exhaustive()
    }
}
