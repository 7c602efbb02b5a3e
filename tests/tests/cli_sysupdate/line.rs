//! The command line, and the root that it works on.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use sysext_manifests::digest::Sha256;
use tests::node::{Node, Publisher, Snapshot};
use tests::programs::program;

use crate::Site;

pub(crate) fn help() -> Result<()> {
    let node = Node::new(program("sysupdate")?)?;
    node.run(&["--help"])?.well()?.says("")?.prints(
        r#"Download, verify and merge system extensions, run health checks, and roll back on failure

Usage: sysupdate [OPTIONS] [COMMAND]

Commands:
  list               List installed and available versions (default)
  check-new          Check for a newer version; exits with 1 if there is none
  plan               Show what an update would do, and why
  update             Install and activate the newest (or given) version
  acquire            Download the newest (or given) version without activating it
  vacuum             Remove old versions and files of disabled features
  retry              Allow a version again that failed its health checks
  remove             Unmerge and delete an extension whose definitions were removed
  sysext             Merge system extensions into /usr and /opt
  trust              Show or reset the trust state of repositories
  features           List the optional features of a component
  enable-feature     Enable features, effective with the next update
  disable-feature    Disable features; their files are removed by the next update
  components         List components and whether they are enabled
  enable-component   Enable components, effective with the next update
  disable-component  Disable components; installed files are kept
  compare-versions   Compare two versions; exits with 0 (equal), 11 (first newer) or 12 (second
                     newer)
  help               Print this message or the help of the given subcommand(s)

Options:
      --root <DIR>              Work on the system below this directory [default: /]
      --verify <BOOL>           Require an OpenPGP-signed SHA256SUMS where Repository= is not set
                                (overrides Verify=)
  -m, --instances-max <NUMBER>  Keep at most NUMBER versions (overrides InstancesMax=)
      --offline                 Do not contact sources; consider installed versions only
  -h, --help                    Print help
  -V, --version                 Print version

Selection:
  -C, --component <NAME>     Select a component (/etc/sysupdate.NAME.d etc.)
  -A, --component-all        Select all components
  -S, --component-suggested  Enable/disable all components suggested for this host
  -a, --feature-all          Enable/disable all features
  -s, --feature-suggested    Enable/disable all features suggested for this host
      --definitions <DIR>    Read definitions from this directory instead

Output:
      --json[=<MODE>]  Print the result as JSON [default: off] [possible values: off, short, pretty]
      --no-legend      Omit headers and footers
  -q, --quiet          Print only results, warnings and errors
  -v, --verbose        Print more detail about each step

Compatibility with systemd-sysupdate:
      --no-pager        Ignored: output is never sent through a pager
      --sync <BOOL>     Ignored: files are always synced to disk
      --cleanup <BOOL>  Ignored: files that no longer belong to any transfer are kept

Exit status:
  0  success
  1  failure: at least one error was reported
"#,
    )?;
    let version = format!("sysupdate {}\n", env!("CARGO_PKG_VERSION"));
    node.run(&["--version"])?.well()?.says("")?.prints(&version)?;
    Ok(())
}

/// The exit status of every error is 1, as in systemd's tools.
pub(crate) fn mistakes() -> Result<()> {
    let node = Node::new(program("sysupdate")?)?;
    node.run(&["--frobnicate"])?.ended(1)?.prints("")?.says(
        "error: unexpected argument '--frobnicate' found\n\n\
         Usage: sysupdate --root <DIR>\n\nFor more information, try '--help'.\n",
    )?;
    let mistakes = [
        (&["frobnicate"][..], "error: unrecognized subcommand 'frobnicate'\n"),
        (&["list", "--json=yaml"], "error: invalid value 'yaml' for '--json[=<MODE>]'\n"),
        (
            &["list", "--verify=perhaps"],
            "error: invalid value 'perhaps' for '--verify <BOOL>': expected yes or no\n",
        ),
        (
            &["update", "-C", "a", "-A"],
            "error: the argument '--component <NAME>' cannot be used with '--component-all'\n",
        ),
        (&["update", "1", "2"], "error: unexpected argument '2' found\n"),
        (&["list", "-C", "a/b"], "error: Component name invalid: a/b\n"),
    ];
    for (arguments, first) in mistakes {
        let seen = node.run(arguments)?.ended(1)?.prints("")?;
        ensure!(seen.stderr.starts_with(first), "{arguments:?}: {seen}");
    }
    Ok(())
}

