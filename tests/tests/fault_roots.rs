//! Keys that are replaced, stolen, lost and forged, from the publisher to the decision of the node.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

#[path = "fault_roots/downgrade.rs"]
mod downgrade;
#[path = "fault_roots/renewal.rs"]
mod renewal;
#[path = "fault_roots/site.rs"]
mod site;

use site::Site;

const STATE: &str = "var/lib/sysupdate/repositories/example/state.json";

#[test]
fn fault_trust_show_prints_marks_and_older_catalog_needs_reset() -> Result<()> {
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
    ensure!(error.contains("has serial 1, but this node has already accepted serial 2"), "{error}");
    ensure!(error.contains("`sysupdate trust reset example`"), "{error}");
    let run = site.sysupdate(&["trust", "reset", "example"])?;
    ensure!(run.stderr.contains("is accepted, even if it is older"), "{run:?}");
    assert_eq!(run.succeeds()?, "example: cleared root 1, serial 2\n");
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (1, 1));
    Ok(())
}

#[test]
fn fault_damaged_trust_marks_stop_updates_until_reset() -> Result<()> {
    let site = Site::open()?;
    site.update()?.succeeds()?;
    fs::write(site.node.below(STATE), "{\"version\": 1")?;
    site.release("1.1")?;
    site.refuses(
        "1.1",
        "hint: to accept an older catalog once, reset the trust state: `sysupdate trust reset example`",
    )?;
    let run = site.sysupdate(&["trust", "show"])?;
    ensure!(run.stdout.contains("unreadable, no catalog is trusted"), "{run:?}");
    run.fails()?;
    let stdout = site.sysupdate(&["trust", "reset", "example"])?.succeeds()?;
    assert_eq!(stdout, "example: cleared unreadable state\n");
    site.update()?.succeeds()?;
    ensure!(site.has("1.1")?);
    Ok(())
}

#[test]
fn fault_trust_reset_takes_the_lock_and_rejects_paths() -> Result<()> {
    let site = Site::open()?;
    site.update()?.succeeds()?;
    for name in ["../example", "", ".", "other", "example/"] {
        let error = site.sysupdate(&["trust", "reset", name])?.fails()?;
        ensure!(error.contains("unknown repository") && error.contains("known: example"), "{error}");
    }
    let lock = fs::File::options().write(true).open(site.node.below("run/sysupdate/lock"))?;
    lock.lock()?;
    let error = site.sysupdate(&["trust", "reset", "example"])?.fails()?;
    ensure!(error.contains("another `sysupdate trust reset` is running"), "{error}");
    assert_eq!(site.marks()?, (1, 1));
    Ok(())
}

#[test]
fn fault_other_keys_in_etc_replace_recorded_trust() -> Result<()> {
    let site = Site::open()?;
    site.release("1.1")?;
    site.update()?.succeeds()?;
    // Another publisher takes over the name, and the operator accepts that
    fs::rename(site.path("keys"), site.path("keys-old"))?;
    fs::remove_dir_all(site.path("store"))?;
    fs::remove_dir_all(site.path("served"))?;
    site.bakery(&["keygen", "keys", "--repository", "example", "--url", &site.url(), "--unencrypted"])?
        .succeeds()?;
    site.release("2.0")?;
    site.refuses("2.0", "is not trusted by its root 1")?;
    site.node.trust(&site.path("keys/example.toml"))?;
    assert_eq!(site.trust()?["remembered"]["under"]["keys"], "others");
    let text = site.sysupdate(&["trust", "show"])?.succeeds()?;
    ensure!(text.contains("no longer used"), "{text}");
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (1, 1));
    assert_eq!(site.trust()?["remembered"]["under"]["keys"], "the-same");
    ensure!(site.has("2.0")?);
    Ok(())
}

