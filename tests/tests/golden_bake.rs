//! The same tree, baked in two places by two users, gives the same bytes.
//!
//! The second place differs in everything on which a build must not depend: umask, user, locale, time zone,
//! home and working directory, temporary directory, number of processors, the second on the clock; in the tree
//! itself modification times, owners, permission bits that a umask removes, and the order in which directories
//! or archives were filled.

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
use tests::specimen::names_below;

/// A user and group that own nothing.
const NOBODY: u32 = 65_534;

/// Keys that are only for tests.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../image/fixtures");

/// The tree as an archive; an image from it equals that from the directory.
const ARCHIVE: &str = "tree.tar";

/// A way to bake the tree, and the expected digest.
struct Way {
    /// The directory of the results.
    name: &'static str,
    /// The source of the tree.
    from: &'static str,
    /// The arguments of the program.
    options: &'static [&'static str],
    /// The digest of the image.
    digest: &'static str,
}

/// A change here means that published images cannot be rebuilt any more: it needs a new writer id, and the old
/// one stays supported.
const GOLDEN: [Way; 8] = [
    Way {
        name: "none",
        from: "tree",
        options: &["--codec", "none", "--kernel", "6.10"],
        digest: "b6bda6648dfb2eb5e24bf327465b439e5a711abdad380d75fa04dc933acad93d",
    },
    Way {
        name: "lz4hc",
        from: "tree",
        options: &["--kernel", "6.10"],
        digest: "028677f36900c99cc751270b2284a48772ad6321e4d251b756e3ac017f27a7d4",
    },
    // The default before: images that exist were made with it.
    Way {
        name: "lz4hc:12",
        from: "tree",
        options: &["--codec", "lz4hc:12", "--kernel", "6.10"],
        digest: "45d1e048b7387e7d43d2548fd1898f392a20b8e55c05df1b0e26a4e09b98f81c",
    },
    Way {
        name: "zstd",
        from: "tree",
        options: &["--codec", "zstd", "--kernel", "6.10"],
        digest: "0effa3dd2a10424bd40fff1c4853b25302ca888a025a6c9f02dde6e7ef8281d7",
    },
    // A tar archive of the tree contains the tree.
    Way {
        name: "zstd from an archive",
        from: ARCHIVE,
        options: &["--codec", "zstd", "--kernel", "6.10"],
        digest: "0effa3dd2a10424bd40fff1c4853b25302ca888a025a6c9f02dde6e7ef8281d7",
    },
    Way {
        name: "squashfs",
        from: "tree",
        options: &["--format", "squashfs", "--codec", "zstd"],
        digest: "a9b8596e729fe027489280195eb442914b0ea5915882f846a44e214b5dd50ec4",
    },
    Way {
        name: "squashfs with xz",
        from: ARCHIVE,
        options: &["--format", "squashfs", "--codec", "xz:1"],
        digest: "f8568830089c666d61977578ebfd58efce7c5782cbf4a9605ad1a096b7fece14",
    },
    // ECDSA needs a secret number; ours is derived from the key and the hash, not random.
    Way {
        name: "signed",
        from: "tree",
        options: &["--codec", "lz4", "--ddi", "--verity-key", "../home/key", "--verity-cert", "../home/crt"],
        digest: "3b2d5e5b5c87861848b0e2f9ad35bb594b2e153bb24529275b4e55444c8e92f6",
    },
];

fn main() -> ExitCode {
    let mut suite = Suite::new();
    let tar = Need::Tool("tar");
    suite.trial("golden_bake_is_independent_of_place_and_environment", &[tar], || elsewhere(None));
    suite.trial("golden_bake_is_independent_of_the_user", &[Need::Root, tar], || elsewhere(Some(NOBODY)));
    suite.trial("golden_bake_has_the_stored_digests", &[tar], digests);
    suite.run()
}

/// How files are created and where the program runs.
struct Place {
    directory: TempDir,
    user: Option<u32>,
}

