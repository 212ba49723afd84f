//! A participant's local data as its contract describes it, whatever the files look like.
//!
//! `Dataset::open` finds the files, compares every file's schema with the contract and the mapping, and refuses by name of
//! file and column; it reads every row once, to refuse files whose rows cannot all be read each by itself (`files.rs`).
//! What is opened delivers typed columns lazily (`Source`): every conversion is total, a value that does not convert is
//! NULL. So no error of a question can depend on a value, as long as the files stay as they were (`unchanged`).
//! Errors and reports hold names and counts, never values. Only local files are opened (config refuses schemes).

mod check;
mod elementwise;
mod files;
mod lines;
mod mapping;
mod table;
mod versions;

use crate::config;
use files::FileSet;
use governance::{ContentHash, Contract};
use polars::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use check::{ColumnReport, Report};
pub use elementwise::{map_options, map_values};
pub use mapping::TypeMismatch;
pub(crate) use table::Table;
pub use versions::{Version, versions};

/// Files that match a contract.
#[derive(Clone)]
pub struct Dataset {
    contract: Contract,
    mapping: config::Mapping,
    files: FileSet,
}

/// Files of one format and schema: one scan.
pub struct Source<'a> {
    /// Every column, under its name in the files.
    pub frame: LazyFrame,
    schema: SchemaRef,
    dataset: &'a Dataset,
}

/// Why a dataset cannot be served. Never says anything about a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    #[error("contract {} cannot be read: {message}", .path.display())]
    Contract { path: PathBuf, message: String },
    #[error("contract {} is of `{found}`: expected another version of `{expected}`; give `{found}` a [[dataset]] of its own", .path.display())]
    OtherName {
        path: PathBuf,
        expected: String,
        found: String,
    },
    #[error("contract {} is version {version} again: give it a version of its own", .path.display())]
    SameVersion { path: PathBuf, version: String },
    #[error("no file matches `{glob}`: correct files in the configuration")]
    NoFile { glob: String },
    #[error("{} cannot be read: {message}", .path.display())]
    Unreadable { path: PathBuf, message: String },
    #[error("{} line {number} is not one record: {fault}", .path.display())]
    Line {
        path: PathBuf,
        number: u64,
        fault: &'static str,
    },
    #[error("column `{column}` is missing in {}: it is looked for as `{physical}`; add a line to [dataset.rename]", .path.display())]
    MissingColumn {
        path: PathBuf,
        column: String,
        physical: String,
    },
    #[error("column `{column}` in {} is {mismatch}", .path.display())]
    Type {
        path: PathBuf,
        column: String,
        mismatch: TypeMismatch,
    },
    #[error("[dataset.{table}] names `{column}`, which is not a column of the contract")]
    UnknownColumn { table: &'static str, column: String },
    #[error("[dataset.units] names `{column}`, which is not a number in the contract")]
    UnitOfText { column: String },
    #[error("{} changed since it was checked: it is read again within `reopen_s`; `sotto-participant check` says whether it will be served", .path.display())]
    Changed { path: PathBuf },
}

impl Dataset {
    /// The contract alone, whatever the files are like.
    pub fn contract_of(dataset: &config::Dataset) -> Result<Contract, DataError> {
        let unreadable = |message: String| DataError::Contract {
            path: dataset.contract.clone(),
            message,
        };
        let text = std::fs::read_to_string(&dataset.contract).map_err(|e| unreadable(e.to_string()))?;
        Contract::parse(&text).map_err(|e| unreadable(e.to_string()))
    }

    /// Finds the files, reads them through once and compares their schemas with the contract.
    pub fn open(contract: Contract, globs: &[String], mapping: config::Mapping) -> Result<Self, DataError> {
        known_columns(&contract, &mapping)?;
        let files = FileSet::find(globs)?;
        let dataset = Self {
            contract,
            mapping,
            files,
        };
        for (path, schema) in dataset.files.schemas() {
            dataset.match_schema(path, schema)?;
        }
        Ok(dataset)
    }

    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Names the state of the data: file names, sizes, modification times, schemas, mapping and contract. Reads no rows.
    /// Keyed, because it leaves this machine: without the key nobody can try out sizes and times until one fits.
    pub fn snapshot(&self, key: &[u8; 32]) -> ContentHash {
        let mapping = format!("{:?}", self.mapping);
        let state = ContentHash::of(
            "snapshot",
            &[
                self.contract.hash().as_bytes(),
                mapping.as_bytes(),
                self.files.fingerprint().as_bytes(),
            ],
        );
        ContentHash(*blake3::keyed_hash(key, &state.0).as_bytes())
    }

