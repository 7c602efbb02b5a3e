//! Files in memory, which can stop doing anything at a chosen point.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Cursor, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host::store::{Attributes, Entry, EntryKind, Operation, Partial, Result, Store, StoreError};
use crate::host::view::{self, Directory, Kind, Last, View};

/// Files in memory.
///
/// Every change is counted, and [`stop_before`](Self::stop_before) makes one of them and all later ones
/// fail, as if the program had been killed there; [`go_on`](Self::go_on) is the next start of the program.
#[derive(Clone, Debug, Default)]
pub struct FakeStore(Arc<Mutex<StoreState>>);

#[derive(Debug)]
struct StoreState {
    /// Where absolute links below it begin.
    root: PathBuf,
    nodes: BTreeMap<PathBuf, Node>,
    changes: Vec<String>,
    stop_before: Option<usize>,
    free: u64,
    size: u64,
}

#[derive(Clone, Debug)]
enum Node {
    File { bytes: Vec<u8>, mode: u32 },
    Directory,
    Link(PathBuf),
}

impl Default for StoreState {
    fn default() -> Self {
        let nodes = BTreeMap::from([(PathBuf::from("/"), Node::Directory)]);
        Self {
            root: PathBuf::from("/"),
            nodes,
            changes: Vec::new(),
            stop_before: None,
            free: 1 << 40,
            size: 1 << 40,
        }
    }
}

