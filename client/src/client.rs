//! One analyst's connection to the coordinator. Everything that decides over data is signed here with the analyst's key;
//! the coordinator only carries it. A call costs one round trip; `watch` streams.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use governance::{ContentHash, Request, SignedMove, SignedRequest, SigningKey};
use proto::identity::{Identity, OTHER_COORDINATOR, Pinned, TlsError, Unnamed, succession};
use proto::printable;
use proto::refusal::{CODE, REMEDY, RETRY_MS};
use proto::v1;
use proto::v1::analysts_client::AnalystsClient;
use proto::v1::register_client::RegisterClient;
use tonic::transport::{Channel, Endpoint};

use crate::audit::{KeptRelease, LogRead};
use crate::datasets::{Catalogue, Dataset};
use crate::enroll::adopt;
use crate::released::{Released, unreadable};
use crate::train::registry::Models;
use crate::{Exit, Problem};

/// How long a connection may take before it counts as refused.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a call other than `watch` may take.
const CALL: Duration = Duration::from_secs(30);
/// The longest that a call which came too early waits for its second turn.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The largest answer that is read: a table of a million cells.
const LARGEST: usize = 64 << 20;

/// A connected analyst, or a steward.
pub struct Client {
    pub(crate) rpc: AnalystsClient<Channel>,
    pub(crate) decisions: RegisterClient<Channel>,
    identity: Identity,
    address: String,
}

/// What is to be asked. The task is the workload's own canonical JSON.
#[derive(Clone, Debug)]
pub struct Question {
    pub dataset: String,
    pub contract: ContentHash,
    pub purpose: String,
    pub kind: String,
    pub task: String,
    pub epsilon: f64,
    pub delta: f64,
    pub max_attempts: u32,
    pub valid_for: Duration,
}

/// What became of a submission.
#[derive(Debug)]
pub struct Submitted {
    pub job: String,
    /// The same question was answered before: this is that answer, at no cost.
    pub repeated: Option<Box<Released>>,
}

/// News of a job.
#[derive(Debug)]
pub enum Event {
    Progress(v1::Progress),
    Released(Box<Released>),
    Failed(Problem),
}

impl Client {
    /// Connects over mutual TLS and expects the coordinator that the signed roster names, with the key that it names. One with another key is
    /// asked once for a newer roster, which is installed if governance signed it and it names that key.
    pub async fn connect(address: &str, identity: Identity) -> Result<Self, Problem> {
        let unreachable = |error: tonic::transport::Error| {
            Problem::new(
                Exit::Unreachable,
                "SOTTO-7201",
                format!("no connection to {address}: {}", chain(&error)),
            )
            .remedy("`sotto doctor` says whether it is the address, the certificate or the clock")
        };
        let endpoint = Endpoint::from_shared(format!("https://{address}")).map_err(|error| {
            Problem::usage(format!("`{address}` is not an address: {error}")).remedy("write host:port")
        })?;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(CALL);
        let tls = |error: TlsError| Problem::local("TLS", error);
        let pinned = Pinned::to_coordinator(&identity, &identity.roster).map_err(tls)?;
        let dialled = pinned.at(endpoint.clone(), &identity).map_err(unreachable)?;
        let (channel, identity) = match (dialled.connect().await, pinned.unnamed()) {
            (Ok(channel), _) => (channel, identity),
            (Err(error), None) => return Err(unreachable(error)),
            (Err(_), Some(shown)) => {
                let hears = Pinned::to_hear_of(&identity, &identity.roster, shown).map_err(tls)?;
                let dialled = hears.at(endpoint.clone(), &identity).map_err(unreachable)?;
                let heard = dialled.connect().await.map_err(unreachable)?;
                let identity = succeeded(identity, shown, heard).await?;
                let pinned = Pinned::to_coordinator(&identity, &identity.roster).map_err(tls)?;
                let dialled = pinned.at(endpoint, &identity).map_err(unreachable)?;
                (dialled.connect().await.map_err(unreachable)?, identity)
            }
        };
        let decisions = RegisterClient::new(channel.clone()).max_decoding_message_size(LARGEST);
        let rpc = AnalystsClient::new(channel).max_decoding_message_size(LARGEST);
        Ok(Self {
            rpc,
            decisions,
            identity,
            address: address.to_owned(),
        })
    }

