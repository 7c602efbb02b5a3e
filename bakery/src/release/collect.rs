//! What the store contains: the records of this and earlier bakes, each image checked against its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::catalog::{Catalog, Extension, Instance};
use sysext_manifests::version::Version;

use super::drops::Missing;
use super::error::ComposeError;
use crate::naming;
use crate::store::record::Record;
use crate::store::{self, FileError, Overwrite, Store};

/// What the publisher should know about a release.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Note {
    /// An image was on offer and was dropped.
    Dropped { image: String },
    /// A record without its image, which was never on offer.
    NoImage { image: String },
    /// An image without a record.
    Unrecorded { image: String },
    /// An image has other contents than those that were on offer.
    Replaced { image: String },
    /// A new version that nodes skip, because a newer one was on offer before.
    Older { image: String, newest: Version },
    /// The last release was made under other roots.
    OtherRoot,
    /// The URL is not encrypted, and nothing that stock tools read is signed.
    Unencrypted,
    /// The root expires before the catalog does.
    RootExpiresFirst { root: u64, expires: Timestamp },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped { image } => write!(f, "{image} was dropped and is no longer offered"),
            Self::NoImage { image } => write!(f, "{image} is missing next to its record and is not offered"),
            Self::Unrecorded { image } => {
                write!(f, "{image} has no record next to it and is not offered; bake it to offer it")
            }
            Self::Replaced { image } => {
                write!(f, "{image} has new contents; nodes that have the old ones will not download it")
            }
            Self::Older { image, newest } => {
                write!(f, "{image} is older than {newest}, which is on offer already; nodes do not go back to it")
            }
            Self::OtherRoot => f.write_str(
                "the last release was made under another root; nodes accept this one only with the new \
                 file in /etc/sysupdate/repositories",
            ),
            Self::Unencrypted => f.write_str(
                "the URL is not encrypted (http): sysupdate checks the signed catalog, but anyone on the network \
                 path can change what stock systemd-sysupdate installs; use https, or --openpgp-key",
            ),
            Self::RootExpiresFirst { root, expires } => {
                write!(f, "root {root} expires at {expires}, before this catalog; sign a new root by then")
            }
        }
    }
}

/// The extensions on offer, without their manifests.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) extensions: BTreeMap<String, Extension>,
    pub(super) notes: Vec<Note>,
}

/// Collects everything that the store offers.
pub(super) fn collect(
    store: &Store,
    previous: Option<&Catalog>,
    overwrite: Overwrite,
) -> Result<Collected, ComposeError> {
    let mut collecting = Collecting { store, previous, overwrite, notes: Vec::new() };
    let mut extensions = BTreeMap::new();
    for name in store.extensions().map_err(ComposeError::File)? {
        if let Some(extension) = collecting.extension(&name)? {
            extensions.insert(name, extension);
        }
    }
    Ok(Collected { extensions, notes: collecting.notes })
}

/// The images with a record that a catalog does not offer with these bytes.
pub(crate) fn unindexed(store: &Store, catalog: &Catalog) -> Result<Vec<Missing>, ComposeError> {
    let mut found = Vec::new();
    for name in store.extensions().map_err(ComposeError::File)? {
        let files = visible(store, &name)?;
        for record in records(store, &name, &files)? {
            let instance = &record.instance;
            let offered = catalog.extensions.get(&name).is_some_and(|extension| {
                extension.instances.iter().any(|offered| offered.image == instance.image)
            });
            if !offered && files.contains(instance.image.file_name()) {
                found.push(Missing::of(&name, instance));
            }
        }
    }
    Ok(found)
}

/// The files of an extension, without hidden ones.
fn visible(store: &Store, name: &str) -> Result<BTreeSet<String>, ComposeError> {
    let files = store::list(&store.extension(name)).map_err(ComposeError::File)?;
    Ok(files.into_iter().filter(|file| !file.starts_with('.')).collect())
}

fn records(store: &Store, name: &str, files: &BTreeSet<String>) -> Result<Vec<Record>, ComposeError> {
    let read = |file: &String| {
        let path = store.file(name, file);
        let bytes = std::fs::read(&path)
            .map_err(|source| ComposeError::File(FileError::Read { path: path.clone(), source }))?;
        Record::parse(&path, &bytes).map_err(ComposeError::Record)
    };
    files.iter().filter(|file| file.ends_with(".json")).map(read).collect()
}

struct Collecting<'a> {
    store: &'a Store,
    previous: Option<&'a Catalog>,
    overwrite: Overwrite,
    notes: Vec<Note>,
}

