//! What the sources offer: signed catalogs, `SHA256SUMS` files, directories.
//!
//! A new kind is a module here, a `SourceType` in the manifests, and an entry in `settings/support.rs`.
//!
//! Each catalog and each manifest is fetched once per run, however many transfers use it, and only if it changed
//! since the last run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use sysext_manifests::architecture::Architecture;
use sysext_manifests::checksums::{ChecksumsError, Stale};
use sysext_manifests::health::HealthCheck;
use sysext_manifests::hint::Hint;
use sysext_manifests::pattern::{Captures, FormatError};
use sysext_manifests::specifier::Identity;
use sysext_manifests::transfer::{Activate, Transfer};
use sysext_manifests::version::Version;

use crate::acquire::AcquireError;
use crate::host::Host;
use crate::host::store::StoreError;
use crate::merge::quarantine::Unsupported;
use crate::paths::Paths;
use crate::plan::{Offer, OfferedFile, Offers, Origin, Relations};
use crate::repository::{Memory, Opened, RepositoryFailure};
use crate::settings::{Component, SettingsError};
use crate::targets::Location;

mod catalog;
mod directory;
mod manifest;
#[cfg(feature = "openpgp")]
pub mod openpgp;
#[cfg(not(feature = "openpgp"))]
#[path = "sources/openpgp/absent.rs"]
pub mod openpgp;

use manifest::Manifest;
use openpgp::{Keys, SignatureFailure};

/// Why it is unknown what a source offers.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum DiscoverError {
    #[error(transparent)]
    Settings(SettingsError),
    #[error(transparent)]
    Repository(RepositoryFailure),
    #[error("{repository} does not offer {name}")]
    NotOffered { repository: String, name: String, meant: Option<String> },
    #[error("{repository} offers {name} for {} only, and this node is {own}", list(architectures))]
    OtherArchitectures {
        repository: String,
        name: String,
        architectures: BTreeSet<Architecture>,
        own: Architecture,
    },
    #[error(transparent)]
    Fetch(AcquireError),
    #[error("{url}: the server sent nothing")]
    NotSent { url: String },
    #[error("{url}: {source}")]
    Manifest { url: String, source: ChecksumsError },
    #[error("{url}: {source}")]
    Stale { url: String, source: Stale },
    #[error(transparent)]
    Signature(SignatureFailure),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{transfer}: {source}")]
    Name { transfer: String, source: FormatError },
}

fn list(architectures: &BTreeSet<Architecture>) -> String {
    architectures.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

impl Hint for DiscoverError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::NotOffered { meant, .. } => {
                let meant = meant.as_ref()?;
                Some(format!("did you mean {meant}? It is in MatchPattern= of [Source]"))
            }
            Self::OtherArchitectures { .. } => {
                Some("ask the publisher for this architecture, or disable the component".to_owned())
            }
            Self::Fetch(error) => error.hint(),
            Self::Signature(error) => error.hint(),
            Self::Stale { .. } => Some("check this node's clock, or tell the publisher".to_owned()),
            Self::Manifest { source, .. } => source.hint(),
            Self::NotSent { .. } | Self::Store(_) | Self::Name { .. } => None,
        }
    }
}

/// What one run learns from the sources.
#[derive(Debug)]
pub struct Discovery<'a> {
    host: &'a Host,
    paths: &'a Paths,
    identity: &'a Identity,
    memory: Memory,
    repositories: BTreeMap<String, Result<Rc<Opened>, Rc<DiscoverError>>>,
    /// By URL, and by whether they must be signed.
    manifests: BTreeMap<(String, bool), Result<Rc<Manifest>, Rc<DiscoverError>>>,
    keys: Keys,
    warnings: Vec<String>,
}

/// One version that the source of a transfer offers.
struct OfferedVersion {
    version: Version,
    file: OfferedFile,
    relations: Relations,
    malformed: Option<String>,
    unread: Option<Unsupported>,
    withdrawn: Option<String>,
    health: Vec<HealthCheck>,
}

impl OfferedVersion {
    /// A version of which only the file is known.
    fn plain(version: Version, file: OfferedFile) -> Self {
        Self {
            version,
            file,
            relations: Relations::default(),
            malformed: None,
            unread: None,
            withdrawn: None,
            health: Vec::new(),
        }
    }
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
            keys: Keys::default(),
            warnings: Vec::new(),
        }
    }

    /// The warnings since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// What the sources of a component offer. If one of them fails, nothing is offered: an incomplete version
    /// must not look complete.
    pub fn offers(&mut self, component: &Component) -> Result<Offers, Rc<DiscoverError>> {
        let mut offers: BTreeMap<Version, Offer> = BTreeMap::new();
        let count = component.transfers.len();
        // Checks run after a merge only.
        let is_merged = component.transfers.iter().any(|transfer| transfer.activate == Activate::Refresh);
        for (index, transfer) in component.transfers.iter().enumerate() {
            for offered in self.offered(transfer)? {
                let OfferedVersion { version, file, relations, malformed, unread, withdrawn, health } =
                    offered;
                let offer = offers.entry(version).or_insert_with(|| Offer {
                    relations: Relations::default(),
                    malformed: None,
                    files: vec![None; count],
                    unread: None,
                    withdrawn: None,
                    health: Vec::new(),
                });
                offer.files[index].get_or_insert(file);
                offer.relations.add(relations);
                offer.malformed = offer.malformed.take().or(malformed);
                offer.unread = offer.unread.or(unread);
                offer.withdrawn = offer.withdrawn.take().or(withdrawn);
                offer.health.extend(health.into_iter().filter(|_| is_merged));
            }
        }
        Ok(Offers::Known(offers))
    }

    fn offered(&mut self, transfer: &Transfer) -> Result<Vec<OfferedVersion>, Rc<DiscoverError>> {
        match (&transfer.repository, transfer.source.kind) {
            (Some(id), _) => self.in_catalog(transfer, id),
            (None, kind) if kind.is_remote() => self.in_manifest(transfer),
            // Directories, archives and subvolumes are refused with the settings.
            (None, _) => self.in_directory(transfer).map_err(Rc::new),
        }
    }

    /// Where a file comes from, and where it will be installed.
    fn file(
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
