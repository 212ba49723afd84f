//! What the privacy claim stands on: nothing a text says makes the compiler fail, no neighbour moves a vector further than
//! its plan claims, and one question has one plan.

use super::common::*;
use engine::PlainSum;
use governance::Contract;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use workload::query::{BoundingKey, Cell, ComponentKind, QueryPlan, Row, Value, clamp, compile, evaluate, read_back};

/// An unbounded person: values out of bounds, of the wrong kind, missing, not finite.
fn wild(seed: u64, person: u32) -> Row {
    use rand::RngExt;
    let mut rng = rng(seed);
    let mut row = person_year(&mut rng, person);
    let odd = [
        Value::Null,
        Value::Number(f64::NAN),
        Value::Number(f64::INFINITY),
        Value::Number(-1e300),
        Value::Number(1e9),
        Value::Text("x".into()),
        Value::Boolean(true),
    ];
    for (name, value) in &mut row {
        if name != "zper" && rng.random_bool(0.2) {
            *value = odd[rng.random_range(0..odd.len())].clone();
        }
    }
    row
}

const AGGREGATES: &[&str] = &[
    "COUNT(*)",
    "COUNT(ghindx)",
    "COUNT(DISTINCT zper)",
    "COUNT(DISTINCT zper) FILTER (WHERE mdvis > 2)",
    "SUM(meddol)",
    "SUM(meddol - 3000)",
    "AVG(meddol)",
    "AVG(ghindx) FILTER (WHERE female = 1)",
    "VAR(mdvis)",
    "STDDEV_POP(ghindx)",
    "COVAR_POP(mdvis, ghindx)",
    "CORR(meddol, mdvis)",
    "MEDIAN(meddol)",
    "QUANTILE(mdvis, 0.9)",
    "SUM(CASE WHEN mdvis > 5 THEN meddol ELSE -mdvis END)",
    "SHARE(meddol > 100)",
    "AVG(meddol / GREATEST(mdvis, 1))",
];
const KEYS: &[&str] = &[
    "year",
    "female",
    "child",
    "BIN(xage, 20)",
    "BIN(ghindx, 50)",
    "mdvis > 4",
];
const FILTERS: &[&str] = &[
    "",
    "WHERE mdvis > 3",
    "WHERE ghindx IS NOT NULL OR female = 0",
    "WHERE year BETWEEN 2 AND 4",
];

prop_compose! {
    fn question()(
        aggregates in subsequence(AGGREGATES, 1..6), keys in subsequence(KEYS, 0..3), filter in select(FILTERS),
    ) -> String {
        let by = if keys.is_empty() { String::new() } else { format!("GROUP BY {}", keys.join(", ")) };
        format!("SELECT {} FROM hie {filter} {by}", aggregates.join(", "))
    }
}

/// The hie contract with other contribution bounds.
fn bounded(rows: u32, groups: u32, per_group: u32, participants: u32) -> Contract {
    let text = include_str!("../../../governance/contracts/hie.toml")
        .replace("rows = 5", &format!("rows = {rows}"))
        .replace("groups = 5", &format!("groups = {groups}"))
        .replace("rowsPerGroup = 5", &format!("rowsPerGroup = {per_group}"))
        .replace("participants = 1", &format!("participants = {participants}"));
    Contract::parse(&text).unwrap()
}

