//! A web server for tests that can misbehave on request.
//!
//! It supports HTTP/1.1 with persistent connections, `HEAD`, strong entity tags, conditions and ranges. Faults
//! are scripted for each path.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, BufReader};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

mod answer;
mod request;

pub use request::Request;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks after this number of bytes of the body.
    CutAfter(u64),
    /// This status instead of the file.
    Status(u16),
    /// This status, with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// The server waits before the response, which is then correct.
    Stall(Duration),
    /// A body of the right length with other bytes.
    WrongBytes,
    /// One bit of the byte at this offset is flipped.
    FlipByte(u64),
    /// Ranges are ignored: the response is the whole file.
    NoRange,
    /// The entity tag is weak, and a condition on it never matches for a range.
    WeakEtag,
    /// The response has no entity tag and no date.
    NoValidator,
    /// A range begins one byte later than requested.
    WrongContentRange,
    /// The response has no length, and zeros follow the file without end.
    EndlessBody,
    /// The body is sent at this number of bytes per second.
    Slow(u64),
    /// A redirect to this URL.
    Redirect(String),
}

/// The number of requests with a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// This number of requests, then no more.
    Next(u32),
    /// All requests.
    Always,
}

/// The server. Dropping it stops it with all threads and connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    stopping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: BTreeMap<String, VecDeque<(Vec<Fault>, Times)>>,
    log: Vec<Request>,
    /// Open connections, to be shut down when the server stops.
    connections: HashMap<SocketAddr, TcpStream>,
    /// Entity tags of unchanged files.
    tags: answer::Tags,
}

impl Server {
    /// Serves a directory on a free port of the loopback interface.
    pub fn serve(root: &Path) -> io::Result<Self> {
        Self::serve_at(root, "127.0.0.1:0".parse().expect("a constant address"))
    }

    /// Serves a directory at an address.
    pub fn serve_at(root: &Path, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let root = root.canonicalize()?;
        let shared =
            Arc::new(Shared { root, stopping: AtomicBool::new(false), state: Mutex::new(State::default()) });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// The URL without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a fault at a path such as `/x/SHA256SUMS`. Several faults of one path apply one after another.
    pub fn fault(&self, path: &str, fault: Fault, times: Times) {
        self.faults(path, &[fault], times);
    }

    /// Adds several faults that apply together.
    pub fn faults(&self, path: &str, faults: &[Fault], times: Times) {
        let turn = (faults.to_owned(), times);
        self.shared.state().faults.entry(path.to_owned()).or_default().push_back(turn);
    }

    /// Removes every fault.
    pub fn heal(&self) {
        self.shared.state().faults.clear();
    }

    /// All requests so far, with their responses.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().log.clone()
    }

    /// Forgets every request so far.
    pub fn forget(&self) {
        self.shared.state().log.clear();
    }

    /// Serves until the process is killed.
    pub fn serve_forever(mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            // An error would be a panic, which has been printed already
            let _ = acceptor.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // A connection wakes the acceptor, which then sees the flag
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Takes the current faults.
    fn next_faults(&self, path: &str) -> Vec<Fault> {
        let mut state = self.state();
        let Some(queue) = state.faults.get_mut(path) else { return Vec::new() };
        loop {
            match queue.front_mut() {
                None => return Vec::new(),
                Some((faults, Times::Always)) => return faults.clone(),
                Some((faults, Times::Next(left))) if *left > 0 => {
                    *left -= 1;
                    return faults.clone();
                }
                Some(_) => drop(queue.pop_front()),
            }
        }
    }
}

/// Accepts connections until the server stops, then shuts them down and waits for their threads.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((stream, peer)) = listener.accept() {
        if shared.is_stopping() {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        // An unregistered connection could not be shut down, so it is closed at once
        let Ok(handle) = stream.try_clone() else { continue };
        shared.state().connections.insert(peer, handle);
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || {
            // The client may close the connection at any time
            let _ = converse(&stream, &shared);
            let _ = stream.shutdown(Shutdown::Both);
            shared.state().connections.remove(&peer);
        }));
    }
    for connection in shared.state().connections.values() {
        let _ = connection.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Answers the requests of a connection one by one.
fn converse(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader)? {
        if shared.is_stopping() {
            return Ok(());
        }
        match answer::answer(request, stream, shared)? {
            answer::Then::GoOn => {}
            answer::Then::Close => return Ok(()),
        }
    }
    Ok(())
}

/// Waits, but not longer than the server runs.
fn wait(duration: Duration, shared: &Shared) {
    const STEP: Duration = Duration::from_millis(10);
    let mut left = duration;
    while !left.is_zero() && !shared.is_stopping() {
        let step = left.min(STEP);
        thread::sleep(step);
        left -= step;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read as _, Write as _};

    use super::*;

    /// The responses to several requests on one connection, the last of which closes it.
    fn talk(server: &Server, requests: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn one_connection_serves_many_requests() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a b"), "hello").unwrap();
        let server = Server::serve(root.path()).unwrap();
        let first =
            talk(&server, "HEAD /a%20b HTTP/1.1\r\n\r\nGET /a%20b HTTP/1.1\r\nRange: bytes=3-\r\n\r\n");
        assert!(first.ends_with("\r\n\r\nlo") && !first.contains("hello"), "{first}");
        let tag = first.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
        let conditions = format!(
            "GET /a%20b HTTP/1.1\r\nIf-None-Match: {tag}\r\n\r\n\
             GET /a%20b HTTP/1.1\r\nRange: bytes=3-\r\nIf-Range: \"other\"\r\n\r\n"
        );
        assert!(talk(&server, &conditions).ends_with("hello"));
        let answered: Vec<_> =
            server.requests().iter().map(|request| (request.status, request.sent)).collect();
        assert_eq!(answered, [(200, 0), (206, 2), (304, 0), (200, 5)]);
    }

    #[test]
    fn nothing_outside_the_directory_is_served() {
        let root = tempfile::tempdir().unwrap();
        let server = Server::serve(root.path()).unwrap();
        for (target, status) in
            [("/../etc/passwd", 400), ("/%2e%2e/etc/passwd", 400), ("/", 404), ("/x", 404)]
        {
            let text = talk(&server, &format!("GET {target} HTTP/1.1\r\n\r\n"));
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {text}");
        }
    }

    #[test]
    fn faults_take_their_turns() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("x"), "hello").unwrap();
        let server = Server::serve(root.path()).unwrap();
        server.fault("/x", Fault::Status(503), Times::Next(1));
        server.faults("/x", &[Fault::FlipByte(0), Fault::CutAfter(2)], Times::Next(1));
        let ask = || talk(&server, "GET /x HTTP/1.1\r\n\r\n");
        assert!(ask().starts_with("HTTP/1.1 503 "));
        assert!(ask().ends_with("\r\n\r\nie"));
        assert!(ask().ends_with("\r\n\r\nhello"));
        server.fault("/x", Fault::Status(500), Times::Always);
        assert!(ask().starts_with("HTTP/1.1 500 ") && ask().starts_with("HTTP/1.1 500 "));
        server.heal();
        assert!(ask().ends_with("hello"));
    }
}
