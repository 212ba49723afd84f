//! An epoch and its rounds as a coordinator would take them on, more or less.
#![expect(
    clippy::collapsible_match,
    reason = "an arm is a kind of word, and what else it takes stands in the arm"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::message::{
    Carried, Cohort, EpochOpen, Previous, RoundStart, SetupStep, SetupToAgent, ToAgent, ToCoordinator, Wire,
};
use engine::{AgentId, CohortTerms, Digest, JobId, Outcome, PlainSum, RingVec, SlotId, Workload};
use rand::RngExt;
use secagg::adder::Relay;
use secagg::{Accept, Certificate, MaskedHeader, Members, Message, Receipt, Reveal, Survivors, Vote};

use super::Fuzz;
use crate::plain::{PlainSums, Task};

use super::mind::{EpochSeen, Job, RoundSeen, SLOTS, Stage};

impl Fuzz {
    /// Whatever an agent says is kept; setup is relayed.
    pub(super) fn hear(&mut self, agent: usize, message: ToCoordinator) {
        match message {
            ToCoordinator::Setup(setup) => self.setup(agent, setup.epoch, setup.step, &setup.message),
            ToCoordinator::EpochLeft { epoch, .. } => {
                if let Some(epoch) = self.mind.epochs.get_mut(&epoch) {
                    epoch.live = false;
                }
            }
            ToCoordinator::Accept { at, accept, .. } => {
                let accept = Accept::decode(&accept).expect("an accept is one");
                if let Some(round) = self.mind.rounds.get_mut(&at) {
                    round
                        .accepts
                        .entry(accept.ctx_hash)
                        .or_default()
                        .insert(accept.member, accept);
                    let job = round.job;
                    if let Some(job) = self.mind.jobs.get_mut(job).filter(|job| job.round == round.start.round) {
                        job.holders.insert(agent);
                    }
                }
            }
            ToCoordinator::Ready { at } if !self.roll(50) => {
                self.mind.outbox.push_back((agent, ToAgent::UploadGrant { at }))
            }
            ToCoordinator::MaskedInput(masked) => {
                let header = MaskedHeader::decode(&masked.head).expect("a header is one");
                if let Some(round) = self.mind.rounds.get_mut(&masked.at) {
                    round
                        .headers
                        .entry(header.ctx2)
                        .or_default()
                        .insert(header.member, header);
                }
            }
            ToCoordinator::Vote { at, vote } => {
                let vote = Vote::decode(&vote).expect("a vote is one");
                if let Some(round) = self.mind.rounds.get_mut(&at) {
                    round.votes.entry(vote.u_hash).or_default().insert(vote.member, vote);
                }
            }
            ToCoordinator::Reveal { at, reveal } => {
                let reveal = Reveal::decode(&reveal).expect("a reveal is one");
                if let Some(round) = self.mind.rounds.get_mut(&at) {
                    round.reveals.entry(reveal.u_hash).or_default().insert(reveal.member);
                }
            }
            ToCoordinator::Act(signed) => {
                if !self.mind.acts.contains(&signed) {
                    self.take(signed);
                }
            }
            ToCoordinator::Events(leaves) => {
                if !self.mind.log.dropped.contains(&agent) {
                    self.mind.log.waiting.extend(leaves);
                }
            }
            _ => {}
        }
    }

    /// Proposes an epoch over these agents.
    pub(super) fn open_epoch(&mut self, names: Vec<usize>) {
        let seq = self.mind.next_epoch;
        self.mind.next_epoch += 1;
        let roster = &self.people.roster;
        let keys = names.iter().map(|place| {
            let agent = &roster.agents[*place];
            (agent.id.clone(), secagg::VerifyingKey(agent.signing_key.0))
        });
        let hash = self.people.signed_roster.hash();
        let Ok(members) = Members::new(Digest(hash.0), roster.c as u16, keys.collect()) else {
            return;
        };
        let members = Arc::new(members);
        let epoch = EpochSeen {
            relay: Relay::new(members.clone(), SLOTS),
            names: names.clone(),
            members,
            step: SetupStep::Hello,
            arrived: BTreeSet::new(),
            out: BTreeMap::new(),
            live: false,
            next_slot: 0,
        };
        self.mind.epochs.insert(seq, epoch);
        let open = EpochOpen {
            epoch: seq,
            roster_hash: hash.0,
            members: names
                .iter()
                .map(|place| self.people.consortium.names[*place].clone())
                .collect(),
            slots: SLOTS,
            timeout_ms: 60_000,
        };
        for agent in names {
            self.say(agent, ToAgent::EpochOpen(open.clone()));
        }
    }

