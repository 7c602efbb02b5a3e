//! The node: a scratch root, and `sysupdate` working on it from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sysext_manifests::digest::Sha256;

use super::output::Output;
use super::program::{Ended, Program};
use super::publisher::{Publisher, Released};
use super::sandbox::Sandbox;
use super::supervisor::PROGRAMS;
use crate::node::architecture;
use crate::scratch::{self, Root};

/// The file of the extension that contains its version.
const VERSION_FILE: &str = "usr/share/hello/version";

/// A minute, the default, is too long to watch.
const SHORT_TIMEOUT: &str = "[X-Sysupdate]\nHealthTimeout=2s\n";

/// Without a sandbox nothing may be merged.
const NO_MERGE: &str = "[X-Sysupdate]\nActivate=none\n";

/// How often the watcher looks at the merged files.
const POLL: Duration = Duration::from_millis(1);

/// The node.
#[derive(Debug)]
pub(super) struct Node<'a> {
    sysupdate: Program<'a>,
    root: Root,
    output: &'a Output,
}

impl<'a> Node<'a> {
    /// Lays out the root, with the two files that an operator places: the repository's root key and the published
    /// transfer file.
    pub(super) fn new(
        directory: &Path,
        publisher: &Publisher<'_>,
        sandbox: Sandbox,
        output: &'a Output,
    ) -> Result<Self> {
        let root = Root::lay(&directory.join("root"))?;
        root.trust(&publisher.repository_file())?;
        root.define("hello", &publisher.transfer_file())?;
        let local = if sandbox == Sandbox::Private { SHORT_TIMEOUT } else { NO_MERGE };
        root.drop_in("hello", "hello", "quickstart", local)?;
        let sysupdate = Program { path: directory.join(PROGRAMS).join("sysupdate"), output };
        Ok(Self { sysupdate, root, output })
    }

    /// Installs a version, and checks that its image has the bytes that were baked.
    pub(super) fn update(&self, version: &str, released: &Released) -> Result<Ended> {
        let update = self.sysupdate(&["update"], 0)?;
        update.expect("/components/0/outcome", "updated")?;
        let image = self.active_image(version)?;
        let bytes = fs::read(&image).with_context(|| format!("cannot read {}", image.display()))?;
        let sha256 = Sha256::of(&bytes).to_string();
        ensure!(sha256 == released.sha256, "{} differs from the baked image: {sha256}", image.display());
        Ok(update)
    }

    /// Installs a version that must be rolled back. Returns the reason, and how long that version was merged.
    pub(super) fn update_and_roll_back(&self, version: &str, to: &str) -> Result<(Ended, String, Duration)> {
        let (update, live) = self.watch(version, || self.sysupdate(&["update"], 1))?;
        update.expect("/components/0/outcome", "rolled-back")?;
        update.expect("/components/0/previous", to)?;
        self.active_image(to)?;
        let failed = self.image(version)?;
        ensure!(!failed.exists(), "{} still exists", failed.display());
        let reason = update.text("/components/0/output")?;
        Ok((update, reason, live))
    }

    /// Checks that a version which failed is skipped from now on.
    pub(super) fn skips(&self, version: &str) -> Result<Ended> {
        let plan = self.sysupdate(&["plan"], 0)?;
        plan.expect("/components/0/decision", "keep")?;
        plan.expect("/components/0/skipped/0/version", version)?;
        plan.expect("/components/0/skipped/0/objections/0/reason", "bad")?;
        Ok(plan)
    }

    /// Runs the merged program, which must print this greeting.
    pub(super) fn says(&self, greeting: &str) -> Result<()> {
        let hello = Program { path: self.root.below("usr/bin/hello"), output: self.output };
        let printed = hello.run("/usr/bin/hello", &[], 0)?.stdout;
        ensure!(printed.trim_end() == greeting, "hello prints {printed:?}, expected {greeting:?}");
        Ok(())
    }

    /// Unmerges, and checks that nothing is left of it.
    pub(super) fn unmerge(&self) -> Result<Ended> {
        let unmerged = self.sysupdate(&["sysext", "unmerge"], 0)?;
        let mounts = scratch::mounts_below(self.root.path())?;
        ensure!(mounts.is_empty(), "still mounted: {mounts:?}");
        ensure!(!self.root.below(VERSION_FILE).exists(), "{VERSION_FILE} still exists");
        Ok(unmerged)
    }

    /// Tries to merge where the kernel must refuse it, and returns the reason.
    pub(super) fn cannot_merge(&self) -> Result<String> {
        let merge = self.sysupdate(&["sysext", "merge"], 1)?;
        let mounts = scratch::mounts_below(self.root.path())?;
        ensure!(mounts.is_empty(), "merged without a sandbox: {mounts:?}");
        let reason = merge.stderr.lines().find_map(|line| line.strip_prefix("error: "));
        let reason = reason.context("sysupdate printed no reason why it cannot merge")?;
        let denied = ["Operation not permitted", "Permission denied"];
        ensure!(
            denied.iter().any(|denied| reason.contains(denied)),
            "the merge failed for another reason: {reason}"
        );
        Ok(reason.to_owned())
    }

    /// Measures how long a version is merged while `action` runs, by looking at its files as a program would.
    fn watch<T>(&self, version: &str, action: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
        let path = self.root.below(VERSION_FILE);
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut live = Duration::ZERO;
                let mut last = Instant::now();
                while !ended.load(Ordering::SeqCst) {
                    thread::sleep(POLL);
                    let now = Instant::now();
                    if fs::read_to_string(&path).is_ok_and(|merged| merged == version) {
                        live += now - last;
                    }
                    last = now;
                }
                live
            });
            let outcome = action();
            ended.store(true, Ordering::SeqCst);
            let live = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
            let outcome = outcome?;
            ensure!(!live.is_zero(), "version {version} was never merged");
            Ok((outcome, live))
        })
    }

    fn sysupdate(&self, verb: &[&str], status: i32) -> Result<Ended> {
        let root = self.root.path().display().to_string();
        let title = format!("sysupdate {}", verb.join(" "));
        // Merging is about all extensions.
        let component: &[&str] = if verb[0] == "sysext" { &[] } else { &["--component", "hello"] };
        let arguments = [&["--root", &root], component, verb, &["--json=pretty"]].concat();
        self.sysupdate.run(&title, &arguments, status)
    }

    /// The image that the next merge uses. It must be the image of this version.
    fn active_image(&self, version: &str) -> Result<PathBuf> {
        let link = self.root.below("var/lib/extensions/hello.raw");
        let image = link.canonicalize().with_context(|| format!("cannot follow {}", link.display()))?;
        ensure!(image == self.image(version)?, "{} leads to {}", link.display(), image.display());
        Ok(image)
    }

    fn image(&self, version: &str) -> Result<PathBuf> {
        let name = format!("hello-{version}-{}.raw", architecture()?);
        Ok(self.root.below("var/lib/sysupdate/images/hello").join(name))
    }
}
