//! Encodes directories: blocks of entries, sorted by name across all blocks.

use crate::erofs::format::{BLOCK, BLOCK_USIZE, DIRENT, FileType, dirent};

/// A directory entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a, T> {
    pub(super) name: &'a [u8],
    pub(super) target: T,
    pub(super) file_type: FileType,
}

/// The size in bytes of a directory with these names. Its last block is not padded.
pub(super) fn size<T>(names: &[Name<'_, T>]) -> u64 {
    let blocks = split(names);
    let last = blocks.last().map_or(0, |block| used(block));
    // A usize always fits into 64 bits.
    (blocks.len() as u64).saturating_sub(1) * BLOCK + last as u64
}

/// The bytes of a directory with these sorted names. `nid` returns the inode number of a target.
pub(super) fn encode<T: Copy>(names: &[Name<'_, T>], nid: impl Fn(T) -> u64) -> Vec<u8> {
    let mut out = Vec::new();
    for block in split(names) {
        out.resize(out.len().next_multiple_of(BLOCK_USIZE), 0);
        let mut offset = block.len() * DIRENT;
        for name in block {
            let name_offset = u16::try_from(offset).expect("an offset within a block");
            out.extend_from_slice(&dirent(nid(name.target), name_offset, name.file_type));
            offset += name.name.len();
        }
        for name in block {
            out.extend_from_slice(name.name);
        }
    }
    out
}

/// Distributes names to blocks.
fn split<'n, 'a, T>(names: &'n [Name<'a, T>]) -> Vec<&'n [Name<'a, T>]> {
    let mut blocks = Vec::new();
    let (mut start, mut filled) = (0, 0);
    for (position, name) in names.iter().enumerate() {
        let size = DIRENT + name.name.len();
        if filled + size > BLOCK_USIZE {
            blocks.push(&names[start..position]);
            (start, filled) = (position, 0);
        }
        filled += size;
    }
    blocks.push(&names[start..]);
    blocks
}

fn used<T>(block: &[Name<'_, T>]) -> usize {
    block.iter().map(|name| DIRENT + name.name.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[String]) -> Vec<Name<'_, u64>> {
        let numbered = list.iter().zip(0..);
        numbered
            .map(|(name, target)| Name { name: name.as_bytes(), target, file_type: FileType::Regular })
            .collect()
    }

    #[test]
    fn a_small_directory_has_the_size_of_its_entries() {
        let list = ["..".to_owned(), "a".to_owned()];
        let bytes = encode(&names(&list), |target| target + 7);
        assert_eq!(bytes.len() as u64, size(&names(&list)));
        assert_eq!(bytes[..12], [7, 0, 0, 0, 0, 0, 0, 0, 24, 0, 1, 0]);
        assert_eq!(bytes[12..24], [8, 0, 0, 0, 0, 0, 0, 0, 26, 0, 1, 0]);
        assert_eq!(&bytes[24..], b"..a");
    }

    #[test]
    fn names_do_not_cross_blocks() {
        let list: Vec<String> = (0..5000).map(|n| format!("{n:05}-{}", "x".repeat(n % 240))).collect();
        let bytes = encode(&names(&list), |target| target);
        assert_eq!(bytes.len() as u64, size(&names(&list)));
        let mut seen = 0u64;
        for block in bytes.chunks(BLOCK_USIZE) {
            let first = usize::from(u16::from_le_bytes([block[8], block[9]]));
            assert_eq!(first % DIRENT, 0);
            for entry in block[..first].chunks(DIRENT) {
                assert_eq!(u64::from_le_bytes(entry[..8].try_into().unwrap()), seen);
                let offset = usize::from(u16::from_le_bytes([entry[8], entry[9]]));
                assert!(block[offset..].starts_with(list[usize::try_from(seen).unwrap()].as_bytes()));
                seen += 1;
            }
        }
        assert_eq!(seen, 5000);
    }

    #[test]
    fn a_block_can_be_exactly_full() {
        let list: Vec<String> = (0..16).map(|n| format!("{n:02}{}", "y".repeat(242))).collect();
        assert_eq!(size(&names(&list)), BLOCK);
        assert_eq!(encode(&names(&list), |target| target).len(), BLOCK_USIZE);
    }
}
