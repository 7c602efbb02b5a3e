//! `plan`, and the verbs that write: `update`, `acquire`, `vacuum`.

use std::fs;

use anyhow::{Result, ensure};
use tests::node::{Publisher, image};

use crate::Site;

pub(crate) fn plan() -> Result<()> {
    let site = Site::new()?;
    let install = |from: &str| {
        site.expect(&format!(
            "demo: install 1.10{from}\n  \
             get SERVER/demo/FILE, SIZE bytes, sha256 SHORT, catalog serial 1 of example, key KEY\n    \
             as ROOT/var/lib/sysupdate/images/demo/FILE\n"
        ))
    };
    site.run(&["plan", "-C", "demo"])?.well()?.says("")?.prints(&install("")?)?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    site.run(&["plan", "-C", "demo"])?.well()?.says("")?.prints(&install(" (now 1.9)")?)?;
    site.run(&["update", "-C", "demo"])?.well()?;
    let keep = "demo: keep 1.10: no newer version is eligible\n";
    site.run(&["plan", "-C", "demo"])?.well()?.says("")?.prints(keep)?;
    let back = "demo: activate 1.9 (already downloaded) (now 1.10)\n";
    site.run(&["plan", "-C", "demo", "1.9"])?.well()?.says("")?.prints(back)?;
    site.run(&["plan", "-C", "demo", "7"])?
        .ended(1)?
        .prints("demo: cannot use 7: neither installed nor available\n")?;
    Ok(())
}

pub(crate) fn plan_json() -> Result<()> {
    let site = Site::new()?;
    let expected = site.expect(
        r#"{
  "components": [
    {
      "component": "demo",
      "active": null,
      "decision": "install",
      "remove": [],
      "files": [
        {
          "transfer": "demo",
          "urls": [
            "SERVER/demo/FILE"
          ],
          "sha256": "SHA256",
          "size": SIZE,
          "evidence": {
            "kind": "signed",
            "repository": "example",
            "root": 1,
            "serial": 1,
            "key": "KEY"
          },
          "target": "ROOT/var/lib/sysupdate/images/demo/FILE"
        }
      ],
      "activation": {
        "version": "1.10",
        "previous": null,
        "merged": false,
        "links": [
          {
            "path": "ROOT/var/lib/extensions/demo.raw",
            "target": "ROOT/var/lib/sysupdate/images/demo/FILE"
          }
        ],
        "rollback_links": [
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
      "skipped": []
    }
  ]
}
"#,
    )?;
    site.run(&["plan", "-C", "demo", "--json=pretty"])?.well()?.says("")?.prints(&expected)?;
    Ok(())
}

pub(crate) fn update() -> Result<()> {
    let site = Site::new()?;
    let progress = site.expect(
        "demo: downloading SERVER/demo/FILE (0.0 MB)\ndemo: downloaded 1.10 (catalog serial 1 of example, key KEY)\n",
    )?;
    site.run(&["update", "-C", "demo"])?.well()?.says(&progress)?.prints("demo: installed 1.10\n")?;
    site.run(&["update", "-C", "demo"])?.well()?.says("")?.prints("demo: up to date\n")?;
    let back = "demo: downloading SERVER/demo/OLD (0.0 MB)\ndemo: downloaded 1.9 (catalog serial 1 of example, key KEY)\n";
    let back = site.expect(back)?.replace("OLD", &Publisher::file("demo", "1.9")?);
    let seen = site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    seen.says(&back)?.prints("demo: updated from 1.10 to 1.9\n")?;
    // Both are installed now, so nothing is downloaded.
    let seen = site.run(&["update", "-C", "demo"])?.well()?;
    seen.says("")?.prints("demo: updated from 1.9 to 1.10\n")?;
    site.run(&["update", "-A", "1.9"])?
        .ended(1)?
        .prints("")?
        .says("error: a version needs one component\nhint: select it with --component=\n")?;
    Ok(())
}

pub(crate) fn update_json() -> Result<()> {
    let site = Site::new()?;
    let report = |outcome: &str, files: &str| {
        format!(
            "{{\"components\":[{{\"component\":\"demo\",\"outcome\":{outcome},\"files\":[{files}],\
             \"removed\":[],\"skipped\":[],\"failures\":[],\"warnings\":[]}}],\"merged\":null,\"warnings\":[]}}\n"
        )
    };
    let installed = r#""updated","version":"1.10","previous":null"#;
    let file = site.expect(
        r#"{"transfer":"demo","path":"/var/lib/sysupdate/images/demo/FILE","sha256":"SHA256","evidence":{"kind":"signed","repository":"example","root":1,"serial":1,"key":"KEY"}}"#,
    )?;
    site.run(&["update", "-C", "demo", "--json"])?.well()?.prints(&report(installed, &file))?;
    site.run(&["update", "-C", "demo", "--json"])?.well()?.says("")?.prints(&report("\"up-to-date\"", ""))?;
    let seen = site.run(&["update", "-C", "demo", "--json", "7"])?.ended(1)?;
    seen.says("error: demo: cannot use 7: neither installed nor available\n")?.prints(
        "{\"components\":[{\"component\":\"demo\",\"outcome\":\"failed\",\"files\":[],\"removed\":[],\"skipped\":[],\
         \"failures\":[{\"error\":\"cannot use 7: neither installed nor available\"}],\"warnings\":[]}],\"merged\":null,\"warnings\":[]}\n",
    )?;
    Ok(())
}

/// An acquired version is activated without contacting the server again.
pub(crate) fn acquire() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    let news = "demo: 1.10 was downloaded; `sysupdate update` activates it\n";
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

pub(crate) fn offline() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    let listed = "● 1.9     ✓                   current\n";
    site.run(&["list", "-C", "demo", "--no-legend", "--offline"])?.well()?.says("")?.prints(listed)?;
    site.run(&["check-new", "-C", "demo", "--offline"])?.ended(1)?.says("")?.prints("")?;
    let plan = "demo: keep 1.9: no newer version is eligible\n";
    site.run(&["plan", "-C", "demo", "--offline"])?.well()?.says("")?.prints(plan)?;
    Ok(())
}

