//! Floods by those who are let in: events that an agent says of somebody's request, acts of one person and of one agent, pages of the log.

use engine::JobId;
use governance::act::Subject;
use governance::log::event::Role as Signer;
use governance::{Roster, What};
use proto::v1::register_client::RegisterClient;

use super::limits::{event, event_of, kept, told, too_much};
use super::past::past;
use super::register::{revoke, says};
use super::*;

async fn says_all(stream: &Stream, said: ToCoordinator) {
    for frame in frames(said) {
        stream.send.send(frame).await.unwrap();
    }
}

/// Waits until an agent has left so many leaves.
async fn until_kept(consortium: &Consortium, agent: &str, leaves: usize) {
    for _ in 0..100 {
        if kept(consortium, agent) == leaves {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // polls the store, for at most five seconds
    }
    panic!("{agent}: never {leaves}, but {}", kept(consortium, agent));
}

/// What analysts make agents say counts for nobody's bucket, or a flood of requests would keep the agents' own words out of the log; but only so much
/// of each request, and only of requests that there are.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_request_are_free_for_a_while_and_of_a_request_that_never_was_they_are_not() {
    let consortium = Consortium::new("agent_events_per_hour = 5");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let requests = [signed("ann", 2, 1), signed("ann", 2, 2)];
    let mut hashes = Vec::new();
    for request in requests {
        let known = governance::SignedRequest::try_from(request.clone()).unwrap();
        let job = ann.submit(request).await.unwrap().into_inner().job_id;
        assert_eq!(job, JobId::of(&known.hash().0).to_string());
        hashes.push(known.hash());
    }
    let north = join(&hub, &consortium.identity("north")).await;
    let south = join(&hub, &consortium.identity("south")).await;
    online(&mut ann, 2).await;
    // Of a request of ann's: sixteen, and then as many as the bucket holds.
    let of = |request, count: u8| {
        (0..count)
            .map(|number| event_of("north", 10, request, number))
            .collect()
    };
    says_all(&north, ToCoordinator::Events(of(hashes[0], 60))).await;
    until_kept(&consortium, "north", 16 + 5).await;
    // Another request has its own sixteen, although the bucket is empty: what was decided of it stands in the log.
    says_all(&north, ToCoordinator::Events(of(hashes[1], 10))).await;
    until_kept(&consortium, "north", 16 + 5 + 10).await;
    // Of a request that nobody made nothing is free, and a neighbour has a bucket of its own.
    says_all(&north, ToCoordinator::Events(of(ContentHash([9; 32]), 60))).await;
    let own = (0..60).map(|number| event("south", 11, number)).collect();
    says_all(&south, ToCoordinator::Events(own)).await;
    until_kept(&consortium, "south", 5).await;
    assert_eq!(kept(&consortium, "north"), 16 + 5 + 10);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_person_decides_counts_for_that_person_and_not_for_a_colleague() {
    let consortium = Consortium::new("acts_per_hour = 1");
    let mut roster: Roster = consortium.roster.clone();
    roster.version = 2;
    let bob = roster.analysts.iter_mut().find(|analyst| analyst.id == "bob").unwrap();
    bob.organisation = "ann ltd".to_owned();
    consortium.publish(&roster, &consortium.path("roster.json"));
    let hub = Hub::start(&consortium).await;
    let mut ann = RegisterClient::new(hub.channel(&consortium.identity("ann")).await);
    let mut bob = RegisterClient::new(hub.channel(&consortium.identity("bob")).await);
    let act = |who, seed| v1::SignedAct::from(revoke(Signer::Analyst, who, "ann ltd", seed, ContentHash([7; 32])));
    let looked_at = "SOTTO-2024"; // there is no such grant
    let refused = ann.act(act("ann", 2)).await.unwrap_err();
    assert_eq!(told(&refused, "sotto-code"), looked_at, "{refused}");
    for _ in 0..3 {
        let refused = ann.act(act("ann", 2)).await.unwrap_err();
        assert_eq!(too_much(&refused).0, "SOTTO-2063");
        assert!(
            refused.message().starts_with("you may make 1 acts an hour"),
            "{refused}"
        );
    }
    let refused = bob.act(act("bob", 3)).await.unwrap_err();
    assert_eq!(
        told(&refused, "sotto-code"),
        looked_at,
        "a colleague is heard: {refused}"
    );
    hub.stop().await;
}

/// An agent says what its operator decided with every beat until it comes back. One act that never can be taken comes for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_can_never_be_taken_keeps_none_after_it_out() {
    let consortium = Consortium::new("agent_acts_per_hour = 1");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut sue = RegisterClient::new(hub.channel(&consortium.identity("sue")).await);
    let north = join(&hub, &consortium.identity("north")).await;
    online(&mut ann, 1).await;
    let stops = |dataset: &str| {
        let subject = Subject::Dataset(dataset.to_owned());
        says(Signer::Agent, "north", "north ltd", 10, What::Suspended { subject })
    };
    let never = revoke(Signer::Agent, "north", "north ltd", 10, ContentHash([7; 32]));
    let (first, second) = (stops("heart"), stops("lungs"));
    for _ in 0..20 {
        says_all(&north, ToCoordinator::Act(never.clone())).await;
    }
    let mut list = async || sue.list_acts(v1::ListActsRequest {}).await.unwrap().into_inner().acts;
    let mut listed = Vec::new();
    for _ in 0..100 {
        // As at every beat: all that did not come back, in order.
        for act in [&never, &first, &second] {
            says_all(&north, ToCoordinator::Act(act.clone())).await;
        }
        listed = list().await;
        if !listed.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // polls a condition, for at most five seconds
    }
    assert_eq!(
        listed,
        [v1::SignedAct::from(first.clone())],
        "it is taken, and the next one waits for its hour"
    );
    for _ in 0..5 {
        says_all(&north, ToCoordinator::Act(second.clone())).await;
    }
    online(&mut ann, 1).await;
    assert_eq!(list().await, [v1::SignedAct::from(first.clone())]);
    hub.stop().await;
}

