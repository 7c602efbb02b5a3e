//! The real systemd 257 and 262 install what `bakery publish` wrote; and both merge programs on one host
//! continue from each other's merges.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use tests::needs::{Need, Suite};
use tests::peer::{Peer, Shared, merged_into_usr, run};
use tests::programs::program;
use tests::server::Server;

const STOCK_SYSUPDATE: &str = "/usr/lib/systemd/systemd-sysupdate";
const BAKERY: &str = "/opt/ours/bakery";
const SYSUPDATE: &str = "/opt/ours/sysupdate";

/// A file of the extension, at its merged path.
const WORD: &str = "/usr/share/demo/word";

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for peer in Peer::ALL {
        let needs = [Need::Peer(peer), Need::Filesystem("erofs"), Need::Filesystem("overlay")];
        let mut add = |what: &str, body: fn(&Site) -> Result<()>| {
            let name = format!("peer_systemd_{}_{what}", peer.systemd());
            suite.isolated(&name, &needs, move || body(&Site::open(peer)?));
        };
        add("sysupdate_installs_what_we_publish", |site| installs(site, "transfer"));
        add("sysupdate_reads_the_conf_twin", |site| installs(site, "conf"));
        match peer {
            Peer::Trixie => add("sysupdate_skips_a_pre_release", passes_over),
            Peer::Sid => add("sysupdate_installs_a_pre_release", |site| sees_pre_release(site, "2~rc.1")),
        }
        add("sysext_merges_what_we_publish", merges);
        add("sysext_and_sysupdate_continue_from_each_others_merge", takes_turns);
        add("sysupdate_and_ours_continue_from_each_others_files", updates_in_turns);
    }
    suite.run()
}

/// The peer's root with our programs, and a repository on a server.
struct Site {
    server: Server,
}

impl Site {
    fn open(peer: Peer) -> Result<Self> {
        let bakery = program("bakery")?;
        let ours = bakery.parent().context("a program is in a directory")?;
        peer.enter(&[Shared { host: ours, peer: Path::new("/opt/ours") }])?;
        fs::create_dir_all("/srv/public")?;
        let server = Server::serve(Path::new("/srv/public")).context("cannot serve")?;
        run(
            BAKERY,
            &["keygen", "/srv/keys", "--repository", "demo", "--url", &server.url(), "--unencrypted"],
        )?;
        Ok(Self { server })
    }

    /// Bakes a version, and another extension, so that the store contains more than one.
    fn publish(&self, version: &str) -> Result<()> {
        for name in ["demo", "demo-other"] {
            let tree = format!("/srv/tree/{name}-{version}");
            fs::create_dir_all(format!("{tree}/usr/share/{name}"))?;
            fs::write(format!("{tree}/usr/share/{name}/word"), format!("{name} {version}"))?;
            let bake = ["bake", "--tree", &tree, "--name", name, "--version", version, "--out", "/srv/store"];
            run(BAKERY, &bake)?;
        }
        let url = self.server.url();
        run(BAKERY, &["index", "/srv/store", "--repository", "demo", "--url", &url, "--keys", "/srv/keys"])?;
        run(BAKERY, &["publish", "/srv/store", "--to", "/srv/public"])?;
        Ok(())
    }

    /// The steps that the comment in the published file describes.
    fn define(&self, ending: &str) -> Result<()> {
        for directory in ["/etc/sysupdate.demo.d", "/var/lib/sysupdate/images/demo", "/var/lib/extensions"] {
            fs::create_dir_all(directory)?;
        }
        let name = format!("demo.{ending}");
        fs::copy(format!("/srv/public/demo/{name}"), format!("/etc/sysupdate.demo.d/{name}"))?;
        Ok(())
    }

    /// The additional file for our updater.
    fn trust(&self) -> Result<()> {
        fs::create_dir_all("/etc/sysupdate/repositories")?;
        fs::copy("/srv/keys/demo.toml", "/etc/sysupdate/repositories/demo.toml")?;
        Ok(())
    }
}

