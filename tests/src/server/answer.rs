//! One response, correct or faulty.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpStream;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use sysext_manifests::digest::Hasher;

use super::{Fault, Request, Shared, wait};

/// Bytes per read and write.
const CHUNK: usize = 256 << 10;

/// Whether the connection is kept open.
pub(super) enum Then {
    GoOn,
    Close,
}

/// Entity tags by path, with the length and time for which they are valid, so that a large file is read once.
pub(super) type Tags = HashMap<PathBuf, (u64, SystemTime, String)>;

/// A body: the range of the file to send.
struct Body {
    file: File,
    start: u64,
    length: u64,
}

pub(super) fn answer(mut request: Request, stream: &TcpStream, shared: &Shared) -> io::Result<Then> {
    let faults = shared.next_faults(&request.path);
    let mut instead = None;
    for fault in &faults {
        instead = match fault {
            Fault::Status(code) => Some(head(*code, &[])),
            Fault::RetryAfter(code, seconds) => Some(head(*code, &[format!("Retry-After: {seconds}")])),
            Fault::Redirect(to) => Some(head(302, &[format!("Location: {to}")])),
            Fault::Stall(duration) => {
                wait(*duration, shared);
                None
            }
            _ => None,
        };
    }
    if shared.is_stopping() {
        return Ok(Then::Close);
    }
    let (head, body) = match instead {
        Some(head) => (head, None),
        None => found(&request, &faults, shared)?,
    };
    request.status = head.0;
    // Logged before the response is sent, because the client may look at once
    let entry = {
        let mut state = shared.state();
        state.log.push(request.clone());
        state.log.len() - 1
    };
    let mut stream = stream;
    stream.write_all(head.1.as_bytes())?;
    let Some(body) = body.filter(|_| request.method != "HEAD") else { return Ok(Then::GoOn) };
    send(body, &faults, stream, shared, |count| {
        // The log may have been cleared in the meantime
        if let Some(request) = shared.state().log.get_mut(entry) {
            request.sent += count;
        }
    })
}

type Head = (u16, String);

/// The response to a request for a file.
fn found(request: &Request, faults: &[Fault], shared: &Shared) -> io::Result<(Head, Option<Body>)> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Ok((head(405, &["Allow: GET, HEAD".to_owned()]), None));
    }
    let mut path = shared.root.clone();
    for part in Path::new(&request.path).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Ok((head(400, &[]), None)),
        }
    }
    let file = match File::open(&path) {
        Ok(file) if file.metadata()?.is_file() => file,
        _ => return Ok((head(404, &[]), None)),
    };
    let length = file.metadata()?.len();
    let tag = tag(&path, &file, shared)?;
    let mut headers = vec!["Accept-Ranges: bytes".to_owned()];
    if faults.contains(&Fault::WeakEtag) {
        headers.push(format!("ETag: W/{tag}"));
    } else if !faults.contains(&Fault::NoValidator) {
        headers.push(format!("ETag: {tag}"));
    }
    if request.header("if-none-match").is_some_and(|seen| seen.trim_start_matches("W/") == tag) {
        return Ok((head(304, &headers), None));
    }
    let unchanged = match request.header("if-range") {
        Some(seen) => seen == tag && !faults.contains(&Fault::WeakEtag),
        None => true,
    };
    let start = request.range_start().filter(|_| unchanged && !faults.contains(&Fault::NoRange));
    if start.is_some_and(|start| start >= length) {
        headers.push(format!("Content-Range: bytes */{length}"));
        return Ok((head(416, &headers), None));
    }
    let body = |start| Body { file, start, length: length - start };
    let Some(start) = start else {
        if faults.contains(&Fault::EndlessBody) {
            headers.push("Connection: close".to_owned());
        } else {
            headers.push(format!("Content-Length: {length}"));
        }
        return Ok((head(200, &headers), Some(body(0))));
    };
    // A range of one byte that begins later would be empty
    let shown = if faults.contains(&Fault::WrongContentRange) { (start + 1).min(length - 1) } else { start };
    headers.push(format!("Content-Range: bytes {shown}-{}/{length}", length - 1));
    headers.push(format!("Content-Length: {}", length - shown));
    Ok((head(206, &headers), Some(body(shown))))
}

/// The head of a response. Without a body it contains a length of zero.
fn head(status: u16, headers: &[String]) -> Head {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        503 => "Service Unavailable",
        _ => "As Told",
    };
    let mut text = format!("HTTP/1.1 {status} {reason}\r\nServer: tests\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !matches!(status, 200 | 206 | 304) {
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("\r\n");
    (status, text)
}

fn tag(path: &Path, file: &File, shared: &Shared) -> io::Result<String> {
    let about = file.metadata()?;
    let (length, modified) = (about.len(), about.modified()?);
    if let Some((known_length, known_modified, tag)) = shared.state().tags.get(path)
        && (*known_length, *known_modified) == (length, modified)
    {
        return Ok(tag.clone());
    }
    let mut hasher = Hasher::default();
    let mut reader = file;
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let tag = format!("\"{}\"", hasher.finish().short());
    shared.state().tags.insert(path.to_owned(), (length, modified, tag.clone()));
    Ok(tag)
}

/// Sends a body with its faults; `sent` is called for every piece before it is sent.
fn send(
    mut body: Body,
    faults: &[Fault],
    mut stream: &TcpStream,
    shared: &Shared,
    sent: impl Fn(u64),
) -> io::Result<Then> {
    let (mut speed, mut cut) = (None, u64::MAX);
    for fault in faults {
        match fault {
            // In steps of a tenth of a second, so that the speed is even
            Fault::Slow(pace) => {
                speed = Some(usize::try_from(*pace / 10).unwrap_or(usize::MAX).clamp(1, CHUNK));
            }
            Fault::CutAfter(bytes) => cut = *bytes,
            _ => {}
        }
    }
    let then = if cut == u64::MAX { Then::GoOn } else { Then::Close };
    body.file.seek(SeekFrom::Start(body.start))?;
    let mut buffer = vec![0; speed.unwrap_or(CHUNK)];
    let mut offset = body.start;
    let end = body.start + body.length;
    while offset < end && cut > 0 && !shared.is_stopping() {
        let most = (end - offset).min(cut).min(buffer.len() as u64);
        let most = usize::try_from(most).unwrap_or(buffer.len());
        let count = body.file.read(&mut buffer[..most])?;
        if count == 0 {
            return Ok(Then::Close);
        }
        let piece = &mut buffer[..count];
        spoil(piece, offset, faults);
        sent(count as u64);
        stream.write_all(piece)?;
        offset += count as u64;
        cut -= count as u64;
        if speed.is_some() {
            wait(Duration::from_millis(100), shared);
        }
    }
    if !faults.contains(&Fault::EndlessBody) {
        return Ok(then);
    }
    buffer.fill(0);
    while !shared.is_stopping() {
        sent(buffer.len() as u64);
        stream.write_all(&buffer)?;
    }
    Ok(Then::Close)
}

/// Flips bits of the bytes at an offset.
fn spoil(piece: &mut [u8], offset: u64, faults: &[Fault]) {
    for fault in faults {
        match fault {
            Fault::WrongBytes => piece.iter_mut().for_each(|byte| *byte = !*byte),
            Fault::FlipByte(at) => {
                let index = at.checked_sub(offset).and_then(|index| usize::try_from(index).ok());
                if let Some(byte) = index.and_then(|index| piece.get_mut(index)) {
                    *byte ^= 1;
                }
            }
            _ => {}
        }
    }
}