    fn setup(&mut self, agent: usize, seq: u64, step: SetupStep, wire: &[u8]) {
        let name = self.people.consortium.names[agent].clone();
        let Some(epoch) = self.mind.epochs.get_mut(&seq).filter(|epoch| epoch.step == step) else {
            return;
        };
        let Some(from) = epoch.members.index(name.as_str()) else {
            return;
        };
        if epoch.take(from, wire).is_none() || epoch.arrived.len() < epoch.members.n() {
            return;
        }
        epoch.arrived.clear();
        let mut out = std::mem::take(&mut epoch.out);
        epoch.step = match epoch.step {
            SetupStep::Hello => SetupStep::PairCt,
            SetupStep::PairCt => SetupStep::Deal,
            SetupStep::Deal | SetupStep::Ack => SetupStep::Ack,
        };
        epoch.live = step == SetupStep::Ack;
        let places: Vec<(usize, u16)> = epoch.names.iter().copied().zip(1..).collect();
        for (place, index) in places {
            let mut parts = out.remove(&index).unwrap_or_default();
            if self.roll(4) && !parts.is_empty() {
                parts.pop();
            }
            let message = ToAgent::Setup(SetupToAgent {
                epoch: seq,
                step,
                parts,
            });
            self.mind.outbox.push_back((place, message));
        }
    }

    /// The terms of a round over an epoch's members.
    pub(super) fn terms(&mut self, seq: u64) -> CohortTerms {
        let members = &self.mind.epochs[&seq].members;
        let (n, c, t) = (members.n() as u32, members.c() as u32, members.threshold() as u32);
        let most = self
            .people
            .owners
            .iter()
            .map(|owner| owner.min_cohort)
            .max()
            .unwrap_or_default();
        let least = t.max(self.people.roster.min_cohort);
        let s_min = match self.rng.random_range(0..10) {
            0 => self.rng.random_range(1..=n),
            1..4 => least,
            _ => least.max(most).min(n),
        };
        CohortTerms { n, c, s_min }
    }

    /// Starts a round of a job on a slot of an epoch.
    pub(super) fn start_round(&mut self, seq: u64, job: usize) {
        let terms = self.terms(seq);
        let Some(epoch) = self.mind.epochs.get_mut(&seq).filter(|epoch| epoch.next_slot < SLOTS) else {
            return;
        };
        let at = SlotId {
            epoch: seq,
            slot: epoch.next_slot,
        };
        epoch.next_slot += 1;
        let names = epoch.names.clone();
        let contract = self.people.consortium.contract.clone();
        let Job {
            request,
            asked,
            round,
            attempt,
            ..
        } = &self.mind.jobs[job];
        let plan = PlainSums.plan(asked, &contract, &terms);
        let timeout_ms = self.rng.random_range(20_000..120_000);
        let start = RoundStart {
            at,
            job: JobId::of(&request.hash().0),
            request: request.clone(),
            round: *round,
            attempt: *attempt,
            plan_hash: plan.map_or([0; 32], |plan| plan.hash().0),
            s_min: terms.s_min,
            previous: None,
            timeout_ms,
        };
        let round = RoundSeen {
            start: start.clone(),
            job,
            stage: Stage::Accepting,
            visits: 0,
            accepts: BTreeMap::new(),
            headers: BTreeMap::new(),
            votes: BTreeMap::new(),
            reveals: BTreeMap::new(),
            cohort: 0,
        };
        let holders = std::mem::take(&mut self.mind.jobs[job].holders);
        self.mind.rounds.insert(at, round);
        self.mind.open.push(at);
        for agent in names {
            let mut start = start.clone();
            start.previous = self.previous(job, holders.contains(&agent));
            if self.roll(30) {
                start = self.bent_start(start);
            }
            self.say(agent, ToAgent::RoundStart(start));
        }
    }

