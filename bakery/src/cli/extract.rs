//! `bakery extract`

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;
use sysext_image::dump::escape;
use sysext_image::extract::{Extracted, NotRestored, Options, Owners, extract};
use sysext_image::filesystem::Limits;

use super::progress::Progress;
use crate::inspect::opened::Opened;

/// Write what an image holds into a directory, without mounting it.
///
/// Nothing is written outside the directory, whatever the image says. Only root can set owners and make
/// device nodes; for others all files are their own, without setuid and setgid bits. If it fails, what was
/// written before stays in the directory. An image whose files claim to have more than 64 times its size,
/// and more than 1 GiB, is refused unless --max-content allows it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image: erofs or squashfs, bare or in a disk image
    image: PathBuf,
    /// Where to; it must be empty or not exist yet
    directory: PathBuf,
    /// Only this path of the image and what is below it, such as usr/bin; it keeps its place
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// How many bytes the files may have together; unless given, 64 times the size of the
    /// image, or 1 GiB if that is more
    #[arg(long, value_name = "BYTES", value_parser = super::read_bytes)]
    max_content: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Told {
    directory: PathBuf,
    files: u64,
    hard_links: u64,
    directories: u64,
    symlinks: u64,
    specials: u64,
    content: u64,
    left_out: Missing,
}

#[derive(Debug, Serialize)]
struct Missing {
    owners: u64,
    set_ids: u64,
    xattrs: Vec<(PathBuf, String)>,
    devices: Vec<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let opened = Opened::open(&self.image)?;
        let limits = self.max_content.map_or(Limits::of_image(opened.length), |content| Limits { content });
        let owners = match rustix::process::geteuid().is_root() {
            true => Owners::Set,
            false => Owners::Caller,
        };
        let options = Options { path: self.path, owners, limits };
        let mut progress = Progress::new("extracting");
        let extracted = extract(&opened.filesystem, &self.directory, &options, &mut |done, total| {
            progress.show(done, total);
        });
        drop(progress);
        if extracted.as_ref().is_err_and(|error| error.is_partial()) {
            super::say(format_args!("what was written before stays in {}", self.directory.display()));
        }
        let extracted = extracted.with_context(|| self.image.display().to_string())?;
        let Extracted { directories, files, hard_links, symlinks, specials, bytes, not_restored } = extracted;
        warn(&not_restored);
        if self.json {
            let NotRestored { owners, set_ids, xattrs, devices } = not_restored;
            let left_out = Missing { owners, set_ids, xattrs, devices };
            let (directory, content) = (self.directory, bytes);
            return super::print_json(&Told {
                directory,
                files,
                hard_links,
                directories,
                symlinks,
                specials,
                content,
                left_out,
            });
        }
        let files = super::count(files, "file", "files");
        let directories = super::count(directories, "directory", "directories");
        super::print_fields(&[
            ("directory", self.directory.display().to_string()),
            ("content", format!("{files}, {directories}, {}", super::show_bytes(bytes))),
            ("links", format!("{symlinks} symbolic, {hard_links} hard")),
            ("specials", specials.to_string()),
        ])
    }
}

/// What the directory has not of the image.
fn warn(not_restored: &NotRestored) {
    let NotRestored { owners, set_ids, xattrs, devices } = not_restored;
    if *owners > 0 {
        super::say(format_args!("warning: {owners} files and directories have another owner in the image"));
    }
    if *set_ids > 0 {
        super::say(format_args!("warning: {set_ids} files are without their setuid or setgid bit"));
    }
    for (path, name) in xattrs {
        let path = escape(path.as_os_str().as_encoded_bytes());
        super::say(format_args!("warning: /{path} is without its attribute {}", escape(name.as_bytes())));
    }
    for path in devices {
        let path = escape(path.as_os_str().as_encoded_bytes());
        super::say(format_args!("warning: the device node /{path} was not made, which needs root"));
    }
}
