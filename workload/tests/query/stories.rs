//! Questions asked of made-up hospitals without noise: what comes back must be what plain arithmetic says.

use super::common::*;
use workload::query::{Cell, Method, Row, Value, predict};

fn number(row: &Row, column: &str) -> Option<f64> {
    match row.get(column) {
        Some(Value::Number(x)) => Some(*x),
        _ => None,
    }
}

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    match row.get(column) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

fn value(cell: &Cell) -> f64 {
    match cell {
        Cell::Estimate { value: Some(value), .. } | Cell::Number(value) => *value,
        other => panic!("no value: {other:?}"),
    }
}

fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
        "expected {expected}, found {found}"
    );
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviations(x: &[f64], y: &[f64]) -> f64 {
    let (mx, my) = (mean(x), mean(y));
    x.iter().zip(y).map(|(a, b)| (a - mx) * (b - my)).sum()
}

#[test]
fn the_question_of_the_readme_is_answered_group_by_group() {
    let data = hospitals(1, 300);
    let sql = "SELECT sex, BIN(age, 10) AS age_band, COUNT(*), AVG(chol), STDDEV(chol), MEDIAN(thalch), \
        QUANTILE(thalch, 0.9) FROM heart WHERE age BETWEEN 40 AND 70 AND chol > 0 GROUP BY sex, age_band";
    let table = answer(&plan(&heart(), sql), &data);
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "sex",
            "age_band",
            "count(*)",
            "avg(chol)",
            "stddev(chol)",
            "median(thalch)",
            "quantile(thalch, 0.9)"
        ]
    );
    assert_eq!(table.rows.len(), 2 * 8, "every declared group is a row, empty or not");
    for row in &table.rows {
        let (Cell::Text(sex), Cell::Bin { low, high }) = (&row[0], &row[1]) else {
            panic!("{row:?}")
        };
        let rows: Vec<&Row> = data
            .iter()
            .flatten()
            .filter(|r| text(r, "sex") == sex)
            .filter(|r| number(r, "age").is_some_and(|a| a >= *low && a < *high && (40.0..=70.0).contains(&a)))
            .filter(|r| number(r, "chol").is_some_and(|c| c > 0.0))
            .collect();
        near(value(&row[2]), rows.len() as f64);
        if rows.len() < 2 {
            continue;
        }
        let chol: Vec<f64> = rows.iter().filter_map(|r| number(r, "chol")).collect();
        near(value(&row[3]), mean(&chol));
        let deviation = (deviations(&chol, &chol) / (chol.len() - 1) as f64).sqrt();
        assert!(
            (value(&row[4]) / deviation - 1.0).abs() < 1e-4,
            "squares are rounded to the lattice"
        );
        let thalch: Vec<f64> = rows.iter().filter_map(|r| number(r, "thalch")).collect();
        for (cell, p) in [(5, 0.5), (6, 0.9)] {
            let (found, rank) = (value(&row[cell]), p * thalch.len() as f64);
            let below = thalch.iter().filter(|x| **x < found).count() as f64;
            let up_to = thalch.iter().filter(|x| **x <= found).count() as f64;
            assert!(
                below <= rank + 1e-6 && up_to >= rank - 1e-6,
                "{found} is not the {p} quantile"
            );
        }
    }
}

