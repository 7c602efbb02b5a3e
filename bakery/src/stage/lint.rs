//! What an extension must not contain: each of these was shipped by some extension and broke hosts.

use std::fmt;
use std::path::{Path, PathBuf};

use sysext_image::Tree;
use sysext_image::tree::{Kind, Node};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::health::HealthCheck;

use super::RELEASES;
use super::elf::Machine;
use crate::failure::Hint;
use crate::recipe::Recipe;

/// Directories that are symbolic links to `bin` on hosts such as Flatcar and Fedora: the overlay would put a directory
/// in place of the link and hide every program behind it. `/usr/lib64` is not one of them: it is a
/// directory on Debian, Fedora and Flatcar.
const LINKS_ON_HOSTS: [&str; 2] = ["usr/sbin", "usr/local/sbin"];

/// Directories of hosts that a file or link would hide.
const DIRECTORIES_ON_HOSTS: [&str; 5] = ["usr/bin", "usr/lib", "usr/lib64", "usr/local", "usr/share"];

/// Where systemd looks for units of an extension.
const UNIT_DIRECTORIES: [&str; 4] = [
    "usr/lib/systemd/system",
    "usr/lib/systemd/user",
    "usr/local/lib/systemd/system",
    "usr/local/lib/systemd/user",
];

/// Something that must not be in an extension, or that is missing in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Outside the directories that can be extended.
    Outside {
        path: PathBuf,
    },
    /// The host's identity.
    OsRelease {
        path: PathBuf,
    },
    /// A directory in place of the host's symbolic link.
    HidesLink {
        path: PathBuf,
    },
    /// A file or link in place of the host's directory.
    HidesDirectory {
        path: PathBuf,
    },
    /// A drop-in that systemd does not read.
    DropIn {
        path: PathBuf,
    },
    /// The extension-release file of another extension.
    OtherRelease {
        path: PathBuf,
        expected: String,
    },
    /// A program or library for another architecture.
    Machine {
        path: PathBuf,
        found: Machine,
        architecture: Architecture,
    },
    Empty,
    /// A health check whose program is not in the extension.
    Check {
        program: String,
        found: &'static str,
    },
    /// A unit to restart that is not in the extension.
    Unit {
        unit: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside { path } => {
                write!(f, "/{}: only /usr and /opt can be extended", path.display())
            }
            Self::OsRelease { path } => {
                write!(f, "/{}: would replace the host's os-release; systemd refuses that", path.display())
            }
            Self::HidesLink { path } => {
                write!(
                    f,
                    "/{}: is a directory here, but a symlink to bin on Flatcar and Fedora: the programs behind that link would \
                     be hidden",
                    path.display()
                )
            }
            Self::HidesDirectory { path } => {
                write!(f, "/{}: is not a directory and would hide the host's directory", path.display())
            }
            Self::DropIn { path } => {
                write!(f, "/{}: systemd reads only drop-ins that end in .conf", path.display())
            }
            Self::OtherRelease { path, expected } => {
                write!(f, "/{}: only {expected} may be in this directory", path.display())
            }
            Self::Machine { path, found, architecture } => {
                write!(f, "/{}: is for {found}, not for {architecture}", path.display())
            }
            Self::Empty => f.write_str("the tree contains no files"),
            Self::Check { program, found } => {
                write!(f, "a health check runs {program}, which is {found} in the extension")
            }
            Self::Unit { unit } => write!(f, "units.restart names {unit}, which is not in the extension"),
        }
    }
}

