//! Switching features and components: a drop-in in `/etc`, where and as systemd-sysupdate writes it.

use std::path::Path;

use sysext_manifests::feature::{ENABLED_FILE, Kind, enabled_text};

use super::{Context, say};

/// Which way something is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    On,
    Off,
}

impl Turn {
    pub(super) const fn verb(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::On, Kind::Feature) => "enable-feature",
            (Self::Off, Kind::Feature) => "disable-feature",
            (Self::On, Kind::Component) => "enable-component",
            (Self::Off, Kind::Component) => "disable-component",
        }
    }

    /// The word for what is about to happen.
    pub(super) const fn doing(self) -> &'static str {
        match self {
            Self::On => "Enabling",
            Self::Off => "Disabling",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::On => "enabled",
            Self::Off => "disabled",
        }
    }

    /// Writes the drop-in into its directory and says so, or why not; returns whether it is there.
    pub(super) fn write(self, context: &Context, kind: Kind, name: &str, directory: &Path) -> bool {
        let text = enabled_text(kind, self.verb(kind), self == Self::On);
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
