//! `retry`: a version that failed its checks may be installed again.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::Site;

const RECORD: &str = "var/lib/sysupdate/extensions/demo.json";

/// A node with 1.9 on which 1.10 failed its checks.
fn failed() -> Result<Site> {
    let site = Site::new()?;
    site.run(&["update", "-C", "demo", "1.9"])?.well()?;
    let mut record = site.node.record("demo")?;
    let bad = json!([{"version": "1.10", "sha256": [], "output": "exit status 1"}]);
    record.as_object_mut().context("a record is an object")?.insert("bad".to_owned(), bad);
    site.node.write(RECORD, serde_json::to_vec(&record)?)?;
    Ok(site)
}

pub(crate) fn retry() -> Result<()> {
    let site = failed()?;
    site.run(&["check-new", "-C", "demo"])?.ended(1)?.prints("")?;
    let again = "demo: `update` may install 1.10 again\n";
    site.run(&["retry", "demo"])?.well()?.says("")?.prints(again)?;
    site.run(&["retry", "demo"])?.well()?.prints("demo: no version is recorded as failed\n")?;
    site.run(&["update", "-C", "demo"])?.well()?.prints("demo: updated from 1.9 to 1.10\n")?;

    let site = failed()?;
    let json = "{\"component\":\"demo\",\"versions\":[\"1.10\"]}\n";
    site.run(&["retry", "demo", "1.10", "--json"])?.well()?.says("")?.prints(json)?;
    Ok(())
}

pub(crate) fn not_failed() -> Result<()> {
    let site = failed()?;
    let error = "error: demo: 1.9 is not recorded as failed\nhint: failed: 1.10\n";
    site.run(&["retry", "demo", "1.9"])?.ended(1)?.prints("")?.says(error)?;
    site.run(&["check-new", "-C", "demo"])?.ended(1)?.prints("")?;
    let error = "error: --component is not supported for 'retry'\n";
    site.run(&["retry", "-C", "demo", "demo"])?.ended(1)?.prints("")?.says(error)?;
    site.run(&["retry", "../demo"])?.ended(1)?.says("error: Component name invalid: ../demo\n")?;
    Ok(())
}
