//! The mount table: `/proc/thread-self/mountinfo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Every mount of a namespace.
#[derive(Clone, Debug, Default)]
pub struct MountTable {
    mounts: Vec<Mount>,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number, unique while it is mounted.
    pub id: u64,
    /// The mount it is attached to.
    pub parent: u64,
    /// The mount point.
    pub point: PathBuf,
    /// Whether the kernel refuses to copy it.
    pub copying: Copying,
    /// Its type of file system.
    pub filesystem: String,
    /// The mounted device or name.
    pub source: String,
}

/// Whether a mount can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copying {
    /// It can be copied.
    Possible,
    /// It is unbindable: a copy of the mount around it lacks it.
    Refused,
}

impl MountTable {
    /// Parses a table. An unknown line is an error: a mount that is ignored would be lost.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let parse =
            |line: &[u8]| Mount::parse(line).ok_or_else(|| String::from_utf8_lossy(line).into_owned());
        Ok(Self { mounts: lines.map(parse).collect::<Result<_, _>>()? })
    }

    /// The mount with a number.
    pub fn get(&self, id: u64) -> Option<&Mount> {
        self.mounts.iter().find(|mount| mount.id == id)
    }

    /// The mounts that are attached to a mount.
    pub fn children(&self, id: u64) -> impl Iterator<Item = &Mount> {
        self.mounts.iter().filter(move |mount| mount.parent == id && mount.id != id)
    }

    /// The mounts on one mount point, topmost first, given the topmost.
    pub fn stack(&self, top: u64) -> Vec<&Mount> {
        let mut stack: Vec<&Mount> = Vec::new();
        let mut next = self.get(top);
        while let Some(mount) = next {
            if stack.iter().any(|above| above.point != mount.point || above.id == mount.id) {
                break;
            }
            stack.push(mount);
            next = self.get(mount.parent);
        }
        stack
    }

    /// A mount and everything attached to it, at any depth.
    pub fn tree(&self, id: u64) -> Vec<&Mount> {
        let mut tree: Vec<&Mount> = self.get(id).into_iter().collect();
        let mut done = 0;
        while let Some(mount) = tree.get(done) {
            let below: Vec<&Mount> = self
                .children(mount.id)
                .filter(|child| tree.iter().all(|known| known.id != child.id))
                .collect();
            tree.extend(below);
            done += 1;
        }
        tree
    }

    /// Every mount.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter()
    }
}

impl FromIterator<Mount> for MountTable {
    fn from_iter<T: IntoIterator<Item = Mount>>(mounts: T) -> Self {
        Self { mounts: mounts.into_iter().collect() }
    }
}

impl Mount {
    /// `36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/root rw`, with any number of tags
    /// in the place of `shared:1`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        let point = PathBuf::from(OsString::from_vec(unescape(fields.nth(2)?)));
        let _options = fields.next()?;
        let mut copying = Copying::Possible;
        loop {
            match fields.next()? {
                b"-" => break,
                b"unbindable" => copying = Copying::Refused,
                _ => {}
            }
        }
        let text = |field: &[u8]| String::from_utf8_lossy(&unescape(field)).into_owned();
        let filesystem = text(fields.next()?);
        let source = text(fields.next()?);
        Some(Self { id, parent, point, copying, filesystem, source })
    }

    /// Its mount point relative to a path, if it is below that path.
    pub fn below(&self, path: &Path) -> Option<PathBuf> {
        let rest = self.point.strip_prefix(path).ok()?;
        (!rest.as_os_str().is_empty()).then(|| rest.to_owned())
    }
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten();
        let value = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match value.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
50 27 0:40 / /usr ro,nodev - overlay sysext ro,lowerdir=a
51 50 0:41 / /usr ro,nodev master:2 - overlay sysext ro,lowerdir=b
52 51 0:42 / /usr/a\\040b\\134 rw unbindable - tmpfs none rw
53 52 0:43 / /usr/a\\040b\\134/c rw - tmpfs none rw
";

    #[test]
    fn a_table_tells_what_is_stacked_and_what_lies_below() {
        let table = MountTable::parse(TABLE.as_bytes()).unwrap();
        let ids = |mounts: Vec<&Mount>| mounts.iter().map(|mount| mount.id).collect::<Vec<_>>();
        assert_eq!(ids(table.stack(51)), [51, 50]);
        assert_eq!(ids(table.stack(27)), [27]);
        assert_eq!(ids(table.tree(51)), [51, 52, 53]);
        let child = table.children(51).next().unwrap();
        assert_eq!(child.point, Path::new("/usr/a b\\"));
        assert_eq!(child.copying, Copying::Refused);
        assert_eq!(child.below(Path::new("/usr")), Some(PathBuf::from("a b\\")));
        assert_eq!(child.below(Path::new("/usr/a b\\")), None);
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        assert_eq!(MountTable::parse(b"1 2 3").unwrap_err(), "1 2 3");
        assert_eq!(MountTable::parse(b"1 x 0:1 / / rw - a b c\n").unwrap_err(), "1 x 0:1 / / rw - a b c");
    }

    #[test]
    fn a_loop_in_the_numbers_ends() {
        let table = MountTable::parse(b"1 2 0:1 / / rw - a b c\n2 1 0:1 / / rw - a b c\n").unwrap();
        assert_eq!(table.stack(1).len(), 2);
        assert_eq!(table.tree(1).len(), 2);
    }
}
