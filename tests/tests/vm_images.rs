//! Debian's own kernels read our images for them, and older kernels do not: each image is mounted in a machine
//! with that kernel and compared with the directory from which it was built.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use nix::mount::umount;
use sysext_image::{Floor, Format, Kernel, Tree, erofs, squashfs};
use tests::machine::Machine;
use tests::needs::{Suite, running_kernel};
use tests::peer::run;
use tests::sample;
use tests::specimen::{self, mount_by_loop_device};

/// The oldest kernels for which images are baked here. Equal images are tried once, as the first of them.
const FLOORS: [&str; 4] = ["5.15", "6.1", "6.6", "6.12"];

/// The message of kernels that are too old for an image.
const REFUSAL: &str = "please upgrade kernel";

/// Small files in the directory, and random reads of each large file. Emulation makes both slow; trials on the
/// host's kernel do more.
const SMALL_FILES: usize = 600;
const READS: usize = 20;

/// An image that every kernel from its minimum on reads, and no older one.
#[derive(Clone, Copy, Debug)]
struct Row {
    format: Format,
    codec: &'static str,
    floor: Kernel,
}

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for machine in Machine::ALL {
        let name = format!("vm_images_are_readable_by_the_kernel_of_{machine}");
        suite.booted(&name, machine, &[], bake, move |directory| read(machine, directory));
    }
    suite.run()
}

/// All images that we write: every codec for each minimum kernel.
fn rows() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for floor in FLOORS {
        let floor: Floor = floor.parse()?;
        for format in Format::ALL {
            let codecs = floor.codecs(format).into_iter();
            rows.extend(codecs.map(|codec| Row { format, codec, floor: floor.kernel() }));
        }
    }
    Ok(rows)
}

fn bake(directory: &Path) -> Result<()> {
    let source = directory.join("source");
    specimen::fill_with(&source, SMALL_FILES)?;
    let tree = Tree::from_directory(&source, &specimen::rules())?;
    let timestamp = u64::try_from(specimen::TIMESTAMP)?;
    let mut known = BTreeSet::new();
    for row in rows()? {
        // All of these kernels read the same squashfs images.
        if row.format == Format::Squashfs && row.floor != Kernel::DEFAULT {
            continue;
        }
        let path = directory.join(row.name());
        let mut out = BufWriter::new(File::create(&path)?);
        let digest = match row.format {
            Format::Erofs => {
                let options = sample::options(&format!("{}@{}", row.codec, row.floor), timestamp)?;
                erofs::write(&tree, &options, &mut out)?.sha256
            }
            Format::Squashfs => {
                let options = squashfs::Options::new(row.codec.parse()?, timestamp);
                squashfs::write(&tree, &options, &mut out)?.sha256
            }
        };
        out.flush()?;
        if !known.insert(digest) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn read(machine: Machine, directory: &Path) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(release.starts_with(machine.kernel()), "this is not the kernel of {machine}: {release}");
    let (major, minor) = running_kernel().context("this kernel has no version")?;
    let kernel = Kernel::from((u16::try_from(major)?, u16::try_from(minor)?));
    // mount(8) needs its device, which the module creates.
    run("modprobe", &["loop"])?;
    let mounted = directory.join("mounted");
    fs::create_dir(&mounted)?;
    let mut codecs = BTreeSet::new();
    for row in rows()? {
        let image = directory.join(row.name());
        if !image.exists() {
            continue;
        }
        let start = Instant::now();
        if kernel < row.floor {
            row.is_refused(&image, &mounted)?;
            println!("{}: refused", row.name());
            continue;
        }
        mount_by_loop_device(row.format.name(), &image, &mounted).with_context(|| row.name())?;
        specimen::compare_with_reads(&directory.join("source"), &mounted, READS)
            .with_context(|| row.name())?;
        umount(&mounted)?;
        println!("{}: the same, after {:.1} s", row.name(), start.elapsed().as_secs_f32());
        codecs.insert((row.format.name(), row.codec));
    }
    if let Some(profile) = machine.profile() {
        let profile: Floor = profile.parse()?;
        let named =
            |format: Format| profile.codecs(format).into_iter().map(move |codec| (format.name(), codec));
        let promised: BTreeSet<_> = Format::ALL.into_iter().flat_map(named).collect();
        ensure!(codecs == promised, "{profile} promises {promised:?}, and {codecs:?} were read");
    }
    Ok(())
}

impl Row {
    fn name(&self) -> String {
        format!("{}-{}@{}", self.format, self.codec, self.floor)
    }

    fn is_refused(&self, image: &Path, mounted: &Path) -> Result<()> {
        let said = || run("dmesg", &[]).map(|log| log.matches(REFUSAL).count());
        let before = said()?;
        let outcome = mount_by_loop_device(self.format.name(), image, mounted);
        ensure!(outcome.is_err(), "{}: mounted by a kernel below its floor", self.name());
        ensure!(said()? > before, "{}: refused for another reason: {}", self.name(), run("dmesg", &[])?);
        Ok(())
    }
}