/// The content of the tree, in the order of the names.
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
        for end in ["key", "crt"] {
            let path = place.path("home").join(end);
            fs::copy(Path::new(FIXTURES).join(format!("test-only-p256.{end}")), &path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            place.give(&path)?;
        }
        Ok(place)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Gives a file or directory to the user.
    fn give(&self, path: &Path) -> Result<()> {
        Ok(std::os::unix::fs::lchown(path, self.user, self.user)?)
    }

    /// Creates the tree, in reverse order if requested, with permissions under a umask.
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

    /// Archives the tree in a format, in reverse order of the names if requested.
    fn archive(&self, format: &str, reverse: bool) -> Result<()> {
        let mut names = names_below(&self.path("tree"))?;
        if reverse {
            names.reverse();
        }
        let list = names.iter().map(|name| format!("./{}\n", name.display())).collect::<String>();
        fs::write(self.path("names"), list)?;
        let output = Command::new("tar")
            .args(["--create", "--no-recursion", "--format", format])
            .arg("--file")
            .arg(self.path(ARCHIVE))
            .arg("--directory")
            .arg(self.path("tree"))
            .arg("--files-from")
            .arg(self.path("names"))
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::set_permissions(self.path(ARCHIVE), Permissions::from_mode(0o644))?;
        self.give(&self.path(ARCHIVE))
    }

    /// Bakes the tree from a shell that runs a command first, with exactly this environment.
    fn bake(&self, way: &Way, before: &str, environment: &[(&str, &str)], cwd: &str) -> Result<()> {
        // A copy, because another user may not enter the build directory.
        let bakery = self.path("bakery");
        if !bakery.exists() {
            copy_program("bakery", &bakery)?;
        }
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]).arg(&bakery);
        command.args(["bake", "--name", "golden", "--version", "1.0", "--arch", "x86-64"]);
        command.args(["--epoch", "1700000000", "--json"]).args(way.options);
        command.arg("--tree").arg(self.path(way.from)).arg("--out").arg(self.path("store").join(way.name));
        command.env_clear().env("HOME", self.path("home")).env("PATH", "/usr/bin:/bin");
        command.envs(environment.iter().copied()).current_dir(self.path(cwd));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let output = command.output()?;
        ensure!(output.status.success(), "{}: {}", way.name, String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// The results of baking in a way: the image and its record.
    fn baked(&self, way: &Way) -> Result<BTreeMap<String, Sha256>> {
        let directory = self.path("store").join(way.name).join("golden");
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
    here.archive("gnu", false)?;
    for way in &GOLDEN {
        here.bake(way, "umask 022", &[("LANG", "C"), ("TZ", "UTC")], "tree")?;
    }

    // Until the clock shows another second than above
    std::thread::sleep(Duration::from_millis(1_100));
    files.reverse();
    let there = Place::new(user)?;
    there.fill(&files, 0o077, SystemTime::now())?;
    there.archive("posix", true)?;
    let tmp = there.path("tmp");
    let tmp = tmp.to_str().context("the path is not UTF-8")?;
    let environment = [("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Asia/Tokyo"), ("TMPDIR", tmp), ("USER", "nobody")];
    on_one_processor(|| {
        GOLDEN.iter().try_for_each(|way| there.bake(way, "umask 077", &environment, "home"))
    })?;

    // The places differ where they should
    let tool = "tree/usr/bin/tool";
    let (a, b) = (fs::metadata(here.path(tool))?, fs::metadata(there.path(tool))?);
    ensure!(a.mode() != b.mode() && a.mtime() != b.mtime(), "the two trees do not differ");
    ensure!(user.is_none_or(|user| b.uid() == user && b.uid() != a.uid()), "the owners do not differ");
    ensure!(fs::read(here.path(ARCHIVE))? != fs::read(there.path(ARCHIVE))?, "the archives do not differ");
    for way in &GOLDEN {
        let name = way.name;
        assert_eq!(here.baked(way)?, there.baked(way)?, "{name}");
        let image =
            |place: &Place| fs::read(place.path("store").join(name).join("golden/golden-1.0-x86-64.raw"));
        ensure!(image(&here)? == image(&there)?, "{name}: the bytes differ");
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
    place.archive("gnu", false)?;
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for way in &GOLDEN {
        place.bake(way, "umask 022", &[], "home")?;
        found.push((way.name, place.baked(way)?["golden-1.0-x86-64.raw"].to_string()));
        expected.push((way.name, way.digest.to_owned()));
    }
    assert_eq!(found, expected);
    Ok(())
}
