//! Rows and consents together: what an agent computes is what it would compute if the rows of whoever does not consent were not there,
//! for questions, training and evaluation, and from the moment at which a consent changed.

mod support;

use engine::participant::Consent;
use engine::{CohortTerms, Compute, JobId, SlotId};
use governance::{ContentHash, Contract, LogicalType, Request};
use polars::prelude::{NamedFrom, Series};
use privacy::sampler::ExactSampler;
use sotto_participant::compute::Engine;
use sotto_participant::config::Config;
use sotto_participant::consent::{Choice, Consents, People, Purposes, Terms, Window};
use sotto_participant::data::Dataset;
use sotto_participant::serving::Serving;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use support::{Table, contract};
use workload::query::QueryTask;
use workload::training::{ModelKind, TrainTask};

const SECRET: [u8; 32] = [5; 32];

/// Whose consents the dataset `visits` requires.
fn consents(folder: &Path, unit: LogicalType) -> Arc<Consents> {
    let people = People {
        unit,
        purposes: ["research", "care"].map(String::from).into(),
    };
    let terms = Terms {
        populations: [("patients".to_owned(), people)].into(),
        datasets: [("visits".to_owned(), "patients".to_owned())].into(),
        mapping: BTreeMap::new(),
        permit_means: Default::default(),
        permit_categories: Default::default(),
        publish_every_ms: 1,
        subsumed: Purposes::default(),
    };
    Arc::new(Consents::open(&folder.join("c.consent.sqlite"), &SECRET, terms).unwrap())
}

fn tell(consents: &Consents, unit: &str, choice: &Choice) {
    let people = &consents.terms().populations["patients"];
    let name = consents.names().spelled(unit, people.unit).unwrap();
    consents.change("patients", &[(name, choice)], 1).unwrap();
}

fn given(purpose: &str) -> Choice {
    Choice::Given {
        purposes: [purpose.to_owned()].into(),
        window: Window::ALWAYS,
    }
}

/// A round of a request, without noise unless it is asked for.
fn round(contract: &Contract, kind: &str, task: String, purpose: &str, noise: bool) -> Compute {
    let request = Request {
        nonce: ContentHash([1; 32]),
        analyst: "ann".to_owned(),
        dataset: contract.name.clone(),
        contract: contract.hash(),
        purpose: purpose.to_owned(),
        kind: kind.to_owned(),
        task,
        epsilon: 1.0,
        delta: 1e-6,
        max_attempts: 1,
        issued_at_ms: 0,
        expires_at_ms: 1,
    };
    let terms = CohortTerms { n: 4, c: 1, s_min: 3 };
    let workloads = workload::workloads();
    let mut plan = workloads[kind].plan(&request, contract, &terms).unwrap();
    assert!(plan.variance > 0);
    if !noise {
        plan.variance = 0;
    }
    Compute {
        at: SlotId { epoch: 1, slot: 0 },
        job: JobId::of(&[1; 32]),
        round: 0,
        dataset: contract.name.clone(),
        contract: contract.hash(),
        request: Arc::new(request),
        plan: Arc::new(plan),
        state: None,
    }
}

fn question(contract: &Contract, sql: &str, purpose: &str) -> Compute {
    let task = QueryTask { sql: sql.to_owned() }.to_task();
    round(contract, workload::query::KIND, task, purpose, false)
}

fn values(engine: &Engine, compute: &Compute) -> Vec<i64> {
    let mut sampler = ExactSampler::new([2; 32]);
    engine.compute_with(compute, &mut sampler).unwrap().into_values()
}

fn engine(dataset: Dataset, consents: Option<&Arc<Consents>>) -> Engine {
    let engine = Engine::new([Arc::new(dataset)], &SECRET);
    match consents {
        Some(consents) => engine.requiring(consents.clone()),
        None => engine,
    }
}

const HEAD: &str = "person,score,note\n";
const SUMS: &str = "SELECT note, COUNT(*), SUM(score), COUNT(DISTINCT person) FROM visits GROUP BY note";

/// What `engine` answers is what an agent would answer that holds `rows` alone.
fn answers_as_if(engine: &Engine, contract: &Contract, purpose: &str, rows: &str) {
    let table = Table::new(&[("a.csv", format!("{HEAD}{rows}"))]);
    let alone = self::engine(table.open(contract.clone()).unwrap(), None);
    let compute = question(contract, SUMS, purpose);
    assert_eq!(values(engine, &compute), values(&alone, &compute), "{purpose}: {rows}");
}

