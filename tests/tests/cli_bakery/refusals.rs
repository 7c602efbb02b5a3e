//! What is refused, and with which messages.

use anyhow::{Result, ensure};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::{Publisher, URL, files};

#[test]
fn cli_bakery_reports_position_of_recipe_errors() -> Result<()> {
    let publisher = Publisher::new()?;
    publisher.write("r/recipe.toml", "name = 'x'\nversion = '1.0'\narch = ['x86-64']\ncolour = 'red'\n")?;
    let message = publisher.run(&["bake", "r", "--out", "store"])?.fails()?;
    assert!(
        message.starts_with("error: r/recipe.toml:4:1: unknown field `colour`, expected one of"),
        "{message}"
    );
    publisher.write("r/recipe.toml", "name = 'x'\nversion = '1.0-rc.1'\narch = ['x86-64']\n")?;
    assert_eq!(
        publisher.run(&["bake", "r", "--out", "store"])?.fails()?,
        "error: r/recipe.toml:2:11: version \"1.0-rc.1\" is a pre-release that would sort above the release \
         itself (write it as 1.0~rc.1)\n"
    );
    assert_eq!(
        publisher.run(&["bake", "nowhere", "--out", "store"])?.fails()?,
        "error: cannot read the recipe nowhere/recipe.toml: No such file or directory (os error 2)\n\
         hint: name the directory with recipe.toml, or bake a directory tree with --tree\n"
    );
    assert!(!publisher.path("store").exists());
    Ok(())
}

#[test]
fn cli_bakery_rejects_harmful_files() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.write("tree/etc/x.conf", "")?;
    publisher.write("tree/usr/sbin/y", "")?;
    publisher.write("tree/usr/lib/systemd/system/multi-user.target.d/bird.service", "")?;
    assert_eq!(
        publisher.bake("1.0", &["--health", "exec:/usr/bin/true"])?.fails()?,
        "error: the tree must not be merged as it is:\n  \
         /etc: only /usr and /opt can be extended\n  \
         /usr/lib/systemd/system/multi-user.target.d/bird.service: systemd reads only drop-ins that end in .conf\n  \
         /usr/sbin: is a directory here, but a symlink to bin on Flatcar and Fedora: the programs behind that link would be hidden\n  \
         a health check runs /usr/bin/true, which is not in the extension\n\
         hint: ship a default below usr/share and let a tmpfiles.d entry copy it; rename it to bird.service.conf; \
         move its contents to usr/bin; health checks may only run programs of the extension\n"
    );
    assert!(!publisher.path("store").exists());
    Ok(())
}

#[test]
fn cli_bakery_rejects_codecs_for_older_kernels() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    assert_eq!(
        publisher.bake("1.0", &["--codec", "zstd"])?.fails()?,
        "error: zstd needs kernel 6.10 or later, but the target is 5.15\n\
         hint: pass --kernel 6.10 or use lz4hc\n"
    );
    assert!(!publisher.path("store").exists());
    publisher.bake("1.0", &["--codec", "zstd", "--kernel", "6.10"])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_leaves_no_partial_files() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.write("tree/usr/share/large", &"0123456789abcdef".repeat(1 << 16))?;
    let bake =
        ["bake", "--tree", "tree", "--name", "x", "--version", "1.0", "--arch", "x86-64", "--out", "store"];
    let bake = [&bake[..], &["--codec", "none"]].concat();

    // The file cannot grow: this is an error, even if the kernel would send a signal
    for before in ["trap '' XFSZ; ulimit -f 16", "ulimit -f 16"] {
        let message = publisher.run_after(before, &bake)?.fails()?;
        let expected = "error: cannot write the image store/x/x-1.0-x86-64.raw: ";
        assert!(message.starts_with(expected) && message.contains("File too large"), "{message}");
        assert_eq!(files(&publisher.path("store"))?, [""; 0]);
    }

    // A killed program leaves a file under a temporary name only, and the next run replaces it.
    publisher.write("store/x/.x-1.0-x86-64.raw.partial", "begun")?;
    publisher.run(&bake)?.succeeds()?;
    assert_eq!(files(&publisher.path("store"))?, ["x/x-1.0-x86-64.json", "x/x-1.0-x86-64.raw"]);

    // A file exists at the path of the store
    publisher.write("blocked", "")?;
    let out = [&bake[..bake.len() - 3], &["blocked"]].concat();
    assert_eq!(publisher.run(&out)?.fails()?, "error: cannot write blocked: not a directory\n");
    Ok(())
}

