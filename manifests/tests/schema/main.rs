//! `docs/catalog.schema.json`, made from what the reader accepts and from the comments in its source.
//!
//! A document with every field is changed in one place after the other and read: what may be missing, what may
//! be null, and how large a number may be is seen, not written a second time. With `BLESS=1` in the
//! environment the file is written instead of compared.

mod judge;
mod sample;

use std::{env, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use judge::judge;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sysext_manifests::architecture::Architecture;
use sysext_manifests::catalog::{Catalog, CatalogFile, Root};
use sysext_manifests::digest::Sha256;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/catalog.schema.json");

/// A digest, as the reader takes it.
const DIGEST: &str = "^[0-9A-Fa-f]{64}$";
/// A version, as the reader takes it.
const VERSION: &str = "^(?!\\.\\.?$)[0-9A-Za-z.~^+_,-]{1,255}$";

/// Where an object or the elements of a list stand, and the structures whose fields they have.
const STRUCTURES: [(&str, &[&str]); 12] = [
    ("Catalog", &["Catalog"]),
    ("CatalogFile", &["CatalogFile", "Envelope"]),
    ("Root", &["Root"]),
    ("extensions", &["Extension"]),
    ("instances", &["Instance", "Resource"]),
    ("transport", &["Resource"]),
    ("deltas", &["Delta", "Resource"]),
    ("units", &["Units"]),
    ("waves", &["Wave"]),
    ("roots", &["Envelope"]),
    ("signatures", &["Signature"]),
    ("catalog", &["Role"]),
];
/// Fields that are objects with any names.
const MAPS: [&str; 4] = ["extensions", "manifests", "release", "requires"];

#[test]
fn the_schema_is_the_readers() {
    let text = format!("{:#}\n", schema());
    if env::var_os("BLESS").is_some() {
        fs::write(SCHEMA, &text).expect("docs/ can be written");
    }
    let stored = fs::read_to_string(SCHEMA).expect("the schema is there");
    assert!(
        stored == text,
        "docs/catalog.schema.json is not what the reader takes: run this test with BLESS=1"
    );
}

#[test]
fn the_catalog_of_an_earlier_release_has_the_schema() {
    let schema = schema();
    let file: Value =
        serde_json::from_str(include_str!("../fixtures/catalog-1/catalog.json")).expect("it is JSON");
    assert_eq!(judge(&schema["$defs"]["file"], &file), Ok(()));
    assert_eq!(judge(&schema, &unpack(&file)), Ok(()));
    for root in file["roots"].as_array().expect("it has roots") {
        assert_eq!(judge(&schema["$defs"]["root"], &unpack(root)), Ok(()));
    }
}

/// Else the schema could allow anything.
#[test]
fn what_the_reader_refuses_has_not_the_schema() {
    let schema = schema();
    let sample = sample::catalog();
    assert_eq!(judge(&schema, &sample), Ok(()));
    let mut refused = 0;
    for place in places(&sample) {
        let replaced =
            [json!(null), json!("?"), json!(-1), json!(1_u64 << 40), json!({}), json!([]), json!(true)];
        for other in replaced.into_iter().map(Some).chain([None]) {
            let changed = changed(&sample, &place, other.clone());
            let read = serde_json::from_value::<Catalog>(changed.clone());
            // A structure may also be written as the list of its fields; nobody should
            if read.is_ok() && other == Some(json!([])) {
                continue;
            }
            let judged = judge(&schema, &changed);
            assert_eq!(judged.is_ok(), read.is_ok(), "{place} as {other:?}: {judged:?}, but {read:?}");
            refused += usize::from(judged.is_err());
        }
    }
    assert!(refused > 200, "only {refused} changes were refused");
}

fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The catalog of a repository",
        "description": "What is signed inside catalog/catalog.json; the file around it is #/$defs/file. \
                        Readers pass over fields that they do not know.",
    });
    let mut described = describe::<Catalog>("Catalog", &sample::catalog());
    described["$defs"] = json!({
        "file": describe::<CatalogFile>("CatalogFile", &sample::file()),
        "root": describe::<Root>("Root", &sample::root()),
    });
    if let (Value::Object(schema), Value::Object(described)) = (&mut schema, described) {
        schema.extend(described);
    }
    schema
}

fn describe<T: DeserializeOwned>(name: &str, sample: &Value) -> Value {
    let accepts = |place: &str, value| serde_json::from_value::<T>(changed(sample, place, value)).is_ok();
    Describer { sample, accepts: &accepts }.value(name, "")
}

struct Describer<'a> {
    sample: &'a Value,
    /// Whether the sample is still read with another value at a place, or with none.
    accepts: &'a dyn Fn(&str, Option<Value>) -> bool,
}

