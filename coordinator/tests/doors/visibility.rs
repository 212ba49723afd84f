//! What an analyst is shown: everything where it is admitted, else what each contract allows, and of a hidden dataset not even by the
//! wording of a refusal that it is there. Two versions of one dataset are two entries.

use engine::message::{Join, Offer};
use governance::{ContentHash, Contract};
use proto::agents::join_frame;
use proto::v1;
use proto::v1::analysts_client::AnalystsClient;
use tonic::Status;
use tonic::transport::Channel;

use super::consortium::{AGENTS, Consortium};
use super::{Hub, Stream, analyst, dial, greeting, online, signed_for};

fn contract(name: &str, version: &str, visibility: &str) -> Contract {
    let text = format!(
        "name = \"{name}\"\nversion = \"{version}\"\npurposes = [\"quality\"]\n\
         customProperties = [{{ property = \"visibility\", value = \"{visibility}\" }}]\n\
         [privacy]\nmaxRows = 100\ndelta = 1e-6\n\
         [[schema.properties]]\nname = \"age\"\nlogicalType = \"integer\"\n"
    );
    Contract::parse(&text).unwrap()
}

fn offer(contract: &Contract, admitted: &[&str]) -> Offer {
    Offer {
        dataset: contract.name.clone(),
        contract_json: contract.canonical_json(),
        snapshot: "1".to_owned(),
        min_cohort: 0,
        paused: false,
        budget: None,
        left_for: Default::default(),
        admitted: admitted.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Three agents that offer two open versions, a listed and a hidden dataset; ann is admitted to all, except by west to the hidden one.
async fn world(hub: &Hub, consortium: &Consortium) -> Vec<Stream> {
    let mut streams = Vec::new();
    for name in AGENTS {
        let admitted: &[&str] = if name == "west" { &[] } else { &["ann"] };
        let offers = vec![
            offer(&contract("visits", "1.0.0", "schema"), &[]),
            offer(&contract("visits", "1.1.0", "schema"), &[]),
            offer(&contract("ward", "1.0.0", "listed"), &["ann"]),
            offer(&contract("secret", "1.0.0", "hidden"), admitted),
        ];
        let identity = consortium.identity(name);
        let stream = dial(hub, &identity, greeting(name)).await.unwrap();
        let join = Join {
            offers,
            ..Join::default()
        };
        stream.send.send(join_frame(join)).await.unwrap();
        streams.push(stream);
    }
    streams
}

async fn listed(client: &mut AnalystsClient<Channel>) -> v1::Datasets {
    client
        .list_datasets(v1::ListDatasetsRequest {})
        .await
        .unwrap()
        .into_inner()
}

fn names(found: &v1::Datasets) -> Vec<&str> {
    found.datasets.iter().map(|dataset| dataset.name.as_str()).collect()
}

async fn refusal(client: &mut AnalystsClient<Channel>, nonce: u8, dataset: &str, contract: ContentHash) -> Status {
    client
        .submit(signed_for("bob", (3, nonce), dataset, contract))
        .await
        .unwrap_err()
}

fn told(status: &Status, name: &str) -> (tonic::Code, String, Vec<Option<String>>) {
    let meta = |key: &str| {
        status
            .metadata()
            .get(key)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let message = status.message().replace(name, "NAME");
    (status.code(), message, vec![meta("sotto-code"), meta("sotto-remedy")])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_sees_what_each_contract_shows_to_whoever_is_not_admitted_and_nothing_else() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    let _streams = world(&hub, &consortium).await;
    online(&mut ann, 3).await;

    let all = listed(&mut ann).await;
    assert_eq!(names(&all), ["secret", "visits", "visits", "ward"]);
    assert!(all.listed.is_empty());
    let of_secret: Vec<&str> = all.datasets[0]
        .sites
        .iter()
        .map(|site| site.participant.as_str())
        .collect();
    assert_eq!(of_secret, ["north", "south"], "west did not admit ann to what it hides");
    assert_eq!(all.datasets[1].sites[0].organisation, "north ltd");

    let shown = listed(&mut bob).await;
    assert_eq!(names(&shown), ["visits", "visits"]);
    let ward = &shown.listed[0];
    assert_eq!((shown.listed.len(), ward.name.as_str()), (1, "ward"));
    assert_eq!(ward.owners, ["north ltd", "south ltd", "west ltd"]);
    assert_eq!(ward.purposes, ["quality"]);
    let participants = bob
        .list_participants(v1::ListParticipantsRequest {})
        .await
        .unwrap()
        .into_inner();
    for participant in participants.participants {
        assert_eq!(participant.datasets, ["visits", "ward"]);
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_about_a_hidden_dataset_is_the_one_about_a_name_that_nobody_has() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    let _streams = world(&hub, &consortium).await;
    online(&mut ann, 3).await;

    let secret = contract("secret", "1.0.0", "hidden").hash();
    let absent = refusal(&mut bob, 1, "nothing", ContentHash([1; 32])).await;
    for (nonce, guess) in [(2, ContentHash([1; 32])), (3, secret)] {
        let hidden = refusal(&mut bob, nonce, "secret", guess).await;
        assert_eq!(told(&hidden, "secret"), told(&absent, "nothing"));
    }
    // Of a listed one it is known that it is there, and a right guess of its contract is no different from a wrong one.
    let ward = contract("ward", "1.0.0", "listed").hash();
    let wrong = refusal(&mut bob, 4, "ward", ContentHash([1; 32])).await;
    assert_eq!(wrong.metadata().get("sotto-code").unwrap(), "SOTTO-2031");
    assert_eq!(told(&refusal(&mut bob, 5, "ward", ward).await, ""), told(&wrong, ""));

    ann.submit(signed_for("ann", (2, 6), "secret", secret)).await.unwrap();
    hub.stop().await;
}
