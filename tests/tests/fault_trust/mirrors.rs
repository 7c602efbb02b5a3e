//! Several addresses of one repository, one of which is forged, outdated or damaged.

use std::fs;

use anyhow::{Result, ensure};
use minisign::KeyPair;
use tempfile::TempDir;
use tests::node::Publisher;
use tests::server::{Fault, Server, Times};

use crate::{Site, Trial};

pub(crate) const TRIALS: &[Trial] = &[
    ("fault_skips_mirror_with_forged_catalog", lying),
    ("fault_skips_outdated_mirror", lagging),
    ("fault_contacts_no_mirror_after_valid_catalog", honest_first),
    ("fault_rejects_older_catalog_of_mirror_when_newer_one_expired", older_than_one_that_ended),
    ("fault_reports_every_rejected_mirror", all_lie),
    ("fault_reports_forged_and_unreachable_mirrors", one_lies_one_is_down),
    ("fault_ignores_not_modified_for_expired_copy", copy_has_ended),
    ("fault_does_not_store_secrets_of_a_url", secrets),
];

/// The path prefix of all addresses except the publisher's own.
const CATALOG: &str = "mirror/catalog/catalog.json";
const REQUEST: &str = "/mirror/catalog/catalog.json";

/// Another address, which serves any files.
struct Mirror {
    directory: TempDir,
    server: Server,
}

impl Mirror {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let server = Server::serve(directory.path())?;
        Ok(Self { directory, server })
    }

    fn url(&self) -> String {
        format!("{}/mirror", self.server.url())
    }

    fn offers(&self, catalog: impl AsRef<[u8]>) -> Result<()> {
        fs::create_dir_all(self.directory.path().join("mirror/catalog"))?;
        Ok(fs::write(self.directory.path().join(CATALOG), catalog)?)
    }
}

/// The node tries these addresses in this order.
fn asks(site: &Site, urls: &[&str]) -> Result<()> {
    let text = format!(
        "url = '{}'\nmirrors = {:?}\nkeys = ['{}']\n",
        urls[0],
        &urls[1..],
        site.publisher.root_key()
    );
    site.node.write("etc/sysupdate/repositories/example.toml", text)
}

fn catalog(publisher: &Publisher) -> Result<Vec<u8>> {
    Ok(fs::read(publisher.path("catalog/catalog.json"))?)
}

/// A catalog that is signed with unknown keys.
fn forged() -> Result<Vec<u8>> {
    let mut stranger = Publisher::new("example")?;
    stranger.issue()?;
    catalog(&stranger)
}

fn lying() -> Result<()> {
    let (site, mirror) = (Site::new()?, Mirror::new()?);
    asks(&site, &[&mirror.url(), &site.publisher.url()])?;
    let torn = catalog(&site.publisher)?;
    let mut altered: serde_json::Value = serde_json::from_slice(&torn)?;
    altered["signed"] = "AAAA".into();
    let cases: [(Vec<u8>, &str); 4] = [
        (forged()?, "no root of example is signed by the keys in this node's configuration"),
        (
            b"<html>Please log in</html>".to_vec(),
            "the catalog of example is invalid: catalog.json:1:1: expected value",
        ),
        (torn[..torn.len() / 2].to_vec(), "the catalog of example is invalid: catalog.json:"),
        (serde_json::to_vec(&altered)?, "does not match: the file was altered or damaged"),
    ];
    for (lie, told) in cases {
        mirror.offers(&lie)?;
        mirror.server.forget();
        let seen = site.update()?.well()?;
        let warning = "example: skipped SERVER/mirror/catalog/catalog.json: ";
        seen.mentions(warning)?.mentions(told)?;
        // A forged catalog is requested only once
        ensure!(mirror.server.requests().iter().filter(|request| request.path == REQUEST).count() == 1);
        site.uses("1")?;
    }
    Ok(())
}

fn lagging() -> Result<()> {
    let (mut site, mirror) = (Site::new()?, Mirror::new()?);
    mirror.offers(catalog(&site.publisher)?)?;
    site.offer("2")?;
    site.update()?.well()?;
    asks(&site, &[&mirror.url(), &site.publisher.url()])?;
    site.offer("3")?;
    site.update()?.well()?.mentions(
        "example: skipped SERVER/mirror/catalog/catalog.json: the catalog of example has serial 1, but this \
         node has already accepted serial 2\n",
    )?;
    site.uses("3")
}

fn honest_first() -> Result<()> {
    let (mut site, mirror) = (Site::new()?, Mirror::new()?);
    let older = catalog(&site.publisher)?;
    asks(&site, &[&site.publisher.url(), &mirror.url()])?;
    site.offer("2")?;
    for lie in [older.clone(), forged()?] {
        mirror.offers(lie)?;
        let seen = site.update()?.well()?;
        ensure!(!seen.stderr.contains("skipped SERVER") && !seen.stdout.contains("skipped SERVER"), "{seen}");
        ensure!(mirror.server.requests().is_empty());
        site.uses("2")?;
    }
    // When the valid address is down, the older catalog is still rejected
    mirror.offers(older)?;
    site.publisher.server.fault("/catalog/catalog.json", Fault::Status(503), Times::Always);
    site.refuses(
        "error: demo: none of the 2 places of example has a trusted catalog: \
         SERVER/mirror/catalog/catalog.json: the catalog of example has serial 1, but this node has already accepted serial 2; \
         gave up after 6 attempts: SERVER/catalog/catalog.json: the server answered 503 Service Unavailable\n\
         hint: the server or a mirror offers an old copy, and nothing older than the accepted serial is installed; only if \
         the publisher says that the repository started again: `sysupdate trust reset example`\n",
    )
}

