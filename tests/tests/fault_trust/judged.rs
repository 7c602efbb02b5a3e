//! Versions that are merged and checked.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sysext_image::tree::Metadata;
use tests::interrupt;
use tests::node::{Publisher, Seen, image, leftovers, merged};
use tests::peer::run;

use crate::{Site, Trial};

pub(crate) const TRIALS: &[Trial] = &[
    ("fault_rolls_back_unhealthy_version_and_skips_it", unhealthy),
    ("fault_rejects_catalog_check_outside_the_extension", outside),
    ("fault_rejects_catalog_check_through_link_out_of_the_extension", link_out),
    ("fault_runs_checks_of_the_operator_too", operator),
    ("fault_rolls_back_image_that_cannot_be_merged", does_not_fit),
    ("fault_rolls_back_only_the_unhealthy_component", one_of_two),
    ("fault_rolls_back_when_unchecked_image_is_missing", gone_on_trial),
    ("fault_updates_while_opt_is_merged", opt_is_merged),
    ("fault_failed_merge_does_not_condemn_the_version", without_privilege),
];

const CHECK: &str = "exec:/usr/bin/demo-check";

fn offer(site: &mut Site, version: &str, image: Vec<u8>, check: &str) -> Result<()> {
    site.publisher.offer("demo", version, image)?.health = vec![check.parse()?];
    site.publisher.issue()
}

fn is_merged(site: &Site, version: Option<&str>) -> Result<()> {
    let found = merged(&site.node.root, "demo")?;
    ensure!(found.as_deref() == version, "{found:?} is merged, not {version:?}");
    ensure!(site.node.path("usr/lib/os-release").is_file(), "the host's own files are gone");
    Ok(())
}

/// A site with version 1, which is healthy.
fn well() -> Result<Site> {
    let mut site = Site::with("HealthTimeout=3s\n")?;
    offer(&mut site, "1", image::with_check("demo", "1", 0)?, CHECK)?;
    site.update()?.well()?.prints("demo: installed 1\n")?;
    is_merged(&site, Some("1"))?;
    Ok(site)
}

fn unhealthy() -> Result<()> {
    let mut site = well()?;
    offer(&mut site, "2", image::with_check("demo", "2", 3)?, CHECK)?;
    let expected = "demo: rolled back from 2 to 1: exec:/usr/bin/demo-check failed for 3s: exit status 3\n";
    site.update()?.ended(1)?.prints(expected)?;
    is_merged(&site, Some("1"))?;
    site.uses("1")?;
    site.has(&["1"])?;
    ensure!(site.node.record("demo")?["last_good"] == "1");
    // It is not tried again, and not downloaded.
    site.publisher.server.forget();
    let passed_over = "demo: up to date\n  skipped 2: failed its health checks: \
         exec:/usr/bin/demo-check failed for 3s: exit status 3\n";
    site.update()?.well()?.prints(passed_over)?;
    ensure!(site.publisher.server.requests().len() == 1);
    // The same version with other bytes may be tried.
    offer(&mut site, "2", image::with_check("demo", "2", 0)?, CHECK)?;
    site.update()?.well()?.prints("demo: updated from 1 to 2\n")?;
    is_merged(&site, Some("2"))?;
    ensure!(site.node.record("demo")?["bad"] == serde_json::json!([]));
    // After a rollback, the next version is compared with the active one.
    offer(&mut site, "3", image::with_check("demo", "3", 1)?, CHECK)?;
    site.update()?.ended(1)?;
    offer(&mut site, "4", image::with_check("demo", "4", 0)?, CHECK)?;
    site.update()?.well()?.prints("demo: updated from 2 to 4\n")?;
    is_merged(&site, Some("4"))
}

/// A publisher may not run programs of the host.
fn outside() -> Result<()> {
    let mut site = well()?;
    let program = image::program_that_exits(0)?;
    site.node.write("opt/tool", &program)?;
    site.node.write("bin/tool", &program)?;
    for (version, path) in ["/opt/tool", "/bin/tool", "/usr/../bin/tool", "/usr/bin"].into_iter().enumerate()
    {
        let version = (version + 2).to_string();
        let image = image::with_check("demo", &version, 0)?;
        offer(&mut site, &version, image, &format!("exec:{path}"))?;
        site.update()?.ended(1)?.mentions(&format!(
            "demo: rolled back from {version} to 1: the catalog asks to run {path}, which is not in the \
             extension\n"
        ))?;
        is_merged(&site, Some("1"))?;
    }
    offer(&mut site, "9", image::with_check("demo", "9", 0)?, "unit:demo.service")?;
    // A version that cannot be checked is not even downloaded.
    site.publisher.server.forget();
    site.update()?.well()?.mentions(
        "  skipped 9: cannot check its health: health check \"unit:demo.service\" is not supported by this version, which \
         only runs exec: checks\n",
    )?;
    ensure!(site.publisher.server.requests().len() == 1);
    is_merged(&site, Some("1"))
}

