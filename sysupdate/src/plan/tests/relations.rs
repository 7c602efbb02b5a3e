//! Requirements and conflicts between components. One line each: what is installed, what is offered, and what
//! must be decided, with its explanation.

use super::*;

/// A component: `NAME INSTALLED | OFFERED…`. What is offered or installed is a version and what it needs in
/// brackets: `2[b >=2, !c]`. `=2` requests the version, and `hold` holds the component.
fn component(text: &str) -> Situation {
    let (head, offered) = text.split_once('|').unwrap();
    let mut words = head.split_whitespace();
    let name = words.next().unwrap();
    let related = |text: &str| {
        let (number, needs) = text.trim_end_matches(']').split_once('[').unwrap_or((text, ""));
        let needs: Vec<&str> = needs.split(',').map(str::trim).filter(|need| !need.is_empty()).collect();
        let conflicts = needs.iter().filter_map(|need| need.strip_prefix('!'));
        let requires = needs.iter().filter(|need| !need.starts_with('!'));
        let relations = Relations {
            upstream: None,
            requires: requires.map(|need| need.parse().unwrap()).collect(),
            conflicts: conflicts.map(|name| name.parse().unwrap()).collect(),
        };
        (version(number), relations)
    };
    let mut situation = Situation {
        component: ComponentName::Named(name.to_owned()),
        provides: vec![name.to_owned()],
        ..situation(&Case { link: "-", ..EMPTY })
    };
    situation.transfers = vec![transfer_state(name, &Case { link: "-", ..EMPTY })];
    let installed = head[name.len()..].trim();
    let (installed, request) = match installed.split_once('=') {
        Some((installed, request)) => (installed.trim(), Some(request.trim())),
        None => (installed, None),
    };
    situation.wanted = request.map_or(Wanted::Newest, |request| Wanted::Exactly(version(request)));
    let installed = match installed.strip_suffix("hold") {
        Some(installed) => {
            situation.hold = Hold::Held;
            installed.trim()
        }
        None => installed,
    };
    if !installed.is_empty() {
        let (number, relations) = related(installed);
        let link = PathBuf::from(format!("/extensions/{name}.raw"));
        situation.transfers[0].local = locals(name, number.as_str(), "", State::Installed);
        situation.transfers[0].active = Active::Linked { link, version: Some(number.clone()) };
        situation.record.installed = vec![InstalledVersion { version: number, relations, files: Vec::new() }];
    }
    let offered = offered.split(';').map(str::trim).filter(|text| !text.is_empty()).map(|text| {
        let (number, relations) = related(text);
        let offer = Offer {
            files: vec![Some(source(name, number.as_str()))],
            relations,
            malformed: None,
            unread: None,
            withdrawn: None,
            health: Vec::new(),
        };
        (number, offer)
    });
    situation.offers = Offers::Known(offered.collect());
    situation
}

/// An extension that no run changes, as `NAME` or `NAME VERSION`.
fn other(text: &str) -> OtherExtension {
    let (name, number) =
        text.split_once(' ').map_or((text, None), |(name, text)| (name, Some(version(text))));
    let installed = Related { version: number, relations: Relations::default() };
    OtherExtension { label: name.to_owned(), provides: vec![name.to_owned()], installed }
}

fn survey(components: &[&str], others: &[&str]) -> Survey {
    Survey {
        goal: Goal::Update,
        components: components.iter().map(|text| component(text)).collect(),
        others: others.iter().map(|text| other(text)).collect(),
    }
}

/// The plan without its files, each component on one line.
fn planned(survey: &Survey) -> Vec<String> {
    let plan = super::super::plan(survey);
    let lines = plan.components.iter().map(|component| {
        let text = component.to_string();
        let lines = text.lines().filter(|line| !line.starts_with("  get") && !line.starts_with("    as"));
        lines.map(str::trim).collect::<Vec<_>>().join("; ")
    });
    lines.collect()
}

