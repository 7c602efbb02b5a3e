//! `file://` URLs: a directory that is mounted or was copied there serves as a repository.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use reqwest::Url;
use rustix::fs::OFlags;

use crate::host::transport::{Body, FailureKind, FetchRequest, Response, TransportError};

/// Opens the file that a `file` URL names. Its validator consists of inode, size and times, as that of web servers.
pub(super) fn fetch(url: &Url, request: &FetchRequest) -> Result<Response, TransportError> {
    let fail = |kind, message: String| TransportError::new(&request.url, message, kind);
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            fail(FailureKind::NotFound, error.to_string())
        }
        _ => fail(FailureKind::Permanent, error.to_string()),
    };
    let Ok(path) = url.to_file_path() else {
        return Err(fail(FailureKind::Permanent, "does not name a file of this machine".to_owned()));
    };
    // Opening a pipe must not block
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(broken)?;
    let found = file.metadata().map_err(broken)?;
    if !found.is_file() {
        return Err(fail(FailureKind::Permanent, "not a regular file".to_owned()));
    }
    let parts = [found.ino(), found.len(), found.mtime().cast_unsigned(), found.mtime_nsec().cast_unsigned()];
    let validator = parts.map(|part| format!("{part:x}")).join("-");
    let validator = format!("\"{validator}\"");
    if request.unless.as_ref() == Some(&validator) {
        return Ok(Response::NotModified);
    }
    let start = match &request.resume {
        Some(resume) if resume.validator == validator && resume.offset <= found.len() => resume.offset,
        _ => 0,
    };
    file.seek(SeekFrom::Start(start)).map_err(broken)?;
    let reader: Box<dyn Read> = Box::new(file);
    Ok(Response::Body(Body {
        start,
        total: Some(found.len()),
        tag: Some(validator.clone()),
        validator: Some(validator),
        reader,
    }))
}