#[test]
fn fault_follows_two_rotations_at_once() -> Result<()> {
    let site = Site::open()?;
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (1, 1));
    site.keys(&["second", "third", "online"])?;
    site.rotate(&["--key", "second.pub"], &["keys/root", "second"])?;
    site.rotate(&["--key", "third.pub", "--catalog-key", "online.pub"], &["second", "third"])?;
    let shown = site.bakery(&["root", "show", "keys/roots.json", "--json"])?.succeeds()?;
    let shown: Value = serde_json::from_str(&shown)?;
    assert_eq!((&shown[2]["number"], shown[2]["needs"].as_array().map(Vec::len)), (&json!(3), Some(2)));

    site.bake("1.1")?;
    let error = site.index(&[])?.fails()?;
    ensure!(error.contains("sign with the catalog key that the newest root"), "{error}");
    site.index(&["--key", "online.key"])?.succeeds()?;
    site.publish()?;
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (3, 1));
    ensure!(site.has("1.1")?);
    // A new node with the first key follows as well
    site.sysupdate(&["trust", "reset", "example"])?.succeeds()?;
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (3, 1));
    Ok(())
}

#[test]
fn fault_new_root_revokes_stolen_catalog_key() -> Result<()> {
    let site = Site::open()?;
    site.update()?.succeeds()?;
    let honest = site.served()?;
    // The thief signs far ahead, in serial number and in time
    for _ in 0..4 {
        site.index(&["--now", "2028-01-01T00:00:00Z"])?.succeeds()?;
    }
    site.publish()?;
    let stolen = site.served()?;
    let run = site.update()?;
    ensure!(format!("{run:?}").contains("is behind the catalog's signing time"), "{run:?}");
    run.succeeds()?;
    assert_eq!(site.marks()?, (1, 5));
    site.serve(&honest)?;
    site.refuses("1.1", "has serial 1, but this node has already accepted serial 5")?;

    site.keys(&["online"])?;
    site.rotate(&["--catalog-key", "online.pub"], &["keys/root"])?;
    site.bake("1.1")?;
    site.index(&["--key", "online.key"])?.succeeds()?;
    site.publish()?;
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (2, 1));
    ensure!(site.has("1.1")?);

    // The thief's catalog is now rejected, both with the old chain and with the new one
    let mut mixed = stolen.clone();
    mixed["roots"] = site.served()?["roots"].clone();
    for catalog in [stolen, mixed] {
        site.serve(&catalog)?;
        let error = site.update()?.fails()?;
        ensure!(error.contains("is not trusted by its root 2"), "{error}");
    }
    assert_eq!(site.marks()?, (2, 1));
    Ok(())
}

#[test]
fn fault_rejects_rotation_signed_only_by_new_keys() -> Result<()> {
    let site = Site::open()?;
    site.update()?.succeeds()?;
    site.keys(&["new"])?;
    site.propose("next.json", &["--key", "new.pub", "--catalog-key", "new.pub"])?;
    site.sign("next.json", &["new"])?;
    let error = site.bakery(&["root", "finish", "next.json", "--to", "keys/roots.json"])?.fails()?;
    ensure!(error.contains("0 of 1 required from the keys of root 1"), "{error}");
    // Options cannot enforce a release either
    fs::rename(site.path("next.json"), site.path("keys/roots.json"))?;
    let error = site.index(&["--key", "new.key"])?.fails()?;
    ensure!(error.contains("nodes would reject"), "{error}");

    // The owner of another chain appends its second root to our first one
    let ours = site.served()?["roots"][0].clone();
    fs::remove_dir_all(site.path("store"))?;
    fs::remove_dir_all(site.path("keys"))?;
    fs::remove_file(site.path("served/catalog/catalog.json"))?;
    site.bakery(&["keygen", "keys", "--repository", "example", "--url", &site.url(), "--unencrypted"])?
        .succeeds()?;
    site.rotate(&[], &["keys/root"])?;
    site.release("1.1")?;
    let mut theirs = site.served()?;
    for roots in [theirs["roots"].clone(), json!([ours, theirs["roots"][1]])] {
        theirs["roots"] = roots;
        site.serve(&theirs)?;
        site.refuses("1.1", "is not trusted by its root 1")?;
    }
    assert_eq!(site.marks()?, (1, 1));
    Ok(())
}

