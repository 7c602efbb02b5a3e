//! A directory with the layout of a small host, for `sysupdate --root`.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub mod machine;

/// The os-release file of such a host.
const OS_RELEASE: &str = "ID=scratch\nNAME=\"A scratch root\"\nVERSION_ID=1\n";

/// Directories that every host has, in addition to the files of [`Root::lay`].
const DIRECTORIES: [&str; 8] =
    ["etc/sysupdate/repositories", "opt", "run", "tmp", "usr/bin", "usr/lib", "var/lib", "var/tmp"];

/// The root. Dropping it does not remove the directory.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// Creates the layout in a directory, which is created if it is missing.
    pub fn lay(path: &Path) -> Result<Self> {
        for directory in DIRECTORIES {
            let directory = path.join(directory);
            fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        // Without symbolic links, because the mount table contains none.
        let path = path.canonicalize().with_context(|| format!("cannot look at {}", path.display()))?;
        let root = Self { path };
        root.write("usr/lib/os-release", OS_RELEASE)?;
        let link = root.below("etc/os-release");
        std::os::unix::fs::symlink("../usr/lib/os-release", &link)
            .with_context(|| format!("cannot make {}", link.display()))?;
        Ok(root)
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in the root; `inside` has no leading slash.
    pub fn below(&self, inside: &str) -> PathBuf {
        self.path.join(inside)
    }

    /// Writes a file and creates the directories above it.
    pub fn write(&self, inside: &str, text: &str) -> Result<()> {
        let path = self.below(inside);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Places a published transfer file among the definitions of a component.
    pub fn define(&self, component: &str, transfer: &Path) -> Result<()> {
        self.place(transfer, &format!("etc/sysupdate.{component}.d"))
    }

    /// Changes a transfer as an operator does, with a drop-in of that name.
    pub fn drop_in(&self, component: &str, transfer: &str, name: &str, text: &str) -> Result<()> {
        self.write(&format!("etc/sysupdate.{component}.d/{transfer}.transfer.d/{name}.conf"), text)
    }

    /// Makes the root trust a repository, with the file that `bakery keygen` wrote for nodes.
    pub fn trust(&self, repository: &Path) -> Result<()> {
        self.place(repository, "etc/sysupdate/repositories")
    }

    fn place(&self, file: &Path, directory: &str) -> Result<()> {
        let name = file.file_name().with_context(|| format!("{} names no file", file.display()))?;
        let directory = self.below(directory);
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        fs::copy(file, directory.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
        Ok(())
    }
}

/// The mounts at or below a directory that this process sees.
pub fn mounts_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read("/proc/thread-self/mountinfo").context("cannot read the mount table")?;
    let lines = table.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescape);
    Ok(points.filter(|point| point.starts_with(directory)).collect())
}

/// The kernel writes spaces and backslashes in the table as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_an_os_release() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::lay(&directory.path().join("root")).unwrap();
        let text = fs::read_to_string(root.below("etc/os-release")).unwrap();
        assert!(text.starts_with("ID=scratch\n"));
    }

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescape(br"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(unescape(br"/a\04"), Path::new(r"/a\04"));
        assert!(mounts_below(Path::new("/proc")).unwrap().contains(&PathBuf::from("/proc")));
        assert!(mounts_below(Path::new("/nonexistent")).unwrap().is_empty());
    }
}
