//! Recipes: what an extension is made of, and what its catalog entry says. A recipe is data, not code.
//!
//! ```toml
//! name = "sysupdate"
//! version = "0.1.0"
//! description = "Updates system extensions and the operating system"
//! arch = ["x86-64", "arm64"]
//! health = ["exec:/usr/bin/sysupdate --version"]
//!
//! [[binary]]
//! path = "usr/bin/sysupdate"
//! input = "sysupdate"
//! ```
//!
//! Beside `recipe.toml`, `files/` is laid out as on the target.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use sysext_image::codec::CodecError;
use sysext_image::format::UnknownFormat;
use sysext_image::kernel::KernelError;
use sysext_image::{Codec, Floor, Format, squashfs};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::Units;
use sysext_manifests::health::HealthCheck;
use sysext_manifests::hint::Hint as _;
use sysext_manifests::requirement::{self, ExtensionName, Requirement};

use crate::naming;

/// The recipe's file in its directory.
const FILE: &str = "recipe.toml";

/// What is laid out as on the target, beside the recipe.
const FILES: &str = "files";

/// What to bake.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// The extension.
    #[serde(deserialize_with = "extension")]
    pub(crate) name: String,
    /// The version upstream gave it.
    #[serde(deserialize_with = "upstream")]
    pub(crate) version: String,
    /// Counts re-bakes of the same upstream version, from 1.
    #[serde(default = "first", deserialize_with = "revision")]
    pub(crate) revision: u32,
    /// A sentence.
    #[serde(default)]
    pub(crate) description: String,
    /// Where its upstream lives.
    #[serde(default)]
    pub(crate) homepage: Option<String>,
    /// An SPDX expression.
    #[serde(default)]
    pub(crate) license: Option<String>,
    /// The architectures it can be baked for.
    pub(crate) arch: Vec<Architecture>,
    /// The version line it belongs to.
    #[serde(default)]
    pub(crate) stream: Option<String>,
    /// How the image is written.
    #[serde(default)]
    pub(crate) image: Image,
    /// Fields of the extension-release file, beyond `ARCHITECTURE`; `ID` is `_any` unless given.
    #[serde(default, deserialize_with = "release")]
    pub(crate) release: BTreeMap<String, String>,
    /// Other extensions it needs, with version requirements.
    #[serde(default, with = "requirement::map")]
    pub(crate) requires: Vec<Requirement>,
    /// Extensions it cannot be merged with.
    #[serde(default)]
    pub(crate) conflicts: Vec<ExtensionName>,
    /// What to do with its units.
    #[serde(default)]
    pub(crate) units: Restarts,
    /// How to tell that it works.
    #[serde(default, deserialize_with = "health")]
    pub(crate) health: Vec<HealthCheck>,
    /// Files that a build made, given on the command line.
    #[serde(default)]
    pub(crate) binary: Vec<Binary>,
}

/// How the image is written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Image {
    /// The file system.
    #[serde(deserialize_with = "format")]
    pub(crate) format: Format,
    /// How files are compressed, as `zstd:15`; what the floor has unless given.
    #[serde(deserialize_with = "codec")]
    pub(crate) codec: Option<String>,
    /// The oldest kernel it is meant for, or the system.
    #[serde(deserialize_with = "floor")]
    pub(crate) kernel: Floor,
    /// The modification time of everything, in seconds since 1970.
    pub(crate) epoch: Option<u64>,
}

/// What to do with units when the extension changes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Restarts {
    /// To restart.
    pub(crate) restart: Vec<String>,
}

/// A file that a build made.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binary {
    /// Where it goes, relative to the root.
    pub(crate) path: PathBuf,
    /// What the command line calls it: `--input NAME=PATH`.
    pub(crate) input: String,
}

/// Why a recipe is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecipeError {
    #[error("cannot read the recipe {path}", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{file}:{line}:{column}: {message}")]
    Wrong { file: String, line: usize, column: usize, message: String },
}

impl RecipeError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name the directory that holds recipe.toml, or bake a directory with --tree".to_owned())
            }
            Self::Read { .. } | Self::Wrong { .. } => None,
        }
    }
}

impl Recipe {
    /// Reads the recipe in a directory; also returns where its `files/` are, if it has any.
    pub(crate) fn read(directory: &Path) -> Result<(Self, Option<PathBuf>), RecipeError> {
        let path = directory.join(FILE);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| RecipeError::Read { path: path.clone(), source })?;
        let files = directory.join(FILES);
        Ok((Self::parse(&path.display().to_string(), &text)?, files.is_dir().then_some(files)))
    }

    /// Reads a recipe's text; `file` is for messages.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, RecipeError> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let last_line = before.rsplit('\n').next().unwrap_or_default();
            RecipeError::Wrong {
                file: file.to_owned(),
                line: 1 + before.matches('\n').count(),
                column: 1 + last_line.chars().count(),
                message: error.message().to_owned(),
            }
        })
    }

    /// A recipe that says no more than it must, for a directory tree.
    pub(crate) fn plain(name: &str, version: &str, architecture: Architecture) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            revision: 1,
            description: String::new(),
            homepage: None,
            license: None,
            arch: vec![architecture],
            stream: None,
            image: Image::default(),
            release: BTreeMap::new(),
            requires: Vec::new(),
            conflicts: Vec::new(),
            units: Restarts::default(),
            health: Vec::new(),
            binary: Vec::new(),
        }
    }
}

/// A codec that some format has, as it is written.
pub(crate) fn checked_codec(text: &str) -> Result<String, CodecError> {
    let erofs = text.parse::<Codec>().map(drop);
    let squashfs = text.parse::<squashfs::Codec>().map(drop);
    // Of two refusals the one that knows the codec says more.
    match (erofs, squashfs) {
        (Err(CodecError::Unknown { .. }), Err(error)) | (Err(error), Err(_)) => Err(error),
        (Ok(()), _) | (_, Ok(())) => Ok(text.to_owned()),
    }
}

