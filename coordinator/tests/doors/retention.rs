//! Answers are kept for as long as the operator says: then they are in no byte of any file, whoever had them is told so, and the log holds
//! every leaf that it held.

use engine::JobId;
use engine::record::CoordinatorRecord;
use governance::Addition;
use governance::log::{Kind, SignedEvent};
use proto::store::{SqliteStore, Store};

use super::past::{Past, SCHEMA, model_of, version};
use super::*;

/// Whether the words are in any file of the coordinator's.
fn kept(consortium: &Consortium, words: &str) -> bool {
    let files = std::fs::read_dir(consortium.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut stores = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("c.sqlite"));
    stores.any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(words.len()).any(|window| window == words.as_bytes())
    })
}

fn nonce(byte: u8) -> String {
    hex::encode([byte; 32])
}

/// Deletions that the log holds, by what they refer to, and how many leaves there are.
fn logged(consortium: &Consortium) -> (Vec<ContentHash>, usize) {
    let store = SqliteStore::open(&consortium.path("c.sqlite"), &SCHEMA, None).unwrap();
    let records = store.rows().unwrap();
    let records = records.iter().map(|row| CoordinatorRecord::from_row(row).unwrap());
    let leaves: Vec<String> = records
        .filter_map(|record| match record {
            CoordinatorRecord::Logged { leaves, .. } => Some(leaves),
            _ => None,
        })
        .flatten()
        .collect();
    let events = leaves.iter().map(|leaf| SignedEvent::parse(leaf.as_bytes()).unwrap());
    let deletions = events.filter(|event| event.event().kind == Kind::Deletion);
    (
        deletions.map(|event| event.event().references["deleted"]).collect(),
        leaves.len(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_time_is_over_is_gone_from_every_file_and_says_so() {
    let consortium = Consortium::new("[retention]\nreleases_days = 1");
    let mut past = Past::default();
    let old = past.released(("ann", 2), 51, None);
    let candidate = past.released(("ann", 2), 52, version("ann"));
    let in_use = past.released(("bob", 3), 53, version("bob"));
    let figures = past.released(("bob", 3), 54, Some(Addition::Figures { model: model_of("bob") }));
    past.in_production(("bob", 3));
    past.write(&consortium);
    assert!(kept(&consortium, "a table of ann, number 51") && kept(&consortium, &nonce(51)));

    for start in 0..2 {
        let hub = Hub::start(&consortium).await;
        let mut ann = analyst(&hub, &consortium.identity("ann")).await;
        let mut bob = analyst(&hub, &consortium.identity("bob")).await;
        let release = |id: &JobId| v1::ReleaseRef { id: id.to_string() };
        for (client, job) in [(&mut ann, &old), (&mut bob, &figures)] {
            let status = client.get_release(release(job)).await.unwrap_err();
            assert_eq!(status.metadata().get("sotto-code").unwrap(), "SOTTO-2066", "{status}");
            assert!(status.message().contains(&job.to_string()), "{status}");
        }
        assert!(
            ann.get_release(release(&candidate)).await.is_err(),
            "nobody put it to use"
        );
        let model = bob.get_release(release(&in_use)).await.unwrap().into_inner();
        assert_eq!(model.id, in_use.to_string(), "a model in production is kept");
        // Another's is as if it had never been, expired or not.
        let status = bob.get_release(release(&old)).await.unwrap_err();
        assert_eq!(status.metadata().get("sotto-code").unwrap(), "SOTTO-2011");
        let listed = ann.list_releases(v1::ListReleasesRequest { limit: 0 }).await.unwrap();
        assert!(listed.into_inner().releases.is_empty());
        let job = v1::JobRef {
            job_id: old.to_string(),
        };
        let mut events = ann.watch(job).await.unwrap().into_inner();
        let Some(v1::job_event::Event::Failure(failure)) = events.message().await.unwrap().unwrap().event else {
            panic!("a release that is gone was sent");
        };
        assert_eq!(failure.refused.unwrap().code, "SOTTO-2066");
        let usage = ann.get_usage(v1::GetUsageRequest {}).await.unwrap().into_inner();
        assert_eq!(usage.asked[0].releases, 2, "what was answered stays counted");
        for gone in [51, 52, 54] {
            for words in [format!("number {gone}"), nonce(gone)] {
                assert!(!kept(&consortium, &words), "{words}, start {start}");
            }
        }
        assert!(kept(&consortium, "number 53"));
        hub.stop().await;
    }
    let (deleted, leaves) = logged(&consortium);
    assert_eq!(deleted.len(), 3, "each is deleted once");
    assert!(leaves >= 4 + 3, "and the leaves of what was deleted are there");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_unless_the_operator_says_when() {
    let consortium = Consortium::new("");
    let mut past = Past::default();
    let old = past.released(("ann", 2), 51, None);
    past.write(&consortium);
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    ann.get_release(v1::ReleaseRef { id: old.to_string() }).await.unwrap();
    hub.stop().await;
    assert!(kept(&consortium, "number 51"));
}
