//! Analysts' calls. The caller is its certificate's; a request must also be signed by that analyst, and every participant
//! checks that signature again.

use std::sync::Arc;

use engine::JobId;
use governance::act::By;
use governance::{RequestError, SignedMove, SignedRequest, SignedTrial};
use proto::analysts::job_id;
use proto::identity::{Peer, Role, peer};
use proto::v1;
use proto::v1::analysts_server::Analysts;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::admission::Admission;
use super::answers;
use super::catalogue::{self, Caller};
use super::refusal::{later, malformed, not_own, status};
use crate::driver::{Desk, Driver, Event, now_ms};
use crate::gate::Call;
use crate::jobs::{Following, News};
use crate::roster::Membership;

/// Releases in one answer, unless the caller says how many.
const RELEASES: u32 = 100;
const MOST_RELEASES: u32 = 1000;

/// The service that analysts call.
pub struct AnalystsDoor {
    driver: Driver,
    admission: Admission,
}

impl AnalystsDoor {
    pub fn new(driver: Driver, admission: Admission) -> Self {
        Self { driver, admission }
    }
}

/// Whether what verified is the caller's own word.
fn own(analyst: &str, verified: Result<governance::Request, RequestError>) -> Result<(), Status> {
    let signed = verified.map_err(|error| {
        let refusal = engine::Refusal::new(engine::codes::BAD_REQUEST, error.to_string());
        status(&refusal.remedy("`sotto doctor` compares clocks and keys"))
    })?;
    if signed.analyst == analyst {
        return Ok(());
    }
    let text = format!(
        "mismatched analyst: signed by `{}`, sent by `{analyst}`",
        signed.analyst
    );
    Err(not_own(text))
}

#[tonic::async_trait]
impl Analysts for AnalystsDoor {
    async fn submit(&self, request: Request<v1::SignedRequest>) -> Result<Response<v1::Submitted>, Status> {
        let By {
            id: analyst,
            organisation,
            ..
        } = self.admission.analyst(&request, Call::Submit)?;
        let signed = SignedRequest::try_from(request.into_inner()).map_err(|error| malformed(&error))?;
        let members = self.admission.members.borrow().clone();
        own(&analyst, signed.verify(&members.roster, now_ms()))?;
        let kept = self.admission.gate.keeps(&organisation, signed.body.len());
        kept.map_err(|refused| later(&refused))?;
        let submitted = self.driver.ask(|reply| Event::Submit { signed, reply }).await?;
        let job = submitted.map_err(|refusal| status(&refusal))?;
        let look = move |desk: &Desk<'_>| answers::release(desk, &job, &analyst);
        let repeated = self.admission.read(&self.driver, &organisation, look).await?;
        Ok(Response::new(v1::Submitted {
            job_id: job.to_string(),
            repeated_release: repeated,
        }))
    }

    type WatchStream = ReceiverStream<Result<v1::JobEvent, Status>>;

