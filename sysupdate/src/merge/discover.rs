//! The extensions in the extension directories.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::version::{self, Version};

use super::HostFiles;
use super::error::MergeError;
use super::examine::FILES_MAX;
use super::quarantine::{QuarantineReason, Unsupported};
use super::report::{Masked, MaskedBy};
use crate::host::errno::{is_of_the_machine, may_be_of_the_machine};
use crate::host::view::{FileMetadata, Kind, Tree, is_missing};

/// An extension in an extension directory, usable or not.
#[derive(Debug)]
pub(super) struct Discovered {
    pub name: String,
    /// The entry of the extension directory.
    pub entry: PathBuf,
    pub source: Result<ExtensionSource, QuarantineReason>,
}

/// The image or directory of an extension.
#[derive(Debug)]
pub(super) struct ExtensionSource {
    /// Without symbolic links, as the target system sees it.
    pub path: PathBuf,
    /// Where the running system finds it.
    pub real: PathBuf,
    pub kind: ExtensionSourceKind,
    pub identity: FileIdentity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExtensionSourceKind {
    Image,
    Directory,
}

/// Identifies an image or directory: any change to it changes this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileIdentity {
    pub path: PathBuf,
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// In nanoseconds, as are the others.
    pub created: Option<i128>,
    pub modified: i128,
    pub changed: i128,
    /// Over everything in a directory.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tree: Option<u64>,
}

impl Discovered {
    /// The file that the entry leads to, or the entry itself if that does not exist.
    pub(super) fn path(&self) -> &Path {
        self.source.as_ref().map_or(&self.entry, |source| &source.path)
    }
}

/// The extensions in the directories, of which the first is the strongest, in the order of layers; and those that are
/// masked.
pub(super) fn discover(
    files: &HostFiles,
    directories: &[PathBuf],
) -> Result<(Vec<Discovered>, Vec<Masked>), MergeError> {
    let mut found: BTreeMap<Layered, Discovered> = BTreeMap::new();
    let mut duplicates = Vec::new();
    let mut hidden = Vec::new();
    let mut decided: HashMap<String, MaskedBy> = HashMap::new();
    for directory in directories {
        let mut here: BTreeMap<String, PathBuf> = BTreeMap::new();
        let mut masks = HashMap::new();
        for entry in entries(files, directory)? {
            let failed = |source| MergeError::Look { path: entry.clone(), source };
            let Some((name, seen)) = look(files, &entry).map_err(failed)? else { continue };
            if let Some(by) = decided.get(&name) {
                if let EntryMeaning::Extension(source) = seen {
                    let path = source.map_or_else(|_| entry.clone(), |source| source.path);
                    hidden.push(Masked { name, entry, path, by: by.clone() });
                }
                continue;
            }
            if let Some(other) = here.get(&name) {
                let source = Err(QuarantineReason::Duplicate { other: other.clone() });
                duplicates.push(Discovered { name, entry, source });
                continue;
            }
            here.insert(name.clone(), entry.clone());
            match seen {
                EntryMeaning::Mask => {
                    masks.insert(name, MaskedBy::Mask { entry });
                }
                EntryMeaning::Extension(source) => {
                    found.insert(Layered(name.clone()), Discovered { name, entry, source });
                }
            }
        }
        decided.extend(here.into_iter().map(|(name, entry)| (name, MaskedBy::Other { entry })));
        decided.extend(masks);
    }
    let mut found: Vec<Discovered> = found.into_values().chain(duplicates).collect();
    found.sort_by(|a, b| order(&a.name, &b.name).then_with(|| a.entry.cmp(&b.entry)));
    hidden.sort_by(|a, b| order(&a.name, &b.name).then_with(|| a.entry.cmp(&b.entry)));
    Ok((found, hidden))
}

/// The order of layers: later is higher.
fn order(a: &str, b: &str) -> std::cmp::Ordering {
    version::compare(a, b).then_with(|| a.cmp(b))
}

/// A name in the order of layers.
#[derive(PartialEq, Eq)]
struct Layered(String);

impl Ord for Layered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        order(&self.0, &other.0)
    }
}

impl PartialOrd for Layered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

enum EntryMeaning {
    /// It masks what weaker directories have.
    Mask,
    Extension(Result<ExtensionSource, QuarantineReason>),
}

fn entries(files: &HostFiles, directory: &Path) -> Result<Vec<PathBuf>, MergeError> {
    let look = |source| MergeError::Look { path: directory.to_owned(), source };
    let resolved = match files.resolve(directory) {
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        other => other.map_err(look)?,
    };
    let (tree, inside) = files.place_seen(&resolved).map_err(look)?;
    let listing = match tree.list(inside) {
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        other => other.map_err(look)?,
    };
    let mut entries: Vec<_> = listing.into_iter().map(|(name, _)| resolved.join(name)).collect();
    entries.sort();
    Ok(entries)
}