struct Row {
    what: &'static str,
    components: &'static [&'static str],
    others: &'static [&'static str],
    expected: &'static [&'static str],
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row {
        what: "missing",
        components: &["a 1 | 2[b >=1]"],
        others: &[],
        expected: &["a: keep 1: no newer version is eligible; skipped 2: requires b >=1, which is neither installed nor available"],
    },
    Row {
        what: "missing, and an older version does without",
        components: &["a 1 | 2; 3[b]"],
        others: &[],
        expected: &["a: install 2 (now 1); skipped 3: requires b, which is neither installed nor available"],
    },
    Row {
        what: "too old",
        components: &["a 1 | 2[b >=2]", "b 1 | 1"],
        others: &[],
        expected: &[
            "a: keep 1: no newer version is eligible; skipped 2: requires b >=2, but b 1 is installed",
            "b: keep 1: no newer version is eligible",
        ],
    },
    Row {
        what: "still too old after this run",
        components: &["a 1 | 2[b >=3]", "b 1 | 2"],
        others: &[],
        expected: &[
            "a: keep 1: no newer version is eligible; skipped 2: requires b >=3, but this run installs b 2",
            "b: install 2 (now 1)",
        ],
    },
    Row {
        what: "satisfied by what is installed",
        components: &["a 1 | 2[b >=1]", "b 1 | 1"],
        others: &[],
        expected: &["a: install 2 (now 1); requires b >=1: b 1 is installed", "b: keep 1: no newer version is eligible"],
    },
    Row {
        what: "satisfied by what this run installs",
        components: &["a 1 | 2[b >=2]", "b 1 | 2"],
        others: &[],
        expected: &["a: install 2 (now 1); requires b >=2: this run installs b 2", "b: install 2 (now 1)"],
    },
    Row {
        what: "satisfied by a component that this run installs for the first time",
        components: &["a 1 | 2[b]", "b | 1"],
        others: &[],
        expected: &["a: install 2 (now 1); requires b: this run installs b 1", "b: install 1"],
    },
    Row {
        what: "satisfied by a component that this run does not change",
        components: &["a 1 | 2[b >=1.5]"],
        others: &["b 1.7"],
        expected: &["a: install 2 (now 1); requires b >=1.5: b 1.7 is installed"],
    },
    Row {
        what: "satisfied by an extension that was placed by hand",
        components: &["a 1 | 2[b]"],
        others: &["b"],
        expected: &["a: install 2 (now 1); requires b: b is installed"],
    },
    Row {
        what: "the version of an extension that was placed by hand is unknown",
        components: &["a 1 | 2[b >=1]"],
        others: &["b"],
        expected: &["a: keep 1: no newer version is eligible; skipped 2: requires b >=1, but the version that is installed is unknown"],
    },
    Row {
        what: "held by a dependent",
        components: &["a 1[b <2] | 1", "b 1 | 1.9; 2"],
        others: &[],
        expected: &["a: keep 1: no newer version is eligible", "b: install 1.9 (now 1); skipped 2: held by a 1, which requires b <2"],
    },
    Row {
        what: "held by a dependent whose newer version is on hold",
        components: &["a 1[b <2] hold | 2[b >=2]", "b 1 | 2"],
        others: &[],
        expected: &["a: keep 1: on hold; 2 is available", "b: keep 1: no newer version is eligible; skipped 2: held by a 1, which requires b <2"],
    },
    Row {
        what: "a dependent moves along",
        components: &["a 1[b <2] | 2[b >=2]", "b 1 | 2"],
        others: &[],
        expected: &["a: install 2 (now 1); requires b >=2: this run installs b 2", "b: install 2 (now 1)"],
    },
    Row {
        what: "a dependent cannot move along, so that both stay",
        components: &["a 1[b <2] | 2[b >=2, c]", "b 1 | 2"],
        others: &[],
        expected: &[
            "a: keep 1: no newer version is eligible; skipped 2: requires c, which is neither installed nor available",
            "b: keep 1: no newer version is eligible; skipped 2: held by a 1, which requires b <2",
        ],
    },
    Row {
        what: "held by the new version of a dependent",
        components: &["a 1 | 2[b <2]", "b 1 | 1.5; 2"],
        others: &[],
        expected: &[
            "a: install 2 (now 1); requires b <2: this run installs b 1.5",
            "b: install 1.5 (now 1); skipped 2: held by a 2, which requires b <2",
        ],
    },
    Row {
        what: "what is not met anyway holds nobody",
        components: &["a 1[b <1] | 1", "b 1 | 2"],
        others: &[],
        expected: &["a: keep 1: no newer version is eligible", "b: install 2 (now 1)"],
    },
    Row {
        what: "cycle",
        components: &["a 1[b <2] | 2[b >=2]", "b 1[a <2] | 2[a >=2]"],
        others: &[],
        expected: &[
            "a: install 2 (now 1); requires b >=2: this run installs b 2",
            "b: install 2 (now 1); requires a >=2: this run installs a 2",
        ],
    },
    Row {
        what: "cycle of two that are new",
        components: &["a | 1[b]", "b | 1[a]"],
        others: &[],
        expected: &["a: install 1; requires b: this run installs b 1", "b: install 1; requires a: this run installs a 1"],
    },
    Row {
        what: "cycle that lacks something",
        components: &["a 1 | 2[b >=2]", "b 1 | 2[a >=2, c]"],
        others: &[],
        expected: &[
            "a: keep 1: no newer version is eligible; skipped 2: requires b >=2, but b 1 is installed",
            "b: keep 1: no newer version is eligible; skipped 2: requires c, which is neither installed nor available",
        ],
    },
    Row {
        what: "two that exclude each other: the first one wins",
        components: &["a | 1[!b]", "b | 1[!a]"],
        others: &[],
        expected: &["a: install 1", "b: keep nothing: no eligible version is available; skipped 1: conflicts with a 1"],
    },
    Row {
        what: "two of which only the second one knows the conflict",
        components: &["a | 1", "b | 1[!a]"],
        others: &[],
        expected: &["a: install 1", "b: keep nothing: no eligible version is available; skipped 1: conflicts with a 1"],
    },
    Row {
        what: "two that exclude each other: the requested one wins",
        components: &["a | 1[!b]", "b =1 | 1"],
        others: &[],
        expected: &["a: keep nothing: no eligible version is available; skipped 1: conflicts with b 1", "b: install 1"],
    },
    Row {
        what: "conflict with what is installed",
        components: &["a 1 | 2[!b]", "b 1 | 2"],
        others: &[],
        expected: &["a: keep 1: no newer version is eligible; skipped 2: conflicts with b 2", "b: install 2 (now 1)"],
    },
    Row {
        what: "what is installed conflicts with a new one",
        components: &["a 1[!b] | 1", "b | 1"],
        others: &[],
        expected: &["a: keep 1: no newer version is eligible", "b: keep nothing: no eligible version is available; skipped 1: conflicts with a 1"],
    },
    Row {
        what: "conflict with an extension that was placed by hand",
        components: &["a | 1[!b]"],
        others: &["b"],
        expected: &["a: keep nothing: no eligible version is available; skipped 1: conflicts with b"],
    },
    Row {
        what: "a conflict that is there already changes nothing else",
        components: &["a 1[!b] | 1", "b 1 | 2"],
        others: &[],
        expected: &["a: keep 1: no newer version is eligible", "b: install 2 (now 1)"],
    },
    Row {
        what: "requested, and its requirement is missing",
        components: &["a 1 =2 | 2[b]"],
        others: &[],
        expected: &["a: cannot use 2: requires b, which is neither installed nor available"],
    },
    Row {
        what: "requested, and held by a dependent",
        components: &["a 1[b <2] | 1", "b 1 =2 | 2"],
        others: &[],
        expected: &["a: keep 1: no newer version is eligible", "b: cannot use 2: held by a 1, which requires b <2"],
    },
    Row {
        what: "requested, so that a new version of a dependent yields",
        components: &["a 1 | 2[b <2]", "b 1 =2 | 2"],
        others: &[],
        expected: &["a: keep 1: no newer version is eligible; skipped 2: requires b <2, but this run installs b 2", "b: install 2 (now 1)"],
    },
    Row {
        what: "a chain",
        components: &["a 1 | 2[b >=2]", "b 1 | 2[c >=2]", "c 1 | 2"],
        others: &[],
        expected: &[
            "a: install 2 (now 1); requires b >=2: this run installs b 2",
            "b: install 2 (now 1); requires c >=2: this run installs c 2",
            "c: install 2 (now 1)",
        ],
    },
    Row {
        what: "a requirement of the extension on itself",
        components: &["a | 1[a >=1, !a]"],
        others: &[],
        expected: &["a: install 1; requires a >=1: this run installs a 1"],
    },
];

