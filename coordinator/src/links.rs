//! The open streams, one per agent: the driver's side of each. Sending never waits. An agent that lets its outbox fill up is
//! disconnected, because waiting for it would make every other agent wait too.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use engine::{AgentId, Refusal, ToAgent, codes};
use governance::log::event::Role;
use governance::{ContentHash, Roster};
use proto::identity::{Peer, Role as PeerRole};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::grpc::refusal::{status, stream_ended};

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
    /// The stream that takes this one's place when the agent has ended its half of it in order.
    pub successor: Option<Box<Link>>,
}

impl Link {
    /// Whether the roster accepts the key of this connection for that agent now.
    pub fn is_enrolled_as(&self, agent: &AgentId, roster: &Roster, now_ms: u64) -> bool {
        let key = ContentHash(self.tls_key);
        roster.accepts(Role::Agent, agent.as_str(), &key, now_ms) == Some(true)
    }

    /// Says why, and ends it, if the roster does not accept it for that agent now.
    pub fn end_unenrolled(&self, agent: &AgentId, roster: &Roster, now_ms: u64) {
        let peer = Peer {
            role: PeerRole::Agent,
            name: agent.to_string(),
            tls_key: self.tls_key,
        };
        if let Err(error) = peer.enrolled_at(PeerRole::Agent, roster, now_ms) {
            end(self, error.into());
        }
    }
}

/// What the end of a stream means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was the one in use: the agent has gone.
    Gone,
    /// It had been replaced, or its successor goes on where it ended: for the engine nothing has happened.
    Nothing,
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
            end(&older, stream_ended("this agent opened another stream"));
        }
    }

    /// A new stream waits until the open one is ended by its agent. Nothing is lost in between: the open one's messages all come before the
    /// successor's, in both directions. Without an open one there is nothing to take over.
    pub fn succeed(&mut self, agent: &AgentId, link: Link) -> bool {
        let Some(current) = self.0.get_mut(agent) else {
            return false;
        };
        if let Some(older) = current.successor.replace(Box::new(link)) {
            end(&older, stream_ended("this agent opened another stream"));
        }
        true
    }

    /// A stream ended. In order, if the agent had said all that it wanted to say on it.
    pub fn left(&mut self, agent: &AgentId, session: u64, in_order: bool) -> End {
        let Some(current) = self.0.get_mut(agent) else {
            return End::Nothing;
        };
        if current.session != session {
            // A successor that ended before its time.
            current.successor.take_if(|successor| successor.session == session);
            return End::Nothing;
        }
        let ended = self.0.remove(agent);
        match ended.and_then(|link| link.successor) {
            Some(successor) if in_order => {
                self.0.insert(agent.clone(), *successor);
                End::Nothing
            }
            Some(successor) => {
                end(&successor, stream_ended("the stream before ended early; dial again"));
                End::Gone
            }
            None => End::Gone,
        }
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
            let text = "too slow: messages were not read in time; dial again";
            end(&link, status(&Refusal::new(codes::TOO_SLOW, text)));
        }
        Err(Slow)
    }

    /// Ends the streams of agents from whom the roster does not accept the key of their connection now; says which.
    pub fn unenrolled(&mut self, roster: &Roster, now_ms: u64) -> Vec<AgentId> {
        let enrolled = |agent: &AgentId, link: &Link| link.is_enrolled_as(agent, roster, now_ms);
        // A stream that waits to take over has a key of its own.
        for (agent, link) in &mut self.0 {
            if let Some(waiting) = link.successor.take_if(|waiting| !enrolled(agent, waiting)) {
                waiting.end_unenrolled(agent, roster, now_ms);
            }
        }
        let gone: Vec<AgentId> = self
            .0
            .iter()
            .filter(|(agent, link)| !enrolled(agent, link))
            .map(|(agent, _)| agent.clone())
            .collect();
        for agent in &gone {
            if let Some(link) = self.0.remove(agent) {
                link.end_unenrolled(agent, roster, now_ms);
                if let Some(successor) = &link.successor {
                    end(successor, stream_ended("the stream before was ended; dial again"));
                }
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
            successor: None,
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
        assert_eq!(links.left(&agent, 1, true), End::Nothing);
        assert!(links.is_current(&agent, 2));
        assert_eq!(links.left(&agent, 2, true), End::Gone);
    }

    #[test]
    fn a_successor_takes_over_when_the_stream_before_it_was_ended_in_order_and_not_otherwise() {
        let agent = AgentId::from("a");
        let mut links = Links::default();
        let (early, ..) = link(1, 1);
        assert!(!links.succeed(&agent, early), "there is nothing to take over");
        let (first, mut queue, _gone) = link(2, 4);
        let (second, mut second_queue, _second_gone) = link(3, 4);
        links.insert(agent.clone(), first);
        assert!(links.succeed(&agent, second));
        assert_eq!(links.send(&agent, grant()), Ok(()));
        assert!(
            queue.try_recv().is_ok() && second_queue.try_recv().is_err(),
            "the open one is still in use"
        );
        assert_eq!(links.left(&agent, 2, true), End::Nothing);
        assert!(links.is_current(&agent, 3));
        assert_eq!(links.send(&agent, grant()), Ok(()));
        assert!(second_queue.try_recv().is_ok());

        let (third, ..) = link(4, 1);
        let verdict = third.verdict.clone();
        assert!(links.succeed(&agent, third));
        assert_eq!(
            links.left(&agent, 3, false),
            End::Gone,
            "what it still had to say is lost"
        );
        assert_eq!(verdict.get().unwrap().code(), tonic::Code::Aborted);
        assert_eq!(links.len(), 0);
    }

    #[test]
    fn a_successor_that_ends_before_its_time_takes_nothing_over() {
        let agent = AgentId::from("a");
        let mut links = Links::default();
        let (first, _queue, _gone) = link(1, 1);
        let (second, ..) = link(2, 1);
        links.insert(agent.clone(), first);
        assert!(links.succeed(&agent, second));
        assert_eq!(links.left(&agent, 2, true), End::Nothing);
        assert!(links.is_current(&agent, 1));
        assert_eq!(links.left(&agent, 1, true), End::Gone);
    }
}
