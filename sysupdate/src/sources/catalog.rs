//! The versions that the signed catalog of a repository offers.

use std::collections::BTreeSet;
use std::rc::Rc;

use sysext_manifests::catalog::{Catalog, Instance};
use sysext_manifests::pattern::Captures;
use sysext_manifests::similar;
use sysext_manifests::transfer::{Activate, Transfer};

use super::{DiscoverError, Discovery, OfferedVersion};
use crate::merge::quarantine::Unsupported;
use crate::plan::{Origin, Relations};
use crate::repository::{self, OpenError};

impl Discovery<'_> {
    pub(super) fn in_catalog(
        &mut self,
        transfer: &Transfer,
        id: &str,
    ) -> Result<Vec<OfferedVersion>, Rc<DiscoverError>> {
        if !self.repositories.contains_key(id) {
            let opened =
                repository::open(self.host, self.paths, id, self.memory).map_err(|error| match error {
                    OpenError::Settings(error) => DiscoverError::Settings(error),
                    OpenError::Failed(error) => DiscoverError::Repository(error),
                });
            if let Ok(opened) = &opened {
                self.warnings.extend(opened.notes.iter().map(|note| format!("{id}: {note}")));
                let rejected = opened.rejected.iter();
                self.warnings.extend(rejected.map(|failure| format!("{id}: skipped {failure}")));
            }
            self.repositories.insert(id.to_owned(), opened.map(Rc::new).map_err(Rc::new));
        }
        let opened = self.repositories[id].clone()?;
        let mut offered = Vec::new();
        for verified in opened.catalog.instances() {
            let instance = *verified.get();
            let Some(captures) = self.wanted(transfer, instance) else { continue };
            let claim = verified.claim(&opened.repository);
            let (relations, malformed) = match Relations::of(instance) {
                Ok(relations) => (relations, None),
                Err(error) => (Relations::default(), Some(error.to_string())),
            };
            offered.push(OfferedVersion {
                relations,
                malformed,
                file: self.file(transfer, &captures, Origin::Claimed(claim))?,
                version: captures.version,
                unread: unread(transfer, instance),
                withdrawn: instance.withdrawn.clone(),
                health: instance.health.clone(),
            });
        }
        match offered.is_empty() {
            true => {
                self.absent(transfer, id, opened.catalog.get()).map_or(Ok(offered), |error| Err(error.into()))
            }
            false => Ok(offered),
        }
    }

    /// Why a catalog offers nothing for a transfer, unless it has the extension and just no version of it. A
    /// mistyped name would look as if there were no updates for ever.
    fn absent(&self, transfer: &Transfer, id: &str, catalog: &Catalog) -> Option<DiscoverError> {
        let own = self.identity.architecture;
        let (name, _) = transfer.source.patterns.first().as_str().split_once('@')?;
        let name = name.trim_end_matches(['-', '_', '.']).to_owned();
        let instances = catalog.extensions.values().flat_map(|extension| &extension.instances);
        let elsewhere = instances.filter(|instance| {
            let file = instance.image.file_name().replace(instance.arch.as_str(), own.as_str());
            instance.arch != own && transfer.source.patterns.matches(&file).is_some()
        });
        let architectures: BTreeSet<_> = elsewhere.map(|instance| instance.arch).collect();
        let repository = id.to_owned();
        if !architectures.is_empty() {
            return Some(DiscoverError::OtherArchitectures { repository, name, architectures, own });
        }
        if name.is_empty() || catalog.extensions.contains_key(&name) {
            return None;
        }
        let known = catalog.extensions.keys().map(String::as_str);
        let meant = similar::nearest(&name, known).map(str::to_owned);
        Some(DiscoverError::NotOffered { repository, name, meant })
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
}

/// What the merge would not read of an instance, if the transfer is merged. What has dm-verity is a disk image.
fn unread(transfer: &Transfer, instance: &Instance) -> Option<Unsupported> {
    let is_merged = transfer.activate == Activate::Refresh;
    (is_merged && instance.verity.is_some()).then_some(Unsupported::PartitionTable)
}