#[test]
fn the_table_of_requirements_and_conflicts() {
    for Row { what, components, others, expected } in TABLE {
        assert_eq!(planned(&survey(components, others)), *expected, "{what}");
    }
}

#[test]
fn the_operators_requirements_count_for_every_version() {
    let mut survey = survey(&["a | 1; 2"], &[]);
    survey.components[0].requires = vec!["b".parse().unwrap()];
    let missing = "requires b, which is neither installed nor available";
    let expected = format!(
        "a: keep nothing: no eligible version is available; skipped 2: {missing}; skipped 1: {missing}"
    );
    assert_eq!(planned(&survey), [expected]);
}

#[test]
fn requirements_are_compared_with_the_upstream_version() {
    let mut survey = survey(&["a | 1[b >=1.7, !c]", "b | k-7"], &[]);
    let Offers::Known(offers) = &mut survey.components[1].offers else { panic!("no offers") };
    offers.values_mut().for_each(|offer| offer.relations.upstream = Some("1.7.2".to_owned()));
    assert_eq!(planned(&survey)[0], "a: install 1; requires b >=1.7: this run installs b k-7");
}

fn reliances(components: &[&str]) -> Vec<String> {
    let plan = super::super::plan(&survey(components, &[]));
    let each = plan.components.iter().map(|component| {
        let relies_on = component.relies_on.iter().map(|(name, version)| format!("{name} {version}"));
        format!("{}: {}", component.component, relies_on.collect::<Vec<_>>().join(", "))
    });
    each.collect()
}

