//! The oldest kernel an image is meant for.

mod floor;

use std::fmt;
use std::str::FromStr;

pub use floor::{Floor, FloorError, PROFILES, Profile};

/// A kernel version as a floor: major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    major: u16,
    minor: u16,
}

/// A text that says no kernel an image can be made for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum KernelError {
    #[error("{text:?} is not a kernel version such as 5.15")]
    Version { text: String },
    #[error("images are made for kernel {} and later, not for {kernel}", Kernel::DEFAULT)]
    TooOld { kernel: Kernel },
}

impl KernelError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        let names: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
        Some(match self {
            Self::Version { .. } => format!("or write one of {}", names.join(", ")),
            Self::TooOld { .. } => {
                "name that one or a later one: older kernels lack what images and nodes need".to_owned()
            }
        })
    }
}

impl Kernel {
    /// What images are meant for unless told otherwise.
    pub const DEFAULT: Self = Self { major: 5, minor: 15 };
}

impl From<(u16, u16)> for Kernel {
    fn from((major, minor): (u16, u16)) -> Self {
        Self { major, minor }
    }
}

impl FromStr for Kernel {
    type Err = KernelError;

    fn from_str(text: &str) -> Result<Self, KernelError> {
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().ok(),
            false => None,
        };
        let version = || {
            let (major, rest) = text.split_once('.')?;
            // `uname -r` goes on with a patch level, and with what a distribution adds: 6.12.48+deb13-amd64
            let end = rest.find(['.', '-', '+']).unwrap_or(rest.len());
            let (minor, rest) = rest.split_at(end);
            let goes_on =
                rest.strip_prefix('.').is_none_or(|patch| patch.starts_with(|c: char| c.is_ascii_digit()));
            let version = (number(major)?, number(minor)?);
            goes_on.then_some(version)
        };
        version().map(Self::from).ok_or_else(|| KernelError::Version { text: text.to_owned() })
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_compare_as_numbers() {
        let kernel = |text: &str| text.parse::<Kernel>().unwrap();
        assert!(kernel("5.15") < kernel("6.1"));
        assert!(kernel("6.1") < kernel("6.10"));
        assert_eq!(kernel("5.15"), Kernel::DEFAULT);
        assert_eq!(kernel("6.12").to_string(), "6.12");
    }

    #[test]
    fn what_is_no_floor_is_refused() {
        for text in ["", "6", "6.", ".1", "6.1.", "6.1.x", "6.1x", "6..1", "+6.1", "6.x", "70000.1"] {
            assert!(text.parse::<Kernel>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_uname_says_is_a_floor() {
        for (text, shown) in [
            ("6.12.3", "6.12"),
            ("6.1.0-56-cloud-amd64", "6.1"),
            ("6.12.48+deb13-amd64", "6.12"),
            ("6.6.30-flatcar", "6.6"),
            ("6.18-rc1", "6.18"),
        ] {
            assert_eq!(text.parse::<Kernel>().unwrap().to_string(), shown);
        }
    }
}
