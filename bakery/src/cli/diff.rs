//! `bakery diff`

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sysext_image::diff::{
    Change, Content, DiffError, Difference, Field, Place, Summary, diff, first_difference,
};
use sysext_image::dump::escape;
use sysext_image::filesystem::{Facts, Limits};

use super::Result;
use super::output::{print, print_json};
use super::progress::Progress;
use crate::failure::{At as _, Failure};
use crate::inspect::opened::{OpenError, Opened};

/// Compare two images.
///
/// Compares names, metadata and contents, also of images with different formats. A name with + is only in the second
/// image, a name with - only in the first, and a name with ~ differs. If the contents are the same but the images are
/// not, the first differing byte and what it belongs to are reported. Exits with 0 if the images are identical, 1 if
/// they differ, 2 if they cannot be compared.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The first image: erofs or squashfs, bare or in a disk image
    #[arg(value_name = "IMAGE")]
    first: PathBuf,
    /// The second image, of any of these kinds
    #[arg(value_name = "OTHER")]
    second: PathBuf,
    /// Limit for the total size of all files of either image [default: 64 times the size of the image, at least 1 GiB]
    #[arg(long, value_name = "BYTES", value_parser = super::read_bytes)]
    max_content: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The result, which decides the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Same,
    Different,
}

#[derive(Debug, Serialize)]
struct Compared {
    identical: bool,
    /// Differences of the images themselves.
    image: Vec<Value>,
    /// Differences of their contents.
    entries: Vec<Name>,
    /// The first differing byte, if the contents are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_difference: Option<Bytes>,
}

#[derive(Debug, Serialize)]
struct Value {
    name: String,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Debug, Serialize)]
struct Name {
    path: String,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Sizes>,
}

#[derive(Debug, Serialize)]
struct Sizes {
    from: u64,
    to: u64,
    first_difference: u64,
}

#[derive(Debug, Serialize)]
struct Bytes {
    offset: u64,
    place: String,
}

impl Args {
    pub(super) fn run(self) -> Result<Comparison> {
        let first = Opened::open(&self.first)?;
        let second = Opened::open(&self.second)?;
        let limits = |image: &Opened| {
            self.max_content.map_or(Limits::of_image(image.length), |content| Limits { content })
        };
        let mut progress = Progress::new("comparing");
        let differences = diff(
            (&first.filesystem, &second.filesystem),
            (limits(&first), limits(&second)),
            &mut |done, total| progress.show(done, total),
        );
        drop(progress);
        let differences = differences.map_err(|error| match error {
            DiffError::First(error) => Failure::from(error).at(self.first.display()),
            DiffError::Second(error) => Failure::from(error).at(self.second.display()),
        })?;
        let image = images(&first, &second);
        let bytes = match differences.is_empty() {
            true => self.bytes(&first)?,
            false => None,
        };
        let identical = differences.is_empty() && bytes.is_none();
        let entries = differences.into_iter().map(Name::from).collect();
        let compared = Compared { identical, image, entries, first_difference: bytes };
        if self.json {
            print_json(&compared)?;
        } else {
            print(compared.lines())?;
        }
        Ok(if identical { Comparison::Same } else { Comparison::Different })
    }

    /// The first differing byte, and what it belongs to.
    fn bytes(&self, first: &Opened) -> Result<Option<Bytes>> {
        let open = |path: &Path| {
            File::open(path).map_err(|source| OpenError::Open { path: path.to_owned(), source })
        };
        let (mut one, mut other) = (open(&self.first)?, open(&self.second)?);
        let offset = first_difference(&mut one, &mut other)
            .map_err(|error| Failure::new(format_args!("cannot compare the images: {error}")))?;
        let Some(offset) = offset else { return Ok(None) };
        let (start, end) = match &first.disk {
            None => (0, first.length),
            Some(disk) => {
                let range = disk.filesystem().range();
                (range.start, range.end)
            }
        };
        let place = match offset.checked_sub(start).filter(|_| offset < end) {
            None => "outside the file system".to_owned(),
            Some(within) if within >= first.filesystem.facts().size => "after the file system".to_owned(),
            Some(within) => Place::find(&first.filesystem, within).at(self.first.display())?.to_string(),
        };
        Ok(Some(Bytes { offset, place }))
    }
}

