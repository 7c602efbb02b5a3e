//! Debian's own kernels read what the floors of our images promise, and nothing else: each image is mounted
//! in a machine with that kernel and compared there with the directory that it was made from.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use nix::mount::umount;
use sysext_image::erofs::{self, Options};
use sysext_image::{Codec, Tree};
use tests::machine::Machine;
use tests::needs::{Suite, running_kernel};
use tests::peer::run;
use tests::specimen::{self, mount_by_loop_device};

/// An image that every kernel from its floor on reads, and none below.
struct Row {
    name: &'static str,
    filesystem: &'static str,
    /// The first kernel that reads it, as major and minor number.
    floor: (u32, u32),
    /// What an older one says.
    refusal: &'static str,
    bake: fn(&Tree, &Path) -> Result<()>,
}

/// All that we write.
const ROWS: [Row; 3] = [
    Row {
        name: "erofs-none",
        filesystem: "erofs",
        floor: (5, 15),
        refusal: "",
        bake: |tree, to| erofs(tree, "none", to),
    },
    Row {
        name: "erofs-lz4hc",
        filesystem: "erofs",
        floor: (5, 15),
        refusal: "",
        bake: |tree, to| erofs(tree, "lz4hc", to),
    },
    Row {
        name: "erofs-zstd",
        filesystem: "erofs",
        floor: (6, 10),
        refusal: "unidentified algorithms",
        bake: |tree, to| erofs(tree, "zstd", to),
    },
];

/// How many reads at random places of each large file are compared. Emulation makes them slow; trials on
/// this machine's kernel do more.
const READS: usize = 20;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for machine in Machine::ALL {
        let name = format!("vm_images_are_read_by_the_kernel_of_{machine}_down_to_their_floors");
        suite.booted(&name, machine, &[], bake, move |directory| read(machine, directory));
    }
    suite.run()
}

fn bake(directory: &Path) -> Result<()> {
    let source = directory.join("source");
    specimen::fill(&source)?;
    let tree = Tree::from_directory(&source, &specimen::rules())?;
    for row in ROWS {
        (row.bake)(&tree, &directory.join(row.name))?;
    }
    Ok(())
}

fn erofs(tree: &Tree, codec: &str, to: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(to)?);
    let options = Options::new(codec.parse::<Codec>()?, u64::try_from(specimen::TIMESTAMP)?);
    erofs::write(tree, &options, &mut out)?;
    out.flush()?;
    Ok(())
}

fn read(machine: Machine, directory: &Path) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(release.starts_with(machine.kernel()), "this is not the kernel of {machine}: {release}");
    let kernel = running_kernel().context("this kernel has no version")?;
    // Its device, which mount(8) looks for, only comes with the module.
    run("modprobe", &["loop"])?;
    let mounted = directory.join("mounted");
    fs::create_dir(&mounted)?;
    for row in ROWS {
        let start = Instant::now();
        let image = directory.join(row.name);
        if kernel < row.floor {
            refuses(&row, &image, &mounted)?;
            println!("{}: refused", row.name);
            continue;
        }
        mount_by_loop_device(row.filesystem, &image, &mounted).context(row.name)?;
        specimen::compare_with_reads(&directory.join("source"), &mounted, READS).context(row.name)?;
        umount(&mounted)?;
        println!("{}: the same, in {} s", row.name, start.elapsed().as_secs());
    }
    Ok(())
}

fn refuses(row: &Row, image: &Path, mounted: &Path) -> Result<()> {
    let said = || run("dmesg", &[]).map(|log| log.matches(row.refusal).count());
    let before = said()?;
    let outcome = mount_by_loop_device(row.filesystem, image, mounted);
    ensure!(outcome.is_err(), "{}: mounted by a kernel below its floor {:?}", row.name, row.floor);
    ensure!(said()? > before, "{}: refused for another reason: {}", row.name, run("dmesg", &[])?);
    Ok(())
}
