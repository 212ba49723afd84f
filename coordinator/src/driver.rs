//! Does what the engine says, in the order in which it says it: make records durable, then send, then spool. One thread owns
//! the engine, the store and all connections' outboxes; everybody else sends it an [`Event`]. So there is no lock in this
//! process that is held over an `await`, and no task per message. A step costs what `secagg` costs, plus 0.3 to 1 ms of disk
//! for the steps that have records (one a round).
//!
//! Deliberately absent: a retry of a failed write. If records cannot be made durable nothing of the step is sent and the
//! process stops; a restart recovers from what is on disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::coordinator::{Coordinator, Explained, Input};
use engine::message::Join;
use engine::record::{BadRow, CoordinatorRecord};
use engine::{AgentId, CoordinatorStep, JobId, Refusal, ToCoordinator};
use governance::{SignedAct, SignedMove, SignedRequest, SignedRoster, SignedTrial};
use proto::store::{Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::jobs::{Following, Jobs};
use crate::links::{End, Link, Links};
use crate::metrics;
use crate::roster::Membership;
use crate::spool::Spooler;
use crate::tiles::Tiles;

/// What reaches the driver.
pub enum Event {
    /// An authenticated agent opened its stream.
    Joined {
        agent: AgentId,
        link: Link,
        join: Join,
    },
    /// It opened another that is to take the place of the open one; the reply says whether there is one.
    Succeeds {
        agent: AgentId,
        link: Link,
        reply: oneshot::Sender<bool>,
    },
    /// One of its streams ended; of which session says whether it still matters.
    Left {
        agent: AgentId,
        session: u64,
        in_order: bool,
    },
    Message {
        agent: AgentId,
        session: u64,
        message: ToCoordinator,
        place: Place,
    },
    Submit {
        signed: SignedRequest,
        reply: oneshot::Sender<Result<JobId, Refusal>>,
    },
    Cancel {
        job: JobId,
        analyst: String,
        reply: oneshot::Sender<Result<JobId, Refusal>>,
    },
    /// Answered when every owner that was asked has said how it would decide, or has had its time.
    Explain {
        signed: SignedTrial,
        reply: oneshot::Sender<Result<Explained, Refusal>>,
    },
    Move {
        signed: SignedMove,
        reply: oneshot::Sender<Result<JobId, Refusal>>,
    },
    Act {
        signed: SignedAct,
        reply: oneshot::Sender<Result<JobId, Refusal>>,
    },
    Watch {
        job: JobId,
        analyst: String,
        reply: oneshot::Sender<Option<Following>>,
    },
    /// Looks at everything and changes nothing.
    Read(Box<dyn FnOnce(&Desk<'_>) + Send>),
    Roster(SignedRoster),
    Stop,
}

/// A message's share of the memory that waiting messages may take; given back when the driver is done with the message.
pub struct Place {
    pub _flow: OwnedSemaphorePermit,
    pub _upload: Option<OwnedSemaphorePermit>,
}

/// What a [`Event::Read`] sees.
pub struct Desk<'a> {
    pub engine: &'a Coordinator,
    pub links: &'a Links,
    pub jobs: &'a Jobs,
}

/// The way to the driver.
#[derive(Clone)]
pub struct Driver(Sender<Event>);

/// The driver has stopped; so will the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is stopping")]
pub struct Stopping;

impl Driver {
    /// Hands an event in. Never blocks: agents wait for a [`Place`] before they come here.
    pub fn send(&self, event: Event) -> Result<(), Stopping> {
        self.0.send(event).map_err(|_| Stopping)
    }

    /// Hands in an event with a `reply` and waits for the reply.
    pub async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Result<T, Stopping> {
        let (reply, answer) = oneshot::channel();
        self.send(event(reply))?;
        answer.await.map_err(|_| Stopping)
    }

    /// Looks at the engine's state on the driver's thread.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Desk<'_>) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        self.ask(|reply| {
            Event::Read(Box::new(move |desk| {
                // An asker that went away needs no answer.
                if !reply.is_closed() {
                    let _ = reply.send(look(desk));
                }
            }))
        })
        .await
    }
}

