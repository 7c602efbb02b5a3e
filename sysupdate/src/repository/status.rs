//! How this node stands towards a repository: what the operator gave it, and what it remembers.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::catalog::{Catalog, CatalogFile, Root};
use sysext_manifests::envelope::Role;
use sysext_manifests::repository::{Marks, Repository};

use super::RepositoryFailure;
use super::describe::{self, describe};
use super::marks::{self, copy, recall};
use crate::host::store::{Store, StoreError};
use crate::host::transport::without_secrets;
use crate::paths::Paths;
use crate::settings::{self, SettingsError};

/// How many characters of a key are shown at its front, which is its identifier, and at its end.
const KEY_SHOWN: (usize, usize) = (8, 10);

/// How this node stands towards a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Standing {
    /// The repository.
    pub repository: String,
    /// What the operator says of it.
    pub configured: Configured,
    /// What is remembered of it.
    pub remembered: Remembered,
}

/// What the operator says of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Configured {
    /// Where it is, and which keys sign its roots.
    Described {
        /// The file that says so.
        path: PathBuf,
        /// Where it is, without secrets.
        url: String,
        /// Other places, without secrets.
        mirrors: Vec<String>,
        /// The keys.
        keys: Role,
    },
    /// Nothing: no transfer may name it.
    Missing {
        /// The file that would say it.
        path: PathBuf,
    },
    /// Something that is not usable.
    Unusable {
        /// Why.
        reason: String,
    },
}

/// What is remembered of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Remembered {
    /// Nothing: the first catalog that the keys in `/etc` lead to is trusted.
    Nothing,
    /// Marks: nothing older is trusted.
    Marks {
        /// Whether they were made under the keys in `/etc`.
        under: Under,
        /// The last trusted root.
        root: Box<Root>,
        /// The highest serial accepted under it.
        serial: u64,
        /// The latest signing time accepted.
        #[cfg_attr(feature = "schema", schemars(with = "String"))]
        issued: Timestamp,
        /// The last catalog.
        catalog: Kept,
    },
    /// Something unreadable: no catalog is trusted.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// Under which keys marks were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "keys", rename_all = "kebab-case")]
pub enum Under {
    /// Those that are in `/etc`.
    TheSame,
    /// Others: the marks are no longer used.
    Others {
        /// Those.
        role: Role,
    },
}

/// The copy of the last catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Kept {
    /// It is there, and signed as the remembered root wants it.
    Whole {
        /// Its serial.
        serial: u64,
        /// When it was signed.
        #[cfg_attr(feature = "schema", schemars(with = "String"))]
        issued: Timestamp,
        /// When it ends.
        #[cfg_attr(feature = "schema", schemars(with = "String"))]
        expires: Timestamp,
        /// How many extensions it offers.
        extensions: usize,
    },
    /// It is not there.
    Missing,
    /// It does not fit the marks; the next run fetches it anew.
    Unfit {
        /// Why.
        reason: String,
    },
}

impl Standing {
    /// Whether a run could use the repository.
    pub fn is_usable(&self) -> bool {
        !matches!(self.configured, Configured::Unusable { .. })
            && !matches!(self.remembered, Remembered::Unreadable { .. })
    }
}

/// The repositories that the operator describes or that are remembered, sorted.
pub fn known(store: &dyn Store, paths: &Paths) -> Result<BTreeSet<String>, StoreError> {
    let files = store.list(&paths.repositories)?;
    let described = files.iter().filter_map(|file| file.name.strip_suffix(".toml"));
    let described = described.filter(|id| settings::valid_name(id)).map(str::to_owned);
    Ok(described.chain(marks::remembered(store, paths)?).collect())
}

/// Looks at a repository, writing and fetching nothing.
pub fn look(store: &dyn Store, paths: &Paths, id: &str) -> Standing {
    let repository = describe(store, paths, id);
    let keys = repository.as_ref().ok().map(|repository| repository.root.clone());
    Standing {
        repository: id.to_owned(),
        configured: configured(repository, paths, id),
        remembered: remembered(store, paths, id, keys).unwrap_or_else(|error| {
            let reason = error.to_string();
            Remembered::Unreadable { reason }
        }),
    }
}

