//! What `sysupdate` prints, to the letter, on a small node whose clock stands still.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sysext_manifests::digest::Sha256;
use tests::needs::Suite;
use tests::node::{Node, Publisher, Seen, Snapshot, image};
use tests::programs::program;

const SYSUPDATE: &str = env!("CARGO_BIN_EXE_interrupted");

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for (name, body) in TRIALS {
        suite.trial(name, &[], *body);
    }
    suite.run()
}

type Trial = (&'static str, fn() -> Result<()>);

const TRIALS: &[Trial] = &[
    ("cli_list", list),
    ("cli_list_of_odd_versions", list_of_odd_versions),
    ("cli_disk_image_is_not_installed_where_it_would_be_merged", disk_image),
    ("cli_list_json", list_json),
    ("cli_list_of_all", list_of_all),
    ("cli_list_version", list_version),
    ("cli_list_version_json", list_version_json),
    ("cli_check_new", check_new),
    ("cli_plan", plan),
    ("cli_plan_json", plan_json),
    ("cli_update", update),
    ("cli_update_json", update_json),
    ("cli_acquire", acquire),
    ("cli_offline", offline),
    ("cli_vacuum", vacuum),
    ("cli_help", help),
    ("cli_mistakes_on_the_command_line", mistakes),
    ("cli_readers_write_nothing", readers_write_nothing),
    ("cli_root_that_is_not_there", root_that_is_not_there),
    ("cli_stock_timer", stock_timer),
    ("cli_links_of_a_root_stay_in_it", links_of_a_root),
];

/// A node that wants `demo`, of which two versions are on offer.
struct Site {
    publisher: Publisher,
    node: Node,
}

impl Site {
    fn new() -> Result<Self> {
        let mut publisher = Publisher::new("example")?;
        publisher.offer("demo", "1.9", image::data("demo", "1.9")?)?;
        publisher.offer("demo", "1.10", image::data("demo", "1.10")?)?;
        publisher.issue()?;
        let node = Node::new(SYSUPDATE)?;
        node.trust(&publisher)?;
        node.define("demo", &publisher.transfer("demo", "Activate=none\n"))?;
        Ok(Self { publisher, node })
    }

    fn run(&self, arguments: &[&str]) -> Result<Seen> {
        self.node.run(arguments)
    }

    /// Puts in what differs between runs and machines.
    fn expect(&self, text: &str) -> Result<String> {
        let file = Publisher::file("demo", "1.10")?;
        let image = fs::read(self.publisher.path(format!("demo/{file}")))?;
        let digest = Sha256::of(&image);
        Ok(text
            .replace("FILE", &file)
            .replace("SIZE", &image.len().to_string())
            .replace("SHORT", &digest.short())
            .replace("SHA256", &digest.to_string())
            .replace("KEY", &self.publisher.keys.named))
    }
}

fn list() -> Result<()> {
    let site = Site::new()?;
    let fresh = "demo\n  \
        VERSION INSTALLED AVAILABLE ASSESSMENT\n\
        ↻ 1.10              ✓         candidate\n  \
        1.9               ✓         available\n";
    site.run(&["list", "-C", "demo"])?.well()?.says("")?.prints(fresh)?;
    // Without a verb it is the same.
    site.run(&["-C", "demo"])?.well()?.says("")?.prints(fresh)?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    site.run(&["list", "-C", "demo"])?.well()?.says("")?.prints(
        "demo\n  \
         VERSION INSTALLED AVAILABLE ASSESSMENT\n\
         ↻ 1.10              ✓         candidate\n\
         ● 1.9     ✓         ✓         current\n",
    )?;
    site.run(&["update", "-C", "demo"])?.well()?;
    site.run(&["list", "-C", "demo", "--no-legend"])?
        .well()?
        .says("")?
        .prints("● 1.10    ✓         ✓         current\n  1.9     ✓         ✓         installed\n")?;
    Ok(())
}

fn list_of_odd_versions() -> Result<()> {
    let mut site = Site::new()?;
    let withdrawn = site.publisher.offer("demo", "2", image::data("demo", "2")?)?;
    withdrawn.withdrawn = Some("it eats disks".to_owned());
    site.publisher.issue()?;
    let definition = site.publisher.transfer("demo", "Activate=none\n");
    let definition = definition.replace("[Transfer]\n", "[Transfer]\nMinVersion=1.10\n");
    site.node.define("demo", &definition)?;
    let images = "var/lib/sysupdate/images/demo";
    site.node.write(&format!("{images}/.sysupdate.partial.{}", Publisher::file("demo", "3")?), "begun")?;
    site.node.write(&format!("{images}/.sysupdate.pending.{}", Publisher::file("demo", "4")?), "whole")?;
    site.run(&["list", "-C", "demo"])?.well()?.says("")?.prints(
        "demo\n  \
         VERSION INSTALLED AVAILABLE ASSESSMENT\n\
         ⤵ 4                           pending\n\
         ⤵ 3                           partial\n\
         × 2                 ✓         withdrawn: its publisher took it back: it eats disks\n\
         ↻ 1.10              ✓         candidate\n\
         × 1.9               ✓         obsolete: it is below MinVersion=1.10\n",
    )?;
    Ok(())
}

/// It would be taken back as soon as it is merged: it is not even fetched, and not called bad. Where
/// something else merges, it is installed.
fn disk_image() -> Result<()> {
    let mut site = Site::new()?;
    let disk = site.publisher.offer("demo", "2", image::data("demo", "2")?)?;
    disk.verity = Some("5".repeat(64));
    site.publisher.issue()?;
    site.node.define("demo", &site.publisher.transfer("demo", "Activate=refresh\n"))?;
    let why = "one of the images with a partition table, which are not merged yet \
               (systemd-sysext does; then Activate=none)";
    let plan = site.run(&["-C", "demo", "plan"])?.well()?;
    plan.mentions("demo: install 1.10\n")?.mentions(&format!("  not 2: it is {why}\n"))?;
    site.run(&["-C", "demo", "list"])?.well()?.mentions(&format!("excluded: it is {why}\n"))?;
    site.run(&["-C", "demo", "update", "2"])?.ended(1)?.mentions(&format!("2 is {why}"))?;
    ensure!(site.node.names("var/lib/sysupdate/images/demo")?.is_empty(), "something was fetched");

    site.node.define("demo", &site.publisher.transfer("demo", "Activate=none\n"))?;
    site.run(&["-C", "demo", "update"])?.well()?;
    ensure!(site.node.in_use("demo")? == Some(Publisher::file("demo", "2")?));
    Ok(())
}

fn list_json() -> Result<()> {
    let site = Site::new()?;
    let row = r#"{"version":"1.9","installed":false,"available":true,"assessment":"available"}"#;
    let expected = format!(
        "{{\"current\":null,\"all\":[\"1.10\",\"1.9\"],\"appstreamUrls\":[],\"component\":\"demo\",\"versions\":[{},{row}]}}",
        r#"{"version":"1.10","installed":false,"available":true,"assessment":"candidate"}"#
    );
    for flag in ["--json", "--json=short"] {
        site.run(&["list", "-C", "demo", flag])?.well()?.says("")?.prints(&format!("{expected}\n"))?;
    }
    site.run(&["list", "-A", "--json=short"])?.well()?.says("")?.prints(&format!("[{expected}]\n"))?;
    let pretty = site.run(&["list", "-C", "demo", "--json=pretty"])?.well()?.stdout;
    let same = serde_json::from_str::<Value>(&pretty)? == serde_json::from_str::<Value>(&expected)?;
    ensure!(same && pretty.starts_with("{\n  \"current\": null,\n"), "{pretty}");
    Ok(())
}

fn list_of_all() -> Result<()> {
    let site = Site::new()?;
    site.node.define("broken", "[Source]\n")?;
    let seen = site.run(&["list", "-A", "--no-legend"])?.ended(1)?;
    ensure!(seen.stderr.starts_with("error: broken: ROOT/etc/sysupdate.broken.d: broken.transfer"), "{seen}");
    seen.prints("↻ 1.10              ✓         candidate\n  1.9               ✓         available\n")?;
    Ok(())
}

fn list_version() -> Result<()> {
    let site = Site::new()?;
    // What a server offers has no time and no mode.
    let offered = "↻ Version: 1.10\n    State: candidate\nInstalled: no\nAvailable: yes (newest)\nProtected: no\n \
                   Obsolete: no\n\nurl-file SERVER/demo/FILE KIB SHA256\n";
    let size = fs::metadata(site.publisher.path(format!("demo/{}", Publisher::file("demo", "1.10")?)))?.len();
    ensure!(size % 1024 == 0, "the image has {size} bytes");
    let offered = site.expect(offered)?.replace("KIB", &format!("{}K", size / 1024));
    site.run(&["list", "-C", "demo", "1.10", "--no-legend"])?.well()?.says("")?.prints(&offered)?;
    site.run(&["update", "-C", "demo"])?.well()?;
    let seen = site.run(&["list", "-C", "demo", "1.10"])?.well()?;
    let here = "● Version: 1.10\n    State: current\nInstalled: yes (newest)\nAvailable: yes\nProtected: no\n \
                Obsolete: no\n\nTYPE         PATH";
    ensure!(seen.stdout.starts_with(here) && seen.stdout.trim_end().ends_with(" UTC 0644"), "{seen}");
    let missing = "error: Update '7' not found.\n";
    site.run(&["list", "-C", "demo", "7"])?.ended(1)?.prints("")?.says(missing)?;
    let many = "error: a version belongs to one component\nhint: name the component with --component=\n";
    site.run(&["list", "-A", "1.10"])?.ended(1)?.prints("")?.says(many)?;
    Ok(())
}

fn list_version_json() -> Result<()> {
    let site = Site::new()?;
    let expected = site.expect(
        "{\"version\":\"1.10\",\"newest\":true,\"available\":true,\"installed\":false,\"partial\":false,\
         \"pending\":false,\"obsolete\":false,\"protected\":false,\"incomplete\":false,\"changelogUrls\":[],\
         \"contents\":[{\"type\":\"url-file\",\"path\":\"SERVER/demo/FILE\",\"size\":SIZE,\"sha256\":\"SHA256\"}],\
         \"component\":\"demo\",\"assessment\":\"candidate\"}\n",
    )?;
    site.run(&["list", "-C", "demo", "1.10", "--json"])?.well()?.says("")?.prints(&expected)?;
    Ok(())
}

fn check_new() -> Result<()> {
    let site = Site::new()?;
    site.run(&["check-new", "-C", "demo"])?.well()?.says("")?.prints("1.10\n")?;
    let json = "{\"available\":\"1.10\"}\n";
    site.run(&["check-new", "-C", "demo", "--json"])?.well()?.says("")?.prints(json)?;
    site.run(&["update", "-C", "demo"])?.well()?;
    site.run(&["check-new", "-C", "demo"])?.ended(1)?.says("")?.prints("")?;
    let json = "{\"available\":null}\n";
    site.run(&["check-new", "-C", "demo", "--json"])?.ended(1)?.says("")?.prints(json)?;
    site.run(&["check-new", "-A"])?.ended(1)?.prints("")?.says(
        "error: --component-all/--component-suggested currently not supported for 'check-new'.\n\
               hint: name one component with --component=, or none\n",
    )?;
    Ok(())
}

fn plan() -> Result<()> {
    let site = Site::new()?;
    let install = |from: &str| {
        site.expect(&format!(
            "demo: install 1.10{from}\n  \
             get SERVER/demo/FILE, SIZE bytes, sha256 SHORT, signed by KEY in serial 1 of example\n    \
             as ROOT/var/lib/sysupdate/images/demo/FILE\n"
        ))
    };
    site.run(&["plan", "-C", "demo"])?.well()?.says("")?.prints(&install("")?)?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    site.run(&["plan", "-C", "demo"])?.well()?.says("")?.prints(&install(" (now 1.9)")?)?;
    site.run(&["update", "-C", "demo"])?.well()?;
    let keep = "demo: keep 1.10: nothing newer may be used\n";
    site.run(&["plan", "-C", "demo"])?.well()?.says("")?.prints(keep)?;
    let back = "demo: put 1.9, which is here already, in use (now 1.10)\n";
    site.run(&["plan", "-C", "demo", "1.9"])?.well()?.says("")?.prints(back)?;
    site.run(&["plan", "-C", "demo", "7"])?.ended(1)?.prints("demo: 7 is neither here nor offered\n")?;
    Ok(())
}

fn plan_json() -> Result<()> {
    let site = Site::new()?;
    let expected = site.expect(
        r#"{
  "components": [
    {
      "component": "demo",
      "active": null,
      "decision": "install",
      "remove": [],
      "acquire": [
        {
          "transfer": "demo",
          "urls": [
            "SERVER/demo/FILE"
          ],
          "sha256": "SHA256",
          "size": SIZE,
          "evidence": "signed by KEY in serial 1 of example",
          "target": "ROOT/var/lib/sysupdate/images/demo/FILE"
        }
      ],
      "activation": {
        "version": "1.10",
        "previous": null,
        "links": [
          {
            "path": "ROOT/var/lib/extensions/demo.raw",
            "target": "ROOT/var/lib/sysupdate/images/demo/FILE"
          }
        ],
        "back": [
          {
            "path": "ROOT/var/lib/extensions/demo.raw",
            "target": null
          }
        ],
        "files": [
          "ROOT/var/lib/sysupdate/images/demo/FILE"
        ],
        "sha256": [
          "SHA256"
        ],
        "health": []
      },
      "removals": [],
      "passed_over": []
    }
  ]
}
"#,
    )?;
    site.run(&["plan", "-C", "demo", "--json=pretty"])?.well()?.says("")?.prints(&expected)?;
    Ok(())
}

