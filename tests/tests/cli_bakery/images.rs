//! Sources of trees, and commands that read images.

use anyhow::{Context as _, Result};
use std::fs;
use std::process::Command;
use sysext_image::entry::{Device, Special};
use sysext_image::tree::Metadata;
use sysext_manifests::digest::Sha256;
use tests::node::image;

use crate::Publisher;

#[test]
fn cli_bakery_prints_only_json_on_stdout() -> Result<()> {
    let publisher = Publisher::new()?;
    let made: serde_json::Value =
        serde_json::from_str(&publisher.keygen(&["--unencrypted", "--json"])?.succeeds()?)?;
    assert_eq!(made["files"].as_array().map(Vec::len), Some(6));
    publisher.program("tree/usr/bin/x", "")?;
    let baked: serde_json::Value = serde_json::from_str(&publisher.bake("1.0", &["--json"])?.succeeds()?)?;
    let image = fs::read(publisher.path("store/x/x-1.0-x86-64.raw"))?;
    assert_eq!(baked["sha256"], Sha256::of(&image).to_string());
    assert_eq!(baked["size"], image.len());
    publisher.index(&[])?.succeeds()?;
    let published = publisher.run(&["publish", "store", "--to", "served", "--json"])?.succeeds()?;
    let published: serde_json::Value = serde_json::from_str(&published)?;
    assert_eq!(published["copied"].as_array().map(Vec::len), Some(5));
    assert_eq!(published["notes"][0]["kind"], "unsigned");
    Ok(())
}

/// The same tree as a directory, an archive and an image, written to files.
#[test]
fn cli_bakery_reads_trees_from_directories_archives_and_images() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    let bake = |tree: &str, out: &str| {
        let arguments = ["bake", "--tree", tree, "--name", "x", "--version", "1.0", "--arch", "x86-64"];
        publisher.run(&[&arguments[..], &["-o", out]].concat())?.succeeds()
    };
    bake("tree", "one.raw")?;
    Command::new("tar")
        .args(["-C", "tree", "-cf", "tree.tar", "."])
        .current_dir(publisher.directory.path())
        .status()?;
    bake("tree.tar", "two.raw")?;
    bake("one.raw", "three.raw")?;
    let run = publisher.run_after(
        "exec < tree.tar",
        &["bake", "--tree", "-", "--name", "x", "--version", "1.0", "--arch", "x86-64", "-o", "four.raw"],
    )?;
    run.succeeds()?;
    let one = fs::read(publisher.path("one.raw"))?;
    for other in ["two.raw", "three.raw", "four.raw"] {
        assert!(fs::read(publisher.path(other))? == one, "{other}");
    }
    // Only one file is written
    assert!(!publisher.path("one.json").exists() && !publisher.path("store").exists());
    publisher.bake("1.0", &[])?.succeeds()?;
    assert!(fs::read(publisher.path("store/x/x-1.0-x86-64.raw"))? == one);
    Ok(())
}

#[test]
fn cli_bakery_inspects_an_image() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    publisher.write("tree/usr/share/text", &"text ".repeat(5000))?;
    let baked = publisher.bake("1.0", &["--epoch", "1700000000", "--json"])?.succeeds()?;
    let baked: serde_json::Value = serde_json::from_str(&baked)?;
    let path = "store/x/x-1.0-x86-64.raw";
    let (size, sha256) = (&baked["size"], baked["sha256"].as_str().context("no digest")?);
    let (writer, content) = (baked["writer"].as_str().context("no writer")?, &baked["content"]);
    let stdout = publisher.run(&["inspect", path])?.succeeds()?;
    let json: serde_json::Value =
        serde_json::from_str(&publisher.run(&["inspect", path, "--json"])?.succeeds()?)?;
    let (uuid, features) = (&json["uuid"], &json["features"]);
    let names: Vec<&str> =
        features.as_array().context("no list")?.iter().filter_map(|f| f.as_str()).collect();
    let kib = |bytes: &serde_json::Value| format!("{:.1} KiB", bytes.as_f64().unwrap_or(0.0) / 1024.0);
    let expected = format!(
        "image       {path}\n\
         format      erofs\n\
         codec       lz4\n\
         features    {}\n\
         kernel      5.15 and later\n\
         block size  4096 bytes\n\
         size        {} ({size} bytes)\n\
         content     3 files, 6 directories, {} ({content} bytes)\n\
         time        2023-11-14T22:13:20Z\n\
         uuid        {}\n\
         checksum    valid\n\
         sha256      {sha256}\n\
         writer      {writer}\n\
         extension   x ARCHITECTURE=x86-64 ID=_any\n",
        names.join(", "),
        kib(size),
        kib(content),
        uuid.as_str().context("no uuid")?,
    );
    assert_eq!(stdout, expected);
    assert_eq!((&json["sha256"], &json["writer"]), (&baked["sha256"], &baked["writer"]));
    assert_eq!(json["extension_releases"][0]["fields"]["ID"], "_any");
    assert_eq!(publisher.run(&["inspect", "tree"])?.fails()?, "error: tree is not a file\n");
    Ok(())
}

