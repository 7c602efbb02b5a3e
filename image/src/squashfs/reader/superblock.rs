//! Reads the superblock, and checks that the tables are inside the image.

use super::Fault;
use super::blocks::{get_16, get_32, get_64};
use crate::squashfs::format::{
    BLOCK_LOG_MAX, BLOCK_LOG_MIN, Compression, MAGIC, NONE, Place, SUPERBLOCK, Superblock,
};

/// The superblock of an image in a file of `found` bytes.
pub(super) fn parse(bytes: &[u8; SUPERBLOCK], found: u64) -> Result<(Superblock, Compression), Fault> {
    if get_32(bytes, 0) != MAGIC {
        return Err(Fault::NotSquashfs);
    }
    let (major, minor) = (get_16(bytes, 28), get_16(bytes, 30));
    if (major, minor) != (4, 0) {
        return Err(Fault::Version { major, minor });
    }
    let number = get_16(bytes, 20);
    let compression = Compression::from_number(number).ok_or_else(|| Fault::Compression {
        name: match number {
            2 => "lzma".to_owned(),
            3 => "lzo".to_owned(),
            _ => format!("number {number}"),
        },
    })?;
    let superblock = Superblock {
        inodes: get_32(bytes, 4),
        time: get_32(bytes, 8),
        block_log: block_log(get_16(bytes, 22), get_32(bytes, 12))?,
        fragments: get_32(bytes, 16),
        compression: number,
        flags: get_16(bytes, 24),
        ids: get_16(bytes, 26),
        root: Place::from_bits(get_64(bytes, 32)),
        length: get_64(bytes, 40),
        id_table: get_64(bytes, 48),
        xattr_table: get_64(bytes, 56),
        inode_table: get_64(bytes, 64),
        directory_table: get_64(bytes, 72),
        fragment_table: get_64(bytes, 80),
        export_table: get_64(bytes, 88),
    };
    let length = superblock.length;
    if length > found {
        return Err(Fault::Truncated { expected: length, found });
    }
    let inside = |table: u64| (SUPERBLOCK as u64..length).contains(&table);
    for (offset, is_right, what) in [
        (64, inside(superblock.inode_table), "the inode table is outside the image"),
        (72, inside(superblock.directory_table), "the directory table is outside the image"),
        (72, superblock.inode_table < superblock.directory_table, "the tables are out of order"),
        (48, inside(superblock.id_table), "the owner table is outside the image"),
        (
            80,
            superblock.fragments == 0 || inside(superblock.fragment_table),
            "the fragment table is outside the image",
        ),
        (
            56,
            superblock.xattr_table == NONE || inside(superblock.xattr_table),
            "the table of extended attributes is outside the image",
        ),
    ] {
        if !is_right {
            return Err(Fault::Damaged { offset, what });
        }
    }
    Ok((superblock, compression))
}

fn block_log(log: u16, size: u32) -> Result<u8, Fault> {
    (BLOCK_LOG_MIN..=BLOCK_LOG_MAX)
        .find(|known| u16::from(*known) == log && 1 << known == size)
        .ok_or(Fault::Damaged { offset: 12, what: "invalid block size" })
}
