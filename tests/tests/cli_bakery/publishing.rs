//! From keys to a served directory.

use anyhow::{Context as _, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use sysext_image::{Filesystem, dump};
use sysext_manifests::catalog::FORMAT;
use sysext_manifests::checksums::Checksums;
use sysext_manifests::digest::Sha256;
use tests::workspace;

use crate::{Desk, Run, URL, files, labels};

#[test]
fn cli_bakery_publishes_from_keys_to_a_served_directory() -> Result<()> {
    let desk = Desk::new()?;
    let stdout = desk.keygen(&["--unencrypted"])?.succeeds()?;
    let keys = ["catalog.key", "catalog.pub", "example.toml", "root.key", "root.pub", "roots.json"];
    assert_eq!(files(&desk.path("keys"))?, keys);
    assert_eq!(labels(&stdout), ["repository", "root key", "catalog key", "root expires"]);
    for (file, mode) in [("root.key", 0o600), ("catalog.key", 0o600), ("roots.json", 0o644)] {
        let found = fs::metadata(desk.path("keys").join(file))?.permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file}");
    }

    desk.program("tree/usr/bin/x", "#!/bin/sh\necho one\n")?;
    let check = "exec:/usr/bin/x --version";
    let stdout = desk.bake("1.0", &["--health", check, "--codec", "none"])?.succeeds()?;
    // No ratio, because the content is smaller than the smallest image
    let expected = ["extension", "image", "size", "content", "sha256", "writer", "kernel", "time"];
    assert_eq!(labels(&stdout), expected);
    assert!(stdout.contains("extension  x 1.0 for x86-64\n"), "{stdout}");
    assert!(stdout.contains("writer     erofs-1/none\n"), "{stdout}");
    desk.bake("1.0", &["--revision", "2", "--codec", "none"])?.succeeds()?;
    desk.index(&[])?.succeeds()?;

    // Everyone may read published files, whatever the publisher's umask is
    let run = desk.run_after("umask 077", &["publish", "store", "--to", "served"])?;
    for directory in ["served", "served/x", "served/catalog"] {
        let mode = fs::metadata(desk.path(directory))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{directory}");
    }
    assert_eq!(
        run.stderr,
        "warning: the transfer files say Verify=no: sysupdate checks the signed catalog, but stock \
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
    let served = files(&desk.path("served"))?;
    assert_eq!(served, expected);
    for name in &served {
        let extends = served.iter().find(|other| *other != name && name.starts_with(other.as_str()));
        assert_eq!(extends, None, "systemd 257 takes {name} for the shorter name");
        let mode = fs::metadata(desk.path("served").join(name))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
    }

    let catalog = desk.admitted()?;
    assert_eq!((catalog.version, catalog.serial), (FORMAT, 1));
    let (sums, warnings) = Checksums::parse(&fs::read(desk.path("served/x/SHA256SUMS"))?)?;
    assert_eq!((sums.entries.len(), warnings.len()), (2, 0));
    let instances = &catalog.extensions["x"].instances;
    let versions: Vec<_> = instances.iter().map(|i| (i.version.as_str(), &*i.upstream, i.revision)).collect();
    assert_eq!(versions, [("1.0", "1.0", 1), ("1.0-2", "1.0", 2)]);
    assert_eq!(instances[0].health, [check.parse()?]);
    for instance in instances {
        let bytes = fs::read(desk.path("served").join(&instance.image.url))?;
        assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (instance.image.size, instance.image.sha256));
        assert_eq!(sums.find(instance.image.url.trim_start_matches("x/")), Some(instance.image.sha256));
    }
    Ok(())
}

#[test]
fn cli_bakery_adds_the_extension_release_file() -> Result<()> {
    let desk = Desk::with_keys()?;
    desk.bake("1.0", &[])?.succeeds()?;
    let image = Filesystem::open(fs::File::open(desk.path("store/x/x-1.0-x86-64.raw"))?)?;
    let mut text = Vec::new();
    dump(&image, &mut text)?;
    let dump = String::from_utf8(text)?;
    let line = dump.lines().find(|line| line.contains("extension-release.x")).context("it is not there")?;
    assert!(line.contains("user.extension-release.strict"), "{line}");
    Ok(())
}

#[test]
fn cli_bakery_counts_serials_and_keeps_released_images() -> Result<()> {
    let desk = Desk::with_keys()?;
    desk.bake("1.0", &[])?.succeeds()?;
    for serial in 1..=3 {
        let stdout = desk.index(&["--json"])?.succeeds()?;
        let indexed: serde_json::Value = serde_json::from_str(&stdout)?;
        assert_eq!(indexed["serial"], serial);
    }
    let image = desk.path("store/x/x-1.0-x86-64.raw");
    let (before, listing) = (fs::read(&image)?, files(&desk.path("store"))?);
    desk.bake("1.0", &[])?.succeeds()?;
    desk.program("tree/usr/bin/x", "#!/bin/sh\necho two\n")?;
    assert_eq!(
        desk.bake("1.0", &[])?.fails()?,
        "error: store/x/x-1.0-x86-64.raw was released with other bytes\n\
         hint: bake it as revision 2, so that nodes see it; if nobody has the old bytes, --replace\n"
    );
    assert_eq!((fs::read(&image)?, files(&desk.path("store"))?), (before, listing));
    desk.bake("1.0", &["--revision", "2"])?.succeeds()?;
    desk.index(&[])?.succeeds()?;
    desk.publish()?.succeeds()?;
    assert_eq!(desk.admitted()?.serial, 4);
    Ok(())
}

