//! `bakery bake`

use std::collections::BTreeMap;
use std::path::PathBuf;

use sysext_image::dump::escape;
use sysext_image::kernel::FloorError;
use sysext_image::tree::Kind;
use sysext_image::{Floor, Format, Tree};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::health::HealthCheck;

use super::Result;
use super::output::{count, print_fields, print_json, say, size, warn};
use super::progress::watch;
use super::verify;
use crate::bake::{self, BakeError, Baked, Output, Saving, Wrapping, bake};
use crate::failure::{Failure, in_full};
use crate::recipe::{Recipe, check_codec};
use crate::stage::{self, stage};
use crate::store::Overwrite;

mod destination;
mod signer;

/// Build an image from a recipe or a directory tree.
///
/// The same input gives the same bytes on every machine. The image is written atomically: a bake that fails or is
/// stopped leaves no partial image. In a store, the image has a record next to it, which `bakery index` reads.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").args(["recipe", "tree"]).required(true)))]
pub(super) struct Args {
    /// Directory of the recipe
    #[arg(value_name = "RECIPE_DIR")]
    recipe: Option<PathBuf>,
    /// The files, laid out as on the host, instead of a recipe: a directory, a tar archive (plain, gzip, xz or zstd; -
    /// reads one from the standard input), or an erofs or squashfs image
    #[arg(long, value_name = "DIR|TAR|IMAGE", requires = "name", requires = "version")]
    tree: Option<PathBuf>,
    /// Output: a store directory, or a single image file if the name ends in .raw
    #[arg(long, short, value_name = "STORE|FILE.raw")]
    out: PathBuf,
    /// Use PATH for the recipe's `[[binary]]` with input = "NAME" (repeatable)
    #[arg(long, value_name = "NAME=PATH", value_parser = input, requires = "recipe")]
    input: Vec<(String, PathBuf)>,
    /// Name of the extension
    #[arg(long, requires = "tree")]
    name: Option<String>,
    /// Upstream version (overrides the recipe)
    #[arg(long)]
    version: Option<String>,
    /// Revision of this version; 2 produces VERSION-2 (overrides the recipe) [default: 1]
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u32>,
    /// Architecture, in systemd's spelling (x86-64, arm64) [default: the recipe's if it has only one, otherwise this
    /// machine's]
    #[arg(long, value_parser = architecture)]
    arch: Option<Architecture>,
    /// File system: erofs or squashfs [default: erofs]
    #[arg(long, value_parser = format, requires = "tree")]
    format: Option<Format>,
    /// Compression, with a level as in zstd:15: none, lz4, lz4hc or zstd, for squashfs also gzip and xz [default: the
    /// best codec that --kernel supports]
    #[arg(long, value_name = "CODEC[:LEVEL]", value_parser = codec, requires = "tree")]
    codec: Option<String>,
    /// Oldest kernel that must be able to read the image, or a known system: debian-12, debian-13, flatcar [default:
    /// 5.15]
    #[arg(long, value_name = "VERSION|SYSTEM", value_parser = floor, requires = "tree")]
    kernel: Option<Floor>,
    /// Wrap the file system in a disk image with dm-verity (detects modified blocks)
    #[arg(long)]
    ddi: bool,
    /// Sign the root hash of dm-verity with this private key, in PEM form
    #[arg(long, value_name = "FILE", requires = "ddi", requires = "verity_cert")]
    verity_key: Option<PathBuf>,
    /// The certificate of that key, in PEM or DER form
    #[arg(long, value_name = "FILE", requires = "verity_key")]
    verity_cert: Option<PathBuf>,
    /// Modification time of all files, in seconds since the epoch [default: the recipe's, $SOURCE_DATE_EPOCH, or 0]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    epoch: Option<u64>,
    /// Release stream, such as 1.32
    #[arg(long, requires = "tree")]
    stream: Option<String>,
    /// Health check that nodes run after merging, such as 'exec:/usr/bin/x --version' (repeatable)
    #[arg(long, value_name = "CHECK", value_parser = health, requires = "tree")]
    health: Vec<HealthCheck>,
    /// Replace a released image with different contents. Safe only if nobody has downloaded it; otherwise use --revision
    #[arg(long)]
    replace: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The setuid bit.
const SET_UID: u16 = 0o4000;

/// The setuid and setgid bits.
const SET_IDS: u16 = 0o6000;

/// `NAME=PATH`
fn input(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err("write NAME=PATH".to_owned()),
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "write a number of seconds since 1970, such as 1700000000".to_owned())
}

