//! What versions of extensions require of each other.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sysext_manifests::requirement::Requirement;
use sysext_manifests::transfer::Dependency;
use sysext_manifests::version::Version;

/// How many extensions a version may require or conflict with. The relations of a version are stored in the
/// record of its component.
const RELATIONS_MAX: usize = 64;

/// How long the name of an extension or a requirement may be, in bytes.
const TEXT_LIMIT: usize = 256;

/// The requirement that every version matches.
const ANY: &str = "*";

/// What a version requires of other extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredRelations", into = "StoredRelations")]
pub struct Relations {
    /// Its upstream version, where a catalog names it: requirements are compared with that.
    pub upstream: Option<String>,
    /// Extensions that must be installed.
    pub requires: Vec<Dependency>,
    /// Extensions that it must not be merged with.
    pub conflicts: Vec<String>,
}

/// Why the relations of a version are unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RelationsError(String);

/// Relations as they are stored.
#[derive(Clone, Default, Serialize, Deserialize)]
struct StoredRelations {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    requires: Vec<StoredDependency>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<String>,
}

/// A dependency as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct StoredDependency {
    name: String,
    versions: String,
}

impl Relations {
    /// Reads the relations of a catalog's instance.
    pub fn parse(
        upstream: Option<String>,
        requires: &BTreeMap<String, String>,
        conflicts: &[String],
    ) -> Result<Self, RelationsError> {
        if requires.len() + conflicts.len() > RELATIONS_MAX {
            let text = format!("requires or conflicts with more than {RELATIONS_MAX} extensions");
            return Err(RelationsError(text));
        }
        let texts = requires.keys().chain(requires.values()).chain(conflicts).chain(&upstream);
        if let Some(long) = texts.into_iter().find(|text| text.len() > TEXT_LIMIT) {
            let start: String = long.chars().take(20).collect();
            let text = format!("requires {start:?}…, which has more than {TEXT_LIMIT} bytes");
            return Err(RelationsError(text));
        }
        let requires = requires.iter().map(|(name, versions)| dependency(name, versions));
        Ok(Self { upstream, requires: requires.collect::<Result<_, _>>()?, conflicts: conflicts.to_vec() })
    }

    /// Adds those of another file of the same version.
    pub fn add(&mut self, Self { upstream, requires, conflicts }: Self) {
        self.upstream = self.upstream.take().or(upstream);
        for dependency in requires {
            if !self.requires.contains(&dependency) {
                self.requires.push(dependency);
            }
        }
        for name in conflicts {
            if !self.conflicts.contains(&name) {
                self.conflicts.push(name);
            }
        }
    }
}

fn dependency(name: &str, versions: &str) -> Result<Dependency, RelationsError> {
    let versions = match versions.trim() {
        "" | ANY => None,
        text => Some(
            text.parse::<Requirement>()
                .map_err(|error| RelationsError(format!("has an invalid requirement on {name}: {error}")))?,
        ),
    };
    Ok(Dependency { name: name.to_owned(), versions })
}

impl TryFrom<StoredRelations> for Relations {
    type Error = RelationsError;

    fn try_from(stored: StoredRelations) -> Result<Self, RelationsError> {
        let StoredRelations { upstream, requires, conflicts } = stored;
        let requires = requires.iter().map(|stored| dependency(&stored.name, &stored.versions));
        Ok(Self { upstream, requires: requires.collect::<Result<_, _>>()?, conflicts })
    }
}

impl From<Relations> for StoredRelations {
    fn from(Relations { upstream, requires, conflicts }: Relations) -> Self {
        let requires = requires.into_iter().map(|Dependency { name, versions }| {
            let versions = versions.map_or_else(|| ANY.to_owned(), |versions| versions.as_str().to_owned());
            StoredDependency { name, versions }
        });
        Self { upstream, requires: requires.collect(), conflicts }
    }
}

/// A version of an extension and its relations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The version; unknown for an extension that no component installed.
    pub version: Option<Version>,
    /// Its relations.
    pub relations: Relations,
}

impl Related {
    /// Whether it is a version that a dependency asks for.
    pub(super) fn meets(&self, Dependency { versions, .. }: &Dependency) -> bool {
        let name = self.relations.upstream.as_deref().or(self.version.as_ref().map(Version::as_str));
        match (versions, name) {
            (None, _) => true,
            (Some(versions), Some(name)) => versions.matches(name),
            (Some(_), None) => false,
        }
    }
}

/// An extension that is installed on this node and that this run does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherExtension {
    /// Its component's name, or its own.
    pub label: String,
    /// The names of the extensions in it.
    pub provides: Vec<String>,
    /// Its version.
    pub installed: Related,
}

/// A dependency in words.
pub(super) fn in_words(Dependency { name, versions }: &Dependency) -> String {
    match versions {
        Some(versions) => format!("{name} {versions}"),
        None => name.clone(),
    }
}

impl fmt::Display for Related {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => version.fmt(f),
            None => f.write_str("an unknown version"),
        }
    }
}
