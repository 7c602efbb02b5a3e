//! Tests images of all formats through `Filesystem`.

use std::io::Cursor;

use super::*;
use crate::entry::Layout;
use crate::kernel::Kernel;
use crate::tree::{Metadata, Special, Tree};

fn tree() -> Tree {
    let mut tree = Tree::new();
    let file = Metadata::new(0o644);
    tree.insert_bytes("usr/a.b", "after usr/a", file.clone()).unwrap();
    tree.insert_bytes("usr/a/file", "text ".repeat(5000), file.clone()).unwrap();
    tree.insert_link("usr/name", "usr/a.b").unwrap();
    tree.insert_symlink("usr/link", "a/file", Metadata::new(0o777)).unwrap();
    tree.insert_special("usr/pipe", Special::Fifo, file).unwrap();
    tree
}

fn image(codec: &str) -> Vec<u8> {
    let mut image = Vec::new();
    let options = erofs::Options::new(codec.parse().unwrap(), 1_700_000_000);
    erofs::write(&tree(), &options, &mut image).unwrap();
    image
}

fn squashed(codec: &str) -> Vec<u8> {
    let mut image = Vec::new();
    let options = squashfs::Options::new(codec.parse().unwrap(), 1_700_000_000);
    squashfs::write(&tree(), &options, &mut image).unwrap();
    image
}

fn opened(image: Vec<u8>) -> Result<Filesystem<Cursor<Vec<u8>>>, FilesystemError> {
    Filesystem::open(Cursor::new(image))
}

#[test]
fn facts_report_what_an_image_requires() {
    for (codec, algorithms, features, kernel) in [
        ("none", &[][..], &[][..], "5.15"),
        ("lz4hc", &["lz4"], &["lz4-0padding", "big-pcluster"], "5.15"),
        ("zstd", &["zstd"], &["lz4-0padding", "big-pcluster"], "6.10"),
    ] {
        let image = opened(image(codec)).unwrap();
        let facts = image.facts();
        assert_eq!(facts.algorithms, algorithms, "{codec}");
        let names: Vec<_> = facts.features.iter().map(|feature| feature.name).collect();
        assert_eq!(names, features, "{codec}");
        assert_eq!(facts.kernel, Some(kernel.parse().unwrap()), "{codec}");
        assert_eq!((facts.size, facts.block_size), (image.length(), 4096));
        assert_eq!((facts.inodes, facts.timestamp, facts.checksum), (7, 1_700_000_000, Checksum::Valid));
    }
    for (codec, algorithm) in [("none", "gzip"), ("lz4hc", "lz4"), ("xz", "xz"), ("zstd", "zstd")] {
        let image = opened(squashed(codec)).unwrap();
        let facts = image.facts();
        assert_eq!((facts.format, &facts.algorithms[..]), (Format::Squashfs, &[algorithm][..]), "{codec}");
        assert_eq!((facts.kernel, facts.block_size), (Some(Kernel::DEFAULT), 128 << 10));
        assert_eq!((facts.inodes, facts.timestamp), (7, 1_700_000_000));
    }
    // With an unknown feature, no kernel can be named
    let mut future = image("none");
    future[1024 + 80 + 2] = 0x80;
    let facts = facts::erofs(&mut Section::new(Cursor::new(future), 0, u64::MAX)).unwrap();
    assert_eq!((facts.kernel, facts.features), (None, vec![Feature { name: "unknown", since: None }]));
    assert_eq!(Kernel::DEFAULT.to_string(), "5.15");
}

