//! The same tree baked in two places by two people gives the same bytes.
//!
//! The second place differs in all that a build must not depend on: umask, user, locale, time zone,
//! home and working directory, temporary directory, number of processors, the second on the clock,
//! and in the tree itself modification times, owners, permission bits that a umask takes away, and the
//! order in which the directories were filled.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sysext_manifests::digest::Sha256;
use tempfile::TempDir;
use tests::needs::{Need, Suite};
use tests::programs::copy_program;

/// A user and group that own nothing.
const NOBODY: u32 = 65_534;

/// Codecs and what the tree below bakes to with them. A change here is a change of what every published
/// image was rebuilt from: it needs a new writer id, with the old one kept (design.md, section 6).
const GOLDEN: [(&str, &str); 3] = [
    ("none", "b6bda6648dfb2eb5e24bf327465b439e5a711abdad380d75fa04dc933acad93d"),
    ("lz4hc", "45d1e048b7387e7d43d2548fd1898f392a20b8e55c05df1b0e26a4e09b98f81c"),
    ("zstd", "0effa3dd2a10424bd40fff1c4853b25302ca888a025a6c9f02dde6e7ef8281d7"),
];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.trial("golden_bake_here_and_elsewhere", &[], || elsewhere(None));
    suite.trial("golden_bake_as_another_user", &[Need::Root], || elsewhere(Some(NOBODY)));
    suite.trial("golden_bake_digests", &[], digests);
    suite.run()
}

/// How files are put down and where the program runs.
struct Place {
    directory: TempDir,
    user: Option<u32>,
}

/// What the tree holds, in the order of the names.
fn content() -> Vec<(String, Vec<u8>)> {
    let mut noise = Noise(1);
    let mut files = vec![
        ("usr/bin/tool".to_owned(), noise.bytes(300_000)),
        ("usr/lib/empty".to_owned(), Vec::new()),
        ("usr/lib/one".to_owned(), vec![b'1']),
        ("usr/lib/text".to_owned(), b"all work and no play makes jack a dull boy\n".repeat(9_000)),
        ("usr/lib/zeros".to_owned(), vec![0; 500_000]),
        ("opt/tool/mixed".to_owned(), [noise.bytes(70_000), vec![b'-'; 90_000]].concat()),
    ];
    files.extend((0..300).map(|n| (format!("usr/share/many/file-{n:03}"), noise.bytes(n))));
    files.sort();
    files
}

/// Bytes that do not compress; always the same.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    fn byte(&mut self) -> u8 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()[3]
    }
}

