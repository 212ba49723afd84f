//! What two people of an organisation sign before its ledger allows more, or is brought up to what the log says.
//!
//! A signature is over a [`Proposal`]: this agent (by its key), and changes, each of one line of one population's ledger from the state in
//! which it is to a new cap, renewal and all. The state is named by the hash of the ledger's entry that set the cap ([`Ledger::cap_set_by`]),
//! which no later state has again: so a signature raises one cap once, and neither another figure, line, population or agent, nor the same
//! one after it was lowered. Whose signatures count is a list in `participant.toml` that the store pins when it first reads one
//! (`ParticipantRecord::ApproversSet`); from then on it changes by two signatures of the list before.
//!
//! What somebody can do who writes `participant.toml` and has neither two of the keys nor the store:
//! - lower caps, take budgets out and put them back at the caps that the ledger still has, list approvals that two people did sign, and take `*`'s cap from an analyst by giving it a line of its own;
//! - of an agent that never had a cap, set the first ones, and of one that never had a list of approvers, write the first list: list them
//!   before the agent's first start, and look at `sotto-participant status`;
//! - whatever else that file says: who may ask, which files a dataset has, which population of those that have a budget it is charged to,
//!   and the names behind `without_noise_approved_by`, which is no signature;
//! - point `store` at an empty place: that is an agent that never had a cap, nor a list. The log finds its own events missing (SOTTO-3032), and
//!   nothing is answered until what was charged is charged again; but whoever reaches the agent's socket, too, signs that with keys of the new
//!   list. A coordinator that helps, and shows this agent an old head, hides the loss altogether.
//!
//! Beside that it cannot raise a cap, renew one more often, open a line for an analyst or a population that had none, or put its own keys on the list.
//! Whoever writes the *store* can do all of it: the ledger is a chain of hashes and not of signatures, and an older store that is put back has
//! the older list (the log finds it behind, and it answers nothing until two of *that* list have signed what is replayed).
//! That two keys are two people is for the organisation to see to.

use std::collections::BTreeMap;
use std::fmt;

use governance::canonical;
use governance::keys::{self, SigningKey, VerifyingKey};
use governance::{BadSignature, ContentHash};
use privacy::ledger::EntryHash;
use privacy::{Cap, Ledger};
use serde::{Deserialize, Serialize};

const DOMAIN: &str = "local approval";

/// How many stand for one change.
pub const PEOPLE: usize = 2;

pub use privacy::ledger::EVERYBODY;

/// People whose signatures count here, by name.
pub type Approvers = BTreeMap<String, VerifyingKey>;

/// One thing that two people allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// What one line of a ledger may spend from now on.
    Cap {
        population: String,
        /// None: all together.
        analyst: Option<String>,
        /// The entry that set what it may spend now.
        after: EntryHash,
        from: Option<Cap>,
        to: Cap,
    },
    /// Whose signatures count from now on.
    Approvers {
        /// Of the new list; lists are counted from 0.
        version: u64,
        from: Approvers,
        to: Approvers,
    },
    /// Charges that the store lost are charged again, at any cap.
    Replay {
        /// A hash over the events of the log that the store lacks.
        missing: ContentHash,
        events: u64,
        /// Whose budgets pay: tokens by population and line. None where it was signed before that was said.
        #[serde(default)]
        charged: Recharged,
    },
}

/// Tokens that are charged again, by population and line.
pub type Recharged = BTreeMap<String, BTreeMap<String, u64>>;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// For people; what counts is the key.
    pub agent: String,
    /// The signing key of the agent at which it holds.
    pub key: VerifyingKey,
    pub changes: Vec<Change>,
}

/// A proposal with signatures, as it lies in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub proposal: Proposal,
    #[serde(default)]
    pub signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub key: VerifyingKey,
    #[serde(with = "canonical::hexadecimal")]
    pub signature: Vec<u8>,
}

