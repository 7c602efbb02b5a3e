//! `bakery extract`

use std::path::PathBuf;

use serde::Serialize;
use sysext_image::dump::escape;
use sysext_image::extract::{Extracted, NotRestored, Options, Owners, extract};
use sysext_image::filesystem::Limits;

use super::Result;
use super::output::{count, print_fields, print_json, say, size, warn};
use super::progress::Progress;
use crate::failure::At as _;
use crate::inspect::opened::Opened;

/// Extract an image without mounting it.
///
/// Nothing is written outside the directory, whatever the image contains. Only root can set owners and create device
/// nodes; otherwise the invoking user owns all files, without setuid and setgid bits. After a failure, the files
/// extracted so far are left in the directory. An image whose files claim more than 64 times its size, and more than
/// 1 GiB, is refused unless --max-content allows it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image: erofs or squashfs, bare or in a disk image
    image: PathBuf,
    /// Destination directory; must be empty or not exist
    directory: PathBuf,
    /// Extract only this path and its contents, such as usr/bin (the path is preserved)
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// Limit for the total size of all files [default: 64 times the size of the image, at least 1 GiB]
    #[arg(long, value_name = "BYTES", value_parser = super::read_bytes)]
    max_content: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Output {
    directory: PathBuf,
    files: u64,
    hard_links: u64,
    directories: u64,
    symlinks: u64,
    specials: u64,
    content: u64,
    skipped: Skipped,
}

#[derive(Debug, Serialize)]
struct Skipped {
    owners: u64,
    set_ids: u64,
    xattrs: Vec<Attribute>,
    devices: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Attribute {
    path: PathBuf,
    name: String,
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
            say(format_args!("files extracted so far are left in {}", self.directory.display()));
        }
        let extracted = extracted.at(self.image.display())?;
        let Extracted { directories, files, hard_links, symlinks, specials, bytes, not_restored } = extracted;
        warn_of(&not_restored);
        if self.json {
            let NotRestored { owners, set_ids, xattrs, devices } = not_restored;
            let xattrs = xattrs.into_iter().map(|(path, name)| Attribute { path, name }).collect();
            let skipped = Skipped { owners, set_ids, xattrs, devices };
            let (directory, content) = (self.directory, bytes);
            return print_json(&Output {
                directory,
                files,
                hard_links,
                directories,
                symlinks,
                specials,
                content,
                skipped,
            });
        }
        let files = count(files, "file", "files");
        let directories = count(directories, "directory", "directories");
        print_fields(&[
            ("directory", self.directory.display().to_string()),
            ("content", format!("{files}, {directories}, {}", size(bytes))),
            ("links", format!("{symlinks} symbolic, {hard_links} hard")),
            ("specials", specials.to_string()),
        ])
    }
}

/// Reports what could not be restored.
fn warn_of(not_restored: &NotRestored) {
    let NotRestored { owners, set_ids, xattrs, devices } = not_restored;
    if *owners > 0 {
        let entries = count(*owners, "entry is", "entries are");
        warn(format_args!("{entries} owned by someone else in the image (only root can restore that)"));
    }
    if *set_ids > 0 {
        let files = count(*set_ids, "file", "files");
        warn(format_args!("the setuid or setgid bit of {files} was not restored"));
    }
    for (path, name) in xattrs {
        let path = escape(path.as_os_str().as_encoded_bytes());
        warn(format_args!("attribute {} of /{path} could not be restored", escape(name.as_bytes())));
    }
    for path in devices {
        let path = escape(path.as_os_str().as_encoded_bytes());
        warn(format_args!("device node /{path} was not created (only root can do that)"));
    }
}
