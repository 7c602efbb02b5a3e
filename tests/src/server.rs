//! A web server that serves a directory well, and lies when told to.
//!
//! HTTP/1.1 with kept connections, `HEAD`, strong entity tags made of the content, conditions and ranges.
//! What goes wrong is scripted for each path, so that a test reads as the story of one bad day.

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

/// One way of going wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks after so many bytes of the body.
    CutAfter(u64),
    /// This status instead of the file.
    Status(u16),
    /// This status, with `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// Nothing is said for so long, then all goes well.
    Stall(Duration),
    /// As many bytes as the file has, none of them its own.
    WrongBytes,
    /// One bit of the byte at this offset is another.
    FlipByte(u64),
    /// Ranges are not given: the whole file comes.
    NoRange,
    /// The entity tag is marked as weak, and a condition on it never holds for a range.
    WeakEtag,
    /// There is no entity tag and no date.
    NoValidator,
    /// A range begins one byte later than was asked for.
    WrongContentRange,
    /// No length is said, and zeros follow the file without end.
    EndlessBody,
    /// The body comes at so many bytes per second.
    Slow(u64),
    /// Look there instead.
    Redirect(String),
}

/// For how many requests something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// For so many, then no more.
    Next(u32),
    /// For all.
    Always,
}

/// The server; dropping it stops it, and no thread or connection is left.
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
    /// What is open now, to be shut when the server stops.
    connections: HashMap<SocketAddr, TcpStream>,
    /// Entity tags of files that did not change since.
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

    /// Where it is, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Which address it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes something go wrong at a path such as `/x/SHA256SUMS`. Several faults of one path take their
    /// turns in the order they were given.
    pub fn fault(&self, path: &str, fault: Fault, times: Times) {
        self.faults(path, &[fault], times);
    }

    /// Makes several things go wrong at once.
    pub fn faults(&self, path: &str, faults: &[Fault], times: Times) {
        let turn = (faults.to_owned(), times);
        self.shared.state().faults.entry(path.to_owned()).or_default().push_back(turn);
    }

    /// Forgets every fault.
    pub fn heal(&self) {
        self.shared.state().faults.clear();
    }

    /// Every request so far, with how it was answered.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().log.clone()
    }

    /// Forgets every request so far.
    pub fn forget(&self) {
        self.shared.state().log.clear();
    }

    /// Serves until the process is ended from outside.
    pub fn serve_forever(mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            // Its end would be a panic, which has been printed
            let _ = acceptor.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The acceptor sees the flag when anyone connects
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

    /// Takes the faults that have their turn.
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

/// Accepts until the server stops, then shuts every connection and waits for its thread.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((stream, peer)) = listener.accept() {
        if shared.is_stopping() {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        // A connection that cannot be registered could not be shut: it is closed at once
        let Ok(handle) = stream.try_clone() else { continue };
        shared.state().connections.insert(peer, handle);
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || {
            // That the other side went away is no fault of this one
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

/// Answers one request after the other.
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

/// Waits, but not beyond the end of the server.
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

    /// What comes back for several requests on one connection, the last of which closes it.
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
