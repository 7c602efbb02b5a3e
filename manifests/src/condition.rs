//! Conditions on a host, as in `Condition*=` of units: the values of `SuggestOn*=` in features and components. The
//! facts of the host are passed in; an unknown fact is an error, not a guess.

use std::fmt;

use crate::architecture::Architecture;
use crate::hint::Hint;
use crate::ini;
use crate::os_release::OsRelease;
use crate::pattern::PartitionUuid;
use crate::version::compare;

mod fraction;
mod glob;

/// Security technologies that systemd knows, but that cannot be detected by files alone. To call them absent would be a
/// guess.
const UNSEEN: [&str; 4] = ["audit", "cvm", "measured-os", "measured-uki"];

/// Facts about the host; unknown ones are `None`.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The architecture.
    pub architecture: Architecture,
    /// The kinds of firmware, `uefi` and `device-tree`.
    pub firmware: Option<Vec<String>>,
    /// The virtual machine or container that the system runs in.
    pub virtualization: Option<Virtualization>,
    /// The host name.
    pub hostname: String,
    /// The machine id.
    pub machine_id: Option<String>,
    /// The kernel's command line.
    pub command_line: Option<String>,
    /// The kernel's release.
    pub kernel: String,
    /// The names of the credentials that were passed to the system.
    pub credentials: Option<Vec<String>>,
    /// The security technologies that are active, by systemd's names for them.
    pub security: Option<Vec<String>>,
    /// The host's os-release.
    pub os_release: OsRelease,
    /// The tags in `/etc/machine-info`.
    pub tags: Option<Vec<String>>,
}

/// The virtual machine or container that a system runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Virtualization {
    /// Neither of them.
    None,
    /// A virtual machine of this kind.
    Machine(String),
    /// A container of this kind.
    Container(String),
}

/// What a condition tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The architecture.
    Architecture,
    /// The firmware.
    Firmware,
    /// The virtual machine or container that the system runs in.
    Virtualization,
    /// The host name or machine id.
    Host,
    /// A share of all machines.
    Fraction,
    /// The kernel's command line.
    KernelCommandLine,
    /// The version of the kernel.
    Version,
    /// A credential.
    Credential,
    /// A security technology.
    Security,
    /// A field of os-release.
    OsRelease,
    /// A tag of the machine.
    MachineTag,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it tests.
    pub subject: Subject,
    /// How it is combined with others.
    pub weight: Weight,
    /// Whether it is negated.
    pub sense: Sense,
    /// The value to test for.
    pub parameter: String,
}

/// How a condition is combined with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It must hold.
    Needed,
    /// `|`: one of these conditions must hold.
    Alternative,
}

/// Whether a condition is negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// It is not.
    Positive,
    /// `!`
    Negated,
}

/// Why a condition cannot be tested.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ConditionError {
    #[error("{subject} condition {parameter:?} is invalid; expected {reason}")]
    Malformed { subject: Subject, parameter: String, reason: &'static str },
    #[error("{subject} condition {parameter:?}: {what} cannot be determined on this host")]
    Unknown { subject: Subject, parameter: String, what: &'static str },
}

impl Hint for ConditionError {}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Architecture,
        Self::Firmware,
        Self::Virtualization,
        Self::Host,
        Self::Fraction,
        Self::KernelCommandLine,
        Self::Version,
        Self::Credential,
        Self::Security,
        Self::OsRelease,
        Self::MachineTag,
    ];

    /// The key after `SuggestOn`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Architecture => "Architecture",
            Self::Firmware => "Firmware",
            Self::Virtualization => "Virtualization",
            Self::Host => "Host",
            Self::Fraction => "Fraction",
            Self::KernelCommandLine => "KernelCommandLine",
            Self::Version => "Version",
            Self::Credential => "Credential",
            Self::Security => "Security",
            Self::OsRelease => "OSRelease",
            Self::MachineTag => "MachineTag",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// Whether a list of conditions holds: all needed ones, and at least one of the alternatives if there are any. An empty
/// list holds.
pub fn hold(conditions: &[Condition], facts: &Facts) -> Result<bool, ConditionError> {
    let mut alternative = None;
    for condition in conditions {
        let holds = condition.holds(facts)?;
        match condition.weight {
            Weight::Needed if !holds => return Ok(false),
            Weight::Needed => {}
            Weight::Alternative => alternative = Some(alternative.unwrap_or(false) || holds),
        }
    }
    Ok(alternative.unwrap_or(true))
}