fn architecture(text: &str) -> Result<Architecture, String> {
    super::option_value(text.parse())
}

fn format(text: &str) -> Result<Format, String> {
    super::option_value(text.parse())
}

fn codec(text: &str) -> Result<String, String> {
    super::option_value(check_codec(text))
}

fn floor(text: &str) -> Result<Floor, String> {
    super::option_value(text.parse())
}

fn health(text: &str) -> Result<HealthCheck, String> {
    super::option_value(HealthCheck::parse_runnable(text))
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let (mut recipe, files) = self.recipe()?;
        if let Some(version) = &self.version {
            recipe.version.clone_from(version);
        }
        if let Some(revision) = self.revision {
            recipe.revision = revision;
        }
        let architecture = self.architecture(&recipe)?;
        let epoch = self.epoch.or(recipe.image.epoch).map_or_else(epoch_from_environment, Ok)?;
        let wrapping = self.wrapping()?;
        let overwrite = if self.replace { Overwrite::Allow } else { Overwrite::Refuse };
        let output = destination::output(&self.out, &recipe.name, overwrite)?;
        // Whatever can be checked without the files is checked before they are read.
        bake::check(&recipe, architecture, &wrapping, &output).map_err(|error| match error {
            // Only the format decides which codecs and levels are valid.
            BakeError::Codec(_) | BakeError::Floor(FloorError::NoSuchCodec { .. }) if self.tree.is_some() => {
                Failure::from(error).usage()
            }
            error => error.into(),
        })?;
        let codec = bake::codec(&recipe)?;
        let inputs = self.inputs()?;

        say(format_args!("staging {} {} for {architecture}", recipe.name, recipe.version));
        let progress = sysext_image::Progress::default();
        let request = stage::Request {
            recipe: &recipe,
            files: files.as_deref(),
            inputs: &inputs,
            architecture,
            progress: &progress,
        };
        let staged = watch(&progress, || stage(&request))?;
        staged.warnings.iter().for_each(warn);
        warn_of_set_ids(&staged.tree);
        say(format_args!("baking with {codec}"));
        let request = bake::Request {
            recipe: &recipe,
            staged: &staged,
            architecture,
            epoch,
            output: &output,
            wrapping: &wrapping,
            overwrite,
            progress: &progress,
        };
        let baked = watch(&progress, || bake(&request))?;
        if !baked.version.is_seen_by_257() {
            warn(format_args!(
                "sysupdate and systemd-sysupdate 262 install {}, but 257 skips versions with ~ or ^",
                baked.version
            ));
        }
        if let Output::File(path) = &output
            && !verify::fits(path, &recipe.name)
        {
            warn(format_args!(
                "{} is not named {name}.raw or {name}-*.raw; `bakery verify` will need --name {name}",
                path.display(),
                name = recipe.name
            ));
        }
        if self.json {
            return print_json(&baked);
        }
        let saving = match bake::saving(&recipe, codec, &staged.tree) {
            Ok(saving) => saving.filter(|saving| saving.percent() >= 1.0),
            Err(error) => {
                warn(format_args!("cannot compare with zstd: {}", in_full(&error)));
                None
            }
        };
        print(baked, saving)
    }

    fn inputs(&self) -> Result<BTreeMap<String, PathBuf>> {
        let mut inputs = BTreeMap::new();
        for (name, path) in &self.input {
            if inputs.insert(name.clone(), path.clone()).is_some() {
                return Err(Failure::new(format_args!("--input {name} was given twice")).usage());
            }
        }
        Ok(inputs)
    }

    fn wrapping(&self) -> Result<Wrapping> {
        let Some((key, certificate)) = self.verity_key.as_ref().zip(self.verity_cert.as_ref()) else {
            return Ok(if self.ddi { Wrapping::Disk(None) } else { Wrapping::Bare });
        };
        Ok(Wrapping::Disk(Some(Box::new(signer::signer(key, certificate)?))))
    }

    /// The recipe and its files: read, or derived from the options for a tree.
    fn recipe(&self) -> Result<(Recipe, Option<PathBuf>)> {
        if let Some(directory) = &self.recipe {
            return Ok(Recipe::read(directory)?);
        }
        let Some((name, version)) = self.name.as_ref().zip(self.version.as_ref()) else {
            return Err(Failure::new("--tree requires --name and --version").usage());
        };
        let architecture = match self.arch {
            Some(architecture) => architecture,
            None => this_machine()?,
        };
        let mut recipe = Recipe::plain(name, version, architecture);
        recipe.image.format = self.format.unwrap_or_default();
        recipe.image.codec.clone_from(&self.codec);
        recipe.image.kernel = self.kernel.unwrap_or_default();
        recipe.stream.clone_from(&self.stream);
        recipe.health.clone_from(&self.health);
        Ok((recipe, self.tree.clone()))
    }

    /// The requested architecture if the recipe supports it, otherwise its only one or this machine's.
    fn architecture(&self, recipe: &Recipe) -> Result<Architecture> {
        let wanted = match (self.arch, recipe.arch.as_slice()) {
            (Some(architecture), _) => architecture,
            (None, [only]) => *only,
            (None, _) => this_machine()?,
        };
        if !recipe.arch.contains(&wanted) {
            let known: Vec<String> = recipe.arch.iter().map(ToString::to_string).collect();
            return Err(Failure::new(format_args!(
                "the recipe of {} supports {}, not {wanted}",
                recipe.name,
                known.join(", ")
            )));
        }
        Ok(wanted)
    }
}

