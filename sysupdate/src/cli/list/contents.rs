//! The files of one version: for each transfer the one that is here, or else the one its source has.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use sysext_manifests::digest::Sha256;
use sysext_manifests::pattern::{Captures, Patterns};
use sysext_manifests::transfer::{SourceType, Transfer};
use sysext_manifests::update_set::UpdateSet;

use crate::cli::context::Context;
use crate::cli::table::{Side, Table};
use crate::failure::Failure;
use crate::plan::{OfferedFile, Origin, Situation};
use crate::settings::Component;
use crate::targets::names;

/// One file, as systemd-sysupdate shows it: what is not known is left out.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Content {
    #[serde(rename = "type")]
    kind: &'static str,
    path: String,
    /// Microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries_done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noauto: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ro: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    growfs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
}

/// Looks at the files of a version.
pub(super) fn of(
    context: &Context,
    component: &Component,
    situation: &Situation,
    set: &UpdateSet,
) -> Result<Vec<Content>, Failure> {
    let mut contents = Vec::new();
    for (index, (transfer, line)) in component.transfers.iter().zip(&situation.transfers).enumerate() {
        let here = line.farthest(&set.version);
        let content = match (here, situation.offered_file(&set.version, index)) {
            (Some(local), _) => {
                Some(lying(context, &transfer.target.path, &transfer.target.patterns, local.location.path())?)
            }
            // Half a version that is offered is not offered at all.
            (None, Some(source)) if set.is_available() => Some(offered(context, transfer, source)?),
            (None, _) => None,
        };
        contents.extend(content);
    }
    Ok(contents)
}

/// A file of this node.
fn lying(context: &Context, directory: &str, patterns: &Patterns, path: &Path) -> Result<Content, Failure> {
    let store = &*context.host.store;
    let directory = context.paths.below_root(Path::new(directory));
    let files = names::files(store, &directory, patterns)?;
    let named = files.into_iter().find(|file| file.path == path).map(|file| file.captures);
    let attributes = store.attributes(path)?;
    let mut content =
        Content::named(SourceType::RegularFile.as_str(), path.display().to_string(), named.as_ref());
    content.mtime = content.mtime.or(attributes.map(|attributes| attributes.mtime));
    content.mode = content.mode.or(attributes.map(|attributes| attributes.mode & MODE_MASK));
    Ok(content)
}

/// What an updater takes over from a file's mode: no set-uid bits, and nobody else may write.
const MODE_MASK: u32 = 0o775;

/// A file that a source has.
fn offered(context: &Context, transfer: &Transfer, source: &OfferedFile) -> Result<Content, Failure> {
    let Transfer { source: from, .. } = transfer;
    let claim = match &source.origin {
        Origin::File(path) => return lying(context, &from.path, &from.patterns, path),
        Origin::Claimed(claim) => claim.get(),
    };
    let named = from.patterns.matches(&claim.name);
    let url = claim.urls.first().cloned().unwrap_or_default();
    let mut content = Content::named(from.kind.as_str(), url, named.as_ref());
    content.size = content.size.or(claim.size);
    content.sha256 = Some(claim.sha256);
    Ok(content)
}

impl Content {
    /// What a name says.
    fn named(kind: &'static str, path: String, named: Option<&Captures>) -> Self {
        let plain = Self { kind, path, ..Self::default() };
        let Some(named) = named else { return plain };
        Self {
            mtime: named.mtime,
            mode: named.mode,
            size: named.size,
            tries_done: named.tries_done,
            tries_left: named.tries_left,
            noauto: named.no_auto,
            ro: named.read_only,
            growfs: named.grow_file_system,
            sha256: named.sha256,
            ..plain
        }
    }

    fn cells(&self) -> [Option<String>; 11] {
        let yes_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
        let number = |value: u64| value.to_string();
        [
            Some(self.kind.to_owned()),
            Some(self.path.clone()),
            self.mtime.map(moment),
            self.mode.map(|mode| format!("{mode:04o}")),
            self.size.map(size),
            self.tries_done.map(number),
            self.tries_left.map(number),
            self.noauto.map(yes_no),
            self.ro.map(yes_no),
            self.growfs.map(yes_no),
            self.sha256.map(|digest| digest.to_string()),
        ]
    }
}

/// The files as a table, without columns about which no file says anything.
pub(super) fn table(contents: &[Content]) -> Table {
    let mut table = Table::new([
        ("TYPE", Side::Left),
        ("PATH", Side::Left),
        ("MTIME", Side::Right),
        ("MODE", Side::Right),
        ("SIZE", Side::Right),
        ("TRIES-DONE", Side::Right),
        ("TRIES-LEFT", Side::Right),
        ("NOAUTO", Side::Left),
        ("RO", Side::Left),
        ("GROWFS", Side::Left),
        ("SHA256", Side::Left),
    ]);
    for content in contents {
        table.row(content.cells());
    }
    table.without_empty_columns()
}

/// A moment in universal time: a static program knows no other.
fn moment(microseconds: u64) -> String {
    let moment = i64::try_from(microseconds).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    moment.map_or_else(|| "-".to_owned(), |moment| moment.strftime("%a %Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Bytes in the largest binary unit of which there is one, with a tenth of it where that is not zero.
fn size(bytes: u64) -> String {
    let units = ["E", "P", "T", "G", "M", "K"];
    for (power, unit) in (1..=6).rev().zip(units) {
        let smaller = 1u64 << (10 * (power - 1));
        let whole = bytes / smaller / 1024;
        if whole > 0 {
            let tenths = (bytes / smaller).saturating_mul(10) / 1024 % 10;
            return if tenths > 0 { format!("{whole}.{tenths}{unit}") } else { format!("{whole}{unit}") };
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_moments_are_written_as_systemd_does() {
        let sizes = [0, 1023, 1024, 1536, 1_048_575, 1_048_576, 74_788_864, u64::MAX].map(size);
        assert_eq!(sizes, ["0B", "1023B", "1K", "1.5K", "1023.9K", "1M", "71.3M", "15.9E"]);
        assert_eq!(moment(1_234_567_890_123_456), "Fri 2009-02-13 23:31:30 UTC");
        assert_eq!(moment(u64::MAX), "-");
    }
}