#[test]
fn cli_bakery_lists_the_values_of_an_option() -> Result<()> {
    let publisher = Publisher::with_keys()?;
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
        (["--codec", "lzo"], "unknown codec \"lzo\"", codecs),
        (["--codec", "lz4:1"], "lz4 takes no level", "use lz4, or lz4hc with a level from 3 to 12"),
        (["--codec", "none:3"], "none takes no level", "use none"),
        (["--codec", "zstd:22"], "invalid level \"22\" for zstd: erofs images take 1 to 19", ""),
        (["--codec", "xz"], "erofs images do not support the codec xz", "use one of lz4hc, zstd, lz4, none"),
        (["--format", "ext4"], "unknown image format \"ext4\"", "use erofs or squashfs"),
        (["--arch", "amd64"], "unknown architecture \"amd64\"", "systemd calls it x86-64"),
        (["--arch", "aarch64"], "unknown architecture \"aarch64\"", "systemd calls it arm64"),
    ] {
        let tree = ["bake", "--tree", "tree", "--name", "x", "--version", "1", "-o", "store"];
        let run = publisher.run(&[&tree[..], &arguments].concat())?;
        assert_eq!(run.status.code(), Some(2), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(error), "{arguments:?}: {}", run.stderr);
        assert!(hint.is_empty() || run.stderr.contains(&format!("hint: {hint}\n")), "{}", run.stderr);
    }
    assert!(!publisher.path("store").exists());
    let stdout = publisher.bake("1.0", &["--kernel", "6.1.0-56-cloud-amd64"])?.succeeds()?;
    assert!(stdout.contains("kernel     6.1 and later\n"), "{stdout}");
    publisher.bake("1.1", &["--codec", "zstd:22", "--format", "squashfs"])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_names_files_that_an_extension_must_not_contain() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    let why =
        "the host creates its own devices and pipes, and a device node 0:0 would hide a file of the host";
    let tool = |line: &str| -> Result<()> {
        let status = publisher.command(Path::new("/bin/sh")).args(["-c", line]).status()?;
        ensure!(status.success(), "{line}: {status}");
        Ok(())
    };
    let bake = |tree: &str| {
        publisher.run(&["bake", "--tree", tree, "--name", "x", "--version", "1", "-o", "x.raw"])?.fails()
    };
    tool("mkfifo tree/usr/pipe && tar -C tree -cf pipe.tar .")?;
    let pipe = fs::canonicalize(publisher.path("tree/usr/pipe"))?;
    let pipe = pipe.display();
    assert_eq!(
        bake("tree")?,
        format!(
            "error: {pipe} is a fifo, which an extension must not contain\n\
             hint: exclude {pipe}: {why}\n"
        )
    );
    let message = bake("pipe.tar")?;
    assert!(message.contains("is a device node or fifo, which an extension must not contain\n"), "{message}");
    assert!(message.ends_with(&format!("usr/pipe: {why}\n")), "{message}");

    tool("rm tree/usr/pipe && truncate -s 1M tree/usr/holes && tar -C tree -Scf sparse.tar .")?;
    let message = bake("sparse.tar")?;
    assert!(message.contains("is a sparse file, which is not supported\n"), "{message}");
    assert!(message.ends_with("without --sparse (-S), or extract it and bake the directory\n"), "{message}");
    Ok(())
}

#[test]
fn cli_bakery_replaces_only_images_of_the_same_extension() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    let bake = |name: &str, out: &str, more: &[&str]| {
        publisher.run(
            &[&["bake", "--tree", "tree", "--name", name, "--version", "3", "-o", out][..], more].concat(),
        )
    };
    assert_eq!(
        bake("x", "x-3.img", &[])?.fails()?,
        "error: x-3.img is neither a store nor a file name that ends in .raw\n\
         hint: for a single image use -o x-3.raw; for a store with this name create the directory first\n"
    );
    assert_eq!(
        bake("x", "-", &[])?.fails()?,
        "error: writing an image to standard output is not supported\nhint: use -o FILE.raw\n"
    );
    assert!(!publisher.path("x-3.img").exists() && !publisher.path("-").exists());
    fs::create_dir(publisher.path("example.org"))?;
    bake("x", "example.org", &[])?.succeeds()?;
    assert!(publisher.path("example.org/x").exists());

    let run = bake("x", "a.raw", &[])?;
    assert!(
        run.stderr
            .contains("warning: a.raw is not named x.raw or x-*.raw; `bakery verify` will need --name x"),
        "{}",
        run.stderr
    );
    run.succeeds()?;
    assert_eq!(
        bake("other", "a.raw", &[])?.fails()?,
        "error: a.raw contains the extension x; refusing to overwrite it with other\n\
         hint: choose another file, or pass --replace\n"
    );
    bake("x", "a.raw", &[])?.succeeds()?;
    bake("other", "a.raw", &["--replace"])?.succeeds()?;
    let run = bake("x", "x-3.raw", &[])?;
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    Ok(())
}

