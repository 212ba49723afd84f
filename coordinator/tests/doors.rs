//! The coordinator's doors over real sockets and mutual TLS: who is let in, what is refused and how it is said, and that a
//! planned stop ends every stream and leaves a store that opens again.

#[path = "doors/consortium.rs"]
mod consortium;
#[path = "doors/enrolment.rs"]
mod enrolment;
#[path = "doors/floods.rs"]
mod floods;
#[path = "doors/isolation.rs"]
mod isolation;
#[path = "doors/letters.rs"]
mod letters;
#[path = "doors/limits.rs"]
mod limits;
#[path = "doors/matrix.rs"]
mod matrix;
#[path = "doors/past.rs"]
mod past;
#[path = "doors/refusals.rs"]
mod refusals;
#[path = "doors/register.rs"]
mod register;
#[path = "doors/retention.rs"]
mod retention;
#[path = "doors/rotation.rs"]
mod rotation;
#[path = "doors/strangers.rs"]
mod strangers;
#[path = "doors/trials.rs"]
mod trials;
#[path = "doors/visibility.rs"]
mod visibility;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use consortium::{AGENTS, Consortium};
use engine::message::Join;
use engine::{CohortTerms, Outcome, PlainSum, Plan, Refusal, SlotId, ToCoordinator, Workload};
use governance::{ContentHash, Contract, Request as Asked, SigningKey};
use proto::agents::{frames, join_frame};
use proto::handshake::Software;
use proto::identity::Identity;
use proto::v1;
use proto::v1::agents_client::AgentsClient;
use proto::v1::analysts_client::AnalystsClient;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

/// Answers nothing; these tests are about doors.
struct Nothing;

impl Workload for Nothing {
    fn plan(&self, _: &Asked, _: &Contract, _: &CohortTerms) -> Result<Plan, Refusal> {
        Err(Refusal::new("SOTTO-2002", "this workload answers nothing"))
    }

    fn absorb(&self, _: &Plan, _: u32, _: Option<&[u8]>, _: &PlainSum) -> Result<Outcome, Refusal> {
        Err(Refusal::new("SOTTO-2002", "this workload answers nothing"))
    }
}

struct Hub {
    address: String,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), sotto_coordinator::Fatal>>,
}

impl Hub {
    /// Starts a coordinator on a free port of its own choice.
    async fn start(consortium: &Consortium) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let path = consortium.config();
        let text = std::fs::read_to_string(&path).unwrap();
        let listen = format!("listen = \"127.0.0.1:{port}\"");
        let text: Vec<&str> = text
            .lines()
            .map(|line| if line.starts_with("listen") { &listen } else { line })
            .collect();
        std::fs::write(&path, text.join("\n")).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let workloads: BTreeMap<String, Arc<dyn Workload>> = [("query".to_owned(), Arc::new(Nothing) as _)].into();
        let running = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            sotto_coordinator::run_with(&path, workloads, false, stopped).await
        });
        let hub = Self {
            address: format!("127.0.0.1:{port}"),
            stop,
            running,
        };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(&hub.address).await.is_ok() {
                return hub;
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // polls a port, for at most four seconds
        }
        panic!("the coordinator does not listen: {:?}", hub.running.await);
    }

    async fn channel(&self, identity: &Identity) -> Channel {
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).unwrap();
        endpoint
            .tls_config(identity.client_tls_to_any_key())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
    }
}

/// An agent's open stream.
struct Stream {
    send: mpsc::Sender<v1::AgentFrame>,
    receive: Streaming<v1::CoordinatorFrame>,
}

