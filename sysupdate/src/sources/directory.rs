//! The versions in a directory of this node.

use std::path::Path;

use sysext_manifests::transfer::Transfer;

use super::manifest::MANIFEST_LIMIT;
use super::{DiscoverError, Discovery, OfferedVersion};
use crate::host::transport;
use crate::plan::Origin;
use crate::targets::names::{self, Name, Scanned};

impl Discovery<'_> {
    /// The versions in a directory. If it has a `SHA256SUMS` file, only the files listed there are offered.
    pub(super) fn in_directory(&mut self, transfer: &Transfer) -> Result<Vec<OfferedVersion>, DiscoverError> {
        let directory = self.paths.below_root(Path::new(&transfer.source.path));
        let manifest = directory.join("SHA256SUMS");
        if let Some(bytes) = self.host.store.read(&manifest, MANIFEST_LIMIT)? {
            // URLs are not relative to the root
            let base = transport::file_url(&self.host.store.resolve(&directory)?);
            let manifest = self.read_manifest(&format!("{base}/SHA256SUMS"), &bytes)?;
            return self.listed(transfer, &manifest, &base);
        }
        let mut offered = Vec::new();
        let files = names::files(&*self.host.store, &directory, &transfer.source.patterns)?;
        for file in files {
            let Scanned { path, name: Name::Plain, captures } = file else { continue };
            let origin = Origin::File(path);
            offered.push(OfferedVersion::plain(
                captures.version.clone(),
                self.file(transfer, &captures, origin)?,
            ));
        }
        Ok(offered)
    }
}
