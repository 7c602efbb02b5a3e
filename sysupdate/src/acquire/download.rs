//! One file on its way to the disk.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sysext_manifests::digest::{Hasher, Sha256};
use sysext_manifests::trust::{Claim, Unverified};

use super::origin::{Origin, beside};
use super::retry::Sources;
use super::{AcquireError, Kept, Progress, RetryPolicy};
use crate::host::clock::Clock;
use crate::host::store::{Partial, Store, StoreError};
use crate::host::transport::{
    Body, FailureKind, FetchRequest, Response, Resume, Transport, TransportError, without_password,
};

/// Where no size was claimed: larger than any image of an operating system, smaller than an endless body.
const LIMIT: u64 = 64 << 30;

/// Bytes per read and write. Larger ones no longer save anything.
const CHUNK: usize = 256 << 10;

/// How much further counts as further. Less could be a server that never gets anywhere.
const FURTHER: u64 = 1 << 20;

/// Slower than 30 bytes a second for a minute is as good as cut; systemd has the same numbers.
const PATIENCE: Duration = Duration::from_secs(60);
const BYTES_IN_PATIENCE: u64 = 30 * 60;

/// A download under way.
pub(super) struct Download<'a> {
    transport: &'a dyn Transport,
    clock: &'a dyn Clock,
    store: &'a dyn Store,
    claim: &'a Claim,
    path: &'a Path,
    limit: u64,
    file: Box<dyn Partial>,
    /// Of all bytes in the file, as `length` counts them.
    hasher: Hasher,
    length: u64,
    /// With what the server may be asked to go on.
    validator: Option<String>,
    pieces: Pieces,
    attempts: u32,
}

/// How the bytes in the file came there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pieces {
    /// In one response, or there are none.
    One,
    /// In several, which may not belong together.
    Several,
}

/// How one attempt ended without the whole file.
enum Ended {
    /// The network or the server.
    Failed(TransportError),
    /// With bytes that are not what was claimed.
    Wrong(AcquireError),
    /// With the promise of other bytes than were claimed; what is there is as good as before.
    Useless(AcquireError),
    /// On this side, where no other server helps.
    Stopped(AcquireError),
}

