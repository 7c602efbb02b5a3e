//! Tests valid tables, and the errors for invalid ones.

use std::io::Cursor;

use super::*;
use crate::crc::crc32;

fn new(number: u8, size: u64) -> NewPartition {
    let id = Guid([number; 16]);
    NewPartition { kind: Guid([0x77; 16]), id, size, flags: 1 << 60, name: format!("partition {number} ü") }
}

fn layout(sector: Sector) -> Layout {
    Layout::new(sector, Guid([9; 16]), vec![new(1, 8192), new(2, 4096)]).unwrap()
}

fn image(layout: &Layout) -> Vec<u8> {
    let table = layout.table();
    let size: u64 = table.partitions.iter().map(|partition| partition.size).sum();
    let image = [layout.head(), vec![0xff; usize::try_from(size).unwrap()], layout.tail()].concat();
    assert_eq!(image.len() as u64, table.size());
    image
}

fn read(image: &[u8]) -> Result<Table, ReadError> {
    Table::read(&mut Cursor::new(image))
}

/// Corrects the checksums of the primary copy.
fn fix_checksums(image: &mut [u8], sector: usize) {
    let crc = crc32(&image[2 * sector..2 * sector + 128 * 128]).to_le_bytes();
    image[sector + 88..sector + 92].copy_from_slice(&crc);
    fix_header_checksum(&mut image[sector..sector + 92]);
}

fn fix_header_checksum(header: &mut [u8]) {
    header[16..20].fill(0);
    let crc = crc32(header).to_le_bytes();
    header[16..20].copy_from_slice(&crc);
}

#[test]
fn written_tables_are_read_back() {
    for sector in Sector::ALL {
        let layout = layout(sector);
        assert_eq!(read(&image(&layout)).unwrap(), *layout.table(), "{sector:?}");
        let full = Layout::new(sector, Guid([9; 16]), (0..128).map(|n| new(n, 4096)).collect()).unwrap();
        assert_eq!(read(&image(&full)).unwrap().partitions.len(), 128);
        let empty = Layout::new(sector, Guid([9; 16]), Vec::new()).unwrap();
        assert_eq!(read(&image(&empty)).unwrap(), *empty.table());
    }
}

#[test]
fn an_image_may_be_longer_than_its_table() {
    let layout = layout(Sector::Bytes512);
    assert_eq!(read(&[image(&layout), vec![0; 100_000]].concat()).unwrap(), *layout.table());
}

#[test]
fn invalid_layouts_are_rejected() {
    let lay_out =
        |new: Vec<NewPartition>| Layout::new(Sector::Bytes512, Guid::ZERO, new).unwrap_err().to_string();
    assert!(lay_out((0..129).map(|n| new(n, 4096)).collect()).starts_with("129 partitions exceed"));
    assert!(lay_out(vec![new(1, 0)]).contains("not a multiple of 4096"));
    assert!(lay_out(vec![new(1, 4097)]).contains("not a multiple of 4096"));
    assert!(lay_out(vec![new(1, 1 << 62), new(2, 1 << 62)]).contains("exceed the maximum size of a file"));
    assert!(lay_out(vec![NewPartition { name: "ü".repeat(37), ..new(1, 4096) }]).contains("longer than 36"));
}

#[test]
fn damage_is_detected_everywhere() {
    for sector in Sector::ALL {
        let good = image(&layout(sector));
        let size = usize::try_from(sector.size()).unwrap();
        let entries = 128 * 128;
        let (end, header) = (good.len(), 92);
        let headers = [size..size + header, end - size..end - size + header].into_iter().flatten();
        let entries = [2 * size..2 * size + entries, end - size - entries..end - size].into_iter().flatten();
        let mut wrong = good;
        for offset in headers.chain(entries.step_by(211)) {
            wrong[offset] ^= 0x10;
            assert!(read(&wrong).is_err(), "{sector:?}: byte {offset} is not checked");
            wrong[offset] ^= 0x10;
        }
    }
}

