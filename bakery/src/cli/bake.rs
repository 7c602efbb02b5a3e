//! `bakery bake`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sysext_image::codec::CodecError;
use sysext_image::dump::escape;
use sysext_image::format::UnknownFormat;
use sysext_image::kernel::{FloorError, KernelError};
use sysext_image::pkcs7::{Certificate, PrivateKey, Signer};
use sysext_image::tree::Kind;
use sysext_image::{Floor, Format};
use sysext_manifests::architecture::{Architecture, UnknownArchitecture};
use sysext_manifests::health::{HealthCheck, UnsupportedCheckError};
use sysext_manifests::hint::Hint as _;

use super::progress::watch;
use super::{Usage, verify};
use crate::bake::{self, BakeError, Output, Wrapping, bake};
use crate::inspect::extension_release;
use crate::inspect::opened::Opened;
use crate::keys;
use crate::recipe::{Recipe, checked_codec};
use crate::stage::{self, stage};
use crate::store::Overwrite;
use crate::store::Store;

/// Bake a recipe or a tree into an image, in a store or in a file.
///
/// The same input gives the same bytes on any machine. The image appears whole or not at all: a bake that
/// fails or is stopped leaves nothing under its name. In a store it has a record beside it, which `bakery
/// index` reads. On a terminal a bar shows how far it is.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").args(["recipe", "tree"]).required(true)))]
pub(super) struct Args {
    /// The directory of a recipe
    #[arg(value_name = "RECIPE_DIR")]
    recipe: Option<PathBuf>,
    /// The files, laid out as on the target, instead of a recipe: a directory, a tar archive (plain, gzip, xz
    /// or zstd; - reads one from the standard input), or an erofs or squashfs image
    #[arg(long, value_name = "DIR|TAR|IMAGE", requires = "name", requires = "version")]
    tree: Option<PathBuf>,
    /// Where to: a store, which is a directory; or a file, if it ends in .raw: then nothing but the image is
    /// written
    #[arg(long, short, value_name = "STORE|FILE.raw")]
    out: PathBuf,
    /// A file that a build made, for the binary of the recipe whose input has this name; may be given several
    /// times
    #[arg(long, value_name = "NAME=PATH", value_parser = input, requires = "recipe")]
    input: Vec<(String, PathBuf)>,
    /// The extension's name; with --tree
    #[arg(long, requires = "tree")]
    name: Option<String>,
    /// The version that upstream gave it; replaces the recipe's
    #[arg(long)]
    version: Option<String>,
    /// Which bake of this version it is: 1 unless given, 2 makes it VERSION-2; replaces the recipe's
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u32>,
    /// The architecture, in systemd's spelling (x86-64, arm64); unless given, the recipe's if it has only one,
    /// else this machine's
    #[arg(long, value_parser = architecture)]
    arch: Option<Architecture>,
    /// The file system, erofs or squashfs; erofs unless given
    #[arg(long, value_parser = format, requires = "tree")]
    format: Option<Format>,
    /// How files are compressed, with a level as in zstd:15: none, lz4, lz4hc or zstd, and for squashfs gzip
    /// and xz too; unless given, what --kernel is sure to read
    #[arg(long, value_name = "CODEC[:LEVEL]", value_parser = codec, requires = "tree")]
    codec: Option<String>,
    /// The oldest kernel that has to read the image, 5.15 unless given; or a system: debian-12, debian-13,
    /// flatcar
    #[arg(long, value_name = "VERSION|SYSTEM", value_parser = floor, requires = "tree")]
    kernel: Option<Floor>,
    /// Make a disk image with a dm-verity partition, which notices a changed byte
    #[arg(long)]
    ddi: bool,
    /// Sign the root hash of dm-verity with this private key, in PEM form
    #[arg(long, value_name = "FILE", requires = "ddi", requires = "verity_cert")]
    verity_key: Option<PathBuf>,
    /// The certificate of that key, in PEM or DER form
    #[arg(long, value_name = "FILE", requires = "verity_key")]
    verity_cert: Option<PathBuf>,
    /// The modification time of everything in seconds since 1970; else the recipe's, else
    /// SOURCE_DATE_EPOCH, else 0
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    epoch: Option<u64>,
    /// The version line it belongs to, such as 1.32
    #[arg(long, requires = "tree")]
    stream: Option<String>,
    /// How a node tells that it works, such as 'exec:/usr/bin/x --version'; may be given several times
    #[arg(long, value_name = "CHECK", requires = "tree", value_parser = health)]
    health: Vec<HealthCheck>,
    /// Bake other bytes under a name that was released, if nobody has the old ones; else give --revision
    #[arg(long)]
    replace: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The bit with which a program runs as its owner.
const SET_UID: u16 = 0o4000;

/// That bit, and the one for the group.
const SET_IDS: u16 = 0o6000;

/// The longest key file, in bytes.
const PEM_MAX: u64 = 64 << 10;

/// Why nothing is written to where `--out` says.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputError {
    #[error("an image cannot be written to the standard output")]
    Stdout,
    #[error("{path} is neither a store nor a file that ends in .raw", path = .path.display())]
    Neither { path: PathBuf },
    #[error("{path} is an image of the extension {found}, which {name} would replace", path = .path.display())]
    Other { path: PathBuf, found: String, name: String },
}

