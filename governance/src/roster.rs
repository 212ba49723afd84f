//! The roster: who belongs to the consortium, with which keys, and how many may collude. Signed by governance.
//!
//! Agents take each other's keys from here and never on the coordinator's word. A `Roster` exists only if it is
//! consistent; whether it is *authentic* is asked of `SignedRoster::verify`.

use crate::log::event::Role;
use crate::{BadSignature, ContentHash, SigningKey, VerifyingKey, canonical, keys};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const DOMAIN: &str = "roster";

/// Body and signature as they travel and lie on disk. The body is the canonical JSON of a `Roster`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRoster {
    pub body: String,
    #[serde(with = "canonical::hexadecimal")]
    pub signature: Vec<u8>,
}

/// One version of the membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    pub consortium: String,
    pub version: u64,
    /// How many agents may collude with the coordinator without learning anything but the sum.
    pub c: u32,
    /// The smallest cohort a sum may have, whatever an owner's own policy allows.
    pub min_cohort: u32,
    pub agents: Vec<Agent>,
    pub analysts: Vec<Analyst>,
    /// Absent in rosters without one, so that those keep their bytes and their hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stewards: Vec<Steward>,
    pub coordinator: CoordinatorEntry,
    /// Transport keys that were replaced and still count for a while. A list of its own, so that a member's entry never has two keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<Retiring>,
}

/// The transport key that a member had before its last rotation: accepted beside the new one until a moment, so that a rotation
/// interrupts nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retiring {
    pub role: Role,
    pub id: String,
    pub tls_key: ContentHash,
    pub until_ms: u64,
}

/// One organisation's agent. `tls_key` is the BLAKE3 hash of its SubjectPublicKeyInfo in DER.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    pub id: String,
    pub organisation: String,
    pub signing_key: VerifyingKey,
    pub tls_key: ContentHash,
}

/// A person who may sign requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analyst {
    pub id: String,
    pub organisation: String,
    pub key: VerifyingKey,
    pub tls_key: ContentHash,
}

/// A person who speaks for an organisation: approves, suspends and ends grants. Never one who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steward {
    pub id: String,
    pub organisation: String,
    pub key: VerifyingKey,
    pub tls_key: ContentHash,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoordinatorEntry {
    pub id: String,
    /// Who runs it, if it is not an organisation of its own: an agent of the same organisation is no witness of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    pub tls_key: ContentHash,
    pub signing_key: VerifyingKey,
}

