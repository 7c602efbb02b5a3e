//! Activating a version, and rolling it back. Every step is recorded before it happens, so that a run that is
//! killed anywhere is finished by the next one.

use std::path::{Path, PathBuf};

use sysext_manifests::hint::Hint;
use sysext_manifests::version::Version;

use crate::host::Host;
use crate::host::store::StoreError;
use crate::paths::Paths;
use crate::plan::{Activation, Link, Resume};
use crate::state::{BadVersion, Change, Event, InstalledVersion, Recalled, Record, Stage, Trial, Unreadable};
use crate::targets::inventory;

/// How long the checks of a catalog may be, in bytes: they are stored in the record of a trial.
const CHECKS_LIMIT: usize = 64 << 10;

/// Why a version could not be activated or rolled back.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum ActivateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unreadable(Unreadable),
    #[error("the catalog's checks of {version} have {length} bytes, at most {CHECKS_LIMIT} are run")]
    Checks { version: Version, length: usize },
}

impl Hint for ActivateError {}

/// A version that was activated and whose checks have not passed yet.
#[derive(Debug)]
pub struct RunningTrial {
    /// What was activated, and how to roll it back.
    pub activation: Activation,
    /// The component's record.
    record: Record,
    /// Its file.
    record_path: PathBuf,
}

impl RunningTrial {
    /// Records that a version is about to be activated, then activates it.
    pub fn begin(
        host: &Host,
        paths: &Paths,
        record_path: PathBuf,
        activation: Activation,
    ) -> Result<Self, ActivateError> {
        let length = activation.health.iter().map(|check| check.to_string().len()).sum();
        if length > CHECKS_LIMIT {
            return Err(ActivateError::Checks { version: activation.version, length });
        }
        let record = recall(host, &record_path)?;
        let mut trial = Self { activation, record, record_path };
        trial.write(host, Stage::Checking)?;
        point(host, paths, &trial.activation.links)?;
        Ok(trial)
    }

    /// Continues a trial that an interrupted run recorded. Some, all or none of the links may point to it.
    pub fn resume(
        host: &Host,
        paths: &Paths,
        record_path: PathBuf,
        activation: Activation,
        resume: &Resume,
    ) -> Result<Self, ActivateError> {
        let record = recall(host, &record_path)?;
        let trial = Self { activation, record, record_path };
        if *resume == Resume::Check {
            point(host, paths, &trial.activation.links)?;
        }
        Ok(trial)
    }

    /// Ends the trial of a version that passed its checks.
    pub fn commit(mut self, host: &Host) -> Result<(), ActivateError> {
        let version = self.activation.version.clone();
        self.record.last_good = Some(version.clone());
        self.record.bad.retain(|bad| bad.version != version);
        self.end(host, Event::Activated)
    }

    /// Ends the trial of a version that is masked, as the operator wants it: it stays, and is neither good nor
    /// bad.
    pub fn leave(self, host: &Host) -> Result<(), ActivateError> {
        self.end(host, Event::Masked)
    }

    /// Records that the version failed its checks, and begins to roll it back. The caller refreshes the merged
    /// set; then [`RunningTrial::discard`] ends the trial.
    pub fn fail(&mut self, host: &Host, paths: &Paths, output: String) -> Result<(), ActivateError> {
        let Activation { version, sha256, .. } = &self.activation;
        if self.record.failure_of(version, sha256).is_none() {
            let bad = BadVersion { version: version.clone(), sha256: sha256.clone(), output };
            self.record.record_failure(bad);
        }
        self.roll_back(host, paths)
    }

    /// Begins to roll the version back. Whether it is bad is not recorded: either an earlier run did that, or
    /// it is not the version's fault.
    pub fn roll_back(&mut self, host: &Host, paths: &Paths) -> Result<(), ActivateError> {
        self.write(host, Stage::RollingBack)?;
        Ok(point(host, paths, &self.activation.rollback_links)?)
    }

    /// Removes the files of a version that was rolled back and is no longer merged, and ends its trial.
    pub fn discard(self, host: &Host) -> Result<(), ActivateError> {
        for location in &self.activation.files {
            location.remove(host)?;
        }
        self.end(host, Event::RolledBack)
    }

    fn write(&mut self, host: &Host, stage: Stage) -> Result<(), ActivateError> {
        let Activation { version, previous, sha256, health, relies_on, .. } = &self.activation;
        self.record.trial = Some(Trial {
            version: version.clone(),
            previous: previous.clone(),
            sha256: sha256.clone(),
            health: health.clone(),
            relies_on: relies_on.clone(),
            stage,
        });
        Ok(self.record.save(&*host.store, &self.record_path)?)
    }

    fn end(mut self, host: &Host, event: Event) -> Result<(), ActivateError> {
        self.record.trial = None;
        self.record.note(Change {
            at: host.clock.now(),
            event,
            version: self.activation.version,
            previous: self.activation.previous,
        });
        Ok(self.record.save(&*host.store, &self.record_path)?)
    }
}

/// Records a version that is about to be installed.
pub fn record_installed(host: &Host, path: &Path, installed: InstalledVersion) -> Result<(), ActivateError> {
    let mut record = recall(host, path)?;
    record.record_installed(installed);
    Ok(record.save(&*host.store, path)?)
}

fn recall(host: &Host, path: &Path) -> Result<Record, ActivateError> {
    match Record::recall(&*host.store, path)? {
        Recalled::Record(record) => Ok(record),
        Recalled::Unreadable(unreadable) => Err(ActivateError::Unreadable(unreadable)),
    }
}

/// Points links, in order.
fn point(host: &Host, paths: &Paths, links: &[Link]) -> Result<(), StoreError> {
    for Link { path, target } in links {
        match target {
            Some(target) => {
                if let Some(directory) = path.parent() {
                    host.store.make_directory(directory)?;
                }
                let text = link_text(host, paths, path, target.path())?;
                if host.store.read_link(path)?.as_deref() != Some(text.as_path()) {
                    host.store.point(path, &text)?;
                }
            }
            None => host.store.remove(path)?,
        }
    }
    Ok(())
}

/// Links are relative, so that they lead to the same file whichever root they are seen from. The way up begins
/// where the link really is, even if its directory is a link itself.
fn link_text(host: &Host, paths: &Paths, link: &Path, target: &Path) -> Result<PathBuf, StoreError> {
    let link = inventory::without_links(&*host.store, link)?;
    Ok(inventory::relative(&paths.as_seen_inside(&link), &paths.as_seen_inside(target)))
}
