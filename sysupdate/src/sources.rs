//! What the sources have: signed catalogs, `SHA256SUMS`, directories.
//!
//! Each catalog and each manifest is fetched once per run, however many transfers ask for it, and only if
//! it changed since the last run.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use sysext_manifests::catalog::Instance;
use sysext_manifests::checksums::{Checksums, ChecksumsError, Stale};
use sysext_manifests::health::HealthCheck;
#[cfg(feature = "openpgp")]
use sysext_manifests::openpgp::{Keyring, SignedChecksums};
use sysext_manifests::pattern::{Captures, FormatError};
use sysext_manifests::specifier::Identity;
use sysext_manifests::transfer::{Activate, Transfer};
use sysext_manifests::trust::{Claim, Verified};
use sysext_manifests::version::Version;

use crate::acquire::{AcquireError, Fetcher, Small};
use crate::host::store::StoreError;
use crate::host::{Host, transport};
use crate::merge::quarantine::Unread;
use crate::paths::Paths;
use crate::plan::{Offer, OfferedFile, Offers, Origin, Relations};
use crate::repository::{self, Opened, RepositoryFailure};
use crate::settings::{Component, SettingsError};
use crate::targets::Location;
use crate::targets::names::{self, Name, Scanned};
use sysext_manifests::hint::Hint;

#[cfg(feature = "openpgp")]
pub mod openpgp;

#[cfg(feature = "openpgp")]
use openpgp::SignatureFailure;

/// How long a `SHA256SUMS` may be, in bytes: 20,000 lines are 1.6 MB.
const MANIFEST_LIMIT: u64 = 16 << 20;

/// What is remembered of the catalogs that are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Marks are kept, so that nothing older is believed again. Needs the lock.
    Keep,
    /// Nothing is written.
    Leave,
}

/// Why nobody knows what a source has.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The repository's description is not usable.
    #[error(transparent)]
    Settings(SettingsError),
    /// The catalog cannot be had, or is not believed.
    #[error(transparent)]
    Repository(RepositoryFailure),
    /// A manifest cannot be had.
    #[error(transparent)]
    Fetch(AcquireError),
    /// The server says that nothing changed, although it was not asked whether.
    #[error("{url}: the server sent nothing")]
    NotSent {
        /// Which manifest.
        url: String,
    },
    /// A manifest does not say what it must.
    #[error("{url}: {source}")]
    Manifest {
        /// Which.
        url: String,
        /// What is wrong.
        source: ChecksumsError,
    },
    /// A manifest is too old.
    #[error("{url}: {source}")]
    Stale {
        /// Which.
        url: String,
        /// How old.
        source: Stale,
    },
    /// A manifest's OpenPGP signature is missing, or not believed.
    #[cfg(feature = "openpgp")]
    #[error(transparent)]
    Signature(SignatureFailure),
    /// A manifest must be signed with OpenPGP.
    #[cfg(not(feature = "openpgp"))]
    #[error("{url} must carry an OpenPGP signature, and this build of sysupdate can check none")]
    Unchecked {
        /// The manifest.
        url: String,
    },
    /// A directory cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A version cannot be named in the target.
    #[error("{transfer}: {source}")]
    Name {
        /// The transfer.
        transfer: String,
        /// Why.
        source: FormatError,
    },
}

impl Hint for DiscoverError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::Fetch(error) => error.hint(),
            #[cfg(feature = "openpgp")]
            Self::Signature(error) => error.hint(),
            #[cfg(not(feature = "openpgp"))]
            Self::Unchecked { .. } => Some(
                "say Repository= to trust a signed catalog, or Verify=no to take the manifest as it comes"
                    .to_owned(),
            ),
            Self::Stale { .. } => Some("check this node's clock, or tell the publisher".to_owned()),
            Self::Manifest { source, .. } => source.hint(),
            Self::NotSent { .. } | Self::Store(_) | Self::Name { .. } => None,
        }
    }
}

/// One run's look at the sources.
#[derive(Debug)]
pub struct Discovery<'a> {
    host: &'a Host,
    paths: &'a Paths,
    identity: &'a Identity,
    memory: Memory,
    repositories: BTreeMap<String, Result<Rc<Opened>, Rc<DiscoverError>>>,
    /// By URL, and by whether they must be signed.
    manifests: BTreeMap<(String, bool), Result<Rc<Manifest>, Rc<DiscoverError>>>,
    #[cfg(feature = "openpgp")]
    keyring: Option<Rc<Keyring>>,
    warnings: Vec<String>,
}

/// A manifest, and what makes it believed.
#[derive(Debug)]
enum Manifest {
    /// Nothing but where it was found.
    Plain { url: String, checksums: Checksums },
    /// The signature of a key on this node.
    #[cfg(feature = "openpgp")]
    Signed(SignedChecksums),
}

