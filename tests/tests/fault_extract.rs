//! Damaged and malicious images: reading them ends with an error that contains the place, in bounded time and
//! memory, and never writes outside the target directory.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sysext_image::ddi::{Architecture, Designator, PartitionType, Role};
use sysext_image::extract::{Options, Owners, extract};
use sysext_image::filesystem::Limits;
use sysext_image::gpt::{Guid, Layout, NewPartition, Sector};
use sysext_image::tree::{Metadata, Tree};
use sysext_image::{Codec, Filesystem, Format, erofs, squashfs, verity};
use tempfile::TempDir;
use tests::needs::{Need, Suite};
use tests::programs::program;
use tests::sample::Random;

/// Mutations of each image.
const MUTATIONS: u64 = 1000;

/// Time limit for reading an image of 100 kB, which takes a few milliseconds.
const LONGEST: Duration = Duration::from_secs(10);

/// Limit for the peak memory of this process in KiB: far more than all images together.
const MEMORY_KIB: u64 = 600 << 10;

/// Limit for the total size of the files of a damaged image in bytes.
const LIMITS: Limits = Limits { content: 32 << 20 };

fn main() -> ExitCode {
    let mut suite = Suite::new();
    let erofs = ["none", "lz4hc", "zstd"].map(|codec| (Format::Erofs, codec));
    let squashfs = ["none", "gzip", "zstd"].map(|codec| (Format::Squashfs, codec));
    for (format, codec) in erofs.into_iter().chain(squashfs) {
        let name = format!("fault_extract_{format}_{codec}_survives_thousands_of_mutations");
        suite.trial(&name, &[], move || mutations(format, codec));
    }
    suite.trial("fault_extract_rejects_names_that_escape", &[], names);
    suite.trial("fault_extract_rejects_directory_within_itself", &[], directory_loop);
    suite.trial("fault_extract_rejects_file_that_claims_a_tebibyte", &[], tebibyte);
    suite.trial("fault_extract_of_damaged_image_fails_cleanly", &[], by_the_program);
    suite.trial("fault_extract_rejects_verity_that_covers_less_than_the_image", &[], covers_less);
    suite.trial("fault_extract_rejects_image_that_ends_within_a_sector", &[], half_a_sector);
    suite.isolated("fault_extract_reports_full_disk", &[Need::Root], full_disk);
    suite.run()
}

fn tree() -> Result<Tree> {
    let mut random = Random::new(11);
    let mut tree = Tree::new();
    let file = Metadata::new(0o644);
    tree.insert_bytes("usr/bin/text", random.text(60_000), Metadata::new(0o755).xattr("user.x", "y"))?;
    tree.insert_bytes("usr/bin/random", random.bytes(20_000), file.clone())?;
    tree.insert_link("usr/bin/second", "usr/bin/text")?;
    tree.insert_symlink("usr/lib/link", "../../../outside", Metadata::new(0o777))?;
    for number in 0..8 {
        tree.insert_bytes(format!("usr/share/{number}"), random.text(number * 40), file.clone())?;
    }
    let strict = file.xattr("user.extension-release.strict", "0");
    tree.insert_bytes("usr/lib/extension-release.d/extension-release.x", "ID=_any\n", strict)?;
    Ok(tree)
}

fn image(tree: &Tree, codec: &str) -> Result<Vec<u8>> {
    let mut image = Vec::new();
    erofs::write(tree, &erofs::Options::new(codec.parse::<Codec>()?, 1_700_000_000), &mut image)?;
    Ok(image)
}

fn squashed(tree: &Tree, codec: &str) -> Result<Vec<u8>> {
    let mut image = Vec::new();
    squashfs::write(tree, &squashfs::Options::new(codec.parse()?, 1_700_000_000), &mut image)?;
    Ok(image)
}

