//! Analysts' calls. The caller is its certificate's; a request must also be signed by that analyst, and every participant
//! checks that signature again.

use std::sync::Arc;

use engine::JobId;
use governance::{SignedMove, SignedRequest, SignedTrial};
use proto::Malformed;
use proto::analysts::job_id;
use proto::identity::{Peer, Role, peer};
use proto::v1;
use proto::v1::analysts_server::Analysts;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::answers;
use super::catalogue::{self, Caller};
use super::refusal::status;
use crate::driver::{Driver, Event, now_ms};
use crate::jobs::{Following, News};
use crate::roster::Membership;

/// Releases in one answer, unless the caller says how many.
const RELEASES: u32 = 100;
const MOST_RELEASES: u32 = 1000;

/// The service that analysts call.
pub struct AnalystsDoor {
    driver: Driver,
    members: watch::Receiver<Arc<Membership>>,
}

impl AnalystsDoor {
    pub fn new(driver: Driver, members: watch::Receiver<Arc<Membership>>) -> Self {
        Self { driver, members }
    }

    /// The calling analyst's name.
    fn caller<T>(&self, request: &Request<T>) -> Result<String, Status> {
        let members = self.members.borrow().clone();
        Ok(peer(request)?.enrolled_as(Role::Analyst, &members.roster)?.name)
    }

    /// The calling analyst, or the organisation that a calling steward speaks for: both may read the catalogue.
    fn reader<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let peer = peer(request)?;
        if peer.role != Role::Steward {
            return Ok(Caller::Analyst(self.caller(request)?));
        }
        let members = self.members.borrow().clone();
        let name = peer.enrolled_as(Role::Steward, &members.roster)?.name;
        let steward = members.roster.steward(&name);
        let steward = steward.ok_or_else(|| Status::permission_denied(format!("`{name}` is not in the roster")))?;
        Ok(Caller::Steward(steward.organisation.clone()))
    }
}

#[tonic::async_trait]
impl Analysts for AnalystsDoor {
    async fn submit(&self, request: Request<v1::SignedRequest>) -> Result<Response<v1::Submitted>, Status> {
        let analyst = self.caller(&request)?;
        let signed = SignedRequest::try_from(request.into_inner()).map_err(malformed)?;
        let members = self.members.borrow().clone();
        let signer = signed.verify(&members.roster, now_ms()).map_err(|error| {
            status(
                &engine::Refusal::new(engine::codes::BAD_REQUEST, error.to_string())
                    .remedy("`sotto doctor` compares clocks and keys"),
            )
        })?;
        if signer.analyst != analyst {
            let text = format!(
                "mismatched analyst: signed by `{}`, sent by `{analyst}`",
                signer.analyst
            );
            return Err(Status::permission_denied(text));
        }
        let submitted = self.driver.ask(|reply| Event::Submit { signed, reply }).await?;
        let job = submitted.map_err(|refusal| status(&refusal))?;
        let repeated = self
            .driver
            .read(move |desk| answers::release(desk, &job, &analyst))
            .await?;
        Ok(Response::new(v1::Submitted {
            job_id: job.to_string(),
            repeated_release: repeated,
        }))
    }

    type WatchStream = ReceiverStream<Result<v1::JobEvent, Status>>;

    async fn watch(&self, request: Request<v1::JobRef>) -> Result<Response<Self::WatchStream>, Status> {
        let peer = peer(&request)?;
        let analyst = self.caller(&request)?;
        let job = job_id(request.into_inner().job_id).map_err(malformed)?;
        let asked = analyst.clone();
        let following = self
            .driver
            .ask(|reply| Event::Watch {
                job,
                analyst: asked,
                reply,
            })
            .await?;
        let following = following.ok_or_else(|| status(&answers::unknown_job(&job)))?;
        let (events, stream) = mpsc::channel(4);
        let watcher = Watcher {
            driver: self.driver.clone(),
            members: self.members.clone(),
            peer,
            job,
            events,
        };
        tokio::spawn(watcher.follow(following));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn cancel(&self, request: Request<v1::JobRef>) -> Result<Response<v1::Cancelled>, Status> {
        let analyst = self.caller(&request)?;
        let job = job_id(request.into_inner().job_id).map_err(malformed)?;
        let cancelled = self.driver.ask(|reply| Event::Cancel { job, analyst, reply }).await?;
        cancelled.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(v1::Cancelled {}))
    }

