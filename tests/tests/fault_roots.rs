//! Keys that are changed, stolen, lost and forged, from the publisher's hands to the node's decision.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;

#[path = "fault_roots/site.rs"]
mod site;

use site::Site;

const STATE: &str = "var/lib/sysupdate/repositories/example/state.json";

#[test]
fn fault_trust_is_shown_and_an_older_catalog_needs_a_reset() -> Result<()> {
    let site = Site::open()?;
    let nothing = site.trust()?;
    assert_eq!(nothing["remembered"], json!({"state": "nothing"}));
    assert_eq!(nothing["configured"]["keys"]["threshold"], 1);

    let old = site.read("served/catalog/catalog.json")?;
    site.release("1.1")?;
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (1, 2));
    let remembered = &site.trust()?["remembered"];
    assert_eq!(remembered["under"], json!({"keys": "the-same"}));
    assert_eq!(
        (&remembered["catalog"]["serial"], &remembered["catalog"]["extensions"]),
        (&json!(2), &json!(1))
    );
    let text = site.sysupdate(&["trust"])?.succeeds()?;
    ensure!(text.starts_with("example\n  url           file:///"), "{text}");

    site.write("served/catalog/catalog.json", &old)?;
    let error = site.update()?.fails()?;
    ensure!(error.contains("has serial 1, this node has already seen 2"), "{error}");
    ensure!(error.contains("`sysupdate trust reset example`"), "{error}");
    let run = site.sysupdate(&["trust", "reset", "example"])?;
    ensure!(run.stderr.contains("is believed, even if it is older"), "{run:?}");
    assert_eq!(run.succeeds()?, "example: forgot root 1 and serial 2\n");
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (1, 1));
    Ok(())
}

#[test]
fn fault_damaged_marks_stop_the_node_until_they_are_reset() -> Result<()> {
    let site = Site::open()?;
    site.update()?.succeeds()?;
    fs::write(site.node.below(STATE), "{\"version\": 1")?;
    site.release("1.1")?;
    site.refuses(
        "1.1",
        "hint: if you accept that an older catalog may be believed once: `sysupdate trust reset example`",
    )?;
    let run = site.sysupdate(&["trust", "show"])?;
    ensure!(run.stdout.contains("unreadable, nothing is believed"), "{run:?}");
    run.fails()?;
    let stdout = site.sysupdate(&["trust", "reset", "example"])?.succeeds()?;
    assert_eq!(stdout, "example: forgot what could not be read\n");
    site.update()?.succeeds()?;
    ensure!(site.has("1.1")?);
    Ok(())
}

#[test]
fn fault_reset_takes_the_lock_and_names_no_path() -> Result<()> {
    let site = Site::open()?;
    site.update()?.succeeds()?;
    for name in ["../example", "", ".", "other", "example/"] {
        let error = site.sysupdate(&["trust", "reset", name])?.fails()?;
        ensure!(error.contains("there is no repository") && error.contains("there are: example"), "{error}");
    }
    let lock = fs::File::options().write(true).open(site.node.below("run/sysupdate/lock"))?;
    lock.lock()?;
    let error = site.sysupdate(&["trust", "reset", "example"])?.fails()?;
    ensure!(error.contains("is held"), "{error}");
    assert_eq!(site.marks()?, (1, 1));
    Ok(())
}

#[test]
fn fault_other_keys_in_etc_start_afresh() -> Result<()> {
    let site = Site::open()?;
    site.release("1.1")?;
    site.update()?.succeeds()?;
    // Another publisher takes the name over, and the operator follows
    fs::rename(site.path("keys"), site.path("keys-old"))?;
    fs::remove_dir_all(site.path("store"))?;
    fs::remove_dir_all(site.path("served"))?;
    site.bakery(&["keygen", "keys", "--repository", "example", "--url", &site.url(), "--unencrypted"])?
        .succeeds()?;
    site.release("2.0")?;
    site.refuses("2.0", "is not believed under its root 1")?;
    site.node.trust(&site.path("keys/example.toml"))?;
    assert_eq!(site.trust()?["remembered"]["under"]["keys"], "others");
    let text = site.sysupdate(&["trust", "show"])?.succeeds()?;
    ensure!(text.contains("does not count any more"), "{text}");
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (1, 1));
    assert_eq!(site.trust()?["remembered"]["under"]["keys"], "the-same");
    ensure!(site.has("2.0")?);
    Ok(())
}
