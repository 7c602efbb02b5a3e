//! From keys to a served directory.

use anyhow::{Context as _, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use sysext_image::{Filesystem, dump};
use sysext_manifests::catalog::FORMAT;
use sysext_manifests::checksums::Checksums;
use sysext_manifests::digest::Sha256;
use tests::workspace;

use crate::{Publisher, Run, URL, files, labels};

#[test]
fn cli_bakery_publishes_from_keys_to_a_served_directory() -> Result<()> {
    let publisher = Publisher::new()?;
    let stdout = publisher.keygen(&["--unencrypted"])?.succeeds()?;
    let keys = ["catalog.key", "catalog.pub", "example.toml", "root.key", "root.pub", "roots.json"];
    assert_eq!(files(&publisher.path("keys"))?, keys);
    assert_eq!(labels(&stdout), ["repository", "root key", "catalog key", "root expires"]);
    for (file, mode) in [("root.key", 0o600), ("catalog.key", 0o600), ("roots.json", 0o644)] {
        let found = fs::metadata(publisher.path("keys").join(file))?.permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file}");
    }

    publisher.program("tree/usr/bin/x", "#!/bin/sh\necho one\n")?;
    let check = "exec:/usr/bin/x --version";
    let stdout = publisher.bake("1.0", &["--health", check, "--codec", "none"])?.succeeds()?;
    // No ratio, because the content is smaller than the smallest image
    let expected = ["extension", "image", "size", "content", "sha256", "writer", "kernel", "time"];
    assert_eq!(labels(&stdout), expected);
    assert!(stdout.contains("extension  x 1.0 for x86-64\n"), "{stdout}");
    assert!(stdout.contains("writer     erofs-1/none\n"), "{stdout}");
    publisher.bake("1.0", &["--revision", "2", "--codec", "none"])?.succeeds()?;
    publisher.index(&[])?.succeeds()?;

    // Everyone may read published files, whatever the publisher's umask is
    let run = publisher.run_after("umask 077", &["publish", "store", "--to", "served"])?;
    for directory in ["served", "served/x", "served/catalog"] {
        let mode = fs::metadata(publisher.path(directory))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{directory}");
    }
    assert_eq!(
        run.stderr,
        "warning: the transfer files contain Verify=no: sysupdate checks the signed catalog, but stock \
         systemd-sysupdate trusts the server alone\n"
    );
    let copied: Vec<String> =
        run.succeeds()?.lines().filter_map(|line| Some(line.strip_prefix("+ ")?.to_owned())).collect();
    let expected = [
        "x/x-1.0-x86-64.raw",
        "x/x-1.0-2-x86-64.raw",
        "x/x.conf",
        "x/x.transfer",
        "x/SHA256SUMS",
        "catalog/catalog.json",
    ];
    assert_eq!(copied, expected);

    // Exactly the documented files: no key, no record, no partial file
    let mut expected = expected;
    expected.sort_unstable();
    let served = files(&publisher.path("served"))?;
    assert_eq!(served, expected);
    for name in &served {
        let extends = served.iter().find(|other| *other != name && name.starts_with(other.as_str()));
        assert_eq!(extends, None, "systemd 257 takes {name} for the shorter name");
        let mode = fs::metadata(publisher.path("served").join(name))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
    }

    let catalog = publisher.admitted()?;
    assert_eq!((catalog.version, catalog.serial), (FORMAT, 1));
    let (sums, warnings) = Checksums::parse(&fs::read(publisher.path("served/x/SHA256SUMS"))?)?;
    assert_eq!((sums.entries.len(), warnings.len()), (2, 0));
    let instances = &catalog.extensions["x"].instances;
    let versions: Vec<_> = instances.iter().map(|i| (i.version.as_str(), &*i.upstream, i.revision)).collect();
    assert_eq!(versions, [("1.0", "1.0", 1), ("1.0-2", "1.0", 2)]);
    assert_eq!(instances[0].health, [check.parse()?]);
    for instance in instances {
        let bytes = fs::read(publisher.path("served").join(&instance.image.url))?;
        assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (instance.image.size, instance.image.sha256));
        assert_eq!(sums.find(instance.image.url.trim_start_matches("x/")), Some(instance.image.sha256));
    }
    Ok(())
}

#[test]
fn cli_bakery_adds_the_extension_release_file() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.bake("1.0", &[])?.succeeds()?;
    let image = Filesystem::open(fs::File::open(publisher.path("store/x/x-1.0-x86-64.raw"))?)?;
    let mut text = Vec::new();
    dump(&image, &mut text)?;
    let dump = String::from_utf8(text)?;
    let line = dump.lines().find(|line| line.contains("extension-release.x")).context("it is not there")?;
    assert!(line.contains("user.extension-release.strict"), "{line}");
    Ok(())
}

