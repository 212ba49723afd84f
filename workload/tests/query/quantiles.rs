//! Quantiles: without noise those that SQLite finds by counting, with noise inside an interval that holds the truth.

use super::common::{TERMS, heart, hie, person_year, plan, rng, row, sum};
use super::oracle::{Plain, Sqlite, ask, plain};
use super::sqlite::clinics;
use engine::PlainSum;
use rand::RngExt;
use workload::query::{Cell, ComponentKind, QueryPlan, Row, Value, compile, predict, read_back};

#[test]
fn quantiles_are_the_rows_that_sqlite_counts_to() {
    for (seed, number, people) in [(30, 4, 40), (31, 1, 1), (32, 2, 3), (33, 3, 9)] {
        let data = clinics(seed, number, people);
        let sqlite = Sqlite::holding(&data);
        for (column, filter) in [
            ("age", "age < 200"),
            ("visits", "smoker"),
            ("chol", "age > 20"),
            ("chol", "sex = 'male'"),
        ] {
            for p in [0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0] {
                let filter = format!("FROM clinic WHERE {filter} AND {column} IS NOT NULL");
                let plan = ask(&format!("SELECT QUANTILE({column}, {p}) {filter}"));
                let found = plain(&super::common::answer(&plan, &data).rows[0][0]);
                let n = sqlite.rows(&format!("SELECT COUNT(*) {filter}"), &[]);
                let [Plain::Number(n)] = n[0][..] else { panic!("{n:?}") };
                let at = ((n * p - 1e-9 * n).ceil() - 1.0).max(0.0);
                let truth = sqlite.rows(
                    &format!("SELECT {column} {filter} ORDER BY 1 LIMIT 1 OFFSET {at:.0}"),
                    &[],
                );
                match (&found, truth.first().map(|row| &row[0])) {
                    (Plain::Number(found), Some(Plain::Number(truth))) => {
                        let leaf = if column == "chol" { width(&plan) } else { 1e-9 };
                        assert!(
                            (found - truth).abs() <= leaf,
                            "{p} of {column} {filter}: {found}, not {truth}"
                        );
                    }
                    (found, truth) => assert!(*found == Plain::Null && truth.is_none(), "{found:?} {truth:?}"),
                }
            }
        }
    }
}

fn width(plan: &QueryPlan) -> f64 {
    match &plan.components[0].kind {
        ComponentKind::Tree { bins, .. } => bins.width.get(),
        other => panic!("{other:?}"),
    }
}

/// The sum with the noise of four shares, drawn as a rounded normal.
fn noised(plan: &QueryPlan, exact: &PlainSum, seed: u64) -> PlainSum {
    let mut rng = rng(seed);
    let variance = 4 * plan.noise.variance;
    let mut normal = || {
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    let noisy = |x: &i64| x + (normal() * (variance as f64).sqrt()).round() as i64;
    PlainSum {
        values: exact.values.iter().map(noisy).collect(),
        contributors: 4,
        variance,
    }
}

fn interval(table: &workload::query::Table) -> (Option<f64>, f64, f64) {
    match table.rows[0][0] {
        Cell::Estimate {
            value,
            low: Some(low),
            high: Some(high),
        } => (value, low, high),
        ref other => panic!("no interval: {other:?}"),
    }
}

/// Spending as it is: a third nothing, a long tail.
fn spenders(seed: u64, people: u32) -> Vec<Vec<Row>> {
    let mut rng = rng(seed);
    let mut one = |person| {
        let mut row = person_year(&mut rng, person);
        let spent = rng.random_range(0.0..1.0_f64).powi(4) * 9_000.0 * f64::from(u8::from(rng.random_bool(0.7)));
        row.insert("meddol".into(), Value::Number(spent));
        row
    };
    vec![(0..people).map(&mut one).collect()]
}

#[test]
fn the_interval_of_a_quantile_holds_the_truth_and_allows_for_noise_on_both_sides() {
    const RUNS: u64 = 400;
    for (people, epsilon) in [(15, 1.0), (150, 1.0), (1_000, 1.0), (1_000, 5.0), (4_000, 8.0)] {
        let data = spenders(40, people);
        for (column, p) in [
            ("meddol", 0.5),
            ("meddol", 0.9),
            ("ghindx", 0.25),
            ("mdvis", 0.5),
            ("xage", 0.01),
        ] {
            let sql = format!("SELECT QUANTILE({column}, {p}) FROM hie");
            let plan = compile(&sql, &hie(), &TERMS, epsilon, 1e-6).unwrap();
            let ComponentKind::Tree { bins, leaves, .. } = &plan.components[0].kind else {
                panic!("a quantile is read from a tree")
            };
            let (bottom, top) = (bins.edges(0).0, bins.edges(leaves - 1).1);
            let exact = sum(&plan, &data);
            let (truth, ..) = interval(&read_back(&plan, &exact).unwrap());
            let truth = truth.unwrap();
            let (mut covered, mut errors) = (0, 0.0);
            for run in 0..RUNS {
                let (value, low, high) = interval(&read_back(&plan, &noised(&plan, &exact, run)).unwrap());
                covered += u64::from(low <= truth && truth <= high);
                let Some(value) = value else { continue };
                errors += (value - truth).abs() / RUNS as f64;
                assert!(
                    low <= value && value <= high,
                    "{sql}, {people} people: {low} {value} {high}"
                );
                // The column of whole numbers may be sure of one; any other is never sure on one side only.
                if column != "mdvis" {
                    let below = low < value || low <= bottom;
                    let above = value < high || high >= top;
                    assert!(below && above, "{sql}, {people} people: {value} in {low}..{high}");
                }
            }
            assert!(
                covered * 100 >= RUNS * 93,
                "{sql}, {people} people: {covered} of {RUNS}"
            );
            // Noise in empty leaves once counted as rows and pulled the median of a long tail to the middle of its
            // bounds.
            if people >= 1_000 && epsilon >= 5.0 && p == 0.5 {
                assert!(errors < 50.0, "{sql}, {people} people: wrong by {errors}");
            }
        }
    }
}

#[test]
fn leaves_that_cannot_hold_rows_tell_nothing() {
    let patient = row(&[("age", Value::Number(90.0))]);
    let plan = plan(&heart(), "SELECT QUANTILE(age, 0.9) FROM heart");
    let exact = sum(&plan, &[vec![patient; 300]]);
    assert_eq!(interval(&read_back(&plan, &exact).unwrap()), (Some(90.0), 90.0, 90.0));
    for run in 0..50 {
        let (_, low, high) = interval(&read_back(&plan, &noised(&plan, &exact, run)).unwrap());
        assert!(20.0 <= low && high == 90.0, "{low} {high}");
    }
}

#[test]
fn a_predicted_quantile_says_what_it_assumes() {
    let prediction = predict(&plan(
        &heart(),
        "SELECT sex, COUNT(*), MIN(age), MEDIAN(age) FROM heart GROUP BY sex",
    ));
    let notes: Vec<&str> = prediction
        .columns
        .iter()
        .map(|c| c.note.as_deref().unwrap_or_default())
        .collect();
    assert!(notes[0].is_empty() && notes[1].is_empty());
    assert!(
        notes[2].starts_with("the 0.01 quantile") && notes[2].contains("rows in each group"),
        "{notes:?}"
    );
    assert!(
        notes[3].starts_with("for ") && notes[3].contains("evenly between the bounds"),
        "{notes:?}"
    );
}
