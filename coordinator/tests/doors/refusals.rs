//! Whatever a door refuses, whoever is refused is told a stable code, why, and how to go on.

use proto::identity::Role;

use super::enrolment::Newcomers;
use super::limits::{told, too_much};
use super::*;
use proto::v1::enrolment_client::EnrolmentClient;

/// The gRPC code and the stable one; a reason and a remedy go with them.
fn typed(refused: &Status) -> (Code, &str) {
    assert!(!refused.message().is_empty(), "no reason: {refused:?}");
    assert!(!told(refused, "sotto-remedy").is_empty(), "no way on: {refused:?}");
    (refused.code(), told(refused, "sotto-code"))
}

fn job(id: &str) -> v1::JobRef {
    v1::JobRef { job_id: id.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_calls_as_somebody_else_is_told_what_is_wrong_with_that() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    let north = consortium.identity("north");
    let asks = v1::GetStatusRequest {};

    let wrong_role = analyst(&hub, &north).await.get_status(asks).await.unwrap_err();
    assert_eq!(typed(&wrong_role), (Code::PermissionDenied, "SOTTO-2072"));
    let (next, rotated) = consortium.rotated(Role::Agent, "west", 0);
    let unheard_of = Identity::load(&next).unwrap();
    let other_key = dial(&hub, &unheard_of, greeting("west")).await.err().unwrap();
    assert_eq!(typed(&other_key), (Code::PermissionDenied, "SOTTO-2074"));
    let not_own = bob.submit(signed("ann", 2, 1)).await.unwrap_err();
    assert_eq!(typed(&not_own), (Code::PermissionDenied, "SOTTO-2075"));
    let not_own = dial(&hub, &north, greeting("south")).await.err().unwrap();
    assert_eq!(typed(&not_own), (Code::PermissionDenied, "SOTTO-2075"));
    let forged = ann.submit(signed("ann", 99, 1)).await.unwrap_err();
    assert_eq!(typed(&forged), (Code::InvalidArgument, "SOTTO-2002"));

    // Bob leaves while he watches a job, and west's key gives way to another while it is connected.
    let open = bob.submit(signed("bob", 3, 1)).await.unwrap().into_inner().job_id;
    let mut watched = bob.watch(job(&open)).await.unwrap().into_inner();
    let mut west = join(&hub, &consortium.identity("west")).await;
    online(&mut ann, 1).await;
    let mut newer = rotated;
    newer.retiring.clear();
    newer.analysts.retain(|analyst| analyst.id != "bob");
    consortium.publish(&newer, &consortium.path("roster.json"));
    let removed = loop {
        if let Err(status) = watched.message().await {
            break status;
        }
    };
    assert_eq!(typed(&removed), (Code::PermissionDenied, "SOTTO-2073"));
    let removed = bob.get_status(asks).await.unwrap_err();
    assert_eq!(typed(&removed), (Code::PermissionDenied, "SOTTO-2073"));
    let ended = tokio::time::timeout(Duration::from_secs(10), west.end()).await.unwrap();
    assert_eq!(typed(&ended.unwrap()), (Code::PermissionDenied, "SOTTO-2074"));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_or_found_is_refused_with_a_code_as_well() {
    let world = Newcomers::start().await;
    let hub = &world.hub;
    let mut ann = analyst(hub, &world.consortium.identity("ann")).await;
    for refused in [
        ann.cancel(job("7")).await.err(),
        ann.watch(job("seven")).await.err(),
        ann.get_request(job("")).await.err(),
        ann.submit(v1::SignedRequest::default()).await.err(),
        ann.explain(v1::SignedTrial::default()).await.err(),
        ann.move_model(v1::SignedMove::default()).await.err(),
    ] {
        assert_eq!(typed(&refused.unwrap()), (Code::InvalidArgument, "SOTTO-2002"));
    }
    let mut register = v1::register_client::RegisterClient::new(hub.channel(&world.consortium.identity("ann")).await);
    let unread = register.act(v1::SignedAct::default()).await.unwrap_err();
    assert_eq!(typed(&unread), (Code::InvalidArgument, "SOTTO-2002"));
    let unknown = ann.cancel(job(&"0".repeat(32))).await.unwrap_err();
    assert_eq!(typed(&unknown), (Code::NotFound, "SOTTO-2011"));

    let mut mailbox = EnrolmentClient::new(world.channel().await);
    for (id, expected) in [
        (vec![0; 31], (Code::InvalidArgument, "SOTTO-2002")),
        (vec![0; 32], (Code::NotFound, "SOTTO-2058")),
    ] {
        let refused = mailbox.collect(v1::CollectRequest { id: id.into() }).await.unwrap_err();
        assert_eq!(typed(&refused), expected);
    }
    for bytes in [100, 900_000] {
        let document = vec![b'x'; bytes].into();
        let refused = mailbox.park(v1::Application { document }).await.unwrap_err();
        assert_eq!(typed(&refused), (Code::InvalidArgument, "SOTTO-2002"));
    }
    world.hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_stream_ends_with_a_code() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let north = consortium.identity("north");
    let hello = v1::Greeting {
        protocol_min: 2,
        protocol_max: 3,
        agent: "north".to_owned(),
        ..Default::default()
    };
    let hello = v1::AgentFrame {
        frame: Some(v1::agent_frame::Frame::Greeting(hello)),
    };
    let newer = dial(&hub, &north, hello).await.err().unwrap();
    assert_eq!(typed(&newer), (Code::FailedPrecondition, "SOTTO-2076"));
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut first = join(&hub, &north).await;
    online(&mut ann, 1).await;
    let mut second = join(&hub, &north).await;
    let replaced = first.end().await.unwrap();
    assert_eq!(typed(&replaced), (Code::Aborted, "SOTTO-2077"));
    second.send.send(v1::AgentFrame { frame: None }).await.unwrap();
    let malformed = second.end().await.unwrap();
    assert_eq!(typed(&malformed), (Code::InvalidArgument, "SOTTO-2002"));
    let (silent, receiver) = mpsc::channel::<v1::AgentFrame>(1);
    drop(silent);
    let mut agents = AgentsClient::new(hub.channel(&north).await);
    let early = agents.connect(ReceiverStream::new(receiver)).await.unwrap_err();
    assert_eq!(typed(&early), (Code::Cancelled, "SOTTO-2077"));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_full_says_when_to_come_again() {
    let consortium = Consortium::new("queued_jobs = 1\nsubmitted_kib_per_hour = 2");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    ann.submit(signed("ann", 2, 1)).await.unwrap();
    let full = ann.submit(signed("ann", 2, 2)).await.unwrap_err();
    assert_eq!(too_much(&full), ("SOTTO-2005", 10_000));
    let large = signed_for("ann", (2, 3), &"heart".repeat(1000), ContentHash([1; 32]));
    let never = ann.submit(large).await.unwrap_err();
    assert_eq!(too_much(&never), ("SOTTO-2062", 3_600_000));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_stops_says_so_to_whoever_watches() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let open = ann.submit(signed("ann", 2, 1)).await.unwrap().into_inner().job_id;
    let mut watched = ann.watch(job(&open)).await.unwrap().into_inner();
    watched.message().await.unwrap();
    let stopped = tokio::spawn(async move {
        loop {
            match watched.message().await {
                Ok(Some(_)) => {}
                ended => return ended,
            }
        }
    });
    hub.stop().await;
    let stopping = stopped.await.unwrap().unwrap_err();
    assert_eq!(typed(&stopping), (Code::Unavailable, "SOTTO-2078"));
}
