//! Health checks: what must pass before a new version is kept.

use std::fmt;
use std::str::FromStr;

use super::words::{self, Quotes, Words, WordsError};

/// A check that runs after activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// A program that must exit with 0. It is started without a shell.
    Exec {
        /// The program's absolute path and its arguments.
        argv: Vec<String>,
    },
}

/// Why a text is no health check.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HealthCheckError {
    /// A kind that this version does not run.
    #[error("health check {text:?} is of a kind that this version does not run")]
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
    /// A command line that cannot be split.
    #[error("health check {text:?} cannot be split into words: {reason}")]
    Words {
        /// The check as written.
        text: String,
        /// Why not.
        reason: WordsError,
    },
}

impl HealthCheckError {
    /// What the reader can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Words { .. } => None,
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
        let HealthCheck::Exec { argv } = &check;
        assert_eq!(argv, &["/usr/bin/test", "-e", "/a b", "$HOME", "x;y"]);
        assert_eq!(check.to_string(), "exec:/usr/bin/test -e \"/a b\" $HOME x;y");
        assert_eq!(check.to_string().parse::<HealthCheck>(), Ok(check));
    }

    #[test]
    fn what_is_no_check_says_why() {
        assert_eq!(
            message("unit:kubelet.service"),
            "health check \"unit:kubelet.service\" is of a kind that this version does not run"
        );
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
