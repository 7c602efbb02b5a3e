//! The values of keys that allow only certain words.

use std::fmt;
use std::str::FromStr;

use crate::pattern::PartitionUuid;

/// An enum of words: each variant, what it is written as, and what it means.
macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$inner])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word in the file.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// All words, for messages.
            pub fn listing() -> String {
                Self::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
            }

            pub(super) fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Kinds of sources.
    SourceType {
        /// Files below a URL, listed in a `SHA256SUMS`.
        UrlFile = "url-file",
        /// Archives below a URL, listed in a `SHA256SUMS`.
        UrlTar = "url-tar",
        /// Archives in a directory.
        Tar = "tar",
        /// Files in a directory.
        RegularFile = "regular-file",
        /// Directories in a directory.
        Directory = "directory",
        /// Btrfs subvolumes in a directory.
        Subvolume = "subvolume",
    }
}

words! {
    /// Kinds of targets.
    TargetType {
        /// Partitions of a disk.
        Partition = "partition",
        /// Files in a directory.
        RegularFile = "regular-file",
        /// Directories in a directory.
        Directory = "directory",
        /// Btrfs subvolumes in a directory.
        Subvolume = "subvolume",
    }
}

words! {
    /// What a `Path=` starts from.
    RelativeTo {
        /// The root of the system.
        Root = "root",
        /// The EFI system partition.
        Esp = "esp",
        /// The extended boot loader partition.
        Xbootldr = "xbootldr",
        /// The extended boot loader partition, or the EFI system partition where there is none.
        Boot = "boot",
        /// The directory given with `--transfer-source=`.
        Explicit = "explicit",
    }
}

words! {
    /// How a new version is activated.
    Activate {
        /// Refresh the merged extensions.
        Refresh = "refresh",
        /// Refresh the merged extensions, and restart the units that the extension names.
        Restart = "restart",
        /// Reboot user space.
        SoftReboot = "soft-reboot",
        /// Reboot.
        Reboot = "reboot",
        /// Nothing is done.
        None = "none",
    }
}

words! {
    /// The release channels that are allowed.
    Channel {
        /// All versions.
        Alpha = "alpha",
        /// Beta and stable versions.
        Beta = "beta",
        /// Stable versions only.
        Stable = "stable",
    }
}

impl SourceType {
    /// Whether the source is a URL, not a directory.
    pub const fn is_remote(self) -> bool {
        matches!(self, Self::UrlFile | Self::UrlTar)
    }

    /// Whether such a source can fill such a target.
    pub const fn fits(self, target: TargetType) -> bool {
        match self {
            Self::UrlFile | Self::RegularFile => {
                matches!(target, TargetType::RegularFile | TargetType::Partition)
            }
            Self::UrlTar | Self::Tar | Self::Directory | Self::Subvolume => {
                matches!(target, TargetType::Directory | TargetType::Subvolume)
            }
        }
    }

    /// The target's type if the file does not set it.
    pub(super) fn inferred_target(self, path: &str) -> TargetType {
        match self {
            Self::UrlFile | Self::RegularFile if path == "/dev" || path.starts_with("/dev/") => {
                TargetType::Partition
            }
            Self::UrlFile | Self::RegularFile => TargetType::RegularFile,
            Self::UrlTar | Self::Tar | Self::Directory => TargetType::Directory,
            Self::Subvolume => TargetType::Subvolume,
        }
    }
}

/// The type of the partitions that are a target's slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionType {
    /// By its UUID.
    Uuid(PartitionUuid),
    /// By systemd's name for it, as in `Type=` of systemd-repart.
    Named(String),
}

/// The type if the file does not set it.
const TYPE_DEFAULT: &str = "linux-generic";

/// Complete names.
const TYPE_NAMES: [&str; 10] =
    ["esp", "xbootldr", "swap", "home", "srv", "var", "tmp", "user-home", TYPE_DEFAULT, "factory-reset"];

/// Names that may be followed by an architecture, `-verity` or `-verity-sig`.
const TYPE_STEMS: [&str; 2] = ["root", "usr"];

/// Architectures in the names of partition types.
const TYPE_ARCHITECTURES: [&str; 20] = [
    "alpha",
    "arc",
    "arm",
    "arm64",
    "ia64",
    "loongarch64",
    "mips",
    "mips64",
    "mips-le",
    "mips64-le",
    "parisc",
    "ppc",
    "ppc64",
    "ppc64-le",
    "riscv32",
    "riscv64",
    "s390",
    "s390x",
    "x86",
    "x86-64",
];

impl Default for PartitionType {
    fn default() -> Self {
        Self::Named(TYPE_DEFAULT.to_owned())
    }
}

impl PartitionType {
    /// Whether it contains the signature of a verity root hash, which is shorter than its slot.
    pub fn is_signature(&self) -> bool {
        matches!(self, Self::Named(name) if name.ends_with("-verity-sig"))
    }
}

impl FromStr for PartitionType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(uuid) = PartitionUuid::parse(text) {
            return Ok(Self::Uuid(uuid));
        }
        let stem = |stem: &&str| {
            let Some(rest) = text.strip_prefix(*stem) else { return false };
            let rest =
                ["-verity-sig", "-verity"].iter().find_map(|end| rest.strip_suffix(end)).unwrap_or(rest);
            match rest.strip_prefix('-') {
                None => rest.is_empty(),
                Some("secondary") => true,
                Some(architecture) => TYPE_ARCHITECTURES.contains(&architecture),
            }
        };
        if TYPE_NAMES.contains(&text) || TYPE_STEMS.iter().any(stem) {
            return Ok(Self::Named(text.to_owned()));
        }
        Err(())
    }
}

impl fmt::Display for PartitionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => uuid.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        assert!(SourceType::ALL.iter().all(|kind| SourceType::of_word(kind.as_str()) == Some(*kind)));
        assert_eq!(SourceType::listing(), "url-file, url-tar, tar, regular-file, directory, subvolume");
        assert_eq!(Activate::of_word("Reboot"), None);
    }

    #[test]
    fn partition_types_have_names_and_uuids() {
        for text in
            ["root", "root-x86-64", "usr-verity", "usr-arm64-verity-sig", "root-secondary-verity", "esp"]
        {
            let parsed: PartitionType = text.parse().unwrap();
            assert_eq!(parsed, PartitionType::Named(text.to_owned()));
        }
        assert!("usr-verity-sig".parse::<PartitionType>().unwrap().is_signature());
        let uuid: PartitionType = "8484680c-9521-48c6-9c11-b0720656f69e".parse().unwrap();
        assert_eq!(uuid.to_string(), "8484680c952148c69c11b0720656f69e");
        for text in ["", "rot", "root-", "root-z80", "usr-verity-", "8484680c"] {
            assert_eq!(text.parse::<PartitionType>(), Err(()), "{text}");
        }
    }
}