impl Condition {
    /// Reads a value: optionally `|`, then optionally `!`, then the parameter. White space may follow each.
    pub fn parse(subject: Subject, text: &str) -> Self {
        let (weight, text) = match text.trim().strip_prefix('|') {
            Some(rest) => (Weight::Alternative, rest.trim_start()),
            None => (Weight::Needed, text.trim()),
        };
        let (sense, text) = match text.strip_prefix('!') {
            Some(rest) => (Sense::Negated, rest.trim_start()),
            None => (Sense::Positive, text),
        };
        Self { subject, weight, sense, parameter: text.to_owned() }
    }

    /// Whether the condition holds.
    pub fn holds(&self, facts: &Facts) -> Result<bool, ConditionError> {
        Ok(self.test(facts)? == (self.sense == Sense::Positive))
    }

    fn test(&self, facts: &Facts) -> Result<bool, ConditionError> {
        let parameter = self.parameter.as_str();
        match self.subject {
            Subject::Architecture if parameter == "native" => Ok(true),
            // A name that systemd does not know is not this architecture.
            Subject::Architecture => Ok(parameter.parse() == Ok(facts.architecture)),
            Subject::Firmware => match parameter {
                "uefi" | "device-tree" => self.listed(facts.firmware.as_deref(), "the firmware"),
                _ if parameter.starts_with("device-tree-compatible(")
                    || parameter.starts_with("smbios-field(") =>
                {
                    Err(self.unknown("the firmware's description of the machine"))
                }
                _ => Err(self.malformed("uefi, device-tree, device-tree-compatible(…) or smbios-field(…)")),
            },
            Subject::Virtualization => {
                let found = facts.virtualization.as_ref();
                let found = found.ok_or_else(|| self.unknown("whether the system is virtualized"))?;
                Ok(match (found, ini::boolean(parameter)) {
                    (Virtualization::None, boolean) => boolean == Some(false),
                    (_, Some(boolean)) => boolean,
                    (Virtualization::Machine(id), None) => parameter == "vm" || parameter == id,
                    (Virtualization::Container(id), None) => parameter == "container" || parameter == id,
                })
            }
            Subject::Host => match PartitionUuid::parse(parameter) {
                Some(wanted) => {
                    let id = facts.machine_id.as_deref().and_then(PartitionUuid::parse);
                    Ok(id.ok_or_else(|| self.unknown("the machine id"))? == wanted)
                }
                None => Ok(glob::matches(&parameter.to_lowercase(), &facts.hostname.to_lowercase())),
            },
            Subject::Fraction => self.fraction(facts),
            Subject::KernelCommandLine => {
                let line = facts.command_line.as_deref();
                let words = words(line.ok_or_else(|| self.unknown("the kernel's command line"))?);
                let matches = |word: &String| match word.strip_prefix(parameter) {
                    Some(rest) => rest.is_empty() || (!parameter.contains('=') && rest.starts_with('=')),
                    None => false,
                };
                Ok(words.iter().any(matches))
            }
            Subject::Version => self.version(facts),
            Subject::Credential => {
                if parameter.is_empty() || parameter.contains('/') || matches!(parameter, "." | "..") {
                    return Err(self.malformed("the name of a credential"));
                }
                self.listed(facts.credentials.as_deref(), "which credentials were passed")
            }
            Subject::Security if UNSEEN.contains(&parameter) => {
                Err(self.unknown("whether this security technology is active"))
            }
            Subject::Security => {
                self.listed(facts.security.as_deref(), "which security technologies are active")
            }
            Subject::OsRelease => self.os_release(facts),
            Subject::MachineTag => {
                let tags = facts.tags.as_ref().ok_or_else(|| self.unknown("which tags the machine has"))?;
                Ok(tags.iter().any(|tag| glob::matches(parameter, tag)))
            }
        }
    }

    fn fraction(&self, facts: &Facts) -> Result<bool, ConditionError> {
        let wanted = "a share such as 10%, optionally after a tag";
        let fields: Vec<&str> = self.parameter.split_whitespace().collect();
        let (tag, share) = match fields[..] {
            [share] => ("", share),
            [tag, share] => (tag, share),
            _ => return Err(self.malformed(wanted)),
        };
        let share = fraction::parse(share).ok_or_else(|| self.malformed(wanted))?;
        // 0% and 100% need no machine ID.
        if let Some(answer) = share.certain() {
            return Ok(answer);
        }
        let id = facts.machine_id.as_deref().and_then(PartitionUuid::parse);
        let id = id.ok_or_else(|| self.unknown("the machine id"))?;
        Ok(share.has(&id.0.to_be_bytes(), tag))
    }