async fn read(client: &mut AnalystsClient<Channel>, from: u64, to: Option<u64>) -> Vec<v1::LogPage> {
    let mut stream = client
        .read_log(v1::ReadLogRequest { from, to })
        .await
        .unwrap()
        .into_inner();
    let mut pages = Vec::new();
    while let Some(page) = stream.message().await.unwrap() {
        pages.push(page);
    }
    pages
}

/// Where to read on is the reader's own number, so it is any number.
#[tokio::test(flavor = "multi_thread")]
async fn no_place_that_a_reader_names_shows_more_of_the_log_than_a_quorum_vouches_for() {
    let consortium = Consortium::new("");
    past(&consortium, &[("ann", 2), ("bob", 3)]);
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    // A third leaf, which no witness has seen.
    ann.submit(signed("ann", 2, 9)).await.unwrap();
    let whole = read(&mut ann, 0, None).await;
    assert_eq!((whole.len(), whole[0].leaves.len()), (1, 2));
    assert_eq!(whole[0].checkpoint, "a checkpoint for tests");
    let last = u64::MAX;
    for (from, to, leaves) in [
        (0, Some(last), 0..2),
        (0, Some(3), 0..2),
        (1, None, 1..2),
        (1, Some(1), 0..0),
        (0, Some(1), 0..1),
        (2, None, 0..0),
        (3, Some(2), 0..0),
        (last, None, 0..0),
        (last, Some(last), 0..0),
        (last, Some(0), 0..0),
    ] {
        let pages = read(&mut ann, from, to).await;
        assert_eq!(pages.len(), 1, "{from}..{to:?}: it ends");
        assert_eq!(pages[0].leaves, whole[0].leaves[leaves], "{from}..{to:?}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_reads_so_many_pages_however_many_streams_it_opens() {
    let consortium = Consortium::new("log_pages_per_minute = 3");
    past(&consortium, &[("ann", 2)]);
    let hub = Hub::start(&consortium).await;
    let ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    // From any place, on many streams at once.
    let readers = (0..12).map(|from| {
        let mut ann = ann.clone();
        tokio::spawn(async move {
            let reading = read(&mut ann, from % 3, None);
            tokio::time::timeout(Duration::from_secs(3), reading).await.is_ok()
        })
    });
    let readers: Vec<_> = readers.collect();
    let mut answered = 0;
    assert_eq!(
        read(&mut bob, 0, None).await[0].leaves.len(),
        1,
        "another reads meanwhile"
    );
    for reader in readers {
        answered += usize::from(reader.await.unwrap());
    }
    assert_eq!(answered, 3, "the others wait: one page more in twenty seconds");
    hub.stop().await;
}
