//! A dataset of three columns in a folder of its own: who, a score, a note.
#![allow(dead_code)] // each suite uses its own part of it

use engine::CohortTerms;
use governance::Contract;
use polars::prelude::*;
use sotto_participant::config::Mapping;
use sotto_participant::data::{DataError, Dataset};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use workload::query::{BoundingKey, QueryPlan, compile};

pub fn key() -> BoundingKey {
    BoundingKey::new(&[5; 32])
}

pub fn plan(contract: &Contract, sql: &str) -> QueryPlan {
    let terms = CohortTerms { n: 4, c: 1, s_min: 3 };
    compile(sql, contract, &terms, 1.0, 1e-6).unwrap_or_else(|e| panic!("{}", e.render(sql)))
}

/// A contract whose `person` is of `logical_type`; with `unit` one row of each person counts.
pub fn contract(logical_type: &str, unit: bool) -> Contract {
    let unit = match unit {
        true => "unit = \"person\"\ncontribution = { rows = 1, groups = 1, rowsPerGroup = 1 }",
        false => "",
    };
    let text = format!(
        r#"apiVersion = "v3.1.0"
kind = "DataContract"
name = "visits"
version = "1.0.0"
purposes = ["research"]
[privacy]
{unit}
maxRows = 10000
delta = 1e-6
[[schema.properties]]
name = "person"
logicalType = "{logical_type}"
[[schema.properties]]
name = "score"
logicalType = "number"
logicalTypeOptions = {{ minimum = 0, maximum = 100 }}
[[schema.properties]]
name = "note"
logicalType = "string"
categories = ["x", "a, b", "say \"hi\""]
nulls = {{ impute = "x" }}
"#
    );
    Contract::parse(&text).unwrap()
}

pub struct Table {
    pub folder: TempDir,
}

impl Table {
    pub fn new<C: AsRef<[u8]>>(files: &[(&str, C)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Self { folder }
    }

    pub fn open(&self, contract: Contract) -> Result<Dataset, DataError> {
        let glob = self.folder.path().join("*").to_string_lossy().into_owned();
        Dataset::open(contract, &[glob], Mapping::default())
    }

    /// A Parquet file with one row for each of `people`.
    pub fn parquet(&self, person: Series) {
        let rows = person.len();
        let mut frame = df!("score" => vec![1.0; rows], "note" => vec!["x"; rows]).unwrap();
        frame
            .with_column(person.with_name("person".into()).into_column())
            .unwrap();
        write(&self.folder.path().join("x.parquet"), frame);
    }
}

fn write(path: &Path, mut frame: DataFrame) {
    ParquetWriter::new(fs::File::create(path).unwrap())
        .finish(&mut frame)
        .unwrap();
}
