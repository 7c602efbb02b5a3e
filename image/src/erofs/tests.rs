//! Tests that images are read back as written, and that damaged ones are errors.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::num::NonZero;

use super::*;
use crate::entry::{EntryKind, Layout};
use crate::probe::probe;
use crate::tree::{Content, Device, Kind, Metadata, Special, Tree};
use crate::{Codec, Filesystem, dump};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Codecs, each for its oldest kernel or for the given one.
const SETTINGS: [&str; 5] = ["none", "lz4", "lz4hc:3", "lz4hc:9@6.1", "zstd:3"];

fn options(setting: &str, timestamp: u64) -> Result<Options> {
    let (codec, kernel) = setting.split_once('@').unzip();
    let mut options = Options::new(codec.unwrap_or(setting).parse()?, timestamp);
    if let Some(kernel) = kernel {
        options.kernel = kernel.parse()?;
    }
    Ok(options)
}

/// A reproducible stream of numbers (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }

    /// Compresses to about a third.
    fn text(&mut self, length: usize) -> Vec<u8> {
        let words: Vec<Vec<u8>> = (0..300).map(|n| self.bytes(2 + n % 9)).collect();
        let mut text = Vec::new();
        while text.len() < length {
            text.extend_from_slice(&words[self.below(words.len())]);
        }
        text.truncate(length);
        text
    }
}

/// Sizes around those at which the layout of a file changes.
fn sizes() -> Vec<usize> {
    let around = |size: usize| [size - 1, size, size + 1];
    let edges = [32, 4064, 4096, 8192, 12_288, 65_536, 131_072, 262_144, 839_680].map(around);
    [vec![0, 1], edges.concat()].concat()
}

fn sample() -> Result<Tree> {
    let mut random = Random(7);
    let mut tree = Tree::new();
    let file = Metadata::new(0o644);
    for size in sizes() {
        tree.insert_bytes(format!("text/{size}"), random.text(size), file.clone())?;
        tree.insert_bytes(format!("random/{size}"), random.bytes(size), file.clone())?;
        tree.insert_bytes(format!("zero/{size}"), vec![0; size], file.clone())?;
    }
    // More than fits into one cluster.
    tree.insert_bytes("zero/many", vec![0; 2_300_000], file.clone())?;
    // Runs that compress and runs that do not, at odd offsets, over more than a segment.
    let mut mixed = Vec::new();
    while mixed.len() < 5_000_000 {
        let length = random.below(150_000) + 1;
        mixed.extend(if random.below(2) == 0 { random.bytes(length) } else { random.text(length) });
    }
    tree.insert_bytes("mixed", mixed, Metadata::new(0o4755).owner(70_000, 5))?;
    tree.insert_link("other-name", "mixed")?;
    tree.insert_link("text/third-name", "mixed")?;
    for number in 0..700 {
        tree.insert_bytes(
            format!("many/{number:03}{}", "x".repeat(number % 250)),
            vec![9; number],
            file.clone(),
        )?;
    }
    let capability = Metadata::new(0o755).xattr("security.capability", [1, 0, 0, 2]).xattr("user.a", "");
    tree.insert_bytes("attributes/some", "x", capability.clone())?;
    tree.insert_bytes("attributes/large", random.text(9000), capability.xattr("user.long", vec![3; 5000]))?;
    tree.insert_directory("attributes", Metadata::new(0o1777).xattr("trusted.overlay.opaque", "y"))?;
    for length in [1, 4000, 4064, 4065, 4095] {
        tree.insert_symlink(format!("links/{length}"), "t".repeat(length), Metadata::new(0o777))?;
    }
    let device = Device { major: 259, minor: 70_000 };
    for (name, special) in
        [("char", Special::Character(device)), ("block", Special::Block(device)), ("fifo", Special::Fifo)]
    {
        tree.insert_special(format!("special/{name}"), special, Metadata::new(0o660).owner(0, 6))?;
    }
    tree.insert_bytes(vec!["d".repeat(255); 12].join("/") + "/deep", "deep", file)?;
    Ok(tree)
}

fn image(tree: &Tree, codec: &str) -> Result<Vec<u8>> {
    let mut image = Vec::new();
    let written = write(tree, &options(codec, 1_700_000_000)?, &mut image)?;
    assert_eq!(written.size, image.len() as u64);
    assert_eq!(written.size % 4096, 0);
    Ok(image)
}