fn installs(site: &Site, ending: &str) -> Result<()> {
    site.publish("1.9")?;
    site.publish("1.10")?;
    site.define(ending)?;
    ensure!(run(STOCK_SYSUPDATE, &["-C", "demo", "check-new"])?.trim() == "1.10");
    run(STOCK_SYSUPDATE, &["-C", "demo", "update"])?;
    let architecture = sysext_manifests::architecture::Architecture::of_machine(std::env::consts::ARCH)
        .context("this machine's architecture has no name in systemd")?;
    let name = format!("demo-1.10-{}.raw", architecture.as_str());
    let installed = fs::read(format!("/var/lib/sysupdate/images/demo/{name}"))?;
    ensure!(installed == fs::read(format!("/srv/public/demo/{name}"))?, "other bytes than were published");
    let link = fs::canonicalize("/var/lib/extensions/demo.raw")?;
    ensure!(link.ends_with(&name), "CurrentSymlink leads to {}", link.display());
    Ok(())
}

/// The documentation says so, and bakery warns about it: if stock 257 learns to read them, both must change.
fn passes_over(site: &Site) -> Result<()> {
    sees_pre_release(site, "1")
}

/// The newest version according to stock, if a pre-release is above the only other version.
fn sees_pre_release(site: &Site, newest: &str) -> Result<()> {
    site.publish("1")?;
    site.publish("2~rc.1")?;
    site.define("transfer")?;
    site.trust()?;
    ensure!(run(STOCK_SYSUPDATE, &["-C", "demo", "check-new"])?.trim() == newest);
    ensure!(run(SYSUPDATE, &["-C", "demo", "check-new"])?.trim() == "2~rc.1");
    Ok(())
}

fn merges(site: &Site) -> Result<()> {
    site.publish("1")?;
    site.define("transfer")?;
    run(STOCK_SYSUPDATE, &["-C", "demo", "update"])?;
    ensure!(!Path::new(WORD).exists(), "there before the merge");
    run("systemd-sysext", &["merge"])?;
    ensure!(fs::read_to_string(WORD)? == "demo 1");
    run("systemd-sysext", &["unmerge"])?;
    ensure!(!Path::new(WORD).exists(), "there after the unmerge");
    Ok(())
}

fn takes_turns(site: &Site) -> Result<()> {
    site.publish("1")?;
    site.define("transfer")?;
    run(STOCK_SYSUPDATE, &["-C", "demo", "update"])?;

    run(SYSUPDATE, &["sysext", "merge"])?;
    ensure!(merged_into_usr()? == ["demo"], "stock does not see our merge");
    ensure!(fs::read_to_string(WORD)? == "demo 1");
    run("systemd-sysext", &["refresh"])?;
    ensure!(fs::read_to_string(WORD)? == "demo 1", "stock's refresh of our merge lost a file");
    run(SYSUPDATE, &["sysext", "refresh", "--always-refresh"])?;
    ensure!(merged_into_usr()? == ["demo"], "stock does not see our refresh of its merge");
    run("systemd-sysext", &["unmerge"])?;
    ensure!(!Path::new(WORD).exists(), "stock's unmerge left our merge");

    run("systemd-sysext", &["merge"])?;
    let status = run(SYSUPDATE, &["sysext", "status"])?;
    ensure!(status.lines().any(|line| line.starts_with("/usr ") && line.ends_with(" demo")), "{status}");
    run(SYSUPDATE, &["sysext", "unmerge"])?;
    ensure!(!Path::new(WORD).exists(), "our unmerge left stock's merge");
    ensure!(merged_into_usr()?.is_empty());
    Ok(())
}

fn updates_in_turns(site: &Site) -> Result<()> {
    site.publish("1")?;
    site.define("transfer")?;
    site.trust()?;
    run(SYSUPDATE, &["-C", "demo", "update"])?;
    ensure!(fs::read_to_string(WORD)? == "demo 1");
    let listed = |json: &str| -> Result<serde_json::Value> {
        Ok(serde_json::from_str::<serde_json::Value>(json)?["current"].clone())
    };
    ensure!(listed(&run(STOCK_SYSUPDATE, &["-C", "demo", "list", "--json=short"])?)? == "1");

    site.publish("2")?;
    run(STOCK_SYSUPDATE, &["-C", "demo", "update"])?;
    ensure!(listed(&run(SYSUPDATE, &["-C", "demo", "list", "--json"])?)? == "2");
    ensure!(fs::read_to_string(WORD)? == "demo 1", "stock's updater does not merge");

    site.publish("3")?;
    run(SYSUPDATE, &["-C", "demo", "update"])?;
    ensure!(fs::read_to_string(WORD)? == "demo 3");
    ensure!(listed(&run(STOCK_SYSUPDATE, &["-C", "demo", "list", "--json=short"])?)? == "3");
    Ok(())
}
