//! Rules for reading a tree from a directory, an archive or an image.

use std::collections::BTreeSet;

use super::Metadata;

/// What to keep when a tree is read. The default gives the same tree for two checkouts that differ in owner,
/// umask and other extended attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The owner of the files.
    pub owner: Owner,
    /// How permission bits are changed.
    pub modes: Modes,
    /// Extended attributes to keep, by full name; all others are dropped.
    pub xattrs: BTreeSet<String>,
    /// Whether device nodes and pipes are allowed.
    pub specials: Specials,
}

/// The owner of the files in the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The owner on disk.
    Keep,
    /// User 0, group 0.
    #[default]
    Root,
}

/// How the permission bits of files and directories are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modes {
    /// The permissions on disk.
    Keep,
    /// 0755 for directories and executable files, 0644 for other files, so that the umask does not matter.
    /// Setuid, setgid and sticky are kept.
    #[default]
    Normalised,
}

/// Whether device nodes and pipes are allowed. Sockets never are: they are useless in an image, because they
/// belong to a running program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Specials {
    /// Keep them.
    Keep,
    /// Reject them: an extension needs none, and a device node 0:0 would hide a file of the host.
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
    /// Applies the rules to metadata.
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