/// Neither through a link in the image, nor through a linked directory.
fn link_out() -> Result<()> {
    let mut site = well()?;
    let marker = site.node.path("ran");
    site.node.write("bin/tool", image::program_that_exits(0)?)?;
    let link = Metadata::new(0o777);
    let mut tree = image::tree("demo", "2")?;
    tree.insert_symlink("usr/share/demo/tool", "/bin/tool", link.clone())?;
    tree.insert_symlink("usr/share/demo/directory", "/bin", link.clone())?;
    tree.insert_symlink("usr/share/demo/up", "../../../bin", link)?;
    tree.insert_bytes("bin/tool", image::program_that_exits(0)?, Metadata::new(0o755))?;
    for (version, path) in ["tool", "directory/tool", "up/tool"].into_iter().enumerate() {
        let version = (version + 2).to_string();
        tree.insert_bytes("usr/share/demo/version", version.as_bytes(), Metadata::new(0o644))?;
        offer(&mut site, &version, image::bytes(&tree)?, &format!("exec:/usr/share/demo/{path}"))?;
        site.update()?.ended(1)?.mentions(&format!(
            "demo: rolled back from {version} to 1: the catalog asks to run /usr/share/demo/{path}, which \
             is not in the extension\n"
        ))?;
        is_merged(&site, Some("1"))?;
    }
    ensure!(!marker.exists());
    Ok(())
}

/// The operator's checks run in addition to those of the catalog, and may run any program.
fn operator() -> Result<()> {
    let mut site = well()?;
    site.node.write("bin/tool", image::program_that_exits(4)?)?;
    chmod(&site.node.path("bin/tool"))?;
    let definition = site.publisher.transfer("demo", "HealthTimeout=2s\nHealthCheck=exec:/bin/tool --now\n");
    site.node.define("demo", &definition)?;
    offer(&mut site, "2", image::with_check("demo", "2", 0)?, CHECK)?;
    let seen = site.update()?.ended(1)?;
    seen.mentions("exec:/bin/tool --now failed for 2s: exit status 4\n")?;
    is_merged(&site, Some("1"))?;
    site.node.write("bin/tool", image::program_that_exits(0)?)?;
    offer(&mut site, "3", image::with_check("demo", "3", 1)?, CHECK)?;
    site.update()?.ended(1)?.mentions("exec:/usr/bin/demo-check failed for 2s: exit status 1\n")?;
    is_merged(&site, Some("1"))?;
    offer(&mut site, "4", image::with_check("demo", "4", 0)?, CHECK)?;
    site.update()?.well()?;
    is_merged(&site, Some("4"))
}

/// A version whose image is not merged has failed, whatever its checks would return.
fn does_not_fit() -> Result<()> {
    let mut site = well()?;
    let mut tree = image::tree("demo", "2")?;
    let release = "usr/lib/extension-release.d/extension-release.demo";
    tree.insert_bytes(release, "ID=another\n", Metadata::new(0o644))?;
    site.publisher.offer("demo", "2", image::bytes(&tree)?)?;
    site.publisher.offer("demo", "3", "no file system at all")?;
    site.publisher.issue()?;
    let taken_back = |seen: Seen, version: &str| {
        seen.ended(1)?.mentions(&format!("demo: rolled back from {version} to 1: demo (/var/lib/"))
    };
    taken_back(site.update()?, "3")?.mentions("is not an erofs or squashfs image")?;
    is_merged(&site, Some("1"))?;
    taken_back(site.update()?, "2")?;
    is_merged(&site, Some("1"))?;
    site.has(&["1"])?;
    site.update()?.well()?;
    Ok(())
}

fn one_of_two() -> Result<()> {
    let mut site = well()?;
    site.node.define("other", &site.publisher.transfer("other", ""))?;
    site.publisher.offer("other", "1", image::data("other", "1")?)?;
    offer(&mut site, "2", image::with_broken_check("demo", "2")?, CHECK)?;
    let seen = site.node.run(&["update", "-A"])?.ended(1)?;
    seen.mentions("demo: rolled back from 2 to 1: ")?.mentions("\nother: installed 1\n")?;
    is_merged(&site, Some("1"))?;
    ensure!(merged(&site.node.root, "other")?.as_deref() == Some("1"));
    Ok(())
}

