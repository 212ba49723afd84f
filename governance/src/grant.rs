//! A grant: who may ask what of whose data, for which purposes, how much, and until when.
//!
//! ```text
//! requested -> offered -> agreed -> active (by the clock, once the agreement is witnessed) -> expired
//!                                     active <-> suspended            any of them -> revoked | completed
//! ```
//! Each owner has a line of its own: it may offer less than was requested, which is the next version of the terms on its line, and
//! either side may stop or end it. Versions never change. Revoked, completed and expired are final.

mod terms;

use std::collections::{BTreeMap, BTreeSet};

pub use terms::{AGGREGATES, Action, Extent, Terms};

use serde::{Deserialize, Serialize};

use crate::ContentHash;
use crate::act::By;
use crate::hold::Holds;
use crate::log::event::Role;
use crate::purpose::Vocabulary;

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
    /// Who holds it up, by which acts: the line is suspended while somebody does.
    holds: BTreeMap<Side, Holds>,
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
    pub what: Happened,
    pub by: By,
    pub at_ms: u64,
    pub note: String,
}

/// What an act did to a line. Where the line stands after it, [`Line::status`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    Requested,
    Offered,
    Agreed,
    Suspended,
    Resumed,
    Revoked,
    Completed,
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

/// Who may hold a line up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Owner,
    /// The requester's organisation: a steward of it, or its agent.
    Requester,
    /// The requester alone.
    Analyst,
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
    /// What these acts suspended.
    Resume(&'a BTreeSet<ContentHash>),
    Revoke,
    Complete,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    #[error("malformed terms: {0}")]
    Terms(String),
    #[error("the offer is wider than version {version} of the terms, in its {term}")]
    Wider { version: u32, term: &'static str },
    #[error("version {found} of the terms is not the one that stands: expected {expected}")]
    OtherVersion { expected: u32, found: u32 },
    #[error("the grant is {}: it cannot be {wanted}", .from.spelling())]
    NotFrom { from: Status, wanted: &'static str },
    #[error("it was suspended by {0}: only they lift it")]
    HeldBy(&'static str),
    #[error("whoever offered it does not agree to it as well: another steward of the organisation does")]
    OnePerson,
    #[error("none of the suspensions that it names holds it up: look again and name those that do")]
    LiftsNothing,
}

/// Whether an act is in the log, as far as whoever asks can vouch for that: a grant is active only then. An agent goes by what its own witness
/// accepted, the coordinator's dispatch by what a quorum did.
pub trait Witnessed: std::fmt::Debug {
    fn is_witnessed(&self, act: &ContentHash) -> bool;
}

/// One owner's part of a grant, as the log names it: either side may end it alone.
pub fn line_hash(grant: &ContentHash, owner: &str) -> ContentHash {
    ContentHash::of("grant line", &[grant.as_bytes(), owner.as_bytes()])
}

/// For a consortium without a log: an agreement counts at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlogged;

impl Witnessed for Unlogged {
    fn is_witnessed(&self, _act: &ContentHash) -> bool {
        true
    }
}

impl Happened {
    pub fn spelling(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Offered => "offered",
            Self::Agreed => "agreed",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Revoked => "revoked",
            Self::Completed => "completed",
        }
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

impl Grant {
    pub(crate) fn new(id: ContentHash, terms: &Terms, steward_agrees: bool, by: &By, at_ms: u64, note: &str) -> Self {
        let line = || Line {
            versions: vec![Version {
                terms: terms.clone(),
                act: id,
                by: by.clone(),
            }],
            state: State::Requested,
            holds: BTreeMap::new(),
            history: vec![Entry {
                what: Happened::Requested,
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

    /// What somebody must name to lift its own side's suspension of an owner's line, or of all lines.
    pub fn held(&self, by: &By, owner: Option<&str>) -> BTreeSet<ContentHash> {
        let lines = self
            .lines
            .iter()
            .filter(|(of, _)| owner.is_none_or(|owner| owner == *of));
        let held = |(of, line): (&String, &Line)| {
            let side = side(by, of, &self.requested.organisation);
            let holds = line.holds.iter().filter(move |(holder, _)| side.may_lift(**holder));
            holds.flat_map(|(_, holds)| holds.acts()).copied().collect::<Vec<_>>()
        };
        lines.flat_map(held).collect()
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
                Happened::Offered
            }
            (Step::Offer(_), _) => return not_from("offered"),
            (Step::Agree(found), S::Offered) if *found == version => {
                let offered = line
                    .versions
                    .last()
                    .map_or_else(String::new, |version| version.by.id.clone());
                let approvals = [offered, by.id.clone()];
                line.state = State::Agreed { act, approvals };
                Happened::Agreed
            }
            (Step::Agree(found), S::Offered) => {
                return Err(GrantError::OtherVersion {
                    expected: version,
                    found: *found,
                });
            }
            (Step::Agree(_), _) => return not_from("agreed"),
            // Whether the window has ended is not for the signer's clock to say, which may run ahead: whoever stops something is heard.
            (Step::Suspend | Step::Revoke | Step::Complete, _) if line.state.has_ended() => return Ok(()),
            (Step::Suspend, _) => {
                line.holds.entry(side).or_default().hold(act, at_ms);
                Happened::Suspended
            }
            (Step::Resume(_), from) if from.is_final() || line.holds.is_empty() => return not_from("resumed"),
            (Step::Resume(lifts), _) => {
                line.lift(side, lifts, at_ms)?;
                Happened::Resumed
            }
            (Step::Revoke, _) => {
                line.state = State::Revoked;
                Happened::Revoked
            }
            (Step::Complete, _) => {
                line.state = State::Completed;
                Happened::Completed
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

impl State {
    /// For good, by an act and not by the clock.
    fn has_ended(&self) -> bool {
        matches!(self, Self::Revoked | Self::Completed)
    }
}

impl Line {
    /// Takes away what these acts suspended, as far as `side` may.
    fn lift(&mut self, side: Side, lifts: &BTreeSet<ContentHash>, at_ms: u64) -> Result<(), GrantError> {
        let mut lifted = None;
        for (_, holds) in self.holds.iter_mut().filter(|(holder, _)| side.may_lift(**holder)) {
            lifted = Some(holds.lift(lifts, at_ms) | lifted.unwrap_or(false));
        }
        self.holds.retain(|_, holds| !holds.is_empty());
        match (lifted, self.holds.keys().next()) {
            (Some(true), _) => Ok(()),
            (None, Some(holder)) => Err(GrantError::HeldBy(holder.spelling())),
            _ => Err(GrantError::LiftsNothing),
        }
    }

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

    /// Who set out the terms that stand.
    pub(crate) fn offered_by(&self) -> Option<&By> {
        self.versions.last().map(|version| &version.by)
    }

    /// The act that completed the agreement.
    pub fn agreement(&self) -> Option<&ContentHash> {
        match &self.state {
            State::Agreed { act, .. } => Some(act),
            _ => None,
        }
    }

    /// Who holds the line up. Before the agreement that is not where it stands: it can still be offered and agreed, and is suspended then.
    pub fn held_by(&self) -> impl Iterator<Item = &'static str> {
        self.holds.keys().map(|side| side.spelling())
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
            Self::Requester => "a steward or an agent of the requester's organisation",
            Self::Analyst => "the requester",
        }
    }

    /// Whose suspension this side lifts: its own, and an organisation that of its analyst, never the other way round.
    fn may_lift(self, holder: Self) -> bool {
        self == holder || (self, holder) == (Self::Requester, Self::Analyst)
    }
}

/// For whom somebody speaks on an owner's line. A steward or an agent of an organisation that asks of itself speaks as its owner.
fn side(by: &By, owner: &str, requester: &str) -> Side {
    match by.role {
        Role::Analyst => Side::Analyst,
        _ if by.organisation == owner || by.organisation != requester => Side::Owner,
        _ => Side::Requester,
    }
}
