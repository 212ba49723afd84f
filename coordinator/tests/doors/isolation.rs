//! What is another organisation's does not exist: by its id it reads exactly like an id that never was (code, words, metadata), and no list,
//! count or account changes because it is there. In every call that names or lists something.

use engine::JobId;
use engine::codes;
use governance::act::Subject;
use governance::log::event::Role as Signer;
use governance::model::{Move, Standing};
use governance::{Addition, Stage, What};
use proto::v1::register_client::RegisterClient;

use super::past::{Past, model_of, past, version};
use super::register::{owner, says, terms};
use super::*;

/// Where no id was asked about.
const NO_ID: &str = "no id";

/// Everything that a refusal says, but for the id that was asked about.
fn told(status: &Status, id: &str) -> (Code, String, Vec<(String, String)>) {
    let metadata = status.metadata().clone().into_headers();
    let words = metadata.iter().filter(|(name, _)| name.as_str() != "date");
    let words = words.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).replace(id, "ID");
        (name.to_string(), value)
    });
    let mut words: Vec<_> = words.collect();
    words.sort();
    (status.code(), status.message().replace(id, "ID"), words)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_job_release_or_model_reads_like_one_that_never_was() {
    let consortium = Consortium::new("");
    let [of_ann, of_bob] = past(&consortium, &[("ann", 2), ("bob", 3)])[..] else {
        unreachable!()
    };
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    let asked = signed("ann", 2, 9);
    let open = ann.submit(asked.clone()).await.unwrap().into_inner().job_id;

    let own = v1::ReleaseRef { id: of_bob.to_string() };
    assert!(bob.get_release(own).await.is_ok(), "bob has one of his own");
    let never = JobId([9; 16]).to_string();
    let mut said = Vec::new();
    for id in [of_ann.to_string(), open.clone(), never] {
        let job = v1::JobRef { job_id: id.clone() };
        let release = v1::ReleaseRef { id: id.clone() };
        let refusals = [
            bob.watch(job.clone()).await.err().unwrap(),
            bob.get_request(job.clone()).await.err().unwrap(),
            bob.cancel(job).await.err().unwrap(),
            bob.get_release(release).await.err().unwrap(),
        ];
        said.push(refusals.map(|status| told(&status, &id)));
    }
    assert_eq!(said[0], said[2], "an answer of ann's");
    assert_eq!(said[1], said[2], "an open job of ann's");
    assert!(said[2].iter().all(|(code, ..)| *code == Code::NotFound));

    let mut said = Vec::new();
    for model in [model_of("ann"), ContentHash([7; 32])] {
        let wanted = Move {
            analyst: "bob".to_owned(),
            model,
            to: Standing::Validated,
            note: String::new(),
            after: 0,
            issued_at_ms: 1,
        };
        let moved = wanted.sign(&SigningKey::from_seed(&[3; 32]).unwrap()).unwrap();
        let refused = bob.move_model(v1::SignedMove::from(moved)).await.unwrap_err();
        assert_eq!(refused.metadata().get("sotto-code").unwrap(), codes::MODEL_MOVE);
        said.push(told(&refused, &model.to_string()));
    }
    assert_eq!(said[0], said[1]);
    let own = v1::JobRef { job_id: open };
    let words = ann.get_request(own.clone()).await.unwrap().into_inner();
    assert_eq!(words, asked, "an own one, as it was signed");
    ann.cancel(own).await.unwrap();
    hub.stop().await;
}