#[test]
fn cli_bakery_rejects_a_key_that_others_may_read() -> Result<()> {
    let desk = Desk::with_keys()?;
    desk.bake("1.0", &[])?.succeeds()?;
    fs::set_permissions(desk.path("keys/catalog.key"), Permissions::from_mode(0o644))?;
    assert_eq!(
        desk.index(&[])?.fails()?,
        "error: keys/catalog.key holds a secret and others may read it (mode 0644)\n\
         hint: chmod 600 keys/catalog.key; if others could read it, make new keys\n"
    );
    assert!(!desk.path("store/catalog").exists());
    Ok(())
}

#[test]
fn cli_bakery_never_overwrites_keys() -> Result<()> {
    let desk = Desk::with_keys()?;
    let before = fs::read(desk.path("keys/root.key"))?;
    assert_eq!(
        desk.keygen(&["--unencrypted"])?.fails()?,
        "error: keys/root.key exists, and keys are never overwritten\nhint: choose another directory\n"
    );
    assert_eq!(fs::read(desk.path("keys/root.key"))?, before);
    Ok(())
}

#[test]
fn cli_bakery_reads_the_password_from_a_file_or_the_environment() -> Result<()> {
    const PASSWORD: &str = "correct horse";
    let desk = Desk::new()?;
    assert_eq!(
        desk.keygen(&[])?.fails()?,
        "error: nothing says how to protect the keys: give --password-file FILE, set BAKERY_PASSWORD, or give \
         --unencrypted\n"
    );
    desk.write("password", &format!("{PASSWORD}\n"))?;
    fs::set_permissions(desk.path("password"), Permissions::from_mode(0o600))?;
    desk.keygen(&["--password-file", "password"])?.succeeds()?;
    desk.program("tree/usr/bin/x", "")?;
    desk.bake("1.0", &[])?.succeeds()?;
    assert_eq!(
        desk.index(&[])?.fails()?,
        "error: keys/catalog.key is encrypted and no password was given\n\
         hint: give --password-file FILE, or set BAKERY_PASSWORD in the environment\n"
    );
    let index = ["index", "store", "--repository", "example", "--url", URL, "--keys", "keys"];
    let run =
        |password: &str| Run::of(desk.command(&desk.bakery).args(index).env("BAKERY_PASSWORD", password));
    let wrong = run("wrong horse")?;
    assert!(!wrong.stderr.contains("wrong horse"), "{}", wrong.stderr);
    assert!(wrong.fails()?.contains("keys/catalog.key is not usable as a minisign secret key"));
    let right = run(PASSWORD)?;
    assert!(!right.stderr.contains(PASSWORD) && !right.stdout.contains(PASSWORD));
    right.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_bakes_the_recipes_of_this_repository() -> Result<()> {
    let desk = Desk::new()?;
    // Any program works: only its architecture is checked
    desk.program("sysupdate", "#!/bin/sh\n")?;
    let recipe = workspace::root().join("recipes/sysupdate");
    let recipe = recipe.to_str().context("the path is not UTF-8")?;
    let baked = desk
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
        desk.run(&["bake", recipe, "--arch", "x86-64", "--out", "store"])?.fails()?,
        "error: the recipe takes usr/bin/sysupdate from the input \"sysupdate\", which is not given\n\
         hint: give --input sysupdate=PATH\n"
    );
    Ok(())
}

#[test]
fn cli_checksums_checks_or_repairs_a_manifest() -> Result<()> {
    let desk = Desk::new()?;
    let [a, b] = [Sha256::of(b"a"), Sha256::of(b"b")];
    desk.write("SHA256SUMS", &format!("# ours\n{b}  b.raw\n{a} *a.raw\n{a}  c.raw\r\n"))?;
    let run = desk.run(&["checksums", "SHA256SUMS"])?;
    assert_eq!(
        run.fails()?,
        "error: SHA256SUMS: line 1 does not start with a digest: a SHA-256 digest has 64 hexadecimal digits, this one \
         has 6\n"
    );
    let run = desk.run(&["checksums", "SHA256SUMS", "--lenient"])?;
    assert_eq!(
        run.stderr,
        "left out: SHA256SUMS: line 1 does not start with a digest: a SHA-256 digest has 64 hexadecimal digits, this \
         one has 6\n\
         left out: SHA256SUMS: line 4: the file name \"c.raw\\r\" has a control character\n"
    );
    let mended = run.succeeds()?;
    assert_eq!(mended, format!("{a}  a.raw\n{b}  b.raw\n"));
    desk.write("SHA256SUMS", &mended)?;
    let run = desk.run(&["checksums", "SHA256SUMS"])?;
    assert_eq!((run.stderr.as_str(), run.stdout.as_str()), ("", mended.as_str()));
    Ok(())
}

#[test]
fn cli_bakery_index_requires_a_store() -> Result<()> {
    let desk = Desk::with_keys()?;
    let refusal = "error: there is no store at store\n\
                   hint: name the directory that `bakery bake --out` wrote to, or bake into store first\n";
    assert_eq!(desk.index(&[])?.fails()?, refusal);
    assert!(!desk.path("store").exists());
    // Neither an empty directory nor a foreign one is a store
    desk.write("store/photos/one.json", "{}")?;
    assert_eq!(desk.index(&[])?.fails()?, refusal);
    assert_eq!(files(&desk.path("store"))?, ["photos/one.json"]);
    desk.bake("1.0", &[])?.succeeds()?;
    fs::remove_dir_all(desk.path("store/photos"))?;
    desk.index(&[])?.succeeds()?;
    // A store that became empty is still a store
    fs::remove_dir_all(desk.path("store/x"))?;
    desk.index(&[])?.succeeds()?;
    Ok(())
}
