//! The executor against its specification: random questions over random tables, split over files of both formats, must give
//! what `workload::query::evaluate` gives, cell by cell; and what a hand-written polars query over the union gives.
//! Then the stories of mapping: names, codes, units, refusals, and canaries that must not be printed.

use engine::CohortTerms;
use governance::Contract;
use polars::prelude::*;
use proptest::prelude::*;
use sotto_participant::compute::{NotExecuted, execute};
use sotto_participant::config::{Code, Linear, Mapping};
use sotto_participant::data::{DataError, Dataset};
use std::fs;
use std::path::Path;
use workload::query::{BoundingKey, Cell, QueryPlan, Row, Value, compile, evaluate, read_back};

const TERMS: CohortTerms = CohortTerms { n: 4, c: 1, s_min: 3 };
const COLUMNS: [&str; 8] = ["person", "sex", "ward", "age", "chol", "dose", "smoker", "seen"];

fn contract(unit: bool) -> Contract {
    let privacy = match unit {
        true => {
            "unit = \"person\"\nmaxRows = 10000\ndelta = 1e-6\ncontribution = { rows = 4, groups = 2, rowsPerGroup = 3 }"
        }
        false => "maxRows = 10000\ndelta = 1e-6",
    };
    Contract::parse(&format!(
        r#"apiVersion = "v3.1.0"
kind = "DataContract"
name = "clinic"
version = "1.0.0"
purposes = ["research"]
[privacy]
{privacy}
[[schema.properties]]
name = "person"
logicalType = "integer"
[[schema.properties]]
name = "sex"
logicalType = "string"
categories = ["female", "male", "a longer name than fits"]
[[schema.properties]]
name = "ward"
logicalType = "string"
categories = ["a", "b", "c"]
nulls = {{ impute = "b" }}
[[schema.properties]]
name = "age"
logicalType = "integer"
logicalTypeOptions = {{ minimum = 0, maximum = 110 }}
required = true
[[schema.properties]]
name = "chol"
logicalType = "number"
logicalTypeOptions = {{ minimum = 0, maximum = 600 }}
[[schema.properties]]
name = "dose"
logicalType = "number"
logicalTypeOptions = {{ minimum = -3, maximum = 4.5 }}
nulls = {{ impute = 0.25 }}
[[schema.properties]]
name = "smoker"
logicalType = "boolean"
[[schema.properties]]
name = "seen"
logicalType = "date"
logicalTypeOptions = {{ minimum = "2019-01-01", maximum = "2024-12-31" }}
"#
    ))
    .unwrap()
}

fn plan(contract: &Contract, sql: &str) -> QueryPlan {
    compile(sql, contract, &TERMS, 1.0, 1e-6).unwrap_or_else(|e| panic!("{}", e.render(sql)))
}

fn row(values: [Value; 8]) -> Row {
    COLUMNS.map(String::from).into_iter().zip(values).collect()
}

/// One row: NULLs, values beyond bounds, and categories that nobody declared.
fn any_row() -> impl Strategy<Value = Row> {
    let text = |list: &'static [&'static str]| prop::sample::select(list).prop_map(|t| Value::Text(t.into())).boxed();
    let orphan = |some: BoxedStrategy<Value>| prop_oneof![5 => some, 1 => Just(Value::Null)];
    let number =
        |range: std::ops::Range<i32>, per: f64| range.prop_map(move |i| Value::Number(f64::from(i) / per)).boxed();
    (
        orphan(number(0..12, 1.0)),
        orphan(text(&[
            "female",
            "male",
            "a longer name than fits",
            "another long name, undeclared",
            "x",
        ])),
        orphan(text(&["a", "b", "c", "d"])),
        orphan(number(-10..140, 1.0)),
        orphan(number(-100..8_000, 10.0)),
        orphan(number(-5_000..6_000, 997.0)),
        orphan(any::<bool>().prop_map(Value::Boolean).boxed()),
        orphan((17_000..21_000i32).prop_map(Value::Date).boxed()),
    )
        .prop_map(|(person, sex, ward, age, chol, dose, smoker, seen)| {
            row([person, sex, ward, age, chol, dose, smoker, seen])
        })
}

