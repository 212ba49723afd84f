//! Acts: everything that people decide about a consortium's data, signed by who decides it. One mechanism for grants, contracts,
//! policies, purposes and suspensions.
//!
//! An act is canonical JSON under a signature of its own domain and is named by its hash, so the same act twice is one act. It says
//! who speaks (role, name, organisation), when, and what. Whether the signature is that person's, `SignedAct::verify` asks the
//! roster; whether the act may be taken, the [`crate::register`]. Reading one costs one Ed25519 verification, 25 us.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::contract::Stage;
use crate::grant::{Terms, line_hash};
use crate::log::event::{Actor, Event, Kind, LIFTS, Role};
use crate::log::{EventError, SignedEvent};
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
    GrantSuspended { grant: ContentHash, owner: Option<String> },
    /// Who suspended goes on.
    GrantResumed {
        grant: ContentHash,
        owner: Option<String>,
        /// The acts whose suspension ends. None only in acts from before they were named: see [`crate::hold::Holds`].
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        lifts: BTreeSet<ContentHash>,
    },
    /// Either side ends the grant for good.
    GrantRevoked { grant: ContentHash, owner: Option<String> },
    /// Either side says that it has served its end, for good.
    GrantCompleted { grant: ContentHash, owner: Option<String> },
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
    VocabularyPublished { version: u64, terms: Vec<Term> },
    /// Nobody of an organisation, or nobody at all of a dataset, from now on: see [`crate::register`] for how far it reaches.
    Suspended { subject: Subject },
    Reinstated {
        subject: Subject,
        /// As with a grant that is resumed.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        lifts: BTreeSet<ContentHash>,
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

impl Subject {
    /// How the log names it. Whoever knows the name can tell; a hash of a name hides nothing from those who guess it.
    pub fn hash(&self) -> ContentHash {
        let (kind, name) = match self {
            Self::Organisation(name) => ("organisation", name),
            Self::Dataset(name) => ("dataset", name),
        };
        ContentHash::of("subject", &[kind.as_bytes(), name.as_bytes()])
    }
}

/// Body and signatures as they travel and are kept. The body is the canonical JSON of an [`Act`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedAct {
    pub body: String,
    #[serde(with = "canonical::hexadecimal")]
    pub signature: Vec<u8>,
    /// The signer's signature of the act's event in the log: the leaf stands on the word of who decided, not on the coordinator's. Empty
    /// in acts from before there was one.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "canonical::hexadecimal")]
    pub event: Vec<u8>,
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
    #[error("the act's event for the log is not signed by the key of `{0}`")]
    EventSignature(String),
    #[error("the act says {at_ms} ms, it is {now_ms} ms: check both clocks and sign again")]
    Clock { at_ms: u64, now_ms: u64 },
}

impl Act {
    pub fn sign(&self, key: &SigningKey) -> Result<SignedAct, ActError> {
        self.check()?;
        let body = canonical::to_string(self).map_err(|e| ActError::Malformed(e.to_string()))?;
        let signature = key.sign(DOMAIN, body.as_bytes());
        let event = self.event(ContentHash::of(DOMAIN, &[body.as_bytes()]), key.public());
        let event = event.signature(key).map_err(|e| ActError::Malformed(e.to_string()))?;
        let signed = SignedAct { body, signature, event };
        signed.read().map(|_| signed)
    }

    /// What the log says of the act: who decided what about which thing, by hashes. Written down alike by everybody.
    fn event(&self, hash: ContentHash, key: VerifyingKey) -> Event {
        let (role, id) = (self.by.role, self.by.id.clone());
        self.event_by(hash, self.at_ms, Actor { role, id, key })
    }

    /// The same in somebody else's words: the coordinator's, where the signer gave none.
    pub fn event_by(&self, hash: ContentHash, at_ms: u64, actor: Actor) -> Event {
        let event = |kind| Event::new(kind, at_ms, actor.clone()).refers("act", hash);
        let line = |grant: &ContentHash, owner: &Option<String>| match owner {
            Some(owner) => line_hash(grant, owner),
            None => *grant,
        };
        match &self.what {
            What::GrantRequested { .. } => event(Kind::Grant).refers("grant", hash),
            What::GrantOffered { grant, owner, .. } | What::GrantAgreed { grant, owner, .. } => event(Kind::Grant)
                .refers("grant", *grant)
                .refers("line", line_hash(grant, owner)),
            What::GrantSuspended { grant, owner } => event(Kind::Suspension)
                .refers("grant", *grant)
                .refers("suspended", line(grant, owner)),
            What::GrantResumed { grant, owner, lifts } => {
                let event = event(Kind::Suspension)
                    .refers("grant", *grant)
                    .refers("resumed", line(grant, owner));
                lifting(event, lifts)
            }
            What::GrantRevoked { grant, owner } | What::GrantCompleted { grant, owner } => {
                event(Kind::Revocation).refers("revoked", line(grant, owner))
            }
            What::ContractMoved { contract, .. } => Event {
                contract: Some(*contract),
                ..event(Kind::Contract)
            },
            What::PolicyPublished { bundle, .. } => event(Kind::Policy).refers("policy", policy_hash(bundle)),
            What::VocabularyPublished { .. } => event(Kind::Policy).refers("vocabulary", hash),
            What::Suspended { subject } => event(Kind::Suspension).refers("suspended", subject.hash()),
            What::Reinstated { subject, lifts } => {
                lifting(event(Kind::Suspension).refers("reinstated", subject.hash()), lifts)
            }
        }
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

/// The acts that a resumption names, in their order.
fn lifting(event: Event, lifts: &BTreeSet<ContentHash>) -> Event {
    let named = lifts.iter().enumerate();
    named.fold(event, |event, (place, act)| {
        event.refers(&format!("{LIFTS}{place}"), *act)
    })
}

/// How the log and decisions name a policy.
pub fn policy_hash(bundle: &str) -> ContentHash {
    ContentHash::of("policy bundle", &[bundle.as_bytes()])
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

    /// What a resumption lifts; none: it is of another kind.
    pub fn lifts(&self) -> Option<&BTreeSet<ContentHash>> {
        match self {
            Self::GrantResumed { lifts, .. } | Self::Reinstated { lifts, .. } => Some(lifts),
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
        Ok(self.signed_by(roster, governance)?.0)
    }

    /// The act's event in the log, if who signed the act signed that as well; none where no such signature came with it.
    pub fn logged(&self, roster: &Roster, governance: &VerifyingKey) -> Result<Option<SignedEvent>, ActError> {
        let (act, key) = self.signed_by(roster, governance)?;
        if self.event.is_empty() {
            return Ok(None);
        }
        let event = act.event(self.hash(), key).signed(self.event.clone());
        event.map(Some).map_err(|error| match error {
            EventError::Signature(id) => ActError::EventSignature(id),
            error => ActError::Malformed(error.to_string()),
        })
    }

    fn signed_by(&self, roster: &Roster, governance: &VerifyingKey) -> Result<(Act, VerifyingKey), ActError> {
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
        Ok((act, key))
    }

    /// The act's name. It covers the body alone: a second signature over the same body is the same act.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(DOMAIN, &[self.body.as_bytes()])
    }
}
