//! The values of a recipe that are checked while it is read, so that a message can point at them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};
use sysext_image::codec::CodecError;
use sysext_image::format::UnknownFormat;
use sysext_image::kernel::KernelError;
use sysext_image::{Codec, Floor, Format, squashfs};
use sysext_manifests::architecture::{Architecture, UnknownArchitecture};
use sysext_manifests::health::HealthCheck;

use crate::failure::Hint;
use crate::naming;

/// A codec that at least one format supports, as written.
pub(crate) fn check_codec(text: &str) -> Result<String, CodecError> {
    let erofs = text.parse::<Codec>().map(drop);
    let squashfs = text.parse::<squashfs::Codec>().map(drop);
    // Of two errors, the one that knows the codec is more helpful.
    match (erofs, squashfs) {
        (Err(CodecError::Unknown { .. }), Err(error)) | (Err(error), Err(_)) => Err(error),
        (Ok(()), _) | (_, Ok(())) => Ok(text.to_owned()),
    }
}

/// An error with its hint, since a recipe has only one message.
fn custom<E: serde::de::Error>(error: &(impl fmt::Display + Hint)) -> E {
    match error.hint() {
        Some(hint) => E::custom(format!("{error} ({hint})")),
        None => E::custom(error),
    }
}

pub(super) fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|error: UnknownFormat| custom(&error))
}

pub(super) fn codec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    check_codec(&text).map(Some).map_err(|error| custom(&error))
}

pub(super) fn floor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Floor, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|error: KernelError| custom(&error))
}

pub(super) fn extension<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    naming::check_extension(&name).map_err(|error| custom(&error))?;
    Ok(name)
}

pub(super) fn upstream<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let version = String::deserialize(deserializer)?;
    naming::full_version(&version, 1).map_err(|error| custom(&error))?;
    Ok(version)
}

pub(super) fn revision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let revision = u32::deserialize(deserializer)?;
    naming::full_version("0", revision).map_err(|error| custom(&error))?;
    Ok(revision)
}

pub(super) fn health<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HealthCheck>, D::Error> {
    let checks = Vec::<String>::deserialize(deserializer)?;
    checks.iter().map(|text| HealthCheck::parse_runnable(text).map_err(|error| custom(&error))).collect()
}

pub(super) fn architectures<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Architecture>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    names.iter().map(|name| name.parse().map_err(|error: UnknownArchitecture| custom(&error))).collect()
}

pub(super) fn release<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let fields = BTreeMap::<String, String>::deserialize(deserializer)?;
    for key in fields.keys() {
        let is_key = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if key.is_empty() || !key.bytes().all(is_key) {
            return Err(serde::de::Error::custom(format!("invalid field name {key:?}")));
        }
        if key == "ARCHITECTURE" {
            return Err(serde::de::Error::custom("bakery sets ARCHITECTURE itself; list it in arch"));
        }
    }
    Ok(fields)
}