/// A directory with a neighbour that must not change.
struct Desk {
    directory: TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let desk = Self { directory: tempfile::tempdir()? };
        fs::create_dir(desk.path("outside"))?;
        fs::write(desk.path("outside/file"), "untouched")?;
        fs::create_dir(desk.path("in"))?;
        Ok(desk)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Reads all of an image and extracts it; returns the error, if any.
    fn judge(&self, image: Vec<u8>) -> Result<Option<String>> {
        let begin = Instant::now();
        let into = self.path("in/out");
        let outcome = attempt(image, &into);
        ensure!(begin.elapsed() < LONGEST, "it took {:?}", begin.elapsed());
        if into.exists() {
            fs::remove_dir_all(&into)?;
        }
        let names = |path: &str| -> Result<Vec<_>> {
            let entries = fs::read_dir(self.path(path))?;
            entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()
        };
        ensure!(names("in")?.is_empty() && names("outside")? == ["file"], "it left its directory");
        ensure!(names("")?.len() == 2, "it left its directory");
        ensure!(fs::read(self.path("outside/file"))? == b"untouched", "it changed its neighbour");
        Ok(outcome.err().map(|error| format!("{error:#}")))
    }
}

fn attempt(image: Vec<u8>, into: &Path) -> Result<()> {
    let image = Filesystem::open(Cursor::new(image))?;
    let entries = image.entries()?;
    LIMITS.check(&entries)?;
    let options = Options { path: None, owners: Owners::Caller, limits: LIMITS };
    extract(&image, into, &options, &mut |_, _| {})?;
    Ok(())
}

/// Every error must contain the place, or the inconsistent property of the image.
fn tells_where(told: &str) -> bool {
    ["offset ", "the image is invalid: /", "the image is truncated: ", "claim ", "not an erofs", "or disk image", "more than ", "cannot read"]
        .iter()
        .any(|words| told.contains(words))
        // Names that cannot exist side by side on disk, and attributes that it cannot store
        || told.starts_with("cannot ")
}

fn mutations(format: Format, codec: &str) -> Result<()> {
    let desk = Desk::new()?;
    let whole = match format {
        Format::Erofs => image(&tree()?, codec)?,
        Format::Squashfs => squashed(&tree()?, codec)?,
    };
    ensure!(desk.judge(whole.clone())?.is_none(), "the whole image is refused");
    // Most of the structure is after the superblock, or at the end
    let (begin, structure) = match format {
        Format::Erofs => {
            let entries = Filesystem::open(Cursor::new(&whole))?.entries()?;
            let last = entries.iter().map(|entry| entry.inode * 32).max().context("no inodes")?;
            (1024, last + 64 - 1024)
        }
        Format::Squashfs => (whole.len() - 5000, 5000),
    };
    let mut random = Random::new(0x5eed);
    let length = whole.len() as u64;
    let (mut refused, mut located) = (0, 0);
    for number in 0..MUTATIONS {
        let mut damaged = whole.clone();
        let mut at = |end: u64| usize::try_from(random.below(end)).expect("an image fits into memory");
        match number % 6 {
            0 => {
                let place = begin + at(structure);
                damaged[place] ^= 1 << at(8);
            }
            // The superblock, otherwise any place
            1 | 2 => {
                let front = if format == Format::Erofs { 1024..1152 } else { 0..96 };
                let place = if number % 6 == 1 { front.start + at(front.len() as u64) } else { at(length) };
                damaged[place] ^= 1 << at(8);
            }
            // Another number
            3 => {
                let place = begin + at(structure - 4) / 4 * 4;
                let values = [0, 1, u32::MAX, 1 << 31, 0x7fff_ffff, 4096, 4095, 36];
                damaged[place..place + 4].copy_from_slice(&values[at(8)].to_le_bytes());
            }
            // A copy of another part
            4 => {
                let (from, to, size) = (at(length - 64), at(length - 64), at(64));
                damaged.copy_within(from..from + size, to);
            }
            _ => damaged.truncate(at(length)),
        }
        let told = desk.judge(damaged).with_context(|| format!("mutation {number}"))?;
        if let Some(told) = told {
            ensure!(tells_where(&told), "mutation {number}: {told}");
            refused += 1;
            let is_located = ["offset ", "the image is truncated: "].iter().any(|words| told.contains(words));
            located += u64::from(is_located);
        }
    }
    // Nothing can detect damage to uncompressed contents, times or owners
    ensure!(refused > MUTATIONS / 8, "only {refused} of {MUTATIONS} were refused");
    ensure!(located * 2 > refused, "only {located} of {refused} say where");
    let peak = peak_memory_kib()?;
    ensure!(peak < MEMORY_KIB, "{peak} KiB were in memory");
    Ok(())
}

