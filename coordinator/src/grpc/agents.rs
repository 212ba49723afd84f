//! Agents' streams. One task per stream reads it; the stream's own response carries what is sent. Reading stops, and with it
//! the sender, while too many of an agent's messages wait for the engine, or while four large vectors are on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::{AgentId, Refusal, codes};
use proto::Malformed;
use proto::agents::{Assembler, announced_bytes, joined};
use proto::handshake::{Software, greeted};
use proto::v1::AgentFrame;
use proto::v1::agents_server::Agents;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Request, Response, Status, Streaming};

use super::admission::Admission;
use super::outbox::Outbox;
use super::refusal::{malformed, not_own, status, stream_ended, typed};
use crate::config::Limits;
use crate::driver::{Driver, Event, Place, Stopping, now_ms};
use crate::links::{Link, Verdict};
use crate::metrics;

/// From connection to greeting, and from greeting to join.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Messages of one agent that may wait for the engine.
const WAITING: usize = 64;
/// Clocks further apart than this are worth a warning.
const SKEW_MS: u64 = 60_000;

/// The service that agents dial.
pub struct AgentsDoor {
    driver: Driver,
    admission: Admission,
    software: Software,
    limits: Limits,
    uploads: Arc<Semaphore>,
    sessions: AtomicU64,
}

impl AgentsDoor {
    pub fn new(driver: Driver, admission: Admission, software: Software, limits: Limits) -> Self {
        Self {
            driver,
            admission,
            software,
            uploads: Arc::new(Semaphore::new(limits.uploads)),
            limits,
            sessions: AtomicU64::new(1),
        }
    }
}

#[tonic::async_trait]
impl Agents for AgentsDoor {
    type ConnectStream = Outbox;

    async fn connect(&self, request: Request<Streaming<AgentFrame>>) -> Result<Response<Outbox>, Status> {
        let peer = self.admission.agent(&request)?;
        let mut frames = request.into_inner();
        let greeted = greeted(handshake_frame(&mut frames).await?)
            .map_err(|error| status(&Refusal::new(codes::PROTOCOL, error.to_string())))?;
        if greeted.agent != peer.name {
            let text = format!(
                "mismatched name: the certificate is that of `{}`, the greeting says `{}`",
                peer.name, greeted.agent
            );
            return Err(not_own(text));
        }
        let skew_ms = now_ms().abs_diff(greeted.now_ms);
        if skew_ms > SKEW_MS {
            tracing::warn!(
                agent = peer.name,
                skew_ms,
                "clocks differ: requests may count as expired"
            );
        }
        let (outbox, queue) = mpsc::channel(self.limits.outbox);
        let verdict = Verdict::default();
        let reader = Reader {
            agent: AgentId::from(peer.name),
            session: self.sessions.fetch_add(1, Ordering::Relaxed),
            driver: self.driver.clone(),
            limits: self.limits.clone(),
            uploads: self.uploads.clone(),
            flow: Arc::new(Semaphore::new(WAITING)),
        };
        tracing::info!(agent = %reader.agent, session = reader.session, software = greeted.software, "agent connected");
        let (reading, ended) = oneshot::channel();
        let link = Link {
            session: reader.session,
            software: greeted.software,
            tls_key: peer.tls_key,
            outbox,
            verdict: verdict.clone(),
            _reading: reading,
            successor: None,
        };
        let newer = {
            let members = self.admission.members.borrow();
            (members.roster.version > greeted.roster_version).then(|| members.signed.clone())
        };
        let welcome = if greeted.takes_over {
            let agent = reader.agent.clone();
            let taken = self.driver.ask(|reply| Event::Succeeds { agent, link, reply }).await?;
            if !taken {
                return Err(stream_ended("no open stream to take over; dial again"));
            }
            tokio::spawn(reader.run(frames, None, verdict.clone(), ended));
            self.software.welcome_of_successor(greeted.protocol, newer, now_ms())
        } else {
            tokio::spawn(reader.run(frames, Some(link), verdict.clone(), ended));
            self.software.welcome(greeted.protocol, newer, now_ms())
        };
        Ok(Response::new(Outbox::new(welcome, queue, verdict)))
    }
}

/// Reads one stream until it ends, one way or the other.
struct Reader {
    agent: AgentId,
    session: u64,
    driver: Driver,
    limits: Limits,
    uploads: Arc<Semaphore>,
    flow: Arc<Semaphore>,
}