/// What bob can list, count and add up.
async fn everything_of_bobs(hub: &Hub, consortium: &Consortium) -> String {
    let identity = consortium.identity("bob");
    let mut bob = analyst(hub, &identity).await;
    let mut decisions = RegisterClient::new(hub.channel(&identity).await);
    let releases = bob.list_releases(v1::ListReleasesRequest { limit: 0 }).await.unwrap();
    let models = bob.list_models(v1::ListModelsRequest {}).await.unwrap();
    let datasets = bob.list_datasets(v1::ListDatasetsRequest {}).await.unwrap();
    let participants = bob.list_participants(v1::ListParticipantsRequest {}).await.unwrap();
    let acts = decisions.list_acts(v1::ListActsRequest {}).await.unwrap();
    let mut usage = bob.get_usage(v1::GetUsageRequest {}).await.unwrap().into_inner();
    usage.log_size = 0; // everybody reads the log
    let mut status = bob.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    status.now_ms = 0;
    let (releases, models) = (releases.into_inner(), models.into_inner());
    let (datasets, participants) = (datasets.into_inner(), participants.into_inner());
    format!(
        "{releases:?}{models:?}{datasets:?}{participants:?}{:?}{usage:?}{status:?}",
        acts.into_inner()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_count_or_account_tells_that_another_organisation_is_there() {
    let with = |others: &'static [(&'static str, u8)]| async move {
        let consortium = Consortium::new("");
        past(&consortium, others);
        let hub = Hub::start(&consortium).await;
        let quiet = everything_of_bobs(&hub, &consortium).await;
        // Ann asks, is granted and decides, and nothing that bob sees changes.
        let mut ann = analyst(&hub, &consortium.identity("ann")).await;
        for nonce in 1..=5 {
            ann.submit(signed("ann", 2, nonce)).await.unwrap();
        }
        let terms = terms();
        let what = What::GrantRequested {
            terms,
            steward_agrees: false,
        };
        let asked = says(Signer::Analyst, "ann", "ann ltd", 2, what);
        let mut decisions = RegisterClient::new(hub.channel(&consortium.identity("ann")).await);
        decisions.act(v1::SignedAct::from(asked)).await.unwrap();
        let busy = everything_of_bobs(&hub, &consortium).await;
        hub.stop().await;
        assert_eq!(busy, quiet);
        assert!(
            !quiet.contains("ann ltd\", dataset") && !quiet.contains("a table of ann"),
            "{quiet}"
        );
    };
    with(&[("bob", 3)]).await;
    with(&[("bob", 3), ("ann", 2)]).await;
}

/// Every kind of act that names a grant, about one of other people and about one that never was.
#[tokio::test(flavor = "multi_thread")]
async fn no_act_tells_a_foreign_grant_from_one_that_never_was() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = RegisterClient::new(hub.channel(&consortium.identity("ann")).await);
    let mut bob = RegisterClient::new(hub.channel(&consortium.identity("bob")).await);
    let asked = says(
        Signer::Analyst,
        "ann",
        "ann ltd",
        2,
        What::GrantRequested {
            terms: terms(),
            steward_agrees: false,
        },
    );
    ann.act(v1::SignedAct::from(asked.clone())).await.unwrap();
    let forms = |grant: ContentHash, owner: Option<String>| {
        let named = owner.clone().unwrap_or_else(self::owner);
        vec![
            What::GrantOffered {
                grant,
                owner: named.clone(),
                terms: terms(),
            },
            What::GrantAgreed {
                grant,
                owner: named,
                version: 1,
            },
            What::GrantSuspended {
                grant,
                owner: owner.clone(),
            },
            What::GrantResumed {
                grant,
                owner: owner.clone(),
                lifts: [ContentHash([8; 32])].into(),
            },
            What::GrantRevoked {
                grant,
                owner: owner.clone(),
            },
            What::GrantCompleted { grant, owner },
        ]
    };
    let mut said = Vec::new();
    for grant in [asked.hash(), ContentHash([7; 32])] {
        let mut of_grant = Vec::new();
        for owner in [None, Some(owner())] {
            for what in forms(grant, owner) {
                let act = says(Signer::Analyst, "bob", "bob ltd", 3, what.clone());
                let refused = bob.act(v1::SignedAct::from(act)).await.unwrap_err();
                assert_eq!(
                    refused.metadata().get("sotto-code").unwrap(),
                    codes::UNKNOWN_GRANT,
                    "{what:?}"
                );
                of_grant.push(told(&refused, &grant.to_string()));
            }
        }
        said.push(of_grant);
    }
    assert_eq!(said[0], said[1]);
    // Acts that name no grant say nothing about others either: whoever may not sign them hears the same, whatever they are about.
    for (one, other) in [
        (
            Subject::Organisation("ann ltd".to_owned()),
            Subject::Organisation("nobody ltd".to_owned()),
        ),
        (
            Subject::Dataset("heart".to_owned()),
            Subject::Dataset("nothing".to_owned()),
        ),
    ] {
        let mut said = Vec::new();
        for subject in [one, other] {
            let act = says(Signer::Analyst, "bob", "bob ltd", 3, What::Suspended { subject });
            said.push(told(&bob.act(v1::SignedAct::from(act)).await.unwrap_err(), NO_ID));
        }
        assert_eq!(said[0], said[1]);
    }
    let moved = |contract| What::ContractMoved {
        dataset: "heart".to_owned(),
        contract,
        to: Stage::Active,
    };
    let refused = |what| says(Signer::Analyst, "bob", "bob ltd", 3, what);
    let first = bob
        .act(v1::SignedAct::from(refused(moved(ContentHash([1; 32])))))
        .await
        .unwrap_err();
    let second = bob
        .act(v1::SignedAct::from(refused(moved(ContentHash([2; 32])))))
        .await
        .unwrap_err();
    assert_eq!(told(&first, NO_ID), told(&second, NO_ID));
    hub.stop().await;
}