    async fn watch(&self, request: Request<v1::JobRef>) -> Result<Response<Self::WatchStream>, Status> {
        let peer = peer(&request)?;
        let analyst = self.admission.analyst(&request, Call::Read)?.id;
        let job = job_id(request.into_inner().job_id).map_err(|error| malformed(&error))?;
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
            members: self.admission.members.clone(),
            peer,
            job,
            events,
        };
        tokio::spawn(watcher.follow(following));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn cancel(&self, request: Request<v1::JobRef>) -> Result<Response<v1::Cancelled>, Status> {
        let analyst = self.admission.analyst(&request, Call::Read)?.id;
        let job = job_id(request.into_inner().job_id).map_err(|error| malformed(&error))?;
        let cancelled = self.driver.ask(|reply| Event::Cancel { job, analyst, reply }).await?;
        cancelled.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(v1::Cancelled {}))
    }

    async fn get_request(&self, request: Request<v1::JobRef>) -> Result<Response<v1::SignedRequest>, Status> {
        let caller = self.admission.analyst(&request, Call::Read)?;
        let job = job_id(request.into_inner().job_id).map_err(|error| malformed(&error))?;
        let look = move |desk: &Desk<'_>| answers::request(desk, &job, &caller.id);
        let found = self.admission.read(&self.driver, &caller.organisation, look).await?;
        found
            .map(Response::new)
            .ok_or_else(|| status(&answers::unknown_job(&job)))
    }

    async fn explain(&self, request: Request<v1::SignedTrial>) -> Result<Response<v1::Explained>, Status> {
        let analyst = self.admission.analyst(&request, Call::Read)?.id;
        let signed = SignedTrial::try_from(request.into_inner()).map_err(|error| malformed(&error))?;
        let members = self.admission.members.borrow().clone();
        own(&analyst, signed.verify(&members.roster, now_ms()))?;
        let explained = self.driver.ask(|reply| Event::Explain { signed, reply }).await?;
        let explained = explained.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(answers::explained(explained, &members.roster)))
    }

    async fn list_releases(&self, request: Request<v1::ListReleasesRequest>) -> Result<Response<v1::Releases>, Status> {
        let caller = self.admission.analyst(&request, Call::Read)?;
        let limit = match request.into_inner().limit {
            0 => RELEASES,
            limit => limit.min(MOST_RELEASES),
        };
        let look = move |desk: &Desk<'_>| answers::releases(desk, &caller.id, limit as usize);
        let releases = self.admission.read(&self.driver, &caller.organisation, look).await?;
        Ok(Response::new(v1::Releases { releases }))
    }

    async fn get_release(&self, request: Request<v1::ReleaseRef>) -> Result<Response<v1::Release>, Status> {
        let caller = self.admission.analyst(&request, Call::Read)?;
        let job = job_id(request.into_inner().id).map_err(|error| malformed(&error))?;
        let look = move |desk: &Desk<'_>| answers::release_or_why_not(desk, &job, &caller.id);
        let release = self.admission.read(&self.driver, &caller.organisation, look).await?;
        release.map(Response::new).map_err(|refusal| status(&refusal))
    }

    async fn list_models(&self, request: Request<v1::ListModelsRequest>) -> Result<Response<v1::Models>, Status> {
        let caller = self.admission.analyst(&request, Call::Read)?;
        let look = move |desk: &Desk<'_>| answers::models(desk, &caller.id);
        let models = self.admission.read(&self.driver, &caller.organisation, look).await?;
        Ok(Response::new(models))
    }

    async fn move_model(&self, request: Request<v1::SignedMove>) -> Result<Response<v1::Models>, Status> {
        let By {
            id: analyst,
            organisation,
            ..
        } = self.admission.analyst(&request, Call::Read)?;
        let signed = SignedMove::from(request.into_inner());
        // The engine verifies the signature; here it is only whose move this is.
        let wanted = signed.read().map_err(|error| malformed(&error))?;
        if wanted.analyst != analyst {
            return Err(not_own(format!("the move is not one of `{analyst}`")));
        }
        let moved = self.driver.ask(|reply| Event::Move { signed, reply }).await?;
        moved.map_err(|refusal| status(&refusal))?;
        let look = move |desk: &Desk<'_>| answers::models(desk, &analyst);
        let models = self.admission.read(&self.driver, &organisation, look).await?;
        Ok(Response::new(models))
    }

    async fn list_datasets(&self, request: Request<v1::ListDatasetsRequest>) -> Result<Response<v1::Datasets>, Status> {
        let by = self.admission.person(&request, Call::Read)?;
        let (organisation, caller) = (by.organisation.clone(), Caller::from(by));
        let look = move |desk: &Desk<'_>| catalogue::datasets(desk, &caller);
        let datasets = self.admission.read(&self.driver, &organisation, look).await?;
        Ok(Response::new(datasets))
    }

    async fn list_participants(
        &self,
        request: Request<v1::ListParticipantsRequest>,
    ) -> Result<Response<v1::Participants>, Status> {
        let by = self.admission.person(&request, Call::Read)?;
        let (organisation, caller) = (by.organisation.clone(), Caller::from(by));
        let look = move |desk: &Desk<'_>| catalogue::participants(desk, &caller);
        let participants = self.admission.read(&self.driver, &organisation, look).await?;
        Ok(Response::new(v1::Participants { participants }))
    }

    type ReadLogStream = ReceiverStream<Result<v1::LogPage, Status>>;

    async fn read_log(&self, request: Request<v1::ReadLogRequest>) -> Result<Response<Self::ReadLogStream>, Status> {
        let caller = self.admission.person(&request, Call::Read)?;
        let v1::ReadLogRequest { from, to } = request.into_inner();
        // Before anything is read: a caller that goes away meanwhile leaves nothing behind.
        while let Some(wait) = self.admission.gate.page(&caller.organisation) {
            tokio::time::sleep(wait).await;
        }
        let look = move |desk: &Desk<'_>| answers::log_page(desk, from, to);
        let first = self.admission.read(&self.driver, &caller.organisation, look).await?;
        let (page, next, end) = first.ok_or_else(|| {
            status(
                &engine::Refusal::new(engine::codes::NO_QUORUM, "no checkpoint of the log has a quorum yet")
                    .remedy("`sotto participant` shows which witnesses are missing"),
            )
        })?;
        let (pages, stream) = mpsc::channel(2);
        let reader = LogReader {
            driver: self.driver.clone(),
            admission: self.admission.clone(),
            organisation: caller.organisation,
            pages,
        };
        tokio::spawn(reader.follow(page, next, end));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_usage(&self, request: Request<v1::GetUsageRequest>) -> Result<Response<v1::Usage>, Status> {
        let caller = self.admission.person(&request, Call::Read)?;
        let organisation = caller.organisation.clone();
        let look = move |desk: &Desk<'_>| answers::usage(desk, &caller);
        let usage = self.admission.read(&self.driver, &organisation, look).await?;
        Ok(Response::new(usage))
    }

    async fn get_status(&self, request: Request<v1::GetStatusRequest>) -> Result<Response<v1::Status>, Status> {
        let organisation = self.admission.person(&request, Call::Read)?.organisation;
        let signed = self.admission.members.borrow().signed.clone();
        let asked = organisation.clone();
        let look = move |desk: &Desk<'_>| answers::status(desk, signed, &asked);
        let status = self.admission.read(&self.driver, &organisation, look).await?;
        Ok(Response::new(status))
    }
}

/// One caller's stream of the log: no faster than its organisation's share.
struct LogReader {
    driver: Driver,
    admission: Admission,
    organisation: String,
    pages: mpsc::Sender<Result<v1::LogPage, Status>>,
}

impl LogReader {
    /// Sends a page, and those after it up to `end`: the first one's checkpoint stands for all.
    async fn follow(self, first: v1::LogPage, mut next: u64, end: u64) {
        let mut page = first;
        loop {
            // A reader that went away can read again.
            if self.pages.send(Ok(page)).await.is_err() || next >= end {
                return;
            }
            while let Some(wait) = self.admission.gate.page(&self.organisation) {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.pages.closed() => return,
                }
            }
            let from = next;
            let look = move |desk: &Desk<'_>| answers::log_page(desk, from, Some(end));
            let read = self.admission.read(&self.driver, &self.organisation, look).await;
            let Ok(Some((mut following, after, _))) = read else {
                return;
            };
            following.checkpoint.clear();
            following.rosters.clear();
            (page, next) = (following, after);
        }
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
            (Ok(()), Ok(None) | Err(_)) => {
                let text = "the coordinator stopped before the job ended; watch it again";
                Err(status(&engine::Refusal::new(engine::codes::STOPPING, text)))
            }
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
