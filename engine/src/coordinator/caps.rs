//! What one agent may hand in: events for the log and acts, each from a bucket of its own. What is known already costs nothing. What comes
//! too early is dropped and stays with the agent, which hands it in again: so nobody fills the coordinator's disk, and nothing is lost. A
//! few words an agent, lost in a crash.

use std::collections::BTreeMap;

use crate::bucket::Bucket;
use crate::codes;
use crate::ids::{AgentId, JobId};
use crate::workload::Refusal;

/// Of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Event,
    Act,
}

/// Events that an agent says of one request that was taken here before they count: what analysts make agents say is bounded where requests are.
const OF_REQUEST: u8 = 16;
/// Requests and agents that are remembered; beyond, counting begins anew.
const REMEMBERED: usize = 100_000;

#[derive(Default)]
pub(super) struct Caps {
    buckets: BTreeMap<(AgentId, Thing), Bucket>,
    of_requests: BTreeMap<(AgentId, JobId), u8>,
}

impl Caps {
    /// Whether an event is one of the first that an agent says of a request: these count for nobody, or one organisation's requests would keep
    /// everybody's words out of the log.
    pub(super) fn is_of_request(&mut self, agent: &AgentId, request: JobId) -> bool {
        if self.of_requests.len() >= REMEMBERED {
            self.of_requests.clear();
        }
        let said = self.of_requests.entry((agent.clone(), request)).or_default();
        *said = said.saturating_add(1);
        *said <= OF_REQUEST
    }

    /// Takes one out of an agent's bucket.
    pub(super) fn take(&mut self, agent: &AgentId, thing: Thing, an_hour: u32, now_ms: u64) -> Result<(), Refusal> {
        let bucket = self.buckets.entry((agent.clone(), thing)).or_default();
        let Some(less) = bucket.less_one(an_hour, now_ms) else {
            let what = match thing {
                Thing::Event => "events",
                Thing::Act => "acts",
            };
            let text = format!("`{agent}` may hand in {an_hour} {what} an hour, and has handed them in");
            return Err(Refusal::new(codes::TOO_MANY_HANDED_IN, text).remedy("it hands the rest in again"));
        };
        *bucket = less;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agent_has_its_own_buckets_and_one_for_each_thing() {
        let (mut caps, loud, quiet) = (Caps::default(), AgentId::from("loud"), AgentId::from("quiet"));
        for _ in 0..3 {
            caps.take(&loud, Thing::Event, 3, 1).unwrap();
        }
        let refusal = caps.take(&loud, Thing::Event, 3, 1).unwrap_err();
        assert_eq!(refusal.code, codes::TOO_MANY_HANDED_IN);
        caps.take(&quiet, Thing::Event, 3, 1).unwrap();
        caps.take(&loud, Thing::Act, 3, 1).unwrap();
    }
}
