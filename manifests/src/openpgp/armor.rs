//! Extracts packets from binary and armoured files, and from GnuPG's key boxes.

use std::io::Read as _;

use pgp::armor::{BlockType, Dearmor, DearmorOptions};

/// The start of a text block.
const BEGIN: &str = "-----BEGIN PGP ";
/// The start of its last line.
const END: &str = "-----END PGP ";
/// The magic at offset 8 of a key box.
const KEY_BOX: &[u8] = b"KBXf";
/// The kind of key box blob that holds an OpenPGP certificate.
const KEY_BOX_OPENPGP: u8 = 2;

/// What a text block may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Certificates,
    Signature,
}

/// The packets in some bytes, in one or more pieces. The error is a text for people.
pub(super) fn stretches(bytes: &[u8], kind: Kind) -> Result<Vec<Vec<u8>>, String> {
    match bytes.first() {
        None => Err("it is empty".to_owned()),
        // This bit is set at the start of every packet, but in no ASCII text.
        Some(first) if first & 0x80 != 0 => Ok(vec![bytes.to_vec()]),
        Some(_) if kind == Kind::Certificates && bytes.get(8..12) == Some(KEY_BOX) => Ok(key_box(bytes)),
        Some(_) => text_blocks(bytes, kind),
    }
}

fn text_blocks(bytes: &[u8], kind: Kind) -> Result<Vec<Vec<u8>>, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut blocks = Vec::new();
    let mut rest = text.as_ref();
    while let Some(start) = rest.find(BEGIN) {
        rest = &rest[start..];
        let end = rest.find(END).ok_or("a text block has no end; the file may be truncated")?;
        let end = end + rest[end..].find('\n').map_or(rest.len() - end, |length| length + 1);
        blocks.push(block(&rest[..end], kind)?);
        rest = &rest[end..];
    }
    if blocks.is_empty() {
        return Err("it is neither binary nor a text block that begins with -----BEGIN PGP".to_owned());
    }
    Ok(blocks)
}

fn block(text: &str, kind: Kind) -> Result<Vec<u8>, String> {
    let mut reader =
        Dearmor::with_options(text.as_bytes(), DearmorOptions::new().set_limit(text.len().max(1024)));
    reader.read_header().map_err(|_| "the header of a text block is invalid".to_owned())?;
    match (kind, reader.typ) {
        (Kind::Certificates, Some(BlockType::PublicKey)) | (Kind::Signature, Some(BlockType::Signature)) => {}
        (_, Some(BlockType::PrivateKey)) => return Err("it contains a secret key".to_owned()),
        (Kind::Certificates, _) => return Err("a text block is not a PGP PUBLIC KEY BLOCK".to_owned()),
        (Kind::Signature, _) => return Err("a text block is not a PGP SIGNATURE".to_owned()),
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|_| "a text block is damaged".to_owned())?;
    Ok(bytes)
}

/// The certificates of a key box, which `gpg --keyring FILE --import` makes where there is no file yet.
/// Each blob starts with its length, kind, version, flags, and where the certificate begins and how long it is.
fn key_box(bytes: &[u8]) -> Vec<Vec<u8>> {
    let number = |blob: &[u8], at: usize| {
        let four: [u8; 4] = blob.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(four)).ok()
    };
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(length) = number(rest, 0) {
        let Some((blob, next)) = rest.split_at_checked(length).filter(|(blob, _)| !blob.is_empty()) else {
            break;
        };
        rest = next;
        if blob.get(4) != Some(&KEY_BOX_OPENPGP) {
            continue;
        }
        let certificate = number(blob, 8).zip(number(blob, 12)).and_then(|(start, length)| {
            // The certificate must be within the blob.
            blob.get(start..start.checked_add(length)?)
        });
        found.extend(certificate.map(<[u8]>::to_vec));
    }
    found
}
