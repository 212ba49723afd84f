//! When an epoch is opened, which one serves, and when one is void. What is relayed during setup is in `epoch/setup.rs`.
//!
//! One epoch serves; the next is set up beside it when members changed or slots run low, and takes over the moment it is
//! live. The old one stays until its open rounds end. Costs n messages per setup step, and each agent O(n) parts.

mod setup;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secagg::adder::EpochBook;
use secagg::{MAX_MEMBERS, Members};

use super::config::Limits;
use super::{Coordinator, Turn};
use crate::codes;
use crate::ids::{AgentId, EpochSeq};
use crate::message::{EpochOpen, ToAgent, Wire};
use crate::record::CoordinatorRecord;
use crate::refused::Refused;
use crate::step::CoordinatorEvent;
use crate::workload::Refusal;
use setup::Setup;

/// Unrest that does not end is waited for this many times as long as the membership must hold still: nobody that comes and goes keeps
/// everybody else from an epoch.
const RESTLESS: u64 = 10;

/// All epochs that still matter.
#[derive(Default)]
pub(crate) struct Epochs {
    live: BTreeMap<EpochSeq, Live>,
    setup: Option<Setup>,
    benched: BTreeMap<AgentId, Bench>,
    /// That the membership moved; an epoch is opened once it held still.
    unrest: Option<Unrest>,
    /// When `tend_epochs` wants to look again.
    look_at_ms: Option<u64>,
}

/// Since when the membership moves, and when it moved last.
#[derive(Clone, Copy)]
struct Unrest {
    first_ms: u64,
    last_ms: u64,
}

impl Unrest {
    fn over_ms(self, settle_ms: u64) -> u64 {
        let longest_ms = settle_ms.saturating_mul(RESTLESS);
        (self.last_ms + settle_ms).min(self.first_ms.saturating_add(longest_ms))
    }
}

/// An agent that spoilt a setup or let a round wait.
struct Bench {
    until_ms: u64,
    strikes: u32,
}

/// An epoch that serves or finishes its open rounds.
pub(crate) struct Live {
    pub seq: EpochSeq,
    pub names: Vec<AgentId>,
    pub members: Arc<Members>,
    pub book: Arc<EpochBook>,
    pub slots: u16,
    pub next_slot: u16,
    pub roster_hash: governance::ContentHash,
}

impl Live {
    pub(crate) fn slots_left(&self) -> u16 {
        self.slots - self.next_slot
    }
}

impl Epochs {
    /// The epoch that new rounds use.
    pub(crate) fn serving(&self) -> Option<&Live> {
        self.live.values().next_back()
    }

    pub(crate) fn serving_mut(&mut self) -> Option<&mut Live> {
        self.live.values_mut().next_back()
    }

    pub(crate) fn live(&self, seq: EpochSeq) -> Option<&Live> {
        self.live.get(&seq)
    }

    /// Numbers that mean something to this run of the coordinator.
    pub(crate) fn known(&self) -> BTreeSet<EpochSeq> {
        self.live.keys().copied().collect()
    }

    /// Somebody came or went.
    pub(crate) fn membership_changed(&mut self, now_ms: u64) {
        let first_ms = self.unrest.map_or(now_ms, |unrest| unrest.first_ms);
        let last_ms = now_ms;
        self.unrest = Some(Unrest { first_ms, last_ms });
    }

    /// Whoever came back gets a new chance, once: a restart heals an honest agent, and one that spoils, leaves and comes
    /// back for ever would hold everybody up.
    pub(crate) fn came_back(&mut self, agent: &AgentId, now_ms: u64) {
        if let Some(bench) = self.benched.get_mut(agent).filter(|bench| bench.strikes == 1) {
            bench.until_ms = now_ms;
        }
        self.membership_changed(now_ms);
    }

    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        let deadline = self.setup.as_ref().map(|setup| setup.deadline_ms);
        [deadline, self.look_at_ms].into_iter().flatten().min()
    }

    /// It delivers again: forgotten.
    pub(crate) fn unbench(&mut self, agent: &AgentId) {
        self.benched.remove(agent);
    }

    /// Whether an agent is left out for now.
    pub(crate) fn is_benched(&self, agent: &AgentId, now_ms: u64) -> bool {
        self.benched.get(agent).is_some_and(|bench| bench.until_ms > now_ms)
    }

    /// Leaves an agent out for a while, longer each time, until it delivers.
    pub(crate) fn bench(&mut self, agent: &AgentId, limits: &Limits, now_ms: u64) {
        let bench = self.benched.entry(agent.clone()).or_insert(Bench {
            until_ms: 0,
            strikes: 0,
        });
        bench.until_ms = now_ms + (limits.bench_ms << bench.strikes.min(6));
        bench.strikes = bench.strikes.saturating_add(1);
    }
}

