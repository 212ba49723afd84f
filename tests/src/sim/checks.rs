//! What must hold whatever happens, each a function named as the sentence it enforces. They watch what is sent and what is on disk,
//! never what an engine says of itself, and look after every event at what that event changed.

use std::collections::{BTreeMap, BTreeSet};

use engine::coordinator::{Books as CoordinatorBooks, Coordinator};
use engine::message::{Cursor, ToAgent, ToCoordinator};
use engine::participant::{Books, Participant};
use engine::record::{CoordinatorRecord, ParticipantRecord};
use engine::{
    CoordinatorEvent, CoordinatorStep, Digest, JobId, ParticipantEvent, ParticipantStep, SignedRelease, SlotId,
};
use governance::log::{Kind, SignedEvent, Usage};
use governance::{ContentHash, SignedAct, What};
use privacy::LedgerEvent;
use secagg::{MaskedHeader, Message, Reveal, Survivors};

use super::Options;
use super::node::Node;
use crate::plain;

/// Who holds an opened share of a peer's two secrets, among the honest.
#[derive(Default)]
struct Opened {
    b: BTreeSet<usize>,
    w: BTreeSet<usize>,
}

/// What was seen so far.
pub struct Checks {
    /// The first sentence that was broken.
    pub broken: Option<String>,
    colluders: usize,
    c: usize,
    /// Members of each epoch, by number.
    members: BTreeMap<u64, usize>,
    /// Survivor sets that were shown to anybody: cohort and survivors.
    survivor_sets: BTreeMap<Digest, (Vec<u16>, BTreeSet<u16>)>,
    opened: BTreeMap<(Digest, u16, u16), Opened>,
    /// Vectors that left, by slot and agent.
    vectors: BTreeMap<(SlotId, usize), Digest>,
    sent: BTreeMap<(usize, JobId), u32>,
    /// Tokens on disk as committed, by agent and job.
    committed: BTreeMap<(usize, JobId), u32>,
    serials: BTreeMap<(SlotId, usize), i64>,
    summed: BTreeMap<JobId, SlotId>,
    /// Where releases stand in the log, and how many leaves a quorum vouches for: what is on the coordinator's disk.
    logged: BTreeMap<JobId, u64>,
    vouched: u64,
    pub releases: BTreeMap<JobId, SignedRelease>,
    paused: BTreeSet<usize>,
    /// Grants that agents said they accept a round under, and those that their operators were told are revoked.
    under: BTreeMap<(usize, SlotId), ContentHash>,
    revoked: BTreeSet<(usize, ContentHash)>,
}

impl Checks {
    pub fn new(options: &Options) -> Self {
        Self {
            broken: None,
            colluders: options.colluders,
            c: options.c as usize,
            members: BTreeMap::new(),
            survivor_sets: BTreeMap::new(),
            opened: BTreeMap::new(),
            vectors: BTreeMap::new(),
            sent: BTreeMap::new(),
            committed: BTreeMap::new(),
            serials: BTreeMap::new(),
            summed: BTreeMap::new(),
            logged: BTreeMap::new(),
            vouched: 0,
            releases: BTreeMap::new(),
            paused: BTreeSet::new(),
            under: BTreeMap::new(),
            revoked: BTreeSet::new(),
        }
    }

    /// An agent is told something, truly or not.
    pub fn told(&mut self, _agent: usize, message: &ToAgent) {
        if let ToAgent::Survivors { survivors, .. } = message
            && let Ok(message) = Survivors::decode(survivors)
            && let Some(first) = message.headers.first()
        {
            let cohort = message.accepts.iter().map(|accept| accept.member).collect();
            let survivors = message.headers.iter().map(|header| header.member).collect();
            self.survivor_sets
                .insert(message.u_hash(&first.ctx2), (cohort, survivors));
        }
    }

    /// An agent looked at its data.
    pub fn computed(&mut self, agent: usize, at: SlotId, serial: i64) {
        self.serials.insert((at, agent), serial);
    }

    /// The owner paused everything.
    pub fn paused(&mut self, agent: usize) {
        self.paused.insert(agent);
    }

    /// Records of a participant are on disk.
    pub fn recorded(&mut self, agent: usize, records: &[ParticipantRecord]) {
        for record in records {
            if let ParticipantRecord::Ledger { entry, .. } = record
                && let LedgerEvent::Committed { id, tokens } = &entry.event
                && let Some(job) = id.as_str().get(..32).and_then(JobId::parse)
            {
                *self.committed.entry((agent, job)).or_default() += tokens;
            }
        }
    }

