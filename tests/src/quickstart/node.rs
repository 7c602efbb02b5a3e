//! The node's side: a scratch root, updated by the copy of `sysupdate` that stays outside.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sysext_manifests::digest::Sha256;

use super::Way;
use super::keeper::PROGRAMS;
use super::program::{Ending, Printed, Program};
use super::publisher::{Publisher, Released};
use super::slide::{Place, Row, Slide};
use crate::scratch::{self, Root};

/// The component, the transfer and the extension: the updater updates itself.
const NAME: &str = "sysupdate";

/// The program inside the extension.
const MERGED: &str = "usr/bin/sysupdate";

/// A node does not wait a minute for a program that is broken, where somebody watches.
const IMPATIENT: &str = "[X-Sysupdate]\nHealthTimeout=2s\n";

/// Where the kernel does not let us mount, an update ends with the verified file.
const NOT_MERGED: &str = "[X-Sysupdate]\nActivate=none\n";

/// A node.
#[derive(Debug)]
pub(super) struct Node<'a> {
    sysupdate: Program,
    root: Root,
    slide: &'a Slide,
}

impl<'a> Node<'a> {
    /// Lays out the root and places the two files that an operator places.
    pub(super) fn provision(
        directory: &Path,
        publisher: &Publisher<'_>,
        way: Way,
        slide: &'a Slide,
    ) -> Result<Self> {
        let root = Root::lay(&directory.join("root"))?;
        root.define(NAME, &publisher.transfer_file())?;
        root.drop_in(NAME, NAME, "quickstart", if way == Way::Private { IMPATIENT } else { NOT_MERGED })?;
        root.trust(&publisher.node_file())?;
        let sysupdate = Program { path: directory.join(PROGRAMS).join("sysupdate") };
        slide.row(&Row { stage: "node", place: Place::At(root.path()), ..Row::default() });
        slide.note("a tiny host, with the published transfer file and the repository's root key");
        Ok(Self { sysupdate, root, slide })
    }

    /// Shows what an update would do.
    pub(super) fn plan(&self, version: &str) -> Result<String> {
        let plan = self.sysupdate(&["plan"], Ending::Well)?;
        plan.expect("/components/0/decision", "install")?;
        plan.expect("/components/0/activation/version", version)?;
        let source = "/components/0/acquire/0";
        self.slide.row(&Row {
            stage: "plan",
            took: Some(plan.took),
            size: Some(plan.number(&format!("{source}/size"))?),
            digest: Some(plan.text(&format!("{source}/sha256"))?),
            signer: Some(signer(plan.text(&format!("{source}/evidence"))?)?),
            place: Place::Said(plan.text(&format!("{source}/urls/0"))?.to_owned()),
        });
        Ok(plan.text("/components/0/activation/health/0")?.to_owned())
    }

    /// Brings a version and puts it in use, as far as the definition says.
    pub(super) fn update(&self, version: &str, released: &Released) -> Result<Printed> {
        let update = self.sysupdate(&["update"], Ending::Well)?;
        update.expect("/components/0/outcome", "updated")?;
        update.expect("/components/0/version", version)?;
        let image = self.image(version)?;
        let bytes = fs::read(&image).with_context(|| format!("cannot read {}", image.display()))?;
        let sha256 = Sha256::of(&bytes).to_string();
        ensure!(sha256 == released.sha256, "{} has other bytes than were baked: {sha256}", image.display());
        self.slide.row(&Row {
            stage: "update",
            took: Some(update.took),
            size: u64::try_from(bytes.len()).ok(),
            digest: Some(&sha256),
            signer: Some(signer(update.text("/components/0/evidence")?)?),
            place: Place::At(&image),
        });
        Ok(update)
    }

    /// Shows what the update merged and how it was judged, and that the program of the extension runs.
    pub(super) fn live(&self, update: &Printed, check: &str, program: &Path) -> Result<()> {
        update.expect("/merged/extensions/0/name", NAME)?;
        let version = update.text("/merged/extensions/0/version")?;
        self.slide.row(&Row {
            stage: "merge",
            took: Some(update.seconds("/merged/took")?),
            place: Place::Said(format!("{NAME} {version} in root/usr, an overlay")),
            ..Row::default()
        });
        ensure!(update.count("/merged/warnings")? == 0, "the merge warned: {update:?}");
        self.slide.row(&Row {
            stage: "check",
            place: Place::Said(format!("{check}: passed")),
            ..Row::default()
        });
        self.runs(program)
    }

    /// Runs the program of the extension, which has to be the one that was baked.
    pub(super) fn runs(&self, program: &Path) -> Result<()> {
        let path = self.root.below(MERGED);
        let merged = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let baked = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        ensure!(merged == baked, "{} is not the program that was baked", path.display());
        let ran = Program { path: path.clone() }.run(["--version"], Ending::Well)?;
        self.slide.row(&Row {
            stage: "run",
            took: Some(ran.took),
            size: u64::try_from(merged.len()).ok(),
            digest: Some(&Sha256::of(&merged).to_string()),
            place: Place::At(&path),
            ..Row::default()
        });
        self.slide.note(&format!("says: {}", ran.text()));
        Ok(())
    }

    /// A file of the extension that was not there before.
    pub(super) fn shows(&self, inside: &str, expected: &str) -> Result<()> {
        let path = self.root.below(inside);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(text == expected, "{} says {text:?}", path.display());
        self.slide.row(&Row { stage: "live", place: Place::At(&path), ..Row::default() });
        self.slide.note(&format!("says: {}", text.trim_end()));
        Ok(())
    }

