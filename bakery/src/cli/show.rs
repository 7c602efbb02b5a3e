//! `bakery show`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::Instance;
use sysext_manifests::digest::Sha256;
use sysext_manifests::version::Version;

use super::Result;
use super::output::{count, print, print_fields, print_json, size};
use crate::failure::{Failure, in_full};
use crate::release::read::{Description, describe};
use crate::store::Store;

/// Show what a catalog offers, and who signed it.
///
/// Takes a store, a published directory, or a catalog.json. The signatures are checked against the roots in the catalog
/// itself, not against the keys of a node. For a published repository, download the catalog first: `curl -O
/// URL/catalog/catalog.json`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The store, published directory, or catalog.json
    #[arg(value_name = "STORE|FILE")]
    path: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Shown {
    path: PathBuf,
    repository: String,
    root: u64,
    serial: u64,
    issued: Timestamp,
    expires: Timestamp,
    /// The number of required signatures.
    threshold: usize,
    signed: Vec<String>,
    /// Why nodes would reject the catalog.
    problem: Option<String>,
    extensions: BTreeMap<String, Extension>,
}

#[derive(Debug, Serialize)]
struct Extension {
    description: String,
    images: Vec<Image>,
}

#[derive(Debug, Serialize)]
struct Image {
    version: Version,
    arch: Architecture,
    stream: Option<String>,
    size: u64,
    sha256: Sha256,
    kernel: String,
    health: Vec<String>,
    /// Why the version was withdrawn.
    withdrawn: Option<String>,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let path = catalog(&self.path)?;
        let now = super::now()?;
        let shown = Shown::of(path.clone(), describe(&path, now)?);
        if self.json { print_json(&shown) } else { shown.print(now) }
    }
}

/// The catalog that a path means.
fn catalog(path: &Path) -> Result<PathBuf> {
    if let Some(url) = path.to_str().filter(|path| path.contains("://")) {
        let url = url.trim_end_matches('/');
        let catalog =
            if url.ends_with(".json") { url.to_owned() } else { format!("{url}/catalog/catalog.json") };
        return Err(Failure::new(format_args!("{url} is a URL; bakery reads only local files"))
            .with_hint(format_args!("run curl -O {catalog}, then bakery show catalog.json")));
    }
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let store = Store::new(path);
    match [store.catalog(), store.pending_catalog()].into_iter().find(|catalog| catalog.exists()) {
        Some(catalog) => Ok(catalog),
        None => Err(Failure::new(format_args!("{} has no catalog", path.display()))
            .with_hint("run `bakery index` first, or name the directory with catalog/catalog.json")),
    }
}

impl Shown {
    fn of(path: PathBuf, description: Description) -> Self {
        let Description { catalog, root, signed, problem } = description;
        let extension = |(name, extension): (String, sysext_manifests::catalog::Extension)| {
            let images = extension.instances.into_iter().map(Image::from).collect();
            (name, Extension { description: extension.description, images })
        };
        Self {
            path,
            repository: catalog.repository,
            root: catalog.root,
            serial: catalog.serial,
            issued: catalog.issued,
            expires: catalog.expires,
            threshold: root.catalog.threshold,
            signed,
            problem: problem.map(|problem| in_full(&problem)),
            extensions: catalog.extensions.into_iter().map(extension).collect(),
        }
    }

    fn print(&self, now: Timestamp) -> Result<()> {
        let mut fields = vec![
            ("catalog", self.path.display().to_string()),
            ("repository", self.repository.clone()),
            ("serial", format!("{} (root {})", self.serial, self.root)),
            ("issued", self.issued.to_string()),
            ("expires", format!("{} ({})", self.expires, remaining(self.expires, now))),
            ("signatures", format!("{} of {} required", self.signed.len(), self.threshold)),
        ];
        fields.extend(self.signed.iter().map(|key| ("", key.clone())));
        if let Some(problem) = &self.problem {
            fields.push(("problem", problem.clone()));
        }
        print_fields(&fields)?;
        for (name, extension) in &self.extensions {
            let about = if extension.description.is_empty() {
                String::new()
            } else {
                format!(": {}", extension.description)
            };
            print([String::new(), format!("{name}{about}")])?;
            let images = &extension.images;
            let version = images.iter().map(|image| image.version.as_str().len()).max().unwrap_or(0);
            let arch = images.iter().map(|image| image.arch.as_str().len()).max().unwrap_or(0);
            print(images.iter().map(|image| {
                let stream =
                    image.stream.as_ref().map(|stream| format!(", stream {stream}")).unwrap_or_default();
                let withdrawn = image
                    .withdrawn
                    .as_ref()
                    .map(|reason| format!(", withdrawn: {reason}"))
                    .unwrap_or_default();
                format!(
                    "  {:version$}  {:arch$}  {}{stream}, kernel {} or later{withdrawn}",
                    image.version.as_str(),
                    image.arch.as_str(),
                    size(image.size),
                    image.kernel,
                )
            }))?;
        }
        Ok(())
    }
}

impl From<Instance> for Image {
    fn from(instance: Instance) -> Self {
        Self {
            version: instance.version,
            arch: instance.arch,
            stream: instance.stream,
            size: instance.image.size,
            sha256: instance.image.sha256,
            kernel: instance.kernel,
            health: instance.health.iter().map(ToString::to_string).collect(),
            withdrawn: instance.withdrawn,
        }
    }
}

fn remaining(expires: Timestamp, now: Timestamp) -> String {
    if expires <= now {
        return "expired".to_owned();
    }
    match expires.duration_since(now).as_hours() {
        hours if hours < 24 => "less than a day left".to_owned(),
        // To the nearest day: a new catalog is valid for 30 days, not for 29.
        hours => count(u64::try_from((hours + 12) / 24).unwrap_or(0), "day left", "days left"),
    }
}
