//! Recipes: the contents of an extension and its catalog entry. A recipe is data, not code.
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
//! `files/` next to `recipe.toml` is laid out as on the host.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sysext_image::{Floor, Format};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::Units;
use sysext_manifests::health::HealthCheck;
use sysext_manifests::position::SyntaxError;
use sysext_manifests::requirement::{self, ExtensionName, Requirement};

use crate::failure::{Hint, is_missing};

mod check;

pub(crate) use check::check_codec;

/// The recipe's file in its directory.
const FILE: &str = "recipe.toml";

/// The directory with the files, laid out as on the host.
const FILES: &str = "files";

/// What to bake.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    #[serde(deserialize_with = "check::extension")]
    pub(crate) name: String,
    /// The upstream version.
    #[serde(deserialize_with = "check::upstream")]
    pub(crate) version: String,
    /// Counts bakes of the same upstream version, from 1.
    #[serde(default = "first", deserialize_with = "check::revision")]
    pub(crate) revision: u32,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) homepage: Option<String>,
    /// An SPDX expression.
    #[serde(default)]
    pub(crate) license: Option<String>,
    /// The supported architectures.
    #[serde(deserialize_with = "check::architectures")]
    pub(crate) arch: Vec<Architecture>,
    /// The release stream.
    #[serde(default)]
    pub(crate) stream: Option<String>,
    #[serde(default)]
    pub(crate) image: Image,
    /// Fields of the extension-release file except `ARCHITECTURE`; `ID` defaults to `_any`.
    #[serde(default, deserialize_with = "check::release")]
    pub(crate) release: BTreeMap<String, String>,
    /// Required extensions with their version requirements.
    #[serde(default, with = "requirement::map")]
    pub(crate) requires: Vec<Requirement>,
    /// Extensions that must not be merged at the same time.
    #[serde(default)]
    pub(crate) conflicts: Vec<ExtensionName>,
    #[serde(default)]
    pub(crate) units: Restarts,
    /// Checks that nodes run after merging.
    #[serde(default, deserialize_with = "check::health")]
    pub(crate) health: Vec<HealthCheck>,
    /// Build results, given on the command line.
    #[serde(default)]
    pub(crate) binary: Vec<Binary>,
}

/// The format of the image.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Image {
    #[serde(deserialize_with = "check::format")]
    pub(crate) format: Format,
    /// The compression, such as `zstd:15`; defaults to the best one that `kernel` supports.
    #[serde(deserialize_with = "check::codec")]
    pub(crate) codec: Option<String>,
    /// The oldest kernel that must read the image, or a known system.
    #[serde(deserialize_with = "check::floor")]
    pub(crate) kernel: Floor,
    /// The modification time of all files, in seconds since 1970.
    pub(crate) epoch: Option<u64>,
}

/// What to do with units when the extension changes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Restarts {
    pub(crate) restart: Vec<String>,
}

/// A build result.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binary {
    /// Its path in the image.
    pub(crate) path: PathBuf,
    /// Its name on the command line: `--input NAME=PATH`.
    pub(crate) input: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RecipeError {
    #[error("cannot read the recipe {path}", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{file}:{source}")]
    Invalid { file: String, source: SyntaxError },
}

impl Hint for RecipeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if is_missing(source) => {
                Some("name the directory with recipe.toml, or bake a directory tree with --tree".to_owned())
            }
            Self::Read { .. } | Self::Invalid { .. } => None,
        }
    }
}

impl Recipe {
    /// Reads the recipe in a directory; also returns its `files/`, if there are any.
    pub(crate) fn read(directory: &Path) -> Result<(Self, Option<PathBuf>), RecipeError> {
        let path = directory.join(FILE);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| RecipeError::Read { path: path.clone(), source })?;
        let files = directory.join(FILES);
        Ok((Self::parse(&path.display().to_string(), &text)?, files.is_dir().then_some(files)))
    }

    /// Reads a recipe's text; `file` is for messages.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, RecipeError> {
        toml::from_str(text).map_err(|error| RecipeError::Invalid {
            file: file.to_owned(),
            source: explain_quotes(SyntaxError::toml(text, &error)),
        })
    }

    /// A minimal recipe, for a directory tree.
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

