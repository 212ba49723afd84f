//! The one connection of an agent: an outbound gRPC stream to the coordinator over mutual TLS. Reconnects for ever with
//! jittered, doubling waits; a vector travels in slices of the buffer that the engine masked. When a rotation exchanges the certificate on
//! disk, a stream with the new one takes over from the open one, and no round notices.
//!
//! The other side has the certificate of the coordinator and a key that the newest roster names, or it is brought a newer roster of governance's
//! that does; else nothing is said to it. Deliberately absent: a listener, and any trust in the other side beyond that. What it says goes
//! to the engine, which believes none of it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::message::ToAgent;
use engine::participant::Input;
use governance::{Roster, SignedRoster};
use prost::Message;
use proto::agents::{AgentAssembler, MAX_COORDINATOR_FRAME, frames, join_frame};
use proto::handshake::{HandshakeError, SOFTWARE, Software, welcomed};
use proto::identity::{Identity, OTHER_COORDINATOR, Pinned, TlsError, Unnamed, Watch, succession};
use proto::v1::agents_client::AgentsClient;
use proto::v1::{AgentFrame, CoordinatorFrame};
use rand::RngExt;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::driver::{Event, INBOX_BYTES, OUTBOX, Outgoing, now_ms};
use crate::gate::{Gate, Shutting};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A session that held this long was healthy: the next wait starts small again.
const HEALTHY: Duration = Duration::from_secs(60);
/// Requests are valid for minutes; clocks further apart than this will refuse good ones.
const LARGEST_SKEW_MS: u64 = 30_000;
/// How often the identity folder is looked at.
const LOOK: Duration = Duration::from_secs(2);
const STREAM_WINDOW: u32 = 8 * 1024 * 1024;

