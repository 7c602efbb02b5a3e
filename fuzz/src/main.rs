//! One program for all targets, so that CI links once: `FUZZ_TARGET` names what is fuzzed.
//!
//! `FUZZ_LIST=1` prints the targets, `FUZZ_SEEDS=DIRECTORY` writes the target's seeds there; both exit.
#![no_main]

mod disks;
mod images;
mod manifests;
mod openpgp;
mod planted;
mod signed;

use std::alloc::System;
use std::path::Path;
use std::sync::OnceLock;
use std::{env, fs, process};

use cap::Cap;
use libfuzzer_sys::fuzz_target;

/// Aborts, which libFuzzer reports, where a parser asks for more than its target allows.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// What is fuzzed.
pub(crate) struct Target {
    name: &'static str,
    /// Must return, whatever it is given.
    run: fn(&[u8]),
    /// What to start from.
    seeds: fn() -> Vec<Vec<u8>>,
    /// What it may have allocated at any time.
    memory: Memory,
}

/// How much may be allocated while an input of `n` bytes is read: `constant + factor * n`.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    constant: usize,
    factor: usize,
}

/// A parser that keeps what it read: some structure for every few bytes of input, and its messages.
pub(crate) const TEXT: Memory = Memory { constant: 64 << 10, factor: 64 };

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(
    init: {
        if env::var_os("FUZZ_LIST").is_some() {
            targets().for_each(|target| println!("{}", target.name));
            process::exit(0);
        }
        let name = env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let mut all = targets().chain(planted::TARGETS);
        let target = all.find(|target| target.name == name).expect("FUZZ_TARGET is one of FUZZ_LIST");
        if let Some(directory) = env::var_os("FUZZ_SEEDS") {
            write_seeds(target, Path::new(&directory));
            process::exit(0);
        }
        // What is made once and kept is not the input's fault
        (target.seeds)().iter().for_each(|seed| (target.run)(seed));
        TARGET.get_or_init(|| target);
    },
    |data: &[u8]| {
        let target = TARGET.get().expect("init has set it");
        let Memory { constant, factor } = target.memory;
        let limit = MEMORY.allocated() + constant + factor * data.len();
        MEMORY.set_limit(limit).expect("less is allocated than the limit");
        (target.run)(data);
        MEMORY.set_limit(usize::MAX).expect("there is no larger limit");
    }
);

fn targets() -> impl Iterator<Item = &'static Target> {
    let manifests = manifests::TARGETS.iter().chain(signed::TARGETS).chain(openpgp::TARGETS);
    manifests.chain(images::TARGETS).chain(disks::TARGETS)
}

fn write_seeds(target: &Target, directory: &Path) {
    for (number, seed) in (target.seeds)().iter().enumerate() {
        let path = directory.join(format!("seed-{number}"));
        fs::write(&path, seed).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

/// The files below a directory of the repository whose names end in one of `endings`.
pub(crate) fn files(directory: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory)];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", directory.display()));
        for entry in entries {
            let path = entry.expect("the directory can be read on").path();
            if path.is_dir() {
                open.push(path);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                found.push(fs::read(&path).expect("a file of the repository can be read"));
            }
        }
    }
    found
}
