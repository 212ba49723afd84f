//! A grant: who may ask what of whose data, for which purposes, how much, and until when.
//!
//! ```text
//! requested -> offered -> agreed -> active (by the clock, once the agreement is witnessed) -> expired
//!                                     active <-> suspended            any of them -> revoked | completed
//! ```
//! Each owner has a line of its own: it may offer less than was requested, which is the next version of the terms on its line, and
//! either side may stop or end it. Versions never change. Revoked, completed and expired are final.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ContentHash;
use crate::act::By;
use crate::canonical::Real;
use crate::log::event::Role;
use crate::purpose::Vocabulary;

/// Names in one list of a grant, and bytes of a name.
const MAX_NAMES: usize = 500;
const MAX_NAME: usize = 200;
/// Ten years: what should outlast them is asked for again.
const MAX_WINDOW_MS: u64 = 3_660 * 86_400_000;

/// Aggregates that a query can show, by the names that grants use.
pub const AGGREGATES: [&str; 9] = [
    "AVG",
    "CORR",
    "COUNT",
    "COVARIANCE",
    "HISTOGRAM",
    "QUANTILE",
    "STDDEV",
    "SUM",
    "VARIANCE",
];

/// What is granted. Part of it is never more: a narrower value of every field is a narrower grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The analyst who asks.
    pub requester: String,
    /// The analyst's organisation.
    pub organisation: String,
    pub dataset: String,
    /// Organisations whose data it is.
    pub owners: BTreeSet<String>,
    pub columns: Extent,
    /// Of [`AGGREGATES`]. Training has none.
    pub aggregates: Extent,
    pub purposes: BTreeSet<String>,
    pub actions: BTreeSet<Action>,
    /// What may be spent under it at each owner.
    pub epsilon: Real,
    pub delta: Real,
    pub from_ms: u64,
    /// From here on it is expired.
    pub until_ms: u64,
}

/// All of something, or what is listed. `"all"` is written out, so that a forgotten field grants nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    All,
    Only(BTreeSet<String>),
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Query,
    Train,
    Evaluate,
}

/// One request for a grant and what each owner made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Hash of the act that requested it.
    pub id: ContentHash,
    pub requested: Terms,
    pub requested_at_ms: u64,
    /// A steward of the requester's organisation must agree; else the requester's own signature is its side's word.
    pub steward_agrees: bool,
    pub lines: BTreeMap<String, Line>,
}

/// One owner's part of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The first is as requested, the last is what counts.
    versions: Vec<Version>,
    state: State,
    /// Who holds it up: the line is suspended while somebody does.
    holds: BTreeSet<Side>,
    /// What happened, oldest first.
    pub history: Vec<Entry>,
}

/// Terms as somebody signed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub terms: Terms,
    pub act: ContentHash,
    pub by: By,
}

/// One act on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub what: Status,
    pub by: By,
    pub at_ms: u64,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Requested,
    Offered,
    /// The act that completed the agreement, and who spoke for the two sides.
    Agreed {
        act: ContentHash,
        approvals: [String; 2],
    },
    Revoked,
    Completed,
}

/// Of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Owner,
    Requester,
}

/// Where a line stands at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Requested,
    Offered,
    /// Both sides agreed; its window has not begun, or the agreement is not witnessed yet.
    Agreed,
    Active,
    Suspended,
    Revoked,
    Expired,
    Completed,
}

