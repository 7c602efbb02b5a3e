//! Progress of writing an image, which another thread can poll.
//!
//! Readers of archives and writers of images count the bytes they have processed. Counting is cheap and never
//! blocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stage of writing an image. Stages follow in this order, and some may be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Reading a compressed archive; compressed bytes are counted.
    Reading,
    /// Looking for files with the same content.
    Comparing,
    /// Compressing content.
    Compressing,
    /// Compressing small files and the ends of files together.
    Packing,
    /// Computing the UUID of the image before it is written.
    Measuring,
    /// Writing the image.
    Writing,
}

/// The current stage and how much of it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The current stage.
    pub stage: Stage,
    /// Bytes done in this stage.
    pub done: u64,
    /// All bytes of this stage.
    pub total: u64,
}

/// A counter shared by a writer and a display: clones count together.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    /// The stage and its total number of bytes.
    stage: Mutex<Option<(Stage, u64)>>,
    done: AtomicU64,
}

impl Progress {
    /// The current position; `None` before the first stage.
    pub fn position(&self) -> Option<Position> {
        let stage = self.stage();
        // Read while the stage is locked, so that both belong together.
        let done = self.0.done.load(Ordering::Relaxed);
        stage.map(|(stage, total)| Position { stage, done, total })
    }

    /// Begins a stage of `total` bytes.
    pub(crate) fn begin(&self, stage: Stage, total: u64) {
        let mut current = self.stage();
        let done = self.0.done.load(Ordering::Relaxed);
        // A writer that failed leaves a stage unfinished. A file that is being read may have grown.
        debug_assert!(
            current.is_none_or(|(last, total)| stage <= last || last == Stage::Reading || done == total),
            "{current:?} ended with {done} bytes"
        );
        *current = Some((stage, total));
        self.0.done.store(0, Ordering::Relaxed);
    }

    /// Counts `bytes` more as done.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn stage(&self) -> MutexGuard<'_, Option<(Stage, u64)>> {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::num::NonZero;

    use super::*;
    use crate::tree::{Metadata, Tree};
    use crate::{erofs, squashfs};

    /// Records the position at each write.
    #[derive(Default)]
    struct Recorder(Progress, Vec<Position>);

    impl Write for Recorder {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.extend(self.0.position());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Large, equal and small files, and incompressible content.
    fn tree() -> Tree {
        let mut tree = Tree::new();
        let file = || Metadata::new(0o644);
        let text =
            |seed: u32| (0..40_000).flat_map(|n: u32| (n / 7 * seed).to_le_bytes()).collect::<Vec<u8>>();
        let mut noise = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.to_be_bytes()[0]
        })
        .take(300_000)
        .collect();
        tree.insert_bytes("usr/one", text(3), file()).unwrap();
        tree.insert_bytes("usr/same", text(3), file()).unwrap();
        tree.insert_bytes("usr/other", text(5), file()).unwrap();
        tree.insert_bytes("usr/noise", noise, file()).unwrap();
        for n in 0..200_u32 {
            tree.insert_bytes(format!("usr/small/{n}"), vec![1; n as usize * 10], file()).unwrap();
        }
        tree
    }

    /// `begin` asserts that every earlier stage was finished.
    #[test]
    fn the_last_stage_counts_the_size_of_the_image() {
        let tree = tree();
        let check = |out: &Recorder, size: u64| {
            let end = Position { stage: Stage::Writing, done: size, total: size };
            assert_eq!(out.0.position(), Some(end));
            assert!(out.1.iter().all(|seen| seen.stage == Stage::Writing && seen.done < size));
            assert!(out.1.is_sorted_by_key(|seen| seen.done));
        };
        let threads = NonZero::new(2);
        for (codec, kernel) in [("none", "5.15"), ("lz4", "5.15"), ("zstd:3", "6.12")] {
            let mut out = Recorder::default();
            let (kernel, progress) = (kernel.parse().unwrap(), out.0.clone());
            let options = erofs::Options::new(codec.parse().unwrap(), 0);
            let options = erofs::Options { kernel, threads, progress, ..options };
            assert_eq!(out.0.position(), None);
            let size = erofs::write(&tree, &options, &mut out).unwrap().size;
            check(&out, size);
        }
        for codec in ["none", "zstd:3"] {
            let mut out = Recorder::default();
            let options = squashfs::Options::new(codec.parse().unwrap(), 0);
            let options = squashfs::Options { threads, progress: out.0.clone(), ..options };
            let size = squashfs::write(&tree, &options, &mut out).unwrap().size;
            check(&out, size);
        }
    }
}
