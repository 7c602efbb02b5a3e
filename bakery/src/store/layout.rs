//! Which file is where in a store, and in the repository that is published from it.

use std::path::{Path, PathBuf};

use super::{FileError, list};
use crate::naming::CATALOG;

/// A store or a published repository, which have the same layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in this directory, which may not exist yet.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The signed catalog.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join(CATALOG).join("catalog.json")
    }

    /// The catalog that lacks signatures.
    pub(crate) fn pending_catalog(&self) -> PathBuf {
        self.root.join(CATALOG).join("catalog.pending.json")
    }

    /// The digests of OpenPGP signatures that were added to the finished release.
    pub(crate) fn openpgp_digests(&self) -> PathBuf {
        self.root.join(CATALOG).join("openpgp.json")
    }

    /// The images that were dropped on purpose.
    pub(crate) fn dropped(&self) -> PathBuf {
        self.root.join(CATALOG).join("dropped.json")
    }

    /// The list of all images that were ever published.
    pub(crate) fn history(&self) -> PathBuf {
        self.root.join(CATALOG).join("published.json")
    }

    /// The directory of an extension.
    pub(crate) fn extension(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A file of an extension.
    pub(crate) fn file(&self, name: &str, file: &str) -> PathBuf {
        self.root.join(name).join(file)
    }

    /// The names of all extensions, sorted; none if the store does not exist yet.
    pub(crate) fn extensions(&self) -> Result<Vec<String>, FileError> {
        let mut names = list(&self.root)?;
        names.retain(|name| name != CATALOG && !name.starts_with('.') && self.root.join(name).is_dir());
        Ok(names)
    }

    /// Whether this is a store: it has a catalog, or an image or record of some bake. A mistyped directory has neither.
    pub(crate) fn is_one(&self) -> Result<bool, FileError> {
        if self.catalog().exists() || self.pending_catalog().exists() {
            return Ok(true);
        }
        for name in self.extensions()? {
            let files = list(&self.extension(&name))?;
            let is_baked = |file: &String| {
                file.starts_with(&format!("{name}-")) && (file.ends_with(".raw") || file.ends_with(".json"))
            };
            if files.iter().any(is_baked) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
