//! What a filesystem image holds under one name, whatever its format.

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

/// Extended attributes by their full names.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an image holds under one name.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path from the root, empty for the root itself.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u16,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// How many names the inode says that it has.
    pub links: u32,
    /// Size in bytes.
    pub size: u64,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// What the image knows the inode by. Names with the same number are hard links of each other.
    pub inode: u64,
    /// How its data is laid out.
    pub layout: Layout,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

/// What an entry is.
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

/// How the data of an entry is laid out in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Whole blocks, or nothing.
    Plain,
    /// Whole blocks, and a tail behind the inode.
    Inline,
    /// Compressed clusters.
    Compressed,
    /// Chunks, which may lie on other devices.
    Chunks,
    /// Blocks of which each is compressed by itself, and perhaps a tail in a fragment.
    Blocks,
    /// A part of a fragment, which holds tails of several files and is compressed as a whole.
    Fragment,
}

/// What a filesystem only holds the name of: the kernel has the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    /// A character device. Numbers 0 and 0 are what overlayfs takes as "removed".
    Character(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
}

/// The numbers of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Which driver, at most [`Device::MAJOR_MAX`].
    pub major: u32,
    /// Which of its devices, at most [`Device::MINOR_MAX`].
    pub minor: u32,
}

impl Device {
    /// The largest major number: Linux has 12 bits for it.
    pub const MAJOR_MAX: u32 = (1 << 12) - 1;

    /// The largest minor number: Linux has 20 bits for it.
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

/// The permission bits of a mode as the system has it.
pub(crate) fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & u32::from(PERMISSIONS)).expect("the mask leaves twelve bits")
}