/// Keeps a session open until the driver is gone.
pub async fn keep_connected(
    address: String,
    identity: Identity,
    software: Software,
    sent: Arc<AtomicU64>,
    driver: mpsc::Sender<Event>,
    members: watch::Receiver<Arc<Roster>>,
) {
    let mut link = Link {
        members,
        watch: Watch::of(&identity),
        address,
        identity: Arc::new(identity),
        newer: None,
        software,
        sent,
        inbox: Inbox::new(driver),
    };
    let mut wait = FIRST_WAIT;
    loop {
        let began = tokio::time::Instant::now();
        let ended = link.session().await;
        let _ = link.inbox.driver.send(Event::Engine(Input::Disconnected)).await;
        if link.inbox.driver.is_closed() {
            return;
        }
        match ended {
            Ok(()) => tracing::info!(coordinator = %link.address, "the coordinator closed the stream"),
            Err(LinkError::Severed) => {
                tracing::info!(coordinator = %link.address, "the connection ended with what it held: the operator stopped something");
                continue; // the coordinator is to hear of it at once
            }
            Err(error) => tracing::warn!(coordinator = %link.address, error = %explain(&error), "not connected"),
        }
        if began.elapsed() > HEALTHY {
            wait = FIRST_WAIT;
        }
        let jitter = rand::rng().random_range(0.5..1.5);
        tokio::time::sleep(wait.mul_f64(jitter)).await; // agents must not come back all at once
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// What every session of this process needs.
struct Link {
    /// The roster that the engine believes.
    members: watch::Receiver<Arc<Roster>>,
    address: String,
    identity: Arc<Identity>,
    /// With a certificate that was installed since, and is not in use yet.
    newer: Option<Arc<Identity>>,
    watch: Watch,
    software: Software,
    sent: Arc<AtomicU64>,
    inbox: Inbox,
}

/// One open stream whose welcome has come.
struct Stream {
    /// The connection under it.
    _channel: Channel,
    sender: mpsc::Sender<AgentFrame>,
    inbound: Streaming<CoordinatorFrame>,
    /// A newer one, that the coordinator brought to be believed at all.
    roster: Option<SignedRoster>,
}

/// How one stream of a session ended.
enum Carried {
    Closed,
    /// The agent has ended its half and the coordinator the other, in order: the session goes on here, as another identity.
    Onward(Box<Stream>, Arc<Identity>),
}

/// The dialling of a successor.
type Dialling = Pin<Box<dyn Future<Output = Result<(Stream, Arc<Identity>), LinkError>> + Send>>;

impl Link {
    /// One session as the engine knows it: a stream, and those that take over from it when the certificate was exchanged. All their
    /// connections are behind one gate, so that whoever shuts it stops the one in use and the one that is about to be.
    async fn session(&mut self) -> Result<(), LinkError> {
        let gate = Gate::default();
        let _shuts = Shutting(gate.clone()); // before anybody hears that the session is over
        tokio::select! {
            biased;
            () = gate.was_shut() => Err(match gate.was_severed() {
                true => LinkError::Severed,
                false => LinkError::Closed,
            }),
            ended = self.streams(&gate) => ended,
        }
    }

    async fn streams(&mut self, gate: &Gate) -> Result<(), LinkError> {
        let mut stream = self.first_stream(gate).await?;
        if let Some(roster) = stream.roster.take() {
            // Durable before anything else comes over it: the key before is believed no more.
            let adopts = Event::Engine(Input::Roster(roster));
            self.inbox.driver.send(adopts).await.map_err(|_| LinkError::Closed)?;
        }
        let (outbox, mut outgoing) = mpsc::channel(OUTBOX);
        let gate_of_session = gate.clone();
        let connected = Event::Connected {
            outbox,
            gate: gate_of_session,
        };
        self.inbox.driver.send(connected).await.map_err(|_| LinkError::Closed)?;
        loop {
            match self.carry(stream, gate, &mut outgoing).await? {
                Carried::Closed => return Ok(()),
                Carried::Onward(next, identity) => {
                    tracing::info!(coordinator = %self.address, "the connection goes on with the new certificate");
                    (stream, self.identity, self.newer) = (*next, identity, None);
                }
            }
        }
    }

    /// With the newest certificate, or with the one before while the coordinator has not heard of it.
    async fn first_stream(&mut self, gate: &Gate) -> Result<Stream, LinkError> {
        self.look();
        if let Some(newer) = self.newer.clone() {
            match first(&self.address, &newer, &self.known(&newer), &self.software, gate).await {
                Ok(stream) => {
                    (self.identity, self.newer) = (newer, None);
                    return Ok(stream);
                }
                Err(error) => tracing::warn!(error = %explain(&error), "not connected with the new certificate"),
            }
        }
        let known = self.known(&self.identity);
        first(&self.address, &self.identity, &known, &self.software, gate).await
    }

    /// The newest roster: the engine's, or the identity's if that was installed since.
    fn known(&self, identity: &Identity) -> Arc<Roster> {
        let engines = self.members.borrow().clone();
        match identity.roster.version > engines.version {
            true => Arc::new(identity.roster.clone()),
            false => engines,
        }
    }

    /// Carries messages both ways. When another certificate is installed, a second stream is opened with it while this one goes on; then this
    /// one is ended in order, and nothing is said on the second before the coordinator has ended its half too. So no message is lost,
    /// doubled or overtaken, and the engine hears nothing of it.
    async fn carry(
        &mut self,
        stream: Stream,
        gate: &Gate,
        outgoing: &mut mpsc::Receiver<Outgoing>,
    ) -> Result<Carried, LinkError> {
        let Stream {
            _channel,
            sender,
            inbound,
            roster: _,
        } = stream;
        let (leave, leaving) = oneshot::channel();
        let mut leave = Some(leave);
        let (sent, inbox) = (self.sent.clone(), self.inbox.clone());
        let writing = write(sender, outgoing, leaving, &sent);
        let reading = read(inbound, &inbox);
        tokio::pin!(writing, reading);
        let mut looks = tokio::time::interval(LOOK);
        let mut dialling: Option<Dialling> = None;
        let mut successor: Option<(Stream, Arc<Identity>)> = None;
        let (mut written, mut said) = (false, false);
        loop {
            tokio::select! {
                ended = &mut writing, if !written => match (ended, &successor) {
                    (Ok(()), Some(_)) => written = true,
                    (ended, _) => return ended.map(|()| Carried::Closed),
                },
                ended = &mut reading => {
                    ended?;
                    return Ok(match successor {
                        Some((next, identity)) if written => Carried::Onward(Box::new(next), identity),
                        _ => Carried::Closed,
                    });
                }
                _ = looks.tick(), if successor.is_none() && dialling.is_none() => {
                    self.look();
                    if let Some(identity) = self.newer.clone() {
                        let (address, software, gate) = (self.address.clone(), self.software.clone(), gate.clone());
                        let known = self.known(&identity);
                        dialling = Some(Box::pin(async move {
                            let pinned = Pinned::to_coordinator(&identity, &known)?;
                            let stream = open(&address, (&identity, &known), &software, &gate, (&pinned, true)).await?;
                            Ok((stream, identity))
                        }));
                    }
                }
                dialled = opened(&mut dialling), if dialling.is_some() => {
                    dialling = None;
                    match dialled {
                        Ok(next) => {
                            successor = Some(next);
                            // The writing half is there until it has heard this.
                            let _ = leave.take().map(|leave| leave.send(()));
                        }
                        // The coordinator may not have heard of the new key yet: this stream goes on, and the next look dials again.
                        Err(error) if !said => {
                            tracing::warn!(coordinator = %self.address, error = %explain(&error), "the new certificate is not in use yet");
                            said = true;
                        }
                        Err(_) => {}
                    }
                }
            }
        }
    }

    /// Notes a certificate that was installed since the last look.
    fn look(&mut self) {
        match self.watch.newer() {
            None => {}
            Some(Ok(identity)) => self.newer = Some(Arc::new(identity)),
            Some(Err(error)) => {
                tracing::warn!(%error, "the identity folder has changed and cannot be used; the old certificate stays in use");
            }
        }
    }
}

/// Waits for the dialling that is under way.
async fn opened(dialling: &mut Option<Dialling>) -> Result<(Stream, Arc<Identity>), LinkError> {
    match dialling {
        Some(dialling) => dialling.await,
        None => std::future::pending().await,
    }
}

/// The first stream of a session. A coordinator whose key the roster does not name is dialled once more, to hear whether it has a newer one of
/// governance's that does; it hears who is dialling, and nothing else.
async fn first(
    address: &str,
    identity: &Identity,
    known: &Roster,
    software: &Software,
    gate: &Gate,
) -> Result<Stream, LinkError> {
    let pinned = Pinned::to_coordinator(identity, known)?;
    let refused = match open(address, (identity, known), software, gate, (&pinned, false)).await {
        Ok(stream) => {
            let roster = None;
            return Ok(Stream { roster, ..stream });
        }
        Err(error) => error,
    };
    let Some(shown) = pinned.unnamed() else {
        return Err(refused);
    };
    let hears = Pinned::to_hear_of(identity, known, shown)?;
    let stream = open(address, (identity, known), software, gate, (&hears, false)).await?;
    succession(known, &identity.governance, shown, stream.roster.as_ref())?;
    Ok(stream)
}

/// Dials through the gate, and greets. `takes_over`: as the successor of the open stream.
async fn open(
    address: &str,
    (identity, known): (&Identity, &Roster),
    software: &Software,
    gate: &Gate,
    (pinned, takes_over): (&Arc<Pinned>, bool),
) -> Result<Stream, LinkError> {
    let dial = gate.clone();
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?;
    let channel = pinned
        .at(endpoint, identity)?
        .connect_timeout(Duration::from_secs(10))
        .http2_keep_alive_interval(Duration::from_secs(15))
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW)
        .connect_with_connector(tower::service_fn(move |uri: Uri| dial.dial(&uri)))
        .await?;
    let mut client = AgentsClient::new(channel.clone()).max_decoding_message_size(MAX_COORDINATOR_FRAME);
    let (sender, receiver) = mpsc::channel::<AgentFrame>(16);
    let greeting = match takes_over {
        true => software.greeting_of_successor(&identity.member.name, known.version, now_ms()),
        false => software.greeting(&identity.member.name, known.version, now_ms()),
    };
    sender.send(greeting).await.map_err(|_| LinkError::Closed)?;
    let mut inbound = client.connect(ReceiverStream::new(receiver)).await?.into_inner();
    let first = inbound.message().await?.ok_or(LinkError::Closed)?;
    let welcome = welcomed(first)?;
    if welcome.taken_over != takes_over {
        return Err(LinkError::NoSuccessor);
    }
    let skew_ms = welcome.now_ms.abs_diff(now_ms());
    if skew_ms > LARGEST_SKEW_MS {
        tracing::warn!(
            skew_ms,
            "this clock and the coordinator's differ: requests may look expired; set it by NTP"
        );
    }
    tracing::info!(coordinator = %address, software = %welcome.software, ours = SOFTWARE, protocol = welcome.protocol, "connected");
    let roster = welcome.roster.map(SignedRoster::try_from).transpose()?;
    Ok(Stream {
        _channel: channel,
        sender,
        inbound,
        roster,
    })
}

/// Writes what the driver says until it gives the session up (an error) or until it is time to leave: then what was begun is finished, and the
/// half of the stream that is ours ends in order.
async fn write(
    sender: mpsc::Sender<AgentFrame>,
    outgoing: &mut mpsc::Receiver<Outgoing>,
    leaving: oneshot::Receiver<()>,
    sent: &AtomicU64,
) -> Result<(), LinkError> {
    tokio::pin!(leaving);
    loop {
        let next = tokio::select! {
            biased;
            Ok(()) = &mut leaving => return Ok(()),
            next = outgoing.recv() => next,
        };
        match next {
            None => return Err(LinkError::Closed),
            Some(Outgoing::Join(join)) => sender.send(join_frame(join)).await.map_err(|_| LinkError::Closed)?,
            Some(Outgoing::Message(message)) => {
                for frame in frames(message) {
                    sent.fetch_add(frame.encoded_len() as u64, Ordering::Relaxed);
                    sender.send(frame).await.map_err(|_| LinkError::Closed)?;
                }
            }
        }
    }
}

/// Hands everything that comes to the engine, until the coordinator ends its half.
async fn read(mut inbound: Streaming<CoordinatorFrame>, inbox: &Inbox) -> Result<(), LinkError> {
    let mut assembler = AgentAssembler::default();
    let mut bytes = 0;
    while let Some(frame) = inbound.message().await? {
        bytes += frame.encoded_len();
        let Some(message) = assembler.push(frame)? else {
            continue;
        };
        inbox.put(message, std::mem::take(&mut bytes)).await?;
    }
    Ok(())
}

/// The way to the driver for what the coordinator says: bounded in messages and in bytes, over all sessions.
#[derive(Clone)]
struct Inbox {
    driver: mpsc::Sender<Event>,
    room: Arc<Semaphore>,
}

impl Inbox {
    fn new(driver: mpsc::Sender<Event>) -> Self {
        let room = Arc::new(Semaphore::new(INBOX_BYTES));
        Self { driver, room }
    }

    /// Waits until there is room; meanwhile nothing more is read from the coordinator.
    async fn put(&self, message: ToAgent, bytes: usize) -> Result<(), LinkError> {
        // What is larger than all of it waits until it is alone.
        let wanted = u32::try_from(bytes.clamp(1, INBOX_BYTES)).unwrap_or(u32::MAX);
        let place = self.room.clone().acquire_many_owned(wanted).await;
        let place = place.map_err(|_| LinkError::Closed)?;
        let sent = self.driver.send(Event::Message(message, place)).await;
        sent.map_err(|_| LinkError::Closed)
    }
}

/// An error and what is behind it on one line: tonic's own text stops at "transport error".
fn explain(error: &LinkError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("no connection")]
    Transport(#[from] tonic::transport::Error),
    #[error("no TLS towards the coordinator")]
    Tls(#[from] TlsError),
    #[error(
        "{OTHER_COORDINATOR}: {0}; it heard who dialled and nothing else. If the key was replaced while this agent was away, install the newest roster.json; if not, somebody else has its certificate: tell the governance holder"
    )]
    Unnamed(#[from] Unnamed),
    #[error("refused by the coordinator: {}", proto::refusal::words(.0))]
    Status(#[from] Box<tonic::Status>),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("malformed message from the coordinator")]
    Malformed(#[from] proto::Malformed),
    #[error("the coordinator does not let one stream take over from another")]
    NoSuccessor,
    #[error("the stream closed")]
    Closed,
    #[error("ended by this agent")]
    Severed,
}

impl From<tonic::Status> for LinkError {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::message::Cursor;

    #[tokio::test]
    async fn messages_wait_for_room_in_bytes_and_one_that_is_too_large_for_it_passes_alone() {
        let (driver, mut events) = mpsc::channel(256);
        let inbox = Inbox::new(driver);
        let message = || ToAgent::Heartbeat(Cursor::default());
        inbox.put(message(), INBOX_BYTES / 2 + 1).await.unwrap();
        let second = inbox.put(message(), INBOX_BYTES / 2);
        let waited = tokio::time::timeout(Duration::from_millis(100), second).await;
        assert!(waited.is_err(), "there is no room for both");
        drop(events.recv().await);
        inbox.put(message(), INBOX_BYTES / 2).await.unwrap();
        drop(events.recv().await);
        inbox.put(message(), 2 * INBOX_BYTES).await.unwrap();
        assert!(events.recv().await.is_some());
    }
}
