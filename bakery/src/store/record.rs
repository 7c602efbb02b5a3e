//! The record beside an image: all that `bake` knows of it, for `index`. It is not published.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sysext_manifests::catalog::Instance;

use crate::naming::{self, NamingError};

/// The version of the record's format.
pub(crate) const FORMAT: u32 = 1;

/// One baked image.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// [`FORMAT`].
    pub(crate) version: u32,
    /// The extension.
    pub(crate) name: String,
    /// A sentence about it.
    pub(crate) description: String,
    /// Where its upstream lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) homepage: Option<String>,
    /// An SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) license: Option<String>,
    /// What the catalog will say.
    pub(crate) instance: Instance,
}

/// Why a record is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the record {file} is not readable at line {} column {}", .source.line(), .source.column())]
    Json { file: String, source: serde_json::Error },
    #[error("the record {file} has format {found}, this program reads format {FORMAT}")]
    Format { file: String, found: u32 },
    #[error("the record {file} describes {described}")]
    Misplaced { file: String, described: String },
    #[error("the record {file} cannot be published")]
    Naming { file: String, source: NamingError },
}

impl RecordError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Json { .. } | Self::Misplaced { .. } | Self::Naming { .. } => {
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

    /// Reads the record that lies at `path`, `NAME/NAME-VERSION-ARCH.json`.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, RecordError> {
        let file = path.display().to_string();
        let record: Self = serde_json::from_slice(bytes)
            .map_err(|source| RecordError::Json { file: file.clone(), source })?;
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

/// Where an image is in every layout, relative to the repository.
pub(crate) fn image_url(name: &str, stem: &str) -> String {
    format!("{name}/{stem}.raw")
}
