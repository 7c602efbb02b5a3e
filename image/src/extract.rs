//! Extracts an image into a directory, and nowhere else.
//!
//! The image is not trusted. All names are checked before anything is written, every directory is opened name
//! by name from the destination without following links, and every file is newly created. So neither `..` nor
//! absolute names, symbolic links or hard links can escape.

mod destination;
mod error;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use self::destination::Destination;
pub use self::error::ExtractError;
use crate::entry::{Entry, EntryKind};
use crate::filesystem::{Filesystem, Limits};

/// Options for an extraction.
#[derive(Clone, Debug)]
pub struct Options {
    /// Extracts only this path and everything below it; the path is preserved.
    pub path: Option<PathBuf>,
    /// How owners are restored.
    pub owners: Owners,
    /// Limits for the content.
    pub limits: Limits,
}

/// How owners are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// They are set, which requires privileges.
    Set,
    /// The caller owns all files. Setuid and setgid bits, which would grant the rights of the caller, are not
    /// set.
    Caller,
}

/// Counts what was extracted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Directories, except the destination.
    pub directories: u64,
    /// Files, each counted once.
    pub files: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Device nodes and pipes.
    pub specials: u64,
    /// Content of files, in bytes.
    pub bytes: u64,
    /// Metadata and devices that could not be restored.
    pub not_restored: NotRestored,
}

/// Lists what could not be restored without more privileges or on this file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotRestored {
    /// The number of entries with another owner than the caller.
    pub owners: u64,
    /// The number of files with setuid or setgid bits.
    pub set_ids: u64,
    /// Extended attributes, each with its path.
    pub xattrs: Vec<(PathBuf, String)>,
    /// Device nodes that were not created.
    pub devices: Vec<PathBuf>,
}

/// Extracts into the directory `into`, which is created if it does not exist, and must be empty. Calls
/// `progress` with the bytes of content written so far and in total.
///
/// After an error, files that were extracted before remain, but no partial file.
pub fn extract<R: Read + Seek + Send>(
    image: &Filesystem<R>,
    into: &Path,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Extracted, ExtractError> {
    let mut entries = image.entries()?;
    if let Some(wanted) = &options.path {
        entries = select(entries, wanted)?;
    }
    let total = options.limits.check(&entries)?;
    let mut destination = Destination::open(into, options.owners)?;
    let mut first_names: HashMap<u64, &Path> = HashMap::new();
    let mut extracted = Extracted::default();
    for entry in &entries {
        if entry.path.as_os_str().is_empty() {
            continue;
        }
        let is_directory = entry.kind == EntryKind::Directory;
        if !is_directory && let Some(existing) = first_names.get(&entry.inode) {
            if destination.link(existing, &entry.path)? {
                extracted.hard_links += 1;
            }
            continue;
        }
        match &entry.kind {
            EntryKind::Directory => {
                destination.directory(entry)?;
                extracted.directories += 1;
            }
            EntryKind::Symlink(target) => {
                destination.symlink(entry, target)?;
                extracted.symlinks += 1;
            }
            EntryKind::Special(special) => {
                extracted.specials += u64::from(destination.special(entry, *special)?);
            }
            EntryKind::File => {
                destination.file(entry, |file| {
                    image.content(entry, |bytes| {
                        file.write(bytes)?;
                        extracted.bytes += bytes.len() as u64;
                        progress(extracted.bytes, total);
                        Ok(())
                    })
                })?;
                extracted.files += 1;
            }
        }
        if !is_directory {
            first_names.insert(entry.inode, &entry.path);
        }
    }
    extracted.not_restored = destination.finish(&entries)?;
    Ok(extracted)
}

/// The entry at a path, those below it and the directories above it.
fn select(entries: Vec<Entry>, wanted: &Path) -> Result<Vec<Entry>, ExtractError> {
    let wanted = wanted.strip_prefix("/").unwrap_or(wanted);
    let wanted: PathBuf = wanted.components().filter(|part| part.as_os_str() != ".").collect();
    if !entries.iter().any(|entry| entry.path == wanted) {
        return Err(ExtractError::NoSuchPath { path: wanted });
    }
    let is_wanted = |entry: &Entry| entry.path.starts_with(&wanted) || wanted.starts_with(&entry.path);
    Ok(entries.into_iter().filter(is_wanted).collect())
}
