//! The download of one file.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sysext_manifests::digest::{Hasher, Sha256};
use sysext_manifests::trust::{Claim, Unverified};

use super::origin::{PartialOrigin, beside};
use super::pace::{MINIMUM, Pace};
use super::reserve;
use super::retry::Mirrors;
use super::{AcquireError, Fetcher, Progress, Resumable};
use crate::host::store::{Partial, Store, StoreError};
use crate::host::transport::{
    Body, FailureKind, FetchRequest, Response, Resume, TransportError, without_password,
};

/// The limit if no size is claimed: larger than any image of an operating system, smaller than an endless body.
const LIMIT: u64 = 64 << 30;

/// Bytes per read and write. Larger ones no longer save anything.
const CHUNK: usize = 256 << 10;

/// How many bytes count as progress. With fewer, a server could delay a download for ever.
const FURTHER: u64 = 1 << 20;

/// A download under way.
pub(super) struct Download<'a> {
    fetcher: Fetcher<'a>,
    store: &'a dyn Store,
    claim: &'a Claim,
    path: &'a Path,
    limit: u64,
    file: Box<dyn Partial>,
    /// Of all bytes in the file, as `length` counts them.
    hasher: Hasher,
    length: u64,
    /// What a Range request is sent with.
    validator: Option<String>,
    pieces: Pieces,
    attempts: u32,
}

/// How the bytes of the file were downloaded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pieces {
    /// In one response, or there are none.
    One,
    /// In several, which may not belong together.
    Several,
}

/// Why an attempt did not deliver the file.
enum AttemptError {
    /// The network or the server failed.
    Failed(TransportError),
    /// The server sends only this many bytes per minute, and another one may be faster.
    Slow(TransportError, u64),
    /// The bytes are wrong.
    Wrong(AcquireError),
    /// The server announces another file; the partial file is still good.
    Unusable(AcquireError),
    /// This node failed, so that no other server helps.
    Stopped(AcquireError),
}

impl<'a> Download<'a> {
    /// Opens the partial file of an earlier run, or a new one.
    pub(super) fn open(
        fetcher: Fetcher<'a>,
        store: &'a dyn Store,
        claim: &'a Claim,
        path: &'a Path,
    ) -> Result<Self, AcquireError> {
        let (limit, hasher) = (claim.size.unwrap_or(LIMIT), Hasher::default());
        let pieces = Pieces::One;
        store.make_directory(path.parent().unwrap_or(path))?;
        let file = store.partial(path)?;
        let mut download = Self {
            fetcher,
            store,
            claim,
            path,
            limit,
            file,
            hasher,
            length: 0,
            validator: None,
            pieces,
            attempts: 0,
        };
        download.look_back()?;
        Ok(download)
    }

    fn look_back(&mut self) -> Result<(), StoreError> {
        let found = self.file.length();
        if found == 0 {
            return Ok(());
        }
        let origin =
            PartialOrigin::read(self.store, self.path)?.filter(|origin| origin.sha256 == self.claim.sha256);
        // Without an origin it is only useful if it is complete
        let useful = match (&origin, self.claim.size) {
            (None, Some(size)) => found == size,
            _ => found <= self.limit,
        };
        if !useful {
            return self.start_over();
        }
        let (hasher, length) = (&mut self.hasher, &mut self.length);
        self.file.reread(&mut |bytes| {
            hasher.update(bytes);
            *length += bytes.len() as u64;
        })?;
        self.pieces = Pieces::Several;
        match origin {
            _ if self.digest() == self.claim.sha256 => Ok(()),
            Some(origin) if self.length < self.limit => {
                self.validator = Some(origin.validator);
                Ok(())
            }
            _ => self.start_over(),
        }
    }