/// What an entry is, under the name it gives an extension; nothing if it is not an extension. An error says that
/// this machine could not look now.
fn look(files: &HostFiles, entry: &Path) -> io::Result<Option<(String, EntryMeaning)>> {
    // A name that is not UTF-8 cannot be in the name of an extension-release file either
    let Some(file_name) = entry.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
    // Incomplete downloads have such names, of this program and of systemd
    if file_name.starts_with('.') {
        return Ok(None);
    }
    let image_name = image_name(file_name);
    let plain = image_name.unwrap_or(file_name);
    let (tree, inside) = files.place_seen(entry)?;
    let target = match tree.read_link(inside) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput || is_missing(&error) => None,
        other => Some(other?),
    };
    if target.as_deref() == Some(Path::new("/dev/null")) {
        return Ok(Some((plain.to_owned(), EntryMeaning::Mask)));
    }
    let (source, metadata) = match (resolve(files, entry), target) {
        (Ok(resolved), _) => resolved,
        (Err(error), _) if is_of_the_machine(&error) => return Err(error),
        (Err(error), _) if may_be_of_the_machine(&error) => {
            return Ok(Some((plain.to_owned(), EntryMeaning::Extension(Err(unreadable(&error))))));
        }
        (Err(error), Some(target)) => {
            let reason = QuarantineReason::Dangling { target, error: error.to_string() };
            return Ok(Some((plain.to_owned(), EntryMeaning::Extension(Err(reason)))));
        }
        // It was removed since the directory was read
        (Err(error), None) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        (Err(error), None) => {
            return Ok(Some((plain.to_owned(), EntryMeaning::Extension(Err(unreadable(&error))))));
        }
    };
    let (name, seen) = match metadata.kind {
        Kind::Directory => match versioned_name(file_name) {
            Some(name) => (name, not_read_yet(Unsupported::VersionedDirectory)),
            None => (file_name, look_at_directory(files, source)?),
        },
        // Other files, such as checksums, are ignored
        Kind::File => match image_name {
            Some(name) => (name, EntryMeaning::Extension(Ok(source))),
            None => return Ok(None),
        },
        Kind::BlockDevice => (plain, not_read_yet(Unsupported::BlockDevice)),
        Kind::Link | Kind::Other => (plain, not_read_yet(Unsupported::SpecialFile)),
    };
    Ok(Some((name.to_owned(), seen)))
}

fn look_at_directory(files: &HostFiles, mut source: ExtensionSource) -> io::Result<EntryMeaning> {
    let (tree, inside) = files.place_seen(&source.path)?;
    Ok(match fingerprint(tree, inside) {
        Err(error) if is_of_the_machine(&error) => return Err(error),
        Err(error) => EntryMeaning::Extension(Err(unreadable(&error))),
        Ok(None) => EntryMeaning::Mask,
        Ok(fingerprint) => {
            source.identity.tree = fingerprint;
            EntryMeaning::Extension(Ok(ExtensionSource { kind: ExtensionSourceKind::Directory, ..source }))
        }
    })
}

fn not_read_yet(what: Unsupported) -> EntryMeaning {
    EntryMeaning::Extension(Err(QuarantineReason::NotSupported { what }))
}

fn unreadable(error: &io::Error) -> QuarantineReason {
    if may_be_of_the_machine(error) {
        return QuarantineReason::NotNow { error: error.to_string() };
    }
    QuarantineReason::Unreadable { error: error.to_string() }
}

/// What an entry leads to, as if it was an image.
fn resolve(files: &HostFiles, entry: &Path) -> io::Result<(ExtensionSource, FileMetadata)> {
    let path = files.resolve(entry)?;
    let (tree, inside) = files.place_seen(&path)?;
    let metadata = tree.metadata(inside)?;
    let (real, identity) = (tree.path(inside), FileIdentity::of(&path, &metadata));
    Ok((ExtensionSource { path, real, kind: ExtensionSourceKind::Image, identity }, metadata))
}

/// The name under which an image in an extension directory is merged.
pub fn extension_name(image: &Path) -> Option<&str> {
    image_name(image.file_name()?.to_str()?)
}

fn image_name(file_name: &str) -> Option<&str> {
    let name = file_name.strip_suffix(".raw")?;
    let name = name.strip_suffix(".sysext").unwrap_or(name);
    (!name.is_empty()).then_some(name)
}

fn versioned_name(file_name: &str) -> Option<&str> {
    let name = file_name.strip_suffix(".v")?;
    image_name(name).or((!name.is_empty()).then_some(name))
}

/// The version in a file name like `NAME-VERSION-ARCH.raw`.
pub(super) fn version_of(name: &str, path: &Path) -> Option<Version> {
    let file = path.file_name()?.to_str()?;
    let rest = image_name(file).unwrap_or(file).strip_prefix(name)?.strip_prefix(['-', '_'])?;
    let without_architecture = Architecture::ALL
        .iter()
        .filter_map(|architecture| rest.strip_suffix(architecture.as_str())?.strip_suffix(['-', '_']))
        .min_by_key(|rest| rest.len());
    without_architecture.unwrap_or(rest).parse().ok()
}

