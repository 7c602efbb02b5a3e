//! `bakery files`

use std::path::PathBuf;

use serde::Serialize;
use sysext_image::dump::escape;
use sysext_image::entry::{Entry, EntryKind};
use sysext_image::tree::Special;

use super::Result;
use super::output::{print, print_json};
use crate::failure::At as _;
use crate::inspect::opened::Opened;

/// List the files of an image.
///
/// Prints type and mode, owner, size in bytes, and path, as `ls -l` does. The image is read, not mounted, so no
/// privilege is needed; file contents are not checked, see `bakery verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image: erofs or squashfs, bare or in a disk image
    image: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    kind: &'static str,
    /// Permission bits in octal, with setuid, setgid and sticky.
    mode: String,
    uid: u32,
    gid: u32,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let opened = Opened::open(&self.image)?;
        let mut entries = opened.filesystem.entries().at(self.image.display())?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        if self.json {
            return print_json(&entries.iter().map(File::from).collect::<Vec<_>>());
        }
        let owners: Vec<String> =
            entries.iter().map(|entry| format!("{}/{}", entry.uid, entry.gid)).collect();
        let sizes: Vec<String> = entries.iter().map(|entry| bytes(entry).to_string()).collect();
        let width = |texts: &[String]| texts.iter().map(String::len).max().unwrap_or(0);
        let (owner_width, size_width) = (width(&owners), width(&sizes));
        print(entries.iter().zip(owners.iter().zip(&sizes)).map(|(entry, (owner, size))| {
            let mode = symbolic(entry);
            let target = target(entry).map(|target| format!(" -> {target}")).unwrap_or_default();
            format!("{mode} {owner:owner_width$} {size:>size_width$} {}{target}", path(entry))
        }))
    }
}

impl From<&Entry> for File {
    fn from(entry: &Entry) -> Self {
        Self {
            path: path(entry),
            kind: kind(&entry.kind),
            mode: format!("{:04o}", entry.mode),
            uid: entry.uid,
            gid: entry.gid,
            size: bytes(entry),
            target: target(entry),
        }
    }
}

fn path(entry: &Entry) -> String {
    format!("/{}", escape(entry.path.as_os_str().as_encoded_bytes()))
}

/// The bytes of a file. The size of a directory depends on the format and means nothing here.
fn bytes(entry: &Entry) -> u64 {
    if entry.kind == EntryKind::File { entry.size } else { 0 }
}

fn target(entry: &Entry) -> Option<String> {
    let EntryKind::Symlink(target) = &entry.kind else { return None };
    Some(escape(target.as_encoded_bytes()))
}

fn kind(kind: &EntryKind) -> &'static str {
    match kind {
        EntryKind::Directory => "directory",
        EntryKind::File => "file",
        EntryKind::Symlink(_) => "symlink",
        EntryKind::Special(special) => special_kind(special).0,
    }
}

/// The name of a special file, and its letter in `ls -l`.
fn special_kind(special: &Special) -> (&'static str, char) {
    match special {
        Special::Character(_) => ("character_device", 'c'),
        Special::Block(_) => ("block_device", 'b'),
        Special::Fifo => ("fifo", 'p'),
    }
}

/// The letter and the permissions as `ls -l` prints them.
fn symbolic(entry: &Entry) -> String {
    let letter = match &entry.kind {
        EntryKind::Directory => 'd',
        EntryKind::File => '-',
        EntryKind::Symlink(_) => 'l',
        EntryKind::Special(special) => special_kind(special).1,
    };
    let mut text = String::from(letter);
    for (shift, set_id, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = entry.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, entry.mode & set_id != 0) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}
