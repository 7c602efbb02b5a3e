//! The output of our `sysupdate` in the same situations, compared with systemd 262. Every difference must have
//! one of the reasons below, and each reason occurs.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sysext_manifests::update_set::UpdateSet;
use tests::peer::{Peer, Shared};
use tests::programs::program;

use crate::situation::Situation;
use crate::{Node, SITUATIONS, STOCK_SYSUPDATE, ask};

const SYSUPDATE: &str = "/opt/ours/sysupdate";

/// Why our output differs on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// `list`: stock's `current` (or `current+pending`) is the newest version of which any file exists, even a
    /// partial one; ours is the active version, which is complete, and the key is always `current`.
    InUse,
    /// `check-new`: stock prints a version that is installed partially and that its sources no longer have
    /// completely; its update then fails, or installs unverified files. Ours skips it.
    NotOffered,
    /// `check-new`: stock requires every file of a version from its sources; ours only the missing ones, and so
    /// it completes a version that stock cannot.
    Completed,
    /// `list VERSION`: stock calls the newest version of its sources a candidate, even if `check-new` prints
    /// none because a newer one is installed; ours follows `check-new`.
    Suppressed,
}

const DIFFERENCES: [Difference; 4] =
    [Difference::InUse, Difference::NotOffered, Difference::Completed, Difference::Suppressed];

pub(crate) fn prints_as_stock() -> Result<()> {
    let program = program("sysupdate")?;
    let ours = program.parent().context("a program is in a directory")?;
    Peer::Sid.enter(&[Shared { host: ours, peer: Path::new("/opt/ours") }])?;
    let node = Node::open()?;
    let mut met = BTreeSet::new();
    let mut same = 0;
    let mut texts = 0;
    for number in 0..SITUATIONS {
        let situation = Situation::generate(number)?;
        if !situation.is_seen_by_262() {
            continue;
        }
        situation.lay_out()?;
        let definitions = situation.root().join("definitions");
        let Some(seen) = node.look(&definitions)? else {
            for program in [STOCK_SYSUPDATE, SYSUPDATE] {
                for asked in [&["list"][..], &["check-new"], &["list", situation.pool[0]]] {
                    let answer = ask(program, &definitions, asked)?;
                    ensure!(answer.is_none(), "{program} {asked:?}: {answer:?} where no transfer is enabled");
                }
            }
            continue;
        };
        let sets = seen.update_sets();
        let answers = |asked: &str| -> Result<[Value; 2]> {
            let answer = |program| ask(program, &definitions, &[asked])?.context("no answer");
            Ok([answer(STOCK_SYSUPDATE)?, answer(SYSUPDATE)?])
        };
        let choices = answers("check-new")?;
        let differences = [listed(&answers("list")?, &sets), chosen(&choices, &sets)];
        let mut agreed = true;
        for difference in differences {
            match difference.with_context(|| format!("{situation:?}"))? {
                None => same += 1,
                Some(difference) => {
                    agreed = false;
                    met.insert(difference);
                }
            }
        }
        for version in situation.pool {
            let choice = agreed.then_some(&choices[0]["available"]);
            let compared = in_full(&definitions, version, choice);
            let (count, difference) = compared.with_context(|| format!("{situation:?}"))?;
            texts += count;
            met.extend(difference);
        }
    }
    ensure!(met == DIFFERENCES.into(), "only these differences are there: {met:?}");
    ensure!(same > SITUATIONS / 2, "only {same} answers are the same");
    ensure!(texts > SITUATIONS, "only {texts} texts were compared");
    Ok(())
}

