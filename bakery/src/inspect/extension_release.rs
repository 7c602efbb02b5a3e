//! What an image says of itself: its extension-release files, read from the image.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use serde::Serialize;
use sysext_image::Filesystem;
use sysext_image::dump::escape;
use sysext_image::entry::{Entry, EntryKind};
use sysext_image::filesystem::FilesystemError;
use sysext_manifests::extension_release::ExtensionRelease;

/// Where system extensions and configuration extensions say which hosts they go with.
const DIRECTORIES: [&str; 2] = ["usr/lib/extension-release.d", "etc/extension-release.d"];

/// With this attribute set to 0, an image may have another name than its file.
const STRICT: &[u8] = b"user.extension-release.strict";

/// The longest file that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// One extension-release file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Release {
    /// The extension, by the file's name.
    pub(crate) name: String,
    /// Whether the image's file must have exactly this name.
    pub(crate) strict: bool,
    /// What it says.
    pub(crate) fields: BTreeMap<String, String>,
    /// Why it is not usable, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) defect: Option<String>,
}

impl Release {
    /// All of it on one line.
    pub(crate) fn shown(&self) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|(key, value)| format!("{}={}", escape(key.as_bytes()), escape(value.as_bytes())))
            .collect();
        let defect = self.defect.as_ref().map(|defect| format!(" (not usable: {defect})"));
        let strict = if self.strict { " (strict)" } else { "" };
        let name = escape(self.name.as_bytes());
        format!("{name} {}{strict}{}", fields.join(" "), defect.unwrap_or_default())
    }
}

/// Every one in an image.
pub(crate) fn all<R: Read + Seek + Send>(
    image: &Filesystem<R>,
    entries: &[Entry],
) -> Result<Vec<Release>, FilesystemError> {
    let mut releases = Vec::new();
    for entry in entries {
        let is_there = DIRECTORIES.iter().any(|directory| entry.path.parent() == Some(Path::new(directory)));
        let file = entry.path.file_name().unwrap_or_default().to_string_lossy();
        let Some(name) = file.strip_prefix("extension-release.").filter(|_| is_there) else { continue };
        let strict = entry.xattrs.get(STRICT).is_none_or(|value| value != b"0");
        let mut release = Release { name: name.to_owned(), strict, fields: BTreeMap::new(), defect: None };
        match fields(image, entry)? {
            Ok(fields) => release.fields = fields,
            Err(defect) => release.defect = Some(defect),
        }
        releases.push(release);
    }
    Ok(releases)
}

fn fields<R: Read + Seek + Send>(
    image: &Filesystem<R>,
    entry: &Entry,
) -> Result<Result<BTreeMap<String, String>, String>, FilesystemError> {
    if entry.kind != EntryKind::File {
        return Ok(Err("it is not a file".to_owned()));
    }
    if entry.size > LONGEST {
        return Ok(Err(format!("it has {} bytes, more than {LONGEST}", entry.size)));
    }
    let mut bytes = Vec::new();
    image.content(entry, |piece| {
        bytes.extend_from_slice(piece);
        Ok::<_, FilesystemError>(())
    })?;
    let Ok(text) = String::from_utf8(bytes) else { return Ok(Err("it is no text".to_owned())) };
    Ok(match ExtensionRelease::parse(&text) {
        Ok((release, _)) => {
            let fields = release.fields().iter();
            Ok(fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        }
        Err(error) => Err(error.to_string()),
    })
}