    /// The chain of a job as an agent must be told it.
    fn previous(&self, job: usize, holds: bool) -> Option<Previous> {
        let job = &self.mind.jobs[job];
        let state = job.state.clone()?;
        let carried = match holds {
            true => Carried::Sum {
                values: job.sum.clone(),
                contributors: job.terms.s_min,
            },
            false => Carried::State(state.clone()),
        };
        Some(Previous {
            sum_hash: [7; 32],
            state_hash: Previous::hash_of(&state),
            terms: job.terms,
            carried,
        })
    }

    /// Moves one round on as a coordinator would, more or less.
    pub(super) fn go_on(&mut self, at: SlotId) {
        let Some(round) = self.mind.rounds.get_mut(&at) else {
            return;
        };
        round.visits += 1;
        let (stage, visits, s_min) = (round.stage, round.visits, round.start.s_min as usize);
        if visits > 25 || !self.mind.epochs.contains_key(&at.epoch) {
            return self.end(at);
        }
        let names = self.mind.epochs[&at.epoch].names.clone();
        match stage {
            Stage::Accepting => {
                let round = &self.mind.rounds[&at];
                let Some((_, accepts)) = RoundSeen::most(&round.accepts) else {
                    return self.give_up(at, visits > 2);
                };
                let mut cohort: Vec<Accept> = accepts.values().cloned().collect();
                if cohort.len() < s_min && !self.roll(10) {
                    return self.give_up(at, visits > 4);
                }
                while cohort.len() > s_min && self.roll(150) {
                    let place = self.rng.random_range(0..cohort.len());
                    cohort.remove(place);
                }
                let unasked = !self.roll(200);
                let of = cohort.iter().map(|accept| names[usize::from(accept.member) - 1]);
                for agent in of.collect::<Vec<_>>() {
                    let mut accepts = cohort.clone();
                    if self.roll(20) {
                        accepts.pop();
                    }
                    let accepts = secagg::Cohort { slot: at.slot, accepts }.encode().into();
                    self.say(
                        agent,
                        ToAgent::Cohort(Cohort {
                            at,
                            accepts,
                            upload_unasked: unasked,
                        }),
                    );
                }
                self.stage(at, Stage::Collecting, cohort.len());
            }
            Stage::Collecting => {
                let round = &self.mind.rounds[&at];
                let cohort = round.cohort;
                let Some((_, headers)) = RoundSeen::most(&round.headers) else {
                    return self.give_up(at, visits > 15);
                };
                let headers: Vec<MaskedHeader> = headers.values().cloned().collect();
                let enough = headers.len() == cohort || headers.len() >= s_min && self.roll(200) || self.roll(10);
                if !enough {
                    return self.give_up(at, visits > 20);
                }
                for header in &headers {
                    if self.roll(300) {
                        let receipt = Receipt::sign(header, &self.people.consortium.coordinator_key)
                            .encode()
                            .into();
                        self.say(names[usize::from(header.member) - 1], ToAgent::Receipt { at, receipt });
                    }
                }
                self.survivors(at, headers, &names);
                self.stage(at, Stage::Opening, cohort);
            }
            Stage::Opening => {
                let round = &self.mind.rounds[&at];
                let t = self.mind.epochs[&at.epoch].members.threshold();
                let revealed = round.reveals.values().any(|reveals| reveals.len() >= t);
                if let Some((_, votes)) = RoundSeen::most(&round.votes)
                    && !revealed
                {
                    let votes: Vec<Vote> = votes.values().cloned().collect();
                    if votes.len() >= t || self.roll(100) {
                        let certificate: Wire = Certificate { slot: at.slot, votes }.encode().into();
                        for agent in names {
                            let certificate = certificate.clone();
                            self.say(agent, ToAgent::Certificate { at, certificate });
                        }
                        self.stage(at, Stage::Ending, 0);
                    } else if visits > 20 {
                        self.end(at);
                    }
                } else {
                    self.stage(at, Stage::Ending, 0);
                }
            }
            Stage::Ending => {
                if self.roll(100) {
                    for agent in names {
                        let message = match self.roll(500) {
                            true => ToAgent::PathsWanted { at },
                            false => ToAgent::EdgesWanted { at },
                        };
                        self.say(agent, message);
                    }
                }
                self.end(at);
            }
        }
    }

    /// Ends a round that came to nothing, if it waited long enough.
    fn give_up(&mut self, at: SlotId, waited: bool) {
        if waited {
            self.end(at);
        }
    }

