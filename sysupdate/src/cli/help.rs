//! The parts of the help that belong to more than one verb: examples, exit statuses, and which options a verb
//! uses.

use clap::builder::{StyledStr, Styles};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::failure::Failure;

/// The exit statuses of every verb without others of its own.
const EXIT_STATUS: &str = "  0  success\n  1  failure: at least one error was reported\n";

/// What the help of a verb adds to its arguments.
struct Extra {
    verb: &'static str,
    /// The options it uses, beside those of every verb.
    options: &'static [&'static str],
    /// Whether systemd-sysupdate has it, which accepts every option.
    stock: bool,
    /// Its exit statuses where they are not those of every verb.
    status: Option<&'static str>,
    examples: &'static [(&'static str, &'static str)],
}

/// The options that every verb uses.
const EVERYWHERE: &[&str] = &["root", "json", "quiet", "verbose", "help", "version"];

const EXTRAS: &[Extra] = &[
    Extra {
        verb: "list",
        stock: true,
        options: &["component", "component_all", "definitions", "verify", "offline", "no_legend"],
        status: None,
        examples: &[
            ("sysupdate -C kubernetes list", "all versions of one component"),
            ("sysupdate -C kubernetes list 1.32.3", "the files of one version"),
            ("sysupdate -A list --json=pretty", "all components, as JSON"),
        ],
    },
    Extra {
        verb: "check-new",
        stock: true,
        options: &["component", "definitions", "verify", "offline"],
        status: Some(
            "\
\x20 0  a newer version is available; it is printed
  1  there is none, or at least one error was reported
",
        ),
        examples: &[("sysupdate -C kubernetes check-new", "print the version that `update` would install")],
    },
    Extra {
        verb: "plan",
        stock: false,
        options: &["component", "component_all", "definitions", "verify", "instances_max", "offline"],
        status: None,
        examples: &[
            ("sysupdate -A plan", "what the next update of all components does"),
            ("sysupdate -C kubernetes plan 1.31.7", "what a downgrade would do"),
        ],
    },
    Extra {
        verb: "update",
        stock: true,
        options: &["component", "component_all", "definitions", "verify", "instances_max", "sync", "cleanup"],
        status: Some(
            "\
\x20 0  every component is up to date, or was updated and is healthy
  1  an update failed or was rolled back; other components were still updated
",
        ),
        examples: &[
            ("sysupdate -A update", "update all components"),
            ("sysupdate -C kubernetes update 1.31.7", "install a specific version, even an older one"),
        ],
    },
    Extra {
        verb: "acquire",
        stock: true,
        options: &["component", "component_all", "definitions", "verify", "instances_max", "sync", "cleanup"],
        status: None,
        examples: &[("sysupdate -A acquire", "download now, so that `update` needs little time")],
    },
    Extra {
        verb: "vacuum",
        stock: true,
        options: &["component", "definitions", "instances_max"],
        status: None,
        examples: &[("sysupdate -C kubernetes vacuum -m 1", "keep the active version only")],
    },
    Extra {
        verb: "retry",
        stock: false,
        options: &[],
        status: None,
        examples: &[("sysupdate retry kubernetes 1.32.3", "the next update may install 1.32.3 again")],
    },
    Extra {
        verb: "remove",
        stock: false,
        options: &[],
        status: None,
        examples: &[(
            "rm -r /etc/sysupdate.kubernetes.d && sysupdate remove kubernetes",
            "stop using an extension",
        )],
    },
    Extra {
        verb: "sysext",
        stock: false,
        options: &[],
        status: None,
        examples: &[
            ("sysupdate sysext", "show what is merged"),
            ("sysupdate sysext refresh", "merge after a change of /var/lib/extensions"),
        ],
    },
    Extra {
        verb: "trust",
        stock: false,
        options: &[],
        status: None,
        examples: &[("sysupdate trust show example", "show the keys and the last catalog of a repository")],
    },
    Extra {
        verb: "features",
        stock: true,
        options: &["component", "definitions", "no_legend"],
        status: None,
        examples: &[("sysupdate -C tools features", "list the features of a component")],
    },
    Extra {
        verb: "enable-feature",
        stock: true,
        options: &["component", "component_all", "feature_all", "feature_suggested"],
        status: None,
        examples: &[("sysupdate -C tools enable-feature devel", "enable one feature")],
    },
    Extra {
        verb: "disable-feature",
        stock: true,
        options: &["component", "component_all", "feature_all", "feature_suggested"],
        status: None,
        examples: &[("sysupdate -C tools disable-feature devel", "disable one feature")],
    },
    Extra {
        verb: "components",
        stock: true,
        options: &["component", "no_legend"],
        status: None,
        examples: &[("sysupdate components", "list all components")],
    },
    Extra {
        verb: "enable-component",
        stock: true,
        options: &["component", "component_all", "component_suggested"],
        status: None,
        examples: &[("sysupdate enable-component kubernetes", "enable one component")],
    },
    Extra {
        verb: "disable-component",
        stock: true,
        options: &["component", "component_all", "component_suggested"],
        status: None,
        examples: &[("sysupdate disable-component kubernetes", "disable one component")],
    },
    Extra {
        verb: "compare-versions",
        stock: false,
        options: &[],
        status: Some(
            "\
\x20 0   the versions are equal, or the comparison is true
  1   the comparison is false, or at least one error was reported
  11  the first version is newer
  12  the second version is newer
",
        ),
        examples: &[
            ("sysupdate compare-versions 1.32.10 1.32.9", "prints 1.32.10 > 1.32.9"),
            ("sysupdate compare-versions 1.32.10 ge 1.32.9", "for scripts"),
        ],
    },
];