#[test]
fn cli_bakery_counts_serials_and_keeps_released_images() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.bake("1.0", &[])?.succeeds()?;
    for serial in 1..=3 {
        let stdout = publisher.index(&["--json"])?.succeeds()?;
        let indexed: serde_json::Value = serde_json::from_str(&stdout)?;
        assert_eq!(indexed["serial"], serial);
    }
    let image = publisher.path("store/x/x-1.0-x86-64.raw");
    let (before, listing) = (fs::read(&image)?, files(&publisher.path("store"))?);
    publisher.bake("1.0", &[])?.succeeds()?;
    publisher.program("tree/usr/bin/x", "#!/bin/sh\necho two\n")?;
    assert_eq!(
        publisher.bake("1.0", &[])?.fails()?,
        "error: store/x/x-1.0-x86-64.raw was released with different contents\n\
         hint: bake it as revision 2, so that nodes see it; if nobody has downloaded it, pass --replace\n"
    );
    assert_eq!((fs::read(&image)?, files(&publisher.path("store"))?), (before, listing));
    publisher.bake("1.0", &["--revision", "2"])?.succeeds()?;
    publisher.index(&[])?.succeeds()?;
    publisher.publish()?.succeeds()?;
    assert_eq!(publisher.admitted()?.serial, 4);
    Ok(())
}

#[test]
fn cli_bakery_rejects_a_key_that_others_may_read() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.bake("1.0", &[])?.succeeds()?;
    fs::set_permissions(publisher.path("keys/catalog.key"), Permissions::from_mode(0o644))?;
    assert_eq!(
        publisher.index(&[])?.fails()?,
        "error: keys/catalog.key contains a secret, but others can read it (mode 0644)\n\
         hint: run chmod 600 keys/catalog.key; if others may have read it, generate new keys\n"
    );
    assert!(!publisher.path("store/catalog").exists());
    Ok(())
}

#[test]
fn cli_bakery_never_overwrites_keys() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    let before = fs::read(publisher.path("keys/root.key"))?;
    assert_eq!(
        publisher.keygen(&["--unencrypted"])?.fails()?,
        "error: keys/root.key already exists; keys are never overwritten\nhint: choose another directory\n"
    );
    assert_eq!(fs::read(publisher.path("keys/root.key"))?, before);
    Ok(())
}

