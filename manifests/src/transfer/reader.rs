//! Reads transfer files: assignments one by one into a draft, then the draft as a whole.

use std::time::Duration;

use super::keys::{self, Known};
use super::words::{self, Quotes};
use super::{
    Activate, EXTENSION_DIRECTORIES, HEALTH_TIMEOUT_DEFAULT, HealthCheck, INSTANCES_MAX_DEFAULT,
    INSTANCES_MAX_FLOOR, Parsed, Place, Source, SourceType, Target, TargetType, Transfer, TransferError,
    Warning, parse_span,
};
use crate::ini::{self, Entry};
use crate::pattern::{Pattern, Patterns, Wildcard};
use crate::specifier::{self, Identity};
use crate::version::Version;

/// The bits a mode can have.
const MODE_MAX: u32 = 0o7777;

pub(super) fn parse(
    name: &str,
    text: &str,
    drop_ins: &[(&str, &str)],
    identity: &Identity,
) -> Result<Parsed, TransferError> {
    let mut draft = Draft::default();
    for (file, text) in std::iter::once(&(name, text)).chain(drop_ins) {
        let ini = ini::parse(file, text)?;
        let mut reader = Reader { file, identity, draft: &mut draft };
        reader.draft.warnings.extend(ini.warnings.into_iter().map(Warning::Ini));
        for section in &ini.sections {
            reader.section(&section.name, section.line);
        }
        for entry in &ini.entries {
            reader.entry(entry)?;
        }
    }
    draft.finish(name)
}

/// A file as far as it has been read. What must be looked at as a whole keeps its place.
#[derive(Default)]
struct Draft {
    warnings: Vec<Warning>,
    ours: bool,
    min_version: Option<Version>,
    protect_versions: Vec<Version>,
    verify: Option<bool>,
    features: Vec<String>,
    requisite_features: Vec<String>,
    changelog: Vec<String>,
    appstream: Vec<String>,
    source_type: Option<SourceType>,
    source_path: Option<(Place, String)>,
    source_patterns: Vec<Pattern>,
    target_type: Option<TargetType>,
    target_path: Option<(Place, String)>,
    target_patterns: Vec<Pattern>,
    mode: Option<u32>,
    instances_max: Option<u64>,
    remove_temporary: Option<bool>,
    current_symlink: Option<String>,
    read_only: Option<bool>,
    tries_left: Option<(Place, u64)>,
    tries_done: Option<(Place, u64)>,
    repository: Option<String>,
    activate: Option<Activate>,
    health_checks: Vec<HealthCheck>,
    health_timeout: Option<Duration>,
    hold: bool,
}

struct Reader<'a> {
    file: &'a str,
    identity: &'a Identity,
    draft: &'a mut Draft,
}

