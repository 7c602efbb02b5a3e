use std::io;

use std::path::PathBuf;

use sysext_manifests::trust::{Claim, Unverified};

use super::*;
use crate::host::clock::Clock as _;
use crate::host::fake::{FakeHost, Reply};
use crate::host::transport::RetryPolicy;

const FIRST: &str = "https://first/image.raw";
const SECOND: &str = "https://second/image.raw";
const PARTIAL: &str = "/images/.sysupdate.partial.image.raw";

fn image() -> Vec<u8> {
    (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn claim(bytes: &[u8], size: Option<u64>) -> Claim {
    let urls = vec![FIRST.to_owned(), SECOND.to_owned()];
    Claim { name: "image.raw".to_owned(), urls, sha256: Sha256::of(bytes), size }
}

fn sized(bytes: &[u8]) -> Claim {
    claim(bytes, Some(bytes.len() as u64))
}

fn fetcher<'a>(world: &'a FakeHost, policy: &'a RetryPolicy) -> Fetcher<'a> {
    Fetcher { transport: &world.transport, clock: &world.clock, policy }
}

fn run(world: &FakeHost, claim: &Claim) -> Result<Unverified<PathBuf>, AcquireError> {
    fetcher(world, &RetryPolicy::default()).download(&world.store, claim, PARTIAL.as_ref(), &mut |_| {})
}

/// Only the image lies there, and it is whole.
fn assert_whole(world: &FakeHost, bytes: &[u8]) {
    assert!(world.store.bytes(PARTIAL).unwrap() == bytes);
    let expected = ["/", "/images", PARTIAL].map(PathBuf::from);
    assert_eq!(world.store.paths(), expected);
}

fn assert_nothing_left(world: &FakeHost) {
    assert_eq!(world.store.paths(), ["/", "/images"].map(PathBuf::from));
}

/// The URL and offset of every request.
fn asked(world: &FakeHost) -> Vec<(String, u64)> {
    let offset = |resume: Option<crate::host::transport::Resume>| resume.map_or(0, |resume| resume.offset);
    world.transport.requests().into_iter().map(|request| (request.url, offset(request.resume))).collect()
}

fn asks(url: &str, offset: u64) -> (String, u64) {
    (url.to_owned(), offset)
}

#[test]
fn what_is_claimed_comes_whole_and_durable() {
    let (world, bytes) = (FakeHost::new(), image());
    world.transport.serve(FIRST, &bytes);
    let mut seen = Vec::new();
    let came = fetcher(&world, &RetryPolicy::default()).download(
        &world.store,
        &claim(&bytes, None),
        PARTIAL.as_ref(),
        &mut |progress| match progress {
            Progress::Started { offset, total, .. } => seen.push((offset, total)),
            Progress::Received { done, total } => seen.push((done, total)),
            Progress::Retrying { .. } => panic!("nothing went wrong"),
        },
    );
    assert_eq!(came.unwrap().peek(), &PathBuf::from(PARTIAL));
    assert_whole(&world, &bytes);
    let total = Some(bytes.len() as u64);
    assert_eq!((seen[0], *seen.last().unwrap()), ((0, total), (bytes.len() as u64, total)));
    let changes = world.store.changes();
    assert_eq!(changes[changes.len() - 2], format!("sync {PARTIAL}"), "the origin goes last");
}

#[test]
fn a_cut_is_gone_on_from_in_this_run() {
    let (world, bytes) = (FakeHost::new(), image());
    world.transport.serve(FIRST, &bytes);
    world.transport.serve(SECOND, &bytes);
    world.transport.reply(FIRST, Reply::CutAfter(2_000_000));
    run(&world, &sized(&bytes)).unwrap();
    assert_whole(&world, &bytes);
    assert_eq!(asked(&world), [asks(FIRST, 0), asks(FIRST, 2_000_000)]);
    // It got further: nobody waits
    assert_eq!(world.clock.sleeps(), [Duration::ZERO]);
}

#[test]
fn a_cut_is_gone_on_from_in_the_next_run() {
    let (world, bytes) = (FakeHost::new(), image());
    world.transport.reply(FIRST, Reply::Replaced(bytes.clone()));
    world.transport.serve(SECOND, &bytes);
    // The program is killed in the middle
    world.store.stop_before(8);
    let error = run(&world, &sized(&bytes)).unwrap_err();
    assert!(matches!(error, AcquireError::Store(_)), "{error}");
    world.store.go_on();
    let there = world.store.bytes(PARTIAL).unwrap().len() as u64;
    assert!(there > 0);
    run(&world, &sized(&bytes)).unwrap();
    assert_whole(&world, &bytes);
    assert_eq!(asked(&world), [asks(FIRST, 0), asks(FIRST, there)]);
}

#[test]
fn wherever_it_is_killed_the_next_run_succeeds() {
    let bytes = image();
    let whole = FakeHost::new();
    whole.transport.serve(FIRST, &bytes);
    run(&whole, &sized(&bytes)).unwrap();
    let changes = whole.store.changes().len();
    assert!(changes > 10);
    for stop in 0..changes {
        let world = FakeHost::new();
        world.transport.serve(FIRST, &bytes);
        world.store.stop_before(stop);
        run(&world, &sized(&bytes)).unwrap_err();
        assert_eq!(world.store.changes().len(), stop, "this point was reached");
        world.store.go_on();
        run(&world, &sized(&bytes)).unwrap();
        assert_whole(&world, &bytes);
    }
}

#[test]
fn what_is_all_there_is_not_asked_for() {
    let (world, bytes) = (FakeHost::new(), image());
    world.store.put(PARTIAL, &bytes);
    run(&world, &claim(&bytes, None)).unwrap();
    assert_whole(&world, &bytes);
    assert_eq!(asked(&world), []);
}

#[test]
fn a_partial_of_something_else_is_thrown_away() {
    let bytes = image();
    let origin = |sha256: Sha256, tag: &str| {
        format!("{{\"version\":1,\"sha256\":\"{sha256}\",\"validator\":\"{tag}\"}}").into_bytes()
    };
    for (origin, there) in [
        (None, b"no origin".to_vec()),
        (None, vec![0; bytes.len()]),
        (Some(b"not JSON".to_vec()), b"unreadable".to_vec()),
        (Some(vec![b'x'; 20_000]), b"endless".to_vec()),
        (Some(origin(Sha256::of(b"older"), "x")), b"of an older version".to_vec()),
        (Some(origin(Sha256::of(&bytes), "x")), vec![0; bytes.len() + 1]),
        (Some(origin(Sha256::of(&bytes), "x")), vec![0; bytes.len()]),
    ] {
        let world = FakeHost::new();
        world.transport.serve(FIRST, &bytes);
        world.store.put(PARTIAL, &there);
        if let Some(origin) = origin {
            world.store.put(origin_beside(PARTIAL.as_ref()), &origin);
        }
        run(&world, &sized(&bytes)).unwrap();
        assert_whole(&world, &bytes);
        assert_eq!(asked(&world), [asks(FIRST, 0)]);
    }
}

#[test]
fn wrong_pieces_are_thrown_away_and_fetched_once_as_a_whole() {
    let (world, bytes) = (FakeHost::new(), image());
    let tag = format!("\\\"{}\\\"", Sha256::of(&bytes).short());
    let origin = format!("{{\"version\":1,\"sha256\":\"{}\",\"validator\":\"{tag}\"}}", Sha256::of(&bytes));
    world.store.put(origin_beside(PARTIAL.as_ref()), origin.as_bytes());
    // What a power cut may leave: the length is right, the bytes never came
    world.store.put(PARTIAL, &[0; 1000]);
    world.transport.serve(FIRST, &bytes);
    run(&world, &sized(&bytes)).unwrap();
    assert_whole(&world, &bytes);
    assert_eq!(asked(&world), [asks(FIRST, 1000), asks(FIRST, 0)]);
}

#[test]
fn wrong_bytes_are_tried_elsewhere_and_never_kept() {
    let (world, bytes) = (FakeHost::new(), image());
    let mut wrong = bytes.clone();
    wrong[1_000_000] ^= 1;
    world.transport.serve(FIRST, &wrong);
    let error = run(&world, &sized(&bytes)).unwrap_err();
    let AcquireError::Digest { url, expected, found } = &error else { panic!("{error}") };
    assert_eq!((url.as_str(), *expected, *found), (FIRST, Sha256::of(&bytes), Sha256::of(&wrong)));
    assert!(error.hint().is_some());
    assert_nothing_left(&world);
    assert_eq!(asked(&world), [asks(FIRST, 0), asks(SECOND, 0)]);

    world.transport.serve(SECOND, &bytes);
    run(&world, &sized(&bytes)).unwrap();
    assert_whole(&world, &bytes);
}

#[test]
fn a_mirror_is_asked_before_anyone_waits() {
    let (world, bytes) = (FakeHost::new(), image());
    world.transport.reply(FIRST, Reply::busy());
    world.transport.serve(SECOND, &bytes);
    run(&world, &sized(&bytes)).unwrap();
    assert_eq!(asked(&world), [asks(FIRST, 0), asks(SECOND, 0)]);
    assert_eq!(world.clock.sleeps(), [Duration::ZERO]);
}

#[test]
fn waits_double_with_jitter_until_patience_ends() {
    let (world, bytes) = (FakeHost::new(), image());
    for _ in 0..10 {
        world.transport.reply(FIRST, Reply::busy());
    }
    let error = run(&world, &Claim { urls: vec![FIRST.to_owned()], ..sized(&bytes) }).unwrap_err();
    assert_eq!(error.to_string(), "gave up after 5 attempts");
    let AcquireError::Fetch { attempts: 5, kept: None, source } = error else { panic!("{error}") };
    assert_eq!(source.url, FIRST);
    let sleeps = world.clock.sleeps();
    assert_eq!(sleeps.len(), 4);
    for (sleep, most) in sleeps.iter().zip([500, 1000, 2000, 4000]) {
        let most = Duration::from_millis(most);
        assert!(*sleep <= most && *sleep >= most / 2, "{sleep:?}");
    }
    assert_nothing_left(&world);
}

#[test]
fn a_server_may_ask_for_a_wait_within_reason() {
    let (world, bytes) = (FakeHost::new(), image());
    world.transport.serve(FIRST, &bytes);
    for seconds in [20, 100_000] {
        world.transport.reply(FIRST, Reply::busy_for(Duration::from_secs(seconds)));
    }
    run(&world, &Claim { urls: vec![FIRST.to_owned()], ..sized(&bytes) }).unwrap();
    assert_eq!(world.clock.sleeps(), [20, 100].map(Duration::from_secs));
}

#[test]
fn all_files_of_a_run_wait_for_servers_for_two_minutes_together() {
    let (world, policy) = (FakeHost::new(), RetryPolicy::default());
    for number in 0..20 {
        let url = format!("https://first/{number}");
        for _ in 0..5 {
            world.transport.reply(&url, Reply::busy_for(Duration::from_secs(99_999_999)));
        }
        fetcher(&world, &policy).small(&[url], 9, None).unwrap_err();
    }
    // Each file waits for less than eight seconds by itself
    assert!(world.clock.elapsed() < Duration::from_secs(120 + 20 * 8), "{:?}", world.clock.elapsed());
}

#[test]
fn where_nobody_has_it_that_is_said() {
    let world = FakeHost::new();
    let error = run(&world, &sized(b"x")).unwrap_err();
    assert_eq!(error.to_string(), format!("not found: {FIRST}, {SECOND}"));
    assert!(matches!(error, AcquireError::NotFound { .. }));
    assert_nothing_left(&world);
    let error = run(&world, &Claim { urls: Vec::new(), ..sized(b"x") }).unwrap_err();
    assert_eq!(error.to_string(), "image.raw has no URL");
}

#[test]
fn more_than_was_claimed_is_not_kept() {
    let (world, bytes) = (FakeHost::new(), image());
    world.transport.reply(FIRST, Reply::Endless);
    world.transport.reply(SECOND, Reply::Bytes([bytes.as_slice(), b"!"].concat()));
    let error = run(&world, &sized(&bytes)).unwrap_err();
    assert_eq!(error.to_string(), format!("{SECOND}: offers at least 3000001 bytes, expected 3000000"));
    assert_nothing_left(&world);
}

#[test]
fn a_refused_range_does_not_stand_in_the_way() {
    let (world, bytes) = (FakeHost::new(), image());
    world.transport.serve(FIRST, &bytes);
    world.transport.reply(FIRST, Reply::CutAfter(2_000_000));
    world.transport.reply(FIRST, Reply::Fail(FailureKind::Permanent));
    run(&world, &sized(&bytes)).unwrap();
    assert_whole(&world, &bytes);
    assert_eq!(asked(&world), [asks(FIRST, 0), asks(FIRST, 2_000_000), asks(FIRST, 0)]);
}

#[test]
fn what_is_kept_is_said_and_a_mirror_with_the_same_bytes_goes_on() {
    let (world, bytes) = (FakeHost::new(), image());
    let only_first = Claim { urls: vec![FIRST.to_owned()], ..sized(&bytes) };
    world.transport.serve(FIRST, &bytes);
    world.transport.reply(FIRST, Reply::CutAfter(1_500_000));
    for _ in 0..5 {
        world.transport.reply(FIRST, Reply::busy());
    }
    let error = run(&world, &only_first).unwrap_err();
    let kept = format!("gave up after 6 attempts, 1500000 bytes are kept in {PARTIAL}");
    assert_eq!(error.to_string(), kept);
    assert_eq!(error.hint().unwrap(), "the next run resumes the download");

    world.transport.withdraw(FIRST);
    world.transport.serve(SECOND, &bytes);
    run(&world, &sized(&bytes)).unwrap();
    assert_whole(&world, &bytes);
    assert_eq!(asked(&world)[6..], [asks(FIRST, 1_500_000), asks(SECOND, 1_500_000)]);
}

#[test]
fn small_steps_get_there_and_tiny_ones_are_given_up() {
    let (world, bytes) = (FakeHost::new(), image());
    world.transport.serve(FIRST, &bytes);
    for _ in 0..4 {
        world.transport.reply(FIRST, Reply::CutAfter(900_000));
    }
    // The last one breaks right behind the last byte, which nobody needs to ask for again
    run(&world, &sized(&bytes)).unwrap();
    let offsets = [0, 900_000, 1_800_000, 2_700_000].map(|offset| asks(FIRST, offset));
    let asked_first: Vec<_> = asked(&world).into_iter().filter(|(url, _)| url == FIRST).collect();
    assert_eq!(asked_first, offsets);

    let world = FakeHost::new();
    world.transport.serve(FIRST, &bytes);
    for _ in 0..100 {
        world.transport.reply(FIRST, Reply::CutAfter(10));
    }
    let error = run(&world, &Claim { urls: vec![FIRST.to_owned()], ..sized(&bytes) }).unwrap_err();
    let kept = Some(Resumable { path: PARTIAL.into(), offset: 50 });
    let AcquireError::Fetch { attempts: 5, kept: found, .. } = error else { panic!("{error}") };
    assert_eq!(found, kept);
}

#[test]
fn a_disk_without_room_is_not_filled() {
    let (world, bytes) = (FakeHost::new(), image());
    world.transport.serve(FIRST, &bytes);
    world.store.set_free_space(2_999_999);
    let error = run(&world, &sized(&bytes)).unwrap_err();
    let AcquireError::Space { needed: 3_000_000, free, .. } = error else { panic!("{error}") };
    assert!(free < 3_000_000);
    assert_eq!(asked(&world).len(), 1);
    assert_nothing_left(&world);
}

#[test]
fn a_disk_that_fills_up_gets_its_room_back() {
    let (world, bytes) = (FakeHost::new(), image());
    // The length is not said beforehand
    world.transport.reply(FIRST, Reply::Endless);
    world.store.set_free_space(2_000_000);
    world.store.set_disk_size(0);
    let error = run(&world, &claim(&bytes, None)).unwrap_err();
    let AcquireError::Store(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_nothing_left(&world);
}

#[test]
fn a_file_of_unknown_size_leaves_a_reserve_free() {
    let (world, bytes) = (FakeHost::new(), image());
    // The length is not said, and the server does not stop
    world.transport.reply(FIRST, Reply::Endless);
    world.store.set_free_space(300 << 20);
    world.store.set_disk_size(1 << 30);
    let error = run(&world, &claim(&bytes, None)).unwrap_err();
    let AcquireError::Reserve { free, reserve, .. } = error else { panic!("{error}") };
    assert_eq!(reserve, 256 << 20);
    assert!(free < reserve && free + (9 << 20) > reserve, "{free}");
    assert_nothing_left(&world);
    assert_eq!(asked(&world), [asks(FIRST, 0)]);

    // It says a length that leaves nothing free
    let world = FakeHost::new();
    world.transport.serve(FIRST, &bytes);
    world.store.set_free_space((256 << 20) + 2_999_999);
    world.store.set_disk_size(1 << 30);
    let error = run(&world, &claim(&bytes, None)).unwrap_err();
    assert!(matches!(error, AcquireError::Reserve { .. }), "{error}");
    assert!(error.hint().is_some());
    run(&world, &sized(&bytes)).unwrap();
}

fn small(world: &FakeHost, limit: u64, unless: Option<&CacheTag>) -> Result<Small, AcquireError> {
    let urls = [FIRST.to_owned(), SECOND.to_owned()];
    fetcher(world, &RetryPolicy::default()).small(&urls, limit, unless)
}

#[test]
fn something_small_comes_and_is_not_sent_twice() {
    let world = FakeHost::new();
    world.transport.serve(FIRST, b"list");
    world.transport.reply(FIRST, Reply::busy());
    world.transport.reply(SECOND, Reply::busy());
    let Small::Fetched { bytes, url, seen } = small(&world, 4, None).unwrap() else { panic!() };
    assert_eq!((bytes.as_slice(), url.as_str()), (b"list".as_slice(), FIRST));
    assert_eq!(world.clock.sleeps().len(), 2);
    assert_eq!(small(&world, 4, seen.as_ref()).unwrap(), Small::NotModified);

    // Another server's tags mean something else
    let elsewhere = CacheTag { url: SECOND.to_owned(), ..seen.unwrap() };
    assert!(matches!(small(&world, 4, Some(&elsewhere)).unwrap(), Small::Fetched { .. }));
}

#[test]
fn something_small_is_not_large() {
    let world = FakeHost::new();
    world.transport.reply(FIRST, Reply::Endless);
    world.transport.serve(SECOND, b"lists");
    let error = small(&world, 4, None).unwrap_err();
    assert_eq!(error.to_string(), format!("{SECOND}: more than 4 bytes"));
}

#[test]
fn something_small_that_is_cut_is_fetched_again() {
    let world = FakeHost::new();
    world.transport.serve(FIRST, b"list");
    world.transport.reply(FIRST, Reply::CutAfter(2));
    let Small::Fetched { bytes, .. } = small(&world, 4, None).unwrap() else { panic!() };
    assert_eq!(bytes, b"list");
    let world = FakeHost::new();
    assert!(matches!(small(&world, 4, None).unwrap_err(), AcquireError::NotFound { .. }));
}

fn drip(world: &FakeHost, bytes: usize, seconds: u64) -> Reply {
    Reply::Drip { bytes, every: Duration::from_secs(seconds), clock: world.clock.clone() }
}

#[test]
fn something_small_that_drips_is_fetched_from_the_next_place_in_time() {
    // From one byte in 59 seconds, where no read times out, to just above the minimum
    for (bytes, seconds) in [(1, 59), (1, 10), (29, 1), (31, 1), (60, 1), (1000, 20)] {
        let world = FakeHost::new();
        world.transport.serve(FIRST, &[b'x'; 16 << 10]);
        world.transport.serve(SECOND, b"list");
        for _ in 0..10 {
            world.transport.reply(FIRST, drip(&world, bytes, seconds));
        }
        let Small::Fetched { bytes, url, .. } = small(&world, 16 << 10, None).unwrap() else { panic!() };
        assert_eq!((bytes.as_slice(), url.as_str()), (b"list".as_slice(), SECOND));
        assert!(world.clock.elapsed() <= Duration::from_secs(240), "{:?}", world.clock.elapsed());
    }
}

#[test]
fn something_small_that_only_drips_fails_in_time() {
    let world = FakeHost::new();
    for url in [FIRST, SECOND] {
        world.transport.serve(url, &[b'x'; 16 << 10]);
        for _ in 0..10 {
            world.transport.reply(url, drip(&world, 60, 1));
        }
    }
    let error = small(&world, 16 << 10, None).unwrap_err();
    let AcquireError::Fetch { attempts: 2, kept: None, source } = error else { panic!("{error}") };
    assert_eq!(source.message, "timed out after 120 seconds, with 7200 bytes received");
    assert_eq!(world.clock.elapsed(), Duration::from_secs(240));
}

#[test]
fn a_slow_place_is_left_for_another_and_its_bytes_are_kept() {
    for (bytes, seconds) in [(1, 59), (40, 1), (1000, 1), (10_000, 1)] {
        let (world, image) = (FakeHost::new(), image());
        world.transport.serve(FIRST, &image);
        world.transport.serve(SECOND, &image);
        world.transport.reply(FIRST, drip(&world, bytes, seconds));
        run(&world, &sized(&image)).unwrap();
        assert_whole(&world, &image);
        let kept = asked(&world)[1].1;
        assert!(kept > 0 && kept <= 60 * 10_000, "{kept}");
        assert_eq!(asked(&world), [asks(FIRST, 0), asks(SECOND, kept)]);
        assert!(world.clock.elapsed() < Duration::from_secs(120), "{:?}", world.clock.elapsed());
    }
}

#[test]
fn where_all_places_are_slow_the_fastest_is_used() {
    let (world, image) = (FakeHost::new(), image());
    for (url, bytes) in [(FIRST, 8_000), (SECOND, 40)] {
        world.transport.serve(url, &image);
        for _ in 0..10 {
            world.transport.reply(url, drip(&world, bytes, 1));
        }
    }
    run(&world, &sized(&image)).unwrap();
    assert_whole(&world, &image);
    let kept = 60 * 8_000;
    assert_eq!(asked(&world), [asks(FIRST, 0), asks(SECOND, kept), asks(FIRST, kept + 60 * 40)]);
}

#[test]
fn the_only_place_may_be_as_slow_as_systemd_accepts() {
    let (world, image) = (FakeHost::new(), image()[..100_000].to_vec());
    let only_first = Claim { urls: vec![FIRST.to_owned()], ..sized(&image) };
    world.transport.serve(FIRST, &image);
    world.transport.reply(FIRST, drip(&world, 31, 1));
    run(&world, &only_first).unwrap();
    assert_eq!(asked(&world), [asks(FIRST, 0)]);

    let world = FakeHost::new();
    world.transport.serve(FIRST, &image);
    for _ in 0..10 {
        world.transport.reply(FIRST, drip(&world, 29, 1));
    }
    let error = run(&world, &only_first).unwrap_err();
    let AcquireError::Fetch { attempts: 5, source, .. } = error else { panic!("{error}") };
    assert_eq!(source.message, "stalled: 1740 bytes in a minute");
}
