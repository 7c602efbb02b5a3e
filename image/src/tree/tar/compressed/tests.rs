//! Tests concatenated, truncated and damaged streams, and trailing data.

use std::io::{Cursor, Write as _};

use flate2::write::GzEncoder;
use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
use liblzma::write::XzEncoder;

use super::*;

const ALL: [Compression; 3] = [Compression::Gzip, Compression::Xz, Compression::Zstd];

/// Compressible and random bytes, more than one piece.
fn plain() -> Vec<u8> {
    let mut seed = 7_u32;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    });
    let mut bytes: Vec<u8> = noise.take(100_000).collect();
    bytes.extend_from_slice(&b"some words, ".repeat(20_000));
    bytes
}

fn pack(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Xz => {
            let mut encoder = XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// Returns pieces of various lengths, like a pipe.
struct Dripping<'a>(Cursor<&'a [u8]>, usize);

impl Read for Dripping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 % 1013 + 1;
        let length = buffer.len().min(self.1);
        self.0.read(&mut buffer[..length])
    }
}

fn unpack_from(reader: Box<dyn Read + '_>, compression: Compression) -> Result<Vec<u8>, TarError> {
    let mut compressed = Compressed::new(reader, compression);
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 5000]);
    loop {
        match compressed.read(&mut buffer)? {
            0 => break,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    // The end is permanent.
    assert_eq!(compressed.read(&mut buffer)?, 0);
    Ok(bytes)
}

fn unpack(compression: Compression, packed: &[u8]) -> Result<Vec<u8>, TarError> {
    let whole = unpack_from(Box::new(packed), compression);
    let dripping = unpack_from(Box::new(Dripping(Cursor::new(packed), 0)), compression);
    match (&whole, &dripping) {
        (Ok(whole), Ok(dripping)) => assert!(whole == dripping),
        (
            Err(TarError::Unpack { offset, defect, .. }),
            Err(TarError::Unpack { offset: dripping, defect: other, .. }),
        ) => {
            // The message depends on the part of the decoder that found the damage.
            assert_eq!(std::mem::discriminant(defect), std::mem::discriminant(other));
            assert_eq!(offset, dripping);
        }
        (whole, dripping) => panic!("{whole:?}\n{dripping:?}"),
    }
    whole
}

/// The defect and its offset.
fn refusal(compression: Compression, packed: &[u8]) -> (Defect, u64) {
    match unpack(compression, packed).unwrap_err() {
        TarError::Unpack { offset, defect, .. } => (defect, offset),
        error => panic!("{error:?}"),
    }
}

#[test]
fn concatenated_streams_are_one() {
    let plain = plain();
    for compression in ALL {
        let (first, second) = (pack(compression, &plain[..150_000]), pack(compression, &plain[150_000..]));
        let nothing = pack(compression, b"");
        assert!(unpack(compression, &pack(compression, &plain)).unwrap() == plain);
        let all = [&nothing[..], &first, &nothing, &nothing, &second, &nothing].concat();
        assert!(unpack(compression, &all).unwrap() == plain, "{compression}");
    }
    let frame = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap();
        [&[0x53, 0x2a, 0x4d, 0x18], &length.to_le_bytes()[..], bytes].concat()
    };
    let zstd = pack(Compression::Zstd, b"text");
    let all = [frame(b""), zstd.clone(), frame(&[7; 300]), zstd, frame(b"end")].concat();
    assert_eq!(unpack(Compression::Zstd, &all).unwrap(), b"texttext");
}

#[test]
fn truncation_is_reported_at_every_offset() {
    for compression in ALL {
        let two = [pack(compression, &plain()), pack(compression, b"the end")].concat();
        let first = two.len() - pack(compression, b"the end").len();
        let ends =
            (1..40).chain((40..first).step_by(9973)).chain(first - 40..first).chain(first + 1..two.len());
        for end in ends {
            let (defect, offset) = refusal(compression, &two[..end]);
            assert_eq!(defect, Defect::Truncated, "{compression} to {end}");
            assert_eq!(offset, end as u64, "{compression}");
        }
        assert!(unpack(compression, &two[..first]).unwrap() == plain());
    }
}

