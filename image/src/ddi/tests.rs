//! Tests valid images, and the errors for invalid ones.

use std::io::{Cursor, Read as _, Write as _};
use std::num::NonZero;

use super::*;
use crate::gpt::{Guid, Layout, NewPartition};
use crate::verity::{RootHash, VerifyError};

/// A file system whose blocks all differ.
fn filesystem(size: usize) -> Vec<u8> {
    (0..size.div_ceil(8) as u64).flat_map(|word| (word * 0x9e37_79b9 + 1).to_le_bytes()).take(size).collect()
}

fn image(options: Options, filesystem: &[u8], piece: usize) -> (Vec<u8>, Written) {
    let mut out = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut out, options).unwrap();
    filesystem.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
    let written = writer.finish().unwrap();
    (out.into_inner(), written)
}

/// An invalid signature with the right form.
fn sign(root_hash: &RootHash) -> Result<Signature, WriteError> {
    Ok(Signature { root_hash: *root_hash, fingerprint: Some([0xab; 32]), pkcs7: vec![1, 2, 3] })
}

fn signed(options: Options, filesystem: &[u8]) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut out, options).unwrap();
    writer.copy(&mut Cursor::new(filesystem)).unwrap();
    writer.finish_signed(sign).unwrap();
    out.into_inner()
}

fn open(image: &[u8]) -> Result<Reader<Cursor<&[u8]>>, ReadError> {
    Reader::open(Cursor::new(image))
}

fn all() -> impl Iterator<Item = Options> {
    [Architecture::X86_64, Architecture::Arm64, Architecture::Riscv64].into_iter().flat_map(|architecture| {
        [Designator::Root, Designator::Usr].into_iter().flat_map(move |designator| {
            Sector::ALL.map(|sector| Options { designator, sector, ..Options::new(architecture) })
        })
    })
}

#[test]
fn written_images_are_read_back() {
    for options in all() {
        for size in [1, 4095, 4096, 4097, 300 * 4096] {
            let filesystem = filesystem(size);
            let image = signed(options, &filesystem);
            let reader = open(&image).unwrap();
            assert_eq!(reader.table().size(), image.len() as u64);
            assert_eq!(
                (reader.architecture(), reader.designator()),
                (options.architecture, options.designator)
            );
            let root_hash = reader.root_hash().unwrap();
            assert_eq!(reader.signature(), Some(&sign(&root_hash).unwrap()));
            assert_eq!(reader.verify().unwrap(), size.next_multiple_of(4096) as u64);
            for view in [&mut reader.filesystem() as &mut dyn std::io::Read, &mut reader.checked().unwrap()] {
                let mut read = Vec::new();
                view.read_to_end(&mut read).unwrap();
                assert_eq!(read.len(), size.next_multiple_of(4096));
                assert!(read.starts_with(&filesystem) && read[size..].iter().all(|byte| *byte == 0));
            }
        }
    }
}

#[test]
fn partitions_equal_those_of_systemd_repart() {
    let image = signed(Options::new(Architecture::Arm64), &filesystem(300 * 4096));
    let reader = open(&image).unwrap();
    let root_hash = reader.root_hash().unwrap();
    let found: Vec<_> = reader
        .table()
        .partitions
        .iter()
        .map(|partition| {
            assert_eq!(partition.flags, READ_ONLY);
            (
                partition.kind.to_string(),
                partition.name.as_str(),
                partition.offset,
                partition.size,
                partition.id,
            )
        })
        .collect();
    let signature =
        Seed(root_hash.first_half()).uuid(&Guid::constant(0x6db69de6_29f4_4758_a7a5_962190f00ce3).0);
    let expected = [
        ("b921b045-1df0-41c3-af44-4c6f280d3fae", "root-arm64", 20480, 300 * 4096, root_hash.first_half()),
        (
            "df3300ce-d69f-4c92-978c-9bfb0f38d820",
            "root-arm64-verity",
            1_249_280,
            20480,
            root_hash.second_half(),
        ),
        ("6db69de6-29f4-4758-a7a5-962190f00ce3", "root-arm64-verity-sig", 1_269_760, 16384, signature),
    ];
    let expected =
        expected.map(|(kind, name, offset, size, id)| (kind.to_owned(), name, offset, size, Guid(id)));
    assert_eq!(found, expected);
    assert_eq!(reader.table().disk, Guid(Seed(root_hash.first_half()).uuid(b"disk-uuid")));
    let text = String::from_utf8_lossy(&image[1_269_760..]).into_owned();
    let object = format!(
        r#"{{"rootHash":"{root_hash}","certificateFingerprint":"{}","signature":"AQID"}}"#,
        "ab".repeat(32)
    );
    assert!(text.starts_with(&(object + "\0")), "{text}");
}

