//! What the store has: the records of this and earlier bakes, each image checked against its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::catalog::{Catalog, Extension, Instance};

use super::error::IndexError;
use crate::store::Overwrite;
use crate::store::record::Record;
use crate::store::{self, Store};

/// What the publisher should know about a release.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Note {
    /// An image was offered or recorded, and is gone.
    Dropped {
        /// The image.
        image: String,
    },
    /// An image that nothing describes.
    Unrecorded {
        /// The image.
        image: String,
    },
    /// An extension was offered, and its directory is gone.
    Gone {
        /// The extension.
        name: String,
    },
    /// An image was offered with other bytes.
    Replaced {
        /// The image.
        image: String,
    },
    /// The last release was made under other roots.
    OtherRoot,
    /// The address is not encrypted, and nothing that stock tools read is signed.
    Unencrypted,
    /// The root ends before the catalog does.
    RootEndsFirst {
        /// The root's number.
        root: u64,
        /// When it ends.
        expires: Timestamp,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped { image } => write!(f, "{image} is gone and no longer on offer"),
            Self::Unrecorded { image } => {
                write!(f, "{image} has no record beside it and is not offered; bake it to offer it")
            }
            Self::Gone { name } => write!(f, "{name} is gone and no longer on offer"),
            Self::Replaced { image } => {
                write!(f, "{image} now has other bytes; nodes that have the old ones will not see them")
            }
            Self::OtherRoot => f.write_str(
                "the last release was made under another root; nodes believe this one only with the new \
                 file in /etc/sysupdate/repositories",
            ),
            Self::Unencrypted => f.write_str(
                "the address is not encrypted (http): sysupdate checks the signed catalog, but whoever is on \
                 the way can change what stock systemd-sysupdate installs; use https, or --openpgp-key",
            ),
            Self::RootEndsFirst { root, expires } => {
                write!(
                    f,
                    "root {root} ends at {expires}, before this catalog; a new root must be signed by then"
                )
            }
        }
    }
}

/// Everything on offer; the transfer files are not in it yet.
pub(super) fn collect(
    store: &Store,
    previous: Option<&Catalog>,
    overwrite: Overwrite,
) -> Result<(BTreeMap<String, Extension>, Vec<Note>), IndexError> {
    let mut collecting = Collecting { store, previous, overwrite, notes: Vec::new() };
    let names = store.extensions().map_err(IndexError::File)?;
    let mut extensions = BTreeMap::new();
    for name in &names {
        if let Some(extension) = collecting.extension(name)? {
            extensions.insert(name.clone(), extension);
        }
    }
    let before = previous.into_iter().flat_map(|catalog| catalog.extensions.keys());
    for name in before.filter(|name| !names.contains(name)) {
        collecting.notes.push(Note::Gone { name: name.clone() });
    }
    Ok((extensions, collecting.notes))
}

struct Collecting<'a> {
    store: &'a Store,
    previous: Option<&'a Catalog>,
    overwrite: Overwrite,
    notes: Vec<Note>,
}

impl Collecting<'_> {
    /// One extension; nothing for a directory that has never been one.
    fn extension(&mut self, name: &str) -> Result<Option<Extension>, IndexError> {
        let files = store::list(&self.store.extension(name)).map_err(IndexError::File)?;
        let files: BTreeSet<&str> =
            files.iter().map(String::as_str).filter(|f| !f.starts_with('.')).collect();
        let before = self.previous.and_then(|catalog| catalog.extensions.get(name));
        let offered = |url: &str| {
            before.into_iter().flat_map(|before| &before.instances).find(|instance| instance.image.url == url)
        };

        let mut records = Vec::new();
        for file in files.iter().filter(|file| file.ends_with(".json")) {
            let path = self.store.file(name, file);
            let bytes = std::fs::read(&path)
                .map_err(|source| IndexError::File(store::FileError::Read { path: path.clone(), source }))?;
            let mut record = Record::parse(&path, &bytes).map_err(IndexError::Record)?;
            if !files.contains(record.instance.image.file_name()) {
                self.notes.push(Note::Dropped { image: record.instance.image.url });
                continue;
            }
            self.check(name, &record.instance)?;
            if let Some(offered) = offered(&record.instance.image.url) {
                self.compare(offered, &mut record.instance)?;
            }
            records.push(record);
        }
        records.sort_by(|a, b| order(&a.instance).cmp(&order(&b.instance)));

        // The newest record describes the extension; without any, the last catalog still does.
        let mut extension = match records.last() {
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
        let recorded: BTreeSet<String> = records.iter().map(|r| r.instance.image.url.clone()).collect();
        extension.instances = records.into_iter().map(|record| record.instance).collect();
        for instance in before.into_iter().flat_map(|before| &before.instances) {
            let image = &instance.image.url;
            if recorded.contains(image) {
                continue;
            }
            if files.contains(instance.image.file_name()) {
                self.check(name, instance)?;
                extension.instances.push(instance.clone());
            } else if !self.notes.contains(&Note::Dropped { image: image.clone() }) {
                self.notes.push(Note::Dropped { image: image.clone() });
            }
        }
        extension.instances.sort_by(|a, b| order(a).cmp(&order(b)));
        let known = extension.instances.iter().map(|instance| instance.image.file_name()).collect();
        self.note_unrecorded(name, &files, &known);
        Ok(Some(extension))
    }

    fn note_unrecorded(&mut self, name: &str, files: &BTreeSet<&str>, known: &BTreeSet<&str>) {
        let strangers = files.iter().filter(|file| file.ends_with(".raw") && !known.contains(*file));
        self.notes.extend(strangers.map(|file| Note::Unrecorded { image: format!("{name}/{file}") }));
    }

    /// The image must have the bytes that were promised.
    fn check(&self, name: &str, instance: &Instance) -> Result<(), IndexError> {
        let path = self.store.file(name, instance.image.file_name());
        let (sha256, size) = store::digest(&path).map_err(IndexError::File)?;
        if (sha256, size) == (instance.image.sha256, instance.image.size) {
            return Ok(());
        }
        let show = |size, sha256| format!("{size} bytes with digest {sha256}");
        let expected = show(instance.image.size, instance.image.sha256);
        Err(IndexError::Damaged { path, expected, found: show(size, sha256) })
    }

    /// What was decided about an image after its bake stays decided.
    fn compare(&mut self, offered: &Instance, instance: &mut Instance) -> Result<(), IndexError> {
        if offered.image.sha256 == instance.image.sha256 {
            instance.withdrawn.clone_from(&offered.withdrawn);
            instance.waves.clone_from(&offered.waves);
            return Ok(());
        }
        let image = instance.image.url.clone();
        match self.overwrite {
            Overwrite::Refuse => {
                let serial = self.previous.map_or(0, |catalog| catalog.serial);
                Err(IndexError::Replaced { image, serial })
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
