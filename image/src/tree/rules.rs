//! What of a directory on disk, an archive or an image goes into a tree.

use std::collections::BTreeSet;

use super::Metadata;

/// What to keep of the directory a tree is read from. The default makes the same tree from two
/// checkouts that differ in owner, umask and foreign extended attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Who owns the files.
    pub owner: Owner,
    /// What happens to permission bits.
    pub modes: Modes,
    /// Extended attributes to keep, by full name; all others are left behind.
    pub xattrs: BTreeSet<String>,
    /// Whether device nodes and pipes may be there.
    pub specials: Specials,
}

/// Who owns what is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// As on disk.
    Keep,
    /// User 0, group 0.
    #[default]
    Root,
}

/// What happens to the permission bits of files and directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modes {
    /// As on disk.
    Keep,
    /// 0755 for directories and for files that anyone may execute, 0644 for other files, so that
    /// the umask of whoever made them does not matter. Setuid, setgid and sticky are kept.
    #[default]
    Normalised,
}

/// What happens to device nodes and pipes. Sockets are always refused: a filesystem image has no
/// use for the name of something that a running program listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Specials {
    /// They are kept.
    Keep,
    /// They are an error: an extension has none, and one with the numbers 0 and 0 would make a
    /// file of the host disappear.
    #[default]
    Refuse,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            owner: Owner::default(),
            modes: Modes::default(),
            xattrs: ["security.capability", "user.extension-release.strict"].map(String::from).into(),
            specials: Specials::default(),
        }
    }
}

impl Rules {
    /// What is kept of metadata that was found.
    pub(crate) fn apply(&self, mut found: Metadata, is_directory: bool, is_link: bool) -> Metadata {
        found.mode = match (is_directory, is_link) {
            (true, _) => self.modes.directory(found.mode),
            (false, true) => 0o777,
            (false, false) => self.modes.file(found.mode),
        };
        if self.owner == Owner::Root {
            (found.uid, found.gid) = (0, 0);
        }
        found.xattrs.retain(|name, _| self.xattrs.contains(name));
        found
    }
}

impl Modes {
    /// The bits above the permissions of user, group and others.
    const SPECIAL: u16 = 0o7000;

    pub(super) fn directory(self, mode: u16) -> u16 {
        match self {
            Self::Keep => mode,
            Self::Normalised => mode & Self::SPECIAL | 0o755,
        }
    }

    pub(super) fn file(self, mode: u16) -> u16 {
        match self {
            Self::Keep => mode,
            Self::Normalised if mode & 0o111 != 0 => mode & Self::SPECIAL | 0o755,
            Self::Normalised => mode & Self::SPECIAL | 0o644,
        }
    }
}
