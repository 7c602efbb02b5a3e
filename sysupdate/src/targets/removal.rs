//! Taking away what transfers have that take no part any more: first out of use, and off the disk once
//! nothing shows it. As long as any file is there, the next run knows that there is something left to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::acquire;
use crate::host::Host;
use crate::plan::{Leaving, Removal};

/// Why something is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct RetireError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> RetireError + 'a {
    move |source| RetireError { what, path: path.to_owned(), source }
}

/// Takes it out of use: what is merged from now on does not have it.
pub fn out_of_use(host: &Host, removal: &Removal) -> Result<(), RetireError> {
    for Leaving { path, set_aside, .. } in &removal.files {
        if let Some(aside) = set_aside {
            host.store.rename(path, aside).map_err(failed("set aside", path))?;
        }
    }
    match &removal.link {
        Some(link) => host.store.remove(link).map_err(failed("remove", link)),
        None => Ok(()),
    }
}

/// Removes the files.
pub fn off_the_disk(host: &Host, removal: &Removal) -> Result<(), RetireError> {
    let mut names = removal.files.iter().map(|file| file.set_aside.as_ref().unwrap_or(&file.path));
    names.try_for_each(|path| remove(host, path))
}

/// Removes a file, and what a download of it kept beside.
pub fn remove(host: &Host, path: &Path) -> Result<(), RetireError> {
    host.store.remove(path).map_err(failed("remove", path))?;
    let beside = acquire::origin_beside(path);
    host.store.remove(&beside).map_err(failed("remove", &beside))
}