fn configured(repository: Result<Repository, SettingsError>, paths: &Paths, id: &str) -> Configured {
    match repository {
        Ok(Repository { url, mirrors, root, .. }) => {
            let path = describe::path(paths, id);
            let mirrors = mirrors.iter().map(|mirror| without_secrets(mirror)).collect();
            Configured::Described { path, url: without_secrets(&url), mirrors, keys: root }
        }
        Err(SettingsError::NoRepository { path, .. }) => Configured::Missing { path },
        Err(error) => Configured::Unusable { reason: error.to_string() },
    }
}

fn remembered(
    store: &dyn Store,
    paths: &Paths,
    id: &str,
    keys: Option<Role>,
) -> Result<Remembered, RepositoryFailure> {
    let directory = paths.repository_state.join(id);
    let Some(state) = recall(store, &directory, id)? else { return Ok(Remembered::Nothing) };
    let kept = match copy(store, &directory, id)? {
        None => Kept::Missing,
        Some(document) => kept(&document, &state.marks),
    };
    let Marks { keys: under, root, serial, issued } = state.marks;
    let under = match keys {
        Some(keys) if !keys.is_same(&under) => Under::Others { role: under },
        _ => Under::TheSame,
    };
    Ok(Remembered::Marks { under, root: Box::new(root), serial, issued, catalog: kept })
}

/// What the copy says, as far as the marks vouch for it.
fn kept(document: &[u8], marks: &Marks) -> Kept {
    let file: CatalogFile = match serde_json::from_slice(document) {
        Ok(file) => file,
        Err(error) => return Kept::Unfit { reason: error.to_string() },
    };
    let catalog = file.catalog.verify(&marks.root.catalog).and_then(|packed| packed.unpack::<Catalog>());
    match catalog {
        Ok(Catalog { serial, issued, expires, extensions, .. }) if serial == marks.serial => {
            Kept::Whole { serial, issued, expires, extensions: extensions.len() }
        }
        Ok(catalog) => Kept::Unfit { reason: format!("it has serial {}", catalog.serial) },
        Err(error) => Kept::Unfit { reason: error.to_string() },
    }
}

/// A key by its ends. Its front alone says little: whoever makes a key chooses it.
fn short(key: &str) -> String {
    let (front, end) = KEY_SHOWN;
    let characters: Vec<char> = key.chars().collect();
    match characters.len() > front + end {
        false => key.to_owned(),
        true => {
            let part = |range: &[char]| range.iter().collect::<String>();
            format!("{}…{}", part(&characters[..front]), part(&characters[characters.len() - end..]))
        }
    }
}

fn role(role: &Role) -> String {
    let keys: Vec<String> = role.keys.iter().map(|key| short(key)).collect();
    format!("{} of {}: {}", role.threshold, keys.len(), keys.join(", "))
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.repository)?;
        match &self.configured {
            Configured::Described { path, url, mirrors, keys } => {
                writeln!(f, "  url           {url}")?;
                mirrors.iter().try_for_each(|mirror| writeln!(f, "  mirror        {mirror}"))?;
                writeln!(f, "  keys          {}; from {}", role(keys), path.display())?;
            }
            Configured::Missing { path } => writeln!(f, "  keys          none: no {}", path.display())?,
            Configured::Unusable { reason } => writeln!(f, "  keys          not usable: {reason}")?,
        }
        let (under, root, serial, issued, catalog) = match &self.remembered {
            Remembered::Nothing => return writeln!(f, "  remembered    nothing"),
            Remembered::Unreadable { reason } => {
                return writeln!(f, "  remembered    unreadable, no catalog is trusted: {reason}");
            }
            Remembered::Marks { under, root, serial, issued, catalog } => {
                (under, root, serial, issued, catalog)
            }
        };
        writeln!(f, "  root          {}, expires {}", root.number, root.expires)?;
        writeln!(f, "  root keys     {}", role(&root.role()))?;
        writeln!(f, "  catalog keys  {}", role(&root.catalog))?;
        writeln!(f, "  serial        {serial}")?;
        writeln!(f, "  issued        {issued}")?;
        match catalog {
            Kept::Whole { expires, extensions, .. } => {
                writeln!(f, "  expires       {expires}")?;
                writeln!(f, "  extensions    {extensions}")?;
            }
            Kept::Missing => writeln!(f, "  expires       unknown: the last catalog was not kept")?,
            Kept::Unfit { reason } => {
                writeln!(f, "  expires       unknown: the copy of the last catalog does not fit: {reason}")?;
            }
        }
        if let Under::Others { role: keys } = under {
            let keys = role(keys);
            writeln!(f, "  changed       recorded under other keys ({keys}) and no longer used")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
