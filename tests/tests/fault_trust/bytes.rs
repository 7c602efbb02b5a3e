//! Wrong bytes, and connections that break.

use anyhow::{Result, ensure};
use sysext_manifests::digest::Sha256;
use tests::node::{Publisher, Snapshot, leftovers};
use tests::server::{Fault, Times};

use crate::{Site, Trial};

pub(crate) const TRIALS: &[Trial] = &[
    ("fault_rejects_image_with_flipped_byte", flipped_in_image),
    ("fault_rejects_catalog_with_any_flipped_byte", flipped_in_catalog),
    ("fault_update_resumes_after_cut_connection", cut),
    ("fault_next_update_resumes_after_cut_connection", cut_for_good),
    ("fault_deletes_partial_download_of_obsolete_version", begun_for_another),
    ("fault_changes_nothing_when_server_is_down", down),
];

fn path(version: &str) -> Result<String> {
    Ok(format!("/demo/{}", Publisher::file("demo", version)?))
}

fn flipped_in_image() -> Result<()> {
    let site = Site::new()?;
    site.publisher.server.fault(&path("1")?, Fault::FlipByte(5000), Times::Always);
    let genuine = std::fs::read(site.publisher.path(&path("1")?[1..]))?;
    let mut altered = genuine.clone();
    altered[5000] ^= 1;
    let seen = site.update()?.ended(1)?;
    seen.prints(crate::FAILED)?.mentions(&format!(
        "error: demo: SERVER{}: the SHA-256 digest is {}, expected {}\n\
         hint: a proxy or mirror may be outdated, or the file was replaced without its digest\n",
        path("1")?,
        Sha256::of(&altered),
        Sha256::of(&genuine),
    ))?;
    site.has(&[])?;
    ensure!(site.node.in_use("demo")?.is_none());
    ensure!(leftovers(&site.node.root)?.is_empty());
    site.publisher.server.heal();
    site.update()?.well()?.prints("demo: installed 1\n")?;
    site.uses("1")?;
    site.has(&["1"])
}

/// For every flipped bit, the node either does not change or behaves as without it.
fn flipped_in_catalog() -> Result<()> {
    let mut site = Site::new()?;
    site.update()?.well()?;
    site.offer("2")?;
    let length = std::fs::metadata(site.publisher.path("catalog/catalog.json"))?.len();
    let mut refused = 0;
    for offset in (0..length).step_by(41) {
        site.publisher.server.heal();
        // With a tag, the server would answer 304, and the bytes would not be read.
        let faults = [Fault::FlipByte(offset), Fault::NoValidator];
        site.publisher.server.faults("/catalog/catalog.json", &faults, Times::Always);
        let before = Snapshot::take(&site.node.root)?;
        let seen = site.update()?;
        if seen.status.success() {
            // Comments in a signature are not signed.
            site.uses("2")?;
            site.update_to("1")?.well()?;
            std::fs::remove_file(site.node.path(&format!("var/lib/sysupdate/images{}", path("2")?)))?;
            continue;
        }
        refused += 1;
        let seen = seen.ended(1)?.mentions("\nhint: ")?;
        let after = Snapshot::take(&site.node.root)?;
        ensure!(after == before, "at byte {offset} the node changed:\n{}{seen}", before.difference(&after));
        site.uses("1")?;
    }
    ensure!(refused > length / 41 / 2, "only {refused} were refused");
    site.publisher.server.heal();
    site.update()?.well()?;
    site.uses("2")
}

fn cut() -> Result<()> {
    let site = Site::new()?;
    site.publisher.server.fault(&path("1")?, Fault::CutAfter(9000), Times::Next(1));
    let seen = site.update()?.well()?.prints("demo: installed 1\n")?;
    ensure!(seen.stderr.contains("; retrying in "), "{seen}");
    site.uses("1")?;
    let statuses: Vec<_> = site.publisher.server.requests().iter().map(|request| request.status).collect();
    ensure!(statuses == [200, 200, 206], "{statuses:?}");
    Ok(())
}

fn cut_for_good() -> Result<()> {
    let site = Site::new()?;
    site.publisher.server.fault(&path("1")?, Fault::CutAfter(9000), Times::Next(1));
    site.publisher.server.fault(&path("1")?, Fault::Status(503), Times::Always);
    let seen = site.update()?.ended(1)?;
    seen.mentions("bytes are kept in ROOT/var/lib/sysupdate/images/demo/.sysupdate.partial.demo-1-")?
        .mentions("\nhint: the next run resumes the download\n")?;
    ensure!(site.node.in_use("demo")?.is_none());
    site.publisher.server.heal();
    site.publisher.server.forget();
    let seen = site.update()?.well()?;
    ensure!(seen.stderr.contains("demo: resuming SERVER/demo/demo-1-"), "{seen}");
    site.uses("1")?;
    site.has(&["1"])?;
    let requests = site.publisher.server.requests();
    ensure!(requests.last().and_then(|last| last.range_start()).is_some(), "{requests:?}");
    Ok(())
}

fn begun_for_another() -> Result<()> {
    let mut site = Site::new()?;
    site.publisher.server.fault(&path("1")?, Fault::CutAfter(9000), Times::Next(1));
    site.publisher.server.fault(&path("1")?, Fault::Status(503), Times::Always);
    site.update()?.ended(1)?;
    ensure!(!leftovers(&site.node.root)?.is_empty(), "nothing was begun");
    site.offer("2")?;
    site.update()?.well()?;
    site.has(&["2"])?;
    ensure!(leftovers(&site.node.root)?.is_empty(), "{:?}", leftovers(&site.node.root)?);
    Ok(())
}

fn down() -> Result<()> {
    let site = Site::new()?;
    site.update()?.well()?;
    let Site { publisher: Publisher { server, .. }, node } = site;
    drop(server);
    let before = Snapshot::take(&node.root)?;
    let seen = node.run(&["update", "-C", "demo"])?.ended(1)?;
    ensure!(
        seen.stderr.contains("error: demo: gave up after 5 attempts: SERVER/catalog/catalog.json: "),
        "{seen}"
    );
    ensure!(seen.stderr.ends_with("\nhint: check the network; the next run retries\n"), "{seen}");
    let after = Snapshot::take(&node.root)?;
    ensure!(after == before, "the node changed:\n{}", before.difference(&after));
    Ok(())
}