#[test]
fn written_images_are_read_back() -> Result {
    let tree = sample()?;
    for codec in SETTINGS {
        let image = image(&tree, codec)?;
        let reader = Reader::open(Cursor::new(&image))?;
        let found = reader.entries()?;
        let expected: Vec<_> = tree.entries().collect();
        assert_eq!(found.len(), expected.len());
        let mut names = BTreeMap::new();
        expected.iter().for_each(|entry| *names.entry(entry.id).or_insert(0) += 1);
        for (found, expected) in found.iter().zip(&expected) {
            let path = expected.path.display();
            assert_eq!(found.path, expected.path);
            let metadata = &expected.node.metadata;
            assert_eq!(
                (found.mode, found.uid, found.gid),
                (metadata.mode, metadata.uid, metadata.gid),
                "{path}"
            );
            assert_eq!(found.mtime, 1_700_000_000, "{path}");
            let xattrs =
                metadata.xattrs.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone()));
            assert_eq!(found.xattrs, xattrs.collect(), "{path}");
            match &expected.node.kind {
                Kind::Directory(entries) => {
                    assert_eq!(found.kind, EntryKind::Directory);
                    let is_directory = |id| matches!(tree.node(id).kind, Kind::Directory(_));
                    let directories = entries.values().filter(|id| is_directory(**id)).count();
                    assert_eq!(found.links as usize, directories + 2, "{path}");
                }
                Kind::Symlink(target) => {
                    assert_eq!(found.kind, EntryKind::Symlink(target.clone()));
                    assert_eq!(found.size, target.len() as u64);
                }
                Kind::File(Content::Bytes(bytes)) => {
                    let mut content = Vec::new();
                    reader.file(found)?.read_to_end(&mut content)?;
                    assert!(content == bytes[..], "{codec}: /{path} differs");
                    assert_eq!(
                        (found.links, found.size),
                        (names[&expected.id], bytes.len() as u64),
                        "{path}"
                    );
                }
                Kind::Special(special) => assert_eq!(found.kind, EntryKind::Special(*special)),
                Kind::File(_) => panic!("the sample has no such file"),
            }
        }
    }
    Ok(())
}

#[test]
fn files_use_the_smallest_layout() -> Result {
    let tree = sample()?;
    let layouts = |codec| -> Result<_> {
        let image = image(&tree, codec)?;
        let entries = Reader::open(Cursor::new(image))?.entries()?;
        Ok(move |path: &str| {
            entries.iter().find(|entry| entry.path.as_os_str() == path).map(|entry| entry.layout).unwrap()
        })
    };
    for codec in SETTINGS {
        let of = layouts(codec)?;
        let compressed = if codec == "none" { Layout::Plain } else { Layout::Compressed };
        assert_eq!(of("text/131072"), compressed, "{codec}");
        assert_eq!(of("zero/8192"), compressed, "{codec}");
        if codec.contains('@') || codec.starts_with("zstd") {
            for path in ["text/4064", "text/4097", "random/4097", "random/65536", "text/839681"] {
                assert_eq!(of(path), Layout::Compressed, "{codec}: {path}");
            }
            for (path, layout) in [
                ("text/0", Layout::Plain),
                ("text/1", Layout::Inline),
                ("text/32", Layout::Inline),
                ("random/839681", Layout::Inline),
                ("many", Layout::Inline),
            ] {
                assert_eq!(of(path), layout, "{codec}: {path}");
            }
            continue;
        }
        for (path, layout) in [
            ("text/0", Layout::Plain),
            ("text/1", Layout::Inline),
            ("text/4064", Layout::Inline),
            ("text/4065", Layout::Plain),
            ("text/4096", Layout::Plain),
            ("random/4097", Layout::Inline),
            ("random/839681", Layout::Inline),
            ("random/65536", Layout::Plain),
            ("many", Layout::Inline),
            ("links/4064", Layout::Inline),
            ("links/4065", Layout::Plain),
        ] {
            assert_eq!(of(path), layout, "{codec}: {path}");
        }
    }
    Ok(())
}

#[test]
fn tails_in_the_packed_inode_save_space() -> Result {
    const FILES: usize = 32;
    let mut random = Random(11);
    let mut tree = Tree::new();
    for number in 0..FILES {
        // Too large to be completely in the packed inode.
        let length = 270_000 + random.below(200_000);
        tree.insert_bytes(format!("{number}"), random.text(length), Metadata::new(0o644))?;
    }
    for codec in ["lz4", "lz4hc:3"] {
        let [without, with] = ["6.0", "6.1"].map(|kernel| image(&tree, &format!("{codec}@{kernel}")));
        let (without, with) = (without?.len(), with?.len());
        // Half a block per file, less a second index for the tails.
        let saved = without.saturating_sub(with);
        assert!(saved > FILES * 256, "{codec}: {without} bytes without, {with} with");
    }
    Ok(())
}

