//! JSON schemas of documents, generated from the types that read them.
//!
//! Only tests and the documentation need them, so they are behind the feature `schema`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use crate::architecture::Architecture;
use crate::catalog::{Catalog, CatalogFile, Root};
use crate::digest::Sha256;
use crate::health::HealthCheck;
use crate::repository;
use crate::requirement::{ExtensionName, VersionRequirement};
use crate::version::Version;

/// The signed catalog. `$defs` also contains the file around it and the roots in that.
pub fn catalog() -> Schema {
    let mut generator = generator();
    generator.subschema_for::<CatalogFile>();
    generator.subschema_for::<Root>();
    generator.into_root_schema_for::<Catalog>()
}

/// The file that describes a repository, `/etc/sysupdate/repositories/ID.toml`.
pub fn repository() -> Schema {
    generator().into_root_schema_for::<repository::Document>()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

/// Adds the field `type` of a signed document, which `schemars` leaves out of a structure with `serde(tag)`.
pub(crate) fn typed(name: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        if let Some(properties) = schema.get_mut("properties").and_then(|value| value.as_object_mut()) {
            let field = serde_json::json!({ "description": "The type of the document.", "const": name });
            properties.insert("type".to_owned(), field);
        }
        if let Some(required) = schema.get_mut("required").and_then(|value| value.as_array_mut()) {
            required.insert(0, "type".into());
        }
    }
}

/// A time, for `schemars(with)`.
pub(crate) struct Time;

/// Implements `JsonSchema` for types that are read from a text.
macro_rules! texts {
    ($($kind:ident: $schema:tt;)+) => {$(
        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

texts! {
    Architecture: {
        "description": "An architecture as systemd names it.",
        "type": "string",
        "enum": Architecture::ALL,
    };
    ExtensionName: {
        "description": "The name of an extension.",
        "type": "string",
        "pattern": "^[0-9A-Za-z_-][0-9A-Za-z._-]*$",
    };
    HealthCheck: {
        "description": "A health check, such as \"exec:/usr/bin/x --version\". Nodes do not install a version with \
                        a check of a kind that they do not know.",
        "type": "string",
    };
    Sha256: {
        "description": "A SHA-256 digest.",
        "type": "string",
        "pattern": "^[0-9A-Fa-f]{64}$",
    };
    Time: {
        "description": "A time in RFC 3339.",
        "type": "string",
        "format": "date-time",
    };
    Version: {
        "description": "A version, as in a file name.",
        "type": "string",
        "pattern": "^(?!\\.\\.?$)[0-9A-Za-z.~^+_,-]{1,255}$",
    };
    VersionRequirement: {
        "description": "A requirement on versions, such as \"1.32\" or \">=1.30, <1.33\"; \"*\" allows all.",
        "type": "string",
    };
}
