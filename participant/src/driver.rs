//! Does what the engine says, in the order in which it says it: make records durable, then send, then compute, then make durable what may wait. Nothing
//! else decides anything here. One thread owns the engine and the store, because masks and signatures take milliseconds
//! and a commit is a disk write; a second one touches the data, so that a long query never delays a reveal.
//!
//! Deliberately absent: a retry of a failed write. If a charge cannot be made durable the step is dropped, nothing leaves,
//! and the agent stops: a restart recovers from what is on disk.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::OsEntropy;
use engine::message::{Join, ToAgent, ToCoordinator};
use engine::participant::{ComputeFailed, Input, Participant};
use engine::record::ParticipantRecord;
use engine::step::{Compute, ParticipantEvent, ParticipantStep};
use governance::Roster;
use privacy::Noised;
use proto::store::Store;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::gate::{Gate, Shutting};
use crate::problem::Problem;
use crate::status::{Command, Reply, Status};
use crate::watch::Served;

/// Turns a plan and local data into a clipped and noised vector. The only code that sees rows.
pub trait Executor: Send + Sync + 'static {
    fn run(&self, compute: &Compute) -> Result<Noised, ComputeFailed>;

    /// Called when the result is on its way, with time until the next round: what can be made ready without data.
    fn prepare_next(&self, _compute: &Compute) {}
}

/// What the link writes to the coordinator.
pub enum Outgoing {
    /// Once, before anything else.
    Join(Join),
    Message(ToCoordinator),
}

/// What reaches the driver.
pub enum Event {
    /// The stream to the coordinator opened; what this agent says goes to `outbox`, and from there through `gate`.
    Connected {
        outbox: mpsc::Sender<Outgoing>,
        gate: Gate,
    },
    Engine(Input),
    /// From the coordinator, with its part of [`INBOX_BYTES`], which is given back when the step is done.
    Message(ToAgent, OwnedSemaphorePermit),
    Local(Command, oneshot::Sender<serde_json::Value>),
    /// Answered when every step that was begun before it is done: what is asked before a vector leaves was asked after that.
    Barrier(oneshot::Sender<()>),
    /// Files changed, or are good again: other datasets are served now.
    Serving(Served),
    Stop,
}

/// The connection that there is.
struct Session {
    outbox: mpsc::Sender<Outgoing>,
    /// Shuts when this is given up.
    gate: Shutting,
}

/// Waiting events. The link stops reading from the coordinator when it is full; a flood costs the coordinator, not us.
pub const INBOX: usize = 256;
/// Bytes of waiting messages from the coordinator, which may be as large as the largest frame. One message is taken whatever it takes.
pub const INBOX_BYTES: usize = 256 * 1024 * 1024;
/// Waiting orders of this machine's own people. They have a way of their own: a coordinator that floods the inbox delays no revocation.
pub const ORDERS: usize = 16;
/// Unsent messages. A coordinator that does not read loses the connection instead of filling our memory.
pub const OUTBOX: usize = 1024;

/// Runs until `Stop` or until something cannot be made durable.
#[expect(clippy::too_many_arguments, reason = "each part is owned by nobody else")]
pub fn run<S: Store>(
    mut engine: Participant,
    mut store: S,
    executor: Arc<dyn Executor>,
    mut inbox: mpsc::Receiver<Event>,
    mut orders: mpsc::Receiver<Event>,
    own_inbox: mpsc::WeakSender<Event>,
    runtime: &Handle,
    mut status: Status,
    members: watch::Sender<Arc<Roster>>,
) -> Result<(), DriverError> {
    let (jobs, compute_queue) = std::sync::mpsc::channel::<Compute>();
    let computing = std::thread::Builder::new()
        .name("sotto-compute".to_owned())
        .spawn(move || compute_loop(&*executor, &compute_queue, &own_inbox))
        .map_err(DriverError::Thread)?;
    let mut entropy = OsEntropy::default();
    let mut session: Option<Session> = None;
    let mut wake_at_ms: Option<u64> = None;
    loop {
        let event = runtime.block_on(next_event(&mut orders, &mut inbox, wake_at_ms));
        let (mut ordered, mut _place) = (None, None);
        let input = match event {
            Event::Stop => break,
            Event::Local(command, reply) => match status.answer(command, &engine) {
                Reply::Known(answer) => {
                    // The asker may have gone away; then nobody needs the answer.
                    let _ = reply.send(answer);
                    continue;
                }
                Reply::Pause { dataset, paused } => {
                    ordered = Some(reply);
                    Input::Pause { dataset, paused }
                }
                Reply::Replay { approval } => {
                    ordered = Some(reply);
                    Input::Replay { approval }
                }
                Reply::Act(signed) => {
                    ordered = Some(reply);
                    Input::Act(signed)
                }
            },
            Event::Barrier(passed) => {
                // The asker may have gone away; then nobody waits.
                let _ = passed.send(());
                continue;
            }
            Event::Connected { outbox, gate } => {
                let gate = Shutting(gate);
                session = Some(Session { outbox, gate });
                Input::Connected
            }
            Event::Serving(served) => {
                status.refused(served.refused);
                Input::Datasets(served.datasets)
            }
            Event::Message(message, place) => {
                _place = Some(place);
                Input::Message(message)
            }
            Event::Engine(input) => input,
        };
        let connected = matches!(input, Input::Connected);
        if matches!(input, Input::Disconnected) {
            session = None;
        }
        status.saw(&input);
        let mut step = engine.handle(now_ms(), &mut entropy, input);
        if let (true, Some(session)) = (connected, &session) {
            // The channel is new and empty; if its reader is gone already, the next event says so.
            let _ = session.outbox.try_send(Outgoing::Join(engine.join(now_ms())));
        }
        wake_at_ms = step.wake_at_ms;
        let adopts = |event: &ParticipantEvent| matches!(event, ParticipantEvent::RosterAdopted { .. });
        let adopted = step.events.iter().any(adopts);
        let refused = step.reply.take().and_then(Result::err);
        perform(step, &mut store, &mut session, &jobs, &mut status)?;
        if adopted {
            members.send_replace(Arc::new(engine.roster().clone()));
        }
        if let Some(reply) = ordered {
            // Durable now, and nothing of it is on its way: an operator who was told "done" may rely on it.
            let _ = reply.send(match refused {
                None => serde_json::json!({ "done": true }),
                Some(refusal) => Problem::from(refusal).to_json(),
            });
        }
    }
    drop(jobs);
    // The computing thread ends when its queue does; what it was computing dies with it.
    drop(computing);
    store.close().map_err(DriverError::Store)
}