    fn version(&self, facts: &Facts) -> Result<bool, ConditionError> {
        let mut fields = words(&self.parameter);
        match fields.first().map(String::as_str) {
            Some("kernel") => {
                fields.remove(0);
            }
            Some("systemd" | "glibc") => return Err(self.unknown("the version of systemd and glibc")),
            _ => {}
        }
        let wanted = "an operator and a version, such as >=6.5";
        if fields.is_empty() {
            return Err(self.malformed(wanted));
        }
        let mut fields = fields.iter().map(|field| field.trim());
        let mut first = true;
        while let Some(field) = fields.next() {
            let (operator, version) = operator(field).unwrap_or((Operator::Glob, field));
            // White space may follow the first operator.
            let alone = version.is_empty() && std::mem::replace(&mut first, false);
            let version = if alone { fields.next().unwrap_or_default() } else { version.trim_start() };
            first = false;
            if version.is_empty() {
                return Err(self.malformed(wanted));
            }
            let operator = match operator {
                // Versions are never compared as text.
                Operator::Text => Operator::Equal,
                Operator::NotText => Operator::NotEqual,
                other => other,
            };
            if !operator.holds(&facts.kernel, version) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn os_release(&self, facts: &Facts) -> Result<bool, ConditionError> {
        let wanted = "a field, an operator and a value, such as VERSION_ID>=12";
        let fields = words(&self.parameter);
        if fields.is_empty() {
            return Err(self.malformed(wanted));
        }
        for field in fields {
            let end = field.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(field.len());
            let (key, rest) = field.split_at(end);
            let Some((operator, value)) = operator(rest).filter(|_| !key.is_empty()) else {
                return Err(self.malformed(wanted));
            };
            if !operator.holds(facts.os_release.get(key).unwrap_or_default(), value) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn listed(&self, list: Option<&[String]>, what: &'static str) -> Result<bool, ConditionError> {
        let list = list.ok_or_else(|| self.unknown(what))?;
        Ok(list.contains(&self.parameter))
    }

    fn malformed(&self, reason: &'static str) -> ConditionError {
        ConditionError::Malformed { subject: self.subject, parameter: self.parameter.clone(), reason }
    }

    fn unknown(&self, what: &'static str) -> ConditionError {
        ConditionError::Unknown { subject: self.subject, parameter: self.parameter.clone(), what }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = if self.weight == Weight::Alternative { "|" } else { "" };
        let sense = if self.sense == Sense::Negated { "!" } else { "" };
        write!(f, "{weight}{sense}{}", self.parameter)
    }
}

#[derive(Clone, Copy)]
enum Operator {
    Glob,
    NotGlob,
    Text,
    NotText,
    Less,
    AtMost,
    Equal,
    NotEqual,
    AtLeast,
    Greater,
}

impl Operator {
    fn holds(self, found: &str, wanted: &str) -> bool {
        match self {
            Self::Glob => glob::matches(wanted, found),
            Self::NotGlob => !glob::matches(wanted, found),
            Self::Text => found == wanted,
            Self::NotText => found != wanted,
            Self::Less => compare(found, wanted).is_lt(),
            Self::AtMost => compare(found, wanted).is_le(),
            Self::Equal => compare(found, wanted).is_eq(),
            Self::NotEqual => compare(found, wanted).is_ne(),
            Self::AtLeast => compare(found, wanted).is_ge(),
            Self::Greater => compare(found, wanted).is_gt(),
        }
    }
}

/// The operator that a text starts with, and what follows.
fn operator(text: &str) -> Option<(Operator, &str)> {
    let known = [
        ("!$=", Operator::NotGlob),
        ("$=", Operator::Glob),
        ("<=", Operator::AtMost),
        (">=", Operator::AtLeast),
        ("<>", Operator::NotEqual),
        ("==", Operator::Equal),
        ("!=", Operator::NotText),
        ("=", Operator::Text),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    known.into_iter().find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)))
}

/// Splits a text into words. Quotes group words; an open quote reaches to the end.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut open = None;
    for character in text.chars() {
        match character {
            _ if open == Some(character) => open = None,
            '"' | '\'' if open.is_none() => {
                open = Some(character);
                word.get_or_insert_default();
            }
            _ if character.is_ascii_whitespace() && open.is_none() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests;