#[test]
fn fault_root_thresholds_count_distinct_keys() -> Result<()> {
    let site = Site::bare()?;
    site.keys(&["a", "b", "c", "online"])?;
    let three = ["--key", "a.pub", "--key", "b.pub", "--key", "c.pub", "--threshold", "2"];
    site.init(&[&three[..], &["--catalog-key", "online.pub"]].concat(), &["a", "b"])?;
    site.bake("1.0")?;
    site.index(&["--key", "online.key"])?.succeeds()?;
    site.publish()?;
    site.define()?;
    site.update()?.succeeds()?;

    site.propose("next.json", &["--expires-in", "100"])?;
    fs::copy(site.path("next.json"), site.path("apart.json"))?;
    site.sign("next.json", &["a"])?;
    let error = site.bakery(&["root", "finish", "next.json", "--to", "keys/roots.json"])?.fails()?;
    ensure!(error.contains("1 of 2 required from the keys of root 1"), "{error}");
    let error = site.bakery(&["root", "sign", "next.json", "--key", "a.key"])?.fails()?;
    ensure!(error.contains("has already signed root 2"), "{error}");
    let error = site.bakery(&["root", "sign", "next.json", "--key", "online.key"])?.fails()?;
    ensure!(error.contains("is not a key of root 2 or of the root before it"), "{error}");
    // The other copy was passed on separately
    site.sign("apart.json", &["c"])?;
    let join = ["root", "finish", "next.json", "apart.json", "--to", "keys/roots.json"];
    site.bakery(&join)?.succeeds()?;
    site.bake("1.1")?;
    site.index(&["--key", "online.key"])?.succeeds()?;
    site.publish()?;

    let whole = site.served()?;
    let signature = &whole["roots"][1]["signatures"][0];
    for few in [json!([signature]), json!([signature, signature])] {
        let mut below = whole.clone();
        below["roots"][1]["signatures"] = few;
        site.serve(&below)?;
        site.refuses("1.1", "was signed under root 2, but the newest root is 1")?;
    }
    site.serve(&whole)?;
    site.update()?.succeeds()?;
    assert_eq!(site.marks()?, (2, 1));
    Ok(())
}

#[test]
fn fault_duplicate_key_counts_once_whatever_its_identifier() -> Result<()> {
    let site = Site::bare()?;
    site.keys(&["a", "online"])?;
    let key = site.read("a.pub")?.lines().nth(1).unwrap_or_default().to_owned();
    // The same 32 bytes with another identifier, which is at the beginning of the text
    let other = format!("{}AAAAAAA{}", &key[..4], &key[11..]);
    ensure!(other != key && other.len() == key.len());
    let url = site.url();
    let init =
        ["root", "init", "keys", "--repository", "example", "--url", &url, "--catalog-key", "online.pub"];
    for second in ["a.pub", key.as_str(), other.as_str()] {
        let keys = [&init[..], &["--key", "a.pub", "--key", second]].concat();
        let error = site.bakery(&[&keys[..], &["--threshold", "2"]].concat())?.fails()?;
        ensure!(
            error.contains(
                "the threshold is 2; it must be between 1 and the number of distinct keys, which is 1"
            ),
            "{error}"
        );
        let error = site.bakery(&keys)?.fails()?;
        ensure!(error.contains("was given twice as a root key"), "{error}");
    }
    ensure!(!site.path("keys/roots.pending.json").exists());
    Ok(())
}

