//! Measures uncached reads from a mounted image: 500 reads of 4 KiB at random offsets of a large program, and
//! the whole program sequentially.
//!
//! Each round reads both images, ours first in every second round. Other load slows down both, so the median
//! of the ratios of all rounds is used.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::Advice;

/// How often each image is read.
const ROUNDS: usize = 15;

/// The number of random reads per measurement.
const READS: usize = 500;

/// Size of a random read in bytes.
const LENGTH: usize = 4096;

/// The program to read, the largest of corpus M.
const PROGRAM: &str = "usr/bin/kubectl";

/// The mount point of images, in a mount namespace of this process.
pub(crate) struct Mounts(PathBuf);

/// The medians of one image, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// All random reads.
    pub(crate) random: f64,
    /// The whole program.
    pub(crate) sequential: f64,
    /// Size of the program in bytes.
    pub(crate) size: u64,
}

/// The result of reading both images.
pub(crate) struct Reads {
    /// The medians: ours first, the peer's second.
    pub(crate) times: [Times; 2],
    /// The ratio of ours to the peer's, for random reads.
    pub(crate) random: f64,
    /// The same ratio for the whole program.
    pub(crate) sequential: f64,
}

impl Mounts {
    /// A mount point below `directory`; `None` without root privileges.
    pub(crate) fn new(directory: &Path) -> Result<Option<Self>> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        unshare(CloneFlags::CLONE_NEWNS).context("cannot create a mount namespace")?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        let point = directory.join("mounted");
        fs::create_dir(&point)?;
        Ok(Some(Self(point)))
    }

    /// Reads both images alternately.
    pub(crate) fn compare(&self, filesystems: [&str; 2], images: &[PathBuf; 2]) -> Result<Reads> {
        let mut rounds = Vec::new();
        for round in 0..ROUNDS {
            let read = |side: usize| -> Result<Times> {
                self.mount(filesystems[side], &images[side])?;
                let times = read(&self.0.join(PROGRAM), round as u64 + 1);
                umount2(&self.0, MntFlags::empty())?;
                times
            };
            rounds.push(if round % 2 == 0 {
                let ours = read(0)?;
                [ours, read(1)?]
            } else {
                let peer = read(1)?;
                [read(0)?, peer]
            });
        }
        let median = |figure: &dyn Fn(&[Times; 2]) -> f64| median(rounds.iter().map(figure));
        let times = |side: usize| Times {
            random: median(&|times| times[side].random),
            sequential: median(&|times| times[side].sequential),
            size: rounds.first().map_or(0, |times| times[side].size),
        };
        Ok(Reads {
            times: [times(0), times(1)],
            random: median(&|[ours, peer]| ours.random / peer.random),
            sequential: median(&|[ours, peer]| ours.sequential / peer.sequential),
        })
    }

    fn mount(&self, filesystem: &str, image: &Path) -> Result<()> {
        let mut command = Command::new("mount");
        let status = command.args(["-t", filesystem, "-o", "loop,ro"]).arg(image).arg(&self.0).status()?;
        ensure!(status.success(), "mount: {status}");
        Ok(())
    }
}

fn read(program: &Path, seed: u64) -> Result<Times> {
    drop_caches()?;
    let mut file = File::open(program)?;
    let size = file.metadata()?.len();
    rustix::fs::fadvise(&file, 0, None, Advice::Random)?;
    let mut buffer = vec![0; 1 << 20];
    let begin = Instant::now();
    for place in places(seed, size / LENGTH as u64) {
        file.read_exact_at(&mut buffer[..LENGTH], place * LENGTH as u64)?;
    }
    let random = begin.elapsed().as_secs_f64();
    drop_caches()?;
    rustix::fs::fadvise(&file, 0, None, Advice::Sequential)?;
    let begin = Instant::now();
    while file.read(&mut buffer)? > 0 {}
    Ok(Times { random, sequential: begin.elapsed().as_secs_f64(), size })
}

/// Numbers below `end`, the same for the same seed (xorshift64).
fn places(seed: u64, end: u64) -> impl Iterator<Item = u64> {
    let next = move |state: &u64| {
        let state = state ^ state << 13;
        let state = state ^ state >> 7;
        Some(state ^ state << 17)
    };
    std::iter::successors(next(&seed), next).map(move |state| (state >> 8) % end).take(READS)
}

/// Empties the page cache.
fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").context("cannot empty the page cache")
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
