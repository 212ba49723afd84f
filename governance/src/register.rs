//! The register: the state that acts lead to. Grants, contract stages, policies, the vocabulary, and what is suspended.
//!
//! [`Register::apply`] is the only thing that changes it, and depends on nothing but the acts before: the same acts in the same order
//! give the same register at the coordinator and at every participant, running or recovering. Who stands in which roster is
//! asked once, at the coordinator's door ([`Register::at_door`]); an act's own words say who spoke for whom. An act that was
//! taken before changes nothing. A suspension or an end is heard whatever happened meanwhile, so whoever
//! stopped something while cut off is never told that it came too late.
//!
//! A suspension reaches as far as its signer speaks: governance's everywhere, an organisation's over its own data, and over its
//! own people everywhere.
//!
//! Costs: an act one walk over what it names; a decision a walk over one analyst's grants.

pub mod contracts;
mod cover;
mod stops;
mod view;

use std::collections::{BTreeMap, BTreeSet};

pub use contracts::{MoveError as ContractMoveError, Standing as ContractStanding};
pub use cover::{Uncovered, Wanted};
pub use stops::Stopped;
pub use view::GrantView;

use crate::act::{By, Layer, Subject, policy_hash};
use crate::grant::{Grant, GrantError, Line, Status, Step, Unlogged};
use crate::hold::Holds;
use crate::log::event::Role;
use crate::purpose::{Vocabulary, VocabularyError};
use crate::{Act, ActError, ContentHash, Roster, SignedAct, Stage, VerifyingKey, What};

/// Acts of one person: registers stay small enough to be read.
const MAX_ACTS: u32 = 10_000;
/// Grants that one person may wait for an answer about: whoever is asked keeps them all.
const MAX_UNANSWERED: usize = 100;
/// Of an act that a person writes; policies and vocabularies are whole documents.
const MAX_PERSONAL: usize = 64 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    taken: BTreeSet<ContentHash>,
    by_person: BTreeMap<String, u32>,
    grants: BTreeMap<ContentHash, Grant>,
    /// Grants by requester, the oldest first.
    asked: BTreeMap<String, Vec<ContentHash>>,
    /// By owner and hash.
    contracts: BTreeMap<(String, ContentHash), Contracted>,
    policies: BTreeMap<Layer, Policy>,
    vocabulary: Vocabulary,
    vocabulary_version: u64,
    /// By who suspended (an organisation; none: governance) and what.
    suspensions: BTreeMap<(Option<String>, Subject), Suspension>,
}

/// An owner's version of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contracted {
    pub dataset: String,
    pub stage: Stage,
    pub by: By,
    pub at_ms: u64,
}

/// The newest policy of one layer, as opaque text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub version: u64,
    pub hash: ContentHash,
    pub bundle: String,
    pub by: By,
    pub at_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Who suspended first.
    pub by: By,
    pub at_ms: u64,
    pub note: String,
    /// The acts that suspend: it ends when all of them are lifted.
    pub holds: Holds,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    #[error(transparent)]
    Act(#[from] ActError),
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// Said of a grant that does not exist and of one that is other people's, so that nobody can tell them apart.
    #[error("no grant {0} of yours")]
    UnknownGrant(ContentHash),
    #[error("{role} may not sign `{what}` here: {who} may")]
    MayNot {
        role: Role,
        what: &'static str,
        who: &'static str,
    },
    #[error("`{0}` holds no data in this consortium")]
    NoOwner(String),
    #[error("`{0}` has no steward who could approve: enrol one with `sotto enroll`")]
    NoSteward(String),
    #[error("`{0}` has a steward, who must agree: request it with the steward's agreement")]
    StewardAgrees(String),
    #[error("version {found} of {what} is not newer than {current}")]
    Stale { what: String, current: u64, found: u64 },
    #[error("the contract is {from:?}: it cannot become {to:?}")]
    Contract { from: Option<Stage>, to: Stage },
    #[error("the contract is one of `{expected}`, not of `{found}`")]
    OtherDataset { expected: String, found: String },
    #[error("`{0}` does not speak for this participant: its operator lists the stewards who do")]
    NotListed(String),
    #[error("none of the suspensions that it names holds for `{0}`")]
    NotSuspended(String),
    #[error("a resumption names the suspensions that it lifts: look them up and sign again")]
    LiftsUnnamed,
    #[error("{MAX_ACTS} acts of `{0}` were taken: no more are kept")]
    TooMany(String),
    #[error("`{0}` waits for an answer to {MAX_UNANSWERED} grants: take some back with `sotto grant revoke`")]
    Unanswered(String),
    #[error("{found} bytes: expected at most {MAX_PERSONAL} of an act that is no policy and no vocabulary")]
    Long { found: usize },
}

