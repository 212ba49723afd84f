//! One attempt at one round, as the coordinator sees it: `Start -> Collect -> (Survive ->) Unmask -> sum`. Moves consume the
//! old phase; a file per phase, mirrored by the participant's.
//!
//! An agent that is lost, late or wrong in any phase is a dropout; the round ends well if at least s_min vectors and enough shares are left.
//! A failed attempt says why and nothing else.

mod collect;
mod release;
mod start;
mod survive;
mod unmask;

use std::collections::BTreeSet;
use std::sync::Arc;

use secagg::{Abort, Members, RelayFault};

use super::config::Limits;
use super::epoch::Live;
use super::{Coordinator, Turn};
use crate::codes;
use crate::context::Planned;
use crate::ids::{AgentId, SlotId};
use crate::message::{MaskedInput, RoundStart, ToAgent, Wire};
use crate::refused::Refused;
use crate::step::CoordinatorEvent;
use crate::workload::Refusal;

pub(crate) use release::identity;

/// What stays the same for the whole round.
pub(crate) struct Head {
    pub request: Arc<governance::Request>,
    pub planned: Planned,
    /// Owners that are asked, and the snapshots they offer.
    pub owners: Vec<(AgentId, String)>,
    pub members: Arc<Members>,
    pub start: RoundStart,
    /// How long to wait for vectors.
    pub collect_ms: u64,
}

impl Head {
    fn index(&self, agent: &AgentId) -> Option<u16> {
        self.members.index(agent.as_str())
    }

    fn name(&self, index: u16) -> Option<AgentId> {
        self.members.id(index).map(AgentId::from)
    }

    fn names(&self, indices: impl IntoIterator<Item = u16>) -> BTreeSet<AgentId> {
        indices.into_iter().filter_map(|index| self.name(index)).collect()
    }
}

/// An open round.
pub(crate) struct Round {
    head: Head,
    phase: Phase,
    deadline_ms: u64,
}

/// In protocol order.
enum Phase {
    Start(start::Start),
    Collect(collect::Collecting),
    Survive(survive::Surviving),
    Unmask(unmask::Unmask),
}

