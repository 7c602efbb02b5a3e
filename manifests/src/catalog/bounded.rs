//! Lists of unsigned input: their length is limited while they are read.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a list of at most `MAX` elements.
pub(crate) fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(List::<T, MAX>(PhantomData))
}

struct List<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::custom(format!("more than {MAX} elements in a list")));
            }
            list.push(element);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::catalog::{CatalogFile, ROOTS_MAX};
    use crate::envelope::SIGNATURES_MAX;

    fn file(roots: usize, signatures_of_root: usize, signatures: usize) -> Value {
        let list = |count| vec![json!({ "key": "", "minisig": "" }); count];
        let root = json!({ "signed": "", "signatures": list(signatures_of_root) });
        json!({ "version": 1, "roots": vec![root; roots], "signed": "", "signatures": list(signatures) })
    }

    #[test]
    fn lists_of_a_catalog_are_limited() {
        let read = |value: Value| serde_json::from_str::<CatalogFile>(&value.to_string());
        read(file(ROOTS_MAX, 1, 1)).unwrap();
        read(file(1, SIGNATURES_MAX, SIGNATURES_MAX)).unwrap();
        for (value, limit) in [
            (file(ROOTS_MAX + 1, 1, 1), ROOTS_MAX),
            (file(1, SIGNATURES_MAX + 1, 1), SIGNATURES_MAX),
            (file(1, 1, SIGNATURES_MAX + 1), SIGNATURES_MAX),
        ] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.starts_with(&format!("more than {limit} elements in a list")), "{error}");
        }
    }

    #[test]
    fn unknown_fields_are_skipped_and_not_stored() {
        // Who stores this number has to parse it, and fails
        let text = r#"{"version":1,"roots":[],"later":[1e999,[[]]],"signed":"","signatures":[]}"#;
        serde_json::from_str::<CatalogFile>(text).unwrap();
    }
}
