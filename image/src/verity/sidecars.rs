//! The paths of verity files next to an image, where systemd looks for them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The suffix of an image, which is removed.
const SUFFIX: &str = ".raw";

/// The verity files of `NAME.raw`, in the same directory. With any other names they are not found, and the
/// image is used without verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecars {
    /// `NAME.verity`: superblock and tree, as [`HashTree::write_to`](super::HashTree::write_to) writes them.
    pub verity: PathBuf,
    /// `NAME.roothash`: the root hash in hexadecimal digits, and a line feed.
    pub root_hash: PathBuf,
    /// `NAME.roothash.p7s`: the signature of these digits without the line feed, PKCS#7 in DER.
    pub signature: PathBuf,
}

impl Sidecars {
    /// The files of an image.
    pub fn of(image: &Path) -> Self {
        let name = image.to_string_lossy();
        let stem = match name.strip_suffix(SUFFIX) {
            Some(stem) if !stem.is_empty() && !stem.ends_with('/') => {
                image.with_extension("").into_os_string()
            }
            _ => image.as_os_str().to_owned(),
        };
        let with = |ending: &str| {
            let mut path: OsString = stem.clone();
            path.push(ending);
            PathBuf::from(path)
        };
        Self { verity: with(".verity"), root_hash: with(".roothash"), signature: with(".roothash.p7s") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_is_removed() {
        let sidecars = Sidecars::of(Path::new("a/k-v1.2-x86-64.raw"));
        assert_eq!(sidecars.verity, Path::new("a/k-v1.2-x86-64.verity"));
        assert_eq!(sidecars.root_hash, Path::new("a/k-v1.2-x86-64.roothash"));
        assert_eq!(sidecars.signature, Path::new("a/k-v1.2-x86-64.roothash.p7s"));
        assert_eq!(Sidecars::of(Path::new("k-v1.2")).verity, Path::new("k-v1.2.verity"));
        assert_eq!(Sidecars::of(Path::new("a/.raw")).verity, Path::new("a/.raw.verity"));
    }
}
