//! Compares two images: names, metadata, content and the first differing byte.
//!
//! Images of different formats are compared by their files.

mod place;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet, hash_map};
use std::io::{Read, Seek};
use std::path::PathBuf;

pub use self::place::{Place, first_difference};
use crate::dump::{escape, hex};
use crate::entry::{Entry, EntryKind, Special};
use crate::filesystem::{FileReader, Filesystem, FilesystemError, Limits};

/// How much of two files is compared at a time, in bytes.
const PIECE: usize = 64 << 10;

/// A difference between two images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path from the root.
    pub path: PathBuf,
    /// The kind of difference.
    pub change: Change,
}

/// How a path differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the second image has it.
    Added(Summary),
    /// Only the first image has it.
    Removed(Summary),
    /// Both have it, with differences.
    Changed {
        /// Differences of the metadata, as text.
        fields: Vec<Field>,
        /// Difference of the content of a file.
        content: Option<Content>,
    },
}

/// Describes an added or removed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The file type.
    pub kind: &'static str,
    /// The size of a file, in bytes.
    pub size: Option<u64>,
}

/// A field with different values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name of the field.
    pub name: String,
    /// Its value in the first image; `None` if absent.
    pub from: Option<String>,
    /// Its value in the second image; `None` if absent.
    pub to: Option<String>,
}

/// How the content of two files differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Size in the first image, in bytes.
    pub from: u64,
    /// Size in the second image, in bytes.
    pub to: u64,
    /// Offset of the first different byte.
    pub first: u64,
}

/// Why two images could not be compared.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum DiffError {
    #[error("cannot read the first image")]
    First(#[source] FilesystemError),
    #[error("cannot read the second image")]
    Second(#[source] FilesystemError),
}

impl DiffError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::First(error) | Self::Second(error) => error.hint(),
        }
    }
}

/// All differences, in the order of trees. Calls `progress` with the bytes of content compared so far and the
/// maximum. Each image has its own limits.
///
/// Most entries have the time of their image. Times differ only if an entry has another time.
pub fn diff<A: Read + Seek + Send, B: Read + Seek + Send>(
    (first, second): (&Filesystem<A>, &Filesystem<B>),
    limits: (Limits, Limits),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Difference>, DiffError> {
    let olds = first.entries().map_err(DiffError::First)?;
    let news = second.entries().map_err(DiffError::Second)?;
    let total = limits.0.check(&olds).map_err(DiffError::First)?;
    limits.1.check(&news).map_err(DiffError::Second)?;
    let times = (first.facts().timestamp, second.facts().timestamp);
    let mut differences = Vec::new();
    let mut done = 0;
    let mut seen = HashSet::new();
    // Compare the content of hard links once.
    let mut compared: HashMap<(u64, u64), Option<Content>> = HashMap::new();
    let (mut olds, mut news) = (olds.iter().peekable(), news.iter().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return Ok(differences),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.path.iter().cmp(new.path.iter()),
        };
        let old = olds.next_if(|_| order.is_le());
        let new = news.next_if(|_| order.is_ge());
        let (path, change) = match (old, new) {
            (Some(old), None) => (&old.path, Change::Removed(summary(old))),
            (None, Some(new)) => (&new.path, Change::Added(summary(new))),
            (None, None) => continue,
            (Some(old), Some(new)) => {
                let fields = fields(old, new, times);
                let is_file = (&old.kind, &new.kind) == (&EntryKind::File, &EntryKind::File);
                let content = match compared.entry((old.inode, new.inode)) {
                    _ if !is_file => None,
                    hash_map::Entry::Occupied(known) => *known.get(),
                    hash_map::Entry::Vacant(unknown) => {
                        let content = *unknown.insert(content(first, old, second, new)?);
                        if seen.insert(old.inode) {
                            done += old.size;
                            progress(done, total);
                        }
                        content
                    }
                };
                if fields.is_empty() && content.is_none() {
                    continue;
                }
                (&old.path, Change::Changed { fields, content })
            }
        };
        differences.push(Difference { path: path.clone(), change });
    }
}

