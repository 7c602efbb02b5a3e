//! `compare-versions`: which of two versions is newer? Output and exit statuses are systemd-analyze's.

use std::cmp::Ordering;
use std::io::{self, Write as _};
use std::process::ExitCode;

use sysext_manifests::version::compare;

use super::Ended;
use crate::failure::Failure;

/// The exit status if the first version is newer, as `rpmdev-vercmp` has it.
const NEWER: u8 = 11;

/// The exit status if the second version is newer.
const OLDER: u8 = 12;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A version
    #[arg(allow_hyphen_values = true)]
    first: String,
    /// Another version; or what to ask: lt le eq ne ge gt, or < <= == != >= > =
    #[arg(allow_hyphen_values = true)]
    second: String,
    /// The other version, where something was asked
    #[arg(allow_hyphen_values = true)]
    third: Option<String>,
}

impl Args {
    pub(super) fn run(self) -> Result<Ended, Failure> {
        let Some(third) = self.third else {
            let (order, text) = told(&self.first, &self.second);
            writeln!(io::stdout(), "{text}").map_err(|error| Failure {
                error: format!("cannot write to the standard output: {error}"),
                hint: None,
            })?;
            return Ok(match order {
                Ordering::Equal => Ended::Well,
                Ordering::Greater => Ended::With(ExitCode::from(NEWER)),
                Ordering::Less => Ended::With(ExitCode::from(OLDER)),
            });
        };
        let Some(holds) = asked(&self.second) else {
            return Err(Failure {
                error: format!("Unknown operator \"{}\".", self.second),
                hint: Some("operators are lt le eq ne ge gt, or < <= == != >= > =".to_owned()),
            });
        };
        Ok(if holds(compare(&self.first, &third)) { Ended::Well } else { Ended::No })
    }
}

/// The order, and the line that says it.
fn told(first: &str, second: &str) -> (Ordering, String) {
    let order = compare(first, second);
    let sign = match order {
        Ordering::Less => "<",
        Ordering::Equal => "==",
        Ordering::Greater => ">",
    };
    (order, format!("{} {sign} {}", shown(first), shown(second)))
}

/// The empty version would not be seen.
fn shown(version: &str) -> &str {
    if version.is_empty() { "''" } else { version }
}

/// What an operator asks of the order.
fn asked(operator: &str) -> Option<fn(Ordering) -> bool> {
    Some(match operator {
        "lt" | "<" => Ordering::is_lt,
        "le" | "<=" => Ordering::is_le,
        "eq" | "==" | "=" => Ordering::is_eq,
        "ne" | "!=" => Ordering::is_ne,
        "ge" | ">=" => Ordering::is_ge,
        "gt" | ">" => Ordering::is_gt,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_systemds() {
        assert_eq!(told("1", "2"), (Ordering::Less, "1 < 2".to_owned()));
        assert_eq!(told("1_", "1"), (Ordering::Equal, "1_ == 1".to_owned()));
        assert_eq!(told("1.32.10", "1.32.9").1, "1.32.10 > 1.32.9");
        assert_eq!(told("", "~").1, "'' > ~");
    }

    #[test]
    fn operators_ask_what_they_say() {
        let table = [
            ("lt", [true, false, false]),
            ("<", [true, false, false]),
            ("le", [true, true, false]),
            ("<=", [true, true, false]),
            ("eq", [false, true, false]),
            ("==", [false, true, false]),
            ("=", [false, true, false]),
            ("ne", [true, false, true]),
            ("!=", [true, false, true]),
            ("ge", [false, true, true]),
            (">=", [false, true, true]),
            ("gt", [false, false, true]),
            (">", [false, false, true]),
        ];
        for (operator, answers) in table {
            let holds = asked(operator).unwrap();
            let found = [Ordering::Less, Ordering::Equal, Ordering::Greater].map(holds);
            assert_eq!(found, answers, "{operator}");
        }
        assert!(asked("LT").is_none() && asked("").is_none());
    }
}
