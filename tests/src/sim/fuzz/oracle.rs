//! The sentences that hold whatever a coordinator does, checked from outside: on what an agent was told, what it says, and what is on its
//! disk at that moment. What a request, a grant or a budget allows is worked out in [`super::ears`], without the engine's help.
#![expect(
    clippy::collapsible_match,
    reason = "an arm is a kind of word, and what else it takes stands in the arm"
)]

use std::collections::{BTreeMap, BTreeSet};

use engine::message::{RoundStart, ToAgent, ToCoordinator};
use engine::record::ParticipantRecord;
use engine::{Digest, ParticipantStep, SlotId};
use governance::{ContentHash, Request, What};
use secagg::{Accept, Certificate, MaskedHeader, Message, Reveal, Survivors, Vote};

use super::ears::{Ears, Ink};
use super::{gauss, people};
use crate::plain;

/// Beats without a word after which an agent must refuse, in milliseconds.
const PATIENCE_MS: u64 = 15_000;

/// One agent's part in a round, as it was agreed.
pub struct Part {
    start: RoundStart,
    hash: ContentHash,
    request: Request,
    grant: Option<ContentHash>,
    roster: ContentHash,
    /// Of consent, when data was about to be touched.
    generation: Option<u64>,
}

/// What was seen of one agent since it was started last.
#[derive(Default)]
struct Life {
    told: Option<RoundStart>,
    parts: BTreeMap<SlotId, Part>,
    heard_at_ms: Option<u64>,
    /// Survivor sets that it was shown, and votes that it was shown for them.
    shown: BTreeMap<Digest, Shown>,
    votes: BTreeMap<Digest, BTreeSet<u16>>,
    /// Members and colluders of each epoch that it may be in.
    members: BTreeMap<u64, (usize, usize)>,
    /// The checkpoint that it is shown: size and root.
    checkpoint: Option<(u64, String)>,
}

struct Shown {
    at: SlotId,
    cohort: Vec<u16>,
    survivors: BTreeSet<u16>,
}

/// Honest members that opened a share of each of a peer's two secrets.
#[derive(Default)]
struct Opened {
    b: BTreeSet<usize>,
    w: BTreeSet<usize>,
}

/// How often what happened: a fuzzer that reaches nothing proves nothing.
pub type Reach = BTreeMap<String, u64>;

pub struct Oracle {
    /// The first sentence that was broken.
    pub broken: Option<String>,
    pub ears: Vec<Ears>,
    pub ink: Ink,
    pub reach: Reach,
    lives: Vec<Life>,
    colluders: usize,
    /// Per agent, epoch and slot: the one context, masked digest and survivor set.
    contexts: BTreeMap<(usize, Digest, u16), Digest>,
    masked: BTreeMap<(usize, Digest), Digest>,
    answers: BTreeMap<(usize, Digest, u16), Digest>,
    opened: BTreeMap<(Digest, u16, u16), Opened>,
    reveals: BTreeMap<Digest, BTreeSet<usize>>,
    sent: BTreeMap<(usize, ContentHash), u32>,
    /// Rho of the vectors that left, by who pays, reckoned from the signed words alone.
    left: BTreeMap<(usize, Option<String>), f64>,
    /// Values that no byte that leaves may hold.
    canaries: Vec<BTreeSet<[u8; 8]>>,
    stopped: BTreeSet<(usize, ContentHash)>,
    cosigned: BTreeMap<usize, (u64, String)>,
}

impl Oracle {
    pub fn new(ears: Vec<Ears>) -> Self {
        let agents = ears.len();
        Self {
            broken: None,
            colluders: ears.iter().filter(|ears| ears.owner.colludes).count(),
            ears,
            ink: Ink::default(),
            reach: Reach::new(),
            lives: (0..agents).map(|_| Life::default()).collect(),
            contexts: BTreeMap::new(),
            masked: BTreeMap::new(),
            answers: BTreeMap::new(),
            opened: BTreeMap::new(),
            reveals: BTreeMap::new(),
            sent: BTreeMap::new(),
            left: BTreeMap::new(),
            canaries: vec![BTreeSet::new(); agents],
            stopped: BTreeSet::new(),
            cosigned: BTreeMap::new(),
        }
    }

    pub fn count(&mut self, what: &str) {
        *self.reach.entry(what.to_owned()).or_default() += 1;
    }

