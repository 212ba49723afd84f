//! Replaying a log: was every access to data covered by a permission that stood before it, and was every word a member's?
//!
//! An access is a contribution: a vector that left a participant. It is covered if the same participant, with the same key, said yes
//! to the same request before, an analyst had signed that request, the participant's own ledger had tokens set aside for it, and
//! nothing that the log holds suspended stood in its way. Where the yes refers to a grant, the grant must have been logged and neither be
//! revoked nor suspended. With the rosters at hand every actor's key is held against the one in force at that place. The log's
//! order is all that counts: a vector that left just before a revocation and was logged just after it is named as well.
//! One pass, a few map look-ups an event, and a walk over what is suspended an access.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Actor, Decision, Event, Kind, LIFTS, Role};
use crate::act::Subject;
use crate::roster::in_force;
use crate::{ContentHash, Roster, RosterError, SignedRoster, VerifyingKey};

/// Something that the log holds and that nothing permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of the entry.
    pub index: u64,
    /// Who it is by.
    pub actor: String,
    /// Of an access: what it was for.
    pub request: Option<ContentHash>,
    pub fault: Uncovered,
}

/// What was missing, or who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncovered {
    #[error("no analyst had signed the request")]
    NoRequest,
    #[error("the participant had not said yes to the request")]
    NoDecision,
    #[error("the participant's last word on the request was no")]
    Denied,
    #[error("no budget of the participant was set aside for the request")]
    NoCharge,
    #[error("grant {0} that the yes refers to was not in the log")]
    NoGrant(ContentHash),
    #[error("grant {0} that the yes refers to was revoked before")]
    Revoked(ContentHash),
    #[error("act {0} had suspended it before and nobody had lifted that")]
    Suspended(ContentHash),
    #[error("the roster in force there has no such member with this key")]
    Stranger,
    #[error("the roster {0} that it names is not at hand: nobody can tell who belonged from there on")]
    NoRoster(ContentHash),
}

/// The rosters that a consortium had, each signed by governance: who belonged when follows from the log.
#[derive(Clone, Debug, Default)]
pub struct Rosters {
    known: BTreeMap<ContentHash, Roster>,
    governance: Option<VerifyingKey>,
}

impl Rosters {
    /// Whether there is anything to judge membership by.
    pub fn are_there(&self) -> bool {
        self.governance.is_some()
    }

    pub fn open(signed: &[SignedRoster], governance: &VerifyingKey) -> Result<Self, RosterError> {
        let verified = signed
            .iter()
            .map(|roster| Ok((roster.hash(), roster.verify(governance)?)));
        Ok(Self {
            known: verified.collect::<Result<_, RosterError>>()?,
            governance: Some(*governance),
        })
    }
}

/// Permissions as they stand after the events so far.
#[derive(Default)]
struct Standing<'e> {
    requests: BTreeMap<ContentHash, &'e Event>,
    decisions: BTreeMap<(&'e Actor, ContentHash), &'e Event>,
    tokens: BTreeMap<(&'e Actor, ContentHash), i64>,
    grants: BTreeSet<ContentHash>,
    revoked: BTreeSet<ContentHash>,
    /// By the act that suspended.
    suspended: BTreeMap<ContentHash, Suspended>,
}

/// What an act suspended, and how far its signer's word reaches.
struct Suspended {
    what: ContentHash,
    /// None: everywhere, as governance's; or nobody can tell, and then it is taken to be so.
    by: Option<String>,
}

/// All that nothing covers in a whole log, in its order. Of a stretch of one it would miss what came before. Without rosters nobody's
/// membership is asked, and a suspension reaches everywhere.
pub fn scan<'e>(events: impl IntoIterator<Item = &'e Event>, rosters: &Rosters) -> Vec<Finding> {
    let mut standing = Standing::default();
    let mut named: Vec<ContentHash> = Vec::new();
    let mut members: Option<&Roster> = None;
    let mut findings = Vec::new();
    for (index, event) in (0..).zip(events) {
        let mut found = |request, fault| {
            let actor = event.actor.id.clone();
            findings.push(Finding {
                index,
                actor,
                request,
                fault,
            });
        };
        if let (Kind::Roster, Some(governance)) = (event.kind, &rosters.governance) {
            named.extend(event.references.get("roster"));
            members = match in_force(named.iter().copied(), |hash| rosters.known.get(hash)) {
                Ok(roster) => roster,
                Err(missing) => {
                    // Said once; whoever came after it is judged by no older one.
                    if named.last() == Some(&missing.0) {
                        found(None, Uncovered::NoRoster(missing.0));
                    }
                    None
                }
            };
            // A new coordinator's key stands in the roster that it names.
            if members.is_some_and(|roster| event.by_member(roster, governance).is_err()) {
                found(None, Uncovered::Stranger);
            }
        } else if let (Some(roster), Some(governance)) = (members, &rosters.governance)
            && event.by_member(roster, governance).is_err()
        {
            found(None, Uncovered::Stranger);
        }
        if let Some((request, uncovered)) = standing.take(event, members) {
            found(Some(request), uncovered);
        }
    }
    findings
}

