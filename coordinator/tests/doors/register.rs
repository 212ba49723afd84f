//! Decisions at the door: whose connection, whose signature, and what others learn of them.

use governance::act::{By, Subject};
use governance::canonical::Real;
use governance::grant::{Action, Extent, Terms};
use governance::log::event::Role as Signer;
use governance::{Act, SignedAct, What};
use proto::v1::register_client::RegisterClient;

use super::*;

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_millis() as u64
}

pub(super) fn owner() -> String {
    format!("{} ltd", AGENTS[0])
}

pub(super) fn says(role: Signer, id: &str, organisation: &str, seed: u8, what: What) -> SignedAct {
    let by = By {
        role,
        id: id.to_owned(),
        organisation: organisation.to_owned(),
    };
    let act = Act {
        by,
        at_ms: now_ms(),
        note: String::new(),
        what,
    };
    act.sign(&SigningKey::from_seed(&[seed; 32]).unwrap()).unwrap()
}

pub(super) fn terms() -> Terms {
    Terms {
        requester: "ann".to_owned(),
        organisation: "ann ltd".to_owned(),
        dataset: "heart".to_owned(),
        owners: [owner()].into(),
        columns: Extent::All,
        aggregates: Extent::All,
        purposes: ["research".to_owned()].into(),
        actions: [Action::Query].into(),
        epsilon: Real::new(1.0).unwrap(),
        delta: Real::new(1e-6).unwrap(),
        from_ms: now_ms(),
        until_ms: now_ms() + 60_000,
    }
}

fn request() -> SignedAct {
    let what = What::GrantRequested {
        terms: terms(),
        steward_agrees: false,
    };
    says(Signer::Analyst, "ann", "ann ltd", 2, what)
}

pub(super) fn revoke(role: Signer, id: &str, organisation: &str, seed: u8, grant: ContentHash) -> SignedAct {
    says(role, id, organisation, seed, What::GrantRevoked { grant, owner: None })
}

struct Door(RegisterClient<Channel>);

impl Door {
    async fn of(hub: &Hub, consortium: &Consortium, name: &str) -> Self {
        Self(RegisterClient::new(hub.channel(&consortium.identity(name)).await))
    }

    async fn act(&mut self, signed: &SignedAct) -> Result<(), Status> {
        self.0.act(v1::SignedAct::from(signed.clone())).await.map(drop)
    }

    async fn acts(&mut self) -> Vec<v1::SignedAct> {
        self.0
            .list_acts(v1::ListActsRequest {})
            .await
            .unwrap()
            .into_inner()
            .acts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_is_taken_from_its_signers_own_connection_and_from_no_other() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let (mut ann, mut bob) = (
        Door::of(&hub, &consortium, "ann").await,
        Door::of(&hub, &consortium, "bob").await,
    );
    let asked = request();
    assert_eq!(bob.act(&asked).await.unwrap_err().code(), Code::PermissionDenied);
    ann.act(&asked).await.unwrap();
    ann.act(&asked).await.unwrap(); // once more is once
    assert_eq!(ann.acts().await.len(), 1);
    let mut altered = request();
    altered.body = altered.body.replace("60000", "60001").replace("\"query\"", "\"train\"");
    let refused = ann.act(&altered).await.unwrap_err();
    assert_eq!(refused.metadata().get("sotto-code").unwrap(), "SOTTO-2021");
    // Governance has no connection: anybody enrolled may carry what it signed.
    let subject = Subject::Organisation("ann ltd".to_owned());
    let stop = says(
        Signer::Governance,
        "hearts",
        "hearts",
        consortium::GOVERNANCE,
        What::Suspended { subject },
    );
    bob.act(&stop).await.unwrap();
    let refused = analyst(&hub, &consortium.identity("ann"))
        .await
        .submit(signed("ann", 2, 1))
        .await
        .unwrap_err();
    assert_eq!(refused.metadata().get("sotto-code").unwrap(), "SOTTO-2023");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_grant_and_one_that_never_was_cannot_be_told_apart() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let (mut ann, mut bob) = (
        Door::of(&hub, &consortium, "ann").await,
        Door::of(&hub, &consortium, "bob").await,
    );
    let mut sue = Door::of(&hub, &consortium, "sue").await;
    let asked = request();
    ann.act(&asked).await.unwrap();
    assert!(bob.acts().await.is_empty());
    assert_eq!(
        sue.acts().await.len(),
        1,
        "the owner's steward sees what is asked of her"
    );
    let mut said = Vec::new();
    for grant in [asked.hash(), ContentHash([7; 32])] {
        let refused = bob
            .act(&revoke(Signer::Analyst, "bob", "bob ltd", 3, grant))
            .await
            .unwrap_err();
        assert_eq!(refused.metadata().get("sotto-code").unwrap(), "SOTTO-2024");
        said.push((refused.code(), refused.message().replace(&grant.to_string(), "ID")));
    }
    assert_eq!(said[0], said[1]);
    let What::GrantRequested { terms, .. } = asked.read().unwrap().what else {
        unreachable!()
    };
    let offer = What::GrantOffered {
        grant: asked.hash(),
        owner: owner(),
        terms,
    };
    sue.act(&says(Signer::Steward, "sue", &owner(), 4, offer))
        .await
        .unwrap();
    assert_eq!((ann.acts().await.len(), bob.acts().await.len()), (2, 0));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stewards_decide_and_ask_nothing_and_agents_do_not_come_by_this_door() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let sue = consortium.identity("sue");
    let mut asking = analyst(&hub, &sue).await;
    // A steward reads the catalogue, to move its own contracts, and nothing that was asked or answered.
    asking.list_datasets(v1::ListDatasetsRequest {}).await.unwrap();
    let refused = asking
        .list_releases(v1::ListReleasesRequest { limit: 1 })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let mut agent = Door::of(&hub, &consortium, AGENTS[0]).await;
    let refused = agent.0.list_acts(v1::ListActsRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    hub.stop().await;
}

/// An agent hears at once what concerns it, from the place that it names, and a neighbour hears nothing.
#[tokio::test(flavor = "multi_thread")]
async fn acts_travel_on_the_stream_of_the_agent_that_they_concern() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut streams = Vec::new();
    for name in [AGENTS[0], AGENTS[1]] {
        streams.push(join(&hub, &consortium.identity(name)).await);
    }
    let mut client = analyst(&hub, &consortium.identity("ann")).await;
    online(&mut client, 2).await;
    let mut ann = Door::of(&hub, &consortium, "ann").await;
    ann.act(&request()).await.unwrap();
    let end = |frame: v1::CoordinatorFrame| match frame.frame {
        Some(v1::coordinator_frame::Frame::Heartbeat(beat)) => beat.end.map(|end| end.count),
        _ => None,
    };
    let (mut own, mut neighbour) = (0, 0);
    while own == 0 {
        let frame = streams[0].receive.message().await.unwrap().unwrap();
        own = end(frame).unwrap_or(own);
    }
    // The next beat says that there is still nothing for the neighbour.
    for _ in 0..2 {
        loop {
            let frame = streams[1].receive.message().await.unwrap().unwrap();
            if let Some(count) = end(frame) {
                neighbour += count;
                break;
            }
        }
    }
    assert_eq!((own, neighbour), (1, 0));
    hub.stop().await;
}
