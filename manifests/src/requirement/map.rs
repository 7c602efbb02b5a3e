//! Requirements as a map from name to versions, `{"containerd": ">=1.7", "cni": "*"}`:
//! `#[serde(with = "requirement::map")]`.

use std::collections::BTreeMap;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::Serializer;

use super::{ANY, ExtensionName, Requirement, VersionRequirement};

/// Writes requirements as a map.
pub fn serialize<S: Serializer>(requirements: &[Requirement], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(requirements.iter().map(|requirement| {
        (&requirement.name, requirement.versions.as_ref().map_or(ANY, VersionRequirement::as_str))
    }))
}

/// Reads requirements from a map; they are sorted by name.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Requirement>, D::Error> {
    let map = BTreeMap::<ExtensionName, Versions>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(name, Versions(versions))| Requirement { name, versions }).collect())
}

/// One value of the map. It is parsed while the reader is at its place, which an error then names.
struct Versions(Option<VersionRequirement>);

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.trim() {
            ANY => Ok(Self(None)),
            versions => versions.parse().map(Some).map(Self).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Debug, Serialize, serde::Deserialize)]
    struct Document {
        #[serde(default, with = "super")]
        requires: Vec<Requirement>,
    }

    #[test]
    fn reads_what_it_writes() {
        let json = r#"{"requires":{"cni":"*","containerd":">=1.7"}}"#;
        let document: Document = serde_json::from_str(json).unwrap();
        let shown: Vec<String> = document.requires.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["cni", "containerd >=1.7"]);
        assert_eq!(serde_json::to_string(&document).unwrap(), json);
        assert!(serde_json::from_str::<Document>("{}").unwrap().requires.is_empty());
    }

    #[test]
    fn errors_name_the_place() {
        let table = [
            (
                "{\"requires\":\n{\"containerd\": \"^r5\"}}",
                "\"^r5\" in the requirement \"^r5\" needs numbers separated by dots at line 2 column 21",
            ),
            ("{\"requires\": {\".x\": \"1\"}}", "\".x\" is not the name of an extension at line 1 column 18"),
        ];
        for (json, expected) in table {
            assert_eq!(serde_json::from_str::<Document>(json).unwrap_err().to_string(), expected);
        }
    }
}
