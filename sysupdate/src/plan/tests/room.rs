//! What an update removes of disabled transfers, and what a vacuum removes.

use super::*;
use crate::settings::DisabledBy;

fn leftover(name: &str, case: &Case, merged: bool) -> Leftover {
    let reason = DisabledBy::Features { features: vec!["extra".to_owned()] };
    Leftover { state: transfer_state(name, case), reason, merged }
}

/// A component with one enabled and one disabled transfer.
fn with_leftover(case: &Case, leftover: Leftover) -> Situation {
    Situation { leftovers: vec![leftover], ..situation(case) }
}

fn removals(situation: Situation) -> String {
    let plan = plan([situation]).to_string();
    let lines = plan.lines().filter(|line| line.starts_with("  remove") || line.starts_with("    remove"));
    lines.map(str::trim).collect::<Vec<_>>().join("; ")
}

const ACTIVE: Case = Case { here: "1", link: "1", offered: "1", ..EMPTY };
const ALL: &str = "remove y: its feature \"extra\" is disabled; remove /extensions/y.raw; remove /images/y-1.raw; \
                   remove /images/y-2.raw; remove /images/.sysupdate.pending.y-3.raw; \
                   remove /images/.sysupdate.partial.y-4.raw";
const FULL: Case = Case { here: "1 2", pending: "3", partial: "4", link: "2", ..EMPTY };

#[test]
fn all_files_of_a_disabled_transfer_are_removed() {
    let gone = |case: &Case| removals(with_leftover(case, leftover("y", &FULL, true)));
    assert_eq!(gone(&ACTIVE), ALL, "with nothing else to do");
    assert_eq!(gone(&Case { offered: "2", ..ACTIVE }), ALL, "with something to install");
    assert_eq!(gone(&Case { here: "1 2", ..ACTIVE }), ALL, "with something to put in use");
    assert_eq!(gone(&Case { unreachable: true, ..ACTIVE }), ALL, "whatever the source says");
    assert_eq!(gone(&Case { held: true, ..ACTIVE }), "", "what is held stays as it is");
    assert_eq!(gone(&Case { ask: "9", ..ACTIVE }), "", "a request that cannot be met changes nothing");
    let trial = Some(("1", "", Stage::Checking));
    assert_eq!(gone(&Case { trial, ..ACTIVE }), "", "first what was begun is ended");
}

#[test]
fn nothing_is_removed_without_files() {
    assert_eq!(removals(with_leftover(&ACTIVE, leftover("y", &Case { link: "-", ..EMPTY }, true))), "");
    // Stock removes the files and leaves the link.
    let dangling = removals(with_leftover(&ACTIVE, leftover("y", &Case { link: "2", ..EMPTY }, true)));
    assert_eq!(dangling, "remove y: its feature \"extra\" is disabled; remove /extensions/y.raw");
}

#[test]
fn protected_files_stay_with_their_link() {
    let gone = |protected| removals(with_leftover(&ACTIVE, leftover("y", &Case { protected, ..FULL }, true)));
    assert!(!gone("1").contains("y-1.raw") && gone("1").contains("/extensions/y.raw"), "{}", gone("1"));
    assert!(!gone("2").contains("y-2.raw") && !gone("2").contains("/extensions"), "{}", gone("2"));
    assert!(!gone("3").contains("y-3.raw"), "pending: {}", gone("3"));
    assert!(gone("4").contains("y-4.raw"), "what is only begun is nothing yet: {}", gone("4"));
}

#[test]
fn files_of_another_transfer_stay() {
    // The same pattern, directory and link: only features tell them apart.
    let same = with_leftover(&ACTIVE, leftover("x", &Case { here: "1", link: "1", ..EMPTY }, true));
    assert!(vacuum(&same).removals.is_empty());
    assert_eq!(removals(same), "");
}

#[test]
fn a_file_that_the_merge_finds_by_its_name_is_set_aside_first() {
    let case = Case { here: "1", partial: "2", ..EMPTY };
    let names = |merged| -> Vec<Option<Location>> {
        let plan = plan([with_leftover(&ACTIVE, leftover("y", &case, merged))]);
        plan.components[0].removals[0].files.iter().map(|file| file.set_aside.clone()).collect()
    };
    assert_eq!(names(true), [Some(file(".sysupdate.partial.y-1.raw")), None]);
    assert_eq!(names(false), [None, None]);
}

#[test]
fn json_has_the_reason() {
    let plan = plan([with_leftover(&ACTIVE, leftover("y", &FULL, true))]);
    let removal = &serde_json::to_value(plan).unwrap()["components"][0]["removals"][0];
    assert_eq!((&removal["reason"], &removal["features"][0]), (&"features-disabled".into(), &"extra".into()));
    assert_eq!((&removal["link"], &removal["merged"]), (&"/extensions/y.raw".into(), &true.into()));
    let file = serde_json::json!({ "path": "/images/.sysupdate.pending.y-3.raw", "state": "pending" });
    assert_eq!(removal["files"][2], file);
}

fn vacuumed(case: &Case) -> String {
    let plan = vacuum(&situation(case));
    let files = plan.transfers[0]
        .files
        .iter()
        .map(|(location, _)| location.path().file_name().unwrap().to_string_lossy());
    files.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_vacuum_keeps_what_an_update_keeps() {
    let base = Case { here: "1 2 3 4", link: "4", ..EMPTY };
    #[rustfmt::skip]
    let table = [
        (Case { here: "1 2 3", link: "3", ..base }, ""),
        (Case { ..base }, "x-1.raw"),
        (Case { instances_max: 1, ..base }, "x-1.raw x-2.raw x-3.raw"),
        (Case { instances_max: 1, link: "1", ..base }, "x-2.raw x-3.raw x-4.raw"),
        (Case { instances_max: 1, link: "", ..base }, "x-1.raw x-2.raw x-3.raw"),
        (Case { instances_max: 1, last_good: "2", ..base }, "x-1.raw x-3.raw"),
        (Case { instances_max: 1, protected: "1 3", ..base }, "x-2.raw"),
        (Case { instances_max: 1, trial: Some(("3", "2", Stage::Checking)), ..base }, "x-1.raw"),
        (Case { instances_max: 2, protected: "3", ..base }, "x-1.raw x-2.raw"),
        (Case { here: "1", link: "1", pending: "2 3", partial: "3 4", protected: "3 4", ..base },
         ".sysupdate.pending.x-2.raw .sysupdate.partial.x-3.raw .sysupdate.partial.x-4.raw"),
        (Case { here: "1 2", link: "2", pending: "3", protected: "3", instances_max: 2, ..base }, "x-1.raw"),
    ];
    for (case, expected) in table {
        assert_eq!(vacuumed(&case), expected, "of {:?} at most {}", case.here, case.instances_max);
    }
}

#[test]
fn a_vacuum_removes_disabled_transfers_of_held_components() {
    let held = with_leftover(&Case { held: true, ..ACTIVE }, leftover("y", &FULL, false));
    let plan = vacuum(&held);
    assert_eq!(plan.removals.len(), 1);
    assert_eq!(
        plan.removals[0].to_string().trim_end().replace("\n", ";").replace("  ", "").replace(";", "; "),
        ALL
    );
}
