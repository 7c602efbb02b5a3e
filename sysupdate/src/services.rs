//! Telling the service manager what a merge changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::Host;
use crate::host::processes::{Ending, Program};
use crate::merge::report::Report;
use crate::paths::Paths;

/// How long systemd may take to read its units anew.
const LIMIT: Duration = Duration::from_secs(90);

/// The directory that is there exactly where systemd is the service manager, see sd_booted(3).
const BOOTED: &str = "/run/systemd/system";

/// Lets systemd read its units anew if an extension that came or went asks for it. On another root than
/// the running one there is no systemd to tell. What is merged stays merged if this fails: the warning says
/// what to do.
pub fn reload(host: &Host, paths: &Paths, report: &Report) -> Option<String> {
    let running = paths.root == Path::new("/") && Path::new(BOOTED).is_dir();
    if report.reload.is_empty() || !running {
        return None;
    }
    let program = Program {
        root: PathBuf::from("/"),
        argv: ["systemctl", "daemon-reload"].map(str::to_owned).to_vec(),
        environment: BTreeMap::new(),
    };
    let reason = match host.processes.run(&program, LIMIT) {
        Ending::Passed => return None,
        Ending::Failed { how, output } => format!("{how}: {output}"),
        Ending::TimedOut { .. } => format!("not done after {LIMIT:?}"),
        Ending::NotStarted { reason } => reason,
    };
    let names = report.reload.join(", ");
    Some(format!("`systemctl daemon-reload`, which {names} ask for, failed; run it by hand: {reason}"))
}