const CONDITIONS: &[&str] = &[
    "age BETWEEN 30 AND 70",
    "sex = 'male'",
    "sex IN ('female', 'a longer name than fits') OR smoker",
    "NOT smoker",
    "smoker IS NULL",
    "chol IS NOT NULL AND chol / 7 > 30.5",
    "ward <> 'a' AND ward < 'c'",
    "sex LIKE '%male'",
    "seen >= DATE '2021-06-01'",
    "EXTRACT(MONTH FROM seen) IN (1, 2, 3, 12)",
    "FLOOR(dose) = -1 OR ABS(dose) > 2.5",
    "CASE WHEN smoker THEN age > 40 WHEN sex = 'male' THEN NULL ELSE chol < 300 END",
    "LEAST(age, chol) > 20 AND GREATEST(dose, age / 50) < 3",
    "smoker IN (TRUE)",
    "seen IN ('2020-01-01', '2021-01-01') OR -age * 2 + 3 < dose - 80",
    "chol IN (0, 233.5, 600)",
];
const KEYS: &[&str] = &[
    "sex",
    "ward",
    "smoker",
    "BIN(age, 20)",
    "EXTRACT(QUARTER FROM seen)",
    "BIN(chol, 200)",
];
const AGGREGATES: &[&str] = &[
    "COUNT(*)",
    "COUNT(chol)",
    "SUM(age)",
    "AVG(chol)",
    "AVG(dose)",
    "STDDEV(chol)",
    "COVAR_POP(age, dose)",
    "MEDIAN(chol)",
    "QUANTILE(age, 0.9)",
    "SUM(dose * age / 3)",
    "COUNT(*) FILTER (WHERE smoker)",
    "AVG(CASE WHEN sex = 'male' THEN chol ELSE age END)",
    "AVG(dose) FILTER (WHERE ward = 'b' AND chol > 200)",
];

fn any_question(unit: bool) -> impl Strategy<Value = String> {
    let some = |list: &'static [&'static str], n| prop::sample::subsequence(list, n);
    (
        some(AGGREGATES, 1..=4),
        some(KEYS, 0..=2),
        some(CONDITIONS, 0..=2),
        any::<bool>(),
    )
        .prop_map(move |(mut aggregates, keys, conditions, people)| {
            if unit && people {
                aggregates.push("COUNT(DISTINCT person)");
            }
            let joined = format!(" WHERE ({})", conditions.join(") AND ("));
            let filter = if conditions.is_empty() { String::new() } else { joined };
            let group = if keys.is_empty() {
                String::new()
            } else {
                format!(" GROUP BY {}", keys.join(", "))
            };
            format!("SELECT {} FROM clinic{filter}{group}", aggregates.join(", "))
        })
}

fn frame(rows: &[Row]) -> DataFrame {
    let number = |c: &str| -> Vec<Option<f64>> {
        rows.iter()
            .map(|r| if let Value::Number(x) = r[c] { Some(x) } else { None })
            .collect()
    };
    let text = |c: &str| -> Vec<Option<String>> {
        rows.iter()
            .map(|r| {
                if let Value::Text(t) = &r[c] {
                    Some(t.clone())
                } else {
                    None
                }
            })
            .collect()
    };
    let smoker: Vec<Option<bool>> = rows
        .iter()
        .map(|r| {
            if let Value::Boolean(b) = r["smoker"] {
                Some(b)
            } else {
                None
            }
        })
        .collect();
    let seen: Int32Chunked = rows
        .iter()
        .map(|r| if let Value::Date(d) = r["seen"] { Some(d) } else { None })
        .collect();
    let mut frame = df!(
        "person" => number("person"), "sex" => text("sex"), "ward" => text("ward"), "age" => number("age"),
        "chol" => number("chol"), "dose" => number("dose"), "smoker" => smoker
    )
    .unwrap();
    frame
        .with_column(
            seen.with_name("seen".into())
                .cast(&DataType::Date)
                .unwrap()
                .into_column(),
        )
        .unwrap();
    frame
}

