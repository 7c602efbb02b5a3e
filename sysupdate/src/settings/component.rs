//! A component whose definitions this version can carry out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sysext_manifests::specifier::Identity;
use sysext_manifests::transfer::Transfer;

use super::{ComponentName, Definitions, DisabledTransfer, OnDisabled, SettingsError, support};
use crate::host::store::Store;
use crate::paths::Paths;

/// Transfers that are updated together: each version has a file for every enabled transfer.
#[derive(Debug)]
pub struct Component {
    /// Its name.
    pub name: ComponentName,
    /// The enabled transfers, sorted by file name.
    pub transfers: Vec<Transfer>,
    /// The disabled transfers, sorted by file name.
    pub disabled: Vec<DisabledTransfer>,
    /// Problems in its files that do not stop an update.
    pub warnings: Vec<String>,
}

impl Component {
    /// Reads a component from its directories, highest priority first.
    pub(super) fn read(
        store: &dyn Store,
        identity: &Identity,
        name: ComponentName,
        directories: Vec<PathBuf>,
    ) -> Result<Self, SettingsError> {
        let definitions = Definitions::read(store, identity, &name, directories)?.require_transfers(&name)?;
        let mut warnings = definitions.warnings.clone();
        let (mut transfers, mut disabled) = (Vec::new(), Vec::new());
        let mut unsupported = Vec::new();
        for (file, transfer) in &definitions.transfers {
            let unsupported_here = support::unsupported(transfer);
            if let Some(reason) = definitions.disabled_by(transfer) {
                match unsupported_here.is_empty() {
                    true => disabled.push(DisabledTransfer { transfer: transfer.clone(), reason }),
                    false => warnings.push(format!(
                        "{}: {reason}, but its files are kept: {} is not supported by this version",
                        file.display(),
                        unsupported_here.join(", ")
                    )),
                }
                continue;
            }
            let ignored = support::ignored(transfer);
            let warn = |key: &&str| format!("{}: {key}= is not supported yet and is ignored", file.display());
            warnings.extend(ignored.iter().map(warn));
            match unsupported_here.is_empty() {
                true => transfers.push(transfer.clone()),
                false => unsupported.push((file.clone(), unsupported_here)),
            }
        }
        if !unsupported.is_empty() {
            return Err(SettingsError::Unsupported { unsupported });
        }
        Ok(Self { name, transfers, disabled, warnings })
    }

    /// The directories that its files and links are written to.
    pub fn directories(&self, paths: &Paths) -> BTreeSet<PathBuf> {
        let disabled = self.disabled.iter().map(|disabled| &disabled.transfer);
        let transfers = self.transfers.iter().chain(disabled);
        let targets = transfers.clone().map(|transfer| paths.below_root(Path::new(&transfer.target.path)));
        let links = transfers.filter_map(|transfer| {
            let link = Path::new(transfer.target.current_symlink.as_ref()?);
            Some(paths.below_root(link.parent()?))
        });
        targets.chain(links).collect()
    }

    /// Fails if every transfer is disabled, except where disabled transfers are allowed.
    pub(super) fn require_enabled(self, on_disabled: OnDisabled) -> Result<Self, SettingsError> {
        match (self.transfers.is_empty(), on_disabled) {
            (false, _) | (true, OnDisabled::Allow) => Ok(self),
            (true, OnDisabled::Fail | OnDisabled::Warn) => {
                Err(SettingsError::NoneEnabled { component: self.name })
            }
        }
    }
}