    /// The agent's process is gone, and what it held in memory.
    pub fn crashed(&mut self, agent: usize) {
        self.lives[agent] = Life::default();
        self.count("crash");
    }

    pub fn connected(&mut self, agent: usize, now_ms: u64) {
        self.lives[agent].heard_at_ms = Some(now_ms);
    }

    /// The agent is told something, true or not.
    pub fn told(&mut self, agent: usize, message: &ToAgent, now_ms: u64) {
        let life = &mut self.lives[agent];
        life.told = match message {
            ToAgent::RoundStart(start) => Some(start.clone()),
            ToAgent::RoundEnded { next: Some(next), .. } => Some((**next).clone()),
            _ => None,
        };
        match message {
            ToAgent::Heartbeat(cursor) if *cursor == self.ears[agent].place => life.heard_at_ms = Some(now_ms),
            ToAgent::Survivors { at, survivors } => {
                let Ok(message) = Survivors::decode(survivors) else {
                    return;
                };
                let Some(first) = message.headers.first() else { return };
                let shown = Shown {
                    at: *at,
                    cohort: message.accepts.iter().map(|accept| accept.member).collect(),
                    survivors: message.headers.iter().map(|header| header.member).collect(),
                };
                life.shown.insert(message.u_hash(&first.ctx2), shown);
            }
            ToAgent::Certificate { certificate, .. } => {
                for vote in Certificate::decode(certificate)
                    .into_iter()
                    .flat_map(|message| message.votes)
                {
                    life.votes.entry(vote.u_hash).or_default().insert(vote.member);
                }
            }
            ToAgent::EpochOpen(open) => {
                // Numbers only rise, so the first that is said of one is what it can be about.
                if life
                    .members
                    .last_key_value()
                    .is_none_or(|(highest, _)| open.epoch > *highest)
                {
                    let c = self.ears[agent].roster.c as usize;
                    life.members.insert(open.epoch, (open.members.len(), c));
                }
            }
            ToAgent::LogGrown(grown) => {
                let mut lines = grown.checkpoint.lines().skip(1);
                let size = lines.next().and_then(|size| size.parse().ok());
                life.checkpoint = size.zip(lines.next().map(str::to_owned));
            }
            _ => {}
        }
    }

    /// Records are on the agent's disk.
    pub fn wrote(&mut self, agent: usize, records: &[ParticipantRecord]) {
        for record in records {
            if let Err(sentence) = self.ears[agent].wrote(record, &self.ink) {
                self.broke(&sentence);
            }
        }
    }

    /// A step: its records are on disk, its messages are about to leave.
    pub fn did(&mut self, agent: usize, step: &ParticipantStep, now_ms: u64, generation: u64) {
        for message in &step.envelopes {
            self.no_canary_is_in_what_leaves(agent, message);
            match message {
                ToCoordinator::Accept { at, accept, grant } => self.accepted(agent, *at, accept, *grant, now_ms),
                ToCoordinator::MaskedInput(masked) => {
                    self.vector(agent, masked.at, &masked.head, now_ms, generation);
                    let digest = MaskedHeader::decode(&masked.head).map(|header| header.digest);
                    if digest.is_ok_and(|digest| digest != MaskedHeader::digest_of(&masked.vector)) {
                        self.broke("a header is of its vector");
                    }
                }
                ToCoordinator::Vote { at, vote } => self.vote(agent, *at, vote, now_ms),
                ToCoordinator::Reveal { at, reveal } => self.reveal(agent, *at, reveal, now_ms),
                ToCoordinator::Refuse { refused, .. } => self.count(&format!("refuse {}", refused.code)),
                ToCoordinator::Aborted { refused, .. } => self.count(&format!("abort {}", refused.code)),
                ToCoordinator::Paths { .. } => self.count("paths"),
                ToCoordinator::Edges { .. } => self.count("edges"),
                ToCoordinator::LogSeen(seen) if seen.cosignature.is_some() => self.cosigned(agent),
                ToCoordinator::LogSeen(seen) if seen.refused.is_some() => self.count("log refused"),
                _ => {}
            }
        }
        if let Some(compute) = &step.compute
            && let Some(part) = self.lives[agent].parts.get_mut(&compute.at)
        {
            part.generation = Some(generation);
            if compute.plan.variance == 0 && !self.ears[agent].owner.without_noise {
                self.broke("nothing is without noise where the owner did not say so");
            }
        }
        for record in step.records.iter().filter(|_| matches!(step.reply, Some(Ok(())))) {
            if let ParticipantRecord::ActMade { signed } = record
                && let Ok(What::GrantRevoked { grant, .. }) = signed.read().map(|act| act.what)
            {
                self.stopped.insert((agent, grant));
                let open = self.lives[agent].parts.values().any(|part| part.grant == Some(grant));
                self.count(if open {
                    "revoked here in a round"
                } else {
                    "revoked here"
                });
            }
        }
    }

