//! Whether a store contains what its catalog lists: asked before a release is signed again and before it is published.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use sysext_manifests::catalog::Catalog;
use sysext_manifests::checksums::{self, Checksums, ChecksumsError};
use sysext_manifests::digest::Sha256;

use crate::failure::Hint;
use crate::keys::openpgp;
use crate::naming;
use crate::store::openpgp::OpenPgpDigests;
use crate::store::{self, FileError, Store};

/// Why a store does not match its catalog.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error(transparent)]
    File(FileError),
    #[error("{path} does not match the catalog: its digest is {found}, expected {expected}", path = .path.display())]
    Damaged { path: PathBuf, expected: Sha256, found: Sha256 },
    #[error("the catalog lists {url:?}, which is not a file of {name}")]
    Url { name: String, url: String },
    #[error("{path} is invalid", path = .path.display())]
    Checksums { path: PathBuf, source: ChecksumsError },
    #[error("{path} does not list the same images as the catalog", path = .path.display())]
    OtherList { path: PathBuf },
}

impl Hint for CheckError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Checksums { source, .. } => return source.hint(),
            Self::Damaged { .. } | Self::OtherList { .. } => {
                "run `bakery index` again; if it reports an image, bake that again".to_owned()
            }
            Self::Url { .. } => "create a new catalog with `bakery index`".to_owned(),
        })
    }
}

/// A file to publish.
pub(crate) struct File {
    /// Relative to the store and to the target.
    pub(crate) path: String,
    pub(crate) sha256: Sha256,
}

/// All files to publish except the catalog, in their order, each with the expected digest.
pub(crate) struct Contents {
    /// Images, then transfer files.
    pub(crate) files: Vec<File>,
    /// For each extension, its `SHA256SUMS` and the signatures of it, if any.
    pub(crate) lists: Vec<(String, Vec<File>)>,
}

/// Checks that a store contains what a catalog lists; returns the files to publish.
pub(crate) fn check(store: &Store, catalog: &Catalog) -> Result<Contents, CheckError> {
    let added = OpenPgpDigests::read(store).map_err(CheckError::File)?;
    let (mut images, mut manifests, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for (name, extension) in &catalog.extensions {
        naming::check_extension(name)
            .map_err(|_| CheckError::Url { name: name.clone(), url: name.clone() })?;
        for resource in extension.instances.iter().flat_map(|instance| {
            let deltas = instance.deltas.iter().map(|delta| &delta.resource);
            [&instance.image].into_iter().chain(&instance.transport).chain(deltas)
        }) {
            match resource.url.split_once('/') {
                Some((directory, file)) if directory == name && is_file_name(file) => {}
                _ => return Err(CheckError::Url { name: name.clone(), url: resource.url.clone() }),
            }
            images.push(checked(store, resource.url.clone(), resource.sha256)?);
        }
        let mut list = vec![checksums(store, name, catalog)?];
        for (file, sha256) in &extension.manifests {
            if !is_file_name(file) {
                return Err(CheckError::Url { name: name.clone(), url: file.clone() });
            }
            let checked = checked(store, format!("{name}/{file}"), *sha256)?;
            match file.as_str() {
                // The first one that systemd 262 requests, so it directly follows the manifest
                openpgp::ARMORED => list.insert(1, checked),
                openpgp::BINARY => list.push(checked),
                _ => manifests.push(checked),
            }
        }
        if list.len() == 1
            && let Some(signed) = added.of(name, list[0].sha256)
        {
            list.push(checked(store, format!("{name}/{}", openpgp::ARMORED), signed.armored)?);
            list.push(checked(store, format!("{name}/{}", openpgp::BINARY), signed.binary)?);
        }
        lists.push((name.clone(), list));
    }
    images.append(&mut manifests);
    Ok(Contents { files: images, lists })
}

/// Whether a name is that of a visible file, not a path.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

fn checked(store: &Store, path: String, expected: Sha256) -> Result<File, CheckError> {
    let full = store.root().join(&path);
    let (found, _) = store::digest(&full).map_err(CheckError::File)?;
    if found != expected {
        return Err(CheckError::Damaged { path: full, expected, found });
    }
    Ok(File { path, sha256: found })
}

/// `SHA256SUMS`, which the catalog does not name: it must list exactly what stock tools may install.
fn checksums(store: &Store, name: &str, catalog: &Catalog) -> Result<File, CheckError> {
    let path = store.file(name, checksums::FILE_NAME);
    let bytes =
        fs::read(&path).map_err(|source| CheckError::File(FileError::Read { path: path.clone(), source }))?;
    let (found, _) =
        Checksums::parse(&bytes).map_err(|source| CheckError::Checksums { path: path.clone(), source })?;
    let listed: BTreeSet<(&str, Sha256)> =
        found.entries.iter().map(|entry| (entry.name.as_str(), entry.sha256)).collect();
    let offered: BTreeSet<(&str, Sha256)> = catalog
        .extensions
        .get(name)
        .into_iter()
        .flat_map(|extension| &extension.instances)
        .filter(|instance| instance.withdrawn.is_none())
        .map(|instance| (instance.image.file_name(), instance.image.sha256))
        .collect();
    if listed != offered {
        return Err(CheckError::OtherList { path });
    }
    Ok(File { path: format!("{name}/{}", checksums::FILE_NAME), sha256: Sha256::of(&bytes) })
}
