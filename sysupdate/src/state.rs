//! The record of a component: what is installed, what worked, what did not, and what is on trial.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sysext_manifests::digest::Sha256;
use sysext_manifests::version::Version;

use crate::host::store::{Operation, Store, StoreError};
use crate::plan::Relations;
use crate::settings::ComponentName;

/// The format this program writes.
const FORMAT: u32 = 1;

/// How many past changes are kept.
const HISTORY_LENGTH: usize = 50;

/// How many versions that did not pass are kept, newest last.
const BAD_LENGTH: usize = 100;

/// How many installed versions are kept, newest last.
const INSTALLED_LENGTH: usize = 50;

/// How much of what a check said is kept, in bytes.
const OUTPUT_LIMIT: usize = 8 << 10;

/// More than any record has, in bytes: the limits above and that on checks leave it far away.
const SIZE_LIMIT: u64 = 4 << 20;

/// The memory of one component.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Record {
    /// Format of the file.
    pub version: u32,
    /// The version that last passed its checks.
    #[serde(default)]
    pub last_good: Option<Version>,
    /// Versions that were installed, some of which may be removed by now, newest last.
    #[serde(default)]
    pub installed: Vec<InstalledVersion>,
    /// Versions that did not pass: not to be tried again, unless their bytes change.
    #[serde(default)]
    pub bad: Vec<Bad>,
    /// A version that was put in use and has not been judged to the end.
    #[serde(default)]
    pub trial: Option<Trial>,
    /// What happened, oldest first.
    #[serde(default)]
    pub history: Vec<Event>,
}

/// A version that was installed.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct InstalledVersion {
    /// The version.
    pub version: Version,
    /// What it requires of other extensions.
    #[serde(flatten)]
    pub relations: Relations,
}

/// A version that did not pass its checks.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Bad {
    /// The version.
    pub version: Version,
    /// The digests of its files, in the order of the transfers; empty where they were not known.
    pub sha256: Vec<Sha256>,
    /// What the check said.
    pub output: String,
}

/// A version that was put in use and has not been judged to the end.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Trial {
    /// The version.
    pub version: Version,
    /// What was in use before.
    pub previous: Option<Version>,
    /// The digests of its files.
    #[serde(default)]
    pub sha256: Vec<Sha256>,
    /// Checks the catalog asks for.
    #[serde(default)]
    pub health: Vec<String>,
    /// The components that were changed together with this one, and their versions: without them, the version
    /// must not stay.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relies_on: BTreeMap<ComponentName, Version>,
    /// How far the trial came.
    pub stage: Stage,
}

/// How far a trial came.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It is, or is about to be, in use; the checks have not passed.
    Checking,
    /// It did not pass; what was in use before is being put back.
    RollingBack,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Event {
    /// When, by the node's clock.
    pub at: Timestamp,
    /// What.
    pub what: What,
    /// Which version.
    pub version: Version,
    /// What was in use before.
    #[serde(default)]
    pub previous: Option<Version>,
}

/// What can happen to a version.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It was put in use and stays.
    Committed,
    /// It was put in use and stays, though it is not merged and was not judged.
    Left,
    /// It was put in use, did not pass, and was taken back.
    TakenBack,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            version: FORMAT,
            last_good: None,
            installed: Vec::new(),
            bad: Vec::new(),
            trial: None,
            history: Vec::new(),
        }
    }
}

/// What was read.
#[derive(Debug)]
pub enum Recalled {
    /// A record, or the empty one where none was.
    Record(Record),
    /// The file is not a record this program reads.
    Unreadable(Unreadable),
}

/// A record that this program does not read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} is unreadable ({reason}): the list of failed versions was lost", path.display())]
pub struct Unreadable {
    /// The file.
    path: PathBuf,
    /// Why.
    reason: String,
}

impl Unreadable {
    /// Moves it out of the way, for whoever wants to look at it.
    pub fn set_aside(&self, store: &dyn Store) -> Result<(), StoreError> {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".corrupt");
        store.rename(&self.path, Path::new(&aside))
    }
}