impl Manifest {
    fn checksums(&self) -> &Checksums {
        match self {
            Self::Plain { checksums, .. } => checksums,
            #[cfg(feature = "openpgp")]
            Self::Signed(list) => list.checksums(),
        }
    }

    /// What it says about a file, on its evidence.
    fn claim(&self, claim: Claim) -> Option<Verified<Claim>> {
        match self {
            Self::Plain { url, .. } => Some(Verified::listed(url, claim)),
            #[cfg(feature = "openpgp")]
            Self::Signed(list) => Verified::signed_list(list, claim),
        }
    }
}

/// One version a transfer's source has.
struct Found {
    relations: Relations,
    malformed: Option<String>,
    version: Version,
    source: OfferedFile,
    unread: Option<Unread>,
    withdrawn: Option<String>,
    health: Vec<HealthCheck>,
}

impl<'a> Discovery<'a> {
    /// Nothing is fetched yet.
    pub fn new(host: &'a Host, paths: &'a Paths, identity: &'a Identity, memory: Memory) -> Self {
        Self {
            host,
            paths,
            identity,
            memory,
            repositories: BTreeMap::new(),
            manifests: BTreeMap::new(),
            #[cfg(feature = "openpgp")]
            keyring: None,
            warnings: Vec::new(),
        }
    }

    /// What was odd about what was read since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// What a component's sources have. One source that fails makes the whole unknown: half a version
    /// must never look whole.
    pub fn offers(&mut self, component: &Component) -> Result<Offers, Rc<DiscoverError>> {
        let mut offers: BTreeMap<Version, Offer> = BTreeMap::new();
        let count = component.transfers.len();
        // Checks run after a merge only.
        let is_merged = component.transfers.iter().any(|transfer| transfer.activate == Activate::Refresh);
        for (index, transfer) in component.transfers.iter().enumerate() {
            for found in self.found(transfer)? {
                let Found { relations, malformed, version, source, unread, withdrawn, health } = found;
                let offer = offers.entry(version).or_insert_with(|| Offer {
                    relations: Relations::default(),
                    malformed: None,
                    files: vec![None; count],
                    unread: None,
                    withdrawn: None,
                    health: Vec::new(),
                });
                offer.files[index].get_or_insert(source);
                offer.relations.add(relations);
                offer.malformed = offer.malformed.take().or(malformed);
                offer.unread = offer.unread.or(unread);
                offer.withdrawn = offer.withdrawn.take().or(withdrawn);
                offer.health.extend(health.into_iter().filter(|_| is_merged));
            }
        }
        Ok(Offers::Known(offers))
    }

    fn found(&mut self, transfer: &Transfer) -> Result<Vec<Found>, Rc<DiscoverError>> {
        match (&transfer.repository, transfer.source.kind) {
            (Some(id), _) => self.in_catalog(transfer, id),
            (None, kind) if kind.is_remote() => self.in_manifest(transfer),
            // Settings let no directories, archives and subvolumes through
            (None, _) => self.in_directory(transfer).map_err(Rc::new),
        }
    }

    fn in_catalog(&mut self, transfer: &Transfer, id: &str) -> Result<Vec<Found>, Rc<DiscoverError>> {
        if !self.repositories.contains_key(id) {
            let opened =
                repository::open(self.host, self.paths, id, self.memory).map_err(|error| match error {
                    repository::OpenError::Settings(error) => DiscoverError::Settings(error),
                    repository::OpenError::Failed(error) => DiscoverError::Repository(error),
                });
            if let Ok(opened) = &opened {
                self.warnings.extend(opened.notes.iter().map(|note| format!("{id}: {note}")));
                let rejected = opened.rejected.iter();
                self.warnings.extend(rejected.map(|failure| format!("{id}: skipped {failure}")));
            }
            self.repositories.insert(id.to_owned(), opened.map(Rc::new).map_err(Rc::new));
        }
        let opened = self.repositories[id].clone()?;
        let mut found = Vec::new();
        for verified in opened.catalog.instances() {
            let instance = *verified.get();
            let Some(captures) = self.wanted(transfer, instance) else { continue };
            let claim = verified.claim(&opened.repository);
            let (relations, malformed) = match Relations::of(instance) {
                Ok(relations) => (relations, None),
                Err(error) => (Relations::default(), Some(error.to_string())),
            };
            found.push(Found {
                relations,
                malformed,
                source: self.source(transfer, &captures, Origin::Claimed(claim))?,
                version: captures.version,
                unread: unread(transfer, instance),
                withdrawn: instance.withdrawn.clone(),
                health: instance.health.clone(),
            });
        }
        Ok(found)
    }