impl<'a> Download<'a> {
    /// Looks at what an earlier run left.
    pub(super) fn open(
        transport: &'a dyn Transport,
        clock: &'a dyn Clock,
        store: &'a dyn Store,
        claim: &'a Claim,
        path: &'a Path,
    ) -> Result<Self, AcquireError> {
        let (limit, hasher) = (claim.size.unwrap_or(LIMIT), Hasher::default());
        let pieces = Pieces::One;
        store.make_directory(path.parent().unwrap_or(path))?;
        let file = store.partial(path)?;
        let mut download = Self {
            transport,
            clock,
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
        let origin = Origin::read(self.store, self.path)?.filter(|origin| origin.sha256 == self.claim.sha256);
        // Without an origin it can only be of use if it is all there
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

    /// Asks until all is there or nobody is left to ask.
    pub(super) fn run(
        mut self,
        policy: &RetryPolicy,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Unverified<PathBuf>, AcquireError> {
        if self.length > 0 && self.digest() == self.claim.sha256 {
            return self.finish();
        }
        let claim = self.claim;
        let mut sources = Sources::new(&claim.urls, policy, self.clock);
        let mut furthest = self.length;
        let mut second_chance = true;
        while let Some(url) = sources.current() {
            let before = self.length;
            let ended = match self.attempt(url, progress) {
                Ok(()) if self.digest() == claim.sha256 => return self.finish(),
                Ok(()) => Ended::Wrong(AcquireError::Digest {
                    url: without_password(url),
                    expected: claim.sha256,
                    found: self.digest(),
                }),
                Err(ended) => ended,
            };
            let (reason, asked) = match ended {
                Ended::Stopped(error) => return Err(self.give_up(error)),
                Ended::Wrong(error) => {
                    let again = self.pieces == Pieces::Several && std::mem::take(&mut second_chance);
                    self.start_over()?;
                    if again {
                        progress(Progress::Retrying { reason: &error, wait: Duration::ZERO });
                    } else {
                        turn_away(&mut sources, error, progress);
                    }
                    continue;
                }
                Ended::Useless(error) => {
                    turn_away(&mut sources, error, progress);
                    continue;
                }
                Ended::Failed(reason) => match reason.kind {
                    FailureKind::NotFound => {
                        sources.is_missing();
                        continue;
                    }
                    // It may be the going on that is refused
                    FailureKind::Permanent if before > 0 && self.validator.is_some() => {
                        self.start_over()?;
                        continue;
                    }
                    FailureKind::Permanent => {
                        turn_away(&mut sources, self.failed(reason), progress);
                        continue;
                    }
                    FailureKind::Transient { after } => (reason, after),
                },
            };
            let wait = if self.length >= furthest.saturating_add(FURTHER) {
                furthest = self.length;
                sources.got_further();
                Some(Duration::ZERO)
            } else {
                sources.failed(asked)
            };
            let Some(wait) = wait else {
                let error = self.failed(reason);
                return Err(self.give_up(error));
            };
            progress(Progress::Retrying { reason: &reason, wait });
            self.clock.sleep(wait);
        }
        let error = sources.verdict(&claim.name);
        Err(self.give_up(error))
    }

    /// One request, and all the bytes it brings.
    fn attempt(&mut self, url: &str, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Ended> {
        self.attempts += 1;
        let validator = self.validator.clone().filter(|_| self.length > 0);
        let resume = validator.map(|validator| Resume { offset: self.length, validator });
        let request = FetchRequest { url: url.to_owned(), unless: None, resume };
        let broken = |message: &str| Ended::Failed(TransportError::new(url, message, FailureKind::Permanent));
        let body = match self.transport.fetch(&request).map_err(Ended::Failed)? {
            Response::Body(body) if body.start == 0 || body.start == self.length => body,
            Response::Body(_) => return Err(broken("other bytes came than were asked for")),
            Response::NotModified => {
                return Err(broken("no condition was set, and the server speaks of one"));
            }
        };
        // Before anything that is there is thrown away
        self.check_total(url, body.total)?;
        if body.start == 0 {
            self.begin(body.validator.as_deref()).map_err(|error| Ended::Stopped(error.into()))?;
        } else {
            self.pieces = Pieces::Several;
        }
        let total = self.claim.size.or(body.total);
        self.check_space(total)?;
        progress(Progress::Started { url: &without_password(url), offset: self.length, total });
        self.take(url, body, total, progress)
    }

    fn check_total(&self, url: &str, total: Option<u64>) -> Result<(), Ended> {
        let url = || without_password(url);
        Err(Ended::Useless(match (total, self.claim.size) {
            (Some(found), Some(expected)) if found != expected => {
                AcquireError::Size { url: url(), expected, found }
            }
            (Some(found), None) if found > self.limit => {
                AcquireError::TooLarge { url: url(), limit: self.limit }
            }
            _ => return Ok(()),
        }))
    }

    fn check_space(&self, total: Option<u64>) -> Result<(), Ended> {
        let Some(total) = total else { return Ok(()) };
        let directory = self.path.parent().unwrap_or(self.path);
        let free = self.store.free_space(directory);
        let free = free.map_err(|error| Ended::Stopped(error.into()))?;
        let needed = total.saturating_sub(self.length);
        if needed > free {
            let path = self.path.to_owned();
            return Err(Ended::Stopped(AcquireError::Space { path, needed, free }));
        }
        Ok(())
    }

    /// Streams a body into the file and the digest.
    fn take(
        &mut self,
        url: &str,
        mut body: Body,
        total: Option<u64>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Ended> {
        let cut = |message: String| {
            Ended::Failed(TransportError::new(url, message, FailureKind::Transient { after: None }))
        };
        let mut buffer = vec![0; CHUNK];
        let mut mark = (self.clock.elapsed(), self.length);
        loop {
            let count = match body.reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // All is there: how the connection ends does not matter any more
                Err(_) if Some(self.length) == self.claim.size => break,
                Err(error) => return Err(cut(format!("cut at byte {}: {error}", self.length))),
            };
            let found = self.length + count as u64;
            if found > self.limit {
                let url = without_password(url);
                return Err(Ended::Wrong(match self.claim.size {
                    Some(expected) => AcquireError::Size { url, expected, found },
                    None => AcquireError::TooLarge { url, limit: self.limit },
                }));
            }
            self.file.append(&buffer[..count]).map_err(|error| Ended::Stopped(error.into()))?;
            self.hasher.update(&buffer[..count]);
            self.length = found;
            progress(Progress::Received { done: found, total });
            let now = self.clock.elapsed();
            if now.saturating_sub(mark.0) >= PATIENCE {
                if found - mark.1 < BYTES_IN_PATIENCE {
                    return Err(cut(format!("only {} bytes came in a minute", found - mark.1)));
                }
                mark = (now, found);
            }
        }
        match total.filter(|total| self.length < *total) {
            Some(total) => Err(cut(format!("ended after {} of {total} bytes", self.length))),
            None => Ok(()),
        }
    }

    /// Begins at the first byte, and notes what the bytes will be a part of before any of them comes.
    fn begin(&mut self, validator: Option<&str>) -> Result<(), StoreError> {
        self.start_over()?;
        if let Some(validator) = validator {
            Origin::new(self.claim.sha256, validator.to_owned()).write(self.store, self.path)?;
            self.validator = Some(validator.to_owned());
        }
        Ok(())
    }

    /// Throws away what is there.
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

    /// Leaves behind only what the next run can use. A full disk gets its space back: the host needs it more.
    fn give_up(mut self, error: AcquireError) -> AcquireError {
        let full = matches!(&error, AcquireError::Store(error) if error.kind() == io::ErrorKind::StorageFull);
        if self.validator.is_some() && self.length > 0 && !full {
            return error;
        }
        let removed = self.start_over().and_then(|()| self.store.remove(self.path));
        match removed {
            Ok(()) => error,
            // What is in the way of tidying up was most likely in the way before, and is the clearer reason
            Err(error) => error.into(),
        }
    }

    fn failed(&self, source: TransportError) -> AcquireError {
        let kept = self.validator.is_some() && self.length > 0;
        let kept = kept.then(|| Kept { path: self.path.to_owned(), offset: self.length });
        AcquireError::Fetch { attempts: self.attempts, kept, source }
    }
}

/// Does not ask a server again, and says so if there is another.
fn turn_away(sources: &mut Sources<'_>, error: AcquireError, progress: &mut dyn FnMut(Progress<'_>)) {
    if sources.has_others() {
        progress(Progress::Retrying { reason: &error, wait: Duration::ZERO });
    }
    sources.is_useless(error);
}
