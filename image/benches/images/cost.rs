//! Measures the cost of writing an image. Each image is written by its own process, started by a process that
//! only waits for it and reports its usage: the system accounts usage per waiting parent.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use sysext_image::tree::Rules;
use sysext_image::{Tree, erofs, squashfs};

use super::rows::Side;

/// First argument of the process that waits.
pub(crate) const MEASURE: &str = "--measure";

/// First argument of the process that writes one of our images.
pub(crate) const BAKE: &str = "--bake";

/// The time of everything in an image.
const TIMESTAMP: u64 = 1_700_000_000;

/// The cost of writing one image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// CPU time in seconds, user and system.
    pub(crate) cpu: f64,
    /// Elapsed time in seconds.
    pub(crate) wall: f64,
    /// Largest resident memory in KiB.
    pub(crate) memory: u64,
}

/// Writes `image` from `tree`.
pub(crate) fn of(side: &Side, tree: &Path, image: &Path) -> Result<Cost> {
    let this = std::env::current_exe()?;
    let command = match (side.peer(tree, image), side) {
        (Some(command), _) => command,
        (None, Side::Ours { format, codec, kernel: (major, minor) }) => {
            let mut command = Command::new(&this);
            command
                .args([BAKE, &format.to_string(), codec, &format!("{major}.{minor}")])
                .arg(tree)
                .arg(image);
            command
        }
        (None, _) => bail!("no program for this image"),
    };
    let output = Command::new(this)
        .arg(MEASURE)
        .arg(command.get_program())
        .args(command.get_args())
        .env("SOURCE_DATE_EPOCH", TIMESTAMP.to_string())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().last().unwrap_or_default();
    let fields: Vec<&str> = line.split(' ').collect();
    let [cpu, wall, memory] = fields.as_slice() else { bail!("cannot read the cost {line:?}") };
    Ok(Cost { cpu: cpu.parse()?, wall: wall.parse()?, memory: memory.parse()? })
}

/// Runs a command and prints its usage: CPU seconds, elapsed seconds, KiB.
pub(crate) fn measure(command: &[OsString]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command to measure")?;
    let begin = Instant::now();
    let output = Command::new(program).args(arguments).output()?;
    let wall = begin.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = usage.user_time() + usage.system_time();
    println!("{:.3} {wall:.3} {}", cpu.num_microseconds() as f64 / 1e6, usage.max_rss());
    Ok(())
}

/// Writes one of our images; arguments are format, codec, kernel, tree and image.
pub(crate) fn bake(arguments: &[OsString]) -> Result<()> {
    let [format, codec, kernel, tree, image] = arguments else { bail!("five arguments are needed") };
    let text = |argument: &OsString| argument.to_str().map(String::from).context("an argument is not text");
    let tree = Tree::from_directory(tree, &Rules::default())?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(image)?);
    match format.to_str() {
        Some("erofs") => {
            let kernel = text(kernel)?.parse()?;
            let options = erofs::Options { kernel, ..erofs::Options::new(text(codec)?.parse()?, TIMESTAMP) };
            erofs::write(&tree, &options, &mut out)?;
        }
        Some("squashfs") => {
            let options = squashfs::Options::new(text(codec)?.parse()?, TIMESTAMP);
            squashfs::write(&tree, &options, &mut out)?;
        }
        _ => bail!("unknown format {:?}", OsStr::to_string_lossy(format)),
    }
    out.flush()?;
    Ok(())
}

/// The medians of CPU and elapsed time, and the maximum memory.
pub(crate) fn median(costs: &[Cost]) -> Cost {
    let of = |figure: fn(&Cost) -> f64| {
        let mut figures: Vec<f64> = costs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or_default();
    Cost { cpu: of(|cost| cost.cpu), wall: of(|cost| cost.wall), memory }
}