pub(crate) fn vacuum() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    site.run(&["update", "-C", "demo"])?.well()?;
    let vacuum = |arguments: &[&str]| site.run(&[&["vacuum", "-C", "demo"], arguments].concat());
    vacuum(&[])?.well()?.prints("")?.says("Found nothing to remove.\n")?;
    // The active version is also the last healthy one.
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

/// It would be rolled back as soon as it is merged, so it is not even downloaded, and not marked as failed.
/// With another program to merge it, it is installed.
pub(crate) fn disk_image() -> Result<()> {
    let mut site = Site::new()?;
    let disk = site.publisher.offer("demo", "2", image::data("demo", "2")?)?;
    disk.verity = Some("5".repeat(64));
    site.publisher.issue()?;
    site.node.define("demo", &site.publisher.transfer("demo", "Activate=refresh\n"))?;
    let why = "images with a partition table are not merged yet \
               (systemd-sysext merges them: set Activate=none)";
    let plan = site.run(&["-C", "demo", "plan"])?.well()?;
    plan.mentions("demo: install 1.10\n")?.mentions(&format!("  skipped 2: {why}\n"))?;
    site.run(&["-C", "demo", "list"])?.well()?.mentions(&format!("excluded: {why}\n"))?;
    site.run(&["-C", "demo", "update", "2"])?.ended(1)?.mentions(&format!("cannot use 2: {why}"))?;
    ensure!(site.node.names("var/lib/sysupdate/images/demo")?.is_empty(), "something was fetched");

    site.node.define("demo", &site.publisher.transfer("demo", "Activate=none\n"))?;
    site.run(&["-C", "demo", "update"])?.well()?;
    ensure!(site.node.in_use("demo")? == Some(Publisher::file("demo", "2")?));
    Ok(())
}