impl Hint for Problem {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Outside { path } if path.starts_with("etc") || path.starts_with("var") => {
                "ship a default below usr/share and let a tmpfiles.d entry copy it".to_owned()
            }
            Self::Outside { .. } => "move it below usr".to_owned(),
            Self::HidesLink { path } => {
                format!("move its contents to {}", path.with_file_name("bin").display())
            }
            Self::DropIn { path } => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                format!("rename it to {name}.conf")
            }
            Self::Check { .. } => "health checks may only run programs of the extension".to_owned(),
            Self::Machine { .. } => "build it for that architecture, or bake with another --arch".to_owned(),
            Self::OsRelease { .. } => "remove it".to_owned(),
            Self::Empty => "lay out the files as on the host, all below usr or opt".to_owned(),
            Self::HidesDirectory { .. } | Self::OtherRelease { .. } | Self::Unit { .. } => return None,
        })
    }
}

/// All problems of a tree, in its order.
pub(super) fn lint(tree: &Tree, recipe: &Recipe) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut is_empty = true;
    for entry in tree.entries() {
        problems.extend(look(&entry.path, entry.node, &recipe.name));
        is_empty &= matches!(entry.node.kind, Kind::Directory(_)) || entry.path.starts_with(RELEASES);
    }
    if is_empty {
        problems.push(Problem::Empty);
    }
    for check in &recipe.health {
        let HealthCheck::Exec { argv } = check else { continue };
        let Some(program) = argv.first() else { continue };
        if let Some(found) = why_not_runnable(tree, program) {
            problems.push(Problem::Check { program: program.clone(), found });
        }
    }
    let missing = recipe.units.restart.iter().filter(|unit| !has_unit(tree, unit));
    problems.extend(missing.map(|unit| Problem::Unit { unit: unit.clone() }));
    problems
}

fn look(path: &Path, node: &Node, name: &str) -> Option<Problem> {
    let is_directory = matches!(node.kind, Kind::Directory(_));
    let is_any = |paths: &[&str]| paths.iter().any(|other| path == Path::new(other));
    let here = || path.to_owned();
    let is_top = path.components().count() == 1;
    if is_top && !(is_directory && is_any(&["usr", "opt"])) {
        return Some(Problem::Outside { path: here() });
    }
    if is_any(&["usr/lib/os-release", "usr/lib/initrd-release"]) {
        return Some(Problem::OsRelease { path: here() });
    }
    if is_directory && is_any(&LINKS_ON_HOSTS) {
        return Some(Problem::HidesLink { path: here() });
    }
    if !is_directory && is_any(&DIRECTORIES_ON_HOSTS) {
        return Some(Problem::HidesDirectory { path: here() });
    }
    let parent = path.parent()?;
    let is_drop_in = parent.extension().is_some_and(|extension| extension == "d")
        && parent
            .parent()
            .is_some_and(|above| UNIT_DIRECTORIES.iter().any(|units| above == Path::new(units)));
    if is_drop_in && !is_directory && path.extension().is_none_or(|extension| extension != "conf") {
        return Some(Problem::DropIn { path: here() });
    }
    let expected = format!("extension-release.{name}");
    if parent == Path::new(RELEASES) && path.file_name().is_none_or(|file| file != expected.as_str()) {
        return Some(Problem::OtherRelease { path: here(), expected });
    }
    None
}

/// Why a check could not run a program. A link may lead to a program of the host.
fn why_not_runnable(tree: &Tree, program: &str) -> Option<&'static str> {
    match tree.get(program.trim_start_matches('/')) {
        None => Some("not"),
        Some(Node { kind: Kind::Directory(_), .. }) => Some("a directory"),
        Some(Node { kind: Kind::File(_), metadata }) if metadata.mode & 0o111 == 0 => Some("not executable"),
        Some(_) => None,
    }
}

fn has_unit(tree: &Tree, unit: &str) -> bool {
    // `getty@tty1.service` is an instance of `getty@.service`
    let template = unit.split_once('@').and_then(|(prefix, instance)| {
        let (_, kind) = instance.rsplit_once('.')?;
        Some(format!("{prefix}@.{kind}"))
    });
    let exists =
        |name: &str| UNIT_DIRECTORIES.iter().any(|units| tree.get(Path::new(units).join(name)).is_some());
    exists(unit) || template.is_some_and(|template| exists(&template))
}
