//! The oldest kernel that an image must support.

mod floor;

use std::fmt;
use std::str::FromStr;

pub use floor::{Floor, FloorError, PROFILES, Profile};

/// A kernel version: major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    major: u16,
    minor: u16,
}

/// Not a kernel version, or one that images do not support.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the message says it")]
pub enum KernelError {
    #[error("{text:?} is not a kernel version such as 5.15")]
    Version { text: String },
    #[error("kernel {kernel} is not supported: images require kernel {} or later", Kernel::DEFAULT)]
    TooOld { kernel: Kernel },
}

impl KernelError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let names: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
        Some(match self {
            Self::Version { .. } => format!("use a version or one of {}", names.join(", ")),
            Self::TooOld { .. } => {
                "use that version or a later one: older kernels lack features that images and nodes need"
                    .to_owned()
            }
        })
    }
}

impl Kernel {
    /// The oldest kernel that images support by default.
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
            // `uname -r` may have a patch level and a suffix of the distribution: 6.12.48+deb13-amd64
            let end = rest.find(['.', '-', '+']).unwrap_or(rest.len());
            let (minor, rest) = rest.split_at(end);
            let is_complete =
                rest.strip_prefix('.').is_none_or(|patch| patch.starts_with(|c: char| c.is_ascii_digit()));
            let version = (number(major)?, number(minor)?);
            is_complete.then_some(version)
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
    fn versions_compare_as_numbers() {
        let kernel = |text: &str| text.parse::<Kernel>().unwrap();
        assert!(kernel("5.15") < kernel("6.1"));
        assert!(kernel("6.1") < kernel("6.10"));
        assert_eq!(kernel("5.15"), Kernel::DEFAULT);
        assert_eq!(kernel("6.12").to_string(), "6.12");
    }

    #[test]
    fn invalid_versions_are_rejected() {
        for text in ["", "6", "6.", ".1", "6.1.", "6.1.x", "6.1x", "6..1", "+6.1", "6.x", "70000.1"] {
            assert!(text.parse::<Kernel>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_output_of_uname_is_accepted() {
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
