//! Bakes a staged tree into an image in the store, with its record beside it.

use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use sysext_image::Kernel;
use sysext_image::erofs::{self, Options, WriteError};
use sysext_image::tree::Kind;
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{Instance, Resource};
use sysext_manifests::checksums::{self, Checksums};
use sysext_manifests::digest::Sha256;
use sysext_manifests::version::Version;

use crate::index::Replaced;
use crate::naming::{self, NamingError};
use crate::recipe::Recipe;
use crate::record::{self, Record};
use crate::stage::Staged;
use crate::store::{self, FileError, Pending, Store};

/// How much of an image is collected before it is written, in bytes.
const BUFFER: usize = 1 << 20;

/// What to bake, and where to.
#[derive(Debug)]
pub struct Request<'a> {
    /// What the catalog will say.
    pub recipe: &'a Recipe,
    /// What goes into the image.
    pub staged: &'a Staged,
    /// For which architecture.
    pub architecture: Architecture,
    /// The modification time of everything, in seconds since 1970.
    pub epoch: u64,
    /// Where the image goes.
    pub store: &'a Store,
    /// What to do if the last release offered this image with other bytes.
    pub replaced: Replaced,
}

/// What was baked.
#[derive(Clone, Debug, Serialize)]
pub struct Baked {
    /// The extension.
    pub name: String,
    /// The full version.
    pub version: Version,
    /// The architecture.
    pub arch: Architecture,
    /// The image.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// How many files are in it.
    pub files: usize,
    /// How many bytes those have.
    pub content: u64,
    /// The digest of the image.
    pub sha256: Sha256,
    /// What exactly wrote it.
    pub writer: String,
    /// The oldest kernel it is meant for.
    pub kernel: String,
    /// How long it took.
    pub seconds: f64,
}

/// Why nothing was baked.
#[derive(Debug, thiserror::Error)]
pub enum BakeError {
    /// A name or version.
    #[error(transparent)]
    Naming(NamingError),
    /// An older kernel than the codec needs.
    #[error("{codec} needs kernel {needed}, this is baked for {kernel} and later")]
    Kernel {
        /// The codec.
        codec: String,
        /// What it needs.
        needed: Kernel,
        /// The floor.
        kernel: Kernel,
    },
    /// The image could not be written.
    #[error("cannot write the image {path}", path = .path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// Why not.
        source: WriteError,
    },
    /// A file of the store.
    #[error(transparent)]
    File(FileError),
    /// The record could not be put into JSON.
    #[error("cannot write the record as JSON")]
    Json(#[source] serde_json::Error),
    /// It would have other bytes than what was released under its name.
    #[error("{path} was released with other bytes", path = .path.display())]
    Replaced {
        /// The image.
        path: PathBuf,
        /// The revision that is baked.
        revision: u32,
    },
}

impl BakeError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Naming(error) => error.hint(),
            Self::Kernel { needed, .. } => {
                Some(format!("say that kernel {needed} is the oldest one, or use lz4hc"))
            }
            Self::Image { source, .. } => source.hint(),
            Self::File(error) => error.hint(),
            Self::Replaced { revision, .. } => Some(format!(
                "bake it as revision {}, so that nodes see it; if nobody has the old bytes, --replace",
                revision.saturating_add(1)
            )),
            Self::Json(_) => None,
        }
    }
}

/// Bakes the image. On an error the store is as it was.
pub fn bake(request: &Request<'_>) -> Result<Baked, BakeError> {
    let begin = Instant::now();
    let Request { recipe, staged, architecture, store, .. } = request;
    naming::check_extension(&recipe.name).map_err(BakeError::Naming)?;
    let version = naming::full_version(&recipe.version, recipe.revision).map_err(BakeError::Naming)?;
    let stem = naming::stem(&recipe.name, &version, *architecture).map_err(BakeError::Naming)?;
    let needed = Kernel::from(recipe.image.codec.kernel());
    if recipe.image.kernel < needed {
        let codec = recipe.image.codec.name().to_owned();
        return Err(BakeError::Kernel { codec, needed, kernel: recipe.image.kernel });
    }

    let path = store.file(&recipe.name, &format!("{stem}.raw"));
    let mut pending = Pending::create(&path).map_err(BakeError::File)?;
    let mut options = Options::new(recipe.image.codec, request.epoch);
    options.kernel = recipe.image.kernel;
    let written = erofs::write(&staged.tree, &options, BufWriter::with_capacity(BUFFER, pending.file()))
        .map_err(|source| BakeError::Image { path: path.clone(), source })?;
    let sha256 = Sha256::from_bytes(written.sha256);
    if request.replaced == Replaced::Refuse
        && released(store, &recipe.name, &stem)?.is_some_and(|old| old != sha256)
    {
        return Err(BakeError::Replaced { path, revision: recipe.revision });
    }

    let writer = written.writer.to_string();
    let image = Resource { url: record::image_url(&recipe.name, &stem), size: written.size, sha256 };
    let instance = Instance {
        version: version.clone(),
        upstream: recipe.version.clone(),
        revision: recipe.revision,
        stream: recipe.stream.clone(),
        channel: "stable".to_owned(),
        arch: *architecture,
        image,
        format: "erofs".to_owned(),
        codec: recipe.image.codec.name().to_owned(),
        kernel: recipe.image.kernel.to_string(),
        writer: writer.clone(),
        verity: None,
        transport: Vec::new(),
        deltas: Vec::new(),
        release: staged.release.clone(),
        requires: recipe.requires.clone(),
        conflicts: recipe.conflicts.clone(),
        units: (&recipe.units).into(),
        health: recipe.health.iter().map(ToString::to_string).collect(),
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
    store::write(&store.file(&recipe.name, &format!("{stem}.json")), &json).map_err(BakeError::File)?;

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
        writer,
        kernel: recipe.image.kernel.to_string(),
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// The digest under which the last release offers the image to stock tools.
fn released(store: &Store, name: &str, stem: &str) -> Result<Option<Sha256>, BakeError> {
    let manifest = store::read_if_there(&store.file(name, checksums::FILE_NAME)).map_err(BakeError::File)?;
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
