//! The stable text of what an image holds, for people and for tests.
//!
//! One line per name: path, type, mode, owner, links, size, layout, time, digest of the content
//! or target of the link, extended attributes.

use std::fmt::Write as _;
use std::io::{self, Read, Seek, Write};

use sha2::{Digest, Sha256};

use super::error::ReadError;
use super::reader::Reader;
use crate::entry::{Entry, EntryKind, Layout};
use crate::tree::Special;

/// Writes what `reader` holds as text, one line per name. It reads every file to the length that
/// the image claims, so it is meant for images whose origin is known.
pub fn dump<R: Read + Seek + Send>(reader: &Reader<R>, out: &mut impl Write) -> Result<(), ReadError> {
    for entry in reader.entries()? {
        let line = line(reader, &entry)?;
        writeln!(out, "{line}").map_err(ReadError::Dump)?;
    }
    Ok(())
}

fn line<R: Read + Seek + Send>(reader: &Reader<R>, entry: &Entry) -> Result<String, ReadError> {
    let layout = match entry.layout {
        Layout::Plain => "plain",
        Layout::Inline => "inline",
        Layout::Compressed => "compressed",
        Layout::Chunks => "chunks",
    };
    let (kind, content) = match &entry.kind {
        EntryKind::Directory => ("dir", "-".to_owned()),
        EntryKind::Symlink(target) => ("link", escape(target.as_encoded_bytes())),
        EntryKind::File => ("file", digest(reader, entry)?),
        EntryKind::Special(Special::Character(device)) => {
            ("char", format!("{}:{}", device.major, device.minor))
        }
        EntryKind::Special(Special::Block(device)) => ("block", format!("{}:{}", device.major, device.minor)),
        EntryKind::Special(Special::Fifo) => ("fifo", "-".to_owned()),
    };
    let Entry { mode, uid, gid, links, size, mtime, .. } = entry;
    let mut line = format!(
        "/{} {kind} {mode:04o} {uid}:{gid} {links} {size} {layout} {mtime} {content}",
        escape(entry.path.as_os_str().as_encoded_bytes())
    );
    for (name, value) in &entry.xattrs {
        line.push(' ');
        line.push_str(&escape(name));
        line.push('=');
        line.push_str(&hex(value));
    }
    Ok(line)
}

fn digest<R: Read + Seek + Send>(reader: &Reader<R>, entry: &Entry) -> Result<String, ReadError> {
    let mut file = reader.file(entry)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let failed = |source: io::Error| ReadError::Read { path: entry.path.clone(), source: source.into() };
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hex(&digest.finalize())),
            length => digest.update(&buffer[..length]),
        }
    }
}

/// Bytes as text without blanks, so that a line can be split again.
fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'!'..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").expect("a string takes everything"),
        }
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
