//! Tests that every kind of difference is found.

use std::io::Cursor;

use super::*;
use crate::erofs;
use crate::tree::{Device, Metadata, Tree};

const LIMITS: Limits = Limits { content: 1 << 30 };

fn tree() -> Tree {
    let mut tree = Tree::new();
    let file = Metadata::new(0o644);
    tree.insert_bytes("a", "text ".repeat(40_000), file.clone().xattr("user.x", "1")).unwrap();
    tree.insert_bytes("b", "b", file.clone()).unwrap();
    tree.insert_bytes("d/c", "c", file.clone()).unwrap();
    tree.insert_symlink("l", "a", Metadata::new(0o777)).unwrap();
    let device = Special::Character(Device { major: 1, minor: 3 });
    tree.insert_special("n", device, file).unwrap();
    tree
}

fn bytes(tree: &Tree, codec: &str, time: u64) -> Vec<u8> {
    let mut image = Vec::new();
    erofs::write(tree, &erofs::Options::new(codec.parse().unwrap(), time), &mut image).unwrap();
    image
}

fn opened(bytes: &[u8]) -> Filesystem<Cursor<Vec<u8>>> {
    Filesystem::open(Cursor::new(bytes.to_vec())).unwrap()
}

fn differences(first: &[u8], second: &[u8]) -> Vec<(String, Change)> {
    let found =
        diff((&opened(first), &opened(second)), (LIMITS, LIMITS), &mut |done, total| assert!(done <= total));
    found.unwrap().into_iter().map(|found| (found.path.display().to_string(), found.change)).collect()
}

fn field(name: &str, from: Option<&str>, to: Option<&str>) -> Field {
    Field { name: name.to_owned(), from: from.map(str::to_owned), to: to.map(str::to_owned) }
}

fn changed(fields: &[Field]) -> Change {
    Change::Changed { fields: fields.to_vec(), content: None }
}

#[test]
fn codec_and_time_make_no_difference() {
    let image = bytes(&tree(), "none", 7);
    for codec in ["none", "lz4hc", "zstd"] {
        assert_eq!(differences(&image, &bytes(&tree(), codec, 1_700_000_000)), [], "{codec}");
    }
}

#[test]
fn each_change_is_reported() {
    let image = bytes(&tree(), "lz4hc", 7);
    let change = |change: &dyn Fn(&mut Tree)| {
        let mut other = tree();
        change(&mut other);
        differences(&image, &bytes(&other, "zstd", 9))
    };
    let file = || Metadata::new(0o644);
    let summary = |kind, size| Summary { kind, size };
    let found = change(&|tree| tree.insert_bytes("d.x", "12", file()).unwrap());
    assert_eq!(found, [("d.x".to_owned(), Change::Added(summary("file", Some(2))))]);
    let found = change(&|tree| {
        tree.insert_bytes("a", ["text ".repeat(30_000), "tex".into()].concat(), file()).unwrap();
    });
    let content = Some(Content { from: 200_000, to: 150_003, first: 150_003 });
    let fields = vec![field("user.x", Some("31"), None)];
    assert_eq!(found, [("a".to_owned(), Change::Changed { fields, content })]);
    let found = change(&|tree| tree.insert_bytes("b", "c", Metadata::new(0o755).owner(0, 5)).unwrap());
    let content = Some(Content { from: 1, to: 1, first: 0 });
    let fields = vec![field("mode", Some("0644"), Some("0755")), field("owner", Some("0:0"), Some("0:5"))];
    assert_eq!(found, [("b".to_owned(), Change::Changed { fields, content })]);
    let found = change(&|tree| tree.insert_symlink("l", "b c", Metadata::new(0o777)).unwrap());
    assert_eq!(found, [("l".to_owned(), changed(&[field("target", Some("a"), Some("b\\x20c"))]))]);
    let found = change(&|tree| tree.insert_special("n", Special::Fifo, file()).unwrap());
    let fields =
        [field("kind", Some("character device"), Some("fifo")), field("device", Some("1:3"), Some(""))];
    assert_eq!(found, [("n".to_owned(), changed(&fields))]);
    let found = change(&|tree| tree.insert_link("d/e", "b").unwrap());
    let links = changed(&[field("links", Some("1"), Some("2"))]);
    let added = Change::Added(summary("file", Some(1)));
    assert_eq!(found, [("b".to_owned(), links), ("d/e".to_owned(), added)]);
}

