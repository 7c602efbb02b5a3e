//! Components whose definitions were removed.

use std::fs;

use anyhow::{Result, ensure};
use tests::node::{Node, Publisher};
use tests::programs::program;

use crate::Site;

const WARNING: &str = "warning: demo is still installed, but it has no transfer definitions any more; \
                       `sysupdate remove demo` removes it\n";

pub(crate) fn remove() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo"])?.well()?;
    fs::remove_dir_all(site.node.path("etc/sysupdate.demo.d"))?;
    for verb in ["list", "update", "plan"] {
        site.run(&[verb, "-A"])?.well()?.mentions(WARNING)?;
        site.run(&[verb, "-C", "demo"])?.ended(1)?.mentions(WARNING)?;
    }
    let file = Publisher::file("demo", "1.10")?;
    let removed = format!(
        "demo: removed\n  ROOT/var/lib/extensions/demo.raw\n  ROOT/var/lib/sysupdate/images/demo/{file}\n"
    );
    site.run(&["remove", "demo"])?.well()?.says("")?.prints(&removed)?;
    ensure!(site.node.names("var/lib/sysupdate/images/demo")?.is_empty());
    ensure!(site.node.names("var/lib/extensions")?.is_empty());
    ensure!(site.node.names("var/lib/sysupdate/extensions")?.is_empty());
    site.run(&["remove", "demo"])?.ended(1)?.prints("")?.says("error: demo is not installed\n")?;
    Ok(())
}

pub(crate) fn defined() -> Result<()> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo"])?.well()?;
    let seen = site.run(&["remove", "demo"])?.ended(1)?.prints("")?;
    let seen =
        seen.mentions("error: demo still has transfer definitions, and the next update would install it")?;
    seen.mentions("\nhint: delete sysupdate.demo.d in /etc, /run, /usr/local/lib and /usr/lib first; ")?;
    ensure!(site.node.in_use("demo")?.is_some(), "it was removed");
    Ok(())
}

pub(crate) fn no_components() -> Result<()> {
    let node = Node::new(program("sysupdate")?)?;
    for verb in ["plan", "update", "list"] {
        node.run(&[verb, "-A"])?
            .well()?
            .mentions("No components defined: there are no transfer definitions in ")?;
    }
    Ok(())
}
