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
        r#"Downloads, verifies and merges system extensions, checks that they work, and takes them back when
they do not

Usage: sysupdate [OPTIONS] [COMMAND]

Commands:
  list               Show the versions that are here and that are offered (what happens without a
                     verb)
  check-new          Print the version an update would bring; the exit status is 1 if there is none
  plan               Show what an update would do, and why
  update             Bring the newest version, or the one named, and put it in use if it passes its
                     checks
  acquire            Bring the newest version, or the one named; `update` then puts it in use
  vacuum             Make room: remove old versions, and what features brought that are off now
  sysext             Merge system extensions into /usr and /opt
  trust              Show what this node believes of its repositories, or make it start afresh
  features           Show what may be switched on and off within a component
  enable-feature     Switch features on; their transfers take part from the next update on
  disable-feature    Switch features off; what they brought goes with the next update
  components         Show which components there are, and which take part
  enable-component   Switch components on; they take part from the next update on
  disable-component  Switch components off; what they have installed stays
  compare-versions   Tell which of two versions is newer, as systemd-analyze does: 0 equal, 11 the
                     first, 12 the second
  help               Print this message or the help of the given subcommand(s)

Options:
  -C, --component <NAME>        Work on this component: /etc/sysupdate.NAME.d and its likes
  -A, --component-all           Work on every component there is
  -S, --component-suggested     Switch every component that suits this host, as its metadata says
  -a, --feature-all             Switch every feature
  -s, --feature-suggested       Switch every feature that suits this host, as its file says
      --definitions <DIR>       Read definitions from this directory instead
      --root <DIR>              Work on the system below this directory [default: /]
      --verify <BOOL>           Whether a manifest without a repository must be signed with OpenPGP;
                                overrides Verify=
  -m, --instances-max <NUMBER>  How many versions of each file may be there, whatever InstancesMax=
                                says
      --json[=<MODE>]           Print JSON [default: off] [possible values: off, short, pretty]
      --no-legend               Print no headings and footings
      --offline                 Ask no source: only what is here counts
      --no-pager                Accepted for compatibility: output is never sent through a pager
      --sync <BOOL>             Accepted for compatibility: what is written is always made durable
      --cleanup <BOOL>          Accepted for compatibility: files that no definition claims any more
                                stay
  -h, --help                    Print help
  -V, --version                 Print version
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
            "error: invalid value 'perhaps' for '--verify <BOOL>': say yes or no\n",
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
