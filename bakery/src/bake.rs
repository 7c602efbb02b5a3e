//! Writes a staged tree into an image: in a store, with its record, or as a single file.

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

use crate::failure::Hint;
use crate::naming::{self, NamingError};
use crate::recipe::Recipe;
use crate::stage::Staged;
use crate::store::Overwrite;
use crate::store::record::{self, Record};
use crate::store::{self, FileError, Pending, Store};

mod sample;
mod write;

pub(crate) use sample::{Saving, saving};
pub(crate) use write::{ImageError, codec};

/// Where an image goes.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    /// Into a store, for a release.
    Store(Store),
    /// Into this file only.
    File(PathBuf),
}

/// What the file system is wrapped in.
#[derive(Debug, Default)]
pub(crate) enum Wrapping {
    #[default]
    Bare,
    /// A disk image with dm-verity, and with a signature if there is a signer.
    Disk(Option<Box<Signer>>),
}

/// What to bake, and where.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) staged: &'a Staged,
    pub(crate) architecture: Architecture,
    /// The modification time of all files, in seconds since 1970.
    pub(crate) epoch: u64,
    pub(crate) output: &'a Output,
    pub(crate) wrapping: &'a Wrapping,
    pub(crate) overwrite: Overwrite,
    /// Shows another thread what is done.
    pub(crate) progress: &'a Progress,
}

/// A baked image.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Baked {
    pub(crate) name: String,
    /// With the revision.
    pub(crate) version: Version,
    pub(crate) arch: Architecture,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// The number of files in it.
    pub(crate) files: usize,
    /// Their size in bytes.
    pub(crate) content: u64,
    pub(crate) sha256: Sha256,
    /// The writer, with its version and codec.
    pub(crate) writer: String,
    /// The oldest kernel that reads it.
    pub(crate) kernel: String,
    /// The root hash of dm-verity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verity: Option<String>,
    pub(crate) seconds: f64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BakeError {
    #[error(transparent)]
    Naming(NamingError),
    #[error(transparent)]
    Floor(FloorError),
    #[error(transparent)]
    Codec(CodecError),
    #[error("cannot create a disk image")]
    Architecture(#[source] ddi::UnknownArchitecture),
    #[error("cannot write the image {path}", path = .path.display())]
    Image { path: PathBuf, source: ImageError },
    #[error(transparent)]
    File(FileError),
    #[error("cannot write the record as JSON")]
    Json(#[source] serde_json::Error),
    #[error("{path} was released with different contents", path = .path.display())]
    Replaced { path: PathBuf, revision: u32 },
}

impl Hint for BakeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Naming(error) => error.hint(),
            Self::Floor(error) => error.hint(),
            Self::Codec(error) => error.hint(),
            Self::Image { source, .. } => source.hint(),
            Self::File(error) => error.hint(),
            Self::Replaced { revision, .. } => Some(format!(
                "bake it as revision {}, so that nodes see it; if nobody has downloaded it, pass --replace",
                revision.saturating_add(1)
            )),
            Self::Json(_) | Self::Architecture(_) => None,
        }
    }
}

/// Checks names and codecs, before any file is read.
pub(crate) fn check(
    recipe: &Recipe,
    architecture: Architecture,
    wrapping: &Wrapping,
    output: &Output,
) -> Result<(), BakeError> {
    let (version, _) = stem(recipe, architecture)?;
    if let Output::Store(store) = output {
        let others = record::versions(store, &recipe.name).map_err(BakeError::File)?;
        naming::check_prefix(&version, &others).map_err(BakeError::Naming)?;
    }
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

/// Bakes the image. After an error nothing has changed.
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

/// The digest of the image in the last release, from its `SHA256SUMS`.
fn released(store: &Store, name: &str, stem: &str) -> Result<Option<Sha256>, BakeError> {
    let manifest =
        store::read_if_present(&store.file(name, checksums::FILE_NAME)).map_err(BakeError::File)?;
    // An invalid manifest offers nothing; the next release replaces it.
    let manifest = manifest.and_then(|bytes| Checksums::parse(&bytes).ok());
    Ok(manifest.and_then(|(manifest, _)| manifest.find(&format!("{stem}.raw"))))
}

/// The number of files and of their bytes. Hard links count once.
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