#[test]
fn a_question_is_answered_over_the_rows_of_those_who_consent_to_its_purpose_now() {
    let csv = format!("{HEAD}1,10,x\n1,20,x\n2,30,\"a, b\"\n,40,x\n3,50,x\n4,60,x\n");
    let table = Table::new(&[("a.csv", csv)]);
    table.parquet(Series::new("p".into(), [3i64, 5]));
    let contract = contract("integer", true);
    let store = tempfile::tempdir().unwrap();
    let consents = consents(store.path(), LogicalType::Integer);
    let engine = engine(table.open(contract.clone()).unwrap(), Some(&consents));
    answers_as_if(&engine, &contract, "research", "");

    tell(&consents, "1", &given("research"));
    tell(&consents, "2", &given("research"));
    tell(&consents, "03", &given("care"));
    tell(&consents, "9", &given("research"));
    answers_as_if(&engine, &contract, "research", "1,10,x\n1,20,x\n2,30,\"a, b\"\n");
    answers_as_if(&engine, &contract, "care", "3,50,x\n3,1,x\n");
    // At once, and again.
    tell(&consents, "1", &Choice::Withdrawn);
    answers_as_if(&engine, &contract, "research", "2,30,\"a, b\"\n");
    tell(&consents, "1", &given("research"));
    tell(&consents, "5", &given("research"));
    answers_as_if(&engine, &contract, "research", "1,10,x\n1,20,x\n2,30,\"a, b\"\n5,1,x\n");
}

#[test]
fn a_row_without_a_unit_is_never_used_and_texts_are_who_they_spell() {
    let long = "a patient whose id is longer than fifteen bytes";
    let table = Table::new(&[("a.csv", format!("{HEAD}007,1,x\n7,2,x\n{long},4,x\n,8,x\n"))]);
    let contract = contract("string", true);
    let store = tempfile::tempdir().unwrap();
    let consents = consents(store.path(), LogicalType::String);
    let engine = engine(table.open(contract.clone()).unwrap(), Some(&consents));
    tell(&consents, "7", &given("research"));
    answers_as_if(&engine, &contract, "research", "7,2,x\n");
    tell(&consents, long, &given("research"));
    answers_as_if(&engine, &contract, "research", &format!("7,2,x\n{long},4,x\n"));
}

#[test]
fn a_dataset_where_nobody_consents_answers_with_noise() {
    let table = Table::new(&[("a.csv", format!("{HEAD}1,10,x\n2,20,x\n"))]);
    let contract = contract("integer", true);
    let store = tempfile::tempdir().unwrap();
    let consents = consents(store.path(), LogicalType::Integer);
    let refusing = engine(table.open(contract.clone()).unwrap(), Some(&consents));
    let nobody = Table::new(&[("a.csv", HEAD)]);
    let empty = engine(nobody.open(contract.clone()).unwrap(), None);
    let task = QueryTask { sql: SUMS.to_owned() }.to_task();
    let compute = round(&contract, workload::query::KIND, task, "research", true);
    let found = values(&refusing, &compute);
    assert!(found.iter().any(|value| *value != 0));
    assert_eq!(found, values(&empty, &compute), "the same noise over nothing");
}

#[test]
fn training_and_evaluation_read_the_same_rows_and_follow_a_change_within_a_run() {
    let rows: String = (0..40).map(|i| format!("{},{},x\n", i % 20, 2 * i)).collect();
    let table = Table::new(&[("a.csv", format!("{HEAD}{rows}"))]);
    let contract = contract("integer", true);
    let store = tempfile::tempdir().unwrap();
    let consents = consents(store.path(), LogicalType::Integer);
    let engine = engine(table.open(contract.clone()).unwrap(), Some(&consents));
    let task = TrainTask {
        expected_units: Some(20),
        ..TrainTask::dp_sgd(&["note"], "score", ModelKind::Linear, 3)
    };
    let step = |purpose: &str| round(&contract, workload::training::KIND, task.to_task(), purpose, false);
    let learns = |compute: &Compute| values(&engine, compute).iter().any(|value| *value != 0);
    let (research, care) = (step("research"), step("care"));
    assert!(!learns(&research), "nobody consents");
    for unit in 0..20 {
        tell(&consents, &unit.to_string(), &given("research"));
    }
    assert!(learns(&research), "the rows that a run keeps are read again");
    assert!(!learns(&care), "one plan, another purpose");
    assert!(learns(&research));
    for unit in 0..20 {
        tell(&consents, &unit.to_string(), &Choice::Withdrawn);
    }
    assert!(!learns(&research));
}

