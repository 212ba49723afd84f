//! Facets of lineage events. Standard ones as their published schemas have them (<https://openlineage.io/spec/facets/>, named with
//! their versions below); our own begin with `sottovoce_` and are described in `docs/lineage.schema.json`, whose name is a URN
//! because the project has no address that would stay.

use governance::model::Version;
use governance::{Column, Contract, LogicalType};
use serde_json::{Map, Value, json};

use super::PRODUCER;
use crate::train::Trained;
use crate::{Problem, Released};

/// The name of `docs/lineage.schema.json`.
pub const OWN: &str = "urn:sottovoce:lineage:1-0-0";

fn facet(schema: &str, mut fields: Value) -> Value {
    fields["_producer"] = PRODUCER.into();
    fields["_schemaURL"] = schema.into();
    fields
}

fn standard(file: &str, name: &str, fields: Value) -> Value {
    facet(
        &format!("https://openlineage.io/spec/facets/{file}#/$defs/{name}"),
        fields,
    )
}

fn own(name: &str, fields: Value) -> Value {
    facet(&format!("{OWN}#/$defs/{name}"), fields)
}

pub fn sql(query: &str) -> Value {
    standard("1-0-1/SQLJobFacet.json", "SQLJobFacet", json!({ "query": query }))
}

pub fn job_type(kind: &str) -> Value {
    let fields = json!({ "processingType": "BATCH", "integration": "SOTTOVOCE", "jobType": kind.to_uppercase() });
    standard("2-0-3/JobTypeJobFacet.json", "JobTypeJobFacet", fields)
}

pub fn version(version: &str) -> Value {
    let fields = json!({ "datasetVersion": version });
    standard(
        "1-0-0/DatasetVersionDatasetFacet.json",
        "DatasetVersionDatasetFacet",
        fields,
    )
}

pub fn error(problem: &Problem) -> Value {
    let fields = json!({ "message": format!("{}: {}", problem.code, problem.message), "programmingLanguage": "RUST" });
    standard("1-0-0/ErrorMessageRunFacet.json", "ErrorMessageRunFacet", fields)
}

/// Fields of an output, by name alone: what is in them is noisy sums.
pub fn fields(names: &[String]) -> Value {
    let fields: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    schema(fields.into())
}

/// Every output field from every input field: a sum over rows that a filter chose and keys divided depends on all of them.
pub fn column_lineage(outputs: &[String], inputs: &[Value]) -> Value {
    let fields: Map<String, Value> = outputs
        .iter()
        .map(|name| (name.clone(), json!({ "inputFields": inputs })))
        .collect();
    standard(
        "1-0-1/ColumnLineageDatasetFacet.json",
        "ColumnLineageDatasetFacet",
        json!({ "fields": fields }),
    )
}

/// What a contract says of a dataset: schema, version, and the terms that no standard facet has.
pub fn contract(contract: &Contract) -> Map<String, Value> {
    let field =
        |column: &Column| json!({ "name": column.name, "type": type_name(column), "description": column.description });
    let fields: Vec<Value> = contract.columns.iter().map(field).collect();
    let columns: Map<String, Value> = contract.columns.iter().map(|c| (c.name.clone(), column(c))).collect();
    let terms = json!({
        "hash": contract.hash(),
        "version": contract.version,
        "unit": contract.privacy_unit.as_deref().unwrap_or("row"),
        "purposes": contract.purposes,
        "delta": contract.delta.get(),
        "contribution": contract.contribution,
        "columns": columns,
    });
    Map::from_iter([
        ("schema".to_owned(), schema(fields.into())),
        ("version".to_owned(), version(&contract.version)),
        ("sottovoce_contract".to_owned(), own("ContractFacet", terms)),
    ])
}

/// Grants that it was made under and that were revoked since.
pub fn revoked(released: &Released) -> Value {
    own("RevokedFacet", json!({ "grants": released.revoked_json() }))
}

/// What was claimed for whom, and at which price.
pub fn privacy(released: &Released) -> Value {
    let receipt = released.receipt();
    let fields = json!({
        "epsilon": receipt.epsilon,
        "delta": receipt.delta,
        "epsilonCharged": receipt.epsilon_charged,
        "unit": receipt.unit,
        "neighbouring": receipt.neighbouring,
        "mechanism": receipt.mechanism,
        "contributors": receipt.contributors,
        "cohort": receipt.cohort,
        "leastCohort": receipt.s_min,
        "colluders": receipt.c,
        "rounds": receipt.rounds,
        "plan": receipt.plan.to_string(),
        "sum": receipt.sum.to_string(),
        "repeats": receipt.repeated.map(|earlier| earlier.to_string()),
    });
    own("PrivacyFacet", fields)
}

/// Who asked, for what, under which terms.
pub fn request(released: &Released) -> Value {
    let request = released.request();
    let fields = json!({
        "hash": released.request_hash(),
        "analyst": request.analyst,
        "purpose": request.purpose,
        "dataset": request.dataset,
        "contract": request.contract,
        "signatureVerified": released.verified(),
    });
    own("RequestFacet", fields)
}

pub fn model(version: &Version, trained: &Trained) -> Value {
    let fields = json!({
        "name": version.name,
        "number": version.number,
        "hash": version.model,
        "parent": version.parent,
        "standing": version.standing.spelling(),
        "release": version.release,
        "figures": version.figures,
        "rounds": trained.run.rounds,
        "covers": trained.run.privacy.covers,
    });
    own("ModelFacet", fields)
}

fn schema(fields: Value) -> Value {
    standard(
        "1-0-0/SchemaDatasetFacet.json",
        "SchemaDatasetFacet",
        json!({ "fields": fields }),
    )
}

fn column(column: &Column) -> Value {
    json!({
        "unit": column.unit,
        "bounds": column.bounds.map(|bounds| json!({ "min": bounds.min.get(), "max": bounds.max.get() })),
        "categories": column.categories,
        "nullable": column.nullable,
        "classification": column.classification,
        "queryable": column.queryable,
        "identifiesSite": column.site_identifying,
    })
}

fn type_name(column: &Column) -> &'static str {
    match column.logical_type {
        LogicalType::Integer => "integer",
        LogicalType::Number => "number",
        LogicalType::String => "string",
        LogicalType::Boolean => "boolean",
        LogicalType::Date => "date",
    }
}
