//! Decides which images are merged, from their contents.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::extension_release::{ExtensionRelease, Scope};
use sysext_manifests::os_release::OsRelease;

use super::examine::{Access, HIERARCHIES, ImageContent, ImageEntryKind, RELEASES, ReleaseNaming};
use super::quarantine::{HostKind, QuarantineReason, Quarantined};
use super::report::Warning;

#[cfg(test)]
mod tests;

/// The rights to read and enter a directory.
const READABLE: u32 = 0o555;

/// An extension with this file would replace the identity of the host.
const OS_RELEASE: &str = "usr/lib/os-release";

/// An image and its contents.
#[derive(Clone, Debug)]
pub(super) struct Examined {
    /// The extension.
    pub name: String,
    /// The path of the image, as the target system sees it.
    pub path: PathBuf,
    /// Its contents, or why they are unknown.
    pub outcome: Result<ImageContent, QuarantineReason>,
}

/// The facts about the host that the decision depends on.
#[derive(Clone, Debug)]
pub(super) struct HostFacts {
    /// Its os-release.
    pub os_release: OsRelease,
    /// Its processor.
    pub architecture: Architecture,
    /// Whether it has booted.
    pub scope: Scope,
    /// Its files at the paths that extensions contain. A path that is not listed does not exist.
    pub entries: HashMap<PathBuf, HostEntry>,
}

/// What the host has at a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostEntry {
    /// What it is.
    pub kind: HostKind,
    /// Who may use it.
    pub access: Access,
}

/// An image that is merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// The extension.
    pub name: String,
    /// The path of the image, as the target system sees it.
    pub path: PathBuf,
    /// The hierarchies that it has files in: `usr`, `opt`.
    pub hierarchies: Vec<&'static str>,
    /// Whether adding or removing it requires a reload of systemd.
    pub reload: Reload,
}

/// Whether adding or removing an extension requires a reload of systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reload {
    /// No reload.
    NotNeeded,
    /// `EXTENSION_RELOAD_MANAGER=1`.
    Asked,
}

/// Decides. The images are given in the order of layers, lowest first; of two that cannot be merged
/// together the later one is skipped.
pub(super) fn admit(examined: &[Examined], host: &HostFacts) -> (Vec<Layer>, Vec<Quarantined>) {
    let mut layers = Vec::new();
    let mut quarantined = Vec::new();
    let mut claims = Claims::default();
    for image in examined {
        let Examined { name, path, outcome } = image;
        let fits = outcome.as_ref().map_err(Clone::clone).and_then(|content| {
            let reload = check_release(name, content, host)?;
            check_host(content, host)?;
            claims.check(content)?;
            Ok((content, reload))
        });
        match fits {
            Ok((content, reload)) => {
                claims.add(name, content);
                let hierarchies =
                    HIERARCHIES.into_iter().filter(|hierarchy| content.ships(hierarchy)).collect();
                layers.push(Layer { name: name.clone(), path: path.clone(), hierarchies, reload });
            }
            Err(reason) => {
                quarantined.push(Quarantined { name: name.clone(), path: path.clone(), reason });
            }
        }
    }
    (layers, quarantined)
}

fn check_release(name: &str, content: &ImageContent, host: &HostFacts) -> Result<Reload, QuarantineReason> {
    // `NAME_1.2` is version 1.2 of NAME.
    let base = name.split_once('_').map_or(name, |(base, _)| base);
    let exact = content.releases.iter().find(|file| file.name == name);
    let release = match exact {
        Some(release) => release,
        None => {
            let mut other = content
                .releases
                .iter()
                .filter(|file| file.name == base || file.naming == ReleaseNaming::Free);
            match (other.next(), other.next()) {
                (Some(release), None) => release,
                _ if content.releases.is_empty() => return Err(QuarantineReason::ReleaseMissing),
                _ => {
                    let found = content.releases.iter().map(|file| file.name.clone()).collect();
                    return Err(QuarantineReason::ReleaseName { found });
                }
            }
        }
    };
    let (release, _) = ExtensionRelease::parse(&release.text).map_err(incompatible)?;
    release.matches(&host.os_release, host.architecture, host.scope).map_err(incompatible)?;
    if content.entries.iter().any(|entry| entry.path == Path::new(OS_RELEASE)) {
        return Err(QuarantineReason::CarriesOsRelease);
    }
    Ok(if release.reloads_manager() { Reload::Asked } else { Reload::NotNeeded })
}

fn incompatible(error: impl std::error::Error) -> QuarantineReason {
    QuarantineReason::Incompatible { reason: error.to_string() }
}

/// A directory over a link hides everything the link leads to (`/usr/sbin` on a merged-bin host), a
/// link or file over a directory hides everything in it.
fn check_host(content: &ImageContent, host: &HostFacts) -> Result<(), QuarantineReason> {
    for entry in &content.entries {
        let found = host.entries.get(&entry.path);
        if let (Some(ours), Some(HostEntry { kind: HostKind::Directory, access })) = (entry.access, found) {
            let (mode, host) = (ours.mode, access.mode);
            // What is merged is read-only, whatever the mode says
            if host & !mode & READABLE != 0 {
                let path = Path::new("/").join(&entry.path);
                return Err(QuarantineReason::TakesRight { path, mode, host });
            }
        }
        let hidden = match (entry.kind, found.map(|found| &found.kind)) {
            (ImageEntryKind::Directory, Some(kind @ (HostKind::Link | HostKind::File))) => kind,
            (ImageEntryKind::File, Some(kind @ HostKind::Directory)) => kind,
            _ => continue,
        };
        let path = Path::new("/").join(&entry.path);
        return Err(QuarantineReason::HidesHost { path, host: *hidden });
    }
    Ok(())
}

/// The directories of an image whose mode or owner differs from the host's, which the merge replaces.
pub(super) fn differences(image: &Examined, host: &HostFacts) -> Option<Warning> {
    let content = image.outcome.as_ref().ok()?;
    let mut differing = content.entries.iter().filter(|entry| match host.entries.get(&entry.path) {
        Some(HostEntry { kind: HostKind::Directory, access }) => {
            entry.access.is_some_and(|ours| ours != *access)
        }
        Some(_) | None => false,
    });
    let first = differing.next()?;
    let (image_has, host_has) = (first.access?, host.entries.get(&first.path)?.access);
    Some(Warning::Directory {
        extension: image.name.clone(),
        path: Path::new("/").join(&first.path),
        image: image_has.to_string(),
        host: host_has.to_string(),
        others: differing.count(),
    })
}

/// The extension that contains each path. Directories may be shared, files may not.
#[derive(Default)]
struct Claims<'a> {
    paths: HashMap<&'a Path, (&'a str, ImageEntryKind)>,
}

impl<'a> Claims<'a> {
    fn check(&self, content: &ImageContent) -> Result<(), QuarantineReason> {
        for entry in &content.entries {
            let Some((with, kind)) = self.paths.get(entry.path.as_path()) else { continue };
            let both_directories =
                *kind == ImageEntryKind::Directory && entry.kind == ImageEntryKind::Directory;
            // Extension-release files are read before the merge, so that they may hide each other
            let release = entry.path.parent() == Some(Path::new(RELEASES));
            if !both_directories && !release {
                let path = Path::new("/").join(&entry.path);
                return Err(QuarantineReason::Collides { path, with: (*with).to_owned() });
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &'a str, content: &'a ImageContent) {
        for entry in &content.entries {
            self.paths.entry(&entry.path).or_insert((name, entry.kind));
        }
    }
}