fn vector(plan: &QueryPlan, rows: &[Row]) -> Vec<i64> {
    let mut cells = evaluate(plan, &BoundingKey::new(&[5; 32]), rows.iter().cloned());
    clamp(plan, &mut cells);
    cells
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn adding_a_person_moves_the_vector_no_further_than_claimed(
        sql in question(), seed in any::<u64>(), others in 0..6u32, own in 1..12usize,
        rows in 1..5u32, groups in 1..4u32, per_group in 1..4u32, same in any::<bool>(),
    ) {
        let contract = bounded(rows, groups, per_group, 1);
        let plan = plan(&contract, &sql);
        let mut without: Vec<Row> =
            (0..others).flat_map(|p| (0..3).map(move |i| wild(seed ^ u64::from(p * 100 + i), p))).collect();
        let before = vector(&plan, &without);
        // Equal rows meet in one cell, which is the worst case of most components.
        let unit = (0..own).map(|i| wild(seed.wrapping_add(if same { 0 } else { i as u64 }), 999));
        without.splice(0..0, unit);
        let after = vector(&plan, &without);
        let moved = before.iter().zip(&after).map(|(a, b)| a.abs_diff(*b));
        let l1: u128 = moved.clone().map(u128::from).sum();
        let l2: u128 = moved.map(|d| u128::from(d) * u128::from(d)).sum();
        prop_assert!(l2 <= u128::from(plan.noise.l2_squared), "{sql}: {l2} > {}", plan.noise.l2_squared);
        prop_assert!(l1 <= u128::from(plan.noise.l1), "{sql}: {l1} > {}", plan.noise.l1);
    }

    #[test]
    fn a_row_as_unit_moves_the_vector_no_further_than_claimed(seed in any::<u64>(), n in 0..5usize) {
        let sql = "SELECT sex, COUNT(*), AVG(chol), VAR(oldpeak), MEDIAN(age), CORR(age, thalch), \
            COUNT(*) FILTER (WHERE exang), SUM(num) FROM heart WHERE age > 30 GROUP BY sex, cp";
        let plan = plan(&heart(), sql);
        let mut rng = rng(seed);
        let mut rows: Vec<Row> = (0..n).map(|_| patient(&mut rng)).collect();
        let before = vector(&plan, &rows);
        rows.push(patient(&mut rng));
        let after = vector(&plan, &rows);
        let l2: u128 = before.iter().zip(&after).map(|(a, b)| u128::from(a.abs_diff(*b)).pow(2)).sum();
        prop_assert!(l2 <= u128::from(plan.noise.l2_squared));
    }

    #[test]
    fn the_claim_is_tight_for_the_worst_person(rows in 1..6u32) {
        let plan = plan(&bounded(rows, 5, 5.min(rows), 1), "SELECT COUNT(*), SUM(meddol - 5000) FROM hie");
        let worst: Vec<Row> = (0..rows).map(|_| row(&[("zper", Value::Number(1.0)), ("meddol", Value::Number(10_000.0))])).collect();
        let l2: u128 = vector(&plan, &worst).iter().map(|x| u128::from(x.unsigned_abs()).pow(2)).sum();
        prop_assert_eq!(l2, u128::from(plan.noise.l2_squared));
    }

    #[test]
    fn a_person_at_m_participants_is_charged_for_all_of_them(sql in question(), m in 1..4u32) {
        let one = plan(&bounded(3, 2, 2, 1), &sql);
        let many = plan(&bounded(3, 2, 2, m), &sql);
        let per_step = |p: &QueryPlan| {
            (p.noise.l2_squared as f64).sqrt() / p.components[0].kind.weight() as f64
        };
        prop_assert!((per_step(&many) / per_step(&one) / f64::from(m) - 1.0).abs() < 0.05);
    }

    #[test]
    fn no_text_makes_the_compiler_fail(text in "\\PC{0,80}") {
        let _ = compile(&text, &heart(), &TERMS, 1.0, 1e-6).map_err(|e| e.render(&text));
    }

    #[test]
    fn no_jumble_of_words_makes_the_compiler_fail(
        words in prop::collection::vec(select(vec![
            "SELECT", "FROM", "heart", "WHERE", "GROUP", "BY", "COUNT", "(", ")", "*", ",", "age", "sex", "'Male'", "AND",
            "NOT", "BETWEEN", "IN", "CASE", "WHEN", "THEN", "END", "AVG", "MEDIAN", "BIN", "10", "-", "/", "=", "NULL", "AS",
            "ORDER", "LIMIT", "HAVING", "FILTER", "WITHIN", "IS", "LIKE", "EXTRACT", "DATE", ";", "\"x\"", "1e400", ".", "x",
        ]), 0..30),
        tail in any::<bool>(),
    ) {
        let mut text = words.join(" ");
        if tail { text = format!("SELECT COUNT(*), {text} FROM heart"); }
        if let Err(e) = compile(&text, &heart(), &TERMS, 1.0, 1e-6) {
            prop_assert!(!e.render(&text).is_empty() && e.line >= 1 && e.column >= 1);
        }
    }

    #[test]
    fn one_question_has_one_plan(sql in question(), lower in any::<bool>(), gap in select(vec![" ", "  ", "\n", "\t\n "])) {
        let reference = plan(&hie(), &sql);
        let mut other = sql.replace(' ', gap).replace(",", " ,").replace("(", "( ");
        if lower { other = other.to_lowercase(); }
        prop_assert_eq!(plan(&hie(), &other).to_bytes(), reference.to_bytes());
        let again = QueryPlan::from_bytes(&reference.to_bytes()).unwrap();
        prop_assert_eq!(again.to_bytes(), reference.to_bytes());
        prop_assert_eq!(again.charge(), reference.to_plan().unwrap().charge);
    }

    #[test]
    fn sums_read_back_are_the_sums_of_the_rows(seed in any::<u64>(), n in 0..60usize) {
        let mut rng = rng(seed);
        let rows: Vec<Row> = (0..n).map(|_| patient(&mut rng)).collect();
        let table = answer(&plan(&heart(), "SELECT SUM(age), SUM(num), COUNT(*), SUM(age * num) FROM heart"), std::slice::from_ref(&rows));
        let of = |name: &str, r: &Row| match r[name] { Value::Number(x) => x, _ => 0.0 };
        let expected = [
            rows.iter().map(|r| of("age", r)).sum::<f64>(),
            rows.iter().map(|r| of("num", r)).sum(),
            n as f64,
            rows.iter().map(|r| of("age", r) * of("num", r)).sum(),
        ];
        for (cell, expected) in table.rows[0].iter().zip(expected) {
            let Cell::Estimate { value: Some(value), .. } = cell else { panic!("{cell:?}") };
            prop_assert!((value - expected).abs() < 1e-6 * expected.max(1.0), "{value} {expected}");
        }
    }
}

