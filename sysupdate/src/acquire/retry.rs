//! Which URL is tried next, and when.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::AcquireError;
use crate::host::clock::Clock;
use crate::host::transport::{RetryPolicy, without_password};

/// The URLs of one file. All of them are tried before the first wait.
pub(super) struct Mirrors<'a> {
    clock: &'a dyn Clock,
    policy: &'a RetryPolicy,
    urls: Vec<&'a str>,
    next: usize,
    round: u32,
    /// The shortest Retry-After of this round.
    asked: Option<Duration>,
    missing: Vec<String>,
    given_up: Option<AcquireError>,
}

impl<'a> Mirrors<'a> {
    pub(super) fn new(urls: &'a [String], policy: &'a RetryPolicy, clock: &'a dyn Clock) -> Self {
        let urls = urls.iter().map(String::as_str).collect();
        let (missing, given_up) = (Vec::new(), None);
        Self { clock, policy, urls, next: 0, round: 0, asked: None, missing, given_up }
    }

    /// The URL to try; `None` if none is left.
    pub(super) fn current(&self) -> Option<&'a str> {
        self.urls.get(self.next).copied()
    }

    /// Whether there are other URLs.
    pub(super) fn has_others(&self) -> bool {
        self.urls.len() > 1
    }

    /// The current URL does not have the file.
    pub(super) fn is_missing(&mut self) {
        let url = self.leave();
        self.missing.push(without_password(url));
    }

    /// The current URL is not tried again.
    pub(super) fn give_up_on(&mut self, error: AcquireError) {
        self.leave();
        self.given_up = Some(error);
    }

    /// Removes the current URL and returns it.
    pub(super) fn leave(&mut self) -> &'a str {
        let url = self.urls.remove(self.next);
        if self.next >= self.urls.len() {
            self.next = 0;
        }
        url
    }

    /// The current URL made progress: the attempts are counted from zero again.
    pub(super) fn made_progress(&mut self) {
        self.round = 0;
        self.asked = None;
    }

    /// The current URL has a transient failure. How long to wait before the next attempt, or `None` if all were
    /// tried often enough.
    pub(super) fn failed(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let asked = asked.unwrap_or_default().min(self.policy.longest_asked);
        self.asked = Some(self.asked.map_or(asked, |other| other.min(asked)));
        self.next += 1;
        if self.next < self.urls.len() {
            return Some(Duration::ZERO);
        }
        self.next = 0;
        self.round += 1;
        let asked = self.asked.take().unwrap_or_default();
        (self.round < self.policy.attempts).then(|| self.backoff().max(asked))
    }

    /// Why no URL is left.
    pub(super) fn failure(self, name: &str) -> AcquireError {
        match self.given_up {
            Some(error) => error,
            None if self.missing.is_empty() => AcquireError::NoUrl { name: name.to_owned() },
            None => AcquireError::NotFound { urls: self.missing },
        }
    }

    /// Doubles with each round, and is shortened by up to half, so that nodes that failed together do not
    /// retry together. The nanoseconds of the clock differ enough among nodes for that.
    fn backoff(&self) -> Duration {
        let doubled = self.policy.first_wait.saturating_mul(1 << (self.round - 1).min(20));
        let longest = doubled.min(self.policy.longest_wait);
        let mut hasher = DefaultHasher::new();
        (self.clock.now().as_nanosecond(), self.clock.elapsed(), self.round).hash(&mut hasher);
        let thousandths = u32::try_from(hasher.finish() % 501).unwrap_or(0);
        longest - longest / 1000 * thousandths
    }
}
