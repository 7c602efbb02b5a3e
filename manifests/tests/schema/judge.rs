//! As much of JSON Schema as ours uses.

use jiff::Timestamp;
use serde_json::{Map, Value};
use sysext_manifests::digest::Sha256;
use sysext_manifests::version::Version;

use super::{DIGEST, VERSION};

/// Whether a value has the schema; if not, what does not.
pub(crate) fn judge(schema: &Value, value: &Value) -> Result<(), String> {
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        single => single.as_str().into_iter().collect::<Vec<_>>(),
    };
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&name) {
        return Err(format!("{name} instead of {types:?}"));
    }
    match value {
        Value::Object(fields) => object(schema, fields),
        Value::Array(values) => values.iter().try_for_each(|value| judge(&schema["items"], value)),
        Value::String(text) => string(schema, text),
        Value::Number(number) => {
            let fits = number.as_u64().is_some_and(|number| schema["maximum"].as_u64() >= Some(number));
            if fits { Ok(()) } else { Err(format!("{number} is out of range")) }
        }
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn object(schema: &Value, fields: &Map<String, Value>) -> Result<(), String> {
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(required) {
            return Err(format!("no {required}"));
        }
    }
    for (name, value) in fields {
        if let Some(schema) = schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
            judge(schema, value).map_err(|reason| format!("{name}: {reason}"))?;
        }
    }
    Ok(())
}

fn string(schema: &Value, text: &str) -> Result<(), String> {
    let fits = match (schema["pattern"].as_str(), schema["format"].as_str(), schema["enum"].as_array()) {
        (None, None, None) => true,
        (Some(DIGEST), None, None) => Sha256::from_hex(text).is_ok(),
        (Some(VERSION), None, None) => text.parse::<Version>().is_ok(),
        (None, Some("date-time"), None) => text.parse::<Timestamp>().is_ok(),
        (None, None, Some(names)) => names.iter().any(|name| name == text),
        other => return Err(format!("the schema has {other:?}, which is not judged here")),
    };
    if fits { Ok(()) } else { Err(format!("{text:?} is not of the form")) }
}
