//! Enabling and disabling features and components with a drop-in in `/etc`, as systemd-sysupdate does.

use std::path::Path;

use sysext_manifests::feature::{ENABLED_FILE, Kind, enabled_text};

use super::{Context, say};

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

    /// Writes the drop-in into its directory and says so, or why not; returns whether it is there.
    pub(super) fn write(self, context: &Context, kind: Kind, name: &str, directory: &Path) -> bool {
        let text = enabled_text(kind, self.verb(kind), self == Self::Enable);
        let store = &*context.host.store;
        let written = store
            .make_directory(directory)
            .and_then(|()| store.save(&directory.join(ENABLED_FILE), text.as_bytes()));
        let what = kind.section();
        match &written {
            Ok(()) => say(format_args!("{what} '{name}' {}.", self.done())),
            Err(error) => {
                let what = what.to_lowercase();
                say(format_args!("error: Failed to write drop-in for {what} '{name}': {error}"));
            }
        }
        written.is_ok()
    }
}
