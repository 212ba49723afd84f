//! The coordinator's side of the transparency log: it orders events, signs checkpoints, and gathers the witnesses' cosignatures.
//!
//! Events become leaves in the transaction of a step that writes anyway; those of agents wait up to a second for one. One checkpoint at a time is
//! open. It is closed by a quorum, and the next one is signed when an answer waits for it or a second has passed. Every agent gets the new
//! leaves with the proofs that it needs, one message under way at a time, from the size that it last named. An answer is shown when its
//! leaf is in a checkpoint with a quorum; sums inside a training run wait for nothing. Costs 60 us an event, and for a checkpoint one
//! signature and a verification for each witness.

mod books;

use std::collections::{BTreeMap, BTreeSet};

use governance::log::event::{Actor, Role};
use governance::log::{Checkpoint, Event, Kind, Nodes, SignedCheckpoint, SignedEvent, TreeHash, Trust, TrustError};
use governance::{Act, ActError, ContentHash, Roster, SignedAct, SignedRequest};

pub use books::LogBooks;

use super::caps::Thing;
use super::{Coordinator, Turn};
use crate::codes;
use crate::ids::{AgentId, JobId};
use crate::message::{LogGrown, LogSeen, ToAgent};
use crate::record::CoordinatorRecord;
use crate::refused::Refused;
use crate::release::SignedRelease;
use crate::step::CoordinatorEvent;
use crate::workload::Refusal;

/// The longest that a leaf waits for a checkpoint.
const BATCH_MS: u64 = 1_000;
/// A checkpoint that has no quorum after this long makes room for one that holds more.
const GATHER_MS: u64 = 2_000;
/// How long no quorum may have signed before nobody's data is touched for a new question: its answer could not be shown.
const DEGRADED_MS: u64 = 10_000;
/// An agent that does not answer is told again, first after this long.
const AGAIN_MS: u64 = 3_000;
const AGAIN_MOST_MS: u64 = 60_000;
/// One that refuses is shown the newest checkpoint again after this long.
const REFUSED_MS: u64 = 1_000;
/// Leaves in one message, and their bytes; one leaf at least.
const PAGE: u64 = 2_000;
const PAGE_BYTES: usize = 2 << 20;
/// Events that an agent may hand in at once, and the longest of them. Honest ones take less than half: what an agent may hand in by the
/// hour is counted, and this is what it weighs.
const MOST_EVENTS: usize = 4_096;
const LONGEST_EVENT: usize = 4_096;

/// What is lost in a crash, and may be.
pub(super) struct Log {
    trust: Trust,
    open: Option<Open>,
    /// When the oldest checkpoint was made that no quorum has signed, nor a later one.
    unclosed_ms: Option<u64>,
    witnesses: BTreeMap<AgentId, Told>,
    /// Agents' events that wait for a transaction: agents keep them until they are shown to be in the log.
    buffer: Vec<SignedEvent>,
    buffered: BTreeSet<TreeHash>,
    /// When the oldest leaf without a checkpoint wants one.
    due_ms: Option<u64>,
    /// Jobs that are answered and wait for a quorum.
    waiting: Vec<JobId>,
    /// Whether what an older version left out was logged.
    settled: bool,
}

/// The checkpoint that gathers cosignatures.
struct Open {
    signed: SignedCheckpoint,
    since_ms: u64,
    closed: bool,
}

/// A connected agent.
struct Told {
    /// Leaves that it said it has seen.
    size: u64,
    /// The checkpoint that it answered last on this connection.
    answered: Option<u64>,
    again_at_ms: u64,
    wait_ms: u64,
}

impl Log {
    pub(super) fn new(roster: &Roster, books: &super::Books) -> Result<Self, TrustError> {
        let unseen = |job: &&JobId| !books.log().is_witnessed(job);
        Ok(Self {
            trust: Trust::of(roster)?,
            open: None,
            unclosed_ms: None,
            witnesses: BTreeMap::new(),
            buffer: Vec::new(),
            buffered: BTreeSet::new(),
            due_ms: None,
            waiting: books.released().filter(unseen).copied().collect(),
            settled: false,
        })
    }