#[test]
fn intervals_cover_the_truth_nineteen_times_in_twenty() {
    use privacy::clip::{Clipped, NoiseBatch};
    use privacy::sampler::ExactSampler;
    let data = hospitals(11, 250);
    let sql = "SELECT sex, COUNT(*), SUM(age), AVG(chol), STDDEV(age), MEDIAN(thalch), 100.0 * COUNT(chol) / COUNT(*) \
        FROM heart GROUP BY sex";
    let plan = plan(&heart(), sql);
    let exact = sum(&plan, &data);
    let truth = read_back(&plan, &exact).unwrap();
    let bounds = plan.to_plan().unwrap().bounds;
    let mut covered = vec![0; truth.columns.len()];
    const RUNS: u8 = 200;
    for run in 0..RUNS {
        let mut sampler = ExactSampler::new([run; 32]);
        let mut values = vec![0i64; exact.values.len()];
        for share in 0..4 {
            let noise = NoiseBatch::draw(values.len(), plan.noise.variance, &mut sampler).unwrap();
            let own = if share == 0 {
                exact.values.clone()
            } else {
                vec![0; values.len()]
            };
            let noised = Clipped::clamp(own, &bounds).unwrap().add(noise).unwrap().into_values();
            values.iter_mut().zip(noised).for_each(|(a, b)| *a += b);
        }
        let noisy = PlainSum {
            values,
            contributors: 4,
            variance: 4 * plan.noise.variance,
        };
        for (row, expected) in read_back(&plan, &noisy).unwrap().rows.iter().zip(&truth.rows) {
            for (i, (cell, expected)) in row.iter().zip(expected).enumerate() {
                if let (
                    Cell::Estimate {
                        low: Some(low),
                        high: Some(high),
                        ..
                    },
                    Cell::Estimate { value: Some(truth), .. },
                ) = (cell, expected)
                {
                    covered[i] += u32::from(low <= truth && truth <= high);
                }
            }
        }
    }
    // 400 intervals a column: 95 % are 380; seven standard deviations below is 350.
    for (column, covered) in truth.columns.iter().zip(&covered).skip(1) {
        assert!(*covered >= 350, "{}: {covered} of 400", column.name);
    }
}

