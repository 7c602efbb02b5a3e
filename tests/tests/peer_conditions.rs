//! Conditions of features, and patterns that match at any depth, compared with the real `systemd-sysupdate`
//! 262.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sysext_manifests::condition::{Condition, ConditionError, Facts, Subject};
use sysext_manifests::digest::Sha256;
use sysext_manifests::pattern::Patterns;
use sysupdate::host::store::Files;
use sysupdate::node::{facts, identity};
use sysupdate::paths::Paths;
use tests::needs::{Need, Suite};
use tests::peer::{Peer, run};
use tests::server::Server;

const SYSUPDATE: &str = "/usr/lib/systemd/systemd-sysupdate";

/// Number of machine ids, each tested around the limit of its own share.
const MACHINES: u64 = 24;

fn main() -> ExitCode {
    let sid = [Need::Peer(Peer::Sid)];
    let mut suite = Suite::new();
    suite.isolated("peer_conditions_select_the_same_fraction", &sid, fractions);
    suite.isolated("peer_conditions_have_the_same_result_on_this_host", &sid, subjects);
    suite.isolated("peer_patterns_match_the_same_files_at_any_depth", &sid, depths);
    suite.run()
}

/// Properties of this host, determined independently.
fn facts() -> Result<Facts> {
    let (store, paths) = (Files::new(), Paths::new(Path::new("/")));
    let identity = identity::identify(&store, &paths)?;
    Ok(facts::gather(&store, &paths, &identity))
}

/// What stock prints for a feature with this condition; `None` if it calls it malformed.
fn stock(key: &str, value: &str) -> Result<Option<bool>> {
    fs::create_dir_all("/etc/sysupdate.d")?;
    fs::write("/etc/sysupdate.d/f.feature", format!("[Feature]\nSuggestOn{key}={value}\n"))?;
    // Features need a transfer
    fs::write(
        "/etc/sysupdate.d/f.transfer",
        "[Transfer]\nFeatures=f\n[Source]\nType=regular-file\nPath=/srv\nMatchPattern=f-@v\n\
         [Target]\nType=regular-file\nPath=/var/lib/f\nMatchPattern=f-@v\n",
    )?;
    let told: Value = serde_json::from_str(&run(SYSUPDATE, &["features", "f", "--json=short"])?)?;
    match &told["suggested"] {
        Value::Bool(suggested) => Ok(Some(*suggested)),
        Value::Null => Ok(None),
        other => anyhow::bail!("suggested is {other}"),
    }
}

/// Each machine belongs to all shares above a certain size. Ours tells the size, and stock must have the same
/// limit.
fn fractions() -> Result<()> {
    Peer::Sid.enter(&[])?;
    let mut facts = facts()?;
    let mut edges = Vec::new();
    for machine in 0..MACHINES {
        let id = Sha256::of(&machine.to_le_bytes()).to_string()[..32].to_owned();
        let tag = ["", "wave ", "Ünicode "][usize::try_from(machine % 3)?];
        fs::write("/etc/machine-id", format!("{id}\n"))?;
        facts.machine_id = Some(id.clone());
        let ours = |parts: u32| {
            let condition = Condition::parse(Subject::Fraction, &format!("{tag}{parts}‱"));
            condition.holds(&facts).with_context(|| format!("{tag}{parts} of {id}"))
        };
        let (mut without, mut with) = (0, 10_000);
        while with - without > 1 {
            let middle = (without + with) / 2;
            *(if ours(middle)? { &mut with } else { &mut without }) = middle;
        }
        for (parts, expected) in [(without, false), (with, true)] {
            let told = stock("Fraction", &format!("{tag}{parts}‱"))?;
            ensure!(told == Some(expected), "{id}, {tag:?}, {parts}: we say {expected}, stock {told:?}");
        }
        edges.push(with);
    }
    let low = edges.iter().filter(|edge| **edge < 5000).count();
    ensure!((4..20).contains(&low), "the machines are one-sided: {edges:?}");
    for malformed in ["", "10", "101%", "a b 10%", "x%"] {
        let ours = Condition::parse(Subject::Fraction, malformed).holds(&facts);
        let told = stock("Fraction", malformed)?;
        // An empty value is no condition, and nothing is suggested
        let expected = if malformed.is_empty() { Some(false) } else { ours.ok() };
        ensure!(told == expected, "{malformed:?}: we say {expected:?}, stock {told:?}");
    }
    Ok(())
}