impl OutputError {
    /// What the reader can do about it.
    pub(super) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Stdout => "write -o FILE.raw".to_owned(),
            Self::Neither { path } => format!(
                "for the image alone write -o {}; for a store of that name make the directory first",
                path.with_extension("raw").display()
            ),
            Self::Other { .. } => "name another file, or give --replace".to_owned(),
        })
    }
}

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
    super::told(text.parse(), UnknownArchitecture::hint)
}

fn format(text: &str) -> Result<Format, String> {
    super::told(text.parse(), UnknownFormat::hint)
}

fn codec(text: &str) -> Result<String, String> {
    super::told(checked_codec(text), CodecError::hint)
}

fn health(text: &str) -> Result<HealthCheck, String> {
    super::told(HealthCheck::parse_runnable(text), UnsupportedCheckError::hint)
}

fn floor(text: &str) -> Result<Floor, String> {
    super::told(text.parse(), KernelError::hint)
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
        // What can be known to be wrong is told before anything is read.
        bake::check(&recipe, architecture, &wrapping).map_err(|error| match error {
            // Only with the format it is known which codecs and levels there are.
            BakeError::Codec(_) | BakeError::Floor(FloorError::NoSuchCodec { .. }) if self.tree.is_some() => {
                Usage(error).into()
            }
            error => anyhow::Error::new(error),
        })?;
        let codec = bake::codec(&recipe)?;
        let output = self.output(&recipe.name)?;
        let mut inputs = BTreeMap::new();
        for (name, path) in &self.input {
            if inputs.insert(name.clone(), path.clone()).is_some() {
                bail!("the input {name:?} is given twice");
            }
        }

        super::say(format_args!("staging {} {} for {architecture}", recipe.name, recipe.version));
        let progress = sysext_image::Progress::default();
        let request = stage::Request {
            recipe: &recipe,
            files: files.as_deref(),
            inputs: &inputs,
            architecture,
            progress: &progress,
        };
        let staged = watch(&progress, || stage(&request))?;
        for entry in staged.tree.entries() {
            if matches!(entry.node.kind, Kind::File(_)) && entry.node.metadata.mode & SET_IDS != 0 {
                let is_user = entry.node.metadata.mode & SET_UID != 0;
                super::say(format_args!(
                    "warning: /{} is {}: in the image it belongs to root, and whoever starts it is {} there",
                    escape(entry.path.as_os_str().as_encoded_bytes()),
                    if is_user { "setuid" } else { "setgid" },
                    if is_user { "root" } else { "of the group root" },
                ));
            }
        }
        super::say(format_args!("baking with {codec}"));
        let request = bake::Request {
            recipe: &recipe,
            staged: &staged,
            architecture,
            epoch,
            output: &output,
            wrapping: &wrapping,
            overwrite: if self.replace { Overwrite::Allow } else { Overwrite::Refuse },
            progress: &progress,
        };
        let baked = watch(&progress, || bake(&request))?;
        if !baked.version.is_seen_by_257() {
            super::say(format_args!(
                "warning: sysupdate and systemd-sysupdate 262 install {}, but 257 passes over versions with ~ or ^",
                baked.version
            ));
        }
        if let Output::File(path) = &output
            && !verify::fits(path, &recipe.name)
        {
            super::say(format_args!(
                "warning: {} is not called {name} or {name}-…, and `bakery verify` takes it only with --name {name}",
                path.display(),
                name = recipe.name
            ));
        }
        if self.json {
            return super::print_json(&baked);
        }
        let saving = match bake::saving(&recipe, codec, &staged.tree) {
            Ok(saving) => saving.filter(|saving| saving.percent() >= 1.0),
            Err(error) => {
                super::say(format_args!("warning: cannot compare with zstd: {error}"));
                None
            }
        };
        let files = super::count(baked.files as u64, "file", "files");
        let mut fields = vec![
            ("extension", format!("{} {} for {}", baked.name, baked.version, baked.arch)),
            ("image", baked.path.display().to_string()),
            ("size", super::show_bytes(baked.size)),
            ("content", format!("{files}, {}", super::show_bytes(baked.content))),
        ];
        // Of a small image most is what every image has, which says nothing of how well it is compressed.
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
            let (percent, sample) = (saving.percent(), super::show_bytes(saving.sample));
            ("zstd", format!("about {percent:.0} % smaller, if every kernel is 6.10 or later (from a sample of {sample})"))
        }));
        fields.extend(baked.verity.map(|hash| ("root hash", hash)));
        fields.push(("time", format!("{:.2} s", baked.seconds)));
        super::print_fields(&fields)
    }

    /// Where the image goes. What looks like a file and is none of ours would become a directory.
    fn output(&self, name: &str) -> Result<Output, OutputError> {
        let out = &self.out;
        match out.extension() {
            _ if out.is_dir() => Ok(Output::Store(Store::new(out))),
            _ if out == Path::new("-") => Err(OutputError::Stdout),
            None => Ok(Output::Store(Store::new(out))),
            Some(extension) if extension != "raw" => Err(OutputError::Neither { path: out.clone() }),
            Some(_) => {
                if let Some(found) = other_extension(out, name).filter(|_| !self.replace) {
                    return Err(OutputError::Other { path: out.clone(), found, name: name.to_owned() });
                }
                Ok(Output::File(out.clone()))
            }
        }
    }

    /// What is put around the file system.
    fn wrapping(&self) -> Result<Wrapping> {
        let Some((key, certificate)) = self.verity_key.as_ref().zip(self.verity_cert.as_ref()) else {
            return Ok(if self.ddi { Wrapping::Disk(None) } else { Wrapping::Bare });
        };
        if is_certificate(key) {
            bail!(
                "{} is a certificate, not a private key: --verity-key takes the key that it was made with",
                key.display()
            );
        }
        let bytes = keys::read_secret_bytes(key, PEM_MAX)?;
        // Of a secret nothing is said but that it is no text.
        let text = String::from_utf8(bytes)
            .map_err(|_| anyhow::anyhow!("{} is not a key in PEM form", key.display()))?;
        let private = PrivateKey::from_pem(&text).with_context(|| key.display().to_string())?;
        let bytes =
            std::fs::read(certificate).with_context(|| format!("cannot read {}", certificate.display()))?;
        let shown = || certificate.display().to_string();
        let parsed = Certificate::parse(&bytes).with_context(shown)?;
        let signer = Signer::new(private, parsed).with_context(shown)?;
        Ok(Wrapping::Disk(Some(Box::new(signer))))
    }

    /// The recipe and its files: read, or made up for a tree.
    fn recipe(&self) -> Result<(Recipe, Option<PathBuf>)> {
        if let Some(directory) = &self.recipe {
            return Ok(Recipe::read(directory)?);
        }
        let (name, version) =
            self.name.as_ref().zip(self.version.as_ref()).context("--tree needs --name and --version")?;
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

    /// The one that was asked for, if the recipe has it; else its only one, else this machine's.
    fn architecture(&self, recipe: &Recipe) -> Result<Architecture> {
        let wanted = match (self.arch, recipe.arch.as_slice()) {
            (Some(architecture), _) => architecture,
            (None, [only]) => *only,
            (None, _) => this_machine()?,
        };
        if !recipe.arch.contains(&wanted) {
            let known: Vec<String> = recipe.arch.iter().map(ToString::to_string).collect();
            bail!("the recipe of {} is for {}, not for {wanted}", recipe.name, known.join(", "));
        }
        Ok(wanted)
    }
}