fn peak_memory_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The position of these bytes in an image, which must contain them once.
fn find(image: &[u8], bytes: &[u8]) -> Result<usize> {
    let places: Vec<usize> = image
        .windows(bytes.len())
        .enumerate()
        .filter(|(_, found)| *found == bytes)
        .map(|(at, _)| at)
        .collect();
    ensure!(places.len() == 1, "{bytes:?} is there {} times", places.len());
    Ok(places[0])
}

fn names() -> Result<()> {
    let desk = Desk::new()?;
    for (name, instead) in [
        ("QQ", ".."),
        ("QQ", "Q/"),
        ("QQQQQQQQQQQQQQQ", "../../outside/x"),
        ("QQQQQQQQQQ", "/tmp/bad/x"),
        ("QQQ", "Q\0Q"),
    ] {
        let mut tree = Tree::new();
        tree.insert_bytes(name, "escaped", Metadata::new(0o644))?;
        let mut bytes = image(&tree, "none")?;
        let at = find(&bytes, name.as_bytes())?;
        bytes[at..at + name.len()].copy_from_slice(instead.as_bytes());
        let told = desk.judge(bytes)?;
        // A NUL ends a name on disk; the rest is an ordinary name
        ensure!(told.is_some() || instead.contains('\0'), "{instead:?} was extracted");
    }
    // A link, and a directory of the same name that contains a file
    let mut tree = Tree::new();
    tree.insert_symlink("QAQ", desk.path("outside"), Metadata::new(0o777))?;
    tree.insert_bytes("QBQ/new", "escaped", Metadata::new(0o644))?;
    let mut bytes = image(&tree, "none")?;
    let at = find(&bytes, b"QBQ")?;
    bytes[at + 1] = b'A';
    let told = desk.judge(bytes)?.context("a name that is there twice was extracted")?;
    ensure!(told.contains("has the name twice") || told.contains("are not strictly sorted"), "{told}");
    Ok(())
}

/// The inode number of a directory entry: 8 bytes, 12 for each entry, then all names.
fn directory_loop() -> Result<()> {
    let desk = Desk::new()?;
    let mut tree = Tree::new();
    tree.insert_directory("outer/inner", Metadata::new(0o755))?;
    let bytes = image(&tree, "none")?;
    let opened = Filesystem::open(Cursor::new(bytes.clone()))?;
    let entries = opened.entries()?;
    let inode = |path: &str| {
        entries
            .iter()
            .find(|entry| entry.path == Path::new(path))
            .map(|entry| entry.inode)
            .context("no entry")
    };
    for above in ["", "outer", "outer/inner"] {
        let mut looped = bytes.clone();
        let names = find(&looped, b"...outerinner").or_else(|_| find(&looped, b"inner"))?;
        let number = inode("outer/inner")?.to_le_bytes();
        let at = looped[..names]
            .windows(8)
            .rposition(|found| found == number)
            .context("the directory does not have the number")?;
        looped[at..at + 8].copy_from_slice(&inode(above)?.to_le_bytes());
        let told = desk.judge(looped)?;
        if above != "outer/inner" {
            let told = told.context("a directory in itself was extracted")?;
            ensure!(told.contains("directory cycle") || told.contains("has another name too"), "{told}");
        }
    }
    Ok(())
}