impl Collecting<'_> {
    /// One extension; nothing for a directory that never was one.
    fn extension(&mut self, name: &str) -> Result<Option<Extension>, ComposeError> {
        let files = visible(self.store, name)?;
        let before = self.previous.and_then(|catalog| catalog.extensions.get(name));
        let offered = |url: &str| {
            before.into_iter().flat_map(|before| &before.instances).find(|instance| instance.image.url == url)
        };

        let mut described = Vec::new();
        for mut record in records(self.store, name, &files)? {
            let before = offered(&record.instance.image.url);
            if !files.contains(record.instance.image.file_name()) {
                if before.is_none() {
                    self.notes.push(Note::NoImage { image: record.instance.image.url });
                }
                continue;
            }
            self.check(name, &record.instance)?;
            if let Some(before) = before {
                self.compare(before, &mut record.instance)?;
            }
            described.push(record);
        }
        described.sort_by(|a, b| order(&a.instance).cmp(&order(&b.instance)));

        // The newest record describes the extension; without any, the last catalog still does.
        let mut extension = match described.last() {
            Some(newest) => Extension {
                description: newest.description.clone(),
                homepage: newest.homepage.clone(),
                license: newest.license.clone(),
                ..Extension::default()
            },
            None => match before {
                Some(before) => Extension { instances: Vec::new(), ..before.clone() },
                None => {
                    self.note_unrecorded(name, &files, &BTreeSet::new());
                    return Ok(None);
                }
            },
        };
        let recorded: BTreeSet<String> = described.iter().map(|r| r.instance.image.url.clone()).collect();
        extension.instances = described.into_iter().map(|record| record.instance).collect();
        for instance in before.into_iter().flat_map(|before| &before.instances) {
            // An image whose record was removed stays on offer.
            if !recorded.contains(&instance.image.url) && files.contains(instance.image.file_name()) {
                self.check(name, instance)?;
                extension.instances.push(instance.clone());
            }
        }
        extension.instances.sort_by(|a, b| order(a).cmp(&order(b)));
        self.check_new(&extension.instances, before)?;
        let known = extension.instances.iter().map(|instance| instance.image.file_name()).collect();
        self.note_unrecorded(name, &files, &known);
        Ok(Some(extension))
    }

    /// Notices new versions that nodes would never install.
    fn check_new(&mut self, instances: &[Instance], before: Option<&Extension>) -> Result<(), ComposeError> {
        let before = before.map(|before| &before.instances[..]).unwrap_or_default();
        let is_new = |instance: &&Instance| before.iter().all(|other| other.image.url != instance.image.url);
        for instance in instances.iter().filter(is_new) {
            let others = instances.iter().map(|other| &other.version);
            naming::check_prefix(&instance.version, others).map_err(ComposeError::Naming)?;
            let rivals = before.iter().filter(|other| {
                other.withdrawn.is_none() && (other.arch, &other.stream) == (instance.arch, &instance.stream)
            });
            let newest = rivals.map(|other| &other.version).max();
            if let Some(newest) = newest.filter(|newest| **newest > instance.version) {
                self.notes.push(Note::Older { image: instance.image.url.clone(), newest: newest.clone() });
            }
        }
        Ok(())
    }

    fn note_unrecorded(&mut self, name: &str, files: &BTreeSet<String>, known: &BTreeSet<&str>) {
        let unknown = files.iter().filter(|file| file.ends_with(".raw") && !known.contains(file.as_str()));
        self.notes.extend(unknown.map(|file| Note::Unrecorded { image: format!("{name}/{file}") }));
    }

    /// Checks that the image has the recorded bytes.
    fn check(&self, name: &str, instance: &Instance) -> Result<(), ComposeError> {
        let path = self.store.file(name, instance.image.file_name());
        let (sha256, size) = store::digest(&path).map_err(ComposeError::File)?;
        if (sha256, size) == (instance.image.sha256, instance.image.size) {
            return Ok(());
        }
        let show = |size, sha256| format!("{size} bytes with digest {sha256}");
        let expected = show(instance.image.size, instance.image.sha256);
        Err(ComposeError::Damaged { path, expected, found: show(size, sha256) })
    }

    /// Keeps what was decided about an image after its bake: withdrawal and waves.
    fn compare(&mut self, offered: &Instance, instance: &mut Instance) -> Result<(), ComposeError> {
        if offered.image.sha256 == instance.image.sha256 {
            instance.withdrawn.clone_from(&offered.withdrawn);
            instance.waves.clone_from(&offered.waves);
            return Ok(());
        }
        let image = instance.image.url.clone();
        match self.overwrite {
            Overwrite::Refuse => {
                let serial = self.previous.map_or(0, |catalog| catalog.serial);
                Err(ComposeError::Replaced { image, serial })
            }
            Overwrite::Allow => {
                self.notes.push(Note::Replaced { image });
                Ok(())
            }
        }
    }
}

/// Versions in their order; the spelling decides between equal ones, so that the order is total.
fn order(instance: &Instance) -> impl Ord + '_ {
    (&instance.version, instance.version.as_str(), instance.arch)
}
