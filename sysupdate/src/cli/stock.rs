//! What `systemd-sysupdate` takes and this version does not, or does anyway. Each is taken or refused by name:
//! a script that passes one knows what happens.

use std::ffi::OsString;

use super::{parse_boolean, warn};
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Stock {
    /// Ask no source: only what is here counts
    #[arg(long, global = true)]
    pub(super) offline: bool,
    /// Accepted for compatibility: output is never sent through a pager
    #[arg(long, global = true)]
    no_pager: bool,
    /// Accepted for compatibility: what is written is always made durable
    #[arg(long, global = true, value_name = "BOOL", value_parser = parse_boolean)]
    sync: Option<bool>,
    /// Accepted for compatibility: files that no definition claims any more stay
    #[arg(long, global = true, value_name = "BOOL", value_parser = parse_boolean)]
    cleanup: Option<bool>,
    /// Refused: see `--root`
    #[arg(long, global = true, hide = true, value_name = "PATH")]
    image: Option<OsString>,
    /// Refused with `--image`
    #[arg(long, global = true, hide = true, value_name = "POLICY")]
    image_policy: Option<OsString>,
    /// Refused: `PathRelativeTo=explicit` is not executed
    #[arg(long, global = true, hide = true, value_name = "PATH")]
    transfer_source: Option<OsString>,
    /// Refused: the running system is not updated by this version
    #[arg(long, global = true, hide = true)]
    reboot: bool,
}

impl Stock {
    /// Refuses what no verb takes.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let refused = |option: &str, why: &str, hint: Option<&str>| {
            Err(Failure { error: format!("{option} is refused: {why}"), hint: hint.map(str::to_owned) })
        };
        let image = "disk images are not opened";
        let root = Some("mount the image, and name the directory with --root=");
        match self {
            Self { image: Some(_), .. } => refused("--image=", image, root),
            Self { image_policy: Some(_), .. } => refused("--image-policy=", image, root),
            Self { transfer_source: Some(_), .. } => {
                refused("--transfer-source=", "PathRelativeTo=explicit is not executed by this version", None)
            }
            Self { reboot: true, .. } => refused("--reboot", NO_REBOOT, None),
            _ => Ok(()),
        }
    }

    /// Refuses what an update does not take, and says what it leaves undone.
    pub(super) fn check_update(&self, verb: &str) -> Result<(), Failure> {
        if self.offline {
            return Err(Failure {
                error: format!("--offline is refused by '{verb}': no file is installed unverified"),
                hint: Some(
                    "`sysupdate acquire` downloads, and `update` then only asks for digests".to_owned(),
                ),
            });
        }
        if self.cleanup == Some(true) {
            warn("--cleanup=yes does nothing here: files that no definition claims any more stay");
        }
        Ok(())
    }
}

const NO_REBOOT: &str = "the running system is not updated by this version";

/// The answer to `pending` and `reboot`.
pub(super) fn no_reboot(verb: &str) -> Failure {
    Failure { error: format!("'{verb}' is refused: {NO_REBOOT}"), hint: None }
}

/// The answer to `cleanup`.
pub(super) fn no_cleanup() -> Failure {
    Failure {
        error: "'cleanup' is refused: this version does not remember what definitions claimed before"
            .to_owned(),
        hint: Some(
            "before you remove a definition, switch its feature off and run `sysupdate vacuum`".to_owned(),
        ),
    }
}