fn subjects() -> Result<()> {
    Peer::Sid.enter(&[])?;
    fs::write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")?;
    let facts = facts()?;
    let table: [(Subject, &[&str]); 9] = [
        (
            Subject::Architecture,
            &["native", "x86-64", "arm64", "!arm64", "|s390x", "nonsense", "!nonsense", ""],
        ),
        (Subject::Firmware, &["uefi", "device-tree", "!uefi"]),
        (
            Subject::Host,
            &["0123456789abcdef0123456789abcdef", "*", "no-such-host", "1123456789abcdef0123456789abcdef"],
        ),
        (Subject::KernelCommandLine, &["no-such-word", "!no-such-word", "no.such=1"]),
        (
            Subject::Version,
            &[
                ">=4.0",
                "<4.0",
                "kernel >= 4.0",
                ">= 4.0 < 99",
                ">= 4.0 <99",
                "\">= 4.0\" \"< 99\"",
                ">=4.0 <",
                ">=",
                "99.*",
                "!99.*",
            ],
        ),
        (Subject::Credential, &["no.such", "!no.such"]),
        (
            Subject::Security,
            &[
                "selinux",
                "smack",
                "apparmor",
                "ima",
                "tomoyo",
                "uefi-secureboot",
                "tpm2",
                "nonsense",
                "audit",
                "cvm",
            ],
        ),
        (
            Subject::OsRelease,
            &["ID=debian", "ID=fedora", "ID!=fedora", "VERSION_ID>=1", "ID=debian ID!=x", "ID"],
        ),
        (Subject::MachineTag, &["no-such-tag", "!no-such-tag"]),
    ];
    let (mut same, mut unknown, mut differ) = (0, Vec::new(), Vec::new());
    for (subject, values) in table {
        for value in values {
            let expected = match Condition::parse(subject, value).holds(&facts) {
                Ok(holds) => Some(holds),
                Err(ConditionError::Malformed { .. }) => None,
                Err(ConditionError::Unknown { .. }) => {
                    unknown.push(*value);
                    continue;
                }
            };
            let told = stock(subject.key(), value)?;
            if told != expected {
                differ.push(format!("{subject} {value:?}: we say {expected:?}, stock {told:?}"));
            }
            same += 1;
        }
    }
    ensure!(differ.is_empty(), "{}", differ.join("\n"));
    ensure!(unknown == ["audit", "cvm"], "not known here: {unknown:?}");
    ensure!(same > 30, "only {same} were compared");
    Ok(())
}

/// Nested names, and the ones that each pattern matches.
const NAMES: [&str; 8] = [
    "demo-1.raw",
    "a/demo-2.raw",
    "a/b/demo-3.raw",
    "a/b/c/demo-4.raw",
    "a/other-5.raw",
    "xdemo-6.raw",
    "a/demo-7.raw.zst",
    "demo-8/demo-9.raw",
];

const PATTERNS: [&str; 8] = [
    "demo-@v.raw",
    "**/demo-@v.raw",
    "a/demo-@v.raw",
    "a/b/demo-@v.raw",
    "demo-@v.raw **/demo-@v.raw",
    "**/demo-@v.raw a/other-@v.raw",
    "a/@v.raw",
    "demo-@v/demo-9.raw",
];

fn depths() -> Result<()> {
    Peer::Sid.enter(&[])?;
    for directory in ["/srv/tree", "/var/lib/demo", "/etc/sysupdate.d"] {
        fs::create_dir_all(directory)?;
    }
    let mut sums = String::new();
    for name in NAMES {
        let path = Path::new("/srv/tree").join(name);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        fs::write(&path, name)?;
        sums.push_str(&format!("{}  {name}\n", Sha256::of(name.as_bytes())));
    }
    fs::write("/srv/tree/SHA256SUMS", sums)?;
    let server = Server::serve(Path::new("/srv/tree"))?;
    let mut deep = 0;
    for pattern in PATTERNS {
        let ours: Patterns = pattern.parse()?;
        let mut expected: Vec<String> =
            NAMES.iter().filter_map(|name| Some(ours.matches(name)?.version.to_string())).collect();
        expected.sort();
        deep += usize::from(expected.len() > 3);
        for (kind, path) in [("regular-file", "/srv/tree".to_owned()), ("url-file", server.url())] {
            fs::write(
                "/etc/sysupdate.d/demo.transfer",
                format!(
                    "[Transfer]\nVerify=no\n[Source]\nType={kind}\nPath={path}\nMatchPattern={pattern}\n\
                     [Target]\nType=regular-file\nPath=/var/lib/demo\nMatchPattern=t-@v\n"
                ),
            )?;
            let listed: Value = serde_json::from_str(&run(SYSUPDATE, &["list", "--json=short"])?)?;
            let mut listed: Vec<String> = serde_json::from_value(listed["all"].clone())?;
            listed.sort();
            ensure!(listed == expected, "{kind} {pattern:?}: we see {expected:?}, stock {listed:?}");
        }
    }
    ensure!(deep > 1, "no pattern looked deep");
    Ok(())
}
