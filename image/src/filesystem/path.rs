//! Checks the paths that an image claims.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::entry::{NAME_MAX, PATH_MAX};

/// Why a path from an image does not lead downwards from the root; `None` if it does.
pub(super) fn defect(path: &Path) -> Option<&'static str> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return None;
    }
    if bytes.len() > PATH_MAX {
        return Some("the path is longer than 4095 bytes");
    }
    // By its bytes, because `components` skips empty names and dots.
    let mut names = bytes.split(|byte| *byte == b'/');
    if names.any(|name| name.is_empty() || name == b"." || name == b".." || name.contains(&0)) {
        return Some("a name in it is empty, a dot or two dots, or contains a slash or NUL");
    }
    let mut parts = path.components();
    if parts.any(|part| !matches!(part, Component::Normal(name) if name.len() <= NAME_MAX)) {
        return Some("a name in it is longer than 255 bytes");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_lead_downwards_are_accepted() {
        for path in ["", "a", "a/b", "..a/b..", "a b"] {
            assert_eq!(defect(Path::new(path)), None, "{path:?}");
        }
        let long = format!("a/{}", "n".repeat(256));
        let deep = "d/".repeat(2048) + "d";
        for path in ["/", "/a", "a/", "a//b", ".", "a/.", "..", "a/../b", "a\0b", &long, &deep] {
            assert!(defect(Path::new(path)).is_some(), "{path:?}");
        }
    }
}
