//! Downloads from a faulty server, through the real network and the real file system.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sysext_manifests::digest::Sha256;
use sysext_manifests::trust::Claim;
use sysupdate::acquire::{AcquireError, CacheTag, Fetcher, Progress, Small};
use sysupdate::host::clock::SystemClock;
use sysupdate::host::http::{Http, HttpOptions, Proxies};
use sysupdate::host::store::Files;
use sysupdate::host::transport::{AskedWaits, RetryPolicy};
use tempfile::TempDir;
use tests::needs::Suite;
use tests::server::{Fault, Server, Times};

const NAME: &str = "image.raw";
const PATH: &str = "/image.raw";

/// Large enough to be cut in the middle of many reads, small enough for a debug build.
const SIZE: u32 = 4 << 20;

/// A cut connection may lose what was sent and not yet read: two socket buffers and a half.
const SLACK: u64 = 1 << 20;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for (name, body) in TRIALS {
        suite.trial(name, &[], *body);
    }
    suite.run()
}

type Trial = (&'static str, fn() -> Result<()>);

const TRIALS: &[Trial] = &[
    ("fault_resumes_after_cut_in_same_run", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 2), Times::Next(1));
        day.succeeds()?;
        ensure!(day.sent() <= u64::from(SIZE) + SLACK, "{} bytes went over the wire", day.sent());
        ensure!(day.statuses() == [200, 206], "{:?}", day.statuses());
        Ok(())
    }),
    ("fault_resumes_after_cut_in_next_run", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 2), Times::Next(1));
        day.server.fault(PATH, Fault::Status(503), Times::Always);
        let error = day.fails()?;
        let AcquireError::Fetch { kept: Some(kept), .. } = &error else { anyhow::bail!("{error:?}") };
        ensure!(kept.offset > 0 && kept.path == day.partial(), "{kept:?}");
        day.server.heal();
        day.succeeds()?;
        ensure!(day.sent() <= u64::from(SIZE) + SLACK, "{} bytes went over the wire", day.sent());
        ensure!(day.server.requests().last().and_then(|last| last.range_start()) == Some(kept.offset));
        Ok(())
    }),
    ("fault_resumes_after_many_cuts", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 3), Times::Always);
        day.succeeds()?;
        ensure!(day.sent() <= u64::from(SIZE) + 3 * SLACK, "{} bytes went over the wire", day.sent());
        Ok(())
    }),
    ("fault_deletes_download_with_flipped_bit", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::FlipByte(u64::from(SIZE) - 1), Times::Next(1));
        let error = day.fails()?;
        ensure!(matches!(error, AcquireError::Digest { .. }), "{error:?}");
        day.is_empty()?;
        day.succeeds()
    }),
    ("fault_downloads_again_after_flipped_bit_in_resumed_part", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 2), Times::Next(1));
        day.server.fault(PATH, Fault::FlipByte(u64::from(SIZE) - 1), Times::Next(1));
        day.succeeds()?;
        ensure!(day.statuses() == [200, 206, 200], "{:?}", day.statuses());
        Ok(())
    }),
    ("fault_uses_mirror_after_wrong_bytes", || {
        let (day, mirror) = (Day::new()?, Day::new()?);
        day.server.fault(PATH, Fault::WrongBytes, Times::Always);
        day.download(&Claim { urls: vec![day.url(), mirror.url()], ..day.claim() })?;
        day.is_whole()
    }),
    ("fault_retries_a_busy_server", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::Status(503), Times::Next(2));
        day.succeeds()?;
        ensure!(day.statuses() == [503, 503, 200], "{:?}", day.statuses());
        Ok(())
    }),
    ("fault_waits_as_long_as_retry_after_asks", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::RetryAfter(429, 1), Times::Next(1));
        let start = Instant::now();
        day.succeeds()?;
        ensure!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
        Ok(())
    }),
    ("fault_uses_mirror_when_server_fails", || {
        let (day, mirror) = (Day::new()?, Day::new()?);
        day.server.fault(PATH, Fault::Status(500), Times::Always);
        day.download(&Claim { urls: vec![day.url(), mirror.url()], ..day.claim() })?;
        day.is_whole()?;
        ensure!(day.statuses() == [500] && mirror.statuses() == [200]);
        Ok(())
    }),
    ("fault_resumes_from_mirror_with_same_validator", || {
        let (day, mirror) = (Day::new()?, Day::new()?);
        day.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 2), Times::Next(1));
        day.server.fault(PATH, Fault::Status(404), Times::Always);
        day.download(&Claim { urls: vec![day.url(), mirror.url()], ..day.claim() })?;
        day.is_whole()?;
        ensure!(mirror.statuses() == [206], "{:?}", mirror.statuses());
        Ok(())
    }),
    ("fault_reports_not_found_when_no_mirror_has_it", || {
        let (day, mirror) = (Day::new()?, Day::new()?);
        let urls = vec![format!("{}/none", day.server.url()), format!("{}/none", mirror.server.url())];
        let error = day.download(&Claim { urls: urls.clone(), ..day.claim() }).err().context("it came")?;
        ensure!(matches!(&error, AcquireError::NotFound { urls: there } if *there == urls), "{error:?}");
        day.is_empty()
    }),
    ("fault_gives_up_on_unreachable_server", || {
        let day = Day::new()?;
        let url = Day::new()?.url();
        let error = day.download(&Claim { urls: vec![url], ..day.claim() }).err().context("it came")?;
        ensure!(matches!(error, AcquireError::Fetch { attempts: 3, kept: None, .. }), "{error:?}");
        day.is_empty()
    }),
    ("fault_stops_an_endless_body", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::EndlessBody, Times::Always);
        let error = day.fails()?;
        ensure!(
            matches!(error, AcquireError::Size { expected, .. } if expected == u64::from(SIZE)),
            "{error:?}"
        );
        day.is_empty()
    }),
    ("fault_rejects_a_larger_file_before_download", || {
        let day = Day::new()?;
        fs::write(day.root.path().join(NAME), vec![0; SIZE as usize + 1])?;
        let error = day.fails()?;
        ensure!(
            matches!(error, AcquireError::Size { found, .. } if found == u64::from(SIZE) + 1),
            "{error:?}"
        );
        day.is_empty()
    }),
    ("fault_deletes_partial_file_of_another_version", || {
        let day = Day::new()?;
        let older = vec![7; SIZE as usize];
        fs::write(day.root.path().join(NAME), &older)?;
        day.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 2), Times::Next(1));
        day.server.fault(PATH, Fault::Status(503), Times::Always);
        let claim = Claim { sha256: Sha256::of(&older), ..day.claim() };
        day.download(&claim).err().context("it came")?;
        ensure!(fs::metadata(day.partial())?.len() > 0);
        day.server.heal();
        // A rename, so that the server cannot confuse the two files
        fs::write(day.root.path().join("new"), &day.bytes)?;
        fs::rename(day.root.path().join("new"), day.root.path().join(NAME))?;
        day.server.forget();
        day.succeeds()?;
        ensure!(day.server.requests()[0].header("range").is_none());
        Ok(())
    }),
    ("fault_restarts_when_file_was_replaced_between_attempts", || {
        let day = Day::new()?;
        let mut longer = day.bytes.clone();
        longer.push(1);
        fs::write(day.root.path().join(NAME), &longer)?;
        day.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 2), Times::Next(1));
        day.server.fault(PATH, Fault::Status(503), Times::Always);
        // The size is not known beforehand, so the longer file is started
        let claim = Claim { size: None, ..day.claim() };
        day.download(&claim).err().context("it came")?;
        day.server.heal();
        fs::write(day.root.path().join(NAME), &day.bytes)?;
        day.server.forget();
        day.download(&claim)?;
        day.is_whole()?;
        let requests = day.server.requests();
        ensure!(requests.len() == 1 && requests[0].range_start().is_some() && requests[0].status == 200);
        Ok(())
    }),
    ("fault_restarts_with_weak_entity_tag", || starts_over(Fault::WeakEtag)),
    ("fault_restarts_without_validator", || starts_over(Fault::NoValidator)),
    ("fault_restarts_when_range_is_ignored", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 2), Times::Next(1));
        day.server.fault(PATH, Fault::NoRange, Times::Next(1));
        day.succeeds()?;
        ensure!(day.statuses() == [200, 200], "{:?}", day.statuses());
        Ok(())
    }),
    ("fault_restarts_after_wrong_range", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 2), Times::Next(1));
        day.server.fault(PATH, Fault::WrongContentRange, Times::Next(1));
        day.succeeds()?;
        ensure!(day.statuses() == [200, 206, 200], "{:?}", day.statuses());
        Ok(())
    }),
    ("fault_retries_a_stalled_server", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::Stall(Duration::from_secs(30)), Times::Next(1));
        let start = Instant::now();
        day.succeeds()?;
        ensure!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        Ok(())
    }),
    ("fault_waits_for_a_slow_server", || {
        let day = Day::new()?;
        // Two seconds in total, longer than a single pause may be
        day.server.fault(PATH, Fault::Slow(u64::from(SIZE) / 2), Times::Always);
        day.succeeds()
    }),
    ("fault_follows_redirect_to_mirror", || {
        let (day, mirror) = (Day::new()?, Day::new()?);
        day.server.fault(PATH, Fault::Redirect(mirror.url()), Times::Always);
        mirror.server.fault(PATH, Fault::CutAfter(u64::from(SIZE) / 2), Times::Next(1));
        day.succeeds()?;
        ensure!(day.statuses() == [302, 302] && mirror.statuses() == [200, 206]);
        Ok(())
    }),
    ("fault_stops_a_redirect_loop", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::Redirect(PATH.to_owned()), Times::Always);
        let error = format!("{:#}", anyhow::Error::from(day.fails()?));
        ensure!(error.ends_with("redirected more than 10 times"), "{error}");
        day.is_empty()
    }),
    ("fault_file_url_works_like_http", || {
        let day = Day::new()?;
        let url = format!("file://{}", day.root.path().join(NAME).display());
        day.download(&Claim { urls: vec![url.clone()], ..day.claim() })?;
        day.is_whole()?;
        fs::remove_file(day.partial())?;
        fs::write(day.root.path().join(NAME), vec![0; SIZE as usize])?;
        let error = day.download(&Claim { urls: vec![url], ..day.claim() }).err().context("it came")?;
        ensure!(matches!(error, AcquireError::Digest { .. }), "{error:?}");
        day.is_empty()
    }),
    ("fault_limits_manifest_size_and_fetches_it_once", || {
        let day = Day::new()?;
        fs::write(day.root.path().join("SHA256SUMS"), "a list\n")?;
        let urls = [format!("{}/SHA256SUMS", day.server.url())];
        let (clock, policy) = (SystemClock::new(), policy());
        let fetcher = Fetcher { transport: &day.http, clock: &clock, policy: &policy };
        let fetch = |limit, unless: Option<&CacheTag>| fetcher.small(&urls, limit, unless);
        day.server.fault("/SHA256SUMS", Fault::Status(502), Times::Next(1));
        let Small::Fetched { bytes, seen, .. } = fetch(7, None)? else { anyhow::bail!("not modified") };
        ensure!(bytes == b"a list\n");
        ensure!(fetch(7, seen.as_ref())? == Small::NotModified);
        let error = fetch(6, None).err().context("it came")?;
        ensure!(matches!(error, AcquireError::TooLarge { limit: 6, .. }), "{error:?}");
        day.server.fault("/SHA256SUMS", Fault::EndlessBody, Times::Always);
        let error = fetch(1 << 20, None).err().context("it came")?;
        ensure!(matches!(error, AcquireError::TooLarge { .. }), "{error:?}");
        Ok(())
    }),
    ("fault_test_server_stops_all_threads_and_connections", || {
        let day = Day::new()?;
        day.server.fault(PATH, Fault::Stall(Duration::from_secs(600)), Times::Always);
        let (idle, stalled) = (connect(&day.server)?, connect(&day.server)?);
        (&stalled).write_all(b"GET /image.raw HTTP/1.1\r\n\r\n")?;
        // Time for the stall to begin; without it the test would only be easier
        thread::sleep(Duration::from_millis(50));
        let (address, start) = (day.server.address(), Instant::now());
        drop(day);
        ensure!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        ensure!(TcpStream::connect(address).is_err(), "someone still listens");
        for mut stream in [idle, stalled] {
            ensure!(!matches!(stream.read(&mut [0]), Ok(1..)), "someone still answers");
        }
        Ok(())
    }),
];

