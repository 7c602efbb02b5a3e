//! A transfer file whose assignments were read, but not checked as a whole.

use std::time::Duration;

use super::{
    AUTO, Activate, Channel, EXTENSION_DIRECTORIES, HEALTH_TIMEOUT_DEFAULT, INSTANCES_MAX_DEFAULT,
    INSTANCES_MAX_SLOTS, Parsed, Partition, Place, RelativeTo, Source, SourceType, TRIES_LEFT_DEFAULT,
    Target, TargetType, Transfer, TransferError, Warning,
};
use crate::health::HealthCheck;
use crate::pattern::{Pattern, Patterns, Wildcard};
use crate::requirement::{Requirement, VersionRequirement};
use crate::url::is_url;
use crate::version::Version;

/// The values read so far. Those that are checked together keep their place.
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
    pub(super) source_relative_to: Option<(Place, RelativeTo)>,
    pub(super) source_patterns: Vec<Pattern>,
    pub(super) target_type: Option<(Place, TargetType)>,
    pub(super) target_path: Option<(Place, String)>,
    pub(super) target_relative_to: Option<(Place, RelativeTo)>,
    pub(super) target_patterns: Vec<Pattern>,
    pub(super) partition: Partition,
    pub(super) mode: Option<u32>,
    pub(super) instances_max: Option<u64>,
    pub(super) remove_temporary: Option<bool>,
    pub(super) current_symlink: Option<(Place, String)>,
    pub(super) read_only: Option<bool>,
    pub(super) tries_left: Option<(Place, u64)>,
    pub(super) tries_done: Option<(Place, u64)>,
    pub(super) repository: Option<String>,
    pub(super) activate: Option<Activate>,
    pub(super) health_checks: Vec<HealthCheck>,
    pub(super) health_timeout: Option<Duration>,
    pub(super) hold: bool,
    pub(super) mirrors: Vec<String>,
    pub(super) version: Option<VersionRequirement>,
    pub(super) max_version: Option<Version>,
    pub(super) channel: Option<Channel>,
    pub(super) requires: Vec<Requirement>,
    pub(super) bandwidth: Option<u64>,
}

impl Draft {
    /// Checks all values together; `name` is the transfer file's name.
    pub(super) fn finish(mut self, name: &str) -> Result<Parsed, TransferError> {
        let missing = |section, key| TransferError::Missing { file: name.to_owned(), section, key };
        let source_type = self.source_type.ok_or_else(|| missing("Source", "Type"))?;
        let (place, path) = self.source_path.ok_or_else(|| missing("Source", "Path"))?;
        let source_path = match source_type.is_remote() {
            true if is_url(&path) => path,
            true => return Err(TransferError::Url { place, value: path }),
            false => directory(place, path)?,
        };
        let source_relative_to = match self.source_relative_to {
            Some((place, relative_to)) if !starts_from(source_type, relative_to) => {
                return Err(TransferError::Base { place, value: relative_to, kind: source_type.as_str() });
            }
            other => other.map_or(RelativeTo::Root, |(_, relative_to)| relative_to),
        };
        let (place, path) = self.target_path.ok_or_else(|| missing("Target", "Path"))?;
        let target_type = match self.target_type {
            None => source_type.inferred_target(&path),
            Some((_, kind)) if source_type.fits(kind) => kind,
            Some((place, kind)) => {
                return Err(TransferError::Mismatch { place, source_type, target_type: kind });
            }
        };
        let target_path = match target_type {
            TargetType::Partition if path == AUTO => path,
            _ => directory(place, path)?,
        };
        let target_relative_to = match self.target_relative_to {
            Some((place, value)) if !may_hold(target_type, value) => {
                return Err(TransferError::Base { place, value, kind: target_type.as_str() });
            }
            other => other.map_or(RelativeTo::Root, |(_, relative_to)| relative_to),
        };
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
        let current_symlink = match self.current_symlink {
            Some((_, symlink)) if symlink.starts_with('/') => Some(symlink),
            Some((place, value)) if target_type == TargetType::Partition => {
                return Err(TransferError::Path { place, value });
            }
            Some((_, symlink)) => Some(format!("{}/{symlink}", target_path.trim_end_matches('/'))),
            None => None,
        };
        let tries_left = self.tries_left.map(|(_, number)| number);
        let tries_done = self.tries_done.map(|(_, number)| number);
        let default = |wildcard, number| target_patterns.uses(wildcard).then_some(number);
        let tries_left = tries_left.or_else(|| default(Wildcard::TriesLeft, TRIES_LEFT_DEFAULT));
        let tries_done = tries_done.or_else(|| default(Wildcard::TriesDone, 0));
        let instances_max = self.instances_max.unwrap_or(match target_type {
            TargetType::Partition => INSTANCES_MAX_SLOTS,
            TargetType::RegularFile | TargetType::Directory | TargetType::Subvolume => INSTANCES_MAX_DEFAULT,
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
            source: Source {
                kind: source_type,
                path: source_path,
                relative_to: source_relative_to,
                patterns: source_patterns,
            },
            target: Target {
                kind: target_type,
                path: target_path,
                relative_to: target_relative_to,
                patterns: target_patterns,
                mode: self.mode,
                instances_max,
                remove_temporary: self.remove_temporary.unwrap_or(true),
                current_symlink,
                read_only: self.read_only,
                tries_left,
                tries_done,
                partition: self.partition,
            },
            repository: self.repository,
            activate,
            health_checks: self.health_checks,
            health_timeout: self.health_timeout.unwrap_or(HEALTH_TIMEOUT_DEFAULT),
            hold: self.hold,
            mirrors: self.mirrors,
            version: self.version,
            max_version: self.max_version,
            channel: self.channel,
            requires: self.requires,
            bandwidth: self.bandwidth,
        };
        Ok(Parsed { transfer, warnings: self.warnings })
    }
}

/// Whether a source's path may be relative to a base.
fn starts_from(kind: SourceType, relative_to: RelativeTo) -> bool {
    match relative_to {
        RelativeTo::Root => true,
        RelativeTo::Explicit => !kind.is_remote(),
        RelativeTo::Esp | RelativeTo::Xbootldr | RelativeTo::Boot => {
            matches!(kind, SourceType::RegularFile | SourceType::Directory)
        }
    }
}

/// Whether a target's path may be relative to a base.
fn may_hold(kind: TargetType, relative_to: RelativeTo) -> bool {
    match relative_to {
        RelativeTo::Root => true,
        RelativeTo::Explicit => false,
        RelativeTo::Esp | RelativeTo::Xbootldr | RelativeTo::Boot => {
            matches!(kind, TargetType::RegularFile | TargetType::Directory)
        }
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
