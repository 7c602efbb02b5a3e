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

/// A text that is no kernel version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not a kernel version such as 5.15")]
pub struct KernelError {
    text: String,
}

impl KernelError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        let names: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
        Some(format!("or write one of {}", names.join(", ")))
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
        let (major, minor) = text.split_once('.').unzip();
        major
            .and_then(number)
            .zip(minor.and_then(number))
            .map(Self::from)
            .ok_or_else(|| KernelError { text: text.to_owned() })
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
        for text in ["", "6", "6.", ".1", "6.1.2", "+6.1", "6.x", "70000.1"] {
            assert!(text.parse::<Kernel>().is_err(), "{text:?}");
        }
    }
}
