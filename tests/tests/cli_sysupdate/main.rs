//! What `sysupdate` prints, to the letter, on a small node whose clock stands still.

use std::fs;
use std::process::ExitCode;

use anyhow::Result;
use sysext_manifests::digest::Sha256;
use tests::needs::Suite;
use tests::node::{Node, Publisher, Seen, image};

mod line;
mod list;
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
    ("cli_list", list::list),
    ("cli_list_of_odd_versions", list::list_of_odd_versions),
    ("cli_list_json", list::list_json),
    ("cli_list_of_all", list::list_of_all),
    ("cli_list_version", list::list_version),
    ("cli_list_version_json", list::list_version_json),
    ("cli_check_new", list::check_new),
    ("cli_plan", update::plan),
    ("cli_plan_json", update::plan_json),
    ("cli_update", update::update),
    ("cli_update_json", update::update_json),
    ("cli_disk_image_is_not_installed_where_it_would_be_merged", update::disk_image),
    ("cli_acquire", update::acquire),
    ("cli_offline", update::offline),
    ("cli_vacuum", update::vacuum),
    ("cli_help", line::help),
    ("cli_mistakes_on_the_command_line", line::mistakes),
    ("cli_readers_write_nothing", line::readers_write_nothing),
    ("cli_root_that_is_not_there", line::root_that_is_not_there),
    ("cli_stock_timer", line::stock_timer),
    ("cli_links_of_a_root_stay_in_it", line::links_of_a_root),
];

/// A node that wants `demo`, of which two versions are on offer.
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

    /// Puts in what differs between runs and machines.
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
