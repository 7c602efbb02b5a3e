//! Whether what was put in use works: what the merge left out does not, and the rest runs its checks.

use std::path::Path;

use sysext_manifests::health::RunnableCheck;
use sysext_manifests::transfer::Activate;

use super::{Step, Update, Watch};
use crate::health::{self, Subject, Verdict};
use crate::host::view::{Kind, Tree as _};
use crate::merge;
use crate::plan::Activation;
use crate::settings::Component;

impl Update<'_> {
    /// Judges one version that is in use.
    pub(super) fn verdict(
        &self,
        component: &Component,
        activation: &Activation,
        merged: Option<&merge::report::Report>,
        watch: Watch<'_>,
    ) -> Verdict {
        if !refreshes(component) {
            return Verdict::Healthy;
        }
        watch(Step::Checking { component: &component.name, activation });
        let unmerged = left_out(activation, merged).map(|output| Verdict::Unhealthy { output });
        let unmerged = unmerged.or_else(|| Some(Verdict::Masked { by: self.hidden(activation, merged)? }));
        let verdict = match unmerged {
            Some(verdict) => verdict,
            None => match self.checks(component, activation) {
                Ok(checks) => {
                    let name = component.name.to_string();
                    let subject = Subject {
                        root: &self.paths.root,
                        name: &name,
                        version: &activation.version,
                        previous: activation.previous.as_ref(),
                    };
                    let timeouts = component.transfers.iter().map(|transfer| transfer.health_timeout);
                    health::check(self.host, &checks, subject, timeouts.max().unwrap_or_default())
                }
                Err(output) => Verdict::Unhealthy { output },
            },
        };
        watch(Step::Judged { component: &component.name, activation, verdict: &verdict });
        verdict
    }

    /// What hides a version from the merge, if anything does.
    fn hidden(&self, activation: &Activation, merged: Option<&merge::report::Report>) -> Option<String> {
        let is_it = |hidden: &&merge::report::Hidden| {
            activation.links.iter().any(|link| {
                let target = link.target.as_ref().map(|target| self.paths.as_seen_inside(target));
                // Either may be reached through a link in its directory.
                target.as_ref() == Some(&hidden.path) || self.paths.as_seen_inside(&link.path) == hidden.entry
            })
        };
        merged?.hidden.iter().find(is_it).map(ToString::to_string)
    }

    /// The checks of the definitions, and those of the catalog, which may only name what is inside the
    /// extension: a publisher must not run a program of the host.
    fn checks<'a>(
        &self,
        component: &'a Component,
        activation: &'a Activation,
    ) -> Result<Vec<RunnableCheck<'a>>, String> {
        let own = component.transfers.iter().flat_map(|transfer| &transfer.health_checks);
        let own = own.map(|check| check.runnable().map_err(|error| error.to_string()));
        let mut checks = own.collect::<Result<Vec<_>, _>>()?;
        for check in &activation.health {
            let check = check.runnable().map_err(|error| format!("the catalog's {error}"))?;
            let RunnableCheck::Exec { argv } = &check;
            let program = argv.first().map(String::as_str).unwrap_or_default();
            let images = activation.links.iter().filter_map(|link| link.target.as_deref());
            let mut inside = false;
            for image in images {
                inside |= self
                    .is_inside(image, program)
                    .map_err(|error| format!("cannot look for {program} in {}: {error}", image.display()))?;
            }
            if !inside {
                return Err(format!("the catalog asks to run {program}, which is not in the extension"));
            }
            checks.push(check);
        }
        Ok(checks)
    }

    /// Whether an image has a program: it is looked for in a mount that nobody else sees.
    fn is_inside(&self, image: &Path, program: &str) -> std::io::Result<bool> {
        let Some(inside) = inside_hierarchies(Path::new(program)) else { return Ok(false) };
        let mount = self.host.mounts.open_image(image).map_err(std::io::Error::other)?;
        // A link in the image could lead to a program of the host
        Ok(self.host.mounts.files_in(mount).kind(inside)? == Some(Kind::File))
    }
}

/// A file below which no merge happens: what a catalog may name.
fn inside_hierarchies(program: &Path) -> Option<&Path> {
    let inside = program.strip_prefix("/").ok()?;
    let plain = inside.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (plain && (inside.starts_with("usr") || inside.starts_with("opt"))).then_some(inside)
}

/// Whether a component is merged into the running system.
pub(super) fn refreshes(component: &Component) -> bool {
    component.transfers.iter().any(|transfer| transfer.activate == Activate::Refresh)
}

/// Why the merge left out a version, if it did.
fn left_out(activation: &Activation, merged: Option<&merge::report::Report>) -> Option<String> {
    let merged = merged?;
    activation.links.iter().filter_map(|link| merge::extension_name(&link.path)).find_map(|name| {
        let quarantined = merged.quarantined.iter().find(|quarantined| quarantined.name == name)?;
        Some(quarantined.to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::merge::quarantine::{QuarantineReason, Quarantined};
    use crate::plan::Link;

    #[test]
    fn what_the_merge_left_out_is_found_under_either_ending() {
        let quarantined = Quarantined {
            name: "x".to_owned(),
            path: "/images/x-1.raw".into(),
            reason: QuarantineReason::ReleaseMissing,
        };
        let merged = merge::report::Report {
            outcome: merge::report::Outcome::Merged,
            hierarchies: Vec::new(),
            extensions: Vec::new(),
            quarantined: vec![quarantined],
            hidden: Vec::new(),
            reload: Vec::new(),
            warnings: Vec::new(),
            took: Duration::ZERO,
        };
        for (link, expected) in [("x.raw", true), ("x.sysext.raw", true), ("y.raw", false)] {
            let activation = Activation {
                version: "1".parse().unwrap(),
                previous: None,
                links: vec![Link { path: Path::new("/var/lib/extensions").join(link), target: None }],
                back: Vec::new(),
                files: Vec::new(),
                sha256: Vec::new(),
                health: Vec::new(),
            };
            assert_eq!(left_out(&activation, Some(&merged)).is_some(), expected, "{link}");
        }
    }
}
