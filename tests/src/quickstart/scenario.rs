//! The scenario: three versions of an extension are published and installed, the third is broken.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::node::Node;
use super::output::{Mark, Output, size, time};
use super::publisher::{Publisher, Released};
use super::sandbox::{self, Sandbox};
use crate::server::Server;

/// Runs the scenario in the scratch directory.
pub(super) fn run(directory: &Path, sandbox: Sandbox, verbose: bool) -> Result<()> {
    sandbox::settle(sandbox)?;
    let output = Output::new(verbose);
    let public = directory.join("public");
    fs::create_dir(&public).with_context(|| format!("cannot create {}", public.display()))?;
    let server = Server::serve(&public).context("cannot serve on the loopback interface")?;
    let publisher = Publisher::new(directory, server.url(), &output)?;

    let first = release(&publisher, "1", Some("hello from version 1"), &output)?;
    let node = Node::new(directory, &publisher, sandbox, &output)?;
    let update = node.update("1", &first)?;
    if sandbox == Sandbox::Denied {
        output.row(Mark::Ok, "install 1", "downloaded and verified, not merged", Some(update.took));
        output.row(Mark::Stopped, "merge 1", &node.cannot_merge()?, None);
        stop(server, None, &output)?;
        output.summary(
            "The extension hello, from a recipe to a verified image",
            "Run this as root to see the merge, the health check and the rollback.",
        );
        return Ok(());
    }
    node.says("hello from version 1")?;
    output.row(
        Mark::Ok,
        "install 1",
        "downloaded, verified, merged into /usr; check passed",
        Some(update.took),
    );

    let second = release(&publisher, "2", Some("hello from version 2"), &output)?;
    let update = node.update("2", &second)?;
    node.says("hello from version 2")?;
    output.row(Mark::Ok, "update 1 -> 2", "merged in place of version 1; check passed", Some(update.took));

    release(&publisher, "3", None, &output)?;
    let (update, reason, live) = node.update_and_roll_back("3", "2")?;
    node.says("hello from version 2")?;
    output.row(Mark::Failed, "update 2 -> 3", &reason, Some(update.took));
    output.row(Mark::RolledBack, "3 -> 2", "version 2 is merged and works, version 3 is deleted", None);
    let plan = node.skips("3")?;
    output.row(Mark::Ok, "plan", "stays on 2 and skips 3, which failed its check", Some(plan.took));
    stop(server, Some(&node), &output)?;
    output.summary(
        "The extension hello, from a recipe to a rollback",
        &format!("The broken version was merged for {}. The node rolled back by itself.", time(live)),
    );
    Ok(())
}

fn release(
    publisher: &Publisher<'_>,
    version: &str,
    greeting: Option<&str>,
    output: &Output,
) -> Result<Released> {
    let released = publisher.release(version, greeting)?;
    let image = size(released.size);
    let text = match greeting {
        Some(_) => format!("baked an image of {image}, signed the catalog"),
        None => format!("baked an image of {image}, without its greeting"),
    };
    output.row(Mark::Ok, &format!("publish {version}"), &text, Some(released.took));
    Ok(released)
}

/// Unmerges and stops the server.
fn stop(server: Server, node: Option<&Node<'_>>, output: &Output) -> Result<()> {
    let start = Instant::now();
    if let Some(node) = node {
        node.unmerge()?;
    }
    let address = server.address();
    drop(server);
    ensure!(TcpStream::connect(address).is_err(), "a server still listens at {address}");
    let text = if node.is_some() { "unmerged, stopped the web server" } else { "stopped the web server" };
    output.row(Mark::Ok, "clean up", text, Some(start.elapsed()));
    Ok(())
}