    async fn explain(&self, request: Request<v1::SignedTrial>) -> Result<Response<v1::Explained>, Status> {
        let analyst = self.caller(&request)?;
        let signed = SignedTrial::try_from(request.into_inner()).map_err(malformed)?;
        let members = self.members.borrow().clone();
        let signer = signed.verify(&members.roster, now_ms()).map_err(|error| {
            status(
                &engine::Refusal::new(engine::codes::BAD_REQUEST, error.to_string())
                    .remedy("`sotto doctor` compares clocks and keys"),
            )
        })?;
        if signer.analyst != analyst {
            let text = format!(
                "mismatched analyst: signed by `{}`, sent by `{analyst}`",
                signer.analyst
            );
            return Err(Status::permission_denied(text));
        }
        let explained = self.driver.ask(|reply| Event::Explain { signed, reply }).await?;
        let explained = explained.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(answers::explained(explained, &members.roster)))
    }

    async fn list_releases(&self, request: Request<v1::ListReleasesRequest>) -> Result<Response<v1::Releases>, Status> {
        let analyst = self.caller(&request)?;
        let limit = match request.into_inner().limit {
            0 => RELEASES,
            limit => limit.min(MOST_RELEASES),
        };
        let read = self
            .driver
            .read(move |desk| answers::releases(desk, &analyst, limit as usize));
        Ok(Response::new(v1::Releases { releases: read.await? }))
    }

    async fn get_release(&self, request: Request<v1::ReleaseRef>) -> Result<Response<v1::Release>, Status> {
        let analyst = self.caller(&request)?;
        let job = job_id(request.into_inner().id).map_err(malformed)?;
        let release = self
            .driver
            .read(move |desk| answers::release(desk, &job, &analyst))
            .await?;
        release
            .map(Response::new)
            .ok_or_else(|| status(&answers::unknown_job(&job)))
    }

    async fn list_models(&self, request: Request<v1::ListModelsRequest>) -> Result<Response<v1::Models>, Status> {
        let analyst = self.caller(&request)?;
        let models = self.driver.read(move |desk| answers::models(desk, &analyst)).await?;
        Ok(Response::new(models))
    }

    async fn move_model(&self, request: Request<v1::SignedMove>) -> Result<Response<v1::Models>, Status> {
        let analyst = self.caller(&request)?;
        let signed = SignedMove::from(request.into_inner());
        // The engine verifies the signature; here it is only whose move this is.
        let named = signed.read().map(|wanted| wanted.analyst);
        if named.as_ref().ok() != Some(&analyst) {
            return Err(Status::permission_denied(format!("the move is not one of `{analyst}`")));
        }
        let moved = self.driver.ask(|reply| Event::Move { signed, reply }).await?;
        moved.map_err(|refusal| status(&refusal))?;
        let models = self.driver.read(move |desk| answers::models(desk, &analyst)).await?;
        Ok(Response::new(models))
    }

    async fn list_datasets(&self, request: Request<v1::ListDatasetsRequest>) -> Result<Response<v1::Datasets>, Status> {
        let caller = self.reader(&request)?;
        let datasets = self.driver.read(move |desk| catalogue::datasets(desk, &caller)).await?;
        Ok(Response::new(datasets))
    }

    async fn list_participants(
        &self,
        request: Request<v1::ListParticipantsRequest>,
    ) -> Result<Response<v1::Participants>, Status> {
        let caller = self.reader(&request)?;
        let participants = self
            .driver
            .read(move |desk| catalogue::participants(desk, &caller))
            .await?;
        Ok(Response::new(v1::Participants { participants }))
    }

    type ReadLogStream = ReceiverStream<Result<v1::LogPage, Status>>;

    async fn read_log(&self, request: Request<v1::ReadLogRequest>) -> Result<Response<Self::ReadLogStream>, Status> {
        self.caller(&request)?;
        let v1::ReadLogRequest { from, to } = request.into_inner();
        let first = self.driver.read(move |desk| answers::log_page(desk, from, to)).await?;
        let (page, next, end) = first.ok_or_else(|| {
            status(
                &engine::Refusal::new(engine::codes::NO_QUORUM, "no checkpoint of the log has a quorum yet")
                    .remedy("`sotto participant` shows which witnesses are missing"),
            )
        })?;
        let (pages, stream) = mpsc::channel(2);
        tokio::spawn(pages_of(self.driver.clone(), page, next, end, pages));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_status(&self, request: Request<v1::GetStatusRequest>) -> Result<Response<v1::Status>, Status> {
        self.reader(&request)?;
        let signed = self.members.borrow().signed.clone();
        let status = self.driver.read(|desk| answers::status(desk, signed)).await?;
        Ok(Response::new(status))
    }
}