/// A full queue does not say of whom, and keeps nobody out who has not had its share of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_nothing_of_who_filled_it() {
    let consortium = Consortium::new("queued_jobs = 2");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    for nonce in 1..=2 {
        ann.submit(signed("ann", 2, nonce)).await.unwrap();
    }
    let own = ann.submit(signed("ann", 2, 3)).await.unwrap_err();
    bob.submit(signed("bob", 3, 1)).await.unwrap();
    let other = bob.submit(signed("bob", 3, 2)).await.unwrap_err();
    assert_eq!(other.metadata().get("sotto-code").unwrap(), codes::QUEUE_FULL);
    assert_eq!(told(&own, NO_ID), told(&other, NO_ID));
    assert!(!other.message().chars().any(|c| c.is_ascii_digit()), "{other}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_given_the_name_of_somebody_who_left_inherits_nothing() {
    let consortium = Consortium::new("");
    let mut before = Past::default();
    let answer = before.released(("ann", 2), 51, None);
    let model = before.released(("ann", 2), 52, version("ann"));
    before.released(("ann", 2), 53, Some(Addition::Figures { model: model_of("ann") }));
    before.in_production(("ann", 2));
    before.write(&consortium);
    let file = consortium.path("roster.json");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let open = ann.submit(signed("ann", 2, 9)).await.unwrap().into_inner().job_id;
    let listed = |client: &AnalystsClient<Channel>| {
        let mut client = client.clone();
        async move {
            let releases = client
                .list_releases(v1::ListReleasesRequest { limit: 0 })
                .await
                .unwrap();
            let models = client.list_models(v1::ListModelsRequest {}).await.unwrap();
            (releases.into_inner().releases.len(), models.into_inner().versions.len())
        }
    };
    assert_eq!(listed(&ann).await, (3, 1));

    // New keys without having left: the same person.
    let mut roster = consortium.roster.clone();
    let at = roster.analysts.iter().position(|analyst| analyst.id == "ann").unwrap();
    (roster.version, roster.analysts[at].key) = (2, SigningKey::from_seed(&[60; 32]).unwrap().public());
    consortium.publish(&roster, &file);
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    rotation::adopted(&mut bob, 2).await;
    assert_eq!(listed(&ann).await, (3, 1));

    // Governance takes the name away, and gives it to somebody else.
    let mut without = roster.clone();
    without.version = 3;
    without.analysts.remove(at);
    consortium.publish(&without, &file);
    rotation::adopted(&mut bob, 3).await;
    (roster.version, roster.analysts[at].key) = (4, SigningKey::from_seed(&[61; 32]).unwrap().public());
    consortium.publish(&roster, &file);
    rotation::adopted(&mut bob, 4).await;
    let mut hub = hub;
    for start in 0..2 {
        let mut ann = analyst(&hub, &consortium.identity("ann")).await;
        assert_eq!(listed(&ann).await, (0, 0), "start {start}");
        for id in [answer.to_string(), model.to_string(), open.clone()] {
            let release = ann.get_release(v1::ReleaseRef { id: id.clone() }).await.unwrap_err();
            assert_eq!(release.metadata().get("sotto-code").unwrap(), codes::UNKNOWN_JOB);
            let job = v1::JobRef { job_id: id };
            assert_eq!(ann.watch(job.clone()).await.err().unwrap().code(), Code::NotFound);
            assert_eq!(ann.cancel(job).await.err().unwrap().code(), Code::NotFound);
        }
        let wanted = Move {
            analyst: "ann".to_owned(),
            model: model_of("ann"),
            to: Standing::RolledBack,
            note: String::new(),
            after: 2,
            issued_at_ms: 1,
        };
        let moved = wanted.sign(&SigningKey::from_seed(&[61; 32]).unwrap()).unwrap();
        let refused = ann.move_model(v1::SignedMove::from(moved)).await.unwrap_err();
        assert_eq!(refused.metadata().get("sotto-code").unwrap(), codes::MODEL_MOVE);
        hub.stop().await;
        hub = Hub::start(&consortium).await;
    }
    hub.stop().await;
}
