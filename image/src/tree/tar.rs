//! Reads a tree from a tar archive, without extracting it.
//!
//! Supports POSIX ustar with pax records and the long names of GNU tar, plain or compressed. Archives are not
//! trusted: names must lead downwards from the root, through directories only.
//!
//! ```text
//! 512 bytes    header: name, mode, owner, size, type, target of a link
//! …            content, padded to 512 bytes
//! 512 zeros    the end; the rest is ignored
//! ```

mod compressed;
mod error;
mod header;
mod input;
mod magic;
mod pax;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

pub use error::{Defect, TarError};
pub use magic::{Compression, UnsupportedFormat};

use self::header::{Header, HeaderKind};
use self::input::Input;
use self::magic::FileKind;
use self::pax::Records;
use super::{Device, Kind, Metadata, Rules, Shared, Special, Specials, Tree, TreeError};
use crate::entry::PATH_MAX;
use crate::progress::Progress;

/// The longest name, target or set of pax records of one entry in bytes. An entry can have several extended
/// attributes of 64 KiB.
const EXTENSION_MAX: u64 = 1 << 20;

/// Directories of extension-release files, of system and configuration extensions.
const RELEASES: [&str; 2] = ["usr/lib/extension-release.d", "etc/extension-release.d"];

/// Allows an image to have a version in its name. Archives rarely contain it: `tar` omits it by default.
const STRICT: &str = "user.extension-release.strict";

impl Tree {
    /// Reads the tar archive `archive` to its end, subject to `rules`. It may be compressed with gzip, xz or
    /// zstd. Content is copied to a temporary file in `scratch`.
    ///
    /// An extension-release file without `user.extension-release.strict` gets it, as `0`: archives omit it.
    pub fn from_tar(archive: &mut dyn Read, rules: &Rules, scratch: &Path) -> Result<Self, TarError> {
        Reading::new(rules).read(Input::stream(archive, scratch)?)
    }

    /// Reads the tar archive at the start of `file`; `path` is for messages. Content of an uncompressed
    /// archive is not copied, but read again when an image is written. `progress` counts the bytes of a
    /// compressed one.
    pub fn from_tar_file(
        file: File,
        path: &Path,
        rules: &Rules,
        scratch: &Path,
        progress: &Progress,
    ) -> Result<Self, TarError> {
        let mut decoder;
        let input = match input::kind(&file)? {
            FileKind::Plain => Input::file(Shared::new(file, path))?,
            FileKind::Compressed(_) | FileKind::Unsupported(_) => {
                decoder = input::Counted::new(file, progress)?;
                Input::stream(&mut decoder, scratch)?
            }
        };
        Reading::new(rules).read(input)
    }
}

struct Reading<'a> {
    tree: Tree,
    rules: &'a Rules,
    /// Pax records for all following entries.
    global: Records,
    /// Pax records and long names for the next entry.
    next: Records,
}

impl<'a> Reading<'a> {
    fn new(rules: &'a Rules) -> Self {
        Self { tree: Tree::new(), rules, global: Records::default(), next: Records::default() }
    }

    fn read(mut self, mut input: Input<'_>) -> Result<Tree, TarError> {
        match self.entries(&mut input) {
            // Damaged compressed data may cause an invalid header before its checksum is read.
            Err(error @ TarError::Header { .. }) if input.is_compressed() => {
                input.finish()?;
                return Err(error);
            }
            read => read?,
        }
        input.finish()?;
        self.restore_strict()?;
        Ok(self.tree)
    }

    fn entries(&mut self, input: &mut Input<'_>) -> Result<(), TarError> {
        loop {
            let offset = input.offset();
            let Some(block) = input.block()? else {
                return Err(TarError::Unfinished { offset });
            };
            let Some(header) = Header::parse(offset, &block)? else { return Ok(()) };
            match header.kind {
                HeaderKind::LongName => self.next.path = Some(extension(input, &header)?),
                HeaderKind::LongLink => self.next.target = Some(extension(input, &header)?),
                HeaderKind::Pax => {
                    let bytes = extension(input, &header)?;
                    self.next.take(&bytes).map_err(|defect| TarError::Header { offset, defect })?;
                }
                HeaderKind::GlobalPax => {
                    let bytes = extension(input, &header)?;
                    self.global.take(&bytes).map_err(|defect| TarError::Header { offset, defect })?;
                }
                _ => {
                    let records = std::mem::take(&mut self.next).over(&self.global);
                    self.entry(input, header, records)?;
                }
            }
        }
    }

