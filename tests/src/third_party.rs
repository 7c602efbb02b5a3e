//! The licence texts of all that the programs are linked from, which have to be shipped with them.
//!
//! `cargo run -p tests --bin third-party` writes the file, and `tests/tests/workspace.rs` compares it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::licences;
use crate::workspace::{self, Package};

/// The file, below the root of the checkout.
pub const FILE: &str = "THIRD-PARTY.txt";

/// What is shipped.
const PROGRAMS: [&str; 2] = ["bakery", "sysupdate"];

/// The licence that is chosen wherever a crate offers it: its text is the same for all of them.
const COMMON: &str = "Apache-2.0";

/// Texts of crates that ship none, from their repositories.
const ABSENT: [(&str, &str); 3] = [
    ("binrw", include_str!("third_party/binrw.txt")),
    ("bitfields", include_str!("third_party/bitfields.txt")),
    ("cx448", include_str!("third_party/cx448.txt")),
];

const HEAD: &str = "\
bakery and sysupdate are offered under MIT OR Apache-2.0. They are linked from the crates below, under the
licences named here; where a crate offers a choice that includes Apache-2.0, it is used under that one.

They also contain the standard library of Rust (MIT OR Apache-2.0) and the C library of the system that they
were built on, linked statically (for glibc: LGPL-2.1-or-later). Their sources are all that is needed to link
them with another version of it.

Written by `cargo run -p tests --bin third-party`.
";

const RULE: &str = "================================================================================";

/// The whole text, for these targets.
pub fn text(targets: &[String]) -> Result<String> {
    let mut crates: BTreeMap<String, Package> = BTreeMap::new();
    for target in targets {
        for package in workspace::linked(target, &PROGRAMS)? {
            crates.insert(title(&package), package);
        }
    }
    // Equal texts are printed once, below all crates that have them
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (title, package) in &crates {
        for text in texts_of(package).with_context(|| title.clone())? {
            texts.entry(text).or_default().insert(title.clone());
        }
    }
    let mut sections: Vec<_> = texts.into_iter().collect();
    sections.sort_by(|one, other| (&one.1, &one.0).cmp(&(&other.1, &other.0)));
    let mut whole = HEAD.to_owned();
    for (text, titles) in sections {
        let titles = titles.into_iter().collect::<Vec<_>>().join("\n");
        whole.push_str(&format!("\n{RULE}\n{titles}\n{RULE}\n\n{text}\n"));
    }
    Ok(whole)
}

fn title(package: &Package) -> String {
    let licence = package.licence.as_deref().unwrap_or("no licence named");
    format!("{} {} ({licence})", package.name, package.version)
}

/// The texts that have to be shipped for a crate.
fn texts_of(package: &Package) -> Result<Vec<String>> {
    let directory = package.manifest.parent().context("a manifest is in a directory")?;
    let licence = package.licence.as_deref().context("it names no licence")?;
    let mut files = Vec::new();
    find(directory, directory, &mut files)?;
    files.sort();
    let (own, vendored): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|file| file.parent() == Some(Path::new("")));
    let mut texts = Vec::new();
    if licences::is_met(licence, &[COMMON])? {
        texts.push(read(&workspace::root().join("LICENSE-APACHE"))?);
        let notices = own.iter().filter(|file| named(file).starts_with("NOTICE"));
        texts.extend(notices.map(|file| read(&directory.join(file))).collect::<Result<Vec<_>>>()?);
    } else if own.is_empty() {
        let absent = ABSENT.iter().find(|(name, _)| *name == package.name);
        let (_, text) = absent.context("it ships no licence text; add it to ABSENT")?;
        texts.push(tidy(text));
    } else {
        texts.extend(own.iter().map(|file| read(&directory.join(file))).collect::<Result<Vec<_>>>()?);
    }
    for file in vendored {
        let text = read(&directory.join(&file))?;
        // Sources of others, with a choice of licences: not those that the rest may not be combined with
        if !["GNU GENERAL PUBLIC", "GNU LESSER GENERAL PUBLIC"].iter().any(|words| text.contains(words)) {
            texts.push(text);
        }
    }
    ensure!(!texts.is_empty(), "it has no text");
    Ok(texts)
}

/// Files that are licence texts by their name, outside of tests. Paths are relative to `root`.
fn find(root: &Path, directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let name = named(&path);
        if path.is_dir() {
            if !["TESTS", "BENCHES", "EXAMPLES"].contains(&name.as_str()) {
                find(root, &path, found)?;
            }
        } else if ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"]
            .iter()
            .any(|word| name.starts_with(word))
            && !name.ends_with(".SH")
        {
            found.push(path.strip_prefix(root).context("it is below the root")?.to_owned());
        }
    }
    Ok(())
}

fn named(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_uppercase()
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Ok(text) = String::from_utf8(bytes) else { bail!("{} is not UTF-8", path.display()) };
    Ok(tidy(&text))
}

/// Without what differs between equal texts: ends of lines, and space around.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}
