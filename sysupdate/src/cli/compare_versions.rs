//! `compare-versions`: which of two versions is newer. Output and exit statuses are those of systemd-analyze.

use std::cmp::Ordering;

use serde::Serialize;
use sysext_manifests::version::compare;

use super::{Context, Status};
use crate::failure::Failure;

/// The exit status if the first version is newer, as in `rpmdev-vercmp`.
const FIRST_NEWER: u8 = 11;

/// The exit status if the second version is newer.
const SECOND_NEWER: u8 = 12;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A version
    #[arg(allow_hyphen_values = true)]
    first: String,
    /// Another version, or an operator: lt le eq ne ge gt, < <= == != >= > =
    #[arg(allow_hyphen_values = true)]
    second: String,
    /// The other version, after an operator
    #[arg(allow_hyphen_values = true)]
    third: Option<String>,
}

/// The order of two versions.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Comparison<'a> {
    first: &'a str,
    second: &'a str,
    /// `<`, `==` or `>`.
    order: &'static str,
}

/// Whether a comparison is true.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct ComparisonResult {
    holds: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Status, Failure> {
        let Some(third) = self.third else {
            let order = compare(&self.first, &self.second);
            let comparison = Comparison::new(order, &self.first, &self.second);
            context.print(&comparison, || comparison.text())?;
            return Ok(match order {
                Ordering::Equal => Status::Success,
                Ordering::Greater => Status::Code(FIRST_NEWER),
                Ordering::Less => Status::Code(SECOND_NEWER),
            });
        };
        let Some(operator) = operator(&self.second) else {
            return Err(Failure {
                error: format!("Unknown operator \"{}\".", self.second),
                hint: Some("operators are lt le eq ne ge gt, and < <= == != >= > =".to_owned()),
            });
        };
        let holds = operator(compare(&self.first, &third));
        context.print(&ComparisonResult { holds }, String::new)?;
        Ok(if holds { Status::Success } else { Status::Failure })
    }
}

impl<'a> Comparison<'a> {
    fn new(order: Ordering, first: &'a str, second: &'a str) -> Self {
        let order = match order {
            Ordering::Less => "<",
            Ordering::Equal => "==",
            Ordering::Greater => ">",
        };
        Self { first, second, order }
    }

    fn text(&self) -> String {
        format!("{} {} {}\n", quoted(self.first), self.order, quoted(self.second))
    }
}

/// An empty version would be invisible.
fn quoted(version: &str) -> &str {
    if version.is_empty() { "''" } else { version }
}

/// The condition of an operator.
fn operator(operator: &str) -> Option<fn(Ordering) -> bool> {
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
    fn prints_the_line_of_systemd_analyze() {
        let line = |first: &str, second: &str| Comparison::new(compare(first, second), first, second).text();
        assert_eq!(line("1", "2"), "1 < 2\n");
        assert_eq!(line("1_", "1"), "1_ == 1\n");
        assert_eq!(line("1.32.10", "1.32.9"), "1.32.10 > 1.32.9\n");
        assert_eq!(line("", "~"), "'' > ~\n");
    }

    #[test]
    fn operators_compare() {
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
        for (name, answers) in table {
            let holds = operator(name).unwrap();
            let found = [Ordering::Less, Ordering::Equal, Ordering::Greater].map(holds);
            assert_eq!(found, answers, "{name}");
        }
        assert!(operator("LT").is_none() && operator("").is_none());
    }
}
