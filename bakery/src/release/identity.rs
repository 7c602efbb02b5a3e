//! The name and URL that a release is signed for: from the command line, the keys directory and the last release.
//!
//! Nodes compare the name in the catalog with their own, and follow the URL in the transfer files. A typo in either
//! is noticed only on the nodes, so the three sources must agree.

use std::path::{Path, PathBuf};

use sysext_manifests::catalog::Catalog;
use sysext_manifests::envelope::Role;
use sysext_manifests::ini::{self, IniError};
use sysext_manifests::repository::{Repository, RepositoryError};

use super::read::{self, CatalogError, Validity};
use crate::failure::Hint;
use crate::keys::{KeyError, check_url};
use crate::store::{self, FileError, Store};

/// The options on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given<'a> {
    pub(crate) repository: Option<&'a str>,
    pub(crate) url: Option<&'a str>,
    pub(crate) url_change: UrlChange,
}

/// What to do about a URL that differs from the last release's: nodes and mirrors have to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UrlChange {
    #[default]
    Refuse,
    Allow,
}

/// The name and URL of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) repository: String,
    /// Without a slash at the end.
    pub(crate) url: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Catalog(CatalogError),
    #[error(transparent)]
    Key(KeyError),
    #[error("invalid repository file")]
    Repository(#[source] RepositoryError),
    #[error("invalid transfer file")]
    Transfer(#[source] IniError),
    #[error("no repository name: {keys} has no NAME.toml, and the store has no release yet", keys = .keys.display())]
    NoName { keys: PathBuf },
    #[error("several repositories have a file in {keys}: {}", .names.join(", "), keys = .keys.display())]
    SeveralNames { keys: PathBuf, names: Vec<String> },
    #[error("no URL: {keys} has no {repository}.toml, and the store has no release yet", keys = .keys.display())]
    NoUrl { keys: PathBuf, repository: String },
    #[error("{keys} contains the keys of repository {found}, not {given}", keys = .keys.display())]
    OtherKeys { keys: PathBuf, found: String, given: String },
    #[error("{file} contains the URL {found}, not {given}", file = .file.display())]
    OtherUrl { file: PathBuf, found: String, given: String },
    #[error("the last release of {repository} has the URL {last}, not {url}")]
    ChangedUrl { repository: String, last: String, url: String },
}

impl Hint for IdentityError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.hint(),
            Self::Catalog(error) => return error.hint(),
            Self::Key(error) => return error.hint(),
            Self::Repository(_) => "`bakery keygen` and `bakery root init` write this file".to_owned(),
            Self::Transfer(error) => return error.hint(),
            Self::NoName { .. } => "pass --repository NAME".to_owned(),
            Self::SeveralNames { .. } => "choose one with --repository NAME".to_owned(),
            Self::NoUrl { .. } => "pass --url URL".to_owned(),
            Self::OtherKeys { found, .. } => {
                format!("pass --repository {found} or omit it, or use the keys of the other repository")
            }
            Self::OtherUrl { file, .. } => format!(
                "omit --url to use the one in the file; if the repository moved, change {} first, which nodes need too",
                file.display()
            ),
            Self::ChangedUrl { .. } => {
                "if the repository moved, pass --change-url, and give nodes the new NAME.toml".to_owned()
            }
        })
    }
}

/// Finds the name and URL of a release.
pub(crate) fn identify(
    given: Given<'_>,
    keys: &Path,
    root: &Role,
    store: &Store,
) -> Result<Identity, IdentityError> {
    let known = node_files(keys, given.repository)?;
    let last = read::catalog(&store.catalog(), Validity::Expired).map_err(IdentityError::Catalog)?;
    let last = last.map(|(_, catalog)| catalog);
    let repository = name(given.repository, &known, last.as_ref(), keys)?;
    let own = known.iter().find(|known| known.id == repository);
    let url =
        given.url.map(|url| check_url(&repository, url, root)).transpose().map_err(IdentityError::Key)?;
    let last_url = last.as_ref().map(|last| last_url(store, last)).transpose()?.flatten();
    let url = match (url, own) {
        (Some(given), Some(own)) if !is_same(&given, &own.url) => {
            let file = keys.join(format!("{repository}.toml"));
            return Err(IdentityError::OtherUrl { file, found: trim(&own.url), given: trim(&given) });
        }
        (Some(url), _) => url,
        (None, Some(own)) => own.url.clone(),
        (None, None) => match &last_url {
            Some(last) => last.clone(),
            None => return Err(IdentityError::NoUrl { keys: keys.to_owned(), repository }),
        },
    };
    match last_url {
        Some(last) if given.url_change == UrlChange::Refuse && !is_same(&last, &url) => {
            Err(IdentityError::ChangedUrl { repository, last: trim(&last), url: trim(&url) })
        }
        _ => Ok(Identity { repository, url: trim(&url) }),
    }
}

fn name(
    given: Option<&str>,
    known: &[Repository],
    last: Option<&Catalog>,
    keys: &Path,
) -> Result<String, IdentityError> {
    match (given, known) {
        (Some(given), [other]) if other.id != given => Err(IdentityError::OtherKeys {
            keys: keys.to_owned(),
            found: other.id.clone(),
            given: given.to_owned(),
        }),
        (Some(given), _) => Ok(given.to_owned()),
        (None, [only]) => Ok(only.id.clone()),
        (None, []) => {
            let last = last.ok_or_else(|| IdentityError::NoName { keys: keys.to_owned() })?;
            Ok(last.repository.clone())
        }
        (None, several) => Err(IdentityError::SeveralNames {
            keys: keys.to_owned(),
            names: several.iter().map(|known| known.id.clone()).collect(),
        }),
    }
}

/// The repositories that have a file for nodes in the keys directory. Other TOML files may be there too.
fn node_files(keys: &Path, wanted: Option<&str>) -> Result<Vec<Repository>, IdentityError> {
    let mut found = Vec::new();
    for file in store::list(keys).map_err(IdentityError::File)? {
        let Some(id) = file.strip_suffix(".toml").filter(|id| !id.starts_with('.')) else { continue };
        let path = keys.join(&file);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| IdentityError::File(FileError::Read { path: path.clone(), source }))?;
        match Repository::parse(id, &path.display().to_string(), &text) {
            Ok(repository) => found.push(repository),
            Err(error) if wanted == Some(id) => return Err(IdentityError::Repository(error)),
            Err(_) => {}
        }
    }
    // With a file of its own, the wanted repository may share the directory with others.
    if let Some(wanted) = wanted
        && found.iter().any(|repository| repository.id == wanted)
    {
        found.retain(|repository| repository.id == wanted);
    }
    Ok(found)
}

/// The URL in the transfer files of the last release.
fn last_url(store: &Store, last: &Catalog) -> Result<Option<String>, IdentityError> {
    for name in last.extensions.keys() {
        let path = store.file(name, &format!("{name}.transfer"));
        let Some(bytes) = store::read_if_present(&path).map_err(IdentityError::File)? else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let transfer = ini::parse(&path.display().to_string(), &text).map_err(IdentityError::Transfer)?;
        let mut entries = transfer.entries.iter();
        let path = entries.find(|entry| entry.section == "Source" && entry.key == "Path");
        let url = path.map(|entry| entry.value.replace("%%", "%"));
        if let Some(url) = url.and_then(|url| Some(url.trim_end_matches('/').strip_suffix(name)?.to_owned()))
        {
            return Ok(Some(url));
        }
    }
    Ok(None)
}

fn trim(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn is_same(one: &str, other: &str) -> bool {
    trim(one) == trim(other)
}

#[cfg(test)]
mod tests;
