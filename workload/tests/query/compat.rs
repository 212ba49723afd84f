//! The verdicts of `governance::contract::compat` against what a question really does: every edit of its table, a battery of
//! questions, and made-up rows that honour the contract a question was written for. A verdict that lets questions through
//! must be kept by the compiler and by the answers; one that does not must have a question that shows why.

use super::common::{TERMS, answer};
use edits::{BASE, EDITS, edited};
use governance::contract::compat::{Claim, Verdict, claim, compare, overall};
use governance::contract::mock;
use governance::{Contract, Scalar};
use std::collections::BTreeMap;
use workload::query::{Cell, Method, QueryPlan, Row, Table, Value, compile};

#[path = "../../../governance/tests/compat/edits.rs"]
mod edits;

const BATTERY: &[&str] = &[
    "SELECT COUNT(*), AVG(age), SUM(dose), AVG(chol), COUNT(chol), STDDEV(dose) FROM clinic",
    "SELECT ward, COUNT(*), AVG(dose) FROM clinic GROUP BY ward",
    "SELECT ward, COUNT(*) FROM clinic GROUP BY ward LIMIT 1",
    "SELECT COUNT(*) FROM clinic WHERE ward = 'A'",
    "SELECT COUNT(*) FROM clinic WHERE ward = 'C'",
    "SELECT COUNT(*) FROM clinic WHERE ward = 'D'",
    "SELECT age, COUNT(*) FROM clinic GROUP BY age",
    "SELECT AVG(age) FROM clinic WHERE age > 50",
    "SELECT COUNT(*) FROM clinic WHERE age IS NULL",
    "SELECT chol, COUNT(*) FROM clinic GROUP BY chol",
    "SELECT SUM(age / dose) FROM clinic",
    "SELECT MEDIAN(dose) FROM clinic",
    "SELECT MEDIAN(chol) FROM clinic",
    "SELECT COUNT(*) FROM clinic WHERE weight > 500",
    "SELECT AVG(weight) FROM clinic",
    "SELECT COUNT(*) FROM clinic WHERE code LIKE 'code%'",
    "SELECT code, COUNT(*) FROM clinic GROUP BY code",
    "SELECT AVG(code) FROM clinic",
    "SELECT smoker, COUNT(*) FROM clinic GROUP BY smoker",
    "SELECT COUNT(*) FROM clinic WHERE smokes",
    "SELECT COUNT(*) FROM clinic WHERE \"Smoker\"",
    "SELECT COUNT(*) FROM clinic WHERE \"smoker\"",
    "SELECT EXTRACT(YEAR FROM seen) AS y, COUNT(*) FROM clinic GROUP BY y",
    "SELECT COUNT(*) FROM clinic WHERE seen < '2019-01-01'",
    "SELECT site, COUNT(*) FROM clinic GROUP BY site",
    "SELECT AVG(secret) FROM clinic",
    "SELECT COUNT(DISTINCT person) FROM clinic",
    "SELECT COUNT(*) FROM clinic WHERE sex = 'f'",
];

/// Edits whose trouble no question over these rows shows, and where it lies instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("a purpose more", "in the decision of a participant"),
    ("a purpose less", "in the decision of a participant"),
    ("a purpose for another", "in the decision of a participant"),
    ("only a smaller delta is allowed", "in the delta of a request"),
    ("a larger delta is allowed", "in the delta of a request"),
    ("only smaller files are allowed", "in a file of more rows than these"),
    ("larger files are allowed", "in a file of more rows than these"),
    (
        "ids of the unit become text",
        "in ids that are one number and two texts",
    ),
    ("more rows of a unit count", "in a unit of more rows than these"),
    ("fewer rows of a unit count", "in a unit of more rows than these"),
    ("a unit may be in fewer groups", "in a unit in more groups than these"),
    ("more rows, in fewer groups", "in a unit of more rows, in more groups"),
    ("a unit is at one participant only", "in a unit at two"),
    ("a unit may be at more participants", "in a unit at three"),
    ("a finer step", "in quantiles, which are exact to a step"),
    ("a coarser step", "in quantiles, which are exact to a step"),
    (
        "a step that crosses the old one",
        "in quantiles, which are exact to a step",
    ),
    ("no step any more", "in quantiles, which are exact to a step"),
    (
        "an imputed column is never missing",
        "in a constant other than false, which stands in where NULL breaks a contract",
    ),
    ("another unit of measure", "in what a person makes of the number"),
];

fn contract(text: &str) -> Contract {
    Contract::parse(text).unwrap()
}

/// A fine lattice, so that answers differ by what a contract says and not by rounding.
fn ask(sql: &str, contract: &Contract) -> Option<QueryPlan> {
    compile(sql, contract, &TERMS, 20.0, 1e-7).ok()
}