impl Describer<'_> {
    /// The value at a place, which is called `name` or is an element of what is called so.
    fn value(&self, name: &str, place: &str) -> Value {
        let accepts = |value| (self.accepts)(place, Some(value));
        let mut schema = match self.sample.pointer(place).expect("the place is in the sample") {
            Value::Object(fields) if MAPS.contains(&name) && !place.ends_with("/-") => {
                let first = fields.keys().next().expect("nothing is empty in the sample");
                assert_eq!(first, "-", "the one name in {place}");
                json!({ "type": "object", "additionalProperties": self.value(name, &format!("{place}/-")) })
            }
            Value::Object(fields) => self.object(name, place, fields),
            Value::Array(_) => json!({ "type": "array", "items": self.value(name, &format!("{place}/0")) }),
            Value::String(text) if !accepts(json!("?")) => {
                if Sha256::from_hex(text).is_ok() {
                    json!({ "type": "string", "pattern": DIGEST })
                } else if text.parse::<Architecture>().is_ok() {
                    json!({ "type": "string", "enum": Architecture::ALL })
                } else if text.parse::<Timestamp>().is_ok() {
                    json!({ "type": "string", "format": "date-time" })
                } else {
                    json!({ "type": "string", "pattern": VERSION })
                }
            }
            Value::String(_) => json!({ "type": "string" }),
            Value::Number(_) => {
                let largest = [u64::from(u8::MAX), u64::from(u32::MAX), u64::MAX];
                let largest = largest.into_iter().rfind(|number| accepts(json!(number)));
                json!({ "type": "integer", "minimum": 0, "maximum": largest })
            }
            other => panic!("the sample has {other} at {place}"),
        };
        if accepts(Value::Null) {
            schema["type"] = json!([schema["type"], "null"]);
        }
        schema
    }

    fn object(&self, name: &str, place: &str, fields: &Map<String, Value>) -> Value {
        let (_, structures) = STRUCTURES
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("{name} is in no list"));
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in fields.keys() {
            let place = format!("{place}/{field}");
            let mut schema = self.value(field, &place);
            schema["description"] = comment(structures, field).into();
            if !(self.accepts)(&place, None) {
                required.push(field);
            }
            properties.insert(field.clone(), schema);
        }
        json!({ "type": "object", "properties": properties, "required": required })
    }
}

/// The comment on a field in the source.
fn comment(structures: &[&str], field: &str) -> String {
    let source = [include_str!("../../src/catalog.rs"), include_str!("../../src/envelope.rs")].concat();
    // A name that serde turns into another, or flattens away, does not occur here
    let line = format!("    pub {field}: ");
    for structure in structures {
        let (_, body) =
            source.split_once(&format!("pub struct {structure} {{\n")).expect("the structure is there");
        let body = body.split("\n}").next().unwrap_or_default();
        if let Some((before, _)) = body.split_once(&line) {
            let lines = before.lines().rev();
            let mut lines: Vec<&str> = lines
                .skip_while(|line| line.trim_start().starts_with("#["))
                .map_while(|line| line.trim_start().strip_prefix("/// "))
                .collect();
            lines.reverse();
            return lines.join(" ").replace("[`FORMAT`]", "1").replace('`', "");
        }
    }
    panic!("{structures:?} have no field {field}");
}

/// The document with another value at a place, or with none.
fn changed(document: &Value, place: &str, value: Option<Value>) -> Value {
    let mut document = document.clone();
    let (parent, last) = place.rsplit_once('/').unwrap_or(("", ""));
    match (value, document.pointer_mut(parent)) {
        (Some(value), _) => *document.pointer_mut(place).expect("the place is there") = value,
        (None, Some(Value::Object(fields))) => drop(fields.remove(last)),
        (None, Some(Value::Array(elements))) => elements.clear(),
        (None, _) => {}
    }
    document
}

/// Every place in a document but the document itself.
fn places(document: &Value) -> Vec<String> {
    fn walk(value: &Value, place: &str, found: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(values) => {
                values.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect()
            }
            _ => Vec::new(),
        };
        for (name, child) in children {
            let place = format!("{place}/{name}");
            walk(child, &place, found);
            found.push(place);
        }
    }
    let mut found = Vec::new();
    walk(document, "", &mut found);
    found
}

fn unpack(envelope: &Value) -> Value {
    let packed = STANDARD.decode(envelope["signed"].as_str().expect("it is text")).expect("it is base64");
    serde_json::from_slice(&zstd::decode_all(packed.as_slice()).expect("it is zstd")).expect("it is JSON")
}