fn older_than_one_that_ended() -> Result<()> {
    let (mut site, mirror) = (Site::new()?, Mirror::new()?);
    asks(&site, &[&site.publisher.url(), &mirror.url()])?;
    mirror.offers(catalog(&site.publisher)?)?;
    site.publisher.catalog.expires = "2026-11-25T11:00:00Z".parse()?;
    site.offer("2")?;
    let seen = site.update()?.ended(1)?;
    seen.mentions("SERVER/catalog/catalog.json: the catalog of example expired at 2026-11-25T11:00:00Z ")?.mentions(
        "; SERVER/mirror/catalog/catalog.json: the catalog of example has serial 1 there, and another place has \
         serial 2, which is newer\n",
    )?;
    site.has(&[])
}

fn all_lie() -> Result<()> {
    let (site, mirrors) = (Site::new()?, [Mirror::new()?, Mirror::new()?]);
    asks(&site, &[&mirrors[0].url(), &mirrors[1].url()])?;
    mirrors[0].offers(forged()?)?;
    mirrors[1].offers("{}")?;
    site.refuses(
        "error: demo: none of the 2 places of example has a trusted catalog: \
         SERVER/mirror/catalog/catalog.json: no root of example is signed by the keys in this node's \
         configuration; SERVER/mirror/catalog/catalog.json: the catalog of example is invalid: \
         catalog.json:1:2: missing field `version`\n\
         hint: compare keys= in /etc/sysupdate/repositories/example.toml with the publisher's\n",
    )
}

fn one_lies_one_is_down() -> Result<()> {
    let (mut site, mirror) = (Site::new()?, Mirror::new()?);
    asks(&site, &[&site.publisher.url(), &mirror.url()])?;
    mirror.offers(forged()?)?;
    // It is tried again although the other one failed in the meantime
    site.publisher.server.fault("/catalog/catalog.json", Fault::Status(503), Times::Next(2));
    site.update()?
        .well()?
        .mentions("example: skipped SERVER/mirror/catalog/catalog.json: no root of example ")?;
    site.uses("1")?;
    fs::remove_file(site.publisher.path("catalog/catalog.json"))?;
    site.offer("2")?;
    site.publisher.keys.catalog = KeyPair::generate_unencrypted_keypair()?;
    site.publisher.sign()?;
    let seen = site.update()?.ended(1)?;
    seen.mentions("error: demo: none of the 2 places of example has a trusted catalog: ")?;
    site.uses("1")
}

/// A server that answers 304 for an expired catalog must not hold the node back, if the next address has a
/// newer one.
fn copy_has_ended() -> Result<()> {
    let (mut site, mirror) = (Site::new()?, Mirror::new()?);
    mirror.offers(catalog(&site.publisher)?)?;
    asks(&site, &[&mirror.url(), &site.publisher.url()])?;
    site.update()?.well()?;
    site.publisher.catalog.issued = "2026-12-20T10:00:00Z".parse()?;
    site.publisher.catalog.expires = "2027-01-19T10:00:00Z".parse()?;
    site.offer("2")?;
    site.node.clock = Some("2026-12-21T10:00:00Z".to_owned());
    site.update()?
        .well()?
        .mentions("skipped SERVER/mirror/catalog/catalog.json: the catalog of example expired at ")?;
    site.uses("2")
}

fn secrets() -> Result<()> {
    let site = Site::new()?;
    let url = site.publisher.url().replace("http://", "http://user:pa55word@");
    asks(&site, &[&url, &url])?;
    for _ in 0..2 {
        let seen = site.update()?.well()?;
        ensure!(!seen.stderr.contains("pa55word") && !seen.stdout.contains("pa55word"), "{seen}");
    }
    // The tag is still sent
    let statuses = |path: &str| -> Vec<u16> {
        let requests = site.publisher.server.requests();
        requests.iter().filter(|request| request.path == path).map(|request| request.status).collect()
    };
    ensure!(statuses("/catalog/catalog.json") == [200, 304], "{:?}", site.publisher.server.requests());
    for arguments in [&["trust", "show"][..], &["trust", "show", "--json"], &["plan", "-C", "demo"]] {
        let seen = site.node.run(arguments)?.well()?;
        ensure!(!seen.stderr.contains("pa55word") && !seen.stdout.contains("pa55word"), "{seen}");
    }
    for file in fs::read_dir(site.node.path("var/lib/sysupdate/repositories/example"))? {
        ensure!(!fs::read_to_string(file?.path())?.contains("pa55word"), "a secret was stored");
    }
    site.uses("1")
}
