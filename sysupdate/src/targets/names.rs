//! The names of partial and pending files, and walking a directory for the files that patterns match. No symbolic
//! link is followed, and no directory is entered that no pattern leads into.

use std::path::{Path, PathBuf};

use sysext_manifests::pattern::{Captures, Patterns};

use crate::host::store::{EntryKind, Store, StoreError};

/// The prefix of partial files. As in systemd, so that either tool understands the files of the other.
const PARTIAL: &str = ".sysupdate.partial.";

/// The prefix of complete files that are not installed yet.
const PENDING: &str = ".sysupdate.pending.";

/// The path of a file while it is downloaded.
pub(crate) fn partial(path: &Path) -> PathBuf {
    beside(PARTIAL, path)
}

/// The path of a complete file before it is installed.
pub(crate) fn pending(path: &Path) -> PathBuf {
    beside(PENDING, path)
}

fn beside(prefix: &str, path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{prefix}{name}"))
}

/// A file that a pattern matches.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Where it is.
    pub path: PathBuf,
    /// The kind of its name.
    pub name: Name,
    /// What the pattern captures.
    pub captures: Captures,
}

/// The kind of a file's name; patterns match the name without the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The final one.
    Plain,
    /// The name of a complete file that is not installed.
    Pending,
    /// The name of a partial file.
    Partial,
}

impl Name {
    fn of(name: &str) -> (Self, &str) {
        match (name.strip_prefix(PARTIAL), name.strip_prefix(PENDING)) {
            (Some(name), _) => (Self::Partial, name),
            (_, Some(name)) => (Self::Pending, name),
            _ => (Self::Plain, name),
        }
    }
}

/// The regular files below a directory that patterns match, in the order of their paths.
pub(crate) fn files(
    store: &dyn Store,
    directory: &Path,
    patterns: &Patterns,
) -> Result<Vec<Scanned>, StoreError> {
    let mut found = Vec::new();
    let mut left = vec![(directory.to_owned(), String::new())];
    while let Some((directory, relative)) = left.pop() {
        for entry in store.list(&directory)? {
            let path = directory.join(&entry.name);
            let (name, plain) = Name::of(&entry.name);
            let below = format!("{relative}{plain}");
            let look = || patterns.look(&below);
            match entry.kind {
                EntryKind::File(_) => {
                    if let Some(captures) = look().instance() {
                        found.push(Scanned { path, name, captures });
                    }
                }
                // Partial and pending directories belong to another kind of target.
                EntryKind::Directory if name == Name::Plain && look().leads() => {
                    left.push((path, format!("{below}/")));
                }
                EntryKind::Directory | EntryKind::Link(_) | EntryKind::Other => {}
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::store::Files;

    fn found(root: &Path, patterns: &str) -> Vec<String> {
        let found = files(&Files::new(), root, &patterns.parse().unwrap()).unwrap();
        found
            .iter()
            .map(|found| {
                let path = found.path.strip_prefix(root).unwrap().display();
                format!("{path} {:?} {}", found.name, found.captures.version)
            })
            .collect()
    }

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in
            ["a/1/b.raw", "a/2/.sysupdate.pending.b.raw", "a/x 2/b.raw", "b.raw", "c/d/k-3.raw", "k-4.raw"]
        {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir_all(root.path().join("a/.sysupdate.partial.5/b.raw")).unwrap();
        symlink(root.path().join("a/1"), root.path().join("a/9")).unwrap();
        symlink(root.path().join("b.raw"), root.path().join("k-5.raw")).unwrap();
        fs::create_dir(root.path().join("k-6.raw")).unwrap();
        root
    }

    #[test]
    fn subdirectories_are_entered_where_a_pattern_leads() {
        let root = tree();
        assert_eq!(
            found(root.path(), "a/@v/b.raw"),
            ["a/1/b.raw Plain 1", "a/2/.sysupdate.pending.b.raw Pending 2"]
        );
        assert_eq!(found(root.path(), "k-@v.raw"), ["k-4.raw Plain 4"], "links and directories are no files");
        assert_eq!(found(root.path(), "k-@v.raw c/d/k-@v.raw"), ["c/d/k-3.raw Plain 3", "k-4.raw Plain 4"]);
    }

    #[test]
    fn any_depth_is_any_depth() {
        assert_eq!(found(tree().path(), "**/k-@v.raw"), ["c/d/k-3.raw Plain 3", "k-4.raw Plain 4"]);
    }

    #[test]
    fn a_missing_directory_is_empty() {
        assert_eq!(found(Path::new("/nowhere/at/all"), "@v"), [""; 0]);
    }
}