fn write_parquet(path: &Path, mut frame: DataFrame) {
    ParquetWriter::new(fs::File::create(path).unwrap())
        .finish(&mut frame)
        .unwrap();
}

/// Writes the rows as `files` files, every other one CSV, and opens them as one dataset.
fn dataset(folder: &Path, contract: &Contract, rows: &[Row], files: usize) -> Dataset {
    for old in fs::read_dir(folder).unwrap() {
        fs::remove_file(old.unwrap().path()).unwrap();
    }
    let mut globs = Vec::new();
    for (i, part) in rows.chunks(rows.len().div_ceil(files).max(1)).enumerate() {
        let path = folder.join(format!("{i}.{}", ["parquet", "csv"][i % 2]));
        match i % 2 {
            0 => write_parquet(&path, frame(part)),
            _ => CsvWriter::new(fs::File::create(&path).unwrap())
                .finish(&mut frame(part))
                .unwrap(),
        }
        globs.push(path.to_string_lossy().into_owned());
    }
    Dataset::open(contract.clone(), &globs, Mapping::default()).unwrap()
}

fn both_agree(unit: bool, cases: u32) {
    let folder = tempfile::tempdir().unwrap();
    let contract = contract(unit);
    let key = BoundingKey::new(&[5; 32]);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let tables = prop::collection::vec(any_row(), 1..120);
    let executed = std::cell::Cell::new(0);
    proptest!(config, |(rows in tables, files in 1..4usize, sql in any_question(unit))| {
        let Ok(plan) = compile(&sql, &contract, &TERMS, 1.0, 1e-6) else { return Ok(()) };
        let expected = evaluate(&plan, &key, rows.iter().cloned());
        let dataset = dataset(folder.path(), &contract, &rows, files);
        let found = execute(&plan, &dataset, &key);
        prop_assert_eq!(found, Ok(expected), "{}", sql);
        executed.set(executed.get() + 1);
    });
    assert!(
        executed.get() > cases / 2,
        "only {} of {cases} questions were in the dialect",
        executed.get()
    );
}

#[test]
fn random_questions_over_rows_of_their_own_give_what_the_specification_gives() {
    both_agree(false, 150);
}

#[test]
fn random_questions_bounded_per_person_give_what_the_specification_gives() {
    both_agree(true, 150);
}

#[test]
fn a_condition_that_no_row_meets_gives_zeros_and_not_a_missing_vector() {
    let folder = tempfile::tempdir().unwrap();
    let contract = contract(false);
    let rows: Vec<Row> = (0..200i32)
        .map(|i| {
            let number = |x: i32| Value::Number(f64::from(x));
            let (sex, ward) = (Value::Text("male".into()), Value::Text("a".into()));
            let smoker = Value::Boolean(false);
            row([
                number(i),
                sex,
                ward,
                number(i % 90),
                number(i),
                number(i % 3),
                smoker,
                Value::Date(17_500),
            ])
        })
        .collect();
    let dataset = dataset(folder.path(), &contract, &rows, 2);
    // No column at all, of files in two formats: still a row count.
    let counted = plan(&contract, "SELECT COUNT(*) FROM clinic");
    let weight = counted.components[0].kind.weight();
    assert_eq!(
        execute(&counted, &dataset, &BoundingKey::new(&[5; 32])),
        Ok(vec![200 * weight])
    );
    for aggregate in AGGREGATES.iter().chain(&["SUM(1)", "SUM(2 / 3)", "AVG(FLOOR(2.5))"]) {
        let sql = format!("SELECT {aggregate} FROM clinic WHERE smoker");
        let Ok(plan) = compile(&sql, &contract, &TERMS, 1.0, 1e-6) else {
            continue;
        };
        let found = execute(&plan, &dataset, &BoundingKey::new(&[5; 32]));
        assert!(
            found.as_ref().is_ok_and(|values| values.iter().all(|v| *v == 0)),
            "{sql}: {found:?}"
        );
    }
}

