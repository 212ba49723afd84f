//! An event: one thing that happened, signed by whom it is about, as a leaf of the log.
//!
//! A leaf is `{"event":{..},"signature":".."}` in canonical JSON, at most 65,535 bytes; its hash in the tree is the RFC 6962 hash of
//! exactly these bytes. It names what it concerns by hash and holds no data: the words of a request, or the reason of a refusal,
//! are a [`Payload`] beside the log, bound by a salted commitment. Erase payload and salt together, and the leaf still
//! verifies while nobody can tell what was said. Reading a leaf costs one Ed25519 verification, 25 us.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tiles::MAX_ENTRY;
use super::tree::TreeHash;
use crate::canonical::{self, Real};
use crate::{ContentHash, Roster, SigningKey, VerifyingKey, keys};

const DOMAIN: &str = "log event";
/// How the event of a resumption refers to the acts that it lifts: this and a number.
pub(crate) const LIFTS: &str = "lifts-";
/// How a decision refers to the policies in force: this and the layer.
pub const POLICY: &str = "policy-";
/// How a contribution refers to the newest act, or roster, that its agent had seen in the log when the vector left.
pub const SEEN: &str = "seen";
const COMMITMENT: &str = "log payload";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("malformed event: {0}")]
    Malformed(String),
    #[error("event is not in canonical JSON: write it with `SignedEvent::leaf`")]
    Spelling,
    #[error("a {kind} event does not refer to a `{reference}`")]
    Reference { kind: Kind, reference: &'static str },
    #[error("a {kind} event {} a {field}", if *.wanted { "lacks" } else { "must not have" })]
    Field {
        kind: Kind,
        field: &'static str,
        wanted: bool,
    },
    #[error("a {role:?} does not say a {kind} event")]
    Role { kind: Kind, role: Role },
    #[error("malformed charge: {0}")]
    Charge(&'static str),
    #[error("event has {found} bytes: expected at most {MAX_ENTRY}")]
    TooLong { found: usize },
    #[error("event is not signed by the key of `{0}`")]
    Signature(String),
    #[error("`{id}` has no key {key} as {role:?} of this consortium")]
    Stranger { role: Role, id: String, key: VerifyingKey },
    #[error("payload and salt are not what the event commits to")]
    Payload,
}

/// What happened. The required references are [`Kind::concerns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An analyst asked.
    Request,
    /// A participant said yes or no.
    Decision,
    /// A participant's ledger was charged, or a reservation came back.
    Charge,
    /// A masked vector left a participant.
    Contribution,
    /// A noisy sum was opened.
    Release,
    Grant,
    /// A grant, a consent or a policy ended before its time.
    Revocation,
    /// A version of a dataset's contract took effect.
    Contract,
    /// A policy, or the vocabulary of purposes, took effect.
    Policy,
    /// An organisation or a dataset was suspended, or is not any more.
    Suspension,
    /// A version of the membership took effect.
    Roster,
    /// A model entered a registry or moved within it.
    ModelVersion,
    /// Words that an earlier leaf commits to were erased where they were kept, with their salt: the leaf and its place stay.
    Deletion,
}

/// Who says so. The key is in the event, so that a reader without the roster can check the signature; that the key *is*
/// this actor's, only a roster says ([`SignedEvent::by_member`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    pub role: Role,
    pub id: String,
    pub key: VerifyingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Agent,
    Analyst,
    Coordinator,
    Governance,
    Steward,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Agent => "agent",
            Self::Analyst => "analyst",
            Self::Coordinator => "coordinator",
            Self::Governance => "governance",
            Self::Steward => "steward",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    Allow,
    Deny,
}

/// What an event did to a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetDelta {
    /// Releases set aside; below zero when they come back unused.
    pub tokens: i64,
    pub price: Price,
    /// The ledger's head after it: how an agent sees that its ledger was put back to an older state.
    pub ledger: ContentHash,
}

/// Of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Price {
    Private {
        epsilon: Real,
        delta: Real,
        /// Covers the charge at every order: a ledger that lost it is brought up to date by it, never too cheaply.
        rho: Real,
    },
    WithoutNoise,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// By the actor's clock, in milliseconds since 1970. The log's order, not this, says what came first.
    pub at_ms: u64,
    pub actor: Actor,
    /// Other things by hash: `request`, `round`, `plan`, `release`, `grant`, ..
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, ContentHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContentHash>,
    /// The root of the publication of consents that a decision rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ContentHash>,
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_delta: Option<BudgetDelta>,
    /// Vectors that a contribution stands for: one if absent. A training run says many at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<u32>,
    /// [`Payload::commitment`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<ContentHash>,
}

/// An event whose signature was made or verified by the key that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEvent {
    event: Event,
    leaf: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaf {
    event: Event,
    #[serde(with = "canonical::hexadecimal")]
    signature: Vec<u8>,
}

/// A leaf of whatever kind.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyLeaf {
    event: serde_json::Value,
    #[serde(with = "canonical::hexadecimal")]
    signature: Vec<u8>,
}