/// Why the driver stopped before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("records could not be stored, nothing of the step was sent: {0}")]
    Store(#[from] StoreError),
    #[error("a record has no stored form: {0}")]
    Row(#[from] BadRow),
}

/// Everything that the driver's thread owns.
pub struct Parts<S> {
    pub engine: Coordinator,
    pub store: S,
    pub jobs: Jobs,
    pub spooler: Option<Spooler>,
    /// The log as files, if somebody reads it so.
    pub tiles: Option<Tiles>,
    /// What the doors check certificates against.
    pub members: watch::Sender<Arc<Membership>>,
}

/// Starts the driver's thread. The receiver tells how it ended.
pub fn start<S: Store + 'static>(
    parts: Parts<S>,
) -> std::io::Result<(Driver, oneshot::Receiver<Result<(), DriverError>>)> {
    let (events, inbox) = channel();
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new()
        .name("sotto-engine".to_owned())
        .spawn(move || {
            let running = Running {
                parts,
                links: Links::default(),
                trials: BTreeMap::new(),
                wake_at_ms: Some(0),
                retirement_ms: None,
            };
            // Nobody listens only when the process is on its way out already.
            let _ = ended.send(running.run(&inbox));
        })?;
    Ok((Driver(events), end))
}

struct Running<S> {
    parts: Parts<S>,
    links: Links,
    /// Whom the engine owes the answer of a trial.
    trials: BTreeMap<JobId, oneshot::Sender<Result<Explained, Refusal>>>,
    wake_at_ms: Option<u64>,
    /// When the next transport key stops being accepted.
    retirement_ms: Option<u64>,
}

impl<S: Store> Running<S> {
    fn run(mut self, inbox: &Receiver<Event>) -> Result<(), DriverError> {
        self.retirement_ms = self.parts.engine.roster().next_retirement_ms(now_ms());
        loop {
            if self.retirement_ms.is_some_and(|at_ms| at_ms <= now_ms()) {
                self.disconnect_unenrolled()?;
            }
            let wake_at_ms = [self.wake_at_ms, self.retirement_ms].into_iter().flatten().min();
            match next(inbox, wake_at_ms) {
                None => drop(self.handle(Input::Wake)?),
                Some(Event::Stop) => return self.stop(),
                Some(event) => self.event(event)?,
            }
        }
    }

    fn event(&mut self, event: Event) -> Result<(), DriverError> {
        match event {
            // The roster may have changed, or a key retired, between the handshake and now.
            Event::Joined { agent, link, .. } if !link.is_enrolled_as(&agent, self.parts.engine.roster(), now_ms()) => {
                link.end_unenrolled(&agent, self.parts.engine.roster(), now_ms());
            }
            Event::Succeeds { agent, link, reply }
                if !link.is_enrolled_as(&agent, self.parts.engine.roster(), now_ms()) =>
            {
                link.end_unenrolled(&agent, self.parts.engine.roster(), now_ms());
                let _ = reply.send(false);
            }
            Event::Joined { agent, link, join } => {
                self.links.insert(agent.clone(), link);
                self.handle(Input::AgentJoined { agent, join })?;
            }
            Event::Succeeds { agent, link, reply } => {
                // A stream that went away takes nothing over.
                let _ = reply.send(self.links.succeed(&agent, link));
            }
            Event::Left {
                agent,
                session,
                in_order,
            } => {
                if self.links.left(&agent, session, in_order) == End::Gone {
                    self.handle(Input::AgentLeft { agent })?;
                }
            }
            Event::Message {
                agent,
                session,
                message,
                place,
            } => {
                // A message of a replaced connection belongs to nobody.
                if self.links.is_current(&agent, session) {
                    self.handle(Input::Message { from: agent, message })?;
                }
                drop(place);
            }
            Event::Submit { signed, reply } => answer(reply, self.handle(Input::Submit(signed))?),
            Event::Cancel { job, analyst, reply } => answer(reply, self.handle(Input::Cancel { job, analyst })?),
            Event::Explain { signed, reply } => self.explain(signed, reply)?,
            Event::Move { signed, reply } => answer(reply, self.handle(Input::Move(signed))?),
            Event::Act { signed, reply } => answer(reply, self.handle(Input::Act(signed))?),
            Event::Watch { job, analyst, reply } => {
                // An asker that went away needs no answer.
                let _ = reply.send(self.parts.jobs.follow(&self.parts.engine, job, &analyst));
            }
            Event::Read(look) => look(&Desk {
                engine: &self.parts.engine,
                links: &self.links,
                jobs: &self.parts.jobs,
            }),
            Event::Roster(roster) => self.adopt(roster)?,
            Event::Stop => {}
        }
        Ok(())
    }

    /// The engine closes every trial that it takes, within seconds.
    fn explain(
        &mut self,
        signed: SignedTrial,
        reply: oneshot::Sender<Result<Explained, Refusal>>,
    ) -> Result<(), DriverError> {
        // The asker waits before the engine hears of it: an owner that is lost in this very step may be the last one waited for.
        let id = JobId::of(&signed.hash().0);
        let mut late = Some(reply);
        if !self.trials.contains_key(&id) {
            self.trials.extend(late.take().map(|reply| (id, reply)));
        }
        if let Some(Err(refusal)) = self.handle(Input::Explain(signed))?
            && let Some(reply) = late.or_else(|| self.trials.remove(&id))
        {
            // An asker that went away needs no answer.
            let _ = reply.send(Err(refusal));
        }
        Ok(())
    }