/// Adds examples and exit statuses, and hides options in the help of verbs that do not use them.
pub(super) fn complete(command: Command) -> Command {
    let options: Vec<Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let command = command.after_help(exit_status(EXIT_STATUS));
    EXTRAS.iter().fold(command, |command, extra| {
        command.mut_subcommand(extra.verb, |verb| {
            let unused = options.iter().filter(|option| {
                let id = option.get_id().as_str();
                !EVERYWHERE.contains(&id) && !extra.options.contains(&id)
            });
            // An option of the same name keeps the shown one from being inherited.
            let hidden = unused.map(|option| option.clone().hide(true));
            let verb = verb.args(hidden).after_help(after_help(extra));
            verb.mut_subcommands(|verb| verb.after_help(exit_status(EXIT_STATUS)))
        })
    })
}

/// Refuses options that one of our own verbs does not use.
pub(super) fn check(matches: &ArgMatches) -> Result<(), Failure> {
    let extra = EXTRAS.iter().find(|extra| Some(extra.verb) == matches.subcommand_name());
    let Some(extra) = extra.filter(|extra| !extra.stock) else { return Ok(()) };
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let unused = EXTRAS.iter().flat_map(|extra| extra.options).copied();
    // Headings are omitted where there are none.
    let unused = unused.filter(|option| !extra.options.contains(option) && *option != "no_legend");
    match unused.into_iter().find(|option| given(option)) {
        None => Ok(()),
        Some(option) => Err(Failure {
            error: format!("--{} is not supported for '{}'", option.replace('_', "-"), extra.verb),
            hint: None,
        }),
    }
}

fn after_help(extra: &Extra) -> StyledStr {
    let width = extra.examples.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let examples = extra.examples.iter().map(|(command, what)| format!("  {command:width$}  # {what}\n"));
    let examples: String = examples.collect();
    let heading = heading("Examples");
    format!("{heading}\n{examples}\n{}", exit_status(extra.status.unwrap_or(EXIT_STATUS))).into()
}

fn exit_status(status: &str) -> String {
    format!("{}\n{status}", heading("Exit status"))
}

/// A heading like those of clap.
fn heading(text: &str) -> String {
    let style = Styles::default();
    let style = style.get_header();
    format!("{style}{text}:{style:#}")
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_verb_has_examples_and_known_options() {
        let command = command();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let extra = EXTRAS.iter().find(|extra| extra.verb == verb.get_name());
            let extra = extra.unwrap_or_else(|| panic!("{} has no examples", verb.get_name()));
            for option in extra.options {
                assert!(command.get_arguments().any(|arg| arg.get_id() == *option), "{option}");
            }
        }
    }

    #[test]
    fn options_of_a_verb_are_found_wherever_they_stand() {
        for line in [["sysupdate", "-m", "3", "vacuum"], ["sysupdate", "vacuum", "-m", "3"]] {
            let matches = command().try_get_matches_from(line).unwrap();
            assert_eq!(matches.get_one::<u64>("instances_max"), Some(&3), "{line:?}");
        }
    }

    #[test]
    fn own_verbs_refuse_options_that_they_do_not_use() {
        let check = |line: &[&str]| check(&command().try_get_matches_from(line).unwrap());
        for line in [["sysupdate", "-m", "3", "trust"], ["sysupdate", "trust", "-m", "3"]] {
            let failure = check(&line).unwrap_err();
            assert_eq!(failure.error, "--instances-max is not supported for 'trust'");
        }
        check(&["sysupdate", "-m", "3", "check-new"]).unwrap();
        check(&["sysupdate", "trust", "--root", "/", "--json"]).unwrap();
    }
}
