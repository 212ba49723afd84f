//! Acts: everything that people decide about a consortium's data, signed by who decides it. One mechanism for grants, contracts,
//! policies, purposes and suspensions.
//!
//! An act is canonical JSON under a signature of its own domain and is named by its hash, so the same act twice is one act. It says
//! who speaks (role, name, organisation), when, and what. Whether the signature is that person's, `SignedAct::verify` asks the
//! roster; whether the act may be taken, the [`crate::register`]. Reading one costs one Ed25519 verification, 25 us.

use serde::{Deserialize, Serialize};

use crate::contract::Stage;
use crate::grant::Terms;
use crate::log::event::Role;
use crate::purpose::Term;
use crate::request::MAX_SKEW_MS;
use crate::{ContentHash, Roster, SigningKey, VerifyingKey, canonical, keys};

const DOMAIN: &str = "act";
/// A policy bundle is the longest thing an act says.
const MAX_BODY: usize = 256 * 1024;
/// A note is a sentence, not a document.
const MAX_NOTE: usize = 500;

/// One decision of one person or agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    pub by: By,
    /// By the signer's clock, in milliseconds since 1970.
    pub at_ms: u64,
    /// In the signer's words; empty where there is nothing to add.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    pub what: What,
}

/// Who speaks, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct By {
    pub role: Role,
    pub id: String,
    /// The consortium's name, for governance.
    pub organisation: String,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// An analyst asks. The hash of this act is the grant's id.
    GrantRequested {
        terms: Terms,
        /// Whether a steward of the requester's organisation must agree: so, where it has one.
        steward_agrees: bool,
    },
    /// An owner offers, the terms as requested or narrower.
    GrantOffered {
        grant: ContentHash,
        owner: String,
        terms: Terms,
    },
    /// The requester's side agrees to the version that an owner offered.
    GrantAgreed {
        grant: ContentHash,
        owner: String,
        version: u32,
    },
    /// Either side holds the grant up. Without an owner: with all of them, which only the requester's side may say.
    GrantSuspended {
        grant: ContentHash,
        owner: Option<String>,
    },
    /// Who suspended goes on.
    GrantResumed {
        grant: ContentHash,
        owner: Option<String>,
    },
    /// Either side ends the grant for good.
    GrantRevoked {
        grant: ContentHash,
        owner: Option<String>,
    },
    /// Either side says that it has served its end, for good.
    GrantCompleted {
        grant: ContentHash,
        owner: Option<String>,
    },
    /// An owner moves a version of a dataset's contract along. The owner is the signer's organisation.
    ContractMoved {
        dataset: String,
        contract: ContentHash,
        to: Stage,
    },
    /// A policy replaces the one before it in its layer.
    PolicyPublished {
        layer: Layer,
        version: u64,
        /// What it says is the business of whoever evaluates policies.
        bundle: String,
    },
    /// The consortium's own purposes, all of them; they stand beside those that ship.
    VocabularyPublished {
        version: u64,
        terms: Vec<Term>,
    },
    /// Nobody of an organisation, or nobody at all of a dataset, from now on: see [`crate::register`] for how far it reaches.
    Suspended {
        subject: Subject,
    },
    Reinstated {
        subject: Subject,
    },
}

/// Whose policy: every layer can only narrow what the others allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    Consortium,
    /// Of one organisation, over its own data.
    Owner(String),
}

/// What can be suspended beside a grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    Organisation(String),
    Dataset(String),
}

/// Body and signature as they travel and are kept. The body is the canonical JSON of an [`Act`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedAct {
    pub body: String,
    #[serde(with = "canonical::hexadecimal")]
    pub signature: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    #[error("malformed act: {0}")]
    Malformed(String),
    #[error("`{id}` of `{organisation}` does not stand in the roster as {role:?}")]
    Stranger {
        role: Role,
        id: String,
        organisation: String,
    },
    #[error("the act is not signed by the key of `{0}`")]
    Signature(String),
    #[error("the act says {at_ms} ms, it is {now_ms} ms: check both clocks and sign again")]
    Clock { at_ms: u64, now_ms: u64 },
}

impl Act {
    pub fn sign(&self, key: &SigningKey) -> Result<SignedAct, ActError> {
        self.check()?;
        let body = canonical::to_string(self).map_err(|e| ActError::Malformed(e.to_string()))?;
        let signature = key.sign(DOMAIN, body.as_bytes());
        let signed = SignedAct { body, signature };
        signed.read().map(|_| signed)
    }