/// Whether a file holds a certificate and no key. What cannot be read is told when the key is.
fn is_certificate(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PEM_MAX).read_to_end(&mut bytes));
    let has_key = String::from_utf8_lossy(&bytes).contains("PRIVATE KEY-----");
    read.is_ok() && !has_key && Certificate::parse(&bytes).is_ok()
}

/// The name of another extension whose image is in this file.
fn other_extension(path: &Path, name: &str) -> Option<String> {
    // What cannot be read is no image of anything.
    let opened = Opened::open(path).ok()?;
    let entries = opened.filesystem.entries().ok()?;
    let releases = extension_release::all(&opened.filesystem, &entries).ok()?;
    let is_this = releases.iter().any(|release| release.name == name);
    releases.into_iter().next().filter(|_| !is_this).map(|release| escape(release.name.as_bytes()))
}

fn this_machine() -> Result<Architecture> {
    let machine = std::env::consts::ARCH;
    Architecture::of_machine(machine)
        .with_context(|| format!("systemd has no name for this machine ({machine}), give --arch"))
}

fn epoch_from_environment() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => {
            text.parse().with_context(|| format!("SOURCE_DATE_EPOCH={text:?} is no number of seconds"))
        }
        Err(std::env::VarError::NotPresent) => Ok(0),
        Err(error) => Err(error).context("cannot read SOURCE_DATE_EPOCH"),
    }
}
