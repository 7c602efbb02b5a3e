//! The JSON schemas of all results, for the documentation and for tests.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::{check_new, compare_versions, components, features, list, remove, retry, switch, trust, vacuum};
use crate::merge::report::{MergeReport, Status};
use crate::plan::Plan;
use crate::repository::status::Standing;
use crate::update::report::UpdateReport;

/// The schema of each result, by the name of its verb.
pub fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("list", of::<list::VersionList>()),
        ("list-all", of::<Vec<list::VersionList>>()),
        ("list-version", of::<list::VersionDetails>()),
        ("check-new", of::<check_new::NewVersion>()),
        ("plan", of::<Plan>()),
        ("update", of::<UpdateReport>()),
        ("vacuum", of::<vacuum::RemovedFiles>()),
        ("remove", of::<remove::RemovedComponent>()),
        ("retry", of::<retry::ForgottenFailures<'static>>()),
        ("sysext", of::<MergeReport>()),
        ("sysext-status", of::<Status>()),
        ("trust-show", of::<Vec<Standing>>()),
        ("trust-reset", of::<trust::Reset<'static>>()),
        ("features", of::<features::FeatureList>()),
        ("features-details", of::<features::FeatureDetails>()),
        ("components", of::<components::ComponentList>()),
        ("enable", of::<switch::Changes>()),
        ("compare-versions", of::<compare_versions::Comparison<'static>>()),
        ("compare-versions-operator", of::<compare_versions::ComparisonResult>()),
    ]
}

/// The schema of a type as it is printed.
fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}
