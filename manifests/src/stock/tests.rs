//! Situations that were set up for systemd 262 by hand, with its answers.

use super::*;
use crate::update_set::{Instances, update_sets};

/// The versions of one transfer, separated by spaces; `>` marks a pending and `~>` a partial one.
#[derive(Default, Clone, Copy)]
struct Case {
    here: &'static str,
    offered: &'static str,
    minimum: &'static str,
    protected: &'static str,
}

fn versions(text: &str) -> Vec<Version> {
    text.split_whitespace().map(|text| text.trim_start_matches(['>', '~']).parse().unwrap()).collect()
}

/// `current | candidate | each version with its flags`, for two transfers.
fn answer(cases: [Case; 2]) -> String {
    let owned = cases.map(|case| {
        let words = case.here.split_whitespace();
        let states: Vec<State> = words
            .map(|text| match text {
                _ if text.starts_with("~>") => State::Partial,
                _ if text.starts_with('>') => State::Pending,
                _ => State::Installed,
            })
            .collect();
        (
            versions(case.here),
            states,
            versions(case.offered),
            versions(case.minimum),
            versions(case.protected),
        )
    });
    let transfers = owned.each_ref().map(|(here, states, offered, minimum, protected)| Instances {
        minimum: minimum.first(),
        protected,
        local: here.iter().zip(states.iter().copied()).collect(),
        offered: offered.iter().collect(),
    });
    let choice = StockChoice::of(&update_sets(&transfers));
    let current = match choice.current() {
        Current::Nothing => "-".to_owned(),
        Current::Installed(version) => version.to_string(),
        Current::Pending(version) => format!(">{version}"),
    };
    let candidate = choice.candidate.as_ref().map_or("-", Version::as_str).to_owned();
    let rows = choice.listed.iter().map(|listed| {
        let flags = [
            ("n", listed.newest),
            ("a", listed.available),
            ("i", listed.installed),
            ("~", listed.partial),
            (">", listed.pending),
            ("o", listed.obsolete),
            ("p", listed.protected),
            ("!", listed.incomplete),
        ];
        let flags: String = flags.iter().filter(|(_, is)| *is).map(|(flag, _)| *flag).collect();
        format!("{}:{flags}", listed.version)
    });
    [current, candidate].into_iter().chain(rows).collect::<Vec<_>>().join(" ")
}

#[test]
fn answers_as_systemd_262() {
    let plain = Case::default();
    let both = |case: Case| [case, case];
    let here = |here, offered| Case { here, offered, ..plain };
    #[rustfmt::skip]
    let table = [
        (both(plain), "- -"),
        (both(here("", "2 1")), "- 2 2:na 1:a"),
        ([here("1", "3 2"), here("1", "2")], "1 2 2:na 1:ni"),
        ([here("1 2", "2"), here("1", "2")], "2 2 2:nai! 1:i"),
        ([here("1 ~>2", "2"), here("1", "2")], "2 2 2:nai~ 1:i"),
        ([here("1 ~>2", "2"), here("1 >2", "2")], ">2 2 2:nai~> 1:i"),
        ([here("1 >2", "2"), here("1 2", "2")], ">2 2 2:nai> 1:i"),
        ([here("1 >2 2", "2"), here("1 2", "2")], "2 - 2:nai 1:i"),
        ([here("01", "1"), here("1", "001")], "01 - 01:nai"),
        ([Case { protected: "02", ..here("2", "02") }, here("2", "2")], "2 - 2:naip"),
        ([Case { protected: "02", ..here("2", "2") }, here("2", "02")], "2 - 2:nai"),
        ([Case { protected: "02", ..here("2", "02") }, here("2", "")], "2 - 2:ni"),
        (both(here("3 2", "2 1")), "3 - 3:ni 2:ai 1:a"),
        (both(here("3", "2 1")), "3 - 3:ni 2:na 1:a"),
        ([Case { minimum: "4", ..here("1", "3 2") }, here("1", "3 2")], "1 - 3:nao 2:ao 1:nio"),
        ([Case { minimum: "3", ..here("1", "3 2") }, here("1", "3 2")], "1 3 3:na 2:ao 1:nio"),
        ([Case { protected: "2", ..here("1", "2") }, Case { protected: "1", ..here("", "2") }], "1 2 2:nap 1:nip!"),
        ([here("1 3", "2"), here("1", "2")], "3 2 3:ni! 2:na 1:i"),
        ([here("1 3", "3"), Case { minimum: "4", ..here("1", "3") }], "3 - 3:naio! 1:io"),
        ([here("1 ~>2", ""), Case { minimum: "4", ..here("1 ~>2", "") }], "2 2 2:ni~o 1:io"),
        (both(here("1 >2", "")), ">2 2 2:ni> 1:i"),
        (both(here("1 >2", "3")), ">2 3 3:na 2:ni> 1:i"),
        ([here("1 >2", ""), here("1", "")], ">2 2 2:ni> 1:i"),
        (both(here("3 >2", "2")), "3 - 3:ni 2:ai>"),
        ([here("1 3", "1"), here("1", "1")], "3 - 3:ni! 1:ai"),
    ];
    for (cases, expected) in table {
        assert_eq!(answer(cases), expected);
    }
}

#[test]
fn does_not_list_a_version_that_a_source_lacks() {
    let version: Version = "1".parse().unwrap();
    let without = Instances { minimum: None, protected: &[], local: Vec::new(), offered: Vec::new() };
    let with = Instances { offered: vec![&version], ..without.clone() };
    let sets = update_sets(&[with, without]);
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0].missing().collect::<Vec<_>>(), [1]);
    assert!(StockChoice::of(&sets).listed.is_empty());
}