impl Place {
    fn new(user: Option<u32>) -> Result<Self> {
        let place = Self { directory: tempfile::tempdir()?, user };
        fs::set_permissions(place.directory.path(), Permissions::from_mode(0o755))?;
        for directory in ["home", "tmp", "store"] {
            fs::create_dir(place.path(directory))?;
            place.give(&place.path(directory))?;
        }
        Ok(place)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Hands a file or directory to the user.
    fn give(&self, path: &Path) -> Result<()> {
        Ok(std::os::unix::fs::lchown(path, self.user, self.user)?)
    }

    /// The tree, with the last files first if that is asked for, and with permissions under a umask.
    fn fill(&self, files: &[(String, Vec<u8>)], umask: u32, modified: SystemTime) -> Result<()> {
        for (path, bytes) in files {
            let path = self.path("tree").join(path);
            fs::create_dir_all(path.parent().context("no parent")?)?;
            fs::write(&path, bytes)?;
            let mode = if path.ends_with("tool") { 0o777 } else { 0o666 };
            fs::set_permissions(&path, Permissions::from_mode(mode & !umask))?;
            File::open(&path)?.set_times(FileTimes::new().set_modified(modified))?;
        }
        fs::create_dir_all(self.path("tree/usr/share/nothing"))?;
        symlink("tool", self.path("tree/usr/bin/alias"))?;
        fs::hard_link(self.path("tree/usr/lib/text"), self.path("tree/usr/lib/same-text"))?;
        let mut pending = vec![self.path("tree")];
        while let Some(path) = pending.pop() {
            self.give(&path)?;
            if path.is_dir() && !path.is_symlink() {
                fs::set_permissions(&path, Permissions::from_mode(0o777 & !umask))?;
                for entry in fs::read_dir(&path)? {
                    pending.push(entry?.path());
                }
            }
        }
        Ok(())
    }

    /// Bakes the tree from a shell that did something first, with no environment but this.
    fn bake(&self, codec: &str, before: &str, environment: &[(&str, &str)], cwd: &str) -> Result<()> {
        // A copy: the build directory may be closed to another user.
        let bakery = self.path("bakery");
        if !bakery.exists() {
            copy_program("bakery", &bakery)?;
        }
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]).arg(&bakery);
        command.args(["bake", "--name", "golden", "--version", "1.0", "--arch", "x86-64"]);
        command.args(["--codec", codec, "--kernel", "6.10", "--epoch", "1700000000", "--json"]);
        command.arg("--tree").arg(self.path("tree")).arg("--out").arg(self.path("store").join(codec));
        command.env_clear().env("HOME", self.path("home")).env("PATH", "/usr/bin:/bin");
        command.envs(environment.iter().copied()).current_dir(self.path(cwd));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Everything that was baked with a codec: the image and its record.
    fn baked(&self, codec: &str) -> Result<BTreeMap<String, Sha256>> {
        let directory = self.path("store").join(codec).join("golden");
        let mut baked = BTreeMap::new();
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path.file_name().context("no name")?.to_string_lossy().into_owned();
            baked.insert(name, Sha256::of(&fs::read(&path)?));
        }
        ensure!(baked.len() == 2, "{baked:?}");
        Ok(baked)
    }
}

fn elsewhere(user: Option<u32>) -> Result<()> {
    let mut files = content();
    let here = Place::new(None)?;
    here.fill(&files, 0o022, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))?;
    for (codec, _) in GOLDEN {
        here.bake(codec, "umask 022", &[("LANG", "C"), ("TZ", "UTC")], "tree")?;
    }

    // A clock that shows another second than it did above
    std::thread::sleep(Duration::from_millis(1_100));
    files.reverse();
    let there = Place::new(user)?;
    there.fill(&files, 0o077, SystemTime::now())?;
    let tmp = there.path("tmp");
    let tmp = tmp.to_str().context("the path is not UTF-8")?;
    let environment = [("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Asia/Tokyo"), ("TMPDIR", tmp), ("USER", "nobody")];
    on_one_processor(|| {
        GOLDEN.iter().try_for_each(|(codec, _)| there.bake(codec, "umask 077", &environment, "home"))
    })?;

    // The places do differ where they should
    let tool = "tree/usr/bin/tool";
    let (a, b) = (fs::metadata(here.path(tool))?, fs::metadata(there.path(tool))?);
    ensure!(a.mode() != b.mode() && a.mtime() != b.mtime(), "the two trees do not differ");
    ensure!(user.is_none_or(|user| b.uid() == user && b.uid() != a.uid()), "the owners do not differ");
    for (codec, _) in GOLDEN {
        assert_eq!(here.baked(codec)?, there.baked(codec)?, "{codec}");
        let image =
            |place: &Place| fs::read(place.path("store").join(codec).join("golden/golden-1.0-x86-64.raw"));
        ensure!(image(&here)? == image(&there)?, "{codec}: the bytes differ");
    }
    Ok(())
}

/// Runs something, and the processes that it starts, on a single processor.
fn on_one_processor<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    let all = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).context("no processor")?;
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one)?;
    let outcome = body();
    sched_setaffinity(None, &all)?;
    outcome
}

fn digests() -> Result<()> {
    let place = Place::new(None)?;
    place.fill(&content(), 0o022, SystemTime::now())?;
    let mut found = Vec::new();
    for (codec, _) in GOLDEN {
        place.bake(codec, "umask 022", &[], "home")?;
        found.push((codec, place.baked(codec)?["golden-1.0-x86-64.raw"].to_string()));
    }
    let found: Vec<(&str, &str)> = found.iter().map(|(codec, digest)| (*codec, digest.as_str())).collect();
    assert_eq!(found, GOLDEN);
    Ok(())
}
