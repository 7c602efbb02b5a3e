//! Writes the image front to back and hashes it, on two threads that take about the same time.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest, Sha256};

use super::error::WriteError;
use crate::progress::{Progress, Stage};
use crate::spool::Spool;

/// The length of an image is a multiple of this many bytes: loop devices cut off the rest.
const PADDING: u64 = 4096;

/// How much of the image is passed between the threads at a time, in bytes.
const CHUNK: usize = 256 * 1024;

/// How many chunks may wait to be written.
const WAITING: usize = 4;

/// Writes `head`, the spool, `tail`, and padding to a multiple of 4096 bytes. Returns the total length and
/// the digest.
pub(super) fn write(
    head: &[u8],
    spool: &Spool,
    tail: &[u8],
    progress: &Progress,
    out: impl Write,
) -> Result<(u64, [u8; 32]), WriteError> {
    let length = head.len() as u64 + spool.length() + tail.len() as u64;
    let padding = length.next_multiple_of(PADDING) - length;
    progress.begin(Stage::Writing, length + padding);
    let padding = vec![0; usize::try_from(padding).expect("less than 4 KiB")];
    let (full, chunks) = sync_channel(WAITING);
    let (empty, used) = sync_channel(WAITING);
    thread::scope(|scope| {
        let hashing = scope.spawn(move || {
            let mut source = Hashing { digest: Sha256::new(), full, used };
            let is_complete =
                source.slice(head) && source.spool(spool)? && source.slice(tail) && source.slice(&padding);
            // If it is not complete, the writing thread has the error.
            Ok::<_, WriteError>(is_complete.then(|| source.digest.finalize().into()))
        });
        let written = copy(&chunks, &empty, progress, out);
        // Lets the other thread end after an error.
        drop((chunks, empty));
        let digest = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let length = written?;
        Ok((length, digest.expect("all was written, so all was hashed")))
    })
}

/// Writes the chunks and returns them for reuse.
fn copy(
    chunks: &Receiver<Vec<u8>>,
    empty: &SyncSender<Vec<u8>>,
    progress: &Progress,
    mut out: impl Write,
) -> Result<u64, WriteError> {
    let mut offset = 0;
    for chunk in chunks {
        out.write_all(&chunk).map_err(|source| WriteError::Output { offset, source })?;
        offset += chunk.len() as u64;
        progress.add(chunk.len() as u64);
        // At the end the other thread may be gone.
        drop(empty.try_send(chunk));
    }
    out.flush().map_err(|source| WriteError::Output { offset, source })?;
    Ok(offset)
}

/// Reads and hashes the parts of the image.
struct Hashing {
    digest: Sha256,
    full: SyncSender<Vec<u8>>,
    used: Receiver<Vec<u8>>,
}

impl Hashing {
    /// Returns whether the other thread accepted it.
    fn slice(&mut self, bytes: &[u8]) -> bool {
        bytes.chunks(CHUNK).all(|part| {
            let mut chunk = self.used.try_recv().unwrap_or_default();
            chunk.clear();
            chunk.extend_from_slice(part);
            self.send(chunk)
        })
    }

    /// Returns whether the other thread accepted it.
    fn spool(&mut self, spool: &Spool) -> Result<bool, WriteError> {
        let mut offset = 0;
        while offset < spool.length() {
            let length = usize::try_from(spool.length() - offset).unwrap_or(usize::MAX).min(CHUNK);
            let mut chunk = self.used.try_recv().unwrap_or_default();
            chunk.resize(length, 0);
            spool.read(offset, &mut chunk)?;
            if !self.send(chunk) {
                return Ok(false);
            }
            offset += length as u64;
        }
        Ok(true)
    }

    fn send(&mut self, chunk: Vec<u8>) -> bool {
        self.digest.update(&chunk);
        self.full.send(chunk).is_ok()
    }
}