#[test]
fn damage_is_reported_with_its_offset() {
    for compression in ALL {
        let packed = pack(compression, &plain());
        for at in [30, 5000, packed.len() / 2, packed.len() - 2] {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x55;
            let (defect, offset) = refusal(compression, &damaged);
            assert!(
                matches!(defect, Defect::Damaged(_) | Defect::Truncated),
                "{compression} {at}: {defect:?}"
            );
            assert!(offset <= packed.len() as u64);
        }
        // The checksum is read last.
        let mut damaged = packed.clone();
        let checksum = match compression {
            Compression::Gzip => packed.len() - 6,
            Compression::Zstd => packed.len() - 2,
            Compression::Xz => packed.len() - 34,
        };
        damaged[checksum] ^= 1;
        let error = unpack(compression, &damaged).unwrap_err();
        assert!(error.to_string().contains("check"), "{error}");
        assert_eq!(error.hint().unwrap(), "download or rebuild the archive");
    }
}

#[test]
fn trailing_data_are_rejected() {
    for compression in ALL {
        let packed = pack(compression, b"text");
        let end = packed.len() as u64;
        for rest in [&b"\nGARBAGE"[..], b"x", b"BZh9", &[0xff; 2000]] {
            let (defect, offset) = refusal(compression, &[&packed, rest].concat());
            assert_eq!((defect, offset), (Defect::Trailing, end), "{compression}");
        }
    }
    let padded = |compression, zeros: usize, rest: &[u8]| {
        let all = [&pack(compression, b"text"), &vec![0; zeros][..], rest].concat();
        unpack(compression, &all).map_err(|error| error.to_string())
    };
    let is_trailing = |result: Result<_, String>| result.unwrap_err().ends_with("trailing data");
    // Tapes are padded with zeros; gzip ignores them.
    for zeros in [1, 511, 100_000] {
        assert_eq!(padded(Compression::Gzip, zeros, b"").unwrap(), b"text");
        assert!(is_trailing(padded(Compression::Gzip, zeros, b"x")));
        assert!(is_trailing(padded(Compression::Gzip, zeros, &pack(Compression::Gzip, b"more"))));
        assert!(is_trailing(padded(Compression::Zstd, zeros, b"")));
    }
    // Xz allows a multiple of four zeros, also between streams.
    assert_eq!(padded(Compression::Xz, 100_000, b"").unwrap(), b"text");
    assert_eq!(padded(Compression::Xz, 8, &pack(Compression::Xz, b" and more")).unwrap(), b"text and more");
    assert!(is_trailing(padded(Compression::Xz, 7, b"")));
    assert!(is_trailing(padded(Compression::Xz, 7, &pack(Compression::Xz, b"more"))));
}

#[test]
fn memory_is_bounded() {
    let xz = |dictionary: u32| {
        let mut options = LzmaOptions::new_preset(0).unwrap();
        options.dict_size(dictionary);
        let stream = Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::Crc32).unwrap();
        let mut encoder = XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(b"text").unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(unpack(Compression::Xz, &xz(64 << 20)).unwrap(), b"text");
    let error = unpack(Compression::Xz, &xz(128 << 20)).unwrap_err();
    let words = "cannot decompress the xz data at offset 24: decompression takes more than 80 MiB of memory";
    assert_eq!(error.to_string(), words);
    assert_eq!(error.hint().unwrap(), "decompress it first with xz -dc");

    // A header with a window size, and an empty block.
    let zstd = |log: u8| [&[0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3][..], &[1, 0, 0]].concat();
    assert_eq!(unpack(Compression::Zstd, &zstd(27)).unwrap(), b"");
    let error = unpack(Compression::Zstd, &zstd(28)).unwrap_err();
    assert!(error.to_string().ends_with("takes more than 128 MiB of memory"), "{error}");
    assert_eq!(error.hint().unwrap(), "decompress it first with zstd -dc --long=31");
}

#[test]
fn a_read_error_is_reported_with_its_offset() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let packed = pack(Compression::Gzip, &plain());
    let reader = Box::new((&packed[..70_000]).chain(Failing));
    let error = unpack_from(reader, Compression::Gzip).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the archive at offset 70000");
}
