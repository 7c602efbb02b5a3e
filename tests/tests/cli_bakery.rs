//! The command line of `bakery`: what it writes, what it prints, and how it refuses.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use sysext_image::{Filesystem, dump};
use sysext_manifests::catalog::{Catalog, FORMAT};
use sysext_manifests::checksums::Checksums;
use sysext_manifests::digest::Sha256;
use sysext_manifests::repository::Repository;
use sysext_manifests::trust::{self, Clock};
use tempfile::TempDir;
use tests::programs::program;
use tests::workspace;

const URL: &str = "https://example.org/extensions";

/// An empty directory to work in, and the program.
struct Desk {
    directory: TempDir,
    bakery: PathBuf,
}

/// What a run left on the terminal.
struct Run {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Result<Self> {
        Ok(Self { directory: tempfile::tempdir()?, bakery: program("bakery")? })
    }

    /// A desk with keys, and a small tree in `tree/`.
    fn with_keys() -> Result<Self> {
        let desk = Self::new()?;
        desk.keygen(&["--unencrypted"])?.succeeds()?;
        desk.program("tree/usr/bin/x", "#!/bin/sh\necho one\n")?;
        Ok(desk)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        Ok(fs::write(path, text)?)
    }

    fn program(&self, path: &str, text: &str) -> Result<()> {
        self.write(path, text)?;
        Ok(fs::set_permissions(self.path(path), Permissions::from_mode(0o755))?)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory.path());
        command.env_remove("BAKERY_PASSWORD").env_remove("SOURCE_DATE_EPOCH");
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<Run> {
        Run::of(self.command(&self.bakery).args(arguments))
    }

    /// Runs the program from a shell that did something first.
    fn run_after(&self, script: &str, arguments: &[&str]) -> Result<Run> {
        let script = format!("{script}; exec \"$0\" \"$@\"");
        Run::of(self.command(Path::new("/bin/sh")).args(["-c", &script]).arg(&self.bakery).args(arguments))
    }

    fn keygen(&self, arguments: &[&str]) -> Result<Run> {
        self.run(&[&["keygen", "keys", "--repository", "example", "--url", URL], arguments].concat())
    }

    fn bake(&self, version: &str, arguments: &[&str]) -> Result<Run> {
        let tree = ["bake", "--tree", "tree", "--name", "x", "--version", version, "--arch", "x86-64"];
        self.run(&[&tree[..], &["--out", "store"], arguments].concat())
    }

    fn index(&self, arguments: &[&str]) -> Result<Run> {
        let index = ["index", "store", "--repository", "example", "--url", URL, "--keys", "keys"];
        self.run(&[&index[..], arguments].concat())
    }

    fn publish(&self) -> Result<Run> {
        self.run(&["publish", "store", "--to", "served"])
    }

    /// The served catalog, believed as a node believes it that has `keys/example.toml`.
    fn admitted(&self) -> Result<Catalog> {
        let text = fs::read_to_string(self.path("keys/example.toml"))?;
        let repository = Repository::parse("example", "example.toml", &text)?;
        ensure!(repository.url == format!("{URL}/"), "{}", repository.url);
        let document = fs::read(self.path("served/catalog/catalog.json"))?;
        let clock = Clock { shows: Timestamp::now(), released: Timestamp::UNIX_EPOCH };
        Ok(trust::admit(&document, &repository, None, clock)?.catalog.get().clone())
    }
}

impl Run {
    fn of(command: &mut Command) -> Result<Self> {
        let Output { status, stdout, stderr } =
            command.output().with_context(|| format!("cannot run {command:?}"))?;
        Ok(Self { status, stdout: String::from_utf8(stdout)?, stderr: String::from_utf8(stderr)? })
    }

    fn succeeds(self) -> Result<String> {
        ensure!(self.status.success(), "{}\n{}", self.status, self.stderr);
        Ok(self.stdout)
    }

    /// The error and the hint; nothing else may be on stdout.
    fn fails(self) -> Result<String> {
        ensure!(self.status.code() == Some(1), "{}\n{}{}", self.status, self.stdout, self.stderr);
        ensure!(self.stdout.is_empty(), "stdout: {}", self.stdout);
        let begin = self.stderr.find("error: ").with_context(|| format!("no error in {}", self.stderr))?;
        Ok(self.stderr[begin..].to_owned())
    }
}

