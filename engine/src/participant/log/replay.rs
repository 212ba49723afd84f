//! A store that was put back to an older state is brought up to what the log says, by two people of its approvers, who sign which
//! events these are.
//!
//! The log holds this agent's own signed charges. Each that the store does not know is charged again, at a price that covers it at every
//! order and outside of the caps, since it was spent; what came back unused is not given back. Requests that they belong to are closed: a
//! token that was answered before the rollback is answered no second time. It errs towards too dear, never towards too cheap.

use std::collections::BTreeSet;

use governance::ContentHash;
use governance::log::event::{BudgetDelta, Price};
use governance::log::{Event, Kind, SignedEvent, TreeHash};
use privacy::{Charge, ReservationId};

use super::events::analyst_hash;
use crate::approval::{Approval, Approved, Change, Proposal, Recharged, Unapproved};
use crate::participant::acts::line;
use crate::participant::{Participant, Turn};
use crate::record::ParticipantRecord;

/// Why nothing is replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayRefused {
    #[error("nothing is to be replayed: the log holds no event of this agent that the store lacks")]
    Nothing,
    #[error("two people sign what is charged again, and these events are others or not signed so: {0}")]
    Unapproved(#[from] Unapproved),
    #[error(
        "a missing charge is over contract {0}, which is not served now: serve it again, so that its population is known"
    )]
    NotServed(ContentHash),
    #[error("the ledger does not take the charge: {0}")]
    Ledger(String),
}

/// One charge that the ledger lost.
struct Lost {
    id: ReservationId,
    population: String,
    /// Of the ledger: an analyst's, or a grant's.
    line: String,
    charge: Charge,
    tokens: u32,
}

impl Participant {
    /// What two people sign to have charged again what is missing now.
    pub fn to_be_replayed(&self) -> Result<Proposal, ReplayRefused> {
        let lost = self.lost()?;
        Ok(Proposal {
            agent: self.config.agent.to_string(),
            key: self.config.actor_key.public(),
            changes: vec![self.replaying(&lost)],
        })
    }

    /// Whether two people signed that, and it can be done now.
    pub fn can_replay(&self, approval: &Approval) -> Result<Approved, ReplayRefused> {
        let change = self.replaying(&self.lost()?);
        Ok(self.signed_in(&change, std::slice::from_ref(approval))?)
    }

    fn replaying(&self, lost: &[Lost]) -> Change {
        let mut charged = Recharged::new();
        for Lost {
            population,
            line,
            tokens,
            ..
        } in lost
        {
            let lines = charged.entry(population.clone()).or_default();
            *lines.entry(line.clone()).or_default() += u64::from(*tokens);
        }
        let missing = self.books.log().missing();
        let hashes: Vec<&[u8]> = missing.keys().map(|hash| hash.0.as_slice()).collect();
        Change::Replay {
            missing: ContentHash::of("replayed events", &hashes),
            events: hashes.len() as u64,
            charged,
        }
    }

    /// Charges what was lost, closes what it was for, and answers again.
    pub(in crate::participant) fn replay(
        &mut self,
        approval: &Approval,
        turn: &mut Turn<'_>,
    ) -> Result<(), ReplayRefused> {
        let Approved { by: approvals, .. } = self.can_replay(approval)?;
        let lost = self.lost()?;
        let approval = approval.clone();
        self.record(ParticipantRecord::Approved { approval }, turn);
        for lost in lost {
            let Lost {
                id,
                population,
                line,
                charge,
                tokens,
            } = lost;
            let entry = self
                .ledger(&population)
                .restore(turn.now_ms, id, &line, &charge, tokens, &approvals);
            let entry = entry.map_err(|refusal| ReplayRefused::Ledger(refusal.to_string()))?;
            self.record(ParticipantRecord::Ledger { population, entry }, turn);
        }
        let requests = self
            .missing()
            .filter_map(|(_, event)| event.references.get("request").copied());
        for request in requests.collect::<BTreeSet<_>>() {
            self.runs.remove(&request);
            self.record(ParticipantRecord::RequestClosed { request }, turn);
        }
        self.record(ParticipantRecord::Replayed { approvals }, turn);
        self.send_offers(turn);
        Ok(())
    }

    fn missing(&self) -> impl Iterator<Item = (&TreeHash, Event)> {
        let missing = self.books.log().missing().iter();
        missing.filter_map(|(hash, leaf)| Some((hash, SignedEvent::peek(leaf.as_bytes()).ok()?)))
    }

    fn lost(&self) -> Result<Vec<Lost>, ReplayRefused> {
        if self.books.log().missing().is_empty() {
            return Err(ReplayRefused::Nothing);
        }
        let charges = self.missing().filter(|(_, event)| event.kind == Kind::Charge);
        let lost = charges.filter_map(|(hash, event)| self.charged(hash, &event).transpose());
        lost.collect()
    }

    /// The charge of one event; none where tokens came back.
    fn charged(&self, hash: &TreeHash, event: &Event) -> Result<Option<Lost>, ReplayRefused> {
        let Some(BudgetDelta { tokens, price, .. }) = &event.budget_delta else {
            return Ok(None);
        };
        let Ok(tokens @ 1..) = u32::try_from(*tokens) else {
            return Ok(None);
        };
        let contract = event.contract.unwrap_or(ContentHash([0; 32]));
        let served = self.datasets.iter().find(|(served, _)| *served == contract);
        let (_, dataset) = served.ok_or(ReplayRefused::NotServed(contract))?;
        let named = event.references.get("analyst").copied();
        let analyst = self
            .roster
            .analysts
            .iter()
            .find(|analyst| Some(analyst_hash(&analyst.id)) == named);
        Ok(Some(Lost {
            id: ReservationId::new(format!("replayed/{}", hex(hash))),
            population: dataset.population.clone(),
            line: match event.references.get("grant") {
                Some(grant) => line(grant),
                None => analyst.map_or_else(|| "unknown".to_owned(), |analyst| analyst.id.clone()),
            },
            charge: match price {
                Price::Private { rho, .. } => privacy::cost::of_rho(rho.get()),
                Price::WithoutNoise => Charge::infinite(),
            },
            tokens,
        }))
    }
}

fn hex(hash: &TreeHash) -> ContentHash {
    ContentHash(hash.0)
}