/// What can be done to a line.
#[derive(Clone, Debug)]
pub(crate) enum Step<'a> {
    Offer(&'a Terms),
    Agree(u32),
    Suspend,
    Resume,
    Revoke,
    Complete,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    #[error("malformed terms: {0}")]
    Terms(String),
    #[error("the offer is wider than version {version}: its {term} go beyond it")]
    Wider { version: u32, term: &'static str },
    #[error("version {found} of the terms is not the one that stands: expected {expected}")]
    OtherVersion { expected: u32, found: u32 },
    #[error("the grant is {}: it cannot be {wanted}", .from.spelling())]
    NotFrom { from: Status, wanted: &'static str },
    #[error("it was suspended by {0}: only that side lifts it")]
    HeldBy(&'static str),
}

/// Whether an act is in the log under a quorum of witnesses: a grant is active only then.
pub trait Witnessed: std::fmt::Debug {
    fn is_witnessed(&self, act: &ContentHash) -> bool;
}

/// For a consortium without a log: an agreement counts at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlogged;

impl Witnessed for Unlogged {
    fn is_witnessed(&self, _act: &ContentHash) -> bool {
        true
    }
}

impl Action {
    pub const ALL: [Self; 3] = [Self::Query, Self::Train, Self::Evaluate];

    /// As it is written, and as a request's `kind` says it.
    pub fn spelling(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Train => "train",
            Self::Evaluate => "evaluate",
        }
    }

    /// What a request of this kind does.
    pub fn of_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.spelling() == kind)
    }
}

impl Status {
    pub fn spelling(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Offered => "offered",
            Self::Agreed => "agreed",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Completed => "completed",
        }
    }

    pub fn is_final(self) -> bool {
        matches!(self, Self::Revoked | Self::Expired | Self::Completed)
    }
}

impl Extent {
    pub fn covers(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    fn is_within(&self, wider: &Self) -> bool {
        match (self, wider) {
            (_, Self::All) => true,
            (Self::All, Self::Only(_)) => false,
            (Self::Only(names), Self::Only(of)) => names.is_subset(of),
        }
    }
}

impl Terms {
    /// Whether these are terms that somebody could mean.
    pub fn check(&self, vocabulary: &Vocabulary) -> Result<(), GrantError> {
        let fault = |text: String| Err(GrantError::Terms(text));
        let lists = [
            ("owners", Some(&self.owners)),
            ("purposes", Some(&self.purposes)),
            ("columns", self.columns.names()),
            ("aggregates", self.aggregates.names()),
        ];
        for (what, names) in lists {
            let Some(names) = names else { continue };
            if names.is_empty() || names.len() > MAX_NAMES {
                return fault(format!("{} {what}: expected 1 to {MAX_NAMES}", names.len()));
            }
            if let Some(name) = names.iter().find(|name| !is_name(name)) {
                return fault(format!("`{}` is no name of {what}", name.escape_debug()));
            }
        }
        for name in [&self.requester, &self.organisation, &self.dataset] {
            if !is_name(name) {
                return fault(format!("`{}` is no name", name.escape_debug()));
            }
        }
        let aggregates = self.aggregates.names().into_iter().flatten();
        if let Some(unknown) = aggregates.into_iter().find(|name| !AGGREGATES.contains(&name.as_str())) {
            return fault(format!(
                "unknown aggregate `{unknown}`: expected some of {}",
                AGGREGATES.join(", ")
            ));
        }
        if let Some(unknown) = self.purposes.iter().find(|purpose| !vocabulary.contains(purpose)) {
            return fault(format!(
                "unknown purpose `{unknown}`: `sotto purpose list` shows those that are known"
            ));
        }
        if self.actions.is_empty() {
            return fault("no action: name query, train or evaluate".to_owned());
        }
        if self.epsilon.get() <= 0.0 || self.delta.get() <= 0.0 || self.delta.get() >= 1.0 {
            return fault(format!(
                "epsilon {} and delta {}: expected above zero, and a delta below one",
                self.epsilon, self.delta
            ));
        }
        match self.until_ms.checked_sub(self.from_ms) {
            Some(1..=MAX_WINDOW_MS) => Ok(()),
            _ => fault("the window ends before it begins, or lasts for more than ten years".to_owned()),
        }
    }