impl Coordinator {
    /// Expires, retires and opens epochs.
    pub(super) fn tend_epochs(&mut self, turn: &mut Turn) {
        if let Some(setup) = self.epochs.setup.take_if(|setup| setup.deadline_ms <= turn.now_ms) {
            let silent = setup.silent();
            self.void(
                setup,
                &silent,
                Refusal::new(codes::DEADLINE, "epoch setup: members fell silent"),
                turn,
            );
        }
        self.retire_epochs(turn);
        self.epochs.look_at_ms = None;
        if self.epochs.setup.is_some() {
            return;
        }
        let eligible = self.eligible(turn.now_ms);
        let least = (self.roster.c as usize + 2).max(3);
        if eligible.len() < least || !self.epoch_is_wanted(&eligible) {
            self.epochs.unrest = None;
            self.epochs.look_at_ms = self
                .epochs
                .benched
                .values()
                .map(|bench| bench.until_ms)
                .filter(|at| *at > turn.now_ms)
                .min();
            return;
        }
        let settle_ms = self.config.limits.epoch_settle_ms;
        let settled_ms = self.epochs.unrest.map_or(0, |unrest| unrest.over_ms(settle_ms));
        if settled_ms > turn.now_ms {
            self.epochs.look_at_ms = Some(settled_ms);
            return;
        }
        self.open_epoch(eligible, turn);
    }

    /// A member that dropped its connection spoils the setup it was part of.
    pub(super) fn epoch_member_left(&mut self, agent: &AgentId, turn: &mut Turn) {
        if let Some(setup) = self.epochs.setup.take_if(|setup| setup.names.contains(agent)) {
            let reason = Refusal::new(codes::SETUP, format!("epoch setup: member `{agent}` left"));
            self.void(setup, std::slice::from_ref(agent), reason, turn);
        }
    }

    /// A member says that it cannot go on with an epoch.
    pub(super) fn epoch_left(
        &mut self,
        from: &AgentId,
        epoch: EpochSeq,
        refused: Refused,
        dispute: Option<Wire>,
        turn: &mut Turn,
    ) {
        let presence = self.catalogue.agent_mut(from);
        let held = presence.is_some_and(|presence| presence.epochs.remove(&epoch));
        match self
            .epochs
            .setup
            .take_if(|setup| setup.seq == epoch && setup.names.contains(from))
        {
            Some(setup) => {
                let guilty = dispute
                    .and_then(|dispute| setup.judge(&dispute))
                    .unwrap_or_else(|| from.clone());
                self.void(setup, &[guilty], refused, turn);
            }
            // What it did not hold it can leave as often as it likes.
            None if held => self.epochs.membership_changed(turn.now_ms),
            None => {}
        }
    }

    /// Connected members of the roster, without those on the bench unless that leaves too few.
    fn eligible(&self, now_ms: u64) -> Vec<AgentId> {
        let connected = self.catalogue.agents().map(|(agent, _)| agent);
        let members = connected.filter(|agent| self.roster.agent(agent.as_str()).is_some());
        let mut members: Vec<AgentId> = members.take(MAX_MEMBERS).cloned().collect();
        let benched = |agent: &AgentId| self.epochs.is_benched(agent, now_ms);
        let fit = members.iter().filter(|agent| !benched(agent)).count();
        if fit >= self.roster.min_cohort as usize {
            members.retain(|agent| !benched(agent));
        }
        members
    }

    fn epoch_is_wanted(&self, eligible: &[AgentId]) -> bool {
        let Some(serving) = self.epochs.serving() else {
            return true;
        };
        let low = serving.slots_left() <= serving.slots / 4;
        low || serving.roster_hash != self.roster_hash || !self.epoch_holders(serving).eq(eligible)
    }