#[test]
fn every_condition_key_and_aggregate_of_the_suite_is_accepted() {
    for (list, shape) in [
        (CONDITIONS, "SELECT COUNT(*) FROM clinic WHERE @"),
        (KEYS, "SELECT COUNT(*) FROM clinic GROUP BY @"),
        (AGGREGATES, "SELECT @ FROM clinic"),
    ] {
        for item in list {
            plan(&contract(true), &shape.replace('@', item));
        }
    }
}

#[test]
fn participants_sum_to_what_a_hand_written_query_says_of_the_union() {
    let number = |i: i32| Value::Number(f64::from(i));
    let sex = |i: i32| Value::Text(["female", "male"][(i % 2) as usize].into());
    let rows: Vec<Row> = (0..900)
        .map(|i| {
            let smoker = Value::Boolean(i % 3 == 0);
            let date = Value::Date(18_000 + i);
            row([
                number(i),
                sex(i),
                Value::Text("a".into()),
                number(i % 130),
                number(i % 700),
                number(0),
                smoker,
                date,
            ])
        })
        .collect();
    let contract = contract(false);
    let sql = "SELECT sex, COUNT(*), SUM(age) FROM clinic WHERE age > 20 AND NOT smoker GROUP BY sex";
    let plan = plan(&contract, sql);
    let key = BoundingKey::new(&[1; 32]);
    let mut values = vec![0i64; plan.layout().dim()];
    for participant in rows.chunks(225) {
        let folder = tempfile::tempdir().unwrap();
        let found = execute(&plan, &dataset(folder.path(), &contract, participant, 2), &key).unwrap();
        values.iter_mut().zip(found).for_each(|(a, b)| *a += b);
    }
    let age = || when(col("age").gt(lit(110.0))).then(lit(110.0)).otherwise(col("age"));
    let by_hand = frame(&rows)
        .lazy()
        .filter(age().gt(lit(20.0)).and(col("smoker").not()))
        .group_by([col("sex")])
        .agg([len().cast(DataType::Float64).alias("n"), age().sum().alias("sum")])
        .sort(["sex"], SortMultipleOptions::default())
        .collect()
        .unwrap();
    let table = read_back(
        &plan,
        &engine::PlainSum {
            values,
            contributors: 4,
            variance: 0,
        },
    )
    .unwrap();
    let estimate = |cell: &Cell| {
        if let Cell::Estimate { value, .. } = cell {
            *value
        } else {
            None
        }
    };
    for (i, row) in table.rows.iter().take(2).enumerate() {
        let at = |column: &str| by_hand.column(column).unwrap().f64().unwrap().get(i);
        assert_eq!((estimate(&row[1]), estimate(&row[2])), (at("n"), at("sum")));
    }
}

#[test]
fn a_clinic_with_other_names_codes_and_units_gives_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let csv = "pid,Geschlecht,ward,age,chol mg,dose,smoker,seen\n\
        1,1,a,50,200,0.5,Yes,2020-05-01\n2,2,b,61,0,?,no,2020-05-01T10:00:00\n3,9,c,not known,300,1,,\n";
    fs::write(folder.path().join("x.csv"), csv).unwrap();
    let glob = folder.path().join("*.csv").to_string_lossy().into_owned();
    let mut mapping = Mapping::default();
    for (column, physical) in [("person", "pid"), ("sex", "Geschlecht"), ("chol", "chol mg")] {
        mapping.rename.insert(column.into(), physical.into());
    }
    mapping.categories.insert(
        "sex".into(),
        [("1", "male"), ("2", "female")]
            .map(|(a, b)| (a.into(), b.into()))
            .into(),
    );
    mapping.units.insert(
        "chol".into(),
        Linear {
            factor: 0.5,
            offset: 1.0,
        },
    );
    mapping.nulls.insert("chol".into(), vec![Code::Integer(0)]);
    mapping.nulls.insert("dose".into(), vec![Code::Text("?".into())]);
    let dataset = Dataset::open(contract(false), &[glob], mapping).unwrap();
    let plan = plan(
        &contract(false),
        "SELECT sex, COUNT(*), SUM(chol), COUNT(seen) FROM clinic GROUP BY sex",
    );
    let number = |x: f64| Value::Number(x);
    let text = |t: &str| Value::Text(t.into());
    let seen = workload::query::parse_date("2020-05-01").map(Value::Date).unwrap();
    let rows = [
        [number(1.0), text("male"), number(101.0), seen.clone()],
        [number(2.0), text("female"), Value::Null, seen],
        [number(3.0), text("9"), number(151.0), Value::Null],
    ];
    let rows = rows.map(|r| {
        ["person", "sex", "chol", "seen"]
            .map(String::from)
            .into_iter()
            .zip(r)
            .collect::<Row>()
    });
    let key = BoundingKey::new(&[2; 32]);
    assert_eq!(
        execute(&plan, &dataset, &key).unwrap(),
        evaluate(&plan, &key, rows.into_iter())
    );

    let report = dataset.check().unwrap();
    let of = |name: &str| report.columns.iter().find(|c| c.name == name).unwrap().clone();
    let counts = (
        of("sex").unknown_category,
        of("age").not_converted,
        of("chol").not_converted,
    );
    assert_eq!((report.rows, counts), (3, (1, 1, 1)));
    assert!(
        report.has_warnings() && report.to_string().contains("sex <- Geschlecht"),
        "{report}"
    );
}