#[test]
fn threads_do_not_change_the_image() -> Result {
    let tree = sample()?;
    for codec in ["lz4hc", "lz4hc@6.1", "zstd:9"] {
        let mut options = options(codec, 1)?;
        let mut digests = Vec::new();
        for threads in [1, 2, 4] {
            options.threads = NonZero::new(threads);
            digests.push(write(&tree, &options, io::sink())?);
        }
        assert!(digests.iter().all(|written| *written == digests[0]), "{codec}: {digests:?}");
    }
    Ok(())
}

#[test]
fn an_unused_codec_affects_only_the_uuid() -> Result {
    let mut tree = Tree::new();
    tree.insert_bytes("a", Random(5).bytes(300_000), Metadata::new(0o644))?;
    let features = |codec| -> Result<_> {
        let superblock = superblock(&image(&tree, codec)?).unwrap();
        Ok((superblock.features, superblock.size))
    };
    assert_eq!(features("zstd")?, (0, features("none")?.1));
    Ok(())
}

#[test]
fn one_file_and_one_directory_of_an_image_are_read_within_limits() -> Result {
    let mut tree = Tree::new();
    let metadata = Metadata::new(0o644).xattr("user.extension-release.strict", "0");
    tree.insert_bytes("usr/lib/release", vec![b'x'; 10_000], metadata)?;
    let reader = Reader::open(Cursor::new(image(&tree, "lz4hc")?))?;
    assert_eq!(reader.read("usr/lib/release", 10_000)?, Some(vec![b'x'; 10_000]));
    assert_eq!(reader.read("usr/lib/missing", 10_000)?, None);
    assert!(matches!(reader.read("usr/lib/release", 9_999), Err(ReadError::TooLong { size: 10_000, .. })));
    assert!(reader.read("usr/lib", 9_999).is_err());
    assert_eq!(reader.list("usr/lib")?, Some(vec!["release".into()]));
    assert_eq!(reader.list("usr/share")?, None);
    let strict = [(b"user.extension-release.strict".to_vec(), b"0".to_vec())];
    assert_eq!(reader.xattrs("usr/lib/release")?, Some(strict.into()));
    assert_eq!(reader.xattrs("usr/lib")?, Some(BTreeMap::new()));
    assert_eq!(reader.xattrs("usr/share")?, None);
    Ok(())
}

#[test]
fn a_dump_has_a_line_for_each_name() -> Result {
    let mut tree = Tree::new();
    let metadata = Metadata::new(0o4755).owner(1, 2).xattr("user.x", [0xab]);
    tree.insert_bytes("a b\\", "hello", metadata)?;
    tree.insert_symlink("l", "a b\\", Metadata::new(0o777))?;
    let mut text = Vec::new();
    dump(&Filesystem::open(Cursor::new(image(&tree, "none")?))?, &mut text)?;
    let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(
        String::from_utf8(text)?,
        format!(
            "/ dir 0755 0:0 2 56 inline 1700000000 -\n\
             /a\\x20b\\\\ file 4755 1:2 1 5 inline 1700000000 {hello} user.x=ab\n\
             /l link 0777 0:0 1 4 inline 1700000000 a\\x20b\\\\\n"
        )
    );
    Ok(())
}

#[test]
fn errors_name_the_file_and_the_output() -> Result {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("library.so");
    fs::write(&path, vec![1; 100_000])?;
    let mut tree = Tree::new();
    tree.insert_file("usr/lib/library.so", &path, Metadata::new(0o644))?;
    fs::write(&path, "shorter")?;
    for codec in SETTINGS {
        let error = write(&tree, &options(codec, 0)?, io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "cannot add /usr/lib/library.so to the image");
        let source = error.source().unwrap().to_string();
        assert!(source.ends_with("it had 100000 bytes, now 7"), "{source}");
        assert!(error.hint().is_some());
    }
    let mut full = Options::new(Codec::None, 0);
    let error = write(&sample()?, &full, FullDisk(4096)).unwrap_err();
    assert!(matches!(error, WriteError::Output { offset: 4096, .. }), "{error:?}");
    full.codec = Codec::default();
    full.scratch = Some(directory.path().join("missing"));
    assert!(matches!(write(&Tree::new(), &full, io::sink()), Err(WriteError::Spool(_))));
    full.codec = Codec::Zstd { level: 0 };
    assert!(matches!(write(&Tree::new(), &full, io::sink()), Err(WriteError::Codec(_))));
    Ok(())
}