#[test]
fn different_spellings_of_one_question_are_one_release() {
    let same = |a: &str, b: &str| assert_eq!(plan(&heart(), a).to_bytes(), plan(&heart(), b).to_bytes(), "{a}\n{b}");
    same(
        "SELECT sex, COUNT(*) FROM heart GROUP BY sex",
        "select SEX,count( * ) from HEART group by 1;",
    );
    same(
        "SELECT BIN(age, 10) AS band, COUNT(*) FROM heart GROUP BY band",
        "SELECT BIN(age, 10) AS band, COUNT(*) FROM heart GROUP BY BIN(age, 10.0)",
    );
    same(
        "SELECT COUNT(*) FROM heart WHERE age BETWEEN 40 AND 50 AND sex = 'Male'",
        "SELECT COUNT(*) FROM heart AS h WHERE (h.age >= 40 AND heart.age <= 50) AND \"sex\" = 'Male'",
    );
    same(
        "SELECT COUNT(*) FROM heart WHERE cp IN ('asymptomatic', 'non-anginal')",
        "SELECT COUNT(*) -- a comment\nFROM heart WHERE cp IN ('non-anginal', 'asymptomatic', 'non-anginal')",
    );
    same(
        "SELECT MEDIAN(age) AS m FROM heart",
        "SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY age) AS m FROM heart",
    );
}

#[test]
fn groups_without_rows_are_noise_and_not_missing() {
    let plan = plan(
        &heart(),
        "SELECT cp, AVG(age), MEDIAN(age), STDDEV(age) FROM heart GROUP BY cp",
    );
    let table = answer(&plan, &[vec![]]);
    assert_eq!(table.rows.len(), 4);
    for row in &table.rows {
        assert_eq!(
            row[1],
            Cell::Estimate {
                value: None,
                low: Some(20.0),
                high: Some(90.0)
            }
        );
        assert_eq!(
            row[2],
            Cell::Estimate {
                value: None,
                low: Some(20.0),
                high: Some(90.0)
            }
        );
        assert_eq!(
            row[3],
            Cell::Estimate {
                value: None,
                low: None,
                high: None
            }
        );
    }
}

#[test]
fn every_component_gets_an_equal_share() {
    let sql = "SELECT COUNT(*), COUNT(DISTINCT zper), AVG(meddol), MEDIAN(mdvis), VAR(ghindx) FROM hie GROUP BY year";
    let plan = plan(&hie(), sql);
    let (rows, groups) = (25.0, 5.0);
    let shares: Vec<f64> = plan
        .components
        .iter()
        .map(|c| {
            let squared = (c.kind.weight() as f64).powi(2);
            match c.kind {
                ComponentKind::Units { .. } => groups * squared,
                ComponentKind::Tree { levels, .. } => rows * f64::from(levels) * squared,
                _ => rows * squared,
            }
        })
        .collect();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!((shares.iter().sum::<f64>() - plan.noise.l2_squared as f64).abs() < 1e-6 * mean);
    assert!(shares.iter().all(|s| (s / mean - 1.0).abs() < 0.13), "{shares:?}");
}
