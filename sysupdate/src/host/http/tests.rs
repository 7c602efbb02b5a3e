use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use super::*;

/// Answers one connection after the other with what is written here; gives the heads of the requests.
fn canned(answers: Vec<String>) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, heads) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            // Not every test looks at what was asked
            sender.send(head).ok();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (port, heads)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

fn http() -> Http {
    let second = Duration::from_secs(1);
    Http::new(HttpOptions { connect: second, stall: second, proxies: Proxies::Avoid })
}

fn get(url: &str) -> FetchRequest {
    FetchRequest { url: url.to_owned(), ..FetchRequest::default() }
}

fn read(response: Response) -> (Body, String) {
    let Response::Body(mut body) = response else { panic!("not modified") };
    let mut text = String::new();
    body.reader.read_to_string(&mut text).unwrap();
    (body, text)
}

fn failure(answers: Vec<String>, request: impl FnOnce(u16) -> FetchRequest) -> TransportError {
    let (port, _heads) = canned(answers);
    http().fetch(&request(port)).unwrap_err()
}

#[test]
fn a_name_is_looked_up_and_the_head_says_who_asks() {
    let (port, heads) = canned(vec![answer("200 OK", "ETag: \"x\"\r\n", "hello")]);
    let (body, text) = read(http().fetch(&get(&format!("http://localhost:{port}/a"))).unwrap());
    assert_eq!((body.start, body.total, text.as_str()), (0, Some(5), "hello"));
    assert_eq!((body.tag.as_deref(), body.validator.as_deref()), (Some("\"x\""), Some("\"x\"")));
    let head = heads.recv().unwrap().to_lowercase();
    assert!(head.starts_with("get /a http/1.1\r\n"), "{head}");
    assert!(head.contains(concat!("user-agent: sysupdate/", env!("CARGO_PKG_VERSION"))), "{head}");
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[test]
fn what_is_unchanged_is_not_sent() {
    let (port, heads) = canned(vec![answer("304 Not Modified", "", ""); 2]);
    for (tag, header) in
        [("W/\"x\"", "if-none-match: W/\"x\""), ("Sun, 06 Nov 1994 08:49:37 GMT", "if-modified-since: Sun")]
    {
        let request =
            FetchRequest { unless: Some(tag.to_owned()), ..get(&format!("http://127.0.0.1:{port}/")) };
        assert!(matches!(http().fetch(&request).unwrap(), Response::NotModified));
        let head = heads.recv().unwrap();
        assert!(head.contains(header), "{head}");
    }
}

fn resuming(port: u16) -> FetchRequest {
    let resume = Resume { offset: 3, validator: "\"x\"".to_owned() };
    FetchRequest { resume: Some(resume), ..get(&format!("http://127.0.0.1:{port}/")) }
}

#[test]
fn a_range_is_asked_for_under_the_condition_that_nothing_changed() {
    let (port, heads) = canned(vec![answer("206 Partial Content", "Content-Range: bytes 3-4/5\r\n", "lo")]);
    let (body, text) = read(http().fetch(&resuming(port)).unwrap());
    assert_eq!((body.start, body.total, text.as_str()), (3, Some(5), "lo"));
    let head = heads.recv().unwrap();
    assert!(head.contains("range: bytes=3-\r\n") && head.contains("if-range: \"x\"\r\n"), "{head}");
}

#[test]
fn a_range_that_is_not_given_starts_from_the_beginning() {
    let (port, heads) = canned(vec![
        answer("200 OK", "", "hello"),
        answer("416 Range Not Satisfiable", "Content-Range: bytes */2\r\n", ""),
        answer("200 OK", "", "he"),
    ]);
    assert_eq!(read(http().fetch(&resuming(port)).unwrap()).1, "hello");
    let (body, text) = read(http().fetch(&resuming(port)).unwrap());
    assert_eq!((body.start, text.as_str()), (0, "he"));
    assert!(!heads.iter().nth(2).unwrap().contains("range"));
}

#[test]
fn another_range_than_asked_for_is_refused() {
    for range in ["Content-Range: bytes 2-4/5\r\n", ""] {
        let error = failure(vec![answer("206 Partial Content", range, "llo")], resuming);
        assert_eq!(error.kind, FailureKind::Permanent);
        assert!(error.message.ends_with(" instead of the bytes from 3"), "{error}");
    }
    let unasked = answer("206 Partial Content", "Content-Range: bytes 0-4/5\r\n", "hello");
    let error = failure(vec![unasked], |port| get(&format!("http://127.0.0.1:{port}/")));
    assert_eq!(error.message, "the server answered 206 Partial Content");
}

#[test]
fn a_status_says_what_to_do_next() {
    let after = |seconds| FailureKind::Transient { after: Some(Duration::from_secs(seconds)) };
    for (status, headers, kind) in [
        ("404 Not Found", "", FailureKind::NotFound),
        ("410 Gone", "", FailureKind::NotFound),
        ("403 Forbidden", "", FailureKind::Permanent),
        ("304 Not Modified", "", FailureKind::Permanent),
        ("500 Internal Server Error", "", FailureKind::Transient { after: None }),
        ("429 Too Many Requests", "Retry-After: 7\r\n", after(7)),
        (
            "503 Service Unavailable",
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:40 GMT\r\n",
            after(3),
        ),
    ] {
        let error =
            failure(vec![answer(status, headers, "")], |port| get(&format!("http://127.0.0.1:{port}/")));
        assert_eq!((error.kind, error.message), (kind, format!("the server answered {status}")));
    }
}

#[test]
fn redirects_are_followed_to_http_and_not_without_end() {
    let (target, _) = canned(vec![answer("200 OK", "", "there")]);
    let (port, _) = canned(vec![
        answer("302 Found", "Location: /next\r\n", ""),
        answer("307 Temporary Redirect", &format!("Location: http://localhost:{target}/\r\n"), ""),
    ]);
    assert_eq!(read(http().fetch(&get(&format!("http://127.0.0.1:{port}/"))).unwrap()).1, "there");

    let elsewhere = |to: &str| {
        let answers = vec![answer("302 Found", &format!("Location: {to}\r\n"), "")];
        failure(answers, |port| get(&format!("http://me:secret@127.0.0.1:{port}/"))).to_string()
    };
    assert!(
        elsewhere("file:///etc/passwd")
            .ends_with("redirected to file:, but only http and https are supported")
    );
    assert!(!elsewhere("ftp://x/").contains("secret"));
    let circle = vec![answer("302 Found", "Location: /\r\n", ""); REDIRECTS + 1];
    let error = failure(circle, |port| get(&format!("http://127.0.0.1:{port}/")));
    assert_eq!(
        (error.message.as_str(), error.kind),
        ("redirected more than 10 times", FailureKind::Permanent)
    );
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    assert_eq!(
        check_scheme("https", "http"),
        Err("redirected from https to http, which is not followed".to_owned())
    );
    for (from, to) in [("https", "https"), ("http", "http"), ("http", "https")] {
        assert_eq!(check_scheme(from, to), Ok(()));
    }
}

#[test]
fn a_failure_behind_a_redirect_names_its_host_and_what_was_asked_for() {
    let answers = vec![answer("302 Found", "Location: http://localhost:1/?signature=secret\r\n", "")];
    let error = failure(answers, |port| get(&format!("http://127.0.0.1:{port}/asked")));
    assert!(error.url.ends_with("/asked"), "{error}");
    assert!(error.message.starts_with("redirected to localhost: "), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn who_is_not_there_may_be_there_later() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = http().fetch(&get(&format!("http://127.0.0.1:{port}/"))).unwrap_err();
    assert_eq!(error.kind, FailureKind::Transient { after: None });
    assert!(error.message.contains("refused"), "{error}");
}

#[test]
fn a_silent_server_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = http().fetch(&get(&format!("http://127.0.0.1:{port}/"))).unwrap_err();
    assert_eq!(error.kind, FailureKind::Transient { after: None });
    assert!(error.message.contains("timed out"), "{error}");
}

#[test]
fn a_body_that_ends_early_is_an_error() {
    let cut = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhell".to_owned();
    let (port, _) = canned(vec![cut]);
    let Response::Body(mut body) = http().fetch(&get(&format!("http://127.0.0.1:{port}/"))).unwrap() else {
        panic!("not modified")
    };
    let mut bytes = Vec::new();
    body.reader.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(bytes, b"hell");
}

#[test]
fn what_is_no_url_is_said() {
    for (url, message) in [
        ("ftp://host/x", "ftp is not supported, only http, https and file"),
        ("host/x", "not a URL: relative URL without a base"),
        ("file://host/x", "does not name a file of this machine"),
    ] {
        let error = http().fetch(&get(url)).unwrap_err();
        assert_eq!((error.message.as_str(), error.kind), (message, FailureKind::Permanent));
    }
}

#[test]
fn files_are_served_like_a_server_would() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a b");
    std::fs::write(&path, "hello").unwrap();
    let url = format!("file://{}/a%20b", scratch.path().display());
    let (body, text) = read(http().fetch(&get(&url)).unwrap());
    assert_eq!((body.start, body.total, text.as_str()), (0, Some(5), "hello"));

    let validator = body.validator.unwrap();
    let unless = FetchRequest { unless: Some(validator.clone()), ..get(&url) };
    assert!(matches!(http().fetch(&unless).unwrap(), Response::NotModified));
    let resume = FetchRequest { resume: Some(Resume { offset: 3, validator }), ..get(&url) };
    let (body, text) = read(http().fetch(&resume).unwrap());
    assert_eq!((body.start, text.as_str()), (3, "lo"));
    std::fs::write(&path, "HELLO!").unwrap();
    let (body, text) = read(http().fetch(&resume).unwrap());
    assert_eq!((body.start, text.as_str()), (0, "HELLO!"));

    let missing = http().fetch(&get(&format!("{url}/missing"))).unwrap_err();
    assert_eq!(missing.kind, FailureKind::NotFound);
    let directory = http().fetch(&get(&format!("file://{}", scratch.path().display()))).unwrap_err();
    assert_eq!((directory.kind, directory.message.as_str()), (FailureKind::Permanent, "not a regular file"));
}
