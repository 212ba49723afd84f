//! Attacks on "one row is one row": lines that try to change how other lines are read, and ids that try to be one person.

mod support;

use polars::prelude::{NamedFrom, Series};
use proptest::prelude::*;
use sotto_participant::compute::execute;
use std::fs;
use support::{Table, contract, key, plan};
use workload::query::{Row, Value, evaluate};

const HEADER: &str = "person,score,note";
const ROWS: &str = "p1,10,x\np2,20,\"a, b\"\np3,30,\n\"p4\",40,\"say \"\"hi\"\"\"\n";
const QUESTION: &str = "SELECT note, COUNT(*), SUM(score), MEDIAN(score) FROM visits GROUP BY note";

#[test]
fn a_line_that_reaches_into_others_is_refused_by_its_number_and_what_to_do() {
    for (line, advice) in [
        ("quetzal,30,say \"hi", "double the quote"),
        ("\"quetzal,30,n", "export without line breaks"),
        ("quetzal,30,\"two\nlines\"", "export without line breaks"),
        ("quetzal,\"a\"b,n", "double the quotes"),
        ("quetzal,30", "than the header"),
        ("quetzal,30,x,y", "than the header"),
    ] {
        let table = Table::new(&[("x.csv", format!("{HEADER}\n{ROWS}{line}\n{ROWS}"))]);
        let refused = table.open(contract("string", false)).err().unwrap().to_string();
        assert!(
            refused.contains("x.csv line 6 ") && refused.contains(advice) && !refused.contains("quetzal"),
            "{refused}"
        );
    }
}

#[test]
fn a_line_that_is_appended_is_refused_or_adds_what_it_adds_alone() {
    let contract = contract("string", false);
    let plan = plan(&contract, QUESTION);
    let values = |content: Vec<u8>| {
        let table = Table::new(&[("x.csv", content)]);
        let opened = table.open(contract.clone()).map_err(|e| e.to_string())?;
        Ok::<_, String>(execute(&plan, &opened, &key()).expect("an opened file is executed"))
    };
    let file = |rows: &[u8], line: &[u8]| [HEADER.as_bytes(), b"\n", rows, line, b"\n"].concat();
    let without = values([HEADER.as_bytes(), b"\n", ROWS.as_bytes()].concat()).unwrap();
    let bytes = || prop_oneof![3 => prop::sample::select(b"\",\r x1p\n".to_vec()), 1 => any::<u8>()];
    let noise = prop::collection::vec(bytes().prop_filter("one line", |b| *b != b'\n'), 0..12).boxed();
    let field = prop_oneof!["[a-z0-9.]{0,4}", "\"([a-z,]|\"\"){0,4}\"", "nan|inf|-inf|1e999", "x"];
    let fields = prop::collection::vec(field, 3)
        .prop_map(|f| f.join(",").into_bytes())
        .boxed();
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let opened = std::cell::Cell::new(0);
    proptest!(config, |(line in prop_oneof![1 => noise, 1 => fields])| {
        match values(file(ROWS.as_bytes(), &line)) {
            Err(refused) => prop_assert!(refused.contains("line 6 "), "{}", refused),
            Ok(with) => {
                let alone = values(file(b"", &line)).unwrap();
                let sum: Vec<i64> = without.iter().zip(&alone).map(|(a, b)| a + b).collect();
                prop_assert_eq!(with, sum);
                opened.set(opened.get() + 1);
            }
        }
    });
    assert!(opened.get() > 30, "only {} lines were records", opened.get());
}

#[test]
fn a_parquet_file_whose_rows_cannot_be_decoded_is_refused_when_it_is_opened() {
    let table = Table::new::<&str>(&[]);
    let path = table.folder.path().join("x.parquet");
    let people: Vec<String> = (0..5_000).map(|i| format!("p{i}")).collect();
    table.parquet(Series::new("person".into(), people));
    assert!(table.open(contract("string", false)).is_ok());
    let mut bytes = fs::read(&path).unwrap();
    let (start, end) = (8, bytes.len() / 3);
    bytes[start..end].iter_mut().for_each(|b| *b = 0xff);
    fs::write(&path, bytes).unwrap();
    let refused = table.open(contract("string", false)).err().unwrap().to_string();
    assert!(refused.contains("x.parquet"), "{refused}");
}

