//! The answer as the analyst sees it: a table whose estimates carry their 95 % interval. Its canonical JSON is the body of
//! the engine's release, which carries the one privacy statement.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub columns: Vec<TableColumn>,
    pub rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableColumn {
    pub name: String,
    pub method: Method,
    /// What a reader must know beside the name, such as that MIN is a quantile.
    pub note: Option<String>,
}

/// How the intervals of a column are made. They cover noise only, not the sampling of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// No noise: a key or a constant.
    Exact,
    /// Linear in the noise: its exact standard deviation times 1.96.
    Normal,
    /// A ratio of a sum and a count: Fieller's interval, within the bounds of the contract.
    Fieller,
    /// First-order error propagation.
    Delta,
    /// Edges whose rank is within the noise of the rank sought, widened to whole leaves.
    Rank,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    Null,
    Number(f64),
    Text(String),
    Boolean(bool),
    /// A key of BIN: `[low, high)`.
    Bin {
        low: f64,
        high: f64,
    },
    /// `value` is null where noise leaves nothing to say; `low` and `high` where nothing bounds it.
    Estimate {
        value: Option<f64>,
        low: Option<f64>,
        high: Option<f64>,
    },
}

impl Cell {
    /// Half the width of the interval, where there is one.
    pub fn half_width(&self) -> Option<f64> {
        match self {
            Cell::Estimate {
                low: Some(low),
                high: Some(high),
                ..
            } => Some((high - low) / 2.0),
            _ => None,
        }
    }
}

/// What an answer would look like, from public figures alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// Rows of the answer before HAVING and LIMIT.
    pub rows: usize,
    pub assumption: String,
    pub columns: Vec<PredictedColumn>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedColumn {
    pub name: String,
    pub method: Method,
    /// Expected half-width of the 95 % interval; `None` for keys and constants.
    pub half_width: Option<f64>,
    pub note: Option<String>,
}
