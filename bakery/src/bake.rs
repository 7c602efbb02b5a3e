//! Bakes a staged tree into an image: in the store, with its record beside it, or as a file of its own.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use sysext_image::Progress;
use sysext_image::codec::CodecError;
use sysext_image::ddi;
use sysext_image::kernel::FloorError;
use sysext_image::pkcs7::Signer;
use sysext_image::tree::Kind;
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{Instance, Resource};
use sysext_manifests::checksums::{self, Checksums};
use sysext_manifests::digest::Sha256;
use sysext_manifests::version::Version;

use crate::naming::{self, NamingError};
use crate::recipe::Recipe;
use crate::stage::Staged;
use crate::store::Overwrite;
use crate::store::record::{self, Record};
use crate::store::{self, FileError, Pending, Store};

mod sample;
mod write;

pub(crate) use sample::saving;
pub(crate) use write::{ImageError, codec};

/// Where an image goes.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    /// Into a store, for a release.
    Store(Store),
    /// Into this file, and that is all.
    File(PathBuf),
}

/// What is put around the file system.
#[derive(Debug, Default)]
pub(crate) enum Wrapping {
    /// Nothing.
    #[default]
    Bare,
    /// A disk with a dm-verity partition, and with a signature if there is who signs.
    Disk(Option<Box<Signer>>),
}

/// What to bake, and where to.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// What the catalog will say.
    pub(crate) recipe: &'a Recipe,
    /// What goes into the image.
    pub(crate) staged: &'a Staged,
    /// For which architecture.
    pub(crate) architecture: Architecture,
    /// The modification time of everything, in seconds since 1970.
    pub(crate) epoch: u64,
    /// Where the image goes.
    pub(crate) output: &'a Output,
    /// What is put around the file system.
    pub(crate) wrapping: &'a Wrapping,
    /// What to do if the last release offered this image with other bytes.
    pub(crate) overwrite: Overwrite,
    /// Counts what is done, for another thread to look at.
    pub(crate) progress: &'a Progress,
}

/// What was baked.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Baked {
    /// The extension.
    pub(crate) name: String,
    /// The full version.
    pub(crate) version: Version,
    /// The architecture.
    pub(crate) arch: Architecture,
    /// The image.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// How many files are in it.
    pub(crate) files: usize,
    /// How many bytes those have.
    pub(crate) content: u64,
    /// The digest of the image.
    pub(crate) sha256: Sha256,
    /// What exactly wrote it.
    pub(crate) writer: String,
    /// The oldest kernel it is meant for.
    pub(crate) kernel: String,
    /// The root hash of dm-verity, of a disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verity: Option<String>,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// Why nothing was baked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BakeError {
    #[error(transparent)]
    Naming(NamingError),
    #[error(transparent)]
    Floor(FloorError),
    #[error(transparent)]
    Codec(CodecError),
    #[error("cannot make a disk image")]
    Architecture(#[source] ddi::UnknownArchitecture),
    #[error("cannot write the image {path}", path = .path.display())]
    Image { path: PathBuf, source: ImageError },
    #[error(transparent)]
    File(FileError),
    #[error("cannot write the record as JSON")]
    Json(#[source] serde_json::Error),
    #[error("{path} was released with other bytes", path = .path.display())]
    Replaced { path: PathBuf, revision: u32 },
}

impl BakeError {
    /// What the reader can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Naming(error) => error.hint(),
            Self::Floor(error) => error.hint(),
            Self::Codec(error) => error.hint(),
            Self::Image { source, .. } => source.hint(),
            Self::File(error) => error.hint(),
            Self::Replaced { revision, .. } => Some(format!(
                "bake it as revision {}, so that nodes see it; if nobody has the old bytes, --replace",
                revision.saturating_add(1)
            )),
            Self::Json(_) | Self::Architecture(_) => None,
        }
    }
}

/// Names and codecs, which are known to be wrong before anything is read.
pub(crate) fn check(
    recipe: &Recipe,
    architecture: Architecture,
    wrapping: &Wrapping,
) -> Result<(), BakeError> {
    stem(recipe, architecture)?;
    codec(recipe)?;
    if let Wrapping::Disk(_) = wrapping {
        architecture.as_str().parse::<ddi::Architecture>().map_err(BakeError::Architecture)?;
    }
    Ok(())
}

