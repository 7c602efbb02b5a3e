//! Tests that images are read back as written, and errors of the writer.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::num::NonZero;

use super::*;
use crate::codec::CodecError;
use crate::entry::{EntryKind, Layout};
use crate::format::Format;
use crate::probe::{ImageKind, probe};
use crate::tree::{Content, Kind};

/// Sizes around those at which the layout of a file changes.
fn sizes() -> Vec<usize> {
    let around = |size: usize| [size - 1, size, size + 1];
    let edges = [4096, 8192, 65_536, 131_072, 262_144, 1 << 20].map(around);
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
    let mut mixed = Vec::new();
    while mixed.len() < 3_000_000 {
        let length = random.below(150_000) + 1;
        mixed.extend(if random.below(2) == 0 { random.bytes(length) } else { vec![0; 3 * length] });
    }
    tree.insert_bytes("mixed", mixed, Metadata::new(0o4755).owner(70_000, 5))?;
    tree.insert_link("other-name", "mixed")?;
    tree.insert_link("text/third-name", "mixed")?;
    for number in 0..2000 {
        let name = format!("many/{number:04}{}", "x".repeat(number % 250));
        tree.insert_bytes(name, vec![9; number % 40], file.clone())?;
    }
    tree.insert_directory("many", Metadata::new(0o700).xattr("user.a", "on a large directory"))?;
    let capability = Metadata::new(0o755).xattr("security.capability", [1, 0, 0, 2]).xattr("user.a", "");
    tree.insert_bytes("attributes/some", "x", capability.clone())?;
    tree.insert_bytes("attributes/same", "y", capability.clone())?;
    tree.insert_bytes("attributes/large", random.text(9000), capability.xattr("user.long", vec![3; 65_536]))?;
    tree.insert_directory("attributes", Metadata::new(0o1777).xattr("trusted.overlay.opaque", "y"))?;
    tree.insert_directory("empty", file.clone())?;
    for length in [1, 4000, 4095] {
        let link = Metadata::new(0o777).xattr("security.selinux", vec![b'l'; length % 300]);
        tree.insert_symlink(format!("links/{length}"), "t".repeat(length), link)?;
    }
    let device = Device { major: 259, minor: 70_000 };
    for (name, special) in
        [("char", Special::Character(device)), ("block", Special::Block(device)), ("fifo", Special::Fifo)]
    {
        let metadata = Metadata::new(0o660).owner(0, 6);
        tree.insert_special(format!("special/{name}"), special, metadata.clone())?;
        tree.insert_special(format!("special/{name}-2"), special, metadata.xattr("user.a", name))?;
        tree.insert_link(format!("special/{name}-link"), format!("special/{name}"))?;
    }
    tree.insert_bytes(vec!["d".repeat(255); 12].join("/") + "/deep", "deep", file)?;
    Ok(tree)
}

#[test]
fn written_images_are_read_back() -> Result {
    let tree = sample()?;
    for codec in CODECS {
        is_read_back(&tree, codec, 128 << 10)?;
    }
    for block_size in [4 << 10, 1 << 20] {
        is_read_back(&tree, "zstd:1", block_size)?;
    }
    Ok(())
}

fn is_read_back(tree: &Tree, codec: &str, block_size: u32) -> Result {
    let image = image_of_blocks(tree, codec, block_size)?;
    assert_eq!(probe(&mut Cursor::new(&image))?, ImageKind::Filesystem(Format::Squashfs));
    let reader = open(&image)?;
    let found = reader.entries()?;
    let expected: Vec<_> = tree.entries().collect();
    assert_eq!(found.len(), expected.len());
    let mut names = BTreeMap::new();
    expected.iter().for_each(|entry| *names.entry(entry.id).or_insert(0) += 1);
    let mut inodes = BTreeMap::new();
    for (found, expected) in found.iter().zip(&expected) {
        let path = format!("{codec} {block_size}: /{}", expected.path.display());
        assert_eq!(found.path, expected.path);
        let metadata = &expected.node.metadata;
        assert_eq!((found.mode, found.uid, found.gid), (metadata.mode, metadata.uid, metadata.gid), "{path}");
        assert_eq!(found.mtime, 1_700_000_000, "{path}");
        let xattrs = metadata.xattrs.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone()));
        assert_eq!(found.xattrs, xattrs.collect(), "{path}");
        assert_eq!(*inodes.entry(expected.id).or_insert(found.inode), found.inode, "{path}");
        match &expected.node.kind {
            Kind::Directory(entries) => {
                assert_eq!(found.kind, EntryKind::Directory);
                let is_directory = |id| matches!(tree.node(id).kind, Kind::Directory(_));
                let directories = entries.values().filter(|id| is_directory(**id)).count();
                assert_eq!(found.links as usize, directories + 2, "{path}");
                assert_eq!(reader.list(&expected.path)?.unwrap().len(), entries.len());
                continue;
            }
            Kind::Symlink(target) => {
                assert_eq!(found.kind, EntryKind::Symlink(target.clone()));
                assert_eq!(found.size, target.len() as u64);
            }
            Kind::File(Content::Bytes(bytes)) => {
                let mut content = Vec::new();
                reader.file(found)?.read_to_end(&mut content)?;
                assert!(content == bytes[..], "{path} differs");
                assert_eq!(found.size, bytes.len() as u64, "{path}");
            }
            Kind::Special(special) => assert_eq!(found.kind, EntryKind::Special(*special)),
            Kind::File(_) => panic!("the sample has no such file"),
        }
        assert_eq!(found.links, names[&expected.id], "{path}");
    }
    assert_eq!(inodes.len(), inodes.values().collect::<std::collections::BTreeSet<_>>().len());
    Ok(())
}

