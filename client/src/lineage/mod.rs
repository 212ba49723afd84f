//! Releases and model versions as lineage events for other people's catalogues: OpenLineage, specification 2-0-2
//! (<https://openlineage.io/spec/2-0-2/OpenLineage.json>). A release is a run with a START and a COMPLETE (or FAIL) event; its inputs
//! are datasets under the contract that the request bound to, its output is the release or the model version.
//!
//! Everything here is what the client could fetch and had read anyway; making events asks nobody and spends nothing. Who of the owners
//! contributed is not in it, because the coordinator does not tell: a receipt counts them. Consent never leaves a participant.

mod facets;
#[cfg(test)]
mod tests;

use engine::CohortTerms;
use governance::model::Version;
use governance::{Contract, Request};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use workload::query;

use crate::released::unreadable;
use crate::train::{Evaluated, Trained};
use crate::{Answer, Problem, Released};

/// Where the schema of a run event is published; it says which fields there must be.
pub const SCHEMA_URL: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
/// Who made the events. The project has no address of its own that would stay, so it has a name.
pub const PRODUCER: &str = concat!("urn:sottovoce:client:", env!("CARGO_PKG_VERSION"));

/// What belongs to one consortium.
#[derive(Clone, Debug)]
pub struct Lineage {
    namespace: String,
}

/// One run before it is spelled: what is said of it in both events.
struct Run<'a> {
    id: String,
    /// Dataset, kind and plan: the process that the run is a run of.
    job: String,
    job_facets: Map<String, Value>,
    run_facets: Map<String, Value>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    request: &'a Request,
}

impl Lineage {
    pub fn of(consortium: &str) -> Self {
        let namespace = format!("sottovoce://{}", consortium.replace(char::is_whitespace, "-"));
        Self { namespace }
    }

    /// Both events of a released answer, run or evaluation. `contract` is the one that the request names, if somebody still
    /// offers it; without it the input is named and not described.
    pub fn release(&self, released: &Released, contract: Option<&Contract>) -> Result<[Value; 2], Problem> {
        let mut run = self.run(released, contract);
        let (columns, outputs) = match released.request().kind.as_str() {
            query::KIND => {
                let answer = Answer::of(released.clone())?;
                run.job_facets.insert("sql".to_owned(), facets::sql(answer.sql()));
                let outputs = answer.table().columns.iter().map(|column| column.name.clone());
                (query_columns(&answer, contract), outputs.collect())
            }
            workload::training::KIND => {
                let trained = Trained::of(released.clone())?;
                (train_columns(&trained), vec!["parameters".to_owned()])
            }
            _ => {
                let evaluated = Evaluated::of(released.clone())?;
                run.inputs
                    .push(self.dataset(&format!("model/{}", evaluated.evaluation.model_hash), Map::new()));
                (Vec::new(), vec!["figures".to_owned()])
            }
        };
        let name = format!("release/{}", released.id());
        run.outputs.push(self.output(&name, released, &columns, outputs));
        self.completed(&run, released)
    }

    /// Both events of the run behind a version of a model; the model that training started from is an input.
    pub fn model(
        &self,
        version: &Version,
        trained: &Trained,
        contract: Option<&Contract>,
    ) -> Result<[Value; 2], Problem> {
        let released = &trained.released;
        let mut run = self.run(released, contract);
        if let Some(parent) = version.parent {
            run.inputs.push(self.dataset(&format!("model/{parent}"), Map::new()));
        }
        let outputs = vec!["parameters".to_owned()];
        let mut output = self.output(
            &format!("model/{}", version.model),
            released,
            &train_columns(trained),
            outputs,
        );
        output["facets"]["version"] = facets::version(&version.number.to_string());
        output["facets"]["sottovoce_model"] = facets::model(version, trained);
        run.outputs.push(output);
        self.completed(&run, released)
    }

    /// Both events of a job that ended without a release, as far as is known where it was asked.
    pub fn failed(&self, job: &Failed<'_>) -> Result<[Value; 2], Problem> {
        let mut job_facets = Map::new();
        if let Some(sql) = job.sql {
            job_facets.insert("sql".to_owned(), facets::sql(sql));
        }
        let inputs = vec![self.dataset(job.dataset, Map::new())];
        let kind = job.sql.map_or(workload::training::KIND, |_| query::KIND);
        let name = format!("{}.{kind}", job.dataset);
        let base = |kind: &str, at_ms: u64, run_facets: Map<String, Value>| {
            self.event(kind, at_ms, (job.id, run_facets), (&name, &job_facets), (&inputs, &[]))
        };
        let error = Map::from_iter([("errorMessage".to_owned(), facets::error(job.problem))]);
        Ok([
            base("START", job.asked_ms, Map::new())?,
            base("FAIL", job.seen_ms, error)?,
        ])
    }

