//! How a catalog is signed: its validity, the signatures, and the check that nodes make.

use std::path::Path;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use sysext_manifests::catalog::{Catalog, CatalogFile, FORMAT, Root};
use sysext_manifests::envelope::Envelope;

use super::error::ComposeError;
use super::read::{self, Validity};
use crate::keys::{KeyError, SigningKey};

/// The default validity of a catalog in days: long enough for a monthly release, short enough that a mirror cannot
/// keep nodes on an old release for long.
const VALIDITY_DEFAULT_DAYS: u32 = 30;

/// When a catalog expires. Stock tools know only days, so a validity that they are told ends at midnight UTC, and
/// never earlier than promised.
pub(super) fn expiry(now: Timestamp, valid_for: Option<u32>, root: &Root) -> Result<Timestamp, ComposeError> {
    let days = valid_for.unwrap_or_else(|| root.catalog_lifetime_max_days.min(VALIDITY_DEFAULT_DAYS));
    let beyond = || ComposeError::Validity { days, now };
    let expires = now.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).map_err(|_| beyond())?;
    if valid_for.is_none() {
        return Ok(expires);
    }
    let date = Offset::UTC.to_datetime(expires).date();
    let midnight =
        |date: jiff::civil::Date| Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| beyond());
    let expires = match midnight(date)? == expires {
        true => expires,
        false => midnight(date.tomorrow().map_err(|_| beyond())?)?,
    };
    if expires.duration_since(now) > root.catalog_lifetime_max() {
        return Err(ComposeError::Lifetime {
            root: root.number,
            expires,
            max_days: root.catalog_lifetime_max_days,
        });
    }
    Ok(expires)
}

/// The trusted comment of every signature of a catalog.
pub(super) fn comment(catalog: &Catalog) -> String {
    format!("catalog {} of {}", catalog.serial, catalog.repository)
}

/// `catalog.json` with the signatures made now.
pub(super) struct Signed {
    pub(super) document: Vec<u8>,
    /// The number of signatures that are still required.
    pub(super) missing: usize,
}

/// Signs a catalog and checks it as a node does. `path` is for messages.
pub(super) fn seal(
    path: &Path,
    keys: &[SigningKey],
    roots: &[Envelope],
    root: &Root,
    catalog: &Catalog,
) -> Result<Signed, ComposeError> {
    let packed = Envelope::pack(catalog).map_err(|error| ComposeError::Key(KeyError::Pack(error)))?;
    let comment = comment(catalog);
    let signatures = keys.iter().map(|key| key.sign(&packed, &comment)).collect::<Result<_, _>>();
    let sealed = Envelope::seal(&packed, signatures.map_err(ComposeError::Key)?);
    let file = CatalogFile { version: FORMAT, roots: roots.to_vec(), catalog: sealed };
    let mut document = serde_json::to_vec_pretty(&file).map_err(ComposeError::Json)?;
    document.push(b'\n');
    let missing = root.catalog.threshold.saturating_sub(keys.len());
    let validity = Validity::At(catalog.issued);
    match read::check(path, &document, &file.roots, &catalog.repository, validity) {
        Err(error) if !(missing > 0 && error.lacks_signatures()) => Err(ComposeError::Catalog(error)),
        _ => Ok(Signed { document, missing }),
    }
}