#[test]
fn a_plan_says_which_changes_rely_on_which() {
    assert_eq!(reliances(&["a 1 | 2[b >=2]", "b 1 | 2"]), ["a: b 2", "b: "]);
    assert_eq!(reliances(&["a 1 | 2[b >=1]", "b 1 | 2"]), ["a: ", "b: "], "either version of b will do");
    assert_eq!(reliances(&["a 1[b <2] | 2", "b 1 | 2"]), ["a: ", "b: a 2"], "b must not break a 1");
    assert_eq!(reliances(&["a 1[b <2] | 2[b >=2]", "b 1 | 2"]), ["a: b 2", "b: a 2"]);
    let chain = ["a 1 | 2[b >=2]", "b 1 | 2[c >=2]", "c 1 | 2"];
    assert_eq!(reliances(&chain), ["a: b 2, c 2", "b: c 2", "c: "]);
}

#[test]
fn a_trial_is_rolled_back_without_what_it_relies_on() {
    let trial = |relies_on: &str, stage| Trial {
        version: version("2"),
        previous: Some(version("1")),
        sha256: Vec::new(),
        health: Vec::new(),
        relies_on: optional(relies_on)
            .map(|version| (ComponentName::Named("b".to_owned()), version))
            .into_iter()
            .collect(),
        stage,
    };
    let found = |others: Option<Stage>, active: &str| {
        let mut survey = survey(&["a 2 | ", &format!("b {active} | ")], &[]);
        survey.goal = Goal::Recover;
        survey.components[0].record.trial = Some(trial("2", Stage::Checking));
        survey.components[1].record.trial = others.map(|stage| trial("", stage));
        planned(&survey)
    };
    let together = "a: check 2, activated by an interrupted run";
    let alone = "a: finish the rollback from 2 to 1: it relies on b 2, which is not in use";
    assert_eq!(found(None, "2"), [together]);
    assert_eq!(found(None, "1"), [alone]);
    assert_eq!(found(Some(Stage::Checking), "2")[0], together);
    assert_eq!(found(Some(Stage::RollingBack), "2")[0], alone);
    assert_eq!(found(Some(Stage::Checking), "1")[0], alone, "the files of b are gone");
}

#[test]
fn long_catalogs_with_requirements_are_planned_in_seconds() {
    let many = |other: &str| {
        (0..2000).map(|minor| format!("2.{minor}[{other} =3.{minor}]")).collect::<Vec<_>>().join(";")
    };
    let begin = processor_time();
    let components = [format!("a 1 | {}", many("b")), format!("b 1 | {}", many("a"))];
    let plan = super::super::plan(&survey(&components.each_ref().map(String::as_str), &[]));
    assert!(plan.components.iter().all(|each| matches!(each.decision, Decision::Keep { .. })), "{plan}");
    let took = processor_time() - begin;
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}

#[test]
fn json_names_the_obstacle() {
    let plan = super::super::plan(&survey(&["a 1 | 2[b >=2]", "b 1 | 1"], &[]));
    let json = serde_json::to_value(plan).unwrap();
    let expected = serde_json::json!({
        "reason": "requires", "requirement": "b >=2",
        "obstacle": "version", "by": "b", "version": "1", "changed": false,
    });
    assert_eq!(json["components"][0]["skipped"][0]["objections"][0], expected);
}
