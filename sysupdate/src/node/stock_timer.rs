//! The timer of stock systemd-sysupdate, which updates the same components.

use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::host::manager::{ServiceManager, UnitState};
use crate::host::store::Store;
use crate::paths::Paths;

/// The timer by which stock systemd-sysupdate updates every component.
const STOCK_TIMER: &str = "systemd-sysupdate.timer";

/// The directories of unit files, strongest first.
const UNITS: [&str; 3] = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];

/// Warns of stock's timer: it updates the same components, and neither takes nor respects our lock.
pub(crate) fn warning(host: &Host, paths: &Paths) -> Option<String> {
    let is_running_system = paths.root == Path::new("/");
    let how = if is_enabled(&*host.store, paths) {
        "enabled"
    } else if is_running_system && is_active(&*host.manager) {
        "active"
    } else {
        return None;
    };
    let command = match is_running_system {
        true => format!("systemctl disable --now {STOCK_TIMER}"),
        false => format!("systemctl --root={} disable {STOCK_TIMER}", paths.root.display()),
    };
    Some(format!(
        "{STOCK_TIMER} is {how}: it updates the same components and does not wait for this program; \
         `{command}` stops it"
    ))
}

/// Whether timers of a root start it at boot. Where that cannot be read, there is no warning.
fn is_enabled(store: &dyn Store, paths: &Paths) -> bool {
    let below = |directory: &str, file: &str| paths.below_root(Path::new(directory)).join(file);
    let links_to = |path: PathBuf| store.read_link(&path).ok().flatten();
    let masked = UNITS.iter().filter_map(|units| links_to(below(units, STOCK_TIMER)));
    let wanted = format!("timers.target.wants/{STOCK_TIMER}");
    let mut wants = UNITS.iter().filter_map(|units| links_to(below(units, &wanted)));
    let mut masked = masked.filter(|target| target == Path::new("/dev/null"));
    masked.next().is_none() && wants.next().is_some()
}

/// Whether systemd waits for it to elapse right now.
fn is_active(manager: &dyn ServiceManager) -> bool {
    manager.is_running() && manager.state(STOCK_TIMER) == Ok(UnitState::Active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{FakeManager, FakeStore};

    #[test]
    fn a_timer_that_is_wanted_and_not_masked_is_enabled() {
        let paths = Paths::new(Path::new("/node"));
        let enabled = |links: &[(&str, &str)]| {
            let store = FakeStore::default();
            for (link, target) in links {
                store.put_link(format!("/node{link}"), target);
            }
            is_enabled(&store, &paths)
        };
        let unit = "/usr/lib/systemd/system/systemd-sysupdate.timer";
        let wanted = ("/etc/systemd/system/timers.target.wants/systemd-sysupdate.timer", unit);
        assert!(!enabled(&[]));
        assert!(enabled(&[wanted]));
        assert!(!enabled(&[wanted, ("/etc/systemd/system/systemd-sysupdate.timer", "/dev/null")]));
        assert!(!enabled(&[("/etc/systemd/system/timers.target.wants/other.timer", unit)]));
    }

    #[test]
    fn a_timer_is_active_if_systemd_says_so() {
        let manager = FakeManager::default();
        assert!(!is_active(&manager));
        manager.set(STOCK_TIMER, UnitState::Active);
        assert!(is_active(&manager));
        manager.set(STOCK_TIMER, UnitState::Inactive);
        assert!(!is_active(&manager));
        manager.set(STOCK_TIMER, UnitState::Active);
        manager.fail("no bus");
        assert!(!is_active(&manager));
    }
}