    /// What an agent computed, before and after its noise: neither may ever be seen outside.
    pub fn computed(&mut self, agent: usize, values: &[i64]) {
        let own = &mut self.canaries[agent];
        own.extend(
            values
                .iter()
                .filter(|value| value.unsigned_abs() > 1 << 20)
                .map(|value| value.to_le_bytes()),
        );
    }

    fn accepted(&mut self, agent: usize, at: SlotId, wire: &[u8], grant: Option<ContentHash>, now_ms: u64) {
        self.count("accept");
        let Ok(accept) = Accept::decode(wire) else {
            return self.broke("an accept is one");
        };
        let place = (agent, accept.epoch_id, accept.slot);
        if self.contexts.insert(place, accept.ctx_hash).is_some() {
            return self.broke(&format!("a slot is used once: agent {agent} at {at}"));
        }
        let Some(start) = self.lives[agent].told.clone().filter(|start| start.at == at) else {
            return self.broke("an accept answers a start");
        };
        let hash = start.request.hash();
        let Some((request, _)) = self.ink.requests.get(&hash).cloned() else {
            return self.broke("no round is about a request that nobody signed");
        };
        if request.expires_at_ms <= now_ms || start.attempt >= request.max_attempts {
            return self.broke("no round is about a request that is over, nor an attempt that it does not allow");
        }
        let s_min = (start.s_min as usize).max(1);
        let (n, c) = self.members(agent, at);
        let roster = &self.ears[agent].roster;
        let least = ((n + c) / 2 + 1)
            .max(roster.min_cohort as usize)
            .max(self.ears[agent].owner.min_cohort as usize);
        if s_min < least || s_min > n {
            return self.broke(&format!(
                "no smaller cohort than roster, threshold and owner say: {s_min} of {least} to {n}"
            ));
        }
        let part = Part {
            hash,
            request,
            grant,
            roster: self.ears[agent].roster_hash,
            generation: None,
            start,
        };
        self.lives[agent].parts.insert(at, part);
        self.admitted(agent, at, now_ms, "accept");
    }

    fn vector(&mut self, agent: usize, at: SlotId, head: &[u8], now_ms: u64, generation: u64) {
        let Ok(header) = MaskedHeader::decode(head) else {
            return self.broke("a participant sends what is no header");
        };
        if self.masked.insert((agent, header.ctx2), header.digest).is_some() {
            return self.broke(&format!("a slot masks once: agent {agent} at {at}"));
        }
        self.admitted(agent, at, now_ms, "vector");
        let Some(part) = self.lives[agent].parts.get(&at) else {
            return;
        };
        if part.generation != Some(generation) {
            return self.broke(&format!(
                "no vector leaves under consents that have changed: agent {agent} at {at}"
            ));
        }
        let (hash, grant, index) = (part.hash, part.grant, part.start.round + part.start.attempt);
        let (attempt, round, s_min) = (part.start.attempt, part.start.round, part.start.s_min);
        let (n, c) = self.members(agent, at);
        let task: plain::Task = serde_json::from_str(&part.request.task).expect("a task that was accepted");
        let analyst = part.request.analyst.clone();
        let rounds = task.rounds;
        let most = rounds + part.request.max_attempts - 1;
        // The charge is on disk.
        let sent = self.sent.entry((agent, hash)).or_default();
        *sent += 1;
        let sent = *sent;
        let ears = &self.ears[agent];
        let committed = ears.committed.get(&hash).copied().unwrap_or_default();
        if sent > committed || sent > most {
            return self.broke(&format!(
                "every vector is charged before it leaves: agent {agent} sent {sent}, committed {committed} of {most}"
            ));
        }
        if !ears.tokens.get(&hash).is_some_and(|tokens| tokens.contains(&index)) {
            return self.broke(&format!(
                "every vector has a token of its own: agent {agent}, {index} of {hash}"
            ));
        }
        // What it reveals stays within the owner's words, by exact arithmetic over the vectors themselves.
        if task.variance > 0 {
            let shares = s_min.saturating_sub(c as u32);
            let rho = 1.0 / (2.0 * f64::from(shares) * task.variance as f64);
            let line = match grant {
                Some(grant) => format!("grant/{grant}"),
                None => analyst,
            };
            let own = self.ears[agent].cap_of(&line).unwrap_or(0.0);
            for (of, cap) in [(None, self.ears[agent].owner.cap), (Some(line), own)] {
                let left = self.left.entry((agent, of.clone())).or_default();
                *left += rho;
                let epsilon = gauss::epsilon(*left, people::DELTA);
                if epsilon > cap * 1.000_001 {
                    return self.broke(&format!(
                        "what left stays within every cap: agent {agent}, {of:?}: {epsilon} of {cap}"
                    ));
                }
            }
        }
        self.count("vector");
        for (what, so) in [
            ("vector by grant", grant.is_some()),
            ("vector of a later attempt", attempt > 0),
            ("vector of a later round", round > 0),
            ("vector without noise", task.variance == 0),
            ("vector of a small cohort", (s_min as usize) < n),
        ] {
            if so {
                self.count(what);
            }
        }
    }