/// What can happen to a round.
pub(crate) enum Event<'a> {
    /// With the grant that its owner admits the analyst by.
    Accept(&'a AgentId, Wire, Option<(governance::ContentHash, String)>),
    Refused(&'a AgentId, Refused),
    Masked(&'a AgentId, MaskedInput),
    Vote(&'a AgentId, Wire),
    Reveal(&'a AgentId, Wire),
    Paths(&'a AgentId, Wire),
    Edges(&'a AgentId, Wire),
    /// The agent left or gave up.
    Lost(&'a AgentId),
    /// The phase's deadline passed.
    Late,
}

/// Where a phase leads.
enum Flow {
    Stay(Phase),
    /// To the next phase, with its own deadline.
    Move(Phase, u64),
    Summed(unmask::Summed),
    Failed(Refused),
}

/// What a phase may look at and write to.
struct Desk<'a> {
    head: &'a Head,
    limits: &'a Limits,
    key: &'a secagg::SigningKey,
    /// Members of the epoch that are connected and hold it.
    present: &'a BTreeSet<AgentId>,
    /// Who let the deadline pass, and who delivered: the next epoch is made without the silent.
    silent: &'a mut BTreeSet<AgentId>,
    delivered: &'a mut BTreeSet<AgentId>,
    /// Of an Accept that was taken: the grant that it came under.
    admitted: &'a mut Option<(governance::ContentHash, String)>,
    /// Set when enough vectors are there: how long that took.
    took_ms: &'a mut Option<u64>,
    turn: &'a mut Turn,
}

impl Desk<'_> {
    fn at(&self) -> SlotId {
        self.head.start.at
    }

    fn tell(&mut self, agents: &BTreeSet<AgentId>, message: &ToAgent) {
        for agent in agents {
            self.turn.send(agent, message.clone());
        }
    }

    /// A message that did not hold is dropped and noted; the round goes on without it.
    fn dropped(&mut self, from: &AgentId, abort: &Abort) {
        self.turn
            .misbehaved(from, Refusal::new(codes::ABORT, abort.to_string()));
    }

    fn deadline(&self, patience_ms: u64) -> u64 {
        self.turn.now_ms + patience_ms
    }
}

impl Round {
    pub(crate) fn open(head: Head, gather: secagg::adder::Gather, limits: &Limits, now_ms: u64) -> Self {
        Self {
            deadline_ms: now_ms + limits.accept_ms,
            phase: Phase::Start(start::Start::new(gather, &head)),
            head,
        }
    }

    pub(crate) fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Whether a vector of this agent is still wanted.
    pub(crate) fn awaits_vector(&self, agent: &AgentId) -> bool {
        matches!(&self.phase, Phase::Collect(phase) if phase.awaits(agent))
    }

    /// What people call the phase.
    pub(crate) fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Start(_) => "asking",
            Phase::Collect(_) => "collecting",
            Phase::Survive(_) => "agreeing",
            Phase::Unmask(_) => "opening",
        }
    }
}

impl Coordinator {
    /// Moves one round by one event and does what follows from it.
    pub(super) fn round_event(&mut self, at: SlotId, event: Event<'_>, turn: &mut Turn) {
        let Some(round) = self.rounds.remove(&at) else { return };
        let Round {
            head,
            phase,
            deadline_ms,
        } = round;
        let present = self
            .epochs
            .live(at.epoch)
            .map(|live| self.present(live))
            .unwrap_or_default();
        let (mut silent, mut delivered, mut took_ms) = (BTreeSet::new(), BTreeSet::new(), None);
        let mut admitted = None;
        let mut desk = Desk {
            head: &head,
            limits: &self.config.limits,
            key: &self.config.signing_key,
            present: &present,
            silent: &mut silent,
            delivered: &mut delivered,
            admitted: &mut admitted,
            took_ms: &mut took_ms,
            turn,
        };
        let flow = match phase {
            Phase::Start(phase) => phase.receive(event, &mut desk),
            Phase::Collect(phase) => phase.receive(event, &mut desk),
            Phase::Survive(phase) => phase.receive(event, &mut desk),
            Phase::Unmask(phase) => phase.receive(event, &mut desk),
        };
        silent
            .iter()
            .for_each(|agent| self.epochs.bench(agent, &self.config.limits, turn.now_ms));
        delivered.iter().for_each(|agent| self.epochs.unbench(agent));
        if let Some(admitted) = admitted {
            self.jobs.admitted(&head.start.job, admitted);
        }
        if let Some(took_ms) = took_ms {
            self.jobs.paced(&head.start.job, took_ms);
        }
        match flow {
            Flow::Stay(phase) => {
                self.rounds.insert(
                    at,
                    Round {
                        head,
                        phase,
                        deadline_ms,
                    },
                );
            }
            Flow::Move(phase, deadline_ms) => {
                if !matches!(phase, Phase::Collect(_)) {
                    self.uploads.closed(at);
                }
                self.rounds.insert(
                    at,
                    Round {
                        head,
                        phase,
                        deadline_ms,
                    },
                );
            }
            Flow::Failed(refused) => self.round_failed(&head, refused, turn),
            Flow::Summed(summed) => self.round_summed(head, summed, turn),
        }
    }

    pub(super) fn expire_rounds(&mut self, turn: &mut Turn) {
        let late: Vec<SlotId> = self
            .rounds
            .iter()
            .filter(|(_, round)| round.deadline_ms <= turn.now_ms)
            .map(|(at, _)| *at)
            .collect();
        for at in late {
            self.round_event(at, Event::Late, turn);
            self.grant_uploads(turn);
        }
    }

    /// Ends a round that nobody wants any more.
    pub(super) fn abandon_round(&mut self, at: SlotId, turn: &mut Turn) {
        if self.rounds.remove(&at).is_some() {
            self.uploads.closed(at);
            self.tell_round_ended(at, None, turn);
        }
    }

    /// The attempt is lost; what it charged stays charged. The job tries again if its request allows.
    fn round_failed(&mut self, head: &Head, refused: Refused, turn: &mut Turn) {
        let RoundStart {
            at,
            job,
            round,
            attempt,
            ..
        } = head.start;
        self.uploads.closed(at);
        turn.event(CoordinatorEvent::RoundFailed {
            job,
            round,
            attempt,
            at,
            refused: refused.clone(),
        });
        self.tell_round_ended(at, None, turn);
        if refused.code == codes::OWNERS_REFUSED {
            return self.fail_job(job, refused, turn);
        }
        let wait_ms = self.config.limits.retry_ms << attempt.min(6);
        self.jobs.attempt_failed(&job, refused, turn.now_ms + wait_ms);
    }

    /// Everybody in the epoch erases the slot; the owners hear of the next round in the same breath.
    pub(super) fn tell_round_ended(&self, at: SlotId, next: Option<super::jobs::Launched>, turn: &mut Turn) {
        let Some(live) = self.epochs.live(at.epoch) else { return };
        for agent in self.present(live) {
            let start = next.as_ref().filter(|next| next.owners.contains(&agent));
            let next = start.map(|next| Box::new(next.start_for(&agent)));
            turn.send(&agent, ToAgent::RoundEnded { at, next });
        }
    }

    fn present(&self, live: &Live) -> BTreeSet<AgentId> {
        self.epoch_holders(live).cloned().collect()
    }
}

/// The member whose fault an abort is, as far as it says.
pub(crate) fn culprit(abort: &Abort) -> Option<u16> {
    match abort {
        Abort::Member(blame) => Some(blame.member),
        Abort::Relay(RelayFault::BadSignature { member, .. }) => Some(*member),
        _ => None,
    }
}

fn too_late(what: &str, expected: usize, found: usize) -> Refused {
    Refusal::new(
        codes::TOO_FEW_LEFT,
        format!("too few {what} in time: expected at least {expected}, got {found}"),
    )
    .into()
}
