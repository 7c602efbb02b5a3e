//! The service manager: reloading it, restarting a unit, and asking for the state of one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sysext_manifests::hint::Hint;

use super::processes::{Ending, Processes, Program};

/// How long reloading or restarting may take: as long as systemd gives a service to start.
const CHANGE_LIMIT: Duration = Duration::from_secs(90);

/// How long the answer to a question may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);

/// This directory exists exactly where systemd is the service manager, see sd_booted(3).
const BOOTED: &str = "/run/systemd/system";

/// The service manager of the running system.
pub trait ServiceManager {
    /// Whether it runs. In a container or chroot it often does not.
    fn is_running(&self) -> bool;

    /// Lets it read its unit files again.
    fn reload(&self) -> Result<(), ManagerError>;

    /// Restarts a unit, or starts it.
    fn restart(&self, unit: &str) -> Result<(), ManagerError>;

    /// The state of a unit.
    fn state(&self, unit: &str) -> Result<UnitState, ManagerError>;
}

/// The state of a unit, in systemd's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the name says it")]
pub enum UnitState {
    Active,
    Activating,
    Deactivating,
    Inactive,
    Failed,
    NotFound,
}

/// The service manager did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{command}` failed: {reason}")]
pub struct ManagerError {
    /// The command that asks for the same.
    pub command: String,
    /// How it failed.
    pub reason: String,
}

impl Hint for ManagerError {}

/// systemd, through its command-line tool.
#[derive(Clone, Debug)]
pub struct Systemctl<P> {
    processes: P,
}

impl<P: Processes> Systemctl<P> {
    /// Runs the tool with these processes.
    pub fn new(processes: P) -> Self {
        Self { processes }
    }

    fn run(&self, arguments: &[&str], limit: Duration) -> Result<(), Refused> {
        let argv: Vec<String> =
            ["systemctl"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let command = argv.join(" ");
        let program = Program { root: PathBuf::from("/"), argv, environment: BTreeMap::new() };
        let (reason, output) = match self.processes.run(&program, limit) {
            Ending::Passed => return Ok(()),
            Ending::Failed { how, output } if output.is_empty() => (how, output),
            Ending::Failed { how, output } => (format!("{how}: {output}"), output),
            Ending::TimedOut { .. } => (format!("timed out after {limit:?}"), String::new()),
            Ending::NotStarted { reason } | Ending::HostError { reason } => (reason, String::new()),
        };
        Err(Refused { error: ManagerError { command, reason }, output })
    }
}

/// The tool reports failure, with this output.
struct Refused {
    error: ManagerError,
    output: String,
}

impl<P: Processes> ServiceManager for Systemctl<P> {
    fn is_running(&self) -> bool {
        Path::new(BOOTED).is_dir()
    }

    fn reload(&self) -> Result<(), ManagerError> {
        self.run(&["daemon-reload"], CHANGE_LIMIT).map_err(|refused| refused.error)
    }

    fn restart(&self, unit: &str) -> Result<(), ManagerError> {
        self.run(&["restart", "--", unit], CHANGE_LIMIT).map_err(|refused| refused.error)
    }

    fn state(&self, unit: &str) -> Result<UnitState, ManagerError> {
        // It prints the state, and its exit status is 0 for active units alone
        match self.run(&["is-active", "--", unit], QUESTION_LIMIT) {
            Ok(()) => Ok(UnitState::Active),
            Err(Refused { error, output }) => match output.as_str() {
                "activating" => Ok(UnitState::Activating),
                "deactivating" => Ok(UnitState::Deactivating),
                "inactive" => Ok(UnitState::Inactive),
                "failed" => Ok(UnitState::Failed),
                "unknown" => Ok(UnitState::NotFound),
                _ => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeProcesses;

    fn systemctl(ending: Ending) -> (Systemctl<FakeProcesses>, FakeProcesses) {
        let processes = FakeProcesses::default();
        processes.answer("systemctl", ending);
        (Systemctl::new(processes.clone()), processes)
    }

    fn failed(how: &str, output: &str) -> Ending {
        Ending::Failed { how: how.to_owned(), output: output.to_owned() }
    }

    #[test]
    fn state_is_what_systemctl_prints() {
        let state = |ending| systemctl(ending).0.state("x.timer");
        assert_eq!(state(Ending::Passed), Ok(UnitState::Active));
        for (text, expected) in [
            ("inactive", UnitState::Inactive),
            ("failed", UnitState::Failed),
            ("activating", UnitState::Activating),
            ("deactivating", UnitState::Deactivating),
            ("unknown", UnitState::NotFound),
        ] {
            assert_eq!(state(failed("exit status 3", text)), Ok(expected));
        }
        let error = state(failed("exit status 1", "Failed to connect to bus")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`systemctl is-active -- x.timer` failed: exit status 1: Failed to connect to bus"
        );
        let error = state(Ending::NotStarted { reason: "no such file".to_owned() }).unwrap_err();
        assert_eq!(error.reason, "no such file");
    }

    #[test]
    fn reload_and_restart_run_systemctl_once() {
        let (manager, processes) = systemctl(Ending::Passed);
        manager.reload().unwrap();
        manager.restart("containerd.service").unwrap();
        let argv: Vec<_> = processes.runs().into_iter().map(|run| run.argv.join(" ")).collect();
        assert_eq!(argv, ["systemctl daemon-reload", "systemctl restart -- containerd.service"]);
        let (manager, _) = systemctl(Ending::TimedOut { output: "waiting".to_owned() });
        assert_eq!(manager.reload().unwrap_err().reason, "timed out after 90s");
    }
}
