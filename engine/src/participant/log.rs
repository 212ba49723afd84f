//! The participant as a witness: it examines every checkpoint, makes what it saw durable, and only then signs.
//!
//! It keeps each leaf that it is sent and the right edge of the tree, so that a checkpoint must be the tree of exactly these leaves; the consistency proof
//! and the proofs of its own events are checked besides. A checkpoint that it refuses frees none of its events, and is held against whatever is signed next. A fork convicts the coordinator, and nothing is answered
//! any more. What this agent signed and does not remember convicts its own store: it was put back to an older state, and nothing is
//! answered until two people have replayed the charges (`replay`). Whoever has not seen the log's head since it connected answers
//! nothing yet. Costs three signatures' work for a checkpoint and 4 us for each leaf of somebody else.

mod books;
mod events;
mod replay;

use std::collections::BTreeSet;

use governance::Roster;
use governance::log::event::Role;
use governance::log::trust::origin;
use governance::log::witness::Refusal as Refused;
use governance::log::{
    Algorithm, Checkpoint, CheckpointError, Event, Frontier, NoteKey, Offer, SignedCheckpoint, SignedEvent, TreeHash,
    Witness,
};

pub(super) use books::Terms;
pub use books::{ActLeaf, LogBooks};
pub(super) use events::{Contributions, price};
pub use replay::ReplayRefused;

use super::{Participant, Turn};
use crate::approval::Approval;
use crate::codes;
use crate::message::{LogGrown, LogSeen, ToCoordinator};
use crate::record::ParticipantRecord;
use crate::workload::Refusal;

/// How long the coordinator may take to log what it was handed.
const MERGE_DELAY_MS: u64 = 30_000;
/// What is not shown to be in the log is handed in again after this long.
const AGAIN_MS: u64 = 5_000;
/// Events in one message.
const BATCH: usize = 1_000;
/// What was written down after a step's messages leaves with the next step, at the latest this much later.
const SOON_MS: u64 = 20;

/// What is lost in a crash, and may be.
pub(super) struct Log {
    witness: Witness,
    connected: bool,
    /// When the last connection ended; the beginning of time for a process that had none.
    gone_ms: u64,
    /// Whether the log's head was seen on this connection.
    current: bool,
    /// Why the newest checkpoint was not accepted.
    fault: Option<Refusal>,
    /// Own events that are to be handed in.
    unsent: BTreeSet<TreeHash>,
    /// Those of them that are durable only when this step is over.
    held: BTreeSet<TreeHash>,
    again_at_ms: u64,
    /// No payload is erased before this.
    erase_at_ms: u64,
}

impl Log {
    pub(super) fn new(roster: &Roster, books: &LogBooks) -> Result<Self, CheckpointError> {
        let key = NoteKey::new(&origin(roster), Algorithm::Ed25519, roster.coordinator.signing_key)?;
        Ok(Self {
            witness: Witness::new(key, MERGE_DELAY_MS, books.view().clone())?,
            connected: false,
            gone_ms: 0,
            current: false,
            fault: None,
            unsent: BTreeSet::new(),
            held: BTreeSet::new(),
            again_at_ms: 0,
            erase_at_ms: 0,
        })
    }
}

/// What a checkpoint is found to be.
enum Found {
    /// The proofs are for another size than this agent has seen: the coordinator is told which.
    Elsewhere,
    Accepted(Option<String>),
    Refused(Refusal),
}

impl Participant {
    /// A step begins: what was to be durable after the one before is durable now.
    pub(super) fn log_step(&mut self) {
        self.log.held.clear();
    }

    pub(super) fn log_size(&self) -> u64 {
        self.log.witness.size()
    }

    pub(super) fn log_connected(&mut self, connected: bool, now_ms: u64) {
        if self.log.connected {
            self.log.gone_ms = now_ms;
        }
        self.log.connected = connected;
        self.log.current = false;
        if connected {
            let outbox = self.books.log().outbox();
            self.log
                .witness
                .hand_in_again(outbox.keys().copied(), self.log.gone_ms, now_ms);
            self.log.unsent = outbox.keys().copied().collect();
        }
    }

    /// Nothing that depends on the log's soundness goes on after a fork, or from a store that is older than the log.
    pub(super) fn log_intact(&self) -> Result<(), Refusal> {
        if self.log.witness.fork().is_some() {
            let text = "the coordinator signed two different logs: this participant answers nothing any more";
            return Err(Refusal::new(codes::LOG_FORKED, text)
                .remedy("the evidence is in `sotto-participant status`: show it to governance"));
        }
        let missing = self.books.log().missing().len();
        if missing > 0 {
            let text =
                format!("the ledger is older than the log: {missing} own events of the log are not in the store");
            return Err(Refusal::new(codes::LEDGER_BEHIND, text)
                .remedy("two people sign what is charged again: `sotto-participant ledger replay` says what"));
        }
        Ok(())
    }

