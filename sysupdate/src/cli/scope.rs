//! What a verb is about: which component, or several, and which of their features.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::settings::{Chosen, valid_name};

#[derive(Debug, clap::Args)]
pub(super) struct Scope {
    /// Work on this component: /etc/sysupdate.NAME.d and its likes
    #[arg(short = 'C', long, global = true, value_name = "NAME",
          conflicts_with_all = ["component_all", "component_suggested", "definitions"])]
    component: Option<String>,
    /// Work on every component there is
    #[arg(short = 'A', long, global = true, conflicts_with_all = ["component_suggested", "definitions"])]
    component_all: bool,
    /// Switch every component that suits this host, as its metadata says
    #[arg(short = 'S', long, global = true, conflicts_with = "definitions")]
    component_suggested: bool,
    /// Switch every feature
    #[arg(short = 'a', long, global = true, conflicts_with = "feature_suggested")]
    feature_all: bool,
    /// Switch every feature that suits this host, as its file says
    #[arg(short = 's', long, global = true)]
    feature_suggested: bool,
    /// Read definitions from this directory instead
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) definitions: Option<PathBuf>,
}

/// How components or features are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Select {
    /// By name, or the one that is there without a name.
    Named,
    /// All of them.
    All,
    /// Those whose conditions hold on this host.
    Suggested,
}

/// How far a verb reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// One component.
    One,
    /// One component, or all.
    Every,
    /// Features of one component or of all.
    Features,
    /// Components, and no features.
    Components,
}

impl Scope {
    /// The component that is named. An empty name is none: scripts pass what a variable holds.
    pub(super) fn component(&self) -> Option<&str> {
        self.component.as_deref().filter(|name| !name.is_empty())
    }

    pub(super) const fn components(&self) -> Select {
        match (self.component_all, self.component_suggested) {
            (true, _) => Select::All,
            (false, true) => Select::Suggested,
            (false, false) => Select::Named,
        }
    }

    pub(super) const fn features(&self) -> Select {
        match (self.feature_all, self.feature_suggested) {
            (true, _) => Select::All,
            (false, true) => Select::Suggested,
            (false, false) => Select::Named,
        }
    }

    pub(super) fn chosen(&self) -> Chosen {
        match (self.component(), &self.definitions) {
            (Some(name), _) => Chosen::Component(name.to_owned()),
            (None, Some(directory)) => Chosen::Definitions(directory.clone()),
            (None, None) if self.components() == Select::All => Chosen::All,
            (None, None) => Chosen::Default,
        }
    }

    /// Refuses what a verb does not do, in systemd-sysupdate's words.
    pub(super) fn check(&self, verb: &str, reach: Reach) -> Result<(), Failure> {
        if let Some(name) = self.component().filter(|name| !valid_name(name)) {
            return Err(Failure { error: format!("Component name invalid: {name}"), hint: None });
        }
        if reach != Reach::Features && self.features() != Select::Named {
            let error = format!("--feature-all/--feature-suggested is not supported for '{verb}'.");
            return Err(Failure { error, hint: None });
        }
        let error = match (reach, self.components()) {
            (_, Select::Named) | (Reach::Components, _) | (Reach::Every | Reach::Features, Select::All) => {
                return Ok(());
            }
            (Reach::One, Select::All | Select::Suggested) => {
                format!("--component-all/--component-suggested currently not supported for '{verb}'.")
            }
            (Reach::Every, Select::Suggested) => {
                format!("--component-suggested currently not supported for '{verb}'.")
            }
            (Reach::Features, Select::Suggested) => {
                format!("--component-suggested is not supported for '{verb}'.")
            }
        };
        Err(Failure { error, hint: Some("name one component with --component=, or none".to_owned()) })
    }

    /// Refuses a directory of definitions where a verb works on what is configured in `/etc`.
    pub(super) fn refuse_definitions(&self, verb: &str) -> Result<(), Failure> {
        match &self.definitions {
            None => Ok(()),
            Some(_) => Err(Failure {
                error: format!("The --definitions= switch may not be combined with '{verb}'."),
                hint: None,
            }),
        }
    }
}
