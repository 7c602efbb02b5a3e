//! Every step of a merge over mounts in memory fails once: afterwards the old or the new set is merged, and the next
//! run merges the new one.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::report::{MergeOutcome, Warning};
use super::*;
use crate::host::fake::{FakeMounts, FakeStore};

/// What a machine gives when it lacks something, or a disk fails.
const ERRNOS: [Errno; 9] = [
    Errno::NOSPC,
    Errno::IO,
    Errno::NOMEM,
    Errno::AGAIN,
    Errno::MFILE,
    Errno::NFILE,
    Errno::NODEV,
    Errno::INTR,
    Errno::BUSY,
];

/// A system with the extensions alpha, which has something in `/opt` in sets a and b, and beta.
struct TestSystem {
    files: FakeStore,
    mounts: FakeMounts,
    paths: Paths,
}

impl TestSystem {
    fn new() -> Self {
        let files = FakeStore::default();
        for (path, text) in [
            ("/usr/lib/os-release", "ID=debian\n"),
            ("/usr/bin/base", "base"),
            ("/usr/share/mnt/file", "below"),
            ("/opt/host/file", "host"),
            ("/run/keep", ""),
        ] {
            files.put(path, text.as_bytes());
        }
        files.put_link("/etc/os-release", "../usr/lib/os-release");
        let mounts = FakeMounts::over(&files);
        for set in ["a", "b", "c"] {
            let release = ("usr/lib/extension-release.d/extension-release.alpha", "ID=_any\n");
            let mut alpha = vec![release, ("usr/share/alpha/set", set)];
            alpha.extend((set != "c").then_some(("opt/alpha/set", set)));
            mounts.put_image(format!("/var/lib/images/alpha-{set}.raw"), &alpha);
            let release = ("usr/lib/extension-release.d/extension-release.beta", "ID=_any\n");
            mounts.put_image(format!("/var/lib/images/beta-{set}.raw"), &[release, ("usr/bin/beta", set)]);
        }
        mounts.put_mount("/usr/share/mnt");
        let system = Self { files, mounts, paths: Paths::new(Path::new("/")) };
        system.choose("a");
        system
    }

    fn choose(&self, set: &str) {
        for name in ["alpha", "beta"] {
            let link = format!("/var/lib/extensions/{name}.raw");
            self.files.put_link(link, format!("../images/{name}-{set}.raw"));
        }
    }

    fn run(&self, verb: Action) -> Result<MergeReport, MergeError> {
        match verb {
            Action::Merge => merge(&self.mounts, &self.paths, &Options::default()),
            Action::Refresh => refresh(&self.mounts, &self.paths, &Options::default()),
            Action::Unmerge => unmerge(&self.mounts, &self.paths),
        }
    }

    /// The images that each hierarchy shows.
    fn merged(&self) -> [Option<String>; 2] {
        ["/usr", "/opt"].map(|hierarchy| self.mounts.marker(hierarchy, "origin"))
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Merge,
    Refresh,
    Unmerge,
}

/// What is merged before, what is chosen then, and what is done.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    before: Option<&'static str>,
    choose: &'static str,
    verb: Action,
}

impl Scenario {
    fn prepare(self, kernel: KernelAge) -> TestSystem {
        let system = TestSystem::new();
        if let KernelAge::BeforeMoveBeneath = kernel {
            system.mounts.be_an_old_kernel();
        }
        if let Some(set) = self.before {
            system.choose(set);
            system.run(Action::Refresh).unwrap();
        }
        system.choose(self.choose);
        system
    }

