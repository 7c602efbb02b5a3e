use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::*;
use crate::entry::{NAME_MAX, TARGET_MAX};

type Result = std::result::Result<(), Box<dyn Error>>;

fn paths(tree: &Tree) -> Vec<String> {
    tree.entries().map(|entry| entry.path.display().to_string()).collect()
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[test]
fn entries_are_sorted_by_bytes_with_directories_first() -> Result {
    let mut tree = Tree::new();
    for path in ["usr/lib/z", "usr/lib.d/a", "usr/lib/-", "usr/lib-x", "usr/bin/sh", "a", "Z", "é"] {
        tree.insert_bytes(path, "", Metadata::new(0o644))?;
    }
    let order = ["", "Z", "a", "usr", "usr/bin", "usr/bin/sh", "usr/lib", "usr/lib/-", "usr/lib/z"];
    let rest = ["usr/lib-x", "usr/lib.d", "usr/lib.d/a", "é"];
    assert_eq!(paths(&tree), [&order[..], &rest].concat());
    Ok(())
}

#[test]
fn parents_are_created_and_only_files_are_replaced() -> Result {
    let mut tree = Tree::new();
    tree.insert_bytes("usr/bin/tool", "one", Metadata::new(0o755))?;
    assert_eq!(tree.get("usr/bin").unwrap().metadata, Metadata::new(0o755));
    tree.insert_directory("usr/bin", Metadata::new(0o711).owner(3, 4))?;
    tree.insert_bytes("./usr/bin/tool", "three", Metadata::new(0o700))?;
    assert_eq!(tree.get("usr/bin").unwrap().metadata.mode, 0o711);
    let Kind::File(content) = &tree.get("usr/bin/tool").unwrap().kind else { panic!("no file") };
    assert_eq!(content.size(), 5);
    tree.insert_symlink("usr/bin/tool", "other", Metadata::new(0o777))?;
    assert_eq!(paths(&tree), ["", "usr", "usr/bin", "usr/bin/tool"]);

    let occupied = |result: std::result::Result<(), TreeError>| match result {
        Err(TreeError::Occupied { path, wanted }) => (path.display().to_string(), wanted),
        other => panic!("{other:?}"),
    };
    let file = Metadata::new(0o644);
    assert_eq!(occupied(tree.insert_bytes("usr/bin", "", file.clone())), ("usr/bin".into(), "file"));
    let below = tree.insert_bytes("usr/bin/tool/x/y", "", file.clone());
    assert_eq!(occupied(below), ("usr/bin/tool".into(), "directory"));
    assert_eq!(occupied(tree.insert_directory("usr/bin/tool", file)), ("usr/bin/tool".into(), "directory"));
    Ok(())
}

#[test]
fn paths_that_escape_are_rejected() {
    let mut tree = Tree::new();
    for (path, reason) in
        [("/usr", "it is not relative"), ("usr/../etc", "it contains .."), ("a\0b", "it contains a NUL")]
    {
        let error = tree.insert_bytes(path, "", Metadata::new(0o644)).unwrap_err();
        assert!(error.to_string().ends_with(reason), "{error}");
        assert!(error.hint().is_some());
    }
    let long = "n".repeat(NAME_MAX + 1);
    let error = tree.insert_directory(format!("usr/{long}/x"), Metadata::new(0o755)).unwrap_err();
    assert!(matches!(error, TreeError::NameTooLong { length: 256, .. }), "{error}");
    assert!(tree.insert_directory(&long[1..], Metadata::new(0o755)).is_ok());
    for target in ["", &"t".repeat(TARGET_MAX + 1), "a\0"] {
        assert!(tree.insert_symlink("link", target, Metadata::new(0o777)).is_err());
    }
    assert!(tree.insert_link("x", "missing").is_err());
    assert!(tree.insert_link("x", &long[1..]).is_err(), "a directory has one name");
}

#[test]
fn owner_umask_and_other_attributes_are_ignored_by_default() -> Result {
    let directory = tempfile::tempdir()?;
    let at = |path: &str| directory.path().join(path);
    fs::create_dir(at("bin"))?;
    fs::write(at("bin/run"), "x")?;
    fs::write(at("bin/suid"), "x")?;
    fs::write(at("data"), "data")?;
    symlink("bin/run", at("run"))?;
    let mut seen = Vec::new();
    for (directories, executables, files) in [(0o755, 0o755, 0o644), (0o2700, 0o700, 0o600)] {
        set_mode(&at("bin"), directories)?;
        set_mode(&at("bin/run"), executables)?;
        set_mode(&at("bin/suid"), 0o4000 | executables)?;
        set_mode(&at("data"), files)?;
        set_mode(directory.path(), directories & 0o777)?;
        let tree = Tree::from_directory(directory.path(), &Rules::default())?;
        let modes = tree.entries().map(|entry| (entry.path.clone(), entry.node.metadata.mode));
        seen.push(modes.filter(|(path, _)| path != Path::new("bin")).collect::<Vec<_>>());
        assert_eq!(u32::from(tree.get("bin").unwrap().metadata.mode), directories | 0o755);
        assert!(tree.entries().all(|entry| entry.node.metadata.uid == 0));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].contains(&("bin/suid".into(), 0o4755)) && seen[0].contains(&("data".into(), 0o644)));

    let rules = Rules { owner: Owner::Keep, modes: Modes::Keep, ..Rules::default() };
    let kept = Tree::from_directory(directory.path(), &rules)?;
    let metadata = &kept.get("bin/suid").unwrap().metadata;
    assert_eq!((metadata.mode, metadata.uid), (0o4700, fs::metadata(at("data"))?.uid()));
    Ok(())
}