/// What comes in by the coordinator's door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtDoor {
    New(Box<Act>),
    /// It was taken before.
    Known,
}

impl Register {
    /// The act, if who signed it stands in the roster, signed it about now, and may; nothing changes.
    pub fn at_door(
        &self,
        signed: &SignedAct,
        roster: &Roster,
        governance: &VerifyingKey,
        now_ms: u64,
    ) -> Result<AtDoor, RegisterError> {
        let act = signed.verify(roster, governance)?;
        if self.taken.contains(&signed.hash()) {
            return Ok(AtDoor::Known);
        }
        // An agent may have been cut off for long: what it stopped, it stopped.
        if act.by.role != Role::Agent {
            act.is_fresh(now_ms)?;
        }
        if act.what.lifts().is_some_and(BTreeSet::is_empty) {
            return Err(RegisterError::LiftsUnnamed);
        }
        let document = matches!(
            act.what,
            What::PolicyPublished { .. } | What::VocabularyPublished { .. }
        );
        if !document && signed.body.len() > MAX_PERSONAL {
            let found = signed.body.len();
            return Err(RegisterError::Long { found });
        }
        if matches!(act.what, What::GrantRequested { .. }) && self.unanswered(&act.by.id, now_ms) >= MAX_UNANSWERED {
            return Err(RegisterError::Unanswered(act.by.id.clone()));
        }
        sides_stand(&act.what, roster)?;
        self.clone().apply(signed.hash(), &act)?;
        // At the door alone: a store that took it before opens, and such a grant never pays (the ledger asks for two people).
        if let What::GrantAgreed { owner, .. } = &act.what
            && let Some(line) = self.known(&act)?.lines.get(owner)
            && line.offered_by().is_some_and(|by| by.id == act.by.id)
        {
            return Err(RegisterError::Grant(GrantError::OnePerson));
        }
        Ok(AtDoor::New(Box::new(act)))
    }

    /// Grants that a person asked for, whose time is not over and whom nobody answered.
    fn unanswered(&self, requester: &str, now_ms: u64) -> usize {
        let waits = |line: &Line| line.status(now_ms, &Unlogged) == Status::Requested;
        let asked = self.asked.get(requester).into_iter().flatten();
        let grants = asked.filter_map(|id| self.grants.get(id));
        grants.filter(|grant| grant.lines.values().all(waits)).count()
    }

