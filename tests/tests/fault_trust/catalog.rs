//! Catalogs that a node trusts, and catalogs that it rejects.

use anyhow::{Result, ensure};
use minisign::KeyPair;
use tests::node::Publisher;
use tests::server::{Fault, Times};

use crate::{Site, Trial, with_key};

pub(crate) const TRIALS: &[Trial] = &[
    ("fault_rejects_wrong_root_key", wrong_root_key),
    ("fault_rejects_wrong_catalog_key", wrong_catalog_key),
    ("fault_rejects_older_serial", older_serial),
    ("fault_rejects_older_serial_after_keys_are_reordered", reordered_keys),
    ("fault_rejects_expired_catalog", expired),
    ("fault_rejects_catalog_that_expired_before_the_last_seen_time", expired_by_what_was_seen),
    ("fault_does_not_replace_missing_catalog_by_manifest", not_there),
    ("fault_updates_with_clock_in_1970", clock_in_1970),
    ("fault_rejects_catalog_with_clock_in_2038", clock_in_2038),
    ("fault_rejects_catalog_of_another_repository", other_repository),
    ("fault_reports_missing_repository_file", not_described),
    ("fault_warns_before_catalog_expires", about_to_expire),
];

fn wrong_root_key() -> Result<()> {
    let site = Site::new()?;
    let stranger = KeyPair::generate_unencrypted_keypair()?.pk.to_base64();
    site.node.write("etc/sysupdate/repositories/example.toml", site.publisher.description(&[stranger]))?;
    site.refuses(
        "error: demo: no root of example is signed by the keys in this node's configuration\n\
         hint: compare keys= in /etc/sysupdate/repositories/example.toml with the publisher's\n",
    )?;
    site.node.trust(&site.publisher)?;
    site.update()?.well()?;
    site.uses("1")
}

fn wrong_catalog_key() -> Result<()> {
    let mut site = Site::new()?;
    site.publisher.keys.catalog = KeyPair::generate_unencrypted_keypair()?;
    site.publisher.issue()?;
    let expected = "error: demo: the catalog of example is not trusted by its root 1: signed by KEY, none of which is a \
         trusted key\n\
         hint: the publisher's files do not match each other, or somebody altered them\n";
    site.refuses(&with_key(expected, &site.publisher.keys.catalog.pk.to_base64()))
}

fn older_serial() -> Result<()> {
    let mut site = Site::new()?;
    let old = std::fs::read(site.publisher.path("catalog/catalog.json"))?;
    site.update()?.well()?;
    site.offer("2")?;
    site.update()?.well()?;
    std::fs::write(site.publisher.path("catalog/catalog.json"), &old)?;
    site.refuses(
        "error: demo: the catalog of example has serial 1, but this node has already accepted serial 2\n\
         hint: the server or a mirror offers an old copy, and nothing older than the accepted serial is installed; only if \
         the publisher says that the repository started again: `sysupdate trust reset example`\n",
    )?;
    site.uses("2")?;
    site.offer("3")?;
    site.update()?.well()?;
    site.uses("3")
}

/// The order of `keys=` means nothing: what was accepted under these keys still counts.
fn reordered_keys() -> Result<()> {
    let mut site = Site::new()?;
    let keys = [site.publisher.root_key(), KeyPair::generate_unencrypted_keypair()?.pk.to_base64()];
    let trust = |site: &Site, keys: &[String]| {
        site.node.write("etc/sysupdate/repositories/example.toml", site.publisher.description(keys))
    };
    trust(&site, &keys)?;
    let old = std::fs::read(site.publisher.path("catalog/catalog.json"))?;
    site.update()?.well()?;
    site.offer("2")?;
    site.update()?.well()?;
    std::fs::write(site.publisher.path("catalog/catalog.json"), &old)?;
    let [first, second] = keys;
    trust(&site, &[second, first])?;
    let expected =
        "error: demo: the catalog of example has serial 1, but this node has already accepted serial 2\n";
    site.update()?.ended(1)?.mentions(expected)?;
    site.uses("2")?;
    site.offer("3")?;
    site.update()?.well()?;
    site.uses("3")
}

fn expired() -> Result<()> {
    let mut site = Site::new()?;
    site.node.clock = Some("2026-12-09T10:00:00Z".to_owned());
    site.refuses(
        "error: demo: the catalog of example expired at 2026-12-09T10:00:00Z (it is 2026-12-09T10:00:00Z now)\n\
         hint: check this node's clock; if it is right, the publisher must sign again\n",
    )?;
    site.node.clock = Some("2026-12-09T09:59:59Z".to_owned());
    site.update()?.well()?;
    site.uses("1")
}

