//! The names of components, and the paths that follow from them.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::paths::Paths;

/// The name of a component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ComponentName {
    /// The component in `sysupdate.d`, which usually is the operating system.
    Default,
    /// The component in `sysupdate.NAME.d`.
    Named(String),
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default component"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ComponentName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ComponentName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"description": "The name of a component.", "type": "string"})
    }
}

impl Serialize for ComponentName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_str("default"),
            Self::Named(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for ComponentName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(if name == "default" { Self::Default } else { Self::Named(name) })
    }
}

impl ComponentName {
    /// The name of its directories.
    pub fn directory(&self) -> String {
        match self {
            Self::Default => "sysupdate.d".to_owned(),
            Self::Named(name) => format!("sysupdate.{name}.d"),
        }
    }

    /// The directories of its definitions, highest priority first.
    pub(super) fn directories(&self, paths: &Paths) -> Vec<PathBuf> {
        paths.definitions.iter().map(|path| path.join(self.directory())).collect()
    }

    /// The path of its record.
    pub fn record(&self, paths: &Paths) -> PathBuf {
        match self {
            Self::Default => paths.state.join("default.json"),
            Self::Named(name) => paths.component_state.join(format!("{name}.json")),
        }
    }
}

/// Whether a name is safe as a part of a file name, and not that of a metadata file.
pub(crate) fn valid_name(name: &str) -> bool {
    let safe = |c: char| c.is_ascii_graphic() && c != '/';
    !name.is_empty() && name.chars().all(safe) && !name.starts_with('.') && !name.ends_with(".component")
}