/// The first response is cut and cannot be resumed, so the next one starts over.
fn starts_over(why: Fault) -> Result<()> {
    let day = Day::new()?;
    day.server.faults(PATH, &[Fault::CutAfter(u64::from(SIZE) / 2), why], Times::Next(1));
    day.succeeds()?;
    let requests = day.server.requests();
    ensure!(day.statuses() == [200, 200], "{:?}", day.statuses());
    ensure!(requests[1].header("range").is_none(), "{:?}", requests[1]);
    Ok(())
}

fn connect(server: &Server) -> Result<TcpStream> {
    let stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// A server, a node, and the file to download.
struct Day {
    root: TempDir,
    node: TempDir,
    server: Server,
    http: Http,
    bytes: Vec<u8>,
}

impl Day {
    fn new() -> Result<Self> {
        let (root, node) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let bytes = (0..SIZE).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        fs::write(root.path().join(NAME), &bytes)?;
        let server = Server::serve(root.path())?;
        let second = Duration::from_secs(1);
        let http = Http::new(HttpOptions { connect: second, stall: second, proxies: Proxies::Avoid });
        Ok(Self { root, node, server, http, bytes })
    }

    fn url(&self) -> String {
        format!("{}{PATH}", self.server.url())
    }

    fn claim(&self) -> Claim {
        let (sha256, size) = (Sha256::of(&self.bytes), Some(u64::from(SIZE)));
        Claim { name: NAME.to_owned(), urls: vec![self.url()], sha256, size }
    }

    fn partial(&self) -> PathBuf {
        self.node.path().join(".sysupdate.partial.image.raw")
    }

    fn download(&self, claim: &Claim) -> Result<(), AcquireError> {
        let mut ignore = |_: Progress<'_>| {};
        let (clock, store) = (SystemClock::new(), Files::new());
        let fetcher = Fetcher { transport: &self.http, clock: &clock, policy: &policy() };
        fetcher.download(&store, claim, &self.partial(), &mut ignore).map(drop)
    }

    fn succeeds(&self) -> Result<()> {
        self.download(&self.claim())?;
        self.is_whole()
    }

    fn fails(&self) -> Result<AcquireError> {
        self.download(&self.claim()).err().context("it came")
    }

    fn is_whole(&self) -> Result<()> {
        ensure!(fs::read(self.partial())? == self.bytes, "other bytes than were claimed");
        ensure!(self.names()? == [".sysupdate.partial.image.raw"], "{:?}", self.names());
        Ok(())
    }

    fn is_empty(&self) -> Result<()> {
        ensure!(self.names()?.is_empty(), "{:?}", self.names());
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.node.path())?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn statuses(&self) -> Vec<u16> {
        self.server.requests().iter().map(|request| request.status).collect()
    }

    fn sent(&self) -> u64 {
        self.server.requests().iter().map(|request| request.sent).sum()
    }
}

fn policy() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
        asked: AskedWaits::up_to(Duration::from_secs(2)),
    }
}