#[test]
fn refusals_name_file_and_column_and_reports_hold_no_value() {
    let canary = "c4n4ry";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    let glob = path.to_string_lossy().into_owned();
    fs::write(&path, format!("person,sex,age\n{canary},{canary},{canary}\n")).unwrap();
    let open = || Dataset::open(contract(false), std::slice::from_ref(&glob), Mapping::default());
    let missing = open().err().unwrap();
    assert!(
        matches!(&missing, DataError::MissingColumn { column, .. } if column == "ward"),
        "{missing}"
    );

    let header = COLUMNS.join(",");
    fs::write(&path, format!("{header}\n{}\n", [canary; 8].join(","))).unwrap();
    let dataset = open().unwrap();
    let report = format!("{} {:?}", dataset.check().unwrap(), dataset.check().unwrap());
    assert!(!report.contains(canary) && !missing.to_string().contains(canary));
    let first = dataset.snapshot(&[1; 32]);
    assert_ne!(dataset.snapshot(&[2; 32]), first, "nobody else can compute it");
    let all = "SELECT sex, COUNT(*), AVG(age), MEDIAN(chol) FROM clinic WHERE NOT smoker GROUP BY sex";
    let nothing = execute(&plan(&contract(false), all), &dataset, &BoundingKey::new(&[0; 32])).unwrap();
    assert!(nothing.iter().all(|v| *v == 0));

    fs::write(&path, header).unwrap();
    assert!(matches!(dataset.unchanged(), Err(DataError::Changed { .. })));
    assert_ne!(open().unwrap().snapshot(&[1; 32]), first);
    fs::write(&path, "").unwrap();
    assert!(open().is_err());
    fs::remove_file(&path).unwrap();
    assert!(matches!(open(), Err(DataError::NoFile { .. })));
}

#[test]
fn a_file_of_wrong_types_is_refused_and_one_that_is_gone_delivers_no_vector() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let glob = path.to_string_lossy().into_owned();
    let empty = row([const { Value::Null }; 8]);
    let good = frame(&[empty.clone(), empty]);
    let mut bad = good.clone();
    let dates = Int32Chunked::from_vec("age".into(), vec![1, 2])
        .cast(&DataType::Date)
        .unwrap();
    bad.with_column(dates.into_column()).unwrap();
    write_parquet(&path, bad);
    let open = || Dataset::open(contract(false), std::slice::from_ref(&glob), Mapping::default());
    let refused = open().err().unwrap().to_string();
    assert!(
        refused.contains("`age`") && refused.contains("expected a number"),
        "{refused}"
    );

    write_parquet(&path, good);
    let dataset = open().unwrap();
    fs::remove_file(&path).unwrap();
    let plan = plan(&contract(false), "SELECT COUNT(*) FROM clinic");
    let gone = execute(&plan, &dataset, &BoundingKey::new(&[0; 32]));
    assert!(matches!(gone, Err(NotExecuted::Unreadable(_))), "{gone:?}");
}
