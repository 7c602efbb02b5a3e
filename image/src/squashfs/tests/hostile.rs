//! Damaged images are errors at most, after a bounded number of reads.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// More reads than any damaged image of this size may take.
const MOST_READS: u64 = 100_000;

/// Does all that can be done with an image, up to a bound; returns the reads that it takes.
fn exercise(image: &[u8]) -> u64 {
    let reads = AtomicU64::new(0);
    if let Ok(reader) = Reader::open(Counting { inner: Cursor::new(image), reads: &reads }) {
        let mut left = 1 << 20;
        for entry in reader.entries().unwrap_or_default() {
            if let Ok(file) = reader.file(&entry) {
                left -= io::copy(&mut file.take(left), &mut io::sink()).unwrap_or(0);
            }
        }
        drop(reader.read("usr/tail", 1 << 16));
        drop(reader.list("many"));
        drop(reader.xattrs("text"));
    }
    reads.into_inner()
}

struct Counting<'a, R> {
    inner: R,
    reads: &'a AtomicU64,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read(buffer)
    }
}

impl<R: Seek> Seek for Counting<'_, R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

#[test]
fn a_truncated_image_is_an_error() -> Result {
    for codec in CODECS {
        let image = victim(codec)?;
        // What follows the image itself is only padding.
        let length = u64::from_le_bytes(image[40..48].try_into()?);
        for cut in (0..image.len()).step_by(512).filter(|cut| (*cut as u64) < length) {
            match open(&image[..cut]) {
                Err(ReadError::Open(Fault::NotSquashfs)) => assert_eq!(cut, 0),
                Err(ReadError::Open(Fault::Truncated { expected, found })) => {
                    assert_eq!((expected, found), (length, cut as u64));
                }
                other => panic!("{codec}: cut at {cut}: {other:?}"),
            }
            // The same if the superblock has the length of the file.
            let mut claimed = image[..cut].to_vec();
            if cut > 0 {
                claimed[40..48].copy_from_slice(&(cut as u64).to_le_bytes());
            }
            assert!(exercise(&claimed) < MOST_READS, "{codec}: cut at {cut}");
        }
    }
    Ok(())
}

#[test]
fn flipped_bits_are_an_error_at_worst() -> Result {
    let mut random = Random(13);
    for codec in CODECS {
        let image = victim(codec)?;
        let tables = usize::try_from(u64::from_le_bytes(image[64..72].try_into()?))?;
        for round in 0..2000 {
            let mut damaged = image.clone();
            // Mostly in the superblock and the tables.
            let (start, end) = match round % 4 {
                0 => (0, image.len()),
                1 => (0, 96),
                _ => (tables, image.len()),
            };
            for _ in 0..=random.below(4) {
                damaged[start + random.below(end - start)] ^= 1 << random.below(8);
            }
            assert!(exercise(&damaged) < MOST_READS, "{codec}: round {round}");
        }
    }
    Ok(())
}

/// Replaces every number in uncompressed tables with extreme values.
#[test]
fn extreme_numbers_are_an_error_at_worst() -> Result {
    let image = victim("none")?;
    let tables = usize::try_from(u64::from_le_bytes(image[64..72].try_into()?))?;
    for position in (0..96).chain(tables..image.len() - 4).step_by(2) {
        for number in [0, u32::MAX, u32::MAX >> 1, 1 << 24] {
            let mut damaged = image.clone();
            damaged[position..position + 4].copy_from_slice(&number.to_le_bytes());
            assert!(exercise(&damaged) < MOST_READS, "{number:#x} at {position}");
        }
    }
    Ok(())
}

/// The offset of the directory entry of a name in an uncompressed image.
fn entry_of(image: &[u8], name: &str) -> usize {
    image.windows(name.len()).position(|window| window == name.as_bytes()).unwrap() - 8
}

fn message(error: &ReadError) -> String {
    format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
}