fn tebibyte() -> Result<()> {
    let desk = Desk::new()?;
    for (codec, owner) in [("none", 0), ("lz4hc", 0), ("zstd", 0), ("none", 70_000)] {
        let mut tree = Tree::new();
        // Whole blocks, so that no tail is stored after the inode
        let size = 15 * 4096_u64;
        let text = Random::new(7).text(15 * 4096);
        // An owner above 16 bits requires an extended inode, whose size has 64 bits
        tree.insert_bytes("file", text, Metadata::new(0o644).owner(owner, 0))?;
        let mut bytes = image(&tree, codec)?;
        let (width, claimed) = match owner {
            0 => (4, 0xffff_f000_u64),
            _ => (8, 1 << 40),
        };
        let at = find(&bytes, &size.to_le_bytes()[..width])?;
        bytes[at..at + width].copy_from_slice(&claimed.to_le_bytes()[..width]);
        let told = desk.judge(bytes.clone())?.context("it was extracted")?;
        let words = format!("the files in the image claim {claimed} bytes in total, more than ");
        ensure!(told.starts_with(&words), "{codec}: {told}");
        // With a higher limit, it ends where the image ends, and no file is left
        let image = Filesystem::open(Cursor::new(bytes))?;
        let into = desk.path("in/out");
        let limits = Limits { content: u64::MAX };
        let options = Options { path: None, owners: Owners::Caller, limits };
        let error = extract(&image, &into, &options, &mut |_, _| {}).err().context("it was extracted")?;
        ensure!(error.is_partial() && format!("{error:#}").contains("offset "), "{error:#}");
        ensure!(!into.join("file").exists(), "half of it was left");
        fs::remove_dir_all(&into)?;
    }
    Ok(())
}

fn by_the_program() -> Result<()> {
    let desk = Desk::new()?;
    let whole = image(&tree()?, "lz4hc")?;
    // Built before the time is measured
    let bakery = program("bakery")?;
    let run = |name: &str, bytes: &[u8], arguments: &[&str]| -> Result<Output> {
        fs::write(desk.path(name), bytes)?;
        // 256 MiB of address space are enough for any result
        let script = "ulimit -v 262144; exec \"$0\" \"$@\"";
        let begin = Instant::now();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).arg(&bakery).args(arguments).arg(name);
        if arguments == ["extract"] {
            command.arg("in/out");
        }
        let output = command.current_dir(desk.directory.path()).output()?;
        ensure!(begin.elapsed() < LONGEST, "{arguments:?} took {:?}", begin.elapsed());
        Ok(output)
    };
    let mut flipped = whole.clone();
    flipped[1024 + 50] ^= 1;
    let mut root = whole.clone();
    root[1024 + 14] ^= 0x40;
    let name = "x-1.raw";
    let length = whole.len();
    let cut = format!(
        "error: x-1.raw: the image is truncated: {} of {length} bytes\nhint: download or rebuild the image\n",
        length - 4096
    );
    for verb in ["inspect", "verify", "extract"] {
        let output = run(name, &whole[..length - 4096], &[verb])?;
        ensure!(String::from_utf8(output.stderr)? == cut && output.status.code() == Some(1), "{verb}");
        let output = run(name, b"no image", &[verb])?;
        let told = String::from_utf8(output.stderr)?;
        ensure!(told == "error: x-1.raw: not an erofs, squashfs or disk image\n", "{verb}: {told}");
        let output = run(name, &root, &[verb])?;
        let told = String::from_utf8(output.stderr)?;
        let first = if verb == "extract" { "error: x-1.raw: the image is damaged near offset " } else { "" };
        ensure!(told.starts_with(first) && told.contains("offset "), "{verb}: {told}");
        ensure!(output.status.code() == Some(1), "{verb}: {}", output.status);
        ensure!(!desk.path("in/out").exists(), "{verb} has made the directory");
    }
    let output = run(name, &flipped, &["verify"])?;
    let told = String::from_utf8(output.stderr)?;
    ensure!(
        told == "error: x-1.raw is invalid:\n  the checksum of the superblock, at offset 1024, is wrong\n",
        "{told}"
    );
    ensure!(run(name, &whole, &["verify"])?.status.success(), "the whole image is refused");
    Ok(())
}