#[test]
fn differences_are_in_the_order_of_trees() {
    let (mut one, mut other) = (Tree::new(), Tree::new());
    for (tree, names) in [(&mut one, ["a/x", "a.b", "c"]), (&mut other, ["a/x", "a/y", "b/z"])] {
        for name in names {
            tree.insert_bytes(name, "", Metadata::new(0o644)).unwrap();
        }
    }
    let found = differences(&bytes(&one, "none", 0), &bytes(&other, "none", 0));
    let names: Vec<_> =
        found.iter().map(|(path, change)| (path.as_str(), matches!(change, Change::Added(_)))).collect();
    assert_eq!(names, [("a/y", true), ("a.b", false), ("b", true), ("b/z", true), ("c", false)]);
}

#[test]
fn the_place_of_a_byte_is_found() {
    let whole = bytes(&tree(), "none", 7);
    let image = opened(&whole);
    let place = |offset| Place::find(&image, offset).unwrap();
    assert_eq!(place(1024 + 30), Place::Superblock("time"));
    assert_eq!(place(1024 + 50).to_string(), "superblock UUID");
    assert_eq!(place(0), Place::Unused);
    let compressed = bytes(&tree(), "zstd", 7);
    let parameters = Place::find(&opened(&compressed), 1024 + 128).unwrap();
    assert_eq!(parameters, Place::Superblock("parameters of the algorithms"));
    let at = whole.windows(10).position(|window| window == b"text text ").unwrap() as u64;
    assert_eq!(place(at + 9000), Place::Content("a".into()));
    let root = image.facts().first_inode.unwrap() + image.entries().unwrap()[0].inode * 32;
    assert_eq!(place(root + 8), Place::Inode(PathBuf::new()));
    assert_eq!(place(root + 8).to_string(), "inode of / or what follows it");
    let inode = image.entries().unwrap().iter().find(|entry| entry.path.ends_with("c")).unwrap().inode;
    assert_eq!(place(image.facts().first_inode.unwrap() + inode * 32), Place::Inode("d/c".into()));

    let first =
        |one: &[u8], other: &[u8]| first_difference(&mut Cursor::new(one), &mut Cursor::new(other)).unwrap();
    assert_eq!(first(&whole, &whole), None);
    let later = bytes(&tree(), "none", 8);
    assert_eq!(first(&whole, &later), Some(1028), "the checksum");
    let mut changed = whole.clone();
    changed[usize::try_from(at).unwrap()] ^= 1;
    assert_eq!(first(&whole, &changed), Some(at));
    assert_eq!(first(&whole, &whole[..5000]), Some(5000));
}

/// An image that counts the bytes read.
struct Counted(Cursor<Vec<u8>>, std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        Ok(count)
    }
}

impl Seek for Counted {
    fn seek(&mut self, position: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(position)
    }
}

#[test]
fn hard_links_are_compared_once() {
    let size = 1 << 20;
    let mut tree = Tree::new();
    tree.insert_bytes("a", vec![b'a'; size], Metadata::new(0o644)).unwrap();
    for number in 0..50 {
        tree.insert_link(format!("a{number}"), "a").unwrap();
    }
    let bytes = bytes(&tree, "none", 7);
    let read = std::sync::Arc::default();
    let counted =
        Filesystem::open(Counted(Cursor::new(bytes.clone()), std::sync::Arc::clone(&read))).unwrap();
    let found =
        diff((&counted, &opened(&bytes)), (LIMITS, LIMITS), &mut |done, _| assert_eq!(done, size as u64));
    assert_eq!(found.unwrap(), []);
    let read = read.load(std::sync::atomic::Ordering::Relaxed);
    assert!(read < 2 * size, "{read} bytes were read");
}
