//! The options and verbs of systemd-sysupdate that this version accepts for compatibility or refuses. Each is
//! named, so that a script that uses it finds out what happens.

use std::ffi::OsString;

use super::{COMPATIBILITY, parse_boolean, warn};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Stock {
    /// Do not contact sources; consider installed versions only
    #[arg(long, global = true)]
    pub(super) offline: bool,
    /// Ignored: output is never sent through a pager
    #[arg(long, global = true, help_heading = COMPATIBILITY)]
    no_pager: bool,
    /// Ignored: files are always synced to disk
    #[arg(long, global = true, value_name = "BOOL", value_parser = parse_boolean,
          help_heading = COMPATIBILITY)]
    sync: Option<bool>,
    /// Ignored: files that no longer belong to any transfer are kept
    #[arg(long, global = true, value_name = "BOOL", value_parser = parse_boolean,
          help_heading = COMPATIBILITY)]
    cleanup: Option<bool>,
    /// Not supported: see `--root`
    #[arg(long, global = true, hide = true, value_name = "PATH")]
    image: Option<OsString>,
    /// Not supported: see `--image`
    #[arg(long, global = true, hide = true, value_name = "POLICY")]
    image_policy: Option<OsString>,
    /// Not supported: see `PathRelativeTo=explicit`
    #[arg(long, global = true, hide = true, value_name = "PATH")]
    transfer_source: Option<OsString>,
    /// Not supported: this version does not update the base system
    #[arg(long, global = true, hide = true)]
    reboot: bool,
}

impl Stock {
    /// Refuses options that no verb supports.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let refused = |option: &str, why: &str, hint: Option<&str>| {
            Err(Failure { error: format!("{option} is not supported: {why}"), hint: hint.map(str::to_owned) })
        };
        let image = "this version does not open disk images";
        let root = Some("mount the image and pass its directory with --root=");
        match self {
            Self { image: Some(_), .. } => refused("--image=", image, root),
            Self { image_policy: Some(_), .. } => refused("--image-policy=", image, root),
            Self { transfer_source: Some(_), .. } => {
                refused("--transfer-source=", "this version does not support PathRelativeTo=explicit", None)
            }
            Self { reboot: true, .. } => refused("--reboot", NO_REBOOT, None),
            _ => Ok(()),
        }
    }

    /// Refuses options that an update does not support, and warns of those that it ignores.
    pub(super) fn check_update(&self, verb: &str) -> Result<(), Failure> {
        if self.offline {
            return Err(Failure {
                error: format!("--offline is not supported for '{verb}': no file is installed unverified"),
                hint: Some("run `sysupdate acquire` first: `update` then only downloads digests".to_owned()),
            });
        }
        if self.cleanup == Some(true) {
            warn("--cleanup=yes is ignored: files that no longer belong to any transfer are kept");
        }
        Ok(())
    }
}

const NO_REBOOT: &str = "this version does not update the base system";

/// The error of `pending` and `reboot`.
pub(super) fn no_reboot(verb: &str) -> Failure {
    Failure { error: format!("'{verb}' is not supported: {NO_REBOOT}"), hint: None }
}

/// The error of `cleanup`.
pub(super) fn no_cleanup() -> Failure {
    Failure {
        error: "'cleanup' is not supported: this version does not record the files of removed definitions"
            .to_owned(),
        hint: Some(
            "before you remove a definition, disable its feature and run `sysupdate vacuum`".to_owned(),
        ),
    }
}