const CONTRACT: &str = r#"
apiVersion = "v3.1.0"
kind = "DataContract"
name = "visits"
version = "1.0.0"
purposes = ["research"]
[privacy]
unit = "person"
contribution = { rows = 1, groups = 1, rowsPerGroup = 1 }
maxRows = 100
delta = 1e-6
[[schema.properties]]
name = "person"
logicalType = "integer"
[[schema.properties]]
name = "age"
logicalType = "integer"
logicalTypeOptions = { minimum = 0, maximum = 100 }
"#;

fn configured(folder: &Path, contract: &str) -> Config {
    fs::write(folder.join("visits.csv"), "person,age\n1,50\n2,60\n").unwrap();
    fs::write(folder.join("visits.toml"), contract).unwrap();
    let text = r#"
name = "cleveland"
coordinator = "localhost:1"
identity = "identity"
store = "state/participant.sqlite"
[consent]
publish_every_hours = 24
[[population]]
id = "people"
[[dataset]]
contract = "visits.toml"
files = ["visits.csv"]
population = "people"
consent = "required"
"#;
    fs::write(folder.join("p.toml"), text).unwrap();
    Config::load(&folder.join("p.toml")).unwrap()
}

#[test]
fn the_offered_snapshot_changes_on_schedule_and_not_with_a_withdrawal() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), CONTRACT);
    let mut serving = Serving::open(&config).unwrap();
    let consents = serving.consents.take().unwrap();
    let mut watch = serving.watch.take().unwrap();
    let before = serving.datasets[0].snapshot.clone();
    let published = consents.published("visits").unwrap();
    let (at_ms, day_ms) = (published.at_ms, 24 * 3_600_000);
    let stamp = consents.stamp("visits", at_ms);
    let name = consents.names().spelled("1", LogicalType::Integer).unwrap();
    consents.change("people", &[(name, &Choice::Withdrawn)], at_ms).unwrap();
    assert_ne!(consents.stamp("visits", at_ms), stamp, "the engine is told");
    assert!(watch.look(at_ms).is_none(), "nobody else is");
    assert_eq!(watch.served().datasets[0].snapshot, before);
    let mut seen = vec![before];
    for day in 1..4 {
        let served = watch
            .look(at_ms + day * day_ms)
            .expect("a new period, whatever changed");
        let snapshot = served.datasets[0].snapshot.clone();
        assert!(!seen.contains(&snapshot));
        seen.push(snapshot);
    }
}

#[test]
fn consent_of_rows_that_are_nobodys_cannot_be_required() {
    let folder = tempfile::tempdir().unwrap();
    let unit = "unit = \"person\"\ncontribution = { rows = 1, groups = 1, rowsPerGroup = 1 }\n";
    let config = configured(folder.path(), &CONTRACT.replace(unit, ""));
    let error = Serving::open(&config).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`visits`") && error.contains("privacy unit"), "{error}");
}

#[test]
fn an_operator_records_consents_while_the_agent_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path(), CONTRACT);
    let said = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sotto-participant"));
        command
            .current_dir(folder.path())
            .args(["--config", "p.toml", "--json", "consent"]);
        let output = command.args(words).output().unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()),
            false => Err(String::from_utf8(output.stderr).unwrap()),
        }
    };
    fs::write(
        folder.path().join("good.csv"),
        "unit,purposes\n1,research\n2,research\n",
    )
    .unwrap();
    fs::write(folder.path().join("bad.csv"), "unit,purposes\n3,research\n4,reserch\n").unwrap();
    assert_eq!(said(&["import", "good.csv"]).unwrap()["changed"], 2);
    let refused = said(&["import", "bad.csv"]).unwrap_err();
    assert!(
        refused.contains("bad.csv line 3: unknown purpose `reserch`"),
        "{refused}"
    );
    assert_eq!(said(&["withdraw", "2"]).unwrap()["changed"], 1);
    assert_eq!(
        said(&[
            "give",
            "5",
            "--purpose",
            "research",
            "--until",
            "2000-01-01",
            "--from",
            "1999-01-01"
        ])
        .unwrap()["version"],
        4
    );
    let status = said(&["status"]).unwrap();
    let counts = &status["people"]["counts"];
    assert_eq!(
        (&counts["in_force"], &counts["withdrawn"], &counts["expired"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert!(status["people"]["published"]["root"].is_string());
    assert!(said(&["give", "5"]).unwrap_err().contains("--purpose"));
}
