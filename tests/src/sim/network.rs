//! Connections that delay, drop, duplicate and reorder. A connection has a number: what was under way when it broke is lost with
//! it, as on TCP. In a stream's own order unless the dice say otherwise.

use engine::message::{MaskedInput, ToAgent, ToCoordinator};
use engine::{coordinator, participant};
use rand::RngExt;

use super::World;
use super::names::told;
use super::world::Happening;

/// One agent's connection to the coordinator.
#[derive(Default)]
pub struct Link {
    pub up: bool,
    /// Counts connections.
    pub number: u32,
    /// When the last message of each direction arrives: to the agent, to the coordinator.
    pub last_ms: [u64; 2],
}

/// Directions of a link.
pub const TO_AGENT: usize = 0;
pub const TO_COORDINATOR: usize = 1;

/// A second copy of a message: what a confused network delivers. The code under test never copies a vector.
pub fn copy(message: &ToCoordinator) -> ToCoordinator {
    use ToCoordinator as M;
    match message {
        M::Offers(offers) => M::Offers(offers.clone()),
        M::Setup(setup) => M::Setup(setup.clone()),
        M::EpochLeft {
            epoch,
            refused,
            dispute,
        } => M::EpochLeft {
            epoch: *epoch,
            refused: refused.clone(),
            dispute: dispute.clone(),
        },
        M::Act(signed) => M::Act(signed.clone()),
        M::ActsWanted { from } => M::ActsWanted { from: *from },
        M::RosterWanted { roster } => M::RosterWanted { roster: *roster },
        M::Accept { at, accept, grant } => M::Accept {
            at: *at,
            accept: accept.clone(),
            grant: *grant,
        },
        M::Refuse { at, refused } => M::Refuse {
            at: *at,
            refused: refused.clone(),
        },
        M::Ready { at } => M::Ready { at: *at },
        M::MaskedInput(masked) => M::MaskedInput(MaskedInput {
            at: masked.at,
            head: masked.head.clone(),
            vector: masked.vector.clone(),
        }),
        M::Vote { at, vote } => M::Vote {
            at: *at,
            vote: vote.clone(),
        },
        M::Reveal { at, reveal } => M::Reveal {
            at: *at,
            reveal: reveal.clone(),
        },
        M::Paths { at, paths } => M::Paths {
            at: *at,
            paths: paths.clone(),
        },
        M::Edges { at, edges } => M::Edges {
            at: *at,
            edges: edges.clone(),
        },
        M::Aborted { at, refused } => M::Aborted {
            at: *at,
            refused: refused.clone(),
        },
        M::Events(leaves) => M::Events(leaves.clone()),
        M::LogSeen(seen) => M::LogSeen(seen.clone()),
        M::TrialAnswer { id, answer } => M::TrialAnswer {
            id: *id,
            answer: answer.clone(),
        },
    }
}

impl World {
    pub(super) fn connect(&mut self, agent: usize) {
        if self.links[agent].up || self.coordinator.engine.is_none() {
            return; // the coordinator's restart connects everybody
        }
        let Some(engine) = self.participants[agent].engine.as_ref() else {
            return;
        };
        let join = engine.join(self.now_ms);
        let link = &mut self.links[agent];
        link.up = true;
        link.number += 1;
        let connection = link.number;
        let at_ms = self.arrival(agent, TO_COORDINATOR);
        self.at(
            at_ms,
            Happening::Joined {
                agent,
                connection,
                join,
            },
        );
        self.tell_participant(agent, participant::Input::Connected);
    }

    pub(super) fn disconnect(&mut self, agent: usize) {
        if !std::mem::replace(&mut self.links[agent].up, false) {
            return;
        }
        self.tell_participant(agent, participant::Input::Disconnected);
        let agent = self.consortium.names[agent].clone();
        self.tell_coordinator(coordinator::Input::AgentLeft { agent });
    }

    pub(super) fn send_to_agent(&mut self, agent: usize, message: ToAgent) {
        let lies = if self.faults {
            self.adversary.lie(&mut self.rng, &self.options, agent, &message)
        } else {
            Vec::new()
        };
        if let Some(overheard) = &mut self.overheard {
            overheard.push((agent, message.clone()));
        }
        self.deliver_to_agent(agent, message);
        for (agent, lie) in lies {
            self.note(format!(
                "the coordinator lies to {}: {}",
                self.consortium.names[agent],
                told(&lie)
            ));
            self.deliver_to_agent(agent, lie);
        }
    }

    pub(super) fn deliver_to_agent(&mut self, agent: usize, message: ToAgent) {
        if matches!(message, ToAgent::LogGrown(_)) && self.unshown.contains(&agent) {
            return;
        }
        let message = match (self.withheld.contains(&agent), message) {
            (true, ToAgent::Acts(_)) => return,
            (true, ToAgent::Heartbeat(_)) => {
                let engine = self.participants[agent].engine.as_ref();
                ToAgent::Heartbeat(engine.map_or_else(Default::default, |engine| engine.books().heard().place()))
            }
            (_, message) => message,
        };
        if self.roll(self.options.partition) {
            let for_ms = self.rng.random_range(0..30_000);
            return self.partition(agent, Some(for_ms));
        }
        let connection = self.links[agent].number;
        if self.roll(self.options.duplicate) {
            let at_ms = self.arrival(agent, TO_AGENT);
            let message = message.clone();
            self.at(
                at_ms,
                Happening::ToAgent {
                    agent,
                    connection,
                    message,
                },
            );
        }
        if !self.roll(self.options.drop) {
            let at_ms = self.arrival(agent, TO_AGENT);
            self.at(
                at_ms,
                Happening::ToAgent {
                    agent,
                    connection,
                    message,
                },
            );
        }
    }

    pub(super) fn send_to_coordinator(&mut self, agent: usize, mut message: ToCoordinator) {
        if let (ToCoordinator::Accept { grant, .. }, Some(claimed)) = (&mut message, self.claims.get(&agent)) {
            *grant = Some(*claimed);
        }
        if !self.links[agent].up {
            return;
        }
        let connection = self.links[agent].number;
        if self.roll(self.options.duplicate) {
            let at_ms = self.arrival(agent, TO_COORDINATOR);
            let message = copy(&message);
            self.at(
                at_ms,
                Happening::ToCoordinator {
                    agent,
                    connection,
                    message,
                },
            );
        }
        if !self.roll(self.options.drop) {
            let at_ms = self.arrival(agent, TO_COORDINATOR);
            self.at(
                at_ms,
                Happening::ToCoordinator {
                    agent,
                    connection,
                    message,
                },
            );
        }
    }

    pub(super) fn arrival(&mut self, agent: usize, direction: usize) -> u64 {
        let mut at_ms = self.now_ms + self.rng.random_range(0..=self.options.delay_ms);
        let last_ms = &mut self.links[agent].last_ms[direction];
        if self.options.in_order || !self.faults {
            at_ms = at_ms.max(*last_ms);
        }
        *last_ms = at_ms.max(*last_ms);
        at_ms
    }
}
