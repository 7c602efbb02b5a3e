//! The JSON schemas in `docs/` are those of the types that read the documents. With `BLESS=1` in the environment
//! they are written instead of compared.

use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, to_value};
use sysext_manifests::catalog::{Catalog, CatalogFile, Root};
use sysext_manifests::schema;
use tests::workspace;

#[test]
fn golden_catalog_schema() -> Result<()> {
    compare("docs/catalog.schema.json", &to_value(schema::catalog())?)
}

#[test]
fn golden_repository_schema() -> Result<()> {
    compare("docs/repository.schema.json", &to_value(schema::repository())?)
}

/// Otherwise a field could be left out of the schema, for example by `serde(flatten)`.
#[test]
fn golden_catalog_schema_has_every_field_of_an_earlier_release() -> Result<()> {
    let path = workspace::root().join("manifests/tests/fixtures/catalog-2/catalog.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: CatalogFile = serde_json::from_str(&text)?;
    let schema = to_value(schema::catalog())?;
    // What is read and written again has no field of a later version.
    described(&schema, &schema["$defs"]["CatalogFile"], &to_value(&file)?, "")?;
    for root in &file.roots {
        let root: Root = root.unpack_unverified()?;
        described(&schema, &schema["$defs"]["Root"], &to_value(root)?, "root")?;
    }
    let catalog: Catalog = file.catalog.unpack_unverified()?;
    described(&schema, &schema, &to_value(catalog)?, "catalog")
}

/// Checks that each field of a document is in its schema.
fn described(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<()> {
    let schema = match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).with_context(|| format!("{place}: no {pointer}"))?,
        None => schema,
    };
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let place = format!("{place}/{name}");
            let any_name = || schema.get("additionalProperties").filter(|schema| schema.is_object());
            let by_pattern = || schema["patternProperties"].as_object()?.values().next();
            let field = schema["properties"].get(name).or_else(any_name).or_else(by_pattern);
            let field = field.with_context(|| format!("{place} is not in the schema"))?;
            described(document, field, value, &place)
        }),
        Value::Array(values) => values.iter().enumerate().try_for_each(|(index, value)| {
            described(document, &schema["items"], value, &format!("{place}/{index}"))
        }),
        _ => {
            ensure!(schema.is_object(), "{place} has no schema");
            Ok(())
        }
    }
}

fn compare(file: &str, schema: &Value) -> Result<()> {
    let path = workspace::root().join(file);
    let text = format!("{schema:#}\n");
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &text).with_context(|| format!("cannot write {file}"))?;
    }
    let committed = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
    ensure!(committed == text, "{file} is out of date: run this test with BLESS=1");
    Ok(())
}
