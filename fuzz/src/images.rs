//! Filesystem images that someone else made.

use std::io::{self, Cursor, Read as _, Write as _};

use flate2::write::GzEncoder;
use liblzma::write::XzEncoder;
use sysext_image::entry::EntryKind;
use sysext_image::erofs::{Options, Reader, write};
use sysext_image::probe::probe;
use sysext_image::tree::{Metadata, Rules, Special};
use sysext_image::{Codec, Filesystem, Tree, squashfs};

use crate::{Memory, Target};

pub(crate) static TARGETS: &[Target] = &[
    Target { name: "probe", run: probes, seeds: images, memory: Memory { constant: 128 << 10, factor: 4 } },
    Target { name: "erofs", run: erofs, seeds: images, memory: EROFS },
    Target { name: "squashfs", run: squashfs, seeds: squashfs_images, memory: SQUASHFS },
    Target { name: "filesystem", run: filesystem, seeds: both, memory: SQUASHFS },
    Target { name: "tar", run: tar, seeds: archives, memory: TAR },
];

/// A cluster and its unpacked form are at most a megabyte each; names take 13 bytes of an image or more,
/// and what is kept of each is a path and an inode. Eight megabytes of the packed inode are kept.
const EROFS: Memory = Memory { constant: 16 << 20, factor: 256 };

/// The metadata blocks and fragments that are kept have half a megabyte and three; what is returned of the
/// names is bounded by four megabytes and 256 bytes for each of the image, and is copied while it grows.
const SQUASHFS: Memory = Memory { constant: 24 << 20, factor: 768 };

/// A path of two bytes for each name makes a directory of each, and its node and its map have hundreds.
const TAR: Memory = Memory { constant: 4 << 20, factor: 1024 };

/// The longest archive that is read, in bytes. Compressed data may become tens of thousands of times as much:
/// it is the caller's disk and patience that bound it.
const ARCHIVE_MAX: usize = 4096;

/// How much of a file is read: more than any seed has.
const CONTENT_MAX: u64 = 1 << 20;

fn probes(data: &[u8]) {
    let _ = probe(&mut Cursor::new(data)).expect("memory can be read");
}

fn erofs(data: &[u8]) {
    let Ok(reader) = Reader::open(Cursor::new(data)) else { return };
    let _ = reader.read("usr/lib/extension-release.d/extension-release.x", CONTENT_MAX);
    let _ = reader.list("usr/lib/systemd/system");
    let _ = reader.xattrs("usr");
    let Ok(entries) = reader.entries() else { return };
    // One after the other up to a bound for all of them: names may share one content
    let mut left = CONTENT_MAX;
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        if let Ok(file) = reader.file(entry) {
            left -= io::copy(&mut file.take(left), &mut io::sink()).unwrap_or(0);
        }
    }
}

fn squashfs(data: &[u8]) {
    let Ok(reader) = squashfs::Reader::open(Cursor::new(data)) else { return };
    let _ = reader.read("usr/lib/extension-release.d/extension-release.x", CONTENT_MAX);
    let _ = reader.list("usr/lib/systemd/system");
    let _ = reader.xattrs("usr/lib/text");
    let Ok(entries) = reader.entries() else { return };
    let mut left = CONTENT_MAX;
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        if let Ok(file) = reader.file(entry) {
            left -= io::copy(&mut file.take(left), &mut io::sink()).unwrap_or(0);
        }
    }
}

/// Whatever the format; its facts are read too.
fn filesystem(data: &[u8]) {
    let Ok(image) = Filesystem::open(Cursor::new(data)) else { return };
    let Ok(entries) = image.entries() else { return };
    let mut left = CONTENT_MAX;
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        let Ok(mut file) = image.file(entry) else { continue };
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = file.read(&mut buffer) {
            left = left.saturating_sub(count as u64);
            if left == 0 {
                return;
            }
        }
    }
}

fn tar(data: &[u8]) {
    if data.len() <= ARCHIVE_MAX {
        let _ = Tree::from_tar(&mut Cursor::new(data), &Rules::default(), &std::env::temp_dir());
    }
}

