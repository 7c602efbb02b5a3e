//! The order of versions, compared with the real `systemd-analyze compare-versions` on thousands of generated
//! pairs, together with our verb of that name.

use std::cmp::Ordering;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sysext_manifests::version::compare;
use tests::needs::{Need, Suite};
use tests::peer::{Peer, Shared};
use tests::programs::program;

/// Number of pairs, and the time after which fewer are enough: each is a separate process.
const PAIRS: usize = 4000;
const TIME: Duration = Duration::from_secs(30);

/// The least number of pairs, however slow the machine is.
const PAIRS_MIN: usize = 1000;

/// Every kind of character in the order, separators, and some characters more often.
const ALPHABET: [&str; 22] = [
    "0", "0", "1", "1", "2", "9", "10", "00", "a", "b", "B", "rc", "~", "~", "-", "-", "^", ".", ".", "_",
    "+", ",",
];

fn main() -> ExitCode {
    let trixie = [Need::Peer(Peer::Trixie)];
    let mut suite = Suite::new();
    suite.isolated("peer_versions_sort_as_in_systemd_analyze", &trixie, ordered_alike);
    suite.isolated("peer_compare_versions_prints_the_same_as_systemd_analyze", &trixie, answers_alike);
    suite.run()
}

fn ordered_alike() -> Result<()> {
    Peer::Trixie.enter(&[])?;
    let start = Instant::now();
    let mut random = Random(0x5eed_0f7e_4510_4325);
    let mut seen = [0; 3];
    while seen.iter().sum::<usize>() < PAIRS {
        if seen.iter().sum::<usize>() >= PAIRS_MIN && start.elapsed() > TIME {
            break;
        }
        let (first, second) = random.pair();
        let (index, sign, status) = match compare(&first, &second) {
            Ordering::Less => (0, "<", 12),
            Ordering::Equal => (1, "==", 0),
            Ordering::Greater => (2, ">", 11),
        };
        let output = ask("systemd-analyze", &[&first, &second])?;
        let expected = format!("{} {sign} {}\n", shown(&first), shown(&second));
        ensure!(
            output.stdout == expected.as_bytes() && output.status.code() == Some(status),
            "we say {expected:?}, {output:?}"
        );
        seen[index] += 1;
    }
    ensure!(seen.iter().all(|count| *count > 50), "the pairs are one-sided: {seen:?}");
    Ok(())
}

fn answers_alike() -> Result<()> {
    let sysupdate = program("sysupdate")?;
    let directory = sysupdate.parent().context("a program is in a directory")?;
    Peer::Trixie.enter(&[Shared { host: directory, peer: Path::new("/opt/ours") }])?;
    let alike = |arguments: &[&str]| {
        let (ours, theirs) = (ask("/opt/ours/sysupdate", arguments)?, ask("systemd-analyze", arguments)?);
        ensure!(
            ours.stdout == theirs.stdout && ours.status.code() == theirs.status.code(),
            "{arguments:?}: ours {ours:?}, theirs {theirs:?}"
        );
        Ok(())
    };
    let mut random = Random(0x5eed_0f7e_4510_4326);
    for _ in 0..60 {
        let (first, second) = random.pair();
        alike(&[&first, &second])?;
        for operator in ["lt", "<", "le", "<=", "eq", "==", "ne", "!=", "ge", ">=", "gt", ">", "no", ""] {
            alike(&[&first, operator, &second])?;
        }
    }
    for wrong in [
        &[][..],
        &["1"],
        &["1", "lt", "2", "3"],
        &["", ""],
        &["1 2", "1"],
        &["1", "=", "1"],
        &["1", "=", "2"],
    ] {
        alike(wrong)?;
    }
    Ok(())
}

fn ask(program: &str, versions: &[&str]) -> Result<Output> {
    let mut command = Command::new(program);
    command.arg("compare-versions").arg("--").args(versions);
    command.output().with_context(|| format!("cannot run {program}"))
}

/// The output of systemd for a result.
fn shown(version: &str) -> &str {
    if version.is_empty() { "''" } else { version }
}

/// xorshift: the same pairs on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    fn version(&mut self) -> String {
        (0..self.below(9)).map(|_| ALPHABET[self.below(ALPHABET.len())]).collect()
    }

    /// Two versions. They often share most of their text, because errors are likely in near misses.
    fn pair(&mut self) -> (String, String) {
        let first = self.version();
        if self.below(3) == 0 {
            return (first, self.version());
        }
        let mut second: Vec<char> = first.chars().collect();
        let place = self.below(second.len() + 1);
        let cut = self.below(2).min(second.len() - place);
        second.splice(place..place + cut, ALPHABET[self.below(ALPHABET.len())].chars());
        (first, second.into_iter().collect())
    }
}