    /// Dials anew after a lost connection: the coordinator's key may have been replaced meanwhile. If that fails everything stays as it was.
    pub(crate) async fn dial_again(&mut self) -> Result<(), Problem> {
        let identity = Identity::load(self.identity.directory());
        let identity = identity.map_err(|error| Problem::local("identity", error))?;
        *self = Self::connect(&self.address, identity).await?;
        Ok(())
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Signs a question. Fresh randomness makes two equal questions two requests.
    pub fn sign(&self, question: Question) -> Result<SignedRequest, Problem> {
        self.request(question)?
            .sign(&self.signing_key()?)
            .map_err(|error| Problem::new(Exit::Refused, "SOTTO-7301", error.to_string()))
    }

    pub(crate) fn request(&self, question: Question) -> Result<Request, Problem> {
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Problem::local("nonce", "no randomness from the system"))?;
        let now_ms = now_ms();
        Ok(Request {
            nonce: ContentHash(nonce),
            analyst: self.identity.member.name.clone(),
            dataset: question.dataset,
            contract: question.contract,
            purpose: question.purpose,
            kind: question.kind,
            task: question.task,
            epsilon: question.epsilon,
            delta: question.delta,
            max_attempts: question.max_attempts,
            issued_at_ms: now_ms,
            expires_at_ms: now_ms + question.valid_for.as_millis() as u64,
        })
    }

    pub(crate) fn signing_key(&self) -> Result<SigningKey, Problem> {
        SigningKey::from_seed(self.identity.signing_seed()).map_err(|e| Problem::local("signing key", e))
    }

    pub async fn submit(&mut self, request: SignedRequest) -> Result<Submitted, Problem> {
        let submitted = self
            .rpc
            .submit(timed((&request).into()))
            .await
            .map_err(refused)?
            .into_inner();
        let repeated = submitted
            .repeated_release
            .map(|release| self.read(release).map(|released| Box::new(released.again())))
            .transpose()?;
        Ok(Submitted {
            job: submitted.job_id,
            repeated,
        })
    }

