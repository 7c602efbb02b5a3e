//! Tests extraction, and that images cannot write outside the destination.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use rustix::fs::{CWD, RenameFlags};

use super::*;
use crate::erofs;
use crate::tree::{Device, Metadata, Special, Tree};

fn tree() -> Tree {
    let mut tree = Tree::new();
    let file = Metadata::new(0o4755);
    tree.insert_directory("usr", Metadata::new(0o555)).unwrap();
    tree.insert_bytes("usr/a", "text ".repeat(40_000), file.clone()).unwrap();
    tree.insert_bytes("usr/d/x", "x", file.clone().xattr("user.x", "y")).unwrap();
    tree.insert_link("usr/d/b", "usr/a").unwrap();
    tree.insert_symlink("usr/l", "/etc/passwd", Metadata::new(0o777)).unwrap();
    tree.insert_special("usr/p", Special::Fifo, file).unwrap();
    tree
}

fn image(tree: &Tree) -> Filesystem<Cursor<Vec<u8>>> {
    let mut image = Vec::new();
    let options = erofs::Options::new("lz4hc".parse().unwrap(), 1_700_000_000);
    erofs::write(tree, &options, &mut image).unwrap();
    Filesystem::open(Cursor::new(image)).unwrap()
}

fn options(path: Option<&str>) -> Options {
    let limits = Limits { content: 1 << 20 };
    Options { path: path.map(PathBuf::from), owners: Owners::Caller, limits }
}

