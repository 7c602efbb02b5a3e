//! Why an operation on a file failed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use sysext_manifests::hint::Hint;

/// An operation on a file failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {}: {source}", Attempt { operation, path })]
pub struct StoreError {
    /// The file or directory, as the caller named it.
    pub path: PathBuf,
    /// What was tried with it.
    pub operation: Operation,
    /// What the system said; it does not name the path.
    pub source: io::Error,
}

impl Hint for StoreError {}

impl StoreError {
    /// The error of one operation.
    pub fn new(path: &Path, operation: Operation, source: impl Into<io::Error>) -> Self {
        Self { path: path.to_owned(), operation, source: source.into() }
    }

    /// Adds path and operation to an error of the system.
    pub fn at(path: &Path, operation: Operation) -> impl Fn(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), operation: operation.clone(), source }
    }

    /// The kind of the system's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// An operation on a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the name says it")]
pub enum Operation {
    Read,
    Open,
    List,
    ReadLink,
    ReadAttributes,
    Resolve,
    GetFreeSpace,
    CreateDirectory,
    Write,
    SetMode,
    CreateLink,
    Rename { to: PathBuf },
    Truncate,
    Sync,
    Remove,
}

/// An operation with the path, as it follows "cannot".
struct Attempt<'a> {
    operation: &'a Operation,
    path: &'a Path,
}

impl fmt::Display for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let operation = match self.operation {
            Operation::Read => "read",
            Operation::Open => "open",
            Operation::List => "list",
            Operation::ReadLink => "read the link",
            Operation::ReadAttributes => "read the attributes of",
            Operation::Resolve => "resolve",
            Operation::GetFreeSpace => "get the free space of",
            Operation::CreateDirectory => "create the directory",
            Operation::Write => "write",
            Operation::SetMode => "set the mode of",
            Operation::CreateLink => "create the link",
            Operation::Rename { to } => return write!(f, "rename {path} to {}", to.display()),
            Operation::Truncate => "truncate",
            Operation::Sync => "sync",
            Operation::Remove => "remove",
        };
        write!(f, "{operation} {path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_path_once() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let error = StoreError::new(Path::new("/a"), Operation::Read, denied());
        assert_eq!(error.to_string(), "cannot read /a: permission denied");
        assert_eq!(crate::failure::in_full(&error), error.to_string());
        let rename = Operation::Rename { to: "/b".into() };
        let error = StoreError::new(Path::new("/a"), rename, denied());
        assert_eq!(error.to_string(), "cannot rename /a to /b: permission denied");
    }
}