/// One step, in its order.
fn perform<S: Store>(
    step: ParticipantStep,
    store: &mut S,
    session: &mut Option<Session>,
    jobs: &std::sync::mpsc::Sender<Compute>,
    status: &mut Status,
) -> Result<(), DriverError> {
    keep(store, &step.records)?;
    if step.sever
        && let Some(session) = session.take()
    {
        // Whatever waits in queues and buffers stays there; the link dials again, and says what is to be said.
        session.gate.0.sever();
    }
    for message in step.envelopes {
        let Some(open) = session else { break };
        if open.outbox.try_send(Outgoing::Message(message)).is_err() {
            // Full or closed: dropping the sender ends the session, and the link dials again.
            *session = None;
        }
    }
    if let Some(compute) = step.compute {
        // The computing thread outlives this one; if it is gone the agent is stopping.
        let _ = jobs.send(compute);
    }
    for event in &step.events {
        status.note(event);
    }
    keep(store, &step.afterwards)
}

/// One transaction, if there is anything in it.
fn keep<S: Store>(store: &mut S, records: &[ParticipantRecord]) -> Result<(), DriverError> {
    if records.is_empty() {
        return Ok(());
    }
    let rows = records
        .iter()
        .map(ParticipantRecord::to_row)
        .collect::<Result<Vec<_>, _>>()?;
    store.append(&rows).map_err(DriverError::Store)
}

/// What the operator ordered goes before whatever else waits.
async fn next_event(
    orders: &mut mpsc::Receiver<Event>,
    inbox: &mut mpsc::Receiver<Event>,
    wake_at_ms: Option<u64>,
) -> Event {
    let event = async {
        tokio::select! {
            biased;
            // Closed where there is no socket: then only the inbox counts.
            Some(order) = orders.recv() => order,
            event = inbox.recv() => event.unwrap_or(Event::Stop),
        }
    };
    match wake_at_ms {
        None => event.await,
        Some(at) => {
            let wait = Duration::from_millis(at.saturating_sub(now_ms()));
            let woken = tokio::time::timeout(wait, event).await;
            woken.unwrap_or(Event::Engine(Input::Wake))
        }
    }
}

fn compute_loop(executor: &dyn Executor, queue: &std::sync::mpsc::Receiver<Compute>, inbox: &mpsc::WeakSender<Event>) {
    while let Ok(compute) = queue.recv() {
        let at = compute.at;
        let result = executor.run(&compute);
        let Some(inbox) = inbox.upgrade() else { return };
        if inbox
            .blocking_send(Event::Engine(Input::Computed { at, result }))
            .is_err()
        {
            return;
        }
        executor.prepare_next(&compute);
    }
}

/// Milliseconds since 1970, by this machine's clock.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Why the driver stopped.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("the ledger could not be written, so nothing was sent: {0}")]
    Store(proto::store::StoreError),
    #[error(transparent)]
    Record(#[from] engine::record::BadRow),
    #[error("no thread for the engine: {0}")]
    Thread(std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_order_does_not_queue_behind_what_the_coordinator_said() {
        let (events, mut inbox) = mpsc::channel(INBOX);
        let (socket, mut orders) = mpsc::channel(ORDERS);
        for _ in 0..INBOX {
            events.try_send(Event::Engine(Input::Disconnected)).unwrap();
        }
        let (passed, _) = oneshot::channel();
        socket.try_send(Event::Barrier(passed)).unwrap();
        assert!(matches!(
            next_event(&mut orders, &mut inbox, Some(now_ms() + 60_000)).await,
            Event::Barrier(_)
        ));
        drop(socket);
        for _ in 0..INBOX {
            let next = next_event(&mut orders, &mut inbox, None).await;
            assert!(
                matches!(next, Event::Engine(Input::Disconnected)),
                "an agent without a socket goes on"
            );
        }
        let woken = next_event(&mut orders, &mut inbox, Some(now_ms())).await;
        assert!(matches!(woken, Event::Engine(Input::Wake)));
        drop(events);
        assert!(matches!(next_event(&mut orders, &mut inbox, None).await, Event::Stop));
    }
}
