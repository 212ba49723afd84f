//! A layer's text with its version, as an act publishes it: named by its hash, and only ever replaced by a later one.
//!
//! Who may sign the act, the register says (`governance::register`): governance the consortium's layer, a steward of the owning organisation the
//! owner's. The local layer is not published: it lies on the owner's own disk. Reading a text costs a millisecond or so.

use std::fmt;

use governance::{ContentHash, canonical};
use serde::{Deserialize, Serialize};

use crate::{Faults, Policies};

const DOMAIN: &str = "policy";

/// Whose word it is. The order is the order in which layers are asked and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Of all organisations, signed by governance.
    Consortium,
    /// Of the organisation that owns the data, signed by a steward of it.
    Owner,
    /// Of whoever runs the agent.
    Local,
}

impl Layer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consortium => "consortium",
            Self::Owner => "owner",
            Self::Local => "local",
        }
    }

    /// The rule's name in refusals.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Consortium => "policy.consortium",
            Self::Owner => "policy.owner",
            Self::Local => "policy.local",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One text of policies and what errors call it: a file's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub name: String,
    pub text: String,
}

/// One version of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub layer: Layer,
    /// The consortium, or the organisation whose layer it is: nobody's bundle is another's.
    pub of: String,
    /// Counted from 1; the local layer, which is not published, has 0.
    pub version: u64,
    pub sources: Vec<Source>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("malformed bundle: {0}")]
    Malformed(String),
    #[error("mismatched layer: expected {}, got {}", spelled(.expected), spelled(.found))]
    OtherLayer {
        expected: (Layer, String),
        found: (Layer, String),
    },
    #[error("version 0 of the {0} layer: published versions are counted from 1")]
    NoVersion(Layer),
    #[error("the local layer is not published: it lies on the owner's own disk, name it in the agent's configuration")]
    LocalIsNotPublished,
    #[error("stale {layer} layer: version {version} is in force with another text; publish the change as version {}", .version + 1)]
    Stale { layer: Layer, version: u64 },
    #[error("rolled back {layer} layer: version {current} is in force, got {found}")]
    RolledBack { layer: Layer, current: u64, found: u64 },
    #[error("{0}")]
    Faults(#[from] Faults),
}

fn spelled((layer, of): &(Layer, String)) -> String {
    format!("the {layer} layer of `{of}`")
}

impl Bundle {
    /// The text that an act publishes, if agents will take it.
    pub fn published(&self) -> Result<String, BundleError> {
        self.publishable()?;
        Policies::check(self.clone())?;
        Ok(self.canonical_json())
    }

    /// The policies in a body, for who knows already whose word it is.
    pub fn open(body: &str, layer: Layer, of: &str) -> Result<Policies, BundleError> {
        let bundle: Self = serde_json::from_str(body).map_err(|error| BundleError::Malformed(error.to_string()))?;
        bundle.must_be(layer, of)?;
        bundle.publishable()?;
        Ok(Policies::check(bundle)?)
    }

    /// Names layer, version and text.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(DOMAIN, &[self.canonical_json().as_bytes()])
    }

    /// Whether this replaces `current`: `false` if it is the very same. Versions only rise.
    pub fn supersedes(&self, current: &Self) -> Result<bool, BundleError> {
        self.must_be(current.layer, &current.of)?;
        let (layer, version) = (self.layer, current.version);
        match self.version.cmp(&version) {
            std::cmp::Ordering::Greater => Ok(true),
            std::cmp::Ordering::Equal if self == current => Ok(false),
            std::cmp::Ordering::Equal => Err(BundleError::Stale { layer, version }),
            std::cmp::Ordering::Less => Err(BundleError::RolledBack {
                layer,
                current: version,
                found: self.version,
            }),
        }
    }

    fn must_be(&self, layer: Layer, of: &str) -> Result<(), BundleError> {
        if (self.layer, self.of.as_str()) == (layer, of) {
            return Ok(());
        }
        Err(BundleError::OtherLayer {
            expected: (layer, of.to_owned()),
            found: (self.layer, self.of.clone()),
        })
    }

    fn publishable(&self) -> Result<(), BundleError> {
        match (self.layer, self.version) {
            (Layer::Local, _) => Err(BundleError::LocalIsNotPublished),
            (layer, 0) => Err(BundleError::NoVersion(layer)),
            _ => Ok(()),
        }
    }

    pub(crate) fn canonical_json(&self) -> String {
        // Unwrap safety: strings and integers, all of which JSON can spell.
        canonical::to_string(self).expect("a bundle is spellable")
    }
}
