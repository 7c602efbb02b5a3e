//! Tests trees of every shape, and the errors for invalid ones.

use std::io::{Cursor, Read as _, Seek as _, SeekFrom};
use std::num::NonZero;

use super::*;

const SEED: Seed = Seed(*b"0123456789abcdef");

/// An image whose blocks all differ.
fn image(blocks: u64) -> Vec<u8> {
    (0..blocks * BLOCK / 8).flat_map(|number| (number * 0x9e37_79b9 + 1).to_le_bytes()).collect()
}

fn tree(image: &[u8], threads: usize) -> HashTree {
    let mut builder = Builder::new(Parameters::from_seed(&SEED), NonZero::new(threads));
    image.chunks(5000).for_each(|piece| builder.update(piece));
    builder.finish().unwrap()
}

fn file(tree: &HashTree) -> Vec<u8> {
    let mut file = Vec::new();
    tree.write_to(&mut file).unwrap();
    file
}

fn verify(image: &[u8], hashes: &[u8], root_hash: RootHash) -> Result<(), VerifyError> {
    Verifier::open(Cursor::new(hashes), 0, root_hash)?.verify(&mut Cursor::new(image))
}

#[test]
fn every_shape_verifies() {
    for blocks in [1, 2, 127, 128, 129, 300, 128 * 128, 128 * 128 + 1] {
        let image = image(blocks);
        let tree = tree(&image, 2);
        let file = file(&tree);
        assert_eq!(file.len() as u64, tree.size(), "{blocks}");
        verify(&image, &file, tree.root_hash()).unwrap_or_else(|error| panic!("{blocks} blocks: {error}"));
    }
}

#[test]
fn the_number_of_threads_does_not_change_the_tree() {
    let image = image(1500); // several batches and a rest
    let expected = file(&tree(&image, 1));
    for threads in [2, 3, 40] {
        assert_eq!(file(&tree(&image, threads)), expected, "{threads}");
    }
}

#[test]
fn empty_images_and_partial_blocks_are_rejected() {
    let finish = |size: usize| {
        let mut builder = Builder::new(Parameters::from_seed(&SEED), None);
        builder.update(&vec![1; size]);
        builder.finish().unwrap_err()
    };
    assert_eq!(finish(0).to_string(), "an empty image cannot have verity hashes");
    let error = finish(4097);
    assert_eq!(error.to_string(), "the image has 4097 bytes, but verity requires a multiple of 4096");
    assert_eq!(error.hint().unwrap(), "pad the image with zeros to 8192 bytes");
    assert!(Parameters::new(&[0; 256], [0; 16]).is_ok() && Parameters::new(&[0; 257], [0; 16]).is_err());
}

#[test]
fn the_first_wrong_block_is_reported() {
    let image = image(300);
    let tree = tree(&image, 1);
    let file = file(&tree);
    let mut wrong = image.clone();
    wrong[299 * 4096 + 4095] ^= 0x80;
    wrong[140 * 4096] ^= 1;
    let error = verify(&wrong, &file, tree.root_hash()).unwrap_err();
    assert!(matches!(error, VerifyError::Data { offset } if offset == 140 * 4096), "{error}");

    // Superblock, top, then three blocks of hashes
    for (at, level, offset, is_top) in [(4096, 2, 4096, true), (4 * 4096 - 1, 1, 3 * 4096, false)] {
        let mut wrong = file.clone();
        wrong[at] ^= 1;
        let error = verify(&image, &wrong, tree.root_hash()).unwrap_err();
        let VerifyError::Hash { level: l, offset: o, is_top: t } = error else { panic!("{error}") };
        assert_eq!((l, o, t), (level, offset, is_top));
    }
    let error = verify(&image, &file, RootHash([0; 32])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the hashes at offset 4096 of the verity data (level 2) do not match the root hash"
    );
}

#[test]
fn ranges_read_only_what_they_need() {
    let image = image(300);
    let tree = tree(&image, 1);
    let mut wrong = image;
    wrong[140 * 4096] ^= 1;
    let mut verifier = Verifier::open(Cursor::new(file(&tree)), 0, tree.root_hash()).unwrap();
    let mut check = |range| verifier.verify_range(&mut Cursor::new(&wrong), range);
    let block = |number: u64| number * 4096;
    check(0..block(140)).unwrap();
    check(block(141)..block(300)).unwrap();
    check(block(140)..block(140)).unwrap();
    for range in [block(140)..block(140) + 1, block(141) - 1..block(141), 0..block(300)] {
        let error = check(range).unwrap_err();
        assert!(matches!(error, VerifyError::Data { offset } if offset == block(140)), "{error}");
    }
    let error = check(0..block(300) + 1).unwrap_err();
    assert_eq!(error.to_string(), "offset 1228801 is past the 1228800 bytes that the verity hashes cover");
}