/// Every file below a directory, sorted, hidden ones included.
fn files(directory: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        for entry in fs::read_dir(&path).with_context(|| path.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let path = path.strip_prefix(directory)?;
                found.push(path.to_str().context("a name is not UTF-8")?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The labels of `label  value` lines.
fn labels(stdout: &str) -> Vec<&str> {
    stdout.lines().filter_map(|line| Some(line.split_once("  ")?.0.trim_end())).collect()
}

#[test]
fn cli_bakery_goes_from_keys_to_a_served_directory() -> Result<()> {
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
    // No ratio: what is in it is smaller than the least image
    let expected = ["extension", "image", "size", "content", "sha256", "writer", "kernel", "time"];
    assert_eq!(labels(&stdout), expected);
    assert!(stdout.contains("extension  x 1.0 for x86-64\n"), "{stdout}");
    assert!(stdout.contains("writer     erofs-1/none\n"), "{stdout}");
    desk.bake("1.0", &["--revision", "2", "--codec", "none"])?.succeeds()?;
    desk.index(&[])?.succeeds()?;

    // What is served is for everybody, whatever the publisher's umask
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

    // As the design lists it, and nothing else: no key, no record, no leftover
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
    assert_eq!(instances[0].health, [check]);
    for instance in instances {
        let bytes = fs::read(desk.path("served").join(&instance.image.url))?;
        assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (instance.image.size, instance.image.sha256));
        assert_eq!(sums.find(instance.image.url.trim_start_matches("x/")), Some(instance.image.sha256));
    }
    Ok(())
}

#[test]
fn cli_bakery_puts_the_release_file_into_the_image() -> Result<()> {
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
fn cli_bakery_serials_count_and_released_bytes_are_not_replaced() -> Result<()> {
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
fn cli_bakery_refuses_a_key_that_others_may_read() -> Result<()> {
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
fn cli_bakery_takes_the_password_from_a_file_or_the_environment() -> Result<()> {
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
fn cli_bakery_tells_where_a_recipe_is_wrong() -> Result<()> {
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
fn cli_bakery_refuses_what_would_do_harm() -> Result<()> {
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
    assert!(!desk.path("store").exists());
    Ok(())
}

#[test]
fn cli_bakery_holds_the_floor_under_a_codec() -> Result<()> {
    let desk = Desk::with_keys()?;
    assert_eq!(
        desk.bake("1.0", &["--codec", "zstd"])?.fails()?,
        "error: zstd needs kernel 6.10, this is baked for 5.15 and later\n\
         hint: say that kernel 6.10 is the oldest one, or use lz4hc\n"
    );
    assert!(!desk.path("store").exists());
    desk.bake("1.0", &["--codec", "zstd", "--kernel", "6.10"])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_leaves_nothing_half_written() -> Result<()> {
    let desk = Desk::with_keys()?;
    desk.write("tree/usr/share/large", &"0123456789abcdef".repeat(1 << 16))?;
    let bake =
        ["bake", "--tree", "tree", "--name", "x", "--version", "1.0", "--arch", "x86-64", "--out", "store"];
    let bake = [&bake[..], &["--codec", "none"]].concat();

    // The file cannot grow: an error
    let message = desk.run_after("trap '' XFSZ; ulimit -f 16", &bake)?.fails()?;
    assert!(message.starts_with("error: cannot write the image store/x/x-1.0-x86-64.raw: "), "{message}");
    assert_eq!(files(&desk.path("store"))?, [""; 0]);

    // The program is killed in the middle: what is left has no name that means anything, and a plain
    // re-run takes it over.
    let run = desk.run_after("ulimit -c 0; ulimit -f 16", &bake)?;
    assert!(run.status.signal().is_some(), "{}", run.status);
    assert_eq!(files(&desk.path("store"))?, ["x/.x-1.0-x86-64.raw.partial"]);
    desk.run(&bake)?.succeeds()?;
    assert_eq!(files(&desk.path("store"))?, ["x/x-1.0-x86-64.json", "x/x-1.0-x86-64.raw"]);

    // Where the store should be is a file
    desk.write("blocked", "")?;
    let out = [&bake[..bake.len() - 3], &["blocked"]].concat();
    assert_eq!(desk.run(&out)?.fails()?, "error: cannot write blocked: not a directory\n");
    Ok(())
}

#[test]
fn cli_bakery_prints_json_alone_on_stdout() -> Result<()> {
    let desk = Desk::new()?;
    let made: serde_json::Value =
        serde_json::from_str(&desk.keygen(&["--unencrypted", "--json"])?.succeeds()?)?;
    assert_eq!(made["files"].as_array().map(Vec::len), Some(6));
    desk.program("tree/usr/bin/x", "")?;
    let baked: serde_json::Value = serde_json::from_str(&desk.bake("1.0", &["--json"])?.succeeds()?)?;
    let image = fs::read(desk.path("store/x/x-1.0-x86-64.raw"))?;
    assert_eq!(baked["sha256"], Sha256::of(&image).to_string());
    assert_eq!(baked["size"], image.len());
    desk.index(&[])?.succeeds()?;
    let published = desk.run(&["publish", "store", "--to", "served", "--json"])?.succeeds()?;
    let published: serde_json::Value = serde_json::from_str(&published)?;
    assert_eq!(published["copied"].as_array().map(Vec::len), Some(5));
    assert_eq!(published["notes"][0]["kind"], "unsigned");
    Ok(())
}

#[test]
fn cli_bakery_bakes_the_recipes_of_this_repository() -> Result<()> {
    let desk = Desk::new()?;
    // Any program will do: which machine it is for is checked, what it does is not
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
fn cli_checksums_are_read_as_nodes_do_or_mended() -> Result<()> {
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

/// The same tree as a directory, an archive and an image, written to files.
#[test]
fn cli_bakery_takes_trees_from_anywhere() -> Result<()> {
    let desk = Desk::with_keys()?;
    let bake = |tree: &str, out: &str| {
        let arguments = ["bake", "--tree", tree, "--name", "x", "--version", "1.0", "--arch", "x86-64"];
        desk.run(&[&arguments[..], &["-o", out]].concat())?.succeeds()
    };
    bake("tree", "one.raw")?;
    Command::new("tar")
        .args(["-C", "tree", "-cf", "tree.tar", "."])
        .current_dir(desk.directory.path())
        .status()?;
    bake("tree.tar", "two.raw")?;
    bake("one.raw", "three.raw")?;
    let run = desk.run_after(
        "exec < tree.tar",
        &["bake", "--tree", "-", "--name", "x", "--version", "1.0", "--arch", "x86-64", "-o", "four.raw"],
    )?;
    run.succeeds()?;
    let one = fs::read(desk.path("one.raw"))?;
    for other in ["two.raw", "three.raw", "four.raw"] {
        assert!(fs::read(desk.path(other))? == one, "{other}");
    }
    // A file is all that is written
    assert!(!desk.path("one.json").exists() && !desk.path("store").exists());
    desk.bake("1.0", &[])?.succeeds()?;
    assert!(fs::read(desk.path("store/x/x-1.0-x86-64.raw"))? == one);
    Ok(())
}

#[test]
fn cli_bakery_inspects_an_image() -> Result<()> {
    let desk = Desk::with_keys()?;
    desk.write("tree/usr/share/text", &"text ".repeat(5000))?;
    let baked = desk.bake("1.0", &["--epoch", "1700000000", "--json"])?.succeeds()?;
    let baked: serde_json::Value = serde_json::from_str(&baked)?;
    let path = "store/x/x-1.0-x86-64.raw";
    let (size, sha256) = (&baked["size"], baked["sha256"].as_str().context("no digest")?);
    let (writer, content) = (baked["writer"].as_str().context("no writer")?, &baked["content"]);
    let stdout = desk.run(&["inspect", path])?.succeeds()?;
    let json: serde_json::Value = serde_json::from_str(&desk.run(&["inspect", path, "--json"])?.succeeds()?)?;
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
    assert_eq!(json["releases"][0]["fields"]["ID"], "_any");
    assert_eq!(desk.run(&["inspect", "tree"])?.fails()?, "error: tree is not a file\n");
    Ok(())
}

#[test]
fn cli_bakery_verifies_an_image() -> Result<()> {
    let desk = Desk::with_keys()?;
    for format in ["erofs", "squashfs"] {
        desk.bake("1.0", &["--format", format, "--replace"])?.succeeds()?;
        let path = "store/x/x-1.0-x86-64.raw";
        let checksum = if format == "erofs" { "valid" } else { "none" };
        assert_eq!(
            desk.run(&["verify", path])?.succeeds()?,
            format!(
                "image      {path}\nextension  x\ncontent    2 files, 47 bytes, all readable\n\
                 checksum   {checksum}\nverity     none\nsignature  none\n"
            )
        );
        fs::copy(desk.path(path), desk.path("y-1.0.raw"))?;
        assert_eq!(
            desk.run(&["verify", "y-1.0.raw"])?.fails()?,
            "error: y-1.0.raw is not sound:\n  it is the extension x, and the file is called y-1.0\n\
             hint: call it x.raw or x-VERSION.raw, or give --name x\n"
        );
        desk.run(&["verify", "y-1.0.raw", "--name", "x"])?.succeeds()?;
    }
    let run = desk.run(&["verify", "y-1.0.raw", "--json"])?;
    assert_eq!(run.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&run.stdout)?;
    assert_eq!((&json["sound"], json["problems"].as_array().map(Vec::len)), (&false.into(), Some(1)));
    Ok(())
}

#[test]
fn cli_bakery_extracts_and_compares_images() -> Result<()> {
    let desk = Desk::with_keys()?;
    std::os::unix::fs::symlink("x", desk.path("tree/usr/bin/link"))?;
    desk.bake("1.0", &[])?.succeeds()?;
    let one = "store/x/x-1.0-x86-64.raw";
    assert_eq!(
        desk.run(&["extract", one, "out"])?.succeeds()?,
        "directory  out\ncontent    2 files, 4 directories, 47 bytes\nlinks      1 symbolic, 0 hard\n\
         specials   0\n"
    );
    assert_eq!(fs::read_to_string(desk.path("out/usr/bin/x"))?, "#!/bin/sh\necho one\n");
    assert_eq!(
        desk.run(&["extract", one, "out"])?.fails()?,
        format!(
            "error: {one}: out is not empty\nhint: name a directory that is empty or does not exist yet\n"
        )
    );
    assert_eq!(
        desk.run(&["extract", one, "part", "--path", "usr/nothing"])?.fails()?,
        format!("error: {one}: the image has no /usr/nothing\n")
    );
    assert!(!desk.path("part").exists());

    desk.program("tree/usr/bin/x", "#!/bin/sh\necho three\n")?;
    desk.write("tree/usr/share/new", "new")?;
    fs::remove_file(desk.path("tree/usr/bin/link"))?;
    desk.bake("2.0", &["--format", "squashfs"])?.succeeds()?;
    let two = "store/x/x-2.0-x86-64.raw";
    let run = desk.run(&["diff", one, two])?;
    assert_eq!((run.status.code(), run.stderr.as_str()), (Some(1), ""));
    let sizes = [one, two].map(|path| fs::metadata(desk.path(path)).map(|found| found.len()));
    let [from, to] = sizes;
    let (from, to) = (from?, to?);
    let lines: Vec<&str> = run.stdout.lines().filter(|line| !line.starts_with("image: ")).collect();
    assert_eq!(
        lines,
        [
            "- /usr/bin/link: symbolic link",
            "~ /usr/bin/x: content 19 -> 21 bytes, from byte 15 on",
            "+ /usr/share: directory",
            "+ /usr/share/new: file, 3 bytes",
        ]
    );
    assert!(run.stdout.contains("image: format erofs -> squashfs\n"), "{}", run.stdout);
    assert!(from == to || run.stdout.contains(&format!("image: size {from} -> {to}\n")), "{}", run.stdout);
    let same = desk.run(&["diff", one, one])?.succeeds()?;
    assert_eq!(same, "the images are the same to the byte\n");
    let json: serde_json::Value = serde_json::from_str(&desk.run(&["diff", one, two, "--json"])?.stdout)?;
    assert_eq!((&json["same"], &json["names"][1]["content"]["first"]), (&false.into(), &15.into()));
    // A failure is not taken for a difference
    let run = desk.run(&["diff", one, "missing"])?;
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stderr.starts_with("error: cannot open missing: "), "{}", run.stderr);
    Ok(())
}

#[test]
fn cli_bakery_signs_nothing_where_there_is_no_store() -> Result<()> {
    let desk = Desk::with_keys()?;
    let refusal = "error: there is no store at store\n\
                   hint: name the directory that `bakery bake --out` wrote to, or bake into store first\n";
    assert_eq!(desk.index(&[])?.fails()?, refusal);
    assert!(!desk.path("store").exists());
    // Neither an empty directory nor one of somebody else's is one
    desk.write("store/photos/one.json", "{}")?;
    assert_eq!(desk.index(&[])?.fails()?, refusal);
    assert_eq!(files(&desk.path("store"))?, ["photos/one.json"]);
    desk.bake("1.0", &[])?.succeeds()?;
    fs::remove_dir_all(desk.path("store/photos"))?;
    desk.index(&[])?.succeeds()?;
    // What was a store is one, with nothing left in it too
    fs::remove_dir_all(desk.path("store/x"))?;
    desk.index(&[])?.succeeds()?;
    Ok(())
}

#[test]
fn cli_bakery_names_what_an_option_takes() -> Result<()> {
    let desk = Desk::with_keys()?;
    let systems = "or write one of debian-12, debian-13, flatcar";
    let codecs = "write none, lz4, lz4hc or zstd, for squashfs also gzip or xz, with a level as in zstd:3";
    for (arguments, error, hint) in [
        (["--kernel", "nonsense"], "\"nonsense\" is not a kernel version such as 5.15", systems),
        (["--kernel", "ubuntu-24.04"], "\"ubuntu-24.04\" is not a kernel version such as 5.15", systems),
        (
            ["--kernel", "5.10"],
            "images are made for kernel 5.15 and later, not for 5.10",
            "name that one or a later one: older kernels lack what images and nodes need",
        ),
        (["--codec", "lzo"], "no codec is called \"lzo\"", codecs),
        (["--codec", "lz4:1"], "lz4 has no levels", "write lz4, or lz4hc with a level from 3 to 12"),
        (["--codec", "none:3"], "none has no levels", "write none"),
        (["--codec", "zstd:22"], "zstd has the levels 1 to 19 in erofs images, not \"22\"", ""),
        (["--codec", "xz"], "erofs images have no codec xz", "write one of lz4hc, zstd, lz4, none"),
        (["--format", "ext4"], "no image format is called \"ext4\"", "write erofs or squashfs"),
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
fn cli_bakery_says_what_an_extension_must_not_hold() -> Result<()> {
    let desk = Desk::with_keys()?;
    let why =
        "the host makes its devices and pipes itself, and a device node 0:0 would hide a file of the host";
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
            "error: cannot stage the files: {pipe}: is a fifo, which an extension must not hold\n\
             hint: leave {pipe} out: {why}\n"
        )
    );
    let told = bake("pipe.tar")?;
    assert!(told.contains("is a device node or fifo, which an extension must not hold\n"), "{told}");
    assert!(told.ends_with(&format!("pipe out: {why}\n")), "{told}");

    tool("rm tree/usr/pipe && truncate -s 1M tree/usr/holes && tar -C tree -Scf sparse.tar .")?;
    let told = bake("sparse.tar")?;
    assert!(told.contains("is stored with holes (sparse)\n"), "{told}");
    assert!(told.ends_with("without --sparse (-S), or unpack it and bake the directory\n"), "{told}");
    Ok(())
}

#[test]
fn cli_bakery_writes_to_no_file_that_was_not_meant() -> Result<()> {
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
fn cli_bakery_says_what_is_wrong_with_what_it_was_given() -> Result<()> {
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
fn cli_bakery_warns_of_what_a_publisher_may_not_know() -> Result<()> {
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