#[test]
fn cli_bakery_lists_the_files_of_an_image() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    std::os::unix::fs::symlink("x", publisher.path("tree/usr/bin/link"))?;
    for format in ["erofs", "squashfs"] {
        let image = format!("x-{format}.raw");
        let tree = ["bake", "--tree", "tree", "--name", "x", "--version", "1", "--arch", "x86-64"];
        publisher.run(&[&tree[..], &["--format", format, "-o", &image]].concat())?.succeeds()?;
        assert_eq!(
            publisher.run(&["files", &image])?.succeeds()?,
            "drwxr-xr-x 0/0  0 /\n\
             drwxr-xr-x 0/0  0 /usr\n\
             drwxr-xr-x 0/0  0 /usr/bin\n\
             lrwxrwxrwx 0/0  0 /usr/bin/link -> x\n\
             -rwxr-xr-x 0/0 19 /usr/bin/x\n\
             drwxr-xr-x 0/0  0 /usr/lib\n\
             drwxr-xr-x 0/0  0 /usr/lib/extension-release.d\n\
             -rw-r--r-- 0/0 28 /usr/lib/extension-release.d/extension-release.x\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&publisher.run(&["files", &image, "--json"])?.succeeds()?)?;
        assert_eq!((&json[3]["kind"], &json[3]["target"]), (&"symlink".into(), &"x".into()));
        assert_eq!((&json[4]["mode"], &json[4]["size"]), (&"0755".into(), &19.into()));
    }
    assert_eq!(publisher.run(&["files", "tree"])?.fails()?, "error: tree is not a file\n");
    Ok(())
}

#[test]
fn cli_bakery_verifies_an_image() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    for format in ["erofs", "squashfs"] {
        publisher.bake("1.0", &["--format", format, "--replace"])?.succeeds()?;
        let path = "store/x/x-1.0-x86-64.raw";
        let checksum = if format == "erofs" { "valid" } else { "none" };
        assert_eq!(
            publisher.run(&["verify", path])?.succeeds()?,
            format!(
                "image      {path}\nextension  x\ncontent    2 files, 47 bytes, all readable\n\
                 checksum   {checksum}\nverity     none\nsignature  none\n"
            )
        );
        fs::copy(publisher.path(path), publisher.path("y-1.0.raw"))?;
        assert_eq!(
            publisher.run(&["verify", "y-1.0.raw"])?.fails()?,
            "error: y-1.0.raw is invalid:\n  the extension is named x, but the file is named y-1.0\n\
             hint: rename it to x.raw or x-VERSION.raw, or pass --name x\n"
        );
        publisher.run(&["verify", "y-1.0.raw", "--name", "x"])?.succeeds()?;
    }
    let run = publisher.run(&["verify", "y-1.0.raw", "--json"])?;
    assert_eq!(run.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&run.stdout)?;
    assert_eq!((&json["valid"], json["problems"].as_array().map(Vec::len)), (&false.into(), Some(1)));
    Ok(())
}