fn update() -> Result<()> {
    let site = Site::new()?;
    let progress = site.expect(
        "demo: fetching SERVER/demo/FILE (0.0 MB)\ndemo: 1.10 is here, signed by KEY in serial 1 of example\n",
    )?;
    site.run(&["update", "-C", "demo"])?.well()?.says(&progress)?.prints("demo: installed 1.10\n")?;
    site.run(&["update", "-C", "demo"])?.well()?.says("")?.prints("demo: up to date\n")?;
    let back =
        "demo: fetching SERVER/demo/OLD (0.0 MB)\ndemo: 1.9 is here, signed by KEY in serial 1 of example\n";
    let back = site.expect(back)?.replace("OLD", &Publisher::file("demo", "1.9")?);
    let seen = site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    seen.says(&back)?.prints("demo: updated from 1.10 to 1.9\n")?;
    // Both are here now: nothing is fetched.
    let seen = site.run(&["update", "-C", "demo"])?.well()?;
    seen.says("")?.prints("demo: updated from 1.9 to 1.10\n")?;
    site.run(&["update", "-A", "1.9"])?
        .ended(1)?
        .prints("")?
        .says("error: a version belongs to one component\nhint: name the component with --component=\n")?;
    Ok(())
}

fn update_json() -> Result<()> {
    let site = Site::new()?;
    let report = |outcome: &str, evidence: &str| {
        format!(
            "{{\"components\":[{{\"component\":\"demo\",\"outcome\":{outcome}{evidence},\
             \"dropped\":[],\"passed_over\":[],\"failures\":[],\"warnings\":[]}}],\"merged\":null,\"warnings\":[]}}\n"
        )
    };
    let installed = r#""updated","version":"1.10","previous":null"#;
    let evidence = site.expect(r#","evidence":"signed by KEY in serial 1 of example""#)?;
    site.run(&["update", "-C", "demo", "--json"])?.well()?.prints(&report(installed, &evidence))?;
    site.run(&["update", "-C", "demo", "--json"])?.well()?.says("")?.prints(&report("\"up-to-date\"", ""))?;
    let seen = site.run(&["update", "-C", "demo", "--json", "7"])?.ended(1)?;
    seen.says("")?.prints(
        "{\"components\":[{\"component\":\"demo\",\"outcome\":\"undecided\",\"dropped\":[],\"passed_over\":[],\
         \"failures\":[{\"error\":\"7 is neither here nor offered\"}],\"warnings\":[]}],\"merged\":null,\"warnings\":[]}\n",
    )?;
    Ok(())
}

/// What was acquired is put in use without another look at its bytes' server.
fn acquire() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    let news = "demo: 1.10 is here; the next update puts it in use\n";
    site.run(&["acquire", "-C", "demo"])?.well()?.prints(news)?;
    let (pending, old) = (Publisher::file("demo", "1.10")?, Publisher::file("demo", "1.9")?);
    let names = site.node.names("var/lib/sysupdate/images/demo")?;
    ensure!(names == [format!(".sysupdate.pending.{pending}"), old.clone()], "{names:?}");
    ensure!(site.node.in_use("demo")? == Some(old), "something else is in use");
    site.run(&["acquire", "-C", "demo"])?.well()?.prints(news)?;
    fs::remove_file(site.publisher.path(format!("demo/{pending}")))?;
    site.run(&["update", "-C", "demo"])?.well()?.prints("demo: updated from 1.9 to 1.10\n")?;
    site.run(&["acquire", "-C", "demo"])?.well()?.prints("demo: up to date\n")?;
    Ok(())
}

