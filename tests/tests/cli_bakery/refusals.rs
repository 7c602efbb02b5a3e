//! Rejected inputs, and the messages.

use anyhow::{Result, ensure};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::{Desk, URL, files};

#[test]
fn cli_bakery_reports_position_of_recipe_errors() -> Result<()> {
    let desk = Desk::new()?;
    desk.write("r/recipe.toml", "name = 'x'\nversion = '1.0'\narch = ['x86-64']\ncolour = 'red'\n")?;
    let message = desk.run(&["bake", "r", "--out", "store"])?.fails()?;
    assert!(
        message.starts_with("error: r/recipe.toml:4:1: unknown field `colour`, expected one of"),
        "{message}"
    );
    desk.write("r/recipe.toml", "name = 'x'\nversion = '1.0-rc.1'\narch = ['x86-64']\n")?;
    assert_eq!(
        desk.run(&["bake", "r", "--out", "store"])?.fails()?,
        "error: r/recipe.toml:2:11: version \"1.0-rc.1\" is a pre-release that would sort above the release \
         itself (write it as 1.0~rc.1)\n"
    );
    assert_eq!(
        desk.run(&["bake", "nowhere", "--out", "store"])?.fails()?,
        "error: cannot read the recipe nowhere/recipe.toml: No such file or directory (os error 2)\n\
         hint: name the directory that holds recipe.toml, or bake a directory with --tree\n"
    );
    assert!(!desk.path("store").exists());
    Ok(())
}

#[test]
fn cli_bakery_rejects_harmful_files() -> Result<()> {
    let desk = Desk::with_keys()?;
    desk.write("tree/etc/x.conf", "")?;
    desk.write("tree/usr/sbin/y", "")?;
    desk.write("tree/usr/lib/systemd/system/multi-user.target.d/bird.service", "")?;
    assert_eq!(
        desk.bake("1.0", &["--health", "exec:/usr/bin/true"])?.fails()?,
        "error: this would do harm once it is merged:\n  \
         /etc: only /usr and /opt can be extended\n  \
         /usr/lib/systemd/system/multi-user.target.d/bird.service: systemd reads only drop-ins that end in .conf\n  \
         /usr/sbin: is a directory, and would hide the host's link of that name\n  \
         a health check runs /usr/bin/true, which is not in the extension\n\
         hint: ship a default below usr/share and let a tmpfiles.d entry copy it; call it bird.service.conf; \
         move its content to usr/bin; a catalog's checks may only run what the extension ships\n"
    );
    let unit = desk.bake("1.0", &["--health", "unit:bird.service"])?;
    let expected =
        "health check \"unit:bird.service\" is not supported by this version, which only runs exec: checks";
    assert!(unit.status.code() == Some(2) && unit.stderr.contains(expected), "{}", unit.stderr);
    assert!(!desk.path("store").exists());
    Ok(())
}

