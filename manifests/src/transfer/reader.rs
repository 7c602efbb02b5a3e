//! Reads the assignments of transfer files into a draft.

use std::time::Duration;

use super::draft::Draft;
use super::keys;
use super::{
    Activate, Channel, INSTANCES_MAX_FLOOR, Parsed, PartitionType, Place, RelativeTo, SourceType, TargetType,
    TransferError, Warning, parse_span,
};
use crate::health::HealthCheck;
use crate::ini::{self, Entry};
use crate::pattern::{PartitionUuid, Pattern, systemd_number};
use crate::position::Position;
use crate::specifier::{self, Identity};
use crate::url::is_url;
use crate::version::Version;
use crate::words::{self, Quotes};

/// The bits of a mode.
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
            reader.section(&section.name, section.at);
        }
        for entry in &ini.entries {
            reader.entry(entry)?;
        }
    }
    draft.finish(name)
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

    fn section(&mut self, name: &str, at: Position) {
        self.draft.ours |= name == keys::OURS;
        let meant = keys::meant_section(name);
        // `[X-…]` sections belong to other programs, unless one looks like a misspelt section of ours.
        if keys::section(name).is_some() || (name.starts_with("X-") && meant.is_none()) {
            return;
        }
        let (file, section) = (self.file.to_owned(), name.to_owned());
        self.warn(Warning::UnknownSection { file, at, section, meant });
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), TransferError> {
        let Some(section) = keys::section(&entry.section) else { return Ok(()) };
        let key = entry.key.as_str();
        let place = Place { file: self.file.to_owned(), at: entry.at, section, key: key.to_owned() };
        if keys::has(section, key) {
            return self.value(place, &entry.value);
        }
        if !key.starts_with("X-") {
            let meant = keys::meant_key(section, key);
            self.warn(Warning::UnknownKey { place, meant });
        }
        Ok(())
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
                    _ => Some(
                        SourceType::of_word(value)
                            .ok_or_else(|| TransferError::SourceType { place, value: value.to_owned() })?,
                    ),
                }
            }
            ("Target", "Type") => {
                self.draft.target_type = match (value, TargetType::of_word(value)) {
                    ("", _) => None,
                    (_, Some(kind)) => Some((place, kind)),
                    _ => return Err(TransferError::TargetType { place, value: value.to_owned() }),
                }
            }
            ("Source", "Path") => self.draft.source_path = self.path(place, value)?,
            ("Target", "Path") => self.draft.target_path = self.path(place, value)?,
            (section, "PathRelativeTo") => {
                let relative_to = match (value, RelativeTo::of_word(value)) {
                    ("", _) => None,
                    (_, Some(relative_to)) => Some((place, relative_to)),
                    _ => return Err(TransferError::PathRelativeTo { place, value: value.to_owned() }),
                };
                match section {
                    "Source" => self.draft.source_relative_to = relative_to,
                    _ => self.draft.target_relative_to = relative_to,
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
            ("Target", "MatchPartitionType") => match value.parse::<PartitionType>() {
                _ if value.is_empty() => self.draft.partition.kind = PartitionType::default(),
                Ok(kind) => self.draft.partition.kind = kind,
                Err(()) => self.warn(Warning::PartitionType { place, value: value.to_owned() }),
            },
            ("Target", "PartitionUUID") => match PartitionUuid::parse(value) {
                None if !value.is_empty() => self.warn(Warning::Uuid { place, value: value.to_owned() }),
                uuid => self.draft.partition.uuid = uuid,
            },
            ("Target", "PartitionFlags") => match systemd_number(value) {
                None if !value.is_empty() => self.warn(Warning::Number { place, value: value.to_owned() }),
                flags => self.draft.partition.flags = flags,
            },
            ("Target", "PartitionNoAuto") => {
                self.boolean(place, value, |draft| &mut draft.partition.no_auto);
            }
            ("Target", "PartitionGrowFileSystem") => {
                self.boolean(place, value, |draft| &mut draft.partition.grow_file_system);
            }
            ("Target", "PartitionZeroFill") => {
                self.boolean(place, value, |draft| &mut draft.partition.zero_fill);
            }
            (keys::OURS, _) => self.ours(place, value)?,
            // keys::has() accepts no other key.
            _ => self.warn(Warning::UnknownKey { place, meant: None }),
        }
        Ok(())
    }

    /// Our own section: a mistake is an error, since ignoring the value could install a version that must not be.
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
                self.draft.activate = match (value, Activate::of_word(value)) {
                    ("", _) => None,
                    (_, Some(activate)) => Some(activate),
                    _ => return Err(TransferError::Activate { place, value: value.to_owned() }),
                }
            }
            "Channel" => {
                self.draft.channel = match (value, Channel::of_word(value)) {
                    ("", _) => None,
                    (_, Some(channel)) => Some(channel),
                    _ => return Err(TransferError::Channel { place, value: value.to_owned() }),
                }
            }
            "Mirror" if value.is_empty() => self.draft.mirrors.clear(),
            "Mirror" => {
                let url = specifier::expand(value, self.identity)
                    .map_err(|reason| TransferError::Specifier { place: place.clone(), reason })?;
                if !is_url(&url) {
                    return Err(TransferError::Url { place, value: url });
                }
                self.draft.mirrors.push(url);
            }
            "Version" if value.is_empty() => self.draft.version = None,
            "Version" => {
                let wrong = |reason| TransferError::VersionRequirement { place, reason: Box::new(reason) };
                self.draft.version = Some(value.parse().map_err(wrong)?);
            }
            "MaxVersion" if value.is_empty() => self.draft.max_version = None,
            "MaxVersion" => {
                let expanded = specifier::expand(value, self.identity)
                    .map_err(|reason| TransferError::Specifier { place: place.clone(), reason })?;
                let version = expanded.parse().map_err(|reason| TransferError::Version { place, reason })?;
                self.draft.max_version = Some(version);
            }
            "Requires" if value.is_empty() => self.draft.requires.clear(),
            "Requires" => {
                let wrong = |reason| TransferError::Requirement { place, reason: Box::new(reason) };
                self.draft.requires.push(value.parse().map_err(wrong)?);
            }
            "Bandwidth" if value.is_empty() => self.draft.bandwidth = None,
            "Bandwidth" => {
                let bytes = bytes(value).filter(|bytes| *bytes > 0);
                let wrong = || TransferError::Bandwidth { place, value: value.to_owned() };
                self.draft.bandwidth = Some(bytes.ok_or_else(wrong)?);
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
            _ => self.warn(Warning::UnknownKey { place, meant: None }),
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

    /// The inner `None` is an empty value, the outer one an invalid value.
    fn number(&mut self, place: &Place, value: &str) -> Option<Option<u64>> {
        if value.is_empty() {
            return Some(None);
        }
        // Rust would accept `+3`.
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
                Some(path) => self.draft.current_symlink = Some((place, path)),
                None => self.warn(Warning::Symlink { place, value }),
            }
        }
    }
}

/// A number of bytes; K, M and G are powers of 1024, as in systemd's sizes.
fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
    number.checked_mul(1 << shift)
}

/// A path without empty and `.` parts; `None` if it contains `..` or names no file.
fn simplify(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() || parts.contains(&"..") {
        return None;
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    Some(format!("{root}{}", parts.join("/")))
}