impl FileIdentity {
    pub(super) fn of(path: &Path, metadata: &FileMetadata) -> Self {
        Self {
            path: path.to_owned(),
            device: metadata.device,
            inode: metadata.inode,
            size: metadata.size,
            created: metadata.created,
            modified: metadata.modified,
            changed: metadata.changed,
            tree: None,
        }
    }
}

/// A hash of the names, kinds, sizes and times of everything below a directory, so that any change in it changes the
/// identity. Nothing for an empty directory.
fn fingerprint(tree: &dyn Tree, directory: &Path) -> io::Result<Option<u64>> {
    let mut hasher = DefaultHasher::new();
    let mut left = vec![directory.to_owned()];
    let mut files = 0;
    while let Some(directory) = left.pop() {
        let mut entries = tree.list(&directory)?;
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, _) in entries {
            files += 1;
            if files > FILES_MAX {
                return Err(io::Error::other(format!("more than {FILES_MAX} files")));
            }
            let path = directory.join(&name);
            let metadata = tree.metadata(&path)?;
            (name, metadata.mode, metadata.inode, metadata.size, metadata.changed).hash(&mut hasher);
            if metadata.kind == Kind::Directory {
                left.push(path);
            }
        }
    }
    Ok((files > 0).then(|| hasher.finish()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::view::{Directory, View};

    #[test]
    fn a_file_name_tells_name_and_version() {
        assert_eq!(image_name("a.sysext.raw"), Some("a"));
        assert_eq!(image_name("a.raw"), Some("a"));
        assert_eq!(image_name(".raw"), None);
        assert_eq!(image_name("a.raw.sha256"), None);
        assert_eq!(versioned_name("a.raw.v"), Some("a"));
        assert_eq!(versioned_name("a.v"), Some("a"));
        let version = |path: &str| version_of("a", Path::new(path)).map(|version| version.to_string());
        assert_eq!(version("/x/a-v1.2-x86-64.raw").as_deref(), Some("v1.2"));
        assert_eq!(version("/x/a_1.2_arm64.raw").as_deref(), Some("1.2"));
        assert_eq!(version("/x/a-1.2.raw").as_deref(), Some("1.2"));
        assert_eq!(version("/x/a.raw"), None);
        assert_eq!(version("/x/ab-1.raw"), None);
    }

    #[test]
    fn the_stronger_directory_has_a_name_or_masks_it() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        fs::write(at("var/both.raw"), "").unwrap();
        for name in ["both", "masked", "nothing", "v10", "v9"] {
            fs::write(at(&format!("var/{name}.raw")), "").unwrap();
        }
        fs::write(at("run/both.sysext.raw"), "").unwrap();
        fs::create_dir_all(at("run/masked")).unwrap();
        symlink("/dev/null", at("run/nothing.raw")).unwrap();
        fs::create_dir_all(at("run/twice/usr")).unwrap();
        fs::write(at("run/twice.raw"), "").unwrap();
        fs::write(at("run/notes.txt"), "").unwrap();
        symlink("../elsewhere.raw", at("run/gone.raw")).unwrap();

        let tree = Directory::at(&root.path().canonicalize().unwrap());
        let files = View::new(Box::new(tree) as Box<dyn Tree>);
        let directories = ["/etc", "/run", "/var"].map(PathBuf::from);
        let (found, hidden) = discover(&files, &directories).unwrap();
        let shown = found
            .iter()
            .map(|found| (found.name.as_str(), found.entry.to_str().unwrap(), found.source.is_ok()));
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                ("both", "/run/both.sysext.raw", true),
                ("gone", "/run/gone.raw", false),
                ("twice", "/run/twice", true),
                ("twice", "/run/twice.raw", false),
                ("v9", "/var/v9.raw", true),
                ("v10", "/var/v10.raw", true),
            ]
        );
        let mut hidden = hidden.iter().map(|hidden| (hidden.entry.to_str().unwrap(), hidden.by.clone()));
        let other = MaskedBy::Other { entry: "/run/both.sysext.raw".into() };
        assert_eq!(hidden.next(), Some(("/var/both.raw", other)));
        let mask = |entry: &str| MaskedBy::Mask { entry: entry.into() };
        assert_eq!(hidden.next(), Some(("/var/masked.raw", mask("/run/masked"))));
        assert_eq!(hidden.next(), Some(("/var/nothing.raw", mask("/run/nothing.raw"))));
        assert_eq!(hidden.next(), None);
        assert_eq!(
            *found[3].source.as_ref().unwrap_err(),
            QuarantineReason::Duplicate { other: "/run/twice".into() }
        );
    }
}
