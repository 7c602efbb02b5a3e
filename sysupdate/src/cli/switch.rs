//! Enabling and disabling features and components with a drop-in in `/etc`, as systemd-sysupdate does.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sysext_manifests::feature::{ENABLED_FILE, Kind, enabled_text};

use super::{Context, fail};
use crate::failure::Failure;
use crate::settings::ComponentName;

/// Whether something is enabled or disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    Enable,
    Disable,
}

impl Switch {
    pub(super) const fn verb(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Enable, Kind::Feature) => "enable-feature",
            (Self::Disable, Kind::Feature) => "disable-feature",
            (Self::Enable, Kind::Component) => "enable-component",
            (Self::Disable, Kind::Component) => "disable-component",
        }
    }

    /// The word for the change that follows.
    pub(super) const fn doing(self) -> &'static str {
        match self {
            Self::Enable => "Enabling",
            Self::Disable => "Disabling",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Enable => "enabled",
            Self::Disable => "disabled",
        }
    }

    /// Writes the drop-in into its directory and reports it. An error is reported, too.
    pub(super) fn write(self, context: &Context, what: Switched, directory: &Path) -> Option<Change> {
        let (kind, name) = (what.kind(), what.name());
        let enabled = self == Self::Enable;
        let text = enabled_text(kind, self.verb(kind), enabled);
        let store = &*context.host.store;
        let path = directory.join(ENABLED_FILE);
        let written = store.make_directory(directory).and_then(|()| store.save(&path, text.as_bytes()));
        let section = kind.section();
        match written {
            Ok(()) => {
                context.inform(format_args!("{section} '{name}' {}.", self.done()));
                Some(Change { what, enabled, path })
            }
            Err(error) => {
                let section = section.to_lowercase();
                let error = format!("Failed to write drop-in for {section} '{name}': {error}");
                fail(&Failure { error, hint: None });
                None
            }
        }
    }
}

/// What is enabled or disabled.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Switched {
    Component { component: String },
    Feature { component: ComponentName, feature: String },
}

impl Switched {
    const fn kind(&self) -> Kind {
        match self {
            Self::Component { .. } => Kind::Component,
            Self::Feature { .. } => Kind::Feature,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Component { component } => component,
            Self::Feature { feature, .. } => feature,
        }
    }
}

/// A feature or component that was enabled or disabled.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Change {
    #[serde(flatten)]
    what: Switched,
    enabled: bool,
    /// The drop-in.
    path: PathBuf,
}

/// Everything that was enabled or disabled.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Changes {
    pub(super) changes: Vec<Change>,
}

impl Changes {
    /// Prints them as JSON; as text, they were reported one by one.
    pub(super) fn print(&self, context: &Context) -> Result<(), Failure> {
        match context.is_text() {
            true => Ok(()),
            false => context.print(self, String::new),
        }
    }
}