    pub(super) fn trusts(&mut self, trust: Trust) {
        self.trust = trust;
    }

    pub(super) fn left(&mut self, agent: &AgentId) {
        self.witnesses.remove(agent);
    }

    /// How many witnesses signed the open checkpoint, and how many must.
    fn gathered(&self) -> (usize, usize) {
        let open = self
            .open
            .as_ref()
            .map(|open| open.signed.note().verified(self.trust.witnesses()));
        let found = open.and_then(Result::ok).map_or(0, |cosigned| cosigned.len());
        (found, self.trust.needed())
    }
}

impl Coordinator {
    /// Logs what the coordinator itself did.
    pub(super) fn log_own(&mut self, event: impl FnOnce(Actor) -> Event, turn: &mut Turn) {
        let key = &self.config.actor_key;
        let actor = Actor {
            role: Role::Coordinator,
            id: self.roster.coordinator.id.clone(),
            key: key.public(),
        };
        // Unwrap safety: the callers build events that are complete for their kind, and the key is the actor's.
        let event = event(actor)
            .sign(key)
            .expect("the coordinator's own events are complete");
        turn.leaves.push(event);
    }

    /// The event of a request, signed by its analyst when the request was.
    pub(super) fn request_event(
        &self,
        signed: &SignedRequest,
        request: &governance::Request,
    ) -> Result<SignedEvent, Refusal> {
        let refused = |text: String| Refusal::new(codes::BAD_REQUEST, text);
        let analyst = self.roster.analyst(&request.analyst);
        let analyst = analyst.ok_or_else(|| refused(format!("unknown analyst `{}`", request.analyst)))?;
        signed.logged(request, &analyst.key).map_err(|error| {
            refused(format!("the request's event is not signed: {error}")).remedy("upgrade the client: it signs both")
        })
    }

    /// An answer, and the version of a model that it may be.
    pub(super) fn log_release(
        &mut self,
        job: JobId,
        release: &SignedRelease,
        adds: Option<&governance::Addition>,
        turn: &mut Turn,
    ) {
        let (hash, request, at_ms) = (release.hash(), release.release.request_hash, turn.now_ms);
        let contract = Some(release.release.receipt.contract);
        // What was answered before cost nothing now: who paid for it stands with the earlier request.
        let earlier = release
            .release
            .receipt
            .repeated
            .and_then(|earlier| self.books.job(&earlier));
        let earlier = earlier.map(|earlier| earlier.hash);
        self.log_own(
            |actor| {
                let event = Event {
                    contract,
                    ..Event::new(Kind::Release, at_ms, actor)
                };
                let event = event.refers("request", request).refers("release", hash);
                match earlier {
                    Some(earlier) => event.refers("repeats", earlier),
                    None => event,
                }
            },
            turn,
        );
        if let Some(governance::Addition::Version { model, parent, .. }) = adds {
            self.log_own(
                |actor| {
                    let event = Event::new(Kind::ModelVersion, at_ms, actor);
                    let event = event.refers("model", *model).refers("release", hash);
                    match parent {
                        Some(parent) => event.refers("parent", *parent),
                        None => event,
                    }
                },
                turn,
            );
        }
        self.log.waiting.push(job);
    }

    /// A version that moved, in the coordinator's words: what its analyst signed is named by its hash.
    pub(super) fn log_move(
        &mut self,
        signed: &governance::SignedMove,
        job: &JobId,
        model: ContentHash,
        turn: &mut Turn,
    ) {
        let Some(release) = self
            .books
            .job(job)
            .and_then(super::Job::release)
            .map(SignedRelease::hash)
        else {
            return;
        };
        let (at_ms, act) = (turn.now_ms, signed.hash());
        self.log_own(
            |actor| {
                Event::new(Kind::ModelVersion, at_ms, actor)
                    .refers("model", model)
                    .refers("release", release)
                    .refers("act", act)
            },
            turn,
        );
    }

