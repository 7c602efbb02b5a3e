//! Images that were on offer and are not any more.
//!
//! Nodes keep what they have installed, but they never get such an image again. A lost file or another publisher's
//! release looks the same as a decision, so both `index` and `publish` require the decision to be spelled out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{Catalog, Extension, Instance};
use sysext_manifests::digest::Sha256;
use sysext_manifests::version::Version;

use crate::failure::Hint;

/// A version that the publisher wants to stop offering: `NAME@VERSION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drop {
    name: String,
    version: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not NAME@VERSION")]
pub(crate) struct DropError {
    text: String,
}

impl Hint for DropError {
    fn hint(&self) -> Option<String> {
        Some("write the name of the extension and its full version, such as hello@1.2-2".to_owned())
    }
}

impl FromStr for Drop {
    type Err = DropError;

    fn from_str(text: &str) -> Result<Self, DropError> {
        match text.split_once('@') {
            Some((name, version)) if !name.is_empty() && !version.is_empty() => {
                Ok(Self { name: name.to_owned(), version: version.to_owned() })
            }
            _ => Err(DropError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Drop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// An image that was on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) arch: Architecture,
    pub(crate) url: String,
    pub(crate) sha256: Sha256,
}

impl Missing {
    pub(crate) fn of(name: &str, instance: &Instance) -> Self {
        Self {
            name: name.to_owned(),
            version: instance.version.clone(),
            arch: instance.arch,
            url: instance.image.url.clone(),
            sha256: instance.image.sha256,
        }
    }

    pub(crate) fn is(&self, drop: &Drop) -> bool {
        self.name == drop.name && self.version.as_str() == drop.version
    }

    /// The option that drops it.
    pub(crate) fn drop(&self) -> Drop {
        Drop { name: self.name.clone(), version: self.version.to_string() }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.version, self.arch)
    }
}

/// What `before` offers that `now` does not offer with the same bytes.
pub(crate) fn missing(before: &Catalog, now: &BTreeMap<String, Extension>) -> Vec<Missing> {
    let is_offered = |name: &String, instance: &Instance| {
        now.get(name).is_some_and(|extension| {
            extension.instances.iter().any(|other| {
                (&other.image.url, other.image.sha256) == (&instance.image.url, instance.image.sha256)
            })
        })
    };
    let all = before
        .extensions
        .iter()
        .flat_map(|(name, extension)| extension.instances.iter().map(move |instance| (name, instance)));
    all.filter(|(name, instance)| !is_offered(name, instance))
        .map(|(name, instance)| Missing::of(name, instance))
        .collect()
}

/// The names of images, separated by commas.
pub(crate) fn list<'a>(missing: impl IntoIterator<Item = &'a Missing>) -> String {
    missing.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The options that drop all of these images.
pub(crate) fn options<'a>(missing: impl IntoIterator<Item = &'a Missing>) -> String {
    let mut options: Vec<String> =
        missing.into_iter().map(|missing| format!("--drop {}", missing.drop())).collect();
    options.dedup();
    options.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_is_a_name_and_a_version() {
        let drop: Drop = "k3s@1.33.0+k3s1-2".parse().unwrap();
        assert_eq!(drop.to_string(), "k3s@1.33.0+k3s1-2");
        for text in ["", "k3s", "@1", "k3s@"] {
            assert!(text.parse::<Drop>().unwrap_err().hint().is_some(), "{text}");
        }
    }
}
