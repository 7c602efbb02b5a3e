//! `bakery inspect`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use sysext_image::ddi;
use sysext_image::dump::escape;
use sysext_image::entry::{Entry, EntryKind};
use sysext_image::filesystem::Checksum;
use sysext_image::filesystem::Facts;
use sysext_manifests::digest::Sha256;

use super::Result;
use super::output::{count, print_fields, print_json, size};
use crate::failure::At as _;
use crate::inspect::extension_release::{self, ReleaseFile};
use crate::inspect::opened::Opened;
use crate::store;
use crate::store::record::Record;

/// Show an image's format, contents and required kernel.
///
/// The image is read, not mounted, so no privilege is needed. Only what is shown is checked; see `bakery verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image: erofs or squashfs, bare or in a disk image
    image: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Inspected {
    image: PathBuf,
    size: u64,
    sha256: Sha256,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
    format: &'static str,
    /// By their names on disk.
    algorithms: Vec<&'static str>,
    features: Vec<&'static str>,
    /// The oldest kernel that reads it.
    kernel: Option<String>,
    block_size: u64,
    /// As the superblock states it.
    filesystem_size: u64,
    files: u64,
    directories: u64,
    /// Bytes in files; hard links count once.
    content: u64,
    uuid: Option<String>,
    timestamp: u64,
    checksum: Option<&'static str>,
    /// From the record next to the image, if it describes these bytes.
    writer: Option<String>,
    extension_releases: Vec<ReleaseFile>,
}

#[derive(Debug, Serialize)]
struct Disk {
    arch: String,
    sector_size: u64,
    partitions: Vec<Partition>,
    root_hash: Option<String>,
    signature: Option<Signed>,
}

#[derive(Debug, Serialize)]
struct Partition {
    name: String,
    offset: u64,
    size: u64,
}

#[derive(Debug, Serialize)]
struct Signed {
    /// SHA-256 of the certificate that the signature names.
    certificate: Option<Sha256>,
}

impl Args {
    pub(super) fn run(self) -> Result<()> {
        let opened = Opened::open(&self.image)?;
        let shown = self.image.display();
        let entries = opened.filesystem.entries().at(&shown)?;
        let (sha256, _) = store::digest(&self.image)?;
        let releases = extension_release::all(&opened.filesystem, &entries).at(&shown)?;
        let facts = opened.filesystem.facts();
        let (files, content) = files(&entries);
        let is_directory = |entry: &&Entry| entry.kind == EntryKind::Directory;
        let inspected = Inspected {
            size: opened.length,
            sha256,
            disk: opened.disk.as_ref().map(disk),
            format: facts.format.name(),
            algorithms: facts.algorithms.clone(),
            features: facts.features.iter().map(|feature| feature.name).collect(),
            kernel: facts.kernel.map(|kernel| kernel.to_string()),
            block_size: facts.block_size,
            filesystem_size: facts.size,
            files,
            directories: entries.iter().filter(is_directory).count() as u64,
            content,
            uuid: facts.uuid.map(uuid),
            timestamp: facts.timestamp,
            checksum: checksum(facts),
            writer: writer(&self.image, sha256)?,
            extension_releases: releases,
            image: self.image,
        };
        if self.json { print_json(&inspected) } else { print_fields(&inspected.fields()) }
    }
}