    /// Tries URLs until the file is complete or none is left.
    pub(super) fn run(
        mut self,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Unverified<PathBuf>, AcquireError> {
        if self.length > 0 && self.digest() == self.claim.sha256 {
            return self.finish();
        }
        let claim = self.claim;
        let mut mirrors = Mirrors::new(&claim.urls, self.fetcher.policy, self.fetcher.clock);
        let mut furthest = self.length;
        let mut second_chance = true;
        while let Some(url) = mirrors.current() {
            let before = self.length;
            let ended = match self.attempt(url, mirrors.floor(), progress) {
                Ok(()) if self.digest() == claim.sha256 => return self.finish(),
                Ok(()) => AttemptError::Wrong(AcquireError::Digest {
                    url: without_password(url),
                    expected: claim.sha256,
                    found: self.digest(),
                }),
                Err(ended) => ended,
            };
            let (reason, asked) = match ended {
                AttemptError::Stopped(error) => return Err(self.give_up(error)),
                AttemptError::Wrong(error) => {
                    let again = self.pieces == Pieces::Several && std::mem::take(&mut second_chance);
                    self.start_over()?;
                    if again {
                        progress(Progress::Retrying { reason: &error, wait: Duration::ZERO });
                    } else {
                        turn_away(&mut mirrors, error, progress);
                    }
                    continue;
                }
                AttemptError::Unusable(error) => {
                    turn_away(&mut mirrors, error, progress);
                    continue;
                }
                AttemptError::Slow(reason, pace) => {
                    mirrors.is_slow(pace);
                    progress(Progress::Retrying { reason: &reason, wait: Duration::ZERO });
                    continue;
                }
                AttemptError::Failed(reason) => match reason.kind {
                    FailureKind::NotFound => {
                        mirrors.is_missing();
                        continue;
                    }
                    // The server may reject the Range request
                    FailureKind::Permanent if before > 0 && self.validator.is_some() => {
                        self.start_over()?;
                        continue;
                    }
                    FailureKind::Permanent => {
                        turn_away(&mut mirrors, self.failed(reason), progress);
                        continue;
                    }
                    FailureKind::Transient { after } => (reason, after),
                },
            };
            let wait = if self.length >= furthest.saturating_add(FURTHER) {
                furthest = self.length;
                mirrors.made_progress();
                Some(Duration::ZERO)
            } else {
                mirrors.failed(asked)
            };
            let Some(wait) = wait else {
                let error = self.failed(reason);
                return Err(self.give_up(error));
            };
            progress(Progress::Retrying { reason: &reason, wait });
            self.fetcher.clock.sleep(wait);
        }
        let error = mirrors.failure(&claim.name);
        Err(self.give_up(error))
    }

    /// One request.
    fn attempt(
        &mut self,
        url: &str,
        floor: u64,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), AttemptError> {
        self.attempts += 1;
        let validator = self.validator.clone().filter(|_| self.length > 0);
        let resume = validator.map(|validator| Resume { offset: self.length, validator });
        let request = FetchRequest { url: url.to_owned(), unless: None, resume };
        let broken =
            |message: &str| AttemptError::Failed(TransportError::new(url, message, FailureKind::Permanent));
        let body = match self.fetcher.transport.fetch(&request).map_err(AttemptError::Failed)? {
            Response::Body(body) if body.start == 0 || body.start == self.length => body,
            Response::Body(_) => return Err(broken("the server sent the wrong range")),
            Response::NotModified => {
                return Err(broken("unexpected 304 Not Modified"));
            }
        };
        // Before the partial file is discarded
        self.check_total(url, body.total)?;
        if body.start == 0 {
            self.begin(body.validator.as_deref()).map_err(|error| AttemptError::Stopped(error.into()))?;
        } else {
            self.pieces = Pieces::Several;
        }
        let total = self.claim.size.or(body.total);
        self.check_space(total)?;
        progress(Progress::Started { url: &without_password(url), offset: self.length, total });
        self.take(url, floor, body, total, progress)
    }

    fn check_total(&self, url: &str, total: Option<u64>) -> Result<(), AttemptError> {
        let url = || without_password(url);
        Err(AttemptError::Unusable(match (total, self.claim.size) {
            (Some(found), Some(expected)) if found != expected => {
                AcquireError::Size { url: url(), expected, found }
            }
            (Some(found), None) if found > self.limit => {
                AcquireError::TooLarge { url: url(), limit: self.limit }
            }
            _ => return Ok(()),
        }))
    }

    /// Checks that the rest fits. If no size is claimed, what the server says about it may be wrong: a reserve stays free.
    fn check_space(&self, total: Option<u64>) -> Result<(), AttemptError> {
        let stopped = |error: StoreError| AttemptError::Stopped(error.into());
        let directory = self.path.parent().unwrap_or(self.path);
        let path = || self.path.to_owned();
        let free = self.store.free_space(directory).map_err(stopped)?;
        let needed = total.map_or(0, |total| total.saturating_sub(self.length));
        if needed > free {
            return Err(AttemptError::Stopped(AcquireError::Space { path: path(), needed, free }));
        }
        if self.claim.size.is_none() {
            let reserve = reserve::of_disk(self.store.disk_size(directory).map_err(stopped)?);
            if needed.saturating_add(reserve) > free {
                return Err(AttemptError::Stopped(AcquireError::Reserve { path: path(), reserve, free }));
            }
        }
        Ok(())
    }

    /// Streams a body into the file and the digest.
    fn take(
        &mut self,
        url: &str,
        floor: u64,
        mut body: Body,
        total: Option<u64>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), AttemptError> {
        let cut = |message: String| {
            AttemptError::Failed(TransportError::new(url, message, FailureKind::Transient { after: None }))
        };
        let mut buffer = vec![0; CHUNK];
        let mut pace = Pace::new(self.fetcher.clock.elapsed());
        let mut unchecked = 0;
        loop {
            let count = match body.reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The file is complete: how the connection ends no longer matters
                Err(_) if Some(self.length) == self.claim.size => break,
                Err(error) => return Err(cut(format!("cut at byte {}: {error}", self.length))),
            };
            let found = self.length + count as u64;
            if found > self.limit {
                let url = without_password(url);
                return Err(AttemptError::Wrong(match self.claim.size {
                    Some(expected) => AcquireError::Size { url, expected, found },
                    None => AcquireError::TooLarge { url, limit: self.limit },
                }));
            }
            self.file.append(&buffer[..count]).map_err(|error| AttemptError::Stopped(error.into()))?;
            self.hasher.update(&buffer[..count]);
            self.length = found;
            progress(Progress::Received { done: found, total });
            if Some(found) == self.claim.size {
                continue;
            }
            unchecked += count as u64;
            if self.claim.size.is_none() && unchecked >= reserve::INTERVAL {
                unchecked = 0;
                self.check_space(None)?;
            }
            match pace.count(count as u64, self.fetcher.clock.elapsed()) {
                Some(slow) if slow < floor => {
                    let message = format!("stalled: {slow} bytes in a minute");
                    let kind = FailureKind::Transient { after: None };
                    let error = TransportError::new(url, message, kind);
                    return Err(match floor {
                        MINIMUM => AttemptError::Failed(error),
                        _ => AttemptError::Slow(error, slow),
                    });
                }
                _ => {}
            }
        }
        match total.filter(|total| self.length < *total) {
            Some(total) => Err(cut(format!("ended after {} of {total} bytes", self.length))),
            None => Ok(()),
        }
    }

