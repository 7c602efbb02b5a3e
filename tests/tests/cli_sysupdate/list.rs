//! `list` and `check-new`.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::node::{Publisher, image};

use crate::Site;

pub(crate) fn list() -> Result<()> {
    let site = Site::new()?;
    let fresh = "demo\n  \
        VERSION INSTALLED AVAILABLE ASSESSMENT\n\
        ↻ 1.10              ✓         candidate\n  \
        1.9               ✓         available\n";
    site.run(&["list", "-C", "demo"])?.well()?.says("")?.prints(fresh)?;
    // Without a verb the output is the same.
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

pub(crate) fn list_of_odd_versions() -> Result<()> {
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
         × 2                 ✓         withdrawn: withdrawn by its publisher: it eats disks\n\
         ↻ 1.10              ✓         candidate\n\
         × 1.9               ✓         obsolete: older than MinVersion=1.10\n",
    )?;
    Ok(())
}

pub(crate) fn list_json() -> Result<()> {
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

pub(crate) fn list_of_all() -> Result<()> {
    let site = Site::new()?;
    site.node.define("broken", "[Source]\n")?;
    let seen = site.run(&["list", "-A", "--no-legend"])?.ended(1)?;
    ensure!(
        seen.stderr.starts_with("error: broken: ROOT/etc/sysupdate.broken.d/broken.transfer: "),
        "{seen}"
    );
    seen.prints("↻ 1.10              ✓         candidate\n  1.9               ✓         available\n")?;
    Ok(())
}

pub(crate) fn list_version() -> Result<()> {
    let site = Site::new()?;
    // Files on a server have no time and no mode.
    let offered = "↻ Version: 1.10\n    State: candidate\nInstalled: no\nAvailable: yes (newest)\nProtected: no\n \
                   Obsolete: no\n\nurl-file SERVER/demo/FILE KIB SHA256\n";
    let size = fs::metadata(site.publisher.path(format!("demo/{}", Publisher::file("demo", "1.10")?)))?.len();
    ensure!(size % 1024 == 0, "the image has {size} bytes");
    let offered = site.expect(offered)?.replace("KIB", &format!("{}K", size / 1024));
    site.run(&["list", "-C", "demo", "1.10", "--no-legend"])?.well()?.says("")?.prints(&offered)?;
    site.run(&["update", "-C", "demo"])?.well()?;
    let seen = site.run(&["list", "-C", "demo", "1.10"])?.well()?;
    let here = "● Version: 1.10\n    State: current\nInstalled: yes (newest)\nAvailable: yes\nProtected: no\n \
                Obsolete: no\n Evidence: demo: catalog serial 1 of example, key KEY\n\nTYPE         PATH";
    ensure!(
        seen.stdout.starts_with(&site.expect(here)?) && seen.stdout.trim_end().ends_with(" UTC 0644"),
        "{seen}"
    );
    let missing = "error: Update '7' not found.\n";
    site.run(&["list", "-C", "demo", "7"])?.ended(1)?.prints("")?.says(missing)?;
    let many = "error: a version needs one component\nhint: select it with --component=\n";
    site.run(&["list", "-A", "1.10"])?.ended(1)?.prints("")?.says(many)?;
    Ok(())
}

pub(crate) fn list_version_json() -> Result<()> {
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

pub(crate) fn check_new() -> Result<()> {
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
               hint: select one component with --component=\n",
    )?;
    Ok(())
}
