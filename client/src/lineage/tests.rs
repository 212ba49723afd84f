//! Events of a question, a run and a failure, held to what OpenLineage's published schema (2-0-2) and the facets' schemas require:
//! the fields below are written down from them, and our own facets are held to `docs/lineage.schema.json`.

use engine::{Digest, JobId, Receipt, Release};
use governance::ContentHash;
use workload::query::{Cell, Method, QueryTask, Table, TableColumn};

use super::*;
use crate::Exit;
use crate::train::report::tests::ran;

const HEART: &str = include_str!("../../../governance/contracts/heart.toml");
const OWN_SCHEMA: &str = include_str!("../../../docs/lineage.schema.json");

/// `required` of <https://openlineage.io/spec/2-0-2/OpenLineage.json>: BaseEvent and RunEvent, Run, Job, Dataset, BaseFacet.
const EVENT: [&str; 5] = ["eventTime", "producer", "schemaURL", "run", "job"];
const RUN: [&str; 1] = ["runId"];
const NAMED: [&str; 2] = ["namespace", "name"];
const FACET: [&str; 2] = ["_producer", "_schemaURL"];
/// `required` of the standard facets, by their key.
const STANDARD: [(&str, &[&str]); 6] = [
    ("sql", &["query"]),
    ("jobType", &["processingType", "integration"]),
    ("version", &["datasetVersion"]),
    ("errorMessage", &["message", "programmingLanguage"]),
    ("columnLineage", &["fields"]),
    ("schema", &["fields"]),
];

fn heart() -> Contract {
    Contract::parse(HEART).unwrap()
}

fn has(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(!value[*field].is_null(), "`{field}` is missing in {value:#}");
    }
}

/// Holds an event to the schemas.
fn valid(event: &Value) {
    has(event, &EVENT);
    has(&event["run"], &RUN);
    has(&event["job"], &NAMED);
    let id = event["run"]["runId"].as_str().unwrap();
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
    let time = event["eventTime"].as_str().unwrap();
    OffsetDateTime::parse(time, &Rfc3339).unwrap();
    assert_eq!(event["schemaURL"], SCHEMA_URL);
    let mut carriers = vec![&event["run"], &event["job"]];
    for list in ["inputs", "outputs"] {
        for dataset in event[list].as_array().unwrap() {
            has(dataset, &NAMED);
            carriers.push(dataset);
        }
    }
    let own: Value = serde_json::from_str(OWN_SCHEMA).unwrap();
    assert_eq!(own["$id"], facets::OWN);
    for (key, facet) in carriers
        .iter()
        .flat_map(|carrier| carrier["facets"].as_object().unwrap())
    {
        has(facet, &FACET);
        let url = facet["_schemaURL"].as_str().unwrap();
        match url.strip_prefix(facets::OWN) {
            Some(pointer) => {
                assert!(key.starts_with("sottovoce_"), "{key}");
                let schema = own
                    .pointer(&pointer[1..])
                    .unwrap_or_else(|| panic!("{url} points nowhere"));
                let known = schema["properties"].as_object().unwrap();
                for name in facet.as_object().unwrap().keys() {
                    assert!(known.contains_key(name), "`{name}` of {key} is not in its schema");
                }
                for name in schema["required"].as_array().unwrap() {
                    assert!(facet.get(name.as_str().unwrap()).is_some(), "{key} lacks {name}");
                }
            }
            None => {
                let (_, required) = STANDARD.iter().find(|(name, _)| name == key).expect("a standard facet");
                has(facet, required);
                assert!(url.starts_with("https://openlineage.io/spec/facets/"), "{url}");
            }
        }
    }
}

fn answered() -> Released {
    let contract = heart();
    let request = Request {
        nonce: ContentHash([7; 32]),
        analyst: "ada".into(),
        dataset: "heart".into(),
        contract: contract.hash(),
        purpose: "research".into(),
        kind: query::KIND.into(),
        task: QueryTask {
            sql: "SELECT sex, AVG(chol) FROM heart WHERE age > 40 GROUP BY sex".into(),
        }
        .to_task(),
        epsilon: 1.0,
        delta: 1e-6,
        max_attempts: 2,
        issued_at_ms: 1_700_000_000_123,
        expires_at_ms: 1_700_000_100_000,
    };
    let receipt = Receipt {
        unit: "row".into(),
        neighbouring: "one row added or removed at one participant".into(),
        epsilon: Some(1.0),
        delta: 1e-6,
        rho: None,
        epsilon_charged: Some(1.0),
        mechanism: "discrete Gaussian".into(),
        contributors: 4,
        cohort: 4,
        members: 4,
        s_min: 3,
        c: 1,
        rounds: 1,
        attempts: 1,
        contract: contract.hash(),
        plan: Digest([3; 32]),
        sum: Digest([4; 32]),
        repeated: None,
    };
    let column = |name: &str, method| TableColumn {
        name: name.into(),
        method,
        note: None,
    };
    let table = Table {
        columns: vec![column("sex", Method::Exact), column("avg_chol", Method::Fieller)],
        rows: vec![vec![Cell::Text("Female".into()), Cell::Null]],
    };
    let release = Release {
        id: JobId([0xa5; 16]),
        request_hash: ContentHash([1; 32]),
        analyst: "ada".into(),
        dataset: "heart".into(),
        body: serde_json::to_string(&table).unwrap(),
        receipt,
    };
    Released::of(release, request, true)
}