pub(crate) fn readers_write_nothing() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    let before = Snapshot::take(&site.node.root)?;
    for verb in ["list", "check-new", "plan"] {
        site.run(&[verb, "-C", "demo"])?.well()?;
    }
    site.run(&["sysext", "status"])?.well()?;
    let after = Snapshot::take(&site.node.root)?;
    ensure!(after == before, "{}", before.difference(&after));
    Ok(())
}

pub(crate) fn root_that_is_not_there() -> Result<()> {
    let node = Node::new(program("sysupdate")?)?;
    let (missing, file) = (node.path("typo"), node.path("usr/lib/os-release"));
    for verb in [&["update", "-A"][..], &["list"], &["enable-feature", "x"], &["sysext", "refresh"]] {
        for root in [&missing, &file] {
            let root = format!("--root={}", root.display());
            let mut command = std::process::Command::new(program("sysupdate")?);
            let seen = node.see({
                command.arg(&root).args(verb);
                command
            })?;
            let root = root.replace(&*node.root.to_string_lossy(), "ROOT");
            seen.ended(1)?.prints("")?.says(&format!("error: {root}: no such directory\n"))?;
        }
    }
    ensure!(!missing.exists(), "it was made");
    Ok(())
}

pub(crate) fn stock_timer() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo"])?.well()?;
    let wants = site.node.path("etc/systemd/system/timers.target.wants");
    fs::create_dir_all(&wants)?;
    let timer = "systemd-sysupdate.timer";
    std::os::unix::fs::symlink(format!("/usr/lib/systemd/system/{timer}"), wants.join(timer))?;
    let warning = format!(
        "warning: {timer} is enabled: it updates the same components and does not wait for this program; \
         `systemctl --root=ROOT disable {timer}` stops it\n"
    );
    site.run(&["update", "-C", "demo"])?.well()?.says(&warning)?.prints("demo: up to date\n")?;
    site.run(&["list", "-C", "demo"])?.well()?.says("")?;
    Ok(())
}

/// Absolute links below a root lead to directories of that system: for its state, its lock, and a repository
/// file.
pub(crate) fn links_of_a_root() -> Result<()> {
    let site = Site::new()?;
    let outside = site.node.root.parent().context("a root is in a directory")?.join("outside");
    fs::create_dir(&outside)?;
    for link in ["var/lib/sysupdate", "run/sysupdate", "srv"] {
        let link = site.node.path(link);
        if link.is_dir() {
            fs::remove_dir(&link)?;
        }
        std::os::unix::fs::symlink(&outside, link)?;
    }
    site.run(&["update", "-C", "demo"])?.well()?.prints("demo: installed 1.10\n")?;
    let inside = site.node.root.join(outside.strip_prefix("/")?);
    for file in [format!("images/demo/{}", Publisher::file("demo", "1.10")?), "lock".to_owned()] {
        ensure!(inside.join(&file).is_file(), "{file} is not there");
    }
    site.run(&["list", "-C", "demo", "--no-legend"])?
        .well()?
        .says("")?
        .prints("● 1.10    ✓         ✓         current\n  1.9               ✓         available\n")?;
    fs::create_dir(inside.join("copy"))?;
    fs::write(inside.join("copy/x-1.raw"), "x")?;
    fs::write(inside.join("copy/SHA256SUMS"), format!("{}  x-1.raw\n", Sha256::of(b"x")))?;
    let definition = "[Transfer]\nVerify=no\n[Source]\nType=regular-file\nPath=/srv/copy\nMatchPattern=x-@v.raw\n\
                      [Target]\nPath=/var/lib/x\n[X-Sysupdate]\nActivate=none\n";
    site.node.define("copied", definition)?;
    site.run(&["update", "-C", "copied"])?.well()?.prints("copied: installed 1\n")?;
    ensure!(fs::read(site.node.path("var/lib/x/x-1.raw"))? == b"x");
    ensure!(fs::read_dir(&outside)?.next().is_none(), "something was written outside of the root");

    // The link is in a directory that is itself a link, and its target is correct nevertheless.
    let site = Site::new()?;
    fs::create_dir_all(site.node.path("srv/deep/extensions"))?;
    std::os::unix::fs::symlink("../../srv/deep/extensions", site.node.path("var/lib/extensions"))?;
    site.run(&["update", "-C", "demo"])?.well()?;
    ensure!(site.node.in_use("demo")? == Some(Publisher::file("demo", "1.10")?), "the link leads elsewhere");
    site.run(&["update", "-C", "demo", "1.9"])?.well()?.prints("demo: updated from 1.10 to 1.9\n")?;
    ensure!(site.node.in_use("demo")? == Some(Publisher::file("demo", "1.9")?), "the link leads elsewhere");
    Ok(())
}