#[test]
fn truncated_images_are_rejected() {
    for sector in Sector::ALL {
        let good = image(&layout(sector));
        for length in (0..good.len()).step_by(61).chain([good.len() - 1]) {
            assert!(read(&good[..length]).is_err(), "{sector:?}: {length} bytes were accepted");
        }
    }
}

#[test]
fn invalid_headers_are_rejected_with_the_offset() {
    let good = image(&layout(Sector::Bytes512));
    for (at, bytes, reason) in [
        (8, &[2][..], "at offset 520: revision 0x10002 is unknown"),
        (12, &[93], "at offset 524: a header of 93 bytes is not supported, only 92"),
        (24, &[2], "at offset 536: the primary header claims to be in sector 2"),
        (32, &[0xff; 8], "ends at offset 53248, before the backup header at offset 18446744073709551615"),
        (32, &[1, 0], "at offset 536: the primary header, entries and partitions overlap"),
        (32, &[0xff, 0x7f], "ends at offset 53248, before the backup header at offset 16776704"),
        (40, &[33], "at offset 536: the primary header, entries and partitions overlap"),
        (48, &[0xff; 8], "at offset 536: the primary header, entries and partitions overlap"),
        (56, &[0], "at offset 52736: the backup header does not match the primary"),
        (72, &[1], "at offset 536: the primary header, entries and partitions overlap"),
        (72, &[0xff; 8], "at offset 536: the primary header, entries and partitions overlap"),
        (80, &[0], "at offset 592: 0 entries are not supported, only 1 to 128"),
        (80, &[0xff; 4], "at offset 592: 4294967295 entries are not supported, only 1 to 128"),
        (84, &[0xff; 4], "at offset 596: entries of 4294967295 bytes are not supported, only 128"),
        (84, &[0], "at offset 596: entries of 0 bytes are not supported, only 128"),
    ] {
        let mut wrong = good.clone();
        wrong[512 + at..][..bytes.len()].copy_from_slice(bytes);
        fix_header_checksum(&mut wrong[512..604]);
        let error = read(&wrong).unwrap_err().to_string();
        assert!(error.contains(reason), "{at}: {error}");
    }
    let mut wrong = good.clone();
    wrong[510] = 0;
    assert!(read(&wrong).unwrap_err().to_string().contains("no protective MBR"));
    wrong = good;
    wrong[512] = 0;
    assert!(matches!(read(&wrong), Err(ReadError::Absent)));
}

/// Both copies are equal and invalid.
#[test]
fn invalid_entries_are_rejected_with_the_offset() {
    let good = image(&layout(Sector::Bytes512));
    for (first, last, reason) in [
        (57u64, 56u64, "at offset 1184: partition 2 has sectors 57 to 56, which are outside 34 to 70"),
        (33, 40, "at offset 1184: partition 2 has sectors 33 to 40, which are outside 34 to 70"),
        (56, 71, "at offset 1184: partition 2 has sectors 56 to 71, which are outside 34 to 70"),
        (0, u64::MAX, "partition 2 has sectors 0 to 18446744073709551615"),
        (55, 63, "at offset 1184: partitions 1 and 2 overlap"),
        (34, 40, "at offset 1184: partitions 2 and 1 overlap"),
    ] {
        let mut wrong = good.clone();
        let place = [first.to_le_bytes(), last.to_le_bytes()].concat();
        let end = wrong.len();
        wrong[1024 + 128 + 32..][..16].copy_from_slice(&place);
        wrong[end - 512 - 128 * 128 + 128 + 32..][..16].copy_from_slice(&place);
        fix_checksums(&mut wrong, 512);
        let crc: Vec<u8> = wrong[512 + 88..512 + 92].to_vec();
        wrong[end - 512 + 88..end - 512 + 92].copy_from_slice(&crc);
        fix_header_checksum(&mut wrong[end - 512..end - 512 + 92]);
        let error = read(&wrong).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
