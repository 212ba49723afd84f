//! One organisation asks too much: it is told which limit it met and when to come again, and nobody else notices anything.

use governance::log::event::Role as Signer;
use governance::log::{Event, Kind, event::Actor};
use proto::store::{Schema, rows_of};
use proto::v1::register_client::RegisterClient;

use super::register::revoke;
use super::*;

pub(super) fn told<'a>(status: &'a Status, name: &str) -> &'a str {
    let found = status.metadata().get(name);
    found.map_or("", |value| value.to_str().unwrap())
}

/// A refusal for asking too much: its code, and how long to wait.
pub(super) fn too_much(status: &Status) -> (&str, u64) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(!told(status, "sotto-remedy").is_empty(), "{status}");
    for other in ["bob", "sue", "north", "south", "west"] {
        assert!(!status.message().contains(other), "{status}");
    }
    told_to_wait(status)
}

/// A limit's code, and how long to wait: every limit says both.
pub(super) fn told_to_wait(status: &Status) -> (&str, u64) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let wait_ms = told(status, "sotto-retry-ms").parse().expect("when to come again");
    assert!(wait_ms > 0, "{status}");
    (told(status, "sotto-code"), wait_ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_organisations_flood_is_refused_and_another_does_not_notice() {
    let consortium = Consortium::new("calls_per_second = 5\ncalls_burst = 10");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    let (mut refused, mut waits) = (0, 0);
    for call in 0..40 {
        if let Err(status) = ann.get_status(v1::GetStatusRequest {}).await {
            let (code, retry_ms) = too_much(&status);
            assert_eq!(code, "SOTTO-2061");
            assert!(status.message().contains("5 calls a second"), "{status}");
            assert!((1..=200).contains(&retry_ms), "{retry_ms}");
            (refused, waits) = (refused + 1, retry_ms);
        }
        if call % 8 == 0 {
            bob.get_status(v1::GetStatusRequest {}).await.unwrap();
        }
    }
    assert!(refused >= 20, "40 calls at once, 10 of them allowed: {refused} refused");
    tokio::time::sleep(Duration::from_millis(waits)).await; // as long as was said
    ann.get_status(v1::GetStatusRequest {}).await.unwrap();
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_decisions_have_limits_of_their_own_and_reading_goes_on() {
    let consortium = Consortium::new("submissions_per_minute = 2\nacts_per_hour = 1");
    let hub = Hub::start(&consortium).await;
    let identity = consortium.identity("ann");
    let mut ann = analyst(&hub, &identity).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    for nonce in 1..=2 {
        ann.submit(signed("ann", 2, nonce)).await.unwrap();
    }
    let status = ann.submit(signed("ann", 2, 3)).await.unwrap_err();
    let (code, retry_ms) = too_much(&status);
    assert_eq!(code, "SOTTO-2062");
    assert!((1..=30_000).contains(&retry_ms), "{retry_ms}");
    bob.submit(signed("bob", 3, 1)).await.unwrap();
    ann.get_status(v1::GetStatusRequest {}).await.unwrap();

    let mut decisions = RegisterClient::new(hub.channel(&identity).await);
    let act = || v1::SignedAct::from(revoke(Signer::Analyst, "ann", "ann ltd", 2, ContentHash([7; 32])));
    let status = decisions.act(act()).await.unwrap_err();
    assert_eq!(
        told(&status, "sotto-code"),
        "SOTTO-2024",
        "looked at, and refused for itself: {status}"
    );
    let status = decisions.act(act()).await.unwrap_err();
    assert_eq!(too_much(&status).0, "SOTTO-2063");
    decisions.list_acts(v1::ListActsRequest {}).await.unwrap();
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_has_so_many_open_jobs_and_is_told_of_no_others() {
    let consortium = Consortium::new("organisation_jobs = 2");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    let mut jobs = Vec::new();
    for nonce in 1..=2 {
        jobs.push(ann.submit(signed("ann", 2, nonce)).await.unwrap().into_inner().job_id);
    }
    let status = ann.submit(signed("ann", 2, 3)).await.unwrap_err();
    assert_eq!(too_much(&status).0, "SOTTO-2064");
    bob.submit(signed("bob", 3, 1)).await.unwrap();
    let open = async |client: &mut AnalystsClient<Channel>| {
        let status = client.get_status(v1::GetStatusRequest {}).await.unwrap();
        status.into_inner().jobs_open
    };
    assert_eq!((open(&mut ann).await, open(&mut bob).await), (2, 1));
    let job_id = jobs.remove(0);
    ann.cancel(v1::JobRef { job_id }).await.unwrap();
    ann.submit(signed("ann", 2, 3)).await.unwrap();
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dials_without_end_is_told_to_wait_and_its_neighbour_is_let_in() {
    let consortium = Consortium::new("streams_per_minute = 2");
    let hub = Hub::start(&consortium).await;
    let (north, south) = (consortium.identity("north"), consortium.identity("south"));
    for _ in 0..2 {
        dial(&hub, &north, greeting("north")).await.unwrap();
    }
    let status = dial(&hub, &north, greeting("north")).await.err().unwrap();
    let (code, retry_ms) = told_to_wait(&status);
    assert_eq!(code, "SOTTO-2061");
    assert!(retry_ms <= 30_000, "{retry_ms}");
    dial(&hub, &south, greeting("south")).await.unwrap();
    hub.stop().await;
}

/// A contribution of an agent's, as if it had been asked.
pub(super) fn event(agent: &str, seed: u8, number: u8) -> String {
    event_of(agent, seed, ContentHash([1; 32]), number)
}

/// The same, for a request.
pub(super) fn event_of(agent: &str, seed: u8, request: ContentHash, number: u8) -> String {
    let key = SigningKey::from_seed(&[seed; 32]).unwrap();
    let actor = Actor {
        role: Signer::Agent,
        id: agent.to_owned(),
        key: key.public(),
    };
    let event = Event::new(Kind::Contribution, 1, actor);
    let event = event
        .refers("request", request)
        .refers("round", ContentHash([number; 32]));
    event.sign(&key).unwrap().leaf().to_owned()
}

/// Leaves that an agent left in the coordinator's store.
pub(super) fn kept(consortium: &Consortium, agent: &str) -> usize {
    let schema = Schema {
        application_id: 0x534f_434f,
        migrations: &[],
    };
    let rows = rows_of(&consortium.path("c.sqlite"), &schema, "logged").unwrap();
    let name = format!("\\\"id\\\":\\\"{agent}\\\"");
    rows.iter().map(|row| row.json.matches(&name).count()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_cannot_fill_the_coordinators_disk_with_events() {
    let consortium = Consortium::new("agent_events_per_hour = 5");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let loud = join(&hub, &consortium.identity("north")).await;
    let quiet = join(&hub, &consortium.identity("south")).await;
    online(&mut ann, 2).await;
    for round in 0..4u8 {
        // Twenty different ones, and each of them once more: what is known costs nothing.
        let leaves: Vec<String> = (0..20).map(|number| event("north", 10, round * 20 + number)).collect();
        for leaves in [leaves.clone(), leaves] {
            for frame in frames(ToCoordinator::Events(leaves)) {
                loud.send.send(frame).await.unwrap();
            }
        }
    }
    for frame in frames(ToCoordinator::Events(
        (0..4).map(|number| event("south", 11, number)).collect(),
    )) {
        quiet.send.send(frame).await.unwrap();
    }
    let mut last = 0;
    for _ in 0..100 {
        last = kept(&consortium, "south");
        if last == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // polls the store, for at most five seconds
    }
    hub.stop().await;
    assert_eq!(last, 4, "its neighbour's events are in the log");
    assert_eq!(kept(&consortium, "north"), 5);
}
