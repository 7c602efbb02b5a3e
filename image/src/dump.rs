//! A stable text form of the content of an image, for people and for tests.
//!
//! One line per name: path, type, mode, owner, links, size, layout, time, digest of the content
//! or target of the link, extended attributes.

use std::fmt::Write as _;
use std::io::{self, Read, Seek, Write};

use sha2::{Digest, Sha256};

use crate::entry::{Entry, EntryKind, Layout, Special};
use crate::filesystem::{Filesystem, FilesystemError};

/// Why an image was not dumped.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum DumpError {
    #[error(transparent)]
    Image(#[from] FilesystemError),
    #[error("cannot write the dump of the image")]
    Write(#[source] io::Error),
}

impl DumpError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::Write(_) => None,
        }
    }
}

/// Writes the content of `image` as text, one line per name. It reads every file to the length that
/// the image claims, so use it only for trusted images.
pub fn dump<R: Read + Seek + Send>(image: &Filesystem<R>, out: &mut impl Write) -> Result<(), DumpError> {
    for entry in image.entries()? {
        let line = line(image, &entry)?;
        writeln!(out, "{line}").map_err(DumpError::Write)?;
    }
    Ok(())
}

/// The line of one entry.
pub fn line<R: Read + Seek + Send>(image: &Filesystem<R>, entry: &Entry) -> Result<String, FilesystemError> {
    let layout = match entry.layout {
        Layout::Plain => "plain",
        Layout::Inline => "inline",
        Layout::Compressed => "compressed",
        Layout::Chunks => "chunks",
        Layout::Blocks => "blocks",
        Layout::Fragment => "fragment",
    };
    let (kind, content) = match &entry.kind {
        EntryKind::Directory => ("dir", "-".to_owned()),
        EntryKind::Symlink(target) => ("link", escape(target.as_encoded_bytes())),
        EntryKind::File => ("file", hex(&digest(image, entry)?)),
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

/// The SHA-256 of a regular file's content.
pub fn digest<R: Read + Seek + Send>(
    image: &Filesystem<R>,
    entry: &Entry,
) -> Result<[u8; 32], FilesystemError> {
    let mut digest = Sha256::new();
    image.content(entry, |bytes| {
        digest.update(bytes);
        Ok::<_, FilesystemError>(())
    })?;
    Ok(digest.finalize().into())
}

/// Bytes as text without spaces or control characters: lines can be split and printed to a terminal.
pub fn escape(bytes: &[u8]) -> String {
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

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