impl Change {
    /// The names that it shows, as whoever wrote it spelt them.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Cap {
                population, analyst, ..
            } => std::iter::once(population).chain(analyst).map(String::as_str).collect(),
            Self::Approvers { from, to, .. } => from.keys().chain(to.keys()).map(String::as_str).collect(),
            Self::Replay { charged, .. } => {
                let lines = charged.values().flat_map(BTreeMap::keys);
                charged.keys().chain(lines).map(String::as_str).collect()
            }
        }
    }

    /// The change of one line to `to`.
    pub fn of_cap(ledger: &Ledger, analyst: Option<&str>, to: Cap) -> Self {
        Self::Cap {
            population: ledger.population().as_str().to_owned(),
            analyst: analyst.map(str::to_owned),
            after: ledger.cap_set_by(analyst),
            from: match analyst {
                None => ledger.cap(),
                Some(analyst) => ledger.analyst_cap(analyst),
            },
            to,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cap {
                population,
                analyst,
                from,
                to,
                ..
            } => {
                match analyst.as_deref() {
                    None => write!(f, "population `{population}`, all together")?,
                    Some(EVERYBODY) => write!(f, "population `{population}`, each analyst without a line")?,
                    Some(analyst) => write!(f, "population `{population}`, analyst `{analyst}`")?,
                }
                match from {
                    None => write!(f, ": no cap -> {}", in_words(to)),
                    Some(from) => write!(f, ": {} -> {}", in_words(from), in_words(to)),
                }
            }
            Self::Approvers { from, to, .. } => write!(f, "approvers: {} -> {}", listed(from), listed(to)),
            Self::Replay {
                missing,
                events,
                charged,
            } => {
                write!(f, "what {events} events of the log charged is charged again:")?;
                for (population, lines) in charged {
                    for (line, tokens) in lines {
                        write!(f, " {tokens} tokens of `{line}` to population `{population}`;")?;
                    }
                }
                write!(f, " ({missing})")
            }
        }
    }
}

fn in_words(cap: &Cap) -> String {
    let renews = match cap.renews {
        privacy::Renewal::Never => "never renewed",
        privacy::Renewal::Year => "renewed each year",
        privacy::Renewal::Quarter => "renewed each quarter",
        privacy::Renewal::Month => "renewed each month",
    };
    format!("epsilon {}, delta {}, {renews}", cap.epsilon(), cap.delta.value())
}

fn listed(people: &Approvers) -> String {
    let named = people.iter().map(|(name, key)| format!("{name} ({key})"));
    named.collect::<Vec<_>>().join(", ")
}

impl Approval {
    /// Adds the signature of one person, in place of one by the same key.
    pub fn sign(&mut self, key: &SigningKey) -> Result<(), serde_json::Error> {
        let body = canonical::to_string(&self.proposal)?;
        let signature = Signature {
            key: key.public(),
            signature: key.sign(DOMAIN, body.as_bytes()),
        };
        self.signatures.retain(|old| old.key != key.public());
        self.signatures.push(signature);
        Ok(())
    }

    /// Those of `approvers` who signed.
    fn signers<'a>(&self, approvers: &'a Approvers) -> Vec<(&'a str, &'a VerifyingKey)> {
        let Ok(body) = canonical::to_string(&self.proposal) else {
            return Vec::new();
        };
        let signed = |key: &VerifyingKey| {
            let by = |signature: &&Signature| signature.key == *key;
            let holds = |signature: &Signature| -> Result<(), BadSignature> {
                keys::verify(key, DOMAIN, body.as_bytes(), &signature.signature)
            };
            self.signatures
                .iter()
                .filter(by)
                .any(|signature| holds(signature).is_ok())
        };
        let people = approvers.iter().filter(|(_, key)| signed(key));
        people.map(|(name, key)| (name.as_str(), key)).collect()
    }
}

/// Two people who stand for a change, and what they signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// Name and key of each.
    pub by: Vec<String>,
    pub signed: Vec<Approval>,
}

/// Too few of those who may stand for a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unapproved {
    #[error("nobody is listed who could sign it, and it takes two")]
    Nobody,
    #[error("expected the signatures of {PEOPLE} of {}, found {}", .of.join(", "), if .found.is_empty() { "none".to_owned() } else { .found.join(", ") })]
    TooFew { of: Vec<String>, found: Vec<String> },
}