impl From<&Restarts> for Units {
    fn from(units: &Restarts) -> Self {
        Self { restart: units.restart.clone() }
    }
}

fn first() -> u32 {
    1
}

/// Says what to do about a version without quotes, which TOML reads as a number.
fn explain_quotes(mut error: SyntaxError) -> SyntaxError {
    let text = &mut error.message;
    let is_number =
        ["integer", "floating point"].iter().any(|kind| text.contains(&format!("invalid type: {kind} ")));
    if is_number && text.ends_with("expected a string") {
        text.push_str(" (write it in quotes)");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "name = 'x'\nversion = '1.0'\narch = ['x86-64']\n";

    fn message(text: &str) -> String {
        Recipe::parse("recipe.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn minimal_recipe_is_the_plain_one() {
        let recipe = Recipe::parse("recipe.toml", MINIMAL).unwrap();
        assert_eq!(recipe, Recipe::plain("x", "1.0", Architecture::X86_64));
        assert_eq!(recipe.image, Image::default());
    }

    #[test]
    fn every_key_is_read() {
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
    fn errors_start_with_the_position() {
        let cases = [
            (format!("{MINIMAL}colour = 'red'\n"), "recipe.toml:4:1: unknown field `colour`"),
            (format!("{MINIMAL}[image]\ncodec = 'lz5'\n"), "recipe.toml:5:9: unknown codec \"lz5\""),
            (
                MINIMAL.replace("'1.0'", "'1.0-rc.1'"),
                "recipe.toml:2:11: version \"1.0-rc.1\" is a pre-release",
            ),
            (MINIMAL.replace("'1.0'", "'1.0-rc.1'"), "(write it as 1.0~rc.1)"),
            (MINIMAL.replace("'x'", "'catalog'"), "recipe.toml:1:8: invalid extension name \"catalog\""),
            (MINIMAL.replace("x86-64", "x86_64"), "recipe.toml:3:8: unknown architecture \"x86_64\""),
            (MINIMAL.replace("x86-64", "amd64"), "unknown architecture \"amd64\" (systemd calls it x86-64)"),
            (
                format!("{MINIMAL}[image]\nkernel = 6.1\n"),
                "recipe.toml:5:10: invalid type: floating point `6.1`, expected a string (write it in quotes)",
            ),
            (
                MINIMAL.replace("'1.0'", "1"),
                "recipe.toml:2:11: invalid type: integer `1`, expected a string (write it in quotes)",
            ),
            (
                format!("{MINIMAL}health = ['unit:x.service']\n"),
                "recipe.toml:4:10: health check \"unit:x.service\" is not supported",
            ),
            (format!("{MINIMAL}health = ['true']\n"), "recipe.toml:4:10: health check \"true\""),
            (format!("{MINIMAL}revision = 0\n"), "recipe.toml:4:12: invalid revision 0"),
            (format!("{MINIMAL}[release]\nARCHITECTURE = 'x'\n"), "bakery sets ARCHITECTURE itself"),
            (format!("{MINIMAL}[image]\nkernel = '6'\n"), "recipe.toml:5:10: \"6\" is not a kernel version"),
            (
                format!("{MINIMAL}[image]\nkernel = 'debian'\n"),
                "(use a version or one of debian-12, debian-13, flatcar)",
            ),
            (format!("{MINIMAL}[image]\nformat = 'ext4'\n"), "unknown image format \"ext4\" (use erofs"),
            ("name = 'x'\n".to_owned(), "missing field `version`"),
            ("name = \n".to_owned(), "recipe.toml:1:8: "),
        ];
        for (text, expected) in cases {
            let message = message(&text);
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
    }
}
