//! `--target-error` against the answer that came: the epsilon was found for groups that are as large as the contract allows, and
//! a ratio over fewer rows has a wider interval. Read off the released table, so it tells nothing that the answer does not.

use serde_json::{Value, json};
use workload::query::{Cell, Table};

/// The error that was asked for, and the columns that do not keep to it, each with its widest interval; none: nothing bounds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Aim {
    asked: f64,
    missed: Vec<(String, Option<f64>)>,
}

impl Aim {
    pub fn of(table: &Table, asked: f64) -> Self {
        let missed = table.columns.iter().enumerate().filter_map(|(i, column)| {
            let estimates = table.rows.iter().map(|row| &row[i]);
            let estimates = estimates.filter(|cell| matches!(cell, Cell::Estimate { .. }));
            let widths: Option<Vec<f64>> = estimates.map(Cell::half_width).collect();
            let widest = widths.map(|widths| widths.into_iter().fold(0.0, f64::max));
            (widest.is_none_or(|widest| widest > asked)).then(|| (column.name.clone(), widest))
        });
        let missed = missed.collect();
        Self { asked, missed }
    }

    /// What the analyst must know, if the error was not reached. `assumed` is what the epsilon was found for.
    pub fn warning(&self, assumed: &str) -> Option<String> {
        let widest = |(name, widest): &(String, Option<f64>)| match widest {
            Some(widest) => format!("{name} is +/- {} at its widest", crate::output::plain(*widest)),
            None => format!("noise leaves no bound for {name}"),
        };
        let missed: Vec<String> = self.missed.iter().map(widest).collect();
        (!missed.is_empty()).then(|| {
            format!(
                "--target-error {} is not reached: {}; the epsilon was found for {assumed}, and fewer rows give wider intervals: fewer groups \
                 or a larger --epsilon narrow them, as a new question at its own cost",
                crate::output::plain(self.asked),
                missed.join(", ")
            )
        })
    }

    pub fn to_json(&self) -> Value {
        let missed = self.missed.iter();
        let missed = missed.map(|(name, widest)| json!({ "column": name, "widest": widest }));
        json!({ "asked": self.asked, "reached": self.missed.is_empty(), "missed": missed.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use workload::query::{Method, TableColumn};

    use super::*;

    /// A key, a count and a mean, in two groups.
    fn table(mean: [Option<f64>; 2]) -> Table {
        let column = |name: &str, method| TableColumn {
            name: name.to_owned(),
            method,
            note: None,
        };
        let estimate = |half: Option<f64>| Cell::Estimate {
            value: Some(10.0),
            low: half.map(|half| 10.0 - half),
            high: half.map(|half| 10.0 + half),
        };
        let row = |key: &str, mean| vec![Cell::Text(key.to_owned()), estimate(Some(4.0)), estimate(mean)];
        Table {
            columns: vec![
                column("sex", Method::Exact),
                column("n", Method::Normal),
                column("avg_chol", Method::Fieller),
            ],
            rows: vec![row("Female", mean[0]), row("Male", mean[1])],
        }
    }

    #[test]
    fn an_interval_that_is_wider_than_asked_is_told_with_its_column() {
        let missed = Aim::of(&table([Some(7.5), Some(2.0)]), 5.0);
        let warning = missed.warning("1000 rows each").unwrap();
        assert!(
            warning.starts_with("--target-error 5 is not reached: avg_chol is +/- 7.5"),
            "{warning}"
        );
        assert!(warning.contains("found for 1000 rows each"), "{warning}");
        let told = missed.to_json();
        assert_eq!(
            (&told["reached"], &told["missed"][0]["widest"]),
            (&false.into(), &7.5.into())
        );
        let unbounded = Aim::of(&table([None, Some(2.0)]), 5.0);
        assert!(unbounded.warning("").unwrap().contains("no bound for avg_chol"));
    }

    #[test]
    fn what_was_reached_is_no_warning() {
        let reached = Aim::of(&table([Some(5.0), Some(2.0)]), 5.0);
        assert_eq!(reached.warning(""), None);
        assert_eq!(reached.to_json()["reached"], true);
    }
}