    /// Starts at the first byte, and stores the origin before the first byte arrives.
    fn begin(&mut self, validator: Option<&str>) -> Result<(), StoreError> {
        self.start_over()?;
        if let Some(validator) = validator {
            PartialOrigin::new(self.claim.sha256, validator.to_owned()).write(self.store, self.path)?;
            self.validator = Some(validator.to_owned());
        }
        Ok(())
    }

    /// Discards the partial file.
    fn start_over(&mut self) -> Result<(), StoreError> {
        self.file.restart()?;
        self.hasher = Hasher::default();
        self.length = 0;
        self.validator = None;
        self.pieces = Pieces::One;
        self.store.remove(&beside(self.path))
    }

    fn digest(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    fn finish(mut self) -> Result<Unverified<PathBuf>, AcquireError> {
        let path = self.path.to_owned();
        let synced = self.file.sync().and_then(|()| self.store.remove(&beside(self.path)));
        synced?;
        Ok(Unverified::new(path, self.digest(), self.length))
    }

    /// Keeps the file only if the next run can resume it. A full disk gets its space back: the host needs it more.
    fn give_up(mut self, error: AcquireError) -> AcquireError {
        let full = match &error {
            AcquireError::Store(error) => error.kind() == io::ErrorKind::StorageFull,
            AcquireError::Reserve { .. } => true,
            _ => false,
        };
        if self.validator.is_some() && self.length > 0 && !full {
            return error;
        }
        let removed = self.start_over().and_then(|()| self.store.remove(self.path));
        match removed {
            Ok(()) => error,
            // What prevents the removal most likely caused the failure, and is the clearer reason
            Err(error) => error.into(),
        }
    }

    fn failed(&self, source: TransportError) -> AcquireError {
        let kept = self.validator.is_some() && self.length > 0;
        let kept = kept.then(|| Resumable { path: self.path.to_owned(), offset: self.length });
        AcquireError::Fetch { attempts: self.attempts, kept, source }
    }
}

/// Does not try a server again, and reports that if there is another.
fn turn_away(mirrors: &mut Mirrors<'_>, error: AcquireError, progress: &mut dyn FnMut(Progress<'_>)) {
    if mirrors.has_others() {
        progress(Progress::Retrying { reason: &error, wait: Duration::ZERO });
    }
    mirrors.give_up_on(error);
}
