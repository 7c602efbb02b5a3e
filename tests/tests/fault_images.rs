//! Requests that `bakery bake` cannot fulfil: each ends with a clear error and leaves no partial file under the
//! final name.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount};
use tempfile::TempDir;
use tests::needs::{Need, Suite};
use tests::programs::{copy_program, program};
use tests::sample::Random;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("fault_images_reject_codec_that_the_kernel_cannot_read", &[], codec);
    suite.trial("fault_images_reject_tree_with_etc", &[], outside);
    suite.trial("fault_images_reject_socket", &[], socket);
    suite.trial("fault_images_reject_name_over_255_bytes", &[], long_name);
    suite.trial("fault_images_reject_archive_that_is_damaged_or_escapes", &[], archive);
    suite.isolated("fault_images_report_file_that_changes_during_read", &[], changing);
    suite.trial("fault_images_check_names_before_reading_contents", &[], names_first);
    suite.trial("fault_images_report_unreadable_file", &[Need::Root], unreadable);
    suite.isolated("fault_images_report_full_disk", &[], full_disk);
    suite.isolated("fault_images_report_full_scratch_directory", &[], full_scratch);
    suite.run()
}

struct Desk {
    directory: TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let desk = Self { directory: tempfile::tempdir()? };
        desk.write("tree/usr/share/x", b"x")?;
        Ok(desk)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        Ok(fs::write(path, bytes)?)
    }

    fn bake(&self, tree: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("bakery")?);
        command.current_dir(self.directory.path()).env_remove("SOURCE_DATE_EPOCH");
        command.args(["bake", "--name", "x", "--version", "1", "--arch", "x86-64", "--tree", tree]);
        command.args(arguments);
        Ok(command)
    }

    /// Into a store and into a file: both fail with the same message and leave nothing.
    fn refused(&self, tree: &str, arguments: &[&str]) -> Result<String> {
        let mut told = Vec::new();
        for out in ["store", "x.raw"] {
            let words = error_of(self.bake(tree, &[arguments, &["-o", out]].concat())?)?;
            told.push(words.replace("store/x/x-1-x86-64.raw", "x.raw"));
            self.left_nothing(out)?;
        }
        ensure!(told[0] == told[1], "{told:?}");
        Ok(told.swap_remove(0))
    }

    fn left_nothing(&self, out: &str) -> Result<()> {
        let mut files = Vec::new();
        let mut open = vec![self.path(out)];
        while let Some(path) = open.pop() {
            match fs::read_dir(&path) {
                Ok(entries) => entries.for_each(|entry| open.extend(entry.map(|entry| entry.path()).ok())),
                Err(_) if path.exists() => files.push(path),
                Err(_) => {}
            }
        }
        let partial = self.path(".x.raw.partial");
        ensure!(files.is_empty() && !partial.exists(), "left behind: {files:?}");
        Ok(())
    }
}

fn error_of(mut command: Command) -> Result<String> {
    let output = command.output()?;
    let stderr = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1) && output.stdout.is_empty(), "{}\n{stderr}", output.status);
    let begin = stderr.find("error: ").with_context(|| format!("no error in {stderr}"))?;
    Ok(stderr[begin..].to_owned())
}

fn codec() -> Result<()> {
    let desk = Desk::new()?;
    let cases = [
        (
            "debian-12",
            "zstd:3",
            "error: zstd needs kernel 6.10 or later, but debian-12 has 6.1\nhint: use lz4hc\n",
        ),
        ("flatcar", "zstd", "error: zstd needs kernel 6.10 or later, but flatcar has 6.6\nhint: use lz4hc\n"),
        (
            "6.9",
            "zstd",
            "error: zstd needs kernel 6.10 or later, but the target is 6.9\n\
             hint: pass --kernel 6.10 or use lz4hc\n",
        ),
    ];
    for (kernel, codec, expected) in cases {
        let told = desk.refused("tree", &["--kernel", kernel, "--codec", codec])?;
        ensure!(told == expected, "{told}");
    }
    Ok(())
}

