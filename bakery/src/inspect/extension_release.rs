//! The extension-release files of an image: which hosts it is for.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use serde::Serialize;
use sysext_image::Filesystem;
use sysext_image::dump::escape;
use sysext_image::entry::{Entry, EntryKind};
use sysext_image::filesystem::FilesystemError;
use sysext_manifests::extension_release::ExtensionRelease;

/// The directories of the extension-release files of system and configuration extensions.
const DIRECTORIES: [&str; 2] = ["usr/lib/extension-release.d", "etc/extension-release.d"];

/// With this attribute set to 0, the image file may have another name than the extension.
const STRICT: &[u8] = b"user.extension-release.strict";

/// The largest file that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// One extension-release file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReleaseFile {
    /// The name of the extension, from the file name.
    pub(crate) name: String,
    /// Whether the image file must have exactly this name.
    pub(crate) strict: bool,
    pub(crate) fields: BTreeMap<String, String>,
    /// Why the file is invalid, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) defect: Option<String>,
}

impl ReleaseFile {
    /// Everything on one line.
    pub(crate) fn shown(&self) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|(key, value)| format!("{}={}", escape(key.as_bytes()), escape(value.as_bytes())))
            .collect();
        let defect = self.defect.as_ref().map(|defect| format!(" (invalid: {defect})"));
        let strict = if self.strict { " (strict)" } else { "" };
        let name = escape(self.name.as_bytes());
        format!("{name} {}{strict}{}", fields.join(" "), defect.unwrap_or_default())
    }
}

/// All extension-release files of an image.
pub(crate) fn all<R: Read + Seek + Send>(
    image: &Filesystem<R>,
    entries: &[Entry],
) -> Result<Vec<ReleaseFile>, FilesystemError> {
    let mut releases = Vec::new();
    for entry in entries {
        let is_in_place =
            DIRECTORIES.iter().any(|directory| entry.path.parent() == Some(Path::new(directory)));
        let file = entry.path.file_name().unwrap_or_default().to_string_lossy();
        let Some(name) = file.strip_prefix("extension-release.").filter(|_| is_in_place) else { continue };
        let strict = entry.xattrs.get(STRICT).is_none_or(|value| value != b"0");
        let mut release =
            ReleaseFile { name: name.to_owned(), strict, fields: BTreeMap::new(), defect: None };
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
        return Ok(Err("not a file".to_owned()));
    }
    if entry.size > LONGEST {
        return Ok(Err(format!("too large: {} bytes, at most {LONGEST}", entry.size)));
    }
    let mut bytes = Vec::new();
    image.content(entry, |piece| {
        bytes.extend_from_slice(piece);
        Ok::<_, FilesystemError>(())
    })?;
    let Ok(text) = String::from_utf8(bytes) else { return Ok(Err("not UTF-8".to_owned())) };
    Ok(match ExtensionRelease::parse(&text) {
        Ok((release, _)) => {
            let fields = release.fields().iter();
            Ok(fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        }
        Err(error) => Err(error.to_string()),
    })
}
