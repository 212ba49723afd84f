//! The open streams, one per agent: the driver's side of each. Sending never waits. An agent that lets its outbox fill up is
//! disconnected, because waiting for it would make every other agent wait too.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use engine::{AgentId, ToAgent};
use governance::Roster;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// Why a stream ends, told to its agent as the stream's status; empty while it goes on, and after an orderly end.
pub type Verdict = Arc<OnceLock<Status>>;

/// One agent's stream. Dropping it ends the stream.
pub struct Link {
    /// Rises with every stream: a message of an older one is told from one of its successor.
    pub session: u64,
    pub software: String,
    pub tls_key: [u8; 32],
    pub outbox: mpsc::Sender<ToAgent>,
    pub verdict: Verdict,
    /// The reading task ends when this is dropped.
    pub _reading: oneshot::Sender<()>,
}

/// The agent's outbox is full or its stream has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow;

/// All open streams.
#[derive(Default)]
pub struct Links(BTreeMap<AgentId, Link>);

impl Links {
    /// A new stream takes the place of an older one of the same agent.
    pub fn insert(&mut self, agent: AgentId, link: Link) {
        if let Some(older) = self.0.insert(agent, link) {
            end(&older, Status::aborted("this agent opened another stream"));
        }
    }

    /// Forgets a stream, if it is the one in use.
    pub fn remove(&mut self, agent: &AgentId, session: u64) -> bool {
        self.is_current(agent, session) && self.0.remove(agent).is_some()
    }

    pub fn is_current(&self, agent: &AgentId, session: u64) -> bool {
        self.0.get(agent).is_some_and(|link| link.session == session)
    }

    /// Queues a message. An agent without a stream misses it, as it misses everything while it is away.
    pub fn send(&mut self, agent: &AgentId, message: ToAgent) -> Result<(), Slow> {
        let Some(link) = self.0.get(agent) else {
            return Ok(());
        };
        if link.outbox.try_send(message).is_ok() {
            return Ok(());
        }
        if let Some(link) = self.0.remove(agent) {
            end(
                &link,
                Status::resource_exhausted("too slow: messages were not read in time; dial again"),
            );
        }
        Err(Slow)
    }

    /// Ends the streams of agents that the roster does not name with the key of their connection; says which.
    pub fn unenrolled(&mut self, roster: &Roster) -> Vec<AgentId> {
        let enrolled = |agent: &AgentId, link: &Link| {
            let entry = roster.agent(agent.as_str());
            entry.is_some_and(|entry| entry.tls_key.0 == link.tls_key)
        };
        let gone: Vec<AgentId> = self
            .0
            .iter()
            .filter(|(agent, link)| !enrolled(agent, link))
            .map(|(agent, _)| agent.clone())
            .collect();
        for agent in &gone {
            if let Some(link) = self.0.remove(agent) {
                end(
                    &link,
                    Status::permission_denied("not in the newest roster with this key"),
                );
            }
        }
        gone
    }

    /// The software version that an agent runs, if it is online.
    pub fn software(&self, agent: &AgentId) -> Option<&str> {
        Some(&self.0.get(agent)?.software)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn end(link: &Link, status: Status) {
    // A stream ends once; the first reason stands.
    let _ = link.verdict.set(status);
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::SlotId;

    fn link(session: u64, room: usize) -> (Link, mpsc::Receiver<ToAgent>, oneshot::Receiver<()>) {
        let (outbox, queue) = mpsc::channel(room);
        let (reading, gone) = oneshot::channel();
        let link = Link {
            session,
            software: "0.1.0".to_owned(),
            tls_key: [1; 32],
            outbox,
            verdict: Verdict::default(),
            _reading: reading,
        };
        (link, queue, gone)
    }

    fn grant() -> ToAgent {
        ToAgent::UploadGrant {
            at: SlotId { epoch: 1, slot: 1 },
        }
    }

    #[test]
    fn an_agent_that_does_not_read_is_disconnected_and_the_others_are_not() {
        let (slow, fast) = (AgentId::from("slow"), AgentId::from("fast"));
        let mut links = Links::default();
        let (link_of_slow, _queue, mut gone) = link(1, 2);
        let verdict = link_of_slow.verdict.clone();
        links.insert(slow.clone(), link_of_slow);
        let (link_of_fast, mut queue, _) = link(2, 2);
        links.insert(fast.clone(), link_of_fast);
        for _ in 0..5 {
            assert_eq!(links.send(&fast, grant()), Ok(()));
            assert!(queue.try_recv().is_ok());
        }
        assert_eq!(links.send(&slow, grant()), Ok(()));
        assert_eq!(links.send(&slow, grant()), Ok(()));
        assert_eq!(links.send(&slow, grant()), Err(Slow));
        assert!(matches!(gone.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert_eq!(verdict.get().unwrap().code(), tonic::Code::ResourceExhausted);
        assert_eq!(links.len(), 1);
    }

    #[test]
    fn the_end_of_a_replaced_stream_does_not_end_its_successor() {
        let agent = AgentId::from("a");
        let mut links = Links::default();
        let (first, _queue, _gone) = link(1, 1);
        let (second, _second_queue, _) = link(2, 1);
        let verdict = first.verdict.clone();
        links.insert(agent.clone(), first);
        links.insert(agent.clone(), second);
        assert_eq!(verdict.get().unwrap().code(), tonic::Code::Aborted);
        assert!(!links.remove(&agent, 1));
        assert!(links.is_current(&agent, 2));
        assert!(links.remove(&agent, 2));
    }
}
