//! The verbs and options in `--help` of the real systemd-sysupdate, compared with the tables in
//! `docs/compatibility.md`, and these with our `sysupdate`: it supports what the page says, and rejects the
//! rest by name.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode, Output};

use anyhow::{Context as _, Result, ensure};
use tests::needs::{Need, Suite};
use tests::peer::{self, Peer};
use tests::programs::program;
use tests::workspace;

const STOCK: &str = "/usr/lib/systemd/systemd-sysupdate";

/// The page.
const PAGE: &str = "docs/compatibility.md";

/// Options with a value, and a value to try.
const VALUES: [(&str, &str); 11] = [
    ("--component=", "x"),
    ("--definitions=", "/srv"),
    ("--root=", "/"),
    ("--image=", "/srv/disk.raw"),
    ("--image-policy=", "*"),
    ("--transfer-source=", "/srv"),
    ("--instances-max=", "3"),
    ("--sync=", "no"),
    ("--verify=", "no"),
    ("--cleanup=", "yes"),
    ("--json=", "short"),
];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for peer in Peer::ALL {
        let name = format!("peer_systemd_{}_has_the_documented_verbs_and_options", peer.systemd());
        suite.isolated(&name, &[Need::Peer(peer)], move || is_on_the_page(peer));
    }
    suite.trial("cli_verbs_and_options_are_supported_as_documented", &[], is_as_the_page_says);
    suite.run()
}

/// A row of a table.
struct Row {
    /// Whether 257 and 262 have it.
    stock: [bool; 2],
    taken: bool,
}

/// The rows of both tables.
fn rows() -> Result<BTreeMap<String, Row>> {
    let text = fs::read_to_string(workspace::root().join(PAGE)).context(PAGE)?;
    let mut rows = BTreeMap::new();
    let mut inside = false;
    for line in text.lines() {
        inside =
            line.starts_with("| verb |") || line.starts_with("| option |") || inside && line.starts_with('|');
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", name, old, new, here, ""] = cells[..] else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).filter(|_| inside)
        else {
            continue;
        };
        let yes = |cell: &str| -> Result<bool> {
            let word = cell.split([',', ':', ';']).next().unwrap_or_default();
            ensure!(["yes", "no"].contains(&word), "{name}: {cell:?} is neither yes nor no");
            Ok(word == "yes")
        };
        let row = Row { stock: [yes(old)?, yes(new)?], taken: yes(here)? };
        ensure!(rows.insert(name.to_owned(), row).is_none(), "{name} twice");
    }
    Ok(rows)
}

fn is_on_the_page(peer: Peer) -> Result<()> {
    let rows = rows()?;
    peer.enter(&[])?;
    let help = peer::run(STOCK, &["--help"])?;
    let there = named(&help);
    ensure!(there.len() > 20, "{there:?}");
    let column = Peer::ALL.iter().position(|each| *each == peer).context("a peer is one of all")?;
    let on_page: Vec<_> =
        rows.iter().filter(|(_, row)| row.stock[column]).map(|(name, _)| name.clone()).collect();
    ensure!(on_page == there, "the page has {on_page:?}, stock {there:?}");
    Ok(())
}

/// The verbs and options in a help text, sorted.
fn named(help: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut section = "";
    for line in help.lines() {
        if let Some(title) = line.strip_suffix(':') {
            section = title;
        }
        let indent = line.len() - line.trim_start().len();
        // In 257 some options are listed with the verbs.
        let option = line.split_whitespace().find(|word| word.starts_with("--"));
        // The arguments of a long verb are on a separate line, and a description may continue there.
        let verb = line.split_whitespace().next().filter(|_| section == "Commands" && indent == 2);
        let Some(word) = option.filter(|_| indent <= 5).or(verb) else { continue };
        let word = word.trim_matches(['[', ']']);
        names.push(match word.split_once('=') {
            Some((name, _)) => format!("{name}="),
            None => word.to_owned(),
        });
    }
    names.sort();
    names
}

fn is_as_the_page_says() -> Result<()> {
    let root = tempfile::tempdir()?;
    let ours = program("sysupdate")?;
    let run = |arguments: &[&str]| -> Result<Output> {
        let mut command = Command::new(&ours);
        if !arguments.iter().any(|argument| argument.starts_with("--root=")) {
            command.arg("--root").arg(root.path());
        }
        Ok(command.args(arguments).output()?)
    };
    let rows = rows()?;
    for (name, row) in &rows {
        let value = VALUES.iter().find(|(option, _)| option == name).map(|(_, value)| *value);
        ensure!(value.is_some() == name.ends_with('='), "{name} needs a value to try");
        let given = format!("{name}{}", value.unwrap_or_default());
        let seen = match name.starts_with("--") {
            // On an empty root, `check-new` complains about the missing definitions only.
            true => run(&[&given, "check-new"])?,
            false if row.taken => run(&[&given, "--help"])?,
            false => run(&[&given])?,
        };
        let words = String::from_utf8_lossy(&seen.stderr);
        for unknown in ["unexpected argument", "unrecognized subcommand"] {
            ensure!(!words.contains(unknown), "{name}: {words}");
        }
        let refused = words.contains(&format!("{name} is not supported: "))
            || words.contains(&format!("'{name}' is not supported: "));
        ensure!(refused != row.taken, "{name}: {words}");
        ensure!(row.taken || seen.status.code() == Some(1), "{name}: {}", seen.status);
    }
    ensure!(run(&["list", "-m", "3"])?.stderr == run(&["list"])?.stderr, "-m");
    for verb in ["update", "acquire"] {
        let seen = run(&[verb, "--offline"])?;
        let words = String::from_utf8_lossy(&seen.stderr);
        ensure!(words.contains("--offline is not supported for") && !seen.status.success(), "{words}");
    }
    let seen = run(&["update", "--cleanup=yes"])?;
    ensure!(String::from_utf8_lossy(&seen.stderr).contains("warning: --cleanup=yes is ignored"), "{seen:?}");
    ensure!(rows.len() > 30, "only {} rows", rows.len());
    Ok(())
}