#[test]
fn all_aggregates_of_the_dialect_agree_with_plain_arithmetic() {
    let data = hospitals(2, 250);
    let sql = "SELECT COUNT(*), COUNT(chol), SUM(chol), SUM(age), AVG(oldpeak), VAR_POP(age), VAR(oldpeak), \
        COVAR_POP(age, chol), COVAR_SAMP(age, chol), CORR(age, thalch), SHARE(num > 0), PERCENTAGE(exang), \
        SUM(CASE WHEN num > 0 THEN age ELSE 0 END), AVG(chol / 10 + age * 2), COUNT(*) FILTER (WHERE sex = 'Male'), \
        AVG(age) FILTER (WHERE cp IN ('asymptomatic', 'non-anginal')), 100.0 * COUNT(chol) / COUNT(*), MIN(age), \
        MAX(age), PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY age) FROM heart";
    let table = answer(&plan(&heart(), sql), &data);
    let rows: Vec<&Row> = data.iter().flatten().collect();
    let all = |column: &str| rows.iter().filter_map(|r| number(r, column)).collect::<Vec<f64>>();
    let (age, chol, oldpeak) = (all("age"), all("chol"), all("oldpeak"));
    let pairs = |other: &str| {
        let both = rows.iter().filter_map(|r| number(r, "age").zip(number(r, other)));
        both.unzip::<f64, f64, Vec<f64>, Vec<f64>>()
    };
    let (ax, cy) = pairs("chol");
    let (at, ty) = pairs("thalch");
    let known: Vec<bool> = rows
        .iter()
        .filter_map(|r| match r.get("exang") {
            Some(Value::Boolean(b)) => Some(*b),
            _ => None,
        })
        .collect();
    let some_cp = |r: &&&Row| matches!(text(r, "cp"), "asymptomatic" | "non-anginal");
    let mixed: Vec<f64> = ax.iter().zip(&cy).map(|(a, c)| c / 10.0 + a * 2.0).collect();
    let n = rows.len() as f64;
    let quantile = |p: f64| {
        let mut sorted = age.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[(n * p).ceil() as usize - 1]
    };
    let expected = [
        n,
        chol.len() as f64,
        chol.iter().sum(),
        age.iter().sum(),
        mean(&oldpeak),
        deviations(&age, &age) / n,
        deviations(&oldpeak, &oldpeak) / (oldpeak.len() - 1) as f64,
        deviations(&ax, &cy) / ax.len() as f64,
        deviations(&ax, &cy) / (ax.len() - 1) as f64,
        deviations(&at, &ty) / (deviations(&at, &at) * deviations(&ty, &ty)).sqrt(),
        rows.iter().filter(|r| number(r, "num") > Some(0.0)).count() as f64 / n,
        100.0 * known.iter().filter(|b| **b).count() as f64 / known.len() as f64,
        rows.iter()
            .filter(|r| number(r, "num") > Some(0.0))
            .filter_map(|r| number(r, "age"))
            .sum(),
        mean(&mixed),
        rows.iter().filter(|r| text(r, "sex") == "Male").count() as f64,
        mean(
            &rows
                .iter()
                .filter(some_cp)
                .filter_map(|r| number(r, "age"))
                .collect::<Vec<_>>(),
        ),
        100.0 * chol.len() as f64 / n,
        quantile(0.01),
        quantile(0.99),
        quantile(0.25),
    ];
    for (i, (cell, expected)) in table.rows[0].iter().zip(expected).enumerate() {
        let found = value(cell);
        let tolerance = if i == 9 { 1e-3 } else { 1e-4 * expected.abs().max(1.0) };
        assert!(
            (found - expected).abs() <= tolerance,
            "{}: expected {expected}, found {found}",
            table.columns[i].name
        );
    }
    assert!(
        table.columns[17]
            .note
            .as_deref()
            .is_some_and(|n| n.contains("quantile")),
        "an extreme says what it is"
    );
}

#[test]
fn a_histogram_has_one_row_per_bin() {
    let data = hospitals(3, 200);
    let table = answer(
        &plan(&heart(), "SELECT sex, HISTOGRAM(age, 7) FROM heart GROUP BY sex"),
        &data,
    );
    assert_eq!(table.rows.len(), 14);
    for row in &table.rows {
        let (Cell::Text(sex), Cell::Number(low), Cell::Number(high)) = (&row[0], &row[1], &row[2]) else {
            panic!("{row:?}")
        };
        let inside = |a: f64| a >= *low && (a < *high || (*high == 90.0 && a == 90.0));
        let hits = data
            .iter()
            .flatten()
            .filter(|r| text(r, "sex") == sex && number(r, "age").is_some_and(inside));
        near(value(&row[3]), hits.count() as f64);
    }
}

#[test]
fn results_are_filtered_ordered_and_cut_after_the_fact() {
    let data = hospitals(4, 200);
    let sql = "SELECT cp, COUNT(*) AS n, AVG(age) FROM heart GROUP BY 1 HAVING COUNT(*) > 0 AND cp <> 'non-anginal' \
        ORDER BY n DESC LIMIT 2";
    let table = answer(&plan(&heart(), sql), &data);
    assert_eq!(table.rows.len(), 2);
    assert!(value(&table.rows[0][1]) >= value(&table.rows[1][1]));
    assert!(table.rows.iter().all(|r| r[0] != Cell::Text("non-anginal".into())));
}

