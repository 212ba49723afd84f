//! The contract of a dataset: what its columns are, what one person may weigh in it, and what it may be used for.
//!
//! Field names follow the Open Data Contract Standard v3.1 where it has one (name, version, schema.properties,
//! logicalType, required, logicalTypeOptions, classification); ours are `categories`, `nulls`, `queryable`, `identifiesSite`,
//! `unit` of a column, and the `[privacy]` table. A `Contract` exists only if it is valid; its terms are read through
//! `Deref`. It is named by the hash of its canonical JSON.

mod check;
pub mod compat;
mod file;
pub mod mock;
pub mod versions;
pub mod visibility;

use crate::{ContentHash, canonical, canonical::Real};
use serde::{Deserialize, Serialize};
use std::ops::Deref;

pub use file::spell_date;
pub use visibility::Visibility;

/// A valid contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    terms: Terms,
    /// Positions of the columns in order of name: rules look every column of a plan up, several times a round.
    by_name: Vec<u32>,
}

/// What a contract says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    pub name: String,
    pub version: String,
    pub description: String,
    pub columns: Vec<Column>,
    /// The column whose value is one person (or firm); `None`: a row is the unit. Rows where it is NULL are dropped.
    pub privacy_unit: Option<String>,
    pub contribution: Contribution,
    /// Rows that one participant may hold at most; public, and what rings and ticks are sized by.
    pub max_rows: u64,
    pub purposes: Vec<String>,
    pub delta: Real,
    /// What somebody who is not admitted may know. Absent from the canonical JSON where it is the default, so that contracts
    /// from before there was a choice keep their hashes.
    #[serde(default, skip_serializing_if = "Visibility::is_default")]
    pub visibility: Visibility,
}

/// What one unit may contribute at one participant, and at how many participants it may appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    pub max_rows: u32,
    pub max_groups: u32,
    pub rows_per_group: u32,
    pub participants: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub name: String,
    pub description: String,
    pub logical_type: LogicalType,
    /// Of a number, an integer or a date (as days since 1970-01-01). Without bounds a column cannot be aggregated.
    pub bounds: Option<Bounds>,
    /// The step between meaningful values, `multipleOf` in the file; integers and dates have 1.
    pub resolution: Option<Real>,
    pub categories: Vec<String>,
    pub nullable: bool,
    pub null_rule: NullRule,
    pub unit: Option<String>,
    pub classification: Option<String>,
    /// `false`: the owner publishes that the column exists and answers nothing about it.
    pub queryable: bool,
    /// A predicate on it would single out a participant.
    pub site_identifying: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogicalType {
    Integer,
    Number,
    String,
    Boolean,
    Date,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    pub min: Real,
    pub max: Real,
}

/// What a missing value means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NullRule {
    /// It stays NULL, and aggregates of the column leave the row out.
    Ignore,
    /// It reads as this constant everywhere, and the column is never NULL.
    Impute(Scalar),
}

/// A constant of a column's type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scalar {
    Number(Real),
    Text(String),
    Boolean(bool),
    /// Days since 1970-01-01.
    Date(i32),
}

/// Where an owner's version of a contract is in its life. Only an act moves it, and only forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Shown, and not asked under yet.
    Proposed,
    Active,
    /// Asked under until then, and retired after.
    Deprecated {
        until_ms: u64,
    },
    Retired,
}

/// What is wrong with a contract, and where. `line` is 0 when the text was not TOML of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ContractError {
    pub line: usize,
    pub message: String,
}

impl Contract {
    /// Reads the TOML file of a contract.
    pub fn parse(toml_text: &str) -> Result<Self, ContractError> {
        file::parse(toml_text).map(Self::of)
    }

    /// The inverse of `canonical_json`; checks everything `parse` checks.
    pub fn from_canonical_json(text: &str) -> Result<Self, ContractError> {
        let terms: Terms = serde_json::from_str(text).map_err(|e| ContractError {
            line: 0,
            message: e.to_string(),
        })?;
        check::check(&terms).map_err(|fault| ContractError {
            line: 0,
            message: fault.message,
        })?;
        Ok(Self::of(terms))
    }

    fn of(terms: Terms) -> Self {
        let mut by_name: Vec<u32> = (0..terms.columns.len() as u32).collect();
        by_name.sort_by(|a, b| terms.columns[*a as usize].name.cmp(&terms.columns[*b as usize].name));
        Self { terms, by_name }
    }

    /// A column by its name: a binary search, since a contract may have thousands.
    pub fn column(&self, name: &str) -> Option<&Column> {
        let of = |at: &u32| &self.terms.columns[*at as usize];
        let found = self
            .by_name
            .binary_search_by(|at| of(at).name.as_str().cmp(name))
            .ok()?;
        Some(of(&self.by_name[found]))
    }

    pub fn canonical_json(&self) -> String {
        // Unwrap safety: `Terms` holds strings, integers, booleans and finite `Real`s, all of which JSON can spell.
        canonical::to_string(&self.terms).expect("terms are spellable")
    }

    pub fn hash(&self) -> ContentHash {
        ContentHash::of("contract", &[self.canonical_json().as_bytes()])
    }
}

impl Deref for Contract {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl Column {
    /// Whether a NULL can be seen by a query.
    pub fn can_be_null(&self) -> bool {
        self.nullable && self.null_rule == NullRule::Ignore
    }
}