    fn vote(&mut self, agent: usize, at: SlotId, wire: &[u8], now_ms: u64) {
        self.count("vote");
        let Ok(vote) = Vote::decode(wire) else {
            return self.broke("a vote is one");
        };
        self.answers_once(agent, vote.epoch_id, vote.slot, vote.u_hash);
        self.still_admitted(agent, at, now_ms, "vote");
    }

    fn reveal(&mut self, agent: usize, at: SlotId, wire: &[u8], now_ms: u64) {
        self.count("reveal");
        let Ok(reveal) = Reveal::decode(wire) else {
            return self.broke("a reveal is one");
        };
        self.answers_once(agent, reveal.epoch_id, reveal.slot, reveal.u_hash);
        self.still_admitted(agent, at, now_ms, "reveal");
        let (n, c) = self.members(agent, at);
        let t = (n + c) / 2 + 1;
        let life = &self.lives[agent];
        let Some(shown) = life.shown.get(&reveal.u_hash).filter(|shown| shown.at == at) else {
            return self.broke("a reveal is for a survivor set that this agent was shown");
        };
        let s_min = life.parts.get(&at).map_or(0, |part| part.start.s_min as usize);
        if shown.survivors.len() < s_min.max(t) {
            let found = shown.survivors.len();
            return self.broke(&format!(
                "no sum is opened over fewer than agreed: {found} of {s_min} and {t} at {at}"
            ));
        }
        let all = shown.survivors.len() == shown.cohort.len();
        let votes = life.votes.get(&reveal.u_hash).map_or(0, BTreeSet::len);
        if !all && votes < t {
            return self.broke(&format!(
                "nothing of the lost is opened without a certificate: {votes} votes of {t} at {at}"
            ));
        }
        let (cohort, survivors) = (shown.cohort.clone(), shown.survivors.clone());
        self.count(if all { "reveal at once" } else { "reveal by certificate" });
        if self.ears[agent].owner.colludes {
            return;
        }
        for peer in cohort {
            let opened = self.opened.entry((reveal.epoch_id, reveal.slot, peer)).or_default();
            match survivors.contains(&peer) {
                true => opened.b.insert(agent),
                false => opened.w.insert(agent),
            };
            if opened.b.len() + self.colluders >= t && opened.w.len() + self.colluders >= t {
                return self.broke(&format!("no party opens both secrets of one peer: {at} peer {peer}"));
            }
        }
        let opened = self.reveals.entry(reveal.u_hash).or_default();
        opened.insert(agent);
        if opened.len() + self.colluders == t {
            self.count("sum opened");
        }
    }

    fn members(&self, agent: usize, at: SlotId) -> (usize, usize) {
        self.lives[agent].members.get(&at.epoch).copied().unwrap_or_default()
    }

    /// What a witness put its name to stands for it for good.
    fn cosigned(&mut self, agent: usize) {
        self.count("cosignature");
        let Some(signed) = self.lives[agent].checkpoint.clone() else {
            return self.broke("a witness signs what it was shown");
        };
        let earlier = self.cosigned.insert(agent, signed.clone());
        if earlier.is_some_and(|(size, root)| signed.0 < size || signed.0 == size && signed.1 != root) {
            self.broke(&format!(
                "no witness signs two logs, nor a shorter one: agent {agent} at {}",
                signed.0
            ));
        }
    }