    /// Follows a job to its end. After a lost connection it can be called again.
    pub async fn watch(&mut self, job: &str) -> Result<Watch<'_>, Problem> {
        let job = v1::JobRef { job_id: job.to_owned() };
        let events = patiently(&self.rpc, |mut rpc| {
            let job = job.clone();
            async move { rpc.watch(job).await }
        })
        .await?;
        Ok(Watch { client: self, events })
    }

    pub async fn cancel(&mut self, job: &str) -> Result<(), Problem> {
        let job = v1::JobRef { job_id: job.to_owned() };
        self.rpc.cancel(timed(job)).await.map(drop).map_err(refused)
    }

    /// What was signed for a job of this analyst's, open or ended. A job is named by its request, so these are the very words.
    pub async fn asked(&mut self, job: &str) -> Result<Request, Problem> {
        let wanted = v1::JobRef { job_id: job.to_owned() };
        let found = patiently(&self.rpc, |mut rpc| {
            let wanted = wanted.clone();
            async move { rpc.get_request(timed(wanted)).await }
        });
        let signed = SignedRequest::try_from(found.await?).map_err(unreadable)?;
        if engine::JobId::of(&signed.hash().0).to_string() != job {
            return Err(unreadable("the coordinator answered with the words of another job"));
        }
        serde_json::from_slice(&signed.body).map_err(unreadable)
    }

    /// How a job stands: the first thing that the coordinator says of it.
    pub async fn standing(&mut self, job: &str) -> Result<Option<Event>, Problem> {
        self.watch(job).await?.next().await
    }

    /// Waits for the release of a job of any kind.
    pub async fn released(&mut self, job: &str) -> Result<Box<Released>, Problem> {
        let mut events = self.watch(job).await?;
        loop {
            match events.next().await? {
                Some(Event::Released(released)) => return Ok(released),
                Some(Event::Failed(problem)) => return Err(problem),
                Some(Event::Progress(_)) => {}
                None => {
                    let message = format!("the coordinator closed the stream of job {job}");
                    return Err(Problem::new(Exit::Unreachable, "SOTTO-7203", message).remedy("watch the job again"));
                }
            }
        }
    }

    /// Earlier answers, newest first.
    pub async fn releases(&mut self, limit: u32) -> Result<Vec<Released>, Problem> {
        let found = patiently(&self.rpc, |mut rpc| async move {
            rpc.list_releases(timed(v1::ListReleasesRequest { limit })).await
        });
        found
            .await?
            .releases
            .into_iter()
            .map(|release| self.read(release))
            .collect()
    }

    async fn stored(&self, id: &str) -> Result<v1::Release, Problem> {
        patiently(&self.rpc, |mut rpc| {
            let id = v1::ReleaseRef { id: id.to_owned() };
            async move { rpc.get_release(timed(id)).await }
        })
        .await
    }

    pub async fn release(&mut self, id: &str) -> Result<Released, Problem> {
        let release = self.stored(id).await?;
        self.read(release)
    }

    /// This analyst's registry of models.
    pub async fn models(&mut self) -> Result<Models, Problem> {
        patiently(&self.rpc, |mut rpc| async move {
            rpc.list_models(timed(v1::ListModelsRequest {})).await
        })
        .await?
        .try_into()
    }

    /// Makes one signed move of a model.
    pub(crate) async fn move_model(&mut self, signed: SignedMove) -> Result<Models, Problem> {
        let request = timed(v1::SignedMove::from(signed));
        self.rpc
            .move_model(request)
            .await
            .map_err(refused)?
            .into_inner()
            .try_into()
    }

    /// Every version of every dataset that this analyst may read, and what is listed only.
    pub async fn catalogue(&mut self) -> Result<Catalogue, Problem> {
        patiently(&self.rpc, |mut rpc| async move {
            rpc.list_datasets(timed(v1::ListDatasetsRequest {})).await
        })
        .await?
        .try_into()
    }

    pub async fn datasets(&mut self) -> Result<Vec<Dataset>, Problem> {
        Ok(self.catalogue().await?.datasets)
    }

    /// The dataset that `name` or `name@version` means.
    pub async fn dataset(&mut self, wanted: &str) -> Result<Dataset, Problem> {
        self.catalogue().await?.find(wanted).cloned()
    }

    pub async fn participants(&mut self) -> Result<Vec<v1::Participant>, Problem> {
        let found = patiently(&self.rpc, |mut rpc| async move {
            rpc.list_participants(timed(v1::ListParticipantsRequest {})).await
        });
        Ok(found.await?.participants)
    }

    /// The newest checkpoint with a quorum, and every leaf of the log up to it. Nothing of it is verified here.
    pub async fn read_log(&mut self) -> Result<LogRead, Problem> {
        let mut pages = patiently(&self.rpc, |mut rpc| async move {
            rpc.read_log(v1::ReadLogRequest { from: 0, to: None }).await
        })
        .await?;
        let mut read = LogRead::default();
        while let Some(page) = pages.message().await.map_err(refused)? {
            if read.checkpoint.is_empty() {
                read.checkpoint = page.checkpoint;
            }
            read.leaves.extend(page.leaves);
            let rosters = page.rosters.into_iter().map(governance::SignedRoster::try_from);
            read.rosters
                .extend(rosters.collect::<Result<Vec<_>, _>>().map_err(unreadable)?);
        }
        Ok(read)
    }

    /// A release with its proof, as a file that others can verify.
    pub async fn kept_release(&mut self, id: &str) -> Result<KeptRelease, Problem> {
        let release = self.stored(id).await?;
        let answer = proto::analysts::Answer::try_from(release).map_err(unreadable)?;
        Ok(KeptRelease::of(&answer))
    }

    pub async fn status(&mut self) -> Result<v1::Status, Problem> {
        patiently(&self.rpc, |mut rpc| async move {
            rpc.get_status(timed(v1::GetStatusRequest {})).await
        })
        .await
    }

    fn read(&self, release: v1::Release) -> Result<Released, Problem> {
        Released::read(release, &self.identity)
    }
}