/// Accepts this many bytes.
struct FullDisk(usize);

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A small image with every kind of file, to be damaged.
fn victim(codec: &str) -> Result<Vec<u8>> {
    let mut random = Random(11);
    let mut tree = Tree::new();
    tree.insert_bytes("text", random.text(30_000), Metadata::new(0o644).xattr("user.a", "b"))?;
    tree.insert_bytes("zeros", vec![0; 70_000], Metadata::new(0o644))?;
    tree.insert_bytes("usr/tail", random.bytes(5000), Metadata::new(0o755).owner(1, 1 << 20))?;
    tree.insert_symlink("usr/link", "tail", Metadata::new(0o777))?;
    for number in 0..30 {
        tree.insert_bytes(format!("many/{number}{}", "n".repeat(150)), "", Metadata::new(0o600))?;
    }
    image(&tree, codec)
}

/// Reads everything in an image, up to a limit, and counts the reads.
fn exercise(image: &[u8]) -> u64 {
    let mut counting = Counting { inner: Cursor::new(image), reads: 0 };
    drop(probe(&mut counting));
    let mut reads = counting.reads;
    assert!(reads <= 10, "{reads} reads to probe");
    let counter = std::sync::atomic::AtomicU64::new(0);
    if let Ok(reader) = Reader::open(Shared { inner: Cursor::new(image), reads: &counter }) {
        for entry in reader.entries().unwrap_or_default() {
            if let Ok(file) = reader.file(&entry) {
                drop(file.take(1 << 20).read_to_end(&mut Vec::new()));
            }
        }
        drop(reader.read("usr/tail", 1 << 16));
        drop(reader.list("many"));
    }
    reads += counter.into_inner();
    reads
}

struct Counting<R> {
    inner: R,
    reads: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        self.inner.read(buffer)
    }
}

impl<R: Seek> Seek for Counting<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

struct Shared<'a, R> {
    inner: R,
    reads: &'a std::sync::atomic::AtomicU64,
}

impl<R: Read> Read for Shared<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.inner.read(buffer)
    }
}

impl<R: Seek> Seek for Shared<'_, R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

/// More reads than any damaged image of this size may take: it has few files, and each is short or read up to
/// 1 MiB.
const MOST_READS: u64 = 200_000;

#[test]
fn a_truncated_image_is_an_error_at_worst() -> Result {
    for codec in SETTINGS {
        let image = victim(codec)?;
        for length in (0..image.len()).step_by(512) {
            let cut = &image[..length];
            assert!(exercise(cut) < MOST_READS, "{codec}: cut at {length}");
            if let Ok(superblock) = superblock(cut) {
                assert!(superblock.size > length as u64);
                assert_eq!(superblock.checksum == Checksum::Valid, length >= 4096);
            }
        }
    }
    Ok(())
}

#[test]
fn flipped_bits_are_an_error_at_worst() -> Result {
    let mut random = Random(13);
    for codec in SETTINGS {
        let image = victim(codec)?;
        for round in 0..600 {
            let mut damaged = image.clone();
            // Mostly in the superblock and the metadata.
            let end = if round % 3 == 0 { image.len() } else { 12_288 };
            for _ in 0..=random.below(4) {
                let position = 1024 + random.below(end - 1024);
                damaged[position] ^= 1 << random.below(8);
            }
            assert!(exercise(&damaged) < MOST_READS, "{codec}: round {round}");
        }
    }
    Ok(())
}

/// Reads the superblock of an image in memory, which cannot fail to be read.
fn superblock(image: &[u8]) -> std::result::Result<Superblock, &'static str> {
    Superblock::read(&mut Cursor::new(image)).map_err(|error| match error {
        SuperblockError::Invalid { defect, .. } => defect,
        SuperblockError::Read { source, .. } => panic!("{source}"),
    })
}

#[test]
fn a_flipped_bit_in_the_superblock_is_detected() -> Result {
    let image = victim("lz4hc")?;
    let valid = superblock(&image).unwrap();
    assert_eq!((valid.block_size, valid.size, valid.timestamp), (4096, image.len() as u64, 1_700_000_000));
    assert_eq!((valid.checksum, valid.features), (Checksum::Valid, 3));
    assert_eq!(valid.uuid[6] >> 4, 8);
    let mut invalid = 0;
    for bit in 1024 * 8..(1024 + 128) * 8 {
        let mut damaged = image.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = superblock(&damaged);
        match bit / 8 - 1024 {
            0..4 => assert_eq!(found, Err("its magic number is wrong"), "bit {bit}"),
            // Without its bit in the features the checksum is not read.
            8 if bit % 8 == 0 => assert_eq!(found.unwrap().checksum, Checksum::Absent),
            12 if found.is_err() => invalid += 1,
            _ => assert_eq!(found.unwrap().checksum, Checksum::Wrong, "bit {bit}"),
        }
    }
    assert_eq!(invalid, 6);
    Ok(())
}
