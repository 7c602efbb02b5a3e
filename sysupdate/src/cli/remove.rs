//! `remove`: unmerges and deletes an extension whose definitions were removed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::{Context, Status, warn};
use crate::failure::Failure;
use crate::merge;
use crate::settings::{self, ComponentName, ComponentsWith, valid_name};
use crate::targets::unclaimed::{self, Unclaimed};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Component without definitions
    name: String,
}

/// What was removed.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct RemovedComponent {
    component: ComponentName,
    /// Whether it was merged.
    unmerged: bool,
    /// The links and files, as this host sees them.
    removed: Vec<PathBuf>,
}

impl Args {
    pub(super) fn run(self, mut context: Context) -> Result<Status, Failure> {
        if !valid_name(&self.name) {
            return Err(Failure { error: format!("Component name invalid: {}", self.name), hint: None });
        }
        let component = ComponentName::Named(self.name);
        let _lock = context.lock("remove")?;
        let (store, paths) = (&*context.host.store, &context.paths);
        if settings::names(store, paths, ComponentsWith::Definitions)?.contains(&component) {
            let directory = component.directory();
            return Err(Failure {
                error: format!(
                    "{component} still has transfer definitions, and the next update would install it again"
                ),
                hint: Some(format!(
                    "delete {directory} in /etc, /run, /usr/local/lib and /usr/lib first; `sysupdate \
                     disable-component {component}` stops its updates and keeps it installed"
                )),
            });
        }
        let Some(installed) = unclaimed::installed(store, paths, component.clone())? else {
            return Err(Failure { error: format!("{component} is not installed"), hint: None });
        };
        let Unclaimed { links, files, .. } = &installed;
        let written = links.iter().map(PathBuf::as_path).chain(files.iter().map(|file| file.path()));
        let directories: BTreeSet<PathBuf> =
            written.filter_map(|path| path.parent()).map(ToOwned::to_owned).collect();
        context.host.reach_beneath(paths, &directories)?;
        // First the links: a run that is interrupted later is finished by the next one.
        links.iter().try_for_each(|link| context.host.store.remove(link))?;
        let unmerged = unmerge(&context, &installed)?;
        for file in files {
            file.remove(&context.host)?;
            file.partial().remove(&context.host)?;
            file.pending().remove(&context.host)?;
        }
        context.host.store.remove(&component.record(&context.paths))?;
        let removed = links.iter().cloned().chain(files.iter().map(|file| file.path().to_owned()));
        let removed = RemovedComponent { component, unmerged, removed: removed.collect() };
        context.print(&removed, || removed.text())?;
        Ok(Status::Success)
    }
}

/// Merges the remaining extensions, if the component is merged.
fn unmerge(context: &Context, installed: &Unclaimed) -> Result<bool, Failure> {
    let (mounts, paths) = (&*context.host.mounts, &context.paths);
    let names = installed.extensions();
    let hierarchies = merge::status(mounts, paths)?.hierarchies;
    let merged =
        hierarchies.iter().flat_map(|hierarchy| &hierarchy.extensions).any(|name| names.contains(name));
    if merged {
        let report = merge::refresh(mounts, paths, &merge::Options::default())?;
        merge::reload(&*context.host.manager, paths, &report).iter().for_each(warn);
    }
    Ok(merged)
}

impl RemovedComponent {
    fn text(&self) -> String {
        let Self { component, unmerged, removed } = self;
        let unmerged = if *unmerged { "unmerged and removed" } else { "removed" };
        let paths: String = removed.iter().map(|path| format!("  {}\n", path.display())).collect();
        format!("{component}: {unmerged}\n{paths}")
    }
}