    /// Members that are connected and still hold the epoch's keys.
    pub(super) fn epoch_holders<'a>(&'a self, live: &'a Live) -> impl Iterator<Item = &'a AgentId> {
        live.names.iter().filter(|name| {
            self.catalogue
                .agent(name)
                .is_some_and(|presence| presence.epochs.contains(&live.seq))
        })
    }

    fn open_epoch(&mut self, names: Vec<AgentId>, turn: &mut Turn) {
        let keys = names.iter().filter_map(|name| {
            let agent = self.roster.agent(name.as_str())?;
            Some((agent.id.clone(), secagg::VerifyingKey(agent.signing_key.0)))
        });
        let roster_hash = secagg::Digest(self.roster_hash.0);
        let members = match Members::new(roster_hash, self.roster.c as u16, keys.collect()) {
            Ok(members) => members,
            Err(error) => {
                let refused = Refusal::new(codes::SETUP, error.to_string()).into();
                let epoch = self.books.next_epoch();
                return turn.event(CoordinatorEvent::EpochVoid { epoch, refused });
            }
        };
        let epoch = self.books.next_epoch();
        let slots = self.config.limits.slots_for(names.len());
        let timeout_ms = self.config.limits.epoch_timeout_ms;
        self.record(CoordinatorRecord::EpochOpened { epoch }, turn);
        turn.event(CoordinatorEvent::EpochOpening {
            epoch,
            members: names.len(),
        });
        let open = EpochOpen {
            epoch,
            roster_hash: self.roster_hash.0,
            members: names.clone(),
            slots,
            timeout_ms,
        };
        for name in &names {
            turn.send(name, ToAgent::EpochOpen(open.clone()));
        }
        self.epochs.unrest = None;
        self.epochs.setup = Some(Setup::new(epoch, Arc::new(members), slots, turn.now_ms + timeout_ms));
    }

    /// An epoch came to life: it serves from now on.
    fn epoch_live(&mut self, live: Live, turn: &mut Turn) {
        turn.event(CoordinatorEvent::EpochLive {
            epoch: live.seq,
            members: live.names.len(),
            slots: live.slots,
        });
        for name in &live.names {
            if let Some(presence) = self.catalogue.agent_mut(name) {
                presence.epochs.insert(live.seq);
            }
        }
        self.epochs.live.insert(live.seq, live);
        self.retire_epochs(turn);
    }

    fn void(&mut self, setup: Setup, guilty: &[AgentId], refused: impl Into<Refused>, turn: &mut Turn) {
        for agent in guilty {
            self.epochs.bench(agent, &self.config.limits, turn.now_ms);
        }
        self.close_void(setup.seq, &setup.names, refused, turn);
    }

    fn close_void(&mut self, epoch: EpochSeq, names: &[AgentId], refused: impl Into<Refused>, turn: &mut Turn) {
        turn.event(CoordinatorEvent::EpochVoid {
            epoch,
            refused: refused.into(),
        });
        for name in names.iter().filter(|name| self.catalogue.agent(name).is_some()) {
            turn.send(name, ToAgent::EpochClosed { epoch });
        }
        self.epochs.membership_changed(turn.now_ms);
    }

    /// Closes epochs that neither serve nor have an open round.
    fn retire_epochs(&mut self, turn: &mut Turn) {
        let Some(serving) = self.epochs.serving().map(|live| live.seq) else {
            return;
        };
        let busy: BTreeSet<EpochSeq> = self.rounds.keys().map(|at| at.epoch).collect();
        let done: Vec<EpochSeq> = self
            .epochs
            .live
            .range(..serving)
            .map(|(seq, _)| *seq)
            .filter(|seq| !busy.contains(seq))
            .collect();
        for epoch in done {
            let Some(live) = self.epochs.live.remove(&epoch) else {
                continue;
            };
            for name in &live.names {
                if let Some(presence) = self.catalogue.agent_mut(name) {
                    presence.epochs.remove(&epoch);
                    turn.send(name, ToAgent::EpochClosed { epoch });
                }
            }
        }
    }
}
