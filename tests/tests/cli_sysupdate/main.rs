//! The exact output of `sysupdate` on a small node with a fixed clock.

use std::fs;
use std::process::ExitCode;

use anyhow::Result;
use sysext_manifests::digest::Sha256;
use tests::needs::Suite;
use tests::node::{Node, Publisher, Seen, image};

mod line;
mod list;
mod remove;
mod retry;
mod update;

const SYSUPDATE: &str = env!("CARGO_BIN_EXE_interrupted");

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for (name, body) in TRIALS {
        suite.trial(name, &[], *body);
    }
    suite.run()
}

type Trial = (&'static str, fn() -> Result<()>);

const TRIALS: &[Trial] = &[
    ("cli_list_shows_versions", list::list),
    ("cli_list_shows_the_state_of_each_version", list::list_of_odd_versions),
    ("cli_list_prints_json", list::list_json),
    ("cli_list_shows_all_components", list::list_of_all),
    ("cli_list_shows_details_of_one_version", list::list_version),
    ("cli_list_prints_json_of_one_version", list::list_version_json),
    ("cli_check_new_prints_the_newest_version", list::check_new),
    ("cli_plan_explains_each_decision", update::plan),
    ("cli_plan_prints_json", update::plan_json),
    ("cli_update_reports_what_it_did", update::update),
    ("cli_update_prints_json", update::update_json),
    ("cli_update_skips_a_disk_image_that_it_would_merge", update::disk_image),
    ("cli_acquire_downloads_without_activating", update::acquire),
    ("cli_offline_contacts_no_source", update::offline),
    ("cli_vacuum_removes_surplus_versions", update::vacuum),
    ("cli_retry_allows_a_failed_version_again", retry::retry),
    ("cli_retry_refuses_a_version_that_did_not_fail", retry::not_failed),
    ("cli_remove_deletes_what_no_definition_claims", remove::remove),
    ("cli_remove_refuses_a_defined_component", remove::defined),
    ("cli_all_of_no_components_is_reported", remove::no_components),
    ("cli_help_matches_the_stored_text", line::help),
    ("cli_wrong_arguments_exit_with_1_and_a_hint", line::mistakes),
    ("cli_queries_write_nothing", line::readers_write_nothing),
    ("cli_root_must_exist", line::root_that_is_not_there),
    ("cli_update_warns_about_enabled_stock_timer", line::stock_timer),
    ("cli_links_below_a_root_are_resolved_within_it", line::links_of_a_root),
];

/// A node that follows `demo`, of which two versions are on offer.
pub(crate) struct Site {
    pub(crate) publisher: Publisher,
    pub(crate) node: Node,
}

impl Site {
    pub(crate) fn new() -> Result<Self> {
        let mut publisher = Publisher::new("example")?;
        publisher.offer("demo", "1.9", image::data("demo", "1.9")?)?;
        publisher.offer("demo", "1.10", image::data("demo", "1.10")?)?;
        publisher.issue()?;
        let node = Node::new(SYSUPDATE)?;
        node.trust(&publisher)?;
        node.define("demo", &publisher.transfer("demo", "Activate=none\n"))?;
        Ok(Self { publisher, node })
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Seen> {
        self.node.run(arguments)
    }

    /// Replaces parts that differ between runs and machines.
    pub(crate) fn expect(&self, text: &str) -> Result<String> {
        let file = Publisher::file("demo", "1.10")?;
        let image = fs::read(self.publisher.path(format!("demo/{file}")))?;
        let digest = Sha256::of(&image);
        Ok(text
            .replace("FILE", &file)
            .replace("SIZE", &image.len().to_string())
            .replace("SHORT", &digest.short())
            .replace("SHA256", &digest.to_string())
            .replace("KEY", &self.publisher.keys.named))
    }
}
