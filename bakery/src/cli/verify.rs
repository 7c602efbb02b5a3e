//! `bakery verify`

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sysext_image::dump::escape;
use sysext_image::entry::{Entry, EntryKind};
use sysext_image::filesystem::Checksum;
use sysext_image::filesystem::{FilesystemError, Limits};
use sysext_image::overlay;
use sysext_image::pkcs7::Certificate;

use super::Result;
use super::output::{count, print_fields, print_json, size};
use super::progress::Progress;
use crate::failure::{At as _, Failure, Hint, in_full};
use crate::inspect::extension_release;
use crate::inspect::opened::Opened;
use crate::store::FileError;

/// The state of a signature that no certificate was given for.
const UNCHECKED: &str = "unchecked";

/// The number of problems that are printed.
const SHOWN_MAX: usize = 20;

/// The unit of a loop device, in bytes: it ignores an incomplete sector at the end.
const SECTOR: u64 = 512;

/// Verify that an image is intact and is a valid extension.
///
/// Reads every name and every file, and checks the superblock, the structure, dm-verity and the extension-release
/// file, and that nothing in the image hides files of the host. Exits with 0 if the image is valid, 1 otherwise. An image whose files claim more than 64 times its size, and
/// more than 1 GiB, is refused unless --max-content allows it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image: erofs or squashfs, bare or in a disk image
    image: PathBuf,
    /// Required name of the extension [default: any name that the file name starts with]
    #[arg(long)]
    name: Option<String>,
    /// Require a signature by this certificate's key, in PEM or DER form (repeatable: by any of them)
    #[arg(long, value_name = "FILE")]
    verity_cert: Vec<PathBuf>,
    /// Limit for the total size of all files [default: 64 times the size of the image, at least 1 GiB]
    #[arg(long, value_name = "BYTES", value_parser = super::read_bytes)]
    max_content: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Verified {
    image: PathBuf,
    valid: bool,
    files: u64,
    content: u64,
    checksum: &'static str,
    verity: &'static str,
    /// `valid`, `wrong`, `none` or `unchecked`.
    signature: &'static str,
    extension: Option<String>,
    problems: Vec<String>,
}

/// An image with problems.
#[derive(Debug, thiserror::Error)]
#[error("{image} is invalid:{problems}", image = .image.display())]
pub(super) struct Invalid {
    image: PathBuf,
    problems: String,
    /// The extension's name, if the file has another one.
    misnamed: Option<String>,
}

impl Hint for Invalid {
    fn hint(&self) -> Option<String> {
        let name = self.misnamed.as_ref()?;
        Some(format!("rename it to {name}.raw or {name}-VERSION.raw, or pass --name {name}"))
    }
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let certificates = self.certificates()?;
        let opened = Opened::open(&self.image)?;
        let shown = self.image.display();
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
                "the image does not end with a whole sector of {SECTOR} bytes, so the kernel cannot read its end"
            ));
        }
        let (verity, signature) = authenticity(&opened, &certificates, &mut problems);
        let entries = opened.filesystem.entries().at(&shown)?;
        let limits = self.max_content.map_or(Limits::of_image(opened.length), |content| Limits { content });
        let total = limits.check(&entries).at(&shown)?;
        let (files, content) = read_all(&opened, &entries, total, &mut problems).at(&shown)?;
        problems.extend(overlay::defects(&entries).iter().map(ToString::to_string));
        let extension = extension(&opened, &entries, self.name.as_deref(), &mut problems);
        let verified = Verified {
            valid: problems.is_empty(),
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
            print_json(&verified)?;
        }
        if !verified.valid {
            let problems: String =
                verified.problems.iter().take(SHOWN_MAX).map(|problem| format!("\n  {problem}")).collect();
            let more = match verified.problems.len().saturating_sub(SHOWN_MAX) {
                0 => String::new(),
                more => format!("\n  … and {more} more"),
            };
            let misnamed = verified.extension.filter(|name| !fits(&verified.image, name));
            return Err(Invalid {
                image: verified.image,
                problems: problems + &more,
                misnamed: misnamed.filter(|_| self.name.is_none()),
            }
            .into());
        }
        if self.json { Ok(()) } else { verified.print() }
    }

    fn certificates(&self) -> Result<Vec<Certificate>> {
        let read = |path: &PathBuf| {
            let bytes = fs::read(path).map_err(|source| FileError::Read { path: path.clone(), source })?;
            Certificate::parse(&bytes).map_err(|error| Failure::of(&error).at(path.display()))
        };
        self.verity_cert.iter().map(read).collect()
    }
}