#[test]
fn cli_bakery_rejects_codecs_for_older_kernels() -> Result<()> {
    let desk = Desk::with_keys()?;
    assert_eq!(
        desk.bake("1.0", &["--codec", "zstd"])?.fails()?,
        "error: zstd needs kernel 6.10 or later, but the target is 5.15\n\
         hint: pass --kernel 6.10 or use lz4hc\n"
    );
    assert!(!desk.path("store").exists());
    desk.bake("1.0", &["--codec", "zstd", "--kernel", "6.10"])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_leaves_no_partial_files() -> Result<()> {
    let desk = Desk::with_keys()?;
    desk.write("tree/usr/share/large", &"0123456789abcdef".repeat(1 << 16))?;
    let bake =
        ["bake", "--tree", "tree", "--name", "x", "--version", "1.0", "--arch", "x86-64", "--out", "store"];
    let bake = [&bake[..], &["--codec", "none"]].concat();

    // The file cannot grow: this is an error, even if the kernel would send a signal
    for before in ["trap '' XFSZ; ulimit -f 16", "ulimit -f 16"] {
        let message = desk.run_after(before, &bake)?.fails()?;
        let expected = "error: cannot write the image store/x/x-1.0-x86-64.raw: ";
        assert!(message.starts_with(expected) && message.contains("File too large"), "{message}");
        assert_eq!(files(&desk.path("store"))?, [""; 0]);
    }

    // A killed program leaves a file under a temporary name only, and the next run replaces it.
    desk.write("store/x/.x-1.0-x86-64.raw.partial", "begun")?;
    desk.run(&bake)?.succeeds()?;
    assert_eq!(files(&desk.path("store"))?, ["x/x-1.0-x86-64.json", "x/x-1.0-x86-64.raw"]);

    // A file exists at the path of the store
    desk.write("blocked", "")?;
    let out = [&bake[..bake.len() - 3], &["blocked"]].concat();
    assert_eq!(desk.run(&out)?.fails()?, "error: cannot write blocked: not a directory\n");
    Ok(())
}

#[test]
fn cli_bakery_lists_the_values_of_an_option() -> Result<()> {
    let desk = Desk::with_keys()?;
    let systems = "use a version or one of debian-12, debian-13, flatcar";
    let codecs = "use none, lz4, lz4hc or zstd, for squashfs also gzip or xz, with a level as in zstd:3";
    for (arguments, error, hint) in [
        (["--kernel", "nonsense"], "\"nonsense\" is not a kernel version such as 5.15", systems),
        (["--kernel", "ubuntu-24.04"], "\"ubuntu-24.04\" is not a kernel version such as 5.15", systems),
        (
            ["--kernel", "5.10"],
            "kernel 5.10 is not supported: images require kernel 5.15 or later",
            "use that version or a later one: older kernels lack features that images and nodes need",
        ),
        (["--codec", "lzo"], "no codec is called \"lzo\"", codecs),
        (["--codec", "lz4:1"], "lz4 takes no level", "use lz4, or lz4hc with a level from 3 to 12"),
        (["--codec", "none:3"], "none has no levels", "write none"),
        (["--codec", "zstd:22"], "zstd has the levels 1 to 19 in erofs images, not \"22\"", ""),
        (["--codec", "xz"], "erofs images do not support the codec xz", "use one of lz4hc, zstd, lz4, none"),
        (["--format", "ext4"], "unknown image format \"ext4\"", "use erofs or squashfs"),
        (["--arch", "amd64"], "unknown architecture \"amd64\"", "systemd calls it x86-64"),
        (["--arch", "aarch64"], "unknown architecture \"aarch64\"", "systemd calls it arm64"),
    ] {
        let tree = ["bake", "--tree", "tree", "--name", "x", "--version", "1", "-o", "store"];
        let run = desk.run(&[&tree[..], &arguments].concat())?;
        assert_eq!(run.status.code(), Some(2), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(error), "{arguments:?}: {}", run.stderr);
        assert!(hint.is_empty() || run.stderr.contains(&format!("hint: {hint}\n")), "{}", run.stderr);
    }
    assert!(!desk.path("store").exists());
    let stdout = desk.bake("1.0", &["--kernel", "6.1.0-56-cloud-amd64"])?.succeeds()?;
    assert!(stdout.contains("kernel     6.1 and later\n"), "{stdout}");
    desk.bake("1.1", &["--codec", "zstd:22", "--format", "squashfs"])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_names_files_that_an_extension_must_not_contain() -> Result<()> {
    let desk = Desk::with_keys()?;
    let why =
        "the host creates its own devices and pipes, and a device node 0:0 would hide a file of the host";
    let tool = |line: &str| -> Result<()> {
        let status = desk.command(Path::new("/bin/sh")).args(["-c", line]).status()?;
        ensure!(status.success(), "{line}: {status}");
        Ok(())
    };
    let bake = |tree: &str| {
        desk.run(&["bake", "--tree", tree, "--name", "x", "--version", "1", "-o", "x.raw"])?.fails()
    };
    tool("mkfifo tree/usr/pipe && tar -C tree -cf pipe.tar .")?;
    let pipe = fs::canonicalize(desk.path("tree/usr/pipe"))?;
    let pipe = pipe.display();
    assert_eq!(
        bake("tree")?,
        format!(
            "error: cannot stage the files: {pipe} is a fifo, which an extension must not contain\n\
             hint: exclude {pipe}: {why}\n"
        )
    );
    let told = bake("pipe.tar")?;
    assert!(told.contains("is a device node or fifo, which an extension must not contain\n"), "{told}");
    assert!(told.ends_with(&format!("pipe out: {why}\n")), "{told}");

    tool("rm tree/usr/pipe && truncate -s 1M tree/usr/holes && tar -C tree -Scf sparse.tar .")?;
    let told = bake("sparse.tar")?;
    assert!(told.contains("is a sparse file, which is not supported\n"), "{told}");
    assert!(told.ends_with("without --sparse (-S), or unpack it and bake the directory\n"), "{told}");
    Ok(())
}

#[test]
fn cli_bakery_replaces_only_images_of_the_same_extension() -> Result<()> {
    let desk = Desk::with_keys()?;
    let bake = |name: &str, out: &str, more: &[&str]| {
        desk.run(
            &[&["bake", "--tree", "tree", "--name", name, "--version", "3", "-o", out][..], more].concat(),
        )
    };
    assert_eq!(
        bake("x", "x-3.img", &[])?.fails()?,
        "error: x-3.img is neither a store nor a file that ends in .raw\n\
         hint: for the image alone write -o x-3.raw; for a store of that name make the directory first\n"
    );
    assert_eq!(
        bake("x", "-", &[])?.fails()?,
        "error: an image cannot be written to the standard output\nhint: write -o FILE.raw\n"
    );
    assert!(!desk.path("x-3.img").exists() && !desk.path("-").exists());
    fs::create_dir(desk.path("example.org"))?;
    bake("x", "example.org", &[])?.succeeds()?;
    assert!(desk.path("example.org/x").exists());

    let run = bake("x", "a.raw", &[])?;
    assert!(
        run.stderr.contains("warning: a.raw is not called x or x-…, and `bakery verify` takes it only with"),
        "{}",
        run.stderr
    );
    run.succeeds()?;
    assert_eq!(
        bake("other", "a.raw", &[])?.fails()?,
        "error: a.raw is an image of the extension x, which other would replace\n\
         hint: name another file, or give --replace\n"
    );
    bake("x", "a.raw", &[])?.succeeds()?;
    bake("other", "a.raw", &["--replace"])?.succeeds()?;
    let run = bake("x", "x-3.raw", &[])?;
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    Ok(())
}

#[test]
fn cli_bakery_explains_unusable_inputs() -> Result<()> {
    let desk = Desk::with_keys()?;
    fs::create_dir(desk.path("empty"))?;
    assert_eq!(
        desk.run(&["bake", "--tree", "empty", "--name", "x", "--version", "1", "-o", "store"])?.fails()?,
        "error: there is no file in empty\n\
         hint: lay the files out as on the target, all below usr or opt\n"
    );
    desk.write("r/recipe.toml", "name = 'x'\nversion = '1.0'\narch = ['x86-64']\n")?;
    assert_eq!(
        desk.run(&["bake", "r", "--out", "store"])?.fails()?,
        "error: there is no file in the recipe\n\
         hint: put them into files/ beside recipe.toml, laid out as on the target\n"
    );
    let run = desk.bake("1.0", &["--epoch", "now"])?;
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.contains("seconds since 1970, such as 1700000000"), "{}", run.stderr);
    desk.bake("1.0", &[])?.succeeds()?;
    let image = "store/x/x-1.0-x86-64.raw";
    let run = desk.run(&["verify", image, "--max-content", "lots"])?;
    assert!(run.stderr.contains("a number of bytes, such as 4096, 64K, 512M or 2G"), "{}", run.stderr);
    desk.run(&["verify", image, "--max-content", "1K"])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_warns_about_silent_changes() -> Result<()> {
    let desk = Desk::with_keys()?;
    for (name, mode) in [("usr/bin/u", 0o4755), ("usr/bin/g", 0o2755)] {
        desk.program(&format!("tree/{name}"), "#!/bin/sh\n")?;
        fs::set_permissions(desk.path("tree").join(name), Permissions::from_mode(mode))?;
    }
    let run = desk.bake("1.0", &[])?;
    for told in [
        "warning: /usr/bin/u is setuid: in the image it belongs to root, and whoever starts it is root there\n",
        "warning: /usr/bin/g is setgid: in the image it belongs to root, and whoever starts it is of the group root",
    ] {
        assert!(run.stderr.contains(told), "{}", run.stderr);
    }
    assert!(!run.stderr.contains("/usr/bin/x is set"), "{}", run.stderr);
    run.succeeds()?;

    let index =
        |url: &str| desk.run(&["index", "store", "--repository", "example", "--url", url, "--keys", "keys"]);
    let run = index("http://example.org/extensions")?;
    assert!(run.stderr.starts_with("warning: the address is not encrypted (http): "), "{}", run.stderr);
    run.succeeds()?;
    for url in [URL, "http://127.0.0.1:8000"] {
        let run = index(url)?;
        assert!(!run.stderr.contains("encrypted"), "{}", run.stderr);
        run.succeeds()?;
    }
    Ok(())
}