#[test]
fn cli_bakery_reads_the_password_from_a_file_or_the_environment() -> Result<()> {
    const PASSWORD: &str = "correct horse";
    let publisher = Publisher::new()?;
    assert_eq!(
        publisher.keygen(&[])?.fails()?,
        "error: no password given: use --password-file, set BAKERY_PASSWORD, or pass --unencrypted\n"
    );
    publisher.write("password", &format!("{PASSWORD}\n"))?;
    fs::set_permissions(publisher.path("password"), Permissions::from_mode(0o600))?;
    publisher.keygen(&["--password-file", "password"])?.succeeds()?;
    publisher.program("tree/usr/bin/x", "")?;
    publisher.bake("1.0", &[])?.succeeds()?;
    assert_eq!(
        publisher.index(&[])?.fails()?,
        "error: keys/catalog.key is encrypted, but no password was given\n\
         hint: pass --password-file FILE, or set BAKERY_PASSWORD in the environment\n"
    );
    let index = ["index", "store", "--repository", "example", "--url", URL, "--keys", "keys"];
    let run = |password: &str| {
        Run::of(publisher.command(&publisher.bakery).args(index).env("BAKERY_PASSWORD", password))
    };
    let wrong = run("wrong horse")?;
    assert!(!wrong.stderr.contains("wrong horse"), "{}", wrong.stderr);
    assert!(wrong.fails()?.contains("cannot use keys/catalog.key as a minisign secret key"));
    let right = run(PASSWORD)?;
    assert!(!right.stderr.contains(PASSWORD) && !right.stdout.contains(PASSWORD));
    right.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_bakes_the_recipes_of_this_repository() -> Result<()> {
    let publisher = Publisher::new()?;
    // Any program works: only its architecture is checked
    publisher.program("sysupdate", "#!/bin/sh\n")?;
    let recipe = workspace::root().join("recipes/sysupdate");
    let recipe = recipe.to_str().context("the path is not UTF-8")?;
    let baked = publisher
        .run(&[
            "bake",
            recipe,
            "--input",
            "sysupdate=sysupdate",
            "--arch",
            "x86-64",
            "--out",
            "store",
            "--json",
        ])?
        .succeeds()?;
    let baked: serde_json::Value = serde_json::from_str(&baked)?;
    assert_eq!(baked["version"], env!("CARGO_PKG_VERSION"), "the recipe has the version of the workspace");
    assert_eq!(
        publisher.run(&["bake", recipe, "--arch", "x86-64", "--out", "store"])?.fails()?,
        "error: the recipe takes usr/bin/sysupdate from the input \"sysupdate\", which was not given\n\
         hint: pass --input sysupdate=PATH\n"
    );
    Ok(())
}

#[test]
fn cli_checksums_checks_or_repairs_a_manifest() -> Result<()> {
    let publisher = Publisher::new()?;
    let [a, b] = [Sha256::of(b"a"), Sha256::of(b"b")];
    publisher.write("SHA256SUMS", &format!("# ours\n{b}  b.raw\n{a} *a.raw\n{a}  c.raw\r\n"))?;
    let run = publisher.run(&["checksums", "SHA256SUMS"])?;
    assert_eq!(
        run.fails()?,
        "error: SHA256SUMS: line 1 does not start with a digest: a SHA-256 digest has 64 hexadecimal digits, not 6\n"
    );
    let run = publisher.run(&["checksums", "SHA256SUMS", "--lenient"])?;
    assert_eq!(
        run.stderr,
        "skipped: SHA256SUMS: line 1 does not start with a digest: a SHA-256 digest has 64 hexadecimal digits, not 6\n\
         skipped: SHA256SUMS: line 4: the file name \"c.raw\\r\" contains a control character\n"
    );
    let mended = run.succeeds()?;
    assert_eq!(mended, format!("{a}  a.raw\n{b}  b.raw\n"));
    publisher.write("SHA256SUMS", &mended)?;
    let run = publisher.run(&["checksums", "SHA256SUMS"])?;
    assert_eq!((run.stderr.as_str(), run.stdout.as_str()), ("", mended.as_str()));
    Ok(())
}

#[test]
fn cli_bakery_index_requires_a_store() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    let refusal = "error: no store at store\n\
                   hint: name the directory that `bakery bake --out` wrote to, or bake into store first\n";
    assert_eq!(publisher.index(&[])?.fails()?, refusal);
    assert!(!publisher.path("store").exists());
    // Neither an empty directory nor a foreign one is a store
    publisher.write("store/photos/one.json", "{}")?;
    assert_eq!(publisher.index(&[])?.fails()?, refusal);
    assert_eq!(files(&publisher.path("store"))?, ["photos/one.json"]);
    publisher.bake("1.0", &[])?.succeeds()?;
    fs::remove_dir_all(publisher.path("store/photos"))?;
    publisher.index(&[])?.succeeds()?;
    // A store that became empty is still a store
    fs::remove_dir_all(publisher.path("store/x"))?;
    publisher.index(&["--drop", "x@1.0"])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_takes_name_and_url_from_the_keys() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.bake("1.0", &[])?.succeeds()?;
    let index =
        |arguments: &[&str]| publisher.run(&[&["index", "store", "--keys", "keys"], arguments].concat());
    let stdout = index(&[])?.succeeds()?;
    assert!(
        stdout.contains("repository  example\n") && stdout.contains(&format!("url         {URL}\n")),
        "{stdout}"
    );
    assert_eq!(
        index(&["--repository", "exampel"])?.fails()?,
        "error: keys contains the keys of repository example, not exampel\n\
         hint: pass --repository example or omit it, or use the keys of the other repository\n"
    );
    assert!(index(&["--url", "https://example.com"])?.fails()?.starts_with(
        "error: keys/example.toml contains the URL https://example.org/extensions, not https://example.com\n"
    ));
    assert!(
        index(&["--url", "ftp://example.org"])?
            .fails()?
            .starts_with("error: invalid --url \"ftp://example.org\": ")
    );
    fs::remove_file(publisher.path("keys/example.toml"))?;
    index(&[])?.succeeds()?;
    assert_eq!(
        index(&["--url", "https://example.com"])?.fails()?,
        "error: the last release of example has the URL https://example.org/extensions, not https://example.com\n\
         hint: if the repository moved, pass --change-url, and give nodes the new NAME.toml\n"
    );
    index(&["--url", "https://example.com", "--change-url"])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_refuses_to_lose_an_image() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    for version in ["1.0", "1.1"] {
        publisher.bake(version, &[])?.succeeds()?;
    }
    publisher.index(&[])?.succeeds()?;
    publisher.publish()?.succeeds()?;
    for file in ["x-1.0-x86-64.raw", "x-1.0-x86-64.json"] {
        fs::remove_file(publisher.path("store/x").join(file))?;
    }
    assert_eq!(
        publisher.index(&[])?.fails()?,
        "error: store no longer contains images that are on offer: x 1.0 x86-64\n\
         hint: restore the images and their records, or stop offering them with --drop x@1.0\n"
    );
    let run = publisher.index(&["--drop", "x@1.0"])?;
    assert_eq!(run.stderr, "warning: x/x-1.0-x86-64.raw was dropped and is no longer offered\n");
    run.succeeds()?;
    // What was dropped in the store needs no second confirmation
    publisher.publish()?.succeeds()?;
    assert_eq!(publisher.admitted()?.extensions["x"].instances.len(), 1);
    Ok(())
}

