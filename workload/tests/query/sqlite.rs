//! Every plan's answer against SQLite's to the same question over the union of the participants' rows: a list by hand,
//! then questions at random. Single operators are gone through in `values.rs`, quantiles in `quantiles.rs`.

use super::common::{rng, row};
use super::oracle::{Plain, Sqlite, ask, compared, plain};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rand::RngExt;
use workload::query::{Row, Value, parse_date};

const EDGES: &[&str] = &[
    "2019-01-01",
    "2019-12-31",
    "2020-01-01",
    "2020-02-28",
    "2020-02-29",
    "2020-03-01",
    "2020-12-31",
    "2021-01-03",
    "2021-03-31",
    "2021-04-01",
    "2023-02-28",
    "2024-02-29",
    "2024-12-30",
    "2024-12-31",
];
const CODES: &[&str] = &[
    "", "a", "A", "ab", "aXb", "100%", "1000", "a_b", "a\\b", "é", "Été", "b%_", "it-1",
];

/// A visit as the clinic's contract knows it; every fifth value is missing.
fn visit(rng: &mut impl rand::Rng, person: u32) -> Row {
    let day = match rng.random_bool(0.4) {
        true => parse_date(EDGES[rng.random_range(0..EDGES.len())]).unwrap(),
        false => rng.random_range(17_897..=20_088),
    };
    let number = |x: i32, per: f64| Value::Number(f64::from(x) / per);
    let values = [
        ("sex", Value::Text(["female", "male"][rng.random_range(0..2)].into())),
        ("code", Value::Text(CODES[rng.random_range(0..CODES.len())].into())),
        ("chol", number(rng.random_range(0..=4_800), 8.0)),
        ("visits", number(rng.random_range(-5..=20), 1.0)),
        ("smoker", Value::Boolean(rng.random_bool(0.4))),
        ("seen", Value::Date(day)),
    ];
    let mut all = vec![
        ("person", Value::Number(f64::from(person))),
        (
            "ward",
            Value::Text(["A", "a", "b_1", "b%"][rng.random_range(0..4)].into()),
        ),
        ("age", number(rng.random_range(0..=110), 1.0)),
    ];
    for (name, value) in values {
        all.push((name, if rng.random_bool(0.2) { Value::Null } else { value }));
    }
    row(&all)
}

/// People with up to five visits, each at one clinic.
pub fn clinics(seed: u64, clinics: u32, people: u32) -> Vec<Vec<Row>> {
    let mut rng = rng(seed);
    let one = |clinic: u32| {
        let mut rows = Vec::new();
        for person in 0..people {
            (0..rng.random_range(1..=5)).for_each(|_| rows.push(visit(&mut rng, clinic * 1_000 + person)));
        }
        rows
    };
    (0..clinics).map(one).collect()
}

