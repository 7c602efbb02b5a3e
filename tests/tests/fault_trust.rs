//! What a node trusts and what it rejects, through the real program with an adjustable clock.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use tests::needs::{Need, Suite};
use tests::node::{Node, Publisher, Seen, Snapshot, image};

#[path = "fault_trust/bytes.rs"]
mod bytes;
#[path = "fault_trust/catalog.rs"]
mod catalog;
#[path = "fault_trust/choice.rs"]
mod choice;
#[path = "fault_trust/definitions.rs"]
mod definitions;
#[path = "fault_trust/judged.rs"]
mod judged;
#[path = "fault_trust/memory.rs"]
mod memory;
#[path = "fault_trust/mirrors.rs"]
mod mirrors;
#[path = "fault_trust/sources.rs"]
mod sources;
#[path = "fault_trust/together.rs"]
mod together;

/// The real program, with an adjustable clock.
const SYSUPDATE: &str = env!("CARGO_BIN_EXE_interrupted");

/// Nothing is merged: most decisions about trust are made before that.
const UNMERGED: &str = "Activate=none\n";

/// What a failed update prints of its component.
const FAILED: &str = "demo: failed, nothing was changed\n";

type Trial = (&'static str, fn() -> Result<()>);

fn main() -> ExitCode {
    let mut suite = Suite::new();
    let unprivileged = [
        catalog::TRIALS,
        bytes::TRIALS,
        memory::TRIALS,
        mirrors::TRIALS,
        choice::TRIALS,
        sources::TRIALS,
        definitions::TRIALS,
    ];
    for (name, body) in unprivileged.concat() {
        suite.trial(name, &[], body);
    }
    let merging = [Need::Filesystem("erofs"), Need::Filesystem("overlay")];
    for (name, body) in [judged::TRIALS, together::TRIALS].concat() {
        suite.isolated(name, &merging, body);
    }
    suite.run()
}

/// A publisher with one extension, and a node that follows it.
struct Site {
    publisher: Publisher,
    node: Node,
}

impl Site {
    /// Version 1 is on offer, and nothing is installed.
    fn new() -> Result<Self> {
        Self::with(UNMERGED)
    }

    /// The same with these lines in `[X-Sysupdate]`.
    fn with(more: &str) -> Result<Self> {
        let publisher = Publisher::new("example")?;
        let node = Node::new(SYSUPDATE)?;
        node.trust(&publisher)?;
        node.define("demo", &publisher.transfer("demo", more))?;
        let mut site = Self { publisher, node };
        site.offer("1")?;
        Ok(site)
    }

    /// Publishes another version.
    fn offer(&mut self, version: &str) -> Result<()> {
        self.publisher.offer("demo", version, image::data("demo", version)?)?;
        self.publisher.issue()
    }

    fn update(&self) -> Result<Seen> {
        self.node.run(&["update", "-C", "demo"])
    }

    fn update_to(&self, version: &str) -> Result<Seen> {
        self.node.run(&["update", "-C", "demo", version])
    }

    /// Changes the transfer file.
    fn redefine(&self, change: impl Fn(&str) -> String) -> Result<()> {
        self.node.define("demo", &change(&self.publisher.transfer("demo", UNMERGED)))
    }

    /// Requires that this version is active, with the published bytes.
    fn uses(&self, version: &str) -> Result<()> {
        let expected = Publisher::file("demo", version)?;
        let found = self.node.in_use("demo")?;
        ensure!(found.as_deref() == Some(expected.as_str()), "{found:?} is in use");
        let image = std::fs::read(self.node.path("var/lib/extensions/demo.raw"))?;
        ensure!(image == std::fs::read(self.publisher.path(format!("demo/{expected}")))?, "other bytes");
        Ok(())
    }

    /// Requires that exactly these versions are installed, without other files.
    fn has(&self, versions: &[&str]) -> Result<()> {
        let expected: Vec<_> =
            versions.iter().map(|version| Publisher::file("demo", version)).collect::<Result<_>>()?;
        let found = self.node.names("var/lib/sysupdate/images/demo")?;
        ensure!(found == expected, "{found:?} instead of {expected:?}");
        Ok(())
    }

    /// Runs an update that must fail with exactly this error and change nothing.
    fn refuses(&self, expected: &str) -> Result<()> {
        let before = Snapshot::take(&self.node.root)?;
        let seen = self.update()?.ended(1)?.prints(FAILED)?;
        let error = seen.stderr.find("error: ").map_or("", |start| &seen.stderr[start..]);
        ensure!(error == expected, "expected {expected}\nbut {seen}");
        let after = Snapshot::take(&self.node.root)?;
        ensure!(after == before, "the node changed:\n{}", before.difference(&after));
        Ok(())
    }
}

/// Replaces keys, which are new in each run.
fn with_key(expected: &str, key: &str) -> String {
    expected.replace("KEY", key)
}
