//! `bakery verify`

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use sysext_image::dump::escape;
use sysext_image::entry::{Entry, EntryKind};
use sysext_image::filesystem::Checksum;
use sysext_image::filesystem::{FilesystemError, Limits};
use sysext_image::pkcs7::Certificate;

use super::progress::Progress;
use crate::inspect::extension_release;
use crate::inspect::opened::Opened;

/// There is a signature, and no certificate to check it with.
const UNCHECKED: &str = "unchecked";

/// How many problems are told.
const MOST: usize = 20;

/// What a loop device counts in, in bytes: it does not see what is behind the last whole one.
const SECTOR: u64 = 512;

/// Check that an image is whole and sound, and that it is an extension.
///
/// Every name and every file is read; the superblock, the structure, dm-verity and the extension-release file
/// are checked. Ends with 0 if all is well and with 1 if not. An image whose files claim to have more than 64
/// times its size, and more than 1 GiB, is refused unless --max-content allows it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image: erofs or squashfs, bare or in a disk image
    image: PathBuf,
    /// The name that the extension must have; unless given, the one that the file's name begins with
    #[arg(long)]
    name: Option<String>,
    /// Insist on a signature by the key of this certificate, in PEM or DER form; given several times, by any
    /// of them
    #[arg(long, value_name = "FILE")]
    verity_cert: Vec<PathBuf>,
    /// How many bytes the files may have together; unless given, 64 times the size of the
    /// image, or 1 GiB if that is more
    #[arg(long, value_name = "BYTES", value_parser = super::read_bytes)]
    max_content: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Verified {
    image: PathBuf,
    sound: bool,
    files: u64,
    content: u64,
    checksum: &'static str,
    verity: &'static str,
    /// `valid`, `wrong`, `none`, or that nobody asked.
    signature: &'static str,
    extension: Option<String>,
    problems: Vec<String>,
}

/// An image in which something is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{image} is not sound:{told}", image = .image.display())]
pub(super) struct Unsound {
    image: PathBuf,
    told: String,
    /// The extension's name, where the file is called otherwise.
    misnamed: Option<String>,
}

impl Unsound {
    /// What the reader can do about it.
    pub(super) fn hint(&self) -> Option<String> {
        let name = self.misnamed.as_ref()?;
        Some(format!("call it {name}.raw or {name}-VERSION.raw, or give --name {name}"))
    }
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let certificates = self.certificates()?;
        let opened = Opened::open(&self.image)?;
        let shown = || self.image.display().to_string();
        let mut problems = Vec::new();
        let checksum = match opened.filesystem.facts().checksum {
            Checksum::Absent => "none",
            Checksum::Valid => "valid",
            Checksum::Wrong => {
                problems.push("the checksum of the superblock, at offset 1024, is wrong".to_owned());
                "wrong"
            }
        };
        let size = opened.filesystem.facts().size;
        if opened.disk.is_none() && size > opened.length / SECTOR * SECTOR {
            problems.push(format!(
                "the kernel reads whole sectors of {SECTOR} bytes, and the last bytes of the image are in none"
            ));
        }
        let (verity, signature) = vouched(&opened, &certificates, &mut problems);
        let entries = opened.filesystem.entries().with_context(shown)?;
        let limits = self.max_content.map_or(Limits::of_image(opened.length), |content| Limits { content });
        let total = limits.check(&entries).with_context(shown)?;
        let (files, content) = read_all(&opened, &entries, total, &mut problems).with_context(shown)?;
        let extension = extension(&opened, &entries, self.name.as_deref(), &mut problems);
        let verified = Verified {
            sound: problems.is_empty(),
            files,
            content,
            checksum,
            verity,
            signature,
            extension,
            problems,
            image: self.image,
        };
        if self.json {
            super::print_json(&verified)?;
        }
        if !verified.sound {
            let told: String =
                verified.problems.iter().take(MOST).map(|problem| format!("\n  {problem}")).collect();
            let more = match verified.problems.len().saturating_sub(MOST) {
                0 => String::new(),
                more => format!("\n  and {more} more"),
            };
            let misnamed = verified.extension.filter(|name| !fits(&verified.image, name));
            return Err(Unsound {
                image: verified.image,
                told: told + &more,
                misnamed: misnamed.filter(|_| self.name.is_none()),
            }
            .into());
        }
        if self.json { Ok(()) } else { verified.print() }
    }

    fn certificates(&self) -> Result<Vec<Certificate>> {
        let read = |path: &PathBuf| {
            let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            Certificate::parse(&bytes).with_context(|| path.display().to_string())
        };
        self.verity_cert.iter().map(read).collect()
    }
}

