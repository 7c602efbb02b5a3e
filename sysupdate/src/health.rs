//! Health checks of a version that was activated.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sysext_manifests::health::RunnableCheck;
use sysext_manifests::version::Version;

use crate::host::Host;
use crate::host::processes::{Ending, Program};

/// How a check ends that can never pass, as shells and env(1) report it: it found a program that it cannot run, or
/// none.
const FINAL: [&str; 2] = ["exit status 126", "exit status 127"];

/// How long to wait before a check that failed runs again.
const PAUSE: Duration = Duration::from_secs(1);

/// The version that is checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// The root its programs see.
    pub root: &'a Path,
    /// The component's name.
    pub name: &'a str,
    /// The version in use.
    pub version: &'a Version,
    /// The version that was in use before.
    pub previous: Option<&'a Version>,
}

/// The result of the checks of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every check passed.
    Healthy,
    /// A check failed.
    Unhealthy {
        /// The check, with the end of its output.
        output: String,
    },
    /// This machine could not check it: that says nothing about the version.
    NotChecked {
        /// Why.
        reason: String,
    },
    /// The version could not be checked: the operator masks it, so that it is not merged.
    Masked {
        /// What masks it.
        by: String,
    },
}

/// Runs the checks one after another, each again and again until it passes; all of them together have
/// `timeout`. A check that cannot start, or that cannot start another program, fails at once: no wait would help.
pub(crate) fn check(
    host: &Host,
    checks: &[RunnableCheck<'_>],
    subject: Subject<'_>,
    timeout: Duration,
) -> Verdict {
    let end = host.clock.elapsed() + timeout;
    for check in checks {
        let RunnableCheck::Exec { argv } = check;
        let program =
            Program { root: subject.root.to_owned(), argv: argv.to_vec(), environment: environment(subject) };
        let mut last = "it did not run".to_owned();
        let mut started = true;
        loop {
            let left = end.saturating_sub(host.clock.elapsed());
            if left.is_zero() {
                if !started {
                    let reason = format!("{check} could not be started for {timeout:?}: {last}");
                    return Verdict::NotChecked { reason };
                }
                return Verdict::Unhealthy { output: format!("{check} failed for {timeout:?}: {last}") };
            }
            let ending = host.processes.run(&program, left);
            started = !matches!(ending, Ending::HostError { .. });
            match ending {
                Ending::HostError { reason } => last = reason,
                Ending::Passed => break,
                Ending::NotStarted { reason } => {
                    return Verdict::Unhealthy { output: format!("{check} cannot start: {reason}") };
                }
                Ending::Failed { how, output } if FINAL.contains(&how.as_str()) => {
                    let text = join(&how, &output);
                    return Verdict::Unhealthy { output: format!("{check} can never pass: {text}") };
                }
                Ending::Failed { how, output } => last = join(&how, &output),
                Ending::TimedOut { output } => last = join("it was still running", &output),
            }
            host.clock.sleep(PAUSE.min(end.saturating_sub(host.clock.elapsed())));
        }
    }
    Verdict::Healthy
}

fn join(how: &str, output: &str) -> String {
    if output.is_empty() { how.to_owned() } else { format!("{how}: {output}") }
}

fn environment(subject: Subject<'_>) -> BTreeMap<String, String> {
    let previous = subject.previous.map_or("", Version::as_str);
    let pairs = [
        ("SYSUPDATE_NAME", subject.name),
        ("SYSUPDATE_VERSION", subject.version.as_str()),
        ("SYSUPDATE_OLD_VERSION", previous),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[cfg(test)]
mod tests;