fn warn_of_set_ids(tree: &Tree) {
    for entry in tree.entries() {
        if matches!(entry.node.kind, Kind::File(_)) && entry.node.metadata.mode & SET_IDS != 0 {
            let is_user = entry.node.metadata.mode & SET_UID != 0;
            warn(format_args!(
                "/{} is {}: it will run as {}",
                escape(entry.path.as_os_str().as_encoded_bytes()),
                if is_user {
                    "setuid and will be owned by root"
                } else {
                    "setgid and will belong to the group root"
                },
                if is_user { "root" } else { "that group" },
            ));
        }
    }
}

fn print(baked: Baked, saving: Option<Saving>) -> Result<()> {
    let files = count(baked.files as u64, "file", "files");
    let mut fields = vec![
        ("extension", format!("{} {} for {}", baked.name, baked.version, baked.arch)),
        ("image", baked.path.display().to_string()),
        ("size", size(baked.size)),
        ("content", format!("{files}, {}", size(baked.content))),
    ];
    // A small image is mostly file system structures, which says nothing about the compression.
    if baked.size < baked.content {
        let percent = baked.size as f64 * 100.0 / baked.content as f64;
        fields.push(("ratio", format!("{percent:.1} %")));
    }
    fields.extend([
        ("sha256", baked.sha256.to_string()),
        ("writer", baked.writer),
        ("kernel", format!("{} and later", baked.kernel)),
    ]);
    fields.extend(saving.map(|saving| {
        let (percent, sample) = (saving.percent(), size(saving.sample));
        (
            "zstd",
            format!(
                "about {percent:.0} % smaller, if every kernel is 6.10 or later (from a sample of {sample})"
            ),
        )
    }));
    fields.extend(baked.verity.map(|hash| ("root hash", hash)));
    fields.push(("time", format!("{:.2} s", baked.seconds)));
    print_fields(&fields)
}

fn this_machine() -> Result<Architecture> {
    let machine = std::env::consts::ARCH;
    Architecture::of_machine(machine)
        .ok_or_else(|| Failure::new(format_args!("unknown machine type {machine:?}; use --arch")))
}

fn epoch_from_environment() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => {
            text.parse().map_err(|_| Failure::new(format_args!("SOURCE_DATE_EPOCH={text:?} is not a number")))
        }
        Err(std::env::VarError::NotPresent) => Ok(0),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::new("SOURCE_DATE_EPOCH is not a number")),
    }
}