    /// Whether the newest that the log holds was seen and found good, and holds what this agent said: before anything is set aside.
    pub(super) fn log_current(&self, now_ms: u64) -> Result<(), Refusal> {
        self.log_intact()?;
        if let Some(fault) = &self.log.fault {
            return Err(fault.clone());
        }
        if !self.log.current {
            let text = "the head of the log was not seen yet on this connection";
            return Err(Refusal::new(codes::LOG_UNSEEN, text));
        }
        let in_time = self.log.witness.own_in_time(now_ms);
        in_time.map_err(|overdue| Refusal::new(codes::LOG_FAULT, overdue.to_string()))
    }

    /// The coordinator shows how the log grew.
    pub(super) fn log_grown(&mut self, grown: LogGrown, turn: &mut Turn<'_>) {
        let mut seen = LogSeen::default();
        match self.examine(&grown, turn) {
            Found::Elsewhere => {}
            Found::Accepted(line) => seen.cosignature = line,
            Found::Refused(refusal) => {
                turn.suspicious(None, refusal.clone());
                seen.refused = Some(refusal.into());
            }
        }
        seen.size = self.log.witness.size();
        turn.send(ToCoordinator::LogSeen(seen));
    }

    fn examine(&mut self, grown: &LogGrown, turn: &mut Turn<'_>) -> Found {
        let fault = |text: String| Refusal::new(codes::LOG_FAULT, text);
        let note = grown.checkpoint.as_bytes();
        let signed = match SignedCheckpoint::open(note, self.log.witness.key()) {
            Ok(signed) => signed,
            Err(error) => return self.faulty(fault(error.to_string())),
        };
        if let Err(forked) = self.log.witness.compare(&signed) {
            return self.convicted(&forked, turn);
        }
        let (seen, offered) = (self.log.witness.size(), signed.checkpoint());
        if grown.from != seen && offered.size > seen {
            return Found::Elsewhere;
        }
        let mut frontier = self.books.log().frontier().clone();
        let mut added = Vec::new();
        // Of a tree that was seen already there is nothing to append; a rollback is the witness's to find.
        if offered.size > seen {
            added.extend(grown.entries.iter().map(|leaf| TreeHash::leaf(leaf.as_bytes())));
            let grows = self.grows(&mut frontier, &added);
            let sound = grows.and_then(|()| is_tree_of(&frontier, offered));
            if let Err(text) = sound.and_then(|()| are_sound(grown)) {
                return self.refuse(&signed, fault(text), turn);
            }
        }
        let offer = Offer {
            checkpoint: note.to_vec(),
            consistency: if grown.from == seen {
                grown.consistency.clone()
            } else {
                Vec::new()
            },
            own: Vec::new(),
            added,
        };
        let accepted = match self.log.witness.examine(&offer, turn.now_ms) {
            Ok(accepted) => accepted,
            Err(forked @ Refused::Fork(_)) => return self.convicted(&forked, turn),
            Err(refused) => return self.refuse(&signed, fault(refused.to_string()), turn),
        };
        if offered.size > seen {
            let leaves = grown.entries.iter().map(ToString::to_string).collect();
            self.remember(frontier, leaves, turn);
            self.own_unknown(grown, turn);
            self.acts_in_log(turn);
        }
        self.log.fault = None;
        self.log.current |= offered.size >= grown.head;
        let name = governance::log::trust::witness_name(self.config.agent.as_str());
        let line = self
            .log
            .witness
            .cosign(accepted, &name, &self.config.actor_key, turn.now_ms / 1000);
        Found::Accepted(line.ok().map(|line| line.to_string()))
    }

    /// Appends leaves. What the log signed on the way and was refused for has to be the beginning of what it shows now.
    fn grows(&self, frontier: &mut Frontier, leaves: &[TreeHash]) -> Result<(), String> {
        for leaf in leaves {
            frontier.append(*leaf);
            let (size, signed) = (frontier.size(), self.log.witness.refused_root(frontier.size()));
            if let Some(signed) = signed.filter(|signed| *signed != frontier.root()) {
                return Err(format!(
                    "the log signed another tree of {size} leaves before: expected root {signed}, found {}",
                    frontier.root()
                ));
            }
        }
        Ok(())
    }

    fn convicted(&mut self, forked: &Refused, turn: &mut Turn<'_>) -> Found {
        // Once: a coordinator that goes on showing its log fills no disk.
        if self.books.log().view() != self.log.witness.view() {
            self.remember(frontier_of(self), Vec::new(), turn);
        }
        Found::Refused(Refusal::new(codes::LOG_FORKED, forked.to_string()))
    }

    fn refuse(&mut self, signed: &SignedCheckpoint, refusal: Refusal, turn: &mut Turn<'_>) -> Found {
        if self.log.witness.refuse(signed) {
            self.remember(frontier_of(self), Vec::new(), turn);
        }
        self.faulty(refusal)
    }

    fn faulty(&mut self, refusal: Refusal) -> Found {
        self.log.fault = Some(refusal.clone());
        Found::Refused(refusal)
    }

