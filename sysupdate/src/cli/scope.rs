//! Which components and features a verb works on.

use std::path::PathBuf;

use super::SELECTION;
use crate::failure::Failure;
use crate::settings::{Chosen, valid_name};

#[derive(Debug, clap::Args)]
pub(super) struct Scope {
    /// Select a component (/etc/sysupdate.NAME.d etc.)
    #[arg(short = 'C', long, global = true, help_heading = SELECTION, value_name = "NAME",
          conflicts_with_all = ["component_all", "component_suggested", "definitions"])]
    component: Option<String>,
    /// Select all components
    #[arg(short = 'A', long, global = true, help_heading = SELECTION, conflicts_with_all = ["component_suggested", "definitions"])]
    component_all: bool,
    /// Enable/disable all components suggested for this host
    #[arg(short = 'S', long, global = true, help_heading = SELECTION, conflicts_with = "definitions")]
    component_suggested: bool,
    /// Enable/disable all features
    #[arg(short = 'a', long, global = true, help_heading = SELECTION, conflicts_with = "feature_suggested")]
    feature_all: bool,
    /// Enable/disable all features suggested for this host
    #[arg(short = 's', long, global = true, help_heading = SELECTION)]
    feature_suggested: bool,
    /// Read definitions from this directory instead
    #[arg(long, global = true, help_heading = SELECTION, value_name = "DIR")]
    pub(super) definitions: Option<PathBuf>,
}

/// How components or features are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChosenBy {
    /// By name, or the default.
    Name,
    /// All of them.
    All,
    /// Those that are suggested for this host.
    Suggestion,
}

/// Which components and features a verb can work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// One component.
    One,
    /// One component or all.
    OneOrAll,
    /// Features of one component or of all.
    Features,
    /// One component, all, or the suggested ones.
    Components,
}

impl Scope {
    /// The component that is named. An empty name counts as missing: scripts pass variables that may be empty.
    pub(super) fn component(&self) -> Option<&str> {
        self.component.as_deref().filter(|name| !name.is_empty())
    }

    pub(super) const fn components(&self) -> ChosenBy {
        match (self.component_all, self.component_suggested) {
            (true, _) => ChosenBy::All,
            (false, true) => ChosenBy::Suggestion,
            (false, false) => ChosenBy::Name,
        }
    }

    pub(super) const fn features(&self) -> ChosenBy {
        match (self.feature_all, self.feature_suggested) {
            (true, _) => ChosenBy::All,
            (false, true) => ChosenBy::Suggestion,
            (false, false) => ChosenBy::Name,
        }
    }

    pub(super) fn chosen(&self) -> Chosen {
        match (self.component(), &self.definitions) {
            (Some(name), _) => Chosen::Component(name.to_owned()),
            (None, Some(directory)) => Chosen::Definitions(directory.clone()),
            (None, None) if self.components() == ChosenBy::All => Chosen::All,
            (None, None) => Chosen::Default,
        }
    }

    /// Refuses options that a verb does not support, in systemd-sysupdate's words.
    pub(super) fn check(&self, verb: &str, takes: Takes) -> Result<(), Failure> {
        if let Some(name) = self.component().filter(|name| !valid_name(name)) {
            return Err(Failure { error: format!("Component name invalid: {name}"), hint: None });
        }
        if takes != Takes::Features && self.features() != ChosenBy::Name {
            let error = format!("--feature-all/--feature-suggested is not supported for '{verb}'.");
            return Err(Failure { error, hint: None });
        }
        let error = match (takes, self.components()) {
            (_, ChosenBy::Name)
            | (Takes::Components, _)
            | (Takes::OneOrAll | Takes::Features, ChosenBy::All) => {
                return Ok(());
            }
            (Takes::One, ChosenBy::All | ChosenBy::Suggestion) => {
                format!("--component-all/--component-suggested currently not supported for '{verb}'.")
            }
            (Takes::OneOrAll, ChosenBy::Suggestion) => {
                format!("--component-suggested currently not supported for '{verb}'.")
            }
            (Takes::Features, ChosenBy::Suggestion) => {
                format!("--component-suggested is not supported for '{verb}'.")
            }
        };
        Err(Failure { error, hint: Some("select one component with --component=".to_owned()) })
    }

    /// Refuses `--definitions=` for verbs that work on the configuration in `/etc`.
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
