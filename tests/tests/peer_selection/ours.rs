//! What our `sysupdate` prints in the same situations, beside what systemd 262 prints. Where they differ,
//! one of the reasons below must hold; there is no other difference, and each occurs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sysext_manifests::selection::UpdateSet;
use tests::peer::{Peer, Shared};
use tests::programs::program;

use crate::situation::Situation;
use crate::{Node, SITUATIONS, STOCK_SYSUPDATE, ask};

const SYSUPDATE: &str = "/opt/ours/sysupdate";

/// Why ours answers something else, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// `list`: stock's `current` (or `current+pending`) is the newest version of which anything is here,
    /// be it one file begun; ours is the one in use, which is here whole, and the key is always `current`.
    InUse,
    /// `check-new`: stock names a version that is here in parts and that its sources no longer have whole,
    /// and its update then ends in an error or installs what nobody vouches for; ours passes over it.
    NotOffered,
    /// `check-new`: stock asks every source for every file of a version; ours only for those that are not
    /// installed, and so completes a version that stock cannot.
    Completed,
}

const DIFFERENCES: [Difference; 3] = [Difference::InUse, Difference::NotOffered, Difference::Completed];

pub(crate) fn prints_as_stock() -> Result<()> {
    let program = program("sysupdate")?;
    let ours = program.parent().context("a program is in a directory")?;
    Peer::Sid.enter(&[Shared { host: ours, peer: Path::new("/opt/ours") }])?;
    let node = Node::open()?;
    let mut met = BTreeSet::new();
    let mut same = 0;
    for number in 0..SITUATIONS {
        let situation = Situation::generate(number)?;
        if !situation.is_seen_by_262() {
            continue;
        }
        situation.lay_out()?;
        let definitions = situation.root().join("definitions");
        let sets = node.look(&definitions)?.update_sets();
        let answers = |asked: &str| -> Result<[Value; 2]> {
            let answer = |program| ask(program, &definitions, &[asked])?.context("no answer");
            Ok([answer(STOCK_SYSUPDATE)?, answer(SYSUPDATE)?])
        };
        let differences = [listed(&answers("list")?, &sets), chosen(&answers("check-new")?, &sets)];
        for difference in differences {
            match difference.with_context(|| format!("{situation:?}"))? {
                None => same += 1,
                Some(difference) => drop(met.insert(difference)),
            }
        }
    }
    ensure!(met == DIFFERENCES.into(), "only these differences are there: {met:?}");
    ensure!(same > SITUATIONS / 2, "only {same} answers are the same");
    Ok(())
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
        Some(set) if set.is_here() && !set.is_installed() => Ok(Some(Difference::InUse)),
        _ => bail!("stock says {stock}, we say {ours}"),
    }
}

fn chosen([stock, ours]: &[Value; 2], sets: &[UpdateSet]) -> Result<Option<Difference>> {
    if stock == ours {
        return Ok(None);
    }
    let (theirs, mine) = (find(sets, &stock["available"]), find(sets, &ours["available"]));
    if theirs.is_some_and(|set| set.is_here() && set.missing().next().is_some()) {
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