impl FakeStore {
    /// Puts a file there with all directories above it; not counted as a change.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        self.state().put(path.as_ref(), Node::File { bytes: bytes.to_owned(), mode: 0o644 });
    }

    /// Puts a symbolic link there with all directories above it; not counted as a change.
    pub fn put_link(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) {
        self.state().put(path.as_ref(), Node::Link(target.as_ref().to_owned()));
    }

    /// A file's bytes, links followed.
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.read(path.as_ref(), u64::MAX).ok()?
    }

    /// What a path is, with a file's bytes or a link's target. No link is followed.
    pub(super) fn look(&self, path: &Path) -> Option<(Kind, Vec<u8>)> {
        Some(match self.state().nodes.get(path)? {
            Node::File { bytes, .. } => (Kind::File, bytes.clone()),
            Node::Directory => (Kind::Directory, Vec::new()),
            Node::Link(target) => (Kind::Link, target.as_os_str().as_encoded_bytes().to_owned()),
        })
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&self, directory: &Path) -> Vec<(OsString, Kind)> {
        let state = self.state();
        let inside = state.nodes.iter().filter(|(path, _)| path.parent() == Some(directory));
        let named = |(path, node): (&PathBuf, &Node)| {
            let kind = match node {
                Node::File { .. } => Kind::File,
                Node::Directory => Kind::Directory,
                Node::Link(_) => Kind::Link,
            };
            Some((path.file_name()?.to_owned(), kind))
        };
        inside.filter_map(named).collect()
    }

    /// A file's permission bits.
    pub fn mode(&self, path: impl AsRef<Path>) -> Option<u32> {
        match self.state().nodes.get(path.as_ref())? {
            Node::File { mode, .. } => Some(*mode),
            Node::Directory | Node::Link(_) => None,
        }
    }

    /// Every path there is, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().nodes.keys().cloned().collect()
    }

    /// How many bytes may still be written.
    pub fn set_free_space(&self, bytes: u64) {
        self.state().free = bytes;
    }

    /// How many bytes the disk has.
    pub fn set_disk_size(&self, bytes: u64) {
        self.state().size = bytes;
    }

    /// Every change so far, in words.
    pub fn changes(&self) -> Vec<String> {
        self.state().changes.clone()
    }

    /// Lets this number of changes happen, counted from the first, and none after them.
    pub fn stop_before(&self, change: usize) {
        self.state().stop_before = Some(change);
    }

    /// Lets changes happen again.
    pub fn go_on(&self) {
        self.state().stop_before = None;
    }

    fn state(&self) -> MutexGuard<'_, StoreState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreState {
    fn put(&mut self, path: &Path, node: Node) {
        for above in path.ancestors().skip(1) {
            self.nodes.entry(above.to_owned()).or_insert(Node::Directory);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Notes a change, or stops before it.
    fn change(&mut self, what: &str, path: &Path) -> Result<()> {
        if self.stop_before.is_some_and(|stop| self.changes.len() >= stop) {
            let source = io::Error::other(format!("stopped before {what}"));
            return Err(StoreError::new(path, Operation::Write, source));
        }
        self.changes.push(format!("{what} {}", path.display()));
        Ok(())
    }

    /// The path with the links in its directories followed, and in its last part if asked for.
    fn resolve(&self, path: &Path, last: Last) -> Result<PathBuf> {
        let failed = StoreError::at(path, Operation::Resolve);
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            let invalid = io::ErrorKind::InvalidInput;
            return Err(failed(io::Error::new(invalid, "not an absolute path without ..")));
        }
        let root = Some(&self.root).filter(|root| path.starts_with(root)).map_or(Path::new("/"), |root| root);
        self.follow(root, Path::new("/"), path.strip_prefix(root).unwrap_or(path), last).map_err(failed)
    }

    fn follow(&self, root: &Path, start: &Path, path: &Path, last: Last) -> io::Result<PathBuf> {
        let outside = |inside: &Path| below(root, inside);
        let resolved = view::follow(start, path, last, |path| match self.nodes.get(&outside(path)) {
            Some(Node::Link(target)) => Ok(Some(target.clone())),
            _ => Ok(None),
        })?;
        let mut above = resolved.ancestors().skip(1).map(outside);
        if above.any(|path| matches!(self.nodes.get(&path), Some(Node::File { .. }))) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(outside(&resolved))
    }

    /// Where a new name goes: its directory must be there.
    fn place(&self, path: &Path) -> Result<PathBuf> {
        let resolved = self.resolve(path, Last::Keep)?;
        match resolved.parent().and_then(|parent| self.nodes.get(parent)) {
            Some(Node::Directory) => Ok(resolved),
            _ => Err(StoreError::new(path, Operation::Write, io::ErrorKind::NotFound)),
        }
    }

    fn spend(&mut self, bytes: usize, path: &Path) -> Result<()> {
        let full = || StoreError::new(path, Operation::Write, io::ErrorKind::StorageFull);
        self.free = self.free.checked_sub(bytes as u64).ok_or_else(full)?;
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<&mut Vec<u8>> {
        match self.nodes.get_mut(path) {
            Some(Node::File { bytes, .. }) => Ok(bytes),
            _ => Err(StoreError::new(path, Operation::Read, io::ErrorKind::NotFound)),
        }
    }
}

/// A path of another root, where the running system has it.
fn below(root: &Path, inside: &Path) -> PathBuf {
    match inside.strip_prefix("/") {
        Ok(rest) if rest.as_os_str().is_empty() => root.to_owned(),
        Ok(rest) => root.join(rest),
        Err(_) => inside.to_owned(),
    }
}

impl Store for FakeStore {
    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let state = self.state();
        let resolved = match state.resolve(path, Last::Follow) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            other => other?,
        };
        match state.nodes.get(&resolved) {
            None if resolved == Path::new("/dev/null") => Ok(Some(Vec::new())),
            None => Ok(None),
            Some(Node::File { bytes, .. }) if bytes.len() as u64 > limit => {
                let message = format!("more than {limit} bytes");
                let source = io::Error::new(io::ErrorKind::FileTooLarge, message);
                Err(StoreError::new(path, Operation::Read, source))
            }
            Some(Node::File { bytes, .. }) => Ok(Some(bytes.clone())),
            Some(_) => Err(StoreError::new(path, Operation::Read, io::ErrorKind::IsADirectory)),
        }
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read>> {
        let mut state = self.state();
        let resolved = state.resolve(path, Last::Follow)?;
        let bytes = state.file(&resolved)?.clone();
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn list(&self, directory: &Path) -> Result<Vec<Entry>> {
        let state = self.state();
        let resolved = match state.resolve(directory, Last::Follow) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
            other => other?,
        };
        let inside = state.nodes.iter().filter(|(path, _)| path.parent() == Some(&resolved));
        let entry = |(path, node): (&PathBuf, &Node)| {
            let name = path.file_name()?.to_str()?.to_owned();
            let kind = match node {
                Node::File { bytes, .. } => EntryKind::File(bytes.len() as u64),
                Node::Directory => EntryKind::Directory,
                Node::Link(target) => EntryKind::Link(target.clone()),
            };
            Some(Entry { name, kind })
        };
        let mut entries: Vec<_> = inside.filter_map(entry).collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn read_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        let state = self.state();
        let resolved = match state.resolve(path, Last::Keep) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            other => other?,
        };
        Ok(match state.nodes.get(&resolved) {
            Some(Node::Link(target)) => Some(target.clone()),
            _ => None,
        })
    }

    /// All files were written in 1970.
    fn attributes(&self, path: &Path) -> Result<Option<Attributes>> {
        let state = self.state();
        let resolved = state.resolve(path, Last::Keep)?;
        Ok(match state.nodes.get(&resolved) {
            Some(Node::File { mode, .. }) => Some(Attributes { mtime: 0, mode: *mode }),
            Some(Node::Directory | Node::Link(_)) | None => None,
        })
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        self.state().resolve(path, Last::Follow)
    }

    fn resolve_target(&self, directory: &Path, target: &Path) -> Result<PathBuf> {
        let state = self.state();
        let directory = state.resolve(directory, Last::Follow)?;
        let root =
            Some(&state.root).filter(|root| directory.starts_with(root)).map_or(Path::new("/"), |root| root);
        let inside = Path::new("/").join(directory.strip_prefix(root).unwrap_or(&directory));
        let start = if target.is_absolute() { Path::new("/") } else { &inside };
        let resolved = state.follow(root, start, target, Last::Keep);
        resolved.map_err(StoreError::at(&directory, Operation::Resolve))
    }

    fn free_space(&self, _: &Path) -> Result<u64> {
        Ok(self.state().free)
    }

    fn disk_size(&self, _: &Path) -> Result<u64> {
        Ok(self.state().size)
    }

    fn make_directory(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        let resolved = state.resolve(path, Last::Follow)?;
        let mut above: Vec<_> = resolved.ancestors().map(Path::to_owned).collect();
        above.reverse();
        for directory in above {
            match state.nodes.get(&directory) {
                Some(Node::Directory) => {}
                Some(_) => {
                    let exists = io::ErrorKind::AlreadyExists;
                    return Err(StoreError::new(&directory, Operation::CreateDirectory, exists));
                }
                None => {
                    state.change("make directory", &directory)?;
                    state.nodes.insert(directory, Node::Directory);
                }
            }
        }
        Ok(())
    }

    fn partial(&self, path: &Path) -> Result<Box<dyn Partial>> {
        let mut state = self.state();
        let place = state.place(path)?;
        if !matches!(state.nodes.get(&place), Some(Node::File { .. })) {
            state.change("create", path)?;
            state.nodes.retain(|other, _| !other.starts_with(&place));
            state.nodes.insert(place.clone(), Node::File { bytes: Vec::new(), mode: 0o644 });
        }
        Ok(Box::new(FakePartial { store: self.clone(), path: place }))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        let mut state = self.state();
        let place = state.place(path)?;
        state.change("set mode", path)?;
        match state.nodes.get_mut(&place) {
            Some(Node::File { mode: there, .. }) => *there = mode,
            _ => return Err(StoreError::new(path, Operation::SetMode, io::ErrorKind::NotFound)),
        }
        Ok(())
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut state = self.state();
        let place = state.place(path)?;
        if matches!(state.nodes.get(&place), Some(Node::Directory)) {
            return Err(StoreError::new(path, Operation::Write, io::ErrorKind::IsADirectory));
        }
        state.change("write", path)?;
        state.spend(bytes.len(), path)?;
        state.nodes.insert(place, Node::File { bytes: bytes.to_owned(), mode: 0o644 });
        Ok(())
    }

    fn make_link(&self, path: &Path, target: &Path) -> Result<()> {
        let mut state = self.state();
        let place = state.place(path)?;
        if state.nodes.contains_key(&place) {
            return Err(StoreError::new(path, Operation::CreateLink, io::ErrorKind::AlreadyExists));
        }
        state.change("link", path)?;
        state.nodes.insert(place, Node::Link(target.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.state();
        let (old, new) = (state.place(from)?, state.place(to)?);
        let failed = |kind: io::ErrorKind| {
            StoreError::new(from, Operation::Rename { to: to.to_owned() }, io::Error::from(kind))
        };
        let node = state.nodes.get(&old).cloned().ok_or_else(|| failed(io::ErrorKind::NotFound))?;
        if matches!((&node, state.nodes.get(&new)), (_, Some(Node::Directory)) | (Node::Directory, Some(_))) {
            return Err(failed(io::ErrorKind::AlreadyExists));
        }
        state.change("rename", to)?;
        let moved: Vec<_> = state.nodes.keys().filter(|path| path.starts_with(&old)).cloned().collect();
        for path in moved {
            let rest = path.strip_prefix(&old).unwrap_or(Path::new("")).to_owned();
            let place = if rest.as_os_str().is_empty() { new.clone() } else { new.join(rest) };
            if let Some(node) = state.nodes.remove(&path) {
                state.nodes.insert(place, node);
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        let Ok(place) = state.place(path) else { return Ok(()) };
        match state.nodes.get(&place) {
            None => return Ok(()),
            Some(Node::Directory) => {
                return Err(StoreError::new(path, Operation::Remove, io::ErrorKind::IsADirectory));
            }
            Some(Node::File { bytes, .. }) => state.free = state.free.saturating_add(bytes.len() as u64),
            Some(Node::Link(_)) => {}
        }
        state.change("remove", path)?;
        state.nodes.remove(&place);
        Ok(())
    }

    /// Nothing is mounted in memory, so that nothing is beneath.
    fn within(&self, view: View<Directory>) -> Box<dyn Store> {
        view.root().clone_into(&mut self.state().root);
        Box::new(self.clone())
    }
}

struct FakePartial {
    store: FakeStore,
    path: PathBuf,
}

impl Partial for FakePartial {
    fn length(&self) -> u64 {
        self.store.state().file(&self.path).map_or(0, |bytes| bytes.len() as u64)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut state = self.store.state();
        state.change("append to", &self.path)?;
        state.spend(bytes.len(), &self.path)?;
        state.file(&self.path)?.extend_from_slice(bytes);
        Ok(())
    }

    fn reread(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        let bytes = self.store.state().file(&self.path)?.clone();
        take(&bytes);
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        let mut state = self.store.state();
        let freed = state.file(&self.path)?.len() as u64;
        if freed > 0 {
            state.change("empty", &self.path)?;
            state.file(&self.path)?.clear();
            state.free = state.free.saturating_add(freed);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.store.state().change("sync", &self.path)
    }
}

#[cfg(test)]
mod tests;
