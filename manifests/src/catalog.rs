//! The catalog of a repository: the signed document inside `catalog/catalog.json`.
//!
//! A later version of this program may add fields, so readers ignore unknown ones.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

use crate::architecture::Architecture;
use crate::digest::Sha256;
use crate::envelope::{self, Document, Envelope, Role, Signature};
use crate::health::HealthCheck;
use crate::requirement::{self, ExtensionName, Requirement};
use crate::version::Version;

pub(crate) mod bounded;
mod resource;

pub use resource::UrlError;

/// The version of the file format that this crate reads and writes.
pub const FORMAT: u32 = 2;

/// How many roots a file may contain. A repository that makes a root each month needs them for 85 years.
const ROOTS_MAX: usize = 1024;

/// The file `catalog.json`: the chain of roots and the signed catalog.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CatalogFile {
    /// The version of the format: 2.
    pub version: u32,
    /// All roots since the first, oldest first: a node that was offline follows them from the last one it knows.
    pub roots: Vec<Envelope>,
    /// The catalog, signed by keys of the newest root's catalog role.
    #[serde(flatten)]
    pub catalog: Envelope,
}

/// Without `flatten`, which would store every unknown field before any signature is verified.
impl<'de> Deserialize<'de> for CatalogFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            version: u32,
            #[serde(deserialize_with = "bounded::list::<_, _, ROOTS_MAX>")]
            roots: Vec<Envelope>,
            signed: String,
            #[serde(deserialize_with = "bounded::list::<_, _, { envelope::SIGNATURES_MAX }>")]
            signatures: Vec<Signature>,
        }

        let Fields { version, roots, signed, signatures } = Fields::deserialize(deserializer)?;
        Ok(Self { version, roots, catalog: Envelope { signed, signatures } })
    }
}

/// A root: which keys may sign catalogs and the next root. Its keys are kept offline.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename = "root")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Root", transform = crate::schema::typed("root")))]
pub struct Root {
    /// The repository's identifier: the keys count for this repository only.
    pub repository: String,
    /// Increases by one with each root.
    pub number: u64,
    /// How many of `keys` must sign the next root.
    pub threshold: usize,
    /// The public keys that sign roots, in minisign's base64 form.
    pub keys: Vec<String>,
    /// The keys that sign catalogs.
    pub catalog: Role,
    /// The longest time from `issued` to `expires` that a catalog may have, in days.
    pub catalog_lifetime_max_days: u32,
    /// When this root expires.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub expires: Timestamp,
}

impl Root {
    /// The role that signs roots.
    pub fn role(&self) -> Role {
        Role { threshold: self.threshold, keys: self.keys.clone() }
    }

    /// The longest time from `issued` to `expires` that a catalog may have.
    pub fn catalog_lifetime_max(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.catalog_lifetime_max_days))
    }
}

impl Document for Root {
    const TYPE: &'static str = "root";
}

/// The default of [`Root::catalog_lifetime_max_days`].
pub const CATALOG_LIFETIME_DEFAULT_DAYS: u32 = 30;

/// Everything that a repository offers.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename = "catalog")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Catalog", transform = crate::schema::typed("catalog")))]
pub struct Catalog {
    /// The version of the format: 2.
    pub version: u32,
    /// The repository's identifier; nodes know the repository by the same one.
    pub repository: String,
    /// The number of the root whose keys sign this catalog.
    pub root: u64,
    /// Increases with every catalog under the same root.
    pub serial: u64,
    /// When this catalog was signed.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub issued: Timestamp,
    /// When this catalog expires.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub expires: Timestamp,
    /// The extensions by name.
    pub extensions: BTreeMap<String, Extension>,
}

impl Document for Catalog {
    const TYPE: &'static str = "catalog";
}

/// One extension with all its instances.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Extension {
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// The URL of the upstream project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// The licence as an SPDX expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The files published beside the images, such as transfer files, and their digests.
    #[serde(default)]
    pub manifests: BTreeMap<String, Sha256>,
    /// The versions for each architecture.
    #[serde(default)]
    pub instances: Vec<Instance>,
}

/// One version for one architecture.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instance {
    /// The version of the file: upstream's, and `-N` from the second revision on.
    pub version: Version,
    /// The upstream version.
    pub upstream: String,
    /// The revision of this upstream version, from 1.
    pub revision: u32,
    /// The release stream, such as `1.32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The release channel: `alpha`, `beta`, `stable` or `lts`.
    #[serde(default = "stable")]
    pub channel: String,
    /// The architecture.
    pub arch: Architecture,
    /// The image.
    #[serde(flatten)]
    pub image: Resource,
    /// The file system: `erofs` or `squashfs`.
    pub format: String,
    /// The compression of the file system, such as `lz4hc:12`.
    pub codec: String,
    /// The oldest kernel that can read the image.
    pub kernel: String,
    /// The writer that produced exactly these bytes.
    pub writer: String,
    /// The dm-verity root hash of a disk image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verity: Option<String>,
    /// Smaller files for the download that unpack to the image.
    #[serde(default)]
    pub transport: Vec<Resource>,
    /// Differences from earlier images, for nodes that have one of them.
    #[serde(default)]
    pub deltas: Vec<Delta>,
    /// The fields of its extension-release file, which say which hosts may merge it.
    #[serde(default)]
    pub release: BTreeMap<String, String>,
    /// Other extensions that it needs.
    #[serde(default, with = "requirement::map")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "BTreeMap<ExtensionName, requirement::VersionRequirement>")
    )]
    pub requires: Vec<Requirement>,
    /// Extensions that must not be merged together with it.
    #[serde(default)]
    pub conflicts: Vec<ExtensionName>,
    /// What happens to units when the extension changes.
    #[serde(default)]
    pub units: Units,
    /// The checks that must pass after activation. They may only run programs of the extension.
    #[serde(default)]
    pub health: Vec<HealthCheck>,
    /// When which share of the fleet installs it.
    #[serde(default)]
    pub waves: Vec<Wave>,
    /// Why it is withdrawn, if it is. Nodes do not install a withdrawn version.
    #[serde(default)]
    pub withdrawn: Option<String>,
}

fn stable() -> String {
    "stable".to_owned()
}

/// A file of the repository.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resource {
    /// The path below the repository's URL, without `.`, `..`, empty parts, a scheme, a query or a backslash.
    pub url: String,
    /// The size of the file in bytes.
    pub size: u64,
    /// The SHA-256 digest of the file.
    pub sha256: Sha256,
}

/// A difference from an earlier image.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Delta {
    /// The version of the earlier image.
    pub from: Version,
    /// The SHA-256 digest of the earlier image.
    pub from_sha256: Sha256,
    /// The file with the difference.
    #[serde(flatten)]
    pub resource: Resource,
}

/// What happens to units when the extension changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Units {
    /// The units to restart.
    #[serde(default)]
    pub restart: Vec<String>,
}

/// A share of the fleet and the time from which it installs a version.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Wave {
    /// The share of the nodes in percent.
    pub percent: u8,
    /// The time from which these nodes install it.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub at: Timestamp,
}
