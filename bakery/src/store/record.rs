//! The record next to an image: what `bake` knows about it, for `index`. It is not published.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sysext_manifests::catalog::Instance;
use sysext_manifests::version::Version;

use super::{FileError, JsonError, Store};
use crate::failure::Hint;
use crate::naming::{self, NamingError};

/// The version of the record's format.
pub(crate) const FORMAT: u32 = 1;

/// One baked image.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// [`FORMAT`].
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) homepage: Option<String>,
    /// An SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) license: Option<String>,
    /// The entry for the catalog.
    pub(crate) instance: Instance,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(transparent)]
    Json(JsonError),
    #[error("the record {file} has format {found}, this program reads format {FORMAT}")]
    Format { file: String, found: u32 },
    #[error("the record {file} describes another image, {described}")]
    Misplaced { file: String, described: String },
    #[error("the record {file} cannot be published")]
    Naming { file: String, source: NamingError },
}

impl Hint for RecordError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Json(_) | Self::Misplaced { .. } | Self::Naming { .. } => {
                Some("remove the record and bake the image again".to_owned())
            }
            Self::Format { .. } => Some("bake the image again with this program".to_owned()),
        }
    }
}

impl Record {
    /// The image's file name without `.raw`.
    pub(crate) fn stem(&self) -> Result<String, NamingError> {
        naming::stem(&self.name, &self.instance.version, self.instance.arch)
    }

    /// Reads the record at `path`, `NAME/NAME-VERSION-ARCH.json`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, RecordError> {
        let file = path.display().to_string();
        let record: Self =
            serde_json::from_slice(bytes).map_err(|error| RecordError::Json(JsonError::new(path, &error)))?;
        if record.version != FORMAT {
            return Err(RecordError::Format { file, found: record.version });
        }
        let naming = |source| RecordError::Naming { file: file.clone(), source };
        naming::check_extension(&record.name).map_err(naming)?;
        let stem = record.stem().map_err(naming)?;
        let url = image_url(&record.name, &stem);
        if !path.ends_with(format!("{}/{stem}.json", record.name)) || record.instance.image.url != url {
            return Err(RecordError::Misplaced { file, described: record.instance.image.url });
        }
        Ok(record)
    }
}

/// The URL of an image, relative to the repository.
pub(crate) fn image_url(name: &str, stem: &str) -> String {
    format!("{name}/{stem}.raw")
}

/// The versions of an extension in a store. Records that cannot be read are reported by `index`.
pub(crate) fn versions(store: &Store, name: &str) -> Result<Vec<Version>, FileError> {
    let mut versions = Vec::new();
    if !store.extension(name).is_dir() {
        return Ok(versions);
    }
    for file in super::list(&store.extension(name))? {
        let path = store.file(name, &file);
        if file.starts_with('.') || !file.ends_with(".json") {
            continue;
        }
        let Some(bytes) = super::read_if_present(&path)? else { continue };
        versions.extend(Record::parse(&path, &bytes).ok().map(|record| record.instance.version));
    }
    Ok(versions)
}