#[test]
fn a_directory_inside_itself_is_an_error_with_its_path() -> Result {
    let mut tree = Tree::new();
    tree.insert_directory("outer-name/inner-name", Metadata::new(0o755))?;
    let mut image = image(&tree, "none")?;
    let outer = open(&image)?.entries()?[1].inode.to_le_bytes();
    let at = entry_of(&image, "inner-name");
    image[at..at + 2].copy_from_slice(&outer[..2]);
    let text = message(&open(&image)?.entries().unwrap_err());
    let expected = "cannot list /outer-name/inner-name in the squashfs image: damaged at offset ";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with(": a directory has two names or contains itself"), "{text}");
    // A path can repeat the name any number of times.
    assert_eq!(open(&image)?.list("outer-name/inner-name/inner-name")?, Some(vec!["inner-name".into()]));
    Ok(())
}

#[test]
fn names_that_escape_are_rejected() -> Result {
    let mut tree = Tree::new();
    for name in ["aa-name", "bb-name"] {
        tree.insert_bytes(name, "x", Metadata::new(0o644))?;
    }
    let image = image(&tree, "none")?;
    let renamed = |old: &str, new: &[u8]| {
        let mut image = image.clone();
        let at = entry_of(&image, old) + 8;
        image[at..at + new.len()].copy_from_slice(new);
        message(&open(&image).unwrap().entries().unwrap_err())
    };
    for name in ["../name", "/a-name", "a\0-name"] {
        let text = renamed("aa-name", name.as_bytes());
        assert!(text.ends_with("a directory contains an invalid name"), "{text}");
    }
    for name in ["aa-name", "aa-aaaa"] {
        let text = renamed("bb-name", name.as_bytes());
        assert!(text.ends_with("the names in a directory are not sorted or not unique"), "{text}");
    }
    Ok(())
}

/// A thousand directories that share one listing have far more names than the image has room for.
#[test]
fn tables_with_far_too_many_entries_are_rejected() -> Result {
    let mut tree = Tree::new();
    tree.insert_bytes("file", "", Metadata::new(0o644))?;
    for number in 0..250 {
        tree.insert_link(format!("full/{number:04}"), "file")?;
    }
    for number in 0..1000 {
        tree.insert_directory(format!("many/{number:04}"), Metadata::new(0o755))?;
    }
    let mut image = image(&tree, "none")?;
    let table = usize::try_from(u64::from_le_bytes(image[64..72].try_into()?))?;
    let entries = open(&image)?.entries()?;
    let inode_of = |bits: u64| {
        let (block, offset) = (usize::try_from(bits >> 16)?, usize::try_from(bits & 0xffff)?);
        // A block of this table has two bytes before it, and some inodes reach into the next.
        Ok::<_, Box<dyn Error>>((offset < 8192 - 32).then_some(table + block + 2 + offset))
    };
    let full = entries.iter().find(|entry| entry.path.as_os_str() == "full").unwrap();
    let full: Vec<u8> = image[inode_of(full.inode)?.unwrap()..][..28].to_vec();
    for entry in
        entries.iter().filter(|entry| entry.path.parent().is_some_and(|parent| parent.as_os_str() == "many"))
    {
        if let Some(at) = inode_of(entry.inode)? {
            image[at + 16..at + 28].copy_from_slice(&full[16..]);
        }
    }
    let error = open(&image)?.entries().unwrap_err();
    assert!(matches!(error, ReadError::List { source: Fault::Exhausted { .. }, .. }), "{error:?}");
    Ok(())
}

#[test]
fn unsupported_images_are_rejected_by_name() -> Result {
    let image = victim("gzip")?;
    let with = |offset: usize, byte: u8| {
        let mut image = image.clone();
        image[offset] = byte;
        message(&open(&image).unwrap_err())
    };
    let start = "cannot open the squashfs image: ";
    assert_eq!(with(20, 3), format!("{start}it is compressed with lzo, which is not supported"));
    assert_eq!(with(20, 9), format!("{start}it is compressed with number 9, which is not supported"));
    assert_eq!(with(28, 3), format!("{start}version 3.0 is not supported, only 4.0"));
    assert_eq!(with(0, b's'), format!("{start}there is no squashfs superblock at offset 0"));
    assert_eq!(with(22, 11), format!("{start}damaged at offset 12: invalid block size"));
    Ok(())
}