impl Reader<'_> {
    fn warn(&mut self, warning: Warning) {
        self.draft.warnings.push(warning);
    }

    fn section(&mut self, name: &str, line: usize) {
        self.draft.ours |= name == keys::OURS;
        let meant = keys::meant_section(name);
        // Sections of other programs are theirs, unless one looks like ours misspelt
        if keys::section(name).is_some() || (name.starts_with("X-") && meant.is_none()) {
            return;
        }
        let (file, section) = (self.file.to_owned(), name.to_owned());
        self.warn(Warning::UnknownSection { file, line, section, meant });
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), TransferError> {
        let Some(section) = keys::section(&entry.section) else { return Ok(()) };
        let key = entry.key.as_str();
        let place = Place { file: self.file.to_owned(), line: entry.line, section, key: key.to_owned() };
        match keys::find(section, key) {
            Some(Known::Read) => self.value(place, &entry.value),
            Some(Known::Unsupported) => {
                self.warn(Warning::Unsupported { place });
                Ok(())
            }
            None if key.starts_with("X-") => Ok(()),
            None => {
                let meant = keys::meant_key(section, key);
                self.warn(Warning::UnknownKey { place, meant });
                Ok(())
            }
        }
    }

    fn value(&mut self, place: Place, value: &str) -> Result<(), TransferError> {
        let key = place.key.clone();
        match (place.section, key.as_str()) {
            ("Transfer", "MinVersion") => {
                if value.is_empty() {
                    self.draft.min_version = None;
                } else if let Some(version) = self.version(place, value) {
                    self.draft.min_version = Some(version);
                }
            }
            ("Transfer", "ProtectVersion") => {
                if value.is_empty() {
                    self.draft.protect_versions.clear();
                } else if let Some(version) = self.version(place, value) {
                    self.draft.protect_versions.push(version);
                }
            }
            ("Transfer", "Verify") => self.boolean(place, value, |draft| &mut draft.verify),
            ("Transfer", "ChangeLog") => self.urls(place, value, |draft| &mut draft.changelog),
            ("Transfer", "AppStream") => self.urls(place, value, |draft| &mut draft.appstream),
            ("Transfer", "Features") => self.words(place, value, |draft| &mut draft.features),
            ("Transfer", "RequisiteFeatures") => {
                self.words(place, value, |draft| &mut draft.requisite_features);
            }
            ("Source", "Type") => {
                self.draft.source_type = match value {
                    "" => None,
                    "url-file" => Some(SourceType::UrlFile),
                    "regular-file" => Some(SourceType::RegularFile),
                    _ => return Err(TransferError::SourceType { place, value: value.to_owned() }),
                }
            }
            ("Target", "Type") => {
                self.draft.target_type = match value {
                    "" => None,
                    "regular-file" => Some(TargetType::RegularFile),
                    _ => return Err(TransferError::TargetType { place, value: value.to_owned() }),
                }
            }
            ("Source", "Path") => self.draft.source_path = self.path(place, value)?,
            ("Target", "Path") => self.draft.target_path = self.path(place, value)?,
            (_, "PathRelativeTo") => {
                if !matches!(value, "" | "root") {
                    return Err(TransferError::PathRelativeTo { place, value: value.to_owned() });
                }
            }
            ("Source", "MatchPattern") => self.patterns(place, value, |draft| &mut draft.source_patterns)?,
            ("Target", "MatchPattern") => self.patterns(place, value, |draft| &mut draft.target_patterns)?,
            ("Target", "Mode") => self.mode(place, value),
            ("Target", "InstancesMax") => self.instances_max(place, value),
            ("Target", "RemoveTemporary") => self.boolean(place, value, |draft| &mut draft.remove_temporary),
            ("Target", "ReadOnly") => self.boolean(place, value, |draft| &mut draft.read_only),
            ("Target", "CurrentSymlink") => self.current_symlink(place, value),
            ("Target", "TriesLeft") => {
                if let Some(number) = self.number(&place, value) {
                    self.draft.tries_left = number.map(|number| (place, number));
                }
            }
            ("Target", "TriesDone") => {
                if let Some(number) = self.number(&place, value) {
                    self.draft.tries_done = number.map(|number| (place, number));
                }
            }
            (keys::OURS, _) => self.ours(place, value)?,
            // keys::find() has let nothing else through
            _ => self.warn(Warning::Unsupported { place }),
        }
        Ok(())
    }

    /// Our own section: a mistake here stops the transfer, since guessing would update what should not be.
    fn ours(&mut self, place: Place, value: &str) -> Result<(), TransferError> {
        match place.key.as_str() {
            "Repository" => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                if value.starts_with('.') || value.len() > 64 || !value.chars().all(allowed) {
                    return Err(TransferError::Repository { place, value: value.to_owned() });
                }
                self.draft.repository = (!value.is_empty()).then(|| value.to_owned());
            }
            "Activate" => {
                self.draft.activate = match value {
                    "" => None,
                    "refresh" => Some(Activate::Refresh),
                    "none" => Some(Activate::None),
                    _ => return Err(TransferError::Activate { place, value: value.to_owned() }),
                }
            }
            "HealthCheck" if value.is_empty() => self.draft.health_checks.clear(),
            "HealthCheck" => match HealthCheck::parse(value) {
                Ok((check, unknown_escapes)) => {
                    self.draft.health_checks.push(check);
                    self.unknown_escapes(&place, unknown_escapes);
                }
                Err(reason) => return Err(TransferError::HealthCheck { place, reason: Box::new(reason) }),
            },
            "HealthTimeout" if value.is_empty() => self.draft.health_timeout = None,
            "HealthTimeout" => match parse_span(value) {
                Ok(Duration::ZERO) => self.warn(Warning::ZeroSpan { place }),
                Ok(span) => self.draft.health_timeout = Some(span),
                Err(reason) => self.warn(Warning::Span { place, reason }),
            },
            "Hold" if value.is_empty() => self.draft.hold = false,
            "Hold" => {
                self.draft.hold = ini::boolean(value)
                    .ok_or_else(|| TransferError::Hold { place, value: value.to_owned() })?;
            }
            _ => self.warn(Warning::Unsupported { place }),
        }
        Ok(())
    }

    fn expand(&mut self, place: &Place, value: &str) -> Option<String> {
        match specifier::expand(value, self.identity) {
            Ok(expanded) => Some(expanded),
            Err(reason) => {
                self.warn(Warning::Specifier { place: place.clone(), reason });
                None
            }
        }
    }

    fn version(&mut self, place: Place, value: &str) -> Option<Version> {
        match self.expand(&place, value)?.parse() {
            Ok(version) => Some(version),
            Err(reason) => {
                self.warn(Warning::Version { place, reason });
                None
            }
        }
    }

    fn boolean(&mut self, place: Place, value: &str, field: fn(&mut Draft) -> &mut Option<bool>) {
        if value.is_empty() {
            *field(self.draft) = None;
        } else if let Some(boolean) = ini::boolean(value) {
            *field(self.draft) = Some(boolean);
        } else {
            self.warn(Warning::Boolean { place, value: value.to_owned() });
        }
    }

    /// The inner nothing is an empty value, the outer one a wrong value.
    fn number(&mut self, place: &Place, value: &str) -> Option<Option<u64>> {
        if value.is_empty() {
            return Some(None);
        }
        // `+3` is a number to Rust and a slip of the pen here
        match value.parse().ok().filter(|_| !value.starts_with('+')) {
            Some(number) => Some(Some(number)),
            None => {
                self.warn(Warning::Number { place: place.clone(), value: value.to_owned() });
                None
            }
        }
    }

    fn urls(&mut self, place: Place, value: &str, field: fn(&mut Draft) -> &mut Vec<String>) {
        if value.is_empty() {
            field(self.draft).clear();
        } else if let Some(value) = self.expand(&place, value) {
            if is_url(&value) {
                field(self.draft).push(value);
            } else {
                self.warn(Warning::Url { place, value });
            }
        }
    }

    fn words(&mut self, place: Place, value: &str, field: fn(&mut Draft) -> &mut Vec<String>) {
        if value.is_empty() {
            field(self.draft).clear();
            return;
        }
        match words::split(value, Quotes::Group) {
            Ok(words) => {
                field(self.draft).extend(words.words);
                self.unknown_escapes(&place, words.unknown_escapes);
            }
            Err(reason) => self.warn(Warning::Words { place, reason }),
        }
    }

    fn unknown_escapes(&mut self, place: &Place, escapes: Vec<String>) {
        for escape in escapes {
            self.warn(Warning::UnknownEscape { place: place.clone(), escape });
        }
    }

    fn path(&mut self, place: Place, value: &str) -> Result<Option<(Place, String)>, TransferError> {
        match specifier::expand(value, self.identity) {
            Ok(path) => Ok((!path.is_empty()).then_some((place, path))),
            Err(reason) => Err(TransferError::Specifier { place, reason }),
        }
    }

    fn patterns(
        &mut self,
        place: Place,
        value: &str,
        field: fn(&mut Draft) -> &mut Vec<Pattern>,
    ) -> Result<(), TransferError> {
        if value.is_empty() {
            field(self.draft).clear();
            return Ok(());
        }
        let split = match words::split(value, Quotes::Literal) {
            Ok(split) => split,
            Err(reason) => return Err(TransferError::Words { place, reason }),
        };
        for word in split.words {
            let expanded = specifier::expand(&word, self.identity)
                .map_err(|reason| TransferError::Specifier { place: place.clone(), reason })?;
            let pattern =
                expanded.parse().map_err(|reason| TransferError::Pattern { place: place.clone(), reason })?;
            field(self.draft).push(pattern);
        }
        Ok(())
    }

    fn mode(&mut self, place: Place, value: &str) {
        if value.is_empty() {
            self.draft.mode = None;
            return;
        }
        let octal = value.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        match u32::from_str_radix(value, 8).ok().filter(|mode| octal && *mode <= MODE_MAX) {
            Some(mode) => self.draft.mode = Some(mode),
            None => self.warn(Warning::Mode { place, value: value.to_owned() }),
        }
    }

    fn instances_max(&mut self, place: Place, value: &str) {
        match self.number(&place, value) {
            None => {}
            Some(None | Some(0)) => self.draft.instances_max = None,
            Some(Some(number)) => {
                self.draft.instances_max = Some(number.max(INSTANCES_MAX_FLOOR));
                if number < INSTANCES_MAX_FLOOR {
                    self.warn(Warning::InstancesMax { place, value: number });
                }
            }
        }
    }

    fn current_symlink(&mut self, place: Place, value: &str) {
        if value.is_empty() {
            self.draft.current_symlink = None;
        } else if let Some(value) = self.expand(&place, value) {
            match simplify(&value) {
                Some(path) => self.draft.current_symlink = Some(path),
                None => self.warn(Warning::Symlink { place, value }),
            }
        }
    }
}

impl Draft {
    fn finish(mut self, name: &str) -> Result<Parsed, TransferError> {
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
        let target_patterns = Patterns::new(self.target_patterns).unwrap_or_else(|_| source_patterns.clone());

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

fn is_url(value: &str) -> bool {
    let clean = value.bytes().all(|byte| byte.is_ascii_graphic());
    let remote = ["http://", "https://"].iter().find_map(|scheme| value.strip_prefix(scheme));
    let local = value.strip_prefix("file://");
    clean
        && (remote.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#']))
            || local.is_some_and(|path| path.starts_with('/')))
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

/// A path without empty and `.` parts; nothing if it goes up or names no file.
fn simplify(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() || parts.contains(&"..") {
        return None;
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    Some(format!("{root}{}", parts.join("/")))
}