#[test]
fn fault_catalog_with_threshold_two_needs_two_signatures() -> Result<()> {
    let site = Site::bare()?;
    site.keys(&["root", "a", "b"])?;
    let catalog = ["--catalog-key", "a.pub", "--catalog-key", "b.pub", "--catalog-threshold", "2"];
    site.init(&[&["--key", "root.pub"], &catalog[..]].concat(), &["root"])?;
    site.bake("1.0")?;
    let error = site.index(&["--key", "a.key"])?.fails()?;
    ensure!(error.contains("1 of 2 required signatures (root 1)"), "{error}");
    let error = site.index(&["--key", "a.key", "--key", "a.key"])?.fails()?;
    ensure!(error.contains("was given twice"), "{error}");
    site.index(&["--key", "a.key", "--key", "b.key"])?.succeeds()?;
    site.publish()?;
    site.define()?;

    let whole = site.served()?;
    let signature = &whole["signatures"][1];
    for few in [json!([signature]), json!([signature, signature])] {
        let mut below = whole.clone();
        below["signatures"] = few;
        site.serve(&below)?;
        site.refuses("1.0", "1 of 2 required signatures by trusted keys")?;
    }
    site.serve(&whole)?;
    site.update()?.succeeds()?;
    ensure!(site.has("1.0")?);
    Ok(())
}

#[test]
fn fault_two_holders_sign_a_catalog_in_turn() -> Result<()> {
    let site = Site::bare()?;
    site.keys(&["root", "a", "b", "c"])?;
    let keys = ["--catalog-key", "a.pub", "--catalog-key", "b.pub", "--catalog-key", "c.pub"];
    site.init(&[&["--key", "root.pub"], &keys[..], &["--catalog-threshold", "2"]].concat(), &["root"])?;
    site.bake("1.0")?;
    let run = site.index(&["--key", "a.key", "--unfinished"])?;
    ensure!(run.stderr.contains("Pending: one more signature is required."), "{run:?}");
    run.succeeds()?;
    let error = site.bakery(&["publish", "store", "--to", "served"])?.fails()?;
    ensure!(error.contains("store/catalog/catalog.pending.json lacks signatures"), "{error}");
    ensure!(
        error.contains("hint: each holder of a catalog key runs `bakery sign STORE --key FILE`"),
        "{error}"
    );
    // Options cannot enforce it
    let waiting: Value = serde_json::from_str(&site.read("store/catalog/catalog.pending.json")?)?;
    fs::create_dir_all(site.path("served/catalog"))?;
    site.serve(&waiting)?;
    let transfer = site.read("store/x/x.transfer")?;
    fs::create_dir_all(site.path("served/x"))?;
    site.write("served/x/x.transfer", &transfer)?;
    site.define()?;
    site.refuses("1.0", "1 of 2 required signatures by trusted keys")?;
    fs::remove_dir_all(site.path("served"))?;

    for (key, told) in [("a", "has already signed serial 1"), ("root", "is not a catalog key of root 1")] {
        let error = site.bakery(&["sign", "store", "--key", &format!("{key}.key")])?.fails()?;
        ensure!(error.contains(told), "{error}");
        // The contents are shown before anything else happens
        ensure!(error.contains("serial      1\n") && error.contains("offers      x\n"), "{error}");
    }
    let run = site.bakery(&["sign", "store", "--key", "b.key"])?;
    ensure!(run.stderr.contains("Fully signed. Run `bakery publish store"), "{run:?}");
    let shown = run.succeeds()?;
    let image = fs::read(site.path("store/x").join(image(&site)?))?;
    let digest = sysext_manifests::digest::Sha256::of(&image).to_string();
    ensure!(shown.contains(&digest) && shown.contains("signatures  1 of 2 required\n"), "{shown}");
    site.publish()?;
    assert_eq!(site.served()?["signed"], waiting["signed"]);
    site.update()?.succeeds()?;
    ensure!(site.has("1.0")?);
    let json = site.bakery(&["sign", "store", "--key", "c.key", "--json"])?.succeeds()?;
    let json: Value = serde_json::from_str(&json)?;
    assert_eq!((&json["threshold"], json["signed"].as_array().map(Vec::len)), (&json!(2), Some(3)));
    site.publish()?;
    site.update()?.succeeds()?;
    Ok(())
}

