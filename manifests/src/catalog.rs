//! What a repository offers: the document inside `catalog/catalog.json`.
//!
//! A later minor version may add fields; readers ignore what they do not know. Writers never rewrite
//! signed bytes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::digest::Sha256;
use crate::envelope::{Envelope, Role};
use crate::health::HealthCheck;
use crate::requirement::{self, ExtensionName, Requirement};
use crate::version::Version;

mod resource;

pub use resource::UrlError;

/// The version of the file format this crate reads and writes.
pub const FORMAT: u32 = 1;

/// The file `catalog.json`: the chain of roots and the signed catalog.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct CatalogFile {
    /// [`FORMAT`].
    pub version: u32,
    /// Every root that ever was, oldest first: a node that slept walks from the one it knows.
    pub roots: Vec<Envelope>,
    /// The catalog, signed by the newest root's catalog role.
    #[serde(flatten)]
    pub catalog: Envelope,
}

/// Which keys may say what. Kept offline, rarely signed.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Root {
    /// Counts up by one with each rotation.
    pub number: u64,
    /// How many of `keys` must sign a root.
    pub threshold: usize,
    /// The keys that sign roots.
    pub keys: Vec<String>,
    /// The keys that sign catalogs.
    pub catalog: Role,
    /// From then on this root is not believed.
    pub expires: Timestamp,
}

impl Root {
    /// The role that signs roots.
    pub fn role(&self) -> Role {
        Role { threshold: self.threshold, keys: self.keys.clone() }
    }
}

/// Everything on offer.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Catalog {
    /// [`FORMAT`].
    pub version: u32,
    /// The repository's name; must be the identifier the node knows it by.
    pub repository: String,
    /// The number of the root that names the signing keys.
    pub root: u64,
    /// Counts up with every catalog under the same root.
    pub serial: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// From then on it is stale.
    pub expires: Timestamp,
    /// What is on offer, by name.
    pub extensions: BTreeMap<String, Extension>,
}

/// One extension with all its instances.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Extension {
    /// A sentence.
    #[serde(default)]
    pub description: String,
    /// Where its upstream lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// An SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The transfer files published beside it, and their digests.
    #[serde(default)]
    pub manifests: BTreeMap<String, Sha256>,
    /// Versions, for each architecture.
    #[serde(default)]
    pub instances: Vec<Instance>,
}

/// One version for one architecture.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Instance {
    /// The full version: the file name without name and architecture.
    pub version: Version,
    /// The version upstream gave it.
    pub upstream: String,
    /// Counts re-bakes of the same upstream version, from 1.
    pub revision: u32,
    /// The version line it belongs to, such as `1.32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// `stable`, `beta`, `alpha`.
    #[serde(default = "stable")]
    pub channel: String,
    /// The architecture.
    pub arch: Architecture,
    /// The image.
    #[serde(flatten)]
    pub image: Resource,
    /// The filesystem: `erofs` or `squashfs`.
    pub format: String,
    /// The compression inside.
    pub codec: String,
    /// The oldest kernel that reads it.
    pub kernel: String,
    /// What exactly wrote the bytes.
    pub writer: String,
    /// The dm-verity root hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verity: Option<String>,
    /// Forms for the wire that unpack to the image.
    #[serde(default)]
    pub transport: Vec<Resource>,
    /// Differences from earlier images.
    #[serde(default)]
    pub deltas: Vec<Delta>,
    /// The extension-release fields: which hosts may merge it.
    #[serde(default)]
    pub release: BTreeMap<String, String>,
    /// Other extensions that it needs.
    #[serde(default, with = "requirement::map")]
    pub requires: Vec<Requirement>,
    /// Extensions that must not be merged together with it.
    #[serde(default)]
    pub conflicts: Vec<ExtensionName>,
    /// What to do with units.
    #[serde(default)]
    pub units: Units,
    /// How to tell that it works; may only name what is inside the extension.
    #[serde(default)]
    pub health: Vec<HealthCheck>,
    /// Which share of the fleet gets it when.
    #[serde(default)]
    pub waves: Vec<Wave>,
    /// Set when nobody should install it any more: why.
    #[serde(default)]
    pub withdrawn: Option<String>,
}

fn stable() -> String {
    "stable".to_owned()
}

/// A file of the repository. The URL is relative to the repository in every layout.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Resource {
    /// Where it is, below the repository: parts that are neither empty nor . or .., and no scheme, query or backslash.
    pub url: String,
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Sha256,
}

/// A difference from an earlier image.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Delta {
    /// The version it starts from.
    pub from: Version,
    /// The digest of the image it starts from.
    pub from_sha256: Sha256,
    /// The file.
    #[serde(flatten)]
    pub resource: Resource,
}

/// What to do with units when the extension changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Units {
    /// To restart.
    #[serde(default)]
    pub restart: Vec<String>,
}

/// A share of the fleet and its time.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Wave {
    /// How many of a hundred nodes.
    pub percent: u8,
    /// From when on.
    pub at: Timestamp,
}
