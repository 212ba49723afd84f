//! Twins: rows that a contract allows, made of nothing but the contract.

use std::collections::BTreeMap;

use governance::contract::mock::{MISSING, MockError, MockRow, rows};
use governance::{Column, Contract, LogicalType, Scalar};
use proptest::prelude::*;

#[path = "compat/edits.rs"]
mod edits;

const HEART: &str = include_str!("../contracts/heart.toml");
const HIE: &str = include_str!("../contracts/hie.toml");

fn contract(text: &str) -> Contract {
    Contract::parse(text).unwrap()
}

fn position(contract: &Contract, name: &str) -> usize {
    contract.columns.iter().position(|column| column.name == name).unwrap()
}

/// What a column may hold, in the words of its contract.
fn allows(column: &Column, cell: &Option<Scalar>) -> bool {
    let within = |x: f64| column.bounds.is_none_or(|b| b.min.get() <= x && x <= b.max.get());
    match (column.logical_type, cell) {
        (_, None) => column.nullable,
        (LogicalType::String, Some(Scalar::Text(text))) => {
            column.categories.is_empty() || column.categories.contains(text)
        }
        (LogicalType::Boolean, Some(Scalar::Boolean(_))) => true,
        (LogicalType::Date, Some(Scalar::Date(days))) => within(f64::from(*days)),
        (LogicalType::Integer, Some(Scalar::Number(x))) => x.get().fract() == 0.0 && within(x.get()),
        (LogicalType::Number, Some(Scalar::Number(x))) => {
            let steps = column.resolution.map_or(0.0, |step| x.get() / step.get());
            within(x.get()) && (steps - steps.round()).abs() < 1e-9
        }
        _ => false,
    }
}

fn honours(contract: &Contract, twin: &[MockRow]) {
    for row in twin {
        assert_eq!(row.len(), contract.columns.len());
        for (column, cell) in contract.columns.iter().zip(row) {
            assert!(allows(column, cell), "{}: {cell:?}", column.name);
        }
    }
    let Some(unit) = contract.privacy_unit.as_deref() else {
        return;
    };
    let mut rows_of: BTreeMap<String, u32> = BTreeMap::new();
    for row in twin {
        let id = row[position(contract, unit)].as_ref().expect("every row has a unit");
        *rows_of.entry(format!("{id:?}")).or_default() += 1;
    }
    let most = rows_of.values().max().copied().unwrap_or(0);
    assert!(most <= contract.contribution.max_rows, "a unit with {most} rows");
}

#[test]
fn a_twin_honours_its_contract() {
    for text in [HEART, HIE, edits::BASE] {
        let contract = contract(text);
        honours(&contract, &rows(&contract, 500, 7).unwrap());
        assert_eq!(rows(&contract, 0, 7).unwrap(), Vec::<MockRow>::new());
    }
    for edit in edits::EDITS {
        let contract = contract(&edits::edited(edit));
        honours(&contract, &rows(&contract, 100, 7).unwrap());
    }
}

#[test]
fn a_unit_has_several_rows_where_the_contract_lets_several_count() {
    let hie = contract(HIE);
    let unit = position(&hie, "zper");
    let twin = rows(&hie, 1000, 0).unwrap();
    let mut rows_of: BTreeMap<String, usize> = BTreeMap::new();
    for row in &twin {
        *rows_of.entry(format!("{:?}", row[unit])).or_default() += 1;
    }
    let sizes: Vec<usize> = (1..=5)
        .map(|n| rows_of.values().filter(|rows| **rows == n).count())
        .collect();
    assert!(
        sizes.iter().all(|units| *units > 0),
        "units with 1 to 5 rows: {sizes:?}"
    );
}

#[test]
fn everything_that_may_be_is_and_about_as_often_as_everything_else() {
    let heart = contract(HEART);
    let twin = rows(&heart, 1000, 3).unwrap();
    let cells = |name: &str| {
        let at = position(&heart, name);
        twin.iter().map(move |row| &row[at])
    };
    for category in &heart.column("cp").unwrap().categories {
        let found = cells("cp")
            .filter(|cell| **cell == Some(Scalar::Text(category.clone())))
            .count();
        // 250 of 1000, standard deviation 14.
        assert!((180..=320).contains(&found), "{category}: {found}");
    }
    let missing = cells("chol").filter(|cell| cell.is_none()).count() as f64;
    assert!((missing / 1000.0 - MISSING).abs() < 0.05, "{missing}");
    let number = |cell: &Option<Scalar>| match cell {
        Some(Scalar::Number(x)) => x.get(),
        _ => panic!("age is never missing"),
    };
    let ages: Vec<f64> = cells("age").map(number).collect();
    let mean = ages.iter().sum::<f64>() / 1000.0;
    assert!((mean - 55.0).abs() < 3.0, "{mean}");
    assert!(ages.contains(&20.0) && ages.contains(&90.0));
}

#[test]
fn the_seed_decides_and_nothing_else_does() {
    let heart = contract(HEART);
    let twin = rows(&heart, 200, 1).unwrap();
    assert_eq!(twin, rows(&heart, 200, 1).unwrap());
    assert_ne!(twin, rows(&heart, 200, 2).unwrap());
    // Another version of the contract: only the column that changed changes.
    let wider = contract(
        &HEART
            .replace("maximum = 620", "maximum = 700")
            .replace("1.0.0", "1.1.0"),
    );
    let chol = position(&heart, "chol");
    let without = |twin: Vec<MockRow>| -> Vec<MockRow> {
        let rest = |row: MockRow| {
            row.into_iter()
                .enumerate()
                .filter(|(i, _)| *i != chol)
                .map(|(_, cell)| cell)
        };
        twin.into_iter().map(|row| rest(row).collect()).collect()
    };
    let other = rows(&wider, 200, 1).unwrap();
    assert_ne!(twin, other);
    assert_eq!(without(twin), without(other));
}

#[test]
fn more_rows_than_the_contract_allows_are_refused_with_the_number_that_it_allows() {
    let heart = contract(HEART);
    let error = rows(&heart, 1001, 0).unwrap_err();
    assert_eq!(
        error,
        MockError::Rows {
            asked: 1001,
            most: 1000
        }
    );
    let few = "name = \"person\"\nlogicalTypeOptions = { minimum = 11, maximum = 15 }";
    let few = contract(&edits::BASE.replace("name = \"person\"", few));
    honours(&few, &rows(&few, 20, 0).unwrap());
    let error = rows(&few, 21, 0).unwrap_err();
    assert!(error.to_string().ends_with("at most 20 rows"), "{error}");
}

proptest! {
    #[test]
    fn whatever_the_number_of_rows_and_the_seed(count in 0u64..300, seed: u64, most in 1u32..6) {
        let limits = format!("rows = {most}, groups = {most}, rowsPerGroup = 1, participants = 2");
        let text = edits::BASE.replace("rows = 4, groups = 4, rowsPerGroup = 2, participants = 2", &limits);
        let contract = contract(&text);
        let twin = rows(&contract, count, seed).unwrap();
        prop_assert_eq!(twin.len() as u64, count);
        honours(&contract, &twin);
    }
}
