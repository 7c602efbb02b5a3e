//! What `vacuum` and `update` remove in the same situations: partial and old files of enabled transfers, and
//! all files of disabled features. Systemd 262 and ours leave the same files, except for the differences below,
//! each of which occurs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tests::peer::{Peer, Shared};
use tests::programs::program;

use crate::situation::{Effect, Situation};
use crate::{Node, SITUATIONS, STOCK_SYSUPDATE};

const SYSUPDATE: &str = "/opt/ours/sysupdate";

/// Where ours leaves other files on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// `vacuum`: stock removes the oldest versions, even the newest complete one; ours never removes the active
    /// version, and removes the next one instead.
    InUse,
    /// `vacuum`: of two spellings of one version, stock protects the named one, and ours both.
    Spelling,
    /// `update`: stock removes files of disabled features only if it installs something; ours does so in every
    /// run.
    Idle,
}

const DIFFERENCES: [Difference; 3] = [Difference::InUse, Difference::Spelling, Difference::Idle];

/// The files of each transfer.
type Files = BTreeMap<String, BTreeSet<String>>;

/// The result of a program.
#[derive(Debug)]
struct Done {
    well: bool,
    stdout: String,
    words: Vec<String>,
    files: Files,
}

pub(crate) fn makes_room_as_stock() -> Result<()> {
    let program = program("sysupdate")?;
    let ours = program.parent().context("a program is in a directory")?;
    Peer::Sid.enter(&[Shared { host: ours, peer: Path::new("/opt/ours") }])?;
    let node = Node::open()?;
    let mut met = BTreeSet::new();
    let mut idle = 0;
    for number in 0..SITUATIONS {
        let situation = Situation::generate(number)?;
        if !situation.is_seen_by_262() {
            continue;
        }
        situation.lay_out()?;
        let whole = node.look(&situation.root().join("definitions"))?.and_then(|seen| {
            let sets = seen.update_sets();
            sets.into_iter().find(|set| set.is_installed()).map(|set| set.version.to_string())
        });
        let before = files(&situation)?;
        for arguments in [&["vacuum"][..], &["vacuum", "-m", "1"], &["vacuum", "--instances-max=2"]] {
            let [stock, ours] = both(&situation, arguments)?;
            let difference = vacuumed(&situation, &before, whole.as_deref(), &stock, &ours);
            met.extend(
                difference.with_context(|| format!("{arguments:?}: {stock:#?}\n{ours:#?}\n{situation:?}"))?,
            );
        }
        let [stock, ours] = both(&situation, &["update"])?;
        let difference = updated(&situation, &before, &stock, &ours);
        met.extend(difference.with_context(|| format!("update: {stock:#?}\n{ours:#?}\n{situation:?}"))?);
        idle += u64::from(situation.effects().contains(&Effect::Off));
    }
    ensure!(met == DIFFERENCES.into(), "only these differences are there: {met:?}");
    ensure!(idle > SITUATIONS / 10, "in only {idle} situations something is off");
    Ok(())
}

/// Compares the remaining files after a vacuum, and its output.
fn vacuumed(
    situation: &Situation,
    before: &Files,
    whole: Option<&str>,
    stock: &Done,
    ours: &Done,
) -> Result<Option<Difference>> {
    ensure!(stock.well && ours.well, "it failed");
    if situation.has_spellings() && stock.files != ours.files {
        return Ok(Some(Difference::Spelling));
    }
    for name in situation.idle() {
        ensure!(stock.files[name] == ours.files[name], "{name}, which is off");
    }
    if stock.files == ours.files {
        ensure!(stock.stdout == ours.stdout, "other numbers");
        ensure!(stock.words == ours.words, "other words");
        return Ok(None);
    }
    let file = |name: &str, version: &str| format!("{name}-{version}.raw");
    let keeps_use = before.keys().any(|name| {
        let file = whole.map(|version| file(name, version)).unwrap_or_default();
        ours.files[name].contains(&file) && !stock.files[name].contains(&file)
    });
    ensure!(keeps_use, "other files");
    Ok(Some(Difference::InUse))
}

/// Compares the remaining files of disabled transfers after an update.
fn updated(situation: &Situation, before: &Files, stock: &Done, ours: &Done) -> Result<Option<Difference>> {
    let all_off = situation.effects().contains(&Effect::AllOff);
    let mut difference = None;
    for name in situation.idle() {
        if all_off {
            ensure!(!stock.well && !ours.well, "it did something");
            ensure!(ours.files[name] == before[name] && stock.files[name] == before[name], "{name} changed");
        } else if stock.words.iter().any(|line| line.starts_with("Making room")) {
            let same = stock.files[name] == ours.files[name];
            ensure!(same || situation.has_spellings(), "{name}, which is off");
        } else {
            ensure!(stock.files[name] == before[name], "stock removed something of {name}");
            if stock.files[name] != ours.files[name] {
                difference = Some(Difference::Idle);
            }
            let stays = situation.protected_files(name);
            ensure!(ours.files[name].is_subset(&stays), "{name}, which is off, is there");
        }
    }
    Ok(difference)
}

/// Runs both programs, each in a new copy of the situation.
fn both(situation: &Situation, arguments: &[&str]) -> Result<[Done; 2]> {
    let run = |program: &str| -> Result<Done> {
        fs::remove_dir_all(situation.root())?;
        situation.lay_out()?;
        // Records of the situation before would protect versions of this one.
        let memory = Path::new("/var/lib/sysupdate");
        if memory.exists() {
            fs::remove_dir_all(memory)?;
        }
        let definitions = format!("--definitions={}", situation.root().join("definitions").display());
        let output = Command::new(program).arg(definitions).args(arguments).arg("--json=short").output()?;
        let words = String::from_utf8(output.stderr)?;
        // Stock prints emoji, and announces what it is about to do.
        let words = words.lines().map(|line| line.trim_start_matches("♻\u{fe0f} ").to_owned());
        let mut words: Vec<_> = words.collect();
        if arguments[0] == "vacuum" {
            words.retain(|line| line != "Making room…");
            words.sort();
        }
        Ok(Done {
            well: output.status.success(),
            stdout: String::from_utf8(output.stdout)?,
            words,
            files: files(situation)?,
        })
    };
    Ok([run(STOCK_SYSUPDATE)?, run(SYSUPDATE)?])
}

fn files(situation: &Situation) -> Result<Files> {
    let names = fs::read_dir(situation.root().join("target"))?;
    let names = names.map(|entry| -> Result<_> {
        let entry = entry?;
        let files = fs::read_dir(entry.path())?;
        let files = files.map(|file| Ok(file?.file_name().to_string_lossy().into_owned()));
        Ok((entry.file_name().to_string_lossy().into_owned(), files.collect::<Result<_>>()?))
    });
    names.collect()
}
