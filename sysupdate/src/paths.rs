//! Every path that the program owns or reads, below one root.

use std::path::{Component, Path, PathBuf};

/// The paths. All of them are absolute on the running system: the root is part of them.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The argument of `--root=`, otherwise `/`.
    pub root: PathBuf,
    /// The directories of definitions, strongest first.
    pub definitions: [PathBuf; 4],
    /// `REPOSITORY.toml`: the keys, which are the operator's.
    pub repositories: PathBuf,
    /// The OpenPGP keys that may sign manifests: keyrings that are merged, each with its possible names, of which the
    /// first that exists counts. The later names are those of systemd before 258.
    pub keyrings: Vec<Vec<PathBuf>>,
    /// State that survives a reboot.
    pub state: PathBuf,
    /// Marks of each repository: root, serial, issued.
    pub repository_state: PathBuf,
    /// One JSON file per component: last good, bad versions, a trial under way.
    pub component_state: PathBuf,
    /// The default directory of images.
    pub images: PathBuf,
    /// The extension directories, strongest first.
    pub extensions: [PathBuf; 3],
    /// State that a reboot removes.
    pub run: PathBuf,
    /// The lock that every writing verb takes.
    pub lock: PathBuf,
}

impl Paths {
    /// The paths below a root.
    pub fn new(root: &Path) -> Self {
        let below = |path: &str| root.join(path);
        Self {
            root: root.to_owned(),
            definitions: ["etc", "run", "usr/local/lib", "usr/lib"].map(below),
            repositories: below("etc/sysupdate/repositories"),
            keyrings: ["etc/systemd", "usr/lib/systemd"]
                .map(|directory| {
                    ["pgp", "gpg"]
                        .map(|ending| below(&format!("{directory}/import-pubring.{ending}")))
                        .to_vec()
                })
                .to_vec(),
            state: below("var/lib/sysupdate"),
            repository_state: below("var/lib/sysupdate/repositories"),
            component_state: below("var/lib/sysupdate/extensions"),
            images: below("var/lib/sysupdate/images"),
            extensions: ["etc/extensions", "run/extensions", "var/lib/extensions"].map(below),
            run: below("run/sysupdate"),
            lock: below("run/sysupdate/lock"),
        }
    }

    /// The same with this keyring alone, as `$SYSTEMD_OPENPGP_KEYRING` requests.
    pub fn with_keyring(self, keyring: PathBuf) -> Self {
        Self { keyrings: vec![vec![keyring]], ..self }
    }

    /// An absolute path of the target system as the running system sees it. `..` never leaves the root.
    pub fn below_root(&self, path: &Path) -> PathBuf {
        let mut full = self.root.clone();
        full.extend(path.components().filter(|part| matches!(part, Component::Normal(_))));
        full
    }

    /// The path as the target system sees it.
    pub fn as_seen_inside(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(&self.root).unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_below_the_root() {
        let paths = Paths::new(Path::new("/scratch"));
        assert_eq!(paths.lock, Path::new("/scratch/run/sysupdate/lock"));
        assert_eq!(
            paths.keyrings.concat(),
            [
                "/scratch/etc/systemd/import-pubring.pgp",
                "/scratch/etc/systemd/import-pubring.gpg",
                "/scratch/usr/lib/systemd/import-pubring.pgp",
                "/scratch/usr/lib/systemd/import-pubring.gpg",
            ]
            .map(PathBuf::from)
        );
        assert_eq!(paths.below_root(Path::new("/opt/x")), Path::new("/scratch/opt/x"));
        assert_eq!(paths.below_root(Path::new("/../../etc")), Path::new("/scratch/etc"));
        assert_eq!(paths.as_seen_inside(Path::new("/scratch/opt/x")), Path::new("/opt/x"));
    }
}