/// The full version, and the image's file name without `.raw`.
fn stem(recipe: &Recipe, architecture: Architecture) -> Result<(Version, String), BakeError> {
    naming::check_extension(&recipe.name).map_err(BakeError::Naming)?;
    let version = naming::full_version(&recipe.version, recipe.revision).map_err(BakeError::Naming)?;
    let stem = naming::stem(&recipe.name, &version, architecture).map_err(BakeError::Naming)?;
    Ok((version, stem))
}

/// Bakes the image. On an error everything is as it was.
pub(crate) fn bake(request: &Request<'_>) -> Result<Baked, BakeError> {
    let begin = Instant::now();
    let Request { recipe, staged, architecture, output, .. } = request;
    let (version, stem) = stem(recipe, *architecture)?;
    let codec = codec(recipe)?;
    let path = match output {
        Output::Store(store) => store.file(&recipe.name, &format!("{stem}.raw")),
        Output::File(path) => path.clone(),
    };
    let mut pending = Pending::create(&path).map_err(BakeError::File)?;
    let written = write::write(request, codec, &mut pending)
        .map_err(|source| BakeError::Image { path: path.clone(), source })?;
    let sha256 = written.sha256;
    if let Output::Store(store) = output
        && request.overwrite == Overwrite::Refuse
        && released(store, &recipe.name, &stem)?.is_some_and(|old| old != sha256)
    {
        return Err(BakeError::Replaced { path, revision: recipe.revision });
    }

    let kernel = recipe.image.kernel.kernel().to_string();
    let image = Resource { url: record::image_url(&recipe.name, &stem), size: written.size, sha256 };
    let instance = Instance {
        version: version.clone(),
        upstream: recipe.version.clone(),
        revision: recipe.revision,
        stream: recipe.stream.clone(),
        channel: "stable".to_owned(),
        arch: *architecture,
        image,
        format: recipe.image.format.name().to_owned(),
        codec: codec.name().to_owned(),
        kernel: kernel.clone(),
        writer: written.writer.clone(),
        verity: written.verity.clone(),
        transport: Vec::new(),
        deltas: Vec::new(),
        release: staged.release.clone(),
        requires: recipe.requires.clone(),
        conflicts: recipe.conflicts.clone(),
        units: (&recipe.units).into(),
        health: recipe.health.clone(),
        waves: Vec::new(),
        withdrawn: None,
    };
    let record = Record {
        version: record::FORMAT,
        name: recipe.name.clone(),
        description: recipe.description.clone(),
        homepage: recipe.homepage.clone(),
        license: recipe.license.clone(),
        instance,
    };
    let mut json = serde_json::to_vec_pretty(&record).map_err(BakeError::Json)?;
    json.push(b'\n');
    pending.commit().map_err(BakeError::File)?;
    if let Output::Store(store) = output {
        store::write(&store.file(&recipe.name, &format!("{stem}.json")), &json).map_err(BakeError::File)?;
    }

    let (files, content) = content(staged);
    Ok(Baked {
        name: recipe.name.clone(),
        version,
        arch: *architecture,
        path,
        size: written.size,
        files,
        content,
        sha256,
        writer: written.writer,
        kernel,
        verity: written.verity,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// The digest under which the last release offers the image to stock tools.
fn released(store: &Store, name: &str, stem: &str) -> Result<Option<Sha256>, BakeError> {
    let manifest =
        store::read_if_present(&store.file(name, checksums::FILE_NAME)).map_err(BakeError::File)?;
    // A manifest that cannot be read releases nothing; the next release writes it anew.
    let manifest = manifest.and_then(|bytes| Checksums::parse(&bytes).ok());
    Ok(manifest.and_then(|(manifest, _)| manifest.find(&format!("{stem}.raw"))))
}

/// How many files there are, and how many bytes they have. Hard links of each other count once.
fn content(staged: &Staged) -> (usize, u64) {
    let mut seen = std::collections::BTreeSet::new();
    let mut bytes = 0;
    for entry in staged.tree.entries() {
        if let Kind::File(content) = &entry.node.kind
            && seen.insert(entry.id)
        {
            bytes += content.size();
        }
    }
    (seen.len(), bytes)
}
