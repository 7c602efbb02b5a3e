use super::*;
use crate::host::store::Files;

/// What both stores must do alike, below a directory that is there.
fn agree(store: &dyn Store, root: &Path) -> Vec<String> {
    let at = |name: &str| root.join(name);
    let mut seen = Vec::new();
    let mut note = |what: &str, result: Result<String>| {
        let result = result.map_err(|error| error.kind());
        seen.push(format!("{what}: {result:?}"));
    };
    let unit = |result: Result<()>| result.map(|()| String::new());
    let read = |name: &str, limit| store.read(&at(name), limit).map(|bytes| format!("{bytes:?}"));
    let list = |name: &str| store.list(&at(name)).map(|entries| format!("{entries:?}"));

    note("write without a directory", unit(store.write_new(&at("a/file"), b"1")));
    note("make", unit(store.make_directory(&at("a/b"))));
    note("make again", unit(store.make_directory(&at("a/b"))));
    note("save", unit(store.save(&at("a/file"), b"12")));
    note("read", read("a/file", 2));
    note("read too much", read("a/file", 1));
    note("read nothing", read("a/missing", 1));
    note("read below a file", read("a/file/x", 1));
    note("list", list("a"));
    note("list nothing", list("missing"));
    note("list a file", list("a/file"));
    note("point", unit(store.point(&at("a/link"), Path::new("file"))));
    note("point elsewhere", unit(store.point(&at("a/link"), Path::new("../a/b/../file"))));
    note("link over", unit(store.make_link(&at("a/link"), Path::new("x"))));
    note("read through", read("a/link", 10));
    note("read link", store.read_link(&at("a/link")).map(|target| format!("{target:?}")));
    note("read no link", store.read_link(&at("a/file")).map(|target| format!("{target:?}")));
    note("link to nothing", unit(store.make_link(&at("masked"), Path::new("/dev/null"))));
    note("read masked", read("masked", 10));
    note("mode of nothing", unit(store.set_mode(&at("missing"), 0o600)));
    note("grow", store.partial(&at("p")).and_then(|mut file| file.append(b"abc")).map(|()| String::new()));
    let grown = store.partial(&at("p")).and_then(|mut file| {
        file.append(b"d")?;
        let mut bytes = Vec::new();
        file.reread(&mut |chunk| bytes.extend_from_slice(chunk))?;
        file.restart()?;
        file.append(b"e")?;
        file.sync()?;
        Ok(format!("{bytes:?} {}", file.length()))
    });
    note("grow and restart", grown);
    note("grow where a link is", store.partial(&at("masked")).map(|file| file.length().to_string()));
    note("rename nothing", unit(store.rename(&at("missing"), &at("q"))));
    note("rename over a link", unit(store.rename(&at("p"), &at("a/link"))));
    note("rename a directory", unit(store.rename(&at("a"), &at("c"))));
    note("read moved", read("c/link", 10));
    note("remove", unit(store.remove(&at("c/file"))));
    note("remove again", unit(store.remove(&at("c/file"))));
    note("list all", list("."));
    note("list moved", list("c"));
    note("climb", unit(store.write_new(&at("../x"), b"")));
    seen
}

#[test]
fn files_in_memory_behave_as_files_on_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let fake = FakeStore::default();
    fake.make_directory(scratch.path()).unwrap();
    let (memory, disk) = (agree(&fake, scratch.path()), agree(&Files::new(), scratch.path()));
    for (memory, disk) in memory.iter().zip(&disk) {
        assert_eq!(memory, disk);
    }
    assert_eq!(disk.len(), 32);
}

/// What both stores must do alike below the root of another system, with links that would leave it.
fn agree_confined(store: &dyn Store, root: &Path) -> Vec<String> {
    let at = |name: &str| root.join(name);
    let mut seen = Vec::new();
    let mut note = |what: &str, result: Result<String>| {
        let result = result.map_err(|error| error.kind());
        seen.push(format!("{what}: {result:?}"));
    };
    let unit = |result: Result<()>| result.map(|()| String::new());
    let read = |name: &str| store.read(&at(name), 9).map(|bytes| format!("{bytes:?}"));
    let list = |name: &str| store.list(&at(name)).map(|entries| format!("{entries:?}"));

    note("link to a directory", unit(store.make_link(&at("opt"), Path::new("/var/opt"))));
    note("link upwards", unit(store.make_link(&at("up"), Path::new("../../../var/./opt/x"))));
    note("link to itself", unit(store.make_link(&at("loop"), Path::new("/loop"))));
    note("make behind a link", unit(store.make_directory(&at("opt/x"))));
    note("save behind a link", unit(store.save(&at("opt/x/file"), b"1")));
    note("read where it is", read("var/opt/x/file"));
    note("read behind a link", read("opt/x/file"));
    note("read behind both", read("up/file"));
    note("list behind a link", list("up"));
    note("link to a file", unit(store.point(&at("opt/current"), Path::new("/opt/x/file"))));
    note("read by the link", read("opt/current"));
    note("read the link", store.read_link(&at("opt/current")).map(|target| format!("{target:?}")));
    note("rename behind links", unit(store.rename(&at("opt/x/file"), &at("up/other"))));
    note("read nothing", read("opt/current"));
    note("remove behind a link", unit(store.remove(&at("opt/x/other"))));
    note("remove a link", unit(store.remove(&at("opt/current"))));
    note("list the rest", list("opt"));
    note("grow behind a link", store.partial(&at("up/p")).map(|file| file.length().to_string()));
    note("make a link's target", unit(store.make_link(&at("later"), Path::new("/srv/later"))));
    note("make by the link", unit(store.make_directory(&at("later/deep"))));
    note("list what was made", list("srv"));
    seen
}

#[test]
fn links_of_another_root_lead_nowhere_else_on_either() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().canonicalize().unwrap().join("root");
    let (fake, files) = (FakeStore::default(), Files::new());
    for store in [&fake as &dyn Store, &files] {
        store.make_directory(&root).unwrap();
    }
    let (fake, files) = (fake.within(View::of(&root)), files.within(View::of(&root)));
    let (memory, disk) = (agree_confined(&*fake, &root), agree_confined(&*files, &root));
    for (memory, disk) in memory.iter().zip(&disk) {
        assert_eq!(memory, disk);
    }
    assert_eq!(disk.len(), 21);
    assert!(disk.iter().filter(|line| line.contains("Err")).count() == 0, "{disk:#?}");
    assert!(files.read(&root.join("loop"), 1).is_err() && fake.read(&root.join("loop"), 1).is_err());
}

#[test]
fn a_stopped_store_changes_nothing_and_goes_on_later() {
    let store = FakeStore::default();
    store.put("/var/x", b"old");
    store.stop_before(1);
    // Written beside, and not yet renamed
    store.save(Path::new("/var/x"), b"new").unwrap_err();
    assert_eq!(store.bytes("/var/x").unwrap(), b"old");
    assert_eq!(store.changes(), ["write /var/.#x"]);
    store.go_on();
    store.save(Path::new("/var/x"), b"new").unwrap();
    assert_eq!(store.bytes("/var/x").unwrap(), b"new");
    assert_eq!(store.changes(), ["write /var/.#x", "write /var/.#x", "rename /var/x"]);
}

#[test]
fn a_full_disk_is_full_until_something_is_removed() {
    let store = FakeStore::default();
    store.set_free_space(3);
    store.write_new(Path::new("/a"), b"12").unwrap();
    let error = store.write_new(Path::new("/b"), b"12").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    store.remove(Path::new("/a")).unwrap();
    store.write_new(Path::new("/b"), b"12").unwrap();
}
