//! The true answers to the tour's questions, straight from the whole table with polars. No real consortium has them.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::data::heart;
use crate::Problem;

/// Per group key and output column, the true value.
pub type Truth = BTreeMap<(String, String), f64>;

/// The truths of the tour's questions, in their order.
pub fn truth() -> Result<Vec<Truth>, Problem> {
    all()
        .map_err(|error| Problem::local("embedded data", error))?
        .into_iter()
        .collect()
}

fn all() -> PolarsResult<Vec<Result<Truth, Problem>>> {
    let heart = || heart().map_err(|problem| polars_err!(ComputeError: "{}", problem.message));
    let by_sex = heart()?
        .filter(col("num").gt(lit(0)))
        .group_by([col("sex").alias("key")])
        .agg([
            len().cast(DataType::Float64).alias("patients"),
            col("age").cast(DataType::Float64).mean().alias("mean_age"),
        ])
        .collect()?;
    let rates = heart()?
        .select([
            lit("").alias("key"),
            col("thalch").cast(DataType::Float64).median().alias("median_rate"),
            col("thalch")
                .cast(DataType::Float64)
                .quantile(lit(0.9), QuantileMethod::Linear)
                .alias("rate_90"),
        ])
        .collect()?;
    let bands = heart()?
        .with_column(
            ((col("age").cast(DataType::Int64) / lit(10i64)) * lit(10i64))
                .cast(DataType::String)
                .alias("key"),
        )
        .group_by([col("key")])
        .agg([len().cast(DataType::Float64).alias("patients")])
        .collect()?;
    Ok([by_sex, rates, bands]
        .iter()
        .map(|frame| read(frame).map_err(|e| Problem::local("embedded data", e)))
        .collect())
}

fn read(frame: &DataFrame) -> PolarsResult<Truth> {
    let keys = frame.column("key")?.str()?;
    let mut truth = Truth::new();
    for column in frame.columns().iter().filter(|column| column.name() != "key") {
        for (key, value) in keys.iter().zip(column.f64()?.iter()) {
            if let (Some(key), Some(value)) = (key, value) {
                truth.insert((key.to_owned(), column.name().to_string()), value);
            }
        }
    }
    Ok(truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truths_are_those_of_the_published_table() {
        let truths = truth().unwrap();
        assert_eq!(truths.len(), crate::demo::QUESTIONS.len());
        let patients: f64 = ["Female", "Male"]
            .map(|sex| truths[0][&(sex.into(), "patients".into())])
            .iter()
            .sum();
        assert_eq!(patients, 509.0, "patients with num > 0");
        let all: f64 = truths[2].values().sum();
        assert_eq!(all, 920.0);
        assert!(truths[1].values().all(|rate| (60.0..220.0).contains(rate)));
    }
}