#[test]
fn equal_content_is_stored_once_and_zeros_not_at_all() -> Result {
    let mut random = Random(3);
    let size = |files: &[(&str, &[u8])]| -> Result<usize> {
        let mut tree = Tree::new();
        for (path, content) in files {
            tree.insert_bytes(path, *content, Metadata::new(0o644))?;
        }
        Ok(image(&tree, "none")?.len())
    };
    let (large, small, other) = (random.bytes(300_000), random.bytes(50_000), random.bytes(262_144));
    let other = [&other[..], &large[262_144..]].concat();
    let alone = size(&[("a", &large), ("s", &small)])?;
    assert!(alone > 350_000);
    assert!(size(&[("a", &large), ("b", &large), ("s", &small), ("t", &small)])? <= alone + 4096);
    // Only the tails are equal.
    assert!(size(&[("a", &large), ("b", &other), ("s", &small)])? <= alone + 262_144 + 4096);
    assert!(size(&[("zeros", &vec![0; 10_000_000])])? < 60_000);
    Ok(())
}

#[test]
fn small_files_share_fragments() -> Result {
    let tree = sample()?;
    let image = image(&tree, "zstd")?;
    let entries = open(&image)?.entries()?;
    for (path, layout) in [
        ("text/0", Layout::Plain),
        ("text/1", Layout::Fragment),
        ("text/131071", Layout::Fragment),
        ("text/131072", Layout::Blocks),
        ("text/131073", Layout::Blocks),
        ("links/4000", Layout::Plain),
        ("many", Layout::Plain),
    ] {
        let entry = entries.iter().find(|entry| entry.path.as_os_str() == path).unwrap();
        assert_eq!(entry.layout, layout, "{path}");
    }
    Ok(())
}

#[test]
fn threads_do_not_change_the_image() -> Result {
    let tree = sample()?;
    for codec in ["gzip:1", "zstd:3"] {
        let mut options = Options::new(codec.parse()?, 1);
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
fn one_file_and_one_directory_of_an_image_are_read_within_limits() -> Result {
    let mut tree = Tree::new();
    let metadata = Metadata::new(0o644).xattr("user.extension-release.strict", "0");
    tree.insert_bytes("usr/lib/release", vec![b'x'; 10_000], metadata)?;
    let image = image(&tree, "gzip")?;
    let reader = open(&image)?;
    assert_eq!(reader.read("usr/lib/release", 10_000)?, Some(vec![b'x'; 10_000]));
    assert_eq!(reader.read("./usr/lib/release", 10_000)?, Some(vec![b'x'; 10_000]));
    assert_eq!(reader.read("usr/lib/missing", 10_000)?, None);
    assert_eq!(reader.read("usr/lib/release/below", 10_000)?, None);
    assert_eq!(reader.read("usr/../usr/lib/release", 10_000)?, None);
    assert!(matches!(reader.read("usr/lib/release", 9_999), Err(ReadError::TooLong { size: 10_000, .. })));
    assert!(matches!(reader.read("usr/lib", 9_999), Err(ReadError::NotAFile { .. })));
    assert_eq!(reader.list("usr/lib")?, Some(vec!["release".into()]));
    assert_eq!(reader.list("usr/share")?, None);
    assert!(matches!(reader.list("usr/lib/release"), Err(ReadError::NotADirectory { .. })));
    let strict = [(b"user.extension-release.strict".to_vec(), b"0".to_vec())];
    assert_eq!(reader.xattrs("usr/lib/release")?, Some(strict.into()));
    assert_eq!(reader.xattrs("usr/lib")?, Some(BTreeMap::new()));
    assert_eq!(reader.xattrs("usr/share")?, None);
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
    let error = write(&tree, &Options::new(Codec::default(), 0), io::sink()).unwrap_err();
    assert_eq!(error.to_string(), "cannot add /usr/lib/library.so to the image");
    let source = error.source().unwrap().to_string();
    assert!(source.ends_with("it had 100000 bytes, now 7"), "{source}");
    assert!(error.hint().is_some());

    let with = |change: fn(&mut Options)| {
        let mut options = Options::new(Codec::None, 0);
        change(&mut options);
        write(&Tree::new(), &options, io::sink()).unwrap_err()
    };
    assert!(matches!(with(|o| o.scratch = Some("/missing".into())), WriteError::Spool(_)));
    assert!(matches!(
        with(|o| o.codec = Codec::Zstd { level: 0 }),
        WriteError::Codec(CodecError::Level { .. })
    ));
    for size in [0, 2048, 5000, 2 << 20] {
        let mut options = Options::new(Codec::None, 0);
        options.block_size = size;
        assert!(matches!(write(&Tree::new(), &options, io::sink()), Err(WriteError::BlockSize { .. })));
    }
    assert!(matches!(with(|o| o.timestamp = 1 << 32), WriteError::Timestamp { .. }));
    let error = write(&Tree::new(), &Options::new(Codec::None, 0), FullDisk(96)).unwrap_err();
    assert!(matches!(error, WriteError::Output { offset: 96, .. }), "{error:?}");
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