impl Verified {
    fn print(&self) -> Result<()> {
        let files = super::count(self.files, "file", "files");
        let signature = match self.signature {
            UNCHECKED => "not checked: give --verity-cert FILE",
            state => state,
        };
        super::print_fields(&[
            ("image", self.image.display().to_string()),
            ("extension", self.extension.clone().unwrap_or_default()),
            ("content", format!("{files}, {}, all readable", super::show_bytes(self.content))),
            ("checksum", self.checksum.to_owned()),
            ("verity", self.verity.to_owned()),
            ("signature", signature.to_owned()),
        ])
    }
}

/// What dm-verity and the signature say, if there is a disk around the file system.
fn vouched(
    opened: &Opened,
    certificates: &[Certificate],
    problems: &mut Vec<String>,
) -> (&'static str, &'static str) {
    let Some(disk) = opened.disk.as_ref().filter(|disk| disk.root_hash().is_some()) else {
        if !certificates.is_empty() {
            problems.push("it is not signed: it has no dm-verity partition".to_owned());
        }
        return ("none", "none");
    };
    let verity = match disk.verify() {
        // The kernel would not read the rest, and nobody vouches for it
        Ok(covered) if covered < opened.filesystem.facts().size => {
            let size = opened.filesystem.facts().size;
            problems.push(format!("dm-verity covers {covered} bytes of the file system, which has {size}"));
            "incomplete"
        }
        Ok(_) => "valid",
        Err(error) => {
            problems.push(format!("{:#}", anyhow::Error::new(error)));
            "wrong"
        }
    };
    let signature = match (disk.signature(), certificates) {
        (None, []) => "none",
        (None, _) => {
            problems.push("it is not signed: it has no signature partition".to_owned());
            "none"
        }
        (Some(_), []) => UNCHECKED,
        (Some(_), certificates) => match disk.verify_signature(certificates) {
            Ok(_) => "valid",
            Err(error) => {
                problems.push(format!("{:#}", anyhow::Error::new(error)));
                "wrong"
            }
        },
    };
    (verity, signature)
}

/// Reads every file; how many there are, and how many bytes could be read.
fn read_all(
    opened: &Opened,
    entries: &[Entry],
    total: u64,
    problems: &mut Vec<String>,
) -> Result<(u64, u64), FilesystemError> {
    let mut progress = Progress::new("verifying");
    let mut seen = std::collections::HashSet::new();
    let (mut files, mut content) = (0, 0);
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        if !seen.insert(entry.inode) {
            continue;
        }
        files += 1;
        let read = opened.filesystem.content(entry, |bytes| {
            content += bytes.len() as u64;
            progress.show(content, total);
            Ok::<_, FilesystemError>(())
        });
        match read {
            Ok(()) => {}
            // That says nothing of the image
            Err(error @ FilesystemError::Compression { .. }) => return Err(error),
            Err(error) => problems.push(format!("{:#}", anyhow::Error::new(error))),
        }
    }
    Ok((files, content))
}

/// The extension's name, by its one extension-release file.
fn extension(
    opened: &Opened,
    entries: &[Entry],
    wanted: Option<&str>,
    problems: &mut Vec<String>,
) -> Option<String> {
    let releases = match extension_release::all(&opened.filesystem, entries) {
        Ok(releases) => releases,
        Err(error) => {
            problems.push(format!("{:#}", anyhow::Error::new(error)));
            return None;
        }
    };
    let [release] = &releases[..] else {
        problems.push(match releases.len() {
            0 => "no extension-release file is in it, so systemd-sysext refuses it".to_owned(),
            count => format!("{count} extension-release files are in it, and there must be one"),
        });
        return None;
    };
    let name = escape(release.name.as_bytes());
    if let Some(defect) = &release.defect {
        problems.push(format!("extension-release.{name} is not usable: {defect}"));
    }
    let file = stem(&opened.path);
    match wanted {
        Some(wanted) if wanted != release.name => {
            problems.push(format!("it is the extension {name}, not {wanted}"));
        }
        Some(_) => {}
        None if release.strict && file != release.name => problems.push(format!(
            "extension-release.{name} does not allow another file name than {name}.raw: \
             user.extension-release.strict is not 0"
        )),
        None if !is_called(&file, &release.name) => {
            problems.push(format!("it is the extension {name}, and the file is called {file}"));
        }
        None => {}
    }
    Some(name)
}

/// The file's name without `.raw`.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.strip_suffix(".raw").unwrap_or(&name).to_owned()
}

/// Whether a file is called as an image of this extension is.
pub(super) fn fits(path: &Path, name: &str) -> bool {
    is_called(&stem(path), name)
}

/// `NAME`, or `NAME-VERSION-ARCH`, also with the underscores that UAPI allows.
fn is_called(file: &str, name: &str) -> bool {
    file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}
