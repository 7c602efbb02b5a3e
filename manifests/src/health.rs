//! Health checks: what must pass before a new version is kept.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::hint::Hint;
use crate::url::is_url;
use crate::words::{self, Quotes, Words, WordsError};

/// A check that runs after activation.
///
/// `parse` accepts only valid checks of a known kind. Reading a document with serde also accepts other texts, as
/// [`HealthCheck::Unknown`]: a catalog with a check of a later kind must remain readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// A program that must exit with status 0. It is started without a shell.
    Exec {
        /// The program's absolute path and its arguments.
        argv: Vec<String>,
    },
    /// A unit that must be active.
    Unit {
        /// Its name with its suffix.
        name: String,
    },
    /// A URL that must answer with success.
    Http {
        /// The URL, `http://` or `https://`.
        url: String,
    },
    /// A text that this version cannot read as a check, with the reason.
    Unknown(Box<HealthCheckError>),
}

/// A check of a kind that nodes of this version run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnableCheck<'a> {
    /// See [`HealthCheck::Exec`].
    Exec {
        /// The program's absolute path and its arguments.
        argv: &'a [String],
    },
}

/// Why a text is not a health check.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum HealthCheckError {
    #[error("health check {text:?} must start with exec:, unit:, http:// or https://")]
    Kind { text: String },
    #[error("health check {text:?} does not name a program")]
    NoProgram { text: String },
    #[error("health check {text:?} runs {program:?}, which is not an absolute path")]
    RelativeProgram { text: String, program: String },
    #[error("health check {text:?} does not name a unit")]
    Unit { text: String },
    #[error("health check {text:?} does not contain a valid URL")]
    Url { text: String },
    #[error("health check {text:?} cannot be split into words: {reason}")]
    Words { text: String, reason: WordsError },
}

/// Why nodes of this version cannot run a check.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum UnsupportedCheckError {
    #[error("health check \"{check}\" is not supported by this version, which only runs exec: checks")]
    Kind { check: String },
    #[error(transparent)]
    Unknown(Box<HealthCheckError>),
}

impl HealthCheckError {
    /// The text as written.
    pub fn text(&self) -> &str {
        match self {
            Self::Kind { text }
            | Self::NoProgram { text }
            | Self::RelativeProgram { text, .. }
            | Self::Unit { text }
            | Self::Url { text }
            | Self::Words { text, .. } => text,
        }
    }
}

impl Hint for HealthCheckError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Words { .. } | Self::Url { .. } => None,
            Self::Unit { .. } => Some("write unit:NAME.service, with the suffix".to_owned()),
            Self::Kind { .. } | Self::NoProgram { .. } | Self::RelativeProgram { .. } => {
                Some("write exec:/absolute/path and its arguments; no shell is involved".to_owned())
            }
        }
    }
}

impl Hint for UnsupportedCheckError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Kind { .. } => Some("write exec:/absolute/path and its arguments".to_owned()),
            Self::Unknown(error) => error.hint(),
        }
    }
}

impl HealthCheck {
    /// The check as something to run. This is the only place that says which kinds nodes of this version run.
    pub fn runnable(&self) -> Result<RunnableCheck<'_>, UnsupportedCheckError> {
        match self {
            Self::Exec { argv } => Ok(RunnableCheck::Exec { argv }),
            Self::Unit { .. } | Self::Http { .. } => {
                Err(UnsupportedCheckError::Kind { check: self.to_string() })
            }
            Self::Unknown(error) => Err(UnsupportedCheckError::Unknown(error.clone())),
        }
    }

    /// Reads a check that nodes of this version run: what a publisher may ask for.
    pub fn parse_runnable(text: &str) -> Result<Self, UnsupportedCheckError> {
        let check: Self = text.parse().map_err(|error| UnsupportedCheckError::Unknown(Box::new(error)))?;
        check.runnable()?;
        Ok(check)
    }

    /// Reads a check. Also returns the unknown escapes in it, which were kept unchanged.
    pub(crate) fn parse(text: &str) -> Result<(Self, Vec<String>), HealthCheckError> {
        let whole = || text.to_owned();
        if let Some(name) = text.strip_prefix("unit:") {
            let name = name.trim();
            if !is_unit(name) {
                return Err(HealthCheckError::Unit { text: whole() });
            }
            return Ok((Self::Unit { name: name.to_owned() }, Vec::new()));
        }
        if text.starts_with("http:") || text.starts_with("https:") {
            if !is_url(text) {
                return Err(HealthCheckError::Url { text: whole() });
            }
            return Ok((Self::Http { url: text.to_owned() }, Vec::new()));
        }
        let command = text.strip_prefix("exec:").ok_or_else(|| HealthCheckError::Kind { text: whole() })?;
        let Words { words: argv, unknown_escapes } = words::split(command, Quotes::Group)
            .map_err(|reason| HealthCheckError::Words { text: whole(), reason })?;
        let program = argv
            .first()
            .filter(|program| !program.is_empty())
            .ok_or_else(|| HealthCheckError::NoProgram { text: whole() })?;
        if !program.starts_with('/') || program.ends_with('/') {
            return Err(HealthCheckError::RelativeProgram { text: whole(), program: program.clone() });
        }
        Ok((Self::Exec { argv }, unknown_escapes))
    }
}

