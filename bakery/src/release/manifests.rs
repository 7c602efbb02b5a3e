//! What stock tools read: `SHA256SUMS` and the transfer files.

use jiff::Timestamp;
use jiff::tz::Offset;
use sysext_manifests::catalog::{Extension, Instance};
use sysext_manifests::checksums::{self, Checksums, Entry};
use sysext_manifests::specifier;
use sysext_manifests::transfer::{Activate, TransferText, VerifyText};

use super::error::ComposeError;
use crate::keys::openpgp::{self, OpenPgpKey, Signatures};
use crate::naming;

/// What the manifests of every extension have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publication<'a> {
    pub(super) repository: &'a str,
    pub(super) url: &'a str,
    /// The key that signs `SHA256SUMS`, if one does.
    pub(super) openpgp: Option<&'a OpenPgpKey>,
    pub(super) now: Timestamp,
    /// The end of the last day on which stock tools accept the release, if they are given one.
    pub(super) best_before: Option<Timestamp>,
}

/// How many versions a node keeps: the one in use, the one before it, and the next.
const INSTANCES_MAX: u64 = 3;

/// The names and bytes of an extension's manifests, in the order in which they have to appear: the
/// catalog names the digests of the signatures, so that a release which was cut off after the first of
/// them no longer fits the catalog of the last one, and is not published.
///
/// A stream has no transfer file of its own: systemd takes the text that matches `@v` as the version, so
/// `NAME-v1.32.@v` would give the name `1` to a version that is `v1.32.1` everywhere else.
pub(super) fn files(
    publication: &Publication<'_>,
    name: &str,
    extension: &Extension,
) -> Result<Vec<(String, Vec<u8>)>, ComposeError> {
    let transfer = transfer(publication, name, extension)
        .render()
        .map_err(|source| ComposeError::Transfer { name: name.to_owned(), source })?
        .into_bytes();
    let sums = checksums(extension, publication.best_before)
        .render()
        .map_err(|source| ComposeError::Checksums { name: name.to_owned(), source })?
        .into_bytes();
    let mut files = Vec::new();
    if let Some(key) = publication.openpgp {
        let Signatures { armored, binary } =
            key.sign(&sums, publication.now).map_err(ComposeError::OpenPgp)?;
        files.push((openpgp::ARMORED.to_owned(), armored));
        files.push((openpgp::BINARY.to_owned(), binary));
    }
    files.extend([
        (format!("{name}.transfer"), transfer.clone()),
        // Hosts before systemd 257 read only this name.
        (format!("{name}.conf"), transfer),
        (checksums::FILE_NAME.to_owned(), sums),
    ]);
    Ok(files)
}

fn transfer(publication: &Publication<'_>, name: &str, extension: &Extension) -> TransferText {
    let url = format!("{}/{name}/", publication.url.trim_end_matches('/'));
    let pattern = naming::match_pattern(name, "%a");
    let images = format!("/var/lib/sysupdate/images/{name}");
    let verify = if publication.openpgp.is_some() { VerifyText::OpenPgp } else { VerifyText::Unsigned };
    let what = if extension.description.is_empty() { name } else { &extension.description };
    let mut text = TransferText::new(specifier::escape(&url), pattern, images.as_str(), verify);
    let keyring = match publication.openpgp {
        None => String::new(),
        Some(key) => format!(
            "\nStock systemd-sysupdate needs the public key {} in /etc/systemd/import-pubring.pgp\n\
             (import-pubring.gpg for systemd before 258), written with `gpg --export`.",
            key.fingerprint()
        ),
    };
    text.comment = format!(
        "{what}\n\
         Put this file into /etc/sysupdate.{name}.d/ (or /etc/sysupdate.d/) of a node.\n\
         With stock systemd-sysupdate, make sure that {images} and /var/lib/extensions exist.{keyring}"
    );
    text.current_symlink = Some(format!("/var/lib/extensions/{name}.raw"));
    text.instances_max = Some(INSTANCES_MAX);
    text.repository = Some(publication.repository.to_owned());
    text.activate = Some(Activate::Refresh);
    text
}

/// The images that stock tools may install, and until when they accept the list.
fn checksums(extension: &Extension, best_before: Option<Timestamp>) -> Checksums {
    let offered = extension.instances.iter().filter(|instance| instance.withdrawn.is_none());
    let entry = |instance: &Instance| Entry {
        name: instance.image.file_name().to_owned(),
        sha256: instance.image.sha256,
    };
    Checksums {
        entries: offered.map(entry).collect(),
        best_before: best_before.map(|expires| Offset::UTC.to_datetime(expires).date()),
    }
}
