//! Why definitions cannot be used.

use std::path::PathBuf;

use sysext_manifests::hint::Hint;
use sysext_manifests::ini::IniError;
use sysext_manifests::repository::RepositoryError;
use sysext_manifests::transfer::TransferError;

use super::ComponentName;
use crate::host::store::StoreError;

/// Why definitions cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum SettingsError {
    #[error("no transfer definitions found (searched {})", list(.searched))]
    NoDefinitions { component: ComponentName, searched: Vec<PathBuf> },
    #[error("every transfer is disabled: the features that they need are disabled")]
    NoneEnabled { component: ComponentName },
    #[error("Component name invalid: {name}")]
    Name { name: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: byte {offset} is not UTF-8", path.display())]
    NotText { path: PathBuf, offset: usize },
    #[error(transparent)]
    Transfer { source: Box<TransferError> },
    #[error("{} both write {}", transfers.join(" and "), path.display())]
    Conflict {
        /// The link, or the directory with the pattern.
        path: PathBuf,
        /// The transfers as COMPONENT/TRANSFER.
        transfers: Vec<String>,
    },
    #[error(transparent)]
    Feature { source: IniError },
    #[error("Component is disabled: {component}")]
    Disabled { component: ComponentName },
    #[error("{}", listing(.unsupported))]
    Unsupported {
        /// Each file with its settings that are not supported.
        unsupported: Vec<(PathBuf, Vec<String>)>,
    },
    #[error("{} not found, but a transfer sets Repository={id}", path.display())]
    NoRepository { id: String, path: PathBuf },
    #[error(transparent)]
    Repository { source: RepositoryError },
}

/// What can be done where every feature is disabled.
const VACUUM: &str = "`sysupdate vacuum` removes their files";

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn listing(unsupported: &[(PathBuf, Vec<String>)]) -> String {
    let each = unsupported.iter().map(|(file, what)| {
        format!("{}: {} is not supported by this version", file.display(), what.join(", "))
    });
    each.collect::<Vec<_>>().join("; ")
}

impl Hint for SettingsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoDefinitions { component: ComponentName::Default, .. } => {
                Some("select a component with --component=, or all of them with --component-all".to_owned())
            }
            Self::NoDefinitions { .. } => {
                Some("put the publisher's .transfer file into one of these directories".to_owned())
            }
            Self::NoneEnabled { component: ComponentName::Default } => {
                Some(format!("see `sysupdate features` and `sysupdate enable-feature`; {VACUUM}"))
            }
            Self::NoneEnabled { component: ComponentName::Named(name) } => {
                let features = format!("`sysupdate features --component={name}`");
                Some(format!("see {features} and `sysupdate enable-feature`; {VACUUM}"))
            }
            Self::NoRepository { id, .. } => {
                Some(format!("put the publisher's {id}.toml there: it contains the URL and the keys"))
            }
            Self::Conflict { .. } => {
                Some("remove one of them, or give each its own CurrentSymlink= and Path=".to_owned())
            }
            Self::Transfer { source, .. } => source.hint(),
            Self::Feature { source, .. } => source.hint(),
            Self::Disabled { component: ComponentName::Named(name) } => {
                Some(format!("`sysupdate enable-component {name}` enables it"))
            }
            Self::Unsupported { .. } => Some(
                "move these transfers into another component and update it with systemd-sysupdate".to_owned(),
            ),
            Self::Name { .. }
            | Self::Store(_)
            | Self::NotText { .. }
            | Self::Repository { .. }
            | Self::Disabled { component: ComponentName::Default } => None,
        }
    }
}
