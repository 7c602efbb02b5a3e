//! What is installed: for each transfer, the versions and the one in use.

use std::path::{Path, PathBuf};

use sysext_manifests::transfer::{Activate, Transfer};

use crate::host::store::{EntryKind, Store, StoreError};
use crate::paths::Paths;
use crate::plan::{Active, Leftover, LocalInstance, State, TransferState};
use crate::settings;
use crate::targets::Location;
use crate::targets::names::{self, Name};
use sysext_manifests::hint::Hint;

/// Why the target of a transfer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InventoryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} is not a symbolic link, but CurrentSymlink= names it", path.display())]
    NotALink { path: PathBuf },
}

impl Hint for InventoryError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::NotALink { .. } => Some("move it away, so that the link can be created there".to_owned()),
        }
    }
}

/// Looks at one transfer's target.
pub(crate) fn take(
    store: &dyn Store,
    paths: &Paths,
    transfer: &Transfer,
) -> Result<TransferState, InventoryError> {
    let active = match &transfer.target.current_symlink {
        None => Active::Newest,
        Some(link) => linked(store, paths, transfer, paths.below_root(Path::new(link)))?,
    };
    state(store, paths, transfer, active)
}

/// Looks at the target of a disabled transfer. If its link's name belongs to anything but a link, that is not
/// its own.
pub(crate) fn take_leftover(
    store: &dyn Store,
    paths: &Paths,
    idle: &settings::DisabledTransfer,
) -> Result<Leftover, InventoryError> {
    let settings::DisabledTransfer { transfer, reason } = idle;
    let link = transfer.target.current_symlink.as_ref().map(|link| paths.below_root(Path::new(link)));
    let active = match &link {
        Some(link) if store.read_link(link)?.is_some() => linked(store, paths, transfer, link.clone())?,
        Some(link) => Active::Linked { link: link.clone(), version: None },
        None => Active::Newest,
    };
    let merged = transfer.activate == Activate::Refresh;
    Ok(Leftover { state: state(store, paths, transfer, active)?, reason: reason.clone(), merged })
}

fn state(
    store: &dyn Store,
    paths: &Paths,
    transfer: &Transfer,
    active: Active,
) -> Result<TransferState, InventoryError> {
    let directory = paths.below_root(Path::new(&transfer.target.path));
    let local = names::files(store, &directory, &transfer.target.patterns)?.into_iter().map(|found| {
        let state = match found.name {
            Name::Plain => State::Installed,
            Name::Pending => State::Pending,
            Name::Partial => State::Partial,
        };
        LocalInstance { version: found.captures.version, location: Location::File(found.path), state }
    });
    let local = local.collect();
    Ok(TransferState {
        transfer: transfer.id.clone(),
        minimum: transfer.min_version.clone(),
        maximum: transfer.max_version.clone(),
        requirement: transfer.version.clone(),
        protected: transfer.protect_versions.clone(),
        instances_max: usize::try_from(transfer.target.instances_max).unwrap_or(usize::MAX),
        local,
        active,
    })
}

/// The version that a link points to, by the file's name in the target directory.
fn linked(
    store: &dyn Store,
    paths: &Paths,
    transfer: &Transfer,
    link: PathBuf,
) -> Result<Active, InventoryError> {
    let target = store.read_link(&link)?;
    if target.is_none() && is_something_else(store, &link)? {
        // It was not put there by an updater: pointing the link would destroy it.
        return Err(InventoryError::NotALink { path: link });
    }
    let directory = Path::new(&transfer.target.path);
    let real_directory = store.resolve(&paths.below_root(directory))?;
    let target = match target {
        Some(target) => Some(store.resolve_target(link.parent().unwrap_or(&link), &target)?),
        None => None,
    };
    let version = target.and_then(|target| {
        let directories = [&paths.below_root(directory), &real_directory];
        let name = directories.iter().find_map(|directory| target.strip_prefix(directory).ok())?;
        Some(transfer.target.patterns.matches(name.to_str()?)?.version)
    });
    Ok(Active::Linked { link, version })
}

/// The path of a link with the links of its directory resolved: its target is relative to that.
pub(crate) fn without_links(store: &dyn Store, link: &Path) -> Result<PathBuf, StoreError> {
    let directory = store.resolve(link.parent().unwrap_or(link))?;
    Ok(directory.join(link.file_name().unwrap_or_default()))
}

/// Whether a name exists and is not a link.
fn is_something_else(store: &dyn Store, path: &Path) -> Result<bool, StoreError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let entries = store.list(path.parent().unwrap_or(path))?;
    Ok(entries.iter().any(|entry| Some(&*entry.name) == name && !matches!(entry.kind, EntryKind::Link(_))))
}

/// The text of a link at `link` that leads to `target`; both are absolute as the target system sees them.
pub(crate) fn relative(link: &Path, target: &Path) -> PathBuf {
    let from: Vec<_> = link.parent().unwrap_or(link).components().collect();
    let to: Vec<_> = target.components().collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[shared..].iter().map(|_| Path::new(".."));
    up.chain(to[shared..].iter().map(|part| Path::new(part.as_os_str()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeStore;

    #[test]
    fn only_a_link_or_nothing_may_stand_where_the_link_goes() {
        let text = "[Source]\nType=url-file\nPath=https://example.org/\nMatchPattern=x-@v.raw\n\
                    [Target]\nType=regular-file\nPath=/var/lib/images\nMatchPattern=x-@v.raw\n\
                    CurrentSymlink=/var/lib/extensions/x.raw\n";
        let store = FakeStore::default();
        let identity = crate::node::identity::identify(&store, &Paths::new(Path::new("/"))).unwrap();
        let transfer = Transfer::parse("x.transfer", text, &[], &identity).unwrap().transfer;
        let take = || take(&store, &Paths::new(Path::new("/")), &transfer);
        let link = Path::new("/var/lib/extensions/x.raw");
        assert!(take().is_ok());
        store.make_directory(link).unwrap();
        assert!(take().unwrap_err().to_string().contains("/var/lib/extensions/x.raw is not a symbolic link"));
        let store = FakeStore::default();
        let take = || super::take(&store, &Paths::new(Path::new("/")), &transfer);
        store.make_directory(link.parent().unwrap()).unwrap();
        store.save(link, b"precious").unwrap();
        assert!(take().is_err());
        store.point(link, Path::new("../images/x-1.raw")).unwrap();
        let Active::Linked { version, .. } = take().unwrap().active else { panic!("no link") };
        assert_eq!(version.unwrap().as_str(), "1");
    }

    #[test]
    fn a_relative_link_leads_where_it_was_made_for() {
        let cases = [
            (
                "/var/lib/extensions/x.raw",
                "/var/lib/sysupdate/images/x/x-1.raw",
                "../sysupdate/images/x/x-1.raw",
            ),
            ("/etc/extensions/x.raw", "/opt/extensions/x/x-1.raw", "../../opt/extensions/x/x-1.raw"),
            ("/x.raw", "/y.raw", "y.raw"),
        ];
        for (link, target, expected) in cases {
            let text = relative(Path::new(link), Path::new(target));
            assert_eq!(text, Path::new(expected));
            let directory = Path::new(link).parent().unwrap();
            let resolved = FakeStore::default().resolve_target(directory, &text).unwrap();
            assert_eq!(resolved, Path::new(target));
        }
    }
}