    /// What is merged, and every mount, once it succeeded.
    fn expected(self, kernel: KernelAge) -> ([Option<String>; 2], Vec<(PathBuf, &'static str)>) {
        let system = self.prepare(kernel);
        system.run(self.verb).unwrap();
        (system.merged(), system.mounts.points())
    }

    fn fails_at_any_step(self) {
        for kernel in [KernelAge::Current, KernelAge::BeforeMoveBeneath] {
            let (new, points) = self.expected(kernel);
            let old = self.prepare(kernel).merged();
            for errno in ERRNOS {
                let mut failures = 0;
                for step in 0.. {
                    let system = self.prepare(kernel);
                    system.mounts.fail_at(step, errno);
                    let result = system.run(self.verb);
                    let log = system.mounts.stop_failing();
                    let Some(failed) = log.get(step) else { break };
                    let what =
                        format!("{kernel:?} {self:?}: {errno:?} at step {step} ({failed}): {result:?}");
                    let merged = system.merged();
                    let left_out = matches!(&result, Ok(report) if !report.quarantined.is_empty());
                    // A disk that fails cannot be told from an image that is damaged: what is not merged yet is left out
                    // until the next run, and what is merged stays
                    let may_be_damaged = matches!(errno, Errno::IO | Errno::NODEV);
                    assert!(!left_out || may_be_damaged && self.before.is_none(), "{what}");
                    assert!(left_out || merged == old || merged == new, "{what}: {merged:?}");
                    assert!(result.is_err() || left_out || merged == new, "{what}: {merged:?}");
                    failures += usize::from(result.is_err());

                    let again = match self.verb {
                        Action::Merge => system.run(Action::Refresh),
                        verb => system.run(verb),
                    };
                    let again = again.unwrap_or_else(|error| panic!("{what}\nthe next run: {error}"));
                    let expected = |warning: &Warning| match warning {
                        Warning::Interrupted { .. } => true,
                        Warning::Gap { .. } => matches!(kernel, KernelAge::BeforeMoveBeneath),
                        Warning::MountedTwice { .. } | Warning::Directory { .. } => false,
                    };
                    assert!(again.warnings.iter().all(expected), "{what}\nthe next run: {again}");
                    assert_eq!(system.merged(), new, "{what}\nthe next run: {again}");
                    // The report says that this mount stays twice
                    let twice = |warning: &Warning| matches!(warning, Warning::MountedTwice { .. });
                    let twice = result.is_ok_and(|report| report.warnings.iter().any(twice));
                    assert!(twice || system.mounts.points() == points, "{what}\nthe next run: {again}");
                }
                assert!(failures > 20, "{kernel:?} {self:?}: only {failures} steps failed");
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum KernelAge {
    Current,
    BeforeMoveBeneath,
}

#[test]
fn merges_over_mounts_in_memory() {
    let system = TestSystem::new();
    let report = system.run(Action::Merge).unwrap();
    assert_eq!((report.outcome, report.quarantined.len()), (MergeOutcome::Merged, 0), "{report}");
    assert_eq!(report.hierarchies, [Path::new("/usr"), Path::new("/opt")]);
    assert_eq!(system.mounts.marker("/usr", "extensions").as_deref(), Some("alpha\nbeta\n"));
    let points = ["/opt", "/usr", "/usr/share/mnt"].map(PathBuf::from);
    assert_eq!(
        system.mounts.points(),
        points.into_iter().zip(["overlay", "overlay", "tmpfs"]).collect::<Vec<_>>()
    );
    assert_eq!(system.run(Action::Refresh).unwrap().outcome, MergeOutcome::Unchanged);
    system.choose("c");
    let report = system.run(Action::Refresh).unwrap();
    assert_eq!((report.outcome, report.hierarchies.len()), (MergeOutcome::Refreshed, 1), "{report}");
    assert_eq!(system.run(Action::Unmerge).unwrap().outcome, MergeOutcome::Unmerged);
    assert_eq!(system.mounts.points(), [(PathBuf::from("/usr/share/mnt"), "tmpfs")]);
}

#[test]
fn a_failure_at_any_step_of_a_merge_leaves_nothing_or_the_new_set() {
    Scenario { before: None, choose: "a", verb: Action::Merge }.fails_at_any_step();
}

#[test]
fn a_failure_at_any_step_of_a_refresh_leaves_the_old_or_the_new_set() {
    Scenario { before: Some("a"), choose: "b", verb: Action::Refresh }.fails_at_any_step();
}

#[test]
fn a_failure_at_any_step_leaves_the_old_or_the_new_set_where_a_hierarchy_goes() {
    Scenario { before: Some("a"), choose: "c", verb: Action::Refresh }.fails_at_any_step();
}

#[test]
fn a_failure_at_any_step_of_an_unmerge_leaves_the_old_set_or_nothing() {
    Scenario { before: Some("a"), choose: "a", verb: Action::Unmerge }.fails_at_any_step();
}

#[test]
fn an_extension_that_is_merged_is_not_lost_to_an_error_of_the_host() {
    for errno in ERRNOS {
        let system = TestSystem::new();
        system.run(Action::Merge).unwrap();
        let merged = system.merged();
        // Something else changes, so that every image is opened again
        let release = ("usr/lib/extension-release.d/extension-release.gamma", "ID=_any\n");
        system.mounts.put_image("/var/lib/extensions/gamma.raw", &[release, ("usr/bin/gamma", "1")]);
        system.mounts.fail_at(usize::MAX - 1, errno);
        let options = Options { when: When::Always, ..Options::default() };
        refresh(&system.mounts, &system.paths, &options).unwrap();
        let steps = system.mounts.stop_failing();
        let opens = |step: &String| step == "open the image /var/lib/images/alpha-a.raw";
        let step = steps.iter().position(opens).unwrap();
        let system = TestSystem::new();
        system.run(Action::Merge).unwrap();
        system.mounts.put_image("/var/lib/extensions/gamma.raw", &[release, ("usr/bin/gamma", "1")]);
        system.mounts.fail_at(step, errno);
        let error = system.run(Action::Refresh).unwrap_err();
        let failed = system.mounts.stop_failing();
        assert!(failed.get(step).is_some_and(opens), "{errno}: {failed:?}");
        assert!(matches!(error, MergeError::Mount { .. } | MergeError::Lost { .. }), "{errno}: {error}");
        assert_eq!(system.merged(), merged, "{errno}");
        assert_eq!(system.run(Action::Refresh).unwrap().extensions.len(), 3, "{errno}");
        assert_eq!(system.run(Action::Refresh).unwrap().outcome, MergeOutcome::Unchanged, "{errno}");
    }
}
