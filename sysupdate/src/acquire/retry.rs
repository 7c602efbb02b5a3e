//! Which URL is asked next, and when.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::{AcquireError, RetryPolicy};
use crate::host::clock::Clock;
use crate::host::transport::without_password;

/// The URLs of one file: mirrors are asked in turn before anyone waits.
pub(super) struct Sources<'a> {
    clock: &'a dyn Clock,
    policy: &'a RetryPolicy,
    urls: Vec<&'a str>,
    next: usize,
    round: u32,
    /// The shortest wait that a server of this round asked for.
    asked: Option<Duration>,
    missing: Vec<String>,
    given_up: Option<AcquireError>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(urls: &'a [String], policy: &'a RetryPolicy, clock: &'a dyn Clock) -> Self {
        let urls = urls.iter().map(String::as_str).collect();
        let (missing, given_up) = (Vec::new(), None);
        Self { clock, policy, urls, next: 0, round: 0, asked: None, missing, given_up }
    }

    /// Whom to ask; `None` once nobody is left.
    pub(super) fn current(&self) -> Option<&'a str> {
        self.urls.get(self.next).copied()
    }

    /// Whether there is anyone else to ask.
    pub(super) fn has_others(&self) -> bool {
        self.urls.len() > 1
    }

    /// The one just asked does not have it.
    pub(super) fn is_missing(&mut self) {
        let url = self.leave();
        self.missing.push(without_password(url));
    }

    /// The one just asked is not worth asking again.
    pub(super) fn is_useless(&mut self, error: AcquireError) {
        self.leave();
        self.given_up = Some(error);
    }

    /// The one just asked is not asked again; its URL.
    pub(super) fn leave(&mut self) -> &'a str {
        let url = self.urls.remove(self.next);
        if self.next >= self.urls.len() {
            self.next = 0;
        }
        url
    }

    /// The one just asked brought the download further: patience starts afresh.
    pub(super) fn got_further(&mut self) {
        self.round = 0;
        self.asked = None;
    }

    /// The one just asked may do better later. How long to wait before the next is asked, or `None` where
    /// all were tried often enough.
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

    /// Why nobody is left.
    pub(super) fn verdict(self, name: &str) -> AcquireError {
        match self.given_up {
            Some(error) => error,
            None if self.missing.is_empty() => AcquireError::NoUrl { name: name.to_owned() },
            None => AcquireError::NotFound { urls: self.missing },
        }
    }

    /// Doubles with each round, and is shortened by up to half, so that nodes that failed together do not
    /// come back together. The nanoseconds of the clock differ enough among nodes for that.
    fn backoff(&self) -> Duration {
        let doubled = self.policy.first_wait.saturating_mul(1 << (self.round - 1).min(20));
        let longest = doubled.min(self.policy.longest_wait);
        let mut hasher = DefaultHasher::new();
        (self.clock.now().as_nanosecond(), self.clock.elapsed(), self.round).hash(&mut hasher);
        let thousandths = u32::try_from(hasher.finish() % 501).unwrap_or(0);
        longest - longest / 1000 * thousandths
    }
}
