//! A failure as the operator sees it: the error with its causes, and a hint.

use std::error::Error;

use serde::Serialize;
use sysext_manifests::hint::Hint;

/// Something that went wrong, and what can be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// The error with all its causes.
    pub error: String,
    /// What the operator can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// `?` keeps the hint of every error.
impl<E: Error + Hint> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: in_full(&error), hint: error.hint() }
    }
}

/// An error with all its causes.
pub(crate) fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        // A message that ends with its cause already needs no second mention.
        if !text.ends_with(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        cause = error.source();
    }
    text
}