/// Nothing verifies the rest, and the kernel does not read it.
fn covers_less() -> Result<()> {
    let desk = Desk::new()?;
    let whole = image(&tree()?, "none")?;
    for covered in [whole.len(), whole.len() - 4096] {
        let seed = verity::Seed::of_first_block(&whole);
        let mut builder = verity::Builder::new(verity::Parameters::from_seed(&seed), None);
        builder.update(&whole[..covered]);
        let tree = builder.finish()?;
        let mut hashes = Vec::new();
        tree.write_to(&mut hashes)?;
        let new = |role, id, content: &[u8]| NewPartition {
            kind: PartitionType { architecture: Architecture::X86_64, designator: Designator::Root, role }
                .guid(),
            id: Guid(id),
            size: content.len() as u64,
            flags: 0,
            name: String::new(),
        };
        let root_hash = tree.root_hash();
        let partitions = vec![
            new(Role::Data, root_hash.first_half(), &whole),
            new(Role::Verity, root_hash.second_half(), &hashes),
        ];
        let layout = Layout::new(Sector::Bytes512, Guid([1; 16]), partitions)?;
        let mut disk = layout.head();
        disk.extend([&whole[..], &hashes].concat());
        disk.extend(layout.tail());
        fs::write(desk.path("x.raw"), disk)?;
        let output = Command::new(program("bakery")?).arg("verify").arg(desk.path("x.raw")).output()?;
        let told = String::from_utf8(output.stderr)?;
        let words = format!("covers {covered} of {} bytes of the file system", whole.len());
        ensure!(output.status.success() == (covered == whole.len()), "{}: {told}", output.status);
        ensure!(output.status.success() || told.contains(&words), "{told}");
    }
    Ok(())
}

/// `mksquashfs -nopad` writes such images: a loop device does not show the last bytes.
fn half_a_sector() -> Result<()> {
    let desk = Desk::new()?;
    let mut bytes = squashed(&tree()?, "zstd")?;
    let length = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into()?))?;
    ensure!(length % 512 != 0, "the image needs no padding");
    for (length, is_sound) in [(length.next_multiple_of(512), true), (length, false)] {
        bytes.truncate(length);
        fs::write(desk.path("x.raw"), &bytes)?;
        let output = Command::new(program("bakery")?).arg("verify").arg(desk.path("x.raw")).output()?;
        let told = String::from_utf8(output.stderr)?;
        ensure!(output.status.success() == is_sound, "{}: {told}", output.status);
        ensure!(is_sound || told.contains("does not end with a whole sector of 512 bytes"), "{told}");
    }
    Ok(())
}

fn full_disk() -> Result<()> {
    let desk = Desk::new()?;
    let mut tree = Tree::new();
    tree.insert_bytes("a", "whole", Metadata::new(0o644))?;
    tree.insert_bytes("b", Random::new(8).bytes(1 << 20), Metadata::new(0o644))?;
    fs::write(desk.path("x.raw"), image(&tree, "none")?)?;
    nix::mount::mount(
        Some("small"),
        &desk.path("in"),
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        Some("size=256k"),
    )?;
    let mut command = Command::new(program("bakery")?);
    let output = command.args(["extract", "x.raw", "in/out"]).current_dir(desk.directory.path()).output()?;
    let told = String::from_utf8(output.stderr)?;
    ensure!(
        told == "files extracted so far are left in in/out\n\
                 error: x.raw: cannot write in/out/b: No space left on device (os error 28)\n",
        "{told}"
    );
    let left: Vec<_> =
        fs::read_dir(desk.path("in/out"))?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(left == ["a"], "{left:?}");
    Ok(())
}