/// An opaque directory, a whiteout and a closed directory, each of which would hide files of the host.
#[test]
fn cli_bakery_verify_refuses_what_hides_the_host() -> Result<()> {
    let publisher = Publisher::new()?;
    let mut tree = image::tree("x", "1.0")?;
    let opaque = Metadata::new(0o755).xattr("trusted.overlay.opaque", "y");
    tree.insert_directory("usr/bin", opaque)?;
    tree.insert_directory("usr/lib", Metadata::new(0o700))?;
    let device = Special::Character(Device { major: 0, minor: 0 });
    tree.insert_special("usr/share/victim", device, Metadata::new(0o644))?;
    fs::write(publisher.path("x.raw"), image::bytes(&tree)?)?;
    assert_eq!(
        publisher.run(&["verify", "x.raw"])?.fails()?,
        "error: x.raw is invalid:\n  \
         /usr/bin has the attribute trusted.overlay.opaque, with which overlayfs hides files\n  \
         /usr/lib has the mode 0700, and not everybody could read the host's files there\n  \
         /usr/share/victim is a device 0:0, which hides a file of the host\n"
    );
    Ok(())
}

#[test]
fn cli_bakery_extracts_and_compares_images() -> Result<()> {
    let publisher = Publisher::with_keys()?;
    std::os::unix::fs::symlink("x", publisher.path("tree/usr/bin/link"))?;
    publisher.bake("1.0", &[])?.succeeds()?;
    let one = "store/x/x-1.0-x86-64.raw";
    assert_eq!(
        publisher.run(&["extract", one, "out"])?.succeeds()?,
        "directory  out\ncontent    2 files, 4 directories, 47 bytes\nlinks      1 symbolic, 0 hard\n\
         specials   0\n"
    );
    assert_eq!(fs::read_to_string(publisher.path("out/usr/bin/x"))?, "#!/bin/sh\necho one\n");
    assert_eq!(
        publisher.run(&["extract", one, "out"])?.fails()?,
        format!(
            "error: {one}: cannot extract to out: directory not empty\nhint: use a directory that is empty or does not exist\n"
        )
    );
    assert_eq!(
        publisher.run(&["extract", one, "part", "--path", "usr/nothing"])?.fails()?,
        format!("error: {one}: no such path in the image: /usr/nothing\n")
    );
    assert!(!publisher.path("part").exists());

    publisher.program("tree/usr/bin/x", "#!/bin/sh\necho three\n")?;
    publisher.write("tree/usr/share/new", "new")?;
    fs::remove_file(publisher.path("tree/usr/bin/link"))?;
    publisher.bake("2.0", &["--format", "squashfs"])?.succeeds()?;
    let two = "store/x/x-2.0-x86-64.raw";
    let run = publisher.run(&["diff", one, two])?;
    assert_eq!((run.status.code(), run.stderr.as_str()), (Some(1), ""));
    let sizes = [one, two].map(|path| fs::metadata(publisher.path(path)).map(|found| found.len()));
    let [from, to] = sizes;
    let (from, to) = (from?, to?);
    let lines: Vec<&str> = run.stdout.lines().filter(|line| !line.starts_with("image: ")).collect();
    assert_eq!(
        lines,
        [
            "- /usr/bin/link: symbolic link",
            "~ /usr/bin/x: content 19 -> 21 bytes, first difference at byte 15",
            "+ /usr/share: directory",
            "+ /usr/share/new: file, 3 bytes",
        ]
    );
    assert!(run.stdout.contains("image: format erofs -> squashfs\n"), "{}", run.stdout);
    assert!(from == to || run.stdout.contains(&format!("image: size {from} -> {to}\n")), "{}", run.stdout);
    let same = publisher.run(&["diff", one, one])?.succeeds()?;
    assert_eq!(same, "the images are identical\n");
    let json: serde_json::Value =
        serde_json::from_str(&publisher.run(&["diff", one, two, "--json"])?.stdout)?;
    assert_eq!(
        (&json["identical"], &json["entries"][1]["content"]["first_difference"]),
        (&false.into(), &15.into())
    );
    // An error is not reported as a difference
    let run = publisher.run(&["diff", one, "missing"])?;
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.starts_with("error: cannot open missing: "), "{}", run.stderr);
    Ok(())
}