    fn remember(&mut self, frontier: Frontier, leaves: Vec<String>, turn: &mut Turn<'_>) {
        let view = self.log.witness.view().clone();
        self.record(ParticipantRecord::Witnessed { view, frontier, leaves }, turn);
    }

    /// Leaves that this agent's key signed and its store does not hold.
    fn own_unknown(&mut self, grown: &LogGrown, turn: &mut Turn<'_>) {
        for (index, leaf) in (grown.from..).zip(&grown.entries) {
            let Ok(event) = SignedEvent::peek(leaf.as_bytes()) else {
                continue;
            };
            let own = self.is_own(index, &event);
            // What its operator decided is no event of the ledger, and comes back by the stream if the store lost it.
            let decided = event.kind.is_of_act();
            if !own || decided || self.books.log().knows(&TreeHash::leaf(leaf.as_bytes())) {
                continue;
            }
            // Anybody can write a key into a leaf; only who has it can sign that, and every leaf's signature was verified.
            let leaf = leaf.to_string();
            self.record(ParticipantRecord::Behind { leaf }, turn);
        }
    }

    /// Whether the event at a place is this agent's: by the key that it has, or by the one that the roster in force there gave its name. A store
    /// that was lost with its key is found as well as one that was lost alone. Where that roster is not here, the name alone decides: a store that
    /// remembers no roster of then has lost what it said then. A coordinator that names a roster that never was could so make this agent refuse for
    /// good, and would leave the evidence in the log.
    fn is_own(&self, index: u64, event: &Event) -> bool {
        let actor = &event.actor;
        let of_name = actor.id == self.config.agent.as_str();
        let of_member = |roster: &Roster| event.by_member(roster, &self.config.governance_key).is_ok();
        let of_then = || match self.roster_at(index) {
            Ok(roster) => of_member(roster.unwrap_or(&self.roster)),
            Err(_) => true,
        };
        actor.role == Role::Agent && (actor.key == self.config.actor_key.public() || of_name && of_then())
    }

    /// Hands in what is durable and was not handed in on this connection.
    pub(super) fn send_events(&mut self, turn: &mut Turn<'_>) {
        if !self.log.connected {
            return;
        }
        let outbox = self.books.log().outbox();
        if turn.now_ms >= self.log.again_at_ms && self.log.witness.fork().is_none() {
            self.log.unsent.extend(outbox.keys());
        }
        let ready: BTreeSet<TreeHash> = self.log.unsent.difference(&self.log.held).copied().collect();
        if ready.is_empty() {
            return;
        }
        self.log.unsent.retain(|leaf| !ready.contains(leaf));
        let mut waiting: Vec<_> = ready.iter().filter_map(|leaf| outbox.get(leaf)).collect();
        waiting.sort_by_key(|event| event.number);
        let leaves: Vec<String> = waiting.into_iter().map(|event| event.leaf.clone()).collect();
        self.log.again_at_ms = turn.now_ms + AGAIN_MS;
        for batch in leaves.chunks(BATCH) {
            turn.send(ToCoordinator::Events(batch.to_vec()));
        }
    }

    pub(super) fn log_wake(&self, now_ms: u64) -> Option<u64> {
        if !self.log.connected {
            return None;
        }
        let again = !self.books.log().outbox().is_empty() && self.log.witness.fork().is_none();
        let again = again.then(|| self.log.again_at_ms.max(now_ms + SOON_MS));
        let held = (!self.log.held.is_empty()).then_some(now_ms + SOON_MS);
        [again, held, self.contributions_due()].into_iter().flatten().min()
    }

    pub(super) fn replay_or_say(&mut self, approval: &Approval, turn: &mut Turn<'_>) {
        if let Err(refused) = self.replay(approval, turn) {
            turn.suspicious(None, Refusal::new(codes::LEDGER_BEHIND, refused.to_string()));
        }
    }

    /// What the witness remembers, for the operator.
    pub fn witness(&self) -> &Witness {
        &self.log.witness
    }

    /// Why nothing is answered because of the log, if so.
    pub fn log_trouble(&self, now_ms: u64) -> Option<Refusal> {
        self.log_current(now_ms).err()
    }
}

fn frontier_of(participant: &Participant) -> Frontier {
    participant.books.log().frontier().clone()
}

/// Whether each new leaf is a signed event: one that is not would leave a log that nobody can audit or rebuild.
fn are_sound(grown: &LogGrown) -> Result<(), String> {
    for (index, leaf) in (grown.from..).zip(&grown.entries) {
        SignedEvent::signed_by_its_actor(leaf.as_bytes()).map_err(|error| format!("entry {index}: {error}"))?;
    }
    Ok(())
}

fn is_tree_of(frontier: &Frontier, offered: &Checkpoint) -> Result<(), String> {
    let (size, root) = (frontier.size(), frontier.root());
    if (size, root) != (offered.size, offered.root) {
        let (expected, found) = (offered, frontier);
        return Err(format!(
            "the leaves that came are not those of the checkpoint: expected {} with root {}, found {} with root {root}",
            expected.size,
            expected.root,
            found.size()
        ));
    }
    Ok(())
}
