//! A participant's durable state: its ledgers, which tokens of which request were used, which roster it believes, what is paused.
//! [`Books::apply`] is the only thing that changes it, running or recovering.

use std::collections::{BTreeMap, BTreeSet};

use governance::log::{EventError, SignedEvent, TreeHash};
use governance::{ContentHash, Roster, RosterError, SignedRoster};
use privacy::ledger::Broken;
use privacy::{Ledger, PopulationId};

use super::acts::Heard;
use super::log::LogBooks;
use crate::approval::Approvers;
use crate::record::ParticipantRecord;

/// Everything that survives a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Books {
    roster: Option<SignedRoster>,
    /// Every roster that was seen here, verified before it was recorded.
    rosters: BTreeMap<ContentHash, Roster>,
    ledgers: BTreeMap<String, Ledger>,
    tokens: BTreeMap<ContentHash, Tokens>,
    paused: BTreeSet<String>,
    log: LogBooks,
    heard: Heard,
    /// Whose signatures count, and which list that is; none in a store of before there were lists.
    approvers: Option<(u64, Approvers)>,
}

/// What was used of one request. A token is one attempt at one round; its index is `round + attempt`, which only rises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// How many were used, those included that were set aside in vain.
    pub used: u32,
    /// The lowest index that may still be used.
    pub next: u32,
    /// None will be used any more.
    pub closed: bool,
}

/// Records that no run of this program could have written in this order.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Inconsistent {
    #[error("population `{population}`: {broken}")]
    Ledger { population: String, broken: Broken },
    #[error("token {found} of request {request} after {next}")]
    Token {
        request: ContentHash,
        next: u32,
        found: u32,
    },
    #[error("a roster of before: {0}")]
    Roster(#[from] RosterError),
    #[error("own event: {0}")]
    Event(#[from] EventError),
    #[error("an own event names ledger head {0}, which no ledger has: ledger and private log are not of one piece")]
    LedgerHead(ContentHash),
}

impl Books {
    /// Makes one record true.
    pub fn apply(&mut self, record: &ParticipantRecord) -> Result<(), Inconsistent> {
        match record {
            ParticipantRecord::RosterAdopted { roster } => {
                self.rosters.insert(roster.hash(), roster.read()?);
                self.roster = Some(roster.clone());
            }
            ParticipantRecord::RosterKept { roster } => {
                self.rosters.insert(roster.hash(), roster.read()?);
            }
            ParticipantRecord::Ledger { population, entry } => {
                let new = || Ledger::new(PopulationId::new(population.clone()));
                let ledger = self.ledgers.entry(population.clone()).or_insert_with(new);
                ledger.apply(entry).map_err(|broken| Inconsistent::Ledger {
                    population: population.clone(),
                    broken,
                })?;
            }
            ParticipantRecord::TokensTaken {
                request,
                first,
                count,
                instead,
            } => {
                let tokens = self.tokens.entry(*request).or_default();
                let lowest = tokens.next.saturating_sub(u32::from(*instead));
                if *first < lowest {
                    return Err(Inconsistent::Token {
                        request: *request,
                        next: tokens.next,
                        found: *first,
                    });
                }
                tokens.used = tokens.used.saturating_add(*count);
                tokens.next = first.saturating_add(*count);
            }
            ParticipantRecord::RequestClosed { request } => {
                self.tokens.entry(*request).or_default().closed = true;
                self.log.closed(request);
            }
            ParticipantRecord::Logged { leaf, payload } => {
                let event = SignedEvent::peek(leaf.as_bytes())?;
                if let Some(head) = event.budget_delta.as_ref().map(|delta| delta.ledger)
                    && self.ledgers.values().all(|ledger| ledger.head().1.0 != head.0)
                {
                    return Err(Inconsistent::LedgerHead(head));
                }
                self.log.logged(leaf, &event);
                if let Some(payload) = payload {
                    self.log.keep(leaf, &event, payload.salt);
                }
            }
            ParticipantRecord::PayloadErased { leaf, .. } => {
                let event = SignedEvent::peek(leaf.as_bytes())?;
                match self.log.knows(&TreeHash::leaf(leaf.as_bytes())) {
                    true => self.log.forget(leaf, &event),
                    // Read again: the row stands where the event stood.
                    false => self.log.logged(leaf, &event),
                }
            }
            ParticipantRecord::Witnessed { view, frontier, leaves } => self.log.witnessed(view, frontier, leaves),
            ParticipantRecord::Behind { leaf } => self.log.behind(leaf),
            ParticipantRecord::Replayed { .. } => self.log.replayed(),
            ParticipantRecord::ApproversSet { version, people } => self.approvers = Some((*version, people.clone())),
            // Evidence for whoever reads the store: what it allowed follows.
            ParticipantRecord::Approved { .. } => {}
            ParticipantRecord::ActHeard { signed, counts } => self.heard.hear(signed, *counts),
            ParticipantRecord::ActMade { signed } => self.heard.make(signed),
            ParticipantRecord::Paused { dataset, paused: true } => {
                self.paused.insert(dataset.clone());
            }
            ParticipantRecord::Paused { dataset, paused: false } => {
                self.paused.remove(dataset);
            }
        }
        Ok(())
    }

    /// The newest roster adopted.
    pub fn roster(&self) -> Option<&SignedRoster> {
        self.roster.as_ref()
    }

    /// A roster that was seen here.
    pub fn roster_of(&self, hash: &ContentHash) -> Option<&Roster> {
        self.rosters.get(hash)
    }

    /// The ledger of a population, if anything ever happened to it.
    pub fn ledger(&self, population: &str) -> Option<&Ledger> {
        self.ledgers.get(population)
    }

    /// All ledgers by population.
    pub fn ledgers(&self) -> impl Iterator<Item = (&String, &Ledger)> {
        self.ledgers.iter()
    }

    /// What was used of a request.
    pub fn tokens(&self, request: &ContentHash) -> Tokens {
        self.tokens.get(request).cloned().unwrap_or_default()
    }

    /// What this witness has seen, and its own events.
    pub fn log(&self) -> &LogBooks {
        &self.log
    }

    /// What people decided, as this agent knows it.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Who may sign that a cap is raised, and which list that is; none where no agent of a version with lists ever ran.
    pub fn approvers(&self) -> Option<(u64, &Approvers)> {
        self.approvers.as_ref().map(|(version, people)| (*version, people))
    }

    /// Whether first caps stand on names: there is none yet, or none was ever held against signatures.
    pub fn is_founding(&self) -> bool {
        self.approvers.is_none() || self.ledgers.values().all(|ledger| ledger.cap().is_none())
    }

    pub fn is_paused(&self, dataset: &str) -> bool {
        self.paused.contains(dataset)
    }
}
