//! What people decided, as this agent knows it: acts that the coordinator's stream brought, and acts that its own operator made.
//!
//! The stream's acts stand in the order in which the coordinator took them; a hash over all of them is compared at every beat, so a
//! stretch that was lost, swapped or meant for somebody else is asked for again. What the operator stopped holds at once,
//! durably, and on top of whatever the stream says, until the stream brings it back. An agent that was told nothing
//! for three beats may not know of a revocation, so it refuses rounds.
//!
//! An act counts if its signer stands in this agent's own roster. One that only takes away counts in any case: a
//! coordinator that invents a "no" could as well have stayed silent.

use governance::act::By;
use governance::log::event::Role;
use governance::{Act, ActError, ContentHash, Register, SignedAct};

use super::{Participant, Turn};
use crate::codes;
use crate::message::{Acts, Cursor, ToCoordinator};
use crate::record::ParticipantRecord;
use crate::refused;
use crate::step::ParticipantEvent;
use crate::workload::Refusal;

/// Beats without a word after which an agent is stale.
const BEATS: u64 = 3;

/// The durable part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    stream: Register,
    place: Cursor,
    /// Made here, and not brought by the stream yet.
    made: Vec<SignedAct>,
    /// What holds while there are such: the stream's acts, and those on top of them.
    holds: Option<Register>,
}

impl Heard {
    /// What the acts lead to.
    pub fn register(&self) -> &Register {
        self.holds.as_ref().unwrap_or(&self.stream)
    }

    /// How many of the stream's acts are here, and which.
    pub fn place(&self) -> Cursor {
        self.place
    }

    /// What the operator decided and the coordinator has not confirmed.
    pub fn made(&self) -> &[SignedAct] {
        &self.made
    }

    pub(super) fn hear(&mut self, signed: &SignedAct, counts: bool) {
        let hash = signed.hash();
        self.place = self.place.after(&hash);
        let act = signed.read().ok().filter(|_| counts);
        self.made.retain(|made| made.hash() != hash);
        if let Some(act) = act {
            // What fits nothing here changes nothing: an act on all lines of a grant may concern others alone.
            let _ = self.stream.apply(hash, &act);
        }
        self.settle();
    }

    pub(super) fn make(&mut self, signed: &SignedAct) {
        self.made.push(signed.clone());
        self.settle();
    }

    fn settle(&mut self) {
        self.holds = (!self.made.is_empty()).then(|| {
            let mut holds = self.stream.clone();
            for made in &self.made {
                if let Ok(act) = made.read() {
                    // The stream may have ended meanwhile what the operator stopped.
                    let _ = holds.apply(made.hash(), &act);
                }
            }
            holds
        });
    }
}

/// When the coordinator was heard from last; lost with the process.
#[derive(Default)]
pub(super) struct Pulse {
    beat_at_ms: Option<u64>,
}

impl Participant {
    /// Who this agent speaks for.
    pub fn by(&self) -> By {
        By {
            role: Role::Agent,
            id: self.config.agent.to_string(),
            organisation: self.organisation().to_owned(),
        }
    }

    /// A fresh connection counts as a beat: the acts come first on it. What was decided meanwhile is said at once.
    pub(super) fn connected(&mut self, turn: &mut Turn<'_>) {
        self.pulse.beat_at_ms = Some(turn.now_ms);
        self.say_made(turn);
    }

    /// The next acts of the stream. A duplicate is passed by; whatever does not continue the list here is asked for again.
    pub(super) fn acts(&mut self, acts: Acts, turn: &mut Turn<'_>) {
        let mut place = acts.from;
        let mut heard = false;
        for signed in &acts.acts {
            let own = self.books.heard().place();
            let next = place.after(&signed.hash());
            if place.count < own.count {
                place = next;
                continue;
            }
            if place.count > own.count {
                return turn.send(ToCoordinator::ActsWanted { from: own.count });
            }
            if place != own {
                let text = "acts that do not follow from those that were heard: they are meant for others, or the story changed";
                return turn.suspicious(None, Refusal::new(codes::ACT, text));
            }
            if let Err(refusal) = self.hear(signed, turn) {
                return turn.suspicious(None, refusal);
            }
            (place, heard) = (next, true);
        }
        if heard {
            self.recheck(turn);
            self.send_offers(turn);
        }
    }