    /// The first field in which these terms allow more than `wider`.
    fn beyond(&self, wider: &Self, vocabulary: &Vocabulary) -> Option<&'static str> {
        let same = [
            ("requester", self.requester == wider.requester),
            ("organisation", self.organisation == wider.organisation),
            ("dataset", self.dataset == wider.dataset),
            ("owners", self.owners == wider.owners),
            ("columns", self.columns.is_within(&wider.columns)),
            ("aggregates", self.aggregates.is_within(&wider.aggregates)),
            (
                "purposes",
                self.purposes.iter().all(|purpose| wider.allows(purpose, vocabulary)),
            ),
            ("actions", self.actions.is_subset(&wider.actions)),
            ("epsilon", self.epsilon <= wider.epsilon),
            ("delta", self.delta <= wider.delta),
            (
                "window",
                self.from_ms >= wider.from_ms && self.until_ms <= wider.until_ms,
            ),
        ];
        same.into_iter().find(|(_, within)| !within).map(|(term, _)| term)
    }

    /// Whether `purpose` is one of the granted ones or below one.
    pub fn allows(&self, purpose: &str, vocabulary: &Vocabulary) -> bool {
        self.purposes
            .iter()
            .any(|allowed| vocabulary.subsumes(allowed, purpose))
    }
}

impl Extent {
    fn names(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::All => None,
            Self::Only(names) => Some(names),
        }
    }
}

impl Grant {
    pub(crate) fn new(id: ContentHash, terms: &Terms, steward_agrees: bool, by: &By, at_ms: u64, note: &str) -> Self {
        let line = || Line {
            versions: vec![Version {
                terms: terms.clone(),
                act: id,
                by: by.clone(),
            }],
            state: State::Requested,
            holds: BTreeSet::new(),
            history: vec![Entry {
                what: Status::Requested,
                by: by.clone(),
                at_ms,
                note: note.to_owned(),
            }],
        };
        Self {
            id,
            requested: terms.clone(),
            requested_at_ms: at_ms,
            steward_agrees,
            lines: terms.owners.iter().map(|owner| (owner.clone(), line())).collect(),
        }
    }

    /// Whether the terms of an owner's line are those that the requester signed.
    fn as_requested(&self, terms: &Terms) -> bool {
        self.requested == *terms
    }

    /// Whether the grant names this organisation: as an owner, or as the requester's.
    pub fn concerns(&self, organisation: &str) -> bool {
        self.requested.organisation == organisation || self.lines.contains_key(organisation)
    }

    /// Takes a step on every line that it fits; on one at least.
    pub(crate) fn step_all(
        &mut self,
        step: &Step<'_>,
        said: (ContentHash, &By, u64, &str),
        vocabulary: &Vocabulary,
    ) -> Result<(), GrantError> {
        let owners: Vec<String> = self.lines.keys().cloned().collect();
        let taken = owners.iter().map(|owner| self.step(owner, step, said, vocabulary));
        // All are tried before one is looked at.
        let taken: Vec<Result<(), GrantError>> = taken.collect();
        taken.into_iter().reduce(Result::or).unwrap_or(Ok(()))
    }

