//! Filesystem images that someone else made.

use std::io::{self, Cursor, Read as _};

use sysext_image::entry::EntryKind;
use sysext_image::erofs::{Options, Reader, write};
use sysext_image::probe::probe;
use sysext_image::tree::{Metadata, Rules, Special};
use sysext_image::{Codec, Tree, squashfs};

use crate::{Memory, Target};

pub(crate) static TARGETS: &[Target] = &[
    Target { name: "probe", run: probes, seeds: images, memory: Memory { constant: 128 << 10, factor: 4 } },
    Target { name: "erofs", run: erofs, seeds: images, memory: EROFS },
    Target { name: "squashfs", run: squashfs, seeds: squashfs_images, memory: SQUASHFS },
];

/// A cluster and its unpacked form are at most a megabyte each; names take 13 bytes of an image or more,
/// and what is kept of each is a path and an inode.
const EROFS: Memory = Memory { constant: 8 << 20, factor: 256 };

/// The metadata blocks and fragments that are kept have half a megabyte and three; what is returned of the
/// names is bounded by four megabytes and 256 bytes for each of the image, and is copied while it grows.
const SQUASHFS: Memory = Memory { constant: 24 << 20, factor: 768 };

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
