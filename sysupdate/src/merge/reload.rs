//! Lets the service manager read the units that came or went with a merge.

use std::path::Path;

use super::report::MergeReport;
use crate::host::manager::{ManagerError, ServiceManager};
use crate::paths::Paths;

/// Reloads the service manager if an extension that came or went asks for it. Another root than that of the
/// running system has no service manager. What is merged stays merged if this fails: the warning says what to do.
pub fn reload(manager: &dyn ServiceManager, paths: &Paths, report: &MergeReport) -> Option<String> {
    if report.reload.is_empty() || paths.root != Path::new("/") || !manager.is_running() {
        return None;
    }
    let ManagerError { command, reason } = manager.reload().err()?;
    let names = report.reload.join(", ");
    Some(format!("`{command}` failed, so that the units of {names} are not loaded; run it by hand: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeManager;
    use crate::merge::report::MergeOutcome;

    fn report(reload: &[&str]) -> MergeReport {
        MergeReport {
            outcome: MergeOutcome::Merged,
            hierarchies: Vec::new(),
            extensions: Vec::new(),
            quarantined: Vec::new(),
            masked: Vec::new(),
            reload: reload.iter().map(|name| (*name).to_owned()).collect(),
            warnings: Vec::new(),
            took: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn reloads_on_the_running_system_if_an_extension_asks_for_it() {
        let (running, other) = (Paths::new(Path::new("/")), Paths::new(Path::new("/other")));
        let manager = FakeManager::default();
        assert_eq!(reload(&manager, &running, &report(&[])), None);
        assert_eq!(reload(&manager, &other, &report(&["a"])), None);
        assert_eq!(manager.requests(), [""; 0]);
        assert_eq!(reload(&manager, &running, &report(&["a"])), None);
        assert_eq!(manager.requests(), ["reload"]);
        manager.fail("exit status 1");
        let warning = reload(&manager, &running, &report(&["a", "b"])).unwrap();
        assert_eq!(
            warning,
            "`reload` failed, so that the units of a, b are not loaded; run it by hand: exit status 1"
        );
        manager.remove();
        assert_eq!(reload(&manager, &running, &report(&["a"])), None);
    }
}