/// `systemd-repart --seed=00112233445566778899aabbccddeeff` of 262.
#[test]
fn seeds_give_the_same_ids_as_in_systemd_repart() {
    let seed = Seed(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
    let options = Options { seed: Some(seed), ..Options::new(Architecture::X86_64) };
    let image = signed(options, &filesystem(4096));
    let table = open(&image).unwrap().table().clone();
    assert_eq!(table.disk.to_string(), "cb0e21c2-5b52-46e4-a3d3-f2d2819576b9");
    assert_eq!(table.partitions[2].id.to_string(), "212a3948-aa09-4545-93a7-395503009e01");
    let superblock = &image[usize::try_from(table.partitions[1].offset).unwrap()..];
    assert_eq!(superblock[16..20], [0x3a, 0x46, 0x0c, 0xbc]);
    assert_eq!(superblock[88..92], [0x3a, 0x46, 0xbe, 0xd6]);
}

#[test]
fn the_same_file_system_gives_the_same_image() {
    let filesystem = filesystem(700 * 4096 + 5);
    for options in all() {
        let (expected, _) = image(options, &filesystem, usize::MAX);
        for (threads, piece) in [(1, 100_000), (2, 4096), (3, 4097), (8, 1 << 20)] {
            let options = Options { threads: NonZero::new(threads), ..options };
            assert!(image(options, &filesystem, piece).0 == expected, "{threads} threads, {piece} bytes");
        }
    }
}

#[test]
fn an_empty_file_system_is_rejected() {
    let writer = Writer::new(Cursor::new(Vec::new()), Options::new(Architecture::X86_64)).unwrap();
    assert!(matches!(writer.finish(), Err(WriteError::Verity(crate::verity::WriteError::Empty))));
}

#[test]
fn invalid_signatures_are_rejected() {
    let finish = |make: fn(&RootHash) -> Signature| {
        let mut writer = Writer::new(Cursor::new(Vec::new()), Options::new(Architecture::X86_64)).unwrap();
        writer.write_all(&[1]).unwrap();
        let error = writer.finish_signed(|hash| Ok::<_, WriteError>(make(hash))).unwrap_err();
        format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
    };
    let long = finish(|hash| Signature { root_hash: *hash, fingerprint: None, pkcs7: vec![0; 12300] });
    assert!(long.starts_with("the signature of the root hash has 16494 bytes"), "{long}");
    let other = finish(|_| Signature { root_hash: RootHash([0; 32]), fingerprint: None, pkcs7: Vec::new() });
    assert!(other.contains("the signature is for another root hash"), "{other}");
}

#[test]
fn a_modified_file_system_is_detected() {
    let good = signed(Options::new(Architecture::X86_64), &filesystem(300 * 4096));
    let verify = |image: &[u8]| open(image).and_then(|reader| reader.verify()).unwrap_err();
    let mut wrong = good.clone();
    wrong[20480 + 140 * 4096] ^= 1;
    let error = verify(&wrong);
    let ReadError::Verity { partition: 20480, source: VerifyError::Data { offset } } = error else {
        panic!("{error}")
    };
    assert_eq!(offset, 140 * 4096);
    // In the top of the tree, and in the superblock's salt
    for at in [1_249_280 + 4096, 1_249_280 + 100] {
        let mut wrong = good.clone();
        wrong[at] ^= 1;
        assert!(matches!(verify(&wrong), ReadError::Verity { source: VerifyError::Hash { .. }, .. }));
    }
}

/// An image with the given partitions, and `content` in all of them.
fn custom(partitions: &[(PartitionType, [u8; 16])], size: u64, content: &[u8]) -> Vec<u8> {
    let new = partitions.iter().map(|(kind, id)| NewPartition {
        kind: kind.guid(),
        id: Guid(*id),
        size,
        flags: 0,
        name: String::new(),
    });
    let layout = Layout::new(Sector::Bytes512, Guid([1; 16]), new.collect()).unwrap();
    let mut image = layout.head();
    for partition in &layout.table().partitions {
        image.extend_from_slice(content);
        image.resize(usize::try_from(partition.end()).unwrap(), 0);
    }
    image.extend(layout.tail());
    image
}

fn kind(role: Role) -> PartitionType {
    PartitionType { architecture: Architecture::X86_64, designator: Designator::Root, role }
}

#[test]
fn inconsistent_partitions_are_rejected() {
    let [data, verity, signature] = [Role::Data, Role::Verity, Role::Signature].map(kind);
    let error = |partitions: &[(PartitionType, [u8; 16])], content: &str| {
        open(&custom(partitions, 4096, content.as_bytes())).unwrap_err().to_string()
    };
    let none = error(&[(verity, [1; 16])], "");
    assert_eq!(none, "none of the 1 partitions is a root or usr file system for x86-64, arm64 or riscv64");
    let two = error(&[(data, [1; 16]), (verity, [2; 16]), (data, [3; 16])], "");
    assert_eq!(two, "partitions 1 and 3 of the disk image are both file systems");
    let two = error(&[(data, [1; 16]), (verity, [2; 16]), (verity, [3; 16])], "");
    assert_eq!(two, "partitions 2 and 3 of the disk image are both root-x86-64-verity");

    let all = [(data, [0x11; 16]), (verity, [0x22; 16]), (signature, [0x33; 16])];
    let object = |hash: &str| format!(r#"{{"rootHash":"{hash}","signature":"AQID","other":[1]}}"#);
    let right = ["11".repeat(16), "22".repeat(16)].concat();
    for (text, reason) in [
        (String::new(), "at offset 28672: not the expected JSON object"),
        ("{}".into(), "missing field `rootHash`"),
        (format!("{}\0x", object(&right)), "at offset 28783: trailing data after the text"),
        (object("55"), "at offset 28672: invalid root hash \"55\""),
        (object(&right).replace("AQID", "!"), "at offset 28672: the signature is not base64"),
        (object(&"55".repeat(32)), "at offset 28672 is for the root hash 5555"),
    ] {
        let error = error(&all, &text);
        assert!(error.contains(reason), "{error}");
    }
    let image = custom(&all, 4096, object(&right).as_bytes());
    let reader = open(&image).unwrap();
    assert_eq!(reader.signature().unwrap().pkcs7, [1, 2, 3]);
    assert!(matches!(reader.require(Architecture::Arm64), Err(ReadError::Architecture { .. })));
    // The verity partition contains no tree
    assert!(matches!(reader.verify(), Err(ReadError::Verity { source: VerifyError::Superblock { .. }, .. })));

    let large = open(&custom(&all, (4 << 20) + 4096, b"")).unwrap_err().to_string();
    assert!(large.contains("4198400 bytes exceed the 4194304 that systemd reads"), "{large}");
    let lonely = error(&[(data, [1; 16]), (signature, [2; 16])], &object(&right));
    assert_eq!(lonely, "the disk image has no verity partition");
}

#[test]
fn an_image_without_verity_can_be_read_but_not_verified() {
    let image = custom(&[(kind(Role::Data), [1; 16])], 8192, b"hsqs");
    let reader = open(&image).unwrap();
    assert_eq!((reader.root_hash(), reader.signature()), (None, None));
    assert_eq!(reader.filesystem().size(), 8192);
    assert!(matches!(reader.verify(), Err(ReadError::NoVerity)));
    assert!(matches!(reader.checked(), Err(ReadError::NoVerity)));
    let mut start = [0; 4];
    reader.filesystem().read_exact(&mut start).unwrap();
    assert_eq!(&start, b"hsqs");
}

#[test]
fn architectures_have_the_names_of_systemd() {
    for name in ["x86-64", "arm64", "riscv64"] {
        assert_eq!(name.parse::<Architecture>().unwrap().to_string(), name);
    }
    assert!(
        "x86_64"
            .parse::<Architecture>()
            .unwrap_err()
            .to_string()
            .contains("only for x86-64, arm64 and riscv64")
    );
}