#[test]
fn an_image_is_extracted_with_modes_times_and_links() {
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("out");
    let mut reported = (0, 0);
    let extracted =
        extract(&image(&tree()), &into, &options(None), &mut |done, total| reported = (done, total)).unwrap();
    assert_eq!(reported, (200_001, 200_001));
    let Extracted { directories, files, hard_links, symlinks, specials, bytes, not_restored } = extracted;
    assert_eq!((directories, files, hard_links, symlinks, specials, bytes), (2, 2, 1, 1, 1, 200_001));
    assert_eq!((not_restored.set_ids, not_restored.devices.len()), (2, 0));
    assert_eq!(fs::read(into.join("usr/a")).unwrap(), "text ".repeat(40_000).into_bytes());
    let a = fs::metadata(into.join("usr/a")).unwrap();
    let b = fs::metadata(into.join("usr/d/b")).unwrap();
    assert_eq!((a.ino(), a.nlink()), (b.ino(), 2));
    assert_eq!((a.mode() & 0o7777, a.mtime()), (0o755, 1_700_000_000));
    let usr = fs::metadata(into.join("usr")).unwrap();
    assert_eq!((usr.mode() & 0o7777, usr.mtime()), (0o555, 1_700_000_000));
    assert_eq!(fs::read_link(into.join("usr/l")).unwrap(), Path::new("/etc/passwd"));
    fs::set_permissions(into.join("usr"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_part_of_an_image_keeps_its_path() {
    let scratch = tempfile::tempdir().unwrap();
    let image = image(&tree());
    for (number, path) in ["usr/d", "/usr/d/", "./usr/d"].into_iter().enumerate() {
        let into = scratch.path().join(number.to_string());
        let extracted = extract(&image, &into, &options(Some(path)), &mut |_, _| {}).unwrap();
        assert_eq!((extracted.files, extracted.hard_links, extracted.directories), (2, 0, 2), "{path}");
        assert!(into.join("usr/d/b").exists() && !into.join("usr/a").exists());
        fs::set_permissions(into.join("usr"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let into = scratch.path().join("none");
    let error = extract(&image, &into, &options(Some("usr/dd")), &mut |_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), "no such path in the image: /usr/dd");
    assert!(!into.exists() && !error.is_partial());
}

#[test]
fn the_destination_must_be_empty() {
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("out");
    fs::create_dir(&into).unwrap();
    extract(&image(&Tree::new()), &into, &options(None), &mut |_, _| {}).unwrap();
    fs::write(into.join(".hidden"), "").unwrap();
    let error = extract(&image(&tree()), &into, &options(None), &mut |_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot extract to {}: directory not empty", into.display()));
    let file = into.join(".hidden");
    assert!(extract(&image(&tree()), &file, &options(None), &mut |_, _| {}).is_err());
    let below = scratch.path().join("missing/out");
    assert!(extract(&image(&tree()), &below, &options(None), &mut |_, _| {}).is_err());
}

#[test]
fn links_in_the_destination_are_not_followed() {
    let scratch = tempfile::tempdir().unwrap();
    let (into, outside) = (scratch.path().join("out"), scratch.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    let mut destination = Destination::open(&into, Owners::Caller).unwrap();
    let found = image(&tree()).entries().unwrap();
    let entry = |path: &str| found.iter().find(|entry| entry.path == Path::new(path)).unwrap();
    // Another user replaces a directory with a link
    symlink(&outside, into.join("usr")).unwrap();
    let error = destination.file(entry("usr/a"), |_| Ok(())).unwrap_err();
    assert!(error.to_string().starts_with("cannot open the directory "), "{error}");
    assert!(destination.symlink(entry("usr/l"), "x".as_ref()).is_err());
    assert!(destination.link(Path::new("usr/a"), Path::new("b")).is_err());
    assert!(destination.directory(entry("usr/d")).is_err());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // … or creates a link in place of a file
    symlink(outside.join("new"), into.join("a")).unwrap();
    let mut top = entry("usr/a").clone();
    top.path = "a".into();
    let error = destination.file(&top, |_| Ok(())).unwrap_err();
    assert!(error.to_string().starts_with("cannot create the file "), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn limits_are_checked_before_anything_is_written() {
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("out");
    let mut options = options(None);
    options.limits.content = 200_000;
    let error = extract(&image(&tree()), &into, &options, &mut |_, _| {}).unwrap_err();
    assert!(
        error.to_string().contains("claim 200001 bytes in total, more than the limit of 200000"),
        "{error}"
    );
    assert!(error.hint().unwrap().ends_with("--max-content 200001"));
    assert!(!into.exists());
}

#[test]
fn partial_files_are_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("out");
    let mut tree = Tree::new();
    let noise: Vec<u8> = (0..100_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    tree.insert_bytes("a", "whole", Metadata::new(0o644)).unwrap();
    tree.insert_bytes("b", noise, Metadata::new(0o644)).unwrap();
    let mut bytes = Vec::new();
    let options_of_image = erofs::Options::new("none".parse().unwrap(), 0);
    erofs::write(&tree, &options_of_image, &mut bytes).unwrap();
    // Make b longer than the image: a compact inode has the size at offset 8
    let size = 400_000_u32.to_le_bytes();
    let at = bytes.windows(4).position(|window| window == size).unwrap();
    bytes[at..at + 4].copy_from_slice(&800_000_u32.to_le_bytes());
    let image = Filesystem::open(Cursor::new(bytes)).unwrap();
    let error = extract(&image, &into, &options(None), &mut |_, _| {}).unwrap_err();
    assert!(error.is_partial(), "{error}");
    assert!(error.to_string().starts_with("cannot read /b in the image near offset "), "{error}");
    let names: Vec<_> = fs::read_dir(&into).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn devices_are_created_with_privileges() {
    let scratch = tempfile::tempdir().unwrap();
    let mut tree = Tree::new();
    let device = Special::Character(Device { major: 1, minor: 3 });
    tree.insert_special("null", device, Metadata::new(0o666)).unwrap();
    tree.insert_link("zero", "null").unwrap();
    let into = scratch.path().join("out");
    let extracted = extract(&image(&tree), &into, &options(None), &mut |_, _| {}).unwrap();
    match extracted.specials {
        1 => assert_eq!(fs::metadata(into.join("zero")).unwrap().rdev(), rustix::fs::makedev(1, 3)),
        _ => assert_eq!(extracted.not_restored.devices, [Path::new("null"), Path::new("zero")]),
    }
}

#[test]
fn attribute_names_that_are_not_text_are_preserved() {
    let scratch = tempfile::tempdir().unwrap();
    let mut tree = Tree::new();
    tree.insert_bytes("a", "a", Metadata::new(0o644).xattr("user.QQQQ", "value")).unwrap();
    let mut bytes = Vec::new();
    erofs::write(&tree, &erofs::Options::new("none".parse().unwrap(), 0), &mut bytes).unwrap();
    let at = bytes.windows(4).position(|window| window == b"QQQQ").unwrap();
    bytes[at..at + 4].copy_from_slice(b"\xff\xfe\n\x01");
    let into = scratch.path().join("out");
    let image = Filesystem::open(Cursor::new(bytes)).unwrap();
    extract(&image, &into, &options(None), &mut |_, _| {}).unwrap();
    let mut value = [0; 16];
    let name = c"user.\xff\xfe\n\x01";
    let length = rustix::fs::getxattr(into.join("a"), name, &mut value).unwrap();
    assert_eq!(&value[..length], b"value");
}

/// Another user with write access to the directory replaces pipes with links.
#[test]
fn replacing_a_pipe_with_a_link_changes_no_other_file() {
    let scratch = tempfile::tempdir().unwrap();
    let (into, victim) = (scratch.path().join("out"), scratch.path().join("victim"));
    fs::create_dir(&into).unwrap();
    fs::write(&victim, "").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let mut tree = Tree::new();
    let names: Vec<String> = (0..3000).map(|number| format!("p{number:04}")).collect();
    for name in &names {
        tree.insert_special(name, Special::Fifo, Metadata::new(0o777)).unwrap();
    }
    let image = image(&tree);
    let swap = scratch.path().join("swap");
    std::thread::scope(|scope| {
        let extracting = scope.spawn(|| extract(&image, &into, &options(None), &mut |_, _| {}));
        // Replace each pipe as soon as it is created
        for name in names.iter().step_by(20) {
            let _ = fs::remove_file(&swap);
            symlink(&victim, &swap).unwrap();
            let exchange =
                || rustix::fs::renameat_with(CWD, &swap, CWD, into.join(name), RenameFlags::EXCHANGE);
            while !extracting.is_finished() && exchange().is_err() {}
        }
        let _ = extracting.join().unwrap();
    });
    assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn pipes_have_the_mode_and_time_of_the_image() {
    let scratch = tempfile::tempdir().unwrap();
    let into = scratch.path().join("out");
    extract(&image(&tree()), &into, &options(None), &mut |_, _| {}).unwrap();
    let pipe = fs::symlink_metadata(into.join("usr/p")).unwrap();
    assert_eq!((pipe.mode() & 0o7777, pipe.mtime()), (0o4755, 1_700_000_000));
    fs::set_permissions(into.join("usr"), fs::Permissions::from_mode(0o755)).unwrap();
}
