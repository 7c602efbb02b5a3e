//! Finds out which kind of image a file holds, from magic numbers at a few fixed offsets. Whether the rest
//! of it is valid is for the readers of each kind to check.

use std::io::{self, Read, Seek, SeekFrom};

use crate::format::Format;
use crate::gpt;

/// How much of an image is looked at, in bytes: a partition table with sectors of 4096 bytes needs the most.
const HEAD: usize = 4096 + gpt::MAGIC.len();

/// The kind of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// A file system.
    Filesystem(Format),
    /// A disk with a GUID partition table.
    Disk,
    /// None of these.
    Unknown,
}

/// The start of an image could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the image at offset {offset}")]
pub struct ProbeError {
    /// Offset of the read, in bytes.
    pub offset: u64,
    /// The error of the system.
    pub source: io::Error,
}

/// Finds out the kind of `image` from its first few KiB. The position afterwards is unspecified. An open file
/// can be probed as `&mut &file`.
pub fn probe(image: &mut (impl Read + Seek)) -> Result<ImageKind, ProbeError> {
    let mut head = Vec::with_capacity(HEAD);
    image
        .seek(SeekFrom::Start(0))
        .and_then(|_| image.take(HEAD as u64).read_to_end(&mut head))
        .map_err(|source| ProbeError { offset: 0, source })?;
    Ok(identify(&head))
}

/// The kind of an image that begins with `head`. A partition table counts more than a file system in the
/// space before the first partition or around the table, so that all programs see the same image.
fn identify(head: &[u8]) -> ImageKind {
    let has = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let is_disk = gpt::Sector::ALL
        .iter()
        .any(|sector| has(usize::try_from(sector.size()).expect("at most 4096 bytes"), gpt::MAGIC));
    let is_format = |format: &Format| has(format.superblock_offset(), &format.magic().to_le_bytes());
    match Format::ALL.into_iter().find(is_format) {
        _ if is_disk => ImageKind::Disk,
        Some(format) => ImageKind::Filesystem(format),
        None => ImageKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn image(magics: &[(usize, &[u8])]) -> Vec<u8> {
        let mut image = vec![0; 8192];
        for (offset, magic) in magics {
            image[*offset..offset + magic.len()].copy_from_slice(magic);
        }
        image
    }

    #[test]
    fn each_kind_is_recognised_by_its_magic_number() {
        const EROFS: &[u8] = &[0xe2, 0xe1, 0xf5, 0xe0];
        let (erofs, squashfs) =
            (ImageKind::Filesystem(Format::Erofs), ImageKind::Filesystem(Format::Squashfs));
        for (magics, kind) in [
            (&[(1024, EROFS)][..], erofs),
            (&[(0, b"hsqs")], squashfs),
            (&[(512, b"EFI PART")], ImageKind::Disk),
            (&[(4096, b"EFI PART")], ImageKind::Disk),
            (&[(512, b"EFI PART"), (1024, EROFS)], ImageKind::Disk),
            (&[(0, b"hsqs"), (4096, b"EFI PART")], ImageKind::Disk),
            (&[(0, b"hsqs"), (1024, EROFS)], erofs),
            (&[(1, b"hsqs")], ImageKind::Unknown),
            (&[(1020, EROFS)], ImageKind::Unknown),
            (&[], ImageKind::Unknown),
        ] {
            assert_eq!(probe(&mut Cursor::new(image(magics))).unwrap(), kind, "{magics:?}");
        }
    }

    #[test]
    fn a_short_image_is_unknown() {
        for length in [0, 1, 3, 512, 1026] {
            let mut image = image(&[(1024, &[0xe2, 0xe1, 0xf5, 0xe0])]);
            image.truncate(length);
            assert_eq!(probe(&mut Cursor::new(image)).unwrap(), ImageKind::Unknown, "{length}");
        }
    }

    #[test]
    fn an_unreadable_image_is_an_error() {
        /// A disk that cannot be read.
        struct Broken;

        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }

        impl Seek for Broken {
            fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
                Ok(0)
            }
        }

        assert_eq!(probe(&mut Broken).unwrap_err().to_string(), "cannot read the image at offset 0");
    }

    #[test]
    fn an_open_file_can_be_probed_and_is_left_open() {
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"hsqs", 0).unwrap();
        assert_eq!(probe(&mut &file).unwrap(), ImageKind::Filesystem(Format::Squashfs));
    }
}
