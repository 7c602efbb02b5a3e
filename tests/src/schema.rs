//! Checks JSON against the part of JSON Schema that `schemars` writes. An unknown keyword is an error, so that none
//! is forgotten.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

/// Keywords that restrict nothing, or that only the reader of a schema needs.
const ANNOTATIONS: [&str; 7] = ["$defs", "$schema", "default", "description", "format", "pattern", "title"];

/// Checks a value against a schema. Fields that no schema describes are an error, too.
pub fn check(schema: &Value, value: &Value) -> Result<()> {
    let known = Checker { root: schema }.check(schema, value, "$")?;
    known.covers(value, "$")
}

struct Checker<'a> {
    root: &'a Value,
}

/// The fields of an object that some schema describes.
#[derive(Default)]
struct Known {
    fields: Vec<String>,
    /// Whether every field is described.
    any: bool,
}

impl Known {
    fn covers(&self, value: &Value, place: &str) -> Result<()> {
        for field in value.as_object().into_iter().flat_map(Map::keys) {
            ensure!(self.any || self.fields.contains(field), "{place}.{field} is in no schema");
        }
        Ok(())
    }

    fn extend(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.any |= other.any;
    }
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, place: &str) -> Result<Known> {
        let mut known = Known::default();
        let schema = match schema {
            Value::Bool(true) => return Ok(Known { any: true, ..known }),
            Value::Object(schema) => schema,
            other => bail!("{place}: {other} is not a schema"),
        };
        for (keyword, rule) in schema {
            match (keyword.as_str(), rule) {
                ("$ref", Value::String(path)) => {
                    let path = path.strip_prefix('#').with_context(|| format!("{path} is elsewhere"))?;
                    let target = self.root.pointer(path).with_context(|| format!("{path} is missing"))?;
                    known.extend(self.check(target, value, place)?);
                }
                ("type", Value::String(name)) => {
                    ensure!(is_of(value, name), "{place}: {value} is not {name}")
                }
                ("type", Value::Array(names)) => {
                    let fits = names.iter().filter_map(Value::as_str).any(|name| is_of(value, name));
                    ensure!(fits, "{place}: {value} is none of {names:?}");
                }
                ("const", expected) => ensure!(value == expected, "{place}: {value} is not {expected}"),
                ("enum", Value::Array(values)) => {
                    ensure!(values.contains(value), "{place}: {value} is none of {values:?}");
                }
                ("minimum", least) => {
                    ensure!(
                        value.as_f64() >= least.as_f64() || !value.is_number(),
                        "{place}: {value} < {least}"
                    );
                }
                ("required", Value::Array(names)) => {
                    for name in names.iter().filter_map(Value::as_str) {
                        ensure!(!value.is_object() || value.get(name).is_some(), "{place}.{name} is missing");
                    }
                }
                ("properties", Value::Object(properties)) => {
                    for (name, property) in properties {
                        known.fields.push(name.clone());
                        if let Some(field) = value.get(name) {
                            let place = format!("{place}.{name}");
                            self.check(property, field, &place)?.covers(field, &place)?;
                        }
                    }
                }
                ("additionalProperties", Value::Bool(allowed)) => known.any |= allowed,
                ("additionalProperties", rule) => {
                    known.any = true;
                    for (name, field) in value.as_object().into_iter().flatten() {
                        let place = format!("{place}.{name}");
                        self.check(rule, field, &place)?.covers(field, &place)?;
                    }
                }
                ("items", rule) => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        let place = format!("{place}[{index}]");
                        self.check(rule, item, &place)?.covers(item, &place)?;
                    }
                }
                ("allOf", Value::Array(rules)) => {
                    for rule in rules {
                        known.extend(self.check(rule, value, place)?);
                    }
                }
                ("anyOf" | "oneOf", Value::Array(rules)) => {
                    let results: Vec<_> = rules.iter().map(|rule| self.check(rule, value, place)).collect();
                    let errors: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
                    ensure!(errors.len() < rules.len(), "{place}: no alternative fits: {errors:?}");
                    results.into_iter().flatten().for_each(|one| known.extend(one));
                }
                (annotation, _) if ANNOTATIONS.contains(&annotation) => {}
                (keyword, rule) => bail!("{place}: the keyword {keyword} is not checked: {rule}"),
            }
        }
        Ok(known)
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn accepts_what_fits_and_nothing_else() {
        let schema = json!({
            "$defs": {"Name": {"type": "string"}},
            "type": "object",
            "properties": {"name": {"$ref": "#/$defs/Name"}, "sizes": {"items": {"type": "integer", "minimum": 0}}},
            "required": ["name"],
            "oneOf": [{"properties": {"kind": {"const": "a"}}, "required": ["kind"]}, {"properties": {"kind": {"const": "b"}}}],
        });
        check(&schema, &json!({"name": "x", "kind": "b", "sizes": [1]})).unwrap();
        for wrong in [
            json!([]),
            json!({"kind": "a"}),
            json!({"name": 1}),
            json!({"name": "x", "kind": "c"}),
            json!({"name": "x", "sizes": [-1]}),
            json!({"name": "x", "size": 1}),
        ] {
            check(&schema, &wrong).expect_err(&wrong.to_string());
        }
        assert!(check(&json!({"minLength": 1}), &json!("x")).unwrap_err().to_string().contains("minLength"));
    }
}
