//! Merges with the real kernel: no file is missing at any instant, a kill leaves nothing behind, a failure
//! changes nothing, and systemd-sysext and sysupdate continue from each other's merges.

use std::path::Path;
use std::process::ExitCode;

use tests::needs::{Need, Suite};
use tests::peer::Peer;

mod foreign;
mod hostile;
mod kills;
mod sets;
mod site;
mod stock;
mod stopping;
mod swaps;
mod watcher;

use foreign::keeps_a_bind_mount;
use hostile::{quarantines_what_hides_the_host, stays_below_its_root};
use kills::{
    child, failed_step_changes_nothing, first_killed_at_each_step, killed_at_any_time, killed_at_each_step,
    old_kernel,
};
use sets::{
    comes_and_goes, images_below_opt, keeps_submounts, quarantines, refuses, squashfs, takes_many,
    writes_beneath,
};
use stock::{stock_257, stock_here};
use stopping::Age;
use swaps::{swaps, watcher_sees_a_gap};
use watcher::Hears;

/// The argument that makes this program the one that is killed.
const CHILD: &str = "fault-merge-child";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, root, at] = arguments.as_slice()
        && role == CHILD
    {
        return child(Path::new(root), at);
    }
    let kernel = [Need::Filesystem("erofs"), Need::Filesystem("overlay"), Need::Kernel(6, 5)];
    let with = |need: Need| [kernel.as_slice(), &[need]].concat();
    let mut suite = Suite::new();
    suite.isolated("fault_merge_swap_has_no_gap_in_a_shared_namespace", &kernel, || swaps(Hears::AsPeer));
    suite.isolated("fault_merge_swap_has_no_gap_in_a_slave_namespace", &kernel, || swaps(Hears::AsSlave));
    suite.isolated("fault_merge_watcher_detects_a_gap", &kernel, watcher_sees_a_gap);
    suite.isolated("fault_merge_recovers_from_kill_at_each_step", &kernel, killed_at_each_step);
    suite.isolated(
        "fault_merge_recovers_from_kill_at_each_step_of_first_merge",
        &kernel,
        first_killed_at_each_step,
    );
    suite.isolated("fault_merge_recovers_from_kill_at_any_time", &kernel, killed_at_any_time);
    for (name, age) in [
        ("fault_merge_failed_step_changes_nothing", Age::Running),
        ("fault_merge_failed_step_changes_nothing_on_an_old_kernel", Age::Old),
    ] {
        suite.isolated(name, &kernel, move || failed_step_changes_nothing(age));
    }
    suite.isolated("fault_merge_warns_about_the_gap_on_an_old_kernel", &kernel, old_kernel);
    suite.isolated("kernel_merge_attaches_and_unmerge_detaches", &kernel, comes_and_goes);
    suite.isolated("kernel_merge_quarantines_one_and_merges_the_rest", &kernel, quarantines);
    suite.isolated("kernel_merge_quarantines_what_hides_the_host", &kernel, quarantines_what_hides_the_host);
    suite.isolated("kernel_merge_stays_below_its_root", &kernel, stays_below_its_root);
    suite.isolated("kernel_merge_keeps_mounts_below_the_hierarchy", &kernel, keeps_submounts);
    suite.isolated("kernel_merge_refuses_mounts_that_it_cannot_keep", &kernel, refuses);
    suite.isolated("kernel_merge_keeps_a_bind_mount_of_the_hierarchy", &kernel, keeps_a_bind_mount);
    suite.isolated("kernel_merge_writes_below_the_overlay", &kernel, writes_beneath);
    suite.isolated("kernel_merge_reads_images_below_merged_opt", &kernel, images_below_opt);
    suite.isolated("kernel_merge_supports_many_extensions", &kernel, takes_many);
    suite.isolated(
        "kernel_merge_mounts_squashfs_through_a_loop_device",
        &with(Need::Tool("mksquashfs")),
        squashfs,
    );
    suite.isolated(
        "peer_merge_works_with_systemd_sysext_of_the_host",
        &with(Need::Tool("systemd-sysext")),
        stock_here,
    );
    suite.isolated("peer_merge_works_with_systemd_257_sysext", &with(Need::Peer(Peer::Trixie)), stock_257);
    suite.run()
}