    /// Refuses if a file was changed, removed or added since `open`. Costs a `stat` per file.
    pub fn unchanged(&self) -> Result<(), DataError> {
        self.files.unchanged()
    }

    /// One scan per format and schema; usually one.
    pub fn sources(&self) -> Result<Vec<Source<'_>>, DataError> {
        let scans = self.files.scans()?;
        Ok(scans
            .into_iter()
            .map(|(frame, schema)| Source {
                frame,
                schema,
                dataset: self,
            })
            .collect())
    }

    /// The column's name in the files.
    fn physical<'a>(&'a self, column: &'a str) -> &'a str {
        self.mapping.rename.get(column).map_or(column, String::as_str)
    }

    fn match_schema(&self, path: &Path, schema: &Schema) -> Result<(), DataError> {
        for column in &self.contract.columns {
            let physical = self.physical(&column.name);
            let found = schema.get(physical).ok_or_else(|| DataError::MissingColumn {
                path: path.to_owned(),
                column: column.name.clone(),
                physical: physical.to_owned(),
            })?;
            mapping::convertible(column.logical_type, found).map_err(|mismatch| DataError::Type {
                path: path.to_owned(),
                column: column.name.clone(),
                mismatch,
            })?;
        }
        Ok(())
    }
}

impl Source<'_> {
    /// Some column of the files, for a query that reads none but counts rows.
    pub fn any_column(&self) -> Option<Expr> {
        self.schema.iter_names().next().map(|name| col(name.clone()))
    }

    /// The contract's column: Float64 for numbers and integers, Int32 days for dates, String, Boolean. NULL where the file
    /// has a null code or something that does not convert.
    pub fn column(&self, name: &str) -> Option<Expr> {
        let column = self.dataset.contract.column(name)?;
        let physical = self.dataset.physical(name);
        let dtype = self.schema.get(physical)?;
        Some(mapping::mapped(col(physical), dtype, column, &self.dataset.mapping))
    }

    /// The column as ids of the privacy unit: of one type in all sources (Int64, String, Int32 or Boolean), never by way of
    /// a float, which would make one person of two.
    pub fn unit(&self, name: &str) -> Option<Expr> {
        let (dataset, physical) = (self.dataset, self.dataset.physical(name));
        let column = dataset.contract.column(name)?;
        let narrow = |dtype: &DataType| mapping::is_narrow_id(dtype, column, &dataset.mapping);
        let all = dataset
            .files
            .schemas()
            .all(|(_, schema)| schema.get(physical).is_some_and(narrow));
        Some(mapping::unit_id(
            col(physical),
            self.schema.get(physical)?,
            column,
            &dataset.mapping,
            all,
        ))
    }
}

fn known_columns(contract: &Contract, mapping: &config::Mapping) -> Result<(), DataError> {
    let known: BTreeSet<&str> = contract.columns.iter().map(|c| c.name.as_str()).collect();
    let tables: [(&'static str, Vec<&String>); 4] = [
        ("rename", mapping.rename.keys().collect()),
        ("nulls", mapping.nulls.keys().collect()),
        ("categories", mapping.categories.keys().collect()),
        ("units", mapping.units.keys().collect()),
    ];
    for (table, keys) in tables {
        if let Some(column) = keys.into_iter().find(|k| !known.contains(k.as_str())) {
            return Err(DataError::UnknownColumn {
                table,
                column: column.clone(),
            });
        }
    }
    match mapping
        .units
        .keys()
        .find(|c| contract.column(c).is_some_and(|c| !mapping::is_number(c.logical_type)))
    {
        Some(column) => Err(DataError::UnitOfText { column: column.clone() }),
        None => Ok(()),
    }
}