fn outside() -> Result<()> {
    let desk = Desk::new()?;
    desk.write("tree/etc/x.conf", b"")?;
    let told = desk.refused("tree", &[])?;
    ensure!(
        told == "error: the tree must not be merged as it is:\n  \
                 /etc: only /usr and /opt can be extended\n\
                 hint: ship a default below usr/share and let a tmpfiles.d entry copy it\n",
        "{told}"
    );
    Ok(())
}

fn socket() -> Result<()> {
    let desk = Desk::new()?;
    let path = desk.path("tree/usr/share/socket");
    let _socket = UnixListener::bind(&path)?;
    let told = desk.refused("tree", &[])?;
    let path = path.display();
    ensure!(
        told == format!(
            "error: {path} is a socket, which an image cannot contain\n\
             hint: remove or exclude {path}\n"
        ),
        "{told}"
    );
    Ok(())
}

/// A directory cannot contain such a name, but an archive can.
fn long_name() -> Result<()> {
    let desk = Desk::new()?;
    let name = "n".repeat(256);
    desk.write("long.tar", &tar(&format!("usr/share/{name}"), b"x"))?;
    let told = desk.refused("long.tar", &[])?;
    ensure!(
        told == format!(
            "error: archive long.tar: the entry at offset 1024 of the archive: \
             usr/share/{name}: the last name has 256 bytes, more than 255\n"
        ),
        "{told}"
    );
    desk.write("fits.tar", &tar(&format!("usr/share/{}", &name[1..]), b"x"))?;
    let output = desk.bake("fits.tar", &["-o", "fits.raw"])?.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn archive() -> Result<()> {
    let desk = Desk::new()?;
    let whole = tar("usr/share/x", b"content");
    for (name, bytes, words) in [
        ("absolute", tar("/etc/passwd", b""), "invalid path /etc/passwd: it is not relative"),
        ("above", tar("usr/../../x", b""), "it contains .."),
        ("short", whole[..whole.len() - 1200].to_vec(), "the archive is truncated: it ends at offset "),
        (
            "text",
            b"no archive at all".to_vec(),
            "the archive is truncated: it ends at offset 17, inside an entry",
        ),
        ("zeros", vec![7; 5000], "invalid tar header at offset 0: "),
        ("cut", vec![0x1f, 0x8b, 8, 0], "cannot decompress the gzip data at offset 4: unexpected end"),
        ("packed", b"BZh91AY&SY".to_vec(), "it is compressed with bzip2"),
    ] {
        desk.write(name, &bytes)?;
        let told = desk.refused(name, &[])?;
        ensure!(told.contains(words), "{name}: {told}");
    }
    Ok(())
}

fn changing() -> Result<()> {
    let desk = Desk::new()?;
    // In memory, where a write never waits for a disk while the other side continues to read.
    mount(Some("changing"), &desk.path("tree"), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    let path = desk.path("tree/usr/share/changing");
    desk.write("tree/usr/share/changing", &Random::new(5).text(20_000_000))?;
    let stop = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                // The size does not change
                let mut file = File::options().write(true).open(&path)?;
                file.write_all(b"changed")?;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Ok(())
        });
        let told = desk.refused("tree", &[]);
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("the writer does not panic")?;
        told
    })?;
    ensure!(
        told == format!(
            "error: cannot write the image x.raw: cannot add /usr/share/changing to the image: {} changed \
             while it was read: something wrote to it\n\
             hint: something is writing to the tree; retry when it has finished\n",
            path.display()
        ),
        "{told}"
    );
    Ok(())
}

fn names_first() -> Result<()> {
    let desk = Desk::new()?;
    for (argument, value, words) in [
        ("--version", "1.0-rc.1", "error: version \"1.0-rc.1\" is a pre-release"),
        ("--codec", "zstd", "error: zstd needs kernel 6.10"),
        ("--format", "squashfs", ""),
    ] {
        let mut command = Command::new(program("bakery")?);
        command.current_dir(desk.directory.path());
        command.args(["bake", "--tree", "missing", "--name", "x", "--arch", "x86-64", "-o", "store"]);
        if argument != "--version" {
            command.args(["--version", "1"]);
        }
        let told = error_of({
            command.args([argument, value]);
            command
        })?;
        let is_about_tree = told.contains("missing");
        ensure!(is_about_tree == words.is_empty() || told.starts_with(words), "{told}");
    }
    Ok(())
}