#[test]
fn entries_come_in_the_order_of_a_tree_and_content_in_pieces() {
    let tree = tree();
    let erofs = ["none", "lz4hc", "zstd"].map(|codec| (codec, image(codec)));
    let squashfs = ["none", "gzip", "lz4", "lz4hc", "xz", "zstd"].map(|codec| (codec, squashed(codec)));
    for (codec, image) in erofs.into_iter().chain(squashfs) {
        let image = opened(image).unwrap();
        let entries = image.entries().unwrap();
        let expected: Vec<_> = tree.entries().map(|entry| entry.path).collect();
        assert_eq!(entries.iter().map(|entry| entry.path.clone()).collect::<Vec<_>>(), expected);
        let file = entries.iter().find(|entry| entry.path.ends_with("file")).unwrap();
        let mut content = Vec::new();
        let copy = image.content(file, |bytes| {
            content.extend_from_slice(bytes);
            Ok::<_, FilesystemError>(())
        });
        copy.unwrap();
        assert_eq!(content, "text ".repeat(5000).into_bytes(), "{codec}");
        assert_eq!(image.read("usr/a.b", 100).unwrap().unwrap(), b"after usr/a");
        assert_eq!(image.list("usr/a").unwrap().unwrap(), ["file"]);
        assert!(image.xattrs("nothing").unwrap().is_none());
    }
}

#[test]
fn errors_in_a_section_name_offsets_of_the_file() {
    let image = image("none");
    let length = image.len() as u64;
    let mut disk = vec![7; 10_000];
    disk.extend_from_slice(&image);
    disk.extend_from_slice(&[7; 10_000]);
    let inside = Filesystem::open_section(Section::new(Cursor::new(disk.clone()), 10_000, length)).unwrap();
    assert_eq!(inside.entries().unwrap().len(), 8);
    let facts = inside.facts();
    let root = facts.first_inode.unwrap() + inside.entries().unwrap()[0].inode * 32;
    disk[10_000 + usize::try_from(root).unwrap()..][..64].fill(0xff);
    let inside = Filesystem::open_section(Section::new(Cursor::new(disk), 10_000, length)).unwrap();
    let error = inside.entries().unwrap_err();
    assert!(error.to_string().starts_with("the image is damaged near offset 1"), "{error}");
}

#[test]
fn other_files_are_rejected() {
    assert!(matches!(opened(vec![0; 5000]), Err(FilesystemError::Unknown)));
    let mut disk = vec![0; 5000];
    disk[512..520].copy_from_slice(b"EFI PART");
    assert!(matches!(opened(disk), Err(FilesystemError::Disk)));
    let mut short = image("none");
    let whole = short.len() as u64;
    short.truncate(short.len() - 1);
    let found = short.len() as u64;
    match opened(short) {
        Err(FilesystemError::Incomplete { expected, found: length }) => {
            assert_eq!((expected, length), (whole, found));
        }
        other => panic!("{other:?}"),
    }
}

fn entry(path: &str, kind: EntryKind, inode: u64, size: u64) -> Entry {
    let layout = Layout::Plain;
    let (mode, uid, gid, links, mtime, xattrs) = (0o644, 0, 0, 1, 0, Xattrs::new());
    Entry { path: path.into(), kind, mode, uid, gid, links, size, mtime, inode, layout, xattrs }
}

#[test]
fn names_that_escape_and_directories_with_two_names_are_rejected() {
    let names = |entries: &[Entry]| check_names(entries).map_err(|error| error.to_string());
    let directory = |path, inode| entry(path, EntryKind::Directory, inode, 0);
    assert_eq!(names(&[directory("", 1), directory("a", 2), directory("b", 3)]), Ok(()));
    assert_eq!(
        names(&[directory("", 1), directory("a", 2), directory("a/b", 2)]).unwrap_err(),
        "the image is invalid: /a/b: the directory has more than one name"
    );
    for path in ["..", "a/../b", "/etc", "a//b", "a/./b"] {
        let error = names(&[entry(path, EntryKind::File, 2, 0)]).unwrap_err();
        assert!(error.starts_with("the image is invalid: /"), "{error}");
    }
}

#[test]
fn claimed_sizes_are_bounded_by_the_image() {
    let limits = Limits::of_image(4096);
    assert_eq!(limits, Limits { content: 1 << 30 });
    assert_eq!(Limits::of_image(1 << 30), Limits { content: 1 << 36 });
    let files = [(2, 1 << 29), (2, 1 << 29), (3, 1 << 29)];
    let mut entries: Vec<Entry> =
        files.iter().map(|(inode, size)| entry("a", EntryKind::File, *inode, *size)).collect();
    assert_eq!(limits.check(&entries).unwrap(), 1 << 30);
    entries.push(entry("b", EntryKind::File, 4, u64::MAX));
    let error = limits.check(&entries).unwrap_err();
    assert!(error.to_string().ends_with("bytes in total, more than the limit of 1073741824"), "{error}");
    assert!(error.hint().unwrap().contains("--max-content"));
}

