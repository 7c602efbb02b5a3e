//! Whether an activated version is healthy: one that the merge left out is not, and the others run their checks.

use std::path::Path;

use sysext_manifests::health::RunnableCheck;

use super::execute::Step;
use crate::health::{self, Subject, Verdict};
use crate::host::Host;
use crate::host::mounts::image::ImageError;
use crate::host::view::{Kind, Tree as _};
use crate::merge;
use crate::merge::quarantine::QuarantineReason;
use crate::paths::Paths;
use crate::plan::Activation;
use crate::settings::Component;

/// Checks a version that was activated and merged.
pub(super) fn check(
    host: &Host,
    paths: &Paths,
    component: &Component,
    activation: &Activation,
    merged: Option<&merge::report::MergeReport>,
    watch: &mut dyn FnMut(Step<'_>),
) -> Verdict {
    let name = &component.name;
    watch(Step::Checking { component: name, activation });
    let unmerged = left_out(activation, merged);
    let unmerged = unmerged.or_else(|| Some(Verdict::Masked { by: masked(paths, activation, merged)? }));
    let verdict = match unmerged {
        Some(verdict) => verdict,
        None => match checks(host, component, activation) {
            Ok(checks) => {
                let text = name.to_string();
                let subject = Subject {
                    root: &paths.root,
                    name: &text,
                    version: &activation.version,
                    previous: activation.previous.as_ref(),
                };
                let timeouts = component.transfers.iter().map(|transfer| transfer.health_timeout);
                health::check(host, &checks, subject, timeouts.max().unwrap_or_default())
            }
            Err(verdict) => verdict,
        },
    };
    watch(Step::Checked { component: name, activation, verdict: &verdict });
    verdict
}

/// What masks a version, so that it is not merged.
fn masked(
    paths: &Paths,
    activation: &Activation,
    merged: Option<&merge::report::MergeReport>,
) -> Option<String> {
    let is_it = |hidden: &&merge::report::Masked| {
        activation.links.iter().any(|link| {
            let target = link.target.as_ref().map(|target| paths.as_seen_inside(target.path()));
            // Either may be reached through a link in its directory.
            target.as_ref() == Some(&hidden.path) || paths.as_seen_inside(&link.path) == hidden.entry
        })
    };
    merged?.masked.iter().find(is_it).map(ToString::to_string)
}

/// The checks of the definitions, and those of the catalog. The latter may only run programs of the extension:
/// a publisher must not run a program of the host.
fn checks<'a>(
    host: &Host,
    component: &'a Component,
    activation: &'a Activation,
) -> Result<Vec<RunnableCheck<'a>>, Verdict> {
    let own = component.transfers.iter().flat_map(|transfer| &transfer.health_checks);
    let own = own.map(|check| check.runnable().map_err(|error| unhealthy(error.to_string())));
    let mut checks = own.collect::<Result<Vec<_>, _>>()?;
    for check in &activation.health {
        let check = check.runnable().map_err(|error| unhealthy(format!("the catalog's {error}")))?;
        let RunnableCheck::Exec { argv } = &check;
        let program = argv.first().map(String::as_str).unwrap_or_default();
        let images = activation.links.iter().filter_map(|link| Some(link.target.as_ref()?.path()));
        let mut inside = false;
        for image in images {
            inside |= is_inside(host, image, program).map_err(|error| {
                let text = format!("cannot look for {program} in {}: {error}", image.display());
                match error {
                    ImageError::Host(_) | ImageError::NotNow(_) => Verdict::NotChecked { reason: text },
                    _ => unhealthy(text),
                }
            })?;
        }
        if !inside {
            return Err(unhealthy(format!(
                "the catalog asks to run {program}, which is not in the extension"
            )));
        }
        checks.push(check);
    }
    Ok(checks)
}

fn unhealthy(output: String) -> Verdict {
    Verdict::Unhealthy { output }
}

/// Whether an image has a program: it is looked up in a mount that no other process sees.
fn is_inside(host: &Host, image: &Path, program: &str) -> Result<bool, ImageError> {
    let Some(inside) = inside_hierarchies(Path::new(program)) else { return Ok(false) };
    let mount = host.mounts.open_image(image)?;
    // A link in the image could lead to a program of the host.
    let kind = host.mounts.files_in(mount).kind(inside).map_err(ImageError::unreadable)?;
    Ok(kind == Some(Kind::File))
}

/// A file below which no merge happens: what a catalog may name.
fn inside_hierarchies(program: &Path) -> Option<&Path> {
    let inside = program.strip_prefix("/").ok()?;
    let plain = inside.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (plain && (inside.starts_with("usr") || inside.starts_with("opt"))).then_some(inside)
}

/// Why the merge left out a version, if it did.
fn left_out(activation: &Activation, merged: Option<&merge::report::MergeReport>) -> Option<Verdict> {
    let merged = merged?;
    activation.links.iter().filter_map(|link| merge::extension_name(&link.path)).find_map(|name| {
        let quarantined = merged.quarantined.iter().find(|quarantined| quarantined.name == name)?;
        let text = quarantined.to_string();
        Some(match quarantined.reason {
            QuarantineReason::NotNow { .. } => Verdict::NotChecked { reason: text },
            _ => unhealthy(text),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::merge::quarantine::Quarantined;
    use crate::plan::{Link, Relations};

    #[test]
    fn what_the_merge_left_out_is_found_under_either_ending() {
        let quarantined = Quarantined {
            name: "x".to_owned(),
            path: "/images/x-1.raw".into(),
            reason: QuarantineReason::ReleaseMissing,
        };
        let merged = merge::report::MergeReport {
            outcome: merge::report::MergeOutcome::Merged,
            hierarchies: Vec::new(),
            extensions: Vec::new(),
            quarantined: vec![quarantined],
            masked: Vec::new(),
            reload: Vec::new(),
            warnings: Vec::new(),
            took: Duration::ZERO,
        };
        for (link, expected) in [("x.raw", true), ("x.sysext.raw", true), ("y.raw", false)] {
            let activation = Activation {
                version: "1".parse().unwrap(),
                previous: None,
                links: vec![Link { path: Path::new("/var/lib/extensions").join(link), target: None }],
                merged: true,
                rollback_links: Vec::new(),
                files: Vec::new(),
                sha256: Vec::new(),
                health: Vec::new(),
                relations: Relations::default(),
                relies_on: Default::default(),
            };
            assert_eq!(left_out(&activation, Some(&merged)).is_some(), expected, "{link}");
        }
    }
}
