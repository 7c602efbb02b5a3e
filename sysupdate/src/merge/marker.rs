//! The marker directory of a merged hierarchy, for systemd and for our next run.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::admit::Reload;
use super::discover::{Discovered, ExtensionSource, FileIdentity};
use super::quarantine::{QuarantineReason, Quarantined};
use crate::host::mounts::{Mounts, SYSEXT_MARKER};
use crate::host::view::Tree;

/// Our own file next to those of systemd.
const RECORD: &str = "sysupdate";
/// The largest file of a marker that is read, in bytes.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Everything that a merge depends on. The same inputs give the same overlay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    /// Another version of this program may decide differently.
    program: String,
    host: FileIdentity,
    scope: String,
    found: Vec<Input>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Input {
    name: String,
    entry: PathBuf,
    source: Result<FileIdentity, QuarantineReason>,
}

/// The inputs of a merge, and its decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MergeRecord {
    pub inputs: Inputs,
    pub hierarchies: Vec<String>,
    pub extensions: Vec<Extension>,
    pub quarantined: Vec<Quarantined>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extension {
    pub name: String,
    pub path: PathBuf,
    pub reload: Reload,
}

impl Inputs {
    /// Whether an extension was found as the same file.
    pub(super) fn has(&self, found: &Discovered) -> bool {
        let same = |input: &&Input| {
            input.source.as_ref().ok() == found.source.as_ref().ok().map(|one| &one.identity)
        };
        self.found.iter().filter(|input| input.name == found.name).any(|input| same(&input))
    }

    pub(super) fn new(host: FileIdentity, scope: &str, found: &[Discovered]) -> Self {
        let input = |found: &Discovered| Input {
            name: found.name.clone(),
            entry: found.entry.clone(),
            source: found.source.as_ref().map(|source| source.identity.clone()).map_err(Clone::clone),
        };
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Self { program, host, scope: scope.to_owned(), found: found.iter().map(input).collect() }
    }
}

/// The files of the marker directory, except those that are known only once the overlay exists.
pub(super) fn files(
    record: &MergeRecord,
    sources: &BTreeMap<&str, &ExtensionSource>,
) -> Result<Vec<(&'static str, Vec<u8>)>, serde_json::Error> {
    let names: String = record.extensions.iter().map(|extension| format!("{}\n", extension.name)).collect();
    let origins: BTreeMap<&str, serde_json::Value> = record
        .extensions
        .iter()
        .filter_map(|extension| sources.get_key_value(extension.name.as_str()))
        .map(|(name, source)| (*name, origin(&source.identity)))
        .collect();
    let origin = json!({ "mutable": { "mode": "no" }, "extensions": origins });
    let mut origin = serde_json::to_vec_pretty(&origin)?;
    origin.push(b'\n');
    let mut own = serde_json::to_vec(record)?;
    own.push(b'\n');
    Ok(vec![("extensions", names.into_bytes()), ("origin", origin), (RECORD, own)])
}

/// Times in microseconds, as systemd has them.
fn origin(identity: &FileIdentity) -> serde_json::Value {
    let microseconds = |time: i128| u64::try_from(time / 1000).unwrap_or(0);
    let mut origin = json!({
        "path": identity.path,
        "inode": identity.inode,
        "mtime": microseconds(identity.modified),
    });
    if let Some(created) = identity.created {
        origin["crtime"] = microseconds(created).into();
    }
    origin
}

/// The record of our last merge; nothing if another tool merged, or another version of this program.
pub(super) fn read_record(merged: impl Tree) -> Option<MergeRecord> {
    serde_json::from_slice(&read(&merged, RECORD).ok()??).ok()
}

/// The merged extensions, by any tool.
pub(super) fn read_extensions(merged: &(impl Tree + ?Sized)) -> io::Result<Vec<String>> {
    let text = read(merged, "extensions")?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Whether systemd merged it writable.
pub(super) fn is_mutable(mounts: &dyn Mounts, hierarchy: &Path) -> io::Result<bool> {
    // `Mutable=ephemeral` has no work directory
    let has_work_directory =
        |merged: Box<dyn Tree>| merged.metadata(&Path::new(SYSEXT_MARKER).join("work_dir")).is_ok();
    Ok(!mounts.is_read_only(hierarchy)? || mounts.merged(hierarchy)?.is_some_and(has_work_directory))
}

fn read(merged: &(impl Tree + ?Sized), file: &str) -> io::Result<Option<Vec<u8>>> {
    match merged.read(&Path::new(SYSEXT_MARKER).join(file), FILE_MAX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::discover::ExtensionSourceKind;
    use super::*;
    use crate::host::mounts::kernel::Kernel;
    use crate::host::view::Directory;

    #[test]
    fn systemd_finds_names_and_origin_and_we_find_our_record_again() {
        let identity = FileIdentity {
            path: "/var/a-1.raw".into(),
            device: 1,
            inode: 7,
            size: 4096,
            created: Some(1_500),
            modified: 2_000_999,
            changed: 3,
            tree: None,
        };
        let source = ExtensionSource {
            path: identity.path.clone(),
            real: "/x".into(),
            kind: ExtensionSourceKind::Image,
            identity: identity.clone(),
        };
        let found =
            Discovered { name: "a".into(), entry: "/var/lib/extensions/a.raw".into(), source: Ok(source) };
        let reason = QuarantineReason::Collides { path: "/usr/x".into(), with: "a".into() };
        let record = MergeRecord {
            inputs: Inputs::new(identity, "System", std::slice::from_ref(&found)),
            hierarchies: vec!["usr".into()],
            extensions: vec![Extension {
                name: "a".into(),
                path: "/var/a-1.raw".into(),
                reload: Reload::NotNeeded,
            }],
            quarantined: vec![Quarantined { name: "b".into(), path: "/b".into(), reason }],
        };
        let sources = [("a", found.source.as_ref().unwrap())].into();
        let files: BTreeMap<_, _> = files(&record, &sources).unwrap().into_iter().collect();
        assert_eq!(files["extensions"], b"a\n");
        let origin: serde_json::Value = serde_json::from_slice(&files["origin"]).unwrap();
        let extension = json!({ "path": "/var/a-1.raw", "inode": 7, "crtime": 1, "mtime": 2000 });
        assert_eq!(origin, json!({ "mutable": { "mode": "no" }, "extensions": { "a": extension } }));

        let hierarchy = tempfile::tempdir().unwrap();
        let tree = Directory::at(&hierarchy.path().canonicalize().unwrap());
        assert_eq!(read_record(&tree), None);
        assert_eq!(read_extensions(&tree).unwrap(), [""; 0]);
        let marker = hierarchy.path().join(SYSEXT_MARKER);
        fs::create_dir(&marker).unwrap();
        for (name, bytes) in files {
            fs::write(marker.join(name), bytes).unwrap();
        }
        assert_eq!(read_record(&tree), Some(record));
        assert_eq!(read_extensions(&tree).unwrap(), ["a"]);
        assert!(is_mutable(&Kernel, hierarchy.path()).unwrap(), "a plain directory can be written to");
        fs::write(marker.join(RECORD), "{").unwrap();
        assert_eq!(read_record(&tree), None);
    }
}
