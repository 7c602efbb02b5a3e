//! Where an image goes: a store or a file. A path that looks like another file would become a directory.

use std::path::{Path, PathBuf};

use sysext_image::dump::escape;

use crate::bake::Output;
use crate::failure::Hint;
use crate::inspect::extension_release;
use crate::inspect::opened::Opened;
use crate::store::{Overwrite, Store};

#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    #[error("writing an image to standard output is not supported")]
    Stdout,
    #[error("{path} is neither a store nor a file name that ends in .raw", path = .path.display())]
    Neither { path: PathBuf },
    #[error("{path} contains the extension {found}; refusing to overwrite it with {name}", path = .path.display())]
    Other { path: PathBuf, found: String, name: String },
}

impl Hint for OutputError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Stdout => "use -o FILE.raw".to_owned(),
            Self::Neither { path } => format!(
                "for a single image use -o {}; for a store with this name create the directory first",
                path.with_extension("raw").display()
            ),
            Self::Other { .. } => "choose another file, or pass --replace".to_owned(),
        })
    }
}

/// The destination that `--out` names for an extension.
pub(super) fn output(out: &Path, name: &str, overwrite: Overwrite) -> Result<Output, OutputError> {
    match out.extension() {
        _ if out.is_dir() => Ok(Output::Store(Store::new(out))),
        _ if out == Path::new("-") => Err(OutputError::Stdout),
        None => Ok(Output::Store(Store::new(out))),
        Some(extension) if extension != "raw" => Err(OutputError::Neither { path: out.to_owned() }),
        Some(_) => match other_extension(out, name) {
            Some(found) if overwrite == Overwrite::Refuse => {
                Err(OutputError::Other { path: out.to_owned(), found, name: name.to_owned() })
            }
            _ => Ok(Output::File(out.to_owned())),
        },
    }
}

/// The name of another extension whose image is in this file.
fn other_extension(path: &Path, name: &str) -> Option<String> {
    // An unreadable file is not an image of another extension.
    let opened = Opened::open(path).ok()?;
    let entries = opened.filesystem.entries().ok()?;
    let releases = extension_release::all(&opened.filesystem, &entries).ok()?;
    let is_this = releases.iter().any(|release| release.name == name);
    releases.into_iter().next().filter(|_| !is_this).map(|release| escape(release.name.as_bytes()))
}
