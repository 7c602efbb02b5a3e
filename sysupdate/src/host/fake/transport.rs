//! A network with prepared responses.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sysext_manifests::digest::Sha256;

use super::FakeClock;
use crate::host::transport::{Body, FailureKind, FetchRequest, Response, Transport, TransportError};

/// A network with prepared responses: a resource is served as a good server does, with
/// ranges and entity tags, except for what was scripted to come first. Anything else is not there.
#[derive(Clone, Debug, Default)]
pub struct FakeTransport(Arc<Mutex<TransportState>>);

#[derive(Debug, Default)]
struct TransportState {
    served: BTreeMap<String, Vec<u8>>,
    scripts: BTreeMap<String, VecDeque<Reply>>,
    requests: Vec<FetchRequest>,
}

/// One reply out of the ordinary.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Nothing comes.
    Fail(FailureKind),
    /// The connection breaks after so many bytes of the body.
    CutAfter(usize),
    /// These bytes come, whatever was asked for.
    Bytes(Vec<u8>),
    /// The body has no strong validator, and ranges are not given.
    Weak,
    /// The length is not said and the body does not end.
    Endless,
    /// What is served comes slowly: so many bytes at a time, each after a wait on this clock.
    Drip {
        /// How many bytes come at once.
        bytes: usize,
        /// How long each of these takes.
        every: Duration,
        /// The clock that goes on meanwhile.
        clock: FakeClock,
    },
    /// What was served replaces what came before, at once.
    Replaced(Vec<u8>),
}

impl FakeTransport {
    /// Serves bytes at a URL from now on.
    pub fn serve(&self, url: &str, bytes: &[u8]) {
        self.state().served.insert(url.to_owned(), bytes.to_owned());
    }

    /// Serves nothing there any more.
    pub fn withdraw(&self, url: &str) {
        self.state().served.remove(url);
    }

    /// Says this once; several are said one after the other.
    pub fn reply(&self, url: &str, reply: Reply) {
        self.state().scripts.entry(url.to_owned()).or_default().push_back(reply);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<FetchRequest> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, TransportState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for FakeTransport {
    fn fetch(&self, request: &FetchRequest) -> Result<Response, TransportError> {
        let mut state = self.state();
        state.requests.push(request.clone());
        let fail = |kind| Err(TransportError::new(&request.url, "scripted to fail", kind));
        let reply = state.scripts.get_mut(&request.url).and_then(VecDeque::pop_front);
        if let Some(Reply::Replaced(bytes)) = &reply {
            state.served.insert(request.url.clone(), bytes.clone());
        }
        let bytes = match &reply {
            Some(Reply::Fail(kind)) => return fail(*kind),
            Some(Reply::Bytes(bytes)) => bytes.clone(),
            Some(Reply::Endless) => return Ok(Response::Body(endless())),
            _ => match state.served.get(&request.url) {
                Some(bytes) => bytes.clone(),
                None => return fail(FailureKind::NotFound),
            },
        };
        let tag = format!("\"{}\"", Sha256::of(&bytes).short());
        let weak = matches!(reply, Some(Reply::Weak));
        if request.unless.as_ref() == Some(&tag) {
            return Ok(Response::NotModified);
        }
        let resume = request.resume.as_ref().filter(|resume| {
            let offset = usize::try_from(resume.offset).unwrap_or(usize::MAX);
            resume.validator == tag && offset < bytes.len() && !weak
        });
        let start = resume.map_or(0, |resume| resume.offset);
        let total = bytes.len() as u64;
        let rest = bytes[usize::try_from(start).unwrap_or(0)..].to_vec();
        let reader: Box<dyn Read> = match reply {
            Some(Reply::CutAfter(count)) => {
                let count = count.min(rest.len());
                Box::new(Cursor::new(rest[..count].to_vec()).chain(Broken))
            }
            Some(Reply::Drip { bytes, every, clock }) => {
                Box::new(Slow { rest: Cursor::new(rest), bytes, every, clock })
            }
            _ => Box::new(Cursor::new(rest)),
        };
        let validator = (!weak).then(|| tag.clone());
        Ok(Response::Body(Body { start, total: Some(total), tag: Some(tag), validator, reader }))
    }
}

fn endless() -> Body {
    Body { start: 0, total: None, tag: None, validator: None, reader: Box::new(io::repeat(0)) }
}

struct Slow {
    rest: Cursor<Vec<u8>>,
    bytes: usize,
    every: Duration,
    clock: FakeClock,
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.clock.advance(self.every);
        let length = buffer.len().min(self.bytes);
        self.rest.read(&mut buffer[..length])
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer"))
    }
}

impl Reply {
    /// The server is busy for now.
    pub fn busy() -> Self {
        Self::Fail(FailureKind::Transient { after: None })
    }

    /// The server is busy and says for how long.
    pub fn busy_for(after: Duration) -> Self {
        Self::Fail(FailureKind::Transient { after: Some(after) })
    }
}
