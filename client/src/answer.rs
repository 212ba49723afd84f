//! An answer: the released table, who asked what, and the privacy receipt. It came signed by the coordinator; whether the
//! signature verifies with the key in the roster is told with every print.

use std::ops::Deref;

use serde_json::{Value, json};
use workload::query::{self, QueryTask, Table};

use crate::aim::Aim;
use crate::output::{Cell, Column, Kind, Sheet, json_rows, plain};
use crate::released::{Released, unreadable};
use crate::{Exit, Problem};

/// One released answer to a question in SQL.
#[derive(Clone, Debug)]
pub struct Answer {
    released: Released,
    table: Table,
    sql: String,
    notes: Vec<String>,
    aim: Option<Aim>,
}

impl Deref for Answer {
    type Target = Released;

    fn deref(&self) -> &Released {
        &self.released
    }
}

impl Answer {
    /// Reads the body of a question's release.
    pub fn of(released: Released) -> Result<Self, Problem> {
        if released.request().kind != query::KIND {
            let message = format!(
                "release {} is of kind `{}`, not a table",
                released.id(),
                released.request().kind
            );
            return Err(
                Problem::new(Exit::Usage, "SOTTO-7002", message).remedy("`sotto run report ID` reads a training run")
            );
        }
        let table: Table = serde_json::from_str(released.body()).map_err(unreadable)?;
        let task = QueryTask::from_task(&released.request().task).map_err(|refusal| unreadable(refusal.message))?;
        Ok(Self {
            released,
            table,
            sql: task.sql,
            notes: Vec::new(),
            aim: None,
        })
    }

    /// Adds what a reader must know beside the figures and the receipt: that the contract is on its way out.
    pub fn noted(mut self, note: Option<String>) -> Self {
        self.notes.extend(note);
        self
    }

    /// Compares it with the error that was asked for.
    pub fn aimed(mut self, target_error: Option<f64>) -> Self {
        self.aim = target_error.map(|asked| Aim::of(&self.table, asked));
        self
    }

    pub fn aim(&self) -> Option<&Aim> {
        self.aim.as_ref()
    }

    pub fn sql(&self) -> &str {
        &self.sql
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    pub fn sheet(&self) -> Sheet {
        sheet(&self.table)
    }

    /// The privacy statement in a few lines for people.
    pub fn statement(&self) -> String {
        let receipt = self.receipt();
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
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        text += &match self.repeated() {
            true => format!("release {}, answered before: this cost nothing", self.first_id()),
            false => format!("release {}; asking the same again is free", self.id()),
        };
        for flag in self.revoked_words() {
            text += &format!("\nWARNING: {flag}");
        }
        if !self.verified() {
            text += "\nWARNING: the release is not signed by the coordinator of your roster, or not proven to be in its log";
            if let Err(reason) = self.logged() {
                text += &format!("\n  {reason}");
            }
        }
        text
    }

    /// Rows and receipt as one object.
    pub fn to_json(&self) -> Value {
        json!({
            "release": self.id(),
            "dataset": self.dataset(),
            "sql": self.sql,
            "released_at_ms": self.released_at_ms(),
            "repeated": self.repeated(),
            "revoked_grants": self.revoked_json(),
            "signature_verified": self.verified(),
            "log_index": self.logged().ok().map(|logged| logged.index),
            "columns": self.table.columns,
            "rows": json_rows(&self.sheet()),
            "receipt": self.receipt_json(),
            "notes": self.notes,
            "target_error": self.aim.as_ref().map(Aim::to_json),
        })
    }
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