impl<'e> Standing<'e> {
    /// Takes the next event in; of an access that nothing covers it says what was missing.
    fn take(&mut self, event: &'e Event, members: Option<&Roster>) -> Option<(ContentHash, Uncovered)> {
        let reference = |name: &str| event.references.get(name).copied();
        let request = reference("request");
        match (event.kind, request) {
            (Kind::Request, Some(request)) if event.actor.role == Role::Analyst => {
                self.requests.entry(request).or_insert(event);
            }
            (Kind::Decision, Some(request)) => {
                self.decisions.insert((&event.actor, request), event);
            }
            (Kind::Charge, Some(request)) => {
                let moved = event.budget_delta.as_ref().map_or(0, |delta| delta.tokens);
                // What comes back was never used: only what was set aside says that there was a budget.
                *self.tokens.entry((&event.actor, request)).or_default() += moved.max(0);
            }
            (Kind::Grant, _) => self.grants.extend(reference("grant")),
            (Kind::Revocation, _) => self.revoked.extend(reference("revoked")),
            (Kind::Suspension, _) => self.suspension(event, members),
            (Kind::Contribution, Some(request)) => {
                let uncovered = self.covers(&event.actor, request, members).err()?;
                return Some((request, uncovered));
            }
            _ => {}
        }
        None
    }

    fn suspension(&mut self, event: &Event, members: Option<&Roster>) {
        let reference = |name: &str| event.references.get(name).copied();
        let by = organisation(&event.actor, members).map(str::to_owned);
        if let (Some(act), Some(what)) = (reference("act"), reference("suspended")) {
            self.suspended.insert(act, Suspended { what, by });
        } else {
            // Whoever suspended lifts it: nobody lifts another organisation's.
            let lifted = event.references.iter().filter(|(name, _)| name.starts_with(LIFTS));
            for (_, act) in lifted {
                if self.suspended.get(act).is_some_and(|held| held.by == by) {
                    self.suspended.remove(act);
                }
            }
        }
    }

    fn covers(&self, agent: &'e Actor, request: ContentHash, members: Option<&Roster>) -> Result<(), Uncovered> {
        let asked = self.requests.get(&request).ok_or(Uncovered::NoRequest)?;
        let decision = self.decisions.get(&(agent, request)).ok_or(Uncovered::NoDecision)?;
        if decision.decision != Some(Decision::Allow) {
            return Err(Uncovered::Denied);
        }
        if self.tokens.get(&(agent, request)).is_none_or(|tokens| *tokens == 0) {
            return Err(Uncovered::NoCharge);
        }
        let line = decision.references.get("line");
        let grant = decision.references.get("grant");
        match grant {
            Some(grant) if !self.grants.contains(grant) => return Err(Uncovered::NoGrant(*grant)),
            Some(grant) if self.revoked.contains(grant) || line.is_some_and(|line| self.revoked.contains(line)) => {
                return Err(Uncovered::Revoked(*grant));
            }
            _ => {}
        }
        let (owner, asks) = (organisation(agent, members), organisation(&asked.actor, members));
        let named = |name: Option<&str>| name.map(|name| Subject::Organisation(name.to_owned()).hash());
        let (own, asking) = (named(owner), named(asks));
        let dataset = asked.references.get("dataset").copied();
        let stops = |held: &Suspended| {
            let what = Some(held.what);
            let reaches = held.by.is_none() || owner.is_none() || held.by.as_deref() == owner;
            what == grant.copied()
                || what == line.copied()
                || (what == asking && (reaches || held.by.as_deref() == asks))
                || (reaches && (what == own || what == dataset))
        };
        match self.suspended.iter().find(|(_, held)| stops(held)) {
            Some((act, _)) => Err(Uncovered::Suspended(*act)),
            None => Ok(()),
        }
    }
}

/// For whom somebody speaks; none: for all, or nobody can tell.
fn organisation<'r>(actor: &Actor, members: Option<&'r Roster>) -> Option<&'r str> {
    let roster = members?;
    let organisation = match actor.role {
        Role::Agent => &roster.agent(&actor.id)?.organisation,
        Role::Analyst => &roster.analyst(&actor.id)?.organisation,
        Role::Steward => &roster.steward(&actor.id)?.organisation,
        Role::Coordinator | Role::Governance => return None,
    };
    Some(organisation)
}
