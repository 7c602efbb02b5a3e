//! Archives by the real tar, gzip, xz and zstd, and by programs that combine their output.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tests::needs::{Need, Suite};
use tests::programs::program;
use tests::sample::Random;

/// Shell commands that turn a tar archive `a.tar` into another file.
const MADE: [(&str, &str, &str); 15] = [
    ("gzip", "gzip", "gzip -c a.tar"),
    ("gzip_best_with_name", "gzip", "gzip -9 --name -c a.tar"),
    ("gzip_of_two_members", "gzip", "head -c 99999 a.tar | gzip -c; tail -c +100000 a.tar | gzip -1"),
    ("gzip_filled_up_with_zeros", "gzip", "gzip -c a.tar; head -c 5000 /dev/zero"),
    ("pigz", "pigz", "pigz -c -b 128 -p 4 a.tar"),
    ("xz", "xz", "xz -c a.tar"),
    ("xz_best", "xz", "xz -9e -c a.tar"),
    ("xz_in_blocks_by_threads", "xz", "xz -T4 --block-size=100000 -c a.tar"),
    ("xz_sha256_and_filter", "xz", "xz --check=sha256 --x86 --lzma2=preset=1 -c a.tar"),
    (
        "xz_of_two_streams",
        "xz",
        "head -c 99999 a.tar | xz -c; head -c 4 /dev/zero; tail -c +100000 a.tar | xz -c",
    ),
    ("zstd", "zstd", "zstd -q -c a.tar"),
    ("zstd_best_by_threads", "zstd", "zstd -q --ultra -22 -T4 -c a.tar"),
    ("zstd_looking_far_back", "zstd", "zstd -q --long=27 -c a.tar"),
    ("zstd_of_two_frames", "zstd", "head -c 99999 a.tar | zstd -q -c; tail -c +100000 a.tar | zstd -q -c"),
    ("pzstd", "pzstd", "pzstd -q -p 4 -c a.tar"),
];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for (name, tool, script) in MADE {
        let name = format!("peer_archive_of_{name}_is_readable");
        suite.trial(&name, &[Need::Tool("tar"), Need::Tool(tool)], move || same(script));
    }
    for (tool, script) in [("gzip", "gzip -c a.tar"), ("xz", "xz -T2 -c a.tar"), ("zstd", "zstd -q -c a.tar")]
    {
        let name = format!("peer_archive_of_{tool}_truncated_anywhere_is_rejected");
        suite.trial(&name, &[Need::Tool("tar"), Need::Tool(tool)], move || cut(tool, script));
    }
    for (tool, script) in [
        ("bzip2", "bzip2 -c a.tar"),
        ("lz4", "lz4 -q -c a.tar"),
        ("lzip", "lzip -c a.tar"),
        ("zip", "zip -q - a.tar"),
    ] {
        let name = format!("peer_archive_of_{tool}_is_rejected_by_name");
        suite.trial(&name, &[Need::Tool("tar"), Need::Tool(tool)], move || foreign(tool, script));
    }
    suite.trial(
        "peer_archive_that_needs_too_much_memory_is_rejected",
        &[Need::Tool("tar"), Need::Tool("xz")],
        memory,
    );
    suite.trial("peer_archive_through_a_pipe_lets_tar_exit", &[Need::Tool("tar")], pipe);
    suite.run()
}

/// A tree, its archive `a.tar`, and its image `a.raw`.
struct Desk {
    directory: TempDir,
    bakery: PathBuf,
}

