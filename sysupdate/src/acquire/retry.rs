//! Which URL is tried next, and when.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::AcquireError;
use super::pace::{FLOOR, MINIMUM};
use crate::host::clock::Clock;
use crate::host::transport::{RetryPolicy, without_password};

/// How often a URL is left because others may be faster. If all are slow, this ends the changes.
const LEFT_MAX: u32 = 3;

/// The URLs of one file. All of them are tried before the first wait.
pub(super) struct Mirrors<'a> {
    clock: &'a dyn Clock,
    policy: &'a RetryPolicy,
    places: Vec<Place<'a>>,
    next: usize,
    round: u32,
    /// The shortest Retry-After of this round.
    asked: Option<Duration>,
    missing: Vec<String>,
    given_up: Option<AcquireError>,
}

/// A URL and what is known about it.
struct Place<'a> {
    url: &'a str,
    /// The bytes of its last slow minute.
    pace: Option<u64>,
    /// How often it was left because of its pace.
    left: u32,
}

impl Place<'_> {
    /// Its expected pace in bytes per minute.
    fn expected(&self) -> u64 {
        self.pace.unwrap_or(FLOOR)
    }
}

impl<'a> Mirrors<'a> {
    pub(super) fn new(urls: &'a [String], policy: &'a RetryPolicy, clock: &'a dyn Clock) -> Self {
        let places = urls.iter().map(|url| Place { url, pace: None, left: 0 }).collect();
        let (missing, given_up) = (Vec::new(), None);
        Self { clock, policy, places, next: 0, round: 0, asked: None, missing, given_up }
    }

    /// The URL to try; `None` if none is left.
    pub(super) fn current(&self) -> Option<&'a str> {
        self.places.get(self.next).map(|place| place.url)
    }

    /// Whether there are other URLs.
    pub(super) fn has_others(&self) -> bool {
        self.places.len() > 1
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
        let place = self.places.remove(self.next);
        if self.next >= self.places.len() {
            self.next = 0;
        }
        place.url
    }

    /// How many bytes per minute the current URL must send so that it is not left for another. One whose pace is known is
    /// worth a change only if it is twice as fast.
    pub(super) fn floor(&self) -> u64 {
        let others = self.places.iter().enumerate().filter(|(index, _)| *index != self.next);
        let best = others.map(|(_, place)| place.pace.map_or(FLOOR, |pace| pace / 2)).max();
        let may_leave = self.places.get(self.next).is_some_and(|place| place.left < LEFT_MAX);
        best.filter(|_| may_leave).map_or(MINIMUM, |best| best.clamp(MINIMUM, FLOOR))
    }

    /// The current URL is slower than its floor: the one that may be the fastest is tried next.
    pub(super) fn is_slow(&mut self, pace: u64) {
        let Some(place) = self.places.get_mut(self.next) else { return };
        place.pace = Some(pace);
        place.left += 1;
        let others = (1..self.places.len()).map(|step| (self.next + step) % self.places.len());
        // The first of several that are equal: `max_by_key` takes the last
        let fastest = others.rev().max_by_key(|index| self.places.get(*index).map(Place::expected));
        self.next = fastest.unwrap_or(self.next);
    }

    /// The current URL made progress: the attempts are counted from zero again.
    pub(super) fn made_progress(&mut self) {
        self.round = 0;
        self.asked = None;
    }

    /// The current URL has a transient failure. How long to wait before the next attempt, or `None` if all were
    /// tried often enough.
    pub(super) fn failed(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let asked = asked.unwrap_or_default();
        self.asked = Some(self.asked.map_or(asked, |other| other.min(asked)));
        self.next += 1;
        if self.next < self.places.len() {
            return Some(Duration::ZERO);
        }
        self.next = 0;
        self.round += 1;
        let asked = self.asked.take().unwrap_or_default();
        (self.round < self.policy.attempts).then(|| self.backoff().max(self.policy.asked.grant(asked)))
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
