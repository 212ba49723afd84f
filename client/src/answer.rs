//! An answer: the released table, who asked what, and the privacy receipt. It came signed by the coordinator; whether the
//! signature verifies with the key in the roster is told with every print.

use governance::{Request, Roster};
use proto::identity::Identity;
use proto::v1;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use workload::query::{self, QueryTask, Table};

use crate::output::{Cell, Column, Kind, Sheet, json_rows, plain};
use crate::{Exit, Problem};

/// One released answer.
#[derive(Clone, Debug)]
pub struct Answer {
    release: engine::Release,
    table: Table,
    sql: String,
    epsilon_asked: f64,
    released_at_ms: u64,
    verified: bool,
    repeated: bool,
}

impl Answer {
    /// Reads what the coordinator sent.
    pub(crate) fn read(release: v1::Release, identity: &Identity) -> Result<Self, Problem> {
        let broken = |what: String| {
            Problem::new(Exit::Unreachable, "SOTTO-7206", format!("unreadable release: {what}"))
                .remedy("compare versions with `sotto doctor`: the coordinator may be newer than this `sotto`")
        };
        let answer = proto::analysts::Answer::try_from(release).map_err(|error| broken(error.to_string()))?;
        let table: Table =
            serde_json::from_str(&answer.signed.release.body).map_err(|error| broken(error.to_string()))?;
        let request: Request =
            serde_json::from_slice(&answer.request.body).map_err(|error| broken(error.to_string()))?;
        let task = QueryTask::from_task(&request.task).map_err(|refusal| broken(refusal.message))?;
        Ok(Self {
            verified: verifies(&answer.signed, &identity.roster)
                && answer.request.hash() == answer.signed.release.request_hash,
            release: answer.signed.release,
            table,
            sql: task.sql,
            epsilon_asked: request.epsilon,
            released_at_ms: answer.released_at_ms,
            repeated: false,
        })
    }

    /// Marks the answer as one that was given before.
    pub(crate) fn again(mut self) -> Self {
        self.repeated = true;
        self
    }

    pub fn id(&self) -> String {
        self.release.id.to_string()
    }

    /// The release that holds the same table and was paid for: the earlier one if this is a repeat.
    pub fn first_id(&self) -> String {
        self.release.receipt.repeated.unwrap_or(self.release.id).to_string()
    }

    pub fn sql(&self) -> &str {
        &self.sql
    }

    pub fn dataset(&self) -> &str {
        &self.release.dataset
    }