/// The program is killed before the check, and then the image disappears: the version is neither healthy nor
/// unhealthy.
fn gone_on_trial() -> Result<()> {
    let mut site = Site::with("")?;
    site.update()?.well()?;
    site.offer("2")?;
    let file = Publisher::file("demo", "2")?;
    // Each run gets further than the previous one.
    for at in 1.. {
        let mut command = site.node.command(&["update", "-C", "demo"]);
        command.env(interrupt::AT, at.to_string());
        let seen = site.node.see(command)?;
        ensure!(!seen.status.success(), "it came to its end: {seen}");
        if site.node.in_use("demo")?.as_ref() == Some(&file) {
            break;
        }
    }
    ensure!(site.node.record("demo")?["trial"]["stage"] == "checking");
    let image = site.node.path("var/lib/sysupdate/images/demo").join(file);
    fs::remove_file(image)?;
    fs::rename(site.publisher.path("catalog"), site.publisher.path("hidden"))?;
    let seen = site.update()?.ended(1)?;
    seen.mentions("demo: rolled back from 2 to 1: its files are missing: demo\n")?;
    is_merged(&site, Some("1"))?;
    site.uses("1")?;
    ensure!(site.node.record("demo")?["bad"] == serde_json::json!([]));
    fs::rename(site.publisher.path("hidden"), site.publisher.path("catalog"))?;
    site.update()?.well()?.prints("demo: updated from 1 to 2\n")?;
    is_merged(&site, Some("2"))
}

/// The layout of Flatcar, and an extension that makes all of `/opt` read-only.
fn opt_is_merged() -> Result<()> {
    let mut site = Site::new()?;
    let definition = site.publisher.transfer_into("demo", "/opt/extensions/demo", "");
    let definition = definition.replace("/var/lib/extensions/demo.raw", "/etc/extensions/demo.raw");
    site.node.define("demo", &definition)?;
    offer(&mut site, "1", image::with_check("demo", "1", 0)?, CHECK)?;
    site.update()?.well()?;
    is_merged(&site, Some("1"))?;

    let mut tree = image::tree("tools", "1")?;
    tree.insert_bytes("opt/tools/word", "tools", Metadata::new(0o644))?;
    site.node.write("var/lib/extensions/tools.raw", image::bytes(&tree)?)?;
    site.node.run(&["sysext", "refresh"])?.well()?;
    ensure!(fs::read_to_string(site.node.path("opt/tools/word"))? == "tools");
    ensure!(fs::write(site.node.path("opt/extensions/demo/probe"), "").is_err(), "/opt can still be written");

    for version in ["2", "3"] {
        offer(&mut site, version, image::with_check("demo", version, 0)?, CHECK)?;
        site.update()?.well()?.mentions(&format!(" to {version}\n"))?;
        is_merged(&site, Some(version))?;
        ensure!(fs::read_to_string(site.node.path("opt/tools/word"))? == "tools");
        site.node.run(&["list", "-C", "demo"])?.well()?.mentions(&format!("● {version}"))?;
    }
    offer(&mut site, "4", image::with_broken_check("demo", "4")?, CHECK)?;
    site.update()?.ended(1)?;
    is_merged(&site, Some("3"))?;
    ensure!(leftovers(&site.node.root)?.is_empty(), "{:?}", leftovers(&site.node.root)?);
    let link = fs::read_link(site.node.path("etc/extensions/demo.raw"))?;
    ensure!(link == Path::new("../../opt/extensions/demo").join(Publisher::file("demo", "3")?), "{link:?}");
    site.node.run(&["sysext", "unmerge"])?.well()?;
    let names = site.node.names("opt/extensions/demo")?;
    let expected: Vec<_> =
        ["2", "3"].map(|version| Publisher::file("demo", version)).into_iter().collect::<Result<_>>()?;
    ensure!(names == expected, "{names:?}");
    Ok(())
}

/// A missing privilege to mount says nothing about an image: the next privileged run checks it.
fn without_privilege() -> Result<()> {
    const NOBODY: u32 = 65_534;
    let mut site = Site::with("HealthTimeout=3s\n")?;
    offer(&mut site, "1", image::with_check("demo", "1", 0)?, CHECK)?;
    let scratch = site.node.root.parent().context("a root is in a scratch directory")?;
    run("chown", &["-R", "65534:65534", &scratch.to_string_lossy()])?;
    let mut command = site.node.command(&["update", "-C", "demo"]);
    command.uid(NOBODY).gid(NOBODY);
    let seen = site.node.see(command)?.ended(1)?;
    ensure!(
        seen.stdout
            .starts_with("demo: 1 is installed but not merged, so it was not checked; the next update continues from there\n"),
        "{}",
        seen.stdout
    );
    ensure!(seen.stderr.ends_with("\nhint: merging requires root with CAP_SYS_ADMIN\n"), "{seen}");
    ensure!(site.node.record("demo")?["bad"] == serde_json::json!([]));
    is_merged(&site, None)?;
    site.update()?.well()?.prints("demo: installed 1\n")?;
    is_merged(&site, Some("1"))
}

fn chmod(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
