//! An erofs image that cannot be written ends with an error that contains the place and a hint.

use std::error::Error as _;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use sysext_image::erofs::{self, WriteError};
use sysext_image::tree::{Metadata, Rules, Tree};
use tests::needs::Suite;
use tests::sample::{self, Random};

/// The size of a small disk in these tests.
const DISK: &str = "size=256k";

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.isolated("fault_erofs_reports_full_scratch_directory", &[], scratch_is_full);
    suite.isolated("fault_erofs_reports_full_output", &[], output_is_full);
    suite.trial("fault_erofs_reports_file_that_changes_during_read", &[], file_changes);
    suite.trial("fault_erofs_rejects_name_that_is_too_long", &[], name_is_too_long);
    suite.trial("fault_erofs_rejects_codec_for_older_kernel", &[], kernel_is_too_old);
    suite.run()
}

/// Large and small files, so that every path through the writer is used.
fn tree() -> Result<Tree> {
    let mut random = Random::new(5);
    let mut tree = Tree::new();
    tree.insert_bytes("usr/bin/program", random.text(2_000_000), Metadata::new(0o755))?;
    for number in 0..100 {
        let content = random.text(10_000);
        tree.insert_bytes(format!("usr/share/text-{number}"), content, Metadata::new(0o644))?;
    }
    Ok(tree)
}

fn small_disk() -> Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    mount(Some("tmpfs"), directory.path(), Some("tmpfs"), MsFlags::empty(), Some(DISK))?;
    Ok(directory)
}

fn scratch_is_full() -> Result<()> {
    let disk = small_disk()?;
    for setting in ["lz4hc:3", "lz4@6.1", "zstd:1"] {
        let mut options = sample::options(setting, 0)?;
        options.scratch = Some(disk.path().to_owned());
        let error = refused(erofs::write(&tree()?, &options, io::sink()))?;
        let said = format!("cannot write a temporary file in {}", disk.path().display());
        ensure!(error.to_string() == said, "{setting}: {error}");
        ensure!(is_full(&error), "{setting}: {error:?}");
        ensure!(error.hint().context("a hint")?.contains("TMPDIR"));
    }
    Ok(())
}

fn output_is_full() -> Result<()> {
    let disk = small_disk()?;
    for setting in ["none", "lz4hc:3", "zstd:1"] {
        let path = disk.path().join("image.raw");
        let error = refused(erofs::write(
            &tree()?,
            &sample::options(setting, 0)?,
            BufWriter::new(File::create(&path)?),
        ))?;
        ensure!(error.to_string().starts_with("cannot write the image at offset "), "{setting}: {error}");
        ensure!(is_full(&error), "{setting}: {error:?}");
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Between the walk over the directory and the last read, a file grows, shrinks or disappears.
fn file_changes() -> Result<()> {
    let changes: [fn(&Path) -> io::Result<()>; 3] = [
        |path| fs::write(path, vec![7; 400_001]),
        |path| fs::write(path, vec![7; 10]),
        |path| fs::remove_file(path),
    ];
    for setting in ["none", "lz4@5.15", "lz4@6.1", "zstd:3"] {
        for (size, change) in
            [400_000, 3000].into_iter().flat_map(|size| changes.map(|change| (size, change)))
        {
            let directory = tempfile::tempdir()?;
            let path = directory.path().join("usr/lib/library.so");
            fs::create_dir_all(path.parent().context("it is in a directory")?)?;
            fs::write(&path, vec![7; size])?;
            // Enough other small files, so that small files are packed.
            for number in 0..20 {
                fs::write(path.with_extension(number.to_string()), vec![number; 5000])?;
            }
            let tree = Tree::from_directory(directory.path(), &Rules::default())?;
            change(&path)?;
            let error = refused(erofs::write(&tree, &sample::options(setting, 0)?, io::sink()))?;
            let said = "cannot add /usr/lib/library.so to the image";
            ensure!(error.to_string() == said, "{setting}, {size} bytes: {error}");
            let source = error.source().context("a cause")?.to_string();
            ensure!(source.contains(&path.display().to_string()), "{setting}, {size} bytes: {source}");
        }
    }
    Ok(())
}

fn name_is_too_long() -> Result<()> {
    let name = "n".repeat(256);
    let inserted = Tree::new().insert_bytes(format!("usr/{name}"), "", Metadata::new(0o644));
    let Err(error) = inserted else { bail!("a name of 256 bytes was taken") };
    ensure!(error.to_string().contains(&name), "{error}");
    Ok(())
}

fn kernel_is_too_old() -> Result<()> {
    let error = refused(erofs::write(&tree()?, &sample::options("zstd@6.9", 0)?, io::sink()))?;
    ensure!(error.to_string() == "kernel 6.9 cannot read zstd", "{error}");
    ensure!(error.hint().context("a hint")? == "pass --kernel 6.10 or use lz4hc");
    Ok(())
}

fn refused(written: Result<erofs::Written, WriteError>) -> Result<WriteError> {
    match written {
        Ok(written) => bail!("an image of {} bytes was made", written.size),
        Err(error) => Ok(error),
    }
}

fn is_full(error: &WriteError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::StorageFull)
}