#[test]
fn hard_links_are_preserved() -> Result {
    let directory = tempfile::tempdir()?;
    fs::create_dir(directory.path().join("d"))?;
    fs::write(directory.path().join("z"), "content")?;
    fs::hard_link(directory.path().join("z"), directory.path().join("d/a"))?;
    fs::write(directory.path().join("alone"), "content")?;
    let mut tree = Tree::from_directory(directory.path(), &Rules::default())?;
    tree.insert_link("more/name", "z")?;
    let ids: Vec<_> = tree.entries().map(|entry| (entry.path, entry.id)).collect();
    let id = |path: &str| ids.iter().find(|(found, _)| found == Path::new(path)).unwrap().1;
    assert_eq!(id("z"), id("d/a"));
    assert_eq!(id("z"), id("more/name"));
    assert_ne!(id("z"), id("alone"));
    Ok(())
}

#[test]
fn threads_change_neither_the_tree_nor_the_error() -> Result {
    let directory = tempfile::tempdir()?;
    let at = |path: String| directory.path().join(path);
    for number in 0..40 {
        fs::create_dir_all(at(format!("{number}/deep/deeper")))?;
        for name in 0..20 {
            fs::write(at(format!("{number}/{name}")), "content")?;
        }
        symlink("target", at(format!("{number}/deep/link")))?;
        fs::hard_link(at(format!("{number}/7")), at(format!("{number}/deep/name")))?;
        fs::hard_link(at(format!("{number}/7")), at(format!("{number}/other")))?;
    }
    let read = |threads| directory::read(directory.path(), &Rules::default(), NonZero::new(threads).unwrap());
    let shown = |tree: &Tree| tree.entries().map(|entry| format!("{entry:?}")).collect::<Vec<_>>();
    let one = read(1)?;
    assert_eq!(one.entries().count(), 1 + 40 * (1 + 20 + 1 + 2 + 2));
    for threads in [2, 4, 64] {
        assert_eq!(shown(&read(threads)?), shown(&one));
    }

    // The one closest to the root is reported, and among those the first by name.
    let sockets = ["1/deep/deeper/s", "39/s", "8/s"].map(|path| at(path.into()));
    let _sockets = sockets.each_ref().map(UnixListener::bind);
    for threads in [1, 2, 4, 64] {
        for _ in 0..20 {
            let error = read(threads).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{} is a socket", sockets[1].display())), "{error}");
        }
    }
    Ok(())
}

#[test]
fn only_listed_attributes_are_read() -> Result {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("file");
    fs::write(&path, "")?;
    let long = vec![7; 1000];
    for (name, value) in
        [("user.extension-release.strict", &b"0"[..]), ("user.long", &long), ("user.x", b"y")]
    {
        rustix::fs::setxattr(&path, name, value, rustix::fs::XattrFlags::empty())?;
    }
    let mut rules = Rules::default();
    rules.xattrs.insert("user.long".into());
    rules.xattrs.insert("user.missing".into());
    let tree = Tree::from_directory(directory.path(), &rules)?;
    let expected = Metadata::new(0o644).xattr("user.extension-release.strict", "0").xattr("user.long", long);
    assert_eq!(tree.get("file").unwrap().metadata.xattrs, expected.xattrs);
    Ok(())
}

