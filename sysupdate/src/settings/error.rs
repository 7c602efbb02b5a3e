//! Why definitions are not usable.

use std::path::PathBuf;

use sysext_manifests::ini::IniError;
use sysext_manifests::repository::RepositoryError;
use sysext_manifests::transfer::TransferError;

use super::ComponentName;
use crate::host::store::StoreError;
use sysext_manifests::hint::Hint;

/// Why definitions are not usable.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A component without definitions.
    #[error("no transfer definitions for {component} in {}", list(.searched))]
    NoDefinitions {
        /// The component.
        component: ComponentName,
        /// Where was looked.
        searched: Vec<PathBuf>,
    },
    /// A component whose features are all off.
    #[error("no transfer definitions for {component} take part: the features they need are disabled")]
    NoneEnabled {
        /// The component.
        component: ComponentName,
    },
    /// A name that is none.
    #[error("Component name invalid: {name}")]
    Name {
        /// The name.
        name: String,
    },
    /// A file or directory cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file is not text.
    #[error("{}: byte {offset} is not UTF-8", path.display())]
    NotText {
        /// Which.
        path: PathBuf,
        /// Where.
        offset: usize,
    },
    /// A file does not say what it must.
    #[error("{}: {source}", directory.display())]
    Transfer {
        /// Where the file lies.
        directory: PathBuf,
        /// What is wrong, with file, line and key.
        source: Box<TransferError>,
    },
    /// Several transfers write one thing.
    #[error("{} is what {} write", path.display(), transfers.join(" and "))]
    Rivals {
        /// The link, or the directory with the pattern.
        path: PathBuf,
        /// The transfers, each behind its component.
        transfers: Vec<String>,
    },
    /// A feature or component file is damaged.
    #[error("{}: {source}", directory.display())]
    Feature {
        /// Where the file lies.
        directory: PathBuf,
        /// What is wrong, with file and line.
        source: IniError,
    },
    /// The operator switched it off.
    #[error("Component is disabled: {component}")]
    Disabled {
        /// The component.
        component: ComponentName,
    },
    /// Transfers ask for what this version cannot do.
    #[error("{}", not_executed(.refused))]
    NotExecuted {
        /// Each file and what it asks for.
        refused: Vec<(String, Vec<String>)>,
    },
    /// A repository that a transfer names is not described.
    #[error("{}: no such file, but a transfer says Repository={id}", path.display())]
    NoRepository {
        /// The repository.
        id: String,
        /// Where it would be described.
        path: PathBuf,
    },
    /// A repository file is not usable.
    #[error("{}: {source}", directory.display())]
    Repository {
        /// Where the file lies.
        directory: PathBuf,
        /// What is wrong.
        source: RepositoryError,
    },
}

/// What can be done where every feature is off.
const VACUUM: &str = "`sysupdate vacuum` removes what they brought";

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn not_executed(refused: &[(String, Vec<String>)]) -> String {
    let each = refused
        .iter()
        .map(|(file, what)| format!("{file}: this version does not execute {}", what.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}

impl Hint for SettingsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoDefinitions { component: ComponentName::Default, .. } => Some(
                "name a component with --component=, or take all of them with --component-all".to_owned(),
            ),
            Self::NoDefinitions { .. } => {
                Some("put the publisher's .transfer file into one of them".to_owned())
            }
            Self::NoneEnabled { component: ComponentName::Default } => {
                Some(format!("see `sysupdate features`, and `sysupdate enable-feature`; {VACUUM}"))
            }
            Self::NoneEnabled { component: ComponentName::Named(name) } => {
                let features = format!("`sysupdate features --component={name}`");
                Some(format!("see {features}, and `sysupdate enable-feature`; {VACUUM}"))
            }
            Self::NoRepository { id, .. } => {
                Some(format!("put the publisher's {id}.toml there: it holds the URL and the keys"))
            }
            Self::Rivals { .. } => {
                Some("keep one of them, or give each its own CurrentSymlink= and Path=".to_owned())
            }
            Self::Transfer { source, .. } => source.hint(),
            Self::Feature { source, .. } => source.hint(),
            Self::Disabled { component: ComponentName::Named(name) } => {
                Some(format!("`sysupdate enable-component {name}` switches it on"))
            }
            Self::NotExecuted { .. } => {
                Some("leave these transfers to systemd-sysupdate, in a component of their own".to_owned())
            }
            _ => None,
        }
    }
}