#[test]
fn unsupported_images_are_named_and_not_reported_as_damaged() {
    let hint = |error: &FilesystemError| error.hint().unwrap();
    for (codec, at, value, words) in [
        ("none", 1024 + 80, 0x8, ""), // valid without other devices
        ("none", 1024 + 80, 0x200, "the erofs image has unknown features,"),
        ("squashfs", 20, 3, "the squashfs image is compressed with lzo, which this program cannot read"),
        ("squashfs", 20, 2, "the squashfs image is compressed with lzma, which this program cannot read"),
    ] {
        let mut image = if codec == "squashfs" { squashed("gzip") } else { image(codec) };
        let old = u16::from_le_bytes([image[at], image[at + 1]]);
        let new: u16 = if codec == "squashfs" { value } else { old | value };
        image[at..at + 2].copy_from_slice(&new.to_le_bytes());
        match opened(image) {
            Ok(_) => assert_eq!(words, ""),
            Err(error) => {
                assert!(!words.is_empty() && error.to_string().starts_with(words), "{error}");
                assert!(hint(&error).starts_with("mount it or use "), "{error}");
            }
        }
    }
    let mut devices = image("none");
    devices[1024 + 80] |= 0x8;
    devices[1024 + 86] = 2;
    let error = opened(devices).unwrap_err();
    let words = "the erofs image has content on other devices (2), which this program cannot read";
    assert_eq!(error.to_string(), words);

    // The pipe becomes a socket by the mode in its inode
    let mut sockets = image("none");
    let mode = |kind: u16| (kind | 0o644).to_le_bytes();
    let at = sockets.windows(2).position(|bytes| bytes == mode(0o010_000)).unwrap();
    sockets[at..at + 2].copy_from_slice(&mode(0o140_000));
    let error = opened(sockets).unwrap().entries().unwrap_err();
    let words = "the erofs image contains a socket, /usr/pipe, which this program cannot read";
    assert_eq!(error.to_string(), words);

    // With MicroLZMA instead of zstd, names can be read, but content cannot
    let mut microlzma = image("zstd");
    microlzma[1024 + 84] = 0b010;
    let image = opened(microlzma).unwrap();
    let entries = image.entries().unwrap();
    let entry = entries.iter().find(|entry| entry.layout == Layout::Compressed).unwrap();
    let error = image.content(entry, |_| Ok::<_, FilesystemError>(())).unwrap_err();
    let message = "/usr/a/file in the image is compressed with microlzma, which this program cannot read";
    assert_eq!(error.to_string(), message);
    assert_eq!(hint(&error), "mount it or use fsck.erofs --extract");
}

/// No writer here uses DEFLATE in erofs.
#[test]
fn erofs_with_deflate_is_read() {
    let image = include_bytes!("../../fixtures/deflate.erofs");
    let intact = opened(image.to_vec()).unwrap();
    assert_eq!(
        (&intact.facts().algorithms[..], intact.facts().kernel),
        (&["deflate"][..], Some((6, 6).into()))
    );
    let entries = intact.entries().unwrap();
    let entry = entries.iter().find(|entry| entry.layout == Layout::Compressed).unwrap();
    let read = |image: &Filesystem<Cursor<Vec<u8>>>| {
        let mut content = Vec::new();
        image.content(entry, |bytes| {
            content.extend_from_slice(bytes);
            Ok::<_, FilesystemError>(())
        })?;
        Ok::<_, FilesystemError>(content)
    };
    let lines: String = (0..40_000).map(|number| format!("{}\n", number % 1000)).collect();
    assert!(read(&intact).unwrap() == lines.as_bytes());

    // The last block is the file's data
    let mut damaged = image.to_vec();
    let data = damaged.len() - 2000;
    damaged[data..].fill(0x55);
    assert!(read(&opened(damaged).unwrap()).is_err());
}