/// Sends a page, and those after it up to `end`: the first one's checkpoint stands for all.
async fn pages_of(
    driver: Driver,
    first: v1::LogPage,
    mut next: u64,
    end: u64,
    pages: mpsc::Sender<Result<v1::LogPage, Status>>,
) {
    let mut page = first;
    loop {
        // A reader that went away can read again.
        if pages.send(Ok(page)).await.is_err() || next >= end {
            return;
        }
        let from = next;
        let read = driver.read(move |desk| answers::log_page(desk, from, Some(end))).await;
        let Ok(Some((mut following, after, _))) = read else {
            return;
        };
        following.checkpoint.clear();
        following.rosters.clear();
        (page, next) = (following, after);
    }
}

/// One analyst's stream about one job.
struct Watcher {
    driver: Driver,
    members: watch::Receiver<Arc<Membership>>,
    peer: Peer,
    job: JobId,
    events: mpsc::Sender<Result<v1::JobEvent, Status>>,
}

impl Watcher {
    /// Passes news on until the job ends, then its end; or until the roster no longer holds this analyst with this key.
    async fn follow(mut self, following: Following) {
        if let Following::Open(mut news) = following {
            loop {
                if let Err(status) = self.still_enrolled() {
                    return self.tell(Err(status)).await;
                }
                let latest: News = news.borrow_and_update().clone();
                if self.events.send(Ok(answers::progress(latest))).await.is_err() {
                    return;
                }
                let mut members = self.members.clone();
                tokio::select! {
                    changed = news.changed() => if changed.is_err() { break },
                    // An error here means that the server ends; the news end with it.
                    Ok(()) = members.changed() => self.members = members,
                    () = self.events.closed() => return,
                }
            }
        }
        let (job, analyst) = (self.job, self.peer.name.clone());
        let ending = self
            .driver
            .read(move |desk| answers::ending(desk, &job, &analyst))
            .await;
        let last = match (self.still_enrolled(), ending) {
            (Err(status), _) => Err(status),
            (Ok(()), Ok(Some(ending))) => Ok(ending),
            (Ok(()), Ok(None) | Err(_)) => Err(Status::unavailable(
                "the coordinator stopped before the job ended; watch it again",
            )),
        };
        self.tell(last).await;
    }

    /// As at the stream's beginning, by the roster of now.
    fn still_enrolled(&self) -> Result<(), Status> {
        let members = self.members.borrow().clone();
        self.peer.clone().enrolled_as(Role::Analyst, &members.roster)?;
        Ok(())
    }

    async fn tell(&self, last: Result<v1::JobEvent, Status>) {
        // A watcher that went away can watch again.
        let _ = self.events.send(last).await;
    }
}

fn malformed(error: Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}