impl Inspected {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let list = |names: &[&str], none: &str| match names {
            [] => none.to_owned(),
            names => names.join(", "),
        };
        let mut fields = vec![("image", self.image.display().to_string())];
        if let Some(disk) = &self.disk {
            fields.push(("disk", format!("for {}, sectors of {} bytes", disk.arch, disk.sector_size)));
            for Partition { name, offset, size: length } in &disk.partitions {
                let name = escape(name.as_bytes());
                fields.push(("partition", format!("{name} at {offset}, {}", size(*length))));
            }
            fields.push(("root hash", disk.root_hash.clone().unwrap_or_else(|| "none".to_owned())));
            fields.push(("signature", signature(disk.signature.as_ref())));
        }
        fields.push(("format", self.format.to_owned()));
        fields.push(("codec", list(&self.algorithms, "none")));
        fields.push(("features", list(&self.features, "none")));
        fields.push((
            "kernel",
            match &self.kernel {
                Some(kernel) => format!("{kernel} and later"),
                None => "newer than any known kernel".to_owned(),
            },
        ));
        fields.push(("block size", format!("{} bytes", self.block_size)));
        fields.push(("size", size(self.size)));
        let content = size(self.content);
        let files = count(self.files, "file", "files");
        let directories = count(self.directories, "directory", "directories");
        fields.push(("content", format!("{files}, {directories}, {content}")));
        fields.push(("time", shown_time(self.timestamp)));
        if let Some(uuid) = &self.uuid {
            fields.push(("uuid", uuid.clone()));
        }
        if let Some(checksum) = self.checksum {
            fields.push(("checksum", checksum.to_owned()));
        }
        fields.push(("sha256", self.sha256.to_string()));
        let unknown = || "unknown (no record next to the image)".to_owned();
        fields.push(("writer", self.writer.clone().unwrap_or_else(unknown)));
        for release in &self.extension_releases {
            fields.push(("extension", release.shown()));
        }
        if self.extension_releases.is_empty() {
            fields.push(("extension", "none (no extension-release file)".to_owned()));
        }
        fields
    }
}

fn disk(disk: &ddi::Reader<std::fs::File>) -> Disk {
    let table = disk.table();
    let partitions = table.partitions.iter();
    Disk {
        arch: disk.architecture().to_string(),
        sector_size: table.sector.size(),
        partitions: partitions
            .map(|found| Partition { name: found.name.clone(), offset: found.offset, size: found.size })
            .collect(),
        root_hash: disk.root_hash().map(|hash| hash.to_string()),
        signature: disk
            .signature()
            .map(|signature| Signed { certificate: signature.fingerprint.map(Sha256::from_bytes) }),
    }
}

fn signature(signature: Option<&Signed>) -> String {
    match signature {
        None => "none".to_owned(),
        Some(Signed { certificate: None }) => "present, not checked".to_owned(),
        Some(Signed { certificate: Some(certificate) }) => {
            format!("present, not checked; names certificate {certificate}")
        }
    }
}

/// The number of files and of their bytes; hard links count once.
fn files(entries: &[Entry]) -> (u64, u64) {
    let files: BTreeMap<u64, u64> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File)
        .map(|entry| (entry.inode, entry.size))
        .collect();
    (files.len() as u64, files.values().fold(0, |sum: u64, size| sum.saturating_add(*size)))
}

fn uuid(bytes: [u8; 16]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&digits[..4], &digits[4..6], &digits[6..8], &digits[8..10], &digits[10..]];
    parts.map(<[String]>::concat).join("-")
}

fn checksum(facts: &Facts) -> Option<&'static str> {
    match facts.checksum {
        Checksum::Absent => None,
        Checksum::Valid => Some("valid"),
        Checksum::Wrong => Some("wrong"),
    }
}

fn shown_time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{seconds} seconds after 1970"), |time| time.to_string())
}

/// The writer of an image, from the record next to it, unless that describes other bytes.
fn writer(image: &Path, sha256: Sha256) -> Result<Option<String>> {
    let Some(json) = store::read_if_present(&image.with_extension("json"))? else { return Ok(None) };
    let record: Option<Record> = serde_json::from_slice(&json).ok();
    let record = record.filter(|record| record.instance.image.sha256 == sha256);
    Ok(record.map(|record| record.instance.writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_the_usual_form() {
        let bytes = std::array::from_fn(|at| u8::try_from(at * 17).unwrap());
        assert_eq!(uuid(bytes), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn times_out_of_range_are_numbers() {
        assert_eq!(shown_time(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(shown_time(u64::MAX), "18446744073709551615 seconds after 1970");
    }
}
