//! The parts of a request that the server uses.

use std::io::{self, BufRead, Read as _};

/// Longer heads are rejected.
const HEAD_LIMIT: u64 = 64 << 10;

/// A request and its response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, percent-decoded, without a query.
    pub path: String,
    /// The headers, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The status of the answer.
    pub status: u16,
    /// How many bytes of a body were sent.
    pub sent: u64,
}

impl Request {
    /// Reads one head; `None` if the connection was closed before.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut head = reader.take(HEAD_LIMIT);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(wrong("no request line"));
        };
        // A request to a proxy has an absolute URL
        let path = match target.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
            None => target,
        };
        let path = decoded(path.split(['?', '#']).next().unwrap_or_default());
        let mut request = Self { method: method.to_owned(), path, ..Self::default() };
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 {
                return Err(wrong("the head does not end"));
            }
            let line = line.trim_end();
            if line.is_empty() {
                return Ok(Some(request));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| wrong("no header"))?;
            request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// A header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The start of the requested range, if it has the form that downloads use: `bytes=N-`.
    pub fn range_start(&self) -> Option<u64> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// Decodes percent signs of a path; invalid ones are kept.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.filter(|_| first == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_head_is_parsed_and_path_decoded() {
        let head = "GET http://host:1/a%20b%2?x=1 HTTP/1.1\r\nRange: bytes=7-\r\nX: y:z\r\n\r\nrest";
        let request = Request::read(&mut head.as_bytes()).unwrap().unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/a b%2"));
        assert_eq!((request.range_start(), request.header("x")), (Some(7), Some("y:z")));
        assert_eq!(Request::read(&mut "".as_bytes()).unwrap(), None);
        assert!(Request::read(&mut "GET / HTTP/1.1\r\nX: y\r\n".as_bytes()).is_err());
    }
}