fn unreadable() -> Result<()> {
    const NOBODY: u32 = 65_534;
    let desk = Desk::new()?;
    fs::set_permissions(desk.directory.path(), Permissions::from_mode(0o777))?;
    fs::set_permissions(desk.path("tree/usr/share/x"), Permissions::from_mode(0o600))?;
    // A copy, because another user may not enter the build directory.
    let bakery = desk.path("bakery");
    copy_program("bakery", &bakery)?;
    let mut command = Command::new(&bakery);
    command.current_dir(desk.directory.path()).uid(NOBODY).gid(NOBODY);
    command.args(["bake", "--name", "x", "--version", "1", "--tree", "tree", "-o", "store"]);
    let told = error_of(command)?;
    let path = fs::canonicalize(desk.path("tree/usr/share/x"))?;
    ensure!(
        told == format!("error: cannot read {}: Permission denied (os error 13)\n", path.display()),
        "{told}"
    );
    desk.left_nothing("store")
}

fn full_disk() -> Result<()> {
    let desk = Desk::new()?;
    desk.write("tree/usr/share/random", &Random::new(6).bytes(1 << 20))?;
    let small = small_disk(&desk, "small")?;
    for (arguments, out) in [
        (&["--codec", "none"][..], "small/store"),
        (&["--codec", "lz4hc"], "small/store"),
        (&["--codec", "none"], "small/x.raw"),
        (&["--codec", "none", "--ddi"], "small/x.raw"),
    ] {
        let told = error_of(desk.bake("tree", &[arguments, &["-o", out]].concat())?)?;
        ensure!(
            told.starts_with("error: cannot write the image small/")
                && told.contains(": No space left on device (os error 28)"),
            "{told}"
        );
        desk.left_nothing(out)?;
        ensure!(!small.join(".x.raw.partial").exists(), "the beginning of an image was left");
    }
    // A smaller tree fits, so the disk was the reason
    desk.write("tree/usr/share/random", b"")?;
    ensure!(desk.bake("tree", &["-o", "small/store"])?.status()?.success());
    Ok(())
}

fn full_scratch() -> Result<()> {
    let desk = Desk::new()?;
    desk.write("tree/usr/share/random", &Random::new(6).text(2 << 20))?;
    let small = small_disk(&desk, "small")?;
    let refused = |tree: &str| {
        let mut command = desk.bake(tree, &["-o", "store"])?;
        command.env("TMPDIR", &small);
        let told = error_of(command)?;
        desk.left_nothing("store")?;
        let words = format!("in {}: No space left on device", small.display());
        ensure!(told.contains(&words) && told.contains("hint: set TMPDIR"), "{told}");
        anyhow::Ok(())
    };
    refused("tree")?;
    // The contents of a compressed archive and of an image are stored there too
    ensure!(desk.bake("tree", &["-o", "whole.raw"])?.status()?.success());
    refused("whole.raw")
}

/// A disk of 256 KiB.
fn small_disk(desk: &Desk, name: &str) -> Result<PathBuf> {
    let path = desk.path(name);
    fs::create_dir(&path)?;
    mount(Some("small"), &path, Some("tmpfs"), MsFlags::empty(), Some("size=256k"))?;
    Ok(path)
}

/// An archive with one file, whose name is in a pax record.
fn tar(path: &str, content: &[u8]) -> Vec<u8> {
    let rest = path.len() + "path".len() + 3;
    let length = (rest..).find(|all| all - all.to_string().len() == rest).expect("one fits");
    let record = format!("{length} path={path}\n");
    let entry = |kind: u8, name: &str, content: &[u8]| {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(b"0000644");
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[156] = kind;
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut entry = block.to_vec();
        entry.extend_from_slice(content);
        entry.resize(entry.len().next_multiple_of(512), 0);
        entry
    };
    [entry(b'x', "pax", record.as_bytes()), entry(b'0', "file", content), vec![0; 1024]].concat()
}