/// Questions without keys, with one, with two.
const QUESTIONS: &[(usize, &str)] = &[
    (
        0,
        "SELECT COUNT(*), COUNT(chol), COUNT(code), COUNT(seen), COUNT(smoker), COUNT(DISTINCT person) FROM clinic",
    ),
    (
        0,
        "SELECT SUM(age), SUM(chol), SUM(visits), AVG(age), AVG(chol), AVG(visits) FROM clinic",
    ),
    (
        0,
        "SELECT VAR(chol), VAR_POP(chol), STDDEV(age), STDDEV_POP(visits), VAR(chol / 10 + age) FROM clinic",
    ),
    (
        0,
        "SELECT COVAR_POP(age, chol), COVAR_SAMP(chol, visits), CORR(age, chol), CORR(chol, chol + age) FROM clinic",
    ),
    (
        0,
        "SELECT COUNT(*) FILTER (WHERE smoker), AVG(chol) FILTER (WHERE NOT smoker), SHARE(smoker), SHARE(chol > \
         200) FROM clinic",
    ),
    (
        0,
        "SELECT COUNT(DISTINCT person) FILTER (WHERE sex = 'male' OR visits > 3) FROM clinic WHERE age < 50",
    ),
    (
        0,
        "SELECT SUM(CASE WHEN smoker THEN chol WHEN sex = 'male' THEN -age END), AVG(CASE sex WHEN 'male' THEN 1 \
         ELSE 0 END) FROM clinic",
    ),
    (
        0,
        "SELECT AVG(LEAST(age, chol)), AVG(GREATEST(age, visits, 10)), SUM(ABS(visits)), SUM(FLOOR(chol / 7)), \
         SUM(CEIL(-chol)) FROM clinic",
    ),
    (
        0,
        "SELECT AVG(age / visits), SUM(chol * age / 3), SUM(-visits * 2 + 1), COUNT(age / visits) FROM clinic",
    ),
    (
        0,
        "SELECT SUM(EXTRACT(DAY FROM seen)), AVG(EXTRACT(ISODOW FROM seen)), SUM(EXTRACT(YEAR FROM seen)) FROM clinic",
    ),
    (
        0,
        "SELECT COUNT(*) FROM clinic WHERE seen BETWEEN '2020-02-29' AND DATE '2021-01-03'",
    ),
    (
        0,
        "SELECT COUNT(*) FROM clinic WHERE seen IN ('2020-02-29', '2024-12-31') OR seen = DATE '2019-01-01'",
    ),
    (0, "SELECT COUNT(*) FROM clinic WHERE NOT (seen <> '2024-02-29')"),
    (
        0,
        "SELECT COUNT(*) FROM clinic WHERE code LIKE 'a_b' OR code LIKE '100\\%' OR code LIKE '%\\_%'",
    ),
    (
        0,
        "SELECT COUNT(*) FROM clinic WHERE code NOT LIKE '_' AND ward LIKE 'b%'",
    ),
    (
        0,
        "SELECT COUNT(*) FROM clinic WHERE chol NOT IN (0, 1, 200.5) AND sex NOT IN ('male')",
    ),
    (
        0,
        "SELECT COUNT(*) FROM clinic WHERE chol NOT BETWEEN 100 AND 500 OR smoker IS NULL",
    ),
    (
        0,
        "SELECT COUNT(*) FROM clinic WHERE (smoker AND visits > 0) IS NULL OR (smoker OR visits > 0) IS NOT TRUE",
    ),
    (0, "SELECT COUNT(*) FROM clinic WHERE (chol > 300) = smoker"),
    (0, "SELECT COUNT(*) FROM clinic WHERE ward < 'a' OR ward >= 'b_1'"),
    (
        0,
        "SELECT COUNT(*), SUM(chol), AVG(chol), VAR(chol), VAR_POP(age) FROM clinic WHERE age > 109 AND age < 110",
    ),
    (
        0,
        "SELECT 100.0 * COUNT(chol) / COUNT(*), AVG(age) - AVG(chol), -COUNT(age) + 1, CASE WHEN COUNT(visits) > 0 \
         THEN ABS(SUM(visits) - 5000) END FROM clinic",
    ),
    (
        0,
        "SELECT CASE WHEN COUNT(*) > 3 THEN 1 ELSE 0 END, 1.0 * COUNT(chol) / (COUNT(*) - COUNT(*)) FROM clinic",
    ),
    (
        1,
        "SELECT sex, COUNT(*), AVG(chol), COUNT(DISTINCT person) FROM clinic GROUP BY sex",
    ),
    (
        1,
        "SELECT smoker, COUNT(*), SUM(age), VAR(age) FROM clinic GROUP BY smoker",
    ),
    (
        1,
        "SELECT visits, COUNT(*), SUM(age) FROM clinic WHERE visits IS NOT NULL GROUP BY visits",
    ),
    (1, "SELECT BIN(chol, 37.5), COUNT(*), AVG(age) FROM clinic GROUP BY 1"),
    (1, "SELECT BIN(visits, 4) AS v, COUNT(*) FROM clinic GROUP BY v"),
    (
        1,
        "SELECT EXTRACT(YEAR FROM seen) AS y, COUNT(*) FROM clinic GROUP BY y",
    ),
    (
        1,
        "SELECT EXTRACT(QUARTER FROM seen), COUNT(*), AVG(chol) FROM clinic GROUP BY EXTRACT(QUARTER FROM seen)",
    ),
    (1, "SELECT EXTRACT(DAY FROM seen), COUNT(*) FROM clinic GROUP BY 1"),
    (
        1,
        "SELECT CASE WHEN age < 18 THEN 'child' WHEN age < 65 THEN 'adult' ELSE 'old' END AS stage, COUNT(*) FROM \
         clinic GROUP BY stage",
    ),
    (
        1,
        "SELECT chol > 240 AS high, COUNT(*), SHARE(smoker) FROM clinic GROUP BY high",
    ),
    (2, "SELECT sex, ward, COUNT(*), AVG(age) FROM clinic GROUP BY sex, ward"),
    (
        2,
        "SELECT EXTRACT(ISODOW FROM seen), smoker, COUNT(*) FROM clinic WHERE age > 30 GROUP BY 1, 2",
    ),
    (
        2,
        "SELECT BIN(age, 20), EXTRACT(MONTH FROM seen), COUNT(*), SUM(chol) FROM clinic GROUP BY 1, 2",
    ),
];

