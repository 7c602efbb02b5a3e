//! Definitions in several directories.

use std::os::unix::fs::symlink;

use anyhow::{Result, ensure};
use tests::node::{Publisher, image};

use crate::{Site, Trial, UNMERGED};

pub(crate) const TRIALS: &[Trial] = &[
    ("fault_drop_ins_apply_in_order_of_their_names", drop_ins),
    ("fault_higher_priority_directory_overrides_and_masks", directories),
    ("fault_conf_files_are_read_without_transfer_files", conf),
    ("fault_reports_component_without_definitions", nothing),
    ("fault_reports_line_of_invalid_definition", mistake),
    ("fault_reports_extension_that_catalog_lacks", lacking),
    ("fault_reports_extension_for_another_architecture", architecture),
];

fn drop_ins() -> Result<()> {
    let mut site = Site::new()?;
    site.offer("2")?;
    let directory = "sysupdate.demo.d/demo.transfer.d";
    site.node.write(&format!("usr/lib/{directory}/10-min.conf"), "[Transfer]\nMinVersion=3\n")?;
    let expected = "demo: nothing to install\n  skipped 2: older than MinVersion=3\n  skipped 1: older than MinVersion=3\n";
    site.update()?.well()?.prints(expected)?;
    // A later name has priority in any directory; a file of the same name in a directory of higher priority
    // replaces the other.
    site.node.write(&format!("run/{directory}/20-min.conf"), "[Transfer]\nMinVersion=2\n")?;
    site.update()?.well()?.prints("demo: installed 2\n")?;
    symlink("/dev/null", {
        site.node.write(&format!("etc/{directory}/x"), "")?;
        site.node.path(&format!("etc/{directory}/20-min.conf"))
    })?;
    site.node
        .run(&["update", "-C", "demo", "1"])?
        .ended(1)?
        .mentions("cannot use 1: older than MinVersion=3")?;
    site.node.write(&format!("etc/{directory}/10-min.conf"), "")?;
    site.update_to("1")?.well()?;
    site.uses("1")
}

fn directories() -> Result<()> {
    let site = Site::new()?;
    // The file with lower priority would be invalid.
    site.node.write("usr/lib/sysupdate.demo.d/demo.transfer", "[Source]\nType=tape\n")?;
    site.node.write("usr/lib/sysupdate.demo.d/masked.transfer", "[Source]\nType=tape\n")?;
    site.update()?.ended(1)?.mentions("error: demo: ROOT/usr/lib/sysupdate.demo.d/masked.transfer:")?;
    symlink("/dev/null", site.node.path("etc/sysupdate.demo.d/masked.transfer"))?;
    site.update()?.well()?.prints("demo: installed 1\n")?;
    site.uses("1")
}

fn conf() -> Result<()> {
    let mut site = Site::new()?;
    let transfer = site.node.path("etc/sysupdate.demo.d/demo.transfer");
    std::fs::rename(&transfer, transfer.with_extension("conf"))?;
    site.update()?
        .well()?
        .prints("demo: installed 1\n")?
        .mentions("warning: demo has only .conf files; rename them to .transfer (systemd 257 or later)\n")?;
    site.uses("1")?;
    // Next to a .transfer file they are ignored.
    site.node.define("demo", &site.publisher.transfer("demo", &format!("{UNMERGED}Hold=yes\n")))?;
    site.offer("2")?;
    site.update()?.well()?.prints("demo: on hold; 2 is available\n")?;
    Ok(())
}

fn nothing() -> Result<()> {
    let site = Site::new()?;
    let seen = site.node.run(&["update", "-C", "absent"])?.ended(1)?;
    seen.prints(&crate::FAILED.replace("demo", "absent"))?.says(
        "error: absent: no transfer definitions found (searched ROOT/etc/sysupdate.absent.d, ROOT/run/sysupdate.absent.d, \
         ROOT/usr/local/lib/sysupdate.absent.d, ROOT/usr/lib/sysupdate.absent.d)\n\
         hint: put the publisher's .transfer file into one of these directories\n",
    )?;
    site.node
        .run(&["update", "-C", "../demo"])?
        .ended(1)?
        .says("error: Component name invalid: ../demo\n")?;
    let seen = site.node.run(&["update"])?.ended(1)?;
    seen.mentions("hint: select a component with --component=, or all of them with --component-all\n")?;
    Ok(())
}

fn mistake() -> Result<()> {
    let site = Site::new()?;
    site.redefine(|text| format!("{text}Colour=blue\n"))?;
    // An unknown key causes a warning, as in systemd.
    let seen = site.update()?.well()?;
    let warning = "warning: ROOT/etc/sysupdate.demo.d/demo.transfer:";
    ensure!(seen.stdout == "demo: installed 1\n" && seen.stderr.contains(warning), "{seen}");
    site.redefine(|text| text.replace("MatchPattern=demo-@v-%a.raw", "MatchPattern=demo.raw"))?;
    site.update()?.ended(1)?.mentions("error: demo: ROOT/etc/sysupdate.demo.d/demo.transfer:")?;
    site.uses("1")
}

fn lacking() -> Result<()> {
    let site = Site::new()?;
    site.redefine(|text| text.replace("=demo-@v", "=dmo-@v"))?;
    let hint = "hint: did you mean demo? It is in MatchPattern= of [Source]\n";
    let error = format!("error: demo: example does not offer dmo\n{hint}");
    site.update()?.ended(1)?.prints(crate::FAILED)?.says(&error)?;
    site.node.run(&["plan", "-C", "demo"])?.ended(1)?.says(&error)?;
    site.node.run(&["list", "-C", "demo"])?.ended(1)?.says(&error)?;
    site.redefine(|text| text.replace("=demo-@v", "=kubernetes-@v"))?;
    let report = "error: demo: example does not offer kubernetes\n";
    site.update()?.ended(1)?.prints(crate::FAILED)?.says(report)?;
    Ok(())
}

fn architecture() -> Result<()> {
    let mut site = Site::new()?;
    let own = Publisher::file("demo", "1")?.trim_start_matches("demo-1-").trim_end_matches(".raw").to_owned();
    let other = if own == "arm64" { "x86-64" } else { "arm64" };
    let instance = site.publisher.offer("demo", "1", image::data("demo", "1")?)?;
    instance.arch = other.parse()?;
    instance.image.url = instance.image.url.replace(&own, other);
    site.publisher.issue()?;
    let report = format!(
        "error: demo: example offers demo for {other} only, and this node is {own}\n\
         hint: ask the publisher for this architecture, or disable the component\n"
    );
    site.update()?.ended(1)?.prints(crate::FAILED)?.says(&report)?;
    // An extension without versions is not mistyped.
    let extensions = &mut site.publisher.catalog.extensions;
    extensions.values_mut().for_each(|extension| extension.instances.clear());
    site.publisher.issue()?;
    site.update()?.well()?.prints("demo: nothing to install\n")?;
    Ok(())
}