    pub fn receipt(&self) -> &engine::Receipt {
        &self.release.receipt
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Whether this is a stored answer that cost nothing now.
    pub fn repeated(&self) -> bool {
        self.repeated || self.release.receipt.repeated.is_some()
    }

    /// Time of the release in UTC, to the minute.
    pub fn released(&self) -> String {
        let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        OffsetDateTime::from_unix_timestamp((self.released_at_ms / 1000) as i64)
            .ok()
            .and_then(|moment| moment.format(&format).ok())
            .unwrap_or_default()
    }

    /// The epsilon of the released answer; what was asked for where the receipt states none.
    pub fn epsilon(&self) -> f64 {
        self.release.receipt.epsilon.unwrap_or(self.epsilon_asked)
    }

    pub fn sheet(&self) -> Sheet {
        sheet(&self.table)
    }

    /// The privacy statement in a few lines for people.
    pub fn statement(&self) -> String {
        let receipt = &self.release.receipt;
        let epsilon = receipt
            .epsilon
            .map_or("unlimited (secure aggregation only)".to_owned(), plain);
        let mut text = format!(
            "epsilon {epsilon}, delta {:e}; protects {}: {}\n{} of {} participants in the sum, at least {} were needed; {}\n",
            receipt.delta,
            receipt.unit,
            receipt.neighbouring,
            receipt.contributors,
            receipt.members,
            receipt.s_min,
            receipt.mechanism,
        );
        for column in &self.table.columns {
            if let Some(note) = &column.note {
                text += &format!("{}: {note}\n", column.name);
            }
        }
        text += "intervals are 95 % and cover the noise only\n";
        text += &match self.repeated() {
            true => format!("release {}, answered before: this cost nothing", self.first_id()),
            false => format!("release {}; asking the same again is free", self.id()),
        };
        if !self.verified {
            text += "\nWARNING: the release is not signed by the coordinator of your roster";
        }
        text
    }

    /// Rows and receipt as one object.
    pub fn to_json(&self) -> Value {
        json!({
            "release": self.id(),
            "dataset": self.release.dataset,
            "sql": self.sql,
            "released_at_ms": self.released_at_ms,
            "repeated": self.repeated(),
            "signature_verified": self.verified,
            "columns": self.table.columns,
            "rows": json_rows(&self.sheet()),
            "receipt": receipt_json(&self.release.receipt),
        })
    }
}

/// The receipt with its figures as numbers; what is signed spells them as text, exactly.
fn receipt_json(receipt: &engine::Receipt) -> Value {
    let mut json = serde_json::to_value(receipt).unwrap_or_default();
    for figure in ["epsilon", "delta", "rho", "epsilon_charged"] {
        if let Some(number) = json[figure].as_str().and_then(|text| text.parse::<f64>().ok()) {
            json[figure] = Value::from(number);
        }
    }
    json
}

/// The coordinator's key is in the roster as bytes; the engine has its own type for it, with the same spelling.
fn verifies(signed: &engine::SignedRelease, roster: &Roster) -> bool {
    let key = Value::String(roster.coordinator.signing_key.to_string());
    serde_json::from_value(key).is_ok_and(|key| signed.verify(&key))
}

/// The table as a sheet: keys as they are, estimates with their intervals.
pub fn sheet(table: &Table) -> Sheet {
    let kind = |i: usize| {
        let mut cells = table.rows.iter().map(|row| &row[i]);
        let first = cells.find(|cell| !matches!(cell, query::Cell::Null));
        match first {
            Some(query::Cell::Estimate { .. }) => Kind::Estimate,
            Some(query::Cell::Number(_)) => Kind::Number,
            Some(query::Cell::Boolean(_)) => Kind::Boolean,
            _ => Kind::Text,
        }
    };
    let columns = table.columns.iter().enumerate();
    Sheet {
        columns: columns
            .map(|(i, column)| Column {
                name: column.name.clone(),
                kind: kind(i),
            })
            .collect(),
        rows: table.rows.iter().map(|row| row.iter().map(cell).collect()).collect(),
    }
}

fn cell(cell: &query::Cell) -> Cell {
    match cell {
        query::Cell::Null => Cell::Null,
        query::Cell::Number(value) => Cell::Number(*value),
        query::Cell::Text(text) => Cell::Text(text.clone()),
        query::Cell::Boolean(value) => Cell::Boolean(*value),
        query::Cell::Bin { low, high } => Cell::Text(format!("[{}, {})", plain(*low), plain(*high))),
        query::Cell::Estimate { value, low, high } => Cell::Estimate {
            value: *value,
            low: *low,
            high: *high,
        },
    }
}

#[cfg(test)]
mod tests {
    use workload::query::{Method, TableColumn};

    use super::*;

    #[test]
    fn keys_bins_and_estimates_become_typed_columns() {
        let column = |name: &str, method| TableColumn {
            name: name.into(),
            method,
            note: None,
        };
        let table = Table {
            columns: vec![column("band", Method::Exact), column("n", Method::Normal)],
            rows: vec![
                vec![
                    query::Cell::Bin { low: 40.0, high: 50.0 },
                    query::Cell::Estimate {
                        value: Some(12.0),
                        low: Some(10.0),
                        high: Some(14.0),
                    },
                ],
                vec![
                    query::Cell::Null,
                    query::Cell::Estimate {
                        value: None,
                        low: None,
                        high: None,
                    },
                ],
            ],
        };
        let sheet = sheet(&table);
        assert_eq!(sheet.columns[1].kind, Kind::Estimate);
        assert_eq!(sheet.rows[0][0], Cell::Text("[40, 50)".into()));
        assert_eq!(sheet.flat().columns.len(), 4);
    }
}
