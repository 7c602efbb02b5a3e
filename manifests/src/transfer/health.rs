//! Health checks: what must pass before a new version is kept.

use std::fmt;
use std::str::FromStr;

use super::draft::is_url;
use super::words::{self, Quotes, Words, WordsError};
use crate::hint::Hint;

/// A check that runs after activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// A program that must exit with 0. It is started without a shell.
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
}

/// Why a text is no health check.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HealthCheckError {
    /// A kind that does not exist.
    #[error("health check {text:?} is none of exec:, unit:, http:// and https://")]
    Kind {
        /// The check as written.
        text: String,
    },
    /// `exec:` and nothing behind it.
    #[error("health check {text:?} names no program")]
    NoProgram {
        /// The check as written.
        text: String,
    },
    /// A program that would have to be searched for.
    #[error("health check {text:?} runs {program:?}, which is not an absolute path")]
    NotAbsolute {
        /// The check as written.
        text: String,
        /// The program.
        program: String,
    },
    /// No unit's name.
    #[error("health check {text:?} names no unit")]
    NotUnit {
        /// The check as written.
        text: String,
    },
    /// No URL.
    #[error("health check {text:?} has no valid URL")]
    NotUrl {
        /// The check as written.
        text: String,
    },
    /// A command line that cannot be split.
    #[error("health check {text:?} cannot be split into words: {reason}")]
    Words {
        /// The check as written.
        text: String,
        /// Why not.
        reason: WordsError,
    },
}

impl Hint for HealthCheckError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Words { .. } | Self::NotUrl { .. } => None,
            Self::NotUnit { .. } => Some("write unit:NAME.service, with the suffix".to_owned()),
            Self::Kind { .. } | Self::NoProgram { .. } | Self::NotAbsolute { .. } => {
                Some("write exec:/absolute/path and its arguments; no shell is involved".to_owned())
            }
        }
    }
}

impl HealthCheck {
    /// Reads a check; also returns the escapes in it that mean nothing and were left as they stand.
    pub(super) fn parse(text: &str) -> Result<(Self, Vec<String>), HealthCheckError> {
        let whole = || text.to_owned();
        if let Some(name) = text.strip_prefix("unit:") {
            let name = name.trim();
            if !is_unit(name) {
                return Err(HealthCheckError::NotUnit { text: whole() });
            }
            return Ok((Self::Unit { name: name.to_owned() }, Vec::new()));
        }
        if text.starts_with("http:") || text.starts_with("https:") {
            if !is_url(text) {
                return Err(HealthCheckError::NotUrl { text: whole() });
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
            return Err(HealthCheckError::NotAbsolute { text: whole(), program: program.clone() });
        }
        Ok((Self::Exec { argv }, unknown_escapes))
    }
}

/// What systemd takes for the name of a unit.
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
            Self::Exec { argv } => {
                f.write_str("exec:")?;
                for (index, word) in argv.iter().enumerate() {
                    let space = if index == 0 { "" } else { " " };
                    write!(f, "{space}{}", words::quote(word))?;
                }
                Ok(())
            }
            Self::Unit { name } => write!(f, "unit:{name}"),
            Self::Http { url } => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        text.parse::<HealthCheck>().unwrap_err().to_string()
    }

    #[test]
    fn a_command_is_split_without_a_shell() {
        let check: HealthCheck = "exec:/usr/bin/test -e '/a b' \"$HOME\" x;y".parse().unwrap();
        let HealthCheck::Exec { argv } = &check else { panic!("{check}") };
        assert_eq!(argv, &["/usr/bin/test", "-e", "/a b", "$HOME", "x;y"]);
        assert_eq!(check.to_string(), "exec:/usr/bin/test -e \"/a b\" $HOME x;y");
        assert_eq!(check.to_string().parse::<HealthCheck>(), Ok(check));
    }

    #[test]
    fn units_and_urls_are_checks() {
        let unit = HealthCheck::Unit { name: "getty@tty1.service".to_owned() };
        let http = HealthCheck::Http { url: "http://localhost:10248/healthz".to_owned() };
        for check in [unit, http] {
            assert_eq!(check.to_string().parse::<HealthCheck>(), Ok(check));
        }
    }

    #[test]
    fn what_is_no_check_says_why() {
        assert_eq!(message("true"), "health check \"true\" is none of exec:, unit:, http:// and https://");
        for text in
            ["unit:", "unit:kubelet", "unit:a b.service", "unit:.service", "unit:@x.service", "unit:x.raw"]
        {
            assert_eq!(message(text), format!("health check {text:?} names no unit"));
        }
        assert_eq!(message("http:///x"), "health check \"http:///x\" has no valid URL");
        assert_eq!(message("https:x"), "health check \"https:x\" has no valid URL");
        assert_eq!(message("exec: "), "health check \"exec: \" names no program");
        assert_eq!(message("exec:''"), "health check \"exec:''\" names no program");
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
}