fn offline() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    let listed = "● 1.9     ✓                   current\n";
    site.run(&["list", "-C", "demo", "--no-legend", "--offline"])?.well()?.says("")?.prints(listed)?;
    site.run(&["check-new", "-C", "demo", "--offline"])?.ended(1)?.says("")?.prints("")?;
    let plan = "demo: keep 1.9: nothing newer may be used\n";
    site.run(&["plan", "-C", "demo", "--offline"])?.well()?.says("")?.prints(plan)?;
    Ok(())
}

fn vacuum() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    site.run(&["update", "-C", "demo"])?.well()?;
    let vacuum = |arguments: &[&str]| site.run(&[&["vacuum", "-C", "demo"], arguments].concat());
    vacuum(&[])?.well()?.prints("")?.says("Found nothing to remove.\n")?;
    // The last good version is the one in use.
    let old = Publisher::file("demo", "1.9")?;
    vacuum(&["-m", "1"])?.well()?.prints("")?.says(&format!(
        "Removing old 'ROOT/var/lib/sysupdate/images/demo/{old}' (regular-file).\nRemoved 1 instances.\n"
    ))?;
    vacuum(&["--json=short", "-m1"])?
        .well()?
        .says("")?
        .prints("{\"removed\":0,\"disabledTransfers\":0}\n")?;
    vacuum(&["-m", "0"])?
        .ended(1)?
        .says("error: The --instances-max= argument must be >= 1 while vacuuming\n")?;
    let seen = site.run(&["update", "-C", "demo", "--instances-max=1"])?.ended(1)?;
    seen.says("error: The --instances-max= argument must be >= 2 while updating\n")?;
    Ok(())
}

fn help() -> Result<()> {
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

/// Whatever is wrong, the status is 1, as that of systemd's tools.
fn mistakes() -> Result<()> {
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

fn readers_write_nothing() -> Result<()> {
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

fn root_that_is_not_there() -> Result<()> {
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

fn stock_timer() -> Result<()> {
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

/// Where a system keeps its things behind absolute links, these mean that system's own directories: of
/// its state, of its lock, and of a repository that was copied there.
fn links_of_a_root() -> Result<()> {
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

    // The link is in a directory that is a link, and leads where it should all the same.
    let site = Site::new()?;
    fs::create_dir_all(site.node.path("srv/deep/extensions"))?;
    std::os::unix::fs::symlink("../../srv/deep/extensions", site.node.path("var/lib/extensions"))?;
    site.run(&["update", "-C", "demo"])?.well()?;
    ensure!(site.node.in_use("demo")? == Some(Publisher::file("demo", "1.10")?), "the link leads elsewhere");
    site.run(&["update", "-C", "demo", "1.9"])?.well()?.prints("demo: updated from 1.10 to 1.9\n")?;
    ensure!(site.node.in_use("demo")? == Some(Publisher::file("demo", "1.9")?), "the link leads elsewhere");
    Ok(())
}
