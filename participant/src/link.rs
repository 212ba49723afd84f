//! The one connection of an agent: an outbound gRPC stream to the coordinator over mutual TLS. Reconnects for ever with
//! jittered, doubling waits; a vector travels in slices of the buffer that the engine masked.
//!
//! Deliberately absent: a listener, and any trust in the other side beyond its certificate. What it says goes to the engine, which
//! believes none of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::message::ToAgent;
use engine::participant::Input;
use prost::Message;
use proto::agents::{AgentAssembler, MAX_COORDINATOR_FRAME, frames, join_frame};
use proto::handshake::{HandshakeError, SOFTWARE, Software, welcomed};
use proto::identity::Identity;
use proto::v1::AgentFrame;
use proto::v1::agents_client::AgentsClient;
use rand::RngExt;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Endpoint, Uri};

use crate::driver::{Event, INBOX_BYTES, OUTBOX, Outgoing, now_ms};
use crate::gate::Gate;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A session that held this long was healthy: the next wait starts small again.
const HEALTHY: Duration = Duration::from_secs(60);
/// Requests are valid for minutes; clocks further apart than this will refuse good ones.
const LARGEST_SKEW_MS: u64 = 30_000;
const STREAM_WINDOW: u32 = 8 * 1024 * 1024;

/// Keeps a session open until the driver is gone.
pub async fn keep_connected(
    address: String,
    identity: Arc<Identity>,
    software: Software,
    sent: Arc<AtomicU64>,
    driver: mpsc::Sender<Event>,
) {
    let mut wait = FIRST_WAIT;
    let inbox = Inbox::new(driver.clone());
    loop {
        let began = tokio::time::Instant::now();
        let ended = session(&address, &identity, &software, &sent, &inbox).await;
        let _ = driver.send(Event::Engine(Input::Disconnected)).await;
        if driver.is_closed() {
            return;
        }
        match ended {
            Ok(()) => tracing::info!(coordinator = %address, "the coordinator closed the stream"),
            Err(LinkError::Severed) => {
                tracing::info!(coordinator = %address, "the connection ended with what it held: the operator stopped something");
                continue; // the coordinator is to hear of it at once
            }
            Err(error) => tracing::warn!(coordinator = %address, error = %explain(&error), "not connected"),
        }
        if began.elapsed() > HEALTHY {
            wait = FIRST_WAIT;
        }
        let jitter = rand::rng().random_range(0.5..1.5);
        tokio::time::sleep(wait.mul_f64(jitter)).await; // agents must not come back all at once
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn session(
    address: &str,
    identity: &Identity,
    software: &Software,
    sent: &AtomicU64,
    inbox: &Inbox,
) -> Result<(), LinkError> {
    let gate = Gate::default();
    let dial = gate.clone();
    let channel = Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(identity.client_tls())?
        .connect_timeout(Duration::from_secs(10))
        .http2_keep_alive_interval(Duration::from_secs(15))
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW)
        .connect_with_connector(tower::service_fn(move |uri: Uri| dial.dial(&uri)))
        .await?;
    let mut client = AgentsClient::new(channel).max_decoding_message_size(MAX_COORDINATOR_FRAME);
    let (sender, receiver) = mpsc::channel::<AgentFrame>(16);
    sender
        .send(software.greeting(&identity.member.name, now_ms()))
        .await
        .map_err(|_| LinkError::Closed)?;
    let mut inbound = client.connect(ReceiverStream::new(receiver)).await?.into_inner();
    let first = inbound.message().await?.ok_or(LinkError::Closed)?;
    let welcome = welcomed(first)?;
    let skew_ms = welcome.now_ms.abs_diff(now_ms());
    if skew_ms > LARGEST_SKEW_MS {
        tracing::warn!(
            skew_ms,
            "this clock and the coordinator's differ: requests may look expired; set it by NTP"
        );
    }
    tracing::info!(coordinator = %address, software = %welcome.software, ours = SOFTWARE, protocol = welcome.protocol, "connected");

    let (outbox, mut outgoing) = mpsc::channel(OUTBOX);
    inbox
        .driver
        .send(Event::Connected {
            outbox,
            gate: gate.clone(),
        })
        .await
        .map_err(|_| LinkError::Closed)?;
    let writing = async {
        while let Some(next) = outgoing.recv().await {
            match next {
                Outgoing::Join(join) => sender.send(join_frame(join)).await.map_err(|_| LinkError::Closed)?,
                Outgoing::Message(message) => {
                    for frame in frames(message) {
                        sent.fetch_add(frame.encoded_len() as u64, Ordering::Relaxed);
                        sender.send(frame).await.map_err(|_| LinkError::Closed)?;
                    }
                }
            }
        }
        // The driver gave this session up.
        Err::<(), LinkError>(LinkError::Closed)
    };
    let reading = async {
        let mut assembler = AgentAssembler::default();
        let mut bytes = 0;
        while let Some(frame) = inbound.message().await? {
            bytes += frame.encoded_len();
            let Some(message) = assembler.push(frame)? else {
                continue;
            };
            inbox.put(message, std::mem::take(&mut bytes)).await?;
        }
        Ok::<(), LinkError>(())
    };
    tokio::select! {
        biased;
        () = gate.was_shut() => Err(LinkError::Severed),
        ended = writing => ended,
        ended = reading => ended,
    }
}

/// The way to the driver for what the coordinator says: bounded in messages and in bytes, over all sessions.
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
    #[error("refused by the coordinator: {}", .0.message())]
    Status(#[from] Box<tonic::Status>),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("malformed message from the coordinator")]
    Malformed(#[from] proto::Malformed),
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
