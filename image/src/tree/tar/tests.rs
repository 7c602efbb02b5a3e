//! Archives made by hand, and damaged ones.

use std::io::{Cursor, Write as _};
use std::path::Path;

use super::*;
use crate::progress::{Position, Stage};
use crate::tree::{Modes, Owner};

/// Builds an archive.
#[derive(Clone, Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn entry(self, kind: u8, path: &str, target: &str, content: &[u8]) -> Self {
        self.header(kind, path, target, &format!("{:011o}", content.len())).content(content)
    }

    fn header(mut self, kind: u8, path: &str, target: &str, size: &str) -> Self {
        let mut block = [0; 512];
        block[..path.len()].copy_from_slice(path.as_bytes());
        for (at, text) in [(100, "0004751"), (108, "0000007"), (116, "0000010"), (124, size), (136, "0")] {
            block[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        block[156] = kind;
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[329..336].copy_from_slice(b"0000001");
        block[337..344].copy_from_slice(b"0000003");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self
    }

    fn content(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(b'0', path, "", content)
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..).find(|all| all - all.to_string().len() == rest).unwrap();
            write!(bytes, "{length} {key}=").unwrap();
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        self.entry(b'x', "PaxHeaders/x", "", &bytes)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn keep() -> Rules {
    let mut rules =
        Rules { owner: Owner::Keep, modes: Modes::Keep, specials: Specials::Keep, ..Rules::default() };
    rules.xattrs.insert("user.x".to_owned());
    rules
}

/// Reads the archive as a stream and as a file, which must give the same result.
fn read(archive: &[u8], rules: &Rules) -> Result<Tree, TarError> {
    let scratch = std::env::temp_dir();
    let streamed = Tree::from_tar(&mut Cursor::new(archive), rules, &scratch);
    let progress = Progress::default();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(archive).unwrap();
    let filed = Tree::from_tar_file(file, Path::new("a.tar"), rules, &scratch, &progress);
    if let Some(Position { stage, done, total }) = progress.position().filter(|_| filed.is_ok()) {
        assert_eq!((stage, done, total), (Stage::Reading, archive.len() as u64, archive.len() as u64));
    }
    match (&streamed, &filed) {
        (Ok(streamed), Ok(filed)) => assert_eq!(lines(streamed), lines(filed)),
        (Err(streamed), Err(filed)) => assert_eq!(streamed.to_string(), filed.to_string()),
        (streamed, filed) => panic!("{streamed:?}\n{filed:?}"),
    }
    streamed
}

fn lines(tree: &Tree) -> Vec<String> {
    let line = |entry: crate::tree::Entry<'_>| {
        let Metadata { mode, uid, gid, xattrs } = &entry.node.metadata;
        let what = match &entry.node.kind {
            Kind::Directory(_) => "directory".to_owned(),
            Kind::Symlink(target) => format!("-> {}", target.display()),
            Kind::Special(special) => format!("{special:?}"),
            Kind::File(content) => {
                let mut bytes = vec![0; usize::try_from(content.size()).unwrap()];
                content.read_at(0, &mut bytes).unwrap();
                format!("{:?}", String::from_utf8_lossy(&bytes))
            }
        };
        format!("{} {mode:o} {uid}:{gid} {xattrs:?} {what}", entry.path.display())
    };
    tree.entries().map(line).collect()
}

fn refusal(archive: &[u8]) -> String {
    use std::error::Error as _;
    let error = read(archive, &Rules::default()).unwrap_err();
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn every_kind_of_entry_is_read() {
    let long = format!("usr/{}/file", "d".repeat(200));
    let archive = Archive::default()
        .entry(b'5', "./", "", b"")
        .entry(b'5', "./usr/", "", b"")
        .file("./usr/a", b"content")
        .entry(b'1', "usr/b", "./usr/a", b"")
        .entry(b'2', "usr/link", "../elsewhere", b"")
        .entry(b'3', "usr/null", "", b"")
        .entry(b'6', "usr/pipe", "", b"")
        .entry(b'L', "././@LongLink", "", format!("{long}\0").as_bytes())
        .file("usr/ddd", &[b'x'; 600])
        .pax(&[("path", b"usr/n\xc3\xa4me"), ("uid", b"4000000000"), ("SCHILY.xattr.user.x", b"\0\n=")])
        .file("usr/name", b"")
        .file("usr/after", b"its own name again");
    let found = lines(&read(&archive.end(), &keep()).unwrap());
    let expected = [
        " 4751 7:8 {} directory".to_owned(),
        "usr 4751 7:8 {} directory".to_owned(),
        "usr/a 4751 7:8 {} \"content\"".to_owned(),
        "usr/after 4751 7:8 {} \"its own name again\"".to_owned(),
        "usr/b 4751 7:8 {} \"content\"".to_owned(),
        format!("usr/{} 755 0:0 {{}} directory", "d".repeat(200)),
        format!("{long} 4751 7:8 {{}} \"{}\"", "x".repeat(600)),
        "usr/link 777 7:8 {} -> ../elsewhere".to_owned(),
        "usr/null 4751 7:8 {} Character(Device { major: 1, minor: 3 })".to_owned(),
        "usr/näme 4751 4000000000:8 {\"user.x\": [0, 10, 61]} \"\"".to_owned(),
        "usr/pipe 4751 7:8 {} Fifo".to_owned(),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_hard_link_is_a_second_name_and_a_later_entry_replaces_an_earlier_one() {
    let archive = Archive::default()
        .file("a", b"one")
        .entry(b'1', "b", "a", b"")
        .file("a", b"two")
        .file("c/d", b"")
        .end();
    let tree = read(&archive, &Rules::default()).unwrap();
    let found = lines(&tree);
    assert_eq!(found[1..3], ["a 4755 0:0 {} \"two\"", "b 4755 0:0 {} \"one\""]);
    let archive = Archive::default().file("a", b"one").entry(b'1', "b", "a", b"").end();
    let tree = read(&archive, &Rules::default()).unwrap();
    let ids: Vec<_> = tree.entries().map(|entry| entry.id).collect();
    assert_eq!(ids[1], ids[2]);
}

#[test]
fn release_files_get_the_strict_attribute_back() {
    let path = "usr/lib/extension-release.d/extension-release.x";
    let strict = |archive: Archive, path: &str| {
        let tree = read(&archive.end(), &Rules::default()).unwrap();
        tree.get(path).unwrap().metadata.xattrs.get(STRICT).cloned()
    };
    assert_eq!(strict(Archive::default().file(path, b"ID=_any\n"), path).unwrap(), b"0");
    let own = Archive::default().pax(&[("SCHILY.xattr.user.extension-release.strict", b"1")]);
    assert_eq!(strict(own.file(path, b"ID=_any\n"), path).unwrap(), b"1");
    assert_eq!(strict(Archive::default().file("usr/lib/x", b""), "usr/lib/x"), None);
}

#[test]
fn names_that_escape_are_rejected() {
    for (archive, words) in [
        (Archive::default().file("/etc/passwd", b""), "it is not relative"),
        (Archive::default().file("usr/../../x", b""), "it contains .."),
        (
            Archive::default().file(&"n".repeat(99), b"").pax(&[("path", &[b'n'; 256])]).file("x", b""),
            "256 bytes",
        ),
        (Archive::default().pax(&[("path", &b"d/".repeat(2048))]).file("x", b""), "longer than 4095 bytes"),
        (Archive::default().entry(b'2', "l", "/etc", b"").file("l/passwd", b""), "is not a directory"),
        (Archive::default().entry(b'1', "l", "../../etc/passwd", b""), "it contains .."),
        (Archive::default().entry(b'1', "l", "missing", b""), "no such file to link to"),
        (Archive::default().file("a", b"").entry(b'5', "a", "", b""), "is not a directory"),
        (Archive::default().entry(b'5', "a", "", b"").file("a", b""), "is not a file"),
        (Archive::default().pax(&[("path", b"a\0b")]).file("x", b""), "it contains a NUL"),
        (Archive::default().file("..", b""), "it contains .."),
        (Archive::default().entry(b'2', "l", "", b""), "1 to 4095 bytes"),
    ] {
        let message = refusal(&archive.end());
        assert!(message.contains(words), "{message:?} does not contain {words:?}");
        assert!(message.contains(" offset "), "{message}");
    }
}

#[test]
fn unsupported_entries_are_rejected() {
    for (archive, words) in [
        (Archive::default().entry(b'S', "a", "", b""), "a sparse file"),
        (Archive::default().pax(&[("GNU.sparse.major", b"1")]).file("a", b""), "a sparse file"),
        (Archive::default().entry(b'3', "a", "", b""), "a device node or fifo, which an extension"),
        (
            Archive::default().file("b", b"").entry(b'1', "a", "b", b"x"),
            "not a regular file, but has content",
        ),
        (Archive::default().entry(b'M', "a", "", b""), "of an unknown type"),
    ] {
        let message = refusal(&archive.end());
        assert!(message.contains(words), "{message:?} does not contain {words:?}");
    }
}

#[test]
fn damage_is_reported_with_its_offset() {
    let whole = Archive::default().file("a", b"content").file("b", &[b'x'; 5000]).end();
    let cut = |length: usize| refusal(&whole[..length]);
    assert_eq!(cut(0), "the archive is truncated: it ends at offset 0, without an end marker");
    assert_eq!(cut(100), "the archive is truncated: it ends at offset 100, inside an entry");
    assert_eq!(cut(514), "the archive is truncated: it ends at offset 514, inside an entry");
    assert_eq!(cut(1024), "the archive is truncated: it ends at offset 1024, without an end marker");
    assert_eq!(cut(4000), "the archive is truncated: it ends at offset 4000, inside an entry");
    assert!(read(&whole[..whole.len() - 512], &Rules::default()).is_ok(), "one block of zeros is enough");
    let mut flipped = whole.clone();
    flipped[1030] ^= 1;
    assert_eq!(refusal(&flipped), "invalid tar header at offset 1024: its checksum is wrong");
    assert!(refusal(&[7; 2000]).starts_with("invalid tar header at offset 0: "));
    let huge = Archive::default().header(b'0', "a", "", "77777777777").end();
    assert!(refusal(&huge).contains("inside an entry"));
    let huge = Archive::default().header(b'L', "a", "", "77777777777").end();
    assert!(refusal(&huge).ends_with("a name or record is longer than 1 MiB"));
}

#[test]
fn compressed_archives_are_read_to_their_last_byte() {
    let plain = Archive::default().file("a", &b"content ".repeat(1000)).end();
    let expected = lines(&read(&plain, &Rules::default()).unwrap());
    let zstd = zstd::encode_all(&plain[..], 3).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    for (name, packed) in [("zstd", zstd), ("gzip", gzip.finish().unwrap()), ("xz", xz.finish().unwrap())] {
        assert_eq!(lines(&read(&packed, &Rules::default()).unwrap()), expected, "{name}");
        // The compressed data continues after the end of the archive.
        let cut = packed.len() - 1;
        let early = format!("cannot decompress the {name} data at offset {cut}: unexpected end");
        assert_eq!(refusal(&packed[..cut]), early);
        let end = packed.len();
        let trailing = format!("cannot decompress the {name} data at offset {end}: trailing data");
        assert_eq!(refusal(&[&packed, &b"x"[..]].concat()), trailing);
    }
}

#[test]
fn unsupported_formats_are_named() {
    let error = read(b"BZh91AY&SYrest", &Rules::default()).unwrap_err();
    assert_eq!(error.to_string(), "it is compressed with bzip2");
    assert_eq!(
        error.hint().unwrap(),
        "decompress it first with bzip2 -dc; supported are tar archives, plain or compressed with gzip, xz or zstd"
    );
    let error = read(b"!<arch>\ndebian-binary   ", &Rules::default()).unwrap_err();
    assert!(error.hint().unwrap().contains("dpkg-deb --fsys-tarfile"));
}

#[test]
fn a_thousand_damaged_archives_end_in_a_tree_or_an_error() {
    let archive = Archive::default()
        .entry(b'L', "././@LongLink", "", b"usr/a-long-name\0")
        .file("usr/x", b"content")
        .pax(&[("path", b"usr/pax"), ("size", b"3")])
        .file("usr/y", b"abc")
        .entry(b'2', "usr/l", "x", b"")
        .end();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let mut accepted = 0;
    for _ in 0..1000 {
        let mut damaged = archive.clone();
        for _ in 0..=random(3) {
            let at = random(damaged.len());
            damaged[at] ^= 1 << random(8);
        }
        damaged.truncate(archive.len() - random(2) * random(archive.len()));
        let tree = Tree::from_tar(&mut Cursor::new(damaged), &Rules::default(), &std::env::temp_dir());
        accepted += usize::from(tree.is_ok());
    }
    assert!((1..900).contains(&accepted), "{accepted} of 1000 were accepted");
}
