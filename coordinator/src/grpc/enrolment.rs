//! The mailbox's door, on a listener of its own without client certificates. What strangers can do here is bounded: sizes, letters, and calls a
//! minute from one network. What governance hands in is verified like everything of governance's: a roster by its signature and version.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::{Refusal, codes};
use governance::join::{Answer, Application as Asked, Ask, MAX_REQUEST, SignedCall};
use governance::{ContentHash, SignedRoster, VerifyingKey};
use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use proto::v1;
use proto::v1::collected;
use proto::v1::enrolment_server::Enrolment;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Request, Response, Status};

use super::refusal::{fault, later, malformed, status};
use crate::driver::now_ms;
use crate::gate::Later;
use crate::mailbox::Mailbox;
use crate::metrics;
use crate::network::network;
use crate::roster::{Membership, RosterFile};

/// Calls of one network: a newcomer that waits polls every two seconds.
// Unwrap safety: 120 is not zero, and the compiler evaluates this.
const CALLS_A_MINUTE: NonZeroU32 = NonZeroU32::new(120).expect("not zero");
/// An application with its token, in JSON.
const MAX_APPLICATION: usize = 4 * MAX_REQUEST;
/// From a roster on disk to its adoption.
const ADOPTION: Duration = Duration::from_secs(10);

/// The service that newcomers and governance call.
pub struct EnrolmentDoor {
    members: watch::Receiver<Arc<Membership>>,
    governance: VerifyingKey,
    file: RosterFile,
    inside: Mutex<Inside>,
    rates: DefaultKeyedRateLimiter<IpAddr>,
}

#[derive(Default)]
struct Inside {
    mailbox: Mailbox,
    /// Time of the last call of governance that was heard.
    last_call_ms: u64,
}

impl EnrolmentDoor {
    pub fn new(members: watch::Receiver<Arc<Membership>>, governance: VerifyingKey, file: RosterFile) -> Self {
        Self {
            members,
            governance,
            file,
            inside: Mutex::default(),
            rates: RateLimiter::keyed(Quota::per_minute(CALLS_A_MINUTE)),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call of this network more, if it has not made too many.
    fn allowed<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let from = info.and_then(|info| info.get_ref().remote_addr());
        let from = from.ok_or_else(|| fault(&"a connection without an address"))?;
        if self.rates.len() > 10_000 {
            self.rates.retain_recent();
        }
        self.rates.check_key(&network(from.ip())).map_err(|until| {
            metrics::limited(codes::ENROLMENT_FULL);
            let text = format!("more than {CALLS_A_MINUTE} calls a minute from one network");
            let refusal = Refusal::new(codes::ENROLMENT_FULL, text).remedy("wait a minute");
            let retry = until.wait_time_from(self.rates.clock().now());
            later(&Later { refusal, retry })
        })
    }

    /// Writes a newer roster where a restart finds it, and waits until it is in force. An older one, or the same, changes nothing.
    async fn adopt(&self, signed: &SignedRoster) -> Result<(), Status> {
        let refused = |text: String| status(&Refusal::new(codes::ROSTER, text));
        let roster = signed
            .verify(&self.governance)
            .map_err(|error| refused(error.to_string()))?;
        let current = self.members.borrow().clone();
        let own = &current.roster.coordinator.id;
        if roster.coordinator.id != *own {
            let text = format!(
                "the roster names coordinator `{}`, this is `{own}`",
                roster.coordinator.id
            );
            return Err(refused(text));
        }
        if signed.hash() == current.signed.hash() {
            return Ok(());
        }
        roster
            .supersedes(&current.roster)
            .map_err(|error| refused(error.to_string()))?;
        self.file.write(signed).map_err(|error| fault(&error))?;
        let mut members = self.members.clone();
        let adopted = members.wait_for(|members| members.roster.version >= roster.version);
        match timeout(ADOPTION, adopted).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(status(&Refusal::new(
                codes::ROSTER_WAITS,
                "the roster is on disk and not adopted yet; ask again",
            ))),
        }
    }
}