/// Compares the content of two files up to the first difference.
fn content<A: Read + Seek + Send, B: Read + Seek + Send>(
    first: &Filesystem<A>,
    old: &Entry,
    second: &Filesystem<B>,
    new: &Entry,
) -> Result<Option<Content>, DiffError> {
    let mut left = first.file(old).map_err(DiffError::First)?;
    let mut right = second.file(new).map_err(DiffError::Second)?;
    let (mut one, mut other) = (vec![0; PIECE], vec![0; PIECE]);
    let mut begin = 0;
    loop {
        let length = fill(&mut left, &mut one).map_err(DiffError::First)?;
        let other_length = fill(&mut right, &mut other).map_err(DiffError::Second)?;
        let differing =
            one[..length].iter().zip(&other[..other_length]).position(|(one, other)| one != other);
        let at = differing.or((length != other_length).then_some(length.min(other_length)));
        if let Some(at) = at {
            return Ok(Some(Content { from: old.size, to: new.size, first: begin + at as u64 }));
        }
        if length == 0 {
            return Ok(None);
        }
        begin += length as u64;
    }
}

fn fill<R: Read + Seek + Send>(
    file: &mut FileReader<'_, R>,
    buffer: &mut [u8],
) -> Result<usize, FilesystemError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn summary(entry: &Entry) -> Summary {
    Summary { kind: kind(entry), size: (entry.kind == EntryKind::File).then_some(entry.size) }
}

fn kind(entry: &Entry) -> &'static str {
    match entry.kind {
        EntryKind::Directory => "directory",
        EntryKind::File => "file",
        EntryKind::Symlink(_) => "symbolic link",
        EntryKind::Special(Special::Character(_)) => "character device",
        EntryKind::Special(Special::Block(_)) => "block device",
        EntryKind::Special(Special::Fifo) => "fifo",
    }
}

/// The differences of two entries with the same path, except their content.
fn fields(old: &Entry, new: &Entry, (old_time, new_time): (u64, u64)) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut field = |name: &str, from: String, to: String| {
        if from != to {
            fields.push(Field { name: name.to_owned(), from: Some(from), to: Some(to) });
        }
    };
    field("kind", kind(old).to_owned(), kind(new).to_owned());
    field("mode", format!("{:04o}", old.mode), format!("{:04o}", new.mode));
    let owner = |entry: &Entry| format!("{}:{}", entry.uid, entry.gid);
    field("owner", owner(old), owner(new));
    // The link count of a directory follows from its entries
    if old.kind != EntryKind::Directory && new.kind != EntryKind::Directory {
        field("links", old.links.to_string(), new.links.to_string());
    }
    let own_time = |entry: &Entry, image: u64| u64::try_from(entry.mtime) != Ok(image);
    if own_time(old, old_time) || own_time(new, new_time) {
        field("time", old.mtime.to_string(), new.mtime.to_string());
    }
    if let (EntryKind::Symlink(from), EntryKind::Symlink(to)) = (&old.kind, &new.kind) {
        field("target", escape(from.as_encoded_bytes()), escape(to.as_encoded_bytes()));
    }
    if let (EntryKind::Special(from), EntryKind::Special(to)) = (&old.kind, &new.kind) {
        let numbers = |special: &Special| match special {
            Special::Character(device) | Special::Block(device) => {
                format!("{}:{}", device.major, device.minor)
            }
            Special::Fifo => String::new(),
        };
        field("device", numbers(from), numbers(to));
    }
    let names: BTreeSet<&Vec<u8>> = old.xattrs.keys().chain(new.xattrs.keys()).collect();
    for name in names {
        let value = |entry: &Entry| entry.xattrs.get(name).map(|value| hex(value));
        let (from, to) = (value(old), value(new));
        if from != to {
            fields.push(Field { name: escape(name), from, to });
        }
    }
    fields
}
