//! What people decided, as this agent knows it: acts that the coordinator's stream brought, and acts that its own operator made.
//!
//! The stream's acts stand in the order in which the coordinator took them; a hash over all of them is compared at every beat, so a
//! stretch that was lost, swapped or meant for somebody else is asked for again. What the operator stopped holds at once,
//! durably, and on top of whatever the stream says, until the stream brings it back. An agent that was told nothing
//! for three beats may not know of a revocation, so it refuses rounds.
//!
//! An act counts if its signer stood in the roster under which it was taken, so that everybody comes to the same state whenever they read it.
//! Where the log shows the act, its place says which roster that was; what the log does not show yet is judged by this agent's own, and
//! if that one does not know the signer it waits for the log. One that only takes away counts in any case: a coordinator that
//! invents a "no" could as well have stayed silent.
//!
//! The log is held against the stream, too: an act that it shows and that concerns this owner must be heard within three beats.

use std::collections::{BTreeMap, BTreeSet};

use governance::act::{By, Subject};
use governance::grant::line_hash;
use governance::log::event::Role;
use governance::register::sides_stand;
use governance::roster::in_force;
use governance::{Act, ActError, ContentHash, NotAtHand, Register, RegisterError, Roster, SignedAct};

use super::log::ActLeaf;
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
    /// All that the stream brought, what was passed over as well.
    brought: BTreeSet<ContentHash>,
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

    /// Whether the stream brought an act.
    pub fn was_brought(&self, act: &ContentHash) -> bool {
        self.brought.contains(act)
    }

    /// What the operator decided and the coordinator has not confirmed.
    pub fn made(&self) -> &[SignedAct] {
        &self.made
    }

    pub(super) fn hear(&mut self, signed: &SignedAct, counts: bool) {
        let hash = signed.hash();
        self.place = self.place.after(&hash);
        self.brought.insert(hash);
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

/// When the coordinator was heard from last, and what it owes; lost with the process.
#[derive(Default)]
pub(super) struct Pulse {
    beat_at_ms: Option<u64>,
    /// The next act of the stream cannot be judged yet. Why, with the names of who signed it, only this agent's own events say.
    waits: bool,
    /// Acts that the log shows and the stream did not bring, and since when.
    owed: BTreeMap<ContentHash, u64>,
    /// The last place in the log of an act that was brought: the stream goes as the log does.
    last_place: Option<u64>,
    /// Datasets of rounds of which something went to this connection, and grants that these were under; none: an owner's list.
    carried: BTreeSet<(String, Option<ContentHash>)>,
    /// Something went to it of a round that is not known any more.
    carried_unknown: bool,
}

/// What becomes of an act that the stream brings.
enum Judged {
    Counts,
    PassedOver(String),
    /// Until the log says more, or the coordinator brings the roster that it names.
    Waits(String, Option<ContentHash>),
    /// Signed by no key that this agent knows: an older key of the signer's, which the log will show, or a forgery.
    Doubtful(String),
    /// Not what anybody signed, or not where it belongs.
    Refused(String),
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
        self.forget_carried();
        self.settle_owed(turn.now_ms);
        self.say_made(turn);
    }

    /// A connection began or ended: nothing is in the one that is next.
    pub(super) fn forget_carried(&mut self) {
        self.pulse.carried.clear();
        self.pulse.carried_unknown = false;
    }

    /// The end of a step: what of a round goes to the connection now.
    pub(super) fn carries(&mut self, turn: &Turn<'_>) {
        for message in &turn.step.envelopes {
            use ToCoordinator as M;
            let (M::Accept { at, .. }
            | M::MaskedInput(crate::message::MaskedInput { at, .. })
            | M::Vote { at, .. }
            | M::Reveal { at, .. }
            | M::Paths { at, .. }
            | M::Edges { at, .. }) = message
            else {
                continue;
            };
            match self.rounds.get(at).map(|round| round.part()) {
                Some(Some(part)) => drop(self.pulse.carried.insert((part.dataset().to_owned(), part.grant()))),
                Some(None) => {} // a watcher's: nothing of its own data is in it
                None => self.pulse.carried_unknown = true,
            }
        }
    }

    /// Whether something of what an act stops may be in the connection's buffers.
    fn may_carry(&self, act: &Act) -> bool {
        let carried = &self.pulse.carried;
        self.pulse.carried_unknown
            || match act.what.grant() {
                Some(grant) => carried.iter().any(|(_, under)| under.as_ref() == Some(grant)),
                None => !carried.is_empty(),
            }
    }

    /// The operator paused a dataset: its rounds end here, and what of them the connection may still hold goes with it.
    pub(super) fn stop(&mut self, dataset: &str, turn: &mut Turn<'_>) {
        let is_of = |round: &super::round::Round| round.part().is_some_and(|part| part.dataset() == dataset);
        let open: Vec<_> = self
            .rounds
            .iter()
            .filter(|(_, round)| is_of(round))
            .map(|(at, _)| *at)
            .collect();
        for at in open {
            let refusal = Refusal::new(codes::PAUSED, format!("`{dataset}` is paused by its owner"));
            self.abort(at, refusal.remedy("ask again later"), turn);
        }
        let carried = self.pulse.carried.iter().any(|(of, _)| of == dataset);
        turn.step.sever |= carried || self.pulse.carried_unknown;
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
            match self.hear(signed, turn) {
                Ok(true) => (place, heard) = (next, true),
                Ok(false) => break,
                Err(refusal) => {
                    turn.suspicious(None, refusal);
                    break;
                }
            }
        }
        if heard {
            self.settle_owed(turn.now_ms);
            self.speak();
            self.recheck(turn);
            self.send_offers(turn);
        }
    }

    /// Whether it was heard: if not, it waits for the log.
    fn hear(&mut self, signed: &SignedAct, turn: &mut Turn<'_>) -> Result<bool, Refusal> {
        let not_ours = |reason: String| Refusal::new(codes::ACT, reason);
        let hash = signed.hash();
        let act = signed.read().map_err(|error| not_ours(error.to_string()))?;
        let heard = self.books.heard();
        // Of a grant whose request was passed over everything is: nothing follows from it here, and it stands on this agent's list.
        let is_void = |grant: &ContentHash| heard.was_brought(grant) && heard.stream.any_grant(grant).is_none();
        let is_void = act.what.grant().is_some_and(is_void);
        if heard.was_brought(&hash) || !(is_void || heard.stream.concerns(&act, self.organisation())) {
            return Err(not_ours(format!("act {hash} is none of this agent's, or came before")));
        }
        // Heard all the same: a coordinator that invents a "no" could as well have stayed silent. But not in somebody's name unnoticed.
        if act.what.narrows()
            && let Err(error @ ActError::Signature(_)) = signed.verify(&self.roster, &self.config.governance_key)
        {
            turn.suspicious(
                None,
                not_ours(format!("act {hash} only takes away and is heard, but {error}")),
            );
        }
        let forged = || {
            let leaf = self.books.log().act(&hash);
            let then = leaf.and_then(|leaf| self.roster_at(leaf.index).ok().flatten());
            let verified = signed.verify(then.unwrap_or(&self.roster), &self.config.governance_key);
            matches!(verified, Err(ActError::Signature(_)))
        };
        let judged = match is_void {
            true if forged() => Judged::Refused(format!("act {hash} is not signed by who it names")),
            true => Judged::PassedOver("the request for its grant was passed over".to_owned()),
            false => self.weigh(signed, &act),
        };
        let counts = match judged {
            Judged::Counts => true,
            Judged::PassedOver(reason) => {
                turn.event(ParticipantEvent::ActPassedOver { act: hash, reason });
                false
            }
            Judged::Waits(reason, roster) => {
                turn.event(ParticipantEvent::ActWaits { act: hash, reason });
                self.pulse.waits = true;
                if let Some(roster) = roster {
                    turn.send(ToCoordinator::RosterWanted { roster });
                }
                return Ok(false);
            }
            Judged::Doubtful(reason) => {
                self.pulse.waits = true;
                return Err(not_ours(reason));
            }
            // A stripped or altered signature is no reason to skip an act for good: nothing is recorded, the place does not move, and the
            // agent stays stale until it is shown the act as it was signed.
            Judged::Refused(reason) => return Err(not_ours(reason)),
        };
        if counts {
            let what = act.what.name();
            turn.event(ParticipantEvent::ActHolds { act: hash, what });
        }
        self.pulse.waits = false;
        let signed = signed.clone();
        self.record(ParticipantRecord::ActHeard { signed, counts }, turn);
        Ok(true)
    }

    fn weigh(&self, signed: &SignedAct, act: &Act) -> Judged {
        if act.what.narrows() {
            return Judged::Counts;
        }
        let by = |roster: &Roster| -> Result<(), RegisterError> {
            let act = signed.verify(roster, &self.config.governance_key)?;
            self.listed(&act.by, roster)?;
            sides_stand(&act.what, roster)
        };
        let Some(leaf) = self.books.log().act(&signed.hash()) else {
            return match by(&self.roster) {
                Ok(()) => Judged::Counts,
                Err(error @ RegisterError::Act(ActError::Malformed(_))) => Judged::Refused(error.to_string()),
                Err(error @ RegisterError::Act(ActError::Signature(_))) => Judged::Doubtful(error.to_string()),
                Err(error) => Judged::Waits(format!("{error}; the log does not show the act yet"), None),
            };
        };
        if self.pulse.last_place.is_some_and(|last| leaf.index < last) {
            let text = format!("entry {} of the log comes after a later one", leaf.index);
            return Judged::Refused(text);
        }
        let judged = match self.roster_at(leaf.index) {
            Ok(Some(roster)) => by(roster),
            Ok(None) => by(&self.roster),
            Err(missing) => return Judged::Waits(missing.to_string(), Some(missing.0)),
        };
        match judged {
            Ok(()) if self.is_overtaken() && by(&self.roster).is_err() => {
                Judged::Waits("the log does not name this agent's own roster yet".to_owned(), None)
            }
            Ok(()) => Judged::Counts,
            Err(error @ RegisterError::Act(ActError::Signature(_))) => Judged::Refused(error.to_string()),
            Err(error) => Judged::PassedOver(error.to_string()),
        }
    }

    /// Whether a steward of this organisation is one whom its operator lists: a roster alone makes nobody speak for this data.
    fn listed(&self, by: &By, roster: &Roster) -> Result<(), RegisterError> {
        let own = by.role == Role::Steward && by.organisation == self.organisation();
        let listed = roster
            .steward(&by.id)
            .is_some_and(|steward| self.config.stewards.contains(&steward.key));
        match own && !listed {
            true => Err(RegisterError::NotListed(by.id.clone())),
            false => Ok(()),
        }
    }

    /// The roster in force at a place of the log.
    pub(super) fn roster_at(&self, index: u64) -> Result<Option<&Roster>, NotAtHand> {
        in_force(self.books.log().rosters_before(index), |hash| {
            match *hash == self.roster_hash {
                true => Some(&self.roster),
                false => self.books.roster_of(hash),
            }
        })
    }

    /// Whether governance made a roster, which this agent has, that the log does not name: whom it removed is not judged by an older one.
    fn is_overtaken(&self) -> bool {
        let mut named = self.books.log().rosters_before(u64::MAX);
        named.all(|roster| roster != self.roster_hash)
    }

    /// Whether the log names a roster that this agent lacks: then it may be older than its own.
    pub(super) fn lacks_roster(&self, hash: &ContentHash) -> bool {
        let mut named = self.books.log().rosters_before(u64::MAX);
        self.books.roster_of(hash).is_none() && named.any(|roster| roster == *hash)
    }

    /// The log grew by acts, or a roster came: what waited is asked for again.
    pub(super) fn acts_in_log(&mut self, turn: &mut Turn<'_>) {
        self.settle_owed(turn.now_ms);
        if self.pulse.waits {
            let from = self.books.heard().place().count;
            turn.send(ToCoordinator::ActsWanted { from });
        }
    }

    /// Holds the log against what was heard.
    fn settle_owed(&mut self, now_ms: u64) {
        let (heard, log) = (self.books.heard(), self.books.log());
        let own = self.organisation();
        let mut known = BTreeSet::new();
        for view in heard.stream.grants(&self.by()) {
            known.insert(view.grant.id);
            known.extend(view.lines.iter().map(|(owner, _)| line_hash(&view.grant.id, owner)));
        }
        let (brought, missing): (Vec<_>, Vec<_>) = log.acts().partition(|(act, _)| heard.was_brought(act));
        let last_place = brought.into_iter().map(|(_, leaf)| leaf.index).max();
        let owed = missing.into_iter().filter(|(_, leaf)| self.is_owed(leaf, own, &known));
        let since = |act: &ContentHash| self.pulse.owed.get(act).copied().unwrap_or(now_ms);
        let owed = owed.map(|(act, _)| (*act, since(act))).collect();
        (self.pulse.owed, self.pulse.last_place) = (owed, last_place);
    }

    /// Whether an act is this agent's to hear, as far as a leaf says: governance's is everybody's, what somebody of an organisation signs is
    /// its own agent's, and so is what stops a grant that it knows; an organisation that stops itself is stopped everywhere.
    fn is_owed(&self, leaf: &ActLeaf, own: &str, known: &BTreeSet<ContentHash>) -> bool {
        let roster = self.roster_at(leaf.index).ok().flatten().unwrap_or(&self.roster);
        let id = &leaf.actor.id;
        let organisation = match leaf.actor.role {
            Role::Governance => return true,
            Role::Coordinator => None,
            Role::Agent => roster.agent(id).map(|agent| &agent.organisation),
            Role::Analyst => roster.analyst(id).map(|analyst| &analyst.organisation),
            Role::Steward => roster.steward(id).map(|steward| &steward.organisation),
        };
        let Some(stops) = &leaf.stops else {
            return organisation.is_some_and(|organisation| organisation == own);
        };
        known.contains(stops)
            || organisation.is_some_and(|organisation| {
                organisation == own || *stops == Subject::Organisation(organisation.clone()).hash()
            })
    }

    /// The coordinator's beat. It counts only if it leaves this agent nothing to ask for.
    pub(super) fn heartbeat(&mut self, theirs: Cursor, turn: &mut Turn<'_>) {
        let own = self.books.heard().place();
        self.say_made(turn);
        if theirs == own {
            self.pulse.beat_at_ms = Some(turn.now_ms);
            self.pulse.waits = false;
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

    /// The vocabulary that the acts lead to, for whoever reads consents.
    pub(super) fn speak(&self) {
        let register = self.books.heard().register();
        self.config
            .consent
            .speaks(register.vocabulary_version(), register.vocabulary());
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
        if self.may_carry(&act) {
            turn.step.sever = true;
        }
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
        if self.pulse.waits {
            let text = "an act of somebody's cannot be judged yet";
            return Err(Refusal::new(codes::ACT_WAITS, text)
                .remedy("it is judged when the log has come; `sotto doctor` compares rosters if it stays"));
        }
        let overdue = |since: &u64| now_ms > since.saturating_add(patience_ms);
        if let Some((act, _)) = self.pulse.owed.iter().find(|(_, since)| overdue(since)) {
            let text =
                format!("the log holds act {act}, which concerns this owner, and the coordinator did not bring it");
            return Err(Refusal::new(codes::ACT_WITHHELD, text)
                .remedy("the agent goes on when it comes; ask the coordinator's organisation why it is withheld"));
        }
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
