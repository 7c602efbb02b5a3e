use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use super::*;

fn scratch() -> (TempDir, Files) {
    (tempfile::tempdir().unwrap(), Files::new())
}

fn names(files: &Files, directory: &Path) -> Vec<String> {
    files.list(directory).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn what_is_saved_is_read_back_and_leaves_nothing_beside_it() {
    let (scratch, files) = scratch();
    let path = scratch.path().join("state.json");
    assert_eq!(files.read(&path, 10).unwrap(), None);
    files.save(&path, b"one").unwrap();
    files.save(&path, b"two").unwrap();
    assert_eq!(files.read(&path, 3).unwrap().as_deref(), Some(b"two".as_slice()));
    assert_eq!(names(&files, scratch.path()), ["state.json"]);
}

#[test]
fn what_is_too_long_is_refused_with_its_path() {
    let (scratch, files) = scratch();
    let path = scratch.path().join("long");
    files.write_new(&path, b"four").unwrap();
    let error = files.read(&path, 3).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(error.to_string(), format!("cannot read {}: more than 3 bytes", path.display()));
}

#[test]
fn nothing_is_there_where_a_directory_is_missing_or_is_a_file() {
    let (scratch, files) = scratch();
    let file = scratch.path().join("file");
    files.write_new(&file, b"").unwrap();
    assert_eq!(files.read(&file.join("below"), 1).unwrap(), None);
    assert_eq!(files.list(&file).unwrap(), []);
    assert_eq!(files.list(&scratch.path().join("missing")).unwrap(), []);
    assert_eq!(files.read_link(&file).unwrap(), None);
    assert_eq!(files.read_link(&scratch.path().join("missing")).unwrap(), None);
    files.remove(&scratch.path().join("missing/below")).unwrap();
}

#[test]
fn a_masked_definition_is_empty_and_an_open_of_it_is_refused() {
    let (scratch, files) = scratch();
    let path = scratch.path().join("x.transfer");
    files.make_link(&path, Path::new("/dev/null")).unwrap();
    assert_eq!(files.read(&path, 10).unwrap(), Some(Vec::new()));
    assert!(files.open(&path).err().unwrap().to_string().contains("not a regular file"));
}

#[test]
fn entries_are_sorted_and_not_followed() {
    let (scratch, files) = scratch();
    let at = |name: &str| scratch.path().join(name);
    files.write_new(&at("b"), b"12").unwrap();
    files.make_directory(&at("a/deep/er")).unwrap();
    files.point(&at("c"), Path::new("b")).unwrap();
    files.point(&at("c"), Path::new("a")).unwrap();
    let _socket = UnixListener::bind(at("d")).unwrap();
    let entry = |name: &str, kind| Entry { name: name.to_owned(), kind };
    let expected = [
        entry("a", EntryKind::Directory),
        entry("b", EntryKind::File(2)),
        entry("c", EntryKind::Link("a".into())),
        entry("d", EntryKind::Other),
    ];
    assert_eq!(files.list(scratch.path()).unwrap(), expected);
    assert!(at("a/deep/er").is_dir());
}

#[test]
fn writing_replaces_a_link_and_not_what_it_points_to() {
    let (scratch, files) = scratch();
    let (victim, path) = (scratch.path().join("victim"), scratch.path().join("state"));
    files.write_new(&victim, b"precious").unwrap();
    files.make_link(&path, &victim).unwrap();
    files.write_new(&path, b"new").unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn a_partial_grows_over_two_openings_and_restarts() {
    let (scratch, files) = scratch();
    let path = scratch.path().join("partial");
    files.partial(&path).unwrap().append(b"first ").unwrap();
    let mut partial = files.partial(&path).unwrap();
    assert_eq!(partial.length(), 6);
    partial.append(b"second").unwrap();
    let mut seen = Vec::new();
    partial.reread(&mut |bytes| seen.extend_from_slice(bytes)).unwrap();
    assert_eq!(seen, b"first second");
    partial.append(b"!").unwrap();
    partial.sync().unwrap();
    assert_eq!((partial.length(), fs::read(&path).unwrap().as_slice()), (13, b"first second!".as_slice()));
    partial.restart().unwrap();
    partial.append(b"again").unwrap();
    assert_eq!((partial.length(), fs::read(&path).unwrap().as_slice()), (5, b"again".as_slice()));
}

#[test]
fn nothing_that_has_the_name_of_a_partial_is_in_the_way() {
    let (scratch, files) = scratch();
    let (victim, path) = (scratch.path().join("victim"), scratch.path().join("partial"));
    files.write_new(&victim, b"precious").unwrap();
    let obstacles: [&dyn Fn(); 3] =
        [&|| symlink(&victim, &path).unwrap(), &|| drop(UnixListener::bind(&path).unwrap()), &|| {
            files.make_directory(&path.join("filled")).unwrap();
        }];
    for put in obstacles {
        files.remove(&path).unwrap();
        put();
        let mut partial = files.partial(&path).unwrap();
        assert_eq!(partial.length(), 0);
        partial.append(b"x").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn modes_are_set_and_links_are_not_followed() {
    let (scratch, files) = scratch();
    let (path, link) = (scratch.path().join("file"), scratch.path().join("link"));
    files.write_new(&path, b"").unwrap();
    files.set_mode(&path, 0o444).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o444);
    files.make_link(&link, &path).unwrap();
    assert!(files.set_mode(&link, 0o666).is_err());
}

#[test]
fn free_space_is_that_of_the_nearest_directory_there_is() {
    let (scratch, files) = scratch();
    let deep = scratch.path().join("not/yet/there");
    let free = files.free_space(&deep).unwrap();
    let found = rustix::fs::statvfs(scratch.path()).unwrap();
    // Others write at the same time
    assert!(free > 0 && free <= found.f_blocks * found.f_frsize);
    assert_eq!(files.disk_size(&deep).unwrap(), found.f_blocks * found.f_frsize);
}

#[test]
fn a_path_below_a_detour_goes_through_its_descriptor() {
    let scratch = tempfile::tempdir().unwrap();
    let (bare, covered) = (scratch.path().join("bare"), scratch.path().join("covered"));
    fs::create_dir_all(bare.join("inner")).unwrap();
    fs::create_dir_all(&covered).unwrap();
    let elsewhere = scratch.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let descriptor = |path: &Path| OwnedFd::from(File::open(path).unwrap());
    // The nested detour is named last and wins all the same
    let detours = vec![(covered.clone(), descriptor(&bare)), (covered.join("inner"), descriptor(&elsewhere))];
    let view = detours.into_iter().fold(View::of(Path::new("/")), |view, (path, descriptor)| {
        view.with(path, Directory::open(descriptor))
    });
    let files = Files::of(view);

    files.make_directory(&covered.join("images/x")).unwrap();
    files.save(&covered.join("images/x/state"), b"1").unwrap();
    files.point(&covered.join("current"), Path::new("images/x")).unwrap();
    files.partial(&covered.join("inner/partial")).unwrap().append(b"2").unwrap();
    files.rename(&covered.join("inner/partial"), &covered.join("whole")).unwrap();
    assert_eq!(names(&files, &covered), ["current", "images", "inner", "whole"]);
    assert_eq!(files.read_link(&covered.join("current")).unwrap().unwrap(), Path::new("images/x"));
    assert_eq!(fs::read(bare.join("images/x/state")).unwrap(), b"1");
    assert_eq!(fs::read(bare.join("whole")).unwrap(), b"2");
    assert_eq!(fs::read_dir(&covered).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(files.free_space(&covered.join("inner/deep")).unwrap() > 0);
    // A name that only begins like the prefix is another one
    files.write_new(&scratch.path().join("covered-not"), b"").unwrap();
    assert!(scratch.path().join("covered-not").exists());
}

#[test]
fn a_path_that_could_leave_a_detour_is_refused() {
    let files = Files::new();
    for path in ["/opt/../etc/passwd", "relative"] {
        let error = files.write_new(Path::new(path), b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), format!("cannot resolve {path}: not an absolute path without .."));
    }
}

#[test]
fn absolute_links_below_another_root_do_not_leave_it() {
    let scratch = tempfile::tempdir().unwrap();
    let outside = scratch.path().canonicalize().unwrap().join("outside");
    let root = scratch.path().canonicalize().unwrap().join("root");
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(outside.join("file"), "outside").unwrap();
    symlink(&outside, root.join("etc/sysupdate.d")).unwrap();
    symlink("/etc/motd", root.join("etc/link")).unwrap();
    let files = Files::new();
    let path = root.join("etc/sysupdate.d/file");
    assert_eq!(files.read(&path, 9).unwrap().as_deref(), Some(b"outside".as_slice()));
    let files = Files::of(View::of(&root));
    assert_eq!(files.read(&path, 9).unwrap(), None);
    assert_eq!(files.read(&outside.join("file"), 9).unwrap().as_deref(), Some(b"outside".as_slice()));
    files.make_directory(&root.join("etc/sysupdate.d")).unwrap();
    files.save(&path, b"inside").unwrap();
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"outside");
    let inside = root.join(outside.strip_prefix("/").unwrap());
    assert_eq!(fs::read(inside.join("file")).unwrap(), b"inside");
    files.save(&root.join("etc/motd"), b"hello").unwrap();
    assert_eq!(files.read(&root.join("etc/link"), 9).unwrap().as_deref(), Some(b"hello".as_slice()));
}

#[test]
fn a_detour_below_another_root_is_taken_by_links_as_well() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().canonicalize().unwrap();
    let bare = root.join("bare");
    fs::create_dir_all(bare.join("images")).unwrap();
    fs::create_dir_all(root.join("opt")).unwrap();
    symlink("/opt/images", root.join("current")).unwrap();
    symlink("/opt/images", bare.join("again")).unwrap();
    let beneath = Directory::open(OwnedFd::from(File::open(&bare).unwrap()));
    let files = Files::of(View::of(&root).with("/opt".into(), beneath));
    files.save(&root.join("current/one"), b"1").unwrap();
    files.save(&root.join("opt/again/two"), b"2").unwrap();
    assert_eq!(names(&files, &root.join("opt/images")), ["one", "two"]);
    assert_eq!(fs::read(bare.join("images/two")).unwrap(), b"2");
    assert_eq!(fs::read_dir(root.join("opt")).unwrap().count(), 0);
}