/// Units of a table, by a question that counts each person's one row.
fn units(table: &Table, logical_type: &str) -> i64 {
    let contract = contract(logical_type, true);
    let plan = plan(&contract, "SELECT COUNT(*) FROM visits");
    let found = execute(&plan, &table.open(contract).unwrap(), &key()).unwrap();
    found[0] / plan.components[0].kind.weight()
}

fn csv(ids: &[&str]) -> Table {
    let rows: String = ids.iter().map(|id| format!("{id},1,x\n{id},2,x\n")).collect();
    Table::new(&[("x.csv", format!("{HEADER}\n{rows}"))])
}

#[test]
fn neighbouring_ids_beyond_what_doubles_hold_are_two_people() {
    let (a, b) = (1i64 << 53, (1i64 << 53) + 1);
    assert_eq!(units(&csv(&["9007199254740992", "9007199254740993"]), "integer"), 2);
    assert_eq!(
        units(&csv(&["12345678901234567890123", "12345678901234567890124"]), "integer"),
        2
    );
    let table = Table::new::<&str>(&[]);
    table.parquet(Series::new("person".into(), [a, b, a]));
    assert_eq!(units(&table, "integer"), 2);
    table.parquet(Series::new("person".into(), [u64::MAX, u64::MAX - 1, u64::MAX]));
    assert_eq!(units(&table, "integer"), 2);
    // The same people in files of both formats are the same people.
    let both = csv(&["9007199254740992", "9007199254740994"]);
    both.parquet(Series::new("person".into(), [a, b, a]));
    assert_eq!(units(&both, "integer"), 3);
}

#[test]
fn ids_that_are_no_integer_or_no_text_name_nobody() {
    assert_eq!(
        units(
            &csv(&["nan", "NaN", "inf", "-inf", "1.5", "1e300", "", "7", "7.0"]),
            "integer"
        ),
        1
    );
    let table = Table::new::<&str>(&[]);
    let ids = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.5,
        9_007_199_254_740_992.0,
        7.0,
        -0.0,
        0.0,
    ];
    table.parquet(Series::new("person".into(), ids));
    assert_eq!(units(&table, "integer"), 2);
    assert_eq!(units(&csv(&["", "\"\"", "nan", "7", "07"]), "string"), 3);
}

#[test]
fn texts_that_an_unkeyed_hash_confuses_are_two_people() {
    assert_eq!(
        units(&csv(&["8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ"]), "string"),
        2
    );
}

#[test]
fn bounding_of_ids_that_doubles_do_not_hold_is_that_of_the_specification() {
    let contract = contract("integer", true);
    let plan = plan(&contract, "SELECT note, COUNT(*), SUM(score) FROM visits GROUP BY note");
    let ids = ["9007199254740992", "9007199254740993", "-4", "12345678901234567890123"];
    let rows = (0..200).map(|i| (ids[i * i % 7 % 4], i % 50, ["x", "a, b"][i % 2]));
    let text: String = rows
        .clone()
        .map(|(id, score, note)| format!("{id},{score},\"{note}\"\n"))
        .collect();
    let table = Table::new(&[("x.csv", format!("{HEADER}\n{text}"))]);
    let row = |(id, score, note): (&str, usize, &str)| {
        let values = [
            Value::Text(id.into()),
            Value::Number(score as f64),
            Value::Text(note.into()),
        ];
        HEADER.split(',').map(String::from).zip(values).collect::<Row>()
    };
    let found = execute(&plan, &table.open(contract).unwrap(), &key()).unwrap();
    assert_eq!(found, evaluate(&plan, &key(), rows.map(row)));
}