#[test]
fn cli_bakery_explains_unusable_inputs() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    fs::create_dir(publisher.path("empty"))?;
    assert_eq!(
        publisher
            .run(&["bake", "--tree", "empty", "--name", "x", "--version", "1", "-o", "store"])?
            .fails()?,
        "error: empty contains no files\n\
         hint: lay out the files as on the host, all below usr or opt\n"
    );
    publisher.write("r/recipe.toml", "name = 'x'\nversion = '1.0'\narch = ['x86-64']\n")?;
    assert_eq!(
        publisher.run(&["bake", "r", "--out", "store"])?.fails()?,
        "error: the recipe contains no files\n\
         hint: put them into files/ next to recipe.toml, laid out as on the host\n"
    );
    let run = publisher.bake("1.0", &["--epoch", "now"])?;
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.contains("seconds since 1970, such as 1700000000"), "{}", run.stderr);
    publisher.bake("1.0", &[])?.succeeds()?;
    let image = "store/x/x-1.0-x86-64.raw";
    let run = publisher.run(&["verify", image, "--max-content", "lots"])?;
    assert!(run.stderr.contains("a number of bytes, such as 4096, 64K, 512M or 2G"), "{}", run.stderr);
    publisher.run(&["verify", image, "--max-content", "1K"])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_warns_of_setuid_programs_and_open_urls() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    for (name, mode) in [("usr/bin/u", 0o4755), ("usr/bin/g", 0o2755)] {
        publisher.program(&format!("tree/{name}"), "#!/bin/sh\n")?;
        fs::set_permissions(publisher.path("tree").join(name), Permissions::from_mode(mode))?;
    }
    let run = publisher.bake("1.0", &[])?;
    for message in [
        "warning: /usr/bin/u is setuid and will be owned by root: it will run as root\n",
        "warning: /usr/bin/g is setgid and will belong to the group root: it will run as that group",
    ] {
        assert!(run.stderr.contains(message), "{}", run.stderr);
    }
    assert!(!run.stderr.contains("/usr/bin/x is set"), "{}", run.stderr);
    run.succeeds()?;

    // Without a file for nodes, the URL is free to choose
    fs::remove_file(publisher.path("keys/example.toml"))?;
    let index = |url: &str| {
        publisher.run(&[
            "index",
            "store",
            "--repository",
            "example",
            "--url",
            url,
            "--change-url",
            "--keys",
            "keys",
        ])
    };
    let run = index("http://example.org/extensions")?;
    assert!(run.stderr.starts_with("warning: the URL is not encrypted (http): "), "{}", run.stderr);
    run.succeeds()?;
    for url in [URL, "http://127.0.0.1:8000"] {
        let run = index(url)?;
        assert!(!run.stderr.contains("encrypted"), "{}", run.stderr);
        run.succeeds()?;
    }
    Ok(())
}

#[test]
fn cli_bakery_refuses_programs_for_another_architecture() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    fs::copy(std::env::current_exe()?, publisher.path("tree/usr/bin/y"))?;
    let other = if cfg!(target_arch = "aarch64") { "x86-64" } else { "arm64" };
    let bake = ["bake", "--tree", "tree", "--name", "x", "--version", "1", "--arch", other, "-o", "store"];
    let message = publisher.run(&bake)?.fails()?;
    assert!(
        message.starts_with("error: the tree must not be merged as it is:\n  /usr/bin/y: is for ")
            && message.contains(&format!(", not for {other}\nhint: build it for that architecture")),
        "{message}"
    );
    assert!(!publisher.path("store").exists());
    Ok(())
}

#[test]
fn cli_bakery_accepts_lib64_and_refuses_checks_that_nodes_do_not_run() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.write("tree/usr/lib64/libx.so.1", "")?;
    publisher.bake("1.0", &[])?.succeeds()?;
    let run = publisher.bake("1.1", &["--health", "unit:x.service"])?;
    assert_eq!(run.status.code(), Some(2));
    assert!(
        run.stderr.contains(
            "health check \"unit:x.service\" is not supported by this version, which only runs exec: checks"
        ),
        "{}",
        run.stderr
    );
    Ok(())
}

#[test]
fn cli_bakery_says_how_to_write_recipe_values() -> Result<()> {
    let publisher = Publisher::new()?;
    for (text, expected) in [
        (
            "version = 1.0\narch = ['x86-64']\n",
            "2:11: invalid type: floating point `1.0`, expected a string (write it in quotes)",
        ),
        (
            "version = '1'\narch = ['amd64']\n",
            "3:8: unknown architecture \"amd64\" (systemd calls it x86-64)",
        ),
        (
            "version = '1'\narch = ['x86-64']\n[image]\nkernel = 6.1\n",
            "5:10: invalid type: floating point `6.1`, expected a string (write it in quotes)",
        ),
        ("version = '1\narch = ['x86-64']\n", "2:"),
    ] {
        publisher.write("r/recipe.toml", &format!("name = 'x'\n{text}"))?;
        let message = publisher.run(&["bake", "r", "--out", "store"])?.fails()?;
        assert!(message.starts_with(&format!("error: r/recipe.toml:{expected}")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    Ok(())
}