/// The identity with the newer roster that a coordinator brings whose key the installed one does not name. What is written here once keeps the key
/// before from being believed again.
async fn succeeded(mut identity: Identity, shown: ContentHash, heard: Channel) -> Result<Identity, Problem> {
    let other = |error: Unnamed| {
        Problem::new(Exit::Unreachable, OTHER_COORDINATOR, error.to_string()).remedy(
            "if its key was replaced: install the newest roster.json of the governance holder; if not, somebody else has its certificate: tell them",
        )
    };
    let mut rpc = AnalystsClient::new(heard).max_decoding_message_size(LARGEST);
    let status = rpc.get_status(timed(v1::GetStatusRequest {})).await;
    // One that shows no roster has none that names its key.
    let brought = status.ok().and_then(|status| status.into_inner().roster);
    let brought = brought.and_then(|brought| governance::SignedRoster::try_from(brought).ok());
    let newer = succession(&identity.roster, &identity.governance, shown, brought.as_ref()).map_err(other)?;
    let signed_roster = brought.ok_or_else(|| Problem::local("roster", "none was brought"))?;
    adopt(&identity, &newer, &signed_roster)?;
    (identity.roster, identity.signed_roster) = (newer, signed_roster);
    Ok(identity)
}

/// The events of one job.
pub struct Watch<'a> {
    client: &'a Client,
    events: tonic::Streaming<v1::JobEvent>,
}

impl Watch<'_> {
    /// The next event; none when the coordinator closed the stream before the job's end.
    pub async fn next(&mut self) -> Result<Option<Event>, Problem> {
        use v1::job_event::Event as Wire;
        let Some(event) = self.events.message().await.map_err(refused)? else {
            return Ok(None);
        };
        match event.event {
            Some(Wire::Progress(progress)) => Ok(Some(Event::Progress(progress))),
            Some(Wire::Release(release)) => Ok(Some(Event::Released(Box::new(self.client.read(release)?)))),
            Some(Wire::Failure(failure)) => Ok(Some(Event::Failed(failed(failure)))),
            None => Ok(None),
        }
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64
}

fn failed(failure: v1::Failure) -> Problem {
    let charged = match failure.attempts_charged {
        0 => "nothing was charged".to_owned(),
        1 => "one attempt was charged to the participants' budgets".to_owned(),
        n => format!("{n} attempts were charged to the participants' budgets"),
    };
    // What cost nothing was refused, whoever refused it: scripts tell an exhausted budget from a broken round by this.
    let exit = if failure.attempts_charged == 0 {
        Exit::Refused
    } else {
        Exit::Failed
    };
    let refused = failure.refused.unwrap_or_default();
    let message = format!("{}; {charged}", printable(refused.message));
    let problem = Problem::new(exit, printable(refused.code), message).charged(failure.attempts_charged);
    problem.remedy(printable(refused.remedy.unwrap_or_default()))
}

/// Makes a call that changes nothing, and makes it once more where the coordinator says that it came too early and may come again soon.
/// What changes something is the person's to repeat.
pub(crate) async fn patiently<C: Clone, T, F>(client: &C, call: impl Fn(C) -> F) -> Result<T, Problem>
where
    F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let mut answered = call(client.clone()).await;
    if let Err(status) = &answered
        && let Some(wait) = comes_again(status)
    {
        tokio::time::sleep(wait).await;
        answered = call(client.clone()).await;
    }
    answered.map(tonic::Response::into_inner).map_err(refused)
}

/// How long to wait before a call is made again, if that is worth a person's patience.
fn comes_again(status: &tonic::Status) -> Option<Duration> {
    let told = status.metadata().get(RETRY_MS)?.to_str().ok()?;
    let wait = Duration::from_millis(told.parse().ok()?);
    (status.code() == tonic::Code::ResourceExhausted && wait <= LONGEST_WAIT).then_some(wait)
}

pub(crate) fn timed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL);
    request
}

