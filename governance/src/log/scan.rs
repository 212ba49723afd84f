//! Replaying a log: was every access to data covered by a permission that stood before it?
//!
//! An access is a contribution: a vector that left a participant. It is covered if the same participant, with the same key, said yes
//! to the same request before, an analyst had signed that request, and the participant's own ledger had tokens set aside for it. Where
//! the yes refers to a grant, the grant must have been logged and not revoked. One pass, a few map look-ups an event.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Actor, Decision, Event, Kind, Role};
use crate::ContentHash;

/// An access without a covering permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of the contribution.
    pub index: u64,
    pub agent: String,
    pub request: ContentHash,
    pub uncovered: Uncovered,
}

/// What was missing when the vector left.
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
}

/// Permissions as they stand after the events so far.
#[derive(Default)]
struct Standing<'e> {
    requests: BTreeSet<ContentHash>,
    decisions: BTreeMap<(&'e Actor, ContentHash), &'e Event>,
    tokens: BTreeMap<(&'e Actor, ContentHash), i64>,
    grants: BTreeSet<ContentHash>,
    revoked: BTreeSet<ContentHash>,
}

/// All uncovered accesses of a whole log, in its order. Of a stretch of one it would miss what came before.
pub fn scan<'e>(events: impl IntoIterator<Item = &'e Event>) -> Vec<Finding> {
    let mut standing = Standing::default();
    let mut findings = Vec::new();
    for (index, event) in (0..).zip(events) {
        if let Some((request, uncovered)) = standing.take(event) {
            let agent = event.actor.id.clone();
            findings.push(Finding {
                index,
                agent,
                request,
                uncovered,
            });
        }
    }
    findings
}

impl<'e> Standing<'e> {
    /// Takes the next event in; of an access that nothing covers it says what was missing.
    fn take(&mut self, event: &'e Event) -> Option<(ContentHash, Uncovered)> {
        let reference = |name: &str| event.references.get(name).copied();
        let request = reference("request");
        match (event.kind, request) {
            (Kind::Request, Some(request)) if event.actor.role == Role::Analyst => {
                self.requests.insert(request);
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
            (Kind::Contribution, Some(request)) => {
                let uncovered = self.covers(&event.actor, request).err()?;
                return Some((request, uncovered));
            }
            _ => {}
        }
        None
    }

    fn covers(&self, agent: &'e Actor, request: ContentHash) -> Result<(), Uncovered> {
        if !self.requests.contains(&request) {
            return Err(Uncovered::NoRequest);
        }
        let decision = self.decisions.get(&(agent, request)).ok_or(Uncovered::NoDecision)?;
        if decision.decision != Some(Decision::Allow) {
            return Err(Uncovered::Denied);
        }
        if self.tokens.get(&(agent, request)).is_none_or(|tokens| *tokens == 0) {
            return Err(Uncovered::NoCharge);
        }
        let line = decision.references.get("line");
        match decision.references.get("grant") {
            Some(grant) if !self.grants.contains(grant) => Err(Uncovered::NoGrant(*grant)),
            Some(grant) if self.revoked.contains(grant) || line.is_some_and(|line| self.revoked.contains(line)) => {
                Err(Uncovered::Revoked(*grant))
            }
            _ => Ok(()),
        }
    }
}
