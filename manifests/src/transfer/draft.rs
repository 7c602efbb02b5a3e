//! A transfer file between its assignments and the whole.

use std::time::Duration;

use super::{
    Activate, EXTENSION_DIRECTORIES, HEALTH_TIMEOUT_DEFAULT, HealthCheck, INSTANCES_MAX_DEFAULT, Parsed,
    Place, Source, SourceType, Target, TargetType, Transfer, TransferError, Warning,
};
use crate::pattern::{Pattern, Patterns, Wildcard};
use crate::version::Version;

/// A file as far as it has been read. What must be looked at as a whole keeps its place.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) warnings: Vec<Warning>,
    pub(super) ours: bool,
    pub(super) min_version: Option<Version>,
    pub(super) protect_versions: Vec<Version>,
    pub(super) verify: Option<bool>,
    pub(super) features: Vec<String>,
    pub(super) requisite_features: Vec<String>,
    pub(super) changelog: Vec<String>,
    pub(super) appstream: Vec<String>,
    pub(super) source_type: Option<SourceType>,
    pub(super) source_path: Option<(Place, String)>,
    pub(super) source_patterns: Vec<Pattern>,
    pub(super) target_type: Option<TargetType>,
    pub(super) target_path: Option<(Place, String)>,
    pub(super) target_patterns: Vec<Pattern>,
    pub(super) mode: Option<u32>,
    pub(super) instances_max: Option<u64>,
    pub(super) remove_temporary: Option<bool>,
    pub(super) current_symlink: Option<String>,
    pub(super) read_only: Option<bool>,
    pub(super) tries_left: Option<(Place, u64)>,
    pub(super) tries_done: Option<(Place, u64)>,
    pub(super) repository: Option<String>,
    pub(super) activate: Option<Activate>,
    pub(super) health_checks: Vec<HealthCheck>,
    pub(super) health_timeout: Option<Duration>,
    pub(super) hold: bool,
}

impl Draft {
    /// Looks at all of it; `name` is the transfer file's name.
    pub(super) fn finish(mut self, name: &str) -> Result<Parsed, TransferError> {
        let missing = |section, key| TransferError::Missing { file: name.to_owned(), section, key };
        let source_type = self.source_type.ok_or_else(|| missing("Source", "Type"))?;
        let (place, path) = self.source_path.ok_or_else(|| missing("Source", "Path"))?;
        let source_path = match source_type {
            SourceType::UrlFile if is_url(&path) => path,
            SourceType::UrlFile => return Err(TransferError::Url { place, value: path }),
            SourceType::RegularFile => directory(place, path)?,
        };
        let (place, path) = self.target_path.ok_or_else(|| missing("Target", "Path"))?;
        // Without Type=, systemd takes a device for a partition
        let target_type = match self.target_type {
            None if path == "/dev" || path.starts_with("/dev/") => {
                return Err(TransferError::Partition { place, path });
            }
            None => TargetType::RegularFile,
            Some(kind) => kind,
        };
        let target_path = directory(place, path)?;
        let source_patterns =
            Patterns::new(self.source_patterns).map_err(|_| missing("Source", "MatchPattern"))?;
        let target_patterns =
            Patterns::new(self.target_patterns).unwrap_or_else(|_| source_patterns.of_target());

        for (value, wildcard) in
            [(&self.tries_left, Wildcard::TriesLeft), (&self.tries_done, Wildcard::TriesDone)]
        {
            if let Some((place, _)) = value.as_ref().filter(|_| !target_patterns.uses(wildcard)) {
                self.warnings.push(Warning::NoWildcard { place: place.clone(), wildcard });
            }
        }
        let current_symlink = self.current_symlink.map(|symlink| match symlink.strip_prefix('/') {
            Some(_) => symlink,
            None => format!("{}/{symlink}", target_path.trim_end_matches('/')),
        });
        let activate = self.activate.unwrap_or_else(|| match &current_symlink {
            Some(symlink) if self.ours && is_extension(symlink) => Activate::Refresh,
            _ => Activate::None,
        });
        let transfer = Transfer {
            id: id(name),
            min_version: self.min_version,
            protect_versions: self.protect_versions,
            verify: self.verify.unwrap_or(true),
            features: self.features,
            requisite_features: self.requisite_features,
            changelog: self.changelog,
            appstream: self.appstream,
            source: Source { kind: source_type, path: source_path, patterns: source_patterns },
            target: Target {
                kind: target_type,
                path: target_path,
                patterns: target_patterns,
                mode: self.mode,
                instances_max: self.instances_max.unwrap_or(INSTANCES_MAX_DEFAULT),
                remove_temporary: self.remove_temporary.unwrap_or(true),
                current_symlink,
                read_only: self.read_only,
                tries_left: self.tries_left.map(|(_, number)| number),
                tries_done: self.tries_done.map(|(_, number)| number),
            },
            repository: self.repository,
            activate,
            health_checks: self.health_checks,
            health_timeout: self.health_timeout.unwrap_or(HEALTH_TIMEOUT_DEFAULT),
            hold: self.hold,
        };
        Ok(Parsed { transfer, warnings: self.warnings })
    }
}

/// A file's name without its directory and its ending.
fn id(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_suffix(".transfer").or_else(|| name.strip_suffix(".conf")).unwrap_or(name).to_owned()
}

fn is_extension(symlink: &str) -> bool {
    symlink.rsplit_once('/').is_some_and(|(directory, _)| EXTENSION_DIRECTORIES.contains(&directory))
}

/// An absolute and normalized path, without the slash at its end.
fn directory(place: Place, value: String) -> Result<String, TransferError> {
    let normalized = |path: &str| !path.split('/').any(|part| matches!(part, "" | "." | ".."));
    let trimmed = value.strip_suffix('/').unwrap_or(&value);
    match trimmed.strip_prefix('/') {
        _ if value == "/" => Ok(value),
        Some(rest) if normalized(rest) => Ok(trimmed.to_owned()),
        _ => Err(TransferError::Path { place, value }),
    }
}

/// A URL that stock downloads from.
pub(super) fn is_url(value: &str) -> bool {
    let clean = value.bytes().all(|byte| byte.is_ascii_graphic());
    let remote = ["http://", "https://"].iter().find_map(|scheme| value.strip_prefix(scheme));
    let local = value.strip_prefix("file://");
    clean
        && (remote.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#']))
            || local.is_some_and(|path| path.starts_with('/')))
}
