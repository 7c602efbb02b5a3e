//! What the real systemd-sysupdate lists and chooses in a hundred generated situations, compared with
//! `manifests::stock`. Our writer writes the definitions, and the code of our updater reads everything. In
//! every second situation, features decide which transfers are enabled.
//!
//! Of several files of one version in one directory (pending *and* installed), 262 uses the one that its binary
//! search happens to find, so there are none; `manifests::update_set` uses the most complete one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use sysext_manifests::specifier::Identity;
use sysext_manifests::stock::{Current, ListedVersion, StockChoice};
use sysext_manifests::update_set::State;
use sysext_manifests::version::Version;
use sysupdate::host::Host;
use sysupdate::paths::Paths;
use sysupdate::plan::{self, Offers, Wanted};
use sysupdate::repository::Memory;
use sysupdate::settings::{self, Chosen, OnDisabled, SettingsError};
use sysupdate::sources::Discovery;
use tests::needs::{Need, Suite};
use tests::peer::Peer;

use situation::{Effect, Situation};

mod ours;
mod room;
mod situation;

const STOCK_SYSUPDATE: &str = "/usr/lib/systemd/systemd-sysupdate";

const SITUATIONS: u64 = 100;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for peer in Peer::ALL {
        let name = format!("peer_systemd_{}_selects_as_documented", peer.systemd());
        suite.isolated(&name, &[Need::Peer(peer)], move || agrees(peer));
    }
    let needs = [Need::Peer(Peer::Sid)];
    suite.isolated("peer_systemd_262_prints_the_same_as_ours", &needs, ours::prints_as_stock);
    suite.isolated("peer_systemd_262_vacuums_the_same_versions", &needs, room::makes_room_as_stock);
    suite.run()
}

/// Differences of a peer from `manifests::stock`. Each of them occurs in the trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Divergence {
    /// 257 skips versions with `~` or `^`, also in `MinVersion=`: they are not in its alphabet.
    Carets,
    /// 262 skips versions with `,`, which it removed from the alphabet.
    Commas,
    /// 257 ignores partial and pending files, since it does not use such names.
    States,
    /// 257 does not reach some incomplete versions: it mixes two orders, see [`reached_by_257`].
    Reach,
    /// 257 uses the spelling of a version that is greatest in that other order; we and 262 use the first one.
    /// Not compared.
    Spelling,
}

impl Divergence {
    fn of(peer: Peer) -> BTreeSet<Self> {
        match peer {
            Peer::Trixie => [Self::Carets, Self::States, Self::Reach, Self::Spelling].into(),
            Peer::Sid => [Self::Commas].into(),
        }
    }
}

