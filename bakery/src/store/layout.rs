//! Which file is where in a store, and in the repository that is published from it.

use std::path::{Path, PathBuf};

use super::{FileError, list};
use crate::naming::CATALOG;

/// A store or a published repository: the two have the same layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in this directory, which need not exist yet.
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

    /// The catalog that not enough have signed yet.
    pub(crate) fn pending_catalog(&self) -> PathBuf {
        self.root.join(CATALOG).join("catalog.pending.json")
    }

    /// What was signed with OpenPGP after the catalog was made.
    pub(crate) fn openpgp_record(&self) -> PathBuf {
        self.root.join(CATALOG).join("openpgp.json")
    }

    /// What belongs to one extension.
    pub(crate) fn extension(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A file of one extension.
    pub(crate) fn file(&self, name: &str, file: &str) -> PathBuf {
        self.root.join(name).join(file)
    }

    /// The directories of extensions, sorted; nothing if the store does not exist yet.
    pub(crate) fn extensions(&self) -> Result<Vec<String>, FileError> {
        let mut names = list(&self.root)?;
        names.retain(|name| name != CATALOG && !name.starts_with('.') && self.root.join(name).is_dir());
        Ok(names)
    }

    /// Whether this is a store: it has offered something, or there is something of a bake in it. A mistyped
    /// directory has neither.
    pub(crate) fn is_one(&self) -> Result<bool, FileError> {
        if self.catalog().exists() || self.pending_catalog().exists() {
            return Ok(true);
        }
        for name in self.extensions()? {
            let files = list(&self.extension(&name))?;
            let is_ours = |file: &String| {
                file.starts_with(&format!("{name}-")) && (file.ends_with(".raw") || file.ends_with(".json"))
            };
            if files.iter().any(is_ours) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
