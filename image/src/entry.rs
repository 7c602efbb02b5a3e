//! The entries of a file system image, independent of its format.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The longest name of a directory entry in bytes, on erofs as on every common Linux filesystem.
pub(crate) const NAME_MAX: usize = 255;

/// The longest path in bytes that Linux opens: `PATH_MAX` without its NUL.
pub(crate) const PATH_MAX: usize = 4095;

/// The longest symbolic link target in bytes.
pub(crate) const TARGET_MAX: usize = 4095;

/// The permission bits of a mode, with setuid, setgid and sticky.
pub(crate) const PERMISSIONS: u16 = 0o7777;

/// Extended attributes by full name.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// One name in an image, with the metadata of its inode.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path from the root, empty for the root itself.
    pub path: PathBuf,
    /// The file type, with the target of a symbolic link or the numbers of a device.
    pub kind: EntryKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u16,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// The link count of the inode.
    pub links: u32,
    /// Size in bytes.
    pub size: u64,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// The number of the inode. Entries with the same number are hard links of each other.
    pub inode: u64,
    /// How its data is stored.
    pub layout: Layout,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// The type of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link with its target.
    Symlink(OsString),
    /// A device node or a pipe.
    Special(Special),
}

/// How the data of an entry is stored in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Whole blocks, or nothing.
    Plain,
    /// Whole blocks, and a tail after the inode.
    Inline,
    /// Compressed clusters.
    Compressed,
    /// Chunks, which may be on other devices.
    Chunks,
    /// Blocks that are compressed one by one, with an optional tail in a fragment.
    Blocks,
    /// Part of a fragment, which contains the tails of several files and is compressed as a whole.
    Fragment,
}

/// A special file: the file system stores its name and numbers, the kernel provides the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    /// A character device. Overlayfs treats the device number 0:0 as a whiteout.
    Character(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
}

/// The numbers of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// The driver, at most [`Device::MAJOR_MAX`].
    pub major: u32,
    /// The device of that driver, at most [`Device::MINOR_MAX`].
    pub minor: u32,
}

impl Device {
    /// The largest major number: Linux uses 12 bits.
    pub const MAJOR_MAX: u32 = (1 << 12) - 1;

    /// The largest minor number: Linux uses 20 bits.
    pub const MINOR_MAX: u32 = (1 << 20) - 1;

    /// Both numbers in 32 bits, as Linux writes them to disk; `None` if they need more.
    pub fn encode(self) -> Option<u32> {
        let Self { major, minor } = self;
        let fits = major <= Self::MAJOR_MAX && minor <= Self::MINOR_MAX;
        fits.then_some(minor & 0xff | major << 8 | (minor & !0xff) << 12)
    }

    /// The numbers from the 32 bits that Linux writes to disk.
    pub fn decode(bits: u32) -> Self {
        Self { major: bits >> 8 & Self::MAJOR_MAX, minor: bits & 0xff | bits >> 12 & !0xff }
    }
}

/// The permission bits of a mode, as `stat` returns it.
pub(crate) fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & u32::from(PERMISSIONS)).expect("the mask leaves twelve bits")
}