    /// Whether a transfer's pattern names an instance. The pattern's version must be the end of the
    /// catalog's: `foo-@v` matches the file of `foo-bar` too, with a version that `foo-bar` does not have.
    fn wanted(&self, transfer: &Transfer, instance: &Instance) -> Option<Captures> {
        if instance.arch != self.identity.architecture {
            return None;
        }
        let captures = transfer.source.patterns.matches(instance.image.file_name())?;
        instance.version.as_str().ends_with(captures.version.as_str()).then_some(captures)
    }

    fn in_manifest(&mut self, transfer: &Transfer) -> Result<Vec<Found>, Rc<DiscoverError>> {
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

    #[cfg(feature = "openpgp")]
    fn fetch_signed(&mut self, url: &str) -> Result<Manifest, DiscoverError> {
        let keyring = match &self.keyring {
            Some(keyring) => keyring.clone(),
            None => {
                let (keyring, warnings) =
                    openpgp::keyring(self.host, self.paths).map_err(DiscoverError::Signature)?;
                self.warnings.extend(warnings);
                self.keyring.insert(Rc::new(keyring)).clone()
            }
        };
        let (list, warnings) =
            openpgp::fetch(self.host, &keyring, url, MANIFEST_LIMIT).map_err(DiscoverError::Signature)?;
        let url = transport::without_password(url);
        self.warnings.extend(warnings.iter().map(|warning| format!("{url}: {warning}")));
        self.check_freshness(&url, list.checksums())?;
        Ok(Manifest::Signed(list))
    }

    #[cfg(not(feature = "openpgp"))]
    fn fetch_signed(&mut self, url: &str) -> Result<Manifest, DiscoverError> {
        Err(DiscoverError::Unchecked { url: url.to_owned() })
    }

    fn read_manifest(&mut self, url: &str, bytes: &[u8]) -> Result<Manifest, DiscoverError> {
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
    fn listed(
        &self,
        transfer: &Transfer,
        manifest: &Manifest,
        base: &str,
    ) -> Result<Vec<Found>, DiscoverError> {
        let mut found = Vec::new();
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
            found.push(Found {
                relations: Relations::default(),
                malformed: None,
                source: self.source(transfer, &captures, origin)?,
                version: captures.version,
                unread: None,
                withdrawn: None,
                health: Vec::new(),
            });
        }
        Ok(found)
    }

    /// A directory of this node. Where a `SHA256SUMS` lies beside the files, it counts.
    fn in_directory(&mut self, transfer: &Transfer) -> Result<Vec<Found>, DiscoverError> {
        let directory = self.paths.below_root(Path::new(&transfer.source.path));
        let manifest = directory.join("SHA256SUMS");
        if let Some(bytes) = self.host.store.read(&manifest, MANIFEST_LIMIT)? {
            // A URL knows nothing of roots
            let base = transport::file_url(&self.host.store.resolve(&directory)?);
            let manifest = self.read_manifest(&format!("{base}/SHA256SUMS"), &bytes)?;
            return self.listed(transfer, &manifest, &base);
        }
        let mut found = Vec::new();
        let files = names::files(&*self.host.store, &directory, &transfer.source.patterns)?;
        for file in files {
            let Scanned { path, name: Name::Plain, captures } = file else { continue };
            let origin = Origin::File(path);
            found.push(Found {
                relations: Relations::default(),
                malformed: None,
                source: self.source(transfer, &captures, origin)?,
                version: captures.version,
                unread: None,
                withdrawn: None,
                health: Vec::new(),
            });
        }
        Ok(found)
    }

    /// Where a version of a transfer comes from, and what it will be called here.
    fn source(
        &self,
        transfer: &Transfer,
        captures: &Captures,
        origin: Origin,
    ) -> Result<OfferedFile, DiscoverError> {
        let captures = Captures {
            tries_left: captures.tries_left.or(transfer.target.tries_left),
            tries_done: captures.tries_done.or(transfer.target.tries_done),
            ..captures.clone()
        };
        let name = transfer
            .target
            .patterns
            .format(&captures)
            .map_err(|source| DiscoverError::Name { transfer: transfer.id.clone(), source })?;
        let target = self.paths.below_root(Path::new(&transfer.target.path)).join(name);
        let target = Location::File(target);
        let mode = transfer.target.mode.or(captures.mode);
        let read_only = transfer.target.read_only.or(captures.read_only).unwrap_or(false);
        let mode = if read_only { Some(mode.unwrap_or(0o444) & !0o222) } else { mode };
        Ok(OfferedFile { origin, target, mode })
    }
}
/// What the merge would not read of an instance, if the transfer is merged. What has dm-verity is a disk image.
fn unread(transfer: &Transfer, instance: &Instance) -> Option<Unread> {
    let is_merged = transfer.activate == Activate::Refresh;
    (is_merged && instance.verity.is_some()).then_some(Unread::PartitionTable)
}