    /// One input and its step; then the inputs that follow because an outbox was full.
    fn handle(&mut self, input: Input) -> Result<Option<Result<JobId, Refusal>>, DriverError> {
        let mut lost = Vec::new();
        let reply = self.step(input, &mut lost)?;
        while let Some(agent) = lost.pop() {
            self.step(Input::AgentLeft { agent }, &mut lost)?;
        }
        Ok(reply)
    }

    fn step(&mut self, input: Input, lost: &mut Vec<AgentId>) -> Result<Option<Result<JobId, Refusal>>, DriverError> {
        let began = Instant::now();
        let step = self.parts.engine.handle(now_ms(), input);
        let handled = Instant::now();
        let CoordinatorStep {
            records,
            envelopes,
            spool,
            explained,
            reply,
            wake_at_ms,
            events,
        } = step;
        if !records.is_empty() {
            let rows = records
                .iter()
                .map(CoordinatorRecord::to_row)
                .collect::<Result<Vec<_>, _>>()?;
            self.parts.store.append(&rows)?;
            metrics::stored(handled.elapsed());
        }
        self.parts.jobs.note(&self.parts.engine, &envelopes, &events);
        for (agent, message) in envelopes {
            if self.links.send(&agent, message).is_err() {
                tracing::warn!(agent = agent.as_str(), "too slow: disconnected");
                metrics::slow_agent();
                lost.push(agent);
            }
        }
        let closed = |record: &CoordinatorRecord| matches!(record, CoordinatorRecord::Cosigned { .. });
        if let Some(tiles) = self.parts.tiles.as_mut().filter(|_| records.iter().any(closed)) {
            tiles.publish(self.parts.engine.books().log());
        }
        if let Some(spooler) = &self.parts.spooler {
            spool.into_iter().for_each(|vector| spooler.keep(vector));
        }
        for event in &events {
            crate::notices::tell(event);
        }
        for explained in explained {
            if let Some(asker) = self.trials.remove(&explained.id) {
                // An asker that went away needs no answer.
                let _ = asker.send(Ok(explained));
            }
        }
        self.wake_at_ms = wake_at_ms;
        metrics::stepped(handled - began, self.links.len(), self.parts.engine.open_rounds());
        Ok(reply)
    }

    fn adopt(&mut self, signed: SignedRoster) -> Result<(), DriverError> {
        if let Some(Err(refusal)) = self.handle(Input::Roster(signed.clone()))? {
            tracing::warn!(code = refusal.code, reason = refusal.message, "roster not adopted");
            return Ok(());
        }
        let roster = self.parts.engine.roster().clone();
        tracing::info!(version = roster.version, "roster adopted");
        self.parts.members.send_replace(Arc::new(Membership { signed, roster }));
        self.disconnect_unenrolled()
    }

    /// Ends the streams whose keys the roster accepts no longer.
    fn disconnect_unenrolled(&mut self) -> Result<(), DriverError> {
        let (roster, now_ms) = (self.parts.engine.roster().clone(), now_ms());
        self.retirement_ms = roster.next_retirement_ms(now_ms);
        for agent in self.links.unenrolled(&roster, now_ms) {
            self.handle(Input::AgentLeft { agent })?;
        }
        Ok(())
    }

    /// Ends every stream in order; agents keep their epochs and dial again.
    fn stop(self) -> Result<(), DriverError> {
        drop(self.links);
        drop(self.parts.jobs);
        drop(self.parts.spooler);
        Ok(self.parts.store.close()?)
    }
}

fn answer(reply: oneshot::Sender<Result<JobId, Refusal>>, answer: Option<Result<JobId, Refusal>>) {
    if let Some(answer) = answer {
        // An asker that went away needs no answer.
        let _ = reply.send(answer);
    }
}

/// The next event, or none when it is time to wake.
fn next(inbox: &Receiver<Event>, wake_at_ms: Option<u64>) -> Option<Event> {
    let Some(at) = wake_at_ms else {
        return Some(inbox.recv().unwrap_or(Event::Stop));
    };
    let wait = Duration::from_millis(at.saturating_sub(now_ms()).max(1));
    match inbox.recv_timeout(wait) {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Event::Stop),
    }
}

/// Milliseconds since 1970, by this machine's clock.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