    fn hear(&mut self, signed: &SignedAct, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let not_ours = |reason: String| Refusal::new(codes::ACT, reason);
        let hash = signed.hash();
        let act = signed.read().map_err(|error| not_ours(error.to_string()))?;
        let heard = self.books.heard();
        if heard.stream.is_taken(&hash) || !heard.stream.concerns(&act, self.organisation()) {
            return Err(not_ours(format!("act {hash} is none of this agent's, or came before")));
        }
        let verified = signed.verify(&self.roster, &self.config.governance_key);
        // A stripped or altered signature is no reason to skip an act for good: nothing is recorded, the place does not move, and the
        // agent stays stale until it is shown the act as it was signed. Only what stops something is believed unsigned.
        if let (Err(error @ ActError::Signature(_)), false) = (&verified, act.what.narrows()) {
            return Err(not_ours(error.to_string()));
        }
        let counts = verified.is_ok() || act.what.narrows();
        turn.event(match verified {
            Err(error) if !counts => ParticipantEvent::ActPassedOver {
                act: hash,
                reason: error.to_string(),
            },
            _ => ParticipantEvent::ActHolds {
                act: hash,
                what: act.what.name(),
            },
        });
        let signed = signed.clone();
        self.record(ParticipantRecord::ActHeard { signed, counts }, turn);
        Ok(())
    }

    /// The coordinator's beat. It counts only if it leaves this agent nothing to ask for.
    pub(super) fn heartbeat(&mut self, theirs: Cursor, turn: &mut Turn<'_>) {
        let own = self.books.heard().place();
        self.say_made(turn);
        if theirs == own {
            self.pulse.beat_at_ms = Some(turn.now_ms);
        } else if theirs.count > own.count {
            turn.send(ToCoordinator::ActsWanted { from: own.count });
        } else {
            let text = format!(
                "the coordinator knows {} acts where {} were heard: it lost some, or tells another story",
                theirs.count, own.count
            );
            turn.suspicious(None, Refusal::new(codes::STALE, text));
        }
    }

    /// What this agent's own operator decided: it holds when the records of this step are durable.
    pub(super) fn make_act(&mut self, signed: SignedAct, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let not = |text: String| Refusal::new(codes::ACT, text);
        let act = signed.verify(&self.roster, &self.config.governance_key);
        let act: Act = act.map_err(|error| not(error.to_string()))?;
        if act.by != self.by() || !act.what.narrows() {
            let text = "an agent signs for itself, and only what suspends or revokes".to_owned();
            return Err(not(text).remedy("a steward of the organisation decides the rest: `sotto grant`"));
        }
        let heard = self.books.heard();
        if heard.register().is_taken(&signed.hash()) {
            return Ok(());
        }
        let fits = heard.register().clone().apply(signed.hash(), &act);
        fits.map_err(|error| refused::of_act(&error))?;
        turn.event(ParticipantEvent::ActHolds {
            act: signed.hash(),
            what: act.what.name(),
        });
        self.record(ParticipantRecord::ActMade { signed }, turn);
        self.recheck(turn);
        self.say_made(turn);
        self.send_offers(turn);
        Ok(())
    }

    fn say_made(&self, turn: &mut Turn<'_>) {
        for signed in self.books.heard().made() {
            turn.send(ToCoordinator::Act(signed.clone()));
        }
    }

    /// Whether this agent may have missed a revocation.
    pub(super) fn is_fresh(&self, now_ms: u64) -> Result<(), Refusal> {
        let patience_ms = self.config.limits.beat_ms.saturating_mul(BEATS);
        let beat = self.pulse.beat_at_ms;
        if beat.is_some_and(|beat| now_ms <= beat.saturating_add(patience_ms)) {
            return Ok(());
        }
        let text =
            format!("nothing was heard from the coordinator for {patience_ms} ms: a revocation may have been missed");
        Err(Refusal::new(codes::STALE, text).remedy("the agent goes on when the coordinator's beat is back"))
    }

    /// Ends what the acts no longer allow, in whatever phase it is: no vector leaves, and of one that left nothing is opened by this
    /// agent any more.
    fn recheck(&mut self, turn: &mut Turn<'_>) {
        let parts = self.rounds.iter().filter_map(|(at, round)| Some((*at, round.part()?)));
        let refused = parts.filter_map(|(at, part)| Some((at, self.permitted(part, turn.now_ms).err()?)));
        let refused: Vec<_> = refused.collect();
        for (at, refusal) in refused {
            self.abort(at, refusal, turn);
        }
    }

    pub(super) fn organisation(&self) -> &str {
        let agent = self.roster.agent(self.config.agent.as_str());
        agent.map_or("", |agent| agent.organisation.as_str())
    }
}

/// What a grant's line in a ledger is called. No analyst's name has a slash.
pub(super) fn line(grant: &ContentHash) -> String {
    format!("grant/{grant}")
}