impl From<&Restarts> for Units {
    fn from(units: &Restarts) -> Self {
        Self { restart: units.restart.clone() }
    }
}

fn first() -> u32 {
    1
}

/// An error as the reader of a recipe needs it: with the hint, since there is one message only.
fn told<E: serde::de::Error>(error: impl fmt::Display, hint: Option<String>) -> E {
    match hint {
        Some(hint) => E::custom(format!("{error} ({hint})")),
        None => E::custom(error),
    }
}

fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|error: UnknownFormat| told(&error, error.hint()))
}

fn codec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    checked_codec(&text).map(Some).map_err(|error| told(&error, error.hint()))
}

fn floor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Floor, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|error: KernelError| told(&error, error.hint()))
}

fn extension<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    naming::check_extension(&name).map_err(|error| told(&error, error.hint()))?;
    Ok(name)
}

fn upstream<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let version = String::deserialize(deserializer)?;
    naming::full_version(&version, 1).map_err(|error| told(&error, error.hint()))?;
    Ok(version)
}

fn revision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let revision = u32::deserialize(deserializer)?;
    naming::full_version("0", revision).map_err(|error| told(&error, error.hint()))?;
    Ok(revision)
}

fn health<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HealthCheck>, D::Error> {
    let checks = Vec::<String>::deserialize(deserializer)?;
    checks
        .iter()
        .map(|text| HealthCheck::parse_runnable(text).map_err(|error| told(&error, error.hint())))
        .collect()
}

fn release<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let fields = BTreeMap::<String, String>::deserialize(deserializer)?;
    for key in fields.keys() {
        let is_key = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if key.is_empty() || !key.bytes().all(is_key) {
            return Err(serde::de::Error::custom(format!("{key:?} is not the name of a release field")));
        }
        if key == "ARCHITECTURE" {
            return Err(serde::de::Error::custom("ARCHITECTURE is set by the bakery, list it in arch"));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "name = 'x'\nversion = '1.0'\narch = ['x86-64']\n";

    fn message(text: &str) -> String {
        Recipe::parse("recipe.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn the_least_recipe_is_a_plain_one() {
        let recipe = Recipe::parse("recipe.toml", LEAST).unwrap();
        assert_eq!(recipe, Recipe::plain("x", "1.0", Architecture::X86_64));
        assert_eq!(recipe.image, Image::default());
    }

    #[test]
    fn everything_that_a_recipe_can_say() {
        let text = r#"
            name = "x"
            version = "1.33.0~rc.1"
            revision = 2
            description = "A thing"
            homepage = "https://example.org"
            license = "MIT"
            arch = ["x86-64", "arm64"]
            stream = "1.33"
            requires = { containerd = ">=1.7" }
            conflicts = ["y"]
            health = ["exec:/usr/bin/x --version"]
            [image]
            format = "erofs"
            codec = "zstd:15"
            kernel = "debian-13"
            epoch = 1700000000
            [release]
            ID = "flatcar"
            EXTENSION_RELOAD_MANAGER = "1"
            [units]
            restart = ["x.service"]
            [[binary]]
            path = "usr/bin/x"
            input = "x"
        "#;
        let recipe = Recipe::parse("recipe.toml", text).unwrap();
        assert_eq!(recipe.image.codec.as_deref(), Some("zstd:15"));
        assert_eq!(recipe.image.kernel.to_string(), "debian-13");
        assert_eq!(recipe.binary, [Binary { path: "usr/bin/x".into(), input: "x".into() }]);
        assert_eq!(recipe.release["ID"], "flatcar");
    }

    #[test]
    fn each_defect_is_told_with_its_place() {
        let cases = [
            (format!("{LEAST}colour = 'red'\n"), "recipe.toml:4:1: unknown field `colour`"),
            (format!("{LEAST}[image]\ncodec = 'lz5'\n"), "recipe.toml:5:9: unknown codec \"lz5\""),
            (LEAST.replace("'1.0'", "'1.0-rc.1'"), "recipe.toml:2:11: version \"1.0-rc.1\" is a pre-release"),
            (LEAST.replace("'1.0'", "'1.0-rc.1'"), "(write it as 1.0~rc.1)"),
            (LEAST.replace("'x'", "'catalog'"), "recipe.toml:1:8: \"catalog\" cannot name an extension"),
            (LEAST.replace("x86-64", "x86_64"), "recipe.toml:3:8: unknown architecture \"x86_64\""),
            (format!("{LEAST}health = ['true']\n"), "recipe.toml:4:10: health check \"true\""),
            (format!("{LEAST}revision = 0\n"), "recipe.toml:4:12: revision 0 does not exist"),
            (format!("{LEAST}[release]\nARCHITECTURE = 'x'\n"), "ARCHITECTURE is set by the bakery"),
            (format!("{LEAST}[image]\nkernel = '6'\n"), "recipe.toml:5:10: \"6\" is not a kernel version"),
            (
                format!("{LEAST}[image]\nkernel = 'debian'\n"),
                "(use a version or one of debian-12, debian-13, flatcar)",
            ),
            (format!("{LEAST}[image]\nformat = 'ext4'\n"), "unknown image format \"ext4\" (write erofs"),
            ("name = 'x'\n".to_owned(), "missing field `version`"),
            ("name = \n".to_owned(), "recipe.toml:1:8: "),
        ];
        for (text, expected) in cases {
            let message = message(&text);
            assert!(message.contains(expected), "{message:?} has not {expected:?}");
        }
    }
}