impl CoordinatorEntry {
    /// The organisation that runs it; its own id where the roster names none.
    pub fn organisation(&self) -> &str {
        self.organisation.as_deref().unwrap_or(&self.id)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    #[error("roster is not signed by the governance key: {0}")]
    Signature(#[from] BadSignature),
    #[error("malformed roster: {0}")]
    Malformed(String),
    #[error("roster does not name at least 3 agents: found {0}")]
    TooFew(usize),
    #[error("roster tolerates {c} colluders among {agents} agents: expected 1 to {}", agents.saturating_sub(2))]
    Colluders { c: u32, agents: usize },
    #[error("minimum cohort {min_cohort}: expected {low} to {high}")]
    MinCohort { min_cohort: u32, low: u32, high: usize },
    #[error("{what} `{value}` appears twice in the roster")]
    Twice { what: &'static str, value: String },
    #[error("retiring key of {role} `{id}`, who is no such member")]
    Retiring { role: Role, id: String },
    #[error("roster of `{found}` offered to the consortium `{expected}`")]
    OtherConsortium { expected: String, found: String },
    #[error("roster version {found} is not newer than {current}")]
    Stale { current: u64, found: u64 },
}

impl SignedRoster {
    /// The roster, if governance signed exactly these bytes and they are consistent.
    pub fn verify(&self, governance: &VerifyingKey) -> Result<Roster, RosterError> {
        keys::verify(governance, DOMAIN, self.body.as_bytes(), &self.signature)?;
        self.read()
    }

    /// The roster without its signature being looked at: of a record that was verified before it was stored.
    pub fn read(&self) -> Result<Roster, RosterError> {
        let roster: Roster = serde_json::from_str(&self.body).map_err(|e| RosterError::Malformed(e.to_string()))?;
        roster.check()?;
        Ok(roster)
    }

    /// The name of these very bytes.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(DOMAIN, &[self.body.as_bytes()])
    }
}

impl Roster {
    /// Checks and signs. The only maker of a `SignedRoster` that verifies.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedRoster, RosterError> {
        self.check()?;
        let body = canonical::to_string(self).map_err(|e| RosterError::Malformed(e.to_string()))?;
        let signature = key.sign(DOMAIN, body.as_bytes());
        Ok(SignedRoster { body, signature })
    }

    /// Versions only rise, within one consortium.
    pub fn supersedes(&self, current: &Roster) -> Result<(), RosterError> {
        if self.consortium != current.consortium {
            return Err(RosterError::OtherConsortium {
                expected: current.consortium.clone(),
                found: self.consortium.clone(),
            });
        }
        if self.version <= current.version {
            return Err(RosterError::Stale {
                current: current.version,
                found: self.version,
            });
        }
        Ok(())
    }

    pub fn agent(&self, id: &str) -> Option<&Agent> {
        self.agents.iter().find(|a| a.id == id)
    }

    pub fn analyst(&self, id: &str) -> Option<&Analyst> {
        self.analysts.iter().find(|a| a.id == id)
    }

    pub fn steward(&self, id: &str) -> Option<&Steward> {
        self.stewards.iter().find(|s| s.id == id)
    }

    /// Everybody who belongs, by id, with the organisation.
    pub fn everybody(&self) -> impl Iterator<Item = (&str, &str)> {
        let agents = self.agents.iter().map(|agent| (&*agent.id, &*agent.organisation));
        let analysts = self
            .analysts
            .iter()
            .map(|analyst| (&*analyst.id, &*analyst.organisation));
        let stewards = self
            .stewards
            .iter()
            .map(|steward| (&*steward.id, &*steward.organisation));
        let coordinator = (&*self.coordinator.id, self.coordinator.organisation());
        agents.chain(analysts).chain(stewards).chain([coordinator])
    }

    /// Whether a member may be at the other end with this transport key: its own, or the one before until it has retired. `None` for
    /// somebody who is no member.
    pub fn accepts(&self, role: Role, id: &str, tls_key: &ContentHash, now_ms: u64) -> Option<bool> {
        let current = self.tls_key(role, id)?;
        let retiring = self.retiring_of(role, id);
        Some(current == *tls_key || retiring.is_some_and(|old| old.tls_key == *tls_key && now_ms < old.until_ms))
    }

    /// The transport key that a member is to use.
    pub fn tls_key(&self, role: Role, id: &str) -> Option<ContentHash> {
        match role {
            Role::Agent => self.agent(id).map(|agent| agent.tls_key),
            Role::Analyst => self.analyst(id).map(|analyst| analyst.tls_key),
            Role::Steward => self.steward(id).map(|steward| steward.tls_key),
            Role::Coordinator => (self.coordinator.id == id).then_some(self.coordinator.tls_key),
            Role::Governance => None,
        }
    }

    /// The key that a member signs with.
    pub fn signing_key(&self, role: Role, id: &str) -> Option<VerifyingKey> {
        match role {
            Role::Agent => self.agent(id).map(|agent| agent.signing_key),
            Role::Analyst => self.analyst(id).map(|analyst| analyst.key),
            Role::Steward => self.steward(id).map(|steward| steward.key),
            Role::Coordinator => (self.coordinator.id == id).then_some(self.coordinator.signing_key),
            Role::Governance => None,
        }
    }

    pub fn retiring_of(&self, role: Role, id: &str) -> Option<&Retiring> {
        self.retiring.iter().find(|old| old.role == role && old.id == id)
    }

    /// The next moment at which a key stops being accepted.
    pub fn next_retirement_ms(&self, now_ms: u64) -> Option<u64> {
        let coming = self.retiring.iter().map(|old| old.until_ms);
        coming.filter(|until_ms| *until_ms > now_ms).min()
    }

    /// Whether somebody speaks for this organisation.
    pub fn has_steward_of(&self, organisation: &str) -> bool {
        self.stewards.iter().any(|s| s.organisation == organisation)
    }

    /// Whether this organisation holds data here.
    pub fn has_agent_of(&self, organisation: &str) -> bool {
        self.agents.iter().any(|a| a.organisation == organisation)
    }

    fn check(&self) -> Result<(), RosterError> {
        let n = self.agents.len();
        if n < 3 {
            return Err(RosterError::TooFew(n));
        }
        if self.c < 1 || self.c as usize + 2 > n {
            return Err(RosterError::Colluders { c: self.c, agents: n });
        }
        let low = self.c + 2;
        if self.min_cohort < low || self.min_cohort as usize > n {
            return Err(RosterError::MinCohort {
                min_cohort: self.min_cohort,
                low,
                high: n,
            });
        }
        let agents = &self.agents;
        let analysts = &self.analysts;
        // One agent per organisation: an organisation with two would count twice against c.
        distinct("agent", agents.iter().map(|a| a.id.clone()))?;
        distinct(
            "organisation of an agent",
            agents.iter().map(|a| a.organisation.clone()),
        )?;
        distinct("signing key", agents.iter().map(|a| a.signing_key.to_string()))?;
        distinct("analyst", analysts.iter().map(|a| a.id.clone()))?;
        distinct("analyst key", analysts.iter().map(|a| a.key.to_string()))?;
        // Separation of duties: whoever asks approves nothing, so a name or a key that does both is refused.
        let stewards = &self.stewards;
        let ids = analysts.iter().map(|a| &a.id).chain(stewards.iter().map(|s| &s.id));
        distinct("person", ids.cloned())?;
        let keys = analysts.iter().map(|a| a.key).chain(stewards.iter().map(|s| s.key));
        distinct("person's key", keys.map(|key| key.to_string()))?;
        let tls = agents
            .iter()
            .map(|a| a.tls_key)
            .chain(analysts.iter().map(|a| a.tls_key))
            .chain(stewards.iter().map(|s| s.tls_key));
        let tls = tls.chain([self.coordinator.tls_key]);
        // A retiring key is nobody else's, or its owner could speak for somebody it is not.
        let tls = tls.chain(self.retiring.iter().map(|old| old.tls_key));
        distinct("transport key", tls.map(|k| k.to_string()))?;
        for old in &self.retiring {
            if self.tls_key(old.role, &old.id).is_none() {
                let (role, id) = (old.role, old.id.clone());
                return Err(RosterError::Retiring { role, id });
            }
        }
        let retiring = self.retiring.iter();
        distinct(
            "retiring key of",
            retiring.map(|old| format!("{} {}", old.role, old.id)),
        )
    }
}

/// The roster in force at a place of the log, given what its leaves before that place name, in their order: the newest version of them. A
/// coordinator that names an older one again brings nobody back. Of all that are named the rosters themselves must be at hand.
pub fn in_force<'r>(
    named: impl IntoIterator<Item = ContentHash>,
    known: impl Fn(&ContentHash) -> Option<&'r Roster>,
) -> Result<Option<&'r Roster>, NotAtHand> {
    let mut newest: Option<&Roster> = None;
    for hash in named {
        let roster = known(&hash).ok_or(NotAtHand(hash))?;
        if newest.is_none_or(|newest| roster.version > newest.version) {
            newest = Some(roster);
        }
    }
    Ok(newest)
}

/// The log names a roster that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log names roster {0}, which is not at hand")]
pub struct NotAtHand(pub ContentHash);

fn distinct(what: &'static str, values: impl Iterator<Item = String>) -> Result<(), RosterError> {
    repeated(values).map_or(Ok(()), |value| Err(RosterError::Twice { what, value }))
}

/// The first value that was there before.
pub(crate) fn repeated(mut values: impl Iterator<Item = String>) -> Option<String> {
    let mut seen = BTreeSet::new();
    values.find(|value| !seen.insert(value.clone()))
}