    /// The leaf of what somebody decided, in the words of who decided it. An agent that made an act durable before agents signed
    /// its event is heard all the same: what it stopped, it stopped, and the leaf stands on the coordinator's word.
    pub(super) fn act_event(&self, act: &Act, signed: &SignedAct) -> Result<Option<SignedEvent>, Refusal> {
        let refused = |text: String| Refusal::new(codes::ACT, text).remedy("upgrade the client: it signs both");
        match signed.logged(&self.roster, &self.config.governance_key) {
            Ok(Some(event)) => Ok(Some(event)),
            Ok(None) | Err(ActError::EventSignature(_)) if act.by.role == Role::Agent => Ok(None),
            Ok(None) => Err(refused("the act's event for the log is not signed".to_owned())),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// What somebody decided. The next checkpoint is made at once: people wait for a grant, and nobody should wait to see a revocation.
    pub(super) fn log_act(&mut self, act: &Act, hash: ContentHash, event: Option<SignedEvent>, turn: &mut Turn) {
        let at_ms = turn.now_ms;
        match event {
            Some(event) => turn.leaves.push(event),
            None => self.log_own(|actor| act.event_by(hash, at_ms, actor), turn),
        }
        self.log.due_ms = Some(at_ms);
    }

    /// Events that an agent signed. They are its own or they are not taken.
    pub(super) fn events(&mut self, from: &AgentId, leaves: Vec<String>, turn: &mut Turn) {
        if leaves.len() > MOST_EVENTS {
            let text = format!("{} events at once: expected at most {MOST_EVENTS}", leaves.len());
            return turn.misbehaved(from, Refusal::new(codes::LOG_EVENT, text));
        }
        let an_hour = self.config.limits.agent_events_per_hour;
        for leaf in leaves {
            // What is in the log or waits for it costs nobody anything, and no verification.
            let hash = TreeHash::leaf(leaf.as_bytes());
            if self.books.log().holds(&hash) || self.log.buffered.contains(&hash) {
                continue;
            }
            let asked = self.request_of(&leaf);
            let free = asked.is_some_and(|job| self.caps.is_of_request(from, job));
            if !free && let Err(refusal) = self.caps.take(from, Thing::Event, an_hour, turn.now_ms) {
                turn.misbehaved(from, refusal);
                break;
            }
            match self.own_event(from, &leaf) {
                Ok(event) => {
                    self.log.buffered.insert(hash);
                    self.log.buffer.push(event);
                }
                Err(text) => turn.misbehaved(from, Refusal::new(codes::LOG_EVENT, text)),
            }
        }
        if !self.log.buffer.is_empty() {
            self.log.due_ms.get_or_insert(turn.now_ms + BATCH_MS);
        }
    }

    /// The job that an event speaks of, if it was taken here.
    fn request_of(&self, leaf: &str) -> Option<JobId> {
        let event = SignedEvent::peek(leaf.as_bytes()).ok()?;
        let job = JobId::of(&event.references.get("request")?.0);
        self.books.job(&job).map(|_| job)
    }

    fn own_event(&self, from: &AgentId, leaf: &str) -> Result<SignedEvent, String> {
        if leaf.len() > LONGEST_EVENT {
            let found = leaf.len();
            return Err(format!("an event of {found} bytes: expected at most {LONGEST_EVENT}"));
        }
        let event = SignedEvent::parse(leaf.as_bytes()).map_err(|error| error.to_string())?;
        event
            .by_member(&self.roster, &self.config.governance_key)
            .map_err(|error| error.to_string())?;
        let (actor, kind) = (&event.event().actor, event.event().kind);
        if actor.role != Role::Agent || actor.id != from.as_str() {
            return Err(format!(
                "an event of {:?} `{}`: an agent hands in its own",
                actor.role, actor.id
            ));
        }
        // Acts and rosters are logged when they are taken: a member that could log one by itself could make others wait for it.
        if !matches!(
            kind,
            Kind::Decision | Kind::Charge | Kind::Contribution | Kind::Deletion
        ) {
            return Err(format!(
                "a {kind} event: an agent hands in what it decided, charged, sent and erased"
            ));
        }
        Ok(event)
    }

    pub(super) fn witness_joined(&mut self, agent: &AgentId, size: u64, turn: &mut Turn) {
        let told = Told {
            size,
            answered: None,
            again_at_ms: turn.now_ms,
            wait_ms: AGAIN_MS,
        };
        self.log.witnesses.insert(agent.clone(), told);
    }

    /// What an agent says of a checkpoint.
    pub(super) fn log_seen(&mut self, from: &AgentId, seen: LogSeen, turn: &mut Turn) {
        let Some(told) = self.log.witnesses.get_mut(from) else {
            return;
        };
        told.size = seen.size;
        told.wait_ms = AGAIN_MS;
        told.again_at_ms = turn.now_ms;
        if let Some(refused) = seen.refused {
            (told.again_at_ms, told.answered) = (turn.now_ms + REFUSED_MS, None);
            let agent = from.clone();
            return turn.event(CoordinatorEvent::WitnessRefused { agent, refused });
        }
        let Some(line) = seen.cosignature else { return };
        told.answered = Some(seen.size);
        if let Err(text) = self.cosigned(from, seen.size, &line, turn) {
            turn.misbehaved(from, Refusal::new(codes::LOG_EVENT, text));
        }
    }

    fn cosigned(&mut self, from: &AgentId, size: u64, line: &str, turn: &mut Turn) -> Result<(), String> {
        let name = governance::log::trust::witness_name(from.as_str());
        let key = self
            .log
            .trust
            .witnesses()
            .iter()
            .find(|key| key.name() == name)
            .cloned();
        // An agent of the coordinator's own organisation signs and does not count; an older size came too late.
        let (Some(key), Some(open)) = (key, self.log.open.as_mut()) else {
            return Ok(());
        };
        if open.signed.checkpoint().size != size {
            return Ok(());
        }
        let line = line
            .parse()
            .map_err(|error: governance::log::NoteError| error.to_string())?;
        open.signed.attach(line, &key).map_err(|error| error.to_string())?;
        if open.closed || self.log.trust.quorum(&open.signed).is_err() {
            return Ok(());
        }
        open.closed = true;
        self.log.unclosed_ms = None;
        let checkpoint = open.signed.to_string();
        self.record(CoordinatorRecord::Cosigned { size, checkpoint }, turn);
        let waiting = std::mem::take(&mut self.log.waiting);
        for job in waiting {
            match self.books.log().is_witnessed(&job) {
                true => self.tell_released(job, turn),
                false => self.log.waiting.push(job),
            }
        }
        Ok(())
    }

    fn tell_released(&mut self, job: JobId, turn: &mut Turn) {
        let release = self.books.job(&job).and_then(super::Job::release);
        let repeated = release.is_some_and(|release| release.release.receipt.repeated.is_some());
        turn.event(CoordinatorEvent::Released { job, repeated });
    }

    /// Why an answer is not shown yet.
    pub(super) fn unwitnessed(&self) -> Refused {
        let (found, needed) = self.log.gathered();
        let text =
            format!("the answer waits for witnesses: {found} of {needed} signed the newest checkpoint of the log");
        Refusal::new(codes::NO_QUORUM, text)
            .remedy("it is shown as soon as enough participants are back: `sotto participant` shows who is missing")
            .into()
    }

    /// Why no new question touches data now, if none does.
    pub(super) fn degraded(&self, now_ms: u64) -> Option<Refusal> {
        let since_ms = self.log.unclosed_ms?;
        let (found, needed) = self.log.gathered();
        (since_ms + DEGRADED_MS <= now_ms).then(|| {
            let text = format!("too few witnesses: {found} of {needed} signed the newest checkpoint of the log, so no answer could be shown");
            Refusal::new(codes::NO_QUORUM, text).remedy(
                "nothing was charged; it goes on as soon as enough participants are back: `sotto participant` shows who is missing",
            )
        })
    }

    /// The end of every step: leaves into the step's transaction, then a checkpoint if one is due, then whoever lacks it is told.
    pub(super) fn tend_log(&mut self, turn: &mut Turn) {
        let own = std::mem::take(&mut turn.leaves);
        let due = self.log.due_ms.is_some_and(|due| due <= turn.now_ms);
        if !own.is_empty() || due || !turn.step.records.is_empty() {
            self.log.buffered.clear();
            let (mut leaves, mut fresh) = (Vec::new(), BTreeSet::new());
            for event in std::mem::take(&mut self.log.buffer).into_iter().chain(own) {
                if !self.books.log().holds(&event.hash()) && fresh.insert(event.hash()) {
                    leaves.push(event.leaf().to_owned());
                }
            }
            if !leaves.is_empty() {
                self.log.due_ms.get_or_insert(turn.now_ms + BATCH_MS);
                let first = self.books.log().size();
                self.record(CoordinatorRecord::Logged { first, leaves }, turn);
            }
        }
        if self.wants_checkpoint(turn.now_ms) {
            let signed = self.checkpoint(self.books.log().size());
            let (since_ms, closed) = (turn.now_ms, false);
            self.log.unclosed_ms.get_or_insert(since_ms);
            self.log.due_ms = (!self.log.buffer.is_empty()).then_some(turn.now_ms + BATCH_MS);
            self.log.open = Some(Open {
                signed,
                since_ms,
                closed,
            });
        }
        let held = self.log.open.as_ref().map(|open| open.signed.checkpoint().size);
        if held == Some(self.books.log().size()) && self.log.buffer.is_empty() {
            self.log.due_ms = None;
        }
        self.show_log(turn);
    }

    /// What an older version of this program, a first start, or a rebuild left out: the roster, answers that were given before there was a
    /// log, and acts that participants heard and no leaf tells of.
    pub(super) fn settle_log(&mut self, turn: &mut Turn) {
        if std::mem::replace(&mut self.log.settled, true) {
            return;
        }
        let unlogged = |job: &&JobId| self.books.log().release(job).is_none();
        let unlogged: Vec<JobId> = self.books.released().filter(unlogged).copied().collect();
        self.log.waiting.retain(|job| !unlogged.contains(job));
        for job in unlogged {
            if let Some(release) = self.books.job(&job).and_then(super::Job::release).cloned() {
                self.log_release(job, &release, None, turn);
            }
        }
        if self.books.log().roster() != Some(self.roster_hash) {
            self.log_roster(turn);
        }
        self.keep_roster(turn);
        let of = |signed: &SignedAct| (signed.hash(), signed.clone());
        let acts = self.books.acts().iter().map(of);
        let unlogged: Vec<_> = acts.filter(|(hash, _)| !self.books.log().holds_act(hash)).collect();
        for (hash, signed) in unlogged {
            if let Ok(act) = signed.read() {
                // A signer who left meanwhile signs no leaf here: then it is the coordinator that says so.
                let event = self.act_event(&act, &signed).ok().flatten();
                self.log_act(&act, hash, event, turn);
            }
        }
    }

    fn keep_roster(&mut self, turn: &mut Turn) {
        if self.books.roster(&self.roster_hash).is_none() {
            let roster = self.config.roster.clone();
            self.record(CoordinatorRecord::RosterKept { roster }, turn);
        }
    }

    pub(super) fn log_roster(&mut self, turn: &mut Turn) {
        self.keep_roster(turn);
        let (at_ms, roster) = (turn.now_ms, self.roster_hash);
        self.log_own(
            |actor| Event::new(Kind::Roster, at_ms, actor).refers("roster", roster),
            turn,
        );
    }

    fn wants_checkpoint(&self, now_ms: u64) -> bool {
        let size = self.books.log().size();
        let Some(open) = &self.log.open else { return true };
        let held = open.signed.checkpoint().size;
        if size == held || !(open.closed || open.since_ms + GATHER_MS <= now_ms) {
            return false;
        }
        let release = |job: &JobId| self.books.log().release(job).is_some_and(|index| index >= held);
        self.log.waiting.iter().any(release) || self.log.due_ms.is_some_and(|due| due <= now_ms)
    }

    /// The log's head at a size that it had. An honest log signs one root for a size.
    fn checkpoint(&self, size: u64) -> SignedCheckpoint {
        let origin = self.log.trust.log().name().to_owned();
        // Unwrap safety: a tree has a root at every size up to its own, and the name is one that a key was made with.
        let root = self.books.log().tree().root_at(size).expect("a size that the tree had");
        let checkpoint = Checkpoint { origin, size, root };
        checkpoint
            .sign(&self.config.actor_key)
            .expect("a checkpoint of three lines")
    }

    /// Sends the open checkpoint to every agent that has not answered it and is not about to.
    fn show_log(&mut self, turn: &mut Turn) {
        let Some(head) = self.log.open.as_ref().map(|open| open.signed.checkpoint().size) else {
            return;
        };
        let due = |told: &Told| told.answered != Some(head) && told.again_at_ms <= turn.now_ms;
        let agents = self.log.witnesses.iter().filter(|(_, told)| due(told));
        let agents: Vec<(AgentId, u64)> = agents.map(|(agent, told)| (agent.clone(), told.size)).collect();
        for (agent, from) in agents {
            let grown = self.grown(&agent, from, head);
            let Some(told) = self.log.witnesses.get_mut(&agent) else {
                continue;
            };
            told.again_at_ms = turn.now_ms + told.wait_ms;
            told.wait_ms = (told.wait_ms * 2).min(AGAIN_MOST_MS);
            match grown {
                Ok(grown) => turn.send(&agent, ToAgent::LogGrown(Box::new(grown))),
                Err(refusal) => turn.event(CoordinatorEvent::WitnessRefused {
                    agent,
                    refused: refusal.into(),
                }),
            }
        }
    }

    /// What an agent that has seen `from` leaves needs to examine the next ones.
    fn grown(&self, agent: &AgentId, from: u64, head: u64) -> Result<LogGrown, Refusal> {
        let books = self.books.log();
        if from > books.size() {
            let text = format!(
                "{agent} has seen {from} leaves of the log, and here are {}",
                books.size()
            );
            return Err(Refusal::new(codes::LOG_LOST, text).remedy(
                "this coordinator lost a part of its log: stop it and rebuild its store from a participant's mirror",
            ));
        }
        let most = head.max(from).min(from.saturating_add(PAGE));
        let mut bytes = 0;
        let fitting = books.leaves(from..most).take_while(|leaf| {
            let first = bytes == 0;
            bytes += leaf.len();
            first || bytes <= PAGE_BYTES
        });
        let size = from + fitting.count() as u64;
        let failed = |error: String| Refusal::new(codes::LOG_EVENT, error);
        let open = self
            .log
            .open
            .as_ref()
            .filter(|open| open.signed.checkpoint().size == size);
        let checkpoint = match open {
            Some(open) => open.signed.clone(),
            None => self.checkpoint(size),
        };
        let tree = books.tree();
        Ok(LogGrown {
            from,
            head,
            checkpoint: checkpoint.to_string(),
            entries: books.leaves(from..size).cloned().collect(),
            consistency: tree
                .consistency(from, size)
                .map_err(|error| failed(error.to_string()))?,
        })
    }

    /// When something of the log is to be done.
    pub(super) fn log_wake(&self) -> Option<u64> {
        let open = self.log.open.as_ref()?;
        let head = open.signed.checkpoint().size;
        let grows = self.books.log().size() > head || !self.log.buffer.is_empty();
        let next = match open.closed {
            true => self.log.due_ms,
            false => Some(self.log.due_ms.unwrap_or(0).max(open.since_ms + GATHER_MS)),
        };
        let told = self.log.witnesses.values().filter(|told| told.answered != Some(head));
        let again = told.map(|told| told.again_at_ms).min();
        [next.filter(|_| grows), again].into_iter().flatten().min()
    }
}
