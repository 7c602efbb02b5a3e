//! Where an instance is, and what can be done with it.
//!
//! The planner passes locations on and never looks into them. Other kinds of targets (directories, subvolumes,
//! partitions) are refused where definitions are read, by `settings::support`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::acquire;
use crate::host::Host;
use crate::host::store::StoreError;
use crate::targets::names;

/// Where an instance is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Location {
    /// A regular file.
    File(PathBuf),
}

impl Location {
    /// Its path on the running system: a link to the instance leads there.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
        }
    }

    /// Where the instance is while it is downloaded.
    pub fn partial(&self) -> Self {
        match self {
            Self::File(path) => Self::File(names::partial(path)),
        }
    }

    /// Where the instance is until it is installed.
    pub fn pending(&self) -> Self {
        match self {
            Self::File(path) => Self::File(names::pending(path)),
        }
    }

    /// Makes a place for the instance.
    pub fn prepare(&self, host: &Host) -> Result<(), StoreError> {
        match self {
            Self::File(path) => {
                path.parent().map_or(Ok(()), |directory| host.store.make_directory(directory))
            }
        }
    }

    /// Moves an instance to another location, in one step.
    pub fn rename(&self, host: &Host, to: &Self) -> Result<(), StoreError> {
        match (self, to) {
            (Self::File(from), Self::File(to)) => host.store.rename(from, to),
        }
    }

    /// Removes the instance, and the record of its download beside it.
    pub fn remove(&self, host: &Host) -> Result<(), StoreError> {
        match self {
            Self::File(path) => {
                host.store.remove(path)?;
                host.store.remove(&acquire::origin_beside(path))
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
        }
    }
}