impl Record {
    /// Reads a component's record.
    pub fn recall(store: &dyn Store, path: &Path) -> Result<Recalled, StoreError> {
        let unreadable = |reason| Recalled::Unreadable(Unreadable { path: path.to_owned(), reason });
        let bytes = match store.read(path, SIZE_LIMIT) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Recalled::Record(Self::default())),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                return Ok(unreadable(format!("it has more than {SIZE_LIMIT} bytes")));
            }
            Err(error) => return Err(error),
        };
        let reason = match serde_json::from_slice::<Self>(&bytes) {
            Ok(record) if record.version == FORMAT => return Ok(Recalled::Record(record)),
            Ok(record) => format!("it has format {}, this program reads {FORMAT}", record.version),
            Err(error) => error.to_string(),
        };
        Ok(unreadable(reason))
    }

    /// Writes it so that a crash leaves the old or the new one.
    pub fn save(&self, store: &dyn Store, path: &Path) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| StoreError::new(path, Operation::Write, error))?;
        if let Some(directory) = path.parent() {
            store.make_directory(directory)?;
        }
        store.save(path, &bytes)
    }

    /// Adds a version that did not pass.
    pub fn record_failure(&mut self, mut bad: Bad) {
        if bad.output.len() > OUTPUT_LIMIT {
            // Programs say last what went wrong.
            let start = bad.output.ceil_char_boundary(bad.output.len() - OUTPUT_LIMIT);
            bad.output.replace_range(..start, "…");
        }
        self.bad.push(bad);
        let surplus = self.bad.len().saturating_sub(BAD_LENGTH);
        self.bad.drain(..surplus);
    }

    /// Adds a version that is installed now.
    pub fn record_installed(&mut self, installed: InstalledVersion) {
        self.installed.retain(|other| other.version != installed.version);
        self.installed.push(installed);
        let surplus = self.installed.len().saturating_sub(INSTALLED_LENGTH);
        self.installed.drain(..surplus);
    }

    /// What was recorded when a version was installed.
    pub fn installed(&self, version: &Version) -> Option<&InstalledVersion> {
        self.installed.iter().find(|installed| installed.version == *version)
    }

    /// Adds to the history.
    pub fn note(&mut self, event: Event) {
        self.history.push(event);
        let surplus = self.history.len().saturating_sub(HISTORY_LENGTH);
        self.history.drain(..surplus);
    }

    /// The entry that says that exactly these bytes did not pass. Where either side does not know the
    /// digests, the version alone decides.
    pub fn failure_of(&self, version: &Version, sha256: &[Sha256]) -> Option<&Bad> {
        self.bad.iter().find(|bad| {
            bad.version == *version && (bad.sha256.is_empty() || sha256.is_empty() || bad.sha256 == sha256)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeStore;

    const PATH: &str = "/var/lib/sysupdate/extensions/x.json";

    #[test]
    fn whatever_checks_say_the_record_stays_readable() {
        let (store, mut record) = (FakeStore::default(), Record::default());
        for number in 0..300 {
            let version = format!("1.{number}").parse().unwrap();
            record.record_failure(Bad { version, sha256: Vec::new(), output: "\u{1}é".repeat(200_000) });
        }
        record.save(&store, Path::new(PATH)).unwrap();
        let Recalled::Record(recalled) = Record::recall(&store, Path::new(PATH)).unwrap() else {
            panic!("not readable")
        };
        assert_eq!(recalled.bad.len(), BAD_LENGTH);
        assert_eq!(recalled.bad.last().unwrap().version.as_str(), "1.299");
    }

    #[test]
    fn a_record_that_is_too_long_is_set_aside_like_any_other() {
        let store = FakeStore::default();
        store.make_directory(Path::new("/var/lib/sysupdate/extensions")).unwrap();
        store.save(Path::new(PATH), &vec![b' '; 5 << 20]).unwrap();
        let Recalled::Unreadable(unreadable) = Record::recall(&store, Path::new(PATH)).unwrap() else {
            panic!("readable")
        };
        unreadable.set_aside(&store).unwrap();
        assert!(matches!(Record::recall(&store, Path::new(PATH)), Ok(Recalled::Record(_))));
    }
}
