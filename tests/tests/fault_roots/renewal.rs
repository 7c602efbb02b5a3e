//! Catalogs expire: nodes warn in time, and the publisher refreshes them without baking.

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};

use super::site::Site;

const WARNING: &str = "warning: example: the catalog expires at ";

fn days_ago(days: i64) -> Result<String> {
    let time = Timestamp::now().checked_sub(SignedDuration::from_hours(24 * days))?;
    Ok(Timestamp::from_second(time.as_second())?.to_string())
}

#[test]
fn fault_warns_at_two_thirds_and_refreshes_catalog_without_baking() -> Result<()> {
    let site = Site::open()?;
    std::fs::remove_dir_all(site.path("store/catalog"))?;
    std::fs::remove_dir_all(site.path("served"))?;
    // The lifetime of a catalog is thirty days
    site.index(&["--now", &days_ago(21)?])?.succeeds()?;
    site.publish()?;
    for verb in ["list", "check-new", "plan", "update"] {
        let run = site.sysupdate(&["-C", "x", verb])?;
        ensure!(format!("{}{}", run.stdout, run.stderr).contains(WARNING), "{verb}: {run:?}");
    }
    ensure!(site.has("1.0")?);

    let image = std::fs::metadata(site.path("store/x/x-1.0-x86-64.raw")).and_then(|image| image.modified());
    site.bake("1.1")?;
    let error = site.index(&["--refresh"])?.fails()?;
    ensure!(error.contains("the store has changed since the last release: x"), "{error}");
    ensure!(site.read("store/x/SHA256SUMS")?.lines().count() == 1, "the refused refresh wrote something");
    for ending in ["raw", "json"] {
        std::fs::remove_file(site.path(&format!("store/x/x-1.1-x86-64.{ending}")))?;
    }
    site.index(&["--refresh", "--now", &days_ago(19)?])?.succeeds()?;
    site.publish()?;
    let run = site.update()?;
    ensure!(!format!("{run:?}").contains("the catalog expires"), "{run:?}");
    run.succeeds()?;
    assert_eq!(site.marks()?, (1, 2));
    if let Ok(before) = image {
        ensure!(
            std::fs::metadata(site.path("store/x/x-1.0-x86-64.raw"))?.modified()? == before,
            "baked anew"
        );
    }
    Ok(())
}

#[test]
fn fault_rejects_expired_catalog_until_it_is_refreshed() -> Result<()> {
    let site = Site::open()?;
    std::fs::remove_dir_all(site.path("store/catalog"))?;
    site.index(&["--now", &days_ago(31)?])?.succeeds()?;
    let error = site.bakery(&["publish", "store", "--to", "served"])?.fails()?;
    ensure!(error.contains("hint: sign it again with `bakery index`"), "{error}");
    std::fs::copy(site.path("store/catalog/catalog.json"), site.path("served/catalog/catalog.json"))?;
    site.refuses("1.0", "the catalog of example expired at")?;
    site.index(&["--refresh"])?.succeeds()?;
    site.publish()?;
    site.update()?.succeeds()?;
    ensure!(site.has("1.0")?);
    Ok(())
}