impl Desk {
    fn new() -> Result<Self> {
        let desk = Self { directory: tempfile::tempdir()?, bakery: program("bakery")? };
        let files = desk.path("tree/usr/share/x");
        fs::create_dir_all(&files)?;
        fs::write(files.join("text"), Random::new(1).text(300_000))?;
        fs::write(files.join("zeros"), vec![0; 100_000])?;
        fs::write(files.join("empty"), b"")?;
        desk.shell("tar -C tree -cf a.tar .")?;
        let baked = desk.bake("tree", "a.raw", Stdio::null())?;
        ensure!(baked.status.success(), "{}", String::from_utf8_lossy(&baked.stderr));
        Ok(desk)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn shell(&self, script: &str) -> Result<()> {
        let status = Command::new("sh").args(["-ec", script]).current_dir(self.directory.path()).status()?;
        ensure!(status.success(), "{script}: {status}");
        Ok(())
    }

    fn bake(&self, tree: &str, out: &str, stdin: impl Into<Stdio>) -> Result<Output> {
        let mut command = Command::new(&self.bakery);
        command.current_dir(self.directory.path()).env_remove("SOURCE_DATE_EPOCH").stdin(stdin);
        command.args([
            "bake",
            "--name",
            "x",
            "--version",
            "1",
            "--arch",
            "x86-64",
            "--tree",
            tree,
            "-o",
            out,
        ]);
        Ok(command.output()?)
    }

    /// The error for a rejected archive, which leaves no file.
    fn refused(&self, archive: &str) -> Result<String> {
        let output = self.bake(archive, "refused.raw", Stdio::null())?;
        let told = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{archive}: {}: {told}", output.status);
        ensure!(!self.path("refused.raw").exists() && !self.path(".refused.raw.partial").exists(), "{told}");
        Ok(told)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// The file name says nothing about the format, and the image is the same, from the file and through a pipe.
fn same(script: &str) -> Result<()> {
    let desk = Desk::new()?;
    desk.shell(&format!("{{ {script}; }} >archive"))?;
    for (tree, out) in [("archive", "file.raw"), ("-", "pipe.raw")] {
        let output = desk.bake(tree, out, fs::File::open(desk.path("archive"))?)?;
        ensure!(output.status.success(), "{tree}: {}", String::from_utf8_lossy(&output.stderr));
        ensure!(read(&desk.path(out))? == read(&desk.path("a.raw"))?, "{tree}: another image");
    }
    Ok(())
}

fn cut(tool: &str, script: &str) -> Result<()> {
    let desk = Desk::new()?;
    desk.shell(&format!("{script} >archive"))?;
    let whole = read(&desk.path("archive"))?;
    let last = whole.len() - 1;
    let places = (8..32).step_by(7).chain((32..last).step_by(last / 20)).chain(last - 12..=last);
    for length in places {
        fs::write(desk.path("cut"), &whole[..length])?;
        let told = desk.refused("cut")?;
        let words = format!("cannot decompress the {tool} data at offset {length}: unexpected end\nhint: ");
        ensure!(told.contains(&words), "cut to {length}: {told}");
    }
    fs::write(desk.path("more"), [&whole[..], b"\n"].concat())?;
    let told = desk.refused("more")?;
    let words = format!("the {tool} data at offset {}: trailing data\n", whole.len());
    ensure!(told.contains(&words), "{told}");
    for at in [whole.len() / 3, whole.len() / 2, last - 40] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(desk.path("damaged"), damaged)?;
        let told = desk.refused("damaged")?;
        ensure!(told.contains(&format!("cannot decompress the {tool} data at offset ")), "{at}: {told}");
    }
    Ok(())
}

fn foreign(tool: &str, script: &str) -> Result<()> {
    let desk = Desk::new()?;
    desk.shell(&format!("{script} >archive"))?;
    let told = desk.refused("archive")?;
    ensure!(told.contains(tool) && told.contains(" it first with "), "{told}");
    Ok(())
}

fn memory() -> Result<()> {
    let desk = Desk::new()?;
    desk.shell("xz --lzma2=preset=6,dict=256MiB -c a.tar >archive")?;
    let told = desk.refused("archive")?;
    ensure!(told.contains("more than 80 MiB of memory\nhint: decompress it first with xz -dc"), "{told}");
    desk.shell(&format!(
        "xz -dc archive | {} bake --name x --version 1 --arch x86-64 --tree - -o piped.raw 2>said",
        desk.bakery.display()
    ))?;
    ensure!(read(&desk.path("piped.raw"))? == read(&desk.path("a.raw"))?, "another image");
    Ok(())
}

/// More data follows the archive than fits into a pipe; the writer must not be stopped.
fn pipe() -> Result<()> {
    let desk = Desk::new()?;
    desk.shell("tar --blocking-factor=2048 -C tree -cf long.tar .")?;
    let mut child = Command::new(&desk.bakery)
        .args(["bake", "--name", "x", "--version", "1", "--arch", "x86-64", "--tree", "-", "-o"])
        .arg(desk.path("piped.raw"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().context("it has an input")?;
    stdin.write_all(&read(&desk.path("long.tar"))?)?;
    stdin.write_all(&vec![0; 1 << 20])?;
    drop(stdin);
    ensure!(child.wait()?.success());
    ensure!(read(&desk.path("piped.raw"))? == read(&desk.path("a.raw"))?, "another image");
    Ok(())
}
