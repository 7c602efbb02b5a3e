//! The files that transfers install, so that those that another transfer matches are found without comparing each
//! transfer with all others: there may be thousands of components.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sysext_manifests::pattern::Captures;
use sysext_manifests::transfer::Transfer;

use crate::settings::{ComponentName, Loaded};

/// An example file of each transfer, by directory.
pub(super) struct Installed {
    files: Vec<File>,
    /// The positions of the files in `files`, by directory and name.
    by_name: BTreeMap<PathBuf, BTreeMap<String, Vec<usize>>>,
}

/// A file that a transfer installs.
pub(super) struct File {
    pub(super) component: ComponentName,
    pub(super) transfer: Transfer,
    pub(super) name: String,
}

impl Installed {
    /// One file of each valid transfer; the names of other versions only differ in the version.
    pub(super) fn examples(loaded: &Loaded, example: &Captures) -> Self {
        let mut files = Vec::new();
        let mut by_name: BTreeMap<PathBuf, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
        let components = loaded.iter().filter_map(|(name, component)| Some((name, component.as_ref().ok()?)));
        for (component, transfer) in
            components.flat_map(|(name, component)| component.transfers.iter().map(move |each| (name, each)))
        {
            let Ok(name) = transfer.target.patterns.format(example) else { continue };
            let names = by_name.entry(directory(transfer)).or_default();
            names.entry(name.clone()).or_default().push(files.len());
            files.push(File { component: component.clone(), transfer: transfer.clone(), name });
        }
        Self { files, by_name }
    }

    /// The files that a transfer matches, its own included, in the order of the transfers.
    pub(super) fn matched_by(&self, transfer: &Transfer) -> impl Iterator<Item = &File> {
        let mut found = BTreeSet::new();
        let names = self.by_name.get(&directory(transfer));
        for pattern in transfer.target.patterns.iter() {
            let prefix = pattern.literal_prefix();
            let candidates = names.into_iter().flat_map(|names| names.range(prefix.to_owned()..));
            let candidates = candidates.take_while(|(name, _)| name.starts_with(prefix));
            found.extend(
                candidates.filter(|(name, _)| pattern.matches(name).is_some()).flat_map(|(_, files)| files),
            );
        }
        let files = found.into_iter().filter_map(|index: &usize| self.files.get(*index));
        let kind = transfer.target.kind;
        files.filter(move |file| file.transfer.target.kind == kind)
    }
}

/// A target's directory. Collecting the components removes `//` and `/./`.
fn directory(transfer: &Transfer) -> PathBuf {
    Path::new(&transfer.target.path).components().collect()
}