    /// Makes one act true. Its signature is the caller's to have verified, or to have read from its own disk.
    pub fn apply(&mut self, hash: ContentHash, act: &Act) -> Result<(), RegisterError> {
        if self.taken.contains(&hash) {
            return Ok(());
        }
        // What stops something is always heard.
        let full = self.by_person.get(&act.by.id).is_some_and(|count| *count >= MAX_ACTS);
        if full && !act.what.narrows() {
            return Err(RegisterError::TooMany(act.by.id.clone()));
        }
        let Act { by, at_ms, note, what } = act;
        match what {
            What::GrantRequested { terms, steward_agrees } => {
                let own = by.id == terms.requester && by.organisation == terms.organisation;
                may(
                    act,
                    own && by.role == Role::Analyst,
                    "the analyst who is to use the grant",
                )?;
                terms.check(&self.vocabulary)?;
                let grant = Grant::new(hash, terms, *steward_agrees, by, *at_ms, note);
                self.asked.entry(by.id.clone()).or_default().push(hash);
                self.grants.insert(hash, grant);
            }
            What::GrantOffered { owner, terms, .. } => {
                let requester = self.known(act)?.requested.requester.clone();
                let owns = by.role == Role::Steward && by.organisation == *owner && by.id != requester;
                may(act, owns, "a steward of the owner, other than the requester,")?;
                self.step(hash, act, Some(owner), &Step::Offer(terms))?;
            }
            What::GrantAgreed { owner, version, .. } => {
                let grant = self.known(act)?;
                let (who, own) = match grant.steward_agrees {
                    true => ("a steward of the requester's organisation", by.role == Role::Steward),
                    false => ("the requester", by.role == Role::Analyst),
                };
                may(act, own && by.organisation == grant.requested.organisation, who)?;
                self.step(hash, act, Some(owner), &Step::Agree(*version))?;
            }
            What::GrantSuspended { owner, .. } => self.stop(hash, act, owner.as_deref(), &Step::Suspend)?,
            What::GrantResumed { owner, lifts, .. } => self.stop(hash, act, owner.as_deref(), &Step::Resume(lifts))?,
            What::GrantRevoked { owner, .. } => self.stop(hash, act, owner.as_deref(), &Step::Revoke)?,
            What::GrantCompleted { owner, .. } => self.stop(hash, act, owner.as_deref(), &Step::Complete)?,
            What::ContractMoved { dataset, contract, to } => {
                may(act, by.role == Role::Steward, "a steward of the dataset's owner")?;
                let place = (by.organisation.clone(), *contract);
                let known = self.contracts.get(&place);
                if let Some(known) = known.filter(|known| known.dataset != *dataset) {
                    let (expected, found) = (known.dataset.clone(), dataset.clone());
                    return Err(RegisterError::OtherDataset { expected, found });
                }
                let from = known.map(|known| known.stage);
                if from.is_some_and(|from| from >= *to) || from.is_none() && matches!(to, Stage::Deprecated { .. }) {
                    return Err(RegisterError::Contract { from, to: *to });
                }
                let moved = Contracted {
                    dataset: dataset.clone(),
                    stage: *to,
                    by: by.clone(),
                    at_ms: *at_ms,
                };
                self.contracts.insert(place, moved);
            }
            What::PolicyPublished { layer, version, bundle } => {
                match layer {
                    Layer::Consortium => may(act, by.role == Role::Governance, "governance")?,
                    Layer::Owner(owner) => {
                        let owns = by.role == Role::Steward && by.organisation == *owner;
                        may(act, owns, "a steward of the owner")?;
                    }
                }
                let current = self.policies.get(layer).map_or(0, |policy| policy.version);
                rises("the policy", current, *version)?;
                let policy = Policy {
                    version: *version,
                    hash: policy_hash(bundle),
                    bundle: bundle.clone(),
                    by: by.clone(),
                    at_ms: *at_ms,
                };
                self.policies.insert(layer.clone(), policy);
            }
            What::VocabularyPublished { version, terms } => {
                may(act, by.role == Role::Governance, "governance")?;
                rises("the vocabulary", self.vocabulary_version, *version)?;
                self.vocabulary = Vocabulary::default().with(terms)?;
                self.vocabulary_version = *version;
            }
            What::Suspended { subject } => {
                let speaks = matches!(by.role, Role::Governance | Role::Steward | Role::Agent);
                may(act, speaks, "governance, a steward or an agent")?;
                let suspension = Suspension {
                    by: by.clone(),
                    at_ms: *at_ms,
                    note: note.clone(),
                    holds: Holds::default(),
                };
                let suspension = self.suspensions.entry(reach(by, subject)).or_insert(suspension);
                suspension.holds.hold(hash, *at_ms);
            }
            What::Reinstated { subject, lifts } => {
                let speaks = matches!(by.role, Role::Governance | Role::Steward);
                may(act, speaks, "governance or a steward")?;
                let place = reach(by, subject);
                let lifted = |held: &mut Suspension| held.holds.lift(lifts, *at_ms).then(|| held.holds.is_empty());
                let Some(ends) = self.suspensions.get_mut(&place).and_then(lifted) else {
                    return Err(RegisterError::NotSuspended(by.organisation.clone()));
                };
                if ends {
                    self.suspensions.remove(&place);
                }
            }
        }
        self.taken.insert(hash);
        // What only takes away is counted by nobody: it need not be signed to be heard, and must not make its signer unheard.
        if by.role != Role::Agent && !what.narrows() {
            *self.by_person.entry(by.id.clone()).or_default() += 1;
        }
        Ok(())
    }

