//! A table of situations. One line each: what is here, what is offered, what is remembered, what is
//! asked for, and what must be decided.

use sysext_manifests::trust::{Claim, Verified};

mod relations;
mod room;

use super::*;
use crate::merge::quarantine::Unsupported;
use crate::state::{BadVersion, InstalledVersion, Record, Stage, Trial};

/// A situation in a few words. Versions are separated by blanks.
#[derive(Default, Clone, Copy)]
struct Case {
    /// Under final names.
    here: &'static str,
    /// Begun: `2~partial` is not a version, so these have fields of their own.
    partial: &'static str,
    pending: &'static str,
    /// Where the link points; `-` for a link that points nowhere; empty for no link.
    link: &'static str,
    offered: &'static str,
    withdrawn: &'static str,
    /// Offered as disk images, which are not merged.
    disks: &'static str,
    unchecked: &'static str,
    /// Bad with the bytes that are offered now, or (`2!`) with other bytes.
    bad: &'static str,
    last_good: &'static str,
    minimum: &'static str,
    maximum: &'static str,
    requirement: &'static str,
    upstream: &'static str,
    protected: &'static str,
    /// 0 stands for 3.
    instances_max: usize,
    held: bool,
    ask: &'static str,
    unreachable: bool,
    trial: Option<(&'static str, &'static str, Stage)>,
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn versions(text: &str) -> Vec<Version> {
    text.split_whitespace().map(version).collect()
}

fn optional(text: &str) -> Option<Version> {
    (!text.is_empty() && text != "-").then(|| version(text))
}

/// Another offer of the same version has other bytes only if the salt differs.
fn digest(text: &str, salt: &str) -> Sha256 {
    Sha256::of(format!("{text}{salt}").as_bytes())
}

fn source(transfer: &str, text: &str) -> OfferedFile {
    let name = format!("{transfer}-{text}.raw");
    let claim = Claim {
        urls: vec![format!("https://example.org/{name}")],
        sha256: digest(text, ""),
        size: Some(10),
        name: name.clone(),
    };
    let origin = Origin::Claimed(Verified::listed("https://example.org/SHA256SUMS", claim));
    OfferedFile { origin, target: Location::File(PathBuf::from("/images").join(name)), mode: None }
}

fn file(name: &str) -> Location {
    Location::File(PathBuf::from("/images").join(name))
}

fn locals(transfer: &str, text: &str, prefix: &str, state: State) -> Vec<LocalInstance> {
    let path = |version: &Version| file(&format!("{prefix}{transfer}-{version}.raw"));
    versions(text)
        .into_iter()
        .map(|version| LocalInstance { location: path(&version), version, state })
        .collect()
}

fn transfer_state(transfer: &str, case: &Case) -> TransferState {
    let local = [
        locals(transfer, case.here, "", State::Installed),
        locals(transfer, case.pending, ".sysupdate.pending.", State::Pending),
        locals(transfer, case.partial, ".sysupdate.partial.", State::Partial),
    ];
    TransferState {
        transfer: transfer.to_owned(),
        minimum: optional(case.minimum),
        maximum: optional(case.maximum),
        requirement: (!case.requirement.is_empty()).then(|| case.requirement.parse().unwrap()),
        protected: versions(case.protected),
        instances_max: if case.instances_max == 0 { 3 } else { case.instances_max },
        local: local.concat(),
        active: if case.link.is_empty() {
            Active::Newest
        } else {
            let link = PathBuf::from(format!("/extensions/{transfer}.raw"));
            Active::Linked { link, version: optional(case.link) }
        },
    }
}

fn situation(case: &Case) -> Situation {
    let offers = versions(case.offered).into_iter().map(|version| {
        let offer = Offer {
            relations: Relations {
                upstream: (!case.upstream.is_empty()).then(|| case.upstream.to_owned()),
                ..Relations::default()
            },
            malformed: None,
            files: vec![Some(source("x", version.as_str()))],
            unread: versions(case.disks).contains(&version).then_some(Unsupported::PartitionTable),
            withdrawn: versions(case.withdrawn).contains(&version).then(|| "it eats files".to_owned()),
            health: versions(case.unchecked)
                .iter()
                .filter(|unchecked| **unchecked == version)
                .map(|_| "unit:x.service".parse().unwrap())
                .collect(),
        };
        (version, offer)
    });
    let bad = case.bad.split_whitespace().map(|text| match text.strip_suffix('!') {
        Some(text) => BadVersion {
            version: version(text),
            sha256: vec![digest(text, "old")],
            output: "boom".to_owned(),
        },
        None => {
            BadVersion { version: version(text), sha256: vec![digest(text, "")], output: "boom".to_owned() }
        }
    });
    let trial = case.trial.map(|(new, previous, stage)| Trial {
        version: version(new),
        previous: optional(previous),
        sha256: Vec::new(),
        health: Vec::new(),
        relies_on: BTreeMap::new(),
        stage,
    });
    Situation {
        component: ComponentName::Named("x".to_owned()),
        provides: vec!["x".to_owned()],
        requires: Vec::new(),
        transfers: vec![transfer_state("x", case)],
        leftovers: Vec::new(),
        merged: true,
        unreadable: None,
        record: Record {
            last_good: optional(case.last_good),
            bad: bad.collect(),
            trial,
            ..Record::default()
        },
        offers: if case.unreachable {
            Offers::Unknown { reason: "no route".to_owned() }
        } else {
            Offers::Known(offers.collect())
        },
        wanted: optional(case.ask).map_or(Wanted::Newest, Wanted::Exactly),
        hold: if case.held { Hold::Held } else { Hold::Free },
    }
}

fn plan<const N: usize>(components: [Situation; N]) -> Plan {
    super::plan(&Survey { goal: Goal::Update, components: components.into(), others: Vec::new() })
}

/// The plan in one line, without the indented details.
fn decide_case(case: &Case) -> String {
    let plan = plan([situation(case)]).to_string();
    let lines = plan.lines().filter(|line| !line.starts_with("  get") && !line.starts_with("    as"));
    lines.map(str::trim).collect::<Vec<_>>().join("; ").replacen("x: ", "", 1)
}

const EMPTY: Case = Case {
    here: "",
    partial: "",
    pending: "",
    link: "",
    offered: "",
    withdrawn: "",
    disks: "",
    unchecked: "",
    bad: "",
    last_good: "",
    maximum: "",
    requirement: "",
    upstream: "",
    minimum: "",
    protected: "",
    instances_max: 0,
    held: false,
    ask: "",
    unreachable: false,
    trial: None,
};

#[test]
fn the_table() {
    let base = EMPTY;
    #[rustfmt::skip]
    let table = [
        // Nothing special.
        (Case { ..base }, "keep nothing: no eligible version is available"),
        (Case { offered: "1", link: "-", ..base }, "install 1"),
        (Case { offered: "1 3 2", link: "-", ..base }, "install 3"),
        (Case { here: "1", link: "1", offered: "1", ..base }, "keep 1: no newer version is eligible"),
        (Case { here: "1", link: "1", offered: "1 2", ..base }, "install 2 (now 1)"),
        (Case { here: "1", link: "1", ..base }, "keep 1: no newer version is eligible"),
        (Case { here: "2", link: "2", offered: "1", ..base }, "keep 2: no newer version is eligible"),
        (Case { here: "1.9", link: "1.9", offered: "1.10", ..base }, "install 1.10 (now 1.9)"),
        (Case { here: "1", link: "1", offered: "2~rc.1", ..base }, "install 2~rc.1 (now 1)"),
        (Case { here: "2~rc.1", link: "2~rc.1", offered: "2", ..base }, "install 2 (now 2~rc.1)"),
        (Case { here: "1", offered: "2", ..base }, "install 2 (now 1)"),
        // What is here and what is in use differ.
        (Case { here: "1 2", link: "1", offered: "1 2", ..base }, "activate 2 (already downloaded) (now 1)"),
        (Case { here: "1 2", link: "1", offered: "1 2 3", ..base }, "install 3 (now 1)"),
        (Case { here: "1 2", link: "1", unreachable: true, ..base }, "activate 2 (already downloaded) (now 1); could not check for updates: no route"),
        (Case { here: "1", link: "-", offered: "1", ..base }, "activate 1 (already downloaded)"),
        (Case { link: "1", offered: "1", ..base }, "install 1 (now 1)"),
        // Bad versions.
        (Case { here: "1", link: "1", offered: "1 2", bad: "2", ..base }, "keep 1: no newer version is eligible; skipped 2: failed its health checks: boom"),
        (Case { here: "1", link: "1", offered: "1 2 3", bad: "2", ..base }, "install 3 (now 1)"),
        (Case { here: "1", link: "1", offered: "1 2 3", bad: "3", ..base }, "install 2 (now 1); skipped 3: failed its health checks: boom"),
        (Case { here: "1", link: "1", offered: "2", bad: "2!", ..base }, "install 2 (now 1)"),
        (Case { here: "1 2", link: "1", unreachable: true, bad: "2", ..base }, "keep 1: no newer version is eligible; skipped 2: failed its health checks: boom; could not check for updates: no route"),
        (Case { link: "-", offered: "1", bad: "1", ..base }, "keep nothing: no eligible version is available; skipped 1: failed its health checks: boom"),
        (Case { here: "1", link: "1", offered: "2", bad: "2", ask: "2", ..base }, "install 2 (now 1)"),
        // Rules of the publisher and of the operator.
        (Case { here: "1", link: "1", offered: "1 2 3", disks: "3", ..base }, "install 2 (now 1); skipped 3: images with a partition table are not merged yet (systemd-sysext merges them: set Activate=none)"),
        (Case { here: "1", link: "1", offered: "1 2", disks: "2", ask: "2", ..base }, "cannot use 2: images with a partition table are not merged yet (systemd-sysext merges them: set Activate=none)"),
        (Case { here: "1", link: "1", offered: "1 2", withdrawn: "2", ..base }, "keep 1: no newer version is eligible; skipped 2: withdrawn by its publisher: it eats files"),
        (Case { here: "1", link: "1", offered: "1 2", held: true, ..base }, "keep 1: on hold; 2 is available"),
        (Case { here: "2", link: "2", offered: "1 2", held: true, ..base }, "keep 2: no newer version is eligible"),
        (Case { here: "1", link: "1", offered: "2", held: true, ask: "2", ..base }, "install 2 (now 1)"),
        (Case { link: "-", offered: "1", minimum: "2", ..base }, "keep nothing: no eligible version is available; skipped 1: older than MinVersion=2"),
        (Case { here: "1", link: "1", offered: "1", minimum: "2", ask: "1", ..base }, "keep 1: no newer version is eligible"),
        (Case { offered: "1", link: "-", minimum: "2", ask: "1", ..base }, "cannot use 1: older than MinVersion=2"),
        (Case { here: "1", link: "1", offered: "2 3", maximum: "2", ..base }, "install 2 (now 1); skipped 3: newer than MaxVersion=2"),
        (Case { here: "1", link: "1", offered: "2", maximum: "1", ask: "2", ..base }, "cannot use 2: newer than MaxVersion=1"),
        (Case { here: "3", link: "3", offered: "4", maximum: "2", ..base }, "keep 3: no newer version is eligible; skipped 4: newer than MaxVersion=2"),
        (Case { here: "v1.32.1", link: "v1.32.1", offered: "v1.32.4 v1.33.0", requirement: "1.32.*", ..base }, "install v1.32.4 (now v1.32.1); skipped v1.33.0: does not match Version=1.32.*"),
        (Case { here: "1.32.1", link: "1.32.1", offered: "1.32.1-2 1.33.1", requirement: "1.32.1", ..base }, "install 1.32.1-2 (now 1.32.1); skipped 1.33.1: does not match Version=1.32.1"),
        (Case { here: "1.32.1", link: "1.32.1", offered: "1.33", requirement: "~1.32", ask: "1.33", ..base }, "cannot use 1.33: does not match Version=~1.32"),
        (Case { link: "-", offered: "k-7", upstream: "1.32.9", requirement: "~1.32", ..base }, "install k-7"),
        (Case { link: "-", offered: "k-7", upstream: "1.33.0", requirement: "~1.32", ..base }, "keep nothing: no eligible version is available; skipped k-7: does not match Version=~1.32"),
        // Asked for by name.
        (Case { here: "1 2", link: "2", offered: "1 2", ask: "1", ..base }, "activate 1 (already downloaded) (now 2)"),
        (Case { here: "2", link: "2", offered: "1 2", ask: "1", ..base }, "install 1 (now 2)"),
        (Case { here: "2", link: "2", offered: "1 2", ask: "2", ..base }, "keep 2: no newer version is eligible"),
        (Case { here: "2", link: "2", offered: "2", ask: "7", ..base }, "cannot use 7: neither installed nor available"),
        (Case { here: "1", link: "1", unreachable: true, ask: "2", ..base }, "cannot use 2: neither installed nor available; could not check for updates: no route"),
        // Interrupted runs.
        (Case { here: "1", link: "1", partial: "2", offered: "1 2", ..base }, "install 2 (now 1)"),
        (Case { here: "1", link: "1", pending: "2", offered: "1 2", ..base }, "install 2 (now 1)"),
        (Case { here: "1", link: "1", partial: "2", offered: "1 3", ..base }, "install 3 (now 1); remove /images/.sysupdate.partial.x-2.raw"),
        (Case { here: "1", link: "1", pending: "2", unreachable: true, ..base }, "keep 1: no newer version is eligible; skipped 2: incomplete: no matching file for x; could not check for updates: no route"),
        (Case { here: "1 2", link: "2", offered: "3", trial: Some(("2", "1", Stage::Checking)), ..base }, "check 2, activated by an interrupted run"),
        (Case { here: "1 2", link: "2", offered: "3", trial: Some(("2", "1", Stage::RollingBack)), ..base }, "finish the rollback from 2 to 1: an interrupted run had begun to roll it back"),
        (Case { here: "1", link: "1", trial: Some(("1", "", Stage::RollingBack)), ask: "1", ..base }, "finish the rollback from 1 to nothing: an interrupted run had begun to roll it back"),
        // The next version arrives after a rollback: 2 was bad, 1 is in use again.
        (Case { here: "1", link: "1", offered: "1 2 3", bad: "2", last_good: "1", ..base }, "install 3 (now 1)"),
        // Room.
        (Case { here: "1 2 3", link: "3", offered: "4", ..base }, "install 4 (now 3); remove /images/x-1.raw"),
        (Case { here: "1 2 3", link: "1", offered: "4", ..base }, "install 4 (now 1); remove /images/x-2.raw"),
        (Case { here: "1 2 3", link: "3", last_good: "1", offered: "4", ..base }, "install 4 (now 3); remove /images/x-2.raw"),
        (Case { here: "1 2 3", link: "3", protected: "1 2", offered: "4", ..base }, "install 4 (now 3)"),
        (Case { here: "1 2 3", link: "2", last_good: "1", instances_max: 2, offered: "4", ..base }, "install 4 (now 2); remove /images/x-3.raw"),
        (Case { here: "1 2", link: "2", instances_max: 2, offered: "3", ..base }, "install 3 (now 2); remove /images/x-1.raw"),
    ];
    assert!(table.len() >= 30);
    for (index, (case, expected)) in table.iter().enumerate() {
        let found = decide_case(case);
        assert_eq!(found, *expected, "row {index}: here {:?} offered {:?}", case.here, case.offered);
    }
}

fn two_transfers(first: Case, second: Case) -> Situation {
    let mut both = situation(&first);
    both.transfers = vec![transfer_state("a", &first), transfer_state("b", &second)];
    let offered = [versions(first.offered), versions(second.offered)];
    let mut all = offered.concat();
    all.sort();
    all.dedup();
    let offers = all.into_iter().map(|version| {
        let sources = ["a", "b"]
            .iter()
            .zip(&offered)
            .map(|(name, has)| has.contains(&version).then(|| source(name, version.as_str())))
            .collect();
        (
            version,
            Offer {
                relations: Relations::default(),
                malformed: None,
                files: sources,
                unread: None,
                withdrawn: None,
                health: Vec::new(),
            },
        )
    });
    both.offers = Offers::Known(offers.collect());
    both
}

fn decision(situation: Situation) -> String {
    let plan = plan([situation]).to_string();
    plan.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_version_that_one_transfer_lacks_is_skipped() {
    let first = Case { here: "1", link: "1", offered: "1 2 3", ..EMPTY };
    let second = Case { here: "1", link: "1", offered: "1 2", ..EMPTY };
    let found = decision(two_transfers(first, second));
    assert!(found.starts_with("x: install 2 (now 1); get https://example.org/a-2.raw"), "{found}");
    assert!(found.ends_with("skipped 3: incomplete: no matching file for b"), "{found}");
}

#[test]
fn only_missing_files_are_downloaded() {
    let first = Case { here: "1 2", link: "1", offered: "2", ..EMPTY };
    let second = Case { here: "1", link: "1", offered: "2", ..EMPTY };
    let found = decision(two_transfers(first, second));
    assert!(found.contains("get https://example.org/b-2.raw") && !found.contains("a-2.raw"), "{found}");
}

#[test]
fn links_that_disagree_are_repaired() {
    let first = Case { here: "1 2", link: "2", offered: "1 2", ..EMPTY };
    let second = Case { here: "1 2", link: "1", offered: "1 2", ..EMPTY };
    assert_eq!(decision(two_transfers(first, second)), "x: activate 2 (already downloaded)");
}

#[test]
fn the_partial_file_of_the_new_version_is_resumed() {
    let case = Case { here: "1", link: "1", partial: "2", offered: "2", ..EMPTY };
    let plan = plan([situation(&case)]);
    let Decision::Install { files, remove, .. } = &plan.components[0].decision else { panic!("{plan}") };
    assert_eq!(files[0].reuse, Some(file(".sysupdate.partial.x-2.raw")));
    assert!(remove.is_empty());
}

fn link_to(name: Option<&str>) -> Link {
    let target = name.map(file);
    Link { path: "/extensions/x.raw".into(), target }
}

#[test]
fn an_installation_has_rollback_links() {
    let case = Case { here: "1", link: "1", offered: "2", ..EMPTY };
    let plan = plan([situation(&case)]);
    let Decision::Install { activation, .. } = &plan.components[0].decision else { panic!("{plan}") };
    assert_eq!(activation.links, [link_to(Some("x-2.raw"))]);
    assert_eq!(activation.rollback_links, [link_to(Some("x-1.raw"))]);
    assert_eq!(activation.files, [file("x-2.raw")]);
}

#[test]
fn a_rollback_of_the_first_version_removes_the_link() {
    let case = Case { link: "-", offered: "1", ..EMPTY };
    let plan = plan([situation(&case)]);
    let Decision::Install { activation, .. } = &plan.components[0].decision else { panic!("{plan}") };
    assert_eq!((activation.previous.clone(), &activation.rollback_links[..]), (None, &[link_to(None)][..]));
}

#[test]
fn without_an_active_version_a_rollback_activates_the_last_good_one() {
    let case = Case { here: "1 2", link: "-", last_good: "1", offered: "3", ..EMPTY };
    let plan = plan([situation(&case)]);
    let Decision::Install { activation, .. } = &plan.components[0].decision else { panic!("{plan}") };
    assert_eq!(activation.rollback_links, [link_to(Some("x-1.raw"))]);
}

#[test]
fn components_without_requirements_are_planned_independently() {
    let cases = [
        Case { here: "1", link: "1", offered: "2", ..EMPTY },
        Case { here: "1", link: "1", unreachable: true, ..EMPTY },
        Case { here: "1 2", link: "1", offered: "2", bad: "2", ..EMPTY },
    ];
    let alone: Vec<String> =
        cases.iter().map(|case| plan([situation(case)]).components[0].to_string()).collect();
    let together = plan(cases.map(|case| situation(&case)));
    let together: Vec<String> = together.components.iter().map(ToString::to_string).collect();
    assert_eq!(alone, together);
}

#[test]
fn the_same_survey_gives_the_same_json() {
    let case = Case { here: "1", link: "1", offered: "2", ..EMPTY };
    let json = || serde_json::to_value(plan([situation(&case)])).unwrap();
    assert_eq!(json(), json());
    assert_eq!(json()["components"][0]["decision"], "install");
    assert_eq!(json()["components"][0]["files"][0]["size"], 10);
}

/// A catalog of 100 kB can list that many: a node must not spend hours on them.
#[test]
fn a_plan_over_30_000_versions_takes_seconds() {
    let mut many = situation(&Case { link: "1", here: "1", ..Case::default() });
    let source = source("x", "2");
    let offer = Offer {
        relations: Relations::default(),
        malformed: None,
        files: vec![Some(source)],
        unread: None,
        withdrawn: Some("no".to_owned()),
        health: Vec::new(),
    };
    let versions = (0..30_000).map(|minor| (version(&format!("2.{minor}")), offer.clone()));
    many.offers = Offers::Known(versions.collect());
    let begin = processor_time();
    let plan = plan([many]);
    assert_eq!(plan.components[0].skipped.len(), 30_000);
    let took = processor_time() - begin;
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}

/// How long this thread had a processor: other work does not lengthen it.
fn processor_time() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn the_target_of_each_link_stays_if_links_disagree() {
    let first = Case { here: "1 2", link: "1", offered: "3", instances_max: 2, ..Case::default() };
    let second = Case { here: "1 2", link: "2", offered: "3", instances_max: 2, ..Case::default() };
    let plan = plan([two_transfers(first, second)]);
    let Decision::Install { remove, .. } = &plan.components[0].decision else { panic!("{plan}") };
    assert_eq!(remove, &[file("a-2.raw"), file("b-1.raw")]);
}
