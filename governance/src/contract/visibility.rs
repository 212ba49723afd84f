//! What somebody who is not admitted to a dataset may know of it: nothing, that it exists, or its columns.
//!
//! The Open Data Contract Standard v3.1 has no field for it, so it stands where the standard wants what it does not know: in
//! `customProperties`, a list of `{ property, value }`. Any other property there is refused, as every unknown key is.

use serde::{Deserialize, Serialize};
use std::fmt;
use toml::Spanned;

/// From the most reticent to the most open. Whoever is admitted sees everything at every level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// As if it did not exist.
    Hidden,
    /// Name, owners and purposes: enough to ask for a grant.
    Listed,
    /// The whole contract.
    #[default]
    Schema,
}

impl Visibility {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Listed => "listed",
            Self::Schema => "schema",
        }
    }

    /// What is shown to an analyst who is admitted, or not.
    pub fn shown(self, admitted: bool) -> Self {
        if admitted { Self::Schema } else { self }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An entry of `customProperties`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomProperty {
    property: String,
    value: String,
}

/// The visibility that a file's custom properties declare; a fault with its offset in the text.
pub(super) fn of(properties: &[Spanned<CustomProperty>]) -> Result<Visibility, (usize, String)> {
    let mut found = None;
    for entry in properties {
        let fault = |message: String| Err((entry.span().start, message));
        let CustomProperty { property, value } = entry.get_ref();
        if property != "visibility" {
            return fault(format!("custom property `{property}`: expected `visibility`"));
        }
        let level = match value.as_str() {
            "hidden" => Visibility::Hidden,
            "listed" => Visibility::Listed,
            "schema" => Visibility::Schema,
            other => return fault(format!("visibility `{other}`: expected hidden, listed or schema")),
        };
        if found.replace(level).is_some() {
            return fault("visibility is declared twice".into());
        }
    }
    Ok(found.unwrap_or_default())
}
