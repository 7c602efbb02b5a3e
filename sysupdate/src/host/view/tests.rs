use std::fs::{self, File};
use std::os::unix::fs::symlink;

use super::*;

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().canonicalize().unwrap();
    (scratch, root)
}

#[test]
fn resolves_links_inside_the_root() {
    let (_scratch, root) = scratch();
    fs::create_dir_all(root.join("var/images/a")).unwrap();
    fs::write(root.join("var/images/a/a-1.raw"), "").unwrap();
    symlink("/var/images", root.join("absolute")).unwrap();
    symlink("../../../../absolute/a/./a-1.raw", root.join("var/escape")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let view = View::of(&root);
    assert_eq!(view.resolve(Path::new("/var/escape")).unwrap(), Path::new("/var/images/a/a-1.raw"));
    assert_eq!(view.resolve(Path::new("/")).unwrap(), Path::new("/"));
    assert_eq!(view.path(Path::new("/")), root);
    for resolved in [view.resolve(Path::new("/loop")), view.resolve_missing(Path::new("/loop"), Last::Follow)]
    {
        assert_eq!(resolved.unwrap_err().raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    }
    assert_eq!(view.resolve_missing(Path::new("/loop"), Last::Keep).unwrap(), Path::new("/loop"));
    assert_eq!(view.resolve(Path::new("/absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    let missing = view.resolve_missing(Path::new("/absolute/b/../b.raw"), Last::Follow).unwrap();
    assert_eq!(missing, Path::new("/var/images/b.raw"));
}

#[test]
fn resolves_the_target_of_a_link_from_its_directory() {
    let (_scratch, root) = scratch();
    fs::create_dir_all(root.join("var/images")).unwrap();
    symlink("var/images", root.join("images")).unwrap();
    symlink("missing", root.join("var/images/last")).unwrap();
    let view = View::of(&root);
    let target = |text: &str| view.resolve_target(Path::new("/etc/extensions"), Path::new(text)).unwrap();
    assert_eq!(target("/opt/y"), Path::new("/opt/y"));
    assert_eq!(target("../../../../y"), Path::new("/y"));
    assert_eq!(target("../../images/last"), Path::new("/var/images/last"), "the last part is not followed");
}

#[test]
fn a_replaced_directory_hides_the_one_with_its_path() {
    let (_scratch, root) = scratch();
    fs::create_dir_all(root.join("opt/seen")).unwrap();
    fs::create_dir_all(root.join("bare/own")).unwrap();
    symlink("/opt/own", root.join("bare/link")).unwrap();
    let beneath = Directory::open(File::open(root.join("bare")).unwrap().into());
    let view = View::of(&root).with("/opt".into(), beneath);
    assert_eq!(view.resolve(Path::new("/opt/link")).unwrap(), Path::new("/opt/own"));
    assert_eq!(view.resolve(Path::new("/opt/seen")).unwrap(), Path::new("/opt/seen"));
    let exists = |(directory, rest): (&Directory, &Path)| directory.metadata(rest).is_ok();
    assert!(exists(view.place(Path::new("/opt/own"))) && !exists(view.place(Path::new("/opt/seen"))));
    assert!(exists(view.place_seen(Path::new("/opt/seen")).unwrap()), "it is seen through the merge");
    assert!(view.replacement(Path::new("/opt")).is_some() && view.replacement(Path::new("/usr")).is_none());
}

#[test]
fn a_link_in_a_directory_is_not_followed_out_of_it() {
    let (_scratch, root) = scratch();
    fs::create_dir_all(root.join("image/usr")).unwrap();
    fs::write(root.join("secret"), "secret").unwrap();
    fs::write(root.join("image/usr/long"), "12345").unwrap();
    symlink(root.join("secret"), root.join("image/usr/link")).unwrap();
    symlink(&root, root.join("image/usr/up")).unwrap();
    let open = Directory::open(File::open(root.join("image")).unwrap().into());
    for image in [&Directory::at(&root.join("image")), &open] {
        let kind = |path: &str| image.kind(Path::new(path)).unwrap();
        assert_eq!((kind("usr"), kind("usr/long")), (Some(Kind::Directory), Some(Kind::File)));
        assert_eq!(
            [kind("usr/link"), kind("usr/up/secret"), kind("usr/none")],
            [Some(Kind::Link), None, None]
        );
        for path in ["usr/link", "usr/up/secret"] {
            let error = image.read(Path::new(path), 9).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()), "{path}");
        }
        assert_eq!(image.read(Path::new("usr/long"), 5).unwrap(), b"12345");
        let error = image.read(Path::new("usr/long"), 4).unwrap_err();
        assert_eq!(error.to_string(), "more than 4 bytes");
        assert_eq!(image.metadata(Path::new("usr/link")).unwrap().kind, Kind::Link);
        assert_eq!(image.list(Path::new("usr")).unwrap().len(), 3);
    }
}

#[test]
fn paths_of_the_command_line_may_be_relative_and_have_dots() {
    let here = std::env::current_dir().unwrap().canonicalize().unwrap();
    assert_eq!(absolute(Path::new("./src/..")), here);
    assert_eq!(absolute(Path::new("not-there")), here.join("not-there"));
    assert!(is_directory(Path::new("src")) && !is_directory(Path::new("not-there")));
}
