//! A snapshot of a node that can be compared with another: every file with its mode and digest, and what is
//! merged.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;
use sysext_manifests::digest::Sha256;

/// The content of a node, one line per path.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, String>);

impl Snapshot {
    /// Takes a snapshot of the root, without the holder of the lock and without times.
    pub fn take(root: &Path) -> Result<Self> {
        let mut lines = BTreeMap::new();
        walk(root, Path::new(""), &mut lines)?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        for hierarchy in ["usr", "opt"] {
            let place = root.join(hierarchy);
            let here = |line: &&str| line.split(' ').nth(4).map(Path::new) == Some(place.as_path());
            let count = mounts.lines().filter(here).count();
            lines.insert(PathBuf::from(format!("mounts at {hierarchy}")), count.to_string());
        }
        Ok(Self(lines))
    }

    /// The differing lines of two snapshots, for people.
    pub fn difference(&self, other: &Self) -> String {
        let mut text = String::new();
        let paths = self.0.keys().chain(other.0.keys()).collect::<std::collections::BTreeSet<_>>();
        for path in paths {
            let (one, another) = (self.0.get(path), other.0.get(path));
            if one != another {
                let none = "nothing".to_owned();
                let (one, another) = (one.unwrap_or(&none), another.unwrap_or(&none));
                text.push_str(&format!("{}:\n  - {one}\n  + {another}\n", path.display()));
            }
        }
        text
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(path, line)| writeln!(f, "{}: {line}", path.display()))
    }
}

/// Files whose names only incomplete work has.
pub fn leftovers(root: &Path) -> Result<Vec<PathBuf>> {
    let mut lines = BTreeMap::new();
    walk(root, Path::new(""), &mut lines)?;
    let temporary = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(".#") || name.starts_with(".sysupdate.")
    };
    Ok(lines.into_keys().filter(temporary).collect())
}

/// The merged version of an extension, according to its own file.
pub fn merged(root: &Path, name: &str) -> Result<Option<String>> {
    let path = root.join("usr/share").join(name).join("version");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn walk(root: &Path, below: &Path, lines: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let directory = root.join(below);
    for entry in fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let metadata = entry.metadata()?;
        // It contains the time and sources of the merge; the merged files are compared anyway.
        if path.ends_with(".systemd-sysext") || path == Path::new("run/sysupdate/lock") {
            continue;
        }
        let mode = metadata.permissions().mode() & 0o7777;
        let line = if metadata.is_symlink() {
            format!("link to {}", fs::read_link(entry.path())?.display())
        } else if metadata.is_dir() {
            walk(root, &path, lines)?;
            format!("directory {mode:o}")
        } else {
            format!("file {mode:o} {}", content(&entry.path(), &path)?)
        };
        lines.insert(path, line);
    }
    Ok(())
}

/// A digest, or for a record its text without times.
fn content(path: &Path, below: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_record = below.starts_with("var/lib/sysupdate/extensions")
        && below.extension().is_some_and(|extension| extension == "json");
    if !is_record {
        return Ok(Sha256::of(&bytes).to_string());
    }
    // Invalid JSON is used unchanged: it differs from any record.
    let Ok(mut record) = serde_json::from_slice::<Value>(&bytes) else {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    };
    for event in record["history"].as_array_mut().into_iter().flatten() {
        event["at"] = Value::Null;
    }
    Ok(record.to_string())
}
