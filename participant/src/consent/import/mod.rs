//! Files of consents, read whole or not at all: CSV and Parquet tables ([`table`]), FHIR R5 `Consent` resources ([`fhir`]).
//!
//! Whatever is wrong is refused with its line, and then nothing of the file is taken: a consent that was half understood could
//! be a permit that nobody gave. Errors name lines and quote at most a purpose or a code, never a unit.

mod fhir;
mod json_lines;
mod table;

use super::instant::Instant;
use super::register::Choice;
use super::terms::{BadChoice, People, Terms};
use std::fmt;
use std::path::{Path, PathBuf};

/// One decision of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub at: Place,
    /// As the file spells it.
    pub unit: String,
    pub choice: Choice,
    /// When, where the file says so to the day.
    pub decided: Option<Instant>,
}

/// Where in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Line(u64),
    /// Of a Parquet file, from 1.
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("{}: {reason}; nothing was imported", .path.display())]
    File { path: PathBuf, reason: String },
    #[error("{} {at}: {fault}; nothing was imported", .path.display())]
    At { path: PathBuf, at: Place, fault: Fault },
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it names no unit: expected an id as in the data")]
    NoUnit,
    #[error("its unit has white space around it, which makes it another id than the data's: take that out")]
    Spaces,
    #[error(
        "its unit withdrew what it gives, all or a part, here, and the file may be older than that: say in `decided` (FHIR: `date`) on which later day consent was given again, or import with --overrule-withdrawals"
    )]
    Withdrawn,
    #[error("its unit was decided about before, {first}: leave one decision for each unit")]
    Duplicate { first: Place },
    #[error("`{column}` is no date: expected 2027-01-31, or an instant such as 2027-01-31T12:00:00Z")]
    Date { column: &'static str },
    #[error("unknown status `{found}`: expected {expected}")]
    Status { found: String, expected: &'static str },
    #[error(transparent)]
    Choice(#[from] BadChoice),
    /// A resource says something that is not understood, so it permits nothing.
    #[error("{0}")]
    NotUnderstood(String),
}

/// Every decision of a file, in its order.
pub fn read(path: &Path, terms: &Terms, people: &People) -> Result<Vec<Decision>, ImportError> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "csv" | "parquet" | "pq" => table::read(path, terms, people),
        "json" | "ndjson" => {
            let text = std::fs::read_to_string(path).map_err(|error| ImportError::File {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
            let read = match ending.eq_ignore_ascii_case("ndjson") {
                true => json_lines::per_line(&text),
                false => json_lines::resources(&text),
            };
            let placed = |(at, fault)| ImportError::At {
                path: path.to_owned(),
                at,
                fault,
            };
            let resources = read.map_err(placed)?;
            let decide = |(line, resource): (u64, serde_json::Value)| {
                let at = Place::Line(line);
                let (unit, choice) = fhir::decision(&resource, terms, people).map_err(|fault| placed((at, fault)))?;
                let decided = fhir::decided(&resource);
                Ok(Decision {
                    at,
                    unit,
                    choice,
                    decided,
                })
            };
            resources.into_iter().map(decide).collect()
        }
        _ => Err(ImportError::File {
            path: path.to_owned(),
            reason: "expected an ending of .csv, .parquet, .pq, .json or .ndjson".to_owned(),
        }),
    }
}