    fn check(&self) -> Result<(), ActError> {
        if self.note.len() > MAX_NOTE || self.note.chars().any(char::is_control) {
            let text = format!("a note has at most {MAX_NOTE} bytes and no control characters");
            return Err(ActError::Malformed(text));
        }
        Ok(())
    }

    /// Whether it was signed about now: what the door asks, so that nobody hands in an old decision as a new one.
    pub fn is_fresh(&self, now_ms: u64) -> Result<(), ActError> {
        match self.at_ms.abs_diff(now_ms) <= MAX_SKEW_MS {
            true => Ok(()),
            false => Err(ActError::Clock {
                at_ms: self.at_ms,
                now_ms,
            }),
        }
    }
}

impl What {
    /// A short name, for logs and for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GrantRequested { .. } => "grant-requested",
            Self::GrantOffered { .. } => "grant-offered",
            Self::GrantAgreed { .. } => "grant-agreed",
            Self::GrantSuspended { .. } => "grant-suspended",
            Self::GrantResumed { .. } => "grant-resumed",
            Self::GrantRevoked { .. } => "grant-revoked",
            Self::GrantCompleted { .. } => "grant-completed",
            Self::ContractMoved { .. } => "contract-moved",
            Self::PolicyPublished { .. } => "policy-published",
            Self::VocabularyPublished { .. } => "vocabulary-published",
            Self::Suspended { .. } => "suspended",
            Self::Reinstated { .. } => "reinstated",
        }
    }

    /// Whether the act can only take away what may be asked. Such an act is heard even from somebody whom the roster no longer names.
    pub fn narrows(&self) -> bool {
        matches!(
            self,
            Self::GrantSuspended { .. }
                | Self::GrantRevoked { .. }
                | Self::GrantCompleted { .. }
                | Self::Suspended { .. }
        )
    }

    /// The grant that it is about, unless it is the request itself.
    pub fn grant(&self) -> Option<&ContentHash> {
        match self {
            Self::GrantOffered { grant, .. }
            | Self::GrantAgreed { grant, .. }
            | Self::GrantSuspended { grant, .. }
            | Self::GrantResumed { grant, .. }
            | Self::GrantRevoked { grant, .. }
            | Self::GrantCompleted { grant, .. } => Some(grant),
            _ => None,
        }
    }
}

impl SignedAct {
    /// The act without its signature being looked at: of a record that was verified before it was stored.
    pub fn read(&self) -> Result<Act, ActError> {
        if self.body.len() > MAX_BODY {
            let text = format!("{} bytes: expected at most {MAX_BODY}", self.body.len());
            return Err(ActError::Malformed(text));
        }
        let act: Act = serde_json::from_str(&self.body).map_err(|e| ActError::Malformed(e.to_string()))?;
        act.check()?;
        let spelled = canonical::to_string(&act).map_err(|e| ActError::Malformed(e.to_string()))?;
        if spelled != self.body {
            return Err(ActError::Malformed("it is not in canonical JSON".to_owned()));
        }
        Ok(act)
    }

    /// The act, if who it names stands in the roster for that organisation and signed it.
    pub fn verify(&self, roster: &Roster, governance: &VerifyingKey) -> Result<Act, ActError> {
        let act = self.read()?;
        let By { role, id, organisation } = &act.by;
        let enrolled = match role {
            Role::Analyst => roster.analyst(id).map(|a| (a.key, a.organisation.as_str())),
            Role::Steward => roster.steward(id).map(|s| (s.key, s.organisation.as_str())),
            Role::Agent => roster.agent(id).map(|a| (a.signing_key, a.organisation.as_str())),
            Role::Governance => (roster.consortium == *id).then_some((*governance, roster.consortium.as_str())),
            Role::Coordinator => None,
        };
        let Some((key, _)) = enrolled.filter(|(_, of)| of == organisation) else {
            return Err(ActError::Stranger {
                role: *role,
                id: id.clone(),
                organisation: organisation.clone(),
            });
        };
        keys::verify(&key, DOMAIN, self.body.as_bytes(), &self.signature)
            .map_err(|_| ActError::Signature(id.clone()))?;
        Ok(act)
    }

    /// The act's name. It covers the body alone: a second signature over the same body is the same act.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(DOMAIN, &[self.body.as_bytes()])
    }
}