/// Compares the details of one version: everything that stock prints, we print as well. If both agree on the
/// active version and on this candidate, the state and its sign count too. Returns the number of compared
/// outputs: for some versions stock prints none, because it aborts on an unexpected combination of flags.
fn in_full(definitions: &Path, version: &str, choice: Option<&Value>) -> Result<(u64, Option<Difference>)> {
    let answer = |program| ask(program, definitions, &["list", version]);
    let (stock, ours) = (answer(STOCK_SYSUPDATE)?, answer(SYSUPDATE)?);
    ensure!(stock.is_some() == ours.is_some(), "{version}: stock says {stock:?}, we say {ours:?}");
    for (key, value) in stock.iter().filter_map(Value::as_object).flatten() {
        let ours = ours.as_ref().map(|ours| &ours[key]);
        ensure!(ours == Some(value), "{version}, {key}: stock says {value}, we say {ours:?}");
    }
    let [stock, ours] = [STOCK_SYSUPDATE, SYSUPDATE].map(|program| text(program, definitions, version));
    let (stock, ours) = (stock?, ours?);
    if stock.is_empty() {
        return Ok((0, None));
    }
    let comparable = |text: &str| -> (Vec<String>, Vec<String>) {
        let lines = text.lines().filter(|line| !line.starts_with("   Reason: "));
        let (state, facts): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("    State: "));
        let (sign, first) = facts.first().and_then(|line| line.split_once("Version: ")).unwrap_or_default();
        // Stock uses an emoji for the arrow, which terminals draw with double width.
        let sign = sign.replace('\u{fe0f}', "");
        let facts = [first].into_iter().chain(facts.iter().skip(1).copied());
        let state = [sign].into_iter().chain(state.into_iter().map(str::to_owned));
        (facts.map(str::to_owned).collect(), state.collect())
    };
    let ((facts, state), (our_facts, our_state)) = (comparable(&stock), comparable(&ours));
    ensure!(facts == our_facts, "stock says\n{stock}\nwe say\n{ours}");
    let difference = match choice {
        Some(choice) if state != our_state => {
            let named = stock.contains("    State: candidate\n") && choice.as_str() != Some(version);
            ensure!(named, "stock says\n{stock}\nwe say\n{ours}");
            Some(Difference::Suppressed)
        }
        _ => None,
    };
    Ok((1, difference))
}

/// The output of a program for a version, as text.
fn text(program: &str, definitions: &Path, version: &str) -> Result<String> {
    let definitions = format!("--definitions={}", definitions.display());
    let output = Command::new(program).args([&definitions, "list", version]).output()?;
    String::from_utf8(output.stdout).context("not UTF-8")
}

fn listed([stock, ours]: &[Value; 2], sets: &[UpdateSet]) -> Result<Option<Difference>> {
    for key in ["all", "appstreamUrls"] {
        ensure!(stock[key] == ours[key], "{key}: stock says {}, we say {}", stock[key], ours[key]);
    }
    let whole = sets.iter().find(|set| set.is_installed()).map(|set| set.version.as_str());
    ensure!(ours["current"].as_str() == whole, "{} is in use, not {whole:?}", ours["current"]);
    if stock.get("current") == ours.get("current") {
        return Ok(None);
    }
    let current = stock.get("current+pending").unwrap_or(&stock["current"]);
    match find(sets, current) {
        Some(set) if set.is_local() && !set.is_installed() => Ok(Some(Difference::InUse)),
        _ => bail!("stock says {stock}, we say {ours}"),
    }
}

fn chosen([stock, ours]: &[Value; 2], sets: &[UpdateSet]) -> Result<Option<Difference>> {
    if stock == ours {
        return Ok(None);
    }
    let (theirs, mine) = (find(sets, &stock["available"]), find(sets, &ours["available"]));
    if theirs.is_some_and(|set| set.is_local() && set.missing().next().is_some()) {
        return Ok(Some(Difference::NotOffered));
    }
    if mine.is_some_and(|set| !set.is_available() && set.missing().next().is_none()) {
        return Ok(Some(Difference::Completed));
    }
    bail!("stock says {stock}, we say {ours}")
}

fn find<'a>(sets: &'a [UpdateSet], version: &Value) -> Option<&'a UpdateSet> {
    sets.iter().find(|set| version.as_str() == Some(set.version.as_str()))
}