/// The only image in the store.
fn image(site: &Site) -> Result<String> {
    let names = fs::read_dir(site.path("store/x"))?;
    let names = names
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.into_iter().find(|name| name.ends_with(".raw")).ok_or_else(|| anyhow::anyhow!("no image"))
}

#[test]
fn fault_root_sign_shows_the_proposal_first() -> Result<()> {
    let site = Site::open()?;
    site.propose("next.json", &["--expires-in", "100"])?;
    let before = site.read("next.json")?;
    let number = "root          2\n";
    // Also to a holder who then cannot sign
    let error = site.bakery(&["root", "sign", "next.json", "--key", "missing.key"])?.fails()?;
    ensure!(error.contains(number) && error.contains("missing.key does not exist"), "{error}");
    assert_eq!(site.read("next.json")?, before);
    let run = site.bakery(&["root", "sign", "next.json", "--key", "keys/root.key"])?;
    ensure!(run.stderr.ends_with("Root 2 is fully signed. Run `bakery root finish` to activate it.\n"));
    let shown = run.succeeds()?;
    let (proposal, signed) =
        shown.split_once("signed now  ").ok_or_else(|| anyhow::anyhow!(shown.clone()))?;
    ensure!(proposal.starts_with(number) && proposal.contains("signatures    0 of 1 required (root 1)\n"));
    ensure!(site.read("keys/root.pub")?.contains(signed.trim()), "{signed}");
    Ok(())
}

#[test]
fn fault_secrets_are_not_printed_and_not_stored_in_plain_text() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let site = Site::bare()?;
    let error = site.bakery(&["key", "a"])?.fails()?;
    ensure!(error.contains("no password given"), "{error}");
    ensure!(!site.path("a.key").exists() && !site.path("a.pub").exists());

    site.write("password", "correct horse\n")?;
    fs::set_permissions(site.path("password"), fs::Permissions::from_mode(0o644))?;
    let error = site.bakery(&["key", "a", "--password-file", "password"])?.fails()?;
    ensure!(error.contains("others can read it"), "{error}");
    fs::set_permissions(site.path("password"), fs::Permissions::from_mode(0o600))?;
    let made = site.bakery(&["key", "a", "--password-file", "password"])?;
    assert_eq!(fs::metadata(site.path("a.key"))?.permissions().mode() & 0o777, 0o600);
    let error = site.bakery(&["key", "a", "--unencrypted"])?.fails()?;
    ensure!(error.contains("keys are never overwritten"), "{error}");

    site.keys(&["online"])?;
    let url = site.url();
    let init = ["root", "init", "keys", "--repository", "example", "--url", &url, "--key", "a.pub"];
    site.bakery(&[&init[..], &["--catalog-key", "online.pub"]].concat())?.succeeds()?;
    let sign = ["root", "sign", "keys/roots.pending.json", "--key", "a.key"];
    let error = site.bakery(&sign)?.fails()?;
    ensure!(error.contains("a.key is encrypted, but no password was given"), "{error}");
    let signed = site.bakery(&[&sign[..], &["--password-file", "password"]].concat())?;
    for name in ["a.key", "online.key"] {
        let text = site.read(name)?;
        let secret = text.lines().nth(1).unwrap_or_default();
        let mistaken = site.bakery(&[&init[..], &["--catalog-key", name]].concat())?;
        for run in [&made, &signed, &mistaken] {
            ensure!(!format!("{run:?}").contains(secret) && !format!("{run:?}").contains("correct horse"));
        }
        mistaken.fails()?;
    }
    signed.succeeds()?;
    // The mode of a secret is checked on every use
    fs::set_permissions(site.path("a.key"), fs::Permissions::from_mode(0o640))?;
    let error = site.bakery(&[&sign[..], &["--password-file", "password"]].concat())?.fails()?;
    ensure!(error.contains("a.key contains a secret, but others can read it (mode 0640)"), "{error}");
    Ok(())
}