/// Rows that honour a contract, with no unit beyond any of its limits.
fn honest(contract: &Contract) -> Vec<Vec<Row>> {
    let limits = &contract.contribution;
    let most = limits.max_rows.min(limits.max_groups).min(limits.rows_per_group);
    let value = |cell: Option<Scalar>| match cell {
        None => Value::Null,
        Some(Scalar::Number(x)) => Value::Number(x.get()),
        Some(Scalar::Text(text)) => Value::Text(text),
        Some(Scalar::Boolean(b)) => Value::Boolean(b),
        Some(Scalar::Date(days)) => Value::Date(days),
    };
    let mut rows_of: BTreeMap<String, u32> = BTreeMap::new();
    let twin = mock::rows(contract, 100, 5).unwrap();
    let named = twin.into_iter().map(|cells| -> Row {
        let names = contract.columns.iter().map(|column| column.name.clone());
        names.zip(cells.into_iter().map(value)).collect()
    });
    let rows = named.filter(|row| match &contract.privacy_unit {
        None => true,
        Some(unit) => {
            let seen = rows_of.entry(format!("{:?}", row[unit])).or_default();
            *seen += 1;
            *seen <= most
        }
    });
    vec![rows.collect(), vec![], vec![], vec![]]
}

/// The figures of a table by its keys.
fn figures(table: &Table) -> BTreeMap<String, Vec<Option<f64>>> {
    let keys = |row: &[Cell]| {
        let exact = table.columns.iter().zip(row).filter(|(c, _)| c.method == Method::Exact);
        format!("{:?}", exact.map(|(_, cell)| cell).collect::<Vec<_>>())
    };
    let measured = |row: &[Cell]| {
        let measured = table.columns.iter().zip(row).filter(|(c, _)| c.method != Method::Exact);
        let figure = |cell: &Cell| match cell {
            Cell::Estimate { value, .. } => *value,
            Cell::Number(x) => Some(*x),
            _ => None,
        };
        measured.map(|(_, cell)| figure(cell)).collect()
    };
    table.rows.iter().map(|row| (keys(row), measured(row))).collect()
}

fn close(a: &[Option<f64>], b: &[Option<f64>]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|pair| match pair {
            (Some(a), Some(b)) => (a - b).abs() <= 0.02 * a.abs().max(1.0),
            (a, b) => a == b,
        })
}

/// The first question written for `from` that does not work, or means something else, under `to`.
fn broken(from: &Contract, to: &Contract) -> Option<String> {
    let data = honest(from);
    BATTERY.iter().find_map(|sql| {
        let before = ask(sql, from)?;
        let Some(after) = ask(sql, to) else {
            return Some(format!("{sql}: refused"));
        };
        let (before, after) = (figures(&answer(&before, &data)), figures(&answer(&after, &data)));
        let lost = before
            .iter()
            .find(|(keys, figures)| !after.get(*keys).is_some_and(|now| close(figures, now)))?;
        Some(format!("{sql}: {lost:?}, now {:?}", after.get(lost.0)))
    })
}

#[test]
fn a_verdict_is_what_questions_and_their_answers_show() {
    let base = contract(BASE);
    let mut wrong = String::new();
    for edit in EDITS {
        let new = contract(&edited(edit));
        let verdict = overall(&compare(&base, &new));
        let ways = [
            (verdict.is_backward(), broken(&base, &new)),
            (verdict.is_forward(), broken(&new, &base)),
        ];
        for question in ways.iter().filter_map(|(kept, shown)| shown.as_ref().filter(|_| *kept)) {
            wrong += &format!("{} is {verdict}, but {question}\n", edit.0);
        }
        let shown = ways.iter().any(|(kept, shown)| !kept && shown.is_some());
        let elsewhere = ELSEWHERE.iter().any(|(what, _)| *what == edit.0);
        if verdict != Verdict::Full && shown == elsewhere {
            wrong += &format!(
                "{} is {verdict}: shown by a question {shown}, listed as elsewhere {elsewhere}\n",
                edit.0
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_same_claim_means_the_same_sensitivity_of_every_question() {
    let base = contract(BASE);
    for edit in EDITS {
        let new = contract(&edited(edit));
        if claim(&compare(&base, &new)) != Claim::Same {
            continue;
        }
        for (before, after) in BATTERY
            .iter()
            .filter_map(|sql| Some((ask(sql, &base)?, ask(sql, &new)?)))
        {
            let moved = |plan: &QueryPlan| (plan.noise.l2_squared, plan.noise.l1, plan.unit.clone());
            assert_eq!(moved(&before), moved(&after), "{}", edit.0);
        }
    }
}
