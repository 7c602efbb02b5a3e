//! What versions of extensions require of each other.

use std::fmt;

use serde::{Deserialize, Serialize};
use sysext_manifests::catalog::Instance;
use sysext_manifests::requirement::{ExtensionName, Requirement};
use sysext_manifests::version::Version;

/// How long all relations of a version may be as text, in bytes: they are stored in the record of its component.
const RELATIONS_LIMIT: usize = 16 << 10;

/// What a version requires of other extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Relations {
    /// Its upstream version, where a catalog names it: requirements are compared with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Extensions that must be installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "texts")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub requires: Vec<Requirement>,
    /// Extensions that it must not be merged with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ExtensionName>,
}

/// The relations of a version are longer than this program stores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its requirements and conflicts have {length} bytes, at most {RELATIONS_LIMIT} are supported")]
pub struct RelationsError {
    length: usize,
}

impl Relations {
    /// The relations of a catalog's instance.
    pub fn of(instance: &Instance) -> Result<Self, RelationsError> {
        let Instance { upstream, requires, conflicts, .. } = instance;
        let texts = requires.iter().map(ToString::to_string);
        let texts = texts.chain(conflicts.iter().map(ToString::to_string));
        let length = upstream.len() + texts.map(|text| text.len()).sum::<usize>();
        if length > RELATIONS_LIMIT {
            return Err(RelationsError { length });
        }
        let (requires, conflicts) = (requires.clone(), conflicts.clone());
        Ok(Self { upstream: Some(upstream.clone()), requires, conflicts })
    }

    /// Adds those of another file of the same version.
    pub fn add(&mut self, Self { upstream, requires, conflicts }: Self) {
        self.upstream = self.upstream.take().or(upstream);
        for requirement in requires {
            if !self.requires.contains(&requirement) {
                self.requires.push(requirement);
            }
        }
        for name in conflicts {
            if !self.conflicts.contains(&name) {
                self.conflicts.push(name);
            }
        }
    }
}

/// Requirements as a list of texts: unlike in a catalog, several may be on one extension.
mod texts {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;
    use sysext_manifests::requirement::Requirement;

    pub(super) fn serialize<S: Serializer>(
        requirements: &[Requirement],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(requirements.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Requirement>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
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
    /// Whether it is a version that a requirement asks for.
    pub(super) fn meets(&self, Requirement { versions, .. }: &Requirement) -> bool {
        match (versions, &self.version) {
            (None, _) => true,
            (Some(versions), Some(version)) => {
                versions.matches(version.as_str(), self.relations.upstream.as_deref())
            }
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

impl fmt::Display for Related {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => version.fmt(f),
            None => f.write_str("an unknown version"),
        }
    }
}
