//! Plans an image before anything is compressed: its inodes, and the jobs that compress their content.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::error::WriteError;
use crate::duplicates::{self, Unit};
use crate::progress::{Progress, Stage};
use crate::squashfs::format::{NONE_32, Tail};
use crate::tree::{Content, Kind, Node, NodeId, Special, Tree};

/// How many bytes of a large file one thread compresses at a time, unless blocks are larger.
const SEGMENT: u64 = 1 << 20;

/// A future inode with its data.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// Its first name.
    pub(super) path: PathBuf,
    pub(super) node: &'a Node,
    pub(super) links: u32,
    /// Position of the directory that holds the first name.
    pub(super) parent: usize,
    pub(super) data: Data<'a>,
}

/// The data of an inode.
#[derive(Debug)]
pub(super) enum Data<'a> {
    /// Names, sorted, each with the position of its item.
    Directory(Vec<(&'a [u8], usize)>),
    File(&'a Content),
    Link(&'a OsStr),
    Special(Special),
}

/// The place of the content of a file in the image. The blocks are known after compression.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// The position of an earlier item with the same content.
    pub(super) same_as: Option<usize>,
    /// Offset of the first block.
    pub(super) start: u64,
    /// Length of each block, with the flag of uncompressed ones.
    pub(super) blocks: Vec<u32>,
    /// Bytes of zeros that have no block.
    pub(super) sparse: u64,
    pub(super) tail: Option<Tail>,
}

/// A part of the content of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Position of the file's item.
    pub(super) item: usize,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Work for one thread. The results are in the image in the order of the jobs.
#[derive(Debug)]
pub(super) enum Job {
    /// Some blocks of a file.
    Blocks(Piece),
    /// One fragment with these tails.
    Fragment(Vec<Piece>),
}

impl Job {
    /// Its input.
    pub(super) fn pieces(&self) -> &[Piece] {
        match self {
            Self::Blocks(piece) => std::slice::from_ref(piece),
            Self::Fragment(pieces) => pieces,
        }
    }
}

/// The content to compress.
#[derive(Debug)]
pub(super) struct Contents {
    /// By the position of the item.
    pub(super) stored: Vec<Stored>,
    pub(super) jobs: Vec<Job>,
}

/// Every inode of a tree, in the order of its entries.
pub(super) fn items(tree: &Tree) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = Vec::new();
    let mut positions: HashMap<NodeId, usize> = HashMap::new();
    for entry in tree.entries() {
        if let Some(position) = positions.get(&entry.id) {
            items[*position].links += 1;
            continue;
        }
        let data = match &entry.node.kind {
            Kind::Directory(_) => Data::Directory(Vec::new()),
            Kind::Symlink(target) => Data::Link(target),
            Kind::File(content) => Data::File(content),
            Kind::Special(special) => Data::Special(*special),
        };
        positions.insert(entry.id, items.len());
        let parent = positions[&entry.parent];
        items.push(Item { path: entry.path, node: entry.node, links: 1, parent, data });
    }
    for position in 0..items.len() {
        let Kind::Directory(entries) = &items[position].node.kind else { continue };
        let names: Vec<_> = entries.iter().map(|(name, id)| (name.as_bytes(), positions[id])).collect();
        let directories = names.iter().filter(|(_, target)| items[*target].is_directory()).count();
        items[position].links = u32::try_from(directories + 2).unwrap_or(u32::MAX);
        items[position].data = Data::Directory(names);
    }
    items
}

/// The positions of all items, the entries of a directory before the directory, and the files of one
/// directory next to each other.
pub(super) fn order(items: &[Item<'_>]) -> Vec<usize> {
    let mut order = Vec::with_capacity(items.len());
    let mut is_listed = vec![false; items.len()];
    let mut open = vec![(0, 0)];
    while let Some((directory, next)) = open.last_mut() {
        let directory = *directory;
        let Data::Directory(names) = &items[directory].data else { break };
        let child = names[*next..].iter().position(|(_, target)| items[*target].is_directory());
        if let Some(skipped) = child {
            let (_, child) = names[*next + skipped];
            *next += skipped + 1;
            open.push((child, 0));
            continue;
        }
        for (_, target) in names {
            if !items[*target].is_directory() && !is_listed[*target] {
                is_listed[*target] = true;
                order.push(*target);
            }
        }
        order.push(directory);
        open.pop();
    }
    order
}

/// Finds equal content, and packs tails and small files into fragments.
pub(super) fn contents(
    items: &[Item<'_>],
    block: u64,
    threads: NonZero<usize>,
    progress: &Progress,
) -> Result<Contents, WriteError> {
    let mut stored = vec![Stored::default(); items.len()];
    let large = |item: &Item<'_>| {
        Some(Piece { item: 0, offset: 0, length: item.size() }).filter(|piece| piece.length >= block)
    };
    let tail = |item: &Item<'_>| {
        let length = item.size() % block;
        Some(Piece { item: 0, offset: item.size() - length, length }).filter(|piece| piece.length > 0)
    };
    let parts = |item| large(item).into_iter().chain(tail(item)).map(|piece| piece.length);
    let files = items.iter().filter(|item| matches!(item.data, Data::File(_)));
    progress.begin(Stage::Comparing, files.flat_map(parts).sum());
    for (position, first) in equals(items, threads, progress, large)? {
        stored[position].same_as = Some(first);
    }
    let same_tails = equals(items, threads, progress, tail)?;

    let mut jobs = Vec::new();
    let mut fragment = Fragment { number: 0, length: 0, pieces: Vec::new() };
    for (position, item) in items.iter().enumerate() {
        if stored[position].same_as.is_some() {
            continue;
        }
        jobs.extend(segments(position, item.size() - item.size() % block, block));
        let Some(piece) = tail(item) else { continue };
        stored[position].tail = same_tails.get(&position).and_then(|first| stored[*first].tail);
        if stored[position].tail.is_none() {
            if fragment.length + piece.length > block {
                jobs.push(fragment.close()?);
            }
            stored[position].tail = Some(fragment.add(Piece { item: position, ..piece }));
        }
    }
    if fragment.length > 0 {
        jobs.push(fragment.close()?);
    }
    Ok(Contents { stored, jobs })
}

/// Maps the positions of items to that of the first item for which `part` is equal.
fn equals(
    items: &[Item<'_>],
    threads: NonZero<usize>,
    progress: &Progress,
    part: impl Fn(&Item<'_>) -> Option<Piece>,
) -> Result<HashMap<usize, usize>, WriteError> {
    let mut positions = Vec::new();
    let mut units = Vec::new();
    for (position, item) in items.iter().enumerate() {
        if let (Data::File(content), Some(piece)) = (&item.data, part(item)) {
            positions.push(position);
            units.push(Unit { path: &item.path, content, offset: piece.offset, length: piece.length });
        }
    }
    let first = duplicates::find(&units, threads, progress)?;
    let pairs = positions.iter().zip(first.iter().map(|first| positions[*first]));
    Ok(pairs
        .filter(|(position, first)| *position != first)
        .map(|(position, first)| (*position, first))
        .collect())
}

fn segments(item: usize, length: u64, block: u64) -> impl Iterator<Item = Job> {
    let segment = SEGMENT.max(block);
    (0..length.div_ceil(segment)).map(move |number| {
        let offset = number * segment;
        Job::Blocks(Piece { item, offset, length: (length - offset).min(segment) })
    })
}

/// The current fragment.
struct Fragment {
    number: u32,
    length: u64,
    pieces: Vec<Piece>,
}

impl Fragment {
    fn add(&mut self, piece: Piece) -> Tail {
        let offset = u32::try_from(self.length).expect("a fragment is no longer than a block");
        self.length += piece.length;
        self.pieces.push(piece);
        Tail { fragment: self.number, offset }
    }

    fn close(&mut self) -> Result<Job, WriteError> {
        self.number += 1;
        if self.number == NONE_32 {
            return Err(WriteError::TooMany { what: "fragments", limit: NONE_32.into() });
        }
        self.length = 0;
        Ok(Job::Fragment(std::mem::take(&mut self.pieces)))
    }
}

impl Item<'_> {
    pub(super) fn is_directory(&self) -> bool {
        matches!(self.data, Data::Directory(_))
    }

    /// Length of the content of a file, zero for other items.
    pub(super) fn size(&self) -> u64 {
        match self.data {
            Data::File(content) => content.size(),
            _ => 0,
        }
    }
}