#[test]
fn cli_bakery_notices_a_forgotten_index() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    assert_eq!(
        publisher.publish()?.fails()?,
        "error: no store at store\nhint: name the directory that `bakery bake --out` wrote to\n"
    );
    publisher.bake("1.0", &[])?.succeeds()?;
    assert_eq!(
        publisher.publish()?.fails()?,
        "error: nothing to publish: store has no signed catalog\nhint: run `bakery index` first\n"
    );
    publisher.index(&[])?.succeeds()?;
    publisher.bake("1.1", &[])?.succeeds()?;
    assert_eq!(
        publisher.publish()?.fails()?,
        "error: store contains images that are not on offer: x 1.1 x86-64\n\
         hint: run `bakery index` first, or pass --allow-unindexed to publish the release without them\n"
    );
    publisher.run(&["publish", "store", "--to", "served", "--allow-unindexed"])?.succeeds()?;
    assert_eq!(publisher.admitted()?.extensions["x"].instances.len(), 1);
    Ok(())
}

#[test]
fn cli_bakery_reports_versions_that_nodes_would_skip() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.bake("1.32.0", &[])?.succeeds()?;
    publisher.index(&[])?.succeeds()?;
    assert_eq!(
        publisher.bake("v1.33.0", &[])?.fails()?,
        "error: version \"v1.33.0\" would sort below 1.32.0: only one of them starts with \"v\"\n\
         hint: bake it as 1.33.0\n"
    );
    publisher.bake("1.31.0", &[])?.succeeds()?;
    let run = publisher.index(&[])?;
    assert_eq!(
        run.stderr,
        "warning: x/x-1.31.0-x86-64.raw is older than 1.32.0, which is on offer already; nodes do not go back to it\n"
    );
    run.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_hints_at_missing_keys() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.bake("1.0", &[])?.succeeds()?;
    fs::remove_file(publisher.path("keys/catalog.key"))?;
    assert_eq!(
        publisher.index(&[])?.fails()?,
        "error: keys/catalog.key does not exist\n\
         hint: generate new keys with `bakery keygen`; replace a lost catalog key with `bakery key` and `bakery root \
         rotate`\n"
    );
    assert_eq!(
        publisher.run(&["root", "rotate", "roots.json", "--out", "next.json"])?.fails()?,
        "error: roots.json does not exist\n\
         hint: `bakery keygen` or `bakery root init` creates the first roots; roots.json may be in another directory\n"
    );
    Ok(())
}

#[test]
fn cli_bakery_shows_a_catalog() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.bake("1.0", &["--stream", "1"])?.succeeds()?;
    assert!(
        publisher
            .run(&["show", "store"])?
            .fails()?
            .starts_with("error: store has no catalog\nhint: run `bakery index` first")
    );
    publisher.index(&[])?.succeeds()?;
    publisher.publish()?.succeeds()?;
    let shown = publisher.run(&["show", "served"])?.succeeds()?;
    assert_eq!(labels(&shown)[..6], ["catalog", "repository", "serial", "issued", "expires", "signatures"]);
    for line in [
        "serial      1 (root 1)\n",
        "(30 days left)\n",
        "signatures  1 of 1 required\n",
        "\nx\n  1.0  x86-64  ",
    ] {
        assert!(shown.contains(line), "{line:?} is not in {shown}");
    }
    assert!(shown.ends_with(", stream 1, kernel 5.15 or later\n"), "{shown}");
    let json = publisher.run(&["show", "store/catalog/catalog.json", "--json"])?.succeeds()?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    assert_eq!((&json["serial"], &json["problem"]), (&1.into(), &serde_json::Value::Null));
    assert_eq!(json["extensions"]["x"]["images"][0]["version"], "1.0");
    assert_eq!(
        publisher.run(&["show", "https://example.org/r/"])?.fails()?,
        "error: https://example.org/r is a URL; bakery reads only local files\n\
         hint: run curl -O https://example.org/r/catalog/catalog.json, then bakery show catalog.json\n"
    );
    Ok(())
}