    /// Holds up, lets go on or ends, one line or all of them.
    fn stop(
        &mut self,
        hash: ContentHash,
        act: &Act,
        owner: Option<&str>,
        step: &Step<'_>,
    ) -> Result<(), RegisterError> {
        let by = &act.by;
        let asked = &self.known(act)?.requested;
        let machine = by.role == Role::Agent && matches!(step, Step::Suspend | Step::Revoke);
        let speaks = by.role == Role::Steward || machine;
        let asks =
            by.id == asked.requester && by.role == Role::Analyst || speaks && by.organisation == asked.organisation;
        let owns = speaks && owner == Some(by.organisation.as_str());
        let who = match owner {
            Some(_) => "the owner's side or the requester's",
            None => "the requester's side, or an owner for its own part,",
        };
        may(act, asks || owns, who)?;
        self.step(hash, act, owner, step)
    }

    fn step(
        &mut self,
        hash: ContentHash,
        act: &Act,
        owner: Option<&str>,
        step: &Step<'_>,
    ) -> Result<(), RegisterError> {
        let id = self.known(act)?.id;
        let vocabulary = &self.vocabulary;
        let Some(grant) = self.grants.get_mut(&id) else {
            return Err(RegisterError::UnknownGrant(id));
        };
        let said = (hash, &act.by, act.at_ms, act.note.as_str());
        match owner {
            Some(owner) => grant.step(owner, step, said, vocabulary)?,
            None => grant.step_all(step, said, vocabulary)?,
        }
        Ok(())
    }

    /// The grant that an act is about, if the signer has anything to do with it.
    fn known(&self, act: &Act) -> Result<&Grant, RegisterError> {
        let id = act.what.grant().copied().unwrap_or(ContentHash([0; 32]));
        let grant = self.grants.get(&id).filter(|grant| view::concerns(grant, &act.by));
        grant.ok_or(RegisterError::UnknownGrant(id))
    }

    pub fn is_taken(&self, act: &ContentHash) -> bool {
        self.taken.contains(act)
    }

    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The number that the consortium's next vocabulary must exceed.
    pub fn vocabulary_version(&self) -> u64 {
        self.vocabulary_version
    }

    /// The newest policy of a layer, if one was published.
    pub fn policy(&self, layer: &Layer) -> Option<&Policy> {
        self.policies.get(layer)
    }

    /// Where an owner's contract is in its life; `None` if no act ever spoke of it, and then its own configuration counts.
    pub fn contract(&self, owner: &str, contract: &ContentHash) -> Option<&Contracted> {
        self.contracts.get(&(owner.to_owned(), *contract))
    }

    /// What stops `subject` at `owner`, if anything does.
    pub fn suspension(&self, owner: &str, subject: &Subject) -> Option<&Suspension> {
        let everywhere = (None, subject.clone());
        let here = (Some(owner.to_owned()), subject.clone());
        let own = match subject {
            Subject::Organisation(name) => Some((Some(name.clone()), subject.clone())),
            Subject::Dataset(_) => None,
        };
        let places = [Some(everywhere), Some(here), own];
        places.iter().flatten().find_map(|place| self.suspensions.get(place))
    }