/// Whether two of `approvers` signed this very change of this agent: in one file, or each in a copy.
pub fn approved(
    change: &Change,
    agent: &VerifyingKey,
    approvers: &Approvers,
    approvals: &[Approval],
) -> Result<Approved, Unapproved> {
    if approvers.is_empty() {
        return Err(Unapproved::Nobody);
    }
    let names_it = |approval: &&Approval| {
        approval.proposal.key == *agent && approval.proposal.changes.iter().any(|named| named == change)
    };
    let mut by: BTreeMap<VerifyingKey, &str> = BTreeMap::new();
    let mut signed = Vec::new();
    for approval in approvals.iter().filter(names_it) {
        let signers = approval.signers(approvers);
        if signers.iter().any(|(_, key)| !by.contains_key(key)) {
            signed.push(approval.clone());
        }
        by.extend(signers.into_iter().map(|(name, key)| (*key, name)));
    }
    match by.len() {
        PEOPLE.. => Ok(Approved {
            by: by.iter().map(|(key, name)| format!("{name} ({key})")).collect(),
            signed,
        }),
        _ => Err(Unapproved::TooFew {
            of: approvers.keys().cloned().collect(),
            found: by.values().map(|name| (*name).to_owned()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use privacy::{PopulationId, Renewal};

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap()
    }

    fn people() -> Approvers {
        let named = [("ada", 1), ("bo", 2), ("cy", 3)];
        named.map(|(name, seed)| (name.to_owned(), key(seed).public())).into()
    }

    fn cap(epsilon: f64) -> Cap {
        Cap::new(epsilon, 1e-6, Renewal::Year).unwrap()
    }

    fn ledger(caps: &[f64]) -> Ledger {
        let two = ["ada".to_owned(), "bo".to_owned()];
        let mut ledger = Ledger::new(PopulationId::new("people"));
        for epsilon in caps {
            let entry = ledger.set_cap(0, cap(*epsilon), &two).unwrap();
            ledger.apply(&entry).unwrap();
        }
        ledger
    }

    fn signed(change: &Change, signers: &[u8]) -> Approval {
        let mut approval = Approval {
            proposal: Proposal {
                agent: "north".to_owned(),
                key: key(9).public(),
                changes: vec![change.clone()],
            },
            signatures: Vec::new(),
        };
        signers.iter().for_each(|seed| approval.sign(&key(*seed)).unwrap());
        approval
    }

    fn stands(change: &Change, approvals: &[Approval]) -> bool {
        approved(change, &key(9).public(), &people(), approvals).is_ok()
    }

    #[test]
    fn two_different_people_of_the_list_stand_for_a_change_in_one_file_or_two() {
        let raise = Change::of_cap(&ledger(&[1.0]), None, cap(2.0));
        assert!(stands(&raise, &[signed(&raise, &[1, 2])]));
        assert!(stands(&raise, &[signed(&raise, &[1]), signed(&raise, &[3])]));
        for too_few in [&[][..], &[1], &[1, 1], &[1, 7], &[7, 8]] {
            assert!(!stands(&raise, &[signed(&raise, too_few)]), "{too_few:?}");
        }
        assert!(!stands(&raise, &[signed(&raise, &[1]), signed(&raise, &[1])]));
        // Written there by somebody who has no key of the list.
        let mut forged = signed(&raise, &[1, 7]);
        forged.signatures[1].key = key(2).public();
        assert!(!stands(&raise, &[forged]));
        let nobody = approved(&raise, &key(9).public(), &Approvers::new(), &[signed(&raise, &[1, 2])]);
        assert_eq!(nobody, Err(Unapproved::Nobody));
    }

    #[test]
    fn a_signature_is_for_one_figure_line_population_agent_and_state() {
        let before = ledger(&[1.0]);
        let raise = Change::of_cap(&before, None, cap(2.0));
        let approvals = [signed(&raise, &[1, 2])];
        let monthly = Cap::new(2.0, 1e-6, Renewal::Month).unwrap();
        let wider = Cap::new(2.0, 1e-5, Renewal::Year).unwrap();
        let others = Ledger::new(PopulationId::new("others"));
        for other in [
            Change::of_cap(&before, None, cap(2.1)),
            Change::of_cap(&before, None, monthly),
            Change::of_cap(&before, None, wider),
            Change::of_cap(&before, Some("ann"), cap(2.0)),
            Change::of_cap(&others, None, cap(2.0)),
            // Raised and lowered since: the same step from the same figure is another step.
            Change::of_cap(&ledger(&[1.0, 2.0, 1.0]), None, cap(2.0)),
            Change::of_cap(&ledger(&[1.0, 2.0]), None, cap(3.0)),
        ] {
            assert!(!stands(&other, &approvals), "{other}");
        }
        assert!(approved(&raise, &key(8).public(), &people(), &approvals).is_err());
        // Altered after it was signed.
        let mut altered = approvals[0].clone();
        let dearer = Change::of_cap(&before, None, cap(20.0));
        altered.proposal.changes = vec![dearer.clone()];
        assert!(!stands(&dearer, &[altered]));
    }

    #[test]
    fn what_is_signed_can_be_read() {
        let raise = Change::of_cap(&ledger(&[1.0]), None, cap(2.0));
        assert_eq!(
            raise.to_string(),
            "population `people`, all together: epsilon 1, delta 0.000001, renewed each year -> epsilon 2, delta \
             0.000001, renewed each year"
        );
        let approval = signed(&raise, &[1, 2]);
        let text = serde_json::to_string_pretty(&approval).unwrap();
        let read: Approval = serde_json::from_str(&text).unwrap();
        assert_eq!(read, approval);
        assert!(stands(&raise, &[read]));
    }
}
