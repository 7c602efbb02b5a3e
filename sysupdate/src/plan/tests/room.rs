//! What goes of transfers that take no part, and what a vacuum takes away.

use super::*;
use crate::settings::DisabledBy;

fn idle(name: &str, case: &Case, shown: Shown) -> Idle {
    let because = DisabledBy::Features { features: vec!["extra".to_owned()] };
    Idle { line: line(name, case), because, shown }
}

/// A component with one transfer that takes part and one that does not.
fn with_idle(case: &Case, idle: Idle) -> Situation {
    Situation { idle: vec![idle], ..situation(case) }
}

fn removals(situation: &Situation) -> String {
    let plan = plan(std::slice::from_ref(situation)).to_string();
    let lines = plan.lines().filter(|line| line.starts_with("  drop") || line.starts_with("    remove"));
    lines.map(str::trim).collect::<Vec<_>>().join("; ")
}

const ACTIVE: Case = Case { here: "1", link: "1", offered: "1", ..EMPTY };
const ALL: &str = "drop y: its feature extra is off; remove /extensions/y.raw; remove /images/y-1.raw; \
                   remove /images/y-2.raw; remove /images/.sysupdate.pending.y-3.raw; \
                   remove /images/.sysupdate.partial.y-4.raw";
const FULL: Case = Case { here: "1 2", pending: "3", partial: "4", link: "2", ..EMPTY };

#[test]
fn all_of_a_transfer_that_takes_no_part_goes() {
    let gone = |case: &Case| removals(&with_idle(case, idle("y", &FULL, Shown::Merged)));
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
fn nothing_is_planned_where_nothing_is() {
    assert_eq!(removals(&with_idle(&ACTIVE, idle("y", &Case { link: "-", ..EMPTY }, Shown::Merged))), "");
    // Stock removes the files and leaves the link.
    let dangling = removals(&with_idle(&ACTIVE, idle("y", &Case { link: "2", ..EMPTY }, Shown::Merged)));
    assert_eq!(dangling, "drop y: its feature extra is off; remove /extensions/y.raw");
}

#[test]
fn what_is_protected_stays_with_the_link_to_it() {
    let gone =
        |protected| removals(&with_idle(&ACTIVE, idle("y", &Case { protected, ..FULL }, Shown::Merged)));
    assert!(!gone("1").contains("y-1.raw") && gone("1").contains("/extensions/y.raw"), "{}", gone("1"));
    assert!(!gone("2").contains("y-2.raw") && !gone("2").contains("/extensions"), "{}", gone("2"));
    assert!(!gone("3").contains("y-3.raw"), "pending: {}", gone("3"));
    assert!(gone("4").contains("y-4.raw"), "what is only begun is nothing yet: {}", gone("4"));
}

#[test]
fn what_another_transfer_has_as_well_stays() {
    // The same pattern, directory and link: only features tell them apart.
    let same = with_idle(&ACTIVE, idle("x", &Case { here: "1", link: "1", ..EMPTY }, Shown::Merged));
    assert_eq!(removals(&same), "");
    assert!(vacuum(&same).removals.is_empty());
}

#[test]
fn a_file_that_the_merge_finds_by_its_name_is_set_aside_first() {
    let case = Case { here: "1", partial: "2", ..EMPTY };
    let names = |shown| -> Vec<Option<PathBuf>> {
        let plan = plan(&[with_idle(&ACTIVE, idle("y", &case, shown))]);
        plan.components[0].removals[0].files.iter().map(|file| file.set_aside.clone()).collect()
    };
    assert_eq!(names(Shown::Merged), [Some("/images/.sysupdate.partial.y-1.raw".into()), None]);
    assert_eq!(names(Shown::Not), [None, None]);
}

#[test]
fn json_says_why() {
    let plan = plan(&[with_idle(&ACTIVE, idle("y", &FULL, Shown::Merged))]);
    let removal = &serde_json::to_value(plan).unwrap()["components"][0]["removals"][0];
    assert_eq!((&removal["because"], &removal["features"][0]), (&"none-on".into(), &"extra".into()));
    assert_eq!((&removal["link"], &removal["shown"]), (&"/extensions/y.raw".into(), &"merged".into()));
    let file = serde_json::json!({ "path": "/images/.sysupdate.pending.y-3.raw", "state": "pending" });
    assert_eq!(removal["files"][2], file);
}

fn vacuumed(case: &Case) -> String {
    let plan = vacuum(&situation(case));
    let files = plan.transfers[0].files.iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy());
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
fn a_vacuum_takes_idle_transfers_of_what_is_held_too() {
    let held = with_idle(&Case { held: true, ..ACTIVE }, idle("y", &FULL, Shown::Not));
    let plan = vacuum(&held);
    assert_eq!(plan.removals.len(), 1);
    assert_eq!(
        plan.removals[0].to_string().trim_end().replace("\n", ";").replace("  ", "").replace(";", "; "),
        ALL
    );
}
