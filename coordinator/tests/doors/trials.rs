//! Trials at the door: their analyst's alone, never a request, and nothing is queued for them.

use super::*;
use governance::SignedTrial;

fn trial(analyst: &str, seed: u8, dataset: &str) -> v1::SignedTrial {
    let words = signed_for(analyst, (seed, 7), dataset, ContentHash([1; 32]));
    let request: Asked = serde_json::from_slice(&words.body).unwrap();
    let trial: SignedTrial = request
        .sign_trial(&SigningKey::from_seed(&[seed; 32]).unwrap())
        .unwrap();
    (&trial).into()
}

fn code(refused: &Status) -> &str {
    refused.metadata().get("sotto-code").unwrap().to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_is_its_analysts_alone_and_no_request_passes_for_one() {
    let consortium = Consortium::new("");
    let hub = Hub::start(&consortium).await;
    let mut ann = analyst(&hub, &consortium.identity("ann")).await;
    let mut bob = analyst(&hub, &consortium.identity("bob")).await;
    let mut sue = analyst(&hub, &consortium.identity("sue")).await;
    for refused in [
        bob.explain(trial("ann", 2, "heart")).await.unwrap_err(),
        sue.explain(trial("ann", 2, "heart")).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    let request = signed("ann", 2, 1);
    let as_trial = v1::SignedTrial {
        body: request.body.clone(),
        signature: request.signature.clone(),
    };
    let tried = trial("ann", 2, "heart");
    let as_request = v1::SignedRequest {
        body: tried.body.clone(),
        signature: tried.signature.clone(),
        event: request.event,
    };
    let forged = trial("ann", 99, "heart");
    assert_eq!(
        code(&ann.explain(as_trial).await.unwrap_err()),
        engine::codes::BAD_REQUEST
    );
    assert_eq!(
        code(&ann.explain(forged).await.unwrap_err()),
        engine::codes::BAD_REQUEST
    );
    assert_eq!(
        code(&ann.submit(as_request).await.unwrap_err()),
        engine::codes::BAD_REQUEST
    );
    // Nobody is there who could say how it would decide; and of a name that nobody has, no more is said than to a request.
    let refused = ann.explain(tried).await.unwrap_err();
    assert_eq!(code(&refused), engine::codes::TOO_FEW);
    assert!(!refused.metadata().get("sotto-remedy").unwrap().is_empty());
    let mut streams = Vec::new();
    for name in AGENTS {
        streams.push(join(&hub, &consortium.identity(name)).await);
    }
    online(&mut ann, 3).await;
    let unknown = ann.explain(trial("ann", 2, "nothing")).await.unwrap_err();
    assert_eq!(code(&unknown), engine::codes::UNKNOWN_DATASET);
    let status = ann.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.jobs_open, 0, "a trial is no job");
    hub.stop().await;
}