#[test]
fn sockets_and_fifos_are_rejected() -> Result {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let _socket = UnixListener::bind(&path)?;
    let error = Tree::from_directory(directory.path(), &Rules::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is a socket, which an image cannot contain", path.display()));
    fs::remove_file(&path)?;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        directory.path().join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )?;
    let error = Tree::from_directory(directory.path(), &Rules::default()).unwrap_err();
    assert!(error.to_string().contains("is a fifo"), "{error}");
    assert!(Tree::from_directory(directory.path().join("missing"), &Rules::default()).is_err());
    Ok(())
}

#[test]
fn changed_content_is_an_error() -> Result {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("file");
    fs::write(&path, "12345")?;
    let before = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::open(&path)?.set_modified(before)?;
    let mut tree = Tree::new();
    tree.insert_file("file", &path, Metadata::new(0o644))?;
    assert!(tree.insert_file("d", directory.path(), Metadata::new(0o644)).is_err());
    let Kind::File(content) = &tree.get("file").unwrap().kind else { panic!("no file") };
    let mut middle = [0; 3];
    content.read_at(1, &mut middle)?;
    assert_eq!(&middle, b"234");
    for (now, found) in [("1234", 4), ("123456", 6)] {
        fs::write(&path, now)?;
        let error = content.open().unwrap_err();
        let words = format!("changed while it was read: it had 5 bytes, now {found}");
        assert!(error.to_string().ends_with(&words), "{error}");
    }
    // Changes after opening are detected, too.
    let written = |text: &str| -> Result {
        fs::write(&path, text)?;
        Ok(fs::File::open(&path)?.set_modified(before)?)
    };
    written("12345")?;
    let mut opened = content.open()?;
    fs::write(&path, "123")?;
    let changed = content.fill(&mut opened, 0, &mut [0; 5]).unwrap_err();
    assert!(matches!(changed, ContentError::Changed { found: 3, .. }), "{changed}");
    written("12345")?;
    let mut opened = content.open()?;
    content.fill(&mut opened, 0, &mut [0; 5])?;
    fs::write(&path, "1234567")?;
    assert!(content.at_end(&mut opened).is_err());
    written("12345")?;
    let mut opened = content.open()?;
    content.fill(&mut opened, 0, &mut [0; 5])?;
    fs::write(&path, "54321")?;
    let changed = content.at_end(&mut opened).unwrap_err();
    assert!(changed.to_string().ends_with("something wrote to it"), "{changed}");
    assert!(matches!(content.open().unwrap_err(), ContentError::Modified { .. }));
    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    assert!(matches!(content.open().unwrap_err(), ContentError::NotAFile { .. }));
    Ok(())
}

#[test]
fn device_numbers_are_encoded_as_linux_does() {
    for (major, minor, bits) in
        [(0, 0, 0), (1, 3, 0x103), (259, 70_000, 0x1111_0370), (4095, 1_048_575, u32::MAX)]
    {
        let device = Device { major, minor };
        assert_eq!(device.encode(), Some(bits), "{major}:{minor}");
        assert_eq!(Device::decode(bits), device);
    }
    assert_eq!(Device { major: 4096, minor: 0 }.encode(), None);
    assert_eq!(Device { major: 0, minor: 1 << 20 }.encode(), None);
}

#[test]
fn pipes_are_optional_and_sockets_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let keep = Rules { specials: Specials::Keep, ..Rules::default() };
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    let refused = Tree::from_directory(directory.path(), &Rules::default()).unwrap_err();
    assert!(refused.to_string().ends_with("is a fifo, which an extension must not contain"), "{refused}");
    let tree = Tree::from_directory(directory.path(), &keep).unwrap();
    assert!(matches!(tree.get("fifo").unwrap().kind, Kind::Special(Special::Fifo)));
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    let refused = Tree::from_directory(directory.path(), &keep).unwrap_err();
    assert!(refused.to_string().ends_with("is a socket, which an image cannot contain"), "{refused}");
}
