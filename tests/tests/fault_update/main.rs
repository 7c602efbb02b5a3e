//! SIGKILL at every effect of an update, and an ordinary run afterwards.
//!
//! Each stage runs once to the end, which lists its points. Then, for every point, the same start is created
//! again, the program is killed there, and the state is checked. After that the real program must reach the
//! same result as the uninterrupted run. A second round also kills the following run, at another point.

use std::process::ExitCode;

use tests::needs::{Need, Suite};

use stage::{Activate, Health, Layout, Stage};

mod host;
mod masked;
mod scene;
mod stage;

const INTERRUPTED: &str = env!("CARGO_BIN_EXE_interrupted");

/// The component of all stages.
const NAME: &str = "demo";

/// The round with two kills uses one of this many points.
const TWICE_STRIDE: usize = 3;

fn main() -> ExitCode {
    let needs = [Need::Filesystem("erofs"), Need::Filesystem("overlay"), Need::Kernel(6, 5)];
    let mut suite = Suite::new();
    for stage in &STAGES {
        suite.isolated(stage.name, &needs, || stage.live());
    }
    suite.isolated("kernel_update_does_not_check_masked_version", &needs, masked::is_neither_good_nor_bad);
    let traced = [needs.as_slice(), &[Need::Tool("strace")]].concat();
    let name = "fault_update_does_not_blame_a_version_for_the_host";
    suite.isolated(name, &traced, host::is_not_the_fault_of_the_version);
    suite.run()
}

const UPDATE: Stage = Stage {
    name: "fault_recovers_from_kill_in_update",
    extensions: &[NAME],
    dropped: None,
    layout: Layout::Ours,
    before: &["1"],
    coming: "2",
    health: Health::Healthy,
    activate: Activate::Refresh,
    points_min: 80,
};

static STAGES: [Stage; 11] = [
    Stage { name: "fault_recovers_from_kill_in_first_install", before: &[], coming: "1", ..UPDATE },
    UPDATE,
    Stage {
        name: "fault_recovers_from_kill_in_update_with_rollback",
        before: &["1", "2"],
        coming: "3",
        health: Health::Unhealthy,
        points_min: 100,
        ..UPDATE
    },
    Stage {
        name: "fault_recovers_from_kill_in_first_install_with_rollback",
        before: &[],
        coming: "1",
        health: Health::Unhealthy,
        points_min: 90,
        ..UPDATE
    },
    Stage {
        name: "fault_recovers_from_kill_in_download_only",
        before: &["1", "2", "3"],
        coming: "4",
        activate: Activate::None,
        points_min: 70,
        ..UPDATE
    },
    Stage {
        name: "fault_recovers_from_kill_in_update_of_two_files",
        extensions: &[NAME, "notes"],
        points_min: 120,
        ..UPDATE
    },
    Stage {
        name: "fault_recovers_from_kill_in_rollback_of_two_files",
        extensions: &[NAME, "notes"],
        health: Health::Unhealthy,
        points_min: 140,
        ..UPDATE
    },
    Stage {
        name: "fault_recovers_from_kill_in_update_while_opt_is_merged",
        layout: Layout::Opt,
        health: Health::Unhealthy,
        points_min: 100,
        ..UPDATE
    },
    Stage {
        name: "fault_recovers_from_kill_in_update_that_removes_a_file",
        extensions: &[NAME, "notes"],
        dropped: Some("notes"),
        points_min: 90,
        ..UPDATE
    },
    Stage {
        name: "fault_recovers_from_kill_in_removal_alone",
        extensions: &[NAME, "notes"],
        dropped: Some("notes"),
        coming: "1",
        points_min: 20,
        ..UPDATE
    },
    Stage {
        name: "fault_recovers_from_kill_in_removal_without_link",
        extensions: &[NAME, "notes"],
        dropped: Some("notes"),
        layout: Layout::ByName,
        coming: "1",
        points_min: 20,
        ..UPDATE
    },
];

/// The feature of the removed transfer.
const FEATURE: &str = "extra";
