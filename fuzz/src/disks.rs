//! Disk images, their trees and signatures that someone else made.

use std::io::{self, Cursor, Read as _};

use sysext_image::ddi::{self, Architecture, Options, Reader, Sector, Writer};
use sysext_image::gpt::Table;
use sysext_image::pkcs7::{Certificate, PrivateKey, Signature, Signer};
use sysext_image::verity::{Builder, Parameters, RootHash, Seed, Verifier};

use crate::{Memory, TEXT, Target};

pub(crate) static TARGETS: &[Target] = &[
    Target { name: "gpt", run: gpt, seeds: images, memory: Memory { constant: 128 << 10, factor: 4 } },
    Target { name: "verity", run: verity, seeds: trees, memory: VERITY },
    Target { name: "ddi", run: disk, seeds: images, memory: VERITY },
    Target { name: "pkcs7-signature", run: signature, seeds: signatures, memory: ARITHMETIC },
    Target { name: "pkcs7-certificate", run: certificate, seeds: certificates, memory: ARITHMETIC },
    Target { name: "pkcs7-key", run: key, seeds: keys, memory: ARITHMETIC },
];

/// A block of each of up to 16 levels, of half a megabyte.
const VERITY: Memory = Memory { constant: 10 << 20, factor: 8 };

/// Powers of numbers of a thousand bytes.
const ARITHMETIC: Memory = Memory { constant: 1 << 20, ..TEXT };

/// How much of a filesystem is read: more than any seed has.
const CONTENT_MAX: u64 = 1 << 20;

const ROOT_HASH: RootHash = RootHash([0x55; 32]);

const FIXTURES: &str = "image/fixtures";

fn gpt(data: &[u8]) {
    let _ = Table::read(&mut Cursor::new(data));
}

/// The first 32 bytes are the root hash, the next two where the tree begins, which covers what is before.
fn verity(data: &[u8]) {
    let Some((hash, rest)) = data.split_first_chunk::<32>() else { return };
    let Some((offset, image)) = rest.split_first_chunk::<2>() else { return };
    let offset = u64::from(u16::from_le_bytes(*offset));
    let Ok(mut verifier) = Verifier::open(Cursor::new(image), offset, RootHash(*hash)) else { return };
    let size = verifier.superblock().data_size();
    let _ = verifier.verify(&mut Cursor::new(image));
    let _ = verifier.verify_range(&mut Cursor::new(image), 0..size.min(offset));
    let _ = verifier.verify_range(&mut Cursor::new(image), size.saturating_sub(1)..size);
}

fn disk(data: &[u8]) {
    let Ok(reader) = Reader::open(Cursor::new(data)) else { return };
    let _ = reader.verify();
    let _ = reader.verify_signature(&trusted());
    let Ok(checked) = reader.checked() else { return };
    let _ = io::copy(&mut checked.take(CONTENT_MAX), &mut io::sink());
}

fn signature(data: &[u8]) {
    if let Ok(signature) = Signature::parse(data) {
        let _ = signature.verify(&ROOT_HASH, &trusted());
    }
}

fn certificate(data: &[u8]) {
    let _ = Certificate::parse(data);
}

fn key(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = PrivateKey::from_pem(text);
    }
}

fn trusted() -> Vec<Certificate> {
    certificates().iter().map(|bytes| Certificate::parse(bytes).expect("the fixtures are whole")).collect()
}

fn certificates() -> Vec<Vec<u8>> {
    crate::files(FIXTURES, &[".crt"])
}

fn keys() -> Vec<Vec<u8>> {
    crate::files(FIXTURES, &[".key"])
}

fn signatures() -> Vec<Vec<u8>> {
    crate::files(FIXTURES, &[".p7s"])
}

/// Some blocks with their tree behind them.
fn trees() -> Vec<Vec<u8>> {
    [1u8, 2, 9]
        .map(|blocks| {
            let image: Vec<u8> = (0..blocks).flat_map(|block| [block; 4096]).collect();
            let mut builder = Builder::new(Parameters::from_seed(&Seed([1; 16])), None);
            builder.update(&image);
            let tree = builder.finish().expect("the image has whole blocks");
            let offset = u16::try_from(image.len()).expect("the image is small");
            let mut seed = [&tree.root_hash().0[..], &offset.to_le_bytes(), &image].concat();
            tree.write_to(&mut seed).expect("memory can be written");
            seed
        })
        .into()
}

/// Unsigned and signed, with both sizes of a sector.
fn images() -> Vec<Vec<u8>> {
    let key = keys().iter().find_map(|key| PrivateKey::from_pem(std::str::from_utf8(key).ok()?).ok());
    let key = key.expect("the fixtures have keys");
    let signer = trusted().into_iter().find_map(|certificate| Signer::new(key.clone(), certificate).ok());
    let signer = signer.expect("every key has its certificate");
    Sector::ALL
        .into_iter()
        .flat_map(|sector| {
            [false, true].map(|is_signed| {
                let mut out = Cursor::new(Vec::new());
                let options = Options { sector, ..Options::new(Architecture::X86_64) };
                let mut writer = Writer::new(&mut out, options).expect("memory can be written");
                writer.copy(&mut [7; 10_000].as_slice()).expect("memory can be read");
                if is_signed {
                    let sign = |hash: &RootHash| ddi::Signature::new(&signer, hash);
                    writer.finish_signed(sign).expect("the key can sign");
                } else {
                    writer.finish().expect("the filesystem has bytes");
                }
                out.into_inner()
            })
        })
        .collect()
}
