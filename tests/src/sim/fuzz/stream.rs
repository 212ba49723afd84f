//! What the fuzzer tells of acts and of the log: the pool that agents are given acts from, beats, and the log with its heads.

use engine::message::{Acts, LogGrown, ToAgent};
use governance::SignedAct;
use governance::log::event::{Actor, Role};
use governance::log::{Checkpoint, Event, Kind, Nodes, Tree};
use rand::RngExt;

use super::Fuzz;

impl Fuzz {
    /// An act goes into the pool, and into the log.
    pub(super) fn take(&mut self, signed: SignedAct) {
        let hash = signed.hash();
        let key = &self.people.consortium.log_key;
        let actor = Actor {
            role: Role::Coordinator,
            id: "coordinator".to_owned(),
            key: key.public(),
        };
        let event = Event::of_act(Kind::Grant, hash, hash, self.now_ms, actor)
            .sign(key)
            .expect("a complete event");
        self.mind.log.waiting.push(event.leaf().to_owned());
        self.mind.acts.push(signed);
    }

    /// Gives an agent some act that it has not heard, in the order of the pool or not.
    pub(super) fn give_act(&mut self, agent: usize) {
        let ears = &self.oracle.ears[agent];
        let new: Vec<&SignedAct> = self
            .mind
            .acts
            .iter()
            .filter(|act| !ears.has_heard(&act.hash()))
            .collect();
        if new.is_empty() {
            return;
        }
        let from = ears.place;
        let place = match self.rng.random_bool(0.8) {
            true => 0,
            false => self.rng.random_range(0..new.len()),
        };
        // What does not concern the agent is passed by: some of the next ones do.
        let few: Vec<SignedAct> = new[place..].iter().take(6).map(|act| (*act).clone()).collect();
        for act in few {
            if self.oracle.ears[agent].place != from {
                break;
            }
            let acts = vec![act];
            self.say(agent, ToAgent::Acts(Acts { from, acts }));
        }
    }

    /// The truth about an agent's acts, as far as it has heard them.
    pub(super) fn beat(&mut self, agent: usize) {
        let place = self.oracle.ears[agent].place;
        self.say(agent, ToAgent::Heartbeat(place));
    }

    /// Appends what waits and shows the log as it is.
    pub(super) fn show_log(&mut self) {
        for leaf in std::mem::take(&mut self.mind.log.waiting) {
            if self.mind.log.leaves.iter().all(|known| **known != *leaf) {
                self.mind.log.tree.append(leaf.as_bytes());
                self.mind.log.leaves.push(leaf.into());
            }
        }
        for agent in self.agents() {
            if let Some(grown) = self.grown(agent) {
                self.say(agent, ToAgent::LogGrown(Box::new(grown)));
            }
        }
    }

    pub(super) fn grown(&self, agent: usize) -> Option<LogGrown> {
        let from = self.sites[agent].node.engine.as_ref()?.witness().size();
        let log = &self.mind.log;
        let size = log.tree.size();
        (from <= size).then(|| LogGrown {
            from,
            head: size,
            checkpoint: self.checkpoint(&log.tree),
            entries: log.leaves[from as usize..].to_vec(),
            consistency: log.tree.consistency(from, size).expect("a size that the tree had"),
        })
    }

    pub(super) fn checkpoint(&self, tree: &Tree) -> String {
        let origin = governance::log::trust::origin(&self.people.roster);
        let (size, root) = (tree.size(), tree.root());
        let signed = Checkpoint { origin, size, root }.sign(&self.people.consortium.log_key);
        signed.expect("three lines").to_string()
    }
}
