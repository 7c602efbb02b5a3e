//! The parsers of text. What one accepts is written again and must read as the same.

use sysext_manifests::digest::Sha256;
use sysext_manifests::transfer::{TransferText, VerifyText};

use crate::{Memory, TEXT, Target, files};

mod reads;

const FIXTURES: &str = "manifests/tests/fixtures";

/// The operator's own files. Each of the thousand values and dots that one may have takes the toml crate a
/// kilobyte or two; beyond that, each token some bytes.
const TOML: Memory = Memory { constant: 2 << 20, factor: 128 };

/// Gives what is text to a function of text; a closure that captures could not stand in a table.
macro_rules! of_text {
    ($run:path) => {
        |data: &[u8]| {
            if let Ok(text) = std::str::from_utf8(data) {
                $run(text);
            }
        }
    };
}

pub(crate) static TARGETS: &[Target] = &[
    Target {
        name: "version",
        run: of_text!(reads::version),
        seeds: || words(&["1.32.1-2 v1.33.0~rc.1", "1+k3s1 01"]),
        memory: TEXT,
    },
    Target {
        name: "requirement",
        run: of_text!(reads::requirement),
        seeds: || words(&[">=1.30, <1.33\nv1.32.4", "^1.2\n1.2.3-2", "~1.2.*\n1.3.0~rc.1"]),
        memory: TEXT,
    },
    Target { name: "pattern", run: of_text!(reads::pattern), seeds: || words(&PATTERNS), memory: TEXT },
    Target { name: "ini", run: of_text!(reads::ini), seeds: transfers, memory: TEXT },
    Target { name: "transfer", run: of_text!(reads::transfer), seeds: transfers, memory: TEXT },
    Target { name: "feature", run: of_text!(reads::feature), seeds: || words(&FEATURES), memory: TEXT },
    Target { name: "component", run: of_text!(reads::component), seeds: || words(&FEATURES), memory: TEXT },
    Target { name: "condition", run: of_text!(reads::condition), seeds: || words(&CONDITIONS), memory: TEXT },
    Target { name: "checksums", run: reads::checksums, seeds: manifests, memory: TEXT },
    Target { name: "os-release", run: of_text!(reads::os_release), seeds: releases, memory: TEXT },
    Target {
        name: "extension-release",
        run: of_text!(reads::extension_release),
        seeds: releases,
        memory: TEXT,
    },
    Target { name: "repository", run: of_text!(reads::repository), seeds: repositories, memory: TOML },
    Target {
        name: "specifier",
        run: of_text!(reads::specifiers),
        seeds: || words(&["/x/%a/%w%%%20", "%T/%m%b"]),
        memory: TEXT,
    },
];

/// Patterns and, after a newline, a name.
const PATTERNS: [&str; 3] = [
    "k-@v-x86-64.raw\nk-1.32.1-x86-64.raw",
    "@u_@v_@f_@a.@m k_@v_@h\nk_1_e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "k-@v+@l-@d.efi @t@@@v@s@r@g\nk-1+3-0.efi",
];

/// Files of features and components, which differ in the section and in little else.
const FEATURES: [&str; 2] = [
    "[Feature]\nDescription=Tools\nDocumentation=https://x/%o\nAppStream=https://x/a.xml\nEnabled=yes\nSuggest=no\n\
     SuggestOnHost=|node*\nSuggestOnOSRelease=ID=flatcar\nSuggestOnFraction=wave 10%\n",
    "[Component]\nDescription=Tools\nDocumentation=https://x/%o\nEnabled=no\nSuggestOnVersion=>=6.1\n\
     SuggestOnKernelCommandLine=!quiet\nSuggestOnHost=\nSuggestOnSecurity=|!tpm2\nX-Note=1\n",
];

/// A subject's key and a value.
const CONDITIONS: [&str; 11] = [
    "Architecture x86-64",
    "Firmware |!device-tree-compatible(x,y)",
    "Virtualization container",
    "Host node[0-9]*.example.?",
    "Fraction wave 10.5%",
    "KernelCommandLine root=/dev/sda",
    "Version kernel >= 6.1 $!= 6.2*",
    "Credential sysupdate.*",
    "Security uefi-secureboot",
    "OSRelease ID=flatcar \"VERSION_ID>=4081\"",
    "MachineTag a*b",
];

fn words(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

fn transfers() -> Vec<Vec<u8>> {
    let mut text = TransferText::new(
        "https://example.org/k/",
        "k-@v-%a.raw",
        "/var/lib/sysupdate/images/k",
        VerifyText::Unsigned,
    );
    text.comment = "an example".to_owned();
    text.min_version = "1.30".parse().ok();
    text.protect_versions = vec!["%A".to_owned()];
    text.current_symlink = Some("/var/lib/extensions/k.raw".to_owned());
    text.mode = Some(0o644);
    text.instances_max = Some(3);
    text.repository = Some("example".to_owned());
    text.health_checks = "exec:/usr/bin/true --now".parse().into_iter().collect();
    text.health_timeout = Some(std::time::Duration::from_secs(90));
    let written = text.render().expect("the example can be written");
    let mut seeds = files(FIXTURES, &[".transfer", ".conf"]);
    seeds.extend(files("recipes", &[".service", ".timer"]));
    seeds.push(written.into_bytes());
    seeds
}

fn manifests() -> Vec<Vec<u8>> {
    let line = |name: &str| format!("{}  {name}\n", Sha256::of(b""));
    let mut seeds = files(FIXTURES, &["SHA256SUMS"]);
    seeds.push(["k-1.raw", "sub/k-2.raw", "BEST-BEFORE-2026-12-04"].map(line).concat().into_bytes());
    seeds
}

fn releases() -> Vec<Vec<u8>> {
    let mut seeds = files(FIXTURES, &["os-release", "extension-release"]);
    seeds.push(
        b"# Flatcar\nID=flatcar\nID_LIKE=\"coreos gentoo\"\nVERSION_ID='4081.2.0'\nX=\"a\\\"b\\\nc\"\n"
            .to_vec(),
    );
    seeds
}

fn repositories() -> Vec<Vec<u8>> {
    let key =
        include_str!("../../manifests/tests/fixtures/keys/root-1.pub").lines().nth(1).unwrap_or_default();
    let mut seeds = files(FIXTURES, &[".toml"]);
    seeds.push(
        format!("url = 'https://a/x'\nmirrors = ['http://b/']\nthreshold = 1\nkeys = ['{key}']\n")
            .into_bytes(),
    );
    seeds
}