    fn answers_once(&mut self, agent: usize, epoch: Digest, slot: u16, u_hash: Digest) {
        let earlier = self.answers.insert((agent, epoch, slot), u_hash);
        if earlier.is_some_and(|earlier| earlier != u_hash) {
            self.broke(&format!("one survivor set a slot: agent {agent}, slot {slot}"));
        }
    }

    /// A member outside the cohort has no part of its own, and answers for others.
    fn still_admitted(&mut self, agent: usize, at: SlotId, now_ms: u64, what: &str) {
        match self.lives[agent].parts.contains_key(&at) {
            true => self.admitted(agent, at, now_ms, what),
            false => self.count(&format!("{what} of a bystander")),
        }
    }

    /// Whether this agent may take part in this round now, for all that it was told and decided itself.
    fn admitted(&mut self, agent: usize, at: SlotId, now_ms: u64, what: &str) {
        let life = &self.lives[agent];
        let Some(part) = life.parts.get(&at) else {
            return self.broke(&format!(
                "nothing leaves a round that was not accepted: {what} of agent {agent} at {at}"
            ));
        };
        let ears = &self.ears[agent];
        let plain = crate::plain::contract().hash();
        let key = self.ink.requests.get(&part.hash).map(|(_, key)| *key);
        let enrolled = ears
            .roster
            .analysts
            .iter()
            .find(|analyst| analyst.id == part.request.analyst);
        let stale = life.heard_at_ms.is_none_or(|heard| now_ms > heard + PATIENCE_MS);
        let why = match () {
            () if stale => Some("nothing was heard from the coordinator for three beats".to_owned()),
            () if ears.roster_hash != part.roster => Some("the roster is another one by now".to_owned()),
            () if enrolled.map(|analyst| analyst.key) != key => {
                Some("its analyst's key is not in the roster".to_owned())
            }
            () if part.grant.is_some_and(|grant| self.stopped.contains(&(agent, grant))) => {
                Some("its operator revoked the grant".to_owned())
            }
            () => ears.uncovered(&part.request, part.grant, now_ms, &plain),
        };
        if let Some(why) = why {
            self.broke(&format!(
                "nothing leaves but what was granted: {what} of agent {agent} at {at}, although {why}"
            ));
        }
    }

    fn no_canary_is_in_what_leaves(&mut self, agent: usize, message: &ToCoordinator) {
        let bytes = bytes(message);
        let own = &self.canaries[agent];
        let raw = bytes
            .windows(8)
            .any(|window| own.contains(<&[u8; 8]>::try_from(window).expect("eight")));
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let spelled = !text.is_empty()
            && own
                .iter()
                .any(|value| text.contains(&i64::from_le_bytes(*value).to_string()));
        if raw || spelled {
            self.broke(&format!("no value of a row leaves agent {agent} but under masks"));
        }
    }

    pub fn broke(&mut self, sentence: &str) {
        self.broken.get_or_insert(sentence.to_owned());
    }
}

/// All that a message says.
fn bytes(message: &ToCoordinator) -> Vec<u8> {
    use ToCoordinator as M;
    match message {
        M::Offers(offers) => format!("{offers:?}").into_bytes(),
        M::Act(signed) => signed.body.clone().into_bytes(),
        M::ActsWanted { from } => from.to_string().into_bytes(),
        M::RosterWanted { roster } => roster.to_string().into_bytes(),
        M::TrialAnswer { answer, .. } => format!("{answer:?}").into_bytes(),
        M::Setup(setup) => setup.message.to_vec(),
        M::EpochLeft { refused, dispute, .. } => {
            [refused.to_string().as_bytes(), dispute.as_deref().unwrap_or_default()].concat()
        }
        M::Accept { accept, .. } => accept.to_vec(),
        M::Refuse { refused, .. } | M::Aborted { refused, .. } => refused.to_string().into_bytes(),
        M::Ready { at } => at.to_string().into_bytes(),
        M::MaskedInput(masked) => [&masked.head, masked.vector.as_bytes()].concat(),
        M::Vote { vote, .. } => vote.to_vec(),
        M::Reveal { reveal, .. } => reveal.to_vec(),
        M::Paths { paths, .. } => paths.to_vec(),
        M::Edges { edges, .. } => edges.to_vec(),
        M::Events(leaves) => leaves.concat().into_bytes(),
        M::LogSeen(seen) => format!("{seen:?}").into_bytes(),
    }
}