fn agrees(peer: Peer) -> Result<()> {
    peer.enter(&[])?;
    let node = Node::open()?;
    let mut met = BTreeSet::new();
    let mut occurred = BTreeSet::new();
    let mut effects = BTreeSet::new();
    let mut differences = Vec::new();
    for number in 0..SITUATIONS {
        let situation = Situation::generate(number)?;
        if peer == Peer::Trixie && situation.has_spellings() {
            met.insert(Divergence::Spelling);
            continue;
        }
        situation.lay_out()?;
        let definitions = situation.root().join("definitions");
        effects.extend(situation.effects());
        let choice = match node.look(&definitions)? {
            None => None,
            Some(seen) => {
                let choice = StockChoice::of(&through_eyes_of(peer, seen, &mut met).update_sets());
                occurred.extend(kinds(&choice)?);
                Some(choice)
            }
        };
        let all_off = situation.effects().contains(&Effect::AllOff);
        ensure!(
            all_off == choice.is_none(),
            "{situation:?}: enabled transfers and a candidate contradict each other"
        );
        let before = differences.len();
        compare(peer, &definitions, situation.pool, choice.as_ref(), &mut differences)?;
        if differences.len() > before {
            differences.push(format!("  in {situation:?}"));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    ensure!(met == Divergence::of(peer), "not all divergences were met, only {met:?}");
    ensure!(effects == Effect::ALL.into(), "features only had these effects: {effects:?}");
    ensure!(occurred.len() == kinds_of(peer), "not every kind of answer occurred, only {occurred:?}");
    Ok(())
}

/// The node as our updater reads it.
struct Node {
    host: Host,
    paths: Paths,
    identity: Identity,
}

impl Node {
    fn open() -> Result<Self> {
        let (host, paths) = (Host::of_this_machine(), Paths::new(Path::new("/")));
        let identity = sysupdate::node::identity::identify(&*host.store, &paths)?;
        Ok(Self { host, paths, identity })
    }

    /// The versions; `None` if no transfer is enabled.
    fn look(&self, definitions: &Path) -> Result<Option<plan::Situation>> {
        let chosen = Chosen::Definitions(definitions.to_owned());
        let loaded =
            settings::load(&*self.host.store, &self.paths, &self.identity, &chosen, OnDisabled::Fail)?;
        let (_, component) = loaded.into_iter().next().context("no component")?;
        let component = match component {
            Err(SettingsError::NoneEnabled { .. }) => return Ok(None),
            other => other?,
        };
        ensure!(component.warnings.is_empty(), "{:?}", component.warnings);
        let mut discovery = Discovery::new(&self.host, &self.paths, &self.identity, Memory::Leave);
        let offers = discovery.offers(&component).map_err(|error| anyhow::anyhow!("{error}"))?;
        let found = sysupdate::update::situation(&self.host, &self.paths, &component, offers, Wanted::Newest);
        let situation = found.map_err(|failure| anyhow::anyhow!("{}", failure.error))?;
        Ok(Some(situation))
    }
}

/// The result of a peer for the same files, and the differences that this requires.
fn through_eyes_of(
    peer: Peer,
    mut situation: plan::Situation,
    met: &mut BTreeSet<Divergence>,
) -> plan::Situation {
    let mut hidden = BTreeSet::new();
    let mut seen = |version: &Version| {
        let (seen, why) = match peer {
            Peer::Trixie => (version.is_seen_by_257(), Divergence::Carets),
            Peer::Sid => (version.is_seen_by_262(), Divergence::Commas),
        };
        hidden.extend((!seen).then_some(why));
        seen
    };
    for line in &mut situation.transfers {
        line.local.retain(|local| seen(&local.version));
        line.minimum.take_if(|minimum| !seen(minimum));
        line.protected.retain(&mut seen);
    }
    if let Offers::Known(offers) = &mut situation.offers {
        offers.retain(|version, _| seen(version));
    }
    if peer == Peer::Trixie {
        let mut keep = |situation: &mut plan::Situation, why, keep: &dyn Fn(&plan::LocalInstance) -> bool| {
            for line in &mut situation.transfers {
                let before = line.local.len();
                line.local.retain(keep);
                hidden.extend((line.local.len() < before).then_some(why));
            }
        };
        keep(&mut situation, Divergence::States, &|local| local.state == State::Installed);
        let reached = reached_by_257(&situation.transfers);
        keep(&mut situation, Divergence::Reach, &|local| reached.contains(&local.version));
    }
    met.extend(hidden);
    situation
}

/// 257 walks from version to version. The next version is the newest one that remains for each transfer, and of
/// these the greatest in another order than that of versions: it never reaches versions above that.
fn reached_by_257(lines: &[plan::TransferState]) -> Vec<Version> {
    let mut reached: Vec<Version> = Vec::new();
    loop {
        let next = lines.iter().filter_map(|line| {
            let versions = line.local.iter().map(|local| &local.version);
            versions.filter(|version| reached.last().is_none_or(|last| *version < last)).max()
        });
        match next.max_by(|a, b| strverscmp(a.as_str(), b.as_str())) {
            Some(next) => reached.push(next.clone()),
            None => return reached,
        }
    }
}

/// The order of the C library's function of that name, for numbers without leading zeros: bytes count, but of
/// two numbers the longer one is greater.
fn strverscmp(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let digits = |text: &[u8]| text[same..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let in_number = same > 0 && a[same - 1].is_ascii_digit();
    let lengths =
        if in_number || digits(a) > 0 && digits(b) > 0 { digits(a).cmp(&digits(b)) } else { Ordering::Equal };
    lengths.then_with(|| a[same..].cmp(&b[same..]))
}

/// The properties of an answer: each flag with its value, and whether there is a candidate.
fn kinds(choice: &StockChoice) -> Result<BTreeSet<String>> {
    let current = match choice.current() {
        Current::Nothing => "nothing",
        Current::Installed(_) => "installed",
        Current::Pending(_) => "pending",
    };
    let mut kinds =
        BTreeSet::from([format!("current: {current}"), format!("candidate: {}", choice.candidate.is_some())]);
    for listed in &choice.listed {
        let flags: BTreeMap<String, Value> = serde_json::from_value(serde_json::to_value(listed)?)?;
        let flags = flags.iter().filter(|(flag, _)| *flag != "version");
        kinds.extend(flags.map(|(flag, value)| format!("{flag}: {value}")));
    }
    Ok(kinds)
}

/// Number of different kinds of answers of a peer.
const fn kinds_of(peer: Peer) -> usize {
    match peer {
        // Eight flags, three kinds of current, with and without a candidate.
        Peer::Sid => 8 * 2 + 3 + 2,
        // Partial and pending never occur.
        Peer::Trixie => 6 * 2 + 2 + 2 + 2,
    }
}

/// Runs stock, and records the differences. Without a candidate it must fail.
fn compare(
    peer: Peer,
    definitions: &Path,
    pool: &[&str],
    choice: Option<&StockChoice>,
    differences: &mut Vec<String>,
) -> Result<()> {
    let mut check = |asked: &[&str], expected: Option<Value>| -> Result<()> {
        let answer = ask(STOCK_SYSUPDATE, definitions, asked)?;
        let answer = answer.map(|mut answer| {
            if let Value::Object(fields) = &mut answer {
                for beyond in ["appstreamUrls", "changelogUrls", "contents"] {
                    fields.remove(beyond);
                }
            }
            answer
        });
        if answer != expected {
            let show = |value: Option<Value>| value.map_or("an error".to_owned(), |value| value.to_string());
            differences.push(format!(
                "{} {}: stock says {}, we say {}",
                definitions.display(),
                asked.join(" "),
                show(answer),
                show(expected)
            ));
        }
        Ok(())
    };
    check(&["list"], choice.map(listing))?;
    check(&["check-new"], choice.map(|choice| json!({ "available": choice.candidate })))?;
    for version in pool {
        let mut listed = choice.iter().flat_map(|choice| &choice.listed);
        let listed = listed.find(|listed| listed.version.as_str() == *version);
        check(&["list", version], listed.map(|listed| shown(peer, listed)).transpose()?)?;
    }
    Ok(())
}

/// The list of stock.
fn listing(choice: &StockChoice) -> Value {
    let (key, current) = match choice.current() {
        Current::Nothing => ("current", None),
        Current::Installed(version) => ("current", Some(version)),
        Current::Pending(version) => ("current+pending", Some(version)),
    };
    let all: Vec<_> = choice.listed.iter().map(|listed| &listed.version).collect();
    json!({ key: current, "all": all })
}

/// A version in the output of a peer.
fn shown(peer: Peer, listed: &ListedVersion) -> Result<Value> {
    let mut shown = serde_json::to_value(listed)?;
    if peer == Peer::Trixie
        && let Value::Object(fields) = &mut shown
    {
        fields.remove("partial");
        fields.remove("pending");
    }
    Ok(shown)
}

/// The output of a program; `None` if it fails without any.
fn ask(program: &str, definitions: &Path, asked: &[&str]) -> Result<Option<Value>> {
    let definitions = format!("--definitions={}", definitions.display());
    let output = Command::new(program).arg(definitions).args(asked).arg("--json=short").output()?;
    if output.stdout.is_empty() {
        if output.status.success() {
            bail!("{asked:?}: neither an answer nor a failure");
        }
        return Ok(None);
    }
    serde_json::from_slice(&output.stdout).map(Some).with_context(|| format!("{asked:?}: {output:?}"))
}