impl Stream {
    async fn end(&mut self) -> Option<Status> {
        loop {
            match self.receive.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    }
}

async fn dial(hub: &Hub, identity: &Identity, greeting: v1::AgentFrame) -> Result<Stream, Status> {
    let (send, receiver) = mpsc::channel(16);
    send.send(greeting).await.unwrap();
    let mut client = AgentsClient::new(hub.channel(identity).await);
    let receive = client.connect(ReceiverStream::new(receiver)).await?.into_inner();
    Ok(Stream { send, receive })
}

fn greeting(name: &str) -> v1::AgentFrame {
    Software { digest: [7; 32] }.greeting(name, 0, 0)
}

async fn join(hub: &Hub, identity: &Identity) -> Stream {
    let stream = dial(hub, identity, greeting(&identity.member.name)).await.unwrap();
    stream.send.send(join_frame(Join::default())).await.unwrap();
    stream
}

async fn analyst(hub: &Hub, identity: &Identity) -> AnalystsClient<Channel> {
    AnalystsClient::new(hub.channel(identity).await)
}

async fn online(client: &mut AnalystsClient<Channel>, expected: usize) {
    for _ in 0..200 {
        let listed = client
            .list_participants(v1::ListParticipantsRequest {})
            .await
            .unwrap()
            .into_inner();
        if listed.participants.iter().filter(|p| p.online).count() == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // polls a condition
    }
    panic!("never {expected} online");
}

fn signed(analyst: &str, seed: u8, nonce: u8) -> v1::SignedRequest {
    signed_for(analyst, (seed, nonce), "heart", ContentHash([1; 32]))
}

fn signed_for(analyst: &str, (seed, nonce): (u8, u8), dataset: &str, contract: ContentHash) -> v1::SignedRequest {
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    let request = Asked {
        nonce: ContentHash([nonce; 32]),
        analyst: analyst.to_owned(),
        dataset: dataset.to_owned(),
        contract,
        purpose: "research".to_owned(),
        kind: "query".to_owned(),
        task: "{}".to_owned(),
        epsilon: 1.0,
        delta: 1e-6,
        max_attempts: 2,
        issued_at_ms: now_ms,
        expires_at_ms: now_ms + 60_000,
    };
    (&request.sign(&SigningKey::from_seed(&[seed; 32]).unwrap()).unwrap()).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_come_and_go_and_analysts_see_it() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut streams = Vec::new();
    for name in AGENTS {
        streams.push(join(&hub, &consortium.identity(name)).await);
    }
    online(&mut ann, 3).await;
    let status = ann.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(
        (status.consortium.as_str(), status.agents_online, status.colluders),
        ("hearts", 3, 1)
    );
    assert!(governance::SignedRoster::try_from(status.roster.unwrap()).is_ok());
    streams.pop();
    online(&mut ann, 2).await;
    hub.stop().await;
    for stream in &mut streams {
        assert!(stream.end().await.is_none_or(|status| status.code() != Code::Internal));
    }
    let again = Hub::start(&consortium).await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_role_name_or_protocol_is_refused_by_name() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let (ann, north) = (consortium.identity("ann"), consortium.identity("north"));
    let refused = dial(&hub, &ann, greeting("ann")).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "certificate is that of analyst `ann`: expected agent"
    );
    let refused = dial(&hub, &north, greeting("south")).await.err().unwrap();
    assert!(refused.message().contains("mismatched name"), "{refused}");
    let newer = v1::Greeting {
        protocol_min: 2,
        protocol_max: 3,
        software: "0.3.0".to_owned(),
        agent: "north".to_owned(),
        ..Default::default()
    };
    let newer = v1::AgentFrame {
        frame: Some(v1::agent_frame::Frame::Greeting(newer)),
    };
    let refused = dial(&hub, &north, newer).await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused
            .message()
            .contains("coordinator speaks protocols 1..1, participant north 0.3.0 speaks 2..3")
    );
    let mut agent_as_analyst = analyst(&hub, &north).await;
    let refused = agent_as_analyst.get_status(v1::GetStatusRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_does_not_even_connect() {
    let consortium = Consortium::new("");
    let stranger = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let endpoint = Endpoint::from_shared(format!("https://{}", hub.address)).unwrap();
    let endpoint = endpoint
        .tls_config(stranger.identity("north").client_tls_to_any_key())
        .unwrap();
    assert!(endpoint.connect().await.is_err());
    let mut plain = AgentsClient::new(
        Endpoint::from_shared(format!("http://{}", hub.address))
            .unwrap()
            .connect_lazy(),
    );
    let (_send, receiver) = mpsc::channel::<v1::AgentFrame>(1);
    assert!(plain.connect(ReceiverStream::new(receiver)).await.is_err());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_oversized_and_stalled_uploads_end_the_stream_with_the_reason() {
    let consortium = Consortium::new("upload_idle_ms = 200");
    let hub = Hub::start(&consortium).await;
    let north = consortium.identity("north");
    let at = SlotId { epoch: 1, slot: 1 };
    let head = |dim| v1::AgentFrame {
        frame: Some(v1::agent_frame::Frame::MaskedInput(v1::MaskedInput {
            at: Some(at.into()),
            ring: v1::Ring::Z64 as i32,
            dim,
            ..Default::default()
        })),
    };
    for (frame, code, text) in [
        (v1::AgentFrame { frame: None }, Code::InvalidArgument, "missing frame"),
        (head(u64::MAX), Code::InvalidArgument, "oversized vector"),
        (head(1000), Code::DeadlineExceeded, "stalled upload"),
    ] {
        let mut stream = join(&hub, &north).await;
        stream.send.send(frame).await.unwrap();
        let status = stream.end().await.expect("a reason");
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(text), "{status}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_second_stream_takes_the_place_of_the_first() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let north = consortium.identity("north");
    let mut first = join(&hub, &north).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    online(&mut ann, 1).await;
    let second = join(&hub, &north).await;
    assert_eq!(first.end().await.unwrap().code(), Code::Aborted);
    for frame in frames(ToCoordinator::Offers(Vec::new())) {
        second.send.send(frame).await.unwrap();
    }
    online(&mut ann, 1).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_its_analysts_alone_and_ends_for_whoever_watches() {
    let consortium = Consortium::new("patience_ms = 300");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    let refused = bob.submit(signed("ann", 2, 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let refused = ann.submit(signed("ann", 99, 1)).await.unwrap_err();
    assert_eq!(
        refused.metadata().get("sotto-code").unwrap(),
        engine::codes::BAD_REQUEST
    );
    let request = signed("ann", 2, 1);
    let job = ann.submit(request.clone()).await.unwrap().into_inner().job_id;
    let again = ann.submit(request).await.unwrap().into_inner().job_id;
    assert_eq!(again, job, "the same request is the same job");
    let reference = v1::JobRef { job_id: job.clone() };
    assert_eq!(bob.watch(reference.clone()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(bob.cancel(reference.clone()).await.unwrap_err().code(), Code::NotFound);
    let mut events = ann.watch(reference.clone()).await.unwrap().into_inner();
    let mut last = None;
    while let Some(event) = events.message().await.unwrap() {
        last = event.event;
    }
    let Some(v1::job_event::Event::Failure(failure)) = last else {
        panic!("expected a failure, got {last:?}");
    };
    assert_eq!(failure.attempts_charged, 0);
    assert_eq!(failure.refused.unwrap().code, engine::codes::TOO_FEW);
    let cancelled = ann.submit(signed("ann", 2, 2)).await.unwrap().into_inner().job_id;
    let reference = v1::JobRef { job_id: cancelled };
    ann.cancel(reference.clone()).await.unwrap();
    let refused = ann.cancel(reference).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "it has ended: {refused}");
    assert!(
        ann.list_releases(v1::ListReleasesRequest { limit: 0 })
            .await
            .unwrap()
            .into_inner()
            .releases
            .is_empty()
    );
    assert_eq!(
        ann.get_release(v1::ReleaseRef { id: job }).await.unwrap_err().code(),
        Code::NotFound
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_roster_is_adopted_and_those_it_leaves_out_are_disconnected() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut west = join(&hub, &consortium.identity("west")).await;
    online(&mut ann, 1).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    let job_id = bob.submit(signed("bob", 3, 1)).await.unwrap().into_inner().job_id;
    let mut watched = bob.watch(v1::JobRef { job_id }).await.unwrap().into_inner();
    let mut newer = consortium.roster.clone();
    newer.version = 2;
    newer.agents[2].tls_key = ContentHash([9; 32]);
    newer.analysts.retain(|analyst| analyst.id == "ann");
    consortium.publish(&newer, &consortium.path("roster.json"));
    let ended = tokio::time::timeout(Duration::from_secs(10), west.end()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Code::PermissionDenied);
    let status = ann.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.roster_version, 2);
    let seen = async {
        loop {
            match watched.message().await {
                Ok(Some(_)) => {}
                ended => return ended,
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
    assert_eq!(
        ended.unwrap_err().code(),
        Code::PermissionDenied,
        "a watch ends with the membership"
    );
    assert_eq!(
        bob.get_status(v1::GetStatusRequest {}).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_answer_members() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let channel = hub.channel(&consortium.identity("ann")).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let service = "sottovoce.v1.Agents".to_owned();
    let check = tonic_health::pb::HealthCheckRequest { service };
    let status = health.check(Request::new(check)).await.unwrap().into_inner().status;
    assert_eq!(
        status,
        tonic_health::pb::health_check_response::ServingStatus::Serving as i32
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_stops_the_coordinator_loudly() {
    let consortium = Consortium::new("");
    let path = consortium.config();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("store_max_pages = 8\n{text}")).unwrap();
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut refused = None;
    for nonce in 0..60 {
        if let Err(status) = ann.submit(signed("ann", 2, nonce)).await {
            refused = Some(status);
            break;
        }
    }
    assert!(refused.is_some(), "60 requests fitted into 8 pages");
    let fatal = hub.running.await.unwrap().unwrap_err().to_string();
    assert!(fatal.contains("no room to store records"), "{fatal}");
}
