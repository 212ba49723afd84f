//! Doing a step in the order that a shell must keep: records on disk, then messages, then data, then what may wait. A crash may come
//! between any two, or tear the transaction itself.

use engine::participant;
use engine::record::ParticipantRecord;
use engine::{Compute, CoordinatorStep, JobId, ParticipantStep, Refusal};
use rand::RngExt;

use super::World;
use super::world::Happening;

impl World {
    pub(super) fn coordinator_step(&mut self, step: CoordinatorStep) -> Option<Result<JobId, Refusal>> {
        let crash = self.roll(self.options.crash / 4);
        if crash && self.roll(self.options.torn) {
            self.coordinator.crash(); // its transaction is torn: nothing of it is there afterwards
            self.after_coordinator_crash();
            return None;
        }
        let rows: Vec<_> = step
            .records
            .iter()
            .map(|record| record.to_row().expect("a record has a row"))
            .collect();
        self.coordinator.disk.write(rows);
        for event in &step.events {
            self.note(format!("coordinator: {event:?}"));
        }
        self.checks.coordinator_did(&step);
        self.checks.a_wake_is_never_in_the_past(self.now_ms, step.wake_at_ms);
        if crash {
            self.checks.recovered_coordinator_equals_live_one(&self.coordinator);
            self.coordinator.crash();
            self.after_coordinator_crash();
            return None;
        }
        for (agent, message) in step.envelopes {
            if let Some(agent) = self.place(&agent) {
                self.send_to_agent(agent, message);
            }
        }
        self.explained.extend(step.explained);
        if step.wake_at_ms != self.coordinator.wake_at_ms
            && let Some(at_ms) = step.wake_at_ms
        {
            self.coordinator.wake_at_ms = Some(at_ms);
            self.at(at_ms, Happening::WakeCoordinator);
        }
        step.reply
    }

    pub(super) fn after_coordinator_crash(&mut self) {
        self.note("coordinator crashes within a step".to_owned());
        (0..self.options.agents).for_each(|agent| self.disconnect(agent));
        let wait_ms = self.rng.random_range(0..20_000);
        self.after(wait_ms, Happening::RestartCoordinator);
    }

    pub(super) fn participant_step(&mut self, agent: usize, step: ParticipantStep) {
        let crash = self.roll(self.options.crash);
        if crash && self.roll(self.options.torn) {
            self.participants[agent].crash();
            return self.after_agent_crash(agent);
        }
        self.keep(agent, &step.records);
        for event in &step.events {
            self.note(format!("{}: {event:?}", self.consortium.names[agent]));
        }
        self.checks.participant_did(agent, &step);
        self.checks.a_wake_is_never_in_the_past(self.now_ms, step.wake_at_ms);
        let late = !step.afterwards.is_empty() && self.rng.random_bool(0.5);
        if crash && !late {
            if step.afterwards.is_empty() {
                self.checks.recovered_books_equal_live_books(&self.participants[agent]);
            }
            self.participants[agent].crash();
            return self.after_agent_crash(agent);
        }
        if step.sever {
            // What the connection still holds dies with it; the agent dials again.
            self.partition(agent, Some(50));
            self.note(format!("{} severs its connection", self.consortium.names[agent]));
        }
        for message in step.envelopes {
            self.send_to_coordinator(agent, message);
        }
        if let Some(compute) = step.compute {
            self.compute(agent, compute);
        }
        if crash {
            self.participants[agent].crash();
            return self.after_agent_crash(agent);
        }
        self.keep(agent, &step.afterwards);
        if step.wake_at_ms != self.participants[agent].wake_at_ms
            && let Some(at_ms) = step.wake_at_ms
        {
            self.participants[agent].wake_at_ms = Some(at_ms);
            self.at(at_ms, Happening::WakeAgent { agent });
        }
    }

    /// One transaction of an agent.
    fn keep(&mut self, agent: usize, records: &[ParticipantRecord]) {
        let rows: Vec<_> = records
            .iter()
            .map(|record| record.to_row().expect("a record has a row"))
            .collect();
        self.participants[agent].disk.write(rows);
        self.checks.recorded(agent, records);
    }

    pub(super) fn after_agent_crash(&mut self, agent: usize) {
        self.note(format!("{} crashes within a step", self.consortium.names[agent]));
        self.disconnect(agent);
        let wait_ms = self.rng.random_range(0..20_000);
        self.after(wait_ms, Happening::RestartAgent { agent });
    }

    pub(super) fn compute(&mut self, agent: usize, compute: Compute) {
        self.serial += 1;
        let serial = self.serial;
        let life = self.participants[agent].life;
        let slow = self.faults && agent < self.options.slow;
        let drawn_ms = self.rng.random_range(0..if slow { 90_000 } else { 200 });
        let wait_ms = if self.slow.contains(&agent) { 50_000 } else { drawn_ms };
        let compute = Box::new(compute);
        self.after(
            wait_ms,
            Happening::Computed {
                agent,
                life,
                compute,
                serial,
            },
        );
    }

    pub(super) fn computed(&mut self, agent: usize, life: u32, compute: &Compute, serial: i64) {
        if self.participants[agent].life != life {
            return;
        }
        let at = compute.at;
        self.checks.computed(agent, at, serial);
        let noised = self.work.compute(agent, compute, serial);
        self.tell_participant(agent, participant::Input::Computed { at, result: Ok(noised) });
    }
}
