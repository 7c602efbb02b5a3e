//! Writes an erofs image of a directory and prints what it cost, as one line to compare with
//! other writers: size, processor time, elapsed time and the most memory it held.
//!
//! `weigh DIRECTORY CODEC KERNEL [THREADS] [OUTPUT]`; without an output the image is dropped.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::time::Instant;

use sysext_image::Tree;
use sysext_image::erofs::{Options, write};
use sysext_image::tree::{Modes, Owner, Rules, Specials};

/// Clock ticks per second of the processor times in `/proc`, on every architecture of Linux.
const TICKS: f64 = 100.0;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(codec)) = (arguments.next(), arguments.next()) else {
        return Err("usage: weigh DIRECTORY CODEC [KERNEL [THREADS [OUTPUT]]]".into());
    };
    let mut options = Options::new(codec.parse()?, 1_700_000_000);
    if let Some(kernel) = arguments.next() {
        options.kernel = kernel.parse()?;
    }
    options.threads = arguments.next().map(|count| count.parse()).transpose()?.and_then(NonZero::new);
    let out: Box<dyn Write> = match arguments.next() {
        Some(path) => Box::new(BufWriter::with_capacity(1 << 20, File::create(path)?)),
        None => Box::new(io::sink()),
    };
    let rules = Rules {
        owner: Owner::Root,
        modes: Modes::Keep,
        xattrs: Default::default(),
        specials: Specials::Keep,
    };
    let start = Instant::now();
    let tree = Tree::from_directory(&directory, &rules)?;
    let written = write(&tree, &options, out)?;
    let elapsed = start.elapsed().as_secs_f64();
    println!(
        "{directory} {} bytes {:.2} MB cpu {:.2} s wall {elapsed:.2} s rss {:.0} MiB {}",
        written.size,
        written.size as f64 / 1e6,
        processor_seconds()?,
        peak_mebibytes()?,
        written.writer,
    );
    Ok(())
}

fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}

fn peak_mebibytes() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak in /proc")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
