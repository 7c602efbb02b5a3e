//! Filesystem images that someone else made.

use std::io::{self, Cursor, Read as _};

use sysext_image::entry::EntryKind;
use sysext_image::erofs::{Options, Reader, write};
use sysext_image::probe::probe;
use sysext_image::tree::{Metadata, Rules};
use sysext_image::{Codec, Tree};

use crate::{Memory, Target};

pub(crate) static TARGETS: &[Target] = &[
    Target { name: "probe", run: probes, seeds: images, memory: Memory { constant: 128 << 10, factor: 4 } },
    Target { name: "erofs", run: erofs, seeds: images, memory: EROFS },
];

/// A cluster and its unpacked form are at most a megabyte each; names take 13 bytes of an image or more,
/// and what is kept of each is a path and an inode.
const EROFS: Memory = Memory { constant: 8 << 20, factor: 256 };

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

/// The recipes' own files, baked with each codec.
fn images() -> Vec<Vec<u8>> {
    let recipes = concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/sysupdate/files");
    ["none", "lz4hc", "zstd"]
        .map(|codec| {
            let mut tree = Tree::from_directory(recipes, &Rules::default()).expect("the recipe is there");
            let file = Metadata::new(0o644).xattr("user.extension-release.strict", "0");
            tree.insert_bytes("usr/lib/extension-release.d/extension-release.x", "ID=_any\n", file.clone())
                .and_then(|()| tree.insert_bytes("usr/lib/text", "compresses well. ".repeat(1000), file))
                .and_then(|()| tree.insert_symlink("usr/lib/link", "text", Metadata::new(0o777)))
                .expect("the paths are valid");
            let codec: Codec = codec.parse().expect("the codec exists");
            let mut image = Vec::new();
            write(&tree, &Options::new(codec, 1_700_000_000), &mut image).expect("memory can be written");
            image
        })
        .into()
}