    /// A participant's step: its records are on disk, its messages are about to leave.
    pub fn participant_did(&mut self, agent: usize, step: &ParticipantStep) {
        for event in &step.events {
            if let ParticipantEvent::Sent { job, .. } = event {
                *self.sent.entry((agent, *job)).or_default() += 1;
                self.every_ledger_covers_every_vector_that_left(agent, job);
            }
        }
        for message in &step.envelopes {
            match message {
                ToCoordinator::Accept { at, grant, .. } => {
                    if let Some(grant) = grant {
                        self.under.insert((agent, *at), *grant);
                    }
                    self.nothing_happens_under_a_grant_after_its_revocation_was_acknowledged(agent, *at);
                }
                ToCoordinator::MaskedInput(masked) => {
                    self.a_slot_masks_once(agent, masked.at, &masked.head);
                    self.nothing_leaves_after_a_pause(agent);
                    self.nothing_happens_under_a_grant_after_its_revocation_was_acknowledged(agent, masked.at);
                }
                ToCoordinator::Reveal { at, reveal } => {
                    self.nothing_happens_under_a_grant_after_its_revocation_was_acknowledged(agent, *at);
                    self.no_party_opens_both_secrets_of_one_peer(agent, *at, reveal)
                }
                _ => {}
            }
        }
        // The step is done: its records are on disk, and its operator may be told so.
        for record in step.records.iter().filter(|_| matches!(step.reply, Some(Ok(())))) {
            if let ParticipantRecord::ActMade { signed } = record
                && let Ok(What::GrantRevoked { grant, .. }) = signed.read().map(|act| act.what)
            {
                self.revoked.insert((agent, grant));
            }
        }
    }

    /// A message of a participant's reaches the coordinator.
    pub fn arrives(&mut self, agent: usize, message: &ToCoordinator) {
        use ToCoordinator as M;
        if let M::Accept { at, .. } | M::Vote { at, .. } | M::Reveal { at, .. } = message {
            self.nothing_under_a_grant_arrives_after_its_revocation_was_acknowledged(agent, *at);
        }
        if let M::MaskedInput(masked) = message {
            self.nothing_arrives_after_a_pause(agent);
            self.nothing_under_a_grant_arrives_after_its_revocation_was_acknowledged(agent, masked.at);
        }
    }

    /// The coordinator's step: its records are on disk.
    pub fn coordinator_did(&mut self, step: &CoordinatorStep) {
        for record in &step.records {
            match record {
                CoordinatorRecord::Logged { first, leaves } => self.in_the_log(*first, leaves),
                CoordinatorRecord::Cosigned { size, .. } => self.vouched = self.vouched.max(*size),
                _ => {}
            }
        }
        for event in &step.events {
            match event {
                CoordinatorEvent::EpochOpening { epoch, members } => {
                    self.members.insert(*epoch, *members);
                }
                CoordinatorEvent::Released { job, .. } => self.no_answer_is_shown_before_a_quorum_saw_it(job),
                CoordinatorEvent::RoundSummed { job, at, .. } => {
                    self.summed.insert(*job, *at);
                }
                _ => {}
            }
        }
        for record in &step.records {
            if let CoordinatorRecord::Released { release, .. } = record {
                self.one_job_one_release(release);
                self.a_release_has_at_least_s_min_contributions(release);
                self.every_contribution_is_in_a_sum_once(release);
            }
        }
    }

    fn in_the_log(&mut self, first: u64, leaves: &[String]) {
        for (index, leaf) in (first..).zip(leaves) {
            let Ok(event) = SignedEvent::parse(leaf.as_bytes()) else {
                return self.broke("the log holds signed events");
            };
            let event = event.event();
            if let (Kind::Release, Some(request)) = (event.kind, event.references.get("request")) {
                self.logged.insert(JobId::of(&request.0), index);
            }
        }
    }

    fn no_answer_is_shown_before_a_quorum_saw_it(&mut self, job: &JobId) {
        if self.logged.get(job).is_none_or(|index| *index >= self.vouched) {
            self.broke(&format!("no answer is shown before a quorum saw it: {job}"));
        }
    }

