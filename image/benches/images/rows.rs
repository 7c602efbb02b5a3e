//! The comparisons and their targets.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::CHECKOUT;

/// One comparison.
pub(crate) struct Row {
    /// The tree: M or L.
    pub(crate) corpus: &'static str,
    pub(crate) ours: Side,
    pub(crate) peer: Side,
    /// Maximum ratio of sizes.
    pub(crate) bytes: f64,
    /// Maximum ratio of CPU times.
    pub(crate) cpu: f64,
    /// Maximum ratio of read times; `None` if reads are not compared.
    pub(crate) reads: Option<f64>,
    /// Maximum memory in MiB.
    pub(crate) memory: u64,
}

/// How one image of a row is written.
pub(crate) enum Side {
    /// By our writer.
    Ours { format: Format, codec: &'static str, kernel: (u16, u16) },
    /// By `mkfs.erofs` with these arguments.
    MkfsErofs(&'static [&'static str]),
    /// By `mksquashfs` with these arguments.
    Mksquashfs(&'static [&'static str]),
}

/// A format of our writer.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    Erofs,
    Squashfs,
}

/// All comparisons: corpus M for every format, L for many small files.
pub(crate) const ROWS: &[Row] = &[
    Row {
        corpus: "M",
        ours: Side::Ours { format: Format::Erofs, codec: "zstd:3", kernel: (6, 12) },
        peer: Side::MkfsErofs(&["-zzstd,3", "-C65536"]),
        bytes: 1.01,
        cpu: 1.0 / 6.0,
        reads: Some(1.2),
        memory: 250,
    },
    Row {
        corpus: "M",
        ours: Side::Ours { format: Format::Erofs, codec: "zstd:15", kernel: (6, 12) },
        peer: Side::MkfsErofs(&["-zzstd,15", "-C65536"]),
        bytes: 1.0,
        cpu: 1.0 / 8.0,
        reads: Some(1.2),
        memory: 250,
    },
    Row {
        corpus: "M",
        ours: Side::Ours { format: Format::Erofs, codec: "lz4hc:12", kernel: (5, 15) },
        peer: Side::MkfsErofs(&["-zlz4hc,12", "-C65536"]),
        bytes: 1.0,
        cpu: 1.05,
        reads: Some(1.2),
        memory: 250,
    },
    Row {
        corpus: "L",
        ours: Side::Ours { format: Format::Erofs, codec: "zstd:3", kernel: (6, 12) },
        peer: Side::MkfsErofs(&["-zzstd,3", "-C65536", "-Efragments,ztailpacking"]),
        bytes: 1.0,
        cpu: 0.5,
        reads: None,
        memory: 250,
    },
    Row {
        corpus: "M",
        ours: Side::Ours { format: Format::Squashfs, codec: "zstd:3", kernel: (5, 15) },
        peer: Side::Mksquashfs(&["-comp", "zstd", "-Xcompression-level", "3"]),
        bytes: 1.002,
        cpu: 1.1,
        reads: Some(1.2),
        memory: 250,
    },
    Row {
        corpus: "M",
        ours: Side::Ours { format: Format::Squashfs, codec: "zstd:15", kernel: (5, 15) },
        peer: Side::Mksquashfs(&["-comp", "zstd", "-Xcompression-level", "15"]),
        bytes: 1.002,
        cpu: 1.1,
        reads: Some(1.2),
        memory: 250,
    },
    Row {
        corpus: "L",
        ours: Side::Ours { format: Format::Squashfs, codec: "zstd:3", kernel: (5, 15) },
        peer: Side::Mksquashfs(&["-comp", "zstd", "-Xcompression-level", "3"]),
        bytes: 1.002,
        cpu: 1.1,
        reads: None,
        memory: 250,
    },
];

impl Side {
    /// The setting, as a user would write it.
    pub(crate) fn setting(&self) -> String {
        match self {
            Self::Ours { format: Format::Squashfs, codec, .. } => format!("squashfs {codec}"),
            Self::Ours { format, codec, kernel: (major, minor) } => {
                format!("{format} {codec}, kernel {major}.{minor}")
            }
            Self::MkfsErofs(arguments) => format!("mkfs.erofs {}", arguments.join(" ")),
            Self::Mksquashfs(arguments) => format!("mksquashfs {}", arguments.join(" ")),
        }
    }

    /// The name of the format in the kernel.
    pub(crate) fn filesystem(&self) -> &'static str {
        match self {
            Self::Ours { format: Format::Erofs, .. } | Self::MkfsErofs(_) => "erofs",
            Self::Ours { format: Format::Squashfs, .. } | Self::Mksquashfs(_) => "squashfs",
        }
    }

    /// The command of the peer that writes `image` from `tree`.
    pub(crate) fn peer(&self, tree: &Path, image: &Path) -> Option<Command> {
        match self {
            Self::Ours { .. } => None,
            Self::MkfsErofs(arguments) => {
                let mut command = sid("mkfs.erofs");
                command.args(["-T1700000000", "--all-root", "--quiet"]);
                command.args(["-U", "00000000-0000-4000-8000-000000000001"]);
                command.args(*arguments).arg(image).arg(tree);
                Some(command)
            }
            Self::Mksquashfs(arguments) => {
                let mut command = sid("mksquashfs");
                command.arg(tree).arg(image).args(["-noappend", "-all-root", "-no-progress", "-quiet"]);
                command.args(*arguments);
                Some(command)
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
        })
    }
}

/// The versions of the peers.
pub(crate) fn versions() -> Result<String> {
    let mut found = Vec::new();
    for (program, argument) in [("mkfs.erofs", "--version"), ("mksquashfs", "-version")] {
        let output = sid(program).arg(argument).output().context("cannot run a peer; run .ci/peers")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().next().unwrap_or_default();
        ensure!(!line.is_empty(), "{program} {argument} printed nothing");
        found.push(line.to_owned());
    }
    Ok(found.join(", "))
}

/// A program of Debian sid, run with its own loader and C library.
fn sid(program: &str) -> Command {
    let peers = std::env::var_os("PEERS_DIR").map_or_else(|| ".cache/peers".into(), PathBuf::from);
    let root = Path::new(CHECKOUT).join(peers).join("sid");
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(libraries).arg(root.join("usr/bin").join(program));
    command
}
