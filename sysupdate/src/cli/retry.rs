//! `retry`: forgets that a version failed its health checks, so that the next update installs it again.

use serde::Serialize;
use sysext_manifests::version::Version;

use super::{Context, Status};
use crate::failure::Failure;
use crate::settings::{ComponentName, valid_name};
use crate::state::{Recalled, Record};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Component
    name: String,
    /// Version that failed [default: every failed version]
    version: Option<Version>,
}

/// The failed versions that were forgotten.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct ForgottenFailures<'a> {
    component: &'a ComponentName,
    versions: Vec<Version>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        if !valid_name(&self.name) {
            return Err(Failure { error: format!("Component name invalid: {}", self.name), hint: None });
        }
        let component = ComponentName::Named(self.name);
        let _lock = context.lock("retry")?;
        let store = &*context.host.store;
        let path = component.record(&context.paths);
        let mut record = match Record::recall(store, &path)? {
            Recalled::Record(record) => record,
            Recalled::Unreadable(unreadable) => {
                return Err(Failure { error: unreadable.to_string(), hint: None });
            }
        };
        let is_meant = |version: &Version| self.version.as_ref().is_none_or(|meant| meant == version);
        let failed: Vec<Version> = record.bad.iter().map(|bad| bad.version.clone()).collect();
        let versions: Vec<Version> = failed.iter().filter(|version| is_meant(version)).cloned().collect();
        if let (Some(version), true) = (&self.version, versions.is_empty()) {
            let failed: Vec<_> = failed.iter().map(Version::to_string).collect();
            return Err(Failure {
                error: format!("{component}: {version} is not recorded as failed"),
                hint: (!failed.is_empty()).then(|| format!("failed: {}", failed.join(", "))),
            });
        }
        if !versions.is_empty() {
            record.bad.retain(|bad| !is_meant(&bad.version));
            record.save(store, &path)?;
        }
        let forgotten = ForgottenFailures { component: &component, versions };
        context.print(&forgotten, || forgotten.text())?;
        Ok(Status::Success)
    }
}

impl ForgottenFailures<'_> {
    fn text(&self) -> String {
        let Self { component, versions } = self;
        let versions: Vec<_> = versions.iter().map(Version::to_string).collect();
        match versions.is_empty() {
            true => format!("{component}: no version is recorded as failed\n"),
            false => format!("{component}: `update` may install {} again\n", versions.join(", ")),
        }
    }
}