    /// Brings a version that has to be taken back, and shows the way back.
    pub(super) fn returns(&self, version: &str, to: &str) -> Result<()> {
        let update = self.sysupdate(&["update"], Ending::Badly)?;
        update.expect("/components/0/outcome", "taken-back")?;
        update.expect("/components/0/version", version)?;
        update.expect("/components/0/returned_to", to)?;
        self.slide.row(&Row {
            stage: "update",
            took: Some(update.took),
            signer: Some(signer(update.text("/components/0/evidence")?)?),
            place: Place::Said(format!("version {version} came, was merged, and did not pass:")),
            ..Row::default()
        });
        self.slide.note(update.text("/components/0/output")?);
        update.expect("/merged/extensions/0/version", to)?;
        let image = self.image(to)?;
        self.slide.row(&Row {
            stage: "return",
            took: Some(update.seconds("/merged/took")?),
            place: Place::At(&image),
            ..Row::default()
        });
        let sick = self.image_path(version);
        ensure!(!sick.exists(), "{} is still there", sick.display());
        self.slide.note(&format!("version {to} is merged again, the file of version {version} is gone"));
        Ok(())
    }

    /// Shows that a version which was taken back is not tried again.
    pub(super) fn passes_over(&self, version: &str) -> Result<()> {
        let plan = self.sysupdate(&["plan"], Ending::Well)?;
        plan.expect("/components/0/decision", "keep")?;
        plan.expect("/components/0/passed_over/0/version", version)?;
        plan.expect("/components/0/passed_over/0/because", "bad")?;
        let text = self.sysupdate.run(self.arguments(&["plan"]), Ending::Well)?;
        self.slide.row(&Row { stage: "plan", took: Some(text.took), ..Row::default() });
        self.slide.note(text.text());
        Ok(())
    }

    /// Takes away what is merged, and looks whether anything is left.
    pub(super) fn unmerge(&self) -> Result<()> {
        let unmerged = self.sysupdate(&["sysext", "unmerge"], Ending::Well)?;
        unmerged.expect("/outcome", "unmerged")?;
        let mounts = scratch::mounts_below(self.root.path())?;
        ensure!(mounts.is_empty(), "still mounted: {mounts:?}");
        let path = self.root.below(MERGED);
        ensure!(!path.exists(), "{} is still there", path.display());
        self.slide.row(&Row {
            stage: "unmerge",
            took: Some(unmerged.took),
            place: Place::Said("no mount is left, root/usr is as it was".to_owned()),
            ..Row::default()
        });
        Ok(())
    }

    /// Tries to merge where the kernel is expected to refuse, and gives its reason.
    pub(super) fn refused(&self) -> Result<String> {
        let merge = self.sysupdate.run(self.arguments(&["sysext", "merge"]), Ending::Badly)?;
        let mounts = scratch::mounts_below(self.root.path())?;
        ensure!(mounts.is_empty(), "the kernel mounts, but refused a private place for it: {mounts:?}");
        let reason = merge.complaints().lines().find_map(|line| line.strip_prefix("error: "));
        let reason = reason.context("sysupdate gives no reason why nothing was merged")?;
        ensure!(
            ["Operation not permitted", "Permission denied"].iter().any(|refusal| reason.contains(refusal)),
            "the image is not merged, but not since the kernel refused: {reason}"
        );
        self.slide.row(&Row { stage: "merge", took: Some(merge.took), ..Row::default() });
        Ok(reason.to_owned())
    }

    fn sysupdate(&self, words: &[&str], expected: Ending) -> Result<Printed> {
        let arguments = self.arguments(words).into_iter().chain(["--json=short".as_ref()]);
        self.sysupdate.ask(arguments, expected)
    }

    fn arguments<'b>(&'b self, words: &'b [&'b str]) -> Vec<&'b OsStr> {
        let mut arguments: Vec<&OsStr> = vec!["--root".as_ref(), self.root.path().as_os_str()];
        arguments.extend(["--component".as_ref(), OsStr::new(NAME)]);
        arguments.extend(words.iter().map(OsStr::new));
        arguments
    }

    /// The image that the next merge uses, which has to be that version's.
    fn image(&self, version: &str) -> Result<PathBuf> {
        let link = self.root.below("var/lib/extensions/sysupdate.raw");
        let image = link.canonicalize().with_context(|| format!("cannot follow {}", link.display()))?;
        let expected = self.image_path(version);
        ensure!(image == expected, "{} leads to {}", link.display(), image.display());
        Ok(image)
    }

    fn image_path(&self, version: &str) -> PathBuf {
        let architecture = std::env::consts::ARCH;
        let architecture = sysext_manifests::architecture::Architecture::of_machine(architecture)
            .map_or_else(|| architecture.to_owned(), |architecture| architecture.to_string());
        self.root.below(&format!("var/lib/sysupdate/images/{NAME}/{NAME}-{version}-{architecture}.raw"))
    }
}

/// The key in `signed by KEY in serial N of REPOSITORY`.
fn signer(evidence: &str) -> Result<&str> {
    let key = evidence.strip_prefix("signed by ").and_then(|rest| rest.split(' ').next());
    key.with_context(|| format!("nobody signed it: {evidence}"))
}