#[test]
fn null_is_a_group_where_the_contract_allows_null() {
    let data = hospitals(5, 100);
    let table = answer(
        &plan(&heart(), "SELECT exang, COUNT(*) FROM heart GROUP BY exang"),
        &data,
    );
    assert_eq!(table.rows.len(), 3);
    assert_eq!(table.rows[2][0], Cell::Null);
    let nulls = data
        .iter()
        .flatten()
        .filter(|r| r.get("exang") == Some(&Value::Null))
        .count();
    near(value(&table.rows[2][1]), nulls as f64);
}

#[test]
fn components_are_shared_and_each_costs_its_share() {
    let one = plan(&heart(), "SELECT COUNT(*) FROM heart");
    let two = plan(&heart(), "SELECT COUNT(*), AVG(age), SUM(age) FROM heart");
    assert_eq!(
        two.components.len(),
        2,
        "COUNT(*) and one centred sum of a column that is never NULL"
    );
    assert_eq!(
        plan(&heart(), "SELECT COUNT(*), AVG(chol) FROM heart").components.len(),
        3,
        "chol can be NULL"
    );
    let compared = "SELECT COUNT(*), AVG(chol) FROM heart WHERE chol > 200 AND age > 3";
    assert_eq!(
        plan(&heart(), compared).components.len(),
        2,
        "but not where WHERE compares it"
    );
    assert_eq!(
        plan(
            &heart(),
            "SELECT COUNT(*), AVG(chol) FROM heart WHERE chol > 200 OR age > 3"
        )
        .components
        .len(),
        3
    );
    assert_eq!(plan(&heart(), "SELECT SUM(age) FROM heart").components.len(), 1);
    let sd = |plan: &workload::query::QueryPlan| {
        (plan.noise.variance as f64).sqrt() / plan.components[0].kind.weight() as f64
    };
    let ratio = sd(&two) / sd(&one);
    assert!(
        (ratio - 2f64.sqrt()).abs() < 0.03,
        "half of rho is sqrt(2) times the noise: {ratio}"
    );
    assert!((one.noise.variance as f64).sqrt() > 4.0);
}

#[test]
fn people_with_many_rows_are_counted_once_and_bounded() {
    let mut rng = rng(6);
    let site: Vec<Row> = (0..50)
        .flat_map(|person| {
            (0..1 + person % 9)
                .map(|_| person_year(&mut rng, person))
                .collect::<Vec<_>>()
        })
        .collect();
    let table = answer(&plan(&hie(), "SELECT COUNT(DISTINCT zper), COUNT(*) FROM hie"), &[site]);
    near(value(&table.rows[0][0]), 50.0);
    let expected: u32 = (0..50).map(|person| (1 + person % 9).min(5)).sum();
    near(value(&table.rows[0][1]), f64::from(expected));
}

#[test]
fn explain_tells_every_error_before_anything_is_spent() {
    let sql = "SELECT sex, COUNT(*), AVG(chol), MEDIAN(age), COUNT(*) / 2.0 FROM heart GROUP BY sex";
    let prediction = predict(&plan(&heart(), sql));
    assert_eq!(prediction.rows, 2);
    let methods: Vec<Method> = prediction.columns.iter().map(|c| c.method).collect();
    assert_eq!(
        methods,
        [
            Method::Exact,
            Method::Normal,
            Method::Fieller,
            Method::Rank,
            Method::Normal
        ]
    );
    let widths: Vec<f64> = prediction.columns[1..].iter().map(|c| c.half_width.unwrap()).collect();
    assert!(widths[0] > 1.0 && widths[0] < 100.0, "{widths:?}");
    near(widths[3], widths[0] / 2.0);
}

#[test]
fn the_search_for_epsilon_finds_what_the_prediction_promises() {
    let sql = "SELECT sex, COUNT(*) FROM heart GROUP BY sex";
    let epsilon = workload::query::epsilon_for_error(sql, &heart(), &TERMS, 1e-6, 10.0)
        .unwrap()
        .unwrap();
    let plan = workload::query::compile(sql, &heart(), &TERMS, epsilon, 1e-6).unwrap();
    let width = predict(&plan).columns[1].half_width.unwrap();
    assert!(width <= 10.0 && width > 9.8, "{epsilon}: {width}");
    assert_eq!(
        workload::query::epsilon_for_error(sql, &heart(), &TERMS, 1e-6, 1e-6).unwrap(),
        None
    );
}
