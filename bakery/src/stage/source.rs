//! Reads a tree from a directory, a tar archive, or an image.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sysext_image::filesystem::{FilesystemError, Limits, ToTreeError};
use sysext_image::probe::{ImageKind, ProbeError, probe};
use sysext_image::tree::{Rules, TarError, TreeError};
use sysext_image::{Progress, Tree};

use crate::failure::Hint;
use crate::inspect::opened::{OpenError, Opened};

/// The path that means the standard input.
const STDIN: &str = "-";

#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Directory(TreeError),
    #[error("cannot open {path}", path = .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{path}", path = .path.display())]
    Probe { path: PathBuf, source: ProbeError },
    #[error("{path} is neither a directory nor a file", path = .path.display())]
    Neither { path: PathBuf },
    #[error("archive {path}", path = .path.display())]
    Tar { path: PathBuf, source: TarError },
    #[error(transparent)]
    Image(OpenError),
    #[error("image {path}", path = .path.display())]
    Content { path: PathBuf, source: Box<ToTreeError> },
}

impl Hint for SourceError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Directory(error) => error.hint(),
            Self::Tar { source: TarError::Header { offset: 0, .. }, .. } => {
                Some("pass a directory, a tar archive, or an erofs or squashfs image".to_owned())
            }
            Self::Tar { source, .. } => source.hint(),
            Self::Image(error) => error.hint(),
            Self::Content { source, path } => match **source {
                ToTreeError::Image(FilesystemError::TooMuch { claimed, .. }) => Some(format!(
                    "if that is correct, run bakery extract {} DIR --max-content {claimed}, and bake DIR",
                    path.display()
                )),
                _ => source.hint(),
            },
            Self::Open { .. } | Self::Probe { .. } | Self::Neither { .. } => None,
        }
    }
}

/// Reads a tree from `path`; `-` is an archive on the standard input.
pub(super) fn read(path: &Path, progress: &Progress) -> Result<Tree, SourceError> {
    let rules = Rules::default();
    let scratch = std::env::temp_dir();
    let tar = |source| SourceError::Tar { path: path.to_owned(), source };
    if path == Path::new(STDIN) {
        return Tree::from_tar(&mut io::stdin().lock(), &rules, &scratch).map_err(tar);
    }
    let failed = |source| SourceError::Open { path: path.to_owned(), source };
    let found = path.metadata().map_err(failed)?;
    if found.is_dir() {
        return Tree::from_directory(path, &rules).map_err(SourceError::Directory);
    }
    if !found.is_file() {
        return Err(SourceError::Neither { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(failed)?;
    let kind = probe(&mut file).map_err(|source| SourceError::Probe { path: path.to_owned(), source })?;
    if kind == ImageKind::Unknown {
        return Tree::from_tar_file(file, path, &rules, &scratch, progress).map_err(tar);
    }
    let image = Opened::open(path).map_err(SourceError::Image)?;
    image
        .filesystem
        .to_tree(&rules, Limits::of_image(image.length), &scratch)
        .map_err(|error| SourceError::Content { path: path.to_owned(), source: Box::new(error) })
}