/// With the same root hash, neither the superblock nor the image may have another length.
#[test]
fn the_length_is_verified() {
    let image = image(300);
    let tree = tree(&image, 1);
    let file = file(&tree);
    for blocks in [299u64, 301, 257, 384] {
        let mut wrong = file.clone();
        wrong[72..80].copy_from_slice(&blocks.to_le_bytes());
        let mut other = image.clone();
        other.resize(usize::try_from(blocks * BLOCK).unwrap(), 0);
        let error = verify(&other, &wrong, tree.root_hash()).unwrap_err();
        match blocks {
            ..300 => assert!(matches!(error, VerifyError::Spare { level: 1, .. }), "{blocks}: {error}"),
            _ => assert!(matches!(error, VerifyError::Data { .. }), "{blocks}: {error}"),
        }
    }
    let error = verify(&image[..image.len() - 4096], &file, tree.root_hash()).unwrap_err();
    assert_eq!(error.to_string(), "the image has 1224704 bytes, but its verity hashes cover 1228800");
}

#[test]
fn invalid_superblocks_are_rejected_with_the_offset() {
    let image = image(2);
    let tree = tree(&image, 1);
    let good = file(&tree);
    for (at, bytes, reason) in [
        (0, &b"V"[..], "invalid verity data at offset 4096: no verity superblock"),
        (8, &[2], "invalid verity data at offset 4104: unknown verity version 2"),
        (12, &[0], "invalid verity data at offset 4108: verity hash type 0 is not supported, only 1"),
        (
            32,
            b"sha512",
            "invalid verity data at offset 4128: the hash algorithm \"sha512\" is not supported, only sha256",
        ),
        (
            64,
            &[0, 0],
            "invalid verity data at offset 4160: the data block size 0 is not a power of two from 512 to 524288",
        ),
        (
            70,
            &[0x10],
            "invalid verity data at offset 4164: the hash block size 1052672 is not a power of two from 512 to 524288",
        ),
        (
            71,
            &[0x80],
            "invalid verity data at offset 4164: the hash block size 2147487744 is not a power of two from 512 to 524288",
        ),
        (72, &[0], "invalid verity data at offset 4168: invalid number of blocks 0"),
        (79, &[1], "invalid verity data at offset 4168: invalid number of blocks 72057594037927938"),
        (78, &[1], "it ends at offset 12288, but the hashes end at 9078122083553280"),
        (81, &[1], "invalid verity data at offset 4176: a salt of 288 bytes is longer than 256"),
    ] {
        let mut file = [vec![0; 4096], good.clone()].concat();
        file[4096 + at..][..bytes.len()].copy_from_slice(bytes);
        let error = Verifier::open(Cursor::new(file), 4096, tree.root_hash()).unwrap_err().to_string();
        assert!(error.ends_with(reason), "{error}");
    }
}

#[test]
fn truncated_files_are_rejected() {
    let tree = tree(&image(129), 1);
    let file = file(&tree);
    let open = |length: usize, offset: u64| {
        Verifier::open(Cursor::new(&file[..length]), offset, tree.root_hash()).unwrap_err().to_string()
    };
    assert_eq!(open(0, 0), "the verity data is truncated: it ends at offset 0, but the hashes end at 512");
    assert_eq!(
        open(511, 0),
        "the verity data is truncated: it ends at offset 511, but the hashes end at 512"
    );
    assert_eq!(
        open(16383, 0),
        "the verity data is truncated: it ends at offset 16383, but the hashes end at 16384"
    );
    assert!(open(16384, u64::MAX - 8).contains("but the hashes end at 18446744073709551615"));
}

#[test]
fn an_image_is_verified_while_it_is_read() {
    let mut data = image(300);
    let tree = tree(&data, 1);
    let hashes = file(&tree);
    data[140 * 4096] ^= 1;
    let verifier = Verifier::open(Cursor::new(hashes), 0, tree.root_hash()).unwrap();
    let mut checked = Checked::new(Cursor::new(&data), verifier);
    let mut start = vec![0; 140 * 4096];
    checked.read_exact(&mut start).unwrap();
    assert_eq!(start, data[..140 * 4096]);
    let error = checked.read_exact(&mut [0; 1]).unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<VerifyError>());
    assert!(matches!(inner, Some(VerifyError::Data { offset }) if *offset == 140 * 4096));
    checked.seek(SeekFrom::End(-5)).unwrap();
    let mut end = Vec::new();
    assert_eq!(checked.read_to_end(&mut end).unwrap(), 5);
    assert_eq!(end, data[data.len() - 5..]);
    assert!(checked.seek(SeekFrom::Current(-9_000_000)).is_err());
}

#[test]
fn an_appended_tree_is_found() {
    let image = image(129);
    let mut both = Cursor::new(image.clone());
    let appended = append(&mut both, Parameters::from_seed(&SEED), None).unwrap();
    assert_eq!(appended.hash_offset, image.len() as u64);
    let both = both.into_inner();
    let mut verifier = Verifier::open(Cursor::new(&both), appended.hash_offset, appended.root_hash).unwrap();
    verifier.verify_range(&mut Cursor::new(&both), 0..appended.hash_offset).unwrap();
}

#[test]
fn root_hashes_parse_from_their_display() {
    let hash = tree(&image(1), 1).root_hash();
    assert_eq!(format!("{hash}\n").parse(), Ok(hash));
    assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
    for wrong in ["", "0", &"0".repeat(63), &"0".repeat(65), &"+".repeat(64), &"é".repeat(32)] {
        assert!(wrong.parse::<RootHash>().is_err(), "{wrong}");
    }
    assert_eq!([hash.first_half(), hash.second_half()].concat(), hash.0);
}