/// A status as a problem: the coordinator's own refusals carry their code and remedy in the metadata.
pub(crate) fn refused(status: tonic::Status) -> Problem {
    use tonic::Code;
    let meta = |name: &str| {
        status
            .metadata()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(|value| printable(value.to_owned()))
            .unwrap_or_default()
    };
    let (exit, code) = match status.code() {
        Code::Unavailable | Code::Unauthenticated => (Exit::Unreachable, "SOTTO-7201"),
        Code::DeadlineExceeded => (Exit::Unreachable, "SOTTO-7203"),
        Code::Internal | Code::Unknown | Code::DataLoss => (Exit::Unreachable, "SOTTO-7204"),
        Code::Unimplemented => (Exit::Unreachable, "SOTTO-7205"),
        _ => (Exit::Refused, "SOTTO-2002"),
    };
    let (told, remedy) = (meta(CODE), meta(REMEDY));
    let code = if told.is_empty() { code.to_owned() } else { told };
    let message = status.message();
    let message = if message.is_empty() {
        chain(&status)
    } else {
        printable(message.to_owned())
    };
    let remedy = match (remedy.is_empty(), exit) {
        (false, _) => remedy,
        (true, Exit::Unreachable) => "`sotto doctor` says what stands between you and the coordinator".to_owned(),
        (true, _) => engine::codes::remedy(&code).to_owned(),
    };
    Problem::new(exit, code, message).remedy(remedy)
}

/// An error with its causes: a transport error alone says nothing.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_code_and_the_remedy_that_the_coordinator_gave() {
        let mut status = tonic::Status::failed_precondition("2 of 3 participants are online");
        status
            .metadata_mut()
            .insert("sotto-code", "SOTTO-2004".parse().unwrap());
        status
            .metadata_mut()
            .insert("sotto-remedy", "ask again later".parse().unwrap());
        let problem = refused(status);
        assert_eq!(problem.code, "SOTTO-2004");
        assert_eq!(problem.remedy.as_deref(), Some("ask again later"));
        assert_eq!(problem.exit, Exit::Refused);
        assert_eq!(refused(tonic::Status::unavailable("gone")).exit, Exit::Unreachable);
    }

    fn early(wait: &str) -> tonic::Status {
        let mut status = tonic::Status::resource_exhausted("your organisation may make 1000 calls a second here");
        status.metadata_mut().insert("sotto-retry-ms", wait.parse().unwrap());
        status
    }

    #[tokio::test]
    async fn a_read_that_came_too_early_is_made_once_more_and_not_twice() {
        let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let until = |good: u32| {
            move |calls: std::sync::Arc<std::sync::atomic::AtomicU32>| async move {
                match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 == good {
                    true => Ok(tonic::Response::new(7)),
                    false => Err(early("1")),
                }
            }
        };
        assert_eq!(patiently(&calls, until(2)).await, Ok(7));
        calls.store(0, std::sync::atomic::Ordering::Relaxed);
        let problem = patiently(&calls, until(3)).await.unwrap_err();
        assert_eq!(
            (problem.exit, calls.load(std::sync::atomic::Ordering::Relaxed)),
            (Exit::Refused, 2)
        );
    }

    #[test]
    fn nobody_waits_for_an_hour_or_for_what_is_no_limit() {
        assert_eq!(comes_again(&early("250")), Some(Duration::from_millis(250)));
        assert_eq!(comes_again(&early("3600000")), None);
        assert_eq!(comes_again(&early("soon")), None);
        assert_eq!(comes_again(&tonic::Status::not_found("no job of yours")), None);
    }

    #[test]
    fn a_failure_says_what_was_charged() {
        let refused = v1::Refused {
            code: "SOTTO-4008".into(),
            message: "too few".into(),
            remedy: None,
        };
        let failure = v1::Failure {
            refused: Some(refused),
            attempts_charged: 2,
        };
        let problem = failed(failure);
        assert_eq!(
            problem.message,
            "too few; 2 attempts were charged to the participants' budgets"
        );
        assert_eq!((problem.exit, problem.charged), (Exit::Failed, 2));
    }
}
