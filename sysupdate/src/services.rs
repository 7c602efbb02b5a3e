//! The service manager: telling it what a merge changed, and asking what else it runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::Host;
use crate::host::processes::{Ending, Processes, Program};
use crate::host::store::Store;
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
    if report.reload.is_empty() || !is_running(paths) {
        return None;
    }
    let reason = match host.processes.run(&systemctl(&["daemon-reload"]), LIMIT) {
        Ending::Passed => return None,
        Ending::Failed { how, output } => format!("{how}: {output}"),
        Ending::TimedOut { .. } => format!("not done after {LIMIT:?}"),
        Ending::NotStarted { reason } => reason,
    };
    let names = report.reload.join(", ");
    Some(format!("`systemctl daemon-reload`, which {names} ask for, failed; run it by hand: {reason}"))
}

/// The timer by which stock systemd-sysupdate updates every component.
const STOCK_TIMER: &str = "systemd-sysupdate.timer";

/// Where units lie, strongest first.
const UNITS: [&str; 3] = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];

/// How long systemd may take to say what runs.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);

/// Warns of stock's timer: it updates the same components, and neither takes nor respects our lock.
pub fn stock_timer(host: &Host, paths: &Paths) -> Option<String> {
    let how = if is_enabled(&*host.store, paths) {
        "enabled"
    } else if is_running(paths) && is_active(&*host.processes) {
        "active"
    } else {
        return None;
    };
    let command = match paths.root == Path::new("/") {
        true => format!("systemctl disable --now {STOCK_TIMER}"),
        false => format!("systemctl --root={} disable {STOCK_TIMER}", paths.root.display()),
    };
    Some(format!(
        "{STOCK_TIMER} is {how}: it updates the same components and does not wait for this program; \
         `{command}` stops it"
    ))
}

/// Whether timers of a root start it at boot. Where nobody can look, nobody says so.
fn is_enabled(store: &dyn Store, paths: &Paths) -> bool {
    let below = |directory: &str, file: &str| paths.below_root(Path::new(directory)).join(file);
    let links_to = |path: PathBuf| store.read_link(&path).ok().flatten();
    let masked = UNITS.iter().filter_map(|units| links_to(below(units, STOCK_TIMER)));
    let wanted = format!("timers.target.wants/{STOCK_TIMER}");
    let mut wants = UNITS.iter().filter_map(|units| links_to(below(units, &wanted)));
    let mut masked = masked.filter(|target| target == Path::new("/dev/null"));
    masked.next().is_none() && wants.next().is_some()
}

/// Whether systemd is waiting for it to elapse right now.
fn is_active(processes: &dyn Processes) -> bool {
    processes.run(&systemctl(&["is-active", "--quiet", STOCK_TIMER]), QUESTION_LIMIT) == Ending::Passed
}

/// Whether a root is that of the running system, and systemd its service manager.
fn is_running(paths: &Paths) -> bool {
    paths.root == Path::new("/") && Path::new(BOOTED).is_dir()
}

fn systemctl(arguments: &[&str]) -> Program {
    let argv = ["systemctl"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    Program { root: PathBuf::from("/"), argv, environment: BTreeMap::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeStore;

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
        struct Answers(Ending);
        impl Processes for Answers {
            fn run(&self, program: &Program, _: Duration) -> Ending {
                assert_eq!(program.argv, ["systemctl", "is-active", "--quiet", "systemd-sysupdate.timer"]);
                self.0.clone()
            }
        }
        assert!(is_active(&Answers(Ending::Passed)));
        let (how, output) = ("exit status 3".to_owned(), String::new());
        assert!(!is_active(&Answers(Ending::Failed { how, output })));
        assert!(!is_active(&Answers(Ending::NotStarted { reason: "no such file".to_owned() })));
    }
}