/// An archive with a file, a long name, a link, and a record; made here, for a header has a checksum. And the
/// same in each compression, in two parts.
fn archives() -> Vec<Vec<u8>> {
    let entry = |kind: u8, name: &str, target: &str, content: &[u8]| {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(b"0000644");
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[156] = kind;
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut entry = block.to_vec();
        entry.extend_from_slice(content);
        entry.resize(entry.len().next_multiple_of(512), 0);
        entry
    };
    let records = b"16 path=usr/bin\n22 SCHILY.xattr.a=b=c\n9 size=3\n";
    let whole = [
        entry(b'5', "usr/", "", b""),
        entry(b'L', "././@LongLink", "", b"usr/a-long-name\0"),
        entry(b'0', "usr/a", "", b"content"),
        entry(b'1', "usr/b", "usr/a-long-name", b""),
        entry(b'2', "usr/c", "b", b""),
        entry(b'x', "pax", "", records),
        entry(b'0', "usr/d", "", b"abc"),
        vec![0; 1024],
    ];
    let (first, second) = (whole[..4].concat(), whole[4..].concat());
    let packed = |pack: fn(&[u8]) -> io::Result<Vec<u8>>| {
        let pack = |part| pack(part).expect("memory can be written");
        [pack(&first), pack(&second)].concat()
    };
    vec![
        whole.concat(),
        whole[2..3].concat(),
        packed(|part| {
            let mut gzip = GzEncoder::new(Vec::new(), Default::default());
            gzip.write_all(part)?;
            gzip.finish()
        }),
        packed(|part| {
            let mut xz = XzEncoder::new(Vec::new(), 0);
            xz.write_all(part)?;
            xz.finish()
        }),
        packed(|part| zstd::encode_all(part, 3)),
    ]
}

fn both() -> Vec<Vec<u8>> {
    [images(), squashfs_images()].concat()
}

/// The recipes' own files, and one that compresses well.
fn tree() -> Tree {
    let recipes = concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/sysupdate/files");
    let mut tree = Tree::from_directory(recipes, &Rules::default()).expect("the recipe is there");
    let file = Metadata::new(0o644).xattr("user.extension-release.strict", "0");
    tree.insert_bytes("usr/lib/extension-release.d/extension-release.x", "ID=_any\n", file.clone())
        .and_then(|()| tree.insert_bytes("usr/lib/text", "compresses well. ".repeat(1000), file))
        .and_then(|()| tree.insert_symlink("usr/lib/link", "text", Metadata::new(0o777)))
        .expect("the paths are valid");
    tree
}

/// With each codec.
fn images() -> Vec<Vec<u8>> {
    ["none", "lz4hc", "zstd"]
        .map(|codec| {
            let codec: Codec = codec.parse().expect("the codec exists");
            let mut image = Vec::new();
            write(&tree(), &Options::new(codec, 1_700_000_000), &mut image).expect("memory can be written");
            image
        })
        .into()
}

/// With each codec, in small blocks, and with what is stored in its own ways only here.
fn squashfs_images() -> Vec<Vec<u8>> {
    let mut tree = tree();
    let file = Metadata::new(0o600).owner(1000, 100).xattr("user.long", vec![b'l'; 200]);
    tree.insert_bytes("usr/zeros", vec![0; 20_000], file.clone())
        .and_then(|()| tree.insert_special("usr/pipe", Special::Fifo, file))
        .and_then(|()| tree.insert_link("usr/lib/hard-link", "usr/lib/text"))
        .expect("the paths are valid");
    ["none", "gzip", "lz4", "xz:1", "zstd:3"]
        .map(|codec| {
            let mut options = squashfs::Options::new(codec.parse().expect("the codec exists"), 1_700_000_000);
            options.block_size = 4096;
            let mut image = Vec::new();
            squashfs::write(&tree, &options, &mut image).expect("memory can be written");
            image
        })
        .into()
}
