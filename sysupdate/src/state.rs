//! The record of a component: what is installed, what worked, what did not, and what is on trial.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sysext_manifests::digest::Sha256;
use sysext_manifests::health::HealthCheck;
use sysext_manifests::trust::Evidence;
use sysext_manifests::version::Version;

use crate::host::store::{Operation, Store, StoreError};
use crate::plan::Relations;
use crate::settings::ComponentName;

/// The format of the file.
const FORMAT: u32 = 2;

/// How many changes are kept.
const HISTORY_LENGTH: usize = 50;

/// How many failed versions are kept, newest last.
const BAD_LENGTH: usize = 100;

/// How many installed versions are kept, newest last.
const INSTALLED_LENGTH: usize = 50;

/// How much of the output of a failed check is kept, in bytes.
const OUTPUT_LIMIT: usize = 8 << 10;

/// No record is longer, in bytes: the limits above keep it far below.
const SIZE_LIMIT: u64 = 4 << 20;

/// The record of one component.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Record {
    /// The format of the file.
    pub version: u32,
    /// The version that last passed its checks.
    #[serde(default)]
    pub last_good: Option<Version>,
    /// Versions that were installed, some of which may be removed by now, newest last.
    #[serde(default)]
    pub installed: Vec<InstalledVersion>,
    /// Versions that failed their checks. They are skipped, unless their bytes change.
    #[serde(default)]
    pub bad: Vec<BadVersion>,
    /// A version that was activated and whose checks have not passed yet.
    #[serde(default)]
    pub trial: Option<Trial>,
    /// The changes, oldest first.
    #[serde(default)]
    pub history: Vec<Change>,
}

/// A version that was installed.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct InstalledVersion {
    /// The version.
    pub version: Version,
    /// What it requires of other extensions.
    #[serde(flatten)]
    pub relations: Relations,
    /// Its files that this program installed.
    pub files: Vec<InstalledFile>,
}

/// A file that was installed.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstalledFile {
    /// The transfer.
    pub transfer: String,
    /// Its path on the target system.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// Why it is trusted.
    pub evidence: Evidence,
}

/// A version that failed its checks.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct BadVersion {
    /// The version.
    pub version: Version,
    /// The digests of its files, in the order of the transfers; empty if they were unknown.
    pub sha256: Vec<Sha256>,
    /// The output of the failed check.
    pub output: String,
}

/// A version that was activated and whose checks have not passed yet.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Trial {
    /// The version.
    pub version: Version,
    /// The version that was in use before.
    pub previous: Option<Version>,
    /// The digests of its files.
    #[serde(default)]
    pub sha256: Vec<Sha256>,
    /// The catalog's health checks.
    #[serde(default)]
    pub health: Vec<HealthCheck>,
    /// The components that were changed together with this one, and their versions: without them, the version
    /// must not stay.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relies_on: BTreeMap<ComponentName, Version>,
    /// How far the trial is.
    pub stage: Stage,
}

/// How far a trial is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The version is activated, or about to be; its checks have not passed.
    Checking,
    /// The version is being rolled back.
    RollingBack,
}

/// A change of the version in use.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Change {
    /// The time, by the node's clock.
    pub at: Timestamp,
    /// The kind of change.
    pub event: Event,
    /// The version.
    pub version: Version,
    /// The version that was in use before.
    #[serde(default)]
    pub previous: Option<Version>,
}

/// What happened to a version.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It was activated and passed its checks.
    Activated,
    /// It was activated, but is masked, so that it was not checked.
    Masked,
    /// It was activated and rolled back.
    RolledBack,
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

/// The content of a record's file.
#[derive(Debug)]
pub enum Recalled {
    /// The record; an empty one if there is no file.
    Record(Record),
    /// A file that this program cannot read.
    Unreadable(Unreadable),
}

/// A record that this program cannot read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} is unreadable ({reason}): the list of failed versions was lost", path.display())]
pub struct Unreadable {
    /// The file.
    path: PathBuf,
    /// Why.
    reason: String,
}

impl Unreadable {
    /// Renames the file, so that the operator can look at it.
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
                return Ok(unreadable(format!("longer than {SIZE_LIMIT} bytes")));
            }
            Err(error) => return Err(error),
        };
        let reason = match serde_json::from_slice::<Self>(&bytes) {
            Ok(record) if record.version == FORMAT => return Ok(Recalled::Record(record)),
            Ok(record) => format!("format {}, expected {FORMAT}", record.version),
            Err(error) => error.to_string(),
        };
        Ok(unreadable(reason))
    }

    /// Replaces the file atomically.
    pub fn save(&self, store: &dyn Store, path: &Path) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| StoreError::new(path, Operation::Write, error))?;
        if let Some(directory) = path.parent() {
            store.make_directory(directory)?;
        }
        store.save(path, &bytes)
    }

    /// Adds a version that failed its checks.
    pub fn record_failure(&mut self, mut bad: BadVersion) {
        if bad.output.len() > OUTPUT_LIMIT {
            // The reason is usually printed last.
            let start = bad.output.ceil_char_boundary(bad.output.len() - OUTPUT_LIMIT);
            bad.output.replace_range(..start, "…");
        }
        self.bad.push(bad);
        let surplus = self.bad.len().saturating_sub(BAD_LENGTH);
        self.bad.drain(..surplus);
    }

    /// Adds a version that is installed now. Of a version that is known already, some files may have been
    /// installed by an earlier run.
    pub fn record_installed(&mut self, mut installed: InstalledVersion) {
        let earlier = self.installed.iter().position(|other| other.version == installed.version);
        if let Some(InstalledVersion { files, .. }) = earlier.map(|index| self.installed.remove(index)) {
            let new: Vec<_> = installed.files.iter().map(|file| file.path.clone()).collect();
            installed.files.extend(files.into_iter().filter(|file| !new.contains(&file.path)));
            installed.files.sort_by(|a, b| a.transfer.cmp(&b.transfer));
        }
        self.installed.push(installed);
        let surplus = self.installed.len().saturating_sub(INSTALLED_LENGTH);
        self.installed.drain(..surplus);
    }

    /// What was recorded when a version was installed.
    pub fn installed(&self, version: &Version) -> Option<&InstalledVersion> {
        self.installed.iter().find(|installed| installed.version == *version)
    }

    /// Adds a change to the history.
    pub fn note(&mut self, change: Change) {
        self.history.push(change);
        let surplus = self.history.len().saturating_sub(HISTORY_LENGTH);
        self.history.drain(..surplus);
    }

    /// The failure of a version with exactly these bytes. If either side has no digests, the version alone
    /// decides.
    pub fn failure_of(&self, version: &Version, sha256: &[Sha256]) -> Option<&BadVersion> {
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
    fn a_record_with_long_outputs_stays_readable() {
        let (store, mut record) = (FakeStore::default(), Record::default());
        for number in 0..300 {
            let version = format!("1.{number}").parse().unwrap();
            record.record_failure(BadVersion {
                version,
                sha256: Vec::new(),
                output: "\u{1}é".repeat(200_000),
            });
        }
        record.save(&store, Path::new(PATH)).unwrap();
        let Recalled::Record(recalled) = Record::recall(&store, Path::new(PATH)).unwrap() else {
            panic!("not readable")
        };
        assert_eq!(recalled.bad.len(), BAD_LENGTH);
        assert_eq!(recalled.bad.last().unwrap().version.as_str(), "1.299");
    }

    #[test]
    fn a_record_that_is_too_long_is_set_aside() {
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