/// Questions whose rows come in an order. NULLs go last in ours, whatever the order, so SQLite is told to do the same.
const ORDERED: &[&str] = &[
    "SELECT ward, COUNT(*) AS n FROM clinic GROUP BY ward HAVING COUNT(*) > 20 ORDER BY n DESC, ward",
    "SELECT sex, ward, SUM(age) FROM clinic GROUP BY 1, 2 HAVING COUNT(*) > 0 ORDER BY SUM(age) DESC LIMIT 5",
    "SELECT sex, COUNT(*) FROM clinic GROUP BY sex HAVING sex IS NULL OR sex <> 'male' ORDER BY sex NULLS LAST",
    "SELECT sex, AVG(age) FROM clinic GROUP BY sex HAVING COUNT(*) > 0 ORDER BY sex DESC NULLS FIRST",
    "SELECT visits, COUNT(*) FROM clinic GROUP BY visits HAVING COUNT(*) BETWEEN 1 AND 40 ORDER BY 2, 1 NULLS LAST \
     LIMIT 9",
    "SELECT ward, COUNT(chol) FROM clinic GROUP BY ward HAVING NOT (COUNT(*) > 100 AND ward IN ('b_1', 'b%')) ORDER \
     BY ward",
];

#[test]
fn questions_by_hand_are_answered_as_sqlite_answers_them() {
    for (seed, number, people) in [(1, 4, 60), (2, 1, 3), (3, 7, 20), (4, 2, 0)] {
        let data = clinics(seed, number, people);
        let sqlite = Sqlite::holding(&data);
        for (keys, sql) in QUESTIONS {
            compared(sql, &data, &sqlite, *keys, false).unwrap_or_else(|e| panic!("{people} people: {e}"));
        }
    }
}

