//! Who may upload a large vector now. A vector is added the moment it is complete and then leaves memory, so with `limit`
//! grants over all rounds the coordinator holds O(limit * d), whatever n is. Agents keep their vector until granted; a
//! grant is given only to an agent that said it is ready, so a slow one never holds a place that others could use.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::{AgentId, SlotId};

/// Grants out and agents in line, first come first served.
pub struct Uploads {
    limit: usize,
    granted: BTreeSet<(SlotId, AgentId)>,
    line: VecDeque<(SlotId, AgentId)>,
}

impl Uploads {
    /// At most `limit` uploads at a time, at least one.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            granted: BTreeSet::new(),
            line: VecDeque::new(),
        }
    }

    /// An agent has a vector to send. Saying so twice is saying so once.
    pub fn ready(&mut self, at: SlotId, agent: AgentId) {
        let entry = (at, agent);
        if !self.granted.contains(&entry) && !self.line.contains(&entry) {
            self.line.push_back(entry);
        }
    }

    /// A vector arrived, or will not.
    pub fn finished(&mut self, at: SlotId, agent: &AgentId) {
        let entry = (at, agent.clone());
        self.granted.remove(&entry);
        self.line.retain(|waiting| *waiting != entry);
    }

    /// No vector of this slot is wanted any more.
    pub fn closed(&mut self, at: SlotId) {
        self.granted.retain(|(slot, _)| *slot != at);
        self.line.retain(|(slot, _)| *slot != at);
    }

    /// The agent is gone; what it held is free.
    pub fn left(&mut self, agent: &AgentId) {
        self.granted.retain(|(_, holder)| holder != agent);
        self.line.retain(|(_, waiting)| waiting != agent);
    }

    /// The next grant, if a place is free.
    pub fn grant(&mut self) -> Option<(SlotId, AgentId)> {
        if self.granted.len() >= self.limit {
            return None;
        }
        let entry = self.line.pop_front()?;
        self.granted.insert(entry.clone());
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_in_order_and_come_back() {
        let at = SlotId { epoch: 1, slot: 0 };
        let mut uploads = Uploads::new(2);
        for name in ["a", "b", "c", "a"] {
            uploads.ready(at, name.into());
        }
        assert_eq!(uploads.grant(), Some((at, "a".into())));
        assert_eq!(uploads.grant(), Some((at, "b".into())));
        assert_eq!(uploads.grant(), None);
        uploads.finished(at, &"a".into());
        assert_eq!(uploads.grant(), Some((at, "c".into())));
        uploads.left(&"b".into());
        uploads.closed(at);
        assert_eq!(uploads.grant(), None);
    }
}
