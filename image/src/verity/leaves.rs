//! Hashes the blocks of an image, on several threads, in the order of the image.
//!
//! The image is split into batches. Each thread takes the next batch and returns its hashes with the number
//! of the batch. The number of waiting batches is limited, so that the number of threads bounds the memory.

use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

use super::{BLOCK_USIZE, DIGEST};

/// Size in bytes of a batch for one thread, large enough that passing it on costs nothing.
const BATCH: usize = 1 << 20;

/// Size in bytes of the hashes of a batch.
const BATCH_HASHES: usize = BATCH / BLOCK_USIZE * DIGEST;

/// The maximum number of threads: more would wait for the source of the image.
const THREADS_MAX: usize = 16;

/// Hashes blocks with a salt.
#[derive(Clone, Debug)]
pub(super) struct Salted(Sha256);

impl Salted {
    pub(super) fn new(salt: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(salt))
    }

    pub(super) fn hash(&self, block: &[u8]) -> [u8; DIGEST] {
        self.0.clone().chain_update(block).finalize().into()
    }

    /// The hashes of whole blocks, concatenated.
    pub(super) fn hash_all(&self, blocks: &[u8]) -> Vec<u8> {
        blocks.chunks_exact(BLOCK_USIZE).flat_map(|block| self.hash(block)).collect()
    }
}

/// Receives an image in pieces of any size and returns the hashes of its blocks.
#[derive(Debug)]
pub(super) struct Leaves {
    salted: Salted,
    threads: NonZero<usize>,
    /// The incomplete batch.
    pending: Vec<u8>,
    /// The number of complete batches.
    batches: usize,
    hashes: Vec<u8>,
    /// Created with the first batch: small images need no threads.
    pool: Option<Pool>,
}

impl Leaves {
    pub(super) fn new(salted: Salted, threads: Option<NonZero<usize>>) -> Self {
        let available = || thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let threads = threads.unwrap_or_else(available);
        Self { salted, threads, pending: Vec::new(), batches: 0, hashes: Vec::new(), pool: None }
    }

    /// The number of bytes received.
    pub(super) fn size(&self) -> u64 {
        self.batches as u64 * BATCH as u64 + self.pending.len() as u64
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BATCH - self.pending.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == BATCH {
                self.finish_batch();
            }
        }
    }

    /// The hashes of all whole blocks, concatenated.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if let Some(pool) = self.pool.take() {
            pool.finish().for_each(|(number, hashes)| place(&mut self.hashes, number, &hashes));
        }
        self.hashes.extend(self.salted.hash_all(&self.pending));
        self.hashes
    }

    fn finish_batch(&mut self) {
        let number = self.batches;
        self.batches += 1;
        if self.threads.get() == 1 {
            self.hashes.extend(self.salted.hash_all(&self.pending));
            self.pending.clear();
            return;
        }
        let batch = std::mem::replace(&mut self.pending, Vec::with_capacity(BATCH));
        let pool = self.pool.get_or_insert_with(|| Pool::new(&self.salted, self.threads));
        pool.hash(number, batch);
        pool.done().for_each(|(number, hashes)| place(&mut self.hashes, number, &hashes));
    }
}

/// Stores the hashes of a batch at their place; those of earlier batches may come later.
fn place(all: &mut Vec<u8>, number: usize, hashes: &[u8]) {
    let start = number * BATCH_HASHES;
    if all.len() < start + BATCH_HASHES {
        all.resize(start + BATCH_HASHES, 0);
    }
    all[start..start + BATCH_HASHES].copy_from_slice(hashes);
}

type Numbered = (usize, Vec<u8>);

/// Threads that hash batches until this is dropped.
#[derive(Debug)]
struct Pool {
    batches: SyncSender<Numbered>,
    hashes: Receiver<Numbered>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    fn new(salted: &Salted, threads: NonZero<usize>) -> Self {
        let threads = threads.get().min(THREADS_MAX);
        let (batches, waiting) = mpsc::sync_channel(threads);
        let (results, hashes) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let threads = (0..threads)
            .map(|_| {
                let (waiting, results, salted) = (Arc::clone(&waiting), results.clone(), salted.clone());
                thread::spawn(move || work(&waiting, &results, &salted))
            })
            .collect();
        Self { batches, hashes, threads }
    }

    fn hash(&self, number: usize, batch: Vec<u8>) {
        self.batches.send((number, batch)).expect("the threads live as long as the channel");
    }

    /// The batches that are finished so far.
    fn done(&self) -> impl Iterator<Item = Numbered> {
        self.hashes.try_iter()
    }

    /// Waits for all other batches.
    fn finish(self) -> impl Iterator<Item = Numbered> {
        drop(self.batches);
        for thread in self.threads {
            thread.join().expect("hashing does not panic");
        }
        self.hashes.into_iter()
    }
}

fn work(waiting: &Mutex<Receiver<Numbered>>, results: &Sender<Numbered>, salted: &Salted) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, batch)) = next else { return };
        if results.send((number, salted.hash_all(&batch))).is_err() {
            return; // the receiver is gone, so the tree is not needed
        }
    }
}
