//! The versions that a `SHA256SUMS` file lists.

use std::rc::Rc;

use sysext_manifests::checksums::Checksums;
use sysext_manifests::transfer::Transfer;
use sysext_manifests::trust::{Claim, Verified};

use super::openpgp::SignedList;
use super::{DiscoverError, Discovery, OfferedVersion};
use crate::acquire::{Fetcher, Small};
use crate::host::transport;
use crate::plan::Origin;

/// How long a `SHA256SUMS` may be, in bytes: 20,000 lines are 1.6 MB.
pub(super) const MANIFEST_LIMIT: u64 = 16 << 20;

/// A manifest.
#[derive(Debug)]
pub(super) enum Manifest {
    /// One that is not signed.
    Plain { url: String, checksums: Checksums },
    /// One that is signed by a key of this node.
    Signed(SignedList),
}

impl Manifest {
    fn checksums(&self) -> &Checksums {
        match self {
            Self::Plain { checksums, .. } => checksums,
            Self::Signed(list) => list.checksums(),
        }
    }

    /// A claim about a file, with the evidence of the manifest.
    fn claim(&self, claim: Claim) -> Option<Verified<Claim>> {
        match self {
            Self::Plain { url, .. } => Some(Verified::listed(url, claim)),
            Self::Signed(list) => list.claim(claim),
        }
    }
}

impl Discovery<'_> {
    pub(super) fn in_manifest(
        &mut self,
        transfer: &Transfer,
    ) -> Result<Vec<OfferedVersion>, Rc<DiscoverError>> {
        let base = transfer.source.path.trim_end_matches('/');
        let url = format!("{base}/SHA256SUMS");
        let key = (url.clone(), transfer.verify);
        let manifest = match self.manifests.get(&key) {
            Some(manifest) => manifest.clone(),
            None => {
                let manifest = match transfer.verify {
                    true => self.fetch_signed(&url),
                    false => self.fetch_plain(&url),
                };
                let manifest = manifest.map(Rc::new).map_err(Rc::new);
                self.manifests.insert(key, manifest.clone());
                manifest
            }
        }?;
        self.listed(transfer, &manifest, base).map_err(Rc::new)
    }

    fn fetch_plain(&mut self, url: &str) -> Result<Manifest, DiscoverError> {
        let small = Fetcher::of(self.host).small(&[url.to_owned()], MANIFEST_LIMIT, None);
        let url = transport::without_password(url);
        match small.map_err(DiscoverError::Fetch)? {
            Small::Fetched { bytes, .. } => self.read_manifest(&url, &bytes),
            Small::NotModified => Err(DiscoverError::NotSent { url }),
        }
    }

    fn fetch_signed(&mut self, url: &str) -> Result<Manifest, DiscoverError> {
        let (list, warnings) =
            self.keys.fetch(self.host, self.paths, url, MANIFEST_LIMIT).map_err(DiscoverError::Signature)?;
        self.warnings.extend(warnings);
        self.check_freshness(&transport::without_password(url), list.checksums())?;
        Ok(Manifest::Signed(list))
    }

    pub(super) fn read_manifest(&mut self, url: &str, bytes: &[u8]) -> Result<Manifest, DiscoverError> {
        let (checksums, warnings) = Checksums::parse(bytes)
            .map_err(|source| DiscoverError::Manifest { url: url.to_owned(), source })?;
        self.warnings.extend(warnings.iter().map(|warning| format!("{url}: {warning}")));
        self.check_freshness(url, &checksums)?;
        Ok(Manifest::Plain { url: url.to_owned(), checksums })
    }

    fn check_freshness(&self, url: &str, checksums: &Checksums) -> Result<(), DiscoverError> {
        checksums
            .check_freshness(self.host.clock.now())
            .map_err(|source| DiscoverError::Stale { url: url.to_owned(), source })
    }

    /// The versions that a manifest lists for a transfer.
    pub(super) fn listed(
        &self,
        transfer: &Transfer,
        manifest: &Manifest,
        base: &str,
    ) -> Result<Vec<OfferedVersion>, DiscoverError> {
        let mut offered = Vec::new();
        for entry in &manifest.checksums().entries {
            let Some(captures) = transfer.source.patterns.matches(&entry.name) else { continue };
            let claim = Claim {
                urls: vec![format!("{base}/{}", transport::as_url_path(&entry.name))],
                name: entry.name.clone(),
                sha256: entry.sha256,
                size: captures.size,
            };
            let Some(claim) = manifest.claim(claim) else { continue };
            let origin = Origin::Claimed(claim);
            offered.push(OfferedVersion::plain(
                captures.version.clone(),
                self.file(transfer, &captures, origin)?,
            ));
        }
        Ok(offered)
    }
}