/// Whether systemd accepts a name as that of a unit.
fn is_unit(name: &str) -> bool {
    const SUFFIXES: [&str; 11] = [
        "automount",
        "device",
        "mount",
        "path",
        "scope",
        "service",
        "slice",
        "socket",
        "swap",
        "target",
        "timer",
    ];
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    name.len() < 256
        && name.chars().all(allowed)
        && name.rsplit_once('.').is_some_and(|(stem, suffix)| {
            !stem.is_empty() && !stem.starts_with('@') && SUFFIXES.contains(&suffix)
        })
}

impl FromStr for HealthCheck {
    type Err = HealthCheckError;

    fn from_str(text: &str) -> Result<Self, HealthCheckError> {
        Self::parse(text).map(|(check, _)| check)
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exec { argv } => RunnableCheck::Exec { argv }.fmt(f),
            Self::Unit { name } => write!(f, "unit:{name}"),
            Self::Http { url } => f.write_str(url),
            Self::Unknown(error) => f.write_str(error.text()),
        }
    }
}

impl fmt::Display for RunnableCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Exec { argv } = self;
        f.write_str("exec:")?;
        for (index, word) in argv.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}", words::quote(word))?;
        }
        Ok(())
    }
}

impl Serialize for HealthCheck {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HealthCheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or_else(|error| Self::Unknown(Box::new(error))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        text.parse::<HealthCheck>().unwrap_err().to_string()
    }

    #[test]
    fn splits_a_command_without_a_shell() {
        let check: HealthCheck = "exec:/usr/bin/test -e '/a b' \"$HOME\" x;y".parse().unwrap();
        let HealthCheck::Exec { argv } = &check else { panic!("{check}") };
        assert_eq!(argv, &["/usr/bin/test", "-e", "/a b", "$HOME", "x;y"]);
        assert_eq!(check.to_string(), "exec:/usr/bin/test -e \"/a b\" $HOME x;y");
        assert_eq!(check.to_string().parse::<HealthCheck>(), Ok(check));
    }

    #[test]
    fn reads_units_and_urls() {
        let unit = HealthCheck::Unit { name: "getty@tty1.service".to_owned() };
        let http = HealthCheck::Http { url: "http://localhost:10248/healthz".to_owned() };
        for check in [unit, http] {
            assert_eq!(check.to_string().parse::<HealthCheck>(), Ok(check));
        }
    }

    #[test]
    fn explains_what_is_invalid() {
        assert_eq!(
            message("true"),
            "health check \"true\" must start with exec:, unit:, http:// or https://"
        );
        for text in
            ["unit:", "unit:kubelet", "unit:a b.service", "unit:.service", "unit:@x.service", "unit:x.raw"]
        {
            assert_eq!(message(text), format!("health check {text:?} does not name a unit"));
        }
        assert_eq!(message("http:///x"), "health check \"http:///x\" does not contain a valid URL");
        assert_eq!(message("https:x"), "health check \"https:x\" does not contain a valid URL");
        assert_eq!(message("exec: "), "health check \"exec: \" does not name a program");
        assert_eq!(message("exec:''"), "health check \"exec:''\" does not name a program");
        assert_eq!(
            message("exec:true"),
            "health check \"exec:true\" runs \"true\", which is not an absolute path"
        );
        assert_eq!(
            message("exec:/bin/sh -c 'x"),
            "health check \"exec:/bin/sh -c 'x\" cannot be split into words: the ' is never closed"
        );
        assert!("true".parse::<HealthCheck>().unwrap_err().hint().unwrap().contains("exec:/absolute/path"));
    }

    #[test]
    fn documents_keep_checks_that_cannot_be_read() {
        let texts = ["exec:/bin/true", "unit:a.service", "dbus:org.example", "exec:true", ""];
        let json = serde_json::to_string(&texts).unwrap();
        let checks: Vec<HealthCheck> = serde_json::from_str(&json).unwrap();
        let unknown = checks.iter().map(|check| matches!(check, HealthCheck::Unknown(_)));
        assert_eq!(unknown.collect::<Vec<_>>(), [false, false, true, true, true]);
        assert_eq!(serde_json::to_string(&checks).unwrap(), json);
    }

    #[test]
    fn only_commands_are_runnable() {
        let read = |text: &str| serde_json::from_value::<HealthCheck>(text.into()).unwrap();
        let command = read("exec:/bin/test -e '/a b'");
        assert_eq!(command.runnable().unwrap().to_string(), "exec:/bin/test -e \"/a b\"");
        let cases = [
            (
                "unit:a.service",
                "health check \"unit:a.service\" is not supported by this version, which only runs exec: checks",
            ),
            (
                "http://x/",
                "health check \"http://x/\" is not supported by this version, which only runs exec: checks",
            ),
            ("dbus:x", "health check \"dbus:x\" must start with exec:, unit:, http:// or https://"),
            ("exec:", "health check \"exec:\" does not name a program"),
        ];
        for (text, expected) in cases {
            let check = read(text);
            assert_eq!(check.runnable().unwrap_err().to_string(), expected);
        }
    }
}