    /// Says who survived, to everybody the same or not.
    fn survivors(&mut self, at: SlotId, headers: Vec<MaskedHeader>, names: &[usize]) {
        let round = &self.mind.rounds[&at];
        let s_min = round.start.s_min as usize;
        // The cohort behind these headers is the one that was announced.
        let Some((_, accepts)) = RoundSeen::most(&round.accepts) else {
            return;
        };
        let mut accepts: Vec<Accept> = accepts.values().cloned().collect();
        if accepts.len() > round.cohort {
            let announced = self.mind.memory.iter().rev().find_map(|(_, said)| match said {
                ToAgent::Cohort(cohort) if cohort.at == at => secagg::Cohort::decode(&cohort.accepts).ok(),
                _ => None,
            });
            accepts = announced.map_or(accepts, |cohort| cohort.accepts);
        }
        let split = self.roll(150);
        let mut sets = vec![headers.clone()];
        let lose = self.roll(250) || split;
        if lose {
            let mut fewer = headers.clone();
            while fewer.len() > s_min.saturating_sub(usize::from(self.roll(100))).max(1)
                && (fewer.len() == headers.len() || self.roll(300))
            {
                let place = self.rng.random_range(0..fewer.len());
                fewer.remove(place);
            }
            if !split {
                sets.clear();
            }
            sets.push(fewer);
        }
        for agent in names {
            let headers = sets[self.rng.random_range(0..sets.len())].clone();
            let accepts = accepts.clone();
            let survivors = Survivors {
                slot: at.slot,
                accepts,
                headers,
            };
            let survivors = survivors.encode().into();
            self.say(*agent, ToAgent::Survivors { at, survivors });
        }
    }

    fn stage(&mut self, at: SlotId, stage: Stage, cohort: usize) {
        if let Some(round) = self.mind.rounds.get_mut(&at) {
            (round.stage, round.visits) = (stage, 0);
            if cohort > 0 {
                round.cohort = cohort;
            }
        }
    }

    /// Ends a round, and says what the job does next.
    fn end(&mut self, at: SlotId) {
        self.mind.open.retain(|open| *open != at);
        let Some(round) = self.mind.rounds.get(&at) else { return };
        let names = self
            .mind
            .epochs
            .get(&at.epoch)
            .map_or_else(Vec::new, |epoch| epoch.names.clone());
        let t = self
            .mind
            .epochs
            .get(&at.epoch)
            .map_or(usize::MAX, |epoch| epoch.members.threshold());
        let summed = round.reveals.values().any(|reveals| reveals.len() >= t);
        let (index, start) = (round.job, round.start.clone());
        if let Some(job) = self.mind.jobs.get_mut(index).filter(|job| job.round == start.round) {
            let task: Option<Task> = serde_json::from_str(&job.asked.task).ok();
            match task.filter(|task| summed && job.round + 1 < task.rounds) {
                Some(task) => {
                    let terms = CohortTerms {
                        n: names.len() as u32,
                        c: self.mind.epochs[&at.epoch].members.c() as u32,
                        s_min: start.s_min,
                    };
                    // Whatever the sum is said to be, everybody continues from the same.
                    let values: Vec<i64> = (0..task.dim as i64).collect();
                    let contract = &self.people.consortium.contract;
                    if let Ok(plan) = PlainSums.plan(&job.asked, contract, &terms) {
                        let vector = RingVec::from_i64s(plan.ring, &values);
                        let sum = PlainSum::new(&vector, terms.s_min, &plan);
                        if let Ok(Outcome::Again { state, .. }) =
                            PlainSums.absorb(&plan, job.round, job.state.as_deref(), &sum)
                        {
                            job.state = Some(state);
                            job.sum = vector.into_bytes().into();
                            job.terms = terms;
                            job.round += 1;
                        }
                    }
                }
                None if summed => job.attempt = u32::MAX, // answered: done
                None => job.attempt = job.attempt.saturating_add(1),
            }
        }
        if !self.roll(150) {
            for agent in names {
                self.say(agent, ToAgent::RoundEnded { at, next: None });
            }
        }
    }

    pub(super) fn name(&self, agent: usize) -> AgentId {
        self.people.consortium.names[agent].clone()
    }
}