impl Verified {
    fn print(&self) -> Result<()> {
        let files = count(self.files, "file", "files");
        let signature = match self.signature {
            UNCHECKED => "not checked (use --verity-cert)",
            state => state,
        };
        print_fields(&[
            ("image", self.image.display().to_string()),
            ("extension", self.extension.clone().unwrap_or_default()),
            ("content", format!("{files}, {}, all readable", size(self.content))),
            ("checksum", self.checksum.to_owned()),
            ("verity", self.verity.to_owned()),
            ("signature", signature.to_owned()),
        ])
    }
}

/// The states of dm-verity and of the signature.
fn authenticity(
    opened: &Opened,
    certificates: &[Certificate],
    problems: &mut Vec<String>,
) -> (&'static str, &'static str) {
    let Some(disk) = opened.disk.as_ref().filter(|disk| disk.root_hash().is_some()) else {
        if !certificates.is_empty() {
            problems.push("not signed: there is no dm-verity partition".to_owned());
        }
        return ("none", "none");
    };
    let verity = match disk.verify() {
        // The kernel would not read the rest, which no hash covers
        Ok(covered) if covered < opened.filesystem.facts().size => {
            let size = opened.filesystem.facts().size;
            problems.push(format!("dm-verity covers {covered} of {size} bytes of the file system"));
            "incomplete"
        }
        Ok(_) => "valid",
        Err(error) => {
            problems.push(in_full(&error));
            "wrong"
        }
    };
    let signature = match (disk.signature(), certificates) {
        (None, []) => "none",
        (None, _) => {
            problems.push("not signed: there is no signature partition".to_owned());
            "none"
        }
        (Some(_), []) => UNCHECKED,
        (Some(_), certificates) => match disk.verify_signature(certificates) {
            Ok(_) => "valid",
            Err(error) => {
                problems.push(in_full(&error));
                "wrong"
            }
        },
    };
    (verity, signature)
}

/// Reads every file; returns the number of files and of readable bytes.
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
            // A limit of this program, not a fault of the image
            Err(error @ FilesystemError::Compression { .. }) => return Err(error),
            Err(error) => problems.push(in_full(&error)),
        }
    }
    Ok((files, content))
}

/// The extension's name, from its only extension-release file.
fn extension(
    opened: &Opened,
    entries: &[Entry],
    wanted: Option<&str>,
    problems: &mut Vec<String>,
) -> Option<String> {
    let releases = match extension_release::all(&opened.filesystem, entries) {
        Ok(releases) => releases,
        Err(error) => {
            problems.push(in_full(&error));
            return None;
        }
    };
    let [release] = &releases[..] else {
        problems.push(match releases.len() {
            0 => "there is no extension-release file, so systemd-sysext refuses it".to_owned(),
            count => format!("there are {count} extension-release files instead of one"),
        });
        return None;
    };
    let name = escape(release.name.as_bytes());
    if let Some(defect) = &release.defect {
        problems.push(format!("extension-release.{name} is invalid: {defect}"));
    }
    let file = stem(&opened.path);
    match wanted {
        Some(wanted) if wanted != release.name => {
            problems.push(format!("the extension is named {name}, not {wanted}"));
        }
        Some(_) => {}
        None if release.strict && file != release.name => problems.push(format!(
            "extension-release.{name} requires the file name {name}.raw: \
             user.extension-release.strict is not 0"
        )),
        None if !is_named(&file, &release.name) => {
            problems.push(format!("the extension is named {name}, but the file is named {file}"));
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

/// Whether a file name is valid for an image of this extension.
pub(super) fn fits(path: &Path, name: &str) -> bool {
    is_named(&stem(path), name)
}

/// `NAME`, or `NAME-VERSION-ARCH`, also with the underscores that UAPI allows.
fn is_named(file: &str, name: &str) -> bool {
    file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}