#[test]
fn a_question_is_a_run_from_the_contract_to_the_release() {
    let [start, complete] = Lineage::of("four hospitals")
        .release(&answered(), Some(&heart()))
        .unwrap();
    valid(&start);
    valid(&complete);
    assert_eq!(
        (&start["eventType"], &complete["eventType"]),
        (&json!("START"), &json!("COMPLETE"))
    );
    assert_eq!(start["run"]["runId"], complete["run"]["runId"]);
    assert_eq!(start["eventTime"], "2023-11-14T22:13:20.123Z");
    assert!(start["outputs"].as_array().unwrap().is_empty());
    let input = &complete["inputs"][0];
    assert_eq!(
        (input["namespace"].as_str(), input["name"].as_str()),
        (Some("sottovoce://four-hospitals"), Some("heart"))
    );
    assert_eq!(
        input["facets"]["schema"]["fields"].as_array().unwrap().len(),
        heart().columns.len()
    );
    assert_eq!(
        input["facets"]["sottovoce_contract"]["columns"]["age"]["bounds"]["min"],
        20.0
    );
    let output = &complete["outputs"][0];
    assert_eq!(output["name"], "release/a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5");
    let from: Vec<&str> = output["facets"]["columnLineage"]["fields"]["avg_chol"]["inputFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["field"].as_str().unwrap())
        .collect();
    assert_eq!(from, ["age", "chol", "sex"]);
    assert_eq!(output["facets"]["sottovoce_privacy"]["epsilon"], 1.0);
    assert_eq!(complete["run"]["facets"]["sottovoce_request"]["purpose"], "research");
}

#[test]
fn a_run_whose_grant_was_revoked_since_carries_the_flag() {
    let lineage = Lineage::of("hearts");
    let [_, clean] = lineage.release(&answered(), None).unwrap();
    assert!(clean["run"]["facets"]["sottovoce_revoked"].is_null());
    let flagged = answered().under_revoked(ContentHash([9; 32]), "North Clinic");
    for event in lineage.release(&flagged, None).unwrap() {
        valid(&event);
        assert_eq!(
            event["run"]["facets"]["sottovoce_revoked"]["grants"][0]["owner"],
            "North Clinic"
        );
    }
}

#[test]
fn a_contract_that_nobody_offers_any_more_is_named_and_not_described() {
    let [_, complete] = Lineage::of("hearts").release(&answered(), None).unwrap();
    valid(&complete);
    assert_eq!(complete["inputs"][0]["facets"], json!({}));
    assert_eq!(
        complete["run"]["facets"]["sottovoce_request"]["contract"],
        json!(heart().hash())
    );
}

#[test]
fn a_version_of_a_model_has_its_parent_and_its_data_as_inputs() {
    let trained = ran();
    let version = Version {
        name: "heart.num".to_owned(),
        number: 2,
        model: trained.run.model_hash,
        parent: Some(ContentHash([9; 32])),
        release: trained.released.id(),
        figures: Vec::new(),
        standing: governance::Standing::Candidate,
        released_at_ms: 0,
        moves: Vec::new(),
    };
    let [start, complete] = Lineage::of("hearts").model(&version, &trained, Some(&heart())).unwrap();
    valid(&start);
    valid(&complete);
    let names: Vec<&str> = complete["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["heart", format!("model/{}", ContentHash([9; 32])).as_str()]);
    let output = &complete["outputs"][0]["facets"];
    assert_eq!(
        (
            &output["version"]["datasetVersion"],
            &output["sottovoce_model"]["standing"]
        ),
        (&json!("2"), &json!("candidate"))
    );
    let from = output["columnLineage"]["fields"]["parameters"]["inputFields"]
        .as_array()
        .unwrap();
    assert_eq!(from.len(), 4, "three features and the target");
}

#[test]
fn a_failed_question_is_a_run_that_failed_and_says_why() {
    let problem = Problem::new(Exit::Refused, "SOTTO-2010", "owners refused; nothing was charged");
    let job = Failed {
        id: "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
        dataset: "heart",
        sql: Some("SELECT COUNT(*) FROM heart"),
        asked_ms: 1_700_000_000_000,
        seen_ms: 1_700_000_009_000,
        problem: &problem,
    };
    let [start, fail] = Lineage::of("hearts").failed(&job).unwrap();
    valid(&start);
    valid(&fail);
    assert_eq!(
        (&start["eventType"], &fail["eventType"]),
        (&json!("START"), &json!("FAIL"))
    );
    assert!(
        fail["run"]["facets"]["errorMessage"]["message"]
            .as_str()
            .unwrap()
            .contains("owners refused")
    );
    assert!(Lineage::of("hearts").failed(&Failed { id: "heart", ..job }).is_err());
}