/// A node with a stopped clock derives from recorded times that a catalog has expired.
fn expired_by_what_was_seen() -> Result<()> {
    let mut site = Site::new()?;
    site.node.clock = Some("1970-01-01T00:00:00Z".to_owned());
    site.publisher.catalog.issued = "2027-06-01T00:00:00Z".parse()?;
    site.publisher.catalog.expires = "2027-06-15T00:00:00Z".parse()?;
    site.publisher.issue()?;
    site.update()?.well()?;
    site.publisher.catalog.issued = "2026-12-01T00:00:00Z".parse()?;
    site.publisher.catalog.expires = "2026-12-15T00:00:00Z".parse()?;
    site.offer("2")?;
    site.update()?.ended(1)?.mentions(
        "error: demo: the catalog of example expired at 2026-12-15T00:00:00Z (it is 2027-06-01T00:00:00Z now)\n",
    )?;
    site.uses("1")
}

fn not_there() -> Result<()> {
    let site = Site::new()?;
    std::fs::remove_file(site.publisher.path("catalog/catalog.json"))?;
    ensure!(site.publisher.path("demo/SHA256SUMS").is_file());
    site.refuses(
        "error: demo: not found: SERVER/catalog/catalog.json\n\
         hint: a repository must have a signed catalog; check url= in the repository file\n",
    )?;
    // The option that disables OpenPGP verification does not change this.
    let seen = site.node.run(&["update", "-C", "demo", "--verify=no"])?.ended(1)?;
    seen.mentions("error: demo: not found: SERVER/catalog/catalog.json\n")?;
    site.has(&[])?;
    let asked: Vec<_> = site.publisher.server.requests().into_iter().map(|request| request.path).collect();
    ensure!(asked.iter().all(|path| path == "/catalog/catalog.json"), "{asked:?}");
    Ok(())
}

fn clock_in_1970() -> Result<()> {
    let mut site = Site::new()?;
    site.node.clock = Some("1970-01-01T00:00:05Z".to_owned());
    site.update()?.well()?.prints("demo: installed 1\n")?.mentions(
        "\nwarning: example: the system clock (1970-01-01T00:00:05Z) is behind the catalog's signing time \
         (2026-11-25T10:00:00Z)\n",
    )?;
    site.uses("1")
}

fn clock_in_2038() -> Result<()> {
    let mut site = Site::new()?;
    site.update()?.well()?;
    site.offer("2")?;
    let right = site.node.clock.replace("2038-01-19T03:14:07Z".to_owned());
    site.refuses(
        "error: demo: the catalog of example expired at 2026-12-09T10:00:00Z (it is 2038-01-19T03:14:07Z now)\n\
         hint: check this node's clock; if it is right, the publisher must sign again\n",
    )?;
    site.node.clock = right;
    site.update()?.well()?.prints("demo: updated from 1 to 2\n")?;
    site.uses("2")
}

fn other_repository() -> Result<()> {
    let mut site = Site::new()?;
    site.publisher.catalog.repository = "elsewhere".to_owned();
    site.publisher.issue()?;
    site.refuses(
        "error: demo: root 1 belongs to repository \"elsewhere\", not to \"example\"\n\
         hint: the server offers the roots of another repository, whose root is signed with the same key; tell the \
         publisher\n",
    )?;
    // A catalog of another repository with other keys is not even parsed.
    let mut other = Publisher::new("example")?;
    other.issue()?;
    std::fs::copy(other.path("catalog/catalog.json"), site.publisher.path("catalog/catalog.json"))?;
    site.update()?.ended(1)?.mentions("error: demo: no root of example is signed by the keys")?;
    Ok(())
}

fn not_described() -> Result<()> {
    let site = Site::new()?;
    std::fs::remove_file(site.node.path("etc/sysupdate/repositories/example.toml"))?;
    site.refuses(
        "error: demo: ROOT/etc/sysupdate/repositories/example.toml not found, but a transfer sets Repository=example\n\
         hint: put the publisher's example.toml there: it contains the URL and the keys\n",
    )?;
    ensure!(site.publisher.server.requests().is_empty());
    Ok(())
}

fn about_to_expire() -> Result<()> {
    let mut site = Site::new()?;
    // Two thirds of fourteen days are over on the fourth of December.
    site.node.clock = Some("2026-12-04T23:00:00Z".to_owned());
    site.update()?.well()?.prints("demo: installed 1\n")?.mentions(
        "\nwarning: example: the catalog expires at 2026-12-09T10:00:00Z and has not been renewed\n",
    )?;
    // A mirror is tried if the first address has none.
    site.publisher.server.fault("/catalog/catalog.json", Fault::Status(404), Times::Always);
    site.update()?.ended(1)?;
    Ok(())
}
