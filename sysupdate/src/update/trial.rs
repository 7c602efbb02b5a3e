//! Putting a version in use, and taking it back. What is under way is written down before it happens, so
//! that a run that is killed anywhere is finished by the next one.

use std::io;
use std::path::{Path, PathBuf};

use sysext_manifests::version::Version;

use crate::host::Host;
use crate::paths::Paths;
use crate::plan::{Activation, Link};
use crate::state::{Bad, Event, Record, RecordError, Stage, Trial, What};
use crate::targets::inventory;

/// How long the checks of a catalog may be, in bytes: they are written into the record of a trial.
const CHECKS_LIMIT: usize = 64 << 10;

/// Why a version could not be put in use or taken back.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// A link could not be changed.
    #[error("cannot point {} elsewhere: {source}", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be removed.
    #[error("cannot remove {}: {source}", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The catalog asks for more than can be remembered.
    #[error("the catalog's checks of {version} have {length} bytes, at most {CHECKS_LIMIT} are run")]
    Checks {
        /// The version.
        version: Version,
        /// How many bytes its checks have.
        length: usize,
    },
    /// The record could not be written.
    #[error(transparent)]
    Record(RecordError),
}

/// A version on trial.
#[derive(Debug)]
pub struct OnTrial {
    /// What was put in use, and the way back.
    pub activation: Activation,
    /// The component's memory.
    record: Record,
    /// Where that lies.
    record_path: PathBuf,
}

impl OnTrial {
    /// Writes down that a version is about to be put in use, then does it.
    pub fn begin(
        host: &Host,
        paths: &Paths,
        record_path: PathBuf,
        record: Record,
        activation: Activation,
    ) -> Result<Self, ActivateError> {
        let length = activation.health.iter().map(|check| check.to_string().len()).sum();
        if length > CHECKS_LIMIT {
            return Err(ActivateError::Checks { version: activation.version, length });
        }
        let mut trial = Self { activation, record, record_path };
        trial.write(host, Stage::Checking)?;
        point(host, paths, &trial.activation.links)?;
        Ok(trial)
    }

    /// Goes on with what an interrupted run wrote down. The links may be there, half there, or not.
    pub fn resume(
        host: &Host,
        paths: &Paths,
        record_path: PathBuf,
        record: Record,
        activation: Activation,
        stage: Stage,
    ) -> Result<Self, ActivateError> {
        let trial = Self { activation, record, record_path };
        if stage == Stage::Checking {
            point(host, paths, &trial.activation.links)?;
        }
        Ok(trial)
    }

    /// It passed: it stays.
    pub fn commit(mut self, host: &Host) -> Result<(), ActivateError> {
        let version = self.activation.version.clone();
        self.record.last_good = Some(version.clone());
        self.record.bad.retain(|bad| bad.version != version);
        self.end(host, What::Committed)
    }

    /// Nobody can tell whether it works, since it is not merged, and that is as the operator wants it: it stays,
    /// and is neither good nor bad.
    pub fn leave(self, host: &Host) -> Result<(), ActivateError> {
        self.end(host, What::Left)
    }

    /// It did not pass: remembers that, and puts back what was in use before. What was merged is refreshed
    /// by the caller, and then [`OnTrial::discard`] ends it.
    pub fn take_back(&mut self, host: &Host, paths: &Paths, output: String) -> Result<(), ActivateError> {
        let Activation { version, sha256, .. } = &self.activation;
        if self.record.judged_bad(version, sha256).is_none() {
            let bad = Bad { version: version.clone(), sha256: sha256.clone(), output };
            self.record.condemn(bad);
        }
        self.go_back(host, paths)
    }

    /// Puts back what was in use before, and leaves open whether that speaks against the version: either
    /// an earlier run wrote that down, or its files are gone.
    pub fn go_back(&mut self, host: &Host, paths: &Paths) -> Result<(), ActivateError> {
        self.write(host, Stage::Returning)?;
        point(host, paths, &self.activation.back)
    }

    /// Why a version goes that an earlier run put in use.
    pub fn reason_to_return(&self) -> String {
        let Activation { version, sha256, .. } = &self.activation;
        match self.record.judged_bad(version, sha256) {
            Some(bad) => bad.output.clone(),
            None => "its files are gone".to_owned(),
        }
    }

    /// Removes the files of a version that was taken back and is no longer merged, and ends its trial.
    pub fn discard(self, host: &Host) -> Result<(), ActivateError> {
        for path in &self.activation.files {
            host.store.remove(path).map_err(|source| ActivateError::Remove { path: path.clone(), source })?;
        }
        self.end(host, What::TakenBack)
    }

    fn write(&mut self, host: &Host, stage: Stage) -> Result<(), ActivateError> {
        let Activation { version, previous, sha256, health, .. } = &self.activation;
        self.record.trial = Some(Trial {
            version: version.clone(),
            previous: previous.clone(),
            sha256: sha256.clone(),
            health: health.clone(),
            stage,
        });
        self.record.save(&*host.store, &self.record_path).map_err(ActivateError::Record)
    }

    fn end(mut self, host: &Host, what: What) -> Result<(), ActivateError> {
        self.record.trial = None;
        self.record.note(Event {
            at: host.clock.now(),
            what,
            version: self.activation.version,
            previous: self.activation.previous,
        });
        self.record.save(&*host.store, &self.record_path).map_err(ActivateError::Record)
    }
}

/// Points links, in order.
fn point(host: &Host, paths: &Paths, links: &[Link]) -> Result<(), ActivateError> {
    for Link { path, target } in links {
        let failed = |source| ActivateError::Link { path: path.clone(), source };
        match target {
            Some(target) => {
                if let Some(directory) = path.parent() {
                    host.store.make_directory(directory).map_err(failed)?;
                }
                let text = link_text(host, paths, path, target).map_err(failed)?;
                if host.store.read_link(path).map_err(failed)?.as_deref() != Some(text.as_path()) {
                    host.store.point(path, &text).map_err(failed)?;
                }
            }
            None => host.store.remove(path).map_err(failed)?,
        }
    }
    Ok(())
}

/// Links are relative, so that they lead to the same file whichever root they are seen from. The way up begins
/// where the link really is, even if its directory is a link itself.
fn link_text(host: &Host, paths: &Paths, link: &Path, target: &Path) -> io::Result<PathBuf> {
    let link = inventory::without_links(&*host.store, link)?;
    Ok(inventory::relative(&paths.as_seen_inside(&link), &paths.as_seen_inside(target)))
}
