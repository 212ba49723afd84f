//! What the fuzzer knows: all that it heard, by epoch and round, so that it can go on as a coordinator would, or not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use engine::message::{RoundStart, SetupStep, ToAgent, Wire};
use engine::{CohortTerms, Digest, SlotId};
use governance::log::Tree;
use governance::{Request, SignedAct, SignedRequest, SignedRoster};
use secagg::adder::Relay;
use secagg::{Accept, Ack, Deal, Hello, MaskedHeader, Members, Message, PairCts, Vote};

use super::people::People;

const MEMORY: usize = 300;
pub(super) const SLOTS: u16 = 12;

/// All of it.
pub struct Mind {
    /// What it said last, to whom.
    pub memory: Vec<(usize, ToAgent)>,
    pub epochs: BTreeMap<u64, EpochSeen>,
    pub rounds: BTreeMap<SlotId, RoundSeen>,
    /// Rounds that go on.
    pub open: Vec<SlotId>,
    pub jobs: Vec<Job>,
    pub acts: Vec<SignedAct>,
    pub rosters: Vec<SignedRoster>,
    pub log: LogSeen,
    pub next_epoch: u64,
    /// To be said when the step that it answers is done.
    pub outbox: VecDeque<(usize, ToAgent)>,
}

/// An epoch on its way, or live.
pub struct EpochSeen {
    pub names: Vec<usize>,
    pub members: Arc<Members>,
    pub(super) relay: Relay,
    pub(super) step: SetupStep,
    pub(super) arrived: BTreeSet<u16>,
    pub(super) out: BTreeMap<u16, Vec<Wire>>,
    pub live: bool,
    pub next_slot: u16,
}

/// A round by what came back.
pub struct RoundSeen {
    pub start: RoundStart,
    pub job: usize,
    pub stage: Stage,
    pub(super) visits: u32,
    /// By context; a split view has two.
    pub accepts: BTreeMap<Digest, BTreeMap<u16, Accept>>,
    pub headers: BTreeMap<Digest, BTreeMap<u16, MaskedHeader>>,
    pub votes: BTreeMap<Digest, BTreeMap<u16, Vote>>,
    pub reveals: BTreeMap<Digest, BTreeSet<u16>>,
    pub(super) cohort: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Accepting,
    Collecting,
    Opening,
    Ending,
}

/// A question that somebody really asked, or did not.
pub struct Job {
    pub forged: bool,
    pub request: Arc<SignedRequest>,
    pub asked: Request,
    pub round: u32,
    pub attempt: u32,
    /// The state that the next round stands on, and the sum that led there.
    pub(super) state: Option<Arc<[u8]>>,
    pub(super) sum: Wire,
    pub(super) terms: CohortTerms,
    /// Agents that were in the round before.
    pub(super) holders: BTreeSet<usize>,
}

/// The log as the fuzzer tells it.
#[derive(Default)]
pub struct LogSeen {
    pub tree: Tree,
    pub leaves: Vec<Arc<str>>,
    pub waiting: Vec<String>,
    /// Leaves of these agents are left out.
    pub dropped: BTreeSet<usize>,
}

impl Mind {
    pub fn new(people: &People) -> Self {
        Self {
            memory: Vec::new(),
            epochs: BTreeMap::new(),
            rounds: BTreeMap::new(),
            open: Vec::new(),
            jobs: Vec::new(),
            acts: Vec::new(),
            rosters: vec![people.signed_roster.clone()],
            log: LogSeen::default(),
            next_epoch: 1,
            outbox: VecDeque::new(),
        }
    }

    pub fn said(&mut self, agent: usize, message: &ToAgent) {
        if self.memory.len() == MEMORY {
            self.memory.remove(0);
        }
        self.memory.push((agent, message.clone()));
    }

    pub fn crashed(&mut self, agent: usize) {
        for epoch in self.epochs.values_mut().filter(|epoch| epoch.names.contains(&agent)) {
            epoch.live = false;
        }
        for job in &mut self.jobs {
            job.holders.remove(&agent);
        }
    }

    pub fn ask(&mut self, request: SignedRequest, asked: Request, forged: bool) {
        self.jobs.push(Job {
            forged,
            request: Arc::new(request),
            asked,
            round: 0,
            attempt: 0,
            state: None,
            sum: Vec::new().into(),
            terms: CohortTerms { n: 0, c: 0, s_min: 0 },
            holders: BTreeSet::new(),
        });
    }
}

impl RoundSeen {
    /// The context that most agreed to.
    pub fn most<T>(of: &BTreeMap<Digest, BTreeMap<u16, T>>) -> Option<(&Digest, &BTreeMap<u16, T>)> {
        of.iter().max_by_key(|(_, of)| of.len())
    }
}

impl EpochSeen {
    /// Takes one member's message; `None` for one that does not fit.
    pub(super) fn take(&mut self, from: u16, wire: &[u8]) -> Option<()> {
        let all = |of: Vec<Wire>, members: &Members| members.indices().map(|index| (index, of.clone())).collect();
        match self.step {
            SetupStep::Hello => {
                if let Some(hellos) = self.relay.hello(Hello::decode(wire).ok()?).ok()? {
                    self.out = all(
                        hellos.iter().map(|hello| hello.encode().into()).collect(),
                        &self.members,
                    );
                }
            }
            SetupStep::PairCt => {
                for (to, part) in self.relay.pair_cts(PairCts::decode(wire).ok()?).ok()? {
                    self.out.entry(to).or_default().push(part.encode().into());
                }
            }
            SetupStep::Deal => {
                for (to, part) in self.relay.deal(Deal::decode(wire).ok()?).ok()? {
                    self.out.entry(to).or_default().push(part.encode().into());
                }
            }
            SetupStep::Ack => {
                if let Some(acks) = self.relay.ack(Ack::decode(wire).ok()?).ok()? {
                    self.out = all(acks.iter().map(|ack| ack.encode().into()).collect(), &self.members);
                }
            }
        }
        self.arrived.insert(from);
        Some(())
    }
}