    /// Takes a step on one line. Stopping what is stopped, and ending what has ended, is heard and changes nothing.
    pub(crate) fn step(
        &mut self,
        owner: &str,
        step: &Step<'_>,
        (act, by, at_ms, note): (ContentHash, &By, u64, &str),
        vocabulary: &Vocabulary,
    ) -> Result<(), GrantError> {
        let on_word = match step {
            Step::Offer(terms) => !self.steward_agrees && self.as_requested(terms),
            _ => false,
        };
        let (requester, organisation) = (self.requested.requester.clone(), self.requested.organisation.clone());
        let Some(line) = self.lines.get_mut(owner) else {
            return Err(GrantError::Terms(format!("`{owner}` is no owner of this grant")));
        };
        let from = line.status(at_ms, &Unlogged);
        let not_from = |wanted| Err(GrantError::NotFrom { from, wanted });
        let version = line.versions.len() as u32;
        let side = side(by, owner, &organisation);
        use Status as S;
        let what = match (step, from) {
            (Step::Offer(terms), S::Requested | S::Offered) => {
                terms.check(vocabulary)?;
                if let Some(term) = terms.beyond(line.terms(), vocabulary) {
                    return Err(GrantError::Wider { version, term });
                }
                let terms = (*terms).clone();
                line.versions.push(Version {
                    terms,
                    act,
                    by: by.clone(),
                });
                line.state = match on_word {
                    true => State::Agreed {
                        act,
                        approvals: [by.id.clone(), requester],
                    },
                    false => State::Offered,
                };
                S::Offered
            }
            (Step::Offer(_), _) => return not_from("offered"),
            (Step::Agree(found), S::Offered) if *found == version => {
                let offered = line
                    .versions
                    .last()
                    .map_or_else(String::new, |version| version.by.id.clone());
                let approvals = [offered, by.id.clone()];
                line.state = State::Agreed { act, approvals };
                S::Agreed
            }
            (Step::Agree(found), S::Offered) => {
                return Err(GrantError::OtherVersion {
                    expected: version,
                    found: *found,
                });
            }
            (Step::Agree(_), _) => return not_from("agreed"),
            (Step::Suspend | Step::Revoke | Step::Complete, from) if from.is_final() => return Ok(()),
            (Step::Suspend, _) => {
                line.holds.insert(side);
                S::Suspended
            }
            (Step::Resume, from) if from.is_final() || line.holds.is_empty() => return not_from("resumed"),
            (Step::Resume, _) if !line.holds.remove(&side) => {
                return Err(GrantError::HeldBy(side.other().spelling()));
            }
            (Step::Resume, _) => line.status(at_ms, &Unlogged),
            (Step::Revoke, _) => {
                line.state = State::Revoked;
                S::Revoked
            }
            (Step::Complete, _) => {
                line.state = State::Completed;
                S::Completed
            }
        };
        line.history.push(Entry {
            what,
            by: by.clone(),
            at_ms,
            note: note.to_owned(),
        });
        Ok(())
    }
}

impl Line {
    /// The terms that count: of the newest version.
    pub fn terms(&self) -> &Terms {
        // Unwrap safety: a line begins with the requested version and none is ever taken away.
        &self.versions.last().expect("a line has a version").terms
    }

    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The two people who spoke for their sides, once both did.
    pub fn approvals(&self) -> Option<&[String; 2]> {
        match &self.state {
            State::Agreed { approvals, .. } => Some(approvals),
            _ => None,
        }
    }

    /// The act that completed the agreement.
    pub fn agreement(&self) -> Option<&ContentHash> {
        match &self.state {
            State::Agreed { act, .. } => Some(act),
            _ => None,
        }
    }

    /// Where the line stands.
    pub fn status(&self, now_ms: u64, witnessed: &dyn Witnessed) -> Status {
        let terms = self.terms();
        match &self.state {
            State::Revoked => Status::Revoked,
            State::Completed => Status::Completed,
            _ if now_ms >= terms.until_ms => Status::Expired,
            State::Requested => Status::Requested,
            State::Offered => Status::Offered,
            State::Agreed { .. } if !self.holds.is_empty() => Status::Suspended,
            State::Agreed { act, .. } if now_ms < terms.from_ms || !witnessed.is_witnessed(act) => Status::Agreed,
            State::Agreed { .. } => Status::Active,
        }
    }
}

impl Side {
    fn spelling(self) -> &'static str {
        match self {
            Self::Owner => "the owner's side",
            Self::Requester => "the requester's side",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Owner => Self::Requester,
            Self::Requester => Self::Owner,
        }
    }
}

/// For whom somebody speaks on an owner's line. A steward or an agent of an organisation that asks of itself speaks as its owner.
fn side(by: &By, owner: &str, requester: &str) -> Side {
    let owns = by.role != Role::Analyst && by.organisation == owner;
    match owns || by.organisation != requester {
        true => Side::Owner,
        false => Side::Requester,
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}