impl Event {
    /// An event with nothing but what every event has.
    pub fn new(kind: Kind, at_ms: u64, actor: Actor) -> Self {
        Self {
            kind,
            at_ms,
            actor,
            references: BTreeMap::new(),
            contract: None,
            consent: None,
            consent_version: None,
            decision: None,
            budget_delta: None,
            vectors: None,
            payload: None,
        }
    }

    /// What somebody decided in a signed act, by the act's hash. `subject` is what the kind concerns: the grant, the thing revoked, the
    /// roster; a contract is named in the event's own field.
    pub fn of_act(kind: Kind, act: ContentHash, subject: ContentHash, at_ms: u64, actor: Actor) -> Self {
        let event = Self::new(kind, at_ms, actor).refers("act", act);
        match kind.concerns().first() {
            Some(name) => event.refers(name, subject),
            None => Self {
                contract: Some(subject),
                ..event
            },
        }
    }

    /// The same event, which refers to one more thing.
    pub fn refers(mut self, name: &str, to: ContentHash) -> Self {
        self.references.insert(name.into(), to);
        self
    }

    /// Checks and signs. The actor's key must be this one.
    pub fn sign(self, key: &SigningKey) -> Result<SignedEvent, EventError> {
        if self.actor.key != key.public() {
            return Err(EventError::Signature(self.actor.id));
        }
        let signature = self.signature(key)?;
        self.signed(signature)
    }

    /// The event with a signature that was made elsewhere, if it is the actor's.
    pub fn signed(self, signature: Vec<u8>) -> Result<SignedEvent, EventError> {
        let leaf = canonical_json(&Leaf { event: self, signature })?;
        SignedEvent::parse(leaf.as_bytes())
    }

    /// The actor's signature alone, to be put to the same event by somebody who can write it down again.
    pub fn signature(&self, key: &SigningKey) -> Result<Vec<u8>, EventError> {
        Ok(key.sign(DOMAIN, canonical_json(self)?.as_bytes()))
    }

    /// Whether the actor's key is the one that governance enrolled for this role and name.
    pub fn by_member(&self, roster: &Roster, governance: &VerifyingKey) -> Result<(), EventError> {
        let Actor { role, id, key } = &self.actor;
        let enrolled = match role {
            Role::Agent => roster.agent(id).map(|agent| &agent.signing_key),
            Role::Analyst => roster.analyst(id).map(|analyst| &analyst.key),
            Role::Steward => roster.steward(id).map(|steward| &steward.key),
            Role::Coordinator => (roster.coordinator.id == *id).then_some(&roster.coordinator.signing_key),
            Role::Governance => (roster.consortium == *id).then_some(governance),
        };
        if enrolled != Some(key) {
            return Err(EventError::Stranger {
                role: *role,
                id: id.clone(),
                key: *key,
            });
        }
        Ok(())
    }

    fn check(&self) -> Result<(), EventError> {
        let (kind, role) = (self.kind, self.actor.role);
        if !kind.is_said_by(role) {
            return Err(EventError::Role { kind, role });
        }
        for reference in kind.concerns() {
            if !self.references.contains_key(*reference) {
                return Err(EventError::Reference { kind, reference });
            }
        }
        let field = |field, found: bool, wanted: bool| match found == wanted {
            true => Ok(()),
            false => Err(EventError::Field { kind, field, wanted }),
        };
        if self.consent_version.is_some() && (kind != Kind::Decision || self.consent.is_none()) {
            let (field, wanted) = ("version of consents", false);
            return Err(EventError::Field { kind, field, wanted });
        }
        field("decision", self.decision.is_some(), kind == Kind::Decision)?;
        field("budget delta", self.budget_delta.is_some(), kind == Kind::Charge)?;
        if self
            .vectors
            .is_some_and(|vectors| kind != Kind::Contribution || vectors == 0)
        {
            let (field, wanted) = ("number of vectors", false);
            return Err(EventError::Field { kind, field, wanted });
        }
        if matches!(kind, Kind::Request | Kind::Decision | Kind::Charge | Kind::Contract) {
            field("contract", self.contract.is_some(), true)?;
        }
        self.budget_delta.as_ref().map_or(Ok(()), BudgetDelta::check)
    }
}

impl BudgetDelta {
    fn check(&self) -> Result<(), EventError> {
        if self.tokens == 0 {
            return Err(EventError::Charge("it moves no tokens"));
        }
        match &self.price {
            Price::Private { epsilon, .. } if epsilon.get() <= 0.0 => {
                Err(EventError::Charge("its epsilon is not above zero"))
            }
            Price::Private { rho, .. } if rho.get() <= 0.0 => Err(EventError::Charge("its rho is not above zero")),
            Price::Private { delta, .. } if delta.get() <= 0.0 || delta.get() >= 1.0 => {
                Err(EventError::Charge("its delta is not between zero and one"))
            }
            _ => Ok(()),
        }
    }
}