    /// What somebody must name to lift its own suspension of `subject`.
    pub fn held(&self, by: &By, subject: &Subject) -> BTreeSet<ContentHash> {
        let suspension = self.suspensions.get(&reach(by, subject));
        suspension
            .into_iter()
            .flat_map(|held| held.holds.acts())
            .copied()
            .collect()
    }

    /// Everything that is suspended now: by whom (none: by governance), what, and why.
    pub fn suspensions(&self) -> impl Iterator<Item = (Option<&str>, &Subject, &Suspension)> {
        self.suspensions
            .iter()
            .map(|((by, subject), suspension)| (by.as_deref(), subject, suspension))
    }

    /// Whether an organisation's agent must hear of an act: what it says concerns that organisation's data or people.
    /// It never changes: a request's own terms say it, and every other act names a request.
    pub fn concerns(&self, act: &Act, organisation: &str) -> bool {
        let owner = match &act.what {
            What::PolicyPublished {
                layer: Layer::Consortium,
                ..
            }
            | What::VocabularyPublished { .. } => return true,
            What::PolicyPublished {
                layer: Layer::Owner(owner),
                ..
            } => return owner == organisation,
            What::ContractMoved { .. } => return act.by.organisation == organisation,
            What::Suspended { subject } | What::Reinstated { subject, .. } => {
                let own = Subject::Organisation(act.by.organisation.clone());
                return act.by.role == Role::Governance || act.by.organisation == organisation || *subject == own;
            }
            What::GrantRequested { terms, .. } => {
                return terms.organisation == organisation || terms.owners.contains(organisation);
            }
            What::GrantOffered { owner, .. } | What::GrantAgreed { owner, .. } => Some(owner),
            What::GrantSuspended { owner, .. }
            | What::GrantResumed { owner, .. }
            | What::GrantRevoked { owner, .. }
            | What::GrantCompleted { owner, .. } => owner.as_ref(),
        };
        let asked = act.what.grant().and_then(|id| self.grants.get(id));
        asked.is_some_and(|grant| {
            grant.concerns(organisation)
                && (grant.requested.organisation == organisation || owner.is_none_or(|owner| owner == organisation))
        })
    }
}

/// Whether a request for a grant names owners and stewards as the roster has them: the door asks, and every agent again, by the roster
/// under which the act was taken. Of other acts there is nothing to ask.
pub fn sides_stand(what: &What, roster: &Roster) -> Result<(), RegisterError> {
    let What::GrantRequested { terms, steward_agrees } = what else {
        return Ok(());
    };
    for owner in &terms.owners {
        if !roster.has_agent_of(owner) {
            return Err(RegisterError::NoOwner(owner.clone()));
        }
        if !roster.has_steward_of(owner) {
            return Err(RegisterError::NoSteward(owner.clone()));
        }
    }
    match (steward_agrees, roster.has_steward_of(&terms.organisation)) {
        (false, true) => Err(RegisterError::StewardAgrees(terms.organisation.clone())),
        (true, false) => Err(RegisterError::NoSteward(terms.organisation.clone())),
        _ => Ok(()),
    }
}

fn may(act: &Act, allowed: bool, who: &'static str) -> Result<(), RegisterError> {
    match allowed {
        true => Ok(()),
        false => Err(RegisterError::MayNot {
            role: act.by.role,
            what: act.what.name(),
            who,
        }),
    }
}

fn rises(what: &str, current: u64, found: u64) -> Result<(), RegisterError> {
    match found > current {
        true => Ok(()),
        false => Err(RegisterError::Stale {
            what: what.to_owned(),
            current,
            found,
        }),
    }
}

/// Where a suspension stands: by whom, and of what.
fn reach(by: &By, subject: &Subject) -> (Option<String>, Subject) {
    let who = (by.role != Role::Governance).then(|| by.organisation.clone());
    (who, subject.clone())
}