/// Differences of two images themselves.
fn images(first: &Opened, second: &Opened) -> Vec<Value> {
    let (old, new) = (first.filesystem.facts(), second.filesystem.facts());
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let features = |facts: &Facts| list(facts.features.iter().map(|feature| feature.name).collect());
    let wrapping = |image: &Opened| match &image.disk {
        None => "bare".to_owned(),
        Some(disk) => {
            let hash = disk.root_hash().map_or("no dm-verity".to_owned(), |hash| hash.to_string());
            format!("disk, {hash}")
        }
    };
    [
        ("wrapping", wrapping(first), wrapping(second)),
        ("format", old.format.to_string(), new.format.to_string()),
        ("codec", list(old.algorithms.clone()), list(new.algorithms.clone())),
        ("features", features(old), features(new)),
        ("block_size", old.block_size.to_string(), new.block_size.to_string()),
        ("time", old.timestamp.to_string(), new.timestamp.to_string()),
        ("size", first.length.to_string(), second.length.to_string()),
    ]
    .into_iter()
    .filter(|(_, from, to)| from != to)
    .map(|(name, from, to)| Value { name: name.to_owned(), from: Some(from), to: Some(to) })
    .collect()
}

impl Compared {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .image
            .iter()
            .map(|value| format!("image: {} {}", value.name.replace('_', " "), value.shown()))
            .collect();
        lines.extend(self.entries.iter().map(Name::shown));
        if let Some(Bytes { offset, place }) = &self.first_difference {
            lines.push(format!(
                "same contents, different bytes: first difference at offset {offset} ({place})"
            ));
        }
        if self.identical {
            lines.push("the images are identical".to_owned());
        }
        lines
    }
}

impl Value {
    fn shown(&self) -> String {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        format!("{} -> {}", show(&self.from), show(&self.to))
    }
}

impl Name {
    fn shown(&self) -> String {
        let sign = match self.change {
            "added" => "+",
            "removed" => "-",
            _ => "~",
        };
        let mut words: Vec<String> = self.kind.map(str::to_owned).into_iter().collect();
        words.extend(self.size.map(|size| format!("{size} bytes")));
        words.extend(self.fields.iter().map(|field| format!("{} {}", field.name, field.shown())));
        words.extend(self.content.as_ref().map(|Sizes { from, to, first_difference: first }| {
            match from == to {
                true => format!("content of {from} bytes, first difference at byte {first}"),
                false => format!("content {from} -> {to} bytes, first difference at byte {first}"),
            }
        }));
        format!("{sign} {}: {}", self.path, words.join(", "))
    }
}

impl From<Difference> for Name {
    fn from(Difference { path, change }: Difference) -> Self {
        let path = format!("/{}", escape(path.as_os_str().as_encoded_bytes()));
        let whole = |change, Summary { kind, size }: Summary| Self {
            path: path.clone(),
            change,
            kind: Some(kind),
            size,
            fields: Vec::new(),
            content: None,
        };
        match change {
            Change::Added(summary) => whole("added", summary),
            Change::Removed(summary) => whole("removed", summary),
            Change::Changed { fields, content } => Self {
                change: "changed",
                kind: None,
                size: None,
                fields: fields.into_iter().map(Value::from).collect(),
                content: content.map(|Content { from, to, first }| Sizes {
                    from,
                    to,
                    first_difference: first,
                }),
                path,
            },
        }
    }
}

impl From<Field> for Value {
    fn from(Field { name, from, to }: Field) -> Self {
        Self { name, from, to }
    }
}