impl Kind {
    /// What an event of this kind refers to at least.
    pub fn concerns(self) -> &'static [&'static str] {
        match self {
            Self::Request | Self::Decision | Self::Charge => &["request"],
            Self::Contribution => &["request", "round"],
            Self::Release => &["request", "release"],
            Self::Grant => &["grant"],
            Self::Revocation => &["revoked"],
            Self::Contract => &[],
            Self::Policy | Self::Suspension => &["act"],
            Self::Roster => &["roster"],
            Self::ModelVersion => &["model", "release"],
            Self::Deletion => &["deleted"],
        }
    }

    /// Whose word an event of this kind is. Nobody logs in another's place: an agent no answers, the coordinator no decisions.
    pub fn is_said_by(self, role: Role) -> bool {
        match self {
            Self::Request => role == Role::Analyst,
            Self::Decision | Self::Charge | Self::Contribution => role == Role::Agent,
            Self::Release | Self::Roster => role == Role::Coordinator,
            // By who decided, or by the coordinator, who took the act.
            Self::ModelVersion => matches!(role, Role::Analyst | Role::Coordinator),
            Self::Grant => matches!(role, Role::Analyst | Role::Steward | Role::Coordinator),
            Self::Contract => matches!(role, Role::Steward | Role::Coordinator),
            Self::Policy => matches!(role, Role::Steward | Role::Governance | Role::Coordinator),
            // By whoever kept what was erased.
            Self::Deletion => matches!(role, Role::Agent | Role::Coordinator),
            Self::Revocation | Self::Suspension => true,
        }
    }

    /// Whether an event of this kind tells of a signed act.
    pub fn is_of_act(self) -> bool {
        matches!(
            self,
            Self::Grant | Self::Revocation | Self::Contract | Self::Policy | Self::Suspension
        )
    }
}

/// As it is written in the leaf.
impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

impl SignedEvent {
    /// The event in a leaf's bytes, if they are canonical, complete for their kind, and signed by the key they name.
    pub fn parse(leaf: &[u8]) -> Result<Self, EventError> {
        if leaf.len() > MAX_ENTRY {
            return Err(EventError::TooLong { found: leaf.len() });
        }
        let parsed: Leaf = serde_json::from_slice(leaf).map_err(|e| EventError::Malformed(e.to_string()))?;
        let spelled = canonical_json(&parsed)?;
        if spelled.as_bytes() != leaf {
            return Err(EventError::Spelling);
        }
        let Leaf { event, signature } = parsed;
        event.check()?;
        let body = canonical_json(&event)?;
        keys::verify(&event.actor.key, DOMAIN, body.as_bytes(), &signature)
            .map_err(|_| EventError::Signature(event.actor.id.clone()))?;
        Ok(Self { event, leaf: spelled })
    }

    /// Whether a leaf is in canonical JSON, short enough, and signed by the key that it names: what every reader of every version can check,
    /// also of kinds that this one does not know.
    pub fn signed_by_its_actor(leaf: &[u8]) -> Result<(), EventError> {
        if leaf.len() > MAX_ENTRY {
            return Err(EventError::TooLong { found: leaf.len() });
        }
        let parsed: AnyLeaf = serde_json::from_slice(leaf).map_err(|e| EventError::Malformed(e.to_string()))?;
        if canonical_json(&parsed)?.as_bytes() != leaf {
            return Err(EventError::Spelling);
        }
        let actor = parsed.event.get("actor").cloned().unwrap_or_default();
        let actor: Actor = serde_json::from_value(actor).map_err(|e| EventError::Malformed(e.to_string()))?;
        let body = canonical_json(&parsed.event)?;
        keys::verify(&actor.key, DOMAIN, body.as_bytes(), &parsed.signature)
            .map_err(|_| EventError::Signature(actor.id))
    }

    /// The event in a leaf without its signature being looked at: of a leaf that was verified before it was stored.
    pub fn peek(leaf: &[u8]) -> Result<Event, EventError> {
        let parsed: Leaf = serde_json::from_slice(leaf).map_err(|e| EventError::Malformed(e.to_string()))?;
        Ok(parsed.event)
    }

    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The entry that the log holds.
    pub fn leaf(&self) -> &str {
        &self.leaf
    }

    pub fn hash(&self) -> TreeHash {
        TreeHash::leaf(self.leaf.as_bytes())
    }

    /// [`Event::by_member`].
    pub fn by_member(&self, roster: &Roster, governance: &VerifyingKey) -> Result<(), EventError> {
        self.event.by_member(roster, governance)
    }

    /// Whether these are the words that the event commits to.
    pub fn opens(&self, payload: &Payload) -> Result<(), EventError> {
        if self.event.payload != Some(payload.commitment()) {
            return Err(EventError::Payload);
        }
        Ok(())
    }
}

/// What an event does not say in the open, kept beside the log by whoever may see it. Its `Debug` shows nothing: it may name people.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// 32 fresh random bytes; without them a short payload could be guessed from its commitment.
    pub salt: ContentHash,
    pub text: String,
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Payload(..)")
    }
}

impl Payload {
    pub fn commitment(&self) -> ContentHash {
        ContentHash::of(COMMITMENT, &[self.salt.as_bytes(), self.text.as_bytes()])
    }
}

fn canonical_json<T: Serialize>(value: &T) -> Result<String, EventError> {
    canonical::to_string(value).map_err(|e| EventError::Malformed(e.to_string()))
}