#[tonic::async_trait]
impl Enrolment for EnrolmentDoor {
    async fn park(&self, request: Request<v1::Application>) -> Result<Response<v1::Parked>, Status> {
        self.allowed(&request)?;
        let document = request.into_inner().document;
        if document.len() > MAX_APPLICATION {
            let text = format!(
                "application of {} bytes: expected at most {MAX_APPLICATION}",
                document.len()
            );
            return Err(malformed(&text));
        }
        let asked: Asked =
            serde_json::from_slice(&document).map_err(|error| malformed(&format!("malformed application: {error}")))?;
        let (members, now_ms) = (self.members.borrow().clone(), now_ms());
        let authority = asked
            .authority(&self.governance, &members.roster, now_ms)
            .map_err(|error| {
                let (code, remedy) = error.code();
                status(&Refusal::new(code, error.to_string()).remedy(remedy))
            })?;
        let parked = self.inside().mailbox.park(asked, authority, now_ms);
        let id = parked.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(v1::Parked {
            id: id.0.to_vec().into(),
        }))
    }

    async fn collect(&self, request: Request<v1::CollectRequest>) -> Result<Response<v1::Collected>, Status> {
        self.allowed(&request)?;
        let id: [u8; 32] = request.into_inner().id[..]
            .try_into()
            .map_err(|_| malformed(&"mismatched length of id: expected 32 bytes"))?;
        let inside = self.inside();
        let answer = inside.mailbox.answer(&ContentHash(id));
        let answer = answer.ok_or_else(|| {
            let text = "no such request here: send it again";
            status(&Refusal::new(codes::UNKNOWN_LETTER, text))
        })?;
        let answer = match answer.cloned() {
            None => collected::Answer::Waiting(v1::Waiting {}),
            Some(Answer::Approved { approval }) => collected::Answer::Approval(approval),
            Some(Answer::Refused { code, message, remedy }) => collected::Answer::Refused(v1::Refused {
                code,
                message,
                remedy: Some(remedy),
            }),
        };
        Ok(Response::new(v1::Collected { answer: Some(answer) }))
    }

    async fn call(&self, request: Request<v1::SignedCall>) -> Result<Response<v1::CallAnswer>, Status> {
        self.allowed(&request)?;
        let v1::SignedCall { body, signature } = request.into_inner();
        let signature = signature.to_vec();
        let coordinator = self.members.borrow().roster.coordinator.id.clone();
        let call = {
            let mut inside = self.inside();
            let call = SignedCall { body, signature }
                .verify(&self.governance, &coordinator, now_ms(), inside.last_call_ms)
                .map_err(|error| {
                    let refusal = Refusal::new(codes::NOT_GOVERNANCE, error.to_string());
                    status(&refusal.remedy("call with this consortium's governance key, and compare the clocks"))
                })?;
            inside.last_call_ms = call.at_ms;
            call
        };
        let mut applications = Vec::new();
        match call.ask {
            Ask::Waiting => {
                for asked in self.inside().mailbox.waiting() {
                    let document = serde_json::to_vec(asked).map_err(|error| fault(&error))?;
                    applications.push(v1::Application {
                        document: document.into(),
                    });
                }
            }
            Ask::Roster { roster } => self.adopt(&roster).await?,
            Ask::Answer {
                application,
                answer,
                roster,
            } => {
                // The newcomer may dial as soon as it has its answer, so the roster comes first.
                if let Some(roster) = roster {
                    self.adopt(&roster).await?;
                }
                if !self.inside().mailbox.close(&application, answer) {
                    tracing::info!("an answer to a request that is no longer here");
                }
            }
        }
        let roster_version = self.members.borrow().roster.version;
        Ok(Response::new(v1::CallAnswer {
            applications,
            roster_version,
        }))
    }
}