    fn run<'a>(&self, released: &'a Released, contract: Option<&Contract>) -> Run<'a> {
        let request = released.request();
        let plan: String = released.receipt().plan.to_string().chars().take(12).collect();
        let described = contract.map(facets::contract).unwrap_or_default();
        let mut run_facets = Map::from_iter([
            ("sottovoce_privacy".to_owned(), facets::privacy(released)),
            ("sottovoce_request".to_owned(), facets::request(released)),
        ]);
        if !released.revoked().is_empty() {
            run_facets.insert("sottovoce_revoked".to_owned(), facets::revoked(released));
        }
        Run {
            id: released.id(),
            job: format!("{}.{}.{plan}", request.dataset, request.kind),
            job_facets: Map::from_iter([("jobType".to_owned(), facets::job_type(&request.kind))]),
            run_facets,
            inputs: vec![self.dataset(&request.dataset, described)],
            outputs: Vec::new(),
            request,
        }
    }

    fn output(&self, name: &str, released: &Released, columns: &[String], outputs: Vec<String>) -> Value {
        let inputs: Vec<Value> = columns
            .iter()
            .map(|column| json!({ "namespace": self.namespace, "name": released.dataset(), "field": column }))
            .collect();
        let mut about = Map::from_iter([
            ("schema".to_owned(), facets::fields(&outputs)),
            ("sottovoce_privacy".to_owned(), facets::privacy(released)),
        ]);
        if !inputs.is_empty() {
            about.insert("columnLineage".to_owned(), facets::column_lineage(&outputs, &inputs));
        }
        self.dataset(name, about)
    }

    fn dataset(&self, name: &str, facets: Map<String, Value>) -> Value {
        json!({ "namespace": self.namespace, "name": name, "facets": facets })
    }

    fn completed(&self, run: &Run<'_>, released: &Released) -> Result<[Value; 2], Problem> {
        let event = |kind: &str, at_ms: u64, outputs: &[Value]| {
            let of = (run.id.as_str(), run.run_facets.clone());
            self.event(kind, at_ms, of, (&run.job, &run.job_facets), (&run.inputs, outputs))
        };
        Ok([
            event("START", run.request.issued_at_ms, &[])?,
            event("COMPLETE", released.released_at_ms(), &run.outputs)?,
        ])
    }

    fn event(
        &self,
        kind: &str,
        at_ms: u64,
        (id, run_facets): (&str, Map<String, Value>),
        (job, job_facets): (&str, &Map<String, Value>),
        (inputs, outputs): (&[Value], &[Value]),
    ) -> Result<Value, Problem> {
        Ok(json!({
            "eventType": kind,
            "eventTime": moment(at_ms)?,
            "producer": PRODUCER,
            "schemaURL": SCHEMA_URL,
            "run": { "runId": uuid(id)?, "facets": run_facets },
            "job": { "namespace": self.namespace, "name": job, "facets": job_facets },
            "inputs": inputs,
            "outputs": outputs,
        }))
    }
}

/// A job that failed, from the notes of whoever asked.
pub struct Failed<'a> {
    pub id: &'a str,
    pub dataset: &'a str,
    /// Of a question; a run has none.
    pub sql: Option<&'a str>,
    pub asked_ms: u64,
    /// When it was seen to have failed: the coordinator does not say when it did.
    pub seen_ms: u64,
    pub problem: &'a Problem,
}

/// Columns that a question reads, from the plan that its words and its contract lead to.
fn query_columns(answer: &Answer, contract: Option<&Contract>) -> Vec<String> {
    let Some(contract) = contract else { return Vec::new() };
    let (receipt, request) = (answer.receipt(), answer.request());
    let terms = CohortTerms {
        n: receipt.members,
        c: receipt.c,
        s_min: receipt.s_min,
    };
    let plan = query::compile(answer.sql(), contract, &terms, request.epsilon, request.delta);
    plan.map(|plan| {
        plan.columns
            .into_iter()
            .map(|column| column.name)
            .chain(plan.unit)
            .collect()
    })
    .unwrap_or_default()
}

fn train_columns(trained: &Trained) -> Vec<String> {
    let features = trained.task.features.iter().cloned();
    features.chain([trained.task.target.clone()]).collect()
}

/// A job's id is 16 bytes, as a UUID is.
fn uuid(id: &str) -> Result<String, Problem> {
    match id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok([&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")),
        false => Err(
            Problem::usage(format!("`{id}` is no release: expected 32 hexadecimal digits"))
                .remedy("`sotto release` lists them"),
        ),
    }
}

fn moment(at_ms: u64) -> Result<String, Problem> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000).map_err(unreadable)?;
    moment.format(&Rfc3339).map_err(unreadable)
}
