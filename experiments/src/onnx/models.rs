//! Models of every kind with raw rows to predict: trained over the tables of the bench by the rounds of a real run, and
//! one with every coding and rule for missing values that a contract can have. Some seconds in all.

use governance::Contract;
use governance::canonical::Real;
use polars::prelude::{Column, DataFrame};
use sottovoce::train::predict;
use tests::learn::{Bench, DELTA, Encoded, Result, federated};
use workload::training::{ModelKind, TrainPlan, TrainTask, TrainedModel};

use super::rows;
use crate::data::{Data, read};

/// Enough for weights of which none is zero.
const ROUNDS: u32 = 20;
const EPSILON: f64 = 3.0;

pub struct Sample {
    pub name: &'static str,
    pub model: TrainedModel,
    /// Raw columns of the features.
    pub frame: DataFrame,
}

pub fn samples() -> Result<Vec<Sample>> {
    let mlp = |hidden: &[u32]| ModelKind::Mlp {
        hidden: hidden.to_vec(),
    };
    Ok(vec![
        trained("heart-linear", Data::Heart, ModelKind::Linear, None)?,
        trained("heart-logistic", Data::Heart, ModelKind::Logistic, Some(0.0))?,
        trained("heart-softmax", Data::Heart, ModelKind::Softmax, None)?,
        trained("heart-mlp", Data::Heart, mlp(&[16, 8]), Some(0.0))?,
        trained("rand-hie-linear", Data::RandHie, ModelKind::Linear, None)?,
        trained("adult-logistic", Data::Adult, ModelKind::Logistic, None)?,
        trained("mnist-mlp", Data::Mnist, mlp(&[32]), None)?,
        every_coding()?,
    ])
}

/// A run over the bench's sites, with noise.
fn trained(name: &'static str, data: Data, model: ModelKind, positive_above: Option<f64>) -> Result<Sample> {
    let mut bench: Bench = data.bench()?.with_model(model);
    bench.task.positive_above = positive_above.and_then(Real::new);
    bench.task.rounds = bench.task.rounds.min(ROUNDS);
    let encoded = Encoded::new(&bench, &read(&data.file())?)?;
    let split = encoded.split(1);
    let sites = split.sites.iter().map(|units| encoded.data(units));
    let run = federated(&bench.plan(EPSILON)?, &sites.collect::<Result<Vec<_>>>()?, 1, 0.0)?;
    if run.diverged {
        return Err(format!("{name} diverged").into());
    }
    let raw = rows::of(&run.model.encoder, &predict::read(&data.file())?)?;
    Ok(Sample {
        name,
        frame: rows::and_spoilt(&run.model.encoder, raw)?,
        model: run.model,
    })
}

const EVERY_CODING: &str = r#"
apiVersion = "v3.1.0"
kind = "DataContract"
name = "codings"
version = "1.0.0"
description = "Every coding and every rule for a missing value"
purposes = ["research"]

[privacy]
maxRows = 1000
delta = 1e-5

[schema]
properties = [
    { name = "required_number", logicalType = "number", required = true, logicalTypeOptions = { minimum = -0.3, maximum = 0.7 } },
    { name = "ignored_number", logicalType = "number", nulls = "ignore", logicalTypeOptions = { minimum = 1000000, maximum = 1000001 } },
    { name = "imputed_number", logicalType = "integer", nulls = { impute = 37 }, logicalTypeOptions = { minimum = 0, maximum = 100 } },
    { name = "ignored_date", logicalType = "date", nulls = "ignore", logicalTypeOptions = { minimum = 1930-01-01, maximum = 2030-01-01 } },
    { name = "imputed_date", logicalType = "date", nulls = { impute = 2001-02-03 }, logicalTypeOptions = { minimum = 2000-01-01, maximum = 2020-01-01 } },
    { name = "required_boolean", logicalType = "boolean", required = true },
    { name = "ignored_boolean", logicalType = "boolean", nulls = "ignore" },
    { name = "imputed_boolean", logicalType = "boolean", nulls = { impute = true } },
    { name = "required_category", logicalType = "string", required = true, categories = ["one"] },
    { name = "ignored_category", logicalType = "string", nulls = "ignore", categories = ["Zürich", "a, b", "say \"c\""] },
    { name = "imputed_category", logicalType = "string", nulls = { impute = "low" }, categories = ["high", "low"] },
    { name = "class", logicalType = "string", required = true, categories = ["x", "y", "z"] },
]
"#;

/// Not trained: weights of no use but none of them small, so that a feature that is off shows.
fn every_coding() -> Result<Sample> {
    let contract = Contract::parse(EVERY_CODING)?;
    let names: Vec<&str> = contract.columns.iter().map(|column| column.name.as_str()).collect();
    let (class, features) = names.split_last().ok_or("a contract without columns")?;
    let mlp = ModelKind::Mlp { hidden: vec![12] };
    let task = TrainTask::dp_sgd(features, class, mlp, 1);
    let terms = Data::Heart.bench()?.terms;
    let plan = TrainPlan::new(task, &contract, &terms, EPSILON, DELTA)?;
    let weights = plan.shape.initial(7).into_iter().zip((0..5).cycle());
    let model = TrainedModel::new(
        &plan,
        &weights.map(|(w, i)| w + f64::from(i - 2) / 8.0).collect::<Vec<f64>>(),
    );
    let rows = 500;
    let columns: Vec<Column> = model
        .encoder
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| rows::made_up(column, rows, i))
        .collect();
    Ok(Sample {
        name: "every-coding-mlp",
        frame: rows::and_spoilt(&model.encoder, DataFrame::new(rows, columns)?)?,
        model,
    })
}