#[test]
fn results_are_chosen_ordered_and_cut_as_sqlite_does() {
    for seed in 10..14 {
        let data = clinics(seed, 4, 50);
        let sqlite = Sqlite::holding(&data);
        for sql in ORDERED {
            compared(sql, &data, &sqlite, 0, true).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}

#[test]
fn the_bins_of_a_histogram_hold_what_sqlite_counts() {
    let data = clinics(15, 4, 50);
    let sqlite = Sqlite::holding(&data);
    let ours = super::common::answer(&ask("SELECT sex, HISTOGRAM(age, 11) FROM clinic GROUP BY sex"), &data);
    let ours: Vec<Vec<Plain>> = ours.rows.iter().map(|row| row.iter().map(plain).collect()).collect();
    let theirs = sqlite.rows(
        "SELECT sex, 10 * bin, 10 * bin + 10, COUNT(*) FROM (SELECT sex, MIN(CAST(age AS INTEGER) / 10, 10) AS bin \
         FROM clinic) \
         GROUP BY 1, 2 ORDER BY sex NULLS LAST, bin",
        &[],
    );
    assert_eq!(ours, theirs, "650 rows leave none of 33 bins empty");
}

/// A condition over the clinic's columns, three-valued in every part.
fn condition() -> impl Strategy<Value = String> {
    let op = || select(&["=", "<>", "<", "<=", ">", ">="][..]);
    let date = || select(EDGES);
    let text = |list: &'static [&'static str]| select(list).prop_map(String::from);
    let atom = prop_oneof![
        (op(), 0..110i32).prop_map(|(op, x)| format!("age {op} {x}")),
        (op(), 0..4_800i32).prop_map(|(op, x)| format!("chol {op} {}", f64::from(x) / 8.0)),
        (op(), -5..20i32).prop_map(|(op, x)| format!("visits {op} {x}")),
        (op(), 1..90i32).prop_map(|(op, x)| format!("age / visits {op} {x} - chol")),
        (0..300i32, 0..600i32).prop_map(|(a, b)| format!("chol BETWEEN {a} AND {b}")),
        prop::collection::vec(-5..20i32, 1..5).prop_map(|list| {
            let list: Vec<String> = list.iter().map(i32::to_string).collect();
            format!("visits NOT IN ({})", list.join(", "))
        }),
        (op(), date()).prop_map(|(op, d)| format!("seen {op} DATE '{d}'")),
        (date(), date()).prop_map(|(a, b)| format!("seen NOT BETWEEN '{a}' AND '{b}'")),
        (
            select(&["YEAR", "QUARTER", "MONTH", "DAY", "ISODOW"][..]),
            op(),
            1..32i32
        )
            .prop_map(|(part, op, x)| format!(
                "EXTRACT({part} FROM seen) {op} {}",
                if part == "YEAR" { x % 6 + 2019 } else { x }
            )),
        (op(), select(&["A", "a", "b_1", "b%"][..])).prop_map(|(op, w)| format!("ward {op} '{w}'")),
        "[aAb1%_é]{0,4}".prop_map(|pattern| format!("code LIKE '{pattern}'")),
        text(&[
            "smoker",
            "smoker IS NULL",
            "sex IN ('male')",
            "sex IS NOT NULL",
            "smoker = FALSE",
            "sex <> 'female'"
        ]),
        text(&[
            "code LIKE 'a\\_%'",
            "ward LIKE '%\\%'",
            "LEAST(chol, age) > visits * 5",
            "FLOOR(chol / 100) = 2"
        ]),
        text(&["TRUE", "NULL", "age > NULL"]),
    ];
    atom.prop_recursive(3, 12, 2, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone().prop_map(|(a, b)| format!("({a}) AND ({b})")),
            two.clone().prop_map(|(a, b)| format!("({a}) OR ({b})")),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            (
                inner.clone(),
                select(&["TRUE", "NOT FALSE", "NULL", "NOT NULL", "FALSE"][..])
            )
                .prop_map(|(a, is)| format!("({a}) IS {is}")),
            two.prop_map(|(a, b)| format!("CASE WHEN {a} THEN {b} ELSE smoker END")),
        ]
    })
}

const KEYS: &[&str] = &[
    "sex",
    "ward",
    "smoker",
    "BIN(age, 20)",
    "BIN(chol, 150)",
    "EXTRACT(QUARTER FROM seen)",
    "chol > 240",
];
const AGGREGATES: &[&str] = &[
    "COUNT(*)",
    "COUNT(chol)",
    "COUNT(DISTINCT person)",
    "SUM(age)",
    "SUM(chol)",
    "AVG(chol)",
    "AVG(visits)",
    "VAR(chol)",
    "STDDEV(age)",
    "VAR_POP(visits)",
    "COVAR_POP(age, chol)",
    "COVAR_SAMP(chol, visits)",
    "SHARE(@)",
    "COUNT(*) FILTER (WHERE @)",
    "COUNT(DISTINCT person) FILTER (WHERE @)",
    "AVG(chol) FILTER (WHERE @)",
    "SUM(CASE WHEN @ THEN chol ELSE -age END)",
    "AVG(CASE WHEN @ THEN visits END)",
    "SUM(EXTRACT(DAY FROM seen))",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn questions_at_random_are_answered_as_sqlite_answers_them(
        seed in any::<u64>(), number in 1..6u32, people in 0..25u32, filter in prop::option::of(condition()),
        inner in condition(), keys in subsequence(KEYS, 0..=2), aggregates in subsequence(AGGREGATES, 1..=4),
    ) {
        let data = clinics(seed, number, people);
        let columns: Vec<String> = keys.iter().chain(&aggregates).map(|c| c.replace('@', &inner)).collect();
        let filter = filter.map(|f| format!(" WHERE {f}")).unwrap_or_default();
        let by = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
        let sql = format!("SELECT {} FROM clinic{filter}{by}", columns.join(", "));
        let found = compared(&sql, &data, &Sqlite::holding(&data), keys.len(), false);
        prop_assert!(found.is_ok(), "{}", found.unwrap_err());
    }
}
