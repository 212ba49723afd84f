//! A layer's text with its version, as it is published: signed, named by its hash, and only ever replaced by a later one.
//!
//! Who signs: governance the consortium's layer, a steward of the owning organisation the owner's. The local layer is not
//! signed: it lies on the owner's own disk. Verifying costs 25 us, reading the text a millisecond or so.

use std::fmt;

use governance::{BadSignature, ContentHash, SigningKey, VerifyingKey, canonical, keys};
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

/// Body and signature as they travel and lie on disk. The body is the canonical JSON of a `Bundle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedBundle {
    pub body: String,
    #[serde(default, with = "canonical::hexadecimal")]
    pub signature: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("the bundle is not signed: `sotto policy sign`")]
    Unsigned,
    #[error("the bundle is not signed by a key that may sign the {layer} layer of `{of}`: {error}")]
    Signature {
        layer: Layer,
        of: String,
        error: BadSignature,
    },
    #[error("malformed bundle: {0}")]
    Malformed(String),
    #[error("mismatched layer: expected {}, got {}", spelled(.expected), spelled(.found))]
    OtherLayer {
        expected: (Layer, String),
        found: (Layer, String),
    },
    #[error("version 0 of the {0} layer: published versions are counted from 1")]
    NoVersion(Layer),
    #[error("the local layer is not signed: it lies on the owner's own disk, name it in the agent's configuration")]
    LocalIsNotSigned,
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
    /// Checks and signs. The only maker of a `SignedBundle` that verifies.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedBundle, BundleError> {
        self.publishable()?;
        Policies::check(self.clone())?;
        let body = self.canonical_json();
        let signature = key.sign(DOMAIN, body.as_bytes());
        Ok(SignedBundle { body, signature })
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
            (Layer::Local, _) => Err(BundleError::LocalIsNotSigned),
            (layer, 0) => Err(BundleError::NoVersion(layer)),
            _ => Ok(()),
        }
    }

    pub fn canonical_json(&self) -> String {
        // Unwrap safety: strings and integers, all of which JSON can spell.
        canonical::to_string(self).expect("a bundle is spellable")
    }
}

impl SignedBundle {
    /// Reads the file that `sotto policy sign` writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        serde_json::from_slice(bytes).map_err(|error| BundleError::Malformed(error.to_string()))
    }

    /// The policies, if one of `signers` signed exactly these bytes as this layer, and they are valid.
    pub fn verify(&self, layer: Layer, of: &str, signers: &[VerifyingKey]) -> Result<Policies, BundleError> {
        if self.signature.is_empty() {
            return Err(BundleError::Unsigned);
        }
        let by = |key: &VerifyingKey| keys::verify(key, DOMAIN, self.body.as_bytes(), &self.signature).is_ok();
        if !signers.iter().any(by) {
            let (of, error) = (of.to_owned(), BadSignature);
            return Err(BundleError::Signature { layer, of, error });
        }
        Bundle::open(&self.body, layer, of)
    }
}