/// Why a stream is not read any further.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{}", .0.message())]
    Stream(Box<Status>),
    #[error("no greeting: expected Greeting and Join within {} s each", HANDSHAKE.as_secs())]
    Late,
    #[error("the stream ended before the handshake did")]
    Early,
    #[error("malformed message: {0}")]
    Malformed(#[from] Malformed),
    #[error("stalled upload: a vector must arrive within {longest_ms} ms and never stand still for {idle_ms} ms")]
    Stalled { idle_ms: u64, longest_ms: u64 },
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Stream(Box::new(status))
    }
}

impl From<Ended> for Status {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Stream(status) => typed(*status),
            Ended::Late | Ended::Stalled { .. } => status(&Refusal::new(codes::DEADLINE, ended.to_string())),
            Ended::Early => {
                proto::refusal::status(Code::Cancelled, &Refusal::new(codes::STREAM_ENDED, ended.to_string()))
            }
            Ended::Malformed(_) => malformed(&ended),
            Ended::Stopping(stopping) => stopping.into(),
        }
    }
}

impl Reader {
    async fn run(
        self,
        mut frames: Streaming<AgentFrame>,
        link: Option<Link>,
        verdict: Verdict,
        replaced: oneshot::Receiver<()>,
    ) {
        let ended = tokio::select! {
            ended = self.read(&mut frames, link) => ended,
            _ = replaced => Ok(()),
        };
        let in_order = ended.is_ok();
        match ended {
            Ok(()) => tracing::info!(agent = %self.agent, session = self.session, "agent's stream ended"),
            Err(ended) => {
                tracing::warn!(agent = %self.agent, session = self.session, reason = %ended, "agent's stream ended");
                // A stream ends once; the first reason stands.
                let _ = verdict.set(ended.into());
            }
        }
        let left = Event::Left {
            agent: self.agent,
            session: self.session,
            in_order,
        };
        // A driver that has stopped has forgotten all agents already.
        let _ = self.driver.send(left);
    }

    /// With a link, a join comes first; a stream that takes another's place has handed its link in already.
    async fn read(&self, frames: &mut Streaming<AgentFrame>, link: Option<Link>) -> Result<(), Ended> {
        if let Some(link) = link {
            let join = joined(handshake_frame(frames).await?)?;
            let agent = self.agent.clone();
            self.driver.send(Event::Joined { agent, link, join })?;
        }
        let mut assembler = Assembler::default();
        let mut upload = None;
        loop {
            let Some(frame) = self.next(frames, upload.as_ref()).await? else {
                return Ok(());
            };
            if let Some(bytes) = announced_bytes(&frame)
                && !assembler.is_uploading()
            {
                upload = Some(self.upload(bytes).await);
            }
            if let Some(message) = assembler.push(frame)? {
                let place = Place {
                    _flow: permit(&self.flow).await,
                    _upload: upload.take().and_then(|upload| upload.permit),
                };
                let (agent, session) = (self.agent.clone(), self.session);
                self.driver.send(Event::Message {
                    agent,
                    session,
                    message,
                    place,
                })?;
            }
        }
    }

    /// The next frame, within the patience that an upload has.
    async fn next(
        &self,
        frames: &mut Streaming<AgentFrame>,
        upload: Option<&Upload>,
    ) -> Result<Option<AgentFrame>, Ended> {
        let Some(upload) = upload else {
            return Ok(frames.message().await?);
        };
        let until = upload.deadline.min(Instant::now() + self.limits.upload_idle());
        match timeout_at(until, frames.message()).await {
            Ok(frame) => Ok(frame?),
            Err(_) => Err(Ended::Stalled {
                idle_ms: self.limits.upload_idle_ms,
                longest_ms: self.limits.collect_ms,
            }),
        }
    }

    /// Waits for a place if the vector is large. Small ones need none: they are whole in a frame or two.
    async fn upload(&self, bytes: u64) -> Upload {
        metrics::vector(bytes);
        let permit = match bytes > (self.limits.unasked_kib as u64) * 1024 {
            true => Some(permit(&self.uploads).await),
            false => None,
        };
        Upload {
            permit,
            deadline: Instant::now() + self.limits.upload_longest(),
        }
    }
}

/// A vector on its way.
struct Upload {
    permit: Option<OwnedSemaphorePermit>,
    deadline: Instant,
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    // Unwrap safety: the semaphores of this module are never closed.
    semaphore.clone().acquire_owned().await.expect("an open semaphore")
}

async fn handshake_frame(frames: &mut Streaming<AgentFrame>) -> Result<AgentFrame, Ended> {
    let frame = timeout(HANDSHAKE, frames.message()).await;
    frame.map_err(|_| Ended::Late)??.ok_or(Ended::Early)
}