    fn entry(&mut self, input: &mut Input<'_>, header: Header, records: Records) -> Result<(), TarError> {
        let offset = header.offset;
        let bytes = records.path.unwrap_or(header.path);
        let target = OsString::from_vec(records.target.unwrap_or(header.target));
        let is_directory =
            header.kind == HeaderKind::Directory || header.kind == HeaderKind::File && bytes.ends_with(b"/");
        let path = PathBuf::from(OsString::from_vec(bytes));
        let wrong = |source| TarError::Tree { offset, source };
        if path.as_os_str().len() > PATH_MAX {
            return Err(wrong(TreeError::Path { path, reason: "it is longer than 4095 bytes" }));
        }
        let refuse = |what| TarError::Unsupported { offset, path: path.clone(), what };
        if records.is_sparse || header.kind == HeaderKind::Sparse {
            return Err(refuse("a sparse file, which is not supported"));
        }
        let size = records.size.unwrap_or(header.size);
        let is_file = header.kind == HeaderKind::File && !is_directory;
        if size != 0 && !is_file {
            return Err(refuse("not a regular file, but has content"));
        }
        let mut metadata = Metadata::new(header.mode);
        metadata.uid = records.uid.unwrap_or(header.uid);
        metadata.gid = records.gid.unwrap_or(header.gid);
        metadata.xattrs = records.xattrs;
        let metadata = self.rules.apply(metadata, is_directory, header.kind == HeaderKind::Symlink);
        if is_directory {
            return self.tree.insert_directory(&path, metadata).map_err(wrong);
        }
        let inserted = match header.kind {
            HeaderKind::File => {
                // Before its content, so that no content of a rejected entry is copied.
                self.tree.insert_bytes(&path, Vec::new(), metadata.clone()).map_err(wrong)?;
                let content = input.content(size)?;
                self.tree.insert_content(&path, content, metadata)
            }
            HeaderKind::Link => self.tree.insert_link(&path, &target),
            HeaderKind::Symlink => self.tree.insert_symlink(&path, &target, metadata),
            HeaderKind::Special(_) if self.rules.specials == Specials::Refuse => {
                return Err(refuse("a device node or fifo, which an extension must not contain"));
            }
            HeaderKind::Special(special) => self.tree.insert_special(&path, special, metadata),
            _ => return Err(refuse("of an unknown type")),
        };
        inserted.map_err(wrong)
    }

    /// Sets `user.extension-release.strict` where the archive omitted it.
    fn restore_strict(&mut self) -> Result<(), TarError> {
        if !self.rules.xattrs.contains(STRICT) {
            return Ok(());
        }
        let mut missing = BTreeMap::new();
        for entry in self.tree.entries() {
            let name = entry.path.file_name().unwrap_or_default().as_encoded_bytes();
            let is_release = name.starts_with(b"extension-release.")
                && RELEASES.iter().any(|directory| entry.path.parent() == Some(Path::new(directory)));
            if is_release && matches!(entry.node.kind, Kind::File(_)) {
                missing.insert(entry.id, entry.path);
            }
        }
        for id in missing.into_keys() {
            let xattrs = &mut self.tree.nodes[id.0].metadata.xattrs;
            xattrs.entry(STRICT.to_owned()).or_insert_with(|| b"0".to_vec());
        }
        Ok(())
    }
}

/// The content of an entry that describes the next one, without trailing NULs.
fn extension(input: &mut Input<'_>, header: &Header) -> Result<Vec<u8>, TarError> {
    let (offset, size) = (header.offset, header.size);
    if size > EXTENSION_MAX {
        return Err(TarError::Header { offset, defect: "a name or record is longer than 1 MiB" });
    }
    let mut bytes = input.bytes(size)?;
    if matches!(header.kind, HeaderKind::LongName | HeaderKind::LongLink) {
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
    }
    Ok(bytes)
}

/// A device or pipe from the type in a header.
fn special(kind: u8, major: u32, minor: u32) -> Special {
    let device = Device { major, minor };
    match kind {
        b'3' => Special::Character(device),
        b'4' => Special::Block(device),
        _ => Special::Fifo,
    }
}