    /// A shell that is told to wake in the past never sleeps.
    pub fn a_wake_is_never_in_the_past(&mut self, now_ms: u64, wake_at_ms: Option<u64>) {
        if wake_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.broke("a wake is never in the past");
        }
    }

    /// What honest members opened of a peer, with what all colluders hold, never reaches the threshold for both secrets.
    fn no_party_opens_both_secrets_of_one_peer(&mut self, agent: usize, at: SlotId, reveal: &[u8]) {
        let Ok(reveal) = Reveal::decode(reveal) else {
            return self.broke("a participant sends what is no reveal");
        };
        let Some((cohort, survivors)) = self.survivor_sets.get(&reveal.u_hash) else {
            return self.broke("a reveal is for a survivor set that was shown to somebody");
        };
        if agent < self.colluders {
            return;
        }
        let Some(n) = self.members.get(&at.epoch) else { return };
        let t = (n + self.c) / 2 + 1;
        for peer in cohort {
            let opened = self.opened.entry((reveal.epoch_id, at.slot, *peer)).or_default();
            if survivors.contains(peer) {
                opened.b.insert(agent)
            } else {
                opened.w.insert(agent)
            };
            if opened.b.len() + self.colluders >= t && opened.w.len() + self.colluders >= t {
                return self.broke(&format!("no party opens both secrets of one peer: {at} peer {peer}"));
            }
        }
    }

    fn every_ledger_covers_every_vector_that_left(&mut self, agent: usize, job: &JobId) {
        let sent = self.sent.get(&(agent, *job)).copied().unwrap_or_default();
        let committed = self.committed.get(&(agent, *job)).copied().unwrap_or_default();
        if sent > committed {
            self.broke(&format!(
                "every ledger covers every vector that left: agent {agent} sent {sent}, committed {committed}"
            ));
        }
    }

    fn a_slot_masks_once(&mut self, agent: usize, at: SlotId, head: &[u8]) {
        let Ok(header) = MaskedHeader::decode(head) else {
            return self.broke("a participant sends what is no header");
        };
        if self
            .vectors
            .insert((at, agent), header.digest)
            .is_some_and(|earlier| earlier != header.digest)
        {
            self.broke(&format!("a slot masks once: agent {agent} at {at}"));
        }
    }

    fn nothing_leaves_after_a_pause(&mut self, agent: usize) {
        if self.paused.contains(&agent) {
            self.broke(&format!("nothing leaves after a pause: agent {agent}"));
        }
    }

    /// Whatever a connection held when its operator was told that the dataset is paused died with it.
    fn nothing_arrives_after_a_pause(&mut self, agent: usize) {
        if self.paused.contains(&agent) {
            self.broke(&format!("nothing arrives after a pause: agent {agent}"));
        }
    }

    fn nothing_happens_under_a_grant_after_its_revocation_was_acknowledged(&mut self, agent: usize, at: SlotId) {
        if let Some(grant) = self.under.get(&(agent, at))
            && self.revoked.contains(&(agent, *grant))
        {
            self.broke(&format!(
                "nothing happens under a grant after its revocation was acknowledged: agent {agent} at {at}"
            ));
        }
    }

    /// Whatever a connection held when its operator was told that the grant is revoked died with it.
    fn nothing_under_a_grant_arrives_after_its_revocation_was_acknowledged(&mut self, agent: usize, at: SlotId) {
        if let Some(grant) = self.under.get(&(agent, at))
            && self.revoked.contains(&(agent, *grant))
        {
            self.broke(&format!(
                "nothing under a grant arrives after its revocation was acknowledged: agent {agent} at {at}"
            ));
        }
    }

    /// When all is quiet: the same acts, in the same order, nothing left to say, and the same grants.
    pub fn every_agent_holds_the_acts_that_concern_it(
        &mut self,
        coordinator: &Coordinator,
        participant: &Participant,
        organisation: &str,
    ) {
        let (books, heard) = (coordinator.books(), participant.books().heard());
        let own = |signed: &&SignedAct| {
            signed
                .read()
                .is_ok_and(|act| books.register().concerns(&act, organisation))
        };
        let acts = books.acts().iter().filter(own);
        let end = acts.fold(Cursor::default(), |place, signed| place.after(&signed.hash()));
        if heard.place() != end || !heard.made().is_empty() {
            let (held, made) = (heard.place().count, heard.made().len());
            let text = format!(
                "{organisation} holds {held} of {} acts, {made} of its own are not confirmed",
                end.count
            );
            return self.broke(&format!("every agent holds the acts that concern it: {text}"));
        }
        for view in heard.register().grants(&participant.by()) {
            let same = books.register().any_grant(&view.grant.id);
            let same = same.and_then(|same| same.lines.get(organisation));
            let held = view.lines.iter().find(|(owner, _)| *owner == organisation);
            if same != held.map(|(_, line)| *line) {
                return self.broke(&format!(
                    "every agent holds the acts that concern it: {organisation} sees another grant"
                ));
            }
        }
    }

    fn one_job_one_release(&mut self, release: &SignedRelease) {
        if self.releases.insert(release.release.id, release.clone()).is_some() {
            self.broke(&format!("one job, one release: {}", release.release.id));
        }
    }

    fn a_release_has_at_least_s_min_contributions(&mut self, release: &SignedRelease) {
        let receipt = &release.release.receipt;
        let threshold = (receipt.members + receipt.c) / 2 + 1;
        if receipt.contributors < receipt.s_min || receipt.s_min < threshold {
            self.broke(&format!("a release has at least s_min contributions: {receipt:?}"));
        }
    }

    /// One-hot components and unique serial numbers: the sum tells whose vectors are in it, and each is there once.
    fn every_contribution_is_in_a_sum_once(&mut self, release: &SignedRelease) {
        let receipt = &release.release.receipt;
        if receipt.repeated.is_some() || release.release.dataset != plain::NAME {
            return;
        }
        let Ok(body) = serde_json::from_str::<plain::Body>(&release.release.body) else {
            return self.broke("a release of the plain workload reads back");
        };
        if body.sum.len() == plain::SHOWN {
            return; // the end of the sum is not in the release
        }
        let Some((serial, ones)) = body.sum.split_last() else {
            return self.broke("a sum has components");
        };
        let once = ones.iter().all(|one| [0, 1].contains(one));
        let present: Vec<usize> = (0..ones.len()).filter(|place| ones[*place] == 1).collect();
        let Some(at) = self.summed.get(&release.release.id) else {
            return self.broke("a release follows a sum");
        };
        let expected: i64 = present
            .iter()
            .filter_map(|agent| self.serials.get(&(*at, *agent)))
            .sum();
        if !once || present.len() as u32 != receipt.contributors || expected != *serial || body.rounds != receipt.rounds
        {
            self.broke(&format!("every contribution is in a sum once: {body:?} of {receipt:?}"));
        }
    }

    /// No request costs an owner more tokens than it has rounds and attempts.
    pub fn no_request_costs_more_than_it_says(&mut self, rounds: u32, attempts: u32) {
        let most = rounds + attempts - 1;
        if let Some(((agent, job), tokens)) = self.committed.iter().find(|(_, tokens)| **tokens > most) {
            let text = format!("no request costs more than it says: agent {agent}, {job}: {tokens} of {most}");
            self.broke(&text);
        }
    }

    /// What a restarted participant will know is what it knows now.
    pub fn recovered_books_equal_live_books(&mut self, node: &Node<Participant>) {
        let Some(engine) = &node.engine else { return };
        let mut books = Books::default();
        for record in node.records() {
            if let Err(error) = books.apply(&record) {
                return self.broke(&format!("recovered books equal live books: {error}"));
            }
        }
        if books != *engine.books() {
            self.broke("recovered books equal live books: a participant's differ");
        }
    }

    /// What a restarted coordinator will know is what it knows now.
    pub fn recovered_coordinator_equals_live_one(&mut self, node: &Node<Coordinator>) {
        let Some(engine) = &node.engine else { return };
        let mut books = CoordinatorBooks::default();
        for record in node.records() {
            if let Err(error) = books.apply(&record) {
                return self.broke(&format!("recovered books equal live books: {error}"));
            }
        }
        if books != *engine.books() {
            self.broke("recovered books equal live books: the coordinator's differ");
        }
    }

    /// What the coordinator's books count is what its log says, to the unit.
    pub fn usage_of_the_books_is_that_of_the_log(&mut self, node: &Node<Coordinator>) {
        let Some(engine) = &node.engine else { return };
        let (counted, log) = (engine.books().usage(), engine.books().log());
        let events: Result<Vec<_>, _> = log
            .leaves(0..log.size())
            .map(|leaf| SignedEvent::peek(leaf.as_bytes()))
            .collect();
        let Ok(events) = events else {
            return self.broke("usage of the books is that of the log: a leaf cannot be read");
        };
        let said = Usage::of_log(&events);
        if !counted.askers().eq(said.askers()) || !counted.users().eq(said.users()) {
            self.broke("usage of the books is that of the log: they differ");
        }
    }

    fn broke(&mut self, sentence: &str) {
        self.broken.get_or_insert(sentence.to_owned());
    }
}
